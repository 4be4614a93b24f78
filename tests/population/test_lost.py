"""Members that diverged leave the devices, and their history is still that of `fit`, callbacks included."""

import numpy as np
import pytest

import caviar
from caviar.population import chunk, devices, lost, stream

devices.start()
import keras  # noqa: E402 - only once JAX is its backend

L = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(48, 4)).astype(np.float32)
Y = np.eye(2, dtype=np.float32)[(X[:, 0] + 0.5 * RNG.normal(size=48) > 0).astype(int)]


def build(rate=0.02):
    """Squared errors of unbounded outputs diverge; accuracy stays a number then, the same for all time."""
    model = keras.Sequential([keras.Input((4,)), L.Dense(6, "relu"), L.Dense(2)])
    model.compile(keras.optimizers.SGD(rate), "mse", metrics=["categorical_accuracy"])
    return model


def trained(**arguments):
    return caviar.fit(
        *(build, X, Y),
        **{
            "seeds": 2,
            "recipes": {"calm": {}, "wild": {"rate": 1e6}},
            "epochs": 35,
            "batch_size": 16,
            "verbose": 0,
        }
        | arguments,
    )


@pytest.fixture
def left(monkeypatch):
    """Places of the members that left, look by look."""
    places, leave = [], lost.leave

    def seen(at, some, *rest):
        places.append(some.tolist())
        leave(at, some, *rest)

    monkeypatch.setattr(lost, "leave", seen)
    for module in (chunk, stream):
        monkeypatch.setattr(module, "_WORTH_COMPILING", 0.0)
    return places


CALLBACKS = {
    "none": [],
    "a schedule": [keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9 if epoch else rate)],
    "a plateau": [keras.callbacks.ReduceLROnPlateau(monitor="val_loss", patience=4, min_delta=1e-3)],
    "a stop": [
        keras.callbacks.EarlyStopping(
            monitor="val_categorical_accuracy", mode="max", patience=18, restore_best_weights=True
        )
    ],
}


@pytest.mark.thorough
@pytest.mark.parametrize("callbacks", CALLBACKS.values(), ids=CALLBACKS)
def test_what_they_would_have_said_is_in_the_history(callbacks, left):
    """A loop of `fit` says the same, to the epoch; those that go on are not touched."""
    ours = trained(callbacks=callbacks, validation_split=0.25)
    assert sum(map(len, left)) == 2
    loop = trained(callbacks=callbacks, validation_split=0.25, engine="loop")
    for name, values in loop.history.items():
        np.testing.assert_allclose(ours.history[name], values, atol=1e-5, rtol=1e-5, err_msg=name)
    assert np.isfinite(ours.history["loss"][:2, 9]).all()
    assert np.isnan(ours.history["loss"][2:, 20:]).all()
    for mine, theirs in zip(ours.members[:2], loop.members[:2], strict=True):
        np.testing.assert_allclose(
            *(m.model().predict(X, verbose=0) for m in (mine, theirs)), atol=1e-4, rtol=1e-4
        )
    assert np.isnan(ours.members[2].model().get_weights()[-1]).all() or callbacks is CALLBACKS["a stop"]


def test_rows_watched_now_and_then_are_known_now_and_then(left):
    ours = trained(validation_split=0.25, validation_freq=3)
    loop = trained(validation_split=0.25, validation_freq=3, engine="loop")
    assert [2, 3] in left
    watched = ours.history["val_categorical_accuracy"]
    np.testing.assert_allclose(watched, loop.history["val_categorical_accuracy"], atol=1e-5)
    assert np.isnan(watched[3, 30])
    assert np.isfinite(watched[3, 32])


def test_where_all_diverged_nothing_is_trained_any_more(left):
    ours = trained(recipes={"wild": {"rate": 1e6}})
    assert left == [[0, 1]]
    assert ours.history["loss"].shape == (2, 35)
    assert np.isnan(ours.history["loss"][:, -1]).all()


def test_a_member_that_says_something_new_stays(left):
    """A loss that is not a number where the weights still are, as with rows that have no value: `fit` may recover."""
    y = Y.copy()
    y[0] = np.nan

    def sound():
        model = build()
        model.compile("sgd", BatchOfNaN(), metrics=["categorical_accuracy"])
        return model

    history = caviar.fit(sound, X, y, seeds=2, epochs=25, batch_size=48, verbose=0)
    assert np.isnan(history.history["loss"]).all()
    assert left == []
    assert np.isfinite(history.members[0].model().get_weights()[0]).all()


@keras.saving.register_keras_serializable("caviar_tests")
class BatchOfNaN(keras.losses.Loss):
    """Says NaN, and has the gradient of something else."""

    def call(self, y_true, y_pred):
        known = keras.ops.where(keras.ops.isnan(y_true), 0.0, y_true)
        error = keras.ops.mean((known - y_pred) ** 2, axis=-1)
        return error + keras.ops.stop_gradient(keras.ops.mean(y_true))


def test_blocks_let_them_go_as_well(left, monkeypatch):
    arguments = {"block_rows": 16, "epochs": 12, "batch_size": 8}
    ours = trained(**arguments)
    assert [2, 3] in left
    monkeypatch.setattr(lost, "diverged", lambda *given: np.zeros(len(given[1]), bool))
    all_stay = trained(**arguments)
    for name, values in all_stay.history.items():
        np.testing.assert_allclose(ours.history[name], values, atol=1e-6, err_msg=name)
