"""Facts about the smallest example: it shows the error, runs alone, and holds no row of anybody's."""

import ast
import re
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

import caviar
from caviar.errors import CaviarError
from caviar.help import example as examples
from caviar.help.likeness import of_shape, of_table
from caviar.help.raised import Raised

BUILDERS = """import keras
from keras import layers


def narrow(n_inputs):
    model = keras.Sequential([keras.Input((7,)), layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def fine(n_inputs, n_outputs):
    model = keras.Sequential([keras.Input((n_inputs,)), layers.Dense(n_outputs, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy")
    return model


def asking(hp, n_inputs):
    units = hp.Int("units", 4, 64, step=4)
    rate = hp.Choice("rate", [0.01, 0.1])
    model = keras.Sequential([keras.Input((n_inputs,)), layers.Dense(units), layers.Dense("1")])
    model.compile(keras.optimizers.SGD(rate), "mse")
    return model


def needy(width):
    return width


def several():
    image, meta = keras.Input((6, 6, 1), name="image"), keras.Input((3,), name="meta")
    joined = layers.Concatenate()([layers.Flatten()(image), meta])
    price, kind = layers.Dense(1, name="price")(joined), layers.Dense(3, activation="softmax", name="kind")(joined)
    model = keras.Model({"image": image, "meta": meta}, {"price": price, "kind": kind})
    model.compile("adam", {"price": "mse", "kind": "sparse_categorical_crossentropy"})
    return model


def two_in_a_list():
    left, right = keras.Input((4,)), keras.Input((2,))
    model = keras.Model([left, right], layers.Add()([layers.Dense(3)(left), layers.Dense(2)(right)]))
    model.compile("adam", "mse")
    return model
"""
NARROW = "ValueError: Input 0 with name 'None' of layer 'dense_3' is incompatible with the layer: expected axis -1 of "
NARROW += "input shape to have value 7, but received input with shape (32, 9)"
OBJECT = "ValueError: Invalid dtype: object"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with builders and a table of people, whom nobody else may read about."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(BUILDERS)
    rng = np.random.default_rng(0)
    people = pl.DataFrame(
        {
            "weight": [81.375 + i for i in range(60)],
            "height": rng.integers(150, 200, 60),
            "hometown": ["Trondheim", "Bergen", "Tromsø"] * 20,
            "income": [None if i == 3 else 1e4 + i for i in range(60)],
            "diagnosis": ["asthma", "gout"] * 30,
        }
    )
    people.write_csv(tmp_path / "people.csv")
    return tmp_path


@pytest.fixture
def pretended(monkeypatch):
    """Replace the runs by a rule: from an example's text to what it raises."""

    def pretend(rule):
        ran = []

        def run(_, script):
            ran.append(script)
            ast.parse(script)
            return examples.Tried(rule(script))

        monkeypatch.setattr(examples._Runner, "_run", run)
        return ran

    return pretend


def rows_of(script):
    return int(re.search(r"size=\(?(\d+)", script)[1])


def width_of(script):
    return int(re.search(r"size=\(\d+, (\d+)\)", script)[1])


def test_it_is_made_as_small_as_the_error_allows(home, pretended):
    """Planted: the error needs 40 rows and 2 columns; fewer epochs do no harm."""
    raised = Raised("ValueError", "Planted: it broke at row 17 of the batch")
    pretended(lambda script: raised if rows_of(script) >= 40 and width_of(script) >= 2 else None)
    made = caviar.smallest_example(
        "mine.py:fine",
        error="ValueError: Planted: it broke at row 400 of the batch",
        inputs=9,
        epochs=20,
        batch_size=8,
    )
    assert (made.outcome, made.rows, made.columns) == ("shown", 40, 2)
    assert "epochs=1, verbose" in made.text
    assert "batch_size" not in made.text
    assert (home / "example.py").read_text() == made.text


@pytest.mark.usefixtures("home")
def test_where_little_is_enough_two_runs_are(pretended):
    ran = pretended(lambda _: Raised("ValueError", "Invalid dtype: object"))
    made = caviar.smallest_example("mine.py:fine", error=OBJECT, inputs=9, epochs=20)
    assert (made.rows, made.columns, len(ran)) == (4, 1, 2)


@pytest.mark.usefixtures("home")
def test_several_inputs_and_outputs_are_dictionaries_or_lists(pretended):
    """Each output's target is drawn as its own loss wants it; fewer rows are drawn of all alike."""
    ran = pretended(lambda _: Raised("ValueError", "Planted: it broke"))
    made = caviar.smallest_example("mine.py:several", inputs="image=6x6x1 meta=3", outputs="price=1 kind=3")
    for line in (
        '"image": rng.normal(size=(4, 6, 6, 1)),',
        '"meta": rng.normal(size=(4, 3)),',
        '"price": rng.normal(size=4),',
        '"kind": rng.integers(0, 3, size=4),',
    ):
        assert line in made.text
    assert made.columns == 39
    caviar.smallest_example("mine.py:two_in_a_list", inputs="4 2", outputs="3", force=True)
    assert (
        "x = [\n    rng.normal(size=(100, 4)),\n    rng.normal(size=(100, 2)),\n]\ny = rng.normal(size=(100, 3))"
        in ran[-2]
    )


@pytest.mark.usefixtures("home")
def test_another_error_is_not_passed_off_as_the_one_asked_about(pretended):
    pretended(lambda _: Raised("TypeError", "something else"))
    made = caviar.smallest_example("mine.py:fine", error=NARROW, inputs=9)
    assert made.outcome == "another"
    assert "another error than yours: TypeError: something else" in made.sentence


@pytest.mark.usefixtures("home")
def test_a_model_that_trains_on_made_up_data_puts_the_blame_elsewhere(pretended):
    ran = pretended(lambda _: None)
    made = caviar.smallest_example("mine.py:fine", error=OBJECT, table="people.csv")
    assert made.outcome == "no error"
    assert "not in the model's code" in made.sentence
    assert len(ran) == 6  # as a frame, as objects, and as numbers with each form of the target


@pytest.mark.usefixtures("home")
def test_no_row_name_or_level_of_the_table_is_in_it(pretended):
    ran = pretended(
        lambda script: Raised("ValueError", "Invalid dtype: object") if "to_numpy" in script else None
    )
    made = caviar.smallest_example("mine.py:fine", error=OBJECT, table="people.csv")
    assert made.outcome == "shown"
    for script in (*ran, made.text):
        for private in (
            "Bergen",
            "Tromsø",
            "asthma",
            "gout",
            "hometown",
            "income",
            "diagnosis",
            "81.375",
            "people",
        ):
            assert private not in script
    assert made.columns == 1  # the column of text shows it alone
    assert "rng.choice(['a', 'b', 'c']" in made.text


def test_a_code_that_names_columns_is_pointed_out(home, pretended):
    pretended(lambda _: None)
    (home / "named.py").write_text('COLUMN = "hometown"\n\n\ndef build():\n    return COLUMN\n')
    made = caviar.smallest_example("named.py:build", table="people.csv")
    assert "hometown" in made.remarks[0]


def test_a_table_keeps_its_shape_and_its_types():
    """Of iris: four floats, three classes by name."""
    likeness = of_table("sample:iris", {})
    assert [column.kind for column in likeness.columns] == ["float"] * 4
    assert (likeness.rows, likeness.row_shape, likeness.n_outputs) == (150, (4,), 3)
    assert [target.kind for target in likeness.targets] == ["names", "codes", "column", "one-hot"]


@pytest.mark.usefixtures("home")
def test_types_and_gaps_are_told_apart():
    likeness = of_table("people.csv", {"target": "diagnosis"})
    assert [column.kind for column in likeness.columns] == ["float", "int", "text", "float"]
    assert [column.has_gaps for column in likeness.columns] == [False, False, False, True]


@pytest.mark.parametrize(
    ("outputs", "task", "code", "kind"),
    [
        (1, None, "loss = 'binary_crossentropy'", "codes"),
        (1, None, "loss = 'mse'", "values"),
        (3, "regression", "loss = 'categorical_crossentropy'", "values"),
        (1, "binary", "loss = 'mse'", "codes"),
        (10, None, "keras.losses.SparseCategoricalCrossentropy()", "codes"),
    ],
)
def test_the_loss_tells_the_target_where_nothing_else_does(outputs, task, code, kind):
    assert of_shape(4, outputs, task, code).targets[0].kind == kind


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "--table or --inputs"),
        ({"inputs": 3, "table": "people.csv"}, "got both"),
        ({"inputs": "many"}, "28x28x1"),
        ({"inputs": 0}, "28x28x1"),
        ({"inputs": 3, "outputs": 0}, "--outputs"),
        ({"inputs": "a=3 5"}, "a=3 b=5"),
        ({"inputs": "a=3 a=5"}, "a=3 b=5"),
        ({"inputs": 3, "outputs": "price=1 kind="}, "a=28x28x1 b=5"),
        ({"inputs": 3, "epochs": 0}, "--epochs"),
        ({"inputs": 3, "batch_size": 0}, "--batch-size"),
        ({"inputs": 3, "task": "magic"}, "--task"),
        ({"inputs": 3, "target": "diagnosis"}, "--table beside --target"),
        ({"inputs": 3, "out": "taken.py"}, "--force"),
        ({"inputs": 3, "out": "."}, "folder"),
        ({"inputs": 3, "model": "mine.py:needy"}, "'width'"),
        ({"table": "none.csv"}, "none.csv"),
        ({"table": "people.csv", "target": "nope"}, "nope"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(home, pretended, options, words):
    ran = pretended(lambda _: None)
    (home / "taken.py").write_text("mine")
    with pytest.raises(CaviarError, match=re.escape(words)) as refused:
        caviar.smallest_example(**{"model": "mine.py:fine", **options})
    assert "\n" not in str(refused.value)
    assert ran == []
    assert (home / "taken.py").read_text() == "mine"
    assert not (home / "example.py").exists()


def test_force_writes_over_a_file(home, pretended):
    pretended(lambda _: None)
    (home / "example.py").write_text("mine")
    made = caviar.smallest_example("mine.py:fine", inputs=3, force=True)
    assert (home / "example.py").read_text() == made.text


@pytest.mark.thorough
def test_the_written_program_shows_the_error_by_itself(home):
    made = caviar.smallest_example("mine.py:narrow", error=NARROW, inputs=9, outputs=3)
    assert (made.outcome, made.rows, made.columns) == ("shown", 4, 1)
    done = subprocess.run(
        [sys.executable, "-I", home / made.path], capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.returncode == 1
    assert "expected axis -1 of input shape to have value 7" in done.stderr
    assert re.search(r"^# Python 3\.\S+, Keras 3\.\S+ on jax \S+, NumPy \S+, \w+", made.text, re.MULTILINE)


@pytest.mark.thorough
@pytest.mark.usefixtures("home")
def test_text_in_a_table_shows_the_error_that_keras_has_for_it():
    made = caviar.smallest_example("mine.py:fine", error=OBJECT, table="people.csv", target="diagnosis")
    assert (made.outcome, made.columns) == ("shown", 1)
    assert made.raised.headline == OBJECT


@pytest.mark.thorough
@pytest.mark.usefixtures("home")
def test_models_of_several_inputs_and_outputs_run_on_made_up_data():
    fine = caviar.smallest_example("mine.py:several", inputs="image=6x6x1 meta=3", outputs="price=1 kind=3")
    assert fine.outcome == "no error", fine.sentence
    broken = caviar.smallest_example(
        "mine.py:several", inputs="image=6x6x1 meta=5", outputs="price=1 kind=3", force=True
    )
    assert (broken.outcome, broken.rows) == ("raises", 4)
    assert "meta" in broken.raised.message


@pytest.mark.thorough
@pytest.mark.usefixtures("home")
def test_a_builder_that_asks_hp_runs_with_defaults():
    made = caviar.smallest_example("mine.py:asking", inputs=3)
    assert made.outcome == "raises"
    assert "positive integer" in made.raised.message


@pytest.mark.thorough
@pytest.mark.usefixtures("home")
def test_a_healthy_model_trains_on_made_up_data():
    assert caviar.smallest_example("mine.py:fine", table="people.csv").outcome == "no error"
