"""How the lesson on schedules reads recorded rates and curves."""

from types import SimpleNamespace

import numpy as np

from caviar.lessons.schedules import (
    constant_from,
    converged,
    drop_epochs,
    falls_by_tens,
    gained_by_falls,
    nth_drop,
    rate_exponent,
)


def seen(**logs: list[list[float]]) -> SimpleNamespace:
    """Curves under their names, whatever the variant."""
    return SimpleNamespace(log=lambda _, name: np.array(logs[name]))


def test_a_fall_is_dated_by_the_epoch_that_decided_it():
    assert drop_epochs(np.array([1.0, 1, 0.1, 0.1, 0.01])).tolist() == [2, 4]


def test_falls_are_numbered_and_missing_ones_stand_at_the_end():
    rates = seen(learning_rate=[[1.0, 1, 0.1, 0.01], [1.0, 1, 1, 1]])
    assert nth_drop(1)(rates).tolist() == [3, 4]


def test_only_falls_to_a_tenth_after_five_epochs_are_a_plateau_schedules():
    slow, early, third = [1.0] * 5 + [0.1] * 5 + [0.01], [1.0] * 4 + [0.1] * 7, [1.0] * 5 + [0.3] * 6
    rates = seen(learning_rate=[slow, early, third, [1.0] * 11])
    assert falls_by_tens(rates).tolist() == [True, False, False, False]


def test_a_rate_of_zero_still_has_a_logarithm():
    rates = seen(learning_rate=[[0.1, 0.0]])
    assert rate_exponent(rates, "any").tolist() == [-37]
    assert rate_exponent(rates, "any", after=0).round(6).tolist() == [-1]


def test_convergence_is_within_a_hundredth_and_constancy_within_a_thousandth():
    losses = seen(val_loss=[[1.0, 0.505, 0.4995, 0.5, 0.5003], [0.5] * 5])
    assert converged(losses, "any").tolist() == [2, 1]
    assert constant_from(losses, "any").tolist() == [3, 1]


def test_what_falls_gain_is_counted_from_the_epochs_before_the_first():
    logs = {
        "val_loss": np.array([[9.0, 9, 4, 4, 4, 4, 4, 1, 1]]),
        "learning_rate": np.array([[1.0] * 7 + [0.1] * 2]),
    }
    evidence = SimpleNamespace(log=lambda _, name: logs[name], late=lambda *_: np.array([1.0]))
    assert gained_by_falls(evidence).tolist() == [3.0]
