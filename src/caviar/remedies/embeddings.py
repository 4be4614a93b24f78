"""Remedies that spread each number of a row over several, before the first layer."""

from collections.abc import Callable
from dataclasses import replace

import keras

from caviar.recipe.layers import PeriodicEmbedding, PiecewiseLinear
from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable, Remedy
from caviar.remedies.rewrite import flat, remade, require_numbers, require_without


def periodic(recipe: Recipe, *, frequencies: int = 16, width: int = 8) -> Recipe:
    """Let the network see each scaled input as sines and cosines of learned frequencies.

    Args:
        recipe: What is changed.
        frequencies: Of each input.
        width: Numbers that each input becomes.
    """
    if recipe.preparation.scaling == "none":
        raise NotApplicable("the inputs are not scaled, so that no frequency suits all of them")
    words = f"periodic, {frequencies} frequencies to {width} numbers each"
    return _embedded(recipe, lambda: PeriodicEmbedding(frequencies, width), words)


def piecewise_linear(recipe: Recipe, *, bins: int = 8) -> Recipe:
    """Let the network see how far each input has come through each of several bins, on the scale of its ranks.

    Args:
        recipe: What is changed.
        bins: Of each input; each holds the same share of the training rows.
    """
    if recipe.preparation.scaling == "none":
        raise NotApplicable("the inputs are not scaled, and bins need them by their ranks")
    plan = recipe.preparation.model_copy(update={"scaling": "quantile"})
    words = f"piecewise linear, {bins} bins of equal shares"
    return replace(_embedded(recipe, lambda: PiecewiseLinear(bins), words), preparation=plan)


def _embedded(recipe: Recipe, make: Callable[[], keras.layers.Layer], words: str) -> Recipe:
    """A layer before the first, on a plain list of numbers."""

    def rewrite(model: keras.Model) -> keras.Model:
        require_without(model, PeriodicEmbedding)
        require_without(model, PiecewiseLinear)
        require_numbers(model)
        model = flat(model)
        if any(len(x.shape) != 2 for x in model.inputs):
            raise NotApplicable("the inputs of a row are no plain list of numbers")
        return remade(model, at_input=make())

    return recipe.changed(("embedding", words), rewrites=(*recipe.rewrites, rewrite))


EMBEDDINGS = (
    Remedy(
        "periodic-embedding",
        "Periodic embeddings of the inputs",
        "embedding",
        "Turns each scaled input into sines and cosines of learned frequencies, mixed by weights of its own.",
        "Gorishniy et al., On embeddings for numerical features in tabular deep learning (2022)",
        ("underfitting",),
        periodic,
        on_demand=True,
    ),
    Remedy(
        "piecewise-embedding",
        "Piecewise linear embeddings of the inputs",
        "embedding",
        "Turns each input into how far it has come through each of eight bins, which hold equal shares of the rows.",
        "Gorishniy et al., On embeddings for numerical features in tabular deep learning (2022)",
        ("underfitting",),
        piecewise_linear,
        on_demand=True,
    ),
)
