"""Which recipes did a run decide between? Built again from what it recorded: names, numbers and settings, no code.

A remedy is applied again by its name, settings are given to the builder again, and both must come out as recorded.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from caviar.data.schema import Schema
from caviar.errors import RunError
from caviar.estimate import Estimate
from caviar.measuring.measure import Bench
from caviar.measuring.table import read_recipe
from caviar.measuring.trial import treated
from caviar.model.finished import load_schema
from caviar.recipe.builder import Builder
from caviar.recipe.recipe import Recipe
from caviar.recipe.settled import Searched
from caviar.recipe.table_space import searched_table
from caviar.remedies.contract import NotApplicable
from caviar.remedies.table import REMEDIES
from caviar.run.folder import MODEL, RunFolder
from caviar.run.record import ArmRecord, Record
from caviar.run.study import SearchRecord, StudyFolder, TrialLine, complete


@dataclass(frozen=True, eq=False)
class Candidates:
    """Recipes that a run decided between, under names that people can tell apart.

    Attributes:
        chosen: What it chose.
        own: What it began with; None where that is the choice, or could not be trained.
        others: The best of the others, best first.
        notes: What could not be built again, and why.
    """

    chosen: Recipe
    own: Recipe | None
    others: list[Recipe]
    notes: list[str]


@dataclass(frozen=True, eq=False)
class Decision:
    """What a run's folder tells of its decision.

    Attributes:
        schema: How its table was read.
        source: What its table was called: a path, as it was typed, or a sample.
        fingerprint: What tells that table from others.
        metric: Name of the score that decided.
        model: The builder as `file.py:function`; None for Caviar's own networks.
        needs_model: Whether the builder was a function that only Python knew.
        gain: How much better than the recipe as it was the choice seemed; None where that is not known.
        rebuild: `(bench, builder, how many others) -> candidates`.
    """

    schema: Schema
    source: str
    fingerprint: str
    metric: str
    model: str | None
    needs_model: bool
    gain: Estimate | None
    rebuild: Callable[[Bench, str | Builder | None, int], Candidates]


def decided_in(path: Path) -> Decision:
    """What a finished run of `improve` or a search of `tune` decided.

    Raises:
        RunError: There is none, or it is not finished.
    """
    study = StudyFolder(path)
    plan = study.plan()
    return _of_run(path) if plan is None else _of_search(study, plan)


def _is_reference(model: str) -> bool:
    return model.rpartition(":")[0].endswith(".py")


def _of_run(path: Path) -> Decision:
    record = RunFolder(path).load_record()
    trial, baseline, data, metric = record.trial, record.baseline, record.data, record.metric
    if record.status != "finished" or not (trial and baseline and data and metric):
        raise RunError(
            f"Expected a run that is finished, but {path} ended in the stage {record.stage!r}. "
            f"`caviar resume {path}` goes on with it."
        )
    model = record.options.get("model")
    gains = {one.remedy: one.difference for one in trial.comparisons}
    return Decision(
        schema=load_schema(path / MODEL),
        source=record.options.get("source", ""),
        fingerprint=data.fingerprint,
        metric=metric.name,
        model=model,
        needs_model=model is not None and not _is_reference(model),
        gain=gains.get(trial.chosen),
        rebuild=lambda bench, model, most: _arms_again(record, bench, model, most),
    )


def _arms_again(record: Record, bench: Bench, model: str | Builder | None, most: int) -> Candidates:
    trial, baseline, data, metric = record.trial, record.baseline, record.data, record.metric
    assert trial
    assert baseline
    assert data
    assert metric
    first = read_recipe(
        bench.dataset, model, baseline.epochs, baseline.batch_size, absolute=metric.name == "mae"
    )
    lowest = first.lowest_target
    # Remedies go by the table that they were tried on, but for a target that has no logarithm any more.
    first = replace(
        first,
        n_rows=data.rows,
        class_errors=tuple(baseline.class_errors),
        lowest_target=None if lowest is None else min([lowest, *data.target_low]),
    )
    chosen = baseline if trial.chosen == "baseline" else _arm(trial.arms, trial.chosen)
    sign = -1 if metric.higher_is_better else 1
    rest = [arm for arm in trial.arms if arm is not chosen and math.isfinite(arm.scores[metric.name].value)]
    rest.sort(key=lambda arm: sign * arm.scores[metric.name].value)
    others, notes = [], []
    for arm in rest[:most]:
        try:
            others.append(_treated_again(first, arm))
        except (NotApplicable, RunError) as error:
            notes.append(f"{arm.title} was not measured again: {str(error).rstrip('.')}.")
    as_it_was = f"{first.title}, as it was"
    own = None if chosen is baseline else replace(first, name=as_it_was, title=as_it_was)
    try:
        best = _named(first, as_it_was) if chosen is baseline else _treated_again(first, chosen)
    except NotApplicable as error:
        raise RunError(
            f"Expected the choice of the run, {chosen.title}, to be possible on the new data, but {error}. "
            f"Run `caviar improve` on them."
        ) from error
    return Candidates(best, own, others, notes)


def _arm(arms: Sequence[ArmRecord], name: str) -> ArmRecord:
    return next(arm for arm in arms if arm.name == name)


def _treated_again(first: Recipe, arm: ArmRecord) -> Recipe:
    """The recipe of an arm, which must come out as recorded."""
    by_name = {remedy.name: remedy for remedy in REMEDIES}
    names = arm.name.split("+")
    unknown = [name for name in names if name not in by_name]
    recipe = None if unknown else treated(first, [by_name[name] for name in names])
    if recipe is None or dict(recipe.changes) != arm.changes or recipe.batch_size != arm.batch_size:
        raise RunError(
            f"Expected the remedies of {arm.title!r} to be what they were in the run, but this version of Caviar has "
            f"others. Run `caviar improve` on the new data."
        )
    return _named(replace(recipe, epochs=arm.epochs), arm.title)


def _named(recipe: Recipe, name: str) -> Recipe:
    return replace(recipe, name=name, title=name)


def _of_search(study: StudyFolder, plan: dict[str, Any]) -> Decision:
    record, table = study.result(), plan.get("table")
    if record is None:
        raise RunError(
            f"Expected a search that is finished, but {study.path} holds one that is not. "
            f"`caviar tune` with the same arguments and --out {study.path} goes on with it."
        )
    if table is None:
        raise RunError(
            f"Expected a search of a table, but {study.path} holds one of arrays, and only Python knows how these are "
            f"trained. Call caviar.tune on the new arrays."
        )
    try:
        schema = Schema.model_validate(table["schema"])
    except (ValidationError, KeyError) as error:
        raise RunError(
            f"Expected {study.path} to say how its table was read, but it was changed by hand or made by another "
            f"version. Search again."
        ) from error
    return Decision(
        schema=schema,
        source=table["source"],
        fingerprint=table["fingerprint"],
        metric=record.objectives[0],
        model=table["model"],
        needs_model=table["model"] is not None and not _is_reference(table["model"]),
        gain=record.gain,
        rebuild=lambda bench, model, most: _trials_again(study, record, table, bench, model, most),
    )


def _trials_again(
    study: StudyFolder,
    record: SearchRecord,
    table: dict[str, Any],
    bench: Bench,
    model: str | Builder | None,
    most: int,
) -> Candidates:
    absolute = record.objectives[0] == "mae"
    base = read_recipe(bench.dataset, model, table["epochs"], table["batch_size"], absolute=absolute)
    searched = (
        searched_table(base, absolute=absolute)
        if model is None
        else Searched(base.builder, base.batch_size, base.epochs)
    )
    n_inputs = int(bench.inputs(base.preparation).shape[2])
    sign = -1 if record.higher_is_better else 1
    lines = sorted(complete(study.lines()), key=lambda line: (sign * line.score[0], line.number))

    def again(line: TrialLine) -> Recipe:
        name = f"trial {line.number}{', the defaults' if line.number == 0 else ''}"
        return _named(searched.recipe(base, line.settings, name, n_inputs, line.stages), name)

    best = next(line for line in lines if line.number == record.best)
    own = next((line for line in lines if line.number == 0 and line is not best), None)
    rest = [line for line in lines if line is not best and line is not own]
    notes = [] if own or best.number == 0 else ["The builder's defaults failed in the search."]
    return Candidates(
        again(best), None if own is None else again(own), [again(line) for line in rest[:most]], notes
    )
