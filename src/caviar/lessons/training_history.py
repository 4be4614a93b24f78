"""Training history: what do the curves of a training say about its pace, its end and its rows?"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.preprocessing import StandardScaler

from caviar.diagnose.contract import Found
from caviar.diagnose.evidence import Evidence
from caviar.diagnose.generalization import overfits
from caviar.diagnose.learning import learns_too_slowly
from caviar.evaluate.claims import above, below
from caviar.teaching.contract import Choice, Claim, Drawing, Lesson, Lines, Match, Shown, Variant
from caviar.teaching.rows import table
from caviar.teaching.seen import Lab, Seen

WIDENING, WIDTH = 10, 5


def build(n_inputs: int = 8, rate: float = 0.001) -> keras.Model:
    """The source's network: weights that begin between -0.05 and 0.05."""
    model = keras.Sequential(
        [
            keras.Input((n_inputs,)),
            keras.layers.Dense(12, activation="relu", kernel_initializer="uniform"),
            keras.layers.Dense(8, activation="relu", kernel_initializer="uniform"),
            keras.layers.Dense(1, activation="sigmoid", kernel_initializer="uniform"),
        ]
    )
    model.compile(keras.optimizers.Adam(rate), loss="binary_crossentropy", metrics=["accuracy"])
    return model


def slow(n_inputs: int = 8) -> keras.Model:
    """The same with steps a fiftieth as long: planted, still on its way when it ends."""
    return build(n_inputs, rate=0.00002)


def linear(n_inputs: int = 8) -> keras.Model:
    """A logistic regression: planted, settled long before its end, and too small to overfit."""
    model = keras.Sequential([keras.Input((n_inputs,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile(keras.optimizers.Adam(0.01), loss="binary_crossentropy", metrics=["accuracy"])
    return model


def large(n_inputs: int = 8) -> keras.Model:
    """Far more weights than rows: planted, to overfit."""
    model = keras.Sequential(
        [
            keras.Input((n_inputs,)),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), loss="binary_crossentropy", metrics=["accuracy"])
    return model


SOURCE = Variant("source", "the source's network on raw inputs", build, batch_size=10, epochs=150)
PLANTED = (
    replace(
        SOURCE, name="slow", title="steps a fiftieth as long, scaled", build=slow, prepare=StandardScaler
    ),
    replace(
        SOURCE, name="settled", title="logistic regression, scaled", build=linear, prepare=StandardScaler
    ),
    replace(
        SOURCE, name="overfit", title="two layers of 64 units, scaled", build=large, prepare=StandardScaler
    ),
)


def read(loss: np.ndarray, held_out: np.ndarray) -> str:
    """What Caviar's checks L03 and G01 say of one training's two curves (epoch,): slow, overfit or settled."""
    unknown = np.full((1, 1), np.nan)
    evidence = Evidence(
        loss=loss[None],
        held_out_loss=held_out[None],
        scores=unknown,
        fit_scores=None,
        seed_scores=None,
        flips=None,
        failed=np.zeros(1, bool),
        higher_is_better=False,
        no_skill=float(np.log(2)),
        best_reference=None,
        rope=0.01,
        spread=None,
        metric="log-loss",
    )
    if isinstance(overfits(evidence), Found):
        return "overfit"
    return "slow" if isinstance(learns_too_slowly(evidence), Found) else "settled"


def parting(gap: np.ndarray) -> int:
    """The epoch, from 0, in which a gap of two losses has widened for ten epochs in a row; the last if none.

    Each epoch is compared with the one ten before it, both smoothed by a median of the last five epochs, so that
    only what is known by then decides.
    """
    if len(gap) < WIDTH + 2 * WIDENING:
        return len(gap) - 1
    smooth = np.median(sliding_window_view(gap, WIDTH), axis=1)
    wider = smooth[WIDENING:] > smooth[:-WIDENING]
    runs = sliding_window_view(wider, WIDENING).all(axis=1)
    skipped = WIDTH - 1 + WIDENING + WIDENING - 1
    return int(runs.argmax()) + skipped if runs.any() else len(gap) - 1


def also(_: Lab, seen: Seen) -> Mapping[str, Any]:
    """What the checks say of every training, and where the losses of those that overfit begin to part."""
    values: dict[str, Any] = {}
    for name in seen.trainings:
        loss, held_out = seen.log(name, "loss"), seen.log(name, "val_loss")
        said = [read(*both) for both in zip(loss, held_out, strict=True)]
        for what in ("slow", "settled", "overfit"):
            values[f"{name} said {what}"] = np.array([one == what for one in said])
        stops = np.array([parting(gap) for gap in held_out - loss])
        values[f"{name} parts"] = stops + 1.0
        values[f"{name} at parting"] = held_out[np.arange(len(stops)), stops]
    return values


def gap(seen: Seen, name: str) -> np.ndarray:
    """Training minus validation accuracy at the end."""
    return seen.final(name, "accuracy") - seen.final(name, "val_accuracy")


def figures(seen: Seen) -> list[Drawing]:
    """The distance of the two losses."""
    gaps = {name: seen.log(name, "val_loss") - seen.log(name, "loss") for name in seen.trainings}
    epochs = np.arange(1, max(curves.shape[1] for curves in gaps.values()) + 1)
    return [Lines("Validation loss minus training loss", epochs, gaps, "epoch", "gap")]


LESSON = Lesson(
    name="training-history",
    title="Reading a training's history",
    area="evaluation",
    covers=("history-pima",),
    why="Keras keeps loss and accuracy of every epoch. Their slope says how fast training goes, a plateau that it has "
    "arrived, and a validation loss that turns while the training loss falls that it now learns these rows only. "
    "The source's network is trained on the raw pima table, validated on its last third (its plot calls that line "
    "“test”). Beside it three trainings are planted whose end is known: one too slow, one settled, one that "
    "overfits; Caviar's checks read all curves without knowing which is which.",
    data=table("pima", lambda y: [(np.arange(int(len(y) * 0.67)), np.arange(int(len(y) * 0.67), len(y)))]),
    variants=(SOURCE, *PLANTED),
    also=also,
    claims=(
        Claim(
            "A training's history holds loss and accuracy of training and validation rows.",
            [],
            lambda seen: (
                {"accuracy", "loss", "val_accuracy", "val_loss"} <= set(seen.trainings["source"].logs)
            ),
            above(0.5),
            "whether these four are there; the source's old Keras says acc for accuracy",
        ),
        Claim(
            "Training accuracy still rises over the last epochs.",
            ["history-pima/0"],
            lambda seen: seen.slope("source", "accuracy", last=30),
            above(0),
            "slope over the last 30 epochs, per epoch",
        ),
        Claim(
            "Validation accuracy still rises over the last epochs.",
            ["history-pima/0"],
            lambda seen: seen.slope("source", "val_accuracy", last=30),
            above(0),
            "slope over the last 30 epochs, per epoch",
        ),
        Claim(
            "Both sets show comparable skill: it does not overfit yet.",
            ["history-pima/1"],
            lambda seen: np.abs(gap(seen, "source")),
            below(0.05),
            "distance of training and validation accuracy at the end; chance alone leaves about 0.03 of 254 rows",
        ),
        Claim(
            "If the losses begin to part consistently, stop there.",
            ["history-pima/2"],
            lambda seen: seen.final("overfit", "val_loss") - seen["overfit at parting"],
            above(0),
            "validation loss of the overfitting network at the end, minus where its gap had widened for ten epochs",
        ),
        Claim(
            "The curves show speed, plateau and overfitting.",
            ["history-pima/3"],
            lambda seen: np.all([seen[f"{one.name} said {one.name}"] for one in PLANTED], axis=0),
            above(0.8),
            "share of seeds in which the checks name all three planted trainings rightly",
        ),
        Claim(
            "The overfitting network's validation loss ends far above its lowest point.",
            [],
            lambda seen: seen.final("overfit", "val_loss") - seen.best("overfit", "val_loss"),
            above(0.1),
            "validation loss at the end minus its lowest, in nats; no skill costs 0.69",
            who="caviar",
        ),
    ),
    questions=(
        Match("val_loss", ("slow", "settled", "overfit")),
        Choice(
            "Both losses still fall in parallel when training ends. What do you do?",
            ("Train longer.", "Stop earlier.", "Add dropout."),
            (0,),
            "Parallel curves that fall have not begun to overfit, and have not arrived.",
        ),
    ),
    shows=(
        Shown("train accuracy", lambda seen, name: seen.final(name, "accuracy")),
        Shown("validation accuracy", lambda seen, name: seen.final(name, "val_accuracy")),
        Shown("gap", gap),
        Shown("slope of the training loss", lambda seen, name: seen.slope(name, "loss", last=30)),
        Shown("slope of the validation loss", lambda seen, name: seen.slope(name, "val_loss", last=30)),
        Shown("said to be slow", lambda seen, name: seen[f"{name} said slow"].astype(float)),
        Shown("said to be settled", lambda seen, name: seen[f"{name} said settled"].astype(float)),
        Shown("said to overfit", lambda seen, name: seen[f"{name} said overfit"].astype(float)),
    ),
    figures=figures,
    learned="Read three things, in this order: does the loss still fall, has it settled, do the losses part. Read them "
    "from a stretch of epochs, never from the last one, and before anything is changed.",
)
