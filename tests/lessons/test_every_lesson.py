"""What every lesson of the course must be: it runs, its measures are per seed, and it stands in the catalogue."""

import os
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import typer

from caviar.command.main import app
from caviar.course.lesson import SEEDS as IN_FULL
from caviar.errors import DataError
from caviar.evaluate.claims import judge
from caviar.lessons import framework
from caviar.lessons.table import BY_COMMAND, LESSONS
from caviar.population.job import Monitor
from caviar.teaching.contract import Lesson, Match, Winner
from caviar.teaching.found import LEVEL
from caviar.teaching.seen import Seen
from caviar.teaching.taught import teach

BY_NAME = {lesson.name: lesson for lesson in LESSONS}
TABLES = os.environ.get("CAVIAR_DATA")
SEEDS = (1, 2)
TOGETHER = {"framework": framework.TOGETHER}
"""Seeds of which a lesson makes one truth; of fewer it makes one, too."""


@cache
def seen(name: str) -> Seen:
    """A lesson of two seeds and a fiftieth of its epochs."""
    lesson = BY_NAME[name]
    try:
        data = None if lesson.data is None else lesson.data(Path(TABLES) if TABLES else None)
    except DataError:
        if TABLES:
            raise
        pytest.skip("its table is not here, and CAVIAR_DATA names no folder that has it")
    return teach(lesson, data, SEEDS, Path(TABLES) if TABLES else None, Monitor(), share=0.02)


def test_names_are_taken_once_and_can_be_typed():
    assert len(BY_NAME) == len(LESSONS)
    assert all(name.replace("-", "").isalnum() and name == name.lower() for name in BY_NAME)


@pytest.mark.thorough
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", BY_NAME)
def test_measures_are_numbers_per_seed_or_free_of_chance(name):
    lesson = BY_NAME[name]
    evidence = seen(name)
    for claim in lesson.claims:
        values = np.asarray(claim.measure(evidence))
        assert values.ndim <= 1, claim.says
        estimate, verdict = judge(values, claim.holds)
        assert verdict in {"holds", "does not hold", "cannot be told"}
        assert estimate.n >= 1
    for reported in lesson.reported:
        assert np.asarray(reported.measure(evidence)).ndim <= 1, reported
    for question in lesson.questions:
        if isinstance(question, Winner):
            for variant in question.among or [v.name for v in lesson.variants]:
                assert question.measure(evidence, variant).shape == (len(evidence.seeds),)
        if isinstance(question, Match):
            assert all(evidence.log(variant, question.log).ndim == 2 for variant in question.among)
    for figure in lesson.figures(evidence) if lesson.figures else ():
        assert figure.title


def truths_in_full(lesson: Lesson, here: int) -> int:
    """Truths of a claim in a full run, by how many two seeds have: one per seed, per group of seeds, or per timing."""
    if lesson.name in TOGETHER:
        return IN_FULL // TOGETHER[lesson.name]
    return IN_FULL if here == len(SEEDS) else here


@pytest.mark.thorough
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", BY_NAME)
def test_truths_that_all_agree_decide_a_claim(name):
    """All true and all false are both told; where a threshold is an end of the shares, at least one of them is."""
    lesson = BY_NAME[name]
    measured = [np.asarray(claim.measure(seen(name))) for claim in lesson.claims]
    level = 1 - (1 - LEVEL) / max(1, sum(values.ndim > 0 for values in measured))
    for claim, values in zip(lesson.claims, measured, strict=True):
        if values.ndim == 0 or values.dtype != bool:
            continue
        n = truths_in_full(lesson, values.size)
        told = [
            judge(np.full(n, truth), claim.holds, level)[1] != "cannot be told" for truth in (True, False)
        ]
        is_an_end = not {claim.holds.low, claim.holds.high}.isdisjoint({0.0, 1.0})
        assert any(told) if is_an_end else all(told), f"{claim.says} ({n} truths)"


@pytest.mark.thorough
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", BY_NAME)
def test_variants_train_as_a_population(name):
    alone = {v: training.alone for v, training in seen(name).trainings.items() if training.alone}
    assert not alone


def test_every_lesson_says_what_it_tries_and_asks_the_learner():
    for lesson in LESSONS:
        assert lesson.why, lesson.name
        assert lesson.claims, lesson.name
        assert lesson.questions, lesson.name
        assert all(claim.about and claim.says.endswith(".") for claim in lesson.claims), lesson.name


def test_every_claim_of_the_catalogue_is_decided_or_it_is_said_why_not(catalogue):
    """Each claim of each record stands in exactly the lessons that cover the record."""
    decided = Counter(of for lesson in LESSONS for claim in lesson.claims for of in claim.of)
    excused = {one.of for lesson in LESSONS for one in lesson.untold}
    for record in catalogue:
        if not any(record["id"] in lesson.covers for lesson in LESSONS):
            continue  # whether every record is covered is another test's question
        for number, claim in enumerate(record["claims"]):
            name = f"{record['id']}/{number}"
            assert decided[name] or name in excused or record["id"] in excused, (name, claim["statement"])


def test_every_record_of_the_catalogue_has_its_lesson_or_its_command(catalogue):
    commands = typer.main.get_command(app).commands
    covered = {of for lesson in LESSONS for of in lesson.covers}
    assert not covered & set(BY_COMMAND)
    assert {record["id"] for record in catalogue} == covered | set(BY_COMMAND)
    for named in BY_COMMAND.values():
        assert {command.split()[1] for command in named} <= set(commands)


def test_every_accuracy_and_error_that_was_reported_stands_in_a_lesson(catalogue):
    """Those of readers' own rows do not: nobody has these rows."""
    ours = Counter(one.of for lesson in LESSONS for one in lesson.reported)
    excused = {one.of for lesson in LESSONS for one in lesson.untold}
    for record in catalogue:
        numbers = [
            one
            for one in record["reported_results"]
            if isinstance(one["value"], int | float) and "own data" not in one.get("note", "")
        ]
        if numbers and record["id"] not in excused and record["id"] not in BY_COMMAND:
            assert ours[record["id"]] >= 1, record["id"]


def names(lesson: Lesson) -> set[str]:
    of = [of for claim in lesson.claims for of in claim.of] + [one.of for one in lesson.reported]
    return {one.split("/")[0] for one in [*of, *(one.of for one in lesson.untold)]}


def test_lessons_name_records_that_there_are(catalogue):
    known = {record["id"]: len(record["claims"]) for record in catalogue}
    for lesson in LESSONS:
        assert set(lesson.covers) <= set(known), lesson.name
        assert names(lesson) <= set(known), lesson.name
        for claim in lesson.claims:
            for of in claim.of:
                record, number = of.split("/")
                assert int(number) < known[record], (lesson.name, of)
