"""Which remedies are tried, in what order, at what expected cost; which recipe is chosen, and why."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from caviar.data.load import load
from caviar.data.prepare import PreparationPlan
from caviar.data.split import make_splits
from caviar.errors import DataError, ModelError
from caviar.evaluate.metrics import find_metric
from caviar.measuring import trial as trial_module
from caviar.measuring.trial import (
    Budget,
    Trial,
    choose,
    combinations,
    corrected_score,
    expected_steps,
    helpers,
    in_order,
    interaction,
    judge_trial,
    judge_useless,
    treated,
    try_some,
)
from caviar.population import devices
from caviar.population.job import Monitor
from caviar.progress import OutOfTime
from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable, Remedy
from caviar.remedies.table import REMEDIES
from caviar.run.record import ArmRecord

devices.start()
import keras  # noqa: E402 - only once JAX is its backend

from caviar.measuring.measure import Arm, Bench, measure  # noqa: E402

ROWS, FOLDS, REPEATS = 300, 5, 3
ROPE = 0.01
FOREVER = Budget(lambda: float("inf"))


def builder(n_inputs: int) -> keras.Model:
    layers = [keras.Input((n_inputs,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(1, "sigmoid")]
    model = keras.Sequential(layers)
    model.compile("sgd", "binary_crossentropy")
    return model


def bench_of(metric="log-loss", rows=ROWS, folds=FOLDS, repeats=REPEATS, **columns) -> Bench:
    x = np.random.default_rng(0).normal(size=rows)
    frame = pl.DataFrame({"x": x, "z": x**2, "y": np.where(x > 0, "yes", "no"), **columns})
    dataset = load(frame, "y", **{name: name for name in columns})
    return Bench(dataset, make_splits(dataset, folds, repeats, 0), find_metric(metric, "binary"), (), 0)


BENCH = bench_of()
BASELINE = Recipe("baseline", "Baseline", builder, 32, 4, PreparationPlan())


def arm_of(gain: float, name="baseline", deviation=0.005, bench=BENCH, seconds=1.0, steps=1000) -> Arm:
    """An arm whose log-loss is lower than the baseline's 0.5 by `gain`."""
    rng = np.random.default_rng(list(name.encode()))
    shared = np.random.default_rng(9).normal(0, 0.05, (REPEATS, FOLDS))
    scores = 0.5 - gain + shared + rng.normal(0, deviation, (REPEATS, FOLDS))
    right = np.exp(-np.clip(0.5 - gain + rng.normal(0, 0.3, (REPEATS, ROWS)), 0.01, None))
    target = bench.dataset.target
    oof = np.empty((REPEATS, ROWS, 2))
    oof[:, np.arange(ROWS), target], oof[:, np.arange(ROWS), 1 - target] = right, 1 - right
    return Arm(
        recipe=replace(BASELINE, name=name, title=name.title()),
        record=ArmRecord(name=name, title=name, what=""),
        scores={"log-loss": scores},
        each=scores[:, :, None],
        history=None,
        seed_scores=None,
        fit_scores=None,
        row_losses=-np.log(right).mean(axis=0),
        oof=oof,
        seed_oof=None,
        failed=np.zeros(1, bool),
        seconds=seconds,
        steps=steps,
    )


def remedy_of(name: str, family: str | None = None, apply=None) -> Remedy:
    return Remedy(
        name, name.title(), family or name, "What.", "Source.", ("overfitting",), apply or (lambda r: r)
    )


def trial_of(**gains: float) -> tuple[Trial, list]:
    """A trial of arms with planted gains, judged; `_` in a name stands for `+`."""
    made = Trial(arm_of(0), [arm_of(gain, name.replace("_", "+")) for name, gain in gains.items()])
    return made, judge_trial(BENCH, made, ROPE)


def test_what_the_diagnosis_asks_for_is_tried_first_and_nothing_twice():
    a, b, c = (remedy_of(name) for name in "abc")
    assert in_order([a, b, c], ["c", "b", "c", "unknown"]) == [c, b, a]
    assert in_order([a, b, c], []) == [a, b, c]


def test_a_treated_recipe_is_named_after_its_remedies_and_notes_each_change():
    by_name = {r.name: r for r in REMEDIES}
    recipe = treated(BASELINE, [by_name["longer"], by_name["ensemble-5"]])
    assert recipe.name == "longer+ensemble-5"
    assert recipe.title == f"{by_name['longer'].title} + {by_name['ensemble-5'].title}"
    assert [name for name, _ in recipe.changes] == ["epochs", "ensemble"]
    assert (recipe.epochs, recipe.ensemble) == (12, 5)


def test_expected_steps_are_those_that_training_takes():
    """Ten short folds: batches are rounded up, epochs and ensembles multiply."""
    bench = bench_of(rows=50, folds=5, repeats=2)
    assert expected_steps(bench, BASELINE) == 10 * 2 * 4
    assert expected_steps(bench, replace(BASELINE, epochs=8, ensemble=3)) == 10 * 2 * 8 * 3
    assert expected_steps(bench, replace(BASELINE, batch_size=7)) == 10 * 6 * 4


def attempts(monkeypatch, remedies, outcome, budget=FOREVER) -> tuple[Trial, list[str]]:
    """Try remedies with training replaced by an outcome; returns the trial and which arms were reported."""

    def planted(_bench, recipes, **facts):
        assert facts["what"] == ["What."] * len(recipes)
        if isinstance(outcome, BaseException):
            raise outcome
        return [arm_of(outcome, recipe.name) for recipe in recipes]

    monkeypatch.setattr(trial_module, "measure_all", planted)
    reported: list[str] = []
    made = Trial(arm_of(0))
    for remedy in remedies:
        try_some(
            BENCH, made, [[remedy]], budget, lambda _: Monitor(), lambda arm: reported.append(arm.recipe.name)
        )
    return made, reported


def test_arms_are_reported_in_the_order_in_which_they_were_tried(monkeypatch):
    made, reported = attempts(monkeypatch, [remedy_of("b"), remedy_of("a")], 0.1)
    assert reported == [arm.recipe.name for arm in made.arms] == ["b", "a"]
    assert made.arm("a") is made.arms[1]
    assert made.arm("baseline") is made.baseline
    assert not made.skipped


def refuses(_: Recipe) -> Recipe:
    raise NotApplicable("there is nothing to change")


@pytest.mark.parametrize(
    ("outcome", "apply", "why"),
    [
        (0.0, refuses, "Does not apply: there is nothing to change."),
        (NotApplicable("the network is subclassed"), None, "Does not apply: the network is subclassed."),
        (ModelError("Expected a model."), None, "Failed: Expected a model."),
        (DataError("Expected rows to watch."), None, "Failed: Expected rows to watch."),
        (OutOfTime(), None, "Not tried: the time given (--minutes) did not suffice."),
    ],
)
def test_what_cannot_be_tried_is_noted_with_its_reason(monkeypatch, outcome, apply, why):
    made, reported = attempts(monkeypatch, [remedy_of("sick", apply=apply)], outcome)
    assert [(s.remedy, s.title, s.why) for s in made.skipped] == [("sick", "Sick", why)]
    assert not made.arms
    assert not reported


def test_a_hand_that_stops_the_trial_stops_it(monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        attempts(monkeypatch, [remedy_of("a")], KeyboardInterrupt())


def test_what_would_not_fit_into_the_time_is_not_begun(monkeypatch):
    """A thousand steps took a second: a thousand times as many take a thousand. Each snapshot begins a program."""
    bench_steps = expected_steps(BENCH, BASELINE)
    slow = remedy_of("slow", apply=lambda recipe: replace(recipe, epochs=recipe.epochs * 1000))
    parted = remedy_of("parted", apply=lambda recipe: replace(recipe, snapshot_every=1))
    left = 10 + bench_steps / 1000
    made, reported = attempts(monkeypatch, [slow, parted, remedy_of("quick")], 0.0, Budget(lambda: left))
    assert reported == ["quick"]
    assert [skip.remedy for skip in made.skipped] == ["slow", "parted"]
    assert all("--minutes" in skip.why for skip in made.skipped)


def test_remedies_that_stand_outside_the_rope_help_or_harm_best_first():
    _, comparisons = trial_of(good=0.05, better=0.1, bad=-0.1, same=0.0)
    assert [c.verdict for c in comparisons] == ["helps", "helps", "harms", "no practical difference"]
    assert helpers(comparisons) == ["better", "good"]


def test_the_best_of_each_family_that_helps_is_combined():
    _, comparisons = trial_of(weak=0.05, strong=0.1, other=0.05, bad=-0.1)
    weak, strong = remedy_of("weak", "one family"), remedy_of("strong", "one family")
    other, bad = remedy_of("other"), remedy_of("bad")
    assert combinations(comparisons, [other, weak, strong, bad]) == [[other, strong]]
    assert combinations(comparisons, [strong, weak, other, bad]) == [[strong, other]]


def test_of_the_three_best_each_two_are_combined_as_well():
    _, comparisons = trial_of(a=0.05, b=0.1, c=0.2, d=0.03)
    a, b, c, _ = family = [remedy_of(name) for name in "abcd"]
    assert combinations(comparisons, family) == [family, [b, c], [a, c], [a, b]]
    assert combinations(comparisons[:3], family) == [[a, b, c], [b, c], [a, c], [a, b]]


@pytest.mark.parametrize(("together", "words"), [(0.1, "less"), (0.2, "more"), (0.15, "cannot be told")])
def test_what_two_gain_beyond_their_own_gains_is_said(together, words):
    """0.05 and 0.1 make 0.15."""
    made, comparisons = trial_of(a=0.05, b=0.1, a_b=together)
    assert interaction(BENCH, made, made.arm("a+b")).value == pytest.approx(together - 0.15, abs=0.004)
    assert f"{words} than one by one" in comparisons[-1].sentence or "cannot" in words
    assert ("cannot be told" in comparisons[-1].sentence) == ("cannot" in words)
    assert interaction(BENCH, made, made.arm("a")) is None
    assert "one by one" not in comparisons[0].sentence


def test_what_three_gain_beyond_their_own_gains_is_said():
    """0.05, 0.05 and 0.1 make 0.2; two of the three that do the same thing gain it once."""
    made, comparisons = trial_of(a=0.05, b=0.05, c=0.1, a_b=0.05, a_c=0.15, b_c=0.15, a_b_c=0.15)
    assert interaction(BENCH, made, made.arm("a+b+c")).value == pytest.approx(-0.05, abs=0.006)
    assert "Together the three gain" in comparisons[-1].sentence
    assert "less than one by one" in comparisons[-1].sentence
    assert "Together the two gain" in comparisons[3].sentence
    assert all("cannot be told" in comparison.sentence for comparison in comparisons[4:6])


@pytest.mark.parametrize("truth", [0.0, -0.05])
def test_the_interval_of_an_interaction_holds_the_truth_in_95_of_100_trials(truth):
    """Folds share most of their training rows, so that scores of one recipe rise and fall together."""
    rng = np.random.default_rng(0)
    gains = {"baseline": 0.0, "a": 0.05, "b": 0.1, "a+b": 0.15 + truth}
    arms = {name: arm_of(gain, name) for name, gain in gains.items()}
    share, trials, held = BENCH.test_share / (1 + BENCH.test_share), 400, 0
    for _ in range(trials):
        drawn = []
        for name, arm in arms.items():
            alone = np.sqrt(1 - share) * rng.normal(0, 0.02, (REPEATS, FOLDS))
            scores = 0.5 - gains[name] + alone + np.sqrt(share) * rng.normal(0, 0.02)
            drawn.append(replace(arm, scores={"log-loss": scores}, each=scores[:, :, None]))
        made = Trial(drawn[0], drawn[1:])
        interval = interaction(BENCH, made, drawn[-1])
        held += interval.low <= truth <= interval.high
    assert 0.92 <= held / trials <= 0.98


def test_one_helper_alone_needs_no_combination():
    _, comparisons = trial_of(weak=0.05, strong=0.1)
    family = [remedy_of("weak", "one family"), remedy_of("strong", "one family")]
    assert combinations(comparisons, family) == []
    _, nothing = trial_of(same=0.0)
    assert combinations(nothing, [remedy_of("same")]) == []


def test_where_nothing_helps_the_recipe_stays():
    made, comparisons = trial_of(same=0.0, bad=-0.1)
    name, why = choose(BENCH, made, comparisons, ROPE)
    assert name == "baseline"
    assert "stays as it is" in why
    assert choose(BENCH, Trial(arm_of(0)), [], ROPE)[0] == "baseline"


def test_the_best_single_remedy_is_chosen_and_what_it_was_chosen_from_is_said():
    made, comparisons = trial_of(good=0.05, better=0.1, same=0.0)
    name, why = choose(BENCH, made, comparisons, ROPE)
    assert name == "better"
    assert "3 recipes" in why


def test_a_combination_must_beat_the_best_single_remedy():
    made, comparisons = trial_of(good=0.05, better=0.1, good_better=0.102)
    name, why = choose(BENCH, made, comparisons, ROPE)
    assert name == "better"
    assert "Combining" in why
    made, comparisons = trial_of(good=0.05, better=0.1, good_better=0.2)
    name, why = choose(BENCH, made, comparisons, ROPE)
    assert name == "good+better"
    assert why.startswith("Together")


def test_the_winners_score_is_corrected_for_having_been_chosen():
    """Eight recipes of equal worth: the best looks better than it is."""
    equal = {f"r{i}": 0.0 for i in range(8)}
    made, _ = trial_of(**equal)
    naive, corrected = corrected_score(BENCH, made, n_bootstrap=200)
    means = [arm.row_losses.mean() for arm in (made.baseline, *made.arms)]
    assert naive == pytest.approx(min(means))
    assert naive < corrected.value
    assert corrected.contains(float(np.mean(means)))


def test_the_correction_holds_for_scores_that_are_no_means_of_losses():
    bench = bench_of("auc")
    made, _ = trial_of(a=0.0, b=0.1)
    naive, corrected = corrected_score(bench, made, n_bootstrap=20)
    assert corrected.contains(naive)
    assert 0.8 < naive <= 1


def test_arms_that_failed_or_rows_never_held_out_leave_nothing_to_correct():
    made, _ = trial_of(a=0.1)
    made.arms[0].oof[0, 3] = np.nan
    assert corrected_score(BENCH, made) is None


def test_groups_are_drawn_whole():
    """Rows of one group are copies of each other: fewer independent rows make a wider interval."""
    group = np.repeat(np.arange(ROWS // 30), 30)
    grouped = bench_of(group=group)
    made, _ = trial_of(a=0.05, b=0.0)
    shift = np.random.default_rng(4).normal(0, 0.3, ROWS // 30)[group]
    arms = [replace(arm, row_losses=arm.row_losses + shift) for arm in (made.baseline, *made.arms)]
    made = Trial(arms[0], arms[1:])
    _, whole = corrected_score(grouped, made)
    _, single = corrected_score(BENCH, made)
    assert whole.high - whole.low > 1.5 * (single.high - single.low)


def test_groups_that_leave_no_row_to_watch_skip_a_remedy_and_not_the_run():
    """Two groups, two folds: each fold trains on one group, which cannot be divided to stop early."""
    x = np.arange(40.0)
    frame = pl.DataFrame({"x": x, "z": -x, "y": ["no", "yes"] * 20, "who": x >= 20})
    dataset = load(frame, "y", group="who")
    bench = Bench(dataset, make_splits(dataset, 2, 1, 0), find_metric("log-loss", "binary"), (), 0)
    made = Trial(arm_of(0))
    stopping = next(r for r in REMEDIES if r.name == "early-stopping")
    try_some(bench, made, [[stopping]], FOREVER, lambda _: Monitor(), lambda _: None)
    assert [s.remedy for s in made.skipped] == ["early-stopping"]
    assert "one group" in made.skipped[0].why


def test_a_reason_in_the_model_is_told_as_it_is():
    """The network is subclassed: that shows only once it is built, deep inside the training."""

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.last = keras.layers.Dense(1, "sigmoid")

        def call(self, x):
            return self.last(x)

    def build():
        model = Own()
        model.compile("sgd", "binary_crossentropy")
        return model

    made = Trial(replace(arm_of(0), recipe=replace(BASELINE, builder=build)))
    dropout = next(r for r in REMEDIES if r.name == "dropout-0.2")
    try_some(BENCH, made, [[dropout]], FOREVER, lambda _: Monitor(), SimpleNamespace)
    assert made.skipped[0].why.startswith("Does not apply: the network is a subclassed keras.Model")


def judged_in(worst: float, **gains: float):
    """Verdicts by remedy on a model of loss 0.5, where scores count as no worse than `worst`."""
    trial = Trial(arm_of(0), [arm_of(gain, name) for name, gain in gains.items()], worst=worst)
    judged = judge_trial(BENCH, trial, ROPE)
    return trial, {
        one.remedy: (one, other)
        for one, other in zip(judged, judge_useless(BENCH, trial, ROPE, judged), strict=True)
    }


def test_where_a_model_is_of_no_use_at_all_a_remedy_may_bring_it_nearer():
    """Two faults: without one of them it is as useless by what counts, and less far off."""
    trial, found = judged_in(0.1, nearer=0.1, same=0.0)
    before, after = found["nearer"]
    assert (before.verdict, after.verdict) == ("no practical difference", "helps")
    once = judge_trial(BENCH, replace(trial, worst=None), ROPE)[0]
    assert after.p == pytest.approx(2 * once.p)  # two tests of the same scores
    assert found["same"][1].verdict != "helps"


@pytest.mark.parametrize(
    ("worst", "gains"),
    [
        pytest.param(0.3, {"nearer": 0.1, "cure": 0.45}, id="something helps"),
        pytest.param(0.48, {"nearer": 0.005, "other": 0.006}, id="some trainings are of use"),
    ],
)
def test_how_far_off_a_useless_model_is_counts_nowhere_else(worst, gains):
    _, found = judged_in(worst, **gains)
    assert all(one is other for one, other in found.values())


def test_what_is_known_is_expected_to_take_what_is_left_of_it():
    """Of an ensemble of five the seeds that nobody trained; a blend's other models are fitted in any case."""
    baseline = measure(BENCH, BASELINE, ask_fit=True)
    trial, remedies = Trial(baseline), {remedy.name: remedy for remedy in REMEDIES}
    for name, steps in (("ensemble-5", 4), ("blend-linear", 0)):
        recipe = remedies[name].apply(baseline.recipe)
        assert expected_steps(BENCH, recipe, known=baseline) == steps * expected_steps(BENCH, BASELINE)
    for seconds, tried in ((0.0, False), (60.0, True)):
        try_some(
            BENCH,
            trial,
            [[remedies["blend-linear"]]],
            Budget(lambda s=seconds: s),
            lambda _: Monitor(),
            lambda _: None,
        )
        assert bool(trial.arms) == tried
        assert [skip.is_late for skip in trial.skipped] == [True]
