"""Facts about runs that do not reach their end: stopped by hand, killed, or short of time."""

import json
import signal
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Ended, in_fresh_process, rows_of_two_classes, start

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
    assert (home / "run" / "report.html").is_file()
    assert in_fresh_process("report", "run", cwd=home).status == 0


def test_a_run_that_was_killed_can_still_be_reported(home):
    stop_when("Treat", home, signal.SIGKILL, after=1.0)
    record = record_of(home)
    assert record["status"] == "running"
    assert record["baseline"] is not None
    ended = in_fresh_process("report", "run", cwd=home)
    assert (ended.status, ended.err) == (0, "")
    assert (home / "run" / "report.html").is_file()
