"""Which trials of several objectives does no other one beat? A scatter of two scores, the front joined in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from caviar.evaluate.metrics import Metric, metric_named
from caviar.evaluate.wording import listed
from caviar.report.figures import BLUE, GREEN, PAGE, QUIET, Figure, escaped, trial_range, with_legend
from caviar.run.study import SearchRecord, TrialLine

_HEIGHT = 380


@dataclass(frozen=True)
class Point:
    """A trial between two scores.

    Attributes:
        x: Its first score.
        y: Its second one.
        label: Number and all scores, in words.
    """

    x: float
    y: float
    label: str


@dataclass(frozen=True)
class Front:
    """Trials by their first two scores.

    Attributes:
        x: The first objective.
        y: The second one.
        others: Trials that another one beats.
        front: Those that none beats in all objectives, by their first score.
        best: The one that the first score chose.
        is_stair: Whether the two scores alone made the front: then it bounds what was reached.
        description: The figure in one sentence.
    """

    x: Metric
    y: Metric
    others: tuple[Point, ...]
    front: tuple[Point, ...]
    best: Point | None
    is_stair: bool
    description: str


def objectives_of(record: SearchRecord) -> list[Metric]:
    """The scores of a search, the one that decides first."""
    return [metric_named(name) for name in record.objectives]


def direction(metric: Metric) -> str:
    """Which way a score is better.

    >>> direction(metric_named("auc"))
    'higher is better'
    """
    return "higher is better" if metric.higher_is_better else "lower is better"


def marks_of(record: SearchRecord, number: int) -> list[str]:
    """What is to be said of a trial in a list of them: whether it is the best, a tie, on the front.

    Args:
        record: What was found.
        number: The trial's.
    """
    marks = ["best"] * (number == record.best) + ["tie"] * (number in record.ties)
    return marks + ["front"] * (number in record.front)


def worth_showing(record: SearchRecord, best: Sequence[TrialLine], most: int) -> list[TrialLine]:
    """The best trial, those on the front, and the best others, best first by the score that decides.

    Args:
        record: What was found.
        best: Trials, best first.
        most: How many at most.
    """
    wanted = sorted(best, key=lambda line: (line.number != record.best, line.number not in record.front))
    kept = {line.number for line in wanted[:most]}
    return [line for line in best if line.number in kept]


def front_facts(record: SearchRecord, best: Sequence[TrialLine]) -> Front | None:
    """The trials between their first two scores; None where there is one objective.

    Args:
        record: What was found.
        best: Trials with all scores, best first.
    """
    if not record.front:
        return None
    metrics = objectives_of(record)
    points = {line.number: _point(line, metrics) for line in best}
    return Front(
        x=metrics[0],
        y=metrics[1],
        others=tuple(point for number, point in points.items() if number not in record.front),
        front=tuple(
            sorted((points[number] for number in record.front), key=lambda point: (point.x, point.y))
        ),
        best=points.get(record.best),
        is_stair=len(metrics) == 2,
        description=f"{len(points)} trials by {metrics[0].title} and {metrics[1].title}; {len(record.front)} are on "
        f"the front, where no other one beats them in {listed([metric.title for metric in metrics])}",
    )


def _point(line: TrialLine, metrics: Sequence[Metric]) -> Point:
    scores = ", ".join(
        f"{metric.title} {score:.4g}" for metric, score in zip(metrics, line.score, strict=True)
    )
    return Point(line.score[0], line.score[1], f"trial {line.number}: {scores}")


def draw_front(facts: Front) -> Figure:
    """Draw the front above the other trials, joined where it bounds what was reached."""
    figure = with_legend(
        f"{facts.x.title} ({direction(facts.x)})", f"{facts.y.title} ({direction(facts.y)})", height=_HEIGHT
    )
    figure["data"] = [
        _dots(facts.others, "other trials", QUIET, 6) | {"opacity": 0.45},
        _dots(facts.front, "front", BLUE, 9),
    ]
    if facts.is_stair:
        shape = "vh" if facts.x.higher_is_better else "hv"
        figure["data"][1] |= {"mode": "lines+markers", "line": {"color": BLUE, "width": 1.5, "shape": shape}}
    if facts.best is not None:
        figure["data"].append(_dots([facts.best], f"best {facts.x.title}", GREEN, 11))
    for axis, place, metric in (("xaxis", "x", facts.x), ("yaxis", "y", facts.y)):
        front = [getattr(point, place) for point in facts.front]
        every = [*front, *(getattr(point, place) for point in facts.others)]
        low, high = trial_range(every, higher_is_better=metric.higher_is_better)
        room = 0.05 * (high - low)
        figure["layout"][axis] |= {"range": [min(low, min(front) - room), max(high, max(front) + room)]}
    return figure


def _dots(points: Sequence[Point], name: str, colour: str, size: int) -> dict[str, Any]:
    return {
        "x": [point.x for point in points],
        "y": [point.y for point in points],
        "text": [escaped(point.label) for point in points],
        "mode": "markers",
        "name": escaped(name),
        "marker": {"color": colour, "size": size, "line": {"width": 1, "color": PAGE}},
        "hovertemplate": "%{text}<extra></extra>",
    }
