"""`Model.fit` for a whole population: many seeds, folds and recipes at once, on arrays as they are."""

import inspect
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

from caviar import recorders
from caviar.errors import ModelError, OptionError
from caviar.history import History, make_history
from caviar.pace import Pace
from caviar.population import devices
from caviar.population.callbacks import not_in_program
from caviar.population.job import Job, Monitor, Seat, Trained
from caviar.population.keep import Keep
from caviar.population.together import train_together
from caviar.population.train import train
from caviar.progress import Clock, Voice
from caviar.rows import Rows, class_weights, labels, read

_LARGEST_SEED = 2**32 - 1
# Whole numbers with so few values are classes, and folds keep their shares.
_MOST_CLASSES = 20
_CHANGES = ("build", "batch_size", "epochs", "callbacks", "class_weight", "shuffle")


def fit(
    build: Callable[..., keras.Model],
    x: Any,  # noqa: ANN401 - an array, or a dict or list of arrays
    y: Any = None,  # noqa: ANN401
    *,
    seeds: int | Sequence[int] = 1,
    folds: Any = None,  # noqa: ANN401 - an integer or a splitter
    repeats: int = 1,
    recipes: Mapping[str, Mapping[str, Any]] | None = None,
    held_out: Literal["end", "epoch"] = "end",
    engine: Literal["auto", "population", "loop"] = "auto",
    folder: str | Path | None = None,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: int | str = "auto",
    callbacks: Sequence[keras.callbacks.Callback] | None = None,
    validation_split: float = 0.0,
    validation_data: Any = None,  # noqa: ANN401
    shuffle: bool = True,
    class_weight: Mapping[int, float] | None = None,
    sample_weight: Any = None,  # noqa: ANN401
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    validation_batch_size: int | None = None,
    validation_freq: int | Sequence[int] = 1,
) -> History:
    """Train many members of a model at once; each is what `fit` alone would have made of it.

    A member with seed s computes what `keras.utils.set_random_seed(s); build().fit(...)` computes: the same
    first weights, the same order of rows in every epoch, the same dropout masks, equal to about 1e-7 per step
    (exactly so where shapes agree). Members whose numbers of rows differ in more than two ways share one
    compiled step, which adds up in another order: equal to rounding, which an optimizer such as Adam may
    amplify in weights that do not matter (a bias before batch normalization). Seeds that the builder fixes
    itself stay fixed; `attrs["fixed"]` names those variables.

    Args:
        build: Returns a compiled model. It may take keyword arguments, which `recipes` can give.
        x: Inputs (row, …) of any rank, or a dict or list of such arrays for several inputs.
        y: Targets (row, …), or a dict or list for several outputs.
        seeds: How many seeds (0, 1, 2 …), or a list of them.
        folds: A number of folds, or a scikit-learn splitter; every fold is held out once. Classes (whole
            numbers of at most 20 values) keep their shares.
        repeats: How often a number of folds is drawn anew.
        recipes: Name → changes: `build`, `batch_size`, `epochs`, `callbacks`, `class_weight`, `shuffle`, or
            keyword arguments of the builder. Recipes whose models differ only in numbers, such as rates,
            train as one program.
        held_out: Whether held-out folds are scored at the end, or after every epoch too (`held_out_` in the
            logs).
        engine: `"population"` trains all members as one program, `"loop"` one model after the other with
            Keras' own `fit`, `"auto"` the first where that is possible.
        folder: Where the state of all members is kept while they train, every twenty seconds at an epoch's end.
            The same call after a crash goes on from there and ends with the numbers of an undisturbed one.
        batch_size: As in `fit`; 32 if not given.
        epochs: As in `fit`.
        verbose: 0 for silence; otherwise a progress bar where there is a terminal.
        callbacks: `EarlyStopping`, `ReduceLROnPlateau`, `LearningRateScheduler`, `TerminateOnNaN` and
            `ModelCheckpoint` run inside the program, for each member by itself and in silence; any other with
            `engine="loop"`. Files of `ModelCheckpoint`, `CSVLogger` and `TensorBoard` (scalars and graph; with
            `caviar[tensorboard]`) are written once all members have trained; each member has its own, whose name
            (TensorBoard: folder) tells what varies, as in `best-recipe=wide-fold=2-seed=7.keras`; a single member
            keeps the given name. A path with placeholders is written for the last best epoch only.
        validation_split: Last share of the (fold's) training rows that is watched instead of trained on.
        validation_data: `(x, y)` or `(x, y, sample_weight)` to watch.
        shuffle: Whether every epoch takes the rows in a new order.
        class_weight: Weight of each class in training.
        sample_weight: Weight of each row (row,).
        initial_epoch: Epochs that count as done.
        steps_per_epoch: Refused: an epoch of a population is all rows.
        validation_steps: Refused, likewise.
        validation_batch_size: As in `fit`.
        validation_freq: After every how many epochs rows are watched, or after which epochs, counted from 1; logs
            are NaN after the others, and no time is spent there.

    Returns:
        The logs on named axes, the scores of held-out folds, and the trained members.

    Raises:
        ModelError: The builder fails, or its model does not fit the arrays.
        OptionError: An argument cannot be carried out; the message says which and what to do.
        RunError: The folder holds another training, or cannot be written.

    Example:
        >>> import caviar, keras, numpy as np
        >>> def build():
        ...     model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        ...     model.compile("sgd", "mse")
        ...     return model
        >>> x, y = np.ones((20, 3)), np.ones((20, 1))
        >>> history = caviar.fit(build, x, y, seeds=4, folds=5, epochs=2, verbose=0)
        >>> history.history["loss"].shape
        (20, 2)
    """
    devices.start()
    _refuse(steps_per_epoch, validation_steps, engine, held_out)
    frequency = _frequency(validation_freq)
    given = {
        "build": build,
        "batch_size": batch_size,
        "epochs": epochs,
        "callbacks": callbacks,
        "class_weight": class_weight,
        "shuffle": shuffle,
    }
    if recipes is not None and not isinstance(recipes, Mapping):
        raise OptionError(
            f"Expected recipes to be a dict of name and changes, got {type(recipes).__name__}. Write "
            f"{{'as it is': {{}}, 'small batches': {{'batch_size': 8}}}}."
        )
    every = {name: _settings(given, name, changes) for name, changes in (recipes or {"": {}}).items()}
    weighs_classes = any(settings["class_weight"] for settings in every.values())
    rows = read(x, y, sample_weight, validation_data, any_class_weight=weighs_classes)
    splits, split = _splits(rows, folds, repeats)
    voice = Voice(quiet=verbose in (0, "0"))
    began = time.monotonic()
    jobs = []
    for settings in every.values():
        seats = list(_seats(splits, _seeds(seeds), rows, validation_split))
        jobs.append(
            _job(
                settings,
                rows,
                seats,
                validation_batch_size,
                initial_epoch,
                held_out,
                frequency,
                scored=folds is not None,
            )
        )
    jobs = recorders.placed(list(every), jobs)
    keep = None if folder is None else Keep(Path(folder))
    trained, populations = _train(jobs, engine, Pace(voice, Clock(None), "population"), keep)
    history = make_history(
        list(zip(every, jobs, trained, strict=True)), populations, time.monotonic() - began, split
    )
    if engine != "loop":
        recorders.write(history, jobs, trained, [job.callbacks for job in jobs])
    if history.attrs["engine"] == "loop" and engine == "auto":
        voice.note(f"Members were trained one at a time, because {history.attrs['why']}.")
    return history


def _refuse(
    steps_per_epoch: int | None,
    validation_steps: int | None,
    engine: str,
    held_out: str,
) -> None:
    for name, value in (("steps_per_epoch", steps_per_epoch), ("validation_steps", validation_steps)):
        if value is not None:
            raise OptionError(
                f"Expected {name} to be left out, because an epoch of a population is all of its rows, got "
                f"{value}. Choose batch_size and epochs instead."
            )
    if engine not in ("auto", "population", "loop"):
        raise OptionError(
            f"Expected engine to be 'auto', 'population' or 'loop', got {engine!r}. Choose one."
        )
    if held_out not in ("end", "epoch"):
        raise OptionError(f"Expected held_out to be 'end' or 'epoch', got {held_out!r}. Choose one.")


def _frequency(given: Any) -> int | tuple[int, ...]:  # noqa: ANN401
    single = not isinstance(given, list | tuple)
    epochs = (given,) if single else tuple(given)
    if not epochs or not all(_is_whole(epoch) and epoch >= 1 for epoch in epochs):
        raise OptionError(
            f"Expected validation_freq to be a number of epochs of at least 1, or a list of epochs, got {given!r}. "
            f"Write 5 for every fifth epoch, or [1, 10] for two of them."
        )
    return int(given) if single else tuple(int(epoch) for epoch in epochs)


def _settings(given: Mapping[str, Any], name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What one recipe is trained with; what `fit` does not know goes to the builder."""
    if not isinstance(changes, Mapping):
        raise OptionError(
            f"Expected recipe {name!r} to be a dict of changes, got {type(changes).__name__}. Write "
            f"{{{name!r}: {{'batch_size': 16}}}}."
        )
    settings = {**given, **{key: value for key, value in changes.items() if key in _CHANGES}}
    extra = {key: value for key, value in changes.items() if key not in _CHANGES}
    build = settings["build"]
    if not callable(build):
        raise OptionError(
            f"Expected build to be a function, got {type(build).__name__}. Pass the function itself."
        )
    taken = inspect.signature(build).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in taken.values())
    for key in extra:
        if key not in taken and not takes_all:
            raise OptionError(
                f"Expected changes of recipe {name!r} to be among {', '.join(_CHANGES)} or arguments of the "
                f"builder ({', '.join(taken) or 'it has none'}), got {key!r}. Give the builder that argument."
            )
    settings["build"] = partial(build, **extra) if extra else build
    return settings


def _seeds(seeds: int | Sequence[int]) -> list[int]:
    try:
        wanted = list(range(int(seeds)) if isinstance(seeds, Integral) else seeds)  # type: ignore[arg-type]
        found = [int(seed) for seed in wanted]
    except (TypeError, ValueError):
        wanted, found = [], []
    if (
        not found
        or found != wanted
        or not 0 <= min(found) <= max(found) <= _LARGEST_SEED
        or len(set(found)) < len(found)
    ):
        raise OptionError(
            f"Expected seeds to be a number of seeds of at least 1, or different whole numbers from 0 to "
            f"{_LARGEST_SEED:,}, got {seeds!r}. Write seeds=10, or seeds=[3, 5, 8]."
        )
    return found


def _splits(
    rows: Rows,
    folds: Any,  # noqa: ANN401 - an integer or a splitter
    repeats: int,
) -> tuple[list[tuple[int, int, np.ndarray, np.ndarray]], str]:
    """(repeat, fold, rows to train on, held-out rows), and how they were drawn."""
    every = np.arange(rows.count)
    if repeats < 1 or (repeats > 1 and not isinstance(folds, Integral)):
        raise OptionError(
            f"Expected repeats to be at least 1, and more only with a number of folds, got {repeats}. Give "
            f"folds=10, or a splitter that repeats by itself."
        )
    if folds is None:
        return [(0, 0, every, every[:0])], "all rows"
    target = labels(rows)
    if not isinstance(folds, Integral):
        try:
            pairs = list(folds.split(every, target))
        except (AttributeError, TypeError, ValueError) as error:
            raise OptionError(
                f"Expected folds to be a number or a scikit-learn splitter that needs only rows and targets, got "
                f"{type(folds).__name__}, which failed: {error} Pass a number of folds."
            ) from error
        return [(0, i, np.asarray(a), np.asarray(b)) for i, (a, b) in enumerate(pairs)], type(folds).__name__
    count = int(folds)
    if not 2 <= count <= rows.count:
        raise OptionError(
            f"Expected folds to be from 2 to the number of rows ({rows.count}), got {folds}. Choose another number."
        )
    counts = [0] if target is None else list(Counter(target.tolist()).values())
    kind = StratifiedKFold if len(counts) <= _MOST_CLASSES and min(counts) >= count else KFold
    return [
        (repeat, i, a, b)
        for repeat in range(repeats)
        for i, (a, b) in enumerate(kind(count, shuffle=True, random_state=repeat).split(every, target))
    ], kind.__name__


def _seats(
    splits: Sequence[tuple[int, int, np.ndarray, np.ndarray]],
    seeds: Sequence[int],
    rows: Rows,
    validation_split: Any,  # noqa: ANN401 - a number, if the caller is right
) -> Iterator[Seat]:
    if not isinstance(validation_split, float | int | np.number) or not 0 <= validation_split < 1:
        raise OptionError(
            f"Expected validation_split to be from 0 to less than 1, got {validation_split}. Write 0.2 for the "
            f"last fifth."
        )
    for repeat, fold, fit_rows, scored in splits:
        watch = rows.validation
        if not len(watch) and validation_split:
            at = math.floor(len(fit_rows) * (1 - validation_split))
            if not 0 < at < len(fit_rows):
                raise OptionError(
                    f"Expected validation_split to leave rows on both sides, got {validation_split} of "
                    f"{len(fit_rows)} rows. Choose another share."
                )
            fit_rows, watch = fit_rows[:at], fit_rows[at:]  # noqa: PLW2901
        lists = [part.astype(np.int32) for part in (fit_rows, watch, scored)]
        for seed in seeds:
            yield Seat(repeat, fold, seed, 0, lists[0], lists[1], lists[2])


def _job(
    settings: Mapping[str, Any],
    rows: Rows,
    seats: list[Seat],
    validation_batch_size: int | None,
    initial_epoch: int,
    held_out: str,
    validation_freq: int | tuple[int, ...],
    *,
    scored: bool,
) -> Job:
    size = 32 if settings["batch_size"] is None else settings["batch_size"]
    for name, value, least in (
        ("batch_size", size, 1),
        ("epochs", settings["epochs"], 1),
        ("initial_epoch", initial_epoch, 0),
        ("validation_batch_size", validation_batch_size or 1, 1),
    ):
        if not _is_whole(value) or value < least:
            raise OptionError(
                f"Expected {name} to be a whole number of at least {least}, got {value}. Raise it."
            )
    if settings["epochs"] <= initial_epoch:
        raise OptionError(
            f"Expected epochs to be more than initial_epoch, got {settings['epochs']} and {initial_epoch}. Epochs "
            f"count from the first one ever trained, as in Keras: raise them."
        )
    if settings["shuffle"] not in (True, False):
        raise OptionError(f"Expected shuffle to be True or False, got {settings['shuffle']!r}. Choose one.")
    weight = class_weights(rows, settings["class_weight"]) if settings["class_weight"] else rows.weight
    return Job(
        build=settings["build"],
        x=rows.x,
        y=rows.y,
        weight=None if weight is None else weight[None],
        seats=seats,
        batch_size=int(size),
        epochs=int(settings["epochs"]),
        callbacks=_callbacks(settings["callbacks"]),
        show=scored and held_out == "epoch",
        score=scored,
        validation_batch_size=validation_batch_size,
        ask=False,
        shuffle=bool(settings["shuffle"]),
        weighs_watched=rows.weighs_validation,
        weighs_scored=rows.weighs,
        initial_epoch=int(initial_epoch),
        validation_freq=validation_freq,
        own=recorders.own,
    )


def _is_whole(value: object) -> bool:
    return isinstance(value, float | Integral) and not isinstance(value, bool) and float(value).is_integer()


def _callbacks(given: Any) -> tuple[keras.callbacks.Callback, ...]:  # noqa: ANN401
    """One callback or several, as Keras takes them."""
    several = (given,) if isinstance(given, keras.callbacks.Callback) else tuple(given or ())
    for one in several:
        if not isinstance(one, keras.callbacks.Callback):
            raise OptionError(
                f"Expected callbacks to be Keras callbacks, got {type(one).__name__}. Pass a list of them."
            )
    return several


def _train(
    jobs: Sequence[Job], engine: str, monitor: Monitor, keep: Keep | None
) -> tuple[list[Trained], int]:
    if engine == "loop":
        places = [None if keep is None else keep.inside(f"recipe-{i}") for i in range(len(jobs))]
        pairs = zip(jobs, places, strict=True)
        return [train(job, monitor, one_by_one=True, keep=place) for job, place in pairs], 0
    callbacks = list({id(callback): callback for job in jobs for callback in job.callbacks}.values())
    every_epoch = all(job.watches(epoch) for job in jobs for epoch in range(job.initial_epoch, job.epochs))
    recorders.check(callbacks, every_epoch=every_epoch)
    unknown = not_in_program(recorders.beside(callbacks))
    if unknown:
        raise OptionError(
            f"Expected callbacks that can run inside a population (EarlyStopping, ReduceLROnPlateau, "
            f"LearningRateScheduler, TerminateOnNaN, ModelCheckpoint) or write its logs (CSVLogger, TensorBoard), got "
            f"{', '.join(dict.fromkeys(unknown))}. Leave it out, or pass engine='loop' to train one model at a time "
            f"with it."
        )
    jobs = [replace(job, callbacks=recorders.beside(job.callbacks)) for job in jobs]
    trained, populations = train_together(jobs, monitor, keep)
    for one in trained:
        if engine == "population" and one.engine == "loop":
            raise ModelError(
                f"Expected a model that can be trained as a population, but {one.why}. Pass engine='auto' to "
                f"train one model at a time."
            )
    return trained, populations
