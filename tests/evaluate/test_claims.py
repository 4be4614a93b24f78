"""Does the interval of a lesson's measure reach further to the side on which skewed values hide their mean?"""

import math

import numpy as np
import pytest
from scipy import stats

from caviar.evaluate.claims import _unskewed, mean_of_seeds

SKEWED = np.array([0.1, 0.2, 0.2, 0.3, 0.3, 0.4, 0.5, 0.9, 2.0, 4.0])


def student(values: np.ndarray, level: float) -> tuple[float, float]:
    return stats.t.interval(level, len(values) - 1, values.mean(), stats.sem(values))


@pytest.mark.parametrize("level", [0.8, 0.95, 0.995])
def test_above_values_that_lean_upwards_the_interval_reaches_further_than_students(level):
    """A few large values may be missing: the mean may be higher than it looks, but not lower than Student says."""
    assert stats.skew(SKEWED) > 1
    found, (low, high) = mean_of_seeds(SKEWED, level), student(SKEWED, level)
    assert found.value == pytest.approx(SKEWED.mean())
    assert found.high - high > 0.2 * (high - low)
    assert found.low == pytest.approx(low)
    assert (found.level, found.n) == (level, 10)


def test_the_interval_of_negated_values_is_the_mirrored_one():
    found, mirrored = mean_of_seeds(SKEWED), mean_of_seeds(-SKEWED)
    assert (mirrored.value, mirrored.low, mirrored.high) == pytest.approx(
        (-found.value, -found.high, -found.low)
    )


def test_values_that_lean_nowhere_get_students_interval():
    found, (low, high) = mean_of_seeds(np.arange(9.0)), student(np.arange(9.0), 0.95)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_halls_transform_is_inverted_as_worked_out_by_hand():
    """With lean l and quantile q: 3 / l * (cbrt(1 + l * (q - l / 6)) - 1).

    l = 0.6, q = -1.9: 1 + 0.6 * (-1.9 - 0.1) = -0.2, whose cube root is -0.584804; 5 * (-1.584804) = -7.92402.
    """
    assert _unskewed(-1.9, 0.6) == pytest.approx(-7.92402, abs=1e-5)
    assert _unskewed(1.9, -0.6) == pytest.approx(7.92402, abs=1e-5)


@pytest.mark.parametrize(("quantile", "lean"), [(2.0, 0.3), (-2.0, 0.3), (2.5, -0.4), (1.0, 1e-3)])
def test_halls_transform_of_its_inverse_is_the_quantile(quantile, lean):
    """g(t) = t + l t² / 3 + l² t³ / 27 + l / 6, where the lean is what l stands for in Hall's notation."""
    t = _unskewed(quantile, lean)
    assert t + lean * t**2 / 3 + lean**2 * t**3 / 27 + lean / 6 == pytest.approx(quantile, abs=1e-8)


def test_next_to_no_lean_the_transform_goes_over_into_the_quantile():
    assert _unskewed(2.0, 1e-10) == 2.0
    assert _unskewed(2.0, 1e-8) == pytest.approx(2.0, abs=1e-6)


def test_what_cannot_be_known_has_no_interval():
    for values in (np.array([]), np.array([1.0, math.nan]), np.array([1.0, math.inf]), np.array([1.0])):
        found = mean_of_seeds(values)
        assert (found.low, found.high) == (-math.inf, math.inf)
