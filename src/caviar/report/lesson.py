"""The page of a lesson, or of the whole course, drawn from records alone: first the questions, then the evidence."""

from collections.abc import Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

from caviar.report.figures import BLUE, FAINT, GREEN, INK, ORANGE, PAGE, QUIET, Figure, escaped, with_legend
from caviar.report.page import filled
from caviar.run.files import write_text
from caviar.run.folder import REPORT
from caviar.run.lesson import BarFigure, LessonFigure, LessonRecord, LineFigure, RegionFigure, Series, tally

COURSE = "course.html"

# The report's colours, and others that colour-blind readers tell from them; page.js has lighter ones for dark pages.
_COLOURS = (BLUE, ORANGE, GREEN, "#8e3b77", "#7a6200", "#a3262a", QUIET, INK)
_HEIGHT = 340
# With more lines, training rows are left out: nobody could tell them apart.
_MOST_LINES = 8
_LEVELS = 8


def write_lesson_page(folder: Path, record: LessonRecord) -> Path:
    """Draw a lesson's page beside its record; returns where it is.

    Raises:
        RunError: It cannot be written.
    """
    write_text(folder / REPORT, lesson_page(record))
    return folder / REPORT


def write_course(folder: Path, records: Sequence[LessonRecord]) -> Path:
    """Draw one page of all lessons; returns where it is.

    Raises:
        RunError: It cannot be written.
    """
    write_text(folder / COURSE, course_page(records))
    return folder / COURSE


def lesson_page(record: LessonRecord, *, is_inside: bool = False) -> str:
    """A lesson's page as text.

    Args:
        record: What was found.
        is_inside: Whether it stands inside another page, such as a notebook: the evidence is open then.
    """
    page = filled(
        "lesson.html.jinja", drawings([record]), {}, records=[record], is_open=is_inside, described=described
    )
    if not is_inside:
        return page
    return f'<iframe srcdoc="{_quoted(page)}" width="100%" height="900" style="border:0"></iframe>'


def course_page(records: Sequence[LessonRecord]) -> str:
    """The page of all lessons as text."""
    return filled(
        "course.html.jinja",
        drawings(records),
        {},
        records=list(records),
        is_open=False,
        described=described,
        tally=tally(list(records)),
        seconds=sum(record.seconds for record in records),
        fit_seconds=sum(record.fit_seconds or 0.0 for record in records),
        fit_share=sum(record.seconds for record in records if record.fit_seconds),
    )


def _quoted(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;")


def drawings(records: Sequence[LessonRecord]) -> dict[str, Any]:
    """All figures by the names that the template gives their places."""
    found = {}
    for record in records:
        for i, figure in enumerate(record.figures):
            found[f"{record.name}-{i}"] = {"wide": draw(figure), "description": described(figure)}
        for i, question in enumerate(record.questions):
            if question.figure is not None:
                found[f"{record.name}-q{i}"] = {
                    "wide": draw(question.figure),
                    "description": described(question.figure),
                }
    return found


def described(figure: LessonFigure) -> str:
    """A figure in a sentence, for readers who cannot see it.

    >>> described(BarFigure(title="Scores", across="accuracy", edges=[0.0, 1.0], counts={"dropout": [3]}))
    'Scores: histogram of accuracy for dropout.'
    """
    if isinstance(figure, BarFigure):
        return f"{figure.title}: histogram of {figure.across} for {', '.join(figure.counts)}."
    if isinstance(figure, RegionFigure):
        plane = f"each {figure.across} and {figure.up}"
        return f"{figure.title}: what is predicted for {plane}, with {len(figure.points)} rows."
    names = ", ".join(dict.fromkeys(series.name for series in figure.series))
    return f"{figure.title}: {figure.up} against {figure.across} for {names}."


def draw(figure: LessonFigure) -> Figure:
    """A figure as Plotly takes it."""
    if isinstance(figure, LineFigure):
        return _draw_lines(figure)
    return _draw_bars(figure) if isinstance(figure, BarFigure) else _draw_regions(figure)


def _draw_lines(figure: LineFigure) -> Figure:
    drawn = with_legend(figure.across, figure.up, height=_HEIGHT)
    groups = list(dict.fromkeys(series.group or series.name for series in figure.series))
    shown = [series for series in figure.series if not series.dashed or len(figure.series) <= _MOST_LINES]
    solid = {series.group for series in shown if not series.dashed}
    for series in shown:
        place = groups.index(series.group or series.name)
        colour = _COLOURS[place % len(_COLOURS)]
        if series.low and not series.dashed:
            drawn["data"].append(_band(figure.x, series, colour))
        drawn["data"].append(
            _line(figure, series, place, is_named=not series.dashed or series.group not in solid)
        )
    drawn["layout"]["xaxis"] |= {"type": "log", "dtick": 1} if figure.log_x else {}
    drawn["layout"]["yaxis"] |= {"exponentformat": "power"} | (
        {"type": "log"} if figure.log_y and _is_positive(figure) else {}
    )
    room = 20 * len(groups)  # in a narrow place each name of the legend stands on a line of its own
    drawn["layout"] |= {"height": _HEIGHT + room}
    drawn["layout"]["margin"] |= {"t": 24 + room}
    return drawn


def _is_positive(figure: LineFigure) -> bool:
    return all(
        value > 0 for series in figure.series for value in [*series.values, *series.low] if value is not None
    )


def _line(figure: LineFigure, series: Series, place: int, *, is_named: bool) -> dict[str, Any]:
    colour, solid = _COLOURS[place % len(_COLOURS)], "solid" if place < len(_COLOURS) else "dot"
    look = (
        {"mode": "markers", "marker": {"color": colour, "size": 7}}
        if figure.points
        else {
            "mode": "lines",
            "line": {
                "color": colour,
                "width": 1.3 if series.dashed else 2,
                "dash": "dash" if series.dashed else solid,
            },
        }
    )
    kind = ", training rows" if series.dashed else ""
    return {
        "x": figure.x[: len(series.values)],
        "y": series.values,
        "name": escaped(series.name),
        "legendgroup": escaped(series.group or series.name),
        "showlegend": is_named,
        "hovertemplate": f"%{{y:.4g}}<extra>{escaped(series.name)}{kind}</extra>",
        **look,
    }


def _band(x: list[float], series: Series, colour: str) -> dict[str, Any]:
    """Closed pieces, one for each stretch in which there is something."""
    across: list[float | None] = []
    up: list[float | None] = []
    places = [i for i, value in enumerate(series.low) if value is not None and series.high[i] is not None]
    for _, run in groupby(enumerate(places), lambda pair: pair[1] - pair[0]):
        piece = [place for _, place in run]
        across += [*(x[i] for i in piece), *(x[i] for i in reversed(piece)), None]
        up += [*(series.low[i] for i in piece), *(series.high[i] for i in reversed(piece)), None]
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return {
        "x": across,
        "y": up,
        "mode": "lines",
        "line": {"width": 0},
        "fill": "toself",
        "fillcolor": f"rgba({red},{green},{blue},0.15)",
        "legendgroup": escaped(series.group or series.name),
        "showlegend": False,
        "hoverinfo": "skip",
    }


def _draw_bars(figure: BarFigure) -> Figure:
    drawn = with_legend(figure.across, "trainings", height=_HEIGHT)
    middles = [(low + high) / 2 for low, high in pairwise(figure.edges)]
    widths = [high - low for low, high in pairwise(figure.edges)]
    drawn["data"] = [
        {
            "type": "bar",
            "x": middles,
            "y": counts,
            "width": widths,
            "name": escaped(name),
            "marker": {"color": _COLOURS[i % len(_COLOURS)], "opacity": 0.55},
            "hovertemplate": "%{y} around %{x:.4g}<extra>%{fullData.name}</extra>",
        }
        for i, (name, counts) in enumerate(figure.counts.items())
    ]
    drawn["layout"] |= {"barmode": "overlay"}
    return drawn


def _draw_regions(figure: RegionFigure) -> Figure:
    """Rectangles for stretches of a row that predict the same, and the rows over them."""
    drawn = with_legend(figure.across, figure.up, height=_HEIGHT + 80)
    x, y = _edges(figure.x), _edges(figure.y)
    many = max(max(row) for row in figure.z) > 1
    shapes = []
    for i, row in enumerate(figure.z):
        levels = [int(value) if many else min(_LEVELS - 1, int(value * _LEVELS)) for value in row]
        start = 0
        for level, run in groupby(levels):
            stop = start + len(list(run))
            shapes.append(
                {"type": "rect", "x0": x[start], "x1": x[stop], "y0": y[i], "y1": y[i + 1], "layer": "below"}
                | {"line": {"width": 0}, "fillcolor": _shade(level, many=many)}
            )
            start = stop
    drawn["layout"]["shapes"] = shapes
    for k in sorted(set(figure.classes)):
        some = [point for point, kind in zip(figure.points, figure.classes, strict=True) if kind == k]
        drawn["data"].append(
            {
                "x": [point[0] for point in some],
                "y": [point[1] for point in some],
                "mode": "markers",
                "name": f"class {k}",
                "marker": {
                    "color": _COLOURS[k % len(_COLOURS)],
                    "size": 6,
                    "line": {"width": 1, "color": PAGE},
                },
                "hovertemplate": "%{x:.3g}, %{y:.3g}<extra>%{fullData.name}</extra>",
            }
        )
    for axis, ends in (("xaxis", x), ("yaxis", y)):
        drawn["layout"][axis] |= {"range": [ends[0], ends[-1]], "gridcolor": FAINT}
    return drawn


def _edges(middles: list[float]) -> list[float]:
    steps = [(a + b) / 2 for a, b in pairwise(middles)]
    return [2 * middles[0] - steps[0], *steps, 2 * middles[-1] - steps[-1]]


def _shade(level: int, *, many: bool) -> str:
    colour = _COLOURS[level % len(_COLOURS)] if many else (BLUE if level < _LEVELS / 2 else ORANGE)
    strength = 0.22 if many else 0.06 + 0.3 * abs(level + 0.5 - _LEVELS / 2) / (_LEVELS / 2)
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{strength:.2f})"
