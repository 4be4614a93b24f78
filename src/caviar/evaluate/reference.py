"""What simple predictors reach on the same folds.

A network has to beat these rows to be worth its trouble. They see the inputs that the networks see, prepared
by what was fitted on the fold's training rows, and are fitted on those rows only.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from caviar.evaluate.metrics import Metric
from caviar.evaluate.simple import Fit, boosting, linear, median, no_skill


class Fold(Protocol):
    """The rows of one fold: what is read of `caviar.data.split.Split`."""

    @property
    def repeat(self) -> int:
        """Which repeat, from 0."""

    @property
    def fold(self) -> int:
        """Which fold of the repeat, from 0."""

    @property
    def train(self) -> np.ndarray:
        """Row numbers to fit on."""

    @property
    def held_out(self) -> np.ndarray:
        """Row numbers to score."""


class Table(Protocol):
    """What is scored: what is read of `caviar.data.dataset.Dataset`."""

    @property
    def target(self) -> np.ndarray:
        """Class codes [row] or values [row, output]."""

    @property
    def weight(self) -> np.ndarray | None:
        """Weights [row], or None."""

    @property
    def is_classification(self) -> bool:
        """Whether the target is a class."""

    @property
    def schema(self) -> Any:  # noqa: ANN401 - only `classes` is read
        """Names and classes."""


@dataclass(frozen=True)
class Reference:
    """A simple predictor that every network is compared to.

    Attributes:
        name: What the record calls it.
        title: What the report calls it.
        fit: Fits it on training rows.
        fit_absolute: Used in its place where the score is an absolute error, if not None.
    """

    name: str
    title: str
    fit: Fit
    fit_absolute: Fit | None = None


REFERENCES: tuple[Reference, ...] = (
    Reference("no-skill", "no skill (class frequencies, mean or median)", no_skill, median),
    Reference("linear", "linear model (logistic or ridge regression)", linear),
    Reference("boosting", "histogram gradient boosting", boosting),
)


def no_skill_scores(
    dataset: Table, metrics: Sequence[Metric], splits: Sequence[Fold] | None = None
) -> dict[str, float]:
    """What predicting the same for every row scores: class frequencies, the median for mae, else the mean.

    With splits, the mean over the folds of a prediction fitted on each fold's training rows. Without them
    (before any split exists) the score of all rows under what was fitted on all of them, which is the most a
    constant can reach.

    Args:
        dataset: The table; weights are respected in the fit and in the score.
        metrics: The metrics asked for.
        splits: The folds, or None.

    Returns:
        The score by metric name; NaN where it is undefined for every fold.

    >>> from types import SimpleNamespace
    >>> from caviar.evaluate.metrics import find_metric
    >>> table = SimpleNamespace(target=np.array([0, 0, 0, 1]), weight=None, is_classification=True,
    ...                         schema=SimpleNamespace(classes=["no", "yes"]))
    >>> no_skill_scores(table, [find_metric("accuracy", "binary")])
    {'accuracy': 0.75}
    """
    rows = np.arange(len(dataset.target))
    folds = [(split.train, split.held_out) for split in splits] if splits else [(rows, rows)]
    scores: dict[str, list[float]] = {metric.name: [] for metric in metrics}
    for train, held_out in folds:
        # The constant predictors look at the number of rows and at nothing else.
        inputs = np.zeros((len(rows), 1))
        found = _scores(REFERENCES[0], dataset, train, held_out, metrics=metrics, inputs=inputs)
        for name, score in found.items():
            scores[name].append(score)
    return {name: _finite_mean(np.array(values)) for name, values in scores.items()}


def _finite_mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


def score_references(
    dataset: Table,
    splits: Sequence[Fold],
    metrics: Sequence[Metric],
    inputs_of: Callable[[Any], np.ndarray],
    *,
    deadline: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, dict[str, np.ndarray]]:
    """The scores of every reference row on the folds that the networks are scored on.

    Args:
        dataset: The table; its weights reach the fit and the score.
        splits: The folds; the first one is always run.
        metrics: The metrics to compute.
        inputs_of: Gives the prepared inputs of all rows, float32 [row, input], fitted on that split's
            training rows.
        deadline: Value of `time.monotonic()` after which no further fold is begun.
        progress: Called with (fits done, fits in all) after each fit.

    Returns:
        `{reference name: {metric name: scores [repeat, fold]}}`; NaN where a fold was not run or
        has no score.

    >>> from types import SimpleNamespace
    >>> from caviar.evaluate.metrics import find_metric
    >>> inputs = np.arange(40, dtype=np.float32)[:, None]
    >>> table = SimpleNamespace(target=2.0 * inputs, weight=None, is_classification=False, schema=None)
    >>> split = SimpleNamespace(repeat=0, fold=0, train=np.arange(30), held_out=np.arange(30, 40))
    >>> scores = score_references(table, [split], [find_metric("r2", "regression")], lambda split: inputs)
    >>> scores["linear"]["r2"].round(2)
    array([[1.]])
    """
    shape = (max(split.repeat for split in splits) + 1, max(split.fold for split in splits) + 1)
    scores = {
        reference.name: {metric.name: np.full(shape, np.nan) for metric in metrics}
        for reference in REFERENCES
    }
    for n_split, split in enumerate(splits):
        if n_split and deadline is not None and time.monotonic() > deadline:
            break
        inputs = inputs_of(split)
        for n_reference, reference in enumerate(REFERENCES):
            found = _scores(reference, dataset, split.train, split.held_out, metrics=metrics, inputs=inputs)
            for name, score in found.items():
                scores[reference.name][name][split.repeat, split.fold] = score
            if progress is not None:
                progress(n_split * len(REFERENCES) + n_reference + 1, len(splits) * len(REFERENCES))
    return scores


def _scores(
    reference: Reference,
    dataset: Table,
    train: np.ndarray,
    held_out: np.ndarray,
    *,
    metrics: Sequence[Metric],
    inputs: np.ndarray,
) -> dict[str, float]:
    """One reference on one fold, by metric name; no way of fitting it is fitted twice."""
    n_classes = len(dataset.schema.classes) if dataset.is_classification else 0
    weight = dataset.weight
    predictions: dict[Fit, np.ndarray] = {}
    scores = {}
    for metric in metrics:
        fit = reference.fit
        if metric.name == "mae" and reference.fit_absolute is not None:
            fit = reference.fit_absolute
        if fit not in predictions:
            fitted = fit(
                inputs[train], dataset.target[train], None if weight is None else weight[train], n_classes
            )
            predictions[fit] = fitted.predict(inputs[held_out])
        scores[metric.name] = metric.score(
            dataset.target[held_out], predictions[fit], None if weight is None else weight[held_out]
        )
    return scores
