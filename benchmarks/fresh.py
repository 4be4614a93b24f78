"""How good is a recipe on rows that took part in nothing?"""

from dataclasses import replace
from typing import Any

import numpy as np

SEEDS = 5
_SEED = 77


def fresh_scores(
    recipe: Any,  # noqa: ANN401 - what a diagnosis or a treatment holds
    x: np.ndarray,
    y: np.ndarray,
    rows: np.ndarray,
    fresh: np.ndarray,
    metric: str,
) -> np.ndarray:
    """Scores of five seeds, or of five ensembles (seed,), in the metric's unit; NaN where a training fails.

    Args:
        recipe: What is trained.
        x: Inputs (row, feature), of all rows.
        y: Target (row,) or (row, 1).
        rows: Numbers of the rows that are trained on.
        fresh: Numbers of those that it is scored on.
        metric: Name of the score.
    """
    from caviar.data.split import Split
    from caviar.errors import CaviarError
    from caviar.evaluate.metrics import find_metric
    from caviar.measuring.given import read_arrays
    from caviar.measuring.measure import Bench, measure

    dataset, _ = read_arrays(x, y, None)
    deciding = find_metric(metric, dataset.task)
    split = Split(0, 0, rows.astype(np.int32), fresh.astype(np.int32))
    bench = Bench(dataset, [split], deciding, (), seed=_SEED, spread="vmap")
    try:
        if recipe.ensemble == 1:
            scores = measure(bench, recipe, first_repeat_seeds=SEEDS, show=False).seed_scores[0]
        else:  # an ensemble has one score, so there are five of them
            arms = [measure(replace(bench, seed=_SEED + 100 * k), recipe, show=False) for k in range(SEEDS)]
            scores = np.array([arm.scores[deciding.name][0, 0] for arm in arms])
    except CaviarError:
        return np.full(SEEDS, np.nan)
    return np.where(np.isfinite(scores), scores, np.nan)
