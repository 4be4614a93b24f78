"""Advice on batch normalization: which of its benefits and rules can be seen in a small network?"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import keras
import numpy as np

from caviar.evaluate.claims import above, below, between
from caviar.teaching.contract import Choice, Claim, Lesson, Lines, Match, Variant, Winner
from caviar.teaching.rows import digits
from caviar.teaching.seen import Lab, Seen

Place = Literal["nowhere", "before", "after", "last"]
RATES = (0.01, 0.1, 1.0, 10.0)
DECAYS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
WIDTHS = (0.2, 1.0, 5.0)
"""First weights, as multiples of Glorot's."""
SMALL_RATE = 0.001
DEEP = 4
"""Hidden layers of sigmoids: each leaves a quarter of a gradient at most."""


def build(
    rate: float = 0.01,
    decay: float = 0.0,
    *,
    place: Place = "nowhere",
    width: float = 1.0,
    momentum: float = 0.99,
    hidden: Sequence[int] = (16, 16),
    activation: str = "relu",
    n_inputs: int = 64,
    n_outputs: int = 10,
) -> keras.Model:
    """A network for classes, normalized nowhere, before or after each hidden activation, or before softmax."""
    model = keras.Sequential([keras.Input((n_inputs,))])
    for units in hidden:
        model.add(dense(units, width, decay))
        if place == "before":
            model.add(keras.layers.BatchNormalization(momentum=momentum))
        model.add(keras.layers.Activation(activation))
        if place == "after":
            model.add(keras.layers.BatchNormalization(momentum=momentum))
    model.add(dense(n_outputs, width, decay))
    if place == "last":
        model.add(keras.layers.BatchNormalization(momentum=momentum))
    model.add(keras.layers.Activation("softmax"))
    optimizer = keras.optimizers.SGD(rate, momentum=0.9)
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def dense(units: int, width: float, decay: float) -> keras.layers.Layer:
    """Sums of weighted inputs; at a width of 1 they begin with Glorot's weights, as Keras' do."""
    return keras.layers.Dense(
        units,
        kernel_initializer=keras.initializers.VarianceScaling(width**2, "fan_avg", "uniform"),
        kernel_regularizer=keras.regularizers.L2(decay),
    )


def trained(name: str, *numbers: float, batch_size: int = 32, probe: int = 0, **settings: Any) -> Variant:  # noqa: ANN401
    """All variants train for 50 epochs."""
    return Variant(name, name, partial(build, *numbers, **settings), batch_size, epochs=50, probe=probe)


def beside(place: Place, name: str) -> list[Variant]:
    """The same network at several rates, weight decays and widths of its first weights."""
    return [
        trained(name, place=place),
        *(trained(f"{name}, rate {rate:g}", rate, place=place) for rate in RATES if rate != RATES[0]),
        *(trained(f"{name}, decay {decay:g}", 0.01, decay, place=place) for decay in DECAYS),
        *(trained(f"{name}, width {width:g}", place=place, width=width) for width in WIDTHS if width != 1),
        *(
            trained(f"{name}, 4 rows{also}", *numbers, place=place, batch_size=4)
            for also, numbers in (("", ()), (", low rate", (SMALL_RATE,)))
        ),
        trained(f"{name}, deep", place=place, hidden=[16] * DEEP, activation="sigmoid", probe=10),
    ]


def beyond_the_variants(lab: Lab, seen: Seen) -> Mapping[str, np.ndarray]:
    """What the layer computes, row by row, and with statistics of all training rows; by name (seed,)."""
    found = [
        normalized_batch(lab.rng(i))
        | running_statistics(lab.rng(i))
        | row_by_row(seen.model("before", i), lab.rows.x[:5])
        | {"settled": settled(lab, seen.model("before, 4 rows", i))}
        for i in range(len(lab.seeds))
    ]
    return {name: np.array([one[name] for one in found]) for name in found[0]}


def normalized_batch(rng: np.random.Generator) -> dict[str, float]:
    """How far a batch is from what the formulas say of it, and from itself where the layer should undo itself."""
    x = rng.normal(3, 2, (32, 8)).astype(np.float32)
    mean, variance = x.mean(axis=0), x.var(axis=0)
    layer = keras.layers.BatchNormalization()
    normal = np.asarray(layer(x, training=True))
    scaled = variance / (variance + layer.epsilon)
    alone = np.asarray(layer(x[:1], training=True))
    layer.gamma.assign(np.sqrt(variance + layer.epsilon))
    layer.beta.assign(mean)
    return {
        "mean": float(np.abs(normal.mean(axis=0)).max()),
        "variance": float(np.abs(normal.var(axis=0) - scaled).max()),
        "undone": float(np.abs(np.asarray(layer(x, training=True)) - x).max()),
        "alone": float(np.abs(alone).max()),
    }


def running_statistics(rng: np.random.Generator) -> dict[str, float]:
    """How far Keras' running variance is from the formula with `running` on its right-hand side, and without."""
    layer = keras.layers.BatchNormalization(momentum=0.9)
    running, last = np.ones(8), np.ones(8)
    for _ in range(3):
        x = rng.normal(3, 2, (32, 8)).astype(np.float32)
        layer(x, training=True)
        last = x.var(axis=0)
        running = 0.9 * running + 0.1 * last
    kept = np.asarray(layer.moving_variance)
    return {"formula": float(np.abs(kept - running).max()), "printed": float(np.abs(kept - last).max())}


def row_by_row(model: keras.Model, x: np.ndarray) -> dict[str, float]:
    """How far predictions of single rows are from those of the same rows together."""
    alone = np.concatenate([np.asarray(model(x[i : i + 1])) for i in range(len(x))])
    return {"rows": float(np.abs(alone - np.asarray(model(x))).max())}


def settled(lab: Lab, model: keras.Model) -> float:
    """Test loss with the means and variances of all training rows in place of running ones."""
    train, test = lab.rows.splits[0]
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(lab.rows.x[train], training=True)
    return cross_entropy(np.asarray(model(lab.rows.x[test])), lab.rows.y[test])


def cross_entropy(outputs: np.ndarray, y: np.ndarray) -> float:
    """Mean minus log probability of the true classes: a loss without the penalty that weight decay adds to it."""
    return float(-np.log(np.maximum(outputs[np.arange(len(y)), y.astype(int)], 1e-7)).mean())


def entropy_of_test_rows(seen: Seen, variant: str) -> np.ndarray:
    """The same of the test rows after training (seed,)."""
    return seen.per_member(variant, cross_entropy)


def spread_over_widths(seen: Seen, name: str) -> np.ndarray:
    """Standard deviation of the final training loss over widths of the first weights (seed,)."""
    variants = [name if width == 1 else f"{name}, width {width:g}" for width in WIDTHS]
    return np.std([seen.final(variant, "loss") for variant in variants], axis=0, ddof=1)


def gap(seen: Seen, variant: str) -> np.ndarray:
    """Training minus test accuracy (seed,)."""
    return seen.accuracy(variant, "train") - seen.accuracy(variant)


def regularizes(seen: Seen, rows: str = "") -> np.ndarray:
    """By how much batch normalization narrows the gap (seed,)."""
    return gap(seen, f"nowhere{rows}") - gap(seen, f"before{rows}")


def largest_rate(seen: Seen, name: str) -> np.ndarray:
    """Logarithm (base 10) of the largest rate at which more than half of the training rows are learned (seed,)."""
    variants = [name if rate == RATES[0] else f"{name}, rate {rate:g}" for rate in RATES]
    learned = np.array([seen.accuracy(variant, "train") > 0.5 for variant in variants])
    exponents = np.log10(RATES)[:, None]
    return np.where(learned, exponents, exponents.min() - 1).max(axis=0)


def best_decay(seen: Seen, name: str) -> np.ndarray:
    """Logarithm (base 10) of the weight decay with the lowest test loss, its penalty left out (seed,)."""
    losses = [entropy_of_test_rows(seen, f"{name}, decay {decay:g}") for decay in DECAYS]
    return np.log10(DECAYS)[np.argmin(losses, axis=0)]


def noisier(seen: Seen, name: str) -> np.ndarray:
    """Logarithm (base 10) of how many times as much the test loss varies at 4 rows a step as at 32 (seed,)."""
    return np.log10(seen.spread(f"{name}, 4 rows", "val_loss", 20) / seen.spread(name, "val_loss", 20))


def gradients(seen: Seen, variant: str, layer: str | None = None) -> np.ndarray:
    """Norm of the gradient of one layer or all, at each look inside (seed, look)."""
    probes = seen.trainings[variant].probes
    if probes is None:
        return np.full((len(seen.seeds), 1), np.nan)
    norms = probes["gradient_norm"].transpose("member", "epoch", "layer")
    values = norms.sel(layer=[layer]).values if layer else norms.values
    return np.sqrt(np.nansum(values**2, axis=-1)).reshape(len(seen.seeds), -1, values.shape[1]).mean(axis=1)


def figures(seen: Seen) -> Sequence[Lines]:
    """Weight decay against test loss; gradients through a deep network."""
    probes = {name: seen.trainings[f"{name}, deep"].probes for name in ("nowhere", "before")}
    depth = {
        name: np.array([gradients(seen, f"{name}, deep", layer)[:, 0] for layer in dense_layers(some)]).T
        for name, some in probes.items()
        if some is not None
    }
    return (
        Lines(
            "Weight decay",
            np.array(DECAYS),
            {
                name: np.array([entropy_of_test_rows(seen, f"{name}, decay {decay:g}") for decay in DECAYS]).T
                for name in ("nowhere", "before")
            },
            "L2 strength",
            "test loss without penalty",
            log_x=True,
        ),
        Lines(
            "Gradients on their way back through four layers of sigmoids",
            np.arange(1, DEEP + 2),
            depth,
            "layer, from the inputs",
            "norm of the gradient before training",
            log_y=True,
        ),
    )


def dense_layers(probes: Any) -> list[str]:  # noqa: ANN401 - an xarray dataset
    """Names of the layers with weights of their own, from the inputs."""
    return [str(name) for name in probes["layer"].values if str(name).startswith("dense")]


LESSON = Lesson(
    name="batch-normalization-advice",
    title="What is said about batch normalization",
    area="learning",
    covers=("bn-forward-train", "bn-inference", "bn-why", "bn-advice", "sm-tip6-bn-last"),
    why="A page lists why batch normalization helps and how to use it, without data or network: 320 of scikit-learn's "
    "handwritten digits and two hidden layers of 16 units were chosen, small enough to be overfitted and to be trained "
    "in many ways. Benefits are differences between the same network with and without it. The page advises against "
    "normalizing the end of a network and later for it, and says that small batches weaken the regularizing effect, "
    "which noisier statistics should strengthen: both sides are put to the test.",
    data=digits(800, train=320),
    variants=(
        *beside("nowhere", "nowhere"),
        *beside("before", "before"),
        trained("before, short memory", place="before", momentum=0.9),
        trained("after", place="after"),
        trained("not last", place="nowhere", probe=2),
        trained("last", place="last", probe=2),
    ),
    also=beyond_the_variants,
    claims=(
        Claim(
            "A normalized batch has mean 0.",
            ["bn-forward-train/0"],
            lambda seen: seen["mean"],
            below(1e-5),
            "largest distance of a unit's mean from 0, batches of 32 random rows",
        ),
        Claim(
            "Its variance is 1, but for the small number that keeps the division safe.",
            ["bn-forward-train/0"],
            lambda seen: seen["variance"],
            below(1e-5),
            "largest distance of a unit's variance (dividing by the number of rows) from var / (var + eps)",
        ),
        Claim(
            "With gamma = sqrt(var + eps) and beta = mean the layer gives back its inputs.",
            ["bn-forward-train/1"],
            lambda seen: seen["undone"],
            below(1e-5),
            "largest distance of an output from its input",
        ),
        Claim(
            "A single row can be predicted, from running statistics.",
            ["bn-inference/0"],
            lambda seen: seen["rows"],
            below(1e-5),
            "largest difference of a probability between five rows one by one and together",
        ),
        Claim(
            "With statistics of its own, nothing would be left of a single row.",
            [],
            lambda seen: seen["alone"],
            below(1e-5),
            "largest output for a batch of one row in training mode",
            who="caviar",
        ),
        Claim(
            "Running variances follow the formula with the running variance on both sides.",
            [],
            lambda seen: seen["formula"],
            below(1e-5),
            "largest distance of Keras' running variance from the formula after three batches",
            who="caviar",
        ),
        Claim(
            "As the source prints the formula, they would be the last batch's variance: they are not.",
            [],
            lambda seen: seen["printed"],
            above(0.01),
            "largest distance of Keras' running variance from the last batch's",
            who="caviar",
        ),
        Claim(
            "With a long memory of running statistics, early test scores lag behind.",
            [],
            lambda seen: (
                seen.log("before", "val_loss")[:, 1] - seen.log("before, short memory", "val_loss")[:, 1]
            ),
            above(0),
            "test loss after two epochs, alpha 0.99 minus 0.9; the trainings are the same",
            who="caviar",
        ),
        Claim(
            "It makes training less sensitive to the first weights.",
            ["bn-why/0"],
            lambda seen: spread_over_widths(seen, "nowhere") - spread_over_widths(seen, "before"),
            above(0),
            "standard deviation of the final training loss over first weights 0.2, 1 and 5 times Glorot's, "
            "without minus with",
        ),
        Claim(
            "It regularizes a little.",
            ["bn-why/1"],
            regularizes,
            above(0),
            "training minus test accuracy, without minus with",
            amended="It held above -0.005, so that a network no less overfitted would have counted as regularized.",
        ),
        Claim(
            "It trains faster.",
            ["bn-why/2"],
            lambda seen: seen.epochs_to("nowhere", "loss", 0.5) - seen.epochs_to("before", "loss", 0.5),
            above(0),
            "epochs until the training loss is 0.5, without minus with, at one rate",
        ),
        Claim(
            "It tolerates a larger learning rate.",
            ["bn-why/2"],
            lambda seen: largest_rate(seen, "before") - largest_rate(seen, "nowhere"),
            above(0),
            "logarithm (base 10) of the largest rate of 0.01 to 10 that learns more than half of the training rows, "
            "with minus without",
        ),
        Claim(
            "It makes gradients vanish less.",
            ["bn-why/3"],
            lambda seen: np.log10(
                gradients(seen, "before, deep", "dense")[:, 0]
                / gradients(seen, "nowhere, deep", "dense")[:, 0]
            ),
            above(0),
            "logarithm (base 10) of the gradient of the first of four sigmoid layers before training, with by without",
        ),
        Claim(
            "It allows smaller weight decay.",
            ["bn-why/4"],
            lambda seen: best_decay(seen, "nowhere") - best_decay(seen, "before"),
            above(0),
            "logarithm (base 10) of the L2 strength of 1e-5 to 0.1 with the lowest test loss, without minus with",
        ),
        Claim(
            "Before or after ReLU makes no clear difference.",
            ["bn-advice/0"],
            lambda seen: seen.accuracy("before") - seen.accuracy("after"),
            between(-0.01, 0.01),
            "test accuracy, before minus after; a hundredth is five test rows",
        ),
        Claim(
            "With tiny batches it is noisy.",
            ["bn-advice/1"],
            lambda seen: (
                seen.spread("before, 4 rows", "val_loss", 20) - seen.spread("before", "val_loss", 20)
            ),
            above(0),
            "standard deviation of the test loss over the last 20 epochs, 4 rows a step minus 32",
        ),
        Claim(
            "Tiny batches add more noise with it than without.",
            [],
            lambda seen: noisier(seen, "before") - noisier(seen, "nowhere"),
            above(0),
            "logarithm (base 10) of how many times as much the test loss varies at 4 rows as at 32, with minus without",
            who="caviar",
        ),
        Claim(
            "With tiny batches, statistics gathered from all training rows lower the test loss.",
            [],
            lambda seen: entropy_of_test_rows(seen, "before, 4 rows") - seen["settled"],
            above(0),
            "test loss of networks trained on 4 rows a step, running statistics minus those of all training rows",
        ),
        Claim(
            "With tiny batches a lower learning rate is better.",
            [],
            lambda seen: (
                entropy_of_test_rows(seen, "before, 4 rows")
                - entropy_of_test_rows(seen, "before, 4 rows, low rate")
            ),
            above(0),
            "test loss at 4 rows a step, rate 0.01 minus 0.001",
        ),
        Claim(
            "Its regularizing effect is weaker with small batches.",
            [],
            lambda seen: regularizes(seen) - regularizes(seen, ", 4 rows"),
            above(0),
            "narrowing of the gap between training and test accuracy, at 32 rows a step minus at 4",
        ),
        Claim(
            "Before softmax it steadies gradients.",
            ["sm-tip6-bn-last/0"],
            lambda seen: gradients(seen, "not last").std(axis=1) - gradients(seen, "last").std(axis=1),
            above(0),
            "standard deviation of the gradient's norm over training, without minus with",
        ),
        Claim(
            "Before softmax it regularizes.",
            ["sm-tip6-bn-last/0"],
            lambda seen: entropy_of_test_rows(seen, "not last") - entropy_of_test_rows(seen, "last"),
            above(0),
            "test loss, without minus with",
        ),
        Claim(
            "The end of the network is the place to avoid: inside the network it scores higher.",
            [],
            lambda seen: seen.accuracy("before") - seen.accuracy("last"),
            above(0),
            "test accuracy, before each hidden activation minus before softmax",
        ),
    ),
    questions=(
        Match("val_loss", ("nowhere", "before", "before, short memory", "last")),
        Winner(
            "Where does it give the highest test accuracy?",
            lambda seen, name: seen.accuracy(name),
            ("nowhere", "before", "after", "last"),
        ),
        Choice(
            "In training mode, what does a batch of a single row come out as, before gamma and beta?",
            ("itself", "ones", "zeros"),
            [2],
            "Its own mean is subtracted from it, and nothing is left.",
        ),
    ),
    curves=(),
    figures=figures,
    learned="A benefit that is said of a method is a difference that can be measured on your own rows: with and "
    "without it, at its best rate each, with batches of the size that you use.",
)
