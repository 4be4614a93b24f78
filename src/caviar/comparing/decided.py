"""Which recipes did a run decide between? Built again from what it recorded: names, numbers and settings, no code.

A remedy is applied again by its name, settings are given to the builder again, and both must come out as recorded.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from caviar.comparing.shortlist import Again, shortlist
from caviar.data.dataset import Dataset
from caviar.data.load import load_again
from caviar.data.prepare import input_names
from caviar.data.schema import Schema
from caviar.errors import DataError, OptionError, RunError
from caviar.estimate import Estimate
from caviar.measuring.given import make_recipe, read_arrays
from caviar.measuring.measure import Bench
from caviar.measuring.table import read_recipe
from caviar.measuring.trial import treated
from caviar.model.finished import load_schema
from caviar.population import devices
from caviar.recipe.builder import Builder, call_with, read_searched
from caviar.recipe.hyperparameters import HyperParameters
from caviar.recipe.recipe import Recipe
from caviar.recipe.settled import Searched
from caviar.remedies.contract import NotApplicable
from caviar.remedies.table import REMEDIES
from caviar.run.folder import MODEL, RunFolder
from caviar.run.record import ArmRecord, Record
from caviar.run.study import SearchRecord, StudyFolder
from caviar.searching.folder import told
from caviar.searching.of_table import searched_of_table
from caviar.searching.trials import space_of


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
        of_arrays: Whether its rows were arrays in Python, which nobody has kept.
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
    of_arrays: bool = False

    def read(self, data: Any) -> Dataset:  # noqa: ANN401
        """Other rows, read as those of the run were.

        Raises:
            CaviarError: They have other columns or classes, or are no rows.
        """
        return _arrays_again(data, self.schema) if self.of_arrays else load_again(data, self.schema)


def decided_in(path: Path, fit: Mapping[str, Any] = MappingProxyType({})) -> Decision:
    """What a finished run of `improve` or a search of `tune` decided.

    Args:
        path: Its folder.
        fit: Of a search of arrays: fit arguments that only Python knows, by name.

    Raises:
        RunError: There is none, or it is not finished.
        OptionError: Fit arguments are given that it knows itself, or are missing.
    """
    study = StudyFolder(path)
    plan = study.plan()
    arrays = None if plan is None else plan.get("arrays")
    if fit and arrays is None:
        raise OptionError(
            f"Expected {_listed(fit)} only for a search of arrays, but {path} holds another one, which knows its own. "
            f"Leave {'it' if len(fit) == 1 else 'them'} out."
        )
    if plan is None:
        return _of_run(path)
    return _of_search(study, plan) if arrays is None else _of_arrays(study, plan, arrays, fit)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _arrays_again(data: Any, schema: Schema) -> Dataset:  # noqa: ANN401
    """Arrays `(x, y)` or `(x, y, sample_weight)` with the columns and classes of a search."""
    if not isinstance(data, tuple) or len(data) not in {2, 3}:
        raise OptionError(
            f"Expected the new rows as (x, y), because the search was one of arrays, got {type(data).__name__}. Call "
            f"caviar.recheck(folder, (x, y), model=build) in Python."
        )
    kind = "classification" if schema.is_classification else "regression"
    dataset, _ = read_arrays(data[0], data[1], kind, *data[2:])
    then, now = (one.row_shape or (len(one.columns),) for one in (schema, dataset.schema))
    if then != now or len(schema.targets) != len(dataset.schema.targets):
        shapes = [
            f"{shape} and {len(one.targets)} targets"
            for shape, one in ((then, schema), (now, dataset.schema))
        ]
        raise OptionError(
            f"Expected rows as the search had them, of shape {shapes[0]}, got {shapes[1]}. Pass such arrays."
        )
    if schema.classes != dataset.schema.classes:
        raise DataError(
            f"Expected rows of the classes {_listed(schema.classes)}, as the search had them, got "
            f"{_listed(dataset.schema.classes)}. Pass rows of the same classes."
        )
    return dataset


def _is_reference(model: str) -> bool:
    return model.rpartition(":")[0].endswith(".py")


def _of_run(path: Path) -> Decision:
    record = RunFolder(path).load_record(or_search=True)
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
            f"Expected a search that says how its rows were read, but that in {study.path} was made by an earlier "
            f"version. Search again."
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
        rebuild=lambda bench, model, most: _trials_again(study, record, plan, schema, bench, model, most),
    )


def _trials_again(
    study: StudyFolder,
    record: SearchRecord,
    plan: dict[str, Any],
    schema: Schema,
    bench: Bench,
    model: str | Builder | None,
    most: int,
) -> Candidates:
    absolute, table = record.objectives[0] == "mae", plan["table"]
    searched, base = searched_of_table(
        bench.dataset, model, table["epochs"], table["batch_size"], absolute=absolute
    )
    if model is not None:
        # What a builder asks may hang on its inputs, and gaps that only the new rows have are inputs more.
        n_inputs = len(input_names(schema, base.preparation))
        space_of(searched, n_inputs, bench.dataset.n_outputs).require_same(plan["space"])
    return _candidates(study, record, searched, base, bench, most)


def _of_arrays(
    study: StudyFolder, plan: dict[str, Any], arrays: dict[str, Any], fit: Mapping[str, Any]
) -> Decision:
    record = study.result()
    if record is None:
        raise RunError(
            f"Expected a search that is finished, but {study.path} holds one that is not. The same call of caviar.tune "
            f"with folder={str(study.path)!r} goes on with it."
        )
    missing = [name for name in arrays["given"] if name not in fit]
    if missing:
        raise OptionError(
            f"Expected {_listed(missing)} to be given again, because only Python knows what caviar.tune was given. "
            f"Pass {'it' if len(missing) == 1 else 'them'} by name."
        )
    return Decision(
        schema=Schema.model_validate(arrays["schema"]),
        source="",
        fingerprint=arrays["fingerprint"],
        metric=record.objectives[0],
        model=arrays["model"],
        needs_model=not _is_reference(arrays["model"]),
        gain=record.gain,
        rebuild=lambda bench, model, most: _arrays_trials_again(
            study, record, plan, {"callbacks": (), **arrays["fit"], **fit}, bench, model, most
        ),
        of_arrays=True,
    )


def _arrays_trials_again(
    study: StudyFolder,
    record: SearchRecord,
    plan: dict[str, Any],
    fit: dict[str, Any],
    bench: Bench,
    model: str | Builder | None,
    most: int,
) -> Candidates:
    devices.start()  # the person's file may import keras: on JAX, by then
    searched = Searched(read_searched(model), **fit, rows=tuple(plan["arrays"].get("rows", ())))
    data = bench.dataset
    n_inputs, n_outputs = data.features.shape[1], data.n_outputs

    def default(n_inputs: int, n_outputs: int) -> Any:  # noqa: ANN401
        return call_with(searched.build, n_inputs, n_outputs, HyperParameters())

    space = space_of(searched, n_inputs, n_outputs)
    space.require_same(plan["space"])
    base = make_recipe(default, data, name="trial-0", batch_size=1, epochs=1, callbacks=())
    if told(searched, base, space.default(), n_inputs, n_outputs) != plan["model"]:
        raise OptionError(
            f"Expected the builder and fit arguments of the search in {study.path}, got others. Pass what caviar.tune "
            f"was given."
        )
    return _candidates(study, record, searched, base, bench, most)


def _candidates(
    study: StudyFolder, record: SearchRecord, searched: Searched, base: Recipe, bench: Bench, most: int
) -> Candidates:
    """The best trial of a search, its defaults, and the best of the others."""
    n_inputs, plan = int(bench.inputs(base.preparation).shape[2]), study.plan()
    assert plan
    found = shortlist(
        study.lines(), plan["start"][0], record.best, most, higher_is_better=record.higher_is_better
    )

    def recipe(one: Again) -> Recipe:
        return _named(searched.recipe(base, one.settings, one.name, n_inputs, one.stages), one.name)

    return Candidates(
        recipe(found.chosen),
        None if found.own is None else recipe(found.own),
        [recipe(one) for one in found.others],
        found.notes,
    )
