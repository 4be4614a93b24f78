"""Do reference rows learn from training rows only, and respect weights and time?"""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.model_selection import KFold

from caviar.evaluate.metrics import METRICS, default_metric, find_metric, shown_metrics
from caviar.evaluate.reference import REFERENCES, no_skill_scores, score_references


def table(target, *, classes=(), weight=None):
    return SimpleNamespace(
        target=target,
        weight=weight,
        is_classification=bool(classes),
        schema=SimpleNamespace(classes=classes),
    )


def split(train, held_out, repeat=0, fold=0):
    return SimpleNamespace(repeat=repeat, fold=fold, train=np.asarray(train), held_out=np.asarray(held_out))


def five_folds(n_rows):
    folds = KFold(5, shuffle=True, random_state=0).split(np.zeros(n_rows))
    return [split(train, held_out, fold=fold) for fold, (train, held_out) in enumerate(folds)]


def test_no_skill_is_fitted_on_training_rows_only():
    """Three of four training rows are class 0; both held-out rows are class 1."""
    data = table(np.array([0, 0, 0, 1, 1, 1]), classes=("a", "b"))
    scores = no_skill_scores(data, [find_metric("log-loss", "binary")], [split([0, 1, 2, 3], [4, 5])])
    assert scores["log-loss"] == pytest.approx(-np.log(0.25))


def test_no_skill_respects_weights():
    data = table(np.array([0, 1, 1, 0]), classes=("a", "b"), weight=np.array([3.0, 1.0, 1.0, 0.0]))
    scores = no_skill_scores(data, [find_metric("log-loss", "binary")], [split([0, 1], [2, 3])])
    assert scores["log-loss"] == pytest.approx(-np.log(0.25))


def test_no_skill_is_the_median_for_absolute_errors_and_the_mean_for_squared_ones():
    data = table(np.array([[0.0], [0.0], [0.0], [10.0], [1.0]]))
    metrics = [find_metric("mae", "regression"), find_metric("mse", "regression")]
    scores = no_skill_scores(data, metrics, [split([0, 1, 2, 3], [4])])
    assert scores == pytest.approx({"mae": 1.0, "mse": 1.5**2})


def test_without_folds_no_skill_is_the_best_constant():
    data = table(np.array([[1.0], [2.0], [6.0]]))
    assert no_skill_scores(data, [find_metric("mae", "regression")])["mae"] == pytest.approx(5 / 3)


def test_a_class_that_the_training_rows_lack_gets_a_column():
    data = table(np.array([0, 1, 0, 1, 2]), classes=("a", "b", "c"))
    inputs = np.array([[0.0], [1.0], [0.1], [0.9], [2.0]], np.float32)
    metrics = [find_metric("log-loss", "multiclass")]
    scores = score_references(data, [split([0, 1, 2, 3], [4])], metrics, lambda _: inputs)
    for reference in REFERENCES:
        assert scores[reference.name]["log-loss"][0, 0] == pytest.approx(-np.log(1e-7))


def test_training_rows_of_one_class_give_a_certain_prediction_and_no_error():
    data = table(np.array([0, 0, 0, 0, 1]), classes=("a", "b"))
    scores = score_references(
        data,
        [split([0, 1, 2, 3], [4])],
        [find_metric("accuracy", "binary")],
        lambda _: np.arange(5, dtype=np.float32)[:, None],
    )
    assert {name: score["accuracy"].item() for name, score in scores.items()} == {
        "no-skill": 0.0,
        "linear": 0.0,
        "boosting": 0.0,
    }


def test_each_row_finds_the_signal_made_for_it():
    """A straight line is the linear model's, a step on one input the trees'; no-skill finds neither."""
    inputs = np.random.default_rng(0).uniform(-1, 1, (300, 2)).astype(np.float32)
    line, step = inputs[:, :1] + inputs[:, 1:], np.sign(inputs[:, :1] * inputs[:, 1:])
    data = table(np.concatenate([line, step], axis=1).astype(float))
    metrics = [find_metric("r2", "multi-output regression")]
    for column, best, other in ((0, "linear", "no-skill"), (1, "boosting", "linear")):
        one = table(data.target[:, [column]])
        scores = score_references(one, five_folds(300)[:2], metrics, lambda _: inputs)
        means = {name: np.nanmean(score["r2"]) for name, score in scores.items()}
        assert means[best] > 0.7
        assert means[other] < means[best] - 0.1
    both = score_references(data, five_folds(300)[:1], metrics, lambda _: inputs)
    assert both["boosting"]["r2"][0, 0] > 0.7


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression", "multi-output regression"])
def test_every_row_has_a_score_in_every_metric_of_every_task(task):
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(60, 3)).astype(np.float32)
    if task in {"binary", "multiclass"}:
        classes = ("a", "b", "c")[: 2 if task == "binary" else 3]
        data = table(np.arange(60) % len(classes), classes=classes, weight=rng.uniform(1, 2, 60))
    else:
        data = table(rng.normal(size=(60, 1 if task == "regression" else 2)), weight=rng.uniform(1, 2, 60))
    metrics = [metric for metric in METRICS if task in metric.tasks]
    assert {default_metric(task), *shown_metrics(task)} <= set(metrics)
    scores = score_references(data, five_folds(60)[:1], metrics, lambda _: inputs)
    for reference in REFERENCES:
        for metric in metrics:
            assert np.isfinite(scores[reference.name][metric.name][0, 0])


def test_inputs_are_those_prepared_for_the_fold():
    """Only fold 1's inputs carry the target, so only fold 1 can be predicted."""
    target = np.arange(60) % 2
    useless = np.zeros((60, 1), np.float32)
    useful = target[:, None].astype(np.float32)
    scores = score_references(
        table(target, classes=("a", "b")),
        five_folds(60)[:2],
        [find_metric("auc", "binary")],
        lambda split: useful if split.fold == 1 else useless,
    )
    assert scores["linear"]["auc"].tolist() == [[0.5, 1.0]]


def test_a_deadline_that_has_passed_leaves_the_first_fold_of_every_row():
    data = table(np.arange(60) % 2, classes=("a", "b"))
    seen = []
    scores = score_references(
        data,
        five_folds(60),
        [find_metric("accuracy", "binary")],
        lambda _: np.zeros((60, 1), np.float32),
        deadline=time.monotonic() - 1,
        progress=lambda done, total: seen.append((done, total)),
    )
    for reference in REFERENCES:
        assert np.isfinite(scores[reference.name]["accuracy"]).tolist() == [[True] + [False] * 4]
    assert seen == [(1, 15), (2, 15), (3, 15)]
