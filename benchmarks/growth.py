"""How does the time of one gradient step grow with members and with width? Caviar, a C loop, and other loops.

    python benchmarks/growth.py            # at most six minutes on two quiet cores; writes docs/performance.md
    python benchmarks/growth.py --quick    # few sizes and epochs, one round, printed only

10-width-3 networks at batch 32 with Adam, in steady state, in turns. Caviar runs each way of spreading members that
suits: side by side on the first axis, or on the last one. member_step.py makes its jobs and the C loop (limit.c);
loops of other libraries are processes of their own (growth_contenders.py).
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np

from member_step import Turn, Work, compiled, cores, engine_turns, limit_turn, make_work, write_work
from speed import ENVIRONMENTS, NotAvailable, machine, prepared, timed
from speed_contenders import HIDDEN
from tables import load_before, spread, take_turns, write

PROGRAM = Path(__file__).with_name("growth_contenders.py")
ROUNDS, MINUTES = 3, 5.0
C_LOOP = "C loop"
WAYS = {"vmap": "Caviar, first axis", "last": "Caviar, last axis"}
# Members, width, epochs: so many that each turn takes a second or so.
SIZES = (
    *((1, HIDDEN, 300), (10, HIDDEN, 200), (100, HIDDEN, 60), (1_000, HIDDEN, 24), (3_000, HIDDEN, 12)),
    *((100, 8, 60), (100, 32, 40), (100, 128, 20), (100, 512, 8)),
)
QUICK = ((1, HIDDEN, 10), (30, HIDDEN, 8), (10, 32, 6))
# On the last axis products are written out: worth it for members that fill vectors, and layers that are not wide.
_FEWEST_LAST, _WIDEST_LAST = 16, 32
# Everybody draws own weights and orders: mean losses agree up to chance, and members of one draw share their rows.
_SAME_LOSS, _DEVIATIONS = 0.03, 5.0
_REFERENCE = 100


@dataclass(frozen=True)
class Loop:
    """A loop of another library: what the table calls it, its contender, environment and members, its loss, backend."""

    label: str
    contender: str
    environment: str | None
    members: int = 1
    loss: str = "mae"
    backend: str = "jax"


LOOPS = (
    Loop("`torch.func.vmap`, 30 members", "vmap", "torch", 30),
    Loop("`torch.func.vmap`, 300 members", "vmap", "torch", 300),
    Loop("torch loop, one thread", "torch", "torch"),
    Loop("scikit-learn `partial_fit`, squared error", "sklearn", None, loss="mse"),
    Loop("Keras `fit`, JAX", "keras", None),
    Loop("Keras `fit`, JAX, an epoch per execution", "keras-epoch", None),
    Loop("Keras `fit`, TensorFlow", "keras", "tensorflow", backend="tensorflow"),
    Loop(
        "Keras `fit`, TensorFlow, an epoch per execution", "keras-epoch", "tensorflow", backend="tensorflow"
    ),
    Loop("Keras `fit`, torch", "keras", "torch", backend="torch"),
)


@dataclass
class Race:
    """Everybody in turns, over all sizes.

    Attributes:
        contenders: By size, then label: what makes a turn.
        works: By size: its rows and length.
        turns: By size, then label: turns, round by round.
        loops: Turns of other libraries' loops.
    """

    folder: Path
    sizes: tuple[tuple[int, int, int], ...]
    epochs: int
    contenders: dict[tuple[int, int], dict[str, Callable[[], Turn]]] = field(default_factory=dict)
    works: dict[tuple[int, int], Work] = field(default_factory=dict)
    turns: dict[tuple[int, int], dict[str, list[Turn]]] = field(default_factory=dict)
    loops: dict[str, list[Turn]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for members, width, epochs in self.sizes:
            work = make_work(epochs, members, width)
            self.works[members, width] = work
            own: dict[str, Callable[[], Turn]] = {C_LOOP: self.c_loop(work)}
            for way, label in WAYS.items():
                if way == "vmap" or (members >= _FEWEST_LAST and width <= _WIDEST_LAST):
                    own[label] = engine_turns(work, way)
            self.contenders[members, width] = own

    def c_loop(self, work: Work) -> Callable[[], Turn]:
        """A turn of the C loop over some work."""
        job = self.folder / f"job-{work.members}-{work.width}-{work.epochs}.bin"
        write_work(work, job)
        return partial(limit_turn, compiled(self.folder, work.width), job, work)

    def once(self) -> None:
        """One turn of everybody at every size."""
        for size, own in self.contenders.items():
            for label, contender in own.items():
                turn = contender()
                self.turns.setdefault(size, {}).setdefault(label, []).append(turn)
                print(
                    f"{size[0]:5d} members, width {size[1]:3d}  {label:20s} {turn.microseconds:9.2f} µs",
                    flush=True,
                )
        for loop in LOOPS:
            try:
                turn = self.loop(loop)
            except NotAvailable as reason:
                self.missing[loop.label] = str(reason)
                continue
            self.loops.setdefault(loop.label, []).append(turn)
            print(f"{loop.label:42s} {turn.microseconds:9.2f} µs", flush=True)

    def loop(self, loop: Loop) -> Turn:
        """A turn of another library's loop."""
        arguments = (loop.contender, "--members", str(loop.members), "--epochs", str(self.epochs))
        python = prepared(loop.environment, ENVIRONMENTS)
        _, said = timed(python, [str(PROGRAM), *arguments], {"KERAS_BACKEND": loop.backend})
        self.versions |= said["versions"]
        return Turn(said["microseconds"], np.array(said["losses"]))

    def unequal(self) -> list[str]:
        """Who learned something else than the C loop (of squared errors: than Caviar), with the figures."""
        found = []
        for size, own in self.turns.items():
            work = self.works[size]
            reference = self.c_loop(
                make_work(work.epochs, max(_REFERENCE, work.members), work.width)
            )().losses
            found += [_off(f"{size}, {label}", turns[0].losses, reference) for label, turns in own.items()]
        work = make_work(self.epochs, _REFERENCE)
        references = {"mae": self.c_loop(work)().losses, "mse": engine_turns(work, "vmap", "mse")().losses}
        for loop in LOOPS:
            if loop.label in self.loops:
                found.append(_off(loop.label, self.loops[loop.label][0].losses, references[loop.loss]))
        return [sentence for sentence in found if sentence]


def _off(who: str, losses: np.ndarray, reference: np.ndarray) -> str:
    """A sentence if the mean of some losses is further from that of others than chance allows, else nothing."""
    mean = reference.mean()
    chance = reference.std(ddof=1) * np.sqrt(1 / len(losses) + 1 / len(reference))
    allowed = max(_SAME_LOSS * mean, _DEVIATIONS * chance)
    if abs(losses.mean() - mean) <= allowed:
        return ""
    return f"{who} ends at a mean loss of {losses.mean():.3f}, expected {mean:.3f} ± {allowed:.3f}"


def _column(turns: list[Turn]) -> np.ndarray:
    return np.array([turn.microseconds for turn in turns])


def page(race: Race, rounds: int, load: float) -> str:
    """Two tables: sizes, and loops of other libraries beside Caviar at the same number of members."""
    ways = [*(f"{way}, times C" for way in WAYS.values()), *(f"{way}, µs" for way in WAYS.values())]
    lines = [
        f"| members | width | {' | '.join(ways)} | C loop, µs |",
        f"| ---: | ---: |{' ---: |' * (len(ways) + 1)}",
    ]
    for (members, width), own in race.turns.items():
        times = {label: _column(turns) for label, turns in own.items()}
        limit = times[C_LOOP]
        ratios = [spread(times[w] / limit) if w in times else "" for w in WAYS.values()]
        micro = [spread(times[w]) if w in times else "" for w in WAYS.values()]
        lines.append(f"| {members:,} | {width} | {' | '.join([*ratios, *micro, spread(limit)])} |")
    lines += [
        "",
        f"| loop, width {HIDDEN} | times Caviar's fastest of this table | µs per member and step |",
        "| --- | ---: | ---: |",
    ]
    each = [
        np.min([_column(turns) for label, turns in own.items() if label != C_LOOP], axis=0)
        for (_, width), own in race.turns.items()
        if width == HIDDEN
    ]
    fastest = min(each, key=lambda own: float(np.median(own)))
    for loop in LOOPS:
        if loop.label in race.missing:
            lines.append(f"| {loop.label} | not available: {race.missing[loop.label]} | |")
            continue
        own = _column(race.loops[loop.label])
        lines.append(f"| {loop.label} | {spread(own / fastest[: len(own)])} | {spread(own)} |")
    installed = ", ".join(
        f"{n} {v}" for n, v in sorted((race.versions | {"scikit-learn": version("scikit-learn")}).items())
    )
    lengths = ", ".join(f"{members:,}-{width}: {epochs}" for members, width, epochs in race.sizes)
    where = f"{machine()}; load {load:.1f} before the start; {installed}."
    lines.append("")
    lines.append(
        f"Wall time of the whole machine ({cores()} processes in C) per member and step; medians of {rounds} rounds "
        f"[lowest – highest], all in turns. Epochs by members and width: {lengths}; other loops: {race.epochs}, the "
        f"first of them, which compiles, not timed. Long runs of Caviar choose the faster way by themselves."
    )
    lines.append(where)
    return "\n".join(lines)


def main() -> None:
    """Race, print, check, write."""
    parser = argparse.ArgumentParser(description="Time gradient steps against members and width.")
    parser.add_argument("--quick", action="store_true", help="few sizes and epochs, one round, printed only")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns (default: %(default)s)")
    asked = parser.parse_args()
    load = load_before()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder  # read when Caviar starts
        from caviar.population import devices

        devices.start()
        race = Race(Path(folder), QUICK if asked.quick else SIZES, 6 if asked.quick else 20)
        rounds = take_turns(race.once, 1 if asked.quick else asked.rounds, MINUTES)
        different = race.unequal()
    text = page(race, rounds, load)
    print(text)
    if different:
        raise SystemExit(f"Expected equal losses up to chance. {'; '.join(different)}.")
    if not asked.quick:
        write(text, "growth")


if __name__ == "__main__":
    main()
