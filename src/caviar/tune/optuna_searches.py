"""Searches that learn from outcomes: Optuna's samplers, asked a generation at a time.

A study in memory is asked for positions on the parameters' axes, so that every scale of `hp` is known to every
sampler, also those that Optuna has no distribution for. Whoever wants to watch with Optuna's tools gives `journal`:
there the trials stand with their real settings.
"""

import math
import warnings
from collections.abc import Callable, Hashable, Sequence
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from caviar.errors import OptionError
from caviar.tune.fresh import Fresh
from caviar.tune.journal import Journal
from caviar.tune.parameter import Parameter
from caviar.tune.quiet import quiet
from caviar.tune.search import Candidate, Generations, Outcome, Plan, Settings, settled
from caviar.tune.space import Space

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.samplers import BaseSampler

REPEATS = 10
"""Times in a row that a sampler may repeat itself before it is given settings drawn at random."""


def tpe_search(
    space: Space,
    trials: int,
    seed: int = 0,
    start: Sequence[Settings] = (),
    *,
    objectives: int = 1,
    generation: int = 16,
    journal: str | Path | None = None,
    study: str = "caviar",
) -> Generations:
    """Tree-structured Parzen estimator: asks where good settings are dense and bad ones are not.

    The first generation is random. Inside a generation, settings still in training count as bad ones ("constant
    liar"), which keeps it from asking for the same place over and over.

    Args:
        space: What may be set.
        trials: How many candidates at most; fewer where the space has no more.
        seed: Of the sampler.
        start: Settings that come first; what they leave out is set to defaults.
        objectives: How many scores are weighed against each other.
        generation: How many candidates are asked before they are told: fewer learn more, more train faster together.
        journal: File, or database URL, to which trials are copied after each generation.
        study: Name of the study there.

    >>> from caviar.tune.space import discover
    >>> search = tpe_search(discover(lambda hp: hp.Float("drop", 0.0, 1.0)), 40, generation=10)
    >>> while asked := search.ask(10):
    ...     search.tell([Outcome(one.number, one.settings, (abs(one.settings["drop"] - 0.7),)) for one in asked])
    ...     last = [one.settings["drop"] for one in asked]
    >>> abs(sum(last) / 10 - 0.7) < 0.1
    True

    Raises:
        OptionError: No trials are allowed, `start` does not fit, or the journal cannot be opened.

    Source: Bergstra et al. (2011), "Algorithms for hyper-parameter optimization"; Optuna's TPESampler.
    """

    def sampler() -> "BaseSampler":
        from optuna.exceptions import ExperimentalWarning
        from optuna.samplers import TPESampler

        grouped = space.is_conditional and objectives == 1
        with warnings.catch_warnings():
            # Learning groups of parameters that count together is marked as experimental; without it, parameters
            # that do not always count would be learned one by one.
            warnings.filterwarnings("ignore", message="Argument ``group``", category=ExperimentalWarning)
            return TPESampler(seed=seed, n_startup_trials=generation, group=grouped, constant_liar=True)

    return _search(space, trials, seed, start, sampler, objectives, generation, journal, study)


def gaussian_process_search(
    space: Space,
    trials: int,
    seed: int = 0,
    start: Sequence[Settings] = (),
    *,
    objectives: int = 1,
    generation: int = 8,
    journal: str | Path | None = None,
    study: str = "caviar",
) -> Generations:
    """Bayesian optimisation: fits a Gaussian process to the scores, and asks where it promises most improvement.

    The first generation is random. Made for few trials of few numbers; each one costs up to seconds to find.
    Parameters that do not always count are drawn at random. Needs torch.

    Args:
        space: What may be set.
        trials: How many candidates at most; fewer where the space has no more.
        seed: Of the sampler.
        start: Settings that come first; what they leave out is set to defaults.
        objectives: How many scores are weighed against each other.
        generation: How many candidates are asked before they are told.
        journal: File, or database URL, to which trials are copied after each generation.
        study: Name of the study there.

    >>> from caviar.tune.space import discover
    >>> space = discover(lambda hp: hp.Float("drop", 0.0, 1.0))
    >>> search = gaussian_process_search(space, 20)  # doctest: +SKIP

    Raises:
        OptionError: torch is missing, no trials are allowed, `start` does not fit, or the journal cannot be opened.

    Source: Snoek et al. (2012), "Practical Bayesian optimization of machine learning algorithms"; Optuna's GPSampler.
    """
    _require_installed("torch", "gp", "Bayesian optimisation with a Gaussian process")

    def sampler() -> "BaseSampler":
        from optuna.samplers import GPSampler

        return GPSampler(seed=seed, n_startup_trials=generation, warn_independent_sampling=False)

    return _search(space, trials, seed, start, sampler, objectives, generation, journal, study)


def cma_es_search(
    space: Space,
    trials: int,
    seed: int = 0,
    start: Sequence[Settings] = (),
    *,
    generation: int | None = None,
    journal: str | Path | None = None,
    study: str = "caviar",
) -> Generations:
    """CMA-ES: draws each generation from a normal distribution that moves and stretches towards the best.

    The first generation is random. Made for two to some tens of numbers that always count. Needs cmaes.

    Args:
        space: What may be set: at least two numbers, no choice without order, nothing that depends on another.
        trials: How many candidates at most; fewer where the space has no more.
        seed: Of the sampler.
        start: Settings that come first; what they leave out is set to defaults.
        generation: How many candidates are asked before they are told; None: 4 + 3 log(numbers), as in the source.
        journal: File, or database URL, to which trials are copied after each generation.
        study: Name of the study there.

    >>> from caviar.tune.space import discover
    >>> both = discover(lambda hp: (hp.Float("drop", 0, 1), hp.Boolean("norm")))
    >>> cma_es_search(both, 40)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    caviar.errors.OptionError: Expected numbers alone for CMA-ES, asked for in every trial, got 'norm', a choice. ...

    Raises:
        OptionError: The space is another one, cmaes is missing, no trials are allowed, `start` does not fit, or the
            journal cannot be opened.

    Source: Hansen (2016), "The CMA evolution strategy: a tutorial"; Optuna's CmaEsSampler.
    """
    searched = [parameter for parameter in space.parameters if parameter.is_searched]
    unfit = [
        f"{one.name!r}, {'asked for only sometimes' if one.question.conditions else 'a choice'}"
        for one in searched
        if not one.is_numeric or one.question.conditions
    ]
    if unfit:
        raise OptionError(
            f"Expected numbers alone for CMA-ES, asked for in every trial, got {'; '.join(unfit)}. Search by tpe, or "
            f"fix what is named."
        )
    if len(searched) < 2:
        raise OptionError(f"Expected at least two numbers for CMA-ES, got {len(searched)}. Search at random.")
    _require_installed("cmaes", "cma", "CMA-ES")
    size = 4 + math.floor(3 * math.log(len(searched))) if generation is None else generation

    def sampler() -> "BaseSampler":
        from optuna.samplers import CmaEsSampler

        return CmaEsSampler(seed=seed, popsize=size, warn_independent_sampling=False)

    return _search(space, trials, seed, start, sampler, 1, size, journal, study)


def nsga_search(
    space: Space,
    trials: int,
    seed: int = 0,
    start: Sequence[Settings] = (),
    *,
    objectives: int = 1,
    generation: int = 16,
    journal: str | Path | None = None,
    study: str = "caviar",
) -> Generations:
    """NSGA-II: crosses and mutates the settings that no others beat in every score.

    The first generation is random.

    Args:
        space: What may be set.
        trials: How many candidates at most; fewer where the space has no more.
        seed: Of the sampler.
        start: Settings that come first; what they leave out is set to defaults.
        objectives: How many scores are weighed against each other.
        generation: How many candidates are asked before they are told: the size of the population.
        journal: File, or database URL, to which trials are copied after each generation.
        study: Name of the study there.

    >>> from caviar.tune.space import discover
    >>> search = nsga_search(discover(lambda hp: hp.Int("units", 8, 64)), 32, objectives=2)
    >>> len(search.ask(100))
    16

    Raises:
        OptionError: No trials are allowed, `start` does not fit, or the journal cannot be opened.

    Source: Deb et al. (2002), "A fast and elitist multiobjective genetic algorithm: NSGA-II"; Optuna's NSGAIISampler.
    """

    def sampler() -> "BaseSampler":
        from optuna.samplers import NSGAIISampler

        return NSGAIISampler(seed=seed, population_size=generation)

    return _search(space, trials, seed, start, sampler, objectives, generation, journal, study)


class _Asking:
    """A study in memory that speaks of settings, where Optuna speaks of positions on axes."""

    def __init__(self, space: Space, sampler: Callable[[], "BaseSampler"], objectives: int) -> None:
        import optuna

        self._space = space
        self._objectives = objectives
        self._scores: dict[Hashable, list[float] | None] = {}
        with quiet():
            self._study = optuna.create_study(sampler=sampler(), directions=["minimize"] * objectives)

    def suggest(self, fresh: Fresh, rng: np.random.Generator) -> tuple["Trial", dict[str, Any]] | None:
        """Settings that were not asked before, if need be random ones; None where there are none left."""
        with quiet():
            for _ in range(REPEATS):
                if fresh.nothing_left:
                    return None
                trial = self._study.ask()
                settings = self._suggested(trial)
                if fresh.take(settings):
                    return trial, settings
                self._answer(trial, self._scores.get(self._space.key(settings)))
        drawn = fresh.draw(rng)
        return None if drawn is None else (self.given(drawn), drawn)

    def given(self, settings: dict[str, Any]) -> "Trial":
        """A trial of settings that the sampler did not choose."""
        with quiet():
            self._study.enqueue_trial(
                {
                    one.name: _at(one, settings[one.name])
                    for one in self._space.parameters
                    if one.name in settings
                }
            )
            trial = self._study.ask()
            self._suggested(trial)
        return trial

    def tell(self, trials: Sequence["Trial"], outcomes: Sequence[Outcome]) -> None:
        """Hand on how a generation did. A trial that failed counts as bad as the worst so far."""
        for outcome in outcomes:
            if len(outcome.score) < self._objectives:
                raise OptionError(
                    f"Expected {self._objectives} scores of each candidate, got {len(outcome.score)} of number "
                    f"{outcome.number}. Give as many, or search for fewer objectives."
                )
            key = self._space.key(outcome.settings)
            self._scores[key] = None if outcome.failed else list(outcome.score[: self._objectives])
        finite = [score for score in self._scores.values() if score is not None]
        worst = np.max(finite, axis=0).tolist() if finite else None
        with quiet():
            for trial, outcome in zip(trials, outcomes, strict=True):
                score = self._scores[self._space.key(outcome.settings)]
                self._answer(trial, worst if score is None else score)

    def _answer(self, trial: "Trial", score: list[float] | None) -> None:
        from optuna.trial import TrialState

        if score is None:
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._study.tell(trial, score)

    def _suggested(self, trial: "Trial") -> dict[str, Any]:
        settings: dict[str, Any] = {}
        for parameter in self._space.parameters:
            if self._space.active(parameter, settings):
                settings[parameter.name] = _suggestion(trial, parameter)
        return settings


def _search(
    space: Space,
    trials: int,
    seed: int,
    start: Sequence[Settings],
    sampler: Callable[[], "BaseSampler"],
    objectives: int,
    generation: int,
    journal: str | Path | None,
    study: str,
) -> Generations:
    """The search that asks a sampler for generation after generation."""
    if objectives < 1 or generation < 2:
        raise OptionError(
            f"Expected at least one objective and generations of at least two, got {objectives} and {generation}. "
            f"Raise them."
        )
    first = settled(space, trials, start)
    copy = None if journal is None else Journal(journal, study, space, objectives)

    def plan() -> Plan:
        asking, fresh, number = _Asking(space, sampler, objectives), Fresh(space, first), count()
        rng, left = np.random.default_rng([seed, 1]), trials
        asked = [(asking.given(settings), settings) for settings in first]
        while left > 0:
            while len(asked) < min(generation, left) and (pair := asking.suggest(fresh, rng)) is not None:
                asked.append(pair)
            if not asked:
                return
            left -= len(asked)
            outcomes = yield [Candidate(next(number), settings) for _, settings in asked]
            asking.tell([trial for trial, _ in asked], outcomes)
            if copy is not None:
                copy.add(outcomes)
            asked = []

    return Generations(plan())


def _suggestion(trial: "Trial", parameter: Parameter) -> Any:  # noqa: ANN401
    """What Optuna suggests for one parameter."""
    if parameter.points is None or not parameter.is_even:
        return parameter.draw(trial.suggest_float(parameter.name, 0.0, 1.0))
    if parameter.is_numeric:
        return parameter.points[trial.suggest_int(parameter.name, 0, len(parameter.points) - 1)]
    return trial.suggest_categorical(parameter.name, parameter.points)


def _at(parameter: Parameter, value: Any) -> Any:  # noqa: ANN401
    """What Optuna would have suggested, had it meant that value."""
    if parameter.points is None or not parameter.is_even:
        return min(max(parameter.place(value), 0.0), 1.0)
    if parameter.is_numeric:
        return int(parameter.place(value) * len(parameter.points))
    return value


def _require_installed(package: str, extra: str, what: str) -> None:
    if find_spec(package) is None:
        raise OptionError(
            f"Expected the package {package} for {what}, got none. Install it: pip install '.[{extra}]' in Caviar's "
            f"folder, or pip install {package}."
        )
