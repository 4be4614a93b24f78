import json

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from caviar.report.curves import Limits, curve_facts, described, draw_panel, milestones
from tests.report.fake_run import history


def recorded(**variables) -> xr.Dataset:
    return xr.Dataset(
        {name: (("member", "epoch"), np.array(v, dtype=float)) for name, v in variables.items()}
    )


def test_median_and_band_are_the_middle_and_the_outer_tenths_of_the_members():
    curve = curve_facts(recorded(loss=[[float(i)] * 2 for i in range(11)])).panels[0].curves[0]
    assert (curve.low, curve.median, curve.high) == ((1.0, 1.0), (5.0, 5.0), (9.0, 9.0))


def test_training_and_held_out_rows_share_a_panel_and_the_loss_comes_first():
    facts = curve_facts(history())
    assert [panel.title for panel in facts.panels] == ["loss", "accuracy"]
    assert [curve.role for curve in facts.panels[0].curves] == ["training", "held out"]


def test_a_watched_curve_that_was_never_recorded_is_not_shown():
    facts = curve_facts(recorded(loss=[[1.0, 0.5]], val_loss=[[np.nan, np.nan]]))
    assert [curve.role for curve in facts.panels[0].curves] == ["training"]


def test_a_watched_curve_is_shown_under_its_own_name():
    facts = curve_facts(recorded(loss=[[1.0, 0.5]], val_loss=[[1.1, 0.7]]))
    assert [curve.role for curve in facts.panels[0].curves] == ["training", "watched"]


def test_a_learning_rate_is_shown_only_if_it_moves():
    steady = recorded(loss=[[1.0, 0.5]], learning_rate=[[0.1, 0.1]])
    falling = recorded(loss=[[1.0, 0.5]], learning_rate=[[0.1, 0.05]])
    assert [panel.title for panel in curve_facts(steady).panels] == ["loss"]
    assert [panel.title for panel in curve_facts(falling).panels] == ["loss", "learning rate"]


def test_thinning_keeps_the_last_epoch_and_says_so():
    facts = curve_facts(history(epochs=101), Limits(points=50))
    member = facts.panels[0].curves[0].members[0]
    assert member.first + member.stride * (len(member.values) - 1) == 101
    assert len(member.values) <= 50
    assert facts.notes == ("Single trainings show one epoch in 3, to keep the page small.",)


def test_median_and_band_rest_on_all_members_though_few_are_drawn():
    full, brief = (curve_facts(history(), Limits(members=n)).panels[0].curves[0] for n in (30, 3))
    assert len(brief.members) == 3
    assert (brief.median, brief.low) == (full.median, full.low)


def test_members_that_stopped_leave_the_median_and_are_counted():
    facts = curve_facts(recorded(loss=[[1.0, 0.4], [3.0, np.nan], [1.0, 0.6]]))
    assert facts.panels[0].curves[0].median == (1.0, 0.5)
    assert facts.notes[0].startswith("1 of 3 trainings ended before the last epoch;")


def test_the_last_few_still_training_do_not_pass_for_all():
    """One of three is left in the last epoch: its curve is drawn, a median of one is not."""
    curve = curve_facts(recorded(loss=[[1.0, 0.4], [3.0, np.nan], [1.0, np.nan]])).panels[0].curves[0]
    assert curve.median == (1.0, None)
    assert curve.members[0].values == (1.0, 0.4)


def test_a_run_whose_loss_was_never_a_number_has_no_curve():
    assert curve_facts(recorded(loss=[[np.nan, np.inf]])).panels == ()


def test_a_loss_over_many_powers_of_ten_gets_a_logarithmic_axis():
    steep = curve_facts(recorded(loss=[[1e4, 1.0, 1e-2]])).panels[0]
    assert draw_panel(steep)["layout"]["yaxis"]["type"] == "log"
    assert not curve_facts(recorded(loss=[[2.0, 1.0]])).panels[0].is_logarithmic


def test_members_are_named_by_repeat_fold_and_seed():
    assert curve_facts(history()).panels[0].curves[0].members[11].name == "repeat 1, fold 1, seed 0"


def test_a_panel_tells_the_roles_apart_by_line_style_too():
    named = [
        trace for trace in draw_panel(curve_facts(history()).panels[0])["data"] if trace.get("showlegend")
    ]
    assert [trace["line"]["dash"] for trace in named] == ["solid", "dash"]


def test_the_table_has_first_and_last_epoch_of_every_curve():
    rows = milestones(curve_facts(history(epochs=12)))
    assert {(row.quantity, row.rows) for row in rows} == {
        (quantity, rows) for quantity in ("loss", "accuracy") for rows in ("training rows", "held-out rows")
    }
    assert all(row.epochs[0] == 1 and row.epochs[-1] == 12 for row in rows)


def test_metrics_beyond_the_limit_are_named():
    facts = curve_facts(recorded(loss=[[1.0]], a=[[1.0]], b=[[1.0]], c=[[1.0]], d=[[1.0]]))
    assert [panel.title for panel in facts.panels] == ["loss", "a", "b"]
    assert facts.notes == ("Also recorded, not drawn: c and d.",)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_an_empty_history_has_no_curves(shape):
    assert curve_facts(recorded(loss=np.zeros(shape))).panels == ()


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6),
        elements=st.floats(allow_nan=True, allow_infinity=True, width=32),
    )
)
def test_whatever_training_recorded_can_be_drawn(values):
    """The low end of a band never lies above its high end, and the drawing is plain JSON."""
    facts = curve_facts(recorded(loss=values, held_out_loss=values[::-1]))
    for panel in facts.panels:
        json.dumps(draw_panel(panel), allow_nan=False)
        assert described(panel, "x").endswith(".")
        for curve in panel.curves:
            for low, middle, high in zip(curve.low, curve.median, curve.high, strict=True):
                assert (low is None) == (middle is None) == (high is None)
                assert low is None or low <= middle <= high
