"""Remedies that normalise what hidden layers pass on."""

import functools
import math
from collections.abc import Callable
from typing import Any

import keras

from caviar.population.callbacks import rate_variable
from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable, Remedy
from caviar.remedies.rewrite import (
    all_layers,
    ends_of_hidden,
    flat,
    hidden_layers,
    require_without,
    rewired,
    take_off_activation,
)

Make = Callable[[], keras.layers.Layer]


def before_activation(recipe: Recipe, *, make: Make, what: str) -> Recipe:
    """Normalise each hidden layer's sums before the activation; the normalization's own shift replaces the bias.

    Args:
        recipe: What is changed.
        make: Makes a normalization layer.
        what: Its name in words.
    """
    kind = type(make())

    def rewrite(model: keras.Model) -> keras.Model:
        require_without(model, kind)
        model = flat(model)
        hidden = hidden_layers(model)
        if kind is keras.layers.LayerNormalization:
            _require_several_units(model, hidden)
        activations = {
            layer.name: take_off_activation(layer) for layer in model.layers if layer.name in hidden
        }

        def after(layer: Any, flow: Any) -> Any:  # noqa: ANN401
            if layer.name not in hidden:
                return flow
            flow = make()(flow)
            activation = activations[layer.name]
            if activation is None:
                return flow
            if isinstance(activation, keras.layers.Layer):
                return activation(flow)
            return keras.layers.Activation(activation)(flow)

        return rewired(model, after=after)

    return recipe.changed((what, "before each hidden activation"), rewrites=(*recipe.rewrites, rewrite))


def after_activation(recipe: Recipe) -> Recipe:
    """Normalise what each hidden layer passes on over the batch, after the activation."""

    def rewrite(model: keras.Model) -> keras.Model:
        require_without(model, keras.layers.BatchNormalization)
        model = flat(model)
        ends = ends_of_hidden(model)
        return rewired(
            model,
            after=lambda layer, flow: keras.layers.BatchNormalization()(flow) if layer.name in ends else flow,
        )

    words = "after each hidden activation"
    return recipe.changed(("batch normalization", words), rewrites=(*recipe.rewrites, rewrite))


def settled_statistics(recipe: Recipe, *, reach: float = 5.0, momentum: float = 0.99) -> Recipe:
    """Go on through the training rows at a rate of zero, so that batch statistics are those of the final weights.

    While weights move, the running means and variances that inference uses are averages over weights that are no
    longer there. At a rate of zero they become those of the weights that are handed over, on all training rows.

    Args:
        recipe: What is changed.
        reach: How many times the memory of the running statistics, in batches, is gone through.
        momentum: The longest memory that is waited for: 1 / (1 - momentum) batches; Keras' own is 0.99.
    """
    if not recipe.n_rows:
        raise NotApplicable("the number of rows is not known, and with it the number of batches")
    if any(isinstance(callback, _DECIDES) for callback in recipe.callbacks):
        raise NotApplicable("a callback already sets the learning rate, or goes back to earlier weights")

    def rewrite(model: keras.Model) -> keras.Model:
        norms = [x for x in all_layers(model) if isinstance(x, keras.layers.BatchNormalization)]
        if not norms:
            raise NotApplicable("the network has no batch normalization")
        if max(norm.momentum for norm in norms) > momentum:
            raise NotApplicable(
                "its batch normalization remembers so many batches that it takes too many epochs"
            )
        if rate_variable(model) is None:
            raise NotApplicable("the optimizer has a learning-rate schedule of its own")
        return model

    trained = recipe.epochs
    more = math.ceil(reach / (1 - momentum) / math.ceil(recipe.n_rows / recipe.batch_size))
    still = keras.callbacks.LearningRateScheduler(lambda epoch, now: float(now) if epoch < trained else 0.0)
    return recipe.changed(
        ("batch statistics", f"settled for {more} epochs at a rate of 0"),
        epochs=trained + more,
        callbacks=(*recipe.callbacks, still),
        rewrites=(*recipe.rewrites, rewrite),
    )


def _require_several_units(model: keras.Model, hidden: list[str]) -> None:
    if any(model.get_layer(name).output.shape[-1] == 1 for name in hidden):
        raise NotApplicable("a hidden layer has a single unit, of which layer normalization leaves nothing")


# What would let the rate rise again, or hand over other weights than the last.
_DECIDES = (
    keras.callbacks.EarlyStopping,
    keras.callbacks.ReduceLROnPlateau,
    keras.callbacks.LearningRateScheduler,
)
_IOFFE = "Ioffe & Szegedy, Batch normalization (2015)"

NORMALIZATION = (
    Remedy(
        "batch-normalization",
        "Batch normalization",
        "normalization",
        "Normalises each hidden layer's sums over the batch before the activation.",
        _IOFFE,
        (
            "slow_convergence",
            "missing_batchnorm",
            "vanishing_gradient",
            "underfitting",
            "not_trained",
            "learning_rate_low",
        ),
        functools.partial(
            before_activation, make=keras.layers.BatchNormalization, what="batch normalization"
        ),
    ),
    Remedy(
        "layer-normalization",
        "Layer normalization",
        "normalization",
        "Normalises each hidden layer's sums over its units before the activation, row by row.",
        "Ba, Kiros & Hinton, Layer normalization (2016)",
        ("slow_convergence", "vanishing_gradient"),
        functools.partial(
            before_activation, make=keras.layers.LayerNormalization, what="layer normalization"
        ),
        on_demand=True,
    ),
    Remedy(
        "batch-normalization-after",
        "Batch normalization after the activation",
        "normalization",
        "Normalises what each hidden layer passes on over the batch, after the activation.",
        f"{_IOFFE}; Mishkin et al., Systematic evaluation of CNN advances (2017)",
        ("slow_convergence",),
        after_activation,
        on_demand=True,
    ),
    Remedy(
        "settled-statistics",
        "Batch statistics settled at the end",
        "statistics",
        "Goes on through the training rows at a rate of zero, so that the means and variances that inference uses are "
        "those of the final weights.",
        f"{_IOFFE}, algorithm 2; Wu & Johnson, Rethinking “batch” in BatchNorm (2021)",
        ("batch_size",),
        settled_statistics,
        on_demand=True,
    ),
)
