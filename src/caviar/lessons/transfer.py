"""Transfer: do features that were learned on one task help another one that has few rows?"""

from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.datasets import load_digits

from caviar.evaluate.claims import above
from caviar.teaching.contract import Claim, Data, Lesson, Match, Shown, Variant, Winner
from caviar.teaching.seen import Lab, Seen

CLASSES = 5
FEW = 5
DRAWS = 3
EPOCHS = 100


def digits(_: Path | None = None) -> Data:
    """Images of digits. The task is which of five: 0 to 4, or 5 to 9, so that both tasks have as many classes.

    Three draws: 70 % of the digits 0 to 4, the same ones each time, and five of each digit from 5 on, none twice.
    """
    x, digit = load_digits(return_X_y=True)
    rng = np.random.default_rng(7)
    low = rng.permutation(np.flatnonzero(digit < CLASSES))
    source, few = low[: round(0.7 * len(low))], pools(digit, rng)
    test = np.setdiff1d(np.arange(len(digit)), np.concatenate([source, few.ravel()]))
    return Data(
        "scikit-learn's digits, many of 0 to 4 and then five each of 5 to 9, three draws",
        x / 16.0,
        digit % CLASSES,
        [(np.concatenate([source, pool]), test) for pool in few],
        CLASSES,
        "scikit-learn's load_digits, pixels divided by 16",
    )


def pools(digit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Numbers of rows (draw, row), five of each digit from 5 on: no row twice."""
    rows = [rng.permutation(np.flatnonzero(digit == CLASSES + k))[: DRAWS * FEW] for k in range(CLASSES)]
    return np.concatenate([np.reshape(some, (DRAWS, FEW)) for some in rows], axis=1)


def low_digits(_: Data) -> np.ndarray:
    """Rows of digits 0 to 4."""
    return np.asarray(load_digits().target < CLASSES)


def high_digits(_: Data) -> np.ndarray:
    """Rows of digits 5 to 9."""
    return np.asarray(load_digits().target >= CLASSES)


def shared_features(rows: int, task: int) -> Data:
    """Two tasks that share features by making: five classes, each a sum of the same six bent sums of 16 inputs.

    Args:
        rows: How many are trained on; 1,500 others are tested on.
        task: Which of the two: 0 or 1.
    """
    rng = np.random.default_rng(15)
    x = rng.normal(size=(3000, 16))
    features = np.tanh(x @ rng.normal(size=(16, 6)))
    y = (features @ rng.normal(size=(2, 6, CLASSES))[task]).argmax(axis=1)
    train = np.arange(rows) if task == 0 else np.arange(1500 - rows, 1500)
    return Data(
        "five classes by six features", x, y, [(train, np.arange(1500, 3000))], CLASSES, "drawn with NumPy"
    )


def network(*, frozen: bool) -> keras.Model:
    """Two layers of features, and a softmax over five digits."""
    model = keras.Sequential(
        [
            keras.layers.Dense(64, activation="relu", name="edges", trainable=not frozen),
            keras.layers.Dense(32, activation="relu", name="parts", trainable=not frozen),
            keras.layers.Dense(CLASSES, activation="softmax", name="digit"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def build() -> keras.Model:
    """A network that learns all of its layers."""
    return network(frozen=False)


def build_frozen() -> keras.Model:
    """A network that learns its last layer only."""
    return network(frozen=True)


FEATURES = ("edges", "parts")


def also(lab: Lab, _: Seen) -> dict[str, Any]:
    """The same where both tasks share their features by making: test accuracy (seed,)."""
    source = lab.train(
        Variant("source", "the first task, 1,500 rows", build, 32, EPOCHS), data=shared_features(1500, 0)
    )
    found = {}
    for rows in (50, 1000):
        tried = lab.train(
            Variant("scratch", "from first weights", build, 16, EPOCHS),
            Variant(
                "carried",
                "features carried over",
                build,
                16,
                EPOCHS,
                after=source.trainings["source"],
                carried=FEATURES,
            ),
            data=shared_features(rows, 1),
        )
        found[f"gain {rows}"] = gain(tried, "carried", "scratch")
    return found


def gain(seen: Seen, with_them: str, without: str) -> np.ndarray:
    """Test accuracy with features carried over minus that without (seed,)."""
    return seen.accuracy(with_them) - seen.accuracy(without)


LESSON = Lesson(
    name="transfer",
    title="Transfer: features from another task",
    area="learning",
    covers=("sm-tip5-transfer",),
    why="The first layers of a network turn inputs into features, the last one features into classes. A softmax model "
    "of many digits 0 to 4 hands its first layers to one of the digits 5 to 9, which has five rows of each. They are "
    "carried over seed by seed, and either train on or stay as they are; beside them the same networks begin with "
    "first weights. Layers that stay as they were drawn tell whether it is learning that helps, or having less to "
    "learn. The source names no tasks, and tasks need not share features: the same is tried where both share them by "
    "making, with 50 rows and with 1,000.",
    data=digits,
    variants=(
        Variant("source", "digits 0 to 4", build, 16, EPOCHS, rows=low_digits),
        Variant("scratch", "5 rows each, from first weights", build, 16, EPOCHS, rows=high_digits),
        Variant(
            "carried",
            "5 rows each, features carried over",
            build,
            16,
            EPOCHS,
            rows=high_digits,
            after="source",
            carried=FEATURES,
        ),
        Variant(
            "frozen",
            "5 rows each, features carried over and kept",
            build_frozen,
            16,
            EPOCHS,
            rows=high_digits,
            after="source",
            carried=FEATURES,
        ),
        Variant(
            "drawn",
            "5 rows each, features kept as they were drawn",
            build_frozen,
            16,
            EPOCHS,
            rows=high_digits,
        ),
    ),
    also=also,
    claims=(
        Claim(
            "Where two tasks share their features and rows are few, features carried over make a better model.",
            ["sm-tip5-transfer/0"],
            lambda seen: seen["gain 50"],
            above(0),
            "test accuracy of tasks that share features by making, 50 rows, carried over minus first weights",
        ),
        Claim(
            "With five rows of each digit 5 to 9, features of the digits 0 to 4 that train on make a better model.",
            ["sm-tip5-transfer/0"],
            lambda seen: gain(seen, "carried", "scratch"),
            above(0),
            "test accuracy, features carried over minus first weights",
        ),
        Claim(
            "With five rows of each digit 5 to 9, features of the digits 0 to 4 that are kept make a better model.",
            ["sm-tip5-transfer/0"],
            lambda seen: gain(seen, "frozen", "scratch"),
            above(0),
            "test accuracy, features kept minus all layers from first weights",
        ),
        Claim(
            "It is what they learned that helps: kept features are better than features kept as drawn.",
            [],
            lambda seen: gain(seen, "frozen", "drawn"),
            above(0),
            "test accuracy, features learned on the other digits minus features as drawn",
            who="caviar",
        ),
        Claim(
            "The more rows a task has of its own, the less they help.",
            [],
            lambda seen: seen["gain 50"] - seen["gain 1000"],
            above(0),
            "gain of test accuracy where tasks share features, with 50 rows minus with 1,000",
            who="caviar",
        ),
        Claim(
            "Features of other digits learn faster.",
            [],
            lambda seen: (
                seen.epochs_to("scratch", "accuracy", 0.9) - seen.epochs_to("carried", "accuracy", 0.9)
            ),
            above(0),
            "epochs to 90 % training accuracy, from first weights minus with features carried over",
            who="caviar",
        ),
    ),
    questions=(
        Winner(
            "Which one is most accurate on new rows, with five rows of each digit?",
            lambda seen, name: seen.accuracy(name),
            ("scratch", "carried", "frozen", "drawn"),
        ),
        Match("val_loss", ("scratch", "carried", "frozen", "drawn")),
    ),
    shows=(
        Shown("test accuracy", lambda seen, name: seen.accuracy(name)),
        Shown("training accuracy", lambda seen, name: seen.accuracy(name, "train")),
    ),
    learned="Features of another task did not help here, not even where both tasks share them by making. Compare "
    "with the same network from first weights before you trust what was carried over.",
    own_rows="its two tasks are halves of the digits",
)
"""The lesson."""
