"""`caviar.tune`: search a builder's settings with cross-validation, in bounded time, and hand over the best."""

import hashlib
import importlib.metadata
import json
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from caviar.data.dataset import Dataset
from caviar.data.load import load
from caviar.data.split import Split, make_splits
from caviar.errors import CaviarError, OptionError
from caviar.evaluate.estimate import Estimate
from caviar.evaluate.metrics import Metric, default_metric, find_metric
from caviar.evaluate.wording import digits, interval
from caviar.given import deciding_metric, make_recipe, read_arrays
from caviar.measure import Bench, fit_all
from caviar.model.finished import FinishedModel
from caviar.population import devices
from caviar.population.template import sketch
from caviar.progress import Clock, Voice
from caviar.recipe.builder import Builder, call_with, load_builder
from caviar.recipe.hyperparameters import HyperParameters
from caviar.recipe.recipe import Recipe
from caviar.recipe.settled import Searched
from caviar.recipe.table_space import searched_table
from caviar.report.search import write_search
from caviar.run.folder import make_run_folder
from caviar.run.study import SearchRecord, StudyFolder, TrialLine
from caviar.table import check_numbers, keras_speaks_plainly, read_recipe
from caviar.tune.importance import importances
from caviar.tune.space import Space
from caviar.tune.table import Method, search_named
from caviar.tuning import Study, Winner, complete, conclude, front, outcome, run, space_of

FOLDS, TRIALS = 5, 64


@dataclass(frozen=True, eq=False)
class Tuned:
    """What a search came to.

    Attributes:
        best: The recipe of the best trial.
        record: All that may be said of it, as `result.json` in the folder holds it.
        path: Folder that holds all trials, their predictions and curves.
        lines: All trials.
    """

    best: Recipe
    record: SearchRecord
    path: Path
    lines: list[TrialLine]
    _study: Study

    def __repr__(self) -> str:
        return f"{self.record.sentence}\n{self.path}"

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The settings of the best trial, by name."""
        return dict(self.record.settings)

    @property
    def score(self) -> Estimate:
        """Score of the best trial with its interval, corrected for having been chosen among so many."""
        return self.record.score

    @property
    def naive_score(self) -> float:
        """The same as it looks: the mean over its folds."""
        return self.record.naive_score

    @property
    def ties(self) -> list[int]:
        """Numbers of the trials that cannot be told from the best one."""
        return self.record.ties

    @property
    def front(self) -> list[int]:
        """Of several objectives: numbers of the trials that no other one beats in all of them."""
        return self.record.front

    @cached_property
    def trials(self) -> Any:  # noqa: ANN401 - a polars frame
        """All trials as a polars frame: number, settings, scores, seconds, and why a trial failed."""
        import polars as pl

        names = [metric.name for metric in self._study.objectives]
        rows = [
            {
                "number": line.number,
                **{name: line.settings.get(name) for name in self._study.space.names},
                **dict(zip(names, line.score, strict=True)),
                "seconds": line.seconds,
                "why": line.why,
            }
            for line in self.lines
        ]
        return pl.DataFrame(rows, infer_schema_length=None, strict=False)

    @property
    def space(self) -> Space:
        """What was searched."""
        return self._study.space

    @property
    def best_lines(self) -> list[TrialLine]:
        """The trials that have a score, best first."""
        sign = -1 if self.record.higher_is_better else 1
        return sorted(complete(self.lines), key=lambda line: (sign * line.score[0], line.number))

    def model(self, trial: int | None = None, seed: int = 0) -> FinishedModel:
        """A trial's recipe trained on all rows, but for those that validated: they stay for judging it.

        Args:
            trial: Its number; the best one if not given.
            seed: Where its seeds start.

        Returns:
            The network with its preparation: `models` are ordinary Keras models, `predict_features(x)` predicts.
        """
        recipe = self.best
        if trial is not None:
            line = next((line for line in self.lines if line.number == trial), None)
            if line is None:
                raise OptionError(
                    f"Expected the number of a trial, 0 to {len(self.lines) - 1}, got {trial}. Give one."
                )
            recipe = self._study.recipe(line)
        prepared, fitting, _, models = fit_all(self._rows, recipe, seed)
        return FinishedModel(models, prepared, fitting.link, self._rows.schema)

    @property
    def _rows(self) -> Dataset:
        bench = self._study.bench
        return bench.dataset if len(bench.splits) > 1 else bench.dataset.of(bench.splits[0].train)


def tune(
    build: str | Builder | Any,  # noqa: ANN401 - or a HyperModel
    x: Any,  # noqa: ANN401
    y: Any,  # noqa: ANN401
    *,
    trials: int = TRIALS,
    search: str = "random",
    folds: int = FOLDS,
    repeats: int = 1,
    minutes: float | None = None,
    objective: str | Sequence[str] | None = None,
    batch_size: Any = 32,  # noqa: ANN401 - or a function of hp
    epochs: Any = 10,  # noqa: ANN401 - or a function of hp
    callbacks: Any = (),  # noqa: ANN401 - or a function of hp
    preparation: Any = None,  # noqa: ANN401 - or a function of hp
    balanced: Any = False,  # noqa: ANN401 - or a function of hp
    start: Sequence[dict[str, Any]] = (),
    validation_data: tuple[Any, ...] | None = None,
    validation_split: float = 0.0,
    sample_weight: Any = None,  # noqa: ANN401
    task: str | None = None,
    seed: int = 0,
    folder: str | Path | None = None,
    verbose: int = 1,
) -> Tuned:
    """Search a builder's settings with cross-validation; trials that differ only in numbers train as one population.

    A builder written for KerasTuner works as it is: it takes `hp` and asks for what is to be set; a `HyperModel` does
    too. Batch size, epochs, callbacks, preparation and class weights may be functions of `hp` as well. The settings of
    which nobody chose anything, the builder's defaults, are the first trial: what the winner is compared with.

    Callbacks that watch `val_…` look at 20 % of a fold's training rows, never at the rows that are scored.

    Args:
        build: A builder (or `"file.py:function"`) that takes `hp`, and `n_inputs` and `n_outputs` if it likes.
        x: Inputs (row, column).
        y: Target, as `fit` would get it: (row,) or (row, column).
        trials: How many settings are tried at most.
        search: "random", "grid", "quasi", "coarse", "tpe", "gp", "cma" or "nsga".
        folds: Folds of the cross-validation.
        repeats: Repeats of it.
        minutes: Bound on the time; none if not given.
        objective: The score that decides, with or without `val_`: "val_loss" (log-loss, RMSE or MAE), "val_accuracy",
            "val_auc" …; several for a front of trials that no other one beats in all of them.
        batch_size: As in `fit`, or a function of `hp`.
        epochs: As in `fit`, or a function of `hp`.
        callbacks: As in `fit`, or a function of `hp`.
        preparation: How inputs are scaled: "none", "standard", "robust", "quantile" or "power", or a function of `hp`.
        balanced: Whether classes count the same in training, or a function of `hp`.
        start: Settings that won elsewhere: the first trials.
        validation_data: `(x, y)` as in `fit`: trials are trained on all rows and scored on these alone, not on folds.
        validation_split: Share of the rows, from the end as in `fit`, that trials are scored on in place of folds.
        sample_weight: Weight of each row (row,).
        task: "classification" or "regression", where the target's numbers could be taken for the other.
        seed: Where all seeds start.
        folder: Where trials are kept; a folder that holds this very search is gone on with. `runs/tune-<time>` if not
            given.
        verbose: 0 for silence.

    Returns:
        The best recipe and what may be said of it; `model()` trains it.

    Raises:
        CaviarError: One sentence on what was expected, what was seen, and what to do.

    Example:
        >>> found = caviar.tune(build, x, y, trials=256, epochs=50)  # doctest: +SKIP
        >>> found.hyperparameters, found.score.value, found.naive_score  # doctest: +SKIP
    """
    check_numbers(
        {"folds": folds, "repeats": repeats, "minutes": minutes, "seed": seed, "trials": trials}, trials=1
    )
    clock, voice = Clock(minutes), Voice(quiet=not verbose)
    devices.start()
    builder = load_builder(build) if isinstance(build, str) else build
    if not callable(getattr(builder, "build", builder)):
        raise OptionError(
            f"Expected a function that returns a compiled model, or a HyperModel, got {type(builder).__name__}. "
            f"Pass a builder."
        )
    x, y, watched = _with_validation(x, y, validation_data, validation_split)
    if watched and (repeats != 1 or sample_weight is not None):
        raise OptionError(
            "Expected neither repeats nor sample_weight beside validation rows, which are scored once and count the "
            "same. Leave one of them out."
        )
    dataset, _ = read_arrays(x, y, task, sample_weight)
    searched = Searched(builder, batch_size, epochs, callbacks, preparation, balanced)
    with keras_speaks_plainly(), clock.listening():
        inputs = dataset.features.shape[1]
        space = space_of(searched, inputs, dataset.n_outputs)
        first = make_recipe(
            lambda n_inputs, n_outputs: _default(searched, n_inputs, n_outputs),
            dataset,
            name="trial-0",
            batch_size=1,
            epochs=1,
            callbacks=(),
        )
        metrics = _objectives(objective, dataset, first)
        splits = make_splits(dataset, folds, repeats, seed)
        if watched:
            rows = np.arange(dataset.n_rows, dtype=np.int32)
            splits = [Split(0, 0, rows[:-watched], rows[-watched:])]
        bench = Bench(dataset, splits, metrics[0], metrics[1:], seed)
        method = _method(search, len(metrics))
        where = StudyFolder(_folder(folder, "tune"))
        study = Study(searched, first, bench, space, where, clock, voice)
        return _searched(study, method, trials, start)


def _with_validation(
    x: Any,  # noqa: ANN401
    y: Any,  # noqa: ANN401
    data: tuple[Any, ...] | None,
    share: float,
) -> tuple[Any, Any, int]:
    """All rows, those that are scored last, and how many these are; none where there are folds."""
    if data is None:
        if not 0 <= share < 1:
            raise OptionError(
                f"Expected validation_split from 0 up to 1, got {share}. Give a share, such as 0.2."
            )
        return x, y, len(x) - int(len(x) * (1 - share)) if share else 0
    if not isinstance(data, (tuple, list)) or len(data) != 2 or np.shape(data[0])[1:] != np.shape(x)[1:]:
        raise OptionError(
            "Expected validation_data as (x, y) with the columns of x, got something else. Pass such arrays."
        )
    return np.concatenate([x, data[0]]), np.concatenate([y, data[1]]), len(data[0])


def _default(searched: Searched, n_inputs: int, n_outputs: int) -> Any:  # noqa: ANN401
    return call_with(searched.build, n_inputs, n_outputs, HyperParameters())


def tune_table(
    source: object,
    target: str | int | Sequence[str | int] | None = None,
    *,
    model: str | Builder | None = None,
    trials: int = TRIALS,
    search: str = "random",
    folds: int = FOLDS,
    repeats: int = 1,
    minutes: float | None = None,
    metric: str | Sequence[str] | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    start: Sequence[dict[str, Any]] = (),
    seed: int = 0,
    out: str | Path | None = None,
    quiet: bool = False,
    began: float | None = None,
    **reading: Any,  # noqa: ANN401
) -> Tuned:
    """The same for a table: what the command `caviar tune` does.

    Args:
        source: CSV or Parquet file, pandas or polars frame, `(X, y)` arrays, or `"sample:breast-cancer"`.
        target: Column to predict, by name or position; several of them for multi-output regression.
        model: A builder that takes `hp`, or `"file.py:function"`; the table network and its space if not given.
        trials: How many settings are tried at most.
        search: As in `tune`.
        folds: Folds of the cross-validation.
        repeats: Repeats of it.
        minutes: Bound on the time; none if not given.
        metric: The score that decides; log-loss or MAE if not given. Several for a front.
        epochs: Passes over the training rows.
        batch_size: Rows per gradient step; refused where the space asks for it.
        start: Settings that won elsewhere: the first trials.
        seed: Where all seeds start.
        out: Folder of the search; one that holds this very search is gone on with.
        quiet: Print nothing.
        began: What `time.monotonic()` said when the command began; now if not given.
        reading: How the table is read: task, header, sep, drop, group, time, weight, as in `improve`.

    Raises:
        CaviarError: One sentence on what was expected, what was seen, and what to do.
    """
    began = time.monotonic() if began is None else began
    given = {"folds": folds, "repeats": repeats, "minutes": minutes, "seed": seed, "trials": trials}
    check_numbers({**given, "epochs": epochs, "batch_size": batch_size}, trials=1)
    clock, voice = Clock(minutes, began), Voice(quiet=quiet)
    dataset = load(source, target, **reading)
    metrics = [
        find_metric(name, dataset.task) for name in ([metric] if isinstance(metric, str) else metric or [])
    ]
    metrics = metrics or [default_metric(dataset.task)]
    with keras_speaks_plainly(), clock.listening():
        absolute = metrics[0].name == "mae"
        base = read_recipe(dataset, model, epochs, batch_size, absolute=absolute)
        if model is None:
            if batch_size is not None:
                raise OptionError(
                    "Expected --batch-size only with a --model of your own, because it is among the settings that are "
                    "searched. Leave it out."
                )
            searched = searched_table(base, absolute=absolute)
        else:
            searched = Searched(base.builder, base.batch_size, base.epochs)
        bench = Bench(
            dataset, make_splits(dataset, folds, repeats, seed), metrics[0], tuple(metrics[1:]), seed
        )
        space = space_of(searched, bench.inputs(base.preparation).shape[2], dataset.n_outputs)
        method = _method(search, len(metrics))
        where = StudyFolder(_folder(out, f"{dataset.name}-tune"))
        return _searched(Study(searched, base, bench, space, where, clock, voice), method, trials, start)


def _objectives(wanted: str | Sequence[str] | None, dataset: Dataset, recipe: Recipe) -> tuple[Metric, ...]:
    names = [wanted] if isinstance(wanted, str) or wanted is None else list(wanted)
    if not names:
        raise OptionError("Expected one objective or more, got none. Name one, such as 'val_loss'.")
    plain = [None if name in {None, "val_loss", "loss"} else str(name).removeprefix("val_") for name in names]
    model = sketch(recipe.build(dataset.features.shape[1], dataset.n_outputs))
    return tuple(deciding_metric(model, dataset, name) for name in plain)


def _method(search: str, objectives: int) -> Method:
    method = search_named(search)
    if objectives > 1 and not method.many_objectives:
        raise OptionError(
            f"Expected one objective for {search!r}, which looks at one score, got {objectives}. "
            f"Take tpe or nsga, or one objective."
        )
    return method


def _folder(wanted: str | Path | None, name: str) -> Path:
    """A new folder, or the one of a search that is gone on with."""
    if wanted is not None and StudyFolder(Path(wanted).expanduser()).plan() is not None:
        return Path(wanted).expanduser()
    return make_run_folder(name, wanted).path


def _searched(study: Study, method: Method, trials: int, start: Sequence[dict[str, Any]]) -> Tuned:
    more = {"objectives": len(study.objectives)} if method.many_objectives else {}
    first = [study.space.default(), *start]

    def begin() -> Any:  # noqa: ANN401
        return method.make(study.space, trials, study.bench.seed, first, **more)

    try:
        going, plan = begin(), _plan(study, method.name, trials, first)
    except CaviarError:
        with suppress(OSError):  # it holds a search already
            study.folder.path.rmdir()
        raise
    before = study.folder.plan()
    if before is None:
        study.folder.begin(plan)
        lines: list[TrialLine] = []
    else:
        _require_same(study.space, before, plan)
        lines = study.folder.lines()
        going = begin().replay([outcome(study, line) for line in lines])
        study.voice.say(f"  {len(lines)} trials are finished already.")
    try:
        lines = run(study, going, lines)
    except KeyboardInterrupt:
        study.voice.say(f"  Stopped. With {study.folder.path} as its folder, the same search goes on.")
        raise
    winner = conclude(study, lines)
    record = _recorded(study, method.name, winner, lines)
    study.folder.finish(record)
    write_search(study.folder.path, record, lines, study.space)
    return Tuned(study.recipe(winner.line), record, study.folder.path, lines, study)


def _plan(study: Study, search: str, trials: int, start: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What makes a search the same search, as JSON knows it."""
    data, bench = study.bench.dataset, study.bench
    print_of = hashlib.sha256()
    for values in (data.features, data.target, *(split.held_out for split in bench.splits)):
        print_of.update(np.ascontiguousarray(values).data)
    return {
        "search": search,
        "trials": trials,
        "seed": bench.seed,
        "objectives": [metric.name for metric in study.objectives],
        "start": [dict(one) for one in start],
        "rows": data.n_rows,
        "data": print_of.hexdigest(),
        "model": _told(study),
        "space": study.space.describe(),
    }


def _told(study: Study) -> str:
    """What tells one builder and its fit arguments from others, as far as their defaults go."""
    recipe = study.searched.recipe(study.base, study.space.default(), "default", study.n_inputs)
    model = sketch(recipe.build(study.n_inputs, study.bench.dataset.n_outputs))
    try:
        layers = json.dumps([model.get_config(), model.get_compile_config()], default=str)
    except NotImplementedError:  # a subclassed model knows no configuration
        layers = type(model).__name__
    callbacks = [(type(one).__name__, sorted(map(str, vars(one)))) for one in recipe.callbacks]
    arguments = (recipe.batch_size, recipe.epochs, callbacks, recipe.preparation, recipe.class_weights)
    plain = re.sub(r"_\d+|0x[0-9a-f]+", "", f"{layers} {arguments}")  # numbers that Keras gives to names
    return hashlib.sha256(plain.encode()).hexdigest()


def _require_same(space: Space, before: dict[str, Any], now: dict[str, Any]) -> None:
    space.require_same(before["space"])
    for name, what in (
        ("search", "search"),
        ("trials", "number of trials"),
        ("seed", "seed"),
        ("objectives", "objective"),
        ("start", "settings to start from"),
        ("data", "rows and folds"),
        ("model", "builder and fit arguments"),
    ):
        if before.get(name) != now[name]:
            shown = "" if name in {"data", "model"} else f" ({before.get(name)}, not {now[name]})"
            raise OptionError(
                f"Expected the {what} with which the search in this folder began{shown}, got others. "
                f"Search in a new folder, or with what it began with."
            )


def in_words(study: Study, winner: Winner, lines: Sequence[TrialLine]) -> str:
    """The outcome in a few sentences.

    Args:
        study: What was searched.
        winner: The best trial.
        lines: All trials.
    """
    title = study.bench.metric.title
    best = (
        f"Trial {winner.line.number} of {len(lines)} has the best {title}: {digits(winner.naive)} as it looks"
    )
    said = [
        f"{best}, {digits(winner.score.value)} corrected for having been chosen ({interval(winner.score)})."
    ]
    if winner.ties:
        said.append(f"{len(winner.ties)} other trials cannot be told from it.")
    if winner.gain is not None:
        sure = winner.gain.low > 0
        said.append(
            f"It is {'better' if sure else 'not shown to be better'} than the builder's defaults: by "
            f"{digits(winner.gain.value)} in {title}, corrected for the choice ({interval(winner.gain)})."
        )
    elif winner.comparison is None:
        said.append("These are the builder's defaults: no other settings were better.")
    failed = sum(bool(line.why) for line in lines)
    if failed:
        said.append(f"{failed} trials failed.")
    return " ".join(said)


def _recorded(study: Study, search: str, winner: Winner, lines: Sequence[TrialLine]) -> SearchRecord:
    metric, (repeats, folds) = study.bench.metric, study.bench.shape
    several = len(study.objectives) > 1
    return SearchRecord(
        created=time.strftime("%Y-%m-%d %H:%M:%S"),
        seconds=study.clock.spent(),
        versions={"caviar": importlib.metadata.version("caviar")},
        search=search,
        objectives=[one.name for one in study.objectives],
        metric=metric.title,
        higher_is_better=metric.higher_is_better,
        folds=folds,
        repeats=repeats,
        best=winner.line.number,
        settings=winner.line.settings,
        naive_score=winner.naive,
        score=winner.score,
        gain=winner.gain,
        ties=winner.ties,
        front=[line.number for line in front(study, lines)] if several else [],
        importance=importances([outcome(study, line) for line in lines], study.space),
        trials=len(lines),
        failed=sum(bool(line.why) for line in lines),
        sentence=in_words(study, winner, lines),
        messages=list(study.voice.said),
    )
