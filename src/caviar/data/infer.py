"""What kind each column is, and what the target asks for."""

from dataclasses import dataclass

import polars as pl

from caviar.data.cells import TRUTH_WORDS, date_format_of, days, numbers, places, texts
from caviar.data.schema import OTHER, Column, Kind, Task, require_present
from caviar.errors import DataError, OptionError
from caviar.run.record import Remark

TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression", "multi-output regression")


@dataclass(frozen=True)
class Learned:
    """What one column turned out to be: an input column, or why it is none; and what was noticed."""

    column: Column | None
    left_out: str = ""
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True)
class Goal:
    """What is predicted: the task, its classes as spelled, and why."""

    task: Task
    classes: tuple[str, ...]
    reason: str


def learn_column(cells: pl.Series, *, max_levels: int = 30, identifier_share: float = 0.5) -> Learned:
    """Find out what a column is from all of its cells.

    Args:
        cells: The column.
        max_levels: Text columns with at most so many levels keep all of them; others the most frequent ones.
        identifier_share: Text columns with more levels than that share of the rows (0 to 1) are left out.

    >>> learn_column(pl.Series("smokes", ["yes", "no", "yes"])).column.kind
    'boolean'
    """
    words = texts(cells)
    filled = words.drop_nulls()
    if filled.is_empty():
        return _leave_out(cells.name, "empty", "Empty column", "holds no value at all")
    kind = _kind_of_type(cells.dtype) or _kind_of_text(filled, max_levels)
    if kind == "numeric":
        return _numeric(cells.name, words, numbers(cells))
    if kind == "category":
        return _category(words, max_levels, identifier_share)
    column = Column(name=cells.name, kind=kind, has_missing=len(filled) < len(words))
    return _dates(column, filled) if kind == "datetime" and cells.dtype == pl.String else Learned(column)


def learn_goal(targets: list[pl.Series], task: str | None) -> Goal:
    """Find out what is predicted, or check that `task` can be.

    Several targets are multi-output regression. One target is classification if it is text, or if it has two
    whole-number values, or at most 20 of them that are fewer than 5 % of the rows and each come more than
    once; everything else is regression.

    Raises:
        DataError: Values are missing, there is one class only, or a class has a single row.
        OptionError: `task` is unknown or does not fit the target.

    >>> learn_goal([pl.Series("y", ["M", "R", "M", "R"])], None).task
    'binary'
    """
    if task is not None and task not in (*TASKS, "classification"):
        raise OptionError(
            f"Expected --task to be one of classification, {', '.join(TASKS)}, got {task!r}. Choose one."
        )
    if len(targets) > 1:
        return _many_targets(targets, task)
    cells = targets[0]
    labels = require_present(cells)
    if labels.n_unique() < 2:
        raise DataError(
            f"Expected the target {cells.name!r} to have at least two different values, but all "
            f"{len(labels)} rows hold {labels[0]!r}. There is nothing to predict: choose another target, "
            "or add rows of other classes."
        )
    if task is None:
        wants_classes, reason = _looks_like_classes(cells, labels)
    else:
        wants_classes, reason = "regression" not in task, f"You chose {task} with --task."
    if not wants_classes:
        _require_numbers(cells, labels)
        several = task == "multi-output regression"
        return Goal("multi-output regression" if several else "regression", (), reason)
    return _classes(cells, labels, task, reason)


def _leave_out(name: str, code: str, title: str, why: str) -> Learned:
    sentence = f"Column {name!r} {why}, so it is not an input."
    return Learned(None, sentence, (Remark(code=code, title=title, text=sentence, level="warning"),))


def _kind_of_type(dtype: pl.DataType) -> Kind | None:
    """The kind that a column's type settles; None for texts, which may be anything."""
    if dtype == pl.Boolean:
        return "boolean"
    if dtype in (pl.Date, pl.Datetime):
        return "datetime"
    if dtype.is_numeric() or dtype in (pl.Duration, pl.Time):
        return "numeric"
    return None if dtype == pl.String else "category"


def _kind_of_text(filled: pl.Series, max_levels: int, *, stray_share: float = 0.1) -> Kind:
    """What texts are: numbers (a few cells of many may fail to be one), truth values, dates or levels."""
    strays = numbers(filled).null_count()
    if strays == 0:
        return "numeric"
    if _is_truth(filled):
        return "boolean"
    if date_format_of(filled) is not None:
        return "datetime"
    few_strays = strays <= stray_share * len(filled) and filled.n_unique() > max_levels
    return "numeric" if few_strays else "category"


def _numeric(name: str, words: pl.Series, values: pl.Series) -> Learned:
    infinite = values.is_infinite().fill_null(value=False)
    stray = values.is_null() & words.is_not_null()
    n_missing = int(infinite.sum()) + values.null_count()
    if n_missing == len(values):
        return _leave_out(name, "empty", "Empty column", "holds no finite number at all")
    column = Column(name=name, kind="numeric", has_missing=n_missing > 0, text_is_missing=bool(stray.any()))
    remarks = []
    if infinite.any():
        text = (
            f"Column {name!r} is infinite in {infinite.sum()} cells ({places(infinite)}): networks cannot "
            "compute with infinity, so these are read as missing. Correct them where a value is known."
        )
        remarks.append(Remark(code="infinite", title="Infinite values", text=text, level="warning"))
    if stray.any():
        text = (
            f"Column {name!r} holds numbers except for {stray.sum()} cells with text such as "
            f"{words.filter(stray)[0]!r} ({places(stray)}): those are read as missing. "
            f"Correct them, or leave the column out with --drop {name}."
        )
        remarks.append(Remark(code="stray-text", title="Text among numbers", text=text, level="warning"))
    return Learned(column, remarks=tuple(remarks))


def _is_truth(filled: pl.Series) -> bool:
    seen = set(filled.str.to_lowercase().unique().to_list())
    return len(seen) == 2 and any(seen == set(pair) for pair in TRUTH_WORDS)


def _dates(column: Column, filled: pl.Series) -> Learned:
    date_format = date_format_of(filled) or ""
    column = column.model_copy(update={"date_format": date_format})
    if not date_format.startswith("%m/%d") or days(filled, "%d/%m" + date_format[5:]).null_count():
        return Learned(column)
    text = (
        f"The dates of column {column.name!r} can be read as month/day or as day/month; they are read as "
        "month/day. Write them as year-month-day if that is wrong."
    )
    remark = Remark(code="ambiguous-date", title="Ambiguous dates", text=text, level="warning")
    return Learned(column, remarks=(remark,))


def _category(words: pl.Series, max_levels: int, identifier_share: float) -> Learned:
    name = words.name
    filled = words.drop_nulls().alias("level")
    counts = filled.value_counts(name="rows").sort(["rows", "level"], descending=[True, False])
    levels = counts["level"].to_list()
    has_missing = len(filled) < len(words)
    if len(levels) <= max_levels:
        column = Column(name=name, kind="category", categories=tuple(sorted(levels)), has_missing=has_missing)
        return Learned(column)
    if len(levels) > identifier_share * len(filled):
        why = (
            f"is text that differs in nearly every row ({len(levels)} different values in {len(filled)} "
            "rows), like a name or an identifier"
        )
        return _leave_out(name, "identifier-text", "Identifier-like text", why)
    kept = sorted(level for level in levels[:max_levels] if level != OTHER)
    rows = int(counts["rows"][:max_levels].sum())
    text = (
        f"Column {name!r} has {len(levels)} different texts: the {max_levels} most frequent are kept "
        f"({rows / len(filled):.0%} of the rows), the others count as {OTHER!r}. "
        f"Group them by meaning if they matter, or leave the column out with --drop {name}."
    )
    column = Column(name=name, kind="category", categories=(*kept, OTHER), has_missing=has_missing, wide=True)
    return Learned(column, remarks=(Remark(code="many-levels", title="Many categories", text=text),))


def _many_targets(targets: list[pl.Series], task: str | None) -> Goal:
    if task not in (None, "multi-output regression", "regression"):
        raise OptionError(
            f"Expected one target for the task {task}, got {len(targets)}. Several targets are learned "
            "together as multi-output regression only: pass one --target, or leave --task out."
        )
    for cells in targets:
        labels = require_present(cells)
        _require_numbers(cells, labels)
        if labels.n_unique() < 2:
            raise DataError(
                f"Expected the target {cells.name!r} to vary, but all {len(labels)} rows hold {labels[0]!r}. "
                "Leave it out of the targets."
            )
    return Goal(
        "multi-output regression", (), f"There are {len(targets)} targets, so numbers are predicted together."
    )


def _require_numbers(cells: pl.Series, labels: pl.Series) -> None:
    unread = numbers(cells).is_null()
    if unread.any():
        raise DataError(
            f"Expected the target {cells.name!r} to hold numbers for regression, got text such as "
            f"{labels.filter(unread)[0]!r} in {places(unread)}. Correct those cells, choose another target, "
            "or say that it holds labels: --task classification."
        )


def _looks_like_classes(cells: pl.Series, labels: pl.Series, *, max_values: int = 20) -> tuple[bool, str]:
    """Whether the target holds class labels, and the sentence that says why."""
    values = numbers(cells)
    n_text = values.null_count()
    if n_text or cells.dtype == pl.Boolean:
        if n_text <= 0.1 * len(values) and values.n_unique() > max_values:
            _require_numbers(cells, labels)
        seen, is_classes = f"is text with {labels.n_unique()} labels", True
    else:
        rows = values.value_counts(name="rows")["rows"].to_list()
        whole = bool((values == values.round()).all())
        come_again = len(rows) <= max_values and len(rows) < 0.05 * len(values) and min(rows) > 1
        is_classes = whole and (len(rows) == 2 or come_again)
        kind = "whole-number values that come again and again" if is_classes else "different numbers"
        seen = f"has {len(rows)} {kind}"
    found, other = ("classification", "regression") if is_classes else ("regression", "classification")
    needs = " would need numbers" if n_text else " overrides that"
    return is_classes, f"The target {cells.name!r} {seen}, so it is {found}; --task {other}{needs}."


def _classes(cells: pl.Series, labels: pl.Series, task: str | None, reason: str) -> Goal:
    values = numbers(cells)
    if values.null_count():
        counts = labels.value_counts(name="rows").sort(labels.name)
        names = counts[labels.name].to_list()
    else:
        spelled = pl.DataFrame({"value": values, "label": labels})
        counts = spelled.group_by("value").agg(pl.col("label").first(), pl.len().alias("rows")).sort("value")
        names = counts["label"].to_list()
    if len(names) > 30 and len(names) > 0.5 * len(labels):
        raise DataError(
            f"Expected the target {cells.name!r} to hold labels that come again, but it has {len(names)} "
            f"different texts in {len(labels)} rows. Choose another target with --target."
        )
    lonely = [name for name, rows in zip(names, counts["rows"], strict=True) if rows < 2]
    if lonely:
        raise DataError(
            f"Expected at least 2 rows of every class of {cells.name!r}, but {lonely[0]!r} has one"
            + (f" (and {len(lonely) - 1} more classes)" if len(lonely) > 1 else "")
            + ". Add rows, merge rare classes, or pass --task regression if the target is a quantity."
        )
    if task == "binary" and len(names) != 2:
        raise OptionError(
            f"Expected two classes for --task binary, but {cells.name!r} has {len(names)}. Pass --task "
            "multiclass."
        )
    several = len(names) > 2 or task == "multiclass"
    return Goal("multiclass" if several else "binary", tuple(names), reason)
