"""What a search leaves on disk: its plan, a line per trial, and predictions and curves of those that ended together.

Trials are appended as soon as they are over, once their predictions are written: a line that is there is whole, and a
search that was killed goes on with those that have none.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from pydantic import BaseModel, ConfigDict

from caviar.errors import RunError
from caviar.estimate import Estimate
from caviar.run.files import append_text, write_text, write_with
from caviar.run.lock import alone

PLAN, TRIALS, OOF, HISTORIES, RESULT = "plan.json", "trials.jsonl", "oof", "histories", "result.json"
LOCK = "lock"


class TrialLine(BaseModel):
    """One trial as it was.

    Attributes:
        number: Counted from 0.
        settings: What was set, by name.
        score: Score of each objective, the mean over folds; NaN where it failed.
        fold_scores: Of the first objective, by repeat, then fold.
        generation: Which file holds its predictions.
        place: Where in it.
        seconds: Its share of what those that ended together took.
        why: Why it failed; empty where it did not.
        share: Share of a whole trial's epochs and folds that it had.
        epochs: Up to which it trained, counted from the start; 0 for all.
        folds: How many folds were scored; 0 for all.
        source: Number of the trial whose training it went on with.
        stages: Settings that it trained with before, each up to its epoch.
    """

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")

    number: int
    settings: dict[str, Any]
    score: list[float]
    fold_scores: list[list[float]]
    generation: int
    place: int
    seconds: float
    why: str = ""
    share: float = 1.0
    epochs: int = 0
    folds: int = 0
    source: int | None = None
    stages: list[tuple[dict[str, Any], int]] = []

    @property
    def has_own_epochs(self) -> bool:
        """Whether it trained with its settings at all; where a part is less than an epoch, changed copies did not."""
        return not self.stages or not self.epochs or self.epochs > self.stages[-1][1]


class SearchRecord(BaseModel):
    """What a search came to.

    Attributes:
        created: When.
        seconds: What it took; where it was gone on with, what earlier trials and the last call took.
        versions: Caviar's version.
        search: How settings were asked for.
        objectives: Names of the scores, the one that decides first.
        metric: What people call that one.
        higher_is_better: Its direction.
        folds: Folds of the cross-validation.
        repeats: Repeats of it.
        best: Number of the best trial.
        settings: Its settings.
        naive_score: Its score as it looks.
        score: The same corrected for having been chosen.
        gain: How much better it is than the builder's defaults, judged likewise; None where it is these, or where they
            failed.
        ties: Numbers of trials that cannot be told from it.
        front: Numbers of trials that no other one beats in all objectives; empty for one objective.
        importance: How much each setting counts for being among the best tenth, as shares of 1; empty of few trials.
            A last round, which varies batch size and rate alone, does not count in.
        trials: How many there were.
        apart: Rows that no trial saw and on which score and gain were measured; 0 where these are corrected instead.
        failed: How many of them failed.
        sentence: The outcome in words.
        messages: What a person should know about how it ran.
    """

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")

    created: str
    seconds: float
    versions: dict[str, str]
    search: str
    objectives: list[str]
    metric: str
    higher_is_better: bool
    folds: int
    repeats: int
    best: int
    settings: dict[str, Any]
    naive_score: float
    score: Estimate
    gain: Estimate | None
    ties: list[int]
    front: list[int]
    importance: dict[str, float] = {}
    trials: int
    apart: int = 0
    failed: int
    sentence: str
    messages: list[str] = []


class _Parameter(BaseModel):
    """What of a parameter's question every plan says."""

    name: str
    kind: str
    values: list[Any]
    conditions: list[tuple[str, list[Any]]]


class _Space(BaseModel):
    parameters: list[_Parameter]


class _Call(BaseModel):
    arguments: dict[str, Any]
    files: dict[str, str]


class _Plan(BaseModel):
    """What of a plan others rely on; what else it says is compared with what a search says now."""

    search: str
    trials: int
    seed: int
    objectives: list[str]
    start: list[dict[str, Any]]
    space: _Space
    call: _Call | None = None
    sources: dict[str, dict[str, Any]] = {}


def complete(lines: Sequence[TrialLine]) -> list[TrialLine]:
    """Trials with a score, of which no training failed; where trials are trained in parts, those that came furthest.

    What trained with the settings of others alone says nothing of its own.
    """
    sound = [line for line in lines if np.isfinite(line.score).all() and line.has_own_epochs]
    furthest = max((line.share for line in sound), default=0.0)
    return [line for line in sound if line.share == furthest]


def alike(lines: Sequence[TrialLine]) -> list[TrialLine]:
    """Trials that can be laid beside each other: those of the share of a whole trial that most of them had."""
    own = [line for line in lines if line.has_own_epochs]
    shares = Counter(line.share for line in own if np.isfinite(line.score).all())
    most = max(shares, key=lambda share: (shares[share], share), default=1.0)
    return [line for line in own if line.share == most]


@dataclass(frozen=True)
class StudyFolder:
    """Where a search keeps what it learned."""

    path: Path

    @contextmanager
    def worked_on(self) -> Iterator[None]:
        """Be the only process that searches in this folder while the block runs.

        Raises:
            RunError: Another process does.
        """

        def refusal() -> RunError:
            return RunError(
                f"Expected nobody to search in {self.path}, but another process does. Let it end, or search in "
                f"another folder."
            )

        with alone(self.path / LOCK, refusal):
            yield

    def give_up(self) -> None:
        """Leave nothing behind where no search was begun."""
        if not (self.path / PLAN).exists():
            (self.path / LOCK).unlink(missing_ok=True)
            with suppress(OSError):  # it holds something else
                self.path.rmdir()

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Write what is searched, before the first trial."""
        write_text(self.path / PLAN, json.dumps(plan, indent=1))

    def plan(self) -> dict[str, Any] | None:
        """What is searched; None where nothing was begun.

        Raises:
            RunError: The file is damaged.
        """
        path = self.path / PLAN
        if not path.exists():
            return None
        try:
            found: dict[str, Any] = json.loads(path.read_bytes())
            _Plan.model_validate(found)
        except (OSError, ValueError) as error:
            raise RunError(
                f"Expected {path} to hold the plan of a search, but it cannot be read, or another version wrote it. "
                f"Search anew."
            ) from error
        return found

    def add(
        self,
        lines: Sequence[TrialLine],
        oof: np.ndarray,
        histories: Mapping[str, xr.Dataset],
        generation: int,
    ) -> None:
        """Keep trials that ended together: predictions and curves first, lines last.

        Args:
            lines: The trials.
            oof: Their out-of-fold predictions (place, repeat, row, class or output).
            histories: Curves by trial.
            generation: The number of their files.
        """

        def fill(temporary: Path) -> None:
            with temporary.open("wb") as file:
                np.save(file, oof.astype(np.float32))

        write_with(self._oof(generation), fill)
        if histories:
            write_with(
                self.path / HISTORIES / f"{generation:06d}.npz", lambda place: _write_curves(place, histories)
            )
        append_text(self.path / TRIALS, "".join(f"{line.model_dump_json()}\n" for line in lines))

    def lines(self, *, mend: bool = True) -> list[TrialLine]:
        """All trials that were finished, in order of their numbers.

        Args:
            mend: Take away what was being written when the process was killed; a reader leaves files as they are.

        Raises:
            RunError: A line was changed, or stands there twice.
        """
        path = self.path / TRIALS
        if not path.exists():
            return []
        try:
            whole, end, rest = path.read_bytes().rpartition(b"\n")
            found = [TrialLine.model_validate_json(line) for line in whole.splitlines()]
        except (OSError, ValueError) as error:
            raise RunError(
                f"Expected {path} to hold a trial in each line, but one cannot be read. Search anew in another folder."
            ) from error
        lines = sorted(found, key=lambda line: line.number)
        for one, other in pairwise(lines):
            if one.number == other.number:
                raise RunError(
                    f"Expected {path} to hold each trial once, but trial {one.number} stands there twice. Search anew "
                    f"in another folder."
                )
        if rest and mend:
            write_with(path, lambda temporary: temporary.write_bytes(whole + end))
        return lines

    def oof(self, line: TrialLine) -> np.ndarray:
        """Out-of-fold predictions of a trial (repeat, row, class or output).

        Raises:
            RunError: The file is missing or damaged.
        """
        path = self._oof(line.generation)
        try:
            return np.asarray(np.load(path, mmap_mode="r")[line.place], np.float64)
        except (OSError, ValueError, IndexError) as error:
            raise RunError(
                f"Expected {path} to hold predictions of trial {line.number}, but it cannot be read. Search anew."
            ) from error

    def finish(self, record: SearchRecord) -> None:
        """Write what came out."""
        write_text(self.path / RESULT, record.model_dump_json(indent=1))

    def result(self) -> SearchRecord | None:
        """What came out; None where the search is not over.

        Raises:
            RunError: The file was changed, or another version wrote it.
        """
        path = self.path / RESULT
        if not path.exists():
            return None
        try:
            return SearchRecord.model_validate_json(path.read_bytes())
        except (OSError, ValueError) as error:
            raise RunError(
                f"Expected {path} to hold what a search came to, but it cannot be read. Use the version that made it."
            ) from error

    def _oof(self, generation: int) -> Path:
        return self.path / OOF / f"{generation:06d}.npy"


def _write_curves(path: Path, histories: Mapping[str, xr.Dataset]) -> None:
    arrays = {
        f"{trial}/{name}": values.values
        for trial, history in histories.items()
        for name, values in history.data_vars.items()
    }
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
