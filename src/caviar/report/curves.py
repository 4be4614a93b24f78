"""What the learning curves show: the median of all members, the band around it, and single members."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr

from caviar.evaluate.wording import listed
from caviar.report import wording
from caviar.report.figures import BLUE, ORANGE, QUIET, Figure, escaped, layout

Role = Literal["training", "watched", "held out"]

_PREFIXES: tuple[tuple[str, Role], ...] = (("held_out_", "held out"), ("val_", "watched"))
_LEGENDS: dict[Role, str] = {
    "training": "training rows",
    "watched": "watched rows",
    "held out": "held-out rows",
}
# Line style as well as colour tells the roles apart.
_LINES: dict[Role, tuple[str, str]] = {
    "training": (BLUE, "solid"),
    "watched": (QUIET, "dot"),
    "held out": (ORANGE, "dash"),
}
_ROLES: tuple[Role, ...] = ("training", "held out", "watched")
_BANDS: dict[Role, str] = {
    "training": "rgba(0,103,163,0.16)",
    "watched": "rgba(91,100,112,0.14)",
    "held out": "rgba(184,74,0,0.16)",
}


@dataclass(frozen=True)
class Member:
    """One training's curve: its values at every `stride`-th epoch from `first` on; None after it stopped."""

    name: str
    first: int
    stride: int
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Curve:
    """One recorded quantity over the epochs, of all members of an arm.

    Attributes:
        role: On which rows it was computed.
        epochs: [epoch] Numbers of the epochs shown.
        median: [epoch] The middle member.
        low: [epoch] 10 % of the members lie below.
        high: [epoch] 10 % of the members lie above.
        members: Single members, thinned.
    """

    role: Role
    epochs: tuple[int, ...]
    median: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Panel:
    """All curves of one quantity: the loss, a metric, or the learning rate."""

    title: str
    curves: tuple[Curve, ...]
    is_logarithmic: bool


@dataclass(frozen=True)
class CurveFacts:
    """The learning curves of one arm, and what was left out of them."""

    panels: tuple[Panel, ...]
    members: int
    epochs: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Limits:
    """How much of a history fits into a page: single members, epochs of each, epochs of a band, metrics."""

    members: int = 30
    points: int = 50
    band_points: int = 100
    metrics: int = 2


def curve_facts(history: xr.Dataset, limits: Limits = Limits()) -> CurveFacts:
    """Read an arm's curves from its history.

    Medians and bands rest on all members; they are computed before anything is thinned.

    Args:
        history: Variables over (member, epoch), named as Keras names its logs; NaN after a member stopped.
        limits: How much to draw at most.

    >>> falling = xr.Dataset({"loss": (("member", "epoch"), [[0.9, 0.5], [0.7, 0.3]])})
    >>> curve_facts(falling).panels[0].curves[0].median
    (0.8, 0.4)
    """
    panels = [_panel(history, quantity, limits) for quantity in _quantities(history)]
    panels = [panel for panel in panels if panel.curves]
    left_out = [panel.title for panel in panels[1 + limits.metrics :]]
    return CurveFacts(
        panels=tuple(panels[: 1 + limits.metrics]),
        members=history.sizes.get("member", 0),
        epochs=history.sizes.get("epoch", 0),
        notes=tuple(_notes(history, left_out, limits)),
    )


def _quantities(history: xr.Dataset) -> list[str]:
    """What was recorded, without prefixes: the loss first; a learning rate that never moves is left out."""
    names = list(dict.fromkeys(_split_name(str(name))[0] for name in history.data_vars))
    names.sort(key=lambda name: (name != "loss", name == "learning_rate"))
    return [name for name in names if name != "learning_rate" or _moves(_values(history, name))]


def _split_name(name: str) -> tuple[str, Role]:
    for prefix, role in _PREFIXES:
        if name.startswith(prefix):
            return name.removeprefix(prefix), role
    return name, "training"


def _values(history: xr.Dataset, name: str) -> np.ndarray:
    """One variable as [member, epoch]; what is not finite becomes NaN, as no curve can pass through it."""
    values = np.asarray(history[name].transpose("member", "epoch").values, dtype=float)
    return np.where(np.isfinite(values), values, np.nan)


def _moves(values: np.ndarray) -> bool:
    """Whether any member's values [member, epoch] change over the epochs."""
    some = values[~np.isnan(values).all(axis=1)]
    return bool(some.size) and bool((np.nanmax(some, axis=1) > np.nanmin(some, axis=1) * (1 + 1e-6)).any())


def _panel(history: xr.Dataset, quantity: str, limits: Limits) -> Panel:
    recorded = {
        role: str(n) for n in history.data_vars for base, role in [_split_name(str(n))] if base == quantity
    }
    names = _member_names(history)
    epochs = _epochs(history)
    curves = [
        _curve(role, _values(history, recorded[role]), epochs, names, limits)
        for role in _ROLES
        if role in recorded
    ]
    shown = tuple(curve for curve in curves if any(value is not None for value in curve.median))
    return Panel(quantity.replace("_", " "), shown, _spans_decades(shown))


def _epochs(history: xr.Dataset) -> np.ndarray:
    """Numbers of the epochs; counted from 1 where the history does not number them."""
    return np.asarray(
        history["epoch"].values if "epoch" in history.coords else range(1, history.sizes["epoch"] + 1)
    )


def _member_names(history: xr.Dataset) -> list[str]:
    axes = [axis for axis in ("repeat", "fold", "seed") if axis in history.coords]
    columns = [np.atleast_1d(history[axis].values) for axis in axes]
    return [
        ", ".join(f"{axis} {column[member]}" for axis, column in zip(axes, columns, strict=True))
        for member in range(history.sizes["member"])
    ]


def _curve(role: Role, values: np.ndarray, epochs: np.ndarray, names: list[str], limits: Limits) -> Curve:
    at = _thinned(len(epochs), limits.band_points)
    low, median, high = _quantiles(values[:, at])
    fine = _thinned(len(epochs), limits.points)
    stride = int(epochs[fine[1]] - epochs[fine[0]]) if len(fine) > 1 else 1
    drawn = [
        member for member in _spread_out(len(names), limits.members) if not np.isnan(values[member]).all()
    ]
    return Curve(
        role=role,
        epochs=tuple(int(epoch) for epoch in epochs[at]),
        median=_rounded(median),
        low=_rounded(low),
        high=_rounded(high),
        members=tuple(
            Member(names[m], int(epochs[fine[0]]), stride, _rounded(values[m, fine])) for m in drawn
        ),
    )


def _quantiles(values: np.ndarray) -> np.ndarray:
    """10 %, 50 % and 90 % [quantile, epoch] over the members still training.

    NaN where fewer than half of those that ever trained still do: the last ones are no fair sample of all.
    """
    result = np.full((3, values.shape[1]), np.nan)
    training = (~np.isnan(values)).sum(axis=0)
    ever = int((~np.isnan(values).all(axis=1)).sum())
    fair = (training > 0) & (2 * training >= ever)
    if fair.any():
        result[:, fair] = np.nanquantile(values[:, fair], [0.1, 0.5, 0.9], axis=0)
    return result


def _thinned(n: int, at_most: int) -> np.ndarray:
    """Indices at equal steps that end at the last: the last epoch is the one that is scored."""
    stride = max(1, math.ceil(n / at_most))
    return np.arange((n - 1) % stride, n, stride)


def _spread_out(n: int, at_most: int) -> list[int]:
    """At most `at_most` of `n` members, from all repeats and folds alike."""
    return sorted({int(member) for member in np.linspace(0, n - 1, min(n, at_most)).round()})


def _rounded(values: np.ndarray) -> tuple[float | None, ...]:
    """Four significant digits: more cannot be seen, and the page carries every digit. None for NaN."""
    return tuple(None if math.isnan(value) else float(f"{value:.4g}") for value in values)


def _spans_decades(curves: tuple[Curve, ...], decades: float = 2.5) -> bool:
    """Whether the median and band span so many powers of ten that a linear axis would hide most of it."""
    values = [
        v for curve in curves for line in (curve.low, curve.median, curve.high) for v in line if v is not None
    ]
    return bool(values) and min(values) > 0 and math.log10(max(values) / min(values)) > decades


def _notes(history: xr.Dataset, left_out: list[str], limits: Limits) -> list[str]:
    members, epochs = history.sizes.get("member", 0), history.sizes.get("epoch", 0)
    notes = []
    if members > limits.members:
        notes.append(
            f"{limits.members} of {members} single trainings are drawn; median and band rest on all."
        )
    if epochs > limits.points:
        step = math.ceil(epochs / limits.points)
        notes.append(f"Single trainings show one epoch in {step}, to keep the page small.")
    if "loss" in history and members and epochs:
        stopped = int(np.isnan(_values(history, "loss")[:, -1]).sum())
        if stopped:
            some = f"All {members}" if stopped == members else f"{stopped} of {members}"
            notes.append(
                f"{some} trainings ended before the last epoch; "
                "median and band end where fewer than half of them still train."
            )
    if left_out:
        notes.append(f"Also recorded, not drawn: {listed(left_out)}.")
    return notes


def draw_panel(panel: Panel) -> Figure:
    """Draw one quantity: single members faint, the band shaded, the median strong."""
    figure = layout("epoch", height=300, y_title=panel.title)
    faint: dict[str, Any] = {"mode": "lines", "line": {"width": 1}, "opacity": 0.18, "showlegend": False}
    hover = "%{fullData.name}<br>epoch %{x}: %{y:.4g}<extra></extra>"
    figure["layout"]["template"] = {"data": {"scatter": [faint | {"hovertemplate": hover}]}}
    figure["layout"] |= {
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            "traceorder": "normal",
        }
    }
    figure["layout"]["margin"] |= {"t": 36}
    figure["layout"]["yaxis"] |= (
        {"type": "log", "dtick": 1, "exponentformat": "power"} if panel.is_logarithmic else {}
    )
    figure["data"] = [
        *[_member(member, curve.role) for curve in panel.curves for member in curve.members],
        *[trace for curve in panel.curves for trace in _band(curve)],
        *[_median(curve) for curve in panel.curves],
    ]
    return figure


def _member(member: Member, role: Role) -> dict[str, Any]:
    return {
        "x0": member.first,
        "dx": member.stride,
        "y": member.values,
        "name": escaped(member.name),
        "line": {"color": _LINES[role][0]},
    }


def _band(curve: Curve) -> list[dict[str, Any]]:
    """Two invisible lines with the area between them filled."""
    edge: dict[str, Any] = {"x": curve.epochs, "hoverinfo": "skip", "opacity": 1, "line": {"width": 0}}
    return [
        edge | {"y": curve.low, "hovertemplate": ""},
        edge | {"y": curve.high, "hovertemplate": "", "fill": "tonexty", "fillcolor": _BANDS[curve.role]},
    ]


def _median(curve: Curve) -> dict[str, Any]:
    colour, dash = _LINES[curve.role]
    return {
        "x": curve.epochs,
        "y": curve.median,
        "name": _LEGENDS[curve.role],
        "showlegend": True,
        "opacity": 1,
        "line": {"color": colour, "width": 2.5, "dash": dash},
    }


def described(panel: Panel, title: str) -> str:
    """A panel in one sentence, for readers who cannot see it.

    >>> curve = Curve("training", (1, 2), (0.9, 0.4), (0.8, 0.3), (1.0, 0.5), ())
    >>> described(Panel("loss", (curve,), is_logarithmic=False), "Baseline")
    'Baseline: loss over 2 epochs; median on training rows goes from 0.9 to 0.4.'
    """
    ends = [
        f"median on {_LEGENDS[curve.role]} goes from {wording.number(known[0])} to "
        f"{wording.number(known[-1])}"
        for curve in panel.curves
        if (known := [value for value in curve.median if value is not None])
    ]
    last = max((curve.epochs[-1] for curve in panel.curves), default=0)
    return f"{title}: {panel.title} over {wording.count(last, 'epoch')}; {'; '.join(ends)}."


@dataclass(frozen=True)
class Milestones:
    """One curve as a table row: its median and band at a few epochs."""

    quantity: str
    rows: str
    epochs: tuple[int, ...]
    values: tuple[str, ...]


def milestones(facts: CurveFacts, places: int = 5) -> list[Milestones]:
    """The curves as numbers, for readers without figures: medians (10 % to 90 %) at `places` epochs.

    >>> curve = Curve("training", (1, 2), (0.9, 0.4), (0.8, 0.3), (1.0, 0.5), ())
    >>> milestones(CurveFacts((Panel("loss", (curve,), is_logarithmic=False),), 3, 2, ()))[0].values
    ('0.9 (0.8 to 1)', '0.4 (0.3 to 0.5)')
    """
    found = []
    for panel in facts.panels:
        for curve in panel.curves:
            at = _spread_out(len(curve.epochs), places)
            found.append(
                Milestones(
                    quantity=panel.title,
                    rows=_LEGENDS[curve.role],
                    epochs=tuple(curve.epochs[place] for place in at),
                    values=tuple(_milestone(curve, place) for place in at),
                )
            )
    return found


def _milestone(curve: Curve, place: int) -> str:
    median, low, high = curve.median[place], curve.low[place], curve.high[place]
    if median is None:
        return "stopped"
    return f"{wording.number(median)} ({wording.number(low)} to {wording.number(high)})"
