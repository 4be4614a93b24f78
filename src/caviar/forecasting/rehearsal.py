"""A plan in small: Keras' `fit` and a population are trained for a few seconds on random numbers of its shape."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np

from caviar.errors import ModelError
from caviar.planning.cost import Speed
from caviar.planning.updates import Workload, shortened
from caviar.population import devices
from caviar.population.job import Job, Seat
from caviar.population.speed import speed_of_fit, speed_of_population
from caviar.population.template import first_line, sketch
from caviar.progress import Voice
from caviar.recipe.builder import Builder, call_with, load_builder
from caviar.recipe.heads import loss_of
from caviar.recipe.table_model import table_builder

INPUTS = 8
"""Inputs of a row, where neither a number nor a model says."""

# What is measured takes part of the rows and of the trainings: as many as these.
_MOST_NUMBERS, _MOST_SEATS = 4_000_000, 4_096


@dataclass(frozen=True)
class Rehearsal:
    """What was measured.

    Attributes:
        network: What was trained, in words.
        machine: On what, in words.
        alone: How fast Keras' `fit` trains one network.
        together: How fast Caviar trains them as a population; None if it cannot.
    """

    network: str
    machine: str
    alone: Speed
    together: Speed | None


def rehearse(work: Workload, model: Builder | str | None, inputs: int | None, voice: Voice) -> Rehearsal:
    """Train what a plan asks for, for a few seconds.

    Args:
        work: The plan.
        model: A builder, or `"file.py:function"`; None for Caviar's table network.
        inputs: Inputs of a row; None for those of the model, or 8.
        voice: Shows that something happens.

    Raises:
        ModelError: The builder fails, or its model takes no rows of `inputs` numbers.
    """
    found = devices.start()
    job, network = _job(work, model, inputs)
    with voice.bar("training for a few seconds: Keras' fit, then a population", 2):
        alone = speed_of_fit(job)
        voice.advance(1)
        together = speed_of_population(job, alone.update)
        voice.advance(1)
    kind = {"cpu": "CPU core", "gpu": "GPU"}.get(found.kind, found.kind)
    return Rehearsal(network, f"{found.count} {kind}{'s' if found.count != 1 else ''}", alone, together)


def _job(work: Workload, model: Builder | str | None, inputs: int | None) -> tuple[Job, str]:
    """Trainings of the plan's shape on random numbers, and what is trained in words."""
    builder = load_builder(model) if isinstance(model, str) else model or table_builder("binary")
    build = partial(call_with, builder, inputs or INPUTS, 1)
    looked_at = sketch(build)
    row = _row_shape(looked_at, inputs)
    said = _said_shape(looked_at, row)
    largest = max(work.training_rows)
    numbers = math.prod(row) + math.prod(said)
    most = max(1, _MOST_NUMBERS // (numbers * work.batch_size))
    cut = largest - shortened(largest, work.batch_size, most)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((largest - cut, *row), np.float32)
    job = Job(
        build=build,
        x=x[None],
        y=_target(looked_at, largest - cut, said, rng)[None],
        weight=None,
        seats=_seats(work, cut),
        batch_size=work.batch_size,
        epochs=work.epochs,
    )
    shape = f"{row[0]:,} inputs" if len(row) == 1 else f"rows of shape {row}"
    if model is None:
        return job, f"Caviar's table network for {shape} (two layers of 64, Adam)"
    name = model if isinstance(model, str) else getattr(model, "__name__", type(model).__name__)
    return job, f"{name} for {shape}"


def _seats(work: Workload, cut: int) -> list[Seat]:
    """Places of the trainings, or of some of them where they are very many; the largest first."""
    share = min(1.0, _MOST_SEATS / work.trainings)
    none = np.arange(0)
    seats: list[Seat] = []
    for rows, count in work.training_rows.items():
        fit = np.arange(rows - cut)
        for _ in range(math.ceil(share * count)):
            seats.append(Seat(0, 0, len(seats), 0, fit, none, none))
    return seats


def _row_shape(model: keras.Model, inputs: int | None) -> tuple[int, ...]:
    """Shape of a row, as the model declares it or as it was asked for."""
    declared = [tuple(one.shape[1:]) for one in getattr(model, "inputs", None) or []]
    if len(declared) > 1:
        raise ModelError(
            f"Expected a model with one input, got {len(declared)}. Plan with a model of one input of about that size."
        )
    if not declared:
        return (inputs or INPUTS,)
    if None in declared[0]:
        raise ModelError(
            f"Expected a model for rows of one shape, got {declared[0]}. Give its keras.Input numbers for None."
        )
    if inputs is not None and declared[0] != (inputs,):
        raise ModelError(
            f"Expected a model for rows of {inputs} inputs (--inputs), got one for shape {declared[0]}. Leave --inputs "
            f"out, or let the builder take n_inputs."
        )
    return declared[0]


def _said_shape(model: keras.Model, row: Sequence[int]) -> tuple[int, ...]:
    """Shape of what a model says of a row."""
    try:
        said: Any = model(keras.KerasTensor((None, *row)))
    except Exception as error:
        raise ModelError(
            f"Expected a model that takes rows of shape {tuple(row)}, but it cannot: {first_line(error)} Give "
            f"their number with --inputs."
        ) from error
    if not isinstance(said, keras.KerasTensor):
        raise ModelError(
            "Expected a model with one output, got several. Plan with a model of one output of about that size."
        )
    return tuple(said.shape[1:])


def _target(model: keras.Model, rows: int, said: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Random targets as the loss takes them: what is learned does not matter to how long it takes."""
    name = loss_of(model)[1]
    if "sparse" in name:
        return rng.integers(0, said[-1], (rows, *said[:-1]), np.int32)
    if "categorical" in name:
        return np.eye(said[-1], dtype=np.float32)[rng.integers(0, said[-1], (rows, *said[:-1]))]
    if any(part in name for part in ("crossentropy", "focal", "hinge")):
        return rng.integers(0, 2, (rows, *said)).astype(np.float32)
    return rng.standard_normal((rows, *said), np.float32)
