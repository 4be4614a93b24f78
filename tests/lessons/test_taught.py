"""How a lesson's variants are trained: together wherever they differ in numbers only."""

from functools import partial

import keras
import numpy as np
from sklearn.preprocessing import PolynomialFeatures

from caviar.population import together
from caviar.population.job import Monitor
from caviar.teaching.contract import Variant
from caviar.teaching.rows import circles
from caviar.teaching.taught import train_variants


def build(n_inputs: int, rate: float = 0.01) -> keras.Model:
    model = keras.Sequential([keras.Input((n_inputs,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile(keras.optimizers.SGD(rate), loss="binary_crossentropy")
    return model


def test_variants_that_differ_only_in_numbers_are_one_population(monkeypatch):
    populations = []

    def counted(job, *args, **named):
        populations.append(len(job.seats))
        return train(job, *args, **named)

    train = together.train
    monkeypatch.setattr(together, "train", counted)
    variants = [Variant(str(rate), "", partial(build, rate=rate), epochs=2) for rate in (0.01, 0.1, 0.2)]
    train_variants(variants, circles(40, train=20)(None), (1, 2), Monitor())
    assert populations == [6]


def test_a_network_is_as_wide_as_the_inputs_that_preparation_makes():
    data = circles(40, train=20)(None)
    wide = Variant("wide", "", build, epochs=1, prepare=PolynomialFeatures)
    member = train_variants([wide], data, (1,), Monitor())["wide"].members[0][0]
    assert [value.shape for value in member.weights()] == [(6, 1), (1,)]
    np.testing.assert_array_equal(member.weights()[0], np.asarray(member.model().layers[0].kernel))
