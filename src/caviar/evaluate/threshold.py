"""From which probability on is class 1 predicted? Tuned on rows that were held out, never on the row itself."""

from collections.abc import Sequence

import numpy as np

from caviar.evaluate.metrics import Metric

_MOST_CANDIDATES = 100
_NEAREST_TO_CERTAIN = 1e-6

# One row for each way in which a decision can meet the truth: what a threshold does is how much each weighs.
_TRUTH = np.array([1, 1, 0, 0])
_DECISION = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])


def best_threshold(
    target: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None, metric: Metric
) -> float:
    """The threshold with the best score on some rows; of several the one nearest to one half.

    Args:
        target: Class codes 0 and 1 (row,).
        prediction: Probabilities (row, 2) that were made without these rows; with NaN the threshold is one half.
        weight: How much each row counts (row,), or None.
        metric: The score, of decisions.

    >>> from caviar.evaluate.metrics import find_metric
    >>> chance = np.array([0.1, 0.2, 0.3, 0.4])
    >>> accuracy = find_metric("accuracy", "binary")
    >>> round(best_threshold(np.array([0, 1, 1, 1]), np.column_stack([1 - chance, chance]), None, accuracy), 3)
    0.15
    """
    chance = prediction[:, 1]
    if not len(chance) or not np.isfinite(chance).all():
        return 0.5
    each = np.ones(len(chance)) if weight is None else weight
    order = np.argsort(chance, kind="stable")
    levels = chance[order]
    below = [np.concatenate([[0.0], np.cumsum((each * (target == code))[order])]) for code in (0, 1)]
    candidates = np.append(_candidates(np.unique([0.0, *chance, 1.0])), 0.5)
    scores = np.empty(len(candidates))
    for i, candidate in enumerate(candidates):
        negative = np.searchsorted(levels, candidate, side="right")  # as `moved`: class 1 lies above
        weights = [
            below[1][-1] - below[1][negative],
            below[1][negative],
            below[0][-1] - below[0][negative],
            below[0][negative],
        ]
        scores[i] = metric.score(_TRUTH, _DECISION, np.array(weights))
    scores = np.where(np.isfinite(scores), scores, -np.inf) * (1 if metric.higher_is_better else -1)
    best = candidates[scores >= scores.max() - 1e-12]
    return float(best[np.abs(best - 0.5).argmin()])


def held_out_thresholds(
    target: np.ndarray,
    weight: np.ndarray | None,
    rows: Sequence[np.ndarray],
    predictions: Sequence[np.ndarray],
    metric: Metric,
) -> list[float]:
    """For each fold the threshold that is best on all other folds of a repetition.

    Args:
        target: Class codes of all rows.
        weight: How much each row counts, or None.
        rows: For each fold the rows that it held out.
        predictions: What it says of them (row, 2).
        metric: The score, of decisions.
    """
    thresholds = []
    for fold in range(len(rows)):
        others = [other for other in range(len(rows)) if other != fold]
        seen = np.concatenate([rows[other] for other in others])
        said = np.concatenate([predictions[other] for other in others])
        thresholds.append(
            best_threshold(target[seen], said, None if weight is None else weight[seen], metric)
        )
    return thresholds


def moved(prediction: np.ndarray, threshold: float) -> np.ndarray:
    """Probabilities (row, 2) whose odds are multiplied such that a threshold becomes one half.

    Their order stays, and with it every score that judges only the order.

    >>> moved(np.array([[0.8, 0.2], [0.9, 0.1]]), 0.2).round(2).tolist()
    [[0.5, 0.5], [0.69, 0.31]]
    """
    limited = min(max(threshold, _NEAREST_TO_CERTAIN), 1 - _NEAREST_TO_CERTAIN)
    odds = prediction * np.array([limited, 1 - limited])
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def _candidates(levels: np.ndarray) -> np.ndarray:
    """Thresholds between neighbouring probabilities; of many, such that as many lie between any two."""
    between = (levels[1:] + levels[:-1]) / 2
    if len(between) > _MOST_CANDIDATES:
        between = between[np.linspace(0, len(between) - 1, _MOST_CANDIDATES).round().astype(int)]
    return between
