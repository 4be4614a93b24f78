"""How much does a score depend on the seed and the split, and how many repeats are enough?"""

import math
import time as clock
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from caviar.data.dataset import Dataset
from caviar.data.load import load
from caviar.data.split import make_splits
from caviar.errors import ModelError, OptionError
from caviar.evaluate.intervals import proportion_estimate
from caviar.evaluate.repeats import (
    bootstrap_estimate,
    enough_repeats,
    normal_estimate,
    normality,
    repeat_scores,
    standard_error,
    standard_errors,
    why_intervals_differ,
)
from caviar.evaluate.variance import class_flips, spread
from caviar.evaluate.wording import digits
from caviar.measuring.bounded import measure_within
from caviar.measuring.measure import Arm, Bench, measure
from caviar.measuring.table import (
    REFERENCE_SHARE,
    check_numbers,
    common_facts,
    find_metrics,
    find_scale,
    keras_speaks_plainly,
    read_recipe,
    remarks_on,
    score_of,
    try_fitting,
)
from caviar.measuring.trial import expected_steps
from caviar.planning.plan import FOLDS, splits_with_room
from caviar.population.job import Monitor
from caviar.progress import Clock, Voice
from caviar.recipe.builder import Builder
from caviar.recipe.recipe import Recipe
from caviar.report.stability import write_stability
from caviar.run.folder import make_run_folder
from caviar.run.studies import Scale, StabilityRecord

REPEATS, SEEDS = 30, 5
"""Repeats, and seeds on every fold of the first of them, which tell seed from split."""

_LEAST = 2


@dataclass(frozen=True)
class Stability:
    """What a study of stability found, and where its page lies.

    Attributes:
        path: Folder with `report.html` and `stability.json`.
        record: The numbers.
    """

    path: Path
    record: StabilityRecord

    def __repr__(self) -> str:
        return f"{self.record.sentence}\n{self.record.spread.sentence}\n{self.path}"


def stability(
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
) -> Stability:
    """Train many repeats of a cross-validation, and say how far seed and split move the score.

    Args:
        source: CSV or Parquet file, pandas or polars frame, `(X, y)` arrays, or `"sample:breast-cancer"`.
        target: Column to predict, by name or position; several of them for multi-output regression.
        model: A builder (or `"file.py:function"`); Caviar's table network if not given.
        task: `"binary"`, `"multiclass"` or `"regression"` where inference is wrong.
        header: Whether a CSV file's first line names the columns; detected if not given.
        sep: A CSV file's separator; detected if not given.
        drop: Columns that are not inputs.
        group: Column of groups that must stay in one fold.
        time: Refused: the order of time allows one split only.
        weight: Column of row weights, for the loss and the score.
        metric: The score that decides; log-loss or MAE if not given.
        epochs: Passes over the training rows.
        batch_size: Rows per gradient step.
        folds: Folds of the cross-validation; 10 if not given.
        repeats: Repeats of it, with one seed per fold; 30 if not given, fewer when `minutes` or memory demands it.
        seeds: Seeds per fold of the first repeat, which tell what is due to the seed.
        rope: Smallest difference that counts, in the metric's unit; 2 % of the way from no-skill to the best
            reference row if not given.
        minutes: Bound on the whole command.
        seed: Where all seeds start.
        out: Folder of the page; `runs/<table>-stability-<time>` if not given.
        quiet: Print nothing.
        began: What `time.monotonic()` said when the command began; now if not given.

    Returns:
        The numbers, and the folder that holds them as a page and as JSON.

    Raises:
        CaviarError: One sentence on what was expected, what was seen, and what to do.

    Example:
        >>> import caviar
        >>> found = caviar.stability("sample:breast-cancer", minutes=5)  # doctest: +SKIP
        >>> found.record.enough.repeats, found.record.spread.seed.value  # doctest: +SKIP
    """
    given = {"epochs": epochs, "batch_size": batch_size, "folds": folds, "repeats": repeats, "seeds": seeds}
    check_numbers(given | {"rope": rope, "minutes": minutes, "seed": seed}, repeats=_LEAST, seeds=_LEAST)
    limit, voice = Clock(minutes, clock.monotonic() if began is None else began), Voice(quiet=quiet)
    with keras_speaks_plainly(), limit.listening():
        bench, recipe = bench_and_recipe(
            source,
            target,
            model=model,
            metric=metric,
            epochs=epochs,
            batch_size=batch_size,
            folds=folds,
            repeats=repeats,
            seed=seed,
            voice=voice,
            reading={
                "task": task,
                "header": header,
                "sep": sep,
                "drop": drop,
                "group": group,
                "time": time,
                "weight": weight,
            },
        )
        folder = make_run_folder(f"{bench.dataset.name}-stability", out)
        try:
            scale = find_scale(bench, rope, voice, REFERENCE_SHARE * limit.left())
            bench, arm = measure_within(
                bench,
                lambda smaller, monitor: _measured(smaller, recipe, seeds, monitor),
                lambda smaller: _steps(smaller, recipe, seeds),
                voice=voice,
                clock=limit,
                title=recipe.title,
                least=_LEAST if repeats is None else None,
            )
            for remark in remarks_on(arm):
                voice.note(remark)
            record = described(bench, arm, scale, seeds, limit, voice)
            write_stability(folder.path, record)
        except BaseException:
            with suppress(OSError):  # it holds something after all, or is where somebody stands
                folder.path.rmdir()
            raise
    return Stability(folder.path, record)


def bench_and_recipe(
    source: object,
    target: str | int | Sequence[str | int] | None,
    *,
    model: str | Builder | None,
    metric: str | None,
    epochs: int | None,
    batch_size: int | None,
    folds: int | None,
    repeats: int | None,
    seed: int,
    voice: Voice,
    reading: Mapping[str, Any],
) -> tuple[Bench, Recipe]:
    """What a recipe is measured on over and over, and the recipe.

    Raises:
        CaviarError: The recipe does not fit the table, or the table cannot be split anew.
    """
    if reading.get("time") is not None:
        raise OptionError(
            "Expected rows that can be split anew for every repeat, but the order of time allows only one split. "
            "Leave time out if the order does not matter."
        )
    dataset = load(source, target, **reading)
    deciding, _ = find_metrics(dataset, metric)
    recipe = read_recipe(dataset, model, epochs, batch_size, absolute=deciding.name == "mae")
    splits = make_splits(dataset, folds or FOLDS, repeats or _repeats(dataset, folds or FOLDS, voice), seed)
    bench = Bench(dataset, splits, deciding, (), seed)
    try_fitting(bench, recipe)
    return bench, recipe


def _repeats(dataset: Dataset, folds: int, voice: Voice) -> int:
    """The usual number of repeats, or as many as there is memory for."""
    repeats = max(_LEAST, min(REPEATS, splits_with_room(dataset) // folds))
    if repeats < REPEATS:
        voice.note(
            f"{repeats} repeats instead of {REPEATS}, because the prepared inputs of {dataset.n_rows:,} rows for "
            f"every fold must fit into memory; repeats overrule this where they are given."
        )
    return repeats


def _steps(bench: Bench, recipe: Recipe, seeds: int) -> int:
    """Gradient steps of all members."""
    repeats, steps = bench.shape[0], expected_steps(bench, recipe)
    return math.ceil(steps * (repeats + seeds - 1) / repeats)


def _measured(bench: Bench, recipe: Recipe, seeds: int, monitor: Monitor) -> Arm:
    return measure(bench, recipe, first_repeat_seeds=seeds, show=False, monitor=monitor)


def described(
    bench: Bench, arm: Arm, scale: Scale, seeds: int, spent: Clock, voice: Voice
) -> StabilityRecord:
    """Everything that the scores of many repeats say.

    Args:
        bench: What was measured on.
        arm: What measuring gave, with several seeds in the first repeat.
        scale: What counts as a difference.
        seeds: Seeds per fold of the first repeat.
        spent: How long it took.
        voice: What was said meanwhile.

    Raises:
        ModelError: So many trainings failed that fewer than two repeats have a score.
    """
    scores, metric = arm.scores[bench.metric.name], bench.metric
    values = repeat_scores(scores)
    if len(values) < _LEAST or arm.seed_scores is None:
        raise ModelError(
            f"Expected a {metric.title} from two repeats or more, but {int(arm.failed.sum()):,} of {len(arm.failed):,} "
            f"trainings failed. Lower the learning rate or scale the inputs."
        )
    enough = enough_repeats(values, scale.rope)
    return StabilityRecord(
        **common_facts(bench, seeds, scale, spent, voice),
        recipe=score_of(bench, arm.recipe.title, arm, scores),
        fold_scores=scores.tolist(),
        repeat_scores=values.tolist(),
        seed_scores=arm.seed_scores.tolist(),
        test_share=bench.test_share,
        mean=float(values.mean()),
        deviation=float(np.std(values, ddof=1)),
        standard_error=standard_error(values),
        normal=normal_estimate(values, metric.bounds),
        bootstrap=bootstrap_estimate(values, bench.seed),
        why_they_differ=why_intervals_differ(len(values)),
        normality=normality(values),
        errors=standard_errors(values),
        enough=enough,
        spread=spread(arm.seed_scores),
        failed=proportion_estimate(int(arm.failed.sum()), len(arm.failed)),
        flips=class_flips(arm.seed_oof) if bench.dataset.is_classification else None,
        sentence=(
            f"The {metric.title} is {digits(float(values.mean()))} over {len(values)} repeats of "
            f"{bench.shape[1]} folds, with a standard error of {digits(standard_error(values))}. {enough.sentence}"
        ),
    )
