"""`Model.fit` for a whole population: many seeds, folds and recipes at once, on rows as they are."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal

import keras

from caviar.errors import ModelError, OptionError
from caviar.pace import Pace
from caviar.population import devices
from caviar.population.callbacks import not_in_program
from caviar.population.job import Job, Monitor, Trained
from caviar.population.keep import Keep
from caviar.population.together import train_together
from caviar.population.train import train
from caviar.progress import Clock, Voice
from caviar.training import recorders
from caviar.training.history import History, make_history
from caviar.training.jobs import Call, make_jobs


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
    probes: bool | int = False,
    folder: str | Path | None = None,
    block_rows: int | None = None,
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
        x: Inputs (row, …) of any rank, or a dict or list of such arrays for several inputs; memory-mapped arrays and
            `caviar.parquet` may be larger than memory. Or what gives batches to `fit`: a `keras.utils.PyDataset`, a
            `tf.data.Dataset`, a torch `DataLoader`, a generator; all members then train on the same batches.
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
        probes: Whether to look inside the members while they train (`History.probes`): gradients, updates, weights
            and activations of each layer. A number n does so every n epochs; True so seldom that it takes at most
            a tenth of the time of the steps. Training stays as it is, to the bit. Where a dataset's epoch does not
            begin with two whole batches, the noise of its gradient is NaN.
        folder: Where the state of all members is kept while they train, every twenty seconds at an epoch's end, and
            within epochs where rows come in blocks or from a dataset. The same call after a crash goes on from there
            and ends with the numbers of an undisturbed one.
        block_rows: Rows that are on the devices at once. Left out, all of them are if they fit into memory; if
            not, they come in blocks. Rows are then shuffled within blocks, and blocks among each other.
        batch_size: As in `fit`; 32 if not given.
        epochs: As in `fit`.
        verbose: 0 for silence; otherwise a progress bar where there is a terminal.
        callbacks: `EarlyStopping`, `ReduceLROnPlateau`, `LearningRateScheduler`, `TerminateOnNaN` and
            `ModelCheckpoint` run inside the program, for each member by itself and in silence; any other with
            `engine="loop"`. Files of `ModelCheckpoint`, `CSVLogger` and `TensorBoard` (scalars and graph; with
            the package tensorboard) are written once all members have trained; each member has its own, whose name
            (TensorBoard: folder) tells what varies, as in `best-recipe=wide-fold=2-seed=7.keras`; a single member
            keeps the given name. A path with placeholders is written for the last best epoch only.
        validation_split: Last share of the (fold's) training rows that is watched instead of trained on.
        validation_data: `(x, y)` or `(x, y, sample_weight)` to watch, or a dataset that can be read again.
        shuffle: Whether every epoch takes the rows in a new order.
        class_weight: Weight of each class in training.
        sample_weight: Weight of each row (row,).
        initial_epoch: Epochs that count as done.
        steps_per_epoch: As in `fit`: the next epoch goes on where this one ended.
        validation_steps: As in `fit`: so many of the first batches to watch.
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
    given = locals()
    devices.start()
    asked = make_jobs(Call(**{field.name: given[field.name] for field in fields(Call)}))
    jobs = asked.jobs
    voice = Voice(quiet=verbose in (0, "0"))
    began = time.monotonic()
    if folder is not None and not isinstance(folder, (str, Path)):
        raise OptionError(f"Expected folder to be a path, got {type(folder).__name__}. Write folder='state'.")
    keep = None if folder is None else Keep(Path(folder))
    trained, populations = _train(jobs, engine, Pace(voice, Clock(None), "training"), keep)
    history = make_history(
        list(zip(asked.names, jobs, trained, strict=True)),
        populations,
        time.monotonic() - began,
        asked.split,
    )
    if engine != "loop":
        recorders.write(history, jobs, trained, [job.callbacks for job in jobs])
    if jobs[0].ranges is not None and jobs[0].source is None and block_rows is None:
        voice.note(f"Rows do not fit into memory at once, so they came {history.attrs['rows']}.")
    if history.attrs["engine"] == "loop" and engine == "auto":
        voice.note(f"Members were trained one at a time, because {history.attrs['why']}.")
    return history


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
