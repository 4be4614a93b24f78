"""How many programs should a search of different widths compile, and how many zeros should be computed instead?

    CAVIAR_DATA=… python benchmarks/widths.py            # some minutes on two quiet cores; docs/performance.md
    CAVIAR_DATA=… python benchmarks/widths.py --quick    # one table, printed only

Whole processes, imports included, with an empty compilation cache, in turns: the search of 64 depths and widths that
tuning.py races, with programs that are taken to be worth more or fewer operations. The best score must be the same.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from otherwise import otherwise
from speed import ROOT, machine, timed
from speed_contenders import versions
from tables import load_before, number, spread, write
from tuning_contenders import TABLES, caviar_search

WORTH = (2.5e10, 1e11, 4e11)
"""Operations of a core; the second one is Caviar's own."""
SEARCHED = ("sonar", "values")
TRIALS, ROUNDS = 64, 1


def searched(name: str, worth: float) -> dict[str, float]:
    """Search once: programs of networks, and the best score."""
    from caviar.population import together

    cheapest, groups = together.cheapest, list[list[int]]()

    def noted(shapes: np.ndarray, work: np.ndarray, worth: float) -> list[list[int]]:
        found = cheapest(shapes, work, worth)
        groups.extend(found)
        return found

    table = TABLES[name]
    with otherwise(together, "_WORTH_COMPILING", worth), otherwise(together, "cheapest", noted):
        found = caviar_search(table, table.timed_on(), "shapes", TRIALS, table.epochs)
    return {"programs": len(groups), "best": found.naive_score}


def raced(name: str, rounds: int) -> str:
    """A line of the table.

    Raises:
        SystemExit: What was found depends on how members were filled up.
    """
    seconds: dict[float, list[float]] = {worth: [] for worth in WORTH}
    programs, best = dict[float, int](), list[float]()
    for _ in range(rounds):
        for worth in WORTH:
            with tempfile.TemporaryDirectory() as cache:
                variables = {"PYTHONPATH": str(ROOT / "src"), "XDG_CACHE_HOME": cache}
                took, said = timed(Path(sys.executable), [__file__, "--one", name, str(worth)], variables)
            seconds[worth].append(took)
            programs[worth] = int(said["programs"])
            best.append(said["best"])
            print(f"{name}, {worth:g}: {took:.1f} s, {programs[worth]} programs", flush=True)
    if np.ptp(best) > 0.05 * abs(best[0]):
        raise SystemExit(f"Expected the same best score whatever is filled up, got {best}.")
    own = np.array(seconds[WORTH[1]])
    cells = [
        f"{number(float(np.median(own)))} s ({programs[WORTH[1]]})"
        if worth == WORTH[1]
        else f"{spread(np.array(seconds[worth]) / own)} ({programs[worth]})"
        for worth in WORTH
    ]
    return f"| {TABLES[name].title} | {' | '.join(cells)} |"


def main() -> None:
    """Search with all of them, and write the table."""
    parser = argparse.ArgumentParser(description="Time searches with more and fewer programs.")
    parser.add_argument("--quick", action="store_true", help="one table, one round, printed only")
    parser.add_argument("--one", nargs=2, metavar=("TABLE", "WORTH"), help="one search, in this process")
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(searched(asked.one[0], float(asked.one[1]))))
        return
    load = load_before()
    lines = [raced(name, 1 if asked.quick else ROUNDS) for name in SEARCHED[: 1 if asked.quick else None]]
    own = f"{WORTH[1]:.0e}"
    heads = [f"{worth:.1e}" for worth in WORTH]
    text = "\n".join(
        [
            f"| table | {' | '.join(heads)} |",
            "| --- |" + " ---: |" * len(WORTH),
            *lines,
            "",
            (
                f"{TRIALS} trials of depth and width, five folds, whole processes with an empty cache: seconds, where "
                f"a program is taken to be worth {own} operations of each core, as Caviar does, and how many times as "
                f"long it takes with other values; in brackets, how many programs train. {ROUNDS} round of each."
            ),
            f"{machine()}; load {load:.1f} before the start; {', '.join(f'{k} {v}' for k, v in versions().items())}.",
        ]
    )
    print(text)
    if not asked.quick:
        write(text, "widths", ROOT / "docs" / "performance.md")


if __name__ == "__main__":
    main()
