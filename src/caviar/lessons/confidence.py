"""Confidence: are the predictions that a model is sure of right more often, and how many are left?"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import keras
import numpy as np
from scipy.stats import spearmanr
from sklearn.datasets import make_classification
from sklearn.preprocessing import StandardScaler

from caviar.evaluate.claims import above
from caviar.teaching.contract import Choice, Claim, Data, Drawing, Lesson, Lines, Shown, Variant, Winner
from caviar.teaching.rows import holdout
from caviar.teaching.seen import Seen

CLASSES = 4
THRESHOLDS = np.round(np.arange(0.4, 0.96, 0.05), 2)
PROMISED = 0.9
AMENDED = (
    "Rows that chose and epochs of training differed at once: on training rows after 200 epochs, apart after 20. Now "
    "both are compared within one training."
)


def rows(_: Path | None = None) -> Data:
    """2,000 rows of four classes that overlap; 600 to train on."""
    x, y = make_classification(
        2000, 10, n_informative=6, n_classes=CLASSES, class_sep=1.2, flip_y=0.05, random_state=8
    )
    return Data(
        "four overlapping classes, 600 rows to train on and 1,400 to test on",
        x,
        y,
        holdout(y, 0.7, 1, stratify=True),
        CLASSES,
        "scikit-learn's make_classification(n_informative=6, class_sep=1.2, flip_y=0.05, random_state=8)",
    )


def build(n_outputs: int = CLASSES) -> keras.Model:
    """Probabilities from two dense layers."""
    layers = [keras.layers.Dense(64, activation="relu"), keras.layers.Dense(n_outputs, activation="softmax")]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def coverage(outputs: np.ndarray, _: np.ndarray, threshold: float) -> float:
    """Share of rows whose largest probability reaches the threshold: the others go to a person."""
    return float((outputs.max(axis=1) >= threshold).mean())


def accepted(outputs: np.ndarray, y: np.ndarray, threshold: float) -> float:
    """Accuracy on the rows whose largest probability reaches the threshold; on all where none does."""
    sure = outputs.max(axis=1) >= threshold
    right = outputs.argmax(axis=1) == y
    return float(right[sure].mean() if sure.any() else right.mean())


def accuracies(seen: Seen, name: str) -> np.ndarray:
    """Accuracy of accepted test rows (seed, threshold)."""
    columns = [seen.per_member(name, partial(accepted, threshold=t)) for t in THRESHOLDS]
    return np.stack(columns, axis=1)


def coverages(seen: Seen, name: str) -> np.ndarray:
    """Share of test rows that are accepted (seed, threshold)."""
    columns = [seen.per_member(name, partial(coverage, threshold=t)) for t in THRESHOLDS]
    return np.stack(columns, axis=1)


def trend(values: np.ndarray) -> np.ndarray:
    """Rank correlation of each seed's values (seed, threshold) with the thresholds; 0 for values all alike."""
    return np.array(
        [float(spearmanr(THRESHOLDS, row).statistic) if np.ptp(row) > 0 else 0.0 for row in values]
    )


def lowest_that_keeps(outputs: np.ndarray, y: np.ndarray) -> float:
    """The lowest threshold at which accepted rows are as accurate as was promised; the highest if none is."""
    return next((float(t) for t in THRESHOLDS if accepted(outputs, y, t) >= PROMISED), float(THRESHOLDS[-1]))


def kept_promise(seen: Seen, name: str, chosen_on: str) -> np.ndarray:
    """Accuracy on unseen rows at a threshold chosen elsewhere, minus what was promised (seed,).

    Args:
        seen: What was measured.
        name: The variant.
        chosen_on: "train" for the rows that it trained on; "apart" for half of the test rows, the others are unseen.
    """
    data, training = seen.data or rows(), seen.trainings[name]
    found = []
    for place in range(len(seen.seeds)):
        by_fold = []
        for fold, (train, test) in enumerate(training.splits):
            outputs, half = training.outputs["test"][place][fold], len(test) // 2
            if chosen_on == "train":
                threshold = lowest_that_keeps(training.outputs["train"][place][fold], data.y[train])
            else:
                threshold = lowest_that_keeps(outputs[:half], data.y[test[:half]])
            by_fold.append(accepted(outputs[half:], data.y[test[half:]], threshold) - PROMISED)
        found.append(np.mean(by_fold))
    return np.array(found)


def gain_apart(seen: Seen, name: str) -> np.ndarray:
    """Accuracy on unseen rows at a threshold chosen on rows kept apart minus that at one of training rows (seed,)."""
    return kept_promise(seen, name, "apart") - kept_promise(seen, name, "train")


def overconfidence(seen: Seen, name: str) -> np.ndarray:
    """Mean of the largest probability on test rows minus their accuracy (seed,)."""
    return seen.per_member(name, lambda p, y: float(p.max(axis=1).mean()) - accepted(p, y, 0.0))


def figures(seen: Seen) -> Sequence[Drawing]:
    """Accuracy and coverage against the threshold."""
    named = [(name, training.variant.title) for name, training in seen.trainings.items()]
    return (
        Lines(
            "Accuracy of accepted rows",
            THRESHOLDS,
            {title: accuracies(seen, name) for name, title in named},
            "threshold",
            "accuracy on new rows",
        ),
        Lines(
            "Coverage",
            THRESHOLDS,
            {title: coverages(seen, name) for name, title in named},
            "threshold",
            "share of new rows accepted",
        ),
    )


LESSON = Lesson(
    name="confidence",
    title="Confidence: let a person see what the model is not sure of",
    area="prediction",
    covers=("sm-tip7-confidence",),
    why="The largest of a row's probabilities says how sure a softmax model is. Rows below a threshold go to a person; "
    "what is left should be right more often, and there is less of it. The source names no data and no threshold: four "
    "overlapping classes and thresholds from 0.4 to 0.95 are our choice, and all is measured on rows that were not "
    "trained on. It leaves open where a threshold comes from: one is chosen for a promised accuracy of 90 % on "
    "training rows and one on rows kept apart, and both are tried on unseen ones, after short and long training.",
    data=rows,
    variants=(
        Variant("short", "20 epochs", build, 32, 20, prepare=StandardScaler),
        Variant("long", "200 epochs", build, 32, 200, prepare=StandardScaler),
    ),
    claims=(
        Claim(
            "Accuracy of accepted predictions rises with the threshold.",
            ["sm-tip7-confidence/0"],
            lambda seen: trend(accuracies(seen, "short")),
            above(0.8),
            "rank correlation of threshold and accuracy of accepted test rows",
        ),
        Claim(
            "Coverage falls with the threshold.",
            ["sm-tip7-confidence/0"],
            lambda seen: coverages(seen, "short")[:, 0] - coverages(seen, "short")[:, -1],
            above(0),
            "share of test rows accepted at threshold 0.4 minus that at 0.95",
        ),
        Claim(
            "A threshold chosen on rows kept apart keeps more of its promise than one chosen on training rows.",
            [],
            lambda seen: gain_apart(seen, "long"),
            above(0),
            "accuracy of accepted unseen rows, threshold chosen apart minus on training rows, after 200 epochs",
            who="caviar",
            amended=AMENDED,
        ),
        Claim(
            "After short training too.",
            [],
            lambda seen: gain_apart(seen, "short"),
            above(0),
            "accuracy of accepted unseen rows, threshold chosen apart minus on training rows, after 20 epochs",
            who="caviar",
            amended=AMENDED,
        ),
        Claim(
            "Long training makes a network surer than it is right.",
            [],
            lambda seen: overconfidence(seen, "long") - overconfidence(seen, "short"),
            above(0),
            "mean largest probability minus accuracy on test rows, 200 epochs minus 20",
            who="caviar",
        ),
    ),
    questions=(
        Winner(
            "Which one is surer than it is right?",
            overconfidence,
        ),
        Choice(
            "On which rows should a threshold be chosen?",
            ("rows that were trained on", "rows kept apart", "the rows on which it is then reported"),
            (1,),
            "Only those are new to the model when they choose, and leave others that are new to the threshold.",
        ),
    ),
    shows=(
        Shown("accuracy of all rows", lambda seen, name: accuracies(seen, name)[:, 0]),
        Shown("accuracy at 0.9", lambda seen, name: accuracies(seen, name)[:, 10]),
        Shown("coverage at 0.9", lambda seen, name: coverages(seen, name)[:, 10]),
    ),
    figures=figures,
    learned="Report accuracy and coverage together: as the threshold climbs, one rises and the other falls. Long "
    "training made the network surer than it was right, so check on rows kept apart what a threshold promises.",
)
"""The lesson."""
