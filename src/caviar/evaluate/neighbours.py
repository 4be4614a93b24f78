"""Are held-out rows that nearly repeat a training row scored better than the others?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from sklearn.neighbors import NearestNeighbors

from caviar.evaluate.reference import Fold


@dataclass(frozen=True)
class NearDuplicates:
    """Held-out rows beside the training row that is nearest to each.

    Attributes:
        share: Share of the rows that nearly repeat a training row.
        loss: Their median loss.
        others: That of the other rows; NaN where there are none.
        p: Of Mann and Whitney's test that theirs is not lower; 1 where there are too few of either.
        rows: How many rows were looked at.
    """

    share: float
    loss: float
    others: float
    p: float
    rows: int


def near_duplicates(
    inputs: np.ndarray,
    splits: Sequence[Fold],
    losses: np.ndarray,
    *,
    near: float = 0.05,
    most: int = 2000,
    fewest: int = 10,
    seed: int = 0,
) -> NearDuplicates:
    """Look for the training row that is nearest to each held-out row.

    Rows with identical inputs are never parted by folds, so what is left are near repetitions: second measurements,
    or copies with a little noise.

    Args:
        inputs: Network inputs (row, input).
        splits: The folds of one repeat.
        losses: Loss of each row while held out (row,).
        near: Share of the median distance to the nearest training row, in standardised inputs, up to which a row
            nearly repeats it. Among rows drawn independently, with four inputs or more, next to none does.
        most: Rows to look at, drawn at random.
        fewest: Rows of either kind that a comparison takes.
        seed: Of that draw.
    """
    spread = inputs.std(axis=0)
    scaled = (inputs - inputs.mean(axis=0))[:, spread > 0] / spread[spread > 0]
    distance = np.full(len(inputs), np.nan)
    chosen = np.zeros(len(inputs), bool)
    chosen[np.random.default_rng(seed).permutation(len(inputs))[:most]] = True
    for split in splits:
        asked = split.held_out[chosen[split.held_out]]
        if len(asked) and scaled.shape[1]:
            nearest = NearestNeighbors(n_neighbors=1).fit(scaled[split.train])
            distance[asked] = nearest.kneighbors(scaled[asked])[0][:, 0]
    known = np.isfinite(distance) & np.isfinite(losses)
    distance, losses = distance[known], losses[known]
    is_near = distance <= near * np.median(distance) if len(distance) else np.zeros(0, bool)
    first, rest = losses[is_near], losses[~is_near]
    enough = min(len(first), len(rest)) >= fewest
    return NearDuplicates(
        share=float(is_near.mean()) if len(is_near) else 0.0,
        loss=float(np.median(first)) if len(first) else float("nan"),
        others=float(np.median(rest)) if len(rest) else float("nan"),
        p=float(stats.mannwhitneyu(first, rest, alternative="less").pvalue) if enough else 1.0,
        rows=len(losses),
    )
