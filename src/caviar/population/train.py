"""From a job to trained members: grouped, chunked, run in blocks of epochs, or one by one where that must be."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import keras
import numpy as np

from caviar.population import devices, loop, program
from caviar.population.callbacks import NotInProgram, Rule, kept, rate_position, rules
from caviar.population.initial import draw
from caviar.population.job import Enough, Job, Kept, Monitor, Seat, Trained, make_history, row_orders
from caviar.population.lift import LEARNING_RATE, as_arrays
from caviar.population.ragged import NotRagged
from caviar.population.template import Template, make_template, variables

# More members per device fall out of the cache: a thousand of a tiny network ran twice as fast as ten
# thousand at once.
_MEMBERS_PER_DEVICE = 1000
_ORDER_BYTES = 16 * 2**20
_BLOCK_SECONDS = 0.5
_MAX_BLOCK = 100


def train(job: Job, monitor: Monitor | None = None, *, one_by_one: bool = False) -> Trained:
    """Train all members of a job.

    Members run together as one compiled program; what cannot run that way runs one model at a time, and
    `Trained.why` says so.

    Args:
        job: The members.
        monitor: Told of progress.
        one_by_one: Whether to train one model at a time in any case.

    Raises:
        ModelError: The builder fails, or its model cannot be trained on this data at all.
        NotTogether: Its members have numbers of their own and cannot be trained as a population.
        Exception: Whatever `monitor.advance` raises to stop the job.
    """
    monitor = monitor or Monitor()
    devices.start()
    monitor.begin(job.steps())
    try:
        return _train(job, monitor, one_by_one=one_by_one)
    finally:
        monitor.end()


def _train(job: Job, monitor: Monitor, *, one_by_one: bool) -> Trained:
    began = time.monotonic()
    template = make_template(job.build, job.sample())
    if one_by_one:
        return _one_by_one(job, monitor, "that was asked for", template)
    try:
        in_program = rules(job.callbacks, template.model, job.epochs, job.initial_epoch)
    except NotInProgram as reason:
        return _one_by_one(job, monitor, str(reason), template)
    parts: list[tuple[list[int], _Part]] = []
    epochs = job.length
    try:
        for shared in _programs(job, template):
            machine = shared.machine(template.model, in_program)
            for chunk in _chunks(shared.members):
                part = _train_chunk(job, template, shared, machine, chunk, epochs, monitor, first=not parts)
                epochs = part.epochs
                parts.append((chunk, part))
    except _NotAPopulation as reason:
        return _one_by_one(job, monitor, str(reason), template)
    return _assemble(job, template, parts, epochs, time.monotonic() - began)


class NotTogether(Exception):  # noqa: N818 - an outcome, not an error
    """Why the recipes of a job with numbers of their own must be trained one by one."""


def _one_by_one(job: Job, monitor: Monitor, why: str, template: Template) -> Trained:
    if job.numbers:  # the builder is that of one recipe
        raise NotTogether(why)
    return loop.train_one_by_one(job, monitor, why, template.fixed)


class _NotAPopulation(Exception):  # noqa: N818 - an outcome, not an error
    """Why this model cannot be trained as a population."""


@dataclass(frozen=True, eq=False)
class _Part:
    """What training gave for the members of a chunk, in its order."""

    logs: dict[str, np.ndarray]
    outputs: list[Any]
    state: tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]
    scores: dict[str, np.ndarray]
    epochs: int
    kept: list[tuple[np.ndarray, tuple[list[np.ndarray], ...]]]


@dataclass(frozen=True)
class _Shared:
    """Members that share a program, and what it is made of."""

    members: list[int]
    passes: program.Passes
    steps: program.Steps

    def machine(self, model: keras.Model, in_program: tuple[Rule, ...]) -> program.Program:
        return program.make_program(model, self.steps, self.passes, in_program)


def _programs(job: Job, template: Template) -> Iterator[_Shared]:
    """The fewest programs: one, but for members that watch rows and those that do not.

    Where the model's step cannot take batches of any number of rows, members' numbers of rows must agree too.
    """
    for some in _alike(job, range(len(job.seats)), lambda seat: len(seat.watch) > 0):
        try:
            yield _shared(job, template, some, program.make_look)
        except NotRagged:
            for few in _alike(job, some, lambda seat: (len(seat.fit), len(seat.watch), len(seat.scored))):
                yield _shared(job, template, few, program.make_pass)


def _alike(job: Job, members: Sequence[int], what: Callable[[Seat], object]) -> Iterator[list[int]]:
    alike: dict[object, list[int]] = {}
    for i in members:
        alike.setdefault(what(job.seats[i]), []).append(i)
    yield from alike.values()


def _shared(
    job: Job, template: Template, members: list[int], make_look: Callable[[list[int], int], program.Pass]
) -> _Shared:
    seats = [job.seats[member] for member in members]
    look = job.validation_batch_size or job.batch_size
    passes = program.Passes(
        program.make_pass([len(seat.fit) for seat in seats], job.batch_size),
        make_look([len(seat.watch) for seat in seats], look) if len(seats[0].watch) else None,
        make_look([len(seat.scored) for seat in seats], look) if job.show or job.score else None,
        job.show,
        job.weighs_watched,
        job.weighs_scored,
        _watches(job),
    )
    trainable, rest, optimizer, metrics = (
        [jax.ShapeDtypeStruct(v.shape, jax.dtypes.canonicalize_dtype(v.dtype)) for v in group]
        for group in variables(template.model)
    )
    state = (trainable, rest, optimizer, metrics)
    numbers = {key: jax.ShapeDtypeStruct((2,), np.float32) for key in job.numbers if key != LEARNING_RATE}
    with _tracing():
        return _Shared(
            members,
            passes,
            program.trace_steps(template.model, state, numbers, job.sample, passes),
        )


def _watches(job: Job) -> tuple[bool, ...]:
    every = tuple(job.watches(epoch) for epoch in range(job.epochs))
    return () if all(every[job.initial_epoch :]) else every


@contextmanager
def _tracing() -> Iterator[None]:
    """What goes wrong while a model is traced or compiled means that its members train one by one."""
    try:
        yield
    except (jax.errors.JAXTypeError, TypeError, ValueError, AttributeError, NotImplementedError) as error:
        text = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise _NotAPopulation(f"JAX cannot trace this model's training step ({text})") from error


def _chunks(members: list[int]) -> Iterator[list[int]]:
    """Equally large parts, so that they share a compiled program."""
    count = devices.start().count
    parts = -(-len(members) // (_MEMBERS_PER_DEVICE * count))
    width = -(-len(members) // parts)
    for start in range(0, len(members), width):
        yield members[start : start + width]


def _filled(lists: Sequence[np.ndarray], width: int) -> np.ndarray:
    """Lists of rows as one array (list, width), filled up with each one's first row."""
    filled = np.zeros((len(lists), width), np.int32)
    for line, rows in zip(filled, lists, strict=True):
        line[: len(rows)] = rows
        if len(rows):
            line[len(rows) :] = rows[0]
    return filled


def _member(
    job: Job,
    seats: Sequence[Seat],
    passes: program.Passes,
    metrics: list[np.ndarray],
    numbers: dict[str, np.ndarray],
) -> program.Member:
    def lists(name: str, way: program.Pass | None) -> tuple[np.ndarray, np.ndarray]:
        if way is None:
            return np.zeros((len(seats), 0), np.int32), np.zeros(len(seats), np.int32)
        rows = [getattr(seat, name) for seat in seats]
        return _filled(rows, way.width), np.array([len(r) for r in rows], np.int32)

    asked = [job.asked(seat) for seat in seats]
    return program.Member(
        np.array([seat.split for seat in seats], np.int32),
        np.array([seat.weights for seat in seats], np.int32),
        np.array([len(seat.fit) for seat in seats], np.int32),
        *lists("watch", passes.watch),
        *lists("scored", passes.scored),
        _filled(asked, max(map(len, asked))),
        metrics,
        numbers,
    )


def _train_chunk(
    job: Job,
    template: Template,
    shared: _Shared,
    machine: program.Program,
    chunk: list[int],
    epochs: int,
    monitor: Monitor,
    *,
    first: bool,
) -> _Part:
    """Train members that share one program and fit on the devices together; only the first may end early."""
    padded = chunk + chunk[-1:] * (-len(chunk) % devices.start().count)  # members, unlike rows, may be padded
    seats = [job.seats[member] for member in padded]
    numbers = {key: [values[member] for member in padded] for key, values in job.numbers.items()}
    state = draw(template, job.build, job.sample(), [seat.seed for seat in seats])
    if LEARNING_RATE in numbers:
        at = rate_position(template.model)
        assert at is not None
        state[2][at] = np.asarray(numbers.pop(LEARNING_RATE), state[2][at].dtype)
    data = machine.share(program.Data(job.x, job.y, job.weight))
    members = machine.place(_member(job, seats, shared.passes, state[3], as_arrays(numbers)))
    per_epoch = sum(-(-len(job.seats[member].fit) // job.batch_size) for member in chunk)
    carry, logs, done = _run_blocks(
        machine,
        machine.begin(machine.place(state)),
        members,
        data,
        _Orders(seats, shared.passes.fit.width, epochs, shuffle=job.shuffle),
        range(job.initial_epoch, job.initial_epoch + epochs),
        lambda epochs: monitor.advance(epochs * per_epoch),
        may_end=first,
    )
    finished = machine.end(carry)
    outputs: list[Any] = [np.empty(0)] * len(chunk)
    if members.asked.shape[1]:
        said = jax.tree.map(np.asarray, machine.predict(finished, members, data))
        outputs = [
            jax.tree.map(lambda a, i=i: a[i, : len(job.asked(seats[i]))], said) for i in range(len(chunk))
        ]
    scores: dict[str, np.ndarray] = {}
    if job.score:
        logged = machine.score(finished, members, data)
        scores = {name: np.asarray(value) for name, value in logged.items()}
    trainable, rest, optimizer = ([np.asarray(v) for v in group] for group in finished[:3])
    return _Part(logs, outputs, (trainable, rest, optimizer), scores, done, kept(carry.rules))


def _run_blocks(
    machine: program.Program,
    carry: program.Carry,
    members: program.Member,
    data: program.Data,
    orders: "_Orders",
    epochs: range,
    advance: Callable[[int], None],
    *,
    may_end: bool,
) -> tuple[program.Carry, dict[str, np.ndarray], int]:
    """Blocks of epochs of about half a second; the next row orders are drawn while one runs."""
    recorded: dict[str, np.ndarray] = {}
    done, length, pace = 0, min(1, len(epochs)), None
    rows = orders.draw(length)
    while length:
        began = time.monotonic()
        placed = machine.place(rows)
        with _tracing():
            carry, logs = machine.block(
                carry, members, data, placed, np.int32(epochs.start + done), np.int32(length)
            )
        wanted = 2 * length if pace is None else int(np.clip(_BLOCK_SECONDS * pace, 1, 2 * length))
        following = min(wanted, orders.block, len(epochs) - done - length)
        rows = orders.draw(following) if following else rows
        for name, values in logs.items():
            whole = recorded.setdefault(name, np.full((len(values), len(epochs)), np.nan, np.float32))
            whole[:, done : done + length] = np.asarray(values)[:, :length]
        if done:  # the first block's time is mostly compilation
            pace = length / (time.monotonic() - began)
        done += length
        try:
            advance(length)
        except Enough:
            if not may_end:  # the others have trained so long already
                length = following
                continue
            return carry, {name: values[:, :done] for name, values in recorded.items()}, done
        length = following if np.asarray(carry.active).any() else 0
    return carry, recorded, len(epochs)


class _Orders:
    """Row orders of the next epochs (member, block, row), filled up to one width."""

    def __init__(self, seats: Sequence[Seat], width: int, epochs: int, *, shuffle: bool) -> None:
        room = _ORDER_BYTES // max(1, 4 * len(seats) * width)
        self.block = int(np.clip(room, 1, min(epochs, _MAX_BLOCK)))
        self._seats, self._width = seats, width
        # Members with equal seeds and equally many rows take them in the same order: one is drawn for all.
        self._alike: dict[tuple[int, int], list[int]] = {}
        for i, seat in enumerate(seats):
            self._alike.setdefault((seat.seed, len(seat.fit)), []).append(i)
        self._next = {key: row_orders(key[0], shuffle=shuffle) for key in self._alike}

    def draw(self, epochs: int) -> np.ndarray:
        """The next `epochs` orders of every member; the rest of the block is not read."""
        drawn = np.zeros((len(self._seats), self.block, self._width), np.int32)
        for (seed, count), alike in self._alike.items():
            for epoch in range(epochs):
                order = self._next[seed, count](count)
                for i in alike:
                    rows = self._seats[i].fit
                    drawn[i, epoch, :count] = rows[order]
                    drawn[i, epoch, count:] = rows[0]
        return drawn


def _assemble(
    job: Job, template: Template, parts: list[tuple[list[int], _Part]], epochs: int, seconds: float
) -> Trained:
    names = dict.fromkeys(name for _, part in parts for name in part.logs)
    logs = {name: np.full((len(job.seats), epochs), np.nan, np.float32) for name in names}
    outputs: list[Any] = [np.empty(0)] * len(job.seats)
    states: list[tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]] = [([], [], [])] * len(
        job.seats
    )
    scores: list[dict[str, float]] = [{} for _ in job.seats] if job.score else []
    checkpoints: list[tuple[Kept, ...]] = [()] * len(job.seats)
    for members, part in parts:
        for position, member in enumerate(members):
            for name, values in part.logs.items():
                logs[name][member] = values[position]
            outputs[member] = part.outputs[position]
            trainable, rest, optimizer = ([v[position] for v in group] for group in part.state)
            states[member] = (trainable, rest, optimizer)
            checkpoints[member] = tuple(_kept(one, position) for one in part.kept)
            if job.score:
                scores[member] = {name: float(values[position]) for name, values in part.scores.items()}
    why = f"members are built one by one ({template.rebuild})" if template.rebuild else ""
    history = make_history(
        job.seats, logs, engine="population", why=why, seconds=seconds, initial_epoch=job.initial_epoch
    )
    return Trained(
        history, outputs, states, scores, "population", why, epochs, template.fixed, seconds, checkpoints
    )


def _kept(of_all: tuple[np.ndarray, tuple[list[np.ndarray], ...]], position: int) -> Kept:
    trainable, rest, optimizer = ([values[position] for values in group] for group in of_all[1])
    return Kept(int(of_all[0][position]), (trainable, rest, optimizer))
