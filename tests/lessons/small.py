"""A lesson that trains in a moment: planted so that its claims are known."""

import keras
import numpy as np

from caviar.evaluate.claims import above, exactly
from caviar.teaching.contract import (
    Bars,
    Choice,
    Claim,
    Data,
    Lesson,
    Lines,
    Match,
    Naming,
    Regions,
    Reported,
    Shown,
    Untold,
    Variant,
    Winner,
)
from caviar.teaching.rows import first_rows


def build(n_inputs: int = 2, rate: float = 0.5) -> keras.Model:
    """A logistic regression; a rate of zero never learns."""
    model = keras.Sequential([keras.Input((n_inputs,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile(keras.optimizers.SGD(rate), loss="binary_crossentropy", metrics=["accuracy"])
    return model


def still(n_inputs: int = 2) -> keras.Model:
    """The same with a rate that moves nothing."""
    return build(n_inputs, 1e-9)


def rows(_: object = None) -> Data:
    """Classes that a line parts."""
    x = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    return Data("sixty points", x, (x[:, 0] > 0).astype(int), first_rows(60, 40), origin="drawn")


LESSON = Lesson(
    name="small",
    title="A rate that learns beside one that does not",
    area="learning",
    covers=(),
    why="Nothing is learned without a rate.",
    data=rows,
    variants=(
        Variant("moving", "rate 0.5", build, batch_size=8, epochs=30),
        Variant("still", "rate 0", still, batch_size=8, epochs=30),
    ),
    also=lambda lab, seen: {
        "doubled": 2 * np.arange(len(lab.seeds)),
        "seconds": lab.seconds_in_turns(seen.trainings["still"].variant, turns=2),
    },
    claims=(
        Claim(
            "A rate learns.",
            [],
            lambda seen: seen.final("still", "val_loss") - seen.final("moving", "val_loss"),
            above(0),
            "test loss, still minus moving",
        ),
        Claim(
            "No rate learns as well.",
            [],
            lambda seen: seen.accuracy("still") - seen.accuracy("moving"),
            above(0),
            "accuracy",
        ),
        Claim("Two and two are four.", [], lambda _: 2 + 2, exactly(4), "the sum"),
    ),
    reported=(
        Reported("", "moving", "test accuracy", 1.0, lambda seen: seen.accuracy("moving")),
        Reported("", "still", "test accuracy", 7.0, lambda seen: seen.accuracy("still")),
    ),
    untold=(Untold("", "Nobody measured whether it is pretty."),),
    questions=(
        Winner("Which learns?", lambda seen, name: seen.accuracy(name)),
        Match("val_loss", ("moving", "still")),
        Choice("What is 2 + 2?", ("3", "4"), (1,), "That is a sum."),
        Naming(
            "Name an optimizer.", {"SGD": ["stochastic gradient descent"], "Adam": []}, 1, "There are more."
        ),
    ),
    shows=(Shown("test accuracy", lambda seen, name: seen.accuracy(name)),),
    figures=lambda seen: (
        Lines(
            "A line", np.arange(3.0), {"one": np.arange(3.0), "many": np.ones((len(seen.seeds), 3))}, "x", "y"
        ),
        Bars("Values", {"a": np.arange(5.0)}, "value"),
        Regions("Plane", np.arange(3.0), np.arange(3.0), np.eye(3), np.zeros((2, 2)), np.array([0, 1])),
    ),
    learned="Choose a rate.",
)
