"""Batch normalization: are fewer epochs worth more seconds for each of them?"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np

from caviar.evaluate.claims import Expectation, above, below, between
from caviar.teaching.contract import (
    Claim,
    Lesson,
    Lines,
    Match,
    Reported,
    Untold,
    Variant,
    Winner,
    reported_accuracies,
)
from caviar.teaching.rows import circles
from caviar.teaching.seen import Lab, Seen, along

STEADY = 200
"""Last epochs of 300 over which jaggedness is measured: what falls at the beginning is not jagged."""


def build(rate: float = 0.01, n_inputs: int = 2, *, normalized: bool = False) -> keras.Model:
    """The network of the course; normalized, as in the source, after the activation of its hidden layer."""
    model = keras.Sequential([keras.Input((n_inputs,)), keras.layers.Dense(50, activation="relu")])
    if normalized:
        model.add(keras.layers.BatchNormalization())
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), loss="binary_crossentropy", metrics=["accuracy"])
    return model


normalized = partial(build, normalized=True)


def seconds_of_epochs(lab: Lab, seen: Seen) -> Mapping[str, Any]:
    """Fastest of five epochs of Keras' own `fit` in each turn (turn,)."""
    with_it, without = lab.seconds_in_turns(
        *(seen.trainings[name].variant for name in ("bn", "none")), turns=20, times=5
    )
    return {"seconds bn": with_it, "seconds none": without}


def cost(seen: Seen) -> np.ndarray:
    """Logarithm (base 2) of an epoch's seconds with batch normalization by those without, in the same turn (turn,)."""
    return np.log2(seen["seconds bn"] / seen["seconds none"])


def epochs_near_lowest(seen: Seen, variant: str) -> np.ndarray:
    """The epoch, from 1, in which the test loss first is within 5 % of its lowest (seed,)."""
    curves = seen.log(variant, "val_loss")
    return np.argmax(curves <= 1.05 * curves.min(axis=1, keepdims=True), axis=1) + 1


def seconds_to_plateau(seen: Seen, variant: str) -> np.ndarray:
    """Seconds of Keras' `fit` until the test accuracy is at 95 % of its highest (seed,)."""
    return seen.epochs_to_share(variant, "val_accuracy") * float(np.median(seen[f"seconds {variant}"]))


def reported_seconds(of: str, variant: str, epochs: int, value: float) -> Reported:
    """A reader's wall time, beside that of Keras' `fit` on this machine."""
    timed = f"seconds {variant.removesuffix('-3000')}"
    return Reported(
        of,
        variant,
        f"seconds of {epochs:,} epochs, on a GTX 1080 Ti",
        value,
        lambda seen: epochs * seen[timed],
        "R1",
        digits=1,
    )


def figures(seen: Seen) -> Sequence[Lines]:
    """Test accuracy against what it takes."""
    names = ("bn", "none")
    reached = {
        name: np.median(seen[f"seconds {name}"]) * np.arange(1, seen.log(name, "loss").shape[1] + 1)
        for name in names
    }
    time = np.linspace(0, max(some[-1] for some in reached.values()), 200)
    return (
        Lines(
            "Test accuracy against training time",
            time,
            {
                seen.trainings[name].variant.title: along(seen.log(name, "val_accuracy"), reached[name], time)
                for name in names
            },
            "seconds of Keras' fit on this machine",
            "test accuracy",
        ),
    )


LESSON = Lesson(
    name="batch-normalization",
    title="Batch normalization",
    area="learning",
    covers=("mc-l4-bn", "mc-l4-none", "mc-l4-bn-3000", "mc-l4-none-3000"),
    why="Batch normalization gives what the hidden layer passes on a mean and a spread that the batch's rows decide. "
    "It is said to need fewer epochs, each of which takes longer: both are measured, and so is what counts, the "
    "seconds until the plateau. Whether a shorter way could be had without it, by a larger rate, is tried beside it. "
    "Seconds are those of Keras' own fit, epoch by epoch: those of 3,000 epochs are ten times those of 300.",
    data=circles(1000, train=500),
    variants=(
        Variant("bn", "batch normalization", normalized, batch_size=32, epochs=300),
        Variant("none", "none", build, batch_size=32, epochs=300),
        Variant("none, fast", "none, ten times the rate", partial(build, 0.1), batch_size=32, epochs=300),
        Variant("bn-3000", "batch normalization, 3,000 epochs", normalized, batch_size=32, epochs=3000),
        Variant("none-3000", "none, 3,000 epochs", build, batch_size=32, epochs=3000),
    ),
    also=seconds_of_epochs,
    claims=(
        Claim(
            "Batch normalization reaches the plateau of accuracy in far fewer epochs.",
            ["mc-l4-bn/0", "mc-summary-claims/2"],
            lambda seen: np.log2(
                seen.epochs_to_share("none", "val_accuracy") / seen.epochs_to_share("bn", "val_accuracy")
            ),
            above(1),
            "logarithm (base 2) of epochs until the test accuracy is at 95 % of its highest, without by with; "
            "1 is twice as many",
        ),
        Claim(
            "It reaches the plateau of loss in far fewer epochs.",
            ["mc-l4-bn/0", "mc-summary-claims/2"],
            lambda seen: np.log2(epochs_near_lowest(seen, "none") / epochs_near_lowest(seen, "bn")),
            above(1),
            "logarithm (base 2) of epochs until the test loss is within 5 % of its lowest, without by with",
        ),
        Claim(
            "Each epoch takes more seconds with it.",
            ["mc-l4-bn/1", "mc-l4-bn-3000/0"],
            cost,
            above(0),
            "logarithm (base 2) of an epoch's seconds with Keras' fit, with by without",
            amended="Logarithms of times in twenty turns; ratios of four could not tell.",
        ),
        Claim(
            "It makes an epoch about 1.26 times as long.",
            ["mc-l4-bn-3000/0"],
            cost,
            between(np.log2(1.13), np.log2(1.39)),
            "logarithm (base 2) of an epoch's seconds with Keras' fit, with by without; half of the reader's surcharge "
            "to half more of it",
            amended="Logarithms of times in twenty turns; ratios of four could not tell.",
        ),
        Claim(
            "Test curves are more jagged with it.",
            ["mc-l4-bn/2"],
            lambda seen: seen.rough("bn", "val_loss", STEADY) - seen.rough("none", "val_loss", STEADY),
            above(0),
            "standard deviation of the test loss's change over the last 200 epochs, with minus without",
            who="reader",
        ),
        Claim(
            "With it, test accuracy is at or above training accuracy.",
            ["mc-l4-bn/3"],
            lambda seen: seen.accuracy("bn") - seen.accuracy("bn", "train"),
            Expectation(0, np.inf, closed=True),
            "test minus training accuracy",
            who="reader",
        ),
        Claim(
            "So it is without it: that is the split's doing.",
            [],
            lambda seen: seen.accuracy("none") - seen.accuracy("none", "train"),
            above(0),
            "test minus training accuracy without batch normalization",
            who="caviar",
        ),
        Claim(
            "Without it, the losses need many epochs to fall.",
            ["mc-l4-none/0"],
            lambda seen: epochs_near_lowest(seen, "none"),
            above(100),
            "epochs of 300 until the test loss is within 5 % of its lowest",
            who="reader",
        ),
        Claim(
            "Without it, the accuracy curve is smooth.",
            ["mc-l4-none/0"],
            lambda seen: (
                seen.rough("bn", "val_accuracy", STEADY) - seen.rough("none", "val_accuracy", STEADY)
            ),
            above(0),
            "standard deviation of the test accuracy's change over the last 200 epochs, with minus without",
            who="reader",
        ),
        Claim(
            "In seconds, too, batch normalization reaches the plateau sooner.",
            [],
            lambda seen: seconds_to_plateau(seen, "none") - seconds_to_plateau(seen, "bn"),
            above(0),
            "seconds of Keras' fit until the test accuracy is at 95 % of its highest, without minus with",
            who="caviar",
        ),
        Claim(
            "A rate ten times as large, without it, needs no more epochs.",
            [],
            lambda seen: (
                seen.epochs_to_share("none, fast", "val_accuracy")
                - seen.epochs_to_share("bn", "val_accuracy")
            ),
            below(10),
            "epochs until the test accuracy is at 95 % of its highest, rate 0.1 without minus rate 0.01 with; "
            "ten epochs of 300 would hardly be noticed",
            who="caviar",
        ),
        Claim(
            "In the long run it makes no difference to the test accuracy.",
            [],
            lambda seen: seen.accuracy("bn-3000") - seen.accuracy("none-3000"),
            between(-0.01, 0.01),
            "test accuracy after 3,000 epochs, with minus without; a hundredth is five test rows",
            who="caviar",
        ),
    ),
    reported=(
        *reported_accuracies("mc-l4-bn", "bn", 0.836, 0.858, "R2"),
        *reported_accuracies("mc-l4-bn", "bn", 0.816, 0.838, "R3, changed code"),
        *reported_accuracies("mc-l4-bn", "bn", 0.816, 0.844, "R8"),
        *reported_accuracies("mc-l4-none", "none", 0.840, 0.852, "R8"),
        reported_seconds("mc-l4-bn", "bn", 300, 15.8),
        reported_seconds("mc-l4-none", "none", 300, 12.8),
        reported_seconds("mc-l4-bn-3000", "bn-3000", 3000, 148),
        reported_seconds("mc-l4-none-3000", "none-3000", 3000, 117),
        Reported(
            "mc-l4-bn",
            "bn",
            "epochs saved until the plateau",
            150,
            lambda seen: (
                seen.epochs_to_share("none", "val_accuracy") - seen.epochs_to_share("bn", "val_accuracy")
            ),
            "R7",
            digits=0,
        ),
    ),
    untold=(
        Untold(
            "mc-l4-bn", "Reader R4's four numbers are of a table of their own, whose rows nobody else has."
        ),
    ),
    questions=(
        Match("val_loss", ("bn", "none")),
        Winner(
            "Which one is at 95 % of its highest test accuracy first, in epochs?",
            lambda seen, name: seen.epochs_to_share(name, "val_accuracy"),
            ("bn", "none", "none, fast"),
            highest=False,
        ),
        Winner(
            "And in seconds of Keras' own fit?",
            seconds_to_plateau,
            ("bn", "none"),
            highest=False,
        ),
    ),
    figures=figures,
    learned="Weigh epochs saved against what an epoch costs, and compare with the cheaper remedy first: a rate that "
    "was too small can make every other remedy look good.",
)
