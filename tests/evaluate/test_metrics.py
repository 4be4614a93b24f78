"""Do scores say what their names promise, and NaN where they are not defined?"""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as published

from caviar.errors import OptionError
from caviar.evaluate.metrics import (
    KERAS_NAMES,
    METRICS,
    default_metric,
    find_metric,
    metric_meant,
    shown_metrics,
)

TASKS = ("binary", "multiclass", "regression", "multi-output regression")


def example(task, n_rows=40, seed=0):
    """A target with every class, predictions that are somewhat right, and weights."""
    rng = np.random.default_rng(seed)
    weight = rng.uniform(0.5, 2.0, n_rows)
    if task in {"binary", "multiclass"}:
        n_classes = 2 if task == "binary" else 3
        target = np.arange(n_rows) % n_classes
        logits = rng.normal(size=(n_rows, n_classes)) + 1.5 * np.eye(n_classes)[target]
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return target, probabilities, weight
    outputs = 1 if task == "regression" else 3
    target = rng.normal(size=(n_rows, outputs))
    return target, target + rng.normal(size=target.shape), weight


def pairs():
    return [
        pytest.param(metric, task, id=f"{metric.name}-{task}") for metric in METRICS for task in metric.tasks
    ]


PUBLISHED = {
    ("log-loss", "binary"): lambda y, p, w: published.log_loss(y, p, sample_weight=w),
    ("log-loss", "multiclass"): lambda y, p, w: published.log_loss(y, p, sample_weight=w),
    ("brier", "binary"): lambda y, p, w: published.brier_score_loss(y, p[:, 1], sample_weight=w),
    ("brier", "multiclass"): lambda y, p, w: published.brier_score_loss(y, p, sample_weight=w),
    ("auc", "binary"): lambda y, p, w: published.roc_auc_score(y, p[:, 1], sample_weight=w),
    ("auc", "multiclass"): lambda y, p, w: published.roc_auc_score(y, p, sample_weight=w, multi_class="ovr"),
    ("average-precision", "binary"): lambda y, p, w: published.average_precision_score(
        y, p[:, 1], sample_weight=w
    ),
    ("average-precision", "multiclass"): lambda y, p, w: published.average_precision_score(
        y, p, sample_weight=w
    ),
    ("balanced-accuracy", "multiclass"): lambda y, p, w: published.balanced_accuracy_score(
        y, p.argmax(1), sample_weight=w
    ),
    ("accuracy", "binary"): lambda y, p, w: published.accuracy_score(y, p.argmax(1), sample_weight=w),
    ("f1", "multiclass"): lambda y, p, w: published.f1_score(
        y, p.argmax(1), sample_weight=w, average="macro"
    ),
    ("mae", "multi-output regression"): lambda y, p, w: published.mean_absolute_error(y, p, sample_weight=w),
    ("mse", "multi-output regression"): lambda y, p, w: published.mean_squared_error(y, p, sample_weight=w),
    ("rmse", "multi-output regression"): lambda y, p, w: published.root_mean_squared_error(
        y, p, sample_weight=w
    ),
    ("rmse", "regression"): lambda y, p, w: published.root_mean_squared_error(y, p, sample_weight=w),
    ("r2", "multi-output regression"): lambda y, p, w: published.r2_score(y, p, sample_weight=w),
}


@pytest.mark.parametrize(("name", "task"), PUBLISHED)
@pytest.mark.parametrize("weighted", [True, False])
def test_a_score_equals_the_published_one(name, task, weighted):
    target, prediction, weight = example(task)
    weight = weight if weighted else None
    expected = PUBLISHED[name, task](target, prediction, weight)
    assert find_metric(name, task).score(target, prediction, weight) == pytest.approx(expected)


def published_mean(score, truth: np.ndarray, said: np.ndarray, weight: np.ndarray) -> float:
    """scikit-learn's score of each class that occurs against the others, on average."""
    return np.mean([score(truth == code, said[:, code], sample_weight=weight) for code in np.unique(truth)])


PUBLISHED_WITH_TIES = {
    "auc": partial(published_mean, published.roc_auc_score),
    "average-precision": partial(published_mean, published.average_precision_score),
    "accuracy": lambda y, p, w: published.accuracy_score(y, p.argmax(1), sample_weight=w),
    "balanced-accuracy": lambda y, p, w: published.recall_score(
        y, p.argmax(1), labels=np.unique(y), average="macro", sample_weight=w, zero_division=0
    ),
    "f1": lambda y, p, w: published.f1_score(
        y, p.argmax(1), average="macro", sample_weight=w, zero_division=0
    ),
}


@pytest.mark.parametrize("name", PUBLISHED_WITH_TIES)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.tuples(*[st.integers(0, 4)] * 3), st.integers(0, 3)),
        min_size=1,
        max_size=30,
    )
)
def test_ties_weights_and_absent_classes_are_scored_as_scikit_learn_does(name, rows):
    truth, said, weight = (np.array(part) for part in zip(*rows, strict=True))
    said, weight = said / 4, weight.astype(float)
    score = find_metric(name, "multiclass").score
    some = weight > 0
    if not some.any() or (name in {"auc", "average-precision"} and len(np.unique(truth[some])) < 2):
        assert np.isnan(score(truth, said, weight))
        return
    expected = PUBLISHED_WITH_TIES[name](truth[some], said[some], weight[some])
    assert score(truth, said, weight) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("metric", "task"), pairs())
def test_a_row_that_weighs_two_counts_like_two_rows(metric, task):
    target, prediction, _ = example(task)
    counts = np.arange(len(target)) % 3
    repeated = metric.score(np.repeat(target, counts, axis=0), np.repeat(prediction, counts, axis=0), None)
    assert metric.score(target, prediction, counts.astype(float)) == pytest.approx(repeated)


@pytest.mark.parametrize(("metric", "task"), pairs())
def test_a_prediction_that_is_not_finite_has_no_score(metric, task):
    target, prediction, weight = example(task)
    prediction[3, 0] = np.nan
    assert np.isnan(metric.score(target, prediction, weight))


@pytest.mark.parametrize(("metric", "task"), pairs())
def test_rows_without_weight_have_no_score(metric, task):
    target, prediction, weight = example(task)
    assert np.isnan(metric.score(target, prediction, 0 * weight))


@pytest.mark.parametrize(("metric", "task"), pairs())
def test_better_predictions_score_better(metric, task):
    """The true probabilities or values beat a coin, in the direction the metric declares."""
    target, prediction, _ = example(task, n_rows=300)
    if task in {"binary", "multiclass"}:
        truth = 0.9 * np.eye(prediction.shape[1])[target] + 0.1 / prediction.shape[1]
    else:
        truth = target + 0.01
    sign = 1 if metric.higher_is_better else -1
    assert sign * metric.score(target, truth, None) > sign * metric.score(target, prediction, None)


@pytest.mark.parametrize(("metric", "task"), [pair for pair in pairs() if pair.values[0].row_losses])
def test_the_mean_of_row_losses_is_the_score(metric, task):
    target, prediction, weight = example(task)
    losses = metric.row_losses(target, prediction)
    assert losses.shape == (len(target),)
    assert metric.score(target, prediction, weight) == pytest.approx(np.average(losses, weights=weight))


@pytest.mark.parametrize("name", ["auc", "average-precision"])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_fold_of_one_class_has_no_ranking(name, classes):
    prediction = np.full((5, classes), 1 / classes)
    task = "binary" if classes == 2 else "multiclass"
    assert np.isnan(find_metric(name, task).score(np.ones(5, int), prediction, None))


def test_a_class_that_a_fold_lacks_does_not_enter_its_auc():
    """With classes 0 and 1 perfectly ranked and no row of class 2, the AUC is 1."""
    target = np.array([0, 0, 1, 1])
    prediction = np.array([[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.7, 0.1]])
    assert find_metric("auc", "multiclass").score(target, prediction, None) == 1.0


def test_a_target_that_does_not_vary_has_no_r2():
    assert np.isnan(find_metric("r2", "regression").score(np.ones((4, 1)), np.arange(4.0)[:, None], None))


def test_log_loss_of_a_certain_mistake_is_finite():
    score = find_metric("log-loss", "binary").score(np.array([1]), np.array([[1.0, 0.0]]), None)
    assert score == pytest.approx(-np.log(1e-7))


def test_predictions_that_overflow_the_score_have_none():
    assert np.isnan(find_metric("mse", "regression").score(np.zeros((3, 1)), np.full((3, 1), 1e200), None))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 30))
def test_the_order_of_rows_does_not_matter(seed, n_rows):
    target, prediction, weight = example("binary", n_rows, seed)
    order = np.random.default_rng(seed).permutation(n_rows)
    for metric in METRICS:
        if "binary" in metric.tasks:
            there = metric.score(target, prediction, weight)
            assert metric.score(target[order], prediction[order], weight[order]) == pytest.approx(there)


@pytest.mark.parametrize("task", TASKS)
def test_the_metrics_shown_fit_the_task_and_differ_from_the_default(task):
    shown = [metric.name for metric in shown_metrics(task)]
    assert all(find_metric(name, task) for name in shown)
    assert default_metric(task).name not in shown


def test_a_metric_of_another_task_is_refused_with_those_that_fit():
    with pytest.raises(OptionError, match=r"binary target, got 'mae'\. Pass one of: log-loss, brier, auc"):
        find_metric("mae", "binary")


def test_keras_names_mean_metrics_of_the_table_that_keras_knows_too():
    for name, ours in KERAS_NAMES.items():
        assert metric_meant(name).name == metric_meant(name.upper()).name == ours
        assert name not in {metric.name for metric in METRICS}
    assert metric_meant("mean_absolute_percentage_error") is None


@pytest.mark.parametrize("name", ["mean_absolute_error", "mean_squared_error", "root_mean_squared_error"])
def test_keras_names_are_found_for_their_task_alone(name):
    assert find_metric(name, "regression").name == KERAS_NAMES[name]
    with pytest.raises(OptionError, match="fits a binary target"):
        find_metric(name, "binary")
