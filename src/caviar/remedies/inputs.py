"""Remedies that change what the network is given."""

import keras

from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable, Remedy
from caviar.remedies.rewrite import all_layers


def scaling(recipe: Recipe) -> Recipe:
    """Scale numeric inputs robustly and bend outliers; a regression target is standardised too."""
    if recipe.preparation.scaling != "none":
        raise NotApplicable("the inputs are already scaled")

    def unless_it_scales(model: keras.Model) -> keras.Model:
        if any(isinstance(layer, keras.layers.Normalization) for layer in all_layers(model)):
            raise NotApplicable("the network scales its inputs itself, in a Normalization layer")
        return model

    plan = recipe.preparation.model_copy(update={"scaling": "robust", "scale_target": True})
    words = "robust, outliers bent to ±3; a regression target is standardised"
    return recipe.changed(("scaling", words), preparation=plan, rewrites=(*recipe.rewrites, unless_it_scales))


INPUTS = (
    Remedy(
        "scaling",
        "Scale the inputs",
        "scaling",
        "Brings each numeric input to a similar range (median 0, bent outliers), fitted on training rows only.",
        "LeCun et al., Efficient BackProp (1998); RealMLP, Holzmüller et al. (2024)",
        (
            "unscaled_input",
            "unscaled_target",
            "slow_convergence",
            "underfitting",
            "not_trained",
            "diverging",
            "exploding_gradient",
            "dead_relu",
        ),
        scaling,
    ),
)
