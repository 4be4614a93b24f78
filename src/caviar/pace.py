"""Keeps a training within its time: moves the bar, and gives up early on what would take too long."""

import time
from contextlib import ExitStack

from caviar.population.job import Enough, Monitor
from caviar.progress import Clock, OutOfTime, Voice


class TooSlow(Exception):  # noqa: N818 - an outcome, not an error
    """A training would take so many seconds, compilation not counted, which is more than it may."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Pace(Monitor):
    """Told how a training gets on.

    Args:
        voice: Shows the bar.
        clock: The whole budget.
        title: What trains.
        allowed: Seconds that it may take, compilation not counted: as soon as its pace shows that it would take
            longer, it is given up with `TooSlow`.
        reserve: Seconds of the budget that are kept for what comes after it.
        enough: Share of its steps after which it may end early when only the reserve is left; without it, it
            is given up with `OutOfTime`.
    """

    def __init__(
        self,
        voice: Voice,
        clock: Clock,
        title: str,
        *,
        allowed: float = float("inf"),
        reserve: float = 0.0,
        enough: float | None = None,
    ) -> None:
        self._voice, self._clock, self._title = voice, clock, title
        self._allowed, self._reserve, self._enough = allowed, reserve, enough
        self._stack = ExitStack()

    def begin(self, steps: int) -> None:
        """Show a bar."""
        self._steps, self._done = steps, 0
        self._first = 0
        self._began = time.monotonic()
        self._stack.enter_context(self._voice.bar(self._title, steps))

    def advance(self, steps: int) -> None:
        """Move the bar, and find out whether to go on."""
        self._voice.advance(steps)
        self._done += steps
        try:
            self._clock.check(self._reserve)
        except OutOfTime:
            if self._enough is None:
                raise
            if self._done >= self._enough * self._steps:
                raise Enough from None
        now = time.monotonic()
        if not self._first:  # the first block's time is mostly compilation
            self._first, self._since = self._done, now
            return
        if self._done <= self._first:
            return
        expected = self._steps * (now - self._since) / (self._done - self._first)
        # Starting again compiles again: what would be over by then goes on.
        if expected > max(self._allowed, self._since - self._began):
            raise TooSlow(expected)

    def restore(self, steps: int) -> None:
        """Move the bar: what is done already costs no time and is not given up."""
        self._voice.advance(steps)
        self._done += steps

    def end(self) -> None:
        """Take the bar away."""
        self._stack.close()
