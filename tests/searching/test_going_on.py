"""A search's folder is enough to draw its page again, and to go on with what could be said in a file."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import caviar
from caviar.command.main import app
from caviar.errors import RunError
from caviar.population import devices
from caviar.report.redrawn import redraw
from caviar.searching.tune import tune_table
from tests.searching.test_tune import X, Y, tuned

devices.start()

BUILDER = """
import keras
def build(hp, n_inputs):
    model = keras.Sequential([keras.Input((n_inputs,)), keras.layers.Dense(1, "sigmoid")])
    model.compile(keras.optimizers.SGD(hp.Float("rate", 1e-3, 1.0, sampling="log")), "binary_crossentropy")
    return model
"""


@pytest.fixture
def searched(tmp_path, monkeypatch):
    """A search that was begun in another folder, with relative names, from settings of a folder that is gone."""
    before = tmp_path / "before"
    before.mkdir()
    monkeypatch.chdir(before)
    Path("my.py").write_text(BUILDER)
    labels = np.where(Y, "yes", "no")
    lines = [f"{a};{b};{label};{i}" for i, ((a, b), label) in enumerate(zip(X[:, :2], labels, strict=True))]
    Path("rows.csv").write_text("\n".join(["a;b;y;id", *lines]))
    found = tune_table(
        *("rows.csv", "y"),
        sep=";",
        drop=["id"],
        model="my.py:build",
        trials=5,
        epochs=1,
        folds=2,
        search="tpe",
        start={"rate": 0.5},
        storage="optuna.log",
        quiet=True,
        out=tmp_path / "study",
    )
    monkeypatch.chdir(tmp_path)
    return found


def cut_off(folder, kept: int) -> None:
    """As a search is left that was killed after so many trials."""
    (folder / "result.json").unlink()
    (folder / "report.html").unlink()
    lines = (folder / "trials.jsonl").read_text().splitlines(keepends=True)
    (folder / "trials.jsonl").write_text("".join(lines[:kept]))


def test_a_search_goes_on_from_its_folder_alone(searched):
    cut_off(searched.path, 2)
    again = caviar.resume(searched.path, quiet=True)
    assert [line.settings for line in again.lines] == [line.settings for line in searched.lines]
    np.testing.assert_allclose(
        [line.score for line in again.lines], [line.score for line in searched.lines], atol=1e-5
    )
    assert again.lines[1].settings == {"rate": 0.5}
    told = CliRunner().invoke(app, ["resume", str(searched.path)])
    assert told.exit_code == 0, told.output
    assert "Trial" in told.output


def test_a_page_is_drawn_again_from_its_folder(searched):
    page = (searched.path / "report.html").read_text()
    (searched.path / "report.html").unlink()
    told = CliRunner().invoke(app, ["report", str(searched.path)])
    assert told.output.strip() == str(searched.path / "report.html")
    assert (searched.path / "report.html").read_text() == page
    cut_off(searched.path, 2)
    with pytest.raises(RunError, match="caviar resume"):
        redraw(searched.path)


def test_what_only_python_knows_must_be_given_again(tmp_path):
    rows = (X, np.where(Y, "yes", "no"))
    space: dict = {}
    exec(BUILDER, space)  # noqa: S102 - the test's own text
    build, common = space["build"], {"trials": 2, "epochs": 1, "folds": 2, "quiet": True}
    found = tune_table(rows, model=build, out=tmp_path / "study", **common)
    with pytest.raises(RunError, match="source and model to be given again"):
        caviar.resume(found.path, quiet=True)
    again = caviar.resume(found.path, source=rows, model=build, quiet=True)
    assert [line.score for line in again.lines] == [line.score for line in found.lines]


@pytest.mark.parametrize("left", [None, "lr-range.json", "queue.json", "log.json"])
def test_a_folder_of_neither_a_run_nor_a_search_names_the_commands_whose_folders_are_meant(tmp_path, left):
    folder = tmp_path / "folder"
    if left is not None:
        folder.mkdir()
        (folder / left).write_text("{}")
    said = r"^Expected the folder of a run or a search, .+`caviar improve` or `caviar tune` printed"
    for use in (caviar.resume, redraw, lambda path: caviar.recheck(path, "new.csv", quiet=True)):
        with pytest.raises(RunError, match=said):
            use(folder)


def test_a_search_of_arrays_names_the_call_that_goes_on_with_it(tmp_path):
    found = tuned(folder=tmp_path / "study", trials=1, epochs=1, folds=2)
    with pytest.raises(RunError, match=r"caviar\.tune.* folder="):
        caviar.resume(found.path)
    assert "call" not in json.loads((found.path / "plan.json").read_text())


def test_how_to_go_on_is_said_before_anything_is_trained(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "1000")
    found = tuned(folder=tmp_path / "study", trials=1, epochs=1, folds=2, verbose=1)
    first, *_ = capsys.readouterr().err.splitlines()
    assert f"Kept in {found.path}." in first
    assert f"the same call with folder={str(found.path)!r} goes on with it" in first
    rows = (X, np.where(Y, "yes", "no"))
    by_table = tune_table(rows, trials=1, epochs=1, folds=2, out=tmp_path / "other")
    first, *_ = capsys.readouterr().err.splitlines()
    assert f"`caviar resume {by_table.path}` goes on with it" in first


@pytest.mark.thorough
def test_a_search_in_parts_goes_on_with_its_options_and_its_parts_are_copied_as_pruned(tmp_path, monkeypatch):
    import optuna

    monkeypatch.chdir(tmp_path)
    Path("my.py").write_text(BUILDER)
    rows = (X, np.where(Y, "yes", "no"))
    found = tune_table(
        *(rows,),
        model="my.py:build",
        trials=4,
        epochs=4,
        folds=2,
        search="halving",
        options={"eta": 2},
        storage="sqlite:///studies.db",
        quiet=True,
        out="study",
    )
    study = optuna.load_study(study_name="study", storage="sqlite:///studies.db")
    assert [trial.state.name for trial in study.trials] == [
        "COMPLETE" if line.share == 1 else "PRUNED" for line in found.lines
    ]
    assert study.best_trial.user_attrs["candidate"] == found.record.best
    cut_off(Path("study"), 3)
    again = caviar.resume("study", source=rows, quiet=True)
    assert [line.settings for line in again.lines] == [line.settings for line in found.lines]
    assert [line.share for line in again.lines] == [line.share for line in found.lines]
