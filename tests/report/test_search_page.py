"""The page of a search says what its record says, and draws every setting on its own scale."""

import json
import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from caviar import plots
from caviar.errors import OptionError
from caviar.estimate import Estimate
from caviar.recipe.hyperparameters import HyperParameters
from caviar.report.figures import trial_range
from caviar.report.front import draw_front, front_facts, marks_of, worth_showing
from caviar.report.scale import setting
from caviar.report.search import draw_slice, parallel_lines, progress, ranked, render, slices_of
from caviar.report.terminal import search as summary
from caviar.run.study import SearchRecord, TrialLine
from caviar.tune.kept import KeptSearch
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


def test_a_scale_that_is_dense_near_its_end_is_drawn_so():
    """Half way along a momentum's scale from 0.5 to 0.999 stands 0.79, not 0.75."""
    space = discover(lambda hp: hp.Float("momentum", 0.5, 0.999, sampling="reverse_log"))
    lines = [line(number, 0.1 * number, momentum=0.5 + 0.03 * number) for number in range(16)]
    (facts,) = slices_of(RECORD, lines, space)
    figure = draw_slice(facts, RECORD)
    points, medians = figure["data"]
    middle = space.parameters[0].draw(0.5)
    assert points["x"] == pytest.approx([space.parameters[0].place(0.5 + 0.03 * i) for i in range(16)])
    assert points["text"][:2] == ["0.5", "0.53"]
    assert max(medians["x"]) <= 1.0
    ticks = dict(
        zip(figure["layout"]["xaxis"]["ticktext"], figure["layout"]["xaxis"]["tickvals"], strict=True)
    )
    assert middle > 0.79
    assert ticks[setting(middle)] == pytest.approx(0.5)
    assert (ticks["0.5"], ticks["0.999"]) == pytest.approx((0, 1))


def test_settings_beyond_the_first_twelve_are_drawn_behind_a_line_that_names_them():
    def many(hp):
        for number in range(14):
            hp.Float(f"number_{number}", 0.0, 1.0)

    lines = [line(i, 0.1 * i, **{f"number_{k}": 0.1 * i for k in range(14)}) for i in range(5)]
    page = render(RECORD.model_copy(update={"settings": lines[0].settings}), lines, discover(many))
    assert "2 more settings: number_12 and number_13" in page
    assert '"slice-13":{' in page
    assert page.index("2 more settings") < page.index('data-figure="slice-12"')
    assert "more setting" not in render(RECORD, LINES, SPACE)


@pytest.mark.parametrize(("higher", "kept", "cut"), [(False, 0.1, 9.0), (True, 9.0, 0.1)])
def test_the_best_trials_are_inside_the_figure_wherever_most_of_them_lie(higher, kept, cut):
    scores = [0.1, 9.0, *(5 + 0.01 * i for i in range(30))]
    low, high = trial_range(scores, higher_is_better=higher)
    assert low < kept < high
    assert not low < cut < high


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


def two_scores(number: int, loss: float, accuracy: float) -> TrialLine:
    return line(number, loss).model_copy(update={"score": [loss, accuracy]})


BOTH = [
    two_scores(0, 0.3, 0.812),
    two_scores(1, 0.4, 0.878),
    *(two_scores(number, 0.4 + 0.01 * number, 0.5) for number in range(2, 40)),
    two_scores(40, 0.99, 0.978),
]
FRONT = RECORD.model_copy(
    update={
        "objectives": ["log-loss", "accuracy"],
        "best": 0,
        "ties": [1, 2],
        "front": [0, 1, 40],
        "trials": len(BOTH),
    }
)


def test_a_trial_on_the_front_is_marked_so_also_where_it_is_the_best_or_a_tie():
    marks = [marks_of(FRONT, number) for number in (0, 1, 2, 3, 40)]
    assert marks == [["best", "front"], ["tie", "front"], ["tie"], [], ["front"]]


def test_the_table_has_the_whole_front_and_is_filled_up_with_the_best_others():
    """The last of the front has the worst log-loss of all."""
    assert [one.number for one in worth_showing(FRONT, ranked(FRONT, BOTH), 5)] == [0, 1, 2, 3, 40]
    assert [one.number for one in worth_showing(RECORD, ranked(RECORD, LINES), 2)] == [1, 3]


def test_page_and_terminal_show_every_score():
    page = render(FRONT, BOTH, SPACE)
    console = Console(width=140, file=StringIO())
    console.print(summary(FRONT, BOTH, Path("runs/study")))
    for text in (page, console.file.getvalue()):
        assert all(score in text for score in ("0.812", "0.878", "0.978", "accuracy, higher is better"))
    assert '"front":{' in page
    assert '"front":{' not in render(RECORD, LINES, SPACE)


def test_the_front_is_a_stair_above_the_other_trials():
    """Accuracy is better above, log-loss to the left: from each trial of the front to the right, then up."""
    facts = front_facts(FRONT, ranked(FRONT, BOTH))
    others, front, best = draw_front(facts)["data"]
    assert (front["x"], front["y"]) == ([0.3, 0.4, 0.99], [0.812, 0.878, 0.978])
    assert front["line"]["shape"] == "hv"
    assert len(others["x"]) == 38
    assert (best["x"], best["name"]) == ([0.3], "best log-loss")
    turned = FRONT.model_copy(update={"objectives": ["accuracy", "log-loss"]})
    assert draw_front(front_facts(turned, BOTH))["data"][1]["line"]["shape"] == "vh"
    low, high = draw_front(facts)["layout"]["xaxis"]["range"]
    assert low < 0.3
    assert high > 0.99


def test_three_scores_are_drawn_by_the_first_two_without_a_stair():
    three = [one.model_copy(update={"score": [*one.score, 0.5]}) for one in BOTH]
    record = FRONT.model_copy(update={"objectives": ["log-loss", "accuracy", "auc"]})
    assert "line" not in draw_front(front_facts(record, three))["data"][1]
    assert "The figure has the first two" in render(record, three, SPACE)


def test_the_front_is_a_plot_of_its_own():
    assert "3 are on the front" in plots.front(KeptSearch(None, FRONT, BOTH, SPACE)).description
    with pytest.raises(OptionError, match="several objectives"):
        plots.front(KeptSearch(None, RECORD, LINES, SPACE))
