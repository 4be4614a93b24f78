"""Which rows does a search train on and score, and which does it never see?"""

import numpy as np

from caviar.data.dataset import Dataset
from caviar.data.split import Split, make_splits

_APART = 5
"""One of so many parts is kept apart where the winner's score cannot be corrected for the choice."""


def searched_rows(
    dataset: Dataset, folds: int, repeats: int, seed: int, *, watched: int = 0, keep_apart: bool = False
) -> tuple[list[Split], np.ndarray | None]:
    """The splits of a search, and the rows that are kept apart from it.

    Args:
        dataset: All rows.
        folds: Folds of the cross-validation.
        repeats: Repeats of it, or trainings beside the rows that are scored in place of folds.
        seed: Draws the folds.
        watched: So many of the last rows are scored in place of folds; none for folds.
        keep_apart: Whether a fifth of the others is kept apart, whole groups, every class, the last in time.

    Returns:
        The splits, and the rows kept apart, if any.

    Raises:
        DataError: There are too few rows for so many folds.
    """
    rows = np.arange(dataset.n_rows, dtype=np.int32)
    rows, scored = (rows[:-watched], rows[-watched:]) if watched else (rows, rows[:0])
    apart = None
    if keep_apart:
        whole = make_splits(dataset.of(rows), _APART, 1, seed)[-1]
        rows, apart = rows[whole.train], rows[whole.held_out]
    if watched:
        return [Split(repeat, 0, rows, scored) for repeat in range(repeats)], apart
    splits = make_splits(dataset.of(rows) if keep_apart else dataset, folds, repeats, seed)
    if keep_apart:
        splits = [Split(one.repeat, one.fold, rows[one.train], rows[one.held_out]) for one in splits]
    return splits, apart
