"""Gradients of single rows by hand are Keras', and the variance of their averages is what sampling theory says."""

import numpy as np
import pytest

from caviar.lessons.updates import build, gradient_variance, row_gradients


def test_the_mean_of_row_gradients_is_the_step_that_keras_takes():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(20, 2)).astype(np.float32), rng.integers(0, 2, 20)
    model = build(rate=0.5)
    before = [np.asarray(w) for w in model.get_weights()]
    gradient = row_gradients(model, x, y).mean(axis=0)
    model.fit(x, y, batch_size=20, epochs=1, verbose=0)
    moved = np.concatenate([(a - b).ravel() for a, b in zip(before, model.get_weights(), strict=True)])
    # The first step has no momentum behind it.
    np.testing.assert_allclose(moved, 0.5 * gradient, atol=1e-6)
    assert np.abs(gradient).max() > 1e-3


@pytest.mark.parametrize("size", [2, 10, 40])
def test_variance_is_one_over_the_batch_size_times_what_is_left_of_the_rows(size):
    rng = np.random.default_rng(1)
    gradients = rng.normal(size=(50, 30))
    of_a_row = np.square(gradients - gradients.mean(axis=0)).sum(axis=1).mean()
    expected = of_a_row / size * (50 - size) / 49
    assert gradient_variance(gradients, size, rng, 4000) == pytest.approx(expected, rel=0.05)


def test_the_gradient_of_all_rows_does_not_vary():
    gradients = np.random.default_rng(2).normal(size=(12, 3))
    assert gradient_variance(gradients, 12, np.random.default_rng(3), 10) == pytest.approx(0, abs=1e-12)
