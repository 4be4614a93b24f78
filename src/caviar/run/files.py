"""Writing that is done or not done: a file appears whole, or the old one stays."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from caviar.errors import RunError


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place in one step.

    What is no ordinary file, such as `/dev/stdout`, is written to as it is.

    Raises:
        RunError: The system does not let it be written.
    """
    try:
        if path.exists() and not path.is_file():
            write(path)
            return
        path = path.resolve()  # a link stays a link
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(
            f".{secrets.token_hex(4)}-{path.name[-40:]}"
        )  # what writes may look at suffixes
        try:
            write(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise refused(path, error) from error


def append_text(path: Path, text: str) -> None:
    """Write text behind what a file holds, so that it is on disk when this returns.

    Raises:
        RunError: The system does not let it be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise refused(path, error) from error


def refused(path: Path, error: OSError) -> RunError:
    """What to tell a person whose system does not let a file be written."""
    return RunError(
        f"Expected to be able to write {path}, but the system says: {error.strerror or error}. "
        f"Make room or choose another place."
    )


def write_text(path: Path, text: str) -> None:
    """Write text in one step.

    Raises:
        RunError: The system does not let it be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(Path(folder) / "a.txt", "done")
    ...     (Path(folder) / "a.txt").read_text()
    'done'
    """
    write_with(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
