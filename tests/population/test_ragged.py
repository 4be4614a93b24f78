"""A step that takes batches of any number of rows does with the real ones what Keras does with them alone."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caviar.population import step
from caviar.population.initial import draw
from caviar.population.job import Job
from caviar.population.ragged import NotRagged, trace
from caviar.population.template import make_template
from caviar.population.train import train
from tests.population.conftest import assert_equals_fit

L = keras.layers
FULL = 8


def model_of(*layers, loss="mse", metrics=("mae",), optimizer="sgd"):
    def build():
        model = keras.Sequential([keras.Input((12,)), *(layer() for layer in layers)])
        made = optimizer() if callable(optimizer) else optimizer
        model.compile(made, loss, metrics=[m() if callable(m) else m for m in metrics])
        return model

    return build


def image(*layers):
    return (lambda: L.Reshape((4, 3, 1)), *layers, L.Flatten, lambda: L.Dense(1))


def sequence(*layers):
    return (lambda: L.Reshape((4, 3)), *layers, lambda: L.Dense(1))


MODELS = {
    "batch normalization": model_of(lambda: L.Dense(5), L.BatchNormalization, lambda: L.Dense(1)),
    "noise": model_of(
        lambda: L.GaussianNoise(0.3), lambda: L.Dense(5), lambda: L.Dropout(0.4), lambda: L.Dense(1)
    ),
    "regularization": model_of(
        lambda: L.Dense(4, kernel_regularizer="l2", activity_regularizer="l1", kernel_constraint="max_norm"),
        lambda: L.Dense(1),
    ),
    "other norms": model_of(
        lambda: L.Dense(4),
        L.LayerNormalization,
        lambda: L.GroupNormalization(2),
        L.UnitNormalization,
        lambda: L.Dense(1),
    ),
    "Adam with clipping": model_of(
        lambda: L.Dense(1), optimizer=lambda: keras.optimizers.Adam(0.01, clipnorm=0.1)
    ),
    "curves as metrics": model_of(
        lambda: L.Dense(1, "sigmoid"),
        loss="binary_crossentropy",
        metrics=(
            lambda: keras.metrics.AUC(name="auc"),
            lambda: keras.metrics.Precision(name="p"),
            "accuracy",
        ),
    ),
    "r2": model_of(lambda: L.Dense(1), loss="huber", metrics=("r2_score", "root_mean_squared_error")),
    "convolution 1-D": model_of(*sequence(lambda: L.Conv1D(3, 2), L.MaxPooling1D, L.GlobalAveragePooling1D)),
    "convolution 2-D": model_of(
        *image(lambda: L.Conv2D(3, 2, padding="same"), L.BatchNormalization, lambda: L.AveragePooling2D(2))
    ),
    "separable convolution": model_of(*image(lambda: L.SeparableConv2D(3, 2), lambda: L.DepthwiseConv2D(2))),
    "LSTM": model_of(*sequence(lambda: L.LSTM(3, dropout=0.2, recurrent_dropout=0.2))),
    "bidirectional GRU": model_of(*sequence(lambda: L.Bidirectional(L.GRU(3)))),
    "bfloat16": model_of(lambda: L.Dense(4, dtype="mixed_bfloat16"), lambda: L.Dense(1)),
}


def rows_and_state(build):
    rng = np.random.default_rng(0)
    batch = (
        rng.normal(size=(FULL, 12)).astype(np.float32),
        rng.integers(0, 2, (FULL, 1)).astype(np.float32),
        rng.uniform(0.5, 1.0, FULL).astype(np.float32),
    )
    few = tuple(part[:2] for part in batch)
    template = make_template(build, few)
    state = tuple([np.asarray(v)[0] for v in group] for group in draw(template, build, few, [3]))
    return template.model, state, batch


def largest_difference(one, other):
    """Absolute for numbers up to 1, relative for larger ones."""
    pairs = [
        (np.asarray(a, np.float64), np.asarray(b, np.float64))
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    ]
    return max(float((np.abs(a - b) / np.maximum(1, np.abs(b))).max(initial=0)) for a, b in pairs)


@pytest.mark.thorough
@pytest.mark.parametrize("name", MODELS)
def test_a_short_batch_among_copies_equals_the_short_batch_alone(name):
    """Training and test steps, for three numbers of rows; random masks, statistics and metrics included."""
    model, state, batch = rows_and_state(MODELS[name])
    looked = (state[0], state[1], state[3])

    def train_one(state, batch):
        return step.train_step(model, state, batch)

    def look(state, batch):
        return step.test_step(model, state, batch)

    for function, given_state in ((train_one, state), (look, looked)):
        short = jax.jit(trace(function, given_state, batch, FULL, short=True).short)
        alone = jax.jit(function)
        for count in (2, 5, FULL):
            filled = tuple(
                np.concatenate([part[:count], np.repeat(part[:1], FULL - count, 0)]) for part in batch
            )
            expected = alone(given_state, tuple(part[:count] for part in batch))
            assert largest_difference(short(given_state, filled, count), expected) < 1e-5
        other = tuple(np.concatenate([part[:5], np.repeat(part[5:6], FULL - 5, 0)]) for part in batch)
        again = short(given_state, filled_with_copies(batch, 5), 5)
        assert largest_difference(short(given_state, other, 5), again) == 0, "what fills up the batch is seen"


def filled_with_copies(batch, count):
    return tuple(np.concatenate([part[:count], np.repeat(part[:1], FULL - count, 0)]) for part in batch)


@pytest.mark.thorough
@given(
    st.lists(
        st.sampled_from(["sum", "mean", "max", "softmax", "cumsum", "tanh", "sort", "flip"]), max_size=3
    ),
    st.integers(1, FULL),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_any_chain_of_operations_is_right_or_refused(names, count, over_rows):
    """Never wrong: what cannot be done exactly is refused."""
    axis = 0 if over_rows else 1
    operations = {
        "sum": lambda v: v + v.sum(axis, keepdims=True),
        "mean": lambda v: v - v.mean(axis, keepdims=True),
        "max": lambda v: v - jnp.max(v, axis, keepdims=True),
        "softmax": lambda v: jax.nn.softmax(v, axis),
        "cumsum": lambda v: jnp.cumsum(v[::-1] if axis == 0 else v, axis),
        "tanh": jnp.tanh,
        "sort": lambda v: jnp.sort(v, axis),
        "flip": lambda v: jnp.flip(v, axis),
    }

    def chain(weights, batch):
        value = batch @ weights
        for name in names:
            value = operations[name](value)
        return {"mean": value.mean(), "gram": value.T @ value, "count": jnp.float32(value.shape[0])}

    rng = np.random.default_rng(1)
    weights, batch = rng.normal(size=(3, 4)).astype(np.float32), rng.normal(size=(FULL, 3)).astype(np.float32)
    try:
        short = trace(chain, weights, batch, FULL, short=True).short
    except NotRagged:
        assert over_rows, "nothing here works across rows"
        assert {"cumsum", "sort", "flip"} & set(names), "sums, means and maxima over rows are known"
        return
    filled = np.concatenate([batch[:count], np.repeat(batch[:1], FULL - count, 0)])
    assert largest_difference(short(weights, filled, count), chain(weights, batch[:count])) < 1e-5


@pytest.mark.parametrize(
    ("works_across_rows", "words"),
    [
        (lambda w, b: (b[::-1] * w * jnp.arange(len(b))[:, None]).sum(), "across rows"),
        (lambda w, b: b[3] * w, "across rows|constant"),
        (lambda w, b: ((b[:, None] - b[None]) ** 2).mean() * w, "constant"),
        (lambda w, b: jnp.linalg.svd(b * w)[1], "of which that is not known|rank|rows"),
        (lambda w, b: b * w, "returns rows"),
    ],
)
def test_what_works_across_rows_is_refused(works_across_rows, words):
    with pytest.raises(NotRagged, match=words):
        trace(works_across_rows, jnp.float32(2), np.ones((FULL, 3), np.float32), FULL, short=True)


def plain():
    model = keras.Sequential([keras.Input((6,)), L.Dense(8, "relu"), L.Dropout(0.2), L.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    return model


class Paired(L.Layer):
    """Its loss compares each row with each other one: no short batch is known to be exact."""

    def call(self, x):
        self.add_loss(0.1 * keras.ops.mean(keras.ops.square(x[:, None] - x[None])))
        return x


def paired():
    model = keras.Sequential([keras.Input((6,)), L.Dense(3), Paired(), L.Dense(1)])
    model.compile(keras.optimizers.SGD(0.05), "mse")
    return model


@pytest.mark.thorough
@pytest.mark.parametrize("build", [plain, paired], ids=["one program", "a program for each number of rows"])
def test_members_with_any_numbers_of_rows_equal_fit(build, binary_rows, seats_of):
    """Expanding windows: from less than a batch to several; watched and scored rows differ in number too."""
    x, y = binary_rows
    base = seats_of(100, 2, watch=20)[0]
    seats = [
        replace(
            base,
            fold=i,
            seed=i + 1,
            fit=np.arange(n, dtype=np.int32),
            watch=base.watch[: 3 + i],
            scored=base.scored[: 5 + 4 * i],
        )
        for i, n in enumerate((9, 16, 30, 45, 70))
    ]
    job = Job(build, x[None], y[None], None, seats, 16, 3, show=True)
    trained = train(job)
    assert trained.engine == "population"
    for member in range(len(seats)):
        assert_equals_fit(job, trained, member)
