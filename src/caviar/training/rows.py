"""The arrays that a call of `fit` gives: read, checked, and put after one another."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from caviar.errors import OptionError
from caviar.population import devices, memory
from caviar.population.source import Batches, Joined, Ranges, good_block, is_sliced, leaves, narrow, row_bytes
from caviar.recipe.class_weights import weights_by_class


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of one call: those given, then those of `validation_data`.

    Attributes:
        x: Inputs (1, row, …) as in a job, or a dict or list of such arrays; the first few where rows come in blocks.
        y: Targets, likewise; None where a dataset gives them.
        weight: Weights (row,), 1 where none were given; None if nobody gave any.
        weighs: Whether `sample_weight` was given: held-out rows are then scored with it.
        weighs_validation: Whether `validation_data` brought weights; without it, as `weighs`.
        count: How many rows may be trained on; those of `validation_data` follow.
        validation: Row numbers of `validation_data`.
        ranges: The rows, where they come in blocks.
        dataset: What gives the batches to train on, if x was none of arrays.
        look: Rows of a batch of `validation_data`, where that was a dataset.
    """

    x: Any
    y: Any
    weight: np.ndarray | None
    weighs: bool
    weighs_validation: bool
    count: int
    validation: np.ndarray
    ranges: Ranges | None = None
    dataset: Any = None
    look: int | None = None


@dataclass(frozen=True, eq=False)
class _Watched:
    """The rows of `validation_data`."""

    x: Any
    y: Any
    weight: np.ndarray | None
    look: int | None = None


def is_dataset(x: Any) -> bool:  # noqa: ANN401
    """Whether x gives batches, instead of being arrays."""
    if isinstance(x, keras.utils.PyDataset):
        return True
    plain = isinstance(x, (dict, list, tuple, str)) or hasattr(x, "shape") or hasattr(x, "to_numpy")
    return hasattr(x, "__iter__") and not plain


def read(
    x: Any,  # noqa: ANN401
    y: Any,  # noqa: ANN401
    sample_weight: Any,  # noqa: ANN401
    validation_data: Any,  # noqa: ANN401
    validation_steps: int | None,
    *,
    any_class_weight: bool,
    block_rows: int | None,
) -> Rows:
    """The arrays of a call of `fit`, checked, as one; in blocks where they would not fit into memory.

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
        weight = _row_weights(sample_weight, "sample_weight", count)
    weighs = weight is not None
    watched = None if validation_data is None else _watched(validation_data, validation_steps, (x, y))
    more = 0 if watched is None else len(leaves(watched.y)[0])
    bytes_each = row_bytes(x, y)
    if block_rows is None and (count + more) * bytes_each * devices.start().count > memory.budget():
        block_rows = good_block(bytes_each, 1)
    looked = None if watched is None else watched.weight
    if weight is not None or looked is not None:
        weight = np.concatenate(
            [
                np.ones(rows, np.float32) if part is None else part
                for part, rows in ((weight, count), (looked, more))
            ]
        )
    if watched is not None:
        join = (
            _joined if block_rows else lambda *parts: np.concatenate([narrow(np.asarray(p)) for p in parts])
        )
        x, y = (keras.tree.map_structure(join, *pair) for pair in ((x, watched.x), (y, watched.y)))
    return Rows(
        *_first(x, y, block_rows),
        weight,
        weighs,
        weighs if watched is None else looked is not None,
        count,
        np.arange(count, count + more),
        ranges=Ranges(x, y, int(block_rows)) if block_rows else None,
        look=None if watched is None else watched.look,
    )


def read_dataset(x: Any, validation_data: Any, validation_steps: int | None) -> Rows:  # noqa: ANN401
    """What a call of `fit` gives beside a dataset: rows to watch, perhaps.

    Raises:
        OptionError: The rows to watch are none.
    """
    nothing = np.arange(0)
    if validation_data is None:
        return Rows(None, None, None, False, False, 0, nothing, dataset=x)  # noqa: FBT003 - nothing is weighed
    watched = _watched(validation_data, validation_steps, None)
    count = len(leaves(watched.y)[0])
    ranges = Ranges(watched.x, watched.y, good_block(row_bytes(watched.x, watched.y), 1))
    return Rows(
        *(None, None, watched.weight),
        weighs=False,
        weighs_validation=watched.weight is not None,
        count=0,
        validation=np.arange(count),
        ranges=ranges,
        dataset=x,
        look=watched.look,
    )


def _joined(*parts: Any) -> Joined:  # noqa: ANN401
    return Joined(parts)


def _first(x: Any, y: Any, block_rows: int | None) -> tuple[Any, Any]:  # noqa: ANN401
    """Arrays with an axis of splits before the rows: all rows, or two of them that fix shapes and types."""
    rows = slice(0, 2) if block_rows else slice(None)
    return tuple(
        keras.tree.map_structure(lambda a: narrow(np.asarray(a[rows]))[None], part) for part in (x, y)
    )


def _array(values: Any, what: str) -> Any:  # noqa: ANN401
    """One array as it is: in memory, or in a file of which slices are read."""
    try:
        array = values if is_sliced(values) else np.asarray(_plain(values))
    except ValueError:  # rows of unequal length
        array = np.empty(0, object)
    if np.dtype(array.dtype).kind not in "biuf" or len(array.shape) == 0:
        raise OptionError(
            f"Expected {what} to be an array of numbers with a row axis, or a dict or list of such arrays, got "
            f"{_kind(values)}. Turn text into numbers first."
        )
    return array


def _kind(values: Any) -> str:  # noqa: ANN401
    return f"{type(values).__name__} of {values.dtype}" if hasattr(values, "dtype") else type(values).__name__


def _row_weights(values: Any, what: str, count: int) -> np.ndarray:  # noqa: ANN401
    """Weights (row,), which may come as a column."""
    weight = np.asarray(_array(values, what), np.float32)
    _length(weight, what, count)
    if weight.size != count:
        raise OptionError(
            f"Expected {what} to be one number per row, got an array of shape {weight.shape}. Give one dimension."
        )
    return weight.reshape(count)


def _plain(values: Any) -> Any:  # noqa: ANN401
    return values.to_numpy() if hasattr(values, "to_numpy") else values


def _arrays(values: Any, what: str) -> Any:  # noqa: ANN401
    if isinstance(values, dict):
        return {name: _array(part, f"{what}[{name!r}]") for name, part in values.items()}
    if isinstance(values, (list, tuple)) and any(
        np.ndim(part) > 0 and hasattr(part, "shape") for part in values
    ):
        return [_array(part, f"{what}[{i}]") for i, part in enumerate(values)]
    return _array(values, what)


def _length(values: Any, what: str, count: int | None = None) -> int:  # noqa: ANN401
    lengths = {len(part) for part in leaves(values)} | ({count} if count is not None else set())
    if not lengths:
        raise OptionError(f"Expected {what} to hold arrays, got none. Give at least one.")
    if len(lengths) != 1 or lengths == {0}:
        raise OptionError(
            f"Expected {what} to have as many rows as the other arrays, and at least one, got "
            f"{', '.join(str(n) for n in sorted(lengths))}. Give arrays of one length."
        )
    return lengths.pop()


def _watched(given: Any, steps: int | None, like: tuple[Any, Any] | None) -> _Watched:  # noqa: ANN401
    """The rows of `validation_data`, which must look like those that are trained on."""
    if is_dataset(given):
        return _watched_dataset(given, steps)
    if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
        raise OptionError(
            f"Expected validation_data to be (x, y), (x, y, sample_weight) or a dataset, got {type(given).__name__}. "
            f"Pass a tuple of arrays."
        )
    more_x, more_y = _arrays(given[0], "validation x"), _arrays(given[1], "validation y")
    if like is not None:
        _check_alike(like, (more_x, more_y))
    more = _length(more_y, "validation y", _length(more_x, "validation x"))
    if len(given) == 2 or given[2] is None:
        return _Watched(more_x, more_y, None)
    return _Watched(more_x, more_y, _row_weights(given[2], "the weights of validation_data", more))


def _check_alike(ours: tuple[Any, Any], theirs: tuple[Any, Any]) -> None:
    try:
        keras.tree.assert_same_structure(ours, theirs)
    except (ValueError, TypeError):
        raise OptionError(
            "Expected validation_data to have the same inputs and outputs as x and y, got others. Give it the "
            "same names or the same number of arrays."
        ) from None
    for one, other in zip(leaves(ours), leaves(theirs), strict=True):
        if one.shape[1:] != other.shape[1:]:
            raise OptionError(
                f"Expected rows of validation_data to have the shape of those trained on, {one.shape[1:]}, got "
                f"{other.shape[1:]}. Prepare both in the same way."
            )


def _watched_dataset(given: Any, steps: int | None) -> _Watched:  # noqa: ANN401
    """All that a dataset gives, read once."""
    if isinstance(given, Iterator):
        raise OptionError(
            f"Expected validation_data that can be read again after each epoch, got a {type(given).__name__}. Pass "
            f"arrays, a keras.utils.PyDataset or a tf.data.Dataset."
        )
    batches = Batches(given, steps, shuffle=False, class_weight=None)
    if batches.steps is None:
        raise OptionError(
            f"Expected validation_data of known length, got a {type(given).__name__} without one. Give "
            f"validation_steps."
        )
    read = list(batches.single())
    sizes = [len(leaves(batch)[0]) for batch in read]
    if any(size != batches.batch_size for size in sizes[:-1]):
        raise OptionError(
            f"Expected batches of validation_data to have {batches.batch_size} rows, but for the last, got "
            f"{sizes}. Make them equal."
        )
    x, y, *weight = keras.tree.map_structure(lambda *parts: np.concatenate(parts), *read)
    return _Watched(x, y, weight[0] if weight else None, batches.batch_size)


def labels(rows: Rows) -> np.ndarray | None:
    """One whole number per row, where the first output has that."""
    if rows.dataset is not None:
        return None
    target = (
        leaves(rows.y)[0][0] if rows.ranges is None else np.asarray(leaves(rows.ranges.y)[0][: rows.count])
    )
    found = target[: rows.count].reshape(-1)
    return found if len(found) == rows.count and (found == np.rint(found)).all() else None


def class_weights(rows: Rows, class_weight: Mapping[int, float]) -> np.ndarray:
    """Weights of rows by their class, as Keras gives them: 1 for a class without."""
    target = (
        [part[0] for part in leaves(rows.y)]
        if rows.ranges is None
        else [np.asarray(part[:]) for part in leaves(rows.ranges.y)]
    )
    if len(target) != 1:
        raise OptionError("Expected one output with class_weight, got several. Use sample_weight instead.")
    weight = weights_by_class(np.asarray(target[0]), class_weight)
    if rows.weight is not None:  # weights of the rows to watch
        weight[rows.validation] = rows.weight[rows.validation]
    return weight
