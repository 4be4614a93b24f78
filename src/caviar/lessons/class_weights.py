"""Class weights: do they even out how well classes are recognized, be they rare or often mistaken?"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from caviar.evaluate.claims import above
from caviar.teaching.contract import Claim, Data, Lesson, Shown, Variant, Winner
from caviar.teaching.rows import folds, holdout
from caviar.teaching.seen import Lab, Seen
from caviar.teaching.seen import classes as classes_of

CLASSES = 3
EPOCHS = 60
SHARES = (0.8, 0.14, 0.06)


def rare(_: Path | None = None) -> Data:
    """1,500 rows of three overlapping clouds, 80, 14 and 6 % of them."""
    rng = np.random.default_rng(4)
    y = np.repeat(np.arange(CLASSES), [round(1500 * share) for share in SHARES])
    x = clouds(y, np.array([1.0, 1.0, 1.0]), rng)
    return Data(
        "three overlapping clouds of 80, 14 and 6 % of the rows",
        x,
        y,
        holdout(y, 0.5, 1, stratify=True),
        CLASSES,
        "drawn with NumPy",
    )


def often_wrong() -> Data:
    """900 rows, a third of each class; the middle class lies wide across both others."""
    rng = np.random.default_rng(5)
    y = np.tile(np.arange(CLASSES), 300)
    x = clouds(y, np.array([0.7, 2.0, 0.7]), rng)
    return Data(
        "three clouds of as many rows each, the middle one wide",
        x,
        y,
        holdout(y, 0.5, 1, stratify=True),
        CLASSES,
        "drawn with NumPy",
    )


def clouds(y: np.ndarray, width: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows around three centres on a line, of these standard deviations."""
    centres = np.array([[-1.2, 0.0], [0.0, 0.6], [1.2, 0.0]])
    return np.asarray(centres[y] + width[y][:, None] * rng.normal(size=(len(y), 2)))


def build(n_outputs: int = CLASSES) -> keras.Model:
    """Scores from two dense layers."""
    model = keras.Sequential([keras.layers.Dense(16, activation="relu"), keras.layers.Dense(n_outputs)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    return model


Weights = Mapping[int, float]


def variant(name: str, title: str, weights: Weights | Callable[[Data], Weights] | None = None) -> Variant:
    """The same training with these weights of classes."""
    return Variant(name, title, build, batch_size=32, epochs=EPOCHS, class_weight=weights)


def balanced(data: Data, power: float = 1.0) -> dict[int, float]:
    """Weights in inverse proportion to the classes' shares of all rows, to a power."""
    return {k: float((data.classes * (data.y == k).mean()) ** -power) for k in range(data.classes)}


def recalls(outputs: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Share of each class's rows that are recognized (class,)."""
    return np.array([float((classes_of(outputs)[y == k] == k).mean()) for k in np.unique(y)])


def mistaken(outputs: np.ndarray, y: np.ndarray, of: int) -> float:
    """Share of a class's rows that are not recognized."""
    return 1 - float(recalls(outputs, y)[of])


def unevenness(outputs: np.ndarray, y: np.ndarray) -> float:
    """Recall of the best recognized class minus that of the worst."""
    found = recalls(outputs, y)
    return float(found.max() - found.min())


def spread(seen: Seen, name: str) -> np.ndarray:
    """Unevenness on test rows (seed,)."""
    return seen.per_member(name, unevenness)


def mean_recall(seen: Seen, name: str) -> np.ndarray:
    """Recall on test rows, averaged over classes (seed,)."""
    return seen.per_member(name, lambda outputs, y: float(recalls(outputs, y).mean()))


def by_errors(lab: Lab, data: Data) -> dict[int, float]:
    """Weights in proportion to how often each class is mistaken in five folds of the training rows, mean 1.

    Test rows have no part in it. No class weighs less than a fifth of the mean.
    """
    train = data.splits[0][0]
    inner = [(train[fit], train[held]) for fit, held in folds(data.y[train], 5, 0)]
    looked = lab.train(
        variant("looked", "in five folds"),
        data=Data(data.title, data.x, data.y, inner, data.classes),
    )
    wrong = np.array(
        [looked.per_member("looked", partial(mistaken, of=k)).mean() for k in range(data.classes)]
    )
    weights = np.maximum(wrong / wrong.mean(), 0.2)
    return {k: float(weight / weights.mean()) for k, weight in enumerate(weights)}


def also(lab: Lab, seen: Seen) -> dict[str, Any]:
    """Weights by errors, for rare classes and for one that is as frequent as others but often mistaken."""
    found: dict[str, Any] = {}
    tables = {"rare": seen.rows} if seen.rows.is_own else {"rare": seen.rows, "wide": often_wrong()}
    for name, data in tables.items():
        weights = by_errors(lab, data)
        tried = lab.train(
            variant("even", "all classes alike"),
            variant("errors", "by out-of-fold errors", weights),
            data=data,
        )
        found[f"weights {name}"] = np.array(list(weights.values()))
        for one in ("even", "errors"):
            found[f"{one} spread {name}"] = spread(tried, one)
            found[f"{one} accuracy {name}"] = tried.accuracy(one)
    return found


LESSON = Lesson(
    name="class-weights",
    title="Class weights for rare and for often mistaken classes",
    area="learning",
    covers=("sm-tip2-class-weight",),
    why="A loss averages over rows, so a class of few rows, or one that is hard to tell, has little say. A weight on "
    "its rows gives it more. Weights in inverse proportion to the classes' shares treat rare classes; the source "
    "speaks of classes that are often wrong, which need not be rare: their weights follow the errors in five folds of "
    "the training rows. Both are tried, on rare classes and on three equally frequent ones of which one lies across "
    "the others. The source names no data: these are ours.",
    data=rare,
    variants=(
        variant("even", "all rows alike"),
        variant("balanced", "classes count the same", balanced),
        variant("half-way", "square roots of those weights", partial(balanced, power=0.5)),
    ),
    also=also,
    claims=(
        Claim(
            "Where classes are rare, weights by their shares even recall out.",
            ["sm-tip2-class-weight/0"],
            lambda seen: spread(seen, "even") - spread(seen, "balanced"),
            above(0),
            "largest minus smallest recall on test rows, without weights minus with",
        ),
        Claim(
            "Where classes are rare, weights by out-of-fold errors even recall out.",
            ["sm-tip2-class-weight/0"],
            lambda seen: seen["even spread rare"] - seen["errors spread rare"],
            above(0),
            "largest minus smallest recall on test rows, without weights minus with",
        ),
        Claim(
            "Where a frequent class is often wrong, weights by out-of-fold errors even recall out.",
            ["sm-tip2-class-weight/0"],
            lambda seen: seen["even spread wide"] - seen["errors spread wide"],
            above(0),
            "largest minus smallest recall on test rows, without weights minus with",
            only_here="its three clouds are drawn so that the frequent class is often wrong",
        ),
        Claim(
            "Weights raise the recall averaged over classes.",
            [],
            lambda seen: mean_recall(seen, "balanced") - mean_recall(seen, "even"),
            above(0),
            "mean recall on test rows, with weights by shares minus without",
            who="caviar",
        ),
        Claim(
            "Frequent classes pay: the share of all rows that is right falls.",
            [],
            lambda seen: seen.accuracy("even") - seen.accuracy("balanced"),
            above(0),
            "test accuracy, without weights minus with weights by shares",
            who="caviar",
        ),
    ),
    questions=(
        Winner(
            "Which weights recognize the worst class best, compared with the best one?", spread, highest=False
        ),
        Winner("And which ones get the most rows right?", lambda seen, name: seen.accuracy(name)),
    ),
    shows=(
        Shown("test accuracy", lambda seen, name: seen.accuracy(name)),
        Shown("mean recall", mean_recall),
        Shown("recall, best minus worst class", spread),
    ),
    learned="Decide what counts before weighing, all rows alike or all classes alike: weights by shares raised the "
    "mean recall and lowered the share of all rows that is right. Weights by shares and by out-of-fold errors both "
    "evened recall out.",
)
"""The lesson."""
