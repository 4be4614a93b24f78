"""Facts about measuring how fast a model trains: what is planted to take long is found where it was planted."""

import time

import keras
import numpy as np
import pytest

from caviar.errors import ModelError
from caviar.population import devices, speed
from caviar.population.job import Job, Seat
from caviar.population.speed import speed_of_fit, speed_of_population

NAP = 0.06


def _slow_loss(seconds):
    """Squared error that lets every update of every member take so long."""
    import jax

    def nap(_):
        time.sleep(seconds)
        return np.float32(0)

    def loss(truth, said):
        late = jax.pure_callback(
            nap, jax.ShapeDtypeStruct((), np.float32), jax.lax.stop_gradient(said), vmap_method="sequential"
        )
        return keras.ops.mean(keras.ops.square(truth - said), axis=-1) + late

    return loss


def build(loss="mse"):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", loss)
    return model


def job_of(builder, rows=23, members=2, batch=5):
    x = np.random.default_rng(0).normal(size=(1, rows, 2)).astype(np.float32)
    none = np.arange(0)
    seats = [Seat(0, 0, seed, 0, np.arange(rows - seed % 2), none, none) for seed in range(members)]
    return Job(build=builder, x=x, y=x[:, :, :1], weight=None, seats=seats, batch_size=batch, epochs=3)


@pytest.mark.thorough
def test_an_update_that_takes_long_is_told_per_update_of_a_member():
    """Naps twice as long are told as such, and more members on each device as no change of an update of one."""
    at_once = devices.start().count  # the devices nap at the same time

    def speeds(nap, members):
        job = job_of(lambda: build(_slow_loss(nap)), members=members)
        alone = speed_of_fit(job, seconds=0.5)
        return alone, speed_of_population(job, alone.update, seconds=0.5)

    (alone, together), (slow, slow_together) = speeds(NAP, 2 * at_once), speeds(2 * NAP, 2 * at_once)
    assert min(alone.pieces) >= NAP
    assert min(together.pieces) >= NAP / at_once
    assert slow.update == pytest.approx(2 * alone.update, rel=0.25)
    assert slow_together.update == pytest.approx(2 * together.update, rel=0.25)
    _, several = speeds(NAP, 4 * at_once)
    assert [together.members, several.members] == [2 * at_once, 4 * at_once]
    assert several.update == pytest.approx(together.update, rel=0.25)


def test_building_that_takes_long_is_told_apart_from_updates():
    def late():
        time.sleep(1.0)
        return build()

    found = speed_of_fit(job_of(late), seconds=0.2)
    assert found.beginning >= 1.0
    assert found.update < 0.1


def test_the_person_s_compiled_programs_are_kept_again_afterwards():
    import jax

    before = jax.config.jax_enable_compilation_cache
    speed_of_fit(job_of(build), seconds=0.05)
    assert jax.config.jax_enable_compilation_cache is before


def test_many_members_and_rows_are_measured_on_some_of_them():
    job = job_of(build, rows=100_003, members=64, batch=5)
    small = speed._small(job, alone=0.1)
    assert 1 < len(small.seats) < 64
    assert {len(seat.fit) % 5 for seat in small.seats} == {2, 3}  # both sizes, each with its own last batch
    longest = max(len(seat.fit) for seat in small.seats)
    assert longest <= 20
    assert small.epochs * longest == pytest.approx(job.epochs * 100_003, rel=1e-3)


class Untraceable(keras.Sequential):
    """Its training step leaves JAX: it works in `fit` with run_eagerly, and in no compiled program."""

    def train_step(self, state, data):
        logs, state = super().train_step(state, data)
        float(logs["loss"])
        return logs, state


@pytest.mark.thorough
def test_a_model_that_cannot_be_a_population_has_no_such_speed():
    def untraceable():
        model = Untraceable([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse", run_eagerly=True)
        return model

    assert speed_of_population(job_of(untraceable), 1e-3, seconds=0.1) is None


def test_a_model_that_takes_other_rows_is_refused():
    def narrow():
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    with pytest.raises(ModelError, match="rows of 2 inputs"):
        speed_of_fit(job_of(narrow), seconds=0.1)
