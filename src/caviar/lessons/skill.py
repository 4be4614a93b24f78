"""Skill: how good is a network whose score is another one every time, and how often must it be trained to know?"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from scipy import stats

from caviar.evaluate.claims import above, below, between, exactly
from caviar.evaluate.repeats import bootstrap_estimate, normality, standard_errors
from caviar.teaching.contract import (
    Bars,
    Choice,
    Claim,
    Data,
    Drawing,
    Lesson,
    Lines,
    Match,
    Shown,
    Variant,
    Winner,
)
from caviar.teaching.rows import circles, first_rows, folds
from caviar.teaching.seen import Lab, Seen, pairs

REPEATS = 33
"""Trainings that belong to each seed of the lesson: thirty seeds have 990."""
FEW, MANY = 5, 30
DRAWS, BOOTSTRAPS = 200, 12
"""How often so many scores are drawn, per seed; and where every draw takes a bootstrap."""


def build(n_inputs: int = 2, units: int = 25) -> keras.Model:
    """One hidden layer."""
    model = keras.Sequential(
        [
            keras.Input((n_inputs,)),
            keras.layers.Dense(units, activation="relu"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    optimizer = keras.optimizers.SGD(learning_rate=0.05, momentum=0.9)
    model.compile(optimizer, loss="binary_crossentropy", metrics=["accuracy"])
    return model


def ten_folds(folder: Path | None) -> Data:
    """Two noisy circles in ten folds."""
    rows = circles(1000, train=500)(folder)
    return replace(rows, title="two noisy circles, 1,000 rows in ten folds", splits=folds(rows.y, 10, seed=1))


def also(lab: Lab, seen: Seen) -> dict[str, Any]:
    """Scores of many trainings on one split, and what intervals of some of them say of all."""
    assert lab.data is not None
    variant = seen.trainings["network"].variant
    half = replace(lab.data, splits=first_rows(len(lab.data.y), len(lab.data.y) // 2))
    count = len(lab.seeds)
    many = lab.train(variant, data=half, seeds=tuple(range(10_000, 10_000 + REPEATS * count)))
    again = lab.train(variant, data=half, seeds=(lab.seeds[0], lab.seeds[0])).accuracy("network")
    scores = many.accuracy("network").reshape(count, REPEATS)
    return {
        "scores": scores,
        "errors": np.array([standard_errors(one) for one in scores]),
        "same": bool(again[0] == again[1]),
        "few": coverage(lab, scores, FEW, normal),
        "many": coverage(lab, scores, MANY, normal),
        "few t": coverage(lab, scores, FEW, student),
        "many t": coverage(lab, scores, MANY, student),
        "many bootstrap": coverage(lab, scores, MANY, bootstrapped, BOOTSTRAPS),
        "normal": np.array([normality(one).p > 0.05 for one in scores]),
        "p": normality(scores.ravel()).p,
    }


def normal(scores: np.ndarray) -> tuple[float, float]:
    """1.96 standard errors about the mean, from the standard deviation that divides by n: as the source has it."""
    return around(scores, 1.96 * float(scores.std()) / len(scores) ** 0.5)


def student(scores: np.ndarray) -> tuple[float, float]:
    """Student's interval: few scores know their own spread badly, so it is wider."""
    error = float(scores.std(ddof=1)) / len(scores) ** 0.5
    return around(scores, float(stats.t.ppf(0.975, len(scores) - 1)) * error)


def bootstrapped(scores: np.ndarray) -> tuple[float, float]:
    """From scores drawn again out of the scores, no bell curve assumed."""
    found = bootstrap_estimate(scores, resamples=499)
    return found.low, found.high


def around(scores: np.ndarray, margin: float) -> tuple[float, float]:
    """The mean, so much less and so much more."""
    return float(scores.mean()) - margin, float(scores.mean()) + margin


def coverage(lab: Lab, scores: np.ndarray, n: int, interval: Any, draws: int = DRAWS) -> np.ndarray:  # noqa: ANN401
    """Share of draws of n scores whose interval holds the mean of all scores (seed,).

    Args:
        lab: Gives each seed its draws.
        scores: Of all trainings.
        n: How many are drawn.
        interval: Gives the ends from the scores drawn (n,).
        draws: How often, per seed.
    """
    truth = scores.mean()
    shares = []
    for place in range(len(lab.seeds)):
        drawn = lab.rng(place).choice(scores.ravel(), (draws, n))
        ends = np.array([interval(one) for one in drawn])
        shares.append(((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean())
    return np.array(shares)


def slope(seen: Seen) -> np.ndarray:
    """Slope of the standard error over repeats, both as logarithms, from the tenth repeat on (seed,)."""
    numbers = np.log(np.arange(2, REPEATS + 1))
    return np.array([np.polyfit(numbers[8:], np.log(errors[8:]), 1)[0] for errors in seen["errors"]])


def off(seen: Seen, repeats: int) -> np.ndarray:
    """How far the mean of a seed's first scores lies from the mean of all (seed,)."""
    scores = seen["scores"]
    return np.asarray(np.abs(scores[:, :repeats].mean(axis=1) - scores.mean()))


def by_fold(seen: Seen, name: str) -> np.ndarray:
    """Accuracy on each fold's test rows (seed, fold)."""
    return seen.by_fold(name, lambda said, y: float(((said[:, 0] > 0.5) == y).mean()))


def harnesses(seen: Seen) -> dict[str, np.ndarray]:
    """What four ways to evaluate say when they are used again and again: the first two with other seeds."""
    scores = by_fold(seen, "network")
    places = np.arange(len(scores))
    whole = scores.mean(axis=1)
    tens = [whole[start : start + 10].mean() for start in range(0, len(whole), 10)]
    return {
        "one split, one training": scores[places, places % scores.shape[1]],
        "ten folds": whole,
        "ten folds, the seed fixed": np.full(len(whole), whole[0]),
        "ten times ten folds": np.array(tens),
    }


def far(seen: Seen, way: str) -> np.ndarray:
    """How far what a way says lies from the mean over all folds and seeds (seed,)."""
    return np.asarray(np.abs(harnesses(seen)[way] - by_fold(seen, "network").mean()))


def disagree(seen: Seen, name: str) -> np.ndarray:
    """Share of test rows that the trainings of two seeds put into different classes (pair,)."""
    said = np.array(
        [
            np.concatenate([one[:, 0] > 0.5 for one in outputs])
            for outputs in seen.trainings[name].outputs["test"]
        ]
    )
    return np.asarray(np.not_equal(*pairs(said)).mean(axis=1))


def unstable(seen: Seen) -> np.ndarray:
    """How much more two seeds disagree in the variant whose scores spread more (pair,)."""
    spreads = {name: seen.accuracy(name).std(ddof=1) for name in ("network", "small")}
    more = disagree(seen, "small") - disagree(seen, "network")
    return more if spreads["small"] > spreads["network"] else -more


def figures(seen: Seen) -> list[Drawing]:
    """Scores, whether they are normal, how their mean settles, and four ways to evaluate."""
    scores = seen["scores"]
    (quantiles, ordered), (steep, middle, _) = stats.probplot(scores.ravel())
    numbers = np.arange(1, REPEATS + 1)
    means = scores.cumsum(axis=1) / numbers
    first = float(np.median(seen["errors"][:, 3])) * 5**0.5
    return [
        Bars(
            "The same network on the same rows, with other seeds", {"score": scores.ravel()}, "test accuracy"
        ),
        Lines(
            "Are the scores normal? Then they lie on the line",
            quantiles,
            {"scores": ordered, "normal": steep * quantiles + middle},
            "quantile of a normal distribution",
            "test accuracy",
            points=True,
        ),
        Lines("The mean settles", numbers, {"mean so far": means}, "repeats", "mean test accuracy"),
        Lines(
            "What a repeat is worth",
            numbers[1:],
            {"standard error": seen["errors"], "one over the root": first / np.sqrt(numbers[1:])},
            "repeats",
            "standard error of the mean",
            log_x=True,
            log_y=True,
        ),
        Bars("What four ways to evaluate say, again and again", harnesses(seen), "test accuracy"),
    ]


LESSON = Lesson(
    name="skill",
    title="The skill of a network that chance has a hand in",
    area="evaluation",
    covers=("skill-statistics", "skill-sensitivity", "skill-how-many-repeats", "skill-pseudocode"),
    why="First weights and the order of rows are drawn, so a score is a draw too: one fit and one score say little. "
    "The source names no rows and no network; here they are two circles and one hidden layer, cheap enough for a "
    "thousand trainings. Two networks, a stable one and a shaky one, are trained on ten folds; the first one is "
    "then trained 33 times for every seed on a single split, so that intervals made from a few of the scores can be "
    "held against the mean of all. What the source assumes of the scores is looked at as well.",
    data=ten_folds,
    variants=(
        Variant("network", "25 hidden units", build, epochs=30),
        Variant("small", "3 hidden units", partial(build, units=3), epochs=30),
    ),
    also=also,
    claims=(
        Claim(
            "The same network on the same rows scores differently with another seed.",
            ["skill-statistics/0"],
            lambda seen: seen["scores"].std(axis=1, ddof=1),
            above(0),
            "standard deviation of the test accuracy over 33 trainings, one per seed of the lesson",
        ),
        Claim(
            "With the seed fixed it scores the same, which hides that.",
            [],
            lambda seen: seen["same"],
            exactly(1),
            "whether two trainings with one seed have equal scores",
            who="caviar",
        ),
        Claim(
            "The standard error falls with one over the root of the repeats.",
            ["skill-statistics/1", "skill-how-many-repeats/0"],
            slope,
            between(-0.6, -0.4),
            "slope of the standard error over the number of repeats, both as logarithms, from the tenth repeat on; a "
            "tenth more or less allows for what 33 repeats leave open",
        ),
        Claim(
            "The estimate settles.",
            ["skill-how-many-repeats/0"],
            lambda seen: off(seen, 3) - off(seen, MANY),
            above(0),
            "distance from the mean of all trainings, of three repeats' mean minus that of thirty's",
        ),
        Claim(
            "1.96 standard errors of thirty scores hold the long-run mean about 95 % of the time.",
            ["skill-statistics/2"],
            lambda seen: seen["many"],
            between(0.93, 0.97),
            "share of draws of thirty scores whose interval holds the mean of all",
        ),
        Claim(
            "Of five scores they hold it less often.",
            [],
            lambda seen: seen["few"],
            below(0.93),
            "share of draws of five scores whose interval holds the mean of all",
            who="caviar",
        ),
        Claim(
            "Student's interval of five scores holds it about 95 % of the time.",
            [],
            lambda seen: seen["few t"],
            between(0.93, 0.97),
            "share of draws of five scores whose interval holds the mean of all",
            who="caviar",
        ),
        Claim(
            "A bootstrap interval of thirty scores does too.",
            [],
            lambda seen: seen["many bootstrap"],
            above(0.9),
            "share of draws of thirty scores whose interval holds the mean of all; of 30 seeds, twelve draws "
            "each tell it to 0.05",
            who="caviar",
        ),
        Claim(
            "Thirty scores look Gaussian.",
            [],
            lambda seen: seen["normal"],
            above(0.5),
            "share of sets of 33 scores against which Shapiro and Wilk's test says nothing at 5 %",
            who="caviar",
        ),
        Claim(
            "So do all scores together.",
            [],
            lambda seen: seen["p"],
            above(0.05),
            "p-value of Shapiro and Wilk's test on all scores",
            who="caviar",
        ),
        Claim(
            "The standard deviation says how unstable a model is.",
            ["skill-sensitivity/0"],
            unstable,
            above(0),
            "share of test rows on which two seeds disagree, of the network whose scores spread more minus the other",
            amended="No seed is in two pairs; pairs that shared seeds had been judged as independent.",
        ),
        Claim(
            "Ten folds tell the skill more closely than one split.",
            [],
            lambda seen: far(seen, "one split, one training") - far(seen, "ten folds"),
            above(0),
            "distance from the mean over all folds and seeds, one split minus ten folds",
            who="caviar",
        ),
    ),
    questions=(
        Winner(
            "Which network's score spreads more between folds?",
            lambda seen, name: by_fold(seen, name).std(axis=1, ddof=1),
        ),
        Match("val_accuracy", ("network", "small")),
        Choice(
            "Four times as many repeats: what becomes of the standard error?",
            ("a quarter", "half", "it stays"),
            (1,),
            "It falls with the root of the number of repeats, and the root of four is two.",
        ),
    ),
    shows=(
        Shown("test accuracy", lambda seen, name: seen.accuracy(name)),
        Shown("standard deviation over folds", lambda seen, name: by_fold(seen, name).std(axis=1, ddof=1)),
        Shown("rows that flip with the seed", disagree),
    ),
    curves=("loss", "accuracy"),
    figures=figures,
    learned="Report a mean over repeats with an interval, never one score; and choose the number of repeats where "
    "the standard error falls below the difference that matters to you. Such an interval speaks of these rows only: "
    "how other rows would be scored is a wider question, and more repeats do not answer it.",
)
