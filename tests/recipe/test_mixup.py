"""Mixing rows in pairs: what a member computes is what `fit` computes, and each mixes in its own way."""

import keras
import numpy as np
import pytest

from caviar.population.job import Job, Seat
from caviar.population.template import build_alone
from caviar.population.train import train
from caviar.recipe.mixup import mixing
from tests.population.conftest import assert_equals_fit

L = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)).astype(np.float32)
Y = (X[:, :1] ** 2).astype(np.float32)
ROWS = np.arange(60, dtype=np.int32)


def plain(optimizer="adam") -> keras.Model:
    model = keras.Sequential([keras.Input((3,)), L.Dense(5, "relu"), L.Dropout(0.2), L.Dense(1)])
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


class Own(keras.Model):
    """A model with a training step of its own, which no mixture may replace."""

    def __init__(self):
        super().__init__()
        self.last = L.Dense(1)

    def call(self, x):
        return self.last(x)

    def train_step(self, state, data):
        x, *rest = data
        return super().train_step(state, (2 * x, *rest))


def mixed() -> keras.Model:
    return mixing(plain(), 0.4)


def mixed_own() -> keras.Model:
    model = Own()
    model.compile("sgd", "mse")
    return mixing(model, 0.4)


def job_of(build, weight=None, **more) -> Job:
    seats = [Seat(0, 0, seed, 0, ROWS[:37], ROWS[37:45], ROWS[45:]) for seed in (1, 2)]
    return Job(build, X[None], Y[None], weight, seats, 8, 3, **more)


@pytest.mark.thorough
@pytest.mark.parametrize("way", ["vmap", "last"])
@pytest.mark.parametrize("build", [mixed, mixed_own])
def test_a_member_that_mixes_equals_fit(build, way):
    """37 rows in batches of 8: the last one is short; watched rows are not mixed."""
    job = job_of(build, spread=way)
    trained = train(job)
    assert (trained.engine, trained.why) == ("population", "")
    for member in range(2):
        assert_equals_fit(job, trained, member)


@pytest.mark.thorough
def test_weights_are_mixed_along_as_fit_mixes_them():
    job = job_of(mixed, RNG.uniform(0.5, 2, (1, 60)).astype(np.float32))
    assert_equals_fit(job, train(job), 1)


@pytest.mark.thorough
def test_mixing_changes_what_is_learned_and_members_mix_each_in_their_own_way():
    one, other = train(job_of(mixed)), train(job_of(plain))
    assert np.abs(one.history["loss"].values - other.history["loss"].values).min() > 1e-4
    states = [state[1] for state in one.states]
    assert any(not np.array_equal(a, b) for a, b in zip(*states, strict=True))


def test_a_step_sees_the_mixture_of_neighbouring_rows():
    """A network that always says 0: its squared error is the mixed targets' mean square."""

    def build():
        model = keras.Sequential([keras.Input((3,)), L.Dense(1, kernel_initializer="zeros", trainable=False)])
        model.compile(keras.optimizers.SGD(0.0), "mse")
        return mixing(model, 0.4)

    model = build_alone(build, (X[:2], Y[:2]), 5)
    losses = []
    for seed in range(5):
        model._mixing.state.assign(np.array([seed, 0], np.uint32))
        again = keras.random.SeedGenerator()
        again.state.assign(np.array([seed, 0], np.uint32))
        share = float(keras.random.beta((), 0.4, 0.4, seed=again))
        assert 0 <= share <= 1
        wanted = np.mean((share * Y[:8] + (1 - share) * np.roll(Y[:8], 1, axis=0)) ** 2)
        loss = model.fit(X[:8], Y[:8], batch_size=8, shuffle=False, verbose=0).history["loss"][0]
        assert loss == pytest.approx(wanted, rel=1e-5)
        losses.append(loss)
    assert len(set(losses)) == 5


@pytest.mark.thorough
def test_a_model_that_mixed_is_saved_as_an_ordinary_one(tmp_path):
    model = build_alone(mixed, (X[:2], Y[:2]), 1)
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert type(loaded) is keras.Sequential
    assert loaded.evaluate(X, Y, verbose=0) == pytest.approx(model.evaluate(X, Y, verbose=0))
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
