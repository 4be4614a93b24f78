"""One model at a time, by Keras' own `fit`: for what cannot run as a population."""

import time
from dataclasses import dataclass
from typing import Any

import jax
import keras
import numpy as np

from caviar.errors import OptionError
from caviar.population import begun
from caviar.population.job import Job, Monitor, Seat, Trained, make_history
from caviar.population.keep import Keep, Slot
from caviar.population.looking import Looking
from caviar.population.template import build_alone, call_builder, global_seeds_restored


class _Shown(keras.callbacks.Callback):
    """Scores the held-out rows after each epoch, after all other callbacks have decided."""

    def __init__(self, job: Job, seat: Seat, monitor: Monitor) -> None:
        super().__init__()
        self._job, self._seat, self._monitor = job, seat, monitor
        self._steps = -(-len(seat.fit) // job.batch_size)
        self.rows: list[dict[str, float]] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002 - Keras' signature
        row = dict(logs or {})
        if self._job.show:
            scored = _evaluate(self._job, self._seat, self.model)
            row |= {f"held_out_{name}": value for name, value in scored.items()}
        self.rows.append(row)
        self._monitor.advance(self._steps)


def _evaluate(job: Job, seat: Seat, model: keras.Model) -> dict[str, float]:
    """What the held-out rows score."""
    x, y, *weight = job.rows(seat.split, seat.scored, weights=seat.weights, weighed=job.weighs_scored)
    return model.evaluate(
        x,
        y,
        sample_weight=weight[0] if weight else None,
        batch_size=job.validation_batch_size or job.batch_size,
        verbose=0,
        return_dict=True,
    )


def train_one_by_one(
    job: Job, monitor: Monitor, why: str, fixed: tuple[str, ...] = (), keep: Keep | None = None
) -> Trained:
    """Train the members of a job one after the other; `why` says what kept them from running together.

    Raises:
        OptionError: A dataset gives the batches.
    """
    if job.source is not None:
        raise OptionError(
            f"Expected x and y to be arrays where members train one at a time, because {why}, got a dataset. Pass "
            f"arrays."
        )
    began = time.monotonic()
    looking = Looking(job) if job.probe else None
    with global_seeds_restored():
        members = [
            _train_one(job, i, monitor, keep.slot([i]) if keep is not None else None, looking)
            for i in range(len(job.seats))
        ]
    names = max([list(member.rows[0]) for member in members], key=len)
    logs = {name: np.full((len(members), job.length), np.nan, np.float32) for name in names}
    for i, member in enumerate(members):
        for epoch, row in enumerate(member.rows):
            # Keras numbers unnamed metrics anew in every build, so logs are matched by position.
            there = names if len(row) == len(names) else [n for n in names if not n.startswith("val_")]
            for name, value in zip(there, row.values(), strict=True):
                logs[name][i, epoch] = value
    seconds = time.monotonic() - began
    history = make_history(
        job.seats, logs, engine="loop", why=why, seconds=seconds, initial_epoch=job.initial_epoch
    )
    return Trained(
        history,
        [member.outputs for member in members],
        [member.state for member in members],
        [member.scores for member in members] if job.score else [],
        "loop",
        why,
        job.length,
        fixed,
        seconds,
        probes=looking.seen(history) if looking else None,
    )


@dataclass(frozen=True)
class _One:
    """What one member gave."""

    rows: list[dict[str, float]]
    outputs: Any
    state: tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]
    scores: dict[str, float]


def _train_one(job: Job, member: int, monitor: Monitor, slot: Slot | None, looking: Looking | None) -> _One:
    seat = job.seats[member]
    kept = slot.read() if slot is not None else None
    if kept is None:
        model, rows = _fitted(job, member, monitor, looking)
    else:
        model, rows = build_alone(job.build, job.sample(), seat.seed), _rows_of(kept)
        for i, variable in enumerate(_variables(model)):
            variable.assign(kept[f"leaf_{i}"].view(np.dtype(variable.dtype)))
        monitor.restore(-(-len(seat.fit) // job.batch_size) * len(rows))
    groups = (model.trainable_variables, model.non_trainable_variables, model.optimizer.variables)
    trainable, rest, optimizer = ([v.numpy() for v in group] for group in groups)
    if slot is not None and kept is None:
        logs = {f"log_{name}": np.array([row[name] for row in rows]) for name in rows[0]}
        slot.write([*trainable, *rest, *optimizer], logs)
    asked = job.asked(seat)
    outputs: Any = np.empty(0)
    if len(asked):
        outputs = jax.tree.map(np.asarray, model.predict(job.rows(seat.split, asked)[0], verbose=0))
    scores = _evaluate(job, seat, model) if job.score else {}
    return _One(rows, outputs, (trainable, rest, optimizer), scores)


def _variables(model: keras.Model) -> list[Any]:
    return [*model.trainable_variables, *model.non_trainable_variables, *model.optimizer.variables]


def _rows_of(kept: dict[str, np.ndarray]) -> list[dict[str, float]]:
    """Logs of a member that was trained before, epoch by epoch."""
    logs = {name.removeprefix("log_"): a for name, a in kept.items() if name.startswith("log_")}
    return [dict(zip(logs, values, strict=True)) for values in zip(*logs.values(), strict=True)]


def _fitted(
    job: Job, member: int, monitor: Monitor, looking: Looking | None
) -> tuple[keras.Model, list[dict[str, float]]]:
    """What `fit` makes of one member, and its logs by epoch: NaN where nobody looked."""
    seat = job.seats[member]
    shown = _Shown(job, seat, monitor)
    x, y, *weight = job.rows(seat.split, seat.fit, weights=seat.weights)
    keras.utils.set_random_seed(seat.seed)
    model = call_builder(job.build)
    if job.begun is not None:
        model = build_alone(job.build, job.sample(), seat.seed)
        begun.assign(model, job.begun[member], job)
        for _ in range(
            job.past + 1 if job.shuffle else 0
        ):  # the first fixes shapes, of a model that has none
            np.random.permutation(len(seat.fit))  # noqa: NPY002 - `fit` draws the order of its rows there
    model.fit(
        x,
        y,
        sample_weight=weight[0] if weight else None,
        batch_size=job.batch_size,
        epochs=job.epochs,
        initial_epoch=job.initial_epoch,
        shuffle=job.shuffle,
        validation_data=(
            job.rows(seat.split, seat.watch, weights=seat.weights, weighed=job.weighs_watched)
            if len(seat.watch)
            else None
        ),
        validation_freq=(
            job.validation_freq if isinstance(job.validation_freq, int) else list(job.validation_freq)
        ),
        validation_batch_size=job.validation_batch_size or job.batch_size,
        callbacks=[
            *(job.own(callback, seat) for callback in job.callbacks),
            shown,
            *([looking.at(seat)] if looking else []),
        ],
        verbose=0,
    )
    names = max([list(row) for row in shown.rows], key=len)
    return model, [{name: row.get(name, np.nan) for name in names} for row in shown.rows]
