"""Remedies that keep a network from fitting noise."""

import functools
from typing import Any

import keras

from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable, Remedy
from caviar.remedies.rewrite import (
    all_layers,
    ends_of_hidden,
    flat,
    hidden_layers,
    rewired,
    take_off_activation,
)


def l2(recipe: Recipe, *, strength: float) -> Recipe:
    """Add a squared penalty on the kernels of all layers that have none."""

    def rewrite(model: keras.Model) -> keras.Model:
        bare = [
            layer for layer in all_layers(model) if vars(layer).get("kernel_regularizer", "absent") is None
        ]
        if not bare:
            raise NotApplicable("the network has no layer whose kernel is free of a regularizer")
        for layer in bare:
            layer.kernel_regularizer = keras.regularizers.L2(strength)
            if layer.built:
                layer.kernel.regularizer = layer.kernel_regularizer
        return model

    words = f"L2({strength:g}) on the kernels"
    return recipe.changed(("penalty", words), rewrites=(*recipe.rewrites, rewrite))


def dropout(recipe: Recipe, *, rate: float) -> Recipe:
    """Drop hidden units after each hidden layer's activation."""

    def rewrite(model: keras.Model) -> keras.Model:
        _require_without(model, keras.layers.Dropout)
        model = flat(model)
        ends = ends_of_hidden(model)
        return rewired(
            model,
            after=lambda layer, flow: keras.layers.Dropout(rate)(flow) if layer.name in ends else flow,
        )

    return recipe.changed(("dropout", f"{rate:g} after hidden layers"), rewrites=(*recipe.rewrites, rewrite))


def noise(recipe: Recipe, *, deviation: float = 0.1) -> Recipe:
    """Add Gaussian noise: to the inputs if they are scaled, else after the first hidden layer."""
    scaled = recipe.preparation.scaling != "none"

    def rewrite(model: keras.Model) -> keras.Model:
        _require_without(model, keras.layers.GaussianNoise)
        if scaled:
            if any(isinstance(layer, keras.layers.Embedding) for layer in all_layers(model)):
                raise NotApplicable(
                    "the network looks inputs up in an Embedding, where noise means another row"
                )
            return rewired(model, at_input=keras.layers.GaussianNoise(deviation))
        model = flat(model)
        first = ends_of_hidden(model)[0]
        return rewired(
            model,
            after=lambda layer, flow: (
                keras.layers.GaussianNoise(deviation)(flow) if layer.name == first else flow
            ),
        )

    where = "on the scaled inputs" if scaled else "after the first hidden layer"
    words = f"standard deviation {deviation:g} {where}"
    return recipe.changed(("noise", words), rewrites=(*recipe.rewrites, rewrite))


def batch_normalization(recipe: Recipe) -> Recipe:
    """Normalise each hidden layer's sums over the batch, before the activation."""

    def rewrite(model: keras.Model) -> keras.Model:
        _require_without(model, keras.layers.BatchNormalization)
        model = flat(model)
        hidden = hidden_layers(model)
        activations = {
            layer.name: take_off_activation(layer) for layer in model.layers if layer.name in hidden
        }

        def after(layer: Any, flow: Any) -> Any:  # noqa: ANN401
            if layer.name not in hidden:
                return flow
            flow = keras.layers.BatchNormalization()(flow)
            activation = activations[layer.name]
            if activation is None:
                return flow
            if isinstance(activation, keras.layers.Layer):
                return activation(flow)
            return keras.layers.Activation(activation)(flow)

        return rewired(model, after=after)

    words = "before each hidden activation"
    return recipe.changed(("batch normalization", words), rewrites=(*recipe.rewrites, rewrite))


def _require_without(model: keras.Model, kind: type) -> None:
    if any(isinstance(layer, kind) for layer in all_layers(model)):
        raise NotApplicable(f"the network already has {kind.__name__}")


_SRIVASTAVA = "Srivastava et al., Dropout (2014)"
_KROGH = "Krogh & Hertz, A simple weight decay can improve generalization (1992)"

REGULARIZATION = (
    Remedy(
        "dropout-0.2",
        "Dropout 20 %",
        "dropout",
        "Drops a fifth of the hidden units in every training step.",
        _SRIVASTAVA,
        ("overfitting", "missing_regularisation"),
        functools.partial(dropout, rate=0.2),
        cures="overfitting",
    ),
    Remedy(
        "dropout-0.5",
        "Dropout 50 %",
        "dropout",
        "Drops half of the hidden units in every training step.",
        _SRIVASTAVA,
        ("overfitting", "missing_regularisation"),
        functools.partial(dropout, rate=0.5),
        cures="overfitting",
    ),
    Remedy(
        "l2-0.001",
        "L2 0.001",
        "penalty",
        "Adds 0.001 times the squared weights to the loss.",
        _KROGH,
        ("overfitting", "missing_regularisation"),
        functools.partial(l2, strength=0.001),
        cures="overfitting",
    ),
    Remedy(
        "l2-0.01",
        "L2 0.01",
        "penalty",
        "Adds 0.01 times the squared weights to the loss.",
        _KROGH,
        ("overfitting", "missing_regularisation"),
        functools.partial(l2, strength=0.01),
        cures="overfitting",
    ),
    Remedy(
        "gaussian-noise",
        "Gaussian noise",
        "noise",
        "Adds noise of standard deviation 0.1 in every training step.",
        "Bishop, Training with noise is equivalent to Tikhonov regularization (1995)",
        ("overfitting", "missing_regularisation"),
        noise,
        cures="overfitting",
    ),
    Remedy(
        "batch-normalization",
        "Batch normalization",
        "normalization",
        "Normalises each hidden layer's sums over the batch before the activation.",
        "Ioffe & Szegedy, Batch normalization (2015)",
        (
            "slow_convergence",
            "missing_batchnorm",
            "vanishing_gradient",
            "underfitting",
            "not_trained",
            "learning_rate_low",
        ),
        batch_normalization,
    ),
)
