"""One look at a measured recipe: what checks see, and what changes when its causes are taken away."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.stats import mannwhitneyu

from caviar.data.profile import suspect_columns
from caviar.diagnose.diagnosis import BEFORE_TRAINING, concluded, diagnose
from caviar.diagnose.evidence import Evidence
from caviar.diagnose.explain import (
    LONGER,
    STOPPING,
    TIED,
    TOO_SMALL,
    as_cures_of,
    candidates,
    explained,
    helps_as_larger,
    in_time,
    is_clear,
    large_enough,
    larger,
    may_be_beside,
    names_a_fault,
)
from caviar.diagnose.facts import DataFacts, ModelFacts, data_facts
from caviar.doctor.anatomy import model_facts
from caviar.estimate import Estimate
from caviar.evaluate.calibration import Calibration, calibration
from caviar.evaluate.compare import rope_of
from caviar.evaluate.intervals import mean_estimate
from caviar.evaluate.neighbours import NearDuplicates, near_duplicates
from caviar.evaluate.reference import REFERENCES, no_skill_scores, score_references
from caviar.evaluate.shift import shift_estimate
from caviar.evaluate.variance import class_flips, spread
from caviar.experiments.run import conducted
from caviar.measuring.measure import Arm, Bench, measure
from caviar.measuring.repeats import outdone
from caviar.measuring.table import REFERENCE_INPUTS
from caviar.measuring.trial import Budget, Trial, combinations, judge_trial, judge_useless, try_some
from caviar.pace import Pace
from caviar.population.job import Monitor
from caviar.progress import Clock, Voice
from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import Remedy
from caviar.remedies.table import REMEDIES
from caviar.run.record import ComparisonRecord, DiagnosisRecord

FOLDS, REPEATS, SEEDS, FIRST_SEEDS = 5, 3, 3, 5
"""Folds, repeats and seeds per fold of an examination, and seeds of the first repeat, which tell seed from split."""
MOST_REMEDIES = 12
"""Remedies that a diagnosis tries, to tell causes from harmless oddities."""


@dataclass(frozen=True, eq=False)
class Findings:
    """What a round of examination saw and tried.

    Attributes:
        record: The diagnosis, with the outcome of every check.
        trial: The model as it was, and the remedies that were tried on it.
        comparisons: Each of them beside the model as it was.
        evidence: What the checks read.
    """

    record: DiagnosisRecord
    trial: Trial
    comparisons: list[ComparisonRecord]
    evidence: Evidence


@dataclass
class Examination:
    """A model on a bench, and everything that was learned of it.

    Attributes:
        bench: Rows, splits, seeds and scores.
        voice: Says what happens.
        clock: How long it may take.
        validation: Inputs of rows (row, column) that the person watches while training; None if there are none.
    """

    bench: Bench
    voice: Voice
    clock: Clock
    validation: np.ndarray | None = None
    _shift: Estimate | None = None
    _columns: tuple[tuple[str, ...], tuple[tuple[str, float], ...]] | None = None
    _references: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    def baseline(self, recipe: Recipe) -> Arm:
        """A recipe as it is, with curves, probes, and several seeds on the folds of the first repeat.

        Raises:
            OutOfTime: The time given does not suffice.
        """
        return measure(
            self.bench,
            recipe,
            first_repeat_seeds=FIRST_SEEDS,
            seeds=SEEDS,
            ask_fit=True,
            probe=True,
            monitor=self._monitor(recipe),
            what="The recipe as it is.",
        )

    def look(self, arm: Arm) -> Findings:
        """What checks see in a measured recipe, and in the experiments that they ask for; no remedy is tried yet."""
        evidence = self.evidence(arm)
        evidence = conducted(
            self.bench,
            arm,
            evidence,
            diagnose(evidence, REMEDIES),
            lambda title: Pace(self.voice, self.clock, title),
        )
        tested = None if evidence.range_test is None else evidence.range_test.prefers()
        arm = replace(arm, recipe=replace(arm.recipe, tested_rate=tested))
        sign = 1 if evidence.higher_is_better else -1
        worst = evidence.no_skill - sign * evidence.distance
        return Findings(
            diagnose(evidence, REMEDIES), Trial(arm, worst=worst, higher_is_better=sign > 0), [], evidence
        )

    def tell(self, seen: Findings, *, most: int = MOST_REMEDIES) -> Findings:
        """Take away what was seen, one thing at a time, and tell causes from harmless oddities.

        Args:
            seen: What was seen.
            most: Remedies to try.
        """
        if seen.record.area == "no signal":
            return seen
        by_name = {remedy.name: remedy for remedy in REMEDIES}
        useless = no_room(seen)
        asked_for = [
            by_name[name]
            for name in candidates(seen.record, REMEDIES)
            if by_name[name].explains and name not in useless
        ]
        tried = self.tried(seen, asked_for, most=most, diagnosing=True)
        remedies = _cures(seen)
        enough = large_enough(
            tried.comparisons,
            remedies,
            lambda name: fits_by(tried.trial, tried.trial.arm(name)),
            tried.evidence.rope,
        )
        record = explained(
            tried.record, tried.comparisons, remedies, unfit=tried.trial.unfit | useless, no_cause=enough
        )
        late = sum(skip.is_late for skip in tried.trial.skipped)
        if record.area == "healthy" and late:
            asked = late + len(tried.trial.arms)
            sentence = (
                f"Nothing is shown to be wrong, but the time ended before {late} of the {asked} remedies for what "
                f"looks suspicious could be tried. Give more minutes."
            )
            record = record.model_copy(update={"sentence": sentence})
        return Findings(record, tried.trial, tried.comparisons, tried.evidence)

    def tried(
        self,
        seen: Findings,
        remedies: list[Remedy],
        *,
        most: int = len(REMEDIES),
        diagnosing: bool = False,
    ) -> Findings:
        """The same after some more remedies.

        Args:
            seen: What was seen and tried before.
            remedies: What to try; what was tried before is not tried again.
            most: Remedies to try, with those tried before.
            diagnosing: Only tell causes: stop as soon as one that was seen explains most of what is wrong, and give
                up what is surely outdone.
        """
        trial, rope = seen.trial, seen.evidence.rope
        done = trial.known
        left = [remedy for remedy in remedies if remedy.name not in done]
        with self.voice.bar("remedies", 0):
            while left and (room := most - len(trial.arms)) > 0:
                # One family at a time, what differs only in numbers trains as one population; but only of those
                # whose turn it is: a large family leaves room for others.
                some = [remedy for remedy in left[:room] if remedy.family == left[0].family]
                left = [remedy for remedy in left if remedy not in some]
                self._try(seen, [[remedy] for remedy in some], diagnosing=diagnosing)
                judged = judge_trial(self.bench, trial, rope)
                if diagnosing and is_clear(seen.record, judged, REMEDIES, seen.evidence.distance):
                    break
            self._try_longer(seen, judge_trial(self.bench, trial, rope))
            self._try_in_time(seen, judge_trial(self.bench, trial, rope))
        judged = judge_useless(self.bench, trial, rope, judge_trial(self.bench, trial, rope))
        return Findings(seen.record, trial, judged, seen.evidence)

    def combined(self, seen: Findings) -> Findings:
        """The same with what helps in combination: cures with cures, and averages with averages."""
        trial, rope = seen.trial, seen.evidence.rope
        for averages in (False, True):
            some = [remedy for remedy in REMEDIES if remedy.averages == averages]
            names = {remedy.name for remedy in some}
            done = trial.known
            judged = judge_trial(self.bench, trial, rope)
            for together in combinations([c for c in judged if c.remedy in names], some):
                if "+".join(remedy.name for remedy in together) not in done:
                    self._try(seen, [together])
        judged = judge_useless(self.bench, trial, rope, judge_trial(self.bench, trial, rope))
        return Findings(seen.record, trial, judged, seen.evidence)

    def _try_longer(self, seen: Findings, judged: list[ComparisonRecord]) -> None:
        """Where a larger network helps, see whether the same one would too if it were trained for longer."""
        trial = seen.trial
        done = trial.known
        if LONGER not in done and helps_as_larger(judged, REMEDIES):
            self._try(seen, [[remedy for remedy in REMEDIES if remedy.name == LONGER]])

    def _try_in_time(self, seen: Findings, judged: list[ComparisonRecord]) -> None:
        """Try remedies that fit the training rows better, but score worse, with training stopped in time."""
        trial = seen.trial
        done = trial.known
        hidden = in_time(
            seen.record, judged, REMEDIES, lambda name: fits_better(trial.arm(name), trial.baseline)
        )
        stopping = next(remedy for remedy in REMEDIES if remedy.name == STOPPING)
        pairs = [[one for one in REMEDIES if one in (remedy, stopping)] for remedy in hidden]
        pairs = [pair for pair in pairs if "+".join(remedy.name for remedy in pair) not in done]
        if pairs and stopping.name not in done:
            self._try(seen, [[stopping]])
        for pair in pairs:
            self._try(seen, [pair])

    def _try(self, seen: Findings, choices: list[list[Remedy]], *, diagnosing: bool = False) -> None:
        try_some(
            self.bench,
            seen.trial,
            choices,
            Budget(self.clock.left),
            self._monitor,
            self._said,
            seeds=SEEDS,
            ask_fit=True,
            show=False,
            rope=seen.evidence.rope,
            is_outdone=lambda remedies, arm: diagnosing and self._is_outdone(seen, remedies, arm),
        )

    def _is_outdone(self, seen: Findings, remedies: Sequence[Remedy], arm: Arm) -> bool:
        """Whether what was begun need not be trained on, as something that was tried surely gains more.

        It goes on where it may still tell something: which of two causes a fault has, or that there are two; or that
        there is one at all, where only what helps whatever is wrong gains more.

        Args:
            seen: What was seen and tried.
            remedies: What was begun.
            arm: The first repeat of it.
        """
        trial, rope = seen.trial, seen.evidence.rope
        cures = {remedy.name: remedy for remedy in _cures(seen)}
        begun = [cures[remedy.name] for remedy in remedies]
        helping = [
            c for c in judge_trial(self.bench, trial, rope) if c.verdict == "helps" and "+" not in c.remedy
        ]
        mains = [cures[c.remedy] for c in helping]
        if any(one.cures == TOO_SMALL for one in (*mains, *begun)):  # told from luck by what else helps
            return False
        names = any(names_a_fault(seen.record, remedy) for remedy in begun)
        ahead = [
            c
            for c, main in zip(helping, mains, strict=True)
            if (names_a_fault(seen.record, main) or not names)
            and not any(may_be_beside(seen.record, remedy, main) for remedy in begun)
        ]
        if not ahead:
            return False
        best = max(ahead, key=lambda c: c.difference.value)
        beside = trial.compared(self.bench, trial.arm(best.remedy), arm, rope)
        return outdone(beside, max(rope, TIED * best.difference.value))

    def _monitor(self, recipe: Recipe) -> Monitor:
        return Pace(self.voice, self.clock, recipe.title)

    def _said(self, arm: Arm) -> None:
        score = arm.record.scores[self.bench.metric.name]
        self.voice.say(f"  {arm.recipe.title}: {self.bench.metric.title} {score.value:.4g}")

    def refused(self, recipe: Recipe) -> DiagnosisRecord:
        """What checks see in a model that Keras refuses to train on this target: what does not fit is found."""
        inputs = self.bench.inputs(recipe.preparation)[0]
        model, given = facts(self.bench, recipe, inputs, self.bench.dataset.target)
        nothing = np.full(self.bench.shape, np.nan)
        evidence = Evidence(
            loss=np.full((1, 1), np.nan),
            held_out_loss=None,
            scores=nothing,
            fit_scores=None,
            seed_scores=None,
            flips=None,
            failed=np.ones(1, bool),
            higher_is_better=self.bench.metric.higher_is_better,
            no_skill=np.nan,
            best_reference=None,
            rope=np.nan,
            spread=None,
            metric=self.bench.metric.title,
            model=model,
            data=given,
        )
        seen = diagnose(evidence, REMEDIES, BEFORE_TRAINING)
        unfit = {"last_activation", "loss_function", "output_shape", "target_encoding"}
        findings = [
            f.model_copy(update={"outcome": "found"}) if f.outcome == "suspected" and f.fault in unfit else f
            for f in seen.findings
        ]
        return concluded(findings)

    def evidence(self, arm: Arm) -> Evidence:
        """Everything that checks may read of a measured recipe."""
        bench, data = self.bench, self.bench.dataset
        metric = bench.metric
        best = self._best_reference()
        no_skill = no_skill_scores(data, [metric], bench.splits)[metric.name]
        assert arm.sample is not None
        model, given = facts(bench, arm.recipe, *arm.sample)
        given = self._with_columns(self._with_validation(given))
        return Evidence(
            loss=arm.history["loss"].values,
            held_out_loss=arm.history["held_out_loss"].values if "held_out_loss" in arm.history else None,
            scores=arm.scores[metric.name],
            fit_scores=arm.fit_scores,
            seed_scores=arm.seed_scores,
            flips=class_flips(arm.seed_oof) if data.is_classification else None,
            failed=arm.failed,
            higher_is_better=metric.higher_is_better,
            no_skill=no_skill,
            best_reference=best.value,
            rope=rope_of(no_skill, best.value, perfect=1.0 if metric.higher_is_better else 0.0),
            spread=None if arm.seed_scores is None else spread(arm.seed_scores),
            metric=metric.title,
            reference=best,
            model=model,
            data=given,
            probes=arm.probes,
            one_class=arm.one_class,
            each=arm.each if arm.each.shape[2] > 1 else None,
            stops=_stops(arm),
            calibration=self._calibration(arm),
            near=self._near(arm),
        )

    def _calibration(self, arm: Arm) -> Calibration | None:
        data = self.bench.dataset
        if not data.is_classification or data.weight is not None:
            return None
        return calibration(data.target, arm.oof[0], seed=self.bench.seed)

    def _near(self, arm: Arm) -> NearDuplicates | None:
        if arm.row_losses is None or arm.sample is None:
            return None
        first = [split for split in self.bench.splits if split.repeat == 0]
        return near_duplicates(arm.sample[0], first, arm.row_losses, seed=self.bench.seed)

    def _with_columns(self, given: DataFacts) -> DataFacts:
        if self._columns is None:
            self._columns = suspect_columns(self.bench.dataset)
        return replace(given, identifiers=self._columns[0], leaking=self._columns[1])

    def _with_validation(self, given: DataFacts) -> DataFacts:
        rows = self.validation
        if rows is None:
            return given
        if self._shift is None and len(rows) >= 5:
            self._shift = shift_estimate(self.bench.dataset.features, rows)
        return replace(given, shift=self._shift, validation_rows=len(rows))

    def _best_reference(self) -> Estimate:
        """The best score of a simple predictor, on the folds of the first repeat."""
        bench = self.bench
        if not self._references:
            splits = [split for split in bench.splits if split.repeat == 0]
            inputs = bench.inputs(REFERENCE_INPUTS)
            places = {id(split): i for i, split in enumerate(bench.splits)}
            self._references = score_references(
                bench.dataset,
                splits,
                [bench.metric],
                lambda split: inputs[places[id(split)] if len(inputs) > 1 else 0],
            )
        scores = [
            mean_estimate(
                self._references[reference.name][bench.metric.name],
                bench.test_share,
                n_rows=bench.dataset.n_rows,
                bounds=bench.metric.bounds,
            )
            for reference in REFERENCES
        ]
        known = [score for score in scores if np.isfinite(score.value)]
        return (max if bench.metric.higher_is_better else min)(known, key=lambda score: score.value)


def _cures(seen: Findings) -> list[Remedy]:
    """All remedies, as what they take away from the model that was looked at, and its data."""
    model = seen.evidence.model
    if model is None:
        return list(REMEDIES)
    return as_cures_of(REMEDIES, model.optimizer, model.rate, seen.evidence.data)


def fits_better(arm: Arm, than: Arm, *, p: float = 0.01) -> bool:
    """Whether trainings of one arm end with lower training losses than those of another.

    Args:
        arm: The one.
        than: The other.
        p: Of Mann and Whitney's one-sided test.
    """
    ends = [arm_ends[np.isfinite(arm_ends)] for arm_ends in (_last_losses(arm), _last_losses(than))]
    if not all(len(some) for some in ends):
        return False
    return bool(mannwhitneyu(*ends, alternative="less").pvalue < p)


def fits_by(trial: Trial, arm: Arm) -> float:
    """How much better an arm scores its training rows than the baseline does its own; NaN where it is not known."""
    if arm.fit_scores is None or trial.baseline.fit_scores is None:
        return float("nan")
    repeats = len(arm.fit_scores)
    gains = trial.held(arm.fit_scores) - trial.held(trial.baseline.fit_scores[:repeats])
    return float((gains if trial.higher_is_better else -gains).mean())


def no_room(seen: Findings) -> set[str]:
    """Names of remedies that make the network larger, where none can fit the training rows better by what counts.

    A network is too small only where a larger one does. Larger ones take the longest to try.
    """
    trial, fits = seen.trial, seen.trial.baseline.fit_scores
    if fits is None:
        return set()
    reached = float(np.nanmean(trial.held(fits)))
    to_perfect = 1 - reached if trial.higher_is_better else reached
    return larger(REMEDIES) if to_perfect <= seen.evidence.rope else set()


def _last_losses(arm: Arm) -> np.ndarray:
    """Training loss at the end (member,); NaN where none was recorded."""
    curves = arm.history["loss"].values.astype(np.float64)
    return np.array([c[np.isfinite(c)][-1] if np.isfinite(c).any() else np.nan for c in curves])


def _stops(arm: Arm) -> np.ndarray | None:
    """Epochs (fold, seed) that the members of the first repeat were trained; None where none stopped early."""
    if arm.seed_scores is None:
        return None
    first = arm.history["loss"].values[arm.history["repeat"].values == 0]
    epochs = np.isfinite(first).sum(axis=1)
    if len(epochs) != arm.seed_scores.size or arm.failed.any() or (epochs == first.shape[1]).all():
        return None
    return np.asarray(epochs.reshape(arm.seed_scores.shape))


def facts(bench: Bench, recipe: Recipe, x: np.ndarray, y: np.ndarray) -> tuple[ModelFacts, DataFacts]:
    """What a recipe's model is made of, and what it is given on a bench.

    Args:
        bench: Rows and splits.
        recipe: Whose model.
        x: Inputs of all rows as the network gets them (row, input).
        y: Targets of all rows, likewise.
    """
    data, train = bench.dataset, bench.splits[0].train
    classes, raw = len(data.schema.classes), data.given
    hot = classes > 0 and raw is not None and raw.ndim > 1 and raw.shape[1] > 1
    build = recipe.build(x.shape[1], data.n_outputs)
    return model_facts(recipe, build, (x[train], y[train]), len(train)), data_facts(
        x,
        data.target if classes else y.reshape(len(y), -1),
        task=data.task,
        n_classes=classes,
        raw=raw,
        kind="one-hot" if hot else "codes" if classes else "values",
        given=recipe.given,
        identical=data.identical,
        # A table's gaps are filled by its preparation; arrays are taken as they are.
        missing=0 if raw is None else int((~np.isfinite(data.features)).sum()),
    )
