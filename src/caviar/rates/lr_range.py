"""Which learning rates suit a model: where does training break, which are as good as the best, which to cycle between?

Two tests are run. In the *sweep* the rate climbs from update to update within one training, so that a high rate is met
only after training at all lower ones, and for a few updates. The *constant rates* are trained apart from each other:
every rate on all folds with the same seeds, as members of one program. What follows from both says `range_findings`.
"""

import math
import time as clock
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from caviar.data.dataset import Dataset
from caviar.data.load import load
from caviar.data.split import make_splits
from caviar.errors import OptionError
from caviar.evaluate.rate_findings import Findings
from caviar.evaluate.rates import RateScores, SweepLosses
from caviar.evaluate.reference import no_skill_scores
from caviar.evaluate.wording import in_minutes
from caviar.experiments.range_test import HIGHEST, LOWEST, trial_epochs
from caviar.measuring.bounded import first_repeats, measure_within
from caviar.measuring.given import deciding_metric, make_recipe, read_arrays
from caviar.measuring.measure import Bench
from caviar.measuring.table import (
    check_numbers,
    common_facts,
    find_metrics,
    keras_speaks_plainly,
    name_of,
    read_recipe,
    remarks_on_fixed,
    try_fitting,
)
from caviar.measuring.trial import expected_steps
from caviar.pace import Pace
from caviar.planning.plan import Plan, first_plan
from caviar.population import devices
from caviar.population.job import Job
from caviar.population.template import sketch
from caviar.progress import Clock, OutOfTime, Voice
from caviar.rates.trained import job_at_rates, rate_of, sweep_job, train_at_rates, train_sweep
from caviar.recipe.builder import Builder, read_builder
from caviar.recipe.recipe import Recipe
from caviar.recipe.schedules import Cyclical, Mode, OneCycle, RangeSweep, Sweep, step_size
from caviar.report.lr_range import write_range
from caviar.run.folder import make_run_folder
from caviar.run.rates import RangeRecord

RATES = 25
SEEDS = 2
FOLDS, REPEATS = 5, 3
"""Of arrays, as for the doctor; tables have the folds and repeats of other commands."""

LEAST_UPDATES, MOST_UPDATES = 100, 500
"""Updates of the sweep: as many as the constant rates get, within these bounds."""

_FEWEST_RATES, _MOST_RATES = 3, 200
# Rates that are no further apart are the same.
_ROUNDING = 1.001


@dataclass(frozen=True)
class LearningRateRange:
    """What a learning-rate range test found.

    Attributes:
        record: The numbers.
        path: Folder with `report.html` and `lr-range.json`; None where they were not asked for.
    """

    record: RangeRecord
    path: Path | None = None

    def __repr__(self) -> str:
        lines = [self.record.sentence, *self.record.messages]
        return "\n".join(lines if self.path is None else [*lines, str(self.path)])

    @property
    def edge(self) -> float | None:
        """Lowest rate from which on training breaks; None where it does not at any rate that was tried."""
        return self.record.edge

    @property
    def best(self) -> float | None:
        """The rate with the best score on held-out rows; None where all trainings failed."""
        return self.record.best

    @property
    def alike(self) -> list[float]:
        """Rates that cannot be told apart from the best one, itself included, ascending."""
        return self.record.alike

    @property
    def base(self) -> float | None:
        """Lowest rate of a cycle."""
        return self.record.base

    @property
    def maximum(self) -> float | None:
        """Highest rate of a cycle."""
        return self.record.maximum

    @property
    def search_range(self) -> tuple[float, float]:
        """Lowest and highest rate for a search on a logarithmic scale: `alike` and a step of the grid either side.

        The step upwards is left out where it would reach the edge.

        Raises:
            OptionError: No training succeeded.
        """
        self._found()
        assert self.record.search is not None
        return self.record.search

    def cyclical(
        self,
        rows: int | None = None,
        batch_size: int | None = None,
        *,
        epochs: float = 4,
        mode: Mode = "triangular",
        gamma: float | None = None,
    ) -> Cyclical:
        """A cyclical schedule between base and maximum.

        Args:
            rows: Rows that will be trained on; all rows of the test if not given.
            batch_size: Rows per update: those of the test, because what a rate does depends on it.
            epochs: How many epochs the rate climbs before it falls for as many, 2 to 10.
            mode: As in `caviar.schedules.Cyclical`.
            gamma: Likewise.

        Raises:
            OptionError: No training succeeded, or an argument is out of its range.
        """
        base, maximum = self._found()
        return Cyclical(base, maximum, step_size(self._updates(rows, batch_size), epochs), mode, gamma)

    def one_cycle(
        self,
        rows: int | None = None,
        batch_size: int | None = None,
        epochs: int | None = None,
        **shape: Any,  # noqa: ANN401
    ) -> OneCycle:
        """A one-cycle schedule whose peak is the maximum.

        Args:
            rows: Rows that will be trained on; all rows of the test if not given.
            batch_size: Rows per update: those of the test.
            epochs: How many epochs it lasts; those of the recipe if not given.
            shape: Further arguments of `caviar.schedules.OneCycle`.

        Raises:
            OptionError: No training succeeded, or an argument is out of its range.
        """
        _, maximum = self._found()
        check_numbers({"epochs": epochs})
        length = self._updates(rows, batch_size) * (epochs or self.record.epochs)
        return OneCycle(maximum, length, **shape)

    def _found(self) -> tuple[float, float]:
        base, maximum = self.record.base, self.record.maximum
        if base is None or maximum is None:
            raise OptionError(
                "Expected a rate at which training succeeds, but it failed at all that were tried. "
                "Try lower ones (rates=), or look for the cause with caviar.diagnose."
            )
        return base, maximum

    def _updates(self, rows: int | None, batch_size: int | None) -> int:
        """Updates of an epoch."""
        tested = self.record.batch_size
        check_numbers({"rows": rows, "batch_size": batch_size}, rows=1)
        if batch_size not in {None, tested}:
            raise OptionError(
                f"Expected batch_size={tested}, because rates were tested with such batches and others need other "
                f"rates, got {batch_size}. Repeat the test with batch_size={batch_size}."
            )
        return math.ceil((rows or self.record.table.rows) / tested)


def lr_range(
    build: str | Builder,
    x: Any,  # noqa: ANN401
    y: Any,  # noqa: ANN401
    *,
    batch_size: int = 32,
    epochs: int = 1,
    rates: Sequence[float] | None = None,
    share: float | None = None,
    sweep: Sweep = "exponential",
    updates: int | None = None,
    sample_weight: Any = None,  # noqa: ANN401
    task: str | None = None,
    metric: str | None = None,
    folds: int | None = None,
    repeats: int | None = None,
    seeds: int = SEEDS,
    rope: float | None = None,
    minutes: float | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    verbose: int = 1,
) -> LearningRateRange:
    """Find out which learning rates suit a model: a sweep, and many constant rates on the same folds and seeds.

    The model and its fit arguments are taken as they are; nothing is prepared.

    Args:
        build: A builder (or `"file.py:function"`) that takes nothing, `hp`, or `n_inputs, n_outputs` and returns a
            compiled Keras model.
        x: Inputs (row, column), or rows of any shape, such as images (row, height, width, channel).
        y: Target, as `fit` would get it: (row,) or (row, column).
        batch_size: As in `fit`.
        epochs: As in `fit`.
        rates: Constant rates to try; 25 from 1e-5 to 10, equally far apart on a logarithmic scale, if not given.
        share: Share of the epochs that they are tried for; half of them, but at least 5, if not given.
        sweep: `"exponential"` or `"linear"`: how the rate climbs within the one training.
        updates: Updates of the sweep; as many as constant rates get, from 100 to 500, if not given.
        sample_weight: Weight of each row (row,).
        task: "classification" or "regression", where the target's numbers could be taken for the other.
        metric: The score that decides; log-loss for classes, RMSE or MAE for quantities if not given.
        folds: Folds of the cross-validation; 5 if not given.
        repeats: Repeats of it; 3 if not given, fewer when `minutes` demands it.
        seeds: Seeds per fold.
        rope: Smallest difference that counts, in the metric's unit; 2 % of the way from no skill to the best rate's
            score if not given.
        minutes: Bound on the time; none if not given.
        seed: Where all seeds start.
        out: Folder of the page; nothing is written if not given.
        verbose: 0 for silence.

    Returns:
        The rates found (`best`, `alike`, `edge`, `base`, `maximum`, `search_range`), schedules made from them
        (`cyclical`, `one_cycle`), and everything that was measured (`record`).

    Raises:
        CaviarError: One sentence on what was expected, what was seen, and what to do.

    Example:
        >>> found = caviar.lr_range(build, x, y, epochs=100)  # doctest: +SKIP
        >>> model.compile(keras.optimizers.SGD(found.cyclical()), "mse")  # doctest: +SKIP
    """
    began = clock.monotonic()
    asked = _asked(rates, share, sweep, updates, seeds, rope)
    _check(
        asked, epochs=epochs, batch_size=batch_size, folds=folds, repeats=repeats, minutes=minutes, seed=seed
    )
    devices.start()
    builder = read_builder(build)
    dataset, _ = read_arrays(x, y, task, sample_weight)
    with keras_speaks_plainly():
        recipe = make_recipe(
            builder,
            dataset,
            name=name_of(build),
            batch_size=int(batch_size),
            epochs=int(epochs),
            callbacks=(),
        )
        usual = min(FOLDS, int(np.bincount(dataset.target).min())) if dataset.is_classification else FOLDS
        deciding = deciding_metric(
            sketch(recipe.build(dataset.features.shape[1], dataset.n_outputs)), dataset, metric
        )
        splits = make_splits(dataset, folds or max(2, usual), repeats or REPEATS, seed)
        bench = Bench(dataset, splits, deciding, (), seed)
        test = _Test(bench, recipe, asked, repeats is None, Clock(minutes, began), Voice(quiet=not verbose))
        return _found(test, out, writes=out is not None)


def lr_range_table(
    source: object,
    target: str | int | Sequence[str | int] | None = None,
    *,
    model: str | Builder | None = None,
    rates: Sequence[float] | str | None = None,
    share: float | None = None,
    sweep: str = "exponential",
    updates: int | None = None,
    metric: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    folds: int | None = None,
    repeats: int | None = None,
    seeds: int = SEEDS,
    rope: float | None = None,
    minutes: float | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    quiet: bool = False,
    began: float | None = None,
    **reading: Any,  # noqa: ANN401
) -> LearningRateRange:
    """The same for a table: what the command `caviar lr-range` does.

    Args:
        source: CSV or Parquet file, pandas or polars frame, `(X, y)` arrays, or `"sample:breast-cancer"`.
        target: Column to predict, by name or position; several of them for multi-output regression.
        model: A builder, or `"file.py:function"`; Caviar's table network, which scales its inputs, if not given.
        rates: Constant rates to try, or such numbers with commas between them.
        share: Share of the epochs that they are tried for.
        sweep: `"exponential"` or `"linear"`.
        updates: Updates of the sweep.
        metric: The score that decides; log-loss or MAE if not given.
        epochs: Passes over the training rows.
        batch_size: Rows per gradient step.
        folds: Folds of the cross-validation; 10 if not given.
        repeats: Repeats of it; 3 if not given, fewer when `minutes` demands it.
        seeds: Seeds per fold.
        rope: Smallest difference that counts, in the metric's unit.
        minutes: Bound on the whole command.
        seed: Where all seeds start.
        out: Folder of the page; `runs/<table>-lr-range-<time>` if not given.
        quiet: Print nothing.
        began: What `time.monotonic()` said when the command began; now if not given.
        reading: How the table is read: task, header, sep, drop, group, time, weight, as in `improve`.

    Raises:
        CaviarError: One sentence on what was expected, what was seen, and what to do.
    """
    began = clock.monotonic() if began is None else began
    asked = _asked(rates, share, sweep, updates, seeds, rope)
    _check(
        asked, epochs=epochs, batch_size=batch_size, folds=folds, repeats=repeats, minutes=minutes, seed=seed
    )
    limit, voice = Clock(minutes, began), Voice(quiet=quiet)
    dataset = load(source, target, **reading)
    with keras_speaks_plainly(), limit.listening():
        bench, recipe, plan = _of_table(dataset, model, metric, epochs, batch_size, folds, repeats, seed)
        if plan.why:
            voice.note(plan.why)
        return _found(_Test(bench, recipe, asked, repeats is None, limit, voice), out, writes=True)


def range_jobs(
    source: object,
    target: str | int | Sequence[str | int] | None = None,
    *,
    model: str | Builder | None,
    rates: Sequence[float] | str | None,
    share: float | None,
    sweep: str,
    updates: int | None,
    metric: str | None,
    epochs: int | None,
    batch_size: int | None,
    folds: int | None,
    repeats: int | None,
    seeds: int,
    seed: int,
    reading: Mapping[str, Any],
) -> list[Job]:
    """What `lr_range_table` would train with the same arguments: the sweep, and the constant rates.

    Raises:
        CaviarError: The same as there.
    """
    asked = _asked(rates, share, sweep, updates, seeds, None)
    _check(asked, epochs=epochs, batch_size=batch_size, folds=folds, repeats=repeats, seed=seed)
    bench, recipe, _ = _of_table(
        load(source, target, **reading), model, metric, epochs, batch_size, folds, repeats, seed
    )
    rate_of(try_fitting(bench, recipe))
    recipe = _shortened(recipe, asked)
    sweeping = _first_repeat(bench)
    return [
        sweep_job(sweeping, recipe, _sweep(sweeping, recipe, asked), asked.seeds),
        job_at_rates(bench, recipe, _tried(asked), asked.seeds),
    ]


def _of_table(
    dataset: Dataset,
    model: str | Builder | None,
    metric: str | None,
    epochs: int | None,
    batch_size: int | None,
    folds: int | None,
    repeats: int | None,
    seed: int,
) -> tuple[Bench, Recipe, Plan]:
    deciding, _ = find_metrics(dataset, metric)
    plan = first_plan(dataset, folds, repeats)
    recipe = read_recipe(dataset, model, epochs, batch_size, absolute=deciding.name == "mae")
    splits = make_splits(dataset, plan.folds, plan.repeats, seed)
    return Bench(dataset, splits, deciding, (), seed), recipe, plan


@dataclass(frozen=True)
class _Asked:
    """What a person asked of the test itself; None for the usual."""

    rates: np.ndarray
    share: float | None
    sweep: Sweep
    updates: int | None
    seeds: int
    rope: float | None


@dataclass(frozen=True, eq=False)
class _Test:
    """What is tested, and how long that may take."""

    bench: Bench
    recipe: Recipe
    asked: _Asked
    may_shrink: bool
    clock: Clock
    voice: Voice


def _asked(
    rates: Sequence[float] | str | None,
    share: float | None,
    sweep: str,
    updates: int | None,
    seeds: int,
    rope: float | None,
) -> _Asked:
    if share is not None and not 0 < share <= 1:
        raise OptionError(
            f"Expected share to be above 0 and at most 1, got {share}. Leave it out for one half."
        )
    shape = next((one for one in get_args(Sweep) if one == sweep), None)
    if shape is None:
        raise OptionError(f"Expected sweep to be exponential or linear, got {sweep!r}. Choose one of them.")
    return _Asked(read_rates(rates), share, shape, updates, seeds, rope)


def read_rates(given: Sequence[float] | str | None) -> np.ndarray:
    """Rates to try, ascending (rate,); the usual 25 for None.

    >>> read_rates("0.1, 0.001,0.01").tolist()
    [0.001, 0.01, 0.1]

    Raises:
        OptionError: They are no numbers above 0, fewer than three, more than 200, or not all different.
    """
    if given is None:
        return np.geomspace(LOWEST, HIGHEST, RATES)
    parts = given.split(",") if isinstance(given, str) else given
    try:
        rates = np.sort(np.array([float(part) for part in parts]))
    except (TypeError, ValueError):
        raise OptionError(
            f"Expected rates as numbers with commas between them, got {given!r}. For example 0.001,0.01,0.1."
        ) from None
    if not (np.isfinite(rates) & (rates > 0)).all():
        raise OptionError(
            f"Expected rates to be finite numbers above 0, got {given!r}. Leave the others out."
        )
    if not _FEWEST_RATES <= len(rates) <= _MOST_RATES or (rates[1:] <= _ROUNDING * rates[:-1]).any():
        raise OptionError(
            f"Expected rates to be {_FEWEST_RATES} to {_MOST_RATES} different numbers, got {given!r}. "
            f"Leave them out for {RATES} from {LOWEST:g} to {HIGHEST:g}."
        )
    return rates


def _check(asked: _Asked, **given: float | None) -> None:
    numbers = given | {"seeds": asked.seeds, "updates": asked.updates, "rope": asked.rope}
    check_numbers(numbers, updates=LEAST_UPDATES)


def _found(test: _Test, out: str | Path | None, *, writes: bool) -> LearningRateRange:
    """Run both tests, and write what they found."""
    own = rate_of(try_fitting(test.bench, test.recipe))
    if not writes:
        return LearningRateRange(_tested(test, own))
    folder = make_run_folder(f"{test.bench.dataset.name}-lr-range", out)
    try:
        record = _tested(test, own)
        write_range(folder.path, record)
    except BaseException:
        with suppress(OSError):  # it holds something after all, or is where somebody stands
            folder.path.rmdir()
        raise
    return LearningRateRange(record, folder.path)


def _tested(test: _Test, own: float) -> RangeRecord:
    asked, voice, limit = test.asked, test.voice, test.clock
    recipe, rates = _shortened(test.recipe, asked), _tried(asked)
    climbing = _swept(test, recipe)
    bench, at = measure_within(
        test.bench,
        lambda smaller, monitor: train_at_rates(smaller, recipe, rates, asked.seeds, monitor),
        lambda smaller: len(rates) * asked.seeds * expected_steps(smaller, recipe),
        voice=voice,
        clock=limit,
        title=f"{len(asked.rates)} constant rates",
        least=1 if test.may_shrink else None,
    )
    if at.why:
        voice.note(f"The rates were trained one after the other, because {at.why}.")
    for remark in remarks_on_fixed(at.fixed):
        voice.note(remark)
    dataset = bench.dataset
    found = Findings(
        RateScores(
            asked.rates,
            at.scores[:-1],
            at.scores[-1],
            _no_skill(bench),
            bench.metric,
            bench.test_share,
            dataset.n_rows,
            asked.rope,
        ),
        at.losses[:-1],
        climbing,
        asked.sweep,
        own,
    )
    for remark in found.remarks():
        voice.note(remark)
    return RangeRecord(
        **common_facts(bench, asked.seeds, found.scale(), limit, voice),
        **found.fields(),
        recipe=recipe.title,
        epochs=test.recipe.epochs,
        tried_epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        updates_per_epoch=math.ceil(dataset.n_rows / recipe.batch_size),
    )


def _shortened(recipe: Recipe, asked: _Asked) -> Recipe:
    """The recipe with the epochs that rates are tried for."""
    epochs = recipe.epochs
    few = trial_epochs(epochs) if asked.share is None else max(1, round(asked.share * epochs))
    return replace(recipe, epochs=few)


def _tried(asked: _Asked) -> list[float]:
    """The constant rates, and a rate of 0: what the network says before training."""
    return [*asked.rates.tolist(), 0.0]


def _first_repeat(bench: Bench) -> Bench:
    """Where the sweep is trained."""
    # So few members are trained before other ways of spreading them have been compiled.
    return replace(first_repeats(bench, 1), spread="vmap")


def _sweep(bench: Bench, recipe: Recipe, asked: _Asked) -> RangeSweep:
    usual = min(max(expected_steps(bench, recipe) // len(bench.splits), LEAST_UPDATES), MOST_UPDATES)
    return RangeSweep(float(asked.rates[0]), float(asked.rates[-1]), asked.updates or usual, asked.sweep)


def _swept(test: _Test, recipe: Recipe) -> SweepLosses:
    bench, asked = _first_repeat(test.bench), test.asked
    schedule = _sweep(bench, recipe, asked)
    pace = Pace(test.voice, test.clock, f"sweep of {schedule.updates} updates")
    try:
        losses = train_sweep(bench, recipe, schedule, asked.seeds, pace)
    except OutOfTime:
        given = test.clock.minutes
        assert given is not None
        raise OptionError(
            f"Expected the time given to suffice for a sweep and {len(asked.rates)} constant rates, but "
            f"{in_minutes(given)} did not suffice for the sweep. Give more minutes, or fewer updates."
        ) from None
    return SweepLosses(np.asarray(schedule(np.arange(schedule.updates)), np.float64), losses)


def _no_skill(bench: Bench) -> np.ndarray:
    """Score of a prediction that ignores the inputs (repeat, fold)."""
    metric = bench.metric
    scores = [no_skill_scores(bench.dataset, [metric], [split])[metric.name] for split in bench.splits]
    return np.reshape(scores, bench.shape)
