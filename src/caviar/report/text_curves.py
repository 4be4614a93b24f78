"""Learning curves in a terminal: lines of dots in Braille characters, one colour each, with a scale beside them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from caviar.evaluate.wording import digits

# Unicode's Braille patterns: a character is two dots wide and four high.
_EMPTY, _WIDE, _HIGH = 0x2800, 2, 4
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_AXIS = 9


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        name: What it is.
        values: One per epoch, from the first; None where there is none.
        style: A colour of rich.
    """

    name: str
    values: Sequence[float | None]
    style: str


def draw(lines: Sequence[Line], *, width: int, height: int) -> Text:
    """Curves over epochs.

    Args:
        lines: What is drawn; later ones over earlier ones.
        width: Characters.
        height: Lines, the axis included.

    >>> print(draw([Line("loss", [2.0, 1.0], "blue")], width=19, height=4).plain)
            2 ┤⠑⠢⣀⠀⠀⠀⠀⠀⠀
              │⠀⠀⠀⠑⠢⢄⠀⠀⠀
            1 ┤⠀⠀⠀⠀⠀⠀⠉⠢⢄
              └─ epoch 1 to 2  ● loss
    <BLANKLINE>
    """
    columns, rows = max(4, width - _AXIS - 1), max(2, height - 1)
    known = [value for line in lines for value in line.values if value is not None and math.isfinite(value)]
    if not known:
        return Text("No epoch has been trained yet.\n")
    low, high = min(known), max(known)
    epochs = max(len(line.values) for line in lines)
    cells = [[_EMPTY] * columns for _ in range(rows)]
    styles = [[""] * columns for _ in range(rows)]
    for line in lines:
        for across, down in _dots(line.values, epochs, (low, high), columns * _WIDE, rows * _HIGH):
            cells[down // _HIGH][across // _WIDE] |= _DOTS[down % _HIGH][across % _WIDE]
            styles[down // _HIGH][across // _WIDE] = line.style
    text = Text(no_wrap=True)
    for i, (row, colours) in enumerate(zip(cells, styles, strict=True)):
        label = digits(high) if i == 0 else digits(low) if i == rows - 1 else ""
        text.append(f"{label:>{_AXIS}} {'┤' if label else '│'}", style="dim")
        for cell, colour in zip(row, colours, strict=True):
            text.append(chr(cell), style=colour or None)
        text.append("\n")
    text.append(f"{'':>{_AXIS}} └─ epoch 1 to {epochs} ", style="dim")
    for line in lines:
        text.append(f" ● {line.name}", style=line.style)
    text.append("\n")
    return text


def _dots(
    values: Sequence[float | None], epochs: int, ends: tuple[float, float], width: int, height: int
) -> list[tuple[int, int]]:
    """Places (across, down) of a curve's dots, neighbours joined."""
    low, high = ends
    span, last = (high - low) or 1.0, max(1, epochs - 1)
    dots: list[tuple[int, int]] = []
    before: tuple[int, int] | None = None
    for epoch, value in enumerate(values):
        if value is None or not math.isfinite(value):
            before = None
            continue
        here = round(epoch / last * (width - 1)), round((high - value) / span * (height - 1))
        dots += [here] if before is None else _between(before, here)
        before = here
    return dots


def _between(one: tuple[int, int], other: tuple[int, int]) -> list[tuple[int, int]]:
    steps = max(abs(other[0] - one[0]), abs(other[1] - one[1]), 1)
    return [
        (
            round(one[0] + (other[0] - one[0]) * step / steps),
            round(one[1] + (other[1] - one[1]) * step / steps),
        )
        for step in range(steps + 1)
    ]
