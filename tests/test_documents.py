"""What README promises runs: its Python blocks, commands and options; what any page names exists."""

import re
import runpy
import shlex
from pathlib import Path

import pytest
import typer

from caviar.command.main import app

README = Path(__file__).parent.parent / "README.md"
PAGES = [README, *sorted((README.parent / "docs").glob("*.md"))]
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
COMMANDS = [
    line.split("#")[0].strip()
    for language, code in BLOCKS
    if language == "bash"
    for line in code.splitlines()
    if line.startswith("caviar ")
]


@pytest.mark.thorough
@pytest.mark.parametrize("code", [code for code in PYTHON if "# doctest: skip" not in code])
def test_a_python_block_runs(code):
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102 - our own document


@pytest.mark.parametrize("code", PYTHON)
def test_a_python_block_is_python(code):
    compile(code, "README.md", "exec")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_and_its_options_exist(command):
    words = shlex.split(command)[1:]
    known = typer.main.get_command(app).commands
    assert words[0] in known
    options = {
        option
        for parameter in known[words[0]].params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    assert {word for word in words if word.startswith("-")} <= options


def test_the_two_commands_of_readme_are_there():
    text = README.read_text(encoding="utf-8")
    for script in ("scripts/demo", "scripts/check"):
        assert f"bash {script}" in text
        assert (README.parent / script).is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_and_command_that_a_page_names_exists(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("http") or (page.parent / target).exists(), target
    for name in re.findall(r"(?<![\w/])(?:benchmarks|scripts|tests|src/caviar)/[\w/.-]*\w", text):
        assert (README.parent / name).exists(), name
    commands = typer.main.get_command(app).commands
    for name in re.findall(r"`caviar ([a-z-]+)[^`]*`", text):
        assert name in commands, name


def test_the_page_of_checks_is_that_of_the_tables():
    """Every check has an entry, and every threshold its meaning; `python scripts/checks_page.py` writes the page."""
    script = runpy.run_path(str(README.parent / "scripts" / "checks_page.py"))
    text = script["page"]()
    assert (README.parent / "docs" / "checks.md").read_text(encoding="utf-8") == text
    assert not re.search(r"^- .*: $", text, re.MULTILINE)


def test_the_reference_is_that_of_docstrings_and_tables():
    """Everything public and everything chosen by name; `python scripts/reference_page.py` writes the page."""
    script = runpy.run_path(str(README.parent / "scripts" / "reference_page.py"))
    text = script["page"]()
    assert (README.parent / "docs" / "reference.md").read_text(encoding="utf-8") == text
    assert "|  |" not in text
    assert not re.search(r"^### `caviar\.\w+`\n\n\n", text, re.MULTILINE)
