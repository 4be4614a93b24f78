"""The seven hyperparameters: what does each of them change, and which matter most?"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.datasets import make_classification
from sklearn.preprocessing import StandardScaler

from caviar.evaluate.claims import above
from caviar.recipe.hyperparameters import HyperParameters
from caviar.teaching.contract import (
    Bars,
    Claim,
    Data,
    Drawing,
    Lesson,
    Lines,
    Match,
    Naming,
    Untold,
    Variant,
    Winner,
)
from caviar.teaching.rows import holdout
from caviar.teaching.seen import Lab, Seen, pairs
from caviar.tune.importance import importances
from caviar.tune.search import Outcome
from caviar.tune.space import discover

EPOCHS = 80
RATES = tuple(10.0**power for power in (-4, -3, -2, -1, 0, 1, 2))
STRENGTHS = tuple(10.0**power for power in (-5, -4, -3, -2, -1, 0))
OPTIMIZERS: dict[str, Callable[[], keras.optimizers.Optimizer]] = {
    "SGD": partial(keras.optimizers.SGD, 0.01),
    "momentum": partial(keras.optimizers.SGD, 0.01, momentum=0.9),
    "RMSprop": partial(keras.optimizers.RMSprop, 0.01),
    "Adam": partial(keras.optimizers.Adam, 0.01),
}


def rows(_: Path | None = None) -> Data:
    """600 rows of two classes with a tenth mislabelled: 150 to train on, few enough to be learned by heart."""
    x, y = make_classification(600, 20, n_informative=5, flip_y=0.2, random_state=12)
    return Data(
        "two classes, a tenth mislabelled, 150 rows to train on and 450 to test on",
        x,
        y,
        holdout(y, 0.75, 1, stratify=True),
        origin="scikit-learn's make_classification(n_informative=5, flip_y=0.2, random_state=12)",
    )


def build(
    optimizer: Callable[[], keras.optimizers.Optimizer] = OPTIMIZERS["Adam"],
    strength: float = 1e-4,
    width: int = 32,
    depth: int = 1,
    initializer: Callable[[], keras.initializers.Initializer] = keras.initializers.GlorotUniform,
) -> keras.Model:
    """A network with all that is varied here."""
    hidden = [
        keras.layers.Dense(
            width,
            activation="tanh",
            kernel_initializer=initializer(),
            kernel_regularizer=keras.regularizers.L2(strength),
        )
        for _ in range(depth)
    ]
    model = keras.Sequential([*hidden, keras.layers.Dense(1, activation="sigmoid")])
    model.compile(optimizer(), "binary_crossentropy", metrics=["accuracy", "binary_crossentropy"])
    return model


def variant(name: str, title: str, batch_size: int = 32, **settings: Any) -> Variant:  # noqa: ANN401
    """The network with some settings of its own; all others as in the first variant."""
    return Variant(name, title, partial(build, **settings), batch_size, EPOCHS, prepare=StandardScaler)


def rate_name(rate: float) -> str:
    """What the variant of a rate is called."""
    return f"rate {rate:g}"


def strength_name(strength: float) -> str:
    """What the variant of a strength is called."""
    return f"L2 {strength:g}"


VARIANTS = (
    *(
        variant(rate_name(rate), f"SGD at rate {rate:g}", optimizer=partial(keras.optimizers.SGD, rate))
        for rate in RATES
    ),
    *(variant(name, name, optimizer=made) for name, made in OPTIMIZERS.items() if name != "SGD"),
    *(
        variant(strength_name(strength), f"L2 of {strength:g}", strength=strength)
        for strength in STRENGTHS
        if strength != 1e-4
    ),
    variant("narrow", "one hidden unit", width=1),
    variant("narrow L2", "one hidden unit, L2 of 0.01", width=1, strength=1e-2),
    variant("deep", "four hidden layers", depth=4),
    variant("batch 150", "all rows in a batch", batch_size=150),
    variant(
        "large weights",
        "first weights drawn with deviation 3",
        initializer=partial(keras.initializers.RandomNormal, stddev=3.0),
    ),
)
"""Adam at 0.01, batches of 32, L2 of 0.0001, one layer of 32 units, Glorot's weights, unless said otherwise."""


def of_strength(seen: Seen, log: str) -> np.ndarray:
    """Last value of a log for each strength (strength, seed)."""
    names = ["Adam" if strength == 1e-4 else strength_name(strength) for strength in STRENGTHS]
    return np.stack([seen.final(name, log) for name in names])


def ended(seen: Seen, name: str) -> np.ndarray:
    """Last training loss of a variant (seed,); that of a training that ended in no numbers is 10."""
    return np.nan_to_num(seen.final(name, "loss"), nan=10.0, posinf=10.0)


def of_rate(seen: Seen) -> np.ndarray:
    """Last training loss for each rate of SGD (rate, seed)."""
    return np.stack([ended(seen, rate_name(rate)) for rate in RATES])


def above_inside(losses: np.ndarray, end: int) -> np.ndarray:
    """Loss at an end of a range (seed,) minus that at the best place inside.

    The place is chosen by the other seeds, so that chance in a seed's own losses has no say in it.

    Args:
        losses: One per setting and seed (setting, seed).
        end: Which end, 0 or -1.
    """
    inside = losses[1:-1]
    others = (inside.sum(axis=1, keepdims=True) - inside) / max(1, inside.shape[1] - 1)
    best = others.argmin(axis=0)
    return np.asarray(losses[end] - inside[best, np.arange(inside.shape[1])])


def apart(seen: Seen, names: Sequence[str]) -> np.ndarray:
    """How far curves of variants lie apart, beyond what seeds do, for each two seeds (pair,).

    The mean distance of log10 training loss over all epochs, of the two variants that are closest; minus that of the
    two seeds, averaged over variants.
    """
    logs = {
        name: np.log10(np.clip(np.nan_to_num(seen.log(name, "loss"), nan=10.0), 1e-6, 10)) for name in names
    }
    between = [
        np.mean(pairs(np.abs(logs[one] - logs[two]).mean(axis=1)), axis=0)
        for one, two in combinations(names, 2)
    ]
    within = [np.abs(np.subtract(*pairs(log))).mean(axis=1) for log in logs.values()]
    return np.asarray(np.min(between, axis=0) - np.mean(within, axis=0))


BATCHES, WIDTHS = (16, 64), (2, 64)
METHODS = ("momentum", "Adam")


def ask(hp: HyperParameters) -> None:
    """Five of the seven; decay has a lesson of its own, and large first weights are tried alone."""
    hp.Float("learning rate", 1e-4, 1.0, sampling="log")
    hp.Float("L2", 1e-6, 1.0, sampling="log")
    hp.Choice("batch size", list(BATCHES))
    hp.Choice("optimizer", list(METHODS))
    hp.Choice("width", list(WIDTHS))


SETTINGS = ("learning rate", "L2", "batch size", "optimizer", "width")
SHARED = 24
"""Draws of rate and strength under each of four combinations of the others."""
HALF = [(a, b, a ^ b) for a in (0, 1) for b in (0, 1)]
"""Half of all combinations of three choices of two: each value of each meets each value of each other as often."""


def measured_importance(lab: Lab) -> dict[str, np.ndarray]:
    """How much each setting counts for being among the best tenth, by seed: PED-ANOVA over 96 trials of each."""
    space, rng = discover(ask), np.random.default_rng(13)
    shape = (len(HALF), SHARED)
    rates, strengths = 10 ** rng.uniform(-4, 0, shape), 10 ** rng.uniform(-6, 0, shape)
    told: list[list[Outcome]] = [[] for _ in lab.seeds]
    for n, (batch, optimizer, width) in enumerate(HALF):
        made = partial(build, optimizer=OPTIMIZERS[METHODS[optimizer]], width=WIDTHS[width])
        chosen = {
            "batch size": BATCHES[batch],
            "optimizer": METHODS[optimizer],
            "width": WIDTHS[width],
        }
        losses = trial_losses(lab, made, BATCHES[batch], rates[n], strengths[n])
        for place, some in enumerate(losses):
            for rate, strength, loss in zip(rates[n], strengths[n], some, strict=True):
                settings = {"learning rate": float(rate), "L2": float(strength), **chosen}
                told[place].append(Outcome(len(told[place]), settings, (float(loss),)))
    found = [importances(outcomes, space) for outcomes in told]
    return {name: np.array([one[name] for one in found]) for name in SETTINGS}


def trial_losses(
    lab: Lab, made: Callable[[], keras.Model], batch_size: int, rates: np.ndarray, strengths: np.ndarray
) -> np.ndarray:
    """Log-loss on test rows (seed, trial) of trainings that differ in rate and strength only."""
    seeds = len(lab.seeds)
    seen = lab.train(
        Variant(
            "trials",
            "trials",
            made,
            batch_size,
            EPOCHS // 2,
            prepare=StandardScaler,
            seeds=np.repeat(lab.seeds, len(rates)).tolist(),
            numbers={
                "optimizer.learning_rate": np.tile(rates, seeds).tolist(),
                "weights[0].regularizer.l2": np.tile(strengths, seeds).tolist(),
            },
        )
    )
    return seen.per_member("trials", log_loss).reshape(seeds, len(rates))


def log_loss(outputs: np.ndarray, y: np.ndarray) -> float:
    """Minus mean log probability of the true classes, in nats; log 2 of a training that ended in no numbers."""
    p = np.nan_to_num(np.where(y == 1, outputs[:, 0], 1 - outputs[:, 0]), nan=0.5)
    return float(-np.log(np.clip(p, 1e-6, 1)).mean())


def also(lab: Lab, _: Seen) -> dict[str, Any]:
    """Importance (seed,) by setting."""
    return {"importance": measured_importance(lab)}


def figures(seen: Seen) -> Sequence[Drawing]:
    """Loss against rate and against strength, and what counts for being among the best."""
    return (
        Lines(
            "Training loss at the end",
            np.array(RATES),
            {"SGD": of_rate(seen).T},
            "learning rate",
            "training loss",
            log_x=True,
            log_y=True,
        ),
        Lines(
            "Loss at the end, without the penalty",
            np.array(STRENGTHS),
            {
                "training rows": of_strength(seen, "binary_crossentropy").T,
                "test rows": of_strength(seen, "val_binary_crossentropy").T,
            },
            "L2 strength",
            "log-loss, nats",
            log_x=True,
        ),
        Bars("Share in being among the best tenth of trials", seen["importance"], "importance (PED-ANOVA)"),
    )


def by_seed(importance: Mapping[str, np.ndarray]) -> list[dict[str, float]]:
    """Importance of each seed, by setting."""
    seeds = len(next(iter(importance.values())))
    return [{name: float(shares[i]) for name, shares in importance.items()} for i in range(seeds)]


def unseen_loss(seen: Seen, name: str) -> np.ndarray:
    """Log-loss on test rows at the end, without the penalty (seed,)."""
    return seen.final(name, "val_binary_crossentropy")


LESSON = Lesson(
    name="seven-hyperparameters",
    title="Seven hyperparameters",
    area="tuning",
    covers=("hp-seven", "hp-importance"),
    why="Seven numbers and choices are said to matter most: learning rate, batch size, first weights, optimizer, "
    "strength of regularization, depth and width, and decay. One small network is trained with each of them changed "
    "alone; decay has a lesson of its own, on schedules. The source names no data and no values: 150 rows with wrong "
    "labels among them, so that a network can learn too much, and ranges of several powers of ten are our choice. "
    "Rate, strength, batch size, optimizer and width then vary together, and what the best tenth of trials have in "
    "common is measured. The choices of two are crossed in half of all combinations, which keeps them balanced.",
    data=rows,
    variants=VARIANTS,
    also=also,
    claims=(
        Claim(
            "Too small a learning rate is slow: at 0.0001, SGD ends above the best rate's loss.",
            ["hp-seven/0"],
            lambda seen: above_inside(of_rate(seen), 0),
            above(0),
            "training loss after 80 epochs at rate 0.0001 minus that at the best rate inside the range",
        ),
        Claim(
            "Too large a rate ends above it, too: the curve is a U.",
            ["hp-seven/0"],
            lambda seen: above_inside(of_rate(seen), -1),
            above(0),
            "training loss after 80 epochs at rate 100 minus that at the best rate inside the range",
        ),
        Claim(
            "At the high end training diverges: it ends above the loss of knowing nothing, log 2.",
            ["hp-seven/0"],
            lambda seen: of_rate(seen)[-1] > np.log(2),
            above(0.5),
            "share of trainings at rate 100 whose loss ends above 0.693",
        ),
        Claim(
            "Optimizers give clearly different loss curves.",
            ["hp-seven/1"],
            lambda seen: apart(seen, ("rate 0.01", "momentum", "RMSprop", "Adam")),
            above(0),
            "mean distance of log10 loss of the two closest optimizers minus that of two seeds",
            amended="No seed is in two pairs; pairs that shared seeds had been judged as independent.",
        ),
        Claim(
            "Too little regularization costs on new rows.",
            ["hp-seven/2"],
            lambda seen: above_inside(of_strength(seen, "val_binary_crossentropy"), 0),
            above(0),
            "test log-loss at the smallest strength minus that at the best strength inside the range",
        ),
        Claim(
            "Too much regularization costs on new rows.",
            ["hp-seven/2"],
            lambda seen: above_inside(of_strength(seen, "val_binary_crossentropy"), -1),
            above(0),
            "test log-loss at the largest strength minus that at the best strength inside the range",
        ),
        Claim(
            "Width sets capacity: one hidden unit fits the training rows worse than 32.",
            ["hp-importance/0"],
            lambda seen: (
                seen.final("narrow", "binary_crossentropy") - seen.final("Adam", "binary_crossentropy")
            ),
            above(0),
            "training log-loss, one unit minus 32",
        ),
        Claim(
            "Depth sets capacity: one layer fits the training rows worse than four.",
            ["hp-importance/0"],
            lambda seen: (
                seen.final("Adam", "binary_crossentropy") - seen.final("deep", "binary_crossentropy")
            ),
            above(0),
            "training log-loss, one layer minus four",
        ),
        Claim(
            "Batch size sets training speed: all rows in a batch need more epochs than batches of 32.",
            ["hp-importance/1"],
            lambda seen: (
                seen.epochs_to("batch 150", "accuracy", 0.85) - seen.epochs_to("Adam", "accuracy", 0.85)
            ),
            above(0),
            "epochs to 85 % training accuracy, 150 rows minus 32",
        ),
        Claim(
            "The learning rate sets training speed: 0.01 needs more epochs than 0.1.",
            ["hp-importance/1"],
            lambda seen: (
                seen.epochs_to("rate 0.01", "accuracy", 0.8) - seen.epochs_to("rate 0.1", "accuracy", 0.8)
            ),
            above(0),
            "epochs of SGD to 80 % training accuracy, rate 0.01 minus 0.1",
        ),
        Claim(
            "The learning rate sets stability: at 10, the loss jumps more from epoch to epoch than at 0.1.",
            ["hp-importance/2"],
            lambda seen: (
                np.nan_to_num(seen.rough("rate 10", "loss"), nan=10.0, posinf=10.0)
                - seen.rough("rate 0.1", "loss")
            ),
            above(0),
            "deviation of the training loss's changes, rate 10 minus rate 0.1",
        ),
        Claim(
            "Large first weights cost: the test loss ends higher than with Glorot's.",
            ["hp-importance/2"],
            lambda seen: unseen_loss(seen, "large weights") - unseen_loss(seen, "Adam"),
            above(0),
            "test log-loss, deviation 3 minus Glorot's",
        ),
        Claim(
            "Settings interact: regularization gains more in a wide network than in a narrow one.",
            ["hp-importance/3"],
            lambda seen: (
                (unseen_loss(seen, "Adam") - unseen_loss(seen, "L2 0.01"))
                - (unseen_loss(seen, "narrow") - unseen_loss(seen, "narrow L2"))
            ),
            above(0),
            "fall of the test log-loss by L2 of 0.01 instead of 0.0001, 32 units minus one",
        ),
        Claim(
            "Settings change the loss trajectory: curves of other rates lie further apart than those of other seeds.",
            ["hp-importance/4"],
            lambda seen: apart(seen, [rate_name(rate) for rate in RATES[1:4]]),
            above(0),
            "mean distance of log10 loss of the two closest rates from 0.001 to 0.1 minus that of two seeds",
            amended="No seed is in two pairs; pairs that shared seeds had been judged as independent.",
        ),
        Claim(
            "Of five that vary together, the learning rate counts most for being among the best tenth of trials.",
            [],
            lambda seen: np.array(
                [max(one, key=one.__getitem__) == "learning rate" for one in by_seed(seen["importance"])]
            ),
            above(0.5),
            "share of seeds in which the learning rate has the largest share of importance",
            who="caviar",
        ),
    ),
    untold=(
        Untold("hp-seven/3", "The lesson on schedules decides what a decay does."),
        Untold(
            "hp-importance/5",
            "That nothing could derive the best values is no statement that trainings decide.",
        ),
    ),
    questions=(
        Naming(
            "Name four of the seven hyperparameters.",
            {
                "learning rate": ("lr", "rate", "step size"),
                "batch size": ("batch", "batches"),
                "initialization": (
                    "weight initialization",
                    "initializer",
                    "initial weights",
                    "first weights",
                ),
                "optimizer": ("optimiser", "optimization algorithm"),
                "regularization": ("regularisation", "l2", "l1", "dropout", "weight decay"),
                "depth and width": ("depth", "width", "layers", "units", "number of layers", "network size"),
                "learning rate decay": ("decay", "schedule", "learning rate schedule"),
            },
            4,
            "Others can matter for other networks.",
        ),
        Match("loss", ("rate 0.01", "momentum", "RMSprop", "Adam")),
        Winner(
            "Which rate of SGD ends with the lowest training loss?",
            ended,
            tuple(rate_name(rate) for rate in RATES[1:-1]),
            highest=False,
        ),
    ),
    curves=("loss", "binary_crossentropy"),
    figures=figures,
    learned="Which setting counts most was not the same in every seed: measure it in your own trials. The training "
    "loss is a U over the learning rate, so look for its bottom rather than for an end of the range.",
)
"""The lesson."""
