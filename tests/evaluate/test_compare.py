"""Are verdicts right for planted differences, and never kinder for a training that failed?"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from caviar.evaluate.compare import compare, holm, judge, rope_of, rope_reason

BASE = np.random.default_rng(1).normal(0.50, 0.03, (3, 10))
NOISE = np.random.default_rng(2).normal(0.0, 0.01, (3, 10))
NOISE -= NOISE.mean()


def compared(baseline, candidate, *, rope=0.004, higher_is_better=False, n_rows=1000, can_repeat=True):
    return compare(
        "remedy",
        baseline,
        candidate,
        higher_is_better=higher_is_better,
        test_share=1 / 9,
        n_rows=n_rows,
        rope=rope,
        metric_title="log-loss",
        can_repeat=can_repeat,
    )


def judged(baseline, candidate, **options):
    return judge([compared(baseline, candidate, **options)])[0]


@pytest.mark.parametrize(
    ("effect", "rope", "verdict"),
    [
        (0.03, 0.004, "helps"),
        (-0.03, 0.004, "harms"),
        (0.001, 0.02, "no practical difference"),
        (0.03, 0.04, "no practical difference"),
        (0.005, 0.004, "not enough data"),
        (0.0, 0.002, "not enough data"),
    ],
)
def test_a_planted_difference_gets_its_verdict(effect, rope, verdict):
    """Paired noise of 0.01 over thirty folds: a standard error of 0.004."""
    assert judged(BASE, BASE - effect + NOISE, rope=rope).verdict == verdict


def test_a_significant_difference_inside_the_region_does_not_help():
    found = judged(BASE, BASE - 0.03 + NOISE, rope=0.035)
    assert found.p_holm < 0.05
    assert found.verdict not in {"helps", "harms"}


def test_the_difference_is_positive_when_the_remedy_is_better():
    assert judged(BASE, BASE - 0.03 + NOISE).difference.value == pytest.approx(0.03)
    assert judged(BASE, BASE + 0.03 + NOISE, higher_is_better=True).difference.value == pytest.approx(0.03)


def test_the_difference_is_tested_by_the_corrected_resampled_t():
    gains = 0.01 - NOISE
    t = gains.mean() / math.sqrt((1 / 30 + 1 / 9) * gains.var(ddof=1))
    assert compared(BASE, BASE - gains).p == pytest.approx(2 * stats.t.sf(t, 29))
    assert compared(BASE, BASE - gains, n_rows=60).p == pytest.approx(2 * stats.t.sf(t, 9))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(-0.05, 0.05), st.floats(0.0005, 0.05), st.booleans())
def test_swapping_the_arms_mirrors_the_comparison(seed, effect, rope, failing):
    rng = np.random.default_rng(seed)
    before = rng.normal(0.5, 0.03, (3, 10))
    after = before - effect + rng.normal(0, 0.01, (3, 10))
    if failing:
        before[rng.random((3, 10)) < 0.2] = np.nan
        after[rng.random((3, 10)) < 0.2] = np.nan
    one, other = judged(before, after, rope=rope), judged(after, before, rope=rope)
    assert one.difference.value == pytest.approx(-other.difference.value, nan_ok=True)
    assert one.difference.low == pytest.approx(-other.difference.high)
    assert one.p == pytest.approx(other.p)
    mirror = {"helps": "harms", "harms": "helps"}
    assert other.verdict == mirror.get(one.verdict, one.verdict)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_the_order_of_folds_does_not_matter(seed):
    order = np.random.default_rng(seed).permutation(30)
    after = (BASE - 0.01 + NOISE).ravel()[order].reshape(3, 10)
    there = compared(BASE.ravel()[order].reshape(3, 10), after)
    assert there.p == pytest.approx(compared(BASE, BASE - 0.01 + NOISE).p)


def test_identical_arms_make_no_practical_difference():
    found = judged(BASE, BASE)
    assert (found.verdict, found.p) == ("no practical difference", 1.0)


def test_a_constant_difference_is_as_certain_as_a_sign_test_and_no_more():
    """Ten folds that all gain exactly 0.1 agree ten times: p = 2 * 0.5 ** 10."""
    same = np.full((1, 10), 0.5)
    found = judged(same, same - 0.125)
    assert (found.verdict, found.p) == ("helps", 0.5**9)
    assert judged(same[:, :3], same[:, :3] - 0.125).verdict == "not enough data"


def test_pairs_with_a_failure_on_both_sides_are_dropped_and_said():
    before, after = BASE.copy(), BASE - 0.03 + NOISE
    before[0, :2] = after[0, :2] = np.nan
    found = judged(before, after)
    assert (found.verdict, found.difference.n) == ("helps", 28)
    assert "2 of 30 folds have no score from either arm and are left out" in found.sentence


def test_failing_where_the_baseline_works_is_never_an_improvement():
    after = BASE - 0.03 + NOISE
    after[0, 0] = np.nan
    found = judged(BASE, after)
    assert found.verdict == "not enough data"
    assert found.repeats_needed is None
    assert "1 of 30 folds have a score only without the remedy" in found.sentence
    assert "find out why they fail" in found.sentence


def test_failing_where_the_baseline_works_is_never_no_practical_difference():
    after = BASE.copy()
    after[0, 0] = np.nan
    assert judged(BASE, after).verdict == "not enough data"


def test_failing_often_where_the_baseline_works_harms():
    """Twelve trainings of thirty fail with the remedy only; the folds that are left even look better."""
    after = BASE - 0.001 + NOISE
    after.ravel()[:12] = np.nan
    found = judged(BASE, after)
    assert found.verdict == "harms"
    assert "the failed trainings decide" in found.sentence


def test_training_where_the_baseline_always_fails_helps():
    found = judged(np.full((3, 10), np.nan), BASE)
    assert found.verdict == "helps"
    assert "no fold has a log-loss from both arms" in found.sentence


def test_failing_often_and_scoring_much_better_elsewhere_is_left_open():
    after = BASE - 0.1 + NOISE
    after.ravel()[:15] = np.nan
    assert judged(BASE, after).verdict == "not enough data"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_the_raw_p_and_bonferroni_and_keeps_their_order(p):
    adjusted = holm(p)
    assert all(raw <= new <= min(1.0, len(p) * raw) for raw, new in zip(p, adjusted, strict=True))
    by_raw = [new for _, new in sorted(zip(p, adjusted, strict=True))]
    assert by_raw == sorted(by_raw)


def test_holm_reproduces_a_worked_example():
    """0.01, 0.04, 0.03, 0.005 times 3, 1, 2, 4, each at least the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_a_verdict_becomes_stricter_in_company():
    """A difference that alone is significant (p about 0.01) is not, beside nineteen equal recipes."""
    weak = compared(BASE, BASE - 0.0105 + NOISE, rope=0.001)
    equal = [compared(BASE, BASE + NOISE, rope=0.001)] * 19
    assert judge([weak])[0].verdict == "helps"
    assert judge([weak, *equal])[0].verdict == "not enough data"
    assert [record.p for record in judge([*equal, weak])][-1] == weak.p


def test_where_rows_cannot_be_split_anew_no_repeats_are_asked_for():
    """The order of time allows one split: more rows could decide, more repeats do not exist."""
    before = np.full((1, 10), 0.5)
    gains = np.array([[-0.0025, 0.0185] * 5])
    found = judged(before, before - gains, rope=0.001, can_repeat=False)
    assert (found.verdict, found.repeats_needed) == ("not enough data", None)
    assert "only more rows could decide" in found.sentence


def test_no_comparisons_give_no_verdicts():
    assert judge([]) == []


def test_the_repeats_asked_for_would_decide():
    """More repeats of the same differences decide at the number that was named, and not at one fewer."""
    before = np.full((1, 10), 0.5)
    gains = np.array([[-0.0025, 0.0185] * 5])
    found = judged(before, before - gains, rope=0.001)
    assert found.verdict == "not enough data"
    for repeats, verdict in ((found.repeats_needed, "helps"), (found.repeats_needed - 1, "not enough data")):
        more = np.tile(before, (repeats, 1))
        # The deviation with n - 1 shrinks a little when scores are repeated: restore it.
        spread = math.sqrt((10 * repeats - 1) / (9 * repeats))
        again = 0.008 + (np.tile(gains, (repeats, 1)) - 0.008) * spread
        assert judged(more, more - again, rope=0.001).verdict == verdict
    assert f"about {found.repeats_needed} repeats in all would decide" in found.sentence


def test_no_number_of_repeats_is_asked_for_when_the_floor_is_too_wide():
    """A difference of a tenth of the deviation cannot be told from none at a test share of 1/9."""
    found = judged(BASE, BASE - 0.001 + NOISE, rope=0.0001)
    assert (found.verdict, found.repeats_needed) == ("not enough data", None)
    assert "more repeats on these rows would not decide" in found.sentence


def test_a_single_fold_decides_nothing():
    found = judged(np.array([[0.5]]), np.array([[0.1]]))
    assert (found.verdict, found.p) == ("not enough data", 1.0)


def test_one_who_may_stop_is_not_asked_for_repeats():
    assert judged(BASE, BASE - 0.03 + NOISE).repeats_needed is None


def test_the_sentence_tells_direction_interval_and_region():
    assert judged(BASE, BASE - 0.03 + NOISE).sentence == (
        "helps: log-loss 0.03 lower (95 % interval 0.0221 to 0.0379, unadjusted), "
        "beyond the 0.004 that counts as a practical difference"
    )
    assert judged(BASE, BASE + 0.03 + NOISE).sentence.startswith(
        "harms: log-loss 0.03 higher (95 % interval 0.02"
    )


def test_an_interval_with_both_signs_is_told_in_words():
    found = judged(BASE, BASE - 0.001 + NOISE, rope=0.02)
    assert found.sentence == (
        "no practical difference: log-loss 0.001 lower "
        "(95 % interval 0.00693 higher to 0.00893 lower, unadjusted), "
        "and its 90 % interval lies within the 0.02 that counts as a practical difference"
    )
    assert "log-loss equal on average (95 % interval 0 to 0, unadjusted)" in judged(BASE, BASE).sentence


@pytest.mark.parametrize("effect", [-0.03, -0.005, 0.0, 0.005, 0.03])
@pytest.mark.parametrize("failures", [0, 1, 12])
def test_every_sentence_states_its_verdict_and_the_region(effect, failures):
    after = BASE - effect + NOISE
    after.ravel()[:failures] = np.nan
    found = judged(BASE, after, rope=0.00123)
    assert found.sentence.startswith(f"{found.verdict}: ")
    assert "0.00123" in found.sentence


def test_the_region_is_two_percent_of_the_way_to_the_best_row():
    assert rope_of(0.7, 0.2) == pytest.approx(0.01)
    assert rope_of(0.5, 0.9, share=0.1) == pytest.approx(0.04)


@settings(max_examples=50, deadline=None)
@given(st.floats(-1e6, 1e6) | st.just(math.nan), st.floats(-1e6, 1e6) | st.just(math.nan))
def test_the_region_is_never_empty(no_skill, best):
    assert 0 < rope_of(no_skill, best) < math.inf


def test_the_smallest_region_is_a_share_of_the_way_to_perfect_predictions():
    """An R2 that nobody lifts above -0.01: a thousandth of the way to 1, not of the size of -0.01."""
    assert rope_of(-0.01, -0.01, perfect=1.0) == pytest.approx(0.00101)
    assert rope_of(0.69, 0.69) == pytest.approx(0.00069)


def test_the_reason_says_when_no_row_beats_no_skill():
    assert rope_reason(0.69, 0.69, "log-loss") == (
        "no reference row is clearly better than no-skill (log-loss 0.69), "
        "so the smallest region is used: 0.00069"
    )
