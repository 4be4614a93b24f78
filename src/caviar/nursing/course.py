"""A training that is steered: it goes on, its settings change, it goes back and branches; all of it is noted."""

import importlib.metadata
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from caviar.errors import OptionError
from caviar.model.finished import FinishedModel
from caviar.nursing.branches import Branch, BranchFacts, facts
from caviar.nursing.log import CURVES, LOG, Action, PandaLog
from caviar.nursing.material import Material, check_same_callbacks
from caviar.nursing.settings import NAMES, Settings, check, in_words, own_values
from caviar.nursing.stage import Members, Stage
from caviar.nursing.states import States
from caviar.nursing.timed import Timed
from caviar.population.begun import why_not
from caviar.population.job import MemberValues, Monitor, Trained
from caviar.population.template import build_alone, variables
from caviar.run.files import write_text
from caviar.run.studies import TableFacts

# A way back leads over states: so many seconds of training lie between two of them, where the pace is known.
_BETWEEN_STATES = 5.0


@dataclass(eq=False)
class Course:
    """A training and everything that was done to it.

    Attributes:
        material: What is trained.
        folder: Where log and curves are written after every act; nowhere if None.
        states: What can be gone back to at once.
    """

    material: Material
    folder: Path | None = None
    states: States = field(default_factory=States)

    def __post_init__(self) -> None:
        self._began, self._created = time.monotonic(), time.strftime("%Y-%m-%d %H:%M:%S")
        self.members: Members = self.material.members()
        recipe = self.material.recipe
        self.settings = Settings(batch_size=recipe.batch_size)
        fitting = self.members.fitting(self.settings)
        model = build_alone(fitting.build, fitting.job.sample(), self.material.seed)
        if getattr(getattr(model.optimizer, "inner_optimizer", model.optimizer), "use_ema", False):
            raise OptionError(
                "Expected an optimizer without use_ema, because its averages take the weights' place whenever training "
                "pauses. Leave use_ema out of the builder."
            )
        if recipe.writers:
            raise OptionError(
                f"Expected callbacks of a training that pauses and goes back, got {recipe.writers[0]}, which would "
                f"write its files anew with each part. Leave it out: log, curves and model are kept."
            )
        if recipe.callbacks and (why := why_not(recipe.callbacks, model)):
            raise OptionError(
                f"Expected callbacks of a training that pauses and goes back, but {why}. Leave it out: watching, "
                f"stopping and going back are yours here."
            )
        self.own = own_values(model, recipe)
        self.branches = [Branch("1")]
        self.branch, self.epoch = self.branches[0], 0
        self.actions: list[Action] = []
        self.engine, self.pace = "", math.nan
        self._first: Settings | None = None
        self._pending: dict[str, float] = {}

    @property
    def seeds(self) -> list[int]:
        """Seeds of the models."""
        return [seat.seed for seat in self.members.seats]

    def values(self) -> dict[str, float]:
        """What holds now, by name: what was set, else what the builder sets itself."""
        return self.own | self.settings.given()

    def train(self, epochs: int, monitor: Monitor | None = None) -> int:
        """Go on for so many epochs, or until the monitor has enough.

        Returns:
            How many were trained.

        Raises:
            OptionError: That is no number of epochs.
        """
        if isinstance(epochs, bool) or not isinstance(epochs, int | np.integer) or epochs < 1:
            raise OptionError(
                f"Expected epochs to be a whole number of at least 1, got {epochs!r}. Raise it."
            )
        wanted, first = self.epoch + int(epochs), self.epoch
        while self.epoch < wanted:
            length = wanted - self.epoch
            if math.isfinite(self.pace):
                most = max(1.0, _BETWEEN_STATES / max(self.pace, 1e-9))
                length = min(length, 2 ** int(math.log2(most)))  # each other length is another program
            if self._train_some(length, monitor) < length:
                break
        if self.epoch > first:
            self.note("train", first, epochs=self.epoch - first)
        return self.epoch - first

    def _train_some(self, epochs: int, monitor: Monitor | None) -> int:
        begun, branch = self._states_now(), self._growing()
        stage = Stage(self.epoch, self.epoch + epochs, self.settings)
        timed = Timed(monitor)
        fitting, trained = self.members.train(stage, begun, timed)
        if not trained.epochs:
            return 0
        self._pending = {}
        self._first = self._first or self.settings
        if branch is not self.branch:
            self.branches.append(branch)
            self.branch = branch
        seconds = timed.seconds(epochs)
        self.engine, self.pace = trained.engine, seconds if math.isfinite(seconds) else self.pace
        self.epoch += trained.epochs
        branch.grow(Stage(stage.first, self.epoch, self.settings), self._named(trained, branch))
        self.states.keep(branch.name, self.epoch, trained.states)
        if len(self.material.watch):
            branch.watched[self.epoch] = np.array(
                [self._score(fitting.predictions(outputs)) for outputs in trained.outputs]
            )
        return trained.epochs

    def _growing(self) -> Branch:
        """The branch that grows now: this one at its end, else a new one."""
        if self.epoch == self.branch.end:
            return self.branch
        return Branch(str(len(self.branches) + 1), self.branch, self.epoch)

    def _states_now(self) -> list[MemberValues] | None:
        """States at this epoch; trained again from the nearest ones before it where they were not kept."""
        if not self.epoch:
            return None
        home = self.branch.home(self.epoch)
        if self.epoch in self.states.epochs(home.name):
            return self.states.at(home.name, self.epoch)
        stages = self.log.stages(self.branch.name, self.epoch)
        kept = [
            (epoch, line.name)
            for line in _lines(self.branch)
            for epoch in self.states.epochs(line.name)
            if epoch < self.epoch and self.branch.home(epoch) is line
        ]
        done, begun = 0, None
        if kept:
            done, name = max(kept)
            begun = self.states.at(name, done)
        for stage in stages:
            if stage.last > done:
                _, trained = self.members.train(
                    Stage(max(stage.first, done), stage.last, stage.settings), begun
                )
                begun = trained.states
        assert begun is not None
        self.states.keep(home.name, self.epoch, begun)
        return begun

    def _named(self, trained: Trained, branch: Branch) -> dict[str, np.ndarray]:
        """Logs by name; Keras numbers metrics anew in every build, so that later ones take the names of the first."""
        found = sorted((str(name) for name in trained.history.data_vars), key=_in_order)
        first = sorted(self.branches[0].logs or branch.logs or found, key=_in_order)
        return {name: trained.history[own].values for name, own in zip(first, found, strict=True)}

    def _score(self, said: np.ndarray) -> float:
        data, rows, metric = self.material.dataset, self.material.watch, self.material.metric
        values = self.members.prepared[0].restore(said)
        weight = None if data.weight is None else data.weight[rows]
        return float(metric.score(data.target[rows], values, weight))

    def set(self, values: Mapping[str, float | None]) -> str:
        """Change settings from the next epoch on.

        Args:
            values: By name; None for what is to stay.

        Returns:
            What was changed, in words.

        Raises:
            OptionError: A value means nothing, or the network has nothing that it could change.
        """
        checked = check(values, len(self.material.fit))
        new = self.settings.changed(**checked)
        fitting = self.members.fitting(new)
        build_alone(fitting.build, fitting.job.sample(), self.material.seed)
        self.settings = new
        self._pending |= checked
        changed = {name: float(value) for name, value in checked.items()}
        self.note("set", self.epoch, **changed)
        return f"From epoch {self.epoch + 1} on: {in_words(changed)}."

    def rewind(self, epoch: int, branch: str | None = None) -> str:
        """Go back to an epoch, and to what was set then; what is trained next leaves it as a new branch.

        The end of a branch may be gone to as well: it then grows on. What was set and not trained with yet stays set.

        Args:
            epoch: Epochs that are done there.
            branch: Of which branch; of the present one if not given.

        Returns:
            Where the training stands now, in words.

        Raises:
            OptionError: There is no such branch or epoch.
        """
        line = self.branch if branch is None else self.find(branch)
        if isinstance(epoch, bool) or not isinstance(epoch, int | np.integer) or not 0 <= epoch <= line.end:
            raise OptionError(
                f"Expected an epoch of branch {line.name} from 0 to {line.end}, got {epoch!r}. Choose one of them."
            )
        self.branch, self.epoch = line, int(epoch)
        self.settings = (line.settings_at(self.epoch) or self.settings).changed(**self._pending)
        self.note("rewind", self.epoch)
        ways = "it grows on" if self.epoch == line.end else "what is trained next is a new branch"
        set_now = in_words(self.values())
        return f"Branch {line.name} after epoch {self.epoch}, with {set_now}: {ways}."

    def find(self, name: str) -> Branch:
        """The branch of a name.

        Raises:
            OptionError: There is none.
        """
        for branch in self.branches:
            if branch.name == str(name):
                return branch
        raise OptionError(
            f"Expected a branch, got {name!r}. There are {', '.join(one.name for one in self.branches)}."
        )

    def kept(self) -> list[int]:
        """Epochs of the present branch that can be returned to at once; to others, by training up to them again."""
        return [
            0,
            *sorted(
                epoch
                for line in _lines(self.branch)
                for epoch in self.states.epochs(line.name)
                if self.branch.home(epoch) is line and epoch <= self.branch.end
            ),
        ]

    def facts(self) -> list[BranchFacts]:
        """All branches in numbers."""
        return [facts(branch, self.own) for branch in self.branches]

    def history(self, branch: str | None = None) -> xr.Dataset:
        """Curves (model, epoch) of the present branch up to where it stands, or of another one as a whole."""
        line, upto = (self.branch, self.epoch) if branch is None else (self.find(branch), None)
        return line.history(self.seeds, line.end if upto is None else upto)

    def watched(self) -> float | None:
        """Deciding score on the watched rows at this epoch, the mean over models; None where it was not taken."""
        values = self.branch.home(self.epoch).watched.get(self.epoch)
        return None if values is None or not np.isfinite(values).all() else float(values.mean())

    def finished(self) -> FinishedModel:
        """The models as they stand, with their preparation; of several, predictions are averaged.

        Raises:
            OptionError: Nothing was trained yet.
        """
        states = self._states_now()
        if states is None:
            raise OptionError(
                "Expected a trained model, but it stands before its first epoch. Train it first."
            )
        fitting = self.members.fitting(self.settings_here())
        models = []
        for seed, state in zip(self.seeds, states, strict=True):
            model = build_alone(fitting.build, fitting.job.sample(), seed)
            for group, values in zip(variables(model), state, strict=False):
                for variable, value in zip(group, values, strict=True):
                    variable.assign(value)
            models.append(model)
        return FinishedModel(models, self.members.prepared[0], fitting.link, self.material.dataset.schema)

    def settings_here(self) -> Settings:
        """What was set when the present epoch was trained."""
        return self.branch.settings_at(self.epoch) or self.settings

    def note(
        self, do: Literal["train", "set", "rewind", "pause", "resume", "stop"], epoch: int, **values: float
    ) -> None:
        """Note what was done, and write it down."""
        seconds = round(time.monotonic() - self._began, 3)
        self.actions.append(
            Action(seconds=seconds, do=do, branch=self.branch.name, epoch=epoch, values=values)
        )
        self._write()

    @property
    def log(self) -> PandaLog:
        """Everything that was done."""
        data = self.material.dataset
        return PandaLog(
            created=self._created,
            versions={"caviar": importlib.metadata.version("caviar")},
            table=TableFacts(
                name=data.name, rows=data.n_rows, columns=len(data.schema.columns), task=data.task
            ),
            model=self.material.called,
            callbacks=self.material.callbacks,
            metric=self.material.metric.name,
            seed=self.material.seed,
            models=self.material.models,
            watched_rows=len(self.material.watch),
            own=self.own,
            first=self._first or self.settings,
            branches=[branch.record() for branch in self.branches],
            chosen=self.branch.name,
            at=self.epoch,
            watched=self.watched(),
            actions=list(self.actions),
        )

    def curves(self) -> dict[str, Any]:
        """Curves of all branches as JSON takes them: by branch and log, its own epochs of each model."""
        return {
            branch.name: {
                name: [[_number(value) for value in one] for one in values.tolist()]
                for name, values in branch.logs.items()
            }
            for branch in self.branches
        }

    def _write(self) -> None:
        if self.folder is not None:
            write_text(self.folder / CURVES, json.dumps(self.curves(), allow_nan=False))
            write_text(self.folder / LOG, self.log.model_dump_json(indent=1))


def follow_log(course: Course, log: PandaLog) -> None:
    """Carry out a log's schedule on another course, from its first epoch: what led to the branch chosen.

    Args:
        course: Has trained nothing yet.
        log: Whose schedule it is.

    Raises:
        OptionError: It has trained already, or cannot be set as the log asks.
    """
    if course.epoch or course.branch.end:
        raise OptionError(
            "Expected a training that has not begun, but it has. Make a new one to follow a log."
        )
    check_same_callbacks(log, course.material)
    for stage in log.stages(log.chosen, log.at):
        changed = _changes(course.settings, stage.settings)
        if changed:
            course.set(changed)
        course.train(stage.last - stage.first)


def _changes(now: Settings, then: Settings) -> dict[str, float]:
    return {
        name: value
        for name in NAMES
        if (value := getattr(then, name)) is not None and value != getattr(now, name)
    }


def _lines(branch: Branch) -> Sequence[Branch]:
    """A branch and those that it comes from."""
    return [branch, *(() if branch.parent is None else _lines(branch.parent))]


def _in_order(name: str) -> tuple[str, int]:
    """Sorts `auc_9` before `auc_10`."""
    text, _, number = name.rpartition("_")
    return (text, int(number)) if number.isdigit() else (name, 0)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
