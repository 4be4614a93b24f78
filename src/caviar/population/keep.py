"""What is kept of a training on disk, so that a killed one goes on where it was."""

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import keras
import numpy as np

from caviar.errors import RunError
from caviar.population import devices
from caviar.population.job import Job
from caviar.population.lift import numbers
from caviar.population.structure import CannotCompare, structure
from caviar.population.template import Template
from caviar.run.files import write_text, write_with

_EVERY_SECONDS = 20.0
# Saving takes at most this share of the time, but where that would mean to lose more than a minute of training.
_MOST_OF_THE_TIME = 0.05
_LONGEST_SECONDS = 60.0
_TRAINING = "training.json"
_TOLD = "rows, model or arguments"


@dataclass(frozen=True)
class Midway:
    """Where members rest within an epoch whose rows come block by block.

    Attributes:
        stage: How many of the epoch's passes through rows are done: training, watching, scoring.
        pieces: How many pieces of the present one are done.
        steps: Gradient steps of the epoch that the monitor was told of.
        leaves: What the members that still train carry there, array by array (member, …).
    """

    stage: int
    pieces: int
    steps: int
    leaves: list[np.ndarray]


@dataclass
class Standing:
    """How far some members have come.

    Attributes:
        done: Epochs trained.
        ended: Whether training ended before its last epoch, because somebody had enough.
        here: Places of the members that still train, as the devices hold them (the last may stand repeatedly).
        leaves: What each member carries, array by array (member, …): of those that still train as of now.
        logs: By name (member, epoch).
        seconds: What it took.
        way: How they are spread over a step, and the reason in words.
        width: How many of them take their steps side by side, of all devices together; 0 if nobody decided.
        midway: Where they rest within the epoch after those that are done; None at its beginning.
    """

    done: int
    ended: bool
    here: np.ndarray
    leaves: list[np.ndarray]
    logs: dict[str, np.ndarray]
    seconds: float = 0.0
    way: tuple[str, str] = ("", "")
    width: int = 0
    midway: Midway | None = None


@dataclass
class Slot:
    """The place on disk of members that train together."""

    path: Path
    _saved: float = field(default_factory=time.monotonic)
    _took: float = 0.0

    def due(self) -> bool:
        """Whether it is time to save again: every twenty seconds, or at least every minute if saving takes long."""
        pause = min(_LONGEST_SECONDS, self._took / _MOST_OF_THE_TIME)
        return time.monotonic() - self._saved > max(_EVERY_SECONDS, pause)

    def save(self, standing: Standing) -> None:
        """Write how far members have come, whole or not at all."""
        began = time.monotonic()
        where = np.array([standing.done, standing.ended, *standing.here], np.int64)
        others = {f"log_{name}": values for name, values in standing.logs.items()}
        others |= {"where": where, "seconds": np.array(standing.seconds), "way": np.array(standing.way)}
        others["width"] = np.array(standing.width)
        if standing.midway is not None:
            at = standing.midway
            others |= {f"midway_{i}": _plain(leaf) for i, leaf in enumerate(at.leaves)}
            others["midway"] = np.array([at.stage, at.pieces, at.steps], np.int64)
        self.write(standing.leaves, others)
        self._saved = time.monotonic()
        self._took = self._saved - began

    def load(self, types: Sequence[np.dtype], midway: Sequence[np.dtype] = ()) -> Standing | None:
        """Read back; None if nothing was saved yet.

        Args:
            types: Of the leaves, which NumPy's file format cannot all name.
            midway: Of those within an epoch.
        """
        arrays = self.read()
        if arrays is None:
            return None
        try:
            done, ended, *here = arrays["where"].tolist()
            leaves = [arrays[f"leaf_{i}"].view(kind) for i, kind in enumerate(types)]
            logs = {name.removeprefix("log_"): a for name, a in arrays.items() if name.startswith("log_")}
            way, why = arrays["way"].tolist()
            at = None
            if "midway" in arrays:
                within = [arrays[f"midway_{i}"].view(kind) for i, kind in enumerate(midway)]
                stage, pieces, steps = arrays["midway"].tolist()
                at = Midway(stage, pieces, steps, within)
            seconds, width = float(arrays["seconds"]), int(arrays["width"])
            return Standing(done, bool(ended), np.array(here), leaves, logs, seconds, (way, why), width, at)
        except (KeyError, ValueError, TypeError) as error:
            raise self._damaged(error) from error

    def write(self, leaves: Sequence[np.ndarray], others: dict[str, np.ndarray]) -> None:
        """Write arrays in one step, without pickle: `leaf_0`, `leaf_1` … and those with names.

        Raises:
            RunError: The system does not let it be written.
        """
        arrays = {f"leaf_{i}": _plain(leaf) for i, leaf in enumerate(leaves)} | others

        def fill(temporary: Path) -> None:
            with temporary.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]

        write_with(self.path, fill)

    def read(self) -> dict[str, np.ndarray] | None:
        """The arrays that were written; None if there are none.

        Raises:
            RunError: The file is damaged.
        """
        if not self.path.exists():
            return None
        try:
            with self.path.open("rb") as file, np.load(file) as found:
                return {name: found[name] for name in found.files}
        except Exception as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> RunError:
        return RunError(
            f"Expected {self.path} to hold the state of a training, but it cannot be read ({type(error).__name__}). "
            f"Take it away: these members then train from the beginning."
        )


@dataclass(frozen=True)
class Keep:
    """A folder that belongs to one training."""

    folder: Path

    def claim(self, job: Job, template: Template, rules: object) -> None:
        """Make the folder that of a job, or find out that it is.

        Args:
            job: What is trained.
            template: Its model.
            rules: Its callbacks, as something that says all about itself.

        Raises:
            RunError: Another training is kept there.
        """
        mine = {_TOLD: fingerprint(job, template, rules), **_surroundings()}
        theirs = self._read(_TRAINING)
        if theirs is None:
            self._write(_TRAINING, mine)
        elif theirs != mine:
            other = [k for k in mine if not isinstance(theirs, dict) or theirs.get(k) != mine[k]]
            raise RunError(
                f"Expected {self.folder} to be new or to hold this very training, but what is kept there has other "
                f"{' and '.join(other)}. Give another folder, or take away what is there."
            )

    def chunks(self, program: int, planned: list[list[int]]) -> list[list[int]]:
        """Which members train together: as it was when the training began, or as planned now."""
        name = f"chunks-{program}.json"
        found = self._read(name)
        if found is None:
            return planned
        members = sorted(member for part in planned for member in part)
        if not isinstance(found, list) or not all(isinstance(part, list) and part for part in found):
            raise self._damaged(name)
        if sorted(member for part in found for member in part) != members:
            raise self._damaged(name)
        return found

    def set_chunks(self, program: int, chunks: list[list[int]]) -> None:
        """Remember which members train together."""
        self._write(f"chunks-{program}.json", chunks)

    def inside(self, name: str) -> "Keep":
        """A folder inside, for one of several trainings."""
        return Keep(self.folder / name)

    def slot(self, members: Sequence[int]) -> Slot:
        """The place of members that train together."""
        return Slot(self.folder / f"members-{members[0]}-{len(members)}.npz")

    def _write(self, name: str, value: object) -> None:
        write_text(self.folder / name, json.dumps(value))

    def _read(self, name: str) -> Any:  # noqa: ANN401 - whatever was written
        path = self.folder / name
        try:
            return json.loads(path.read_bytes()) if path.exists() else None
        except (OSError, ValueError) as error:
            raise self._damaged(name) from error

    def _damaged(self, name: str) -> RunError:
        return RunError(
            f"Expected {self.folder / name} to be a note that Caviar wrote, but it is damaged. Take the folder "
            f"{self.folder} away: its training then begins anew."
        )


def fingerprint(job: Job, template: Template, rules: object) -> str:
    """A text that is the same only for the same training."""
    try:
        model = structure(template, job.sample(), job.full_batch)
    except CannotCompare:
        model = template.model.to_json() if isinstance(template.model, keras.Sequential) else ""
    told = hashlib.sha256()
    for part in _told(job, template, model):
        told.update(part)
    told.update(repr(rules).encode())
    return told.hexdigest()


def _told(job: Job, template: Template, model: str) -> Iterable[bytes | memoryview]:
    yield model.encode()
    values = job.numbers or {key: [value] for key, value in numbers(template.model).items()}
    yield repr({key: list(map(float, value)) for key, value in values.items()}).encode()
    yield repr(
        (
            *(job.batch_size, job.epochs, job.initial_epoch, job.show, job.score, job.shuffle),
            *(
                job.probe,
                job.spread,
                job.steps_per_epoch,
                job.ranges and (job.ranges.count, job.ranges.rows),
                job.steps_each,
            ),
            *(job.validation_batch_size, job.ask, job.ask_fit, job.weighs_watched, job.weighs_scored),
            job.validation_freq,
        )
    ).encode()
    for own in job.narrow or ():
        yield repr([variable.shape for variable in own.model.variables]).encode()
    for seat in job.seats:
        yield repr((seat.repeat, seat.fold, seat.seed, seat.split, seat.weights)).encode()
        for rows in (seat.fit, seat.watch, seat.scored):
            yield np.ascontiguousarray(rows).data
    arrays = [job.x, job.y, job.weight, job.begun]
    if job.ranges is not None:  # too many rows to read them all: the first and the last block
        arrays += [job.ranges.block(start) for start in (job.ranges.starts[0], job.ranges.starts[-1])]
    if job.source is not None:
        arrays.append(job.source.first)
    for array in jax.tree.leaves(arrays):
        yield repr((array.shape, str(array.dtype))).encode()
        yield np.ascontiguousarray(array).data


def _surroundings() -> dict[str, str]:
    """What else decides about the last bit of a number."""
    found = devices.start()
    return {
        "devices": f"{found.count} {found.kind}",
        "version of JAX": jax.__version__,
        "version of Keras": keras.__version__,
    }


def _plain(leaf: np.ndarray) -> np.ndarray:
    """A leaf of a type that NumPy can write: bfloat16 and its like as bare bits."""
    return leaf if leaf.dtype.kind in "biuf" else leaf.view(f"u{leaf.dtype.itemsize}")
