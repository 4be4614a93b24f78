"""How often is a lesson's verdict wrong where the truth lies exactly on the threshold?

    python benchmarks/claims.py            # about a minute on one core, writes docs/statistics.md
    python benchmarks/claims.py --quick    # few lessons, printed only

There a claim is neither true nor false, and any verdict but "cannot be told" is a mistake: it should happen in 5 % of
measures at most, as often to one side as to the other.
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
SEEDS = (3, 10, 30)

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


def wrong(draw: Draw, seeds: int, times: int, rng: np.random.Generator) -> tuple[list[bool], list[bool]]:
    """Of so many measures, which are said to hold, and which not to."""
    holds, fails = [], []
    for _ in range(times):
        values = draw(rng, seeds)
        verdict = judge(values, above(0.5 if values.dtype == bool else 0.0))[1]
        holds.append(verdict == "holds")
        fails.append(verdict == "does not hold")
    return holds, fails


def share(hits: list[bool]) -> str:
    """Share of hits with Wilson's interval."""
    low, high = stats.binomtest(sum(hits), len(hits)).proportion_ci(method="wilson")
    return f"{np.mean(hits):.1%} ({low:.1%} – {high:.1%})"


def main() -> None:
    """Simulate all measures."""
    parser = argparse.ArgumentParser(description="Verdicts of lessons, simulated.")
    parser.add_argument("--quick", action="store_true", help="few measures, printed only")
    quick = parser.parse_args().quick
    times = 200 if quick else 5_000
    rng = np.random.default_rng(7)
    text = [
        f"Share of {times:,} simulated measures whose truth lies on the threshold and of which a claim is said to",
        "hold, or not to hold, with its 95 % Wilson interval. Nominal: 2.5 % or less each, for a single claim.",
        "",
        "| measure per seed | seeds | said to hold | said not to hold |",
        "| --- | --: | --: | --: |",
    ]
    for title, draw in MEASURES.items():
        for seeds in SEEDS:
            holds, fails = wrong(draw, seeds, times, rng)
            text.append(f"| {title} | {seeds} | {share(holds)} | {share(fails)} |")
    text += ["", f"caviar {version('caviar')}, numpy {np.__version__}"]
    if quick:
        print("\n".join(text))
    else:
        write("\n".join(text), "claims", PAGE)


if __name__ == "__main__":
    main()
