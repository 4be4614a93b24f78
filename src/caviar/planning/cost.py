"""What do so many updates take at a measured speed, in time here and in money on a rented machine?"""

import statistics
from dataclasses import dataclass

_HOUR = 3600


@dataclass(frozen=True)
class Speed:
    """How long a training takes to begin, and then for an update.

    Attributes:
        beginning: Seconds until the first update: building and compiling. Of `fit`, for each training; of a
            population, for its program.
        pieces: Seconds per update of one member, one for each stretch that was watched.
        members: Members that trained together.
    """

    beginning: float
    pieces: tuple[float, ...]
    members: int = 1

    @property
    def update(self) -> float:
        """Seconds per update of one member: the median of the stretches."""
        return statistics.median(self.pieces)

    def seconds(self, updates: int, beginnings: int = 1) -> tuple[float, float, float]:
        """Seconds for so many updates: by the median, the fastest and the slowest stretch.

        >>> Speed(1.0, (0.001, 0.002, 0.004)).seconds(1000, 2)
        (4.0, 3.0, 6.0)
        """
        began = beginnings * self.beginning
        each = (self.update, min(self.pieces), max(self.pieces))
        median, low, high = (began + updates * one for one in each)
        return median, low, high


@dataclass(frozen=True)
class Cost:
    """What all trainings together take, one way or the other.

    Attributes:
        speed: What was measured.
        seconds: On this machine: by the median, the fastest and the slowest stretch that was measured.
        dollars: The same on the rented one.
    """

    speed: Speed
    seconds: tuple[float, float, float]
    dollars: tuple[float, float, float]


def cost_of(speed: Speed, updates: int, beginnings: int, *, dollars_per_hour: float, speedup: float) -> Cost:
    """What so many updates cost.

    Args:
        speed: What was measured here.
        updates: Updates of all trainings together.
        beginnings: How often something is built and compiled.
        dollars_per_hour: Price of the rented machine.
        speedup: How many times as fast as this one it is.

    >>> cost_of(Speed(0.0, (0.001,)), 3_600_000, 1, dollars_per_hour=3.0, speedup=2.0).dollars
    (1.5, 1.5, 1.5)
    """
    seconds = speed.seconds(updates, beginnings)
    median, low, high = (one / speedup / _HOUR * dollars_per_hour for one in seconds)
    return Cost(speed, seconds, (median, low, high))
