"""Coarse-to-fine search: random draws, then random draws again where the best ones lay, and again.

Bengio (2012), "Practical recommendations for gradient-based training of deep architectures", calls it
multi-resolution search.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import numpy as np

from caviar.errors import OptionError
from caviar.tune.fresh import Fresh
from caviar.tune.parameter import Parameter
from caviar.tune.search import Candidate, Generations, Outcome, Plan, Settings, ranked, settled
from caviar.tune.space import Space


@dataclass(frozen=True)
class Region:
    """The part of one axis in which a level draws.

    Attributes:
        start: Where it begins.
        end: Where it ends.
        values: What is left of a choice without order, whose neighbours mean nothing; None for numbers.
    """

    start: float = 0.0
    end: float = 1.0
    values: tuple[Any, ...] | None = None


def coarse_to_fine_search(
    space: Space,
    trials: int,
    seed: int = 0,
    start: Sequence[Settings] = (),
    *,
    levels: int = 3,
    best: float = 0.2,
    margin: float = 0.1,
) -> Generations:
    """Draws at random on a few levels, each inside the region of the best so far.

    The region is the bounding box of the best on the parameters' own axes, widened; choices keep the values that the
    best have. It can lose a good region that the coarse levels missed: that is its price for what it finds nearby.

    Args:
        space: What may be set.
        trials: How many candidates at most, in equal parts on all levels.
        seed: Of the draws.
        start: Settings that come first; what they leave out is set to defaults.
        levels: How many times is drawn. Three, with the two shares below, find a lower loss than one in four of five
            searches of two smooth parameters, and in most where the loss is noisy: tests/tune/test_facts.py.
        best: Share of all outcomes so far that span the next region, at least two.
        margin: Share of the last region's width by which the next one is widened on each side.

    >>> from caviar.tune.space import discover
    >>> search = coarse_to_fine_search(discover(lambda hp: hp.Float("drop", 0.0, 1.0)), 30)
    >>> coarse = search.ask(30)
    >>> search.tell([Outcome(one.number, one.settings, (abs(one.settings["drop"] - 0.7),)) for one in coarse])
    >>> fine = search.ask(30)
    >>> len(fine), all(0.4 < one.settings["drop"] < 1.0 for one in fine)
    (10, True)

    Raises:
        OptionError: No trials are allowed, `start` does not fit, or a share is none.
    """
    if levels < 1 or not 0 < best <= 1 or not 0 <= margin <= 1:
        raise OptionError(
            f"Expected at least one level and shares between 0 and 1, got levels={levels}, best={best}, "
            f"margin={margin}. Correct them."
        )
    return Generations(_plan(space, trials, seed, settled(space, trials, start), levels, best, margin))


def _plan(
    space: Space, trials: int, seed: int, start: list[dict[str, Any]], levels: int, best: float, margin: float
) -> Plan:
    rng, fresh, number, told = np.random.default_rng(seed), Fresh(space, start), count(), list[Outcome]()
    regions = [Region(values=None if one.is_numeric else tuple(one.points or ())) for one in space.parameters]
    for level in range(levels):
        wanted = list(start) if level == 0 else []
        until = max(trials * (level + 1) // levels, len(start))
        while len(told) + len(wanted) < until:
            settings = fresh.draw(rng, partial(_positions, space, regions, rng))
            if settings is None:
                break
            wanted.append(settings)
        if wanted:
            told += yield [Candidate(next(number), settings) for settings in wanted]
        good = ranked(told)[: max(math.ceil(best * len(told)), 2)]
        regions = [
            _narrowed(
                parameter,
                region,
                [one.settings[parameter.name] for one in good if parameter.name in one.settings],
                margin,
            )
            for parameter, region in zip(space.parameters, regions, strict=True)
        ]


def _positions(space: Space, regions: Sequence[Region], rng: np.random.Generator) -> np.ndarray:
    """One position [parameter] inside the regions."""
    us = rng.random(len(regions))
    return np.array(
        [
            region.start + u * (region.end - region.start)
            if region.values is None
            else parameter.place(region.values[int(u * len(region.values))])
            for parameter, region, u in zip(space.parameters, regions, us, strict=True)
        ]
    )


def _narrowed(parameter: Parameter, region: Region, good: Sequence[Any], margin: float) -> Region:
    """The region that good values span; the same one where none tells."""
    if not good:
        return region
    if region.values is not None:
        return Region(values=tuple(value for value in region.values if value in good))
    shares = [parameter.share(value) for value in good]
    widening = margin * (region.end - region.start)
    return Region(
        max(min(start for start, _ in shares) - widening, 0.0),
        min(max(end for _, end in shares) + widening, 1.0),
    )
