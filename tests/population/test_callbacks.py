"""Each member stops, slows down and goes back to its best weights when Keras' callbacks would."""

import keras
import numpy as np
import pytest

from caviar.errors import ModelError
from caviar.population.job import Job
from caviar.population.train import train
from tests.population.conftest import assert_equals_fit

C = keras.callbacks


def wobbly(rate=0.3):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), "mse", metrics=["mae"])
    return model


@pytest.mark.parametrize(
    "callbacks",
    [
        [C.EarlyStopping(monitor="val_loss", patience=2, min_delta=1e-4, restore_best_weights=True)],
        [C.EarlyStopping(monitor="val_mae", patience=1, min_delta=1e-3, start_from_epoch=4)],
        [C.EarlyStopping(monitor="loss", patience=3, baseline=0.05, min_delta=1e-4)],
        [C.ReduceLROnPlateau(monitor="val_loss", factor=0.3, patience=1, min_delta=1e-4, min_lr=1e-3)],
        [
            C.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=2, cooldown=2, min_delta=1e-4),
            C.EarlyStopping(monitor="val_loss", patience=5, min_delta=1e-4, restore_best_weights=True),
        ],
    ],
    ids=["restore", "late start", "baseline", "plateau", "both"],
)
def test_decisions_and_weights_equal_those_of_fit(callbacks, binary_rows, seats_of):
    """Twenty epochs, two folds and two seeds; Keras' own callbacks decide for `fit` alone."""
    x, y = binary_rows
    job = Job(wobbly, x[None], y[None], None, seats_of(100, 2, watch=15, seeds=(1, 2)), 16, 20, callbacks)
    trained = train(job)
    assert trained.engine == "population"
    for member in (0, 3):
        assert_equals_fit(job, trained, member, tolerance=2e-4)


def test_members_stop_on_their_own(binary_rows, seats_of):
    """The case above is no test if every member stops in the same epoch."""
    x, y = binary_rows
    stop = C.EarlyStopping(monitor="val_loss", patience=2, min_delta=1e-4)
    job = Job(wobbly, x[None], y[None], None, seats_of(100, 2, 15, seeds=(1, 2, 3)), 16, 20, [stop])
    lengths = np.isfinite(train(job).history["loss"].values).sum(axis=1)
    assert len(set(lengths)) > 1
    assert lengths.min() < 20


def test_a_plateau_callback_on_a_schedule_object_is_refused(binary_rows, seats_of):
    """Keras cannot lower a rate that a schedule decides; the sentence says so before training."""
    x, y = binary_rows
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    job = Job(
        lambda: wobbly(schedule), x[None], y[None], None, seats_of(100, 2), 16, 2, [C.ReduceLROnPlateau()]
    )
    with pytest.raises(ModelError, match="schedule object"):
        train(job)
