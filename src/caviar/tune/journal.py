"""Where can others watch a search with Optuna's own tools? In a copy of its trials, as an ordinary study.

The copy is written and never read back: a search is rebuilt from its outcomes. What samplers keep for themselves
stays out of it, as Optuna's CMA-ES keeps pickles.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caviar.errors import OptionError, RunError
from caviar.tune.parameter import Parameter
from caviar.tune.quiet import quiet
from caviar.tune.search import Outcome
from caviar.tune.space import Space

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

FILE = "optuna.log"
"""Name of the copy in a search's own folder."""
NUMBER = "candidate"
"""User attribute of a trial: the candidate's number."""
SEARCH = "search"
"""User attribute of a study: which search it copies."""


class Journal:
    """A study of another storage that repeats what a search was told.

    Args:
        target: Path of a journal file, which is made if it is missing; or the URL of a database that Optuna knows.
        study: Name of the study there; one of that name is gone on with.
        space: What may be set.
        objectives: How many scores a trial has.
        higher: For each of them, whether higher is better: the copy then holds the score, not its negative. All are
            as the search is told of them if not given.
        names: What the scores are called.
        search: Tells this search from others; a copy of another one is refused.

    Raises:
        OptionError: The storage cannot be opened, or the study there is another one.
    """

    def __init__(
        self,
        target: str | Path,
        study: str,
        space: Space,
        objectives: int,
        *,
        higher: Sequence[bool] = (),
        names: Sequence[str] = (),
        search: str = "",
    ) -> None:
        import optuna

        self._higher = tuple(higher) or (False,) * objectives
        self._distributions = {parameter.name: _distribution(parameter) for parameter in space.parameters}
        try:
            with quiet():
                self._study: Study = optuna.create_study(
                    storage=_storage(target),
                    study_name=study,
                    directions=["maximize" if one else "minimize" for one in self._higher],
                    load_if_exists=True,
                )
        except _failures(target) as error:
            raise OptionError(
                f"Expected a file or database to copy trials to, got {str(target)!r}: "
                f"{str(error).splitlines()[0]}. Give another one, or none."
            ) from error
        if search:
            self._claim(search, names, target)
        if len(self._study.directions) != objectives:
            raise OptionError(
                f"Expected a study of {objectives} objectives, got {study!r} in {str(target)!r} with "
                f"{len(self._study.directions)}. Give another name or file."
            )
        self._known = {trial.user_attrs.get(NUMBER) for trial in self._study.get_trials(deepcopy=False)}
        self._target = target

    def _claim(self, search: str, names: Sequence[str], target: str | Path) -> None:
        """Mark a new study as this search's copy; refuse another's."""
        import optuna

        held = self._study.user_attrs.get(SEARCH)
        if held is None and not self._study.get_trials(deepcopy=False):
            self._study.set_user_attr(SEARCH, search)
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore", optuna.exceptions.ExperimentalWarning
                )  # naming scores is marked so
                self._study.set_metric_names(list(names))
        elif held != search:
            raise OptionError(
                f"Expected a study {self._study.study_name!r} of this search in {str(target)!r}, got another's. Search "
                f"in a folder of another name, after which the study is called, or copy to another file."
            )

    def add(self, outcomes: Sequence[Outcome], notes: Mapping[int, Mapping[str, Any]] | None = None) -> None:
        """Write down outcomes that are not there yet; a trial that failed has no values.

        Args:
            outcomes: As a search is told of them.
            notes: What is noted with a trial, by its number. `seconds` says how long it took, too; one with a `share`
                below 1 of a whole trial's training counts as pruned, with its score up to then, in per cent.

        Raises:
            RunError: The storage cannot be written any more.
        """
        try:
            with quiet():
                self._study.add_trials(
                    [
                        self._trial(one, (notes or {}).get(one.number, {}))
                        for one in outcomes
                        if one.number not in self._known
                    ]
                )
        except _failures(self._target) as error:
            raise RunError(
                f"Expected to copy trials to {str(self._target)!r}, got {str(error).splitlines()[0]}. "
                f"Make it writable, or go on without a journal."
            ) from error
        self._known |= {one.number for one in outcomes}

    def _trial(self, outcome: Outcome, notes: Mapping[str, Any]) -> "FrozenTrial":
        from optuna.trial import TrialState, create_trial

        told = zip(outcome.score, self._higher, strict=False)  # a search may be told of more
        scores = None if outcome.failed else [-score if higher else score for score, higher in told]
        share = notes.get("share", 1.0)
        is_part = share < 1 and scores is not None and len(scores) == 1
        trial = create_trial(
            state=TrialState.FAIL
            if scores is None
            else TrialState.PRUNED
            if is_part
            else TrialState.COMPLETE,
            values=scores,
            intermediate_values={round(100 * share): scores[0]} if is_part and scores else None,
            params=outcome.settings,
            distributions={name: self._distributions[name] for name in outcome.settings},
            user_attrs={NUMBER: outcome.number, **notes},
        )
        if trial.datetime_complete is not None and "seconds" in notes:
            trial.datetime_start = trial.datetime_complete - timedelta(seconds=notes["seconds"])
        return trial


def study_in(path: Path) -> str | None:
    """Name of the study that a search's own copy holds, whatever the folder is called by now; None where there is none.

    Raises:
        OptionError: The file cannot be read.
    """
    import optuna

    if not path.exists():
        return None
    try:
        with quiet():
            return next(iter(optuna.get_all_study_names(_storage(path))), None)
    except _failures(path) as error:
        raise OptionError(
            f"Expected the copy of a search's trials in {str(path)!r}, got {str(error).splitlines()[0]}. Move it away: "
            f"it is made anew."
        ) from error


def _is_database(target: str | Path) -> bool:
    return "://" in str(target)


def _failures(target: str | Path) -> tuple[type[Exception], ...]:
    """What is raised where a storage cannot be used."""
    from optuna.exceptions import OptunaError

    if not _is_database(target):
        return OSError, ValueError, OptunaError  # a line that was cut off is no JSON
    from sqlalchemy.exc import SQLAlchemyError

    return OSError, ImportError, SQLAlchemyError, OptunaError


def _storage(target: str | Path) -> "str | BaseStorage":
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    if _is_database(target):
        return str(target)
    path = Path(target)
    # The other kind of lock is a symbolic link, which not every system lets everybody make.
    lock = JournalFileOpenLock(str(path))

    class Unhurried(JournalFileBackend):
        """The system decides when lines reach the disk: waiting takes most of the time, and a copy can be made anew."""

        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            lines = "".join(f"{json.dumps(log, separators=(',', ':'))}\n" for log in logs)
            lock.acquire()
            try:
                with path.open("ab") as file:
                    file.write(lines.encode("utf-8"))
            finally:
                lock.release()

    return JournalStorage(Unhurried(str(path), lock_obj=lock))


def _distribution(parameter: Parameter) -> "BaseDistribution":
    """Optuna's words for a parameter. Steps are left out: settings that a search starts from may lie between them."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    asked = parameter.question
    if asked.kind not in {"int", "float"}:
        return CategoricalDistribution(asked.values)
    assert asked.low is not None
    assert asked.high is not None
    if asked.kind == "int":
        return IntDistribution(int(asked.low), int(asked.high), log=asked.sampling == "log")
    return FloatDistribution(asked.low, asked.high, log=asked.sampling == "log")
