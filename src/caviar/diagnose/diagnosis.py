"""All checks in their order, and what they say together."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from caviar.diagnose.contract import Area, Check, Clear, NotApplicable
from caviar.diagnose.course import COURSE
from caviar.diagnose.data import DATA
from caviar.diagnose.evidence import Evidence
from caviar.diagnose.generalization import GENERALIZATION
from caviar.diagnose.inside import INSIDE
from caviar.diagnose.learning import LEARNING
from caviar.diagnose.out_of_fold import OUT_OF_FOLD
from caviar.diagnose.prediction import PREDICTION
from caviar.diagnose.runs import RUNS
from caviar.diagnose.static import STATIC
from caviar.diagnose.tried import TRIED_GENERALIZATION, TRIED_LEARNING
from caviar.remedies.contract import Remedy
from caviar.run.record import DiagnosisRecord, FindingRecord

CHECKS: tuple[Check, ...] = (
    *STATIC,
    *DATA,
    *LEARNING,
    *INSIDE,
    *TRIED_LEARNING,
    *COURSE,
    *GENERALIZATION,
    *TRIED_GENERALIZATION,
    *OUT_OF_FOLD,
    *PREDICTION,
    *RUNS,
)
BEFORE_TRAINING: tuple[Check, ...] = (*STATIC, *DATA)
AREAS = ("learning", "generalization", "prediction")

SENTENCES = {
    "learning": "This is a learning problem: the network does not fit the rows it is trained on as it could.",
    "generalization": "This is a generalization problem: the network fits its training rows better than new ones.",
    "prediction": "This is a prediction problem: which seed it is trained with decides how good the network is.",
    "healthy": "Nothing wrong was found with how the network learns, generalizes or depends on its seed.",
    "no signal": "Neither the network nor a linear model nor boosted trees beat a constant prediction: "
    "these inputs may not tell the target.",
    "at the ceiling": "No remedy helps, and boosted trees are no better: other data, other inputs or another kind of "
    "model might.",
}


def diagnose(
    evidence: Evidence, remedies: Sequence[Remedy], checks: Sequence[Check] = CHECKS
) -> DiagnosisRecord:
    """Run every check; the first area with something found names the problem.

    Args:
        evidence: The baseline as it was measured.
        remedies: The remedies a finding can point to.
        checks: What to look for.
    """
    findings = [_finding(check, evidence, remedies) for check in checks]
    return concluded(findings, signal=not _no_signal(evidence))


def concluded(findings: list[FindingRecord], *, signal: bool = True) -> DiagnosisRecord:
    """What findings say together.

    Args:
        findings: Of all checks.
        signal: Whether anything predicts better than a constant.
    """
    found = [finding.area for finding in findings if finding.outcome == "found"]
    first: Area | Literal["healthy"] = min(found, key=AREAS.index) if found else "healthy"
    area = first if signal else "no signal"
    return DiagnosisRecord(area=area, sentence=SENTENCES[area], findings=findings)


def _no_signal(evidence: Evidence) -> bool:
    """Nothing clearly beats a constant: neither the network nor a reference row.

    A reference row must beat it by more than what counts as a difference, and by more than a
    quarter of its 95 % interval: about one standard error, so that chance alone is no signal.
    """
    if evidence.best_reference is None:
        return False
    gained = evidence.better_by(evidence.scores[np.isfinite(evidence.scores)], evidence.no_skill)
    gain = float(evidence.better_by(np.array(evidence.best_reference), evidence.no_skill))
    margin = evidence.rope
    if evidence.reference is not None and np.isfinite(evidence.reference.high):
        margin = max(margin, (evidence.reference.high - evidence.reference.low) / 4)
    return gain <= margin and (not len(gained) or float(gained.mean()) <= evidence.rope)


def _finding(check: Check, evidence: Evidence, remedies: Sequence[Remedy]) -> FindingRecord:
    record = FindingRecord(
        code=check.code, title=check.title, area=check.area, outcome="not applicable", sentence=""
    )
    outcome = check.look(evidence)
    if isinstance(outcome, NotApplicable):
        record.sentence = f"Not judged: {outcome.why}."
        return record
    record.sentence, record.evidence = outcome.sentence, outcome.evidence
    if isinstance(outcome, Clear):
        record.outcome = "clear"
        return record
    record.outcome, record.fault = ("found" if check.evident else "suspected"), check.fault
    record.severity, record.rate, record.by_hand = outcome.severity, outcome.rate, check.by_hand
    answering = [remedy for remedy in remedies if check.fault in remedy.answers]
    record.remedies = [r.name for r in sorted(answering, key=lambda r: r.cures != check.fault)]
    return record
