"""Which blocks of rows do members go through, in which order, and where may they rest?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import keras
import numpy as np

from caviar.population import program
from caviar.population.chunk import filled
from caviar.population.job import Job, Seat
from caviar.population.probed import sample_of
from caviar.population.source import Batches, Ranges, Stack, leaves


@dataclass(frozen=True)
class Ways:
    """How members go through the blocks of rows: all but the last block, the last one, and those only looked at."""

    inner: program.Pass | None
    last: program.Pass | None
    watch: program.Pass | None
    scored: program.Pass | None


def ways_of(job: Job, members: Sequence[int]) -> Ways:
    """The ways of some members through the blocks of a job; None where there is nothing to go through."""
    seats = [job.seats[member] for member in members]
    if job.ranges is None:
        return Ways(None, None, None, None)
    fit = _counts(job.ranges, [seat.fit for seat in seats])
    look = job.validation_batch_size or job.batch_size
    watched = _counts(job.ranges, [seat.watch for seat in seats])
    scored = _counts(job.ranges, [seat.scored for seat in seats])
    trains = [counts for counts in fit if counts.any()]
    return Ways(
        _way(np.concatenate(trains[:-1]), job.batch_size) if len(trains) > 1 else None,
        _way(trains[-1], job.batch_size) if trains else None,
        _way(watched.ravel(), look) if watched.any() else None,
        _way(scored.ravel(), look) if scored.any() and (job.show or job.score) else None,
    )


def _counts(ranges: Ranges, lists: Sequence[np.ndarray]) -> np.ndarray:
    """How many rows of each sorted list fall into each block (block, list)."""
    ends = [*ranges.starts, ranges.count]
    same: dict[int, np.ndarray] = {}
    for rows in lists:
        if id(rows) not in same:
            same[id(rows)] = np.diff(np.searchsorted(rows, ends))
    return np.array([same[id(rows)] for rows in lists]).T


def _way(counts: np.ndarray, batch: int) -> program.Pass:
    """The way through lists of so many rows in batches of one size, however few rows there are."""
    way = program.make_pass(counts.tolist(), batch)
    if way.batch == batch:
        return way
    return program.Pass(batch, 0, 1, bool(counts.min() > 0), way.tails)


def passes_of(job: Job, ways: Ways) -> program.Passes:
    """What must be known of the ways to trace the steps."""
    fits = [way for way in (ways.inner, ways.last) if way is not None]
    size = job.source.batch_size if job.source is not None else job.batch_size
    short = any(way.needs_short for way in fits)
    fit = program.Pass(size, 1, int(short), even=not short, tails=())
    return program.Passes(
        *(fit, ways.watch, ways.scored, job.show, job.weighs_watched, job.weighs_scored),
        probed=sample_of(job),
    )


@dataclass(frozen=True)
class Piece:
    """Batches of a block that members go through in one call of their program; between two calls they may rest.

    Attributes:
        block: Which block.
        first: The first of the batches, counted within the block.
        way: How members go through them.
        steps: Steps of all members together.
    """

    block: int
    first: int
    way: program.Pass
    steps: int


def cut(way: program.Pass, most: int) -> list[tuple[int, program.Pass]]:
    """A way in parts of at most so many batches, each with the number of its first batch.

    >>> for first, part in cut(program.make_pass([70, 64], 16), 3):
    ...     print(first, part)
    0 Pass(batch=16, full=3, rest=0, even=True, tails=())
    3 Pass(batch=16, full=1, rest=1, even=False, tails=(0, 6))
    """
    total = way.full + way.rest
    parts = []
    for first in range(0, total, most):
        batches = min(most, total - first)
        full = int(np.clip(way.full - first, 0, batches))
        rest = batches - full
        part = program.Pass(way.batch, full, rest, way.even or not rest, way.tails if rest else ())
        parts.append((first, part))
    return parts


class Blocks:
    """The blocks that hold the rows of some members, and each member's rows in them.

    Args:
        job: Whose rows they are.
        seats: The members.
        lists: Sorted row numbers of each.
        ways: How they go through all blocks but the last, and through that.
        most: Batches of a piece at most.
        shuffle: Whether blocks come in a new order in each epoch, and rows in them, likewise.
        members: How many of the seats are counted in steps: the first ones.
    """

    def __init__(
        self,
        job: Job,
        seats: Sequence[Seat],
        lists: Sequence[np.ndarray],
        ways: tuple[program.Pass | None, program.Pass | None],
        most: int,
        *,
        shuffle: bool,
        members: int,
    ) -> None:
        assert job.ranges is not None
        self._job, self._ranges, self._seats, self._lists = job, job.ranges, seats, lists
        self._held, self._shuffle = _counts(job.ranges, lists), shuffle
        self._used = [i for i, counts in enumerate(self._held) if counts.any()]
        self._pieces = {
            i: self._cut(i, ways[1] if i == self._used[-1] else ways[0], most, members) for i in self._used
        }

    def _cut(self, block: int, way: program.Pass | None, most: int, members: int) -> list[Piece]:
        assert way is not None
        batches = -(-self._held[block, :members] // way.batch)
        return [
            Piece(block, first, part, int(np.clip(batches - first, 0, part.full + part.rest).sum()))
            for first, part in cut(way, most)
        ]

    def plan(self, epoch: int) -> list[Piece]:
        """The pieces of an epoch in their order, the same for all members: they share what is on the devices."""
        return [piece for block in self._order(epoch) for piece in self._pieces[block]]

    def read(
        self, pieces: Sequence[Piece], here: np.ndarray, epoch: int
    ) -> Iterator[tuple[program.Data, list[tuple[Piece, np.ndarray, np.ndarray]]]]:
        """Block by block the rows that all share, and by piece those of some members and how many are real.

        Args:
            pieces: The last ones of an epoch's plan.
            here: Places of the members.
            epoch: Its number.
        """
        for block, several in groupby(pieces, key=lambda piece: piece.block):
            some = list(several)
            width = max((piece.first + piece.way.full + piece.way.rest) * piece.way.batch for piece in some)
            rows, counts = filled(self._rows(block, here, epoch), width), self._held[block, here]
            yield (
                self._data(block),
                [
                    (
                        piece,
                        rows[:, piece.first * piece.way.batch :][:, : piece.way.width],
                        (counts - piece.first * piece.way.batch).astype(np.int32),
                    )
                    for piece in some
                ],
            )

    def beginning(self, here: np.ndarray, epoch: int, need: int) -> tuple[program.Data, np.ndarray]:
        """The rows with which an epoch begins: data that hold so many of each member, and where (member, row)."""
        found: list[list[np.ndarray]] = [[] for _ in here]
        parts: list[tuple[Any, Any, np.ndarray | None]] = []
        have, held = np.zeros(len(here), int), 0
        for block in self._order(epoch):
            taken = [
                rows[: need - had]
                for rows, had in zip(self._rows(block, here, epoch), have.tolist(), strict=True)
            ]
            union = np.unique(np.concatenate(taken))
            for own, rows in zip(found, taken, strict=True):
                own.append(held + np.searchsorted(union, rows))
            have, held = have + [len(rows) for rows in taken], held + len(union)
            if len(union):
                parts.append(self._some(block, union))
            if (have >= need).all():
                break
        width = min(self._ranges.rows, len(self._seats) * need)  # filled up to few sizes, each compiled once
        return _joined(parts, -held % width), np.array([np.concatenate(own) for own in found], np.int32)

    def _order(self, epoch: int) -> list[int]:
        if not self._shuffle:
            return self._used
        rng = np.random.default_rng([self._job.seats[0].seed, epoch])
        return [self._used[i] for i in rng.permutation(len(self._used))]

    def _rows(self, block: int, here: np.ndarray, epoch: int) -> list[np.ndarray]:
        """Rows of each member in a block, counted from the block's first, in the order of the epoch."""
        start = self._ranges.starts[block]
        lists = [_inside(self._lists[i], start, self._ranges.rows) for i in here]
        if not self._shuffle:
            return lists
        return [
            np.random.default_rng([self._seats[i].seed, epoch, block]).permutation(rows)
            for i, rows in zip(here, lists, strict=True)
        ]

    def _data(self, block: int) -> program.Data:
        """A block as data that all members share."""
        start, job = self._ranges.starts[block], self._job
        x, y = (keras.tree.map_structure(lambda a: a[None], part) for part in self._ranges.block(start))
        weight = None if job.weight is None else job.weight[:, start : start + self._ranges.rows]
        return program.Data(x, y, weight)

    def _some(self, block: int, rows: np.ndarray) -> tuple[Any, Any, np.ndarray | None]:
        start, job = self._ranges.starts[block], self._job
        x, y = (keras.tree.map_structure(lambda a: a[rows], part) for part in self._ranges.block(start))
        return x, y, None if job.weight is None else job.weight[:, start + rows]


def _joined(parts: Sequence[tuple[Any, Any, np.ndarray | None]], more: int) -> program.Data:
    """Rows after one another as data that all members share, filled up by so many more that nobody looks at."""

    def join(*arrays: np.ndarray) -> np.ndarray:
        return np.concatenate([*arrays, np.zeros((more, *arrays[0].shape[1:]), arrays[0].dtype)])[None]

    x, y = (
        keras.tree.map_structure(join, *group) for group in zip(*((x, y) for x, y, _ in parts), strict=True)
    )
    weights = [weight for _, _, weight in parts if weight is not None]
    if not weights:
        return program.Data(x, y, None)
    return program.Data(x, y, np.pad(np.concatenate(weights, axis=1), ((0, 0), (0, more))))


def _inside(rows: np.ndarray, start: int, length: int) -> np.ndarray:
    """Which rows of a block are in a sorted list, counted from the block's first."""
    first, end = np.searchsorted(rows, (start, start + length))
    return rows[first:end] - start


def spans(source: Batches, most: int, done: int) -> Iterator[tuple[Stack, list[tuple[int, int]]]]:
    """The stacks of the next epoch of a dataset, each in spans of at most so many batches.

    Args:
        source: The dataset.
        most: Batches of a span.
        done: Spans to pass over, which are read all the same: only so does a dataset go on where it was.
    """
    for stack in source.epoch():
        ends = range(0, max(1, stack.count), most)  # a short batch alone is a span of no full ones
        some = [(first, min(first + most, stack.count)) for first in ends]
        passed = min(done, len(some))
        done -= passed
        if some[passed:]:
            yield stack, some[passed:]


def first_rows(stack: Stack, need: int) -> tuple[Any, ...] | None:
    """The first rows of a stack of batches as one batch; None if full batches hold fewer.

    >>> batches = (np.arange(6).reshape(2, 3, 1), np.arange(6).reshape(2, 3, 1))
    >>> first_rows(Stack(batches, 2, None), 4)[0].ravel()
    array([0, 1, 2, 3])
    """
    if stack.count * leaves(stack.batches)[0].shape[1] < need:
        return None
    several: tuple[Any, ...] = keras.tree.map_structure(
        lambda a: a[: stack.count].reshape(-1, *a.shape[2:])[:need], stack.batches
    )
    return several
