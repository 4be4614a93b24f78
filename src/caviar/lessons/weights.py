"""Weight regularization: does a price on large weights keep a network that is too large from learning rows by heart?"""

from functools import partial

import keras
import numpy as np

from caviar.evaluate.claims import above, below
from caviar.teaching.contract import Choice, Claim, Lesson, Match, Reported, Shown, Untold, Variant, Winner
from caviar.teaching.rows import circles
from caviar.teaching.seen import Rows, Seen

REPORTS: tuple[tuple[str, str, Rows, float, str], ...] = (
    ("mc-l5-l2", "l2", "train", 0.967, "R2"),
    ("mc-l5-l2", "l2", "test", 0.814, "R2"),
    ("mc-l5-l2", "l2", "train", 0.997, "R3, changed code"),
    ("mc-l5-l2", "l2", "test", 0.844, "R3, changed code"),
    ("mc-l5-l2", "l2", "train", 0.967, "R8"),
    ("mc-l5-l2", "l2", "test", 0.8, "R8"),
    ("mc-l5-none", "none", "train", 1.0, "R8"),
    ("mc-l5-none", "none", "test", 0.771, "R8"),
)
"""Accuracies that readers reported."""


def build(n_inputs: int = 2, l2: float = 0.0, l1: float = 0.0) -> keras.Model:
    """Five hundred hidden units, whose weights have a price; L2 of 0 is none."""
    price = keras.regularizers.L1(l1) if l1 else keras.regularizers.L2(l2)
    model = keras.Sequential(
        [
            keras.Input((n_inputs,)),
            keras.layers.Dense(500, activation="relu", kernel_regularizer=price),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    # The loss holds the price; the metric is the same loss without it, so that variants can be compared.
    entropy = keras.metrics.BinaryCrossentropy(name="entropy")
    model.compile("adam", loss="binary_crossentropy", metrics=["accuracy", entropy])
    return model


def hidden_weights(seen: Seen, variant: str) -> list[np.ndarray]:
    """Weights into the hidden layer (input, unit), by seed; of the first fold."""
    return [folds[0].weights()[0] for folds in seen.trainings[variant].members]


def size(seen: Seen, variant: str) -> np.ndarray:
    """Sum of the squared weights into the hidden layer (seed,)."""
    return np.array([np.square(weights).sum() for weights in hidden_weights(seen, variant)])


def near_zero(seen: Seen, variant: str, bound: float = 0.01) -> np.ndarray:
    """Share of these weights that lie within a bound of 0 (seed,): a first weight's size is 0.05 on average."""
    return np.array([(np.abs(weights) < bound).mean() for weights in hidden_weights(seen, variant)])


def is_share(value: float, rows: int) -> bool:
    """Whether some number of right rows out of all is this share, rounded to three decimals.

    >>> is_share(0.967, 30), is_share(0.997, 30)
    (True, False)
    """
    return any(round(right / rows, 3) == value for right in range(rows + 1))


def gap(seen: Seen, variant: str) -> np.ndarray:
    """Test loss minus training loss over the last 100 epochs; both without the price (seed,)."""
    return seen.late(variant, "val_entropy") - seen.late(variant, "entropy")


LESSON = Lesson(
    name="weight-regularization",
    title="Weight regularization",
    area="generalization",
    covers=("mc-l5-l2", "mc-l5-none", "mc-l5-l1"),
    why="Five hundred hidden units for thirty rows can bend around every one of them, and large weights are what "
    "bends. A price on the squares of the hidden layer's weights (L2) or on their sizes (L1) makes bends expensive. "
    "The network is trained without a price, with L2 of 0.01 as in the source, and with L1, for which the source "
    "gives no number: at 0.001 both prices weigh about the same on the first weights. Keras adds the price to the "
    "training and the test loss, so the losses compared here are without it.",
    data=circles(100, train=30),
    variants=(
        Variant("none", "no price on weights", build, epochs=4000),
        Variant("l2", "L2 of 0.01 on the hidden layer", partial(build, l2=0.01), epochs=4000),
        Variant("l1", "L1 of 0.001 on the hidden layer", partial(build, l1=0.001), epochs=4000),
    ),
    also=lambda _, seen: (
        {f"size {name}": size(seen, name) for name in ("none", "l2", "l1")}
        | {f"near zero {name}": near_zero(seen, name) for name in ("l2", "l1")}
    ),
    claims=(
        Claim(
            "Without regularization the test loss rises far above its lowest value.",
            ["mc-l5-none/0"],
            lambda seen: seen.late("none", "val_entropy") / seen.best("none", "val_entropy"),
            above(1.5),
            "test loss over the last 100 epochs, as a multiple of its lowest value",
        ),
        Claim(
            "It is lowest well before the end.",
            ["mc-l5-none/0"],
            lambda seen: seen.best_epoch("none", "val_entropy") / seen.trained("none"),
            below(0.5),
            "epoch of the lowest test loss, as a share of all epochs",
        ),
        Claim(
            "Meanwhile the training loss keeps falling.",
            ["mc-l5-none/0"],
            lambda seen: seen.slope("none", "entropy", last=1000),
            below(0),
            "slope of the training loss over the last 1,000 epochs",
        ),
        Claim(
            "Without regularization the test accuracy falls with the epochs.",
            ["mc-l5-none/1"],
            lambda seen: seen.final("none", "val_accuracy") - seen.best("none", "val_accuracy"),
            below(0),
            "last test accuracy minus the highest one",
            who="reader",
        ),
        Claim(
            "A highest value proves no fall: it is above the last one wherever a curve moves at all. A straight line "
            "through the last three quarters of the epochs falls too.",
            [],
            lambda seen: seen.slope("none", "val_accuracy", last=3000),
            below(0),
            "slope of the test accuracy over the last 3,000 epochs",
            who="caviar",
        ),
        Claim(
            "L2 lowers the final test loss.",
            ["mc-l5-l2/0", "mc-summary-claims/3"],
            lambda seen: seen.late("none", "val_entropy") - seen.late("l2", "val_entropy"),
            above(0),
            "test loss over the last 100 epochs, none minus L2",
        ),
        Claim(
            "With L2 the test loss no longer rises.",
            ["mc-l5-l2/0"],
            lambda seen: seen.late("l2", "val_entropy") / seen.best("l2", "val_entropy"),
            below(1.1),
            "test loss over the last 100 epochs, as a multiple of its lowest value; a tenth more would be a rise",
        ),
        Claim(
            "L2 raises the test accuracy.",
            ["mc-l5-l2/0"],
            lambda seen: seen.accuracy("l2") - seen.accuracy("none"),
            above(0),
            "test accuracy, L2 minus none",
        ),
        Claim(
            "With L2 the test loss still ends above the training loss.",
            ["mc-l5-l2/1"],
            lambda seen: gap(seen, "l2"),
            above(0),
            "test loss minus training loss over the last 100 epochs",
            who="reader",
        ),
        Claim(
            "The gap is smaller than without.",
            ["mc-l5-l2/1"],
            lambda seen: gap(seen, "none") - gap(seen, "l2"),
            above(0),
            "test loss minus training loss, none minus L2",
            who="reader",
        ),
        Claim(
            "With L2 weights stay smaller.",
            ["mc-l5-l2/2"],
            lambda seen: seen["size none"] - seen["size l2"],
            above(0),
            "sum of the hidden layer's squared weights, none minus L2",
        ),
        Claim(
            "Without a price every training row ends up right, with L2 not.",
            ["mc-l5-l2/3"],
            lambda seen: (seen.accuracy("none", "train") == 1) & (seen.accuracy("l2", "train") < 1),
            above(0.5),
            "share of seeds in which it is so",
            who="reader",
        ),
        Claim(
            "With L2 the test accuracy lies above the training accuracy.",
            [],
            lambda seen: seen.accuracy("l2") - seen.accuracy("l2", "train"),
            above(0),
            "test minus training accuracy; one reader saw it, three others the opposite",
            who="reader",
        ),
        Claim(
            "No network is right on 0.997 of thirty rows or on 0.844 of seventy: these reports come from other rows.",
            [],
            lambda _: not (is_share(0.997, 30) or is_share(0.844, 70)),
            above(0.5),
            "whether neither share can occur",
            who="caviar",
        ),
        Claim(
            "L1 lowers the final test loss too.",
            [],
            lambda seen: seen.late("none", "val_entropy") - seen.late("l1", "val_entropy"),
            above(0),
            "test loss over the last 100 epochs, none minus L1",
            who="caviar",
        ),
        Claim(
            "L1 drives more weights to zero than L2.",
            [],
            lambda seen: seen["near zero l1"] - seen["near zero l2"],
            above(0),
            "share of hidden weights within 0.01 of zero, L1 minus L2",
            who="caviar",
        ),
    ),
    reported=tuple(
        Reported(
            record,
            variant,
            f"{rows} accuracy",
            value,
            partial(Seen.accuracy, variant=variant, rows=rows),
            who,
        )
        for record, variant, rows, value, who in REPORTS
    ),
    untold=(
        Untold("mc-l5-l2", "Four numbers of reader R4 are about rows of their own, which are not available."),
    ),
    questions=(
        Winner("Which ends with the highest test accuracy?", lambda seen, name: seen.accuracy(name)),
        Match("val_entropy", ("none", "l2", "l1")),
        Choice(
            "Which variables does this lesson put a price on?",
            (
                "all of them",
                "the hidden layer's weights",
                "the hidden layer's biases",
                "the output layer's weights",
            ),
            (1,),
            "A kernel regularizer sees the weights of its own layer only: its biases and other layers stay free.",
        ),
    ),
    shows=(
        Shown("training accuracy", lambda seen, name: seen.accuracy(name, "train")),
        Shown("test accuracy", lambda seen, name: seen.accuracy(name)),
        Shown("test loss", lambda seen, name: seen.late(name, "val_entropy")),
        Shown("hidden weights, squared", lambda seen, name: seen[f"size {name}"]),
    ),
    curves=("entropy", "accuracy"),
    learned="Watch the test loss beside the accuracy: on seventy rows accuracy moves in steps of 0.014 and tells "
    "late what the loss tells early. A price on weights is one more number to tune; compare losses without it.",
)
