"""Is the luck of a winner taken out of its score?"""

import math

import numpy as np
import pytest

from caviar.evaluate.selection import corrected_winner, corrected_winner_by_score


def equal_recipes(rng, recipes=32, rows=100):
    """Out-of-fold losses of recipes that all truly lose 1."""
    return rng.normal(1.0, 0.5, (recipes, rows))


def test_the_best_of_equal_recipes_looks_better_than_it_is_and_is_corrected():
    """Over sixty tables: the naive winner is a tenth too good, the corrected one within a hundredth."""
    rng = np.random.default_rng(0)
    found = [corrected_winner(equal_recipes(rng), n_bootstrap=100, seed=table) for table in range(60)]
    assert np.mean([naive for naive, _ in found]) < 0.92
    assert np.mean([estimate.value for _, estimate in found]) == pytest.approx(1.0, abs=0.01)


def test_the_interval_holds_the_true_loss_of_equal_recipes():
    rng = np.random.default_rng(1)
    estimates = [corrected_winner(equal_recipes(rng), n_bootstrap=100, seed=table)[1] for table in range(60)]
    assert np.mean([estimate.contains(1.0) for estimate in estimates]) > 0.9


def test_a_winner_beyond_doubt_needs_no_correction():
    losses = equal_recipes(np.random.default_rng(2), rows=400)
    losses[5] -= 0.9
    naive, estimate = corrected_winner(losses)
    assert naive == pytest.approx(losses[5].mean())
    assert estimate.value == pytest.approx(naive, abs=0.005)


def test_a_single_recipe_keeps_its_score():
    losses = equal_recipes(np.random.default_rng(3), recipes=1)
    naive, estimate = corrected_winner(losses)
    assert estimate.value == pytest.approx(naive, abs=0.01)


def test_a_recipe_that_failed_is_never_chosen():
    losses = equal_recipes(np.random.default_rng(4), recipes=4)
    losses[2] = -9.0
    losses[2, 0] = np.nan
    naive, estimate = corrected_winner(losses)
    assert naive > 0
    assert estimate.value > 0


def test_nothing_is_known_when_every_recipe_failed():
    naive, estimate = corrected_winner(np.full((3, 10), np.nan))
    assert math.isnan(naive)
    assert (estimate.low, estimate.high) == (-math.inf, math.inf)


def test_rows_of_one_group_are_drawn_together():
    """A hundred rows that are five rows repeated twenty times: the interval must be that of five."""
    five = np.random.default_rng(5).normal(1.0, 0.5, (8, 5))
    losses, groups = np.repeat(five, 20, axis=1), np.repeat(np.arange(5), 20)
    blind, aware = corrected_winner(losses)[1], corrected_winner(losses, groups=groups)[1]
    assert aware == corrected_winner(five)[1].model_copy(update={"n": 100})
    assert aware.high - aware.low > 2 * (blind.high - blind.low)


def test_one_group_leaves_no_row_to_score():
    estimate = corrected_winner(np.ones((2, 6)), groups=np.zeros(6))[1]
    assert math.isnan(estimate.value)


def test_weights_count():
    losses = np.array([[1.0, 1.0, 1.0, 3.0, 3.0, 3.0]])
    naive, estimate = corrected_winner(losses, weight=np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]))
    assert (naive, estimate.value) == (1.0, 1.0)


def test_the_same_seed_gives_the_same_estimate():
    losses = equal_recipes(np.random.default_rng(6))
    assert corrected_winner(losses, seed=1) == corrected_winner(losses, seed=1)
    assert corrected_winner(losses, seed=1) != corrected_winner(losses, seed=2)


def test_a_scorer_of_rows_gives_what_row_losses_give():
    losses = equal_recipes(np.random.default_rng(7), recipes=5, rows=40)
    by_rows = corrected_winner(losses, n_bootstrap=50)
    by_score = corrected_winner_by_score(
        lambda recipe, rows: float(losses[recipe, rows].mean()), 5, 40, higher_is_better=False, n_bootstrap=50
    )
    assert by_score[0] == pytest.approx(by_rows[0])
    assert by_score[1].value == pytest.approx(by_rows[1].value)
    assert by_score[1].low == pytest.approx(by_rows[1].low)


def test_higher_is_better_mirrors_lower_is_better():
    losses = equal_recipes(np.random.default_rng(8), recipes=5, rows=40)
    low = corrected_winner(losses, n_bootstrap=50)
    high = corrected_winner_by_score(
        lambda recipe, rows: -float(losses[recipe, rows].mean()), 5, 40, higher_is_better=True, n_bootstrap=50
    )
    assert high[0] == pytest.approx(-low[0])
    assert (high[1].low, high[1].high) == pytest.approx((-low[1].high, -low[1].low))
