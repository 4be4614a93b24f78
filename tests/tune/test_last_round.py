"""Batch size and rate are searched once more, together, when all else is settled."""

import math

import pytest

from caviar.errors import ModelError, OptionError
from caviar.tune.draws import random_search
from caviar.tune.importance import importances
from caviar.tune.last_round import TRIALS, LastRound, first_of, pair_of, with_last_round
from caviar.tune.search import Outcome
from caviar.tune.space import discover


def ask(hp):
    hp.Choice("batch_size", [8, 16, 32, 64, 128])
    hp.Float("lr", 1e-5, 1e-1, sampling="log")
    hp.Int("depth", 1, 4)


SPACE = discover(ask)


def loss(settings):
    """Lowest where the rate is a thousandth per sixteen rows."""
    return abs(math.log(settings["lr"] / (1e-3 * settings["batch_size"] / 16))) + abs(settings["depth"] - 2)


def rows_of(settings):
    return settings["batch_size"]


def made(trials=40, seed=0, space=SPACE, rows_of=rows_of):
    return with_last_round(lambda count: random_search(space, count, seed), space, trials, rows_of)


def gone_through(search, upto=None):
    lines = []
    while asked := search.ask(7):
        told = [Outcome(one.number, one.settings, (loss(one.settings),)) for one in asked]
        search.tell(told)
        lines += told
        if upto is not None and len(lines) >= upto:
            break
    return lines


def test_the_last_trials_change_batch_and_rate_of_the_best_together():
    lines = gone_through(made())
    assert [one.number for one in lines] == list(range(len(lines)))
    before, last = lines[: 40 - TRIALS], lines[40 - TRIALS :]
    best = min(before, key=lambda one: one.score).settings
    assert 4 <= len(last) <= TRIALS
    assert {one.settings["depth"] for one in last} == {best["depth"]}
    for one in last:
        times = one.settings["batch_size"] / best["batch_size"]
        ratio = one.settings["lr"] / best["lr"]
        assert ratio == pytest.approx(times) or ratio == pytest.approx(math.sqrt(times)) or times == 1


def test_it_finds_more_than_as_many_random_trials():
    """Of a hundred seeds in more than half, and seldom less: in others the best is among the trials that both share."""
    pairs = [
        (
            min(one.score for one in gone_through(made(seed=seed))),
            min((loss(one.settings),) for one in random_search(SPACE, 40, seed).ask(40)),
        )
        for seed in range(100)
    ]
    assert sum(found < drawn for found, drawn in pairs) > 50
    assert sum(found > drawn for found, drawn in pairs) < 15


@pytest.mark.parametrize("upto", [7, 32, 34, 40])
def test_it_goes_on_where_it_was(upto):
    whole = gone_through(made())
    begun = gone_through(made(), upto=upto)
    rest = gone_through(made().replay(begun))
    assert [one.settings for one in sorted([*begun, *rest], key=lambda one: one.number)] == [
        one.settings for one in whole
    ]


def test_where_nothing_was_sound_there_is_no_last_round():
    search = made()
    count = 0
    while asked := search.ask(50):
        count += len(asked)
        search.tell([Outcome(one.number, one.settings, (math.nan,)) for one in asked])
    assert count == 40 - TRIALS


def test_few_trials_and_spaces_without_the_two_are_left_as_they_are():
    assert not isinstance(made(trials=20), LastRound)
    other = discover(lambda hp: (hp.Float("lr", 1e-4, 1e-1), hp.Int("width", 4, 8)))
    assert pair_of(other) is None
    assert not isinstance(made(space=other), LastRound)


@pytest.mark.parametrize("trials", [100_001, 100_009])
def test_what_is_too_much_is_the_number_that_was_given(trials):
    """And not what is left of it without the last round."""
    with pytest.raises(OptionError, match=rf"at most 100,000 trials, got {trials:,}"):
        made(trials=trials)


def test_as_many_trials_as_anybody_may_ask_for_have_a_last_round():
    assert made(trials=100_000).first == 100_000 - TRIALS


def test_a_batch_size_that_nobody_uses_has_no_last_round():
    search = made(rows_of=lambda _: 32)
    assert not isinstance(search, LastRound)
    assert len(search.ask(40)) == 40
    assert isinstance(made(), LastRound)


def test_a_batch_size_that_cannot_be_looked_up_is_taken_for_one():
    def fails(_):
        raise ModelError("Expected another.")

    assert isinstance(made(rows_of=fails), LastRound)

    def behind(hp):
        if hp.Boolean("own"):
            hp.Choice("batch_size", [8, 16])
        hp.Float("lr", 1e-4, 1e-1, sampling="log")

    assert isinstance(made(space=discover(behind), rows_of=lambda _: 32), LastRound)


def test_settings_that_the_last_round_does_not_vary_seem_to_count_unless_it_is_left_out():
    """One setting matters. The best trials are those of the last round, which all have the best one's idle setting."""

    def ask_more(hp):
        ask(hp)
        hp.Float("matters", 0.0, 1.0)
        hp.Float("idle", 0.0, 1.0)

    space, shares, lasts = discover(ask_more), [], []
    for seed in range(10):
        search, lines = made(trials=48, seed=seed, space=space), []
        while asked := search.ask(48):
            told = [Outcome(one.number, one.settings, (abs(one.settings["matters"] - 0.3),)) for one in asked]
            search.tell(told)
            lines += told
        shares.append(importances(lines[: first_of(space, 48, rows_of)], space))
        lasts.append(importances(lines, space))
    assert all(next(iter(found)) == "matters" and found["matters"] > 0.6 for found in shares)
    assert max(found["idle"] for found in shares) < 0.2 < min(found["idle"] for found in lasts)


def test_a_search_without_a_last_round_draws_all_of_its_trials():
    assert first_of(SPACE, 23, rows_of) == 23
    assert first_of(SPACE, 24, rows_of) == 16
    assert [first_of(SPACE, 24, rows_of, begun=n) for n in (16, 17)] == [16, 24]
    assert first_of(discover(lambda hp: hp.Float("lr", 1e-4, 1e-1)), 40, rows_of) == 40
