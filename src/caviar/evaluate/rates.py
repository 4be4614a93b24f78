"""What do scores at many learning rates say: where does training break, which rates are as good as the best one?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats

from caviar.estimate import Estimate
from caviar.evaluate.compare import ALPHA, compare, judge, rope_of
from caviar.evaluate.intervals import mean_estimate
from caviar.evaluate.metrics import Metric
from caviar.run.record import ComparisonRecord

CLEAR = 0.1
"""Share of the best rate's improvement over the untrained network from which on a rate improves it clearly."""
WINDOW = 0.05
"""Share of a sweep's updates that one smoothed loss is the mean of."""
MOST = 0.5
"""Share of trainings beyond which most of them are lost."""


def from_which_on(flags: np.ndarray) -> int | None:
    """Where the unbroken row of set flags at the end begins; None where the last one is not set.

    >>> from_which_on(np.array([True, False, True, True])), from_which_on(np.array([True, False]))
    (2, None)
    """
    unset = np.flatnonzero(~flags)
    first = int(unset[-1]) + 1 if len(unset) else 0
    return first if first < len(flags) else None


@dataclass(frozen=True, eq=False)
class RateScores:
    """Trainings that differ in nothing but their constant rate, on the same folds with the same seeds.

    Attributes:
        rates: Ascending (rate,).
        scores: Deciding score on held-out rows (rate, repeat, fold, seed); not finite where training failed.
        untrained: The same of a training with a rate of 0 (repeat, fold, seed).
        no_skill: Score of a prediction that ignores the inputs (repeat, fold).
        metric: What the score is.
        test_share: Held-out rows divided by training rows.
        n_rows: Rows of the table.
        given_rope: Smallest difference that counts, where a person says so.
    """

    rates: np.ndarray
    scores: np.ndarray
    untrained: np.ndarray
    no_skill: np.ndarray
    metric: Metric
    test_share: float
    n_rows: int
    given_rope: float | None = None

    @property
    def failed(self) -> np.ndarray:
        """Trainings of each rate whose score is no number (rate,)."""
        return np.asarray((~np.isfinite(self.scores)).sum(axis=(1, 2, 3)))

    @property
    def lost(self) -> np.ndarray:
        """Trainings of each rate that failed, or ended no better than a prediction that ignores the inputs (rate,)."""
        with np.errstate(invalid="ignore"):
            skilled = self._sign * (self.scores - self.no_skill[:, :, None]) > 0
        return np.asarray((~(np.isfinite(self.scores) & skilled)).sum(axis=(1, 2, 3)))

    @property
    def has_skill(self) -> bool:
        """Whether at some rate half of the trainings or more end better than without skill."""
        return bool((self.lost <= MOST * self.each).any())

    @cached_property
    def edge(self) -> int | None:
        """Place of the lowest rate from which on most trainings are lost; None where they are not at the highest.

        Where that holds for every rate, the rows hold nothing to learn or the network cannot learn it: then only
        trainings whose numbers are not finite count.
        """
        gone = self.lost if self.has_skill else self.failed
        return from_which_on(gone > MOST * self.each)

    @cached_property
    def best(self) -> int | None:
        """Place of the rate with the best mean score below the edge; None where there is none.

        No score counts as worse than `worst`, and failed trainings count as that.
        """
        below = self.scores[: self.edge]
        if not np.isfinite(below).any():
            return None
        means = self._sign * self._held(below, self.worst).mean(axis=(1, 2, 3))
        return int(means.argmax())

    @cached_property
    def worst(self) -> float:
        """Scores count as no worse than this: as far below no skill as the best rate is above it.

        How far a training that is of no use runs away is no measure of anything, but would hide every difference.
        """
        middle = float(np.nanmean(self.no_skill))
        whole = self.scores[np.isfinite(self.scores).all(axis=(1, 2, 3))]
        some = whole if len(whole) else self.scores
        means = [float(one[np.isfinite(one)].mean()) for one in some if np.isfinite(one).any()]
        top = max((self._sign * mean for mean in means), default=math.nan) * self._sign
        return middle - self._sign * abs(top - middle)

    @cached_property
    def rope(self) -> float:
        """Smallest difference that counts: 2 % of the way from no skill to the best rate's score, if not given."""
        if self.given_rope is not None:
            return self.given_rope
        perfect = 1.0 if self.metric.higher_is_better else 0.0
        top = math.nan if self.best is None else self.score_of_best
        return rope_of(float(np.nanmean(self.no_skill)), top, perfect=perfect)

    @property
    def score_of_best(self) -> float:
        """Mean score of the best rate."""
        assert self.best is not None
        return float(self._held(self.scores[self.best], self.worst).mean())

    @property
    def is_held_back(self) -> bool:
        """Whether that mean holds scores that count as no worse than `worst`, so that the plain mean is another."""
        assert self.best is not None
        own = self.scores[self.best]
        return bool((~np.isfinite(own) | (self._sign * own < self._sign * self.worst)).any())

    @property
    def beats_no_skill(self) -> bool:
        """Whether the best rate's mean score is better than that of a prediction that ignores the inputs."""
        return bool(self._sign * (self.score_of_best - float(np.nanmean(self.no_skill))) > 0)

    def estimates(self, values: np.ndarray, *, bounds: bool = True) -> list[Estimate]:
        """Means over folds and seeds with their corrected intervals, of scores or losses (rate, repeat, fold, seed).

        A fold in which one of the seeds failed is left out.

        Args:
            values: Of each training.
            bounds: Whether intervals end where the deciding score ends.
        """
        return [
            mean_estimate(
                one.mean(axis=2),
                self.test_share,
                n_rows=self.n_rows,
                bounds=self.metric.bounds if bounds else (-math.inf, math.inf),
                by_seed=_by_seed(one),
            )
            for one in np.where(np.isfinite(values), values, np.nan)
        ]

    @cached_property
    def beside_best(self) -> list[ComparisonRecord | None]:
        """Every rate beside the best one, adjusted after Holm over all of them; None for the best one itself."""
        if self.best is None:
            return [None] * len(self.rates)
        found = self._beside(self._held(self.scores[self.best], self.worst), self.worst, self.rope)
        return [None if i == self.best else one for i, one in enumerate(found)]

    @cached_property
    def alike(self) -> np.ndarray:
        """Rates that cannot be told apart from the best one (rate,).

        The best one itself, and all below the edge that are not told to lose more trainings than it does (`loses_more`)
        and whose paired difference is not called *harms* (`judge`): significant after Holm's adjustment, and larger
        than what counts.
        """
        if self.best is None:
            return np.zeros(len(self.rates), bool)
        told = [other is not None and other.verdict == "harms" for other in self.beside_best]
        below = np.arange(len(told)) < self._end
        return ~np.array(told) & below & ~self.loses_more

    @cached_property
    def loses_more(self) -> np.ndarray:
        """Rates that are told to lose more trainings than the best one (rate,): Fisher's exact test, one-sided, at 5 %.

        Each rate by itself, without Holm's adjustment: it costs little to leave a good rate out, and much to go with
        one that loses trainings.
        """
        if self.best is None:
            return np.zeros(len(self.rates), bool)
        counts = [(int(lost), self.each - int(lost)) for lost in self.lost]
        found = [stats.fisher_exact([one, counts[self.best]], alternative="greater").pvalue for one in counts]
        return np.array(found) < ALPHA

    @cached_property
    def falls(self) -> np.ndarray:
        """Rates at which the score improves clearly on that of the untrained network (rate,).

        Clearly means: significantly after Holm's adjustment over all rates, and by more than a tenth (`CLEAR`) of
        what the best rate improves.
        """
        if self.best is None:
            return np.zeros(len(self.rates), bool)
        start = float(self.untrained[np.isfinite(self.untrained)].mean())
        floor = min(self._sign * self.worst, self._sign * start) * self._sign
        top = float(self._held(self.scores[self.best], floor).mean())
        gain = self._sign * (top - start)
        if not gain > 0:
            return np.zeros(len(self.rates), bool)
        found = self._beside(self._held(self.untrained, floor), floor, CLEAR * gain)
        return np.array([one.verdict == "helps" for one in found])

    @property
    def base(self) -> int | None:
        """Place of the lowest rate from which on, up to the best, all improve clearly; None where the best does not."""
        return None if self.best is None else from_which_on(self.falls[: self.best + 1])

    @property
    def maximum(self) -> int | None:
        """Place of the highest rate that cannot be told apart from the best one; None where there is no best."""
        return int(np.flatnonzero(self.alike)[-1]) if self.alike.any() else None

    @property
    def _sign(self) -> int:
        return 1 if self.metric.higher_is_better else -1

    @property
    def each(self) -> int:
        """Trainings of each rate."""
        return int(np.prod(self.scores.shape[1:]))

    @property
    def _end(self) -> int:
        return len(self.rates) if self.edge is None else self.edge

    def _held(self, scores: np.ndarray, worst: float) -> np.ndarray:
        held = np.where(np.isfinite(scores), scores, worst)
        return np.asarray(self._sign * np.maximum(self._sign * held, self._sign * worst))

    def _beside(self, baseline: np.ndarray, worst: float, rope: float) -> list[ComparisonRecord]:
        """Every rate's scores beside those of a baseline (repeat, fold, seed)."""
        return judge(
            [
                compare(
                    f"{rate:.3g}",
                    baseline.mean(axis=2),
                    held.mean(axis=2),
                    higher_is_better=self.metric.higher_is_better,
                    test_share=self.test_share,
                    n_rows=self.n_rows,
                    rope=rope,
                    metric_title=self.metric.title,
                    by_seed=_by_seed(held - baseline),
                )
                for rate, held in zip(self.rates, self._held(self.scores, worst), strict=True)
            ]
        )


def _by_seed(values: np.ndarray) -> float:
    """Variance of a mean over seeds that is due to them; values (repeat, fold, seed), paired by seed already."""
    seeds = values.shape[2]
    if seeds < 2:
        return 0.0
    variances = values.var(axis=2, ddof=1)
    known = variances[np.isfinite(variances)]
    return float(known.mean()) / seeds if len(known) else 0.0


@dataclass(frozen=True, eq=False)
class SweepLosses:
    """Losses of trainings whose rate climbs with every update.

    Attributes:
        rates: Rate of each update, ascending (update,).
        losses: Loss of each update's batch before it (member, update); not finite from where a training diverged on.
    """

    rates: np.ndarray
    losses: np.ndarray

    @property
    def window(self) -> int:
        """Updates that one smoothed loss is the mean of, fewer at the ends."""
        return 2 * (round(WINDOW * len(self.rates)) // 2) + 1

    @cached_property
    def smoothed(self) -> np.ndarray:
        """Centred means over a twentieth of the updates (member, update): an exponential mean would lag behind.

        Infinite from the first loss on that is not finite.
        """
        reach = self.window // 2
        finite = np.logical_and.accumulate(np.isfinite(self.losses), axis=1)
        sums = np.pad(
            np.cumsum(np.where(finite, self.losses, 0.0), axis=1, dtype=np.float64), ((0, 0), (1, 0))
        )
        at = np.arange(len(self.rates))
        low, high = np.maximum(at - reach, 0), np.minimum(at + reach + 1, len(at))
        means = (sums[:, high] - sums[:, low]) / (high - low)
        return np.where(finite[:, high - 1], means, np.inf)

    def quantile(self, share: float) -> np.ndarray:
        """The smoothed loss below which such a share of the members lie (update,); a diverged one lies above all."""
        return np.asarray(np.quantile(self.smoothed, share, axis=0, method="inverted_cdf"))

    @cached_property
    def median(self) -> np.ndarray:
        """The median over the members of the smoothed loss (update,)."""
        return self.quantile(0.5)

    @cached_property
    def lowest(self) -> int | None:
        """Update at which the median is lowest; None where it never falls."""
        if not np.isfinite(self.median[0]):
            return None
        place = int(self.median.argmin())
        return place if self.median[place] < self.median[0] else None

    @property
    def base(self) -> int | None:
        """First update from which on, up to the lowest, the median has fallen by a tenth of its whole fall."""
        if self.lowest is None:
            return None
        fallen = self.median[0] - self.median[: self.lowest + 1]
        return from_which_on(fallen >= CLEAR * fallen[-1])

    @property
    def steepest(self) -> int | None:
        """Update at which the median falls fastest per order of magnitude of the rate, before it is lowest."""
        if self.lowest is None:
            return None
        until = slice(0, self.lowest + 1)
        slopes = np.gradient(self.median[until], np.log10(self.rates[until]))
        return int(slopes.argmin())

    @property
    def edge(self) -> int | None:
        """First update from which on the median lies above where it began, or is not finite; None for none."""
        return from_which_on(~(np.isfinite(self.median) & (self.median <= self.median[0])))


def next_to(rates: Sequence[float] | np.ndarray, rate: float) -> int:
    """Place of the rate that is nearest on a logarithmic scale.

    >>> next_to([0.1, 1.0, 10.0], 0.4)
    1
    """
    return int(np.abs(np.log(np.asarray(rates) / rate)).argmin())
