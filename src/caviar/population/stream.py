"""How members train on rows that come block by block, because they are too many or because a dataset gives them."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from caviar.population import callbacks, program, step
from caviar.population.callbacks import saved
from caviar.population.chunk import Part, filled, seated
from caviar.population.job import Enough, Job, Monitor
from caviar.population.keep import Slot, Standing
from caviar.population.ragged import Step
from caviar.population.source import Ranges, ahead
from caviar.population.step import Logs, MemberState

# Blocks come one after another, so that nothing is timed before: members first, as JAX batches them.
_WAY = ("vmap", "members side by side on the first axis: rows come in blocks")

_Numbers = dict[str, jax.Array]


@dataclass(frozen=True)
class _Setting:
    """What the functions of one member need to know that is no array of it."""

    model: keras.Model
    steps: program.Steps
    rules: Sequence[callbacks.Rule]
    rate_at: int | None


class Machine:
    """Compiled functions of a population; states, metrics, logs and rows have a leading member axis.

    Args:
        model: The template.
        steps: Its training and test steps.
        rules: Callbacks that run inside.

    Attributes:
        begin: state → carry.
        open: (carry, metrics, epoch) → state at the beginning of an epoch.
        stack: (state, logs, numbers, batches, count) → state, logs: so many batches, the same for all members.
        tail: (state, numbers, batch) → state, logs: one batch of any size.
        close: (carry before, state, logs, epoch, whether rows were watched) → carry, logs: what the rules decide.
        end: carry → state with the weights that the recipe ends with.
        place: Puts arrays on the devices, members divided among them.
        share: Puts arrays on the devices, a copy on each.
    """

    def __init__(self, model: keras.Model, steps: program.Steps, rules: Sequence[callbacks.Rule]) -> None:
        setting = _Setting(model, steps, rules, callbacks.rate_position(model))
        self._setting = setting
        self._mesh = Mesh(jax.devices(), ("member",), axis_types=(AxisType.Auto,))
        self.begin = self._mapped(partial(_begin, setting), (0,))
        self.open = self._mapped(partial(_open, setting), (0, 0, None))
        self.stack = self._mapped(partial(_stack, setting), (0, 0, 0, None, None), donated=(0, 1))
        self.tail = self._mapped(partial(_tail, setting), (0, 0, None), donated=(0,))
        self.close = self._mapped(partial(program.decide, rules, setting.rate_at), (0, 0, 0, None, None))
        self.end = self._mapped(partial(_end, setting), (0,))
        self.place = partial(jax.device_put, device=NamedSharding(self._mesh, PartitionSpec("member")))
        self.share = partial(jax.device_put, device=NamedSharding(self._mesh, PartitionSpec()))
        self._made: dict[object, Callable[..., Any]] = {}

    def rows(self, way: program.Pass) -> Callable[..., Any]:
        """(state, logs, numbers, weights, data, rows, counts) → state, logs: each member's own rows of a block."""
        if way not in self._made:
            one = partial(_rows, self._setting, way)
            self._made[way] = self._mapped(one, (0, 0, 0, 0, None, 0, 0), donated=(0, 1))
        return self._made[way]

    def look(self, way: program.Pass, *, scored: bool, weighed: bool) -> Callable[..., Any]:
        """(state, metrics, logs, numbers, weights, data, rows, counts) → metrics, logs: rows not trained on."""
        key = (way, scored, weighed)
        if key not in self._made:
            one_step = self._setting.steps.scored if scored else self._setting.steps.watch
            assert one_step is not None
            one = partial(_look, one_step, way, weighed)
            self._made[key] = self._mapped(one, (0, 0, 0, 0, 0, None, 0, 0))
        return self._made[key]

    def _mapped(
        self, function: Callable[..., Any], axes: Sequence[int | None], donated: Sequence[int] = ()
    ) -> Callable[..., Any]:
        many, one = PartitionSpec("member"), PartitionSpec()
        specs = tuple(many if axis == 0 else one for axis in axes)
        batched = jax.vmap(function, in_axes=tuple(axes))
        whole = jax.shard_map(batched, mesh=self._mesh, in_specs=specs, out_specs=many, check_vma=False)
        return jax.jit(whole, donate_argnums=donated)


# What follows is about one member.


def _begin(setting: _Setting, state: MemberState) -> program.Carry:
    return program.Carry(state, callbacks.begin(setting.rules, state), jnp.bool_(True))


def _open(setting: _Setting, carry: program.Carry, metrics: list[jax.Array], epoch: jax.Array) -> MemberState:
    return callbacks.before_epoch(setting.rules, (*carry.state[:3], metrics), epoch, setting.rate_at)


def _stack(
    setting: _Setting,
    state: MemberState,
    logs: Logs,
    numbers: _Numbers,
    batches: Any,  # noqa: ANN401
    count: jax.Array,
) -> tuple[MemberState, Logs]:
    train = _trains(setting.steps, numbers)

    def body(i: jax.Array, loop: tuple[MemberState, Logs]) -> Any:  # noqa: ANN401
        return train.full(loop[0], jax.tree.map(lambda a: a[i], batches))

    return jax.lax.fori_loop(0, count, body, (state, logs))


def _tail(setting: _Setting, state: MemberState, numbers: _Numbers, batch: Any) -> Any:  # noqa: ANN401
    return _trains(setting.steps, numbers).plain(state, batch)


def _rows(
    setting: _Setting,
    way: program.Pass,
    state: MemberState,
    logs: Logs,
    numbers: _Numbers,
    weights: jax.Array,
    data: program.Data,
    rows: jax.Array,
    count: jax.Array,
) -> tuple[MemberState, Logs]:
    fetch = partial(data.batch, jnp.int32(0), weights, weighed=True)
    return program.go(way, _trains(setting.steps, numbers), state, rows, count, fetch, logs)


def _look(
    one_step: Step,
    way: program.Pass,
    weighed: bool,  # noqa: FBT001
    state: MemberState,
    metrics: list[jax.Array],
    logs: Logs,
    numbers: _Numbers,
    weights: jax.Array,
    data: program.Data,
    rows: jax.Array,
    count: jax.Array,
) -> tuple[list[jax.Array], Logs]:
    looks = program.given(one_step, lambda metrics: (state[0], state[1], metrics, numbers))
    fetch = partial(data.batch, jnp.int32(0), weights, weighed=weighed)
    return program.go(way, looks, metrics, rows, count, fetch, logs)


def _end(setting: _Setting, carry: program.Carry) -> MemberState:
    model = setting.model
    seeds = {i for i, v in enumerate(model.non_trainable_variables) if "seed_generator_state" in v.name}
    return callbacks.at_end(setting.rules, carry.rules, step.finish(model, carry.state), seeds)


def _trains(steps: program.Steps, numbers: _Numbers) -> Step:
    return program.given(steps.train, lambda state: (state, numbers))


@dataclass(frozen=True)
class Ways:
    """How members go through the blocks of rows: all but the last block, the last one, and those only looked at."""

    inner: program.Pass | None
    last: program.Pass | None
    watch: program.Pass | None
    scored: program.Pass | None


def ways_of(job: Job, members: Sequence[int]) -> Ways:
    """The ways of some members through the blocks of a job; None where there is nothing to go through."""
    seats = [job.seats[member] for member in members]
    if job.ranges is None:
        return Ways(None, None, None, None)
    fit = _counts(job.ranges, [seat.fit for seat in seats])
    look = job.validation_batch_size or job.batch_size
    watched = _counts(job.ranges, [seat.watch for seat in seats])
    scored = _counts(job.ranges, [seat.scored for seat in seats])
    trains = [counts for counts in fit if counts.any()]
    return Ways(
        _way(np.concatenate(trains[:-1]), job.batch_size) if len(trains) > 1 else None,
        _way(trains[-1], job.batch_size) if trains else None,
        _way(watched.ravel(), look) if watched.any() else None,
        _way(scored.ravel(), look) if scored.any() and (job.show or job.score) else None,
    )


def _counts(ranges: Ranges, lists: Sequence[np.ndarray]) -> np.ndarray:
    """How many rows of each sorted list fall into each block (block, list)."""
    ends = [*ranges.starts, ranges.count]
    same: dict[int, np.ndarray] = {}
    for rows in lists:
        if id(rows) not in same:
            same[id(rows)] = np.diff(np.searchsorted(rows, ends))
    return np.array([same[id(rows)] for rows in lists]).T


def _way(counts: np.ndarray, batch: int) -> program.Pass:
    """The way through lists of so many rows in batches of one size, however few rows there are."""
    way = program.make_pass(counts.tolist(), batch)
    if way.batch == batch:
        return way
    return program.Pass(batch, 0, 1, bool(counts.min() > 0), way.tails)


def passes_of(job: Job, ways: Ways) -> program.Passes:
    """What must be known of the ways to trace the steps."""
    fits = [way for way in (ways.inner, ways.last) if way is not None]
    size = job.source.batch_size if job.source is not None else job.batch_size
    short = any(way.needs_short for way in fits)
    fit = program.Pass(size, 1, int(short), even=not short, tails=())
    return program.Passes(fit, ways.watch, ways.scored, job.show, job.weighs_watched, job.weighs_scored)


@dataclass(frozen=True, eq=False)
class Group:
    """Members that train on the same blocks, and what their program is made of.

    Attributes:
        job: What is trained.
        ways: How they go through their rows.
        machine: Their program.
        logs: Shapes and types of what a training step and a look say, for one member.
        draw: Seeds → first state of all variables (member, …).
        rate_at: Where the learning rate stands among the optimizer's variables, if it is a number.
    """

    job: Job
    ways: Ways
    machine: Machine
    logs: tuple[Any, Any]
    draw: Callable[[Sequence[int]], Any]
    rate_at: int | None


def train_stream(
    group: Group, members: Sequence[int], epochs: int, monitor: Monitor, slot: Slot | None, first: Part | None
) -> Part:
    """Train members that fit on the devices together, on rows that do not.

    Args:
        group: Whose members they are.
        members: Their places in the job.
        epochs: How many epochs.
        monitor: Told of progress.
        slot: Where their state is kept, after an epoch, and taken from if it is there.
        first: What the first such members gave, if these are others: they alone may end early.
    """
    run = _Run(group, members, epochs, slot)
    run.run(monitor, len(members), may_end=first is None)
    return run.end(len(members))


class _Run:
    """Members on the devices, epoch by epoch."""

    def __init__(self, group: Group, members: Sequence[int], epochs: int, slot: Slot | None) -> None:
        self._group, self._machine, self._epochs, self._slot = group, group.machine, epochs, slot
        self._seats, state, numbers = seated(group.job, members, group.draw, group.rate_at)
        machine = self._machine
        self._metrics, self._numbers = machine.place(state[3]), machine.place(numbers)
        self._weights = machine.place(np.array([seat.weights for seat in self._seats], np.int32))
        shapes = jax.eval_shape(machine.begin, state)
        kept = slot.load([leaf.dtype for leaf in jax.tree.leaves(shapes)]) if slot else None
        self._at = kept or Standing(0, ended=False, here=np.arange(len(self._seats)), leaves=[], logs={})
        self._before, self._began = self._at.seconds, time.monotonic()
        if group.job.source is not None:
            group.job.source.begin()
        if kept is None:
            self._carry = machine.begin(machine.place(state))
        else:
            self._carry = machine.place(jax.tree.unflatten(jax.tree.structure(shapes), kept.leaves))

    def run(self, monitor: Monitor, members: int, *, may_end: bool) -> None:
        """Epoch by epoch, until the last or until nobody trains any more."""
        at, job = self._at, self._group.job
        for _ in range(at.done):
            self._skip()
        monitor.restore(at.done * job.steps_each * members)
        while at.done < self._epochs and not at.ended and np.asarray(self._carry.active).any():
            epoch = job.initial_epoch + at.done
            before = self._carry
            state, logs = self._train(epoch, monitor, members)
            watches = job.watches(epoch)
            if self._group.ways.watch is not None:
                seen = self._look(state, scored=False) if watches else self._unseen()
                logs = {**logs, **{f"val_{name}": value for name, value in seen.items()}}
            shown = self._look(state, scored=True) if job.show else {}
            self._carry, logs = self._machine.close(before, state, logs, np.int32(epoch), np.bool_(watches))
            active = np.asarray(before.active)
            logs = {**logs, **{f"held_out_{name}": np.where(active, v, np.nan) for name, v in shown.items()}}
            self._record(logs)
            try:
                monitor.advance(0)
            except Enough:
                at.ended = may_end
            if self._slot is not None and self._slot.due():
                self._save()
        self._save()

    def end(self, count: int) -> Part:
        """What the first so many members gave."""
        finished = self._machine.end(self._carry)
        scores: dict[str, np.ndarray] = {}
        if self._group.job.score:
            scores = {name: np.asarray(v) for name, v in self._look(finished, scored=True).items()}
        trainable, rest, optimizer = ([np.asarray(v) for v in group] for group in finished[:3])
        done = self._at.done if self._at.ended else self._epochs
        logs = {name: values[:, :done] for name, values in self._at.logs.items()}
        nothing: list[Any] = [np.empty(0)] * count
        return Part(
            logs,
            nothing,
            (trainable, rest, optimizer),
            scores,
            done,
            self._before,
            _WAY,
            saved(self._carry.rules),
        )

    def _skip(self) -> None:
        """Pass over an epoch that is trained already: a dataset may give other batches in each."""
        source = self._group.job.source
        if source is not None:
            for _ in source.epoch():
                pass

    def _train(self, epoch: int, monitor: Monitor, members: int) -> tuple[MemberState, Logs]:
        machine, source = self._machine, self._group.job.source
        state, logs = machine.open(self._carry, self._metrics, np.int32(epoch)), self._silent(0)
        told = 0
        if source is not None:
            for item in ahead(source.epoch(), machine.share):
                if item.count:
                    state, logs = machine.stack(state, logs, self._numbers, item.batches, item.count)
                if item.tail is not None:
                    state, logs = machine.tail(state, self._numbers, item.tail)
                told += self._tell(monitor, (int(item.count) + (item.tail is not None)) * members)
            self._tell(monitor, self._group.job.steps_each * members - told)
            return state, logs
        for way, data, rows, counts in ahead(self._blocks(epoch), self._placed):
            state, logs = machine.rows(way)(state, logs, self._numbers, self._weights, data, rows, counts)
            self._tell(monitor, int((-(-np.asarray(counts)[:members] // way.batch)).sum()))
        return state, logs

    def _tell(self, monitor: Monitor, steps: int) -> int:
        with contextlib.suppress(Enough):  # an epoch is trained to its end
            monitor.advance(steps)
        return steps

    def _blocks(self, epoch: int) -> Iterator[tuple[program.Pass, program.Data, np.ndarray, np.ndarray]]:
        """The blocks of an epoch, in a new order each time, and each member's rows in them, likewise."""
        job, ways = self._group.job, self._group.ways
        ranges = job.ranges
        assert ranges is not None
        lists = [seat.fit for seat in self._seats]
        held = _counts(ranges, lists)
        used = [i for i, counts in enumerate(held) if counts.any()]
        order = used
        if job.shuffle:  # the same for all members: they share what is on the devices
            order = [
                used[i] for i in np.random.default_rng([job.seats[0].seed, epoch]).permutation(len(used))
            ]
        for i in order:
            way = ways.last if i == used[-1] else ways.inner
            assert way is not None
            start = ranges.starts[i]
            rows = [_inside(rows, start, ranges.rows) for rows in lists]
            if job.shuffle:
                rows = [
                    np.random.default_rng([seat.seed, epoch, i]).permutation(some)
                    for seat, some in zip(self._seats, rows, strict=True)
                ]
            yield way, _data(job, start), filled(rows, way.width), held[i].astype(np.int32)

    def _look(self, state: MemberState, *, scored: bool) -> Logs:
        """Logs of rows that members do not train on."""
        job, machine = self._group.job, self._machine
        way = self._group.ways.scored if scored else self._group.ways.watch
        ranges = job.ranges
        assert way is not None
        assert ranges is not None
        lists = [seat.scored if scored else seat.watch for seat in self._seats]
        weighed = job.weighs_scored if scored else job.weighs_watched
        one = machine.look(way, scored=scored, weighed=weighed)
        held = _counts(ranges, lists)

        def blocks() -> Iterator[tuple[program.Pass, program.Data, np.ndarray, np.ndarray]]:
            for start, counts in zip(ranges.starts, held, strict=True):
                if counts.any():
                    rows = [_inside(rows, start, ranges.rows) for rows in lists]
                    yield way, _data(job, start), filled(rows, way.width), counts.astype(np.int32)

        metrics, logs = self._metrics, self._silent(1)
        for _, data, rows, counts in ahead(blocks(), self._placed):
            metrics, logs = one(state, metrics, logs, self._numbers, self._weights, data, rows, counts)
        return logs

    def _silent(self, of: int) -> Logs:
        """Zeros in the place of what a training step (0) or a look (1) says: what is given here is used up."""
        many = len(self._seats)
        zeros = {n: np.zeros((many, *z.shape), z.dtype) for n, z in self._group.logs[of].items()}
        placed: Logs = self._machine.place(zeros)
        return placed

    def _unseen(self) -> Logs:
        """Logs of rows that nobody looked at."""
        return {name: jnp.full_like(zeros, jnp.nan, jnp.float32) for name, zeros in self._silent(1).items()}

    def _placed(
        self, block: tuple[program.Pass, program.Data, np.ndarray, np.ndarray]
    ) -> tuple[program.Pass, program.Data, Any, Any]:
        way, data, rows, counts = block
        return way, self._machine.share(data), self._machine.place(rows), self._machine.place(counts)

    def _record(self, logs: Logs) -> None:
        at = self._at
        for name, values in logs.items():
            if name not in at.logs:
                at.logs[name] = np.full((len(self._seats), self._epochs), np.nan, np.float32)
            at.logs[name][:, at.done] = np.asarray(values)
        at.done += 1

    def _save(self) -> None:
        if self._slot is None:
            return
        self._at.leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(self._carry)]
        self._at.seconds = self._before + time.monotonic() - self._began
        self._slot.save(self._at)


def _inside(rows: np.ndarray, start: int, length: int) -> np.ndarray:
    """Which rows of a block are in a sorted list, counted from the block's first."""
    first, end = np.searchsorted(rows, (start, start + length))
    return rows[first:end] - start


def _data(job: Job, start: int) -> program.Data:
    """A block as data that all members share."""
    assert job.ranges is not None
    x, y = (keras.tree.map_structure(lambda a: a[None], part) for part in job.ranges.block(start))
    weight = None if job.weight is None else job.weight[:, start : start + job.ranges.rows]
    return program.Data(x, y, weight)
