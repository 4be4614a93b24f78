"""What the lesson on batch normalization's advice computes itself, against layers that are known."""

import numpy as np
import pytest

from caviar.lessons.batch_normalization_advice import (
    build,
    cross_entropy,
    normalized_batch,
    row_by_row,
    running_statistics,
    settled,
)
from caviar.teaching.contract import Data
from caviar.teaching.seen import Lab


def test_the_layer_does_what_the_formulas_say_and_not_what_the_misprint_says():
    batch, running = normalized_batch(np.random.default_rng(1)), running_statistics(np.random.default_rng(1))
    assert max(batch["mean"], batch["variance"], batch["undone"], batch["alone"], running["formula"]) < 1e-5
    assert running["printed"] > 0.1


def test_cross_entropy_is_minus_the_log_probability_of_the_true_class():
    outputs = np.array([[0.5, 0.5], [0.25, 0.75]])
    assert cross_entropy(outputs, np.array([0, 1])) == pytest.approx(-np.log([0.5, 0.75]).mean())


def test_rows_alone_are_predicted_as_together():
    x = np.random.default_rng(3).random((4, 64)).astype(np.float32)
    assert row_by_row(build(place="before"), x)["rows"] < 1e-5


def test_settled_statistics_are_those_of_all_training_rows():
    rng = np.random.default_rng(4)
    x, y = rng.normal(5, 3, (40, 64)).astype(np.float32), rng.integers(0, 10, 40)
    rows = Data("noise", x, y, [(np.arange(30), np.arange(30, 40))], classes=10)
    model = build(place="before")
    before = cross_entropy(np.asarray(model(x[30:])), y[30:])
    loss = settled(Lab(rows, (1,), None, pytest.fail, pytest.fail), model)
    sums = np.asarray(model.layers[0](x[:30]))
    np.testing.assert_allclose(model.layers[1].moving_mean, sums.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(model.layers[1].moving_variance, sums.var(axis=0), rtol=1e-3)
    assert loss != pytest.approx(before, rel=0.01)
