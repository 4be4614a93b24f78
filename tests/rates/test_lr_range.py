"""A planted stability limit is found, members are what Keras' `fit` gives, and a test leaves a page and its numbers."""

import importlib
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import caviar
from caviar.data.split import make_splits
from caviar.errors import CaviarError, ModelError, OptionError
from caviar.evaluate.metrics import find_metric
from caviar.evaluate.rate_findings import Findings
from caviar.evaluate.rates import RateScores, SweepLosses, from_which_on
from caviar.measuring.given import make_recipe, read_arrays
from caviar.measuring.measure import Bench
from caviar.population import devices
from caviar.population.train import NotTogether
from caviar.rates.lr_range import LearningRateRange, read_rates
from caviar.rates.trained import rate_of, train_at_rates, train_sweep
from caviar.recipe.schedules import RangeSweep
from caviar.report import lr_range as page
from caviar.report.terminal import lr_range as in_terminal
from caviar.run.rates import RangeRecord
from tests.command.conftest import caviar as command  # noqa: F401 - a fixture
from tests.command.conftest import in_fresh_process

devices.start()
import keras  # noqa: E402 - JAX is set up before

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)) * [1.0, 2.0, 0.5]
Y = X @ [1.0, -1.0, 2.0] + RNG.normal(0, 0.1, 60)


def linear() -> keras.Model:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return model


def network(rate: object = 0.003) -> keras.Model:
    """Everything that draws at random, and an optimizer with a memory."""
    layers = [keras.layers.Dense(8, "relu"), keras.layers.Dropout(0.3), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((3,)), *layers])
    model.compile(keras.optimizers.Adam(rate), "mse")
    return model


def bench_of(folds: int = 3, repeats: int = 1) -> Bench:
    dataset, _ = read_arrays(X, Y, None)
    splits = make_splits(dataset, folds, repeats, 0)
    return Bench(dataset, splits, find_metric("rmse", dataset.task), (), spread="vmap")


def recipe_of(build, bench: Bench, epochs: int = 4):
    return make_recipe(build, bench.dataset, name="planted", batch_size=16, epochs=epochs, callbacks=())


def alone(bench: Bench, build, k: int) -> tuple[keras.Model, np.ndarray, np.ndarray]:
    """What Keras is given for seed k of the last split: the built model and its rows."""
    place = len(bench.splits) - 1
    keras.utils.set_random_seed(bench.seed_of(place, k))
    rows = bench.splits[place].train
    return build(), X[rows].astype(np.float32), Y[rows, None].astype(np.float32)


# The planted truth: gradient descent on squares diverges from 2 / (largest eigenvalue of the Hessian) on.


def stability_limits(bench: Bench) -> list[float]:
    """Of each split; the loss is the mean of squares, so that its Hessian is 2 X'X / n."""
    return [
        2 / np.linalg.eigvalsh(2 * X[split.train].T @ X[split.train] / len(split.train)).max()
        for split in bench.splits
    ]


STEP = 1.35


@pytest.fixture(scope="module")
def found() -> LearningRateRange:
    limits = stability_limits(bench_of(3, 2))
    rates = float(np.median(limits)) * STEP ** (np.arange(-14, 6) + 0.4)
    return caviar.lr_range(
        linear, X, Y, batch_size=60, epochs=120, share=1.0, rates=rates, folds=3, repeats=2, verbose=0
    )


def test_the_edge_lies_within_a_step_above_the_stability_limit(found):
    limits = stability_limits(bench_of(3, 2))
    assert max(limits) / min(limits) < STEP
    assert min(limits) <= found.edge <= max(limits) * STEP


def test_rates_to_use_lie_below_the_edge_and_best_among_them(found):
    assert found.best in found.alike
    assert max(found.alike) == found.maximum < found.edge
    assert found.base < found.maximum
    low, high = found.search_range
    assert low <= min(found.alike)
    assert high < found.edge


def test_all_rates_below_the_limit_leave_no_edge_and_a_remark():
    limit = min(stability_limits(bench_of(3)))
    rates = limit * np.array([0.05, 0.1, 0.2])
    found = caviar.lr_range(
        linear, X, Y, batch_size=60, epochs=60, rates=rates, folds=3, repeats=1, seeds=1, verbose=0
    )
    assert found.edge is None
    assert "holds up to" in found.record.sentence
    assert any("highest that was tried" in message for message in found.record.messages)


def test_schedules_are_made_from_base_and_maximum(found):
    cycle = found.cyclical(rows=1000, epochs=2)
    assert (cycle.base, cycle.peak) == (found.base, found.maximum)
    assert cycle.step_size == 2 * math.ceil(1000 / 60)
    once = found.one_cycle(1000, 60, epochs=5, rise=0.4)
    assert (once.peak, once.updates, once.rise) == (found.maximum, 5 * 17, 0.4)
    assert found.one_cycle().updates == found.record.epochs * found.record.updates_per_epoch == 120
    with pytest.raises(OptionError, match=r"batch_size=60.*got 32"):
        found.cyclical(1000, 32)
    model = linear()
    model.compile(keras.optimizers.SGD(found.cyclical()), "mse")
    model.fit(X, Y, epochs=1, verbose=0)


def test_every_rate_is_beside_the_best_one_with_its_interval(found):
    rows = found.record.rates
    assert [one.rate for one in rows if one.difference is None] == [found.best]
    for one in rows:
        assert one.alike == (one.rate in found.alike)
        if one.rate < found.edge:
            assert one.score.low <= one.score.value <= one.score.high
    assert rows[-1].lost == found.record.members // len(rows)


# What a population computes is what Keras computes.


@pytest.mark.thorough
def test_a_member_at_a_constant_rate_is_what_fit_gives():
    bench = bench_of()
    recipe, rates = recipe_of(network, bench), [0.001, 0.1, 0.0]
    at = train_at_rates(bench, recipe, rates, 2)
    assert at.scores.shape == at.losses.shape == (3, 1, 3, 2)
    held = bench.splits[-1].held_out
    for i, rate in enumerate(rates):
        model, x, y = alone(bench, lambda rate=rate: network(rate), 1)
        model.fit(x, y, batch_size=16, epochs=4, verbose=0)
        loss = model.evaluate(X[held], Y[held, None], verbose=0)
        assert at.losses[i, 0, -1, 1] == pytest.approx(loss, rel=1e-4)
        assert at.scores[i, 0, -1, 1] == pytest.approx(math.sqrt(loss), rel=1e-4)


def test_a_member_of_a_sweep_has_the_losses_that_fit_gives():
    """Eleven updates: the fourth batch of a pass is short, and passes come in new orders."""
    bench = bench_of()
    schedule = RangeSweep(1e-4, 0.5, 11)
    losses = train_sweep(bench, recipe_of(network, bench), schedule, 2)
    assert losses.shape == (6, 11)
    model, x, y = alone(bench, lambda: network(schedule), 1)
    history = model.fit(x, y, batch_size=16, epochs=11, steps_per_epoch=1, verbose=0).history
    assert losses[-1] == pytest.approx(history["loss"], rel=1e-4)


def test_rates_that_cannot_train_together_train_one_after_the_other_to_the_same_scores(monkeypatch):
    bench = bench_of()
    recipe = recipe_of(linear, bench, 1)
    together = train_at_rates(bench, recipe, [0.01, 0.0], 1)
    module = importlib.import_module("caviar.rates.trained")
    original = module.train

    def alone_only(job, monitor):
        if job.numbers:
            raise NotTogether("this is a test")
        return original(job, monitor)

    monkeypatch.setattr(module, "train", alone_only)
    apart = train_at_rates(bench, recipe, [0.01, 0.0], 1)
    assert apart.why == "this is a test"
    assert apart.scores == pytest.approx(together.scores, rel=1e-4)


# What scores and losses say, where it was planted.

RATES = np.geomspace(1e-4, 1e3, 8)
MEANS = np.array([1.0, 0.8, 0.5, 0.2, 0.205, 0.3, 5.0, 5.0])
"""Untrained 1.0, no skill 0.9: clear from the second on, best at the fourth, the fifth like it, the seventh breaks."""


def planted(means: np.ndarray = MEANS, noise: float = 0.01, rope: float | None = None) -> RateScores:
    rng = np.random.default_rng(3)
    fold = rng.normal(0, 0.05, (3, 5, 1))
    scores = means[:, None, None, None] + fold + rng.normal(0, noise, (len(means), 3, 5, 2))
    untrained = 1.0 + fold + rng.normal(0, noise, (3, 5, 2))
    metric = find_metric("log-loss", "binary")
    return RateScores(RATES, scores, untrained, np.full((3, 5), 0.9), metric, 0.25, 500, rope)


def climbing(losses: np.ndarray | None = None) -> SweepLosses:
    rates = np.geomspace(1e-4, 1e3, 141)
    position = np.log10(rates)
    shape = np.where(position < -2, 1.0, np.where(position < 0, 1.0 - 0.4 * (position + 2), 0.2 + position))
    return SweepLosses(rates, np.tile(shape, (4, 1)) if losses is None else losses)


def finding(tried: RateScores | None = None, sweep: SweepLosses | None = None, own: float = 0.1) -> Findings:
    tried = tried or planted()
    return Findings(tried, tried.scores, sweep or climbing(), "exponential", own)


def test_what_was_planted_in_scores_is_read_from_them():
    read = planted()
    assert read.best == 3
    assert read.edge == 6
    assert read.alike.tolist() == [False, False, False, True, True, False, False, False]
    assert read.falls.tolist() == [False, True, True, True, True, True, False, False]
    assert (read.base, read.maximum) == (1, 4)
    assert read.rope == pytest.approx(0.02 * 0.7, rel=0.1)


def losing(counts: dict[int, int]) -> RateScores:
    """Planted scores of which so many of 30 trainings of some rates end without skill, just so."""
    read = planted()
    for place, count in counts.items():
        read.scores[place].reshape(-1)[:count] = 0.91
    return read


def test_a_rate_is_told_to_lose_more_trainings_where_so_many_would_be_no_chance():
    """Fisher's exact test, one-sided, at 5 %: of 30 trainings, 4 and 0 cannot be told apart, 5 and 0 can."""
    assert not losing({4: 4}).loses_more[4]
    told = losing({4: 5})
    assert (told.lost[told.best], told.lost[4], told.loses_more[4], told.alike[4]) == (0, 5, True, False)
    assert not losing({3: 2, 4: 7}).loses_more[4]
    assert losing({3: 2, 4: 9}).loses_more[4]


def test_one_lost_training_of_eight_is_as_good_as_none():
    read = planted()
    few = replace(
        read, scores=read.scores[:, :2, :2], untrained=read.untrained[:2, :2], no_skill=read.no_skill[:2, :2]
    )
    few.scores[4, 0, 0, 0] = np.nan
    assert (few.each, few.lost[few.best], few.lost[4]) == (8, 0, 1)
    assert few.alike[4]
    assert few.maximum == 4
    (said,) = [
        one for one in finding(few).remarks() if "1 of 8 trainings are lost, at the best one none" in one
    ]
    assert "too small a difference" in said
    assert not any("too small a difference" in one for one in finding().remarks())


def test_a_small_difference_counts_as_none_and_a_smaller_rope_tells_it():
    means = MEANS.copy()
    means[4] = 0.209
    assert planted(means, noise=1e-4).alike[4]
    assert not planted(means, noise=1e-4, rope=0.004).alike[4]


def test_scores_that_ran_away_hide_no_difference():
    """One fold of 1e30 would have an infinite spread beside which nothing is significant."""
    means = MEANS.copy()
    means[6:] = 1e30
    assert planted(means).alike.tolist() == planted().alike.tolist()
    assert planted(means).beside_best[7].verdict == "harms"


def test_without_skill_only_failures_make_an_edge():
    means = np.full(8, 1.5)
    read = planted(means)
    assert not read.has_skill
    assert read.edge is None
    read = planted(means)
    read.scores[5:] = np.nan
    assert read.edge == 5
    assert any("caviar.diagnose" in remark for remark in finding(read).remarks())


def test_where_everything_fails_nothing_is_recommended():
    read = planted()
    read.scores[:] = np.nan
    found = finding(read)
    assert (found.best, found.maximum, found.base, found.search) == (None, None, (None, ""), None)
    assert found.alike == []
    assert "failed at every one of the 8 rates" in found.sentence()


def test_a_sweep_is_read_where_it_was_planted():
    read = climbing()
    step = read.rates[1] / read.rates[0]
    assert read.rates[read.lowest] == pytest.approx(1.0, rel=3 * (step - 1))  # half a window
    assert read.rates[read.base] == pytest.approx(10 ** (-2 + 0.1 * 2), rel=0.3)
    assert 1e-2 <= read.rates[read.steepest] <= 1
    assert read.rates[read.edge] == pytest.approx(10**0.8, rel=0.3)
    assert climbing(np.ones((4, 141))).lowest is None


def test_a_smoothed_loss_is_a_centred_mean_and_infinite_from_divergence_on():
    losses = np.random.default_rng(0).normal(1, 0.1, (4, 141))
    losses[3, 100] = np.nan
    read = climbing(losses)
    reach = read.window // 2
    assert read.window == 7
    assert read.smoothed[0, 50] == pytest.approx(losses[0, 50 - reach : 51 + reach].mean())
    assert read.smoothed[0, 0] == pytest.approx(losses[0, : 1 + reach].mean())
    assert np.isinf(read.smoothed[3, 100:]).all()
    assert np.isfinite(read.smoothed[3, : 100 - reach]).all()
    assert np.isfinite(read.median).all()
    assert read.quantile(1.0)[120] == np.inf


def test_the_first_of_those_that_hold_to_the_end_is_found():
    assert from_which_on(np.array([True, False, True])) == 2
    assert from_which_on(np.array([True, True])) == 0
    assert from_which_on(np.array([True, False])) is None


def test_the_remarks_say_where_sweep_and_constant_rates_differ():
    same = [remark for remark in finding().remarks() if "edge" in remark]
    other = finding(sweep=climbing(np.tile(np.linspace(1.0, 0.1, 141), (4, 1))))
    assert any("constant rates break from 100 on, the sweep never breaks" in said for said in other.remarks())
    (said,) = [said for said in other.remarks() if "falls fastest at" in said]
    assert "the nearest, 0.01, is worse than the best one, by 0.297; the best is 0.1" in said
    assert any(
        "the sweep breaks from" in said for said in same
    )  # 10^0.8 beside 10^2: more than a step of ten


def test_without_a_clear_fall_at_constant_rates_the_sweep_gives_the_base_and_then_a_quarter():
    flat = planted(np.array([0.95, 0.88, 0.87, 0.86, 0.87, 0.88, 5.0, 5.0]), noise=0.5)
    found = finding(flat)
    assert not flat.falls[flat.best]
    assert found.base[1] == "sweep"
    assert any("in the sweep" in remark for remark in found.remarks())
    never = finding(flat, climbing(np.ones((4, 141))))
    assert never.base == (pytest.approx(never.maximum / 4), "a quarter of the maximum")
    assert any("rule of thumb" in remark for remark in never.remarks())


def hardly_skilled() -> RateScores:
    """At the best rate, 10 of 30 trainings end as far from a prediction that ignores the inputs as others never do."""
    read = planted()
    read.scores[:] += 0.6
    read.scores[3, :, :, 0] = 0.6
    read.scores[3, :2, :, 1] = 0.8
    read.scores[3, 2, :, 1] = 9.0
    return read


def test_a_mean_that_holds_scores_back_says_so():
    """The table shows the plain mean, so that one sentence must not show another number without a word."""
    read = hardly_skilled()
    assert read.is_held_back
    assert read.score_of_best < read.scores[read.best].mean()
    assert f"counting none as worse than {read.worst:.3g})" in finding(read).sentence()
    assert not planted().is_held_back
    assert "counting none" not in finding().sentence()


def test_a_best_rate_without_skill_on_average_is_remarked_on():
    read = planted()
    read.scores[:] = 5.0
    read.scores[3, :, :, 0] = 0.8  # every second training; no skill is 0.9
    assert read.has_skill
    assert not read.beats_no_skill
    assert any("the rate is not all that ails" in remark for remark in finding(read).remarks())
    assert not any("ails" in remark for remark in finding().remarks())


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (0.1, "is that best one"),
        (1.0, "is as good as can be told"),
        (10.0, "is worse than the best one, by 0.1"),
        (0.001, "is worse than the best one, by 0.596"),
        (2000, "or rather the nearest, 1000, lies beyond the edge"),
        (0.0, "cannot be placed"),
    ],
)
def test_the_sentence_says_how_the_own_rate_fares(own, said):
    assert said in finding(own=own).sentence()


def test_what_keeps_a_rate_from_being_as_good_is_said_as_it_is():
    """Told apart by the trainings that it loses, by its score, or beyond the edge."""
    fast = climbing(np.tile(np.where(np.log10(np.geomspace(1e-4, 1e3, 141)) < 0, 1.0, 0.1), (4, 1)))
    for tried, why in (
        (losing({4: 6}), "leaves 6 of 30 trainings without skill, the best one none; the best is 0.1"),
        (planted(MEANS + 0.3 * (np.arange(8) == 4)), "is worse than the best one, by 0.3"),
    ):
        (said,) = [said for said in finding(tried, fast).remarks() if "falls fastest at" in said]
        assert f"the nearest, 1, {why}" in said
        assert why.partition(";")[0] in finding(tried, own=1.0).sentence()


# The page, the terminal, the command.


def kinds(found: LearningRateRange) -> dict[str, RangeRecord]:
    failing = planted()
    failing.scores[:] = np.nan
    ran_away = planted()
    ran_away.scores[6:] = 1e30
    nothing = climbing(np.full((4, 141), np.nan))
    records = {"found": found.record}
    for name, one in (
        ("failed", finding(failing, nothing)),
        ("ran away", finding(ran_away)),
        ("flat", finding(planted(np.full(8, 0.9)))),
    ):
        records[name] = found.record.model_copy(update={**one.fields(), "scale": one.scale()})
    return records


@pytest.mark.parametrize("kind", ["found", "failed", "ran away", "flat"])
def test_every_kind_of_test_has_a_page_and_lines_for_the_terminal(found, kind, tmp_path, capsys):
    from rich.console import Console

    record = kinds(found)[kind]
    written = page.write_range(tmp_path, record).read_text(encoding="utf-8")
    assert "http-equiv" in written
    figures = json.loads(re.search(r'id="figure-data">(.*?)</script>', written)[1])["figures"]
    assert set(figures) == {"score", "loss", "sweep"}
    assert RangeRecord.model_validate_json((tmp_path / "lr-range.json").read_bytes()).alike == record.alike
    Console(width=80, highlight=False).print(in_terminal(record, tmp_path.relative_to(tmp_path.parent)))
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_a_figure_shows_the_records_numbers_and_its_ends_hold_what_ran_away(found):
    record = kinds(found)["ran away"]
    curve = page.score_curve(record)
    assert curve.values[3] == record.rates[3].score.value
    assert curve.marks == tuple(one.alike for one in record.rates)
    assert ("edge", record.edge) in [line[:2] for line in curve.lines]
    drawn = page.draw_curve(curve)
    line = next(trace for trace in drawn["data"] if trace["mode"] == "lines+markers")
    assert max(line["y"]) == curve.top < 3
    assert line["marker"]["symbol"][-1] == "triangle-up"


def test_the_axis_holds_the_rates_to_use_even_where_all_are_far_from_no_skill(found):
    """As many lengths beyond no skill as the best rate lies before it are no room where that is hardly before it."""
    tried = finding(planted(np.array([3.0, 2.0, 2.0, 1.9, 1.9, 2.0, 9.0, 9.0])))
    scale = tried.scale().model_copy(update={"reference": 0.95})
    record = found.record.model_copy(update={**tried.fields(), "scale": scale})
    curve = page.score_curve(record)
    assert curve.bottom < min(value for value in curve.values if value is not None) < curve.top


def test_arrays_leave_a_page_where_asked(tmp_path):
    out = tmp_path / "here"
    few = {"rates": [0.001, 0.01, 0.1], "folds": 2, "repeats": 1, "seeds": 1, "updates": 100, "verbose": 0}
    found = caviar.lr_range(linear, X, Y, batch_size=60, epochs=2, out=out, sweep="linear", **few)
    assert found.path == out
    assert sorted(path.name for path in out.iterdir()) == ["lr-range.json", "report.html"]
    assert len(found.record.sweep.rates) == 100
    assert np.diff(found.record.sweep.rates) == pytest.approx(0.099 / 99, rel=1e-3)
    assert found.record.plan.seeds == 1
    again = caviar.lr_range(linear, X, Y, batch_size=60, epochs=2, **few)
    assert again.path is None
    assert again.record.rates == found.record.rates


MODEL = """
import keras

def build(n_inputs, n_outputs):
    model = keras.Sequential([keras.Input((n_inputs,)), keras.layers.Dense(n_outputs, "softmax")])
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    return model

def scheduled(n_inputs, n_outputs):
    model = build(n_inputs, n_outputs)
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    model.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy")
    return model
"""
SMALL = ("--epochs", "6", "--folds", "2", "--repeats", "1", "--seeds", "2", "--rates", "0.001,0.1,1,1000")


@pytest.mark.thorough
def test_the_command_leaves_a_page_and_its_numbers(tmp_path):
    (tmp_path / "my.py").write_text(MODEL)
    ended = in_fresh_process("lr-range", "sample:iris", "--model", "my.py:build", *SMALL, cwd=tmp_path)
    assert ended.status == 0, ended
    assert "of 4 constant learning rates" in " ".join(ended.out.split())
    [folder] = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("iris-lr-range-")
    assert sorted(path.name for path in folder.iterdir()) == ["lr-range.json", "report.html"]
    record = RangeRecord.model_validate_json((folder / "lr-range.json").read_bytes())
    assert record.own == pytest.approx(0.1)
    assert record.members == 4 * 2 * 2
    assert record.tried_epochs == 5
    assert record.sweep.members == 2 * 2


@pytest.mark.parametrize(
    ("said", "options"),
    [
        ("schedule of its own", ("--model", "my.py:scheduled")),
        ("Expected rates", ("--rates", "0.1,zero,1")),
        ("Expected rates", ("--rates", "0.1,0.1,1")),
        ("Expected rates", ("--rates", "0.1,-0.1,1")),
        ("Expected share", ("--share", "0")),
        ("Expected sweep", ("--sweep", "cosine")),
        ("Expected updates", ("--updates", "5")),
        ("Expected seeds", ("--seeds", "0")),
        ("missing.py", ("--model", "missing.py:build")),
        ("more minutes", ("--minutes", "0.0001", "--model", "my.py:build")),
    ],
)
def test_what_cannot_be_tested_is_one_sentence_and_leaves_nothing(command, tmp_path, said, options):  # noqa: F811
    (tmp_path / "my.py").write_text(MODEL)
    ended = command("lr-range", "sample:iris", "--epochs", "1", "--folds", "2", *options)
    assert ended.is_one_sentence(), ended
    assert said in ended.err
    assert not list(tmp_path.glob("runs/*"))


def test_arrays_are_refused_in_one_sentence_likewise():
    with pytest.raises(CaviarError, match="function"):
        caviar.lr_range(3, X, Y, verbose=0)
    with pytest.raises(CaviarError, match="y with one entry"):
        caviar.lr_range(linear, X, Y[:5], verbose=0)
    with pytest.raises(CaviarError, match=r"^Expected epochs"):
        caviar.lr_range(linear, X, Y, epochs=0, verbose=0)
    decay = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    with pytest.raises(ModelError, match="schedule of its own"):
        caviar.lr_range(lambda: network(decay), X, Y, verbose=0)


def test_rates_are_read_from_words_and_numbers():
    assert read_rates(None) == pytest.approx(np.geomspace(1e-5, 10, 25))
    assert read_rates("1,0.1,1e-2").tolist() == [0.01, 0.1, 1.0]
    assert read_rates((1, 0.5, 0.1)).tolist() == [0.1, 0.5, 1.0]
    with pytest.raises(OptionError, match="3 to 200"):
        read_rates([0.1, 1.0])


def test_the_rate_of_a_model_is_the_number_it_came_with():
    assert rate_of(network(0.003)) == pytest.approx(0.003)


def test_a_page_opens_offline_and_draws_all_its_figures(found, tmp_path):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = Path("/usr/bin/chromium")
    if not chromium.exists():
        pytest.skip(f"there is no browser at {chromium}")
    path = page.write_range(tmp_path, found.record)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=["--no-sandbox"])
        opened = browser.new_context(offline=True, viewport={"width": 390, "height": 800}).new_page()
        complaints, requests = [], []
        opened.on("console", lambda message: complaints.append(message.text))
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.on("request", lambda request: requests.append(request.url))
        opened.goto(path.as_uri())
        opened.wait_for_function("document.documentElement.dataset.figures")
        assert opened.locator(".canvas:has(svg.main-svg)").count() == 3
        assert opened.evaluate("document.documentElement.scrollWidth") == 390
        assert complaints == []
        assert requests == [path.as_uri()]
        browser.close()


def test_rows_of_any_shape_are_taken_as_a_network_gets_them():
    def build(*first):
        layers = [*first, keras.layers.Conv1D(2, 2), keras.layers.Flatten(), keras.layers.Dense(1)]
        model = keras.Sequential(layers)
        model.compile("sgd", "mse")
        return model

    said = {"rates": [0.001, 0.01, 0.1], "epochs": 2, "folds": 2, "repeats": 1, "seeds": 1, "verbose": 0}
    shaped = caviar.lr_range(lambda: build(keras.Input((3, 1))), X[:, :, None], Y, **said)
    flat = caviar.lr_range(lambda: build(keras.Input((3,)), keras.layers.Reshape((3, 1))), X, Y, **said)
    assert str(shaped) == str(flat)
