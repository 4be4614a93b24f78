"""`python -m caviar.command.lesson_worker PROCESS`: runs lessons that its standard input names, in turn.

Each line is a JSON object of arguments of `caviar.lesson`; the answer is a JSON text: empty, or why the lesson failed.
The process ends when the one that started it does.
"""

import json
import os
import sys

from caviar.command.attached import attach


def serve() -> None:
    """Run what is asked for, until nothing more is."""
    # What libraries print must not get among the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    from caviar.course.lesson import lesson
    from caviar.errors import CaviarError

    for line in sys.stdin:
        why = ""
        try:
            lesson(**json.loads(line), quiet=True)
        except CaviarError as error:
            why = str(error)
        except Exception as error:  # noqa: BLE001 - whatever a lesson raises, the one who asked must hear of it
            why = f"{type(error).__name__}: {error}"
        answers.write(json.dumps(why) + "\n")
        answers.flush()


if __name__ == "__main__":
    attach(int(sys.argv[1]))
    serve()
