"""How much better is one set of networks than another on rows that nobody chose by?"""

import math
from collections.abc import Callable

import numpy as np
from scipy import stats

from caviar.evaluate.estimate import Estimate

_METHOD = "rows drawn again, and seeds (Welch-Satterthwaite)"


def paired_gain(
    score: Callable[[np.ndarray, np.ndarray], float],
    own: np.ndarray,
    new: np.ndarray,
    units: np.ndarray,
    *,
    higher_is_better: bool,
    n_bootstrap: int = 300,
    seed: int = 0,
    level: float = 0.95,
) -> Estimate:
    """How much better the new networks score than the own ones, on average over their seeds; above 0 is better.

    Two things make the gain uncertain: which rows were kept apart, and which seeds were drawn. The rows' part is the
    spread of the gain when rows are drawn again with replacement (Efron & Tibshirani 1993), the seeds' part is that of
    the mean over them; they add, with the degrees of freedom of Welch (1947) and Satterthwaite (1946).
    `benchmarks/confirmation.py` measures how often the interval holds the truth.

    Args:
        score: `(predictions (row, output), rows) -> score` of those rows' predictions.
        own: What the own networks say of all rows (seed, row, output).
        new: The same of the new ones.
        units: Numbers of the rows (row,), equal for rows that are drawn together.
        higher_is_better: Whether more of the score is better.
        n_bootstrap: How often rows are drawn.
        seed: Seeds the draws.
        level: Coverage asked of the interval, 0 to 1.

    >>> rng = np.random.default_rng(0)
    >>> truth = rng.normal(size=(400, 1))
    >>> own, new = (truth + error * rng.normal(size=(5, 400, 1)) for error in (1.0, 0.5))
    >>> gain = paired_gain(lambda said, rows: float(np.abs(said - truth[rows]).mean()), own, new, np.arange(400),
    ...                    higher_is_better=False)
    >>> gain.low > 0.3, gain.high < 0.5
    (True, True)
    """
    sign = 1.0 if higher_is_better else -1.0
    _, code = np.unique(units, return_inverse=True)
    of_unit = np.split(np.argsort(code, kind="stable"), np.cumsum(np.bincount(code))[:-1])

    def scores(said: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.array([sign * score(one[rows], rows) for one in said])

    everything = np.arange(len(units))
    first, second = scores(own, everything), scores(new, everything)
    value = float(second.mean() - first.mean())
    n = len(units)
    if len(of_unit) < 2 or not math.isfinite(value):
        return Estimate(value=value, low=-math.inf, high=math.inf, level=level, method=_METHOD, n=n)
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(n_bootstrap):
        rows = np.concatenate([of_unit[i] for i in rng.integers(0, len(of_unit), len(of_unit))])
        drawn.append(float(scores(new, rows).mean() - scores(own, rows).mean()))
    known = np.array(drawn)[np.isfinite(drawn)]
    parts = [(float(known.var(ddof=1)), len(of_unit) - 1)] if len(known) > 1 else []
    parts += [
        (float(each.var(ddof=1)) / len(each), len(each) - 1) for each in (first, second) if len(each) > 1
    ]
    variance = sum(part for part, _ in parts)
    if not variance:
        return Estimate(value=value, low=value, high=value, level=level, method=_METHOD, n=n)
    freedom = variance**2 / sum(part**2 / dof for part, dof in parts)
    margin = float(stats.t.ppf((1 + level) / 2, freedom)) * math.sqrt(variance)
    return Estimate(value=value, low=value - margin, high=value + margin, level=level, method=_METHOD, n=n)
