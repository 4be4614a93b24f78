"""Remedies that spread each number of a row over several, before the first layer."""

import keras

from caviar.recipe.layers import PeriodicEmbedding
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

    def rewrite(model: keras.Model) -> keras.Model:
        require_without(model, PeriodicEmbedding)
        require_numbers(model)
        model = flat(model)
        if any(len(x.shape) != 2 for x in model.inputs):
            raise NotApplicable("the inputs of a row are no plain list of numbers")
        return remade(model, at_input=PeriodicEmbedding(frequencies, width))

    words = f"periodic, {frequencies} frequencies to {width} numbers each"
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
)
