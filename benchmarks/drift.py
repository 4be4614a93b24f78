"""How often is drift named where there is none, and how often where it was planted?

    python benchmarks/drift.py            # about two minutes on one core, writes docs/statistics.md
    python benchmarks/drift.py --quick    # few tables, printed only

Tables of eight columns: smooth, skewed, counted, with rare classes, with gaps, and a target of two classes. Planted: a
shift of the smooth column by half a standard deviation.
"""

import argparse
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy import stats

from caviar.evaluate.drift import Observed, drifts
from tables import write

PAGE = Path(__file__).resolve().parents[1] / "docs" / "statistics.md"
SIZES = ((40, 30), (150, 100), (1_000, 60), (1_000, 1_000))
LEVELS = {"rare": tuple("abcdef"), "gaps in classes": ("low", "high"), "target": ("no", "yes")}
PLANTED = 0.5


def table(rng: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    """Columns by name."""
    return {
        "smooth": rng.normal(size=rows),
        "skewed": rng.lognormal(size=rows),
        "few counts": rng.poisson(3, rows) * 1.0,
        "many counts": rng.poisson(30, rows) * 1.0,
        "rare": rng.choice(6, rows, p=[0.5, 0.3, 0.1, 0.05, 0.03, 0.02]) * 1.0,
        "gaps": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows)),
        "gaps in classes": np.where(rng.random(rows) < 0.05, np.nan, rng.integers(0, 2, rows) * 1.0),
        "target": (rng.random(rows) < 0.2) * 1.0,
    }


def named(before: dict[str, np.ndarray], now: dict[str, np.ndarray]) -> set[str]:
    """Columns that are said to come from another distribution."""
    found = drifts([Observed(name, before[name], now[name], LEVELS.get(name, ())) for name in before])
    return {one.name for one in found if one.is_sure}


def share(hits: list[bool]) -> str:
    """Share of hits with Wilson's interval."""
    low, high = stats.binomtest(sum(hits), len(hits)).proportion_ci(method="wilson")
    return f"{np.mean(hits):.1%} ({low:.1%} – {high:.1%})"


def main() -> None:
    """Simulate both."""
    parser = argparse.ArgumentParser(description="Drift, simulated.")
    parser.add_argument("--quick", action="store_true", help="few tables, printed only")
    quick = parser.parse_args().quick
    number = 50 if quick else 500
    text = [
        f"Share of {number} simulated tables of 8 columns in which a column is said to come from another distribution,",
        "with its 95 % Wilson interval. Nominal without drift: 5 % or less over all columns.",
        "",
        "| rows before, now | nothing has moved: any column is named | one column has: it is named |",
        "| --- | ---: | ---: |",
    ]
    for before_rows, now_rows in SIZES:
        rng = np.random.default_rng((before_rows, now_rows))
        alarms, hits = [], []
        for _ in range(number):
            before, now = table(rng, before_rows), table(rng, now_rows)
            alarms.append(bool(named(before, now)))
            hits.append("smooth" in named(before, now | {"smooth": now["smooth"] + PLANTED}))
        text.append(f"| {before_rows:,}, {now_rows:,} | {share(alarms)} | {share(hits)} |")
    text += ["", f"NumPy {version('numpy')}, SciPy {version('scipy')}."]
    print("\n".join(text))
    if not quick:
        write("\n".join(text), "drift", PAGE)


if __name__ == "__main__":
    main()
