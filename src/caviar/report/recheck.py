"""What a recheck found, for the terminal and as a page; for each figure first the facts."""

import math
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from caviar.report import wording
from caviar.report.figures import BLUE, GREEN, QUIET, VERDICT_MARKS, Row, Rows, axis_range, described
from caviar.report.page import filled, rows_figure
from caviar.report.terminal import comparison
from caviar.run.files import write_text
from caviar.run.rechecked import MovedColumn, RecheckRecord

_MOST_COLUMNS = 20


def recheck(record: RecheckRecord, path: Path) -> RenderableType:
    """Whether a choice still stands, and what has moved, as something a rich console prints.

    Args:
        record: What was found.
        path: Where it is kept.
    """
    parts: list[RenderableType] = [comparison(record), Text(record.drift, style="bold")]
    moved = [column for column in by_distance(record) if column.moved]
    if moved:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for title in ("Column", "moved by", "p (Holm)", ""):
            table.add_column(title, overflow="fold")
        for column in moved[:_MOST_COLUMNS]:
            table.add_row(
                Text(column.name),
                Text(wording.number(column.distance)),
                Text(f"{column.p_holm:.2g}"),
                Text(column.words),
            )
        parts += [Text(), table]
    return Group(*parts, Text(), Text(f"Page  {page_of(path)}"), Text(f"Kept in {path}"), Text())


def page_of(path: Path) -> Path:
    """Where the page of a recheck lies: beside what it found."""
    return path.with_suffix(".html")


def write_recheck(path: Path, record: RecheckRecord) -> Path:
    """Draw a recheck's page.

    Args:
        path: Where the record is kept; the page lies beside it, as `.html`.
        record: What was found.

    Returns:
        Where the page is.

    Raises:
        RunError: It cannot be written.
    """
    write_text(page_of(path), render(record, path.name))
    return page_of(path)


def render(record: RecheckRecord, kept: str) -> str:
    """The page as text; `kept` names the file of the record."""
    rows = {"scores": score_rows(record), "differences": difference_rows(record)}
    return filled(
        "recheck.html.jinja",
        {name: rows_figure(facts) for name, facts in rows.items() if facts.rows},
        {},
        record=record,
        rows=rows,
        columns=by_distance(record),
        shown=_MOST_COLUMNS,
        kept=kept,
    )


def by_distance(record: RecheckRecord) -> list[MovedColumn]:
    """All columns, those that have moved first, the farther the earlier."""
    return sorted(record.columns or [], key=lambda column: (not column.moved, -column.distance))


def score_rows(record: RecheckRecord) -> Rows:
    """Every recipe's score on the new rows, the choice first."""
    marks = {record.chosen: ("diamond", GREEN), record.own: ("circle", BLUE)}
    decimals = wording.common_decimals(recipe.score for recipe in record.recipes)
    rows = [
        Row(
            recipe.name,
            recipe.score,
            wording.with_interval(recipe.score, decimals),
            *marks.get(recipe.name, ("square", QUIET)),
        )
        for recipe in record.recipes
        if wording.is_known(recipe.score)
    ]
    low, high = axis_range(rows, *([record.scale.no_skill] if math.isfinite(record.scale.no_skill) else []))
    better = "higher" if record.metric.higher_is_better else "lower"
    return Rows(
        rows=tuple(rows),
        unknown=tuple(recipe.name for recipe in record.recipes if not wording.is_known(recipe.score)),
        axis=f"{record.metric.title} on the new rows ({better} is better)",
        line=(record.scale.no_skill, "no skill") if math.isfinite(record.scale.no_skill) else None,
        band=None,
        low=low,
        high=high,
        description=described("Scores on the new rows with 95 % intervals", rows),
    )


def difference_rows(record: RecheckRecord) -> Rows:
    """How much better than the choice every other recipe is now, best first."""
    known = [one for one in record.comparisons if math.isfinite(one.difference.value)]
    decimals = wording.common_decimals(one.difference for one in known)
    words = {"helps": "better", "harms": "worse"}
    rows = [
        Row(
            one.remedy,
            one.difference,
            f"{words.get(one.verdict, one.verdict)}  {wording.signed(one.difference, decimals)}",
            *VERDICT_MARKS[one.verdict],
        )
        for one in sorted(known, key=lambda one: -one.difference.value)
    ]
    low, high = axis_range(rows, 0.0, -record.scale.rope, record.scale.rope)
    return Rows(
        rows=tuple(rows),
        unknown=tuple(one.remedy for one in record.comparisons if one not in known),
        axis=f"improvement of {record.metric.title} over the choice",
        line=(0.0, "the choice"),
        band=record.scale.rope if math.isfinite(record.scale.rope) else None,
        low=low,
        high=high,
        description=described("Improvement over the choice with 95 % intervals", rows),
    )
