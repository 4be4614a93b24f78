"""What is searched for a table when nobody brings a builder: the settings that matter most, the most important first.

The order is that of their measured importance on nine tables (benchmarks/ready_space.py, docs/tuning.md): the learning
rate before all others, whose own order is uncertain.
"""

from typing import Any

import keras

from caviar.recipe.hyperparameters import HyperParameters
from caviar.recipe.recipe import Recipe
from caviar.recipe.settled import Searched

INITIALIZERS = ("he_normal", "glorot_uniform", "lecun_normal")
OPTIMIZERS = ("adam", "rmsprop", "sgd")
MOMENTUM = 0.9
"""Of SGD."""
RATES = (1e-5, 1e-1)
"""Lowest and highest learning rate, where nobody tested which suit the table."""
OWN_RATE = 1e-3
"""Of the table network: Adam's own."""


def searched_table(base: Recipe, *, absolute: bool, rates: tuple[float, float] = RATES) -> Searched:
    """The table network with open ends: rate, depth, penalty, width, batch size, decay, initializer and optimizer.

    Its defaults are the table network as it is; where its rate is not among those searched, the nearest one.

    Args:
        base: That network's recipe.
        absolute: For regression: mean absolute error as the loss, else squared.
        rates: Lowest and highest learning rate.
    """
    heads = {
        "binary": ("sigmoid", "binary_crossentropy"),
        "multiclass": ("softmax", "sparse_categorical_crossentropy"),
    }
    loss = "mean_absolute_error" if absolute else "mean_squared_error"
    activation, loss = heads.get(base.task, (None, loss))

    def build(hp: HyperParameters, n_inputs: int, n_outputs: int) -> keras.Model:
        own = min(max(OWN_RATE, rates[0]), rates[1])
        rate = hp.Float("learning_rate", *rates, sampling="log", default=own)
        depth = hp.Int("depth", 1, 4, default=2)
        kind = hp.Choice("penalty", ["none", "l2", "l1", "dropout"])
        strength = hp.Float(
            "penalty_strength", 1e-6, 1e-1, sampling="log", parent_name="penalty", parent_values=["l2", "l1"]
        )
        share = hp.Float("dropout", 0.05, 0.6, default=0.2, parent_name="penalty", parent_values=["dropout"])
        width = hp.Int("width", 8, 256, step=2, sampling="log", default=64)
        hp.Choice("batch_size", _batch_sizes(base.batch_size), default=base.batch_size)
        _kept(hp)
        first = hp.Choice("initializer", INITIALIZERS)
        optimizer = _optimizer(hp.Choice("optimizer", OPTIMIZERS), rate)
        penalty = {"l1": keras.regularizers.L1, "l2": keras.regularizers.L2}.get(kind)
        layers: list[Any] = [keras.Input((n_inputs,))]
        for _ in range(depth):
            layers.append(
                keras.layers.Dense(
                    width,
                    "relu",
                    kernel_initializer=first,
                    kernel_regularizer=None if penalty is None else penalty(strength),
                )
            )
            if kind == "dropout":
                layers.append(keras.layers.Dropout(share))
        model = keras.Sequential([*layers, keras.layers.Dense(n_outputs, activation=activation)])
        model.compile(optimizer, loss)
        return model

    return Searched(
        build, _chosen("batch_size", _batch_sizes(base.batch_size), base.batch_size), base.epochs, _decay
    )


def _batch_sizes(own: int) -> list[int]:
    return sorted({16, 32, 64, 128, own})


def _chosen(name: str, values: list[int], default: int) -> Any:  # noqa: ANN401 - a function of hp
    return lambda hp: hp.Choice(name, values, default=default)


def _optimizer(name: str, rate: float) -> keras.optimizers.Optimizer:
    if name == "sgd":
        return keras.optimizers.SGD(rate, momentum=MOMENTUM)
    return {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}[name](rate)


def _kept(hp: HyperParameters) -> float:
    """What is left of the rate after each epoch."""
    kept: float = hp.Choice("decay", [1.0, 0.99, 0.97, 0.9])
    return kept


def _decay(hp: HyperParameters) -> list[keras.callbacks.Callback]:
    kept = _kept(hp)
    if kept == 1.0:
        return []
    return [
        keras.callbacks.LearningRateScheduler(
            lambda epoch, rate: float(rate) * kept if epoch else float(rate)
        )
    ]
