"""What is a search: something that is asked for settings to train, and told how they did, generation by generation.

A method is written as a plan: a generator that yields the candidates of a generation and receives their outcomes. A
generation does not depend on its own outcomes, so in how many portions it is asked, and in which order it is told,
makes no difference; and a study that was cut off is rebuilt from its outcomes alone.
"""

import math
import sys
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from caviar.errors import OptionError
from caviar.tune.space import Space

Settings = Mapping[str, Any]

MOST_TRIALS = 100_000
"""Settings that one search may ask for: some draw all of them before the first one is trained, and all are kept."""


@dataclass(frozen=True)
class Candidate:
    """What a search asks to have trained.

    Attributes:
        number: Its own, counted from 0.
        settings: What counts, by full name.
        epochs: Share of a trial's epochs after which it is scored, counted from the start of its training.
        folds: How many folds are scored; None: all.
        source: Number of the candidate whose training it goes on with; None: it begins anew.
    """

    number: int
    settings: dict[str, Any]
    epochs: float = 1.0
    folds: int | None = None
    source: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What a search is told.

    Attributes:
        number: The candidate's.
        settings: The candidate's.
        score: One per objective, lower is better; NaN where the trial failed.
    """

    number: int
    settings: dict[str, Any]
    score: tuple[float, ...]

    @property
    def failed(self) -> bool:
        """Whether there is nothing to compare."""
        return not all(math.isfinite(value) for value in self.score)


class Search(Protocol):
    """What every method offers."""

    def ask(self, most: int) -> list[Candidate]:
        """At most `most` candidates to train; none where there are no more, or not before the next `tell`."""
        ...

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Hand in how candidates did, in any order and in any portions."""
        ...

    def replay(self, outcomes: Sequence[Outcome]) -> Self:
        """A new search brought to where one with the same arguments was after these outcomes."""
        ...


Plan = Generator[list[Candidate], list[Outcome], None]
"""Yields the candidates of a generation, receives their outcomes in the order of their numbers."""


@dataclass
class Generations:
    """A search that carries out a plan.

    >>> def plan():
    ...     told = yield [Candidate(0, {"rate": 0.1}), Candidate(1, {"rate": 0.2})]
    ...     yield [Candidate(2, min(told, key=lambda one: one.score).settings)]
    >>> search = Generations(plan())
    >>> [one.number for one in search.ask(5)]
    [0, 1]
    >>> search.tell([Outcome(1, {"rate": 0.2}, (0.5,)), Outcome(0, {"rate": 0.1}, (0.9,))])
    >>> search.ask(5)[0].settings
    {'rate': 0.2}
    """

    plan: Plan
    _waiting: deque[Candidate] = field(default_factory=deque, init=False)
    _open: dict[int, Candidate] = field(default_factory=dict, init=False)
    _told: dict[int, Outcome] = field(default_factory=dict, init=False)
    _begun: bool = field(default=False, init=False)
    _ended: bool = field(default=False, init=False)

    def ask(self, most: int) -> list[Candidate]:
        """At most `most` candidates to train; none where there are no more, or not before the next `tell`."""
        self._begin()
        asked = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        self._open.update((one.number, one) for one in asked)
        return asked

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Hand in how candidates did, in any order and in any portions.

        Raises:
            OptionError: Nobody waits for one of them.
        """
        for outcome in outcomes:
            if outcome.number not in self._open:
                raise OptionError(
                    f"Expected outcomes of candidates that were asked and not told yet, got number {outcome.number}. "
                    f"Tell each candidate once, after it was asked."
                )
            del self._open[outcome.number]
            self._told[outcome.number] = outcome
        if self._told and not self._open and not self._waiting:
            generation = [self._told[number] for number in sorted(self._told)]
            self._told = {}
            self._advance(generation)

    def replay(self, outcomes: Sequence[Outcome]) -> Self:
        """Bring this new search to where one with the same arguments was after these outcomes.

        Raises:
            OptionError: The outcomes are another search's.
        """
        known = {outcome.number: outcome for outcome in outcomes}
        while known:
            asked = self.ask(sys.maxsize)
            told = [known.pop(one.number) for one in asked if one.number in known]
            settings = {one.number: one.settings for one in asked}
            if not told or any(settings[one.number] != one.settings for one in told):
                raise OptionError(
                    "Expected the outcomes of a search with the same method, space, seed and number of trials, "
                    "got others. Go on with what the study began with, or begin a new one."
                )
            finished = {one.number for one in told}
            self._waiting.extendleft(one for one in reversed(asked) if one.number not in finished)
            self._open = {number: one for number, one in self._open.items() if number in finished}
            self.tell(told)
        return self

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._advance(None)

    def _advance(self, outcomes: list[Outcome] | None) -> None:
        """Let the plan go on to its next generation."""
        if self._ended:
            return
        try:
            self._waiting.extend(next(self.plan) if outcomes is None else self.plan.send(outcomes))
        except StopIteration:
            self._ended = True


def work_of(
    search: Search, folds: int, *, anew: bool = False, known: Mapping[int, Outcome] | None = None
) -> float:
    """How many whole trials' training a new search asks for, in the end; it is gone through with made-up scores.

    Args:
        search: It is used up. Its generations are as large whatever the scores are.
        folds: Of a whole trial.
        anew: Whether a training that is gone on with begins again.
        known: Outcomes that are there already, by number: these candidates are not trained, and a training that goes
            on with one of them begins again, for its state is gone.

    >>> def plan():
    ...     yield [Candidate(number, {}, epochs=1 / 4) for number in range(8)]
    ...     yield [Candidate(8, {}, source=3), Candidate(9, {}, source=5)]
    >>> work_of(Generations(plan()), folds=5), work_of(Generations(plan()), folds=5, anew=True)
    (3.5, 4.0)
    >>> known = {number: Outcome(number, {}, (0.0,)) for number in range(4)}
    >>> work_of(Generations(plan()), folds=5, known=known)  # four first parts, a whole training and three quarters
    2.75
    """
    known = known or {}
    work = 0.0
    for one, source in _foretold(search, known):
        scored, before = (
            0.0 if each is None else 1.0 if each.folds is None else each.folds / folds
            for each in (one, source)
        )
        work += one.epochs * scored
        # Folds that were scored are so for good; epochs, where training can be cut and its state is there.
        if source is not None and (source.epochs == one.epochs or not (anew or source.number in known)):
            work -= source.epochs * before
    return work


def begins_again(search: Search, known: Mapping[int, Outcome]) -> bool:
    """Whether a search with known outcomes will train epochs again that were trained before these were known.

    Args:
        search: A new one, which is used up.
        known: Outcomes by number.
    """
    return any(
        source is not None and source.number in known and source.epochs != one.epochs
        for one, source in _foretold(search, known)
    )


def _foretold(search: Search, known: Mapping[int, Outcome]) -> Iterator[tuple[Candidate, Candidate | None]]:
    """What a new search will ask for that is not known yet, each with what it goes on with; scores are made up."""
    met: dict[int, Candidate] = {}
    while asked := search.ask(sys.maxsize):
        for one in asked:
            met[one.number] = one
            if one.number not in known:
                yield one, None if one.source is None else met[one.source]
        search.tell([known.get(one.number, Outcome(one.number, one.settings, (0.0,))) for one in asked])


def ranked(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those that did not fail by their first score, the best first; the earlier of two equals.

    >>> scores = [2.0, float("nan"), 1.0]
    >>> [one.number for one in ranked([Outcome(number, {}, (score,)) for number, score in enumerate(scores)])]
    [2, 0]
    """
    return sorted((one for one in outcomes if not one.failed), key=lambda one: (one.score[0], one.number))


def check_trials(trials: int) -> None:
    """Refuse a number of trials that is none, or more than anybody could train.

    Raises:
        OptionError: It is that.
    """
    if trials < 1:
        raise OptionError(f"Expected at least one trial, got {trials}. Allow more.")
    if trials > MOST_TRIALS:
        raise OptionError(
            f"Expected at most {MOST_TRIALS:,} trials, got {trials:,}. Allow fewer; a bound on the minutes ends a "
            f"search before that."
        )


def settled(space: Space, trials: int, start: Sequence[Settings]) -> list[dict[str, Any]]:
    """What a search begins with: the settings to start from, each once.

    Raises:
        OptionError: No trials are allowed, fewer than there are to start from, or more than anybody could train; or
            some settings are outside the space.
    """
    check_trials(trials)
    first = list({space.key(one): one for one in map(space.settle, start)}.values())
    if len(first) > trials:
        raise OptionError(
            f"Expected at least as many trials as settings to start from, got {trials} and {len(first)}. "
            f"Allow more trials, or start from fewer."
        )
    return first
