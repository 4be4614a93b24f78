"""What a lesson leaves on disk: its text, claims with verdicts, scores, curves and questions, as values."""

from collections import Counter
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from caviar.errors import RunError
from caviar.estimate import Estimate
from caviar.run.files import write_text

LESSON = "lesson.json"

Verdict = Literal["holds", "does not hold", "cannot be told"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")


class Series(_Part):
    """One line of a figure.

    Attributes:
        name: What it is.
        values: What is drawn; of several seeds their median. None where there is nothing.
        low: A tenth of the seeds lie below; empty for a single line.
        high: A tenth lie above.
        dashed: Whether it is drawn dashed: training rows beside test rows.
        group: Lines of one group share a colour.
    """

    name: str
    values: list[float | None]
    low: list[float | None] = []
    high: list[float | None] = []
    dashed: bool = False
    group: str = ""


class LineFigure(_Part):
    """Lines or points over a common axis."""

    kind: Literal["lines"] = "lines"
    title: str
    across: str
    up: str
    x: list[float]
    series: list[Series]
    points: bool = False
    log_x: bool = False
    log_y: bool = False


class BarFigure(_Part):
    """Histograms over common steps: per name how many values lie in each."""

    kind: Literal["bars"] = "bars"
    title: str
    across: str
    edges: list[float]
    counts: dict[str, list[int]]


class RegionFigure(_Part):
    """What is predicted in the plane of two inputs, and rows drawn over it."""

    kind: Literal["regions"] = "regions"
    title: str
    across: str
    up: str
    x: list[float]
    y: list[float]
    z: list[list[float]]
    points: list[tuple[float, float]]
    classes: list[int]


LessonFigure = LineFigure | BarFigure | RegionFigure


class VariantLine(_Part):
    """One variant: what it is, and its scores in the order of the lesson's columns."""

    name: str
    title: str
    values: list[Estimate]
    trainings: int
    seconds: float


class ClaimLine(_Part):
    """One claim and what became of it.

    Attributes:
        says: The claim.
        who: Who says it.
        of: Which claims of the catalogue it is.
        about: What was measured.
        expects: Where the measure lies if the claim holds.
        estimate: The measure, and its interval over seeds.
        verdict: Whether the claim holds, does not hold, or cannot be told.
        amended: What was changed after a full run had been seen, and why; empty if nothing was.
    """

    says: str
    who: str
    of: list[str]
    about: str
    expects: str
    estimate: Estimate
    verdict: Verdict
    amended: str = ""


class ReportedLine(_Part):
    """A number that somebody reported, beside ours.

    Attributes:
        variant: Which variant it is about.
        what: What it measures.
        who: Who reported it.
        value: The number.
        digits: Decimals that it was reported with.
        middle: Median of ours.
        low: Lowest of ours.
        high: Highest of ours.
        inside: Whether it lies between these two, within its rounding.
    """

    variant: str
    what: str
    who: str
    value: float
    digits: int
    middle: float
    low: float
    high: float
    inside: bool


class QuestionLine(_Part):
    """A question to the learner, and its answer.

    Attributes:
        kind: How it is answered: one of the options, several, an option per curve, or names.
        asks: The question.
        options: What can be answered.
        right: Places of right options; of curves to match, of the option that each curve is.
        is_every_wanted: Whether a choice is right only with all of its right options, or with any of them.
        accepted: Names that count, each with other spellings.
        wanted: How many names are wanted.
        because: What is said afterwards.
        figure: Curves to match.
    """

    kind: Literal["choice", "match", "naming"]
    asks: str
    options: list[str] = []
    right: list[int] = []
    is_every_wanted: bool = False
    accepted: dict[str, list[str]] = {}
    wanted: int = 0
    because: str
    figure: LineFigure | None = None


class LessonRecord(_Part):
    """Everything a lesson found.

    Attributes:
        key: Of what it was made: lesson, seeds, rows, share of epochs, version.
        created: When.
        name: What a person types.
        title: What a person reads.
        area: Which problem it is about.
        why: What is tried and why.
        learned: What to take away.
        rows: The rows, in words; empty for a lesson without.
        origin: Where they come from.
        is_own: Whether they are a person's own, so that others' reports do not apply.
        seeds: How many seeds.
        share: Share of the epochs that was trained.
        level: Coverage of the intervals of claims: 95 % for all of the lesson together.
        columns: Heads of the scores.
        variants: Lines of the table.
        claims: What was checked.
        reported: What others saw.
        untold: What nothing decides, and why.
        figures: Curves, and what else is drawn.
        questions: What the learner is asked.
        seconds: What it took.
        fit_seconds: What a loop of Keras' own `fit` would take for the same trainings; None where not measured.
        notes: What went otherwise than usual.
        versions: Of what computed it.
    """

    key: str
    created: str
    name: str
    title: str
    area: str
    why: str
    learned: str
    rows: str
    origin: str
    is_own: bool
    seeds: int
    share: float
    level: float
    columns: list[str]
    variants: list[VariantLine]
    claims: list[ClaimLine]
    reported: list[ReportedLine]
    untold: list[str]
    figures: list[LessonFigure]
    questions: list[QuestionLine]
    seconds: float
    fit_seconds: float | None
    notes: list[str]
    versions: dict[str, str]


def read_lesson(folder: Path) -> LessonRecord | None:
    """What a folder keeps of a lesson; None if there is nothing.

    Raises:
        RunError: What is there cannot be read.
    """
    path = folder / LESSON
    if not path.is_file():
        return None
    try:
        return LessonRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, ValidationError) as error:
        raise RunError(
            f"Expected {path} to be what a lesson left, but it cannot be read ({type(error).__name__}). Delete it, "
            f"and run the lesson again."
        ) from error


def write_lesson(folder: Path, record: LessonRecord) -> None:
    """Keep what a lesson found.

    Raises:
        RunError: It cannot be written.
    """
    write_text(folder / LESSON, record.model_dump_json(indent=1))


def tally(records: list[LessonRecord]) -> dict[Verdict, int]:
    """How many claims hold, do not hold, cannot be told, of all lessons together."""
    counted = Counter(claim.verdict for record in records for claim in record.claims)
    return {verdict: counted[verdict] for verdict in get_args(Verdict)}
