"""A person's own table in a lesson's place: the same kind of target, split in the same shares."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from caviar.data.dataset import Dataset
from caviar.data.prepare import PreparationPlan, fit_preparation
from caviar.errors import OptionError
from caviar.teaching.contract import Claim, Data, Lesson, Split
from caviar.teaching.rows import folds, holdout

SEVERAL = "several quantities"


def own_rows(data: Data, table: Dataset, seed: int = 0) -> Data:
    """A table as the rows of a lesson.

    Numbers stay as they are, as in the lesson; categories become columns of 0 and 1, and gaps are filled.

    Args:
        data: The lesson's own rows, whose kind of target and shares of the split are kept.
        table: The person's table.
        seed: Of the split.

    Raises:
        OptionError: The lesson cannot be run on this table; the message says why.
    """
    kind, wanted = _kind(table), _target(data)
    if kind != wanted:
        named = "each of them" if wanted == SEVERAL else "another column"
        raise OptionError(
            f"Expected a table whose target is {wanted}, as in this lesson, got {kind}. Name {named} with --target, or "
            f"take another lesson."
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


def on_own_rows(lesson: Lesson, data: Data) -> tuple[Lesson, Data]:
    """A lesson as it is on a person's own rows, and the rows as it takes them.

    Raises:
        OptionError: The lesson cannot be run on these rows; the message says why.
    """
    return (lesson, data) if lesson.own_rows is None else lesson.own_rows(lesson, data)


def changed(claims: Sequence[Claim], changes: Mapping[str, Mapping[str, Any]]) -> tuple[Claim, ...]:
    """A lesson's claims for a person's own rows, where some of them say or measure something else.

    Args:
        claims: Of the lesson.
        changes: By what a claim says, which of its attributes are others there.

    Raises:
        OptionError: No claim says so, as in a lesson that a person has reworded.
    """
    said = {claim.says for claim in claims}
    for says in changes:
        if says not in said:
            raise OptionError(
                f"Expected a claim that says “{says}”, because the lesson changes it on other rows, found none. Change "
                f"what it says in both places."
            )
    return tuple(replace(claim, **changes.get(claim.says, {})) for claim in claims)


def _kind(table: Dataset) -> str:
    if not table.is_classification:
        return "one quantity" if table.n_outputs == 1 else SEVERAL
    return "two classes" if table.task == "binary" else "three classes or more"


def _target(data: Data) -> str:
    if not data.classes:
        return "one quantity" if data.y.ndim == 1 else SEVERAL
    return "two classes" if data.classes == 2 else "three classes or more"


def _splits(data: Data, y: np.ndarray, seed: int) -> list[Split]:
    """As many folds as in the lesson, or as large a share held out: drawn at random, classes keep their shares."""
    of_classes = bool(data.classes)
    number = len({tuple(test[:1]) for _, test in data.splits})
    train, test = data.splits[0]
    share = len(test) / (len(train) + len(test))
    try:
        if number > 1:
            return folds(y if of_classes else np.zeros(len(y)), number, seed)
        return holdout(y, share, seed, stratify=of_classes)
    except ValueError as error:
        what, how = ("rows of every class", ", or merge rare classes") if of_classes else ("rows", "")
        raise OptionError(
            f"Expected {what} enough to be split as in this lesson, got {len(y):,} in all. Add rows{how}."
        ) from error
