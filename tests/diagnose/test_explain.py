"""What a trial says of what was seen: causes are found, oddities are harmless, symptoms wait for the next look."""

import numpy as np
import pytest

from caviar.diagnose.diagnosis import diagnose
from caviar.diagnose.explain import (
    as_cures_of,
    candidates,
    explained,
    in_time,
    is_clear,
    large_enough,
    may_be_beside,
)
from caviar.diagnose.facts import data_facts
from caviar.estimate import Estimate
from caviar.remedies.table import REMEDIES
from caviar.run.record import ComparisonRecord, DiagnosisRecord
from tests.diagnose.test_diagnosis import healthy

CHECKED = {finding.code: finding for finding in diagnose(healthy(), REMEDIES).findings}


def seen(**faults: str) -> DiagnosisRecord:
    """A diagnosis in which some checks, by code, saw a fault; the others saw nothing."""
    findings = []
    for code, finding in CHECKED.items():
        if code in faults:
            outcome = "found" if code in {"L01", "L02", "G01", "P01"} else "suspected"
            answers = [r for r in REMEDIES if faults[code] in r.answers]
            names = [r.name for r in sorted(answers, key=lambda r: r.cures != faults[code])]
            findings.append(
                finding.model_copy(update={"outcome": outcome, "fault": faults[code], "remedies": names})
            )
        else:
            findings.append(finding)
    areas = [f.area for f in findings if f.outcome == "found"]
    return DiagnosisRecord(area=areas[0] if areas else "healthy", sentence="", findings=findings)


def compared(**gains: float) -> list[ComparisonRecord]:
    """Comparisons by remedy (`_` for `-`); a gain of 0 means that it does not help."""
    return [
        ComparisonRecord(
            remedy=name.replace("_", "-"),
            difference=Estimate(value=gain, low=gain, high=gain, method="planted", n=15),
            narrow=Estimate(value=gain, low=gain, high=gain, method="planted", n=15),
            p=0.001,
            p_holm=0.001,
            verdict="helps" if gain > 0 else "no practical difference",
            sentence="",
        )
        for name, gain in gains.items()
    ]


def found(diagnosis: DiagnosisRecord) -> dict[str, str]:
    return {f.code: f.fault for f in diagnosis.findings if f.outcome == "found"}


def outcome(diagnosis: DiagnosisRecord, code: str) -> str:
    return next(f.outcome for f in diagnosis.findings if f.code == code)


def test_remedies_of_all_checks_take_turns():
    names = candidates(seen(D02="unscaled_input", S08="init"), REMEDIES)
    assert names[:2] == ["first-weights", "scaling"]  # the own remedy of each, in the order of the checks
    assert len(names) == len(set(names))
    assert candidates(seen(), REMEDIES) == []


def test_a_cause_seen_in_the_data_explains_a_symptom_that_it_takes_away():
    told = explained(
        seen(D02="unscaled_input", L02="not_trained"), compared(scaling=0.5, lower_rate=0.48), REMEDIES
    )
    assert found(told) == {"D02": "unscaled_input"}
    assert told.area == "learning"
    assert outcome(told, "L02") == "suspected"


def test_an_oddity_whose_removal_changes_nothing_is_harmless():
    told = explained(seen(S13="over_regularised"), compared(less_regularization=0.0), REMEDIES)
    assert told.area == "healthy"
    assert outcome(told, "S13") == "harmless"


def test_what_looks_better_and_was_not_decided_is_not_harmless():
    diagnosis = seen(D02="unscaled_input")
    answers = next(f for f in diagnosis.findings if f.code == "D02").remedies
    nothing = compared(**{name.replace("-", "_"): 0.0 for name in answers})
    assert outcome(explained(diagnosis, nothing, REMEDIES), "D02") == "harmless"
    for gain, said in ((0.1, "suspected"), (-0.1, "harmless")):
        unclear = compared(**{answers[0].replace("-", "_"): gain})[0]
        unclear = unclear.model_copy(update={"verdict": "not enough data"})
        assert outcome(explained(diagnosis, [unclear, *nothing[1:]], REMEDIES), "D02") == said


def test_what_had_nothing_to_change_need_not_be_tried():
    """Of the remedies for the batch size, one was tried without effect, and the others do not apply."""
    unusual = seen(S15="batch_size")
    others = {r.name for r in REMEDIES if "batch_size" in r.answers} - {"batch-32"}
    assert others
    tried = compared(batch_32=0.0)
    assert outcome(explained(unusual, tried, REMEDIES), "S15") == "suspected"
    assert outcome(explained(unusual, tried, REMEDIES, unfit=others), "S15") == "harmless"
    assert outcome(explained(unusual, [], REMEDIES, unfit={*others, "batch-32"}), "S15") == "suspected"


def test_what_had_nothing_to_change_is_not_said_to_help():
    unscaled = seen(D02="unscaled_input")
    named = next(f.remedies for f in unscaled.findings if f.code == "D02")
    assert len(named) > 2
    told = explained(unscaled, compared(scaling=0.5), REMEDIES, unfit=set(named[1:]) - {"scaling"})
    helpful = next(f.remedies for f in told.findings if f.code == "D02")
    assert helpful[0] == "scaling"
    assert set(helpful) == {"scaling", named[0]}


def test_what_no_remedy_answers_is_not_called_harmless():
    """Validation rows of another kind: nothing was tried, so nothing is known."""
    shifted = seen(D08="train_val_shift")
    assert next(f for f in shifted.findings if f.code == "D08").remedies == []
    assert outcome(explained(shifted, compared(scaling=0.0), REMEDIES), "D08") == "suspected"


def test_what_was_not_tried_stays_suspected():
    told = explained(seen(D02="unscaled_input"), [], REMEDIES)
    assert outcome(told, "D02") == "suspected"
    assert told.area == "healthy"


def test_a_symptom_without_a_cause_that_was_seen_is_named_by_what_takes_it_away():
    told = explained(seen(L02="not_trained"), compared(much_higher_rate=0.5, longer=0.1), REMEDIES)
    assert found(told) == {"L02": "learning_rate_low"}


def test_a_specific_symptom_keeps_its_name():
    told = explained(seen(L07="dead_relu"), compared(leaky_relu=0.3), REMEDIES)
    assert found(told) == {"L07": "dead_relu"}


def test_the_larger_gain_explains_if_they_differ_clearly():
    told = explained(
        seen(D02="unscaled_input", L03="slow_convergence"),
        compared(scaling=0.1, longer=0.5, higher_rate=0.2),
        REMEDIES,
    )
    assert found(told)["L03"] == "epochs_too_few"
    assert found(told)["D02"] == "unscaled_input"  # its own remedy helps as well, but less


def test_what_is_bad_in_itself_stays_found_where_nothing_helps():
    told = explained(seen(L01="diverging"), compared(scaling=0.0), REMEDIES)
    assert found(told) == {"L01": "diverging"}


def test_no_signal_stays_no_signal():
    nothing = seen(D02="unscaled_input").model_copy(update={"area": "no signal"})
    assert explained(nothing, [], REMEDIES).area == "no signal"


@pytest.mark.parametrize(("gain", "clear"), [(0.6, True), (0.4, False)])
def test_it_is_clear_when_a_cause_that_was_seen_explains_most(gain, clear):
    assert is_clear(seen(D02="unscaled_input"), compared(scaling=gain), REMEDIES, 1.0) is clear
    assert not is_clear(seen(L02="not_trained"), compared(scaling=0.9), REMEDIES, 1.0)


def test_what_makes_seeds_agree_explains_why_they_did_not():
    """No remedy is better on average, but a lower rate takes most of the spread between seeds away."""
    unsteady = seen(P01="seed_variance", S10="learning_rate_high")
    for finding in unsteady.findings:
        if finding.code == "P01":
            finding.evidence["standard deviation due to the seed"] = 0.1
    calm = [c.model_copy(update={"steadier": 0.2}) for c in compared(lower_rate=0.0)]
    assert found(explained(unsteady, calm, REMEDIES)) == {"S10": "learning_rate_high"}
    assert found(explained(unsteady, compared(lower_rate=0.0), REMEDIES)) == {"P01": "seed_variance"}
    assert found(explained(seen(S10="learning_rate_high"), calm, REMEDIES)) == {}


def test_a_cause_that_hides_behind_overfitting_is_tried_again_with_training_stopped_in_time():
    """Eight sigmoids keep a network from learning its rows by heart: with ReLUs it does so, and scores worse."""
    deep = seen(S07="hidden_activation", G01="overfitting")
    worse = compared(relu=0.0, selu=0.0, early_stopping=0.0)
    for one, loss in zip(worse, (0.3, 0.2, 0.1), strict=True):
        level = Estimate(value=-loss, low=-loss, high=-loss, method="planted", n=15)
        one.difference, one.verdict = level, "harms"
    assert [one.name for one in in_time(deep, worse, REMEDIES, {"relu", "selu"}.__contains__)] == ["selu"]
    assert (
        in_time(deep, worse, REMEDIES, lambda _: False) == []
    )  # training rows are fitted no better: it is no cause
    assert (
        in_time(deep, compared(relu=0.1, selu=0.0), REMEDIES, lambda _: True) == []
    )  # another of its remedies helps
    assert in_time(seen(G01="overfitting"), worse, REMEDIES, lambda _: True) == []
    both = "selu+early-stopping"
    told = explained(deep, [*worse, *compared(**{both: 0.1})], REMEDIES)
    assert found(told) == {"S07": "hidden_activation"}
    assert told.area == "learning"
    assert (
        "SELU in hidden layers, stopped in time" in next(f for f in told.findings if f.code == "S07").sentence
    )
    # What stopping alone gains as well is no gain of the other remedy.
    alone = [*compared(selu=0.0, early_stopping=0.1), *compared(**{both: 0.1})]
    assert found(explained(deep, alone, REMEDIES)) == {"G01": "overfitting"}


def test_too_few_units_are_told_from_luck_by_what_widening_gains_beside_averaging():
    """A small network gets stuck here or there by chance: more units take that away, and more than an average does."""
    unsteady = seen(P01="seed_variance")
    assert candidates(unsteady, REMEDIES)[:2] == ["ensemble-5", "wider"]
    told = explained(unsteady, compared(wider=0.07, ensemble_5=0.02), REMEDIES)
    assert found(told) == {"P01": "capacity_too_small"}
    assert "Taking it away (Four times as wide) helps." in told.findings[list(CHECKED).index("P01")].sentence
    for gains in ({"wider": 0.05, "ensemble_5": 0.05}, {"wider": 0.0, "ensemble_5": 0.02}, {"wider": 0.0}):
        assert found(explained(unsteady, compared(**gains), REMEDIES)) == {"P01": "seed_variance"}


@pytest.mark.parametrize(
    ("fits", "cause"),
    [
        ({"wider": 0.17, "longer": 0.11}, "epochs_too_few"),  # the same network gets there, given time
        ({"wider": 0.17, "longer": 0.05}, "capacity_too_small"),
        ({"wider": 0.005, "longer": 0.0}, "epochs_too_few"),  # a larger network fits its rows no better
        ({"wider": float("nan"), "longer": 0.0}, "epochs_too_few"),
    ],
)
def test_a_network_that_gets_there_with_more_epochs_is_not_too_small(fits, cause):
    """After a thirtieth of the epochs, four times the units help most: larger networks also learn faster."""
    tried = compared(wider=0.12, longer=0.08)
    enough = large_enough(tried, REMEDIES, fits.__getitem__, 0.01)
    told = explained(seen(L04="underfitting"), tried, REMEDIES, no_cause=enough)
    assert found(told) == {"L04": cause}


def test_what_fits_better_and_does_not_help_says_nothing_about_the_size():
    tried = compared(wider=0.12, longer=0.0)
    assert large_enough(tried, REMEDIES, {"wider": 0.17, "longer": 0.17}.__getitem__, 0.01) == set()


def test_a_larger_network_that_only_makes_seeds_agree_was_not_missing():
    """500 units that know 24 rows by heart: 2,000 agree better, and have nothing more to fit."""
    unsteady = seen(P01="seed_variance")
    for finding in unsteady.findings:
        if finding.code == "P01":
            finding.evidence["standard deviation due to the seed"] = 0.1
    calm = [c.model_copy(update={"steadier": 0.2}) for c in compared(wider=0.0)]
    enough = large_enough(calm, REMEDIES, {"wider": 0.0002}.__getitem__, 0.01)
    assert enough == {"wider"}
    assert found(explained(unsteady, calm, REMEDIES, no_cause=enough)) == {"P01": "seed_variance"}


def test_averaging_seeds_explains_only_where_nothing_else_does():
    both = seen(G01="overfitting", P01="seed_variance")
    told = explained(both, compared(ensemble_5=0.5, early_stopping=0.1), REMEDIES)
    assert found(told) == {"G01": "overfitting"}
    assert told.area == "generalization"
    told = explained(both, compared(ensemble_5=0.5, early_stopping=0.0), REMEDIES)
    assert found(told) == {"G01": "overfitting", "P01": "seed_variance"}  # overfitting is bad in itself
    assert told.area == "generalization"


def test_another_predictor_beside_the_network_explains_nothing():
    """Boosted trees may be better whatever is wrong with the network."""
    suspected = seen(G02="overfitting")
    names = next(f.remedies for f in suspected.findings if f.code == "G02")
    blends = {name: 0.5 for name in names if name.startswith("blend-")}
    assert len(blends) == 3
    others = {name: 0.0 for name in names if name not in blends}
    assert outcome(explained(suspected, compared(**blends), REMEDIES), "G02") == "suspected"
    assert outcome(explained(suspected, compared(**blends, **others), REMEDIES), "G02") == "harmless"
    assert outcome(explained(suspected, compared(**others), REMEDIES), "G02") == "harmless"
    others["dropout-0.2"] = 0.1
    assert found(explained(suspected, compared(**blends, **others), REMEDIES)) == {"G02": "overfitting"}
    assert not is_clear(suspected, compared(**blends), REMEDIES, distance=0.6)


def test_what_is_bad_in_itself_and_has_no_remedy_stays_beside_a_cause_that_helps():
    """A step that climbs its own loss does so at any rate; a rate that makes it climb slowly only hides that."""
    diagnosis = seen(L20="wrong_gradient_sign", L16="learning_rate_high")
    diagnosis = diagnosis.model_copy(
        update={
            "findings": [
                f.model_copy(update={"outcome": "found"}) if f.code == "L20" else f
                for f in diagnosis.findings
            ]
        }
    )
    told = found(explained(diagnosis, compared(lower_rate=0.2), REMEDIES))
    assert told == {"L20": "wrong_gradient_sign", "L16": "learning_rate_high"}


def test_the_same_optimizer_at_another_rate_is_a_matter_of_the_rate():
    """Adam at 0.001 helps a network that was trained by Adam: what was wrong is its rate; else it is the optimizer."""
    stuck = seen(L02="not_trained")
    for optimizer, rate, fault in (
        ("Adam", 1e-6, "learning_rate_low"),
        ("Adam", 1.0, "learning_rate_high"),
        ("SGD", 1e-6, "optimizer"),
        ("Adam", None, "optimizer"),
    ):
        told = explained(stuck, compared(adam=0.5), as_cures_of(REMEDIES, optimizer, rate))
        assert found(told) == {"L02": fault}


@pytest.mark.parametrize(
    ("size", "centre", "fault"),
    [(1.0, 0.0, "slow_convergence"), (10.0, 0.0, "unscaled_input"), (0.3, 50.0, "unscaled_input")],
)
def test_inputs_of_a_usual_size_are_not_called_unscaled(size, centre, fault):
    """Bending the outliers of standardised inputs helps a little: that is no sign that they were not scaled."""
    x = np.random.default_rng(0).normal(size=(200, 3))
    x[:, 0] = centre + size * x[:, 0]
    data = data_facts(x, x[:, :1], task="regression", n_classes=0)
    known = as_cures_of(REMEDIES, "Adam", 1e-3, data)
    told = explained(seen(L03="slow_convergence"), compared(scaling=0.1), known)
    assert found(told) == {"L03": fault}


def test_one_far_value_leaves_standardised_inputs_unscaled():
    x = np.random.default_rng(0).normal(size=(200, 3))
    x[0, 0] = 30.0
    data = data_facts(x, np.zeros(200, int), task="binary", n_classes=2)
    (scaling,) = [one for one in as_cures_of(REMEDIES, "Adam", 1e-3, data) if one.name == "scaling"]
    assert scaling.cures == "unscaled_input"


@pytest.mark.parametrize(
    ("faults", "name", "main", "beside"),
    [
        # A cause seen in the data counts however little it brings.
        ({"G01": "overfitting", "D02": "unscaled_input"}, "scaling", "early-stopping", True),
        # Both take away the same fault, or are of one kind.
        ({"G01": "overfitting"}, "l2-0.01", "early-stopping", False),
        ({"G01": "overfitting", "D02": "unscaled_input"}, "standard-inputs", "scaling", False),
        ({"S10": "learning_rate_high"}, "lower-rate", "adam", False),
        # A symptom may be an effect of what the other one takes away.
        ({"L19": "batch_size"}, "batch-32", "early-stopping", False),
        # It answers nothing that was seen; or only how much hangs on the seed.
        ({"G01": "overfitting"}, "scaling", "early-stopping", False),
        ({"G01": "overfitting", "P01": "seed_variance"}, "ensemble-5", "early-stopping", False),
    ],
)
def test_what_gains_less_may_only_be_another_cause_by_what_it_answers(faults, name, main, beside):
    by_name = {remedy.name: remedy for remedy in REMEDIES}
    assert may_be_beside(seen(**faults), by_name[name], by_name[main]) == beside
