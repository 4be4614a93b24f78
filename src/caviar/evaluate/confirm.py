"""How much better is one set of networks than another on rows that nobody chose by?"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from caviar.estimate import Estimate

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
    weighed = ((sign, score, new), (-sign, score, own))
    return _estimate(weighed, units, n_bootstrap, seed, level)


def score_apart(
    score: Callable[[np.ndarray, np.ndarray], float],
    said: np.ndarray,
    units: np.ndarray,
    *,
    n_bootstrap: int = 300,
    seed: int = 0,
    level: float = 0.95,
) -> Estimate:
    """How well networks score on rows that nobody chose by, on average over their seeds, with the same interval.

    Args:
        score: `(predictions (row, output), rows) -> score` of those rows' predictions.
        said: What the networks say of all rows (seed, row, output).
        units: Numbers of the rows (row,), equal for rows that are drawn together.
        n_bootstrap: How often rows are drawn.
        seed: Seeds the draws.
        level: Coverage asked of the interval, 0 to 1.

    >>> rng = np.random.default_rng(0)
    >>> truth = rng.normal(size=(400, 1))
    >>> said = truth + rng.normal(size=(5, 400, 1))
    >>> found = score_apart(lambda said, rows: float(np.abs(said - truth[rows]).mean()), said, np.arange(400))
    >>> found.low < 0.798 < found.high
    True
    """
    return _estimate(((1.0, score, said),), units, n_bootstrap, seed, level)


def _estimate(
    weighed: Sequence[tuple[float, Callable[[np.ndarray, np.ndarray], float], np.ndarray]],
    units: np.ndarray,
    n_bootstrap: int,
    seed: int,
    level: float,
) -> Estimate:
    """A sum of scores, each with a sign, with what rows and seeds leave uncertain."""
    _, code = np.unique(units, return_inverse=True)
    of_unit = np.split(np.argsort(code, kind="stable"), np.cumsum(np.bincount(code))[:-1])

    def scores(rows: np.ndarray) -> list[np.ndarray]:
        return [np.array([sign * score(one[rows], rows) for one in said]) for sign, score, said in weighed]

    groups = scores(np.arange(len(units)))
    value = float(sum(group.mean() for group in groups))
    n = len(units)
    if len(of_unit) < 2 or not math.isfinite(value):
        return Estimate(value=value, low=-math.inf, high=math.inf, level=level, method=_METHOD, n=n)
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(n_bootstrap):
        rows = np.concatenate([of_unit[i] for i in rng.integers(0, len(of_unit), len(of_unit))])
        drawn.append(float(sum(group.mean() for group in scores(rows))))
    known = np.array(drawn)[np.isfinite(drawn)]
    parts = [(float(known.var(ddof=1)), len(of_unit) - 1)] if len(known) > 1 else []
    parts += [(float(each.var(ddof=1)) / len(each), len(each) - 1) for each in groups if len(each) > 1]
    variance = sum(part for part, _ in parts)
    if not variance:
        return Estimate(value=value, low=value, high=value, level=level, method=_METHOD, n=n)
    freedom = variance**2 / sum(part**2 / dof for part, dof in parts)
    margin = float(stats.t.ppf((1 + level) / 2, freedom)) * math.sqrt(variance)
    return Estimate(value=value, low=value - margin, high=value + margin, level=level, method=_METHOD, n=n)
