"""Ensembles: does an average of several models predict better than the best of them?"""

from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from caviar.evaluate.claims import above
from caviar.teaching.contract import Choice, Claim, Data, Lesson, Shown, Variant
from caviar.teaching.rows import folds
from caviar.teaching.seen import Lab, Seen, pairs

CLASSES = 3
FOLDS = 5
TOGETHER = 5


def rows(_: Path | None = None) -> Data:
    """600 rows of three classes in several clumps each, a tenth of them mislabelled, in five folds."""
    x, y = make_classification(
        600, 12, n_informative=6, n_redundant=2, n_classes=CLASSES, flip_y=0.1, random_state=6
    )
    return Data(
        "three classes of several clumps each, five folds",
        x,
        y,
        folds(y, FOLDS, 1),
        CLASSES,
        "scikit-learn's make_classification(n_informative=6, flip_y=0.1, random_state=6)",
    )


def regression(n_outputs: int = CLASSES) -> keras.Model:
    """Softmax regression: probabilities from linear scores."""
    return compiled(keras.Sequential([keras.layers.Dense(n_outputs, activation="softmax")]))


def network(n_outputs: int = CLASSES) -> keras.Model:
    """Probabilities from two dense layers."""
    hidden = keras.layers.Dense(64, activation="relu")
    return compiled(keras.Sequential([hidden, keras.layers.Dense(n_outputs, activation="softmax")]))


def compiled(model: keras.Model) -> keras.Model:
    """With Adam and cross-entropy."""
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def others(seed: int) -> dict[str, ClassifierMixin]:
    """Models of other kinds that give probabilities."""
    return {
        "forest": RandomForestClassifier(50, random_state=seed),
        "neighbours": make_pipeline(StandardScaler(), KNeighborsClassifier(15)),
        "bayes": GaussianNB(),
    }


def also(_: Lab, seen: Seen) -> dict[str, Any]:
    """Accuracy (seed,) of each kind of model and of their average; then seeds of one network averaged."""
    data = seen.data or rows()
    right: dict[str, list[float]] = {}
    for place, seed in enumerate(seen.seeds):
        by_fold: dict[str, list[float]] = {}
        for fold, (train, test) in enumerate(data.splits):
            given = {
                name: seen.trainings[name].outputs["test"][place][fold] for name in ("regression", "network")
            }
            for name, model in others(seed).items():
                given[name] = model.fit(data.x[train], data.y[train]).predict_proba(data.x[test])
            given["average"] = np.mean(list(given.values()), axis=0)
            for name, probabilities in given.items():
                by_fold.setdefault(name, []).append(accuracy(probabilities, data.y[test]))
        for name, shares in by_fold.items():
            right.setdefault(name, []).append(float(np.mean(shares)))
    return {name: np.array(shares) for name, shares in right.items()} | averaged_seeds(seen, data)


def averaged_seeds(seen: Seen, data: Data) -> dict[str, np.ndarray]:
    """Networks alone and averaged by five, of seeds that share none: one value per average.

    Each two averages, and the networks of one with those of the other, are compared row by row to see how much chance
    decides: one value per two averages.
    """
    size = max(1, min(TOGETHER, len(seen.seeds) // 2))
    outputs = seen.trainings["network"].outputs["test"]
    whole = len(outputs) // size * size
    groups = np.reshape(np.arange(whole), (-1, size))
    means = [
        [np.mean([outputs[place][fold] for place in group], axis=0) for fold in range(len(data.splits))]
        for group in groups
    ]
    truths = [data.y[test] for _, test in data.splits]

    def scored(folded: list[np.ndarray]) -> float:
        return float(np.mean([accuracy(p, y) for p, y in zip(folded, truths, strict=True)]))

    return {
        "alone": np.array([np.mean([scored(outputs[place]) for place in group]) for group in groups]),
        "averaged": np.array([scored(mean) for mean in means]),
        "alone differ": np.array(
            [
                np.mean([differ(outputs[a], outputs[b]) for a, b in zip(one, two, strict=True)])
                for one, two in zip(*pairs(groups), strict=True)
            ]
        ),
        "averaged differ": np.array(
            [differ(means[one], means[two]) for one, two in zip(*pairs(np.arange(len(means))), strict=True)]
        ),
    }


def accuracy(probabilities: np.ndarray, y: np.ndarray) -> float:
    """Share of rows whose most probable class is the true one."""
    return float((probabilities.argmax(axis=1) == y).mean())


def differ(one: list[np.ndarray], two: list[np.ndarray]) -> float:
    """Share of rows to which two models give different classes, over all folds."""
    return float(
        np.concatenate([a.argmax(axis=1) != b.argmax(axis=1) for a, b in zip(one, two, strict=True)]).mean()
    )


MEMBERS = ("regression", "network", "forest", "neighbours", "bayes")


def best_member(seen: Seen) -> np.ndarray:
    """Accuracy of the model that is best on average over seeds (seed,)."""
    return np.asarray(max((seen[name] for name in MEMBERS), key=lambda shares: shares.mean()))


LESSON = Lesson(
    name="ensembles",
    title="Ensembles: other models beside softmax, and seeds averaged",
    area="prediction",
    covers=("sm-tip3-ensemble",),
    why="Models of different kinds are wrong about different rows, so an average of their probabilities can be right "
    "where each alone is not. Softmax regression, a network, a random forest, nearest neighbours and naive Bayes are "
    "averaged, none weighted; the source names no data and no models. The course's source names three areas, better "
    "learning, better generalization and better predictions, but has no lesson of the third: this one adds what "
    "belongs there, the same network of five seeds averaged, because a single training also depends on its seed.",
    data=rows,
    variants=(
        Variant("regression", "softmax regression", regression, epochs=60, prepare=StandardScaler),
        Variant("network", "network of two layers", network, epochs=60, prepare=StandardScaler),
    ),
    also=also,
    claims=(
        Claim(
            "The average of all kinds classifies better than the best of its members.",
            ["sm-tip3-ensemble/0"],
            lambda seen: seen["average"] - best_member(seen),
            above(0),
            "accuracy on held-out folds, average minus the member that is best over all seeds",
        ),
        Claim(
            "It classifies better than its members do on average.",
            ["sm-tip3-ensemble/0"],
            lambda seen: seen["average"] - np.mean([seen[name] for name in MEMBERS], axis=0),
            above(0),
            "accuracy on held-out folds, average of probabilities minus mean accuracy of the members",
        ),
        Claim(
            "Five seeds of one network, averaged, classify better than one.",
            [],
            lambda seen: seen["averaged"] - seen["alone"],
            above(0),
            "accuracy on held-out folds, five averaged minus the mean of the five, per five seeds",
            who="caviar",
        ),
        Claim(
            "Averages of other seeds agree with each other more than single networks do.",
            [],
            lambda seen: seen["alone differ"] - seen["averaged differ"],
            above(0),
            "share of rows classified otherwise, two networks minus two averages of five, per ten seeds",
            who="caviar",
            amended="No average is in two pairs, as some were, and all networks of a pair are compared.",
        ),
    ),
    questions=(
        Choice(
            "What must differ between models for their average to be better than each?",
            ("their accuracies", "the rows that they get wrong", "their numbers of weights"),
            (1,),
            "Errors on different rows cancel in an average; shared errors stay.",
        ),
    ),
    shows=(
        Shown("test accuracy", lambda seen, name: seen.accuracy(name)),
        Shown("training accuracy", lambda seen, name: seen.accuracy(name, "train")),
    ),
    learned="Average models of other kinds, and compare with the best member, not with the mean of all. An average "
    "over seeds makes a prediction depend less on chance.",
)
"""The lesson."""
