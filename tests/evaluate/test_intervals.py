"""Do intervals widen where resampling shares rows, and say so where they know nothing?"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from caviar.evaluate.intervals import (
    SMALL_TABLE,
    corrected_error,
    degrees_of_freedom,
    mean_estimate,
    proportion_estimate,
)

SCORES = np.random.default_rng(0).normal(0.8, 0.05, (3, 10))
fold_scores = arrays(float, (2, 5), elements=st.floats(-100, 100))


def test_the_correction_widens_by_the_shared_rows():
    """Thirty scores at a test share of 1/9 give an interval sqrt(1 + 30/9) times the naive one."""
    naive = stats.t.interval(0.95, 29, SCORES.mean(), stats.sem(SCORES, axis=None))
    estimate = mean_estimate(SCORES, 1 / 9)
    assert (estimate.high - estimate.low) / (naive[1] - naive[0]) == pytest.approx(math.sqrt(1 + 30 / 9))


def test_without_shared_rows_the_interval_is_the_ordinary_one():
    estimate = mean_estimate(SCORES, 0.0)
    ordinary = stats.t.interval(0.95, 29, SCORES.mean(), stats.sem(SCORES, axis=None))
    assert (estimate.low, estimate.high) == pytest.approx(ordinary)


def test_more_repeats_cannot_shrink_the_interval_below_the_floor():
    """However many repeats: the standard error stays above sqrt(test share) times the deviation."""
    many = np.tile(SCORES, (1000, 1))
    assert corrected_error(many.ravel(), 1 / 9) > math.sqrt(1 / 9) * many.std()


def test_small_tables_get_wider_intervals():
    small = mean_estimate(SCORES, 1 / 9, n_rows=SMALL_TABLE - 1)
    large = mean_estimate(SCORES, 1 / 9, n_rows=SMALL_TABLE)
    assert small.low < large.low < large.high < small.high
    ratio = stats.t.ppf(0.975, 9) / stats.t.ppf(0.975, 29)
    assert (small.high - small.low) / (large.high - large.low) == pytest.approx(ratio)


def test_conservative_degrees_of_freedom_count_no_more_scores_than_there_are():
    assert degrees_of_freedom(4, 10, n_rows=50) == 3


def test_failed_folds_are_left_out_and_lower_n():
    with_failure = SCORES.copy()
    with_failure[0, 0] = np.nan
    estimate = mean_estimate(with_failure, 1 / 9)
    assert estimate.n == 29
    assert estimate.value == pytest.approx(with_failure.ravel()[1:].mean())


@pytest.mark.parametrize(("scores", "value"), [([[np.nan, np.nan]], math.nan), ([[0.5, np.inf]], 0.5)])
def test_fewer_than_two_scores_leave_everything_open(scores, value):
    estimate = mean_estimate(np.array(scores), 0.1)
    assert (estimate.low, estimate.high) == (-math.inf, math.inf)
    assert estimate.value == pytest.approx(value, nan_ok=True)


@settings(max_examples=50, deadline=None)
@given(fold_scores, st.floats(0.01, 2), st.integers(0, 1000))
def test_the_interval_holds_its_mean_in_any_order(scores, test_share, seed):
    estimate = mean_estimate(scores, test_share)
    assert estimate.low <= estimate.value <= estimate.high
    shuffled = np.random.default_rng(seed).permutation(scores.ravel()).reshape(scores.shape)
    assert mean_estimate(shuffled, test_share).low == pytest.approx(estimate.low, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(fold_scores, st.floats(-50, 50), st.floats(0.1, 10))
def test_the_interval_moves_and_stretches_with_the_unit(scores, shift, stretch):
    before, after = mean_estimate(scores, 0.1), mean_estimate(shift + stretch * scores, 0.1)
    assert after.low == pytest.approx(shift + stretch * before.low, abs=1e-6)
    assert after.high == pytest.approx(shift + stretch * before.high, abs=1e-6)


def test_wilson_intervals_are_the_published_ones():
    """Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20 and 1 of 29."""
    for successes, trials, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        estimate = proportion_estimate(successes, trials)
        assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=1e-4)


def test_no_trials_say_nothing():
    estimate = proportion_estimate(0, 0)
    assert math.isnan(estimate.value)
    assert (estimate.low, estimate.high) == (0.0, 1.0)


def test_an_interval_ends_where_scores_end():
    """Log-loss is never below 0: a t interval that runs past it is cut there, and covers as often."""
    scores = np.array([[0.1, 0.0, 0.5]])
    free, bounded = mean_estimate(scores, 0.5), mean_estimate(scores, 0.5, bounds=(0.0, np.inf))
    assert free.low < 0 == bounded.low
    assert (bounded.value, bounded.high) == (free.value, free.high)
