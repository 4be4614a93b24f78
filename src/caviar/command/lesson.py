"""The command `caviar lesson`: list the lessons, take one, change one, or run them all."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caviar.command.options import Drop, Header, Sep, Target, Task
from caviar.errors import OptionError

if TYPE_CHECKING:
    from rich.console import Console

    from caviar.course.lesson import Taught
    from caviar.run.lesson import LessonRecord

_CURVE_WIDTH = 78
_OWN = "Your own table stands in the place of the lesson's rows."


def lesson(
    name: Annotated[
        str | None,
        typer.Argument(help="A lesson, or a .py file that holds one; without it, all lessons are listed."),
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Run the whole course, and write one page.")] = False,
    progress: Annotated[bool, typer.Option("--progress", help="List which lessons you have taken.")] = False,
    edit: Annotated[
        bool, typer.Option("--edit", help="Put the lesson's file here, to be changed and run.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --edit: replace the file that is here.")
    ] = False,
    questions: Annotated[
        bool, typer.Option("--questions/--no-questions", help="Ask first; never without a terminal.")
    ] = True,
    seeds: Annotated[int | None, typer.Option(help="Seeds of every variant; 30 by default.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Three seeds and a tenth of the epochs, for a look.")
    ] = False,
    data: Annotated[Path | None, typer.Option("--data", help="Your own table in the lesson's place.")] = None,
    target: Target = None,
    header: Header = None,
    sep: Sep = None,
    drop: Drop = None,
    task: Task = None,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Folder with the public tables; else they are fetched.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Train again what was trained before.")] = False,
    out: Annotated[Path, typer.Option("--out", help="Folder of records and pages.")] = Path("lessons"),
) -> None:
    """Take a lesson of the course. Every lesson is an experiment, every claim is checked."""
    from rich.console import Console

    console = Console(highlight=False)
    running: dict[str, Any] = {
        "seeds": seeds,
        "quick": quick,
        "data_dir": data_dir,
        "fresh": fresh,
        "out": out,
    }
    reading = {"target": target, "header": header, "sep": sep, "drop": drop or (), "task": task}
    if name is None:
        if edit or data is not None or any(value not in (None, ()) for value in reading.values()):
            raise OptionError("Expected the name of a lesson, got none. `caviar lesson` lists them.")
        _all(console, running) if every else _list(console, out, only_taken=progress)
        return
    if every or progress:
        raise OptionError("Expected a lesson's name or --all or --progress, got several. Give one of them.")
    if edit:
        _edit(name, force=force)
        return
    _take(console, name, {**running, **reading, "data": data}, is_asked=questions and _has_a_person())


def _has_a_person() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _list(console: "Console", out: Path, *, only_taken: bool) -> None:
    from caviar.course.taken import taken
    from caviar.lessons.table import LESSONS, SECONDS
    from caviar.report.lesson_terminal import listing
    from caviar.report.wording import duration
    from caviar.run.lesson import read_lesson

    names = {one.name for one in LESSONS}
    done = {
        name: one for name, one in taken().items() if name in names
    }  # a person's own lessons are not the course
    rows = []
    for one in LESSONS:
        if only_taken and one.name not in done:
            continue
        kept = read_lesson(out / one.name)
        seconds = kept.seconds if kept is not None and kept.share == 1 else SECONDS.get(one.name)
        you = done.get(one.name)
        said = "" if you is None else f"{you.right} of {you.asked} right, {you.last}"
        rows.append((one.name, one.title, one.area, "" if seconds is None else duration(seconds), said))
    if not rows:
        console.print("You have not taken a lesson yet. `caviar lesson` lists them.")
        return
    console.print(listing(rows))
    console.print(
        f"\n{len(done)} of {len(LESSONS)} taken. `caviar lesson {rows[0][0]}` takes one, `--all` runs the course."
    )


def _all(console: "Console", running: dict[str, Any]) -> None:
    from caviar.course.lesson import course
    from caviar.report.lesson_terminal import summed

    records, page = course(**running)
    console.print(summed(records, str(page)))


def _edit(name: str, *, force: bool) -> None:
    from caviar.course.edited import edit

    path = edit(name, Path.cwd(), force=force)
    typer.echo(f"{path.name} is here. Change it, and run `caviar lesson {path.name}`.")


def _take(console: "Console", name: str, running: dict[str, Any], *, is_asked: bool) -> None:
    import caviar
    from caviar.course.edited import find_lesson
    from caviar.report.lesson_terminal import evidence, opening

    one, _ = find_lesson(name)
    is_own = running["data"] is not None
    console.print(opening(one.title, _OWN if is_own else one.why))
    taught: Taught = caviar.lesson(name, **running)
    if is_own:
        console.print(taught.record.why)  # it may be another on these rows
    if is_asked:
        _ask(console, taught.record)
    console.print(evidence(taught.record, str(taught.path / "report.html")))
    if taught.is_kept:
        console.print(
            f"Nothing was trained: this was found on {taught.record.created}. --fresh trains again."
        )


def _ask(console: "Console", record: "LessonRecord") -> None:
    from caviar.course.ask import ask
    from caviar.course.taken import remember
    from caviar.report.lesson_terminal import curves_of

    right = 0
    for question in record.questions:
        console.print()
        if question.figure is not None:
            console.print(curves_of(question.figure, min(console.width, _CURVE_WIDTH)))
        right += ask(
            question,
            lambda prompt: typer.prompt(prompt, default="", show_default=False, prompt_suffix=""),
            console.print,
        )
    remember(record.name, right, len(record.questions))
