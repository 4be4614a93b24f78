"""The command line: read arguments, make one public call, print."""

import sys
import warnings
from pathlib import Path
from time import monotonic
from typing import Annotated, TextIO

import typer

from caviar.command.help import explain
from caviar.command.lesson import lesson
from caviar.command.options import (
    BatchSize,
    Epochs,
    Folds,
    Metric,
    Minutes,
    Model,
    Read,
    Rope,
    Seed,
    Table,
    Test,
    reads_a_table,
)
from caviar.command.plan import plan
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


@app.command()
@reads_a_table
def improve(
    table: Table,
    read: Read,
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
    """The whole job: look, measure, diagnose, treat, finish, report."""
    from rich.console import Console

    import caviar
    from caviar.report.terminal import summary

    run = caviar.improve(
        table,
        model=model,
        **read,
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
@reads_a_table
def compare(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="BUILDERS... TABLE",
            help="Two builders or more as file.py:function, the first being the one that the others are compared "
            "with, and one table: a CSV or Parquet file, sample:breast-cancer|wine|iris|digits|diabetes, or "
            "known:pima|sonar|mammography|cardio (downloaded once).",
        ),
    ],
    read: Read,
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
    """Say which of several recipes is better. All are trained on the same folds with the same seeds."""
    from rich.console import Console

    import caviar
    from caviar.comparing.compare import builders_and_table
    from caviar.report.terminal import comparison

    builders, table = builders_and_table(names)
    found = caviar.compare(
        builders,
        table,
        **read,
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
@reads_a_table
def stability(
    table: Table,
    read: Read,
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
    """Say how far seed and split move a score. Tells how many repeats are enough."""
    from rich.console import Console

    import caviar
    from caviar.report.terminal import stability as summary

    found = caviar.stability(
        table,
        model=model,
        **read,
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
@reads_a_table
def lr_range(
    table: Table,
    read: Read,
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
    """Say which learning rates suit a model. Tells where training breaks, and which are as good as the best."""
    from rich.console import Console

    from caviar.rates.lr_range import lr_range_table
    from caviar.report.terminal import lr_range as summary

    found = lr_range_table(
        table,
        model=model,
        **read,
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
@reads_a_table
def tune(
    table: Table,
    read: Read,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="Your builder that asks hp, or HyperModel, as file.py:name; batch_size and epochs that it asks for "
            "by these names are those it trains with. A ready space for tables otherwise.",
        ),
    ] = None,
    trials: Annotated[int, typer.Option(help="Settings that are tried at most.")] = 64,
    search: Annotated[
        str,
        typer.Option(
            help="random, grid, quasi, coarse, tpe, gp, cma, nsga, halving, halving-folds, hyperband, hyperband-folds "
            "or pbt."
        ),
    ] = "random",
    option: Annotated[
        list[str] | None, typer.Option(help="Of the search, such as eta=4 for halving; repeatable.")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="Score that decides; log-loss or mae by default. Repeatable, for a front of trials."
        ),
    ] = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    rates: Annotated[
        str | None,
        typer.Option(
            help="Learning rates of the ready space: the folder of caviar lr-range, or lowest and highest with a "
            "comma between them; 1e-5,0.1 by default."
        ),
    ] = None,
    folds: Annotated[int, typer.Option(help="Folds of the cross-validation.")] = 5,
    repeats: Annotated[int, typer.Option(help="Repeats of it.")] = 1,
    start: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of an earlier search or of caviar improve whose best settings are tried first; repeatable."
        ),
    ] = None,
    minutes: Minutes = None,
    seed: Seed = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder of the search, gone on with where it holds one; runs/<table>-tune-<time> by default.",
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="File or database URL to which trials are copied as a study that optuna-dashboard opens; "
            "optuna.log in the search's folder by default with tpe, gp, cma and nsga."
        ),
    ] = None,
) -> None:
    """Search a builder's settings. Tells how good the best ones really are."""
    from rich.console import Console

    from caviar.report.terminal import search as summary
    from caviar.searching.tune import search_options, tune_table

    found = tune_table(
        table,
        model=model,
        trials=trials,
        search=search,
        options=search_options(option or ()),
        metric=metric or None,
        epochs=epochs,
        batch_size=batch_size,
        rates=rates,
        folds=folds,
        repeats=repeats,
        start=start or (),
        minutes=minutes,
        seed=seed,
        out=out,
        storage=storage,
        began=_BEGAN,
        **read,
    )
    Console(highlight=False).print(summary(found.record, found.lines, found.path))


@app.command()
@reads_a_table
def diagnose(
    table: Table,
    read: Read,
    model: Model = None,
    metric: Metric = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    minutes: Minutes = None,
    seed: Seed = 0,
) -> None:
    """Say what costs a model performance, without repairing it."""
    from rich.console import Console

    from caviar.doctor.diagnose import diagnose_table
    from caviar.report.terminal import diagnosis

    found = diagnose_table(
        table,
        model=model,
        **read,
        metric=metric,
        epochs=epochs,
        batch_size=batch_size,
        minutes=minutes,
        seed=seed,
        began=_BEGAN,
    )
    Console(highlight=False).print(diagnosis(found.record, found.score, found.metric, found.seconds))


@app.command()
@reads_a_table
def panda(
    table: Table,
    read: Read,
    model: Model = None,
    metric: Metric = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs planned; more can be asked for.")] = None,
    batch_size: BatchSize = None,
    models: Annotated[
        int | None, typer.Option(help="Models that are trained beside each other; 1 by default.")
    ] = None,
    validation_split: Annotated[
        float | None, typer.Option(help="Share of the rows that are watched, not trained on; 0.2 by default.")
    ] = None,
    page: Annotated[
        bool | None, typer.Option("--page/--no-page", help="Serve a page, to this machine alone; by default.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port of the page; any that is free by default.")] = None,
    replay: Annotated[
        Path | None,
        typer.Option(
            help="Folder or log of an earlier panda: train its schedule and its first settings on new seeds and "
            "folds, and say whether nursing helped or was luck.",
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="With --replay: trainings of each on every fold; 30 by default.")
    ] = None,
    folds: Annotated[int | None, typer.Option(help="With --replay: folds; 5 by default.")] = None,
    rope: Annotated[
        float | None,
        typer.Option(help="With --replay: smallest difference that counts, in the metric's unit."),
    ] = None,
    minutes: Minutes = None,
    seed: Annotated[int | None, typer.Option(help="Where all seeds start.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of log and model; runs/panda-<time> by default.")
    ] = None,
) -> None:
    """Train one model while you watch and steer. With --replay, say whether steering helped or was luck."""
    from caviar.nursing.panda import panda_command

    given = {
        "model": model,
        "metric": metric,
        "epochs": epochs,
        "batch_size": batch_size,
        "minutes": minutes,
        "seed": seed,
        "out": out,
    }
    watching = {"models": models, "validation_split": validation_split, "page": page, "port": port}
    replaying = {"seeds": seeds, "folds": folds, "rope": rope}
    for line in panda_command(table, replay, given | read, watching, replaying, began=_BEGAN):
        typer.echo(line)


@app.command()
@reads_a_table
def look(
    table: Table,
    read: Read,
) -> None:
    """Say what is in a table, without training."""
    from rich.console import Console

    import caviar
    from caviar.report.terminal import table_facts

    data, no_skill = caviar.look(
        table,
        **read,
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
    run: Annotated[Path, typer.Argument(help="Folder of the unfinished run or search.")],
    model: Model = None,
) -> None:
    """Go on with a run or a search that was stopped or killed."""
    from rich.console import Console

    import caviar
    from caviar.report.terminal import search, summary
    from caviar.results import Run

    finished = caviar.resume(run, model=model)
    said = (
        summary(finished.record, finished.path)
        if isinstance(finished, Run)
        else search(finished.record, finished.lines, finished.path)
    )
    Console(highlight=False).print(said)


@app.command()
def recheck(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, or of a search.")],
    data: Annotated[Path, typer.Option("--data", help="File with new rows and their target.")],
    *,
    old: Annotated[
        Path | None, typer.Option("--old", help="The run's table, where it is not to be found any more.")
    ] = None,
    model: Model = None,
    runners_up: Annotated[
        int, typer.Option(help="How many of those that were not chosen are trained as well.")
    ] = 3,
    folds: Folds = None,
    repeats: Annotated[int | None, typer.Option(help="Repeats of it; 3 by default.")] = None,
    seeds: Annotated[int, typer.Option(help="Seeds per fold.")] = 1,
    rope: Rope = None,
    minutes: Minutes = None,
    seed: Seed = 0,
) -> None:
    """Say whether what a run chose still stands on new data. Tells what has moved in them."""
    from rich.console import Console

    import caviar
    from caviar.report.recheck import recheck as summary

    found = caviar.recheck(
        run,
        data,
        old=old,
        model=model,
        runners_up=runners_up,
        folds=folds,
        repeats=repeats,
        seeds=seeds,
        rope=rope,
        minutes=minutes,
        seed=seed,
        began=_BEGAN,
    )
    Console(highlight=False).print(summary(found.record, found.path))


@app.command()
def queue(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="FILES... | status|stop|resume [FOLDER]",
            help='TOML files with command = "improve" (or any other that takes minutes) and its options, run in '
            "order; or what to do with a queue, the latest one if no folder is named.",
        ),
    ],
    *,
    background: Annotated[
        bool, typer.Option("--background", help="Go on after the terminal is closed.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of a new queue; runs/queue-<time> by default.")
    ] = None,
) -> None:
    """Run prepared experiments in order, with a log each. A failure stops only itself."""
    from rich.console import Console

    from caviar.errors import OptionError
    from caviar.prepared import queue as queues
    from caviar.report.queue import queue as shown
    from caviar.run.queued import QueueFolder

    verb, asked = "start", queues.verb_and_folder(words)
    if asked is None:
        commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
        path, record = queues.start([Path(word) for word in words], commands, out=out, background=background)
    else:
        verb, path = asked
        if out is not None or (background and verb != "resume"):
            raise OptionError(
                f"Expected no --out{'' if verb == 'resume' else ' and no --background'} beside {verb}, got it. "
                f"Leave it out."
            )
        record = QueueFolder(path).load()
        if verb == "stop":
            record = queues.stop(path)
        elif verb == "resume":
            record = queues.go_on(path, background=background)
    is_worked_on = QueueFolder(path).is_worked_on()
    Console(highlight=False).print(shown(record, path, is_worked_on=is_worked_on))
    was_run = verb in {"start", "resume"} and not is_worked_on
    if was_run and any(one.status == "failed" for one in record.experiments):
        raise typer.Exit(1)


@app.command()
def report(run: Annotated[Path, typer.Argument(help="Folder of the run or search.")]) -> None:
    """Draw a run's or a search's page again. Nothing is trained."""
    from caviar.report.redrawn import redraw

    typer.echo(redraw(run))


app.command()(lesson)
app.command()(plan)
app.command("help")(explain)


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
    _warn_once()
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


def _warn_once() -> None:
    """Show warnings once for each line that warns: a model is built and traced dozens of times."""
    show, shown = warnings.showwarning, set[tuple[str, int]]()

    def once(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if (filename, lineno) not in shown:
            shown.add((filename, lineno))
            show(message, category, filename, lineno, file, line)

    warnings.showwarning = once


def _complain(error: CaviarError | typer.TyperException) -> None:
    """Say in one line what was wrong: names from other people's tables may hold line breaks or worse."""
    context = getattr(error, "ctx", None)
    if context is not None and not sys.argv[1:]:
        typer.echo(context.get_help(), err=True)
        return
    text = error.format_message() if isinstance(error, typer.TyperException) else str(error)
    if context is not None:
        end = "" if text.endswith((".", "?")) else "."
        text = f"{text}{end} `{context.command_path} --help` shows what can be given."
    plain = "".join(c if c.isprintable() else " " for c in text)
    typer.echo(f"caviar: {' '.join(plain.split())}", err=True)
