"""From a file, a data frame or an array to one polars table with named columns."""

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from caviar.data.cells import numbers, texts
from caviar.data.schema import ReadOptions
from caviar.errors import DataError

_SEPARATORS = (",", ";", "\t", "|", " ")
_SAMPLE_CHARACTERS = 200_000
_PARQUET = b"PAR1"
_BINARY = {
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\x1f\x8b": "a gzip archive",
    b"\x89PNG": "an image",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy file",
    b"%PDF": "a PDF document",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
}
_DECIMAL_COMMA = r"^\s*([+-]?\d*),(\d+)\s*$"


def read_table(path: str | Path, options: ReadOptions | None = None) -> pl.DataFrame:
    r"""Read a CSV or Parquet file; what `options` leaves open is detected.

    Cells of a CSV file stay texts, exactly as spelled, so that labels such as ``'-1'`` survive. Without a
    header the columns are named "0", "1", and so on.

    Raises:
        DataError: There is no such file, or it is empty, binary, or no table.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "t.csv").write_text("a;b\n1;'x'\n2;'y'")
    ...     read_table(Path(folder, "t.csv")).rows()
    [('1', "'x'"), ('2', "'y'")]
    """
    return read_file(path, options or ReadOptions())[0]


def read_file(path: str | Path, options: ReadOptions) -> tuple[pl.DataFrame, ReadOptions]:
    """As `read_table`, together with the options as they were resolved."""
    path = Path(path)
    content = _content(path)
    if content[:4] == _PARQUET:
        return _parquet(content, path), ReadOptions()
    text, encoding = _decode(content, path, options.encoding)
    if not text.strip():
        raise DataError(
            f"Expected a table in {path}, but the file is empty. Check that it was written to the end."
        )
    separator = options.separator or _separator(text)
    sample = _sample_rows(text, separator)
    header = _has_header(sample) if options.header is None else options.header
    body = sample[1:] if header else sample
    if not body or (
        options.header is None and len(sample) == 1 and not any(_is_number(c) for c in sample[0])
    ):
        raise DataError(
            f"Expected rows of data in {path}, but it holds only the header {sample[0]!r}. "
            "Add rows, or pass --no-header if this line is data."
        )
    comma = options.decimal_comma if options.decimal_comma is not None else _decimal_comma(body, separator)
    frame = _parse(text, path, _names(sample[0], path, header=header), separator, header=header)
    if comma:
        frame = frame.with_columns(pl.all().str.replace(_DECIMAL_COMMA, "${1}.${2}"))
    return frame, ReadOptions(separator=separator, header=header, encoding=encoding, decimal_comma=comma)


def frame_from(source: object, schema_columns: Sequence[str] | None = None) -> pl.DataFrame:
    """A polars table from a pandas or polars data frame or a NumPy array [row, column].

    Args:
        source: The frame or array; an index is ignored.
        schema_columns: Names for the columns of an array; by default "0", "1", and so on.

    Raises:
        DataError: It is none of these, or two columns have the same name.

    >>> frame_from(np.array([[1.0, 2.0]])).columns
    ['0', '1']
    """
    if isinstance(source, pl.DataFrame):
        return source
    if isinstance(source, pl.Series):
        return source.to_frame()
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(source, pandas.DataFrame):
        names = [str(name) for name in source.columns]
        _require_distinct(names, "the data frame")
        parts = [source.iloc[:, i] for i in range(len(names))]
        return pl.DataFrame([_from_pandas(part, name) for part, name in zip(parts, names, strict=True)])
    if pandas is not None and isinstance(source, pandas.Series):
        return pl.DataFrame([_from_pandas(source, "0" if source.name is None else str(source.name))])
    if isinstance(source, list | np.ndarray):
        return _from_array(np.asarray(source), schema_columns)
    raise DataError(
        "Expected a path, a pandas or polars data frame, a NumPy array, a pair (X, y), 'sample:NAME' or 'known:NAME', "
        f"got {type(source).__name__}. Pass one of these as the table."
    )


def _content(path: Path) -> bytes:
    if path.is_dir():
        raise DataError(f"Expected a file, but {path} is a folder. Name the table inside it.")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(
            f"Expected a table at {path}, but there is no such file (looked in {Path.cwd()}). Check the path."
        ) from None
    except OSError as error:
        raise DataError(f"Expected to read {path}, but: {error.strerror}. Check its permissions.") from error


def _parquet(content: bytes, path: Path) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"Expected a Parquet file at {path}, but it cannot be read ({reason}). Write it again."
        ) from error
    if not frame.height:
        raise DataError(
            f"Expected rows of data in {path}, but it holds none. Check that it was written to the end."
        )
    return frame


def _decode(content: bytes, path: Path, encoding: str | None) -> tuple[str, str]:
    """The text of a file with unix line ends, and the encoding it was written in."""
    for start, kind in _BINARY.items():
        if content.startswith(start):
            raise DataError(
                f"Expected a CSV or Parquet file, but {path} looks like {kind}. Export it as CSV."
            )
    for candidate in _encodings(content) if encoding is None else (encoding,):
        try:
            text = content.decode("utf-8-sig" if candidate == "utf-8" else candidate)
        except (UnicodeDecodeError, LookupError):
            continue
        if not _looks_binary(text):
            return _unix_lines(text), candidate
    expected = "a CSV or Parquet file" if encoding is None else f"a CSV file written in {encoding}"
    raise DataError(
        f"Expected {expected}, but {path} holds bytes that are no text. "
        "Export the table as CSV (UTF-8) or Parquet."
    )


def _encodings(content: bytes) -> tuple[str, ...]:
    if content.startswith(b"\xef\xbb\xbf"):
        return ("utf-8-sig",)
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return ("utf-16",)
    return ("utf-8", "latin-1")


def _looks_binary(text: str, *, share: float = 0.001) -> bool:
    """Whether there are NUL characters, or more control characters than `share` of all."""
    sample = text[:_SAMPLE_CHARACTERS]
    controls = len(re.findall(r"[\x00-\x08\x0e-\x1f\x7f]", sample))
    return "\x00" in sample or controls > share * len(sample)


def _unix_lines(text: str) -> str:
    """The same text with every line ended by a newline, without blanks at line ends and without empty lines.

    An empty line is no row; a line of separators is one.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if " \n" in text or "\n\n" in text:
        text = re.sub(r" *\n(?: *\n)*", "\n", text)
    return text.lstrip("\n").rstrip(" \n") + "\n"


def _lines(text: str) -> list[str]:
    """The first lines of the text; the last one is dropped where the sample cuts it."""
    lines = text[:_SAMPLE_CHARACTERS].splitlines(keepends=True)
    return lines[:-1] if len(text) > _SAMPLE_CHARACTERS and len(lines) > 1 else lines


def _separator(text: str) -> str:
    """The candidate that cuts most rows to one width; then the one that leaves most cells numbers."""
    lines = _lines(text)[:200]

    def merit(separator: str) -> tuple[bool, float, float, bool, int]:
        try:
            rows = [row for row in _reader(lines, separator) if row]
        except csv.Error:
            return False, 0.0, 0.0, False, 0
        width, count = Counter(len(row) for row in rows).most_common(1)[0]
        cells = [cell for row in rows for cell in row]
        numeric = sum(_is_number(cell) for cell in cells) / len(cells)
        return width > 1, count / len(rows), numeric, separator != " ", width

    best = max(_SEPARATORS, key=merit)
    return best if merit(best)[0] else ","


def _sample_rows(text: str, separator: str) -> list[list[str]]:
    rows = _reader(_lines(text), separator)
    try:
        return [[cell.strip() for cell in row] for row in rows if row]
    except csv.Error as error:
        raise DataError(
            f"Expected a table cut by {separator!r}, but: {error}. Check the file, or pass --sep."
        ) from error


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip().replace(",", ".", 1))
    except ValueError:
        return False
    return cell.strip().lower() != "nan"


def _has_header(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns.

    It does if it counts 0, 1, 2, …, or holds text above a column of numbers. A table without any column of
    numbers has a header if its first row's cells are distinct and never come again in their columns.
    """
    first, rest = rows[0], rows[1:]
    if first == [str(i) for i in range(len(first))] and len(first) > 1:
        return True
    columns = [
        pl.Series([row[i] if i < len(row) else "" for row in rest], dtype=pl.String)
        for i in range(len(first))
    ]
    filled = [texts(column).drop_nulls() for column in columns]
    numeric = [len(column) > 0 and numbers(column).null_count() <= 0.1 * len(column) for column in filled]
    heads = texts(pl.Series(first, dtype=pl.String)).to_list()
    if any(numeric):
        return any(
            yes and head is not None and not _is_number(head)
            for yes, head in zip(numeric, heads, strict=True)
        )
    if any(_is_number(cell) for cell in first):
        return False
    distinct = None not in heads and len(set(heads)) == len(heads)
    return distinct and not any((column == head).any() for column, head in zip(columns, first, strict=True))


def _decimal_comma(rows: list[list[str]], separator: str) -> bool:
    """Whether numbers are written 1,5: some cells are, and none is written 1.5."""
    if separator == ",":
        return False
    cells = [cell for row in rows for cell in row]
    with_comma = any(re.match(_DECIMAL_COMMA, cell) for cell in cells)
    return with_comma and not any(re.match(r"^\s*[+-]?\d*\.\d+\s*$", cell) for cell in cells)


def _names(first: list[str], path: Path, *, header: bool) -> list[str]:
    if not header:
        return [str(i) for i in range(len(first))]
    names = [name or str(i) for i, name in enumerate(first)]
    _require_distinct(names, str(path))
    return names


def _require_distinct(names: Iterable[str], where: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(
            f"Expected every column of {where} to have a name of its own, but {', '.join(map(repr, twice))} "
            "comes more than once. Rename the columns, or pass --no-header if the first line is data."
        )


def _parse(text: str, path: Path, names: list[str], separator: str, *, header: bool) -> pl.DataFrame:
    """The rows under the header as texts; where quotes follow no rule, by Python's patient reader."""
    if separator == " ":
        text = re.sub(r"(?m)^ ", "", re.sub(" +", " ", text))
    schema = dict.fromkeys(names, pl.String)
    if not _quotes_are_regular(text, separator):
        frame = pl.DataFrame(_rows_one_by_one(text, path, separator, len(names)), schema, orient="row")
    else:
        try:
            frame = pl.read_csv(
                io.BytesIO(text.encode()),
                separator=separator,
                has_header=False,
                infer_schema=False,
                schema=schema,
            )
        except pl.exceptions.PolarsError:
            frame = pl.DataFrame(_rows_one_by_one(text, path, separator, len(names)), schema, orient="row")
    frame = frame[1:] if header else frame
    return frame.with_columns(pl.all().str.strip_chars())


def _quotes_are_regular(text: str, separator: str) -> bool:
    """Whether every quote opens or closes a whole cell, which every reader takes alike."""
    outside = text.replace('""', "").split('"')[::2]
    if text.count('"') % 2:
        return False
    edges = (separator, "\n")
    return all(not part or part.startswith(edges) for part in outside[1:]) and all(
        not part or part.endswith(edges) for part in outside[:-1]
    )


def _rows_one_by_one(text: str, path: Path, separator: str, width: int) -> list[list[str | None]]:
    """All rows by Python's reader; short ones are filled with missing cells.

    Raises:
        DataError: A row has more cells than there are columns, or a quote is never closed.
    """
    rows: list[list[str | None]] = []
    try:
        for number, row in enumerate(_reader(io.StringIO(text), separator, strict=True), start=1):
            if len(row) > width:
                raise DataError(
                    f"Expected {width} columns in every row of {path} (separator {separator!r}), but row "
                    f"{number} has {len(row)}: {separator.join(row)[:80]!r}. Correct it, or pass the "
                    "separator with --sep."
                )
            rows.append([*(cell or None for cell in row), *[None] * (width - len(row))])
    except csv.Error as error:
        raise DataError(
            f"Expected a table cut by {separator!r} in {path}, but after row {len(rows)}: {error}. "
            "Look for a quote that is never closed, or pass the separator with --sep."
        ) from error
    return rows


def _reader(lines: Iterable[str], separator: str, *, strict: bool = False) -> Iterator[list[str]]:
    return csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=strict)


def _from_pandas(part: object, name: str) -> pl.Series:
    """One pandas column by its NumPy values, so that pyarrow is not needed."""
    dtype = part.dtype  # type: ignore[attr-defined]
    if getattr(dtype, "kind", "O") in "iufb":
        missing = part.isna().to_numpy()  # type: ignore[attr-defined]
        if dtype.kind == "b":
            values = part.fillna(value=False).to_numpy(dtype=bool)  # type: ignore[attr-defined]
        elif missing.any():
            values = part.to_numpy(dtype=np.float64, na_value=np.nan)  # type: ignore[attr-defined]
        else:
            values = part.to_numpy(dtype=getattr(dtype, "numpy_dtype", dtype))  # type: ignore[attr-defined]
        return pl.Series(name, values).set(pl.Series(missing), None)
    if getattr(dtype, "kind", "O") in "mM":
        moments = part.to_numpy(dtype=f"{'datetime' if dtype.kind == 'M' else 'timedelta'}64[us]")  # type: ignore[attr-defined]
        return pl.Series(name, moments)
    missing = part.isna().to_numpy()  # type: ignore[attr-defined]
    words = [None if gone else str(cell) for cell, gone in zip(part, missing, strict=True)]  # type: ignore[call-overload]
    texts_only = pl.Series(name, words, dtype=pl.String)
    return texts_only.cast(pl.Categorical) if str(dtype) == "category" else texts_only


def _from_array(array: np.ndarray, names: Sequence[str] | None) -> pl.DataFrame:
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise DataError(
            f"Expected an array with the axes [row, column], got shape {array.shape}. "
            "Reshape it so that each row is one example and each column one number."
        )
    names = list(names) if names is not None else [str(i) for i in range(array.shape[1])]
    columns = [array[:, i] for i in range(array.shape[1])]
    if array.dtype.kind not in "iufb":
        return pl.DataFrame(
            [_from_objects(name, column) for name, column in zip(names, columns, strict=True)]
        )
    return pl.DataFrame(
        [pl.Series(name, np.ascontiguousarray(c)) for name, c in zip(names, columns, strict=True)]
    )


def _from_objects(name: str, cells: np.ndarray) -> pl.Series:
    words = [None if cell is None or cell != cell else str(cell) for cell in cells.tolist()]  # noqa: PLR0124 (NaN)
    return pl.Series(name, words, dtype=pl.String)
