"""Panda or caviar: is a budget better spent on one training under watch, or on many side by side?"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from scipy.stats import spearmanr
from sklearn.datasets import make_moons

from caviar.evaluate.claims import above, exactly
from caviar.teaching.contract import Choice, Claim, Data, Drawing, Lesson, Lines, Shown, Untold, Variant
from caviar.teaching.rows import first_rows
from caviar.teaching.seen import Lab, Seen, Training

EPOCHS = 40
BUDGETS = (1, 2, 4, 8, 16)
"""In whole trainings of 40 epochs."""
LOOKS = (20,) * 4 + (80,) * 7
"""Epochs between looks at the curve: often in the beginning, then now and then."""
LOW, HIGH = -4.0, 1.0
"""Powers of ten between which nobody knows a good rate."""
FIRST_RATE = 0.01
RATE, L2 = "optimizer.learning_rate", "weights[0].regularizer.l2"
RATES = np.logspace(LOW, HIGH, 6)
STRENGTHS = np.logspace(-5, 0, 6)
TABLES = ("here", "noisy", "moved")
OTHER_ROWS = "its other rows are moons with more noise"


def moons(_: Path | None = None, *, rows: int = 900, train: int = 300, noise: float = 0.25) -> Data:
    """Two half-moons; of the rows that are not trained on, one half chooses and the other judges."""
    x, y = make_moons(rows, noise=noise, random_state=14)
    return Data(
        f"two moons, {train} rows to train on, {(rows - train) // 2} to choose by and as many to judge by",
        x,
        y,
        first_rows(rows, train),
        origin=f"scikit-learn's make_moons(noise={noise}, random_state=14)",
    )


def build() -> keras.Model:
    """The network that is tuned."""
    hidden = keras.layers.Dense(32, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-5))
    model = keras.Sequential([hidden, keras.layers.Dense(1, activation="sigmoid")])
    model.compile(keras.optimizers.SGD(FIRST_RATE, momentum=0.9), "binary_crossentropy", metrics=["accuracy"])
    return model


def log_loss(outputs: np.ndarray, y: np.ndarray, *, chosen_by: bool) -> float:
    """Minus mean log probability of the true classes, in nats; of the half that chooses or that judges.

    A training that ended in no numbers knows nothing: log 2.
    """
    half = len(y) // 2
    some = slice(None, half) if chosen_by else slice(half, None)
    p = np.nan_to_num(np.where(y[some] == 1, outputs[some, 0], 1 - outputs[some, 0]), nan=0.5)
    return float(-np.log(np.clip(p, 1e-6, 1)).mean())


def both(seen: Seen, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Loss on the rows that choose and on those that judge (member,)."""
    chooses, judges = (
        seen.per_member(name, partial(log_loss, chosen_by=chooses)) for chooses in (True, False)
    )
    return chooses, judges


def next_rate(rate: float, before: float, now: float) -> float:
    """The rule by which one training is nursed, written down before it was tried.

    Worse than at the last look: a tenth of the rate. Better by less than 2 %: the curve stalls, three times the rate.
    Else the rate stays.
    """
    if not now <= before:
        return rate / 10
    return rate * 3 if now > 0.98 * before else rate


def nursed(lab: Lab) -> dict[str, np.ndarray]:
    """One training per seed, whose rate follows the rule; and how good it is when a budget ends (budget, seed).

    At each look, the loss on the rows that choose decides the rate from there on. The best network so far is
    kept, as a person would keep it.
    """
    rates = np.full(len(lab.seeds), FIRST_RATE)
    seen: dict[str, list[np.ndarray]] = {"chooses": [], "judges": [], "rates": []}
    training: Training | str = ""
    for look, epochs in enumerate(LOOKS):
        some = Variant(
            "nursed", "nursed", build, epochs=epochs, numbers={RATE: rates.tolist()}, after=training
        )
        tried = lab.train(some)
        training = tried.trainings["nursed"]
        chooses, judges = both(tried, "nursed")
        seen["rates"].append(rates.copy())
        before = seen["chooses"][-1] if look else np.full(len(rates), np.inf)
        rates = np.array([next_rate(*one) for one in zip(rates, before, chooses, strict=True)])
        seen["chooses"].append(chooses)
        seen["judges"].append(judges)
    ends = [int(np.searchsorted(np.cumsum(LOOKS), budget * EPOCHS)) + 1 for budget in BUDGETS]
    return {
        "nursed": np.stack([chosen(seen["chooses"][:end], seen["judges"][:end]) for end in ends]),
        "nursed rates": np.stack(seen["rates"], axis=1),
    }


def side_by_side(lab: Lab) -> np.ndarray:
    """The best of so many whole trainings at random rates, on the rows that judge (budget, seed)."""
    most, seeds = BUDGETS[-1], len(lab.seeds)
    rates = np.stack([10 ** lab.rng(place).uniform(LOW, HIGH, most) for place in range(seeds)])
    tried = lab.train(
        Variant(
            "many",
            "many",
            build,
            epochs=EPOCHS,
            seeds=np.repeat(lab.seeds, most).tolist(),
            numbers={RATE: rates.ravel().tolist()},
        )
    )
    chooses, judges = (loss.reshape(seeds, most).T for loss in both(tried, "many"))
    return np.stack([chosen(chooses[:budget], judges[:budget]) for budget in BUDGETS])


def chosen(
    chooses: Sequence[np.ndarray] | np.ndarray, judges: Sequence[np.ndarray] | np.ndarray
) -> np.ndarray:
    """What the candidate with the lowest loss on the rows that choose shows on those that judge (seed,)."""
    best = np.nan_to_num(np.asarray(chooses), nan=np.inf).argmin(axis=0)
    return np.asarray(np.asarray(judges)[best, np.arange(len(best))])


def grids(lab: Lab, data: Data) -> tuple[np.ndarray, np.ndarray]:
    """Loss on all test rows (value, seed) with each rate, and with each L2 strength; the other as it usually is."""
    seeds, usual = len(lab.seeds), (0.1, 1e-5)
    pairs = [*((rate, usual[1]) for rate in RATES), *((usual[0], strength) for strength in STRENGTHS)]
    rates, strengths = (np.repeat(values, seeds).tolist() for values in zip(*pairs, strict=True))
    tried = lab.train(
        Variant(
            "grid",
            "grid",
            build,
            epochs=EPOCHS,
            seeds=list(lab.seeds) * len(pairs),
            numbers={RATE: rates, L2: strengths},
        ),
        data=data,
    )
    losses = np.mean(both(tried, "grid"), axis=0).reshape(len(pairs), seeds)
    return losses[: len(RATES)], losses[len(RATES) :]


def also(lab: Lab, seen: Seen) -> dict[str, Any]:
    """Both ways at every budget; then settings borrowed from other rows, and rows that moved."""
    here = seen.rows
    tables = {"here": here, "moved": replace(here, x=here.x * 30.0)}
    if not here.is_own:
        tables["noisy"] = moons(train=40, noise=0.45)
    found: dict[str, Any] = nursed(lab) | {"many": side_by_side(lab)}
    for name, data in tables.items():
        found[f"rates {name}"], found[f"strengths {name}"] = grids(lab, data)
    return found


def advantage(seen: Seen, budget: int) -> np.ndarray:
    """Loss on unseen rows of one nursed training minus that of the best of many (seed,)."""
    place = BUDGETS.index(budget)
    return np.asarray(seen["nursed"][place] - seen["many"][place])


def regret(seen: Seen, what: str, there: str, here: str) -> np.ndarray:
    """Loss with the value that is best on other rows minus that with the best one (seed,).

    Both are the best on average over the other seeds, so that chance in a seed's own losses has no say in them.
    """
    own, others = seen[f"{what} {here}"], seen[f"{what} {there}"]
    at = np.arange(own.shape[1])
    return np.asarray(own[_best(others), at] - own[_best(own), at])


def _best(losses: np.ndarray) -> np.ndarray:
    """Place of the value that is best on average over all other seeds (seed,)."""
    return np.asarray((losses.sum(axis=1, keepdims=True) - losses).argmin(axis=0))


def likeness(seen: Seen, what: str, there: str, here: str) -> np.ndarray:
    """Rank correlation of the losses on two tables over a setting's values (seed,)."""
    own, others = seen[f"{what} {here}"], seen[f"{what} {there}"]
    return np.array([float(spearmanr(own[:, i], others[:, i]).statistic) for i in range(own.shape[1])])


def default_regret(seen: Seen) -> np.ndarray:
    """Loss on the noisy rows with the middle of the range minus that with the rate borrowed from others (seed,)."""
    own = seen["rates noisy"]
    return np.asarray(own[2] - own[_best(seen["rates here"]), np.arange(own.shape[1])])


def trials_for(chance: float, share: float) -> int:
    """How many trials at random have one among the best share with so much probability."""
    return int(np.ceil(np.log(1 - chance) / np.log(1 - share)))


def figures(seen: Seen) -> Sequence[Drawing]:
    """Which way a budget allows, and what the rule did to the rate."""
    looks = np.cumsum(LOOKS)
    return (
        Lines(
            "What a budget buys",
            np.array(BUDGETS) * EPOCHS,
            {"one, nursed (panda)": seen["nursed"].T, "the best of many (caviar)": seen["many"].T},
            "epochs in all",
            "loss on unseen rows, nats",
            log_x=True,
        ),
        Lines(
            "Chance that one of so many trials is among the best 5 %",
            np.array(BUDGETS),
            {"drawn at random": 1 - 0.95 ** np.array(BUDGETS)},
            "whole trainings that the budget allows",
            "probability",
            log_x=True,
        ),
        Lines(
            "The rate under the rule",
            looks,
            {"rate": seen["nursed rates"]},
            "epoch",
            "learning rate",
            log_y=True,
        ),
        Lines(
            "The same rates on other tables",
            RATES,
            {name: seen[f"rates {name}"].T for name in TABLES if f"rates {name}" in seen.values},
            "learning rate",
            "loss on test rows, nats",
            log_x=True,
        ),
    )


LESSON = Lesson(
    name="panda-or-caviar",
    title="Panda or caviar: one training nursed, or many at once",
    area="tuning",
    covers=("hp-panda", "hp-caviar", "hp-transfer-and-recheck"),
    why="A panda nurses one young, a fish lays thousands of eggs. One training is watched, and a written-down rule "
    "changes its rate when its curve stalls or rises; or as many updates go to whole trainings at random rates, of "
    "which the best is taken. Both choose by the same rows and are judged on others, at five budgets from one training "
    "to 16. The source names neither; a person would nurse otherwise than a rule, and never the same way twice. "
    "Then the best settings of one table are borrowed for another, and checked again after the data moved.",
    data=moons,
    variants=(Variant("left alone", "rate 0.01, left alone", build, epochs=EPOCHS),),
    also=also,
    claims=(
        Claim(
            "Where a budget allows one training only, nursing it beats a rate drawn at random.",
            ["hp-panda/0"],
            lambda seen: -advantage(seen, 1),
            above(0),
            "loss on unseen rows, one training at random minus one nursed, with 40 epochs",
        ),
        Claim(
            "Where a budget allows 16 trainings, the best of them beats one that was nursed as long.",
            ["hp-caviar/0"],
            lambda seen: advantage(seen, 16),
            above(0),
            "loss on unseen rows, one nursed minus the best of 16, with 640 epochs",
        ),
        Claim(
            "The larger the budget, the more speaks for many.",
            [],
            lambda seen: advantage(seen, 16) - advantage(seen, 1),
            above(0),
            "advantage of the best of many over one nursed, at 16 trainings minus at one",
            who="caviar",
        ),
        Claim(
            "For one of the best 5 % with a probability of 95 %, a budget must allow 59 trials at random.",
            [],
            lambda _: trials_for(0.95, 0.05),
            exactly(59),
            "trials",
            who="caviar",
        ),
        Claim(
            "Some settings transfer: the rate that is best on other rows beats the middle of the range.",
            ["hp-transfer-and-recheck/0"],
            default_regret,
            above(0),
            "loss on few noisy rows with rate 0.01 minus that with the rate best on many clean ones",
            only_here=OTHER_ROWS,
        ),
        Claim(
            "Others are task-specific: the L2 strength that is best on other rows costs on these.",
            ["hp-transfer-and-recheck/0"],
            lambda seen: regret(seen, "strengths", "here", "noisy"),
            above(0),
            "loss on few noisy rows with the strength best on many clean ones minus that with their own best",
            only_here=OTHER_ROWS,
        ),
        Claim(
            "Rates rank more alike on both tables than L2 strengths do.",
            ["hp-transfer-and-recheck/0"],
            lambda seen: (
                likeness(seen, "rates", "here", "noisy") - likeness(seen, "strengths", "here", "noisy")
            ),
            above(0),
            "rank correlation of losses on two tables, over rates minus over L2 strengths",
            only_here=OTHER_ROWS,
        ),
        Claim(
            "Settings go stale: after inputs moved to another unit, the old best rate costs.",
            [],
            lambda seen: regret(seen, "rates", "here", "moved"),
            above(0),
            "loss on inputs 30 times as large with the old best rate minus that with the new one",
            who="caviar",
        ),
    ),
    untold=(
        Untold(
            "hp-panda",
            "That online advertising and computer vision are such fields is no matter of a training on a table.",
        ),
    ),
    questions=(
        Choice(
            "How many trials at random does it take until one is among the best 5 % with a probability of 95 %?",
            ("2", "19", "59", "95"),
            (2,),
            "All n trials miss the best 5 % with a probability of 0.95 to the power of n: below 5 % from 59 on.",
        ),
        Choice(
            "A sensor now reports in another unit. What of the settings found before?",
            ("they stand", "they are checked again", "only the number of layers is checked again"),
            (1,),
            "`caviar recheck` trains the choice, the recipe as it was and the runners-up on the new rows.",
        ),
    ),
    shows=(
        Shown("loss on unseen rows", lambda seen, name: both(seen, name)[1]),
        Shown("test accuracy", lambda seen, name: seen.accuracy(name)),
    ),
    figures=figures,
    learned="Which way pays could not be told at these budgets: `caviar panda` nurses one training, `caviar tune` runs "
    "many, and one of the best 5 % takes 59 trials at random for a probability of 95 %. The best rate went stale when "
    "inputs moved to another unit: `caviar recheck` tries old settings on new rows.",
)
"""The lesson."""
