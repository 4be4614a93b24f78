"""`caviar panda` from its first epoch to the model it leaves: trains, shows, listens, and keeps what was done."""

import math
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich.console import Console

from caviar.measuring.table import keras_speaks_plainly
from caviar.nursing.course import Course
from caviar.nursing.live import Live
from caviar.nursing.server import Server
from caviar.nursing.terminal import Lines, Prompt
from caviar.report.panda import Page, render
from caviar.run.folder import MODEL


@dataclass(frozen=True)
class Watched:
    """What was left.

    Attributes:
        path: Folder of log, curves and model.
        epochs: Of the branch chosen.
        lines: What to tell a person at the end.
    """

    path: Path
    epochs: int
    lines: list[str]


def watch(course: Course, folder: Path, *, page: bool, port: int, seconds: float) -> Watched:
    """Train while a person watches.

    Args:
        course: Before its first epoch.
        folder: Where the log is and the model will be.
        page: Whether to serve a page.
        port: Where; 0 for any port that is free.
        seconds: After so many it stops.

    Raises:
        OptionError: The port cannot be had.
        KeyboardInterrupt: Ctrl-C ended it. Log and model are kept then too, as they are whatever else ends it.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    is_typed = sys.stdin is not None and sys.stdin.isatty() and console.is_terminal
    screen: list[Prompt] = []
    script = None if is_typed or sys.stdin is None else Lines(sys.stdin)

    def said(text: str) -> None:
        if screen:
            screen[0].say(text)
        else:
            console.print(text, markup=False)

    live = Live(
        course,
        course.material.recipe.epochs,
        said=lambda text: None if screen else said(text),
        shown=lambda: screen[0].show() if screen else None,
    )
    has_ended, is_used_up = False, threading.Event()
    server = Server(live, _page(course, folder), port) if page else None  # refused: nothing to keep
    try:
        with ExitStack() as stack:
            address = ""
            if server is not None:
                stack.enter_context(server.serving())
                address = server.address
                console.print(f"Watch and steer at {address}", markup=False)
            interrupted = stack.enter_context(_ctrl_c(live))
            stack.enter_context(_bounded(live, seconds, is_used_up))
            if is_typed:
                screen.append(Prompt(Console(stderr=True, highlight=False), address))
                stack.enter_context(screen[0].serve(live))
            elif script is not None:
                script.serve(live, said)
            with keras_speaks_plainly():
                live.run()
        has_ended = not interrupted.is_set()
    finally:  # whatever ended it, what was trained is kept
        lines = ["The time given was used up (--minutes)."] * is_used_up.is_set()
        lines += [] if script is None else script.left_undone()
        lines += _kept(course, folder)
        if not has_ended:
            for line in lines:
                console.print(line, markup=False)
    if interrupted.is_set():
        raise KeyboardInterrupt
    return Watched(folder, course.epoch, lines)


def _page(course: Course, folder: Path) -> Page:
    material = course.material
    return render(
        material.dataset.name, material.dataset.n_rows, material.dataset.task, material.called, str(folder)
    )


@contextmanager
def _bounded(live: Live, seconds: float, is_used_up: threading.Event) -> Iterator[None]:
    """Ends the training after so many seconds, and then sets the event."""

    def end() -> None:
        is_used_up.set()
        live.stop()

    if not math.isfinite(seconds):
        yield
        return
    timer = threading.Timer(max(0.0, seconds), end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _ctrl_c(live: Live) -> Iterator[threading.Event]:
    """The first Ctrl-C ends the training after the epochs that run now; the second one ends it at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def stop(_signal: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        live.stop()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def _kept(course: Course, folder: Path) -> list[str]:
    """Save the models where they stand; says what lies where."""
    lines = [f"Log: {folder / 'log.json'}"]
    if course.epoch:
        with keras_speaks_plainly():
            course.finished().save(folder / MODEL)
        rows = len(course.material.fit)
        lines.append(
            f"Model: {folder / MODEL}, branch {course.branch.name} after epoch {course.epoch}, trained on {rows:,} rows"
        )
    if len({stage.settings for stage in course.log.stages(course.branch.name, course.epoch)}) > 1:
        lines.append(f"Skill or luck? caviar panda --replay {folder} TABLE, with the same options")
    return lines
