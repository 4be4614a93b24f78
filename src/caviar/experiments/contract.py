"""What an experiment is: a few extra members, asked for where what they show can tell something apart."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from caviar.diagnose.evidence import Evidence
from caviar.errors import CaviarError
from caviar.measuring.measure import Arm, Bench
from caviar.population.job import Monitor
from caviar.run.record import DiagnosisRecord


class NotAvailable(CaviarError):  # noqa: N818 - an outcome, not an error
    """Why an experiment cannot be run here: a fragment of a sentence, without a full stop."""


@dataclass(frozen=True, eq=False)
class Ground:
    """What an experiment may train on.

    Attributes:
        bench: Rows, splits, seeds and scores.
        arm: The recipe as it was measured.
        evidence: What was seen of it.
        monitor: Told of progress; may stop by raising.
    """

    bench: Bench
    arm: Arm
    evidence: Evidence
    monitor: Monitor

    @property
    def rate(self) -> float | None:
        """The recipe's learning rate, without its sign; None where it is no number, or 0."""
        rate = None if self.evidence.model is None else self.evidence.model.rate
        return abs(rate) if rate else None


@dataclass(frozen=True)
class Seen:
    """What is known before an experiment: what decides whether it is worth its time.

    Attributes:
        evidence: What checks have read.
        record: What they made of it.
    """

    evidence: Evidence
    record: DiagnosisRecord

    def has(self, *faults: str) -> bool:
        """Whether a check saw one of these faults."""
        return any(f.outcome in {"found", "suspected"} and f.fault in faults for f in self.record.findings)


@dataclass(frozen=True)
class Experiment:
    """One line of the table.

    Attributes:
        name: Stable, for people to look up.
        title: For people.
        asks: The members it trains, in a sentence.
        yields: The field of the evidence that it fills.
        tells: What it tells apart, in a sentence.
        source: Where the idea comes from.
        worth: Whether what was seen asks for it.
        steps: Gradient steps of its members, all together.
        run: Trains them, or raises `NotAvailable`.
        in_words: What came out, in a sentence.
    """

    name: str
    title: str
    asks: str
    yields: str
    tells: str
    source: str
    worth: Callable[[Seen], bool]
    steps: Callable[[Ground], int]
    run: Callable[[Ground], Any]
    in_words: Callable[[Any], str]
