"""How good predictions are: one visible table of scores.

Predictions are float64 arrays: class probabilities [row, class] for classification (binary has two columns),
values [row, output] for regression. Targets are class codes [row] or values [row, output]. A score is NaN,
never an exception, where it is not defined: a member whose predictions are not all finite has failed, and a
fold with a single class has no ranking to judge.

They are scikit-learn's (a test compares them), computed here because correcting a search's choice asks ten thousand
times, and scikit-learn takes many times as long to look at its arguments.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from caviar.errors import OptionError

Score = Callable[[np.ndarray, np.ndarray, np.ndarray | None], float]
RowLosses = Callable[[np.ndarray, np.ndarray], np.ndarray]

CLASSIFICATION = ("binary", "multiclass")
REGRESSION = ("regression", "multi-output regression")

PROBABILITY_FLOOR = 1e-7
"""Smallest probability that log-loss believes: the epsilon that Keras' cross-entropies clip with."""


@dataclass(frozen=True)
class Metric:
    """A score of predictions against the truth.

    Attributes:
        name: What `--metric` calls it.
        title: What a sentence or an axis calls it.
        higher_is_better: Whether more is better.
        tasks: The tasks it can judge.
        score: `(target, prediction, weight or None) -> float`; NaN where the score is not defined.
        row_losses: `(target, prediction) -> [row]`, for the metrics that are (weighted) means of a loss per
            row, where lower is better; None for all others.
        lowest: The lowest value that there is.
        judges_decisions: Whether it looks only at which class is predicted, not at how probable it is.

    >>> find_metric("accuracy", "binary").score(np.array([0, 1]), np.array([[0.9, 0.1], [0.6, 0.4]]), None)
    0.5
    """

    name: str
    title: str
    higher_is_better: bool
    tasks: tuple[str, ...]
    score: Score
    row_losses: RowLosses | None = None
    lowest: float = 0.0
    judges_decisions: bool = False

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest value that there is."""
        return self.lowest, 1.0 if self.higher_is_better else math.inf


def _defined_or_nan(score: Score) -> Score:
    """The score of the rows that carry weight; NaN without any, or where a value is not finite."""

    def guarded(target: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None) -> float:
        if not np.isfinite(prediction).all():
            return math.nan
        if weight is not None:
            carries = weight > 0
            target, prediction, weight = target[carries], prediction[carries], weight[carries]
        if len(target) == 0:
            return math.nan
        with np.errstate(over="ignore"):
            value = float(score(target, prediction, weight))
        return value if math.isfinite(value) else math.nan

    return guarded


def _mean_of(row_losses: RowLosses) -> Score:
    """The weighted mean of a loss per row, as a score."""

    def mean(target: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None) -> float:
        return float(np.average(row_losses(target, prediction), weights=weight))

    return _defined_or_nan(mean)


def log_losses(target: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Minus log probability of each row's true class, in nats [row]; probabilities clipped at 1e-7.

    >>> log_losses(np.array([1]), np.array([[0.5, 0.5]])).round(3)
    array([0.693])
    """
    believed = prediction[np.arange(len(target)), target]
    return -np.log(np.clip(believed, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR))


def brier_losses(target: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Squared distance of each row's probabilities to the truth [row]; halved for two classes.

    >>> brier_losses(np.array([1]), np.array([[0.5, 0.5]]))
    array([0.25])
    """
    truth = np.eye(prediction.shape[1])[target]
    distance = np.square(prediction - truth).sum(axis=1)
    return distance / 2 if prediction.shape[1] == 2 else distance


def absolute_losses(target: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Absolute error of each row, averaged over its outputs [row].

    >>> absolute_losses(np.array([[1.0, 2.0]]), np.array([[0.0, 5.0]]))
    array([2.])
    """
    return np.abs(target - prediction).mean(axis=1)


def squared_losses(target: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Squared error of each row, averaged over its outputs [row].

    >>> squared_losses(np.array([[1.0, 2.0]]), np.array([[0.0, 5.0]]))
    array([5.])
    """
    return np.square(target - prediction).mean(axis=1)


def _ranking(area: Callable[[np.ndarray, np.ndarray], float]) -> Score:
    """A ranking score: of class 1 of two, else the mean over the classes that occur, one against the rest.

    NaN when the rows hold a single class, because then nothing can be ranked.

    Args:
        area: From the mass [threshold] of the rows of a class, and of the others, that lie above each threshold.
    """

    def score(target: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None) -> float:
        present = np.unique(target)
        if len(present) < 2:
            return math.nan
        judged = [1] if prediction.shape[1] == 2 else present
        return float(np.mean([area(*_above(target == code, prediction[:, code], weight)) for code in judged]))

    return _defined_or_nan(score)


def _above(truth: np.ndarray, score: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Mass of the true rows, and of the others, with at least each score that occurs, from the highest down."""
    order = np.argsort(-score, kind="stable")
    mass = np.ones(len(score)) if weight is None else weight[order]
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)  # of those with the same score
    found = np.cumsum(np.where(truth[order], mass, 0.0))[last]
    return found, np.cumsum(np.where(truth[order], 0.0, mass))[last]


def _area(found: np.ndarray, wrong: np.ndarray) -> float:
    pairs = np.trapezoid(np.append(0.0, found), np.append(0.0, wrong))
    return float(pairs / (found[-1] * wrong[-1]))


def _average_precision(found: np.ndarray, wrong: np.ndarray) -> float:
    return float(np.diff(found, prepend=0.0) @ (found / (found + wrong)) / found[-1])


@_defined_or_nan
def _accuracy(target: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None) -> float:
    return float(np.average(prediction.argmax(axis=1) == target, weights=weight))


def _confusion(target: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Mass of the rows of each class that are taken for each class [class, class taken for it]."""
    k = prediction.shape[1]
    pairs = target * k + prediction.argmax(axis=1)
    return np.bincount(pairs, weights=weight, minlength=k * k).reshape(k, k)


@_defined_or_nan
def _balanced_accuracy(target: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None) -> float:
    # Mean recall over the classes that occur.
    taken = _confusion(target, prediction, weight)
    mass = taken.sum(axis=1)
    return float((np.diag(taken)[mass > 0] / mass[mass > 0]).mean())


@_defined_or_nan
def _f1(target: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None) -> float:
    # Mean over the classes that occur, or that some row was taken for.
    taken = _confusion(target, prediction, weight)
    both = taken.sum(axis=0) + taken.sum(axis=1)
    return float((2 * np.diag(taken)[both > 0] / both[both > 0]).mean())


@_defined_or_nan
def _rmse(target: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None) -> float:
    return float(np.sqrt(np.average((target - prediction) ** 2, axis=0, weights=weight)).mean())


@_defined_or_nan
def _r2(target: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None) -> float:
    if (np.ptp(target, axis=0) == 0).any():
        return math.nan
    left = np.average((target - prediction) ** 2, axis=0, weights=weight)
    spread = np.average((target - np.average(target, axis=0, weights=weight)) ** 2, axis=0, weights=weight)
    return float((1 - left / spread).mean())


METRICS: tuple[Metric, ...] = (
    Metric(
        "log-loss",
        "log-loss",
        higher_is_better=False,
        tasks=CLASSIFICATION,
        score=_mean_of(log_losses),
        row_losses=log_losses,
    ),
    Metric(
        "brier",
        "Brier score",
        higher_is_better=False,
        tasks=CLASSIFICATION,
        score=_mean_of(brier_losses),
        row_losses=brier_losses,
    ),
    Metric("auc", "AUC", higher_is_better=True, tasks=CLASSIFICATION, score=_ranking(_area)),
    Metric(
        "average-precision",
        "average precision",
        higher_is_better=True,
        tasks=CLASSIFICATION,
        score=_ranking(_average_precision),
    ),
    Metric(
        "balanced-accuracy",
        "balanced accuracy",
        higher_is_better=True,
        tasks=CLASSIFICATION,
        score=_balanced_accuracy,
        judges_decisions=True,
    ),
    Metric(
        "accuracy",
        "accuracy",
        higher_is_better=True,
        tasks=CLASSIFICATION,
        score=_accuracy,
        judges_decisions=True,
    ),
    Metric("f1", "F1", higher_is_better=True, tasks=CLASSIFICATION, score=_f1, judges_decisions=True),
    Metric(
        "mae",
        "mean absolute error",
        higher_is_better=False,
        tasks=REGRESSION,
        score=_mean_of(absolute_losses),
        row_losses=absolute_losses,
    ),
    Metric("rmse", "root mean squared error", higher_is_better=False, tasks=REGRESSION, score=_rmse),
    Metric("r2", "R²", higher_is_better=True, tasks=REGRESSION, score=_r2, lowest=-math.inf),
    Metric(
        "mse",
        "mean squared error",
        higher_is_better=False,
        tasks=REGRESSION,
        score=_mean_of(squared_losses),
        row_losses=squared_losses,
    ),
)


KERAS_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "acc": "accuracy",
        "binary_accuracy": "accuracy",
        "categorical_accuracy": "accuracy",
        "sparse_categorical_accuracy": "accuracy",
        "crossentropy": "log-loss",
        "ce": "log-loss",
        "binary_crossentropy": "log-loss",
        "categorical_crossentropy": "log-loss",
        "sparse_categorical_crossentropy": "log-loss",
        "mean_absolute_error": "mae",
        "mean_squared_error": "mse",
        "root_mean_squared_error": "rmse",
        "r2_score": "r2",
    }
)
"""What Keras calls metrics of the table, where it has another name for them."""


def metric_meant(name: str) -> Metric | None:
    """The metric that a name of the table, or one of Keras', means, in capitals or not; None if there is none.

    >>> metric_meant("mean_absolute_error").name, metric_meant("AUC").name, metric_meant("recall")
    ('mae', 'auc', None)
    """
    plain = KERAS_NAMES.get(name.lower(), name.lower())
    return next((metric for metric in METRICS if metric.name == plain), None)


def default_metric(task: str) -> Metric:
    """The score that decides unless another is named: log-loss for classes, mean absolute error for values.

    >>> default_metric("binary").name, default_metric("regression").name
    ('log-loss', 'mae')
    """
    return find_metric("log-loss" if task in CLASSIFICATION else "mae", task)


def shown_metrics(task: str) -> tuple[Metric, ...]:
    """The scores shown beside the one that decides.

    >>> [metric.name for metric in shown_metrics("regression")]
    ['rmse', 'r2']
    """
    names = (
        ("auc", "average-precision", "balanced-accuracy", "accuracy")
        if task in CLASSIFICATION
        else ("rmse", "r2")
    )
    return tuple(find_metric(name, task) for name in names)


def metric_named(name: str) -> Metric:
    """The metric of a name that a record holds.

    >>> metric_named("auc").title
    'AUC'
    """
    return next(metric for metric in METRICS if metric.name == name)


def find_metric(name: str, task: str) -> Metric:
    """The metric of that name, its own or Keras', if it can judge that task.

    Raises:
        OptionError: No metric has the name, or it does not fit the task.

    >>> find_metric("auc", "multiclass").title
    'AUC'
    """
    found = metric_meant(name)
    if found is None or task not in found.tasks:
        fitting = [metric.name for metric in METRICS if task in metric.tasks]
        raise OptionError(
            f"Expected a metric that fits a {task} target, got {name!r}. Pass one of: {', '.join(fitting)}."
        )
    return found
