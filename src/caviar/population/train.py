"""From a job to trained members: grouped, chunked, run in blocks of epochs, or one by one where that must be."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import jax
import numpy as np

from caviar.population import devices, loop, program
from caviar.population.callbacks import NotInProgram, Rule, rules
from caviar.population.initial import State, draw
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
    for members in _groups(job):
        for chunk in _chunks(members):
            try:
                part = _train_chunk(job, template, in_program, [job.seats[i] for i in chunk], monitor)
            except _NotAPopulation as reason:
                return loop.train_one_by_one(job, monitor, str(reason), template.fixed)
            parts.append((chunk, part))
    return _assemble(job, template, parts, time.monotonic() - began)


class _NotAPopulation(Exception):  # noqa: N818 - an outcome, not an error
    """Why this model cannot be trained as a population."""


@dataclass(frozen=True, eq=False)
class _Part:
    logs: dict[str, np.ndarray]
    outputs: np.ndarray
    weights: tuple[list[np.ndarray], list[np.ndarray]]


def _groups(job: Job) -> Iterator[list[int]]:
    """Members whose numbers of rows agree share a program; no row is dropped, repeated or padded."""
    groups: dict[tuple[int, int, int], list[int]] = {}
    for i, seat in enumerate(job.seats):
        groups.setdefault((len(seat.fit), len(seat.watch), len(seat.scored)), []).append(i)
    yield from groups.values()


def _chunks(members: list[int]) -> Iterator[list[int]]:
    width = _MEMBERS_PER_DEVICE * devices.start().count
    for start in range(0, len(members), width):
        yield members[start : start + width]


def _sizes(job: Job, seats: Sequence[Seat]) -> program.Sizes:
    seat = seats[0]
    per_epoch = max(1, len(seats) * len(seat.fit) * 4)
    block = int(np.clip(_ORDER_BYTES // per_epoch, 1, min(job.epochs, _MAX_BLOCK)))
    batch = job.validation_batch_size or job.batch_size
    return program.Sizes(
        len(seat.fit), len(seat.watch), len(seat.scored), job.batch_size, batch, batch, block, job.show
    )


def _train_chunk(
    job: Job, template: Template, in_program: tuple[Rule, ...], seats: list[Seat], monitor: Monitor
) -> _Part:
    """Train members that share one program and fit on the devices together."""
    real = len(seats)
    shards = devices.start().count
    seats = seats + [seats[-1]] * (-real % shards)  # members, unlike rows, may be padded
    state = draw(template, job.build, job.sample(), [seat.seed for seat in seats])
    metrics = [np.asarray(value[0]) for value in state[3]]
    sizes = _sizes(job, seats)
    machine = program.make_program(template.model, sizes, in_program, metrics)
    data = machine.share(program.Data(job.x, job.y, job.weight))
    members = machine.place(
        program.Member(
            np.array([seat.split for seat in seats], np.int32),
            np.stack([seat.watch for seat in seats]).astype(np.int32),
            np.stack([seat.scored for seat in seats]).astype(np.int32),
            np.stack([job.asked(seat) for seat in seats]).astype(np.int32),
        )
    )
    try:
        carry = machine.begin(machine.place(_strip(state)))
        steps = -(-sizes.fit // sizes.batch) * real
        orders = _Orders(seats, real, sizes.block)
        carry, logs = _run_blocks(
            machine, carry, members, data, orders, job.epochs, lambda epochs: monitor.advance(epochs * steps)
        )
    except (jax.errors.JAXTypeError, TypeError, ValueError, AttributeError, NotImplementedError) as error:
        text = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise _NotAPopulation(f"JAX cannot trace this model's training step ({text})") from error
    finished = machine.end(carry)
    asked = len(job.asked(seats[0]))
    outputs = np.asarray(machine.predict(finished, members, data)) if asked else np.empty((real, 0))
    weights = tuple([np.asarray(v)[:real] for v in group] for group in finished[:2])
    return _Part(
        {name: values[:real] for name, values in logs.items()}, outputs[:real], (weights[0], weights[1])
    )


def _strip(state: State) -> State:
    """Metric variables start from their reset value in every epoch, so only their shapes matter."""
    return (state[0], state[1], state[2], [np.asarray(v) for v in state[3]])


def _run_blocks(
    machine: program.Program,
    carry: program.Carry,
    members: program.Member,
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
    """Row orders of the next epochs, as arrays (member, block, row)."""

    def __init__(self, seats: Sequence[Seat], real: int, block: int) -> None:
        self.block = block
        self._seats = seats
        self._next = [row_orders(seat.seed) for seat in seats[:real]]

    def draw(self, epochs: int) -> np.ndarray:
        """The next `epochs` orders of every member; the rest of the block is not read."""
        rows = len(self._seats[0].fit)
        orders = np.zeros((len(self._seats), self.block, rows), np.int32)
        for i, next_order in enumerate(self._next):
            for epoch in range(epochs):
                orders[i, epoch] = self._seats[i].fit[next_order(rows)]
        orders[len(self._next) :] = orders[len(self._next) - 1]
        return orders


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
