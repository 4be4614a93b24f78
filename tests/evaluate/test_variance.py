"""Are the spread due to the split and the spread due to the seed told apart?"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from caviar.evaluate.variance import spread, steadier


def effects(split, seed, rng, folds=10, seeds=3):
    return 0.8 + split * rng.normal(size=(folds, 1)) + seed * rng.normal(size=(folds, seeds))


def test_planted_deviations_are_recovered():
    """A thousand folds of five seeds: 0.03 between folds and 0.01 between seeds, to five percent."""
    record = spread(effects(0.03, 0.01, np.random.default_rng(0), folds=1000, seeds=5))
    assert record.split.value == pytest.approx(0.03, rel=0.05)
    assert record.seed.value == pytest.approx(0.01, rel=0.05)


def test_both_intervals_hold_the_truth_as_often_as_they_promise():
    rng = np.random.default_rng(1)
    records = [spread(effects(0.02, 0.01, rng)) for _ in range(400)]
    for name, truth in (("split", 0.02), ("seed", 0.01)):
        covered = sum(getattr(record, name).contains(truth) for record in records)
        assert stats.binomtest(covered, 400, 0.95).pvalue > 0.001


@pytest.mark.parametrize(
    ("split", "seed", "start"),
    [
        (0.05, 0.005, "The split dominates"),
        (0.0, 0.05, "The seed dominates"),
        (0.02, 0.02, "Neither split nor seed clearly dominates"),
    ],
)
def test_the_sentence_says_which_spread_dominates(split, seed, start):
    record = spread(effects(split, seed, np.random.default_rng(5), seeds=5))
    assert record.sentence.startswith(start)


def test_folds_that_differ_less_than_seeds_do_have_no_spread_of_their_own():
    record = spread(np.array([[0.7, 0.9], [0.9, 0.7], [0.7, 0.9]]))
    assert (record.split.value, record.split.low) == (0.0, 0.0)


def test_seeds_that_change_nothing_leave_all_spread_to_the_split():
    """Three folds at 0.1 apart, equal for every seed: the chi-square interval of a deviation of 0.1."""
    record = spread(np.repeat([[0.7], [0.8], [0.9]], 3, axis=1))
    assert record.seed.value == pytest.approx(0.0, abs=1e-12)
    assert record.split.value == pytest.approx(0.1)
    assert record.split.low == pytest.approx(0.1 * math.sqrt(2 / stats.chi2.ppf(0.975, 2)))
    assert record.sentence.startswith("The split dominates")


def test_a_score_that_never_changes_depends_on_nothing():
    assert spread(np.full((4, 3), 0.5)).sentence.startswith("The score depends neither on")


def test_failed_members_are_left_out():
    scores = effects(0.03, 0.01, np.random.default_rng(4))
    scores[2] = np.nan
    kept = np.delete(scores, 2, axis=0)
    assert spread(scores) == spread(kept)
    scores[0, 0] = np.nan
    record = spread(scores)
    assert (record.split.n, record.seed.n) == (9, 26)
    assert record.seed.low < record.seed.value < record.seed.high


@pytest.mark.parametrize("scores", [np.ones((1, 5)), np.ones((5, 1)), np.full((3, 3), np.nan)])
def test_what_cannot_be_told_apart_is_left_open(scores):
    record = spread(scores)
    for estimate in (record.split, record.seed):
        assert math.isnan(estimate.value)
        assert (estimate.low, estimate.high) == (0.0, math.inf)
    assert "cannot be told apart" in record.sentence


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 100), st.floats(-10, 10))
def test_deviations_stretch_with_the_unit_and_ignore_its_zero(seed, stretch, shift):
    scores = effects(0.03, 0.02, np.random.default_rng(seed))
    before, after = spread(scores), spread(stretch * scores + shift)
    for name in ("split", "seed"):
        one, other = getattr(before, name), getattr(after, name)
        assert other.value == pytest.approx(stretch * one.value, rel=1e-6, abs=1e-6)
        assert other.high == pytest.approx(stretch * one.high, rel=1e-6, abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_intervals_are_ordered(seed):
    record = spread(effects(0.01, 0.02, np.random.default_rng(seed), folds=4))
    for estimate in (record.split, record.seed):
        assert 0 <= estimate.low <= estimate.high
    assert record.seed.low <= record.seed.value <= record.seed.high


def test_a_change_without_effect_is_rarely_called_steadier():
    """At 5 % one-sided, and with the ratio asked for on top: well below 5 % even where failures spread a lot."""
    rng = np.random.default_rng(3)

    def drawn(calm: float) -> np.ndarray:
        return rng.normal(0, calm, (3, 5, 3)) + 5 * (rng.random((3, 5, 3)) < 0.05)

    called = [steadier(drawn(1.0), drawn(1.0)) is not None for _ in range(400)]
    assert np.mean(called) < 0.05
    seen = [steadier(drawn(1.0), rng.normal(0, 0.2, (3, 5, 3))) is not None for _ in range(100)]
    assert np.mean(seen) > 0.9


def test_one_seed_tells_nothing_of_steadiness():
    one = np.zeros((3, 5, 1))
    assert steadier(one, one) is None
