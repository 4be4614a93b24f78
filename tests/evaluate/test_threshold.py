"""A threshold is the best one on some rows, and no row decides about itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caviar.evaluate.metrics import METRICS, find_metric
from caviar.evaluate.threshold import best_threshold, held_out_thresholds, moved

DECISIONS = [metric for metric in METRICS if metric.judges_decisions]
ROWS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 33), st.sampled_from([0.5, 1.0, 3.0])),
    min_size=2,
    max_size=20,
)


def both(chance: np.ndarray) -> np.ndarray:
    return np.column_stack([1 - chance, chance])


def test_scores_of_decisions_do_not_see_how_sure_a_decision_is():
    """Large probabilities are halfway moved to one half: decisions and ranks stay, all else changes."""
    rng = np.random.default_rng(0)
    target, chance = rng.integers(0, 2, 60), rng.uniform(0.02, 0.98, 60)
    unsure = np.where(chance > 0.5, 0.5 + (chance - 0.5) * 0.5, chance)
    for metric in METRICS:
        if "binary" in metric.tasks:
            same = metric.score(target, both(chance), None) == metric.score(target, both(unsure), None)
            assert same == (metric.judges_decisions or metric.name in {"auc", "average-precision"}), (
                metric.name
            )


@pytest.mark.parametrize("metric", DECISIONS, ids=[metric.name for metric in DECISIONS])
@given(rows=ROWS)
@settings(max_examples=15, deadline=None)
def test_no_other_threshold_scores_better(metric, rows):
    target, step, weight = (np.array(column) for column in zip(*rows, strict=True))
    prediction = both(0.01 + 0.03 * step)
    found = metric.score(
        target, moved(prediction, best_threshold(target, prediction, weight, metric)), weight
    )
    for other in np.arange(0.005, 1, 0.03):
        assert found >= metric.score(target, moved(prediction, other), weight) - 1e-9


def test_of_many_equal_ones_the_nearest_to_one_half_is_taken():
    accuracy = find_metric("accuracy", "binary")
    chance = np.array([0.1, 0.2, 0.8, 0.9])
    assert best_threshold(np.array([0, 0, 1, 1]), both(chance), None, accuracy) == pytest.approx(0.5)
    assert best_threshold(np.array([0, 0, 1, 1]), both(chance / 4), None, accuracy) == pytest.approx(0.125)


def test_many_distinct_probabilities_are_thinned_and_still_find_a_good_threshold():
    rng = np.random.default_rng(0)
    chance = rng.uniform(0, 0.2, 20_000)
    target = (chance > 0.15).astype(int)
    balanced = find_metric("balanced-accuracy", "binary")
    assert best_threshold(target, both(chance), None, balanced) == pytest.approx(0.15, abs=0.002)


def test_what_failed_is_decided_by_one_half():
    chance = np.array([0.1, np.nan, 0.3])
    assert best_threshold(np.array([0, 1, 1]), both(chance), None, find_metric("f1", "binary")) == 0.5


@pytest.mark.thorough
@given(labels=st.lists(st.integers(0, 1), min_size=10, max_size=10))
@settings(max_examples=30, deadline=None)
def test_a_folds_own_labels_do_not_move_its_threshold(labels):
    rng = np.random.default_rng(1)
    target, chance = rng.integers(0, 2, 30), rng.uniform(size=30)
    rows = np.split(rng.permutation(30), 3)
    said = [both(chance[held_out]) for held_out in rows]
    metric = find_metric("balanced-accuracy", "binary")
    before = held_out_thresholds(target, None, rows, said, metric)
    target[rows[1]] = labels
    assert held_out_thresholds(target, None, rows, said, metric)[1] == before[1]


@given(st.lists(st.floats(0.001, 0.999), min_size=2, max_size=20, unique=True), st.floats(0.01, 0.99))
def test_moved_probabilities_keep_their_order_and_decide_at_the_threshold(chances, threshold):
    chance = np.sort(np.array(chances))
    after = moved(both(chance), threshold)
    np.testing.assert_allclose(after.sum(axis=1), 1)
    assert (np.diff(after[:, 1]) >= 0).all()
    clear = np.abs(chance - threshold) > 1e-6
    np.testing.assert_array_equal((after[:, 1] > 0.5)[clear], (chance > threshold)[clear])
