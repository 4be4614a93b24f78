"""Batch and epoch: how many steps does a training take, and what becomes of the rows that do not fill a batch?"""

import keras
import numpy as np

from caviar.evaluate.claims import above, exactly
from caviar.teaching.contract import Choice, Claim, Lesson, Reported, Shown, Variant
from caviar.teaching.rows import circles
from caviar.teaching.seen import Seen

ROWS, BATCH, EPOCHS = 200, 5, 1000


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
    variants=(
        Variant("five", "batches of 5", build, batch_size=BATCH, epochs=EPOCHS),
        Variant("seven", "batches of 7", build, batch_size=7, epochs=40),
        Variant("one", "one row: stochastic gradient descent", build, batch_size=1, epochs=40),
        Variant("all", "all 200 rows: batch gradient descent", build, batch_size=None, epochs=40),
    ),
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
    own_rows="its numbers are those of 200 rows",
)
