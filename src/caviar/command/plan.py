"""The command `caviar plan`: how many batches and updates, how long, and for how much money."""

from typing import Annotated

import typer

from caviar.command.options import Model


def plan(
    rows: Annotated[int, typer.Option(help="Rows of the table.")],
    batch: Annotated[int, typer.Option("--batch", "--batch-size", help="Rows per update.")] = 32,
    epochs: Annotated[int, typer.Option(help="Passes over the training rows.")] = 1,
    folds: Annotated[
        int | None, typer.Option(help="Folds of a cross-validation; all rows are trained on by default.")
    ] = None,
    repeats: Annotated[int, typer.Option(help="Repeats of it.")] = 1,
    seeds: Annotated[int, typer.Option(help="Seeds of each.")] = 1,
    trials: Annotated[int, typer.Option(help="Settings that are tried.")] = 1,
    model: Model = None,
    inputs: Annotated[
        int | None, typer.Option(help="Inputs of a row; those of --model, or 8, by default.")
    ] = None,
    *,
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Train for a few seconds to tell the time.")
    ] = True,
    dollars_per_hour: Annotated[
        float | None, typer.Option(help="Price of a rented machine; about 3 by default: look yours up.")
    ] = None,
    speedup: Annotated[
        float | None, typer.Option(help="How many times as fast as this machine it is; 1 by default.")
    ] = None,
) -> None:
    """Say what a plan takes in updates, time and money. Nothing but a short measurement is trained."""
    from rich.console import Console

    import caviar
    from caviar.report.forecast import forecast as shown

    found = caviar.forecast(
        rows,
        batch,
        epochs,
        folds=folds,
        repeats=repeats,
        seeds=seeds,
        trials=trials,
        model=model,
        inputs=inputs,
        measure=measure,
        dollars_per_hour=dollars_per_hour,
        speedup=speedup,
    )
    Console(highlight=False).print(shown(found))
