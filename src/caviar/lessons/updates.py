"""Updates: which batch size is best once every one of them may take as many steps, or see as many rows?"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np

from caviar.evaluate.claims import above, below, between
from caviar.teaching.contract import Choice, Claim, Lesson, Lines, Shown, Variant, Winner
from caviar.teaching.rows import circles
from caviar.teaching.seen import Lab, Seen, along

SMALL, LARGE = (2, 4, 8, 16, 32), (64, 128, 256)
RATES = (0.001, 0.01, 0.1, 1.0)
EPOCHS = {16: 250, 32: 250, 500: 4000}
"""Epochs of those batch sizes that need more than `SAMPLED` for as many updates as the others."""
SAMPLED = 100
"""Epochs after which all batch sizes have seen as many rows."""
BUDGET = 4000
"""Updates that four batch sizes are compared at: all epochs of full batch, 32 of four rows."""


def build(rate: float = 0.01, n_inputs: int = 2, *, summed: bool = False) -> keras.Model:
    """The network of the course with a learning rate, and the losses of a batch averaged or summed."""
    model = keras.Sequential(
        [
            keras.Input((n_inputs,)),
            keras.layers.Dense(50, activation="relu"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    loss = keras.losses.BinaryCrossentropy(reduction="sum" if summed else "sum_over_batch_size")
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), loss=loss, metrics=["accuracy"])
    return model


def named(size: int, rate: float = 0.01) -> str:
    """Name of a variant; the rate of the source goes without saying."""
    return str(size) if rate == 0.01 else f"{size} at {rate:g}"


def of_size(size: int, rate: float = 0.01) -> Variant:
    """A variant; those of one size differ in a number only and train together."""
    title = f"{size} rows a step, rate {rate:g}"
    return Variant(named(size, rate), title, partial(build, rate), size, EPOCHS.get(size, SAMPLED))


def row_gradients(model: keras.Model, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Gradient of each row's loss by the network's weights (row, weight), by the chain rule on paper.

    Args:
        model: A network as `build` makes it.
        x: Inputs (row, feature).
        y: Classes 0 and 1 (row,).
    """
    inner, inner_bias, outer, outer_bias = (w.astype(float) for w in model.get_weights())
    hidden = np.maximum(x @ inner + inner_bias, 0)
    error = 1 / (1 + np.exp(-(hidden @ outer + outer_bias))) - y[:, None]
    below_relu = error * outer[:, 0] * (hidden > 0)
    by_inner = x[:, :, None] * below_relu[:, None, :]
    return np.hstack([by_inner.reshape(len(x), -1), below_relu, hidden * error, error])


def gradient_variance(gradients: np.ndarray, size: int, rng: np.random.Generator, batches: int) -> float:
    """Mean squared distance of a mini-batch's gradient from that of all rows, batches drawn without replacement.

    Args:
        gradients: Of each row (row, weight).
        size: Rows of a batch.
        rng: Draws the batches.
        batches: How many.
    """
    rows = np.argsort(rng.random((batches, len(gradients))), axis=1)[:, :size]
    taken = np.zeros((batches, len(gradients)))
    np.put_along_axis(taken, rows, 1 / size, axis=1)
    return float(np.square(taken @ gradients - gradients.mean(axis=0)).sum(axis=1).mean())


def beyond_the_variants(lab: Lab, seen: Seen) -> Mapping[str, Any]:
    """Variance of the gradient at each trained network by batch size (seed, size); seconds of epochs, 4 rows by 16."""
    train, _ = lab.rows.splits[0]
    variances = []
    for i in range(len(lab.seeds)):
        gradients = row_gradients(seen.model("32", i), lab.rows.x[train], lab.rows.y[train])
        variances.append(
            [gradient_variance(gradients, size, lab.rng(i), batches=500) for size in (*SMALL, *LARGE)]
        )
    taken = lab.seconds_in_turns(*(seen.trainings[size].variant for size in ("4", "16")))
    return {"variance": np.array(variances), "times as long": taken[0] / taken[1]}


def power_of_size(seen: Seen) -> np.ndarray:
    """The power of the batch size that the variance follows from 2 to 32 rows, by least squares (seed,)."""
    some = seen["variance"][:, : len(SMALL)]
    return np.polyfit(np.log(SMALL), np.log(some).T, 1)[0]


def short_of_one_by_b(seen: Seen) -> np.ndarray:
    """Variance at 256 rows, as a share of what one over the batch size makes of that at 2 rows (seed,)."""
    return seen["variance"][:, -1] * LARGE[-1] / (seen["variance"][:, 0] * SMALL[0])


def after_epoch(seen: Seen, variant: str, epoch: float, log: str = "val_accuracy") -> np.ndarray:
    """A log in the last epoch that began before this one was over, the first one at least (seed,)."""
    curve = seen.log(variant, log)
    return curve[:, min(max(1, int(epoch)), curve.shape[1]) - 1]


def at_equal_updates(seen: Seen, variant: str) -> np.ndarray:
    """Test accuracy after as many updates as full batch makes in all (seed,)."""
    return after_epoch(seen, variant, BUDGET / seen.trainings[variant].updates)


def at_equal_rows(seen: Seen, variant: str) -> np.ndarray:
    """Test accuracy when every size has seen as many rows (seed,)."""
    return after_epoch(seen, variant, SAMPLED)


def best_of(seen: Seen, variants: Sequence[str]) -> np.ndarray:
    """Test accuracy, after as many rows, of the variant that is best in the other seeds (seed,).

    Chosen by the seed's own scores, the group with more variants would win by choosing alone.
    """
    scores = np.array([at_equal_rows(seen, variant) for variant in variants])
    others = scores.sum(axis=1, keepdims=True) - scores
    return np.take_along_axis(scores, others.argmax(axis=0)[None], axis=0)[0]


def updates_to(seen: Seen, variant: str, accuracy: float) -> np.ndarray:
    """Updates until the test accuracy first is this high (seed,)."""
    return seen.epochs_to(variant, "val_accuracy", accuracy) * seen.trainings[variant].updates


def smallest_stable_is_best(seen: Seen, *, steady: float = 0.02, near: float = 0.01) -> np.ndarray:
    """Whether the smallest size whose test loss is steady scores as high as any other, at equal updates (seed,).

    Args:
        seen: What was measured.
        steady: Standard deviation of the test loss over the 20 epochs before the budget ends, at most.
        near: Accuracy that nobody would notice.
    """
    sizes = ("4", "16", "32", "500")
    scores = np.array([at_equal_updates(seen, size) for size in sizes])
    wobble = []
    for size in sizes:
        until_then = seen.log(size, "val_loss")[:, : int(BUDGET / seen.trainings[size].updates)]
        wobble.append(until_then[:, -20:].std(axis=1, ddof=1))
    stable = np.array(wobble) <= steady
    score = np.take_along_axis(scores, stable.argmax(axis=0)[None], axis=0)[0]
    return stable.any(axis=0) & (score >= scores.max(axis=0) - near)


def apart(seen: Seen, one: str, other: str) -> np.ndarray:
    """Mean difference of two trainings' probabilities of the test rows, without sign (seed,)."""
    pairs = zip(seen.trainings[one].outputs["test"], seen.trainings[other].outputs["test"], strict=True)
    return np.array([np.mean([np.abs(a - b).mean() for a, b in zip(*both, strict=True)]) for both in pairs])


def figures(seen: Seen) -> Sequence[Lines]:
    """Accuracy by updates and by rows seen; variance by batch size."""
    sizes = ("4", "16", "32", "500")
    updates = {s: seen.trainings[s].updates * np.arange(1, seen.log(s, "loss").shape[1] + 1) for s in sizes}
    steps = np.geomspace(1, max(some[-1] for some in updates.values()), 200)
    by_size = np.array((*SMALL, *LARGE))
    tried = [[after_epoch(seen, named(b, rate), SAMPLED) for b in by_size] for rate in RATES]
    return (
        Lines(
            "Test accuracy against updates",
            steps,
            {f"{s} rows": along(seen.log(s, "val_accuracy"), updates[s], steps) for s in sizes},
            "gradient steps",
            "test accuracy",
            log_x=True,
        ),
        Lines(
            "Test accuracy when all have seen as many rows",
            by_size,
            {f"rate {rate:g}": np.array(some).T for rate, some in zip(RATES, tried, strict=True)},
            "rows a step",
            "test accuracy",
            log_x=True,
        ),
        Lines(
            "Variance of the gradient",
            by_size,
            {
                "measured": seen["variance"],
                "one over the batch size": seen["variance"][:, 0].mean() * SMALL[0] / by_size,
            },
            "rows a step",
            "squared distance from the gradient of all rows",
            log_x=True,
            log_y=True,
        ),
    )


def schedule() -> keras.callbacks.Callback:
    """The plateau schedule of the course's next lesson."""
    return keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.1, patience=5, min_delta=1e-7)


LESSON = Lesson(
    name="updates",
    title="What a batch size costs: updates and rows seen",
    area="learning",
    covers=("mc-l2-updates-as-cost", "minibatch-compare", "minibatch-config-tips"),
    why="At equal epochs a small batch takes more steps, so a comparison by epochs mixes batch size with the number of "
    "updates. Here batch sizes are compared after as many updates, and after as many rows seen. At equal rows and one "
    "rate the large batches take few steps that are as short as the others', which confounds size with progress: each "
    "size is therefore also given four rates, of which the best one counts. The sources name no rate, rows or epochs "
    "for this; the course's circles and 100 epochs were chosen.",
    data=circles(1000, train=500),
    variants=(
        *(of_size(size, rate) for size in (*SMALL, *LARGE) for rate in RATES),
        of_size(500),
        Variant("4, plateau", "4 rows a step, plateau schedule", build, 4, SAMPLED, callbacks=(schedule(),)),
        Variant(
            "sum of 4",
            "gradients of 4 rows summed, a quarter of the rate",
            partial(build, 0.0025, summed=True),
            4,
            100,
        ),
        Variant(
            "sum of 4, same rate", "gradients of 4 rows summed", partial(build, 0.01, summed=True), 4, 100
        ),
    ),
    also=beyond_the_variants,
    claims=(
        Claim(
            "The training loss goes on falling late in training.",
            ["mc-l2-updates-as-cost/0"],
            lambda seen: seen.slope("16", "loss", last=100),
            below(0),
            "slope of the training loss over the last 100 of 250 epochs, 16 rows a step",
            who="reader",
        ),
        Claim(
            "By then the accuracy has levelled off.",
            ["mc-l2-updates-as-cost/0"],
            lambda seen: 100 * seen.slope("16", "val_accuracy", last=100),
            between(-0.01, 0.01),
            "change of the test accuracy over the same 100 epochs; less than a hundredth is called flat",
            who="reader",
        ),
        Claim(
            "Small batches need far fewer epochs than full batch.",
            ["mc-l2-updates-as-cost/1"],
            lambda seen: np.log10(
                seen.epochs_to("500", "val_accuracy", 0.8) / seen.epochs_to("4", "val_accuracy", 0.8)
            ),
            above(1),
            "logarithm (base 10) of epochs until 0.8 test accuracy, all rows by 4 rows; 1 is ten times",
            who="reader",
        ),
        Claim(
            "Fewer epochs are not less computing: small batches need no fewer updates.",
            ["mc-l2-updates-as-cost/1"],
            lambda seen: np.log2(updates_to(seen, "4", 0.8) / updates_to(seen, "500", 0.8)),
            above(-1),
            "logarithm (base 2) of updates until 0.8 test accuracy, 4 rows by all rows; -1 is half as many",
            who="reader",
        ),
        Claim(
            "The best batch size is the smallest at which learning is stable.",
            ["mc-l2-updates-as-cost/2"],
            smallest_stable_is_best,
            above(0.5),
            "share of seeds in which, after 4,000 updates, the smallest of 4, 16, 32 and 500 rows with a steady test "
            "loss (standard deviation at most 0.02) is within 0.01 of the highest accuracy",
            who="reader",
        ),
        Claim(
            "A plateau schedule flattens the curves even at batch size 4.",
            ["mc-l2-updates-as-cost/3"],
            lambda seen: seen.spread("4, plateau", "val_loss", 20),
            below(0.001),
            "standard deviation of the test loss over the last 20 epochs, with the schedule",
            who="reader",
        ),
        Claim(
            "Batch size 16 costs less to compute than 4.",
            ["mc-l2-updates-as-cost/3"],
            lambda seen: np.log10(seen["times as long"]),
            above(0),
            "logarithm (base 10) of an epoch's seconds with Keras' fit, 4 rows a step by 16",
            who="reader",
            amended="A ratio of times in turns instead of a share of five timings, which could not tell even if all "
            "agreed.",
        ),
        Claim(
            "What the schedule flattens had not arrived: without it, batch size 4 ends with a lower test loss.",
            [],
            lambda seen: seen.late("4, plateau", "val_loss", 20) - seen.late("4", "val_loss", 20),
            above(0),
            "test loss over the last 20 epochs, with the schedule minus without",
            who="caviar",
        ),
        Claim(
            "A small batch converges faster than a large one.",
            ["minibatch-compare/1"],
            lambda seen: (
                after_epoch(seen, "256", SAMPLED / 4, "loss") - after_epoch(seen, "2", SAMPLED / 4, "loss")
            ),
            above(0),
            "training loss after 25 epochs at one rate, 256 rows minus 2 rows",
        ),
        Claim(
            "It does so noisily, where a large one follows an accurate gradient.",
            ["minibatch-compare/1"],
            lambda seen: seen.rough("2", "val_loss", 50) - seen.rough("256", "val_loss", 50),
            above(0),
            "standard deviation of the test loss's change over the last 50 epochs at one rate, 2 rows minus 256",
        ),
        Claim(
            "The variance of the gradient falls as one over the batch size.",
            ["minibatch-compare/2"],
            power_of_size,
            between(-1.1, -0.9),
            "power of the batch size that the variance follows from 2 to 32 rows",
        ),
        Claim(
            "It falls faster than that where a batch is much of the table, for no row is drawn twice.",
            [],
            short_of_one_by_b,
            below(0.75),
            "variance at 256 of 500 rows, by what one over the batch size makes of that at 2 rows",
            who="caviar",
        ),
        Claim(
            "For as many rows seen, batches of 32 and fewer generalize best.",
            ["minibatch-config-tips/0"],
            lambda seen: best_of(seen, [named(b) for b in SMALL]) - best_of(seen, [named(b) for b in LARGE]),
            above(0),
            "test accuracy at one rate, the best size of 2 to 32 minus the best of 64 to 256, "
            "chosen by the other seeds",
        ),
        Claim(
            "They still do by more than a hundredth when every size has the rate that suits it.",
            [],
            lambda seen: (
                best_of(seen, [named(b, rate) for b in SMALL for rate in RATES])
                - best_of(seen, [named(b, rate) for b in LARGE for rate in RATES])
            ),
            above(0.01),
            "the same with the best of four rates for each",
            who="caviar",
        ),
        Claim(
            "Batches of 32 and fewer are the most stable.",
            ["minibatch-config-tips/0"],
            lambda seen: (
                np.mean([seen.spread(named(b), "val_accuracy", 20) for b in LARGE], axis=0)
                - np.mean([seen.spread(named(b), "val_accuracy", 20) for b in SMALL], axis=0)
            ),
            above(0),
            "standard deviation of the test accuracy over the last 20 epochs at one rate, "
            "mean of 64 to 256 rows minus mean of 2 to 32",
        ),
        Claim(
            "Summing the gradients of a batch is averaging them at a rate as many times as large.",
            [],
            lambda seen: apart(seen, "sum of 4", "4"),
            below(0.01),
            "difference of the probabilities after training, sum at a quarter of the rate against mean",
            who="caviar",
        ),
        Claim(
            "At the same rate, the sum trains another network.",
            [],
            lambda seen: apart(seen, "sum of 4, same rate", "4"),
            above(0.01),
            "difference of the probabilities after training, sum against mean at one rate",
            who="caviar",
        ),
    ),
    questions=(
        Choice(
            "Summing the gradients of four rows instead of averaging them, which rate gives the same training?",
            ("the same rate", "a quarter of it", "four times as much"),
            [1],
            "The sum is four times the average, so a quarter of the rate makes the same step.",
        ),
        Winner(
            "When all have seen as many rows at the same rate, which batch size scores highest on the test rows?",
            at_equal_rows,
            tuple(named(b) for b in (*SMALL, *LARGE)),
        ),
    ),
    shows=(
        Shown("test accuracy after 100 epochs", at_equal_rows),
        Shown("test accuracy after 4,000 updates, or all", at_equal_updates),
    ),
    curves=(),
    figures=figures,
    learned="Compare batch sizes at a budget that you would pay, in rows or in updates, and give each its own learning "
    "rate: at a rate chosen for one size, the others are judged by it.",
)
