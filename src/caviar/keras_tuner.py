"""KerasTuner's front over `caviar.tune`: a script that searches changes one import.

    import caviar.keras_tuner as keras_tuner

What differs is said where it matters: without validation rows, trials are scored by five folds; a trial has no best
epoch to be flattered by, its last one counts; `get_best_models` trains the best settings anew on all rows
but those that validate; and `oracle` can be read, not steered.
"""

import inspect
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import rmtree
from types import MappingProxyType
from typing import Any, NoReturn

import keras

from caviar.errors import OptionError
from caviar.evaluate.metrics import METRICS, metric_meant
from caviar.recipe.builder import call_with
from caviar.recipe.hypermodel import HyperModel
from caviar.recipe.hyperparameters import HyperParameters, Preset
from caviar.run.study import TrialLine
from caviar.searching.tune import Tuned, tune
from caviar.tune.grid import POINTS
from caviar.tune.halving import schedule_size
from caviar.tune.parameter import Parameter
from caviar.tune.space import Space, discover

__all__ = [
    "BayesianOptimization",
    "GridSearch",
    "HyperModel",
    "HyperParameters",
    "Hyperband",
    "Objective",
    "RandomSearch",
]

_TRIALS, _FAILURES = 10, 3
_CARRIED_OUT = (
    *(
        "x",
        "y",
        "batch_size",
        "epochs",
        "verbose",
        "callbacks",
        "validation_split",
        "validation_data",
        "shuffle",
    ),
    *("class_weight", "sample_weight"),
)
"""Arguments of `fit` that a search takes."""


@dataclass(frozen=True)
class Objective:
    """A score and its direction, which must be the one that the score has.

    Args:
        name: Such as "val_accuracy".
        direction: "min" or "max".
    """

    name: str
    direction: str


@dataclass(frozen=True)
class Trial:
    """A trial, to be read.

    Args:
        trial_id: Its number, as a text.
        hyperparameters: Its settings.
        score: Its objective's value (the first one's, of several); None where it failed.
        status: "COMPLETED" or "FAILED".
        message: Why it failed.
    """

    trial_id: str
    hyperparameters: HyperParameters
    score: float | None
    status: str
    message: str | None = None

    def summary(self) -> None:
        """Print it."""
        told = "failed: " + str(self.message) if self.score is None else f"score {self.score:.6g}"
        _say([f"Trial {self.trial_id}: {told}, {self.hyperparameters.values}"])


class _Oracle:
    """The trials of a search, to be read.

    Args:
        found: What the search found.
    """

    def __init__(self, found: Callable[[], Tuned]) -> None:
        self._found = found

    @property
    def trials(self) -> dict[str, Trial]:
        """All trials by their `trial_id`."""
        found = self._found()
        return {str(line.number): _trial(found, line) for line in found.lines}

    def get_trial(self, trial_id: str) -> Trial:
        """The trial of that `trial_id`."""
        return self.trials[trial_id]

    def get_best_trials(self, num_trials: int = 1) -> list[Trial]:
        """The best trials, best first."""
        found = self._found()
        return [_trial(found, line) for line in found.best_lines[:num_trials]]


def _trial(found: Tuned, line: TrialLine) -> Trial:
    failed = bool(line.why) or not math.isfinite(line.score[0])
    return Trial(
        str(line.number),
        _asked(found.space, line.settings),
        None if failed else line.score[0],
        "FAILED" if failed else "COMPLETED",
        line.why or None,
    )


def _asked(space: Space, settings: Mapping[str, Any]) -> HyperParameters:
    """Settings, with the questions to which they are the answers."""
    hp = HyperParameters(dict(settings))
    hp.questions.update((one.name, one.question) for one in space.parameters)
    return hp


class _Tuner:
    """What all tuners offer.

    Args:
        hypermodel: Takes `hp` and returns a compiled model; or a `HyperModel`.
        objective: The score that decides, of held-out rows: "val_loss", "val_accuracy", …
        max_trials: How many settings are tried at most.
        executions_per_trial: Trainings of each, of which the mean counts.
        seed: Where all seeds start.
        hyperparameters: Questions that count in place of the builder's own.
        tune_new_entries: Whether others are searched, or stay at their defaults.
        allow_new_entries: Whether there may be others.
        max_retries_per_trial: Of no effect: from the same seed, a trial that failed would fail again.
        max_consecutive_failed_trials: KerasTuner's default alone: a trial that fails does not end a search.
        directory: Where the trials are kept.
        project_name: Folder in it.
        overwrite: Whether what is there is deleted, or gone on with.
        others: None is carried out.
    """

    _search = "random"
    _options: Mapping[str, Any] = MappingProxyType({})

    def __init__(
        self,
        hypermodel: Any = None,  # noqa: ANN401
        objective: Any = None,  # noqa: ANN401
        max_trials: int | None = _TRIALS,
        *,
        executions_per_trial: int = 1,
        seed: int | None = None,
        hyperparameters: HyperParameters | None = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,  # noqa: ARG002 - the same seed would fail again
        max_consecutive_failed_trials: int = _FAILURES,
        directory: str | Path | None = None,
        project_name: str | None = None,
        overwrite: bool = False,
        **others: Any,  # noqa: ANN401
    ) -> None:
        if others:
            _refuse(next(iter(others)), "is not carried out here")
        for name in _OVERRIDDEN:
            if hasattr(self, name):
                _refuse(f"{name} in a subclass", "nobody would call: trials train as one population here")
        if not isinstance(hyperparameters, HyperParameters | None):
            raise OptionError(
                f"Expected hyperparameters as HyperParameters, got {type(hyperparameters).__name__}. Ask an empty one "
                f"for what you want to say beforehand."
            )
        if max_consecutive_failed_trials != _FAILURES:
            _refuse(
                "max_consecutive_failed_trials", "does not end a search here: it goes on with other settings"
            )
        if max_trials is None and self._search != "grid":
            raise OptionError("Expected max_trials as a whole number, got None. Say how many.")
        if isinstance(objective, list | tuple) and len(objective) > 1 and self._search != "tpe":
            raise OptionError(
                f"Expected one objective for {type(self).__name__}, got {len(objective)}. Take BayesianOptimization, "
                f"or one objective."
            )
        questions = {} if hyperparameters is None else hyperparameters.questions
        preset = Preset(questions, tune_new_entries, allow_new_entries)
        self.hypermodel: Any = hypermodel if hasattr(hypermodel, "build") else _Function(hypermodel)
        self.oracle = _Oracle(self._done)
        self._hypermodel: Any = hypermodel if preset == Preset({}) else _Preset(hypermodel, preset)
        self._objective = _name(objective)
        self._trials = max_trials
        self._repeats, self._seed = executions_per_trial, seed or 0
        self._folder = None
        if directory is not None or project_name is not None:
            self._folder = Path(directory or ".") / (project_name or "untitled_project")
        if overwrite and self._folder is not None and (self._folder / "plan.json").exists():
            rmtree(self._folder)
        self._found: Tuned | None = None

    def search(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Train the trials.

        Args:
            args: As in `fit`: x, y, batch_size, epochs, …, in this order.
            kwargs: Likewise, by name.

        Raises:
            CaviarError: One sentence on what was expected, what was seen, and what to do.
        """
        given = {"epochs": 1, **_fit_arguments(args, kwargs)}
        self._found = tune(
            self._hypermodel,
            trials=self._trials,
            search=self._search,
            options=self._options,
            repeats=self._repeats,
            objective=self._objective,
            seed=self._seed,
            folder=self._folder,
            **given,
        )

    def get_best_hyperparameters(self, num_trials: int = 1) -> list[HyperParameters]:
        """The settings of the best trials, best first."""
        return [one.hyperparameters for one in self.oracle.get_best_trials(num_trials)]

    def get_best_models(self, num_models: int = 1) -> list[keras.Model]:
        """Models of the best settings, trained anew on all rows but those that validate."""
        found = self._done()
        return [found.model(line.number).models[0] for line in found.best_lines[:num_models]]

    def reload(self) -> NoReturn:
        """Not here: a search that is called again finds its trials in the folder.

        Raises:
            OptionError: Always, and says so.
        """
        raise OptionError(
            "Expected the same search(x, y, …) once more, got reload: trials that are in the folder are not trained "
            "again. Leave overwrite out, and call search."
        )

    @property
    def project_dir(self) -> str:
        """The folder of the trials."""
        return str(self._done().path if self._folder is None else self._folder)

    def search_space_summary(self, extended: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - KerasTuner's
        """Print what is searched; as much where `extended` is not asked for."""
        space = self._space()
        said = ["Search space summary"]
        said += [_described(parameter) for parameter in space.parameters]
        _say(said)

    def results_summary(self, num_trials: int = 10) -> None:
        """Print the best trials, and what may be said of the best one."""
        found = self._done()
        said = [found.record.sentence]
        said += [
            f"Trial {line.number}: {found.record.metric} {line.score[0]:.6g}, {line.settings}"
            for line in found.best_lines[:num_trials]
        ]
        _say(said)

    def _space(self) -> Space:
        if self._found is not None:
            return self._found.space
        build = getattr(self._hypermodel, "build", self._hypermodel)
        return discover(lambda hp: call_with(build, 1, 1, hp))

    def _done(self) -> Tuned:
        if self._found is None:
            raise OptionError("Expected a search that has been run, got none. Call search(x, y, …) first.")
        return self._found


def _described(parameter: Parameter) -> str:
    """A parameter as KerasTuner prints it: its name and kind, and what was said of it."""
    told = {name: value for name, value in asdict(parameter.question).items() if value not in (None, ())}
    kind = str(told.pop("kind")).capitalize()
    return f"{parameter.name} ({kind}): {told}"


class RandomSearch(_Tuner):
    """Settings drawn at random."""


class GridSearch(_Tuner):
    """Every combination, defaults first; of a number without steps ten values. It ends after `max_trials`, if given."""

    _search = "grid"
    _options: Mapping[str, Any] = MappingProxyType({"points": POINTS})

    def __init__(
        self,
        hypermodel: Any = None,  # noqa: ANN401
        objective: Any = None,  # noqa: ANN401
        max_trials: int | None = None,
        **others: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(hypermodel, objective, max_trials, **others)


class BayesianOptimization(_Tuner):
    """Asks where good settings are dense (a tree-structured Parzen estimator; KerasTuner fits a Gaussian process)."""

    _search = "tpe"


class Hyperband(_Tuner):
    """Several schedules of successive halving side by side, from many short trainings to few whole ones.

    Args:
        hypermodel: Takes `hp` and returns a compiled model.
        objective: The score that decides.
        max_epochs: Epochs of a whole trial.
        factor: One in how many goes on, for so many times as many epochs.
        hyperband_iterations: How often the whole schedule is run through.
        others: Further arguments, as of the other tuners.
    """

    _search = "hyperband"

    def __init__(
        self,
        hypermodel: Any = None,  # noqa: ANN401
        objective: Any = None,  # noqa: ANN401
        max_epochs: int = 100,
        factor: int = 3,
        hyperband_iterations: int = 1,
        **others: Any,  # noqa: ANN401
    ) -> None:
        if "max_trials" in others:
            _refuse("max_trials", "max_epochs, factor and hyperband_iterations decide about")
        once = schedule_size(max_epochs, factor)
        super().__init__(hypermodel, objective, max(1, round(hyperband_iterations * once)), **others)
        self._epochs, self._options = max_epochs, {"eta": factor, "least": 1 / max_epochs}

    def search(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Train the trials; arguments as in `fit`, but for the epochs, which `max_epochs` decides, as in KerasTuner."""
        given = _fit_arguments(args, kwargs)
        if given.get("epochs", self._epochs) != self._epochs:
            _say(
                [
                    f"epochs={given['epochs']} is left aside: max_epochs={self._epochs} decides, as in KerasTuner."
                ]
            )
        super().search(**{**given, "epochs": self._epochs})


class _Function(HyperModel):
    """A builder as a `HyperModel`."""

    def __init__(self, build: Any) -> None:  # noqa: ANN401
        super().__init__()
        self._build = build

    def build(self, hp: HyperParameters) -> Any:  # noqa: ANN401
        return self._build(hp)


class _Preset:
    """A builder, or a `HyperModel`, of which some questions are said beforehand."""

    def __init__(self, hypermodel: Any, preset: Preset) -> None:  # noqa: ANN401
        self._build, self._preset = getattr(hypermodel, "build", hypermodel), preset
        if callable(getattr(hypermodel, "fit", None)):
            self.fit = hypermodel.fit

    def build(self, hp: HyperParameters, n_inputs: int, n_outputs: int) -> Any:  # noqa: ANN401
        hp.preset(self._preset)
        return call_with(self._build, n_inputs, n_outputs, hp)


def _fit_arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What `search` was given, by the names that it has in `fit`; what is None is left out."""
    usual = inspect.signature(keras.Model.fit)
    try:
        named = usual.bind(None, *args, **kwargs).arguments
    except TypeError as error:
        raise OptionError(
            f"Expected the arguments of fit, but: {error}. Pass x, y, and others by name."
        ) from error
    given = {name: value for name, value in list(named.items())[1:] if value is not None}
    if not {"x", "y"} <= set(given):
        raise OptionError(
            f"Expected x and y as arrays, got {', '.join(given) or 'neither'} alone. Pass both; of a dataset, the "
            f"arrays that it was made of."
        )
    for name in given:
        if name not in _CARRIED_OUT:
            _refuse(name, "is not among what a search passes on")
    if given.get("verbose") == "auto":
        del given["verbose"]
    return given


_OVERRIDDEN = (
    "run_trial",
    *(f"on_{what}_{when}" for what in ("search", "trial", "epoch", "batch") for when in ("begin", "end")),
    *("load_model", "save_model", "populate_space", "score_trial"),
)
"""What KerasTuner calls in a subclass."""

_OTHERS = "Take RandomSearch, GridSearch, BayesianOptimization or Hyperband"
_ABSENT = {
    "applications": "Write a builder that asks hp for the settings of a network of keras.applications",
    **dict.fromkeys(("Tuner", "Oracle", "oracles", "tuners", "engine", "synchronized"), _OTHERS),
    "errors": "Raise any other exception: a trial whose builder raises has failed, and the others go on",
    "SklearnTuner": "Take scikit-learn's own searches for models that are no networks",
}


def __getattr__(name: str) -> NoReturn:
    if name in _ABSENT:
        raise OptionError(f"Expected what caviar.keras_tuner carries out, got {name}. {_ABSENT[name]}.")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _say(lines: Sequence[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def _refuse(name: str, why: str) -> NoReturn:
    raise OptionError(f"Expected KerasTuner's usual arguments, got {name}, which {why}. Leave it out.")


def _name(objective: Any) -> Any:  # noqa: ANN401
    """The names of objectives, of held-out rows; a direction must be the one that the score has."""
    if isinstance(objective, (list, tuple)):
        return [_name(one) for one in objective]
    if objective is None:
        return None
    name = str(getattr(objective, "name", objective))
    plain = name.removeprefix("val_")
    known = plain == "loss" or metric_meant(plain) is not None
    if known and plain == name:
        raise OptionError(
            f"Expected an objective of held-out rows, got {name!r}, which is that of the training rows: the best "
            f"would be what overfits most. Say 'val_{name}'."
        )
    if not known:
        raise OptionError(
            f"Expected one of val_loss, {', '.join(f'val_{metric.name}' for metric in METRICS)}, or Keras' names of "
            f"these, got {name!r}, of which neither score nor direction is known. Name one of them."
        )
    metric = metric_meant(plain)
    right = "max" if metric is not None and metric.higher_is_better else "min"
    if getattr(objective, "direction", right) != right:
        raise OptionError(
            f"Expected the direction that {name} has, {right!r}, got {objective.direction!r}. Correct it."
        )
    return name
