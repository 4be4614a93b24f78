"""A small table and a small network to nurse, and what Keras itself makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from caviar.population import devices

devices.start()

import keras  # noqa: E402

SEED = 3
ROWS = 120
FIT = 96  # a fifth of the rows is watched: the last ones


@dataclass(frozen=True)
class Stage:
    """What holds for some epochs of the reference."""

    epochs: int
    rate: float | None = None
    dropout: float | None = None
    decay: float | None = None
    batch_size: int = 32


def build() -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(8, "relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(1, "sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture(scope="session")
def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 5)).astype("float32")
    y = (x[:, 0] + x[:, 1] * x[:, 2] + rng.normal(0, 0.3, ROWS) > 0).astype("float32")
    return x, y


def keras_alone(x: np.ndarray, y: np.ndarray, stages: Sequence[Stage]) -> tuple[list[float], keras.Model]:
    """Keras' own `fit`, called again with other settings; the order of rows goes on as in a single `fit`."""
    keras.utils.set_random_seed(SEED)
    model = build()
    losses: list[float] = []
    for stage in stages:
        if stage.rate is not None:
            model.optimizer.learning_rate.assign(stage.rate)
        if stage.dropout is not None:
            model.layers[1].rate = stage.dropout
        if stage.decay is not None:
            model.optimizer.weight_decay = stage.decay
        model.train_function = None  # or it would keep the numbers it was compiled with
        if losses:
            np.random.seed(SEED)  # noqa: NPY002 - `fit` draws the order of its rows there
            for _ in range(1 + len(losses)):  # the first one fixes shapes
                np.random.permutation(len(x))  # noqa: NPY002
        fitted = model.fit(x, y, batch_size=stage.batch_size, epochs=stage.epochs, verbose=0)
        losses += fitted.history["loss"]
    return losses, model
