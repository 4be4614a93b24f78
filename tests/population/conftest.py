"""Small populations and what Keras' own `fit` makes of the same members."""

from dataclasses import dataclass

import numpy as np
import pytest

from caviar.population import devices

devices.start()

import keras  # noqa: E402 - only once JAX is its backend

from caviar.population.job import Job, Seat, Trained  # noqa: E402
from caviar.population.template import global_seeds_restored  # noqa: E402


@dataclass
class Fitted:
    """What `fit` gave for one member."""

    logs: dict[str, list[float]]
    outputs: np.ndarray
    model: keras.Model


def fit_alone(job: Job, seat: Seat) -> Fitted:
    """Exactly what a person would write: seed, build, fit, predict."""
    with global_seeds_restored():
        keras.utils.set_random_seed(seat.seed)
        model = job.build()
        x, y = job.x[seat.split if len(job.x) > 1 else 0], job.y[0]
        weight = None if job.weight is None else job.weight[seat.weights][seat.fit]
        validation = (x[seat.watch], y[seat.watch]) if len(seat.watch) else None
        if validation and job.weight is not None:
            validation = (*validation, job.weight[seat.weights][seat.watch])
        history = model.fit(
            x[seat.fit],
            y[seat.fit],
            sample_weight=weight,
            batch_size=job.batch_size,
            epochs=job.epochs,
            validation_data=validation,
            validation_batch_size=job.validation_batch_size or job.batch_size,
            callbacks=list(job.callbacks),
            verbose=0,
        )
        return Fitted(history.history, np.asarray(model.predict(x[seat.scored], verbose=0)), model)


def assert_equals_fit(job: Job, trained: Trained, member: int, tolerance: float = 1e-5) -> None:
    """Logs and predictions of one member are those of `fit` alone."""
    alone = fit_alone(job, job.seats[member])
    epochs = len(alone.logs["loss"])
    for name, values in alone.logs.items():
        ours = trained.history[name].values[member]
        np.testing.assert_allclose(ours[:epochs], values, atol=tolerance, rtol=tolerance, err_msg=name)
        assert np.isnan(ours[epochs:]).all(), f"{name} goes on after the stop"
    np.testing.assert_allclose(trained.outputs[member][: len(alone.outputs)], alone.outputs, atol=tolerance)


@pytest.fixture(scope="session")
def binary_rows() -> tuple[np.ndarray, np.ndarray]:
    """A hundred rows of six inputs whose first two decide a label."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 6)).astype(np.float32)
    return x, (x[:, :1] + x[:, 1:2] > 0).astype(np.float32)


@pytest.fixture(scope="session")
def seats_of():
    """Seats of a k-fold split of n rows, with some training rows to watch and several seeds."""

    def make(n: int, folds: int = 3, watch: int = 0, seeds: tuple[int, ...] = (7,)) -> list[Seat]:
        parts = np.array_split(np.random.default_rng(1).permutation(n), folds)
        seats = []
        for fold, held_out in enumerate(parts):
            train = np.setdiff1d(np.arange(n), held_out)
            fit, watched = train[: len(train) - watch], train[len(train) - watch :]
            seats += [Seat(0, fold, seed + 10 * fold, 0, fit, watched, np.sort(held_out)) for seed in seeds]
        return seats

    return make
