"""The record of a recheck: whether what a run chose still stands on new data, and which columns have moved."""

from typing import Literal

from caviar.run.studies import CompareRecord, Part

Standing = Literal["stands", "does not stand", "no practical difference", "not enough data"]


class MovedColumn(Part):
    """One column of the run's table beside the same of the new one.

    Attributes:
        name: What it is called.
        distance: How far it has moved, 0 to 1.
        p: Two-sided, unadjusted.
        p_holm: Adjusted over all columns.
        moved: Whether it comes from another distribution, at 5 % over all columns.
        words: What moved most.
    """

    name: str
    distance: float
    p: float
    p_holm: float
    moved: bool
    words: str


class RecheckRecord(CompareRecord):
    """What a run decided between, measured anew: the first recipe is its choice.

    Attributes:
        run: Name of the run's folder.
        chosen: What the choice is called.
        own: What the recipe as it was before is called; the choice itself where nothing was changed.
        verdict: Whether the choice stands.
        columns: All columns, the target among them; None where the run's table is not at hand.
        drift: What they show, in words, or why nothing is known of them.
    """

    run: str
    chosen: str
    own: str | None
    verdict: Standing
    columns: list[MovedColumn] | None
    drift: str
