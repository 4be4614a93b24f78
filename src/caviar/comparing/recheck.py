"""`caviar.recheck`: does what a run chose still stand on new data, and have these moved?

Settings go stale. The choice, the recipe as it was and the runners-up are trained on the new rows alone, on the same
folds with the same seeds, and judged beside the choice.
"""

import time as clock
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from caviar.comparing.compare import compare_recipes, would_decide
from caviar.comparing.decided import Candidates, Decision, decided_in
from caviar.data.dataset import Dataset, identical_rows
from caviar.data.named import is_named
from caviar.data.schema import Column
from caviar.data.split import make_splits
from caviar.errors import CaviarError, DataError, OptionError
from caviar.evaluate.drift import Observed, drifts
from caviar.evaluate.metrics import find_metric
from caviar.evaluate.wording import digits
from caviar.measuring.measure import Bench
from caviar.measuring.table import check_numbers, keras_speaks_plainly, try_fitting
from caviar.planning.plan import first_plan
from caviar.progress import Clock, Voice
from caviar.recipe.builder import Builder
from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable
from caviar.report.recheck import page_of, write_recheck
from caviar.run.files import write_text
from caviar.run.rechecked import MovedColumn, RecheckRecord, Standing
from caviar.run.record import ComparisonRecord
from caviar.run.studies import CompareRecord

RUNNERS_UP = 3
"""The best of what a run did not choose: one of them may be what suits the new data."""

_NEW_LEVELS = "new values"
_NAMED = 5
_MANY = 0.1


@dataclass(frozen=True)
class Rechecked:
    """Whether a choice still stands.

    Attributes:
        record: What was found.
        path: Where it is kept, in the run's folder; the page lies beside it.
    """

    record: RecheckRecord
    path: Path

    def __repr__(self) -> str:
        return f"{self.record.sentence} {self.record.drift}\n{self.path}"

    @property
    def stands(self) -> bool:
        """Whether no other recipe is shown to be better than the choice."""
        return self.record.verdict != "does not stand"

    @property
    def page(self) -> Path:
        """The same as a page."""
        return page_of(self.path)

    @property
    def moved(self) -> list[str]:
        """Names of the columns that come from another distribution than in the run."""
        return [column.name for column in self.record.columns or [] if column.moved]


def recheck(
    run: str | Path,
    data: object,
    *,
    old: object | None = None,
    model: str | Builder | None = None,
    runners_up: int = RUNNERS_UP,
    folds: int | None = None,
    repeats: int | None = None,
    seeds: int = 1,
    rope: float | None = None,
    minutes: float | None = None,
    seed: int = 0,
    quiet: bool = False,
    began: float | None = None,
    batch_size: Any = None,  # noqa: ANN401 - or a function of hp
    epochs: Any = None,  # noqa: ANN401 - or a function of hp
    callbacks: Any = None,  # noqa: ANN401 - or a function of hp
    preparation: Any = None,  # noqa: ANN401 - or a function of hp
    balanced: Any = None,  # noqa: ANN401 - or a function of hp
    shuffle: Any = None,  # noqa: ANN401 - or a function of hp
    class_weight: Any = None,  # noqa: ANN401 - or a function of hp
) -> Rechecked:
    """Train what a run decided between on new data, and say whether its choice still stands.

    Epochs, batch size and settings are those of the run. Nothing of the run is changed.

    Args:
        run: Folder of a finished run of `improve`, or of a search of `caviar tune` or `caviar.tune`.
        data: The new rows, with the columns of the run's table and the target; other columns are left out. After a
            search of arrays, `(x, y)` or `(x, y, sample_weight)`.
        old: The run's table or arrays, where they are not to be found any more; arrays never are.
        model: The builder, where it was no `"file.py:function"`; after a search, it must ask for what was searched.
        runners_up: How many of the recipes that were not chosen are trained as well, the best first.
        folds: Folds of the cross-validation; 10 if not given.
        repeats: Repeats of it; 3 if not given, fewer when `minutes` demands it.
        seeds: Seeds per fold.
        rope: Smallest difference that counts, in the metric's unit; 2 % of the way from no-skill to the best
            reference row on the new data if not given.
        minutes: Bound on the whole command.
        seed: Where all seeds start.
        quiet: Print nothing.
        began: What `time.monotonic()` said when the command began; now if not given.
        batch_size: After a search of arrays, and only where it was a function of `hp`: as `caviar.tune` was given it.
        epochs: Likewise.
        callbacks: Likewise, where there were any.
        preparation: Likewise.
        balanced: Likewise.
        shuffle: Likewise.
        class_weight: Likewise, where there was one.

    Returns:
        Whether the choice stands, which columns have moved, and where record and page lie.

    Raises:
        CaviarError: One sentence on what was expected, what was seen, and what to do.

    Example:
        >>> found = caviar.recheck("runs/patients-20260101-120000", "patients-of-march.csv")  # doctest: +SKIP
        >>> found.stands, found.moved, found.record.sentence  # doctest: +SKIP
    """
    given = {"folds": folds, "repeats": repeats, "seeds": seeds, "runners_up": runners_up}
    check_numbers(given | {"rope": rope, "minutes": minutes, "seed": seed}, runners_up=0)
    limit, voice = Clock(minutes, clock.monotonic() if began is None else began), Voice(quiet=quiet)
    path = Path(run)
    fit = {
        "batch_size": batch_size,
        "epochs": epochs,
        "callbacks": callbacks,
        "preparation": preparation,
        "balanced": balanced,
        "shuffle": shuffle,
        "class_weight": class_weight,
    }
    decision = decided_in(path, {name: value for name, value in fit.items() if value is not None})
    if model is None and decision.needs_model:
        instead = "" if decision.of_arrays else ", or as --model file.py:function"
        raise OptionError(
            f"Expected the builder of {path} to be given again, because only Python knows the function "
            f"{decision.model!r}. Pass it as model{instead}."
        )
    dataset = _new_rows(data, decision)
    for remark in dataset.remarks:
        voice.note(remark.text)
    columns, drift = moved_columns(decision, dataset, old)
    metric = find_metric(decision.metric, dataset.task)
    plan = first_plan(dataset, folds, repeats)
    with keras_speaks_plainly(), limit.listening():
        bench = Bench(dataset, make_splits(dataset, plan.folds, plan.repeats, seed), metric, (), seed)
        found = decision.rebuild(bench, decision.model if model is None else model, runners_up)
        recipes = _that_fit(bench, found, voice)
        if plan.why:
            voice.note(plan.why)
        measured = compare_recipes(bench, recipes, seeds, rope, limit, voice, may_be_fewer=repeats is None)
    own = None if found.own is None else found.own.name
    verdict, sentence = standing(measured, own, decision)
    record = RecheckRecord(
        **measured.model_dump(exclude={"sentence"}),
        sentence=sentence,
        run=path.resolve().name,
        chosen=found.chosen.name,
        own=own,
        verdict=verdict,
        columns=columns,
        drift=drift,
    )
    kept = _kept(path, record)
    write_recheck(kept, record)
    return Rechecked(record, kept)


def _new_rows(data: object, decision: Decision) -> Dataset:
    dataset = decision.read(data)
    if dataset.is_classification:
        counts = np.bincount(dataset.target, minlength=len(dataset.schema.classes))
        none = [repr(label) for label, count in zip(dataset.schema.classes, counts, strict=True) if not count]
        if none:
            raise DataError(
                f"Expected rows of all classes of the run's table, got none of {', '.join(none)}. Add some of them."
            )
    return dataset


def _that_fit(bench: Bench, found: Candidates, voice: Voice) -> list[Recipe]:
    """The choice first; others that do not go with the new data are left out, and that is said."""
    for note in found.notes:
        voice.note(note)
    try:
        try_fitting(bench, found.chosen)
    except NotApplicable as reason:
        raise OptionError(
            f"Expected the choice of the run, {found.chosen.title}, to be possible on the new data, but {reason}. "
            f"Run `caviar improve` on them."
        ) from reason
    recipes = [found.chosen]
    for recipe in [*([found.own] if found.own else []), *found.others]:
        try:
            try_fitting(bench, recipe)
        except CaviarError as reason:
            voice.note(f"{recipe.title} was not measured again: {str(reason).rstrip('.')}.")
        else:
            recipes.append(recipe)
    if len(recipes) < 2:
        raise OptionError(
            "Expected something to compare the choice with, but the run tried nothing else that can be trained on the "
            "new data. Run `caviar improve` on them."
        )
    return recipes


def _kept(path: Path, record: RecheckRecord) -> Path:
    stem = f"recheck-{clock.strftime('%Y%m%d-%H%M%S')}"
    place, n = path / f"{stem}.json", 1
    while place.exists():
        n += 1
        place = path / f"{stem}-{n}.json"
    write_text(place, record.model_dump_json(indent=1))
    return place


def standing(measured: CompareRecord, own: str | None, decision: Decision) -> tuple[Standing, str]:
    """Whether the choice stands, and why, in words.

    Args:
        measured: The choice first, others beside it.
        own: Name of the recipe as it was; None where that is the choice.
        decision: What the run decided.
    """
    chosen, title = measured.recipes[0].name, measured.metric.title
    better = [one for one in measured.comparisons if one.verdict == "helps"]
    before = next((one for one in measured.comparisons if one.remedy == own), None)
    if before is not None and before.verdict == "helps":
        return "does not stand", (
            f"The choice does not stand: {chosen} now harms, by {_size(before)} in {title}{_once(decision)}; "
            f"{own} is better."
        )
    if better:
        best = max(better, key=lambda one: one.difference.value)
        return "does not stand", (
            f"The choice does not stand: {best.remedy} is better than {chosen} now, by {_size(best)} in {title}."
        )
    if before is None:
        return "stands", f"The choice stands: nothing else is shown to be better than {chosen}."
    if before.verdict == "harms":
        return "stands", (
            f"The choice stands: {chosen} still helps, by {_size(before)} in {title}{_once(decision)}, and nothing "
            f"else is shown to be better."
        )
    if before.verdict == "no practical difference":
        return "no practical difference", (
            f"The choice makes no practical difference any more: {chosen} and {own} are the same in {title}"
            f"{_once(decision)}, and nothing else is shown to be better."
        )
    return "not enough data", (
        f"There is not enough data to tell whether {chosen} still helps{_once(decision)}{would_decide([before])}; "
        f"nothing else is shown to be better."
    )


def _size(comparison: ComparisonRecord) -> str:
    return digits(abs(comparison.difference.value))


def _once(decision: Decision) -> str:
    return "" if decision.gain is None else f" ({digits(decision.gain.value)} in the run)"


def moved_columns(
    decision: Decision, now: Dataset, old: object | None
) -> tuple[list[MovedColumn] | None, str]:
    """Every column of the new table beside that of the run's, and what they show, in words.

    Args:
        decision: How the run's table was read, and where it was.
        now: The new table.
        old: The run's table, where it is given.

    Returns:
        The columns, the target last; None where the run's table is not at hand.

    Raises:
        OptionError: What is given as the run's table is another one.
    """
    source = decision.source if old is None else old
    if decision.schema.row_shape:
        return None, "Whether columns have moved cannot be told: the rows are no rows of columns."
    if decision.of_arrays and old is None:
        return None, (
            "Whether columns have moved cannot be told, because a search of arrays does not keep them: old=(x, y) "
            "gives them."
        )
    if old is None and not _is_there(decision.source):
        return None, (
            f"Whether columns have moved cannot be told: the run's table ({decision.source}) is not there any more; "
            f"give it as old."
        )
    before = decision.read(source)
    if before.fingerprint != decision.fingerprint:
        if old is not None:
            raise OptionError(
                "Expected old to be the rows that the run was made with, but they are others. Leave it out, or find "
                "those."
            )
        return None, (
            f"Whether columns have moved cannot be told: {source} has changed since the run; give a copy of what it "
            f"was as old."
        )
    if now.fingerprint == before.fingerprint:
        return None, "The new data are the run's table itself: nothing can have moved."
    first, second = (data.of(_independent(data)) for data in (before, now))
    found = drifts(_observed(first, second))
    columns = [
        MovedColumn(
            name=one.name,
            distance=one.distance,
            p=one.p,
            p_holm=one.p_holm,
            moved=one.is_sure,
            words=one.words,
        )
        for one in found
    ]
    return columns, f"{_in_words(columns, now)}{_repeated(before, now)}"


def _repeated(before: Dataset, now: Dataset) -> str:
    """A sentence where many of the new rows are rows of the run's table: they cannot show what is new."""
    old, new = (np.column_stack([data.features, data.target]).astype(np.float64) for data in (before, now))
    number = identical_rows(np.concatenate([old, new]))
    share = float(np.isin(number[len(old) :], number[: len(old)]).mean())
    if share < _MANY:
        return ""
    return f" {share:.0%} of the new rows are like rows of the run's table: what is new shows the less."


def _is_there(source: str) -> bool:
    return is_named(source) or (source != "" and Path(source).is_file())


def _independent(data: Dataset) -> np.ndarray:
    """All rows, or one of each group, drawn at random: rows of a group are alike."""
    if data.groups is None:
        return np.arange(data.n_rows)
    shuffled = np.random.default_rng(0).permutation(data.n_rows)
    return np.sort(shuffled[np.unique(data.groups[shuffled], return_index=True)[1]])


def _observed(before: Dataset, now: Dataset) -> list[Observed]:
    """Columns of both tables, those of the target last."""
    columns = [
        _look(column, before.features[:, place], _with_new_levels(now, place))
        for place, column in enumerate(before.schema.columns)
    ]
    classes, targets = before.schema.classes, before.schema.targets
    if before.is_classification:
        target = (before.target.astype(np.float64), now.target.astype(np.float64))
        return [*columns, Observed(targets[0], *target, classes)]
    return columns + [
        Observed(name, before.target[:, place], now.target[:, place]) for place, name in enumerate(targets)
    ]


def _with_new_levels(now: Dataset, place: int) -> np.ndarray:
    """A column in which levels that the run's table did not have are one code more: they are no gaps."""
    values, levels = now.features[:, place], now.schema.columns[place].categories
    return values if now.new_levels is None else np.where(now.new_levels[:, place], len(levels), values)


def _look(column: Column, before: np.ndarray, now: np.ndarray) -> Observed:
    look = partial(Observed, column.name, before, now)
    if column.kind == "datetime":
        return look(show=_day)
    levels = {"category": (*column.categories, _NEW_LEVELS), "boolean": ("false", "true")}
    return look(levels.get(column.kind, ()))


def _day(days: float) -> str:
    return str(np.datetime64(int(np.floor(days)), "D"))


def _in_words(columns: Sequence[MovedColumn], now: Dataset) -> str:
    moved = sorted((column for column in columns if column.moved), key=lambda column: -column.distance)
    if not moved:
        return (
            f"None of the {len(columns)} columns is shown to come from another distribution than in the run."
        )
    named = "; ".join(f"{column.name} ({column.words})" for column in moved[:_NAMED])
    more = f"; and {len(moved) - _NAMED} more" if len(moved) > _NAMED else ""
    verb = "comes" if len(moved) == 1 else "come"
    caution = " Rows in order of time may depend on each other: then this is said too easily."
    return (
        f"{len(moved)} of {len(columns)} columns {verb} from another distribution than in the run: {named}{more}."
        f"{'' if now.time is None else caution}"
    )
