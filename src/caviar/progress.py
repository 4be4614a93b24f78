"""What a person sees while a command runs, and when it must stop."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.text import Text


class OutOfTime(Exception):  # noqa: N818 - an outcome, not an error
    """The time that a person gave is used up."""


@dataclass
class Clock:
    """Time against a budget, and whether somebody asked to stop.

    Attributes:
        minutes: The budget; None for no bound.
        began: What `time.monotonic()` said when the time began to count; the moment it is made by default.
        stopped: Whether Ctrl-C was pressed while `listening`.
        kept: Seconds of the budget that are kept for what comes later.

    >>> Clock(None).left() > 1e9
    True
    """

    minutes: float | None
    began: float = field(default_factory=time.monotonic)
    stopped: bool = False
    kept: float = 0.0

    def spent(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    def left(self, reserve: float = 0.0) -> float:
        """Seconds left before the budget, less a reserve and what is kept, is used up; very many without a budget."""
        return (
            float("inf") if self.minutes is None else self.minutes * 60 - self.spent() - self.kept - reserve
        )

    def check(self, reserve: float = 0.0) -> None:
        """Raise `OutOfTime` if nothing is left, and `KeyboardInterrupt` if somebody asked to stop."""
        if self.stopped:
            raise KeyboardInterrupt
        if self.left(reserve) <= 0:
            raise OutOfTime

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Remember Ctrl-C: Python drops the exception when the signal meets a destructor or a callback."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGINT)
        if before is not signal.default_int_handler:  # somebody else listens already
            yield
            return

        def stop(_signal: int, _frame: object) -> None:
            self.stopped = True
            raise KeyboardInterrupt

        told = sys.unraisablehook

        def tell(unraisable: Any) -> None:  # noqa: ANN401 - Python's own type has no public name
            """Say nothing of a Ctrl-C that met a destructor: it is remembered."""
            if not issubclass(unraisable.exc_type, KeyboardInterrupt):
                told(unraisable)

        signal.signal(signal.SIGINT, stop)
        sys.unraisablehook = tell
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
            sys.unraisablehook = told


class _Remaining(ProgressColumn):
    """Time left by the pace of this task alone; nothing is shown before a pace is known."""

    def render(self, task: Task) -> Text:
        seconds = task.time_remaining
        if task.finished or seconds is None:
            return Text("")
        minutes, rest = divmod(int(seconds), 60)
        return Text(f"{minutes}:{rest:02d} left")


class Voice:
    """Says what happens: lines that stay, and one bar that moves. Silent if asked to be."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self._moves = self.console.is_terminal and not quiet
        self._bar: tuple[Progress, TaskID] | None = None
        self._untold = False
        self.said: list[str] = []

    def say(self, text: str, style: str = "") -> None:
        """A line that stays on the screen."""
        self.console.print(text, style=style, markup=False)

    def stage(self, title: str) -> None:
        """The headline of a stage."""
        self.console.print(f"\n{title}", style="bold", markup=False)

    def note(self, text: str) -> None:
        """A line that stays, and that the record keeps as well."""
        if text not in self.said:
            self.said.append(text)
            self.say(f"  Note: {text}")

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[None]:
        """A bar over `total` units of work while the block runs.

        Inside another bar only its title changes; inside one of 0 units, which nobody could tell beforehand, the bar is
        that of each part in turn.
        """
        if self._bar is not None:
            progress, task = self._bar
            if self._untold:
                progress.reset(task, total=total)
            progress.update(task, description=f"  {title}")
            yield
            return
        self._untold = not total
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(24),
            TextColumn("{task.percentage:>3.0f} %"),
            _Remaining(),
        )
        with Progress(*columns, console=self.console, transient=True, disable=not self._moves) as progress:
            self._bar = (progress, progress.add_task(f"  {title}", total=total))
            try:
                yield
            finally:
                self._bar = None

    def advance(self, amount: int) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar[0].advance(self._bar[1], amount)

    def expect(self, left: int) -> None:
        """Correct how much work is still to come."""
        if self._bar is not None:
            progress, task = self._bar
            progress.update(task, total=int(progress.tasks[0].completed) + left)
