"""Spaces that several tests search, and scores to search them by."""

from typing import Any

from caviar.recipe.hyperparameters import HyperParameters
from caviar.tune.search import Candidate, Outcome, Search
from caviar.tune.space import Space, discover


def numbers(hp: HyperParameters) -> None:
    hp.Float("rate", 1e-4, 1.0, sampling="log")
    hp.Float("momentum", 0.1, 0.99, sampling="reverse_log")
    hp.Float("drop", 0.0, 0.5)
    hp.Int("units", 8, 64, step=8)


def mixed(hp: HyperParameters) -> None:
    hp.Float("rate", 1e-4, 1.0, sampling="log")
    hp.Choice("kind", ["plain", "deep"])
    hp.Int("layers", 2, 4, parent_name="kind", parent_values=["deep"])
    with hp.conditional_scope("kind", ["deep"]):
        hp.Boolean("skip")
        hp.Float("scale", 0.1, 1.0, step=0.1, parent_name="skip", parent_values=[True])
    hp.Int("batch", 16, 256, step=2, sampling="log")
    hp.Fixed("loss", "mse")


def few(hp: HyperParameters) -> None:
    hp.Int("layers", 1, 3)
    hp.Boolean("norm")


SPACES: dict[str, Space] = {ask.__name__: discover(ask) for ask in (numbers, mixed, few)}


def score(settings: dict[str, Any]) -> float:
    """A made-up loss of any of these settings; the same for the same settings."""
    losses = [
        abs(value - 0.3) if isinstance(value, (int, float)) else len(value) / 10
        for value in settings.values()
    ]
    return sum(losses) / len(losses)


def outcome(candidate: Candidate, objectives: int = 1) -> Outcome:
    loss = score(candidate.settings)
    return Outcome(candidate.number, candidate.settings, (loss, -loss)[:objectives])


def run(search: Search, portion: int = 1000, objectives: int = 1) -> list[Candidate]:
    """Everything a search asks, told in portions."""
    asked: list[Candidate] = []
    while candidates := search.ask(portion):
        asked += candidates
        search.tell([outcome(one, objectives) for one in candidates])
    return asked
