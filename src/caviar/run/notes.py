"""What an unfinished run must remember, besides its record, to go on where it stopped."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caviar.errors import RunError
from caviar.run.files import write_text


@dataclass(frozen=True)
class Notes:
    """Values by name in one small JSON file, written whole at each change.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     notes = Notes(Path(folder) / "notes.json")
    ...     notes.put("seconds", 3)
    ...     notes.get("seconds"), notes.get("plan")
    (3, None)
    """

    path: Path

    def get(self, name: str) -> Any:  # noqa: ANN401 - whatever was put
        """A value, or None."""
        return self._all().get(name)

    def put(self, name: str, value: object) -> None:
        """Remember a value that JSON can hold."""
        write_text(self.path, json.dumps({**self._all(), name: value}, indent=1))

    def _all(self) -> dict[str, Any]:
        if not self.path.exists():
            return {}
        try:
            found = json.loads(self.path.read_bytes())
        except (OSError, ValueError):
            found = None
        if not isinstance(found, dict):
            raise RunError(
                f"Expected {self.path} to hold the notes of a run, but it cannot be read. Start the run again."
            )
        return found
