"""`python -m caviar.command.lesson_worker PROCESS`: runs lessons that its standard input names, in turn.

Each line is a JSON object of arguments of `caviar.lesson`; the answer is a JSON text: empty, or why the lesson failed.
Before a lesson measures seconds, `{"rest": "alone"}` or `{"rest": "unstopped"}` is said and a line awaited, and
`{"rest": "over"}` is said after it. The process ends when the one that started it does.
"""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from caviar.command.attached import attach


def serve() -> None:
    """Run what is asked for, until nothing more is."""
    # What libraries print must not get among the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    from caviar.course.lesson import lesson
    from caviar.errors import CaviarError
    from caviar.teaching.timing import REST, Rest

    def say(what: object) -> None:
        answers.write(json.dumps(what) + "\n")
        answers.flush()

    @contextmanager
    def rest(kind: Rest) -> Iterator[None]:
        say({"rest": kind})
        sys.stdin.readline()
        try:
            yield
        finally:
            say({"rest": "over"})

    REST.set(rest)
    while line := sys.stdin.readline():
        why = ""
        try:
            lesson(**json.loads(line), quiet=True)
        except CaviarError as error:
            why = str(error)
        except Exception as error:  # noqa: BLE001 - whatever a lesson raises, the one who asked must hear of it
            why = f"{type(error).__name__}: {error}"
        say(why)


if __name__ == "__main__":
    attach(int(sys.argv[1]), signal.SIGKILL)  # it may stand still, and then heeds no other signal
    serve()
