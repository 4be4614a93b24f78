"""The record of a queue: which experiments it holds, how far each of them is, and whether somebody works on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from caviar.errors import RunError
from caviar.run.files import write_text
from caviar.run.lock import alone, is_held

QUEUE, LOCK, LOG = "queue.json", "lock", "queue.log"

Status = Literal["waiting", "running", "done", "failed", "stopped"]


class Experiment(BaseModel):
    """One experiment of a queue.

    Attributes:
        name: The name of its file, without ending.
        command: Which command of `caviar` it is.
        arguments: What the command is given, without `--out`.
        home: The folder of its file, from where it is run: paths in the file are relative to it.
        out: Folder of its results, relative to the queue's unless it is a full path; None where it has none.
        log: File that takes what it says, likewise.
        minutes: Its own bound on the time; None where it has none.
        status: How far it is; stopped: begun, and broken off.
        pid: Its process, while it runs.
        since: When it was begun last.
        seconds: What it has taken so far, over all attempts.
        exit_status: How it ended last; negative where a signal ended it.
        said: Last line of its log, where it failed.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    command: str
    arguments: list[str]
    home: str
    out: str | None
    log: str
    minutes: float | None = None
    status: Status = "waiting"
    pid: int | None = None
    since: str = ""
    seconds: float = 0.0
    exit_status: int | None = None
    said: str = ""


class QueueRecord(BaseModel):
    """A queue: its experiments in order.

    Attributes:
        created: When.
        pid: The process that works on it; None where it ended by itself. Whether it lives, only its lock tells.
        experiments: In the order in which they run.
    """

    model_config = ConfigDict(extra="forbid")

    created: str
    pid: int | None = None
    experiments: list[Experiment]


@dataclass(frozen=True)
class QueueFolder:
    """Where a queue keeps its record, its logs, and what its experiments find."""

    path: Path

    def save(self, record: QueueRecord) -> None:
        """Write the record; a reader sees the old one or the new one, never half of it."""
        write_text(self.path / QUEUE, record.model_dump_json(indent=1))

    def load(self) -> QueueRecord:
        """Read the record back.

        Raises:
            RunError: There is none, or it is not one of ours.
        """
        path = self.path / QUEUE
        try:
            return QueueRecord.model_validate_json(path.read_bytes())
        except OSError as error:
            raise RunError(
                f"Expected a queue's folder with a {QUEUE}, but {path} cannot be read ({error.strerror}). "
                f"Pass the folder that `caviar queue` printed; `ls runs` shows which there are."
            ) from error
        except ValidationError as error:
            raise RunError(
                f"Expected {path} to hold a queue, but it was changed by hand or written by another version. "
                f"Start the queue again in another folder."
            ) from error

    @contextmanager
    def worked_on(self) -> Iterator[None]:
        """Be the only process that works on the queue while the block runs; the system forgets it when a process dies.

        Raises:
            RunError: Another process does.
        """

        def refusal() -> RunError:
            return RunError(
                f"Expected nobody to work on the queue in {self.path}, but process {self.load().pid} does. "
                f"`caviar queue status {self.path}` shows how far it is, `caviar queue stop {self.path}` stops it."
            )

        with alone(self.path / LOCK, refusal):
            yield

    def is_worked_on(self) -> bool:
        """Whether a process works on the queue now."""
        return is_held(self.path / LOCK)
