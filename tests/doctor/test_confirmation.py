"""Rows that confirm a treatment take no part in choosing it, and tell what it gains."""

import numpy as np

from caviar.population import devices

devices.start()
import keras  # noqa: E402 - only once JAX is its backend

from caviar.data.split import make_splits  # noqa: E402
from caviar.doctor.confirmation import HOLD_OUT_FROM, confirm_apart, confirm_nested, set_apart  # noqa: E402
from caviar.evaluate.metrics import find_metric  # noqa: E402
from caviar.measuring.given import make_recipe, read_arrays  # noqa: E402
from caviar.measuring.measure import Bench, measure  # noqa: E402
from caviar.measuring.trial import Trial  # noqa: E402
from caviar.population.job import Monitor  # noqa: E402
from caviar.remedies.training import scaled_rate  # noqa: E402

RNG = np.random.default_rng(0)
MAE = find_metric("mae", "regression")


def build():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1e-4), "mse")
    return model


def rows(count):
    x = RNG.normal(size=(count, 3))
    return read_arrays(x, x.sum(axis=1) + 0.1 * RNG.normal(size=count), None)[0]


def recipes(dataset):
    """One that hardly learns, one that learns well, and one that diverges."""
    own = make_recipe(build, dataset, name="mine", batch_size=16, epochs=4, callbacks=())
    better, diverging = (scaled_rate(own, by=by) for by in (300.0, 1e5))
    return own, better, diverging


def test_small_tables_keep_nothing_apart_and_large_ones_a_fifth():
    small, apart = set_apart(rows(HOLD_OUT_FROM - 1), 0)
    assert apart is None
    assert small.n_rows == HOLD_OUT_FROM - 1
    dataset = rows(HOLD_OUT_FROM)
    looked_at, apart = set_apart(dataset, 0)
    assert apart is not None
    assert looked_at.n_rows == 0.8 * HOLD_OUT_FROM
    np.testing.assert_array_equal(looked_at.features, dataset.features[apart.split.train])
    assert not set(apart.split.train) & set(apart.split.held_out)


def test_a_gain_is_confirmed_on_rows_kept_apart():
    looked_at, apart = set_apart(rows(HOLD_OUT_FROM), 0)
    bench = Bench(looked_at, make_splits(looked_at, 2, 1, 0), MAE, (), spread="vmap")
    own, better, _ = recipes(looked_at)
    trial = Trial(measure(bench, own, show=False), worst=5.0)
    found = confirm_apart(bench, apart, trial, own, better, Monitor())
    assert found.way == "hold-out"
    assert found.gain.low > 0.5
    assert found.sentence.startswith("On 400 rows kept apart")
    assert found.sentence.endswith("confirmed.")
    turned = confirm_apart(bench, apart, trial, better, own, Monitor())
    assert turned.sentence.endswith("refuted.")


def test_nested_folds_choose_without_the_fold_they_score():
    dataset = rows(150)
    bench = Bench(dataset, make_splits(dataset, 3, 2, 0), MAE, (), spread="vmap")
    arms = [measure(bench, recipe, show=False) for recipe in recipes(dataset)]
    trial = Trial(arms[0], worst=5.0)
    found = confirm_nested(bench, trial, arms, arms[0], arms[1], Monitor())
    assert found.way == "nested folds"
    assert "best of 3 recipes is the repaired one 6 times" in found.sentence
    plain = np.mean(trial.scores(arms[0]) - trial.scores(arms[1]))
    assert found.gain.value == np.float64(plain)  # the same recipe is chosen on every fold
    nothing = confirm_nested(bench, trial, [arms[0]], arms[0], arms[0], Monitor())
    assert nothing.gain.value == 0.0
    assert "neither" in nothing.sentence
