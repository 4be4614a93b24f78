"""What a check is: a named test of the evidence that ends as found, clear or not applicable."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from caviar.diagnose.evidence import Evidence
from caviar.estimate import Estimate

Area = Literal["learning", "generalization", "prediction"]


@dataclass(frozen=True)
class Found:
    """The problem is there.

    Attributes:
        sentence: What was seen, in numbers a person can check.
        severity: What it costs, 0 (nothing) to 1 (everything).
        rate: Share of members that show it, where members can differ.
        evidence: The numbers it rests on.
    """

    sentence: str
    severity: float
    rate: Estimate | None
    evidence: dict[str, float]


@dataclass(frozen=True)
class Clear:
    """The problem is not there."""

    sentence: str
    evidence: dict[str, float]


@dataclass(frozen=True)
class NotApplicable:
    """The evidence that the check needs does not exist here."""

    why: str


Outcome = Found | Clear | NotApplicable


@dataclass(frozen=True)
class Check:
    """One line of the table of checks.

    Attributes:
        code: Stable, for people to look up.
        title: The problem, in words.
        area: Where it stands in the order learning, generalization, prediction.
        fault: The problem in one word of the common vocabulary.
        look: Reads the evidence; its docstring tells the thresholds and their sources.
        why: Why it matters, in a sentence.
        evident: Whether finding it shows that it costs performance. Others are suspicions, until taking the cause
            away is seen to help.
        specific: Whether its fault is a cause; if not, the remedy that helps tells the cause.
        by_hand: What a person can do, in sentences, where no change of the recipe can help; else empty.
    """

    code: str
    title: str
    area: Area
    fault: str
    look: Callable[[Evidence], Outcome]
    why: str
    evident: bool = False
    specific: bool = True
    by_hand: str = ""
