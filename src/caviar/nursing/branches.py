"""The lines of a training that was steered: where each left another, its curves, and what the watched rows said."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from caviar.nursing.log import BranchRecord, StageRecord
from caviar.nursing.settings import Settings, in_words
from caviar.nursing.stage import Stage


@dataclass(eq=False)
class Branch:
    """One line of training.

    Attributes:
        name: What it is called.
        parent: The branch that it leaves; None for the first one.
        start: Epochs that it shares with its parent.
        stages: What was trained on it, without what it shares.
        logs: By name (model, epoch), of its own epochs.
        watched: Deciding score on the watched rows (model,), by epoch, where it was taken.
    """

    name: str
    parent: "Branch | None" = None
    start: int = 0
    stages: list[Stage] = field(default_factory=list)
    logs: dict[str, np.ndarray] = field(default_factory=dict)
    watched: dict[int, np.ndarray] = field(default_factory=dict)

    @property
    def end(self) -> int:
        """Epochs done."""
        return self.stages[-1].last if self.stages else self.start

    def grow(self, stage: Stage, logs: dict[str, np.ndarray]) -> None:
        """Note what was trained.

        Args:
            stage: Begins where the branch ends.
            logs: By name (model, epoch), of its epochs.
        """
        joins = bool(self.stages) and self.stages[-1].settings == stage.settings
        first = self.stages.pop().first if joins else stage.first
        self.stages.append(Stage(first, stage.last, stage.settings))
        self.logs = {
            name: np.concatenate([self.logs[name], values], axis=1) if name in self.logs else values
            for name, values in logs.items()
        }

    def settings_at(self, epoch: int) -> Settings | None:
        """What was set in an epoch, counted from 1; for 0, in the first. None where nothing was trained."""
        if self.parent is not None and epoch <= self.start and self.start:
            return self.parent.settings_at(epoch)
        for stage in self.stages:
            if epoch <= stage.last:
                return stage.settings
        return None

    def curves(self, upto: int | None = None) -> dict[str, np.ndarray]:
        """Logs from the first epoch on, those shared with its parents too (model, epoch).

        Args:
            upto: Epochs; all if not given.
        """
        upto = self.end if upto is None else upto
        before = {} if self.parent is None else self.parent.curves(min(self.start, upto))
        own = {name: values[:, : max(0, upto - self.start)] for name, values in self.logs.items()}
        if not before or not own:
            return before or own
        return {name: np.concatenate([before[name], values], axis=1) for name, values in own.items()}

    def home(self, epoch: int) -> "Branch":
        """The branch on which an epoch of this line was trained."""
        return self.parent.home(epoch) if self.parent is not None and epoch <= self.start else self

    def record(self) -> BranchRecord:
        """As the log keeps it."""
        return BranchRecord(
            name=self.name,
            parent=None if self.parent is None else self.parent.name,
            start=self.start,
            stages=[
                StageRecord(first=stage.first, last=stage.last, settings=stage.settings)
                for stage in self.stages
            ],
        )

    def history(self, seeds: list[int], upto: int) -> xr.Dataset:
        """Its curves (model, epoch) on named axes.

        Args:
            seeds: Of the models.
            upto: Epochs.
        """
        return xr.Dataset(
            {name: (("model", "epoch"), values) for name, values in self.curves(upto).items()},
            coords={"seed": ("model", seeds), "epoch": np.arange(1, upto + 1)},
            attrs={"branch": self.name},
        )


@dataclass(frozen=True)
class BranchFacts:
    """A branch beside others.

    Attributes:
        name: What it is called.
        parent: The branch that it leaves, or an empty text.
        start: Epochs that it shares with it.
        epochs: Epochs done.
        settings: What holds at its end, in words: what was set, else what the builder sets.
        loss: Training loss of its last epoch, the mean over models; None where it is not finite.
        val_loss: The same on the watched rows; None without such rows.
        best_val_loss: The lowest one, and after which epoch that was; None likewise.
        watched: Deciding score on the watched rows at its end, the mean over models; None likewise.
    """

    name: str
    parent: str
    start: int
    epochs: int
    settings: str
    loss: float | None
    val_loss: float | None
    best_val_loss: tuple[float, int] | None
    watched: float | None


def facts(branch: Branch, own: Mapping[str, float]) -> BranchFacts:
    """A branch in numbers.

    Args:
        branch: Which.
        own: What the builder sets itself, by name.
    """
    curves = branch.curves()
    settings = branch.settings_at(branch.end)
    loss, val = (_mean(curves.get(name)) for name in ("loss", "val_loss"))
    best = None
    if np.isfinite(val).any():
        at = int(np.nanargmin(np.where(np.isfinite(val), val, np.nan)))
        best = (float(val[at]), at + 1)
    watched = branch.home(branch.end).watched.get(branch.end)
    return BranchFacts(
        name=branch.name,
        parent="" if branch.parent is None else branch.parent.name,
        start=branch.start,
        epochs=branch.end,
        settings="" if settings is None else in_words({**own, **settings.given()}),
        loss=_last(loss),
        val_loss=_last(val),
        best_val_loss=best,
        watched=None if watched is None else _known(float(watched.mean())),
    )


def _mean(values: np.ndarray | None) -> np.ndarray:
    return np.empty(0) if values is None else values.mean(axis=0)


def _last(values: np.ndarray) -> float | None:
    return _known(float(values[-1])) if len(values) else None


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
