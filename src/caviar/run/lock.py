"""Who works in a folder? One process at a time; the system forgets it when that dies."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from caviar.run.files import refused

_PATIENCE = 1.0
"""Seconds in which whoever only looks whether a lock is held lets go of it."""


@contextmanager
def alone(lock: Path, refusal: Callable[[], Exception]) -> Iterator[None]:
    """Be the only process that holds a lock while the block runs.

    Args:
        lock: A file that is there for nothing else.
        refusal: What to raise where another process holds it.

    Raises:
        RunError: The system does not let it be written.
    """
    try:
        file = lock.open("a", encoding="utf-8")
    except OSError as error:
        raise refused(lock, error) from error
    with file:
        until = time.monotonic() + _PATIENCE
        with suppress(OSError):  # some network folders know no locks
            while not _taken(file.fileno()):
                if time.monotonic() > until:
                    raise refusal()
                time.sleep(0.05)
        yield


def is_held(lock: Path) -> bool:
    """Whether a process holds a lock now."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _taken(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
