"""Which columns of a table come from another distribution than before?

Each column by itself: Kolmogorov and Smirnov's two-sample test for quantities, chi-square for classes and for whether a
value is missing; adjusted after Holm (1979) over all columns. `tests/evaluate/test_drift.py` counts the false alarms.
What moves only jointly, or how the target follows from the inputs, these tests do not see.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from caviar.evaluate.compare import ALPHA, holm
from caviar.evaluate.wording import digits

_FEW_LEVELS = 10
"""Of so many different numbers or fewer each is a class of its own: ties make Kolmogorov and Smirnov's test blunt."""
_EXPECTED = 5.0
"""Rows that a class is expected to have in both tables (Cochran 1954); rarer ones are counted together."""


@dataclass(frozen=True, eq=False)
class Observed:
    """One column before and now.

    Attributes:
        name: What it is called.
        before: float64 (row,); NaN where missing, codes for classes.
        now: Likewise.
        levels: Names of the codes; empty for quantities.
        show: How one of its numbers is written.
    """

    name: str
    before: np.ndarray
    now: np.ndarray
    levels: tuple[str, ...] = ()
    show: Callable[[float], str] = digits


@dataclass(frozen=True)
class Drift:
    """How far a column has moved.

    Attributes:
        name: The column.
        distance: Largest difference of the two distribution functions, or half the sum of all differences in shares
            of classes; 0 to 1.
        p: Two-sided, unadjusted.
        p_holm: Adjusted over all columns.
        words: What moved most, as part of a sentence.
    """

    name: str
    distance: float
    p: float
    p_holm: float
    words: str

    @property
    def is_sure(self) -> bool:
        """Whether the column comes from another distribution, at 5 % over all columns."""
        return self.p_holm < ALPHA


def drifts(columns: Sequence[Observed]) -> list[Drift]:
    """How far each column has moved, in the order given.

    Rows must be independent of each other: of rows that belong together, pass one.

    >>> rng = np.random.default_rng(0)
    >>> age = Observed("age", rng.normal(40, 9, 300), rng.normal(50, 9, 200))
    >>> color = Observed("color", rng.integers(0, 3, 300) * 1.0, rng.integers(0, 3, 200) * 1.0, ("r", "g", "b"))
    >>> [(one.name, one.is_sure) for one in drifts([age, color])]
    [('age', True), ('color', False)]
    """
    found = [_test(column) for column in columns]
    adjusted = holm([p for _, p, _ in found])
    return [
        Drift(column.name, distance, p, p_holm, words)
        for column, (distance, p, words), p_holm in zip(columns, found, adjusted, strict=True)
    ]


def _test(column: Observed) -> tuple[float, float, str]:
    """Distance, p and what moved; of values and of gaps the clearer one, for which p counts twice (Bonferroni)."""
    gaps = [np.isnan(rows) for rows in (column.before, column.now)]
    before, now = (rows[~gap] for rows, gap in zip((column.before, column.now), gaps, strict=True))
    looks = []
    if len(before) and len(now):
        looks.append(_of_values(before, now, column.levels, column.show))
    if any(gap.any() for gap in gaps):
        missing = [gap.astype(np.float64) for gap in gaps]
        looks.append(_of_classes(missing[0], missing[1], ("there", "missing"), digits))
    if not looks:
        return 0.0, 1.0, ""
    distance, p, words = min(looks, key=lambda look: look[1])
    return distance, min(1.0, len(looks) * p), words


def _of_values(
    before: np.ndarray, now: np.ndarray, levels: tuple[str, ...], show: Callable[[float], str]
) -> tuple[float, float, str]:
    distinct = np.unique(np.concatenate([before, now]))
    if levels or len(distinct) <= _FEW_LEVELS:
        return _of_classes(before, now, levels, show)
    found = stats.ks_2samp(before, now, method="asymp")
    halves = [[show(float(end)) for end in np.quantile(rows, (0.25, 0.75))] for rows in (before, now)]
    words = f"middle half {' to '.join(halves[0])} before, {' to '.join(halves[1])} now"
    return float(found.statistic), float(found.pvalue), words


def _of_classes(
    before: np.ndarray, now: np.ndarray, levels: tuple[str, ...], show: Callable[[float], str]
) -> tuple[float, float, str]:
    codes, place = np.unique(np.concatenate([before, now]), return_inverse=True)
    counts = np.stack(
        [np.bincount(places, minlength=len(codes)) for places in (place[: len(before)], place[len(before) :])]
    )
    shares = counts / counts.sum(axis=1, keepdims=True)
    moved = np.abs(shares[1] - shares[0])
    # Of two classes that move alike, the one that has a name that says something.
    most = int(np.argmax(moved + 1e-12 * np.arange(len(codes))))
    name = levels[int(codes[most])] if levels else show(float(codes[most]))
    words = f"{name}: {shares[0, most]:.0%} before, {shares[1, most]:.0%} now"
    return float(moved.sum() / 2), _p_of_counts(counts), words


def _p_of_counts(counts: np.ndarray) -> float:
    """Chi-square p of counts (table, class), rare classes counted as one; exact for two classes that are rare."""
    rows = counts.sum(axis=1)
    expected = counts.sum(axis=0) * rows.min() / rows.sum()
    rare = expected < _EXPECTED
    if rare.sum() > 1:
        counts = np.column_stack([counts[:, ~rare], counts[:, rare].sum(axis=1)])
    if counts.shape[1] < 2:
        return 1.0
    if counts.shape[1] == 2 and (counts.sum(axis=0) * rows.min() / rows.sum()).min() < _EXPECTED:
        return float(stats.fisher_exact(counts).pvalue)
    return float(stats.chi2_contingency(counts, correction=False).pvalue)
