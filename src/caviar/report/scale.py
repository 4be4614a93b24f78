"""Where do a setting's values stand on the scale on which they are searched, and which of them are written there?"""

import math
from dataclasses import dataclass
from typing import Any

from caviar.report.figures import escaped
from caviar.tune.parameter import Parameter

_MOST_TICKS = 7


@dataclass(frozen=True)
class Axis:
    """A setting's own scale, from 0 to 1.

    Attributes:
        name: Of the setting.
        places: Where values are written.
        values: What is written there.
    """

    name: str
    places: tuple[float, ...]
    values: tuple[str, ...]


def axis_of(parameter: Parameter) -> Axis:
    """The scale of a setting, with round values on it.

    >>> from caviar.recipe.hyperparameters import Question
    >>> axis_of(Parameter("rate", Question("float", 0.01, low=1e-4, high=1.0, sampling="log"))).values
    ('0.0001', '0.001', '0.01', '0.1', '1')
    """
    values = _ticks(parameter)
    return Axis(
        parameter.name,
        tuple(parameter.place(value) for value in values),
        tuple(setting(value) for value in values),
    )


def _ticks(parameter: Parameter) -> list[Any]:
    """Round values along a scale, few enough to be written beside each other."""
    if parameter.points is not None and len(parameter.points) <= _MOST_TICKS:
        return list(parameter.points)
    asked = parameter.question
    low, high = (asked.low, asked.high) if asked.low is not None else (None, None)
    if low is None or high is None or asked.sampling == "reverse_log":
        return parameter.grid(5)
    if asked.sampling == "log":
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        every = [(times, times * 10.0**power) for power in decades for times in (1, 2, 5)]
        inside = [(times, value) for times, value in every if low <= value <= high]
        whole = [value for times, value in inside if times == 1]
        return whole if len(whole) > 2 else [value for _, value in inside]
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(times * power for times in (1, 2, 5, 10) if times * power >= rough * (1 - 1e-9))
    if asked.kind == "int":
        step = max(1.0, step)
    first = math.ceil(low / step - 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, math.floor(high / step + 1e-9) + 1)]


def ticks_of(axis: Axis) -> dict[str, Any]:
    """What Plotly's layout needs to draw an axis from 0 to 1 with values written along it."""
    return {
        "tickvals": list(axis.places),
        "ticktext": [escaped(text) for text in axis.values],
        "range": [-0.03, 1.03],
    }


def setting(value: object) -> str:
    """A setting as people read it.

    >>> setting(0.00123456), setting("relu")
    ('0.001235', 'relu')
    """
    return f"{value:.4g}" if isinstance(value, float) else str(value)
