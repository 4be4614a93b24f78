"""A range test's reading, and descent from a saddle, on losses that are known."""

import numpy as np

from caviar.lessons.range_test import EPOCHS, HIGHEST, descend, descents, found, swept


def test_the_highest_rate_of_a_cycle_is_where_the_loss_is_lowest():
    epochs = np.arange(EPOCHS)
    losses = np.abs(epochs - 20.0)[None] + np.zeros((3, 1))
    assert abs(found(losses, swept()) - HIGHEST * 20.5 / EPOCHS) < 1.5 * HIGHEST / EPOCHS


def test_a_single_low_epoch_is_not_the_lowest_point():
    losses = np.abs(np.arange(EPOCHS) - 20.0)[None]
    losses[0, 45] = -100.0
    assert found(losses, swept()) < HIGHEST / 2


def test_descent_ends_in_a_lowest_point_when_it_begins_near_one():
    losses = descend(np.full(500, 0.1), np.array([0.5]), np.array([0.9]))
    assert np.isclose(losses[0, -1], -0.25)
    assert (np.diff(losses[0]) <= 0).all()


def test_descent_at_the_saddle_itself_never_leaves_it():
    for rates in descents().values():
        assert np.isclose(descend(rates, np.zeros(1), np.zeros(1))[0, -1], 0)
