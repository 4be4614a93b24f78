"""How well is a mean over repeats known, and how many repeats are enough?

A repeat's score is the mean over its folds; repeats differ in how the rows were split and in the seeds. Everything here
takes repeats as independent, which they are only given the rows: see `why_intervals_differ`.
"""

import math

import numpy as np
from scipy import stats

from caviar.estimate import Estimate
from caviar.evaluate.wording import digits
from caviar.run.studies import Enough, Normality

FEWEST_FOR_NORMALITY = 3
"""Values that Shapiro and Wilk's test needs."""


def repeat_scores(scores: np.ndarray) -> np.ndarray:
    """The mean over the folds of each repeat that has a score [repeat]; failed folds are left out.

    Args:
        scores: Scores [repeat, fold], in the metric's unit.

    >>> repeat_scores(np.array([[0.2, 0.4], [0.5, np.nan], [np.nan, np.nan]]))
    array([0.3, 0.5])
    """
    return np.array([row[np.isfinite(row)].mean() for row in scores if np.isfinite(row).any()])


def standard_error(values: np.ndarray) -> float:
    """Standard deviation divided by the root of the number of values [repeat].

    >>> round(standard_error(np.array([1.0, 2.0, 3.0, 4.0])), 3)
    0.645
    """
    return float(np.std(values, ddof=1) / math.sqrt(len(values)))


def standard_errors(values: np.ndarray) -> list[float]:
    """Standard error of the mean of the first 2, 3, … values."""
    return [standard_error(values[:n]) for n in range(2, len(values) + 1)]


def normal_estimate(values: np.ndarray, bounds: tuple[float, float] = (-math.inf, math.inf)) -> Estimate:
    """The mean of at least two values [repeat], ± 1.96 standard errors.

    >>> estimate = normal_estimate(np.array([1.0, 2.0, 3.0, 4.0]))
    >>> round(estimate.low, 3), estimate.value, round(estimate.high, 3)
    (1.235, 2.5, 3.765)
    """
    mean, margin = float(values.mean()), 1.96 * standard_error(values)
    return Estimate(
        value=mean,
        low=max(bounds[0], mean - margin),
        high=min(bounds[1], mean + margin),
        method="1.96 standard errors over repeats",
        n=len(values),
    )


def bootstrap_estimate(values: np.ndarray, seed: int = 0, resamples: int = 9999) -> Estimate:
    """The mean of at least two values [repeat] with its bias-corrected and accelerated bootstrap interval.

    Source: Efron (1987), as `scipy.stats.bootstrap` computes it. Equal values have an interval without width.

    Args:
        values: One score per repeat.
        seed: Where resampling starts.
        resamples: How often values are drawn again.
    """
    low = high = float(values.mean())
    if np.ptp(values) > 0:
        found = stats.bootstrap(
            (values,),
            np.mean,
            n_resamples=resamples,
            confidence_level=0.95,
            method="BCa",
            rng=np.random.default_rng(seed),
        ).confidence_interval
        low, high = float(found.low), float(found.high)
    return Estimate(
        value=float(values.mean()),
        low=low,
        high=high,
        method="bootstrap over repeats (bias-corrected and accelerated)",
        n=len(values),
    )


def normality(values: np.ndarray) -> Normality:
    """Shapiro and Wilk's (1965) test of whether the values [repeat] could be normal.

    >>> normality(np.array([0.0, 0.0, 0.0, 0.0, 9.0])).p < 0.01
    True
    """
    if len(values) < FEWEST_FOR_NORMALITY or np.ptp(values) == 0:
        why = "all are equal" if len(values) >= FEWEST_FOR_NORMALITY else f"there are only {len(values)}"
        return Normality(
            statistic=math.nan,
            p=math.nan,
            sentence=f"Whether the repeats' scores are normal cannot be tested, because {why}.",
        )
    found = stats.shapiro(values)
    if found.pvalue < 0.05:
        said = "The repeats' scores do not look normal: trust the bootstrap interval more than ± 1.96 standard errors"
    else:
        said = f"Nothing speaks against normal scores of the {len(values)} repeats"
    return Normality(
        statistic=float(found.statistic),
        p=float(found.pvalue),
        sentence=f"{said} (Shapiro-Wilk W = {found.statistic:.3f}, p = {digits(found.pvalue)}).",
    )


def enough_repeats(values: np.ndarray, rope: float) -> Enough:
    """The smallest number of repeats at which the standard error of their mean is below what counts as a difference.

    It follows from the standard deviation of the values, whose chi-square interval (for normal values) gives the
    interval.

    Args:
        values: One score per repeat, at least two.
        rope: Smallest difference that counts, in the same unit.

    >>> enough_repeats(np.array([0.4, 0.5, 0.6, 0.5]), rope=0.03).repeats
    8
    """
    n, deviation = len(values), float(np.std(values, ddof=1))
    chi = stats.chi2.ppf((0.975, 0.025), n - 1)
    low, high = (deviation * math.sqrt((n - 1) / quantile) for quantile in chi)
    repeats, fewest, most = (_repeats_for(size, rope) for size in (deviation, low, high))
    if repeats <= n:
        be = "1 repeat is enough" if repeats == 1 else f"{repeats} repeats are enough"
        more = ""
    else:
        be, more = f"About {repeats:,} repeats would be enough", f", more than the {n} that were trained"
    return Enough(
        repeats=repeats,
        low=fewest,
        high=most,
        sentence=(
            f"{be} (95 % interval {fewest:,} to {most:,}){more}: the standard error of the mean over so many is "
            f"below the {digits(rope)} that counts as a difference."
        ),
    )


def _repeats_for(deviation: float, rope: float) -> int:
    """The smallest number whose standard error is below the rope."""
    return math.floor((deviation / rope) ** 2) + 1


def why_intervals_differ(repeats: int) -> str:
    """Why the corrected interval is wider than those over repeats, in a sentence."""
    return (
        f"The first two take the {repeats} repeats as independent although all of them use the same rows: they say how "
        f"well the mean over repeats on these rows is known, and shrink with every repeat; the corrected one says how "
        f"well the score of this recipe is known for other rows of the same kind, and more repeats hardly narrow it."
    )
