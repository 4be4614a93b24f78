"""Networks that were trained before are not trained again, and what is made of them is the same."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from sklearn.datasets import make_classification

from caviar.data.dataset import Dataset
from caviar.data.load import load
from caviar.data.prepare import PreparationPlan
from caviar.data.split import make_splits
from caviar.evaluate.metrics import find_metric
from caviar.measuring.measure import Arm, Bench, measure, measure_all
from caviar.population import devices
from caviar.population.staged import train_staged
from caviar.recipe.recipe import Recipe
from caviar.remedies.table import REMEDIES

devices.start()
import keras  # noqa: E402 - only once JAX is its backend

L = keras.layers
ROWS, FOLDS, REPEATS, FIRST_SEEDS, SEEDS = 60, 3, 2, 3, 2


def builder(n_inputs: int) -> keras.Model:
    layers = [L.Dense(6, "tanh"), L.Dropout(0.2), L.Dense(1, "sigmoid")]
    model = keras.Sequential([keras.Input((n_inputs,)), *layers])
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy")
    return model


def rows() -> Dataset:
    return load(make_classification(ROWS, 4, flip_y=0.2, random_state=1))


def bench_of(dataset: Dataset, metric: str = "accuracy") -> Bench:
    splits = make_splits(dataset, FOLDS, REPEATS, 0)
    shown = (find_metric("log-loss", dataset.task),)
    return Bench(dataset, splits, find_metric(metric, dataset.task), shown, 0)


def recipe_of(**fields) -> Recipe:
    return Recipe("baseline", "Baseline", builder, 16, 4, PreparationPlan(), task="binary", **fields)


def treated(names: str, recipe: Recipe) -> Recipe:
    for name in names.split("+"):
        recipe = next(one for one in REMEDIES if one.name == name).apply(recipe)
    return replace(recipe, name=names)


@pytest.fixture(scope="module")
def measured() -> tuple[Bench, Arm]:
    bench = bench_of(rows())
    return bench, measure(
        bench, recipe_of(), first_repeat_seeds=FIRST_SEEDS, seeds=SEEDS, ask_fit=True, probe=True
    )


@pytest.fixture
def trained(monkeypatch) -> list[list[tuple[int, int]]]:
    """Members that were trained, by recipe: repeat and fold of each."""
    seen = []

    def counted(trainings, *others):
        seen.extend([(seat.repeat, seat.fold) for seat in stages[0].seats] for stages in trainings)
        return train_staged(trainings, *others)

    monkeypatch.setattr("caviar.measuring.measure.train_staged", counted)
    return seen


def measured_all(bench: Bench, recipes, known: Arm | None, **options) -> list[Arm]:
    nothing = [""] * len(recipes)
    return measure_all(
        bench, recipes, seeds=SEEDS, ask_fit=True, what=nothing, sources=nothing, known=known, **options
    )


def assert_same(one: Arm, other: Arm) -> None:
    for name in one.scores:
        np.testing.assert_allclose(one.scores[name], other.scores[name], atol=1e-6)
    for name in ("each", "fit_scores", "oof", "failed", "one_class"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-6, err_msg=name)
    xr.testing.assert_allclose(one.history, other.history, atol=1e-6)
    unlike = {"seconds"}
    assert one.record.model_dump(exclude=unlike | {"scores"}) == other.record.model_dump(
        exclude=unlike | {"scores"}
    )
    assert one.recipe == other.recipe


PARTS = {
    "whole": lambda bench: bench,
    "first repeat": lambda bench: bench.of_repeats(0, 1),
    "second repeat": lambda bench: bench.of_repeats(1, 2),
    "last folds": lambda bench: bench.of_folds(1, 3),
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", ["ensemble-5", "blend-linear", "tuned-threshold", "blend-linear+ensemble-5"])
def test_what_is_made_of_known_networks_is_what_training_them_again_gives(measured, trained, name, part):
    bench, baseline = measured
    bench, recipe = PARTS[part](bench), treated(name, baseline.recipe)
    (again,) = measured_all(bench, [recipe], None)
    trained.clear()
    (arm,) = measured_all(bench, [recipe], baseline)
    assert_same(arm, again)
    assert arm.steps == again.steps
    assert bool(trained) == ("ensemble" in name)


def test_only_members_that_nobody_has_trained_are_trained(measured, trained):
    """Of five members a split, three are known in the first repeat and two in the second."""
    bench, baseline = measured
    measured_all(bench, [treated("ensemble-5", baseline.recipe)], baseline)
    left = {0: 5 - FIRST_SEEDS, 1: 5 - SEEDS}
    (members,) = trained
    assert sorted(members) == sorted((r, f) for r, n in left.items() for f in range(FOLDS) for _ in range(n))
    trained.clear()
    (arm,) = measured_all(bench.of_repeats(0, 1), [replace(baseline.recipe, ensemble=FIRST_SEEDS)], baseline)
    assert not trained
    assert arm.record.members == FOLDS * FIRST_SEEDS
    share = FOLDS * FIRST_SEEDS / (FOLDS * (FIRST_SEEDS + SEEDS))
    assert arm.seconds == pytest.approx(share * baseline.seconds)  # what training them took before


@pytest.mark.parametrize(
    "name", ["bagging-10", "balanced-classes", "mixup", "longer", "snapshots-5", "smaller-batches"]
)
def test_what_trains_otherwise_is_trained(measured, trained, name):
    bench, baseline = measured
    measured_all(
        bench,
        [treated(name, replace(baseline.recipe, epochs=20))],
        replace(baseline, recipe=replace(baseline.recipe, epochs=20)),
    )
    most = {"bagging-10": 10}.get(name, SEEDS)
    assert [len(members) for members in trained] == [most * FOLDS * REPEATS]


def test_what_was_not_asked_of_known_networks_is_asked_by_training_them_again(measured, trained):
    bench, _ = measured
    unasked = measure(bench, recipe_of(), first_repeat_seeds=FIRST_SEEDS, seeds=SEEDS, show=False)
    trained.clear()
    recipe = treated("blend-linear", unasked.recipe)
    (arm,) = measured_all(bench, [recipe], unasked, show=False)
    assert [len(members) for members in trained] == [
        FOLDS * REPEATS
    ]  # the first of each split: for its training rows
    assert arm.fit_scores is not None
    trained.clear()
    (arm,) = measured_all(bench, [recipe], unasked, show=True)
    assert [len(members) for members in trained] == [SEEDS * FOLDS * REPEATS]
    assert "held_out_loss" in arm.history


def with_metrics(n_inputs: int) -> keras.Model:
    model = builder(n_inputs)
    model.compile("adam", "binary_crossentropy", metrics=[keras.metrics.AUC(), keras.metrics.AUC(curve="PR")])
    return model


def test_curves_of_metrics_that_keras_numbers_anew_are_whole():
    bench = bench_of(rows())
    baseline = measure(bench, replace(recipe_of(), builder=with_metrics), seeds=SEEDS)
    recipe = treated("ensemble-5", baseline.recipe)
    (ours,), (again,) = (measured_all(bench, [recipe], known) for known in (baseline, None))
    assert list(ours.history) == list(baseline.history)
    for name, theirs in zip(ours.history, again.history, strict=True):
        np.testing.assert_allclose(ours.history[name], again.history[theirs], atol=1e-6, err_msg=name)
    assert ours.history.attrs["seconds"] == pytest.approx(ours.seconds)


def test_networks_of_other_folds_are_not_taken_for_known(measured, trained):
    bench, baseline = measured
    other = replace(bench, splits=make_splits(bench.dataset, FOLDS, REPEATS, 1))
    recipe = treated("blend-linear", baseline.recipe)
    (again,) = measured_all(other, [recipe], None)
    trained.clear()
    (ours,) = measured_all(other, [recipe], baseline)
    assert len(trained[0]) == len(other.splits) * SEEDS
    np.testing.assert_allclose(ours.oof, again.oof, atol=1e-6)
