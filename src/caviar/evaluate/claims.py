"""Whether a claim holds, does not hold, or cannot be told, from what repeated trainings measured."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from caviar.estimate import Estimate
from caviar.evaluate.intervals import proportion_estimate
from caviar.evaluate.wording import digits
from caviar.run.lesson import Verdict

EXACT = "the same in every training"


@dataclass(frozen=True)
class Expectation:
    """Where a claim's measure lies if the claim holds.

    Attributes:
        low: It lies above this.
        high: It lies below this.
        closed: Whether the ends themselves count.
    """

    low: float
    high: float
    closed: bool = False

    def __str__(self) -> str:
        low, high = (digits(end).replace("-", "\N{MINUS SIGN}") for end in (self.low, self.high))
        if self.low == self.high:
            return f"equal to {low}"
        if math.isinf(self.high):
            return f"{'at least' if self.closed else 'above'} {low}"
        if math.isinf(self.low):
            return f"{'at most' if self.closed else 'below'} {high}"
        return f"between {low} and {high}"

    def verdict(self, low: float, high: float) -> Verdict:
        """What follows from an interval of the measure.

        >>> above(0.0).verdict(0.1, 0.3), above(0.0).verdict(-0.1, 0.3), above(0.0).verdict(-0.3, 0.0)
        ('holds', 'cannot be told', 'does not hold')
        """
        if self.closed:
            if low >= self.low and high <= self.high:
                return "holds"
            outside = high < self.low or low > self.high
        else:
            if low > self.low and high < self.high:
                return "holds"
            outside = high <= self.low or low >= self.high
        return "does not hold" if outside else "cannot be told"


def above(low: float) -> Expectation:
    """The measure is larger than this."""
    return Expectation(low, math.inf)


def below(high: float) -> Expectation:
    """The measure is smaller than this."""
    return Expectation(-math.inf, high)


def between(low: float, high: float) -> Expectation:
    """The measure lies between these: a claim of no difference needs to say which difference nobody would notice."""
    return Expectation(low, high)


def exactly(value: float) -> Expectation:
    """The measure is this number: for what arithmetic or a definition decides."""
    return Expectation(value, value, closed=True)


def judge(values: Any, expectation: Expectation, level: float = 0.95) -> tuple[Estimate, Verdict]:  # noqa: ANN401
    """The mean of a measure over independent trainings with its interval, and what follows for a claim.

    Args:
        values: One per training: numbers (their mean is judged by Student's t) or truths (their share, by Wilson's
            interval); or a single number or truth that no chance decides.
        expectation: Where the measure lies if the claim holds. Of a single truth, nothing but that it is true.
        level: Coverage asked of the interval, 0 to 1.

    Numbers that are not finite leave nothing to judge: the verdict is that it cannot be told. `benchmarks/claims.py`
    measures how often verdicts are wrong.

    >>> judge(np.array([0.2, 0.1, 0.3, 0.2]), above(0.0))[1]
    'holds'
    >>> judge(np.array([True, True, False, True]), above(0.5))[1]
    'cannot be told'
    >>> judge(40, exactly(40))[1]
    'holds'
    """
    given = np.asarray(values)
    if given.ndim == 0:
        value = float(given)
        if given.dtype == bool:
            expectation = exactly(1.0)
        estimate = Estimate(value=value, low=value, high=value, level=1.0, method=EXACT, n=1)
        return estimate, expectation.verdict(value, value) if math.isfinite(value) else "cannot be told"
    if given.dtype == bool:
        estimate = proportion_estimate(int(given.sum()), given.size, level)
        return estimate, expectation.verdict(estimate.low, estimate.high)
    estimate = mean_of_seeds(given.astype(float), level)
    if not math.isfinite(estimate.value):
        return estimate, "cannot be told"
    return estimate, expectation.verdict(estimate.low, estimate.high)


def mean_of_seeds(values: np.ndarray, level: float = 0.95) -> Estimate:
    """The mean over independent trainings with its interval.

    The interval reaches as far as Student's and as one that allows for skewness (Hall, "On the removal of skewness by
    transformation", 1992), with Student's quantiles: where trainings fail now and then, or scores are skewed, one of
    the two is too short (docs/statistics.md has the errors of both together).

    Args:
        values: One per training, in any unit.
        level: Coverage asked of the interval, 0 to 1.

    Of values that are not all finite nothing is known; of a single one no interval.
    """
    method, n = "Student's t and Hall's correction for skewness, over seeds", values.size
    if n == 0 or not np.isfinite(values).all():
        return Estimate(value=math.nan, low=-math.inf, high=math.inf, level=level, method=method, n=n)
    value = float(values.mean())
    if n == 1:
        return Estimate(value=value, low=-math.inf, high=math.inf, level=level, method=method, n=n)
    error = float(values.std(ddof=1)) / math.sqrt(n)
    reach = float(stats.t.ppf((1 + level) / 2, n - 1))
    lean = _skewness(values) / math.sqrt(n)
    low = value - error * max(reach, _unskewed(reach, lean))
    high = value - error * min(-reach, _unskewed(-reach, lean))
    return Estimate(value=value, low=low, high=high, level=level, method=method, n=n)


def _skewness(values: np.ndarray) -> float:
    """Sample skewness; 0 where nothing varies or two values say nothing about it."""
    if values.size < 3 or np.ptp(values) == 0:
        return 0.0
    return float(stats.skew(values, bias=False))


def _unskewed(quantile: float, lean: float) -> float:
    """Hall's transform of a quantile, inverted; `lean` is skewness by the root of the number of values."""
    if abs(lean) < 1e-9:
        return quantile
    return float(3 / lean * (np.cbrt(1 + lean * (quantile - lean / 6)) - 1))
