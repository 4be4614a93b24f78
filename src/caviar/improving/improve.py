"""The one loop: look → measure → diagnose → treat → finish → report."""

import importlib.metadata
import os
import platform
import time as clock
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from caviar.data.dataset import Dataset
from caviar.data.load import load, load_test
from caviar.data.split import make_splits
from caviar.evaluate.metrics import Metric
from caviar.improving.finish import Kept
from caviar.improving.work import Work
from caviar.measuring.measure import Bench
from caviar.measuring.table import (
    TABLE_OPTIONS,
    check_numbers,
    find_metrics,
    keras_speaks_plainly,
    read_recipe,
    try_fitting,
)
from caviar.model.finished import can_be_kept
from caviar.planning.plan import Plan, first_plan
from caviar.progress import Clock, Voice
from caviar.recipe.builder import Builder
from caviar.results import Run
from caviar.run.call import files, written
from caviar.run.folder import RunFolder, make_run_folder
from caviar.run.record import MetricRecord, Record


def improve(
    source: object,
    target: str | int | Sequence[str | int] | None = None,
    *,
    model: str | Builder | None = None,
    task: str | None = None,
    header: bool | None = None,
    sep: str | None = None,
    drop: Sequence[str | int] = (),
    group: str | int | None = None,
    time: str | int | None = None,
    weight: str | int | None = None,
    test: object | None = None,
    metric: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    folds: int | None = None,
    repeats: int | None = None,
    rope: float | None = None,
    minutes: float | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    quiet: bool = False,
    began: float | None = None,
) -> Run:
    """Look at a table, measure a model on it, find what is wrong, prove what helps, and hand over the result.

    Args:
        source: CSV or Parquet file, pandas or polars frame, `(X, y)` arrays, or `"sample:breast-cancer"`.
        target: Column to predict, by name or position; several of them for multi-output regression.
        model: A builder (or `"file.py:function"`) that takes nothing, `hp`, or `n_inputs, n_outputs` and
            returns a compiled Keras model. Without one, Caviar builds a table network and scales its inputs.
        task: `"binary"`, `"multiclass"` or `"regression"` where inference is wrong.
        header: Whether a CSV file's first line names the columns; detected if not given.
        sep: A CSV file's separator; detected if not given.
        drop: Columns that are not inputs.
        group: Column of groups that must stay in one fold.
        time: Column whose order splits must respect.
        weight: Column of row weights, for the loss and the score.
        test: Rows kept apart, scored once at the end.
        metric: The score that decides; log-loss or MAE if not given.
        epochs: Passes over the training rows.
        batch_size: Rows per gradient step.
        folds: Folds of the cross-validation; 10 if not given.
        repeats: Repeats of it; 3 if not given, fewer when `minutes` demands it.
        rope: Smallest difference that counts, in the metric's unit; 2 % of the way from no-skill to the best
            reference row if not given.
        minutes: Bound on the whole command.
        seed: Where all seeds start.
        out: Folder of the run; `runs/<table>-<time>` if not given.
        quiet: Print nothing.
        began: What `time.monotonic()` said when the command began, if `minutes` is to include what came before
            this call; now if not given.

    Returns:
        The run: its record, model and report.

    Raises:
        CaviarError: One sentence on what was expected, what was seen, and what to do.
        KeyboardInterrupt: After what was learned so far has been saved and reported.

    Example:
        >>> import caviar
        >>> run = caviar.improve("sample:breast-cancer", minutes=10)  # doctest: +SKIP
        >>> run.predict("new_rows.csv")  # doctest: +SKIP
    """
    given = {k: v for k, v in locals().items() if v is not None and k not in ("quiet", "began")}
    return carry_out(given, quiet=quiet, began=clock.monotonic() if began is None else began)


def carry_out(
    given: Mapping[str, Any], *, quiet: bool, began: float, unfinished: RunFolder | None = None
) -> Run:
    """Do what `improve` was asked to do.

    Args:
        given: Its arguments, without those that were left out.
        quiet: Print nothing.
        began: What `time.monotonic()` said when the command began.
        unfinished: The folder of an earlier attempt to go on with.
    """
    check_numbers(given)
    limit, voice, seed = Clock(given.get("minutes"), began), Voice(quiet=quiet), given.get("seed", 0)
    dataset = load(given["source"], given.get("target"), **{k: given[k] for k in TABLE_OPTIONS if k in given})
    kept = Kept(*load_test(given["test"], dataset.schema)) if "test" in given else None
    deciding, others = find_metrics(dataset, given.get("metric"))
    recipe = read_recipe(
        dataset,
        given.get("model"),
        given.get("epochs"),
        given.get("batch_size"),
        absolute=deciding.name == "mae",
    )
    plan = first_plan(dataset, given.get("folds"), given.get("repeats"))
    with keras_speaks_plainly():
        bench = _bench(dataset, plan, deciding, others, seed)
        loading = can_be_kept(try_fitting(bench, recipe))
        folder = unfinished or make_run_folder(dataset.name, given.get("out"))
        if unfinished is None:
            folder.notes.put("arguments", written(given))
            folder.notes.put("files", files(given))
        work = Work(
            *(folder, _new_record(_options(given), deciding, others), dataset, kept, limit, voice, seed),
            resumed=unfinished is not None,
        )
        work.look(recipe, bench)
        if loading:
            voice.note(loading)
        try:
            with limit.listening():
                work.measure(recipe, bench, plan, epochs_given="epochs" in given)
                work.diagnose(given.get("rope"))
                work.treat()
                work.finish()
        except KeyboardInterrupt:
            work.interrupted()
            raise
        except Exception:
            work.broken_off()
            raise
        work.done()
    return Run(folder.path, work.record)


def _options(given: Mapping[str, Any]) -> dict[str, str]:
    """What was given, for the record."""
    return {k: _shown(v) for k, v in given.items() if not (isinstance(v, (tuple, list)) and not v)}


def _shown(value: object) -> str:
    """An option's value for the record: names and numbers, never the data themselves."""
    if isinstance(value, (str, int, float, Path)):
        return str(value)
    if isinstance(value, (list, tuple)) and all(isinstance(v, (str, int)) for v in value):
        return ", ".join(map(str, value))
    return getattr(value, "__qualname__", type(value).__name__)


def _bench(dataset: Dataset, plan: Plan, metric: Metric, others: Sequence[Metric], seed: int) -> Bench:
    return Bench(dataset, make_splits(dataset, plan.folds, plan.repeats, seed), metric, others, seed)


def _new_record(options: dict[str, str], metric: Metric, others: Sequence[Metric]) -> Record:
    names = ("keras", "jax", "scikit-learn", "numpy")
    versions = {"caviar": importlib.metadata.version("caviar"), "python": platform.python_version()}
    versions |= {name: importlib.metadata.version(name) for name in names}
    return Record(
        created=clock.strftime("%Y-%m-%d %H:%M:%S"),
        options=options,
        versions=versions,
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        metric=MetricRecord(
            name=metric.name,
            title=metric.title,
            higher_is_better=metric.higher_is_better,
            others=[m.name for m in others],
        ),
    )
