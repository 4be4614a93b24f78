"""One model at a time, by Keras' own `fit`: for what cannot run as a population."""

import copy
import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from caviar.population.job import Job, Monitor, Seat, Trained, make_history
from caviar.population.template import call_builder, global_seeds_restored


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
            x, y, *weight = rows_of(self._job, self._seat, self._seat.scored)
            size = self._job.validation_batch_size or self._job.batch_size
            scored = self.model.evaluate(
                x,
                y,
                sample_weight=weight[0] if weight else None,
                batch_size=size,
                verbose=0,
                return_dict=True,
            )
            row |= {f"held_out_{name}": value for name, value in scored.items()}
        self.rows.append(row)
        self._monitor.advance(self._steps)


def rows_of(job: Job, seat: Seat, rows: np.ndarray) -> tuple[Any, ...]:
    """Inputs, targets and weights of some rows as one member sees them."""
    x = job.x[seat.split if len(job.x) > 1 else 0][rows]
    y = job.y[seat.split if len(job.y) > 1 else 0][rows]
    return (x, y) if job.weight is None else (x, y, job.weight[rows])


def train_one_by_one(job: Job, monitor: Monitor, why: str, fixed: tuple[str, ...] = ()) -> Trained:
    """Train the members of a job one after the other; `why` says what kept them from running together."""
    began = time.monotonic()
    with global_seeds_restored():
        members = [_train_one(job, seat, monitor) for seat in job.seats]
    names = list(members[0][0][0])
    logs = {name: np.full((len(members), job.epochs), np.nan, np.float32) for name in names}
    for i, (rows, _, _) in enumerate(members):
        for epoch, row in enumerate(rows):
            # Keras numbers unnamed metrics anew in every build, so logs are matched by position.
            for name, value in zip(names, row.values(), strict=True):
                logs[name][i, epoch] = value
    seconds = time.monotonic() - began
    history = make_history(job.seats, logs, engine="loop", why=why, seconds=seconds)
    return Trained(
        history, [m[1] for m in members], [m[2] for m in members], "loop", why, job.epochs, fixed, seconds
    )


def _train_one(
    job: Job, seat: Seat, monitor: Monitor
) -> tuple[list[dict[str, float]], np.ndarray, tuple[list[np.ndarray], list[np.ndarray]]]:
    shown = _Shown(job, seat, monitor)
    x, y, *weight = rows_of(job, seat, seat.fit)
    keras.utils.set_random_seed(seat.seed)
    model = call_builder(job.build)
    model.fit(
        x,
        y,
        sample_weight=weight[0] if weight else None,
        batch_size=job.batch_size,
        epochs=job.epochs,
        validation_data=rows_of(job, seat, seat.watch) if len(seat.watch) else None,
        validation_batch_size=job.validation_batch_size or job.batch_size,
        callbacks=[*_fresh(job), shown],
        verbose=0,
    )
    asked = job.asked(seat)
    outputs = (
        np.asarray(model.predict(rows_of(job, seat, asked)[0], verbose=0)) if len(asked) else np.empty(0)
    )
    weights = (
        [v.numpy() for v in model.trainable_variables],
        [v.numpy() for v in model.non_trainable_variables],
    )
    return shown.rows, outputs, weights


def _fresh(job: Job) -> Iterator[keras.callbacks.Callback]:
    """Callbacks keep state, so each member gets copies of its own."""
    for callback in job.callbacks:
        yield copy.copy(callback)
