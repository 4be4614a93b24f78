"""How does one setting go with the score? Trial by trial, and in groups of neighbours with their intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from caviar.estimate import Estimate
from caviar.evaluate.median import FEWEST, median_estimate
from caviar.report.figures import ORANGE, Figure, escaped
from caviar.report.scale import setting
from caviar.tune.parameter import Parameter

GROUPS = 6
"""Groups of neighbours at most."""


@dataclass(frozen=True)
class Group:
    """Trials that are neighbours on a setting's scale.

    Attributes:
        value: The middle one of their values.
        place: Where it stands on that scale, from 0 to 1.
        median: Of their scores.
    """

    value: Any
    place: float
    median: Estimate


def groups_of(parameter: Parameter, values: Sequence[Any], scores: Sequence[float]) -> tuple[Group, ...]:
    """Groups of about equally many trials along a setting's scale; one for each value where there are few.

    Groups in which an interval of the median cannot be said are left out.

    Args:
        parameter: The setting.
        values: Its values, trial by trial.
        scores: Theirs.
    """
    if not values:
        return ()
    places = np.array([parameter.place(value) for value in values])
    different = np.unique(places)
    if len(different) <= GROUPS:
        member = np.searchsorted(different, places)
    else:
        parts = max(1, min(GROUPS, len(values) // (2 * FEWEST)))
        edges = np.quantile(places, np.linspace(0, 1, parts + 1)[1:-1])
        member = np.searchsorted(edges, places, side="left")
    found = []
    for group in np.unique(member):
        inside = np.flatnonzero(member == group)
        if len(inside) < FEWEST:
            continue
        middle = inside[np.argsort(places[inside], kind="stable")[len(inside) // 2]]
        estimate = median_estimate(np.asarray(scores)[inside])
        found.append(Group(values[int(middle)], float(places[middle]), estimate))
    return tuple(found)


def draw_groups(figure: Figure, groups: Sequence[Group], x: Sequence[Any]) -> None:
    """Draw medians and their intervals on top of a figure's points, each at its `x`."""
    if not groups:
        return
    figure["data"].append(
        {
            "x": list(x),
            "text": [escaped(setting(one.value)) for one in groups],
            "y": [one.median.value for one in groups],
            "error_y": {
                "type": "data",
                "symmetric": False,
                "array": [one.median.high - one.median.value for one in groups],
                "arrayminus": [one.median.value - one.median.low for one in groups],
                "color": ORANGE,
                "thickness": 2,
                "width": 6,
            },
            "mode": "markers",
            "name": "median of neighbours, 95 %",
            "marker": {"color": ORANGE, "size": 9, "symbol": "diamond"},
            "hovertemplate": "%{text}: median %{y:.4g}<extra></extra>",
        }
    )
