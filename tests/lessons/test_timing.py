"""Works that are timed take turns, and what happens to a machine for a while happens to all of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@pytest.fixture
def rests() -> Iterator[list[str]]:
    """What timings asked for, with what they did meanwhile."""
    seen: list[str] = []

    @contextmanager
    def rest(kind: timing.Rest) -> Iterator[None]:
        seen.append(kind)
        yield
        seen.append("over")

    before = timing.REST.set(rest)
    yield seen
    timing.REST.reset(before)


def test_works_in_turns_ask_to_be_alone_once_they_are_compiled(rests):
    timing.in_turns([partial(rests.append, "work")], turns=2)
    assert rests == ["work", "alone", "work", "work", "over"]


def test_a_work_by_itself_asks_not_to_be_stopped(rests, lasting):
    taken = timing.one_after_the_other(lasting(5, 1, 2), 3)
    np.testing.assert_allclose(taken, [5, 1, 2])
    assert rests == ["unstopped", "over"]
