"""How much faster is one `caviar.fit` than a loop of Keras' `fit` on a study of table_contenders.py?

Whole processes, imports included, in turns. What tables_cv.py and settings.py share: which parts of a loop are timed,
how the whole is worked out from them, and whether everybody reached the same losses.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from speed import ENVIRONMENTS, ROOT, NotAvailable, machine, prepared, timed
from table_contenders import STUDIES, Study, chosen, shortened
from tables import load_before, number, spread, take_turns, write

PROGRAM = Path(__file__).with_name("table_contenders.py")
COLD, WARM = "Caviar, cold", "Caviar, warm"
# Same seeds on the same backend: rounding only, which hundreds of epochs amplify. As a share of the loss, and absolute.
_SAME_SEED = (0.05, 0.01)
_STANDARD_ERRORS = 4


@dataclass(frozen=True)
class Loop:
    """A Keras loop and the part of it that is timed.

    Attributes:
        backend: Keras' backend.
        fits: How many fits; settings must come more than once, for later fits find programs of the first.
        epochs: How many epochs of each, two or more.
    """

    backend: str
    fits: int
    epochs: int

    @property
    def label(self) -> str:
        """What the table calls it."""
        name = {"jax": "JAX, compilation cache on", "tensorflow": "TensorFlow"}[self.backend]
        return f"Keras `fit` loop, {name}"

    @property
    def environment(self) -> str | None:
        """Where it runs: a key of `speed.REQUIREMENTS`, or None for this interpreter."""
        return None if self.backend == "jax" else self.backend


def whole(
    study: Study, timed_epochs: int, seconds: float, fits: Sequence[tuple[float, float, bool]]
) -> float:
    """Seconds of a loop over the whole study, from a process that made a few fits.

    Args:
        study: The whole.
        timed_epochs: Epochs of each fit that was made.
        seconds: Of the process.
        fits: Of each fit: seconds apart from epochs, seconds of an epoch, whether it was its setting's first.

    >>> study = STUDIES["mammography"]  # ten members, one kind, 300 epochs
    >>> whole(study, 20, 18.0, [(3.0, 0.25, True), (1.0, 0.25, False)])  # 4 to start
    766.0
    """
    apart, epoch, first = np.array(fits).T
    start = seconds - (apart + timed_epochs * epoch).sum()
    first = first.astype(bool)
    later = study.members - study.kinds
    return float(
        start
        + study.kinds * apart[first].mean()
        + later * apart[~first].mean()
        + study.members * study.epochs * epoch.mean()
    )


@dataclass
class Race:
    """One study by everybody.

    Attributes:
        name: Of the study.
        title: In words.
        loops: What Caviar is compared with.
        study: As it is run: with --quick shorter.
        settings: For the processes: how many of its settings, or None for all.
    """

    name: str
    title: str
    loops: tuple[Loop, ...]
    study: Study
    settings: int | None = None
    seconds: dict[str, list[float]] = field(default_factory=dict)
    said: dict[str, dict[str, Any]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def once(self) -> None:
        """One turn of everybody."""
        with tempfile.TemporaryDirectory() as cache:
            for label in (COLD, WARM):
                seconds, said = self._process(None, "caviar", self.study.epochs, {"XDG_CACHE_HOME": cache})
                self._keep(label, seconds, said)
        for loop in self.loops:
            if loop.label in self.missing:
                continue
            try:
                self._keep(loop.label, *self._loop(loop))
            except NotAvailable as reason:
                self.missing[loop.label] = str(reason)

    def _loop(self, loop: Loop) -> tuple[float, dict[str, Any]]:
        with tempfile.TemporaryDirectory() as cache:
            variables = {
                "KERAS_BACKEND": loop.backend,
                "TF_CPP_MIN_LOG_LEVEL": "2",
                "JAX_COMPILATION_CACHE_DIR": cache,
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            }
            more = ("--fits", str(loop.fits))
            seconds, said = self._process(loop.environment, "keras", loop.epochs, variables, more)
        return whole(self.study, loop.epochs, seconds, said["fits"]), said

    def _process(
        self,
        environment: str | None,
        contender: str,
        epochs: int,
        variables: dict[str, str],
        more: tuple[str, ...] = (),
    ) -> tuple[float, dict[str, Any]]:
        arguments = [str(PROGRAM), contender, self.name, "--epochs", str(epochs), *more]
        if self.settings is not None:
            arguments += ["--settings", str(self.settings)]
        python = Path(sys.executable) if environment is None else prepared(environment, ENVIRONMENTS)
        return timed(python, arguments, variables | {"PYTHONPATH": str(ROOT / "src")})

    def _keep(self, label: str, seconds: float, said: dict[str, Any]) -> None:
        self.seconds.setdefault(label, []).append(seconds)
        self.said[label] = said
        self.versions |= said["versions"]
        loss = np.mean(said["loss"])
        print(f"{self.title[:30]:30s} {label:45s} {seconds:9.1f} s  loss {loss:.4f}", flush=True)

    def compared(self) -> dict[str, tuple[int, np.ndarray, np.ndarray]]:
        """By loop: epochs, its losses (training and held-out, member), and Caviar's after as many epochs."""
        ours = {self.study.epochs: self.said[COLD]}
        found = {}
        for loop in self.loops:
            if loop.label not in self.said:
                continue
            epochs = loop.epochs
            if epochs not in ours:
                ours[epochs] = self._process(None, "caviar", epochs, {})[1]
            theirs = self.said[loop.label]
            both = [np.array([said["loss"], said["held_out"]]) for said in (theirs, ours[epochs])]
            found[loop.label] = (epochs, *both)
        return found

    def unequal(self, compared: dict[str, tuple[int, np.ndarray, np.ndarray]]) -> list[str]:
        """Loops whose losses are not Caviar's, with the figures."""
        found = []
        for loop in self.loops:
            if loop.label not in compared:
                continue
            _, theirs, ours = compared[loop.label]
            same = ours[:, chosen(self.study, loop.fits)]
            off = np.abs(theirs.mean(axis=1) - same.mean(axis=1))
            share, least = _SAME_SEED
            allowed = np.maximum(share * same.mean(axis=1), least)
            if loop.backend != "jax":  # other random numbers: equal up to chance
                each = ours.reshape(2, len(self.study.settings), -1)
                deviation = np.sqrt(each.var(axis=2, ddof=1).mean(axis=1))
                allowed = allowed + _STANDARD_ERRORS * deviation * np.sqrt(2 / theirs.shape[1])
            if not (off <= allowed).all():
                found.append(f"{self.title}, {loop.label}: off by {off.round(4)}, allowed {allowed.round(4)}")
        return found

    def lines(self, compared: dict[str, tuple[int, np.ndarray, np.ndarray]]) -> list[str]:
        """The study's table: ratios first."""
        study, said = self.study, self.said[COLD]
        what = f"{study.members:,} networks, {study.epochs} epochs, batches of {study.batch}"
        rows = [
            f"**{self.title}**: {what}; populations: {said['populations']}.",
            "",
            "| contender | times Caviar, cold | times Caviar, warm | seconds | | loss: its own / Caviar's |",
            "| --- | ---: | ---: | ---: | --- | --- |",
        ]
        cold, warm = (np.array(self.seconds[label]) for label in (COLD, WARM))
        for label in (COLD, WARM, *(loop.label for loop in self.loops)):
            if label not in self.seconds:
                rows.append(f"| {label} | | | not available: {self.missing[label]} | | |")
                continue
            own = np.array(self.seconds[label])
            how, losses = "measured", number(float(np.mean(self.said[label]["loss"])))
            for loop in self.loops:
                if loop.label == label:
                    epochs, theirs, ours = compared[label]
                    same = ours[:, chosen(study, loop.fits)].mean(axis=1)
                    how = f"scaled from {loop.fits} fits of {epochs} epochs"
                    fitted, held_out = (
                        f"{number(a)} / {number(b)}" for a, b in zip(theirs.mean(axis=1), same, strict=True)
                    )
                    losses = f"{fitted}, held out {held_out}"
            ratios = " | ".join(spread(own / ours) for ours in (cold[: len(own)], warm[: len(own)]))
            rows.append(f"| {label} | {ratios} | {spread(own)} | {how} | {losses} |")
        return [*rows, "", f"How Caviar spread members: {said['spread']}.", ""]


def race_all(races: Sequence[Race], mark: str, asked: argparse.Namespace) -> None:
    """Run the races in turns, print their tables, and write them unless asked to be quick.

    Raises:
        SystemExit: A loop trained something else than Caviar.
    """
    load, began = load_before(), time.monotonic()
    rounds = take_turns(
        lambda: [race.once() for race in races] and None, 1 if asked.quick else asked.rounds, asked.minutes
    )
    text, unequal, versions = [], [], {}
    for race in races:
        compared = race.compared()
        text += race.lines(compared)
        unequal += race.unequal(compared)
        versions |= race.versions
    installed = ", ".join(f"{name} {found}" for name, found in sorted(versions.items()))
    text.append(
        f"Whole processes, imports included; medians of {rounds} rounds [lowest – highest], in turns. *Cold*: an empty "
        f"compilation cache; *warm*: that of the cold one. Loops run an epoch per execution, and are scaled: each "
        f"loop's process times its start, what a fit takes apart from epochs (the first of its kind, later ones), and "
        f"epochs. Members of a loop are spread evenly over "
        f"the study; Caviar's loss beside it is of the same members after as many epochs. Held out: of the held-out "
        f"fold, or of the rows that are watched."
    )
    text.append(f"{machine()}; load {load:.1f} before the start; {installed}.")
    print("\n".join(text))
    print(f"Took {time.monotonic() - began:.0f} s.")
    if unequal:
        raise SystemExit(f"Expected the same losses from everybody. {'; '.join(unequal)}.")
    if not asked.quick:
        write("\n".join(text), mark)


def make_race(
    name: str, title: str, loops: tuple[Loop, ...], *, quick: bool, settings: int | None = None
) -> Race:
    """A race over a study, or so many of its settings; with quick over few settings, epochs and fits."""
    study = STUDIES[name]
    if not quick:
        return Race(name, title, loops, shortened(study, None, settings), settings)
    settings = min(3, len(study.settings))
    loops = tuple(replace(loop, fits=6, epochs=4) for loop in loops)
    return Race(name, title, loops, shortened(study, 4, settings), settings)


def options(description: str, minutes: float) -> argparse.ArgumentParser:
    """What the command line may say."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="few epochs, one round, printed only")
    parser.add_argument("--rounds", type=int, default=3, help="turns of everybody (default: %(default)s)")
    parser.add_argument(
        "--minutes",
        type=float,
        default=minutes,
        help="start no further round that would end later (default: %(default)s)",
    )
    return parser
