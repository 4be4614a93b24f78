"""`caviar.tune`: search a builder's settings with cross-validation, in bounded time, and hand over the best."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from caviar.data.dataset import Dataset
from caviar.data.load import load
from caviar.errors import OptionError
from caviar.estimate import Estimate
from caviar.evaluate.metrics import Metric, default_metric, find_metric
from caviar.measuring.given import make_recipe, read_arrays, score_of_loss
from caviar.measuring.measure import Bench
from caviar.measuring.table import check_numbers, keras_speaks_plainly, name_of
from caviar.measuring.whole import fit_all
from caviar.model.finished import FinishedModel, finished_model
from caviar.population import devices
from caviar.population.template import sketch
from caviar.progress import Clock, Voice
from caviar.recipe.builder import Builder, call_with, read_searched
from caviar.recipe.callbacks import read_callbacks
from caviar.recipe.hypermodel import ROWS
from caviar.recipe.hyperparameters import HyperParameters
from caviar.recipe.recipe import Recipe
from caviar.recipe.settled import FIT_ARGUMENTS, Searched
from caviar.recipe.table_space import OWN_RATE, RATES
from caviar.run.folder import make_run_folder
from caviar.run.study import SearchRecord, StudyFolder, TrialLine, complete
from caviar.searching.folder import method_of, search_in_folder
from caviar.searching.of_table import searched_of_table
from caviar.searching.rate_range import read_rate_range
from caviar.searching.rows import searched_rows
from caviar.searching.trials import Study, space_of
from caviar.tune.space import Space
from caviar.tune.table import Method

FOLDS, TRIALS = 5, 64
_CALL = (
    *("source", "target", "model", "trials", "search", "folds", "repeats", "minutes", "metric", "epochs"),
    *("batch_size", "rates", "seed", "storage"),
)
"""Arguments of `tune_table` with which a search goes on; those that say how the table is read come on top."""


@dataclass(frozen=True, eq=False)
class Tuned:
    """What a search came to.

    Attributes:
        best: The recipe of the best trial; its `hyperparameters` are the settings.
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
        return dict(self.best.hyperparameters)

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
        return finished_model(fit_all(self._rows, recipe, seed), self._rows.schema)

    @property
    def _rows(self) -> Dataset:
        bench = self._study.bench
        return bench.dataset if bench.shape[1] > 1 else bench.dataset.of(bench.splits[0].train)


def tune(
    build: str | Builder | Any,  # noqa: ANN401 - or a HyperModel
    x: Any,  # noqa: ANN401
    y: Any,  # noqa: ANN401
    *,
    trials: int | None = TRIALS,
    search: str = "random",
    folds: int = FOLDS,
    repeats: int = 1,
    minutes: float | None = None,
    objective: str | Sequence[str] | None = None,
    batch_size: Any = 32,  # noqa: ANN401 - or a function of hp
    epochs: Any = 10,  # noqa: ANN401 - or a function of hp
    callbacks: Any = (),  # noqa: ANN401 - or a function of hp
    shuffle: Any = True,  # noqa: ANN401 - or a function of hp
    class_weight: Any = None,  # noqa: ANN401 - or a function of hp
    preparation: Any = None,  # noqa: ANN401 - or a function of hp
    balanced: Any = False,  # noqa: ANN401 - or a function of hp
    start: Any = (),  # noqa: ANN401 - see caviar.searching.starting
    options: Mapping[str, Any] = MappingProxyType({}),
    validation_data: tuple[Any, ...] | None = None,
    validation_split: float = 0.0,
    sample_weight: Any = None,  # noqa: ANN401
    task: str | None = None,
    seed: int = 0,
    folder: str | Path | None = None,
    storage: str | Path | None = None,
    verbose: int = 1,
) -> Tuned:
    """Search a builder's settings with cross-validation; trials that differ only in numbers train as one population.

    A builder written for KerasTuner works as it is: it takes `hp` and asks for what is to be set; a `HyperModel` does
    too. Batch size, epochs, callbacks, shuffling, preparation and class weights may be functions of `hp` as well. The
    settings of which nobody chose anything, the builder's defaults, are the first trial: what the winner is compared
    with.

    Callbacks that watch `val_…` look at 20 % of a fold's training rows, never at the rows that are scored. Where
    validation rows are given, callbacks of your own find such logs, too.

    Args:
        build: A builder that takes `hp`, and `n_inputs` and `n_outputs` if it likes, a `HyperModel`, or
            `"file.py:name"` of one or of a `HyperModel`'s class.
        x: Inputs (row, column), or of more axes, such as images (row, height, width, channel).
        y: Target, as `fit` would get it: (row,) or (row, column).
        trials: How many settings are tried at most; None for a whole grid, with ten values of a number without steps.
        search: "random", "grid", "quasi", "coarse", "tpe", "gp", "cma" or "nsga". Or in parts, of which the best go
            on: "halving" and "hyperband" over epochs, "halving-folds" and "hyperband-folds" over folds, and "pbt"
            (population-based training); these keep a fifth of the rows apart, on which the winner is judged.
        folds: Folds of the cross-validation.
        repeats: Repeats of it; beside validation rows, trainings of each trial, of which the mean counts.
        minutes: Bound on the time; none if not given.
        objective: The score that decides, with or without `val_`: "val_loss" (log-loss, Brier score, RMSE or MAE,
            whichever is the model's loss; for any other loss, one of them, and that is said), "val_accuracy",
            "val_auc" …, or as Keras calls it; several for a front of trials that no other one beats in all of them.
        batch_size: As in `fit`, or a function of `hp`.
        epochs: As in `fit`, or a function of `hp`.
        callbacks: As in `fit`, or a function of `hp`. Those that only write files, such as `ModelCheckpoint`, are left
            out, and that is said.
        shuffle: Whether each epoch takes the rows in a new order, as in `fit`, or a function of `hp`.
        class_weight: What a training row counts by its class, as in `fit`, or a function of `hp`.
        preparation: How inputs are scaled: "none", "standard", "robust", "quantile" or "power", or a function of `hp`.
        balanced: Whether classes count the same in training, or a function of `hp`.
        start: Settings that won elsewhere, the first trials: one or several of a dict of settings, what a search,
            `caviar improve` or a treatment returned, the folder of one, a recipe, or KerasTuner's `HyperParameters`.
            What the builder does not ask for is named, and left out.
        options: Further arguments of the search, such as `{"eta": 4}` for "halving".
        validation_data: `(x, y)` or `(x, y, sample_weight)` as in `fit`: trials are trained on all rows and scored on
            these alone, not on folds.
        validation_split: Share of the rows, from the end as in `fit`, that trials are scored on in place of folds.
        sample_weight: Weight of each row (row,).
        task: "classification" or "regression", where the target's numbers could be taken for the other.
        seed: Where all seeds start.
        folder: Where trials are kept; a folder that holds this very search is gone on with. `runs/tune-<time>` if not
            given.
        storage: File, or database URL, to which trials are copied after each generation as a study of Optuna's, named
            like the folder: `optuna-dashboard` opens it. "tpe", "gp", "cma" and "nsga" copy to `optuna.log` in the
            folder if not given.
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
    _require_given(folds=folds, repeats=repeats, seed=seed)
    clock, voice = Clock(minutes), Voice(quiet=not verbose)
    callbacks = callbacks if callable(callbacks) else read_callbacks(callbacks)
    devices.start()
    builder, validation_split = read_searched(build), validation_split or 0.0
    given_rows = (validation_data is not None, bool(validation_split), sample_weight is not None)
    x, y, sample_weight, watched = _with_validation(x, y, sample_weight, validation_data, validation_split)
    dataset, _ = read_arrays(x, y, task, sample_weight)
    searched = Searched(
        builder,
        batch_size,
        epochs,
        callbacks,
        preparation,
        balanced,
        shuffle,
        class_weight,
        tuple(name for name, is_given in zip(ROWS, given_rows, strict=True) if is_given),
    )
    with keras_speaks_plainly(), clock.listening():
        inputs = dataset.features.shape[1]
        space = space_of(searched, inputs, dataset.n_outputs, voice.note)
        first = make_recipe(
            lambda n_inputs, n_outputs: _default(searched, n_inputs, n_outputs),
            dataset,
            name="trial-0",
            batch_size=1,
            epochs=1,
            callbacks=(),
        )
        metrics = _objectives(objective, dataset, first, voice)
        method = method_of(search, len(metrics), options)
        splits, apart = searched_rows(
            dataset, folds, repeats, seed, watched=watched, keep_apart=bool(method.parts)
        )
        bench = Bench(dataset, splits, metrics[0], metrics[1:], seed)
        where = StudyFolder(_folder(folder, "tune"))
        study = Study(searched, first, bench, space, where, clock, voice, apart)
        fit = {name: getattr(searched, name) for name in FIT_ARGUMENTS}
        arrays = {
            "schema": dataset.schema.model_dump(mode="json"),
            "fingerprint": dataset.fingerprint,
            "model": build if isinstance(build, str) else name_of(build),
            # What Python alone knows is to be given again; that there was something is noted.
            "fit": {name: value for name, value in fit.items() if _is_plain(value)},
            "given": [name for name, value in fit.items() if not _is_plain(value)],
            "rows": list(searched.rows),
        }
        found = search_in_folder(study, method, trials, start, options, storage, data={"arrays": arrays})
        return Tuned(*found, study)


def _is_plain(value: Any) -> bool:  # noqa: ANN401
    """Whether a fit argument can be written down as it is."""
    return value is None or isinstance(value, bool | int | str) or (isinstance(value, tuple) and not value)


def _require_given(**numbers: int) -> None:
    for name, value in numbers.items():
        if value is None:
            raise OptionError(
                f"Expected {name} to be a whole number, got None. Leave it out for the default."
            )


def _with_validation(
    x: Any,  # noqa: ANN401
    y: Any,  # noqa: ANN401
    weight: Any,  # noqa: ANN401
    data: tuple[Any, ...] | None,
    share: float,
) -> tuple[Any, Any, Any, int]:
    """All rows and their weights, those that are scored last, and how many these are; none where there are folds."""
    if data is None:
        if not 0 <= share < 1:
            raise OptionError(
                f"Expected validation_split from 0 up to 1, got {share}. Give a share, such as 0.2."
            )
        return x, y, weight, len(x) - int(len(x) * (1 - share)) if share else 0
    is_rows = isinstance(data, (tuple, list)) and len(data) in {2, 3}
    if not is_rows or np.shape(data[0])[1:] != np.shape(x)[1:]:
        raise OptionError(
            "Expected validation_data as (x, y) or (x, y, sample_weight), with the columns of x, got something else. "
            "Pass such arrays."
        )
    for name, rows, values in (("", x, y), ("validation_data: ", *data[:2])):
        if len(rows) != len(values):
            raise OptionError(
                f"Expected {name}y with one entry, or one row, for each of the {len(rows):,} rows of x, got "
                f"{len(values):,}. Pass both for the same rows."
            )
    weights = [weight, data[2] if len(data) == 3 else None]
    if any(one is not None for one in weights):
        lengths = (len(x), len(data[0]))
        weights = [np.ones(n) if one is None else one for n, one in zip(lengths, weights, strict=True)]
        weight = np.concatenate(weights)
    return np.concatenate([x, data[0]]), np.concatenate([y, data[1]]), weight, len(data[0])


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
    rates: Any = None,  # noqa: ANN401 - see caviar.searching.rate_range
    start: Any = (),  # noqa: ANN401 - see caviar.searching.starting
    options: Mapping[str, Any] = MappingProxyType({}),
    seed: int = 0,
    out: str | Path | None = None,
    storage: str | Path | None = None,
    quiet: bool = False,
    began: float | None = None,
    **reading: Any,  # noqa: ANN401
) -> Tuned:
    """The same for a table: what the command `caviar tune` does.

    Args:
        source: CSV or Parquet file, pandas or polars frame, `(X, y)` arrays, or `"sample:breast-cancer"`.
        target: Column to predict, by name or position; several of them for multi-output regression.
        model: A builder that takes `hp`, a `HyperModel`, or `"file.py:name"` of one or of a `HyperModel`'s class; the
            table network and its space if not given.
        trials: How many settings are tried at most.
        search: As in `tune`.
        folds: Folds of the cross-validation.
        repeats: Repeats of it.
        minutes: Bound on the time; none if not given.
        metric: The score that decides; log-loss or MAE if not given. Several for a front.
        epochs: Passes over the training rows; refused where the builder asks for `epochs`: then these count.
        batch_size: Rows per gradient step; refused where the space or the builder asks for `batch_size`, likewise.
        rates: Between which learning rates the space for tables searches: what `caviar.lr_range` returned, the folder
            of `caviar lr-range`, or lowest and highest. Refused beside a builder, which asks for its rate itself.
        start: Settings that won elsewhere, as in `tune`: the first trials.
        options: Further arguments of the search.
        seed: Where all seeds start.
        out: Folder of the search; one that holds this very search is gone on with.
        storage: As in `tune`.
        quiet: Print nothing.
        began: What `time.monotonic()` said when the command began; now if not given.
        reading: How the table is read: task, header, sep, drop, group, time, weight, as in `improve`.

    Raises:
        CaviarError: One sentence on what was expected, what was seen, and what to do.
    """
    call = {k: v for k, v in {**locals(), **reading}.items() if k in (*_CALL, *reading) and v is not None}
    if rates is not None:
        rates = read_rate_range(rates)
        call["rates"] = f"{rates[0]!r},{rates[1]!r}"  # it may be gone on with when the folder is gone
    if storage is not None and "://" not in str(storage):
        call["storage"] = storage = Path(storage).expanduser().resolve()
    began = time.monotonic() if began is None else began
    given = {"folds": folds, "repeats": repeats, "minutes": minutes, "seed": seed, "trials": trials}
    check_numbers({**given, "epochs": epochs, "batch_size": batch_size}, trials=1)
    clock, voice = Clock(minutes, began), Voice(quiet=quiet)
    with keras_speaks_plainly(), clock.listening():
        study, method = study_of_table(
            source,
            target,
            model=model,
            search=search,
            folds=folds,
            repeats=repeats,
            metric=metric,
            epochs=epochs,
            batch_size=batch_size,
            rates=rates,
            options=options,
            seed=seed,
            reading=reading,
            clock=clock,
            voice=voice,
            folder=lambda name: StudyFolder(_folder(out, name)),
        )
        data = study.bench.dataset
        table = {
            "schema": data.schema.model_dump(mode="json"),
            "source": str(source) if isinstance(source, str | Path) else type(source).__name__,
            "fingerprint": data.fingerprint,
            "model": None if model is None else name_of(model),
            "epochs": study.base.epochs,
            "batch_size": study.base.batch_size,
        }
        return Tuned(
            *search_in_folder(study, method, trials, start, options, storage, call, {"table": table}), study
        )


def study_of_table(
    source: object,
    target: str | int | Sequence[str | int] | None,
    *,
    model: str | Builder | None,
    search: str,
    folds: int,
    repeats: int,
    metric: str | Sequence[str] | None,
    epochs: int | None,
    batch_size: int | None,
    rates: Any,  # noqa: ANN401 - see caviar.searching.rate_range
    options: Mapping[str, Any],
    seed: int,
    reading: Mapping[str, Any],
    clock: Clock,
    voice: Voice,
    folder: Callable[[str], StudyFolder],
) -> tuple[Study, Method]:
    """What `tune_table` searches, and how; `folder` finds the study's folder, by a name for a new one.

    Raises:
        CaviarError: Table, builder and search do not go together.
    """
    between = RATES if rates is None else read_rate_range(rates)
    dataset = load(source, target, **reading)
    wanted = [metric] if isinstance(metric, str) else metric or []
    metrics = _each_once(
        [find_metric(name, dataset.task) for name in wanted] or [default_metric(dataset.task)]
    )
    absolute = metrics[0].name == "mae"
    if model is None:
        if batch_size is not None:
            raise OptionError(
                "Expected a batch size only with a model of your own, because it is among the settings that are "
                "searched. Leave it out."
            )
        if not between[0] <= OWN_RATE <= between[1]:
            voice.note(
                f"The table network's own learning rate, {OWN_RATE:g}, is not among those searched: the first trial, "
                f"with which the best is compared, has the nearest."
            )
    elif rates is not None:
        raise OptionError(
            "Expected rates only without a model of your own, which asks hp for its rate itself. Leave it out, and "
            "write the two rates into its question."
        )
    searched, base = searched_of_table(dataset, model, epochs, batch_size, absolute=absolute, rates=between)
    method = method_of(search, len(metrics), options)
    splits, apart = searched_rows(dataset, folds, repeats, seed, keep_apart=bool(method.parts))
    bench = Bench(dataset, splits, metrics[0], metrics[1:], seed)
    space = space_of(searched, bench.inputs(base.preparation).shape[2], dataset.n_outputs, voice.note)
    if model is not None:
        for name, value in {"batch_size": batch_size, "epochs": epochs}.items():
            if value is not None and name in space.names:
                raise OptionError(
                    f"Expected no {name.replace('_', ' ')} beside a builder that asks hp for {name} itself, got "
                    f"{value}. Leave it out."
                )
    where = folder(f"{dataset.name}-tune")
    return Study(searched, base, bench, space, where, clock, voice, apart), method


def search_options(said: Sequence[str]) -> dict[str, Any]:
    """Options of a search as they are written on the command line.

    >>> search_options(["eta=4", "least=0.25", "explored=rate,l2"])
    {'eta': 4, 'least': 0.25, 'explored': ('rate', 'l2')}

    Args:
        said: Each as name=number, or name=name,name.

    Raises:
        OptionError: One is not written so.
    """
    options: dict[str, Any] = {}
    for one in said:
        name, equals, value = (part.strip() for part in one.partition("="))
        try:
            number = float(value)
        except ValueError:
            number = None
        if not (name and equals and value) or not (number is None or np.isfinite(number)):
            raise OptionError(f"Expected an option as name=number, got {one!r}. Write eta=4.")
        if number is None:
            options[name] = tuple(value.split(","))
        else:
            options[name] = int(number) if number.is_integer() else number
    return options


def _objectives(
    wanted: str | Sequence[str] | None, dataset: Dataset, recipe: Recipe, voice: Voice
) -> tuple[Metric, ...]:
    names = [wanted] if isinstance(wanted, str) or wanted is None else wanted
    if not isinstance(names, Sequence) or not all(one is None or isinstance(one, str) for one in names):
        raise OptionError(
            f"Expected an objective's name or a list of names, got {wanted!r}. Name one, such as 'val_loss'."
        )
    if not names:
        raise OptionError("Expected one objective or more, got none. Name one, such as 'val_loss'.")
    plain = [None if name in {None, "val_loss", "loss"} else str(name).removeprefix("val_") for name in names]
    model = sketch(recipe.build(dataset.features.shape[1], dataset.n_outputs))
    own, loss = score_of_loss(model, dataset)
    if loss and None in plain:
        voice.note(
            f"The model's own loss, {loss}, is none of the scores that trials are ranked by: it is {own.title} in its "
            f"place. Name another one as objective."
        )
    return _each_once([own if name is None else find_metric(name, dataset.task) for name in plain])


def _each_once(metrics: Sequence[Metric]) -> tuple[Metric, ...]:
    """Objectives, of which two that are the same are refused."""
    names = [metric.name for metric in metrics]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise OptionError(f"Expected different objectives, got {twice} twice. Name each of them once.")
    return tuple(metrics)


def _folder(wanted: str | Path | None, name: str) -> Path:
    """A new folder, or the one of a search that is gone on with."""
    if wanted is not None and StudyFolder(Path(wanted).expanduser()).plan() is not None:
        return Path(wanted).expanduser()
    return make_run_folder(name, wanted).path
