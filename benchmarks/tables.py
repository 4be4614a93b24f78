"""How do figures of a benchmark become a table on a page? Medians with ranges, turns, and text between marks."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"


def number(value: float) -> str:
    """Three digits or so.

    >>> [number(value) for value in (1234.5, 45.67, 1.234, 0.0123)]
    ['1,234', '45.7', '1.23', '0.012']
    """
    digits = next((n for n, least in enumerate((100, 10, 1)) if abs(value) >= least), 3)
    return f"{value:,.{digits}f}"


def spread(values: np.ndarray) -> str:
    """Median and range; a single value is not a range.

    >>> spread(np.array([3.0, 1.0, 2.0]))
    '2.00 [1.00 – 3.00]'
    >>> spread(np.array([3.0]))
    '3.00'
    """
    middle = number(float(np.median(values)))
    if len(values) == 1:
        return middle
    return f"{middle} [{number(values.min())} – {number(values.max())}]"


def load_before() -> float:
    """The machine's load, with a warning where it is not quiet; NaN where nobody tells."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    if load > 0.5:
        print(f"The machine is not quiet (load {load:.1f}): ratios will be off.")
    return load


def take_turns(once: Callable[[], None], wanted: int, minutes: float) -> int:
    """Rounds that were made: one at least, and none that would likely end after so many minutes."""
    began, runs, longest = time.monotonic(), 0, 0.0
    while runs < wanted and (not runs or time.monotonic() - began + longest < 60 * minutes):
        turn = time.monotonic()
        once()
        runs, longest = runs + 1, max(longest, time.monotonic() - turn)
    return runs


def write(text: str, name: str, page: Path = PAGE) -> None:
    """Put a text between the marks `<!-- name -->` and `<!-- /name -->` of a page.

    Raises:
        SystemExit: The page has no such marks.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(
            f"Expected {begin} and {end} in {page}, found none. Put them where the table belongs."
        )
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
