"""What every search in the table keeps to."""

import subprocess
import sys

import pytest

from caviar.errors import OptionError
from caviar.tune.search import Outcome
from caviar.tune.table import SEARCHES, search_named
from tests.tune.spaces import SPACES, outcome, run

TRIALS = 40
FEW_TRIALS = {"gp": 20}
"""Of the one that takes seconds to find a trial."""


def made(method, space, **options):
    """The search, or a skip where it cannot search that space and says so in a sentence."""
    try:
        return method.make(SPACES[space], FEW_TRIALS.get(method.name, TRIALS), **options)
    except OptionError as error:
        assert str(error).startswith("Expected ")  # noqa: PT017 - a refusal is an answer, too
        pytest.skip(str(error))


methods = pytest.mark.parametrize("method", SEARCHES, ids=lambda method: method.name)
spaces = pytest.mark.parametrize("space", SPACES)


@methods
@spaces
def test_the_same_seed_asks_the_same_in_whatever_portions(method, space):
    everything = run(made(method, space, seed=3))
    assert everything == run(made(method, space, seed=3), portion=1)
    assert everything == run(made(method, space, seed=3), portion=7)
    assert [one.number for one in everything] == list(range(len(everything)))


@methods
@spaces
def test_settings_lie_inside_the_space_and_hold_what_counts(method, space):
    for one in run(made(method, space, seed=1)):
        assert SPACES[space].settle(one.settings) == one.settings
        assert 0 < one.epochs <= 1
        assert one.source is None or one.source < one.number


@methods
@spaces
def test_no_more_trainings_begin_than_allowed_and_none_twice(method, space):
    begun = [one for one in run(made(method, space)) if one.source is None]
    assert 0 < len(begun) <= TRIALS
    keys = [SPACES[space].key(one.settings) for one in begun]
    assert len(set(keys)) == len(keys)


@methods
def test_a_small_space_is_searched_to_its_end(method):
    begun = [one for one in run(made(method, "few")) if one.source is None]
    assert len(begun) == SPACES["few"].size == 6


@methods
@spaces
def test_settings_to_start_from_come_first(method, space):
    known = SPACES[space].parameters[0]
    start = [{known.name: known.draw(0.4)}, {}, {}]
    asked = run(made(method, space, start=start))
    assert [one.settings for one in asked[:2]] == [SPACES[space].settle(one) for one in start[:2]]


@pytest.mark.parametrize(
    "method", [one for one in SEARCHES if one.many_objectives], ids=lambda method: method.name
)
def test_several_scores_are_weighed_where_the_table_says_so(method):
    asked = run(made(method, "numbers", objectives=2), objectives=2)
    assert len(asked) == FEW_TRIALS.get(method.name, TRIALS)
    search = made(method, "numbers", objectives=3)
    with pytest.raises(OptionError, match=r"^Expected 3 scores .+\.$"):
        search.tell([outcome(one, objectives=2) for one in search.ask(1000)])


@methods
@spaces
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_trials_that_fail_break_nothing(method, space, share, rng):
    search = made(method, space)
    while candidates := search.ask(4):
        failing = rng.random(len(candidates)) < share
        search.tell(
            [
                Outcome(one.number, one.settings, (float("nan"),)) if fails else outcome(one)
                for one, fails in zip(candidates, failing, strict=True)
            ]
        )


@methods
@spaces
@pytest.mark.parametrize("finished", [0, 1, 17, 36])
def test_a_search_that_was_cut_off_goes_on_and_asks_nothing_twice(method, space, finished):
    whole = run(made(method, space, seed=2))
    search, told = made(method, space, seed=2), []
    while len(told) < finished and (candidates := search.ask(7)):
        told += [outcome(one) for one in candidates]
        search.tell(told[-len(candidates) :])
    rest = run(made(method, space, seed=2).replay(list(reversed(told))))
    done = {one.number for one in told}
    assert [one.number for one in rest] == [one.number for one in whole if one.number not in done]
    assert rest == [one for one in whole if one.number not in done]


@methods
def test_outcomes_of_another_search_are_refused_in_a_sentence(method):
    other = [Outcome(0, {"layers": 2, "norm": "no"}, (1.0,))]
    with pytest.raises(OptionError, match=r"^Expected the outcomes of a search .+\.$"):
        made(method, "few").replay(other)
    with pytest.raises(OptionError, match=r"^Expected outcomes of candidates .+\.$"):
        made(method, "few").tell(other)


@methods
def test_what_cannot_be_searched_is_refused_in_a_sentence(method):
    space = SPACES["few"]
    for wrong in (
        {"trials": 0},
        {"trials": 9, "start": [{"layers": 7}]},
        {"trials": 1, "start": [{}, {"layers": 2}]},
    ):
        with pytest.raises(OptionError, match=r"^Expected .+\.$"):
            method.make(space, **wrong)


@methods
def test_the_table_speaks_to_people(method):
    assert method.what.endswith(".")
    assert method.title
    assert method.source
    assert search_named(method.name) is method


def test_names_are_unique_and_unknown_ones_refused():
    assert len({method.name for method in SEARCHES}) == len(SEARCHES)
    with pytest.raises(OptionError, match=r"^Expected a search out of random, .+\.$"):
        search_named("guess")


def test_the_table_loads_without_what_takes_seconds():
    program = (
        "import sys\n"
        "import caviar.tune.table\n"
        "print(*sorted({'keras', 'jax', 'optuna', 'scipy', 'torch'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
