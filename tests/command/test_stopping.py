"""Facts about runs that do not reach their end: stopped by hand, killed, or short of time."""

import json
import signal
import time
from pathlib import Path

import pytest

from tests.command.conftest import Ended, in_fresh_process, rows_of_two_classes, start

# Long enough not to end before the signal comes.
LONG = ("--epochs", "2000", "--folds", "3", "--repeats", "2", "--batch-size", "4")

SLOW_MODEL = """
import keras

def build(n_inputs, n_outputs):
    model = keras.Sequential([keras.Input((n_inputs,)), keras.layers.Dense(n_outputs, "sigmoid")])
    model.compile(keras.optimizers.SGD(0.01), "binary_crossentropy")
    return model
"""


@pytest.fixture
def home(tmp_path) -> Path:
    (tmp_path / "table.csv").write_text("a,b,color,y\n" + "\n".join(rows_of_two_classes(200)) + "\n")
    (tmp_path / "my_model.py").write_text(SLOW_MODEL)
    return tmp_path


def stop_when(said: str, home: Path, by: signal.Signals, *, after: float) -> Ended:
    """Start a long run, wait for words on stderr and some seconds more, send a signal, wait for the end."""
    process = start("improve", "table.csv", "--model", "my_model.py:build", "--out", "run", *LONG, cwd=home)
    assert process.stderr is not None
    heard = ""
    while said not in heard:
        line = process.stderr.readline()
        assert line, f"ended before {said!r}: {heard}"
        heard += line
    time.sleep(after)
    assert process.poll() is None, "ended before the signal"
    process.send_signal(by)
    out, err = process.communicate(timeout=60)
    return Ended(process.returncode, out, heard + err)


def record_of(home: Path) -> dict:
    return json.loads((home / "run" / "record.json").read_text())


@pytest.mark.thorough
@pytest.mark.parametrize("stage", ["Measure", "Treat"])
def test_ctrl_c_keeps_what_was_learned_and_a_report_of_it(home, stage):
    ended = stop_when(stage, home, signal.SIGINT, after=0.5)
    assert ended.status == 130
    assert "Traceback" not in ended.err
    assert ended.lines[-1].startswith("caviar: stopped")
    record = record_of(home)
    assert record["status"] == "interrupted"
    assert record["stage"] == stage.lower()
    assert (record["baseline"] is not None) == (stage == "Treat")
    page = (home / "run" / "report.html").read_text(encoding="utf-8")
    assert "stopped before" in page
    assert "Chosen: " not in page
    assert "is proven" not in page
    assert in_fresh_process("report", "run", cwd=home).status == 0


@pytest.mark.thorough
def test_a_run_that_was_killed_can_still_be_reported(home):
    stop_when("Treat", home, signal.SIGKILL, after=1.0)
    record = record_of(home)
    assert record["status"] == "running"
    assert record["baseline"] is not None
    ended = in_fresh_process("report", "run", cwd=home)
    assert (ended.status, ended.err) == (0, "")
    assert (home / "run" / "report.html").is_file()


def numbers_of(home: Path, folder: str) -> dict:
    """What a run learned, without times and paths."""
    record = json.loads((home / folder / "record.json").read_text())

    def plain(value):
        if isinstance(value, dict):
            return {
                k: plain(v) for k, v in value.items() if not k.startswith(("seconds", "stage", "created"))
            }
        return [plain(v) for v in value] if isinstance(value, list) else value

    found = plain(
        {name: record[name] for name in ("data", "plan", "baseline", "diagnosis", "trial", "final")}
    )
    return json.loads(json.dumps(found).replace(f'"{folder}', '"'))


BRIEF = ("--epochs", "60", "--folds", "2", "--repeats", "2", "--batch-size", "8")


@pytest.mark.thorough
def test_a_killed_run_is_resumed_and_ends_as_if_nothing_had_happened(home):
    """Killed while it measures and again while it treats, by the one signal that no process can catch."""
    arguments = ("improve", "table.csv", "--model", "my_model.py:build", *BRIEF)
    assert in_fresh_process(*arguments, "--out", "undisturbed", cwd=home).status == 0
    for command, word in (((*arguments, "--out", "run"), "Measure"), (("resume", "run"), "Treat")):
        process = start(*command, cwd=home)
        assert process.stderr is not None
        while word not in (line := process.stderr.readline()):
            assert line, "ended before it could be killed"
        time.sleep(2.0)
        assert process.poll() is None, "ended before it could be killed"
        process.kill()
        process.communicate(timeout=60)
    assert (home / "run" / "training").is_dir()
    ended = in_fresh_process("resume", "run", cwd=home)
    assert ended.status == 0, ended.err
    assert numbers_of(home, "run") == numbers_of(home, "undisturbed")
    assert not (home / "run" / "training").exists()
    again = in_fresh_process("resume", "run", cwd=home)
    assert again.status == 2
    assert again.lines[-1].startswith("caviar: Expected the folder of an unfinished run")


@pytest.mark.thorough
def test_ctrl_c_says_how_to_go_on(home):
    ended = stop_when("Treat", home, signal.SIGINT, after=0.5)
    assert "`caviar resume run` goes on" in ended.err
    (home / "run" / "training" / "notes.json").write_text("[1")
    refused = in_fresh_process("resume", "run", cwd=home)
    assert refused.status == 2
    assert "notes of a run" in refused.lines[-1]
