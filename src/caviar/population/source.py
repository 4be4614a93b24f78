"""Rows that come bit by bit: from a file or array too large for the devices, or as batches from a dataset."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax
import keras
import numpy as np
from keras.src.trainers.epoch_iterator import EpochIterator  # the gate to Keras' internals

from caviar.errors import DataError, OptionError

# Blocks of this size keep the devices busy for longer than it takes to read the next one.
_BLOCK_BYTES = 32 * 2**20
_MOST_BATCHES = 256


@dataclass(frozen=True)
class Ranges:
    """Rows of arrays, of which a block at a time is on the devices.

    Attributes:
        x: Inputs (row, …), or a dict or list of them: anything with a length, a shape, a type and slices, such as
            an array in memory, a memory-mapped file, or `caviar.parquet`.
        y: Targets, likewise.
        rows: Rows of a block.
    """

    x: Any
    y: Any
    rows: int

    @property
    def count(self) -> int:
        """Rows in all."""
        return len(leaves(self.y)[0])

    @property
    def starts(self) -> range:
        """The first row of each block."""
        return range(0, self.count, self.rows)

    def block(self, start: int) -> tuple[Any, Any]:
        """Inputs and targets of one block, in memory, with numbers of at most 32 bits."""
        part = slice(start, min(start + self.rows, self.count))
        x, y = (
            keras.tree.map_structure(lambda a: narrow(np.asarray(a[part])), whole)
            for whole in (self.x, self.y)
        )
        return x, y


def is_sliced(values: Any) -> bool:  # noqa: ANN401
    """Whether an array is not in memory, but gives slices of itself."""
    return isinstance(values, (np.memmap, Sliced))


class Sliced:
    """An array that is read slice by slice; what extends this is never read as a whole if that can be helped.

    It has `shape`, `dtype`, a length, and `array[start:stop]`.
    """

    shape: tuple[int, ...]
    dtype: np.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        raise NotImplementedError


def leaves(arrays: Any) -> list[Any]:  # noqa: ANN401 - an array, or a dict or list of them
    """The arrays in a dict or list of them."""
    return list(keras.tree.flatten(arrays))


def narrow(array: np.ndarray) -> np.ndarray:
    """Numbers as `fit` takes them: with a fraction as float32, whole numbers as int32."""
    kinds = {"f": np.float32, "i": np.int32, "u": np.int32}
    return array.astype(kinds.get(array.dtype.kind, array.dtype), copy=False)


def row_bytes(*arrays: Any) -> int:  # noqa: ANN401
    """Bytes of one row on a device."""
    return sum(
        int(np.prod(a.shape[1:], initial=1)) * min(4, np.dtype(a.dtype).itemsize) for a in leaves(arrays)
    )


def good_block(bytes_each: int, batch_size: int) -> int:
    """Rows of a block of a few dozen MiB: whole batches.

    >>> good_block(80, 1000)
    419000
    """
    return max(1, _BLOCK_BYTES // max(1, bytes_each) // batch_size) * batch_size


@dataclass(frozen=True)
class Stack:
    """Some batches of one size (batch, row, …), and perhaps a shorter one after them."""

    batches: Any
    count: int
    tail: Any | None


class Batches:
    """Batches as a dataset gives them, in the order and with the pauses that `fit` would make.

    Args:
        dataset: What `fit` takes for x and is no array: a `PyDataset`, a `tf.data.Dataset`, a torch `DataLoader`, a
            generator.
        steps_per_epoch: As in `fit`.
        shuffle: As in `fit`: whether the batches of a `PyDataset` come in a new order in each epoch.
        class_weight: As in `fit`.

    Raises:
        DataError: It gives no batches of inputs and targets.
    """

    def __init__(
        self,
        dataset: Any,  # noqa: ANN401
        steps_per_epoch: int | None,
        *,
        shuffle: bool,
        class_weight: Mapping[int, float] | None,
    ) -> None:
        self._can_restart, self._begun = not isinstance(dataset, Iterator), False
        self._random = random.Random(0).getstate()  # noqa: S311 - orders of batches
        try:
            self._iterator = EpochIterator(
                dataset,
                steps_per_epoch=steps_per_epoch,
                shuffle=shuffle and isinstance(dataset, keras.utils.PyDataset),  # others decide by themselves
                class_weight=class_weight,
            )
            self.first = _full(next(self._raw()))
        except (ValueError, TypeError, StopIteration) as error:
            raise DataError(
                f"Expected x to be arrays, or something that `fit` takes and that gives batches of inputs and "
                f"targets, got {type(dataset).__name__}: {error or 'it gives no batch'}. Try `fit` with it first."
            ) from error
        self.batch_size = len(leaves(self.first)[0])
        bytes_each = sum(leaf.nbytes for leaf in leaves(self.first))
        self._most = int(np.clip(_BLOCK_BYTES // max(1, bytes_each), 1, _MOST_BATCHES))

    @property
    def steps(self) -> int | None:
        """Batches of an epoch, if that is known."""
        return self._iterator.num_batches

    def begin(self) -> None:
        """Begin with the first epoch.

        Raises:
            OptionError: Somebody did before, and what gives the batches cannot be read twice.
        """
        if self._begun and not self._can_restart:
            raise OptionError(
                "Expected x to be something that can be read again, because members do not all train at the same "
                "time, got an iterator. Pass a keras.utils.PyDataset, a tf.data.Dataset or arrays."
            )
        self._iterator.reset()  # as `fit` does after a first look
        self._random = random.Random(0).getstate()  # noqa: S311
        self._begun = True

    def epoch(self) -> Iterator[Stack]:
        """The batches of the next epoch, several at a time."""
        waiting: list[Any] = []
        for raw in self._raw():
            batch = _full(raw)
            if len(leaves(batch)[0]) != self.batch_size:
                yield self._stack(waiting, batch)
                waiting = []
            else:
                waiting.append(batch)
                if len(waiting) == self._most:
                    yield self._stack(waiting, None)
                    waiting = []
        if waiting:
            yield self._stack(waiting, None)

    def single(self) -> Iterator[tuple[Any, ...]]:
        """The batches of one epoch, one by one."""
        self.begin()
        yield from map(_full, self._raw())

    def _raw(self) -> Iterator[Any]:
        outer = random.getstate()
        random.setstate(self._random)  # a `PyDataset` is shuffled by Python's own generator, when it begins
        with self._iterator.catch_stop_iteration():
            try:
                buffer = next(iter(self._iterator))[2]
            finally:
                self._random = random.getstate()
                random.setstate(outer)
            yield from buffer
            for _, _, following in _rest(self._iterator):
                yield from following

    def _stack(self, batches: list[Any], tail: Any | None) -> Stack:  # noqa: ANN401
        """Filled up to one size, so that one compiled program serves all stacks."""
        filled = batches + [self.first] * (self._most - len(batches))
        stacked = keras.tree.map_structure(lambda *parts: np.stack(parts), *filled)
        return Stack(stacked, len(batches), tail)


def _rest(iterator: Any) -> Iterator[Any]:  # noqa: ANN401
    """What is left of an iterator that begins anew when it is iterated over."""
    while True:
        try:
            yield next(iterator)
        except StopIteration:
            return


def _full(batch: Any) -> tuple[Any, ...]:  # noqa: ANN401 - whatever a dataset gives
    """A batch as `train_step` takes it, in memory."""
    if not isinstance(batch, tuple) or len(batch) not in (2, 3):
        raise TypeError("it gives inputs without targets")
    return tuple(
        keras.tree.map_structure(lambda a: narrow(_numbers(a)), part) for part in batch if part is not None
    )


def _numbers(values: Any) -> np.ndarray:  # noqa: ANN401
    array = np.asarray(values)
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        raise TypeError("its batches hold something else than arrays of numbers")
    return array


def ahead(items: Iterator[Any], place: Callable[[Any], Any]) -> Iterator[Any]:
    """Prepare the next item, on a thread of its own, while the present one is worked on."""
    with ThreadPoolExecutor(1) as pool:

        def prepared() -> tuple[Any] | None:
            for item in items:
                return (place(item),)
            return None

        following: Future[tuple[Any] | None] = pool.submit(prepared)
        while (found := following.result()) is not None:
            following = pool.submit(prepared)
            yield found[0]


class Joined(Sliced):
    """Arrays (row, …) after one another, without copying them."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self.parts = parts
        self.shape = (sum(len(part) for part in parts), *parts[0].shape[1:])
        self.dtype = np.dtype(parts[0].dtype)

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(len(self))
        found, first = [], 0
        for part in self.parts:
            a, b = max(start - first, 0), min(stop - first, len(part))
            if a < b:
                found.append(np.asarray(part[a:b]))
            first += len(part)
        return np.concatenate(found) if len(found) > 1 else found[0]


jax.tree_util.register_dataclass(Stack, data_fields=["batches", "count", "tail"], meta_fields=[])
