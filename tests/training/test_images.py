"""Rows of more than one axis, such as images, reach a person's own builder in their own shape."""

import numpy as np
import pytest

import caviar
from caviar import keras_tuner
from caviar.errors import CaviarError
from caviar.population import devices

devices.start()
import keras  # noqa: E402 - only once JAX is its backend

L = keras.layers
RNG = np.random.default_rng(0)
Y = RNG.integers(0, 2, 80)
X = (0.3 * RNG.normal(size=(80, 6, 6)) + 0.0).astype("float32")
X[Y == 1, 2:4, :] += 1.0  # a bar across the middle


def image_model(hp):
    """As KerasTuner's guide builds one for 28 x 28 pixels."""
    model = keras.Sequential([keras.Input((6, 6, 1))])
    model.add(L.Conv2D(hp.Int("filters", 2, 4, step=2), 3, activation="relu"))
    model.add(L.Flatten())
    model.add(L.Dense(2, activation="softmax"))
    rate = hp.Float("lr", 1e-2, 1e-1, sampling="log")
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def flat_model(hp):
    """Declares no input, as the guide's first example: Flatten takes images without a channel."""
    model = keras.Sequential([L.Flatten(), L.Dense(2, activation="softmax")])
    model.compile(keras.optimizers.Adam(hp.Choice("lr", [1e-2, 3e-2])), "sparse_categorical_crossentropy")
    return model


@pytest.mark.thorough
def test_a_search_over_images_returns_models_of_images(tmp_path):
    tuner = keras_tuner.RandomSearch(image_model, "val_accuracy", 3, directory=tmp_path)
    images = X[..., None]
    tuner.search(images[:60], Y[:60], epochs=20, validation_data=(images[60:], Y[60:]), verbose=0)
    (model,) = tuner.get_best_models()
    assert model.input_shape == (None, 6, 6, 1)
    said = model.predict(images[60:], verbose=0).argmax(axis=1)
    assert np.mean(said == Y[60:]) > 0.9
    assert tuner._done().naive_score > 0.9


@pytest.mark.thorough
def test_rows_keep_their_order_of_numbers_and_predictions_take_images(tmp_path):
    found = caviar.tune(flat_model, X, Y, trials=2, epochs=15, folds=2, verbose=0, folder=tmp_path / "study")
    assert found.naive_score < 0.4
    finished = found.model()
    ours = finished.predict_features(X)
    theirs = finished.models[0].predict(X, verbose=0)
    np.testing.assert_allclose(ours, theirs / theirs.sum(axis=1, keepdims=True), atol=1e-6)
    assert np.mean(ours.argmax(axis=1) == Y) > 0.9


def test_what_is_measured_is_what_fit_gives_on_images(tmp_path):
    """The scored rows' loss, with the same first weights and the same order of rows, from Keras' own fit."""
    found = caviar.tune(
        image_fixed, X[..., None], Y, trials=1, epochs=3, batch_size=80, validation_split=0.25, verbose=0,
        folder=tmp_path / "study",
    )  # fmt: skip
    model = image_fixed(keras_tuner.HyperParameters())
    model.fit(X[:60, ..., None], Y[:60], epochs=3, batch_size=80, verbose=0)
    loss = model.evaluate(X[60:, ..., None], Y[60:], verbose=0)
    assert found.naive_score == pytest.approx(loss, abs=1e-4)


def image_fixed(hp):
    first = keras.initializers.GlorotUniform(seed=1)
    model = keras.Sequential([keras.Input((6, 6, 1)), L.Conv2D(2, 3, kernel_initializer=first), L.Flatten()])
    model.add(L.Dense(2, activation="softmax", kernel_initializer=first))
    model.compile(keras.optimizers.SGD(hp.Choice("lr", [0.1])), "sparse_categorical_crossentropy")
    return model


def test_a_model_for_another_shape_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(CaviarError, match=r"rows of shape \(6, 6\)") as told:
        caviar.tune(image_model, X, Y, trials=1, epochs=1, verbose=0, folder=tmp_path / "study")
    assert str(told.value).count(". ") == 1
