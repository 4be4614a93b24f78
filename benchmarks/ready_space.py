"""Which settings of the space that is ready for tables count most?

    CAVIAR_DATA=… python benchmarks/ready_space.py            # half an hour; writes docs/tuning.md
    CAVIAR_DATA=… python benchmarks/ready_space.py --quick    # two small tables, printed only

On each table `caviar tune` draws settings at random, and PED-ANOVA says what the best tenth of them have in common:
each setting's share, and beside it the share that the same trials give where their scores are shuffled. A table is one
observation: the intervals are over tables.
"""

import argparse
import json
import tempfile
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from caviar.evaluate.intervals import mean_estimate
from caviar.searching.tune import tune_table
from caviar.tune.importance import importances
from caviar.tune.last_round import TRIALS as LAST
from caviar.tune.search import Outcome
from speed import ROOT, machine
from tables import write
from tuning_contenders import TABLES

PAGE = ROOT / "docs" / "tuning.md"
MANY, FEW = 128, 40
"""Trials of each table."""
FOLDS, SHUFFLES, ROWS = 3, 50, 1_000
SOURCES: dict[str, Any] = {
    "Sonar": "known:sonar",
    "Pima": "known:pima",
    "Mammography": "known:mammography",
    "Iris": "sample:iris",
    "Wine": "sample:wine",
    "Breast cancer": "sample:breast-cancer",
    "Diabetes": "sample:diabetes",
    "Synthetic classes": "classes",
    "Synthetic values": "values",
}
QUICK = ("Iris", "Diabetes")

Shares = dict[str, float]


def source(name: str) -> Any:  # noqa: ANN401
    """A table as `tune_table` takes it; of synthetic ones some rows of their pool."""
    of = SOURCES[name]
    if of not in TABLES:
        return of
    x, y = TABLES[of].rows()
    return x[:ROWS], y[:ROWS]


def shares(name: str, trials: int, folder: Path) -> tuple[Shares, Shares]:
    """What each setting counts on a table, and what it would by chance."""
    arrays = isinstance(source(name), tuple)
    told = {"task": "regression" if SOURCES[name] == "values" else "binary"} if arrays else {}
    found = tune_table(source(name), trials=trials, folds=FOLDS, out=folder, quiet=True, **told)
    drawn = [line for line in found.lines if line.number < trials - LAST and np.isfinite(line.score).all()]
    sign = -1.0 if found.record.higher_is_better else 1.0
    outcomes = [Outcome(line.number, line.settings, (sign * line.score[0],)) for line in drawn]
    by_chance = []
    for seed in range(SHUFFLES):
        order = np.random.default_rng(seed).permutation(len(outcomes))
        shuffled = [
            replace(one, score=outcomes[place].score) for one, place in zip(outcomes, order, strict=True)
        ]
        by_chance.append(importances(shuffled, found.space))
    return found.record.importance, {
        one: float(np.mean([some.get(one, 0.0) for some in by_chance])) for one in found.record.importance
    }


def page(lines: dict[str, tuple[Shares, Shares]], trials: int) -> list[str]:
    """The table, the weightiest setting first."""
    names = list(next(iter(lines.values()))[0])
    of = {name: np.array([found[name] for found, _ in lines.values()]) for name in names}
    chance = {name: float(np.mean([by_chance[name] for _, by_chance in lines.values()])) for name in names}
    title = (
        f"**What the settings of the ready space count**: shares of PED-ANOVA over {len(lines)} tables, "
        f"{trials - LAST} trials drawn at random on each, {FOLDS} folds; with the 95 % interval of the mean over the "
        f"tables, and the mean share by chance (scores shuffled, {SHUFFLES} times)."
    )
    text = [
        title,
        "",
        f"| setting | mean share | by chance | {' | '.join(lines)} |",
        f"| --- | ---: | ---: | {' | '.join('---:' for _ in lines)} |",
    ]
    for name in sorted(names, key=lambda one: -of[one].mean()):
        mean = mean_estimate(of[name][None, :], 0.0)
        each = " | ".join(f"{value:.0%}" for value in of[name])
        text.append(
            f"| {name} | {mean.value:.1%} ({mean.low:.1%} to {mean.high:.1%}) | {chance[name]:.1%} | {each} |"
        )
    return [
        *text,
        "",
        f"{machine()}; caviar {version('caviar')}, keras {version('keras')}, optuna {version('optuna')}.",
    ]


def main() -> None:
    """Measure the tables that have no line yet, then write the page."""
    parser = argparse.ArgumentParser(description="Importance of the ready space's settings.")
    parser.add_argument("--quick", action="store_true", help="two small tables, printed only")
    parser.add_argument(
        "--lines", type=Path, default=Path("ready-space-lines.jsonl"), help="where finished tables are kept"
    )
    asked = parser.parse_args()
    trials, names = (FEW, QUICK) if asked.quick else (MANY, tuple(SOURCES))
    lines: dict[str, tuple[Shares, Shares]] = {}
    if asked.lines.exists() and not asked.quick:
        for told in map(json.loads, asked.lines.read_text(encoding="utf-8").splitlines()):
            lines[told["table"]] = (told["shares"], told["chance"])
    for name in names:
        if name in lines:
            continue
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            lines[name] = shares(name, trials, Path(folder) / "search")
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
        if not asked.quick:
            told = {"table": name, "shares": lines[name][0], "chance": lines[name][1]}
            with asked.lines.open("a", encoding="utf-8") as file:
                file.write(json.dumps(told) + "\n")
    text = "\n".join(page({name: lines[name] for name in names}, trials))
    print(text)
    if not asked.quick:
        write(text, "ready_space", PAGE)


if __name__ == "__main__":
    main()
