"""Searches: at as many trials, which finds better settings: a grid, chance, or chance that narrows?"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.datasets import make_classification
from sklearn.preprocessing import StandardScaler

from caviar.evaluate.claims import above, exactly
from caviar.recipe.hyperparameters import HyperParameters
from caviar.teaching.contract import Choice, Claim, Data, Drawing, Lesson, Lines, Shown, Variant
from caviar.teaching.rows import holdout
from caviar.teaching.seen import Lab, Seen
from caviar.tune.coarse import coarse_to_fine_search
from caviar.tune.draws import random_search
from caviar.tune.grid import grid_search
from caviar.tune.search import Candidate, Outcome, Search
from caviar.tune.space import Space, discover

TRIALS = 27
EPOCHS = 30
KEYS = {"rate": "optimizer.learning_rate", "dropout": "layers[2].rate", "l2": "weights[0].regularizer.l2"}
"""Where a setting stands in the network: its trials train as one population."""


def rows(_: Path | None = None) -> Data:
    """900 rows of two classes: 200 to train on; of the others, one half chooses and the other judges."""
    x, y = make_classification(900, 20, n_informative=6, flip_y=0.1, class_sep=0.8, random_state=11)
    return Data(
        "two classes of several clumps, 200 rows to train on, 350 to choose by and 350 to judge by",
        x,
        y,
        holdout(y, 700 / 900, 1, stratify=True),
        origin="scikit-learn's make_classification(n_informative=6, flip_y=0.1, random_state=11)",
    )


def ask(hp: HyperParameters) -> None:
    """What is searched: three settings, each over decades or a wide range."""
    hp.Float("rate", 1e-4, 1.0, sampling="log", default=0.01)
    hp.Float("dropout", 0.01, 0.81, default=0.2)
    hp.Float("l2", 1e-6, 1e-1, sampling="log", default=1e-4)


def ask_one_more(hp: HyperParameters) -> None:
    """The same and a fourth."""
    ask(hp)
    hp.Float("momentum", 0.5, 0.99)


def build() -> keras.Model:
    """The network whose settings are searched; these ones are the defaults of nobody's choice."""
    model = keras.Sequential(
        [
            keras.layers.Dense(32, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-4)),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "binary_crossentropy", metrics=["accuracy"])
    return model


def log_loss(outputs: np.ndarray, y: np.ndarray, *, chosen_by: bool) -> float:
    """Minus mean log probability of the true classes, in nats; of the half that chooses or that judges.

    A training that ended in no numbers knows nothing: log 2.
    """
    half = len(y) // 2
    some = slice(None, half) if chosen_by else slice(half, None)
    p = np.where(y[some] == 1, outputs[some, 0], 1 - outputs[some, 0])
    return float(-np.log(np.clip(np.nan_to_num(p, nan=0.5), 1e-6, 1)).mean())


def search_all(
    lab: Lab, make: Callable[[Space, int, int], Search], space: Space
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One search per seed, all of their trials of a generation trained as one population.

    Returns:
        Loss on the rows that choose and on those that judge (seed, trial), and settings (seed, trial, setting).
    """
    searches = [make(space, TRIALS, seed) for seed in lab.seeds]
    chooses: list[list[float]] = [[] for _ in searches]
    judges: list[list[float]] = [[] for _ in searches]
    tried: list[list[list[float]]] = [[] for _ in searches]
    while any(asked := [search.ask(TRIALS) for search in searches]):
        members = [(place, one) for place, some in enumerate(asked) for one in some]
        by_choosing, by_judging = trained(lab, members)
        for (place, one), choosing, judging in zip(members, by_choosing, by_judging, strict=True):
            chooses[place].append(choosing)
            judges[place].append(judging)
            tried[place].append([one.settings[name] for name in KEYS])
            searches[place].tell([Outcome(one.number, one.settings, (choosing,))])
    return np.array(chooses), np.array(judges), np.array(tried)


def trained(lab: Lab, members: Sequence[tuple[int, Candidate]]) -> tuple[np.ndarray, np.ndarray]:
    """Loss on the rows that choose and on those that judge (member,)."""
    numbers = {key: [one.settings[name] for _, one in members] for name, key in KEYS.items()}
    seen = lab.train(
        Variant(
            "trials",
            "trials",
            build,
            epochs=EPOCHS,
            prepare=StandardScaler,
            seeds=[lab.seeds[place] for place, _ in members],
            numbers=numbers,
        )
    )
    return (
        seen.per_member("trials", partial(log_loss, chosen_by=True)),
        seen.per_member("trials", partial(log_loss, chosen_by=False)),
    )


METHODS: dict[str, Callable[[Space, int, int], Search]] = {
    "grid": grid_search,
    "random": random_search,
    "coarse to fine": coarse_to_fine_search,
}


def also(lab: Lab, _: Seen) -> dict[str, Any]:
    """All searches of all seeds."""
    space = discover(ask)
    found: dict[str, Any] = {
        "combinations": [len(grid_search(space, n).ask(n)) for n in (8, 27, 64)],
        "combinations of four": len(grid_search(discover(ask_one_more), 81).ask(81)),
    }
    for name, make in METHODS.items():
        chooses, judges, tried = search_all(lab, make, space)
        found[name] = chooses
        found[f"{name} unseen"] = judges[np.arange(len(judges)), chooses.argmin(axis=1)]
        found[f"{name} distinct"] = len(np.unique(tried[0, :, 0]))
    return found


def best(seen: Seen, name: str, trials: int = TRIALS) -> np.ndarray:
    """Lowest loss of a search's first trials on the rows that choose (seed,)."""
    return np.asarray(seen[name][:, :trials].min(axis=1))


def figures(seen: Seen) -> Sequence[Drawing]:
    """The best so far, trial by trial."""
    return (
        Lines(
            "The lowest loss so far",
            np.arange(1, TRIALS + 1),
            {name: np.minimum.accumulate(seen[name], axis=1) for name in METHODS},
            "trials",
            "loss on the rows that choose, nats",
        ),
    )


LESSON = Lesson(
    name="searches",
    title="Grid, random and coarse-to-fine search",
    area="tuning",
    covers=("hp-grid-search", "hp-random-search", "hp-coarse-to-fine"),
    why="A grid tries every combination of a few values, and repeats each value of what matters with every value of "
    "what does not. Draws at random never repeat one. Coarse-to-fine search draws a third of its trials everywhere, "
    "and the rest where the best ones lay. All three get 27 trials of a real network, three settings, the same seed "
    "and the same rows in each repetition. The source names no network and no ranges, these are our choice. A "
    "search's best score is the best of many and looks too good, so the chosen settings are also judged on rows that "
    "no search saw.",
    data=rows,
    variants=(
        Variant("default", "settings of nobody's choice", build, epochs=EPOCHS, prepare=StandardScaler),
    ),
    also=also,
    claims=(
        Claim(
            "A grid's trials are the product of the numbers of values.",
            ["hp-grid-search/0"],
            lambda seen: seen["combinations"] == [2**3, 3**3, 4**3] and seen["combinations of four"] == 3**4,
            exactly(1),
            "whether 2, 3 and 4 values of three settings, and 3 of four, make 8, 27, 64 and 81 trials",
        ),
        Claim(
            "Random search tries as many values of each setting as there are trials; a grid of as many trials, 3.",
            ["hp-random-search/0"],
            lambda seen: seen["random distinct"] == TRIALS and seen["grid distinct"] == 3,
            exactly(1),
            "whether 27 and 3 learning rates are tried",
        ),
        Claim(
            "Random search finds settings at least as good as a grid does, with as many trials.",
            ["hp-random-search/0"],
            lambda seen: best(seen, "grid") - best(seen, "random"),
            above(-0.01),
            "lowest loss of 27 trials, grid minus random, in nats",
        ),
        Claim(
            "Coarse-to-fine search finds better settings than one pass, with as many trials.",
            ["hp-coarse-to-fine/0"],
            lambda seen: best(seen, "random") - best(seen, "coarse to fine"),
            above(0),
            "lowest loss of 27 trials, random minus coarse to fine, in nats",
        ),
        Claim(
            "Coarse-to-fine search needs fewer trials: 18 of its 27 find what 27 at random find, to 0.01 nats.",
            ["hp-coarse-to-fine/0"],
            lambda seen: best(seen, "random") - best(seen, "coarse to fine", 18),
            above(-0.01),
            "lowest loss, 27 trials at random minus the first 18 from coarse to fine, in nats",
        ),
        Claim(
            "On rows that no search saw, what coarse-to-fine search chose is still better than one pass's.",
            [],
            lambda seen: seen["random unseen"] - seen["coarse to fine unseen"],
            above(0),
            "loss of the chosen settings on unseen rows, random minus coarse to fine, in nats",
            who="caviar",
        ),
        Claim(
            "The best score of a search looks better than it is.",
            [],
            lambda seen: seen["random unseen"] - best(seen, "random"),
            above(0),
            "loss of what random search chose, on unseen rows minus on those that chose it, in nats",
            who="caviar",
        ),
        Claim(
            "Searching beats settings of nobody's choice on unseen rows.",
            [],
            lambda seen: (
                seen.per_member("default", partial(log_loss, chosen_by=False)) - seen["random unseen"]
            ),
            above(0),
            "loss on unseen rows, defaults minus what random search chose, in nats",
            who="caviar",
        ),
    ),
    questions=(
        Choice(
            "A grid of five values of each of six settings: how many trials is that?",
            ("30", "7,776", "15,625"),
            (2,),
            "Five to the power of six.",
        ),
        Choice(
            "Only one of three settings matters. Which search of 27 trials tries most values of it?",
            ("grid", "random", "both alike"),
            (1,),
            "Each trial at random has a value of its own; the grid repeats three.",
        ),
    ),
    shows=(
        Shown(
            "loss on unseen rows",
            lambda seen, name: seen.per_member(name, partial(log_loss, chosen_by=False)),
        ),
    ),
    figures=figures,
    learned="Random search was at least as good as a grid of as many trials, to 0.01 nats, and needs no number of "
    "values for each setting; whether going from coarse to fine gains more could not be told. The best score of a "
    "search looks better than it is: judge the winner on rows that did not choose it.",
)
"""The lesson."""
