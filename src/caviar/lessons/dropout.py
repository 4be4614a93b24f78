"""Dropout: what does leaving out units do on a small table, once nothing else is changed with it?"""

from functools import partial
from typing import Any

import keras
import numpy as np
from sklearn.preprocessing import StandardScaler

from caviar.evaluate.claims import above, below, between, exactly
from caviar.teaching.contract import Bars, Choice, Claim, Lesson, Match, Reported, Shown, Variant, Winner
from caviar.teaching.rows import folds, table
from caviar.teaching.seen import Lab, Seen

NOTHING = 1e-9
"""A rate of dropout at which no unit is ever left out: single precision rounds the share that is kept to one.

At a rate of 0 Keras leaves the layer out. So all variants have the same layers: few programs train them, and each seed
begins with the same weights in all of them.
"""
FAST: dict[str, Any] = {"rate": 0.1, "momentum": 0.9}
"""The learning rate and momentum that the source uses with dropout, and not without."""


def build(
    n_inputs: int = 60,
    visible: float = NOTHING,
    hidden: float = NOTHING,
    rate: float = 0.01,
    momentum: float = 0.8,
    longest: float | None = None,
    units: tuple[int, int] = (60, 30),
) -> keras.Model:
    """Two hidden layers; shares of inputs and hidden units that are dropped; how long a unit's weights may be."""
    layers: list[keras.layers.Layer] = [keras.Input((n_inputs,)), keras.layers.Dropout(visible)]
    for width in units:
        dense = keras.layers.Dense(
            width,
            activation="relu",
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.05),
            kernel_constraint=None if longest is None else keras.constraints.MaxNorm(longest),
        )
        layers += [dense, keras.layers.Dropout(hidden)]
    normal = keras.initializers.RandomNormal(stddev=0.05)
    layers.append(keras.layers.Dense(1, activation="sigmoid", kernel_initializer=normal))
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.SGD(rate, momentum), loss="binary_crossentropy", metrics=["accuracy"])
    return model


def variant(name: str, title: str, epochs: int = 300, **given: Any) -> Variant:  # noqa: ANN401
    """A network on standardized inputs."""
    return Variant(name, title, partial(build, **given), batch_size=16, epochs=epochs, prepare=StandardScaler)


SOURCE: dict[str, Any] = {"longest": 3.0, **FAST}
VARIANTS = (
    variant("baseline", "no dropout"),
    variant("visible", "source: inputs dropped, fast, max-norm 3", visible=0.2, **SOURCE),
    variant("hidden", "source: hidden units dropped, fast, max-norm 3", hidden=0.2, **SOURCE),
    variant("fast", "no dropout, fast, max-norm 3", **SOURCE),
    variant("only visible", "inputs dropped, nothing else changed", visible=0.2),
    variant("only hidden", "hidden units dropped, nothing else changed", hidden=0.2),
    variant("rarely", "only hidden, rate 0.05", hidden=0.05),
    variant("often", "only hidden, rate 0.5", hidden=0.5),
    variant("mostly", "only hidden, rate 0.8", hidden=0.8),
    variant("every", "only hidden, inputs dropped too", visible=0.2, hidden=0.2),
    variant("quick", "only hidden, ten times the rate, momentum 0.9", hidden=0.2, **FAST),
    variant("bound", "only hidden, max-norm 4", hidden=0.2, longest=4.0),
    variant("larger", "only hidden, twice the first layer", hidden=0.2, units=(120, 60)),
    variant("longer", "source's hidden, 600 epochs", epochs=600, hidden=0.2, **SOURCE),
    variant("slower", "source's hidden, a tenth of the rate", hidden=0.2, longest=3.0, momentum=0.9),
)


def accuracies(seen: Seen, name: str) -> np.ndarray:
    """Accuracy on each fold's test rows (seed, fold)."""
    return seen.by_fold(name, lambda said, y: float(((said[:, 0] > 0.5) == y).mean()))


def gain(seen: Seen, name: str, other: str) -> np.ndarray:
    """Test accuracy of one variant minus that of another (seed,)."""
    return seen.accuracy(name) - seen.accuracy(other)


def without_one(weights: list[np.ndarray], x: np.ndarray) -> np.ndarray:
    """What a network of two hidden layers says if one unit of the first one is taken away (unit, row): true or false.

    Args:
        weights: Of its three layers, in Keras' order.
        x: Inputs (row, input).
    """
    first, b1, second, b2, last, b3 = weights
    units = np.maximum(x @ first + b1, 0)
    part = units.T[:, :, None] * second[:, None, :]  # what each unit hands on (unit, row, next unit)
    return np.asarray((np.maximum(units @ second + b2 - part, 0) @ last + b3)[..., 0] > 0)


def fall(lab: Lab, seen: Seen, name: str) -> np.ndarray:
    """Test accuracy lost when one unit of the first hidden layer is taken away, averaged over units (seed,)."""
    assert lab.data is not None
    whole = accuracies(seen, name)
    less = np.empty_like(whole)
    for fold, (train, test) in enumerate(lab.data.splits):
        x = StandardScaler().fit(lab.data.x[train]).transform(lab.data.x[test])
        for place in range(len(lab.seeds)):
            member = seen.trainings[name].members[place][fold]
            less[place, fold] = (without_one(member.weights(), x) == lab.data.y[test]).mean()
    return np.asarray((whole - less).mean(axis=1))


def also(lab: Lab, seen: Seen) -> dict[str, Any]:
    """What dropping does to numbers, and how much a network misses one of its units."""
    assert lab.data is not None
    ones = np.ones((1000, 60), np.float32)
    dropped = [
        (np.asarray(keras.layers.Dropout(0.2, seed=seed)(ones, training=True)) == 0).mean()
        for seed in lab.seeds
    ]
    train, test = lab.data.splits[0]
    x = StandardScaler().fit(lab.data.x[train]).transform(lab.data.x[test])
    models = [seen.model("hidden", place) for place in range(len(lab.seeds))]
    twice = [np.array_equal(np.asarray(model(x)), np.asarray(model(x))) for model in models]
    names = ("baseline", "only hidden", "fast", "hidden")
    return {f"fall {name}": fall(lab, seen, name) for name in names} | {
        "dropped": np.array(dropped),
        "twice": all(twice),
    }


def figures(seen: Seen) -> list[Bars]:
    """Accuracy by seed, of the source's three networks and of the fair comparison."""
    names = ("baseline", "visible", "hidden", "fast", "only visible", "only hidden")
    return [Bars("Accuracy over ten folds", {name: seen.accuracy(name) for name in names}, "test accuracy")]


def tip(says: str, name: str, other: str, about: str) -> Claim:
    """A piece of advice for networks with dropout, one at a time."""
    return Claim(
        says,
        ["dropout-tips/0"],
        lambda seen: gain(seen, name, other),
        above(0),
        f"test accuracy, {about}",
    )


def reported_folds(of: str, variant: str, percent: float, deviation: float) -> tuple[Reported, Reported]:
    """Mean and standard deviation of the folds' accuracies, as the source reports them.

    Args:
        of: Record of the catalogue.
        variant: Which variant it is about.
        percent: The mean.
        deviation: The standard deviation, in percent as well.
    """
    return (
        Reported(
            of, variant, "accuracy in percent", percent, lambda seen: 100 * seen.accuracy(variant), digits=2
        ),
        Reported(
            of,
            variant,
            "its standard deviation over folds",
            deviation,
            lambda seen: 100 * accuracies(seen, variant).std(axis=1),
            digits=2,
        ),
    )


LESSON = Lesson(
    name="dropout",
    title="Dropout",
    area="generalization",
    covers=("dropout-baseline", "dropout-visible", "dropout-hidden", "dropout-tips", "dropout-mechanics"),
    why="Dropout leaves out a random share of inputs or hidden units at every step, so that no unit can lean on "
    "another. On 208 sonar echoes the source sees it do harm, but along with it the learning rate becomes ten times "
    "as large, momentum rises and weights are bound: four changes at once. Beside its three networks stand the same "
    "ones without dropout, or with nothing but dropout; then its advice, one piece at a time, around a network that "
    "drops a fifth of its hidden units. Thirty seeds, as everywhere, although each takes ten folds: 576,000 updates of "
    "all variants, which makes this the longest lesson.",
    data=table("sonar", lambda y: folds(y, 10, seed=7)),
    variants=VARIANTS,
    also=also,
    claims=(
        Claim(
            "Without dropout the accuracy is about 86 %.",
            ["dropout-baseline/0"],
            lambda seen: seen.accuracy("baseline"),
            between(0.84, 0.88),
            "test accuracy over ten folds; two points are half of what folds differ by",
        ),
        Claim(
            "The source's network with inputs dropped is a little less accurate.",
            ["dropout-visible/0"],
            lambda seen: gain(seen, "visible", "baseline"),
            between(-0.0458, 0),
            "test accuracy, visible minus baseline; less than the standard deviation of folds that the source "
            "reports",
        ),
        Claim(
            "The source's network with hidden units dropped is less accurate.",
            ["dropout-hidden/0"],
            lambda seen: gain(seen, "hidden", "baseline"),
            below(0),
            "test accuracy, hidden minus baseline",
        ),
        Claim(
            "It needs more epochs.",
            ["dropout-hidden/1"],
            lambda seen: gain(seen, "longer", "hidden"),
            above(0),
            "test accuracy, 600 epochs minus 300",
        ),
        Claim(
            "It needs another learning rate.",
            ["dropout-hidden/1"],
            lambda seen: gain(seen, "slower", "hidden"),
            above(0),
            "test accuracy, a tenth of the rate minus the source's",
        ),
        Claim(
            "The other three changes lower the accuracy without any dropout.",
            [],
            lambda seen: gain(seen, "fast", "baseline"),
            below(0),
            "test accuracy, fast with max-norm 3 minus baseline, both without dropout",
            who="caviar",
        ),
        Claim(
            "Dropping inputs lowers the accuracy where nothing else is changed.",
            [],
            lambda seen: gain(seen, "only visible", "baseline"),
            below(0),
            "test accuracy, only visible minus baseline",
            who="caviar",
        ),
        Claim(
            "Dropping hidden units lowers the accuracy where nothing else is changed.",
            [],
            lambda seen: gain(seen, "only hidden", "baseline"),
            below(0),
            "test accuracy, only hidden minus baseline",
            who="caviar",
        ),
        Claim(
            "At the source's fast setting dropping inputs lowers the accuracy.",
            [],
            lambda seen: gain(seen, "visible", "fast"),
            below(0),
            "test accuracy, visible minus fast: the same but for dropout",
            who="caviar",
        ),
        Claim(
            "At the source's fast setting dropping hidden units lowers the accuracy.",
            [],
            lambda seen: gain(seen, "hidden", "fast"),
            below(0),
            "test accuracy, hidden minus fast: the same but for dropout",
            who="caviar",
        ),
        Claim(
            "Too low a rate has no effect.",
            ["dropout-tips/0"],
            lambda seen: gain(seen, "rarely", "baseline"),
            between(-0.01, 0.01),
            "test accuracy, rate 0.05 minus none; a hundredth is two rows of 208",
        ),
        Claim(
            "Too high a rate learns too little.",
            ["dropout-tips/0"],
            lambda seen: seen.accuracy("mostly", "train") - seen.accuracy("only hidden", "train"),
            below(0),
            "training accuracy, rate 0.8 minus 0.2",
        ),
        tip("A rate of 0.5 is better than 0.2.", "often", "only hidden", "rate 0.5 minus 0.2"),
        tip("A larger network is better.", "larger", "only hidden", "120 and 60 units minus 60 and 30"),
        tip("Dropping inputs too is better.", "every", "only hidden", "every layer minus hidden ones only"),
        tip(
            "Ten times the learning rate and momentum of 0.9 are better.",
            "quick",
            "only hidden",
            "rate 0.1 and momentum 0.9 minus 0.01 and 0.8",
        ),
        tip("Max-norm of 4 is better.", "bound", "only hidden", "max-norm 4 minus none"),
        Claim(
            "Max-norm, 3 in the source's code and 4 or 5 in its advice, helps where steps are large.",
            [],
            lambda seen: gain(seen, "hidden", "quick"),
            above(0),
            "test accuracy at the fast setting, max-norm 3 minus none",
            who="caviar",
        ),
        Claim(
            "The share that is dropped is the rate.",
            ["dropout-mechanics/0"],
            lambda seen: seen["dropped"],
            between(0.195, 0.205),
            "share of sixty thousand numbers that a rate of 0.2 makes zero",
        ),
        Claim(
            "At evaluation nothing is dropped: asked twice, a model answers the same.",
            ["dropout-mechanics/1"],
            lambda seen: seen["twice"],
            exactly(1),
            "whether all models do",
        ),
        Claim(
            "With dropout a network misses one of its units less.",
            ["dropout-mechanics/2"],
            lambda seen: seen["fall baseline"] - seen["fall only hidden"],
            above(0),
            "test accuracy lost with one unit of the first hidden layer, baseline minus only hidden",
        ),
        Claim(
            "At the fast setting too.",
            ["dropout-mechanics/2"],
            lambda seen: seen["fall fast"] - seen["fall hidden"],
            above(0),
            "test accuracy lost with one unit of the first hidden layer, fast minus hidden",
        ),
    ),
    reported=(
        *reported_folds("dropout-baseline", "baseline", 86.04, 4.58),
        *reported_folds("dropout-visible", "visible", 83.52, 7.68),
        *reported_folds("dropout-hidden", "hidden", 83.59, 7.31),
    ),
    questions=(
        Winner(
            "Which of the source's networks, and of those that tell dropout from the rest, is most accurate?",
            lambda seen, name: seen.accuracy(name),
            ("baseline", "visible", "hidden", "fast", "only visible", "only hidden"),
        ),
        Match("loss", ("baseline", "only hidden", "mostly")),
        Choice(
            "What happens to the units that are left in a step?",
            ("nothing", "they are scaled up, so that their sum stays what it was", "they are scaled down"),
            (1,),
            "Keras divides them by one minus the rate in training, so that nothing has to change at evaluation.",
        ),
    ),
    shows=(
        Shown("training accuracy", lambda seen, name: seen.accuracy(name, "train")),
        Shown("test accuracy", lambda seen, name: seen.accuracy(name)),
        Shown("standard deviation over folds", lambda seen, name: accuracies(seen, name).std(axis=1)),
    ),
    figures=figures,
    learned="One comparison, one change: what moves along with a technique is easily taken for its effect. A "
    "difference smaller than what folds differ by needs more than one cross-validation to be seen.",
)
