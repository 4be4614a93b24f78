"""How members train on rows that come block by block, because they are too many or because a dataset gives them."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from caviar.population import blocks, devices, lost, program
from caviar.population.blocks import Blocks, Ways
from caviar.population.callbacks import Rule, saved
from caviar.population.chunk import Part, seated
from caviar.population.job import Enough, Job, Monitor
from caviar.population.keep import Midway, Slot, Standing
from caviar.population.probe import MEMBER_VARIABLES
from caviar.population.source import Stack, ahead
from caviar.population.step import Logs, MemberState
from caviar.population.stream_program import Machine

# Blocks come one after another, so that nothing is timed before: members first, as JAX batches them, or, where they
# convolve, one member of a device after the other.
_WAY = ("vmap", "members first: rows come in blocks")

# Operations of all members in one call of their program, between which they can be saved: two seconds of a core, or
# twenty where it is slow.
_PIECE = 2e10

# What a narrower program must save to be worth its compilation: about two seconds of a core.
_WORTH_COMPILING = 2e10

# The passes through rows, in their order: those of an epoch, and the one at the end.
_TRAIN, _WATCH, _SHOW, _SCORE = range(4)


@dataclass(frozen=True, eq=False)
class Group:
    """Members that train on the same blocks, and what their program is made of.

    Attributes:
        job: What is trained.
        ways: How they go through their rows.
        machine: Their program.
        logs: Shapes and types of what a training step and a look say, for one member.
        draw: Places of members in the job → first state of all their variables (member, …).
        rate_at: Where the learning rate stands among the optimizer's variables, if it is a number.
        rules: Callbacks that run inside.
    """

    job: Job
    ways: Ways
    machine: Machine
    logs: tuple[Any, Any]
    draw: Callable[[Sequence[int]], Any]
    rate_at: int | None
    rules: Sequence[Rule]


def train_stream(
    group: Group, members: Sequence[int], epochs: int, monitor: Monitor, slot: Slot | None, first: Part | None
) -> Part:
    """Train members that fit on the devices together, on rows that do not; arguments as in `chunk.train_chunk`.

    Their state is kept within epochs too. Where that may be is decided by counts of batches, so that numbers do not
    depend on the clock; whether it is done there, by the clock.
    """
    run = _Run(group, members, epochs, slot, monitor)
    run.run(may_end=first is None)
    return run.end()


@dataclass
class _Within:
    """How far members have come within an epoch.

    Attributes:
        state: Their state.
        metrics: Those of the look that goes on.
        logs: What training, watching and scoring have said so far.
        stage: Which pass through rows goes on.
        pieces: How many of its pieces are done.
        steps: Gradient steps that the monitor was told of.
    """

    state: MemberState
    metrics: list[jax.Array]
    logs: list[Logs]
    stage: int = _TRAIN
    pieces: int = 0
    steps: int = 0

    def enters(self, stage: int, metrics: list[jax.Array]) -> bool:
        """Go over to a pass through rows, or find out that it is done already."""
        if self.stage < stage:
            self.stage, self.pieces, self.metrics = stage, 0, metrics
        return self.stage == stage

    @property
    def carried(self) -> Any:  # noqa: ANN401
        """What is kept of it (member, …)."""
        return self.state, self.metrics, self.logs


class _Run:
    """Members on the devices, epoch by epoch, and those that have left them."""

    def __init__(
        self, group: Group, members: Sequence[int], epochs: int, slot: Slot | None, monitor: Monitor
    ) -> None:
        self._group, self._machine, self._epochs, self._slot = group, group.machine, epochs, slot
        self._members, self._monitor = len(members), monitor
        self._seats, state, numbers, self._every_rate = seated(group.job, members, group.draw, group.rate_at)
        weights = np.array([seat.weights for seat in self._seats], np.int32)
        self._own = (state[3], numbers, weights, self._every_rate)
        shapes = jax.eval_shape(self._machine.begin, state)
        self._structure = jax.tree.structure(shapes)
        logs = [self._zeros(of, len(self._seats)) for of in (0, 1, 1)]
        within = (shapes.state, shapes.state[3], logs)
        self._within = jax.tree.structure(within)
        kept = (
            slot.load(*([a.dtype for a in jax.tree.leaves(tree)] for tree in (shapes, within)))
            if slot
            else None
        )
        self._at = kept or Standing(0, ended=False, here=np.arange(len(self._seats)), leaves=[], logs={})
        self._before, self._began = self._at.seconds, time.monotonic()
        self._most = max(1, int(_PIECE / (self._machine.operations * len(self._seats))))
        self._blocks: dict[int, Blocks] = {}
        if group.job.source is not None:
            group.job.source.begin()
        if kept is None:
            self._place_own()
            self._carry = self._machine.begin(self._machine.place(state))
        else:
            self._place()

    def run(self, *, may_end: bool) -> None:
        """Epoch by epoch, until the last or until nobody trains any more."""
        at = self._at
        before = at.done
        for _ in range(before):
            self._skip()
        self._monitor.restore(before * self._steps_of_an_epoch())
        while at.done < self._epochs and not at.ended and self._active().any():
            self._train_epoch(self._group.job.initial_epoch + at.done)
            try:
                self._monitor.advance(0)
            except Enough:
                at.ended = may_end
            self._let_go()
            if self._slot is not None and self._slot.due():
                self._save()
        if at.done > before:
            self._save()

    def end(self) -> Part:
        """What the members gave, those that fill up the devices left out."""
        at = self._at
        if at.leaves and len(at.here) < len(self._seats):
            self._store()
            at.here = np.arange(len(self._seats))
            self._place()
        finished = self._machine.end(self._carry)
        scores: dict[str, np.ndarray] = {}
        if self._group.job.score:
            within = self._resumed() or self._fresh(finished)
            self._look(within, _SCORE)
            scores = {name: np.asarray(v) for name, v in within.logs[2].items()}
        trainable, rest, optimizer = ([np.asarray(v) for v in group] for group in finished[:3])
        done = at.done if at.ended else self._epochs
        logs = {name: values[:, :done] for name, values in at.logs.items()}
        nothing: list[Any] = [np.empty(0)] * self._members
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

    def _train_epoch(self, epoch: int) -> None:
        """One epoch, from its beginning or from where it was left."""
        job, before, machine = self._group.job, self._carry, self._machine
        watches = job.watches(epoch)
        within = self._resumed()
        if within is None:
            within = self._fresh(machine.open(before, self._metrics, self._rates, np.int32(epoch)))
            self._probe_rows(within, epoch)
        else:
            self._monitor.restore(within.steps)
        if within.enters(_TRAIN, self._metrics):
            self._train(within, epoch)
        else:
            self._skip()
        if self._group.ways.watch is not None and watches:
            self._look(within, _WATCH)
        if job.show:
            self._look(within, _SHOW)
        logs = within.logs[0]
        if self._group.ways.watch is not None:
            seen = within.logs[1] if watches else self._unseen()
            logs = {**logs, **{f"val_{name}": value for name, value in seen.items()}}
        self._carry, logs = machine.close(before, within.state, logs, np.int32(epoch), np.bool_(watches))
        if job.show:
            logs |= {f"held_out_{name}": self._known(before, v) for name, v in within.logs[2].items()}
        for name, values in logs.items():
            self._record(name, values)
        self._at.done += 1

    def _train(self, within: _Within, epoch: int) -> None:
        if self._group.job.source is not None:
            self._train_on_batches(within, epoch)
            return
        machine, own = self._machine, (self._numbers, self._weights)
        for piece, *given in self._pieces(_TRAIN, within, epoch):
            before = within.logs[0]
            within.state, within.logs[0] = machine.rows(piece.way)(within.state, before, *own, *given)
            self._rest(within, piece.steps, before)

    def _train_on_batches(self, within: _Within, epoch: int) -> None:
        machine, source = self._machine, self._group.job.source
        assert source is not None
        begins = within.pieces == 0
        for stack, (batches, tail), spans in ahead(
            blocks.spans(source, self._most, within.pieces), self._shared
        ):
            if begins:
                self._probe_batches(within, stack, epoch)
                begins = False
            for first, end in spans:
                before, steps = within.logs[0], end - first
                if steps:
                    within.state, within.logs[0] = machine.stack(
                        *(within.state, before, self._numbers, batches, np.int32(first), np.int32(end))
                    )
                if end == stack.count and tail is not None:
                    within.state, within.logs[0] = machine.tail(within.state, self._numbers, tail)
                    steps += 1
                self._rest(within, steps * self._members, before)
        rest = self._group.job.steps_each * self._members - within.steps
        self._tell(within, rest)

    def _look(self, within: _Within, stage: int) -> None:
        """Let members look at rows that they do not train on."""
        if not within.enters(stage, self._metrics):
            return
        job, scored = self._group.job, stage != _WATCH
        weighed, at = (job.weighs_scored, 2) if scored else (job.weighs_watched, 1)
        own = (self._numbers, self._weights)
        if not within.pieces:
            within.logs[at] = self._silent(1)
        for piece, *given in self._pieces(stage, within, 0):
            before, look = within.logs[at], self._machine.look(piece.way, scored=scored, weighed=weighed)
            within.metrics, within.logs[at] = look(within.state, within.metrics, before, *own, *given)
            self._rest(within, 0, before)

    def _pieces(self, stage: int, within: _Within, epoch: int) -> Iterator[tuple[Any, ...]]:
        """The pieces that are left of a pass through blocks: each with data, rows and counts on the devices."""
        of = self._blocks_of(stage)
        left = of.plan(epoch)[within.pieces :]
        for data, several in ahead(of.read(left, self._at.here, epoch), self._placed):
            for piece, rows, counts in several:
                yield piece, data, rows, counts

    def _blocks_of(self, stage: int) -> Blocks:
        if stage not in self._blocks:
            job, ways = self._group.job, self._group.ways
            lists, way = {
                _TRAIN: ([seat.fit for seat in self._seats], (ways.inner, ways.last)),
                _WATCH: ([seat.watch for seat in self._seats], (ways.watch, ways.watch)),
            }.get(stage, ([seat.scored for seat in self._seats], (ways.scored, ways.scored)))
            self._blocks[stage] = Blocks(
                *(job, self._seats, lists, way, self._most),
                shuffle=job.shuffle and stage == _TRAIN,
                members=self._members,
            )
        return self._blocks[stage]

    def _rest(self, within: _Within, steps: int, before: Logs) -> None:
        """After a piece: tell, and save if it is time.

        The piece before, whose logs are given, is waited for: so one piece is always ready, and no more are piled up.
        """
        within.pieces += 1
        jax.block_until_ready(before)
        try:
            self._tell(within, steps)
        except KeyboardInterrupt:
            self._save(within)
            raise
        if self._slot is not None and self._slot.due():
            self._save(within)

    def _tell(self, within: _Within, steps: int) -> None:
        within.steps += steps
        with contextlib.suppress(Enough):  # an epoch is trained to its end
            self._monitor.advance(steps)

    def _probe_rows(self, within: _Within, epoch: int) -> None:
        """Look inside the members before an epoch, on the rows with which it begins."""
        probe = self._machine.probe
        if probe is None or not probe.sample.due(epoch) or self._group.job.source is not None:
            return
        batches, rows = probe.sample.batches, probe.sample.rows
        data, places = self._blocks_of(_TRAIN).beginning(self._at.here, epoch, batches * rows)
        measured = self._machine.probe_rows(
            *(within.state, self._numbers, self._weights),
            self._machine.share(data),
            self._machine.place(places.reshape(-1, batches, rows)),
        )
        self._record(program.PROBES, self._known(self._carry, measured))

    def _probe_batches(self, within: _Within, stack: Stack, epoch: int) -> None:
        """The same on the batches with which a dataset begins; where these are too short, less is known."""
        probe = self._machine.probe
        if probe is None or not probe.sample.due(epoch):
            return
        batches, rows = probe.sample.batches, probe.sample.rows
        several = blocks.first_rows(stack, batches * rows)
        few = several or blocks.first_rows(stack, rows)
        measured = np.full((len(self._at.here), len(probe.slots)), np.nan, np.float32)
        if few is not None:
            shaped = keras.tree.map_structure(lambda a: np.resize(a, (batches, rows, *a.shape[1:])), few)
            shared = self._machine.share(shaped)
            measured = np.array(self._machine.probe_batches(within.state, self._numbers, shared))
        if several is None:  # the same batch twice: its gradients do not differ
            measured[:, [name in MEMBER_VARIABLES for name, _ in probe.slots]] = np.nan
        self._record(program.PROBES, self._known(self._carry, measured))

    def _let_go(self) -> None:
        """Take members that have stopped or diverged off the devices, if that is worth a narrower program."""
        at = self._at
        if at.ended or at.done == self._epochs:
            return
        steps = (
            self._steps_of_an_epoch() / self._members * (self._epochs - at.done) / 2
        )  # others will stop as well
        active = self._active()
        nan = active & lost.diverged(at.logs, at.here, self._group.job.watched(at.done), self._weights_now)
        staying = _who_stays(at.here, active & ~nan, self._machine.operations * steps)
        if staying is None and not np.array_equal(nan, active):
            return
        self._store()
        lost.leave(
            at,
            np.unique(at.here[nan]),
            self._structure,
            self._group.rules,
            self._group.rate_at,
            self._every_rate,
            self._group.job,
        )
        if staying is not None:
            at.here = at.here[staying]
        self._place()

    def _fresh(self, state: MemberState) -> _Within:
        return _Within(state, self._metrics, [self._silent(of) for of in (0, 1, 1)])

    def _resumed(self) -> _Within | None:
        """Where members were within an epoch when they were saved, once."""
        kept, self._at.midway = self._at.midway, None
        if kept is None:
            return None
        state, metrics, logs = self._machine.place(jax.tree.unflatten(self._within, kept.leaves))
        return _Within(state, metrics, logs, kept.stage, kept.pieces, kept.steps)

    def _skip(self) -> None:
        """Pass over the rows of an epoch that are trained already: a dataset may give others in each."""
        source = self._group.job.source
        if source is not None:
            for _ in source.epoch():
                pass

    def _steps_of_an_epoch(self) -> int:
        job = self._group.job
        if job.source is not None:
            return job.steps_each * self._members
        return sum(piece.steps for piece in self._blocks_of(_TRAIN).plan(0))

    def _zeros(self, of: int, many: int) -> Logs:
        return {n: np.zeros((many, *z.shape), z.dtype) for n, z in self._group.logs[of].items()}

    def _silent(self, of: int) -> Logs:
        """Zeros in the place of what a training step (0) or a look (1) says."""
        placed: Logs = self._machine.place(self._zeros(of, len(self._at.here)))
        return placed

    def _unseen(self) -> Logs:
        """Logs of rows that nobody looked at."""
        return {name: jnp.full_like(zeros, jnp.nan, jnp.float32) for name, zeros in self._silent(1).items()}

    def _active(self) -> np.ndarray:
        return np.asarray(self._carry.active)

    def _weights_now(self) -> list[np.ndarray]:
        return [np.asarray(leaf) for leaf in self._carry.state[0]]

    def _known(self, before: program.Carry, values: Any) -> np.ndarray:  # noqa: ANN401
        """Values of members that still trained; NaN once they have stopped."""
        values = np.asarray(values)
        active = np.asarray(before.active).reshape(-1, *[1] * (values.ndim - 1))
        return np.where(active, values, np.nan)

    def _placed(self, block: tuple[program.Data, list[tuple[Any, ...]]]) -> tuple[program.Data, list[Any]]:
        data, several = block
        place = self._machine.place
        return self._machine.share(data), [
            (piece, place(rows), place(counts)) for piece, rows, counts in several
        ]

    def _shared(self, item: tuple[Stack, list[tuple[int, int]]]) -> tuple[Stack, Any, list[tuple[int, int]]]:
        stack, spans = item
        return stack, self._machine.share((stack.batches, stack.tail)), spans

    def _record(self, name: str, values: Any) -> None:  # noqa: ANN401
        at, values = self._at, np.asarray(values)
        if name not in at.logs:
            at.logs[name] = np.full((len(self._seats), self._epochs, *values.shape[1:]), np.nan, np.float32)
        at.logs[name][at.here, at.done] = values

    def _place(self) -> None:
        """Put the members that still train on the devices."""
        at = self._at
        leaves = [leaf[at.here] for leaf in at.leaves]
        self._carry = self._machine.place(jax.tree.unflatten(self._structure, leaves))
        self._place_own()

    def _place_own(self) -> None:
        here = self._at.here
        self._metrics, self._numbers, self._weights, self._rates = self._machine.place(
            jax.tree.map(lambda a: np.asarray(a)[here], self._own)
        )

    def _store(self) -> None:
        """Copy what the members on the devices carry from epoch to epoch to where all members stand."""
        now = [np.asarray(leaf) for leaf in jax.tree.leaves(self._carry)]
        if not self._at.leaves:
            self._at.leaves = [leaf.copy() for leaf in now]
            return
        for leaf, values in zip(self._at.leaves, now, strict=True):
            leaf[self._at.here] = values

    def _save(self, within: _Within | None = None) -> None:
        if self._slot is None:
            return
        self._store()
        at = self._at
        at.seconds = self._before + time.monotonic() - self._began
        if within is not None:
            leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(within.carried)]
            at.midway = Midway(within.stage, within.pieces, within.steps, leaves)
        self._slot.save(at)
        at.midway = None


def _who_stays(here: np.ndarray, active: np.ndarray, each: float) -> np.ndarray | None:
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
