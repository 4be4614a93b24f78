"""Which recipes surely share the structure of one that is known? Those whose models look the same, built only once.

`make_template` builds a model twice and makes it ready for training, and `structure` describes what came out: that
takes long where a search has hundreds of recipes that differ in numbers. What Keras creates to make a model ready
follows from the model and the rows; so two models of Keras' own parts that are equal before that, but for numbers that
lift.py lifts, are equal afterwards. Not the other way round: models that look different may have one structure.
"""

import json
import random
from dataclasses import dataclass
from typing import Any

import jax
import keras
import numpy as np

from caviar.population.callbacks import rate_variable
from caviar.population.lift import LEARNING_RATE, places
from caviar.population.structure import _digest, _Foreign, _shape, _Walk
from caviar.population.template import (
    _TEMPLATE_SEEDS,
    Build,
    _initial_values_recorded,
    _Recording,
    _seed_of,
    call_builder,
    global_seeds_restored,
    ready,
    variables,
)


@dataclass(frozen=True)
class Glance:
    """How a model looks.

    Attributes:
        text: Equal for two recipes on rows of the same shapes and types only if `structure` is, wherever the first
            one's template says that no seed is fixed and no member must be built by itself.
        numbers: Those of `lift.numbers` that are left out of the text; others may come to light once it is ready.
    """

    text: str
    numbers: dict[str, float]


def glance(build: Build, batch: tuple[Any, ...]) -> Glance | None:
    """Build a recipe's model once, without computing its first values, and describe it.

    Args:
        build: Returns a compiled model.
        batch: `(x, y)` or `(x, y, sample_weight)`, a few rows that fix shapes and types.

    Returns:
        How it looks; None if a look does not tell enough: it has parts of the user's own, or first values that its
        builder computes.

    Raises:
        ModelError: The builder raises, or what it returns cannot be trained.

    >>> def build(rate):
    ...     model = keras.Sequential([keras.Input((3,)), keras.layers.Dropout(rate), keras.layers.Dense(1)])
    ...     model.compile("sgd", "mse")
    ...     return model
    >>> batch = np.zeros((2, 3), np.float32), np.zeros((2, 1), np.float32)
    >>> one, other, without = (glance(lambda rate=rate: build(rate), batch) for rate in (0.2, 0.3, 0.0))
    >>> one.text == other.text, one.text == without.text, other.numbers["layers[1].rate"]
    (True, False, 0.3)
    """
    return _built(build, batch)[1]


def sketched(build: Build) -> tuple[keras.Model, Glance | None]:
    """A model to look at, as `sketch` builds it, and how it looks: what `glance` says, without building it again.

    Returns:
        The model, and how it looks; None besides where its weights do not exist before it has seen rows.

    Raises:
        ModelError: The builder raises, or what it returns cannot be trained.
    """
    return _built(build, None)


def text_of_rows(batch: tuple[Any, ...]) -> str:
    """Shapes and types of a batch: recipes share a structure only if those of their rows are equal, too."""
    return json.dumps([[_shape(part) for part in jax.tree.leaves(batch)], str(jax.tree.structure(batch))])


def _built(build: Build, batch: tuple[Any, ...] | None) -> tuple[keras.Model, Glance | None]:
    with global_seeds_restored(), _initial_values_recorded() as recording:
        keras.utils.set_random_seed(_TEMPLATE_SEEDS[0])
        model = call_builder(build)
        if not all(layer.built for layer in model._flatten_layers()):
            if batch is None:
                return model, None
            ready(model, batch)  # its weights, and the numbers that hang on them, do not exist before
        # Whoever has drawn other seeds than another, or fixed one that the other has drawn, has drawn a different
        # number of times: then what comes next differs.
        following = [random.random(), float(np.random.random())]  # noqa: S311, NPY002 - the builder's own generators
        return model, _seen(model, recording, following)


def _seen(model: keras.Model, recording: _Recording, following: list[float]) -> Glance | None:
    found = places(model)
    walk = _Walk(model, found)
    try:
        parts: list[Any] = [walk.value(model)]
        for owner in walk.objects():
            # Once the loss is ready, its weights stand in the losses that it is made of.
            more = walk.value(vars(owner).get("_user_loss_weights"))
            parts.append([type(owner).__module__, type(owner).__qualname__, walk.attributes(owner), more])
        first = _first_values(model, recording, with_rate=LEARNING_RATE not in found)
    except (_Foreign, _Computed):
        return None
    text = json.dumps([list(found), first, following, parts])
    return Glance(text, {key: place.number for key, place in found.items()})


class _Computed(Exception):  # noqa: N818 - an outcome, not an error
    """The builder computes with first values."""


def _first_values(model: keras.Model, recording: _Recording, *, with_rate: bool) -> list[Any]:
    """For each variable its shape, its type, and its seed or what the builder put there."""
    rate = rate_variable(model)
    said: list[Any] = []
    for group in variables(model):
        for variable in group:
            record = recording.seen.get(id(variable))
            untouched = record is not None and variable._value is record[2]
            said.append([_shape(variable), untouched])
            if record is not None and untouched:
                seed = _seed_of(record[1])
                said.append(seed if isinstance(seed, int) else type(seed).__name__)
            elif variable is not rate or with_rate:
                said.append(_digest(_set_by_builder(variable)))
        said.append(None)
    return said


def _set_by_builder(variable: Any) -> np.ndarray:  # noqa: ANN401
    value = np.asarray(variable._value)
    if np.issubdtype(value.dtype, np.floating) and np.isnan(value).any():
        raise _Computed
    return value
