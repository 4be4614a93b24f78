"""The doctor: looks at a model as it is, and names what costs it performance."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from caviar.data.dataset import Dataset
from caviar.data.load import load
from caviar.data.split import make_splits
from caviar.doctor.confirmation import Apart, set_apart
from caviar.doctor.examination import FOLDS, REPEATS, Examination, Findings
from caviar.doctor.treatment import Treatment, treat, treat_refused
from caviar.errors import ModelError, OptionError
from caviar.estimate import Estimate
from caviar.evaluate.metrics import Metric, shown_metrics
from caviar.measuring.given import deciding_metric, make_recipe, read_arrays
from caviar.measuring.measure import Arm, Bench
from caviar.measuring.table import check_numbers, find_metrics, keras_speaks_plainly, read_recipe
from caviar.population import devices
from caviar.population.template import sketch
from caviar.progress import Clock, OutOfTime, Voice
from caviar.recipe.builder import Builder, read_builder
from caviar.recipe.callbacks import left_out
from caviar.recipe.recipe import Recipe
from caviar.run.record import DiagnosisRecord, FindingRecord


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What is wrong with a model, and what shows it.

    Attributes:
        area: "learning", "generalization", "prediction", "healthy" or "no signal".
        sentence: The same in words.
        findings: What costs measurable performance, most severe first.
        notes: What is there and costs nothing measurable, or was not tried.
        record: The outcome of every check.
        score: Score of the model as it is, with its interval; None where Keras refuses to train it.
        metric: What the score is called.
        seconds: What the diagnosis took.
    """

    area: str
    sentence: str
    findings: list[FindingRecord]
    notes: list[FindingRecord]
    record: DiagnosisRecord
    score: Estimate | None
    metric: str
    seconds: float
    _recipe: Recipe
    _first: Findings | None
    _examination: Examination
    _apart: Apart | None

    def __repr__(self) -> str:
        lines = [self.sentence]
        if self.score is not None:
            lines.append(
                f"{self.metric}: {self.score.value:.4g} ({self.score.low:.4g} to {self.score.high:.4g})"
            )
        lines += [f"{f.code} {f.title} ({f.fault}): {_told(f)}" for f in self.findings]
        lines += [f"Note: {f.title}. {_told(f)}" for f in self.notes]
        lines += [f"Tried: {e.title}. {e.sentence}" for e in self.record.experiments if e.outcome == "done"]
        return "\n".join(lines)

    def treat(self, minutes: float | None = None) -> Treatment:
        """Try remedies, accept what helps, look again, until nothing helps any more; then confirm it.

        What was accepted is confirmed on rows that took no part in choosing it: of 2,000 rows or more, the fifth that
        was kept apart before the diagnosis; of fewer, on nested folds.

        Args:
            minutes: Bound on the treatment; none if not given.

        Returns:
            The repaired recipe, how it compares, how it did on those rows, and the story; `model()` trains it on all
            rows.

        Raises:
            ModelError: Keras refuses to train the model, and no remedy changes that.
        """
        examination = replace(self._examination, clock=Clock(minutes))
        if self._first is None:
            return treat_refused(examination, self._recipe, self.sentence, self._apart)
        return treat(examination, self._first, self._apart)


def diagnose(
    build: str | Builder,
    x: Any,  # noqa: ANN401
    y: Any,  # noqa: ANN401
    *,
    batch_size: int = 32,
    epochs: int = 1,
    validation_data: tuple[Any, ...] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    sample_weight: Any = None,  # noqa: ANN401
    task: str | None = None,
    metric: str | None = None,
    minutes: float | None = None,
    seed: int = 0,
    verbose: int = 1,
) -> Diagnosis:
    """Find out what costs a model performance: a learning, a generalization or a prediction problem.

    The model and its fit arguments are taken as they are; nothing is prepared. It is trained on 5 folds in 3 repeats
    with several seeds; of 2,000 rows or more, a fifth is kept apart to confirm a treatment. What looks wrong is then
    taken away, one thing at a time on the same folds and seeds: only what costs measurable performance is a finding.

    Args:
        build: A builder (or `"file.py:function"`) that takes nothing, `hp`, or `n_inputs, n_outputs` and returns a
            compiled Keras model.
        x: Inputs (row, column), or rows of any shape, such as images (row, height, width, channel).
        y: Target, as `fit` would get it: (row,) or (row, column).
        batch_size: As in `fit`.
        epochs: As in `fit`.
        validation_data: `(x, y)` as in `fit`: looked at beside the training rows, never trained or scored on.
        callbacks: As in `fit`; `val_` is watched on 20 % of a fold's training rows, by callbacks of your own too
            where `validation_data` is given. Those that only write files are left out, and that is said.
        sample_weight: Weight of each row (row,).
        task: "classification" or "regression", where the target's numbers could be taken for the other.
        metric: The score that decides; log-loss for classes, RMSE or MAE for quantities if not given.
        minutes: Bound on the time; none if not given.
        seed: Where all seeds start.
        verbose: 0 for silence.

    Returns:
        Area, findings and notes; `treat()` repairs.

    Raises:
        CaviarError: One sentence on what was expected, what was seen, and what to do.

    Example:
        >>> diagnosis = caviar.diagnose(build, x, y, epochs=100)  # doctest: +SKIP
        >>> diagnosis.area, [finding.fault for finding in diagnosis.findings]  # doctest: +SKIP
        ('learning', ['unscaled_input'])
    """
    began = time.monotonic()
    check_numbers({"epochs": epochs, "batch_size": batch_size, "minutes": minutes, "seed": seed})
    devices.start()
    builder = read_builder(build)
    dataset, _ = read_arrays(x, y, task, sample_weight)
    title = build if isinstance(build, str) else getattr(build, "__name__", "your model")
    recipe = make_recipe(
        builder,
        dataset,
        name=title,
        batch_size=int(batch_size),
        epochs=int(epochs),
        callbacks=callbacks,
        is_validated=validation_data is not None,
    )
    model = sketch(recipe.build(dataset.features.shape[1], dataset.n_outputs))
    given = _Given(dataset, deciding_metric(model, dataset, metric), recipe, seed)
    return _diagnosed(given, Clock(minutes, began), verbose, _validation_rows(validation_data, dataset))


def _validation_rows(given: Any, dataset: Dataset) -> np.ndarray | None:  # noqa: ANN401
    if given is None:
        return None
    if not isinstance(given, (tuple, list)) or len(given) < 2:
        raise OptionError(
            f"Expected validation_data as (x, y), got {type(given).__name__}. Pass arrays, as x and y are."
        )
    rows = np.asarray(given[0])
    wanted = dataset.schema.row_shape or dataset.features.shape[1:]
    if rows.dtype.kind not in "biuf" or rows.shape[1:] != wanted or len(rows) != len(given[1]):
        raise OptionError(
            f"Expected validation_data with numbers, {wanted} for a row, and a target for each row, got shapes "
            f"{rows.shape} and {np.shape(given[1])}. Pass rows of the same shape as those of x."
        )
    return rows.reshape(len(rows), -1).astype(np.float64)


def diagnose_table(
    source: object,
    target: str | int | Sequence[str | int] | None = None,
    *,
    model: str | Builder | None = None,
    metric: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    quiet: bool = False,
    began: float | None = None,
    **reading: Any,  # noqa: ANN401
) -> Diagnosis:
    """The same for a table: what the command `caviar diagnose` does.

    Args:
        source: CSV or Parquet file, pandas or polars frame, `(X, y)` arrays, or `"sample:breast-cancer"`.
        target: Column to predict, by name or position; several of them for multi-output regression.
        model: A builder, or `"file.py:function"`; Caviar's table network, which scales its inputs, if not given.
        metric: The score that decides; log-loss or MAE if not given.
        epochs: Passes over the training rows.
        batch_size: Rows per gradient step.
        minutes: Bound on the time; none if not given.
        seed: Where all seeds start.
        quiet: Print nothing.
        began: What `time.monotonic()` said when the command began; now if not given.
        reading: How the table is read: task, header, sep, drop, group, time, weight, as in `improve`.

    Raises:
        CaviarError: One sentence on what was expected, what was seen, and what to do.
    """
    began = time.monotonic() if began is None else began
    check_numbers({"epochs": epochs, "batch_size": batch_size, "minutes": minutes, "seed": seed})
    dataset = load(source, target, **reading)
    if dataset.time is not None:
        raise OptionError(
            "Expected rows in any order, because the doctor repeats its folds, got a time column. Leave it out, or use "
            "`caviar improve`, which respects it."
        )
    deciding, _ = find_metrics(dataset, metric)
    recipe = read_recipe(dataset, model, epochs, batch_size, absolute=deciding.name == "mae")
    with keras_speaks_plainly():
        return _diagnosed(_Given(dataset, deciding, recipe, seed), Clock(minutes, began), int(not quiet))


def _told(finding: FindingRecord) -> str:
    return f"{finding.sentence} {finding.by_hand}".rstrip()


@dataclass(frozen=True, eq=False)
class _Given:
    """What is diagnosed."""

    dataset: Dataset
    metric: Metric
    recipe: Recipe
    seed: int


def _diagnosed(given: _Given, clock: Clock, verbose: int, validation: np.ndarray | None = None) -> Diagnosis:
    looked_at, apart = set_apart(given.dataset, given.seed)
    bench, recipe = _bench(looked_at, given.metric, given.seed), given.recipe
    examination = Examination(bench, Voice(quiet=not verbose), clock, validation)
    if recipe.writers:
        examination.voice.note(left_out(recipe.writers))
    first: Findings | None = None
    try:
        first = examination.tell(examination.look(_first_arm(examination, recipe)))
        record = first.record
    except ModelError as error:
        record = examination.refused(recipe)
        if record.area == "healthy":  # the reason lies elsewhere
            raise
        record.sentence = f"{record.sentence} Keras refuses to train it: {error}"
    return _concluded(examination, recipe, first, record, apart)


def _bench(dataset: Dataset, metric: Metric, seed: int) -> Bench:
    others = tuple(m for m in shown_metrics(dataset.task) if m != metric)
    folds = FOLDS
    if dataset.is_classification:
        folds = int(min(FOLDS, np.bincount(dataset.target).min()))
    # So few members are trained before other ways of spreading them have been compiled.
    splits = make_splits(dataset, max(2, folds), REPEATS, seed)
    return Bench(dataset, splits, metric, others, seed, spread="vmap")


def _first_arm(examination: Examination, recipe: Recipe) -> Arm:
    try:
        return examination.baseline(recipe)
    except OutOfTime:
        raise OptionError(
            "Expected the time given to suffice for measuring the model as it is, but it did not. Give more minutes."
        ) from None


def _concluded(
    examination: Examination,
    recipe: Recipe,
    first: Findings | None,
    record: DiagnosisRecord,
    apart: Apart | None,
) -> Diagnosis:
    metric = examination.bench.metric
    if first is not None:
        record = record.model_copy(update={"experiments": list(first.evidence.experiments)})
    return Diagnosis(
        area=record.area,
        sentence=record.sentence,
        findings=record.costing,
        notes=[f for f in record.findings if f.outcome in {"suspected", "harmless"}],
        record=record,
        score=None if first is None else first.trial.baseline.record.scores[metric.name],
        metric=metric.title,
        seconds=examination.clock.spent(),
        _recipe=recipe,
        _first=first,
        _examination=examination,
        _apart=apart,
    )
