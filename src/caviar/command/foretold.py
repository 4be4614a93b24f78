"""`python -m caviar.command.foretold PROCESS COMMAND …`: how long will an experiment take? A rehearsal tells.

Only where it is known beforehand how much is trained: comparisons, studies of stability, range tests, and searches. A
run of `improve` goes by what it finds, and so do diagnoses.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from caviar.command.attached import attach
from caviar.comparing.compare import bench_and_recipes, builders_and_table
from caviar.comparing.stability import bench_and_recipe
from caviar.errors import CaviarError
from caviar.measuring.measure import Bench, jobs_for
from caviar.measuring.table import REFERENCE_INPUTS, find_scale, keras_speaks_plainly
from caviar.planning.plan import REPEATS
from caviar.population.job import Job
from caviar.population.speed import rehearsed
from caviar.population.together import count_populations
from caviar.progress import Clock, Voice
from caviar.rates.lr_range import range_jobs
from caviar.run.study import StudyFolder
from caviar.searching.folder import make_search
from caviar.searching.trials import SEEDS_APART
from caviar.searching.tune import study_of_table
from caviar.tune.search import Search, work_of

_BEGAN = time.monotonic()
_MOST_TRIALS = 64
"""Trials of a search that are rehearsed; more take proportionally longer."""
_MOST_PROGRAMS = 4
"""Each of them is compiled for the rehearsal, which would take as long as the experiment where they are many."""


_WATCHED = 1.0
"""Seconds that each population is watched."""
_REFERENCES = 2
"""Splits whose reference rows are scored, each of which takes as long as the others."""

_Work = tuple[list[Job], float, float]
"""What is trained, how many times as much as is rehearsed, and seconds that something else takes as well."""


class CannotTell(Exception):  # noqa: N818 - an outcome, not an error
    """Why nobody knows how long an experiment will take."""


def foretell(command: str, given: Mapping[str, Any], began: float) -> float:
    """Seconds that an experiment will take, from its beginning to its end.

    Args:
        command: Its command, one of `caviar.prepared.queue.REHEARSED`.
        given: Its arguments and options under their names, as the command line reads them.
        began: What `time.monotonic()` said when this process began, which is as slow to begin as the experiment.

    Raises:
        CannotTell: That is not known before.
        CaviarError: The experiment cannot be begun.
    """
    from caviar.command.options import taken_out

    plain = dict(given)
    reading = taken_out(plain)
    target = reading.pop("target")
    with keras_speaks_plainly():
        jobs, share, further = _PREPARED[command](plain, target, reading)
        ready = time.monotonic() - began + further
        programs = count_populations(jobs)
        if programs > _MOST_PROGRAMS:
            raise CannotTell(
                f"its trials need {programs} programs or more, and each of them is to be compiled"
            )
        found = rehearsed(jobs, seconds=_WATCHED)
    if found is None:
        raise CannotTell("its networks cannot be trained as a population")
    return ready + found.beginning + share * found.rest


def _comparison(given: dict[str, Any], target: Any, reading: dict[str, Any]) -> _Work:  # noqa: ANN401
    builders, table = builders_and_table(given["names"])
    names = ("metric", "epochs", "batch_size", "folds", "repeats", "seed")
    bench, recipes, _ = bench_and_recipes(
        builders, table, target, **{name: given[name] for name in names}, reading=reading
    )
    return jobs_for(bench, recipes, seeds=given["seeds"]), 1.0, _further_references(bench)


def _stability(given: dict[str, Any], target: Any, reading: dict[str, Any]) -> _Work:  # noqa: ANN401
    names = ("model", "metric", "epochs", "batch_size", "folds", "repeats", "seed")
    bench, recipe = bench_and_recipe(
        given["table"],
        target,
        **{name: given[name] for name in names},
        voice=Voice(quiet=True),
        reading=reading,
    )
    return jobs_for(bench, [recipe], first_repeat_seeds=given["seeds"]), 1.0, _further_references(bench)


def _rates(given: dict[str, Any], target: Any, reading: dict[str, Any]) -> _Work:  # noqa: ANN401
    names = (
        "model",
        "rates",
        "share",
        "sweep",
        "updates",
        "metric",
        "epochs",
        "batch_size",
        "folds",
        "repeats",
    )
    asked = {name: given[name] for name in (*names, "seeds", "seed")}
    return range_jobs(given["table"], target, **asked, reading=reading), 1.0, 0.0


def _search(given: dict[str, Any], target: Any, reading: dict[str, Any]) -> _Work:  # noqa: ANN401
    from caviar.searching.tune import search_options

    options = search_options(given["option"] or ())
    names = ("model", "search", "folds", "repeats", "metric", "epochs", "batch_size", "rates", "seed")
    study, method = study_of_table(
        given["table"],
        target,
        **{name: given[name] for name in names},
        options=options,
        reading=reading,
        clock=Clock(None),
        voice=Voice(quiet=True),
        folder=lambda name: StudyFolder(Path(name)),  # nothing is written
    )
    trials = given["trials"]

    def search() -> Search:
        return make_search(study, method, trials, [study.space.default()], options)

    asked = search().ask(min(trials, _MOST_TRIALS))
    recipes = [study.settled(one.settings, one.number) for one in asked]
    work = float(trials)
    if method.parts:  # and the best trial and the defaults on rows kept apart, a network per seed
        work = work_of(search(), study.bench.shape[1]) + 2 * SEEDS_APART / len(study.bench.splits)
    return jobs_for(study.bench, recipes), work / len(asked), 0.0


def _further_references(bench: Bench) -> float:
    """Seconds that the reference rows of the other splits take, after those of the first ones were scored."""
    few = replace(bench, splits=bench.splits[:_REFERENCES])
    bench.inputs(REFERENCE_INPUTS)
    few.inputs(REFERENCE_INPUTS)
    began = time.monotonic()
    find_scale(few, None, Voice(quiet=True))
    scored = sum(split.repeat < REPEATS for split in bench.splits)
    return (time.monotonic() - began) * (scored / len(few.splits) - 1)


_PREPARED: Mapping[str, Callable[..., _Work]] = {
    "compare": _comparison,
    "stability": _stability,
    "lr-range": _rates,
    "tune": _search,
}
"""The commands whose trainings are known beforehand."""


def main(words: list[str]) -> None:
    """Read a command line without carrying it out, and say as JSON how long it would take, or why that is not known."""
    import typer

    from caviar.command.main import app

    command, *rest = words
    try:
        context = typer.main.get_command(app).commands[command].make_context(command, rest)  # type: ignore[attr-defined]
        said: dict[str, Any] = {"seconds": foretell(command, context.params, _BEGAN)}
    except (CannotTell, CaviarError) as why:
        said = {"why": str(why)}
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    attach(int(sys.argv[1]))
    main(sys.argv[2:])
