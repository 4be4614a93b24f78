"""What a model is made of and what it is given, in plain numbers: everything that checks can read before training."""

from dataclasses import dataclass, field

import numpy as np

from caviar.estimate import Estimate

_BOUNDS = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "relu": (0.0, np.inf),
    "softplus": (0.0, np.inf),
    "exponential": (0.0, np.inf),
    "relu6": (0.0, 6.0),
}


@dataclass(frozen=True)
class LayerFacts:
    """One layer in the model's order.

    Attributes:
        name: The layer's name, as probes call it.
        kind: Its class.
        units: Outputs per row, or None where that is no part of it.
        activation: Name of its activation; "linear" where it has none, "" where it can have none.
        initializer: Name of its kernel's initializer, or "".
        fans: Inputs and outputs of its kernel, or (0, 0).
        deviation: Standard deviation of its first kernel; 0 where all its numbers are equal.
        mean: Mean of its first kernel.
        rate: Share that a dropout layer drops, else 0.
        penalty: Largest of its L1 and L2 factors, else 0.
        has_bias: Whether it adds a bias.
    """

    name: str
    kind: str
    units: int | None
    activation: str
    initializer: str
    fans: tuple[int, int]
    deviation: float
    mean: float
    rate: float
    penalty: float
    has_bias: bool

    @property
    def has_kernel(self) -> bool:
        """Whether it multiplies its inputs by weights."""
        return self.fans != (0, 0)


@dataclass(frozen=True)
class ModelFacts:
    """A compiled model.

    Attributes:
        layers: In the model's order, nested ones included.
        last_activation: What its outputs pass through last; "" where a model's own code decides.
        outputs: Numbers per row that it gives.
        loss: All that its loss is called, in lower case without underscores.
        from_logits: Whether the loss expects sums, not probabilities.
        loss_of_batch: Loss of some rows, by the model as it begins.
        loss_of_rows: Mean of the losses of the same rows, one at a time: another value if the loss mixes rows.
        optimizer: Its class.
        rate: Its learning rate at the beginning, or None where that is no number.
        metrics: Names of its metrics.
        parameters: Numbers that training changes.
        batch_size: Rows per gradient step.
        rows: Rows to train on.
        first_losses: Loss of up to 256 rows before the first step, for some first weights (draw,); NaN where it cannot
            be computed.
        custom: What of it is a person's own code: layers, activations, the loss, the training step.
    """

    layers: tuple[LayerFacts, ...]
    last_activation: str
    outputs: int
    loss: str
    from_logits: bool
    loss_of_batch: float
    loss_of_rows: float
    optimizer: str
    rate: float | None
    metrics: tuple[str, ...]
    parameters: int
    batch_size: int
    rows: int
    first_losses: tuple[float, ...] = ()
    custom: tuple[str, ...] = ()

    @property
    def first_loss(self) -> float:
        """Loss before the first step, median over first weights; NaN where it cannot be computed."""
        return float(np.median(self.first_losses)) if self.first_losses else float("nan")

    @property
    def kernels(self) -> tuple[LayerFacts, ...]:
        """Layers with weights that multiply, in order; the last one gives the outputs."""
        return tuple(layer for layer in self.layers if layer.has_kernel)

    @property
    def bounds(self) -> tuple[float, float]:
        """Between what the outputs lie."""
        return _BOUNDS.get(self.last_activation, (-np.inf, np.inf))

    def is_loss(self, *parts: str) -> bool:
        """Whether the loss is called so, in any of these ways."""
        return any(part in self.loss for part in parts)


@dataclass(frozen=True)
class DataFacts:
    """Inputs and target as the network gets them.

    Attributes:
        task: What is predicted.
        n_classes: Classes, or 0.
        n_outputs: Target columns of a regression.
        class_shares: Share of each class, or none.
        centre: Mean of each input.
        deviation: Standard deviation of each input.
        extreme: Largest distance of each input from its median, in interquartile ranges (0 where that is 0).
        not_finite: Inputs and targets that are not finite.
        target_low: Lowest target; NaN for classes.
        target_high: Highest target.
        target_centre: Mean target, of the column where it is largest in size.
        target_deviation: Largest standard deviation of a target column.
        target_kind: "one-hot", "codes", "values": how it was given.
        given: Whether the loss sees the target as it was given, because it does not fit the model.
        distinct: Different inputs among the rows, as a share of them.
        contradictory: Share of rows whose inputs also appear with another class.
        shift: How well validation rows can be told from training rows (area under the ROC curve); None without any.
        validation_rows: How many of them there are.
        tails: Share of each input's values more than 3 interquartile ranges outside its quartiles.
        identifiers: Names of inputs that look like identifiers.
        leaking: Names of inputs that nearly give the target away, with how well each predicts it.
    """

    task: str
    n_classes: int
    n_outputs: int
    class_shares: tuple[float, ...]
    centre: np.ndarray
    deviation: np.ndarray
    extreme: np.ndarray
    not_finite: int
    target_low: float
    target_high: float
    target_centre: float
    target_deviation: float
    target_kind: str
    given: bool
    distinct: float
    contradictory: float
    shift: Estimate | None = None
    validation_rows: int = 0
    tails: np.ndarray = field(default_factory=lambda: np.zeros(0))
    identifiers: tuple[str, ...] = ()
    leaking: tuple[tuple[str, float], ...] = ()


def data_facts(
    x: np.ndarray,
    target: np.ndarray,
    *,
    task: str,
    n_classes: int,
    raw: np.ndarray | None = None,
    kind: str = "",
    given: bool = False,
    identical: np.ndarray | None = None,
    missing: int = 0,
) -> DataFacts:
    """What a network is given.

    Args:
        x: Inputs (row, input).
        target: Class codes (row,) or values (row, output), as the network is to learn them.
        task: What is predicted.
        n_classes: Classes, or 0.
        raw: The target as a person gave it; `target` where left out.
        kind: How it was given.
        given: Whether the loss sees `raw`.
        identical: Numbers of the rows (row,), equal for equal inputs.
        missing: Inputs that were not finite before they were filled.
    """
    raw = target if raw is None else raw
    values = x.reshape(len(x), -1).astype(np.float64)
    finite = np.where(np.isfinite(values), values, np.nan)
    with np.errstate(all="ignore"):
        quartiles = np.nanquantile(finite, (0.25, 0.5, 0.75), axis=0)
        width = quartiles[2] - quartiles[0]
        furthest = np.nanmax(np.abs(finite - quartiles[1]), axis=0)
        extreme = np.where(width > 0, furthest / np.where(width > 0, width, 1), 0.0)
        beyond = (finite < quartiles[0] - 3 * width) | (finite > quartiles[2] + 3 * width)
        tails = np.where(width > 0, beyond.mean(axis=0), 0.0)
    numbers = np.asarray(raw, dtype=np.float64) if raw.dtype.kind in "biuf" else np.zeros(1)
    bad = missing + int((~np.isfinite(values)).sum() + (~np.isfinite(numbers)).sum())
    columns = target.reshape(len(target), -1).astype(np.float64)
    means, spreads = columns.mean(axis=0), columns.std(axis=0)
    shares = np.bincount(target.astype(int), minlength=n_classes) / len(target) if n_classes else np.zeros(0)
    distinct, contradictory = 1.0, 0.0
    if identical is not None:
        distinct = len(np.unique(identical)) / len(identical)
        if n_classes:
            pairs = np.unique(np.stack([identical, target.astype(np.int64)], axis=1), axis=0)
            mixed = np.flatnonzero(np.bincount(pairs[:, 0]) > 1)
            contradictory = float(np.isin(identical, mixed).mean())
    return DataFacts(
        task=task,
        n_classes=n_classes,
        n_outputs=1 if n_classes else columns.shape[1],
        class_shares=tuple(float(s) for s in shares),
        centre=np.nanmean(finite, axis=0),
        deviation=np.nanstd(finite, axis=0),
        extreme=extreme,
        not_finite=bad,
        target_low=float("nan") if n_classes else float(columns.min()),
        target_high=float("nan") if n_classes else float(columns.max()),
        target_centre=float(means[np.abs(means).argmax()]),
        target_deviation=float(spreads.max()),
        target_kind=kind or ("codes" if n_classes else "values"),
        given=given,
        distinct=distinct,
        contradictory=contradictory,
        tails=tails,
    )
