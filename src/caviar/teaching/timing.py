"""How long works take beside each other: each in its turn, so that a busy machine slows them alike."""

import time
from collections.abc import Callable, Sequence

import numpy as np


def in_turns(works: Sequence[Callable[[], object]], turns: int = 10, times: int = 1) -> np.ndarray:
    """Seconds of every work in every turn (work, turn).

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
    for turn in range(turns):
        for step in range(len(works)):
            place = (turn + step) % len(works)
            taken[place, turn] = min(_seconds(works[place]) for _ in range(times))
    return taken


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
