"""How is what a search asks for trained: all at once, or a part that goes on with what another candidate has?"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from caviar.errors import CaviarError
from caviar.measuring.measure import Arm, Bench, Part, measure_in_turn, try_building
from caviar.pace import Pace, TooSlow
from caviar.population.job import Ended
from caviar.population.template import first_line
from caviar.progress import Clock, OutOfTime, Voice
from caviar.recipe.recipe import Recipe
from caviar.searching.portions import Within

_MOST_BYTES = 2**30
"""States that are kept to go on from; what goes on from others is trained anew, and comes to the same."""
FAILURES = (Exception, SystemExit)
"""Builders, layers, losses, schedules and callbacks are anybody's code."""


@dataclass(frozen=True, eq=False)
class Assignment:
    """What is to be trained for a candidate.

    Attributes:
        recipe: Its settings, and those it had before.
        part: Which epochs; None for all, after which nobody goes on.
        first: The fold that it begins with.
        stop: The fold before which it ends.
        stages: Settings that it trained with before, each up to its epoch.
    """

    recipe: Recipe
    part: Part | None
    first: int
    stop: int
    stages: Sequence[tuple[dict[str, Any], int]] = ()


class States:
    """In what states the candidates of the last generations ended: what others may go on from."""

    def __init__(self) -> None:
        self._of: dict[int, Ended] = {}
        self._depth: dict[int, int] = {}

    def get(self, number: int) -> Ended | None:
        """Those of a candidate's members; None if they are not kept."""
        return self._of.get(number)

    def put(self, number: int, source: int | None, states: Ended | None) -> None:
        """Keep a candidate's, and drop those that nobody can go on from any more."""
        depth = self._depth[number] = 0 if source is None else self._depth.get(source, 0) + 1
        self._of = {one: kept for one, kept in self._of.items() if self._depth[one] >= depth - 1}
        if states is not None and self._bytes(self._of.values()) + self._bytes([states]) <= _MOST_BYTES:
            self._of[number] = states

    @staticmethod
    def _bytes(kept: Iterable[Ended]) -> int:
        return sum(v.nbytes for one in kept for state in one.states for group in state for v in group)


@dataclass(frozen=True, eq=False)
class Trainer:
    """Trains candidates; those that fail do not stop the others.

    Attributes:
        bench: Rows, splits, seeds and scores.
        clock: The time given.
        voice: Shows how far it is.
        over: Told what is over by number, population after population: what was measured, or why it failed.
    """

    bench: Bench
    clock: Clock
    voice: Voice
    over: Callable[[Mapping[int, Arm | str]], None]

    def train(self, asked: Mapping[int, Assignment]) -> None:
        """Measure candidates by number.

        Raises:
            OutOfTime: The time given is used up.
            TooSlow: Those that train together, two or more, would take longer than the time left.
        """
        folds = self.bench.shape[1]
        for first, stop in dict.fromkeys((one.first, one.stop) for one in asked.values()):
            some = {number: one for number, one in asked.items() if (one.first, one.stop) == (first, stop)}
            self._train(self.bench if stop - first == folds else self.bench.of_folds(first, stop), some)

    def _train(self, bench: Bench, asked: Mapping[int, Assignment]) -> None:
        numbers, left = list(asked), dict(asked)
        parts = [one.part for one in asked.values() if one.part is not None]
        monitor = (Within if len(asked) > 1 else Pace)(self.voice, self.clock, "trials")
        turns = measure_in_turn(bench, [one.recipe for one in asked.values()], monitor, parts or None)
        while True:
            try:
                some = next(turns, None)
            except (OutOfTime, TooSlow):
                raise
            except FAILURES as error:
                self._without_failing(bench, left, error)
                return
            if some is None:
                return
            self.over({numbers[place]: arm for place, arm in some.items()})
            for place in some:
                del left[numbers[place]]

    def _without_failing(self, bench: Bench, left: Mapping[int, Assignment], error: BaseException) -> None:
        """Train those that are left of some that cannot all be trained together, but for those that fail."""
        if len(left) == 1:
            self.over({next(iter(left)): reason(error)})
            return
        sound: dict[int, Assignment] = {}
        for number, one in left.items():
            try:
                try_building(bench, one.recipe)
                sound[number] = one
            except FAILURES as failure:
                self.over({number: reason(failure)})
        for part in [sound] if len(sound) < len(left) else _halves(sound):
            if part:
                self._train(bench, part)


def reason(error: BaseException) -> str:
    """Why a candidate failed, in a sentence."""
    if isinstance(error, CaviarError):
        return str(error)
    return f"It raised {type(error).__name__}: {first_line(error)}"


def _halves(asked: Mapping[int, Assignment]) -> list[dict[int, Assignment]]:
    numbers = list(asked)
    middle = len(numbers) // 2
    return [{number: asked[number] for number in part} for part in (numbers[:middle], numbers[middle:])]
