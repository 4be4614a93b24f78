"""A lesson is run, judged, kept, shown, asked about and changed."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import caviar
from caviar.command.main import app
from caviar.course import edited
from caviar.course.ask import ask, named
from caviar.course.taken import remember, taken
from caviar.errors import OptionError, RunError
from caviar.evaluate.claims import above, below, between, exactly, judge
from caviar.lessons.table import LESSONS
from caviar.population.job import Monitor
from caviar.report.lesson import course_page, lesson_page
from caviar.run.lesson import LessonRecord, QuestionLine, read_lesson, tally, write_lesson
from caviar.teaching.contract import Bars
from caviar.teaching.found import make_record
from caviar.teaching.seen import classes
from caviar.teaching.taught import teach
from tests.lessons.small import LESSON, rows

SMALL = Path(__file__).with_name("small.py")


@pytest.fixture(scope="module")
def seen():
    return teach(LESSON, rows(), list(range(1, 21)), None, Monitor())


@pytest.fixture(scope="module")
def record(seen) -> LessonRecord:
    return make_record(LESSON, seen, key="k", is_own=False, share=1.0, seconds=2.0, fit_seconds=50.0)


def test_claims_come_out_as_they_were_planted(record):
    assert [claim.verdict for claim in record.claims] == ["holds", "does not hold", "holds"]
    assert record.level == pytest.approx(1 - 0.05 / 2)  # two of the three are left to chance
    assert tally([record]) == {"holds": 2, "does not hold": 1, "cannot be told": 0}


def test_a_member_of_a_lesson_is_what_fit_makes_of_it(seen):
    import keras

    data = rows()
    keras.utils.set_random_seed(2)
    model = LESSON.variants[0].build(2)
    train, test = data.splits[0]
    y = data.y[:, None].astype(np.float32)
    logs = model.fit(
        data.x[train], y[train], batch_size=8, epochs=30, validation_data=(data.x[test], y[test]), verbose=0
    ).history
    for name in ("loss", "val_loss", "val_accuracy"):
        np.testing.assert_allclose(seen.log("moving", name)[1], logs[name], rtol=1e-4)
    kept = seen.model("moving", seed=1)
    np.testing.assert_allclose(kept.predict(data.x, verbose=0), model.predict(data.x, verbose=0), rtol=1e-4)


def test_a_reported_number_lies_inside_our_distribution_or_not(record):
    first, second = record.reported
    assert first.low <= first.middle <= first.high
    assert (first.inside, second.inside) == (True, False)


def test_answers_follow_from_the_evidence(record):
    winner, match, choice, naming = record.questions
    assert winner.right == [0]
    assert sorted(match.right) == [0, 1]
    assert match.figure is not None
    falling = match.figure.series[match.right.index(0)].values
    assert falling[-1] < 0.8 * falling[0]
    assert choice.right == [1]
    assert naming.wanted == 1


@pytest.mark.parametrize(
    ("place", "typed", "right"),
    [
        (0, ["1"], True),
        (0, ["2"], False),
        (0, ["rubbish"], False),
        (2, ["2"], True),
        (3, ["adam"], True),
        (3, ["x"], False),
    ],
)
def test_an_answer_is_right_or_not(record, place, typed, right):
    said = []
    answers = iter(typed)
    assert ask(record.questions[place], lambda _: next(answers), said.append) is right
    assert said[-1].startswith("Right." if right else "Not quite.")


@pytest.mark.parametrize(
    ("typed", "right"),
    [("1, 3", True), ("3 1", True), ("1", False), ("1, 2, 3", False), ("1, x, 3", False), ("", False)],
)
def test_of_a_choice_every_right_option_is_wanted(record, typed, right):
    """And the learner is told how many there are."""
    line = record.questions[2].model_copy(update={"options": ["a", "b", "c"], "right": [0, 2]})
    assert line.is_every_wanted
    prompts, said = [], []
    assert ask(line, lambda prompt: prompts.append(prompt) or typed, said.append) is right
    assert "2 numbers" in prompts[0]
    assert "“a”, “c”" in said[-1]


@pytest.mark.parametrize(("typed", "right"), [("1", True), ("2", True), ("3", False), ("", False)])
def test_of_those_that_win_alike_any_is_right(record, typed, right):
    """So it is in records that were written before this was asked."""
    line = record.questions[0].model_copy(update={"options": ["a", "b", "c"], "right": [0, 1]})
    old = line.model_dump(exclude={"is_every_wanted"})
    for one in (line, QuestionLine.model_validate(old)):
        prompts = []
        assert ask(one, lambda prompt, seen=prompts: seen.append(prompt) or typed, lambda _: None) is right
        assert "a number" in prompts[0]


def test_curves_are_matched_one_by_one(record):
    question = record.questions[1]
    answers = iter(str(place + 1) for place in question.right)
    assert ask(question, lambda _: next(answers), lambda _: None)
    answers = iter(str(2 - place) for place in question.right)
    assert not ask(question, lambda _: next(answers), lambda _: None)


def test_one_name_in_two_spellings_counts_once():
    accepted = {"early stopping": ["earlystopping"], "dropout": []}
    assert named(["Early-Stopping", "early stopping", "EarlyStopping"], accepted) == 1


@pytest.mark.parametrize(
    ("values", "expectation", "verdict"),
    [
        (np.array([1.0, 1.1, 0.9]), above(0), "holds"),
        (np.array([1.0, 1.1, 0.9]), below(0), "does not hold"),
        (np.array([1.0, -1.1, 0.2]), above(0), "cannot be told"),
        (np.array([0.001, -0.001, 0.0]), between(-0.01, 0.01), "holds"),
        (np.array([0.5, 0.51, 0.49]), between(-0.01, 0.01), "does not hold"),
        (np.array([np.nan, 1.0, 1.0]), above(0), "cannot be told"),
        (np.array([np.inf, 1.0, 1.0]), above(0), "cannot be told"),
        (np.zeros(5), above(0), "does not hold"),
        (np.ones(30, bool), above(0.5), "holds"),
        (np.zeros(30, bool), above(0.5), "does not hold"),
        (True, above(0), "holds"),
        (False, above(0), "does not hold"),
        (40, exactly(40), "holds"),
        (41, exactly(40), "does not hold"),
        (float("nan"), exactly(40), "cannot be told"),
        (np.array([1.0]), above(0), "cannot be told"),
    ],
)
def test_a_verdict_follows_from_an_interval(values, expectation, verdict):
    assert judge(values, expectation)[1] == verdict


def test_outputs_are_probabilities_logits_or_one_per_class():
    assert classes(np.array([[0.1], [0.9]])).tolist() == [0, 1]
    assert classes(np.array([[-0.1], [0.4]])).tolist() == [0, 1]
    assert classes(np.array([[0.1, 0.2, 0.7]])).tolist() == [2]


def test_what_was_found_is_kept_and_read_again(record, tmp_path):
    write_lesson(tmp_path, record)
    assert read_lesson(tmp_path) == record
    assert read_lesson(tmp_path / "other") is None
    (tmp_path / "lesson.json").write_text("{", encoding="utf-8")
    with pytest.raises(RunError, match="run the lesson again"):
        read_lesson(tmp_path)


def test_pages_say_every_verdict_and_escape_what_they_show(record):
    line = record.claims[0].model_copy(update={"says": "<script>alert(1)</script>."})
    page = lesson_page(record.model_copy(update={"claims": [line, *record.claims[1:]]}))
    assert "<script>alert(1)" not in page
    tags = re.findall(r'<span class="tag \w+">([^<]*)</span>', page)
    assert tags == [claim.verdict for claim in record.claims]
    assert "25.0 times as long" in page or "25 times as long" in page
    whole = course_page([record, record.model_copy(update={"name": "again"})])
    assert "6 claims" in whole
    assert "4 hold, 2 do not" in whole


def test_outliers_do_not_make_a_histogram_of_millions_of_bars(seen):
    """A thousand values near 0 and one of a billion would have a bar for each tenth."""
    values = np.append(np.random.default_rng(0).normal(size=1000), 1e9)
    one = replace(LESSON, figures=lambda _: (Bars("Values", {"a": values}, "value"),))
    drawn = make_record(one, seen, key="k", is_own=False, share=1.0, seconds=2.0, fit_seconds=None).figures[
        -1
    ]
    assert len(drawn.edges) == 1001
    assert sum(drawn.counts["a"]) == 1001


def test_taking_a_lesson_is_remembered(tmp_path):
    place = tmp_path / "lessons.json"
    assert taken(place) == {}
    remember("small", 1, 4, place)
    remember("small", 3, 4, place)
    assert (taken(place)["small"].times, taken(place)["small"].right) == (2, 3)
    place.write_text("[]", encoding="utf-8")
    with pytest.raises(RunError, match="Delete"):
        taken(place)


def test_of_the_course_only_its_own_lessons_count_as_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("one-of-my-own", "dropout"):
        remember(name, 1, 4)
    for options in ([], ["--progress"]):
        done = CliRunner().invoke(app, ["lesson", "--out", str(tmp_path), *options])
        assert done.exit_code == 0, done.output
        assert f"1 of {len(LESSONS)} taken" in done.output
        assert "1 of 4 right" in done.output


def test_a_changed_lesson_is_run_from_its_file_and_is_not_run_twice(tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text(SMALL.read_text(encoding="utf-8").replace("epochs=30", "epochs=4"), encoding="utf-8")
    out = tmp_path / "out"
    taught = caviar.lesson(str(mine), seeds=2, out=out, quiet=True)
    assert taught.record.figures[0].x[-1] == 4
    assert (taught.path / "report.html").is_file()
    assert taught.record.fit_seconds > 0
    again = caviar.lesson(str(mine), seeds=2, out=out, quiet=True)
    assert again.record == taught.record
    assert (taught.is_kept, again.is_kept) == (False, True)
    assert "iframe" in again._repr_html_()
    more = caviar.lesson(str(mine), seeds=3, out=out, quiet=True)
    assert more.record.seeds == 3


def test_a_lesson_runs_on_a_persons_own_table(tmp_path):
    rng = np.random.default_rng(1)
    table = tmp_path / "own.csv"
    x = rng.normal(size=(80, 3))
    lines = [f"{a},{b},{c},{'yes' if a > 0 else 'no'}" for a, b, c in x]
    table.write_text("a,b,c,answer\n" + "\n".join(lines), encoding="utf-8")
    taught = caviar.lesson(str(SMALL), seeds=2, data=str(table), out=tmp_path, quiet=True)
    assert taught.record.is_own
    assert taught.record.reported == []
    assert "80 rows" in taught.record.rows
    assert taught.record.claims[0].estimate.value > 0


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": "nowhere"}, "There are|There is"),
        ({"name": str(SMALL), "seeds": 0}, "--seeds"),
        ({"name": str(SMALL), "seeds": True}, "--seeds"),
        ({"name": str(SMALL), "target": "a"}, "--data"),
        ({"name": str(SMALL), "data": "sample:iris"}, "two classes"),
        ({"name": str(SMALL), "data": "sample:diabetes"}, "two classes"),
        ({"name": str(SMALL.with_name("conftest.py"))}, "LESSON"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(given, sentence, tmp_path):
    with pytest.raises(OptionError, match=sentence):
        caviar.lesson(**given, out=tmp_path, quiet=True)


def test_a_file_is_never_replaced_unasked(tmp_path, monkeypatch):
    monkeypatch.setattr(edited, "find_lesson", lambda _: (LESSON, "text"))
    path = edited.edit("small", tmp_path)
    assert path.read_text(encoding="utf-8") == "text"
    with pytest.raises(OptionError, match="--force"):
        edited.edit("small", tmp_path)
    edited.edit("small", tmp_path, force=True)


@pytest.mark.thorough
def test_the_command_runs_without_a_terminal_and_asks_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "caviar", "lesson", str(SMALL), "--seeds", "2", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    assert "Two and two are four." in done.stdout
    assert "holds" in done.stdout
    assert "Your answer" not in done.stdout
    bad = subprocess.run(
        [sys.executable, "-m", "caviar", "lesson", "--edit"], capture_output=True, text=True, check=False
    )
    assert bad.returncode == 2
    assert bad.stderr.startswith("caviar: Expected the name of a lesson")
