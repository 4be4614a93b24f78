"""Batch and epoch: how many steps does a training take, and what becomes of the rows that do not fill a batch?"""

from dataclasses import replace
from itertools import count

import keras
import numpy as np
from sklearn.preprocessing import StandardScaler

from caviar.evaluate.claims import above, exactly
from caviar.teaching.contract import Choice, Claim, Data, Lesson, Reported, Shown, Variant
from caviar.teaching.rows import circles
from caviar.teaching.seen import Seen

ROWS, BATCH, EPOCHS = 200, 5, 1000
UNEVEN, SHORT = 7, 40
"""A batch size that leaves rows over, and epochs of all variants but the first."""


def build(n_inputs: int = 2) -> keras.Model:
    """A small network: what is counted here is the same for any."""
    model = keras.Sequential(
        [
            keras.Input((n_inputs,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("sgd", loss="binary_crossentropy", metrics=["accuracy"])
    return model


def updates(seen: Seen, variant: str) -> np.ndarray:
    """Gradient steps that each trained model counted itself (seed,)."""
    models = [seen.model(variant, place) for place in range(len(seen.seeds))]
    return np.array([int(model.optimizer.iterations.numpy()) for model in models])


def per_epoch(seen: Seen, variant: str) -> np.ndarray:
    """The same per epoch."""
    return updates(seen, variant) / seen.trained(variant)


def variants(
    rows: int = ROWS, epochs: int = EPOCHS, uneven: int = UNEVEN, short: int = SHORT
) -> list[Variant]:
    """Small batches, ones that leave rows over, single rows, and all rows at once."""
    return [
        Variant("five", f"batches of {BATCH}", build, batch_size=BATCH, epochs=epochs),
        Variant("seven", f"batches of {uneven}", build, batch_size=uneven, epochs=short),
        Variant("one", "one row: stochastic gradient descent", build, batch_size=1, epochs=short),
        Variant("all", f"all {rows:,} rows: batch gradient descent", build, batch_size=None, epochs=short),
    ]


def on_other_rows(lesson: Lesson, data: Data) -> tuple[Lesson, Data]:
    """The numbers of another table, whose inputs are standardised; epochs are as many as make about as many steps."""
    rows = len(data.splits[0][0])
    uneven = next(size for size in count(UNEVEN) if rows % size)
    (full, last), steps = divmod(rows, uneven), -(-rows // BATCH)
    epochs, short = max(2, round(EPOCHS * ROWS / rows)), max(1, round(SHORT * ROWS / rows))
    updated, possible = epochs * steps, sorted({epochs, rows, epochs * steps, epochs * rows})
    elsewhere = replace(
        lesson,
        why="A batch is what one step sees, an epoch is all rows once. What that makes of your rows is worked out, and "
        "the trained models are asked, because an optimizer counts its own steps. A larger table takes fewer epochs, "
        "so that the steps stay as many as in the lesson; inputs are standardised. `caviar plan` does the arithmetic, "
        "and predicts the time.",
        variants=[replace(one, prepare=StandardScaler) for one in variants(rows, epochs, uneven, short)],
        claims=(
            Claim(
                f"{rows:,} rows in batches of {BATCH} are {steps:,} batches per epoch.",
                ["batch-vs-epoch/0"],
                lambda seen: bool((per_epoch(seen, "five") == steps).all()),
                exactly(1),
                f"steps that every trained model counted, per epoch, are {steps:,}",
            ),
            Claim(
                f"{epochs:,} epochs of them are {updated:,} updates.",
                ["batch-vs-epoch/0"],
                lambda seen: round(per_epoch(seen, "five")[0] * epochs),
                exactly(updated),
                f"steps per epoch that a trained model counted, times {epochs:,}",
            ),
            Claim(
                f"Rows that do not fill a batch make a smaller last one: {rows:,} rows in batches of {uneven} end with "
                f"a batch of {last}.",
                ["batch-vs-epoch/1"],
                lambda seen: bool((per_epoch(seen, "seven") == full + 1).all()),
                exactly(1),
                f"{full + 1:,} steps per epoch were counted, {full:,} of them with {uneven} rows",
            ),
            Claim(
                f"Equal epochs are not equal work: single rows move the weights {rows:,} times as often as all rows at "
                "once.",
                [],
                lambda seen: float(updates(seen, "one")[0] / updates(seen, "all")[0]),
                exactly(rows),
                "ratio of counted steps",
                who="caviar",
            ),
            replace(
                lesson.claims[-1],
                about="training loss after as many epochs, all rows minus single rows",
            ),
        ),
        questions=(
            Choice(
                f"How many times are the weights changed by {epochs:,} epochs of {rows:,} rows in batches of {BATCH}?",
                [f"{number:,}" for number in possible],
                [possible.index(updated)],
                f"{rows:,} rows make {steps:,} batches in every epoch, and each changes the weights once.",
            ),
            Choice(
                f"And in one epoch with batches of {uneven}?",
                (f"{full:,}", f"{full + 1:,}", "It cannot be done"),
                (1,),
                f"{full:,} full batches take {rows - last:,} rows; the smaller last one has {last}.",
            ),
        ),
    )
    return elsewhere, data


LESSON = Lesson(
    name="batch-and-epoch",
    title="Batch against epoch",
    area="practice",
    covers=("batch-vs-epoch",),
    why="A batch is what one step sees, an epoch is all rows once. Two hundred rows in batches of five make "
    "forty steps "
    "per epoch. Nobody has to believe that: an optimizer counts its own steps, so the trained models are asked. "
    "`caviar plan --rows 200 --batch 5 --epochs 1000` does the arithmetic, and predicts the time.",
    data=circles(ROWS + 100, train=ROWS),
    variants=variants(),
    claims=(
        Claim(
            "200 rows in batches of 5 are 40 batches per epoch.",
            ["batch-vs-epoch/0"],
            lambda seen: bool((per_epoch(seen, "five") == 40).all()),
            exactly(1),
            "steps that every trained model counted, per epoch, are 40",
        ),
        Claim(
            "1,000 epochs of them are 40,000 updates.",
            ["batch-vs-epoch/0"],
            lambda seen: int(updates(seen, "five")[0]),
            exactly(40_000),
            "steps that a trained model counted",
        ),
        Claim(
            "Rows that do not fill a batch make a smaller last one: 200 rows in batches of 7 end with a batch of 4.",
            ["batch-vs-epoch/1"],
            lambda seen: bool((per_epoch(seen, "seven") == 29).all()) and ROWS - 28 * 7 == 4,
            exactly(1),
            "29 steps per epoch were counted, 28 of them with 7 rows",
        ),
        Claim(
            "Equal epochs are not equal work: single rows move the weights 200 times as often as all rows at once.",
            [],
            lambda seen: float(updates(seen, "one")[0] / updates(seen, "all")[0]),
            exactly(200),
            "ratio of counted steps",
            who="caviar",
        ),
        Claim(
            "After as many epochs, more steps have learned more.",
            [],
            lambda seen: seen.final("all", "loss") - seen.final("one", "loss"),
            above(0),
            "training loss after 40 epochs, all rows minus single rows",
            who="caviar",
        ),
    ),
    reported=tuple(
        Reported("batch-vs-epoch", "five", what, value, measure, digits=0)
        for what, value, measure in (
            ("batches per epoch", 40, lambda seen: per_epoch(seen, "five")),
            ("updates per epoch", 40, lambda seen: per_epoch(seen, "five")),
            ("updates in all", 40_000, lambda seen: updates(seen, "five")),
        )
    ),
    questions=(
        Choice(
            "How many times are the weights changed by 1,000 epochs of 200 rows in batches of 5?",
            ("1,000", "5,000", "40,000", "200,000"),
            (2,),
            "200 / 5 = 40 batches in every epoch, and each changes the weights once.",
        ),
        Choice(
            "And in one epoch with batches of 7?",
            ("28", "29", "It cannot be done"),
            (1,),
            "28 full batches take 196 rows; the other 4 make a smaller one.",
        ),
    ),
    shows=(
        Shown("steps counted", updates),
        Shown("steps per epoch", per_epoch),
        Shown("training loss, last epoch", lambda seen, name: seen.final(name, "loss")),
    ),
    learned="Count steps, not epochs, when you compare batch sizes: an epoch is a pass over the rows, a step is "
    "what learns.",
    own_rows=on_other_rows,
)
