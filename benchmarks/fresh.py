"""How good is a recipe on rows that took part in nothing?"""

from typing import Any

import numpy as np

SEEDS = 5


def fresh_scores(
    recipe: Any,  # noqa: ANN401 - what a diagnosis or a treatment holds
    x: np.ndarray,
    y: np.ndarray,
    rows: np.ndarray,
    fresh: np.ndarray,
    metric: str,
) -> np.ndarray:
    """Scores of five seeds (seed,), in the metric's unit; NaN where a training fails or a recipe cannot be trained.

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
    from caviar.given import read_arrays
    from caviar.measure import Bench, measure

    dataset, _ = read_arrays(x, y, None)
    deciding = find_metric(metric, dataset.task)
    split = Split(0, 0, rows.astype(np.int32), fresh.astype(np.int32))
    bench = Bench(dataset, [split], deciding, (), seed=77, spread="vmap")
    ensemble = recipe.ensemble > 1
    try:
        arm = measure(bench, recipe, first_repeat_seeds=1 if ensemble else SEEDS, show=False)
    except CaviarError:
        return np.full(SEEDS, np.nan)
    scores = np.full(SEEDS, arm.scores[deciding.name][0, 0]) if ensemble else arm.seed_scores[0]
    return np.where(np.isfinite(scores), scores, np.nan)
