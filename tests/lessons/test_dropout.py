"""What is left of a network if one of its units is taken away."""

import keras
import numpy as np

from caviar.lessons.dropout import build, without_one


def test_a_unit_that_is_taken_away_is_one_whose_weights_are_zero():
    keras.utils.set_random_seed(3)
    model, x = build(5, units=(4, 3)), np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
    weights = [20 * value for value in model.get_weights()]  # small first weights would all say the same
    model.set_weights(weights)
    for unit, said in enumerate(without_one(weights, x)):
        less = [value.copy() for value in weights]
        less[2][unit] = 0
        model.set_weights(less)
        np.testing.assert_array_equal(said, np.asarray(model(x))[:, 0] > 0.5)
