"""Experiments show what was planted, train what `fit` would train, and are run only where they are asked for."""

from dataclasses import replace

import keras
import numpy as np
import pytest

import caviar
from caviar.data.split import make_splits
from caviar.diagnose.contract import Clear, Found
from caviar.diagnose.diagnosis import CHECKS, diagnose
from caviar.diagnose.results import RangeTest
from caviar.doctor.examination import Examination
from caviar.evaluate.metrics import find_metric
from caviar.experiments.contract import Ground, NotAvailable, Seen
from caviar.experiments.differences import finite_differences
from caviar.experiments.members import train_extra
from caviar.experiments.one_batch import mixed_rows, overfit_one_batch
from caviar.experiments.permuted import permuted_labels
from caviar.experiments.range_test import range_test, rates_around
from caviar.experiments.run import conducted
from caviar.experiments.table import EXPERIMENTS
from caviar.measuring.given import make_recipe, read_arrays
from caviar.measuring.measure import Bench, measure
from caviar.population.job import Monitor, Seat
from caviar.progress import Clock, OutOfTime, Voice
from caviar.remedies.table import REMEDIES
from tests.diagnose.test_diagnosis import healthy
from tests.experiments import builders
from tests.population.conftest import fit_alone

L = keras.layers
ROWS = 120
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 3))
LABELS = (X[:, 0] - X[:, 1] + RNG.normal(0, 0.3, ROWS) > 0).astype(int)
VALUES = X[:, :1] - X[:, 1:2]


def network(rate=0.01, *, width=16, stop=False, optimizer=keras.optimizers.Adam):
    def build():
        hidden = [L.Dense(width, "relu"), *([L.Lambda(lambda flow: 0 * flow)] if stop else [])]
        model = keras.Sequential([keras.Input((3,)), *hidden, L.Dense(1, "sigmoid")])
        model.compile(optimizer(rate), "binary_crossentropy")
        return model

    return build


def ground(build, y=LABELS, *, epochs=10, metric="log-loss", rows=slice(None)) -> Ground:
    """A measured recipe, two folds, and what was seen of it."""
    dataset, _ = read_arrays(X[rows], y[rows], None)
    bench = Bench(dataset, make_splits(dataset, 2, 1, 0), find_metric(metric, dataset.task), (), 0, "vmap")
    recipe = make_recipe(build, dataset, name="mine", batch_size=16, epochs=epochs, callbacks=())
    arm = measure(bench, recipe, ask_fit=True)
    return Ground(bench, arm, Examination(bench, Voice(quiet=True), Clock(None)).evidence(arm), Monitor())


def regressor():
    model = keras.Sequential([keras.Input((3,)), L.Dense(16, "relu"), L.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return model


def with_builder(ground: Ground, build) -> Ground:
    """The same, as if it had been measured of another builder's model."""
    return replace(ground, arm=replace(ground.arm, recipe=replace(ground.arm.recipe, builder=build)))


@pytest.fixture(scope="module")
def quantities() -> Ground:
    return ground(regressor, VALUES, epochs=1, metric="rmse")


@pytest.fixture(scope="module")
def sound() -> Ground:
    return ground(network())


def look(code: str, evidence):
    return next(check for check in CHECKS if check.code == code).look(evidence)


@pytest.mark.thorough
def test_extra_members_at_rates_of_their_own_are_what_fit_makes_of_them(sound):
    split = sound.bench.splits[0]
    seats = [Seat(0, 0, 5 + i, 0, split.train, split.train[:0], split.held_out) for i in range(3)]
    rates = [0.001, 0.03, 0.3]
    fitting, trained = train_extra(sound, sound.arm.recipe, seats, rates=rates, show=True)
    for rate, seat, outputs in zip(rates, seats, trained.outputs, strict=True):
        alone = fit_alone(replace(fitting.job, build=network(rate)), seat)
        np.testing.assert_allclose(outputs, alone.outputs, atol=1e-5)


def test_shuffled_targets_are_trained_on_as_fit_would(sound):
    split, dealt = sound.bench.splits[0], RNG.permutation(ROWS)
    seat = Seat(0, 0, 5, 0, split.train, split.train[:0], split.held_out)
    fitting, trained = train_extra(sound, sound.arm.recipe, [seat], dealt=dealt)
    np.testing.assert_array_equal(fitting.job.y[0][:, 0], LABELS[dealt])
    np.testing.assert_allclose(trained.outputs[0], fit_alone(fitting.job, seat).outputs, atol=1e-5)


def test_a_sound_network_fits_one_batch(sound):
    tried = overfit_one_batch(sound)
    assert tried.rows == 32
    assert tried.best > 0.95
    assert isinstance(look("L13", healthy(one_batch=tried)), Clear)


@pytest.mark.thorough
def test_a_network_through_which_nothing_passes_cannot_fit_one_batch():
    tried = overfit_one_batch(ground(network(stop=True), epochs=2))
    assert tried.best < 0.5
    assert isinstance(look("L13", healthy(one_batch=tried)), Found)


def test_quantities_of_one_batch_are_fitted_too(quantities):
    assert overfit_one_batch(quantities).best > 0.9


def test_one_batch_holds_every_class_and_no_row_twice():
    target = np.r_[np.zeros(90, int), np.ones(5, int), np.full(5, 2)]
    identical = np.arange(100)
    identical[:80] = 0
    rows = mixed_rows(target, identical)
    assert len(rows) == len(set(identical[rows])) == 21
    assert set(target[rows]) == {0, 1, 2}


@pytest.mark.thorough
def test_a_large_network_learns_random_labels_by_heart_and_scores_them_by_chance():
    large = ground(network(0.03, width=256), epochs=150, rows=slice(60))
    tried = permuted_labels(large)
    assert np.median(tried.fit_scores) < 0.4
    assert np.median(tried.held_out_scores) > large.evidence.no_skill
    assert isinstance(look("G04", replace(large.evidence, permuted=tried)), Found)


def test_a_small_network_does_not(sound):
    tried = permuted_labels(sound)
    assert np.median(tried.fit_scores) > 0.55
    assert isinstance(look("G04", replace(sound.evidence, permuted=tried)), Clear)


@pytest.mark.thorough
@pytest.mark.parametrize(("own", "code"), [(1e-5, "L15"), (3.0, "L16")])
def test_a_range_test_finds_a_rate_where_the_recipe_has_a_bad_one(own, code):
    bad = ground(network(own))
    tried = range_test(bad)
    assert tried.epochs == 5
    assert 3e-3 < tried.prefers() < 1.0
    found = look(code, replace(bad.evidence, range_test=tried))
    assert isinstance(found, Found)
    assert f"{tried.best:.2g}" in found.sentence
    assert isinstance(look("L16" if code == "L15" else "L15", replace(bad.evidence, range_test=tried)), Clear)
    static = look("S11" if code == "L15" else "S10", replace(bad.evidence, range_test=tried))
    assert "A range test would choose" in static.sentence
    assert static.evidence["rate of a range test"] == tried.best


def test_the_remedy_takes_the_rate_of_the_range_test():
    remedy = next(r for r in REMEDIES if r.name == "range-test-rate")
    recipe = ground(network(1e-5), epochs=1).arm.recipe
    with pytest.raises(caviar.errors.CaviarError, match="no range test was run"):
        remedy.apply(recipe)
    model = remedy.apply(replace(recipe, tested_rate=0.02)).build(3, 1)()
    assert float(model.optimizer.learning_rate) == pytest.approx(0.02)


def planted(*means: float, noise: float = 0.001) -> RangeTest:
    """Losses around some means at rates from 0.001 up, one decade each; the recipe's is the first."""
    losses = np.array(means)[:, None] + noise * np.array([[-1.0, 0.2, 0.8]])
    return RangeTest(0.001 * 10.0 ** np.arange(len(means)), 0.001, losses, np.full(3, 0.7), 5)


def test_rates_that_cannot_be_told_apart_and_the_edge_are_named():
    tried = planted(0.6, 0.2, 0.201, 9.0, np.nan)
    assert tried.best == pytest.approx(0.01)
    assert tried.alike().tolist() == [False, True, True, False, False]
    assert tried.edge == pytest.approx(1.0)
    assert "0.01 to 0.1 cannot be told apart; from 1 on" in tried.in_words()
    assert planted(0.6, 0.2).edge is None


def test_a_rate_that_may_be_as_good_by_chance_is_kept():
    assert planted(0.205, 0.2).prefers() is None
    noisy = planted(0.4, 0.2)
    noisy.losses[0] = [0.1, 0.2, 0.9]
    assert noisy.prefers() is None
    assert planted(0.4, 0.2).prefers() == pytest.approx(0.01)


def test_a_rate_that_moves_nothing_is_told_apart_however_different_first_weights_are():
    """At the lowest rate each seed stays where it began, at 0.6 to 1.5; at the next one all seeds get to 0.2."""
    starts = np.array([0.6, 0.9, 1.5])
    still, learned = starts - 1e-4, np.array([0.2, 0.21, 0.19])
    tried = RangeTest(np.array([1e-7, 1e-3]), 1e-7, np.stack([still, learned]), starts, 5)
    assert tried.alike().tolist() == [False, True]
    assert tried.prefers() == pytest.approx(1e-3)
    # Where a seed ends no better than it began at the best rate too, it is as good by chance.
    chance = RangeTest(tried.rates, 1e-7, np.stack([still, [0.5, 0.5, 1.6]]), starts, 5)
    assert chance.prefers() is None


def test_where_every_rate_diverges_none_is_chosen():
    tried = planted(9.0, np.nan, 9.0)
    assert tried.best is tried.prefers() is None
    assert tried.edge == pytest.approx(0.001)
    assert "every rate diverges" in tried.in_words()


@pytest.mark.parametrize("own", [1e-7, 1e-5, 0.001, 0.02, 10.0, 300.0])
def test_the_recipes_own_rate_is_always_among_those_tested(own):
    rates = rates_around(own)
    assert np.isclose(rates, own, rtol=1e-12).any()
    assert rates.min() <= 1e-4
    assert rates.max() >= 3


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("build", "wrong"),
    [
        (builders.with_right_loss, 0),
        (builders.with_wrong_loss, 8),
        (builders.with_stopped_layer, 2),
        (builders.with_backward_step, 8),
    ],
)
def test_wrong_gradients_show_beside_differences_of_the_loss(build, wrong, quantities):
    """Of 8 arrays (three kernels, three biases, two of the normalisation) those behind the fault are wrong."""
    tried = finite_differences(with_builder(quantities, build))
    assert len(tried.errors) == 8
    # A normalisation takes a shift of what comes before it off again: such slopes are 0, right or wrong.
    assert sum(error > 1e-3 for error in tried.errors.values()) >= min(wrong, 7)
    outcome = look("L14", healthy(differences=tried))
    assert isinstance(outcome, Found if wrong else Clear)
    if not wrong:
        assert max(tried.errors.values()) < 1e-5
        assert tried.slope == pytest.approx(1, abs=1e-6)
    assert (tried.slope < 0) == (build is builders.with_backward_step)


def test_differences_are_asked_for_where_code_is_a_persons_own(sound):
    own = replace(sound.evidence, model=replace(sound.evidence.model, custom=("the loss",)))
    asks = next(e for e in EXPERIMENTS if e.name == "finite-differences").worth
    assert asks(Seen(own, diagnose(own, REMEDIES)))
    assert not asks(Seen(sound.evidence, diagnose(sound.evidence, REMEDIES)))


def test_differences_are_not_taken_where_they_would_be_rounding_or_nobody_finds_the_builder(quantities):
    with pytest.raises(NotAvailable, match="precision of its own"):
        finite_differences(with_builder(quantities, builders.with_rough_weights))
    with pytest.raises(NotAvailable, match="cannot be imported"):
        finite_differences(with_builder(quantities, network()))


def test_keras_own_layers_need_no_differences(sound):
    assert sound.evidence.model.custom == ()
    record = conducted(
        sound.bench, sound.arm, sound.evidence, diagnose(sound.evidence, REMEDIES), lambda _: Monitor()
    )
    outcomes = {one.name: one.outcome for one in record.experiments}
    assert outcomes["finite-differences"] == "not asked for"


def test_experiments_that_cannot_be_afforded_say_so(sound):
    class Late(Monitor):
        def begin(self, steps):  # noqa: ARG002 - what a monitor is told
            raise OutOfTime

    stuck = healthy(fit_scores=np.full((2, 5), 0.7), model=sound.evidence.model)
    seen = diagnose(stuck, REMEDIES)
    late = conducted(sound.bench, sound.arm, stuck, seen, lambda _: Late())
    outcomes = {one.name: one for one in late.experiments}
    assert late.range_test is late.one_batch is None
    assert "--minutes" in outcomes["range-test"].sentence
    assert "--minutes" in look("L15", late).why
    costly = replace(EXPERIMENTS[1], steps=lambda _: 10**9)
    dear = conducted(sound.bench, sound.arm, stuck, seen, lambda _: Monitor(), table=[costly])
    assert "too many" in dear.experiments[0].sentence


def test_every_experiment_fills_a_field_of_the_evidence():
    fields = healthy().__dataclass_fields__
    assert all(one.yields in fields for one in EXPERIMENTS)
    assert len({one.name for one in EXPERIMENTS}) == len(EXPERIMENTS)
    for one in EXPERIMENTS:
        assert one.asks.endswith(".")
        assert one.tells.endswith(".")
        assert one.source
