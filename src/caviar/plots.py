"""The figures of a search, one by one: `caviar.plots.contour(found)`.

Each takes what `caviar.tune` returned, or the folder of a search that is over, and returns a `Plot`: shown in a
notebook, written as a page with `write`, or taken on with Plotly by its `figure`.

>>> import caviar
>>> caviar.plots.history("runs/patients-tune-20260102-030405").write("history.html")  # doctest: +SKIP
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from caviar.errors import OptionError
from caviar.report.contour import contour as contour_facts
from caviar.report.contour import draw_contour, weightiest
from caviar.report.front import draw_front, front_facts
from caviar.report.plot import Plot
from caviar.report.search import (
    bars_of,
    draw_bars,
    draw_parallel,
    draw_progress,
    draw_slice,
    parallel_lines,
    progress,
    ranked,
    slices_of,
)
from caviar.run.study import SearchRecord, TrialLine, alike, complete
from caviar.tune.kept import read_search
from caviar.tune.space import Space

__all__ = ["Plot", "contour", "front", "history", "importance", "parallel", "slices"]


class Found(Protocol):
    """What a search came to: `Tuned` is, and so is `KeptSearch`."""

    @property
    def record(self) -> SearchRecord:
        """What came out."""

    @property
    def lines(self) -> Sequence[TrialLine]:
        """All trials."""

    @property
    def space(self) -> Space:
        """What was searched."""


def history(found: Found | str | Path) -> Plot:
    """Scores in the order of the trials, and the best so far.

    Args:
        found: What `caviar.tune` returned, or a search's folder.

    Raises:
        RunError: The folder holds no search that is over.
    """
    own = _opened(found)
    facts = progress(own.record, own.lines)
    return Plot("How it went", facts.description, draw_progress(facts, own.record))


def front(found: Found | str | Path) -> Plot:
    """Trials by their first two scores; those that no other one beats in all objectives stand out (Pareto front).

    Args:
        found: As in `history`.

    Raises:
        OptionError: The search had one objective.
        RunError: The folder holds no search that is over.
    """
    own = _opened(found)
    facts = front_facts(own.record, ranked(own.record, complete(own.lines)))
    if facts is None:
        raise OptionError(
            "Expected a search for several objectives, got one of a single score. Search with objective=[…], by "
            "tpe, gp or nsga."
        )
    return Plot("The front", facts.description, draw_front(facts))


def parallel(found: Found | str | Path) -> Plot:
    """Trials as lines over the scales of all settings, the best ones on top.

    Args:
        found: As in `history`.

    Raises:
        OptionError: Fewer than two settings count in all trials.
        RunError: The folder holds no search that is over.
    """
    own = _opened(found)
    facts = parallel_lines(_beside(own), own.space)
    if facts is None:
        raise OptionError(
            "Expected two settings or more that count in all trials, got fewer. Look at slices."
        )
    return Plot("All settings", facts.description, draw_parallel(facts))


def slices(found: Found | str | Path, *names: str) -> list[Plot]:
    """The score by each setting: trials as points, and medians of neighbours with 95 % intervals.

    Args:
        found: As in `history`.
        names: Of settings; all of them if not given.

    Raises:
        OptionError: A setting is not there, or has one value only.
        RunError: The folder holds no search that is over.
    """
    own = _opened(found)
    known = {one.name: one for one in slices_of(own.record, _beside(own), own.space)}
    missing = [name for name in names if name not in known]
    if missing:
        raise OptionError(
            f"Expected settings out of {', '.join(known) or 'none'}, got {missing[0]!r}. Name some of them."
        )
    return [
        Plot(known[name].name, known[name].description, draw_slice(known[name], own.record))
        for name in (names or known)
    ]


def importance(found: Found | str | Path) -> Plot:
    """How much each setting counts for being among the best tenth (PED-ANOVA), as shares of 1.

    Args:
        found: As in `history`.

    Raises:
        OptionError: Trials are too few to say it.
        RunError: The folder holds no search that is over.
    """
    facts = bars_of(_opened(found).record)
    if facts is None:
        raise OptionError(
            "Expected 20 trials or more with a score, without those of a last round, and two settings or more that all "
            "of them have, got fewer. Search longer."
        )
    return Plot("What counts", facts.description, draw_bars(facts))


def contour(found: Found | str | Path, x: str | None = None, y: str | None = None) -> Plot:
    """The score by two settings: trials as points, shaded between them by the mean of their neighbours.

    Nothing is shaded outside the trials' convex hull, and where no trials are near.

    Args:
        found: As in `history`.
        x: Name of a setting on a scale; of those, the two that count most if neither is given.
        y: Name of another one.

    Raises:
        OptionError: There are no two such settings, or trials are too few to say which count most.
        RunError: The folder holds no search that is over.
    """
    own = _opened(found)
    pair = (x, y) if x is not None and y is not None else None
    if x is None and y is None:
        pair = weightiest(own.record, own.space)
    if pair is None:
        raise OptionError(
            "Expected two settings by name, for trials are too few to say which count most. Give both x and y."
        )
    facts = contour_facts(own.record, _beside(own), own.space, *pair)
    return Plot(f"{pair[0]} and {pair[1]}", facts.description, draw_contour(facts, own.record))


def _beside(found: Found) -> list[TrialLine]:
    """Trials that can be laid beside each other, best first: those of the same share of a whole one."""
    return ranked(found.record, alike(found.lines))


def _opened(found: Found | str | Path) -> Found:
    return read_search(found) if isinstance(found, (str, Path)) else found
