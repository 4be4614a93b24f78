"""The figures of a search show what its trials say, and no more."""

import json

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from caviar import plots
from caviar.errors import OptionError, RunError
from caviar.report.contour import NEIGHBOURS, contour, weightiest
from caviar.report.search import ranked, render, slices_of
from caviar.report.slices import groups_of
from caviar.run.study import StudyFolder, TrialLine
from caviar.tune.draws import random_search
from caviar.tune.kept import KeptSearch
from caviar.tune.space import discover, told_space
from tests.report.test_search_page import RECORD


def ask(hp):
    hp.Float("rate", 1e-4, 1.0, sampling="log")
    hp.Int("width", 1, 8)
    hp.Choice("kind", ["plain", "deep"])
    hp.Float("drop", 0.0, 0.5, parent_name="kind", parent_values=["deep"])


SPACE = discover(ask)


def valley(settings) -> float:
    """Lowest at a rate of 0.01, higher by a tenth a decade, and by a hundredth a unit of width."""
    return 0.3 + 0.1 * abs(np.log10(settings["rate"]) + 2) + 0.01 * settings["width"]


def searched(trials: int, score=valley) -> KeptSearch:
    lines = [
        TrialLine(
            number=one.number,
            settings=one.settings,
            score=[score(one.settings)],
            fold_scores=[[0.0]],
            generation=0,
            place=0,
            seconds=1.0,
        )
        for one in random_search(SPACE, trials, seed=1).ask(trials)
    ]
    best = min(lines, key=lambda line: line.score[0])
    shares = {"kind": 0.5, "rate": 0.3, "width": 0.2}
    record = RECORD.model_copy(
        update={"best": best.number, "settings": best.settings, "importance": shares, "trials": trials}
    )
    return KeptSearch(None, record, lines, SPACE)


FOUND = searched(80)


def facts(found=FOUND, x="rate", y="width"):
    return contour(found.record, ranked(found.record, found.lines), found.space, x, y)


def test_the_two_settings_on_a_scale_that_count_most_are_chosen():
    assert weightiest(FOUND.record, SPACE) == ("rate", "width")
    assert weightiest(FOUND.record.model_copy(update={"importance": {}}), SPACE) is None


def test_trials_stand_on_their_own_scales():
    found = facts()
    best = min(FOUND.lines, key=lambda line: line.score[0])
    np.testing.assert_allclose(
        found.places[0],
        [(np.log10(best.settings["rate"]) + 4) / 4, (best.settings["width"] - 0.5) / 8],
        atol=1e-6,
    )
    assert dict(zip(found.x.values, found.x.places, strict=True))["0.01"] == pytest.approx(0.5)
    assert found.y.values[-1] == "8"


def test_the_shades_follow_the_neighbours_and_are_best_in_the_valley():
    """The last band is the best one: all of it lies around a rate of 0.01, half way along the axis."""
    found = facts()
    corners = np.concatenate(found.bands[-1].pieces)
    assert found.bands[-1].low == min(band.low for band in found.bands)
    assert np.all(np.abs(corners[:, 0] - 0.5) < 0.25)
    worst = np.concatenate(found.bands[0].pieces)
    assert np.all(np.abs(worst[:, 0] - 0.5) > 0.15)


def test_nothing_is_shaded_outside_the_trials_or_where_few_are_near():
    places = facts().places
    hull = ConvexHull(places).equations
    corners = np.concatenate([piece for band in facts().bands for piece in band.pieces])
    assert (corners @ hull[:, :2].T + hull[:, 2]).max() < 1e-9
    few = facts(searched(3))
    assert NEIGHBOURS > 1
    covered = sum(len(band.pieces) for band in few.bands)
    assert covered < sum(len(band.pieces) for band in facts().bands) / 5


def test_the_shaded_pieces_cover_the_hull_once():
    """Their areas add up to that of the trials' convex hull, less where few trials are near."""

    def area(piece):
        x, y = piece.T
        return 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))

    found = facts()
    whole = ConvexHull(found.places).volume
    shaded = sum(area(piece) for band in found.bands for piece in band.pieces)
    assert 0.85 * whole < shaded <= whole + 1e-9


def test_trials_on_one_line_are_points_without_shade():
    flat = searched(20)
    lines = [line.model_copy(update={"settings": line.settings | {"width": 3}}) for line in flat.lines]
    assert contour(flat.record, lines, SPACE, "rate", "width").bands == ()


def test_a_group_of_neighbours_has_the_median_of_its_trials_with_an_interval():
    width = SPACE.parameters[1]
    values = [1] * 11 + [8] * 11
    scores = [*range(11), *range(100, 111)]
    low, high = groups_of(width, values, scores)
    assert (low.value, low.median.value, low.median.low, low.median.high) == (1, 5, 1, 9)
    assert (high.value, high.median.value) == (8, 105)
    assert groups_of(width, [1, 8], [0.1, 0.2]) == ()


def test_an_interval_of_neighbours_holds_the_truth_about_as_often_as_it_says():
    """Medians of scores that do not depend on the setting: 0 in 95 % of the groups or more."""
    rng, rate = np.random.default_rng(0), SPACE.parameters[0]
    groups = [
        group
        for _ in range(100)
        for group in groups_of(
            rate, (10 ** rng.uniform(-4, 0, 60)).tolist(), rng.standard_cauchy(60).tolist()
        )
    ]
    held = np.mean([group.median.contains(0.0) for group in groups])
    assert len(groups) >= 400
    assert 0.93 < held < 0.995


def test_slices_show_their_groups_on_the_page():
    rate = slices_of(FOUND.record, ranked(FOUND.record, FOUND.lines), SPACE)[0]
    assert 3 <= len(rate.groups) <= 6
    page = render(FOUND.record, FOUND.lines, SPACE)
    assert '"contour"' in page
    assert '"importance"' in page
    assert "convex" not in page


def test_a_space_is_told_and_read_back():
    def more(hp):
        ask(hp)
        hp.Choice("batch", [8, 16], default=16)
        hp.Float("late", 1.0, 2.0, step=0.25)
        hp.Fixed("seed", None)

    space = discover(more)
    assert told_space(json.loads(json.dumps(space.describe()))) == space


def test_every_figure_is_a_function_of_a_result_or_of_its_folder(tmp_path):
    folder = StudyFolder(tmp_path / "study")
    folder.path.mkdir()
    plan = {"search": "random", "trials": 80, "seed": 0, "objectives": ["log-loss"], "start": [{}]}
    folder.begin(plan | {"space": SPACE.describe()})
    folder.add(FOUND.lines, np.zeros((80, 1, 1, 1)), {}, 0)
    with pytest.raises(RunError, match="resume"):
        plots.history(folder.path)
    folder.finish(FOUND.record)
    for function in (plots.history, plots.parallel, plots.importance, plots.contour):
        ours, theirs = function(FOUND), function(str(folder.path))
        assert ours.figure == theirs.figure
        assert {"data", "layout"} == set(ours.figure)
    assert [plot.title for plot in plots.slices(FOUND)] == ["rate", "width", "kind", "drop"]
    assert [plot.title for plot in plots.slices(FOUND, "kind")] == ["kind"]
    assert plots.contour(FOUND, "drop", "rate").title == "drop and rate"
    page = plots.contour(FOUND).write(tmp_path / "contour.html").read_text()
    assert "rate and width" in page
    assert "srcdoc" in plots.history(FOUND)._repr_html_()


@pytest.mark.parametrize(
    ("ask_for", "words"),
    [
        (lambda: plots.contour(FOUND, "rate", "kind"), "on a scale"),
        (lambda: plots.contour(FOUND, "rate"), "both x and y"),
        (lambda: plots.slices(FOUND, "speed"), "speed"),
        (lambda: plots.importance(searched_without_importance()), "20 trials"),
        (lambda: plots.contour(searched_without_importance()), "both x and y"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(ask_for, words):
    with pytest.raises(OptionError, match=words) as told:
        ask_for()
    assert str(told.value).startswith("Expected")


def searched_without_importance() -> KeptSearch:
    record = FOUND.record.model_copy(update={"importance": {}})
    return KeptSearch(None, record, FOUND.lines, SPACE)


def test_only_trials_of_the_same_share_are_laid_beside_each_other():
    """A third of the training counts neither in a slice nor in the contour."""
    parts = [
        line.model_copy(update={"share": 1 / 3, "score": [9.0], "number": 100 + i})
        for i, line in enumerate(FOUND.lines[:10])
    ]
    mixed = KeptSearch(None, FOUND.record, [*FOUND.lines, *parts], SPACE)
    assert plots.contour(mixed).figure == plots.contour(FOUND).figure
    assert plots.slices(mixed)[0].figure == plots.slices(FOUND)[0].figure
    assert "10 trials left out" in render(FOUND.record, mixed.lines, SPACE)
