"""How do members of a recipe fare at constant learning rates, and while the rate climbs from update to update?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np

from caviar.errors import ModelError
from caviar.measuring.measure import Bench, seats_for
from caviar.population.job import Job, Monitor, Trained
from caviar.population.lift import LEARNING_RATE, numbers
from caviar.population.train import NotTogether, train
from caviar.recipe.recipe import Recipe
from caviar.recipe.schedules import RangeSweep
from caviar.training.fitting import Fitting, make_fitting


@dataclass(frozen=True, eq=False)
class AtRates:
    """What constant rates lead to.

    Attributes:
        scores: Deciding score on held-out rows (rate, repeat, fold, seed); NaN where training failed.
        losses: The model's own loss on them, penalties included, likewise.
        why: Why the rates did not train as one population; empty where they did.
        fixed: Variables whose seed the builder fixed.
    """

    scores: np.ndarray
    losses: np.ndarray
    why: str
    fixed: tuple[str, ...]


def rate_of(model: keras.Model) -> float:
    """The learning rate that a model's optimizer has.

    Args:
        model: Compiled, with all its variables created (as `try_fitting` leaves it).

    Raises:
        ModelError: A schedule decides about it.
    """
    rate = numbers(model).get(LEARNING_RATE)
    if rate is None:
        raise ModelError(
            "Expected an optimizer whose learning rate is a number, because a range test puts others in its place, "
            "but it has a schedule of its own. Compile the model with a number as learning_rate."
        )
    return rate


def train_at_rates(
    bench: Bench, recipe: Recipe, rates: Sequence[float], seeds: int, monitor: Monitor | None = None
) -> AtRates:
    """Train a recipe at several constant rates on every split, as one program: rates are numbers of its members.

    Args:
        bench: Rows, splits, seeds and scores.
        recipe: What to train; its rate does not matter.
        rates: Rates, 0 among them allowed.
        seeds: Seeds per split: the same for every rate, so that differences are paired.
        monitor: Told of progress.

    Raises:
        ModelError: The model does not fit the table.
    """
    fitting = _fitting(bench, recipe, seeds)
    try:
        trained, why = [train(_at_rates(fitting, rates), monitor)], ""
    except NotTogether as reason:
        why = str(reason)
        alone = replace(fitting.job, score=True)
        trained = [
            train(replace(alone, build=_fitting(bench, _at(recipe, rate), 1).build), monitor)
            for rate in rates
        ]
    shape = (len(rates), *bench.shape, seeds)
    return AtRates(
        np.reshape([score for one in trained for score in _scores(bench, recipe, fitting, one)], shape),
        np.reshape([score["loss"] for one in trained for score in one.scores], shape),
        why,
        trained[0].fixed,
    )


def train_sweep(
    bench: Bench, recipe: Recipe, schedule: RangeSweep, seeds: int, monitor: Monitor | None = None
) -> np.ndarray:
    """Train a recipe on every split while its rate climbs, as one program.

    Args:
        bench: Rows, splits and seeds.
        recipe: What to train; its rate and its epochs do not matter.
        schedule: The climb; training ends with it.
        seeds: Seeds per split.
        monitor: Told of progress.

    Returns:
        The loss of every update's batch, before the update (member, update).

    Raises:
        ModelError: The model does not fit the table.
    """
    found = train(sweep_job(bench, recipe, schedule, seeds), monitor)
    return np.asarray(found.history["loss"].values, np.float64)


def job_at_rates(bench: Bench, recipe: Recipe, rates: Sequence[float], seeds: int) -> Job:
    """What `train_at_rates` trains as one program."""
    return _at_rates(_fitting(bench, recipe, seeds), rates)


def sweep_job(bench: Bench, recipe: Recipe, schedule: RangeSweep, seeds: int) -> Job:
    """What `train_sweep` trains."""
    job = _fitting(bench, _at(recipe, schedule), seeds).job
    # An epoch of one batch ends with that batch's loss, and rows still come in the order of whole passes.
    return replace(job, epochs=schedule.updates, steps_per_epoch=1, ask=False)


def _at_rates(fitting: Fitting, rates: Sequence[float]) -> Job:
    seats = fitting.job.seats
    return replace(
        fitting.job,
        score=True,
        seats=[seat for _ in rates for seat in seats],
        numbers={LEARNING_RATE: [rate for rate in rates for _ in seats]},
    )


def _at(recipe: Recipe, rate: float | RangeSweep) -> Recipe:
    def rewrite(model: keras.Model) -> keras.Model:
        model.optimizer.learning_rate = rate
        return model

    return replace(recipe, rewrites=(*recipe.rewrites, rewrite))


def _fitting(bench: Bench, recipe: Recipe, seeds: int) -> Fitting:
    seats, places = seats_for(bench, recipe, [seeds] * len(bench.splits))
    inputs, prepared = bench.inputs(recipe.preparation), bench.prepared(recipe.preparation)
    fitting = make_fitting(recipe, bench.dataset, inputs, prepared, seats, places, ask_fit=False, show=False)
    return replace(fitting, job=replace(fitting.job, spread=bench.spread))


def _scores(bench: Bench, recipe: Recipe, fitting: Fitting, trained: Trained) -> list[float]:
    """The deciding score of every member, whatever number of times the seats are repeated."""
    data, prepared = bench.dataset, bench.prepared(recipe.preparation)
    scores = []
    for i, outputs in enumerate(trained.outputs):
        seat = fitting.job.seats[i % len(fitting.job.seats)]
        values = prepared[seat.split].restore(fitting.predictions(outputs))
        weight = None if data.weight is None else data.weight[seat.scored]
        scores.append(bench.metric.score(data.target[seat.scored], values, weight))
    return scores
