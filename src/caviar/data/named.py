"""Which tables are asked for by a name in place of a path: sample:iris and known:sonar."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from caviar.data.known import KNOWN, known_table
from caviar.run.record import Remark

_SAMPLE, _KNOWN = "sample:", "known:"


@dataclass(frozen=True)
class NamedTable:
    """A table that has a name.

    Attributes:
        name: Its name, without what stands before the colon.
        frame: Its columns.
        target: The column to predict.
        remarks: What a person should know about it.
    """

    name: str
    frame: pl.DataFrame
    target: str
    remarks: tuple[Remark, ...] = ()


def is_named(source: object) -> bool:
    """Whether a source is written as a name, not as a path.

    >>> is_named("sample:iris"), is_named("known:sonar"), is_named("iris.csv")
    (True, True, False)
    """
    return isinstance(source, str | Path) and str(source).startswith((_SAMPLE, _KNOWN))


def named_table(source: str | Path) -> NamedTable:
    """The table that `sample:NAME` or `known:NAME` means.

    Raises:
        DataError: There is no table of that name, or it cannot be had.

    >>> named_table("sample:iris").target
    'species'
    """
    before, _, name = str(source).partition(":")
    if f"{before}:" == _SAMPLE:
        from caviar.data.samples import sample_table

        return NamedTable(name, *sample_table(name))
    frame = known_table(name)
    told = Remark(code="origin", title="Where the table comes from", text=KNOWN[name].origin)
    return NamedTable(name, frame, KNOWN[name].target, (told,))
