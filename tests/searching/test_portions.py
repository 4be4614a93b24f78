"""Time that ends costs a search little, and a budget that is too short for one is said to be."""

import math

import numpy as np
import pytest

import caviar.searching.generation
from caviar.errors import OptionError
from caviar.measuring.measure import measure_all, measure_in_turn
from caviar.pace import TooSlow
from caviar.population import devices
from caviar.progress import Clock, OutOfTime, Voice
from caviar.run.study import StudyFolder, TrialLine
from caviar.searching.portions import FEWEST, MOST_AT_ONCE, Portions, too_few
from caviar.tune.search import Candidate, Generations, Outcome, work_of
from tests.searching.test_tune import L, build, tuned

devices.start()
import keras  # noqa: E402 - only once JAX is its backend


class Planted(Clock):
    """As much time is left as a test says."""

    seconds = 60.0

    def left(self, reserve: float = 0.0) -> float:
        return self.seconds - reserve


def plan():
    yield [Candidate(number, {}) for number in range(1000)]


def over(number: int, seconds: float) -> TrialLine:
    return TrialLine(
        number=number, settings={}, score=[0.0], fold_scores=[[0.0]], generation=0, place=0, seconds=seconds
    )


def portions(minutes: float | None = 1.0, trials: int = 64) -> tuple[Portions, Planted, Voice]:
    clock, voice = Planted(minutes), Voice(quiet=True)
    told: list[str] = []
    voice.say = lambda text, **_: told.append(text)
    voice.told = told
    return Portions(Generations(plan()), clock, voice, trials), clock, voice


def test_without_a_bound_a_portion_is_as_large_as_it_may_be():
    assert len(portions(None)[0].take([])) == MOST_AT_ONCE


def test_a_portion_takes_a_part_of_the_time_left_and_shrinks_towards_its_end():
    own, clock, _ = portions()
    assert len(own.take([])) == 8
    lines = [over(i, 1.0) for i in range(8)]
    assert len(own.take(lines)) == 15
    clock.seconds = 9.0
    assert len(own.take(lines)) == 2
    clock.seconds = 0.1
    assert len(own.take(lines)) == 1


def test_what_is_not_over_comes_first_the_next_time():
    own, _, _ = portions()
    taken = own.take([])
    own.put_back(taken[3:])
    assert own.take([])[: len(taken) - 3] == taken[3:]


def test_a_portion_that_is_too_slow_is_begun_again_with_as_many_as_fit():
    own, _, _ = portions()
    taken = own.take([])
    own.too_slow(taken, seconds=120.0)
    assert own.take([]) == taken[:3]  # half of them, less what smaller populations lose
    own.too_slow(taken[:3], seconds=1e6)
    assert own.take([]) == taken[:1]


class Told(Clock):
    """As much time has passed as a test says."""

    seconds = 0.0

    def spent(self) -> float:
        return self.seconds


def time_left(minutes: float | None = None, trials: int = 64) -> list[str]:
    """What is said after each generation of 16, of which the first takes 200 seconds and the others 30."""
    clock, lines, heard = Told(minutes), [], []
    own = Portions(Generations(plan()), clock, Voice(quiet=True), trials)
    for ends in (200.0, 230.0, 260.0, 290.0):
        own.take(lines)
        clock.seconds = ends
        lines += [over(len(lines) + i, 1.0) for i in range(16)]
        heard.append(own.time_left(lines))
    return heard


def test_the_time_left_follows_the_pace_of_the_generations_after_the_first_which_compiles():
    assert time_left() == ["; about 10 minutes left", "; about 1 minute left", "; about 30 seconds left", ""]
    assert time_left(trials=1000)[1:] == [
        "; about 30 minutes left",
        "; about 30 minutes left",
        "; about 30 minutes left",
    ]


def test_no_more_time_is_left_than_was_given():
    assert time_left(minutes=4)[:2] == ["; about 40 seconds left", "; about 10 seconds left"]


@pytest.mark.parametrize(
    ("anew", "work", "heard"),
    [
        (False, 1 + 2 / 3 + 2 / 3, ["; about 25 seconds left", "; about 30 seconds left", ""]),
        (True, 1 + 1 + 1, ["; about 40 seconds left", "; about 30 seconds left", ""]),
    ],
)
def test_where_trials_are_trained_in_parts_the_time_left_follows_how_much_of_a_trial_each_is(
    anew, work, heard
):
    """Nine begin with a ninth, which takes 20 seconds; three go on to a third (30 seconds), one to the end."""
    clock, lines, said = Told(None), [], []
    rungs = ((9, 1, None), (3, 3, 0), (1, 9, 9))
    own = Portions(Generations(plan()), clock, Voice(quiet=True), 9, work, anew=anew)
    for (count, epochs, source), ends in zip(rungs, (20.0, 50.0, 80.0), strict=True):
        own.take(lines)
        clock.seconds = ends
        part = {"share": epochs / 9, "epochs": epochs}
        lines += [
            over(len(lines) + i, 1.0).model_copy(
                update={**part, "source": None if source is None else source + i}
            )
            for i in range(count)
        ]
        said.append(own.time_left(lines))
    assert said == heard


@pytest.mark.parametrize(
    ("later", "heard"),
    [
        # Three go over a third of a trial again, in 90 seconds; 2 / 3 of a trial are left, at a trial in 90 seconds.
        ("go on", "; about 1 minute left"),
        ("begin again", "; about 2 minutes left"),
    ],
)
def test_after_a_search_was_gone_on_with_the_first_portion_counts_what_it_trains_again(later, heard):
    """Nine had a ninth of a trial before; their states are gone, and only theirs."""
    clock = Told(None)
    lines = [part_of_a_trial(i, 1) for i in range(9)]
    anew = later == "begin again"
    work = work_of(Generations(thirds()), 3, anew=anew, known={i: Outcome(i, {}, (0.0,)) for i in range(9)})
    assert work == pytest.approx(3 / 3 + (1.0 if anew else 2 / 3))
    own = Portions(Generations(thirds()), clock, Voice(quiet=True), 9, work, anew=anew, before=lines)
    own.take(lines)
    clock.seconds = 90.0
    lines = [*lines, *(part_of_a_trial(9 + i, 3, source=i) for i in range(3))]
    assert own.time_left(lines) == heard
    own.take(lines)
    clock.seconds = 150.0
    assert own.time_left([*lines, part_of_a_trial(12, 9, source=9)]) == ""


def part_of_a_trial(number: int, epochs: int, source: int | None = None) -> TrialLine:
    return over(number, 1.0).model_copy(update={"share": epochs / 9, "epochs": epochs, "source": source})


def thirds():
    """Nine have a ninth of a trial, three of them go on to a third, one to the end."""
    yield [Candidate(number, {}, 1 / 9) for number in range(9)]
    yield [Candidate(9 + i, {}, 3 / 9, source=i) for i in range(3)]
    yield [Candidate(12, {}, 1.0, source=9)]


def test_where_all_trials_are_whole_those_that_were_over_before_are_no_work():
    clock, lines = Told(None), [over(i, 1.0) for i in range(32)]
    own = Portions(Generations(plan()), clock, Voice(quiet=True), 64, before=lines)
    own.take(lines)
    clock.seconds = 60.0
    assert own.time_left([*lines, *(over(32 + i, 1.0) for i in range(16))]) == "; about 1 minute left"


@pytest.mark.thorough
@pytest.mark.parametrize(("search", "again"), [("pbt", True), ("halving", True), ("halving-folds", False)])
def test_a_search_in_parts_says_what_it_trains_again_when_it_goes_on(search, again, tmp_path, capsys):
    """Scores of folds are in the folder, states of networks are not."""
    settings = {"search": search, "trials": 9, "epochs": 9, "folds": 3, "verbose": 1}
    folder = tmp_path / "study"
    tuned(folder=folder, **settings)
    kept = (folder / "trials.jsonl").read_text().splitlines(keepends=True)
    (folder / "trials.jsonl").write_text("".join(kept[:9]))
    capsys.readouterr()
    tuned(folder=folder, **settings)
    said = " ".join(capsys.readouterr().err.split())
    assert "9 trials are finished already." in said
    assert ("trained from their beginning once more" in said) == again
    tuned(folder=folder, **settings)
    assert "once more" not in capsys.readouterr().err  # it is over


@pytest.mark.parametrize("search", ["halving", "hyperband-folds", "pbt"])
def test_searches_in_parts_say_how_long_they_will_still_take(search, tmp_path, capsys):
    tuned(folder=tmp_path / "study", search=search, trials=9, epochs=9, verbose=1)
    said = [line for line in capsys.readouterr().err.splitlines() if "trials in" in line]
    assert len(said) > 1
    assert all("left" in line for line in said[:-1])
    assert "left" not in said[-1]


def test_ten_is_where_the_best_of_random_trials_gets_a_fair_chance():
    assert pytest.approx(0.40, abs=0.005) == 1 - 0.95**FEWEST
    assert too_few(2, 4.0, 64).count(". ") == 0  # one sentence
    assert "19 %" in too_few(2, 4.0, 64)
    assert "about 5 minutes would allow 10 trials, about 32 all 64" in too_few(2, 4.0, 64)


@pytest.mark.parametrize(("left", "trials", "said"), [(60.0, 64, True), (60.0, 3, False), (6e3, 64, False)])
def test_the_panda_way_is_named_once_where_the_time_allows_too_few(monkeypatch, left, trials, said):
    own, clock, voice = portions(trials=trials)
    clock.seconds = left
    monkeypatch.setattr("caviar.searching.portions.time.monotonic", lambda: 20.0)
    tell = own.forecast([Candidate(0, {})], [], 5, began=0.0)
    tell(1)  # 20 seconds a trial
    tell(2)
    assert len([text for text in voice.told if "caviar panda" in text]) == said


def test_where_trials_are_trained_in_parts_a_budget_allows_what_a_search_of_fewer_would_take(monkeypatch):
    """A ninth of a trial takes 2 seconds, so 84 are worth the 9 settings that take two and a third whole trials."""
    monkeypatch.setattr("caviar.searching.portions.time.monotonic", lambda: 18.0)
    for left, possible in ((24.0, None), (0.0, "about 4 trials")):
        clock, voice = Planted(1.0), Voice(quiet=True)
        told: list[str] = []
        voice.say = lambda text, told=told, **_: told.append(text)
        clock.seconds = left
        own = Portions(Generations(plan()), clock, voice, 9, 1 + 2 / 3 + 2 / 3)
        own.forecast([Candidate(n, {}, epochs=1 / 9) for n in range(9)], [], 5, began=0.0)(9)
        assert (told == []) if possible is None else (possible in told[0])


def test_nothing_is_left_where_a_search_ends_with_fewer_trials_than_allowed(tmp_path, capsys):
    def few(hp):
        model = keras.Sequential([keras.Input((3,)), L.Dense(1, "sigmoid")])
        model.compile(keras.optimizers.Adam(hp.Float("rate", 1e-3, 1e-1)), "binary_crossentropy")
        hp.Boolean("of no use")
        return model

    tuned(few, folder=tmp_path / "study", search="grid", trials=5, epochs=1, verbose=1)
    said = [line for line in capsys.readouterr().err.splitlines() if "trials in" in line]
    assert ["4 trials" in line for line in said] == [True]
    assert "left" not in said[0]


def test_time_that_is_used_up_is_noted_with_what_it_allowed():
    own, _, voice = portions()
    own.out_of_time([over(0, 1.0)])
    assert "used up" in voice.said[0]
    assert "1 minute allows about 1 trial," in voice.said[1]
    own, _, voice = portions()
    own.out_of_time([over(i, 1.0) for i in range(FEWEST)])
    assert len(voice.said) == 1


def two_kinds(hp):
    if hp.Choice("kind", ["plain", "deep"]) == "plain":
        return build(hp)
    build(hp)
    model = keras.Sequential([keras.Input((3,)), L.Dense(2, "relu"), L.Dense(1, "sigmoid")])
    model.compile(keras.optimizers.SGD(0.1), "binary_crossentropy")
    return model


def test_populations_that_were_over_when_the_time_ended_are_kept(tmp_path, monkeypatch):
    """The second population never ends: the trials of the first one stay, and going on trains the others."""

    def cut(bench, recipes, monitor, parts):
        yield next(measure_in_turn(bench, recipes, monitor, parts))
        raise OutOfTime

    monkeypatch.setattr(caviar.searching.generation, "measure_in_turn", cut)
    monkeypatch.setattr("caviar.searching.portions.Portions.put_back", lambda *_: None)
    settings = {"folder": tmp_path / "study", "trials": 6, "epochs": 1, "minutes": 9}
    found = tuned(two_kinds, **settings)
    assert 0 < len(found.lines) < 6
    assert {line.settings["kind"] for line in found.lines} == {"plain"}
    monkeypatch.undo()
    whole = tuned(two_kinds, **settings)
    assert [line.number for line in whole.lines] == list(range(6))
    assert all(line == whole.lines[line.number] for line in found.lines)
    assert all(math.isfinite(line.score[0]) for line in whole.lines)


def test_what_was_over_when_a_generation_was_broken_off_is_not_trained_again(tmp_path, monkeypatch):
    """Trials are on disk as soon as those that train together are over, not when the whole generation is."""
    trained = []

    def counted(bench, recipes, monitor, parts):
        for some in measure_in_turn(bench, recipes, monitor, parts):
            trained.extend(recipes[place].name for place in some)
            yield some

    def broken_off(*arguments):
        yield next(counted(*arguments))
        raise KeyboardInterrupt

    settings = {"folder": tmp_path / "study", "trials": 6, "epochs": 1}
    monkeypatch.setattr(caviar.searching.generation, "measure_in_turn", broken_off)
    with pytest.raises(KeyboardInterrupt):
        tuned(two_kinds, **settings)
    kept = StudyFolder(tmp_path / "study").lines()
    assert 0 < len(kept) < 6
    monkeypatch.setattr(caviar.searching.generation, "measure_in_turn", counted)
    resumed = tuned(two_kinds, **settings)
    assert sorted(trained) == [f"trial-{number}" for number in range(6)], "each of them once"
    monkeypatch.undo()
    whole = tuned(two_kinds, **{**settings, "folder": tmp_path / "whole"})
    assert [line.settings for line in resumed.lines] == [line.settings for line in whole.lines]
    np.testing.assert_allclose(
        [line.score for line in resumed.lines], [line.score for line in whole.lines], atol=1e-5
    )


def test_trials_that_cannot_all_be_over_in_time_are_begun_in_smaller_portions(tmp_path, monkeypatch):
    sizes = []

    def slow(bench, recipes, monitor, parts):
        sizes.append(len(recipes))
        if len(recipes) > 2:
            raise TooSlow(1e5)
        yield from measure_in_turn(bench, recipes, monitor, parts)

    monkeypatch.setattr(caviar.searching.generation, "measure_in_turn", slow)
    found = tuned(folder=tmp_path / "study", trials=3, epochs=1, minutes=9)
    assert sizes[:2] == [3, 1]
    assert [line.number for line in found.lines] == [0, 1, 2]


def test_too_little_time_for_one_trial_stays_an_error(tmp_path):
    with pytest.raises(OptionError, match="one trial"):
        tuned(folder=tmp_path / "study", minutes=1e-6)


@pytest.fixture
def slow_machine(monkeypatch):
    """A clock that training alone moves: a trial takes 3 seconds, whoever is judged on rows kept apart takes 20."""
    seconds = [0.0]
    monkeypatch.setattr(Clock, "spent", lambda _: seconds[0])
    monkeypatch.setattr("caviar.searching.portions.MOST_AT_ONCE", 1)

    def trial(*arguments):
        for arms in measure_in_turn(*arguments):
            seconds[0] += 3.0
            yield arms

    def judged(bench, recipes, **options):
        seconds[0] += 20.0 * len(recipes)
        return measure_all(bench, recipes, **options)

    monkeypatch.setattr(caviar.searching.generation, "measure_in_turn", trial)
    monkeypatch.setattr("caviar.searching.trials.measure_all", judged)
    return seconds


def modest(hp):
    """The defaults hardly learn, so that something else wins."""
    model = keras.Sequential([keras.Input((3,)), L.Dense(1, "sigmoid")])
    rate = hp.Float("rate", 1e-6, 1.0, sampling="log", default=1e-6)
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy")
    return model


@pytest.mark.thorough
def test_judging_on_rows_kept_apart_is_planned_for_and_ends_in_time(tmp_path, slow_machine):
    """The defaults are judged first; the search ends early enough for the best trial to be judged as well."""
    found = tuned(modest, folder=tmp_path / "study", search="pbt", trials=6, epochs=4, minutes=1.5)
    assert 3.0 * len(found.lines) + 2 * 20.0 == slow_machine[0]
    assert 80 < slow_machine[0] <= 90
    assert "used up" in " ".join(found.record.messages)
    assert found.record.gain is not None


@pytest.mark.thorough
def test_without_a_bound_the_whole_search_is_carried_out_and_judged(tmp_path, slow_machine):
    found = tuned(modest, folder=tmp_path / "study", search="halving", trials=3, epochs=3)
    assert len(found.lines) == 4
    assert slow_machine[0] == 3.0 * 4 + 2 * 20.0
