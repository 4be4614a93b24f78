"""What is in a table, before anything is trained."""

from collections.abc import Sequence

from caviar.data.load import load
from caviar.data.profile import profile
from caviar.evaluate.metrics import default_metric, shown_metrics
from caviar.evaluate.reference import no_skill_scores
from caviar.run.record import DataRecord


def look(
    source: object,
    target: str | int | Sequence[str | int] | None = None,
    *,
    task: str | None = None,
    header: bool | None = None,
    sep: str | None = None,
    drop: Sequence[str | int] = (),
    group: str | int | None = None,
    time: str | int | None = None,
    weight: str | int | None = None,
) -> tuple[DataRecord, dict[str, float]]:
    """Read a table and say what is in it; the options are those of `improve`.

    Returns:
        Facts and remarks about the table, and what a constant prediction scores by metric.

    >>> data, no_skill = look("sample:iris")
    >>> data.rows, data.task, round(no_skill["log-loss"], 2)
    (150, 'multiclass', 1.1)
    """
    dataset = load(
        source, target, task=task, header=header, sep=sep, drop=drop, group=group, time=time, weight=weight
    )
    metrics = (default_metric(dataset.task), *shown_metrics(dataset.task))
    return profile(dataset), no_skill_scores(dataset, metrics)
