"""How far a queue is, for the terminal."""

from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from caviar.report import wording
from caviar.run.queued import Experiment, QueueRecord

_STYLES = {"done": "green", "failed": "red", "running": "blue", "stopped": "yellow", "waiting": "dim"}


def queue(record: QueueRecord, folder: Path, *, is_worked_on: bool) -> RenderableType:
    """A queue's experiments and how far they are, as something a rich console prints.

    Args:
        record: The queue.
        folder: Where it lies.
        is_worked_on: Whether a process works on it; what a dead one left running has stopped.

    >>> from rich.console import Console
    >>> one = Experiment(name="night", command="tune", arguments=[], home="/", out=None, log="01-night.log")
    >>> record = QueueRecord(created="2026-01-01 00:00:00", experiments=[one])
    >>> Console(width=70).print(queue(record, Path("runs/q"), is_worked_on=False))
    <BLANKLINE>
    Nobody works on this queue: 1 waiting.
    <BLANKLINE>
    Experiment  Command  State    Took
    night       tune     waiting
    <BLANKLINE>
    Go on with it: caviar queue resume runs/q
    <BLANKLINE>
    """
    states = [_state(one, is_worked_on=is_worked_on) for one in record.experiments]
    counts = ", ".join(f"{states.count(state)} {state}" for state in _STYLES if state in states)
    is_over = all(state in {"done", "failed"} for state in states)
    beginning = (
        f"Process {record.pid} works on this queue"
        if is_worked_on
        else "This queue has ended"
        if is_over
        else "Nobody works on this queue"
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("Experiment", "Command", "State", "Took", ""):
        table.add_column(title, overflow="fold")
    for one, state in zip(record.experiments, states, strict=True):
        table.add_row(
            Text(one.name),
            Text(one.command),
            Text(state, style=_STYLES[state]),
            Text(wording.duration(one.seconds) if one.seconds else ""),
            Text(_detail(one, state, folder)),
        )
    parts: list[RenderableType] = [
        Text(),
        Text(f"{beginning}: {counts}.", style="bold"),
        Text(),
        table,
        Text(),
    ]
    if is_worked_on:
        parts += [Text(f"Stop it: caviar queue stop {folder}"), Text()]
    elif states.count("done") < len(states):
        parts += [Text(f"Go on with it: caviar queue resume {folder}"), Text()]
    return Group(*parts)


def _state(one: Experiment, *, is_worked_on: bool) -> str:
    return "stopped" if one.status == "running" and not is_worked_on else one.status


def _detail(one: Experiment, state: str, folder: Path) -> str:
    if state == "running":
        return f"since {one.since}, process {one.pid}; {folder / one.log}"
    if state == "done":
        return str(folder / (one.out or one.log))
    if state == "failed":
        return f"exit status {one.exit_status}: {one.said}"
    return str(folder / one.log) if state == "stopped" else ""
