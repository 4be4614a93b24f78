"""Cyclical rates: does a learning rate that climbs and falls train faster, at an equal batch size?"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import numpy as np
from sklearn.preprocessing import StandardScaler

from caviar.evaluate.claims import above, below, between, exactly
from caviar.recipe.schedules import Cyclical
from caviar.teaching.contract import (
    Choice,
    Claim,
    Data,
    Drawing,
    Lesson,
    Lines,
    Reported,
    Shown,
    Variant,
    Winner,
)
from caviar.teaching.rows import SYSTOLIC, holdout, plausible_pressures, table
from caviar.teaching.seen import Lab, Seen, classes

EPOCHS, BATCH = 50, 350
FIXED, BASE, PEAK = 0.01, 0.001, 0.1
UPDATES = 160
"""Of an epoch: 56,000 training rows in batches of 350. The source divides all 70,000 rows and gets 200."""

CLIMB = 5
"""Epochs of a climb: the source's four of 200 updates are five true ones, so that five cycles end at a low rate."""

CYCLE_EPOCHS = 2 * CLIMB


def network(n_inputs: int, rate: Any) -> keras.Model:  # noqa: ANN401
    """Three layers, whose sizes the source does not show: 16 and 8 units and a probability."""
    model = keras.Sequential(
        [
            keras.Input((n_inputs,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.SGD(rate), loss="binary_crossentropy", metrics=["accuracy"])
    return model


def fixed(n_inputs: int = 11) -> keras.Model:
    """One rate from beginning to end."""
    return network(n_inputs, FIXED)


def triangular(n_inputs: int = 11, updates: int = UPDATES) -> keras.Model:
    """A rate that climbs from base to peak and falls back, again and again."""
    return network(n_inputs, schedule(updates))


def mean(n_inputs: int = 11) -> keras.Model:
    """The rate that the cycle has on average, all the time."""
    return network(n_inputs, (BASE + PEAK) / 2)


def schedule(updates: int) -> Cyclical:
    """The cycle, for epochs of so many updates."""
    return Cyclical(base=BASE, peak=PEAK, step_size=CLIMB * updates)


PRESSURES = "it is about blood pressures"
SMALL = 32
SLOW = Variant("fixed", "rate 0.01, batch 350", fixed, BATCH, EPOCHS, prepare=StandardScaler)
TURNING = replace(SLOW, name="triangular", title="rate 0.001 to 0.1, batch 350", build=triangular)
MEAN = replace(SLOW, name="mean rate", title="rate 0.0505, batch 350", build=mean)
SMALL_BATCH = replace(SLOW, name="batch 32", title="rate 0.01, batch 32", batch_size=SMALL)
SOUND = replace(
    SLOW, name="sound rows", title="rate 0.01, batch 350, possible pressures", rows=plausible_pressures
)
SOUND_TURNING = replace(
    TURNING, name="sound rows, triangular", title="0.001 to 0.1, possible pressures", rows=plausible_pressures
)


def also(lab: Lab, seen: Seen) -> Mapping[str, Any]:
    """Seconds of an epoch with Keras' own fit, the rates of all updates, and how pressures are squeezed."""
    timed = (SLOW, TURNING, SMALL_BATCH)
    taken = lab.seconds_in_turns(*timed, turns=6)
    values: dict[str, Any] = {f"seconds {one.name}": some for one, some in zip(timed, taken, strict=True)}
    updates = int(seen.trainings["fixed"].updates)
    values["rates"] = np.asarray(schedule(updates)(np.arange(EPOCHS * updates)), np.float64)
    values["updates"] = updates
    if not lab.rows.is_own:
        train = lab.rows.splits[0][0]
        scaled = StandardScaler().fit(lab.rows.x[train]).transform(lab.rows.x)[:, SYSTOLIC]
        values["spread of possible pressures"] = float(scaled[plausible_pressures(lab.rows)].std())
    return values


def on_other_rows(lesson: Lesson, data: Data) -> tuple[Lesson, Data]:
    """The lesson with a cycle as long as on cardio in epochs, and without blood pressures."""
    updates = -(-len(data.splits[0][0]) // BATCH)
    turning = replace(TURNING, build=partial(triangular, updates=updates))
    best = "Which training ends with the highest accuracy on test rows?"
    elsewhere = replace(
        lesson,
        variants=(SLOW, turning, MEAN, SMALL_BATCH),
        questions=(Winner(best, lambda seen, name: seen.accuracy(name)), *lesson.questions[1:]),
        shows=[one for one in lesson.shows if one.measure is not on_sound_rows],
    )
    return elsewhere, data


def times_as_long(seen: Seen, name: str) -> np.ndarray:
    """Logarithm (base 2) of an epoch's seconds by those of the fixed rate, in the same turn (turn,)."""
    return np.log2(seen[f"seconds {name}"] / seen["seconds fixed"])


def reached(seen: Seen, name: str) -> np.ndarray:
    """The epoch in which a validation loss first is as low as the fixed rate's is at its end (seed,)."""
    target = seen.final("fixed", "val_loss")
    there = seen.log(name, "val_loss") <= target[:, None]
    return np.where(there.any(axis=1), there.argmax(axis=1), there.shape[1]) + 1.0


def on_sound_rows(seen: Seen, name: str) -> np.ndarray:
    """Accuracy of test rows with possible pressures, whatever rows were trained on (seed,)."""
    training, sound = seen.trainings[name], plausible_pressures(seen.rows)
    scores = []
    for seeds in training.outputs["test"]:
        of_folds = []
        for outputs, (_, test) in zip(seeds, training.splits, strict=True):
            kept = sound[test]
            of_folds.append(float((classes(outputs)[kept] == seen.rows.y[test][kept]).mean()))
        scores.append(np.mean(of_folds))
    return np.array(scores)


def turns(seen: Seen) -> bool:
    """Whether rates lie between base and peak, meet both, and repeat after two climbs."""
    rates = seen["rates"]
    step = CLIMB * seen["updates"]
    straight = np.interp(np.arange(len(rates)) % (2 * step), (0, step, 2 * step), (BASE, PEAK, BASE))
    return bool(
        np.isclose(rates.min(), BASE)
        and np.isclose(rates.max(), PEAK)
        and np.allclose(rates, straight, atol=1e-6)
    )


def log_of(name: str, log: str) -> Callable[[Seen], np.ndarray]:
    """A log's last value (seed,)."""
    return lambda seen: seen.final(name, log)


def whole(name: str) -> Callable[[Seen], np.ndarray]:
    """Seconds of fifty epochs with Keras' own fit, one per timing."""
    return lambda seen: np.asarray(seen[f"seconds {name}"] * EPOCHS)


def figures(seen: Seen) -> list[Drawing]:
    """The rate, and the losses at an equal batch size."""
    same = {name: seen.log(name, "val_loss") for name in ("fixed", "triangular", "mean rate")}
    return [
        Lines(
            "The rate of every update",
            np.arange(len(seen["rates"])),
            {"triangular": seen["rates"], "fixed": np.full(len(seen["rates"]), FIXED)},
            "update",
            "learning rate",
        ),
        Lines(
            "Validation loss at an equal batch size",
            np.arange(1, same["fixed"].shape[1] + 1),
            same,
            "epoch",
            "validation loss",
        ),
    ]


LESSON = Lesson(
    name="cyclical-rates",
    title="Learning rates that climb and fall",
    area="learning",
    covers=("clr-sgd-baseline", "clr-triangular"),
    why="The source trains 50 epochs with a fixed rate in 150 seconds, and with a cyclical one in 50, a little "
    "better. But its cyclical run has batches of 350 and the other probably Keras' 32, so here both rates are "
    "trained with 350, and the batch of 32 stands beside them. A control has the cycle's mean rate all the time. "
    "Layer sizes, scaling, loss and bounds are not stated: 16 and 8 units, standardised inputs, cross-entropy "
    "and rates from 0.001 to 0.1 (a decade either side of 0.01) are chosen. A thousand rows have impossible "
    "blood pressures, up to 16,020, which squeeze the others into almost nothing; two variants leave them out.",
    data=table("cardio", lambda y: holdout(y, 0.2, 1)),
    variants=(SLOW, TURNING, MEAN, SMALL_BATCH, SOUND, SOUND_TURNING),
    also=also,
    claims=(
        Claim(
            "A fixed rate ends a little worse than a cyclical one.",
            ["clr-sgd-baseline/0"],
            lambda seen: seen.final("triangular", "val_accuracy") - seen.final("fixed", "val_accuracy"),
            above(0),
            "validation accuracy at the end, triangular minus fixed, equal batch size; 0.003 is reported",
        ),
        Claim(
            "A cyclical rate converges faster than a fixed one.",
            ["clr-sgd-baseline/0", "clr-triangular/0"],
            lambda seen: reached(seen, "triangular") - reached(seen, "fixed"),
            below(0),
            "epochs to the fixed rate's last validation loss, triangular minus fixed, equal batch size",
        ),
        Claim(
            "The loss oscillates slightly with a cyclical rate.",
            ["clr-triangular/1"],
            lambda seen: (
                seen.spread("triangular", "val_loss", last=CYCLE_EPOCHS)
                - seen.spread("fixed", "val_loss", last=CYCLE_EPOCHS)
            ),
            above(0),
            "deviation of the validation loss over the last cycle, triangular minus fixed",
        ),
        Claim(
            "The final accuracy is at least as good.",
            ["clr-triangular/2"],
            lambda seen: seen.final("triangular", "val_accuracy") - seen.final("fixed", "val_accuracy"),
            above(-0.001),
            "validation accuracy at the end, triangular minus fixed; a thousandth less would not count",
        ),
        Claim(
            "A cyclical rate costs nothing per update.",
            ["clr-triangular/3"],
            lambda seen: times_as_long(seen, "triangular"),
            between(np.log2(0.8), np.log2(1.25)),
            "logarithm (base 2) of an epoch's seconds with Keras' fit, triangular by fixed; 0.32 is a quarter more",
            amended="Logarithms of times taken in turns, as times taken one after the other are not paired.",
        ),
        Claim(
            "The rate stays between base and peak, on straight lines.",
            ["clr-triangular/4"],
            turns,
            above(0.5),
            "whether the rates of all updates (8,000 on cardio) meet both and repeat after two climbs",
        ),
        Claim(
            "At an equal mean rate cycling makes no difference that counts.",
            [],
            lambda seen: seen.final("triangular", "val_accuracy") - seen.final("mean rate", "val_accuracy"),
            between(-0.005, 0.005),
            "validation accuracy at the end, triangular minus mean rate; 0.004 is the standard error of 14,000 rows",
            who="caviar",
        ),
        Claim(
            "The time that the source saves is the larger batch's.",
            [],
            lambda seen: times_as_long(seen, "batch 32"),
            above(np.log2(3)),
            "logarithm (base 2) of an epoch's seconds at the same fixed rate, batch 32 by 350; 1.58 is three times, "
            "as 150 s and 50 s are reported",
            who="caviar",
            amended="Logarithms of times taken in turns, as times taken one after the other are not paired.",
        ),
        Claim(
            "At the same fixed rate the smaller batch ends better: it makes up to eleven times as many updates.",
            [],
            lambda seen: seen.final("batch 32", "val_accuracy") - seen.final("fixed", "val_accuracy"),
            above(0),
            "validation accuracy at the end, batch 32 minus 350",
            who="caviar",
        ),
        Claim(
            "An epoch has 160 updates, not 200: only training rows are stepped through.",
            [],
            lambda seen: seen["updates"],
            exactly(UPDATES),
            "gradient steps of an epoch",
            who="caviar",
            only_here="its table has 56,000 training rows",
        ),
        Claim(
            "Impossible pressures squeeze the possible ones into a fifth of a standard deviation.",
            [],
            lambda seen: seen["spread of possible pressures"],
            below(0.2),
            "deviation of possible systolic pressures after standardising all rows; 1 without outliers",
            who="caviar",
            only_here=PRESSURES,
        ),
        Claim(
            "Impossible pressures explain the poor accuracy.",
            [],
            lambda seen: on_sound_rows(seen, "sound rows") - on_sound_rows(seen, "fixed"),
            above(0.02),
            "accuracy of rows with possible pressures, trained and scaled without the others minus with them",
            who="caviar",
            only_here=PRESSURES,
        ),
        Claim(
            "Without them the cyclical rate gains less.",
            [],
            lambda seen: (
                (on_sound_rows(seen, "triangular") - on_sound_rows(seen, "fixed"))
                - (on_sound_rows(seen, "sound rows, triangular") - on_sound_rows(seen, "sound rows"))
            ),
            above(0),
            "gain in accuracy by the cyclical rate on rows with possible pressures, with the others minus without",
            who="caviar",
            only_here=PRESSURES,
        ),
    ),
    reported=(
        Reported("clr-sgd-baseline", "batch 32", "train accuracy", 0.641, log_of("batch 32", "accuracy")),
        Reported(
            "clr-sgd-baseline", "batch 32", "validation accuracy", 0.647, log_of("batch 32", "val_accuracy")
        ),
        Reported(
            "clr-sgd-baseline",
            "batch 32",
            "seconds per epoch",
            3,
            lambda seen: seen["seconds batch 32"],
            digits=0,
        ),
        Reported("clr-sgd-baseline", "batch 32", "seconds", 150, whole("batch 32"), digits=0),
        Reported("clr-triangular", "triangular", "train accuracy", 0.643, log_of("triangular", "accuracy")),
        Reported("clr-triangular", "triangular", "test accuracy", 0.65, log_of("triangular", "val_accuracy")),
        Reported("clr-triangular", "triangular", "seconds (less than)", 50, whole("triangular"), digits=0),
    ),
    questions=(
        Winner(
            "Which training ends with the highest accuracy on rows with possible pressures?",
            on_sound_rows,
            ("fixed", "triangular", "batch 32", "sound rows"),
        ),
        Choice(
            "Two runs differ in their learning rate and in their batch size, and one is three times as fast. Why?",
            ("Because of the rate.", "Because of the batch size.", "That cannot be told from these two."),
            (2,),
            "Two things were changed at once; change one, and measure the time of an update.",
        ),
    ),
    shows=(
        Shown("train accuracy", lambda seen, name: seen.accuracy(name, "train")),
        Shown("test accuracy", lambda seen, name: seen.accuracy(name)),
        Shown("accuracy, possible pressures", on_sound_rows),
        Shown("epochs to the fixed rate's loss", reached),
    ),
    figures=figures,
    learned="Compare rates at an equal batch size and with a fixed rate as high as the cycle's mean, and look at "
    "the rows first: impossible values in one column may matter more than any schedule.",
    own_rows=on_other_rows,
)
