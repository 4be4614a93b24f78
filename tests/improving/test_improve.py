"""Facts about whole runs in Python: any builder, any task, a budget, and a model in the target's own units."""

import importlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import caviar
from caviar.remedies.table import REMEDIES

# Tests that are not about remedies do without: the baseline and the final model show what they ask.
NO_REMEDIES = ()


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def improve(monkeypatch):
    """`caviar.improve` with two epochs, two folds, one repeat and some of the remedies."""

    def run(source: object, target: object = None, *, remedies=NO_REMEDIES, **options) -> caviar.Run:
        monkeypatch.setattr(importlib.import_module("caviar.improving.work"), "REMEDIES", remedies)
        return caviar.improve(
            source, target, **{"epochs": 2, "folds": 2, "repeats": 1, "quiet": True} | options
        )

    return run


def numbers(n: int = 60, seed: int = 0) -> pl.DataFrame:
    """Two inputs, and targets that follow from them: a label, a large quantity, and a small one."""
    x = np.random.default_rng(seed).normal(size=(n, 2))
    return pl.DataFrame(
        {
            "a": x[:, 0],
            "b": x[:, 1],
            "label": np.where(x[:, 0] > 0, "yes", "no"),
            "price": 1e6 + 1e4 * x[:, 0],
            "rate": 0.01 * x[:, 1],
        }
    )


def binary(n_inputs: int, n_outputs: int):
    import keras

    model = keras.Sequential([keras.Input((n_inputs,)), keras.layers.Dense(n_outputs, "sigmoid")])
    model.compile(keras.optimizers.SGD(0.1), "binary_crossentropy")
    return model


def with_nothing():
    return binary(2, 1)


def with_hp(hp):
    import keras

    model = binary(2, 1)
    model.compile(keras.optimizers.SGD(hp.Float("rate", 0.01, 0.1, default=0.05)), "binary_crossentropy")
    return model


@pytest.mark.parametrize("builder", [with_nothing, with_hp, binary])
def test_a_builder_may_take_nothing_hp_or_the_widths(improve, builder):
    run = improve(numbers().select("a", "b", "label"), "label", model=builder)
    assert run.record.status == "finished"
    assert run.record.final.title == f"Your model ({builder.__name__})"
    assert set(run.predict(numbers(5))["prediction"]) <= {"yes", "no"}


def as_polars(rows: pl.DataFrame) -> tuple:
    return rows, "label"


def as_pandas(rows: pl.DataFrame) -> tuple:
    return pytest.importorskip("pandas").DataFrame(rows.to_dict(as_series=False)), "label"


def as_arrays(rows: pl.DataFrame) -> tuple:
    return (rows.select("a", "b").to_numpy(), rows["label"].to_numpy()), None


@pytest.mark.parametrize("form", [as_polars, as_pandas, as_arrays])
def test_frames_and_arrays_are_tables_too_and_give_the_same_score(improve, form):
    rows = numbers().select("a", "b", "label")
    run = improve(*form(rows), model=binary)
    rows.write_csv("table.csv")
    from_file = improve("table.csv", "label", model=binary)
    assert run.record.baseline.fold_scores == from_file.record.baseline.fold_scores
    assert run.predict(rows.select("a", "b").to_numpy()).equals(from_file.predict("table.csv"))


@pytest.mark.thorough
def test_the_table_network_runs_through_every_stage_and_a_remedy(improve):
    chosen = tuple(remedy for remedy in REMEDIES if remedy.name == "higher-rate")
    run = improve("sample:iris", remedies=chosen)
    assert list(run.record.stage_seconds) == ["look", "measure", "diagnose", "treat", "finish"]
    assert [arm.name for arm in run.record.trial.arms] == ["higher-rate"]
    assert run.record.plan.folds == 2
    assert run.path.parent == Path("runs")


@pytest.mark.thorough
def test_a_tuned_threshold_is_handed_over_with_the_model(improve):
    """A class that is never probable is predicted all the same, where its probability is large for it."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=300)
    label = np.where(rng.random(300) < 0.4 * (a > 0.8) + 0.03, "yes", "no")
    rows = pl.DataFrame({"a": a, "b": rng.normal(size=300), "label": label})
    tuned = replace(next(r for r in REMEDIES if r.name == "tuned-threshold"), on_demand=False)
    options = {"metric": "balanced-accuracy", "model": binary, "epochs": 20, "folds": 3, "repeats": 3}
    run = improve(rows, "label", remedies=(tuned,), **options)
    assert run.record.trial.chosen == "tuned-threshold"
    threshold = run.record.trial.arms[0].threshold
    assert threshold < 0.4
    assert f"{threshold:.2g}" in run.record.final.sentence
    said = run.predict(rows)
    assert 0.1 < (said["prediction"] == "yes").mean() < 0.6


@pytest.mark.thorough
def test_two_runs_without_a_name_go_to_two_folders(improve):
    rows = numbers().select("a", "b", "label")
    paths = [improve(rows, "label", model=binary, epochs=1).path for _ in range(2)]
    assert paths[0] != paths[1]
    assert all((path / "record.json").is_file() for path in paths)


@pytest.mark.thorough
def test_the_same_seed_gives_the_same_scores_and_another_seed_others(improve):
    rows = numbers().select("a", "b", "label")
    first, again, other = (improve(rows, "label", model=binary, seed=seed) for seed in (0, 0, 1))
    assert first.record.baseline.fold_scores == again.record.baseline.fold_scores
    assert first.record.baseline.fold_scores != other.record.baseline.fold_scores
    assert first.predict(rows).equals(again.predict(rows))


@pytest.mark.thorough
def test_predictions_of_a_quantity_are_in_its_own_units(improve):
    """The network sees a scaled target; a person sees prices."""
    rows = numbers(200).select("a", "b", "price")
    run = improve(rows, "price", epochs=30, batch_size=16)
    said = run.predict(rows.drop("price"))
    assert said.columns == ["prediction"]
    error = np.abs(said["prediction"].to_numpy() - rows["price"].to_numpy()).mean()
    assert error < 0.3 * rows["price"].std(), "far better than a constant, in units of the price"
    assert run.record.final.scores["mae"].value == pytest.approx(error, rel=0.5)


@pytest.mark.thorough
def test_two_targets_are_predicted_side_by_side(improve):
    rows = numbers().select("a", "b", "price", "rate")
    run = improve(rows, ["price", "rate"])
    assert run.record.data.task == "multi-output regression"
    said = run.predict(rows.select("b", "a"))
    assert said.columns == ["prediction_price", "prediction_rate"]
    assert (said["prediction_price"] > 1e5).all()
    assert (said["prediction_rate"].abs() < 1).all()


REGISTERED = """
import keras

@keras.saving.register_keras_serializable(package="mine")
class Doubled(keras.layers.Layer):
    def call(self, x):
        return 2 * x

def build(n_inputs, n_outputs):
    model = keras.Sequential([keras.Input((n_inputs,)), Doubled(), keras.layers.Dense(n_outputs, "sigmoid")])
    model.compile(keras.optimizers.SGD(0.1), "binary_crossentropy")
    return model
"""


IN_A_FRESH_PROCESS = """
import caviar
try:
    caviar.predict("run", "table.csv")
except caviar.CaviarError as error:
    assert "--model" in str(error), error
    print(caviar.predict("run", "table.csv", model="mine.py:build").write_csv(), end="")
"""


@pytest.mark.thorough
def test_a_network_with_a_layer_of_ones_own_predicts_with_the_file_that_defines_it(improve):
    Path("mine.py").write_text(REGISTERED)
    numbers().select("a", "b", "label").write_csv("table.csv")
    run = improve("table.csv", "label", model="mine.py:build", out="run")
    done = subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_PROCESS], capture_output=True, text=True, check=True
    )
    said = pl.read_csv(done.stdout.encode())
    assert said["prediction"].to_list() == run.predict("table.csv")["prediction"].to_list()


def test_rows_without_a_header_are_predicted_with_and_without_the_target(improve):
    numbers().select("a", "b", "label").write_csv("table.csv", include_header=False)
    numbers().select("a", "b").write_csv("new.csv", include_header=False)
    run = improve("table.csv", 2, header=False, model=binary)
    assert run.predict("new.csv").equals(run.predict("table.csv"))
    Path("narrow.csv").write_text("1\n2\n")
    with pytest.raises(caviar.CaviarError, match="Expected 3 columns"):
        run.predict("narrow.csv")


@pytest.mark.thorough
def test_a_short_budget_bounds_the_run_and_says_what_was_not_tried(improve):
    """The trial would take minutes; the budget leaves it some seconds."""
    rows = numbers(2000).select("a", "b", "label")
    run = improve(
        rows, "label", remedies=REMEDIES, model=binary, epochs=1500, batch_size=4, folds=3, minutes=0.4
    )
    assert run.record.status == "finished"
    skipped = [remedy for remedy in run.record.trial.skipped if "--minutes" in remedy.why]
    assert skipped
    assert any("Not tried for lack of time" in message for message in run.record.messages)
    assert (run.path / "model" / "network.keras").is_file() or run.record.final.members > 1
    assert run.record.seconds < 60 * 0.4 + 20, "the final model may overshoot, not more"


def test_a_builder_in_a_file_leaves_no_trace_of_a_failed_run(improve):
    Path("mine.py").write_text("def build():\n    raise RuntimeError('no')\n")
    with pytest.raises(caviar.CaviarError, match="RuntimeError: no"):
        improve(numbers().select("a", "b", "label"), "label", model="mine.py:build", out="run")
    assert not Path("run").exists()


def test_a_record_is_json_that_other_programs_can_read(improve):
    run = improve(numbers().select("a", "b", "label"), "label", model=binary, out="run")
    record = json.loads((run.path / "record.json").read_text())
    assert record["options"]["target"] == "label"
    assert record["versions"]["keras"]
    assert caviar.open_run("run").record == run.record


def test_a_path_home_or_user_name_is_not_in_the_record(improve):
    """A report is passed on; it must not tell where its maker keeps things, beyond what was typed."""
    numbers().select("a", "b", "label").write_csv("table.csv")
    run = improve("table.csv", "label", model=binary, out="run")
    text = (run.path / "record.json").read_text()
    assert str(Path.home()) not in text
    assert str(Path.cwd()) not in text


@pytest.mark.thorough
def test_long_remedies_that_promise_nothing_are_given_up_and_a_resumed_run_agrees(improve, monkeypatch):
    trial = importlib.import_module("caviar.measuring.trial")
    monkeypatch.setattr(trial, "_LONG", 0.0)
    rates = {"much-lower-rate", "higher-rate"}
    some = tuple(replace(remedy, on_demand=False) for remedy in REMEDIES if remedy.name in rates)

    rows = numbers(90).select("a", "b", "label")

    def run(out: str) -> caviar.Run:
        return improve(rows, "label", model=binary, remedies=some, folds=3, repeats=2, epochs=6, out=out)

    whole = run("whole")
    arms = {arm.name: arm for arm in whole.record.trial.arms}
    sentences = {one.remedy: one.sentence for one in whole.record.trial.comparisons}
    assert len(arms["much-lower-rate"].fold_scores) == 1
    assert arms["much-lower-rate"].members == 3
    assert sentences["much-lower-rate"].endswith("Given up after repeat 1 of 2.")
    assert len(arms["higher-rate"].fold_scores) == 2
    assert "Given up" not in sentences["higher-rate"]
    page = (Path("whole") / "report.html").read_text(encoding="utf-8")
    assert "Given up after repeat 1 of 2." in page
    assert page.count("given up after 1 repeat<") == 1

    measure_all = trial.measure_all

    def stopped(bench, recipes, **options):
        if recipes[0].name == "higher-rate" and bench.numbers[0] > 0:
            raise KeyboardInterrupt
        return measure_all(bench, recipes, **options)

    monkeypatch.setattr(trial, "measure_all", stopped)
    with pytest.raises(KeyboardInterrupt):
        run("broken")
    monkeypatch.setattr(trial, "measure_all", measure_all)
    again = caviar.resume("broken", source=rows, model=binary, quiet=True)
    for one, other in zip(again.record.trial.arms, whole.record.trial.arms, strict=True):
        assert one.fold_scores == other.fold_scores
    assert again.record.trial.chosen == whole.record.trial.chosen
