"""Remedies that keep a network from fitting noise."""

import functools
from typing import Any

import keras

from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable, Remedy
from caviar.remedies.rewrite import hidden_layers, rewired


def l2(recipe: Recipe, *, strength: float) -> Recipe:
    """Add a squared penalty on the kernels of all layers that have none."""

    def rewrite(model: keras.Model) -> keras.Model:
        penalised = [layer.name for layer in model.layers if _penalisable(layer)]
        if not penalised:
            raise NotApplicable("every layer already has a kernel regularizer")

        def change(layer: Any) -> Any:  # noqa: ANN401
            if layer.name in penalised:
                layer.kernel_regularizer = keras.regularizers.L2(strength)
                layer._kernel.regularizer = layer.kernel_regularizer
            return layer

        return rewired(model, change=change)

    words = f"L2({strength:g}) on the kernels"
    return recipe.changed(("penalty", words), rewrites=(*recipe.rewrites, rewrite))


def dropout(recipe: Recipe, *, rate: float) -> Recipe:
    """Drop hidden units after each hidden layer's activation."""

    def rewrite(model: keras.Model) -> keras.Model:
        _require_without(model, keras.layers.Dropout)
        ends = _ends_of_hidden(model)
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
            return rewired(model, at_input=lambda flow: keras.layers.GaussianNoise(deviation)(flow))
        ends = _ends_of_hidden(model)
        first = next(layer.name for layer in model.layers if layer.name in ends)
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
        hidden = hidden_layers(model)
        if not hidden:
            raise NotApplicable("the network has no hidden layer")

        def change(layer: Any) -> Any:  # noqa: ANN401
            if layer.name not in hidden:
                return layer
            config = layer.get_config() | {"activation": "linear"}
            if "use_bias" in config:
                config["use_bias"] = False  # the normalisation has an offset of its own
            return layer.__class__.from_config(config)

        def after(layer: Any, flow: Any) -> Any:  # noqa: ANN401
            if layer.name not in hidden:
                return flow
            flow = keras.layers.BatchNormalization()(flow)
            activation = getattr(layer, "activation", None)
            if activation is None or activation is keras.activations.linear:
                return flow
            return keras.layers.Activation(activation)(flow)

        return rewired(model, change=change, after=after)

    words = "before each hidden activation"
    return recipe.changed(("batch normalization", words), rewrites=(*recipe.rewrites, rewrite))


def _penalisable(layer: Any) -> bool:  # noqa: ANN401
    return getattr(layer, "kernel_regularizer", "none") is None and hasattr(layer, "_kernel")


def _require_without(model: keras.Model, kind: type) -> None:
    if any(isinstance(layer, kind) for layer in model.layers):
        raise NotApplicable(f"the network already has {kind.__name__}")


def _ends_of_hidden(model: keras.Model) -> set[str]:
    """Layers after which a hidden layer is complete: itself, or the Activation (and normalisation) behind it."""
    hidden = hidden_layers(model)
    if not hidden:
        raise NotApplicable("the network has no hidden layer")
    ends, current = {}, None
    for layer in model.layers:
        if layer.name in hidden:
            current = layer.name
        elif hasattr(layer, "kernel_initializer"):
            current = None
        if current is not None and isinstance(
            layer, (keras.layers.Activation, keras.layers.BatchNormalization, keras.layers.ReLU)
        ):
            ends[current] = layer.name
        elif current is not None and layer.name == current:
            ends[current] = layer.name
    return set(ends.values())


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
    ),
    Remedy(
        "dropout-0.5",
        "Dropout 50 %",
        "dropout",
        "Drops half of the hidden units in every training step.",
        _SRIVASTAVA,
        ("overfitting", "missing_regularisation"),
        functools.partial(dropout, rate=0.5),
    ),
    Remedy(
        "l2-0.001",
        "L2 0.001",
        "penalty",
        "Adds 0.001 times the squared weights to the loss.",
        _KROGH,
        ("overfitting", "missing_regularisation"),
        functools.partial(l2, strength=0.001),
    ),
    Remedy(
        "l2-0.01",
        "L2 0.01",
        "penalty",
        "Adds 0.01 times the squared weights to the loss.",
        _KROGH,
        ("overfitting", "missing_regularisation"),
        functools.partial(l2, strength=0.01),
    ),
    Remedy(
        "gaussian-noise",
        "Gaussian noise",
        "noise",
        "Adds noise of standard deviation 0.1 in every training step.",
        "Bishop, Training with noise is equivalent to Tikhonov regularization (1995)",
        ("overfitting", "missing_regularisation"),
        noise,
    ),
    Remedy(
        "batch-normalization",
        "Batch normalization",
        "normalization",
        "Normalises each hidden layer's sums over the batch before the activation.",
        "Ioffe & Szegedy, Batch normalization (2015)",
        ("slow_convergence", "missing_batchnorm", "vanishing_gradient", "learning_rate_low"),
        batch_normalization,
    ),
)
