"""What a person may change while a network trains, and how a change gets into the recipe."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from pydantic import BaseModel, ConfigDict

from caviar.errors import OptionError
from caviar.population.callbacks import rate_variable, sets_rate
from caviar.population.lift import numbers
from caviar.population.template import make_template
from caviar.recipe.recipe import Recipe, Rewrite
from caviar.remedies.rewrite import all_layers, recompiled

_DROPOUTS = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
    keras.layers.AlphaDropout,
    keras.layers.GaussianDropout,
)
_DECAY = "optimizer.weight_decay"


class Settings(BaseModel):
    """What holds from some epoch on; None for what the builder itself sets.

    Attributes:
        learning_rate: Rate of the optimizer.
        dropout: Share that every dropout layer drops.
        weight_decay: Share of a weight that a step at learning rate 1 takes away, apart from the gradient.
        batch_size: Rows per gradient step.

    >>> Settings(batch_size=32).changed(learning_rate=0.01).given()
    {'learning_rate': 0.01, 'batch_size': 32}
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float | None = None
    dropout: float | None = None
    weight_decay: float | None = None
    batch_size: int

    def changed(self, **values: float | None) -> "Settings":
        """These settings with some others in their place; None leaves one as it is."""
        return self.model_copy(update={name: value for name, value in values.items() if value is not None})

    def given(self) -> dict[str, float]:
        """What is set, by name."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


NAMES = tuple(Settings.model_fields)
"""What may be set."""


def in_words(values: Mapping[str, float]) -> str:
    """Settings as a person reads them.

    >>> in_words({"learning_rate": 1e-4, "dropout": 0.3})
    'learning rate 0.0001, dropout 0.3'
    """
    return ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in values.items())


def check(values: Mapping[str, Any], rows: int) -> dict[str, float]:
    """New settings as numbers, or a refusal.

    Args:
        values: By name; None for what is to stay.
        rows: Rows that a network trains on.

    Raises:
        OptionError: Nothing is set, a name is unknown, or a value means nothing.

    >>> check({"batch_size": 16, "dropout": None}, rows=100)
    {'batch_size': 16}
    """
    given = {name: value for name, value in values.items() if value is not None}
    if unknown := sorted(given.keys() - set(NAMES)):
        raise OptionError(
            f"Expected a setting that can be changed while training, got {unknown[0]!r}. "
            f"Set one of {', '.join(NAMES)}."
        )
    if not given:
        raise OptionError(f"Expected something to set, got nothing. Set one of {', '.join(NAMES)}.")
    if wrong := out_of_bounds(given, rows):
        raise OptionError(f"Expected {wrong}. Choose another value.")
    if "batch_size" in given:
        given["batch_size"] = int(given["batch_size"])
    return given


def out_of_bounds(given: Mapping[str, Any], rows: int) -> str:
    """What the first setting that means nothing should be, and is; empty where all mean something.

    Args:
        given: By name.
        rows: Rows that a network trains on.

    >>> out_of_bounds({"dropout": 4.0, "batch_size": 32}, rows=100)
    'dropout to be at least 0 and below 1, got 4'
    """
    for name, value in given.items():
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not abs(value) <= sys.float_info.max
        ):
            return f"{name} to be a finite number, got {value!r}"
    for name, fits, wanted in (
        ("learning_rate", lambda x: x > 0, "above 0"),
        ("dropout", lambda x: 0 <= x < 1, "at least 0 and below 1"),
        ("weight_decay", lambda x: 0 <= x < 1, "at least 0 and below 1"),
        (
            "batch_size",
            lambda x: x == int(x) and 1 <= x <= rows,
            f"a whole number from 1 to {rows:,}, the rows trained on",
        ),
    ):
        if name in given and not fits(given[name]):
            return f"{name} to be {wanted}, got {given[name]:g}"
    return ""


def set_into(recipe: Recipe, settings: Settings) -> Recipe:
    """The recipe as these settings make it.

    Its networks have the same variables as before, so that training goes on from the state it is in.
    """
    rewrites: list[Rewrite] = []
    if settings.learning_rate is not None:
        if sets_rate(recipe.callbacks):
            raise OptionError(
                "Expected a learning rate that nothing else sets, but a callback sets it at every epoch. Leave the "
                "callback out to set it while training."
            )
        rewrites.append(_with_rate(settings.learning_rate))
    if settings.dropout is not None:
        rewrites.append(_with_dropout(settings.dropout))
    if settings.weight_decay is not None:
        rewrites.append(_with_decay(settings.weight_decay))
    return replace(recipe, batch_size=settings.batch_size, rewrites=(*recipe.rewrites, *rewrites))


def _with_rate(rate: float) -> Rewrite:
    def rewrite(model: keras.Model) -> keras.Model:
        if rate_variable(model) is None:
            raise OptionError(
                "Expected an optimizer whose learning rate is a number, but it has a schedule of its own. "
                "Compile the model with a constant rate to set it while training."
            )
        model.optimizer.learning_rate = rate
        return model

    return rewrite


def _with_dropout(share: float) -> Rewrite:
    def rewrite(model: keras.Model) -> keras.Model:
        layers = dropouts(model)
        if not layers:
            raise OptionError(
                "Expected a network with dropout layers, but it has none that was built with a rate above 0. Put "
                "keras.layers.Dropout into the builder, with a rate such as 0.01, to change it while training."
            )
        for layer in layers:
            layer.rate = share
        return model

    return rewrite


def _with_decay(share: float) -> Rewrite:
    def rewrite(model: keras.Model) -> keras.Model:
        optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
        optimizer.weight_decay = share
        return recompiled(model)  # a saved model knows its optimizer by what it was compiled with

    return rewrite


def dropouts(model: keras.Model) -> list[Any]:
    """Layers whose rate can be set: one built with a rate of 0 has no random numbers to draw."""
    return [
        layer
        for layer in all_layers(model)
        if isinstance(layer, _DROPOUTS) and hasattr(layer, "seed_generator")
    ]


def own_values(model: keras.Model, recipe: Recipe) -> dict[str, float]:
    """What a builder itself sets, by name; what cannot be set is left out.

    Args:
        model: As the builder returns it.
        recipe: Whose model it is.
    """
    values: dict[str, float] = {}
    rate = None if sets_rate(recipe.callbacks) else rate_variable(model)
    if rate is not None:
        # As it was written, and not as it is in half the digits.
        values["learning_rate"] = float(str(np.float32(keras.ops.convert_to_numpy(rate))))
    rates = {float(layer.rate) for layer in dropouts(model)}
    if rates:
        values["dropout"] = max(rates)
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return values | {
        "weight_decay": float(getattr(optimizer, "weight_decay", None) or 0.0),
        "batch_size": recipe.batch_size,
    }


def lifted_numbers(build: Any, sample: tuple[Any, ...]) -> dict[str, float]:  # noqa: ANN401 - a builder
    """Dropout rates and weight decay by key: as a member's own numbers they can change without another program.

    Args:
        build: Returns the compiled model, as the settings make it.
        sample: A few rows that fix shapes and types.
    """
    model = make_template(build, sample).model
    layers = list(model._flatten_layers(include_self=False))  # noqa: SLF001 - positions are counted in this order
    dropped = {f"layers[{i}].rate" for i, layer in enumerate(layers) if isinstance(layer, _DROPOUTS)}
    return {key: value for key, value in numbers(model).items() if key == _DECAY or key in dropped}
