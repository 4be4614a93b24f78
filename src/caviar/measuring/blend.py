"""What a linear model or boosted trees say beside a recipe's networks."""

import numpy as np

from caviar.data.dataset import Dataset
from caviar.evaluate.simple import Fit, Fitted, boosting, linear
from caviar.recipe.recipe import Recipe

_FITS: dict[str, Fit] = {"linear": linear, "boosting": boosting}


def fit_beside(recipe: Recipe, dataset: Dataset, x: np.ndarray, rows: np.ndarray) -> tuple[Fitted, ...]:
    """What a recipe is blended with, fitted on the inputs that its networks see; nothing where it is not.

    Args:
        recipe: Says what.
        dataset: Its target and weights, of all rows.
        x: Inputs of all rows (row, input).
        rows: Places of the training rows.
    """
    n_classes = len(dataset.schema.classes) if dataset.is_classification else 0
    weight = None if dataset.weight is None else dataset.weight[rows]
    return tuple(
        _FITS[name](x[rows], dataset.target[rows], weight, n_classes) for name in recipe.blended_with
    )


def said_beside(recipe: Recipe, dataset: Dataset, x: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    """What each of these predicts for all rows (row, class or output); arguments as of `fit_beside`."""
    return [fitted.predict(x) for fitted in fit_beside(recipe, dataset, x, rows)]
