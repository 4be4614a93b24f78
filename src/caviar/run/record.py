"""The record of a run: everything one command learned, as values that survive as JSON.

The report is a view of this record and of the histories beside it; nothing else is read to draw it.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from caviar.estimate import Estimate

FORMAT = 1


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")


class Remark(_Value):
    """One thing noticed about the data: a short title, a sentence, and whether it needs attention."""

    code: str
    title: str
    text: str
    level: Literal["info", "warning"] = "info"


class ColumnFacts(_Value):
    """What was seen in one input column."""

    name: str
    kind: str
    missing: int
    distinct: int
    low: float | None = None
    median: float | None = None
    high: float | None = None
    outliers: int = 0
    example: str = ""


class DataRecord(_Value):
    """The table as it was understood; `fingerprint` tells whether a file still holds it."""

    name: str
    rows: int
    columns: list[ColumnFacts]
    targets: list[str]
    task: Literal["binary", "multiclass", "regression", "multi-output regression"]
    task_reason: str
    classes: list[str] = []
    class_counts: list[int] = []
    target_low: list[float] = []
    target_high: list[float] = []
    duplicates: int = 0
    contradictions: int = 0
    left_out: list[str] = []
    remarks: list[Remark] = []
    preparation: str = ""
    n_inputs: int = 0
    test_rows: int = 0
    fingerprint: str = ""


class PlanRecord(_Value):
    """How everything was measured."""

    folds: int
    repeats: int
    seeds: int
    split: str
    reasons: list[str] = []
    minutes: float | None = None
    seed: int = 0


class MetricRecord(_Value):
    """The score that decides, and the ones shown beside it."""

    name: str
    title: str
    higher_is_better: bool
    others: list[str] = []


class RowRecord(_Value):
    """A reference row: a simple predictor scored on the same folds."""

    name: str
    title: str
    scores: dict[str, Estimate]
    seconds: float = 0.0


class ArmRecord(_Value):
    """One recipe as it was measured.

    `fold_scores` holds the deciding score of each (repeat, fold); `history` names the file with its curves;
    `threshold` is the probability from which on class 1 is predicted, where it was tuned; `class_errors` the share of
    each class's held-out rows that were predicted wrong, which remedies may go by.
    """

    name: str
    title: str
    what: str
    changes: dict[str, str] = {}
    source: str = ""
    members: int = 0
    failed_members: int = 0
    scores: dict[str, Estimate] = {}
    fold_scores: list[list[float]] = []
    repeat_deviation: float | None = None
    history: str | None = None
    engine: str = ""
    seconds: float = 0.0
    epochs: int = 0
    batch_size: int = 0
    parameters: int = 0
    threshold: float | None = None
    class_errors: list[float] = []


class SpreadRecord(_Value):
    """How much of the score's spread comes from the split and how much from the seed (standard deviations)."""

    split: Estimate
    seed: Estimate
    sentence: str


class FindingRecord(_Value):
    """The outcome of one check.

    Found: it costs performance. Suspected: it is there, and whether it costs anything was not tried. Harmless: taking
    it away changed nothing measurable. What a person can do by hand is said where no change of the recipe can help.
    """

    code: str
    title: str
    area: Literal["learning", "generalization", "prediction"]
    outcome: Literal["found", "suspected", "harmless", "clear", "not applicable"]
    sentence: str
    fault: str = ""
    severity: float = 0.0
    rate: Estimate | None = None
    evidence: dict[str, float] = {}
    remedies: list[str] = []
    by_hand: str = ""


class ExperimentRecord(_Value):
    """What was trained only to know more, and what it showed; or why it was not."""

    name: str
    title: str
    outcome: Literal["done", "not asked for", "not available"]
    sentence: str
    seconds: float = 0.0


class DiagnosisRecord(_Value):
    """What is wrong, in the order learning, generalization, prediction."""

    area: Literal["learning", "generalization", "prediction", "healthy", "no signal", "at the ceiling"]
    sentence: str
    findings: list[FindingRecord]
    experiments: list[ExperimentRecord] = []

    @property
    def costing(self) -> list[FindingRecord]:
        """What was found and costs performance, most severe first.

        Without a signal nothing can be learned better; a network that learns noise still ends below a constant.
        """
        found = [finding for finding in self.findings if finding.outcome == "found"]
        if self.area == "no signal":
            found = [finding for finding in found if finding.area == "generalization"]
        return sorted(found, key=lambda finding: -finding.severity)


class ComparisonRecord(_Value):
    """The paired difference of one remedy to the baseline; positive means the remedy is better.

    `steadier` is the share of the spread between seeds that it leaves, where that is surely less and at most half.
    """

    remedy: str
    difference: Estimate
    narrow: Estimate
    p: float
    p_holm: float
    verdict: Literal["helps", "harms", "no practical difference", "not enough data"]
    repeats_needed: int | None = None
    steadier: float | None = None
    sentence: str


class SkippedRemedy(_Value):
    """A remedy that was not tried, and why; `applies` is false where there is nothing that it could change."""

    remedy: str
    title: str
    why: str
    applies: bool = True

    @property
    def is_late(self) -> bool:
        """Whether it would have been tried, had there been more time."""
        return "--minutes" in self.why


class TrialRecord(_Value):
    """All remedies against the baseline on the same folds and seeds."""

    rope: float
    rope_reason: str
    arms: list[ArmRecord] = []
    comparisons: list[ComparisonRecord] = []
    skipped: list[SkippedRemedy] = []
    chosen: str = "baseline"
    chosen_reason: str = ""
    naive_score: float | None = None
    corrected_score: Estimate | None = None


class FinalRecord(_Value):
    """The model that was handed over."""

    recipe: str
    title: str
    members: int
    files: list[str]
    rows: int
    scores: dict[str, Estimate]
    test: dict[str, float] | None = None
    test_rows: int = 0
    sentence: str


class Record(_Value):
    """Everything one run learned."""

    format: int = FORMAT
    status: Literal["running", "interrupted", "finished"] = "running"
    stage: str = "look"
    created: str = ""
    seconds: float = 0.0
    stage_seconds: dict[str, float] = {}
    options: dict[str, str] = {}
    versions: dict[str, str] = {}
    machine: str = ""
    data: DataRecord | None = None
    plan: PlanRecord | None = None
    metric: MetricRecord | None = None
    no_skill: dict[str, float] = {}
    references: list[RowRecord] = []
    baseline: ArmRecord | None = None
    spread: SpreadRecord | None = None
    diagnosis: DiagnosisRecord | None = None
    trial: TrialRecord | None = None
    final: FinalRecord | None = None
    messages: list[str] = Field(default_factory=list)
