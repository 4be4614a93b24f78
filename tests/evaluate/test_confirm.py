"""Does the gain on rows kept apart come with an interval that knows of rows and seeds?"""

import numpy as np
import pytest

from caviar.evaluate.confirm import paired_gain, score_apart


def _drawn(rng, rows, own, new, seeds=5, by_seed=0.0):
    """Predictions of two recipes: errors of rows that both share, and errors of their own."""
    truth = rng.normal(size=(rows, 1))
    hard = rng.normal(size=(rows, 1))
    said = [
        truth
        + size * hard
        + by_seed * rng.normal(size=(seeds, 1, 1))
        + 0.05 * rng.normal(size=(seeds, rows, 1))
        for size in (own, new)
    ]
    return truth, said


def _score(truth):
    return lambda said, rows: float(np.square(said - truth[rows]).mean())


def test_a_true_gain_is_seen_and_its_interval_holds_it():
    truth, (own, new) = _drawn(np.random.default_rng(0), 2000, 1.0, 0.5)
    gain = paired_gain(_score(truth), own, new, np.arange(2000), higher_is_better=False)
    assert gain.low < 0.75 < gain.high
    assert gain.low > 0.6
    turned = paired_gain(_score(truth), new, own, np.arange(2000), higher_is_better=False)
    assert turned.high < -0.6


def test_seeds_that_disagree_widen_the_interval():
    widths = []
    for by_seed in (0.0, 0.5):
        truth, (own, new) = _drawn(np.random.default_rng(1), 1000, 0.5, 0.5, by_seed=by_seed)
        gain = paired_gain(_score(truth), own, new, np.arange(1000), higher_is_better=False)
        widths.append(gain.high - gain.low)
    assert widths[1] > 3 * widths[0]


def test_rows_that_belong_together_are_drawn_together():
    truth, (own, new) = _drawn(np.random.default_rng(2), 300, 1.0, 0.5)
    again = [np.repeat(values, 4, axis=-2) for values in (truth, own, new)]
    units = np.repeat(np.arange(300), 4)
    together = paired_gain(_score(again[0]), again[1], again[2], units, higher_is_better=False)
    alone = paired_gain(_score(truth), own, new, np.arange(300), higher_is_better=False)
    assert together.value == pytest.approx(alone.value)
    assert together.high - together.low == pytest.approx(alone.high - alone.low, rel=0.2)


def test_equal_predictions_gain_exactly_nothing():
    said = np.random.default_rng(3).normal(size=(3, 50, 1))
    gain = paired_gain(
        lambda s, _rows: float(s.mean()), said[:1], said[:1], np.arange(50), higher_is_better=True
    )
    assert (gain.value, gain.low, gain.high) == (0.0, 0.0, 0.0)


def test_a_single_unit_tells_nothing_of_the_spread():
    said = np.random.default_rng(4).normal(size=(2, 3, 10, 1))
    gain = paired_gain(lambda s, _rows: float(s.mean()), *said, np.zeros(10), higher_is_better=True)
    assert gain.low == -np.inf
    assert gain.high == np.inf


def test_the_interval_of_a_score_on_rows_kept_apart_holds_the_truth_as_often_as_it_says():
    """Networks of different seeds share the rows; the truth is the mean absolute error over all rows and seeds."""
    rng, held, times = np.random.default_rng(1), 0, 300
    truth = np.sqrt(2 / np.pi) * np.sqrt(1 + 0.3**2)
    for _ in range(times):
        shared = rng.normal(size=(1, 120, 1))  # what all networks get wrong in the same way
        said = shared + 0.3 * rng.normal(size=(5, 120, 1))
        found = score_apart(
            lambda values, _: float(np.abs(values).mean()), said, np.arange(120), n_bootstrap=100
        )
        held += found.low <= truth <= found.high
    assert 0.9 < held / times < 0.99  # 93.7 % of 600: absolute errors are skewed
