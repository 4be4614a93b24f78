"""Do two sets of rows come from the same source?"""

import math

import numpy as np
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from caviar.estimate import Estimate

_MOST_ROWS = 5_000


def shift_estimate(one: np.ndarray, other: np.ndarray, *, seed: int = 0, level: float = 0.95) -> Estimate:
    """How well boosted trees tell two sets of rows apart: the area under their ROC curve, 0.5 if not at all.

    Every row is judged by trees that did not see it (five folds). The interval is that of Hanley & McNeil, "The meaning
    and use of the area under a ROC curve" (1982).

    Args:
        one: Rows (row, column); NaN may be missing values. Five rows or more.
        other: Rows of the same columns, likewise.
        seed: Which rows are drawn where there are very many.
        level: Coverage asked of the interval, 0 to 1.

    >>> rng = np.random.default_rng(0)
    >>> same = shift_estimate(rng.normal(size=(200, 3)), rng.normal(size=(100, 3)))
    >>> apart = shift_estimate(rng.normal(size=(200, 3)), rng.normal(2, 1, size=(100, 3)))
    >>> same.low < 0.5 < same.high, apart.low > 0.8
    (True, True)
    """
    rng = np.random.default_rng(seed)
    one, other = (
        rows if len(rows) <= _MOST_ROWS else rows[rng.choice(len(rows), _MOST_ROWS, replace=False)]
        for rows in (one, other)
    )
    rows, label = np.concatenate([one, other]), np.repeat([0, 1], [len(one), len(other)])
    trees = HistGradientBoostingClassifier(max_iter=50, max_leaf_nodes=8, random_state=seed)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    chance = cross_val_predict(trees, rows, label, cv=folds, method="predict_proba")[:, 1]
    area = float(roc_auc_score(label, chance))
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (len(other) - 1) * (first - area**2) + (len(one) - 1) * (second - area**2)
    margin = float(stats.norm.ppf((1 + level) / 2)) * math.sqrt(max(spread, 0.0) / (len(one) * len(other)))
    return Estimate(
        value=area,
        low=max(0.0, area - margin),
        high=min(1.0, area + margin),
        level=level,
        method="Hanley & McNeil",
        n=len(label),
    )
