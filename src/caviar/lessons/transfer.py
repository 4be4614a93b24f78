"""Transfer: do features that were learned on one task help another one that has few rows?"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler

from caviar.errors import OptionError
from caviar.evaluate.claims import above
from caviar.teaching.contract import Claim, Data, Lesson, Match, Shown, Split, Variant, Winner
from caviar.teaching.own_rows import changed
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
    return Data(
        "scikit-learn's digits, many of 0 to 4 and then five each of 5 to 9, three draws",
        x / 16.0,
        digit % CLASSES,
        draws(digit, np.arange(CLASSES), np.arange(CLASSES, 2 * CLASSES)),
        CLASSES,
        "scikit-learn's load_digits, pixels divided by 16",
    )


def draws(label: np.ndarray, first: np.ndarray, second: np.ndarray) -> list[Split]:
    """Of the first classes 70 % of the rows, of the second five each; the test rows are those that no draw took."""
    rng = np.random.default_rng(7)
    many = rng.permutation(np.flatnonzero(np.isin(label, first)))
    source, few = many[: round(0.7 * len(many))], pools(label, second, rng)
    test = np.setdiff1d(np.arange(len(label)), np.concatenate([source, few.ravel()]))
    return [(np.concatenate([source, pool]), test) for pool in few]


def pools(label: np.ndarray, some: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Numbers of rows (draw, row), five of each of some classes: no row twice."""
    rows = [rng.permutation(np.flatnonzero(label == one))[: DRAWS * FEW] for one in some]
    return np.concatenate([np.reshape(one, (DRAWS, FEW)) for one in rows], axis=1)


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


def network(n_outputs: int, *, frozen: bool) -> keras.Model:
    """Two layers of features, and a softmax over the classes."""
    model = keras.Sequential(
        [
            keras.layers.Dense(64, activation="relu", name="edges", trainable=not frozen),
            keras.layers.Dense(32, activation="relu", name="parts", trainable=not frozen),
            keras.layers.Dense(n_outputs, activation="softmax", name="digit"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def build(n_outputs: int = CLASSES) -> keras.Model:
    """A network that learns all of its layers."""
    return network(n_outputs, frozen=False)


def build_frozen(n_outputs: int = CLASSES) -> keras.Model:
    """A network that learns its last layer only."""
    return network(n_outputs, frozen=True)


FEATURES = ("edges", "parts")
MADE = "its tasks are drawn so that they share features"


def variants(
    first: Callable[[Data], np.ndarray], second: Callable[[Data], np.ndarray], named: str
) -> tuple[Variant, ...]:
    """The source of the features, and four ways to learn the other task.

    Args:
        first: Rows of the task that is learned first.
        second: Rows of the other.
        named: What the first one is.
    """
    few = Variant("scratch", "5 rows each, from first weights", build, 16, EPOCHS, rows=second)
    carried = replace(few, name="carried", title="5 rows each, features carried over", after="source")
    carried = replace(carried, carried=FEATURES)
    return (
        Variant("source", named, build, 16, EPOCHS, rows=first),
        few,
        carried,
        replace(carried, name="frozen", title=f"{carried.title} and kept", build=build_frozen),
        replace(few, name="drawn", title="5 rows each, features kept as they were drawn", build=build_frozen),
    )


def also(lab: Lab, _: Seen) -> dict[str, Any]:
    """The same where both tasks share their features by making: test accuracy (seed,)."""
    if lab.rows.is_own:
        return {}
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


def on_other_rows(lesson: Lesson, data: Data) -> tuple[Lesson, Data]:
    """The lesson on halves of another table's classes, the one with most rows first, which scales the inputs."""
    counts = np.bincount(data.y, minlength=data.classes)
    fewest = (DRAWS + 1) * FEW
    if len(counts) < 4 or counts.min() < fewest:
        raise OptionError(
            f"Expected four classes or more with {fewest} rows or more of each, because half of them are learned after "
            f"the others, got {len(counts)} with {counts.min()} or more. Leave rare classes out, or take another "
            f"lesson."
        )
    first, second = np.split(np.argsort(-counts, kind="stable"), [len(counts) // 2])
    splits = draws(data.y, first, second)
    train = splits[0][0]
    scale = StandardScaler().fit(data.x[train[np.isin(data.y[train], first)]])
    rows = replace(
        data,
        title=f"{data.title}, many of {len(first)} classes and then five of each of {len(second)} others, three draws",
        x=scale.transform(data.x),
        splits=splits,
    )
    five, better = (
        "With five rows of each digit 5 to 9, features of the digits 0 to 4",
        "make a better model.",
    )
    mine = "With five rows of each other class, features of the frequent classes"
    winner, *others = lesson.questions
    elsewhere = replace(
        lesson,
        why="The first layers of a network turn inputs into features, the last one features into classes. A softmax "
        f"model of your {len(first)} classes with most rows hands its first layers to one of the {len(second)} "
        "others, which has five rows of each. They are carried over seed by seed, and either train on or stay as "
        "they are; beside them the same networks begin with first weights. Layers that stay as they were drawn tell "
        "whether it is learning that helps, or having less to learn. Inputs are standardised by the rows of the "
        "first task.",
        variants=variants(
            lambda rows: np.isin(rows.y, first),
            lambda rows: np.isin(rows.y, second),
            "the classes with most rows",
        ),
        claims=changed(
            lesson.claims,
            {
                f"{five} that train on {better}": {"says": f"{mine} that train on {better}"},
                f"{five} that are kept {better}": {"says": f"{mine} that are kept {better}"},
                "It is what they learned that helps: kept features are better than features kept as drawn.": {
                    "about": "test accuracy, features learned on the frequent classes minus features as drawn"
                },
                "Features of other digits learn faster.": {"says": "Features of other classes learn faster."},
            },
        ),
        questions=(
            replace(winner, asks="Which one is most accurate on new rows, with five rows of each class?"),
            *others,
        ),
    )
    return elsewhere, rows


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
    variants=variants(low_digits, high_digits, "digits 0 to 4"),
    also=also,
    claims=(
        Claim(
            "Where two tasks share their features and rows are few, features carried over make a better model.",
            ["sm-tip5-transfer/0"],
            lambda seen: seen["gain 50"],
            above(0),
            "test accuracy of tasks that share features by making, 50 rows, carried over minus first weights",
            only_here=MADE,
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
            only_here=MADE,
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
    own_rows=on_other_rows,
)
"""The lesson."""
