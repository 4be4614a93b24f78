"""Run a lesson of the course, or all of them: train, judge every claim, write it down."""

import hashlib
import inspect
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import caviar.evaluate.claims
import caviar.evaluate.intervals
import caviar.teaching.contract
import caviar.teaching.found
import caviar.teaching.rows
import caviar.teaching.seen
import caviar.teaching.taught
import caviar.teaching.timing
from caviar.course.beside import run_beside
from caviar.course.edited import find_lesson
from caviar.data.load import load
from caviar.errors import OptionError
from caviar.lessons.table import LESSONS, SECONDS
from caviar.pace import Pace
from caviar.population import devices
from caviar.population.template import sketch
from caviar.progress import Clock, Voice
from caviar.recipe.builder import call_with
from caviar.report.lesson import COURSE, lesson_page, write_course, write_lesson_page
from caviar.run.lesson import LessonRecord, read_lesson, write_lesson
from caviar.teaching.contract import Data, Lesson, Variant
from caviar.teaching.found import make_record
from caviar.teaching.own_rows import on_own_rows, own_rows
from caviar.teaching.seen import Seen
from caviar.teaching.taught import fit_seconds, teach

SEEDS = 30
"""Seeds of every variant."""

QUICK_SEEDS, QUICK_SHARE = 3, 0.1
"""A quick look: so many seeds, and this share of the epochs."""

FOLDER = Path("lessons")

JUDGES = (
    caviar.evaluate.claims,
    caviar.evaluate.intervals,
    caviar.teaching.contract,
    caviar.teaching.found,
    caviar.teaching.rows,
    caviar.teaching.seen,
    caviar.teaching.taught,
    caviar.teaching.timing,
)
"""Modules that make verdicts of trainings: where one of them was changed, a lesson that was kept is run again."""

PACKAGES = ("caviar", "keras", "jax")
"""Packages whose other versions may train or judge otherwise."""


@dataclass(frozen=True, eq=False)
class Taught:
    """A lesson that was run.

    Attributes:
        record: Its claims with their verdicts, scores, curves and questions.
        path: Folder with `lesson.json` and `report.html`.
        is_kept: Whether it was found there, and nothing was trained.
    """

    record: LessonRecord
    path: Path
    is_kept: bool = False

    def __repr__(self) -> str:
        return f"<caviar lesson {self.record.name}: {'; '.join(c.verdict for c in self.record.claims)}; {self.path}>"

    def _repr_html_(self) -> str:
        return lesson_page(self.record, is_inside=True)


def lesson(
    name: str,
    *,
    seeds: int | None = None,
    quick: bool = False,
    data: object = None,
    target: str | int | Sequence[str | int] | None = None,
    header: bool | None = None,
    sep: str | None = None,
    drop: Sequence[str | int] = (),
    task: str | None = None,
    data_dir: str | Path | None = None,
    out: str | Path = FOLDER,
    fresh: bool = False,
    quiet: bool = False,
) -> Taught:
    """Train a lesson's variants side by side, and say of each of its claims whether it holds.

    What a folder already holds of the same lesson, seeds and rows is not trained again.

    Args:
        name: A lesson's name, or a file that holds `LESSON` (`caviar lesson NAME --edit` copies one).
        seeds: Seeds of every variant; 30 if not given.
        quick: Three seeds and a tenth of the epochs, for a look at it.
        data: A table of your own in the place of the lesson's: CSV or Parquet file, frame, or `(X, y)`.
        target: The column to predict.
        header: Whether a CSV file's first line names the columns; detected if not given.
        sep: A CSV file's separator; detected if not given.
        drop: Columns that are not inputs.
        task: What the target is, where inference is wrong.
        data_dir: Folder with the public tables, where there is no network.
        out: Gets a folder of the lesson's name with `lesson.json` and `report.html`.
        fresh: Train again in any case.
        quiet: Show nothing.

    Raises:
        OptionError: There is no such lesson, or an option does not fit.
        DataError: A table cannot be read or fetched.
        ModelError: A changed lesson's model cannot be built or trained.
        RunError: The folder cannot be read or written.

    Example:
        >>> import caviar
        >>> taught = caviar.lesson("batch-size", quick=True)  # doctest: +SKIP
        >>> [(claim.says, claim.verdict) for claim in taught.record.claims]  # doctest: +SKIP
    """
    devices.start()
    one, text = find_lesson(name)
    reading = {"target": target, "header": header, "sep": sep, "drop": drop, "task": task}
    place = None if data_dir is None else Path(data_dir)
    rows = None if one.data is None else one.data(place)
    own = data is not None
    if own:
        if rows is None:
            raise OptionError(f"Expected a lesson with rows, but “{one.title}” has none. Leave --data out.")
        rows = own_rows(rows, load(data, **reading))  # type: ignore[arg-type]
        one, rows = on_own_rows(one, rows)
    elif any(value not in (None, ()) for value in reading.values()):
        raise OptionError(
            "Expected options of a table together with --data, got them alone. Name your table."
        )
    number = _seeds(one, seeds, quick=quick)
    share = QUICK_SHARE if quick else 1.0
    folder = Path(out) / one.name
    key = _key(text, number, share, rows)
    kept = None if fresh else read_lesson(folder)
    is_kept = kept is not None and kept.key == key
    if kept is not None and is_kept:
        record = kept
    else:
        voice = Voice(quiet=quiet)
        record = _run(one, rows, number, share, place, key, voice, is_own=own)
        write_lesson(folder, record)
    write_lesson_page(folder, record)
    return Taught(record, folder, is_kept)


def course(
    *,
    seeds: int | None = None,
    quick: bool = False,
    data_dir: str | Path | None = None,
    out: str | Path = FOLDER,
    fresh: bool = False,
    quiet: bool = False,
) -> tuple[list[LessonRecord], Path]:
    """Run all lessons, and write one page; lessons that a stopped call has finished are not run again.

    Those whose trainings are timed run first, one after the other; the rest beside each other, each on its share of
    cores, and while one of these measures seconds the others stand still.

    Args:
        seeds: As for a lesson.
        quick: As for a lesson.
        data_dir: As for a lesson.
        out: Gets a folder per lesson and `course.html`.
        fresh: As for a lesson.
        quiet: Show nothing.

    Returns:
        What all lessons found, and where the page is.
    """
    voice, over = Voice(quiet=quiet), list[str]()
    titles = {one.name: one.title for one in LESSONS}

    def told(name: str) -> None:
        over.append(name)
        voice.note(f"{len(over)} of {len(LESSONS)}: {titles[name]}")

    place = None if data_dir is None else str(data_dir)
    asked = {"seeds": seeds, "quick": quick, "data_dir": place, "out": str(out), "fresh": fresh}
    for one in LESSONS:
        if one.times:
            lesson(one.name, **asked, quiet=quiet)  # type: ignore[arg-type]
            told(one.name)
    others = sorted((one.name for one in LESSONS if not one.times), key=lambda name: -SECONDS.get(name, 0))
    run_beside(others, asked, told)
    records = [record for name in titles if (record := read_lesson(Path(out) / name)) is not None]
    write_course(Path(out), records)
    return records, Path(out) / COURSE


def _seeds(one: Lesson, seeds: int | None, *, quick: bool) -> int:
    number = seeds if seeds is not None else QUICK_SEEDS if quick else SEEDS
    if isinstance(number, bool) or not isinstance(number, int) or number < one.fewest:
        raise OptionError(f"Expected {one.fewest} seeds or more, got {number!r}. Pass --seeds 30.")
    return number


def _key(text: str, seeds: int, share: float, rows: Data | None) -> str:
    """What a lesson's record was made of: another text, other rows, judges or versions make another record."""
    versions = " ".join(map(version, PACKAGES))
    found = hashlib.sha256(f"{text}\n{seeds} {share} {versions}".encode())
    for module in JUDGES:
        found.update(inspect.getsource(module).encode())
    for values in (
        () if rows is None else (rows.x, rows.y, *(part for split in rows.splits for part in split))
    ):
        found.update(np.ascontiguousarray(values).data)
    return found.hexdigest()


def _run(
    one: Lesson,
    rows: Data | None,
    seeds: int,
    share: float,
    data_dir: Path | None,
    key: str,
    voice: Voice,
    *,
    is_own: bool,
) -> LessonRecord:
    began = time.monotonic()
    monitor = Pace(voice, Clock(None), one.title)
    seen = teach(one, rows, list(range(1, seeds + 1)), data_dir, monitor, share=share)
    seconds = time.monotonic() - began
    alone = (
        None if share != 1 or rows is None or not one.variants else _loop_seconds(one.variants, rows, seen)
    )
    return make_record(one, seen, key=key, is_own=is_own, share=share, seconds=seconds, fit_seconds=alone)


def _loop_seconds(variants: Sequence[Variant], rows: Data, seen: Seen) -> float:
    """What a loop of Keras' own `fit` would take for the lesson's variants alone, test rows not looked at.

    What a lesson trains beside them is not counted. Extrapolated: for each batch size, preparation, choice of rows and
    structure one model is compiled and a few of its epochs are timed.
    """
    measured: dict[Any, np.ndarray] = {}
    total = 0.0
    for variant in variants:
        kept = (variant.batch_size, variant.rows, variant.prepare, _structure(variant, rows))
        if kept not in measured:
            measured[kept] = fit_seconds(variant, rows, 3)
        first, each = measured[kept][0], float(np.median(measured[kept][1:]))
        training = seen.trainings[variant.name]
        epochs = float(np.nansum(~np.isnan(training.logs["loss"])))
        members = sum(map(len, training.members))
        total += members * max(0.0, first - each) + epochs * each
    return total


def _structure(variant: Variant, rows: Data) -> tuple[object, ...]:
    """What an epoch's time hangs on: optimizer, loss, layers in order, and the shapes of their weights."""
    width = rows.x.shape[1]
    if variant.prepare is not None:
        width = variant.prepare().fit(rows.x).transform(rows.x[:1]).shape[1]
    model = sketch(lambda: call_with(variant.build, width, rows.outputs))
    layers = [(type(layer), *(tuple(weight.shape) for weight in layer.weights)) for layer in model.layers]
    return (type(model.optimizer), str(model.loss), *layers)
