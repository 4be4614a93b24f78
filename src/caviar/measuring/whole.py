"""A recipe trained on all rows of a table: what a person takes home."""

from dataclasses import dataclass

import keras
import numpy as np

from caviar.data.dataset import Dataset
from caviar.data.prepare import Prepared, fit_preparation
from caviar.data.split import inner_split
from caviar.errors import ModelError
from caviar.evaluate.simple import Fitted
from caviar.measuring.blend import fit_beside
from caviar.measuring.measure import WATCH_SHARE
from caviar.population.job import MemberValues, Monitor, Seat, Trained
from caviar.population.keep import Keep
from caviar.population.staged import train_staged
from caviar.population.template import build_alone, variables
from caviar.recipe.recipe import Recipe
from caviar.recipe.snapshots import mean_network
from caviar.training.fitting import Fitting, drawn_again, make_fitting


@dataclass(frozen=True, eq=False)
class Whole:
    """A recipe trained on all rows of a table.

    Attributes:
        prepared: The preparation.
        fitting: What was trained.
        trained: What training gave.
        models: With their weights: one, or one per seed of an ensemble; snapshots are one model.
        beside: What is no network and predicts along.
    """

    prepared: Prepared
    fitting: Fitting
    trained: Trained
    models: list[keras.Model]
    beside: tuple[Fitted, ...]


def fit_all(
    dataset: Dataset, recipe: Recipe, seed: int, monitor: Monitor | None = None, keep: Keep | None = None
) -> Whole:
    """Train a recipe on all rows of a table."""
    rows = np.arange(dataset.n_rows, dtype=np.int32)
    plan = recipe.preparation
    prepared = fit_preparation(
        dataset.schema, plan, dataset.features, dataset.target, rows=rows, weight=dataset.weight
    )
    fit, watch = rows, rows[:0]
    if recipe.watches:
        fit, watch = inner_split(dataset, rows, fraction=WATCH_SHARE, seed=seed)
    seeds = [seed + 1 + k for k in range(recipe.ensemble)]
    seats = [
        Seat(0, 0, one, 0, drawn_again(fit, one) if recipe.bootstrap else fit, watch, rows[:0])
        for one in seeds
    ]
    places = [(0, k) for k in range(recipe.ensemble)]
    x = prepared.inputs(dataset.features)[None]
    fitting = make_fitting(recipe, dataset, x, [prepared], seats, places, ask_fit=True, show=False)
    trained = train_staged([fitting.stages], monitor, keep)[0]
    if not all(np.isfinite(outputs).all() for outputs in fitting.outputs(trained)):
        raise ModelError(
            "Expected the final model to train to finite numbers, but it diverged on all rows. "
            "Lower its learning rate or scale its inputs."
        )
    models = []
    for i, seat in enumerate(seats):
        networks = [_network(fitting, seat.seed, one.states[i]) for one in fitting.snapshots(trained)]
        models.append(mean_network(networks, fitting.link, fitting.job.sample()[0]))
    beside = fit_beside(recipe, dataset, x[0], rows)
    return Whole(prepared, fitting, trained, models, beside)


def _network(fitting: Fitting, seed: int, state: MemberValues) -> keras.Model:
    model = build_alone(fitting.build, fitting.job.sample(), seed)
    for group, values in zip(variables(model)[:2], state[:2], strict=True):
        for variable, value in zip(group, values, strict=True):
            variable.assign(value)
    return model
