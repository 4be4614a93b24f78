"""Evaluation: what do a validation split and cross-validation say about a network, and what do they hide?"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from sklearn.preprocessing import StandardScaler

from caviar.evaluate.claims import above, below
from caviar.teaching.contract import (
    Bars,
    Choice,
    Claim,
    Drawing,
    Lesson,
    Lines,
    Reported,
    Shown,
    Variant,
    Winner,
)
from caviar.teaching.rows import folds, holdout, table
from caviar.teaching.seen import Lab, Seen, classes

LOGS = ("loss", "accuracy", "val_loss", "val_accuracy")
EPOCHS, FOLDS = 150, 10


def build(n_inputs: int = 8) -> keras.Model:
    """Eight inputs, 12 and 8 units, one probability; Glorot's weights."""
    model = keras.Sequential(
        [
            keras.Input((n_inputs,)),
            keras.layers.Dense(12, activation="relu"),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", loss="binary_crossentropy", metrics=["accuracy"])
    return model


RAW = Variant("raw", "inputs as they are", build, batch_size=10, epochs=EPOCHS)
SCALED = replace(RAW, name="standardised", title="inputs standardised", prepare=StandardScaler)


def also(lab: Lab, seen: Seen) -> Mapping[str, Any]:
    """The same network on the last third of the rows, as `validation_split` takes it, and on a drawn third."""
    y = lab.rows.y
    first = int(len(y) * (1 - 0.33))
    automatic = (np.arange(first), np.arange(first, len(y)))
    splits = [automatic, *holdout(y, 0.33, 7)]
    trained = lab.train(RAW, data=replace(lab.rows, splits=splits)).trainings["raw"]
    values: dict[str, Any] = {
        f"{way} {log}": trained.logs[log][:, place]
        for place, way in enumerate(("automatic", "manual"))
        for log in LOGS
    }
    values["training rows"] = float(len(trained.splits[0][0]))
    values["seconds"] = lab.seconds_in_turns(RAW)[0] * EPOCHS * len(lab.rows.splits)
    values["collapsed"] = seen.by_fold("raw", collapsed).astype(bool)
    values["collapsed, standardised"] = seen.by_fold("standardised", collapsed).astype(bool)
    return values


def collapsed(outputs: np.ndarray, _: np.ndarray) -> float:
    """Whether all rows are predicted to be of one class."""
    return float(np.ptp(classes(outputs)) == 0)


def accuracies(seen: Seen, name: str) -> np.ndarray:
    """Accuracy of each fold (seed, fold)."""
    return seen.by_fold(name, lambda outputs, y: float((classes(outputs) == y).mean()))


def astray(seen: Seen, name: str) -> np.ndarray:
    """Share of trainings that after ten epochs still have one with fewer than half of the held-out rows right."""
    late = seen.trainings[name].logs["val_accuracy"][:, :, 10:]
    return np.asarray((late < 0.5).any(axis=2).mean(axis=1))


def reports(seen: Seen, way: str) -> bool:
    """Whether there are four finite numbers of every epoch."""
    return all(bool(np.isfinite(seen[f"{way} {log}"]).all()) for log in LOGS)


def at(way: str, log: str, epoch: int) -> Callable[[Seen], np.ndarray]:
    """A log in an epoch of 150, counted from the end so that a shorter run has it, too."""

    def measure(seen: Seen) -> np.ndarray:
        curves: np.ndarray = seen[f"{way} {log}"]
        return curves[:, max(epoch - EPOCHS - 1, -curves.shape[1])]

    return measure


def epochs_reported(of: str, way: str, rows: Mapping[int, tuple[float, ...]]) -> list[Reported]:
    """What a source printed of its last epochs: loss, accuracy, and both of the validation rows."""
    return [
        Reported(of, "", f"{log} in epoch {epoch}, {way} split", value, at(way, log, epoch), digits=4)
        for epoch, values in rows.items()
        for log, value in zip(LOGS, values, strict=True)
    ]


def figures(seen: Seen) -> list[Drawing]:
    """Swings from epoch to epoch, and the folds' accuracies."""
    ways = ("automatic", "manual")
    epochs = np.arange(1, seen["manual val_accuracy"].shape[1] + 1)
    return [
        Lines(
            "Validation accuracy of two ways to hold out a third of the rows",
            epochs,
            {way: seen[f"{way} val_accuracy"] for way in ways},
            "epoch",
            "validation accuracy",
        ),
        Lines(
            "One training: validation accuracy of neighbouring epochs",
            epochs,
            {way: seen[f"{way} val_accuracy"][0] for way in ways},
            "epoch",
            "validation accuracy",
        ),
        Bars(
            "Accuracy of every fold of every seed",
            {name: accuracies(seen, name).ravel() for name in seen.trainings},
            "accuracy on the fold's held-out rows",
        ),
    ]


FOLDS_REPORTED = (0.7792, 0.6883, 0.7273, 0.6494, 0.7792, 0.3506, 0.7403, 0.6883, 0.3421, 0.7237)


def fold_reported(fold: int, value: float) -> Reported:
    """What the source printed of one fold."""
    return Reported(
        "eval-cv10",
        "raw",
        f"accuracy of fold {fold + 1}",
        value,
        lambda seen: accuracies(seen, "raw")[:, min(fold, len(seen.trainings["raw"].splits) - 1)],
        digits=4,
    )


LESSON = Lesson(
    name="evaluation",
    title="A validation split, cross-validation, and trainings that fail unseen",
    area="evaluation",
    covers=("eval-auto-split", "eval-manual-split", "eval-cv10", "eval-methods"),
    why="A network can be judged on the last rows that Keras sets aside by itself, on rows that a person sets aside, "
    "or on every row once, by cross-validation. All three are done with the same small network on the pima table as it "
    "is. The source prints 64.68 % (15.5 %) for ten folds and passes over two of them, at 35.06 % and 34.21 %: these "
    "are exactly the shares of positive rows, so the network said “positive” to every row. A second population gets "
    "standardised inputs and nothing else, and collapsed trainings are counted in both.",
    data=table("pima", lambda y: folds(y, FOLDS, 7)),
    variants=(RAW, SCALED),
    also=also,
    claims=(
        Claim(
            "Keras reports loss and accuracy of training and validation rows each epoch; 514 rows are trained on.",
            ["eval-auto-split/0"],
            lambda seen: reports(seen, "automatic") and seen["training rows"] == 514,
            above(0.5),
            "whether four logs are there in every epoch and 514 rows are trained on",
        ),
        Claim(
            "Validation rows of one's own choice work the same way.",
            ["eval-manual-split/0"],
            lambda seen: reports(seen, "manual"),
            above(0.5),
            "whether the same four logs are there in every epoch",
        ),
        Claim(
            "Validation accuracy swings by several points between neighbouring epochs.",
            ["eval-manual-split/1"],
            lambda seen: np.ptp(seen["manual val_accuracy"][:, -6:], axis=1),
            above(0.02),
            "highest minus lowest validation accuracy of the last six epochs, of which the source printed 0.039",
        ),
        Claim(
            "Cross-validation gives a mean and a spread of the accuracy.",
            ["eval-cv10/0"],
            lambda seen: accuracies(seen, "raw").std(axis=1),
            above(0.01),
            "standard deviation of the folds' accuracies; less than a point would be no spread to speak of",
        ),
        Claim(
            "Ten models take less than a minute.",
            ["eval-cv10/1"],
            lambda seen: seen["seconds"],
            below(60),
            "seconds of ten trainings with Keras' own fit, from timed epochs",
            amended="Ten epochs are timed; three could not tell.",
        ),
        Claim(
            "On raw inputs at least one of ten trainings collapses to a single class.",
            [],
            lambda seen: seen["collapsed"].any(axis=1),
            above(0.5),
            "share of cross-validations with such a fold",
            who="caviar",
        ),
        Claim(
            "Trainings on raw inputs collapse in more than one fold of fifty.",
            [],
            lambda seen: seen["collapsed"].mean(axis=1),
            above(0.02),
            "share of a seed's ten trainings that predict one class for all held-out rows, mean over seeds",
            who="caviar",
            amended="One share per seed; folds of a seed share first weights and had been judged as independent.",
        ),
        Claim(
            "On standardised inputs fewer than one cross-validation in four has a training that collapses.",
            [],
            lambda seen: seen["collapsed, standardised"].any(axis=1),
            below(0.25),
            "share of cross-validations with a fold whose held-out rows are all predicted to be of one class",
            who="caviar",
            amended="Was the share of all trainings, below 0.02, as if folds of a seed were independent; "
            "thirty seeds without a collapse put a share of seeds no lower than below 0.21.",
        ),
        Claim(
            "On raw inputs more trainings pass through an epoch of wholesale “positive”: had they stopped there, they "
            "would count as collapsed.",
            [],
            lambda seen: astray(seen, "raw") - astray(seen, "standardised"),
            above(0),
            "share of trainings with an accuracy below one half in any epoch after the tenth, raw minus standardised",
            who="caviar",
        ),
        Claim(
            "Standardised inputs raise the accuracy.",
            [],
            lambda seen: seen.accuracy("standardised") - seen.accuracy("raw"),
            above(0),
            "accuracy, mean of ten folds, standardised minus raw",
            who="caviar",
        ),
        Claim(
            "Folds differ less on standardised inputs: part of the spread was failed training.",
            [],
            lambda seen: accuracies(seen, "raw").std(axis=1) - accuracies(seen, "standardised").std(axis=1),
            above(0),
            "standard deviation of the folds' accuracies, raw minus standardised",
            who="caviar",
        ),
    ),
    reported=(
        *epochs_reported(
            "eval-auto-split",
            "automatic",
            {
                145: (0.5252, 0.7335, 0.5489, 0.7244),
                146: (0.5198, 0.7296, 0.5918, 0.7244),
                147: (0.5175, 0.7335, 0.5365, 0.7441),
                148: (0.5219, 0.7354, 0.5414, 0.752),
                149: (0.5089, 0.7432, 0.5417, 0.752),
                150: (0.5148, 0.749, 0.5549, 0.752),
            },
        ),
        *epochs_reported(
            "eval-manual-split",
            "manual",
            {
                145: (0.4847, 0.7704, 0.5668, 0.7323),
                146: (0.4853, 0.7549, 0.5768, 0.7087),
                147: (0.4843, 0.7743, 0.5604, 0.7244),
                148: (0.4831, 0.7665, 0.5589, 0.7126),
                149: (0.4961, 0.7782, 0.5663, 0.7126),
                150: (0.4967, 0.7588, 0.581, 0.6929),
            },
        ),
        Reported(
            "eval-cv10",
            "raw",
            "accuracy, mean of ten folds",
            0.6468,
            lambda seen: seen.accuracy("raw"),
            digits=4,
        ),
        Reported(
            "eval-cv10",
            "raw",
            "standard deviation of ten folds",
            0.155,
            lambda seen: accuracies(seen, "raw").std(axis=1),
        ),
        *(fold_reported(fold, value) for fold, value in enumerate(FOLDS_REPORTED)),
    ),
    questions=(
        Choice(
            "A fold of 77 rows, 27 of them positive, ends with an accuracy of 35.06 %. What has the network learned?",
            (
                "To say “positive” to every row.",
                "To say “negative” to every row.",
                "Something about these rows, but too little.",
            ),
            (0,),
            "27 of 77 is 35.06 %: the score of one answer for all rows, so that training has failed in this fold.",
        ),
        Winner(
            "Which inputs give the higher accuracy over ten folds?",
            lambda seen, name: seen.accuracy(name),
        ),
    ),
    shows=(
        Shown("train accuracy", lambda seen, name: seen.accuracy(name, "train")),
        Shown("test accuracy", lambda seen, name: seen.accuracy(name)),
        Shown("collapsed folds", lambda seen, name: seen.per_member(name, collapsed)),
        Shown("astray in some epoch", astray),
        Shown("deviation of folds", lambda seen, name: accuracies(seen, name).std(axis=1)),
    ),
    figures=figures,
    learned="A mean over folds hides trainings that failed: look at each fold, and whether it predicts more than one "
    "class. Scale the inputs before anything else, and do not read a lead of a point from one epoch of one split.",
)
