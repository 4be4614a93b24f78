"""All checks in their order, and what they say together."""

from collections.abc import Sequence

from caviar.diagnose.contract import Check, Clear, Found, NotApplicable
from caviar.diagnose.evidence import Evidence
from caviar.diagnose.generalization import GENERALIZATION
from caviar.diagnose.learning import LEARNING
from caviar.diagnose.prediction import PREDICTION
from caviar.remedies.contract import Remedy
from caviar.run.record import DiagnosisRecord, FindingRecord

CHECKS: tuple[Check, ...] = (*LEARNING, *GENERALIZATION, *PREDICTION)

_SENTENCES = {
    "learning": "This is a learning problem: the network does not fit the rows it is trained on as it could.",
    "generalization": "This is a generalization problem: the network fits its training rows better than new ones.",
    "prediction": "This is a prediction problem: which seed it is trained with decides how good the network is.",
    "healthy": "Nothing wrong was found with how the network learns, generalizes or depends on its seed.",
    "no signal": "Neither the network nor a linear model nor boosted trees beat a constant prediction: "
    "these inputs may not tell the target.",
}


def diagnose(evidence: Evidence, remedies: Sequence[Remedy]) -> DiagnosisRecord:
    """Run every check; the first area with a finding names the problem.

    Args:
        evidence: The baseline as it was measured.
        remedies: The remedies a finding can point to.
    """
    findings = [_finding(check, evidence, remedies) for check in CHECKS]
    area = next((f.area for f in findings if f.outcome == "found"), None)
    if _no_signal(evidence):
        return DiagnosisRecord(area="no signal", sentence=_SENTENCES["no signal"], findings=findings)
    return DiagnosisRecord(area=area or "healthy", sentence=_SENTENCES[area or "healthy"], findings=findings)


def _no_signal(evidence: Evidence) -> bool:
    """Nothing beats a constant by more than what counts as a difference."""
    if evidence.best_reference is None:
        return False
    gained = evidence.better_by(evidence.scores, evidence.no_skill)
    reference = evidence.best_reference
    reference_gain = (
        reference - evidence.no_skill if evidence.higher_is_better else evidence.no_skill - reference
    )
    return (
        bool(gained[gained == gained].mean() <= 0 if (gained == gained).any() else True)
        and reference_gain <= 0
    )


def _finding(check: Check, evidence: Evidence, remedies: Sequence[Remedy]) -> FindingRecord:
    outcome = check.look(evidence)
    common = {"code": check.code, "title": check.title, "area": check.area}
    if isinstance(outcome, NotApplicable):
        return FindingRecord(**common, outcome="not applicable", sentence=f"Not judged: {outcome.why}.")
    if isinstance(outcome, Clear):
        return FindingRecord(**common, outcome="clear", sentence=outcome.sentence, evidence=outcome.evidence)
    assert isinstance(outcome, Found)
    return FindingRecord(
        **common,
        outcome="found",
        sentence=outcome.sentence,
        fault=check.fault,
        severity=outcome.severity,
        rate=outcome.rate,
        evidence=outcome.evidence,
        remedies=[remedy.name for remedy in remedies if check.fault in remedy.answers],
    )
