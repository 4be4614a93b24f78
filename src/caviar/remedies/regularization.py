"""Remedies that keep a network from fitting noise: penalties, decay and noise."""

import functools
from typing import Any

import keras

from caviar.recipe.layers import NoisyDense
from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable, Remedy
from caviar.remedies.rewrite import (
    all_layers,
    ends_of_hidden,
    flat,
    recompiled,
    remade,
    require_numbers,
    require_without,
    rewired,
)


def penalty(recipe: Recipe, *, l1: float = 0.0, l2: float = 0.0) -> Recipe:
    """Add a penalty on the kernels of all layers that have none.

    Args:
        recipe: What is changed.
        l1: Factor of the weights' sizes.
        l2: Factor of their squares.
    """

    def regularizer() -> keras.regularizers.Regularizer:
        if l1 and l2:
            return keras.regularizers.L1L2(l1, l2)
        return keras.regularizers.L1(l1) if l1 else keras.regularizers.L2(l2)

    def rewrite(model: keras.Model) -> keras.Model:
        bare = [
            layer for layer in all_layers(model) if vars(layer).get("kernel_regularizer", "absent") is None
        ]
        if not bare:
            raise NotApplicable("the network has no layer whose kernel is free of a regularizer")
        for layer in bare:
            layer.kernel_regularizer = regularizer()
            if layer.built:
                layer.kernel.regularizer = layer.kernel_regularizer
        return model

    parts = [f"L1({l1:g})"] * bool(l1) + [f"L2({l2:g})"] * bool(l2)
    words = f"{' and '.join(parts)} on the kernels"
    return recipe.changed(("penalty", words), rewrites=(*recipe.rewrites, rewrite))


def weight_decay(recipe: Recipe, *, strength: float = 0.1) -> Recipe:
    """Let the optimizer shrink all weights in every step, apart from the gradient.

    Args:
        recipe: What is changed.
        strength: Share that a step at learning rate 1 would take away. Kadra et al. search up to 0.1.
    """

    def rewrite(model: keras.Model) -> keras.Model:
        optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
        if getattr(optimizer, "weight_decay", None):
            raise NotApplicable("the optimizer already decays the weights")
        optimizer.weight_decay = strength
        return recompiled(model)

    return recipe.changed(("penalty", f"weight decay {strength:g}"), rewrites=(*recipe.rewrites, rewrite))


def noise(recipe: Recipe, *, deviation: float = 0.1) -> Recipe:
    """Add Gaussian noise: to the inputs if they are scaled, else after the first hidden layer."""
    scaled = recipe.preparation.scaling != "none"

    def rewrite(model: keras.Model) -> keras.Model:
        require_without(model, keras.layers.GaussianNoise)
        if scaled:
            require_numbers(model)
            return rewired(model, at_input=keras.layers.GaussianNoise(deviation))
        model = flat(model)
        return _noisy_behind(model, ends_of_hidden(model)[:1], deviation)

    where = "on the scaled inputs" if scaled else "after the first hidden layer"
    words = f"standard deviation {deviation:g} {where}"
    return recipe.changed(("noise", words), rewrites=(*recipe.rewrites, rewrite))


def hidden_noise(recipe: Recipe, *, deviation: float = 0.1) -> Recipe:
    """Add Gaussian noise after each hidden layer."""

    def rewrite(model: keras.Model) -> keras.Model:
        require_without(model, keras.layers.GaussianNoise)
        model = flat(model)
        return _noisy_behind(model, ends_of_hidden(model), deviation)

    words = f"standard deviation {deviation:g} after each hidden layer"
    return recipe.changed(("noise", words), rewrites=(*recipe.rewrites, rewrite))


def _noisy_behind(model: keras.Model, names: list[str], deviation: float) -> keras.Model:
    return rewired(
        model,
        after=lambda layer, flow: (
            keras.layers.GaussianNoise(deviation)(flow) if layer.name in names else flow
        ),
    )


def weight_noise(recipe: Recipe, *, deviation: float = 0.075) -> Recipe:
    """Add Gaussian noise to the kernels of all dense layers, drawn anew in every step.

    Args:
        recipe: What is changed.
        deviation: Its standard deviation: that of Graves et al.
    """

    def noisy(layer: Any) -> Any:  # noqa: ANN401
        if type(layer) is not keras.layers.Dense:
            return None
        return NoisyDense.from_config(layer.get_config() | {"deviation": deviation})

    def rewrite(model: keras.Model) -> keras.Model:
        require_without(model, NoisyDense)
        if all(type(layer) is not keras.layers.Dense for layer in all_layers(model)):
            raise NotApplicable("the network has no dense layer")
        return remade(model, make=noisy)

    words = f"standard deviation {deviation:g} on the weights"
    return recipe.changed(("noise", words), rewrites=(*recipe.rewrites, rewrite))


_KROGH = "Krogh & Hertz, A simple weight decay can improve generalization (1992)"

REGULARIZATION = (
    Remedy(
        "l2-0.001",
        "L2 0.001",
        "penalty",
        "Adds 0.001 times the squared weights to the loss.",
        _KROGH,
        ("overfitting", "missing_regularisation"),
        functools.partial(penalty, l2=0.001),
        cures="overfitting",
    ),
    Remedy(
        "l2-0.01",
        "L2 0.01",
        "penalty",
        "Adds 0.01 times the squared weights to the loss.",
        _KROGH,
        ("overfitting", "missing_regularisation"),
        functools.partial(penalty, l2=0.01),
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
        "weight-decay",
        "Weight decay",
        "penalty",
        "Lets the optimizer shrink all weights in every step, by a tenth of the learning rate.",
        "Loshchilov & Hutter, Decoupled weight decay regularization (2019); "
        "Kadra et al., Well-tuned simple nets excel on tabular datasets (2021)",
        ("overfitting",),
        weight_decay,
        on_demand=True,
    ),
    Remedy(
        "l1",
        "L1 0.0001",
        "penalty",
        "Adds 0.0001 times the sizes of the weights to the loss, which makes many of them nearly 0.",
        "Tibshirani, Regression shrinkage and selection via the lasso (1996)",
        ("overfitting",),
        functools.partial(penalty, l1=1e-4),
        on_demand=True,
    ),
    Remedy(
        "l1-l2",
        "L1 0.0001 and L2 0.001",
        "penalty",
        "Adds 0.0001 times the sizes of the weights and 0.001 times their squares to the loss.",
        "Zou & Hastie, Regularization and variable selection via the elastic net (2005)",
        ("overfitting",),
        functools.partial(penalty, l1=1e-4, l2=0.001),
        on_demand=True,
    ),
    Remedy(
        "hidden-noise",
        "Gaussian noise in hidden layers",
        "noise",
        "Adds noise of standard deviation 0.1 to what each hidden layer passes on, in every training step.",
        "Poole et al., Analyzing noise in autoencoders and deep networks (2014)",
        ("overfitting",),
        hidden_noise,
        on_demand=True,
    ),
    Remedy(
        "weight-noise",
        "Gaussian noise on the weights",
        "noise",
        "Adds noise of standard deviation 0.075 to the weights of dense layers, anew in every training step.",
        "Graves et al., Speech recognition with deep recurrent neural networks (2013); "
        "An, The effects of adding noise during backpropagation training (1996)",
        ("overfitting",),
        weight_noise,
        on_demand=True,
    ),
)
