"""Which experiments are run, within what time, and what they add to the evidence."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from caviar.diagnose.evidence import Evidence
from caviar.errors import CaviarError
from caviar.experiments.contract import Experiment, Ground, NotAvailable, Seen
from caviar.experiments.table import EXPERIMENTS
from caviar.measuring.measure import Arm, Bench
from caviar.population.job import Monitor
from caviar.progress import OutOfTime
from caviar.run.record import DiagnosisRecord, ExperimentRecord


def conducted(
    bench: Bench,
    arm: Arm,
    evidence: Evidence,
    record: DiagnosisRecord,
    monitor_of: Callable[[str], Monitor],
    *,
    table: Sequence[Experiment] = EXPERIMENTS,
    most: float = 0.5,
) -> Evidence:
    """The evidence with what experiments yield.

    Args:
        bench: Rows, splits, seeds and scores.
        arm: The recipe as it was measured.
        evidence: What was seen of it.
        record: What checks made of that.
        monitor_of: Makes what is told of the progress of something with a title.
        table: The experiments.
        most: Most gradient steps of one experiment, as a share of those that measuring the recipe took.
    """
    seen, records = Seen(evidence, record), []
    yields: dict[str, Any] = {}
    for one in table:
        done = ExperimentRecord(name=one.name, title=one.title, outcome="not asked for", sentence="")
        if one.worth(seen):
            began = time.monotonic()
            try:
                ground = Ground(bench, arm, evidence, monitor_of(one.title))
                _affordable(one, ground, most)
                yields[one.yields] = one.run(ground)
                done.outcome, done.sentence = "done", one.in_words(yields[one.yields])
            except CaviarError as reason:
                done.outcome, done.sentence = "not available", str(reason)
            except OutOfTime:
                done.outcome, done.sentence = "not available", "the time given (--minutes) did not suffice"
            done.seconds = time.monotonic() - began
        records.append(done)
    return replace(evidence, experiments=tuple(records), **yields)


def _affordable(one: Experiment, ground: Ground, most: float) -> None:
    needed = one.steps(ground)
    # A few thousand steps of a few members take a second, however little the recipe itself takes.
    if needed > max(most * ground.arm.steps, 5000):
        raise NotAvailable(
            f"its {needed:,} gradient steps are too many beside the recipe's own {ground.arm.steps:,}"
        )
