"""Does the memory of a search grow with its trials?

    python benchmarks/many_trials.py            # about ten minutes of a core; writes docs/tuning.md
    python benchmarks/many_trials.py --quick    # 1,000 trials, printed only

One process, one search of networks so small that trials are many: 100 rows, two folds, three epochs. Looked at every
tenth of a second is the anonymous part of the process' memory, by how many trials were on disk.
"""

import argparse
import tempfile
import threading
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import caviar
from memory import anonymous
from speed import machine
from tables import number, write

PAGE = Path(__file__).resolve().parents[1] / "docs" / "tuning.md"
MOST, QUICK = 10_000, 1_000
ROWS, FOLDS, EPOCHS = 100, 2, 3
STEPS = 5


class Watch(threading.Thread):
    """Notes trials on disk and MiB of memory."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.seen: list[tuple[int, float]] = []
        self._trials = folder / "trials.jsonl"
        self._over = threading.Event()

    def run(self) -> None:
        """Look until told to stop."""
        while not self._over.wait(0.1):
            self.look()

    def look(self) -> None:
        """Look once."""
        there = self._trials.read_bytes().count(b"\n") if self._trials.exists() else 0
        self.seen.append((there, anonymous()))

    def stop(self) -> None:
        """Look a last time."""
        self._over.set()
        self.join()
        self.look()


def build(hp: Any) -> Any:  # noqa: ANN401
    """One hidden layer; only the learning rate is asked for."""
    import keras

    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1, activation="sigmoid")]
    )
    rate = hp.Float("rate", 1e-4, 1e-1, sampling="log")
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy")
    return model


def main() -> None:
    """Search, watch, tell."""
    parser = argparse.ArgumentParser(description="Memory of a search of many trials.")
    parser.add_argument("--quick", action="store_true", help="1,000 trials, printed only")
    quick = parser.parse_args().quick
    trials = QUICK if quick else MOST
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 4)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.float32)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "search"
        watch, began = Watch(folder), time.monotonic()
        watch.start()
        found = caviar.tune(build, x, y, trials=trials, folds=FOLDS, epochs=EPOCHS, folder=folder, verbose=0)
        seconds = time.monotonic() - began
        watch.stop()
        kept = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
    finished = len(found.trials)
    if finished != trials:
        raise SystemExit(f"Expected {trials:,} trials, got {finished:,}.")
    text = ["| trials on disk | most anonymous memory so far, MiB |", "| ---: | ---: |"]
    for share in range(1, STEPS + 1):
        until = trials * share // STEPS
        text.append(f"| {until:,} | {number(max(mib for there, mib in watch.seen if there <= until))} |")
    what = f"{trials:,} trials of {ROWS} rows, {FOLDS} folds, {EPOCHS} epochs"
    text += [
        "",
        (
            f"{what} in {number(seconds)} s; the folder has {number(kept)} MiB. {machine()}; "
            f"caviar {version('caviar')}, keras {version('keras')}, jax {version('jax')}."
        ),
    ]
    print("\n".join(text))
    if not quick:
        write("\n".join(text), "many_trials", PAGE)


if __name__ == "__main__":
    main()
