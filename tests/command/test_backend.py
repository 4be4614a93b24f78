"""Facts about processes in which Keras or JAX is set up otherwise than Caviar needs."""

import json
import subprocess
import sys

import pytest

from tests.command.conftest import CLASSIFIER, environment, rows_of_two_classes

IMPROVE = (
    "import importlib, caviar\n"
    "importlib.import_module('caviar.improving.improve').REMEDIES = ()  # the baseline is enough here\n"
    "run = caviar.improve('table.csv', model='my_model.py:build', epochs=2, folds=2, repeats=1, out='run')\n"
    "import keras, jax\n"
    "print(keras.backend.backend(), len(jax.devices()), run.record.status)\n"
)


@pytest.fixture
def home(tmp_path):
    (tmp_path / "table.csv").write_text("a,b,color,y\n" + "\n".join(rows_of_two_classes(40)) + "\n")
    (tmp_path / "my_model.py").write_text(CLASSIFIER)
    return tmp_path


def python(program: str, home, **changes: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=home,
        env=environment(**changes),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.thorough
def test_jax_is_the_backend_whatever_environment_and_keras_settings_say(home):
    (home / "settings").mkdir()
    (home / "settings" / "keras.json").write_text(json.dumps({"backend": "torch"}))
    done = python(IMPROVE, home, KERAS_BACKEND="tensorflow", KERAS_HOME=str(home / "settings"))
    assert done.returncode == 0, done.stderr
    backend, _, status = done.stdout.split()[-3:]
    assert (backend, status) == ("jax", "finished")


@pytest.mark.thorough
def test_keras_on_another_backend_is_an_error_that_says_what_to_do(home):
    (home / "run").mkdir()
    (home / "run" / "record.json").write_text("{}")
    program = (
        "import keras, caviar\n"
        "assert keras.backend.backend() == 'numpy'\n"
        "for call in (lambda: caviar.improve('table.csv'), lambda: caviar.predict('run', 'table.csv')):\n"
        "    try:\n        call()\n"
        "    except caviar.CaviarError as error:\n        print(type(error).__name__, error)\n"
    )
    done = python(program, home, KERAS_BACKEND="numpy")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2
    for line in done.stdout.splitlines():
        assert line.startswith("BackendError Expected Keras on its JAX backend")
        assert "before keras" in line
    assert sorted(path.name for path in home.iterdir()) == ["my_model.py", "run", "table.csv"]


@pytest.mark.thorough
def test_jax_that_already_runs_on_one_device_is_used_and_what_that_costs_is_said(home):
    program = "import jax\nassert len(jax.devices()) == 1\n" + IMPROVE
    done = python(program, home)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-3:] == ["jax", "1", "finished"]
    cores = int(python("import os; print(len(os.sched_getaffinity(0)))", home).stdout)
    if cores > 1:
        messages = json.loads((home / "run" / "record.json").read_text())["messages"]
        assert any(f"expect up to {cores} times the time" in message for message in messages)
