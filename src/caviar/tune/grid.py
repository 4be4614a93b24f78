"""Grid search: every combination of evenly spread values."""

from collections.abc import Hashable, Sequence
from itertools import chain
from typing import Any

from caviar.errors import OptionError
from caviar.tune.search import MOST_TRIALS, Candidate, Generations, Plan, Settings, settled
from caviar.tune.space import Space

POINTS = 10
"""Values of a number without steps in a whole grid: as many as KerasTuner takes."""


def grid_search(
    space: Space,
    trials: int,
    seed: int = 0,  # noqa: ARG001
    start: Sequence[Settings] = (),
    *,
    points: int | None = None,
) -> Generations:
    """Asks for every combination of as many values per number as the trials allow.

    Choices without an order take part with all their values. Numbers share what is left: all get the same count of
    values, and the first ones one more where that still fits.

    Args:
        space: What may be set.
        trials: How many candidates at most.
        seed: Of no effect: a grid leaves nothing to chance.
        start: Settings that come first; what they leave out is set to defaults.
        points: Values of a number without steps, beside all others: the grid is then a whole one, defaults first, the
            last parameter's values changing fastest, and ends after so many trials, as KerasTuner's does.

    >>> from caviar.tune.space import discover
    >>> space = discover(lambda hp: (hp.Int("layers", 1, 9), hp.Boolean("norm")))
    >>> [tuple(one.settings.values()) for one in grid_search(space, 6).ask(10)]
    [(1, False), (1, True), (5, False), (5, True), (9, False), (9, True)]
    >>> [tuple(one.settings.values()) for one in grid_search(space, 3, points=POINTS).ask(10)]
    [(1, False), (1, True), (2, False)]

    Raises:
        OptionError: The trials do not suffice for the values of all choices, or `start` does not fit.
    """
    first = settled(space, trials, start)
    if points is not None:
        return Generations(_plan(space, trials, first, _whole(space, points)))
    least = _count(space, [1] * len(space.parameters)) + len(first)
    if least > trials:
        beside = " beside the settings to start with" if first else ""
        raise OptionError(
            f"Expected at least {least} trials for a grid over all choices{beside}, got {trials}. Allow more, or "
            f"search at random."
        )
    return Generations(_plan(space, trials, first, _grids(space, trials - len(first))))


def whole_grid(space: Space, points: int, start: Sequence[Settings]) -> int:
    """How many trials a whole grid takes, with the settings to start with.

    >>> from caviar.tune.space import discover
    >>> whole_grid(discover(lambda hp: (hp.Float("rate", 0.1, 1.0), hp.Boolean("norm"))), 10, [])
    20

    Raises:
        OptionError: Nobody could train so many.
    """
    grids = _whole(space, points)
    count = space.count(grids)
    if count > MOST_TRIALS:
        raise OptionError(
            f"Expected a grid of at most {MOST_TRIALS:,} combinations, got {count:,}. Bound the trials, or ask in "
            f"larger steps."
        )
    values = dict(zip(space.names, grids, strict=True))
    return count + sum(
        any(value not in values[name] for name, value in one.items()) for one in map(space.settle, start)
    )


def _whole(space: Space, points: int) -> list[list[Any]]:
    """All values of each parameter, and so many of a number without steps; the default first."""
    if points < 1:
        raise OptionError(f"Expected points of at least 1, got {points}. Raise them.")
    values = [
        one.grid(points) if one.points is None or not one.is_even else list(one.points)
        for one in space.parameters
    ]
    return [
        [one.question.default, *(value for value in some if value != one.question.default)]
        for one, some in zip(space.parameters, values, strict=True)
    ]


def _plan(space: Space, trials: int, start: list[dict], grids: list[list[Any]]) -> Plan:
    different: dict[Hashable, dict[str, Any]] = {}
    for one in chain(start, space.every(grids)):
        different.setdefault(space.key(one), one)
        if len(different) == trials:
            break
    yield [Candidate(number, settings) for number, settings in enumerate(different.values())]


def _grids(space: Space, most: int) -> list[list[Any]]:
    """Values per parameter with at most `most` combinations, as many as fit."""
    numeric = [place for place, one in enumerate(space.parameters) if one.is_numeric and one.is_searched]
    levels = [1] * len(space.parameters)
    few, many = 1, max(most, 1)
    while few < many:  # the largest count of values that all numbers can have
        middle = (few + many + 1) // 2
        if _count(space, _levels(levels, numeric, middle)) <= most:
            few = middle
        else:
            many = middle - 1
    levels = _levels(levels, numeric, few)
    for place in numeric:
        more = _levels(levels, [place], levels[place] + 1)
        levels = more if _count(space, more) <= most else levels
    return _values(space, levels)


def _levels(levels: list[int], places: list[int], count: int) -> list[int]:
    return [count if place in places else level for place, level in enumerate(levels)]


def _values(space: Space, levels: list[int]) -> list[list[Any]]:
    return [
        one.grid(level) if one.is_numeric else list(one.points or ())
        for one, level in zip(space.parameters, levels, strict=True)
    ]


def _count(space: Space, levels: list[int]) -> int:
    return space.count(_values(space, levels))
