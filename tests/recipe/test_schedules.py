import json
import os
import subprocess
import sys

import jax
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras.optimizers.schedules import CosineDecay, ExponentialDecay, LearningRateSchedule

from caviar.errors import OptionError
from caviar.recipe.schedules import CosLog, Cyclical, OneCycle, RangeSweep, StepDecay, WarmUp, step_size

# Rates are float32: a little over six digits. Below the last line float32 has no digits left to compare.
DIGITS = {"rtol": 1e-6, "atol": 1e-36}

EXAMPLES = {
    "triangular": Cyclical(1e-4, 1e-1, 5),
    "triangular2": Cyclical(0.0, 1e-1, 3, mode="triangular2"),
    "exp_range": Cyclical(1e-4, 1e-1, 3, mode="exp_range", gamma=0.9),
    "one cycle": OneCycle(0.1, 12),
    "linear one cycle": OneCycle(0.1, 12, rise=0.5, start_divisor=10, final_divisor=100, shape="linear"),
    "step decay": StepDecay(0.1, 0.7, 3),
    "warm-up to a number": WarmUp(0.1, 4, start=0.01),
    "warm-up to Keras' own": WarmUp(ExponentialDecay(0.1, 2, 0.8), 4),
    "warm-up to ours": WarmUp(CosLog(0.1, 9), 2, start=0.02),
    "warm-up twice": WarmUp(WarmUp(0.1, 2, start=0.05), 3),
    "coslog": CosLog(0.1, 14, cycles=3),
    "sweep": RangeSweep(1e-4, 0.1, 12),
    "linear sweep": RangeSweep(1e-4, 0.1, 12, "linear"),
}
every_example = pytest.mark.parametrize("schedule", EXAMPLES.values(), ids=EXAMPLES.keys())

rates = st.floats(1e-6, 10)
lengths = st.integers(2, 2_000_000)
shrinking = st.one_of(st.floats(0.01, 1), st.floats(1e-8, 1e-2).map(lambda gap: 1 - gap))


def updates_around(*landmarks: int) -> np.ndarray:
    """Updates next to the landmarks and spread to two million; equally many whatever the landmarks are."""
    near = [mark + np.arange(-2, 3) for mark in (2, 1_000_000, *landmarks)]
    return np.maximum(0, np.concatenate([*near, np.random.default_rng(0).integers(0, 2_000_000, 300)]))


def table(schedule: LearningRateSchedule, updates: np.ndarray) -> np.ndarray:
    rate = np.asarray(schedule(updates))
    assert rate.dtype == np.float32
    return rate.astype(np.float64)


# The formulas as their papers print them, in float64.


def smith(update, base, peak, size, scale):
    cycle = np.floor(1 + update / (2 * size))
    x = np.abs(update / size - 2 * cycle + 1)
    return base + (peak - base) * np.maximum(0, 1 - x) * scale(cycle)


def between(first, last, share, shape):
    """From `first` at share 0 to `last` at share 1."""
    if shape == "linear":
        return first * (1 - share) + last * share
    return first * np.cos(np.pi / 2 * share) ** 2 + last * np.sin(np.pi / 2 * share) ** 2


def coslog(update, peak, total, k):
    t = np.minimum(update, total) / total
    return peak * 0.5 * (1 - np.cos(2 * np.pi * np.log2(1 + (2**k - 1) * t)))


@given(base=st.one_of(st.just(0.0), rates), above=rates, size=lengths)
@settings(max_examples=30, deadline=None)
def test_a_cyclical_rate_follows_smiths_formula(base, above, size):
    updates = updates_around(size, 2 * size)
    peak = base + above
    # The paper's own arithmetic, with whole numbers where float64 would round: its feet are exactly 0 high.
    height = np.minimum(updates % (2 * size), -updates % (2 * size)) / size
    want = base + (peak - base) * height
    np.testing.assert_allclose(
        want, smith(updates, base, peak, size, lambda _: 1.0), rtol=1e-9, atol=1e-9 * peak
    )
    np.testing.assert_allclose(table(Cyclical(base, peak, size), updates), want, **DIGITS)
    halved = base + (peak - base) * height * 0.5 ** (updates // (2 * size))
    np.testing.assert_allclose(
        table(Cyclical(base, peak, size, mode="triangular2"), updates), halved, **DIGITS
    )


@given(base=st.one_of(st.just(0.0), rates), above=rates, size=st.integers(1, 5000), gamma=shrinking)
@settings(max_examples=30, deadline=None)
def test_an_exponential_range_shrinks_with_every_update(base, above, size, gamma):
    updates = updates_around(size, 2 * size)
    peak = base + above
    height = np.minimum(updates % (2 * size), -updates % (2 * size)) / size
    want = base + (peak - base) * height * gamma**updates
    got = table(Cyclical(base, peak, size, mode="exp_range", gamma=gamma), updates)
    np.testing.assert_allclose(got, want, **DIGITS)


@given(
    peak=rates,
    total=lengths,
    rise=st.floats(0.01, 0.99),
    start=st.floats(1, 1000),
    final=st.floats(1, 1e6),
    shape=st.sampled_from(["cosine", "linear"]),
)
@settings(max_examples=40, deadline=None)
def test_one_cycle_climbs_once_and_falls_to_its_end(peak, total, rise, start, final, shape):
    top = min(max(round(total * rise), 1), total - 1)
    updates = updates_around(top, total)
    low, end = peak / start, peak / start / final
    climbing = between(low, peak, np.minimum(updates / top, 1), shape)
    falling = between(peak, end, np.clip((updates - top) / (total - top), 0, 1), shape)
    got = table(OneCycle(peak, total, rise, start, final, shape), updates)
    np.testing.assert_allclose(got, np.where(updates < top, climbing, falling), **DIGITS)


@given(initial=rates, factor=shrinking, every=st.integers(1, 100_000))
@settings(max_examples=40, deadline=None)
def test_step_decay_multiplies_after_every_so_many_updates(initial, factor, every):
    updates = updates_around(every, 2 * every)
    want = initial * factor ** (updates // every)
    np.testing.assert_allclose(table(StepDecay(initial, factor, every), updates), want, **DIGITS)


@given(peak=rates, total=lengths, k=st.sampled_from([1, 4, 8]))
@settings(max_examples=40, deadline=None)
def test_coslog_follows_realmlps_formula(peak, total, k):
    updates = updates_around(total, total * (2 ** (k // 2) - 1) // (2**k - 1))
    # Close to its zeros the printed formula itself has lost its digits in float64.
    np.testing.assert_allclose(
        table(CosLog(peak, total, k), updates), coslog(updates, peak, total, k), rtol=1e-6, atol=1e-14 * peak
    )


@given(start=st.one_of(st.just(0.0), rates), target=rates, climb=lengths)
@settings(max_examples=30, deadline=None)
def test_a_warm_up_climbs_on_a_line_and_then_the_schedule_begins(start, target, climb):
    updates = updates_around(climb, 2 * climb)
    line = start * (climb - updates) / climb + target * (updates / climb)
    decayed = target * 0.99999 ** (np.maximum(updates - climb, 0) // 7)
    got = table(WarmUp(StepDecay(target, 0.99999, 7), climb, start), updates)
    np.testing.assert_allclose(got, np.where(updates < climb, line, decayed), **DIGITS)
    flat = table(WarmUp(target, climb, start), updates)
    np.testing.assert_allclose(flat, np.where(updates < climb, line, target), **DIGITS)


@given(low=rates, factor=st.floats(1.1, 1e7), updates=lengths)
@settings(max_examples=30, deadline=None)
def test_a_sweep_climbs_by_the_same_factor_or_the_same_amount_and_stays(low, factor, updates):
    at = updates_around(updates - 1, updates)
    share, high = np.minimum(at / (updates - 1), 1), low * factor
    got = table(RangeSweep(low, high, updates), at)
    np.testing.assert_allclose(got, low * factor**share, rtol=2e-6)
    line = table(RangeSweep(low, high, updates, "linear"), at)
    np.testing.assert_allclose(line, low + (high - low) * share, rtol=1e-6)


@pytest.mark.parametrize(
    ("schedule", "want"),
    [
        (Cyclical(0.25, 1.0, 2), [0.25, 0.625, 1.0, 0.625, 0.25, 0.625, 1.0, 0.625]),
        (Cyclical(0.0, 1.0, 1), [0, 1, 0, 1, 0]),
        (Cyclical(0.0, 1.0, 1, mode="triangular2"), [0, 1, 0, 0.5, 0, 0.25, 0, 0.125]),
        (Cyclical(0.0, 1.0, 1, mode="exp_range", gamma=0.5), [0, 0.5, 0, 0.125, 0]),
        (OneCycle(1.0, 4, 0.5, 2, 4, "linear"), [0.5, 0.75, 1.0, 0.5625, 0.125, 0.125]),
        (OneCycle(1.0, 2, 0.01, 4, 2), [0.25, 1.0, 0.125, 0.125]),
        (OneCycle(1.0, 2, 0.99, 4, 2), [0.25, 1.0, 0.125, 0.125]),
        (RangeSweep(0.25, 1.0, 4, "linear"), [0.25, 0.5, 0.75, 1.0, 1.0]),
        (StepDecay(1.0, 0.5, 3), [1, 1, 1, 0.5, 0.5, 0.5, 0.25]),
        (WarmUp(1.0, 4), [0, 0.25, 0.5, 0.75, 1, 1]),
        (WarmUp(0.5, 2, start=1.0), [1.0, 0.75, 0.5, 0.5]),
        (WarmUp(StepDecay(1.0, 0.5, 1), 1, start=0.5), [0.5, 1.0, 0.5, 0.25]),
    ],
)
def test_corners_are_exact(schedule, want):
    assert table(schedule, np.arange(len(want))).tolist() == want


@pytest.mark.parametrize("total", [15, 30, 15 * 10**6])
def test_coslog4_stands_still_exactly_between_its_waves_and_from_its_end_on(total):
    zeros = np.array([0, 1, 3, 7, 15]) * (total // 15)
    assert table(CosLog(0.1, total), np.append(zeros, [total + 1, 2 * total])).tolist() == [0.0] * 7


@pytest.mark.parametrize(("schedule", "end"), [(OneCycle(0.1, 9), 0.1 / 25 / 1e4), (CosLog(0.1, 9), 0.0)])
def test_after_its_end_a_schedule_keeps_its_last_rate(schedule, end):
    np.testing.assert_allclose(table(schedule, np.array([9, 10, 10**9])), end, rtol=1e-6)


def test_a_step_size_is_two_to_ten_epochs_of_updates():
    assert [step_size(29, epochs) for epochs in (2, 2.5, 10)] == [58, 72, 290]
    assert step_size(29) == 4 * 29
    for epochs in (1.9, 10.5, float("nan")):
        with pytest.raises(OptionError, match=r"Expected epochs as a number from 2 to 10, got .*\. Pass"):
            step_size(29, epochs)


@every_example
def test_a_number_an_array_and_a_traced_update_give_the_same_rate(schedule):
    updates = np.arange(20)
    want = [float(schedule(int(update))) for update in updates]
    assert float(schedule(np.float32(7))) == want[7]
    np.testing.assert_allclose(schedule(updates), want, rtol=3e-7)
    traced = jax.jit(schedule)
    np.testing.assert_allclose([traced(update) for update in updates], want, rtol=3e-7)
    assert traced._cache_size() == 1


@every_example
def test_a_schedule_is_made_again_from_its_json(schedule):
    text = json.dumps(keras.saving.serialize_keras_object(schedule))
    again = keras.saving.deserialize_keras_object(json.loads(text))
    assert type(again) is type(schedule)
    assert again.get_config() == schedule.get_config()
    assert [float(again(update)) for update in (0, 5, 13)] == [float(schedule(u)) for u in (0, 5, 13)]


ROWS = np.ones((11, 1), np.float32)
FAR_BELOW = -1000 * ROWS


def one_weight(learning_rate: object) -> keras.Model:
    """A model whose only weight falls by exactly the learning rate in every update: its loss has slope 1."""
    model = keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")]
    )
    model.compile(keras.optimizers.SGD(learning_rate), loss="mean_absolute_error")
    return model


def falls(model: keras.Model, updates: int) -> list[float]:
    """How far the weight falls in each of so many updates."""
    weights = [model.get_weights()[0].item()]
    follow = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: weights.append(model.get_weights()[0].item())
    )
    model.fit(ROWS, FAR_BELOW, epochs=updates, verbose=0, callbacks=[follow])
    return (-np.diff(weights)).tolist()


@pytest.mark.parametrize("name", ["exp_range", "one cycle", "warm-up to Keras' own"])
def test_fit_moves_by_the_table_and_goes_on_with_it_after_saving_and_loading(name, tmp_path):
    schedule = EXAMPLES[name]
    want = [float(schedule(update)) for update in range(16)]
    model = one_weight(schedule)
    first = falls(model, 7)
    assert float(model.optimizer.learning_rate) == pytest.approx(want[7], rel=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.optimizer._learning_rate.get_config() == schedule.get_config()
    np.testing.assert_allclose(first + falls(loaded, 9), want, rtol=1e-5, atol=1e-7)


def test_fit_reads_the_table_at_every_batch():
    schedule = EXAMPLES["triangular"]
    model = one_weight(schedule)
    model.fit(ROWS, FAR_BELOW, batch_size=1, verbose=0)
    want = sum(float(schedule(update)) for update in range(len(ROWS)))
    assert -model.get_weights()[0].item() == pytest.approx(want, rel=1e-5)


def test_a_saved_schedule_gives_the_same_rates_on_another_backend():
    schedules = list(EXAMPLES.values())
    program = (
        "import keras, json, sys\n"
        "import caviar.recipe.schedules\n"
        "assert keras.backend.backend() == 'numpy'\n"
        "for text in json.load(sys.stdin):\n"
        "    schedule = keras.saving.deserialize_keras_object(text)\n"
        "    print(*(float(schedule(update)) for update in range(20)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps([keras.saving.serialize_keras_object(schedule) for schedule in schedules]),
        env={**os.environ, "KERAS_BACKEND": "numpy"},
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = [[float(rate) for rate in line.split()] for line in done.stdout.splitlines()]
    ours = [[float(schedule(update)) for update in range(20)] for schedule in schedules]
    np.testing.assert_allclose(theirs, ours, rtol=1e-6)


def test_a_keras_schedule_that_asks_one_update_at_a_time_can_follow_a_warm_up():
    cosine = CosineDecay(0.1, 10, alpha=0.1)
    schedule = WarmUp(cosine, 3)
    got = [float(schedule(update)) for update in range(16)]
    want = [0.0, 0.1 / 3, 0.2 / 3] + [float(cosine(update)) for update in range(13)]
    np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: RangeSweep(0.0, 1.0, 9), "low"),
        (lambda: RangeSweep(0.1, 0.1, 9), "high as a number above low=0.1"),
        (lambda: RangeSweep(0.1, 1.0, 1), "updates"),
        (lambda: RangeSweep(0.1, 1.0, 9, "cosine"), "sweep"),
        (lambda: Cyclical(-0.1, 1, 3), "Expected base as a number of 0 or more, got -0.1. Pass"),
        (lambda: Cyclical(0.1, 0.1, 3), "Expected peak as a number above base=0.1, got 0.1. Pass"),
        (
            lambda: Cyclical(0, 1, 2.5),
            "Expected step_size as a whole number from 1 to 1073741824, got 2.5. Pass",
        ),
        (lambda: Cyclical(0, 1, True), "Expected step_size .* got True"),
        (lambda: Cyclical(0, 1, 2**31), "Expected step_size .* got 2147483648"),
        (
            lambda: Cyclical(0, 1, 3, "square"),
            "Expected mode to be one of 'triangular', .*, got 'square'. Choose",
        ),
        (lambda: Cyclical(0, 1, 3, "exp_range"), "got gamma=None and mode='exp_range'. Pass gamma"),
        (lambda: Cyclical(0, 1, 3, gamma=0.9), "got gamma=0.9 and mode='triangular'. Leave gamma out"),
        (
            lambda: Cyclical(0, 1, 3, "exp_range", 1.1),
            "Expected gamma as a number above 0 and at most 1, got 1.1. Pass",
        ),
        (lambda: OneCycle(0, 9), "Expected peak as a number above 0, got 0. Pass"),
        (lambda: OneCycle(float("inf"), 9), "Expected peak .* got inf"),
        (lambda: OneCycle(1, 1), "Expected updates as a whole number from 2"),
        (lambda: OneCycle(1, 9, rise=1), "Expected rise as a number above 0 and below 1, got 1. Pass"),
        (
            lambda: OneCycle(1, 9, start_divisor=0.5),
            "Expected start_divisor as a number of 1 or more, got 0.5",
        ),
        (lambda: OneCycle(1, 9, final_divisor=0), "Expected final_divisor as a number of 1 or more, got 0"),
        (
            lambda: OneCycle(1, 9, shape="round"),
            "Expected shape to be one of 'cosine', 'linear', got 'round'",
        ),
        (lambda: StepDecay("0.1", 0.5, 3), "Expected initial as a number above 0, got '0.1'"),
        (lambda: StepDecay(0.1, 0, 3), "Expected factor as a number above 0 and at most 1, got 0"),
        (lambda: StepDecay(0.1, 0.5, 0), "Expected every as a whole number from 1 to 1073741824, got 0"),
        (
            lambda: WarmUp("cosine", 3),
            "Expected schedule as a Keras schedule or a number above 0, got 'cosine'",
        ),
        (lambda: WarmUp(0.1, 0), "Expected updates as a whole number from 1"),
        (lambda: WarmUp(0.1, 3, start=-1), "Expected start as a number of 0 or more, got -1"),
        (lambda: CosLog(-1, 9), "Expected peak as a number above 0, got -1"),
        (lambda: CosLog(1, None), "Expected updates .* got None"),
        (lambda: CosLog(1, 9, cycles=31), "Expected cycles as a whole number from 1 to 30, got 31"),
    ],
)
def test_an_argument_out_of_range_is_named_with_what_to_pass(make, said):
    with pytest.raises(OptionError, match=said):
        make()
