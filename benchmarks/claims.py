"""How often is a lesson's verdict wrong where the truth lies exactly on the threshold?

    python benchmarks/claims.py            # a few minutes on one core, writes docs/statistics.md
    python benchmarks/claims.py --quick    # few lessons, printed only

There a claim is neither true nor false, and any verdict but "cannot be told" is a mistake. A lesson of several claims
asks each interval for more coverage, so that in 5 % of lessons at most any claim is misjudged.
"""

import argparse
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy import stats

from caviar.evaluate.claims import above, judge
from tables import write

PAGE = Path(__file__).resolve().parents[1] / "docs" / "statistics.md"
SEEDS = {1: (3, 10, 30), 10: (10, 30), 20: (10, 30)}
"""Seeds by how many claims a lesson judges."""

Draw = Callable[[np.random.Generator, int], np.ndarray]

# Each has mean 0, or share one half: what a measure over seeds may look like.
MEASURES: dict[str, Draw] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "skewed: lognormal (sigma 0.7)": lambda rng, n: rng.lognormal(sigma=0.7, size=n) - np.exp(0.7**2 / 2),
    "heavy tails: Student's t, 3 degrees": lambda rng, n: rng.standard_t(3, size=n),
    "every tenth training fails": lambda rng, n: (
        rng.normal(scale=0.2, size=n) + 0.5 - 5.0 * (rng.random(n) < 0.1)
    ),
    "every third training fails": lambda rng, n: (
        rng.normal(scale=0.2, size=n) + 1.0 - 3.0 * (rng.random(n) < 1 / 3)
    ),
    "steps of an accuracy on 70 rows": lambda rng, n: rng.binomial(70, 0.8, n) / 70 - 0.8,
    "yes or no, half of the time": lambda rng, n: rng.random(n) < 0.5,
}


def wrong(
    draw: Draw, seeds: int, lessons: int, claims: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Of so many independent measures in each lesson (lesson, claim): which are said to hold, and which not to."""
    verdicts = []
    for _ in range(lessons * claims):
        values = draw(rng, seeds)
        threshold = above(0.5 if values.dtype == bool else 0.0)
        verdicts.append(judge(values, threshold, 1 - 0.05 / claims)[1])
    said = np.array(verdicts).reshape(lessons, claims)
    return said == "holds", said == "does not hold"


def share(hits: np.ndarray, digits: int = 1) -> str:
    """Share of hits with Wilson's interval."""
    low, high = stats.binomtest(int(hits.sum()), hits.size).proportion_ci(method="wilson")
    return f"{hits.mean():.{digits}%} ({low:.{digits}%} – {high:.{digits}%})"


def main() -> None:
    """Simulate all measures."""
    parser = argparse.ArgumentParser(description="Verdicts of lessons, simulated.")
    parser.add_argument("--quick", action="store_true", help="few measures, printed only")
    quick = parser.parse_args().quick
    most = 100 if quick else 5_000
    rng = np.random.default_rng(7)
    text = [
        "Simulated lessons whose claims are measured independently, all in the same way, with the truth on",
        f"the threshold: {most:,} lessons of one claim, {most // 10:,} of several. Share of claims that are said to",
        "hold, or not to hold, and of lessons with any such verdict, with 95 % Wilson intervals. Nominal: 2.5 %",
        "or less each for a single claim, 0.25 % for one of ten, 0.125 % for one of twenty, and 5 % or less for a",
        "lesson.",
        "",
        "| measure per seed | seeds | claims | claims said to hold | claims said not to hold | lessons with either |",
        "| --- | --: | --: | --: | --: | --: |",
    ]
    for title, draw in MEASURES.items():
        for claims, several in SEEDS.items():
            for seeds in several:
                holds, fails = wrong(draw, seeds, most if claims == 1 else most // 10, claims, rng)
                digits = 1 if claims == 1 else 2
                lessons = share((holds | fails).any(axis=1))
                text.append(
                    f"| {title} | {seeds} | {claims} | {share(holds, digits)} | {share(fails, digits)} | {lessons} |"
                )
    text += ["", f"caviar {version('caviar')}, numpy {np.__version__}"]
    if quick:
        print("\n".join(text))
    else:
        write("\n".join(text), "claims", PAGE)


if __name__ == "__main__":
    main()
