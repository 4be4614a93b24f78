"""Variants whose seeds have numbers or first weights of their own train as Keras would train each of them."""

import keras
import numpy as np
import pytest

from caviar.errors import CaviarError
from caviar.population.job import Monitor
from caviar.teaching.contract import Data, Variant
from caviar.teaching.taught import train_variants

RNG = np.random.default_rng(0)
ROWS = Data("noise", RNG.normal(size=(60, 2)), RNG.integers(0, 2, 60), [(np.arange(40), np.arange(40, 60))])


def build() -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(4, activation="tanh", name="features"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1, momentum=0.5), "binary_crossentropy")
    return model


def test_numbers_of_a_seed_give_what_a_builder_with_them_gives():
    def slower() -> keras.Model:
        model = build()
        model.optimizer.learning_rate = 0.01
        return model

    key = "optimizer.learning_rate"
    own = Variant("own", "own", build, 40, 5, seeds=(3, 3), numbers={key: (0.1, 0.01)})
    trained = train_variants(
        [own, Variant("fast", "fast", build, 40, 5), Variant("slow", "slow", slower, 40, 5)],
        ROWS,
        (3,),
        Monitor(),
    )
    for place, name in enumerate(("fast", "slow")):
        np.testing.assert_allclose(
            trained["own"].outputs["test"][place][0], trained[name].outputs["test"][0][0], atol=1e-6
        )
    assert not trained["own"].alone
    assert np.abs(trained["fast"].logs["loss"] - trained["slow"].logs["loss"]).max() > 1e-3


def test_going_on_is_as_if_training_had_not_stopped():
    whole = Variant("whole", "whole", build, 40, 6)
    half = Variant("half", "half", build, 40, 3)
    rest = Variant("rest", "rest", build, 40, 3, after="half")
    trained = train_variants([rest, whole, half], ROWS, (1, 2), Monitor())
    np.testing.assert_allclose(
        trained["rest"].logs["loss"], trained["whole"].logs["loss"][..., 3:], atol=1e-6
    )
    assert not trained["rest"].alone


def test_carried_layers_keep_the_weights_of_the_same_seed():
    source = Variant("source", "source", build, 40, 5)

    def frozen() -> keras.Model:
        model = build()
        model.get_layer("features").trainable = False
        model.compile(keras.optimizers.SGD(0.1), "binary_crossentropy")
        return model

    carried = Variant("carried", "carried", frozen, 40, 5, after="source", carried=("features",))
    trained = train_variants([source, carried], ROWS, (1, 2), Monitor())
    for seed in range(2):
        old, new = (trained[name].members[seed][0].model() for name in ("source", "carried"))
        np.testing.assert_array_equal(
            old.get_layer("features").get_weights()[0], new.get_layer("features").get_weights()[0]
        )
        assert np.abs(old.layers[-1].get_weights()[0] - new.layers[-1].get_weights()[0]).max() > 1e-3


def test_a_variant_after_one_that_is_not_there_is_refused():
    with pytest.raises(CaviarError, match="go on from ones trained with them, got nowhere"):
        train_variants([Variant("a", "a", build, after="nowhere")], ROWS, (1,), Monitor())


def test_a_number_that_the_network_does_not_have_is_refused():
    own = Variant("own", "own", build, 40, 5, numbers={"layers[7].rate": (0.1,)})
    with pytest.raises(CaviarError, match=r"Expected numbers that members of one program can have"):
        train_variants([own], ROWS, (1,), Monitor())
