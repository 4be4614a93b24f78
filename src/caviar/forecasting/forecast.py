"""`caviar.forecast`: what will a training cost in updates, in time on this machine and in money on a rented one?"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caviar.errors import OptionError
from caviar.planning.cost import Cost, cost_of
from caviar.planning.updates import Workload, workload
from caviar.progress import Voice

if TYPE_CHECKING:
    from caviar.recipe.builder import Builder

DOLLARS_PER_HOUR = 3.0
"""About what a machine with one data-centre GPU cost on demand for years (such as p3.2xlarge, $3.06). Prices change."""


@dataclass(frozen=True)
class Forecast:
    """What a plan comes to.

    Attributes:
        work: The plan and what it counts to: batches, updates, trainings.
        network: What was measured, in words; empty where nothing was.
        machine: On what, in words.
        loop: As a loop over Keras' `fit`; None where nothing was measured.
        population: As a population in Caviar; None where nothing was measured, or where JAX cannot train the model
            as one program.
        dollars_per_hour: What the rented machine costs.
        speedup: How many times as fast as this one it is taken to be.
    """

    work: Workload
    network: str = ""
    machine: str = ""
    loop: Cost | None = None
    population: Cost | None = None
    dollars_per_hour: float = DOLLARS_PER_HOUR
    speedup: float = 1.0


def forecast(
    rows: int,
    batch_size: int,
    epochs: int,
    *,
    folds: int | None = None,
    repeats: int = 1,
    seeds: int = 1,
    trials: int = 1,
    model: "Builder | str | None" = None,
    inputs: int | None = None,
    measure: bool = True,
    dollars_per_hour: float | None = None,
    speedup: float | None = None,
    quiet: bool = False,
) -> Forecast:
    """Count a plan's batches, updates and trainings, and tell from a short measurement what they will take.

    Args:
        rows: Rows of the table.
        batch_size: Rows per update.
        epochs: Passes over the training rows.
        folds: Folds of a cross-validation: so many trainings, each without one fold. None trains on all rows.
        repeats: Repeats of it.
        seeds: Seeds of each.
        trials: Settings that are tried.
        model: A builder, or `"file.py:function"`; Caviar's table network by default.
        inputs: Inputs of a row; those of the model, or 8, by default.
        measure: Whether to train for a few seconds, on random numbers; without it only counting is done.
        dollars_per_hour: Price of a rented machine; 3 by default, which is to be looked up.
        speedup: How many times as fast as this machine the rented one is; 1 by default, for nobody knows before
            measuring there.
        quiet: Whether to say nothing on the way.

    Raises:
        OptionError: A number makes no sense, or asks for what `measure=False` leaves out.
        ModelError: The builder fails, or its model takes no rows of `inputs` numbers.

    Example:
        >>> import caviar
        >>> plan = caviar.forecast(200, 5, 1000, measure=False)
        >>> plan.work.batches.count, plan.work.updates
        (40, 40000)
    """
    work = workload(rows, batch_size, epochs, folds=folds, repeats=repeats, seeds=seeds, trials=trials)
    of_measuring = {
        "--model": model,
        "--inputs": inputs,
        "--dollars-per-hour": dollars_per_hour,
        "--speedup": speedup,
    }
    beside = [name for name, value in of_measuring.items() if value is not None]
    if not measure:
        if beside:
            raise OptionError(
                f"Expected no {' and no '.join(beside)} beside --no-measure, which tells no time, got it. Leave one of "
                f"them out."
            )
        return Forecast(work)
    price = _positive(
        "--dollars-per-hour", DOLLARS_PER_HOUR if dollars_per_hour is None else dollars_per_hour
    )
    faster = _positive("--speedup", 1.0 if speedup is None else speedup)
    if inputs is not None and inputs < 1:
        raise OptionError(f"Expected --inputs to be at least 1, got {inputs}. Give a larger number.")
    from caviar.forecasting.rehearsal import (
        rehearse,  # Keras and JAX take seconds to import, and counting needs neither
    )

    seen = rehearse(work, model, inputs, Voice(quiet=quiet))
    rented = {"dollars_per_hour": price, "speedup": faster}
    together = seen.together
    return Forecast(
        work,
        seen.network,
        seen.machine,
        cost_of(seen.alone, work.updates, work.trainings, **rented),
        None if together is None else cost_of(together, work.updates, 1, **rented),
        price,
        faster,
    )


def _positive(option: str, number: float) -> float:
    if not (math.isfinite(number) and number > 0):
        raise OptionError(f"Expected {option} to be a number above 0, got {number:g}. Correct it.")
    return number
