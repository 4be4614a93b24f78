"""A member of a population computes what Keras' `fit` computes alone."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import keras
import numpy as np
import polars as pl
import pytest

from caviar.population.job import Job, Seat
from caviar.population.train import train
from tests.population.conftest import assert_equals_fit

L = keras.layers


@pytest.fixture(params=["vmap", "last"])
def way(request):
    """Every way of spreading members over a step."""
    return request.param


def regularized_by_adam(way):
    """Batch normalization cancels a bias before it, so that its gradient is rounding, which Adam makes whole steps of.

    What is added up in another order than in `fit` rounds otherwise, and such a bias goes elsewhere.
    """
    return partial(regularized, OPTIMIZERS["Adam"], bias=way != "last")


OPTIMIZERS = {
    "SGD with momentum": lambda: keras.optimizers.SGD(0.05, momentum=0.9),
    "Adam": lambda: keras.optimizers.Adam(0.01),
}


def regularized(optimizer, *, bias=True):
    model = keras.Sequential(
        [
            keras.Input((6,)),
            L.GaussianNoise(0.1),
            L.Dense(
                12,
                use_bias=bias,
                kernel_regularizer=keras.regularizers.L2(0.01),
                kernel_constraint=keras.constraints.MaxNorm(2.0),
            ),
            L.BatchNormalization(),
            L.Activation("relu"),
            L.Dropout(0.3),
            L.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizer(), "binary_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.thorough
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_member_equals_fit_with_its_own_seed_weights_and_shuffling(name, way, binary_rows, seats_of):
    """Dense, BatchNormalization, Dropout, GaussianNoise, L2, MaxNorm; 66 or 67 rows, batch 16, three folds."""
    x, y = binary_rows
    seats = seats_of(100, folds=3, watch=5, seeds=(1, 2))
    build = regularized_by_adam(way) if name == "Adam" else partial(regularized, OPTIMIZERS[name])
    job = Job(build, x[None], y[None], None, seats, 16, 3, spread=way)
    trained = train(job)
    assert (trained.engine, trained.way) == ("population", way)
    assert len({len(seat.fit) for seat in seats}) == 2, "folds of unequal size are part of the claim"
    for member in (0, 3, 5):
        assert_equals_fit(job, trained, member)


@pytest.mark.thorough
@pytest.mark.parametrize("way", ["vmap", "last"])
def test_every_sonar_fold_equals_its_own_fit(way, tables):
    """Ten folds of 187 or 188 rows of the sonar table, trained at once and one by one."""
    table = pl.read_csv(tables / "sonar.csv", has_header=False)
    x = table[:, :60].to_numpy().astype(np.float32)
    y = (table[:, 60] == "M").to_numpy().astype(np.float32)[:, None]

    def build():
        model = keras.Sequential([keras.Input((60,)), L.Dense(60, "relu"), L.Dense(1, "sigmoid")])
        model.compile(keras.optimizers.SGD(0.1, momentum=0.8), "binary_crossentropy", metrics=["accuracy"])
        return model

    parts = np.array_split(np.random.default_rng(0).permutation(208), 10)
    seats = [
        Seat(0, i, i, 0, np.setdiff1d(np.arange(208), part), part[:0], part) for i, part in enumerate(parts)
    ]
    job = Job(build, x[None], y[None], None, seats, 16, 3, spread=way)
    trained = train(job)
    for member in range(10):
        assert_equals_fit(job, trained, member)


class Residual(keras.Model):
    """A subclassed model with a layer that fit must carry state for."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = L.Dense(8, "relu"), L.BatchNormalization(), L.Dense(1)

    def call(self, x, training=False):
        hidden = self.norm(self.first(x), training=training)
        return self.last(hidden + self.first(x))


@keras.saving.register_keras_serializable("tests")
class Doubled(keras.layers.Layer):
    """A custom layer with a weight and a loss of its own."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x):
        self.add_loss(0.01 * keras.ops.sum(self.scale**2))
        return 2 * x * self.scale


def own_loss(target, predicted):
    return keras.ops.mean(keras.ops.abs(target - predicted) ** 1.5, axis=-1)


def subclassed():
    model = Residual()
    model.compile("adam", "mse")
    return model


def functional_with_custom_parts():
    inputs = keras.Input((6,))
    hidden = Doubled()(L.Dense(8, "gelu")(inputs))
    outputs = L.Dense(1)(L.Concatenate()([hidden, L.LayerNormalization()(inputs)]))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.RMSprop(0.01), own_loss, metrics=["mae", keras.metrics.R2Score()])
    return model


def scheduled_and_averaged():
    model = keras.Sequential([keras.Input((6,)), L.Dense(8, "tanh"), L.Dense(1)])
    schedule = keras.optimizers.schedules.ExponentialDecay(0.05, 3, 0.8)
    optimizer = keras.optimizers.AdamW(schedule, clipnorm=0.5, use_ema=True, ema_momentum=0.7)
    model.compile(optimizer, keras.losses.Huber(0.5))
    return model


def recurrent():
    model = keras.Sequential([keras.Input((6,)), L.Reshape((3, 2)), L.GRU(5), L.Dense(1)])
    model.compile("adam", "mse")
    return model


def convolutional():
    layers = [
        L.Reshape((6, 1)),
        L.Conv1D(4, 3, padding="same", activation="relu"),
        L.MaxPooling1D(2),
        L.Flatten(),
    ]
    model = keras.Sequential([keras.Input((6,)), *layers, L.Dense(1)])
    model.compile("adam", "mse")
    return model


def attentive():
    inputs = keras.Input((6,))
    steps = L.Reshape((3, 2))(inputs)
    outputs = L.Dense(1)(L.Flatten()(L.MultiHeadAttention(2, 4)(steps, steps)))
    model = keras.Model(inputs, outputs)
    model.compile("adam", "mse")
    return model


def pretrained_and_adapted():
    """The builder sets values itself: an adapted normalisation and a scaled first kernel."""
    normalise = L.Normalization()
    normalise.adapt(np.arange(60, dtype=np.float32).reshape(10, 6))
    model = keras.Sequential([keras.Input((6,)), normalise, L.Dense(5, "relu"), L.Dense(1)])
    kernel, bias = model.layers[1].get_weights()
    model.layers[1].set_weights([0.1 * kernel, bias + 0.5])
    model.compile("adam", "mse")
    return model


@pytest.mark.thorough
@pytest.mark.parametrize(
    "build",
    [
        subclassed,
        functional_with_custom_parts,
        scheduled_and_averaged,
        recurrent,
        convolutional,
        attentive,
        pretrained_and_adapted,
    ],
)
def test_any_compiled_model_runs_as_a_population_and_equals_fit(build, way, binary_rows, seats_of):
    """Subclassed, functional, custom layer and loss, schedule, averaged weights, recurrent, convolution, attention."""
    x, y = binary_rows
    job = Job(build, x[None], y[None], None, seats_of(100, folds=2, watch=7), 16, 3, spread=way)
    trained = train(job)
    assert trained.engine == "population", trained.why
    for member in range(2):
        assert_equals_fit(job, trained, member)


def embedded():
    inputs = keras.Input((6,))
    words = keras.ops.cast(keras.ops.clip(3 * keras.ops.abs(inputs), 0, 9), "int32")
    model = keras.Model(inputs, L.Dense(1)(L.Flatten()(L.LayerNormalization()(L.Embedding(10, 3)(words)))))
    model.compile("adam", "mse")
    return model


def of_images():
    layers = [
        L.Reshape((3, 2, 1)),
        L.Conv2D(4, 2, use_bias=False),
        L.BatchNormalization(),
        L.ReLU(),
        L.Flatten(),
    ]
    model = keras.Sequential([keras.Input((6,)), *layers, L.Dense(1)])
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse")
    return model


def half_precise():
    layers = [L.Dense(8, "relu", dtype="mixed_bfloat16"), L.Dense(1, dtype="float32")]
    model = keras.Sequential([keras.Input((6,)), *layers])
    model.compile(keras.optimizers.SGD(0.05), "mse")
    return model


class OwnStep(keras.Model):
    """A training step of its own, in the stateless form that Keras wants on JAX."""

    def train_step(self, state, data):
        trainable, rest, optimizer, metrics = state
        x, y = data

        def loss_of(trainable):
            predicted, after = self.stateless_call(trainable, rest, x, training=True)
            return jnp.mean(jnp.abs(y - predicted) ** 1.5), after

        (loss, after), gradient = jax.value_and_grad(loss_of, has_aux=True)(trainable)
        trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradient, trainable)
        return {"loss": loss, "own": 2 * loss}, (trainable, after, optimizer, metrics)


class SilentStep(OwnStep):
    """It says what Keras' own metrics are called, and does not update them: `fit` reports what these hold."""

    def train_step(self, state, data):
        logs, state = super().train_step(state, data)
        return {"loss": logs["loss"]}, state


def with_a_step_of_its_own(kind=OwnStep):
    inputs = keras.Input((6,))
    model = kind(inputs, L.Dense(1)(L.Dropout(0.2)(L.Dense(8, "relu")(inputs))))
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return model


@pytest.mark.thorough
@pytest.mark.parametrize(
    "build",
    [
        embedded,
        of_images,
        half_precise,
        with_a_step_of_its_own,
        partial(with_a_step_of_its_own, SilentStep),
    ],
)
def test_further_models_run_as_a_population_and_equal_fit(build, binary_rows, seats_of):
    """Embedding and layer normalization, images, half precision, a training step of the model's own."""
    x, y = binary_rows
    job = Job(build, x[None], y[None], None, seats_of(100, folds=2), 16, 3)
    trained = train(job)
    assert trained.engine == "population", trained.why
    for member in range(2):
        assert_equals_fit(job, trained, member)


@pytest.mark.thorough
@pytest.mark.parametrize("way", ["vmap", "last"])
def test_sample_weights_reach_loss_and_validation(way, binary_rows, seats_of):
    """A weighted member equals a weighted fit, and differs from an unweighted one."""
    x, y = binary_rows
    weight = np.linspace(0, 3, 100).astype(np.float32)
    seats = seats_of(100, folds=2, watch=9)
    build = regularized_by_adam(way)
    weighted = Job(build, x[None], y[None], weight[None], seats, 16, 3, spread=way)
    plain = replace(weighted, weight=None)
    trained = train(weighted)
    assert_equals_fit(weighted, trained, 0)
    assert abs(trained.outputs[0] - train(plain).outputs[0]).max() > 1e-3


@pytest.mark.thorough
@pytest.mark.parametrize("way", ["vmap", "last"])
def test_inputs_of_a_split_are_seen_by_its_members_only(way, binary_rows, seats_of):
    """With inputs prepared per split, each member trains on its own split's numbers."""
    x, y = binary_rows
    seats = [replace(seat, split=i) for i, seat in enumerate(seats_of(100, folds=2))]
    build = regularized_by_adam(way)
    job = Job(build, np.stack([x, 3 * x]), y[None], None, seats, 16, 3, spread=way)
    trained = train(job)
    for member in range(2):
        assert_equals_fit(job, trained, member)


@pytest.mark.thorough
@pytest.mark.parametrize("way", ["vmap", "last"])
@pytest.mark.parametrize("batch_size", [1000, 33])
def test_any_batch_size_keeps_every_row(batch_size, way, binary_rows, seats_of):
    """A batch larger than the table; and folds of 66 and 67 rows, of which only one has a short last batch."""
    x, y = binary_rows
    seats = seats_of(100, folds=3)
    build = regularized_by_adam(way)
    job = Job(build, x[None], y[None], None, seats, batch_size, 3, spread=way)
    trained = train(job)
    for member in (0, 2):
        assert_equals_fit(job, trained, member)
