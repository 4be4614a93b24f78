"""Giving up on remedies after the first repeat: what does it cost, and what does it save?

    python benchmarks/futility.py            # five minutes; writes docs/statistics.md
    python benchmarks/futility.py --quick    # few trials, printed only

Made-up scores of a baseline and a remedy on the doctor's 3 repeats x 5 folds x 3 seeds, and on the 3 repeats x 10 folds
of `improve`, so that the truth is known: the difference in a fold has a part by the split, as correlated between splits
that share training rows as Nadeau and Bengio's correction supposes, and one by the seeds. A remedy is tried alone or is
the best of 12 (Bonferroni); a *calming* one gains nothing and takes away most of the spread between seeds. Rules and
tests are those of the library.
"""

import argparse
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np
from scipy import stats

from caviar.evaluate.compare import ALPHA, Comparison, compare, judge
from caviar.evaluate.variance import steadier
from caviar.measuring.repeats import promises
from tables import write

PAGE = Path(__file__).resolve().parents[1] / "docs" / "statistics.md"
REPEATS, ROPE = 3, 1.0
LAYOUTS = {"doctor": (5, 3), "improve": (10, 1)}
"""Folds, and seeds of each."""
GAINS = (-2.0, 0.0, 1.5, 2.0, 3.0, 4.0)
SPREADS = ((0.5, 0.5), (1.0, 1.0), (3.0, 1.0), (1.0, 3.0))
"""Standard deviations of a difference by split, and of a score by seed, in what counts as a difference."""
AMONG = 12
CALM, WILD = 0.3, 3.0


@dataclass(frozen=True)
class Layout:
    """What a repeat consists of.

    Attributes:
        folds: Of a repeat.
        seeds: Of a fold.
    """

    folds: int
    seeds: int

    def drawn(
        self, gain: float, by_split: float, by_seed: tuple[float, float], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores (repeat, fold, seed) of a baseline and a remedy; higher is better."""
        shape = (REPEATS, self.folds, self.seeds)
        shared = 1 / self.folds  # of the variance, as the correction supposes: test / (test + train)
        split = np.sqrt(shared) * rng.normal() + np.sqrt(1 - shared) * rng.normal(size=(*shape[:2], 1))
        before, after = (deviation * rng.normal(size=shape) for deviation in by_seed)
        return before, after + gain + by_split * split

    def compared(self, before: np.ndarray, after: np.ndarray) -> Comparison:
        """The remedy beside the baseline."""
        one_seed = self.seeds == 1
        by_seed = (
            0.0 if one_seed else sum(each.var(axis=2, ddof=1).mean() / self.seeds for each in (before, after))
        )
        return compare(
            "", before.mean(axis=2), after.mean(axis=2), higher_is_better=True, test_share=1 / (self.folds - 1),
            n_rows=1_000, rope=ROPE, metric_title="score", by_seed=float(by_seed),
        )  # fmt: skip

    def verdicts(self, before: np.ndarray, after: np.ndarray) -> tuple[bool, bool, bool]:
        """Whether a remedy helps by itself, as the best of twelve, and steadies as one of twelve."""
        one = self.compared(before, after)
        alone = judge([one])[0].verdict == "helps"
        calmer = steadier(before, after, alpha=ALPHA / AMONG) is not None
        return alone, alone and one.p * AMONG < ALPHA, calmer

    def goes_on(self, before: np.ndarray, after: np.ndarray) -> bool:
        """Whether the first repeat promises anything."""
        return promises(self.compared(before[:1], after[:1]), before[:1], after[:1])

    def row(
        self, gain: float, by_split: float, by_seed: tuple[float, float], trials: int
    ) -> tuple[float, list[int]]:
        """Share of trainings saved; how often it helps (alone, of 12) or steadies, with all repeats and given up."""
        numbers = (self.folds, gain + 5, by_split, *by_seed)
        rng = np.random.default_rng([round(10 * number) for number in numbers])
        counts, given_up = np.zeros(6, int), 0
        for _ in range(trials):
            before, after = self.drawn(gain, by_split, by_seed, rng)
            said, on = self.verdicts(before, after), self.goes_on(before, after)
            given_up += not on
            counts += [*said, *(one and on for one in said)]
        return given_up / trials * (1 - 1 / REPEATS), counts.tolist()


def lost(before: int, after: int, trials: int) -> str:
    """Share of verdicts, and what giving up takes of it, with Wilson's interval."""
    low, high = stats.binomtest(before - after, trials).proportion_ci(method="wilson")
    return f"{before / trials:.1%} | {(before - after) / trials:.1%} ({low:.1%} – {high:.1%})"


def page(trials: int) -> list[str]:
    """The tables."""
    text = [
        (
            f"**Remedies that gain so much** (in what counts as a difference), of {trials:,} trials each: how often "
            f"one is said to help with all {REPEATS} repeats, and how much of that is lost where it is given up after "
            f"the first, with 95 % Wilson intervals."
        ),
        "",
        "| of | by split | by seed | gain | trainings saved | helps, alone | lost | helps, best of 12 | lost |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    most = 0.0
    for (name, layout), (split, seed), gain in product(LAYOUTS.items(), SPREADS, GAINS):
        saved, counts = Layout(*layout).row(gain, split, (seed, seed), trials)
        most = max(most, *((counts[i] - counts[i + 3]) / trials for i in (0, 1)))
        cells = " | ".join(lost(counts[i], counts[i + 3], trials) for i in (0, 1))
        text.append(f"| {name} | {split:g} | {seed:g} | {gain:g} | {saved:.0%} | {cells} |")
        print(text[-1], flush=True)
    saved, counts = Layout(*LAYOUTS["doctor"]).row(0.0, 1.0, (WILD, WILD * CALM), trials)
    text += [
        "",
        (
            f"**A remedy that gains nothing and leaves {CALM:.0%} of the spread between seeds** ({WILD:g} before): "
            f"trainings saved {saved:.0%}; said to steady in {counts[2] / trials:.1%}, of which giving up loses "
            f"{(counts[2] - counts[5]) / trials:.1%}."
        ),
        "",
        f"At most {most:.1%} of all trials lose a verdict. NumPy {version('numpy')}, SciPy {version('scipy')}.",
    ]
    return text


def main() -> None:
    """Simulate everything, then write the tables."""
    parser = argparse.ArgumentParser(description="Giving up after the first repeat, simulated.")
    parser.add_argument("--quick", action="store_true", help="few trials, printed only")
    asked = parser.parse_args()
    text = "\n".join(page(50 if asked.quick else 2_000))
    print(text)
    if not asked.quick:
        write(text, "futility", PAGE)


if __name__ == "__main__":
    main()
