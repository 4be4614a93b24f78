"""The command line: read arguments, make one public call, print."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from caviar.errors import CaviarError

app = typer.Typer(
    name="caviar",
    help="Train your Keras model a few hundred times at once, find out what is wrong, and prove what fixes it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Table = Annotated[
    str, typer.Argument(help="CSV or Parquet file, or sample:breast-cancer|wine|iris|digits|diabetes.")
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
    str | None, typer.Option("--task", help="binary, multiclass or regression, if inferred wrongly.")
]
Test = Annotated[Path | None, typer.Option("--test", help="Rows kept apart, scored once at the end.")]
Model = Annotated[str | None, typer.Option("--model", help="Your builder, as file.py:function.")]


@app.command()
def improve(
    table: Table,
    target: Target = None,
    header: Header = None,
    sep: Sep = None,
    drop: Drop = None,
    group: Group = None,
    time: Time = None,
    weight: Weight = None,
    task: Task = None,
    test: Test = None,
    model: Model = None,
    metric: Annotated[
        str | None, typer.Option(help="Score that decides; log-loss or mae by default.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training rows.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows per gradient step.")] = None,
    folds: Annotated[int | None, typer.Option(help="Folds of the cross-validation; 10 by default.")] = None,
    repeats: Annotated[int | None, typer.Option(help="Repeats of it; 3 by default.")] = None,
    rope: Annotated[
        float | None, typer.Option(help="Smallest difference that counts, in the metric's unit.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Bound on the whole command.")] = None,
    seed: Annotated[int, typer.Option(help="Where all seeds start.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the run; runs/<table>-<time> by default.")
    ] = None,
) -> None:
    """Look, measure, diagnose, treat, finish, report."""
    from rich.console import Console

    import caviar
    from caviar.report.terminal import summary

    run = caviar.improve(
        table,
        target or None,
        model=model,
        task=task,
        header=header,
        sep=sep,
        drop=drop or (),
        group=group,
        time=time,
        weight=weight,
        test=test,
        metric=metric,
        epochs=epochs,
        batch_size=batch_size,
        folds=folds,
        repeats=repeats,
        rope=rope,
        minutes=minutes,
        seed=seed,
        out=out,
    )
    Console(highlight=False).print(summary(run.record, run.path))


@app.command()
def look(
    table: Table,
    target: Target = None,
    header: Header = None,
    sep: Sep = None,
    drop: Drop = None,
    group: Group = None,
    time: Time = None,
    weight: Weight = None,
    task: Task = None,
) -> None:
    """Say what is in a table, without training."""
    from rich.console import Console

    import caviar
    from caviar.report.terminal import table_facts

    data, no_skill = caviar.look(
        table,
        target or None,
        task=task,
        header=header,
        sep=sep,
        drop=drop or (),
        group=group,
        time=time,
        weight=weight,
    )
    Console(highlight=False).print(table_facts(data, no_skill))


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="Folder of the run.")],
    rows: Annotated[Path, typer.Argument(help="File with new rows, with or without the target.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="CSV file to write; stdout by default.")
    ] = None,
    model: Model = None,
) -> None:
    """Predict new rows with a run's finished model; writes CSV."""
    import caviar
    from caviar.run.files import write_text

    text = caviar.predict(run, rows, model=model).write_csv()
    if output is None:
        sys.stdout.write(text)
    else:
        with _writing(output):
            write_text(output, text)


@app.command()
def report(run: Annotated[Path, typer.Argument(help="Folder of the run.")]) -> None:
    """Draw a run's report again from its record, without training."""
    from caviar.report.page import write_report

    typer.echo(write_report(run))


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    from caviar.errors import OptionError

    try:
        yield
    except OSError as error:
        raise OptionError(
            f"Expected to be able to write {path}, but the system says: {error.strerror}. Give -o another place."
        ) from error


def main() -> None:
    """Run the command line; what a person can mend is one sentence and exit status 2."""
    try:
        _run(app)
    except CaviarError as error:
        typer.echo(f"caviar: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("caviar: stopped; what was learned so far is kept in the run's folder.", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)


def _run(command: Callable[..., Any]) -> None:
    result = command(standalone_mode=False)
    if isinstance(result, int) and result:
        sys.exit(result)
