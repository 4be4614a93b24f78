"""How long does a gradient step of one member take in steady state, and how long do contenders take, in turns?"""

import time
from collections.abc import Callable, Mapping

import numpy as np

from caviar.population.job import Monitor


class Clock(Monitor):
    """Notes when each block of epochs ended, and how many steps it had.

    >>> clock = Clock()
    >>> clock.advance(100), clock.advance(50)
    (None, None)
    >>> clock.microseconds() > 0
    True
    """

    def __init__(self) -> None:
        self._ended: list[float] = []
        self._steps: list[int] = []

    def advance(self, steps: int) -> None:
        """A block of so many steps, of all members together, ended."""
        self._ended.append(time.perf_counter())
        self._steps.append(steps)

    def microseconds(self) -> float:
        """Per step of a member, from the end of the first block, which compiles."""
        return 1e6 * (self._ended[-1] - self._ended[0]) / sum(self._steps[1:])


def in_turns(
    label: str, contenders: Mapping[str, Callable[[], tuple[float, float]]], rounds: int, same: float
) -> dict[str, np.ndarray]:
    """By contender, microseconds per member and step (round,).

    Args:
        label: Of what is trained.
        contenders: Each trains, and returns microseconds and its last loss, NaN for none; the first one is ours.
        rounds: How often everybody has a turn.
        same: Largest share by which losses may differ.

    Raises:
        SystemExit: Somebody trained something else.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    losses: dict[str, float] = {}
    for _ in range(rounds):
        for name, turn in contenders.items():
            microseconds, losses[name] = turn()
            times[name].append(microseconds)
            print(f"{label}: {name} {microseconds:,.2f} µs", flush=True)
    ours = next(iter(losses.values()))
    if different := [name for name, loss in losses.items() if abs(loss / ours - 1) > same]:
        raise SystemExit(f"Expected equal losses of {label}, but these differ: {', '.join(different)}.")
    return {name: np.array(own) for name, own in times.items()}
