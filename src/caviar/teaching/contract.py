"""What a lesson is: data, variants that are trained side by side, claims that what was measured decides."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np

from caviar.evaluate.claims import Expectation

if TYPE_CHECKING:
    from caviar.teaching.seen import Lab, Seen, Training

Area = Literal["learning", "generalization", "prediction", "tuning", "evaluation", "practice"]
Measure = Callable[["Seen"], Any]
Split = tuple[np.ndarray, np.ndarray]
"""Numbers of the rows to train on, and of those to test on."""


@dataclass(frozen=True, eq=False)
class Data:
    """Rows of a lesson, and which of them are trained on.

    Attributes:
        title: What they are, in few words.
        x: Inputs (row, feature), as they are.
        y: Targets (row,) or (row, output); classes are 0, 1, 2 ….
        splits: One for a holdout, several for folds.
        classes: How many classes; 0 for quantities.
        origin: Where they come from.
        is_own: Whether they are a person's own table in the lesson's place.
    """

    title: str
    x: np.ndarray
    y: np.ndarray
    splits: Sequence[Split]
    classes: int = 2
    origin: str = ""
    is_own: bool = False

    @property
    def outputs(self) -> int:
        """Outputs of a network that predicts the target: one for a quantity or for two classes."""
        if self.classes:
            return 1 if self.classes == 2 else self.classes
        return 1 if self.y.ndim == 1 else self.y.shape[1]


@dataclass(frozen=True, eq=False)
class Variant:
    """One way to train, beside others.

    Attributes:
        name: Short, for tables and claims.
        title: What it is, in few words.
        build: Returns a compiled model; takes `n_inputs` and `n_outputs` if it likes.
        batch_size: Rows per gradient step; None for all training rows.
        epochs: Passes over the training rows.
        callbacks: Keras callbacks; what they watch as `val_` are the test rows, as in the lesson's source.
        prepare: Makes a scikit-learn transformer, which is fitted on each split's training rows; None for rows as
            they are.
        rows: Which rows it sees, training and test rows alike, as truths (row,); None for all.
        class_weight: Weight of each class in training, or what tells it from the rows.
        probe: Look inside every so many epochs; 0 for never.
        seeds: Its own seeds; the lesson's if not given.
        numbers: Numbers that differ between its seeds, one for each: by the key that `caviar.population.lift.numbers`
            gives them, such as "optimizer.learning_rate" or "weights[0].regularizer.l2".
        after: What it goes on from, seed by seed and fold by fold: the name of a variant trained with it, or a
            training; empty for first weights.
        carried: Names of the layers whose weights it takes over from there; all, with the optimizer's state, if empty.
    """

    name: str
    title: str
    build: Callable[..., keras.Model]
    batch_size: int | None = 32
    epochs: int = 100
    callbacks: Sequence[keras.callbacks.Callback] = ()
    prepare: Callable[[], Any] | None = None
    rows: Callable[[Data], np.ndarray] | None = None
    class_weight: Mapping[int, float] | Callable[[Data], Mapping[int, float]] | None = None
    probe: int = 0
    seeds: Sequence[int] | None = None
    numbers: Mapping[str, Sequence[float]] = field(default_factory=dict)
    after: "str | Training" = ""
    carried: Sequence[str] = ()


@dataclass(frozen=True)
class Claim:
    """What somebody says, and how it is checked. Written down before the lesson was first run in full, or amended.

    Attributes:
        says: The claim, in our words.
        of: Which claims of the catalogue it is, as `record/number`, numbers counted from 0; empty for our own.
        measure: What decides: per seed a number or a truth, paired over variants; or one where chance has no part.
        holds: Where the measure's mean lies if the claim holds.
        about: What the measure is, in words.
        who: Who says it: "author", "reader", or "caviar" for what we add.
        amended: What was changed after a full run had been seen, and why, in a sentence; empty if nothing was.
        only_here: Why it is not judged on a person's own table, in a clause; empty if it is.
    """

    says: str
    of: Sequence[str]
    measure: Measure
    holds: Expectation
    about: str
    who: str = "author"
    amended: str = ""
    only_here: str = ""


@dataclass(frozen=True)
class Reported:
    """A number that an author or a reader reported.

    Attributes:
        of: Record of the catalogue.
        variant: Which variant it is about; empty for none.
        what: What it measures, in words.
        value: The number.
        measure: The same of ours, one per seed.
        who: Who reported it.
        digits: Decimals it was reported with.
    """

    of: str
    variant: str
    what: str
    value: float
    measure: Measure
    who: str = "author"
    digits: int = 3


def reported_accuracies(
    of: str, variant: str, train: float, test: float, who: str = "author"
) -> tuple[Reported, Reported]:
    """Both numbers that a run of a classifier is usually reported by.

    Args:
        of: Record of the catalogue.
        variant: Which variant it is about.
        train: Training accuracy.
        test: Test accuracy.
        who: Who reported them.
    """
    return (
        Reported(of, variant, "train accuracy", train, lambda seen: seen.accuracy(variant, "train"), who),
        Reported(of, variant, "test accuracy", test, lambda seen: seen.accuracy(variant), who),
    )


@dataclass(frozen=True)
class Untold:
    """A claim or a number of the catalogue that no measure decides, and why.

    Attributes:
        of: Record, or `record/number` of a claim.
        why: In a sentence.
    """

    of: str
    why: str


@dataclass(frozen=True)
class Winner:
    """Ask which variant does best.

    Attributes:
        asks: The question.
        measure: Per seed the score of a variant, by its name.
        among: Names of variants; all if empty.
        highest: Whether higher is better.
    """

    asks: str
    measure: Callable[["Seen", str], np.ndarray]
    among: Sequence[str] = ()
    highest: bool = True


@dataclass(frozen=True)
class Match:
    """Ask which curve belongs to which variant.

    Attributes:
        log: Name of a log.
        among: Names of two to four variants.
        asks: The question.
    """

    log: str
    among: Sequence[str]
    asks: str = "Which curve belongs to which variant?"


@dataclass(frozen=True)
class Choice:
    """Ask something that is known.

    Attributes:
        asks: The question.
        options: What can be answered.
        right: Places of the right ones, from 0.
        because: Why, in a sentence.
    """

    asks: str
    options: Sequence[str]
    right: Sequence[int]
    because: str


@dataclass(frozen=True)
class Naming:
    """Ask for names, as many as `wanted`.

    Attributes:
        asks: The question.
        accepted: What counts, each with the other spellings that do.
        wanted: How many.
        because: What is said afterwards.
    """

    asks: str
    accepted: Mapping[str, Sequence[str]]
    wanted: int
    because: str


Question = Winner | Match | Choice | Naming


@dataclass(frozen=True, eq=False)
class Lines:
    """A figure of lines or points.

    Attributes:
        title: What it shows.
        x: Where (point,).
        lines: By name (point,), or (seed, point) to be drawn as median and band.
        across: What x is.
        up: What the values are.
        points: Whether points are drawn instead of lines.
        log_x: Whether x is on a logarithmic scale.
        log_y: Whether values are.
    """

    title: str
    x: np.ndarray
    lines: Mapping[str, np.ndarray]
    across: str
    up: str
    points: bool = False
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True, eq=False)
class Bars:
    """A histogram of values.

    Attributes:
        title: What it shows.
        values: By name (value,).
        across: What they are.
    """

    title: str
    values: Mapping[str, np.ndarray]
    across: str


@dataclass(frozen=True, eq=False)
class Regions:
    """Decision regions in the plane of two inputs.

    Attributes:
        title: What it shows.
        x: Values of the first input (column,).
        y: Of the second (row,).
        z: What is predicted there (row, column): a class, or the probability of one.
        points: Rows (row, 2) drawn over them.
        classes: Their classes (row,).
        across: Name of the first input.
        up: Name of the second.
    """

    title: str
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    points: np.ndarray
    classes: np.ndarray
    across: str = "first input"
    up: str = "second input"


Drawing = Lines | Bars | Regions


@dataclass(frozen=True)
class Shown:
    """A column of the table of variants.

    Attributes:
        title: Its head.
        measure: Per seed a number of a variant, by its name.
    """

    title: str
    measure: Callable[["Seen", str], np.ndarray]


@dataclass(frozen=True, eq=False)
class Lesson:
    """One lesson of the course.

    Attributes:
        name: What a person types.
        title: What a person reads.
        area: Which problem it is about.
        covers: Records of the catalogue that it carries out.
        why: What is tried and why, in a few sentences.
        data: Gives the rows; takes the folder of tables that a person named, or None. None for a lesson without rows.
        variants: What is trained side by side.
        claims: What is checked.
        also: What else is tried: values by name, one per seed or a whole figure's.
        reported: What others saw.
        untold: What nothing here decides, and why.
        questions: What the learner is asked before the evidence is shown.
        shows: Columns of the table of variants; train and test accuracy or error by default.
        curves: Logs whose curves are drawn.
        figures: What else is drawn.
        learned: What to take away, in a sentence or two; the verdicts stand beside it.
        fewest: Seeds below which the lesson says nothing.
        times: Whether its trainings themselves are timed: then no other lesson runs beside it at all.
        own_rows: On a person's own table, what makes it of this one and the rows, and the rows as it takes them; None
            where neither differs there.
    """

    name: str
    title: str
    area: Area
    covers: Sequence[str]
    why: str
    data: Callable[[Path | None], Data] | None
    variants: Sequence[Variant]
    claims: Sequence[Claim]
    also: "Callable[[Lab, Seen], Mapping[str, Any]] | None" = None
    reported: Sequence[Reported] = ()
    untold: Sequence[Untold] = ()
    questions: Sequence[Question] = ()
    shows: Sequence[Shown] = ()
    curves: Sequence[str] = ("loss", "accuracy")
    figures: "Callable[[Seen], Sequence[Drawing]] | None" = None
    learned: str = ""
    fewest: int = 2
    times: bool = False
    own_rows: "Callable[[Lesson, Data], tuple[Lesson, Data]] | None" = None
