"""Every check fires on the problem that was planted, is silent on health, and abstains without evidence."""

from dataclasses import replace

import numpy as np
import pytest

from caviar.diagnose.contract import Clear, Found, NotApplicable
from caviar.diagnose.diagnosis import AREAS, CHECKS, diagnose
from caviar.diagnose.evidence import Evidence
from caviar.diagnose.generalization import GENERALIZATION
from caviar.diagnose.learning import LEARNING
from caviar.diagnose.prediction import PREDICTION
from caviar.estimate import Estimate
from caviar.evaluate.variance import spread
from caviar.remedies.table import REMEDIES

MEMBERS, EPOCHS, REPEATS, FOLDS, SEEDS = 10, 50, 2, 5, 3
NO_SKILL, BEST = 0.7, 0.2
EPOCH = np.arange(EPOCHS)
FALLING = 0.2 + 0.5 * np.exp(-EPOCH / 4)
FROM_CURVES = (*LEARNING, *GENERALIZATION, *PREDICTION)
CHECK = pytest.mark.parametrize("check", FROM_CURVES, ids=[check.code for check in FROM_CURVES])


def curves(shape: np.ndarray, wiggle: float = 0.003) -> np.ndarray:
    """Curves (member, epoch) of one shape with a little noise of their own."""
    return shape + np.random.default_rng(0).normal(0, wiggle, (MEMBERS, len(shape)))


def scored(value: float, deviation: float = 0.02) -> np.ndarray:
    """Scores (repeat, fold) around a value."""
    return value + np.random.default_rng(1).normal(0, deviation, (REPEATS, FOLDS))


def seeds(split: float, seed: float) -> np.ndarray:
    """Scores (fold, seed) with standard deviations due to the split and due to the seed."""
    rng = np.random.default_rng(2)
    return 0.2 + rng.normal(0, split, (FOLDS, 1)) + rng.normal(0, seed, (FOLDS, SEEDS))


def healthy(**changes: object) -> Evidence:
    """A network that learns, carries over and does not mind its seed; with changes."""
    scores = seeds(0.03, 0.002)
    sound = {
        "loss": curves(FALLING - 0.02),
        "held_out_loss": curves(FALLING),
        "scores": scored(0.2),
        "fit_scores": scored(0.18),
        "seed_scores": scores,
        "flips": 0.01,
        "failed": np.zeros(MEMBERS, bool),
        "higher_is_better": False,
        "no_skill": NO_SKILL,
        "best_reference": BEST,
        "rope": 0.01,
        "spread": spread(scores),
        "metric": "log-loss",
    }
    return Evidence(**sound | changes)


def turned_upside_down(evidence: Evidence) -> Evidence:
    """The same facts under a score of which more is better; losses stay losses."""
    return replace(
        evidence,
        scores=-evidence.scores,
        fit_scores=-evidence.fit_scores,
        seed_scores=-evidence.seed_scores,
        higher_is_better=True,
        no_skill=-evidence.no_skill,
        best_reference=-evidence.best_reference,
        metric="AUC",
    )


def some(shape: np.ndarray, sound: np.ndarray, count: int) -> np.ndarray:
    """Curves of which the first `count` members have the one shape and the others the other."""
    mixed = curves(sound)
    mixed[:count] = curves(shape)[:count]
    return mixed


EXPLODING = 0.7 * 1.2**EPOCH
STRAIGHT = 0.7 - 0.2 * EPOCH / EPOCHS
TURNING = FALLING + np.maximum(0, EPOCH - 15) * 0.02
MEMORISING = 0.7 * np.exp(-EPOCH / 8)
SEEDY = seeds(0.03, 0.15)

PLANTED = {
    "L01": healthy(loss=some(EXPLODING, FALLING, 4)),
    "L02": healthy(loss=curves(0 * FALLING + 0.7), held_out_loss=curves(0 * FALLING + 0.7), scores=scored(0.7),
                   fit_scores=scored(0.69)),
    "L03": healthy(loss=curves(STRAIGHT), held_out_loss=curves(STRAIGHT), scores=scored(0.5)),
    "L04": healthy(scores=scored(0.41), fit_scores=scored(0.4)),
    "G01": healthy(loss=curves(MEMORISING), held_out_loss=curves(TURNING)),
    "G02": healthy(scores=scored(0.4), fit_scores=scored(0.01)),
    "G03": healthy(held_out_loss=curves(FALLING + np.maximum(0, EPOCH - 20) * 0.0009)),
    "P01": healthy(seed_scores=SEEDY, spread=spread(SEEDY), flips=0.2),
}  # fmt: skip
WITHOUT = {
    "L01": None,
    "L02": healthy(fit_scores=None),
    "L03": healthy(held_out_loss=None),
    "L04": healthy(best_reference=None),
    "G01": healthy(held_out_loss=None),
    "G02": healthy(fit_scores=None),
    "G03": healthy(held_out_loss=None),
    "P01": healthy(seed_scores=None, spread=None),
}


def look(code: str, evidence: Evidence):
    return next(check for check in CHECKS if check.code == code).look(evidence)


def test_the_table_stands_in_the_order_learning_generalization_prediction():
    areas = [check.area for check in FROM_CURVES]
    assert areas == sorted(areas, key=AREAS.index)
    assert len({check.code for check in CHECKS}) == len(CHECKS)
    assert set(PLANTED) == set(WITHOUT) == {check.code for check in FROM_CURVES}


@CHECK
def test_every_fault_has_a_remedy(check):
    assert [remedy.name for remedy in REMEDIES if check.fault in remedy.answers]


@pytest.mark.parametrize("check", CHECKS, ids=[check.code for check in CHECKS])
def test_no_check_leaves_a_person_without_advice(check):
    """Either remedies of the table answer it, or it says what to do by hand, in sentences; never both, nor neither."""
    answered = any(check.fault in remedy.answers for remedy in REMEDIES)
    assert answered != bool(check.by_hand)
    assert answered or (check.by_hand[0].isupper() and check.by_hand.endswith("."))


def test_what_to_do_by_hand_goes_with_the_finding():
    record = diagnose(PLANTED["P01"], REMEDIES)
    assert all(not finding.by_hand for finding in record.findings if finding.outcome == "clear")
    check = replace(next(c for c in CHECKS if c.code == "P01"), by_hand="Collect more rows.")
    (finding,) = diagnose(PLANTED["P01"], [], [check]).findings
    assert finding.by_hand == "Collect more rows."


@CHECK
def test_a_check_fires_on_what_was_planted(check):
    found = check.look(PLANTED[check.code])
    assert isinstance(found, Found)
    assert 0 < found.severity <= 1
    assert found.sentence.endswith(".")
    assert all(np.isfinite(value) for value in found.evidence.values())


@CHECK
def test_a_check_fires_whichever_way_the_score_points(check):
    one, other = check.look(PLANTED[check.code]), check.look(turned_upside_down(PLANTED[check.code]))
    assert isinstance(other, Found)
    # Where the loss is the score, the slow check knows how far the whole way was; else it can only guess.
    assert other.severity == pytest.approx(one.severity, rel=1e-6) or check.code == "L03"


@CHECK
def test_a_check_is_silent_on_health(check):
    clear = check.look(healthy())
    assert isinstance(clear, Clear)
    assert clear.sentence.endswith(".")
    assert isinstance(check.look(turned_upside_down(healthy())), Clear)


@CHECK
def test_a_check_abstains_without_its_evidence(check):
    if WITHOUT[check.code] is None:
        pytest.skip("the training loss is always there")
    outcome = check.look(WITHOUT[check.code])
    assert isinstance(outcome, NotApplicable)
    assert outcome.why
    assert not outcome.why.endswith(".")


@CHECK
def test_no_check_stumbles_over_trainings_that_all_failed(check):
    gone = np.full((MEMBERS, EPOCHS), np.nan)
    none = np.full((REPEATS, FOLDS), np.nan)
    lost = np.full((FOLDS, SEEDS), np.nan)
    evidence = healthy(
        loss=gone,
        held_out_loss=gone,
        scores=none,
        fit_scores=none,
        seed_scores=lost,
        spread=spread(lost),
        failed=np.ones(MEMBERS, bool),
    )
    assert isinstance(check.look(evidence), Found if check.code == "L01" else NotApplicable)


@CHECK
def test_two_epochs_are_judged_only_by_what_they_can_show(check):
    short = healthy(loss=curves(FALLING)[:, :2], held_out_loss=curves(FALLING)[:, :2])
    assert isinstance(check.look(short), NotApplicable if check.code in {"L03", "G01", "G03"} else Clear)


@pytest.mark.parametrize(
    ("code", "evidence"),
    [
        ("L01", healthy(loss=some(EXPLODING, FALLING, 3))),
        ("L03", healthy(loss=some(STRAIGHT, FALLING, 7), held_out_loss=some(STRAIGHT, FALLING, 7))),
        ("G01", healthy(loss=curves(MEMORISING), held_out_loss=some(TURNING, FALLING, 7))),
    ],
)
def test_the_share_of_members_that_show_it_is_reported(code, evidence):
    found = look(code, evidence)
    expected = 0.3 if code == "L01" else 0.7
    assert found.rate.value == pytest.approx(expected)
    assert found.rate.low < expected < found.rate.high
    assert f"{int(expected * 10)} of 10" in found.sentence


@pytest.mark.parametrize("code", ["L03", "G01"])
def test_a_minority_of_members_is_no_finding(code):
    shape = STRAIGHT if code == "L03" else TURNING
    loss = curves(MEMORISING) if code == "G01" else some(shape, FALLING, 4)
    assert isinstance(look(code, healthy(loss=loss, held_out_loss=some(shape, FALLING, 4))), Clear)


def test_one_training_without_numbers_is_one_too_many():
    failed = np.zeros(60, bool)
    failed[0] = True
    evidence = healthy(loss=np.tile(FALLING, (60, 1)), failed=failed)
    assert look("L01", evidence).rate.value == pytest.approx(1 / 60)


def test_a_loss_that_exploded_within_the_first_epoch_shows_in_what_it_does_to_the_score():
    """The curve only hovers at its height; on its own training rows the network is far worse than a constant."""
    flat = curves(0 * FALLING + 6)
    found = look("L01", healthy(loss=flat, held_out_loss=flat, scores=scored(6), fit_scores=scored(6)))
    assert isinstance(found, Found)
    assert found.severity == 1
    assert isinstance(look("L01", healthy(scores=scored(0.8), fit_scores=scored(0.75))), Clear)


def test_a_network_that_beats_no_constant_on_some_folds_is_stuck_there():
    fitted = scored(0.18)
    fitted[0, :3] = NO_SKILL
    found = look("L02", healthy(fit_scores=fitted))
    assert found.severity == pytest.approx(0.3)
    assert "3 of 10" in found.sentence


@pytest.mark.parametrize("epochs", [3, 5, 8])
def test_a_few_epochs_tell_whether_the_loss_still_falls(epochs):
    """Too few epochs are seen above all where epochs are few; a curve that has settled by then is left alone."""
    falling, settled = np.linspace(0.7, 0.5, epochs), np.r_[0.7, np.full(epochs - 1, 0.5)]
    for few, outcome in ((falling, Found), (settled, Clear)):
        shown = np.tile(few, (MEMBERS, 1))
        seen = look("L03", healthy(loss=shown, held_out_loss=shown, scores=scored(few[-1])))
        assert isinstance(seen, outcome)


def test_a_curve_that_fell_before_its_first_point_is_not_slow():
    """On a large table one epoch brings most of the way; its rest is small beside it, not beside what is shown."""
    rest = 0.23 - 0.004 * EPOCH / EPOCHS
    shown = curves(rest, 1e-5)
    assert isinstance(
        look("L03", healthy(loss=shown, held_out_loss=shown, scores=scored(0.226, 0.001))), Clear
    )
    # Under another score nothing says how far the way was.
    assert isinstance(look("L03", healthy(loss=shown, held_out_loss=shown, scores=scored(0.9, 0.001))), Found)


def test_severity_of_slowness_is_the_pace_at_the_end_over_the_average_pace():
    straight = curves(STRAIGHT, 1e-6)
    other_unit = {"scores": scored(0.3), "loss": straight, "held_out_loss": straight}
    assert look("L03", healthy(**other_unit)).severity == pytest.approx(1, abs=0.05)


def test_severity_of_overfitting_is_the_share_of_the_fall_that_is_lost_again():
    shape = np.concatenate([np.linspace(0.7, 0.2, 25), np.linspace(0.2, 0.4, 25)])
    found = look("G01", healthy(loss=curves(MEMORISING), held_out_loss=curves(shape, 1e-4)))
    assert found.severity == pytest.approx(0.2 / 0.5, abs=0.06)
    assert found.evidence["epoch of the lowest held-out loss"] == pytest.approx(25, abs=2)


def test_one_lucky_epoch_is_no_turning_point():
    lucky = curves(FALLING)
    lucky[:, 20] -= 0.15
    assert isinstance(look("G01", healthy(held_out_loss=lucky)), Clear)


def test_wiggles_of_a_loss_that_never_fell_are_no_overfitting():
    wiggling = curves(0.7 + 0 * FALLING, 0.002)
    still_falling = curves(0.7 - 0.1 * EPOCH / EPOCHS)
    assert isinstance(look("G01", healthy(loss=still_falling, held_out_loss=wiggling)), Clear)


def test_labels_learned_by_heart_are_overfitting_from_the_first_epoch():
    rising = curves(0.7 + 0.03 * EPOCH)
    found = look("G01", healthy(loss=curves(MEMORISING), held_out_loss=rising))
    assert isinstance(found, Found)
    assert found.severity == 1


def test_a_few_folds_may_lose_all_that_was_learned():
    """Of thirty rows, one confident mistake costs more than all others gain: three folds in ten hold one out."""
    costly = some(FALLING + 0.05 * EPOCH, FALLING, 3)
    found = look("G01", healthy(loss=curves(MEMORISING), held_out_loss=costly))
    assert isinstance(found, Found)
    assert found.rate.value == pytest.approx(0.3)
    assert "On average it ends at" in found.sentence
    one = some(FALLING + 0.2 * EPOCH, FALLING, 1)
    assert isinstance(look("G01", healthy(loss=curves(MEMORISING), held_out_loss=one)), Clear)
    gained = some(FALLING + 0.01 * EPOCH, FALLING, 3)
    assert isinstance(look("G01", healthy(loss=curves(MEMORISING), held_out_loss=gained)), Clear)


def test_a_simple_model_ahead_is_blamed_on_learning_or_on_carrying_over_never_on_both():
    fits_badly, fits_well = PLANTED["L04"], PLANTED["G02"]
    assert isinstance(look("G02", fits_badly), Clear)
    assert isinstance(look("L04", fits_well), Clear)
    assert look("L04", fits_badly).severity == pytest.approx((0.4 - BEST) / (NO_SKILL - BEST), abs=0.05)


def test_a_lead_that_may_be_chance_blames_nobody():
    wide = healthy(scores=scored(0.3, 0.4), fit_scores=scored(0.01))
    assert isinstance(look("G02", wide), Clear)


def test_a_reference_no_better_than_a_constant_is_no_reference():
    for code in ("L04", "G02"):
        assert isinstance(look(code, healthy(best_reference=NO_SKILL - 0.005)), NotApplicable)


def test_spread_below_what_counts_as_a_difference_is_not_reported():
    scores = seeds(0.03, 0.15)
    assert isinstance(look("P01", healthy(seed_scores=scores, spread=spread(scores), rope=0.5)), Clear)


def test_flipping_rows_count_only_beside_a_spread_that_does():
    scores = seeds(0.06, 0.11)
    doubtful = {"seed_scores": scores, "spread": spread(scores)}
    assert spread(scores).seed.low < 0.05 < spread(scores).seed.value
    assert isinstance(look("P01", healthy(**doubtful, flips=0.01)), Clear)
    assert isinstance(look("P01", healthy(**doubtful, flips=0.2)), Found)
    assert isinstance(look("P01", healthy(flips=0.2)), Clear)


@pytest.mark.parametrize(
    ("area", "evidence"),
    [
        ("learning", PLANTED["L01"]),
        ("healthy", PLANTED["L03"]),
        ("learning", replace(PLANTED["P01"], fit_scores=scored(NO_SKILL))),
        ("learning", replace(PLANTED["G01"], failed=np.arange(MEMBERS) < 1)),
        ("generalization", PLANTED["G01"]),
        ("generalization", replace(PLANTED["P01"], loss=curves(MEMORISING), held_out_loss=curves(TURNING))),
        ("prediction", PLANTED["P01"]),
        ("healthy", healthy()),
    ],
)
def test_the_first_area_with_a_finding_names_the_problem(area, evidence):
    diagnosis = diagnose(evidence, REMEDIES)
    assert diagnosis.area == area
    assert [finding.code for finding in diagnosis.findings] == [check.code for check in CHECKS]
    for finding in diagnosis.findings:
        assert finding.sentence
        seen = finding.outcome in {"found", "suspected"}
        assert bool(finding.remedies) == bool(finding.fault) == seen
    assert diagnosis.model_validate_json(diagnosis.model_dump_json()) == diagnosis


def interval(value: float, half: float) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half, method="planted", n=10)


def test_where_nothing_beats_a_constant_there_is_no_signal():
    memorised = {"scores": scored(1.5), "fit_scores": scored(0.05)}
    nothing = healthy(**memorised, best_reference=NO_SKILL)
    assert diagnose(nothing, ()).area == "no signal"
    # A lead that is a chance matter is none, however small the region of equivalence it makes.
    chance = healthy(**memorised, best_reference=0.68, rope=0.001, reference=interval(0.68, 0.1))
    assert diagnose(chance, ()).area == "no signal"
    assert diagnose(replace(chance, reference=interval(0.68, 0.01)), ()).area != "no signal"


def test_a_network_that_beats_a_constant_where_nothing_else_does_has_a_signal():
    assert diagnose(healthy(best_reference=NO_SKILL), ()).area == "healthy"


def test_a_broken_network_is_not_mistaken_for_a_table_without_signal():
    broken = healthy(scores=scored(6, 3), fit_scores=scored(6, 3))
    assert diagnose(broken, ()).area == "learning"
