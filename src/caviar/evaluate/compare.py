"""Is one recipe better than another, and by how much?

Both recipes were scored on the same folds with the same seeds, so the differences are paired. The test is the
corrected resampled t of Nadeau & Bengio (2003); several remedies against one baseline are adjusted after Holm
(1979). A fold in which training failed in one of the two arms has no difference. Such folds are never
silently dropped in somebody's favour: they are judged on their own, by McNemar's exact test.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from caviar.estimate import Estimate
from caviar.evaluate.intervals import corrected_error, degrees_of_freedom, mean_estimate
from caviar.evaluate.wording import digits
from caviar.run.record import ComparisonRecord

Verdict = Literal["helps", "harms", "no practical difference", "not enough data"]

ALPHA = 0.05
"""Share of equal recipes that may be called different, over all comparisons of one trial."""
CHOSEN_ALPHA = 0.025
"""The same for one comparison of the best of many recipes, which is partly the luckiest, with a recipe that was named
beforehand: at 0.05, twice as many were called better as should be (`benchmarks/search_claims.py`)."""
MOST_REPEATS = 100
"""Repeats beyond which asking for more is no advice."""
ROPE_SHARE = 0.02
"""Share of the way from no-skill to the best reference row that counts as a practical difference."""
ROPE_FLOOR = 0.001
"""Smallest region, as a share of the way from no-skill to perfect: used where no row beats no-skill."""


@dataclass(frozen=True)
class Comparison:
    """A remedy beside the baseline on the same folds, before the trial's other comparisons are considered.

    Attributes:
        remedy: The remedy's name.
        metric_title: What sentences call the score.
        higher_is_better: Whether more of the score is better.
        rope: Half-width of the region of practical equivalence, in the score's unit.
        difference: Mean paired difference with its 95 % interval; positive means the remedy is better.
        narrow: The same with its 90 % interval.
        p: Two-sided p, unadjusted.
        decided_by_failures: Whether `p` speaks of failed trainings instead of scores.
        deviation: Standard deviation of the paired differences.
        test_share: Held-out rows divided by training rows.
        n_rows: Rows of the table.
        repeats: Repeats that were measured.
        folds: Folds of each repeat.
        only_remedy: Folds with a score from the remedy only: the baseline failed there.
        only_baseline: Folds with a score from the baseline only: the remedy failed there.
        neither: Folds with no score from either.
        can_repeat: Whether the rows can be split anew.
        by_seed: Variance of one paired difference that is due to its seeds.
        arms: How sentences point to the two arms, the remedy first.
        whole: Whether all repeats were trained. What was given up is never said to help: a second look at the scores
            would be a second chance to be called so by luck.
    """

    remedy: str
    metric_title: str
    higher_is_better: bool
    rope: float
    difference: Estimate
    narrow: Estimate
    p: float
    decided_by_failures: bool
    deviation: float
    test_share: float
    n_rows: int
    repeats: int
    folds: int
    only_remedy: int
    only_baseline: int
    neither: int
    can_repeat: bool = True
    by_seed: float = 0.0
    arms: tuple[str, str] = ("with the remedy", "without the remedy")
    whole: bool = True


def compare(
    remedy: str,
    baseline: np.ndarray,
    candidate: np.ndarray,
    *,
    higher_is_better: bool,
    test_share: float,
    n_rows: int,
    rope: float,
    metric_title: str,
    can_repeat: bool = True,
    by_seed: float = 0.0,
    arms: tuple[str, str] = ("with the remedy", "without the remedy"),
) -> Comparison:
    """The paired difference of a remedy to the baseline.

    Args:
        remedy: The remedy's name.
        baseline: Scores [repeat, fold] of the baseline; NaN where training failed.
        candidate: Scores [repeat, fold] of the remedy, same folds and seeds.
        higher_is_better: Whether more of the score is better.
        test_share: Held-out rows divided by training rows.
        n_rows: Rows of the table.
        rope: Half-width of the region of practical equivalence, in the score's unit.
        metric_title: What sentences call the score.
        can_repeat: Whether the rows can be split anew; not where the order of time decides.
        by_seed: Variance of one paired difference that is due to its seeds, where several were trained per fold.
        arms: How sentences point to the two arms, the remedy first.

    >>> rng = np.random.default_rng(0)
    >>> before = rng.normal(0.5, 0.02, (3, 10))
    >>> after = before - 0.05 + rng.normal(0, 0.01, (3, 10))
    >>> found = compare("dropout", before, after, higher_is_better=False, test_share=1 / 9, n_rows=500,
    ...                 rope=0.004, metric_title="log-loss")
    >>> round(found.difference.value, 2), found.p < 0.001
    (0.05, True)
    """
    gains = candidate - baseline if higher_is_better else baseline - candidate
    trained, trained_before = np.isfinite(candidate), np.isfinite(baseline)
    only_remedy = int((trained & ~trained_before).sum())
    only_baseline = int((~trained & trained_before).sum())
    paired = gains[np.isfinite(gains)]
    deviation = float(np.std(paired, ddof=1)) if len(paired) > 1 else math.nan
    p_scores = _p_of_scores(paired, gains.shape[1], test_share, n_rows, by_seed)
    p_failures = _p_of_failures(only_remedy, only_baseline)
    # Two looks at the same pair of arms are two tests: Bonferroni, where failures make the second necessary.
    looks = 2 if only_remedy + only_baseline else 1
    return Comparison(
        remedy=remedy,
        metric_title=metric_title,
        higher_is_better=higher_is_better,
        rope=rope,
        difference=mean_estimate(gains, test_share, 0.95, n_rows=n_rows, by_seed=by_seed),
        narrow=mean_estimate(gains, test_share, 0.90, n_rows=n_rows, by_seed=by_seed),
        p=min(1.0, looks * min(p_scores, p_failures)),
        decided_by_failures=p_failures < p_scores,
        deviation=deviation,
        test_share=test_share,
        n_rows=n_rows,
        repeats=gains.shape[0],
        folds=gains.shape[1],
        only_remedy=only_remedy,
        only_baseline=only_baseline,
        neither=int((~trained & ~trained_before).sum()),
        can_repeat=can_repeat,
        by_seed=by_seed,
        arms=arms,
    )


def _p_of_scores(gains: np.ndarray, folds: int, test_share: float, n_rows: int, by_seed: float) -> float:
    """Two-sided p of the corrected resampled t; of the sign test for constant gains, where t is infinite."""
    if len(gains) < 2:
        return 1.0
    error = corrected_error(gains, test_share, by_seed)
    mean = float(gains.mean())
    if error <= _ROUNDING * abs(mean):
        return float(0.5 ** (len(gains) - 1)) if mean else 1.0
    return float(2 * stats.t.sf(abs(mean) / error, degrees_of_freedom(len(gains), folds, n_rows)))


_ROUNDING = 1e-12
"""Relative spread that floating-point subtraction alone produces."""


def _p_of_failures(only_remedy: int, only_baseline: int) -> float:
    """McNemar's exact two-sided p: do the arms fail equally often?"""
    lone = only_remedy + only_baseline
    return float(stats.binomtest(only_remedy, lone).pvalue) if lone else 1.0


def holm(p: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values, in the order given.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = largest
    return adjusted


def judge(comparisons: Sequence[Comparison]) -> list[ComparisonRecord]:
    """Every comparison's verdict, with Holm's adjustment over all of them, in the order given.

    *helps* or *harms*: adjusted p below 0.05 and the estimate outside the region of practical equivalence.
    *no practical difference*: the 90 % interval lies inside the region. Anything else is *not enough data*.
    What was given up before all its repeats were trained is never said to help.
    A fold that only one arm could train forbids *no practical difference*, and forbids a verdict in favour of
    the arm that failed there; enough such folds decide by themselves.

    >>> same = np.full((3, 10), 0.5)
    >>> found = compare("nothing", same, same, higher_is_better=True, test_share=1 / 9, n_rows=500, rope=0.01,
    ...                 metric_title="AUC")
    >>> judge([found])[0].verdict
    'no practical difference'
    """
    adjusted = holm([comparison.p for comparison in comparisons])
    return [
        _judged(comparison, p_holm, _multiplier(comparison.p, comparisons))
        for comparison, p_holm in zip(comparisons, adjusted, strict=True)
    ]


def _multiplier(p: float, comparisons: Sequence[Comparison]) -> int:
    """The factor by which Holm multiplies this p: the comparisons that are no more significant."""
    return sum(other.p >= p for other in comparisons)


def _judged(comparison: Comparison, p_holm: float, multiplier: int) -> ComparisonRecord:
    verdict = _verdict(comparison, p_holm)
    asks = verdict == "not enough data" and comparison.whole
    needed = _repeats_needed(comparison, multiplier) if asks else None
    return ComparisonRecord(
        remedy=comparison.remedy,
        difference=comparison.difference,
        narrow=comparison.narrow,
        p=comparison.p,
        p_holm=p_holm,
        verdict=verdict,
        repeats_needed=needed,
        sentence=_sentence(comparison, verdict, needed),
    )


def _verdict(comparison: Comparison, p_holm: float) -> Verdict:
    value, rope = comparison.difference.value, comparison.rope
    failures = comparison.only_remedy - comparison.only_baseline
    significant = p_holm < ALPHA
    if significant and comparison.decided_by_failures:
        # Where neither arm has a score beside the other's, there is no difference to contradict the failures.
        if failures > 0 and not value < -rope and comparison.whole:
            return "helps"
        if failures < 0 and not value > rope:
            return "harms"
    elif significant and value > rope and comparison.only_baseline == 0 and comparison.whole:
        return "helps"
    elif significant and value < -rope and comparison.only_remedy == 0:
        return "harms"
    inside = -rope <= comparison.narrow.low and comparison.narrow.high <= rope
    if inside and comparison.only_remedy + comparison.only_baseline == 0:
        return "no practical difference"
    return "not enough data"


def _repeats_needed(comparison: Comparison, multiplier: int) -> int | None:
    """Total repeats at which the present difference and spread would decide; None if 100 would not."""
    if not comparison.can_repeat or not math.isfinite(comparison.deviation):
        return None
    if comparison.only_remedy + comparison.only_baseline:
        return None
    candidates = range(comparison.repeats + 1, MOST_REPEATS + 1)
    # More scores only sharpen the test, so that the first number that decides can be found by halving.
    first = bisect_left(
        candidates,
        x=True,
        key=lambda repeats: _would_decide(comparison, repeats * comparison.folds, multiplier),
    )
    return candidates[first] if first < len(candidates) else None


def _would_decide(comparison: Comparison, n_scores: float, multiplier: int) -> bool:
    """Whether the present difference and spread, over so many scores, decide; inf asks for the limit."""
    size = abs(comparison.difference.value)
    by_split = max(comparison.deviation**2 - comparison.by_seed, 0.0)
    error = math.sqrt(comparison.deviation**2 / n_scores + comparison.test_share * by_split)
    if error == 0:
        return size != comparison.rope
    dof = degrees_of_freedom(n_scores, comparison.folds, comparison.n_rows)
    if size > comparison.rope:
        return bool(multiplier * 2 * stats.t.sf(size / error, dof) < ALPHA)
    return bool(size + stats.t.ppf(0.95, dof) * error <= comparison.rope)


def _sentence(comparison: Comparison, verdict: Verdict, repeats_needed: int | None) -> str:
    """The verdict for a person who knows Keras and not statistics; always states the region."""
    rope = digits(comparison.rope)
    if verdict == "no practical difference":
        end = f"and its 90 % interval lies within the {rope} that counts as a practical difference"
    elif verdict == "not enough data":
        end = f"where {rope} counts as a practical difference"
    elif comparison.decided_by_failures:
        end = f"{rope} counts as a practical difference, but the failed trainings decide"
    else:
        end = f"beyond the {rope} that counts as a practical difference"
    # What was given up needs no more repeats to be judged: they were not worth their time.
    advice = _advice(comparison, repeats_needed) if verdict == "not enough data" and comparison.whole else ""
    return f"{verdict}: {_size(comparison)}, {end}{_failures(comparison)}{advice}"


def _size(comparison: Comparison) -> str:
    """The difference with its interval, told in the direction that it has."""
    difference = comparison.difference
    if difference.n == 0:
        return f"no fold has a {comparison.metric_title} from both arms"
    better = difference.value >= 0
    word = "higher" if better == comparison.higher_is_better else "lower"
    opposite = "lower" if word == "higher" else "higher"
    low, high = (difference.low, difference.high) if better else (-difference.high, -difference.low)
    size = f"{comparison.metric_title} {digits(abs(difference.value))} {word}"
    if difference.n == 1:
        return f"{size} in the only fold with a score from both arms"
    if abs(difference.value) <= _ROUNDING * high:
        size = f"{comparison.metric_title} equal on average"
    start = (
        f"{digits(-low)} {opposite} to {digits(high)} {word}"
        if low < 0
        else f"{digits(low)} to {digits(high)}"
    )
    return f"{size} (95 % interval {start}, unadjusted)"


def _failures(comparison: Comparison) -> str:
    """What was left out of the difference, and why."""
    told = [
        f"{count} of {comparison.repeats * comparison.folds} folds have {what} and are left out"
        for count, what in (
            (comparison.only_remedy, f"a score only {comparison.arms[0]}"),
            (comparison.only_baseline, f"a score only {comparison.arms[1]}"),
            (comparison.neither, "no score from either arm"),
        )
        if count
    ]
    return "".join(f"; {part}" for part in told)


def _advice(comparison: Comparison, repeats_needed: int | None) -> str:
    if comparison.only_remedy + comparison.only_baseline:
        return "; while trainings fail in one arm only, more repeats cannot settle it: find out why they fail"
    if not comparison.can_repeat:
        return "; the order of time allows no other split: only more rows could decide"
    if repeats_needed is not None:
        return f"; about {repeats_needed} repeats in all would decide, if the difference stays what it is"
    if math.isfinite(comparison.deviation) and _would_decide(comparison, math.inf, multiplier=1):
        return f"; more than {MOST_REPEATS} repeats would be needed to decide"
    return "; more repeats on these rows would not decide: only more rows could"


def rope_of(
    no_skill: float, best_reference: float, share: float = ROPE_SHARE, *, perfect: float = 0.0
) -> float:
    """Half-width of the region of practical equivalence: a share of the way from no-skill to the best row.

    Where no reference row beats no-skill, or a score is undefined, that way has no length. The region then is
    0.1 % of the way from no-skill to perfect predictions (0.001 where that is zero or undefined), so that it
    is never empty; `rope_reason` says which of the two was used.

    Args:
        no_skill: Score of the no-skill prediction, in the metric's unit.
        best_reference: Best score among the reference rows, no-skill being one of them.
        share: Share of the distance that counts as a practical difference.
        perfect: Score of perfect predictions: 0 for losses and errors, 1 for AUC, accuracy, R² and the like.

    >>> round(rope_of(0.69, 0.19), 3)
    0.01
    """
    distance = abs(best_reference - no_skill)
    possible = abs(perfect - no_skill)
    floor = ROPE_FLOOR * possible if math.isfinite(possible) and possible > _ROUNDING else ROPE_FLOOR
    return max(share * distance, floor) if math.isfinite(distance) else floor


def rope_reason(
    no_skill: float,
    best_reference: float,
    metric_title: str,
    share: float = ROPE_SHARE,
    *,
    perfect: float = 0.0,
) -> str:
    """One sentence that says where the region of practical equivalence comes from.

    >>> rope_reason(0.69, 0.19, "log-loss")
    '2 % of the way from no-skill (log-loss 0.69) to the best reference row (0.19)'
    """
    rope = rope_of(no_skill, best_reference, share, perfect=perfect)
    if rope == share * abs(best_reference - no_skill):
        return (
            f"{100 * share:g} % of the way from no-skill ({metric_title} {digits(no_skill)}) "
            f"to the best reference row ({digits(best_reference)})"
        )
    return (
        f"no reference row is clearly better than no-skill ({metric_title} {digits(no_skill)}), "
        f"so the smallest region is used: {digits(rope)}"
    )
