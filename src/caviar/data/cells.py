"""What one cell of a table means: a number, a truth value, a date, a label, or nothing at all."""

from itertools import product

import polars as pl

MISSING_MARKS = ("", "na", "n/a", "nan", "null", "?")
"""Texts that stand for a missing value, in lower case."""

TRUTH_WORDS = (("false", "true"), ("no", "yes"), ("f", "t"), ("n", "y"))
"""Pairs of texts that a boolean column may be spelled with: false first, then true."""

DATE_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
)
"""Date formats that are tried, in this order; the first that reads every cell is the column's."""

_MICROSECONDS_PER_DAY = 86_400_000_000

# Listing every mixture of cases is several times faster than turning whole columns into lower case.
_MISSING_SPELLINGS = sorted(
    {"".join(letters) for mark in MISSING_MARKS for letters in product(*zip(mark, mark.upper(), strict=True))}
)


def texts(cells: pl.Series) -> pl.Series:
    """Each cell as the user spelled it, without outer blanks; missing marks become null.

    Whole numbers in a float column lose their ``.0``: that is how most tools write the label 1.

    >>> texts(pl.Series([" M ", "?", "'-1'"])).to_list()
    ['M', None, "'-1'"]
    >>> texts(pl.Series([1.0, 2.5])).to_list()
    ['1', '2.5']
    """
    if cells.dtype == pl.Boolean:
        words = cells.replace_strict({True: "True", False: "False"}, return_dtype=pl.String)
    elif cells.dtype.is_float():
        spelled = cells.fill_nan(None).cast(pl.String)
        words = spelled.str.replace(r"^(-?\d+)\.0$", "${1}")
    elif cells.dtype == pl.Duration:
        words = cells.dt.to_string()
    elif cells.dtype.is_nested() or cells.dtype in (pl.Object, pl.Binary):
        words = pl.Series(cells.name, [None] * len(cells), dtype=pl.String)
    else:
        words = cells.cast(pl.String)
    words = words.str.strip_chars()
    return words.set(words.is_in(_MISSING_SPELLINGS), None)


def numbers(cells: pl.Series) -> pl.Series:
    """Each cell as a float64; null where it is missing or is no number. Infinities stay.

    A span of time or a time of day is a number of days.

    >>> numbers(pl.Series(["1", "+2.5e1", "NA", "abc"])).to_list()
    [1.0, 25.0, None, None]
    """
    if cells.dtype.is_numeric() or cells.dtype == pl.Boolean:
        return cells.cast(pl.Float64).fill_nan(None)
    if cells.dtype in (pl.Duration, pl.Time):
        return days(cells)
    if cells.dtype.is_temporal():
        return pl.Series(cells.name, [None] * len(cells), dtype=pl.Float64)
    if cells.dtype == pl.String:
        values = cells.cast(pl.Float64, strict=False)
        if values.null_count() == cells.null_count():
            return values.fill_nan(None)
    return texts(cells).cast(pl.Float64, strict=False).fill_nan(None)


def truths(cells: pl.Series) -> pl.Series:
    """Each cell as 0.0 or 1.0; null where it is missing or no word for true or false.

    >>> truths(pl.Series(["Yes", "no", "", "maybe"])).to_list()
    [1.0, 0.0, None, None]
    """
    if cells.dtype == pl.Boolean:
        return cells.cast(pl.Float64)
    meaning = {"0": 0.0, "1": 1.0}
    for false, true in TRUTH_WORDS:
        meaning |= {false: 0.0, true: 1.0}
    return texts(cells).str.to_lowercase().replace_strict(meaning, default=None, return_dtype=pl.Float64)


def days(cells: pl.Series, date_format: str | None = None) -> pl.Series:
    """Each cell as days since 1970-01-01; null where it is missing or cannot be read as `date_format`.

    Without a format, texts are read by the first of `DATE_FORMATS` that fits all of them.

    >>> days(pl.Series(["1970-01-02", "1970-01-02"]), "%Y-%m-%d").to_list()
    [1.0, 1.0]
    """
    if not cells.dtype.is_temporal():
        words = texts(cells)
        chosen = date_format or date_format_of(words.drop_nulls()) or DATE_FORMATS[0]
        cells = words.str.to_datetime(chosen, strict=False, time_unit="us")
    if cells.dtype == pl.Duration:
        return cells.dt.total_microseconds().cast(pl.Float64) / _MICROSECONDS_PER_DAY
    if cells.dtype == pl.Time:
        return cells.cast(pl.Int64).cast(pl.Float64) / (1000 * _MICROSECONDS_PER_DAY)
    return cells.cast(pl.Datetime("us")).dt.epoch("us").cast(pl.Float64) / _MICROSECONDS_PER_DAY


def date_format_of(words: pl.Series) -> str | None:
    """The first of `DATE_FORMATS` that reads every text in `words` (no nulls), or None.

    >>> date_format_of(pl.Series(["31.12.2024", "01.01.2025"]))
    '%d.%m.%Y'
    """
    first = words.head(20)
    for date_format in DATE_FORMATS:
        if all(
            part.str.to_datetime(date_format, strict=False, time_unit="us").null_count() == 0
            for part in (first, words)
        ):
            return date_format
    return None


def places(wrong: pl.Series, limit: int = 5) -> str:
    """The rows where `wrong` is true, counted from 1, in words for a message.

    >>> places(pl.Series([False, True, True]))
    'rows 2, 3'
    """
    rows = [str(row + 1) for row in wrong.arg_true().head(limit + 1)]
    label = "row" if len(rows) == 1 else "rows"
    return f"{label} {', '.join(rows[:limit])}" + (", …" if len(rows) > limit else "")
