"""How good is a winner that was chosen because it looked best?

The best of many recipes is partly the luckiest. BBC-CV (Tsamardinos, Greasidou & Borboudakis 2018,
"Bootstrapping the out-of-sample predictions for efficient and accurate cross-validation") repeats the choice
on bootstrapped rows and scores each choice on the rows that were not drawn. Nothing is trained again.
"""

import math
from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np

from caviar.estimate import Estimate

# Entries of samples x rows that are looked at together: some tens of megabytes.
_ENTRIES = 2_000_000


def corrected_winner(
    row_losses: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, Estimate]:
    """The lowest mean loss as it looks, and what is left of it after correcting for the choice.

    For the metrics that are means of row losses. A recipe with a loss that is not finite has failed: it is
    never chosen.

    Args:
        row_losses: Out-of-fold losses [recipe, row], averaged over repeats; lower is better.
        weight: Weights [row] of the mean, or None.
        groups: Group [row]; whole groups are drawn, since rows of one group are not independent. Or None.
        n_bootstrap: Bootstrap samples.
        seed: Seeds the bootstrap.
        level: Coverage asked of the interval, 0 to 1.

    Returns:
        The naive mean loss of the winner, and the corrected estimate with its bootstrap percentile interval
        (which is wide rather than narrow: each choice is scored on about 37 % of the rows). NaN if every
        recipe failed.

    >>> losses = np.random.default_rng(0).normal(1.0, 0.5, (64, 100))
    >>> naive, corrected = corrected_winner(losses)
    >>> bool(naive < 0.9), corrected.contains(1.0)
    (True, True)
    """
    failed = ~np.isfinite(row_losses).all(axis=1)
    losses = np.where(failed[:, None], 0.0, row_losses)
    weights = np.ones(losses.shape[1]) if weight is None else weight

    def means(counts: np.ndarray) -> np.ndarray:
        mass = counts * weights
        total = mass.sum(axis=1, keepdims=True)
        # Samples at a time, as one product: row by row, all losses would be fetched from memory for each.
        return np.where(failed | (total == 0), math.nan, mass @ losses.T / np.where(total == 0, 1, total))

    def mean(recipe: int, counts: np.ndarray) -> float:
        mass = counts * weights
        return float(losses[recipe] @ mass / mass.sum()) if mass.any() else math.nan

    return _corrected(means, mean, losses.shape[1], groups, n_bootstrap=n_bootstrap, seed=seed, level=level)


def corrected_winner_by_score(
    score: Callable[[int, np.ndarray], float],
    n_recipes: int,
    n_rows: int,
    *,
    higher_is_better: bool,
    groups: np.ndarray | None = None,
    n_bootstrap: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, Estimate]:
    """As `corrected_winner`, for scores that are no mean over rows, such as AUC.

    Args:
        score: `(recipe, rows) -> score` of that recipe's out-of-fold predictions on those rows (a row may
            occur more than once); NaN where it is undefined.
        n_recipes: How many recipes there were to choose from.
        n_rows: Rows of the table.
        higher_is_better: Whether more of the score is better.
        groups: Group [row]; whole groups are drawn. Or None.
        n_bootstrap: Bootstrap samples; each calls `score` once for every recipe and once for the chosen one.
        seed: Seeds the bootstrap.
        level: Coverage asked of the interval, 0 to 1.

    >>> target = np.arange(40) % 2
    >>> guesses = np.random.default_rng(0).integers(0, 2, (30, 40))
    >>> naive, corrected = corrected_winner_by_score(
    ...     lambda recipe, rows: float((guesses[recipe] == target)[rows].mean()),
    ...     30, 40, higher_is_better=True,
    ... )
    >>> naive > 0.6, corrected.value < naive
    (True, True)
    """
    sign = -1.0 if higher_is_better else 1.0

    def loss(recipe: int, counts: np.ndarray) -> float:
        return sign * score(recipe, np.repeat(np.arange(n_rows), counts))

    def losses(counts: np.ndarray) -> np.ndarray:
        return np.array([[loss(recipe, each) for recipe in range(n_recipes)] for each in counts])

    naive, estimate = _corrected(
        losses, loss, n_rows, groups, n_bootstrap=n_bootstrap, seed=seed, level=level
    )
    if not higher_is_better:
        return naive, estimate
    turned = estimate.model_copy(
        update={"value": -estimate.value, "low": -estimate.high, "high": -estimate.low}
    )
    return -naive, turned


def _corrected(
    losses: Callable[[np.ndarray], np.ndarray],
    loss: Callable[[int, np.ndarray], float],
    n_rows: int,
    groups: np.ndarray | None,
    *,
    n_bootstrap: int,
    seed: int,
    level: float,
) -> tuple[float, Estimate]:
    """Choose on the rows drawn, score on those left out.

    Args:
        losses: Maps counts [sample, row] to losses [sample, recipe].
        loss: The loss of one recipe on rows of such counts [row].
        n_rows: Rows of the table.
        groups: Group [row], or None.
        n_bootstrap: Bootstrap samples.
        seed: Seeds the bootstrap.
        level: Coverage asked of the interval, 0 to 1.
    """
    naive = _lowest(losses(np.ones((1, n_rows), int))[0])[1]
    found = []
    draws = _draws(n_rows, groups, n_bootstrap, np.random.default_rng(seed))
    while some := list(islice(draws, max(1, _ENTRIES // n_rows))):
        for counts, each in zip(some, losses(np.array(some)), strict=True):
            winner, _ = _lowest(each)
            if winner is not None:
                found.append(loss(winner, (counts == 0).astype(int)))
    values = np.array(found)[np.isfinite(found)] if found else np.array([])
    method = "bootstrap bias corrected cross-validation (BBC-CV)"
    if len(values) == 0:
        return naive, Estimate(
            value=math.nan, low=-math.inf, high=math.inf, level=level, method=method, n=n_rows
        )
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return naive, Estimate(
        value=float(values.mean()), low=float(low), high=float(high), level=level, method=method, n=n_rows
    )


def _lowest(losses: np.ndarray) -> tuple[int | None, float]:
    """The recipe with the lowest loss and that loss; (None, NaN) where no recipe has one."""
    if not np.isfinite(losses).any():
        return None, math.nan
    winner = int(np.nanargmin(losses))
    return winner, float(losses[winner])


def _draws(
    n_rows: int, groups: np.ndarray | None, n_bootstrap: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """How often each row was drawn [row], one bootstrap sample of rows (or of whole groups) at a time."""
    codes = np.arange(n_rows) if groups is None else np.unique(groups, return_inverse=True)[1]
    n_units = int(codes.max()) + 1
    for _ in range(n_bootstrap):
        yield np.bincount(rng.integers(0, n_units, n_units), minlength=n_units)[codes]
