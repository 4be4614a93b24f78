"""What the lessons on tuning compute themselves is what it is said to be."""

from collections import Counter
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest

from caviar.lessons import log_scale, panda_or_caviar, searches, seven
from caviar.population.job import Monitor
from caviar.teaching.seen import Lab
from caviar.teaching.taught import train_variants
from caviar.tune.draws import random_search
from caviar.tune.space import discover


def test_the_best_place_inside_is_chosen_by_other_seeds():
    losses = np.array([[3.0, 3.0, 3.0], [1.0, 1.0, 9.0], [2.0, 2.0, 0.0], [5.0, 5.0, 5.0]])
    np.testing.assert_allclose(seven.above_inside(losses, 0), [3 - 2, 3 - 2, 3 - 9])
    np.testing.assert_allclose(seven.above_inside(losses, -1), [5 - 2, 5 - 2, 5 - 9])


def test_choices_of_two_are_balanced_against_each_other():
    assert len(set(seven.HALF)) == 4
    for one, two in combinations(range(3), 2):
        met = Counter((row[one], row[two]) for row in seven.HALF)
        assert all(met[pair] == 1 for pair in product((0, 1), repeat=2))


def test_shares_below_a_bound_are_those_of_each_seed():
    np.testing.assert_allclose(log_scale.share_below(np.array([[0.01, 0.5], [0.2, 0.3]]), 0.1), [0.5, 0.0])


def test_a_factor_in_each_iteration_ends_learning_when_its_power_is_small():
    assert 0.9 ** log_scale.iterations_to(1e-3, 0.9) < 1e-3 <= 0.9 ** (log_scale.iterations_to(1e-3, 0.9) - 1)


def test_the_rule_lowers_the_rate_after_a_rise_and_raises_it_after_a_stall():
    assert panda_or_caviar.next_rate(0.1, 0.5, 0.6) == pytest.approx(0.01)
    assert panda_or_caviar.next_rate(0.1, 0.5, 0.499) == pytest.approx(0.3)
    assert panda_or_caviar.next_rate(0.1, 0.5, 0.4) == pytest.approx(0.1)
    assert panda_or_caviar.next_rate(0.1, 0.5, float("nan")) == pytest.approx(0.01)


def test_what_one_half_of_the_rows_chose_is_judged_on_the_other():
    chooses, judges = np.array([[0.3, 0.1], [0.2, np.nan]]), np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_allclose(panda_or_caviar.chosen(chooses, judges), [3.0, 2.0])


def test_of_59_trials_one_is_among_the_best_twentieth_in_95_of_100():
    assert 1 - 0.95 ** panda_or_caviar.trials_for(0.95, 0.05) >= 0.95
    assert 1 - 0.95 ** (panda_or_caviar.trials_for(0.95, 0.05) - 1) < 0.95


def test_loss_is_that_of_the_half_that_is_asked_for():
    outputs, y = np.array([[0.5], [0.9], [0.8], [np.nan]]), np.array([1, 1, 0, 1])
    first = searches.log_loss(outputs, y, chosen_by=True)
    second = searches.log_loss(outputs, y, chosen_by=False)
    assert first == pytest.approx(-(np.log(0.5) + np.log(0.9)) / 2)
    assert second == pytest.approx(-(np.log(0.2) + np.log(0.5)) / 2)


@pytest.mark.thorough
def test_trials_of_a_search_are_trained_with_the_settings_that_it_asked_for(monkeypatch):
    """A trial trained among others has the loss of its settings given to the builder."""
    monkeypatch.setattr(searches, "TRIALS", 3)
    data = searches.rows()

    def train(*variants, data=data, seeds=(1, 2)):
        from caviar.teaching.seen import Seen

        return Seen(data, seeds, train_variants(variants, data, seeds, Monitor()))

    lab = Lab(data, (1, 2), Path(), train, lambda *_: np.zeros(1))
    chooses, _, tried = searches.search_all(lab, random_search, discover(searches.ask))
    assert chooses.shape == (2, 3)
    rate, dropout, l2 = tried[1, 2]

    def build():
        model = searches.build()
        model.optimizer.learning_rate = float(rate)
        model.layers[1].rate = float(dropout)
        model.layers[0].kernel_regularizer.l2 = float(l2)
        return model

    from sklearn.preprocessing import StandardScaler

    from caviar.teaching.contract import Variant

    alone = train(Variant("one", "one", build, epochs=searches.EPOCHS, prepare=StandardScaler), seeds=(2,))
    expected = alone.per_member("one", lambda p, y: searches.log_loss(p, y, chosen_by=True))
    assert chooses[1, 2] == pytest.approx(expected[0], rel=1e-3)
