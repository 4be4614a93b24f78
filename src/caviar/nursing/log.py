"""What was done to a training, as a file: a schedule that can be carried out again on other seeds."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from caviar.errors import RunError
from caviar.nursing.settings import Settings, out_of_bounds
from caviar.nursing.stage import Stage
from caviar.run.studies import TableFacts

LOG = "log.json"
CURVES = "curves.json"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")


class StageRecord(_Part):
    """Epochs `first` (from 0) to `last` under the same settings."""

    first: int = Field(ge=0)
    last: int = Field(ge=1)
    settings: Settings

    @model_validator(mode="after")
    def _goes_forward(self) -> "StageRecord":
        if self.last <= self.first:
            raise ValueError("a stage ends behind its beginning")
        return self


class BranchRecord(_Part):
    """One line of training.

    Attributes:
        name: What it is called.
        parent: The branch that it leaves; None for the first one.
        start: Epochs that it shares with its parent.
        stages: What was trained on it, without what it shares.
    """

    name: str
    parent: str | None = None
    start: int = 0
    stages: list[StageRecord] = []

    @property
    def end(self) -> int:
        """Epochs done."""
        return self.stages[-1].last if self.stages else self.start


class Action(_Part):
    """One thing that was done.

    Attributes:
        seconds: When, since the beginning.
        do: What.
        branch: Where.
        epoch: After how many epochs of it; of going back, the one gone back to.
        values: With which numbers: epochs trained, or settings.
    """

    seconds: float
    do: Literal["train", "set", "rewind", "pause", "resume", "stop"]
    branch: str
    epoch: int
    values: dict[str, float] = {}


class PandaLog(_Part):
    """Everything that was done.

    Attributes:
        format: Version of the log's form.
        created: When it began.
        versions: Caviar's version.
        table: What was learned from.
        model: What the person calls the model.
        callbacks: Kinds of the callbacks that were carried out.
        metric: Name of the score that decides.
        seed: Where the models' seeds start.
        models: How many were watched.
        watched_rows: Rows on which choices were made.
        own: What the builder itself sets.
        first: What was set when the first epoch was trained.
        branches: In order of their beginnings.
        chosen: The branch that was gone on with last.
        at: Epochs done on it.
        watched: Deciding score on the watched rows at that point, the mean over models; None where none is known.
        actions: In order of time.
    """

    format: Literal[1] = 1
    created: str
    versions: dict[str, str]
    table: TableFacts
    model: str
    callbacks: list[str] = []
    metric: str
    seed: int
    models: int
    watched_rows: int
    own: dict[str, float]
    first: Settings
    branches: list[BranchRecord]
    chosen: str
    at: int = 0
    watched: float | None = None
    actions: list[Action] = []

    @model_validator(mode="after")
    def _hangs_together(self) -> "PandaLog":
        ends: dict[str, int] = {}
        for branch in self.branches:
            if branch.name in ends or (branch.parent is None) != (not ends):
                raise ValueError("branches do not form a tree")
            if branch.start > (0 if branch.parent is None else ends.get(branch.parent, -1)):
                raise ValueError(f"branch {branch.name} begins where its parent has not been")
            done = branch.start
            for stage in branch.stages:
                if stage.first != done:
                    raise ValueError(f"the stages of branch {branch.name} do not join")
                done = stage.last
            ends[branch.name] = done
        if not 0 <= self.at <= ends.get(self.chosen, -1):
            raise ValueError("the chosen branch has not been so far")
        return self

    @property
    def wrong(self) -> str:
        """What a setting should be that nobody could have set, and is; empty where all are in order."""
        stages = [stage.settings for branch in self.branches for stage in branch.stages]
        for settings in (self.first, *stages):
            # What the builder was given from the start is as in `fit`, which takes batches larger than its rows.
            was_set = {name: value for name, value in settings.given().items() if value != self.own.get(name)}
            if wrong := out_of_bounds(was_set, self.table.rows - self.watched_rows):
                return wrong
        return ""

    def branch(self, name: str) -> BranchRecord:
        """The branch of a name."""
        return next(branch for branch in self.branches if branch.name == name)

    def stages(self, name: str, upto: int) -> list[Stage]:
        """What was trained on the way to an epoch of a branch, from the first epoch on; equal neighbours joined."""
        branch = self.branch(name)
        before = [] if branch.parent is None else self.stages(branch.parent, min(branch.start, upto))
        own = [
            Stage(stage.first, min(stage.last, upto), stage.settings)
            for stage in branch.stages
            if stage.first < upto
        ]
        joined: list[Stage] = []
        for stage in [*before, *own]:
            if joined and joined[-1].settings == stage.settings:
                joined[-1] = Stage(joined[-1].first, stage.last, stage.settings)
            else:
                joined.append(stage)
        return joined


def read_log(path: str | Path) -> PandaLog:
    """Read a log back.

    Args:
        path: The file, or the folder that it lies in.

    Raises:
        RunError: There is none, it is not one of ours, or holds settings that nobody could have made.
    """
    file = Path(path).expanduser()
    file = file / LOG if file.is_dir() else file
    try:
        log = PandaLog.model_validate_json(file.read_bytes())
    except OSError as error:
        raise RunError(
            f"Expected a {LOG} of `caviar panda`, but {file} cannot be read ({error.strerror}). Pass the folder that "
            f"it printed, or the file in it."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file as a whole"
        raise RunError(
            f"Expected {file} to be a log of `caviar panda`, but {place} is wrong ({first['msg']}). It was changed "
            f"by hand or written by another version: pass another one."
        ) from error
    if log.wrong:
        raise RunError(
            f"Expected {log.wrong}, in {file}. It was changed by hand or written by another version: pass another one."
        )
    return log
