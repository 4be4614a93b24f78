"""How long does a whole diagnosis of a table with 1,000 rows take, from the command to its last line?

    python benchmarks/diagnosis_seconds.py            # some ten minutes; writes docs/doctor.md
    python benchmarks/diagnosis_seconds.py --quick    # one sound and one sick model, printed only

A sound network of two classes, and the same with one thing wrong. Every command runs with an empty compilation cache,
and once more with what the first one left there. What takes more than two and a half minutes is stopped.
"""

import argparse
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from sklearn.datasets import make_classification

from speed import ROOT, machine
from tables import load_before, number, write

PAGE = ROOT / "docs" / "doctor.md"
ROWS, INPUTS, EPOCHS = 1_000, 20, 30
AIM = 60.0
MOST = 150.0
_MODEL = """
import keras


def build():
    widths = {widths}
    layers = [keras.layers.Dense(width, "relu") for width in widths]
    model = keras.Sequential([keras.Input(({inputs},)), *layers, keras.layers.Dense(1, activation="sigmoid")])
    model.compile(keras.optimizers.Adam({rate}), "binary_crossentropy")
    return model
"""
SOUND = {"widths": (16,), "rate": 3e-3, "scale": 1.0, "epochs": EPOCHS}
CASES = {
    "sound": SOUND,
    "rate a thousandth of it": SOUND | {"rate": 3e-6},
    "rate a hundred times it": SOUND | {"rate": 3e-1},
    "inputs times 1,000": SOUND | {"scale": 1_000.0},
    "one unit": SOUND | {"widths": (1,)},
    "two layers of 128 units, five times the epochs": SOUND | {"widths": (128, 128), "epochs": 5 * EPOCHS},
}
_QUICK = ("sound", "rate a thousandth of it")


def diagnosed(folder: Path, case: dict[str, object], cache: Path) -> tuple[float, str]:
    """Seconds of a whole command and what it found; infinitely many where it was stopped."""
    x, y = make_classification(ROWS, INPUTS, n_informative=8, flip_y=0.05, random_state=3)
    table, model = folder / "rows.csv", folder / "model.py"
    names = ",".join([*(f"x{i}" for i in range(INPUTS)), "y"])
    np.savetxt(table, np.column_stack([x * case["scale"], y]), delimiter=",", header=names, comments="")
    model.write_text(_MODEL.format(inputs=INPUTS, **case), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "caviar",
        "diagnose",
        str(table),
        "--target",
        "y",
        "--model",
        f"{model}:build",
    ]
    command += ["--epochs", str(case["epochs"]), "--batch-size", "32"]
    variables = os.environ | {"PYTHONPATH": str(ROOT / "src"), "XDG_CACHE_HOME": str(cache)}
    began = time.perf_counter()
    try:
        done = subprocess.run(
            command, cwd=folder, env=variables, capture_output=True, text=True, check=False, timeout=MOST
        )
    except subprocess.TimeoutExpired:
        return math.inf, ""
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"Expected a diagnosis, got: {done.stderr.strip()}")
    found = re.findall(r"^! (\w\d\d) +([^(:\n]*)", done.stdout, re.MULTILINE)
    return seconds, "; ".join(f"{code} {title.strip()}" for code, title in found) or "nothing"


def _told(seconds: float) -> str:
    return number(seconds) if math.isfinite(seconds) else f"more than {number(MOST)}"


def main() -> None:
    """Diagnose every case, then write the table."""
    parser = argparse.ArgumentParser(description="Time whole diagnoses of 1,000 rows.")
    parser.add_argument("--quick", action="store_true", help="two models, printed only")
    asked = parser.parse_args()
    load = load_before()
    lines = ["| model | seconds, empty cache | once more | found |", "| --- | ---: | ---: | --- |"]
    longest = 0.0
    for name in _QUICK if asked.quick else CASES:
        with tempfile.TemporaryDirectory() as folder:
            cold, found = diagnosed(Path(folder), CASES[name], Path(folder) / "cache")
            warm, again = diagnosed(Path(folder), CASES[name], Path(folder) / "cache")
        longest = max(longest, cold)
        lines.append(f"| {name} | {_told(cold)} | {_told(warm)} | {found or again} |")
        print(lines[-1], flush=True)
    reached = "reached" if longest <= AIM else "**not reached**"
    lines += [
        "",
        (
            f"Aim: under {AIM:.0f} seconds for {ROWS:,} rows: {reached}; longest {_told(longest)}. Two classes, "
            f"{INPUTS} inputs; the sound network has 16 units, Adam at 0.003, batches of 32, {EPOCHS} epochs. "
            f"{machine()}; load {load:.1f} before the start; caviar {version('caviar')}, keras {version('keras')}, "
            f"jax {version('jax')}."
        ),
    ]
    print(lines[-1])
    if not asked.quick:
        write("\n".join(lines), "seconds", PAGE)


if __name__ == "__main__":
    main()
