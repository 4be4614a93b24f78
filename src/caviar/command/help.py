"""The command `caviar help`: what an error means, what answers a question, and an example to ask others with."""

from pathlib import Path
from typing import Annotated

import typer

from caviar.command.options import BatchSize, Epochs, Read, reads_a_table


@reads_a_table
def explain(
    context: typer.Context,
    read: Read,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TEXT]", help="An error or a question, in quotes; - reads it from stdin."),
    ] = None,
    log: Annotated[
        Path | None, typer.Option("--log", help="File that holds the error, such as a log; in place of TEXT.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="Your builder, as file.py:function: makes the smallest example that shows the error.",
        ),
    ] = None,
    table: Annotated[
        str | None, typer.Option("--table", help="With --model: the table; none of its rows is copied.")
    ] = None,
    inputs: Annotated[
        str | None,
        typer.Option(
            help="With --model, without a table: columns, or a shape such as 28x28x1; of several arrays in quotes: "
            "'image=28x28x1 meta=5', or '28x28x1 5'."
        ),
    ] = None,
    outputs: Annotated[
        str | None,
        typer.Option(
            help="With --model, without a table: numbers that the network returns, 1 by default; of several outputs "
            "in quotes: 'price=1 kind=3', or '1 3'."
        ),
    ] = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="With --model: the example's file; example.py by default.")
    ] = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Write over that file if it is there.")] = False,
) -> None:
    """Say what an error means or which command answers a question.

    With --model, make the smallest example to ask others with.
    """
    from rich.console import Console

    from caviar.help.asked import answer_and_example
    from caviar.report import help as shown

    commands = context.find_root().command
    if words is not None and len(words) == 1 and words[0] in commands.commands:  # type: ignore[attr-defined]
        commands.main([words[0], "--help"], prog_name="caviar", standalone_mode=False)
        return
    example_options = {
        "table": table,
        "inputs": inputs,
        "outputs": outputs,
        "epochs": epochs,
        "batch_size": batch_size,
        "out": out,
        "force": force or None,
    }
    found, made = answer_and_example(words or [], log, model, example_options | read)
    console = Console(highlight=False)
    if found is not None and (found.is_known or made is None):
        console.print(shown.explanation(found))
    if made is not None:
        console.print(shown.example(made))
