"""What is nursed: a person's rows and builder as they are, or a table, with some rows put aside to be watched."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from caviar.data.dataset import Dataset
from caviar.data.load import load
from caviar.data.prepare import fit_preparation
from caviar.data.split import inner_split
from caviar.errors import OptionError
from caviar.evaluate.metrics import Metric
from caviar.measuring.given import deciding_metric, make_recipe, read_arrays
from caviar.measuring.table import check_numbers, find_metrics, name_of, read_recipe
from caviar.nursing.log import PandaLog
from caviar.nursing.stage import Members
from caviar.population import devices
from caviar.population.job import Seat
from caviar.population.template import sketch
from caviar.recipe.builder import Builder, read_builder
from caviar.recipe.recipe import Recipe

MOST_MODELS = 100
"""Models that are watched at once: a person reads their curves."""


@dataclass(frozen=True, eq=False)
class Material:
    """What is nursed.

    Attributes:
        dataset: The table.
        recipe: As it begins; its epochs are those planned.
        metric: The score that decides.
        fit: Rows that train.
        watch: Rows that are watched.
        models: How many models train beside each other.
        seed: Where their seeds start.
        called: What the person calls the model.
    """

    dataset: Dataset
    recipe: Recipe
    metric: Metric
    fit: np.ndarray
    watch: np.ndarray
    models: int
    seed: int
    called: str

    @property
    def callbacks(self) -> list[str]:
        """Kinds of the callbacks that are carried out."""
        return [type(callback).__name__ for callback in self.recipe.callbacks]

    def members(self) -> Members:
        """The models that a person watches; the watched rows are also those that are predicted at the end."""
        data, plan = self.dataset, self.recipe.preparation
        prepared = fit_preparation(
            data.schema, plan, data.features, data.target, rows=self.fit, weight=data.weight
        )
        seats = [Seat(0, 0, self.seed + k, 0, self.fit, self.watch, self.watch) for k in range(self.models)]
        places = [(0, k) for k in range(self.models)]
        return Members(self.recipe, data, prepared.inputs(data.features)[None], [prepared], seats, places)


def from_arrays(
    build: str | Builder,
    x: Any,  # noqa: ANN401
    y: Any,  # noqa: ANN401
    *,
    batch_size: int,
    epochs: int,
    models: int,
    validation_split: float,
    sample_weight: Any,  # noqa: ANN401
    task: str | None,
    metric: str | None,
    seed: int,
    callbacks: Any = (),  # noqa: ANN401
) -> Material:
    """Arrays as they are; the last share of the rows is watched, as in `fit`.

    Raises:
        CaviarError: One sentence on what was expected, what was seen, and what to do.
    """
    _check(models, validation_split, epochs=epochs, batch_size=batch_size, seed=seed)
    devices.start()
    builder = read_builder(build)
    dataset, _ = read_arrays(x, y, task, sample_weight)
    recipe = make_recipe(
        builder,
        dataset,
        name=name_of(build),
        batch_size=int(batch_size),
        epochs=int(epochs),
        callbacks=callbacks,
    )
    deciding = deciding_metric(
        sketch(recipe.build(dataset.features.shape[1], dataset.n_outputs)), dataset, metric
    )
    rows = np.arange(dataset.n_rows, dtype=np.int32)
    cut = math.floor(len(rows) * (1 - validation_split))
    fit, watch = rows[:cut], rows[cut:]
    if validation_split and not (len(fit) and len(watch)):
        raise OptionError(
            f"Expected validation_split to leave rows on both sides, but {validation_split:g} of {len(rows)} rows "
            f"does not. Choose a share nearer to 0.2."
        )
    return Material(dataset, recipe, deciding, fit, watch, int(models), seed, name_of(build))


def from_table(
    source: object,
    target: str | int | Sequence[str | int] | None,
    *,
    model: str | Builder | None,
    batch_size: int | None,
    epochs: int | None,
    models: int,
    validation_split: float,
    metric: str | None,
    seed: int,
    reading: dict[str, Any],
) -> Material:
    """A table; the rows that are watched are drawn as folds are: with the classes' shares, groups whole, later in time.

    Raises:
        CaviarError: One sentence on what was expected, what was seen, and what to do.
    """
    _check(models, validation_split, epochs=epochs, batch_size=batch_size, seed=seed)
    dataset = load(source, target, **reading)
    deciding, _ = find_metrics(dataset, metric)
    recipe = read_recipe(dataset, model, epochs, batch_size, absolute=deciding.name == "mae")
    devices.start()
    rows = np.arange(dataset.n_rows, dtype=np.int32)
    fit, watch = rows, rows[:0]
    if validation_split:
        fit, watch = inner_split(dataset, rows, fraction=validation_split, seed=seed)
    called = "Caviar's table network" if model is None else name_of(model)
    return Material(dataset, recipe, deciding, fit, watch, int(models), seed, called)


def check_same_table(log: PandaLog, material: Material) -> None:
    """Refuse to replay a log on another table: its schedule belongs to the one that was nursed.

    Raises:
        OptionError: Rows, columns or task differ.
    """
    then, data = log.table, material.dataset
    now = (data.n_rows, len(data.schema.columns), data.task)
    if (then.rows, then.columns, then.task) != now:
        raise OptionError(
            f"Expected the table that was nursed, {then.name} with {then.rows:,} rows, {then.columns} inputs and the "
            f"task {then.task}, got {now[0]:,} rows, {now[1]} inputs and the task {now[2]}. Pass the same table with "
            f"the same options."
        )


def check_same_callbacks(log: PandaLog, material: Material) -> None:
    """Refuse to carry out a log's schedule beside other callbacks than it was made with.

    Raises:
        OptionError: Their kinds differ.
    """
    now = material.callbacks
    if log.callbacks != now:
        raise OptionError(
            f"Expected the callbacks beside which the log was made ({', '.join(log.callbacks) or 'none'}), got "
            f"{', '.join(now) or 'none'}. Pass the same to caviar.panda."
        )


def _check(models: int, validation_split: float, **given: int | None) -> None:
    check_numbers({**given, "models": models}, models=1)
    if models > MOST_MODELS:
        raise OptionError(
            f"Expected models to be at most {MOST_MODELS}, got {models}. Watch fewer; a replay trains many."
        )
    if isinstance(validation_split, bool) or not (
        isinstance(validation_split, int | float) and 0 <= validation_split < 1
    ):
        raise OptionError(
            f"Expected validation split to be at least 0 and below 1, got {validation_split!r}. Write for "
            f"example 0.2."
        )
