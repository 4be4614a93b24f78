"""Learning rate schedules: what does a rate that falls during training do to the curves and to the score?"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import numpy as np
from keras.optimizers.schedules import ExponentialDecay
from sklearn.preprocessing import StandardScaler

from caviar.evaluate.claims import above, below, between
from caviar.recipe.schedules import StepDecay
from caviar.teaching.contract import (
    Choice,
    Claim,
    Data,
    Lesson,
    Lines,
    Match,
    Measure,
    Reported,
    Untold,
    Variant,
    Winner,
    reported_accuracies,
)
from caviar.teaching.own_rows import changed
from caviar.teaching.rows import circles
from caviar.teaching.seen import Seen

BATCH, EPOCHS = 32, 300
UPDATES = 16 * EPOCHS
"""Of a whole training: 500 rows are 16 batches of 32 rows or fewer."""
STILL = 0.001
"""Test loss, in nats, within which a curve counts as constant: a four-hundredth of what it is here."""


def network(n_inputs: int) -> keras.Model:
    """The network of the course, not yet compiled."""
    return keras.Sequential(
        [
            keras.Input((n_inputs,)),
            keras.layers.Dense(50, activation="relu"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )


def build(n_inputs: int = 2, rate: Any = 0.01) -> keras.Model:  # noqa: ANN401 - a number or a Keras schedule
    """It descends by a learning rate, or by a schedule of one."""
    model = network(n_inputs)
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), loss="binary_crossentropy", metrics=["accuracy"])
    return model


def build_adam(n_inputs: int = 2) -> keras.Model:
    """The same with Adam, which has step sizes of its own for each weight."""
    model = network(n_inputs)
    model.compile("adam", loss="binary_crossentropy", metrics=["accuracy"])
    return model


def step_decay(updates: int, n_inputs: int = 2) -> keras.Model:
    """Half the rate after every quarter of a training of so many updates."""
    return build(n_inputs, StepDecay(initial=0.01, factor=0.5, every=updates // 4))


def exponential_decay(first: float, updates: int, n_inputs: int = 2) -> keras.Model:
    """A tenth of the first rate after so many updates, always falling."""
    return build(n_inputs, ExponentialDecay(first, decay_steps=updates, decay_rate=0.1))


def times_each_update(factor: float, n_inputs: int = 2) -> keras.Model:
    """The rate times a factor after every update, as one source has it."""
    return build(n_inputs, ExponentialDecay(0.01, decay_steps=1, decay_rate=factor))


def plateau(**settings: float) -> keras.callbacks.ReduceLROnPlateau:
    """A tenth of the rate whenever the test loss has not fallen for five epochs."""
    return keras.callbacks.ReduceLROnPlateau(
        monitor="val_loss", factor=0.1, patience=5, min_delta=1e-7, **settings
    )


def trained(name: str, title: str, build: Callable[..., keras.Model], *callbacks: Any) -> Variant:  # noqa: ANN401
    """All variants share batch size and epochs."""
    return Variant(name, title, build, BATCH, EPOCHS, callbacks)


def variants(updates: int = UPDATES) -> tuple[Variant, ...]:
    """All ways to set the rate, for trainings of so many updates."""
    slow, fast = (partial(exponential_decay, first, updates) for first in (0.01, 0.1))
    return (
        trained("none", "rate 0.01", build),
        trained("plateau", "a tenth on each plateau", build, plateau()),
        trained("plateau, floor", "the same, not below 0.001", build, plateau(min_lr=0.001)),
        trained("adam", "Adam", build_adam),
        trained("adam, plateau", "Adam, a tenth on each plateau", build_adam, plateau()),
        trained("step", "half after every 75 epochs", partial(step_decay, updates)),
        trained("exponential", "falling to a tenth", slow),
        trained("0.99 each update", "times 0.99 after every update", partial(times_each_update, 0.99)),
        trained("0.9 each update", "times 0.9 after every update", partial(times_each_update, 0.9)),
        trained("fast", "rate 0.1", partial(build, rate=0.1)),
        trained("fast, exponential", "rate 0.1, falling to a tenth", fast),
    )


def rate_exponent(seen: Seen, variant: str, after: int | None = None) -> np.ndarray:
    """Logarithm (base 10) of the rate, of the last epoch or of the one after this many (seed,)."""
    rates = seen.log(variant, "learning_rate")
    rate = rates[:, -1 if after is None else min(after, rates.shape[1] - 1)]
    return np.log10(np.maximum(rate, 1e-37))  # 1e-38 is where float32 ends


def drop_epochs(rates: np.ndarray) -> np.ndarray:
    """Epochs, from 1, after which the rate of a training (epoch,) fell."""
    return np.flatnonzero(np.diff(rates) < 0) + 1


def nth_drop(n: int) -> Measure:
    """The epoch after which the rate fell for the n-th time, counted from 0; the last one if it never did."""

    def measure(seen: Seen) -> np.ndarray:
        rates = seen.log("plateau", "learning_rate")
        return np.array([[*drop_epochs(one), *[len(one)] * (n + 1)][n] for one in rates])

    return measure


def falls_by_tens(seen: Seen, variant: str = "plateau") -> np.ndarray:
    """Whether a training's rate falls at all, each time to a tenth and after five epochs or more (seed,)."""
    held = []
    for rates in seen.log(variant, "learning_rate"):
        drops = drop_epochs(rates)
        tenth = np.isclose(rates[drops], 0.1 * rates[drops - 1], rtol=1e-3)
        held.append(len(drops) > 0 and bool(tenth.all()) and bool((np.diff([0, *drops]) >= 5).all()))
    return np.array(held)


def at_the_end(seen: Seen, variant: str, log: str = "val_loss") -> np.ndarray:
    """Mean of a loss over the last 20 epochs (seed,)."""
    return seen.late(variant, log, 20)


def gained_by_falls(seen: Seen) -> np.ndarray:
    """Test loss of the five epochs before the plateau schedule first acts, minus that of the last 20 (seed,)."""
    curves, falls = seen.log("plateau", "val_loss"), nth_drop(0)(seen)
    before = [curve[max(0, fall - 5) : fall].mean() for curve, fall in zip(curves, falls, strict=True)]
    return np.array(before) - at_the_end(seen, "plateau")


def late_range(seen: Seen, variant: str) -> np.ndarray:
    """Highest minus lowest test loss of the last 100 epochs (seed,)."""
    return np.ptp(seen.log(variant, "val_loss")[:, -100:], axis=1)


def converged(seen: Seen, variant: str) -> np.ndarray:
    """The epoch, from 1, in which the test loss first is within 1 % of its last value, or below (seed,)."""
    curves = seen.log(variant, "val_loss")
    return np.argmax(curves <= 1.01 * curves[:, -1:], axis=1) + 1


def constant_from(seen: Seen, variant: str) -> np.ndarray:
    """The epoch, from 1, from which the test loss stays as it ends (seed,)."""
    curves = seen.log(variant, "val_loss")
    moves = np.abs(curves - curves[:, -1:]) > STILL
    return np.array([np.flatnonzero(row)[-1] + 2 if row.any() else 1 for row in moves])


def reached(seen: Seen, variant: str) -> np.ndarray:
    """The epoch, from 1, in which the test loss first is as low as without decay at the end, or one more (seed,)."""
    there = seen.log(variant, "val_loss") <= at_the_end(seen, "none")[:, None]
    return np.where(there.any(axis=1), there.argmax(axis=1), there.shape[1]) + 1.0


def sooner(variant: str) -> Measure:
    """How many epochs earlier than without decay a variant gets as low."""
    return lambda seen: reached(seen, "none") - reached(seen, variant)


def on_other_rows(lesson: Lesson, data: Data) -> tuple[Lesson, Data]:
    """The lesson with schedules as long as a training on these rows, which are standardised."""
    updates = -(-len(data.splits[0][0]) // BATCH)
    until = "epochs until the test loss is as low as without decay from 0.01 at the end, without decay minus"
    elsewhere = replace(
        lesson,
        why="A plateau schedule cuts the rate to a tenth whenever the test loss has not fallen for five epochs. The "
        "network is trained with it, without, with a floor and with Adam, beside schedules that only look at the "
        f"number of the update. An epoch of your rows has {updates:,} updates instead of 16, so step and exponential "
        "decay are stretched to reach the same rates in the same epochs; the rate times 0.9 or 0.99 after every update "
        "stays as it is. Inputs are standardised. The plateau schedule watches the rows that it is scored on, so its "
        "scores are flattered.",
        variants=[replace(one, prepare=StandardScaler) for one in variants(updates * EPOCHS)],
        claims=changed(
            lesson.claims,
            {
                "Exponential decay speeds convergence.": {
                    "measure": sooner("exponential"),
                    "about": f"{until} with exponential decay",
                },
                "A large first rate that decays gets there sooner than a small one that stays.": {
                    "measure": sooner("fast, exponential"),
                    "about": f"{until} with exponential decay from 0.1",
                },
            },
        ),
    )
    return elsewhere, data


def figures(seen: Seen) -> Sequence[Lines]:
    """How rates fall, and what becomes of the test loss."""
    rates = ("none", "plateau", "plateau, floor", "adam, plateau")
    schedules = ("none", "step", "exponential", "0.99 each update", "0.9 each update")
    epochs = np.arange(1, seen.log("none", "loss").shape[1] + 1)
    return (
        Lines(
            "Learning rate",
            epochs,
            {name: np.maximum(seen.log(name, "learning_rate"), 1e-37) for name in rates},
            "epoch",
            "rate",
            log_y=True,
        ),
        Lines(
            "Test loss under schedules that the number of the update decides",
            epochs,
            {name: seen.log(name, "val_loss") for name in schedules},
            "epoch",
            "test loss",
        ),
    )


ACCURACIES = (
    *reported_accuracies("mc-l3-plateau", "plateau", 0.838, 0.846, "R2"),
    *reported_accuracies("mc-l3-plateau", "plateau", 0.898, 0.896, "R3, changed code"),
    *reported_accuracies("mc-l3-plateau", "plateau", 0.828, 0.852, "R6"),
    *reported_accuracies("mc-l3-plateau", "plateau", 0.826, 0.854, "R8"),
    *reported_accuracies("mc-l3-none", "none", 0.824, 0.848, "R6"),
    *reported_accuracies("mc-l3-none", "none", 0.828, 0.856, "R8"),
)


def reported_rate(what: str, exponent: float, after: int, who: str) -> Reported:
    """A rate that a reader saw, as a power of ten."""
    return Reported(
        "mc-l3-plateau",
        "plateau",
        f"logarithm (base 10) of the rate {what}",
        exponent,
        lambda seen: rate_exponent(seen, "plateau", after),
        who,
        digits=0,
    )


LESSON = Lesson(
    name="schedules",
    title="Learning rate schedules",
    area="learning",
    covers=("mc-l3-plateau", "mc-l3-none", "mc-l3-adam-plateau"),
    why="A plateau schedule cuts the rate to a tenth whenever the test loss has not fallen for five epochs. The curves "
    "then become smooth and constant, which the source calls converged; but a rate without a floor would also bring a "
    "network to rest that has not learned yet. So it is trained with the schedule, without, with a floor and with "
    "Adam, beside schedules that only look at the number of the update. One source multiplies the rate by 0.9 or 0.99 "
    "after every update, in a paragraph on how to choose a rate; that is tried as it stands. The schedules' sources "
    "name no numbers: here they end at a tenth or an eighth of the first rate. The schedule watches the rows "
    "that it is scored on, as in the source, so its scores are flattered.",
    data=circles(1000, train=500),
    variants=variants(),
    claims=(
        Claim(
            "The schedule cuts the rate to a tenth, each time after five epochs or more.",
            ["mc-l3-plateau/0"],
            falls_by_tens,
            above(0.5),
            "share of seeds in which every fall of the recorded rate is so, and there is one",
        ),
        Claim(
            "Without a floor the rate falls to about 1e-20.",
            ["mc-l3-plateau/0"],
            lambda seen: rate_exponent(seen, "plateau"),
            below(-19),
            "logarithm (base 10) of the rate in the last of 300 epochs",
        ),
        Claim(
            "The schedule fine-tunes the weights: the test loss ends lower than where the rate first fell.",
            ["mc-l3-plateau/0", "mc-summary-claims/1"],
            gained_by_falls,
            above(0),
            "test loss of the five epochs before the first fall of the rate, minus that of the last 20",
        ),
        Claim(
            "The test loss becomes constant with the schedule.",
            ["mc-l3-plateau/1"],
            lambda seen: late_range(seen, "plateau"),
            below(STILL),
            "highest minus lowest test loss of the last 100 epochs",
        ),
        Claim(
            "Without the schedule it does not.",
            ["mc-l3-plateau/1"],
            lambda seen: late_range(seen, "none") - late_range(seen, "plateau"),
            above(STILL),
            "the same, without minus with the schedule",
        ),
        Claim(
            "Final accuracy with and without the schedule is nearly the same.",
            ["mc-l3-plateau/2"],
            lambda seen: np.abs(seen.accuracy("plateau") - seen.accuracy("none")),
            below(0.02),
            "difference of test accuracy, without sign",
            who="reader",
        ),
        Claim(
            "Without the schedule the loss needs much longer to converge.",
            ["mc-l3-none/0"],
            lambda seen: np.log2(converged(seen, "none") / converged(seen, "plateau")),
            above(1),
            "logarithm (base 2) of the epoch in which the test loss first is within 1 % of its last value, without by "
            "with the schedule; 1 is twice as many",
            who="reader",
        ),
        Claim(
            "Without the schedule it looks like a good fit.",
            ["mc-l3-none/0"],
            lambda seen: at_the_end(seen, "none") - at_the_end(seen, "none", "loss"),
            between(-0.05, 0.05),
            "test minus training loss over the last 20 epochs; a twentieth of a nat is about a tenth of the loss",
            who="reader",
        ),
        Claim(
            "Constant is not converged: without the schedule the test loss ends lower.",
            [],
            lambda seen: at_the_end(seen, "plateau") - at_the_end(seen, "none"),
            above(0),
            "test loss over the last 20 epochs, with minus without the schedule",
            who="caviar",
        ),
        Claim(
            "A schedule without a floor freezes training: with a floor the training loss ends lower.",
            [],
            lambda seen: at_the_end(seen, "plateau", "loss") - at_the_end(seen, "plateau, floor", "loss"),
            above(0),
            "training loss over the last 20 epochs, without minus with the floor",
            who="caviar",
        ),
        Claim(
            "No rate of 1e-26 is possible in epoch 26, as a reader has it: five epochs for each fall allow 1e-7.",
            [],
            lambda seen: rate_exponent(seen, "plateau", 25) > -7.5,
            above(0.5),
            "share of seeds whose rate in epoch 26 is 1e-7 or more",
            who="caviar",
        ),
        Claim(
            "The plateau schedule acts on Adam too: it cuts the rate that all of Adam's steps are multiplied by.",
            [],
            lambda seen: falls_by_tens(seen, "adam, plateau"),
            above(0.5),
            "share of seeds in which every fall of the recorded rate is to a tenth, and there is one",
            who="caviar",
        ),
        Claim(
            "The plateau schedule brings Adam to rest as well.",
            [],
            lambda seen: late_range(seen, "adam") - late_range(seen, "adam, plateau"),
            above(STILL),
            "highest minus lowest test loss of the last 100 epochs, Adam without minus with the schedule",
            who="caviar",
        ),
        Claim(
            "Step decay improves the test score.",
            ["hp-seven/3"],
            lambda seen: at_the_end(seen, "none") - at_the_end(seen, "step"),
            above(0),
            "test loss over the last 20 epochs, without decay minus with it, from 0.01",
        ),
        Claim(
            "Exponential decay improves the test score.",
            ["hp-seven/3"],
            lambda seen: at_the_end(seen, "none") - at_the_end(seen, "exponential"),
            above(0),
            "test loss over the last 20 epochs, without decay minus with it, from 0.01",
        ),
        Claim(
            "Exponential decay speeds convergence.",
            ["hp-seven/3"],
            lambda seen: (
                seen.epochs_to("none", "val_accuracy", 0.8)
                - seen.epochs_to("exponential", "val_accuracy", 0.8)
            ),
            above(0),
            "epochs until 0.8 test accuracy, without decay minus with it, from 0.01",
        ),
        Claim(
            "Decay helps where the first rate is large: from 0.1 it improves the test score.",
            [],
            lambda seen: at_the_end(seen, "fast") - at_the_end(seen, "fast, exponential"),
            above(0),
            "test loss over the last 20 epochs, without decay minus with exponential decay, from 0.1",
            who="caviar",
        ),
        Claim(
            "A large first rate that decays gets there sooner than a small one that stays.",
            [],
            lambda seen: (
                seen.epochs_to("none", "val_accuracy", 0.8)
                - seen.epochs_to("fast, exponential", "val_accuracy", 0.8)
            ),
            above(0),
            "epochs until 0.8 test accuracy, 0.01 without decay minus 0.1 with exponential decay",
            who="caviar",
        ),
        Claim(
            "The rate times 0.99 after every update ends training before the network has learned.",
            [],
            lambda seen: seen.accuracy("none") - seen.accuracy("0.99 each update"),
            above(0.05),
            "test accuracy, constant rate minus decay; all rates together are worth 100 updates at the first",
            who="caviar",
        ),
        Claim(
            "The rate times 0.9 after every update ends it earlier still.",
            [],
            lambda seen: (
                at_the_end(seen, "0.9 each update", "loss") - at_the_end(seen, "0.99 each update", "loss")
            ),
            above(0),
            "training loss over the last 20 epochs, factor 0.9 minus factor 0.99",
            who="caviar",
        ),
    ),
    reported=(
        *ACCURACIES,
        reported_rate("after epoch 292", -21, 292, "R6"),
        reported_rate("after epoch 297", -22, 297, "R6"),
        reported_rate("in epoch 26", -26, 25, "R7, impossible"),
        *(
            Reported(
                "mc-l3-plateau", "plateau", f"epoch of fall {n + 1} of the rate", epoch, nth_drop(n), "R7", 0
            )
            for n, epoch in enumerate((6, 11, 16, 21, 26))
        ),
        Reported(
            "mc-l3-plateau",
            "plateau",
            "epoch from which the test loss is constant",
            25,
            lambda seen: constant_from(seen, "plateau"),
            "R7",
            digits=0,
        ),
    ),
    untold=(
        Untold(
            "mc-l3-plateau",
            "Reader R4's four numbers are of a table of their own, whose rows nobody else has.",
        ),
    ),
    questions=(
        Match("val_loss", ("none", "plateau", "0.99 each update")),
        Winner(
            "Which of these ends with the lowest test loss?",
            at_the_end,
            ("none", "plateau", "plateau, floor", "exponential"),
            highest=False,
        ),
        Choice(
            "A schedule may cut the rate of 0.01 to a tenth after every five epochs. How low can it be in epoch 26?",
            ("1e-7", "1e-12", "1e-26"),
            [0],
            "Five times five epochs have passed, so there were five cuts at most.",
        ),
    ),
    figures=figures,
    learned="A curve that has become flat says that the steps have become small, not that nothing is left to learn. "
    "Give a plateau schedule a floor, and look at its rate beside its loss.",
    own_rows=on_other_rows,
)
