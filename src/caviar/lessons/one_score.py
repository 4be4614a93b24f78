"""One score: what if every technique gives the same poor one?"""

from dataclasses import replace
from functools import partial
from math import comb
from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from caviar.errors import OptionError
from caviar.evaluate.claims import above, below
from caviar.teaching.contract import Choice, Claim, Data, Lesson, Match, Shown, Untold, Variant, Winner
from caviar.teaching.rows import first_rows
from caviar.teaching.seen import Seen

SIZE, EPOCHS = 250, 20
UPDATES = 32
"""Of an epoch: 8,000 training rows in batches of 250."""

MOST = 2000
"""Inputs and products of inputs that a network is given: those of 22 inputs and all threes of them fit."""

PLATEAU = keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.1, patience=3)
STOP = keras.callbacks.EarlyStopping("val_loss", patience=3)
TECHNIQUES = ("base", "batch", "schedule", "normalized", "price", "noise", "stop")


def build(n_inputs: int = 9, *, normalized: bool = False, l2: float = 0.0, noise: float = 0.0) -> keras.Model:
    """One hidden layer, with one of the course's techniques or none."""
    price = keras.regularizers.L2(l2)
    layers: list[keras.layers.Layer] = [
        keras.Input((n_inputs,)),
        keras.layers.Dense(20, activation="relu", kernel_regularizer=price),
    ]
    if normalized:
        layers.append(keras.layers.BatchNormalization())
    if noise:
        layers.append(keras.layers.GaussianNoise(noise))
    layers.append(keras.layers.Dense(1, activation="sigmoid"))
    model = keras.Sequential(layers)
    optimizer = keras.optimizers.SGD(learning_rate=0.01, momentum=0.9)
    model.compile(optimizer, loss="binary_crossentropy", metrics=["accuracy"])
    return model


def products(degree: int = 3) -> Any:  # noqa: ANN401
    """Products of two and of three inputs, or of as many as told, as further inputs, all standardized."""
    several = PolynomialFeatures(degree, interaction_only=True, include_bias=False)
    return make_pipeline(several, StandardScaler())


def own_products(degree: int) -> Any:  # noqa: ANN401
    """The same of inputs of any scale."""
    return make_pipeline(StandardScaler(), products(degree))


def hidden_products(_: Path | None) -> Data:
    """Rows whose class hangs a little on single inputs, and much more on products of three of them."""
    rng = np.random.default_rng(12_000)
    x = rng.normal(size=(12_000, 9))
    alone = (x[:, 0] - x[:, 3] + x[:, 6]) / np.sqrt(3)
    together = (
        x[:, 0] * x[:, 1] * x[:, 2] + x[:, 3] * x[:, 4] * x[:, 5] + x[:, 6] * x[:, 7] * x[:, 8]
    ) / np.sqrt(3)
    chance = rng.normal(size=len(x))
    y = (0.34 * alone + 0.67 * together + 0.66 * chance > 0).astype(int)
    return Data(
        "12,000 rows of nine inputs, 8,000 to train on",
        x.astype(np.float32),
        y,
        first_rows(12_000, 8000),
        origin="drawn for this lesson: the reader's rows are not available",
    )


def scores(seen: Seen) -> np.ndarray:
    """Test accuracy of every technique (technique, seed)."""
    return np.array([seen.accuracy(name) for name in TECHNIQUES])


def variants(size: int = SIZE) -> tuple[Variant, ...]:
    """The base network with batches of a size, with a technique each, and with other inputs."""
    fifth = size // 5
    return (
        Variant("base", f"batches of {size:,}", build, size, EPOCHS),
        Variant("batch", f"batches of {fifth:,}", build, fifth, EPOCHS),
        Variant("schedule", "the rate falls on a plateau", build, size, EPOCHS, (PLATEAU,)),
        Variant("normalized", "batch normalization", partial(build, normalized=True), size, EPOCHS),
        Variant("price", "L2 of 0.01", partial(build, l2=0.01), size, EPOCHS),
        Variant("noise", "noise after the hidden layer", partial(build, noise=0.1), size, EPOCHS),
        Variant("stop", "early stopping", build, size, EPOCHS, (STOP,)),
        Variant("products", "products of inputs as inputs", build, size, EPOCHS, prepare=products),
    )


def columns(inputs: int, degree: int) -> int:
    """How many inputs there are with products of at most so many of them.

    >>> columns(9, 3)
    129
    """
    return sum(comb(inputs, k) for k in range(1, degree + 1))


def on_other_rows(lesson: Lesson, data: Data) -> tuple[Lesson, Data]:
    """The lesson with as many updates an epoch, on standardised inputs, and with products of two if three are many."""
    inputs = data.x.shape[1]
    degree = next((degree for degree in (3, 2) if columns(inputs, degree) <= MOST), 0)
    if not degree or inputs == 1:
        raise OptionError(
            f"Expected a table of 2 to 62 inputs, because products of them are tried, got {inputs:,}. Leave some out "
            f"with --drop, or take another lesson."
        )
    size = max(5, round(len(data.splits[0][0]) / UPDATES))
    *techniques, other = variants(size)
    several = "two" if degree == 2 or inputs == 2 else "two and of three"
    elsewhere = replace(
        lesson,
        why="When lesson after lesson ends with the same score, the limit may lie in what the network is given. "
        "Batches, rate, normalization, weights, noise and stopping are tried on one base network and your rows; then "
        f"the inputs are changed instead: products of {several} of your columns become inputs. Batches are as large "
        "as makes about 32 updates an epoch, as in the lesson, and inputs are standardised.",
        variants=(
            *(replace(one, prepare=StandardScaler) for one in techniques),
            replace(
                other, title=f"products of {several} inputs as inputs", prepare=partial(own_products, degree)
            ),
        ),
    )
    return elsewhere, data


LESSON = Lesson(
    name="no-technique-helps",
    title="When no technique helps",
    area="practice",
    covers=("mc-reader-table-12000",),
    why="A reader went through the whole course with 12,000 rows of nine columns, and every lesson ended with a "
    "test accuracy between 0.600 and 0.622. The rows are not available. These are drawn such that single columns "
    "say little and products of three of them say much, which a small network does not find in the time it has. "
    "Batches, rate, normalization, weights, noise and stopping are tried on one base network, whose size and epochs "
    "are ours, as the reader named none; then the inputs are changed instead.",
    data=hidden_products,
    variants=variants(),
    claims=(
        Claim(
            "All techniques give about the same score.",
            ["mc-reader-table-12000/0"],
            lambda seen: np.ptp(scores(seen), axis=0),
            below(0.03),
            "highest minus lowest test accuracy over seven techniques; the reader's six lie 0.022 apart",
        ),
        Claim(
            "It is a poor one.",
            ["mc-reader-table-12000/0"],
            lambda seen: scores(seen).max(axis=0),
            below(0.65),
            "highest test accuracy over seven techniques",
            only_here="0.65 is little where both classes are equally frequent",
        ),
        Claim(
            "Another transform of the data gives more than the best technique.",
            ["mc-reader-table-12000/0"],
            lambda seen: seen.accuracy("products") - scores(seen).max(axis=0),
            above(0),
            "test accuracy with products of inputs minus the highest one over seven techniques",
        ),
    ),
    untold=(
        Untold(
            "mc-reader-table-12000",
            "The reader's scores are of rows that are not available, so that no number of ours is the same quantity.",
        ),
    ),
    questions=(
        Winner("Which of these is most accurate on test rows?", lambda seen, name: seen.accuracy(name)),
        Match("val_loss", ("base", "normalized", "products")),
        Choice(
            "Seven techniques, one poor score. What next?",
            ("an eighth technique", "other inputs or another kind of model", "more seeds"),
            (1,),
            "What all of them share is what they are given: what the inputs do not show plainly, no technique "
            "brings out.",
        ),
    ),
    shows=(
        Shown("training accuracy", lambda seen, name: seen.accuracy(name, "train")),
        Shown("test accuracy", lambda seen, name: seen.accuracy(name)),
    ),
    learned="Equal scores from unlike techniques are a finding: the limit lies in what the network is given, or in "
    "its kind. Whoever knows the columns can say what belongs together; a product, a ratio or a difference is soon "
    "tried.",
    own_rows=on_other_rows,
)
