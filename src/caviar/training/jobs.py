"""From the arguments of `caviar.fit` to jobs: recipes, folds, seeds, and how rows come to the devices."""

import inspect
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral
from typing import Any

import keras
import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

from caviar.errors import OptionError
from caviar.population.job import Job, Seat
from caviar.population.probed import seldom_enough
from caviar.population.source import Batches
from caviar.recipe.callbacks import read_callbacks
from caviar.recipe.class_weights import check_class_weight
from caviar.training import recorders
from caviar.training.rows import (
    Rows,
    class_weights,
    is_dataset,
    labels,
    read,
    read_dataset,
)

_LARGEST_SEED = 2**32 - 1
# Whole numbers with so few values are classes, and folds keep their shares.
_MOST_CLASSES = 20
_CHANGES = ("build", "batch_size", "epochs", "callbacks", "class_weight", "shuffle")
_USUAL_BATCH = 32


@dataclass(frozen=True, eq=False)
class Call:
    """The arguments of a call of `caviar.fit`, of the same names."""

    build: Callable[..., keras.Model]
    x: Any
    y: Any
    seeds: Any
    folds: Any
    repeats: int
    recipes: Any
    held_out: str
    engine: str
    probes: Any
    block_rows: int | None
    batch_size: int | None
    epochs: int
    callbacks: Any
    validation_split: float
    validation_data: Any
    shuffle: bool
    class_weight: Any
    sample_weight: Any
    initial_epoch: int
    steps_per_epoch: int | None
    validation_steps: int | None
    validation_batch_size: int | None
    validation_freq: Any


@dataclass(frozen=True, eq=False)
class Asked:
    """What a call asks for.

    Attributes:
        names: Of the recipes.
        jobs: One per recipe.
        split: How folds were drawn.
    """

    names: list[str]
    jobs: list[Job]
    split: str


def make_jobs(call: Call) -> Asked:
    """Turn a call into jobs.

    Raises:
        OptionError: An argument cannot be carried out; the message says which and what to do.
        DataError: A dataset gives no batches of inputs and targets.
    """
    _check(call)
    every = {name: _settings(call, name, changes) for name, changes in _recipes(call.recipes).items()}
    for settings in every.values():
        check_class_weight(settings["class_weight"])
    weighs_classes = any(settings["class_weight"] for settings in every.values())
    if is_dataset(call.x):
        _refuse_beside_dataset(call, every)
        rows = read_dataset(call.x, call.validation_data, call.validation_steps)
    else:
        rows = read(
            *(call.x, call.y, call.sample_weight, call.validation_data, call.validation_steps),
            any_class_weight=weighs_classes,
            block_rows=call.block_rows,
        )
    splits, split = _splits(rows, call.folds, call.repeats)
    make = _Maker(call, rows, splits)
    jobs = _probed([make.job(settings) for settings in every.values()], call.probes)
    return Asked(list(every), recorders.placed(list(every), jobs), split)


def _recipes(given: Any) -> Mapping[str, Mapping[str, Any]]:  # noqa: ANN401
    if given is not None and not isinstance(given, Mapping):
        raise OptionError(
            f"Expected recipes to be a dict of name and changes, got {type(given).__name__}. Write "
            f"{{'as it is': {{}}, 'small batches': {{'batch_size': 8}}}}."
        )
    return given or {"": {}}


def _check(call: Call) -> None:
    if call.engine not in ("auto", "population", "loop"):
        raise OptionError(
            f"Expected engine to be 'auto', 'population' or 'loop', got {call.engine!r}. Choose one."
        )
    if call.held_out not in ("end", "epoch"):
        raise OptionError(f"Expected held_out to be 'end' or 'epoch', got {call.held_out!r}. Choose one.")
    for name, least in (
        ("repeats", 1),
        ("initial_epoch", 0),
        ("validation_batch_size", 1),
        ("steps_per_epoch", 1),
        ("validation_steps", 1),
        ("block_rows", 1),
    ):
        value = getattr(call, name)
        if value is not None or name == "repeats":
            _whole(name, value, least)
    if call.validation_steps is not None and call.validation_data is None and not call.validation_split:
        raise OptionError(
            f"Expected validation_steps only with rows to watch, got {call.validation_steps} without any. Give "
            f"validation_data or validation_split."
        )


def _refuse_beside_dataset(call: Call, every: Mapping[str, Mapping[str, Any]]) -> None:
    """What `fit` refuses or ignores beside a dataset, and what needs rows with numbers."""
    for name, value in (
        ("y", call.y),
        ("sample_weight", call.sample_weight),
        ("batch_size", next((s["batch_size"] for s in every.values() if s["batch_size"] is not None), None)),
        ("validation_split", call.validation_split or None),
        ("folds", call.folds),
        ("block_rows", call.block_rows),
    ):
        if value is not None:
            raise OptionError(
                f"Expected {name} to be left out where x is a dataset ({type(call.x).__name__}), which decides about "
                f"its own batches, got {name} as well. Leave it out, or pass arrays."
            )
    if isinstance(call.x, Iterator) and len(every) > 1:
        raise OptionError(
            f"Expected x to be something that can be read again for each of {len(every)} recipes, got a "
            f"{type(call.x).__name__}. Pass a keras.utils.PyDataset, a tf.data.Dataset or arrays."
        )


@dataclass(frozen=True, eq=False)
class _Maker:
    """Makes the jobs of one call, which share their rows."""

    call: Call
    rows: Rows
    splits: Sequence[tuple[int, int, np.ndarray, np.ndarray]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "_sources", {})

    def job(self, settings: Mapping[str, Any]) -> Job:
        """The job of one recipe."""
        call, rows = self.call, self.rows
        seats = list(_seats(self.splits, _seeds(call.seeds), rows, call.validation_split))
        _whole("epochs", settings["epochs"], 1)
        if settings["epochs"] <= call.initial_epoch:
            raise OptionError(
                f"Expected epochs to be more than initial_epoch, got {settings['epochs']} and {call.initial_epoch}. "
                f"Epochs count from the first one ever trained, as in Keras: raise them."
            )
        if not isinstance(settings["shuffle"], (bool, np.bool_)):
            raise OptionError(
                f"Expected shuffle to be True or False, got {settings['shuffle']!r}. Choose one."
            )
        size, steps = self._batch(settings["batch_size"], seats)
        look = _look_size(call, rows, settings["batch_size"], seats)
        if call.validation_steps is not None:
            seats = [replace(seat, watch=seat.watch[: look * call.validation_steps]) for seat in seats]
        class_weight = settings["class_weight"]
        source = (
            self._source(class_weight, shuffle=bool(settings["shuffle"]))
            if rows.dataset is not None
            else None
        )
        weight = rows.weight
        if class_weight and source is None:
            weight = class_weights(rows, class_weight)
        x, y = rows.x, rows.y
        if source is not None:
            x, y = (keras.tree.map_structure(lambda a: a[None], part) for part in source.first[:2])
        return Job(
            build=settings["build"],
            x=x,
            y=y,
            weight=None if weight is None else weight[None],
            seats=seats,
            batch_size=size,
            epochs=int(settings["epochs"]),
            callbacks=read_callbacks(settings["callbacks"]),
            show=call.folds is not None and call.held_out == "epoch",
            score=call.folds is not None,
            validation_batch_size=look,
            ask=False,
            shuffle=bool(settings["shuffle"]),
            weighs_watched=rows.weighs_validation,
            weighs_scored=rows.weighs,
            initial_epoch=int(call.initial_epoch),
            validation_freq=_frequency(call.validation_freq),
            own=recorders.own,
            steps_per_epoch=steps,
            ranges=rows.ranges,
            source=source,
        )

    def _batch(self, given: Any, seats: Sequence[Seat]) -> tuple[int, int | None]:  # noqa: ANN401
        """Rows of a batch, and batches of an epoch where these are not all: as `fit` chooses them."""
        steps = self.call.steps_per_epoch
        if given is not None:
            _whole("batch_size", given, 1)
        if steps is None or self.rows.dataset is not None:
            return int(given or _USUAL_BATCH), None
        if self.rows.ranges is not None:
            raise OptionError(
                f"Expected steps_per_epoch to be left out where rows come in blocks, got {steps}. Leave it out."
            )
        if given is not None:
            return int(given), int(steps)
        sizes = {-(-len(seat.fit) // int(steps)) for seat in seats}
        if len(sizes) > 1:
            raise OptionError(
                f"Expected batch_size beside steps_per_epoch, because folds of unequal length would have batches of "
                f"{min(sizes)} to {max(sizes)} rows, got none. Give batch_size."
            )
        return sizes.pop(), int(steps)

    def _source(self, class_weight: Any, *, shuffle: bool) -> Batches:  # noqa: ANN401
        """The batches of a dataset, one object for all recipes that see the same."""
        key = (tuple(sorted((class_weight or {}).items())), bool(shuffle))
        sources: dict[object, Batches] = self._sources  # type: ignore[attr-defined]
        if key not in sources:
            sources[key] = Batches(
                self.rows.dataset, self.call.steps_per_epoch, shuffle=shuffle, class_weight=class_weight
            )
        return sources[key]


def _probed(jobs: list[Job], probes: object) -> list[Job]:
    """The jobs with probes every so many epochs, the same for all."""
    if not isinstance(probes, bool) and (not _is_whole(probes) or probes < 1):  # type: ignore[operator]
        raise OptionError(
            f"Expected probes to be True, False or a number of epochs of at least 1, got {probes!r}. Write probes=5 "
            f"to look inside every fifth epoch."
        )
    every = seldom_enough(jobs) if probes is True else int(probes)  # type: ignore[call-overload]
    return [replace(job, probe=every) for job in jobs]


def _look_size(call: Call, rows: Rows, batch_size: Any, seats: Sequence[Seat]) -> int:  # noqa: ANN401
    """Rows of a batch that is looked at: as `fit` chooses them."""
    if rows.look is not None:  # a dataset to watch has batches of its own
        return rows.look
    given = call.validation_batch_size or batch_size
    if given is None and call.validation_steps is not None:
        return max(1, -(-max(len(seat.watch) for seat in seats) // int(call.validation_steps)))
    return int(given or _USUAL_BATCH)


def _whole(name: str, value: Any, least: int) -> None:  # noqa: ANN401
    if not _is_whole(value) or value < least:
        raise OptionError(
            f"Expected {name} to be a whole number of at least {least}, got {value!r}. Give such a number."
        )


def _frequency(given: Any) -> int | tuple[int, ...]:  # noqa: ANN401
    single = not isinstance(given, list | tuple)
    epochs = (given,) if single else tuple(given)
    if not epochs or not all(_is_whole(epoch) and epoch >= 1 for epoch in epochs):
        raise OptionError(
            f"Expected validation_freq to be a number of epochs of at least 1, or a list of epochs, got {given!r}. "
            f"Write 5 for every fifth epoch, or [1, 10] for two of them."
        )
    return int(given) if single else tuple(int(epoch) for epoch in epochs)


def _settings(call: Call, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What one recipe is trained with; what `fit` does not know goes to the builder."""
    if not isinstance(changes, Mapping):
        raise OptionError(
            f"Expected recipe {name!r} to be a dict of changes, got {type(changes).__name__}. Write "
            f"{{{name!r}: {{'batch_size': 16}}}}."
        )
    given = {key: getattr(call, key) for key in _CHANGES}
    settings = {**given, **{key: value for key, value in changes.items() if key in _CHANGES}}
    extra = {key: value for key, value in changes.items() if key not in _CHANGES}
    build = settings["build"]
    if isinstance(build, keras.Model):
        raise OptionError(
            f"Expected build to be a function that makes a model, because every member needs one of its own, got a "
            f"{type(build).__name__} that is made already. Pass the function that builds and compiles it."
        )
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
        single = isinstance(seeds, Integral) and not isinstance(seeds, bool)
        wanted = list(range(int(seeds)) if single else seeds)  # type: ignore[arg-type]
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
        return list(_checked(pairs, rows.count)), type(folds).__name__
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


def _checked(
    pairs: Sequence[tuple[Any, Any]], count: int
) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """The folds of a splitter, which must name rows that there are."""
    if not pairs:
        raise OptionError(
            "Expected folds to be a splitter that gives folds, got none. Pass a number of folds."
        )
    for i, pair in enumerate(pairs):
        fit, scored = (np.flatnonzero(a) if a.dtype == bool else a for a in map(np.asarray, pair))
        every = np.concatenate([fit, scored])
        if not (len(fit) and len(scored)) or every.min() < 0 or every.max() >= count:
            raise OptionError(
                f"Expected every fold to have rows to train on and rows to hold out, from 0 to {count - 1}, got "
                f"{len(fit)} and {len(scored)} rows{f' from {every.min()} to {every.max()}' if len(every) else ''}. "
                f"Check the splitter."
            )
        yield 0, i, fit, scored


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


def _is_whole(value: object) -> bool:
    return isinstance(value, float | Integral) and not isinstance(value, bool) and float(value).is_integer()
