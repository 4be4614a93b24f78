"""What a budget of time that is too short comes to: fewer repeats, or a sentence that says what would do."""

from types import SimpleNamespace

import pytest

from caviar.errors import OptionError
from caviar.measuring.bounded import measure_within
from caviar.progress import Clock, Voice

STEPS = 1_000


def spent_at(monkeypatch, seconds: float) -> None:
    monkeypatch.setattr("time.monotonic", lambda: seconds)


def test_where_the_time_does_not_suffice_it_says_how_much_would(monkeypatch):
    """After 20 s of getting ready, 101 steps in 41 s: the 799 that are left take 324 s, a third of that to spare."""

    def trains(_bench, monitor):
        monitor.begin(STEPS)
        for seconds, steps in ((20.0, 100), (50.0, 100), (61.0, 1)):
            spent_at(monkeypatch, seconds)
            monitor.advance(steps)

    spent_at(monkeypatch, 0.0)
    with pytest.raises(
        OptionError, match=r"but 1 minute did not\. Give more minutes \(about 9 would do\), or"
    ):
        measured(trains)


def test_without_a_pace_it_does_not_guess(monkeypatch):
    def trains(_bench, monitor):
        monitor.begin(STEPS)
        spent_at(monkeypatch, 61.0)
        monitor.advance(1)

    spent_at(monkeypatch, 0.0)
    with pytest.raises(OptionError, match="Give more minutes, or fewer"):
        measured(trains)


def measured(trains):
    bench = SimpleNamespace(shape=(3, 10))
    return measure_within(
        bench,
        trains,
        lambda _: STEPS,
        voice=Voice(quiet=True),
        clock=Clock(1.0, 0.0),
        title="a training",
        least=None,
    )
