"""The page of a search, drawn from its record and trials; for each figure first the facts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from caviar.evaluate.wording import listed
from caviar.report import wording
from caviar.report.contour import contour, draw_contour, weightiest
from caviar.report.figures import BLUE, FAINT, GREEN, ORANGE, QUIET, Figure, escaped, trial_range, with_legend
from caviar.report.front import direction, draw_front, front_facts, marks_of, objectives_of, worth_showing
from caviar.report.page import filled
from caviar.report.scale import Axis, axis_of, setting, ticks_of
from caviar.report.slices import Group, draw_groups, groups_of
from caviar.run.files import write_text
from caviar.run.folder import REPORT
from caviar.run.study import SearchRecord, TrialLine, alike, complete
from caviar.tune.parameter import Parameter
from caviar.tune.space import Space

_HEIGHT, _SLICE_HEIGHT = 320, 250
OPEN_SLICES = 12
"""Parameters whose figures are open from the beginning."""
MOST_LINES = 200
"""Trials drawn in parallel: the best ones, and as many others as there is room for."""
SHOWN = 20
"""Trials of the table."""
_BEST_SHARE = 0.1


def write_search(folder: Path, record: SearchRecord, lines: Sequence[TrialLine], space: Space) -> Path:
    """Draw a search's page.

    Args:
        folder: Gets `report.html`.
        record: What was found.
        lines: All trials.
        space: What was searched.

    Returns:
        Where the page is.

    Raises:
        RunError: It cannot be written.
    """
    write_text(folder / REPORT, render(record, lines, space))
    return folder / REPORT


def render(record: SearchRecord, lines: Sequence[TrialLine], space: Space) -> str:
    """The page as text."""
    best = ranked(record, complete(lines))
    beside, shown = ranked(record, alike(lines)), worth_showing(record, best, SHOWN)
    objectives, front = objectives_of(record), front_facts(record, best)
    history, slices = progress(record, lines), slices_of(record, beside, space)
    drawings = {
        "history": {"wide": draw_progress(history, record), "description": history.description},
        **{
            f"slice-{i}": {"wide": draw_slice(one, record), "description": one.description}
            for i, one in enumerate(slices)
        },
    }
    if front is not None:
        drawings["front"] = {"wide": draw_front(front), "description": front.description}
    parallel, bars, pair = parallel_lines(beside, space), bars_of(record), weightiest(record, space)
    if parallel is not None:
        drawings["parallel"] = {"wide": draw_parallel(parallel), "description": parallel.description}
    if bars is not None:
        drawings["importance"] = {"wide": draw_bars(bars), "description": bars.description}
    both = None if pair is None else contour(record, beside, space, *pair)
    if both is not None:
        drawings["contour"] = {"wide": draw_contour(both, record), "description": both.description}
    return filled(
        "search.html.jinja",
        drawings,
        {},
        record=record,
        objectives=objectives,
        direction=direction,
        marks_of=marks_of,
        titles=listed([one.title for one in objectives]),
        plots={"history": history, "front": front, "parallel": parallel, "importance": bars, "contour": both},
        slices=slices,
        open_slices=OPEN_SLICES,
        best=shown,
        front_unseen=len(set(record.front) - {line.number for line in shown}),
        left_out=len(ranked(record, lines)) - len(beside),
        parts=len(ranked(record, lines)) - len(best),
        failed=[line for line in lines if line.why][:SHOWN],
        setting=setting,
    )


def ranked(record: SearchRecord, lines: Sequence[TrialLine]) -> list[TrialLine]:
    """Trials that have a score, best first."""
    sign = -1 if record.higher_is_better else 1
    known = [line for line in lines if np.isfinite(line.score[0])]
    return sorted(known, key=lambda line: (sign * line.score[0], line.number))


@dataclass(frozen=True)
class Progress:
    """Scores in the order of the trials, and the best so far.

    Attributes:
        numbers: Of the trials that have a score, and had a whole training.
        scores: Theirs.
        best: The best one up to each of them.
        parts: Numbers and scores of trials that had a part of one.
        description: The figure in one sentence.
    """

    numbers: tuple[int, ...]
    scores: tuple[float, ...]
    best: tuple[float, ...]
    parts: tuple[tuple[int, float], ...]
    description: str


def progress(record: SearchRecord, lines: Sequence[TrialLine]) -> Progress:
    """How the search went on."""
    known = sorted(complete(lines), key=lambda line: line.number)
    whole = {line.number for line in known}
    parts = [line for line in lines if np.isfinite(line.score[0]) and line.number not in whole]
    scores = [line.score[0] for line in known]
    so_far = np.maximum.accumulate(scores) if record.higher_is_better else np.minimum.accumulate(scores)
    return Progress(
        tuple(line.number for line in known),
        tuple(scores),
        tuple(map(float, so_far)),
        tuple((line.number, line.score[0]) for line in parts),
        f"{record.metric} of {len(known)} trials in their order, and the best so far, which ends at "
        f"{wording.number(record.naive_score)}"
        + (f"; of {len(parts)} more after a part of their training" if parts else ""),
    )


def draw_progress(facts: Progress, record: SearchRecord) -> Figure:
    """Draw points, and the best so far as a stair."""
    figure = with_legend("trial", record.metric, height=_HEIGHT)
    numbers, scores = zip(*facts.parts, strict=True) if facts.parts else ((), ())
    figure["data"] = [
        *(
            [_points(numbers, scores, "parts of trials", QUIET, "trial %{x}: %{y:.4g}")]
            if facts.parts
            else []
        ),
        _points(facts.numbers, facts.scores, "trials", BLUE, "trial %{x}: %{y:.4g}"),
        {
            "x": list(facts.numbers),
            "y": list(facts.best),
            "mode": "lines",
            "name": "best so far",
            "line": {"color": ORANGE, "width": 2, "shape": "hv"},
            "hovertemplate": "%{y:.4g}<extra>best so far</extra>",
        },
    ]
    figure["layout"]["yaxis"] |= {
        "range": trial_range((*facts.scores, *scores), higher_is_better=record.higher_is_better)
    }
    return figure


@dataclass(frozen=True)
class Slice:
    """One setting and the score, trial by trial.

    Attributes:
        name: Of the setting.
        values: In the order of `scores`; words where they are no numbers.
        scores: Of the trials in which it counted.
        is_log: Whether the axis is logarithmic.
        axis: A scale that Plotly does not know; None for one that it does.
        places: Where the trials stand on that scale; empty without one.
        order: Words in their order; empty for numbers.
        drawn: How values are drawn, in words.
        groups: Neighbours on its scale, with the median of their scores.
        description: The figure in one sentence.
    """

    name: str
    values: tuple[Any, ...]
    scores: tuple[float, ...]
    is_log: bool
    axis: Axis | None
    places: tuple[float, ...]
    order: tuple[str, ...]
    drawn: str
    groups: tuple[Group, ...]
    description: str


def slices_of(record: SearchRecord, best: Sequence[TrialLine], space: Space) -> list[Slice]:
    """A slice for each parameter that has more than one value."""
    found: list[Slice] = []
    for parameter in space.parameters:
        known = [line for line in best if parameter.name in line.settings]
        if not parameter.is_searched or not known:
            continue
        values: list[Any] = [line.settings[parameter.name] for line in known]
        own_axis = parameter.is_numeric and parameter.question.sampling == "reverse_log"
        words = () if parameter.is_numeric else tuple(map(str, parameter.points or ()))
        found.append(
            Slice(
                parameter.name,
                tuple(map(str, values)) if words else tuple(values),
                tuple(line.score[0] for line in known),
                parameter.is_numeric and parameter.question.sampling == "log",
                axis_of(parameter) if own_axis else None,
                tuple(map(parameter.place, values)) if own_axis else (),
                words,
                _drawn(parameter),
                groups_of(parameter, values, [line.score[0] for line in known]),
                f"{record.metric} of {len(known)} trials by {parameter.name}",
            )
        )
    return found


def _drawn(parameter: Parameter) -> str:
    asked = parameter.question
    if asked.low is None:
        return f"{len(parameter.points or ())} values, each equally often"
    scale = {"linear": "evenly", "log": "evenly on a logarithmic scale"}.get(
        asked.sampling, "evenly on a logarithmic scale that is dense near the upper end"
    )
    return f"{setting(asked.low)} to {setting(asked.high)}, {scale}"


def draw_slice(facts: Slice, record: SearchRecord) -> Figure:
    """Draw every trial as a point, and the groups' medians with their intervals."""
    figure = with_legend(facts.name, record.metric, height=_SLICE_HEIGHT)
    x, hover = (facts.places, "%{text}: %{y:.4g}") if facts.axis else (facts.values, "%{x}: %{y:.4g}")
    figure["data"] = [_points(x, facts.scores, "trials", BLUE, hover)]
    if facts.axis is not None:
        figure["data"][0]["text"] = [setting(value) for value in facts.values]
        figure["layout"]["xaxis"] |= ticks_of(facts.axis)
    draw_groups(
        figure,
        facts.groups,
        [
            group.place if facts.axis else str(group.value) if facts.order else group.value
            for group in facts.groups
        ],
    )
    figure["layout"]["yaxis"] |= {
        "range": trial_range(facts.scores, higher_is_better=record.higher_is_better)
    }
    if facts.is_log:
        figure["layout"]["xaxis"] |= {"type": "log", "exponentformat": "none"}
    if facts.order:
        figure["layout"]["xaxis"] |= {"type": "category", "categoryarray": list(facts.order)}
    return figure


@dataclass(frozen=True)
class Parallel:
    """Trials as lines over the axes of all settings.

    Attributes:
        names: Of the settings that all trials have, axis by axis.
        places: Where each trial stands on each axis, from 0 to 1 (trial, axis), best first.
        best: How many of the first are among the best.
        description: The figure in one sentence.
    """

    names: tuple[str, ...]
    places: tuple[tuple[float, ...], ...]
    best: int
    description: str


def parallel_lines(best: Sequence[TrialLine], space: Space) -> Parallel | None:
    """The trials' places on their axes; None where fewer than two settings count in all trials."""
    shared = [
        one for one in space.parameters if one.is_searched and all(one.name in line.settings for line in best)
    ]
    if len(shared) < 2 or not best:
        return None
    places = tuple(tuple(one.place(line.settings[one.name]) for one in shared) for line in best[:MOST_LINES])
    top = max(1, round(_BEST_SHARE * len(best)))
    return Parallel(
        tuple(one.name for one in shared),
        places,
        min(top, len(places)),
        f"{len(places)} trials as lines over {len(shared)} settings; the best {top} stand out",
    )


def draw_parallel(facts: Parallel) -> Figure:
    """Draw lines, the best ones above the others."""
    figure = with_legend("", "low to high", height=_HEIGHT)
    axes = list(range(len(facts.names)))

    def joined(places: Sequence[Sequence[float]], name: str, colour: str, width: float) -> dict[str, Any]:
        x: list[float | None] = []
        y: list[float | None] = []
        for line in places:
            x += [*axes, None]
            y += [*line, None]
        shape = {"color": colour, "width": width}
        return {"x": x, "y": y, "mode": "lines", "name": name, "line": shape, "hoverinfo": "skip"}

    figure["data"] = [
        joined(facts.places[facts.best :], "other trials", FAINT, 1),
        joined(facts.places[1 : facts.best], "among the best tenth", BLUE, 1.5),
        joined(facts.places[:1], "the best", GREEN, 3),
    ]
    named = {"tickvals": axes, "ticktext": [escaped(name) for name in facts.names]}
    figure["layout"]["xaxis"] |= {**named, "range": [-0.3, axes[-1] + 0.3]}
    figure["layout"]["yaxis"] |= {"range": [-0.02, 1.02], "showticklabels": False}
    return figure


@dataclass(frozen=True)
class Bars:
    """How much settings count.

    Attributes:
        names: The one that counts most first.
        shares: Of 1.
        description: The figure in one sentence.
    """

    names: tuple[str, ...]
    shares: tuple[float, ...]
    description: str


def bars_of(record: SearchRecord) -> Bars | None:
    """What counts for being among the best tenth; None where trials were too few to say."""
    if not record.importance:
        return None
    said = ", ".join(f"{name} {wording.percent(share)}" for name, share in record.importance.items())
    return Bars(
        tuple(record.importance), tuple(record.importance.values()), f"How much each setting counts: {said}"
    )


def draw_bars(facts: Bars) -> Figure:
    """Draw a bar for each setting, the longest on top."""
    figure = with_legend("share of 1", "", height=80 + 26 * len(facts.names))
    figure["data"] = [
        {
            "type": "bar",
            "orientation": "h",
            "x": list(facts.shares),
            "y": [escaped(wording.shortened(name, 33)) for name in facts.names],
            "marker": {"color": BLUE},
            "hovertemplate": "%{y}: %{x:.3f}<extra></extra>",
        }
    ]
    figure["layout"]["showlegend"] = False
    figure["layout"]["margin"] |= {"t": 12}
    figure["layout"]["xaxis"] |= {"range": [0, 1]}
    figure["layout"]["yaxis"] |= {"autorange": "reversed"}
    return figure


def _points(x: Sequence[Any], y: Sequence[float], name: str, colour: str, hover: str) -> dict[str, Any]:
    return {
        "x": list(x),
        "y": list(y),
        "mode": "markers",
        "name": name,
        "marker": {"color": colour, "size": 7, "opacity": 0.7, "line": {"width": 0.5, "color": QUIET}},
        "hovertemplate": f"{hover}<extra></extra>",
    }
