"""Facts about the command line itself: help, version, mistyped options, and what it costs to start."""

import subprocess
import sys
import time

import pytest

from tests.command.conftest import environment, in_fresh_process

COMMANDS = ("improve", "compare", "stability", "look", "predict", "report", "queue", "recheck", "plan")


def test_help_lists_every_command(tmp_path):
    ended = in_fresh_process("--help", cwd=tmp_path)
    assert ended.status == 0
    assert not ended.err
    for command in COMMANDS:
        assert f"  {command}" in ended.out


def test_what_a_command_does_is_said_in_full_in_the_list(tmp_path):
    """Three dots where the line ends leave out what tells one command from the other."""
    assert "..." not in in_fresh_process("--help", cwd=tmp_path).out.partition("Commands:")[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_within_80_columns(caviar, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    ended = caviar(command, "--help")
    assert ended.status == 0
    assert ended.out.startswith(f"Usage: caviar {command}")
    assert max(map(len, ended.out.splitlines())) <= 80


def test_help_starts_neither_keras_nor_jax_and_is_quick(tmp_path):
    """Both take seconds to import, and nobody waits for seconds to read a help text."""
    program = (
        "import sys\n"
        "from caviar.command import main as cli\n"
        "try:\n    cli.app(['--help'], standalone_mode=False)\n"
        "finally:\n    print('LOADED', *sorted({'keras', 'jax', 'sklearn', 'polars'} & set(sys.modules)))\n"
    )
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "LOADED"
    assert time.monotonic() - began < 5  # 0.2 s on an idle machine; a busy one must not fail the build


def test_version_is_said_without_a_command(caviar):
    ended = caviar("--version")
    assert ended.status == 0
    assert ended.out.startswith("caviar 0.")


def test_without_arguments_the_help_is_shown_as_a_mistake(caviar):
    ended = caviar()
    assert ended.status == 2
    assert "Usage:" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["improve"], "table"),
        (["imrpove", "table.csv"], "imrpove"),
        (["improve", "table.csv", "--epoch", "3"], "--epochs"),
        (["improve", "table.csv", "--epochs", "many"], "--epochs"),
        (["improve", "table.csv", "--minutes"], "--minutes"),
        (["improve", "one.csv", "two.csv"], "two.csv"),
        (["predict", "run"], "rows"),
        (["report"], "run"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_a_mistyped_command_line_is_one_sentence_that_names_the_mistake(caviar, arguments, named):
    ended = caviar(*arguments)
    assert ended.is_one_sentence(), ended
    assert named in ended.err


def test_a_mistyped_option_is_one_sentence_in_a_fresh_process_too(tmp_path):
    ended = in_fresh_process("improve", "table.csv", "--epoch", "3", cwd=tmp_path)
    assert ended.is_one_sentence(), ended


def test_line_breaks_and_control_characters_of_a_table_do_not_reach_the_message(caviar, tmp_path):
    (tmp_path / "t.csv").write_text('"a\nb","c\x1b[31m"\n1,2\n3,4\n')
    ended = caviar("look", "t.csv", "--target", "nope")
    assert ended.is_one_sentence(), ended
    assert ended.err.strip().isprintable()


def test_a_line_of_code_that_warns_again_and_again_is_shown_once(tmp_path):
    """Models are built and traced dozens of times."""
    program = tmp_path / "warns.py"
    program.write_text(
        "import warnings\nfrom caviar.command import main\nmain._warn_once()\n"
        "for shape in (1, 2, 3):\n    warnings.warn(f'a softmax over {shape}')\nwarnings.warn('another')\n"
    )
    ended = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True)
    assert [
        line.split("UserWarning: ")[1] for line in ended.stderr.splitlines() if "UserWarning: " in line
    ] == [
        "a softmax over 1",
        "another",
    ]


def test_a_question_at_the_end_of_a_sentence_has_no_full_stop(caviar):
    ended = caviar("imprve")
    assert ended.is_one_sentence()
    assert "'? `caviar --help` shows" in ended.err
