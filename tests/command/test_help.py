"""Facts about `caviar help`: at once where the answer is known, modest where it is not, careful with files."""

import io
import subprocess
import sys

import pytest

from tests.command.conftest import CLASSIFIER


def test_a_known_error_is_answered_with_what_it_means_and_what_to_do(caviar):
    ended = caviar("help", "KeyError: 'val_acc'")
    assert ended.status == 0
    for words in ("history.history", "Means", "Do ", "val_accuracy", "print(list(history.history))"):
        assert words in ended.out


def test_a_question_needs_no_quotes_and_gets_a_command(caviar):
    ended = caviar("help", "how", "many", "repeats", "do", "I", "need")
    assert ended.status == 0
    assert "caviar stability TABLE --model file.py:build" in ended.out


def test_the_name_of_a_command_shows_its_options(caviar):
    assert caviar("help", "lr-range").out == caviar("lr-range", "--help").out


def test_what_is_not_known_is_said_so_and_others_are_named(caviar):
    ended = caviar("help", "FrobnicationError: the frobs are out")
    assert ended.status == 0
    flat = " ".join(ended.out.split())
    assert "not among those that Caviar knows" in flat
    assert "stackoverflow.com/questions/tagged/keras" in flat
    assert "may be gone" in flat
    assert [rule in flat for rule in ("Search first", "simplest form", "smallest example")] == [True] * 3


def test_the_text_may_come_from_stdin_or_from_a_log(caviar, monkeypatch, tmp_path):
    text = "Traceback (most recent call last):\n  File 'a.py'\nValueError: Invalid dtype: object\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    from_stdin = caviar("help", "-")
    (tmp_path / "train.log").write_text("Epoch 1/10\n" + text)
    assert from_stdin.out == caviar("help", "--log", "train.log").out
    assert "Text or mixed things in an array" in from_stdin.out


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([], "got nothing"),
        (["  "], "got nothing"),
        (["a", "--log", "b.log"], "got both"),
        (["--log", "none.log"], "none.log"),
        (["a", "--inputs", "3"], "--model beside --inputs"),
        (["a", "--target", "y"], "--model beside --target"),
        (["a", "--force"], "--model beside --force"),
        (["a", "--out", "b.py"], "--model beside --out"),
        (["a", "--model", "my_model.py:build"], "--table or --inputs"),
        (["a", "--model", "none.py:build", "--inputs", "3"], "none.py"),
        (["a", "--model", "my_model.py:other", "--inputs", "3"], "'other'"),
        (["a", "--model", "my_model.py:build", "--inputs", "3", "--out", "my_model.py"], "--force"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(caviar, tmp_path, words, named):
    (tmp_path / "my_model.py").write_text(CLASSIFIER)
    ended = caviar("help", *words)
    assert ended.is_one_sentence(), ended
    assert named in ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["my_model.py"]


def test_an_answer_waits_for_no_library():
    program = (
        "import sys\n"
        "sys.argv = ['caviar', 'help', 'KeyError: \\'acc\\'']\n"
        "from caviar.command import main as cli\n"
        "try:\n    cli.main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "print(*sorted({'keras', 'jax', 'polars', 'sklearn', 'pandas'} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""
    assert "history.history" in done.stdout


@pytest.mark.thorough
def test_an_example_is_written_and_its_place_is_said(caviar, tmp_path, table):
    (tmp_path / "my_model.py").write_text(
        CLASSIFIER.replace("keras.Input((n_inputs,))", "keras.Input((99,))")
    )
    error = "expected axis -1 of input shape to have value 99"
    ended = caviar("help", error, "--model", "my_model.py:build", "--table", table)
    assert ended.status == 0
    assert "show the same error" in " ".join(ended.out.split())
    assert "example.py (4 rows, 1 column)" in ended.out
    text = (tmp_path / "example.py").read_text()
    assert "Input((99,))" in text
    assert not any(word in text for word in ("color", "red", "green"))
