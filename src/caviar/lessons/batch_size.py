"""Batch size: what changes when a step sees one row, some rows or all of them?"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from caviar.evaluate.claims import above, below, exactly
from caviar.teaching.contract import (
    Choice,
    Claim,
    Lesson,
    Lines,
    Match,
    Untold,
    Variant,
    Winner,
    reported_accuracies,
)
from caviar.teaching.rows import circles
from caviar.teaching.seen import Lab, Seen, along, pairs


def build(n_inputs: int = 2) -> keras.Model:
    """The network of the source, compiled."""
    model = keras.Sequential(
        [
            keras.Input((n_inputs,)),
            keras.layers.Dense(50, activation="relu"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    optimizer = keras.optimizers.SGD(learning_rate=0.01, momentum=0.9)
    model.compile(optimizer, loss="binary_crossentropy", metrics=["accuracy"])
    return model


SIZES = ("batch", "250", "100", "25", "stochastic")
TIMED = ("batch", "25", "stochastic")
LATE = 500
"""Epochs of the second half of a training."""


def beyond_the_variants(lab: Lab, seen: Seen) -> Mapping[str, Any]:
    """Seconds of an epoch of Keras' own `fit`; and 25 rows a step with training and test rows in each other's place."""
    taken = lab.seconds_in_turns(*(seen.trainings[name].variant for name in TIMED))
    found: dict[str, Any] = dict(zip(TIMED, taken, strict=True))
    swapped = replace(lab.rows, splits=[(test, train) for train, test in lab.rows.splits])
    again = lab.train(next(v for v in LESSON.variants if v.name == "25"), data=swapped)
    return found | {"swapped": again.accuracy("25") - again.accuracy("25", "train")}


def times_as_long(seen: Seen, one: str, other: str) -> np.ndarray:
    """Logarithm (base 10) of an epoch's seconds by those of another batch size, in the same turn (turn,)."""
    return np.log10(seen[one] / seen[other])


def seconds(seen: Seen, name: str) -> np.ndarray:
    """When each epoch of a training was over, by Keras' own `fit` (epoch,)."""
    return np.median(seen[name]) * np.arange(1, seen.log(name, "loss").shape[1] + 1)


def loss_after(seen: Seen, name: str, budget: float) -> np.ndarray:
    """Test loss in the last epoch that so many seconds allow, the first one at least (seed,)."""
    done = max(1, int((seconds(seen, name) <= budget).sum()))
    return seen.log(name, "val_loss")[:, done - 1]


def ahead_in_seconds(seen: Seen, other: str) -> np.ndarray:
    """Test loss of another batch size minus that of 25 rows, in the seconds that full batch takes in all."""
    budget = seconds(seen, "batch")[-1]
    return loss_after(seen, other, budget) - loss_after(seen, "25", budget)


def between_extremes(size: str) -> tuple[Claim, Claim]:
    """That a mini-batch lies between one row and all rows."""
    record = f"mc-l2-minibatch-{size}/0"
    return (
        Claim(
            f"With {size} rows a step the test loss is steadier than with one.",
            [record],
            lambda seen: seen.spread("stochastic", "val_loss", LATE) - seen.spread(size, "val_loss", LATE),
            above(0),
            "standard deviation of the test loss over the second half, one row minus mini-batch",
        ),
        Claim(
            f"With {size} rows a step the plateau is reached in fewer epochs than with all rows.",
            [record],
            lambda seen: (
                seen.epochs_to_share("batch", "val_accuracy") - seen.epochs_to_share(size, "val_accuracy")
            ),
            above(0),
            "epochs until the test accuracy is at 95 % of its highest, full batch minus mini-batch",
        ),
    )


def figures(seen: Seen) -> Sequence[Lines]:
    """The same curves against what they cost: updates, and seconds."""
    updates = {
        name: seen.trainings[name].updates * np.arange(1, seen.log(name, "loss").shape[1] + 1)
        for name in SIZES
    }
    steps = np.geomspace(1, max(some[-1] for some in updates.values()), 200)
    time = np.linspace(0, 2 * seconds(seen, "batch")[-1], 200)
    return (
        Lines(
            "Test loss against updates",
            steps,
            {name: along(seen.log(name, "val_loss"), updates[name], steps) for name in SIZES},
            "gradient steps",
            "test loss",
            log_x=True,
        ),
        Lines(
            "Test loss against training time",
            time,
            {name: along(seen.log(name, "val_loss"), seconds(seen, name), time) for name in TIMED},
            "seconds of Keras' fit on this machine",
            "test loss",
        ),
    )


LESSON = Lesson(
    name="batch-size",
    title="Batch, stochastic and mini-batch gradient descent",
    area="learning",
    covers=(
        "mc-l2-batch",
        "mc-l2-stochastic",
        "mc-l2-minibatch-25",
        "mc-l2-minibatch-100",
        "mc-l2-minibatch-250",
        "mc-l2-batch-5000",
    ),
    why="The gradient of a step is an average over the rows that it sees. All rows give the true slope, but only one "
    "step per epoch; a single row gives five hundred steps per epoch, each in a direction of its own. The same network "
    "is trained with five batch sizes for as many epochs, and with the largest one for five times as many. Epochs are "
    "not what a training costs, so the curves are also drawn against updates and against seconds.",
    data=circles(1000, train=500),
    variants=(
        Variant("batch", "all 500 rows", build, batch_size=None, epochs=1000),
        Variant("250", "250 rows", build, batch_size=250, epochs=1000),
        Variant("100", "100 rows", build, batch_size=100, epochs=1000),
        Variant("25", "25 rows", build, batch_size=25, epochs=1000),
        Variant("stochastic", "one row", build, batch_size=1, epochs=1000),
        Variant("batch-5000", "all rows, 5,000 epochs", build, batch_size=None, epochs=5000),
    ),
    also=beyond_the_variants,
    claims=(
        Claim(
            "Full batch gives smoother curves than single rows.",
            ["mc-l2-batch/0", "mc-summary-claims/0"],
            lambda seen: seen.rough("stochastic", "val_loss") - seen.rough("batch", "val_loss"),
            above(0),
            "standard deviation of the test loss's change from epoch to epoch, one row minus all",
        ),
        Claim(
            "Full batch could train further after 1,000 epochs.",
            ["mc-l2-batch/1"],
            lambda seen: seen.slope("batch", "loss", last=100),
            below(0),
            "slope of the training loss over the last 100 epochs",
            who="reader",
        ),
        Claim(
            "Full batch takes the shortest time, then mini-batches, then single rows.",
            ["mc-l2-batch/2"],
            lambda seen: np.minimum(
                times_as_long(seen, "25", "batch"), times_as_long(seen, "stochastic", "25")
            ),
            above(0),
            "logarithm (base 10) of an epoch's seconds with Keras' fit, 25 rows by all or one row by 25, whichever is "
            "less",
            who="reader",
            amended="A ratio of times in turns instead of a share of five timings, which could not tell even if all "
            "agreed.",
        ),
        Claim(
            "Single rows reach their plateau in fewer epochs than full batch.",
            ["mc-l2-stochastic/0", "mc-summary-claims/0"],
            lambda seen: (
                seen.epochs_to_share("batch", "val_accuracy")
                - seen.epochs_to_share("stochastic", "val_accuracy")
            ),
            above(0),
            "epochs until the test accuracy is at 95 % of its highest, all rows minus one",
        ),
        Claim(
            "That plateau is a noisy one.",
            ["mc-l2-stochastic/0"],
            lambda seen: np.log10(
                seen.spread("stochastic", "val_loss", LATE) / seen.spread("batch", "val_loss", LATE)
            ),
            above(np.log10(3)),
            "logarithm (base 10) of the test loss's standard deviation over the second half, one row by all; "
            "0.48 is three times",
        ),
        Claim(
            "Single rows are very slow.",
            ["mc-l2-stochastic/1"],
            lambda seen: times_as_long(seen, "stochastic", "batch"),
            above(np.log10(5)),
            "logarithm (base 10) of an epoch's seconds with Keras' fit, one row by all rows; 0.70 is five times",
            amended="Logarithms of times taken in turns, as times taken one after the other are not paired.",
        ),
        *between_extremes("25"),
        *between_extremes("100"),
        *between_extremes("250"),
        Claim(
            "With 25 rows a step the lowest test loss comes well before the end.",
            ["mc-l2-minibatch-25/1"],
            lambda seen: seen.best_epoch("25", "val_loss") / seen.trained("25"),
            below(0.9),
            "epoch of the lowest test loss, as a share of all epochs",
            who="reader",
        ),
        Claim(
            "With 25 rows a step the test loss first falls and then rises.",
            ["mc-l2-minibatch-25/1"],
            lambda seen: seen.slope("25", "val_loss", last=LATE),
            above(0),
            "slope of the test loss over the second half; the last value lies above the lowest in every training",
            who="reader",
        ),
        Claim(
            "With 25 rows a step the test rows score higher than the training rows.",
            ["mc-l2-minibatch-25/1"],
            lambda seen: seen.accuracy("25") - seen.accuracy("25", "train"),
            above(0),
            "test minus training accuracy",
            who="reader",
        ),
        Claim(
            "Which rows score higher is a matter of the split: it turns round when the halves swap places.",
            [],
            lambda seen: seen["swapped"],
            below(0),
            "test minus training accuracy with 25 rows, trained on the test rows and tested on the training rows",
            who="caviar",
        ),
        Claim(
            "No batch size brings the test accuracy above 0.90, nor do 5,000 epochs of full batch.",
            ["mc-l2-batch-5000/0"],
            lambda seen: np.max([seen.accuracy(name) for name in (*SIZES, "batch-5000")], axis=0),
            below(0.9),
            "highest test accuracy of all variants at the end of their training",
            who="reader",
        ),
        Claim(
            "1,000 epochs of single rows are 500,000 updates, not the million that a reader counts.",
            [],
            lambda seen: 1000 * seen.trainings["stochastic"].updates,
            exactly(500_000),
            "updates of 1,000 epochs over 500 rows",
            who="caviar",
        ),
        Claim(
            "Two equal full-batch runs differ about as much as the two that a reader took for different ones.",
            [],
            lambda seen: np.abs(np.subtract(*pairs(seen.accuracy("batch")))),
            above(0.009),
            "difference of test accuracy between two seeds; the reader's two differ by 0.018",
            who="caviar",
            amended="No seed is in two pairs; pairs that shared seeds had been judged as independent.",
        ),
        Claim(
            "In the same seconds, mini-batches are ahead of full batch.",
            ["minibatch-compare/0"],
            lambda seen: ahead_in_seconds(seen, "batch"),
            above(0),
            "test loss after the seconds that full batch trains, full batch minus 25 rows",
        ),
        Claim(
            "In the same seconds, mini-batches are ahead of single rows.",
            ["minibatch-compare/0"],
            lambda seen: ahead_in_seconds(seen, "stochastic"),
            above(0),
            "test loss after the seconds that full batch trains, one row minus 25 rows",
        ),
    ),
    reported=(
        *reported_accuracies("mc-l2-batch", "batch", 0.822, 0.792, "R2"),
        *reported_accuracies("mc-l2-batch", "batch", 0.843, 0.734, "R3, changed code"),
        *reported_accuracies("mc-l2-batch", "batch", 0.834, 0.816, "R10"),
        *reported_accuracies("mc-l2-batch", "batch", 0.814, 0.834, "R10, listed as mini-batch 500"),
        *reported_accuracies("mc-l2-stochastic", "stochastic", 0.816, 0.798, "R10"),
        *reported_accuracies("mc-l2-minibatch-100", "100", 0.844, 0.850, "R10"),
        *reported_accuracies("mc-l2-minibatch-250", "250", 0.838, 0.842, "R8"),
        *reported_accuracies("mc-l2-minibatch-250", "250", 0.842, 0.846, "R10"),
        *reported_accuracies("mc-l2-batch-5000", "batch-5000", 0.828, 0.856, "R10"),
    ),
    untold=(
        Untold(
            "mc-l2-batch", "Reader R4's four numbers are of a table of their own, whose rows nobody else has."
        ),
    ),
    questions=(
        Winner(
            "Which batch size ends with the highest test accuracy?",
            lambda seen, name: seen.accuracy(name),
            SIZES,
        ),
        Match("val_loss", ("batch", "25", "stochastic")),
        Choice(
            "How many gradient steps are 1,000 epochs over 500 rows, one row at a time?",
            ("1,000", "500,000", "1,000,000"),
            [1],
            "Each epoch takes every training row once: 500 steps, 1,000 times.",
        ),
    ),
    figures=figures,
    learned="Say what you count before you call a batch size fast: epochs, updates and seconds rank them differently. "
    "And before you read a difference of a hundredth, see how much the seed alone moves the score.",
)
