"""What a recheck found, for the terminal."""

from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from caviar.report import wording
from caviar.report.terminal import comparison
from caviar.run.rechecked import RecheckRecord

_MOST_COLUMNS = 20


def recheck(record: RecheckRecord, path: Path) -> RenderableType:
    """Whether a choice still stands, and what has moved, as something a rich console prints.

    Args:
        record: What was found.
        path: Where it is kept.
    """
    parts: list[RenderableType] = [comparison(record), Text(record.drift, style="bold")]
    moved = [column for column in record.columns or [] if column.moved]
    if moved:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for title in ("Column", "moved by", "p (Holm)", ""):
            table.add_column(title, overflow="fold")
        for column in sorted(moved, key=lambda column: -column.distance)[:_MOST_COLUMNS]:
            table.add_row(
                Text(column.name),
                Text(wording.number(column.distance)),
                Text(f"{column.p_holm:.2g}"),
                Text(column.words),
            )
        parts += [Text(), table]
    return Group(*parts, Text(), Text(f"Kept in {path}"), Text())
