"""Options that commands share, and how a table is read: written once, given to every command that reads one."""

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

Table = Annotated[
    str,
    typer.Argument(
        help="CSV or Parquet file, sample:breast-cancer|wine|iris|digits|diabetes, or "
        "known:pima|sonar|mammography|cardio (downloaded once)."
    ),
]
Target = Annotated[
    list[str] | None,
    typer.Option("--target", "-t", help="Column to predict, by name or position; repeatable."),
]
Header = Annotated[
    bool | None, typer.Option("--header/--no-header", help="Whether the first line names columns.")
]
Sep = Annotated[str | None, typer.Option("--sep", help="Separator of a CSV file.")]
Drop = Annotated[list[str] | None, typer.Option("--drop", help="Column that is not an input; repeatable.")]
Group = Annotated[str | None, typer.Option("--group", help="Column whose groups must stay in one fold.")]
Time = Annotated[str | None, typer.Option("--time", help="Column whose order splits must respect.")]
Weight = Annotated[str | None, typer.Option("--weight", help="Column of row weights, for loss and score.")]
Task = Annotated[
    str | None,
    typer.Option("--task", help="classification, binary, multiclass or regression, if inferred wrongly."),
]
Test = Annotated[Path | None, typer.Option("--test", help="Rows kept apart, scored once at the end.")]
Model = Annotated[str | None, typer.Option("--model", help="Your builder, as file.py:function.")]
Metric = Annotated[str | None, typer.Option(help="Score that decides; log-loss or mae by default.")]
Epochs = Annotated[int | None, typer.Option(help="Passes over the training rows.")]
BatchSize = Annotated[int | None, typer.Option(help="Rows per gradient step.")]
Folds = Annotated[int | None, typer.Option(help="Folds of the cross-validation; 10 by default.")]
Rope = Annotated[float | None, typer.Option(help="Smallest difference that counts, in the metric's unit.")]
Minutes = Annotated[float | None, typer.Option(help="Bound on the whole command.")]
Seed = Annotated[int, typer.Option(help="Where all seeds start.")]

Read = dict[str, Any]
"""How a table is read: what `caviar.improve` takes under the same names."""


def _reading(
    *,
    target: Target = None,
    header: Header = None,
    sep: Sep = None,
    drop: Drop = None,
    group: Group = None,
    time: Time = None,
    weight: Weight = None,
    task: Task = None,
) -> Read:
    return {
        "target": target or None,
        "header": header,
        "sep": sep,
        "drop": drop or (),
        "group": group,
        "time": time,
        "weight": weight,
        "task": task,
    }


def taken_out(given: dict[str, Any]) -> Read:
    """Take the options that say how a table is read out of those that a command was given.

    >>> given = {"epochs": 3, "sep": ";"}
    >>> taken_out(given)["sep"], given
    (';', {'epochs': 3})
    """
    shared = inspect.signature(_reading).parameters
    return _reading(**{name: given.pop(name) for name in shared if name in given})


def reads_a_table(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say how a table is read, in place of its parameter `read`.

    >>> @reads_a_table
    ... def show(table: Table, read: Read) -> None:
    ...     print(table, read["sep"])
    >>> show(table="a.csv", sep=";")
    a.csv ;
    """
    own = inspect.signature(command).parameters.values()
    shared = inspect.signature(_reading).parameters
    every = [
        one.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in own
        for one in (shared.values() if parameter.name == "read" else [parameter])
    ]

    @wraps(command)
    def with_options(**given: Any) -> None:  # noqa: ANN401 - what Typer has read
        read = taken_out(given)
        command(**given, read=read)

    with_options.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
    with_options.__annotations__ = {one.name: one.annotation for one in every}
    return with_options
