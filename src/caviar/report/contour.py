"""How do two settings together go with the score? Trials as points, and between them what their neighbours say."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from caviar.errors import OptionError
from caviar.report import wording
from caviar.report.figures import GREEN, PAGE, QUIET, Figure, escaped, with_legend
from caviar.report.scale import Axis, axis_of, setting, ticks_of
from caviar.run.study import SearchRecord, TrialLine
from caviar.tune.space import Space

GRID = 33
"""Places along each axis at which the neighbours' mean is computed."""
BANDS = 6
NEIGHBOURS = 2.0
"""Trials, counted by how near they are, that a place needs to be shaded."""
_HEIGHT = 460


@dataclass(frozen=True, eq=False)
class Band:
    """Where the neighbours' mean lies between two scores.

    Attributes:
        low: The lower score.
        high: The higher score.
        pieces: Polygons (corner, x and y) in places on the two axes.
    """

    low: float
    high: float
    pieces: tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class Contour:
    """Trials over two settings.

    Attributes:
        x: One axis.
        y: The other one.
        places: Of the trials (trial, x and y), best first.
        labels: What each of them is, in words.
        bands: Shaded, the worst first; only inside the trials' convex hull, and where some are near.
        description: The figure in one sentence.
    """

    x: Axis
    y: Axis
    places: np.ndarray
    labels: tuple[str, ...]
    bands: tuple[Band, ...]
    description: str


def weightiest(record: SearchRecord, space: Space) -> tuple[str, str] | None:
    """The two settings on a scale that count most for being among the best; None where that is not known.

    Between the values of a choice without order there is nothing to shade.
    """
    on_a_scale = {one.name for one in space.parameters if one.is_searched and one.is_numeric}
    names = [name for name in record.importance if name in on_a_scale]
    return (names[0], names[1]) if len(names) > 1 else None


def contour(
    record: SearchRecord, best: Sequence[TrialLine], space: Space, x: str, y: str, bandwidth: float = 1.0
) -> Contour:
    """What trials and their neighbours say of two settings.

    A place is given the mean score of the trials around it, weighted by a Gaussian of their distance on the settings'
    own scales; its width is that of Scott's rule. Scores far beyond the others count as those at the end of the range.

    Args:
        record: What was searched.
        best: Trials with a score, best first.
        space: What may be set.
        x: Name of a setting on a scale.
        y: Name of another one.
        bandwidth: Times the width of Scott's rule.

    Raises:
        OptionError: There are no two such settings, or no trial has both.

    Source: Scott (1992), "Multivariate density estimation", for the width.
    """
    known = {one.name: one for one in space.parameters if one.is_numeric and one.is_searched}
    for name in (x, y):
        if name not in known or x == y:
            raise OptionError(
                f"Expected two settings on a scale out of {', '.join(known) or 'none'}, got {x!r} and {y!r}. "
                f"Name two of them."
            )
    both = [line for line in best if x in line.settings and y in line.settings]
    if not both:
        raise OptionError(f"Expected trials with both {x!r} and {y!r}, got none. Name two other settings.")
    places = np.array(
        [[known[name].place(line.settings[name]) for name in (x, y)] for line in both], np.float64
    )
    scores = np.array([line.score[0] for line in both])
    ends = np.quantile(scores, [0.1, 1.0] if record.higher_is_better else [0.0, 0.9])
    return Contour(
        axis_of(known[x]),
        axis_of(known[y]),
        places,
        tuple(
            f"trial {line.number}: {line.score[0]:.4g}, "
            + ", ".join(f"{name} {setting(line.settings[name])}" for name in (x, y))
            for line in both
        ),
        _bands(places, np.clip(scores, *ends), bandwidth, higher_is_better=record.higher_is_better),
        f"{record.metric} of {len(both)} trials by {x} and {y}; shaded by the mean of neighbouring trials",
    )


def _bands(
    places: np.ndarray, scores: np.ndarray, bandwidth: float, *, higher_is_better: bool
) -> tuple[Band, ...]:
    """Polygons between equal steps of the neighbours' mean; none where trials span no area."""
    if len(np.unique(places, axis=0)) < 3:
        return ()
    try:
        hull = ConvexHull(places).equations
    except QhullError:  # on one line
        return ()
    low, high = places.min(axis=0), places.max(axis=0)
    grid = np.stack(
        np.meshgrid(*(np.linspace(low[i], high[i], GRID) for i in (0, 1)), indexing="ij"), axis=-1
    )
    width = np.maximum(places.std(axis=0), 1e-6) * len(places) ** (-1 / 6) * bandwidth
    weights = np.exp(-0.5 * (((grid[:, :, None] - places) / width) ** 2).sum(axis=-1))
    near = weights.sum(axis=-1)
    means = weights @ scores / np.where(near > 0, near, 1)
    inside = [
        piece
        for triangle in _triangles(np.concatenate([grid, means[..., None], near[..., None]], axis=-1))
        if len(piece := _within(triangle, hull))
    ]
    if not inside:
        return ()
    every = np.concatenate(inside)[:, 2]
    edges = np.linspace(every.min(), every.max(), BANDS + 1)
    pairs = list(pairwise(edges))
    return tuple(
        Band(
            float(a), float(b), tuple(piece[:, :2] for one in inside if len(piece := _between(one, a, b)) > 2)
        )
        for a, b in (pairs if higher_is_better else reversed(pairs))
    )


def _triangles(corners: np.ndarray) -> np.ndarray:
    """Two triangles (triangle, corner, …) for each square of a grid of corners."""
    a, b, c, d = corners[:-1, :-1], corners[1:, :-1], corners[1:, 1:], corners[:-1, 1:]
    return np.concatenate(
        [np.stack(three, axis=2).reshape(-1, 3, corners.shape[-1]) for three in ((a, b, c), (a, c, d))]
    )


def _within(polygon: np.ndarray, hull: np.ndarray) -> np.ndarray:
    """What lies inside the convex hull of the trials, and has enough of them near."""
    for normal_x, normal_y, offset in hull:
        polygon = _cut(polygon, -(polygon[:, 0] * normal_x + polygon[:, 1] * normal_y + offset))
    return _cut(polygon, polygon[:, 3] - NEIGHBOURS)


def _between(polygon: np.ndarray, low: float, high: float) -> np.ndarray:
    polygon = _cut(polygon, polygon[:, 2] - low)
    return _cut(polygon, high - polygon[:, 2])


def _cut(polygon: np.ndarray, side: np.ndarray) -> np.ndarray:
    """The part of a convex polygon (corner, …) where `side` (corner,), which is linear on it, is not negative.

    Source: Sutherland & Hodgman (1974), "Reentrant polygon clipping".
    """
    if (side >= 0).all():
        return polygon
    kept = []
    for i in range(len(polygon)):
        before, now = side[i - 1], side[i]
        if (before < 0) != (now < 0):
            kept.append(polygon[i - 1] + (polygon[i] - polygon[i - 1]) * before / (before - now))
        if now >= 0:
            kept.append(polygon[i])
    return np.array(kept).reshape(-1, polygon.shape[1])


def draw_contour(facts: Contour, record: SearchRecord) -> Figure:
    """Draw the bands, stronger where the score is better, and the trials on top."""
    figure = with_legend(facts.x.name, facts.y.name, height=_HEIGHT)
    figure["data"] = [_shaded(band, place, len(facts.bands)) for place, band in enumerate(facts.bands)]
    figure["data"] += [
        _dots(facts, slice(1, None), "trials", QUIET, 6),
        _dots(facts, slice(0, 1), "the best", GREEN, 11),
    ]
    for name, axis in (("xaxis", facts.x), ("yaxis", facts.y)):
        figure["layout"][name] |= ticks_of(axis)
    figure["layout"]["legend"] |= {"title": {"text": escaped(record.metric), "side": "left"}}
    figure["layout"]["margin"] |= {"t": 70}
    return figure


def _shaded(band: Band, place: int, bands: int) -> dict[str, Any]:
    x: list[float | None] = []
    y: list[float | None] = []
    for piece in band.pieces:
        closed = np.concatenate([piece, piece[:1]]).round(4)
        x += [*closed[:, 0].tolist(), None]
        y += [*closed[:, 1].tolist(), None]
    # Of one colour with more or less of the page showing through: it works on light and on dark pages.
    colour = f"rgba(0,103,163,{0.08 + 0.62 * (place + 1) / bands:.2f})"
    return {
        "x": x,
        "y": y,
        "mode": "lines",
        "line": {"width": 0, "simplify": False},
        "fill": "toself",
        "fillcolor": colour,
        "name": f"{wording.number(band.low)} to {wording.number(band.high)}",
        "hoverinfo": "skip",
    }


def _dots(facts: Contour, which: slice, name: str, colour: str, size: int) -> dict[str, Any]:
    return {
        "x": facts.places[which, 0].tolist(),
        "y": facts.places[which, 1].tolist(),
        "text": [escaped(label) for label in facts.labels[which]],
        "mode": "markers",
        "name": name,
        "marker": {"color": colour, "size": size, "line": {"width": 1, "color": PAGE}},
        "hovertemplate": "%{text}<extra></extra>",
    }
