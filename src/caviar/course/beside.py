"""Lessons of the course run beside each other: a process and a share of the cores for each of them.

Much of a lesson is building and compiling, which keeps one core busy. Two lessons on a core each are through sooner
than one after the other on both.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
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

    def work(worker: "subprocess.Popen[str]") -> None:
        while True:
            with lock:
                if failed or not waiting:
                    return
                name = waiting.pop(0)
            why = _asked(worker, {"name": name, **asked})
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


def _asked(worker: "subprocess.Popen[str]", lesson: Mapping[str, Any]) -> str:
    """Have a worker run a lesson; why it failed, or nothing."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    with suppress(OSError):  # a worker that has ended says nothing, which is seen below
        worker.stdin.write(json.dumps(lesson) + "\n")
        worker.stdin.flush()
    said = worker.stdout.readline()
    if not said:
        return "its process ended without a word, as for want of memory. Run it alone."
    why: str = json.loads(said)
    return why
