"""The network that Caviar builds for a table when nobody brings one, and how long it trains."""

import math
from dataclasses import dataclass

import keras

from caviar.data.prepare import PreparationPlan
from caviar.recipe.builder import Builder
from caviar.recipe.recipe import Recipe


@dataclass(frozen=True)
class Training:
    """Batch size and epochs."""

    batch_size: int
    epochs: int


def usual_training(rows: int, *, updates: int = 4000) -> Training:
    """Sensible batch size and epochs for a table of so many rows.

    Small batches for small tables; about `updates` gradient steps, within 20 to 150 epochs.

    >>> usual_training(500)
    Training(batch_size=32, epochs=150)
    >>> usual_training(70_000)
    Training(batch_size=256, epochs=20)
    """
    batch = 32 if rows < 3_000 else 64 if rows < 10_000 else 128 if rows < 30_000 else 256
    batch = 512 if rows >= 300_000 else batch
    epochs = round(updates / max(1, math.ceil(rows / batch)))
    return Training(batch, min(150, max(20, epochs)))


def table_builder(task: str, *, units: int = 64, absolute: bool = True) -> Builder:
    """A builder of two hidden ReLU layers with Adam: plain on purpose, so that remedies can be seen to work.

    Args:
        task: Decides the last layer and the loss.
        units: Width of the hidden layers.
        absolute: For regression: mean absolute error as the loss, else squared.
    """
    heads = {
        "binary": ("sigmoid", "binary_crossentropy", ["accuracy"]),
        "multiclass": ("softmax", "sparse_categorical_crossentropy", ["accuracy"]),
    }
    squared = (None, "mean_squared_error", ["mean_absolute_error"])
    absolute_head = (None, "mean_absolute_error", ["mean_squared_error"])
    activation, loss, metrics = heads.get(task, absolute_head if absolute else squared)

    def build(n_inputs: int, n_outputs: int) -> keras.Model:
        layers = keras.layers
        model = keras.Sequential(
            [
                keras.Input((n_inputs,)),
                layers.Dense(units, activation="relu", kernel_initializer="he_normal"),
                layers.Dense(units, activation="relu", kernel_initializer="he_normal"),
                layers.Dense(n_outputs, activation=activation),
            ]
        )
        model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss, metrics=list(metrics))
        return model

    return build


def table_recipe(task: str, rows: int, *, absolute: bool = True) -> Recipe:
    """The default recipe: the table network, robust scaling, a standardised target for regression."""
    training = usual_training(rows)
    return Recipe(
        name="baseline",
        title="Table network",
        builder=table_builder(task, absolute=absolute),
        batch_size=training.batch_size,
        epochs=training.epochs,
        preparation=PreparationPlan(scaling="robust", scale_target="regression" in task),
    )
