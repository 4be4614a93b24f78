"""Remedies that change what the network is given."""

from dataclasses import replace

import keras

from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable, Remedy
from caviar.remedies.rewrite import all_layers


def scaling(recipe: Recipe) -> Recipe:
    """Scale numeric inputs robustly and bend outliers; a regression target is standardised too."""
    plan = recipe.preparation.model_copy(update={"scaling": "robust", "scale_target": True})
    words = "robust, outliers bent to ±3" + ("" if _of_classes(recipe) else "; the target is standardised")
    return _scaled_inputs(recipe).changed(("scaling", words), preparation=plan)


def scaled_inputs(recipe: Recipe) -> Recipe:
    """Scale numeric inputs robustly and bend outliers; the target stays as it is."""
    if _of_classes(recipe) or recipe.preparation.scale_target:
        raise NotApplicable("the remedy that scales the inputs does the same here")
    plan = recipe.preparation.model_copy(update={"scaling": "robust"})
    return _scaled_inputs(recipe).changed(("scaling", "inputs robust, outliers bent to ±3"), preparation=plan)


def scaled_target(recipe: Recipe) -> Recipe:
    """Bring a regression's target to mean 0 and standard deviation 1; predictions come back in its units."""
    if _of_classes(recipe):
        raise NotApplicable("the target is a class")
    if recipe.preparation.scale_target:
        raise NotApplicable("the target is already scaled")
    plan = recipe.preparation.model_copy(update={"scale_target": True})
    return recipe.changed(("target", "standardised"), preparation=plan)


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
)
