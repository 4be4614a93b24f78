"""What holds for a population as a whole: same bits, no harm to neighbours, honest fallbacks."""

import random
from dataclasses import replace

import keras
import numpy as np
import pytest

from caviar.errors import ModelError
from caviar.population import loop
from caviar.population.job import Enough, Job, Monitor
from caviar.population.train import train
from tests.population.conftest import assert_equals_fit

L = keras.layers


def small(rate=0.01, **compile_options):
    model = keras.Sequential([keras.Input((6,)), L.Dense(5, "relu"), L.Dropout(0.2), L.Dense(1)])
    model.compile(keras.optimizers.Adam(rate), "mse", **compile_options)
    return model


@pytest.mark.thorough
def test_the_same_population_gives_the_same_bits(binary_rows, seats_of):
    x, y = binary_rows
    job = Job(small, x[None], y[None], None, seats_of(100, 3, seeds=(1, 2)), 16, 4)
    first, second = train(job), train(job)
    assert all(np.array_equal(a, b) for a, b in zip(first.outputs, second.outputs, strict=True))
    assert first.history.drop_attrs().identical(second.history.drop_attrs())


def test_a_member_that_fails_harms_no_other(binary_rows, seats_of):
    """One split's inputs hold an infinity: its member ends in NaN, the others keep their bits."""
    x, y = binary_rows
    seats = [replace(seat, split=i) for i, seat in enumerate(seats_of(99, 3))]
    sick = x.copy()
    sick[:, 0] = np.inf
    job = Job(small, np.stack([x, sick, x]), y[None], None, seats, 16, 3)
    healthy = Job(small, np.stack([x, x, x]), y[None], None, seats, 16, 3)
    one, two = train(job), train(healthy)
    assert np.isnan(one.outputs[1]).all()
    for member in (0, 2):
        assert np.array_equal(one.outputs[member], two.outputs[member])


@pytest.mark.thorough
def test_any_number_of_members_runs(binary_rows, seats_of):
    """One member, and a number that the devices do not divide."""
    x, y = binary_rows
    for count in (1, 3):
        job = Job(small, x[None], y[None], None, seats_of(99, 3)[:count], 16, 2)
        trained = train(job)
        assert len(trained.outputs) == count
        assert_equals_fit(job, trained, count - 1)


def test_a_fixed_seed_is_named(binary_rows, seats_of):
    """What the builder fixes does not vary, and Caviar says which part that is."""
    x, y = binary_rows

    def build():
        init = keras.initializers.GlorotUniform(seed=3)
        model = keras.Sequential([keras.Input((6,)), L.Dense(4, kernel_initializer=init), L.Dense(1)])
        model.compile("adam", "mse")
        return model

    job = Job(build, x[None], y[None], None, seats_of(100, 2), 50, 1)
    trained = train(job)
    assert [name for name in trained.fixed if "kernel" in name]
    assert len(trained.fixed) == 1
    assert_equals_fit(job, trained, 1)


class OnlyBesideOne(keras.callbacks.Callback):
    """A callback that no population can carry."""


def test_what_cannot_run_together_runs_one_by_one_and_says_why(binary_rows, seats_of):
    x, y = binary_rows
    job = Job(small, x[None], y[None], None, seats_of(100, 2, watch=5), 16, 2, [OnlyBesideOne()], show=True)
    trained = train(job)
    assert trained.engine == "loop"
    assert "OnlyBesideOne" in trained.why
    assert_equals_fit(job, trained, 1)


class Untraceable(keras.Model):
    """Its training step leaves JAX: it works in `fit` with run_eagerly, and in no compiled program."""

    def __init__(self):
        super().__init__()
        self.last = L.Dense(1)

    def call(self, x):
        return self.last(x)

    def train_step(self, state, data):
        logs, state = super().train_step(state, data)
        float(logs["loss"])
        return logs, state


def test_a_step_that_jax_cannot_trace_runs_one_by_one_and_says_why(binary_rows, seats_of):
    x, y = binary_rows

    def build():
        model = Untraceable()
        model.compile("sgd", "mse", run_eagerly=True)
        return model

    job = Job(build, x[None], y[None], None, seats_of(100, 2), 16, 2)
    trained = train(job)
    assert trained.engine == "loop"
    assert "cannot trace" in trained.why
    assert_equals_fit(job, trained, 1)


@pytest.mark.thorough
def test_the_loop_and_the_population_agree(binary_rows, seats_of):
    """Logs, shown curves and predictions are the same whichever engine ran."""
    x, y = binary_rows
    job = Job(
        lambda: small(metrics=["mae"]), x[None], y[None], None, seats_of(100, 2, watch=9), 16, 3, show=True
    )
    together, alone = train(job), loop.train_one_by_one(job, Monitor(), "asked to")
    for name in alone.history.data_vars:
        np.testing.assert_allclose(together.history[name], alone.history[name], atol=1e-5, err_msg=name)
    for a, b in zip(together.outputs, alone.outputs, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


SHARED = keras.optimizers.Adam()


def sharing():
    model = keras.Sequential([keras.Input((6,)), L.Dense(1)])
    model.compile(SHARED, "mse")
    return model


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (sharing, "anew at each call"),
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: "a model", "keras.Model"),
        (lambda: keras.Sequential([keras.Input((6,)), L.Dense(1)]), "model.compile"),
        (lambda: small().__class__, "keras.Model"),
    ],
)
def test_a_builder_that_fails_is_one_sentence(build, words, binary_rows, seats_of):
    x, y = binary_rows
    with pytest.raises(ModelError, match=words):
        train(Job(build, x[None], y[None], None, seats_of(100, 2), 16, 1))


def test_global_random_states_are_left_as_they_were(binary_rows, seats_of):
    """Training must not change what the person's own random numbers will be."""
    x, y = binary_rows
    keras.utils.set_random_seed(5)
    expected = (random.random(), np.random.rand(), float(keras.random.normal(())))  # noqa: NPY002, S311
    keras.utils.set_random_seed(5)
    train(Job(small, x[None], y[None], None, seats_of(100, 2), 50, 1))
    assert (random.random(), np.random.rand(), float(keras.random.normal(()))) == expected  # noqa: NPY002, S311


def test_a_monitor_counts_all_steps_and_can_stop(binary_rows, seats_of):
    class Stop(Exception):  # noqa: N818
        pass

    class Counting(Monitor):
        total = done = 0

        def begin(self, steps):
            self.total = steps

        def advance(self, steps):
            self.done += steps
            if self.total == -1:
                raise Stop

    x, y = binary_rows
    job = Job(small, x[None], y[None], None, seats_of(100, 3), 16, 7)
    counting = Counting()
    train(job, counting)
    assert counting.done == counting.total == 3 * 5 * 7

    class Stopping(Counting):
        def begin(self, steps):
            super().begin(steps)
            self.total = -1

    with pytest.raises(Stop):
        train(job, Stopping())


class HasEnough(Monitor):
    """Ends the training once some steps are done."""

    def __init__(self, steps):
        self.left = steps

    def advance(self, steps):
        self.left -= steps
        if self.left <= 0:
            raise Enough


@pytest.mark.thorough
def test_a_monitor_that_has_enough_ends_training_as_fewer_epochs_would(binary_rows, seats_of):
    """What comes back is what a job of that many epochs gives, to the bit."""
    x, y = binary_rows
    job = Job(small, x[None], y[None], None, seats_of(100, 2, watch=5), 16, 40, show=True)
    short = train(job, HasEnough(40))
    assert 1 < short.epochs < 40
    again = train(replace(job, epochs=short.epochs))
    assert short.history.drop_attrs().identical(again.history.drop_attrs())
    assert all(np.array_equal(a, b) for a, b in zip(short.outputs, again.outputs, strict=True))


def test_programs_after_the_first_train_as_long_as_the_first_did(binary_rows, seats_of):
    """Members that watch rows and members that do not are two programs; one wish to end ends both alike."""
    x, y = binary_rows
    seats = seats_of(100, 2, watch=5)
    seats = [seats[0], replace(seats[1], watch=seats[1].watch[:0])]
    job = Job(small, x[None], y[None], None, seats, 16, 40)
    short = train(job, HasEnough(20))
    assert 1 < short.epochs < 40
    assert dict(short.history.sizes) == {"member": 2, "epoch": short.epochs}
    assert np.isfinite(short.history["loss"]).all()
    assert np.isfinite(short.history["val_loss"]).all("epoch").values.tolist() == [True, False]
