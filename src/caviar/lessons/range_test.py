"""Range test: can a training whose rate climbs say which rates suit a table, and what do wrong ones cost?"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.preprocessing import StandardScaler

from caviar.evaluate.claims import above
from caviar.recipe.schedules import Cyclical, RangeSweep
from caviar.teaching.contract import Choice, Claim, Data, Drawing, Lesson, Lines, Split, Variant, Winner
from caviar.teaching.rows import circles, holdout, plausible_pressures, table
from caviar.teaching.seen import Lab, Seen

ROWS, BATCH, EPOCHS = 4375, 350, 50
UPDATES = 10 * EPOCHS
"""Of a whole training on these rows."""

RATES = tuple(float(f"{rate:.1g}") for rate in np.geomspace(1e-4, 10, 11))
LOWEST, HIGHEST = min(RATES), max(RATES)
FOOT = 4
"""The foot of a cycle is a quarter of its top (Smith 2017, section 3.3)."""

CLIMBS = 10
"""Of five epochs each, so that five cycles end where the rate is low."""

NEAR_SADDLE, SADDLE_UPDATES = 1e-6, 500


def network(rate: Any) -> Callable[..., keras.Model]:  # noqa: ANN401
    """Makes a builder of the network with 16 and 8 units at a rate or schedule."""

    def build(n_inputs: int = 11) -> keras.Model:
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

    return build


def sweep(updates: int = UPDATES) -> RangeSweep:
    """From the lowest to the highest rate on a straight line, as the source says."""
    return RangeSweep(LOWEST, HIGHEST, updates, "linear")


def swept(updates: int = UPDATES) -> np.ndarray:
    """The sweep's mean rate in each epoch (epoch,)."""
    rates = np.asarray(sweep(updates)(np.arange(updates)), np.float64)
    return np.asarray(rates.reshape(EPOCHS, -1).mean(axis=1))


SWEEP = Variant(
    "sweep",
    "the rate climbs to 10",
    network(sweep()),
    BATCH,
    EPOCHS,
    prepare=StandardScaler,
    rows=plausible_pressures,
)


def at(rate: float) -> str:
    """What the variant with a fixed rate is called."""
    return f"rate {rate:g}"


GRID = tuple(replace(SWEEP, name=at(rate), title="fixed rate", build=network(rate)) for rate in RATES)


def some_rows(y: np.ndarray) -> list[Split]:
    """A sixteenth of the rows, four fifths of them to train on."""
    drawn, _ = holdout(y, 1 - ROWS / len(y), 1)[0]
    train, test = holdout(y[drawn], 0.2, 1)[0]
    return [(drawn[train], drawn[test])]


def found(losses: np.ndarray, rates: np.ndarray) -> float:
    """The highest rate for a cycle, from a sweep's training losses (seed, epoch) and its rates (epoch,).

    Where the median of three epochs is lowest: beyond it the loss grows or gets ragged. The median over seeds.
    """
    middles = np.median(sliding_window_view(losses, 3, axis=1), axis=2)
    return float(np.median(rates[middles.argmin(axis=1) + 1]))


def cycled(like: Variant, peak: float, updates: int) -> Variant:
    """A training whose rate cycles below a peak, otherwise like another."""
    schedule = Cyclical(base=peak / FOOT, peak=peak, step_size=updates // CLIMBS)
    return replace(like, title=f"cycle to {peak:.3g}", epochs=EPOCHS, build=network(schedule))


def also(lab: Lab, seen: Seen) -> Mapping[str, Any]:
    """Cycles between tested bounds, and between those of another table; and descent from a saddle."""
    other = circles(ROWS, train=ROWS * 4 // 5)(None)
    elsewhere = lab.train(replace(SWEEP, prepare=None, rows=None), data=other).log("sweep", "loss")
    here, updates = seen.trainings["sweep"].variant, int(seen.trainings["sweep"].updates) * EPOCHS
    peaks = found(seen.log("sweep", "loss"), swept(updates)), found(elsewhere, swept())
    ours, theirs = (
        replace(cycled(here, peak, updates), name=name)
        for peak, name in zip(peaks, ("own", "other"), strict=True)
    )
    trained = lab.train(ours, theirs)
    values: dict[str, Any] = {"peak": peaks[0], "peak elsewhere": peaks[1], "loss elsewhere": elsewhere}
    for name in ("own", "other"):
        values[f"{name} accuracy"] = trained.accuracy(name)
        values[f"{name} loss"] = trained.final(name, "val_loss")
    starts = np.array([lab.rng(place).normal(size=2) for place in range(len(lab.seeds))])
    for name, rates in descents().items():
        values[f"saddle {name}"] = descend(rates, starts[:, 0], NEAR_SADDLE * starts[:, 1])
    return values


def on_other_rows(lesson: Lesson, data: Data) -> tuple[Lesson, Data]:
    """The lesson on all rows of another table, with a sweep as long in epochs."""
    updates = -(-len(data.splits[0][0]) // BATCH) * EPOCHS
    every = [replace(one, rows=None) for one in lesson.variants]
    return replace(lesson, variants=(replace(every[0], build=network(sweep(updates))), *every[1:])), data


def descents() -> dict[str, np.ndarray]:
    """Rates of every update of the descents that begin beside a saddle (update,)."""
    small = np.full(SADDLE_UPDATES, 0.01)
    lowered = np.where(np.arange(SADDLE_UPDATES) < SADDLE_UPDATES // 2, 0.01, 0.001)
    cycling = np.asarray(Cyclical(base=0.01, peak=0.5, step_size=50)(np.arange(SADDLE_UPDATES)), np.float64)
    return {
        "small": small,
        "lowered": lowered,
        "cycling": cycling,
        "mean": np.full(SADDLE_UPDATES, cycling.mean()),
    }


def descend(rates: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Loss x²/2 + y⁴/4 - y²/2 after every update of gradient descent (start, update).

    It has a saddle at 0, where it is 0, and its lowest points at y = ±1, where it is -1/4.
    """
    losses = []
    for rate in rates:
        x, y = x - rate * x, y - rate * (y**3 - y)
        losses.append(x**2 / 2 + y**4 / 4 - y**2 / 2)
    return np.stack(losses, axis=1)


def best(seen: Seen) -> str:
    """The fixed rate with the lowest mean test loss at the end."""
    return min(
        map(at, RATES), key=lambda name: float(np.nan_to_num(seen.final(name, "val_loss").mean(), nan=99))
    )


def broken(seen: Seen) -> np.ndarray:
    """Whether the highest rate ends no better than a coin (seed,)."""
    return ~(seen.final(at(HIGHEST), "loss") < 0.68)


def behind_from_the_start(seen: Seen, rate: float) -> np.ndarray:
    """Test loss after the first epoch, of a rate minus of the best one (seed,)."""
    name, first = best(seen), slice(0, 1)
    return np.asarray(seen.log(at(rate), "val_loss")[:, first] - seen.log(name, "val_loss")[:, first])[:, 0]


def figures(seen: Seen) -> list[Drawing]:
    """The range test, the fixed rates' ends, and the descents from the saddle."""
    losses = seen.log("sweep", "loss")
    epochs = losses.shape[1]
    rates = swept(int(seen.trainings["sweep"].updates) * EPOCHS)[:epochs]
    ends = np.stack([seen.final(at(rate), "val_loss") for rate in RATES], axis=1)
    return [
        Lines(
            "Range test: training loss while the rate climbs",
            rates,
            {"these rows": losses, "circles": seen["loss elsewhere"][:, :epochs]},
            "learning rate",
            "training loss",
        ),
        Lines(
            "Fixed rates: test loss at the end",
            np.array(RATES),
            {"50 epochs": ends},
            "learning rate",
            "test loss",
            log_x=True,
        ),
        Lines(
            "Descent from beside a saddle",
            np.arange(1, SADDLE_UPDATES + 1),
            {name: seen[f"saddle {name}"] for name in descents()},
            "update",
            "loss",
        ),
    ]


LESSON = Lesson(
    name="range-test",
    title="Which rates to cycle between",
    area="learning",
    covers=("clr-range-test", "clr-background"),
    why="Do rates that suited one table suit the next? In a range test the rate climbs within one short "
    "training; where the loss is lowest before it grows, the rate counts as the highest one. Eleven fixed rates "
    "are trained beside it, the lowest and the highest far too low and high. All use a sixteenth of cardio's "
    "rows, those with possible blood pressures, so that 50 epochs of ten updates are two and a half passes over "
    "the whole table. Start, end and length of the test are not stated: 0.0001 to 10 on a straight line is "
    "chosen, and a cycle from a quarter of the rate found up to it. What a low rate does at a saddle is computed "
    "on a function of two numbers.",
    data=table("cardio", some_rows),
    variants=(SWEEP, *GRID),
    also=also,
    claims=(
        Claim(
            "The range test finds good rates without a grid.",
            ["clr-range-test/0"],
            lambda seen: seen["own accuracy"] - seen.accuracy(best(seen)),
            above(-0.01),
            "test accuracy, cycle between tested bounds minus best of eleven fixed rates; a hundredth less is close",
        ),
        Claim(
            "Rates of another table do not carry over.",
            ["clr-range-test/0"],
            lambda seen: seen["own accuracy"] - seen["other accuracy"],
            above(0),
            "test accuracy, bounds of a test on these rows minus of one on noisy circles",
        ),
        Claim(
            "Too small a rate is very slow.",
            ["clr-background/0"],
            lambda seen: (
                seen.final(at(LOWEST), "val_loss") > seen.log(best(seen), "val_loss")[:, :5].min(axis=1)
            ),
            above(0.5),
            "share of seeds in which 50 epochs at 0.0001 do not reach what the best rate has after five",
        ),
        Claim(
            "Too large a rate diverges.",
            ["clr-background/0"],
            broken,
            above(0.5),
            "share of trainings at a rate of 10 that end at a loss of 0.68 or more; a coin costs 0.69",
        ),
        Claim(
            "Too low a rate hurts from the start.",
            ["clr-background/1"],
            lambda seen: behind_from_the_start(seen, LOWEST),
            above(0),
            "test loss after one epoch, rate 0.0001 minus the best rate",
        ),
        Claim(
            "Too high a rate hurts from the start.",
            ["clr-background/1"],
            lambda seen: behind_from_the_start(seen, HIGHEST),
            above(0),
            "test loss after one epoch, rate 10 minus the best rate",
        ),
        Claim(
            "Lowering the rate does not free a descent from a saddle.",
            ["clr-background/2"],
            lambda seen: seen["saddle lowered"][:, -1] > -0.01,
            above(0.5),
            "share of starts that are still beside it, where the loss is 0, after 500 updates; the lowest is -0.25",
        ),
        Claim(
            "A cycling rate escapes from it.",
            ["clr-background/2"],
            lambda seen: seen["saddle cycling"][:, -1] < -0.24,
            above(0.5),
            "share of starts that have reached the lowest loss after as many updates",
        ),
        Claim(
            "So does a fixed rate as high as the cycle's mean: the height frees, not the cycle.",
            [],
            lambda seen: seen["saddle mean"][:, -1] < -0.24,
            above(0.5),
            "share of starts that have reached the lowest loss at the cycle's mean rate",
            who="caviar",
        ),
    ),
    questions=(
        Winner(
            "Which fixed rate ends with the lowest test loss?",
            lambda seen, name: seen.final(name, "val_loss"),
            tuple(at(rate) for rate in RATES[::2]),
            highest=False,
        ),
        Choice(
            "In a range test the loss falls up to a rate of 1 and grows beyond it. Between which rates do you cycle?",
            ("0.0001 and 0.001", "0.25 and 1", "1 and 10"),
            (1,),
            "The highest rate is where the loss stops falling, and the lowest a quarter or a third of it.",
        ),
    ),
    curves=("loss", "val_loss"),
    figures=figures,
    learned="Whether the bounds of a range test come within a hundredth of the best fixed rate could not be told, nor "
    "whether bounds of another table are any worse: try fixed rates beside it, as `caviar lr-range` does. Beside a "
    "saddle a fixed rate as high as the cycle's mean freed as well: try one before crediting a cycle.",
    own_rows=on_other_rows,
)
