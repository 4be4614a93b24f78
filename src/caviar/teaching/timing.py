"""How long works take beside each other: each in its turn, so that a busy machine slows them alike."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Literal

import numpy as np

Rest = Literal["alone", "unstopped"]
"""What a timing needs: that nothing else of the course runs, or only that nothing stops the process meanwhile."""

REST: ContextVar[Callable[[Rest], AbstractContextManager[None]]] = ContextVar(
    "REST", default=lambda _: nullcontext()
)
"""Gives timings what they need, where other lessons run beside this one; whoever runs them sets it."""


def in_turns(works: Sequence[Callable[[], object]], turns: int = 10, times: int = 1) -> np.ndarray:
    """Seconds of every work in every turn (work, turn), while no other lesson runs.

    All works are done once before any is timed, for what they compile. Each turn begins with another work. Those of
    one turn are paired: the logarithm of their ratio has a mean over turns.

    Args:
        works: What is timed.
        turns: How often each comes up.
        times: How often it is done in its turn. The quickest counts, as the others were interrupted.
    """
    for work in works:
        work()
    taken = np.empty((len(works), turns))
    with REST.get()("alone"):
        for turn in range(turns):
            for step in range(len(works)):
                place = (turn + step) % len(works)
                taken[place, turn] = min(_seconds(works[place]) for _ in range(times))
    return taken


def one_after_the_other(work: Callable[[], object], times: int) -> np.ndarray:
    """Seconds of a work that is done several times (time,), the first with what it compiles; others may run beside."""
    with REST.get()("unstopped"):
        return np.array([_seconds(work) for _ in range(times)])


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
