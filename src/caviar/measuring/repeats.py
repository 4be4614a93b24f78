"""Is a recipe worth the repeats that are left? What one repeat of it showed, and all repeats as one arm.

Most remedies do not help, and one repeat of the folds often shows it. Giving up on them there can never call one a
help that is none: it only leaves fewer to be called so. A diagnosis also gives up what another remedy surely
outdoes. What all this loses is simulated in `benchmarks/futility.py`.
"""

from dataclasses import replace

import numpy as np
import xarray as xr

from caviar.evaluate.compare import Comparison
from caviar.evaluate.intervals import mean_estimate
from caviar.measuring.measure import Arm, Bench
from caviar.population.job import named_as

_LEAST_P = 0.2
_CALMER = 0.75
_SURELY = 0.05


def promises(comparison: Comparison, before: np.ndarray, after: np.ndarray) -> bool:
    """Whether what one repeat showed may still turn out to help, or to make seeds agree, once all are trained.

    It does where a remedy looks better by what counts as a difference, or by less with a one-sided p below 0.2; where
    it trains on folds on which training failed without it; and where its seeds lie closer together.

    Args:
        comparison: The first repeat beside that of the baseline.
        before: Scores of the baseline (repeat, fold, seed).
        after: Scores of the remedy, likewise.
    """
    gain = comparison.difference.value
    if comparison.only_remedy or gain >= comparison.rope or (gain > 0 and comparison.p < 2 * _LEAST_P):
        return True
    if min(before.shape[2], after.shape[2]) < 2:
        return False
    wild, calm = (float(np.nanmean(each.std(axis=2, ddof=1))) for each in (before, after))
    return calm < _CALMER * wild


def outdone(comparison: Comparison, by: float) -> bool:
    """Whether one repeat shows a remedy to gain less than another one, surely (one-sided p below 0.05) and clearly.

    Args:
        comparison: The first repeat beside that of the other one.
        by: How far behind it must be, in the score's unit.
    """
    return comparison.difference.value <= -by and comparison.p < 2 * _SURELY


def joined(bench: Bench, first: Arm, rest: Arm) -> Arm:
    """One arm of what the first repeat and all others gave.

    Args:
        bench: Of all repeats.
        first: The recipe on the first.
        rest: The same recipe on all others.
    """
    repeats = bench.shape[0]
    weights = (1 / repeats, 1 - 1 / repeats)

    def mean(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.asarray(weights[0] * one + weights[1] * other)

    scores = {name: np.concatenate([first.scores[name], rest.scores[name]]) for name in first.scores}
    deciding = scores[bench.metric.name]
    errors = tuple(mean(np.array(first.recipe.class_errors), np.array(rest.recipe.class_errors)).tolist())
    one, other = first.record, rest.record
    threshold = (
        None
        if one.threshold is None or other.threshold is None
        else weights[0] * one.threshold + weights[1] * other.threshold
    )
    record = one.model_copy(
        update={
            "members": one.members + other.members,
            "failed_members": one.failed_members + other.failed_members,
            "scores": {
                metric.name: mean_estimate(
                    scores[metric.name], bench.test_share, n_rows=bench.dataset.n_rows, bounds=metric.bounds
                )
                for metric in (bench.metric, *bench.shown)
            },
            "fold_scores": deciding.tolist(),
            "repeat_deviation": float(deciding.mean(axis=1).std(ddof=1)),
            "seconds": one.seconds + other.seconds,
            "class_errors": list(errors),
            "threshold": threshold,
        }
    )
    later = rest.history.assign_coords(repeat=rest.history["repeat"] + 1)

    def both(one: np.ndarray | None, other: np.ndarray | None) -> np.ndarray | None:
        return None if one is None or other is None else np.concatenate([one, other])

    losses = None
    if first.row_losses is not None and rest.row_losses is not None:
        losses = mean(first.row_losses, rest.row_losses)
    return replace(
        first,
        recipe=replace(first.recipe, class_errors=errors),
        record=record,
        scores=scores,
        history=xr.concat([first.history, named_as(later, first.history)], "member"),
        each=np.concatenate([first.each, rest.each]),
        fit_scores=both(first.fit_scores, rest.fit_scores),
        row_losses=losses,
        oof=np.concatenate([first.oof, rest.oof]),
        failed=np.concatenate([first.failed, rest.failed]),
        one_class=both(first.one_class, rest.one_class),
        seconds=first.seconds + rest.seconds,
        steps=first.steps + rest.steps,
    )
