"""What do probes cost? `caviar.fit` with and without them, at their defaults, taking turns in one process.

    python benchmarks/probes.py            # some minutes; writes docs/performance.md
    python benchmarks/probes.py --quick    # one short round, printed only

Time is what the process spends on all cores, so that other work on the machine hardly matters. The first round
compiles, is not counted, and whoever begins it pays for starting JAX too; later calls find compiled programs on disk,
as a second run of a person's script does. What further epochs cost is the difference between a long and a short call.
"""

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from functools import partial

import numpy as np

from speed import machine
from speed_contenders import BATCH, FOLDS, keras_model, table
from tables import spread, write

ROUNDS = 5
AIM = 0.1


@dataclass(frozen=True)
class Work:
    """A call: so many rows of the table, seeds for each of ten folds, and epochs of a short and a long call."""

    rows: int
    seeds: int
    epochs: tuple[int, int]

    @property
    def title(self) -> str:
        """The call in words."""
        steps = -(-self.rows * (FOLDS - 1) // (FOLDS * BATCH))
        return f"{self.rows:,} rows, {FOLDS * self.seeds} members, {self.epochs[1]} epochs of {steps} steps"


FULL = (Work(1000, 10, (4, 100)), Work(150, 10, (12, 600)))
QUICK = (Work(150, 2, (2, 20)),)


def seconds(work: Work, epochs: int, *, probes: bool) -> float:
    """Processor time of one call."""
    import caviar

    x, y = (values[: work.rows] for values in table())
    began = time.process_time()
    history = caviar.fit(
        partial(keras_model, 1),
        x,
        y,
        folds=FOLDS,
        seeds=work.seeds,
        epochs=epochs,
        batch_size=BATCH,
        verbose=0,
        probes=probes,
    )
    taken = time.process_time() - began
    if history.attrs["engine"] != "population" or (history.probes is None) == probes:
        raise SystemExit(f"Expected a population that is probed if asked to be, got {history.attrs}.")
    return taken


def race(work: Work, rounds: int) -> np.ndarray:
    """Seconds (round, without and with, short and long call); the first round compiles. Both take turns to begin."""
    times = np.empty((rounds + 1, 2, 2))
    for number in range(rounds + 1):
        for probes in (False, True) if number % 2 else (True, False):
            for length, epochs in enumerate(work.epochs):
                times[number, int(probes), length] = seconds(work, epochs, probes=probes)
        print(f"{work.title}, round {number}: {times[number].round(2).tolist()} s", flush=True)
    return times


def line(work: Work, times: np.ndarray) -> str:
    """One line of the table: how many times as long with probes as without."""
    warm = times[1:]
    further = warm[:, :, 1] - warm[:, :, 0]
    ratios = (warm[:, 1, 1] / warm[:, 0, 1], further[:, 1] / further[:, 0])
    said = " | ".join(spread(ratio) for ratio in ratios)
    return f"| {work.title} | {np.median(warm[:, 0, 1]):.1f} | {said} |"


def page(works: tuple[Work, ...], times: list[np.ndarray], rounds: int) -> str:
    """The table, and whether the aim is reached."""
    further = [t[1:, :, 1] - t[1:, :, 0] for t in times]
    worst = max(float(np.median(f[:, 1] / f[:, 0])) for f in further) - 1
    verdict = "reached" if worst <= AIM else "**not reached**"
    return "\n".join(
        [
            "| call | seconds without | whole call | further epochs |",
            "| --- | ---: | ---: | ---: |",
            *(line(work, t) for work, t in zip(works, times, strict=True)),
            "",
            f"Times as long with probes as without, in processor time; medians of {rounds} rounds [lowest – highest].",
            f"{machine()}, load {os.getloadavg()[0]:.1f} (above the number of cores, ratios are off).",
            f"The aim, further epochs at most {AIM:.0%} longer, is {verdict}: {worst:+.0%}.",
        ]
    )


def main() -> None:
    """Race, print the table, and write it into the page."""
    parser = argparse.ArgumentParser(description="Time caviar.fit with and without probes.")
    parser.add_argument("--quick", action="store_true", help="one short round, printed only")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns of both (default: %(default)s)")
    asked = parser.parse_args()
    works, rounds = (QUICK, 1) if asked.quick else (FULL, asked.rounds)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder  # read when Caviar starts: the first round must compile
        written = page(works, [race(work, rounds) for work in works], rounds)
    print(written)
    if not asked.quick:
        write(written, "probes")


if __name__ == "__main__":
    main()
