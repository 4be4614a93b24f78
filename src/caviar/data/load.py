"""From a file, frame or arrays to a dataset; and new rows to the same numbers."""

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from caviar.data.cells import days, numbers, places, texts
from caviar.data.dataset import Dataset
from caviar.data.infer import learn_column, learn_goal
from caviar.data.named import is_named, named_table
from caviar.data.schema import Column, ReadOptions, Schema, encode, encode_target, new_levels
from caviar.data.table import frame_from, read_file, read_table
from caviar.errors import DataError, OptionError
from caviar.run.record import Remark

__all__ = ["load", "load_again", "load_rows", "load_test", "read_table"]

ColumnRef = str | int
"""A column by its name, or by its position from 0 (negative: from the end)."""


@dataclass(frozen=True)
class _Opened:
    frame: pl.DataFrame
    name: str
    read: ReadOptions = field(default_factory=ReadOptions)
    targets: tuple[str, ...] | None = None
    remarks: tuple[Remark, ...] = ()


def load(
    source: object,
    target: ColumnRef | Sequence[ColumnRef] | None = None,
    *,
    task: str | None = None,
    header: bool | None = None,
    sep: str | None = None,
    drop: ColumnRef | Sequence[ColumnRef] = (),
    group: ColumnRef | None = None,
    time: ColumnRef | None = None,
    weight: ColumnRef | None = None,
    name: str | None = None,
) -> Dataset:
    """Read a table and understand it: what is predicted, from what, and which rows belong together.

    Args:
        source: Path of a CSV or Parquet file, a pandas or polars data frame, a NumPy array [row, column], a
            pair (X, y), "sample:NAME" with one of the names in `caviar.data.samples.SAMPLES`, or "known:NAME"
            with one of those in `caviar.data.known.KNOWN`.
        target: The column to predict, by name or position (from 0; negative from the end); several of them
            are predicted together. By default the last column.
        task: "classification", "binary", "multiclass", "regression" or "multi-output regression"; by default
            what the target looks like.
        header: Whether the first line of a CSV file names the columns; detected by default.
        sep: What separates the cells of a CSV file; detected by default.
        drop: Columns that are no inputs.
        group: Column whose rows of one value are never parted by a split.
        time: Column that orders the rows; later rows never teach about earlier ones.
        weight: Column that says how much each row counts in the loss and the score.
        name: What to call the table.

    Raises:
        DataError: The table cannot be used as given; the message says what was expected and what to do.
        OptionError: Options contradict each other.

    >>> dataset = load("sample:iris")
    >>> dataset.n_rows, dataset.task, dataset.schema.classes
    (150, 'multiclass', ('setosa', 'versicolor', 'virginica'))
    """
    opened = _open(source, header=header, sep=sep)
    frame = opened.frame
    if frame.height < 2:
        raise DataError(
            f"Expected at least 2 rows, the table has {frame.height}. Training needs many; check what was "
            "passed."
        )
    targets, target_remarks = _targets(opened, target)
    dropped = [_column(reference, frame.columns, "--drop") for reference in _several(drop)]
    roles = {
        role: None if reference is None else _column(reference, frame.columns, f"--{role}")
        for role, reference in (("group", group), ("time", time), ("weight", weight))
    }
    _require_apart(targets, dropped, roles)
    goal = learn_goal([frame[column] for column in targets], task)
    no_input = dict.fromkeys(dropped, "was dropped")
    no_input |= {
        column: f"says the {role} of each row" for role, column in roles.items() if column is not None
    }
    columns, left_out, column_remarks = _inputs(frame, targets, no_input)
    schema = Schema(
        task=goal.task,
        task_reason=goal.reason,
        columns=tuple(columns),
        targets=targets,
        classes=goal.classes,
        left_out=tuple(left_out),
        group=roles["group"],
        time=roles["time"],
        weight=roles["weight"],
        read=opened.read,
        source_columns=tuple(frame.columns),
    )
    return Dataset(
        name=name or opened.name,
        features=encode(frame, schema),
        target=encode_target(frame, schema),
        schema=schema,
        groups=_groups(frame, schema.group),
        time=_times(frame, schema.time),
        weight=_weights(frame, schema.weight),
        remarks=(*opened.remarks, *target_remarks, *column_remarks),
    )


def load_rows(source: object, schema: Schema) -> np.ndarray:
    """The features of new rows, float64 [row, column], read as the training table was.

    The table may lack the target, and every other column that is no input. Without a header (or as an array)
    its columns are told apart by their number: all columns of the training table, all but the targets, or
    the inputs alone. Where a network takes rows of another shape, an array of such rows.

    Raises:
        DataError: An input column is missing or holds text where numbers are needed, or rows have another shape.

    >>> dataset = load((np.array([[1.0], [2.0], [3.0], [4.0]]), np.array([0, 1, 0, 1])))
    >>> load_rows(np.array([[5.0]]), dataset.schema).tolist()
    [[5.0]]
    """
    if schema.row_shape and isinstance(source, np.ndarray) and source.ndim > 2:
        if source.shape[1:] != schema.row_shape:
            raise DataError(
                f"Expected rows of shape {schema.row_shape}, as in training, got {source.shape[1:]}. Reshape them."
            )
        source = source.reshape(len(source), -1)
    return encode(_new_frame(source, schema), schema)


def load_test(source: object, schema: Schema) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """New rows with their true targets: features, target and (where the schema has one) weight.

    Shapes as in `Dataset`. A pair (X, y) is accepted too.

    Raises:
        DataError: A column is missing, or a label was never seen in training.

    >>> dataset = load((np.array([[1.0], [2.0], [3.0], [4.0]]), np.array([0, 1, 0, 1])))
    >>> load_test(np.array([[5.0, 1.0]]), dataset.schema)[1].tolist()
    [1]
    """
    frame = _scored_frame(source, schema)
    weight = schema.weight if schema.weight in frame.columns else None
    return encode(frame, schema), encode_target(frame, schema), _weights(frame, weight)


def load_again(source: object, schema: Schema) -> Dataset:
    """Another table of the same columns, read as the training table was, as a dataset of its own.

    A column may have gaps where the training table had none; a level that it did not have counts as a gap. Columns that
    it did not have are left out, and a remark says so.

    Args:
        source: As in `load`.
        schema: What the training table was understood to be.

    Raises:
        DataError: Columns are missing, or a label was never seen in training.

    >>> first = load("sample:iris")
    >>> load_again("sample:iris", first.schema).fingerprint == first.fingerprint
    True
    """
    frame = _scored_frame(source, schema)
    unknown = [name for name in frame.columns if name not in schema.source_columns]
    if unknown and len(unknown) == len(frame.columns):
        raise DataError(
            f"Expected the columns of the run's table, {_shown(schema.source_columns)}, got none of them, but "
            f"{_shown(unknown)}. Give a table of the same kind."
        )
    roles = [role for role in (schema.group, schema.time, schema.weight) if role is not None]
    absent = [name for name in roles if name not in frame.columns]
    if absent:
        raise DataError(
            f"Expected the columns of the run's table, but {_shown(absent)} is missing. Add it: the run used it."
        )
    features, target = encode(frame, schema), encode_target(frame, schema)
    gaps = np.isnan(features).any(axis=0)
    columns = tuple(
        column.model_copy(update={"has_missing": column.has_missing or bool(gap)})
        for column, gap in zip(schema.columns, gaps, strict=True)
    )
    return Dataset(
        name=Path(source).stem if isinstance(source, str | Path) else "table",
        features=features,
        target=target,
        schema=schema.model_copy(update={"columns": columns}),
        groups=_groups(frame, schema.group),
        time=_times(frame, schema.time),
        weight=_weights(frame, schema.weight),
        remarks=tuple(_left_out(unknown)),
        new_levels=new_levels(frame, schema),
    )


def _left_out(unknown: Sequence[str]) -> Iterator[Remark]:
    if unknown:
        verb = "are" if len(unknown) > 1 else "is"
        text = f"{_shown(unknown)} {verb} left out, because the run's table had no such column."
        yield Remark(code="new-columns", title="Columns left out", text=text)


def _shown(names: Sequence[str], limit: int = 20) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(repr(name) for name in names[:limit]) + more


def _inputs(
    frame: pl.DataFrame, targets: Sequence[str], no_input: dict[str, str]
) -> tuple[list[Column], list[str], list[Remark]]:
    """The input columns, a sentence for each column that is none, and what was noticed on the way."""
    columns: list[Column] = []
    left_out: list[str] = []
    remarks: list[Remark] = []
    for name in frame.columns:
        if name in targets:
            continue
        if name in no_input:
            left_out.append(f"Column {name!r} {no_input[name]}, so it is not an input.")
            continue
        learned = learn_column(frame[name])
        remarks += learned.remarks
        if learned.column is None:
            left_out.append(learned.left_out)
        else:
            columns.append(learned.column)
    if not columns:
        reasons = (
            " ".join(left_out) or "The table has only its target; if the file has more columns, pass --sep."
        )
        raise DataError(f"Expected at least one input column, but none is left. {reasons} Keep or add one.")
    return columns, left_out, remarks


def _open(source: object, *, header: bool | None, sep: str | None) -> _Opened:
    if isinstance(source, str | Path) and is_named(source):
        named = named_table(source)
        return _Opened(named.frame, named.name, targets=(named.target,), remarks=named.remarks)
    if isinstance(source, str | Path):
        if sep is not None and len(sep.replace("\\t", "\t")) != 1:
            raise OptionError(
                f"Expected --sep to be one character, got {sep!r}. Write for example --sep ';'."
            )
        separator = None if sep is None else sep.replace("\\t", "\t")
        frame, read = read_file(source, ReadOptions(separator=separator, header=header))
        return _Opened(frame, Path(source).stem, read, remarks=_how_read(read))
    if isinstance(source, tuple):
        frame = _pair(source)
        return _Opened(frame, "table", targets=tuple(frame.columns[frame_from(source[0]).width :]))
    return _Opened(frame_from(source), "table")


def _how_read(read: ReadOptions) -> tuple[Remark, ...]:
    if read.separator is None:
        return ()
    text = (
        f"Read with separator {read.separator!r}, header {'yes' if read.header else 'no'}, {read.encoding}"
        + (", decimal comma" if read.decimal_comma else "")
        + ". If that is wrong, pass --sep, --header or --no-header."
    )
    return (Remark(code="read", title="How the file was read", text=text),)


def _pair(source: tuple[object, ...], targets: list[str] | None = None) -> pl.DataFrame:
    """X and y side by side; the target columns are named like `targets`, or "target"."""
    if len(source) != 2:
        raise DataError(f"Expected a pair (X, y), got {len(source)} values. Pass the inputs and the target.")
    inputs, target = (frame_from(part) for part in source)
    if inputs.height != target.height:
        raise DataError(
            f"Expected as many rows in X as values in y, got {inputs.height} and {target.height}. Pass "
            "matching arrays."
        )
    if targets is None:
        own = isinstance(source[1], pl.DataFrame) or hasattr(source[1], "columns")
        plain = ["target"] if target.width == 1 else [f"target {i}" for i in range(target.width)]
        targets = target.columns if own else plain
    if target.width != len(targets) or set(targets) & set(inputs.columns):
        raise DataError(
            f"Expected y to hold the targets {', '.join(targets)} and X none of them, got {target.width} "
            f"columns beside {', '.join(inputs.columns[:20])}. Rename or reorder them."
        )
    return pl.concat(
        [inputs, target.rename(dict(zip(target.columns, targets, strict=True)))], how="horizontal"
    )


def _targets(
    opened: _Opened, target: ColumnRef | Sequence[ColumnRef] | None
) -> tuple[tuple[str, ...], list[Remark]]:
    columns = opened.frame.columns
    if target is not None:
        chosen = dict.fromkeys(_column(reference, columns, "--target") for reference in _several(target))
        if not chosen:
            raise OptionError("Expected at least one target, got an empty list. Name the column to predict.")
        return tuple(chosen), []
    if opened.targets is not None:
        return opened.targets, []
    text = (
        f"No target was named, so the last column, {columns[-1]!r}, is predicted. Name another with --target."
    )
    return (columns[-1],), [Remark(code="default-target", title="Target not named", text=text)]


def _several(references: ColumnRef | Sequence[ColumnRef]) -> Sequence[ColumnRef]:
    return [references] if isinstance(references, str | int) else references


def _column(reference: ColumnRef, columns: Sequence[str], option: str) -> str:
    """The name of the column that `reference` means: its name if there is one, else its position."""
    if isinstance(reference, str) and reference in columns:
        return reference
    if re.fullmatch(r"-?\d+", str(reference)):
        position = int(reference)
        if -len(columns) <= position < len(columns):
            return columns[position]
        raise DataError(
            f"Expected {option} to be a column name or a position from 0 to {len(columns) - 1}, got "
            f"{reference}. The table has {len(columns)} columns."
        )
    close = difflib.get_close_matches(str(reference), columns, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else " Pass one of them."
    shown = ", ".join(columns[:30]) + (f" and {len(columns) - 30} more" if len(columns) > 30 else "")
    raise DataError(
        f"Expected {option} to be a column of the table, got {reference!r}. The columns are {shown}.{hint}"
    )


def _require_apart(targets: Sequence[str], dropped: Sequence[str], roles: dict[str, str | None]) -> None:
    for column in targets:
        if column in dropped or column in roles.values():
            raise OptionError(
                f"Expected the target {column!r} to have no other role, but it is also dropped or used as "
                "group, time or weight. Give each column one role."
            )


def _scored_frame(source: object, schema: Schema) -> pl.DataFrame:
    """New rows with their target, which may come as the second of a pair."""
    if isinstance(source, tuple) and len(source) == 2:
        return _pair((_new_frame(source[0], schema), source[1]), list(schema.targets))
    return _new_frame(source, schema)


def _new_frame(source: object, schema: Schema) -> pl.DataFrame:
    if isinstance(source, str | Path) and is_named(source):
        return named_table(source).frame
    if isinstance(source, str | Path):
        frame, read = read_file(source, schema.read)
        positional = read.header is False
    else:
        frame = frame_from(source)
        positional = isinstance(source, list | np.ndarray)
    if not positional:
        return frame
    without_targets = [name for name in schema.source_columns if name not in schema.targets]
    inputs = [column.name for column in schema.columns]
    for names in (list(schema.source_columns), without_targets, inputs):
        if len(names) == frame.width:
            return frame.rename(dict(zip(frame.columns, names, strict=True)))
    raise DataError(
        f"Expected {len(schema.source_columns)} columns as in the training table, {len(without_targets)} "
        f"without the target, or the {len(inputs)} inputs, got {frame.width}. Give new rows the columns "
        "of the training table."
    )


def _groups(frame: pl.DataFrame, column: str | None) -> np.ndarray | None:
    if column is None:
        return None
    names = texts(frame[column])
    if names.null_count():
        raise DataError(
            f"Expected every row to have a group in {column!r}, but {names.null_count()} have none "
            f"({places(names.is_null())}). Give each of them a group of its own, or leave --group out."
        )
    return names.rank("dense").to_numpy().astype(np.int64) - 1


def _times(frame: pl.DataFrame, column: str | None) -> np.ndarray | None:
    if column is None:
        return None
    cells = frame[column]
    values = numbers(cells)
    if values.null_count():
        values = days(cells)
    _require_readable(values, cells, "a time (a number or a date such as 2026-01-31)", "--time")
    return values.to_numpy().astype(np.float64)


def _weights(frame: pl.DataFrame, column: str | None) -> np.ndarray | None:
    if column is None:
        return None
    cells = frame[column]
    values = numbers(cells)
    _require_readable(values, cells, "a weight (a number)", "--weight")
    weight = values.to_numpy().astype(np.float64)
    if (weight < 0).any():
        raise DataError(
            f"Expected weights of 0 or more in {column!r}, got negative ones in {places(values < 0)}. "
            "Correct them."
        )
    if not weight.any():
        raise DataError(
            f"Expected some weight above 0 in {column!r}, but all rows have weight 0. Leave --weight out."
        )
    return weight


def _require_readable(values: pl.Series, cells: pl.Series, what: str, option: str) -> None:
    bad = values.is_null() | values.is_infinite().fill_null(value=True)
    if bad.any():
        example = texts(cells).filter(bad)[0]
        raise DataError(
            f"Expected {what} in every row of {cells.name!r}, got "
            f"{'nothing' if example is None else repr(example)} in {places(bad)}. Correct those cells, or "
            f"leave {option} out."
        )
