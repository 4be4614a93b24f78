"""How members that share a program and fit on the devices together train: in blocks of epochs, to their end."""

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr

from caviar.population import begun, devices, fastest, lost, memory, program, spread
from caviar.population.callbacks import Rule, saved
from caviar.population.effort import largest
from caviar.population.job import Enough, Job, Monitor, Seat
from caviar.population.keep import Slot, Standing
from caviar.population.lift import LEARNING_RATE, as_arrays
from caviar.population.orders import Epochs, Orders, pieces
from caviar.population.step import Logs, MemberState

_BLOCK_SECONDS = 0.5

# How often it is looked for members that have stopped: every tenth epoch, and at most twenty times.
_LOOKS, _LEAST_BETWEEN_LOOKS = 20, 10
# What a narrower program must save to be worth its compilation: about two seconds of a core.
_WORTH_COMPILING = 2e10
# What members may take that only fill up a tile, so that populations of other sizes share its program: a little, or, if
# others are likely to follow, what that program takes to compile.
_SPARE = 3e9
# Rates of fewer epochs are filled up to so many.
_FEWEST_RATES = 32
# So few members of a device stay by themselves, unless others follow: wide tiles may be rounded otherwise than `fit`.
_FEW = 4


@dataclass(frozen=True, eq=False)
class Group:
    """Members that share a program, and what that is made of.

    Attributes:
        job: What is trained.
        passes: How they go through their rows.
        machine: Their program.
        traced: A training step on a full batch.
        state: Shapes and types of a member's variables.
        draw: Places of members in the job → first state of all their variables (member, …).
        rate_at: Where the learning rate stands among the optimizer's variables, if it is a number.
        rules: Callbacks that run inside.
    """

    job: Job
    passes: program.Passes
    machine: program.Program
    traced: ClosedJaxpr
    state: MemberState
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


def prepare(group: Group, members: Sequence[int], epochs: int) -> None:
    """Let what members will need be compiled, while something else is traced or trained.

    Args:
        group: Whose members they are.
        members: Their places in the job.
        epochs: How many epochs.

    Raises:
        Exception: What tracing raises; `train_chunk` would as well.
    """
    if devices.start().kind != "cpu":  # a GPU's compiler tries programs out, in memory that others need
        return
    needs, machine, job = _Needs.of(group, epochs), group.machine, group.job
    count = devices.start().count
    several = -(-len(members) // count) * count
    way = needs.likely(several)
    width = needs.width(way, several)

    def many(tree: Any, *shape: int) -> Any:  # noqa: ANN401
        return jax.tree.map(lambda a: _shape((width, *shape, *a.shape), a.dtype, machine.members), tree)

    data = jax.tree.map(
        lambda a: _shape(np.shape(a), a.dtype, machine.shared), program.Data(job.x, job.y, job.weight)
    )
    piece, one = pieces(width, group.passes.fit.width), np.zeros((), np.int32)
    carry, state = many(needs.carry), many(group.state)
    own = many(_member_shapes(group, members))
    rows = many(np.zeros(group.passes.fit.width, np.int32), piece), many(one, piece)
    machine.begin.prepare(state)
    machine.ways[way].prepare(carry, own, data, *rows, one, one)
    machine.end.prepare(carry)
    if own.asked.shape[1]:
        machine.predict.prepare(state, own, data)
    if job.score:
        machine.score.prepare(state, own, data)


def _shape(shape: Sequence[int], dtype: Any, sharding: Any) -> jax.ShapeDtypeStruct:  # noqa: ANN401
    return jax.ShapeDtypeStruct(tuple(shape), jax.dtypes.canonicalize_dtype(dtype), sharding=sharding)


def _member_shapes(group: Group, members: Sequence[int]) -> program.Member:
    """Shapes and types of what one member brings."""
    job, one = group.job, np.zeros((), np.int32)
    watch, scored = (
        np.zeros(0 if way is None else way.width, np.int32)
        for way in (group.passes.watch, group.passes.scored)
    )
    asked = np.zeros(max(len(job.asked(job.seats[member])) for member in members), np.int32)
    numbers = {key: np.zeros(2, np.float32) for key in job.numbers if key != LEARNING_RATE}
    rates = None if job.rates is None else _padded(job.rates[members[0]])
    of_one: Any = (one, one, watch, one, scored, one, asked, group.state[3], numbers, rates)
    return program.Member(*of_one)


@dataclass(frozen=True, eq=False)
class _Needs:
    """What members of a group carry and take.

    Attributes:
        group: Whose members they are.
        epochs: How many epochs they train.
        carry: Shapes and types of what one of them carries.
    """

    group: Group
    epochs: int
    carry: program.Carry

    @staticmethod
    def of(group: Group, epochs: int) -> "_Needs":
        """Find out, without computing anything."""
        count = devices.start().count
        several = jax.tree.map(lambda a: jax.ShapeDtypeStruct((count, *a.shape), a.dtype), group.state)
        carry = jax.eval_shape(group.machine.begin.function, several)
        return _Needs(
            group, epochs, jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), carry)
        )

    @property
    def alone(self) -> bool:
        """Whether a device trains one member after the other."""
        asked = self.group.job.spread
        return asked == spread.AUTO and fastest.stand_alone(self.group.traced, devices.start().kind)

    def width(self, way: str, members: int) -> int:
        """How many members a tile has, of all devices together."""
        count, step = devices.start().count, largest(self.group.traced)
        each, followed = -(-members // count), self.group.job.followed
        spare = (_WORTH_COMPILING if followed else _SPARE) / self.operations(self.epochs) / count
        if each <= _FEW and not followed:
            spare = 0.0
        if self.alone:
            return count
        bytes_each = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(self.carry))
        return count * spread.width(way, each, bytes_each, step, spare)

    def operations(self, epochs: float) -> float:
        """What so many epochs of a member take."""
        weights = sum(leaf.size for leaf in self.group.state[0])
        return max(1.0, 6.0 * weights * self.group.passes.fit.width * epochs)

    def likely(self, members: int) -> str:
        """How members are spread over a step, or what is timed first to find out."""
        if self.alone:
            return spread.FIRST
        ways, population = self._ways(members)
        found = fastest.known(self.group.job.spread, ways, self.epochs, population)
        return ways[0] if found is None else found.way

    def choose(self, members: int, prepare: Callable[[str], Callable[[], object]]) -> fastest.Choice:
        """How members are spread over a step, timed if need be."""
        if self.alone:
            return fastest.Choice(
                spread.FIRST, "one member of a device after the other, as it convolves fastest"
            )
        ways, population = self._ways(members)
        return fastest.choose(self.group.job.spread, ways, self.epochs, prepare, population)

    def _ways(self, members: int) -> tuple[tuple[str, ...], str]:
        found = devices.start()
        ways = fastest.sensible(self.group.traced, members // found.count, found.kind)
        return ways, f"{members} {self.group.passes} {self.group.traced}"


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


@dataclass(eq=False)
class _Tile:
    """Members that take their steps side by side.

    Attributes:
        places: Theirs among the seats, filled up with the last one (member,).
        real: How many of them count.
        members: What they bring, on the devices.
        carry: What they carry, on the devices.
    """

    places: np.ndarray
    real: int
    members: program.Member
    carry: program.Carry


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
        self._needs = _Needs.of(group, epochs)
        self._fit: list[Any] = []
        if way is None:
            with contextlib.suppress(*CANNOT_TRACE):  # said when it is needed
                prepare(group, members, epochs)
        self.seats, state, numbers, rates = seated(job, members, group.draw, group.rate_at)
        self._members = _member(job, self.seats, group.passes, state[3], numbers, rates)
        self._data = self._machine.share(program.Data(job.x, job.y, job.weight))
        self._structure = jax.tree.structure(self._needs.carry)
        everybody = np.arange(len(self.seats))
        kept = slot.load([leaf.dtype for leaf in jax.tree.leaves(self._needs.carry)]) if slot else None
        self._at = kept or Standing(done=0, ended=False, here=everybody, leaves=[], logs={})
        self._began, self._before = time.monotonic(), self._at.seconds
        self._every = max(_LEAST_BETWEEN_LOOKS, -(-epochs // _LOOKS))
        if not self._at.way[0]:
            self._at.way = way or self._choose(state)
        if kept is None:
            self._at.width = self._needs.width(self._at.way[0], len(everybody))
            self._tiles = self._fresh(self._at.width, state)
        else:
            self._tiles = self._placed(kept.here)

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
            logs = self._advance(self._tiles, at.way[0], rows, at.done)
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
        if len(self._at.here) < len(self.seats):
            self._store()
            self._tiles = self._placed(np.arange(len(self.seats)))
        finished = [machine.end(tile.carry) for tile in self._tiles]
        outputs: list[Any] = [np.empty(0)] * count
        if self._members.asked.shape[1]:
            said = self._gathered(
                machine.predict(state, tile.members, self._data)
                for state, tile in zip(finished, self._tiles, strict=True)
            )
            outputs = [
                jax.tree.map(lambda a, i=i: a[i, : len(job.asked(self.seats[i]))], said) for i in range(count)
            ]
        scores: dict[str, np.ndarray] = {}
        if job.score:
            scores = self._gathered(
                machine.score(state, tile.members, self._data)
                for state, tile in zip(finished, self._tiles, strict=True)
            )
        done = self._at.done if self._at.ended else self._epochs
        logs = {name: values[:, :done] for name, values in self._at.logs.items()}
        held = saved(self._gathered(tile.carry.rules for tile in self._tiles))
        trainable, rest, optimizer = self._gathered(state[:3] for state in finished)
        return Part(
            logs, outputs, (trainable, rest, optimizer), scores, done, self._before, self._at.way, held
        )

    def _laid_out(
        self, here: np.ndarray, width: int, carried: Callable[[np.ndarray], program.Carry]
    ) -> list[_Tile]:
        """Tiles of members at some places, given what such members carry."""
        tiles = []
        for start in range(0, len(here), width):
            some = here[start : start + width]
            places = np.pad(some, (0, width - len(some)), mode="edge")
            members = self._machine.place(jax.tree.map(lambda a, at=places: np.asarray(a)[at], self._members))
            tiles.append(_Tile(places, len(some), members, carried(places)))
        return tiles

    def _fresh(self, width: int, state: MemberState) -> list[_Tile]:
        """All members before their first epoch."""
        machine = self._machine

        def begun(places: np.ndarray) -> program.Carry:
            carry: program.Carry = machine.begin(
                machine.place(jax.tree.map(lambda a: np.asarray(a)[places], state))
            )
            return carry

        return self._laid_out(np.arange(len(self.seats)), width, begun)

    def _placed(self, here: np.ndarray) -> list[_Tile]:
        """Some members with what is stored of them."""

        def stored(places: np.ndarray) -> program.Carry:
            leaves = [leaf[places] for leaf in self._at.leaves]
            carry: program.Carry = self._machine.place(jax.tree.unflatten(self._structure, leaves))
            return carry

        return self._laid_out(here, self._at.width, stored)

    def _gathered(self, values: Iterable[Any]) -> Any:  # noqa: ANN401
        """Trees of arrays of each tile (member, …) as one on the host, without what fills the tiles up."""
        trees = [
            jax.tree.map(lambda a, real=tile.real: np.asarray(a)[:real], value)
            for tile, value in zip(self._tiles, values, strict=True)
        ]
        return jax.tree.map(lambda *some: np.concatenate(some), *trees)

    def _advance(self, tiles: Sequence[_Tile], way: str, rows: Epochs, done: int) -> list[list[Logs]]:
        """Some epochs of all tiles: logs by tile and piece of the epochs."""
        said: list[list[Logs]] = []
        start, length = 0, rows.orders.shape[1]
        for tile in tiles:
            mine = rows.of(np.minimum(np.arange(start, start + len(tile.places)), start + tile.real - 1))
            start += tile.real
            said.append([])
            for begin in range(0, length, self._piece(tile)):
                given = self._given(tile, mine, done, begin)
                tile.carry, logs = self._program(way, given)(*given)
                said[-1].append(logs)
        return said

    def _program(self, way: str, given: tuple[Any, ...]) -> Callable[..., Any]:
        """The program for such members, whose need of memory is known before it runs."""
        try:
            found = self._machine.ways[way].program(*given)
        except CANNOT_TRACE as error:
            raise Untraceable(str(error)) from error
        if not any(found is one for one in self._fit):
            memory.require(found)
            self._fit.append(found)
        return found

    def _piece(self, tile: _Tile) -> int:
        return pieces(len(tile.places), self._group.passes.fit.width)

    def _given(self, tile: _Tile, rows: Epochs, done: int, begin: int) -> tuple[Any, ...]:
        """What a program is given for the next epochs of a tile, where so many are done before, and of these."""
        place, piece = self._machine.place, self._piece(tile)
        some, length = rows.between(begin, piece), min(piece, rows.orders.shape[1] - begin)
        return (
            *(tile.carry, tile.members, self._data, place(some.orders), place(some.counts)),
            *(np.int32(self._group.job.initial_epoch + done + begin), np.int32(length)),
        )

    def _choose(self, state: MemberState) -> tuple[str, str]:
        """How members are spread over a step: timed, if need be, on epochs of theirs that are then forgotten."""
        group = self._group
        rows = Orders(
            replace(group.job, shuffle=False), self.seats, group.passes.fit.width, self._epochs
        ).draw(1)

        def prepare(way: str) -> Callable[[], object]:
            tiles = self._fresh(self._needs.width(way, len(self.seats)), state)
            first = rows.of(np.minimum(np.arange(len(tiles[0].places)), tiles[0].real - 1))
            try:
                self._program(way, self._given(tiles[0], first, 0, 0))
            except (Untraceable, memory.TooLarge) as error:
                if way == spread.FIRST:
                    raise
                raise fastest.CannotRun(str(error)) from error

            def run() -> None:
                self._advance(tiles, way, rows, 0)
                jax.block_until_ready([tile.carry for tile in tiles])

            return run

        choice = self._needs.choose(len(self.seats), prepare)
        return choice.way, choice.why

    def _record(self, said: list[list[Logs]], length: int) -> None:
        at = self._at
        for tile, several in zip(self._tiles, said, strict=True):
            begin = at.done
            for logs in several:
                for name, logged in logs.items():
                    values = np.asarray(logged)[: tile.real, : at.done + length - begin]
                    if name not in at.logs:
                        shape = (len(self.seats), self._epochs, *values.shape[2:])
                        at.logs[name] = np.full(shape, np.nan, np.float32)
                    at.logs[name][tile.places[: tile.real], begin : begin + values.shape[1]] = values
                begin += values.shape[1]
        at.done += length

    def _active(self) -> np.ndarray:
        active: np.ndarray = self._gathered(tile.carry.active for tile in self._tiles)
        return active

    def _until_look(self, length: int) -> int:
        """Epochs from the end of the block that runs to the next look at who has stopped."""
        return self._every - (self._at.done + length) % self._every

    def _staying(self) -> np.ndarray | None:
        """Take members that have stopped or diverged off the devices, if that saves tiles.

        Looks only at epochs and at what members said, never at the clock: so it is the same whenever it is repeated.

        Returns:
            Which of the members that were on the devices stay; None if all do.
        """
        at, active = self._at, self._active()
        if at.ended or at.done == self._epochs:
            return None

        def weights() -> list[np.ndarray]:
            found: list[np.ndarray] = self._gathered(tile.carry.state[0] for tile in self._tiles)
            return found

        nan = active & lost.diverged(at.logs, at.here, self._group.job.watched(at.done), weights)
        staying, width = self._fewer(active & ~nan)
        leave = staying is not None or np.array_equal(nan, active)
        if leave:
            self._store()
            lost.leave(
                at,
                np.unique(at.here[nan]),
                self._structure,
                self._group.rules,
                self._group.rate_at,
                self._members.rates,
                self._group.job,
            )
        if staying is None:
            if leave:
                self._tiles = self._placed(at.here)  # nobody trains any more
            return None
        at.here, at.width = at.here[staying], width
        self._tiles = self._placed(at.here)
        return staying

    def _fewer(self, active: np.ndarray) -> tuple[np.ndarray | None, int]:
        """Which of the members on the devices go on without the others, in tiles of which width.

        That saves whole tiles, or at least as much in narrower ones as their program takes to compile; None if neither.
        """
        at, width = self._at, self._at.width
        alive = np.flatnonzero(active)
        if not len(alive):
            return None, width
        narrower = self._needs.width(at.way[0], len(alive))
        tiles = -(-len(alive) // width)
        saved = tiles * width - -(-len(alive) // narrower) * narrower
        each = self._needs.operations((self._epochs - at.done) / 2)  # others will stop as well
        if saved > 0 and each * saved >= _WORTH_COMPILING:
            return alive, narrower
        return (alive if tiles < len(self._tiles) else None), width

    def _store(self) -> None:
        """Copy what the members on the devices carry to where all members stand."""
        now = jax.tree.leaves(self._gathered(tile.carry for tile in self._tiles))
        if not self._at.leaves:
            self._at.leaves = now
            return
        for leaf, values in zip(self._at.leaves, now, strict=True):
            leaf[self._at.here] = values

    def _save(self) -> None:
        if self._slot is None:
            return
        self._store()
        self._at.seconds = self._before + time.monotonic() - self._began
        self._slot.save(self._at)


def seated(
    job: Job, members: Sequence[int], draw: Callable[[Sequence[int]], Any], rate_at: int | None
) -> tuple[list[Seat], Any, dict[str, np.ndarray], np.ndarray | None]:
    """Seats, first states, own numbers and own rates of members, filled up so that the devices share them evenly."""
    padded = [*members, *[members[-1]] * (-len(members) % devices.start().count)]
    seats = [job.seats[member] for member in padded]
    numbers = {key: [values[member] for member in padded] for key, values in job.numbers.items()}
    state = draw(padded)
    if job.begun is not None:
        begun.put(state, [job.begun[member] for member in padded], rate_at)
    if LEARNING_RATE in numbers:
        assert rate_at is not None
        state[2][rate_at] = np.asarray(numbers.pop(LEARNING_RATE), state[2][rate_at].dtype)
    rates = None if job.rates is None else np.array([_padded(job.rates[member]) for member in padded])
    return seats, state, as_arrays(numbers), rates


def _padded(rates: Sequence[float]) -> np.ndarray:
    """Rates of epochs, as many as many trainings have, so that these share a program."""
    length = max(_FEWEST_RATES, 1 << (len(rates) - 1).bit_length())
    return np.pad(np.array(rates, np.float32), (0, length - len(rates)), mode="edge")


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
    rates: np.ndarray | None,
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
        rates,
    )
