"""Which remedies an examination tries, and in what order, where not all can be tried."""

import importlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from caviar.measuring.trial import Trial
from caviar.progress import Clock, Voice
from caviar.remedies.contract import Remedy
from caviar.remedies.table import REMEDIES
from tests.diagnose.test_explain import seen
from tests.measuring.test_trial import BENCH, ROPE, arm_of

examination = importlib.import_module("caviar.doctor.examination")


def remedy_of(name: str, family: str) -> Remedy:
    return Remedy(name, name.title(), family, "", "", (), lambda recipe: recipe)


@pytest.fixture
def tried(monkeypatch):
    """Names that are tried, one list per population; those of a family `unfit` do not apply."""
    monkeypatch.setattr(examination, "judge_trial", lambda *_: [])

    def run(remedies: list[Remedy], most: int) -> list[list[str]]:
        populations = []

        def try_some(seen, choices, *, diagnosing):
            assert not diagnosing
            names = [remedy.name for (remedy,) in choices]
            populations.append(names)
            fit = [remedy for (remedy,) in choices if remedy.family != "unfit"]
            seen.trial.arms += [SimpleNamespace(recipe=SimpleNamespace(name=remedy.name)) for remedy in fit]

        one = examination.Examination(None, Voice(quiet=True), Clock(None))
        one._try = try_some
        seen = SimpleNamespace(
            trial=Trial(None),
            evidence=SimpleNamespace(rope=0.1),
            record=SimpleNamespace(findings=[]),
        )
        one.tried(seen, remedies, most=most)
        return populations

    return run


def test_a_large_family_leaves_room_for_those_whose_turn_comes_earlier(tried):
    rates = [remedy_of(f"rate-{i}", "rate") for i in range(4)]
    others = [remedy_of("scaling", "scaling"), remedy_of("wider", "width")]
    in_turn = [rates[0], others[0], rates[1], others[1], *rates[2:]]
    assert tried(in_turn, 4) == [["rate-0", "rate-1"], ["scaling"], ["wider"]]
    assert tried(in_turn, 6) == [["rate-0", "rate-1", "rate-2", "rate-3"], ["scaling"], ["wider"]]


def test_what_does_not_apply_takes_no_room(tried):
    remedies = [
        remedy_of("a", "unfit"),
        remedy_of("b", "unfit"),
        remedy_of("c", "rate"),
        remedy_of("d", "width"),
    ]
    assert tried(remedies, 2) == [["a", "b"], ["c"], ["d"]]
    assert tried(remedies[2:], 1) == [["c"]]


@pytest.mark.parametrize(
    ("fits", "higher_is_better", "larger_ones"),
    [
        (0.0, False, False),
        (0.009, False, False),
        (0.02, False, True),
        (1.0, True, False),
        (0.995, True, False),
        (0.98, True, True),
    ],
)
def test_larger_networks_are_tried_only_where_training_rows_leave_room(fits, higher_is_better, larger_ones):
    scores = np.full((3, 5), fits)
    baseline = SimpleNamespace(fit_scores=scores)
    trial = Trial(baseline, worst=1 - higher_is_better, higher_is_better=higher_is_better)
    found = examination.no_room(SimpleNamespace(trial=trial, evidence=SimpleNamespace(rope=0.01)))
    assert ("wider" in found) != larger_ones
    assert ("deeper" in found) != larger_ones
    assert not {"narrower", "early-stopping"} & found
    baseline.fit_scores = None
    assert not examination.no_room(SimpleNamespace(trial=trial, evidence=None))


def arm_ending(*losses: float) -> SimpleNamespace:
    """Trainings whose loss falls from 1 to these numbers; the last value is missing, as after a stop."""
    curves = np.array([[1.0, loss, np.nan] for loss in losses])
    return SimpleNamespace(history=xr.Dataset({"loss": (("member", "epoch"), curves)}))


def test_a_better_fit_is_told_from_one_by_chance():
    base = arm_ending(0.5, 0.52, 0.48, 0.51, 0.49, 0.5)
    assert examination.fits_better(arm_ending(0.1, 0.2, 0.15, 0.3, 0.1, 0.2), base)
    assert not examination.fits_better(arm_ending(0.5, 0.53, 0.47, 0.51, 0.48, 0.5), base)
    assert not examination.fits_better(base, arm_ending(0.1, 0.2, 0.15, 0.3, 0.1, 0.2))
    assert not examination.fits_better(arm_ending(np.inf), base)


@pytest.mark.parametrize("before", [[], ["early-stopping"]])
def test_what_fits_better_and_scores_worse_is_tried_again_with_training_stopped_in_time(monkeypatch, before):
    """Stopping alone is tried beside it once, to tell what is due to which."""
    relu = next(remedy for remedy in REMEDIES if remedy.name == "relu")
    monkeypatch.setattr(examination, "in_time", lambda *_: [relu])
    asked = []
    one = examination.Examination(None, Voice(quiet=True), Clock(None))
    one._try = lambda _, choices: asked.extend(["+".join(r.name for r in choice) for choice in choices])
    arms = [SimpleNamespace(recipe=SimpleNamespace(name=name)) for name in before]
    one._try_in_time(SimpleNamespace(record=None, trial=Trial(None, arms)), [])
    assert asked == [name for name in ("early-stopping", "relu+early-stopping") if name not in before]


@pytest.mark.parametrize(("verdict", "asked"), [("helps", ["longer"]), ("harms", [])])
def test_where_a_larger_network_helps_the_same_one_is_trained_for_longer(verdict, asked):
    said = []
    one = examination.Examination(None, Voice(quiet=True), Clock(None))
    one._try = lambda _, choices: said.extend([remedy.name for (remedy,) in choices])
    judged = [SimpleNamespace(remedy="wider", verdict=verdict, steadier=None)]
    one._try_longer(SimpleNamespace(trial=Trial(None)), judged)
    assert said == asked
    said.clear()
    tried = SimpleNamespace(recipe=SimpleNamespace(name="longer"))
    one._try_longer(SimpleNamespace(trial=Trial(None, [tried])), judged)
    assert said == []


def test_a_better_fit_is_measured_on_the_training_rows():
    """Their scores point the way of the metric, and no training counts as worse than the worst that counts."""
    one, other = (SimpleNamespace(fit_scores=np.full((3, 5), value)) for value in (0.5, 0.2))
    assert examination.fits_by(Trial(one), other) == pytest.approx(0.3)
    assert examination.fits_by(Trial(one, higher_is_better=True), other) == pytest.approx(-0.3)
    lost = SimpleNamespace(fit_scores=np.full((3, 5), np.nan))
    assert examination.fits_by(Trial(lost, worst=1.0), other) == pytest.approx(0.8)
    assert np.isnan(examination.fits_by(Trial(one), SimpleNamespace(fit_scores=None)))


def test_combinations_are_of_cures_or_of_averages_and_none_is_tried_twice(monkeypatch):
    helping = ["adam", "wider", "ensemble-5", "blend-trees"]
    verdicts = [
        SimpleNamespace(remedy=name, verdict="helps", difference=SimpleNamespace(value=1.0))
        for name in helping
    ]
    monkeypatch.setattr(examination, "judge_trial", lambda *_: verdicts)
    one = examination.Examination(None, Voice(quiet=True), Clock(None))
    asked = []

    def try_some(seen, choices):
        names = ["+".join(remedy.name for remedy in choice) for choice in choices]
        asked.extend(names)
        seen.trial.arms += [SimpleNamespace(recipe=SimpleNamespace(name=name)) for name in names]

    one._try = try_some
    seen = SimpleNamespace(trial=Trial(None), evidence=SimpleNamespace(rope=0.1), record=None)
    one.combined(seen)
    assert sorted(map(sorted, (name.split("+") for name in asked))) == [
        ["adam", "wider"],
        ["blend-trees", "ensemble-5"],
    ]
    asked.clear()
    one.combined(seen)
    assert asked == []


@pytest.mark.parametrize(
    ("main", "gain", "begun", "given_up"),
    [
        ("early-stopping", 0.2, "l2-0.01", True),
        ("early-stopping", 0.001, "l2-0.01", False),  # no help that was shown
        ("early-stopping", 0.06, "l2-0.01", False),  # ahead, and not clearly
        ("wider", 0.2, "l2-0.01", False),  # larger networks are told from luck by what else helps
        ("early-stopping", 0.2, "scaling", False),  # another cause that was seen
    ],
)
def test_what_is_surely_outdone_is_given_up_where_it_can_tell_nothing_more(main, gain, begun, given_up):
    best, arm = arm_of(gain, main), arm_of(0.05, begun)
    first = replace(arm, each=arm.each[:1])
    by_name = {remedy.name: remedy for remedy in REMEDIES}
    one = examination.Examination(BENCH, Voice(quiet=True), Clock(None))
    looked_at = SimpleNamespace(
        trial=Trial(arm_of(0), [best]),
        evidence=SimpleNamespace(rope=ROPE, model=None),
        record=seen(G01="overfitting", D02="unscaled_input"),
    )
    assert one._is_outdone(looked_at, [by_name[begun]], first) == given_up


@pytest.mark.parametrize(("begun", "given_up"), [("dropout-0.2", False), ("scaling", True), ("wider", False)])
def test_what_names_a_fault_is_not_given_up_beside_an_average(begun, given_up):
    """Averaging seeds helps whatever is wrong: a fault whose remedy gains less is still what is wrong."""
    best, first = arm_of(0.2, "ensemble-5"), arm_of(0.1, begun)
    one = examination.Examination(BENCH, Voice(quiet=True), Clock(None))
    looked_at = SimpleNamespace(
        trial=Trial(arm_of(0), [best]),
        evidence=SimpleNamespace(rope=ROPE, model=None),
        record=seen(G02="missing_regularisation", P01="seed_variance"),
    )
    remedy = next(remedy for remedy in REMEDIES if remedy.name == begun)
    assert one._is_outdone(looked_at, [remedy], replace(first, each=first.each[:1])) == given_up


@pytest.mark.parametrize(
    ("helping", "gain", "given_up"),
    [
        ("early-stopping", 0.3, True),
        ("early-stopping", 0.36, False),  # by more than counts, and about as much
        ("early-stopping+dropout-0.2", 0.3, False),  # a combination explains nothing
    ],
)
def test_only_what_a_single_remedy_clearly_outdoes_is_given_up(helping, gain, given_up):
    first = arm_of(gain, "l2-0.01")
    one = examination.Examination(BENCH, Voice(quiet=True), Clock(None))
    looked_at = SimpleNamespace(
        trial=Trial(arm_of(0), [arm_of(0.4, helping)]),
        evidence=SimpleNamespace(rope=ROPE, model=None),
        record=seen(G01="overfitting"),
    )
    remedy = next(remedy for remedy in REMEDIES if remedy.name == "l2-0.01")
    assert one._is_outdone(looked_at, [remedy], replace(first, each=first.each[:1])) == given_up


def test_of_those_ahead_the_one_that_answers_the_same_fault_outdoes():
    """Another one that gains a little more and answers something else hides nothing."""
    helping = [arm_of(0.2, "early-stopping"), arm_of(0.21, "label-smoothing")]
    first = arm_of(0.05, "dropout-0.2")
    one = examination.Examination(BENCH, Voice(quiet=True), Clock(None))
    remedy = next(remedy for remedy in REMEDIES if remedy.name == "dropout-0.2")
    for some, given_up in ((helping, True), (helping[1:], False)):
        looked_at = SimpleNamespace(
            trial=Trial(arm_of(0), some),
            evidence=SimpleNamespace(rope=ROPE, model=None),
            record=seen(G01="overfitting", G06="miscalibrated"),
        )
        assert one._is_outdone(looked_at, [remedy], replace(first, each=first.each[:1])) == given_up
