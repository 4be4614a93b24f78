"""One Keras model says the mean of what several networks say, whatever their outputs are."""

import keras
import numpy as np
import pytest

from caviar.recipe.heads import predictions
from caviar.recipe.snapshots import mean_network, mean_outputs

L = keras.layers
X = np.random.default_rng(0).normal(0, 3, (9, 4)).astype(np.float32)


def network(width: int, activation: str | None) -> keras.Model:
    first = keras.initializers.RandomNormal(stddev=2.0)
    return keras.Sequential([keras.Input((4,)), L.Dense(width, activation, kernel_initializer=first)])


@pytest.mark.parametrize(
    ("link", "width", "activation"),
    [
        ("identity", 2, None),
        ("probability", 1, "sigmoid"),
        ("probability", 3, "softmax"),
        ("sigmoid", 1, None),
        ("softmax", 3, None),
        ("hinge", 1, "tanh"),
    ],
)
def test_the_mean_network_predicts_the_mean_of_predictions(link, width, activation, tmp_path):
    networks = [network(width, activation) for _ in range(3)]
    each = [one.predict(X, verbose=0) for one in networks]
    expected = np.mean([predictions(outputs, link) for outputs in each], axis=0)
    assert np.abs(expected - predictions(each[0], link)).max() > 0.05
    model = mean_network(networks, link, X[:2])
    np.testing.assert_allclose(predictions(model.predict(X, verbose=0), link), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(predictions(mean_outputs(each, link), link), expected, rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))


@pytest.mark.parametrize("link", ["sigmoid", "softmax"])
def test_logits_of_networks_that_are_sure_stay_finite(link):
    outputs = [np.array([[200.0, -200.0]], np.float32), np.array([[300.0, -300.0]], np.float32)]
    said = mean_outputs(outputs, link)
    assert np.isfinite(said).all()
    assert said[0, 0] - said[0, 1] > 100


@keras.saving.register_keras_serializable(package="tests")
class Subclassed(keras.Model):
    """Only its own code knows the shape of its inputs."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.last = L.Dense(1)

    def call(self, x):
        return self.last(x)


def looking_up() -> keras.Model:
    x = keras.Input((4,), dtype="int32")
    return keras.Model(x, L.Dense(1)(L.Flatten()(L.Embedding(5, 2, embeddings_initializer="normal")(x))))


@pytest.mark.parametrize("build", [Subclassed, looking_up])
def test_networks_of_any_kind_have_a_mean(build, tmp_path):
    x = np.abs(X.round()).clip(0, 4)
    networks = [build() for _ in range(2)]
    expected = np.mean([np.asarray(one(x)) for one in networks], axis=0)
    model = mean_network(networks, "identity", x[:2])
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(loaded.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)


def test_one_network_stays_itself():
    alone = network(1, None)
    assert mean_network([alone], "identity", X[:2]) is alone
