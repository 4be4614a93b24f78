"""Log scale: must a learning rate be drawn evenly over its powers of ten?"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from caviar.evaluate.claims import above, between, exactly
from caviar.recipe.hyperparameters import HyperParameters
from caviar.teaching.contract import Bars, Choice, Claim, Drawing, Lesson, Variant
from caviar.teaching.rows import circles
from caviar.teaching.seen import Lab, Seen
from caviar.tune.parameter import Parameter
from caviar.tune.space import discover

LOW, HIGH = 1e-4, 1.0
DRAWN = 1000
TRIALS = 5
EPOCHS = 40
RATE = "optimizer.learning_rate"


def ask(hp: HyperParameters) -> None:
    """The same range on two scales."""
    hp.Float("log", LOW, HIGH, sampling="log")
    hp.Float("linear", LOW, HIGH)


def build() -> keras.Model:
    """A network whose rate is searched."""
    model = keras.Sequential(
        [keras.layers.Dense(50, activation="relu"), keras.layers.Dense(1, activation="sigmoid")]
    )
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    return model


def rates(parameter: Parameter, rng: np.random.Generator, n: int) -> np.ndarray:
    """So many draws of a rate."""
    return np.array([parameter.draw(u) for u in rng.random(n)])


def also(lab: Lab, _: Seen) -> dict[str, Any]:
    """A thousand draws per seed on each scale, and a search of five rates per seed on each."""
    found: dict[str, Any] = {}
    for parameter in discover(ask).parameters:
        drawn = np.stack([rates(parameter, lab.rng(place), DRAWN) for place in range(len(lab.seeds))])
        tried = drawn[:, :TRIALS]
        seen = lab.train(
            Variant(
                "trials",
                "trials",
                build,
                epochs=EPOCHS,
                seeds=np.repeat(lab.seeds, TRIALS).tolist(),
                numbers={RATE: tried.ravel().tolist()},
            )
        )
        found[parameter.name] = drawn
        found[f"best {parameter.name}"] = seen.accuracy("trials").reshape(tried.shape).max(axis=1)
    return found


def share_below(rates: np.ndarray, bound: float) -> np.ndarray:
    """Share of each seed's rates (seed, draw) that lie below a bound."""
    return np.asarray((rates < bound).mean(axis=1))


def iterations_to(share: float, factor: float) -> int:
    """Iterations after which a rate that is multiplied by a factor in each is below a share of what it was."""
    rate, iterations = 1.0, 0
    while rate >= share:
        rate, iterations = rate * factor, iterations + 1
    return iterations


def figures(seen: Seen) -> Sequence[Drawing]:
    """Where a thousand draws lie."""
    return (
        Bars(
            "A thousand rates, by their power of ten",
            {name: np.log10(seen[name][0]) for name in ("log", "linear")},
            "log10 of the learning rate",
        ),
    )


LESSON = Lesson(
    name="log-scale",
    title="A learning rate is drawn on a logarithmic scale",
    area="tuning",
    covers=("hp-log-scale",),
    why="Between 0.0001 and 1 lie four powers of ten. Drawn evenly between the ends, nine of ten rates lie in the last "
    "of them; with the exponent drawn evenly, each power gets a quarter. Both are drawn a thousand times per seed, and "
    "a search of five rates on each scale trains real networks. The source mixes this up with a second matter, "
    "multiplying the rate by 0.9 or 0.99 in each iteration: that is a decay during training, no way to choose a rate, "
    "and how fast such factors end all learning is counted beside it.",
    data=circles(1000, train=500),
    variants=(Variant("default", "rate 0.01", build, epochs=EPOCHS),),
    also=also,
    claims=(
        Claim(
            "With the exponent drawn evenly, 75 % of rates lie below 0.1.",
            ["hp-log-scale/0"],
            lambda seen: share_below(seen["log"], 0.1),
            between(0.73, 0.77),
            "share of 1,000 draws below 0.1",
        ),
        Claim(
            "Drawn evenly between the ends, about 10 % do.",
            ["hp-log-scale/0"],
            lambda seen: share_below(seen["linear"], 0.1),
            between(0.08, 0.12),
            "share of 1,000 draws below 0.1",
        ),
        Claim(
            "A search must draw on a log scale: five rates drawn so find a better network.",
            ["hp-log-scale/0"],
            lambda seen: seen["best log"] - seen["best linear"],
            above(0),
            "highest test accuracy of five rates, log minus linear scale",
        ),
        Claim(
            "A decay of 0.9 in each iteration leaves a thousandth of the rate after 66 iterations.",
            [],
            lambda _: iterations_to(1e-3, 0.9),
            exactly(66),
            "iterations until the rate is below a thousandth",
            who="caviar",
        ),
        Claim(
            "A decay of 0.99 in each iteration leaves a thousandth of the rate after 688 iterations.",
            [],
            lambda _: iterations_to(1e-3, 0.99),
            exactly(688),
            "iterations until the rate is below a thousandth",
            who="caviar",
        ),
    ),
    questions=(
        Choice(
            "Of rates drawn evenly between 0.0001 and 1, how many lie below 0.01?",
            ("half", "a tenth", "a hundredth"),
            (2,),
            "0.01 is a hundredth of the way.",
        ),
        Choice(
            "Which settings belong on a log scale?",
            ("learning rate", "dropout rate", "L2 factor", "number of layers"),
            (0, 2),
            "Those whose sensible values span several powers of ten.",
        ),
    ),
    figures=figures,
    learned='Ask for a rate with `hp.Float("rate", 1e-4, 1.0, sampling="log")`, and keep how a rate is chosen apart '
    "from how it decays.",
)
"""The lesson."""
