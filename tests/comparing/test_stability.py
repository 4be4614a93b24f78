"""What is said of planted scores equals SciPy's and NumPy's answers; a small study leaves a page and its numbers."""

import importlib
import math
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

import caviar
from caviar.comparing.stability import described
from caviar.data.load import load
from caviar.data.split import make_splits
from caviar.errors import CaviarError, ModelError
from caviar.evaluate import repeats
from caviar.evaluate.metrics import find_metric
from caviar.measuring.measure import Bench
from caviar.progress import Clock, Voice
from caviar.report import stability as page
from caviar.report.terminal import stability as in_terminal
from caviar.run.record import ArmRecord
from caviar.run.studies import Scale, StabilityRecord
from tests.command.conftest import in_fresh_process

REPEATS, FOLDS, SEEDS = 20, 5, 4
SCALE = Scale(no_skill=1.1, reference=0.3, reference_title="linear model", rope=0.01, reason="because")
VALUES = np.random.default_rng(0).normal(0.4, 0.03, REPEATS)


@pytest.fixture(scope="module")
def bench() -> Bench:
    dataset = load("sample:iris")
    return Bench(dataset, make_splits(dataset, FOLDS, REPEATS, 0), find_metric("log-loss", dataset.task), ())


def measured(bench: Bench, scores: np.ndarray, seed_scores: np.ndarray, failed: int = 0) -> SimpleNamespace:
    """A recipe with these scores, as if it had been trained; in one row of ten the seed decides the class."""
    rows = bench.dataset.n_rows
    predictions = np.tile([0.8, 0.1, 0.1], (SEEDS, rows, 1))
    predictions[0, : rows // 10] = [0.1, 0.8, 0.1]
    members = FOLDS * (REPEATS + SEEDS - 1)
    return SimpleNamespace(
        recipe=SimpleNamespace(title="Planted"),
        record=ArmRecord(name="baseline", title="Planted", what="", members=members, failed_members=failed),
        scores={"log-loss": scores},
        seed_scores=seed_scores,
        seed_oof=predictions,
        failed=np.arange(members) < failed,
        fixed=(),
    )


def planted(bench: Bench, split: float = 0.05, seed: float = 0.02, **others: object) -> StabilityRecord:
    rng = np.random.default_rng(1)
    scores = 0.4 + rng.normal(0, math.hypot(split, seed), (REPEATS, FOLDS))
    seed_scores = 0.4 + rng.normal(0, split, (FOLDS, 1)) + rng.normal(0, seed, (FOLDS, SEEDS))
    arm = measured(bench, scores, seed_scores, **others)
    return described(bench, arm, SCALE, SEEDS, Clock(None), Voice(quiet=True))


def test_the_standard_error_and_its_interval_are_those_of_the_textbook():
    estimate = repeats.normal_estimate(VALUES)
    error = stats.sem(VALUES)
    assert repeats.standard_error(VALUES) == pytest.approx(error)
    assert estimate.low == pytest.approx(VALUES.mean() - 1.96 * error)
    assert estimate.high == pytest.approx(VALUES.mean() + 1.96 * error)
    assert repeats.standard_errors(VALUES) == pytest.approx([stats.sem(VALUES[:n]) for n in range(2, 21)])


def test_an_interval_ends_where_scores_end():
    assert repeats.normal_estimate(np.array([0.0, 0.2]), (0.0, 1.0)).low == 0.0


def test_the_bootstrap_interval_covers_the_mean_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(0, 1, (150, 40))
    found = [repeats.bootstrap_estimate(values, resamples=499) for values in draws]
    covered = np.mean([estimate.contains(0.0) for estimate in found])
    assert 0.88 < covered <= 0.99
    widths = np.mean([estimate.high - estimate.low for estimate in found])
    assert widths == pytest.approx(2 * 1.96 / math.sqrt(40), rel=0.1)


def test_equal_scores_have_intervals_without_width_and_no_test_of_normality():
    same = np.full(10, 0.5)
    estimate = repeats.bootstrap_estimate(same)
    assert estimate.low == estimate.value == estimate.high == 0.5
    assert math.isnan(repeats.normality(same).p)
    assert "all are equal" in repeats.normality(same).sentence
    assert repeats.enough_repeats(same, 0.01).repeats == 1


def test_normality_is_shapiro_and_wilks_test_and_skewed_scores_fail_it():
    found = repeats.normality(VALUES)
    expected = stats.shapiro(VALUES)
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    skewed = repeats.normality(np.exp(np.random.default_rng(0).normal(0, 1.5, 30)))
    assert skewed.p < 0.05
    assert "do not look normal" in skewed.sentence


@pytest.mark.parametrize("rope", [0.002, 0.005, 0.01, 0.5])
def test_enough_repeats_is_the_first_number_whose_standard_error_is_below_the_rope(rope):
    found = repeats.enough_repeats(VALUES, rope)
    deviation = VALUES.std(ddof=1)
    errors = deviation / np.sqrt(np.arange(1, 5000))
    assert found.repeats == int(np.argmax(errors < rope)) + 1
    assert found.low <= found.repeats <= found.high
    assert ("would be enough" in found.sentence) == (found.repeats > REPEATS)


def test_the_interval_of_enough_repeats_covers_the_true_number():
    """The true standard deviation is 1, so that 26 repeats are enough for a rope of 0.2."""
    rng = np.random.default_rng(2)
    found = [repeats.enough_repeats(rng.normal(0, 1, 30), 0.2) for _ in range(400)]
    assert np.mean([one.low <= 26 <= one.high for one in found]) == pytest.approx(0.95, abs=0.03)


def test_failed_folds_are_left_out_of_their_repeat_and_empty_repeats_altogether():
    scores = np.array([[0.2, 0.4], [0.5, np.nan], [np.nan, np.nan]])
    assert repeats.repeat_scores(scores) == pytest.approx([0.3, 0.5])


def test_a_planted_split_and_seed_are_told_apart(bench):
    found = planted(bench, split=0.2, seed=0.01)
    assert found.spread.split.contains(0.2)
    assert found.spread.seed.contains(0.01)
    assert found.spread.sentence.startswith("The split dominates")


def test_the_record_says_what_was_planted(bench):
    found = planted(bench, failed=3)
    values = np.array(found.fold_scores).mean(axis=1)
    assert found.repeat_scores == pytest.approx(values)
    assert found.mean == pytest.approx(values.mean())
    assert found.deviation == pytest.approx(values.std(ddof=1))
    assert found.standard_error == pytest.approx(stats.sem(values))
    assert found.flips == pytest.approx(0.1)
    wilson = stats.binomtest(3, 115).proportion_ci(method="wilson")
    assert (found.failed.low, found.failed.high) == pytest.approx((wilson.low, wilson.high))
    assert found.recipe.score.high - found.recipe.score.low > 2 * (found.normal.high - found.normal.low)
    assert "other rows" in found.why_they_differ


def test_a_recipe_whose_trainings_all_fail_is_one_sentence(bench):
    nothing = np.full((REPEATS, FOLDS), np.nan)
    arm = measured(bench, nothing, nothing[:FOLDS, :SEEDS], failed=115)
    with pytest.raises(ModelError, match="115 of 115"):
        described(bench, arm, SCALE, SEEDS, Clock(None), Voice(quiet=True))


def test_the_figures_show_the_records_numbers(bench):
    record = planted(bench)
    bars, line, errors = page.histogram(record), page.quantiles(record), page.error_lines(record)
    assert sum(bars.counts) == REPEATS
    assert np.allclose(np.diff(bars.edges), bars.edges[1] - bars.edges[0])
    assert list(line.scores) == sorted(record.repeat_scores)
    slope, intercept, fit = stats.probplot(record.repeat_scores)[1]
    assert fit > 0.9
    assert (line.slope, line.intercept) == pytest.approx((slope, intercept), rel=0.2)
    assert errors.seen[-1] == pytest.approx(record.standard_error)
    assert errors.expected[REPEATS - 1] == pytest.approx(record.standard_error)
    assert errors.expected[record.enough.repeats - 1] < errors.rope
    variance = np.var(record.fold_scores, ddof=1)
    limit = math.sqrt(variance * record.test_share)
    assert all(error > limit for error in errors.corrected)


@pytest.mark.parametrize("kind", ["usual", "equal scores", "far from enough"])
def test_every_kind_of_study_has_a_page_and_lines_for_the_terminal(bench, tmp_path, capsys, kind):
    from rich.console import Console

    spreads = {"usual": (0.05, 0.02), "equal scores": (0.0, 0.0), "far from enough": (2.0, 1.0)}
    record = planted(bench, *spreads[kind])
    written = page.write_stability(tmp_path, record).read_text(encoding="utf-8")
    assert "http-equiv" in written
    assert "src=" not in written.split('id="plotly"')[0]
    again = StabilityRecord.model_validate_json((tmp_path / "stability.json").read_bytes())
    assert again.repeat_scores == record.repeat_scores
    Console(width=80, highlight=False).print(in_terminal(record, tmp_path.relative_to(tmp_path.parent)))
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "Shapiro" in out or "cannot be tested" in out


def test_a_page_opens_offline_and_draws_all_its_figures(bench, tmp_path):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = Path("/usr/bin/chromium")
    if not chromium.exists():
        pytest.skip(f"there is no browser at {chromium}")
    path = page.write_stability(tmp_path, planted(bench))
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=["--no-sandbox"])
        opened = browser.new_context(offline=True, viewport={"width": 390, "height": 800}).new_page()
        complaints, requests = [], []
        opened.on("console", lambda message: complaints.append(message.text))
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.on("request", lambda request: requests.append(request.url))
        opened.goto(path.as_uri())
        opened.wait_for_function("document.documentElement.dataset.figures")
        assert opened.locator(".canvas:has(svg.main-svg)").count() == 5
        assert opened.evaluate("document.documentElement.scrollWidth") == 390
        assert complaints == []
        assert requests == [path.as_uri()]
        browser.close()


SMALL = ("--epochs", "2", "--folds", "3", "--repeats", "3", "--seeds", "2")


@pytest.mark.thorough
def test_the_command_leaves_a_page_and_its_numbers(tmp_path):
    ended = in_fresh_process("stability", "sample:iris", *SMALL, cwd=tmp_path)
    assert ended.status == 0, ended
    assert "over 3 repeats of 3 folds" in " ".join(ended.out.split())
    [folder] = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("iris-stability-")
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "stability.json"]
    record = StabilityRecord.model_validate_json((folder / "stability.json").read_bytes())
    assert np.array(record.fold_scores).shape == (3, 3)
    assert np.array(record.seed_scores).shape == (3, 2)
    assert record.recipe.members == 3 * 3 + 3


@pytest.mark.thorough
def test_repeats_are_given_up_before_folds_where_time_is_short(tmp_path, monkeypatch):
    """A training of which the first steps show that it would take hours is begun again with fewer repeats."""
    door = importlib.import_module("caviar.comparing.stability")
    tried, original = [], door._measured

    def slow_at_first(bench, recipe, seeds, monitor):
        tried.append(bench.shape)
        if len(tried) == 1:
            monitor.begin(3200)
            monitor.advance(1)
            for _ in range(2):
                time.sleep(0.2)  # 0.2 s per step, of which there are 3200: 640 s
                monitor.advance(1)
        return original(bench, recipe, seeds, monitor)

    monkeypatch.setattr(door, "_measured", slow_at_first)
    monkeypatch.setattr(door, "_steps", lambda *_: 3200)
    monkeypatch.chdir(tmp_path)
    found = caviar.stability("sample:iris", epochs=1, folds=3, seeds=2, minutes=5, quiet=True)
    assert tried[0] == (30, 3)
    assert tried[1][1] == 3
    assert 5 <= tried[1][0] <= 11  # 300 s of 640 s, with something to spare
    assert found.record.plan.repeats == tried[1][0]
    assert any("instead of 30" in message for message in found.record.messages)


@pytest.mark.parametrize(
    ("named", "options"),
    [
        ("Expected repeats", {"repeats": 1}),
        ("Expected seeds", {"seeds": 1}),
        ("Leave time out", {"time": "sepal length (cm)"}),
        ("nonsense", {"metric": "nonsense"}),
        ("missing.py", {"model": "missing.py:build"}),
        ("more minutes", {"minutes": 1e-6, "repeats": 2, "folds": 2}),
    ],
)
def test_what_cannot_be_studied_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch, named, options):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CaviarError, match=named) as raised:
        caviar.stability("sample:iris", quiet=True, **options)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.glob("runs/*"))
