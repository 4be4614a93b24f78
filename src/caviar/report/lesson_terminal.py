"""A lesson in a terminal: what is tried, curves to match, claims with their verdicts."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from caviar.estimate import Estimate
from caviar.report import wording
from caviar.report.text_curves import Line, draw
from caviar.run.lesson import ClaimLine, LessonRecord, LineFigure, tally

_STYLES = ("blue", "red", "green", "magenta", "yellow", "cyan")
_MOST_DECIMALS, _SMALL = 4, 0.1
_VERDICTS = {"holds": "green", "does not hold": "red", "cannot be told": "yellow"}


def opening(title: str, why: str) -> RenderableType:
    """What a lesson says before it is run."""
    return Group(Text(title, style="bold"), Text(why))


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
    if record.rows:
        parts += [Text(f"Rows: {record.rows}."), Text("")]
    if record.variants:
        parts += [_variants(record), Text("")]
    parts += [_claims(record), Text("")]
    parts.append(
        Text(
            f"In brackets: intervals over {wording.count(record.seeds, 'seed')}, of 95 % each in the table of "
            "variants, and of 95 % for all claims together.",
            style="dim",
        )
    )
    if record.reported:
        inside = sum(line.inside for line in record.reported)
        numbers = wording.count(len(record.reported), "number")
        parts.append(
            Text(
                f"Of {numbers} that authors and readers reported, {inside} lie between our lowest and highest seed."
            )
        )
    if record.is_own:
        parts += [Text(f"Not judged: {why}") for why in record.untold]
    if record.learned:
        parts.append(Text(""))
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
    ratio = fit / max(ours, 1e-9)
    times = f"{ratio:,.{0 if ratio >= 10 else 1}f} times as long"
    return f"a loop of fit would take about {wording.duration(fit)}, {times} (extrapolated from a few timed epochs)"


def _variants(record: LessonRecord) -> Table:
    """Scores under each other: as many digits in all lines of a column, the interval below its score."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("variant")
    for column in record.columns:
        table.add_column(column, justify="right")
    places = [
        _decimals([variant.values[i] for variant in record.variants]) for i in range(len(record.columns))
    ]
    for variant in record.variants:
        table.add_row(variant.title, *map(_score, variant.values, places))
    return table


def _decimals(values: list[Estimate]) -> int | None:
    """Decimals of a column; of numbers that are not small at most four, however close seeds are together."""
    decimals = wording.common_decimals(values)
    is_small = any(abs(one.value) < _SMALL for one in values)
    return decimals if decimals is None or is_small else min(decimals, _MOST_DECIMALS)


def _score(value: Estimate, decimals: int | None) -> str:
    if not wording.is_known(value):
        return wording.NOT_AVAILABLE
    return f"{wording.value_of(value, decimals)}\n({wording.interval_of(value, decimals)})"


def _claims(record: LessonRecord) -> Table:
    """Each claim beside its verdict, and below it what was measured."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("verdict", no_wrap=True)
    table.add_column("claim, and what was measured")
    for claim in record.claims:
        said = Text(f"{claim.says}\n", style="bold")
        said.append(f"{claim.about}: {_measured(claim)}; holds if {claim.expects}", style="not bold")
        if claim.amended:
            said.append(f"\nChanged after a first full run: {claim.amended}", style="not bold dim")
        table.add_row(Text(claim.verdict, style=_VERDICTS[claim.verdict]), said)
    return table


def _measured(claim: ClaimLine) -> str:
    if claim.estimate.n != 1:
        return wording.with_interval(claim.estimate)
    if claim.expects == "true":
        return "true" if claim.estimate.value else "false"
    return wording.value_of(claim.estimate)


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
