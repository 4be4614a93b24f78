"""A person's own table in a lesson's place: the same kind of target, split in the same shares."""

import numpy as np

from caviar.data.dataset import Dataset
from caviar.data.prepare import PreparationPlan, fit_preparation
from caviar.errors import OptionError
from caviar.teaching.contract import Data, Lesson
from caviar.teaching.rows import folds, holdout


def own_rows(lesson: Lesson, data: Data, table: Dataset, seed: int = 0) -> Data:
    """A table as the rows of a lesson.

    Numbers stay as they are, as in the lesson; categories become columns of 0 and 1, and gaps are filled.

    Args:
        lesson: What is taught.
        data: The lesson's own rows, whose kind of target and shares of the split are kept.
        table: The person's table.
        seed: Of the split.

    Raises:
        OptionError: The lesson cannot be run on this table; the message says why.
    """
    if isinstance(lesson.own_rows, str):
        raise OptionError(
            f"Expected a lesson that runs on any table, but “{lesson.title}” does not, because {lesson.own_rows}. "
            f"Leave --data out, or take another lesson."
        )
    kind, wanted = _kind(table), _target(data)
    if kind != wanted:
        raise OptionError(
            f"Expected a table whose target is {wanted}, as in this lesson, got {kind}. Name another column with "
            f"--target, or take another lesson."
        )
    prepared = fit_preparation(
        table.schema, PreparationPlan(), table.features, table.target, rows=np.arange(table.n_rows)
    )
    x = prepared.inputs(table.features)
    y = np.asarray(table.target, float if not data.classes else int)
    y = y[:, 0] if y.ndim > 1 and y.shape[1] == 1 and data.y.ndim == 1 else y
    return Data(
        f"{table.name}, {table.n_rows:,} rows",
        x,
        y,
        _splits(data, y, seed),
        classes=len(table.schema.classes) if data.classes else 0,
        origin="your own table",
        is_own=True,
    )


def on_own_rows(lesson: Lesson, data: Data) -> Lesson:
    """A lesson as it is on a person's own rows."""
    return lesson.own_rows(lesson, data) if callable(lesson.own_rows) else lesson


def _kind(table: Dataset) -> str:
    return {"binary": "two classes", "multiclass": "three classes or more"}.get(table.task, "a quantity")


def _target(data: Data) -> str:
    return {0: "a quantity", 2: "two classes"}.get(data.classes, "three classes or more")


def _splits(data: Data, y: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """As many folds as in the lesson, or as large a share held out: drawn at random, classes keep their shares."""
    of_classes = bool(data.classes)
    if len(data.splits) > 1:
        number = len({tuple(test[:1]) for _, test in data.splits})
        return folds(y if of_classes else np.zeros(len(y)), number, seed)
    train, test = data.splits[0]
    return holdout(y, len(test) / (len(train) + len(test)), seed, stratify=of_classes)
