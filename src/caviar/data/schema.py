"""What each column of a table is, and how new rows are read the same way."""

from typing import Literal

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from caviar.data.cells import days, numbers, places, texts, truths
from caviar.errors import DataError

Task = Literal["binary", "multiclass", "regression", "multi-output regression"]
Kind = Literal["numeric", "boolean", "category", "datetime"]

OTHER = "other"
"""The category that collects all levels of a wide column beyond the most frequent ones."""


class Column(BaseModel):
    """One input column: how its cells become one number each.

    Attributes:
        name: The column's name in the table.
        kind: What its cells are.
        categories: All levels in the order of their codes; for a wide column the last one is "other".
        has_missing: Whether any cell of the whole table is missing.
        wide: Whether it had more levels than are kept, so that rare and new ones count as "other".
        date_format: How its texts are read as dates; None if the table holds real dates.
        text_is_missing: Whether stray texts among the numbers are read as missing.

    >>> Column(name="sex", kind="category", categories=("f", "m"), has_missing=False).wide
    False
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Kind
    categories: tuple[str, ...] = ()
    has_missing: bool = False
    wide: bool = False
    date_format: str | None = None
    text_is_missing: bool = False


class ReadOptions(BaseModel):
    """How a text file was read; None means: not a text file, or not decided yet.

    >>> ReadOptions(separator=";").header is None
    True
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    separator: str | None = None
    header: bool | None = None
    encoding: str | None = None
    decimal_comma: bool | None = None


class Schema(BaseModel):
    """The table as it was understood: enough to read new rows the same way.

    Attributes:
        task: What is predicted.
        task_reason: Why it is that task, in a sentence.
        columns: The input columns, in the order of the features.
        targets: Names of the target columns.
        classes: Class labels as the user spelled them, in the order of their codes; empty for regression.
        left_out: One sentence for each column of the table that is not an input.
        group: Column that says which rows belong together.
        time: Column that says which rows came first.
        weight: Column that says how much a row counts.
        read: How the file was read.
        source_columns: All columns of the table, in order.
        row_shape: Shape in which a network takes a row, where that is not one axis: the columns are its numbers in
            order, as of an image. Empty for one axis.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task
    task_reason: str
    columns: tuple[Column, ...]
    targets: tuple[str, ...]
    classes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    group: str | None = None
    time: str | None = None
    weight: str | None = None
    read: ReadOptions = ReadOptions()
    source_columns: tuple[str, ...] = ()
    row_shape: tuple[int, ...] = ()

    @property
    def is_classification(self) -> bool:
        """Whether the target is a class label."""
        return self.task in {"binary", "multiclass"}

    def shaped(self, x: np.ndarray) -> np.ndarray:
        """Inputs (…, row, column) in the shape in which a network takes them."""
        return x.reshape(*x.shape[:-1], *self.row_shape) if self.row_shape else x


def encode(frame: pl.DataFrame, schema: Schema) -> np.ndarray:
    """The inputs of each row as numbers, in the order of `schema.columns`; missing values are NaN.

    Booleans become 0 and 1, categories their index in `Column.categories` (a level that was never seen counts
    as missing, or as "other" in a wide column), dates days since 1970, infinities NaN. Columns that are no
    input, the target among them, are ignored and may be absent.

    Returns:
        float64 [row, column].

    Raises:
        DataError: An input column is absent, or holds text where numbers are needed.

    >>> column = Column(name="sex", kind="category", categories=("f", "m"))
    >>> schema = Schema(task="binary", task_reason="", columns=(column,), targets=("y",), classes=("0", "1"))
    >>> encode(pl.DataFrame({"sex": ["m", "f", "x"]}), schema).ravel().tolist()
    [1.0, 0.0, nan]
    """
    absent = [column.name for column in schema.columns if column.name not in frame.columns]
    if absent:
        raise DataError(
            f"Expected the input column{'s' if len(absent) > 1 else ''} {_listed(absent)}, but the table "
            f"has only {_listed(frame.columns)}. Give new rows the same columns as the training table."
        )
    features = np.empty((frame.height, len(schema.columns)), dtype=np.float64)
    for position, column in enumerate(schema.columns):
        features[:, position] = encode_column(frame[column.name], column)
    return features


def new_levels(frame: pl.DataFrame, schema: Schema) -> np.ndarray:
    """Which cells hold a level that their category does not know, and count as missing for it.

    Returns:
        bool [row, column].

    >>> schema = Schema(
    ...     task="binary",
    ...     task_reason="",
    ...     columns=(Column(name="sex", kind="category", categories=("f", "m")),),
    ...     targets=("y",),
    ... )
    >>> new_levels(pl.DataFrame({"sex": ["m", "x", None]}), schema).ravel().tolist()
    [False, True, False]
    """
    found = np.zeros((frame.height, len(schema.columns)), dtype=bool)
    for position, column in enumerate(schema.columns):
        if column.kind == "category":
            is_there = texts(frame[column.name]).is_not_null().to_numpy()
            found[:, position] = is_there & np.isnan(encode_column(frame[column.name], column))
    return found


def encode_column(cells: pl.Series, column: Column) -> np.ndarray:
    """One column's cells as numbers, float64 [row]; NaN where missing.

    Raises:
        DataError: A numeric or date column holds text that cannot be read.

    >>> encode_column(pl.Series(["1", "?"]), Column(name="a", kind="numeric")).tolist()
    [1.0, nan]
    """
    if column.kind == "category":
        return _codes(texts(cells), column)
    if column.kind == "boolean":
        values = truths(cells)
    elif column.kind == "datetime":
        values = days(cells, column.date_format)
    else:
        values = numbers(cells)
    if values.null_count() > cells.null_count() and not column.text_is_missing:
        _require_read(cells, values, column)
    array = values.fill_null(float("nan")).to_numpy().astype(np.float64)
    array[np.isinf(array)] = np.nan
    return array


def _require_read(cells: pl.Series, values: pl.Series, column: Column) -> None:
    words = texts(cells)
    unread = values.is_null() & words.is_not_null()
    if unread.any():
        raise DataError(
            f"Expected column {column.name!r} to be {column.kind}, got {words.filter(unread)[0]!r} in "
            f"{places(unread)}. Correct those cells, or leave them empty if the value is unknown."
        )


def encode_target(frame: pl.DataFrame, schema: Schema) -> np.ndarray:
    """The target of each row: int64 class codes [row], or float64 values [row, output].

    Labels that are numbers match by value (`1.0` is the class `1`), all others by spelling.

    Raises:
        DataError: A target column is absent, a value is missing, infinite or text, or a label is unknown.

    >>> schema = Schema(task="binary", task_reason="", columns=(), targets=("y",), classes=("M", "R"))
    >>> encode_target(pl.DataFrame({"y": ["R", "M"]}), schema).tolist()
    [1, 0]
    """
    absent = [name for name in schema.targets if name not in frame.columns]
    if absent:
        raise DataError(
            f"Expected the target column {_listed(absent)}, but the table has only {_listed(frame.columns)}. "
            "Rows that are scored need their true target."
        )
    if schema.is_classification:
        return _class_codes(frame[schema.targets[0]], schema)
    return np.column_stack([_target_numbers(frame[name]) for name in schema.targets])


def _codes(words: pl.Series, column: Column) -> np.ndarray:
    code_of = {level: float(code) for code, level in enumerate(column.categories)}
    codes = words.replace_strict(code_of, default=None, return_dtype=pl.Float64)
    if column.wide:
        codes = codes.set(codes.is_null() & words.is_not_null(), code_of[OTHER])
    return codes.fill_null(float("nan")).to_numpy().astype(np.float64)


def _class_codes(cells: pl.Series, schema: Schema) -> np.ndarray:
    labels = require_present(cells)
    code_of = {label: code for code, label in enumerate(schema.classes)}
    codes = labels.replace_strict(code_of, default=None, return_dtype=pl.Int64)
    values = numbers(pl.Series(schema.classes, dtype=pl.String))
    if values.null_count() == 0:
        code_of_value = dict(zip(values.to_list(), range(len(schema.classes)), strict=True))
        codes = numbers(cells).replace_strict(code_of_value, default=None, return_dtype=pl.Int64)
    unknown = codes.is_null()
    if unknown.any():
        strangers = labels.filter(unknown).unique(maintain_order=True).to_list()
        raise DataError(
            f"Expected the target {cells.name!r} to hold one of the labels {_listed(schema.classes)}, "
            f"got {_listed(strangers)} in {places(unknown)}. Use the labels of the training table."
        )
    return codes.to_numpy().astype(np.int64)


def _target_numbers(cells: pl.Series) -> np.ndarray:
    words = require_present(cells)
    values = numbers(cells)
    if values.null_count():
        raise DataError(
            f"Expected the target {cells.name!r} to hold numbers for regression, got "
            f"{words.filter(values.is_null())[0]!r} in {places(values.is_null())}. "
            "Correct those cells, choose another target, or say that it holds labels: --task classification."
        )
    return values.to_numpy().astype(np.float64)


def require_present(cells: pl.Series) -> pl.Series:
    """The texts of a target column in which nothing is missing or infinite.

    Raises:
        DataError: Some cells are; the message names the first such rows.

    >>> require_present(pl.Series("y", ["1", "2"])).to_list()
    ['1', '2']
    """
    words = texts(cells)
    bad = words.is_null() | numbers(cells).is_infinite().fill_null(value=False)
    if bad.any():
        raise DataError(
            f"Expected every row to have a finite value in the target {cells.name!r}, but {bad.sum()} of "
            f"{len(cells)} rows have none or an infinite one ({places(bad)}; row 1 is the first data row). "
            "Fill in or remove those rows first: a row without a target can be predicted, not learned from."
        )
    return words


def _listed(names: tuple[str, ...] | list[str], limit: int = 20) -> str:
    shown = ", ".join(repr(name) for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")
