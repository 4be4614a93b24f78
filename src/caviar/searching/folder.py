"""How is a search carried out in its folder, gone on with, and told of?"""

import hashlib
import importlib.metadata
import inspect
import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np

from caviar.errors import CaviarError, OptionError, RunError
from caviar.evaluate.wording import digits, interval, listed
from caviar.measuring.table import try_fitting
from caviar.population.begun import why_not
from caviar.population.template import sketch
from caviar.recipe.callbacks import left_out
from caviar.recipe.recipe import Recipe
from caviar.recipe.settled import Searched
from caviar.report.search import write_search
from caviar.run.call import files, written
from caviar.run.study import SearchRecord, TrialLine, alike
from caviar.searching.starting import starts
from caviar.searching.trials import Judge, Study, Winner, conclude, front, outcome, run
from caviar.tune.grid import POINTS, whole_grid
from caviar.tune.importance import importances
from caviar.tune.journal import FILE, Journal, study_in
from caviar.tune.last_round import first_of, with_last_round
from caviar.tune.search import Search, begins_again
from caviar.tune.space import Space
from caviar.tune.table import Method, search_named

_GIVEN = (
    "objectives",
    "folds",
    "over",
    "journal",
    "study",
)  # arguments of searches that follow from the rest


def method_of(search: str, objectives: int, options: Mapping[str, Any]) -> Method:
    """The way of searching of that name, which must take so many objectives and these options.

    Raises:
        OptionError: It does not, or there is none.
    """
    method = search_named(search)
    if not isinstance(options, Mapping):
        raise OptionError(
            f"Expected options as a dict of names and values, got {options!r}. Write one, such as {{'eta': 4}}."
        )
    own = inspect.signature(method.make).parameters.values()
    known = [one.name for one in own if one.kind is one.KEYWORD_ONLY and one.name not in _GIVEN]
    hints = get_type_hints(getattr(method.make, "func", method.make))  # of what is partial, the whole
    for name in options:
        if name not in known:
            raise OptionError(
                f"Expected options of {search!r} ({', '.join(known) or 'it has none'}), got {name!r}. Correct it, or "
                f"leave it out."
            )
        _check_option(name, options[name], hints[name])
    if objectives > 1 and not method.many_objectives:
        raise OptionError(
            f"Expected one objective for {search!r}, which looks at one score, got {objectives}. "
            f"Take tpe or nsga, or one objective."
        )
    return method


def search_in_folder(
    study: Study,
    method: Method,
    trials: int | None,
    start: Any,  # noqa: ANN401
    options: Mapping[str, Any],
    storage: str | Path | None,
    call: dict[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
) -> tuple[Recipe, SearchRecord, Path, list[TrialLine]]:
    """Search, and say what came out.

    Args:
        study: What is searched.
        method: How.
        trials: How many settings at most; None for a whole grid.
        start: What they begin with.
        options: Further arguments of the method.
        storage: Where a copy for Optuna's tools is kept; where Optuna is asked, in the folder if not given.
        call: What it takes to go on with this very search.
        data: What it takes to build its recipes again for other rows: of a "table", or of "arrays".

    Returns:
        The best recipe, the record, the folder, and all trials.

    Raises:
        CaviarError: One sentence on what was expected, what was seen, and what to do.
    """
    with study.folder.worked_on():
        return _search(study, method, trials, start, options, storage, call, data)


def _check_option(name: str, value: Any, hint: Any) -> None:  # noqa: ANN401 - a person's, and a type
    """Refuse an option of a search that is not what it takes: a whole number, a number, or names."""
    kinds = get_args(hint) or (hint,)
    if value is None and type(None) in kinds:
        return
    plain = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    is_number = plain and math.isfinite(value)
    if int in kinds:
        what, suits = "a whole number", is_number and float(value).is_integer()
    elif float in kinds:
        what, suits = "a number", is_number
    else:
        what = "names"
        suits = (
            isinstance(value, Sequence)
            and not isinstance(value, str)
            and all(isinstance(one, str) for one in value)
        )
    if not suits:
        if isinstance(value, tuple) and len(value) == 1:  # what the command line takes for a single name
            (value,) = value
        raise OptionError(f"Expected {name} as {what}, got {value!r}. Correct it, or leave it out.")


def _as_json(value: Any) -> Any:  # noqa: ANN401 - an option
    """An option of a search as a file gives it back."""
    if isinstance(value, np.generic):
        return value.item()
    return list(value) if isinstance(value, Sequence) else value


def _search(
    study: Study,
    method: Method,
    trials: int | None,
    start: Any,  # noqa: ANN401
    options: Mapping[str, Any],
    storage: str | Path | None,
    call: dict[str, Any] | None,
    data: Mapping[str, Any] | None,
) -> tuple[Recipe, SearchRecord, Path, list[TrialLine]]:
    before = study.folder.plan()
    first = [study.space.default()]
    options = {name: _as_json(value) for name, value in options.items()}

    def begin() -> Search:
        return make_search(study, method, most, first, options)

    try:
        begun = starts(
            start,
            study.space,
            study.n_inputs,
            study.bench.dataset.n_outputs,
            (before or {}).get("sources", {}),
        )
        first += [one.settings for one in begun]
        most, options = _bounded(study, method, trials, first, options)
        going, plan = begin(), _plan(study, method.name, most, first) | {"options": options}
        _require_trainable(study, method, is_new=before is None)
        if before is not None:
            _require_same(study.space, before, plan)
        study = _copying(study, method, storage, plan)
    except CaviarError:
        study.folder.give_up()
        raise
    plan |= data or {}
    if call is not None:
        given = call | ({"options": options} if options else {})
        plan["call"] = {"arguments": written(given), "files": files(call)}
    plan["sources"] = {one.source: one.settings for one in begun if one.source}
    for one in begun:
        if one.sentence:
            study.voice.note(one.sentence)
    path = study.folder.path
    again = f"`caviar resume {path}`" if call is not None else f"the same call with folder={str(path)!r}"
    if before is None:
        study.folder.begin(plan)
        study.voice.say(f"  Kept in {study.folder.path}. Should it be stopped, {again} goes on with it.")
        lines: list[TrialLine] = []
    else:
        lines = study.folder.lines()
        known = {line.number: outcome(study, line) for line in lines}
        going = begin().replay(list(known.values()))
        again_too = method.parts and begins_again(begin(), known)
        study.voice.say(
            f"  {len(lines)} trials are finished already."
            + " Those that go on with one of them are trained from their beginning once more."
            * bool(again_too)
        )
        study.copy(lines)
    earlier = sum(line.seconds for line in lines)
    judge = None if study.apart is None else Judge(study, study.apart)
    try:
        lines = run(study, going, lines, most, judge, begin if method.parts else None)
    except KeyboardInterrupt:
        study.voice.say(f"  Stopped. {again[0].upper()}{again[1:]} goes on with it.")
        raise
    winner = conclude(study, lines, judge)
    drawn = _drawn(study, method, most, len(first), lines)
    record = _recorded(study, method.name, winner, lines, drawn, earlier)
    study.folder.finish(record)
    write_search(study.folder.path, record, lines, study.space)
    return study.recipe(winner.line), record, study.folder.path, lines


def _bounded(
    study: Study,
    method: Method,
    trials: int | None,
    start: Sequence[dict[str, Any]],
    options: dict[str, Any],
) -> tuple[int, dict[str, Any]]:
    """How many trials there are at most, and the options: of a whole grid, where no number is given."""
    if trials is not None:
        return trials, options
    if method.name != "grid":
        raise OptionError(
            f"Expected a number of trials for {method.name!r}, got None, which stands for a whole grid. Give one."
        )
    options = {"points": POINTS, **options}
    return whole_grid(study.space, options["points"], start), options


def make_search(
    study: Study, method: Method, trials: int, start: Sequence[dict[str, Any]], options: Mapping[str, Any]
) -> Search:
    """A new search, with a last round about batch size and rate where that suits it."""
    more = dict(options)
    if method.many_objectives:
        more["objectives"] = len(study.objectives)
    if method.over_folds:
        more["folds"] = study.bench.shape[1]

    def make(count: int) -> Search:
        return method.make(study.space, count, study.bench.seed, start, **more)

    if _refines(study, method):
        return with_last_round(make, study.space, trials, partial(_batch_size, study), begun=len(start))
    return make(trials)


def _batch_size(study: Study, settings: dict[str, Any]) -> int:
    """Rows per gradient step with some settings."""
    return study.settled(settings, 0).batch_size


def _refines(study: Study, method: Method) -> bool:
    """Whether a search's last trials may go to batch size and rate once more."""
    return method.refines and len(study.objectives) == 1


def _drawn(
    study: Study, method: Method, trials: int, begun: int, lines: Sequence[TrialLine]
) -> list[TrialLine]:
    """Trials without those of a last round, which are good and alike in all settings but two.

    Args:
        study: What was searched.
        method: How.
        trials: How many settings it might try.
        begun: With how many it began.
        lines: All trials.
    """
    if not _refines(study, method):
        return list(lines)
    first = first_of(study.space, trials, partial(_batch_size, study), begun=begun)
    return [line for line in lines if line.number < first]


def _require_trainable(study: Study, method: Method, *, is_new: bool) -> None:
    """Refuse a model that does not fit the table, and parts where training cannot be carried out so.

    Args:
        study: What is searched.
        method: How.
        is_new: Whether nothing was trained yet.
    """
    recipe = study.settled(study.space.default(), 0)
    if recipe.writers:
        study.voice.note(left_out(recipe.writers))
    if is_new:
        try_fitting(study.bench, recipe)
    if method.parts != "change":
        return
    why = why_not(recipe.callbacks, sketch(recipe.build(study.n_inputs, study.bench.dataset.n_outputs)))
    if why:
        raise OptionError(
            f"Expected members that can be trained in parts, but {why}. Leave that out, or search otherwise."
        )


def _copying(study: Study, method: Method, storage: str | Path | None, plan: dict[str, Any]) -> Study:
    """The study with a copy of its trials for Optuna's tools, if one is asked for, or Optuna itself is."""
    if storage is None and not method.asks_optuna:
        return study
    own = study.folder.path / FILE
    try:
        journal = Journal(
            own if storage is None else storage,
            (study_in(own) if storage is None else None) or study.folder.path.resolve().name,
            study.space,
            len(study.objectives),
            higher=[metric.higher_is_better for metric in study.objectives],
            names=[metric.name for metric in study.objectives],
            search=hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest(),
        )
    except OptionError as error:
        if storage is not None:
            raise
        study.voice.note(str(error))  # nobody asked for this copy: the search does without
        return study

    def copy(lines: Sequence[TrialLine]) -> None:
        notes = {
            line.number: {"seconds": line.seconds, "why": line.why, "share": line.share} for line in lines
        }
        try:
            journal.add([outcome(study, line) for line in lines], notes)
        except RunError as error:  # what was trained is on disk, and what is missing is added the next time
            study.voice.note(str(error))

    return replace(study, copy=copy)


def _plan(study: Study, search: str, trials: int, start: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What makes a search the same search, as JSON knows it."""
    data, bench = study.bench.dataset, study.bench
    print_of = hashlib.sha256()
    weight = () if data.weight is None else (data.weight,)
    for values in (data.features, data.target, *weight, *(split.held_out for split in bench.splits)):
        print_of.update(np.ascontiguousarray(values).data)
    return {
        "search": search,
        "trials": trials,
        "seed": bench.seed,
        "objectives": [metric.name for metric in study.objectives],
        "start": [dict(one) for one in start],
        "rows": data.n_rows,
        "data": print_of.hexdigest(),
        "model": told(study.searched, study.base, study.space.default(), study.n_inputs, data.n_outputs),
        "space": study.space.describe(),
    }


def told(searched: Searched, base: Recipe, defaults: Mapping[str, Any], n_inputs: int, n_outputs: int) -> str:
    """What tells one builder and its fit arguments from others, as far as their defaults go.

    Args:
        searched: Builder and fit arguments.
        base: What is known of table and task.
        defaults: The space's default settings.
        n_inputs: Columns that a network sees.
        n_outputs: Numbers that it says of a row.
    """
    recipe = searched.recipe(base, defaults, "default", n_inputs)
    model = sketch(recipe.build(n_inputs, n_outputs))
    try:
        layers = json.dumps([model.get_config(), model.get_compile_config()], default=str)
    except NotImplementedError:  # a subclassed model knows no configuration
        layers = type(model).__name__
    callbacks = [(type(one).__name__, sorted(map(repr, vars(one).items()))) for one in recipe.callbacks]
    arguments = (
        *(recipe.batch_size, recipe.epochs, callbacks, recipe.preparation, recipe.class_weights),
        *(recipe.class_factors, recipe.shuffle),
    )
    plain = re.sub(r"_\d+|0x[0-9a-f]+", "", f"{layers} {arguments}")  # numbers that Keras gives to names
    return hashlib.sha256(plain.encode()).hexdigest()


def _require_same(space: Space, before: dict[str, Any], now: dict[str, Any]) -> None:
    space.require_same(before["space"])
    for name, what in (
        ("search", "search"),
        ("trials", "number of trials"),
        ("seed", "seed"),
        ("objectives", "objective"),
        ("start", "settings to start from"),
        ("options", "options"),
        ("data", "rows and folds"),
        ("model", "builder and fit arguments"),
    ):
        if before.get(name) != now[name]:
            shown = "" if name in {"data", "model"} else f" ({before.get(name)}, not {now[name]})"
            raise OptionError(
                f"Expected the {what} with which the search in this folder began{shown}, got others. "
                f"Search in a new folder, or with what it began with."
            )


def in_words(study: Study, winner: Winner, lines: Sequence[TrialLine], on_front: int = 0) -> str:
    """The outcome in a few sentences.

    Args:
        study: What was searched.
        winner: The best trial.
        lines: All trials.
        on_front: How many of them no other one beats, where there are several objectives.
    """
    title = study.bench.metric.title
    best = (
        f"Trial {winner.line.number} of {len(lines)} has the best {title}: {digits(winner.naive)} as it looks"
    )
    rows = "on rows that no trial saw" if study.apart is not None else "corrected for having been chosen"
    said = [f"{best}, {digits(winner.score.value)} {rows} ({interval(winner.score)})."]
    if winner.ties:
        several = "s" * (len(winner.ties) > 1)
        said.append(f"{len(winner.ties)} other trial{several} cannot be told from it.")
    if winner.gain is not None:
        beyond, is_clear = winner.gain.low > 0, study.apart is not None or winner.is_clear
        verdict = "better than the builder's defaults: by"
        if not (beyond and is_clear):
            verdict = "not shown to be better than the builder's defaults; the difference, above 0 in its favour, is"
        said.append(
            f"It is {verdict} {digits(winner.gain.value)} in {title}, {rows} ({interval(winner.gain)})."
        )
        if beyond and not is_clear:
            said.append(
                "These very trainings are better, on other rows too; whether others would be is open, for the folds do "
                "not clearly tell the best of so many trials from the defaults (trial 0)."
            )
    elif winner.line.settings == study.space.default() and not winner.line.stages:
        said.append("These are the builder's defaults: no other settings were better.")
    elif study.apart is None and all(line.number for line in lines):
        said.append(
            "The time ended before the builder's defaults were over, so there is nothing to compare it with."
        )
    else:
        said.append("The builder's defaults failed, so there is nothing to compare it with.")
    if on_front:
        trials, them = ("trial is", "it") if on_front == 1 else ("trials are", "them")
        titles = listed([metric.title for metric in study.objectives])
        said.append(f"{on_front} {trials} on the front: no other one beats {them} in {titles}.")
    failed = sum(bool(line.why) for line in lines)
    if failed:
        said.append(f"{failed} trial{'s' * (failed > 1)} failed.")
    return " ".join(said)


def _recorded(
    study: Study,
    search: str,
    winner: Winner,
    lines: Sequence[TrialLine],
    drawn: Sequence[TrialLine],
    earlier: float,
) -> SearchRecord:
    """What there is to say, where trials before this call took so many seconds.

    Only the trials that the search itself drew say how much a setting counts.
    """
    metric, (repeats, folds) = study.bench.metric, study.bench.shape
    unbeaten = [line.number for line in front(study, lines)] if len(study.objectives) > 1 else []
    return SearchRecord(
        created=time.strftime("%Y-%m-%d %H:%M:%S"),
        seconds=earlier + study.clock.spent(),
        versions={"caviar": importlib.metadata.version("caviar")},
        search=search,
        objectives=[one.name for one in study.objectives],
        metric=metric.title,
        higher_is_better=metric.higher_is_better,
        folds=folds,
        repeats=repeats,
        best=winner.line.number,
        settings=winner.line.settings,
        naive_score=winner.naive,
        score=winner.score,
        gain=winner.gain,
        ties=winner.ties,
        front=unbeaten,
        importance=importances([outcome(study, line) for line in alike(drawn)], study.space),
        trials=len(lines),
        apart=0 if study.apart is None else len(study.apart),
        failed=sum(bool(line.why) for line in lines),
        sentence=in_words(study, winner, lines, len(unbeaten)),
        messages=list(study.voice.said),
    )
