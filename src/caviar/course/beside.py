"""Lessons of the course run beside each other: a process and a share of the cores for each of them.

Much of a lesson is building and compiling, which keeps one core busy. Two lessons on a core each are through sooner
than one after the other on both. While one of them measures seconds the others are stopped, and go on afterwards.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from caviar.errors import RunError

# -P: what lies in the folder where a person works is no module of ours.
_WORKER = (sys.executable, "-P", "-m", "caviar.command.lesson_worker")
# A process takes about 1.5 GB.
_MOST = 4


def shares_of_cores() -> list[set[int]]:
    """The cores of this process, dealt out to as many processes as are worth it; one share where nobody tells.

    >>> all(shares_of_cores())
    True
    """
    if not hasattr(os, "sched_getaffinity"):
        return [set(range(os.cpu_count() or 1))]
    cores = sorted(os.sched_getaffinity(0))
    processes = min(len(cores), _MOST)
    return [set(cores[place::processes]) for place in range(processes)]


def run_beside(names: Sequence[str], asked: Mapping[str, Any], told: Callable[[str], None]) -> None:
    """Run lessons, as many at a time as there are shares of cores; what they find lies in their folders.

    Args:
        names: Of lessons, those that take longest first.
        asked: Further arguments of `caviar.lesson`: what JSON can hold.
        told: Given the name of every lesson that is over; called by one thread at a time.

    Raises:
        RunError: A lesson failed; those that were running are finished first, no others are begun.
    """
    waiting, lock, failed = list(names), threading.Lock(), list[str]()
    shares = shares_of_cores()[: max(1, len(names))]
    workers = [_begin(share) for share in shares]
    timing = threading.Lock()

    def work(worker: "subprocess.Popen[str]") -> None:
        others = [other for other in workers if other is not worker]
        while True:
            with lock:
                if failed or not waiting:
                    return
                name = waiting.pop(0)
            why = _asked(worker, {"name": name, **asked}, others, timing)
            with lock:
                if why:
                    failed.append(f"{name}: {why}")
                else:
                    told(name)

    threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in workers]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        for worker in workers:
            with suppress(OSError), worker:  # closes its pipes
                worker.kill()
    if failed:
        raise RunError(
            f"Expected all lessons to run, but one failed: {failed[0]} The others that were begun are kept."
        )


def _begin(cores: set[int]) -> "subprocess.Popen[str]":
    worker = subprocess.Popen(  # noqa: S603 - our own module, an argument list, never a shell
        [*_WORKER, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        start_new_session=True,  # Ctrl-C is for the process that a person sees
    )
    if hasattr(os, "sched_setaffinity"):
        with suppress(OSError):  # it has ended already, and its pipe will say so
            os.sched_setaffinity(worker.pid, cores)
    return worker


def _asked(
    worker: "subprocess.Popen[str]",
    lesson: Mapping[str, Any],
    others: Sequence["subprocess.Popen[str]"],
    timing: threading.Lock,
) -> str:
    """Have a worker run a lesson; why it failed, or nothing.

    Args:
        worker: Runs it. It says `{"rest": "alone"}` or `{"rest": "unstopped"}` before it measures seconds, waits for a
            line, and says `{"rest": "over"}` after it.
        lesson: Arguments of `caviar.lesson`.
        others: Are stopped while the worker is alone.
        timing: Held by the one whose seconds count.
    """
    with ExitStack() as resting:
        _tell(worker, lesson)
        assert worker.stdout is not None
        while said := worker.stdout.readline():
            answer = json.loads(said)
            if isinstance(answer, str):
                return answer
            resting.close()
            if answer["rest"] == "over":
                continue
            resting.enter_context(timing)
            if answer["rest"] == "alone":
                resting.enter_context(_stopped(others))
            _tell(worker, {})
    return "its process ended without a word, as for want of memory. Run it alone."


@contextmanager
def _stopped(workers: Sequence["subprocess.Popen[str]"]) -> Iterator[None]:
    """Workers and the processes that they started stand still meanwhile."""
    try:
        _signal(workers, signal.SIGSTOP)
        yield
    finally:
        _signal(workers, signal.SIGCONT)


def _signal(workers: Sequence["subprocess.Popen[str]"], number: int) -> None:
    for worker in workers:
        if worker.poll() is None:
            with suppress(ProcessLookupError):  # it has ended since
                os.killpg(worker.pid, number)


def _tell(worker: "subprocess.Popen[str]", what: Mapping[str, Any]) -> None:
    assert worker.stdin is not None
    with suppress(OSError):  # a worker that has ended says nothing more, which its reader sees
        worker.stdin.write(json.dumps(what) + "\n")
        worker.stdin.flush()
