"""What a population is asked to train, and what comes back."""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import keras
import numpy as np
import xarray as xr

from caviar.population.callbacks import copied
from caviar.population.glance import Glance
from caviar.population.seeded import Layout
from caviar.population.source import Batches, Ranges, narrow
from caviar.population.template import Build, Template

MemberValues = tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]
"""One member's values of trainable, non-trainable and optimizer variables."""

MOST_EPOCHS = 10_000_000
"""Logs and rates of all epochs have room in memory from the first one on: with more, that alone may take minutes."""


@dataclass(frozen=True, eq=False)
class Ended:
    """In what states the members of a recipe ended.

    Attributes:
        states: One per member.
        layout: Of their network.
    """

    states: Sequence[MemberValues]
    layout: Layout


@dataclass(frozen=True, eq=False)
class Seat:
    """One member's place: its seed, and the rows it trains on, may watch, and is scored on.

    Attributes:
        repeat: Which repetition of the split.
        fold: Which fold of it.
        seed: The member is what `keras.utils.set_random_seed(seed)`, then build and fit, would give.
        split: Which of the job's inputs it sees (first axis of `Job.x`).
        fit: Row numbers it trains on.
        watch: Row numbers that its callbacks see as `val_`; may be empty.
        scored: Row numbers that are predicted at the end; never watched.
        weights: Which of the job's sets of weights it uses (first axis of `Job.weight`).
        place: What tells its files from those of other members; empty for a single one.
    """

    repeat: int
    fold: int
    seed: int
    split: int
    fit: np.ndarray
    watch: np.ndarray
    scored: np.ndarray
    weights: int = 0
    place: str = ""


@dataclass(frozen=True, eq=False)
class Saved:
    """What a checkpoint has saved of one member.

    Attributes:
        epoch: The epoch, from 0; -1 if none was good enough.
        state: Values of trainable, non-trainable and optimizer variables at its end.
    """

    epoch: int
    state: MemberValues


def _copy(callback: keras.callbacks.Callback, seat: Seat) -> keras.callbacks.Callback:  # noqa: ARG001
    return copied(callback)


@dataclass(frozen=True, eq=False)
class Job:
    """Members of one recipe.

    Attributes:
        build: Returns a compiled model.
        x: Inputs (split, row, …), an array or a dict or list of arrays; a first axis of one is shared by all splits.
        y: Targets as the loss takes them, likewise.
        weight: Sets of sample weights (set, row), or None.
        seats: The members.
        batch_size: Rows per gradient step.
        epochs: The last epoch.
        callbacks: Keras callbacks.
        show: Also record the scored rows' logs after each epoch, as `held_out_…`.
        score: Also evaluate the scored rows at the end, with the weights that the recipe ends with.
        validation_batch_size: Rows per validation step; None as in `fit`: the batch size.
        ask_fit: Also predict the training rows at the end.
        ask: Whether to predict rows at the end at all.
        shuffle: Whether each epoch takes the training rows in a new order.
        weighs_watched: Whether weights count for watched rows too.
        weighs_scored: Whether they count for scored rows too.
        initial_epoch: Epochs that count as done.
        validation_freq: After every how many epochs rows are watched, or after which ones, as in `fit`.
        own: Gives a member its own copy of a callback, where members train one by one.
        probe: Look inside the members every so many epochs (probe.py); 0 for never.
        numbers: Numbers of the recipe that differ between members: by key one per seat, in the builder's place.
        rates: Per seat the learning rate of each epoch, counted from 0, where a callback sets it; None to ask the
            callbacks.
        spread: How members are spread over a step: a key of `spread.WAYS`, or "auto" for the fastest
            here, which is found by timing. Nothing is spread where members train one by one.
        steps_per_epoch: Batches of an epoch, where that is not all rows: the next epoch goes on where it ended.
        ranges: The rows, where they come to the devices block by block; `x`, `y` and `weight` are then a few of
            them, which fix shapes and types.
        source: The batches to train on, where a dataset gives them; seats then have no rows to train on.
        begun: Per seat the state in which its training up to `initial_epoch` ended (`Trained.states`): it goes on as
            if it had never stopped, but for what the recipe says now. None to begin with first weights.
        layouts: Per seat the layout of the network that it was in that state, where that may have had other seed
            generators than the recipe's (seeded.py); None where it had the same ones.
        narrow: Per seat the template of its own recipe, where its hidden layers lie in wider ones that the builder
            makes (widths.py); None where all have the builder's widths.
        followed: Whether members of the same kind are likely to follow, so that a program for more of them pays.
        look: How the builder's model looks, where it has been built before (glance.py); None where nobody looked.
        template: Of what the builder builds, where that is known already.
    """

    build: Build
    x: Any
    y: Any
    weight: np.ndarray | None
    seats: Sequence[Seat]
    batch_size: int
    epochs: int
    callbacks: Sequence[keras.callbacks.Callback] = ()
    show: bool = False
    score: bool = False
    validation_batch_size: int | None = None
    ask_fit: bool = False
    ask: bool = True
    shuffle: bool = True
    weighs_watched: bool = True
    weighs_scored: bool = True
    initial_epoch: int = 0
    validation_freq: int | tuple[int, ...] = 1
    own: Callable[[keras.callbacks.Callback, Seat], keras.callbacks.Callback] = _copy
    probe: int = 0
    numbers: Mapping[str, Sequence[float]] = field(default_factory=dict)
    rates: Sequence[Sequence[float]] | None = None
    spread: str = "auto"
    steps_per_epoch: int | None = None
    ranges: Ranges | None = None
    source: Batches | None = None
    begun: Sequence[MemberValues] | None = None
    layouts: Sequence[Layout] | None = None
    narrow: Sequence[Template] | None = None
    followed: bool = False
    look: Glance | None = None
    template: Template | None = None

    def going_on(self, before: Ended) -> "Job":
        """The same job of members that go on from where others ended, which it has one for each of."""
        return replace(self, begun=before.states, layouts=[before.layout] * len(before.states))

    @property
    def past(self) -> int:
        """Epochs that members have behind them."""
        return 0 if self.begun is None else self.initial_epoch

    @property
    def length(self) -> int:
        """Epochs to train."""
        return max(0, self.epochs - self.initial_epoch)

    def watches(self, epoch: int) -> bool:
        """Whether rows are watched after an epoch, counted from 0."""
        if isinstance(self.validation_freq, int):
            return (epoch + 1) % self.validation_freq == 0
        return epoch + 1 in self.validation_freq

    def watched(self, epochs: int) -> list[bool]:
        """Whether rows are watched, for each of so many first epochs."""
        return [self.watches(epoch) for epoch in range(self.initial_epoch, self.initial_epoch + epochs)]

    def asked(self, seat: Seat) -> np.ndarray:
        """Row numbers that a member predicts at the end: scored ones first."""
        if not self.ask:
            return seat.scored[:0]
        return np.concatenate([seat.scored, seat.fit]) if self.ask_fit else seat.scored

    def rows(
        self, split: int, rows: np.ndarray, *, weights: int = 0, weighed: bool = True
    ) -> tuple[Any, ...]:
        """Some rows as the members of a split see them: `(x, y)`, or with a set of weights where those count."""
        if self.ranges is not None:
            x, y = (
                jax.tree.map(lambda a: narrow(np.asarray(a[:]))[rows], part)
                for part in (self.ranges.x, self.ranges.y)
            )
        else:
            x, y = (
                jax.tree.map(lambda a: a[split if len(a) > 1 else 0][rows], part) for part in (self.x, self.y)
            )
        return (x, y, self.weight[weights][rows]) if weighed and self.weight is not None else (x, y)

    def sample(self, *, looked: bool | None = None) -> tuple[Any, ...]:
        """A few rows that fix shapes and types.

        Args:
            looked: None for rows to train on; otherwise for rows to look at, with weights or without.
        """
        if looked is None and self.source is not None:
            first: tuple[Any, ...] = jax.tree.map(lambda a: a[:2], self.source.first)
            return first
        x, y = (jax.tree.map(lambda a: a[0, :2], part) for part in (self.x, self.y))
        weighed = looked is not False and self.weight is not None
        return (x, y, np.ones(2, np.float32)) if weighed else (x, y)

    @property
    def full_batch(self) -> int:
        """Rows of a full batch."""
        if self.source is not None:
            return len(jax.tree.leaves(self.source.first)[0])
        return min(self.batch_size, max(len(seat.fit) for seat in self.seats))

    @property
    def streams(self) -> bool:
        """Whether rows come block by block."""
        return self.ranges is not None or self.source is not None

    def parts(self, rows: int) -> list[int]:
        """How many of so many rows the epochs of one pass through them take: usually all at once."""
        if self.steps_per_epoch is None:
            return [rows]
        part = self.steps_per_epoch * self.batch_size
        return [part] * (rows // part) + ([rows % part] if rows % part else [])

    def steps(self, seats: Sequence[Seat] | None = None, first: int = 0, epochs: int | None = None) -> int:
        """Gradient steps of some members (all of them) in some epochs (all of them), if none stops early."""
        seats, epochs = self.seats if seats is None else seats, self.length if epochs is None else epochs
        if self.source is not None:
            return self.steps_each * epochs * len(seats)
        total = 0
        for rows, members in Counter(len(seat.fit) for seat in seats).items():
            parts = self.parts(rows)
            steps = [-(-part // self.batch_size) for part in parts]
            total += members * sum(steps[epoch % len(steps)] for epoch in range(first, first + epochs))
        return total

    @property
    def steps_each(self) -> int:
        """Gradient steps of an epoch of one member, where a dataset gives the batches; one if nobody knows."""
        return 0 if self.source is None else self.source.steps or 1


@dataclass(frozen=True, eq=False)
class Trained:
    """What training gave, in the order of the job's seats.

    Attributes:
        history: (member, epoch) with coordinates repeat, fold, seed; NaN after a member's stop.
        outputs: What each member says of the rows it was asked about, in inference mode.
        states: Per member the values of trainable, non-trainable and optimizer variables.
        scores: Per member what evaluating the scored rows gave, if asked for.
        engine: `"population"` or `"loop"`.
        why: Why a loop was needed, or empty.
        epochs: Epochs that were trained: the job's, unless the monitor had enough.
        fixed: Variables whose seed the builder fixed.
        seconds: Wall time, compilation included.
        saved: Per member what each checkpoint among the callbacks has saved, in their order; empty where Keras
            itself wrote its files.
        probes: What probes measured, on named axes, if asked for.
        way: How members were spread over a step, a key of `spread.WAYS`: as `Job.spread` it gives the same bits.
        spread: The same in words, with the reason; both are empty for a loop.
        earlier: What the stages before gave, in order, where training came in stages.
        layout: Of the network whose states these are.
    """

    history: xr.Dataset
    outputs: list[Any]
    states: list[MemberValues]
    scores: list[dict[str, float]]
    engine: str
    why: str
    epochs: int
    fixed: tuple[str, ...] = ()
    seconds: float = 0.0
    saved: Sequence[tuple[Saved, ...]] = ()
    probes: xr.Dataset | None = None
    way: str = ""
    spread: str = ""
    earlier: tuple["Trained", ...] = ()
    layout: Layout | None = None

    @property
    def ended(self) -> Ended:
        """What others may go on from."""
        assert self.layout is not None
        return Ended(self.states, self.layout)


class Enough(Exception):  # noqa: N818 - a request, not an error
    """Raised by `Monitor.advance`: end the training of all members after the epochs done so far."""


class Monitor:
    """Told what happens while a job runs; may stop it by raising. This one stays silent."""

    def begin(self, steps: int) -> None:
        """Training starts; it will take at most so many gradient steps, all members together."""

    def advance(self, steps: int) -> None:
        """So many more gradient steps were done."""

    def restore(self, steps: int) -> None:
        """So many gradient steps were done before, by another process."""

    def end(self) -> None:
        """Training is over, or was stopped."""


def named_as(later: xr.Dataset, first: xr.Dataset) -> xr.Dataset:
    """Logs under the names that another build of the same model gave them: Keras numbers unnamed metrics anew.

    >>> one, other = xr.Dataset({"loss": 0.1, "auc_2": 0.7}), xr.Dataset({"loss": 0.2, "auc": 0.6})
    >>> list(named_as(one, other))
    ['loss', 'auc']
    """
    if set(later) == set(first):
        return later
    names = dict(zip(_counted(later), later, strict=True))
    renamed = {names[key]: name for key, name in zip(_counted(first), first, strict=True) if key in names}
    return later.rename(renamed)


def _counted(names: Iterable[Hashable]) -> list[tuple[str, int]]:
    """Names without their numbers, and the how-manyth of that name each is."""
    seen = Counter[str]()
    found = []
    for name in names:
        stem = re.sub(r"_\d+$", "", str(name))
        found.append((stem, seen[stem]))
        seen[stem] += 1
    return found


def make_history(
    seats: Sequence[Seat],
    logs: dict[str, np.ndarray],
    *,
    engine: str,
    why: str,
    seconds: float,
    initial_epoch: int = 0,
    spread: str = "",
) -> xr.Dataset:
    """Logs on named axes."""
    epochs = next(iter(logs.values())).shape[1]
    return xr.Dataset(
        {name: (("member", "epoch"), values.astype(np.float32)) for name, values in logs.items()},
        coords={
            "repeat": ("member", [s.repeat for s in seats]),
            "fold": ("member", [s.fold for s in seats]),
            "seed": ("member", [s.seed for s in seats]),
            "epoch": initial_epoch + np.arange(1, epochs + 1),
        },
        attrs={"engine": engine, "why": why, "seconds": seconds, "spread": spread},
    )
