"""Which remedies an examination tries, and in what order, where not all can be tried."""

import importlib
from types import SimpleNamespace

import pytest

from caviar.progress import Clock, Voice
from caviar.remedies.contract import Remedy

examination = importlib.import_module("caviar.examination")


def remedy_of(name: str, family: str) -> Remedy:
    return Remedy(name, name.title(), family, "", "", (), lambda recipe: recipe)


@pytest.fixture
def tried(monkeypatch):
    """Names that are tried, one list per population; those of a family `unfit` do not apply."""
    monkeypatch.setattr(examination, "judge_trial", lambda *_: [])

    def run(remedies: list[Remedy], most: int) -> list[list[str]]:
        populations = []

        def try_some(trial, choices):
            names = [remedy.name for (remedy,) in choices]
            populations.append(names)
            fit = [remedy for (remedy,) in choices if remedy.family != "unfit"]
            trial.arms += [SimpleNamespace(recipe=SimpleNamespace(name=remedy.name)) for remedy in fit]

        one = examination.Examination(None, Voice(quiet=True), Clock(None))
        one._try = try_some
        seen = SimpleNamespace(
            trial=SimpleNamespace(arms=[], skipped=[]), evidence=SimpleNamespace(rope=0.1), record=None
        )
        one.tried(seen, remedies, most=most)
        return populations

    return run


def test_a_large_family_leaves_room_for_those_whose_turn_comes_earlier(tried):
    rates = [remedy_of(f"rate-{i}", "rate") for i in range(4)]
    others = [remedy_of("scaling", "scaling"), remedy_of("wider", "width")]
    in_turn = [rates[0], others[0], rates[1], others[1], *rates[2:]]
    assert tried(in_turn, 4) == [["rate-0", "rate-1"], ["scaling"], ["wider"]]
    assert tried(in_turn, 6) == [["rate-0", "rate-1", "rate-2", "rate-3"], ["scaling"], ["wider"]]


def test_what_does_not_apply_takes_no_room(tried):
    remedies = [
        remedy_of("a", "unfit"),
        remedy_of("b", "unfit"),
        remedy_of("c", "rate"),
        remedy_of("d", "width"),
    ]
    assert tried(remedies, 2) == [["a", "b"], ["c"], ["d"]]
    assert tried(remedies[2:], 1) == [["c"]]
