"""Each member stops, slows down and goes back to its best weights when Keras' callbacks would."""

import warnings
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from caviar.errors import ModelError
from caviar.population import callbacks
from caviar.population.job import Job
from caviar.population.train import train
from tests.population.conftest import assert_equals_fit

C = keras.callbacks


def wobbly(rate=0.3):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), "mse", metrics=["mae"])
    return model


@pytest.mark.thorough
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


RATE = 1.0


def stop(monitor):
    return C.EarlyStopping(monitor, patience=2, baseline=1.2, start_from_epoch=2, restore_best_weights=True)


def slow(monitor):
    return C.ReduceLROnPlateau(monitor, patience=1, factor=0.5, cooldown=2, min_delta=0.1, min_lr=0.01)


def keep(monitor, mode="min", best=None):
    return C.ModelCheckpoint("a.keras", monitor, mode=mode, save_best_only=True, initial_value_threshold=best)


def keras_decides(callback, values, watched):
    """Keras' own object sees logs epoch by epoch: the rate after each epoch up to a stop, the epoch saved."""
    model = SimpleNamespace(optimizer=keras.optimizers.SGD(RATE), stop_training=False, epoch=-1, saved=-1)
    model.get_weights = lambda: model.epoch
    model.set_weights = lambda epoch: setattr(model, "saved", epoch)
    model.save = lambda *_, **__: setattr(model, "saved", model.epoch)
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for model.epoch, (value, there) in enumerate(zip(values, watched, strict=True)):
        logs = {"loss": float(value), **({"val_loss": float(value)} if there else {})}
        callback.on_epoch_end(model.epoch, logs)
        rates.append(float(model.optimizer.learning_rate))
        if model.stop_training:
            break
    callback.on_train_end()
    return (*rates, model.saved)


def ours_decides(callback):
    """The same from the rule, for a state whose only weight is the number of the epoch."""
    rules = callbacks.rules([callback], wobbly(RATE), 60)
    at = 1

    def run(values, watched):
        def one(carry, seen):
            numbers, state, active, ended = carry
            epoch, value, there = seen
            now = ([epoch], [epoch], [epoch, state[2][at]], [])
            logs = {"loss": value, "val_loss": value}
            new, state, stops = callbacks.after_epoch(rules, numbers, now, logs, epoch, at, watched=there)
            after = (new, state, active & ~stops, ended + 1)
            return jax.tree.map(lambda a, b: jnp.where(active, a, b), after, carry), state[2][at]

        first = ([jnp.int32(-1)], [jnp.int32(-1)], [jnp.int32(-1), jnp.float32(RATE)], [])
        start = (callbacks.begin(rules, first), first, jnp.bool_(True), jnp.int32(0))
        (numbers, _, _, ended), rates = jax.lax.scan(one, start, (jnp.arange(len(values)), values, watched))
        back = numbers[0].get("trainable", [numbers[0].get("saved_epoch", -1)])[0]
        return ended, rates, back

    return jax.jit(run)


@pytest.mark.parametrize("monitor", ["loss", "val_loss"])
@pytest.mark.parametrize(
    "make",
    [
        stop,
        slow,
        keep,
        lambda monitor: keep(monitor, "max"),
        lambda monitor: keep(monitor, best=1.0),
        lambda monitor: keep(monitor, "max", 1.5),
    ],
    ids=["stop", "slow", "keep", "keep highest", "keep below", "keep above"],
)
def test_a_rule_decides_as_the_callback_itself_with_ties_nan_and_epochs_without_values(make, monitor):
    rng = np.random.default_rng(0)
    decide, outcomes = ours_decides(make(monitor)), set()
    for _ in range(40):
        grid = np.array([0.5, 1.0, 1.5, 2.0, np.nan], np.float32)
        values = rng.choice(grid, 30, p=[0.05, 0.2, 0.3, 0.4, 0.05])
        watched = rng.random(30) < 0.6
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that a value is not available
            expected = keras_decides(make(monitor), values, watched)
        ended, rates, back = decide(values, watched)
        assert (*rates[:ended].tolist(), int(back)) == pytest.approx(expected, rel=1e-6)
        outcomes.add(expected)
    assert len(outcomes) > 3, "something is decided"
