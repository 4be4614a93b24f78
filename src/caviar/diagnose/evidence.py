"""What the checks may look at: numbers on named axes, and nothing that trains."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from caviar.diagnose.facts import DataFacts, ModelFacts
from caviar.diagnose.results import Differences, OneBatch, Permuted, RangeTest
from caviar.estimate import Estimate
from caviar.evaluate.calibration import Calibration
from caviar.evaluate.neighbours import NearDuplicates
from caviar.run.record import ExperimentRecord, SpreadRecord


@dataclass(frozen=True, eq=False)
class Evidence:
    """The baseline as it was measured; everything a check reads.

    Attributes:
        loss: Training loss (member, epoch); NaN after a stop.
        held_out_loss: Loss on the held-out rows (member, epoch), or None where it was not recorded.
        scores: Deciding score on held-out rows (repeat, fold); NaN where training failed.
        fit_scores: Deciding score on the training rows (repeat, fold), or None.
        seed_scores: Deciding score by (fold, seed), or None.
        flips: Share of rows whose predicted class differs between seeds, or None.
        failed: Which members gave numbers that are not finite (member,).
        higher_is_better: Direction of the deciding score.
        no_skill: Deciding score of a constant prediction.
        best_reference: Best deciding score among linear model and boosted trees, or None.
        rope: Smallest difference that counts, in the score's unit.
        spread: Spread due to split and seed, or None.
        metric: What the score is called.
        reference: The best reference row's score with its interval, or None where only its value is known.
        model: What the model is made of, or None where it was not looked into.
        data: What it is given, likewise.
        probes: What went on inside the members (`History.probes`), or None.
        one_class: Which members predict one class for all held-out rows (member,); None for quantities.
        each: Deciding score (repeat, fold, seed) of single networks, or None.
        stops: Epochs trained (fold, seed) where trainings stopped early, like `seed_scores`; None if none did.
        calibration: How probabilities of held-out rows and hits agree, or None.
        near: How held-out rows that nearly repeat training rows are scored, or None.
        experiments: Which experiments were run, and why the others were not.
        one_batch: What the experiment of that name yields, or None where it was not run; likewise the next ones.
        permuted: How well shuffled labels are learned.
        range_test: What rates over many orders of magnitude lead to.
        differences: How gradients compare with differences of the loss.
    """

    loss: np.ndarray
    held_out_loss: np.ndarray | None
    scores: np.ndarray
    fit_scores: np.ndarray | None
    seed_scores: np.ndarray | None
    flips: float | None
    failed: np.ndarray
    higher_is_better: bool
    no_skill: float
    best_reference: float | None
    rope: float
    spread: SpreadRecord | None
    metric: str
    reference: Estimate | None = None
    model: ModelFacts | None = None
    data: DataFacts | None = None
    probes: xr.Dataset | None = None
    one_class: np.ndarray | None = None
    each: np.ndarray | None = None
    stops: np.ndarray | None = None
    calibration: Calibration | None = None
    near: NearDuplicates | None = None
    experiments: tuple[ExperimentRecord, ...] = ()
    one_batch: OneBatch | None = None
    permuted: Permuted | None = None
    range_test: RangeTest | None = None
    differences: Differences | None = None

    def untried(self, name: str) -> str:
        """Why an experiment has yielded nothing, as a fragment of a sentence."""
        known = next((one for one in self.experiments if one.name == name), None)
        if known is None or known.outcome == "not asked for":
            return "nothing that was seen asked for the experiment"
        return known.sentence.rstrip(".")

    def tested_rates(self) -> tuple[str, dict[str, float]]:
        """What a range test says, to be added to a sentence and its numbers; nothing where none was run."""
        if self.range_test is None:
            return "", {}
        return f" {self.range_test.in_words()}", self.range_test.numbers()

    def better_by(self, score: np.ndarray, reference: float) -> np.ndarray:
        """How much better a score is than a reference; negative if worse."""
        return score - reference if self.higher_is_better else reference - score

    @property
    def has_reference(self) -> bool:
        """Whether a reference row beats a constant prediction by more than what counts as a difference."""
        if self.best_reference is None:
            return False
        return bool(self.better_by(np.array(self.best_reference), self.no_skill) > self.rope)

    @property
    def distance(self) -> float:
        """From no skill to the best that anything reached, never below the rope: the scale for differences.

        What reached it may be a reference row or the network itself, on held-out rows.
        """
        known = self.scores[np.isfinite(self.scores)]
        reached = [float(known.mean())] if len(known) else []
        reached += [] if self.best_reference is None else [self.best_reference]
        gains = self.better_by(np.array([*reached, self.no_skill]), self.no_skill)
        return max(float(gains.max()), self.rope)
