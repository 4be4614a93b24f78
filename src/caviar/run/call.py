"""How was a run called? Its arguments as JSON can hold them, so that it can be gone on with from anywhere."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_FILES = ("source", "test", "model")


def written(given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as JSON can hold them, without `out`; what it cannot hold is None.

    >>> written({"source": Path("a.csv"), "drop": ("id",), "model": len, "out": "runs/a"})
    {'source': 'a.csv', 'drop': ['id'], 'model': None}
    """
    return {name: _plain(value) for name, value in given.items() if name != "out"}


def files(given: Mapping[str, Any]) -> dict[str, str]:
    """The full names of the files among the arguments: a run may be gone on with from another folder."""
    named = {name: str(given[name]) for name in _FILES if _plain(given.get(name))}
    paths = {name: Path(text.rpartition(":")[0] if name == "model" else text) for name, text in named.items()}
    return {name: str(path.resolve()) for name, path in paths.items() if path.is_file()}


def found(arguments: Mapping[str, Any], where: Mapping[str, str]) -> dict[str, Any]:
    """Arguments with their files where they were when the run began.

    Args:
        arguments: As `written` gave them.
        where: As `files` gave them.
    """
    again = {**arguments}
    for name, path in where.items():
        file, colon, function = str(again[name]).rpartition(":") if name == "model" else (again[name], "", "")
        if Path(file).resolve() != Path(path):
            again[name] = f"{path}{colon}{function}"
    return again


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple)) and all(isinstance(part, (str, int)) for part in value):
        return list(value)
    if isinstance(value, Mapping):
        parts = {str(name): _plain(part) for name, part in value.items()}
        return None if None in parts.values() else parts
    return value if isinstance(value, (str, bool, int, float)) else None
