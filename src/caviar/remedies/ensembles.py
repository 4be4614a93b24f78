"""Remedies that average several networks, or networks with others."""

from dataclasses import replace
from functools import partial

from caviar.recipe.recipe import BLENDED_WITH, Recipe
from caviar.remedies.contract import NotApplicable, Remedy
from caviar.remedies.schedules import cosine, scheduled


def ensemble(recipe: Recipe, *, members: int = 5) -> Recipe:
    """Average the predictions of several seeds."""
    if recipe.ensemble > 1:
        raise NotApplicable("the recipe is already an ensemble")
    return recipe.changed(("ensemble", f"mean of {members} seeds"), ensemble=members)


def bagging(recipe: Recipe, *, members: int = 10) -> Recipe:
    """Average the predictions of several seeds, each trained on a bootstrap sample of the rows."""
    if recipe.ensemble > 1:
        raise NotApplicable("the recipe is already an ensemble")
    words = f"mean of {members} seeds on bootstrap samples"
    return recipe.changed(("ensemble", words), ensemble=members, bootstrap=True)


def snapshots(recipe: Recipe, *, cycles: int = 5, fewest: int = 4) -> Recipe:
    """Average the predictions of one network at the ends of several cycles of its learning rate.

    Args:
        recipe: What is changed.
        cycles: How many; the epochs are rounded such that all are equally long.
        fewest: Epochs of a cycle below which the rate would not be seen to fall.
    """
    if recipe.stages:
        raise NotApplicable("its settings change on the way, and cycles would not be alike")
    length = round(recipe.epochs / cycles)
    if length < fewest:
        raise NotApplicable(
            f"the rate changes once an epoch, and {recipe.epochs} epochs are too few for {cycles} cycles"
        )

    def shape(passed: float) -> float:
        return cosine(round(passed * cycles * length) % length / length)

    words = f"cosine, {cycles} cycles of {length} epochs; mean of the networks at their ends"
    whole = replace(recipe, epochs=cycles * length, snapshot_every=length)
    return scheduled(whole, shape=shape, words=words)


def blended(recipe: Recipe, *, others: tuple[str, ...]) -> Recipe:
    """Average the predictions with those of predictors that are no networks."""
    if recipe.blended_with:
        raise NotApplicable("its predictions are already averaged with those of others")
    if recipe.weighs_classes:
        raise NotApplicable(
            "its classes count differently from their rows, and the other model would not know"
        )
    words = " and ".join(BLENDED_WITH[name] for name in others)
    return recipe.changed(("blend", f"averaged with {words}"), blended_with=others)


_BLENDING = "Wolpert, Stacked generalization (1992); equal shares: Clemen, Combining forecasts (1989)"

ENSEMBLES = (
    Remedy(
        "ensemble-5",
        "Ensemble of 5 seeds",
        "ensemble",
        "Trains five networks that differ only in their seed and averages their predictions.",
        "Hansen & Salamon, Neural network ensembles (1990); Lakshminarayanan et al. (2017)",
        ("seed_variance",),
        ensemble,
        cures="seed_variance",
    ),
    Remedy(
        "bagging-10",
        "Bagging of 10 networks",
        "ensemble",
        "Trains ten networks on rows drawn with replacement and averages their predictions.",
        "Breiman, Bagging predictors (1996)",
        ("seed_variance", "overfitting"),
        bagging,
        on_demand=True,
    ),
    Remedy(
        "snapshots-5",
        "Snapshots at the ends of 5 cycles",
        # It sets the learning rate, and there is one schedule; with several seeds it goes together.
        "schedule",
        "Lets the learning rate fall along half a cosine five times and averages what the network says at their ends.",
        "Huang et al., Snapshot ensembles: train 1, get M for free (2017)",
        ("seed_variance", "oscillating_loss"),
        snapshots,
        on_demand=True,
    ),
    Remedy(
        "blend-linear",
        "Blend with a linear model",
        "blend",
        "Averages the predictions with those of a logistic or ridge regression on the same inputs.",
        _BLENDING,
        ("seed_variance", "overfitting"),
        partial(blended, others=("linear",)),
        on_demand=True,
        explains=False,
    ),
    Remedy(
        "blend-trees",
        "Blend with boosted trees",
        "blend",
        "Averages the predictions with those of boosted trees on the same inputs.",
        _BLENDING,
        ("seed_variance", "overfitting"),
        partial(blended, others=("boosting",)),
        on_demand=True,
        explains=False,
    ),
    Remedy(
        "blend-both",
        "Blend with a linear model and boosted trees",
        "blend",
        "Averages the predictions with those of a linear model and of boosted trees, a third each.",
        _BLENDING,
        ("seed_variance", "overfitting"),
        partial(blended, others=("linear", "boosting")),
        on_demand=True,
        explains=False,
    ),
)
