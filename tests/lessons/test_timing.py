"""Works that are timed take turns, and what happens to a machine for a while happens to all of them."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from caviar.teaching import timing


@pytest.fixture
def lasting(monkeypatch) -> Callable[..., Callable[[], None]]:
    """Makes works that last so many seconds, one time after the other, by a clock that nothing else moves."""
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])

    def make(*seconds: float) -> Callable[[], None]:
        waits = iter(seconds)

        def work() -> None:
            now[0] += next(waits)

        return work

    return make


def test_every_work_comes_once_in_a_turn_and_each_turn_begins_with_another():
    done = []
    timing.in_turns([partial(done.append, name) for name in "abc"], turns=3)
    assert "".join(done) == "abc" + "abc" + "bca" + "cab"  # the first of all is not timed


def test_what_a_work_does_once_before_is_not_counted(lasting):
    taken = timing.in_turns([lasting(9, 1, 2), lasting(9, 3, 4)], turns=2)
    np.testing.assert_allclose(taken, [[1, 2], [3, 4]])


def test_the_quickest_of_a_turn_counts(lasting):
    taken = timing.in_turns([lasting(0, 5, 2, 3, 7)], turns=2, times=2)
    np.testing.assert_allclose(taken, [[2, 3]])
