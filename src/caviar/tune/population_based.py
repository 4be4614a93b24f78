"""Population-based training: members that fall behind go on from the weights of better ones, with changed settings."""

import math
from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np

from caviar.errors import OptionError
from caviar.tune.fresh import Fresh
from caviar.tune.search import Candidate, Generations, Plan, Settings, ranked, settled
from caviar.tune.space import Space


def population_based_search(
    space: Space,
    trials: int,
    seed: int = 0,
    start: Sequence[Settings] = (),
    *,
    generations: int = 4,
    exploited: float = 0.2,
    explored: Sequence[str] | None = None,
    stride: float = 0.1,
    redrawn: float = 0.25,
) -> Generations:
    """Trains a population in a few generations; after each the worst go on as changed copies of the best.

    A candidate names the one whose weights it goes on with, so what is found is a schedule of settings: who wants to
    train it again follows the sources. Only settings that keep the network's shape may change on the way, such as
    dropout rates, also to and from 0; the others are copied together with the weights.

    Args:
        space: What may be set.
        trials: How many members there are; all together train as long as that many trials.
        seed: Of draws and changes.
        start: Settings that come first; what they leave out is set to defaults.
        generations: How many equal parts a trial has.
        exploited: Share of members that are replaced after each, and of those they are copied from. 0.2 as in the
            paper's truncation selection. Failed ones are always replaced.
        explored: Names of the settings that change on the way; None: all that were asked for with `hp.Float`.
        stride: How far on the axis, up or down, a setting is changed.
        redrawn: Chance that it is drawn anew instead; the paper's.

    >>> from caviar.tune.search import Outcome
    >>> from caviar.tune.space import discover
    >>> search = population_based_search(discover(lambda hp: hp.Float("drop", 0.0, 1.0)), 5, generations=2)
    >>> first = search.ask(5)
    >>> search.tell([Outcome(one.number, one.settings, (float(one.number),)) for one in first])
    >>> [(one.source, one.epochs) for one in search.ask(5)]  # the last one goes on as the first one
    [(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0), (0, 1.0)]

    Raises:
        OptionError: No trials are allowed, `start` does not fit, a share is none, or nothing can change on the way.

    Source: Jaderberg et al. (2017), "Population based training of neural networks".
    """
    if generations < 1 or not 0 < exploited <= 0.5 or not 0 < stride <= 1 or not 0 <= redrawn <= 1:
        raise OptionError(
            f"Expected at least one generation, up to half of the members to be exploited, and shares between 0 and 1, "
            f"got generations={generations}, exploited={exploited}, stride={stride}, redrawn={redrawn}. Correct them."
        )
    changing = _changing(space, explored)
    first = settled(space, trials, start)

    def explore(settings: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        return _changed(space, settings, changing, rng, stride, redrawn)

    def plan() -> Plan:
        rng, fresh, number, members = np.random.default_rng(seed), Fresh(space, first), count(), list(first)
        while len(members) < trials and (settings := fresh.draw(rng)) is not None:
            members.append(settings)
        told = yield [Candidate(next(number), settings, epochs=1 / generations) for settings in members]
        for generation in range(2, generations + 1):
            order = ranked(told)
            few = min(max(math.floor(exploited * len(told)), 1), len(order) // 2)
            kept = {one.number for one in order[: min(len(order), len(told) - few)]}
            if not order:
                return
            candidates = []
            for one in told:
                parent = one if one.number in kept else order[int(rng.integers(max(few, 1)))]
                settings = one.settings if one.number in kept else explore(parent.settings, rng)
                candidates.append(
                    Candidate(next(number), settings, epochs=generation / generations, source=parent.number)
                )
            told = yield candidates

    return Generations(plan())


def _changing(space: Space, explored: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the settings that may change on the way."""
    numeric = {one.name for one in space.parameters if one.is_numeric and one.is_searched}
    if explored is not None:
        for name in explored:
            if name not in numeric:
                raise OptionError(
                    f"Expected numbers to change on the way out of {', '.join(sorted(numeric)) or 'none'}, "
                    f"got {name!r}. Choose some of them."
                )
        return tuple(explored)
    floats = tuple(
        one.name for one in space.parameters if one.question.kind == "float" and one.name in numeric
    )
    if not floats:
        raise OptionError(
            "Expected settings that can change while a network trains, such as those asked for with hp.Float, "
            "got none. Name some as explored=, or search otherwise."
        )
    return floats


def _changed(
    space: Space,
    settings: dict[str, Any],
    changing: Sequence[str],
    rng: np.random.Generator,
    stride: float,
    redrawn: float,
) -> dict[str, Any]:
    """Settings of which each that may change has moved on its axis, or was drawn anew."""
    moved = dict(settings)
    for parameter in space.parameters:
        if parameter.name in changing and parameter.name in settings:
            place = parameter.place(settings[parameter.name]) + stride * rng.choice([-1, 1])
            u = rng.random() if rng.random() < redrawn else min(max(place, 0.0), 1.0)
            moved[parameter.name] = parameter.draw(float(u))
    return space.settle(moved)
