"""Trains as many repeats as the time given allows; all folds of each, so that what is measured stays the same."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from caviar.errors import OptionError
from caviar.evaluate.wording import in_minutes
from caviar.measuring.measure import Bench
from caviar.pace import Pace, TooSlow
from caviar.population.job import Monitor
from caviar.progress import Clock, OutOfTime, Voice

# Fewer members take less than proportionally less time, and what is known of the pace is an estimate.
_SPARE = 1.3

Measured = TypeVar("Measured")


class _Share(Pace):
    """Each of several populations may take the part of the time left that its steps are of those left.

    Args:
        voice: Shows the bar.
        clock: The time given.
        title: What trains.
        steps: Gradient steps of all populations.
        may_stop: Whether to give up what would take longer.
    """

    def __init__(self, voice: Voice, clock: Clock, title: str, steps: int, *, may_stop: bool) -> None:
        super().__init__(voice, clock, title)
        self._all = self._ahead = steps
        self._may_stop = may_stop
        self._starting = 0.0

    def begin(self, steps: int) -> None:
        """Find out how long this population may take, and show a bar."""
        if self._may_stop:
            self._allowed = self._clock.left() * steps / max(steps, self._ahead)
        self._ahead -= steps
        super().begin(steps)

    def advance(self, steps: int) -> None:
        """Move the bar; what compiling took is taken off what the population may take."""
        is_first = not self._first
        super().advance(steps)
        if is_first:
            self._starting = self._since - self._began
            self._allowed -= self._starting

    def minutes_needed(self) -> int | None:
        """Whole minutes that the command would have taken, at the pace seen; None where none was seen."""
        if not self._starting or self._done <= self._first:
            return None
        ahead = self._ahead + self._steps - self._done
        each = (time.monotonic() - self._since) / (self._done - self._first)
        return math.ceil((self._clock.spent() + _SPARE * ahead * each) / 60)

    def affordable(self, seconds: float) -> float:
        """Share of all steps that the time left allows, if this population took so many seconds."""
        whole = _SPARE * seconds * self._all / self._steps
        return max(0.0, self._clock.left() - _SPARE * self._starting) / whole


def measure_within(
    bench: Bench,
    measure: Callable[[Bench, Monitor], Measured],
    steps: Callable[[Bench], int],
    *,
    voice: Voice,
    clock: Clock,
    title: str,
    least: int | None,
) -> tuple[Bench, Measured]:
    """Measure on a bench, or on its first repeats where the time given does not suffice for all.

    Args:
        bench: Rows and splits of all repeats.
        measure: Trains on a bench, and tells the monitor of it.
        steps: Gradient steps that this takes.
        voice: Says what happens.
        clock: The time given.
        title: What trains, for the bar.
        least: Fewest repeats to fall back to; None where their number is not to be changed.

    Returns:
        The bench that was measured on, and what measuring gave.

    Raises:
        OptionError: Not even those can be trained in the time given.
    """
    while True:
        repeats = bench.shape[0]
        may_stop = least is not None and repeats > least and clock.minutes is not None
        share = _Share(voice, clock, title, steps(bench), may_stop=may_stop)
        try:
            return bench, measure(bench, share)
        except TooSlow as slow:
            assert least is not None
            assert clock.minutes is not None
            fewer = max(least, min(repeats - 1, int(repeats * share.affordable(slow.seconds))))
            voice.note(
                f"{fewer} repeat{'s' * (fewer > 1)} instead of {repeats}, because those would have taken longer than "
                f"the {in_minutes(clock.minutes)} given."
            )
            # What is in a hurry does not try other ways of spreading members: that takes compiling each of them.
            bench = replace(first_repeats(bench, fewer), spread="vmap")
        except OutOfTime:
            assert clock.minutes is not None
            enough = share.minutes_needed()
            more = "" if enough is None else f" (about {enough} would do)"
            raise OptionError(
                f"Expected the time given to suffice for {repeats} × {bench.shape[1]} folds, but "
                f"{in_minutes(clock.minutes)} did not. Give more minutes{more}, or fewer epochs or repeats."
            ) from None


def first_repeats(bench: Bench, repeats: int) -> Bench:
    """The same bench with fewer repeats."""
    return replace(bench, splits=[split for split in bench.splits if split.repeat < repeats])
