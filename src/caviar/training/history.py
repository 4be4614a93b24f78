"""What training a population gives back: logs on named axes, scores, and members as ordinary models."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import keras
import numpy as np
import xarray as xr

from caviar.population.job import Job, MemberValues, Trained
from caviar.population.probed import join
from caviar.population.template import build_alone


@dataclass(frozen=True, eq=False)
class Member:
    """One trained model of a population.

    Attributes:
        recipe: Its recipe's name; empty if there is only one.
        repeat: Which repetition of the folds.
        fold: Which fold was held out.
        seed: What `keras.utils.set_random_seed` would have been given.
        rows: Row numbers that it trained on.
        held_out: Row numbers of its held-out fold; empty without folds.
    """

    recipe: str
    repeat: int
    fold: int
    seed: int
    rows: np.ndarray
    held_out: np.ndarray
    _job: Job
    _state: tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]

    @property
    def state(self) -> MemberValues:
        """Values of trainable, non-trainable and optimizer variables that its training ended with."""
        return self._state

    def model(self) -> keras.Model:
        """An ordinary compiled Keras model with this member's weights and optimizer state, a new one each time."""
        model = build_alone(self._job.build, self._job.sample(), self.seed)
        groups = (model.trainable_variables, model.non_trainable_variables, model.optimizer.variables)
        for group, values in zip(groups, self._state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        return model

    def weights(self) -> list[np.ndarray]:
        """Values of its trainable variables, in the order of `model.trainable_variables`: no model is built."""
        return [np.asarray(value) for value in self._state[0]]


@dataclass(frozen=True, eq=False)
class History:
    """What training a population recorded.

    Attributes:
        dataset: Logs on the axes member and epoch, with coordinates recipe, repeat, fold and seed; NaN after a
            member has stopped.
        scores: Per name of a log its value on each member's held-out fold, with the weights that it ended with:
            arrays (member,). Empty without folds.
        members: The trained models, in the order of the member axis.
        attrs: What ran: `engine` (`"population"` or `"loop"`), `why`, `populations` (recipes that differ only in
            numbers share one), `seconds`, `split`, `rows` (whether they came in blocks, and how these were
            shuffled), `spread` (how members were spread over a step, and why so), and
            `fixed`, the variables whose seed the builder fixed, so that they do not vary.
        probes: What went on inside the members, on the axes member, epoch (probed ones only) and layer; each variable
            says what it means and where and why it is missing. None without `probes=`.
    """

    dataset: xr.Dataset
    scores: dict[str, np.ndarray]
    members: list[Member]
    attrs: dict[str, Any]
    probes: xr.Dataset | None
    _watches: Callable[[int], bool]

    def __repr__(self) -> str:
        sizes, logs = self.dataset.sizes, ", ".join(map(str, self.dataset.data_vars))
        return (
            f"<caviar.History: {sizes['member']} members, {sizes['epoch']} epochs, {self.attrs['engine']} in "
            f"{self.attrs['seconds']:.1f} s; logs {logs}>"
        )

    @property
    def epoch(self) -> list[int]:
        """Numbers of the epochs, from 0 as in Keras."""
        return [int(epoch) - 1 for epoch in self.dataset["epoch"].values]

    @property
    def history(self) -> dict[str, Any]:
        """Logs by name: arrays (member, epoch) with NaN after a stop; for a single member plain lists."""
        logs = {str(name): values.values for name, values in self.dataset.data_vars.items()}
        if len(self.members) > 1:
            return logs
        rows = self.rows(0)
        return {name: [row[name] for row in rows if name in row] for name in dict.fromkeys(chain(*rows))}

    def rows(self, member: int) -> list[dict[str, float]]:
        """Logs of one member epoch by epoch until it stopped, without what was not looked at in an epoch."""
        logs = {str(name): values.values[member] for name, values in self.dataset.data_vars.items()}
        seen = np.flatnonzero(~np.isnan(list(logs.values())).all(axis=0))
        return [
            {
                name: float(values[i])
                for name, values in logs.items()
                if not name.startswith("val_") or self._watches(epoch)
            }
            for i, epoch in enumerate(self.epoch[: seen[-1] + 1 if len(seen) else None])
        ]


def make_history(
    parts: Sequence[tuple[str, Job, Trained]], populations: int, seconds: float, split: str
) -> History:
    """What the members of all recipes recorded, as one.

    Args:
        parts: Name of a recipe, its job, and what training it gave.
        populations: How many programs trained them.
        seconds: Wall time.
        split: How the folds were drawn.
    """
    members, scores, datasets = [], [], []
    for name, job, trained in parts:
        members += [
            Member(
                name, seat.repeat, seat.fold, seat.seed, seat.fit, seat.scored, replace(job, seats=()), state
            )
            for seat, state in zip(job.seats, trained.states, strict=True)
        ]
        scores += trained.scores
        named = trained.history.assign_coords(recipe=("member", [name] * len(job.seats)))
        datasets.append(named.drop_attrs())
    dataset = xr.concat(datasets, "member", join="outer", data_vars="all", combine_attrs="drop")
    names = list(dict.fromkeys(name for score in scores for name in score))
    loops = [trained for _, _, trained in parts if trained.engine == "loop"]
    attrs = {
        "engine": "loop" if loops else "population",
        "why": next((trained.why for _, _, trained in parts if trained.why), ""),
        "populations": populations,
        "seconds": seconds,
        "split": split,
        "rows": _coming(parts[0][1]),
        "spread": "; ".join(dict.fromkeys(trained.spread for _, _, trained in parts if trained.spread)),
        "fixed": tuple(dict.fromkeys(name for _, _, trained in parts for name in trained.fixed)),
    }
    return History(
        dataset,
        {name: np.array([score.get(name, np.nan) for score in scores]) for name in names},
        members,
        attrs,
        join((name, trained.probes) for name, _, trained in parts),
        parts[0][1].watches,
    )


def _coming(job: Job) -> str:
    """How rows to train on came to the devices."""
    if job.source is not None:
        return "in the batches of the dataset, the same for all members"
    if job.ranges is None:
        return "all at once"
    shuffled = "shuffled within blocks, and blocks among each other" if job.shuffle else "in their order"
    return f"in blocks of {job.ranges.rows:,}, {shuffled}"
