"""What follows from a learning-rate range test: the rates to use, in numbers and in words, and where its halves differ.

The rules, all on constant rates, which are trained apart from each other:

- the *edge* is the lowest rate from which on more than half of the trainings fail or end no better than a prediction
  that ignores the inputs;
- the *best* rate has the best mean score on held-out rows below the edge;
- *alike* are the rates below the edge that are not told to lose more trainings than the best one (Fisher's exact test,
  one-sided, at 5 %, each rate by itself) and whose paired difference from it is not both significant (Nadeau and
  Bengio's corrected t, Holm over the rates) and larger than what counts;
- the *maximum* for cyclical rates is the highest of these: Smith takes the rate at which accuracy stops to improve;
- their *base* is the lowest rate from which on, up to the best, every rate improves the score of the untrained network
  clearly: significantly (the same test), and by more than a tenth of what the best rate improves it. Smith takes the
  rate at which accuracy begins to improve. Where the best rate itself does not improve it clearly, the sweep tells: the
  rate from which on, up to where its median smoothed loss is lowest, that has fallen by a tenth of its whole fall. A
  base that is not below the maximum gives way to a quarter of the maximum, Smith's rule of thumb.

Source: Smith, *Cyclical learning rates for training neural networks*, WACV 2017, section 3.3.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from caviar.evaluate.compare import rope_reason
from caviar.evaluate.rates import RateScores, SweepLosses, next_to
from caviar.evaluate.wording import digits
from caviar.run.rates import AtRateRecord, Source, SweepRecord
from caviar.run.studies import Scale

# Smith (2017), 3.3: base is a third or a quarter of the maximum.
_RULE_OF_THUMB = 4.0
# Two rates of one grid are a step apart but for rounding.
_ROUNDING = 1.001


@dataclass(frozen=True, eq=False)
class Findings:
    """Both halves of a test, and what follows from them.

    Attributes:
        tried: Scores at constant rates.
        losses: The model's own loss on held-out rows (rate, repeat, fold, seed).
        climbing: Losses of the sweep.
        shape: How its rate climbed.
        own: The rate that the recipe came with.
    """

    tried: RateScores
    losses: np.ndarray
    climbing: SweepLosses
    shape: str
    own: float

    @property
    def edge(self) -> float | None:
        """Lowest rate from which on training breaks."""
        return _at(self.tried.rates, self.tried.edge)

    @property
    def best(self) -> float | None:
        """The rate with the best score."""
        return _at(self.tried.rates, self.tried.best)

    @property
    def alike(self) -> list[float]:
        """Rates that cannot be told apart from it, itself included."""
        return [float(rate) for rate in self.tried.rates[self.tried.alike]]

    @property
    def maximum(self) -> float | None:
        """Highest rate of a cycle."""
        return _at(self.tried.rates, self.tried.maximum)

    @cached_property
    def base(self) -> tuple[float | None, Source]:
        """Lowest rate of a cycle, and what told it."""
        if self.maximum is None:
            return None, ""
        seen: tuple[tuple[float | None, Source], ...] = (
            (_at(self.tried.rates, self.tried.base), "constant rates"),
            (_at(self.climbing.rates, self.climbing.base), "sweep"),
        )
        base, source = next((one for one in seen if one[0] is not None), (None, ""))
        if base is not None and base < self.maximum:
            return base, source
        return self.maximum / _RULE_OF_THUMB, "a quarter of the maximum"

    @property
    def search(self) -> tuple[float, float] | None:
        """Lowest and highest rate for a search: those alike, and one rate more at either end, below the edge."""
        places = np.flatnonzero(self.tried.alike)
        if not len(places):
            return None
        rates, end = self.tried.rates, self.tried.edge or len(self.tried.rates)
        return float(rates[max(places[0] - 1, 0)]), float(rates[min(places[-1] + 1, end - 1)])

    def fields(self) -> dict[str, Any]:
        """What the record of the test holds of this (`RangeRecord`)."""
        base, source = self.base
        return {
            "own": self.own,
            "members": self.losses.size,
            "rates": self._each_rate(),
            "untrained": self.tried.estimates(self.tried.untrained[None])[0],
            "sweep": self._sweep(),
            "edge": self.edge,
            "best": self.best,
            "alike": self.alike,
            "base": base,
            "base_source": source,
            "maximum": self.maximum,
            "search": self.search,
            "sentence": self.sentence(),
        }

    def scale(self) -> Scale:
        """What counts as a difference."""
        tried, metric = self.tried, self.tried.metric
        perfect = 1.0 if metric.higher_is_better else 0.0
        no_skill = float(np.nanmean(tried.no_skill))
        reference = float("nan") if tried.best is None else tried.score_of_best
        reason = rope_reason(no_skill, reference, metric.title, perfect=perfect)
        return Scale(
            no_skill=no_skill,
            reference=reference,
            reference_title="the best rate",
            rope=tried.rope,
            reason=reason.replace("the best reference row", "the best rate").replace("reference row", "rate")
            if tried.given_rope is None
            else "given with --rope",
        )

    def sentence(self) -> str:
        """The outcome in all."""
        tried, metric = self.tried, self.tried.metric
        if self.best is None or self.maximum is None:
            return f"Training failed at every one of the {len(tried.rates)} rates."
        others = len(self.alike) - 1
        told = (
            f"{rate(self.best)} is the best of {len(tried.rates)} constant learning rates ({metric.title} "
            f"{digits(tried.score_of_best)}{self._held_in_words()})"
        )
        if others:
            told += (
                f", and {others} other{'s' if others > 1 else ''} between {rate(self.alike[0])} and "
                f"{rate(self.alike[-1])} cannot be told apart from it"
            )
        broken = (
            f"training holds up to {rate(float(tried.rates[-1]))}, the highest"
            if self.edge is None
            else f"training breaks from {rate(self.edge)} on"
        )
        return f"{told}; {broken}. {self._own_in_words()}"

    def _held_in_words(self) -> str:
        """That scores were held back in the best rate's mean, where they were: the table's mean then is another."""
        tried = self.tried
        assert tried.best is not None
        worst = f"counting none as worse than {digits(tried.worst)}"
        return f", {worst}" if tried.is_held_back else ""

    def _own_in_words(self) -> str:
        """How the recipe's own rate fares: read at the nearest rate that was tried."""
        tried = self.tried
        if not self.own > 0:
            return f"Your rate of {self.own:g} cannot be placed among them."
        place = next_to(tried.rates, self.own)
        near = float(tried.rates[place])
        is_among = max(near / self.own, self.own / near) <= _ROUNDING
        start = f"Your rate of {rate(self.own)}" + (
            "" if is_among else f", or rather the nearest, {rate(near)},"
        )
        if place == tried.best:
            return f"{start} is that best one."
        if tried.alike[place]:
            return f"{start} is as good as can be told."
        return f"{start} {self._why_not(place)}."

    def _why_not(self, place: int) -> str:
        """What keeps a rate from being like the best one, in words: a predicate."""
        tried = self.tried
        assert tried.best is not None
        if tried.edge is not None and place >= tried.edge:
            return "lies beyond the edge"
        if tried.loses_more[place]:
            best = tried.lost[tried.best]
            return f"leaves {tried.lost[place]} of {tried.each} trainings without skill, the best one {best or 'none'}"
        other = tried.beside_best[place]
        assert other is not None
        return f"is worse than the best one, by {digits(abs(other.difference.value))}"

    def remarks(self) -> Iterator[str]:
        """What a person should know besides, a sentence each: above all where the two halves of the test differ."""
        tried, climbing = self.tried, self.climbing
        if not tried.has_skill:
            yield (
                "At no rate did half of the trainings end better than a prediction that ignores the inputs: the edge "
                "counts only trainings whose numbers are not finite, and caviar.diagnose may tell the cause."
            )
        elif tried.best is not None and not tried.beats_no_skill:
            yield (
                f"Even at the best rate the mean score is no better than that of a prediction that ignores the inputs "
                f"({digits(float(np.nanmean(tried.no_skill)))}), and {tried.lost[tried.best]} of {tried.each} "
                f"trainings are lost: the rate is not all that ails this model, and caviar.diagnose may tell the cause."
            )
        if tried.best == len(tried.rates) - 1 or tried.best == 0:
            end = "highest" if tried.best else "lowest"
            yield f"The best rate is the {end} that was tried: better ones may lie beyond it (--rates)."
        base, source = self.base
        if source == "constant rates" and tried.base == 0:
            yield "Already the lowest rate improves the untrained network clearly: a base may lie below it (--rates)."
        if source == "sweep" and base is not None:
            yield (
                f"No clear improvement over the untrained network was seen at constant rates, so the base of "
                f"{rate(base)} is where the loss begins to fall in the sweep."
            )
        elif source == "a quarter of the maximum" and base is not None:
            yield (
                f"No base was seen below the maximum, so that it is a quarter of that: {rate(base)} (Smith's rule of "
                f"thumb)."
            )
        swept = _at(climbing.rates, climbing.edge)
        if self._differ(swept, self.edge):
            yield (
                f"The two halves of the test differ about the edge: constant rates {_breaking('break', self.edge)}, "
                f"the sweep {_breaking('breaks', swept)}. In a sweep, a high rate is met after training at all lower "
                f"ones and for a few updates only; the constant rates are the ones to believe."
            )
        if self.best is not None:
            yield from self._remarks_beside(self.best)

    def _remarks_beside(self, best: float) -> Iterator[str]:
        """On the rate that a sweep suggests, and on the highest that is as good, beside the best one."""
        tried = self.tried
        steepest = _at(self.climbing.rates, self.climbing.steepest)
        place = None if steepest is None else next_to(tried.rates, steepest)
        if steepest is not None and place is not None and not tried.alike[place]:
            yield (
                f"The loss of the sweep falls fastest at {rate(steepest)}, the usual choice from such a curve, but of "
                f"the constant rates the nearest, {rate(float(tried.rates[place]))}, {self._why_not(place)}; the best "
                f"is {rate(best)}."
            )
        assert tried.best is not None
        assert tried.maximum is not None
        lost, of_best = tried.lost[tried.maximum], tried.lost[tried.best]
        if lost > of_best:
            yield (
                f"At {rate(float(tried.rates[tried.maximum]))}, the highest rate that is as good as can be told, "
                f"{lost} of {tried.each} trainings are lost, at the best one {of_best or 'none'}: too small a "
                f"difference to tell the two apart, and a reason to stay below."
            )

    def _differ(self, one: float | None, other: float | None) -> bool:
        """Whether two rates lie further apart than neighbours of the grid."""
        if one is None or other is None:
            return one is not other
        rates = self.tried.rates
        return max(one / other, other / one) > _ROUNDING * float((rates[1:] / rates[:-1]).max())

    def _each_rate(self) -> list[AtRateRecord]:
        tried = self.tried
        rows = zip(
            tried.rates,
            tried.estimates(tried.scores),
            tried.estimates(self.losses, bounds=False),
            tried.failed,
            tried.lost,
            tried.beside_best,
            tried.alike,
            tried.falls,
            strict=True,
        )
        return [
            AtRateRecord(
                rate=float(one),
                score=score,
                loss=loss,
                failed=int(failed),
                lost=int(lost),
                difference=None if beside is None else beside.difference,
                p_holm=None if beside is None else beside.p_holm,
                alike=bool(alike),
                falls=bool(falls),
            )
            for one, score, loss, failed, lost, beside, alike, falls in rows
        ]

    def _sweep(self) -> SweepRecord:
        climbing = self.climbing
        return SweepRecord(
            shape=self.shape,
            members=len(climbing.losses),
            window=climbing.window,
            rates=climbing.rates.tolist(),
            low=climbing.quantile(0.25).tolist(),
            median=climbing.median.tolist(),
            high=climbing.quantile(0.75).tolist(),
            base=_at(climbing.rates, climbing.base),
            steepest=_at(climbing.rates, climbing.steepest),
            lowest=_at(climbing.rates, climbing.lowest),
            edge=_at(climbing.rates, climbing.edge),
        )


def rate(value: float) -> str:
    """A learning rate as people write it.

    >>> rate(0.0031622), rate(1.7783e-5), rate(1000.0)
    ('0.00316', '1.78e-05', '1000')
    """
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def _breaking(verb: str, edge: float | None) -> str:
    return f"never {verb}" if edge is None else f"{verb} from {rate(edge)} on"


def _at(rates: np.ndarray, place: int | None) -> float | None:
    return None if place is None else float(rates[place])
