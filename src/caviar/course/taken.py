"""Which lessons a person has taken, and how well they answered: remembered between calls."""

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from caviar.errors import RunError
from caviar.run.files import write_text

_FILE = "lessons.json"


@dataclass(frozen=True)
class Taken:
    """One lesson, taken.

    Attributes:
        last: When, for the last time.
        times: How often.
        right: Questions answered right the last time.
        asked: Questions asked the last time.
    """

    last: str
    times: int
    right: int
    asked: int


def place() -> Path:
    """The file: in XDG_STATE_HOME, or in ~/.local/state."""
    home = os.environ.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local" / "state") / "caviar" / _FILE


def taken(path: Path | None = None) -> dict[str, Taken]:
    """What was taken, by the lesson's name.

    Raises:
        RunError: The file cannot be read.
    """
    path = path or place()
    if not path.is_file():
        return {}
    try:
        return {name: Taken(**one) for name, one in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise RunError(
            f"Expected {path} to say which lessons were taken, but it cannot be read ({type(error).__name__}). Delete "
            f"it to begin anew."
        ) from error


def remember(name: str, right: int, asked: int, path: Path | None = None) -> None:
    """Note that a lesson was taken.

    Raises:
        RunError: It cannot be written.
    """
    path = path or place()
    before = taken(path)
    times = before[name].times + 1 if name in before else 1
    before[name] = Taken(datetime.now(UTC).strftime("%Y-%m-%d"), times, right, asked)
    text = json.dumps({key: asdict(one) for key, one in before.items()}, indent=1)
    write_text(path, text)
