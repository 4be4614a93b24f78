"""In which order members take their rows, epoch by epoch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from caviar.population.job import Job, Seat

_ORDER_BYTES = 16 * 2**20
_MAX_BLOCK = 100
_MAX_PIECE = 32


@dataclass(frozen=True)
class Epochs:
    """Row orders of some epochs (member, block, row), filled up to one width, and how many rows are real."""

    orders: np.ndarray
    counts: np.ndarray

    def of(self, members: np.ndarray) -> "Epochs":
        """Those of some members."""
        return Epochs(self.orders[members], self.counts[members])

    def between(self, begin: int, length: int) -> "Epochs":
        """So many epochs from one on; those that are missing at the end are filled up, and mean nothing."""
        end = begin + length
        missing = (0, max(0, end - self.orders.shape[1]))
        return Epochs(
            np.pad(self.orders[:, begin:end], ((0, 0), missing, (0, 0))),
            np.pad(self.counts[:, begin:end], ((0, 0), missing)),
        )


def pieces(members: int, rows: int) -> int:
    """Epochs that a program takes at once, whatever their number in the end: it is compiled for so many.

    >>> pieces(32, 100), pieces(32, 10**6)
    (32, 1)
    """
    return int(np.clip(_ORDER_BYTES // (4 * members * max(1, rows)), 1, _MAX_PIECE))


class Orders:
    """Draws the row orders of the next epochs.

    Attributes:
        block: Epochs that may be drawn at a time.
    """

    def __init__(self, job: Job, seats: Sequence[Seat], width: int, epochs: int) -> None:
        room = _ORDER_BYTES // max(1, 4 * len(seats) * width)
        self.block = int(np.clip(room, 1, min(epochs, _MAX_BLOCK)))
        self._seats, self._width = list(seats), width
        keys = {(seat.seed, len(seat.fit)) for seat in seats}
        self._next = {
            (seed, rows): row_orders(seed, rows, job.parts(rows), shuffle=job.shuffle) for seed, rows in keys
        }
        self._group()

    def _group(self) -> None:
        # Members with equal seeds and equally many rows take them in the same order: one is drawn for all.
        self._alike: dict[tuple[int, int], list[int]] = {}
        for i, seat in enumerate(self._seats):
            self._alike.setdefault((seat.seed, len(seat.fit)), []).append(i)

    def skip(self, epochs: int) -> None:
        """Leave out the orders of epochs that are done."""
        for orders in self._next.values():
            for _ in range(epochs):
                next(orders)

    def narrow(self, members: np.ndarray) -> None:
        """Go on with some of the members."""
        self._seats = [self._seats[i] for i in members]
        self._group()

    def draw(self, epochs: int) -> Epochs:
        """The next `epochs` orders of every member."""
        drawn = np.zeros((len(self._seats), epochs, self._width), np.int32)
        counts = np.zeros((len(self._seats), epochs), np.int32)
        for key, alike in self._alike.items():
            for epoch in range(epochs):
                order = next(self._next[key])
                count = len(order)
                for i in alike:
                    rows = self._seats[i].fit
                    counts[i, epoch] = count
                    drawn[i, epoch, :count] = rows[order]
                    if count < self._width:
                        drawn[i, epoch, count:] = rows[0]
        return Epochs(drawn, counts)


def row_orders(seed: int, rows: int, parts: Sequence[int], *, shuffle: bool = True) -> Iterator[np.ndarray]:
    """The row orders of the epochs that `fit` trains after `set_random_seed(seed)`.

    Keras draws one permutation per pass through the rows from NumPy's global state, after one that only fixes
    shapes.

    Args:
        seed: The member's.
        rows: How many rows it trains on.
        parts: How many of them the epochs of one pass take.
        shuffle: Whether each pass takes them in a new order.
    """
    draw = np.random.RandomState(seed).permutation if shuffle else np.arange
    if shuffle:
        draw(rows)
    ends = np.cumsum(parts).tolist()
    pieces = [slice(end - part, end) for part, end in zip(parts, ends, strict=True)]
    while True:
        order = draw(rows)
        if len(pieces) == 1:  # slicing costs more than drawing, for a few rows
            yield order
        else:
            yield from (order[piece] for piece in pieces)
