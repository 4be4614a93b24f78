"""How members that share a program and fit on the devices together train: in blocks of epochs, to their end."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr

from caviar.population import begun, devices, fastest, lost, memory, program
from caviar.population.callbacks import Rule, saved
from caviar.population.job import Enough, Job, Monitor, Seat
from caviar.population.keep import Slot, Standing
from caviar.population.lift import LEARNING_RATE, as_arrays
from caviar.population.orders import Epochs, Orders
from caviar.population.step import Logs, MemberState

_BLOCK_SECONDS = 0.5

# How often it is looked for members that have stopped: every tenth epoch, and at most twenty times.
_LOOKS, _LEAST_BETWEEN_LOOKS = 20, 10
# What a narrower program must save to be worth its compilation: about two seconds of a core.
_WORTH_COMPILING = 2e10


@dataclass(frozen=True, eq=False)
class Group:
    """Members that share a program, and what that is made of.

    Attributes:
        job: What is trained.
        passes: How they go through their rows.
        machine: Their program.
        traced: A training step on a full batch.
        draw: Places of members in the job → first state of all their variables (member, …).
        rate_at: Where the learning rate stands among the optimizer's variables, if it is a number.
        rules: Callbacks that run inside.
    """

    job: Job
    passes: program.Passes
    machine: program.Program
    traced: ClosedJaxpr
    draw: Callable[[Sequence[int]], Any]
    rate_at: int | None
    rules: Sequence[Rule]


@dataclass(frozen=True, eq=False)
class Part:
    """What training gave for the members of a chunk, in its order; `before` are seconds spent by a killed process.

    `way` says how members were spread over a step, and why; `saved` is what their checkpoints hold.
    """

    logs: dict[str, np.ndarray]
    outputs: list[Any]
    state: tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]
    scores: dict[str, np.ndarray]
    epochs: int
    before: float
    way: tuple[str, str]
    saved: list[tuple[np.ndarray, tuple[list[np.ndarray], ...]]]


CANNOT_TRACE = (jax.errors.JAXTypeError, TypeError, ValueError, AttributeError, NotImplementedError)
"""What JAX raises while it traces or compiles something that it cannot."""


class Untraceable(Exception):  # noqa: N818 - an outcome, not an error
    """JAX cannot compile the training step of a model."""


def train_chunk(
    group: Group, members: Sequence[int], epochs: int, monitor: Monitor, slot: Slot | None, first: Part | None
) -> Part:
    """Train members that fit on the devices together.

    Args:
        group: Whose members they are.
        members: Their places in the job.
        epochs: How many epochs.
        monitor: Told of progress.
        slot: Where their state is kept, and taken from if it is there.
        first: What the first such members gave, if these are others: they alone may end early when the monitor has
            enough, and choose how members are spread over a step.

    Raises:
        memory.TooLarge: They do not fit after all.
        Untraceable: Their step cannot be compiled.
    """
    seats = [group.job.seats[member] for member in members]
    told = done = 0

    def advance(more: int) -> None:
        nonlocal told, done
        steps = group.job.steps(seats, done, more)
        told, done = told + steps, done + more
        monitor.advance(steps)

    def restore(more: int) -> None:
        nonlocal done
        done += more
        monitor.restore(group.job.steps(seats, 0, more))

    try:
        with memory.watched(len(members)):
            chunk = _Chunk(group, members, epochs, slot, first.way if first else None)
            chunk.run(advance, restore, may_end=first is None)
            return chunk.end(len(members))
    except memory.TooLarge:
        monitor.advance(-told)  # all of it will be done again
        raise


class _Chunk:
    """Members on the devices, and those that have left them."""

    def __init__(
        self,
        group: Group,
        members: Sequence[int],
        epochs: int,
        slot: Slot | None,
        way: tuple[str, str] | None,
    ) -> None:
        job = group.job
        self._group, self._machine, self._epochs, self._slot = group, group.machine, epochs, slot
        self.seats, state, numbers = seated(job, members, group.draw, group.rate_at)
        self._parameters = sum(leaf[0].size for leaf in state[0])
        self._members = _member(job, self.seats, group.passes, state[3], numbers)
        self._data = self._machine.share(program.Data(job.x, job.y, job.weight))
        shapes = jax.eval_shape(self._machine.begin, state)
        self._structure = jax.tree.structure(shapes)
        kept = slot.load([leaf.dtype for leaf in jax.tree.leaves(shapes)]) if slot else None
        if kept is None:
            self._at = Standing(done=0, ended=False, here=np.arange(len(self.seats)), leaves=[], logs={})
            self._carry = self._machine.begin(self._machine.place(state))
        else:
            self._at = kept
            self._carry = self._placed(kept.here)
        self._here = self._machine.place(_taken(self._members, self._at.here))
        self._began, self._before = time.monotonic(), self._at.seconds
        self._every = max(_LEAST_BETWEEN_LOOKS, -(-epochs // _LOOKS))
        self._block: Callable[..., Any] | None = None
        self._tried: dict[str, Callable[..., Any]] = {}
        if not self._at.way[0]:
            self._at.way = way or self._choose(state)

    def run(self, advance: Callable[[int], None], restore: Callable[[int], None], *, may_end: bool) -> None:
        """Blocks of epochs of about half a second; the next row orders are drawn while one runs."""
        at = self._at
        restore(at.done)
        told = at.done
        orders = Orders(self._group.job, self.seats, self._group.passes.fit.width, self._epochs)
        orders.skip(self._group.job.past + at.done)
        orders.narrow(at.here)
        length, pace, blocks = min(1, self._epochs - at.done), None, 0
        rows = orders.draw(length)
        while length and not at.ended and self._active().any():
            began = time.monotonic()
            logs = self._advance(rows, length)
            wanted = 2 * length if pace is None else int(np.clip(_BLOCK_SECONDS * pace, 1, 2 * length))
            following = min(wanted, orders.block, self._until_look(length), self._epochs - at.done - length)
            rows = orders.draw(following)
            self._record(logs, length)
            if blocks:  # the first block's time is mostly compilation
                pace = length / (time.monotonic() - began)
            blocks, length = blocks + 1, following
            try:
                advance(at.done - told)
            except Enough:
                at.ended = may_end  # if not, the others have trained so long already
            except KeyboardInterrupt:
                self._save()
                raise
            told = at.done
            staying = self._staying() if not at.done % self._every else None
            if staying is not None:
                rows = rows.of(staying)
                orders.narrow(staying)
            if self._slot is not None and self._slot.due():
                self._save()
        if blocks:
            self._save()

    def end(self, count: int) -> Part:
        """What the first so many members gave."""
        job, machine = self._group.job, self._machine
        if len(self._at.leaves):
            self._store()
            self._carry = self._placed(np.arange(len(self.seats)))
        members = machine.place(self._members)
        finished = machine.end(self._carry)
        outputs: list[Any] = [np.empty(0)] * count
        if members.asked.shape[1]:
            said = jax.tree.map(np.asarray, machine.predict(finished, members, self._data))
            outputs = [
                jax.tree.map(lambda a, i=i: a[i, : len(job.asked(self.seats[i]))], said) for i in range(count)
            ]
        scores: dict[str, np.ndarray] = {}
        if job.score:
            logged = machine.score(finished, members, self._data)
            scores = {name: np.asarray(value) for name, value in logged.items()}
        trainable, rest, optimizer = ([np.asarray(v) for v in group] for group in finished[:3])
        done = self._at.done if self._at.ended else self._epochs
        logs = {name: values[:, :done] for name, values in self._at.logs.items()}
        held = saved(self._carry.rules)
        return Part(
            logs, outputs, (trainable, rest, optimizer), scores, done, self._before, self._at.way, held
        )

    def _advance(self, rows: Epochs, length: int) -> Logs:
        given = (
            *(self._carry, self._here, self._data),
            *(self._machine.place(rows.orders), self._machine.place(rows.counts)),
            *(np.int32(self._group.job.initial_epoch + self._at.done), np.int32(length)),
        )
        if self._block is None:
            way = self._at.way[0]
            self._block = self._tried.get(way) or _compiled(self._machine.ways[way], given)
            self._tried = {}  # they are for as many members as there are now
        self._carry, logs = self._block(*given)
        return logs

    def _choose(self, state: MemberState) -> tuple[str, str]:
        """How members are spread over a step: timed, if need be, on epochs of theirs that are then forgotten."""
        group, machine = self._group, self._machine
        found = devices.start()
        rows = Orders(
            replace(group.job, shuffle=False), self.seats, group.passes.fit.width, self._epochs
        ).draw(1)
        orders, counts = machine.place(rows.orders), machine.place(rows.counts)
        ways = fastest.sensible(group.traced, len(self.seats) // found.count, found.kind)

        def prepare(way: str) -> Callable[[], object]:
            carry = machine.begin(machine.place(state))
            given = (self._here, self._data, orders, counts, np.int32(group.job.initial_epoch), np.int32(1))
            try:
                block = self._tried[way] = _compiled(machine.ways[way], (carry, *given))
            except (Untraceable, memory.TooLarge) as error:
                if way == ways[0]:
                    raise
                raise fastest.CannotRun(str(error)) from error

            def run() -> None:
                nonlocal carry
                carry, _ = block(carry, *given)
                jax.block_until_ready(carry)

            return run

        population = f"{len(self.seats)} {group.passes} {group.traced}"
        choice = fastest.choose(group.job.spread, ways, self._epochs, prepare, population)
        return choice.way, choice.why

    def _record(self, logs: Logs, length: int) -> None:
        at = self._at
        for name, values in logs.items():
            if name not in at.logs:
                shape = (len(self.seats), self._epochs, *values.shape[2:])
                at.logs[name] = np.full(shape, np.nan, np.float32)
            at.logs[name][at.here, at.done : at.done + length] = np.asarray(values)[:, :length]
        at.done += length

    def _active(self) -> np.ndarray:
        return np.asarray(self._carry.active)

    def _until_look(self, length: int) -> int:
        """Epochs from the end of the block that runs to the next look at who has stopped."""
        return self._every - (self._at.done + length) % self._every

    def _staying(self) -> np.ndarray | None:
        """Take members that have stopped or diverged off the devices, if that is worth a narrower program.

        Looks only at epochs and at what members said, never at the clock: so it is the same whenever it is repeated.

        Returns:
            Which of the members that were on the devices stay; None if all do.
        """
        at, active = self._at, self._active()
        if at.ended or at.done == self._epochs:
            return None
        rows = self._group.passes.fit.width * (self._epochs - at.done) / 2  # others will stop as well
        nan = active & lost.diverged(at.logs, at.here, self._group.job.watched(at.done), self._carry)
        staying = who_stays(at.here, active & ~nan, 6 * self._parameters * rows)
        leave = staying is not None or np.array_equal(nan, active)
        if leave:
            self._store()
            lost.leave(
                *(at, np.unique(at.here[nan]), self._structure),
                *(self._group.rules, self._group.rate_at, self._group.job),
            )
        if staying is None:
            if leave:
                self._carry = self._placed(at.here)  # nobody trains any more
            return None
        at.here = at.here[staying]
        self._carry, self._block = self._placed(at.here), None
        self._here = self._machine.place(_taken(self._members, at.here))
        return staying

    def _store(self) -> None:
        """Copy what the members on the devices carry to where all members stand."""
        now = [np.asarray(leaf) for leaf in jax.tree.leaves(self._carry)]
        if not self._at.leaves:
            self._at.leaves = [leaf.copy() for leaf in now]
            return
        for leaf, values in zip(self._at.leaves, now, strict=True):
            leaf[self._at.here] = values

    def _placed(self, members: np.ndarray) -> program.Carry:
        leaves = [leaf[members] for leaf in self._at.leaves]
        carry: program.Carry = self._machine.place(jax.tree.unflatten(self._structure, leaves))
        return carry

    def _save(self) -> None:
        if self._slot is None:
            return
        self._store()
        self._at.seconds = self._before + time.monotonic() - self._began
        self._slot.save(self._at)


def who_stays(here: np.ndarray, active: np.ndarray, each: float) -> np.ndarray | None:
    """Which members go on in a narrower program, because the others have stopped; None if that is not worth it.

    Args:
        here: Places of the members that are on the devices; the last may stand there repeatedly.
        active: Whether each of them still trains.
        each: Operations that a member will still take.

    Returns:
        Their positions among `here`, filled up with the last one so that the devices share them evenly.
    """
    _, first = np.unique(here, return_index=True)
    alive = np.array([i for i in np.sort(first) if active[i]], int)
    width = len(alive) + -len(alive) % devices.start().count
    if not len(alive) or 2 * width > len(here) or each * (len(here) - width) < _WORTH_COMPILING:
        return None
    return np.concatenate([alive, np.repeat(alive[-1:], width - len(alive))])


def seated(
    job: Job, members: Sequence[int], draw: Callable[[Sequence[int]], Any], rate_at: int | None
) -> tuple[list[Seat], Any, dict[str, np.ndarray]]:
    """Seats, first states and own numbers of members, filled up so that the devices share them evenly."""
    padded = [*members, *[members[-1]] * (-len(members) % devices.start().count)]
    seats = [job.seats[member] for member in padded]
    numbers = {key: [values[member] for member in padded] for key, values in job.numbers.items()}
    state = draw(padded)
    if job.begun is not None:
        begun.put(state, [job.begun[member] for member in padded], rate_at)
    if LEARNING_RATE in numbers:
        assert rate_at is not None
        state[2][rate_at] = np.asarray(numbers.pop(LEARNING_RATE), state[2][rate_at].dtype)
    return seats, state, as_arrays(numbers)


def _compiled(block: Any, given: tuple[Any, ...]) -> Callable[..., Any]:  # noqa: ANN401 - a jitted function
    """The program for these members, compiled ahead, so that its need of memory is known before it runs."""
    try:
        compiled = block.lower(*given).compile()
    except CANNOT_TRACE as error:
        raise Untraceable(str(error)) from error
    memory.require(compiled)
    return compiled


def _taken(members: program.Member, places: np.ndarray) -> program.Member:
    taken: program.Member = jax.tree.map(lambda a: np.asarray(a)[places], members)
    return taken


def filled(lists: Sequence[np.ndarray], width: int) -> np.ndarray:
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
        return filled(rows, way.width), np.array([len(r) for r in rows], np.int32)

    asked = [job.asked(seat) for seat in seats]
    return program.Member(
        np.array([seat.split for seat in seats], np.int32),
        np.array([seat.weights for seat in seats], np.int32),
        *lists("watch", passes.watch),
        *lists("scored", passes.scored),
        filled(asked, max(map(len, asked))),
        metrics,
        numbers,
    )
