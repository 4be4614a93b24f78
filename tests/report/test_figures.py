import json
import math

import pytest

from caviar.estimate import Estimate
from caviar.report import figures
from tests.report.fake_run import HOSTILE, RECORDS, comparison, estimate, full_record, named_record

FACTS = [figures.score_facts, figures.comparison_facts, figures.spread_facts]


def test_the_scores_show_model_choice_and_references_but_draw_no_skill_as_a_line():
    facts = figures.score_facts(full_record())
    assert [row.title for row in facts.rows] == [
        "The model as it is",
        "Scale the inputs",
        "Logistic regression",
        "Histogram gradient boosting",
    ]
    assert facts.line == (0.691, "no skill")
    assert facts.axis == "log-loss (lower is better)"


def test_remedies_are_ordered_from_best_to_worst_and_carry_their_verdict():
    rows = figures.comparison_facts(full_record()).rows
    values = [row.estimate.value for row in rows]
    assert values == sorted(values, reverse=True)
    assert rows[0].note.startswith("helps")
    assert rows[-1].note.startswith("harms")


def test_each_verdict_has_a_mark_of_its_own():
    rows = figures.comparison_facts(full_record()).rows
    marks = {row.note.split("  ")[0]: row.symbol for row in rows}
    assert len(set(marks.values())) == len(marks) == 4


def test_the_band_is_the_region_of_practical_equivalence():
    facts = figures.comparison_facts(full_record())
    assert facts.band == 0.0052
    for is_wide in (True, False):
        band = figures.draw_rows(facts, is_wide=is_wide)["layout"]["shapes"][0]
        assert (band["x0"], band["x1"]) == (-0.0052, 0.0052)


def test_all_values_the_band_and_the_line_lie_inside_the_axis():
    facts = figures.comparison_facts(full_record())
    inside = [row.estimate.value for row in facts.rows] + [facts.band, -facts.band, 0.0]
    assert all(facts.low < value < facts.high for value in inside)


def test_one_endless_interval_does_not_squeeze_the_others():
    """Its ends are cut and marked; the axis still serves the remedies that can be read."""
    record = full_record()
    wild = Estimate(value=0.05, low=-900.0, high=math.inf, method="", n=2)
    record.trial.comparisons.append(comparison("wild", 0, 1, "not enough data", None))
    record.trial.comparisons[-1].difference = wild
    facts = figures.comparison_facts(record)
    assert facts.low > -1
    assert facts.high < 1
    figure = figures.draw_rows(facts, is_wide=True)
    cuts = [
        t["marker"]["symbol"] for t in figure["data"] if isinstance(t.get("marker", {}).get("symbol"), list)
    ]
    assert cuts == [["triangle-left", "triangle-right"]]


def test_a_model_far_behind_the_others_is_still_on_the_axis():
    record = full_record()
    record.baseline.scores["log-loss"] = estimate(3.78, 2.1)
    facts = figures.score_facts(record)
    assert facts.low < 0.358
    assert facts.high > 3.78 + 2.1


def test_a_value_out_of_all_reach_becomes_an_arrow_at_the_end_of_the_axis():
    record = full_record()
    record.baseline.scores["log-loss"] = estimate(4e6, 1e6)
    facts = figures.score_facts(record)
    assert facts.high < 2
    point = next(trace for trace in figures.draw_rows(facts, is_wide=True)["data"] if "text" in trace)
    assert point["x"] == [facts.high]
    assert point["marker"]["symbol"] == "triangle-right"
    assert "4,000,000" in point["text"][0]


def test_what_has_no_finite_value_is_named_instead_of_drawn():
    facts = figures.score_facts(RECORDS["diverged"]())
    assert facts.unknown == ("The model as it is",)
    assert facts.line is None


def test_spread_starts_at_zero():
    facts = figures.spread_facts(full_record())
    assert facts.low == 0.0
    assert [row.title for row in facts.rows] == ["Other split, same seed", "Other seed, same split"]


def test_the_description_says_every_value():
    facts = figures.score_facts(full_record())
    assert "The model as it is: 0.512 (0.462 to 0.562)" in facts.description


@pytest.mark.parametrize("facts_of", FACTS)
def test_nothing_measured_gives_no_figure(facts_of):
    assert facts_of(RECORDS["looked"]()) is None


@pytest.mark.parametrize("kind", RECORDS)
@pytest.mark.parametrize("facts_of", FACTS)
def test_every_drawing_is_json_without_nan(kind, facts_of):
    facts = facts_of(RECORDS[kind]())
    if facts is not None:
        for is_wide in (True, False):
            json.dumps(figures.draw_rows(facts, is_wide=is_wide), allow_nan=False)


def test_names_reach_the_drawing_as_text_and_never_as_markup():
    record = named_record(HOSTILE)
    drawing = json.dumps(
        [figures.draw_rows(facts_of(record), is_wide=wide) for facts_of in FACTS for wide in (True, False)]
    )
    assert "&lt;/script" in drawing
    assert "<img" not in drawing
    assert "<b>" not in drawing


def test_equal_values_without_width_still_have_an_axis():
    row = figures.Row("a", estimate(0.5, 0.0), "", "circle", figures.BLUE)
    low, high = figures.axis_range([row])
    assert low < 0.5 < high
