"""The one loop: look → measure → diagnose → treat → finish → report."""

import importlib.metadata
import os
import platform
import time as clock
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from caviar.data.dataset import Dataset
from caviar.data.load import load, load_test
from caviar.data.prepare import PreparationPlan, describe
from caviar.data.profile import profile
from caviar.data.split import make_splits, split_name
from caviar.diagnose.diagnosis import diagnose
from caviar.diagnose.evidence import Evidence
from caviar.errors import OptionError
from caviar.evaluate.compare import rope_of, rope_reason
from caviar.evaluate.estimate import Estimate
from caviar.evaluate.intervals import mean_estimate
from caviar.evaluate.metrics import Metric, default_metric, find_metric, shown_metrics
from caviar.evaluate.reference import REFERENCES, no_skill_scores, score_references
from caviar.evaluate.variance import spread
from caviar.finish import Kept, finish, score_kept
from caviar.measure import Arm, Bench, make_fitting, measure, seats_for
from caviar.model.finished import can_be_kept
from caviar.pace import Pace, TooSlow
from caviar.plan import Plan, can_be_smaller, first_plan, hurried_plan, smaller_plan
from caviar.population import devices
from caviar.population.job import Enough, Monitor
from caviar.population.template import make_template
from caviar.progress import Clock, OutOfTime, Voice
from caviar.recipe.builder import Builder, load_builder
from caviar.recipe.recipe import Recipe
from caviar.recipe.table_model import table_recipe, usual_training
from caviar.remedies.contract import NotApplicable, Remedy
from caviar.remedies.table import REMEDIES
from caviar.report.page import write_report
from caviar.results import Run
from caviar.run.folder import RECORD, REPORT, RunFolder, make_run_folder
from caviar.run.record import MetricRecord, PlanRecord, Record, RowRecord, TrialRecord
from caviar.trial import (
    Budget,
    Trial,
    choose,
    combination,
    corrected_score,
    expected_steps,
    in_order,
    judge_trial,
    treated,
    try_one,
)

# Shares of the budget: the baseline is one arm among about a dozen, reference rows are a side dish.
_BASELINE_SHARE, _REFERENCE_SHARE = 0.2, 0.1
# Seconds kept for what follows the baseline: the final model must be trained, whatever was measured.
_AFTERWARDS = 10.0
_FEWEST_EPOCHS = 5
# Members' seeds follow from it, and NumPy takes at most 2**32 - 1.
_LARGEST_SEED = 1_000_000_000
_REFERENCE_INPUTS = PreparationPlan(scaling="robust")


def improve(
    source: object,
    target: str | int | Sequence[str | int] | None = None,
    *,
    model: str | Builder | None = None,
    task: str | None = None,
    header: bool | None = None,
    sep: str | None = None,
    drop: Sequence[str | int] = (),
    group: str | int | None = None,
    time: str | int | None = None,
    weight: str | int | None = None,
    test: object | None = None,
    metric: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    folds: int | None = None,
    repeats: int | None = None,
    rope: float | None = None,
    minutes: float | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    quiet: bool = False,
    began: float | None = None,
) -> Run:
    """Look at a table, measure a model on it, find what is wrong, prove what helps, and hand over the result.

    Args:
        source: CSV or Parquet file, pandas or polars frame, `(X, y)` arrays, or `"sample:breast-cancer"`.
        target: Column to predict, by name or position; several of them for multi-output regression.
        model: A builder (or `"file.py:function"`) that takes nothing, `hp`, or `n_inputs, n_outputs` and
            returns a compiled Keras model. Without one, Caviar builds a table network and scales its inputs.
        task: `"binary"`, `"multiclass"` or `"regression"` where inference is wrong.
        header: Whether a CSV file's first line names the columns; detected if not given.
        sep: A CSV file's separator; detected if not given.
        drop: Columns that are not inputs.
        group: Column of groups that must stay in one fold.
        time: Column whose order splits must respect.
        weight: Column of row weights, for the loss and the score.
        test: Rows kept apart, scored once at the end.
        metric: The score that decides; log-loss or MAE if not given.
        epochs: Passes over the training rows.
        batch_size: Rows per gradient step.
        folds: Folds of the cross-validation; 10 if not given.
        repeats: Repeats of it; 3 if not given, fewer when `minutes` demands it.
        rope: Smallest difference that counts, in the metric's unit; 2 % of the way from no-skill to the best
            reference row if not given.
        minutes: Bound on the whole command.
        seed: Where all seeds start.
        out: Folder of the run; `runs/<table>-<time>` if not given.
        quiet: Print nothing.
        began: What `time.monotonic()` said when the command began, if `minutes` is to include what came before
            this call; now if not given.

    Returns:
        The run: its record, model and report.

    Raises:
        CaviarError: One sentence on what was expected, what was seen, and what to do.
        KeyboardInterrupt: After what was learned so far has been saved and reported.

    Example:
        >>> import caviar
        >>> run = caviar.improve("sample:breast-cancer", minutes=10)  # doctest: +SKIP
        >>> run.predict("new_rows.csv")  # doctest: +SKIP
    """
    given = {k: v for k, v in locals().items() if v is not None and k not in ("quiet", "began")}
    options = {k: _shown(v) for k, v in given.items() if not (isinstance(v, (tuple, list)) and not v)}
    limit, voice = Clock(minutes) if began is None else Clock(minutes, began), Voice(quiet=quiet)
    _check_numbers(epochs, batch_size, folds, repeats, seed, rope, minutes)
    dataset = load(
        source, target, task=task, header=header, sep=sep, drop=drop, group=group, time=time, weight=weight
    )
    kept = None if test is None else Kept(*load_test(test, dataset.schema))
    deciding = default_metric(dataset.task) if metric is None else find_metric(metric, dataset.task)
    others = tuple(m for m in (default_metric(dataset.task), *shown_metrics(dataset.task)) if m != deciding)
    recipe = _recipe(dataset, model, epochs, batch_size, absolute=deciding.name == "mae")
    plan = first_plan(dataset, folds, repeats)
    with _keras_speaks_plainly():
        bench = _bench(dataset, plan, deciding, others, seed)
        loading = _try_builder(bench, recipe)
        folder = make_run_folder(dataset.name, out)
        work = _Work(folder, _new_record(options, deciding, others), dataset, kept, limit, voice, seed)
        work.look(recipe, bench)
        if loading:
            voice.note(loading)
        try:
            with limit.listening():
                work.measure(recipe, bench, plan, epochs_given=epochs is not None)
                work.diagnose(rope)
                work.treat()
                work.finish()
        except KeyboardInterrupt:
            work.interrupted()
            raise
        except Exception:
            work.broken_off()
            raise
        work.save(status="finished", stage="done")
    return Run(folder.path, work.record)


@dataclass
class _Work:
    """One run in progress: what it knows, and where that goes."""

    folder: RunFolder
    record: Record
    dataset: Dataset
    kept: Kept | None
    clock: Clock
    voice: Voice
    seed: int
    bench: Bench | None = None
    baseline: Arm | None = None
    chosen: Recipe | None = None

    def save(self, **fields: Any) -> None:  # noqa: ANN401
        """Put fields into the record and write it, then draw the report from it."""
        for name, value in fields.items():
            setattr(self.record, name, value)
        self.record.seconds = self.clock.spent()
        self.record.messages = list(self.voice.said)
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
            self.voice.say(f"  {data.rows:,} rows, {len(data.columns)} inputs; {data.task_reason}")
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
            if self.clock.minutes is not None:
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
            if arm.record.engine == "loop":
                self.voice.note(
                    f"The network was trained one model at a time, because {arm.history.attrs['why']}."
                )
            if arm.fixed:
                names = ", ".join(arm.fixed[:3])
                self.voice.note(
                    f"The builder fixes the seed of {names}{' …' if len(arm.fixed) > 3 else ''}: "
                    f"that part does not vary between seeds, so the spread due to the seed is understated."
                )
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
            self.voice.say(f"  {plan.repeats} × {plan.folds} folds: {_said(arm, bench)}")
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
                _REFERENCE_SHARE * self.clock.minutes * 60, max(0.0, self.clock.left(10))
            )
        indices = {id(split): i for i, split in enumerate(bench.splits)}
        inputs = bench.inputs(_REFERENCE_INPUTS)
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

            order = in_order(REMEDIES, named)
            ahead = {remedy.name: _steps_ahead(bench, arm.recipe, remedy) for remedy in order}

            def monitor_of(recipe: Recipe) -> Monitor:
                names = list(ahead)
                left = names[names.index(recipe.name) :] if recipe.name in ahead else []
                self.voice.expect(sum(ahead[name] for name in left) or expected_steps(bench, recipe))
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
                for remedy in order:
                    try_one(bench, trial, [remedy], budget, monitor_of, done)
                together = combination(record.comparisons, REMEDIES)
                if together:
                    try_one(bench, trial, together, budget, monitor_of, done)
            record.skipped = trial.skipped
            record.chosen, record.chosen_reason = choose(bench, trial, record.comparisons, record.rope)
            corrected = corrected_score(bench, trial) if record.chosen != "baseline" else None
            if corrected is not None:
                record.naive_score, record.corrected_score = corrected
            self.chosen = trial.arm(record.chosen).recipe
            self.voice.say(f"  {record.chosen_reason}")
            out_of_time = [s.title for s in record.skipped if "--minutes" in s.why]
            if out_of_time:
                self.voice.note(f"Not tried for lack of time: {', '.join(out_of_time)}. Give more --minutes.")
            self.save()

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
        if self.record.trial is not None and self.record.final is None:
            self.record.trial.chosen_reason = "Stopped before a recipe was chosen."
        self.voice.note(
            f"Stopped by hand during the stage {self.record.stage!r}; what was learned before is kept."
        )
        self.save(status="interrupted")
        self.voice.say(f"  {self.folder.path / REPORT} shows it.")

    def broken_off(self) -> None:
        """Keep what was learned before an error; a folder that holds nothing yet is taken away again."""
        if self.record.baseline is None:
            (self.folder.path / RECORD).unlink(missing_ok=True)
            with suppress(OSError):  # it holds something after all, or is where somebody stands
                self.folder.path.rmdir()
        else:
            self.save(status="interrupted")

    def _measured(self) -> tuple[Bench, Arm]:
        assert self.bench is not None
        assert self.baseline is not None
        return self.bench, self.baseline


def _too_short(given: Clock, dataset: Dataset, recipe: Recipe, seconds: float) -> OptionError:
    return OptionError(
        f"Expected the time given to suffice for measuring the model, but with {dataset.n_rows:,} rows and "
        f"{recipe.epochs} epochs that alone takes about {max(seconds, 1):.0f} s or more, and {given.minutes:g} "
        f"minutes were given for everything. Give more --minutes, or fewer --epochs."
    )


def _check_numbers(
    epochs: int | None,
    batch_size: int | None,
    folds: int | None,
    repeats: int | None,
    seed: int,
    rope: float | None,
    minutes: float | None,
) -> None:
    """Refuse numbers that mean nothing."""
    least = {
        "--epochs": (epochs, 1),
        "--batch-size": (batch_size, 1),
        "--folds": (folds, 2),
        "--repeats": (repeats, 1),
        "--seed": (seed, 0),
    }
    for option, (value, low) in least.items():
        if value is not None and (isinstance(value, bool) or int(value) != value or value < low):
            raise OptionError(
                f"Expected {option} to be a whole number of at least {low}, got {value}. Raise it."
            )
    if seed > _LARGEST_SEED:
        raise OptionError(
            f"Expected --seed to be at most {_LARGEST_SEED:,}, got {seed:,}. Choose a smaller one."
        )
    for option, number in (("--rope", rope), ("--minutes", minutes)):
        if number is not None and not (np.isfinite(number) and number > 0):
            raise OptionError(
                f"Expected {option} to be a number above 0, got {number}. Leave it out for the default."
            )


def _shown(value: object) -> str:
    """An option's value for the record: names and numbers, never the data themselves."""
    if isinstance(value, (str, int, float, Path)):
        return str(value)
    if isinstance(value, (list, tuple)) and all(isinstance(v, (str, int)) for v in value):
        return ", ".join(map(str, value))
    return getattr(value, "__qualname__", type(value).__name__)


def _recipe(
    dataset: Dataset,
    model: str | Builder | None,
    epochs: int | None,
    batch_size: int | None,
    *,
    absolute: bool,
) -> Recipe:
    """The person's model with plain preparation, or the table network with its own."""
    if model is None:
        recipe = table_recipe(dataset.task, dataset.n_rows, absolute=absolute)
    else:
        devices.start()  # the person's file may import keras: on JAX, by then
        builder = load_builder(model) if isinstance(model, str) else model
        if not callable(builder):
            raise OptionError(
                f"Expected model to be a function or file.py:function, got {type(model).__name__}. Pass a builder."
            )
        usual = usual_training(dataset.n_rows)
        title = f"Your model ({model if isinstance(model, str) else getattr(model, '__name__', 'builder')})"
        recipe = Recipe("baseline", title, builder, usual.batch_size, usual.epochs, PreparationPlan())
    return replace(
        recipe,
        epochs=recipe.epochs if epochs is None else int(epochs),
        batch_size=recipe.batch_size if batch_size is None else int(batch_size),
    )


def _bench(dataset: Dataset, plan: Plan, metric: Metric, others: Sequence[Metric], seed: int) -> Bench:
    return Bench(dataset, make_splits(dataset, plan.folds, plan.repeats, seed), metric, others, seed)


def _try_builder(bench: Bench, recipe: Recipe) -> str:
    """Find out before anything is written whether the model fits the table and can be saved.

    Returns:
        What a person should know about loading the saved model; empty if nothing.
    """
    devices.start()
    first = replace(bench, splits=bench.splits[:1])
    seats, places = seats_for(first, recipe, [1])
    x, prepared = first.inputs(recipe.preparation), first.prepared(recipe.preparation)
    fitting = make_fitting(recipe, bench.dataset, x, prepared, seats, places, ask_fit=False, show=False)
    return can_be_kept(make_template(fitting.build, fitting.job.sample()).model)


def _steps_ahead(bench: Bench, recipe: Recipe, remedy: Remedy) -> int:
    """Gradient steps that trying a remedy takes; none if it does not apply."""
    try:
        return expected_steps(bench, treated(recipe, [remedy]))
    except NotApplicable:
        return 0


def _new_record(options: dict[str, str], metric: Metric, others: Sequence[Metric]) -> Record:
    names = ("keras", "jax", "scikit-learn", "numpy")
    versions = {"caviar": importlib.metadata.version("caviar"), "python": platform.python_version()}
    versions |= {name: importlib.metadata.version(name) for name in names}
    return Record(
        created=clock.strftime("%Y-%m-%d %H:%M:%S"),
        options=options,
        versions=versions,
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        metric=MetricRecord(
            name=metric.name,
            title=metric.title,
            higher_is_better=metric.higher_is_better,
            others=[m.name for m in others],
        ),
    )


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
    flips = None
    if arm.seed_oof is not None and bench.dataset.is_classification:
        known = np.isfinite(arm.seed_oof).all(axis=(0, 2))
        labels = arm.seed_oof[:, known].argmax(axis=2)
        flips = float((labels != labels[0]).any(axis=0).mean()) if known.any() else None
    curves = arm.history
    return Evidence(
        loss=curves["loss"].values,
        held_out_loss=curves["held_out_loss"].values if "held_out_loss" in curves else None,
        scores=arm.scores[bench.metric.name],
        fit_scores=arm.fit_scores,
        seed_scores=arm.seed_scores,
        flips=flips,
        failed=arm.failed,
        higher_is_better=bench.metric.higher_is_better,
        no_skill=no_skill,
        best_reference=best,
        rope=rope_of(no_skill, best, perfect=_perfect(bench.metric)) if rope is None else rope,
        spread=record.spread,
        metric=bench.metric.title,
        reference=_best_reference(bench, record),
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


@contextmanager
def _keras_speaks_plainly() -> Iterator[None]:
    """Keras' own filtered tracebacks hide the message that a person needs; put the setting back afterwards."""
    devices.start()
    import keras

    filtered = keras.config.is_traceback_filtering_enabled()
    keras.config.disable_traceback_filtering()
    try:
        yield
    finally:
        if filtered:
            keras.config.enable_traceback_filtering()
