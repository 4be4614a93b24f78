"""Arrays, a builder and fit arguments as a person has them, made ready to be measured as they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from caviar.data.dataset import Dataset
from caviar.data.prepare import PreparationPlan
from caviar.data.schema import Column, Schema, Task
from caviar.errors import ModelError, OptionError
from caviar.evaluate.metrics import Metric, default_metric, find_metric
from caviar.population.template import first_line, sketch
from caviar.recipe.builder import Builder
from caviar.recipe.callbacks import read_callbacks, without_writers
from caviar.recipe.heads import loss_of, network_target
from caviar.recipe.recipe import Recipe

_MOST_CLASSES = 20
_SQUARED = ("meansquared", "mse")
_ABSOLUTE = ("meanabsoluteerror", "mae")
_OTHERWISE = ("logarithmic", "percentage")


@dataclass(frozen=True, eq=False)
class Target:
    """What a target holds.

    Attributes:
        task: What is predicted.
        values: Class codes (row,) or values (row, output).
        classes: Names of the classes, in the order of their codes.
        kind: How it was given: "one-hot", "codes" or "values".
    """

    task: Task
    values: np.ndarray
    classes: tuple[str, ...]
    kind: str


def read_target(y: np.ndarray, task: str | None = None) -> Target:
    """What a target holds, by its numbers alone.

    Args:
        y: As it would be given to `fit`: (row,) or (row, column).
        task: "classification" or "regression", where the numbers could be taken for the other.

    >>> read_target(np.array([[0, 1], [1, 0], [0, 1]])).task, read_target(np.array([0.5, 1.5, 2.0])).task
    ('binary', 'regression')
    """
    upright = y if y.ndim > 1 else y[:, None]
    whole = bool((upright == np.round(upright)).all())
    hot = (
        upright.shape[1] > 1
        and whole
        and bool((upright.sum(axis=1) == 1).all())
        and set(np.unique(upright)) <= {0, 1}
    )
    if hot and task != "regression":
        codes = upright.argmax(axis=1).astype(np.int64)
        names = tuple(str(i) for i in range(upright.shape[1]))
        return Target("binary" if len(names) == 2 else "multiclass", codes, names, "one-hot")
    levels = np.unique(upright)
    few = upright.shape[1] == 1 and whole and 2 <= len(levels) <= _MOST_CLASSES
    again = few and (len(levels) == 2 or len(levels) < 0.05 * len(upright))
    if task == "classification" or (again and task != "regression"):
        if upright.shape[1] > 1:
            raise OptionError(
                f"Expected one column of classes, or columns of 0 and 1 that add up to 1, got y of shape {y.shape}. "
                f"Pass class numbers."
            )
        codes = np.searchsorted(levels, upright[:, 0]).astype(np.int64)
        names = tuple(f"{level:g}" for level in levels)
        return Target("binary" if len(names) <= 2 else "multiclass", codes, names, "codes")
    several = upright.shape[1] > 1
    return Target(
        "multi-output regression" if several else "regression", upright.astype(np.float64), (), "values"
    )


def read_arrays(
    x: Any,  # noqa: ANN401
    y: Any,  # noqa: ANN401
    task: str | None,
    sample_weight: Any = None,  # noqa: ANN401
) -> tuple[Dataset, Target]:
    """A dataset of arrays as they are, and what its target holds.

    Args:
        x: Inputs (row, column), or rows of another shape: a network takes them as they are, other code as columns.
        y: Target, as `fit` would get it.
        task: "classification" or "regression", where the target's numbers could be taken for the other.
        sample_weight: Weight of each row (row,).

    Raises:
        OptionError: They are no rows: without columns, of different lengths, or not numbers; or no weights of them.
    """
    _require_one("x", x, y)
    _require_one("y", y, x)
    inputs, raw = _numbers(x, "x"), _numbers(y, "y")
    if inputs.ndim < 2 or 0 in inputs.shape:
        raise OptionError(
            f"Expected x as (row, column), or rows of another shape, got shape {inputs.shape}. Pass a row for every "
            f"target; of a single column, x[:, None]."
        )
    row_shape = inputs.shape[1:] if inputs.ndim > 2 else ()
    inputs = inputs.reshape(len(inputs), -1)
    if raw.ndim > 2 or len(raw) != len(inputs):
        raise OptionError(
            f"Expected y with one entry, or one row, for each of the {len(inputs):,} rows of x, got shape {raw.shape}."
            f" Pass both for the same rows."
        )
    if not np.isfinite(raw).all():
        raise OptionError(
            f"Expected finite targets, got {int((~np.isfinite(raw)).sum()):,} that are not. Leave these rows out."
        )
    if len(inputs) < 10:
        raise OptionError(
            f"Expected 10 rows or more, got {len(inputs)}. Cross-validation needs rows to hold out."
        )
    target = read_target(raw, task)
    if target.classes and np.bincount(target.values).min() < 2:
        rare = target.classes[int(np.bincount(target.values).argmin())]
        raise OptionError(
            f"Expected two rows or more of every class, but class {rare} has fewer. Leave it out, or pass "
            f"task='regression' if y is a quantity."
        )
    columns = tuple(Column(name=f"x{i + 1}", kind="numeric") for i in range(inputs.shape[1]))
    names = tuple(f"y{i + 1}" for i in range(1 if target.classes else target.values.shape[1]))
    schema = Schema(
        task=target.task,
        task_reason="",
        columns=columns,
        targets=names,
        classes=target.classes,
        row_shape=row_shape,
    )
    weight = None if sample_weight is None else _weights(sample_weight, len(inputs))
    # What is not finite would spoil every training: it is counted, told, and filled with the column's median.
    inputs = np.where(np.isfinite(inputs), inputs, np.nan)
    return Dataset("arrays", inputs, target.values, schema, weight=weight, given=raw), target


def _require_one(name: str, given: Any, other: Any) -> None:  # noqa: ANN401 - they may be anything
    several = isinstance(given, Mapping)
    if isinstance(given, list | tuple) and given and np.ndim(other) and len(given) != len(other):
        several = bool(np.ndim(given[0])) and len(given[0]) == len(other)
    if several:
        raise OptionError(
            f"Expected {name} as one array, got {len(given)} of them. Put them side by side, and take them apart in "
            f"the model; caviar.fit trains models of several inputs and outputs as they are."
        )


def _weights(values: Any, rows: int) -> np.ndarray:  # noqa: ANN401
    """Weights of so many rows (row,)."""
    weight = _numbers(values, "sample_weight").reshape(-1)
    if len(weight) != rows:
        raise OptionError(
            f"Expected sample_weight with a number for each of the {rows:,} rows, got {len(weight):,}. Pass one for "
            f"each."
        )
    bad = weight[~(np.isfinite(weight) & (weight >= 0))]
    if len(bad):
        raise OptionError(
            f"Expected sample_weight to be finite and not below 0, got {len(bad):,} that are otherwise, such as "
            f"{bad[0]:g}. Correct them."
        )
    return weight


def _numbers(values: Any, name: str) -> np.ndarray:  # noqa: ANN401
    try:
        array = np.asarray(values)
        array = array if array.dtype.kind in "biuf" else array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"Expected {name} to be an array of numbers, but: {first_line(error)} Convert it."
        ) from error
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def make_recipe(
    build: Builder,
    dataset: Dataset,
    *,
    name: str,
    batch_size: int,
    epochs: int,
    callbacks: Any,  # noqa: ANN401 - it may be anything
    is_validated: bool = False,
) -> Recipe:
    """A person's builder and fit arguments as a recipe that adds nothing of its own."""
    acting, writers = without_writers(read_callbacks(callbacks))
    recipe = Recipe(
        "baseline",
        name,
        build,
        batch_size,
        epochs,
        PreparationPlan(),
        callbacks=acting,
        task=dataset.task,
        n_outputs=dataset.n_outputs,
        n_rows=dataset.n_rows,
        lowest_target=dataset.lowest_target,
        writers=writers,
        is_validated=is_validated,
    )
    model = sketch(recipe.build(dataset.features.shape[1], dataset.n_outputs))
    return recipe if _reads_as_given(model, dataset) else Recipe(**{**vars(recipe), "given": True})


def _reads_as_given(model: keras.Model, dataset: Dataset) -> bool:
    """Whether the target, encoded for this model, is the one that was given."""
    raw = dataset.given
    assert raw is not None
    classes = len(dataset.schema.classes)
    try:
        row = dataset.schema.row_shape or dataset.features.shape[1]
        coded = network_target(model, dataset.target, dataset.task, classes, row)
    except ModelError:
        return False
    if classes and raw.ndim > 1 and raw.shape[1] > 1:
        return coded.ndim > 1 and coded.shape[1] == raw.shape[1]
    if coded.ndim > 1 and coded.shape[1] > 1 and classes:
        return False
    return bool(np.allclose(coded.reshape(len(raw), -1), raw.reshape(len(raw), -1), rtol=1e-5))


def deciding_metric(model: keras.Model, dataset: Dataset, metric: str | None) -> Metric:
    """The score that decides: the one asked for, else log-loss, or the error that the model's loss measures."""
    if metric is not None:
        return find_metric(metric, dataset.task)
    if dataset.is_classification:
        return default_metric(dataset.task)
    return score_of_loss(model, dataset)[0]


def score_of_loss(model: keras.Model, dataset: Dataset) -> tuple[Metric, str]:
    """The score that a model's own loss is, but for penalties and a root; or one to take in its place, and its name.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(loss="huber")
    >>> metric, loss = score_of_loss(model, read_arrays(np.eye(20)[:, :2], np.linspace(0, 1, 20), None)[0])
    >>> metric.name, loss
    ('mae', 'huber')
    """
    loss, called = loss_of(model)
    squared = any(part in called for part in _SQUARED)
    if dataset.is_classification:
        metric = find_metric("brier", dataset.task) if squared else default_metric(dataset.task)
        is_loss = squared or ("crossentropy" in called and "focal" not in called)
    else:
        metric = find_metric("rmse" if squared else "mae", dataset.task)
        is_loss = squared or any(part in called for part in _ABSOLUTE)
    if is_loss and not any(part in called for part in _OTHERWISE):
        return metric, ""
    return metric, str(getattr(loss, "name", "") or getattr(loss, "__name__", type(loss).__name__))
