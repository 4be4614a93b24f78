"""The panda way: one model, or a few, while a person watches, steers, and later asks whether that was skill or luck."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import xarray as xr

from caviar.errors import OptionError
from caviar.measuring.table import check_numbers, keras_speaks_plainly
from caviar.model.finished import FinishedModel
from caviar.nursing.branches import BranchFacts
from caviar.nursing.course import Course, follow_log
from caviar.nursing.log import PandaLog, read_log
from caviar.nursing.material import Material, check_same_callbacks, check_same_table, from_arrays, from_table
from caviar.nursing.replay import FOLDS, SEEDS, Asked, ReplayRecord, replay_log
from caviar.nursing.watch import Watched, watch
from caviar.progress import Clock, Voice
from caviar.recipe.builder import Builder
from caviar.run.folder import make_run_folder


class Panda:
    """A training that a person steers.

    Attributes:
        folder: Where the log and the curves are kept; None for nowhere.
    """

    def __init__(self, material: Material, folder: Path | None = None) -> None:
        with keras_speaks_plainly():
            self._course = Course(material, folder)
        self.folder = folder

    def __repr__(self) -> str:
        course = self._course
        settings = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in course.values().items())
        return f"<caviar.Panda branch {course.branch.name}, epoch {course.epoch}: {settings}>"

    def train(self, epochs: int) -> None:
        """Go on for so many epochs.

        Trained where the present branch has gone on before, they make a new branch.

        Raises:
            OptionError: That is no number of epochs.
        """
        with keras_speaks_plainly():
            self._course.train(epochs)

    def set(
        self,
        *,
        learning_rate: float | None = None,
        dropout: float | None = None,
        weight_decay: float | None = None,
        batch_size: int | None = None,
    ) -> None:
        """Change settings from the next epoch on; the optimizer's state stays.

        Args:
            learning_rate: Rate of the optimizer, above 0.
            dropout: Rate of all dropout layers that the builder gave a rate above 0.
            weight_decay: Share of a weight that a step at learning rate 1 takes away; 0 for none.
            batch_size: Rows per gradient step.

        Raises:
            OptionError: A value means nothing, or the network has nothing that it could change.
        """
        self._course.set(
            {
                "learning_rate": learning_rate,
                "dropout": dropout,
                "weight_decay": weight_decay,
                "batch_size": batch_size,
            }
        )

    def rewind(self, epoch: int, branch: str | None = None) -> None:
        """Go back to an epoch, and to what was set then: what is trained next leaves it as a new branch.

        At its end, a branch grows on. Every epoch can be returned to: at once to those in `kept`, to others by training
        up to them again, which gives the same weights.

        Args:
            epoch: Epochs that are done there; 0 for first weights.
            branch: Name of the branch; the present one if not given.

        Raises:
            OptionError: There is no such branch or epoch.
        """
        self._course.rewind(epoch, branch)

    @property
    def epoch(self) -> int:
        """Epochs done on the way to where the training stands."""
        return self._course.epoch

    @property
    def branch(self) -> str:
        """Name of the present branch."""
        return self._course.branch.name

    @property
    def branches(self) -> list[str]:
        """Names of all branches, in order of their beginnings."""
        return [branch.name for branch in self._course.branches]

    @property
    def settings(self) -> dict[str, float]:
        """What holds from the next epoch on, by name."""
        return self._course.values()

    @property
    def kept(self) -> list[int]:
        """Epochs of the present branch that can be returned to at once."""
        return self._course.kept()

    @property
    def history(self) -> xr.Dataset:
        """Curves (model, epoch) of the present branch, from the first epoch to where the training stands."""
        return self._course.history()

    def curves(self, branch: str) -> xr.Dataset:
        """Curves (model, epoch) of another branch as a whole.

        Raises:
            OptionError: There is none of that name.
        """
        return self._course.history(branch)

    def compare(self) -> list[BranchFacts]:
        """All branches beside each other, by what the watched rows said.

        These rows were watched while choices were made, on few seeds: `replay` tells skill from luck.
        """
        return self._course.facts()

    @property
    def log(self) -> PandaLog:
        """Everything that was done; `log.model_dump_json()` is what `caviar panda` writes."""
        return self._course.log

    def follow(self, log: PandaLog | str | Path) -> None:
        """Carry out a log's schedule from the first epoch on: what led to the branch chosen there.

        Args:
            log: A log, or its file or folder.

        Raises:
            OptionError: This training has begun already, or its network cannot be set as the log asks.
            RunError: There is no such log.
        """
        with keras_speaks_plainly():
            follow_log(self._course, log if isinstance(log, PandaLog) else read_log(log))

    def model(self) -> FinishedModel:
        """The models as they stand; of several, predictions are averaged.

        Returns:
            With the preparation: `models` are ordinary Keras models, `predict_features(x)` predicts. They were trained
            without the watched rows.

        Raises:
            OptionError: Nothing was trained yet.
        """
        with keras_speaks_plainly():
            return self._course.finished()

    def replay(
        self,
        seeds: int = SEEDS,
        folds: int = FOLDS,
        *,
        rope: float | None = None,
        minutes: float | None = None,
        seed: int | None = None,
        verbose: int = 1,
    ) -> ReplayRecord:
        """Did nursing help, or was it luck?

        The schedule that led here and its first settings, left alone for as many epochs, are trained on the same new
        seeds and folds, and scored on rows that were held out.

        Args:
            seeds: Trainings of each on every fold, up to three of them in each repeat of the folds.
            folds: Folds of the cross-validation.
            rope: Smallest difference that counts, in the metric's unit; 2 % of the way from no skill to the better of
                the two if not given.
            minutes: Bound on the time; none if not given.
            seed: Where the new seeds begin; far from those that were watched if not given.
            verbose: 0 for silence.

        Returns:
            Both scores, the paired difference, and `sentence`, which answers the question.

        Raises:
            OptionError: Nothing was changed on the way, or the time given does not suffice.
        """
        asked = Asked(seeds, folds, rope, seed)
        return replay_log(
            self._course.material, self._course.log, asked, Clock(minutes), Voice(quiet=not verbose)
        )


def panda(
    build: str | Builder,
    x: Any,  # noqa: ANN401
    y: Any,  # noqa: ANN401
    *,
    batch_size: int = 32,
    epochs: int = 1,
    callbacks: Any = (),  # noqa: ANN401 - Keras callbacks
    models: int = 1,
    validation_split: float = 0.2,
    sample_weight: Any = None,  # noqa: ANN401
    task: str | None = None,
    metric: str | None = None,
    seed: int = 0,
    out: str | Path | None = None,
) -> Panda:
    """Train one model, or a few, step by step: watch, change settings, go back, branch, and replay what was done.

    The model and its fit arguments are taken as they are; nothing is prepared. With seed s it computes what
    `keras.utils.set_random_seed(s); build().fit(...)` computes, however the epochs are divided.

    Args:
        build: A builder (or `"file.py:function"`) that takes nothing, `hp`, or `n_inputs, n_outputs` and returns a
            compiled Keras model.
        x: Inputs (row, column), or rows of any shape, such as images (row, height, width, channel).
        y: Target, as `fit` would get it: (row,) or (row, column).
        batch_size: As in `fit`.
        epochs: How many are planned; `train` says how many are trained.
        callbacks: As in `fit`, those that remember nothing: `LearningRateScheduler`, after which the rate cannot be set
            by hand, and `TerminateOnNaN`.
        models: How many are trained beside each other, with seeds from `seed` on.
        validation_split: Share of the rows, the last ones as in `fit`, that are watched and never trained on.
        sample_weight: Weight of each row (row,).
        task: "classification" or "regression", where the target's numbers could be taken for the other.
        metric: The score that decides in a replay; log-loss for classes, RMSE or MAE for quantities if not given.
        seed: Where the models' seeds start.
        out: Folder of the log and the curves; nothing is written if not given.

    Returns:
        The training, before its first epoch.

    Raises:
        CaviarError: One sentence on what was expected, what was seen, and what to do.

    Example:
        >>> p = caviar.panda(build, x, y, models=3)  # doctest: +SKIP
        >>> p.train(20); p.set(learning_rate=1e-4); p.train(10)  # doctest: +SKIP
        >>> p.rewind(12); p.set(dropout=0.3); p.train(18)  # doctest: +SKIP
        >>> print(p.replay(seeds=30).sentence)  # doctest: +SKIP
    """
    with keras_speaks_plainly():
        material = from_arrays(
            build,
            x,
            y,
            batch_size=batch_size,
            epochs=epochs,
            callbacks=callbacks,
            models=models,
            validation_split=validation_split,
            sample_weight=sample_weight,
            task=task,
            metric=metric,
            seed=seed,
        )
    return Panda(material, None if out is None else make_run_folder("panda", out).path)


def _of_table(
    source: object,
    target: str | int | Sequence[str | int] | None,
    *,
    model: str | Builder | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    models: int = 1,
    validation_split: float = 0.2,
    metric: str | None = None,
    seed: int = 0,
    **reading: Any,  # noqa: ANN401
) -> Material:
    with keras_speaks_plainly():
        return from_table(
            source,
            target,
            model=model,
            batch_size=batch_size,
            epochs=epochs,
            models=models,
            validation_split=validation_split,
            metric=metric,
            seed=seed,
            reading=reading,
        )


def watch_table(
    source: object,
    target: str | int | Sequence[str | int] | None = None,
    *,
    page: bool = True,
    port: int = 0,
    minutes: float | None = None,
    out: str | Path | None = None,
    began: float | None = None,
    **arguments: Any,  # noqa: ANN401
) -> Watched:
    """Train while a person watches and types, or clicks: what the command `caviar panda` does.

    Args:
        source: CSV or Parquet file, frame, `(X, y)` arrays, or `"sample:breast-cancer"`, as in `caviar.improve`.
        target: Column to predict, by name or position; several of them for multi-output regression.
        page: Whether to serve a page, to this machine alone.
        port: Where; any port that is free if 0.
        minutes: Bound on the whole command; none if not given.
        out: Folder of log, curves and model; `runs/panda-<time>` if not given.
        began: What `time.monotonic()` said when the command began; now if not given.
        arguments: As in `panda`: model, epochs, batch_size, models, validation_split, metric, seed; and how the
            table is read.

    Returns:
        Where everything was left, and what to tell a person.

    Raises:
        CaviarError: One sentence on what was expected, what was seen, and what to do.
        KeyboardInterrupt: Ctrl-C ended it, after log and model were kept.
    """
    check_numbers({"minutes": minutes})
    clock = Clock(minutes) if began is None else Clock(minutes, began)
    material = _of_table(source, target, **arguments)
    folder = make_run_folder("panda", out).path
    try:
        with keras_speaks_plainly():
            course = Course(material, folder)
        return watch(course, folder, page=page, port=port, seconds=clock.left())
    except BaseException:
        with suppress(OSError):  # it holds something after all
            folder.rmdir()
        raise


def replay_table(
    path: str | Path,
    source: object,
    target: str | int | Sequence[str | int] | None = None,
    *,
    seeds: int = SEEDS,
    folds: int = FOLDS,
    rope: float | None = None,
    minutes: float | None = None,
    seed: int | None = None,
    out: str | Path | None = None,
    quiet: bool = False,
    began: float | None = None,
    **arguments: Any,  # noqa: ANN401
) -> ReplayRecord:
    """Did the nursing that a log tells of help, or was it luck? What `caviar panda --replay` does.

    Args:
        path: The log, or the folder it lies in.
        source: CSV or Parquet file, frame, `(X, y)` arrays, or `"sample:breast-cancer"`, as in `caviar.improve`.
        target: Column to predict, as in `caviar.improve`.
        seeds: As in `Panda.replay`.
        folds: Likewise.
        rope: Likewise.
        minutes: Bound on the whole command; none if not given.
        seed: Where the new seeds begin.
        out: Folder of `replay.json`; beside the log if not given.
        quiet: Print nothing.
        began: What `time.monotonic()` said when the command began; now if not given.
        arguments: As in `panda`: model, epochs, batch_size, models, validation_split, metric, seed; and how the
            table is read.

    Raises:
        CaviarError: One sentence on what was expected, what was seen, and what to do.
    """
    clock = Clock(minutes) if began is None else Clock(minutes, began)
    log = read_log(path)
    check_numbers({"minutes": minutes})
    material = _of_table(source, target, **{"metric": log.metric, "seed": log.seed, **arguments})
    check_same_table(log, material)
    check_same_callbacks(log, material)
    record = replay_log(material, log, Asked(seeds, folds, rope, seed), clock, Voice(quiet=quiet))
    given = Path(path).expanduser()
    beside = given if given.is_dir() else given.parent
    record.save(beside if out is None else make_run_folder("panda-replay", out).path)
    return record


def panda_command(
    source: object,
    replay: Path | None,
    given: dict[str, Any],
    watching: dict[str, Any],
    replaying: dict[str, Any],
    *,
    began: float,
) -> list[str]:
    """What `caviar panda` does with its options: it watches, or replays; None is an option that was not given.

    Args:
        source: The table.
        replay: The log to replay; None to watch.
        given: Options of both, and how the table is read.
        watching: Options of watching alone.
        replaying: Options of replaying alone.
        began: What `time.monotonic()` said when the command began.

    Returns:
        What to tell a person at the end.

    Raises:
        OptionError: An option belongs to the other of the two.
        CaviarError: One sentence on what was expected, what was seen, and what to do.
    """
    own, others, word = (watching, replaying, "with") if replay is None else (replaying, watching, "without")
    for name, value in others.items():
        if value is not None:
            option = f"--{name.replace('_', '-')}"
            raise OptionError(f"Expected {option} {word} --replay only, got {value}. Leave it out.")
    known = {name: value for name, value in (given | own).items() if value is not None}
    if replay is None:
        return watch_table(source, began=began, **known).lines
    return [replay_table(replay, source, began=began, **known).sentence]
