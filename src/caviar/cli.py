"""The command line: read arguments, make one public call, print."""

import sys
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from caviar.errors import CaviarError

_INTERRUPTED = 130
_BEGAN = monotonic()  # --minutes bounds the whole command, imports included

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
    metric: Metric = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    folds: Folds = None,
    repeats: Annotated[int | None, typer.Option(help="Repeats of it; 3 by default.")] = None,
    rope: Rope = None,
    minutes: Minutes = None,
    seed: Seed = 0,
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
        began=_BEGAN,
    )
    Console(highlight=False).print(summary(run.record, run.path))


@app.command()
def compare(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="BUILDERS... TABLE",
            help="Two builders or more as file.py:function, the first being the one that the others are compared "
            "with, and one table: a CSV or Parquet file, or sample:breast-cancer|wine|iris|digits|diabetes.",
        ),
    ],
    target: Target = None,
    header: Header = None,
    sep: Sep = None,
    drop: Drop = None,
    group: Group = None,
    time: Time = None,
    weight: Weight = None,
    task: Task = None,
    metric: Metric = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    folds: Folds = None,
    repeats: Annotated[int | None, typer.Option(help="Repeats of it; 3 by default.")] = None,
    seeds: Annotated[int, typer.Option(help="Seeds per fold.")] = 3,
    rope: Rope = None,
    minutes: Minutes = None,
    seed: Seed = 0,
) -> None:
    """Say which of several recipes is better, on the same folds and seeds."""
    from rich.console import Console

    import caviar
    from caviar.report.terminal import comparison
    from caviar.versus import builders_and_table

    builders, table = builders_and_table(names)
    found = caviar.compare(
        builders,
        table,
        target or None,
        task=task,
        header=header,
        sep=sep,
        drop=drop or (),
        group=group,
        time=time,
        weight=weight,
        metric=metric,
        epochs=epochs,
        batch_size=batch_size,
        folds=folds,
        repeats=repeats,
        seeds=seeds,
        rope=rope,
        minutes=minutes,
        seed=seed,
        began=_BEGAN,
    )
    Console(highlight=False).print(comparison(found))


@app.command()
def stability(
    table: Table,
    target: Target = None,
    header: Header = None,
    sep: Sep = None,
    drop: Drop = None,
    group: Group = None,
    time: Time = None,
    weight: Weight = None,
    task: Task = None,
    model: Model = None,
    metric: Metric = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    folds: Folds = None,
    repeats: Annotated[int | None, typer.Option(help="Repeats of it; 30 by default.")] = None,
    seeds: Annotated[int, typer.Option(help="Seeds per fold of the first repeat.")] = 5,
    rope: Rope = None,
    minutes: Minutes = None,
    seed: Seed = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the page; runs/<table>-stability-<time> by default."),
    ] = None,
) -> None:
    """Say how far seed and split move a score, and how many repeats are enough."""
    from rich.console import Console

    import caviar
    from caviar.report.terminal import stability as summary

    found = caviar.stability(
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
        metric=metric,
        epochs=epochs,
        batch_size=batch_size,
        folds=folds,
        repeats=repeats,
        seeds=seeds,
        rope=rope,
        minutes=minutes,
        seed=seed,
        out=out,
        began=_BEGAN,
    )
    Console(highlight=False).print(summary(found.record, found.path))


@app.command()
def lr_range(
    table: Table,
    target: Target = None,
    header: Header = None,
    sep: Sep = None,
    drop: Drop = None,
    group: Group = None,
    time: Time = None,
    weight: Weight = None,
    task: Task = None,
    model: Model = None,
    rates: Annotated[
        str | None,
        typer.Option(help="Constant rates to try, with commas between them; 25 from 1e-5 to 10 by default."),
    ] = None,
    share: Annotated[
        float | None,
        typer.Option(help="Share of the epochs that they are tried for; half, but 5 epochs, by default."),
    ] = None,
    sweep: Annotated[
        str, typer.Option(help="How the rate climbs in the sweep: exponential or linear.")
    ] = "exponential",
    updates: Annotated[
        int | None,
        typer.Option(
            help="Updates of the sweep; as many as constant rates get, from 100 to 500, by default."
        ),
    ] = None,
    metric: Metric = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    folds: Folds = None,
    repeats: Annotated[int | None, typer.Option(help="Repeats of it; 3 by default.")] = None,
    seeds: Annotated[int, typer.Option(help="Seeds per fold.")] = 2,
    rope: Rope = None,
    minutes: Minutes = None,
    seed: Seed = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the page; runs/<table>-lr-range-<time> by default."),
    ] = None,
) -> None:
    """Say which learning rates suit a model: where training breaks, which are as good as the best."""
    from rich.console import Console

    from caviar.lr_range import lr_range_table
    from caviar.report.terminal import lr_range as summary

    found = lr_range_table(
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
        rates=rates,
        share=share,
        sweep=sweep,
        updates=updates,
        metric=metric,
        epochs=epochs,
        batch_size=batch_size,
        folds=folds,
        repeats=repeats,
        seeds=seeds,
        rope=rope,
        minutes=minutes,
        seed=seed,
        out=out,
        began=_BEGAN,
    )
    Console(highlight=False).print(summary(found.record, found.path))


@app.command()
def tune(
    table: Table,
    target: Target = None,
    header: Header = None,
    sep: Sep = None,
    drop: Drop = None,
    group: Group = None,
    time: Time = None,
    weight: Weight = None,
    task: Task = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="Your builder that asks hp, as file.py:function; a ready space for tables otherwise.",
        ),
    ] = None,
    trials: Annotated[int, typer.Option(help="Settings that are tried at most.")] = 64,
    search: Annotated[
        str,
        typer.Option(help="random, grid, quasi, coarse, tpe, gp, cma or nsga."),
    ] = "random",
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="Score that decides; log-loss or mae by default. Repeatable, for a front of trials."
        ),
    ] = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    folds: Annotated[int, typer.Option(help="Folds of the cross-validation.")] = 5,
    repeats: Annotated[int, typer.Option(help="Repeats of it.")] = 1,
    minutes: Minutes = None,
    seed: Seed = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder of the search, gone on with where it holds one; runs/<table>-tune-<time> by default.",
        ),
    ] = None,
) -> None:
    """Search a builder's settings, and say how good the best ones really are."""
    from rich.console import Console

    from caviar.report.terminal import search as summary
    from caviar.tuned import tune_table

    found = tune_table(
        table,
        target or None,
        model=model,
        trials=trials,
        search=search,
        metric=metric or None,
        epochs=epochs,
        batch_size=batch_size,
        folds=folds,
        repeats=repeats,
        minutes=minutes,
        seed=seed,
        out=out,
        began=_BEGAN,
        task=task,
        header=header,
        sep=sep,
        drop=drop or (),
        group=group,
        time=time,
        weight=weight,
    )
    Console(highlight=False).print(summary(found.record, found.lines, found.path))


@app.command()
def diagnose(
    table: Table,
    target: Target = None,
    header: Header = None,
    sep: Sep = None,
    drop: Drop = None,
    group: Group = None,
    time: Time = None,
    weight: Weight = None,
    task: Task = None,
    model: Model = None,
    metric: Metric = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    minutes: Minutes = None,
    seed: Seed = 0,
) -> None:
    """Say what costs a model performance, without repairing it."""
    from rich.console import Console

    from caviar.doctor import diagnose_table
    from caviar.report.terminal import diagnosis

    found = diagnose_table(
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
        metric=metric,
        epochs=epochs,
        batch_size=batch_size,
        minutes=minutes,
        seed=seed,
        began=_BEGAN,
    )
    Console(highlight=False).print(diagnosis(found.record, found.score, found.metric, found.seconds))


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
        write_text(output, text)


@app.command()
def resume(
    run: Annotated[Path, typer.Argument(help="Folder of the unfinished run.")],
    model: Model = None,
) -> None:
    """Go on with a run that was stopped or killed."""
    from rich.console import Console

    import caviar
    from caviar.report.terminal import summary

    finished = caviar.resume(run, model=model)
    Console(highlight=False).print(summary(finished.record, finished.path))


@app.command()
def report(run: Annotated[Path, typer.Argument(help="Folder of the run.")]) -> None:
    """Draw a run's report again from its record, without training."""
    from caviar.report.page import write_report

    typer.echo(write_report(run))


def _say_version(asked: bool) -> None:  # noqa: FBT001 - typer calls it
    if asked:
        import importlib.metadata

        typer.echo(f"caviar {importlib.metadata.version('caviar')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Say which version this is."),
    ] = False,
) -> None:
    _ = version  # already answered by its callback


def main() -> None:
    """Run the command line; what a person can mend is one sentence and exit status 2."""
    try:
        status = app(standalone_mode=False, prog_name="caviar")
    except (CaviarError, typer.TyperException) as error:
        _complain(error)
        sys.exit(2)
    except KeyboardInterrupt:
        status = _INTERRUPTED
    if status == _INTERRUPTED:  # typer turns Ctrl-C inside a command into this status
        typer.echo("caviar: stopped by hand.", err=True)
    sys.exit(status if isinstance(status, int) else 0)


def _complain(error: CaviarError | typer.TyperException) -> None:
    """Say in one line what was wrong: names from other people's tables may hold line breaks or worse."""
    context = getattr(error, "ctx", None)
    if context is not None and not sys.argv[1:]:
        typer.echo(context.get_help(), err=True)
        return
    text = error.format_message() if isinstance(error, typer.TyperException) else str(error)
    if context is not None:
        text = f"{text.rstrip('.')}. `{context.command_path} --help` shows what can be given."
    plain = "".join(c if c.isprintable() else " " for c in text)
    typer.echo(f"caviar: {' '.join(plain.split())}", err=True)
