"""From a job to trained members: grouped, chunked, run in blocks of epochs, or one by one where that must be."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import keras
import numpy as np

from caviar.errors import ModelError
from caviar.population import (
    begun,
    blocks,
    chunk,
    devices,
    loop,
    memory,
    narrow,
    program,
    remembered,
    spread,
    stream,
    stream_program,
)
from caviar.population.ahead import Ahead
from caviar.population.begun import rates_from
from caviar.population.callbacks import NotInProgram, Rule, first_rate, rate_position, rules, scheduler
from caviar.population.chunk import Part, Untraceable
from caviar.population.initial import State, draw, drawer
from caviar.population.initial import prepare as prepare_drawing
from caviar.population.job import Job, Monitor, Saved, Seat, Trained, make_history
from caviar.population.keep import Keep
from caviar.population.lift import LEARNING_RATE
from caviar.population.probe import Probe
from caviar.population.probed import make_probes, sample_of
from caviar.population.ragged import NotRagged
from caviar.population.remembered import Made
from caviar.population.seeded import layout_of
from caviar.population.template import Template, first_line, make_template, variables

# What members bring and say is held for so many at once; their steps are taken tile by tile (chunk.py).
_MEMBERS_PER_DEVICE = 1000
# What a member carries exists about so many times at once: before and after a step, on the host, as gradients.
_COPIES = 6


@dataclass(frozen=True, eq=False)
class Ready:
    """A job whose members can train as a population: what was found out before they do.

    Attributes:
        template: Of its model.
        rules: Callbacks that run inside.
        groups: Its members.
    """

    template: Template
    rules: tuple[Rule, ...]
    groups: "Iterable[_Group]"


@dataclass(frozen=True, eq=False)
class _Group:
    """Members that share a program.

    Attributes:
        members: Their places in the job.
        train: Trains some of them; takes what `chunk.train_chunk` does after the group.
        probe: Looks inside.
        prepare: Lets what some of them need in so many epochs be compiled.
    """

    members: list[int]
    train: Callable[..., Part]
    probe: Probe | None
    prepare: Callable[[Sequence[int], int], None] | None = None


def foresee(job: Job) -> Ready | None:
    """Let what a job needs be compiled while others train.

    Returns:
        What `train` needs; None where there is nothing to foresee. What is wrong with a job is said when it trains.
    """
    if job.streams:
        return None
    try:
        template = job.template or make_template(job.build, job.sample())
        job = begun.adapted(job, template)
        job, in_program = _with_callbacks(job, template)
        groups = list(_groups(job, template, in_program))
        for group in groups:
            if group.prepare is not None:
                group.prepare(_chunks(group.members, _COPIES * _bytes_of(template))[0], job.length)
    except Exception:  # noqa: BLE001 - also of the user's own code
        return None
    return Ready(template, in_program, groups)


def train(
    job: Job,
    monitor: Monitor | None = None,
    *,
    one_by_one: bool = False,
    keep: Keep | None = None,
    ready: Ready | None = None,
) -> Trained:
    """Train all members of a job.

    Members run together as one compiled program; what cannot run that way runs one model at a time, and
    `Trained.why` says so.

    Args:
        job: The members.
        monitor: Told of progress.
        one_by_one: Whether to train one model at a time in any case.
        keep: Where the state is kept while training; what is there already is not trained again.
        ready: From `foresee`, for this job.

    Raises:
        RunError: What is kept there belongs to another training.
        ModelError: The builder fails, or its model cannot be trained on this data at all.
        OptionError: `Job.spread` is not known.
        NotTogether: Its members have numbers of their own and cannot be trained as a population.
        Exception: Whatever `monitor.advance` raises to stop the job.
    """
    monitor = monitor or Monitor()
    spread.check(job.spread)
    devices.start()
    monitor.begin(job.steps())
    try:
        return _train(job, monitor, keep, one_by_one=one_by_one, ready=ready)
    finally:
        monitor.end()


def _train(
    job: Job, monitor: Monitor, keep: Keep | None, *, one_by_one: bool, ready: Ready | None
) -> Trained:
    began = time.monotonic()
    known = job.template if ready is None else ready.template
    template = known or make_template(job.build, job.sample())
    job = begun.adapted(job, template)
    begun.check(job, template.model)
    if one_by_one:
        return _one_by_one(job, monitor, "that was asked for", template, keep)
    try:
        whole, in_program = _with_callbacks(job, template)
    except NotInProgram as reason:
        return _one_by_one(job, monitor, str(reason), template, keep)
    if keep is not None:
        keep.claim(job, template, in_program if whole.rates is None else (in_program, whole.rates))
    parts: list[tuple[list[int], Part]] = []
    epochs, probe = job.length, None
    each = _bytes_of(template)
    grouped = _streamed if job.streams else _groups
    groups = grouped(whole, template, in_program) if ready is None else ready.groups
    try:
        for i, one in enumerate(groups):
            probe = one.probe
            for some, part in _train_program(
                one.train,
                one.members,
                i,
                epochs,
                monitor,
                keep,
                bytes_each=each,
                first=parts[0][1] if parts else None,
            ):
                epochs = part.epochs
                parts.append((some, part))
    except Untraceable as error:
        why = f"JAX cannot trace this model's training step ({first_line(error)})"
        return _one_by_one(job, monitor, why, template, keep)
    except MemoryError as error:
        raise ModelError(
            f"Expected members to fit into memory, but it ran out with only {devices.start().count} at a time "
            f"({first_line(error)}). Make batch_size smaller, or the model."
        ) from error
    before = sum(part.before for _, part in parts)
    return _assemble(job, template, parts, epochs, probe, before + time.monotonic() - began)


def _with_callbacks(job: Job, template: Template) -> tuple[Job, tuple[Rule, ...]]:
    """What callbacks say of a job: the rate of every epoch, and what runs inside.

    Raises:
        NotInProgram: One of them can only run beside a single model.
    """
    found, schedule = rules(job.callbacks, template.model, job.epochs), scheduler(job.callbacks)
    if schedule is None or job.rates is not None:
        return job, found
    own = job.numbers.get(LEARNING_RATE) or [first_rate(schedule, template.model)] * len(job.seats)
    tables = {rate: rates_from(schedule, rate, job) for rate in set(own)}
    return replace(job, rates=[tables[rate] for rate in own]), found


def _bytes_of(template: Template) -> int:
    """Of one member's variables."""
    return sum(v.size * v.dtype.itemsize for v in jax.tree.leaves(_shapes(template.model)))


class NotTogether(Exception):  # noqa: N818 - an outcome, not an error
    """Why the recipes of a job with numbers of their own must be trained one by one."""


def _one_by_one(job: Job, monitor: Monitor, why: str, template: Template, keep: Keep | None) -> Trained:
    if job.numbers or job.narrow is not None:  # the builder is that of one recipe
        raise NotTogether(why)
    if keep is not None:
        keep.claim(job, template, [type(callback).__name__ for callback in job.callbacks])
    trained = loop.train_one_by_one(job, monitor, why, template.fixed, keep)
    return replace(trained, layout=layout_of(template.model))


def _groups(job: Job, template: Template, in_program: tuple[Rule, ...]) -> Iterator[_Group]:
    """Members that share a program, and what trains some of them."""
    for shared in _programs(job, template, in_program):
        group = chunk.Group(
            job,
            shared.passes,
            shared.made.machine,
            shared.made.steps.train.traced,
            _shapes(template.model),
            partial(_first, job, template, shared.made.draw),
            rate_position(template.model),
            in_program,
        )
        yield _Group(
            shared.members,
            partial(chunk.train_chunk, group),
            shared.made.steps.probe,
            partial(chunk.prepare, group),
        )


def _first(job: Job, template: Template, drawn_by: Ahead | None, members: Sequence[int]) -> State:
    """First state of some members (member, …)."""
    seeds = [job.seats[member].seed for member in members]
    if job.narrow is not None:
        return narrow.draw(template, [job.narrow[member] for member in members], seeds, drawn_by)
    return draw(template, job.build, job.sample(), seeds, drawn_by)


def _drawer(job: Job, template: Template) -> Ahead:
    """What draws first values; it is compiled from now on."""
    ahead = devices.start().kind == "cpu" and not template.rebuild
    if job.narrow is None:
        drawn_by = drawer(template)
        if ahead:
            prepare_drawing(template, drawn_by)
        return drawn_by
    origins = job.narrow[0].origins
    drawn_by = narrow.drawer(template, origins)
    if ahead:
        narrow.prepare(template, origins, drawn_by)
    return drawn_by


def _streamed(job: Job, template: Template, in_program: tuple[Rule, ...]) -> Iterator[_Group]:
    """The same for rows that come block by block."""
    members = list(range(len(job.seats)))
    ways = blocks.ways_of(job, members)
    passes = blocks.passes_of(job, ways)
    state, numbers = _shapes(template.model), _number_shapes(job)
    try:
        with _tracing():
            steps = program.trace_steps(template.model, state, numbers, job.sample, passes)
    except NotRagged as reason:
        raise ModelError(
            f"Expected a model whose training step takes batches of any number of rows, because rows that come in "
            f"blocks leave short batches, but {reason}. Leave folds and block_rows out."
        ) from reason
    yield _Group(
        members,
        partial(
            stream.train_stream,
            stream.Group(
                job,
                ways,
                stream_program.Machine(template.model, steps, in_program),
                _log_shapes(job, steps, passes, state, numbers),
                partial(_first, job, template, None),
                rate_position(template.model),
                in_program,
            ),
        ),
        steps.probe,
    )


def _log_shapes(
    job: Job,
    steps: program.Steps,
    passes: program.Passes,
    state: Any,  # noqa: ANN401
    numbers: dict[str, Any],
) -> tuple[Any, Any]:
    """Shapes and types of what a training step and a look say."""

    def rows(count: int, *, looked: bool | None) -> Any:  # noqa: ANN401
        return jax.tree.map(
            lambda a: jax.ShapeDtypeStruct((count, *a.shape[1:]), jax.dtypes.canonicalize_dtype(a.dtype)),
            job.sample(looked=looked),
        )

    trained = jax.eval_shape(steps.train.full, (state, numbers), rows(passes.fit.batch, looked=None))[1]
    given = (state[0], state[1], state[3], numbers)
    for way, one, weighed in (
        (passes.watch, steps.watch, passes.weighs_watched),
        (passes.scored, steps.scored, passes.weighs_scored),
    ):
        if way is not None and one is not None:
            return trained, jax.eval_shape(one.full, given, rows(way.batch, looked=weighed))[1]
    return trained, {}


@dataclass(frozen=True)
class _Shared:
    """Members that share a program, and what it is made of."""

    members: list[int]
    passes: program.Passes
    made: Made


def _programs(job: Job, template: Template, in_program: tuple[Rule, ...]) -> Iterator[_Shared]:
    """The fewest programs: one, but for members that watch rows and those that do not.

    Where the model's step cannot take batches of any number of rows, members' numbers of rows must agree too.
    """
    # Members with equally many rows stand together, so that few tiles have last batches of two sizes.
    members = sorted(range(len(job.seats)), key=lambda i: len(job.seats[i].fit))
    for some in _alike(job, members, lambda seat: len(seat.watch) > 0):
        try:
            yield _shared(job, template, in_program, some, program.make_look)
        except NotRagged:
            for few in _alike(job, some, lambda seat: (len(seat.fit), len(seat.watch), len(seat.scored))):
                yield _shared(job, template, in_program, few, program.make_pass)


def _alike(job: Job, members: Sequence[int], what: Callable[[Seat], object]) -> Iterator[list[int]]:
    alike: dict[object, list[int]] = {}
    for i in members:
        alike.setdefault(what(job.seats[i]), []).append(i)
    yield from alike.values()


def _shared(
    job: Job,
    template: Template,
    in_program: tuple[Rule, ...],
    members: list[int],
    make_look: Callable[[list[int], int], program.Pass],
) -> _Shared:
    seats = [job.seats[member] for member in members]
    look = job.validation_batch_size or job.batch_size
    passes = program.Passes(
        program.make_pass([part for seat in seats for part in job.parts(len(seat.fit))], job.batch_size),
        make_look([len(seat.watch) for seat in seats], look) if len(seats[0].watch) else None,
        make_look([len(seat.scored) for seat in seats], look) if job.show or job.score else None,
        job.show,
        job.weighs_watched,
        job.weighs_scored,
        _watches(job),
        sample_of(job),
    )
    with _tracing():
        key = remembered.key_of(job, template, passes, in_program)
        made = remembered.find(key)
        if made is None:
            steps = program.trace_steps(
                template.model, _shapes(template.model), _number_shapes(job), job.sample, passes
            )
            machine = program.make_program(template.model, steps, passes, in_program)
            drawn_by = _drawer(job, template)
            made = Made(steps, machine, drawn_by, _bytes_of(template))
            remembered.remember(key, made)
    return _Shared(members, passes, made)


def _number_shapes(job: Job) -> dict[str, Any]:
    """Shapes and types of one member's own numbers."""
    return {key: jax.ShapeDtypeStruct((2,), np.float32) for key in job.numbers if key != LEARNING_RATE}


def _watches(job: Job) -> tuple[bool, ...]:
    every = tuple(job.watches(epoch) for epoch in range(job.epochs))
    return () if all(every[job.initial_epoch :]) else every


def _shapes(model: keras.Model) -> Any:  # noqa: ANN401
    """Shapes and types of one member's state."""
    trainable, rest, optimizer, metrics = (
        [jax.ShapeDtypeStruct(v.shape, jax.dtypes.canonicalize_dtype(v.dtype)) for v in group]
        for group in variables(model)
    )
    return trainable, rest, optimizer, metrics


@contextmanager
def _tracing() -> Iterator[None]:
    """What goes wrong while a model is traced means that its members train one by one."""
    try:
        yield
    except chunk.CANNOT_TRACE as error:
        raise Untraceable(str(error)) from error


def _chunks(members: list[int], bytes_each: int) -> list[list[int]]:
    """Equally large parts, none larger than memory likes; where members are not in tiles, they share a program so."""
    count = devices.start().count
    room = max(count, memory.budget() // max(1, bytes_each))
    parts = -(-len(members) // min(_MEMBERS_PER_DEVICE * count, room))
    return _parted(members, -(-len(members) // parts))


def _parted(members: list[int], width: int) -> list[list[int]]:
    return [members[start : start + width] for start in range(0, len(members), width)]


def _train_program(
    train_some: Callable[..., Part],
    members: list[int],
    at: int,
    epochs: int,
    monitor: Monitor,
    keep: Keep | None,
    *,
    bytes_each: int,
    first: Part | None,
) -> Iterator[tuple[list[int], Part]]:
    """Train the members of one program, chunk by chunk; chunks that turn out too large are divided."""
    chunks = _chunks(members, _COPIES * bytes_each)
    if keep is not None:
        chunks = keep.chunks(at, chunks)
        keep.set_chunks(at, chunks)
    done = 0
    while done < len(chunks):
        some = chunks[done]
        slot = keep.slot(some) if keep is not None else None
        try:
            part = train_some(some, epochs, monitor, slot, first)
        except memory.TooLarge as too_large:
            width = max(1, int(too_large.share * len(some)))
            chunks[done:] = [part for others in chunks[done:] for part in _parted(others, width)]
            if keep is not None:
                keep.set_chunks(at, chunks)
            continue
        epochs, first = part.epochs, first or part
        yield some, part
        done += 1


def _assemble(
    job: Job,
    template: Template,
    parts: list[tuple[list[int], Part]],
    epochs: int,
    probe: Probe | None,
    seconds: float,
) -> Trained:
    names = {name: values.shape[2:] for _, part in parts for name, values in part.logs.items()}
    logs = {
        name: np.full((len(job.seats), epochs, *shape), np.nan, np.float32) for name, shape in names.items()
    }
    outputs: list[Any] = [np.empty(0)] * len(job.seats)
    states: list[tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]] = [([], [], [])] * len(
        job.seats
    )
    scores: list[dict[str, float]] = [{} for _ in job.seats] if job.score else []
    checkpoints: list[tuple[Saved, ...]] = [()] * len(job.seats)
    for members, part in parts:
        for position, member in enumerate(members):
            for name, values in part.logs.items():
                logs[name][member] = values[position]
            outputs[member] = part.outputs[position]
            trainable, rest, optimizer = ([v[position] for v in group] for group in part.state)
            states[member] = (trainable, rest, optimizer)
            checkpoints[member] = tuple(_saved(one, position) for one in part.saved)
            if job.score:
                scores[member] = {name: float(values[position]) for name, values in part.scores.items()}
    why = f"members are built one by one ({template.rebuild})" if template.rebuild else ""
    probed = logs.pop(program.PROBES, None)
    way, in_words = parts[0][1].way
    history = make_history(
        job.seats,
        logs,
        engine="population",
        why=why,
        seconds=seconds,
        initial_epoch=job.initial_epoch,
        spread=in_words,
    )
    return Trained(
        *(history, outputs, states, scores, "population", why, epochs, template.fixed, seconds, checkpoints),
        probes=None if probe is None or probed is None else make_probes(probe, probed, history),
        way=way,
        spread=in_words,
        layout=layout_of(template.model),
    )


def _saved(of_all: tuple[np.ndarray, tuple[list[np.ndarray], ...]], position: int) -> Saved:
    trainable, rest, optimizer = ([values[position] for values in group] for group in of_all[1])
    return Saved(int(of_all[0][position]), (trainable, rest, optimizer))
