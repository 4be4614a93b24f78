"""Snapshots of one training predict together what Keras' `fit` gives that is looked at when each is taken."""

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from caviar.data.dataset import Dataset
from caviar.data.load import load
from caviar.data.prepare import PreparationPlan
from caviar.data.split import make_splits
from caviar.evaluate.metrics import find_metric
from caviar.improving.finish import finish
from caviar.measuring.measure import Bench, measure, measure_all, seats_for, try_building
from caviar.measuring.whole import fit_all
from caviar.model.finished import load_finished
from caviar.population import devices
from caviar.population.job import Enough, Monitor
from caviar.population.keep import Keep
from caviar.recipe.heads import link_of, predictions
from caviar.recipe.recipe import Recipe, Stage
from caviar.remedies.contract import NotApplicable
from caviar.remedies.table import REMEDIES
from caviar.run.folder import MODEL, make_run_folder
from caviar.run.record import Record
from caviar.training.fitting import make_fitting

devices.start()
import keras  # noqa: E402 - only once JAX is its backend

L = keras.layers
ROWS, RATE, CYCLE = 48, 0.05, 4


def of_probabilities(n_inputs: int) -> keras.Model:
    layers = [L.Dense(4, "tanh"), L.BatchNormalization(), L.Dropout(0.2), L.Dense(1, "sigmoid")]
    model = keras.Sequential([keras.Input((n_inputs,)), *layers])
    model.compile(keras.optimizers.Adam(RATE), "binary_crossentropy")
    return model


def of_logits(n_inputs: int) -> keras.Model:
    model = keras.Sequential([keras.Input((n_inputs,)), L.Dense(4, "tanh"), L.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(RATE, momentum=0.9), loss)
    return model


def of_quantities(n_inputs: int) -> keras.Model:
    model = keras.Sequential([keras.Input((n_inputs,)), L.Dense(4, "tanh"), L.Dense(1)])
    model.compile(keras.optimizers.Adam(RATE), "mse")
    return model


def recipe_of(builder=of_probabilities, epochs=5 * CYCLE, **fields) -> Recipe:
    return Recipe("baseline", "Baseline", builder, 8, epochs, PreparationPlan(), **fields)


def treated(name: str, recipe: Recipe) -> Recipe:
    return next(r for r in REMEDIES if r.name == name).apply(recipe)


def planted(builder=of_probabilities) -> Dataset:
    """Rows whose two inputs decide about two classes, three classes or a quantity."""
    x = np.random.default_rng(0).normal(size=(ROWS, 2))
    target = {
        of_probabilities: np.where(x.sum(axis=1) > 0, "yes", "no"),
        of_logits: np.array(["a", "b", "c"])[np.digitize(x.sum(axis=1), [-0.5, 0.5])],
        of_quantities: x.sum(axis=1),
    }[builder]
    return load(pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": target}), "y")


def bench_of(dataset: Dataset) -> Bench:
    name = "log-loss" if dataset.is_classification else "mae"
    return Bench(dataset, make_splits(dataset, 2, 1, 0), find_metric(name, dataset.task), (), 0)


class Taken(keras.callbacks.Callback):
    """What a network says of some rows at the end of each cycle."""

    def __init__(self, x: np.ndarray) -> None:
        super().__init__()
        self.x, self.said = x, []

    def on_epoch_end(self, epoch, logs=None):  # noqa: ARG002 - Keras' signature
        if (epoch + 1) % CYCLE == 0:
            self.said.append(self.model.predict(self.x, verbose=0))


def by_hand(bench: Bench, recipe: Recipe, y: np.ndarray) -> np.ndarray:
    """Out-of-fold predictions of the mean of the networks at the ends of cycles, by a loop of Keras' `fit`."""
    x = bench.inputs(recipe.preparation)[0]
    said = np.full((ROWS, max(2, len(bench.dataset.schema.classes))), np.nan)
    for i, split in enumerate(bench.splits):
        keras.utils.set_random_seed(bench.seed_of(i, 0))
        model = recipe.builder(2)
        schedule = keras.callbacks.LearningRateScheduler(
            lambda epoch: RATE * (0.01 + 0.99 * (1 + math.cos(math.pi * (epoch % CYCLE) / CYCLE)) / 2)
        )
        taken = Taken(x[split.held_out])
        model.fit(*(x[split.train], y[split.train], 8, 5 * CYCLE), verbose=0, callbacks=[schedule, taken])
        assert len(taken.said) == 5
        link = link_of(model, bench.dataset.task, model.output_shape[1])
        means = np.mean([predictions(outputs, link) for outputs in taken.said], axis=0)
        said[split.held_out, : means.shape[1]] = means
    return said[:, : means.shape[1]]


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((1, 2), [(0, 1, 1), (1, 2, 2), (2, 3, 8)]),
        ((0,), [(0, 3, 8)]),
        ((2, 2), [(0, 2, 1), (2, 3, 8)]),
        ((1, 3), [(0, 1, 1), (1, 3, 2)]),
        ((4,), [(0, 4, 1)]),
    ],
)
def test_a_stage_without_an_epoch_is_none(ends, expected):
    """Not even the last one, whose batches have 8 rows and which ends with the third epoch."""
    stages = tuple(Stage(replace(recipe_of(), batch_size=1 + i, epochs=9), end) for i, end in enumerate(ends))
    recipe, bench = recipe_of(epochs=3, stages=stages), bench_of(planted())
    seats, places = seats_for(bench, recipe, [1, 1])
    inputs, prepared = bench.inputs(recipe.preparation), bench.prepared(recipe.preparation)
    fitting = make_fitting(recipe, bench.dataset, inputs, prepared, seats, places, ask_fit=True, show=False)
    jobs = fitting.stages
    assert [(job.initial_epoch, job.epochs, job.batch_size) for job in jobs] == expected
    assert [job.ask for job in jobs] == [False] * (len(jobs) - 1) + [True]


@pytest.mark.thorough
@pytest.mark.parametrize("builder", [of_probabilities, of_logits, of_quantities])
def test_snapshots_say_what_a_loop_of_fit_says_on_average_at_the_ends_of_its_cycles(builder):
    """Rows that were held out; logits count as the probabilities that they stand for."""
    dataset = planted(builder)
    bench = bench_of(dataset)
    y = dataset.target if builder is not of_probabilities else dataset.target.astype(np.float32)[:, None]
    arm = measure(bench, treated("snapshots-5", recipe_of(builder)))
    assert arm.record.engine == "population"
    np.testing.assert_allclose(arm.oof[0], by_hand(bench, recipe_of(builder), y), rtol=2e-3, atol=2e-4)
    assert arm.history.sizes["epoch"] == 5 * CYCLE


@pytest.mark.thorough
@pytest.mark.parametrize("builder", [of_probabilities, of_logits])
def test_the_finished_model_is_one_keras_model_that_says_the_mean_of_its_snapshots(builder, tmp_path):
    dataset = planted(builder)
    recipe = replace(treated("snapshots-5", recipe_of(builder)), ensemble=2)
    whole = fit_all(dataset, recipe, 0)
    prepared, fitting, trained, models = whole.prepared, whole.fitting, whole.trained, whole.models
    assert len(models) == 2  # one for each seed
    x = prepared.inputs(dataset.features)
    for i, model in enumerate(models):
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
        parts = [layer for layer in loaded.layers if layer.name.startswith("snapshot_")]
        said = [predictions(part.predict(x, verbose=0), fitting.link) for part in parts]
        assert len(said) == 5
        assert len({values.tobytes() for values in said}) == 5
        whole = predictions(loaded.predict(x, verbose=0), fitting.link)
        np.testing.assert_allclose(whole, np.mean(said, axis=0), atol=1e-6)
        np.testing.assert_allclose(
            whole, fitting.predictions(fitting.outputs(trained)[i]), rtol=1e-4, atol=1e-6
        )


@pytest.mark.thorough
def test_snapshots_train_beside_recipes_without_and_are_looked_into_all_along():
    """Probes of every cycle; what is beside it stays as it is alone."""
    bench = bench_of(planted())
    plain, snapshots = recipe_of(), treated("snapshots-5", recipe_of())
    one, two = measure_all(bench, [plain, snapshots], what=["", ""], sources=["", ""])
    np.testing.assert_allclose(one.oof, measure(bench, plain).oof, atol=1e-6)
    assert one.steps == two.steps
    probed = measure(bench, snapshots, probe=True)
    np.testing.assert_allclose(probed.oof, two.oof, atol=1e-3)
    assert probed.probes["epoch"].values[0] == 1
    assert probed.probes["epoch"].values[-1] > 4 * CYCLE
    assert probed.probes["loss_spikes"].dims == ("member",)


@pytest.mark.thorough
def test_a_run_hands_over_the_mean_of_the_snapshots_as_one_network(tmp_path):
    dataset = planted()
    recipe = treated("snapshots-5", recipe_of())
    record = Record(baseline=measure(bench_of(dataset), recipe).record)
    model, final = finish(make_run_folder("rows", tmp_path / "run"), record, dataset, recipe, 0, Monitor())
    assert final.members == 1
    assert "gave one network, the mean of 5 snapshots of it, trained on all 48 rows" in final.sentence
    again = load_finished(tmp_path / "run" / MODEL)
    said = again.predict_features(dataset.features)
    np.testing.assert_array_equal(said, model.predict_features(dataset.features))
    alone = keras.models.load_model(tmp_path / "run" / MODEL / "network.keras", safe_mode=True)
    x = again.prepared.inputs(dataset.features)
    np.testing.assert_allclose(alone.predict(x, verbose=0)[:, 0], said[:, 1], atol=1e-6)


class Counting(Monitor):
    """Counts gradient steps, and has enough after some."""

    def __init__(self, most: float = math.inf) -> None:
        self.done, self.most = 0, most

    def advance(self, steps: int) -> None:
        self.done += steps
        if self.done > self.most:
            raise Enough


@pytest.mark.thorough
def test_snapshots_that_were_taken_are_not_trained_again(tmp_path):
    bench, recipe = bench_of(planted()), treated("snapshots-5", recipe_of())
    first, again = Counting(), Counting()
    one, two = (measure(bench, recipe, monitor=m, keep=Keep(tmp_path)) for m in (first, again))
    assert (first.done, again.done) == (one.steps, 0)
    np.testing.assert_array_equal(one.oof, two.oof)


@pytest.mark.thorough
def test_a_training_that_ends_early_has_the_snapshots_it_came_to():
    """Two folds of three steps an epoch: more than those of two cycles end within the third."""
    bench, recipe = bench_of(planted()), treated("snapshots-5", recipe_of())
    arm = measure(bench, recipe, monitor=Counting(2 * 3 * 2 * CYCLE))
    assert 2 * CYCLE < arm.recipe.epochs <= 3 * CYCLE
    assert arm.history.sizes["epoch"] == arm.recipe.epochs
    two_cycles = measure(bench, replace(recipe, epochs=2 * CYCLE))
    assert not np.allclose(arm.oof, two_cycles.oof, atol=1e-4)


@pytest.mark.parametrize("name", ["early-stopping", "weight-averaging"])
@pytest.mark.parametrize("first", [True, False])
def test_what_a_training_in_parts_would_undo_is_refused_in_either_order(name, first):
    names = ["snapshots-5", name] if first else [name, "snapshots-5"]
    recipe = recipe_of(n_rows=ROWS)
    for one in names:
        recipe = treated(one, recipe)
    with pytest.raises(NotApplicable, match="each snapshot begins another part of the training"):
        try_building(bench_of(planted()), recipe)
