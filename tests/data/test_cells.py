from datetime import time, timedelta

import polars as pl
import pytest

from caviar.data.cells import date_format_of, days, numbers, places, texts, truths


@pytest.mark.parametrize("mark", ["", "NA", "N/A", "nan", "NaN", "null", "?", "  ?  "])
def test_every_usual_mark_means_missing(mark):
    assert texts(pl.Series([mark, "x"])).to_list() == [None, "x"]
    assert numbers(pl.Series([mark, "1"])).to_list() == [None, 1.0]


@pytest.mark.parametrize(
    ("cells", "spelled"),
    [
        ([1, 2], ["1", "2"]),
        ([1.0, 2.5, float("nan")], ["1", "2.5", None]),
        ([True, False], ["True", "False"]),
        (["'-1'", " M "], ["'-1'", "M"]),
        (["1.0", "01"], ["1.0", "01"]),
    ],
)
def test_labels_are_spelled_as_their_owner_would(cells, spelled):
    assert texts(pl.Series(cells)).to_list() == spelled


@pytest.mark.parametrize(("true", "false"), [("yes", "No"), ("TRUE", "false"), ("t", "F"), ("1", "0")])
def test_truth_has_many_spellings(true, false):
    assert truths(pl.Series([true, false, "?"])).to_list() == [1.0, 0.0, None]


def test_days_count_from_1970_and_keep_the_time_of_day():
    moments = pl.Series(["1970-01-03 12:00:00"]).str.to_datetime()
    assert days(moments).to_list() == [2.5]
    assert days(moments.cast(pl.Date)).to_list() == [2.0]
    assert days(pl.Series(["1969-12-31T18:00:00"]), "%Y-%m-%dT%H:%M:%S").to_list() == [-0.25]


def test_dates_without_a_known_format_are_read_by_the_one_that_fits_all():
    assert days(pl.Series(["2.1.1970", "?", "13.1.1970"])).to_list() == [1.0, None, 12.0]
    assert days(pl.Series(["soon"])).to_list() == [None]


def test_a_span_of_time_and_a_time_of_day_are_numbers_of_days():
    assert numbers(pl.Series([timedelta(hours=36), None])).to_list() == [1.5, None]
    assert numbers(pl.Series([time(6)])).to_list() == [0.25]


def test_a_date_format_must_read_every_cell():
    assert date_format_of(pl.Series(["2020-01-01", "2020-13-01"])) is None
    assert date_format_of(pl.Series(["2020-01-01 10:30", "2021-01-01 00:00"])) == "%Y-%m-%d %H:%M"


def test_a_message_names_the_first_rows_only():
    assert places(pl.Series([True] * 9)) == "rows 1, 2, 3, 4, 5, …"
    assert places(pl.Series([False, True])) == "row 2"
