"""Generations: nothing is asked before the last one was told, and a search rebuilt from its outcomes goes on."""

import time

import pytest

from caviar.errors import OptionError, RunError
from caviar.tune.draws import random_search
from caviar.tune.fresh import Fresh
from caviar.tune.grid import grid_search, whole_grid
from caviar.tune.optuna_searches import tpe_search
from caviar.tune.quasi import quasi_random_search
from caviar.tune.search import Candidate, Generations
from caviar.tune.space import discover
from tests.tune.spaces import SPACES, outcome


def two_generations() -> Generations:
    def plan():
        told = yield [Candidate(number, {"layers": number}) for number in range(3)]
        yield [Candidate(3, {"layers": sum(one.number for one in told)})]

    return Generations(plan())


def test_nothing_is_asked_before_a_generation_was_told():
    search = two_generations()
    first = search.ask(2)
    assert [one.number for one in first + search.ask(9)] == [0, 1, 2]
    assert search.ask(9) == []
    search.tell([outcome(one) for one in first])
    assert search.ask(9) == []
    search.tell([outcome(Candidate(2, {"layers": 2}))])
    assert search.ask(9) == [Candidate(3, {"layers": 3})]
    search.tell([outcome(Candidate(3, {"layers": 3}))])
    assert search.ask(9) == []


def test_a_candidate_is_told_once_and_after_it_was_asked():
    search = two_generations()
    with pytest.raises(OptionError, match=r"^Expected outcomes of candidates .+ number 0.+\.$"):
        search.tell([outcome(Candidate(0, {"layers": 0}))])
    search.tell([outcome(one) for one in search.ask(1)])
    with pytest.raises(OptionError, match=r"^Expected outcomes of candidates .+ number 0.+\.$"):
        search.tell([outcome(Candidate(0, {"layers": 0}))])


def test_outcomes_of_a_generation_that_nobody_reached_are_refused():
    late = outcome(Candidate(3, {"layers": 3}))
    with pytest.raises(OptionError, match=r"^Expected the outcomes of a search .+\.$"):
        two_generations().replay([outcome(Candidate(0, {"layers": 0})), late])


@pytest.mark.parametrize("trials", [0, 100_001, 10**12])
def test_no_trials_and_more_than_anybody_could_train_are_refused_at_once(trials):
    with pytest.raises(OptionError, match=rf"^Expected at .+ trial.+{trials:,}\..+\.$"):
        random_search(SPACES["numbers"], trials)


@pytest.mark.parametrize("search", [random_search, quasi_random_search], ids=lambda one: one.__name__)
@pytest.mark.parametrize("space", SPACES)
def test_more_trials_only_add_to_fewer(search, space):
    assert search(SPACES[space], 9, seed=4).ask(9) == search(SPACES[space], 30, seed=4).ask(9)


@pytest.mark.parametrize("search", [random_search, quasi_random_search], ids=lambda one: one.__name__)
def test_a_space_of_thousands_is_drawn_to_its_end_in_seconds(search):
    """Small numbers take up nearly all of the log scale: the last of the large ones are hardly ever drawn."""
    space = discover(lambda hp: (hp.Int("units", 1, 2000, sampling="log"), hp.Boolean("norm")))
    began = time.process_time()
    asked = search(space, 5000).ask(5000)
    assert len({space.key(one.settings) for one in asked}) == len(asked) == 4000
    assert time.process_time() - began < 10


def test_positions_that_give_nothing_new_are_left_for_even_draws(rng):
    fresh = Fresh(SPACES["few"])
    drawn = [fresh.draw(rng, lambda: [0.0, 0.0]) for _ in range(7)]
    assert drawn[0] == {"layers": 1, "norm": False}
    assert drawn[6] is None
    assert len({tuple(one.values()) for one in drawn[:6]}) == 6


def test_a_grid_has_every_choice_and_as_many_numbers_as_fit():
    space = discover(
        lambda hp: (
            hp.Choice("kind", ["a", "b"]),
            hp.Float("rate", 1e-4, 1.0, sampling="log"),
            hp.Int("n", 1, 9),
        )
    )
    asked = [one.settings for one in grid_search(space, 30).ask(100)]
    assert len(asked) == 2 * 4 * 3
    assert sorted({one["rate"] for one in asked}) == pytest.approx(
        [1e-4, 10 ** (-8 / 3), 10 ** (-4 / 3), 1.0]
    )
    assert sorted({one["n"] for one in asked}) == [1, 5, 9]


def test_a_whole_grid_has_all_values_and_ten_of_numbers_without_steps():
    space = discover(lambda hp: (hp.Float("rate", 0.0, 9.0, default=4.5), hp.Int("layers", 1, 30)))
    asked = [one.settings for one in grid_search(space, 1000, points=10).ask(1000)]
    assert len(asked) == whole_grid(space, 10, [space.default()]) == 11 * 30
    assert asked[0] == space.default()
    assert whole_grid(space, 10, [{"rate": 0.123}]) == 11 * 30 + 1
    with pytest.raises(OptionError, match="1,000,000"):
        whole_grid(discover(lambda hp: [hp.Float(str(i), 0.0, 1.0) for i in range(6)]), 10, [])


def test_a_grid_that_cannot_hold_all_choices_is_refused_with_how_many_it_takes():
    space = discover(lambda hp: [hp.Choice(name, list("abc")) for name in "uvw"])
    with pytest.raises(OptionError, match=r"^Expected at least 27 trials .+ got 26\. .+\.$"):
        grid_search(space, 26)
    assert len(grid_search(space, 27).ask(100)) == 27
    with pytest.raises(OptionError, match=r"at least 28 trials .* beside the settings to start with, got 27"):
        grid_search(space, 27, start=[space.default()])


def test_a_journal_that_cannot_be_written_any_more_is_a_sentence(tmp_path):
    path = tmp_path / "study" / "optuna.log"
    path.parent.mkdir()
    search = tpe_search(SPACES["few"], 6, journal=path)
    asked = search.ask(6)
    path.unlink()
    path.mkdir()
    with pytest.raises(RunError, match=r"^Expected to copy trials to .+\.$"):
        search.tell([outcome(one) for one in asked])
