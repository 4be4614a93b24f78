"""The remedy that takes the learning rate that a range test chose."""

import keras

from caviar.population.callbacks import rate_variable
from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable, Remedy


def tested_rate(recipe: Recipe) -> Recipe:
    """Take the rate that a range test chose in place of the recipe's own."""
    rate = recipe.tested_rate
    if rate is None:
        raise NotApplicable("no range test was run, or it prefers no other rate")

    def rewrite(model: keras.Model) -> keras.Model:
        if rate_variable(model) is None:
            raise NotApplicable("the optimizer has a learning-rate schedule of its own")
        model.optimizer.learning_rate = rate
        return model

    return recipe.changed(
        ("learning rate", f"{rate:.3g}, by a range test"),
        rewrites=(*recipe.rewrites, rewrite),
        tested_rate=None,
    )


RATE = (
    Remedy(
        "range-test-rate",
        "The rate of a range test",
        "rate",
        "Takes the learning rate with the lowest held-out loss among many that were tried for half of the epochs.",
        "Smith, Cyclical learning rates (2017), 3.3",
        (
            "learning_rate_low",
            "learning_rate_high",
            "slow_convergence",
            "not_trained",
            "underfitting",
            "diverging",
            "oscillating_loss",
            "exploding_gradient",
            "dead_relu",
        ),
        tested_rate,
        on_demand=True,
    ),
)
