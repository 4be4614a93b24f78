"""Facts about what cannot work: one sentence, exit status 2, and nothing left behind."""

from pathlib import Path

import pytest

from tests.command.conftest import CLASSIFIER, SMALL, in_fresh_process, rows_of_two_classes

HEAD = "a,b,color,y\n"


def _column(cells: list[object]) -> str:
    return "a,y\n" + "".join(f"{i * 7 % 13},{cell}\n" for i, cell in enumerate(cells))


TABLES = {
    "empty": b"",
    "blank": b"\n\n  \n",
    "only a header": HEAD.encode(),
    "one row": f"{HEAD}1,2,red,yes\n".encode(),
    "one class": _column(["yes"] * 20).encode(),
    "inputs all missing": ("a,y\n" + ",0\n,1\n" * 10).encode(),
    "target all missing": _column([""] * 20).encode(),
    "a missing target": _column([i * 1.5 for i in range(20)] + [""]).encode(),
    "a target that is not a number": _column([i * 1.5 for i in range(20)] + ["nan"]).encode(),
    "an infinite target": _column([i * 1.5 for i in range(20)] + ["inf"]).encode(),
    "a class with one row": _column(["a", "b"] * 10 + ["rare"]).encode(),
    "binary": bytes(range(256)) * 20,
    "a zip archive": b"PK\x03\x04" + bytes(200),
    "two columns of one name": b"a,a,y\n1,2,0\n3,4,1\n5,6,0\n7,8,1\n",
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_cannot_be_learned_from_is_one_sentence(caviar, tmp_path, name):
    (tmp_path / "t.csv").write_bytes(TABLES[name])
    ended = caviar("improve", "t.csv", *SMALL)
    assert ended.is_one_sentence(), ended
    assert left_behind(tmp_path) == ["t.csv"]


@pytest.mark.parametrize(
    ("named", "options"),
    [
        ("nope", ["--target", "nope"]),
        ("99", ["--target", "99"]),
        ("-9", ["--target", "-9"]),
        ("nope", ["--drop", "nope"]),
        ("nope", ["--group", "nope"]),
        ("color", ["--weight", "color"]),
        ("color", ["--time", "color"]),
        ("color", ["--target", "color", "--task", "regression"]),
        ("y", ["--group", "y"]),
        ("y", ["--drop", "y"]),
        ("a", ["--drop", "a", "--drop", "b", "--drop", "color"]),
        ("folds", ["--folds", "41"]),
        ("Expected folds", ["--folds", "1"]),
        ("Expected repeats", ["--repeats", "0"]),
        ("Expected epochs", ["--epochs", "0"]),
        ("Expected batch size", ["--batch-size", "0"]),
        ("Expected minutes", ["--minutes", "0"]),
        ("Expected minutes", ["--minutes", "-1"]),
        ("Expected minutes", ["--minutes", "nan"]),
        ("Expected rope", ["--rope", "-0.1"]),
        ("--task", ["--task", "nonsense"]),
        ("nonsense", ["--metric", "nonsense"]),
        ("mae", ["--metric", "mae"]),
        ("--sep", ["--sep", "::"]),
        ("missing.csv", ["--test", "missing.csv"]),
        ("model.py", ["--model", "model.py"]),
        ("missing.py", ["--model", "missing.py:build"]),
    ],
)
def test_an_option_that_cannot_be_used_is_one_sentence_that_names_it(caviar, table, named, options):
    ended = caviar("improve", table.name, *options)
    assert ended.is_one_sentence(), ended
    assert named in ended.err
    assert left_behind(table.parent) == [table.name]


def test_a_missing_table_and_a_folder_are_one_sentence(caviar, tmp_path):
    for place in ("missing.csv", "."):
        assert caviar("improve", place, *SMALL).is_one_sentence()
    assert not left_behind(tmp_path)


def test_a_test_file_without_the_target_is_one_sentence(caviar, table):
    (table.parent / "test.csv").write_text("a,b,color\n1,2,red\n")
    ended = caviar("improve", table.name, "--test", "test.csv", *SMALL)
    assert ended.is_one_sentence(), ended
    assert left_behind(table.parent) == ["table.csv", "test.csv"]


SEQUENTIAL = (
    "import keras\ndef build(n_inputs):\n    model = keras.Sequential([keras.Input(({inputs},)), {last}])\n"
)
BUILDERS = {
    "raises": "def build():\n    raise ValueError('out of luck\\nand more')",
    "returns nothing": "def build():\n    pass",
    "returns something else": "def build():\n    return 3",
    "is not compiled": SEQUENTIAL.format(inputs="n_inputs", last="keras.layers.Dense(1)")
    + "    return model",
    "has no loss": SEQUENTIAL.format(inputs="n_inputs", last="keras.layers.Dense(1)")
    + "    model.compile('sgd')\n    return model",
    "has an unknown loss": SEQUENTIAL.format(inputs="n_inputs", last="keras.layers.Dense(1)")
    + "    model.compile('sgd', 'no such loss')\n    return model",
    "has an unknown metric": SEQUENTIAL.format(inputs="n_inputs", last="keras.layers.Dense(1)")
    + "    model.compile('sgd', 'binary_crossentropy', metrics=['no such metric'])\n    return model",
    "takes another width": SEQUENTIAL.format(inputs="77", last="keras.layers.Dense(1)")
    + "    model.compile('sgd', 'binary_crossentropy')\n    return model",
    "gives another width": SEQUENTIAL.format(inputs="n_inputs", last="keras.layers.Dense(7)")
    + "    model.compile('sgd', 'binary_crossentropy')\n    return model",
    "has two outputs": (
        "import keras\ndef build(n_inputs):\n    x = keras.Input((n_inputs,))\n"
        "    model = keras.Model(x, [keras.layers.Dense(1)(x), keras.layers.Dense(1)(x)])\n"
        "    model.compile('sgd', 'mse')\n    return model"
    ),
    "needs an unknown argument": "def build(width):\n    pass",
    "is missing": "def other():\n    pass",
    "is no function": "build = 3",
    "has a typing mistake": "def build(:\n    pass",
    "ends the program": "import sys\nsys.exit(3)",
}


@pytest.mark.parametrize("name", BUILDERS)
def test_a_builder_that_cannot_be_trained_is_one_sentence(caviar, table, name):
    (table.parent / "my_model.py").write_text(BUILDERS[name])
    ended = caviar("improve", table.name, "--model", "my_model.py:build", *SMALL)
    assert ended.is_one_sentence(), ended
    assert left_behind(table.parent) == ["my_model.py", "table.csv"]


def test_what_a_builder_raised_is_repeated(caviar, table):
    (table.parent / "my_model.py").write_text(BUILDERS["raises"])
    ended = caviar("improve", table.name, "--model", "my_model.py:build", *SMALL)
    assert "ValueError: out of luck" in ended.err


@pytest.mark.parametrize("place", ["table.csv/run", "/proc/caviar-run", "table.csv", "full"])
def test_a_place_where_no_run_can_be_written_is_one_sentence(caviar, table, place):
    (table.parent / "full").mkdir()
    (table.parent / "full" / "mine.txt").write_text("keep me")
    (table.parent / "my_model.py").write_text(CLASSIFIER)
    ended = caviar("improve", table.name, "--model", "my_model.py:build", "--out", place, *SMALL)
    assert ended.is_one_sentence(), ended
    assert "Name a" in ended.err
    assert left_behind(table.parent) == ["full", "full/mine.txt", "my_model.py", "table.csv"]


@pytest.mark.thorough
def test_bad_input_is_one_sentence_in_a_fresh_process_with_keras_loaded(table):
    """Neither Keras nor JAX may add words of their own."""
    (table.parent / "my_model.py").write_text(BUILDERS["raises"])
    ended = in_fresh_process("improve", table.name, "--model", "my_model.py:build", cwd=table.parent)
    assert ended.is_one_sentence(), ended
    assert left_behind(table.parent, "__pycache__") == ["my_model.py", "table.csv"]


@pytest.mark.parametrize("command", [["predict", "no-run", "table.csv"], ["report", "no-run"]])
def test_a_run_that_is_not_there_is_one_sentence(caviar, table, command):
    assert caviar(*command).is_one_sentence()
    assert left_behind(table.parent) == ["table.csv"]


@pytest.mark.parametrize("content", [b'{"status": "fini', b"[]", b'{"no": "record"}', bytes(range(256))])
def test_a_record_that_is_none_is_one_sentence(caviar, table, content):
    (table.parent / "run").mkdir()
    (table.parent / "run" / "record.json").write_bytes(content)
    for command in (["report", "run"], ["predict", "run", "table.csv"]):
        assert caviar(*command).is_one_sentence()
    assert left_behind(table.parent) == ["run", "run/record.json", "table.csv"]


def test_the_folder_of_a_command_whose_page_cannot_be_drawn_again_is_one_sentence(caviar, table):
    """The page is there, and nobody looks for a record that such a command never leaves."""
    (table.parent / "study").mkdir()
    (table.parent / "study" / "report.html").write_text("<p>")
    ended = caviar("report", "study")
    assert ended.is_one_sentence()
    assert "study/report.html" in ended.err
    assert "record.json" not in ended.err


def test_predicting_with_a_run_that_has_no_model_is_one_sentence(caviar, table):
    (table.parent / "run").mkdir()
    (table.parent / "run" / "record.json").write_text("{}")
    assert caviar("predict", "run", "table.csv").is_one_sentence()


def test_rows_of_two_classes_are_what_the_other_tests_take_them_for():
    rows = rows_of_two_classes(40)
    assert {row.rpartition(",")[2] for row in rows} == {"'1'", "'-1'"}


def left_behind(folder: Path, *without: str) -> list[str]:
    """All that lies in a folder, however deep."""
    found = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    return [str(path) for path in found if not set(path.parts) & {*without, "__pycache__"}]
