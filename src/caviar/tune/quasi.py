"""Quasi-random search: settings from a sequence that fills the axes more evenly than chance.

Bousquet et al. (2017), "Critical hyper-parameters: no random, no cry": such sequences leave smaller holes than random
draws, and like these never repeat a value of the one parameter that matters.
"""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, Literal

import numpy as np

from caviar.errors import OptionError
from caviar.tune.fresh import Fresh
from caviar.tune.search import Candidate, Generations, Plan, Settings, settled
from caviar.tune.space import Space

SMALLEST = 6
"""Two to that power are the points of a sequence that are computed first; then as many again as there are."""


def quasi_random_search(
    space: Space,
    trials: int,
    seed: int = 0,
    start: Sequence[Settings] = (),
    *,
    sequence: Literal["sobol", "halton"] = "sobol",
) -> Generations:
    """Takes settings from a scrambled low-discrepancy sequence, no settings twice.

    More trials only add to what fewer would have asked.

    Args:
        space: What may be set.
        trials: How many candidates at most; fewer where the space has no more.
        seed: Of the scrambling.
        start: Settings that come first; what they leave out is set to defaults.
        sequence: "sobol" is most even after a power of two of points, "halton" after any number of them.

    >>> from caviar.tune.space import discover
    >>> space = discover(lambda hp: hp.Float("drop", 0.0, 1.0))
    >>> asked = quasi_random_search(space, 4).ask(10)
    >>> sorted(int(one.settings["drop"] * 4) for one in asked)  # one in each quarter
    [0, 1, 2, 3]

    Raises:
        OptionError: No trials are allowed, `start` does not fit, or there is no such sequence.
    """
    if sequence not in {"sobol", "halton"}:
        raise OptionError(f"Expected the sequence sobol or halton, got {sequence!r}. Choose one of them.")
    return Generations(_plan(space, trials, seed, settled(space, trials, start), sequence))


def _plan(space: Space, trials: int, seed: int, start: list[dict[str, Any]], sequence: str) -> Plan:
    fresh, wanted, rng = Fresh(space, start), list(start), np.random.default_rng([seed, 1])
    searched = np.array([parameter.is_searched for parameter in space.parameters])
    points = _points(sequence, int(searched.sum()), seed)

    def position() -> np.ndarray:
        us = np.full(len(searched), 0.5)
        us[searched] = next(points)
        return us

    while len(wanted) < trials and (settings := fresh.draw(rng, position)) is not None:
        wanted.append(settings)
    yield [Candidate(number, settings) for number, settings in enumerate(wanted)]


def _points(sequence: str, dimensions: int, seed: int) -> Iterator[np.ndarray]:
    """The points [dimension] of a scrambled sequence, one after another."""
    if dimensions == 0:
        yield from (np.empty(0) for _ in count())
    from scipy.stats import qmc  # takes half a second, and only this search needs it

    make = qmc.Sobol if sequence == "sobol" else qmc.Halton
    engine = make(dimensions, rng=np.random.default_rng(seed))
    for power in count(SMALLEST):
        # Doubling keeps Sobol's promise of evenness, which holds for powers of two.
        yield from engine.random(2**power if power == SMALLEST else 2 ** (power - 1))
