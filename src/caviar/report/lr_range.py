"""The page of a learning-rate range test, drawn from its record alone; for each figure first the facts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caviar.estimate import Estimate
from caviar.evaluate.rate_findings import rate
from caviar.report import wording
from caviar.report.figures import BLUE, GREEN, INK, ORANGE, QUIET, Figure, escaped, layout
from caviar.report.page import filled
from caviar.run.files import write_text
from caviar.run.folder import REPORT
from caviar.run.rates import RangeRecord

LR_RANGE = "lr-range.json"

_HEIGHT = 360
# In a narrow place the legend has a line for each of its entries.
_NARROW_HEIGHT = 480
_SHADE = "rgba(0,103,163,0.16)"  # page.js knows a lighter one for dark pages


def write_range(folder: Path, record: RangeRecord) -> Path:
    """Write the record, and draw its page beside it.

    Args:
        folder: Gets `lr-range.json` and `report.html`.
        record: What was found.

    Returns:
        Where the page is.

    Raises:
        RunError: They cannot be written.
    """
    write_text(folder / LR_RANGE, record.model_dump_json(indent=1))
    write_text(folder / REPORT, render(record))
    return folder / REPORT


def render(record: RangeRecord) -> str:
    """The page as text."""
    curves = {"score": score_curve(record), "loss": loss_curve(record), "sweep": sweep_curve(record)}
    drawings = {
        name: {
            "wide": draw_curve(curve, _HEIGHT),
            "narrow": draw_curve(curve, _NARROW_HEIGHT),
            "description": curve.description,
        }
        for name, curve in curves.items()
    }
    return filled("lr_range.html.jinja", drawings, {}, record=record, plots=curves, rate=rate)


@dataclass(frozen=True)
class Curve:
    """A quantity over learning rates.

    Attributes:
        rates: Ascending.
        values: One for each; None where there is none.
        low: Lower ends of a band around them.
        high: Upper ends.
        name: What the values are.
        band: What the band is.
        axis: What the vertical axis measures.
        marks: Whether each value has a mark, filled for rates that cannot be told apart from the best one; empty for
            a line without marks.
        level: A height to compare with, and its name; None for none.
        lines: Rates that matter: name, rate, colour, dash.
        bottom: Lower end of the vertical axis: what lies beyond it is drawn at it.
        top: Upper end.
        description: The figure in one sentence.
    """

    rates: tuple[float, ...]
    values: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    name: str
    band: str
    axis: str
    marks: tuple[bool, ...]
    level: tuple[float, str] | None
    lines: tuple[tuple[str, float, str, str], ...]
    bottom: float
    top: float
    description: str


def score_curve(record: RangeRecord) -> Curve:
    """The deciding score at constant rates; the axis ends as far beyond no skill as the best rate lies before it."""
    metric, scale = record.metric, record.scale
    return _constant(
        record,
        [one.score for one in record.rates],
        f"held-out {metric.title}",
        (scale.no_skill, "no skill"),
        abs(scale.no_skill - scale.reference),
    )


def loss_curve(record: RangeRecord) -> Curve:
    """The model's own loss at constant rates; the axis ends near that of the lowest rate, or a typical one."""
    estimates = [one.loss for one in record.rates]
    values = sorted(one.value for one in estimates if math.isfinite(one.value))
    reach = values[len(values) // 2] - values[0] if values else 1.0
    first = next((one.value for one in estimates if math.isfinite(one.value)), math.nan)
    return _constant(
        record,
        estimates,
        "held-out loss of the model",
        None,
        max(reach, first - values[0] if values else 0.0),
    )


def _constant(
    record: RangeRecord,
    estimates: Sequence[Estimate],
    axis: str,
    level: tuple[float, str] | None,
    reach: float,
) -> Curve:
    values = [one.value for one in estimates]
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    level = level if level is not None and math.isfinite(level[0]) else None
    middle = level[0] if level is not None else min(finite)
    ends = [end for one in estimates for end in (one.low, one.high) if math.isfinite(end)]
    widths = sorted(one.high - one.low for one in estimates if math.isfinite(one.high - one.low))
    # Whatever the values, an interval fits in, and so do the rates to use, which may all lie beyond no skill.
    used = [abs(value - middle) for value, one in zip(values, record.rates, strict=True) if one.alike]
    reach = max(
        reach if math.isfinite(reach) else 0.0,
        0.6 * widths[0] if widths else 0.0,
        *(one for one in used if math.isfinite(one)),
    )
    near = [value for value in [*finite, *ends, middle] if abs(value - middle) <= 1.05 * reach]
    bottom, top = min(near), max(near)
    margin = 0.08 * (top - bottom) or 0.1 * abs(top) or 0.1
    named = "" if record.best is None else f". The best one is {rate(record.best)}"
    return Curve(
        rates=tuple(one.rate for one in record.rates),
        values=tuple(map(_known, values)),
        low=tuple(_known(one.low) for one in estimates),
        high=tuple(_known(one.high) for one in estimates),
        name="mean over folds and seeds",
        band="95 % interval (corrected)",
        axis=axis,
        marks=tuple(one.alike for one in record.rates),
        level=level,
        lines=_lines(record),
        bottom=bottom - margin,
        top=top + margin,
        description=f"The {axis} at {len(values)} constant learning rates{named}",
    )


def sweep_curve(record: RangeRecord) -> Curve:
    """The smoothed loss of the sweep; the axis ends as far above its beginning as the lowest loss lies below it."""
    sweep = record.sweep
    first = sweep.median[0]
    lowest = min(sweep.median)
    known = math.isfinite(first) and math.isfinite(lowest)
    start, fall = (first, (first - lowest) or abs(first) or 1.0) if known else (1.0, 1.0)
    lines = [
        (name, at, colour, dash)
        for name, at, colour, dash in (
            ("begins to fall", sweep.base, GREEN, "dot"),
            ("falls fastest", sweep.steepest, INK, "dot"),
            ("edge of the sweep", sweep.edge, ORANGE, "dot"),
            ("edge of constant rates", record.edge, ORANGE, "dash"),
        )
        if at is not None
    ]
    return Curve(
        rates=tuple(sweep.rates),
        values=tuple(map(_known, sweep.median)),
        low=tuple(map(_known, sweep.low)),
        high=tuple(_known(value) for value in sweep.high),
        name="median of the trainings",
        band="quartiles",
        axis="smoothed loss of a batch",
        marks=(),
        level=(start, "where it began"),
        lines=tuple(lines),
        bottom=start - 1.15 * fall,
        top=start + fall,
        description=(
            f"The smoothed training loss while the learning rate climbs from {rate(sweep.rates[0])} to "
            f"{rate(sweep.rates[-1])} within one training"
        ),
    )


def _lines(record: RangeRecord) -> tuple[tuple[str, float, str, str], ...]:
    found = (
        ("base", record.base, GREEN, "dot"),
        ("best", record.best, INK, "dot"),
        ("maximum", record.maximum, GREEN, "dash"),
        ("edge", record.edge, ORANGE, "dash"),
    )
    return tuple((name, at, colour, dash) for name, at, colour, dash in found if at is not None)


def draw_curve(curve: Curve, height: int = _HEIGHT) -> Figure:
    """Draw a line with its band over a logarithmic axis, and upright lines at the rates that matter."""
    figure = layout("learning rate", height=height, y_title=curve.axis)
    figure["data"] = [*_band(curve), _values(curve)]
    ends = [curve.rates[0], curve.rates[-1]]
    if curve.level is not None:
        level, name = curve.level
        figure["data"].append(_line(ends, [level, level], name, QUIET, "dashdot"))
    figure["data"] += [
        _line([at, at], [curve.bottom, curve.top], f"{name} {rate(at)}", colour, dash)
        for name, at, colour, dash in curve.lines
    ]
    reach = 0.02 * math.log10(ends[1] / ends[0])
    figure["layout"]["xaxis"] |= {
        "type": "log",
        "range": [math.log10(ends[0]) - reach, math.log10(ends[1]) + reach],
        "dtick": 1,
        "exponentformat": "power",
        "fixedrange": True,
    }
    room = 0.03 * (curve.top - curve.bottom)  # arrows stand at the ends
    figure["layout"]["yaxis"] |= {"range": [curve.bottom - room, curve.top + room], "fixedrange": True}
    figure["layout"] |= {
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
        "showlegend": True,
    }
    figure["layout"]["margin"] |= {"t": 64}
    return figure


def _values(curve: Curve) -> dict[str, Any]:
    """The line; what lies beyond the axis stands at its end as an arrow."""
    heights = [_within(value, curve) for value in curve.values]
    line = _line(curve.rates, heights, curve.name, BLUE, "solid")
    line["text"] = [
        f"{rate(at)}: {wording.number(value)}" for at, value in zip(curve.rates, curve.values, strict=True)
    ]
    line["hovertemplate"] = "%{text}<extra></extra>"
    if curve.marks:
        symbols = [
            _symbol(height, value, curve, is_filled=is_filled)
            for height, value, is_filled in zip(heights, curve.values, curve.marks, strict=True)
        ]
        line |= {"mode": "lines+markers", "marker": {"color": BLUE, "size": 9, "symbol": symbols}}
    return line


def _symbol(height: float | None, value: float | None, curve: Curve, *, is_filled: bool) -> str:
    if height != value:
        return "triangle-up" if height == curve.top else "triangle-down"
    return "circle" if is_filled else "circle-open"


def _band(curve: Curve) -> list[dict[str, Any]]:
    """The band, in pieces where values are missing."""
    pieces: list[list[int]] = [[]]
    for i, ends in enumerate(zip(curve.low, curve.high, strict=True)):
        if None in ends:
            pieces.append([])
        else:
            pieces[-1].append(i)
    traces: list[dict[str, Any]] = []
    for piece in filter(None, pieces):
        there = [curve.rates[i] for i in piece]
        upper, lower = ([_within(ends[i], curve) for i in piece] for ends in (curve.high, curve.low))
        traces.append(
            {"x": [*there, *reversed(there)], "y": [*upper, *reversed(lower)], "fill": "toself"}
            | {"fillcolor": _SHADE, "mode": "none", "name": curve.band, "legendgroup": "band"}
            | {"hoverinfo": "skip", "showlegend": not traces}
        )
    return traces


def _within(value: float | None, curve: Curve) -> float | None:
    return None if value is None else min(max(value, curve.bottom), curve.top)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _line(x: Sequence[float], y: Sequence[float | None], name: str, colour: str, dash: str) -> dict[str, Any]:
    return {
        "x": list(x),
        "y": list(y),
        "mode": "lines",
        "name": escaped(name),
        "line": {"color": colour, "width": 2, "dash": dash},
        "hovertemplate": "%{fullData.name}<extra></extra>",
    }
