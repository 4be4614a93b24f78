"""Can the network fit one batch at all?"""

from dataclasses import replace

import numpy as np

from caviar.diagnose.results import OneBatch
from caviar.experiments.contract import Ground, Seen
from caviar.experiments.members import own_rate, train_extra
from caviar.population.job import Seat

ROWS, STEPS, SEEDS = 32, 400, 2
TIMES = (0.1, 1.0, 10.0)
"""Multiples of the recipe's rate: what fails at all of them does not fail because of the rate."""


def worth(seen: Seen) -> bool:
    """Whether something keeps the network from fitting its training rows."""
    return seen.has("not_trained", "underfitting", "diverging", "loss_reduction", "vanishing_gradient")


def steps(_: Ground) -> int:
    """Gradient steps of all members."""
    return STEPS * SEEDS * len(TIMES)


def overfit_one_batch(ground: Ground) -> OneBatch:
    """Train a few members on one batch, at three rates, and see how near they get to it."""
    bench, recipe = ground.bench, ground.arm.recipe
    own = own_rate(ground)
    rows = mixed_rows(
        bench.dataset.target[bench.splits[0].train], bench.dataset.identical[bench.splits[0].train]
    )
    rows = bench.splits[0].train[rows]
    rates = [own * times for times in TIMES for _ in range(SEEDS)]
    nobody = rows[:0]
    seats = [Seat(0, 0, bench.seed_of(0, i % SEEDS), 0, rows, nobody, nobody) for i in range(len(rates))]
    alone = replace(recipe, callbacks=(), batch_size=len(rows), epochs=STEPS)
    fitting, trained = train_extra(ground, alone, seats, rates=rates, ask_fit=True)
    prepared = bench.prepared(recipe.preparation)[0]
    target = bench.dataset.target[rows]
    fit = [
        fitted_share(
            target, prepared.restore(fitting.predictions(outputs)), classes=bench.dataset.is_classification
        )
        for outputs in trained.outputs
    ]
    return OneBatch(own * np.array(TIMES), np.reshape(fit, (len(TIMES), SEEDS)), len(rows), STEPS)


def mixed_rows(target: np.ndarray, identical: np.ndarray, most: int = ROWS) -> np.ndarray:
    """Positions of some rows with different inputs: the classes in turn, or as they come.

    Args:
        target: Class codes (row,) or values (row, output).
        identical: Equal numbers for rows with equal inputs (row,).
        most: How many.

    >>> mixed_rows(np.array([0, 0, 0, 1]), np.array([5, 5, 6, 7]), 2).tolist()
    [0, 3]
    """
    different = np.sort(np.unique(identical, return_index=True)[1])
    if target.ndim > 1:
        spread = np.linspace(0, len(different) - 1, min(most, len(different))).round().astype(int)
        return different[spread]
    codes = target[different]
    turn = np.empty(len(codes), dtype=np.int64)
    for code in np.unique(codes):
        turn[codes == code] = np.arange(np.count_nonzero(codes == code))
    return np.sort(different[np.lexsort((codes, turn))[:most]])


def fitted_share(target: np.ndarray, said: np.ndarray, *, classes: bool) -> float:
    """How far predictions get from a constant answer (0, or worse) to a perfect one (1); NaN where not finite.

    Of classes it counts rows named rightly, of quantities squared errors.

    Args:
        target: Class codes (row,) or values (row, output).
        said: Class probabilities (row, class) or values (row, output).
        classes: Whether the target is a class.
    """
    if not np.isfinite(said).all():
        return float("nan")
    if classes:
        wrong, constant = (said.argmax(axis=1) != target).mean(), 1 - np.bincount(target).max() / len(target)
    else:
        wrong = np.square(said - target).mean()
        constant = np.square(target - target.mean(axis=0)).mean()
    return max(0.0, float(1 - wrong / constant)) if constant > 0 else float(wrong == 0)


def in_words(yielded: OneBatch) -> str:
    """What came out."""
    return (
        f"Trained on {yielded.rows} rows only, for {yielded.steps} steps, the network gets {yielded.best:.0%} of the "
        f"way from a constant answer to a perfect one."
    )
