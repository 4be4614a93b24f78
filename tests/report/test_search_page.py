"""The page of a search says what its record says, and draws every setting on its own scale."""

import json
import re

import pytest

from caviar.estimate import Estimate
from caviar.recipe.hyperparameters import HyperParameters
from caviar.report.search import draw_slice, parallel_lines, progress, ranked, render, slices_of
from caviar.run.study import SearchRecord, TrialLine
from caviar.tune.space import discover

NAN = float("nan")


def ask(hp: HyperParameters) -> None:
    hp.Float("rate", 1e-4, 1.0, sampling="log")
    hp.Float("<b>drop</b>", 0.0, 0.5)
    if hp.Choice("kind", ["plain", "deep"]) == "deep":
        hp.Int("layers", 2, 9)


SPACE = discover(ask)


def line(number: int, score: float, why: str = "", **settings) -> TrialLine:
    settings = {"rate": 0.01, "<b>drop</b>": 0.25, "kind": "plain"} | settings
    return TrialLine(
        number=number,
        settings=settings,
        score=[score],
        fold_scores=[[score]],
        generation=0,
        place=number,
        seconds=1.0,
        why=why,
    )


LINES = [
    line(0, 0.7),
    line(1, 0.4, rate=0.1, kind="deep", layers=3),
    line(2, NAN, why="2 of 3 trainings <i>diverged</i>.", rate=1.0),
    line(3, 0.5, rate=0.05),
]
ESTIMATE = Estimate(value=0.45, low=0.4, high=0.5, method="BBC-CV", n=90)
RECORD = SearchRecord(
    created="2026-01-01 00:00:00",
    seconds=12.0,
    versions={"caviar": "0"},
    search="random",
    objectives=["log-loss"],
    metric="log-loss",
    higher_is_better=False,
    folds=3,
    repeats=1,
    best=1,
    settings=LINES[1].settings,
    naive_score=0.4,
    score=ESTIMATE,
    gain=ESTIMATE,
    ties=[3],
    front=[],
    trials=4,
    failed=1,
    sentence="Trial 1 of 4 has the best log-loss.",
)


def test_trials_are_ranked_and_the_best_so_far_never_gets_worse():
    assert [one.number for one in ranked(RECORD, LINES)] == [1, 3, 0]
    found = progress(RECORD, LINES)
    assert found.numbers == (0, 1, 3)
    assert found.best == (0.7, 0.4, 0.4)
    turned = RECORD.model_copy(update={"higher_is_better": True})
    assert progress(turned, LINES).best == (0.7, 0.7, 0.7)


def test_each_setting_has_a_slice_on_its_own_scale():
    rate, drop, kind, layers = slices_of(RECORD, ranked(RECORD, LINES), SPACE)
    assert (rate.is_log, drop.is_log, kind.order) == (True, False, ("plain", "deep"))
    assert draw_slice(rate, RECORD)["layout"]["xaxis"]["type"] == "log"
    assert (layers.values, layers.scores) == ((3,), (0.4,))
    assert "logarithmic" in rate.drawn


def test_lines_run_over_the_settings_that_all_trials_have():
    found = parallel_lines(ranked(RECORD, LINES), SPACE)
    assert found.names == ("rate", "<b>drop</b>", "kind")
    assert found.places[0] == pytest.approx((0.75, 0.5, 0.75))
    assert found.best == 1


def test_the_page_shows_verdict_trials_and_failures_and_nothing_of_them_is_markup():
    page = render(RECORD, LINES, SPACE)
    assert RECORD.sentence in page
    assert "<b>drop</b>" not in page
    assert "<i>diverged</i>" not in page
    assert "&lt;i&gt;diverged" in page
    figures = json.loads(
        re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)[1]
    )
    assert {"history", "parallel", "slice-0", "slice-3"} <= set(figures["figures"])
