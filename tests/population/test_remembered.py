"""Trainings of one structure share programs, whatever was trained before, and none gets another one's."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from caviar.population import chunk, devices, memory, remembered
from caviar.population.job import Job
from caviar.population.together import train_in_turn
from caviar.population.train import train
from tests.population.conftest import assert_equals_fit

devices.start()
import keras  # noqa: E402 - only once JAX is its backend

L = keras.layers


def network(activation="relu", drop=0.2, rate=0.01, units=(5,)):
    hidden = [layer for n in units for layer in (L.Dense(n, activation), L.Dropout(drop))]
    model = keras.Sequential([keras.Input((6,)), *hidden, L.Dense(1)])
    model.compile(keras.optimizers.Adam(rate), "mse", metrics=["mae"])
    return model


@pytest.fixture
def compiled(monkeypatch):
    """Every program for epochs that was compiled; nothing is remembered from before."""
    found = {}
    monkeypatch.setattr(remembered, "_made", type(remembered._made)())
    monkeypatch.setattr(chunk.memory, "require", lambda program: found.setdefault(id(program), program))
    return found


@pytest.fixture
def job_of(binary_rows, seats_of):
    x, y = binary_rows
    x, y = x[None], y[None]

    def make(build, *, seeds=(1, 2), **changes):
        return replace(Job(build, x, y, None, seats_of(100, 2, seeds=seeds), 16, 3, spread="vmap"), **changes)

    return make


def test_numbers_of_members_and_of_epochs_share_a_program(job_of, compiled):
    for seeds, epochs in ((tuple(range(5)), 3), (tuple(range(30)), 3), ((5, 6, 7, 8, 9), 40)):
        trained = train(job_of(network, seeds=seeds, epochs=epochs))
        assert len(trained.outputs) == 2 * len(seeds)
        assert np.isfinite(trained.history["loss"]).all()
        assert trained.history.sizes["epoch"] == epochs
    assert len(compiled) == 1


@pytest.mark.usefixtures("compiled")
def test_what_was_trained_before_does_not_show(job_of):
    job = job_of(network, seeds=(1, 2, 3))
    first = train(job)
    remembered._made.clear()
    train(job_of(network, seeds=tuple(range(40)), epochs=2))
    again = train(job)
    for one, other in zip(first.outputs, again.outputs, strict=True):
        np.testing.assert_array_equal(one, other)
    assert first.history.drop_attrs().identical(again.history.drop_attrs())


OTHERS = {
    "another activation": (partial(network, "tanh"), {}),
    "a number that is the same for all members": (partial(network, drop=0.5), {}),
    "another batch size": (network, {"batch_size": 32}),
    "a callback": (
        network,
        {"callbacks": (keras.callbacks.EarlyStopping("loss", patience=0, min_delta=9.0),)},
    ),
    "probes": (network, {"probe": 1}),
    "the given order": (network, {"shuffle": False}),
    "another rate": (partial(network, rate=0.1), {}),
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_training_becomes_what_fit_makes_of_it(other, job_of, compiled):
    build, changes = OTHERS[other]
    train(job_of(network))
    job = job_of(build, **changes)
    trained = train(job)
    if other != "the given order":  # of which `fit_alone` knows nothing
        assert_equals_fit(job, trained, 1)
    assert len(compiled) == (1 if other in {"another rate", "the given order"} else 2)


def test_parts_of_ones_own_are_told_apart(job_of, compiled):
    """Their code is the same, and what it holds is not."""

    def scaled(factor):
        model = keras.Sequential([keras.Input((6,)), L.Lambda(lambda v: v * factor), L.Dense(1)])
        model.compile("sgd", "mse")
        return model

    for factor in (1.0, 3.0):
        job = job_of(partial(scaled, factor))
        assert_equals_fit(job, train(job), 0)
    assert len(compiled) == 2


@pytest.mark.usefixtures("compiled")
def test_logs_bear_the_names_of_their_own_model(job_of):
    def named(name):
        model = network()
        model.compile("sgd", "mse", metrics=[keras.metrics.MeanAbsoluteError(name=name)])
        return model

    for name in ("one", "two"):
        assert name in train(job_of(partial(named, name))).history


def test_what_was_not_asked_for_longest_is_forgotten(job_of, compiled, monkeypatch):
    monkeypatch.setattr(remembered, "_MOST", 2)
    for activation in ("relu", "tanh", "relu", "elu", "relu"):
        train(job_of(partial(network, activation)))
    assert len(compiled) == 3
    assert len(remembered._made) == 2
    train(job_of(partial(network, "tanh")))
    assert len(compiled) == 4


def test_widths_that_follow_share_a_program(job_of, compiled):
    """Of searches: what goes on is of other widths, perhaps of one alone."""
    sizes = [(5, 6), (8, 3)], [(7, 5), (6, 6)], [(6, 5)]
    for some in sizes:
        jobs = [job_of(partial(network, units=units)) for units in some]
        for trained, is_population in train_in_turn(jobs, more=True):
            assert is_population
            for place, one in trained.items():
                assert_equals_fit(jobs[place], one, 0)
    assert len(compiled) == 1


def test_too_little_memory_is_noticed_again(job_of, monkeypatch):
    """A program that does not fit is not remembered as one that does."""
    monkeypatch.setattr(remembered, "_made", type(remembered._made)())
    asked = []

    def refuse(program):
        asked.append(program)
        raise memory.TooLarge(0.5)

    with monkeypatch.context() as patch:
        patch.setattr(chunk.memory, "require", refuse)
        with pytest.raises(memory.TooLarge):
            chunk.train_chunk(*_group(job_of(network)))
        with pytest.raises(memory.TooLarge):
            chunk.train_chunk(*_group(job_of(network)))
    assert len(asked) == 2


def _group(job):
    from caviar.population import train as training
    from caviar.population.job import Monitor
    from caviar.population.template import make_template

    template = make_template(job.build, job.sample())
    one, *_ = training._groups(job, template, ())
    return one.train.args[0], list(range(len(job.seats))), job.epochs, Monitor(), None, None


def test_what_is_set_globally_is_part_of_it(job_of, compiled):
    def classes():
        model = keras.Sequential([keras.Input((6,)), L.Dense(1, "sigmoid")])
        model.compile("sgd", "binary_crossentropy")
        return model

    usual = keras.config.epsilon()
    try:
        for epsilon in (usual, 0.3):
            keras.config.set_epsilon(epsilon)
            job = job_of(classes)
            assert_equals_fit(job, train(job), 0)
    finally:
        keras.config.set_epsilon(usual)
    assert len(compiled) == 2


class Reference(L.Layer):
    """Looks at so many rows of a batch, if it has them: two rows tell nothing."""

    def __init__(self, rows):
        super().__init__()
        self.rows = rows

    def call(self, x):
        return x - keras.ops.mean(x[: self.rows], axis=0)


class Ending(keras.optimizers.SGD):
    """Multiplies weights at the end, where `fit` puts averages in their place."""

    def __init__(self, factor):
        super().__init__(0.1, use_ema=True, ema_overwrite_frequency=None)
        self.factor = factor

    def finalize_variable_values(self, var_list):
        for variable in var_list:
            variable.assign(variable * self.factor)


def referring(rows):
    model = keras.Sequential([keras.Input((6,)), Reference(rows), L.Dense(1)])
    model.compile("sgd", "mse")
    return model


def ending(factor):
    model = keras.Sequential([keras.Input((6,)), L.Dense(1)])
    model.compile(Ending(factor), "mse")
    return model


@pytest.mark.parametrize(("build", "settings"), [(referring, (4, 8)), (ending, (1.0, 5.0))])
def test_parts_of_ones_own_in_one_call_are_told_apart(build, settings, job_of):
    """By full batches and by what they do at the end: two rows and one step would not show it."""
    jobs = [job_of(partial(build, setting)) for setting in settings]
    first = []
    for trained, _ in train_in_turn(jobs):
        for place, one in trained.items():
            alone = train(jobs[place])
            np.testing.assert_allclose(one.history["loss"], alone.history["loss"], atol=1e-6)
            np.testing.assert_allclose(one.states[0][0][0], alone.states[0][0][0], atol=1e-6)
            first.append(one.states[0][0][0])
    assert not np.allclose(*first, atol=1e-3), "the settings change nothing: this test sees nothing"


def test_large_models_are_not_kept(job_of, monkeypatch):
    monkeypatch.setattr(remembered, "_made", type(remembered._made)())
    train(job_of(network))
    assert len(remembered._made) == 1
    monkeypatch.setattr(remembered, "_MOST_BYTES", 10)
    train(job_of(partial(network, "tanh")))
    assert not remembered._made


@pytest.mark.thorough
def test_threads_do_not_disturb_each_other(job_of):
    """They share Keras' global seeds, from which models are built."""
    jobs = [job_of(partial(network, activation)) for activation in ("relu", "tanh", "elu")] * 3
    alone = [train(job).outputs for job in jobs[:3]]
    with ThreadPoolExecutor(3) as threads:
        together = [one.outputs for one in threads.map(train, jobs)]
    for outputs, expected in zip(together, alone * 3, strict=True):
        np.testing.assert_array_equal(np.stack(outputs), np.stack(expected))
