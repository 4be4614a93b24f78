"""How models that Keras' own `fit` trains, one after the other, are probed: by a callback, with the same probe."""

from typing import Any

import jax
import keras
import numpy as np
import xarray as xr

from caviar.population.job import Job, Seat
from caviar.population.orders import row_orders
from caviar.population.probe import Probe, make_probe
from caviar.population.probed import make_probes, sample_of
from caviar.population.template import variables


class Looking:
    """Probes the members of a job; the probe is traced and compiled with the first."""

    def __init__(self, job: Job) -> None:
        sample = sample_of(job)
        assert sample is not None
        self.job, self._sample = job, sample
        self._probe: Probe | None = None
        self._measure: Any = None
        self._recorded: list[dict[int, np.ndarray]] = []

    def at(self, seat: Seat) -> keras.callbacks.Callback:
        """A callback for the next member; it belongs behind those that set the rate."""
        self._recorded.append({})
        return _Probing(self, seat)

    def look(self, model: keras.Model, seat: Seat, order: np.ndarray, epoch: int) -> None:
        """Write down what goes on in the current member before it trains on its rows in this order."""
        sample = self._sample
        if not sample.due(epoch):
            return
        # The state that the first step of the epoch will meet: its metrics are fresh.
        trainable, rest, optimizer, metrics = ([v.value for v in group] for group in variables(model))
        given: Any = ((trainable, rest, optimizer, metrics), {})
        if self._measure is None:
            self._probe = make_probe(model, given[0], {}, self.job.sample(), sample)
            self._measure = jax.jit(self._probe.measure)
        rows = seat.fit[order[: sample.batches * sample.rows]].reshape(sample.batches, sample.rows)
        self._recorded[-1][epoch] = np.asarray(
            self._measure(given, self.job.rows(seat.split, rows, weights=seat.weights))
        )

    def seen(self, history: xr.Dataset) -> xr.Dataset:
        """What was seen of all members, whose logs are given."""
        assert self._probe is not None
        recorded = np.full(
            (len(self._recorded), history.sizes["epoch"], len(self._probe.slots)), np.nan, np.float32
        )
        for member, epochs in enumerate(self._recorded):
            for epoch, values in epochs.items():
                recorded[member, epoch - self._sample.first] = values
        return make_probes(self._probe, recorded, history)


class _Probing(keras.callbacks.Callback):
    """Tells when an epoch begins, and in which order it will take the rows."""

    def __init__(self, looking: Looking, seat: Seat) -> None:
        super().__init__()
        self._looking, self._seat = looking, seat

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002 - Keras' signature
        job = self._looking.job
        rows = len(self._seat.fit)
        self._orders = row_orders(self._seat.seed, rows, job.parts(rows), shuffle=job.shuffle)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        self._looking.look(self.model, self._seat, next(self._orders), epoch)
