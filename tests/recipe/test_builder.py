"""The person's builder is found, called with what it asks for, and told apart from what is none."""

import sys
from functools import partial

import pytest

from caviar.errors import ModelError, OptionError
from caviar.recipe.builder import build_of, call_with, load_builder, read_searched
from caviar.recipe.hyperparameters import HyperParameters


@pytest.fixture
def script(tmp_path):
    """Write a Python file and return its path."""

    def write(text: str, name: str = "planted_model.py"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def refused(reference: object) -> str:
    """The sentence with which a reference is refused."""
    path = list(sys.path)
    with pytest.raises(ModelError) as error:
        load_builder(str(reference))
    assert sys.path == path
    text = str(error.value)
    assert text.startswith("Expected")
    assert text.endswith(".")
    assert "\n" not in text
    return text


def test_a_function_of_a_file_is_found_with_what_lies_beside_it(script):
    script("NUMBER = 7", "planted_neighbour.py")
    path = script("from planted_neighbour import NUMBER\ndef build():\n    return NUMBER")
    before = list(sys.path)
    assert load_builder(f"{path}:build")() == 7
    assert sys.path == before


def test_a_class_or_a_partial_is_a_builder_too(script):
    path = script("from functools import partial\nbuild = partial(int, '5')")
    assert load_builder(f"{path}:build")() == 5


@pytest.mark.parametrize("reference", ["my_model.py", "my_model.py:", ":build", "", "m.py:a-b", "m.py:a.b"])
def test_another_form_is_refused(reference):
    assert "file.py:function" in refused(reference)


def test_a_missing_file_is_named(tmp_path):
    assert str(tmp_path / "none.py") in refused(f"{tmp_path / 'none.py'}:build")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise ValueError('first line\\nsecond line')", "ValueError: first line"),
        ("def build(:", "SyntaxError"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import no_such_module_anywhere", "No module named"),
        ("raise KeyError", "KeyError"),
    ],
)
def test_a_file_that_does_not_run_is_reported_in_one_line(script, text, said):
    path = script(text)
    assert said in refused(f"{path}:build")
    assert "caviar_user_planted_model" not in sys.modules


@pytest.mark.parametrize(
    "text",
    ["import keras_tuner", "import keras_tuner as kt", "from keras_tuner import HyperModel"],
)
def test_where_keras_tuner_is_not_installed_a_file_is_told_which_import_does_as_well(
    script, monkeypatch, text
):
    monkeypatch.setitem(sys.modules, "keras_tuner", None)  # as if it were not there
    path = script(text)
    said = refused(f"{path}:build")
    assert f"Expected {path} to run as Python, but it imports keras_tuner" in said
    assert "Change that import to `import caviar.keras_tuner as keras_tuner`" in said


def test_a_file_that_is_no_python_is_refused(tmp_path):
    binary = tmp_path / "model.py"
    binary.write_bytes(b"\x00\x01\xff\xfe")
    refused(f"{binary}:build")
    other = tmp_path / "model.txt"
    other.write_text("def build(): ...")
    assert "(.py)" in refused(f"{other}:build")


def test_a_wrong_name_is_answered_with_the_functions_there_are(script):
    path = script("from math import sqrt\ndef one(): ...\ndef two(): ...\nbuild = 3")
    said = refused(f"{path}:build")
    assert "one, two" in said
    assert "sqrt" not in said
    assert "no function" in refused(f"{script('x = 1', 'empty_model.py')}:build")


def asks_nothing():
    return ()


def asks_all(hp, n_inputs, n_outputs):
    return hp, n_inputs, n_outputs


def asks_some(n_outputs, units=3):
    return n_outputs, units


def asks_by_position(n_inputs, units=3, hp=None, /):
    return n_inputs, units, hp


def asks_by_name(*, n_inputs=1, **others):
    return n_inputs, others


def asks_for_any(*values, **others):
    return values, others


def test_a_builder_gets_what_it_asks_for_and_nothing_else():
    assert call_with(asks_nothing, 4, 2) == ()
    hp, *numbers = call_with(asks_all, 4, 2)
    assert isinstance(hp, HyperParameters)
    assert numbers == [4, 2]
    assert call_with(asks_some, 4, 2) == (2, 3)
    assert call_with(asks_by_name, 4, 2) == (4, {})
    assert call_with(asks_for_any, 4, 2) == ((), {})
    assert call_with(partial(asks_some, units=9), 4, 2) == (2, 9)


def test_an_own_default_keeps_positional_arguments_in_their_place():
    n_inputs, units, hp = call_with(asks_by_position, 4, 2)
    assert (n_inputs, units) == (4, 3)
    assert isinstance(hp, HyperParameters)


def test_an_argument_that_nobody_can_fill_is_named():
    with pytest.raises(ModelError, match="also needs 'units'"):
        call_with(lambda units: units, 4, 2)


HYPER = """
class Own:
    def __init__(self, units=3):
        self.units = units
    def build(self, hp):
        return self.units
class Needs(Own):
    def __init__(self, units):
        self.units = units
class Network:
    def build(self, input_shape): ...
made = Needs(9)
def build(hp):
    return 5
number = 7
"""


@pytest.mark.parametrize(("name", "built"), [("Own", 3), ("made", 9), ("build", 5)])
def test_a_search_takes_a_hypermodel_its_class_or_a_function_of_a_file(script, name, built):
    path = script(HYPER)
    assert call_with(build_of(read_searched(f"{path}:{name}")), 4, 2) == built


def test_what_is_given_in_python_is_taken_likewise(script):
    found = read_searched(f"{script(HYPER)}:made")
    assert read_searched(found) is found
    assert read_searched(type(found).__base__).units == 3
    assert read_searched(asks_all) is asks_all


def test_a_network_that_is_a_class_is_a_builder_and_no_hypermodel(script):
    network = read_searched(f"{script(HYPER)}:Network")
    assert isinstance(network, type)
    assert build_of(network) is network


@pytest.mark.parametrize(
    ("name", "said"), [("Needs", "made without arguments.*'units'"), ("number", "build.*Name one of them")]
)
def test_what_no_search_can_ask_is_one_sentence(script, name, said):
    with pytest.raises(ModelError, match=f"^Expected .*{said}"):
        read_searched(f"{script(HYPER)}:{name}")
    with pytest.raises(OptionError, match="or a HyperModel, got int"):
        read_searched(3)
