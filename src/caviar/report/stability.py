"""The page of a study of stability: what it says, drawn from its record alone; for each figure first the facts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from caviar.estimate import Estimate
from caviar.report import wording
from caviar.report.figures import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    QUIET,
    Figure,
    Row,
    Rows,
    axis_range,
    described,
    escaped,
    spread_rows,
    with_legend,
)
from caviar.report.page import filled, rows_figure
from caviar.run.files import write_text
from caviar.run.folder import REPORT
from caviar.run.studies import StabilityRecord

STABILITY = "stability.json"

# Repeats up to which the standard error is drawn, though more may be needed.
_FARTHEST = 200
_HEIGHT = 320


def write_stability(folder: Path, record: StabilityRecord) -> Path:
    """Write the record, and draw its page beside it.

    Args:
        folder: Gets `stability.json` and `report.html`.
        record: What was found.

    Returns:
        Where the page is.

    Raises:
        RunError: They cannot be written.
    """
    write_text(folder / STABILITY, record.model_dump_json(indent=1))
    write_text(folder / REPORT, render(record))
    return folder / REPORT


def render(record: StabilityRecord) -> str:
    """The page as text."""
    rows = {
        "intervals": interval_rows(record),
        "spread": spread_rows(record.spread, record.metric.title),
    }
    bars, line, errors = histogram(record), quantiles(record), error_lines(record)
    drawings = {name: rows_figure(facts) for name, facts in rows.items() if facts.rows}
    drawings |= {
        "histogram": {"wide": draw_histogram(bars, record), "description": bars.description},
        "quantiles": {"wide": draw_quantiles(line, record), "description": line.description},
        "errors": {"wide": draw_errors(errors, record), "description": errors.description},
    }
    return filled(
        "stability.html.jinja",
        drawings,
        {},
        record=record,
        rows=rows,
        intervals=intervals(record),
        plots={"histogram": bars, "quantiles": line, "errors": errors},
    )


def intervals(record: StabilityRecord) -> list[tuple[str, Estimate]]:
    """The three intervals of the mean, with what they are called."""
    return [
        ("± 1.96 standard errors", record.normal),
        ("Bootstrap over repeats", record.bootstrap),
        ("Corrected (Nadeau and Bengio)", record.recipe.score),
    ]


def interval_rows(record: StabilityRecord) -> Rows:
    """The intervals below each other."""
    named = intervals(record)
    decimals = wording.common_decimals(estimate for _, estimate in named[:2])
    rows = [
        Row(title, estimate, wording.with_interval(estimate, decimals), symbol, colour)
        for (title, estimate), symbol, colour in zip(
            named, ("circle", "diamond", "square"), (BLUE, GREEN, ORANGE), strict=True
        )
    ]
    low, high = axis_range(rows, values_reach=math.inf, ends_reach=math.inf)
    return Rows(
        rows=tuple(rows),
        unknown=(),
        axis=record.metric.title,
        line=None,
        band=None,
        low=low,
        high=high,
        description=described("Intervals of the mean score", rows),
    )


@dataclass(frozen=True)
class Bars:
    """How many repeats have a score within each of some equal steps.

    Attributes:
        edges: Ends of the steps, one more than there are steps.
        counts: Repeats in each.
        description: The figure in one sentence.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    description: str


def histogram(record: StabilityRecord) -> Bars:
    """The repeats' scores in steps: as wide as NumPy's rule for the data says."""
    counts, edges = np.histogram(record.repeat_scores, bins="auto")
    values = record.repeat_scores
    return Bars(
        edges=tuple(map(float, edges)),
        counts=tuple(map(int, counts)),
        description=(
            f"Histogram of the {record.metric.title} of {len(values)} repeats, from {wording.number(min(values))} to "
            f"{wording.number(max(values))}"
        ),
    )


def draw_histogram(bars: Bars, record: StabilityRecord) -> Figure:
    """Draw bars, and the normal curve of the same mean and standard deviation."""
    figure = with_legend(record.metric.title, "repeats", height=_HEIGHT)
    steps = np.diff(bars.edges)
    middles = np.asarray(bars.edges[:-1]) + steps / 2
    figure["data"] = [
        {
            "type": "bar",
            "x": middles.tolist(),
            "y": list(bars.counts),
            "width": steps.tolist(),
            "marker": {"color": BLUE, "opacity": 0.6, "line": {"width": 1, "color": BLUE}},
            "name": "repeats",
            "hovertemplate": "%{y} repeats around %{x:.4g}<extra></extra>",
        }
    ]
    if record.deviation > 0:
        reach = 3.2 * record.deviation
        x = np.linspace(record.mean - reach, record.mean + reach, 81)
        y = stats.norm.pdf(x, record.mean, record.deviation) * len(record.repeat_scores) * float(steps[0])
        figure["data"].append(_line(x.tolist(), y.tolist(), "normal distribution", INK, "dash"))
    return figure


@dataclass(frozen=True)
class Quantiles:
    """Scores beside the quantiles that normal ones would have.

    Attributes:
        normal: Quantiles of the standard normal distribution, ascending.
        scores: The repeats' scores, ascending.
        slope: Slope of the line on which normal scores lie.
        intercept: Where it crosses zero.
        description: The figure in one sentence.
    """

    normal: tuple[float, ...]
    scores: tuple[float, ...]
    slope: float
    intercept: float
    description: str


def quantiles(record: StabilityRecord) -> Quantiles:
    """The ordered scores at Filliben's normal quantiles, with the line of the same mean and standard deviation."""
    normal, scores = stats.probplot(record.repeat_scores, fit=False)
    return Quantiles(
        normal=tuple(map(float, normal)),
        scores=tuple(map(float, scores)),
        slope=record.deviation,
        intercept=record.mean,
        description=f"Quantiles of the repeats' scores beside normal ones. {record.normality.sentence.rstrip('.')}",
    )


def draw_quantiles(facts: Quantiles, record: StabilityRecord) -> Figure:
    """Draw points, and the line on which they would lie."""
    figure = with_legend("standard normal quantile", record.metric.title, height=_HEIGHT)
    ends = [facts.normal[0], facts.normal[-1]]
    figure["data"] = [
        _line(
            ends, [facts.intercept + facts.slope * end for end in ends], "normal distribution", INK, "dash"
        ),
        {
            "x": list(facts.normal),
            "y": list(facts.scores),
            "mode": "markers",
            "marker": {"color": BLUE, "size": 8},
            "name": "repeats",
            "hovertemplate": "%{y:.4g}<extra></extra>",
        },
    ]
    return figure


@dataclass(frozen=True)
class ErrorLines:
    """Standard errors against the number of repeats.

    Attributes:
        seen: After the first 2, 3, … repeats, by their own standard deviation.
        repeats: Numbers of repeats of the two lines.
        expected: By the standard deviation of all repeats, taking repeats as independent.
        corrected: Of the mean for other rows of the same kind (Nadeau and Bengio).
        rope: What counts as a difference.
        enough: The smallest number of repeats whose expected standard error is below it.
        description: The figure in one sentence.
    """

    seen: tuple[float, ...]
    repeats: tuple[int, ...]
    expected: tuple[float, ...]
    corrected: tuple[float, ...]
    rope: float
    enough: int
    description: str


def error_lines(record: StabilityRecord) -> ErrorLines:
    """Both standard errors for as many repeats as were trained, or as are enough."""
    farthest = max(len(record.repeat_scores), min(_FARTHEST, math.ceil(1.1 * record.enough.repeats)))
    repeats = tuple(range(1, farthest + 1))
    scores = np.array(record.fold_scores)
    finite = scores[np.isfinite(scores)]
    whole, folds = float(np.var(finite, ddof=1)), scores.shape[1]
    return ErrorLines(
        seen=tuple(record.errors),
        repeats=repeats,
        expected=tuple(record.deviation / math.sqrt(n) for n in repeats),
        corrected=tuple(math.sqrt(whole * (1 / (n * folds) + record.test_share)) for n in repeats),
        rope=record.scale.rope,
        enough=record.enough.repeats,
        description=(
            f"Standard error of the mean {record.metric.title} against the number of repeats. {record.enough.sentence}"
        ),
    )


def draw_errors(facts: ErrorLines, record: StabilityRecord) -> Figure:
    """Draw what was seen as points, what is expected as lines, and what counts as a difference."""
    figure = with_legend("repeats", f"standard error of {record.metric.title}", height=_HEIGHT)
    ends = [facts.repeats[0], facts.repeats[-1]]
    figure["data"] = [
        _line(facts.repeats, facts.corrected, "for other rows (corrected)", ORANGE, "dash"),
        _line(ends, [facts.rope, facts.rope], "what counts as a difference", QUIET, "dot"),
        _line(facts.repeats, facts.expected, "on these rows, expected", BLUE, "solid"),
        {
            "x": list(range(2, len(facts.seen) + 2)),
            "y": list(facts.seen),
            "mode": "markers",
            "marker": {"color": BLUE, "size": 6, "symbol": "circle-open"},
            "name": "on these rows, seen",
            "hovertemplate": "%{x} repeats: %{y:.3g}<extra></extra>",
        },
    ]
    figure["layout"]["yaxis"] |= {"rangemode": "tozero"}
    if facts.enough <= facts.repeats[-1]:
        figure["layout"]["shapes"] = [
            {"type": "line", "x0": facts.enough, "x1": facts.enough, "yref": "paper", "y0": 0, "y1": 1}
            | {"layer": "below", "line": {"color": GREEN, "width": 1.5, "dash": "dash"}}
        ]
    return figure


def _line(x: Sequence[float], y: Sequence[float], name: str, colour: str, dash: str) -> dict[str, Any]:
    return {
        "x": list(x),
        "y": list(y),
        "mode": "lines",
        "name": escaped(name),
        "line": {"color": colour, "width": 2, "dash": dash},
        "hovertemplate": "%{y:.3g}<extra>%{fullData.name}</extra>",
    }
