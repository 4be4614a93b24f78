"""Facts about the shape of the code: which way imports point, who knows JAX, and how files look."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "caviar"

# Data flows down the table on this page: a module imports only from its own package or from those above it.
PAGE = SOURCE.parent.parent / "docs" / "architecture.md"
ROWS = re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
LAYERS = tuple(name for name, _ in ROWS)
DOOR = "__init__"  # hands out the public names, when they are first used

KNOWS_KERAS = (
    "population",
    "recipe",
    "training",
    "remedies",
    "measuring",
    "model",
    "forecasting.rehearsal",
    "doctor.anatomy",
    "doctor.diagnose",
    "rates",
    "nursing.settings",
    "teaching",
    "lessons",
    "keras_tuner",
)
# Swaps layers in a graph, for which Keras has no public name.
KNOWS_KERAS_INTERNALS = ("population", "remedies.rewrite")
KNOWS_JAX = ("population",)

LONGEST_FILE = 700


@cache
def modules() -> dict[str, str]:
    """The text of every module of the package by its name, without `caviar.`; a package by its folder's name."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        found[name] = path.read_text(encoding="utf-8")
    return found


def imported(name: str) -> Iterator[str]:
    """Everything that a module imports, wherever in it, by full name."""
    for node in ast.walk(ast.parse(modules()[name])):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name} imports relatively"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full.removeprefix("caviar.") in modules() else str(node.module)


def layer_of(name: str) -> int:
    package = name.partition(".")[0]
    assert package in LAYERS, f"{name} belongs to no layer: give it a place in docs/architecture.md"
    return LAYERS.index(package)


def belongs(name: str, to: tuple[str, ...]) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in to)


@pytest.mark.parametrize("name", [name for name in modules() if name != DOOR])
def test_imports_point_up_the_list_of_layers(name):
    ours = [other.removeprefix("caviar.") for other in imported(name) if other.startswith("caviar.")]
    later = [other for other in ours if layer_of(other) > layer_of(name)]
    assert not later, f"{name} imports from later layers: {later}"


@pytest.mark.parametrize(("name", "said"), ROWS)
def test_the_page_says_of_every_layer_what_its_docstring_says(name, said):
    assert modules()[name].split('"""')[1].splitlines()[0] == said


@pytest.mark.parametrize(
    ("package", "knowing"),
    [("jax", KNOWS_JAX), ("keras", KNOWS_KERAS), ("keras.src", KNOWS_KERAS_INTERNALS)],
)
def test_only_some_layers_know_keras_and_jax(package, knowing):
    users = {name for name in modules() if any(belongs(other, (package,)) for other in imported(name))}
    assert users, f"nobody imports {package}: this test looks at nothing"
    assert [name for name in users if not belongs(name, knowing)] == []
    assert [part for part in knowing if not any(belongs(name, (part,)) for name in users)] == []


def test_statistics_diagnosis_and_report_load_without_keras_and_jax():
    program = (
        "import sys\n"
        "import caviar.diagnose.learning, caviar.evaluate.compare, caviar.report.page, caviar.report.terminal\n"
        "print(*sorted({'keras', 'jax'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("forbidden", ["pickle", "joblib", "cloudpickle", "dill", "shelve", "marshal"])
def test_nothing_is_stored_in_a_form_that_can_run_code(forbidden):
    assert [name for name in modules() if any(belongs(other, (forbidden,)) for other in imported(name))] == []


@pytest.mark.parametrize(
    "pattern", [r"allow_pickle", r"enable_unsafe_deserialization", r"safe_mode=False", r"\beval\("]
)
def test_nothing_is_loaded_in_a_way_that_can_run_code(pattern):
    assert [name for name, text in modules().items() if re.search(pattern, text)] == []


@pytest.mark.parametrize("name", modules())
def test_a_file_says_first_which_question_it_answers_and_stays_short(name):
    text = modules()[name]
    assert text.startswith('"""'), f"{name} does not begin with a docstring"
    assert len(text.splitlines()) <= LONGEST_FILE


def test_only_those_who_speak_to_a_person_print():
    calls = {
        name
        for name, text in modules().items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert calls == set()


@pytest.mark.parametrize("name", ["utils", "helpers", "misc", "common"])
def test_no_module_is_a_drawer_for_everything(name):
    assert [module for module in modules() if name in module.split(".")] == []


def test_public_names_stay_functions_whatever_is_imported_first():
    """`import caviar.look` would put the module in the place of the function of that name."""
    program = (
        "import caviar.look, caviar.predict, caviar.diagnose.facts, caviar.tune.table, caviar.plots\n"
        "import caviar.evaluate.compare\n"
        "import caviar\n"
        "names = [name for name in caviar.__all__ if name not in {'plots', 'schedules'}]\n"
        "for name in names:\n    assert callable(getattr(caviar, name)), name\n"
        "    assert callable(getattr(caviar, name)), f'{name}, asked a second time'\n"
        "assert issubclass(caviar.schedules.Cyclical, object)\n"
        "assert callable(caviar.plots.contour)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
