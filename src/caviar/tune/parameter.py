"""Which answers does one question have, and on which scale do they lie?

A parameter's *axis* runs from 0 to 1: equal lengths of it are drawn equally often. Searches work on axes, so none of
them needs to know scales. The scales are KerasTuner's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from caviar.errors import OptionError
from caviar.recipe.hyperparameters import Question, Sampling

ROUNDING = 1e-9
"""Share of a step by which a bound may miss the grid of steps: 1.0 is ten steps of 0.1, in spite of rounding."""


@dataclass(frozen=True)
class Parameter:
    """One question with its name: draws answers, places them on the axis, and lays grids over them.

    Attributes:
        name: Full name in settings.
        question: What the builder asks.

    >>> rate = Parameter("rate", Question("float", 1e-4, low=1e-4, high=1.0, sampling="log"))
    >>> round(rate.draw(0.5), 6), rate.place(0.01)
    (0.01, 0.5)
    >>> [round(value, 6) for value in rate.grid(3)]
    [0.0001, 0.01, 1.0]
    """

    name: str
    question: Question

    @cached_property
    def points(self) -> Sequence[Any] | None:
        """All answers in the order of the axis; None where there is a continuum of them."""
        asked = self.question
        if asked.kind not in {"int", "float"}:
            return sorted(asked.values) if asked.ordered else asked.values
        assert asked.low is not None
        assert asked.high is not None
        if asked.low == asked.high:
            return (asked.low,)
        if asked.step is None:
            return range(int(asked.low), int(asked.high) + 1) if asked.kind == "int" else None
        if asked.kind == "int" and asked.sampling == "linear":
            return range(int(asked.low), int(asked.high) + 1, int(asked.step))
        return _stepped(asked.low, asked.high, asked.step, asked.sampling)

    @property
    def size(self) -> int | None:
        """How many answers there are; None where there is a continuum of them."""
        return None if self.points is None else len(self.points)

    @property
    def is_searched(self) -> bool:
        """Whether there is more than one answer."""
        return self.size != 1

    @property
    def is_numeric(self) -> bool:
        """Whether neighbours on the axis are alike: numbers, and choices among numbers."""
        return self.question.kind in {"int", "float"} or self.question.ordered

    @property
    def is_even(self) -> bool:
        """Whether all answers have equal shares of the axis; whole numbers on a scale without steps have not."""
        return not (self.question.kind == "int" and self.question.step is None and self.is_searched)

    def draw(self, u: float) -> Any:  # noqa: ANN401
        """The answer at a position of the axis: whole numbers on the linear scale, steps and choices in equal shares.

        Args:
            u: Position from 0 up to 1.

        >>> Parameter("kind", Question("choice", "a", values=("a", "b"))).draw(0.7)
        'b'
        """
        if self.points is None:
            return min(max(self._at(u), self._low), self._high)
        if not self.is_even:  # whole numbers between bounds: the last one ends where the next would begin
            return min(max(int(self._at(u)), self.points[0]), self.points[-1])
        return self.points[min(int(u * len(self.points)), len(self.points) - 1)]

    def share(self, value: Any) -> tuple[float, float]:  # noqa: ANN401
        """From where to where on the axis an answer is drawn; a point where there is a continuum of them.

        >>> Parameter("layers", Question("int", 1, low=1, high=4, step=1)).share(2)
        (0.25, 0.5)

        Raises:
            OptionError: The value is no answer.
        """
        value = self.accept(value)
        if self.points is None:
            at = self._position(value)
            return at, at
        if not self.is_even:
            return self._position(value), self._position(value + 1)
        index = self._nearest(value) if self.is_numeric else self.points.index(value)
        return index / len(self.points), (index + 1) / len(self.points)

    def place(self, value: Any) -> float:  # noqa: ANN401
        """The middle of an answer's share of the axis: what `draw` turns into it again.

        Raises:
            OptionError: The value is no answer.
        """
        start, end = self.share(value)
        return (start + end) / 2

    def grid(self, n: int) -> list[Any]:
        """At most `n` different answers, evenly on the axis with both ends; all of them where there are fewer.

        >>> Parameter("units", Question("int", 8, low=8, high=64, step=8)).grid(3)
        [8, 40, 64]
        """
        if self.points is not None and len(self.points) <= n:
            return list(self.points)
        positions = np.linspace(0.0, 1.0, n) if n > 1 else np.array([0.5])
        if self.points is None or not self.is_even:
            return list(dict.fromkeys(self.draw(float(u)) for u in positions))
        return [self.points[round(u * (len(self.points) - 1))] for u in positions]

    def accept(self, value: Any) -> Any:  # noqa: ANN401
        """The answer that a value means, in the builder's type; a number between the bounds need not lie on the steps.

        >>> Parameter("layers", Question("int", 1, low=1, high=4, step=1)).accept(3.0)
        3

        Raises:
            OptionError: The value is no answer.
        """
        asked = self.question
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if asked.kind not in {"int", "float"}:
            for known in asked.values:
                # True equals 1: what a builder compares by type must not be swapped.
                if value == known and isinstance(value, bool) == isinstance(known, bool):
                    return known
            raise OptionError(
                f"Expected {self.name!r} to be one of {list(asked.values)}, got {value!r}. Choose one of them."
            )
        fits = is_number and self._low <= value <= self._high
        if not fits or (asked.kind == "int" and int(value) != value):
            number = "a whole number" if asked.kind == "int" else "a number"
            raise OptionError(
                f"Expected {self.name!r} to be {number} between {asked.low:g} and {asked.high:g}, got {value!r}. "
                f"Choose one that is."
            )
        return int(value) if asked.kind == "int" else float(value)

    @property
    def _low(self) -> float:
        assert self.question.low is not None
        return self.question.low

    @property
    def _high(self) -> float:
        assert self.question.high is not None
        return self.question.high

    @property
    def _end(self) -> float:
        """Where the axis ends: one further than the last whole number, as it has a share too."""
        return self._high if self.is_even else self._high + 1

    def _at(self, u: float) -> float:
        """The number at a position of the axis."""
        low, high = self._low, self._end
        if self.question.sampling == "linear":
            return low + u * (high - low)
        if self.question.sampling == "log":
            return low * (high / low) ** u
        return high + low - low * (high / low) ** (1 - u)

    def _position(self, number: float) -> float:
        """Where on the axis a number lies: the inverse of `_at`."""
        low, high = self._low, self._end
        if self.question.sampling == "linear":
            return (number - low) / (high - low)
        if self.question.sampling == "log":
            return math.log(number / low) / math.log(high / low)
        return 1 - math.log((high + low - number) / low) / math.log(high / low)

    def _nearest(self, number: float) -> int:
        """Index of the point that is nearest to a number."""
        assert self.points is not None
        if isinstance(self.points, range):
            return min(round((number - self.points.start) / self.points.step), len(self.points) - 1)
        return int(np.argmin([abs(point - number) for point in self.points]))


def _stepped(low: float, high: float, step: float, sampling: Sampling) -> tuple[float, ...]:
    """The numbers that steps from the lower bound reach; whole where bounds and step are."""
    if sampling == "linear":
        count = math.floor((high - low) / step + ROUNDING) + 1
        reached = [low + index * step for index in range(count)]
    else:
        count = math.floor(math.log(high / low) / math.log(step) + ROUNDING) + 1
        reached = [low * step**index for index in range(count)]
    if sampling == "reverse_log":
        reached = [high + low - number for number in reversed(reached)]
    return tuple(min(max(_tidy(number), low), high) for number in reached)


def _tidy(number: float) -> float:
    """The number without what adding steps left in its last digits: 0.3, and not 0.30000000000000004."""
    return number if isinstance(number, int) else float(f"{number:.12g}")
