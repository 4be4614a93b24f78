"""Remedies that average the weights of one network over the last part of its training."""

import math

import keras

from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable, Remedy
from caviar.remedies.rewrite import recompiled


def weight_averaging(
    recipe: Recipe, *, share: float = 0.1, least: float = 0.9, most: float = 0.9999
) -> Recipe:
    """Hand over an exponential average of the weights in place of the last ones.

    Args:
        recipe: What is changed.
        share: How far back the average reaches, as a share of all updates.
        least: The average keeps at least so much of itself in an update.
        most: And at most so much.
    """
    if not recipe.n_rows:
        raise NotApplicable("the number of rows is not known, and with it the number of updates")
    if any(_restores(callback) for callback in recipe.callbacks):
        raise NotApplicable("early stopping goes back to the weights of one epoch, not to an average")
    updates = recipe.epochs * math.ceil(recipe.n_rows / recipe.batch_size)
    momentum = min(most, max(least, 1 - 1 / (share * updates)))

    def rewrite(model: keras.Model) -> keras.Model:
        optimizer = model.optimizer
        if hasattr(optimizer, "inner_optimizer"):
            raise NotApplicable("the optimizer scales its loss, and another one inside it takes the steps")
        if optimizer.use_ema:
            raise NotApplicable("the optimizer already averages the weights")
        optimizer.use_ema, optimizer.ema_momentum = True, momentum
        return recompiled(model)

    words = f"exponential, momentum {momentum:.4g}"
    return recipe.changed(("weight averaging", words), rewrites=(*recipe.rewrites, rewrite))


def _restores(callback: keras.callbacks.Callback) -> bool:
    return isinstance(callback, keras.callbacks.EarlyStopping) and callback.restore_best_weights


AVERAGING = (
    Remedy(
        "weight-averaging",
        "Averaged weights",
        # Early stopping hands over the weights of one epoch: one excludes the other.
        "stopping",
        "Hands over an exponential average of the weights over the last tenth of the updates.",
        "Polyak & Juditsky, Acceleration of stochastic approximation by averaging (1992); "
        "Izmailov et al., Averaging weights leads to wider optima (2018)",
        ("oscillating_loss", "seed_variance", "overfitting"),
        weight_averaging,
        on_demand=True,
    ),
)
