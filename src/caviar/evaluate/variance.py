"""How much of the spread comes from the split and how much from the seed?

A one-way random effects model: the score of a member is the mean, plus what its fold adds (the rows that
happened to be held out, and those left to train on), plus what its seed adds (initial weights, batch order,
dropout masks).
"""

import math

import numpy as np
from scipy import stats
from scipy.special import chdtri, fdtri
from scipy.stats import hmean

from caviar.estimate import Estimate
from caviar.evaluate.wording import digits, interval
from caviar.run.record import SpreadRecord

_SEED_METHOD = "analysis of variance, chi-square interval"
_SPLIT_METHOD = "analysis of variance, Williams-Tukey interval"


def spread(scores: np.ndarray, level: float = 0.95) -> SpreadRecord:
    """Standard deviations due to the split and due to the seed, and which of the two dominates.

    The seed's interval is the chi-square one, the split's that of Williams (1962) and Tukey (1951) as Burdick
    & Graybill (1992) give it, truncated at zero. Members that failed (not finite) are left out; unequal
    numbers of seeds are handled by unweighted fold means and the harmonic mean of the counts (Thomas &
    Hultquist 1978). Both intervals assume normal effects: `benchmarks/error_rates.py` measures what heavy
    tails do to them. With fewer than two folds, or no fold with two seeds, nothing can be told apart: NaN
    with an interval from 0 to inf.

    Args:
        scores: Scores [fold, seed] of one repeat, in the metric's unit.
        level: Coverage asked of each interval, 0 to 1.

    >>> record = spread(np.array([[0.70, 0.71, 0.69], [0.80, 0.81, 0.79], [0.90, 0.91, 0.89]]))
    >>> round(record.split.value, 3), round(record.seed.value, 3)
    (0.1, 0.01)
    """
    finite = [row[np.isfinite(row)] for row in scores]
    folds = [row for row in finite if len(row)]
    within = sum(len(row) - 1 for row in folds)
    if len(folds) < 2 or within < 1:
        split = _unknown(_SPLIT_METHOD, len(folds), level)
        seed = _unknown(_SEED_METHOD, sum(map(len, folds)), level)
        return SpreadRecord(split=split, seed=seed, sentence=_UNKNOWN_SENTENCE)
    seeds = hmean([len(row) for row in folds])
    seed_square = sum(float(np.square(row - row.mean()).sum()) for row in folds) / within
    fold_square = seeds * float(np.var([row.mean() for row in folds], ddof=1))
    between = len(folds) - 1
    tails = ((1 + level) / 2, (1 - level) / 2)
    # The fold mean square less what seeds alone would give it, at both ends of the F distribution.
    excess = [fold_square - seed_square * float(fdtri(between, within, tail)) for tail in tails]
    seed = Estimate(
        value=math.sqrt(seed_square),
        low=math.sqrt(seed_square * within / chdtri(within, 1 - tails[0])),
        high=math.sqrt(seed_square * within / chdtri(within, 1 - tails[1])),
        level=level,
        method=_SEED_METHOD,
        n=sum(map(len, folds)),
    )
    split = Estimate(
        value=math.sqrt(max(0.0, (fold_square - seed_square) / seeds)),
        low=math.sqrt(max(0.0, excess[0]) * between / (seeds * chdtri(between, 1 - tails[0]))),
        high=math.sqrt(max(0.0, excess[1]) * between / (seeds * chdtri(between, 1 - tails[1]))),
        level=level,
        method=_SPLIT_METHOD,
        n=len(folds),
    )
    # The F test again, exact for normal effects, of a split variance that equals the seed variance.
    if fold_square > (1 + seeds) * seed_square * fdtri(between, within, tails[0]):
        dominant = "split"
    elif fold_square < (1 + seeds) * seed_square * fdtri(between, within, tails[1]):
        dominant = "seed"
    else:
        dominant = None
    return SpreadRecord(split=split, seed=seed, sentence=_sentence(split, seed, dominant))


def class_flips(predictions: np.ndarray | None) -> float | None:
    """Share of rows whose predicted class is not the same with every seed; None where it is not known.

    Args:
        predictions: Out-of-fold class probabilities [seed, row, class]; rows without one from every seed are left
            out. None where one seed was trained.

    >>> class_flips(np.array([[[0.9, 0.1], [0.6, 0.4]], [[0.8, 0.2], [0.4, 0.6]]]))
    0.5
    """
    if predictions is None:
        return None
    known = np.isfinite(predictions).all(axis=(0, 2))
    labels = predictions[:, known].argmax(axis=2)
    return float((labels != labels[0]).any(axis=0).mean()) if known.any() else None


_UNKNOWN_SENTENCE = (
    "The spread due to the split and the spread due to the seed cannot be told apart: "
    "that takes two folds or more that each hold two trained seeds or more."
)


def _unknown(method: str, n: int, level: float) -> Estimate:
    return Estimate(value=math.nan, low=0.0, high=math.inf, level=level, method=method, n=n)


def _sentence(split: Estimate, seed: Estimate, dominant: str | None) -> str:
    sizes = (
        f"standard deviation {digits(split.value)} due to the split ({interval(split)}), "
        f"{digits(seed.value)} due to the seed ({interval(seed)})"
    )
    if split.value == seed.value == 0:
        return f"The score depends neither on the split nor on the seed: {sizes}."
    if dominant == "split":
        return f"The split dominates: {sizes}. Which rows are held out matters more than how training starts."
    if dominant == "seed":
        return f"The seed dominates: {sizes}. How training starts matters more than which rows are held out."
    return f"Neither split nor seed clearly dominates: {sizes}."


def steadier(
    before: np.ndarray, after: np.ndarray, *, most: float = 0.5, alpha: float = 0.05
) -> float | None:
    """The share of the spread between seeds that a change leaves, where it is surely less and at most `most`.

    Seeds of different splits have nothing in common, so the standard deviations within splits are compared by
    Wilcoxon's signed ranks, which ask nothing of their distribution (a few failed trainings spread a lot).

    Args:
        before: Scores (repeat, fold, seed), two seeds or more.
        after: The same after the change.
        most: Largest share that counts.
        alpha: Share of changes without effect that may be called steadier, one-sided.

    Returns:
        Mean standard deviation after, divided by that before; None where that is not shown to be small.

    >>> rng = np.random.default_rng(0)
    >>> wild, calm = rng.normal(0, 1, (3, 5, 3)), rng.normal(0, 0.1, (3, 5, 3))
    >>> steadier(wild, calm) < 0.2, steadier(wild, rng.normal(0, 1, (3, 5, 3))) is None
    (True, True)
    """
    if min(before.shape[2], after.shape[2]) < 2:
        return None
    first, second = (each.std(axis=2, ddof=1).ravel() for each in (before, after))
    known = np.isfinite(first) & np.isfinite(second)
    first, second = first[known], second[known]
    if len(first) < 5 or not first.mean() > 0 or np.array_equal(first, second):
        return None
    ratio = float(second.mean() / first.mean())
    p = float(stats.wilcoxon(first, second, alternative="greater").pvalue)
    return ratio if p < alpha and ratio <= most else None
