"""The record of a learning-rate range test: what every rate led to, and what follows from it."""

from typing import Literal

from caviar.estimate import Estimate
from caviar.run.studies import Part, Study

Source = Literal["constant rates", "sweep", "a quarter of the maximum", ""]


class AtRateRecord(Part):
    """What one constant rate led to.

    Attributes:
        rate: The rate.
        score: Deciding score on held-out rows, the mean over folds and seeds, with its corrected interval.
        loss: The model's own loss on them, likewise.
        failed: Trainings whose numbers were not finite.
        lost: Those, and trainings that ended no better than a prediction that ignores the inputs.
        difference: How much better than the best rate, paired, with its interval; None for the best one.
        p_holm: Its p, adjusted over all rates; None for the best one.
        alike: Whether it cannot be told apart from the best rate, neither by score nor by the trainings that it lost.
        falls: Whether its score improves clearly on that of the untrained network.
    """

    rate: float
    score: Estimate
    loss: Estimate
    failed: int
    lost: int
    difference: Estimate | None
    p_holm: float | None
    alike: bool
    falls: bool


class SweepRecord(Part):
    """The classic test: the rate climbs within one training.

    Attributes:
        shape: "exponential" or "linear".
        members: Trainings, one for each fold of the first repeat and each seed.
        window: Updates that one smoothed loss is the mean of.
        rates: Rate of every update.
        low: First quartile over the trainings of the smoothed loss of a batch; infinite where they diverged.
        median: Their median.
        high: Their third quartile.
        base: Rate from which on the median has fallen clearly; None where it never falls.
        steepest: Rate at which it falls fastest.
        lowest: Rate at which it is lowest.
        edge: Rate from which on it lies above where it began; None where it does not.
    """

    shape: str
    members: int
    window: int
    rates: list[float]
    low: list[float]
    median: list[float]
    high: list[float]
    base: float | None
    steepest: float | None
    lowest: float | None
    edge: float | None


class RangeRecord(Study):
    """Which learning rates suit a recipe.

    Attributes:
        recipe: What was trained.
        own: The rate that it came with.
        epochs: Epochs of the recipe.
        tried_epochs: Epochs that constant rates were tried for.
        batch_size: Rows per gradient step.
        updates_per_epoch: Updates of an epoch of a training on all rows of the table.
        members: Trainings at constant rates.
        rates: What every constant rate led to, ascending.
        untrained: Deciding score of the network before training.
        sweep: The classic test.
        edge: Lowest rate from which on training breaks; None where none was found.
        best: Rate with the best score; None where no training at any rate succeeded.
        alike: Rates that cannot be told apart from it, itself included.
        base: Lowest rate of a cycle.
        base_source: What told it.
        maximum: Highest rate of a cycle.
        search: Lowest and highest rate for a search on a logarithmic scale.
        sentence: The outcome in all.
    """

    recipe: str
    own: float
    epochs: int
    tried_epochs: int
    batch_size: int
    updates_per_epoch: int
    members: int
    rates: list[AtRateRecord]
    untrained: Estimate
    sweep: SweepRecord
    edge: float | None
    best: float | None
    alike: list[float]
    base: float | None
    base_source: Source
    maximum: float | None
    search: tuple[float, float] | None
    sentence: str
