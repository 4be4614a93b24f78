"""The arrays that a call of `fit` gives: read, checked, and put after one another."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import keras
import numpy as np

from caviar.errors import OptionError


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of one call: those given, then those of `validation_data`.

    Attributes:
        x: Inputs (1, row, …) as in a job, or a dict or list of such arrays.
        y: Targets, likewise.
        weight: Weights (row,), 1 where none were given; None if nobody gave any.
        weighs: Whether `sample_weight` was given: held-out rows are then scored with it.
        weighs_validation: Whether `validation_data` brought weights; without it, as `weighs`.
        count: How many rows may be trained on; those of `validation_data` follow.
        validation: Row numbers of `validation_data`.
    """

    x: Any
    y: Any
    weight: np.ndarray | None
    weighs: bool
    weighs_validation: bool
    count: int
    validation: np.ndarray


def _array(values: Any, what: str) -> np.ndarray:  # noqa: ANN401
    """One array as `fit` would take it: numbers with a fraction as float32, whole numbers as int32."""
    array = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        raise OptionError(
            f"Expected {what} to be an array of numbers with a row axis, or a dict or list of such arrays, got "
            f"{type(values).__name__}. Read generators and datasets into arrays first, and turn text into numbers."
        )
    kinds = {"f": np.float32, "i": np.int32, "u": np.int32}
    return array.astype(kinds.get(array.dtype.kind, array.dtype))


def _arrays(values: Any, what: str) -> Any:  # noqa: ANN401
    if isinstance(values, dict):
        return {name: _array(part, f"{what}[{name!r}]") for name, part in values.items()}
    if isinstance(values, (list, tuple)) and any(
        np.ndim(part) > 0 and hasattr(part, "shape") for part in values
    ):
        return [_array(part, f"{what}[{i}]") for i, part in enumerate(values)]
    return _array(values, what)


def _length(values: Any, what: str, count: int | None = None) -> int:  # noqa: ANN401
    lengths = {len(part) for part in keras.tree.flatten(values)} | ({count} if count is not None else set())
    if len(lengths) != 1 or lengths == {0}:
        raise OptionError(
            f"Expected {what} to have as many rows as the other arrays, and at least one, got "
            f"{', '.join(str(n) for n in sorted(lengths))}. Give arrays of one length."
        )
    return lengths.pop()


def read(x: Any, y: Any, sample_weight: Any, validation_data: Any, *, any_class_weight: bool) -> Rows:  # noqa: ANN401
    """The arrays of a call of `fit`, checked, as one.

    Raises:
        OptionError: They do not fit together.
    """
    if y is None:
        raise OptionError("Expected targets y beside x, got none. Pass the targets as the third argument.")
    x, y = _arrays(x, "x"), _arrays(y, "y")
    count = _length(y, "y", _length(x, "x"))
    weight = None
    if sample_weight is not None:
        if any_class_weight:
            raise OptionError(
                "Expected class_weight or sample_weight, got both, which Keras refuses as well. Multiply the "
                "classes' weights into sample_weight."
            )
        weight = _array(sample_weight, "sample_weight").astype(np.float32)
        _length(weight, "sample_weight", count)
    weighs = weight is not None
    if validation_data is None:
        return Rows(*_shared(x, y), weight, weighs, weighs, count, np.arange(0))
    more_x, more_y, looked = _validation(x, y, validation_data)
    more = len(keras.tree.flatten(more_y)[0])
    if weight is not None or looked is not None:
        weight = np.concatenate(
            [
                np.ones(rows, np.float32) if part is None else part
                for part, rows in ((weight, count), (looked, more))
            ]
        )
    x, y = (
        keras.tree.map_structure(lambda a, b: np.concatenate([a, b]), *pair)
        for pair in ((x, more_x), (y, more_y))
    )
    return Rows(*_shared(x, y), weight, weighs, looked is not None, count, np.arange(count, count + more))


def _validation(x: Any, y: Any, given: Any) -> tuple[Any, Any, np.ndarray | None]:  # noqa: ANN401
    """The arrays of `validation_data`, which must look like those that are trained on."""
    if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
        raise OptionError(
            f"Expected validation_data to be (x, y) or (x, y, sample_weight), got {type(given).__name__}. Pass a "
            f"tuple of arrays."
        )
    more_x, more_y = _arrays(given[0], "validation x"), _arrays(given[1], "validation y")
    try:
        keras.tree.assert_same_structure((x, y), (more_x, more_y))
    except (ValueError, TypeError):
        raise OptionError(
            "Expected validation_data to have the same inputs and outputs as x and y, got others. Give it the "
            "same names or the same number of arrays."
        ) from None
    for ours, theirs in zip(keras.tree.flatten((x, y)), keras.tree.flatten((more_x, more_y)), strict=True):
        if ours.shape[1:] != theirs.shape[1:]:
            raise OptionError(
                f"Expected rows of validation_data to have the shape of those trained on, {ours.shape[1:]}, got "
                f"{theirs.shape[1:]}. Prepare both in the same way."
            )
    more = _length(more_y, "validation y", _length(more_x, "validation x"))
    if len(given) == 2 or given[2] is None:
        return more_x, more_y, None
    weight = _array(given[2], "the weights of validation_data").astype(np.float32)
    _length(weight, "the weights of validation_data", more)
    return more_x, more_y, weight


def _shared(x: Any, y: Any) -> tuple[Any, Any]:  # noqa: ANN401
    return keras.tree.map_structure(lambda a: a[None], x), keras.tree.map_structure(lambda a: a[None], y)


def labels(rows: Rows) -> np.ndarray | None:
    """One whole number per row, where the first output has that."""
    target = keras.tree.flatten(rows.y)[0][0, : rows.count]
    labels = target.reshape(-1)
    return labels if len(labels) == rows.count and (labels == np.rint(labels)).all() else None


def class_weights(rows: Rows, class_weight: Mapping[int, float]) -> np.ndarray:
    """Weights of rows by their class, as Keras gives them: 1 for a class without."""
    if not isinstance(class_weight, Mapping) or not all(isinstance(w, Real) for w in class_weight.values()):
        raise OptionError(
            f"Expected class_weight to be a dict of class and number, got {class_weight!r}. Write {{0: 1.0, 1: 5.0}}."
        )
    target = [part[0] for part in keras.tree.flatten(rows.y)]
    if len(target) != 1:
        raise OptionError("Expected one output with class_weight, got several. Use sample_weight instead.")
    classes = (
        target[0].argmax(-1) if target[0].ndim > 1 and target[0].shape[-1] > 1 else target[0].reshape(-1)
    )
    weight = np.array([class_weight.get(int(c), 1.0) for c in classes], np.float32)
    if rows.weight is not None:  # weights of the rows to watch
        weight[rows.validation] = rows.weight[rows.validation]
    return weight
