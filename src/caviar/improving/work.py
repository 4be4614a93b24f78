"""One run in progress: its stages, and what each of them leaves in the record."""

import time as clock
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from caviar.data.dataset import Dataset
from caviar.data.prepare import describe
from caviar.data.profile import profile
from caviar.data.split import make_splits, split_name
from caviar.diagnose.diagnosis import diagnose
from caviar.diagnose.evidence import Evidence
from caviar.diagnose.explain import explained
from caviar.doctor.examination import facts
from caviar.errors import OptionError
from caviar.estimate import Estimate
from caviar.evaluate.compare import rope_of, rope_reason
from caviar.evaluate.intervals import mean_estimate
from caviar.evaluate.metrics import Metric
from caviar.evaluate.reference import REFERENCES, no_skill_scores, score_references
from caviar.evaluate.variance import class_flips, spread
from caviar.improving.finish import Kept, finish, score_kept
from caviar.measuring.measure import Arm, Bench, measure
from caviar.measuring.table import REFERENCE_INPUTS, REFERENCE_SHARE, remarks_on
from caviar.measuring.trial import (
    Budget,
    Trial,
    choose,
    combinations,
    corrected_score,
    expected_steps,
    in_order,
    judge_trial,
    treated,
    try_some,
)
from caviar.pace import Pace, TooSlow
from caviar.planning.plan import Plan, can_be_smaller, hurried_plan, smaller_plan
from caviar.population import devices
from caviar.population.job import Enough, Monitor
from caviar.population.keep import Keep
from caviar.progress import Clock, OutOfTime, Voice
from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable, Remedy
from caviar.remedies.table import REMEDIES
from caviar.report.page import write_report
from caviar.run.folder import RECORD, REPORT, RunFolder
from caviar.run.record import PlanRecord, Record, RowRecord, TrialRecord

# Share of the budget: the baseline is one arm among about a dozen.
_BASELINE_SHARE = 0.2
# Seconds kept for what follows the baseline: the final model must be trained, whatever was measured.
_AFTERWARDS = 10.0
_FEWEST_EPOCHS = 5


@dataclass
class Work:
    """One run in progress: what it knows, and where that goes."""

    folder: RunFolder
    record: Record
    dataset: Dataset
    kept: Kept | None
    clock: Clock
    voice: Voice
    seed: int
    bench: Bench | None = None
    resumed: bool = False
    baseline: Arm | None = None
    chosen: Recipe | None = None

    def save(self, **fields: Any) -> None:  # noqa: ANN401
        """Put fields into the record and write it, then draw the report from it."""
        for name, value in fields.items():
            setattr(self.record, name, value)
        self.record.seconds = self.clock.spent()
        self.record.messages = list(self.voice.said)
        self.folder.notes.put("seconds", self.record.seconds)
        self.folder.save_record(self.record)
        if self.record.status != "running":
            write_report(self.folder.path)

    @contextmanager
    def stage(self, name: str, title: str) -> Iterator[None]:
        """A headline, and the stage's time in the record."""
        began = clock.monotonic()
        self.record.stage = name
        self.voice.stage(title)
        try:
            yield
        finally:
            self.record.stage_seconds[name] = clock.monotonic() - began

    def look(self, recipe: Recipe, bench: Bench) -> None:
        """What is in the table."""
        with self.stage("look", f"Look at {self.dataset.name}"):
            data = profile(self.dataset)
            data.preparation = describe(self.dataset.schema, recipe.preparation)
            data.n_inputs = bench.inputs(recipe.preparation).shape[2]
            data.test_rows = 0 if self.kept is None else len(self.kept.target)
            self.voice.say(f"  {data.rows:,} rows, {len(data.columns)} inputs. {data.task_reason}")
            for remark in data.remarks:
                if remark.level == "warning":
                    self.voice.say(f"  {remark.title}: {remark.text}")
            notice = devices.start().notice
            if notice:
                self.voice.note(notice)
            self.save(data=data)

    def measure(self, recipe: Recipe, bench: Bench, plan: Plan, *, epochs_given: bool) -> None:
        """The model as it is, and simple predictors on the same folds."""
        with self.stage("measure", "Measure the model as it is"):
            decided = self.folder.notes.get("plan")
            if decided is not None:
                plan = Plan(**decided)
                bench = replace(bench, splits=make_splits(self.dataset, plan.folds, plan.repeats, self.seed))
            elif self.clock.minutes is not None:
                hurried = hurried_plan(plan, self.clock.spent(), self.clock.minutes)
                if hurried is not plan:
                    plan = hurried
                    bench = replace(
                        bench, splits=make_splits(self.dataset, plan.folds, plan.repeats, self.seed)
                    )
            if plan.why:
                self.voice.note(plan.why)
            plan = self._baseline(recipe, bench, plan, epochs_given=epochs_given)
            bench, arm = self._measured()
            for remark in remarks_on(arm):
                self.voice.note(remark)
            arm.record.history = self.folder.save_history("baseline", arm.history)
            self.save(
                baseline=arm.record,
                plan=PlanRecord(
                    folds=plan.folds,
                    repeats=plan.repeats,
                    seeds=plan.seeds,
                    split=split_name(self.dataset),
                    reasons=[plan.why] if plan.why else [],
                    minutes=self.clock.minutes,
                    seed=self.seed,
                ),
                spread=None if arm.seed_scores is None else spread(arm.seed_scores),
            )
            self.voice.say(
                f"  {plan.repeats} × {plan.folds} folds, {plan.seeds} seeds in the first: {_said(arm, bench)}"
            )
            if self.record.spread is not None:
                self.voice.say(f"  {self.record.spread.sentence}")
            self._references()

    def _baseline(self, recipe: Recipe, bench: Bench, plan: Plan, *, epochs_given: bool) -> Plan:
        """Measure with the largest plan that the budget allows, and return it."""
        minutes = self.clock.minutes
        # A slow machine needs more time for what follows: getting ready showed how slow it is.
        afterwards = min(max(_AFTERWARDS, self.clock.spent()), 0.4 * 60 * (minutes or 1))
        while True:
            allowed = float("inf")
            if minutes is not None and can_be_smaller(plan):
                allowed = max(_BASELINE_SHARE * minutes * 60, 5.0)
            self.bench = bench
            self.folder.notes.put("plan", asdict(plan))
            pace = Pace(
                self.voice,
                self.clock,
                "the model as it is",
                allowed=allowed,
                reserve=0.0 if epochs_given else afterwards,
                enough=None if epochs_given else min(1.0, _FEWEST_EPOCHS / recipe.epochs),
            )
            try:
                self.baseline = measure(
                    bench,
                    recipe,
                    first_repeat_seeds=plan.seeds,
                    ask_fit=True,
                    monitor=pace,
                    keep=self._keep(f"baseline-{plan.repeats}x{plan.folds}"),
                    what="The recipe as it is.",
                )
            except TooSlow as slow:
                smaller = smaller_plan(plan, slow.seconds, allowed, minutes)
                assert smaller is not None
                plan = smaller
                self.voice.note(plan.why)
                bench = replace(bench, splits=make_splits(self.dataset, plan.folds, plan.repeats, self.seed))
            except (OutOfTime, Enough):
                raise _too_short(self.clock, self.dataset, recipe, self.clock.spent()) from None
            else:
                epochs = self.baseline.recipe.epochs
                if epochs < recipe.epochs:
                    self.voice.note(
                        f"{epochs} epochs instead of {recipe.epochs}, because the time given (--minutes) does not "
                        f"suffice for more: the network may not have learned all that it could."
                    )
                return plan

    def _references(self) -> None:
        bench, _ = self._measured()
        metrics = (bench.metric, *bench.shown)
        deadline = None
        if self.clock.minutes is not None:
            deadline = clock.monotonic() + min(
                REFERENCE_SHARE * self.clock.minutes * 60, max(0.0, self.clock.left(10))
            )
        indices = {id(split): i for i, split in enumerate(bench.splits)}
        inputs = bench.inputs(REFERENCE_INPUTS)
        began = clock.monotonic()
        fits = len(bench.splits) * len(REFERENCES)
        with self.voice.bar("reference rows", fits):
            scores = score_references(
                self.dataset,
                bench.splits,
                metrics,
                lambda split: inputs[indices[id(split)] if len(inputs) > 1 else 0],
                deadline=deadline,
                progress=lambda _done, _all: self.voice.advance(1),
            )
        seconds = clock.monotonic() - began
        references = [
            RowRecord(
                name=reference.name,
                title=reference.title,
                scores={
                    metric.name: mean_estimate(
                        scores[reference.name][metric.name],
                        bench.test_share,
                        n_rows=self.dataset.n_rows,
                        bounds=metric.bounds,
                    )
                    for metric in metrics
                },
                seconds=seconds / len(REFERENCES),
            )
            for reference in REFERENCES
        ]
        run = int(np.isfinite(scores[REFERENCES[-1].name][bench.metric.name]).sum())
        if run < len(bench.splits):
            self.voice.note(
                f"Reference rows were scored on {run} of {len(bench.splits)} folds to keep to the time."
            )
        for row in references:
            value = row.scores[bench.metric.name].value
            self.voice.say(f"  {row.title}: {bench.metric.title} {value:.4g}")
        self.save(references=references, no_skill=no_skill_scores(self.dataset, metrics, bench.splits))

    def diagnose(self, rope: float | None) -> None:
        """What is wrong, in the order learning, generalization, prediction."""
        with self.stage("diagnose", "Diagnose"):
            bench, arm = self._measured()
            evidence = _evidence(bench, arm, self.record, rope)
            found = diagnose(evidence, REMEDIES)
            self.voice.say(f"  {found.sentence}")
            for finding in found.findings:
                if finding.outcome == "found":
                    self.voice.say(f"  {finding.code} {finding.title}: {finding.sentence}")
                elif finding.outcome == "suspected":
                    tells = "The trial will tell." if finding.remedies else finding.by_hand
                    self.voice.say(f"  {finding.code} {finding.title}: {finding.sentence} {tells}")
            reason = rope_reason(
                *_anchors(bench, self.record), bench.metric.title, perfect=_perfect(bench.metric)
            )
            if rope is not None:
                reason = "given with --rope"
            self.save(diagnosis=found, trial=TrialRecord(rope=evidence.rope, rope_reason=reason))

    def treat(self) -> None:
        """Every remedy that applies, on the same folds and seeds; then what helps, together."""
        with self.stage("treat", "Treat"):
            bench, arm = self._measured()
            record = self.record.trial
            assert record is not None
            assert self.record.diagnosis is not None
            named = [name for f in self.record.diagnosis.findings for name in f.remedies]
            # The final model must still be trained: about what one member took, for each member it may have.
            per_member = arm.seconds / max(1, arm.record.members)
            reserve = 12.0 + 6 * per_member * (1 + bench.test_share)
            budget = Budget(lambda: self.clock.left(reserve))
            given_up = self.folder.notes.get("out of time") or []  # before the run was stopped

            order = in_order(REMEDIES, named)
            ahead = {remedy.name: _steps_ahead(bench, arm, remedy) for remedy in order}

            def monitor_of(recipe: Recipe) -> Monitor:
                names = list(ahead)
                left = names[names.index(recipe.name) :] if recipe.name in ahead else []
                self.voice.expect(
                    sum(ahead[name] for name in left) or expected_steps(bench, recipe, known=arm)
                )
                return Pace(self.voice, self.clock, recipe.title, reserve=reserve)

            trial = Trial(arm)

            def done(tried: Arm) -> None:
                tried.record.history = self.folder.save_history(tried.recipe.name, tried.history)
                self.voice.say(f"  {tried.recipe.title}: {_said(tried, bench)}")
                record.arms.append(tried.record)
                # Judged after every arm: a run that is stopped has verdicts on what it tried.
                record.comparisons, record.skipped = judge_trial(bench, trial, record.rope), trial.skipped
                self.save()

            with self.voice.bar("remedies", sum(ahead.values())):
                for remedies in ([remedy] for remedy in order):
                    self._try(bench, trial, remedies, budget, given_up, monitor_of, done, record.rope)
                for together in combinations(record.comparisons, REMEDIES):
                    self._try(bench, trial, together, budget, given_up, monitor_of, done, record.rope)
            record.skipped = trial.skipped
            self.record.diagnosis = explained(
                self.record.diagnosis, record.comparisons, REMEDIES, unfit=trial.unfit
            )
            record.chosen, record.chosen_reason = choose(bench, trial, record.comparisons, record.rope)
            corrected = corrected_score(bench, trial) if record.chosen != "baseline" else None
            if corrected is not None:
                record.naive_score, record.corrected_score = corrected
            self.chosen = trial.arm(record.chosen).recipe
            self.voice.say(f"  {record.chosen_reason}")
            out_of_time = [s.title for s in record.skipped if s.is_late]
            if out_of_time:
                self.voice.note(f"Not tried for lack of time: {', '.join(out_of_time)}. Give more minutes.")
            self.save()

    def _try(
        self,
        bench: Bench,
        trial: Trial,
        remedies: Sequence[Remedy],
        budget: Budget,
        given_up: list[str],
        monitor_of: Callable[[Recipe], Monitor],
        done: Callable[[Arm], None],
        rope: float,
    ) -> None:
        """One arm; what was given up for lack of time stays given up when the run is resumed."""
        name = "+".join(remedy.name for remedy in remedies)
        if name in given_up:
            budget = Budget(lambda: float("-inf"))
        skipped = len(trial.skipped)
        try_some(
            bench,
            trial,
            [remedies],
            budget,
            monitor_of,
            done,
            lambda recipe: self._keep(recipe.name),
            rope=rope,
        )
        if any(skip.is_late for skip in trial.skipped[skipped:]) and name not in given_up:
            given_up.append(name)
            self.folder.notes.put("out of time", given_up)

    def _keep(self, name: str) -> Keep:
        return Keep(self.folder.training(name))

    def finish(self) -> None:
        """The chosen recipe on all rows, saved and scored on rows kept apart."""
        with self.stage("finish", "Finish"):
            assert self.chosen is not None
            # Not bounded: time was kept back for it, and a run without its model would be worth less.
            monitor = Pace(self.voice, self.clock, "final model", reserve=float("-inf"))
            model, final = finish(self.folder, self.record, self.dataset, self.chosen, self.seed, monitor)
            if self.kept is not None:
                bench, _ = self._measured()
                final.test = score_kept(model, self.kept, (bench.metric, *bench.shown))
                final.test_rows = len(self.kept.target)
            self.voice.say(f"  {final.sentence}")
            self.save(final=final)

    def interrupted(self) -> None:
        """Keep what was learned before Ctrl-C, and draw it."""
        self.voice.note(
            f"Stopped by hand during the stage {self.record.stage!r}; what was learned before is kept."
        )
        self.save(status="interrupted")
        self.voice.say(f"  {self.folder.path / REPORT} shows it; `caviar resume {self.folder.path}` goes on.")

    def broken_off(self) -> None:
        """Keep what was learned before an error; a folder that holds nothing yet is taken away again."""
        if self.record.baseline is None and self.resumed:
            return  # what an earlier process left is still there
        if self.record.baseline is None:
            (self.folder.path / RECORD).unlink(missing_ok=True)
            self.folder.forget_training()
            with suppress(OSError):  # it holds something after all, or is where somebody stands
                self.folder.path.rmdir()
        else:
            self.save(status="interrupted")

    def done(self) -> None:
        """The run is finished: only what a person wants stays."""
        self.save(status="finished", stage="done")
        self.folder.forget_training()

    def _measured(self) -> tuple[Bench, Arm]:
        assert self.bench is not None
        assert self.baseline is not None
        return self.bench, self.baseline


def _too_short(given: Clock, dataset: Dataset, recipe: Recipe, seconds: float) -> OptionError:
    return OptionError(
        f"Expected the time given to suffice for measuring the model, but with {dataset.n_rows:,} rows and "
        f"{recipe.epochs} epochs that alone takes about {max(seconds, 1):.0f} s or more, and {given.minutes:g} "
        f"minutes were given for everything. Give more minutes, or fewer epochs."
    )


def _steps_ahead(bench: Bench, arm: Arm, remedy: Remedy) -> int:
    """Gradient steps that trying a remedy takes; none if it does not apply, or its networks are known."""
    try:
        return expected_steps(bench, treated(arm.recipe, [remedy]), known=arm)
    except NotApplicable:
        return 0


def _best_reference(bench: Bench, record: Record) -> Estimate:
    """The best score among reference rows."""
    scores = [row.scores[bench.metric.name] for row in record.references]
    known = [score for score in scores if np.isfinite(score.value)]
    return (max if bench.metric.higher_is_better else min)(known, key=lambda score: score.value)


def _anchors(bench: Bench, record: Record) -> tuple[float, float]:
    """Score of no skill, and the best score among reference rows."""
    return record.no_skill[bench.metric.name], _best_reference(bench, record).value


def _perfect(metric: Metric) -> float:
    """The best that a score can be: 1 where more is better, else 0."""
    return 1.0 if metric.higher_is_better else 0.0


def _evidence(bench: Bench, arm: Arm, record: Record, rope: float | None) -> Evidence:
    no_skill, best = _anchors(bench, record)
    curves = arm.history
    assert arm.sample is not None
    model, given = facts(bench, arm.recipe, *arm.sample)
    return Evidence(
        loss=curves["loss"].values,
        held_out_loss=curves["held_out_loss"].values if "held_out_loss" in curves else None,
        scores=arm.scores[bench.metric.name],
        fit_scores=arm.fit_scores,
        seed_scores=arm.seed_scores,
        flips=class_flips(arm.seed_oof) if bench.dataset.is_classification else None,
        failed=arm.failed,
        higher_is_better=bench.metric.higher_is_better,
        no_skill=no_skill,
        best_reference=best,
        rope=rope_of(no_skill, best, perfect=_perfect(bench.metric)) if rope is None else rope,
        spread=record.spread,
        metric=bench.metric.title,
        reference=_best_reference(bench, record),
        model=model,
        data=given,
        one_class=arm.one_class,
    )


def _said(arm: Arm, bench: Bench) -> str:
    estimate = arm.record.scores[bench.metric.name]
    failed = (
        f"; {arm.record.failed_members} of {arm.record.members} diverged" if arm.record.failed_members else ""
    )
    return (
        f"{bench.metric.title} {estimate.value:.4g} (95 % interval {estimate.low:.4g} to {estimate.high:.4g}), "
        f"{arm.record.members} trainings in {arm.record.seconds:.0f} s{failed}"
    )
