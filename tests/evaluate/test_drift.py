"""Facts about drift: it is named where it was planted, and seldom where there is none."""

import numpy as np
import pytest

from caviar.evaluate.drift import Observed, drifts

LEVELS = {"g": tuple("abcdef"), "i": ("low", "high"), "y": ("no", "yes")}


def table(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """Columns of many kinds: smooth, counted, rare classes, gaps."""
    return {
        "a": rng.normal(size=n),
        "c": rng.lognormal(size=n),
        "d": rng.poisson(3, n) * 1.0,
        "e": rng.poisson(30, n) * 1.0,
        "g": rng.choice(6, n, p=[0.5, 0.3, 0.1, 0.05, 0.03, 0.02]) * 1.0,
        "h": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
        "i": np.where(rng.random(n) < 0.05, np.nan, rng.integers(0, 2, n) * 1.0),
        "y": (rng.random(n) < 0.2) * 1.0,
    }


def named(before: dict[str, np.ndarray], now: dict[str, np.ndarray]) -> list[str]:
    observed = [Observed(name, before[name], now[name], LEVELS.get(name, ())) for name in before]
    return [one.name for one in drifts(observed) if one.is_sure]


@pytest.mark.thorough
def test_where_nothing_has_moved_a_table_is_named_in_one_of_twenty_cases_at_most():
    rng = np.random.default_rng(0)
    alarms = sum(bool(named(table(rng, 150), table(rng, 100))) for _ in range(400))
    assert alarms / 400 < 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


def shifted(now: dict[str, np.ndarray], rng: np.random.Generator, what: str) -> dict[str, np.ndarray]:
    n = len(now["a"])
    planted = {
        "a": now["a"] + 1,
        "c": now["c"] * 3,
        "d": now["d"] + 2,
        "g": rng.choice(6, n) * 1.0,
        "h": np.where(rng.random(n) < 0.4, np.nan, now["h"]),
        "y": (rng.random(n) < 0.6) * 1.0,
    }
    return now | {what: planted[what]}


@pytest.mark.parametrize("what", ["a", "c", "d", "g", "h", "y"])
def test_the_column_that_has_moved_is_named_and_no_other(what):
    rng = np.random.default_rng(1)
    before, now = table(rng, 400), table(rng, 300)
    assert named(before, shifted(now, rng, what)) == [what]


def test_a_change_is_told_in_the_columns_own_words():
    rng = np.random.default_rng(2)
    color = Observed("color", np.repeat([0.0, 1.0], 100), np.repeat([0.0, 1.0], [20, 180]), ("red", "blue"))
    gap = Observed("gap", rng.normal(size=200), np.where(np.arange(200) % 2, np.nan, rng.normal(size=200)))
    day = Observed(
        "day", np.linspace(0, 99, 100), np.linspace(100, 199, 100), show=lambda value: f"day {value:.0f}"
    )
    words = [one.words for one in drifts([color, gap, day])]
    assert words[0] == "blue: 50% before, 90% now"
    assert words[1] == "missing: 0% before, 50% now"
    assert words[2] == "middle half day 25 to day 74 before, day 125 to day 174 now"


def test_columns_that_say_nothing_have_not_moved():
    empty, same = np.full(50, np.nan), np.zeros(50)
    found = drifts([Observed("empty", empty, empty), Observed("constant", same, same)])
    assert [(one.p, one.is_sure) for one in found] == [(1.0, False)] * 2


def test_a_column_that_was_always_there_and_is_gone_now_has_moved():
    assert drifts([Observed("gone", np.zeros(50), np.full(50, np.nan))])[0].is_sure
