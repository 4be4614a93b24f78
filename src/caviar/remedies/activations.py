"""Remedies that change hidden layers' activations, and the first weights that go with them."""

import functools
from typing import Any

import keras

from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable, Remedy
from caviar.remedies.rewrite import hidden_layers, recast


def hidden_activation(
    recipe: Recipe, *, activation: str, initializer: str, slope: float | None = None
) -> Recipe:
    """Give all hidden layers another activation, and the first weights that go with it."""

    def rewrite(model: keras.Model) -> keras.Model:
        hidden = hidden_layers(model)
        wanted: Any = activation
        if slope is not None:
            wanted = keras.saving.serialize_keras_object(keras.layers.LeakyReLU(negative_slope=slope))
        apart = [layer for layer in model.layers if isinstance(layer, keras.layers.Activation)]
        if apart and apart[-1] is model.layers[-1]:
            apart.pop()
        changed = []

        def change(layer: Any, config: dict[str, Any]) -> dict[str, Any] | None:  # noqa: ANN401
            if any(layer is other for other in apart):
                changed.append(layer.name)
                return config | {"activation": wanted}
            if layer.name not in hidden or "activation" not in config:
                return None
            same = config["activation"] == wanted and _made_by(layer, initializer)
            behind = apart and config["activation"] == "linear"
            if not same:
                changed.append(layer.name)
            new = {"kernel_initializer": initializer} | ({} if behind else {"activation": wanted})
            return config | (new if "kernel_initializer" in config else {"activation": wanted})

        new = recast(model, change)
        if not changed:
            raise NotApplicable(f"the hidden layers already have {activation} and {initializer}")
        return new

    name = f"LeakyReLU({slope:g})" if slope is not None else activation
    return recipe.changed(
        ("hidden activation", f"{name}, first weights {initializer}"), rewrites=(*recipe.rewrites, rewrite)
    )


def _made_by(layer: Any, initializer: str) -> bool:  # noqa: ANN401
    wanted = keras.initializers.get(initializer)
    return type(getattr(layer, "kernel_initializer", None)) is type(wanted)


_FITTING = {
    "selu": "lecun_normal",
    "tanh": "glorot_uniform",
    "sigmoid": "glorot_uniform",
    "linear": "glorot_uniform",
}


def first_weights(recipe: Recipe) -> Recipe:
    """Give each layer the first weights that go with its activation: He, Glorot or LeCun."""

    def rewrite(model: keras.Model) -> keras.Model:
        changed = []

        def change(layer: Any, config: dict[str, Any]) -> dict[str, Any] | None:  # noqa: ANN401
            if "kernel_initializer" not in config:
                return None
            activation = getattr(getattr(layer, "activation", None), "__name__", "")
            bounded = activation in {"softmax", "softsign", "hard_sigmoid"}
            wanted = "glorot_uniform" if bounded else _FITTING.get(activation, "he_normal")
            if _usual(layer):
                return None
            changed.append(layer.name)
            return config | {"kernel_initializer": wanted, "bias_initializer": "zeros"}

        new = recast(model, change)
        if not changed:
            raise NotApplicable("the first weights already have a usual size")
        return new

    return recipe.changed(
        ("first weights", "He, Glorot or LeCun, by activation"), rewrites=(*recipe.rewrites, rewrite)
    )


def _usual(layer: Any) -> bool:  # noqa: ANN401
    """Whether a layer's first weights are scaled by its number of inputs."""
    kind = type(layer.kernel_initializer)
    return issubclass(kind, (keras.initializers.VarianceScaling, keras.initializers.Orthogonal))


_HE = "He et al., Delving deep into rectifiers (2015); Glorot & Bengio (2010)"
_STUCK = ("not_trained", "vanishing_gradient", "underfitting", "slow_convergence", "saturated")

ACTIVATIONS = (
    Remedy(
        "relu",
        "ReLU in hidden layers",
        "activation",
        "Gives hidden layers the activation relu and He's first weights.",
        _HE,
        ("hidden_activation", "missing_hidden_activation", "exploding_gradient", *_STUCK, "init"),
        functools.partial(hidden_activation, activation="relu", initializer="he_normal"),
        cures="hidden_activation",
        on_demand=True,
    ),
    Remedy(
        "leaky-relu",
        "Leaky ReLU in hidden layers",
        "activation",
        "Gives hidden layers LeakyReLU with slope 0.1 and He's first weights: units cannot die.",
        "Maas et al., Rectifier nonlinearities improve neural network acoustic models (2013)",
        ("dead_relu", "hidden_activation", "vanishing_gradient", "not_trained"),
        functools.partial(hidden_activation, activation="leaky_relu", initializer="he_normal", slope=0.1),
        cures="hidden_activation",
        on_demand=True,
    ),
    Remedy(
        "first-weights",
        "First weights of a usual size",
        "initializer",
        "Draws first weights by He, Glorot or LeCun, as the activation asks for.",
        _HE,
        ("init", "symmetry", "exploding_gradient", "dead_relu", *_STUCK),
        first_weights,
        cures="init",
        on_demand=True,
    ),
    Remedy(
        "selu",
        "SELU in hidden layers",
        "activation",
        "Gives hidden layers the activation selu and LeCun's first weights.",
        "Klambauer et al., Self-normalizing neural networks (2017)",
        ("hidden_activation", "dead_relu", "vanishing_gradient"),
        functools.partial(hidden_activation, activation="selu", initializer="lecun_normal"),
        cures="hidden_activation",
        on_demand=True,
    ),
    Remedy(
        "gelu",
        "GELU in hidden layers",
        "activation",
        "Gives hidden layers the activation gelu and He's first weights.",
        "Hendrycks & Gimpel, Gaussian error linear units (2016)",
        ("hidden_activation", "dead_relu"),
        functools.partial(hidden_activation, activation="gelu", initializer="he_normal"),
        cures="hidden_activation",
        on_demand=True,
    ),
    Remedy(
        "elu",
        "ELU in hidden layers",
        "activation",
        "Gives hidden layers the activation elu and He's first weights.",
        "Clevert et al., Fast and accurate deep network learning by exponential linear units (2016)",
        ("dead_relu", "vanishing_gradient"),
        functools.partial(hidden_activation, activation="elu", initializer="he_normal"),
        on_demand=True,
    ),
    Remedy(
        "mish",
        "Mish in hidden layers",
        "activation",
        "Gives hidden layers the activation mish and He's first weights.",
        "Misra, Mish: a self regularized non-monotonic activation function (2020)",
        ("dead_relu",),
        functools.partial(hidden_activation, activation="mish", initializer="he_normal"),
        on_demand=True,
    ),
)
