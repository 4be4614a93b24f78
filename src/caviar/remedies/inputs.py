"""Remedies that change what the network is given."""

import functools
from dataclasses import replace
from typing import Literal

import keras

from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable, Remedy
from caviar.remedies.rewrite import all_layers


def scaling(recipe: Recipe) -> Recipe:
    """Scale numeric inputs robustly and bend outliers; a regression target is standardised too."""
    with_target = not (_of_classes(recipe) or recipe.given)  # what reaches the loss as it is cannot be scaled
    scale_target = with_target or recipe.preparation.scale_target
    plan = recipe.preparation.model_copy(update={"scaling": "robust", "scale_target": scale_target})
    words = "robust, outliers bent to ±3" + ("; the target is standardised" if with_target else "")
    return _scaled_inputs(recipe).changed(("scaling", words), preparation=plan)


def scaled_inputs(recipe: Recipe) -> Recipe:
    """Scale numeric inputs robustly and bend outliers; the target stays as it is."""
    if _of_classes(recipe) or recipe.preparation.scale_target:
        raise NotApplicable("the remedy that scales the inputs does the same here")
    plan = recipe.preparation.model_copy(update={"scaling": "robust"})
    return _scaled_inputs(recipe).changed(("scaling", "inputs robust, outliers bent to ±3"), preparation=plan)


def shaped_inputs(recipe: Recipe, *, scaling: Literal["standard", "quantile", "power"], words: str) -> Recipe:
    """Scale numeric inputs in another way; the target stays as it is."""
    plan = recipe.preparation.model_copy(update={"scaling": scaling})
    return _scaled_inputs(recipe).changed(("scaling", words), preparation=plan)


def scaled_target(recipe: Recipe) -> Recipe:
    """Bring a regression's target to mean 0 and standard deviation 1; predictions come back in its units."""
    _require_quantity(recipe)
    if recipe.preparation.scale_target:
        raise NotApplicable("the target is already scaled")
    plan = recipe.preparation.model_copy(update={"scale_target": True})
    return recipe.changed(("target", "standardised"), preparation=plan)


def log_target(recipe: Recipe) -> Recipe:
    """Let the network learn a target's logarithm, brought to mean 0 and standard deviation 1.

    Predictions come back in the target's units, and scores are computed there.
    """
    _require_quantity(recipe)
    if recipe.preparation.log_target != "none":
        raise NotApplicable("the network already learns the target's logarithm")
    lowest = recipe.lowest_target
    if lowest is None:
        raise NotApplicable("it is not known whether the target has values below 0")
    if not lowest >= 0:
        raise NotApplicable(f"the target has values below 0, down to {lowest:g}, which have no logarithm")
    kind, words = ("log", "its logarithm") if lowest > 0 else ("log1p", "the logarithm of 1 plus it")
    plan = recipe.preparation.model_copy(update={"log_target": kind, "scale_target": True})
    return recipe.changed(("target's shape", f"{words}, standardised"), preparation=plan)


def _require_quantity(recipe: Recipe) -> None:
    if _of_classes(recipe):
        raise NotApplicable("the target is a class")
    if recipe.given:
        raise NotApplicable("the target does not fit the network's outputs, and reaches the loss as it is")


def _of_classes(recipe: Recipe) -> bool:
    return recipe.task in {"binary", "multiclass"}


def _scaled_inputs(recipe: Recipe) -> Recipe:
    if recipe.preparation.scaling != "none":
        raise NotApplicable("the inputs are already scaled")

    def unless_it_scales(model: keras.Model) -> keras.Model:
        if any(isinstance(layer, keras.layers.Normalization) for layer in all_layers(model)):
            raise NotApplicable("the network scales its inputs itself, in a Normalization layer")
        return model

    return replace(recipe, rewrites=(*recipe.rewrites, unless_it_scales))


_INPUT_FAULTS = (
    "unscaled_input",
    "slow_convergence",
    "underfitting",
    "not_trained",
    "diverging",
    "exploding_gradient",
    "dead_relu",
)
_SOURCE = "LeCun et al., Efficient BackProp (1998); RealMLP, Holzmüller et al. (2024)"

INPUTS = (
    Remedy(
        "scaling",
        "Scale the inputs",
        "scaling",
        "Brings each numeric input to a similar range (median 0, bent outliers), fitted on training rows only; a "
        "regression's target is standardised too.",
        _SOURCE,
        (*_INPUT_FAULTS, "unscaled_target"),
        scaling,
        cures="unscaled_input",
    ),
    Remedy(
        "scale-inputs",
        "Scale the inputs only",
        "scaling",
        "Brings each numeric input to a similar range, fitted on training rows only; the target stays as it is.",
        _SOURCE,
        _INPUT_FAULTS,
        scaled_inputs,
        cures="unscaled_input",
        on_demand=True,
    ),
    Remedy(
        "scale-target",
        "Scale the target",
        "scaling",
        "Brings the target to mean 0 and standard deviation 1 while training; predictions come back in its units.",
        "LeCun et al., Efficient BackProp (1998); Bishop, Neural networks for pattern recognition (1995), 8.2",
        (
            "unscaled_target",
            "slow_convergence",
            "diverging",
            "exploding_gradient",
            "not_trained",
            "underfitting",
        ),
        scaled_target,
        cures="unscaled_target",
    ),
    Remedy(
        "standard-inputs",
        "Standardise the inputs",
        "scaling",
        "Brings each numeric input to mean 0 and standard deviation 1, fitted on training rows only.",
        "LeCun et al., Efficient BackProp (1998)",
        ("unscaled_input",),
        functools.partial(shaped_inputs, scaling="standard", words="mean 0 and standard deviation 1"),
        cures="unscaled_input",
        on_demand=True,
    ),
    Remedy(
        "quantile-inputs",
        "Normal inputs by ranks",
        "scaling",
        "Gives each numeric input the shape of a normal distribution by its ranks, fitted on training rows only.",
        "Gorishniy et al., Revisiting deep learning models for tabular data (2021)",
        ("unscaled_input",),
        functools.partial(shaped_inputs, scaling="quantile", words="normal by ranks"),
        on_demand=True,
    ),
    Remedy(
        "power-inputs",
        "Normal inputs by a power",
        "scaling",
        "Brings each numeric input near to a normal distribution by its best power, fitted on training rows only.",
        "Yeo & Johnson, A new family of power transformations (2000)",
        ("unscaled_input",),
        functools.partial(shaped_inputs, scaling="power", words="near to normal, by the best power of each"),
        on_demand=True,
    ),
    Remedy(
        "log-target",
        "Learn the target's logarithm",
        "target",
        "Lets the network learn the logarithm of a target that is never negative; predictions and scores are in its "
        "own units.",
        "Box & Cox, An analysis of transformations (1964)",
        ("unscaled_target",),
        log_target,
        on_demand=True,
    ),
)
