"""How long an epoch takes once a training is under way, compilation not counted."""

import math
import time

from caviar.population.job import Monitor


class Timed(Monitor):
    """Tells another monitor what it is told, and times the gradient steps after the first ones.

    Args:
        inner: Who is told.
    """

    def __init__(self, inner: Monitor | None = None) -> None:
        self._inner = inner or Monitor()
        self._told = self._first = 0
        self._since = self._until = 0.0
        self._steps = 0

    def begin(self, steps: int) -> None:
        """Training starts."""
        self._steps = steps
        self._inner.begin(steps)

    def advance(self, steps: int) -> None:
        """So many more gradient steps were done."""
        now = time.monotonic()
        self._told += steps
        if not self._first:
            self._first, self._since = self._told, now
        self._until = now
        self._inner.advance(steps)

    def restore(self, steps: int) -> None:
        """So many were done before."""
        self._inner.restore(steps)

    def end(self) -> None:
        """Training is over."""
        self._inner.end()

    def seconds(self, epochs: int) -> float:
        """Seconds an epoch took; NaN where all of them were done at one go.

        Args:
            epochs: How many it was to train at most.
        """
        timed = self._told - self._first
        if timed <= 0 or not self._steps:
            return math.nan
        return (self._until - self._since) * self._steps / timed / epochs
