"""Which learning rates suit the recipe, and from which on does it diverge?"""

from dataclasses import replace

import numpy as np

from caviar.diagnose.results import RangeTest
from caviar.experiments.contract import Ground, Seen
from caviar.experiments.members import own_rate, train_extra
from caviar.population.job import Seat

LOWEST, HIGHEST, PER_DECADE = 1e-5, 10.0, 2
SEEDS = 3
SHARE_OF_EPOCHS, LEAST_EPOCHS = 0.5, 5
"""Half of the epochs: a trial of the rate that is chosen then has all of them."""

_FAULTS = (
    "learning_rate_high",
    "learning_rate_low",
    "slow_convergence",
    "not_trained",
    "underfitting",
    "diverging",
    "oscillating_loss",
    "exploding_gradient",
    "dead_relu",
)


def worth(seen: Seen) -> bool:
    """Whether something was seen that a wrong rate can cause."""
    return seen.has(*_FAULTS)


def rates_around(own: float) -> np.ndarray:
    """Rates, two per order of magnitude, ascending; the recipe's own is one of them.

    >>> rates = rates_around(0.001)
    >>> len(rates), float(rates[0].round(5)), float(rates[-1].round(5))
    (13, 1e-05, 10.0)
    """
    # Outside of all bounds a recipe's own rate is still one of them.
    low = np.ceil(min(0.0, np.log10(LOWEST / own)) * PER_DECADE - 1e-9)
    high = np.floor(max(0.0, np.log10(HIGHEST / own)) * PER_DECADE + 1e-9)
    return np.asarray(own * 10 ** (np.arange(low, high + 1) / PER_DECADE))


def trial_epochs(epochs: int) -> int:
    """How many of so many epochs a rate is tried for.

    >>> trial_epochs(100), trial_epochs(6), trial_epochs(2)
    (50, 5, 2)
    """
    return min(epochs, max(LEAST_EPOCHS, round(SHARE_OF_EPOCHS * epochs)))


def steps(ground: Ground) -> int:
    """Gradient steps of all members."""
    recipe, split = ground.arm.recipe, ground.bench.splits[0]
    rates = len(rates_around(ground.rate or LOWEST))
    return -(-len(split.train) // recipe.batch_size) * trial_epochs(recipe.epochs) * rates * SEEDS


def range_test(ground: Ground) -> RangeTest:
    """Train one fold at many constant rates, as one population."""
    bench, recipe = ground.bench, ground.arm.recipe
    own = own_rate(ground)
    rates = rates_around(own)
    split = bench.splits[0]
    each = [rate for rate in rates for _ in range(SEEDS)]
    seats = [
        Seat(0, 0, bench.seed_of(0, i % SEEDS), 0, split.train, split.train[:0], split.held_out)
        for i in range(len(each))
    ]
    alone = replace(recipe, callbacks=(), epochs=trial_epochs(recipe.epochs))
    _, trained = train_extra(ground, alone, seats, rates=each, show=True)
    curves = trained.history["held_out_loss"].values.reshape(len(rates), SEEDS, -1).astype(np.float64)
    first = curves[:, :, 0][np.isfinite(curves[:, :, 0]).all(axis=1)]
    starts = first[0] if len(first) else np.full(SEEDS, np.nan)
    return RangeTest(rates, own, curves[:, :, -1], starts, alone.epochs)


def in_words(yielded: RangeTest) -> str:
    """What came out."""
    return yielded.in_words()
