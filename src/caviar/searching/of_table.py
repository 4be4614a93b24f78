"""What is searched of a table: a person's own builder, or the space that is ready for tables."""

from typing import Any

from caviar.data.dataset import Dataset
from caviar.measuring.table import read_recipe
from caviar.population import devices
from caviar.recipe.builder import build_of, read_searched
from caviar.recipe.hyperparameters import HyperParameters
from caviar.recipe.recipe import Recipe
from caviar.recipe.settled import OfHp, Searched
from caviar.recipe.table_space import RATES, searched_table


def searched_of_table(
    dataset: Dataset,
    model: Any,  # noqa: ANN401 - a builder, a HyperModel, or where one is
    epochs: int | None,
    batch_size: int | None,
    *,
    absolute: bool,
    rates: tuple[float, float] = RATES,
) -> tuple[Searched, Recipe]:
    """What is asked, and what is known of table and task beside it.

    There are no fit arguments beside a builder that could be functions of `hp`, so `batch_size` and `epochs` that it
    asks for by these names are those that it is trained with.

    Args:
        dataset: The table.
        model: A builder or a `HyperModel`, or `"file.py:name"` of one; None for the ready space.
        epochs: Passes over the training rows where it asks for none; what is usual for so many rows if not given.
        batch_size: Rows per gradient step, likewise.
        absolute: For regression with the ready space: mean absolute error as the loss.
        rates: Lowest and highest learning rate of the ready space.

    Raises:
        CaviarError: There is no such builder.
    """
    if model is None:
        base = read_recipe(dataset, None, epochs, batch_size, absolute=absolute)
        return searched_table(base, absolute=absolute, rates=rates), base
    devices.start()  # the person's file may import keras: on JAX, by then
    asked = read_searched(model)
    base = read_recipe(dataset, build_of(asked), epochs, batch_size, absolute=absolute)
    return Searched(
        asked, _asked_by_name("batch_size", base.batch_size), _asked_by_name("epochs", base.epochs)
    ), base


def _asked_by_name(name: str, usual: int) -> OfHp:
    """The answer to the builder's own question of that name, or what is usual where it does not ask it."""

    def of_hp(hp: HyperParameters) -> Any:  # noqa: ANN401
        answer = hp.values.get(name)
        return usual if answer is None else answer

    return of_hp
