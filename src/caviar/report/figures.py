"""What the figures show: for each one first the facts, then their drawing as a Plotly figure."""

import math
from dataclasses import dataclass
from typing import Any

from caviar.evaluate.estimate import Estimate
from caviar.report import verdict as found
from caviar.report import wording
from caviar.run.record import Record

Figure = dict[str, Any]

# Okabe & Ito (2008): told apart by colour-blind readers. page.js swaps them for lighter ones on dark pages.
INK = "#1b1f24"
QUIET = "#5b6470"
FAINT = "#d7dce1"
BLUE = "#0067a3"
ORANGE = "#b84a00"
GREEN = "#007a59"
BAND = "#e9edf0"

_ROW_HEIGHT = 46
_TITLE_LENGTH = 30
_VERDICT_MARKS = {
    "helps": ("triangle-up", GREEN),
    "harms": ("triangle-down", ORANGE),
    "no practical difference": ("square", QUIET),
    "not enough data": ("circle-open", BLUE),
}


@dataclass(frozen=True)
class Row:
    """One line of a figure of intervals: a label, an estimate, and what stands at its right end."""

    title: str
    estimate: Estimate
    note: str
    symbol: str
    colour: str


@dataclass(frozen=True)
class Rows:
    """Facts of a figure of intervals, top row first.

    Attributes:
        rows: The lines that have a finite value.
        unknown: Titles of lines without one: they are named below the figure.
        axis: What the horizontal axis measures.
        line: Where a reference line stands, with its name; None for none.
        band: Half width of the band around 0 that counts as no difference; None for none.
        low: Left end of the axis.
        high: Right end of the axis.
        description: The figure in one sentence, for readers who cannot see it.
    """

    rows: tuple[Row, ...]
    unknown: tuple[str, ...]
    axis: str
    line: tuple[float, str] | None
    band: float | None
    low: float
    high: float
    description: str


def escaped(text: str) -> str:
    """`text` so that Plotly shows it letter by letter: it would read tags and templates in it otherwise.

    >>> escaped("<b>a & b</b>")
    '&lt;b&gt;a &amp; b&lt;/b&gt;'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def axis_range(rows: list[Row], *also: float, reach: float = 6.0) -> tuple[float, float]:
    """Ends of an axis on which all point values can be read.

    One interval can be a thousand times wider than the others (a remedy that diverged). An interval's end
    stretches the axis to at most `reach` times the typical distance from the middle; the rest is cut.
    """
    values = [row.estimate.value for row in rows] + [value for value in also if math.isfinite(value)]
    if not values:
        return 0.0, 1.0
    middle = sorted(values)[len(values) // 2]
    ends = [end for row in rows for end in (row.estimate.low, row.estimate.high) if math.isfinite(end)]
    distances = sorted(abs(end - middle) for end in [*ends, *values])
    farthest = reach * distances[len(distances) // 2] if distances[-1] > 0 else 1.0
    kept = [end for end in [*ends, *values] if abs(end - middle) <= farthest] or values
    low, high = min(kept), max(kept)
    margin = 0.06 * (high - low) or abs(low) * 0.1 or 1.0
    return low - margin, high + margin


def score_facts(record: Record) -> Rows | None:
    """The deciding score of your model, of the chosen recipe and of the simple models; None before measuring."""
    if record.metric is None or record.baseline is None:
        return None
    named = [("Your model as it is", found.score_of(record, record.baseline), "circle", BLUE)]
    chosen = found.chosen_arm(record)
    if chosen and chosen.name != record.baseline.name:
        named.append((chosen.title, found.score_of(record, chosen), "diamond", GREEN))
    named += [
        (row.title, found.score_of(record, row), "square", QUIET)
        for row in record.references
        if row.name != found.NO_SKILL
    ]
    rows = [
        Row(title, estimate, wording.with_interval(estimate), symbol, colour)
        for title, estimate, symbol, colour in named
        if estimate is not None and math.isfinite(estimate.value)
    ]
    no_skill = found.no_skill_of(record)
    low, high = axis_range(rows, *([] if no_skill is None else [no_skill]))
    return Rows(
        rows=tuple(rows),
        unknown=tuple(title for title, estimate, *_ in named if not wording.is_known(estimate)),
        axis=f"{record.metric.title} ({found.direction(record)})",
        line=None if no_skill is None else (no_skill, "no skill"),
        band=None,
        low=low,
        high=high,
        description=_described("Scores with 95 % intervals", rows),
    )


def comparison_facts(record: Record) -> Rows | None:
    """The paired difference of every remedy, best first; None if nothing was compared."""
    if record.trial is None or record.metric is None or not record.trial.comparisons:
        return None
    known = [c for c in record.trial.comparisons if math.isfinite(c.difference.value)]
    rows = [
        Row(
            found.title_of(record, comparison.remedy),
            comparison.difference,
            f"{comparison.verdict}  {wording.signed(comparison.difference)}",
            *_VERDICT_MARKS[comparison.verdict],
        )
        for comparison in sorted(known, key=lambda c: -c.difference.value)
    ]
    low, high = axis_range(rows, 0.0, -record.trial.rope, record.trial.rope)
    return Rows(
        rows=tuple(rows),
        unknown=tuple(
            found.title_of(record, c.remedy)
            for c in record.trial.comparisons
            if not math.isfinite(c.difference.value)
        ),
        axis=f"improvement of {record.metric.title} over your model as it is",
        line=(0.0, "no difference"),
        band=record.trial.rope if math.isfinite(record.trial.rope) else None,
        low=low,
        high=high,
        description=_described("Improvement by each remedy with 95 % intervals", rows),
    )


def spread_facts(record: Record) -> Rows | None:
    """How far the score moves with the split and with the seed; None if that was not measured."""
    if record.spread is None or record.metric is None:
        return None
    named = [("Other split, same seed", record.spread.split), ("Other seed, same split", record.spread.seed)]
    rows = [
        Row(title, estimate, wording.with_interval(estimate), symbol, colour)
        for (title, estimate), symbol, colour in zip(
            named, ("circle", "diamond"), (BLUE, ORANGE), strict=True
        )
        if math.isfinite(estimate.value)
    ]
    _, high = axis_range(rows, 0.0)
    return Rows(
        rows=tuple(rows),
        unknown=tuple(title for title, estimate in named if not math.isfinite(estimate.value)),
        axis=f"standard deviation of {record.metric.title}",
        line=None,
        band=None,
        low=0.0,
        high=high,
        description=_described("Spread of the score with 95 % intervals", rows),
    )


def _described(what: str, rows: list[Row]) -> str:
    said = "; ".join(f"{row.title}: {wording.with_interval(row.estimate)}" for row in rows)
    return f"{what}. {said or 'Nothing to show'}."


def draw_rows(facts: Rows) -> Figure:
    """Draw intervals one below the other, each with its label above it: readable on a phone, too."""
    height = len(facts.rows)
    shapes = [_band(facts.band)] if facts.band else []
    notes: list[dict[str, Any]] = []
    if facts.line and facts.low <= facts.line[0] <= facts.high:
        shapes.append(_line(facts.line[0]))
        notes.append(_line_name(facts))
    traces = []
    for place, row in enumerate(facts.rows):
        y = height - place
        traces += _interval(row, y, facts)
        notes += [
            _text(row.title, y, 0, "left", INK, _TITLE_LENGTH),
            _text(row.note, y, 1, "right", QUIET, 60),
        ]
    figure = layout(facts.axis, height=_ROW_HEIGHT * height + 74)
    figure["layout"]["xaxis"] |= {"range": [facts.low, facts.high], "zeroline": False}
    figure["layout"]["yaxis"] |= {
        "range": [0.6, height + 0.85],
        "visible": False,
        "fixedrange": True,
    }
    figure["layout"] |= {"shapes": shapes, "annotations": notes, "showlegend": False}
    figure["layout"]["margin"] |= {"l": 4, "r": 4, "t": 26}
    figure["data"] = traces
    return figure


def _interval(row: Row, y: int, facts: Rows) -> list[dict[str, Any]]:
    """One estimate: its interval as a bar, cut at the axis' ends and marked there, and its point on top."""
    low, high = max(row.estimate.low, facts.low), min(row.estimate.high, facts.high)
    hover = escaped(f"{row.title}: {wording.with_interval(row.estimate)}")
    traces: list[dict[str, Any]] = []
    if math.isfinite(low) and math.isfinite(high) and low <= high:
        ends = [end for end, cut in ((low, row.estimate.low < low), (high, row.estimate.high > high)) if cut]
        traces.append(
            {"x": [low, high], "y": [y, y], "mode": "lines", "line": {"width": 3, "color": row.colour}}
            | {"hoverinfo": "skip", "opacity": 0.55}
        )
        if ends:
            marks = ["triangle-left" if end == low else "triangle-right" for end in ends]
            traces.append(
                {"x": ends, "y": [y] * len(ends), "mode": "markers", "hoverinfo": "skip", "cliponaxis": False}
                | {"marker": {"symbol": marks, "size": 9, "color": row.colour}}
            )
    marker = {
        "symbol": row.symbol,
        "size": 12,
        "color": row.colour,
        "line": {"width": 2, "color": row.colour},
    }
    traces.append(
        {"x": [row.estimate.value], "y": [y], "mode": "markers", "marker": marker}
        | {"text": [hover], "hovertemplate": "%{text}<extra></extra>"}
    )
    return traces


def _text(text: str, y: int, x: float, anchor: str, colour: str, length: int) -> dict[str, Any]:
    return {
        "text": escaped(wording.shortened(text, length)),
        "xref": "paper",
        "x": x,
        "xanchor": anchor,
        "y": y,
        "yshift": 15,
        "showarrow": False,
        "font": {"color": colour, "size": 13},
    }


def _line_name(facts: Rows) -> dict[str, Any]:
    value, name = facts.line or (0.0, "")
    share = (value - facts.low) / (facts.high - facts.low)
    anchor = "left" if share < 0.15 else "right" if share > 0.85 else "center"
    return {
        "text": escaped(name),
        "x": value,
        "xanchor": anchor,
        "yref": "paper",
        "y": 1,
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"color": QUIET, "size": 12},
    }


def _line(value: float) -> dict[str, Any]:
    return {
        "type": "line",
        "x0": value,
        "x1": value,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "layer": "below",
        "line": {"color": QUIET, "width": 1.5, "dash": "dash"},
    }


def _band(half_width: float) -> dict[str, Any]:
    return {
        "type": "rect",
        "x0": -half_width,
        "x1": half_width,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "layer": "below",
        "fillcolor": BAND,
        "line": {"width": 0},
    }


def layout(x_title: str, *, height: int, y_title: str = "") -> Figure:
    """An empty figure in the report's calm style; page.js adds the colours of the reader's theme."""
    axis: dict[str, Any] = {
        "gridcolor": FAINT,
        "linecolor": FAINT,
        "ticks": "outside",
        "tickcolor": FAINT,
        "automargin": True,
        "zeroline": False,
    }
    return {
        "data": [],
        "layout": {
            "height": height,
            "margin": {"l": 48, "r": 12, "t": 12, "b": 48},
            "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "xaxis": axis | {"title": {"text": escaped(x_title), "standoff": 10}},
            "yaxis": axis | {"title": {"text": escaped(y_title), "standoff": 8}},
            "hovermode": "closest",
            "dragmode": False,
        },
    }
