"""A Parquet file as arrays that are read block by block: for tables that do not fit into memory."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from caviar.errors import DataError
from caviar.population.source import Sliced


class Columns(Sliced):
    """Some columns of a Parquet file as an array (row, column) of which slices are read.

    Attributes:
        path: The file.
        names: The columns.
        shape: Rows and columns.
        dtype: What slices hold: float32.
    """

    def __init__(self, path: Path, names: Sequence[str], rows: int) -> None:
        self.path, self.names = path, tuple(names)
        self.shape = (rows, len(self.names))
        self.dtype = np.dtype(np.float32)

    def __repr__(self) -> str:
        return f"<{self.path}: {self.shape[0]:,} rows of {', '.join(self.names)}>"

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Rows from start to stop, float32 (row, column); what is missing is NaN."""
        start, stop, _ = rows.indices(len(self))
        frame = pl.scan_parquet(self.path).select(self.names).slice(start, stop - start)
        return frame.cast(pl.Float32).collect().to_numpy(order="c")


def parquet(path: str | Path, target: str | Sequence[str]) -> tuple[Columns, Columns]:
    """Inputs and targets of a Parquet file for `caviar.fit`, which reads them block by block.

    Args:
        path: The file.
        target: Column to predict, or several of them; all others are inputs.

    Returns:
        Inputs (row, input) and targets (row, output), neither of them in memory.

    Raises:
        DataError: It is no Parquet file, has no such column, or one that holds no numbers.

    Example:
        >>> import caviar
        >>> x, y = caviar.parquet("clicks.parquet", target="clicked")  # doctest: +SKIP
        >>> history = caviar.fit(build, x, y, seeds=5, epochs=3)  # doctest: +SKIP
    """
    path = Path(path)
    try:
        scan = pl.scan_parquet(path)
        schema = scan.collect_schema()
        rows = int(scan.select(pl.len()).collect().item())
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(
            f"Expected a Parquet file, but {path} cannot be read ({(str(error).splitlines() or ['?'])[0]}). Give the "
            f"path of one file."
        ) from error
    targets = [target] if isinstance(target, str) else list(target)
    for name in targets:
        if name not in schema:
            raise DataError(
                f"Expected target to name a column of {path}, got {name!r}. It has {', '.join(schema)}."
            )
    for name, kind in schema.items():
        if not (kind.is_numeric() or kind == pl.Boolean):
            raise DataError(
                f"Expected columns of numbers in {path}, but {name!r} holds {kind}. Leave it out of the file, or turn "
                f"it into numbers."
            )
    inputs = [name for name in schema if name not in targets]
    return Columns(path, inputs, rows), Columns(path, targets, rows)
