"""How much memory does a population take? Peaks and seconds against members, and against rows on disk.

    python benchmarks/memory.py            # at most four minutes on two quiet cores; writes docs/performance.md
    python benchmarks/memory.py --quick    # fewer members, epochs and rows, printed only

Every figure is of a process of its own, in turns, with a compilation cache that was filled before. The peak is what the
system says of the whole process. It counts pages of a memory-mapped file, which the system takes back when it
needs them; so the largest anonymous part (RssAnon, looked at every 20 ms) is told too: that is ours.
"""

import argparse
import json
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from speed import machine, timed
from tables import load_before, number, spread, take_turns, write

ROUNDS, MINUTES = 3, 3.0
COLUMNS, BLOCK_ROWS, BATCH = 20, 100_000, 250
FEW_ROWS = 30
# Peaks for ten times the rows may differ by so many MiB: blocks, not rows, decide.
_FLAT = 200.0
_LEARNED = 0.9


class Anonymous(threading.Thread):
    """Samples the anonymous part of this process' memory, in MiB, every 20 ms."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0.0
        self._done = threading.Event()

    def run(self) -> None:
        """Look until told to stop."""
        while not self._done.is_set():
            self.peak = max(self.peak, anonymous())
            self._done.wait(0.02)

    def stop(self) -> float:
        """The largest part that was seen."""
        self._done.set()
        self.join()
        return max(self.peak, anonymous())


def status(name: str) -> float:
    """What the system says of this process' memory, in MiB; NaN where it does not tell."""
    path = Path("/proc/self/status")
    if not path.exists():
        return float("nan")
    lines = path.read_text(encoding="utf-8").splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(name))) / 1024


def anonymous() -> float:
    """This process' anonymous memory now, in MiB."""
    return status("RssAnon")


def network(inputs: int, hidden: int) -> Any:  # noqa: ANN401 - Keras must not be imported before Caviar
    """A regression with one hidden layer, under Adam."""
    import keras

    model = keras.Sequential(
        [keras.Input((inputs,)), keras.layers.Dense(hidden, activation="relu"), keras.layers.Dense(1)]
    )
    model.compile(optimizer="adam", loss="mse")
    return model


def many_members(members: int, epochs: int) -> dict[str, Any]:
    """So many 2-50-1 networks on 30 rows."""
    import caviar

    rng = np.random.default_rng(0)
    x = rng.normal(size=(FEW_ROWS, 2)).astype(np.float32)
    history = caviar.fit(
        partial(network, 2, 50), x, x.sum(axis=1), seeds=members, epochs=epochs, batch_size=10, verbose=0
    )
    return told(history)


def many_rows(file: Path, rows: int) -> dict[str, Any]:
    """Two seeds for one epoch on the first rows of a memory-mapped file; its last column is the target."""
    import caviar

    table = np.load(file, mmap_mode="r")[:rows]
    history = caviar.fit(
        partial(network, COLUMNS - 1, 50),
        table[:, :-1],
        table[:, -1],
        seeds=2,
        epochs=1,
        batch_size=BATCH,
        block_rows=min(BLOCK_ROWS, rows // 2),
        verbose=0,
    )
    # One epoch has no first loss to compare with: the mean alone would reach the target's variance.
    return told(history) | {"first": float(table[:BLOCK_ROWS, -1].var())}


def told(history: Any) -> dict[str, Any]:  # noqa: ANN401
    """Seconds of the training, losses at the end (mean over members) and how it ran."""
    losses = np.atleast_2d(history.dataset["loss"].values)
    return {
        "loss": float(losses[:, -1].mean()),
        "first": float(losses[:, 0].mean()),
        "engine": history.attrs["engine"],
        "spread": history.attrs["spread"],
        "seconds": history.attrs["seconds"],
    }


def measured(asked: argparse.Namespace) -> dict[str, Any]:
    """What this process needed for the work that it was given."""
    watch = Anonymous()
    watch.start()
    if asked.file:
        found = many_rows(asked.file, asked.rows)
    elif asked.members:
        found = many_members(asked.members, asked.epochs)
    else:
        import caviar.training.fit  # noqa: F401 - what the imports alone take
        from caviar.population import devices

        devices.start()
        found = {"loss": 0.0, "first": 1.0, "engine": "population", "spread": "", "seconds": 0.0}
    peak = status("VmHWM")  # not ru_maxrss, which a process inherits from the one that started it
    return found | {"peak": peak, "anonymous": watch.stop()}


def make_table(file: Path, rows: int) -> None:
    """A file of so many rows in single precision whose last column follows from the others, and noise."""
    table = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=(rows, COLUMNS))
    rng = np.random.default_rng(0)
    weights = rng.normal(size=COLUMNS - 1).astype(np.float32) / 4
    for start in range(0, rows, BLOCK_ROWS):
        part = rng.standard_normal((min(BLOCK_ROWS, rows - start), COLUMNS), np.float32)
        part[:, -1] = part[:, :-1] @ weights + 0.1 * part[:, -1]
        table[start : start + len(part)] = part
    table.flush()


@dataclass
class Race:
    """All sizes in turns.

    Attributes:
        sizes: Title and arguments of each process.
        cache: Folder for compiled programs.
        seen: What each one said, round by round.
    """

    sizes: dict[str, tuple[str, ...]]
    cache: str
    seen: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def once(self) -> None:
        """One turn of every size."""
        for title, arguments in self.sizes.items():
            _, said = timed(Path(sys.executable), [__file__, *arguments], {"XDG_CACHE_HOME": self.cache})
            if said["engine"] != "population" or not said["loss"] < _LEARNED * said["first"]:
                raise SystemExit(f"Expected {title} to be a population that learns, got {said}.")
            self.seen.setdefault(title, []).append(said)
            print(f"{title:35s} {said['peak']:7.0f} MiB  {said['seconds']:7.2f} s", flush=True)

    def column(self, title: str, name: str) -> np.ndarray:
        """One figure, round by round."""
        return np.array([said[name] for said in self.seen[title]])


def page(race: Race, rounds: int, load: float, epochs: int) -> str:
    """The table, and where it was measured."""
    start = next(iter(race.sizes))
    lines = [
        "| process | peak, times imports alone | peak, MiB | anonymous, MiB | seconds of `fit` | loss |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for title in race.sizes:
        ratio, *rest = (
            race.column(title, "peak") / race.column(start, "peak"),
            race.column(title, "peak"),
            race.column(title, "anonymous"),
            race.column(title, "seconds"),
        )
        loss = "" if title == start else number(float(np.median(race.column(title, "loss"))))
        lines.append(f"| {title} | {' | '.join(map(spread, (ratio, *rest)))} | {loss} |")
    lines.append("")
    lines.append(
        f"Medians of {rounds} rounds [lowest – highest]; {machine()}; load {load:.1f} before the start; "
        f"caviar {version('caviar')}, keras {version('keras')}, jax {version('jax')}."
    )
    lines.append(
        f"Members: 2-50-1, Adam, {FEW_ROWS} rows in batches of 10, {epochs} epochs. Rows: {COLUMNS} columns in single "
        f"precision, 2 seeds, one epoch, batches of {BATCH:,} in blocks of {BLOCK_ROWS:,} rows (at most half of them)."
    )
    return "\n".join(lines)


def main() -> None:
    """Race and write the table, or be one of its processes."""
    parser = argparse.ArgumentParser(description="Measure the memory that populations take.")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round, printed only")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns (default: %(default)s)")
    parser.add_argument("--members", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--epochs", type=int, default=200, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        print(json.dumps(measured(asked)))
        return
    load, rows = load_before(), 200_000 if asked.quick else 10_000_000
    epochs, counts = (40, (100, 300)) if asked.quick else (200, (100, 1_000, 10_000))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.npy"
        make_table(file, rows)
        sizes: dict[str, tuple[str, ...]] = {"imports alone": ("--child",)}
        for n in counts:
            sizes[f"{n:,} members"] = ("--child", "--members", str(n), "--epochs", str(epochs))
        streamed = [f"{n:,} rows on disk" for n in (rows // 10, rows)]
        for title, n in zip(streamed, (rows // 10, rows), strict=True):
            sizes[title] = ("--child", "--file", str(file), "--rows", str(n))
        race = Race(sizes, folder)
        race.once()  # fills the compilation cache and is not counted
        race.seen.clear()
        rounds = take_turns(race.once, 1 if asked.quick else asked.rounds, MINUTES / 2)
    text = page(race, rounds, load, epochs)
    print(text)
    few, many = (float(np.median(race.column(title, "anonymous"))) for title in streamed)
    if not asked.quick and many - few > _FLAT:
        raise SystemExit(
            f"Expected memory that does not grow with the rows, got {few:.0f} and {many:.0f} MiB."
        )
    if not asked.quick:
        write(text, "memory")


if __name__ == "__main__":
    main()
