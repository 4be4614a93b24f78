"""From a job to trained members: grouped, chunked, run in blocks of epochs, or one by one where that must be."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import jax
import numpy as np

from caviar.population import devices, loop, program
from caviar.population.callbacks import NotInProgram, Rule, rules
from caviar.population.initial import draw
from caviar.population.job import Job, Monitor, Seat, Trained, make_history, row_orders
from caviar.population.template import Template, make_template

# More members per device fall out of the cache: a thousand of a tiny network ran twice as fast as ten
# thousand at once.
_MEMBERS_PER_DEVICE = 1000
_ORDER_BYTES = 16 * 2**20
_BLOCK_SECONDS = 0.5
_MAX_BLOCK = 100


def train(job: Job, monitor: Monitor | None = None) -> Trained:
    """Train all members of a job.

    Members run together as one compiled program; what cannot run that way runs one model at a time, and
    `Trained.why` says so.

    Raises:
        ModelError: The builder fails, or its model cannot be trained on this data at all.
        Exception: Whatever `monitor.advance` raises to stop the job.
    """
    monitor = monitor or Monitor()
    devices.start()
    monitor.begin(job.steps())
    try:
        return _train(job, monitor)
    finally:
        monitor.end()


def _train(job: Job, monitor: Monitor) -> Trained:
    began = time.monotonic()
    template = make_template(job.build, job.sample())
    try:
        in_program = rules(job.callbacks, template.model, job.epochs)
    except NotInProgram as reason:
        return loop.train_one_by_one(job, monitor, str(reason), template.fixed)
    parts: list[tuple[list[int], _Part]] = []
    for members in _alike(job):
        for chunk in _chunks(members):
            try:
                part = _train_chunk(job, template, in_program, chunk, monitor)
            except _NotAPopulation as reason:
                return loop.train_one_by_one(job, monitor, str(reason), template.fixed)
            parts.append((chunk, part))
    return _assemble(job, template, parts, time.monotonic() - began)


class _NotAPopulation(Exception):  # noqa: N818 - an outcome, not an error
    """Why this model cannot be trained as a population."""


@dataclass(frozen=True, eq=False)
class _Part:
    """What training gave for the members of a chunk, in its order."""

    logs: dict[str, np.ndarray]
    outputs: list[np.ndarray]
    weights: tuple[list[np.ndarray], list[np.ndarray]]


def _alike(job: Job) -> Iterator[list[int]]:
    """Members with equally many full batches (and something to watch, or not) share a program.

    Folds of unequal size differ in their short last batch only; no row is dropped, repeated or padded.
    """
    alike: dict[tuple[int, bool], list[int]] = {}
    for i, seat in enumerate(job.seats):
        alike.setdefault((len(seat.fit) // job.batch_size, len(seat.watch) > 0), []).append(i)
    yield from alike.values()


def _chunks(members: list[int]) -> Iterator[list[int]]:
    width = _MEMBERS_PER_DEVICE * devices.start().count
    for start in range(0, len(members), width):
        yield members[start : start + width]


@dataclass(frozen=True)
class _Grouping:
    """Where the members of a chunk stand in a program's arrays.

    Attributes:
        groups: Seats of each group, padded to a multiple of the shards by repeating the last one.
        order: For every place on the merged member axis the (group, position) that stands there.
        place: For each member of the chunk its (group, position).
    """

    groups: list[list[Seat]]
    order: list[tuple[int, int]]
    place: list[tuple[int, int]]

    @property
    def per_shard(self) -> tuple[int, ...]:
        """Members of each group in one shard."""
        return tuple(len(group) // devices.start().count for group in self.groups)


def _grouping(job: Job, chunk: Sequence[int]) -> _Grouping:
    """Members whose numbers of rows agree form a group; every shard holds its part of each group."""
    sizes: dict[tuple[int, int, int], int] = {}
    groups: list[list[Seat]] = []
    place = []
    for member in chunk:
        seat = job.seats[member]
        key = (len(seat.fit), len(seat.watch), len(seat.scored))
        group = sizes.setdefault(key, len(sizes))
        if group == len(groups):
            groups.append([])
        place.append((group, len(groups[group])))
        groups[group].append(seat)
    shards = devices.start().count
    for group_seats in groups:  # members, unlike rows, may be padded
        group_seats.extend([group_seats[-1]] * (-len(group_seats) % shards))
    order = [
        (g, shard * (len(seats) // shards) + i)
        for shard in range(shards)
        for g, seats in enumerate(groups)
        for i in range(len(seats) // shards)
    ]
    return _Grouping(groups, order, place)


def _sizes(job: Job, grouping: _Grouping) -> program.Sizes:
    per_epoch = max(1, sum(len(group) * len(group[0].fit) for group in grouping.groups) * 4)
    block = int(np.clip(_ORDER_BYTES // per_epoch, 1, min(job.epochs, _MAX_BLOCK)))
    batch = job.validation_batch_size or job.batch_size
    return program.Sizes(grouping.per_shard, job.batch_size, batch, batch, block, job.show)


def _train_chunk(
    job: Job, template: Template, in_program: tuple[Rule, ...], chunk: list[int], monitor: Monitor
) -> _Part:
    """Train members that share one program and fit on the devices together."""
    grouping = _grouping(job, chunk)
    seeds = [grouping.groups[g][i].seed for g, i in grouping.order]
    state = draw(template, job.build, job.sample(), seeds)
    metrics = [np.asarray(value[0]) for value in state[3]]
    sizes = _sizes(job, grouping)
    machine = program.make_program(template.model, sizes, in_program, metrics)
    data = machine.share(program.Data(job.x, job.y, job.weight))
    members = [
        machine.place(
            program.Member(
                np.array([seat.split for seat in group], np.int32),
                np.stack([seat.watch for seat in group]).astype(np.int32),
                np.stack([seat.scored for seat in group]).astype(np.int32),
                np.stack([job.asked(seat) for seat in group]).astype(np.int32),
            )
        )
        for group in grouping.groups
    ]
    steps = sum(-(-len(job.seats[member].fit) // job.batch_size) for member in chunk)
    try:
        carry = machine.begin(machine.place(state))
        carry, logs = _run_blocks(
            machine,
            carry,
            members,
            data,
            _Orders(grouping.groups, sizes.block),
            job.epochs,
            lambda epochs: monitor.advance(epochs * steps),
        )
    except (jax.errors.JAXTypeError, TypeError, ValueError, AttributeError, NotImplementedError) as error:
        text = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise _NotAPopulation(f"JAX cannot trace this model's training step ({text})") from error
    finished = machine.end(carry)
    outputs: list[np.ndarray] = [np.empty(0)] * len(chunk)
    if len(job.asked(grouping.groups[0][0])):
        said = [np.asarray(values) for values in machine.predict(finished, members, data)]
        outputs = [said[g][i] for g, i in grouping.place]
    merged = {there: position for position, there in enumerate(grouping.order)}
    stand = [merged[there] for there in grouping.place]
    weights = ([np.asarray(v)[stand] for v in finished[0]], [np.asarray(v)[stand] for v in finished[1]])
    return _Part({name: values[stand] for name, values in logs.items()}, outputs, weights)


def _run_blocks(
    machine: program.Program,
    carry: program.Carry,
    members: Sequence[program.Member],
    data: program.Data,
    orders: "_Orders",
    epochs: int,
    advance: Callable[[int], None],
) -> tuple[program.Carry, dict[str, np.ndarray]]:
    """Blocks of epochs of about half a second; the next row orders are drawn while one runs."""
    recorded: dict[str, np.ndarray] = {}
    done, length, pace = 0, 1, None
    rows = orders.draw(length)
    while length:
        began = time.monotonic()
        carry, logs = machine.block(
            carry, members, data, machine.place(rows), np.int32(done), np.int32(length)
        )
        wanted = 2 * length if pace is None else int(np.clip(_BLOCK_SECONDS * pace, 1, 2 * length))
        following = min(wanted, orders.block, epochs - done - length)
        rows = orders.draw(following) if following else rows
        for name, values in logs.items():
            whole = recorded.setdefault(name, np.full((len(values), epochs), np.nan, np.float32))
            whole[:, done : done + length] = np.asarray(values)[:, :length]
        if done:  # the first block's time is mostly compilation
            pace = length / (time.monotonic() - began)
        done += length
        advance(length)
        length = following if np.asarray(carry.active).any() else 0
    return carry, recorded


class _Orders:
    """Row orders of the next epochs, one array (member, block, row) per group."""

    def __init__(self, groups: Sequence[Sequence[Seat]], block: int) -> None:
        self.block = block
        self._groups = groups
        self._next = [[row_orders(seat.seed) for seat in group] for group in groups]

    def draw(self, epochs: int) -> list[np.ndarray]:
        """The next `epochs` orders of every member; the rest of the block is not read."""
        drawn = []
        for group, next_orders in zip(self._groups, self._next, strict=True):
            orders = np.zeros((len(group), self.block, len(group[0].fit)), np.int32)
            for i, (seat, next_order) in enumerate(zip(group, next_orders, strict=True)):
                for epoch in range(epochs):
                    orders[i, epoch] = seat.fit[next_order(len(seat.fit))]
            drawn.append(orders)
        return drawn


def _assemble(job: Job, template: Template, parts: list[tuple[list[int], _Part]], seconds: float) -> Trained:
    names = list(parts[0][1].logs)
    logs = {name: np.full((len(job.seats), job.epochs), np.nan, np.float32) for name in names}
    outputs: list[np.ndarray] = [np.empty(0)] * len(job.seats)
    weights: list[tuple[list[np.ndarray], list[np.ndarray]]] = [([], [])] * len(job.seats)
    for members, part in parts:
        for position, member in enumerate(members):
            for name in names:
                logs[name][member] = part.logs[name][position]
            outputs[member] = part.outputs[position]
            weights[member] = ([v[position] for v in part.weights[0]], [v[position] for v in part.weights[1]])
    why = f"members are built one by one ({template.rebuild})" if template.rebuild else ""
    history = make_history(job.seats, logs, engine="population", why=why, seconds=seconds)
    return Trained(history, outputs, weights, "population", why, template.fixed, seconds)
