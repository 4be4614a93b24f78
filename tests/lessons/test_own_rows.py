"""Lessons on a person's own table: they run, and say which claims are about their own rows only."""

from importlib import import_module

import numpy as np
import polars as pl
import pytest

import caviar
from caviar.errors import OptionError
from caviar.lessons import mammography
from caviar.lessons.class_weights import balanced
from caviar.lessons.table import LESSONS
from caviar.population.template import sketch
from caviar.recipe.builder import call_with
from caviar.teaching.contract import Data, Lesson
from caviar.teaching.own_rows import changed, on_own_rows
from caviar.teaching.rows import first_rows, holdout
from caviar.teaching.seen import Seen, Training

BY_NAME = {lesson.name: lesson for lesson in LESSONS}
MANY_CLASSES = (
    "softmax",
    "class-weights",
    "ensembles",
    "confidence",
    "batch-normalization-advice",
    "transfer",
    "hierarchical-softmax",
)
CLASSES = {
    "framework": 2,
    "cyclical-rates": 2,
    "range-test": 2,
    "frameworks": 2,
    "backpropagation": 2,
    "early-stopping": 2,
    "panda-or-caviar": 2,
    "schedules": 2,
    "no-technique-helps": 2,
    "hierarchical-softmax": 9,
    "class-weights": 4,
    "softmax": 4,
}
INPUTS = {"hierarchical-softmax": 4}
"""Of a table with three: its class is another, which picks a row's own group in training."""


def table(classes: int, inputs: int = 3, rows: int = 240) -> pl.DataFrame:
    """Clouds around a centre for each class, in the order of their classes."""
    rng = np.random.default_rng(0)
    y = np.sort(np.arange(rows) % classes)
    x = rng.normal(size=(rows, inputs)) + 2 * rng.normal(size=(classes, inputs))[y]
    return pl.DataFrame({f"x{i}": x[:, i] for i in range(inputs)} | {"label": [f"class {k}" for k in y]})


@pytest.mark.thorough
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", CLASSES)
def test_a_lesson_on_another_table_judges_what_is_not_about_its_own_rows(name, tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("caviar.course.lesson"), "QUICK_SHARE", 0.02)
    lesson = BY_NAME[name]
    taught = caviar.lesson(
        name, seeds=2, quick=True, data=table(CLASSES[name]), target="label", out=tmp_path, quiet=True
    )
    elsewhere = [claim for claim in lesson.claims if not claim.only_here]
    assert [line.says for line in taught.record.claims] == [claim.says for claim in elsewhere]
    assert len(taught.record.untold) == len(lesson.claims) - len(elsewhere)
    assert all(np.isfinite(line.estimate.value) for line in taught.record.claims if line.estimate.n > 1)
    assert taught.record.rows.startswith("table, 240 rows")
    assert f"; {INPUTS.get(name, 3)} inputs, " in taught.record.rows
    assert (taught.record.learned, taught.record.reported) == ("", [])


def test_weights_in_inverse_proportion_to_shares_make_classes_count_alike():
    y = np.array([0] * 6 + [1] * 2 + [2])
    weights = balanced(Data("nine rows", np.zeros((9, 1)), y, [], classes=3))
    assert [weights[k] * (y == k).sum() for k in range(3)] == pytest.approx([3, 3, 3])


@pytest.mark.parametrize("name", BY_NAME)
def test_networks_take_rows_of_any_width(name):
    """The first variant of each lesson on seven inputs, and on four classes where its rows have more than two."""
    lesson = BY_NAME[name]
    outputs = 4 if name in MANY_CLASSES else 1
    model = sketch(lambda: call_with(lesson.variants[0].build, 7, outputs))
    if model.built:
        assert model.input_shape == (None, 7)
        assert model.output_shape == (None, outputs)


def test_claims_that_hang_on_own_rows_give_a_reason_that_ends_the_sentence():
    reasons = [claim.only_here for lesson in LESSONS for claim in lesson.claims if claim.only_here]
    assert reasons
    assert not [reason for reason in reasons if reason.endswith(".") or reason[0].isupper()]


def on(name: str, y: np.ndarray, splits: list, classes: int = 2, inputs: int = 3) -> tuple[Lesson, Data]:
    """A lesson on rows that a person has."""
    x = np.random.default_rng(3).normal(5, 20, size=(len(y), inputs))
    return on_own_rows(BY_NAME[name], Data("a table", x, y, splits, classes, is_own=True))


def test_schedules_reach_the_same_rates_in_the_same_epochs_whatever_the_rows():
    """On 100 training rows, 4 updates an epoch, and on the lesson's own 500, 16 updates."""

    def rates(lesson: Lesson, updates: int) -> dict[str, list[float]]:
        builds = {one.name: one.build for one in lesson.variants}
        schedules = {
            name: call_with(builds[name], 3, 1).optimizer._learning_rate for name in ("step", "exponential")
        }
        return {
            name: [float(schedule(epoch * updates)) for epoch in (0, 74, 75, 150, 299)]
            for name, schedule in schedules.items()
        }

    mine, _ = on("schedules", np.arange(150) % 2, first_rows(150, 100))
    wanted = rates(BY_NAME["schedules"], 16)
    assert wanted["step"] == pytest.approx([0.01, 0.01, 0.005, 0.0025, 0.00125])
    for name, some in rates(mine, 4).items():
        assert some == pytest.approx(wanted[name])


@pytest.mark.thorough
@pytest.mark.parametrize("rows", [40, 147])
def test_the_numbers_of_batches_and_epochs_are_worked_out_for_a_persons_rows(rows, tmp_path):
    """Of 40 and 147 rows two thirds are trained on, 26 and 98; 98 fill batches of 7, so that 8 leave rows over."""
    taught = caviar.lesson(
        "batch-and-epoch",
        seeds=2,
        quick=True,
        data=table(2, rows=rows),
        target="label",
        out=tmp_path,
        quiet=True,
    )
    said = {40: ("26 rows in batches of 5 are 6", "26 rows in batches of 7 end with a batch of 5")}
    said[147] = ("98 rows in batches of 5 are 20", "98 rows in batches of 8 end with a batch of 2")
    for words in said[rows]:
        assert any(words in claim.says for claim in taught.record.claims)
    assert [claim.verdict for claim in taught.record.claims[:4]] == ["holds"] * 4


def test_questions_on_batches_have_one_right_answer_whatever_the_rows():
    for rows in (5, 25, 40, 1000, 20_000):
        mine, _ = on("batch-and-epoch", np.arange(rows + 10) % 2, first_rows(rows + 10, rows))
        question = mine.questions[0]
        assert len(set(question.options)) == len(question.options) >= 2
        epochs = mine.variants[0].epochs
        assert question.options[question.right[0]] == f"{epochs * -(-rows // 5):,}"
        assert epochs * -(-rows // 5) == pytest.approx(40_000, rel=0.05)


@pytest.mark.thorough
def test_features_of_the_frequent_half_of_a_persons_classes_are_carried_to_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("caviar.course.lesson"), "QUICK_SHARE", 0.02)
    rows = (
        table(5, rows=200)
        .with_row_index()
        .filter((pl.col("label") != "class 1") | (pl.col("index") % 2 == 0))
    )
    taught = caviar.lesson(
        "transfer", seeds=2, quick=True, data=rows.drop("index"), target="label", out=tmp_path, quiet=True
    )
    assert "many of 2 classes and then five of each of 3 others" in taught.record.rows
    assert len(taught.record.claims) == 4
    assert not [claim.says for claim in taught.record.claims if "digit" in claim.says + claim.about]
    assert not [question.asks for question in taught.record.questions if "digit" in question.asks]
    assert len(taught.record.untold) == 2


@pytest.mark.thorough
def test_several_targets_are_judged_in_their_own_units(tmp_path, monkeypatch):
    """One target is a thousand times as large as the other; their errors count alike, as shares of what means make."""
    monkeypatch.setattr(import_module("caviar.course.lesson"), "QUICK_SHARE", 0.2)
    rng = np.random.default_rng(0)
    x = rng.normal(50, 3, size=(60, 2))
    frame = pl.DataFrame(
        {"a": x[:, 0], "b": x[:, 1], "large": 1000 * x.sum(axis=1), "small": x[:, 0] - x[:, 1]}
    )
    taught = caviar.lesson(
        "multi-output", seeds=2, quick=True, data=frame, target=["large", "small"], out=tmp_path, quiet=True
    )
    said = {claim.says: claim for claim in taught.record.claims}
    assert said["A prediction has 2 values."].verdict == "holds"
    better = said[
        "One network with a linear output for each target predicts them better than their means do."
    ]
    assert 0 < better.estimate.value < 1
    assert "60 rows with 2 quantities to predict; 2 inputs, 30 folds" in taught.record.rows
    assert not [claim.says for claim in taught.record.claims if " 8 " in claim.says or " 8.2" in claim.about]
    assert len(taught.record.untold) == 5


@pytest.mark.thorough
def test_the_rarer_class_of_a_persons_table_counts_as_positive(tmp_path, monkeypatch):
    """Of 90 rows 60 are of the class that comes last by its name, which would count as 1 otherwise."""
    monkeypatch.setattr(import_module("caviar.course.lesson"), "QUICK_SHARE", 0.02)
    rows = table(3, rows=90).with_columns(
        pl.col("label").replace({"class 1": "class 2"}), same=pl.lit(7.0)
    )  # a column that does not vary has no skewness
    taught = caviar.lesson(
        "mammography", seeds=2, quick=True, data=rows, target="label", out=tmp_path, quiet=True
    )
    assert "90 rows, 30 of them positive; 4 inputs" in taught.record.rows
    skill = taught.record.claims[0]
    assert (skill.says, skill.verdict) == ("An accuracy of 66.667 % or less has no skill.", "holds")
    assert [claim.expects for claim in taught.record.claims if "beats the answer" in claim.says] == [
        "above 0.667"
    ]
    assert len([figure for figure in taught.record.figures if figure.title.startswith("Column")]) == 4
    assert all(np.isfinite(claim.estimate.value) for claim in taught.record.claims)
    assert len(taught.record.untold) == 2


def test_a_fold_for_each_row_of_a_class_is_the_least_that_mammography_needs():
    y = np.array([0] * 40 + [1] * 9)
    with pytest.raises(OptionError, match=r"10 rows or more of each class.*got 9"):
        on("mammography", y, holdout(y, 0.5, 1, stratify=True))


def test_folds_are_compared_with_a_holdout_in_its_standard_errors():
    """Accuracy 0.8 of 400 held-out rows has a standard error of 0.02; folds that are 0.03 better are 1.5 of them."""
    y = np.zeros(800, int)
    splits = first_rows(800, 400)
    outputs = [[np.array([[0.9]] * wrong + [[0.1]] * (400 - wrong))] for wrong in (80, 80, 40)]
    training = Training(mammography.RAW, {}, {"test": outputs, "train": []}, splits, [], 1.0, 0.0)
    values = {"folds accuracy": np.array([[0.82, 0.84], [0.8, 0.8]])}
    seen = Seen(Data("a table", y[:, None], y, splits), (1, 2, 3), {"raw": training}, values)
    assert mammography.beside_holdout(seen) == pytest.approx([1.5, 0.0], abs=0.02)


def test_tables_whose_target_is_of_another_kind_are_refused_in_a_sentence(tmp_path):
    for name, data, options, sentence in (
        ("multi-output", "sample:diabetes", {}, "several quantities.*got one quantity. Name each of them"),
        (
            "multi-output",
            table(2, rows=12),
            {"target": ["x0", "x1"], "drop": ["label"]},
            "rows enough to be split.*got 12 in all. Add rows.$",
        ),
        ("schedules", "sample:iris", {"target": [0, 1]}, "two classes.*got several quantities"),
        ("hierarchical-softmax", table(9, rows=18), {}, "every class enough.*got 18 in all.*merge rare"),
    ):
        with pytest.raises(OptionError, match=sentence):
            caviar.lesson(name, data=data, **options, out=tmp_path, quiet=True)


@pytest.mark.parametrize(
    ("name", "sizes", "why"),
    [
        ("transfer", [30, 30, 30], "four classes or more.*got 3"),
        ("transfer", [30, 30, 30, 19], "20 rows or more of each.*with 19"),
        ("hierarchical-softmax", [30] * 8, "9 classes or more.*got 8"),
    ],
)
def test_classes_that_are_too_few_or_too_small_are_refused_in_a_sentence(name, sizes, why):
    y = np.repeat(np.arange(len(sizes)), sizes)
    with pytest.raises(OptionError, match=why):
        on(name, y, holdout(y, 0.3, 0, stratify=True), classes=len(sizes))


def test_a_claim_that_is_changed_for_other_rows_must_be_one_of_the_lessons():
    with pytest.raises(OptionError, match="claim that says “Nothing"):
        changed(BY_NAME["schedules"].claims, {"Nothing.": {"about": "no measure"}})


def test_techniques_are_compared_over_as_many_updates_and_few_enough_products():
    """640 training rows make batches of 20; products of two are tried where those of three are more than 2,000."""
    for inputs, width in ((4, 14), (22, 1793), (23, 276), (62, 1953)):
        mine, rows = on("no-technique-helps", np.arange(960) % 2, first_rows(960, 640), inputs=inputs)
        by_name = {one.name: one for one in mine.variants}
        assert (by_name["base"].batch_size, by_name["batch"].batch_size) == (20, 4)
        assert by_name["products"].prepare().fit(rows.x).transform(rows.x[:2]).shape == (2, width)
    assert "products of two of your" in mine.why
    for inputs in (1, 63):
        with pytest.raises(OptionError, match=f"2 to 62 inputs.*got {inputs}"):
            on("no-technique-helps", np.arange(90) % 2, first_rows(90, 60), inputs=inputs)
