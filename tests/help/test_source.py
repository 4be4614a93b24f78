"""Facts about the code that is copied from a person's file: all that a builder needs, and nothing else."""

import pytest

from caviar.errors import ModelError
from caviar.help.source import builder_source

FILE = '''"""My study."""
import os
import sys
import keras
import pandas as pd
from keras import callbacks, layers
from keras.layers import Dense as D
from pieces import Scaled, WIDTH

os.environ["MY_TOKEN"] = "secret"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
keras.config.set_floatx("float32")
keras.utils.set_random_seed(3)
TABLE = pd.read_csv("patients.csv")
UNITS = [WIDTH]
UNITS.append(4)
PASSWORD = "xyz"


@keras.saving.register_keras_serializable()
class Twice(layers.Layer):
    def call(self, x):
        return 2 * x


def hidden(units):
    # as in the paper
    return D(units, activation="relu")


def build(n_inputs, n_outputs, rate=0.1):
    model = keras.Sequential([keras.Input((n_inputs,)), Twice(), Scaled(), *[hidden(u) for u in UNITS]])
    model.add(D(n_outputs))
    model.compile(keras.optimizers.Adam(rate), "mse")
    return model


def needs_table():
    return keras.Input((TABLE.shape[1],))


class Study:
    pass


if __name__ == "__main__":
    build(3, 1).fit(TABLE)
'''
PIECES = """import keras
import time

WIDTH = 8
OTHER = 9


class Scaled(keras.layers.Layer):
    def call(self, x):
        return x / WIDTH
"""


@pytest.fixture
def home(tmp_path):
    (tmp_path / "study.py").write_text(FILE)
    (tmp_path / "pieces.py").write_text(PIECES)
    return tmp_path


def test_what_the_builder_needs_is_copied_from_its_file_and_those_beside_it(home):
    source = builder_source(f"{home}/study.py:build")
    for needed in (
        "from keras.layers import Dense as D",
        "from keras import layers",
        "UNITS.append(4)",
        "WIDTH = 8",
        "class Scaled",
        "@keras.saving.register_keras_serializable()\nclass Twice",
        "# as in the paper",
        'os.environ["TF_CPP_MIN_LOG_LEVEL"]',
        'keras.config.set_floatx("float32")',
    ):
        assert needed in source.code, source.code
    assert source.arguments == ("n_inputs", "n_outputs", "rate")
    assert source.required == ("n_inputs", "n_outputs")
    assert source.beside == ()


def test_what_it_does_not_need_stays_at_home(home):
    code = builder_source(f"{home}/study.py:build").code
    for private in (
        "secret",
        "PASSWORD",
        "read_csv",
        "sys",
        "callbacks",
        "OTHER",
        "time",
        "set_random_seed",
        "pieces",
    ):
        assert private not in code
    assert "__main__" not in code


def test_the_copied_code_runs_alone(home):
    code = builder_source(f"{home}/study.py:build").code
    names = {}
    exec(compile(code, "example", "exec"), names)  # noqa: S102 - written above
    assert names["build"](3, 1).output_shape == (None, 1)


def test_the_file_is_read_not_run(tmp_path):
    (tmp_path / "m.py").write_text("raise SystemExit('ran')\ndef build():\n    return 1\n")
    assert builder_source(f"{tmp_path}/m.py:build").code == "def build():\n    return 1"


def test_a_module_of_ones_own_that_is_imported_whole_is_named(home):
    (home / "m.py").write_text("import pieces\n\n\ndef build():\n    return pieces.Scaled()\n")
    assert builder_source(f"{home}/m.py:build").beside == ("pieces",)


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("study.py", "file.py:function"),
        ("none.py:build", "found none"),
        ("study.py:nothing", "build"),
        ("study.py:needs_table", "line 14"),
        ("study.py:Study", "written with def"),
        ("broken.py:build", "Python file"),
        (":build", "file.py:function"),
    ],
)
def test_what_cannot_be_copied_is_refused_in_a_sentence(home, monkeypatch, reference, words):
    (home / "broken.py").write_text("def build(:\n")
    monkeypatch.chdir(home)
    with pytest.raises(ModelError, match="Expected") as refused:
        builder_source(reference)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
