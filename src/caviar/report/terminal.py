"""What a run found, for the terminal: short enough to read at once, at 80 columns, without colour."""

from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from caviar.report import verdict as found
from caviar.report import wording
from caviar.run.record import ComparisonRecord, Record

_MARKS = {
    "helps": ("▲", "green"),
    "harms": ("▼", "red"),
    "no practical difference": ("■", "default"),
    "not enough data": ("○", "blue"),
}
_TITLE_LENGTH = 60


def summary(record: Record, run_folder: Path | None = None) -> RenderableType:
    """What the run learned, as something a rich console prints.

    Nothing of the record is read as markup: column names may hold brackets.

    Args:
        record: What the run learned; any part may be missing.
        run_folder: Where the run lies, to name its report and its model; None leaves both out.

    >>> from rich.console import Console
    >>> Console(width=80).print(summary(Record(status="interrupted", stage="look")))
    <BLANKLINE>
    This run stopped before the table was read.
    """
    parts: list[RenderableType] = [Text(), Text(_headline(record, run_folder), style="bold")]
    parts += _data(record)
    parts += _scores(record)
    parts += _diagnosis(record)
    parts += _remedies(record)
    parts += _final(record)
    parts += _places(record, run_folder)
    return Group(*parts)


def _headline(record: Record, run_folder: Path | None) -> str:
    return found.verdict(record, str(run_folder or ".")).headline


def _line(label: str, text: str) -> Table:
    """A label and what belongs to it, wrapped beside it."""
    table = Table.grid(padding=(0, 2))
    table.add_column(width=10, style="dim")
    table.add_column(overflow="fold")
    table.add_row(Text(label), Text(text))
    return table


def _data(record: Record) -> list[RenderableType]:
    data = record.data
    if data is None:
        return []
    inputs = wording.count(len(data.columns), "input column")
    parts: list[RenderableType] = [
        Text(),
        _line("Data", f"{data.name}: {wording.count(data.rows, 'row')}, {inputs}, {data.task}"),
    ]
    warnings = [remark for remark in data.remarks if remark.level == "warning"]
    if warnings:
        titles = "; ".join(wording.shortened(remark.title, _TITLE_LENGTH) for remark in warnings[:3])
        more = f"; and {len(warnings) - 3} more" if len(warnings) > 3 else ""
        parts.append(_line("Warnings", f"{titles}{more}"))
    return parts


def _scores(record: Record) -> list[RenderableType]:
    if record.baseline is None or record.metric is None:
        return []
    title = f"{record.metric.title} on held-out rows ({found.direction(record)})"
    table = Table(box=None, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(Text(title), ratio=1, overflow="fold")
    table.add_column(Text("score"), justify="right", no_wrap=True)
    table.add_column(Text("95 % interval"), justify="right", no_wrap=True)
    baseline = record.baseline
    scores = [(found.title_of(record, found.BASELINE), found.score_of(record, baseline))]
    scores += [(row.title, found.score_of(record, row)) for row in record.references]
    for name, score in scores:
        interval = wording.interval_of(score) if wording.is_known(score) else ""
        table.add_row(
            Text(wording.shortened(name, _TITLE_LENGTH)), Text(wording.value_of(score)), Text(interval)
        )
    parts: list[RenderableType] = [Text(), table]
    if baseline.failed_members:
        trainings = wording.count(baseline.members, "training")
        parts.append(
            Text(f"{baseline.failed_members} of {trainings} failed: the loss stopped being a number.")
        )
    return parts


def _diagnosis(record: Record) -> list[RenderableType]:
    if record.diagnosis is None:
        return []
    parts: list[RenderableType] = [Text(), _line("Diagnosis", record.diagnosis.sentence)]
    parts += [
        _line(f"  {finding.code}", f"! {finding.title}: {finding.sentence}")
        for finding in record.diagnosis.findings
        if finding.outcome == "found"
    ]
    if record.spread:
        parts.append(_line("Luck", record.spread.sentence))
    return parts


def _remedies(record: Record) -> list[RenderableType]:
    if record.trial is None or record.metric is None or not record.trial.comparisons:
        return []
    trial = record.trial
    table = Table(box=None, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(Text("Remedy"), ratio=1, overflow="fold")
    table.add_column(Text("verdict"), no_wrap=True)
    table.add_column(Text("better by"), justify="right", no_wrap=True)
    table.add_column(Text("95 % interval"), justify="right", no_wrap=True)
    for comparison in trial.comparisons:
        mark, colour = _MARKS[comparison.verdict]
        table.add_row(
            Text(wording.shortened(found.title_of(record, comparison.remedy), _TITLE_LENGTH)),
            Text(f"{mark} {_short_verdict(comparison)}", style=colour),
            Text(wording.signed(comparison.difference)),
            Text(wording.interval_of(comparison.difference)),
        )
    note = (
        f"{record.metric.title}; differences up to {wording.number(trial.rope)} count as none. "
        "Intervals are unadjusted; verdicts are adjusted for the number of remedies (Holm)."
    )
    return [Text(), table, Text(note, style="dim")]


def _short_verdict(comparison: ComparisonRecord) -> str:
    """The verdict on a narrow line, with the repeats that would decide."""
    if comparison.verdict == "no practical difference":
        return "no difference"
    if comparison.verdict == "not enough data" and comparison.repeats_needed:
        return f"unclear, ~{comparison.repeats_needed} repeats"
    return comparison.verdict


def _final(record: Record) -> list[RenderableType]:
    final = record.final
    if final is None:
        return []
    parts: list[RenderableType] = [Text(), _line("Final", final.sentence)]
    if record.metric is None:
        return parts
    corrected = record.trial.corrected_score if record.trial else None
    if corrected:
        parts.append(
            _line("", f"Expect {wording.with_interval(corrected)}: corrected for having been chosen.")
        )
    test = (final.test or {}).get(record.metric.name)
    if test is not None:
        rows = wording.count(final.test_rows, "test row")
        parts.append(_line("Test", f"{record.metric.title} {wording.number(test)} on {rows}, scored once."))
    return parts


def _places(record: Record, run_folder: Path | None) -> list[RenderableType]:
    if run_folder is None:
        return []
    parts: list[RenderableType] = [Text(), _line("Report", str(run_folder / "report.html"))]
    if record.final:
        parts.append(
            _line("Model", wording.listed([str(run_folder / name) for name in record.final.files[:3]]))
        )
        parts.append(_line("Predict", f"caviar predict {found.quoted(str(run_folder))} new_rows.csv"))
    return [Padding(Group(*parts), (0, 0, 1, 0))]
