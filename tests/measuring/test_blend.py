"""A blend is the mean of what the networks say and of what others say that saw the same rows."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV

from caviar.data.load import load
from caviar.data.prepare import PreparationPlan
from caviar.data.split import make_splits
from caviar.evaluate.metrics import find_metric
from caviar.evaluate.simple import RIDGE_PENALTIES
from caviar.improving.finish import finish
from caviar.measuring.measure import Bench, measure, measure_all
from caviar.measuring.whole import fit_all
from caviar.model.finished import finished_model, load_finished
from caviar.population import devices
from caviar.population.job import Monitor
from caviar.population.staged import train_staged
from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable
from caviar.remedies.table import REMEDIES
from caviar.run.folder import MODEL, make_run_folder
from caviar.run.record import Record

devices.start()
import keras  # noqa: E402 - only once JAX is its backend

ROWS = 120
SCALED = PreparationPlan(scaling="standard", scale_target=True)


def network(n_inputs: int, n_outputs: int) -> keras.Model:
    last = keras.layers.Dense(n_outputs, "softmax" if n_outputs > 2 else None)
    if n_outputs == 2:
        last = keras.layers.Dense(1, "sigmoid")
    model = keras.Sequential([keras.Input((n_inputs,)), keras.layers.Dense(4, "tanh"), last])
    losses = {1: "mse", 2: "binary_crossentropy"}
    model.compile(keras.optimizers.SGD(0.1), losses.get(n_outputs, "sparse_categorical_crossentropy"))
    return model


def rows(classes: int, weighted: bool = False, n: int = ROWS):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(n, 3)) * [1, 5, 20]
    score = x[:, 0] + x[:, 1] / 5 + 0.3 * rng.normal(size=n)
    y = 100 * score
    if classes:
        y = np.digitize(score, np.quantile(score, np.arange(1, classes) / classes)).astype(int)
    columns = np.column_stack([x, np.arange(1, n + 1)]) if weighted else x
    return load((columns, y), weight=3 if weighted else None, task=None if classes else "regression")


def recipe_of(dataset, **fields) -> Recipe:
    # A softmax needs as many outputs as there are classes, a sigmoid one.
    width = dataset.n_outputs if dataset.n_outputs != 1 or not dataset.is_classification else 2
    return Recipe("baseline", "Baseline", lambda n_inputs: network(n_inputs, width), 16, 4, SCALED, **fields)


def bench_of(dataset, folds: int = 3) -> Bench:
    name = "log-loss" if dataset.is_classification else "rmse"
    return Bench(dataset, make_splits(dataset, folds, 1, 0), find_metric(name, dataset.task), (), 0)


def remedy(name: str):
    return next(one for one in REMEDIES if one.name == name)


def by_hand(others, dataset, x, train):
    """What scikit-learn says of all rows, fitted on some (other, row, class or output)."""
    said = []
    weight = None if dataset.weight is None else dataset.weight[train]
    for name in others:
        if dataset.is_classification:
            model = (
                LogisticRegression(max_iter=1000) if name == "linear" else HistGradientBoostingClassifier()
            )
            said.append(model.fit(x[train], dataset.target[train], weight).predict_proba(x))
        else:
            model = RidgeCV(RIDGE_PENALTIES) if name == "linear" else HistGradientBoostingRegressor()
            said.append(model.fit(x[train], dataset.target[train, 0], weight).predict(x)[:, None])
    return said


@pytest.mark.parametrize("classes", [0, 2, 3])
@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("blend-linear", ["linear"]),
        ("blend-trees", ["boosting"]),
        ("blend-both", ["linear", "boosting"]),
    ],
)
def test_held_out_rows_are_predicted_by_the_mean_of_all_that_saw_the_others(classes, name, others):
    dataset = rows(classes, weighted=classes == 2)
    bench, recipe = bench_of(dataset), recipe_of(dataset)
    alone = measure(bench, recipe, ask_fit=True)
    arm = measure(bench, remedy(name).apply(recipe), ask_fit=True)
    x = bench.inputs(SCALED)
    for i, split in enumerate(bench.splits):
        others_said = [said[split.held_out] for said in by_hand(others, dataset, x[i], split.train)]
        expected = np.mean([alone.oof[0, split.held_out], *others_said], axis=0)
        np.testing.assert_allclose(arm.oof[0, split.held_out], expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(arm.oof, alone.oof)
    assert (arm.fit_scores != alone.fit_scores).all()  # training rows are scored as the blend predicts them


def test_blends_of_the_same_networks_are_trained_once(monkeypatch):
    dataset = rows(3)
    bench, recipe = bench_of(dataset), recipe_of(dataset)
    names = ("blend-linear", "blend-trees", "blend-both")
    recipes = [*(remedy(name).apply(recipe) for name in names), replace(recipe, epochs=3)]
    alone = [measure(bench, one) for one in recipes]
    asked = []

    def counted(stages, *others):
        asked.append(len(stages))
        return train_staged(stages, *others)

    monkeypatch.setattr("caviar.measuring.measure.train_staged", counted)
    together = measure_all(bench, recipes, what=[""] * 4, sources=[""] * 4)
    assert asked == [2]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one.oof, other.oof, atol=1e-6)
        assert one.record.name == other.record.name


def test_the_parts_of_an_ensemble_count_as_one():
    dataset = rows(2)
    bench, recipe = bench_of(dataset), replace(recipe_of(dataset), ensemble=3)
    alone, arm = measure(bench, recipe), measure(bench, remedy("blend-trees").apply(recipe))
    x = bench.inputs(SCALED)
    for i, split in enumerate(bench.splits):
        trees = by_hand(["boosting"], dataset, x[i], split.train)[0][split.held_out]
        expected = (alone.oof[0, split.held_out] + trees) / 2
        np.testing.assert_allclose(arm.oof[0, split.held_out], expected, atol=1e-5)


@pytest.mark.parametrize("classes", [0, 3])
def test_the_finished_model_predicts_the_mean_of_its_networks_and_of_the_others(classes):
    dataset = rows(classes)
    recipe = remedy("blend-both").apply(replace(recipe_of(dataset), ensemble=2))
    whole = fit_all(dataset, recipe, 0)
    finished = finished_model(whole, dataset.schema)
    networks = replace(finished, beside=()).predict_features(dataset.features)
    x = whole.prepared.inputs(dataset.features)
    others = by_hand(["linear", "boosting"], dataset, x, np.arange(ROWS))
    expected = np.mean([networks, *others], axis=0)
    np.testing.assert_allclose(finished.predict_features(dataset.features), expected, rtol=1e-4, atol=1e-5)


def test_it_is_blended_once_and_not_where_classes_count_differently():
    recipe = recipe_of(rows(2))
    for name in ("blend-linear", "blend-trees", "blend-both"):
        with pytest.raises(NotApplicable, match="already averaged"):
            remedy(name).apply(remedy("blend-linear").apply(recipe))
        with pytest.raises(NotApplicable, match="count differently"):
            remedy(name).apply(replace(recipe, class_weights=True))


def test_a_run_hands_over_the_networks_and_what_predicts_beside_them(tmp_path):
    dataset = rows(3)
    recipe = remedy("blend-both").apply(replace(recipe_of(dataset), ensemble=2))
    record = Record(baseline=measure(bench_of(dataset), recipe).record)
    model, final = finish(make_run_folder("rows", tmp_path / "run"), record, dataset, recipe, 0, Monitor())
    assert (
        "gave 2 networks whose predictions are averaged; together they count as much as a linear model and as boosted "
        "trees beside them, trained on all 120 rows" in final.sentence
    )
    assert {"model/beside.skops", "model/network-1.keras"} <= set(final.files)
    again = load_finished(tmp_path / "run" / MODEL)
    said = again.predict_features(dataset.features)
    np.testing.assert_allclose(said, model.predict_features(dataset.features), atol=1e-6)
    assert not np.allclose(said, replace(again, beside=()).predict_features(dataset.features))
