"""Remedies that take long: given up after the first repeat, or trained on all of them as if in one go."""

from dataclasses import replace

import numpy as np
import pytest

from caviar.evaluate.compare import Comparison, compare
from caviar.measuring import trial as trial_module
from caviar.measuring.measure import measure_all
from caviar.measuring.repeats import joined, outdone, promises
from caviar.measuring.trial import Budget, Trial, choose, corrected_score, judge_trial, try_some
from caviar.population.job import Monitor
from caviar.progress import OutOfTime
from tests.measuring.test_trial import BASELINE, BENCH, FOREVER, ROPE, arm_of, remedy_of


def test_two_parts_of_the_repeats_are_what_all_of_them_are_in_one_go():
    def arm(bench):
        (one,) = measure_all(bench, [BASELINE], seeds=2, ask_fit=True, what=["What."], sources=["Source."])
        return one

    whole = arm(BENCH)
    parts = joined(BENCH, arm(BENCH.of_repeats(0, 1)), arm(BENCH.of_repeats(1, 3)))
    for name in ("each", "fit_scores", "row_losses", "oof", "failed", "one_class"):
        np.testing.assert_allclose(
            getattr(parts, name), getattr(whole, name), rtol=1e-4, atol=1e-5, err_msg=name
        )
    np.testing.assert_allclose(parts.scores["log-loss"], whole.scores["log-loss"], rtol=1e-4)
    for name in ("repeat", "fold", "seed", "epoch"):
        np.testing.assert_array_equal(parts.history[name], whole.history[name])
    np.testing.assert_allclose(parts.history["loss"], whole.history["loss"], rtol=1e-4)
    np.testing.assert_allclose(parts.recipe.class_errors, whole.recipe.class_errors, rtol=1e-6)
    assert parts.steps == whole.steps
    assert parts.record.members == whole.record.members == 30
    for name in ("value", "low", "high"):
        one, other = (getattr(each.record.scores["log-loss"], name) for each in (parts, whole))
        assert one == pytest.approx(other, rel=1e-4), name
    assert parts.record.repeat_deviation == pytest.approx(whole.record.repeat_deviation, rel=1e-2)


def first_repeat(
    gain: float, deviation: float, calm: float = 1.0
) -> tuple[Comparison, np.ndarray, np.ndarray]:
    """A first repeat of five folds x three seeds with a planted gain and spread of folds, and both arms' scores."""
    folds = np.array([-1.2, -0.5, 0.1, 0.6, 1.0]) * deviation
    seeds = 0.02 * np.array([-1.0, 0.0, 1.0])
    before = np.broadcast_to(0.5 + seeds, (1, 5, 3))
    after = (0.5 - gain + folds[:, None] + calm * seeds)[None]
    one = compare(
        "remedy", before.mean(axis=2), after.mean(axis=2), higher_is_better=False, test_share=0.25, n_rows=300,
        rope=ROPE, metric_title="log-loss",
    )  # fmt: skip
    return one, before, after


@pytest.mark.parametrize(
    ("gain", "deviation", "calm", "goes_on"),
    [
        (0.02, 0.1, 1.0, True),  # better by what counts, whatever the noise
        (0.005, 0.002, 1.0, True),  # by less, but steadily
        (0.005, 0.02, 1.0, False),
        (0.0, 0.02, 1.0, False),
        (-0.02, 0.02, 1.0, False),
        (-0.02, 0.02, 0.5, True),  # its seeds agree better
    ],
)
def test_what_looks_better_or_calmer_after_one_repeat_goes_on(gain, deviation, calm, goes_on):
    assert promises(*first_repeat(gain, deviation, calm)) == goes_on


@pytest.mark.parametrize(
    ("gain", "deviation", "behind"),
    [
        (-0.1, 0.02, True),
        (-0.1, 0.2, False),  # perhaps by chance
        (-0.02, 0.001, False),  # surely, and by less than counts
        (0.1, 0.02, False),
    ],
)
def test_what_is_surely_and_clearly_behind_another_remedy_is_outdone(gain, deviation, behind):
    one, _, _ = first_repeat(gain, deviation)
    assert outdone(one, 0.05) == behind


def test_what_trains_where_training_failed_before_goes_on():
    before, after = np.full((1, 5), 0.5), np.full((1, 5), 0.6)
    before[0, 2] = np.nan
    one = compare(
        "remedy",
        before,
        after,
        higher_is_better=False,
        test_share=0.25,
        n_rows=300,
        rope=ROPE,
        metric_title="loss",
    )
    assert promises(one, before[..., None], after[..., None])


def part_of(arm, repeats: slice):
    return replace(
        arm,
        each=arm.each[repeats],
        scores={name: each[repeats] for name, each in arm.scores.items()},
        oof=arm.oof[repeats],
    )


def tried(monkeypatch, gains, *, rope=ROPE, parameters=10_000_000, ends=False, outdone=()):
    """A trial of remedies with planted gains; every call's bench and names."""
    calls = []

    def planted(bench, recipes, **_):
        first, count = (bench.numbers[0] // 5 if bench.numbers else 0), bench.shape[0]
        calls.append((count, [recipe.name for recipe in recipes]))
        if ends and first:
            raise OutOfTime
        return [part_of(arm_of(gains[r.name], r.name), slice(first, first + count)) for r in recipes]

    def put_together(_, one, other):
        return replace(other, each=np.concatenate([one.each, other.each]))

    monkeypatch.setattr(trial_module, "measure_all", planted)
    monkeypatch.setattr(trial_module, "joined", put_together)
    own = arm_of(0)
    made = Trial(replace(own, record=own.record.model_copy(update={"parameters": parameters})))
    choices = [[remedy_of(name)] for name in gains]
    try_some(
        BENCH,
        made,
        choices,
        Budget(FOREVER.left),
        lambda _: Monitor(),
        lambda _: None,
        rope=rope,
        is_outdone=lambda remedies, arm: remedies[0].name == arm.recipe.name in outdone,
    )
    return made, calls


def test_long_remedies_that_promise_nothing_are_given_up_and_said_to_be(monkeypatch):
    made, calls = tried(monkeypatch, {"good": 0.1, "useless": -0.05})
    assert calls == [(1, ["good", "useless"]), (2, ["good"])]
    assert {arm.recipe.name: len(arm.each) for arm in made.arms} == {"useless": 1, "good": 3}
    useless, good = judge_trial(BENCH, made, ROPE)
    assert useless.remedy == "useless"
    assert useless.verdict != "helps"
    assert useless.sentence.endswith("Given up after repeat 1 of 3.")
    assert good.verdict == "helps"
    assert "Given up" not in good.sentence


def test_a_help_that_was_given_up_as_outdone_is_not_called_one(monkeypatch):
    """It would be a second look at the scores: with all repeats, the verdict is another test."""
    made, calls = tried(monkeypatch, {"best": 0.2, "good": 0.1}, outdone={"good"})
    assert calls == [(1, ["best", "good"]), (2, ["best"])]
    good, best = judge_trial(BENCH, made, ROPE)
    assert (good.remedy, best.remedy) == ("good", "best")
    assert good.p_holm < 0.05
    assert good.verdict == "not enough data"
    assert good.sentence.startswith("not enough data")
    # Nor is it said how many repeats would decide: it was given up because they were not worth their time.
    assert good.sentence.endswith("counts as a practical difference. Given up after repeat 1 of 3.")
    assert good.repeats_needed is None
    assert best.verdict == "helps"
    assert choose(BENCH, made, [good, best], ROPE)[0] == "best"


def test_short_remedies_and_trials_that_ask_for_everything_train_all_repeats(monkeypatch):
    for asked in ({"parameters": 100}, {"rope": None}):
        made, calls = tried(monkeypatch, {"good": 0.1, "useless": -0.05}, **asked)
        assert calls == [(3, ["good", "useless"])]
        assert [len(arm.each) for arm in made.arms] == [3, 3]


def test_where_time_ends_between_the_parts_what_promised_something_counts_as_not_tried(monkeypatch):
    made, _ = tried(monkeypatch, {"good": 0.1, "useless": -0.05}, ends=True)
    assert [arm.recipe.name for arm in made.arms] == ["useless"]
    assert [(skip.remedy, skip.is_late) for skip in made.skipped] == [("good", True)]


def test_where_nothing_promises_anything_nothing_more_is_trained(monkeypatch):
    made, calls = tried(monkeypatch, {"useless": -0.05, "worse": -0.2})
    assert calls == [(1, ["useless", "worse"])]
    assert [len(arm.each) for arm in made.arms] == [1, 1]


def test_an_arm_that_was_given_up_is_no_candidate_for_the_winners_score():
    """One easy repeat would make it look best, although it was not chosen."""
    arms = [arm_of(0.05, "good"), arm_of(0.02, "other")]
    easy = part_of(arm_of(0.4, "easy"), slice(0, 1))
    without, within = (corrected_score(BENCH, Trial(arm_of(0), some)) for some in (arms, [*arms, easy]))
    assert within == without
