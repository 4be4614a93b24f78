"""Giving up on remedies after the first repeat: what does it cost, and what does it save?

    python benchmarks/futility.py            # two minutes; writes docs/statistics.md
    python benchmarks/futility.py --quick    # few trials, printed only

Made-up scores of a baseline and a remedy on 3 repeats x 5 folds x 3 seeds, so that the truth is known: the difference
in a fold has a part by the split, as correlated between splits that share training rows as Nadeau and Bengio's
correction supposes, and one by the seeds. A remedy is tried alone or is the best of 12 (Bonferroni); a *calming* one
gains nothing and takes away most of the spread between seeds. Rules and tests are those of the library.
"""

import argparse
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy import stats

from caviar.evaluate.compare import compare, judge
from caviar.evaluate.variance import steadier
from caviar.measuring.repeats import promises
from tables import write

PAGE = Path(__file__).resolve().parents[1] / "docs" / "statistics.md"
REPEATS, FOLDS, SEEDS, SHARE, ROPE = 3, 5, 3, 0.25, 1.0
GAINS = (-2.0, 0.0, 1.5, 2.0, 3.0, 4.0)
SPREADS = ((0.5, 0.5), (1.0, 1.0), (3.0, 1.0), (1.0, 3.0))
"""Standard deviations of a difference by split, and of a score by seed, in what counts as a difference."""
ALONE, AMONG = 1, 12
CALM, WILD = 0.3, 3.0


def drawn(
    gain: float, by_split: float, by_seed: tuple[float, float], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Scores (repeat, fold, seed) of a baseline and a remedy; higher is better."""
    shared = SHARE / (1 + SHARE)
    split = np.sqrt(shared) * rng.normal() + np.sqrt(1 - shared) * rng.normal(size=(REPEATS, FOLDS, 1))
    before, after = (sd * rng.normal(size=(REPEATS, FOLDS, SEEDS)) for sd in by_seed)
    return before, after + gain + by_split * split


def verdicts(before: np.ndarray, after: np.ndarray) -> tuple[bool, bool, bool]:
    """Whether a remedy helps by itself, as the best of twelve, and steadies as one of twelve."""
    by_seed = sum(float(each.var(axis=2, ddof=1).mean()) / SEEDS for each in (before, after))
    one = compare(
        "", before.mean(axis=2), after.mean(axis=2), higher_is_better=True, test_share=SHARE, n_rows=1_000,
        rope=ROPE, metric_title="score", by_seed=by_seed,
    )  # fmt: skip
    alone = judge([one])[0].verdict == "helps"
    calmer = steadier(before, after, alpha=0.05 / AMONG) is not None
    return alone, alone and one.p * AMONG < 0.05, calmer


def goes_on(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether the first repeat promises anything."""
    first, second = before[:1], after[:1]
    by_seed = sum(float(each.var(axis=2, ddof=1).mean()) / SEEDS for each in (first, second))
    one = compare(
        "", first.mean(axis=2), second.mean(axis=2), higher_is_better=True, test_share=SHARE, n_rows=1_000,
        rope=ROPE, metric_title="score", by_seed=by_seed,
    )  # fmt: skip
    return promises(one, first, second)


def row(
    gain: float, by_split: float, by_seed: tuple[float, float], trials: int
) -> tuple[list[float], list[int]]:
    """Saved trainings as a share of all; and how often it helps (alone, of 12) or steadies, with all and given up."""
    rng = np.random.default_rng(
        [round(10 * (gain + 5)), round(10 * by_split), *(round(10 * s) for s in by_seed)]
    )
    counts, given_up = np.zeros(6, int), 0
    for _ in range(trials):
        before, after = drawn(gain, by_split, by_seed, rng)
        said, on = verdicts(before, after), goes_on(before, after)
        given_up += not on
        counts += [*said, *(one and on for one in said)]
    return [given_up / trials * (1 - 1 / REPEATS)], counts.tolist()


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
        "| by split | by seed | gain | trainings saved | helps, alone | lost | helps, best of 12 | lost |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    most = 0.0
    for split, seed in SPREADS:
        for gain in GAINS:
            (saved,), counts = row(gain, split, (seed, seed), trials)
            most = max(most, *((counts[i] - counts[i + 3]) / trials for i in (0, 1)))
            cells = " | ".join(lost(counts[i], counts[i + 3], trials) for i in (0, 1))
            text.append(f"| {split:g} | {seed:g} | {gain:g} | {saved:.0%} | {cells} |")
            print(text[-1], flush=True)
    (saved,), counts = row(0.0, 1.0, (WILD, WILD * CALM), trials)
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
