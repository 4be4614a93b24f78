"""The program as a person starts it: in a fresh process, or, where only its words matter, in this one."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from caviar.command import main as cli


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it wrote."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.strip()]

    def is_one_sentence(self) -> bool:
        """Exit status 2, nothing on stdout, and one line on stderr that begins with the program's name."""
        return self.status == 2 and not self.out and len(self.lines) == 1 and self.err.startswith("caviar: ")


def environment(**changes: str) -> dict[str, str]:
    """This process's environment without what other tests chose for Keras and JAX, and with `changes`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in {"KERAS_BACKEND", "XLA_FLAGS", "PYTHONWARNINGS"}
    }
    return kept | {"COLUMNS": "80"} | changes


def start(*arguments: object, cwd: Path, **changes: str) -> subprocess.Popen:
    """Start `caviar ARGUMENTS` in a fresh process."""
    return subprocess.Popen(
        [sys.executable, "-m", "caviar", *map(str, arguments)],
        cwd=cwd,
        env=environment(**changes),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def in_fresh_process(*arguments: object, cwd: Path, **changes: str) -> Ended:
    """Run `caviar ARGUMENTS` in a fresh process to its end."""
    process = start(*arguments, cwd=cwd, **changes)
    out, err = process.communicate(timeout=240)
    return Ended(process.returncode, out, err)


@pytest.fixture
def caviar(monkeypatch, capsys, tmp_path):
    """Run `caviar ARGUMENTS` in this process, inside an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["caviar", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return Ended(int(ended.value.code or 0), said.out, said.err)

    return run


SMALL = ("--epochs", "2", "--folds", "2", "--repeats", "1")

CLASSIFIER = """
import keras

def build(n_inputs, n_outputs):
    model = keras.Sequential([keras.Input((n_inputs,)), keras.layers.Dense(n_outputs, "sigmoid")])
    model.compile(keras.optimizers.SGD(0.1), "binary_crossentropy")
    return model
"""


def rows_of_two_classes(n: int, seed: int = 0) -> list[str]:
    """Comma-separated rows: two numbers (some missing), a color, and a quoted label that they decide."""
    rng = np.random.default_rng(seed)
    rows = []
    for i, (a, b) in enumerate(rng.normal(size=(n, 2))):
        first = "" if i % 11 == 0 else f"{a:.3f}"
        rows.append(
            f"{first},{b:.3f},{('red', 'green', 'blue')[i % 3]},{chr(39)}{1 if b > 0 else -1}{chr(39)}"
        )
    return rows


@pytest.fixture
def table(tmp_path) -> Path:
    """A table of 40 rows with the columns a, b, color and y; y holds '-1' and '1' in quotes."""
    path = tmp_path / "table.csv"
    path.write_text("a,b,color,y\n" + "\n".join(rows_of_two_classes(40)) + "\n")
    return path
