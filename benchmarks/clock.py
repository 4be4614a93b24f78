"""How long does a gradient step of one member take in steady state? A monitor that notes when blocks of epochs end."""

import time

from caviar.population.job import Monitor


class Clock(Monitor):
    """Notes when each block of epochs ended, and how many steps it had.

    >>> clock = Clock()
    >>> clock.advance(100), clock.advance(50)
    (None, None)
    >>> clock.microseconds() > 0
    True
    """

    def __init__(self) -> None:
        self._ended: list[float] = []
        self._steps: list[int] = []

    def advance(self, steps: int) -> None:
        """A block of so many steps, of all members together, ended."""
        self._ended.append(time.perf_counter())
        self._steps.append(steps)

    def microseconds(self) -> float:
        """Per step of a member, from the end of the first block, which compiles."""
        return 1e6 * (self._ended[-1] - self._ended[0]) / sum(self._steps[1:])
