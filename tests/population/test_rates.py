"""A callback that gives each epoch its learning rate: members follow their own, whatever the others of a program do."""

from dataclasses import replace
from functools import partial

import keras
import numpy as np
import pytest

from caviar.errors import ModelError
from caviar.population import ahead
from caviar.population.job import Job
from caviar.population.together import train_in_turn, train_together
from caviar.population.train import train
from tests.population.conftest import assert_equals_fit

C, L = keras.callbacks, keras.layers


def network(rate=0.1, units=8):
    model = keras.Sequential([keras.Input((6,)), L.Dense(units, "relu"), L.Dropout(0.2), L.Dense(1)])
    model.compile(keras.optimizers.Adam(rate), "mse", metrics=["mae"])
    return model


def falling(factor):
    return C.LearningRateScheduler(lambda epoch, rate: float(rate) * factor if epoch else float(rate))


def in_steps(epoch):
    """The older form, which is not told the rate."""
    return 0.05 if epoch < 3 else 0.01


@pytest.fixture
def job_of(binary_rows, seats_of):
    x, y = binary_rows
    x, y = x[None], y[None]

    def make(rate=0.1, units=8, **changes):
        seats = seats_of(100, 2, watch=10, seeds=(1, 2))
        return replace(Job(partial(network, rate, units), x, y, None, seats, 16, 6), **changes)

    return make


def test_schedules_share_a_program_and_each_follows_its_own(job_of):
    """With another rate to begin with, with none at all, and with other widths."""
    jobs = [
        job_of(callbacks=[falling(0.5)]),
        job_of(0.02, callbacks=[falling(0.9)]),
        job_of(callbacks=[C.LearningRateScheduler(in_steps)]),
        job_of(0.03),
        job_of(units=5, callbacks=[falling(0.7)]),
    ]
    trained, populations = train_together(jobs)
    assert populations == 1
    for job, one in zip(jobs, trained, strict=True):
        for member in (0, 3):
            assert_equals_fit(job, one, member)
    last = [one.history["learning_rate"].values[0, -1] for one in trained]
    np.testing.assert_allclose(last, [0.1 * 0.5**5, 0.02 * 0.9**5, 0.01, 0.03, 0.1 * 0.7**5], rtol=1e-5)


def test_a_recipe_alone_follows_its_own_in_wider_layers(job_of):
    job = job_of(units=5, callbacks=[falling(0.7)])
    ((trained, is_population),) = train_in_turn([job], more=True)
    assert is_population
    assert_equals_fit(job, trained[0], 1)


def test_other_callbacks_still_tell_recipes_apart(job_of):
    stop = C.EarlyStopping(monitor="loss", patience=1, min_delta=1.0)
    jobs = [
        job_of(callbacks=[falling(0.5), stop]),
        job_of(callbacks=[stop, falling(0.9)]),
        job_of(callbacks=[falling(0.9)]),
    ]
    trained, populations = train_together(jobs)
    assert populations == 2
    for job, one in zip(jobs, trained, strict=True):
        assert_equals_fit(job, one, 0)
    assert np.isnan(trained[1].history["loss"].values[0, -1]), "nobody stops: this test sees nothing"


def test_a_plateau_and_a_schedule_of_one_s_own_stay_by_themselves(job_of):
    jobs = [
        job_of(callbacks=[C.ReduceLROnPlateau("loss", 0.5, patience=1, min_delta=1.0)]),
        job_of(callbacks=[falling(0.5)]),
        job_of(callbacks=[falling(0.5), falling(0.5)]),
    ]
    trained, _ = train_together(jobs)
    assert [one.engine for one in trained] == ["population", "population", "loop"]
    for job, one in zip(jobs, trained, strict=True):
        assert_equals_fit(job, one, 0)


def test_parts_are_those_of_a_training_at_once(job_of):
    """Of a recipe with a schedule and one without, which go on together."""
    whole = [job_of(callbacks=[falling(0.5)]), job_of(0.03)]
    at_once, _ = train_together(whole)
    first, _ = train_together([replace(job, epochs=2) for job in whole])
    rest, populations = train_together(
        [replace(job, begun=one.states, initial_epoch=2) for job, one in zip(whole, first, strict=True)]
    )
    assert populations == 1
    for one, other in zip(at_once, rest, strict=True):
        for name in ("loss", "learning_rate"):
            np.testing.assert_allclose(
                other.history[name].values, one.history[name].values[:, 2:], rtol=2e-5, err_msg=name
            )


def test_one_that_raises_stops_nobody_but_itself(job_of):
    def broken(*_):
        raise ZeroDivisionError("no such epoch")

    jobs = [job_of(callbacks=[falling(0.5)]), job_of(callbacks=[C.LearningRateScheduler(broken)])]
    turns = train_in_turn(jobs)
    trained, _ = next(turns)
    assert_equals_fit(jobs[0], trained[0], 0)
    with pytest.raises(ZeroDivisionError, match="no such epoch"):
        next(turns)


def test_a_schedule_of_the_optimizer_cannot_be_set_by_a_callback(job_of):
    def scheduled():
        model = network()
        model.compile(keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.9)), "mse")
        return model

    jobs = [job_of(build=scheduled, callbacks=[falling(0.5)]), job_of(callbacks=[falling(0.5)])]
    with pytest.raises(ModelError, match="a learning rate that LearningRateScheduler can set"):
        train_together(jobs)


def test_diverged_members_log_the_rates_of_their_schedule(job_of):
    """They leave the devices, and what `fit` would have logged goes on."""
    job = job_of(1e30, epochs=60, callbacks=[falling(0.9)], spread="vmap")
    trained = train(job)
    assert np.isnan(trained.history["loss"].values[:, -1]).all(), "nobody diverged: this test sees nothing"
    rates = 1e30 * 0.9 ** np.arange(60)
    np.testing.assert_allclose(trained.history["learning_rate"].values[0], rates, rtol=1e-4)


def test_what_is_compiled_ahead_is_what_is_needed(job_of, monkeypatch):
    """Nothing is compiled a second time because its shapes were foreseen wrongly."""
    submitted, late = [], []
    prepare = ahead.Ahead.prepare

    def noting(self, *given):
        before = len(self._found)
        prepare(self, *given)
        if len(self._found) > before:
            submitted.append(self)

    def program(self, *given):
        if ahead._key(given) not in self._found:
            late.append(self)
        return original(self, *given)

    original = ahead.Ahead.program
    monkeypatch.setattr(ahead.Ahead, "prepare", noting)
    monkeypatch.setattr(ahead.Ahead, "program", program)
    seats = job_of().seats

    def other():
        model = keras.Sequential([keras.Input((6,)), L.Dense(9, "tanh"), L.BatchNormalization(), L.Dense(1)])
        model.compile("sgd", "mse")
        return model

    weighed = np.ones((1, 100), np.float32)
    jobs = [
        job_of(callbacks=[falling(0.5)], score=True, spread="vmap"),
        job_of(build=other, weight=weighed, spread="vmap", ask_fit=True, seats=[*seats, seats[0]]),
    ]
    train_together(jobs)
    assert len(submitted) >= 9, "hardly anything was compiled: this test sees nothing"
    assert not late
