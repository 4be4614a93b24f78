"""A model is of no use and no remedy makes it so: how often is one called a help that is none?

    python benchmarks/useless.py            # minutes; writes docs/statistics.md
    python benchmarks/useless.py --quick    # few trials, printed only

Where all scores of a model lie at no skill and beyond, and nothing helps, the doctor also looks at how far off each
remedy is, with p doubled (`judge_useless`). Made-up losses on the doctor's 3 repeats x 5 folds x 3 seeds, at or beyond
the worst score that counts: how far beyond is drawn from a half-normal or a log-normal distribution, whose tails are
those of trainings that run away. Remedies without effect draw from the same; others leave a part of the distance. A
difference in a fold has a part by the split, as correlated as Nadeau and Bengio's correction supposes.
"""

import argparse
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np

from calm import BENCH, FOLDS, REPEATS, SEEDS, arm_of, share
from caviar.measuring.trial import Trial, judge_trial, judge_useless
from tables import write

PAGE = Path(__file__).resolve().parents[1] / "docs" / "statistics.md"
ROPE = 1.0
TAILS = {"half-normal": 0.0, "log-normal, 1": 1.0, "log-normal, 2": 2.0}
"""Deviation of the logarithm of a distance by seed; 0 for the half-normal one."""
BY_SPLIT = 0.5
"""Of the logarithm of a distance."""
LEAVES, MANY = (1.0, 0.5, 0.1), (1, 6, 12)
SCALE = 10.0
"""A usual distance, in what counts as a difference."""


@dataclass(frozen=True)
class Useless:
    """A model of no use, and remedies that leave it so.

    Attributes:
        tail: Of the distances: a value of `TAILS`.
        leaves: Which part of the distance remedies leave; 1 for remedies without effect.
        many: How many there are.
    """

    tail: float
    leaves: float
    many: int

    def distances(self, rng: np.random.Generator) -> np.ndarray:
        """How far beyond the worst score trainings lie (repeat, fold, seed)."""
        one = rng.normal(size=(REPEATS, FOLDS, 1))
        split = np.sqrt(1 / FOLDS) * rng.normal() + np.sqrt(1 - 1 / FOLDS) * one
        drawn = rng.normal(size=(REPEATS, FOLDS, SEEDS))
        by_seed = np.abs(drawn) if self.tail == 0 else np.exp(self.tail * drawn)
        return np.asarray(SCALE * by_seed * np.exp(BY_SPLIT * split))

    def helped(self, trials: int) -> tuple[int, int]:
        """In how many trials a remedy is called a help: by scores that are held, and by `judge_useless` as well."""
        rng = np.random.default_rng([round(10 * self.tail), round(10 * self.leaves), self.many])
        held = raw = 0
        for _ in range(trials):
            # Scores are higher for better models here, and 0 is no skill.
            baseline = arm_of("baseline", -self.distances(rng))
            arms = [arm_of(f"remedy-{i}", -self.leaves * self.distances(rng)) for i in range(self.many)]
            trial = Trial(baseline, arms, worst=0.0, higher_is_better=True)
            judged = judge_trial(BENCH, trial, ROPE)
            held += any(one.verdict == "helps" for one in judged)
            raw += any(one.verdict == "helps" for one in judge_useless(BENCH, trial, ROPE, judged))
        return held, raw


def page(trials: int) -> list[str]:
    """The table."""
    text = [
        (
            f"Of {trials:,} trials each, those in which at least one remedy is said to help, with 95 % Wilson "
            f"intervals: a model and remedies that are of no use in all trainings. Those that leave the whole distance "
            f"to no skill have no effect, so that whatever is said of them is wrong."
        ),
        "",
        "| distances | remedies | distance left | said to help |",
        "| --- | ---: | ---: | ---: |",
    ]
    for (name, tail), many, leaves in product(TAILS.items(), MANY, LEAVES):
        held, raw = Useless(tail, leaves, many).helped(trials)
        if held:
            raise SystemExit(
                "Expected scores that are held at the worst to tell nothing apart, but some did."
            )
        text.append(f"| {name} | {many} | {leaves:.0%} | {share(raw, trials)} |")
        print(text[-1], flush=True)
    return [*text, "", f"NumPy {version('numpy')}, SciPy {version('scipy')}."]


def main() -> None:
    """Simulate everything, then write the table."""
    parser = argparse.ArgumentParser(description="Remedies for a model of no use, simulated.")
    parser.add_argument("--quick", action="store_true", help="few trials, printed only")
    asked = parser.parse_args()
    text = "\n".join(page(20 if asked.quick else 1_000))
    print(text)
    if not asked.quick:
        write(text, "useless", PAGE)


if __name__ == "__main__":
    main()
