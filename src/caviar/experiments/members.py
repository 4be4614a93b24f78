"""A few more members of a recipe, on rows, at rates and for targets of their own."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from caviar.experiments.contract import Ground, NotAvailable
from caviar.population.job import Seat, Trained
from caviar.population.lift import LEARNING_RATE
from caviar.population.train import NotTogether, train
from caviar.recipe.recipe import Recipe
from caviar.training.fitting import Fitting, make_fitting


def train_extra(
    ground: Ground,
    recipe: Recipe,
    seats: Sequence[Seat],
    *,
    rates: Sequence[float] = (),
    dealt: np.ndarray | None = None,
    ask_fit: bool = False,
    show: bool = False,
) -> tuple[Fitting, Trained]:
    """Train some members as one population.

    Args:
        ground: Where.
        recipe: What to train.
        seats: Their seeds and rows.
        rates: A learning rate for each seat; the recipe's own if none are given.
        dealt: For each row the one whose target it gets (row,); its own if not given.
        ask_fit: Also predict the training rows.
        show: Record the scored rows' curves.

    Raises:
        NotAvailable: Rates cannot differ between members of this model.
    """
    bench = ground.bench
    fitting = make_fitting(
        recipe,
        bench.dataset,
        bench.inputs(recipe.preparation),
        bench.prepared(recipe.preparation),
        list(seats),
        [(seat.split, k) for k, seat in enumerate(seats)],
        ask_fit=ask_fit,
        show=show,
    )
    changed: dict[str, Any] = {"spread": bench.spread}
    if rates:
        changed["numbers"] = {LEARNING_RATE: list(rates)}
    if dealt is not None:
        changed["y"] = fitting.job.y[:, dealt]
    fitting = replace(fitting, job=replace(fitting.job, **changed))
    try:
        return fitting, train(fitting.job, ground.monitor)
    except NotTogether as reason:
        raise NotAvailable(f"members of this model cannot train together ({reason})") from None


def own_rate(ground: Ground) -> float:
    """A recipe's learning rate, without its sign, for rates around it.

    Raises:
        NotAvailable: It is no number above or below 0, or members cannot have rates of their own.
    """
    if ground.rate is None:
        raise NotAvailable("the optimizer has no learning rate that could be changed")
    if ground.arm.record.engine != "population":
        raise NotAvailable("members of this model train one by one")
    return ground.rate
