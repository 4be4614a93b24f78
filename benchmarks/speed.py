"""How much faster is Caviar than one `fit` after another, whole processes on one machine?

Cross-validation of one multi-output regression, 10 folds x 3 repeats and x 30, by Caviar and by loops over
the same folds in Keras and torch. Writes docs/speed.md, and the table between the marks in README.md:

    python benchmarks/speed.py            # at most fifteen minutes on two quiet cores
    python benchmarks/speed.py --quick    # one run with few folds, a few minutes, prints only

Every contender is a process of its own, timed from its start to its end, imports included; the contenders
take turns. What each one does stands in speed_contenders.py. TensorFlow and torch get environments of their
own, made on the first run.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tables import load_before, take_turns

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "speed.md"
README = ROOT / "README.md"
MARKS = ("<!-- speed:begin -->", "<!-- speed:end -->")
PROGRAM = Path(__file__).with_name("speed_contenders.py")
ENVIRONMENTS = (
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "caviar/benchmark-environments"
)
REQUIREMENTS = {
    "tensorflow": ("keras==3.15.1", "tensorflow-cpu==2.21.0", "scikit-learn==1.9.1"),
    "torch": ("keras==3.15.1", "torch==2.13.0", "scikit-learn==1.9.1"),
    "keras-tuner": (
        "keras==3.15.1",
        "jax==0.10.2",
        "keras-tuner==1.4.8",
        "six==1.17.0",  # which KerasTuner needs and does not ask for
        "optuna==5.0.0",
        "scikit-learn==1.9.1",
    ),
}
SIZES = {30: "10 x 3", 300: "10 x 30"}
RUNS = 3
MINUTES = 15.0

# One whole epoch: 900 training rows in batches of 32 are 29 steps.
_EPOCH = ("--steps-per-execution", "29")
# Loops on one backend with the same seeds differ from Caviar by rounding only.
_SAME_SEED = 0.02
_STANDARD_ERRORS = 4


@dataclass(frozen=True)
class Peer:
    """A loop that Caviar is compared with.

    Attributes:
        label: What the table calls it.
        arguments: For speed_contenders.py.
        environment: A key of `REQUIREMENTS`, or None for this interpreter.
        backend: Keras' backend, or empty.
        keeps_programs: Whether JAX's compilation cache is on, in a folder that starts empty.
        counts: The two numbers of folds that are timed; others lie on the line through them.
    """

    label: str
    arguments: tuple[str, ...]
    environment: str | None
    backend: str = ""
    keeps_programs: bool = False
    counts: tuple[int, int] = (2, 10)


PEERS = (
    Peer("Keras `fit` loop, JAX", ("keras",), None, "jax", counts=(3, 30)),
    Peer("Keras `fit` loop, JAX, an epoch per execution", ("keras", *_EPOCH), None, "jax"),
    Peer(
        "Keras `fit` loop, JAX, as above with JAX's compilation cache",
        ("keras", *_EPOCH),
        None,
        "jax",
        keeps_programs=True,
    ),
    Peer("Keras `fit` loop, TensorFlow", ("keras",), "tensorflow", "tensorflow", counts=(1, 4)),
    Peer(
        "Keras `fit` loop, TensorFlow, an epoch per execution",
        ("keras", *_EPOCH),
        "tensorflow",
        "tensorflow",
        counts=(1, 4),
    ),
    Peer("torch loop", ("torch",), "torch"),
    Peer("torch loop, one thread", ("torch", "--threads", "1"), "torch", counts=(3, 30)),
)
CAVIAR = ("Caviar, cold", "Caviar, warm")
# Aims for a whole cold process: (members, peer, at least so many times faster).
AIMS = (
    (30, PEERS[0].label, 9.0),
    (30, PEERS[3].label, 30.0),
    (300, PEERS[0].label, 55.0),
    (300, PEERS[3].label, 200.0),
)


@dataclass(frozen=True)
class Outcome:
    """One finished process: its wall time in seconds, each fold's error, and the versions it ran on."""

    seconds: float
    errors: np.ndarray
    versions: dict[str, str]


@dataclass(frozen=True)
class Timing:
    """Wall times of one contender at one size, one per run of the benchmark, in seconds."""

    seconds: np.ndarray
    how: str

    def shown(self) -> str:
        """Median and range."""
        if len(self.seconds) == 1:
            return _number(self.seconds[0])
        low, high = _number(self.seconds.min()), _number(self.seconds.max())
        return f"{_number(np.median(self.seconds))} [{low} – {high}]"


Timings = dict[int, dict[str, Timing]]
"""By number of members, then by the contender's label."""


class NotAvailable(Exception):  # noqa: N818 - an outcome, not an error
    """Why a peer cannot be timed on this machine."""


def prepared(name: str | None, folder: Path) -> Path:
    """The interpreter of an environment, which is made if it does not exist yet.

    Raises:
        NotAvailable: The packages cannot be installed here.
    """
    if name is None:
        return Path(sys.executable)
    place = folder / name
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    note, wanted = place / "requirements.txt", "\n".join(REQUIREMENTS[name])
    if note.exists() and note.read_text(encoding="utf-8") == wanted:
        return python
    print(f"Preparing {place} …", flush=True)
    shutil.rmtree(place, ignore_errors=True)
    steps = (
        [sys.executable, "-m", "venv", str(place)],
        [str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS[name]],
    )
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotAvailable(_last_line(done.stderr))
    note.write_text(wanted, encoding="utf-8")
    return python


def run_process(python: Path, arguments: Sequence[str], members: int, variables: dict[str, str]) -> Outcome:
    """Time one contender from outside.

    Raises:
        NotAvailable: The process failed.
    """
    seconds, told = timed(python, [str(PROGRAM), *arguments, "--members", str(members)], variables)
    return Outcome(seconds, np.array(told["mae"]), told["versions"])


def timed(python: Path, arguments: Sequence[str], variables: dict[str, str]) -> tuple[float, dict[str, Any]]:
    """Wall seconds of a process from its start to its end, and the JSON object on its last line.

    Raises:
        NotAvailable: The process failed.
    """
    # A cache that the user has switched on would help the loops in secret.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "XLA_", "KERAS_"))}
    began = time.perf_counter()
    done = subprocess.run(
        [str(python), *arguments], env=inherited | variables, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        raise NotAvailable(_last_line(done.stderr))
    return seconds, json.loads(done.stdout.splitlines()[-1])


def run_caviar(members: int) -> tuple[Outcome, Outcome]:
    """Caviar with an empty compilation cache, then in a new process with the one that the first left."""
    with tempfile.TemporaryDirectory() as cache:
        cold, warm = (
            run_process(Path(sys.executable), ("caviar",), members, {"XDG_CACHE_HOME": cache})
            for _ in range(2)
        )
    return cold, warm


def run_peer(peer: Peer, python: Path, members: int) -> Outcome:
    """One peer, its compilation cache (if it keeps one) empty."""
    variables = {"TF_CPP_MIN_LOG_LEVEL": "2"}
    if peer.backend:
        variables["KERAS_BACKEND"] = peer.backend
    with tempfile.TemporaryDirectory() as cache:
        if peer.keeps_programs:
            variables |= {
                "JAX_COMPILATION_CACHE_DIR": cache,
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            }
        return run_process(python, peer.arguments, members, variables)


def prolonged(counts: tuple[int, int], seconds: tuple[float, float], members: int) -> float:
    """Seconds for `members` folds on the line through two timed counts.

    >>> prolonged((1, 4), (8.0, 20.0), 30)  # four seconds each, four to start
    124.0
    """
    (few, many), (short, long) = counts, seconds
    return short + (members - few) * (long - short) / (many - few)


class Race:
    """All contenders, taking turns; gathers their times and checks that none of them skips work."""

    def __init__(self, folder: Path, *, quick: bool) -> None:
        self.quick = quick
        self.missing: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self.errors: dict[str, np.ndarray] = {}
        self._seconds: dict[str, dict[int, list[float]]] = {}
        self._pythons: dict[str, Path] = {}
        for peer in PEERS:
            try:
                self._pythons[peer.label] = prepared(peer.environment, folder)
            except NotAvailable as reason:
                self.missing[peer.label] = str(reason)

    def counts(self, peer: Peer) -> tuple[int, int]:
        """The two numbers of folds that this race times."""
        return (1, 3) if self.quick else peer.counts

    def warm_up(self) -> None:
        """One uncounted fold each: files are then in memory and compiled to byte code for everybody."""
        run_caviar(1)
        for peer in self._present():
            self._try(peer, 1)

    def run_once(self) -> None:
        """One turn of everybody."""
        for members in SIZES:
            for label, outcome in zip(CAVIAR, run_caviar(members), strict=True):
                self._keep(label, members, outcome)
        for peer in self._present():
            for members in self.counts(peer):
                tried = self._try(peer, members)
                if tried is not None:
                    self._keep(peer.label, members, tried)

    def start_and_fold(self, peer: Peer) -> tuple[float, float]:
        """Median seconds that a loop needs to start, and for each fold."""
        counts = self.counts(peer)
        runs = list(zip(*(self._seconds[peer.label][folds] for folds in counts), strict=True))
        start = np.median([prolonged(counts, run, 0) for run in runs])
        fold = np.median([prolonged(counts, run, 1) - prolonged(counts, run, 0) for run in runs])
        return float(start), float(fold)

    def timings(self) -> Timings:
        """Wall times at each size: measured, or prolonged from the two counts that were."""
        found: Timings = {}
        for members in SIZES:
            rows = {label: Timing(np.array(self._seconds[label][members]), "measured") for label in CAVIAR}
            for peer in self._present():
                few, many = self.counts(peer)
                runs = zip(self._seconds[peer.label][few], self._seconds[peer.label][many], strict=True)
                seconds = np.array([prolonged((few, many), run, members) for run in runs])
                how = "measured" if members == many else f"scaled from {few} and {many} folds"
                rows[peer.label] = Timing(seconds, how)
            found[members] = rows
        return found

    def unequal(self) -> list[str]:
        """Contenders whose networks are not as good as Caviar's on the same folds, with the figures."""
        ours = self.errors[CAVIAR[0]]
        found = []
        for peer in self._present():
            difference = self.errors[peer.label] - ours[: len(self.errors[peer.label])]
            allowed = _SAME_SEED if peer.backend == "jax" else _tolerance(ours, len(difference))
            worst = np.abs(difference).max() if peer.backend == "jax" else abs(difference.mean())
            if not worst <= allowed:
                found.append(f"{peer.label}: differs from Caviar by {worst:.3f}, allowed are {allowed:.3f}")
        return found

    def _present(self) -> Iterator[Peer]:
        yield from (peer for peer in PEERS if peer.label not in self.missing)

    def _try(self, peer: Peer, members: int) -> Outcome | None:
        try:
            return run_peer(peer, self._pythons[peer.label], members)
        except NotAvailable as reason:
            self.missing[peer.label] = str(reason)
            return None

    def _keep(self, label: str, members: int, outcome: Outcome) -> None:
        self._seconds.setdefault(label, {}).setdefault(members, []).append(outcome.seconds)
        self.versions |= outcome.versions
        if len(outcome.errors) >= len(self.errors.get(label, ())):
            self.errors[label] = outcome.errors
        print(
            f"{label:55s} {members:4d} folds {outcome.seconds:8.2f} s   mean error {outcome.errors.mean():.3f}",
            flush=True,
        )


def _tolerance(errors: np.ndarray, folds: int) -> float:
    """So far apart may two means over the same folds lie when only initial weights and row orders differ."""
    return float(_STANDARD_ERRORS * errors.std(ddof=1) * np.sqrt(2 / folds))


def ratios(timings: Timings, members: int, label: str, ours: str) -> np.ndarray:
    """How many times longer one contender took than Caviar, run by run."""
    rows = timings[members]
    return rows[label].seconds / rows[ours].seconds


def machine() -> str:
    """Cores and processor, in words."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    processor = platform.processor()
    described = Path("/proc/cpuinfo")
    if described.exists():
        lines = described.read_text(encoding="utf-8").splitlines()
        processor = next(
            (li.split(":", 1)[1].strip() for li in lines if li.startswith("model name")), processor
        )
    return f"{cores} cores, {processor or 'unknown processor'}, {platform.system()}"


def size_table(timings: Timings, members: int, missing: dict[str, str]) -> str:
    """One row per contender: time, how it came about, and the ratios to Caviar."""
    lines = [
        "| contender | seconds | | times Caviar, cold | times Caviar, warm |",
        "| --- | ---: | --- | ---: | ---: |",
    ]
    for label in (*CAVIAR, *(peer.label for peer in PEERS)):
        if label in missing:
            lines.append(f"| {label} | not available | | | |")
            continue
        timing = timings[members][label]
        shares = [_number(np.median(ratios(timings, members, label, ours))) for ours in CAVIAR]
        lines.append(f"| {label} | {timing.shown()} | {timing.how} | {shares[0]} | {shares[1]} |")
    return "\n".join(lines)


def start_table(race: Race) -> str:
    """What each loop pays once, and what it pays for every fold."""
    lines = ["| loop | start, seconds | each fold, seconds |", "| --- | ---: | ---: |"]
    for peer in PEERS:
        if peer.label not in race.missing:
            start, fold = race.start_and_fold(peer)
            lines.append(f"| {peer.label} | {start:.1f} | {fold:.2f} |")
    return "\n".join(lines)


def strongest_line(timings: Timings, members: int) -> str:
    """The loop that comes closest."""
    loops = {label: t for label, t in timings[members].items() if label not in CAVIAR}
    if not loops:
        return "No loop is available here."
    label = min(loops, key=lambda name: float(np.median(loops[name].seconds)))
    cold, warm = (_number(np.median(ratios(timings, members, label, ours))) for ours in CAVIAR)
    return f"Fastest loop: {label}. Caviar is {cold} times (cold) and {warm} times (warm) faster."


def aim_lines(timings: Timings, missing: dict[str, str]) -> Iterator[str]:
    """Each aim with what was reached."""
    for members, label, least in AIMS:
        aim = f"{SIZES[members]}, {label}: at least {least:.0f} times, cold"
        if label in missing:
            yield f"- {aim}: not measured, {label} is not available."
            continue
        reached = ratios(timings, members, label, CAVIAR[0])
        verdict = "reached" if np.median(reached) >= least else "**not reached**"
        low, high = _number(reached.min()), _number(reached.max())
        yield f"- {aim}: {verdict}, {_number(np.median(reached))} times [{low} – {high}]."


def error_lines(race: Race) -> Iterator[str]:
    """Mean errors per contender beside Caviar's on the same folds."""
    ours = race.errors[CAVIAR[0]]
    yield "| contender | folds | mean error | Caviar on the same folds |"
    yield "| --- | ---: | ---: | ---: |"
    for peer in PEERS:
        if peer.label in race.errors:
            errors = race.errors[peer.label]
            same = ours[: len(errors)].mean()
            yield f"| {peer.label} | {len(errors)} | {errors.mean():.3f} | {same:.3f} |"


def page(race: Race, timings: Timings, load: float, runs: int) -> str:
    """docs/speed.md."""
    chapters = "\n\n".join(
        f"## {name} = {members} networks\n\n{size_table(timings, members, race.missing)}\n\n"
        f"{strongest_line(timings, members)}"
        for members, name in SIZES.items()
    )
    installed = ", ".join(f"{name} {number}" for name, number in sorted(race.versions.items()))
    aims, errors = "\n".join(aim_lines(timings, race.missing)), "\n".join(error_lines(race))
    absent = "".join(f"\n\nNot available here: {label} ({why})" for label, why in race.missing.items())
    return f"""# How fast

This page is written by `python benchmarks/speed.py`; every number on it comes from one run of that script on
one machine: {machine()}; load {load:.1f} before the run.
Python {platform.python_version()}, {installed}.

Ten-fold cross-validation, repeated, of a network with 10 inputs, 20 hidden units and 3 outputs on 1000 rows:
mean absolute error, Adam, 100 epochs of batches of 32 (900 rows: 28 full batches and one of 4), a new row
order in every epoch, no validation, the held-out fold predicted once at the end. Everybody does the same
work. A contender is a whole process, timed from outside, imports included. *Cold* is a new process with an
empty compilation cache; *warm* is a new process that finds the programs of an earlier one.

Seconds are medians of {runs} run{"s" * (runs > 1)} [lowest – highest], in which the contenders took turns;
ratios are medians over the runs. Two numbers of folds were timed for each loop: their difference gives the
time per fold, the rest is the start of the process, and sizes that were not timed lie on that line
("scaled"). Loops run with their library's own threads unless the row says otherwise. "An epoch per
execution" is `steps_per_execution=29`. JAX's compilation cache, where a loop has it on, is empty when its
process starts: later folds find the programs of the first.{absent}

{chapters}

## What a loop pays once and for every fold

{start_table(race)}

## Aims

{aims}

## Did everybody do the same work?

Mean absolute error on held-out folds. Loops on JAX start from Caviar's initial weights and take its row
orders, so every fold must agree within {_SAME_SEED}; the others draw their own, so means must agree within
{_STANDARD_ERRORS} standard errors.

{errors}
"""


def readme_part(race: Race, timings: Timings) -> str:
    """The short table for the README: medians only."""
    names = list(SIZES.values())
    lines = [
        f"| whole process, seconds | {names[0]} folds | {names[1]} folds |",
        "| --- | ---: | ---: |",
    ]
    for label in (*CAVIAR, *(peer.label for peer in PEERS)):
        if label in race.missing:
            continue
        cells = []
        for members in SIZES:
            timing = timings[members][label]
            times = _number(np.median(ratios(timings, members, label, CAVIAR[0])))
            share = "" if label in CAVIAR else f" ({times} ×)"
            about = "" if timing.how == "measured" else "≈ "
            cells.append(f"{about}{_number(np.median(timing.seconds))}{share}")
        lines.append(f"| {label} | {' | '.join(cells)} |")
    table = "\n".join(lines)
    return f"""{table}

In brackets: times Caviar, cold. ≈: scaled from fewer folds. Measured by `python benchmarks/speed.py` on
{machine()}; [all figures](docs/speed.md)."""


def write_readme(part: str) -> bool:
    """Put a text between the README's marks; False when there is no such place."""
    text = README.read_text(encoding="utf-8") if README.exists() else ""
    begin, end = (text.find(mark) for mark in MARKS)
    if not 0 <= begin < end:
        return False
    README.write_text(f"{text[: begin + len(MARKS[0])]}\n{part}\n{text[end:]}", encoding="utf-8")
    return True


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1].strip()


def main() -> None:
    """Run the race; write the page and the README's table, or print with --quick."""
    parser = argparse.ArgumentParser(description="Time Caviar beside loops of Keras and torch.")
    parser.add_argument("--quick", action="store_true", help="one run with few folds, prints only")
    parser.add_argument("--runs", type=int, default=RUNS, help="turns of everybody (default: %(default)s)")
    parser.add_argument(
        "--minutes",
        type=float,
        default=MINUTES,
        help="start no further turn that would end later (default: %(default)s)",
    )
    parser.add_argument(
        "--environments",
        type=Path,
        default=ENVIRONMENTS,
        metavar="DIR",
        help="where the environments for TensorFlow and torch are kept (default: %(default)s)",
    )
    asked = parser.parse_args()
    wanted = 1 if asked.quick else asked.runs
    load = load_before()
    race = Race(asked.environments, quick=asked.quick)
    began = time.monotonic()
    race.warm_up()
    runs = take_turns(race.run_once, wanted, asked.minutes - (time.monotonic() - began) / 60)
    timings = race.timings()
    text = page(race, timings, load, runs)
    print(text)
    print(f"Took {time.monotonic() - began:.0f} s.")
    if unequal := race.unequal():
        raise SystemExit("Expected equally good networks from everybody. " + "; ".join(unequal) + ".")
    if not asked.quick:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(text, encoding="utf-8")
        print(f"Wrote {PAGE}." + (" Updated README.md." if write_readme(readme_part(race, timings)) else ""))


if __name__ == "__main__":
    main()
