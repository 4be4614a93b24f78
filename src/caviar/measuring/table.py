"""A table, a builder and a person's options as a recipe on a bench: what commands that train on tables share."""

import importlib.metadata
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from numbers import Real
from typing import Any

import keras
import numpy as np

from caviar.data.dataset import Dataset
from caviar.data.prepare import PreparationPlan
from caviar.data.split import split_name
from caviar.errors import OptionError
from caviar.evaluate.compare import rope_of, rope_reason
from caviar.evaluate.intervals import mean_estimate
from caviar.evaluate.metrics import Metric, default_metric, find_metric, shown_metrics
from caviar.evaluate.reference import REFERENCES, no_skill_scores, score_references
from caviar.measuring.measure import Arm, Bench, seats_for
from caviar.planning.plan import REPEATS
from caviar.population import devices
from caviar.population.job import MOST_EPOCHS
from caviar.population.template import make_template
from caviar.progress import Clock, Voice
from caviar.recipe.builder import Builder, load_builder
from caviar.recipe.recipe import Recipe
from caviar.recipe.table_model import table_recipe, usual_training
from caviar.run.record import MetricRecord, PlanRecord
from caviar.run.studies import RecipeScore, Scale, TableFacts
from caviar.training.fitting import make_fitting

TABLE_OPTIONS = ("task", "header", "sep", "drop", "group", "time", "weight")
"""Options that say how a table is read."""

_LEAST = {"epochs": 1, "batch_size": 1, "folds": 2, "repeats": 1, "seeds": 1, "seed": 0}
# Members' seeds follow from the seed, and NumPy takes at most 2**32 - 1.
_MOST = {"epochs": MOST_EPOCHS, "seed": 1_000_000_000}
REFERENCE_INPUTS = PreparationPlan(scaling="robust")
"""What a linear model and boosted trees see."""

REFERENCE_SHARE = 0.1
"""Share of the time given that they may take: they are a side dish."""


def check_numbers(given: Mapping[str, Any], **least: int) -> None:
    """Refuse numbers that mean nothing, in words that suit an option of a command and an argument in Python.

    Args:
        given: Options by name.
        least: Smallest sensible values, where they differ from the usual ones.

    Raises:
        OptionError: One of them is no whole number, too small, or too large.
    """
    for name, low in {**_LEAST, **least}.items():
        value = given.get(name)
        if value is not None and not (_is_number(value) and value == int(value) and value >= low):
            raise OptionError(
                f"Expected {name.replace('_', ' ')} to be a whole number of at least {low}, got {value!r}. Correct it."
            )
    for name, most in _MOST.items():
        if (given.get(name) or 0) > most:
            raise OptionError(
                f"Expected {name} to be at most {most:,}, got {given[name]:,}. Choose a smaller number."
            )
    for name in ("rope", "minutes"):
        number = given.get(name)
        if number is not None and not (_is_number(number) and number > 0):
            raise OptionError(
                f"Expected {name} to be a number above 0, got {number!r}. Leave it out for the default."
            )


def _is_number(value: Any) -> bool:  # noqa: ANN401
    """Whether it is a finite number and no truth: what a person gives may be anything."""
    return not isinstance(value, bool | np.bool) and isinstance(value, Real) and math.isfinite(value)


def find_metrics(dataset: Dataset, metric: str | None) -> tuple[Metric, tuple[Metric, ...]]:
    """The score that decides, and those shown beside it.

    Raises:
        OptionError: There is no such score for this task.
    """
    deciding = default_metric(dataset.task) if metric is None else find_metric(metric, dataset.task)
    others = (default_metric(dataset.task), *shown_metrics(dataset.task))
    return deciding, tuple(other for other in others if other != deciding)


def read_recipe(
    dataset: Dataset,
    model: str | Builder | None,
    epochs: int | None,
    batch_size: int | None,
    *,
    absolute: bool,
) -> Recipe:
    """The person's model with plain preparation, or the table network with its own.

    Args:
        dataset: The table.
        model: A builder, or `"file.py:function"`; None for the table network.
        epochs: Passes over the training rows; what is usual for so many rows if not given.
        batch_size: Rows per gradient step, likewise.
        absolute: For regression with the table network: mean absolute error as the loss.
    """
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
        title = f"Your model ({name_of(model)})"
        recipe = Recipe("baseline", title, builder, usual.batch_size, usual.epochs, PreparationPlan())
    return replace(
        recipe,
        epochs=recipe.epochs if epochs is None else int(epochs),
        batch_size=recipe.batch_size if batch_size is None else int(batch_size),
        task=dataset.task,
        n_outputs=dataset.n_outputs,
        n_rows=dataset.n_rows,
        lowest_target=dataset.lowest_target,
    )


def name_of(model: str | Builder) -> str:
    """What a person calls a model: the reference to its builder, or the builder's own name."""
    return model if isinstance(model, str) else getattr(model, "__name__", "builder")


def try_fitting(bench: Bench, recipe: Recipe) -> keras.Model:
    """Build a recipe's model for the first split: find out before anything is trained whether it fits the table.

    Raises:
        ModelError: It cannot be built, or does not fit the table.
    """
    devices.start()
    first = replace(bench, splits=bench.splits[:1])
    seats, places = seats_for(first, recipe, [1])
    x, prepared = first.inputs(recipe.preparation), first.prepared(recipe.preparation)
    fitting = make_fitting(recipe, bench.dataset, x, prepared, seats, places, ask_fit=False, show=False)
    return make_template(fitting.build, fitting.job.sample()).model


@contextmanager
def keras_speaks_plainly() -> Iterator[None]:
    """Keras' own filtered tracebacks hide the message that a person needs; put the setting back afterwards."""
    devices.start()
    filtered = keras.config.is_traceback_filtering_enabled()
    keras.config.disable_traceback_filtering()
    try:
        yield
    finally:
        if filtered:
            keras.config.enable_traceback_filtering()


def find_scale(bench: Bench, rope: float | None, voice: Voice, seconds: float = float("inf")) -> Scale:
    """Score simple predictors on the first repeats, as many as are usual, and derive what counts as a difference.

    Args:
        bench: Rows, splits and the score that decides.
        rope: What a person says that counts; derived if None.
        voice: Shows a bar.
        seconds: After these no further fold is begun.
    """
    dataset, metric = bench.dataset, bench.metric
    splits = [split for split in bench.splits if split.repeat < REPEATS]
    places = {id(split): i for i, split in enumerate(bench.splits)}
    inputs = bench.inputs(REFERENCE_INPUTS)
    with voice.bar("reference rows", len(splits) * len(REFERENCES)):
        scores = score_references(
            dataset,
            splits,
            [metric],
            lambda split: inputs[places[id(split)] if len(inputs) > 1 else 0],
            deadline=time.monotonic() + seconds,
            progress=lambda _done, _all: voice.advance(1),
        )
    means = {
        reference.title: float(np.nanmean(values))
        for reference in REFERENCES
        if np.isfinite(values := scores[reference.name][metric.name]).any()
    }
    best = max if metric.higher_is_better else min
    title = best(means, key=lambda name: means[name]) if means else ""
    reference = means.get(title, float("nan"))
    no_skill = no_skill_scores(dataset, [metric], splits)[metric.name]
    perfect = 1.0 if metric.higher_is_better else 0.0
    reason = rope_reason(no_skill, reference, metric.title, perfect=perfect)
    return Scale(
        no_skill=no_skill,
        reference=reference,
        reference_title=title,
        rope=rope_of(no_skill, reference, perfect=perfect) if rope is None else rope,
        reason=reason if rope is None else "given with --rope",
    )


def common_facts(bench: Bench, seeds: int, scale: Scale, clock: Clock, voice: Voice) -> dict[str, Any]:
    """What every study's record holds (`Study`).

    Args:
        bench: What was measured on.
        seeds: Seeds per fold.
        scale: What counts as a difference.
        clock: How long it took.
        voice: What was said meanwhile.
    """
    dataset, metric = bench.dataset, bench.metric
    repeats, folds = bench.shape
    return {
        "created": time.strftime("%Y-%m-%d %H:%M:%S"),
        "seconds": clock.spent(),
        "versions": {"caviar": importlib.metadata.version("caviar")},
        "table": TableFacts(
            name=dataset.name,
            rows=dataset.n_rows,
            columns=len(dataset.schema.columns),
            task=dataset.task,
        ),
        "metric": MetricRecord(
            name=metric.name, title=metric.title, higher_is_better=metric.higher_is_better
        ),
        "plan": PlanRecord(
            folds=folds,
            repeats=repeats,
            seeds=seeds,
            split=split_name(dataset),
            minutes=clock.minutes,
            seed=bench.seed,
        ),
        "scale": scale,
        "messages": list(voice.said),
    }


def remarks_on(arm: Arm) -> Iterator[str]:
    """What a person should know about how a recipe was trained, one sentence each."""
    if arm.record.engine == "loop":
        yield f"The network was trained one model at a time, because {arm.history.attrs['why']}."
    yield from remarks_on_fixed(arm.fixed)


def remarks_on_fixed(fixed: Sequence[str]) -> Iterator[str]:
    """What a person should know about variables whose seed the builder fixed: a sentence, where there are such."""
    if fixed:
        names = ", ".join(fixed[:3])
        yield (
            f"The builder fixes the seed of {names}{' …' if len(fixed) > 3 else ''}: "
            f"that part does not vary between seeds, so the spread due to the seed is understated."
        )


def score_of(bench: Bench, name: str, arm: Arm, scores: np.ndarray) -> RecipeScore:
    """A measured recipe as a study's record keeps it.

    Args:
        bench: What it was measured on.
        name: What the person calls it.
        arm: What measuring gave.
        scores: Its deciding scores (repeat, fold).
    """
    record = arm.record
    return RecipeScore(
        name=name,
        score=mean_estimate(
            scores, bench.test_share, n_rows=bench.dataset.n_rows, bounds=bench.metric.bounds
        ),
        members=record.members,
        failed_members=record.failed_members,
        epochs=record.epochs,
        batch_size=record.batch_size,
        parameters=record.parameters,
        engine=record.engine,
        seconds=record.seconds,
    )
