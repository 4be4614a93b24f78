"""Intervals that hold for means over resampled folds.

Scores of overlapping training sets are not independent, so the usual standard error is several times too
small. Nadeau & Bengio (2003), "Inference for the generalization error", add the ratio of test to training
rows to the variance of the mean. `benchmarks/error_rates.py` measures how far that holds.
"""

import math

import numpy as np
from scipy import stats

from caviar.estimate import Estimate

SMALL_TABLE = 300
"""Rows below which the degrees of freedom are folds - 1, not scores - 1.

Source: benchmarks/error_rates.py, where scores - 1 was too liberal for ten repeats on up to 200 rows with 25
inputs, and not on 500.
"""


def degrees_of_freedom(
    n_scores: float, folds: int, n_rows: int | None, small_table: int = SMALL_TABLE
) -> float:
    """Degrees of freedom of the corrected resampled t: scores - 1, or folds - 1 for tables of few rows.

    Args:
        n_scores: How many scores were averaged; inf asks for the limit of many repeats.
        folds: How many folds a repeat has.
        n_rows: Rows of the table; None asks for the usual scores - 1.
        small_table: Rows below which repeats are not counted as information of their own.

    >>> degrees_of_freedom(30, 10, n_rows=1000), degrees_of_freedom(30, 10, n_rows=60)
    (29.0, 9.0)
    """
    counted = min(n_scores, folds) if n_rows is not None and n_rows < small_table else n_scores
    return float(max(counted - 1, 1))


def corrected_error(scores: np.ndarray, test_share: float, by_seed: float = 0.0) -> float:
    """Standard error of the mean of resampled scores, after Nadeau & Bengio (2003).

    Their correction is for training rows that folds share. Seeds are shared by nobody, so what seeds alone do to a
    score needs no correction; where several seeds per fold tell how much that is, it is left out of it.

    Args:
        scores: Finite scores [score], at least two, in any unit.
        test_share: Held-out rows divided by training rows (0.111 for ten folds).
        by_seed: Variance of one score that is due to its seeds.

    >>> round(corrected_error(np.array([1.0, 2.0, 3.0]), test_share=0.5), 3)
    0.913
    """
    whole = float(np.var(scores, ddof=1))
    return math.sqrt(whole / len(scores) + test_share * max(whole - by_seed, 0.0))


def mean_estimate(
    scores: np.ndarray,
    test_share: float,
    level: float = 0.95,
    *,
    n_rows: int | None = None,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    by_seed: float = 0.0,
) -> Estimate:
    """The mean score with its corrected resampled t interval.

    Scores that are not finite (members that failed, folds in which the score is undefined) are left out and
    lower `n`. With fewer than two scores left nothing is known about the spread: the interval runs from -inf
    to inf.

    Args:
        scores: Scores [repeat, fold], in the metric's unit.
        test_share: Held-out rows divided by training rows.
        level: Coverage asked of the interval, 0 to 1.
        n_rows: Rows of the table; small tables get conservative degrees of freedom.
        bounds: Lowest and highest score that there is: where the interval would go on, it ends.
        by_seed: Variance of one score that is due to its seeds (`corrected_error`).

    >>> estimate = mean_estimate(np.array([[0.8, 0.9, 0.7]]), test_share=0.5)
    >>> round(estimate.low, 2), round(estimate.value, 2), round(estimate.high, 2)
    (0.41, 0.8, 1.19)
    """
    used = scores[np.isfinite(scores)]
    method = "corrected resampled t (Nadeau & Bengio)"
    if len(used) < 2:
        value = float(used[0]) if len(used) else math.nan
        return Estimate(value=value, low=-math.inf, high=math.inf, level=level, method=method, n=len(used))
    value = float(used.mean())
    dof = degrees_of_freedom(len(used), scores.shape[1], n_rows)
    margin = float(stats.t.ppf((1 + level) / 2, dof)) * corrected_error(used, test_share, by_seed)
    low, high = max(bounds[0], value - margin), min(bounds[1], value + margin)
    return Estimate(value=value, low=low, high=high, level=level, method=method, n=len(used))


def proportion_estimate(successes: int, trials: int, level: float = 0.95) -> Estimate:
    """The share of successes with Wilson's score interval; of no trials nothing is known (NaN, 0 to 1).

    >>> estimate = proportion_estimate(1, 10)
    >>> round(estimate.low, 3), estimate.value, round(estimate.high, 3)
    (0.018, 0.1, 0.404)
    """
    if trials == 0:
        return Estimate(value=math.nan, low=0.0, high=1.0, level=level, method="Wilson score", n=0)
    interval = stats.binomtest(successes, trials).proportion_ci(level, method="wilson")
    return Estimate(
        value=successes / trials,
        low=float(interval.low),
        high=float(interval.high),
        level=level,
        method="Wilson score",
        n=trials,
    )
