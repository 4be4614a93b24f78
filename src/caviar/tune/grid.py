"""Grid search: every combination of evenly spread values."""

from collections.abc import Sequence
from typing import Any

from caviar.errors import OptionError
from caviar.tune.search import Candidate, Generations, Plan, Settings, settled
from caviar.tune.space import Space


def grid_search(space: Space, trials: int, seed: int = 0, start: Sequence[Settings] = ()) -> Generations:  # noqa: ARG001
    """Asks for every combination of as many values per number as the trials allow.

    Choices without an order take part with all their values. Numbers share what is left: all get the same count of
    values, and the first ones one more where that still fits.

    Args:
        space: What may be set.
        trials: How many candidates at most.
        seed: Of no effect: a grid leaves nothing to chance.
        start: Settings that come first; what they leave out is set to defaults.

    >>> from caviar.tune.space import discover
    >>> space = discover(lambda hp: (hp.Int("layers", 1, 9), hp.Boolean("norm")))
    >>> [tuple(one.settings.values()) for one in grid_search(space, 6).ask(10)]
    [(1, False), (1, True), (5, False), (5, True), (9, False), (9, True)]

    Raises:
        OptionError: The trials do not suffice for the values of all choices, or `start` does not fit.
    """
    first = settled(space, trials, start)
    least = _count(space, [1] * len(space.parameters)) + len(first)
    if least > trials:
        beside = " beside the settings to start with" if first else ""
        raise OptionError(
            f"Expected at least {least} trials for a grid over all choices{beside}, got {trials}. Allow more, or "
            f"search at random."
        )
    return Generations(_plan(space, first, _grids(space, trials - len(first))))


def _plan(space: Space, start: list[dict], grids: list[list[Any]]) -> Plan:
    different = {space.key(one): one for one in (*start, *space.every(grids))}
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
