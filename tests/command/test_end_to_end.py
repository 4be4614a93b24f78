"""Facts about one whole run as a person starts it: from a table to a model that predicts in a fresh process."""

import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import caviar as library
from tests.command.conftest import (
    CLASSIFIER,
    SMALL,
    Ended,
    environment,
    in_fresh_process,
    rows_of_two_classes,
)

pytestmark = pytest.mark.thorough  # they share one run of the command

LABELS = ["'-1'", "'1'"]


@dataclass(frozen=True)
class Finished:
    """A run that was started by one command, and where."""

    home: Path
    ended: Ended

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def record(self) -> dict:
        return json.loads((self.run / "record.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Finished:
    """All remedies on 60 rows, with 20 rows kept apart and a builder of the person's own."""
    home = tmp_path_factory.mktemp("home")
    rows = rows_of_two_classes(80)
    (home / "table.csv").write_text("a,b,color,y\n" + "\n".join(rows[:60]) + "\n")
    (home / "kept.csv").write_text("a,b,color,y\n" + "\n".join(rows[60:]) + "\n")
    (home / "my_model.py").write_text(CLASSIFIER)
    options = ["--model", "my_model.py:build", "--test", "kept.csv", "--out", "run", *SMALL]
    ended = in_fresh_process("improve", "table.csv", *options, cwd=home)
    assert ended.status == 0, ended.err
    return Finished(home, ended)


@pytest.fixture(scope="module")
def said(finished) -> Ended:
    """Predictions for the rows kept apart, from a fresh process."""
    return in_fresh_process("predict", "run", "kept.csv", cwd=finished.home)


def table_of(ended: Ended) -> pl.DataFrame:
    assert ended.status == 0, ended.err
    assert not ended.err
    return pl.read_csv(ended.out.encode(), infer_schema_length=None, quote_char='"')


def test_the_summary_fits_80_columns_and_names_report_and_model(finished):
    lines = finished.ended.out.splitlines()
    assert max(map(len, lines)) <= 80
    for words in ("The model as it is", "No skill", "Diagnosis", "Remedy", "run/report.html", "run/model"):
        assert words in finished.ended.out
    assert max(map(len, finished.ended.err.splitlines())) <= 80


def test_a_run_says_no_warnings_of_the_libraries_below_it(finished):
    assert "Warning" not in finished.ended.err
    assert "Traceback" not in finished.ended.err


def test_a_run_leaves_report_record_histories_and_model(finished):
    record = finished.record
    assert record["status"] == "finished"
    assert (finished.run / "report.html").stat().st_size > 100_000
    arms = [record["baseline"], *record["trial"]["arms"]]
    assert len(arms) > 5
    for arm in arms:
        assert (finished.run / arm["history"]).is_file()
    for name in record["final"]["files"]:
        assert (finished.run / name).is_file()
    assert not list(finished.run.rglob(".*")), "temporary files stay"


def test_no_file_of_a_run_holds_a_pickle(finished):
    names = [path.name for path in finished.run.rglob("*")]
    for archive in [*finished.run.rglob("*.keras"), *finished.run.rglob("*.skops")]:
        names += zipfile.ZipFile(archive).namelist()
    assert not [name for name in names if Path(name).suffix in {".pkl", ".pickle", ".joblib"}]
    for archive in finished.run.rglob("*.skops"):
        for name in zipfile.ZipFile(archive).namelist():
            assert not zipfile.ZipFile(archive).read(name).startswith((b"\x80\x04", b"\x80\x05"))


def test_rows_kept_apart_are_scored_once_and_took_no_part(finished):
    final = finished.record["final"]
    assert final["rows"] == 60
    assert final["test_rows"] == 20
    assert set(final["test"]) >= {"log-loss", "auc"}
    assert finished.record["data"]["rows"] == 60


def test_predictions_have_one_row_per_row_the_persons_labels_and_probabilities_that_add_up(said):
    table = table_of(said)
    assert table.columns == ["prediction", "probability_'-1'", "probability_'1'"]
    assert table.height == 20
    assert set(table["prediction"]) <= set(LABELS)
    chances = table.drop("prediction").to_numpy()
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-9)
    assert [LABELS[i] for i in chances.argmax(axis=1)] == table["prediction"].to_list()


def test_the_score_on_rows_kept_apart_is_that_of_the_saved_model(finished, said):
    truth = pl.read_csv(finished.home / "kept.csv")["y"].to_list()
    chance = [
        row[f"probability_{label}"] for row, label in zip(table_of(said).to_dicts(), truth, strict=True)
    ]
    assert finished.record["final"]["test"]["log-loss"] == pytest.approx(-np.mean(np.log(chance)), rel=1e-5)


def test_the_saved_model_predicts_in_python_what_it_predicts_in_a_fresh_process(finished, said):
    here, there = library.open_run(finished.run).predict(finished.home / "kept.csv"), table_of(said)
    assert here.columns == there.columns
    assert here["prediction"].to_list() == there["prediction"].to_list()
    np.testing.assert_allclose(here.drop("prediction"), there.drop("prediction"), rtol=1e-6)
    assert library.predict(finished.run, finished.home / "kept.csv").equals(here)


def test_rows_without_the_target_and_in_another_order_of_columns_are_predicted_alike(finished):
    rows, model = (
        pl.read_csv(finished.home / "kept.csv", infer_schema=False),
        library.open_run(finished.run).model(),
    )
    said = model.predict(rows)
    assert model.predict(rows.drop("y")).equals(said)
    assert model.predict(rows.select("color", "b", "y", "a")).equals(said)
    assert model.predict(rows.with_columns(extra=pl.lit("new"))).equals(said)


def test_predictions_keep_the_order_of_the_rows(finished):
    rows, model = (
        pl.read_csv(finished.home / "kept.csv", infer_schema=False),
        library.open_run(finished.run).model(),
    )
    one_by_one = pl.concat([model.predict(rows[i]) for i in (3, 1, 2)])
    together = model.predict(rows)[[3, 1, 2]]
    assert together["prediction"].to_list() == one_by_one["prediction"].to_list()
    np.testing.assert_allclose(together.drop("prediction"), one_by_one.drop("prediction"), rtol=1e-5)


def test_predictions_go_to_a_file_as_they_go_to_the_terminal(finished, caviar, tmp_path):
    shown = caviar("predict", finished.run, finished.home / "kept.csv")
    ended = caviar("predict", finished.run, finished.home / "kept.csv", "-o", "new/said.csv")
    assert (ended.status, ended.out, ended.err) == (0, "", "")
    assert (tmp_path / "new" / "said.csv").read_text() == shown.out
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["said.csv"]


def test_predictions_that_cannot_be_written_are_one_sentence(finished, caviar, tmp_path):
    (tmp_path / "file").write_text("keep me")
    for place in ("file/said.csv", "."):
        assert caviar("predict", finished.run, finished.home / "kept.csv", "-o", place).is_one_sentence()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_reader_that_stops_early_sees_no_traceback(finished):
    command = f"'{sys.executable}' -m caviar predict run kept.csv | head -1"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=finished.home,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("prediction,")
    assert "Traceback" not in done.stderr


def test_a_report_is_redrawn_alike_without_training(finished):
    before = (finished.run / "report.html").read_bytes()
    ended = in_fresh_process("report", "run", cwd=finished.home)
    assert (ended.status, ended.out.strip(), ended.err) == (0, "run/report.html", "")
    assert (finished.run / "report.html").read_bytes() == before


def test_a_report_is_redrawn_without_importing_keras_or_jax(finished):
    program = (
        "import sys; sys.argv = ['caviar', 'report', 'run']\n"
        "from caviar.command.main import main\n"
        "try:\n    main()\nfinally:\n    print('LOADED', *sorted({'keras', 'jax'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=finished.home,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "LOADED"


def test_a_run_never_writes_over_another(finished, caviar, tmp_path):
    before = {path: path.read_bytes() for path in finished.run.rglob("*") if path.is_file()}
    ended = caviar("improve", finished.home / "table.csv", "--out", finished.run, *SMALL)
    assert ended.is_one_sentence(), ended
    assert {path: path.read_bytes() for path in finished.run.rglob("*") if path.is_file()} == before
    assert not list(tmp_path.iterdir())


def test_a_run_that_was_moved_still_predicts_and_reports(finished, caviar, tmp_path):
    shutil.copytree(finished.run, tmp_path / "moved")
    rows = finished.home / "kept.csv"
    assert caviar("predict", "moved", rows).out == caviar("predict", finished.run, rows).out
    assert caviar("report", "moved").status == 0


def test_the_history_of_every_arm_can_be_read_by_name(finished):
    run = library.open_run(finished.run)
    for arm in ["baseline", *(arm["name"] for arm in finished.record["trial"]["arms"])]:
        assert {"member", "epoch"} <= set(run.history(arm).sizes)
    with pytest.raises(library.CaviarError, match="no-such-arm"):
        run.history("no-such-arm")


def test_rows_that_lack_an_input_are_one_sentence(finished, caviar, tmp_path):
    (tmp_path / "lacking.csv").write_text("a,color\n1,red\n")
    ended = caviar("predict", finished.run, "lacking.csv")
    assert ended.is_one_sentence(), ended
    assert "'b'" in ended.err


@pytest.mark.parametrize(
    ("rows", "first"),
    [
        ("a,b,color\n1,2,purple\n", 1),
        ("a,b,color\n,,\n", 1),
        ("a,b,color,extra\n1,2,red,x\n3,4,blue,y\n", 2),
        ("a,b,color\r\n1,2,red\r\n", 1),
        ("a,b,color\n1e308,-inf,red\n", 1),
    ],
)
def test_odd_rows_are_predicted_with_probabilities_all_the_same(finished, tmp_path, rows, first):
    (tmp_path / "odd.csv").write_bytes(rows.encode())
    said = library.open_run(finished.run).predict(tmp_path / "odd.csv")
    assert said.height == first
    assert np.isfinite(said.drop("prediction").to_numpy()).all()


def _tampered(finished: Finished, tmp_path: Path) -> Path:
    shutil.copytree(finished.run / "model", tmp_path / "run" / "model")
    shutil.copy(finished.run / "record.json", tmp_path / "run" / "record.json")
    return tmp_path / "run" / "model"


@pytest.mark.parametrize("name", ["../secret.keras", "/etc/passwd", "..", ""])
def test_a_model_that_points_outside_its_folder_is_refused(finished, caviar, tmp_path, name):
    model = _tampered(finished, tmp_path)
    facts = json.loads((model / "model.json").read_text()) | {"members": [name]}
    (model / "model.json").write_text(json.dumps(facts))
    ended = caviar("predict", "run", finished.home / "kept.csv")
    assert ended.is_one_sentence(), ended


@pytest.mark.parametrize("change", [{"members": []}, {"link": "nonsense"}, {"format": 2}, {"more": 1}])
def test_a_model_description_that_was_changed_is_refused(finished, caviar, tmp_path, change):
    model = _tampered(finished, tmp_path)
    facts = json.loads((model / "model.json").read_text()) | change
    (model / "model.json").write_text(json.dumps(facts))
    assert caviar("predict", "run", finished.home / "kept.csv").is_one_sentence()


@pytest.mark.parametrize("name", ["network.keras", "preparation.skops", "preparation.json"])
def test_a_model_with_a_missing_or_damaged_file_is_refused(finished, caviar, tmp_path, name):
    model = _tampered(finished, tmp_path)
    (model / name).write_bytes(b"damaged")
    assert caviar("predict", "run", finished.home / "kept.csv").is_one_sentence()
    (model / name).unlink()
    assert caviar("predict", "run", finished.home / "kept.csv").is_one_sentence()


def test_a_network_that_would_run_code_when_loaded_is_refused(finished, caviar, tmp_path):
    import keras

    model = _tampered(finished, tmp_path)
    network = keras.Sequential(
        [keras.Input((6,)), keras.layers.Lambda(lambda x: x * 2), keras.layers.Dense(1)]
    )
    network.save(model / "network.keras")
    ended = caviar("predict", "run", finished.home / "kept.csv")
    assert ended.is_one_sentence(), ended
    assert "without running code" in ended.err
