"""What the figures show: for each one first the facts, then their drawing as a Plotly figure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from caviar.estimate import Estimate
from caviar.report import verdict as found
from caviar.report import wording
from caviar.run.record import Record, SpreadRecord

Figure = dict[str, Any]

# Okabe & Ito (2008): told apart by colour-blind readers. page.js swaps them for lighter ones on dark pages.
PAGE = "#ffffff"
INK = "#1b1f24"
QUIET = "#5b6470"
FAINT = "#d7dce1"
BLUE = "#0067a3"
ORANGE = "#b84a00"
GREEN = "#007a59"
BAND = "#e9edf0"

VERDICT_MARKS = {
    "helps": ("triangle-up", GREEN),
    "harms": ("triangle-down", ORANGE),
    "no practical difference": ("square", QUIET),
    "not enough data": ("circle-open", BLUE),
}


@dataclass(frozen=True)
class _Place:
    """Where a row's label and note stand: beside its interval or above it. Lengths in pixels."""

    is_beside: bool
    row_height: int
    headroom: float
    shift: int
    title_length: int
    margin: dict[str, int]


_BESIDE = _Place(
    is_beside=True,
    row_height=32,
    headroom=0.5,
    shift=0,
    title_length=33,
    margin={"l": 262, "r": 262, "t": 26, "b": 52},
)
_ABOVE = _Place(
    is_beside=False,
    row_height=50,
    headroom=0.85,
    shift=18,
    title_length=26,
    margin={"l": 4, "r": 4, "t": 26, "b": 52},
)


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


def axis_range(
    rows: list[Row], *also: float, ends_reach: float = 6.0, values_reach: float = 30.0
) -> tuple[float, float]:
    """Ends of an axis on which the rows can be read, though one may be a thousand times wider than the others.

    Distances count from the middle value, in units of the typical one among all values and interval ends.

    Args:
        rows: What the axis is for.
        also: Further values that must lie on it.
        ends_reach: Interval ends stretch the axis to this distance, or to twice that of the farthest value.
        values_reach: Values stretch the axis to this distance; one beyond is drawn as an arrow at the end.
    """
    values = [row.estimate.value for row in rows] + [value for value in also if math.isfinite(value)]
    if not values:
        return 0.0, 1.0
    middle = sorted(values)[len(values) // 2]
    ends = [end for row in rows for end in (row.estimate.low, row.estimate.high) if math.isfinite(end)]
    distances = sorted(abs(end - middle) for end in [*ends, *values])
    typical = distances[len(distances) // 2] or distances[-1]
    near = [value for value in values if abs(value - middle) <= values_reach * typical]
    reach = max(ends_reach * typical, 2 * max(abs(value - middle) for value in near))
    kept = near + [end for end in ends if abs(end - middle) <= reach]
    low, high = min(kept), max(kept)
    margin = 0.06 * (high - low) or abs(low) * 0.1 or 1.0
    return low - margin, high + margin


def trial_range(scores: Sequence[float], *, higher_is_better: bool) -> list[float]:
    """Ends of an axis on which good trials of a search can be told apart, though bad ones may lie far beyond."""
    low, high = np.quantile(scores, [0.1, 1] if higher_is_better else [0, 0.9])
    room = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    return [float(low - room), float(high + room)]


def score_facts(record: Record) -> Rows | None:
    """The deciding score of the model, of the chosen recipe and of simple models; None before measuring."""
    if record.metric is None or record.baseline is None:
        return None
    named = [(found.AS_IT_IS, found.score_of(record, record.baseline), "circle", BLUE)]
    chosen = found.chosen_arm(record)
    if chosen and chosen.name != record.baseline.name:
        named.append((chosen.title, found.score_of(record, chosen), "diamond", GREEN))
    named += [
        (wording.capitalized(row.title), found.score_of(record, row), "square", QUIET)
        for row in record.references
        if row.name != found.NO_SKILL
    ]
    decimals = found.score_decimals(record).get(record.metric.name)
    rows = [
        Row(title, estimate, wording.with_interval(estimate, decimals), symbol, colour)
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
        description=described("Scores with 95 % intervals", rows),
    )


def comparison_facts(record: Record) -> Rows | None:
    """The paired difference of every remedy, best first; None if nothing was compared."""
    if record.trial is None or record.metric is None or not record.trial.comparisons:
        return None
    known = [c for c in record.trial.comparisons if math.isfinite(c.difference.value)]
    decimals = wording.common_decimals(comparison.difference for comparison in known)
    rows = [
        Row(
            found.title_of(record, comparison.remedy),
            comparison.difference,
            f"{comparison.verdict}  {wording.signed(comparison.difference, decimals)}",
            *VERDICT_MARKS[comparison.verdict],
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
        axis=f"improvement of {record.metric.title} over the model as it is",
        line=(0.0, "no difference"),
        band=record.trial.rope if math.isfinite(record.trial.rope) else None,
        low=low,
        high=high,
        description=described("Improvement by each remedy with 95 % intervals", rows),
    )


def spread_facts(record: Record) -> Rows | None:
    """How far the score moves with the split and with the seed; None if that was not measured."""
    if record.spread is None or record.metric is None:
        return None
    return spread_rows(record.spread, record.metric.title)


def spread_rows(spread: SpreadRecord, metric_title: str) -> Rows:
    """The two standard deviations below each other, with their intervals."""
    decimals = wording.common_decimals([spread.split, spread.seed])
    named = [("Other split, same seed", spread.split), ("Other seed, same split", spread.seed)]
    rows = [
        Row(title, estimate, wording.with_interval(estimate, decimals), symbol, colour)
        for (title, estimate), symbol, colour in zip(
            named, ("circle", "diamond"), (BLUE, ORANGE), strict=True
        )
        if math.isfinite(estimate.value)
    ]
    _, high = axis_range(rows, 0.0)
    return Rows(
        rows=tuple(rows),
        unknown=tuple(title for title, estimate in named if not math.isfinite(estimate.value)),
        axis=f"standard deviation of {metric_title}",
        line=None,
        band=None,
        low=0.0,
        high=high,
        description=described("Spread of the score with 95 % intervals", rows),
    )


def described(what: str, rows: list[Row]) -> str:
    """A figure of intervals in one sentence, for readers who cannot see it."""
    said = "; ".join(f"{row.title}: {wording.with_interval(row.estimate)}" for row in rows)
    return f"{what}. {said or 'Nothing to show'}."


def draw_rows(facts: Rows, *, is_wide: bool) -> Figure:
    """Draw intervals one below the other: labels beside them where there is room, else above them."""
    height = len(facts.rows)
    place = _BESIDE if is_wide else _ABOVE
    notes: list[dict[str, Any]] = []
    traces: list[dict[str, Any]] = []
    for position, row in enumerate(facts.rows):
        y = height - position
        traces += _interval(row, y, facts)
        notes += [
            _text(row.title, y, place, is_left=True),
            _text(row.note, y, place, is_left=False),
        ]
    figure = layout(facts.axis, height=place.row_height * height + 84)
    figure["data"] = traces
    figure["layout"]["xaxis"] |= {"range": [facts.low, facts.high], "fixedrange": True}
    figure["layout"]["yaxis"] |= {
        "range": [0.5, height + place.headroom],
        "visible": False,
        "fixedrange": True,
    }
    figure["layout"] |= {
        "shapes": _marks(facts),
        "annotations": notes + _line_names(facts),
        "showlegend": False,
    }
    figure["layout"]["margin"] = place.margin
    return figure


def _interval(row: Row, y: int, facts: Rows) -> list[dict[str, Any]]:
    """One estimate: its interval as a bar, its point on top; what lies beyond the axis ends in an arrow."""
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
    value = min(max(row.estimate.value, facts.low), facts.high)
    symbol = row.symbol
    if value != row.estimate.value:
        symbol = "triangle-left" if value == facts.low else "triangle-right"
    marker = {"symbol": symbol, "size": 12, "color": row.colour, "line": {"width": 2, "color": row.colour}}
    traces.append(
        {"x": [value], "y": [y], "mode": "markers", "marker": marker, "cliponaxis": False}
        | {"text": [hover], "hovertemplate": "%{text}<extra></extra>"}
    )
    return traces


def _text(text: str, y: int, place: "_Place", *, is_left: bool) -> dict[str, Any]:
    """A label at the left end of a row, or a note at its right end."""
    inner = "right" if is_left else "left"
    outer = "left" if is_left else "right"
    anchor = inner if place.is_beside else outer
    return {
        "text": escaped(wording.shortened(text, place.title_length if is_left else 60)),
        "xref": "paper",
        "x": 0 if is_left else 1,
        "xanchor": anchor,
        "xshift": (-12 if is_left else 12) if place.is_beside else 0,
        "y": y,
        "yshift": place.shift,
        "showarrow": False,
        "bgcolor": PAGE,
        "borderpad": 1,
        "font": {"color": INK if is_left else QUIET, "size": 13},
    }


def _line_names(facts: Rows) -> list[dict[str, Any]]:
    """The reference line's name, above it and inside the figure."""
    if facts.line is None or not facts.low <= facts.line[0] <= facts.high:
        return []
    value, name = facts.line
    share = (value - facts.low) / (facts.high - facts.low)
    return [
        {
            "text": escaped(name),
            "x": value,
            "xanchor": "left" if share < 0.15 else "right" if share > 0.85 else "center",
            "yref": "paper",
            "y": 1,
            "yanchor": "bottom",
            "showarrow": False,
            "font": {"color": QUIET, "size": 12},
        }
    ]


def _marks(facts: Rows) -> list[dict[str, Any]]:
    """The band of no practical difference, and the reference line."""
    band = [_band(facts.band)] if facts.band else []
    line = [_line(facts.line[0])] if facts.line and facts.low <= facts.line[0] <= facts.high else []
    return band + line


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


def with_legend(x_title: str, y_title: str, *, height: int) -> Figure:
    """An empty figure with its legend above it, whose axes stay as they are."""
    figure = layout(x_title, height=height, y_title=y_title)
    figure["layout"] |= {
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
        "showlegend": True,
    }
    figure["layout"]["margin"] |= {"t": 44}
    for axis in ("xaxis", "yaxis"):
        figure["layout"][axis] |= {"fixedrange": True}
    return figure
