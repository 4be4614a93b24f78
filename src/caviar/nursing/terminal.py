"""The terminal of a running training: curves and a prompt where a person sits at it, plain lines where nobody does."""

import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live as Screen
from rich.text import Text

from caviar.errors import OptionError
from caviar.nursing.commands import read_line
from caviar.nursing.live import Live, Request
from caviar.report.text_curves import Line, draw

_FIRST_LINE_SECONDS = 0.5
_LEAST_LINES, _OTHER_LINES = 4, 6
_LEAST_CHART, _LARGEST_CHART = 6, 14
_COLOURS = (("loss", "blue"), ("val_loss", "yellow"))


class Lines:
    """Reads commands from a file that is no terminal; what is read is asked in order.

    Args:
        source: Where lines come from.
    """

    def __init__(self, source: IO[str]) -> None:
        self._source = source
        self._asked: list[Request | None] = []

    def serve(self, live: Live, said: Callable[[str], None]) -> None:
        """Ask what the lines say until there are no more, in a thread of its own; refusals are said.

        Returns once the first line was asked, so that a script begins before the first epoch; or soon, without one.
        """
        listening, begun = ExitStack(), threading.Event()
        listening.enter_context(live.listened_to())

        def read() -> None:
            with listening:
                for line in self._source:
                    if line.strip():
                        self._asked.append(request := read_request(line, said, is_scripted=True))
                        if request is not None:
                            live.ask(request)
                    begun.set()
            begun.set()

        threading.Thread(target=read, daemon=True, name="caviar-lines").start()
        begun.wait(_FIRST_LINE_SECONDS)

    def left_undone(self) -> list[str]:
        """How many lines were not carried out, in a sentence; none where all were."""
        asked = list(self._asked)
        undone = sum(one is None or one.refused or not one.wait(0) for one in asked)
        verb = "was" if undone == 1 else "were"
        return [f"{undone} of {len(asked)} lines {verb} not carried out."] if undone else []


def read_request(line: str, said: Callable[[str], None], *, is_scripted: bool) -> Request | None:
    """What a line asks for; None where nobody can do that, and it is said why."""
    try:
        return Request(read_line(line), is_scripted)
    except OptionError as error:
        said(str(error))
        return None


class Prompt:
    """Curves, the last lines that were said, and a line that a person types.

    Args:
        console: Of a terminal.
        address: Where the page is; empty for none.
    """

    def __init__(self, console: Console, address: str) -> None:
        self._console, self._address = console, address
        self._typed = ""
        self._live: Live | None = None
        self._screen: Screen | None = None
        self._notes: list[str] = []

    def show(self) -> None:
        """Draw again; whoever has news calls it."""
        if self._screen is not None:
            self._screen.update(self._drawn(), refresh=True)

    def say(self, text: str) -> None:
        """Lines from elsewhere than the training, such as why a command cannot be read."""
        self._notes = text.splitlines()
        self.show()

    @contextmanager
    def serve(self, live: Live) -> Iterator[None]:
        """Read keys while this lasts, in a thread of its own."""
        self._live = live
        keys, ends = sys.stdin.fileno(), threading.Event()
        before = termios.tcgetattr(keys)
        tty.setcbreak(keys)  # Ctrl-C stays a signal

        def read() -> None:
            with live.listened_to():
                while not ends.is_set() and not live.is_over:
                    if select.select([keys], [], [], 0.2)[0] and not self._take(os.read(keys, 256)):
                        return

        reader = threading.Thread(target=read, daemon=True, name="caviar-keys")
        try:
            with Screen(self._drawn(), console=self._console, auto_refresh=False) as self._screen:
                reader.start()
                yield
                self._screen.update(self._drawn(prompt=False), refresh=True)
        finally:
            ends.set()
            with suppress(RuntimeError):
                reader.join(timeout=1.0)
            self._screen = None
            termios.tcsetattr(keys, termios.TCSADRAIN, before)

    def _take(self, keys: bytes) -> bool:
        """Take what was typed; says whether more may come."""
        if not keys or keys == b"\x04":
            return False
        assert self._live is not None
        for letter in keys.decode("utf-8", "ignore"):
            if letter in "\r\n":
                self._notes = []
                if self._typed.strip():
                    request = read_request(self._typed, self.say, is_scripted=False)
                    if request is not None:
                        self._live.ask(request)
                self._typed = ""
            elif letter in "\x7f\b":
                self._typed = self._typed[:-1]
            elif letter == "\x15":  # Ctrl-U
                self._typed = ""
            elif letter.isprintable():
                self._typed += letter
        self.show()
        return True

    def _drawn(self, *, prompt: bool = True) -> RenderableType:
        assert self._live is not None
        seen = self._live.look()
        height = self._console.height
        rows = min(_LARGEST_CHART, max(_LEAST_CHART, height // 3))
        lines = max(_LEAST_LINES, height - rows - _OTHER_LINES)
        chart = draw(_lines(seen), width=min(100, self._console.width - 1), height=rows)
        settings = ", ".join(
            f"{name.replace('_', ' ')} {value:g}" for name, value in seen["settings"].items()
        )
        parts: list[RenderableType] = [
            Text(
                f"Branch {seen['branch']}, epoch {seen['epoch']} of {seen['goal']}, {seen['state']}: {settings}",
                style="bold",
            ),
            chart,
            *map(Text, [*seen["said"], *self._notes][-lines:]),
        ]
        if self._address:
            parts.append(Text(f"Page: {self._address}", style="dim", no_wrap=True, overflow="fold"))
        if prompt:
            parts.append(Text(f"(help, p, r, lr 1e-4, dropout 0.3, rewind 12, stop) > {self._typed}▏"))
        return Group(*parts)


def _lines(seen: dict[str, Any]) -> list[Line]:
    curves = seen["curves"][seen["branch"]]
    return [
        Line(name.replace("val_loss", "watched loss"), curves[name][: seen["epoch"]], colour)
        for name, colour in _COLOURS
        if name in curves
    ]
