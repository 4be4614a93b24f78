"""Do predicted probabilities say how often classes turn up?"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from caviar.estimate import Estimate
from caviar.evaluate.metrics import PROBABILITY_FLOOR


@dataclass(frozen=True)
class Calibration:
    """How confidence and hits agree on rows that were held out.

    Attributes:
        error: Expected calibration error: mean distance, over bins of equally many rows, between the probability of
            the predicted class and how often it was right; with its interval over rows.
        by_chance: The error that probabilities which are exactly right exceed in one of a hundred such tables.
        temperature: By what logits must be divided to fit best: above 1, the network is too sure.
        gain: Log-loss per row that this temperature saves, in nats.
        rows: How many there were.
    """

    error: Estimate
    by_chance: float
    temperature: float
    gain: float
    rows: int


def calibration(
    target: np.ndarray,
    probabilities: np.ndarray,
    *,
    bins: int = 10,
    draws: int = 300,
    level: float = 0.95,
    chance: float = 0.01,
    seed: int = 0,
) -> Calibration | None:
    """Calibration of class probabilities; None where fewer than ten rows per bin have any.

    Bins hold equally many rows (Nixon et al., Measuring calibration in deep learning, 2019). The error is never
    below 0 and grows with few rows, so it is set against what exact probabilities would show (consistency
    resampling: Broecker & Smith, 2007): targets are drawn from the probabilities themselves.

    Args:
        target: Class codes (row,).
        probabilities: Out-of-fold class probabilities (row, class); rows that are not finite are left out.
        bins: Of the error.
        draws: Bootstrap draws of rows, and of targets.
        level: Of the interval.
        chance: Share of exact probabilities whose error is above `by_chance`.
        seed: Of the draws.

    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(size=2000)
    >>> found = calibration((rng.uniform(size=2000) < p).astype(int), np.stack([1 - p, p], axis=1))
    >>> found.error.value < found.by_chance, round(found.temperature, 1)
    (True, 1.0)
    """
    known = np.isfinite(probabilities).all(axis=1)
    target, probabilities = target[known], probabilities[known]
    rows = len(target)
    if rows < 10 * bins:
        return None
    rng = np.random.default_rng(seed)
    confidence = probabilities.max(axis=1)
    order = np.argsort(confidence, kind="stable")
    confidence, right = confidence[order], (probabilities.argmax(axis=1) == target)[order]
    value = float(_errors(confidence[None], right[None], bins)[0])
    drawn = np.sort(rng.integers(0, rows, (draws, rows)), axis=1)
    spread = _errors(confidence[drawn], right[drawn], bins)
    exact = _errors(
        np.broadcast_to(confidence, (draws, rows)), rng.uniform(size=(draws, rows)) < confidence, bins
    )
    low, high = np.quantile(spread, ((1 - level) / 2, (1 + level) / 2))
    estimate = Estimate(
        value=value, low=float(low), high=float(high), level=level, method="bootstrap over rows", n=rows
    )
    temperature, gain = _temperature(target, probabilities)
    return Calibration(estimate, float(np.quantile(exact, 1 - chance)), temperature, gain, rows)


def _errors(confidence: np.ndarray, right: np.ndarray, bins: int) -> np.ndarray:
    """Expected calibration error of each draw (draw,) from confidences (draw, row), ascending, and hits."""
    starts = np.linspace(0, confidence.shape[1], bins, endpoint=False).astype(int)
    apart = np.add.reduceat(confidence - right, starts, axis=1)
    return np.asarray(np.abs(apart).sum(axis=1) / confidence.shape[1])


def _temperature(target: np.ndarray, probabilities: np.ndarray) -> tuple[float, float]:
    """The temperature of lowest log-loss, 0.05 to 20, and what it saves per row (Guo et al., 2017)."""
    logits = np.log(np.clip(probabilities, PROBABILITY_FLOOR, 1))

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        scaled -= scaled.max(axis=1, keepdims=True)
        total = np.log(np.exp(scaled).sum(axis=1))
        return float((total - scaled[np.arange(len(target)), target]).mean())

    best = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded")
    return float(np.exp(best.x)), max(0.0, loss(0.0) - float(best.fun))
