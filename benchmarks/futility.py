"""Giving up on remedies after the first repeat: what does it cost, and what does it save?

    python benchmarks/futility.py            # five minutes; writes docs/statistics.md
    python benchmarks/futility.py --quick    # few trials, printed only

Made-up scores of a baseline and a remedy on the doctor's 3 repeats x 5 folds x 3 seeds, and on the 3 repeats x 10 folds
of `improve`, so that the truth is known: the difference in a fold has a part by the split, as correlated between splits
that share training rows as Nadeau and Bengio's correction supposes, and one by the seeds. A remedy is tried alone or is
the best of 12 (Bonferroni); a *calming* one gains nothing and takes away most of the spread between seeds. In a
diagnosis, a remedy is also given up where another one, trained on all repeats, is surely ahead of it. Rules and tests
are those of the library.
"""

import argparse
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np
from scipy import stats

from caviar.diagnose.explain import TIED
from caviar.evaluate.compare import ALPHA, Comparison, compare, judge
from caviar.evaluate.variance import steadier
from caviar.measuring.repeats import outdone, promises
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
AHEAD = (4.0, 10.0)
"""Gains of the remedy that is ahead."""
BEHIND = (8.0, 4.0, 2.0, 0.5, 0.0, -1.5)
"""How much less another one gains."""


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

    def outdone(
        self, gain: float, behind: float, by_split: float, by_seed: float, trials: int
    ) -> tuple[int, int, int]:
        """How often a remedy is given up beside one that is ahead, and how often wrongly.

        Args:
            gain: Of the remedy that it is compared with.
            behind: How much less it gains.
            by_split: Standard deviation of either gain by split.
            by_seed: Of a score by seed.
            trials: How many.

        Returns:
            Trials in which it is given up; those in which it would have ended ahead; and those in which it would have
            helped about as much.
        """
        rng = np.random.default_rng([round(10 * number) for number in (gain, behind + 5, by_split, by_seed)])
        given_up = ahead = equal = 0
        for _ in range(trials):
            before, best = self.drawn(gain, by_split, (by_seed, by_seed), rng)
            _, after = self.drawn(gain - behind, by_split, (by_seed, by_seed), rng)
            shown = float((best - before).mean())
            if outdone(self.compared(best[:1], after[:1]), max(ROPE, TIED * shown)):
                given_up += 1
                lag = float((best - after).mean())
                ahead += lag < 0
                equal += lag < TIED * shown
        return given_up, ahead, equal


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
        f"At most {most:.1%} of all these trials lose a verdict.",
        "",
        *surpassed(trials),
        "",
        f"NumPy {version('numpy')}, SciPy {version('scipy')}.",
    ]
    return text


def surpassed(trials: int) -> list[str]:
    """The table of what is given up beside a remedy that is ahead."""
    text = [
        (
            f"**Remedies beside one that is ahead** and was trained on all repeats (a diagnosis: 5 folds, 3 seeds): in "
            f"how many of {trials:,} trials one is given up after the first repeat, and in how many of all trials one "
            f"was given up that all {REPEATS} repeats would have shown ahead instead, or as helping about equally."
        ),
        "",
        "| gain of the one ahead | of the other | by split | by seed | given up | ahead after all | about equal |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    layout = Layout(*LAYOUTS["doctor"])
    for gain, (split, seed), behind in product(AHEAD, SPREADS, BEHIND):
        if behind > gain:
            continue
        given_up, *lost = layout.outdone(gain, behind, split, seed, trials)
        cells = " | ".join(f"{count / trials:.1%}" for count in (given_up, *lost))
        text.append(f"| {gain:g} | {gain - behind:g} | {split:g} | {seed:g} | {cells} |")
        print(text[-1], flush=True)
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
