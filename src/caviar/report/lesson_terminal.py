"""A lesson in a terminal: what is tried, curves to match, claims with their verdicts."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from caviar.report import wording
from caviar.report.text_curves import Line, draw
from caviar.run.lesson import LessonRecord, LineFigure, tally

_STYLES = ("blue", "red", "green", "magenta", "yellow", "cyan")
_VERDICTS = {"holds": "green", "does not hold": "red", "cannot be told": "yellow"}


def opening(title: str, why: str) -> RenderableType:
    """What a lesson says before it is run."""
    return Group(Text(title, style="bold"), Text(why), Text(""))


def curves_of(figure: LineFigure, width: int) -> RenderableType:
    """Curves without their names, to be matched."""
    lines = [
        Line(series.name, series.values, _STYLES[i % len(_STYLES)]) for i, series in enumerate(figure.series)
    ]
    return Group(
        Text(f"{figure.up} against {figure.across}{', logarithmic' if figure.log_x else ''}"),
        draw(lines, width=width, height=12),
    )


def evidence(record: LessonRecord, path: str) -> RenderableType:
    """Everything that was found, shortly; the page has the rest."""
    parts: list[RenderableType] = [Text("")]
    if record.variants:
        parts += [_variants(record), Text("")]
    parts += [_claims(record), Text("")]
    if record.reported:
        inside = sum(line.inside for line in record.reported)
        parts.append(
            Text(
                f"Of {wording.count(len(record.reported), 'reported number')}, {inside} lie inside our distribution."
            )
        )
    if record.learned:
        parts.append(Text(record.learned, style="bold"))
    for note in record.notes:
        parts.append(Text(note, style="yellow"))
    parts.append(Text(_took(record), style="dim"))
    parts.append(Text(f"Page: {path}"))
    return Group(*parts)


def _took(record: LessonRecord) -> str:
    seeds = wording.count(record.seeds, "seed")
    text = f"{seeds}; took {wording.duration(record.seconds)}"
    if record.share != 1:
        return (
            f"{text}; {100 * record.share:g} % of the epochs only: a quick look, whose verdicts mean little."
        )
    if record.fit_seconds:
        text += f"; {_beside_fit(record.fit_seconds, record.seconds)}"
    return f"{text}."


def _beside_fit(fit: float, ours: float) -> str:
    times = f"{fit / max(ours, 1e-9):,.1f} times as long"
    return f"a loop of fit would take about {wording.duration(fit)}, {times} (extrapolated from a few timed epochs)"


def _variants(record: LessonRecord) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("variant")
    for column in record.columns:
        table.add_column(column, justify="right")
    for variant in record.variants:
        table.add_row(variant.title, *(wording.with_interval(value) for value in variant.values))
    return table


def _claims(record: LessonRecord) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("verdict", no_wrap=True)
    table.add_column("claim")
    table.add_column("measured")
    for claim in record.claims:
        value = (
            wording.value_of(claim.estimate)
            if claim.estimate.n == 1
            else wording.with_interval(claim.estimate)
        )
        table.add_row(
            Text(claim.verdict, style=_VERDICTS[claim.verdict]),
            claim.says,
            f"{claim.about}: {value}; holds if {claim.expects}"
            + (f" (changed after a first full run: {claim.amended})" if claim.amended else ""),
        )
    return table


def summed(records: list[LessonRecord], path: str) -> RenderableType:
    """The whole course: per lesson how many claims hold, and how long it all took."""
    table = Table(box=None, pad_edge=False)
    for column in ("lesson", *_VERDICTS, "took"):
        table.add_column(column, justify="left" if column == "lesson" else "right")
    for record in records:
        verdicts = [claim.verdict for claim in record.claims]
        counts = (str(sum(one == verdict for one in verdicts)) for verdict in _VERDICTS)
        table.add_row(record.name, *counts, wording.duration(record.seconds))
    every = tally(records)
    seconds = sum(record.seconds for record in records)
    timed = [record for record in records if record.fit_seconds]
    said = ", ".join(f"{number} {verdict}" for verdict, number in every.items())
    parts: list[RenderableType] = [
        table,
        Text(""),
        Text(f"Claims: {said}. Took {wording.duration(seconds)}."),
    ]
    if timed:
        fit, ours = sum(one.fit_seconds or 0.0 for one in timed), sum(one.seconds for one in timed)
        parts.append(Text(f"{_beside_fit(fit, ours).capitalize()}."))
    return Group(*parts, Text(f"Page: {path}"))


def listing(lessons: Iterable[tuple[str, str, str, str, str]]) -> Table:
    """All lessons: what to type, title, area, how long it takes, and how the learner did."""
    table = Table(box=None, pad_edge=False)
    rows = list(lessons)
    table.add_column("lesson", no_wrap=True, min_width=max((len(row[0]) for row in rows), default=0))
    for column in ("title", "area", "takes", "you"):
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    return table
