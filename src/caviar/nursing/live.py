"""A training that goes on while people ask things of it, from a terminal or a page: one at a time, between epochs."""

import math
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from caviar.errors import CaviarError, OptionError
from caviar.evaluate.wording import digits
from caviar.nursing.branches import BranchFacts
from caviar.nursing.commands import HELP, Command, whole
from caviar.nursing.course import Course
from caviar.population.job import Enough, Monitor

# A stage of training lasts about so long: long enough that beginning it costs little, short enough to be watched.
_STAGE_SECONDS = 2.0
_FIRST_EPOCHS = 4
_SAID = 200


@dataclass(eq=False)
class Request:
    """A command on its way.

    Attributes:
        command: What is asked.
        is_scripted: Whether what follows it waits until it is done: lines of a file, not of a person.
        answer: What became of it.
        refused: Whether the answer says why it was not done.
    """

    command: Command
    is_scripted: bool = False
    answer: str = ""
    refused: bool = False
    _done: threading.Event = field(default_factory=threading.Event)

    def finish(self, answer: str, *, refused: bool = False) -> None:
        """Tell whoever waits."""
        self.answer, self.refused = answer, refused
        self._done.set()

    def wait(self, seconds: float) -> bool:
        """Wait until it was carried out or refused; says whether it was."""
        return self._done.wait(seconds)


class Live(Monitor):
    """Trains until its goal, and carries out what it is asked meanwhile.

    Args:
        course: What is trained.
        goal: Epochs planned.
        said: Told every line that a person should read.
        shown: Told after every stage and every command.
    """

    def __init__(
        self,
        course: Course,
        goal: int,
        said: Callable[[str], None],
        shown: Callable[[], None] = lambda: None,
    ) -> None:
        self._course, self._goal, self._say, self._show = course, goal, said, shown
        self._asked: queue.Queue[Request] = queue.Queue()
        self._lock = threading.Lock()
        self._state, self._stop = "running", threading.Event()
        self._scripted = False
        self._listeners = 0
        self._said: list[str] = []
        self._length = _FIRST_EPOCHS
        self._seen = {**self._look(), "version": 0}

    def ask(self, request: Request) -> None:
        """Ask for something; it is done when the epochs that run now are."""
        self._asked.put(request)

    def stop(self) -> None:
        """End soon, from whatever thread or signal handler."""
        self._stop.set()

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._state == "stopped"

    @contextmanager
    def listened_to(self) -> Iterator[None]:
        """While this lasts, somebody may still ask: reaching the goal is no end."""
        with self._lock:
            self._listeners += 1
        try:
            yield
        finally:
            with self._lock:
                self._listeners -= 1

    def look(self) -> dict[str, Any]:
        """Everything that a page shows, as of the last stage."""
        with self._lock:
            return self._seen

    def run(self) -> None:
        """Train until the goal is reached and nobody listens any more, or until it is stopped."""
        try:
            while not self._stop.is_set():
                self._obey()
                if self._stop.is_set():
                    break
                if self._state == "running" and self._course.epoch < self._goal:
                    self._go_on()
                elif self._listeners or not self._asked.empty():
                    self._wait()
                else:
                    break
        finally:
            self._state = "stopped"
            while not self._asked.empty():
                self._asked.get().finish("The training has ended.", refused=True)
            self._course.note("stop", self._course.epoch)
            self._update()

    def advance(self, steps: int) -> None:  # noqa: ARG002 - every monitor is told how many
        """Between some epochs: have enough where somebody asks for something."""
        if self._stop.is_set() or (not self._asked.empty() and not self._scripted):
            raise Enough

    def _go_on(self) -> None:
        course = self._course
        course.train(min(self._length, self._goal - course.epoch), self)
        wanted = 2.0 * self._length
        if math.isfinite(course.pace):  # not known where all epochs ran at one go
            wanted = min(wanted, max(1.0, _STAGE_SECONDS / max(course.pace, 1e-9)))
        self._length = 2 ** int(math.log2(wanted))  # each other length is another program to compile
        self._tell(self._in_a_line())
        if course.epoch >= self._goal:
            self._scripted = False
            if self._listeners:
                self._tell(
                    f"{self._goal} epochs are done. Type train 20 for more, rewind to go back, or stop."
                )
        self._update()

    def _wait(self) -> None:
        try:
            request = self._asked.get(timeout=0.2)
        except queue.Empty:
            return
        self._carry_out(request)

    def _obey(self) -> None:
        while not self._scripted and not self._stop.is_set():
            try:
                request = self._asked.get_nowait()
            except queue.Empty:
                return
            self._carry_out(request)

    def _carry_out(self, request: Request) -> None:
        refused = False
        try:
            answer = self._done(request)
        except CaviarError as error:
            answer, refused = str(error), True
        self._tell(answer)
        self._update()
        request.finish(answer, refused=refused)

    def _done(self, request: Request) -> str:
        course, command = self._course, request.command
        match command.do:
            case "pause" | "resume":
                self._state = "paused" if command.do == "pause" else "running"
                course.note(command.do, course.epoch)
                said = "Paused: resume goes on." if command.do == "pause" else "Going on."
            case "set":
                said = course.set(command.values)
            case "rewind":
                said = course.rewind(whole(command.values, "epoch"), command.branch)
                if not request.is_scripted:  # a person now sets something before going on
                    self._state, said = "paused", f"{said} Paused: resume goes on."
            case "train":
                said = self._trains(whole(command.values, "epochs"), is_scripted=request.is_scripted)
            case "branches" | "compare":
                said = "\n".join(map(in_a_line, course.facts()))
            case "kept":
                said = f"Epochs that can be gone back to at once: {', '.join(map(str, course.kept()))}."
            case "stop":
                self.stop()
                said = "Stopping."
            case "help":
                said = HELP
        return said

    def _trains(self, epochs: int, *, is_scripted: bool) -> str:
        if epochs < 1:
            raise OptionError(f"Expected at least 1 epoch to train, got {epochs}. Raise it.")
        self._goal = self._course.epoch + epochs
        self._state, self._scripted = "running", is_scripted
        return f"Training to epoch {self._goal}."

    def _in_a_line(self) -> str:
        course = self._course
        curves = course.branch.curves(course.epoch)
        names = sorted(curves, key=lambda name: (name not in ("loss", "val_loss"), name))
        told = ", ".join(f"{name} {digits(float(curves[name].mean(axis=0)[-1]))}" for name in names)
        return f"branch {course.branch.name}, epoch {course.epoch} of {self._goal}: {told}"

    def _tell(self, text: str) -> None:
        with self._lock:
            self._said = [*self._said, *text.splitlines()][-_SAID:]
        self._say(text)

    def _update(self) -> None:
        seen = self._look()
        with self._lock:
            self._seen = {**seen, "version": self._seen["version"] + 1}
        self._show()

    def _look(self) -> dict[str, Any]:
        course = self._course
        log = course.log
        return {
            "state": self._state if course.epoch < self._goal or self._state != "running" else "done",
            "epoch": course.epoch,
            "goal": self._goal,
            "branch": course.branch.name,
            "settings": course.values(),
            "kept": course.kept(),
            "models": course.material.models,
            "engine": course.engine,
            "metric": course.material.metric.title,
            "branches": [vars(one) for one in course.facts()],
            "curves": {
                branch.name: {
                    name: [_rounded(float(value)) for value in curve.mean(axis=0)]
                    for name, curve in branch.curves().items()
                }
                for branch in course.branches
            },
            "actions": [action.model_dump() for action in log.actions],
            "said": list(self._said),
        }


def in_a_line(branch: BranchFacts) -> str:
    """A branch and what the watched rows said of it, on one line."""
    origin = f" (from branch {branch.parent} at epoch {branch.start})" if branch.parent else ""
    parts = [f"epoch {branch.epochs}"]
    if branch.loss is not None:
        parts.append(f"loss {digits(branch.loss)}")
    if branch.val_loss is not None:
        parts.append(f"watched loss {digits(branch.val_loss)}")
    if branch.best_val_loss is not None:
        parts.append(f"lowest {digits(branch.best_val_loss[0])} after epoch {branch.best_val_loss[1]}")
    return f"branch {branch.name}{origin}: {', '.join(parts)}; set: {branch.settings or 'nothing'}"


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
