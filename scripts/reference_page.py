"""Write docs/reference.md: what can be called from Python, and what can be chosen by its name.

    python scripts/reference_page.py

Everything on the page comes from docstrings and from the tables of scores, searches and remedies; a test says whether
it is up to date.
"""

import inspect
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import caviar
from caviar.evaluate.metrics import CLASSIFICATION, METRICS
from caviar.population import devices
from caviar.remedies.table import REMEDIES
from caviar.tune.table import SEARCHES

devices.start()

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference.md"


def said(what: object) -> str:
    """The first paragraph of a docstring, as one line."""
    return " ".join((inspect.getdoc(what) or "").split("\n\n", maxsplit=1)[0].split())


def called(name: str, what: object) -> str:
    """How it is called: what has no default stands by its name, what has one with it."""
    if not inspect.isfunction(what):
        return f"caviar.{name}"
    words, is_named = [], False
    for parameter in inspect.signature(what).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not is_named:
            words.append("*")
            is_named = True
        if parameter.kind is parameter.VAR_POSITIONAL:
            words.append(f"*{parameter.name}")
            is_named = True
        elif parameter.kind is parameter.VAR_KEYWORD:
            words.append(f"**{parameter.name}")
        elif parameter.default is parameter.empty:
            words.append(parameter.name)
        else:
            words.append(f"{parameter.name}={written(parameter.default)}")
    return textwrap.fill(f"caviar.{name}({', '.join(words)})", 118, subsequent_indent=4 * " ")


def written(default: object) -> str:
    """A default as a person would write it."""
    if callable(default):
        return "…"
    if isinstance(default, Mapping):
        return repr(dict(default))
    return repr(str(default) if isinstance(default, Path) else default)


def members(what: object) -> list[str]:
    """Public methods and functions of a class or a module, each with what it does."""
    if not isinstance(what, type | ModuleType):
        return []
    own = getattr(what, "__all__", None) or [
        name for name, value in vars(what).items() if _is_own(what, name, value)
    ]
    return [f"- `{name}`: {said(getattr(what, name))}" for name in own if said(getattr(what, name))]


def _is_own(what: type | ModuleType, name: str, value: object) -> bool:
    if name.startswith("_"):
        return False
    if isinstance(what, ModuleType):
        return getattr(value, "__module__", "") == what.__name__ and callable(value)
    return inspect.isfunction(value) or isinstance(value, property)


def row(*cells: str) -> str:
    """A row of a table."""
    return "| " + " | ".join(re.sub(r"\s+", " ", cell).replace("|", "\\|") for cell in cells) + " |"


def page() -> str:
    """The whole page."""
    lines = [
        "# Reference",
        "",
        "Written by `python scripts/reference_page.py` from docstrings and tables. `help(caviar.improve)` has",
        "arguments, errors and an example; `caviar improve --help` the options of a command.",
        "",
        "## From Python",
        "",
    ]
    for name in caviar.__all__:
        what = getattr(caviar, name)
        lines += [f"### `caviar.{name}`", "", said(what), ""]
        if inspect.isfunction(what):
            lines += ["```text", called(name, what), "```", ""]
        if shown := members(what):
            lines += [*shown, ""]
    lines += [
        "## Scores (`--metric`, `metric=`)",
        "",
        row("name", "score", "for", "better"),
        row(*["---"] * 4),
    ]
    lines += [
        row(
            f"`{metric.name}`",
            metric.title,
            "classes" if metric.tasks == CLASSIFICATION else "quantities",
            "higher" if metric.higher_is_better else "lower",
        )
        for metric in METRICS
    ]
    lines += [
        "",
        "Log-loss decides for classes and mean absolute error for quantities, where none is named.",
        "",
    ]
    lines += [
        "## Searches (`--search`, `search=`)",
        "",
        row("name", "what it does", "source"),
        row(*["---"] * 3),
    ]
    lines += [row(f"`{search.name}`", f"{search.title}. {search.what}", search.source) for search in SEARCHES]
    lines += ["", "## Remedies", ""]
    lines += [
        "What a diagnosis may try. Of one family at most one is combined with others.",
        "",
        row("name", "what it does", "family", "answers", "source"),
        row(*["---"] * 5),
    ]
    lines += [
        row(
            f"`{remedy.name}`",
            f"{remedy.title}. {remedy.what}",
            remedy.family,
            ", ".join(remedy.answers).replace("_", " "),
            remedy.source,
        )
        for remedy in REMEDIES
    ]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
