"""The records of two studies: recipes compared with each other, and how stable the score of one is."""

from pydantic import BaseModel, ConfigDict

from caviar.estimate import Estimate
from caviar.run.record import FORMAT, ComparisonRecord, MetricRecord, PlanRecord, SpreadRecord


class Part(BaseModel):
    """What a record is made of: values that survive as JSON, and nothing unknown."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")


class TableFacts(Part):
    """The table in a line."""

    name: str
    rows: int
    columns: int
    task: str


class Scale(Part):
    """What a difference in the deciding score is measured against.

    Attributes:
        no_skill: Score of a prediction that ignores the inputs.
        reference: Score of the best simple predictor.
        reference_title: What that is called; empty where none has a score.
        rope: Smallest difference that counts, in the metric's unit.
        reason: Where that comes from, in words.
    """

    no_skill: float
    reference: float
    reference_title: str
    rope: float
    reason: str


class RecipeScore(Part):
    """One recipe as it was measured.

    Attributes:
        name: What the person calls it.
        score: Deciding score on held-out rows, the mean over folds and seeds, with its corrected interval.
        members: Trainings.
        failed_members: Those among them whose numbers were not finite.
        epochs: Passes over the training rows.
        batch_size: Rows per gradient step.
        parameters: Numbers that one trained network holds.
        engine: How it was computed.
        seconds: What it took.
    """

    name: str
    score: Estimate
    members: int
    failed_members: int
    epochs: int
    batch_size: int
    parameters: int
    engine: str
    seconds: float


class Study(Part):
    """What both studies record.

    Attributes:
        format: Version of the record's form.
        created: When.
        seconds: What the whole study took.
        versions: Caviar's version.
        table: What was learned from.
        metric: The score that decides.
        plan: How it was measured.
        scale: What counts as a difference.
        messages: What a person should know about how it ran.
    """

    format: int = FORMAT
    created: str
    seconds: float
    versions: dict[str, str]
    table: TableFacts
    metric: MetricRecord
    plan: PlanRecord
    scale: Scale
    messages: list[str] = []


class CompareRecord(Study):
    """Recipes on the same folds with the same seeds, each of them beside the first.

    Attributes:
        recipes: Every recipe, in the order given.
        comparisons: All but the first beside the first, in that order; positive differences mean better than it.
        sentence: The outcome in all.
    """

    recipes: list[RecipeScore]
    comparisons: list[ComparisonRecord]
    sentence: str


class Normality(Part):
    """Shapiro and Wilk's test of whether values could be normal; NaN where it cannot be computed."""

    statistic: float
    p: float
    sentence: str


class Enough(Part):
    """How many repeats make the standard error smaller than what counts as a difference.

    Attributes:
        repeats: The smallest number, by the standard deviation seen.
        low: The same at the lower end of that standard deviation's 95 % interval.
        high: At its upper end.
        sentence: What this means.
    """

    repeats: int
    low: int
    high: int
    sentence: str


class StabilityRecord(Study):
    """How much a recipe's score depends on the seed and the split.

    Attributes:
        recipe: What was trained, and the mean over all folds with the corrected interval.
        fold_scores: Deciding score by repeat, then fold.
        repeat_scores: The mean over the folds of each repeat.
        seed_scores: Deciding score of the first repeat by fold, then seed.
        test_share: Held-out rows divided by training rows.
        mean: Mean of the repeats' scores.
        deviation: Their standard deviation.
        standard_error: The deviation divided by the root of the number of repeats.
        normal: The mean with ± 1.96 standard errors.
        bootstrap: The mean with the bootstrap interval over repeats.
        why_they_differ: Why the corrected interval is wider, in a sentence.
        normality: Whether the repeats' scores could be normal.
        errors: Standard error after so many repeats, from the second on.
        enough: How many repeats are enough.
        spread: Standard deviation due to the seed, and due to the split.
        failed: Share of trainings that failed, with Wilson's interval.
        flips: Share of rows whose predicted class differs between seeds; None for quantities.
        sentence: The outcome in all.
    """

    recipe: RecipeScore
    fold_scores: list[list[float]]
    repeat_scores: list[float]
    seed_scores: list[list[float]]
    test_share: float
    mean: float
    deviation: float
    standard_error: float
    normal: Estimate
    bootstrap: Estimate
    why_they_differ: str
    normality: Normality
    errors: list[float]
    enough: Enough
    spread: SpreadRecord
    failed: Estimate
    flips: float | None
    sentence: str
