"""Successive halving and Hyperband: many short trainings, of which the best go on.

What grows from rung to rung is the share of a trial's epochs, or the number of folds; never the number of rows, as
small samples favour recipes that suit small samples. The schedules are pure: who trains decides how to go on with a
candidate's `source`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, count, zip_longest
from typing import Any, Literal

import numpy as np

from caviar.errors import OptionError
from caviar.tune.fresh import Fresh
from caviar.tune.search import Candidate, Generations, Outcome, Plan, Settings, ranked, settled
from caviar.tune.space import Space

ROUNDING = 1e-9
"""Logarithms may miss a whole number by that much: 1/9 is two thirds of a third in a row, in spite of rounding."""

Growing = Literal["epochs", "folds"]


@dataclass(frozen=True)
class Rung:
    """One step of a schedule: how many candidates get which share of a trial."""

    count: int
    share: float


def rungs(count: int, eta: int = 3, least: float = 1 / 9) -> list[Rung]:
    """The schedule of successive halving: each rung keeps one in `eta` and gives it `eta` times as much.

    Args:
        count: Candidates of the first rung.
        eta: The factor.
        least: Share of a trial that the first rung may go down to.

    >>> [(rung.count, round(rung.share, 3)) for rung in rungs(20)]
    [(20, 0.111), (6, 0.333), (2, 1.0)]
    """
    steps = min(
        math.floor(-math.log(least) / math.log(eta) + ROUNDING),
        math.ceil(math.log(count) / math.log(eta) - ROUNDING),
    )
    return [Rung(max(count // eta**step, 1), float(eta) ** (step - steps)) for step in range(steps + 1)]


def _sizes(eta: int, least: float) -> list[int]:
    """With how many candidates each of Hyperband's schedules begins, the steepest first."""
    steepest = math.floor(-math.log(least) / math.log(eta) + ROUNDING)
    return [math.ceil((steepest + 1) / (steps + 1) * eta**steps) for steps in range(steepest, -1, -1)]


def schedule_size(epochs: int, eta: int = 3) -> int:
    """How many candidates Hyperband begins with, where a trial has so many epochs and the shortest has one.

    >>> schedule_size(9)
    17

    Raises:
        OptionError: There are no epochs, or everything would go on.
    """
    if epochs < 1 or eta < 2:
        raise OptionError(
            f"Expected at least 1 epoch and a factor of at least 2, got {epochs} and {eta}. Correct them."
        )
    return sum(_sizes(eta, 1 / epochs))


def brackets(trials: int, eta: int = 3, least: float = 1 / 9) -> list[list[Rung]]:
    """Hyperband's schedules: from many candidates that begin short to few that begin with a whole trial.

    Their sizes stand to each other as in Li et al. (2018), and are scaled to sum up to `trials`.

    >>> [[rung.count for rung in bracket] for bracket in brackets(17)]
    [[9, 3, 1], [5, 1], [3]]
    """
    sizes = _sizes(eta, least)
    ends = [round(trials * reached / sum(sizes)) for reached in accumulate(sizes)]
    return [
        rungs(end - begin, eta, float(eta) ** -steps)
        for steps, begin, end in zip(range(len(sizes) - 1, -1, -1), [0, *ends], ends, strict=False)
        if end > begin
    ]


def halving_search(
    space: Space,
    trials: int,
    seed: int = 0,
    start: Sequence[Settings] = (),
    *,
    eta: int = 3,
    least: float = 1 / 9,
    over: Growing = "epochs",
    folds: int | None = None,
) -> Generations:
    """Gives all candidates a short training, the best third of them three times as much, and so on.

    A candidate of a later rung names the one whose training it goes on with (of whose folds it needs only the others).
    Only those with a whole trial are compared with each other in the end. A curve that begins badly and ends well is
    lost: Hyperband hedges against that.

    Args:
        space: What may be set.
        trials: How many settings are begun with, drawn at random.
        seed: Of the draws.
        start: Settings that come first; what they leave out is set to defaults.
        eta: One in how many goes on.
        least: Share of a trial that the first rung may go down to.
        over: What grows: epochs, or folds.
        folds: How many there are; needed where they grow.

    >>> from caviar.tune.space import discover
    >>> search = halving_search(discover(lambda hp: hp.Float("drop", 0.0, 1.0)), 9)
    >>> first = search.ask(9)
    >>> search.tell([Outcome(one.number, one.settings, (one.settings["drop"],)) for one in first])
    >>> [(one.number, round(one.epochs, 3)) for one in search.ask(9)]
    [(9, 0.333), (10, 0.333), (11, 0.333)]

    Raises:
        OptionError: No trials are allowed, `start` does not fit, or there is no such schedule.

    Source: Jamieson & Talwalkar (2016), "Non-stochastic best arm identification and hyperparameter optimization".
    """
    least = _checked(eta, least, over, folds)
    first = settled(space, trials, start)
    return Generations(
        _plan(space, [rungs(trials, eta, least)], seed, first, folds if over == "folds" else None)
    )


def hyperband_search(
    space: Space,
    trials: int,
    seed: int = 0,
    start: Sequence[Settings] = (),
    *,
    eta: int = 3,
    least: float = 1 / 9,
    over: Growing = "epochs",
    folds: int | None = None,
) -> Generations:
    """Runs several schedules of successive halving side by side, from steep to none.

    Args:
        space: What may be set.
        trials: How many settings are begun with in all schedules together, drawn at random.
        seed: Of the draws.
        start: Settings that come first; what they leave out is set to defaults.
        eta: One in how many goes on.
        least: Share of a trial that the steepest schedule goes down to.
        over: What grows: epochs, or folds.
        folds: How many there are; needed where they grow.

    >>> from caviar.tune.space import discover
    >>> search = hyperband_search(discover(lambda hp: hp.Float("drop", 0.0, 1.0)), 17)
    >>> sorted({round(one.epochs, 3) for one in search.ask(17)})
    [0.111, 0.333, 1.0]

    Raises:
        OptionError: No trials are allowed, `start` does not fit, or there is no such schedule.

    Source: Li et al. (2018), "Hyperband: a novel bandit-based approach to hyperparameter optimization".
    """
    least = _checked(eta, least, over, folds)
    first = settled(space, trials, start)
    return Generations(
        _plan(space, brackets(trials, eta, least), seed, first, folds if over == "folds" else None)
    )


def _checked(eta: int, least: float, over: Growing, folds: int | None) -> float:
    """The least share, not below one fold."""
    if eta < 2 or not 0 < least <= 1:
        raise OptionError(
            f"Expected eta of at least 2 and a least share above 0 and up to 1, got {eta} and {least}. Correct them."
        )
    if over not in {"epochs", "folds"}:
        raise OptionError(f"Expected halving over epochs or folds, got {over!r}. Choose one of them.")
    if over == "folds" and (folds is None or folds < 2):
        raise OptionError(f"Expected the number of folds for halving over folds, got {folds}. Give folds=.")
    return max(least, 1 / folds) if over == "folds" and folds is not None else least


def _plan(
    space: Space, schedules: list[list[Rung]], seed: int, start: list[dict[str, Any]], folds: int | None
) -> Plan:
    rng, fresh, number = np.random.default_rng(seed), Fresh(space, start), count()
    wanted = list(start)
    while (
        len(wanted) < sum(schedule[0].count for schedule in schedules)
        and (more := fresh.draw(rng)) is not None
    ):
        wanted.append(more)

    def climb(schedule: int, rung: Rung, settings: dict[str, Any], source: int | None = None) -> Candidate:
        one = next(number)
        belongs[one] = schedule
        share = {"epochs": rung.share} if folds is None else {"folds": _folds(rung.share, folds)}
        return Candidate(one, settings, source=source, **share)

    belongs: dict[int, int] = {}
    told: list[Outcome] = []
    for step, rung_of in enumerate(zip_longest(*schedules)):
        generation = []
        for schedule, rung in enumerate(rung_of):
            if rung is None:
                continue
            if step == 0:
                generation += [climb(schedule, rung, settings) for settings in wanted[: rung.count]]
                wanted = wanted[rung.count :]
            else:
                own = ranked([one for one in told if belongs[one.number] == schedule])
                generation += [climb(schedule, rung, one.settings, one.number) for one in own[: rung.count]]
        if not generation:
            return
        told = yield generation


def _folds(share: float, folds: int) -> int | None:
    """That share of the folds, at least one; None: all."""
    return None if share >= 1 else max(round(share * folds), 1)
