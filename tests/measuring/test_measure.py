"""A recipe is scored on rows that taught it nothing, by members that are paired, weighted and counted."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from caviar.data.dataset import Dataset
from caviar.data.load import load
from caviar.data.prepare import PreparationPlan
from caviar.data.split import make_splits
from caviar.errors import ModelError
from caviar.evaluate.metrics import find_metric
from caviar.evaluate.threshold import moved
from caviar.measuring.measure import (
    Arm,
    Bench,
    Part,
    measure,
    measure_all,
    measure_in_turn,
    seats_for,
    try_building,
)
from caviar.measuring.whole import fit_all
from caviar.population import devices
from caviar.population.job import Trained
from caviar.population.template import build_alone
from caviar.population.train import train
from caviar.recipe.recipe import Recipe, Stage
from caviar.remedies.contract import NotApplicable
from caviar.remedies.table import REMEDIES
from caviar.training.fitting import make_fitting

devices.start()
import keras  # noqa: E402 - only once JAX is its backend

L = keras.layers
ROWS = 48


def classifier(rate: float = 0.5):
    def build(n_inputs: int) -> keras.Model:
        model = keras.Sequential([keras.Input((n_inputs,)), L.Dense(4, "tanh"), L.Dense(1, "sigmoid")])
        model.compile(keras.optimizers.SGD(rate), "binary_crossentropy")
        return model

    return build


def regressor(n_inputs: int) -> keras.Model:
    model = keras.Sequential([keras.Input((n_inputs,)), L.Dense(4, "tanh"), L.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


def recipe_of(builder=None, epochs=3, **fields) -> Recipe:
    fields.setdefault("preparation", PreparationPlan())
    return Recipe("baseline", "Baseline", builder or classifier(), 8, epochs, **fields)


def treated(name: str, recipe: Recipe) -> Recipe:
    return next(r for r in REMEDIES if r.name == name).apply(recipe)


def planted(target=None, columns=None, **options) -> Dataset:
    """Rows of two inputs whose sum decides the label, with columns of other roles beside them."""
    x = np.random.default_rng(0).normal(size=(ROWS, 2))
    y = np.where(x.sum(axis=1) > 0, "yes", "no") if target is None else target
    return load(pl.DataFrame({"a": x[:, 0], "b": x[:, 1], **(columns or {}), "y": y}), "y", **options)


def bench_of(dataset: Dataset, folds=2, repeats=1, metric=None, splits=None) -> Bench:
    name = metric or ("log-loss" if dataset.is_classification else "mae")
    splits = make_splits(dataset, folds, repeats, 0) if splits is None else splits
    return Bench(dataset, splits, find_metric(name, dataset.task), (), 0)


def trained_on(bench: Bench, recipe: Recipe) -> Trained:
    """What training gives on a bench, with the members' weights."""
    seats, places = seats_for(bench, recipe, [1] * len(bench.splits))
    inputs, prepared = bench.inputs(recipe.preparation), bench.prepared(recipe.preparation)
    return train(
        make_fitting(recipe, bench.dataset, inputs, prepared, seats, places, ask_fit=False, show=True).job
    )


def test_bagged_members_train_on_rows_that_are_drawn_with_replacement():
    """Each on others, as many as there are, none of them held out; the same in every run."""
    bench, recipe = bench_of(planted()), treated("bagging-10", recipe_of())
    seats, _ = seats_for(bench, recipe, [recipe.ensemble] * len(bench.splits))
    again, _ = seats_for(bench, recipe, [recipe.ensemble] * len(bench.splits))
    assert len(seats) == 10 * len(bench.splits)
    for seat, other in zip(seats, again, strict=True):
        train_rows = bench.splits[seat.split].train
        assert set(seat.fit) <= set(train_rows)
        assert len(seat.fit) == len(train_rows)
        assert 0.4 < len(set(seat.fit)) / len(train_rows) < 0.85  # 1 - 1/e are expected
        np.testing.assert_array_equal(seat.fit, other.fit)
    assert len({tuple(seat.fit) for seat in seats}) == len(seats)


def test_a_bagged_model_is_made_of_networks_that_saw_different_rows():
    """Ten of them; with the same first weights for all, only the rows can tell them apart."""

    def build(n_inputs: int) -> keras.Model:
        model = keras.Sequential(
            [keras.Input((n_inputs,)), L.Dense(1, "sigmoid", kernel_initializer="zeros")]
        )
        model.compile(keras.optimizers.SGD(0.5), "binary_crossentropy")
        return model

    recipe = replace(treated("bagging-10", recipe_of(build)), batch_size=ROWS)
    whole = fit_all(planted(), recipe, 0)
    kernels = {tuple(np.asarray(model.layers[-1].kernel).ravel().round(6)) for model in whole.models}
    assert len(whole.models) == len(kernels) == 10
    assert all(len(seat.fit) == ROWS for seat in whole.fitting.job.seats)


@pytest.mark.parametrize("name", [None, "early-stopping", "plateau-schedule"])
def test_nothing_that_is_scored_is_watched(name):
    """Other labels on the held-out rows change what is shown of them, and no weight, stop or training log."""
    values = np.random.default_rng(1).normal(5, 2, ROWS)
    recipe = recipe_of(regressor, 12, preparation=PreparationPlan(scaling="robust", scale_target=True))
    recipe = recipe if name is None else treated(name, recipe)
    bench = bench_of(planted(values))
    bench = replace(bench, splits=bench.splits[:1])
    held_out = bench.splits[0].held_out
    other = values.copy()
    other[held_out] = 100 - 7 * other[held_out]
    one, two = trained_on(bench, recipe), trained_on(bench_of(planted(other), splits=bench.splits), recipe)
    assert ("val_loss" in one.history) == recipe.watches
    for log in one.history:
        same = np.array_equal(one.history[log].values, two.history[log].values, equal_nan=True)
        assert same != str(log).startswith("held_out"), log
    for mine, theirs in zip(one.states[0], two.states[0], strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))
    np.testing.assert_array_equal(one.outputs[0], two.outputs[0])


def test_a_group_is_never_on_two_sides():
    dataset = planted(columns={"who": np.arange(ROWS) // 3}, group="who")
    seats, _ = seats_for(bench_of(dataset, folds=4), treated("early-stopping", recipe_of()), [1] * 4)
    for seat in seats:
        sides = [set(dataset.groups[rows]) for rows in (seat.fit, seat.watch, seat.scored)]
        assert all(sides)
        assert sum(map(len, sides)) == len(set.union(*sides)) == ROWS // 3


def test_what_is_watched_and_scored_lies_after_what_is_learned():
    dataset = planted(columns={"when": np.random.default_rng(2).permutation(ROWS)}, time="when")
    recipe = treated("early-stopping", recipe_of())
    bench = bench_of(dataset, folds=3)
    seats, _ = seats_for(bench, recipe, [1] * 3)
    for seat in seats:
        fit, watch, scored = (dataset.time[rows] for rows in (seat.fit, seat.watch, seat.scored))
        assert fit.max() < watch.min() <= watch.max() < scored.min()


def test_rows_that_are_never_held_out_have_no_prediction():
    dataset = planted(columns={"when": np.arange(ROWS)}, time="when")
    arm = measure(bench_of(dataset, folds=2), recipe_of())
    assert np.isfinite(arm.scores["log-loss"]).all()
    first = ROWS // 3
    assert np.isnan(arm.oof[0, :first]).all()
    assert np.isfinite(arm.oof[0, first:]).all()
    assert np.isnan(arm.row_losses[:first]).all()


def test_weights_reach_the_loss_and_the_score():
    """Half of the rows lie about their label; where they weigh nothing, the rule is learned and scored clean."""
    truth = np.random.default_rng(0).normal(size=(ROWS, 2)).sum(axis=1) > 0
    lies = np.arange(ROWS) % 2 == 1
    labels = np.where(truth ^ lies, "yes", "no")
    columns = {"w": np.where(lies, 0.0, 2.0)}
    weighted = planted(labels, columns=columns, weight="w")
    plain = planted(labels, columns=columns, drop=["w"])
    splits = make_splits(weighted, 2, 1, 0)
    recipe = recipe_of(classifier(2.0), epochs=30)
    with_weights, without = (
        measure(bench_of(data, metric="accuracy", splits=splits), recipe) for data in (weighted, plain)
    )
    assert with_weights.scores["accuracy"].min() > 0.85
    assert without.scores["accuracy"].max() < 0.75
    # The lies are still predicted, and wrong; they only do not count.
    wrong = with_weights.oof[0].argmax(axis=1) != weighted.target
    assert wrong[lies].mean() > 0.8
    assert wrong[~lies].mean() < 0.1


@pytest.fixture(scope="module")
def measured() -> tuple[Bench, Arm]:
    """Two repeats of two folds, two seeds in the first repeat."""
    bench = bench_of(planted(), repeats=2)
    return bench, measure(
        bench, recipe_of(), first_repeat_seeds=2, ask_fit=True, what="Plain.", source="Nobody."
    )


def test_a_score_is_that_of_the_held_out_predictions(measured):
    bench, arm = measured
    for split in bench.splits:
        said, truth = arm.oof[split.repeat, split.held_out], bench.dataset.target[split.held_out]
        score = bench.metric.score(truth, said, None)
        assert arm.scores["log-loss"][split.repeat, split.fold] == pytest.approx(score)
    assert arm.fit_scores.shape == arm.scores["log-loss"].shape == (2, 2)
    assert arm.row_losses.mean() == pytest.approx(arm.scores["log-loss"].mean())
    np.testing.assert_allclose(arm.seed_scores[:, 0], arm.scores["log-loss"][0])
    assert (arm.seed_scores[:, 0] != arm.seed_scores[:, 1]).all()
    np.testing.assert_array_equal(arm.seed_oof[0], arm.oof[0])


def test_the_record_tells_what_was_done(measured):
    _, arm = measured
    record = arm.record
    assert (record.members, record.failed_members, record.epochs, record.batch_size) == (6, 0, 3, 8)
    assert (record.engine, record.what, record.source) == ("population", "Plain.", "Nobody.")
    assert record.parameters == 2 * 4 + 4 + 4 + 1
    assert arm.steps == 6 * 3 * (ROWS // 2 // 8)
    assert record.repeat_deviation == pytest.approx(arm.scores["log-loss"].mean(axis=1).std(ddof=1))
    assert record.model_validate_json(record.model_dump_json()) == record


def test_recipes_meet_the_same_seeds(measured):
    """Paired: each split's first member has one seed for all recipes, and no two members share one."""
    bench, arm = measured
    other = measure(bench, treated("l2-0.01", recipe_of()))
    mine = arm.history[["repeat", "fold", "seed"]].to_dataframe()
    theirs = other.history[["repeat", "fold", "seed"]].to_dataframe()
    assert len(set(mine["seed"])) == len(mine)
    firsts = mine.groupby(["repeat", "fold"])["seed"].min()
    assert firsts.tolist() == theirs.sort_values(["repeat", "fold"])["seed"].tolist()
    assert (other.scores["log-loss"] != arm.scores["log-loss"]).all()


def test_an_ensemble_says_the_mean_of_what_its_members_say(measured):
    bench, arm = measured
    ensemble = measure(bench, recipe_of(ensemble=2))
    np.testing.assert_allclose(ensemble.oof[0], arm.seed_oof.mean(axis=0), atol=1e-5)
    assert ensemble.record.members == 8
    assert ensemble.seed_scores is None


def test_members_that_fail_are_counted_and_have_no_score():
    """One row is beyond all measure: who trains on it fails, who is only asked about it does not."""
    dataset = planted()
    dataset.features[7, 0] = 1e30
    bench = bench_of(dataset)
    arm = measure(bench, recipe_of(unbounded()))
    trains_on_it = np.array([7 in split.train for split in bench.splits])
    np.testing.assert_array_equal(np.isnan(arm.scores["log-loss"][0]), trains_on_it)
    np.testing.assert_array_equal(arm.failed, trains_on_it)
    assert arm.record.failed_members == 1
    assert arm.record.model_validate_json(arm.record.model_dump_json()).failed_members == 1


def unbounded():
    """A network without a bound on its gradient."""

    def build(n_inputs: int) -> keras.Model:
        model = keras.Sequential([keras.Input((n_inputs,)), L.Dense(1)])
        model.compile(keras.optimizers.SGD(0.1), "mse")
        return model

    return build


class Subclassed(keras.Model):
    """A model of the person's own class, without declared inputs."""

    def __init__(self):
        super().__init__()
        self.hidden, self.last = L.Dense(3, "relu"), L.Dense(1, "sigmoid")

    def call(self, x):
        return self.last(self.hidden(x))


def test_a_model_of_the_persons_own_class_is_measured_too():
    def build():
        model = Subclassed()
        model.compile("adam", "binary_crossentropy")
        return model

    arm = measure(bench_of(planted()), recipe_of(build, epochs=1))
    assert arm.record.engine == "population"
    assert np.isfinite(arm.scores["log-loss"]).all()


def test_predictions_of_a_scaled_target_come_back_in_its_own_units():
    values = np.random.default_rng(3).normal(1e4, 10, ROWS)
    plan = PreparationPlan(scaling="robust", scale_target=True)
    arm = measure(bench_of(planted(values)), recipe_of(regressor, preparation=plan))
    assert arm.scores["mae"].max() < 40


def test_a_preparation_is_fitted_once_for_all_recipes_that_share_it():
    bench = bench_of(planted())
    plan = PreparationPlan(scaling="robust")
    assert bench.inputs(plan) is bench.inputs(PreparationPlan(scaling="robust"))
    assert bench.inputs(plan).shape == (2, ROWS, 2)
    assert bench.inputs(PreparationPlan()).shape == (1, ROWS, 2)
    assert replace(bench, splits=bench.splits[:1]).inputs(plan).shape == (1, ROWS, 2)


def test_the_final_models_are_those_that_were_trained_on_all_rows():
    dataset = planted()
    recipe = treated("early-stopping", recipe_of(ensemble=2))
    whole = fit_all(dataset, recipe, seed=5)
    assert len(whole.models) == 2
    x = whole.prepared.inputs(dataset.features)
    for seat, model, outputs in zip(
        whole.fitting.job.seats, whole.models, whole.trained.outputs, strict=True
    ):
        assert sorted([*seat.fit, *seat.watch]) == list(range(ROWS))
        np.testing.assert_allclose(model.predict(x[seat.fit], verbose=0), outputs, atol=1e-6)
    assert not np.array_equal(*whole.trained.outputs)


def test_a_final_model_that_diverges_is_refused_in_one_sentence():
    dataset = planted()
    dataset.features[7, 0] = 1e30
    with pytest.raises(ModelError, match="diverged"):
        fit_all(dataset, recipe_of(unbounded()), seed=0)


def rare(n: int = 240, **options) -> Dataset:
    """One row in eight is of class yes, and never probable: it only has a larger share where a is large."""
    rng = np.random.default_rng(5)
    a = rng.normal(size=n)
    y = np.where(rng.random(n) < 0.4 * (a > 0.8) + 0.04, "yes", "no")
    return load(pl.DataFrame({"a": a, "b": rng.normal(size=n), "y": y}), "y", **options)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ["balanced-classes", "costly-classes"])
def test_weighted_classes_train_as_fit_does_with_class_weights(name, weighted):
    """Watched rows are not weighted by class, as in `fit`; a row's own weight counts too."""
    dataset = rare()
    own = np.random.default_rng(6).uniform(0.5, 2, dataset.n_rows) if weighted else np.ones(dataset.n_rows)
    dataset = replace(dataset, weight=own if weighted else None)
    bench = bench_of(dataset, folds=3)
    plain = replace(recipe_of(task="binary"), class_errors=(0.1, 0.4))
    recipe = treated("early-stopping", treated(name, plain))
    seats, places = seats_for(bench, recipe, [1] * 3)
    inputs, prepared = bench.inputs(recipe.preparation), bench.prepared(recipe.preparation)
    fitting = make_fitting(recipe, dataset, inputs, prepared, seats, places, ask_fit=False, show=False)
    job = replace(fitting.job, shuffle=False, callbacks=())
    trained = train(job)
    for i, seat in enumerate(seats):
        x, y = inputs[0], dataset.target.astype(np.float32)[:, None]
        totals = np.bincount(dataset.target[seat.fit], weights=own[seat.fit])
        model = build_alone(job.build, job.sample(), seat.seed)
        costs = 1 / totals if name == "balanced-classes" else np.array([0.25, 1.0])
        factor = (costs * totals.sum() / (costs * totals).sum())[dataset.target]
        fitted = model.fit(
            x[seat.fit],
            y[seat.fit],
            sample_weight=(own * factor)[seat.fit],
            validation_data=(x[seat.watch], y[seat.watch], own[seat.watch]),
            batch_size=8,
            epochs=3,
            shuffle=False,
            verbose=0,
        ).history
        for log in ("loss", "val_loss"):
            np.testing.assert_allclose(trained.history[log].values[i], fitted[log], rtol=1e-5)
        np.testing.assert_allclose(trained.outputs[i], model.predict(x[seat.scored], verbose=0), atol=1e-6)


def test_a_measured_recipe_knows_which_classes_are_mistaken():
    bench = bench_of(rare(), folds=3, repeats=2)
    arm = measure(bench, recipe_of(epochs=20, task="binary"))
    wrong = [arm.oof[repeat].argmax(axis=1) != bench.dataset.target for repeat in range(2)]
    expected = [np.mean([w[bench.dataset.target == c].mean() for w in wrong]) for c in (0, 1)]
    assert arm.recipe.class_errors == pytest.approx(tuple(expected))
    quantity = planted(target=np.linspace(0, 1, ROWS))
    assert measure(bench_of(quantity), recipe_of(regressor, task="regression")).recipe.class_errors == ()


def test_balanced_classes_make_the_rare_one_more_probable():
    bench = bench_of(rare(), folds=3)
    plain = measure(bench, recipe_of(epochs=20, task="binary"))
    balanced = measure(bench, treated("balanced-classes", recipe_of(epochs=20, task="binary")))
    assert plain.oof[0, :, 1].mean() == pytest.approx((bench.dataset.target == 1).mean(), abs=0.05)
    assert balanced.oof[0, :, 1].mean() > 0.35


@pytest.mark.thorough
@pytest.mark.parametrize("seeds", [1, 2])
def test_a_tuned_threshold_finds_the_rare_class_and_moves_only_odds(seeds):
    """The same members; each fold's odds are multiplied by a number of its own, and class 1 is found at last."""
    bench = bench_of(rare(), folds=3, repeats=2, metric="balanced-accuracy")
    recipe = recipe_of(epochs=20, task="binary")
    plain = measure(bench, recipe, first_repeat_seeds=seeds, seeds=seeds, ask_fit=True)
    tuned = measure(
        bench, treated("tuned-threshold", recipe), first_repeat_seeds=seeds, seeds=seeds, ask_fit=True
    )
    assert plain.record.threshold is None
    assert 0.03 < tuned.record.threshold < 0.4
    assert tuned.scores["balanced-accuracy"].mean() > plain.scores["balanced-accuracy"].mean() + 0.05
    assert tuned.fit_scores.mean() > plain.fit_scores.mean() + 0.05
    assert tuned.each.mean() > plain.each.mean() + 0.05
    for split in bench.splits:
        before, after = (arm.oof[split.repeat, split.held_out] for arm in (plain, tuned))
        factors = (after[:, 1] / after[:, 0]) / (before[:, 1] / before[:, 0])
        np.testing.assert_allclose(factors, factors[0], rtol=1e-6)
        np.testing.assert_allclose(moved(before, 1 / (1 + factors[0])), after, rtol=1e-6)


def test_an_ensembles_threshold_is_tuned_on_its_mean():
    bench = bench_of(rare(), folds=3, metric="f1")
    recipe = treated("ensemble-5", treated("tuned-threshold", recipe_of(task="binary")))
    arm = measure(bench, replace(recipe, ensemble=2))
    plain = measure(bench, replace(recipe, ensemble=2, tunes_threshold=False))
    assert arm.record.threshold is not None
    np.testing.assert_array_equal(
        np.argsort(arm.oof[0, bench.splits[0].held_out, 1]),
        np.argsort(plain.oof[0, bench.splits[0].held_out, 1]),
    )


@pytest.mark.parametrize(
    ("metric", "options", "why"),
    [
        ("log-loss", {}, "judges probabilities"),
        ("auc", {}, "judges"),
        ("accuracy", {"time": "b"}, "order of time"),
    ],
)
def test_a_threshold_is_refused_where_the_score_does_not_see_it_or_time_forbids(metric, options, why):
    bench = bench_of(rare(**options), folds=3, metric=metric)
    with pytest.raises(NotApplicable, match=why):
        try_building(bench, treated("tuned-threshold", recipe_of(task="binary")))


def test_a_learned_logarithm_is_scored_in_the_targets_units():
    """A lognormal target over four decades: predictions are above 0, and the score is the error of these."""
    x = np.random.default_rng(0).normal(size=(ROWS, 2))
    dataset = planted(np.exp(2 * x.sum(axis=1)))
    bench = bench_of(dataset, metric="mae")
    recipe = recipe_of(regressor, 60, task="regression", lowest_target=dataset.lowest_target)
    arm = measure(bench, treated("log-target", recipe))
    assert (arm.oof > 0).all()
    by_hand = [np.abs(dataset.target[s.held_out] - arm.oof[0, s.held_out]).mean() for s in bench.splits]
    np.testing.assert_allclose(arm.scores["mae"][0], by_hand)
    constant = np.abs(dataset.target - np.median(dataset.target)).mean()
    assert arm.scores["mae"].mean() < 0.5 * constant
    whole = fit_all(dataset, treated("log-target", recipe), 0)
    assert whole.prepared.restore(whole.fitting.predictions(whole.trained.outputs[0])).min() > 0


def test_all_rows_at_once_are_one_step_an_epoch():
    dataset = planted()
    bench = bench_of(dataset)
    recipe = treated("whole-batch", recipe_of(n_rows=dataset.n_rows))
    arm = measure(bench, recipe)
    assert arm.steps == 2 * recipe.epochs
    assert not arm.failed.any()


def staged(rates=(0.5, 0.05), until=4, epochs=9) -> Recipe:
    """A recipe whose rate is changed after some epochs."""
    first, then = (recipe_of(classifier(rate), epochs=epochs) for rate in rates)
    return replace(then, stages=(Stage(first, until),))


def test_settings_that_change_on_the_way_are_those_of_a_schedule():
    """A rate changed between stages, beside the same rates by a callback of Keras."""
    bench = bench_of(planted())
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch: 0.5 if epoch < 4 else 0.05)
    one, other = measure_all(
        bench, [staged(), recipe_of(epochs=9, callbacks=(schedule,))], what=["", ""], sources=["", ""]
    )
    np.testing.assert_allclose(one.oof, other.oof, atol=1e-5)
    np.testing.assert_allclose(one.history["loss"], other.history["loss"], rtol=1e-4)
    assert one.history.sizes["epoch"] == 9
    assert measure(bench, staged()).scores["log-loss"] == pytest.approx(one.scores["log-loss"])


def test_the_finished_model_of_a_changed_training_is_trained_in_the_same_stages():
    rows = planted()
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch: 0.5 if epoch < 4 else 0.05)
    x = np.random.default_rng(1).normal(size=(5, 2)).astype(np.float32)
    said = [
        fit_all(rows, recipe, 0).models[0].predict(x, verbose=0)
        for recipe in (staged(), recipe_of(epochs=9, callbacks=(schedule,)))
    ]
    np.testing.assert_allclose(*said, atol=1e-5)


def in_turn(bench, recipes, parts) -> list[Arm]:
    arms = {}
    for some in measure_in_turn(bench, recipes, parts=parts):
        arms |= some
    return [arms[i] for i in range(len(recipes))]


def test_a_training_in_parts_is_the_training():
    bench, recipes = bench_of(planted()), [staged(), recipe_of(classifier(0.1), epochs=9)]
    whole = measure_all(bench, recipes, what=["", ""], sources=["", ""])
    parts = [Part(3), Part(6)]
    some = in_turn(bench, recipes, parts)
    assert [arm.history.sizes["epoch"] for arm in some] == [3, 6]
    rest = [Part(9, part.until, arm.states) for part, arm in zip(parts, some, strict=True)]
    ends = in_turn(bench, recipes, rest)
    for end, arm in zip(ends, whole, strict=True):
        np.testing.assert_allclose(end.oof, arm.oof, atol=1e-5)


def test_a_recipe_that_differs_from_an_earlier_one_in_numbers_is_built_once():
    """To read what its outputs are and how it differs; the first of its kind is made ready for training too."""
    built: list[float] = []

    def counted(rate: float):
        def build(n_inputs: int) -> keras.Model:
            built.append(rate)
            return classifier(rate)(n_inputs)

        return build

    rates = (0.1, 0.2, 0.3)
    bench, recipes = bench_of(planted()), [recipe_of(counted(rate)) for rate in rates]
    (arms,) = measure_in_turn(bench, recipes)
    assert sorted(arms) == [0, 1, 2]
    assert [built.count(rate) for rate in rates[1:]] == [1, 1]
    assert built.count(rates[0]) > 1


def test_a_bench_of_some_folds_trains_the_members_of_the_whole_one():
    bench = bench_of(planted(), folds=4, repeats=2)
    whole, some = (measure(one, recipe_of()) for one in (bench, bench.of_folds(1, 3)))
    np.testing.assert_allclose(some.scores["log-loss"], whole.scores["log-loss"][:, 1:3], rtol=1e-5)
    there = np.isfinite(some.oof).all(axis=2)
    assert there.sum(axis=1).tolist() == [ROWS / 2] * 2
    np.testing.assert_allclose(some.oof[there], whole.oof[there], atol=1e-6)
