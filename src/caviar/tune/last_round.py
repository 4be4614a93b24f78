"""The last round: batch size and learning rate once more, together, around the best settings.

A rate suits the batch size that it was searched with: small batches want lower rates, in proportion to the batch
(Goyal et al. 2017, "Accurate, large minibatch SGD") or to its root (Krizhevsky 2014, "One weird trick"; Adam-like
optimizers, Malladi et al. 2022). So the two are changed together, and last, when all else is settled (Godbole et al.
2023, "Deep learning tuning playbook").
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from caviar.errors import CaviarError
from caviar.tune.parameter import Parameter
from caviar.tune.search import Candidate, Outcome, Search, check_trials, ranked
from caviar.tune.space import Space

BATCH_NAMES, RATE_NAMES = ("batch_size", "batch"), ("learning_rate", "lr", "rate")
"""What people call the two."""
TRIALS = 8
"""Of the last round at most."""
_FEWEST = 3 * TRIALS
"""Trials of a search from which on a part of them is kept for the last round."""


def pair_of(space: Space) -> tuple[Parameter, Parameter] | None:
    """Batch size and learning rate of a space; None where it does not ask for both.

    >>> from caviar.tune.space import discover
    >>> space = discover(lambda hp: (hp.Choice("batch_size", [8, 16]), hp.Float("lr", 1e-4, 1e-1, sampling="log")))
    >>> [one.name for one in pair_of(space)]
    ['batch_size', 'lr']
    """
    searched = {one.name: one for one in space.parameters if one.is_searched and one.is_numeric}
    batch = next((searched[name] for name in BATCH_NAMES if name in searched), None)
    rate = next((searched[name] for name in RATE_NAMES if name in searched), None)
    return None if batch is None or rate is None else (batch, rate)


def first_of(space: Space, trials: int, rows_of: Callable[[dict[str, Any]], int], *, begun: int = 0) -> int:
    """Number of the last round's first candidate: before it are those that the search itself draws.

    Args:
        space: What may be set.
        trials: How many candidates at most; there is no last round where this is the number.
        rows_of: Rows per gradient step with some settings: a batch size that is asked for may be used by nobody.
        begun: How many settings the search begins with: these come first.
    """
    pair = pair_of(space)
    if pair is None or trials < max(_FEWEST, begun + TRIALS) or not _is_used(pair[0], space, rows_of):
        return trials
    return trials - TRIALS


def with_last_round(
    make: Callable[[int], Search],
    space: Space,
    trials: int,
    rows_of: Callable[[dict[str, Any]], int],
    *,
    begun: int = 0,
) -> Search:
    """A search whose last trials are kept for batch size and rate, where it asks for both and has trials enough.

    Args:
        make: Makes the search from a number of trials; it numbers its candidates from 0 to that.
        space: What may be set.
        trials: How many candidates at most.
        rows_of: Rows per gradient step with some settings: a batch size that is asked for may be used by nobody.
        begun: How many settings the search begins with.

    Raises:
        OptionError: No trials are allowed, or more than anybody could train.
    """
    check_trials(trials)
    pair, first = pair_of(space), first_of(space, trials, rows_of, begun=begun)
    if pair is None or first == trials:
        return make(trials)
    return LastRound(make(first), space, *pair, first=first)


def _is_used(batch: Parameter, space: Space, rows_of: Callable[[dict[str, Any]], int]) -> bool:
    """Whether what a space calls the batch size is that; taken for granted where it cannot be looked up."""
    ends = [space.settle({batch.name: batch.draw(u)}) for u in (0.0, math.nextafter(1.0, 0.0))]
    if any(batch.name not in settings for settings in ends):
        return True
    try:
        return rows_of(ends[0]) != rows_of(ends[1])
    except CaviarError:
        return True


@dataclass
class LastRound:
    """A search, and behind it a round about batch size and rate.

    Attributes:
        search: Asked first.
        space: What may be set.
        batch: The batch size.
        rate: The learning rate.
        first: Number of the last round's first candidate.
    """

    search: Search
    space: Space
    batch: Parameter
    rate: Parameter
    first: int
    _told: dict[int, Outcome] = field(default_factory=dict, init=False)
    _open: set[int] = field(default_factory=set, init=False)
    _last: list[Candidate] | None = field(default=None, init=False)

    def ask(self, most: int) -> list[Candidate]:
        """At most `most` candidates to train; none where there are no more, or not before the next `tell`."""
        asked = self.search.ask(most) if self._last is None else []
        if not asked and not self._open and self._last is None:
            self._last = self._around()
        if self._last is not None:
            asked, self._last = self._last[:most], self._last[most:]
        self._open |= {one.number for one in asked}
        return asked

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Hand in how candidates did, in any order and in any portions."""
        self.search.tell([one for one in outcomes if one.number < self.first])
        self._told |= {one.number: one for one in outcomes}
        self._open -= {one.number for one in outcomes}

    def replay(self, outcomes: Sequence[Outcome]) -> Self:
        """This new search, brought to where one with the same arguments was after these outcomes.

        Raises:
            OptionError: The outcomes are another search's.
        """
        self.search = self.search.replay([one for one in outcomes if one.number < self.first])
        self._told = {one.number: one for one in outcomes}
        return self

    def _around(self) -> list[Candidate]:
        """The best settings of the search with other batch sizes, whose rates go along, and with other rates."""
        best = next(iter(ranked([one for one in self._told.values() if one.number < self.first])), None)
        if best is None:
            return []
        batch, rate = float(best.settings[self.batch.name]), float(best.settings[self.rate.name])
        sizes = dict.fromkeys(_nearest(self.batch, batch * times) for times in (0.5, 2.0, 0.25, 4.0))
        pairs = [
            (size, rate * (size / batch) ** power) for size in sizes if size != batch for power in (0.5, 1.0)
        ]
        pairs += [(batch, rate * times) for times in (0.5, 2.0)]
        asked = {self.space.key(one.settings) for one in self._told.values() if one.number < self.first}
        wanted: list[dict[str, Any]] = []
        for size, other in pairs:
            changed = {
                self.batch.name: _nearest(self.batch, size),
                self.rate.name: _nearest(self.rate, other),
            }
            settings = self.space.settle({**best.settings, **changed})
            if (key := self.space.key(settings)) not in asked:
                asked.add(key)
                wanted.append(settings)
        candidates = [Candidate(self.first + i, one) for i, one in enumerate(wanted[:TRIALS])]
        return [one for one in candidates if one.number not in self._told]


def _nearest(parameter: Parameter, value: float) -> Any:  # noqa: ANN401
    """The answer that is nearest to a number, by ratio."""
    if parameter.points is None:
        return min(max(value, float(parameter.question.low or 0)), float(parameter.question.high or value))
    return min(parameter.points, key=lambda point: abs(math.log(point / value)))
