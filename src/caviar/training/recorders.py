"""Which files do callbacks leave, once a population has trained?"""

import copy
import importlib.util
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import keras

from caviar.errors import OptionError
from caviar.population.callbacks import copied, path_names
from caviar.population.job import Job, Saved, Seat, Trained
from caviar.run.files import write_with
from caviar.training.history import History, Member

Row = dict[str, float]

_SUFFIXES = (".weights.h5", ".keras", ".h5")
_WRITERS = (keras.callbacks.ModelCheckpoint, keras.callbacks.CSVLogger, keras.callbacks.TensorBoard)
_SETS_RATE = (keras.callbacks.ReduceLROnPlateau, keras.callbacks.LearningRateScheduler)


def placed(names: Sequence[str], jobs: Sequence[Job]) -> list[Job]:
    """Jobs whose seats know what to call their files: by what varies among all members, and nothing for a single one.

    A place reads `recipe=wide-repeat=0-fold=2-seed=7`; what a file name cannot hold is written in percent signs, as in
    a web address, so that two members never share a file.

    Args:
        names: Of the jobs' recipes.
        jobs: One per recipe.
    """
    keys = [
        [
            ("recipe", quote(str(name), safe=" ")),
            *((at, getattr(seat, at)) for at in ("repeat", "fold", "seed")),
        ]
        for name, job in zip(names, jobs, strict=True)
        for seat in job.seats
    ]
    vary = [len({key[i] for key in keys}) > 1 for i in range(4)]
    places = iter("-".join(f"{n}={v}" for (n, v), use in zip(key, vary, strict=True) if use) for key in keys)
    return [replace(job, seats=[replace(seat, place=next(places)) for seat in job.seats]) for job in jobs]


def own(callback: keras.callbacks.Callback, seat: Seat) -> keras.callbacks.Callback:
    """A member's own copy of a callback, which writes to its own files."""
    mine = copied(callback)
    if isinstance(mine, keras.callbacks.ModelCheckpoint):
        mine.filepath = _at(mine.filepath, seat.place.replace("{", "{{").replace("}", "}}"))
    elif isinstance(mine, keras.callbacks.CSVLogger):
        mine.filename = _at(mine.filename, seat.place)
    elif isinstance(mine, keras.callbacks.TensorBoard):
        mine.log_dir = str(Path(mine.log_dir, seat.place))
    elif type(mine) is keras.callbacks.BackupAndRestore:
        options = {"double_checkpoint": mine.double_checkpoint, "delete_checkpoint": mine.delete_checkpoint}
        return keras.callbacks.BackupAndRestore(
            str(Path(mine.backup_dir, seat.place)), mine.save_freq, **options
        )
    return mine


def _at(path: str, place: str) -> str:
    """A path with a member's place before its suffix.

    >>> _at("runs/best.weights.h5", "fold=1-seed=3")
    'runs/best-fold=1-seed=3.weights.h5'
    """
    suffix = next((s for s in _SUFFIXES if path.endswith(s)), Path(path).suffix)
    return f"{path.removesuffix(suffix)}-{place}{suffix}" if place else path


def beside(callbacks: Sequence[keras.callbacks.Callback]) -> list[keras.callbacks.Callback]:
    """Those that training has to know, without those that only read its logs."""
    return [
        callback
        for callback in callbacks
        if type(callback) not in (keras.callbacks.CSVLogger, keras.callbacks.TensorBoard)
    ]


def check(callbacks: Sequence[keras.callbacks.Callback], *, every_epoch: bool) -> None:
    """Refuse, before training, what cannot be written after it.

    Args:
        callbacks: Keras callbacks.
        every_epoch: Whether rows are watched after every epoch.

    Raises:
        OptionError: An option cannot be carried out for members that train together, or a package is missing.
    """
    for callback in callbacks:
        if type(callback) is keras.callbacks.ModelCheckpoint:
            _check_checkpoint(callback, every_epoch=every_epoch)
        elif type(callback) is keras.callbacks.TensorBoard:
            _check_tensorboard(callback)


def _check_checkpoint(callback: keras.callbacks.ModelCheckpoint, *, every_epoch: bool) -> None:
    names = path_names(callback.filepath)
    if callback.save_freq != "epoch":
        raise OptionError(
            f"Expected ModelCheckpoint to save after epochs, because members train together, got "
            f"save_freq={callback.save_freq}. Leave it out, or pass engine='loop'."
        )
    if names and not callback.save_best_only:
        raise OptionError(
            f"Expected ModelCheckpoint to keep one file per member, got {callback.filepath!r} for each epoch. Give a "
            f"name without placeholders, save_best_only=True, or engine='loop'."
        )
    try:
        callback.filepath.format(**{name: 1 if name == "epoch" else 0.5 for name in names})
    except (ValueError, LookupError, AttributeError) as error:
        raise OptionError(
            f"Expected the path of ModelCheckpoint to have placeholders such as {{epoch:02d}} and {{loss:.2f}}, got "
            f"{callback.filepath!r} ({error}). Mend it."
        ) from error
    if every_epoch:
        return
    if any(name.startswith("val_") for name in names):
        raise OptionError(
            f"Expected the path of ModelCheckpoint to ask for what every epoch has, got {callback.filepath!r} with a "
            f"validation_freq that leaves epochs out. Leave one of the two out."
        )
    if callback.save_best_only and callback.monitor.startswith("val_"):
        warnings.warn(
            f"ModelCheckpoint saves, as in Keras, also after epochs without {callback.monitor}, best or not: leave "
            f"validation_freq at 1 to keep the best.",
            stacklevel=4,
        )


def _check_tensorboard(callback: keras.callbacks.TensorBoard) -> None:
    asked = {
        "histogram_freq": callback.histogram_freq,
        "write_images": callback.write_images,
        "write_steps_per_second": callback.write_steps_per_second,
        "update_freq": callback.update_freq != "epoch" and callback.update_freq,
        "embeddings_freq": callback.embeddings_freq,
        "embeddings_metadata": callback.embeddings_metadata,
    }
    for name, value in asked.items():
        if value:
            raise OptionError(
                f"Expected TensorBoard to write scalars of epochs, and the graph, because members train together, got "
                f"{name}={value!r}. Leave it out, or pass engine='loop'."
            )
    if importlib.util.find_spec("tensorboard") is None:
        raise OptionError(
            "Expected the package tensorboard, which writes the files of the callback TensorBoard, got none. "
            "Install it (pip install tensorboard), or leave the callback out."
        )


def write(
    history: History,
    jobs: Sequence[Job],
    trained: Sequence[Trained],
    callbacks: Sequence[Sequence[keras.callbacks.Callback]],
) -> None:
    """Write the files of `ModelCheckpoint`, `CSVLogger` and `TensorBoard` for all members.

    Args:
        history: What was recorded.
        jobs: One per recipe, with seats that are `placed`.
        trained: What training each gave; where Keras wrote checkpoints itself, they are left as they are.
        callbacks: Of each recipe, in their order.

    Raises:
        RunError: The system does not let a file be written.
    """
    at = 0
    for job, one, given in zip(jobs, trained, callbacks, strict=True):
        if not any(type(callback) in _WRITERS for callback in given):
            at += len(job.seats)
            continue
        for i, seat in enumerate(job.seats):
            saved = iter(one.saved[i] if one.saved else ())
            member, rows = history.members[at], history.rows(at)
            for place, callback in enumerate(given):
                before = given[:place]
                if type(callback) is keras.callbacks.ModelCheckpoint:
                    _checkpoint(callback, seat, member, rows, job.initial_epoch, next(saved, None))
                elif type(callback) is keras.callbacks.CSVLogger:
                    _csv(callback, seat, rows, job.initial_epoch, before)
                elif type(callback) is keras.callbacks.TensorBoard:
                    _scalars(callback, seat, job, member, rows, before)
            at += 1


def _checkpoint(
    callback: keras.callbacks.ModelCheckpoint,
    seat: Seat,
    member: Member,
    rows: Sequence[Row],
    first: int,
    saved: Saved | None,
) -> None:
    if saved is None or saved.epoch < 0:
        return
    path = callback.filepath.format(epoch=saved.epoch + 1, **rows[saved.epoch - first])
    model = replace(member, _state=saved.state).model()
    save = model.save_weights if callback.save_weights_only else model.save
    write_with(Path(_at(path, seat.place)), lambda temporary: save(str(temporary), overwrite=True))


def _as_logged(row: Row, before: Sequence[keras.callbacks.Callback]) -> Row:
    """An epoch's logs as Keras shows them: the rate only to those behind a callback that sets it."""
    sets_rate = any(isinstance(callback, _SETS_RATE) for callback in before)
    return {
        name: value
        for name, value in row.items()
        if not name.startswith("held_out_") and (name != "learning_rate" or sets_rate)
    }


def _csv(
    callback: keras.callbacks.CSVLogger,
    seat: Seat,
    rows: Sequence[Row],
    first: int,
    before: Sequence[keras.callbacks.Callback],
) -> None:
    """Let Keras' own logger see the epochs."""
    path = Path(_at(callback.filename, seat.place))

    def write_rows(temporary: Path) -> None:
        if callback.append and path.is_file():
            shutil.copyfile(path, temporary)
        logger = copy.copy(callback)
        logger.filename = str(temporary)
        logger.on_train_begin()
        for epoch, row in enumerate(rows, first):
            logger.on_epoch_end(epoch, _as_logged(row, before))
        logger.on_train_end()

    write_with(path, write_rows)


def _scalars(
    callback: keras.callbacks.TensorBoard,
    seat: Seat,
    job: Job,
    member: Member,
    rows: Sequence[Row],
    before: Sequence[keras.callbacks.Callback],
) -> None:
    """The tags that Keras' TensorBoard writes, and the graph if asked for."""
    model = member.model()
    folder = Path(callback.log_dir, seat.place)
    steps = [job.steps([seat], 0, i + 1) for i in range(len(rows))]
    reduced = any(type(other) is keras.callbacks.ReduceLROnPlateau for other in before)
    with _events(folder / "train") as write_train:
        if callback.write_graph and type(model).__name__ in ("Functional", "Sequential"):
            write_train("keras", 0, model)
        for i, row in enumerate(rows):
            rate = _rate(model, rows, i, steps[i], reduced=reduced)
            trained = {n: v for n, v in _as_logged(row, before).items() if not n.startswith("val_")}
            for name, value in {**trained, "learning_rate": rate}.items():
                write_train(f"epoch_{name}", job.initial_epoch + i, value)
    watched = [
        (i, {name.removeprefix("val_"): value for name, value in row.items() if name.startswith("val_")})
        for i, row in enumerate(rows)
    ]
    if not any(row for _, row in watched):
        return
    with _events(folder / "validation") as write_watched:
        accumulated = getattr(_inner(model.optimizer), "gradient_accumulation_steps", None) or 1
        for i, row in watched:
            for name, value in row.items():
                write_watched(f"evaluation_{name}_vs_iterations", steps[i] // accumulated, value)
                write_watched(f"epoch_{name}", job.initial_epoch + i, value)


def _inner(optimizer: Any) -> Any:  # noqa: ANN401
    return getattr(optimizer, "inner_optimizer", optimizer)


def _rate(model: keras.Model, rows: Sequence[Row], i: int, iterations: int, *, reduced: bool) -> float:
    """The learning rate at the end of an epoch, after what callbacks before have made of it."""
    optimizer = _inner(model.optimizer)
    if "learning_rate" not in rows[i]:
        optimizer.variables[0].assign(iterations)  # a schedule looks at it
    elif not reduced:
        return rows[i]["learning_rate"]
    elif i + 1 < len(rows):
        return rows[i + 1]["learning_rate"]
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))


@contextmanager
def _events(folder: Path) -> Iterator[Callable[[str, int, Any], None]]:
    """A way to write scalars (tag, step, value), or a model's graph, to an event file in a folder."""
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    from tensorboard.util.tensor_util import make_tensor_proto

    writer = EventFileWriter(str(folder))

    def write_one(tag: str, step: int, value: Any) -> None:  # noqa: ANN401 - a number or a model
        if isinstance(value, keras.Model):
            plugin = summary_pb2.SummaryMetadata.PluginData(plugin_name="graph_keras_model", content=b"1")
            summary = summary_pb2.Summary()
            summary.value.add(
                tag=tag,
                tensor=make_tensor_proto(value.to_json()),
                metadata=summary_pb2.SummaryMetadata(plugin_data=plugin),
            )
        else:
            summary = scalar_pb(tag, value)
        writer.add_event(event_pb2.Event(summary=summary, step=step, wall_time=time.time()))

    try:
        yield write_one
    finally:
        writer.close()
