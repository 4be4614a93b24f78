"""Does a treatment hold on rows that took no part in choosing it?

From 2,000 rows a fifth of them is kept apart before the diagnosis begins, and scored once at the end. Smaller tables
cannot spare so many: there the choice is made again for every fold from the other folds alone, by networks that never
saw it (nested cross-validation, Varma & Simon 2006), and what was chosen is scored on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from caviar.data.dataset import Dataset
from caviar.data.split import Split, make_splits
from caviar.errors import CaviarError
from caviar.estimate import Estimate
from caviar.evaluate.confirm import paired_gain
from caviar.evaluate.intervals import mean_estimate
from caviar.evaluate.wording import digits, interval
from caviar.measuring.measure import Arm, Bench, measure, measure_all
from caviar.measuring.trial import Trial
from caviar.population.job import Monitor
from caviar.recipe.recipe import Recipe

HOLD_OUT_FROM, HOLD_OUT = 2_000, 5
"""Rows from which one of so many parts is kept apart."""
SEEDS = 5
"""Networks of each recipe that are scored on the rows kept apart."""


@dataclass(frozen=True, eq=False)
class Apart:
    """Rows that took no part in a diagnosis.

    Attributes:
        dataset: All rows.
        split: Which of them were looked at, and which were kept apart.
    """

    dataset: Dataset
    split: Split


@dataclass(frozen=True)
class Confirmation:
    """How a treatment did on rows that took no part in choosing it.

    Attributes:
        way: "hold-out" or "nested folds".
        gain: How much better the score is than that of the person's own recipe; above 0 is better.
        sentence: The same in words.
    """

    way: Literal["hold-out", "nested folds"]
    gain: Estimate
    sentence: str


def set_apart(dataset: Dataset, seed: int) -> tuple[Dataset, Apart | None]:
    """The rows to look at, and those kept apart where there are enough; whole groups, every class.

    Args:
        dataset: All rows.
        seed: Chooses them.
    """
    if dataset.n_rows < HOLD_OUT_FROM:
        return dataset, None
    split = make_splits(dataset, HOLD_OUT, 1, seed)[0]
    return dataset.of(split.train), Apart(dataset, split)


def confirm_apart(
    bench: Bench, apart: Apart, trial: Trial, own: Recipe, new: Recipe, monitor: Monitor
) -> Confirmation:
    """Both recipes trained on the rows that were looked at, and scored on those that were not.

    Args:
        bench: Scores and seeds.
        apart: The rows.
        trial: Says how far scores count.
        own: The person's recipe.
        new: The repaired one.
        monitor: Told of progress; may stop by raising.
    """
    again = Bench(apart.dataset, [replace(apart.split, fold=0)], bench.metric, (), bench.seed, bench.spread)
    rows = apart.split.held_out
    data = apart.dataset
    target, weight = data.target[rows], None if data.weight is None else data.weight[rows]
    units = (data.identical if data.groups is None else data.groups)[rows]

    def said(recipe: Recipe) -> np.ndarray:
        arm = measure(
            again, recipe, first_repeat_seeds=1 if recipe.ensemble > 1 else SEEDS, show=False, monitor=monitor
        )
        every = arm.oof[:1] if arm.seed_oof is None else arm.seed_oof
        return np.asarray(every[:, rows])

    def score(values: np.ndarray, places: np.ndarray) -> float:
        whole = bench.metric.score(target[places], values, None if weight is None else weight[places])
        return float(trial.held(np.array(whole)))

    gain = paired_gain(score, said(own), said(new), units, higher_is_better=bench.metric.higher_is_better)
    where = f"On {len(rows):,} rows kept apart from everything before"
    return Confirmation("hold-out", gain, f"{where}, {_words(bench, gain)}")


def confirm_nested(
    bench: Bench, trial: Trial, arms: Sequence[Arm], own: Arm, last: Arm, monitor: Monitor
) -> Confirmation:
    """The choice made again for every fold, from the others alone, and scored on it.

    Args:
        bench: What the arms were measured on.
        trial: Says how far scores count.
        arms: All that could have been chosen; those given up after the first repeat could not.
        own: The person's recipe among them.
        last: The repaired one among them.
        monitor: Told of progress; may stop by raising.

    Raises:
        OutOfTime: The time given does not suffice.
    """
    repeats, folds = bench.shape
    arms = [arm for arm in arms if len(arm.each) == repeats]
    by_place = {(split.repeat, split.fold): split for split in bench.splits}
    inner = [
        Split(
            outer.repeat * folds + outer.fold,
            place,
            np.setdiff1d(outer.train, by_place[outer.repeat, fold].held_out).astype(np.int32),
            by_place[outer.repeat, fold].held_out,
        )
        for outer in bench.splits
        for place, fold in enumerate(fold for fold in range(folds) if fold != outer.fold)
    ]
    within = Bench(bench.dataset, inner, bench.metric, (), bench.seed, bench.spread)
    different = list({arm.recipe.changes: arm for arm in reversed((own, *arms))}.values())[::-1]
    measured = _measured(within, different, own, monitor)
    # Seeds' means, and no score below the worst: as in the trial.
    inside = np.stack([trial.scores(arm).mean(axis=1) for _, arm in measured])
    outside = np.stack([trial.scores(arm).reshape(-1) for arm, _ in measured])
    sign = 1 if bench.metric.higher_is_better else -1
    chosen = (sign * inside).argmax(axis=0)
    base = next(i for i, (arm, _) in enumerate(measured) if arm is own)
    units = np.arange(len(chosen))
    gains = (sign * (outside[chosen, units] - outside[base, units])).reshape(repeats, folds)
    gain = mean_estimate(gains, bench.test_share, n_rows=bench.dataset.n_rows)
    same = sum(measured[i][0].recipe.changes == last.recipe.changes for i in chosen)
    sentence = (
        f"Chosen anew for each of {len(chosen)} folds by rows outside it (nested folds), the best of {len(measured)} "
        f"recipes is the repaired one {same} times, and on the fold {_words(bench, gain)}"
    )
    return Confirmation("nested folds", gain, sentence)


def _measured(within: Bench, arms: Sequence[Arm], own: Arm, monitor: Monitor) -> list[tuple[Arm, Arm]]:
    """Arms with what they give inside, those left out that cannot be trained on fewer rows."""

    def measured(some: Sequence[Arm]) -> list[tuple[Arm, Arm]]:
        nothing = [""] * len(some)
        recipes = [arm.recipe for arm in some]
        inner = measure_all(within, recipes, show=False, monitor=monitor, what=nothing, sources=nothing)
        return list(zip(some, inner, strict=True))

    try:
        return measured(arms)
    except CaviarError:  # one of them, or it is not known which
        found = measured([own])
        for arm in arms:
            try:
                found += [] if arm is own else measured([arm])
            except CaviarError:
                continue
        return found


def _words(bench: Bench, gain: Estimate) -> str:
    better = "higher" if bench.metric.higher_is_better else "lower"
    worse = "lower" if better == "higher" else "higher"
    verdict = "confirmed" if gain.low > 0 else "refuted" if gain.high < 0 else "neither confirmed nor refuted"
    return (
        f"the {bench.metric.title} is {digits(abs(gain.value))} {better if gain.value >= 0 else worse} than that of "
        f"the recipe as it was (gain {interval(gain)}): {verdict}."
    )
