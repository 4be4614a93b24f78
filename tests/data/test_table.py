import csv
import io

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caviar.data.schema import ReadOptions
from caviar.data.table import frame_from, read_file, read_table
from caviar.errors import DataError

TABLE = "height,city,grade\n1.5,Köln,a\n2.5,Bern,b\n3.5,Genève,a\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_a_table_reads_the_same_in_every_encoding(write, encoding):
    frame, read = read_file(write(TABLE, encoding=encoding), ReadOptions())
    assert frame.rows() == [("1.5", "Köln", "a"), ("2.5", "Bern", "b"), ("3.5", "Genève", "a")]
    assert frame.columns == ["height", "city", "grade"]
    assert read.encoding == encoding


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", " "])
def test_the_separator_is_found(write, separator):
    frame, read = read_file(write(TABLE.replace(",", separator)), ReadOptions())
    assert read.separator == separator
    assert frame.shape == (3, 3)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_lines_may_end_in_any_way_and_the_last_one_not_at_all(write, line_end):
    assert read_table(write(TABLE.strip().replace("\n", line_end))).shape == (3, 3)


def test_empty_lines_are_no_rows_but_lines_of_empty_cells_are(write):
    frame = read_table(write("\na,b\n1,2\n\n  \n,\n3,4\n\n"))
    assert frame.rows() == [("1", "2"), (None, None), ("3", "4")]


def test_a_quoted_cell_may_hold_the_separator_and_a_line_end(write):
    frame = read_table(write('name,x\n"Doe, Jane",1\n"two\nlines",2\n'))
    assert frame["name"].to_list() == ["Doe, Jane", "two\nlines"]


def test_a_quote_inside_a_cell_takes_no_rows_away(write):
    frame = read_table(write('x,size\n1,5" pipe\n2,6" pipe\n3,7"\n4,8"\n'))
    assert frame.rows() == [("1", '5" pipe'), ("2", '6" pipe'), ("3", '7"'), ("4", '8"')]


def test_blanks_may_pad_cells_and_separate_them(write):
    assert read_table(write('a, "b"\n1, "x, y"\n2,z\n')).rows() == [("1", "x, y"), ("2", "z")]
    assert read_table(write(" 1   2 M \n 3 4  R\n")).rows() == [("1", "2", "M"), ("3", "4", "R")]


def test_a_short_row_ends_in_missing_cells(write):
    assert read_table(write("a,b\n1\n2,3\n")).rows() == [("1", None), ("2", "3")]


CELL = st.text(st.sampled_from(list("ab1 ,;\"'")), max_size=6).map(str.strip)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=8), st.sampled_from([",", ";", "\t"]))
def test_what_a_csv_writer_wrote_is_read_back_cell_by_cell(write, rows, separator):
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator="\n").writerows([("first", "second"), *rows])
    frame = read_table(
        write(text.getvalue()), ReadOptions(separator=separator, header=True, decimal_comma=False)
    )
    assert frame.rows() == [tuple(cell or None for cell in row) for row in rows]


def test_decimal_commas_become_points_where_the_separator_leaves_them(write):
    frame, read = read_file(write("a;b\n1,5;x\n2,25;y\n"), ReadOptions())
    assert frame["a"].to_list() == ["1.5", "2.25"]
    assert read.decimal_comma


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a,b\n1,2\n3,4\n", True),
        ("1,2\n3,4\n", False),
        ("0.5,M\n0.6,R\n0.7,M\n", False),
        ("x,label\n0.6,R\n0.7,M\n", True),
        ("?,1\n2,3\n4,5\n", False),
        ("colour,taste\nred,sweet\nblue,sour\n", True),
        ("red,sweet\nblue,sour\nred,sour\n", False),
        ("0,1,2\n5,6,7\n8,9,10\n", True),
    ],
)
def test_a_header_is_recognised_by_text_above_numbers_or_by_names_that_never_return(write, content, expected):
    assert read_file(write(content), ReadOptions())[1].header is expected


def test_columns_without_header_are_named_by_position(write):
    assert read_table(write("1,2\n3,4\n")).columns == ["0", "1"]


def test_an_explicit_choice_beats_detection(write):
    frame = read_table(write("a,b\n1,2\n"), ReadOptions(header=False, separator=","))
    assert frame.rows() == [("a", "b"), ("1", "2")]


def test_parquet_is_recognised_by_its_content(tmp_path):
    path = tmp_path / "table.data"
    pl.DataFrame({"a": [1, 2]}).write_parquet(path)
    assert read_table(path)["a"].to_list() == [1, 2]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (b"a,b,c\n", "only the header"),
        (b"\x00\x01\x02\x03" * 50, "no text"),
        (bytes(range(1, 32)) * 20, "no text"),
        (b"PK\x03\x04rest", "Excel workbook"),
        (b"PAR1 not really parquet", "Parquet"),
        (b"a,a\n1,2\n", "'a' comes more than once"),
        (b"a,b\n1,2\n3,4,5\n", "row 3 has 3"),
        (b'x,size\n1,"5 pipe\n2,6\n', "a quote that is never closed"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_one_clear_message(write, content, words):
    with pytest.raises(DataError, match=words) as caught:
        read_table(write(content))
    assert "Expected" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(DataError, match="is a folder"):
        read_table(tmp_path)


def test_a_wrong_encoding_is_named(write):
    with pytest.raises(DataError, match="written in utf-8"):
        read_table(write("a,b\n1,Köln\n", encoding="latin-1"), ReadOptions(encoding="utf-8"))


def test_pandas_columns_keep_their_meaning_and_lose_their_index():
    pandas = pytest.importorskip("pandas")
    frame = frame_from(
        pandas.DataFrame(
            {
                "number": [1.5, None, 3.0],
                "count": pandas.array([1, None, 3], dtype="Int64"),
                "flag": pandas.array([True, None, False], dtype="boolean"),
                "day": pandas.to_datetime(["2020-01-01", None, "2020-01-03"]),
                "level": pandas.Categorical(["1", "2", "1"]),
                "text": ["a", None, "b"],
            },
            index=[7, 8, 9],
        )
    )
    assert frame["number"].to_list() == [1.5, None, 3.0]
    assert frame["count"].to_list() == [1.0, None, 3.0]
    assert frame["flag"].to_list() == [True, None, False]
    assert frame["day"].null_count() == 1
    assert frame["level"].dtype == pl.Categorical
    assert frame["text"].to_list() == ["a", None, "b"]


def test_an_object_array_may_hold_text_and_gaps():
    frame = frame_from(np.array([[1, "a"], [None, "b"]], dtype=object))
    assert frame.rows() == [("1", "a"), (None, "b")]


@pytest.mark.parametrize("source", [np.zeros((2, 2, 2)), {"a": 1}, 5])
def test_what_is_no_table_is_refused(source):
    with pytest.raises(DataError, match="Expected"):
        frame_from(source)
