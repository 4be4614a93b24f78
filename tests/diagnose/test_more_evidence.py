"""Checks of the course of training, of held-out predictions and of single runs: planted, absent, not judged."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from caviar.data.dataset import Dataset
from caviar.data.profile import suspect_columns
from caviar.data.schema import Column, Schema
from caviar.diagnose.contract import Clear, Found, NotApplicable
from caviar.diagnose.course import COURSE
from caviar.diagnose.diagnosis import CHECKS, diagnose
from caviar.diagnose.out_of_fold import OUT_OF_FOLD
from caviar.diagnose.results import Differences, OneBatch, Permuted, RangeTest
from caviar.diagnose.runs import RUNS
from caviar.diagnose.tried import TRIED_GENERALIZATION, TRIED_LEARNING
from caviar.evaluate.calibration import calibration
from caviar.evaluate.neighbours import near_duplicates
from caviar.evaluate.variance import spread
from caviar.remedies.table import REMEDIES
from tests.diagnose.test_diagnosis import EPOCH, MEMBERS, curves, healthy, scored, seeds
from tests.diagnose.test_static_checks import BCE, HUGE, SOUND, L, evidence, network

NEW = (*TRIED_LEARNING, *TRIED_GENERALIZATION, *COURSE, *OUT_OF_FOLD, *RUNS)
RNG = np.random.default_rng(5)


def look(code: str, seen):
    return next(check for check in CHECKS if check.code == code).look(seen)


@pytest.mark.parametrize("check", NEW, ids=[check.code for check in NEW])
def test_what_is_not_known_is_not_judged_and_nothing_is_evident(check):
    outcome = check.look(healthy())
    assert isinstance(outcome, NotApplicable) or check.code in {"L18", "P04"}
    assert check.evident == (check.code == "L20")


def test_no_new_check_makes_a_finding_by_itself():
    """Everything planted at once is suspected; only a remedy that helps would make a finding of it."""
    sick = healthy(
        model=replace(SOUND["binary"].model, first_losses=(50.0,)),
        data=SOUND["binary"].data,
        one_batch=OneBatch(np.array([0.1, 1.0]), np.zeros((2, 2)), 32, 400),
        permuted=Permuted(np.full(3, 0.1), np.full(3, 2.0)),
        differences=Differences({"kernel": 1.0}, 0.1, 32),
        scores=scored(0.4),
        each=np.r_[np.full(20, 0.2), np.full(5, 0.7)].reshape(1, 5, 5),
    )
    record = diagnose(sick, REMEDIES)
    suspected = {f.code for f in record.findings if f.outcome == "suspected"}
    assert {"L13", "L14", "L17", "G04", "P02"} <= suspected
    assert record.area == "healthy"


def test_one_batch_says_nothing_at_rates_far_from_the_one_that_learns():
    tried = OneBatch(np.array([1e-8, 1e-7, 1e-6]), np.zeros((3, 2)), 32, 400)
    losses = np.array([[0.7, 0.7, 0.7], [0.2, 0.2, 0.2]])
    far = RangeTest(np.array([1e-7, 1e-3]), 1e-7, losses, np.full(3, 0.7), 5)
    assert isinstance(look("L13", healthy(one_batch=tried)), Found)
    assert isinstance(look("L13", healthy(one_batch=tried, range_test=far)), Clear)
    near = replace(far, rates=np.array([1e-8, 1e-6]), own=1e-8)
    assert isinstance(look("L13", healthy(one_batch=tried, range_test=near)), Found)


def test_a_step_that_climbs_is_a_finding_only_where_the_network_does_not_learn():
    uphill = Differences({"kernel": 2.0}, -1.0, 32)
    assert isinstance(look("L20", healthy(differences=uphill, fit_scores=scored(0.7))), Found)
    assert isinstance(look("L20", healthy(differences=uphill)), Clear)
    right = Differences({"kernel": 0.0}, 1.0, 32)
    assert isinstance(look("L20", healthy(differences=right, fit_scores=scored(0.7))), Clear)


@pytest.mark.parametrize(
    ("build", "more", "outcome"),
    [
        (lambda: network(16, activation="sigmoid", loss=BCE), {"classes": 2}, Clear),
        (lambda: network(16, activation="sigmoid", loss=BCE, kernel_initializer=HUGE), {"classes": 2}, Found),
        (lambda: network(16), {}, Clear),
        (lambda: network(16), {"y": RNG.normal(20, 1, (300, 1))}, Found),
        (lambda: network(16, loss="mae"), {}, NotApplicable),
    ],
)
def test_a_first_loss_far_above_chance_is_seen(build, more, outcome):
    assert isinstance(look("L17", evidence(build, **more)), outcome)


def test_the_first_loss_is_that_of_rows_from_all_parts_of_the_table():
    """In rows that lie in the order of their target the first ones say nothing of the others."""
    y = np.sort(RNG.normal(size=(300, 1)), axis=0)
    silent = evidence(lambda: network(4, kernel_initializer="zeros"), y=y).model
    model = evidence(lambda: network(L.Dense(4, kernel_initializer="zeros")), y=y).model
    assert model.first_loss == pytest.approx(float(np.square(y).mean()), rel=0.1)
    assert silent.first_loss == pytest.approx(model.first_loss)


def test_trainings_that_stay_as_bad_as_they_begin_have_not_diverged():
    """Far worse than a constant at the end, and before the first step: steps too small to leave it, not too large."""
    model = replace(SOUND["binary"].model, first_losses=(5.0, 6.0, 7.0))
    far = healthy(model=model, loss=curves(6.1 - 0.1 * EPOCH / 50), scores=scored(6), fit_scores=scored(6))
    still = look("L01", far)
    assert isinstance(still, Clear)
    assert "no higher than it can begin (7)" in still.sentence
    exploded = look("L01", replace(far, model=replace(model, first_losses=(0.7, 0.8))))
    assert isinstance(exploded, Found)
    assert exploded.severity == 1
    assert "begin" not in exploded.sentence


def test_first_weights_are_drawn_anew_for_the_first_losses():
    losses = SOUND["binary"].model.first_losses
    assert len(set(losses)) == 5
    assert SOUND["binary"].model.first_loss == np.median(losses)


def test_own_code_is_told_from_that_of_keras():
    def own_loss(y, said):
        return keras.ops.mean(keras.ops.abs(y - said), axis=-1)

    class Own(L.Dense):
        """A layer of a person's own."""

    assert SOUND["regression"].model.custom == ()
    own = evidence(lambda: network(Own(8, "relu"), L.Dense(8, lambda flow: flow * 2), loss=own_loss)).model
    assert own.custom == ("the layer own", "the activation of dense", "the loss")


STUCK = 0.69 + 0.0 * EPOCH


def test_a_plateau_far_from_what_can_be_fitted_is_seen():
    flat = healthy(loss=curves(STUCK), fit_scores=scored(0.6))
    found = look("L18", flat)
    assert isinstance(found, Found)
    assert found.rate.value == 1
    falling = healthy(loss=curves(0.7 - 0.3 * EPOCH / 50), fit_scores=scored(0.6))
    assert isinstance(look("L18", falling), Clear)
    assert isinstance(look("L18", healthy()), Clear)
    assert isinstance(look("L18", healthy(best_reference=None)), NotApplicable)


def test_inference_that_differs_from_training_is_seen_where_there_is_batch_normalization():
    with_normalization = evidence(lambda: network(8, L.BatchNormalization(), 8)).model
    sound = healthy(model=with_normalization)
    assert isinstance(look("L19", sound), Clear)
    sick = replace(sound, fit_scores=scored(0.5), scores=scored(0.52), held_out_loss=curves(0.52 + 0 * EPOCH))
    assert isinstance(look("L19", sick), Found)
    assert isinstance(look("L19", replace(sick, model=SOUND["binary"].model)), NotApplicable)
    assert isinstance(look("L19", replace(sick, scores=scored(0.9))), NotApplicable)


def test_a_squared_loss_is_read_beside_its_root():
    model = evidence(lambda: network(8, L.BatchNormalization(), 8)).model
    flat = 0 * EPOCH
    kept = {"model": model, "scores": scored(0.5, 1e-3), "held_out_loss": curves(0.25 + flat, 1e-4)}
    assert isinstance(look("L19", healthy(**kept, loss=curves(0.23 + flat), fit_scores=scored(0.49))), Clear)
    assert isinstance(look("L19", healthy(**kept, loss=curves(0.01 + flat), fit_scores=scored(0.49))), Found)


def probabilities(power: float, rows: int = 1500) -> tuple[np.ndarray, np.ndarray]:
    """Targets, and their true chances with logits multiplied."""
    logits = RNG.normal(0, 1.5, rows)
    target = (RNG.uniform(size=rows) < 1 / (1 + np.exp(-logits))).astype(int)
    said = 1 / (1 + np.exp(-power * logits))
    return target, np.stack([1 - said, said], axis=1)


def test_networks_that_are_too_sure_are_told_from_calibrated_ones():
    sure = calibration(*probabilities(3.0))
    assert sure.temperature == pytest.approx(3.0, rel=0.2)
    assert sure.error.low <= sure.error.value <= sure.error.high
    assert sure.gain > 0.05
    found = look("G06", healthy(calibration=sure))
    assert isinstance(found, Found)
    assert "too sure" in found.sentence
    shy = look("G06", healthy(calibration=calibration(*probabilities(0.4))))
    assert "not sure enough" in shy.sentence
    assert isinstance(look("G06", healthy(calibration=calibration(*probabilities(1.0)))), Clear)
    assert calibration(*probabilities(1.0, rows=60)) is None


def test_exact_probabilities_are_seldom_called_badly_calibrated():
    """At most 1 % is promised; of 100 tables more than 6 would be a chance of one in ten thousand."""
    errors = [calibration(*probabilities(1.0, rows=300)) for _ in range(100)]
    assert sum(one.error.value > one.by_chance for one in errors) <= 6


class Fold:
    repeat = fold = 0

    def __init__(self, train, held_out):
        self.train, self.held_out = train, held_out


def near_of(copies: int, loss: float):
    """Rows of five inputs, some of them another one's with a little noise and with a loss of their own."""
    x = RNG.normal(size=(400, 5))
    x[:copies] = x[200 : 200 + copies] + RNG.normal(0, 1e-4, (copies, 5))
    losses = RNG.uniform(0.5, 1.0, 400)
    losses[:copies] = loss
    rows = np.arange(400)
    return near_duplicates(x, [Fold(rows[200:], rows[:200]), Fold(rows[:200], rows[200:])], losses)


def test_near_repetitions_that_are_scored_better_are_seen():
    found = near_of(40, 0.01)
    assert found.share == pytest.approx(80 / 400)
    assert isinstance(look("G05", healthy(near=replace(found, p=1e-9))), Found)
    none = near_of(0, 0.0)
    assert none.share < 0.01
    assert isinstance(look("G05", healthy(near=none)), Clear)


def test_near_repetitions_must_be_scored_better_and_many():
    x = np.repeat(RNG.normal(size=(200, 5)), 2, axis=0)
    x[1::2] += RNG.normal(0, 1e-3, (200, 5))
    x = np.r_[x, RNG.normal(size=(600, 5))]
    rows = np.arange(1000)
    folds = [Fold(rows[::2], rows[1::2]), Fold(rows[1::2], rows[::2])]
    equal = near_duplicates(x, folds, RNG.uniform(size=1000))
    assert equal.share == pytest.approx(0.4, abs=0.02)
    assert isinstance(look("G05", healthy(near=equal)), Clear)
    better = near_duplicates(x, folds, np.where(rows < 400, 0.1, 0.9) + RNG.uniform(0, 0.05, 1000))
    assert isinstance(look("G05", healthy(near=better)), Found)


def each(*values: float) -> np.ndarray:
    return np.array(values).reshape(1, 5, -1)


def test_a_mixture_of_good_and_failed_trainings_is_told_from_a_wide_spread():
    good = 0.2 + RNG.normal(0, 0.01, 25)
    mixed = good.copy()
    mixed[[3, 8, 20]] = 0.69
    found = look("P02", healthy(each=each(*mixed)))
    assert isinstance(found, Found)
    assert found.rate.value == pytest.approx(3 / 25)
    assert found.rate.low < 3 / 25 < found.rate.high
    assert isinstance(look("P02", healthy(each=each(*good))), Clear)
    assert isinstance(look("P02", healthy(each=each(*np.linspace(0.1, 0.7, 25)))), Clear)
    lost = good.copy()
    lost[:2] = np.nan
    assert isinstance(look("P02", healthy(each=each(*lost))), Found)


def test_stops_that_decide_the_score_are_told_from_stops_that_do_not():
    stops = RNG.integers(5, 45, (5, 5))
    decided = 0.2 + 0.004 * (45 - stops) + RNG.normal(0, 0.005, (5, 5))
    assert isinstance(look("P03", healthy(stops=stops, seed_scores=decided)), Found)
    assert isinstance(look("P03", healthy(stops=stops, seed_scores=0.2 + RNG.normal(0, 0.02, (5, 5)))), Clear)
    steady = 40 + RNG.integers(0, 3, (5, 5))
    assert isinstance(look("P03", healthy(stops=steady, seed_scores=0.2 + 0.1 * steady)), Clear)


def test_rows_that_decide_are_told_from_seeds_that_do():
    by_rows, by_seed = seeds(0.5, 0.005), seeds(0.01, 0.3)
    assert isinstance(look("P04", healthy(spread=spread(by_rows))), Found)
    assert isinstance(look("P04", healthy(spread=spread(by_seed))), Clear)
    assert isinstance(look("P04", healthy()), Clear)
    assert isinstance(look("P04", healthy(spread=None)), NotApplicable)


def test_columns_that_count_rows_or_give_the_target_away_are_named():
    x = RNG.normal(size=(100, 3))
    x[:, 1] = np.arange(100)
    target = (RNG.uniform(size=100) > 0.5).astype(np.int64)
    x[:, 2] = target + RNG.normal(0, 0.01, 100)
    columns = tuple(Column(name=f"x{i + 1}", kind="numeric") for i in range(3))
    schema = Schema(task="binary", task_reason="", columns=columns, targets=("y",), classes=("0", "1"))
    names, leaking = suspect_columns(Dataset("arrays", x, target, schema))
    assert names == ("x2",)
    assert [name for name, _ in leaking] == ["x3"]
    data = replace(SOUND["binary"].data, identifiers=names, leaking=leaking)
    assert "x2" in look("D11", healthy(data=data)).sentence
    assert "x3 alone" in look("D12", healthy(data=data)).sentence
    for code in ("D11", "D12"):
        assert isinstance(look(code, SOUND["binary"]), Clear)


def test_members_that_all_failed_are_no_reason_to_stumble():
    gone = np.full((MEMBERS, len(EPOCH)), np.nan)
    none = np.full((2, 5), np.nan)
    lost = healthy(
        loss=gone,
        held_out_loss=gone,
        scores=none,
        fit_scores=none,
        each=np.full((1, 5, 3), np.nan),
        stops=np.full((5, 3), 4),
        seed_scores=np.full((5, 3), np.nan),
        spread=spread(np.full((5, 3), np.nan)),
        permuted=Permuted(np.full(3, np.nan), np.full(3, np.nan)),
        one_batch=OneBatch(np.ones(1), np.full((1, 2), np.nan), 32, 400),
        model=evidence(lambda: network(8, L.BatchNormalization(), 8)).model,
    )
    assert isinstance(look("L13", lost), Found)
    for code in ("L18", "L19", "G03", "G04", "P02", "P03", "P04"):
        assert isinstance(look(code, lost), NotApplicable), code
