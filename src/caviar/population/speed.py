"""How fast does a model train on this machine: alone, by Keras' `fit`, and as a population?

Both are measured on a short training of the real shape. Programs that are kept on disk are left aside meanwhile: what
is told is the first time.
"""

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import jax
import keras
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from caviar.planning.cost import Speed
from caviar.planning.updates import shortened
from caviar.population import devices
from caviar.population.job import Enough, Job, Monitor
from caviar.population.template import build_alone, global_seeds_restored
from caviar.population.together import train_in_turn
from caviar.population.train import train

SECONDS = 2.0
"""How long steady training is watched, of each of the two."""

# Shorter pieces are told apart by what else the machine does, not by the model.
_PIECE = 0.1
_FIRST_STEPS, _EPOCH_SECONDS = 20, 0.25
_FEWEST_PIECES = 3
# A population takes less time per member than `fit`; by how much is what is measured, so this only sizes the trial.
_LIKELY_GAIN, _SLOWEST_STEP = 10, 0.75
_MOST_MEMBERS = 1000  # per device, as many as train together
_FEWEST_STEPS = 2
# Logs of all members and epochs lie in memory.
_MOST_LOGGED, _FEWEST_EPOCHS = 4_000_000, 10


def speed_of_fit(job: Job, *, seconds: float = SECONDS) -> Speed:
    """How fast Keras' own `fit` trains the first member of a job.

    Args:
        job: Its member with the first seat is trained, on as many of its rows as a quarter of a second takes.
        seconds: How long it is watched.

    Raises:
        ModelError: The builder fails.
    """
    devices.start()
    seat = job.seats[0]
    x, y, *_ = job.rows(seat.split, seat.fit)
    with _programs_not_kept(), global_seeds_restored():
        # The very first model of a process also loads what others find there.
        _fitted(job, build_alone(job.build, job.sample(), 0), x, y, _FIRST_STEPS)
        began = time.perf_counter()
        model = build_alone(job.build, job.sample(), 1)
        steps = _fitted(job, model, x, y, _FIRST_STEPS)
        first = time.perf_counter() - began
        again = time.perf_counter()
        _fitted(job, model, x, y, _FIRST_STEPS)
        rough = (time.perf_counter() - again) / steps
        watch = _Watch(seconds)
        most = max(_FIRST_STEPS, int(_EPOCH_SECONDS / rough))
        each = _fitted(job, model, x, y, most, watch)
    pieces = _joined([(each, took) for took in watch.epochs])
    return Speed(max(0.0, first - steps * statistics.median(pieces)), tuple(pieces))


def _fitted(
    job: Job,
    model: keras.Model,
    x: Any,  # noqa: ANN401
    y: Any,  # noqa: ANN401
    most: int,
    watch: "_Watch | None" = None,
) -> int:
    """Train on at most so many batches, the smaller one at the end among them; how many they were."""
    rows = shortened(len(jax.tree.leaves(y)[0]), job.batch_size, most)
    x, y = (jax.tree.map(lambda a: a[:rows], part) for part in (x, y))
    model.fit(
        x,
        y,
        batch_size=job.batch_size,
        epochs=1 if watch is None else 1_000_000,
        shuffle=job.shuffle,
        callbacks=[] if watch is None else [watch],
        verbose=0,
    )
    return -(-rows // job.batch_size)


class _Watch(keras.callbacks.Callback):
    """Takes the time of every epoch, and ends the training once it has seen enough."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self.epochs: list[float] = []

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002 - Keras' signature
        self._before = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        now = time.perf_counter()
        self.epochs.append(now - self._before)
        self._before = now
        if sum(self.epochs) >= self._seconds and len(self.epochs) >= _FEWEST_PIECES:
            self.model.stop_training = True


def speed_of_population(job: Job, alone: float, *, seconds: float = SECONDS) -> Speed | None:
    """How fast the members of a job train together; None where they cannot, but train one by one.

    Args:
        job: The members. Where they are many or have many rows, as many of each are trained as should take little
            time; but the last batch of an epoch stays as it is.
        alone: Seconds per update of one member alone.
        seconds: How long it is watched.

    Raises:
        ModelError: The builder fails.
    """
    small, watch = _small(job, alone), _Blocks(seconds)
    began = time.perf_counter()
    with _programs_not_kept():
        try:
            done = train(small, watch)
        except Enough:  # only a loop lets it out
            return None
    if done.engine != "population":
        return None
    (first, until_first), *later = watch.blocks
    pieces = _joined(later or [(first, until_first - began)])
    beginning = until_first - began - first * statistics.median(pieces)
    return Speed(max(0.0, beginning), tuple(pieces), len(small.seats))


@dataclass(frozen=True)
class Rehearsed:
    """What training several recipes takes, of which a few seconds were watched.

    Attributes:
        beginning: Seconds until every population's first epochs are over: compiling, mostly.
        rest: Seconds of all the others.
    """

    beginning: float
    rest: float


def rehearsed(jobs: Sequence[Job], *, seconds: float = SECONDS) -> Rehearsed | None:
    """How long several recipes train; None where one of them would be trained member by member.

    Args:
        jobs: One per recipe. They train as they would, but for the epochs that are left when enough was seen.
        seconds: How long each population is watched once it is compiled.

    Raises:
        ModelError: A builder fails.
    """
    watch = _InTurn(seconds)
    with _programs_not_kept():
        began = time.perf_counter()
        try:
            together = all(is_population for _, is_population in train_in_turn(jobs, watch))
        except Enough:  # only a loop lets it out
            return None
        took = time.perf_counter() - began
    return Rehearsed(took - watch.seen, watch.seen + watch.left) if together else None


class _InTurn(Monitor):
    """Watches population after population, each for a few seconds.

    Attributes:
        seen: Seconds of epochs that were watched.
        left: Seconds that what was not trained any more would have taken.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.seen = self.left = 0.0

    def begin(self, steps: int) -> None:
        """A population begins."""
        self._steps, self._done = steps, 0
        self._first: tuple[int, float] | None = None
        self._last = 0.0

    def advance(self, steps: int) -> None:
        """A block is over."""
        self._done, self._last = self._done + steps, time.perf_counter()
        if self._first is None:  # mostly compilation
            self._first = self._done, self._last
        if self._last - self._first[1] >= self._seconds:
            raise Enough

    def end(self) -> None:
        """The population has ended, or enough was seen of it."""
        if self._first is None:
            return
        done, since = self._first
        took = self._last - since
        self.seen += took
        if self._done > done:
            self.left += (self._steps - self._done) * took / (self._done - done)


def _small(job: Job, alone: float) -> Job:
    """So much of a job that an epoch of it should take less than a second."""
    together = min(_MOST_MEMBERS * devices.start().count, int(_SLOWEST_STEP / alone))
    seats = _spread_out(job.seats, max(devices.start().count, together))
    most = max(_FEWEST_STEPS, int(_LIKELY_GAIN * _EPOCH_SECONDS / (len(seats) * alone)))
    # The same number of full batches is taken from all, so that numbers of rows differ as they did.
    longest = max(len(seat.fit) for seat in seats)
    cut = min(len(seat.fit) - shortened(len(seat.fit), job.batch_size, most) for seat in seats)
    seats = [replace(seat, fit=seat.fit[: len(seat.fit) - cut]) for seat in seats]
    # As much work as it was: how members are spread over a step depends on how long it takes.
    epochs = max(_FEWEST_EPOCHS, min(job.epochs * longest // (longest - cut), _MOST_LOGGED // len(seats)))
    return replace(job, seats=seats, epochs=epochs)


def _spread_out(seats: Sequence[Any], most: int) -> list[Any]:
    """At most so many seats, from the whole list."""
    if len(seats) <= most:
        return list(seats)
    return [seats[i] for i in np.linspace(0, len(seats) - 1, most).round().astype(int)]


class _Blocks(Monitor):
    """Takes the time of every block of epochs, and ends the training once it has seen enough.

    `blocks` holds updates of all members and: of the first block when it was over, of others how long they took.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ended: list[float] = []
        self.blocks: list[tuple[int, float]] = []

    def advance(self, steps: int) -> None:
        """A block is over."""
        now = time.perf_counter()
        self.blocks.append((steps, now - self._ended[-1] if self._ended else now))
        self._ended.append(now)
        if now - self._ended[0] >= self._seconds and len(self.blocks) > _FEWEST_PIECES:
            raise Enough


def _joined(stretches: Sequence[tuple[int, float]]) -> list[float]:
    """Seconds per update of stretches (updates, seconds), short ones joined with those that follow.

    >>> _joined([(10, 0.05), (10, 0.05), (40, 0.4), (1, 0.01)])
    [0.005, 0.01]
    """
    pieces, updates, took = [], 0, 0.0
    for more, seconds in stretches:
        updates, took = updates + more, took + seconds
        if took >= _PIECE:
            pieces.append(took / updates)
            updates, took = 0, 0.0
    return pieces or [took / updates]


@contextmanager
def _programs_not_kept() -> Iterator[None]:
    """Compile what is compiled, in place of taking it from disk."""
    before = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()  # whether it is used was settled at the first compilation
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", before)
        compilation_cache.reset_cache()
