"""Curves whose course is known are read as what they are."""

import numpy as np

from caviar.lessons.training_history import parting, read

EPOCHS = np.arange(150.0)
FALLING = 0.3 + 0.4 * np.exp(-EPOCHS / 20)


def test_losses_that_part_do_so_where_the_gap_begins_to_widen():
    gap = np.where(EPOCHS < 60, 0.1, 0.1 + 0.01 * (EPOCHS - 60))
    assert 60 + 10 <= parting(gap) <= 60 + 10 + 5 + 10


def test_losses_that_stay_parallel_part_at_the_end_only():
    assert parting(np.full(150, 0.1)) == 149
    assert parting(0.1 + 0.01 * np.cos(EPOCHS)) == 149


def test_too_few_epochs_part_at_their_end():
    assert parting(np.arange(8.0)) == 7


def test_a_validation_loss_that_turns_is_overfitting():
    assert read(FALLING, FALLING + 0.004 * np.maximum(EPOCHS - 50, 0)) == "overfit"


def test_losses_that_fall_in_a_straight_line_are_slow():
    assert read(1 - EPOCHS / 300, 1.1 - EPOCHS / 300) == "slow"


def test_losses_that_have_arrived_are_settled():
    assert read(FALLING, FALLING + 0.02) == "settled"
