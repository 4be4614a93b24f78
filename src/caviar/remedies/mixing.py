"""Remedies that train a network on mixtures of rows."""

import keras

from caviar.recipe.heads import loss_of
from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable, Remedy
from caviar.remedies.imbalance import require_columns
from caviar.remedies.rewrite import all_layers, recompiled


def mixup(recipe: Recipe, *, alpha: float = 0.2) -> Recipe:
    """Train on mixtures of two rows each, inputs and targets alike; class numbers become columns of 0 and 1.

    Args:
        recipe: What is changed.
        alpha: Both parameters of the beta distribution of the shares; Zhang et al. find 0.1 to 0.4 to help.
    """
    if recipe.mixup:
        raise NotApplicable("rows are already mixed")

    def rewrite(model: keras.Model) -> keras.Model:
        if any(isinstance(layer, keras.layers.Embedding) for layer in all_layers(model)):
            raise NotApplicable(
                "the network looks inputs up in an Embedding, where a mixture means another row"
            )
        loss, name = loss_of(model)
        if "sparse" not in name:
            return model
        if "sparsecategoricalcrossentropy" not in name.split():
            raise NotApplicable("the loss reads class numbers, which cannot be mixed")
        require_columns(recipe, model)
        logits = bool(getattr(loss, "_fn_kwargs", {}).get("from_logits", False))
        return recompiled(model, loss=keras.losses.CategoricalCrossentropy(from_logits=logits))

    words = f"pairs of rows, shares from beta({alpha:g}, {alpha:g})"
    return recipe.changed(("mixup", words), mixup=alpha, rewrites=(*recipe.rewrites, rewrite))


MIXING = (
    Remedy(
        "mixup",
        "Mix rows in pairs",
        "mixing",
        "Trains on mixtures of two rows each, inputs and targets alike.",
        "Zhang et al., mixup: beyond empirical risk minimization (2018)",
        ("overfitting", "missing_regularisation", "corrupted_labels"),
        mixup,
        on_demand=True,
    ),
)
