"""Remedies that average several networks."""

from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable, Remedy


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
)
