"""Random search: settings drawn independently, evenly over the axes.

Bergstra & Bengio (2012), "Random search for hyper-parameter optimization": where few parameters matter, a grid spends
its trials on repeating the same values of those, and random draws do not.
"""

from collections.abc import Sequence

import numpy as np

from caviar.tune.fresh import Fresh
from caviar.tune.search import Candidate, Generations, Plan, Settings, settled
from caviar.tune.space import Space


def random_search(space: Space, trials: int, seed: int = 0, start: Sequence[Settings] = ()) -> Generations:
    """Draws settings at random, no settings twice.

    More trials only add to what fewer would have asked.

    Args:
        space: What may be set.
        trials: How many candidates at most; fewer where the space has no more.
        seed: Of the draws.
        start: Settings that come first; what they leave out is set to defaults.

    >>> from caviar.tune.space import discover
    >>> space = discover(lambda hp: hp.Float("rate", 1e-4, 1e-1, sampling="log"))
    >>> [round(one.settings["rate"], 5) for one in random_search(space, 3).ask(10)]
    [0.00814, 0.00064, 0.00013]

    Raises:
        OptionError: No trials are allowed, or `start` does not fit.
    """
    return Generations(_plan(space, trials, seed, settled(space, trials, start)))


def _plan(space: Space, trials: int, seed: int, start: list[dict]) -> Plan:
    rng, fresh, wanted = np.random.default_rng(seed), Fresh(space, start), list(start)
    while len(wanted) < trials and (settings := fresh.draw(rng)) is not None:
        wanted.append(settings)
    yield [Candidate(number, settings) for number, settings in enumerate(wanted)]
