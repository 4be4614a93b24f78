"""The last layer and the loss decide how a target is encoded and what outputs mean."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from caviar.errors import ModelError
from caviar.recipe.heads import link_of, network_target, output_width, predictions

L = keras.layers
CODES2, CODES3 = np.array([0, 1, 1]), np.array([0, 2, 1])


def model(width, loss="mse", activation=None, inputs=2):
    net = keras.Sequential([keras.Input((inputs,)), L.Dense(width, activation)])
    net.compile("sgd", loss)
    return net


def renamed_sparse():
    return keras.losses.SparseCategoricalCrossentropy(name="own")


@pytest.mark.parametrize(
    ("net", "codes", "expected"),
    [
        (model(1, "binary_crossentropy", "sigmoid"), CODES2, [[0.0], [1.0], [1.0]]),
        (model(1, "hinge", "tanh"), CODES2, [[0.0], [1.0], [1.0]]),
        (model(1, "mse"), CODES2, [[0.0], [1.0], [1.0]]),
        (model(2, "sparse_categorical_crossentropy", "softmax"), CODES2, [0, 1, 1]),
        (model(2, "categorical_crossentropy", "softmax"), CODES2, [[1, 0], [0, 1], [0, 1]]),
        (model(3, "sparse_categorical_crossentropy", "softmax"), CODES3, [0, 2, 1]),
        (model(3, keras.losses.SparseCategoricalCrossentropy(from_logits=True)), CODES3, [0, 2, 1]),
        (model(3, renamed_sparse(), "softmax"), CODES3, [0, 2, 1]),
        (model(3, keras.losses.sparse_categorical_crossentropy, "softmax"), CODES3, [0, 2, 1]),
        (model(3, ["sparse_categorical_crossentropy"], "softmax"), CODES3, [0, 2, 1]),
        (model(3, "categorical_crossentropy", "softmax"), CODES3, [[1, 0, 0], [0, 0, 1], [0, 1, 0]]),
        (model(3, "categorical_hinge"), CODES3, [[1, 0, 0], [0, 0, 1], [0, 1, 0]]),
        (model(3, lambda y, p: keras.ops.mean((y - p) ** 2)), CODES3, [[1, 0, 0], [0, 0, 1], [0, 1, 0]]),
    ],
)
def test_classes_are_encoded_as_the_loss_takes_them(net, codes, expected):
    n_classes = codes.max() + 1
    encoded = network_target(net, codes, "binary" if n_classes == 2 else "multiclass", n_classes, 2)
    np.testing.assert_array_equal(encoded, expected)
    assert encoded.dtype in (np.float32, np.int32)


def test_numbers_stay_as_they_are_one_per_output():
    values = np.array([[1.5, 2.0], [3.0, 4.0]])
    encoded = network_target(model(2), values, "multi-output regression", 0, 2)
    np.testing.assert_array_equal(encoded, values)
    assert encoded.dtype == np.float32
    assert network_target(model(1), values[:, :1], "regression", 0, 2).shape == (2, 1)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.last = L.Dense(1)

    def call(self, x):
        return self.last(x)


def test_a_model_without_declared_inputs_tells_its_width_all_the_same():
    assert output_width(keras.Sequential([L.Dense(4), L.Dense(3)]), 7) == 3
    assert output_width(Subclassed(), 7) == 1


def two_outputs():
    x = keras.Input((2,))
    net = keras.Model(x, [L.Dense(1)(x), L.Dense(1)(x)])
    net.compile("sgd", ["mse", "mse"])
    return net


def no_loss():
    net = keras.Sequential([keras.Input((2,)), L.Dense(2)])
    net.compile("sgd")
    return net


def two_losses():
    net = keras.Sequential([keras.Input((2,)), L.Dense(2)])
    net.compile("sgd", ["mse", "mae"])
    return net


@pytest.mark.parametrize(
    ("net", "target", "task", "n_classes", "said"),
    [
        (model(1), CODES3, "multiclass", 3, "Expected 3 output"),
        (model(3), CODES2, "binary", 2, "1 .sigmoid. or 2 .softmax."),
        (model(2), np.ones((3, 1)), "regression", 0, "Expected 1 output"),
        (model(1), np.ones((3, 2)), "multi-output regression", 0, "Expected 2 output"),
        (model(1, inputs=5), CODES2, "binary", 2, "2 inputs"),
        (two_outputs(), np.ones((3, 1)), "regression", 0, "one output"),
        (no_loss(), CODES2, "binary", 2, "compiled with a loss"),
        (two_losses(), CODES2, "binary", 2, "one loss"),
        (model(2, "nonsense"), CODES2, "binary", 2, "'nonsense'"),
        (keras.Sequential([keras.Input((2,)), L.Reshape((2, 1))]), CODES2, "binary", 2, "one output"),
    ],
)
def test_what_does_not_match_is_one_sentence_of_advice(net, target, task, n_classes, said):
    with pytest.raises(ModelError, match=said) as error:
        network_target(net, target, task, n_classes, 2)
    assert str(error.value).startswith("Expected")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("net", "link"),
    [
        (model(1, "binary_crossentropy", "sigmoid"), "probability"),
        (model(1, keras.losses.BinaryCrossentropy(from_logits=True)), "sigmoid"),
        (model(2, keras.losses.BinaryCrossentropy(from_logits=True)), "sigmoid"),
        (model(2, keras.losses.SparseCategoricalCrossentropy(from_logits=True)), "softmax"),
        (model(2, keras.losses.CategoricalCrossentropy(from_logits=True)), "softmax"),
        (model(1, "hinge", "tanh"), "hinge"),
        (model(1, "squared_hinge", "tanh"), "hinge"),
        (model(2, "categorical_hinge"), "softmax"),
        (model(1, "mse"), "probability"),
    ],
)
def test_outputs_mean_what_the_loss_takes_them_for(net, link):
    width = output_width(net, 2)
    assert link_of(net, "binary", width) == link
    assert link_of(net, "regression", width) == "identity"


@pytest.mark.parametrize(
    ("link", "outputs", "expected"),
    [
        ("probability", [[0.3]], [[0.7, 0.3]]),
        ("probability", [[1.7]], [[0.0, 1.0]]),
        ("probability", [[0.2, 0.6]], [[0.25, 0.75]]),
        ("probability", [[0.0, 0.0]], [[0.5, 0.5]]),
        ("sigmoid", [[0.0]], [[0.5, 0.5]]),
        ("sigmoid", [[800.0]], [[0.0, 1.0]]),
        ("softmax", [[1000.0, 1000.0]], [[0.5, 0.5]]),
        ("hinge", [[-1.0]], [[1.0, 0.0]]),
        ("hinge", [[0.5]], [[0.25, 0.75]]),
        ("identity", [[-3.0, 8.0]], [[-3.0, 8.0]]),
    ],
)
def test_outputs_become_probabilities_or_stay_values(link, outputs, expected):
    np.testing.assert_allclose(predictions(np.array(outputs, np.float32), link), expected, atol=1e-7)


LINKS = st.sampled_from(["probability", "sigmoid", "softmax", "hinge"])
OUTPUTS = st.integers(1, 4).flatmap(lambda n: arrays(np.float32, (5, n), elements=st.floats(width=32)))


@given(link=LINKS, outputs=OUTPUTS)
def test_probabilities_add_up_to_one_and_failed_rows_stay_unknown(link, outputs):
    before = outputs.copy()
    said = predictions(outputs, link)
    sound = np.isfinite(outputs).all(axis=1)
    assert np.isnan(said[~sound]).all()
    assert (said[sound] >= 0).all()
    np.testing.assert_allclose(said[sound].sum(axis=1), 1)
    np.testing.assert_array_equal(outputs, before)
