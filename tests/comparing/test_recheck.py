"""Facts about rechecks: recipes come out as they were, planted truths are told, and nothing is written over."""

import importlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import caviar
from caviar.comparing.decided import Decision
from caviar.comparing.recheck import _new_rows, moved_columns, standing
from caviar.data.load import load, load_again
from caviar.estimate import Estimate
from caviar.remedies.table import REMEDIES
from caviar.report.recheck import difference_rows, render, score_rows
from caviar.run.rechecked import RecheckRecord
from caviar.run.record import ComparisonRecord, MetricRecord, PlanRecord
from caviar.run.studies import CompareRecord, RecipeScore, Scale, TableFacts
from caviar.searching.tune import tune_table
from tests.command.conftest import caviar as command

__all__ = ["command"]  # the fixture

PLAN = {"folds": 5, "repeats": 2}


def rows(n: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> pl.DataFrame:
    """A label that follows from `a`, which may be measured in other units; `b`, which may be shifted; and a color."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    label = np.where(x[:, 0] + 0.5 * rng.normal(size=n) > 0, "yes", "no")
    color = rng.choice(["r", "g", "b"], n)
    return pl.DataFrame({"a": scale * x[:, 0], "b": shift + x[:, 1], "color": color, "label": label})


def slow(n_inputs: int, n_outputs: int):
    """Its rate is too low for inputs of spread 1, and as high as can be for inputs of spread 100."""
    import keras

    model = keras.Sequential([keras.Input((n_inputs,)), keras.layers.Dense(n_outputs, "sigmoid")])
    model.compile(keras.optimizers.SGD(0.02), "binary_crossentropy")
    return model


def asking(hp, n_inputs: int, n_outputs: int):
    import keras

    model = keras.Sequential([keras.Input((n_inputs,)), keras.layers.Dense(n_outputs, "sigmoid")])
    rate = hp.Float("rate", 0.001, 0.5, sampling="log", default=0.005)
    model.compile(keras.optimizers.SGD(rate), "binary_crossentropy")
    return model


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A run of `improve` on old.csv, which chose a higher rate."""
    folder = tmp_path_factory.mktemp("recheck")
    rows(300, 0).write_csv(folder / "old.csv")
    names = {"higher-rate", "lower-rate", "costly-classes"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        tried = tuple(replace(one, on_demand=False) for one in REMEDIES if one.name in names)
        patch.setattr(importlib.import_module("caviar.improving.work"), "REMEDIES", tried)
        caviar.improve("old.csv", "label", model=slow, epochs=15, **PLAN, out="run", quiet=True)
    return folder


@pytest.fixture
def recheck(home, monkeypatch):
    monkeypatch.chdir(home)

    def run(data: pl.DataFrame, **options):
        return caviar.recheck("run", data, **{"model": slow, "quiet": True, **PLAN} | options)

    return run


@pytest.mark.thorough
def test_on_the_runs_own_table_every_recipe_scores_what_it_scored_in_the_run(recheck, home):
    found = recheck(pl.read_csv(home / "old.csv"))
    run = caviar.open_run("run").record
    before = {arm.title: arm.scores["log-loss"].value for arm in (run.baseline, *run.trial.arms)}
    now = {one.name.removesuffix(", as it was"): one.score.value for one in found.record.recipes}
    assert now == pytest.approx(before, abs=1e-6)
    assert len(now) == 4, "costly classes too, which go by the errors that the run's baseline made"
    assert found.record.verdict == "stands"
    assert "the run's table itself" in found.record.drift


@pytest.mark.thorough
def test_on_new_rows_of_the_same_source_the_choice_stands_and_no_column_is_named(recheck, home):
    kept = {path.name: path.read_bytes() for path in (home / "run").iterdir() if path.is_file()}
    found = recheck(rows(300, 1))
    assert (found.record.verdict, found.stands, found.moved) == ("stands", True, [])
    assert "still helps" in found.record.sentence
    assert json.loads(found.path.read_text())["verdict"] == "stands"
    assert found.record.sentence in found.page.read_text()
    again = recheck(rows(300, 1).with_columns(extra=pl.lit(1)), runners_up=0)
    assert again.path != found.path
    assert "'extra' is left out, because the run's table had no such column." in again.record.messages
    assert {name: (home / "run" / name).read_bytes() for name in kept} == kept, "nothing was written over"


@pytest.mark.thorough
def test_a_shifted_column_is_named_and_a_choice_that_has_become_harmful_is_told(recheck):
    shifted = recheck(rows(300, 2, shift=1.0))
    assert (shifted.record.verdict, shifted.moved) == ("stands", ["b"])
    large = recheck(rows(1000, 3, scale=100.0))
    assert (large.record.verdict, large.stands, large.moved) == ("does not stand", False, ["a"])
    assert "now harms" in large.record.sentence
    assert "as it was is better" in large.record.sentence


@pytest.mark.thorough
def test_a_builder_that_only_python_knew_must_be_given_again(recheck):
    with pytest.raises(caviar.CaviarError, match="'slow'"):
        recheck(rows(100, 1), model=None)


@pytest.mark.thorough
def test_a_search_is_rechecked_with_its_defaults_and_the_best_of_the_others(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    rows(200, 0).write_csv("old.csv")
    Path("mine.py").write_text(
        "import keras\n\ndef build(hp, n_inputs, n_outputs):\n"
        "    model = keras.Sequential([keras.Input((n_inputs,)), keras.layers.Dense(n_outputs, 'sigmoid')])\n"
        "    rate = hp.Float('rate', 0.001, 0.5, sampling='log', default=0.001)\n"
        "    model.compile(keras.optimizers.SGD(rate), 'binary_crossentropy')\n    return model\n"
    )
    made = {"model": "mine.py:build", "trials": 6, "epochs": 10, "out": "s", "quiet": True}
    searched = tune_table("old.csv", "label", folds=5, repeats=2, **made)
    found = caviar.recheck("s", "old.csv", quiet=True, **PLAN)
    before = {line.number: line.score[0] for line in searched.lines}
    now = {int(one.name.split()[1].rstrip(",")): one.score.value for one in found.record.recipes}
    assert found.record.chosen == f"trial {searched.record.best}"
    assert found.record.own == "trial 0, the defaults"
    assert len(now) == 5
    assert now == pytest.approx({number: before[number] for number in now}, abs=1e-6)
    rows(200, 5, shift=1).write_csv("new.csv")
    ended = command("recheck", tmp_path / "s", "--data", tmp_path / "new.csv", "--old", tmp_path / "old.csv",
                    "--folds", 5, "--repeats", 2, "--runners-up", 1)  # fmt: skip
    assert ended.status == 0, ended.err
    assert "in the run)" in ended.out
    assert "b (middle half" in " ".join(ended.out.split())


MODELS = """
import keras

def _made(n_inputs, n_outputs, rate):
    model = keras.Sequential([keras.Input((n_inputs,)), keras.layers.Dense(n_outputs, "sigmoid")])
    model.compile(keras.optimizers.SGD(rate), "binary_crossentropy")
    return model

def build(hp, n_inputs, n_outputs):
    hp.Int("units", 1, n_inputs)
    return _made(n_inputs, n_outputs, hp.Float("rate", 0.001, 0.5, sampling="log"))

def other(hp, n_inputs, n_outputs):
    hp.Float("drop", 0.0, 0.5)
    return _made(n_inputs, n_outputs, hp.Float("rate", 0.001, 0.5, sampling="log"))

def wider(hp, n_inputs, n_outputs):
    hp.Int("units", 1, n_inputs)
    return _made(n_inputs, n_outputs, hp.Float("rate", 0.001, 0.9, sampling="log"))
"""


@pytest.mark.thorough
def test_after_a_search_of_a_table_a_builder_of_another_space_is_refused(tmp_path, monkeypatch, command):
    """The builder itself is taken on rows with gaps too, where its networks have more inputs."""
    monkeypatch.chdir(tmp_path)
    rows(100, 0).write_csv("old.csv")
    Path("mine.py").write_text(MODELS)
    made = {"trials": 3, "epochs": 2, "folds": 3, "quiet": True}
    tune_table("old.csv", "label", model="mine.py:build", out="s", **made)
    tune_table("old.csv", "label", out="plain", **made)
    gaps = rows(100, 1).with_columns(a=pl.when(pl.col("b") < 1).then(pl.col("a")))
    for run, model, word in (
        ("s", "other", "'units' is gone"),
        ("s", "wider", "'rate' to be 0.5"),
        ("plain", "other", "is gone"),
    ):
        with pytest.raises(caviar.CaviarError, match=word):
            caviar.recheck(run, gaps, model=f"mine.py:{model}", quiet=True)
    found = caviar.recheck("s", gaps, model="mine.py:build", folds=3, repeats=1, quiet=True)
    assert found.record.chosen.startswith("trial ")
    gaps.write_csv("new.csv")
    refused = command("recheck", tmp_path / "s", "--data", tmp_path / "new.csv",
                      "--model", tmp_path / "mine.py:other")  # fmt: skip
    assert refused.is_one_sentence()


def arrays(n: int, seed: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Three columns, of which the last may be shifted, and the classes that follow from the first."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    return x + np.array([0.0, 0.0, shift]), (x[:, 0] + 0.5 * rng.normal(size=n) > 0).astype(int)


def epochs_of(hp) -> int:
    return hp.Int("epochs", 5, 10, default=5)


@pytest.fixture(scope="module")
def of_arrays(tmp_path_factory):
    """A search of arrays, with a function of `hp` that only Python knows."""
    made = {"trials": 6, "folds": 5, "repeats": 2, "epochs": epochs_of, "batch_size": 16, "verbose": 0}
    return caviar.tune(asking, *arrays(200, 0), folder=tmp_path_factory.mktemp("arrays") / "s", **made)


@pytest.mark.thorough
def test_a_search_of_arrays_is_rechecked_on_new_arrays(of_arrays):
    again = {"model": asking, "epochs": epochs_of, "quiet": True, **PLAN}
    found = caviar.recheck(of_arrays.path, arrays(200, 0), old=arrays(200, 0), **again)
    before = {line.number: line.score[0] for line in of_arrays.lines}
    now = {int(one.name.split()[1].rstrip(",")): one.score.value for one in found.record.recipes}
    assert len(now) == 5
    assert now == pytest.approx({number: before[number] for number in now}, abs=1e-6)
    assert "the run's table itself" in found.record.drift
    new = caviar.recheck(of_arrays.path, arrays(200, 1, shift=1.0), old=arrays(200, 0), **again, runners_up=0)
    assert new.moved == ["x3"]
    assert new.page.name in [path.name for path in of_arrays.path.iterdir()]
    x, y = arrays(200, 1)
    untold = caviar.recheck(of_arrays.path, (x, y, np.ones(200)), **again, runners_up=0)
    assert "old=(x, y) gives them" in untold.record.drift


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("data", "changes", "word"),
    [
        (rows(60, 0), {}, "as \\(x, y\\)"),
        (arrays(60, 0)[:1], {}, "as \\(x, y\\)"),
        ((arrays(60, 0)[0][:, :2], arrays(60, 0)[1]), {}, "shape"),
        ((arrays(60, 0)[0], arrays(60, 0)[1] + 1), {}, "classes 0, 1"),
        ((arrays(60, 0)[0], np.zeros(60)), {}, "classes 0, 1"),
        ((arrays(60, 0)[0], arrays(50, 0)[1]), {}, "60 rows of x"),
        (arrays(60, 0), {"model": None}, "'asking'"),
        (arrays(60, 0), {"model": slow}, "'rate' is gone"),
        (arrays(60, 0), {"epochs": None}, "epochs to be given again"),
        (arrays(60, 0), {"batch_size": 8}, "builder and fit arguments"),
        (arrays(60, 0), {"old": arrays(60, 1)}, "others"),
        ("new.csv", {}, "as \\(x, y\\)"),
    ],
)
def test_arrays_that_do_not_go_with_a_search_are_one_sentence(of_arrays, data, changes, word):
    with pytest.raises(caviar.CaviarError, match=word):
        caviar.recheck(
            of_arrays.path, data, **{"model": asking, "epochs": epochs_of, "quiet": True} | changes
        )


@pytest.mark.thorough
@pytest.mark.parametrize("search", ["halving", "halving-folds", "hyperband", "pbt"])
def test_a_search_in_parts_is_rechecked_with_its_defaults_and_never_says_that_they_failed(search, tmp_path):
    made = caviar.tune(
        *(asking, *arrays(150, 0)),
        trials=9,
        epochs=9,
        folds=3,
        search=search,
        folder=tmp_path / "s",
        verbose=0,
    )
    found = caviar.recheck(made.path, arrays(150, 1), model=asking, folds=3, repeats=1, quiet=True)
    names = [one.name for one in found.record.recipes]
    assert names[:2] == [f"trial {made.record.best}", "trial 0, the defaults"]
    assert len(set(names)) == 5
    assert found.record.own == names[1]
    assert not any("failed" in said for said in found.record.messages)
    assert any("had a part of" in said for said in found.record.messages) == (made.lines[0].share < 1)


@pytest.mark.thorough
def test_callbacks_that_read_validation_logs_find_them_in_a_recheck_too(tmp_path):
    import keras

    reading = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs["val_loss"] + epoch)
    given = {"epochs": 2, "batch_size": 16, "callbacks": [reading]}
    made = {"trials": 2, "folder": tmp_path / "s", "verbose": 0, "validation_data": arrays(40, 2)}
    caviar.tune(asking, *arrays(100, 0), **given, **made)
    plan = {"folds": 3, "repeats": 1, "quiet": True}
    found = caviar.recheck(tmp_path / "s", arrays(100, 1), model=asking, callbacks=[reading], **plan)
    assert np.isfinite([one.score.value for one in found.record.recipes]).all()


@pytest.mark.thorough
def test_images_are_rechecked_and_their_pixels_are_no_columns(tmp_path):
    def of_images(hp):
        import keras

        layers = [keras.layers.Flatten(), keras.layers.Dense(1, "sigmoid")]
        model = keras.Sequential([keras.Input((3, 3, 1)), *layers])
        model.compile(keras.optimizers.SGD(hp.Float("rate", 0.01, 0.5)), "binary_crossentropy")
        return model

    x = np.random.default_rng(0).normal(size=(80, 3, 3, 1))
    y = (x[:, 0, 0, 0] > 0).astype(int)
    made = caviar.tune(of_images, x, y, trials=3, folds=2, epochs=2, folder=tmp_path / "s", verbose=0)
    found = caviar.recheck(made.path, (x, y), model=of_images, folds=2, repeats=1, old=(x, y), quiet=True)
    assert found.record.columns is None
    assert "no rows of columns" in found.record.drift


@pytest.mark.thorough
def test_fit_arguments_belong_to_a_search_of_arrays(recheck):
    with pytest.raises(caviar.CaviarError, match="epochs only for a search of arrays"):
        recheck(rows(100, 1), epochs=3)


def test_what_is_no_finished_run_is_one_sentence(command, tmp_path):
    rows(50, 0).write_csv(tmp_path / "new.csv")
    assert command("recheck", "nowhere", "--data", "new.csv").is_one_sentence()
    assert command("recheck", "nowhere").is_one_sentence()
    assert command("recheck", "nowhere", "--data", "new.csv", "--runners-up", -1).is_one_sentence()


def decision(table: pl.DataFrame, source: str = "old.csv", **reading) -> Decision:
    """A decision of a run on a table."""
    dataset = load(table, "label", **reading)
    facts = {"metric": "log-loss", "model": None, "needs_model": False, "gain": None, "rebuild": None}
    return Decision(schema=dataset.schema, source=source, fingerprint=dataset.fingerprint, **facts)


def test_absent_columns_and_unknown_or_absent_classes_are_refused_by_name():
    made = decision(rows(60, 0))
    for new, word in (
        (rows(60, 1).drop("b"), "'b'"),
        (rows(60, 1).rename({"b": "B"}), "'b'"),
        (rows(60, 1).drop("label"), "'label'"),
        (rows(60, 1).with_columns(label=pl.lit("perhaps")), "'perhaps'"),
        (rows(60, 1).with_columns(label=pl.lit("no")), "none of 'yes'"),
        (rows(60, 1).with_columns(a=pl.lit("text")), "'text'"),
    ):
        with pytest.raises(caviar.CaviarError, match=word):
            _new_rows(new, made)
    both = rows(60, 1).with_columns(label=pl.Series(["perhaps", "never", "no"] * 20))
    with pytest.raises(caviar.CaviarError, match="'perhaps', 'never'"):
        _new_rows(both, made)


def test_columns_that_the_run_did_not_have_are_left_out_and_named():
    made, new = decision(rows(60, 0)), rows(60, 1)
    plain = load_again(new, made.schema)
    more = load_again(
        new.with_columns(p=pl.lit(1), q=pl.lit("x")).select("q", "b", "p", "label", "color", "a"), made.schema
    )
    assert plain.remarks == ()
    assert more.fingerprint == plain.fingerprint
    assert [one.text for one in more.remarks] == [
        "'q', 'p' are left out, because the run's table had no such column."
    ]


def test_gaps_and_levels_that_the_old_table_did_not_have_are_read():
    made = decision(rows(60, 0))
    new = rows(60, 1).with_columns(a=pl.when(pl.col("b") > 0).then(pl.col("a")), color=pl.lit("violet"))
    found = load_again(new, made.schema)
    assert [column.has_missing for column in found.schema.columns] == [True, False, True]
    assert np.isnan(found.features[:, 2]).all()


def test_levels_that_the_run_did_not_have_are_told_from_empty_cells():
    old = rows(200, 0)
    made = decision(old)
    some = pl.when(pl.int_range(pl.len()) % 10 < 4)
    for words, color in (
        ("new values: 0% before, 100% now", pl.lit("violet")),
        ("new values: 0% before, 40% now", some.then(pl.lit("violet")).otherwise("color")),
        ("missing: 0% before, 100% now", pl.lit(None, pl.String)),
        ("missing: 0% before, 40% now", some.then(None).otherwise("color")),
    ):
        now = load_again(rows(200, 1).with_columns(color=color), made.schema)
        columns, said = moved_columns(made, now, old)
        assert [column.words for column in columns if column.moved] == [words]
        assert f"color ({words})" in said


def test_drift_is_told_only_beside_the_very_table_of_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    old, new = rows(200, 0), rows(200, 1, shift=1)
    made = decision(old)
    now = load_again(new, made.schema)
    columns, said = moved_columns(made, now, None)
    assert columns is None
    assert "not there any more" in said
    new.write_csv("old.csv")
    columns, said = moved_columns(made, now, None)
    assert columns is None
    assert "has changed since the run" in said
    columns, said = moved_columns(made, now, old)
    assert [column.name for column in columns if column.moved] == ["b"]
    assert said.startswith("1 of 4 columns comes from another distribution than in the run: b (middle half ")
    with pytest.raises(caviar.CaviarError, match=r"^Expected old to be"):
        moved_columns(made, now, new)


def test_rows_that_the_run_has_seen_already_are_told():
    old, more = rows(200, 0), rows(100, 1)
    made = decision(old)
    both = load_again(pl.concat([old, more]), made.schema)
    assert "67% of the new rows are like rows of the run's table" in moved_columns(made, both, old)[1]
    assert "like rows" not in moved_columns(made, load_again(more, made.schema), old)[1]


def test_rows_of_a_group_count_once():
    """Twenty copies of each row would turn chance into certainty."""
    rng = np.random.default_rng(4)

    def grouped(n: int) -> pl.DataFrame:
        each = pl.DataFrame({"a": rng.normal(size=n), "who": np.arange(n), "label": ["no", "yes"] * (n // 2)})
        return pl.concat([each] * 20)

    old, new = grouped(30), grouped(30)
    alike, said = decision(old), decision(old, group="who")
    found = [
        [column.moved for column in moved_columns(made, load_again(new, made.schema), old)[0]]
        for made in (said, alike)
    ]
    assert not any(found[0])
    assert any(found[1])


def estimate(value: float) -> Estimate:
    return Estimate(value=value, low=value - 0.01, high=value + 0.01, method="", n=10)


def measured(*others: tuple[str, str, float]) -> CompareRecord:
    """The choice, and others beside it: name, verdict, how much better."""
    score = {
        "score": estimate(0.5), "members": 10, "failed_members": 0, "epochs": 1, "batch_size": 32,
        "parameters": 3, "engine": "population", "seconds": 1.0,
    }  # fmt: skip
    comparisons = [
        ComparisonRecord(
            remedy=name, difference=estimate(by), narrow=estimate(by), p=0.5, p_holm=0.5, verdict=verdict,
            repeats_needed=40 if verdict == "not enough data" else None, sentence="",
        )
        for name, verdict, by in others
    ]  # fmt: skip
    return CompareRecord(
        created="", seconds=1.0, versions={}, sentence="",
        table=TableFacts(name="t", rows=9, columns=1, task="binary"),
        metric=MetricRecord(name="log-loss", title="log-loss", higher_is_better=False),
        plan=PlanRecord(folds=5, repeats=2, seeds=1, split=""),
        scale=Scale(no_skill=0.7, reference=0.4, reference_title="", rope=0.01, reason=""),
        recipes=[RecipeScore(name=name, **score) for name in ("choice", *(one[0] for one in others))],
        comparisons=comparisons,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("others", "own", "verdict", "words"),
    [
        ([("own", "harms", -0.1), ("b", "not enough data", 0.0)], "own", "stands", "still helps, by 0.1"),
        ([("own", "helps", 0.1), ("b", "helps", 0.3)], "own", "does not stand", "now harms, by 0.1"),
        ([("own", "harms", -0.1), ("b", "helps", 0.2), ("c", "helps", 0.3)], "own", "does not stand", "c is better"),
        ([("own", "no practical difference", 0.0)], "own", "no practical difference", "no practical difference any"),
        ([("own", "not enough data", 0.0)], "own", "not enough data", "about 40 repeats would decide"),
        ([("b", "not enough data", 0.0)], None, "stands", "nothing else is shown to be better"),
        ([("b", "helps", 0.1)], None, "does not stand", "b is better"),
    ],
)  # fmt: skip
def test_a_choice_stands_until_something_else_is_shown_to_be_better(others, own, verdict, words):
    made = decision(rows(60, 0))
    found, sentence = standing(measured(*others), own, made)
    assert found == verdict
    assert words in sentence


def test_a_page_says_what_was_found_and_shows_names_letter_by_letter():
    columns = [
        {"name": name, "distance": by, "p": 0.5, "p_holm": 0.5, "moved": moved, "words": "up"}
        for name, by, moved in (("calm", 0.9, False), ("<b>far</b>", 0.4, True), ("near", 0.2, True))
    ]  # fmt: skip
    made = measured(("own", "harms", -0.1), ("<i>b</i>", "not enough data", 0.01))
    record = RecheckRecord(
        **made.model_dump(exclude={"sentence"}), sentence="All is well.", run="r", chosen="choice", own="own",
        verdict="stands", columns=columns, drift="Two have moved.",
    )  # fmt: skip
    page = render(record, "recheck-1.json")
    body = page[: page.index('id="figure-data"')]
    for said in (
        "The choice stands",
        "All is well.",
        "Two have moved.",
        "(the choice)",
        "(before)",
        "recheck-1.json",
    ):
        assert said in body
    assert "<b>far" not in body
    assert "<i>b" not in body
    assert body.index("far&lt;/b&gt;") < body.index(">near<") < body.index(">calm<"), (
        "what has moved comes first"
    )
    assert [row.title for row in score_rows(record).rows] == ["choice", "own", "<i>b</i>"]
    assert [row.title for row in difference_rows(record).rows] == ["<i>b</i>", "own"]
    without = record.model_copy(update={"columns": None, "drift": "Nobody knows."})
    assert "Nobody knows." in render(without, "recheck-1.json")
