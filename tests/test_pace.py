"""A training keeps to its time: given up, ended early, or left alone."""

import time

import pytest

from caviar.pace import Pace, TooSlow
from caviar.population.job import Enough
from caviar.progress import Clock, OutOfTime, Voice


def pace(seconds_left=60.0, **options):
    clock = Clock(1, began=time.monotonic() - 60 + seconds_left)
    made = Pace(Voice(quiet=True), clock, "a training", **options)
    made.begin(100)
    return made


def test_without_bounds_it_goes_on():
    one = pace()
    for _ in range(100):
        one.advance(1)
    one.end()


def test_what_would_take_longer_than_allowed_is_given_up_after_its_second_block():
    one = pace(allowed=0.1)
    one.advance(1)
    time.sleep(0.05)
    with pytest.raises(TooSlow) as slow:
        one.advance(1)
    assert slow.value.seconds == pytest.approx(5, rel=0.5)


def test_what_would_be_over_before_a_second_start_had_compiled_goes_on():
    one = pace(allowed=0.001)
    time.sleep(0.2)  # the first block compiles
    one.advance(50)
    time.sleep(0.05)
    one.advance(50)


def test_it_ends_early_when_only_the_reserve_is_left_but_not_before_it_has_enough():
    one = pace(seconds_left=5, reserve=10, enough=0.5)
    one.advance(49)
    with pytest.raises(Enough):
        one.advance(1)


def test_where_fewer_epochs_are_not_allowed_it_is_given_up():
    with pytest.raises(OutOfTime):
        pace(seconds_left=5, reserve=10).advance(99)


def test_ctrl_c_is_heard():
    one = pace(enough=0.5)
    one._clock.stopped = True
    with pytest.raises(KeyboardInterrupt):
        one.advance(1)


def test_what_another_process_did_costs_no_time_and_is_not_given_up():
    """A resumed training is at its end at once, whatever the clock says; what follows keeps to it."""
    one = pace(seconds_left=1.0, reserve=10.0)
    one.restore(99)
    with pytest.raises(OutOfTime):
        one.advance(1)
