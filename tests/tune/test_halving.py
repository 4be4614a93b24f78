"""Schedules: the best go on, failed ones never do, and what is spent adds up."""

import math

import pytest

from caviar.errors import OptionError
from caviar.tune.halving import brackets, halving_search, hyperband_search, rungs
from caviar.tune.population_based import population_based_search
from caviar.tune.search import Candidate, Outcome, Search
from tests.tune.spaces import SPACES, score


def generations(search: Search, failing: frozenset[int] = frozenset()) -> list[list[Candidate]]:
    asked = []
    while candidates := search.ask(10_000):
        asked.append(candidates)
        search.tell(
            [
                Outcome(
                    one.number, one.settings, (math.nan if one.number in failing else score(one.settings),)
                )
                for one in candidates
            ]
        )
    return asked


@pytest.mark.parametrize(
    ("count", "eta", "least", "counts", "shares"),
    [
        (27, 3, 1 / 27, [27, 9, 3, 1], [1 / 27, 1 / 9, 1 / 3, 1.0]),
        (16, 2, 1 / 4, [16, 8, 4], [1 / 4, 1 / 2, 1.0]),
        (6, 3, 1 / 9, [6, 2, 1], [1 / 9, 1 / 3, 1.0]),
        (2, 3, 1 / 9, [2, 1], [1 / 3, 1.0]),
        (1, 3, 1 / 9, [1], [1.0]),
        (9, 3, 1.0, [9], [1.0]),
    ],
)
def test_schedules_keep_one_in_eta_and_end_with_whole_trials(count, eta, least, counts, shares):
    schedule = rungs(count, eta, least)
    assert [rung.count for rung in schedule] == counts
    assert [rung.share for rung in schedule] == pytest.approx(shares)


@pytest.mark.parametrize("trials", [1, 2, 5, 17, 40, 100])
def test_brackets_begin_with_as_many_as_allowed(trials):
    schedules = brackets(trials)
    assert sum(schedule[0].count for schedule in schedules) == trials
    assert all(schedule[-1].share == 1.0 for schedule in schedules)


def test_the_best_third_goes_on_with_its_own_training():
    first, second, third = generations(halving_search(SPACES["numbers"], 9, seed=1))
    best = sorted(first, key=lambda one: score(one.settings))[:3]
    assert [(one.source, one.settings) for one in second] == [(one.number, one.settings) for one in best]
    assert [one.source for one in third] == [second[0].number]
    assert [one.epochs for one in (*second, *third)] == pytest.approx([1 / 3] * 3 + [1.0])


def test_failed_candidates_do_not_go_on():
    first, second, third = generations(halving_search(SPACES["numbers"], 9), failing=frozenset(range(7)))
    assert [len(first), len(second), len(third)] == [9, 2, 1]
    assert {one.source for one in second} == {7, 8}


def test_folds_grow_to_all_of_them():
    asked = generations(halving_search(SPACES["numbers"], 9, over="folds", folds=10))
    assert [sorted({(one.folds, one.epochs) for one in rung}) for rung in asked[:2]] == [
        [(1, 1.0)],
        [(3, 1.0)],
    ]
    assert [one.folds for one in asked[2]] == [None]


def test_brackets_climb_on_their_own():
    """The best of a bracket goes on, even where every other bracket has better ones."""
    asked = generations(hyperband_search(SPACES["numbers"], 17))
    assert [len(rung) for rung in asked] == [9 + 5 + 3, 3 + 1, 1]
    assert {one.source for one in asked[1][:3]} < set(range(9))
    assert asked[1][3].source in range(9, 14)
    assert asked[1][3].epochs == 1.0


def test_81_settings_cost_nine_whole_trials():
    asked = [one for rung in generations(halving_search(SPACES["numbers"], 81, least=1 / 27)) for one in rung]
    reached = {one.number: one.epochs for one in asked}
    cost = sum(one.epochs - reached.get(one.source, 0.0) for one in asked)
    assert cost == pytest.approx(9)


def test_the_worst_members_go_on_as_changed_copies_of_the_best():
    search = population_based_search(SPACES["numbers"], 10, generations=3, stride=0.1, redrawn=0.0)
    first = search.ask(10)
    search.tell([Outcome(one.number, one.settings, (float(one.number),)) for one in first])
    second = search.ask(10)
    assert [one.source for one in second[:8]] == list(range(8))
    assert [one.settings for one in second[:8]] == [one.settings for one in first[:8]]
    numbers = {one.name: one for one in SPACES["numbers"].parameters}
    for one in second[8:]:
        parent = first[one.source]
        assert one.source in {0, 1}
        assert one.settings["units"] == parent.settings["units"]  # changes the network's shape
        for name in ("rate", "momentum", "drop"):
            moved = abs(numbers[name].place(one.settings[name]) - numbers[name].place(parent.settings[name]))
            assert moved == pytest.approx(0.1, abs=1e-6) or one.settings[name] in (
                numbers[name].draw(0.0),
                numbers[name].draw(1.0),
            )
    assert {one.epochs for one in second} == {2 / 3}


def test_a_failed_member_goes_on_as_a_copy_and_a_dead_population_ends():
    asked = generations(population_based_search(SPACES["numbers"], 10), failing=frozenset({0, 1, 2, 3, 4}))
    assert not {one.source for one in asked[1]} & {0, 1, 2, 3, 4}
    assert [len(part) for part in asked] == [10] * 4
    assert len(generations(population_based_search(SPACES["numbers"], 4), failing=frozenset(range(4)))) == 1


def test_only_named_numbers_change_on_the_way():
    search = population_based_search(SPACES["numbers"], 10, explored=["units"], redrawn=0.0)
    first = search.ask(10)
    search.tell([Outcome(one.number, one.settings, (float(one.number),)) for one in first])
    for one in search.ask(10)[8:]:
        parent = first[one.source].settings
        assert {name for name in parent if one.settings[name] != parent[name]} <= {"units"}


@pytest.mark.parametrize(
    "wrong",
    [
        lambda space: halving_search(space, 9, eta=1),
        lambda space: halving_search(space, 9, least=0.0),
        lambda space: hyperband_search(space, 9, over="rows"),
        lambda space: hyperband_search(space, 9, over="folds"),
        lambda space: population_based_search(space, 9, generations=0),
        lambda space: population_based_search(space, 9, exploited=0.6),
        lambda space: population_based_search(space, 9, explored=["kind"]),
        lambda _: population_based_search(SPACES["few"], 9),
    ],
)
def test_schedules_that_cannot_be_are_refused_in_a_sentence(wrong):
    with pytest.raises(OptionError, match=r"^Expected .+\.$"):
        wrong(SPACES["mixed"])
