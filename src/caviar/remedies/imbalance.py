"""Remedies for classes that are rare: how much their rows count, and from which probability on they are predicted."""

from collections.abc import Callable
from typing import Any

import keras

from caviar.recipe.heads import loss_of
from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable, Remedy
from caviar.remedies.rewrite import recompiled

_FOCAL: dict[str, Callable[..., keras.losses.Loss]] = {
    "binarycrossentropy": keras.losses.BinaryFocalCrossentropy,
    "categoricalcrossentropy": keras.losses.CategoricalFocalCrossentropy,
    "sparsecategoricalcrossentropy": keras.losses.CategoricalFocalCrossentropy,
}

# Shares of errors of two classes closer than this factor are no reason to weigh them differently.
_SAME = 1.25


def balanced_classes(recipe: Recipe) -> Recipe:
    """Let all classes count the same in training: a row counts by rows / (classes * rows of its class).

    It makes rare classes more probable in the network's eyes than they are: decisions by the larger probability
    get balanced, and scores that judge the probabilities themselves (log-loss, Brier) usually get worse.
    """
    _require_unweighted(recipe)
    return recipe.changed(("class weights", "balanced"), class_weights=True)


def costly_classes(recipe: Recipe, *, least: float = 0.2) -> Recipe:
    """Let classes that were often predicted wrong on held-out rows count more in training, in proportion to that.

    The shares of errors are those of the recipe's own folds: a few numbers of each row's label thus reach the training
    of others, far fewer than there are rows.

    Args:
        recipe: What is changed.
        least: No class counts less than this share of the one that is wrong most often.
    """
    _require_unweighted(recipe)
    worst = max(recipe.class_errors, default=0.0)
    if worst <= 0:
        raise NotApplicable("it is not known which classes are predicted wrong, or none is")
    costs = tuple(max(least, share / worst) for share in recipe.class_errors)
    if max(costs) / min(costs) < _SAME:
        raise NotApplicable("all classes are predicted wrong about as often")
    words = ", ".join(f"{share:.0%}" for share in recipe.class_errors)
    return recipe.changed(("class weights", f"by their shares of errors: {words}"), class_costs=costs)


def focal_loss(recipe: Recipe, *, gamma: float = 2.0) -> Recipe:
    """Let rows that the network is already sure of count less: cross-entropy times (1 - p) to the power gamma.

    Args:
        recipe: What is changed.
        gamma: 0 is the plain cross-entropy; Lin et al. find 2 best.
    """
    _require_classes(recipe)

    def rewrite(model: keras.Model) -> keras.Model:
        loss, name = loss_of(model)
        kind = next((kind for kind in _FOCAL if kind in name.split()), None)
        if kind is None:
            raise NotApplicable("the loss is no plain cross-entropy")
        if kind.startswith("sparse"):
            require_columns(recipe, model)
        own = getattr(loss, "_fn_kwargs", {})
        settings: dict[str, Any] = {
            "gamma": gamma,
            "from_logits": bool(own.get("from_logits", False)),
            "label_smoothing": own.get("label_smoothing", 0.0),
            "reduction": getattr(loss, "reduction", "sum_over_batch_size"),
        }
        if not kind.startswith("binary"):
            settings["alpha"] = 1.0  # Keras' own would shorten every gradient to a quarter
        return recompiled(model, loss=_FOCAL[kind](**settings))

    return recipe.changed(("loss", f"focal, gamma {gamma:g}"), rewrites=(*recipe.rewrites, rewrite))


def tuned_threshold(recipe: Recipe) -> Recipe:
    """Predict class 1 from the probability on that scores best on rows that were held out.

    Each fold's threshold is tuned on the other folds of its repetition, so that no row decides about itself.
    Probabilities are moved (their odds times a constant) such that the threshold becomes one half.
    """
    if recipe.task != "binary":
        raise NotApplicable("a threshold decides between two classes")
    if recipe.tunes_threshold:
        raise NotApplicable("the threshold is already tuned")
    return recipe.changed(("decision threshold", "tuned on out-of-fold predictions"), tunes_threshold=True)


def _require_unweighted(recipe: Recipe) -> None:
    _require_classes(recipe)
    if recipe.weighs_classes:
        raise NotApplicable("the classes are already weighted")


def _require_classes(recipe: Recipe) -> None:
    if recipe.task not in {"binary", "multiclass"}:
        raise NotApplicable("the target is no class")


def require_columns(recipe: Recipe, model: keras.Model) -> None:
    """Refuse where a model that reads class numbers cannot be given a column of 0 and 1 for each class instead."""
    if recipe.given:
        raise NotApplicable("the loss gets class numbers as they are, and this takes a column for each class")
    metrics = keras.tree.flatten(model._compile_config.config.get("metrics") or [])  # noqa: SLF001
    if any("sparse" in str(getattr(metric, "name", metric)) for metric in metrics):
        raise NotApplicable("its metrics read class numbers, and this takes a column for each class")


IMBALANCE = (
    Remedy(
        "balanced-classes",
        "Classes count the same",
        "class weights",
        "Lets each training row count in inverse proportion to how frequent its class is; probabilities then no longer "
        "are those of the table's classes.",
        "King & Zeng, Logistic regression in rare events data (2001); Japkowicz & Stephen (2002)",
        ("class_imbalance",),
        balanced_classes,
        cures="class_imbalance",
        on_demand=True,
    ),
    Remedy(
        "costly-classes",
        "Often mistaken classes count more",
        "class weights",
        "Lets each training row count in proportion to how often its class was predicted wrong on held-out rows.",
        "Elkan, The foundations of cost-sensitive learning (2001)",
        ("class_imbalance",),
        costly_classes,
        on_demand=True,
    ),
    Remedy(
        "tuned-threshold",
        "Tuned decision threshold",
        "threshold",
        "Predicts class 1 from the probability on that scores best on rows that were held out.",
        "Provost, Machine learning from imbalanced data sets 101 (2000); Elkan, Cost-sensitive learning (2001)",
        ("class_imbalance",),
        tuned_threshold,
        on_demand=True,
    ),
    Remedy(
        "focal-loss",
        "Focal loss",
        "loss",
        "Lets rows of which the network is already sure count less.",
        "Lin et al., Focal loss for dense object detection (2017)",
        ("class_imbalance",),
        focal_loss,
        on_demand=True,
    ),
)
