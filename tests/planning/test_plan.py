"""A budget gives up repeats first, then folds, and says why."""

import time
from types import SimpleNamespace

import pytest

from caviar.planning.plan import Plan, can_be_smaller, first_plan, smaller_plan
from caviar.progress import Clock, OutOfTime


def table(rows: int, columns: int = 10, *, time=None) -> SimpleNamespace:
    column = SimpleNamespace(categories=())
    return SimpleNamespace(n_rows=rows, time=time, schema=SimpleNamespace(columns=[column] * columns))


def test_the_usual_plan_is_ten_folds_three_times_with_three_seeds_in_the_first():
    plan = first_plan(table(1000), None, None)
    assert (plan.folds, plan.repeats, plan.seeds, plan.why) == (10, 3, 3, "")
    assert plan.members == 10 * 3 + 10 + 10


def test_what_was_asked_for_is_kept_whatever_the_budget():
    plan = first_plan(table(10**9), 4, None)
    assert (plan.folds, plan.repeats) == (4, 3)
    assert not can_be_smaller(plan)
    assert smaller_plan(plan, 1000.0, 1.0, 0.1) is None


def test_time_order_allows_one_repeat_and_says_so():
    plan = first_plan(table(1000, time=[1.0]), None, 5)
    assert plan.repeats == 1
    assert "time" in plan.why


def test_a_table_too_large_for_memory_gets_fewer_splits_and_says_so():
    plan = first_plan(table(3_000_000, 20), None, None)
    assert plan.folds * plan.repeats * 4 * 20 * 3_000_000 <= 2 * 2**30
    assert "memory" in plan.why


@pytest.mark.parametrize(
    ("seconds", "expected"), [(75.0, (10, 2)), (95.0, (10, 1)), (200.0, (5, 1)), (5000.0, (3, 1))]
)
def test_a_short_budget_takes_the_largest_plan_that_fits(seconds, expected):
    plan = smaller_plan(Plan(10, 3), seconds, 80.0, 5)
    assert (plan.folds, plan.repeats) == expected
    assert f"about {seconds:.0f} s" in plan.why


def test_the_smallest_plan_has_no_smaller_one():
    assert smaller_plan(Plan(3, 1), 100.0, 1.0, 1) is None


def test_a_clock_counts_what_came_before_it():
    clock = Clock(1, began=time.monotonic() - 61)
    assert clock.left() < 0
    with pytest.raises(OutOfTime):
        clock.check()


def test_a_stop_that_python_lost_is_found_at_the_next_check():
    clock = Clock(None)
    clock.check()
    clock.stopped = True
    with pytest.raises(KeyboardInterrupt):
        clock.check()
