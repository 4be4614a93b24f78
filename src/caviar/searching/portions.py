"""How many trials are begun at once, so that little is lost when the time ends, and what does a budget allow?"""

import math
import time
from collections.abc import Callable, Sequence
from statistics import fmean

from caviar.evaluate.wording import in_minutes, roughly
from caviar.pace import Pace
from caviar.progress import Clock, Voice
from caviar.run.study import TrialLine
from caviar.tune.search import Candidate, Search

MOST_AT_ONCE = 256
"""Trials of a generation: so many share programs, and so many predictions are held in memory."""
FEWEST = 10
"""Trials below which a search hardly chooses: the best of 10 settings drawn at random is among the best 5 % of all with
a probability of 1 - 0.95 ** 10 = 40 %."""
_BEST_SHARE = 0.05
_FIRST_AT_ONCE = 8  # where time is bounded, until it is known how long a trial takes
_GENERATIONS = 4  # parts of the time left that one generation may take
_REMEMBERED = 64  # of so many last trials the pace is taken
_ROUNDING = 1e-6  # thirds of trials
_SLACK = 1.3  # fewer together take less than proportionally less time


class Portions:
    """Hands out what a search asks for, in portions that should be over in time.

    Args:
        search: Asked.
        clock: The time given; without a bound, portions are as large as they may be.
        voice: Says when the time given allows too few trials.
        trials: How many the search may ask for.
        work: As many whole trials' training as it asks for from now on; as many trials as are left if not given.
        anew: Whether a training that is gone on with begins again.
        before: Trials that were over before the search was gone on with, so that their states are gone: a training
            that goes on with one of them begins again.
    """

    def __init__(
        self,
        search: Search,
        clock: Clock,
        voice: Voice,
        trials: int,
        work: float | None = None,
        *,
        anew: bool = False,
        before: Sequence[TrialLine] = (),
    ) -> None:
        self._search, self._clock, self._voice, self._trials = search, clock, voice, trials
        self._work, self._anew = float(trials - len(before)) if work is None else work, anew
        self._before: set[int] = set()
        self._earlier = self._done(before)
        self._before = {line.number for line in before}
        self._waiting: list[Candidate] = []
        self._most = MOST_AT_ONCE
        self._forecast = False
        self._begun: list[tuple[float, float]] = []  # of each portion: when, and what work was over

    def take(self, lines: Sequence[TrialLine]) -> list[Candidate]:
        """Candidates to train now; none where there are no more.

        Args:
            lines: Trials that are over: they tell the pace.
        """
        self._begun.append((self._clock.spent(), self._done(lines)))
        size, self._most = min(self._most, self._size(lines)), MOST_AT_ONCE
        self._waiting = self._waiting or self._search.ask(size)
        taken, self._waiting = self._waiting[:size], self._waiting[size:]
        return taken

    def put_back(self, candidates: Sequence[Candidate]) -> None:
        """Candidates that were taken and are not over: they come first the next time."""
        self._waiting = [*candidates, *self._waiting]

    def too_slow(self, candidates: Sequence[Candidate], seconds: float) -> None:
        """Fewer are taken the next time, for these would take longer than the time left.

        Args:
            candidates: What was begun, two or more.
            seconds: What training them would take.
        """
        self.put_back(candidates)
        fit = len(candidates) * self._clock.left() / (_SLACK * seconds)
        self._most = max(1, min(len(candidates) // 2, math.floor(fit)))

    def forecast(
        self, asked: Sequence[Candidate], lines: Sequence[TrialLine], folds: int, began: float
    ) -> Callable[[int], None]:
        """Is to be told how many of a portion are over, and says what the time given allows.

        Args:
            asked: The portion.
            lines: Trials that were over when it began.
            folds: Of a whole trial.
            began: What `time.monotonic()` said then.
        """
        each = fmean(one.epochs * (1.0 if one.folds is None else one.folds / folds) for one in asked)

        def tell(done: int) -> None:
            pace = max(1e-3, time.monotonic() - began) / (done * each)
            self._say(
                self._trials_worth(self._done(lines) + done * each + max(0.0, self._clock.left()) / pace)
            )

        return tell

    def _trials_worth(self, work: float) -> float:
        """Of a search of how many trials so much work, and what was over before, is the whole."""
        return self._trials * (self._earlier + work) / (self._earlier + self._work)

    def time_left(self, lines: Sequence[TrialLine]) -> str:
        """How long the rest will take at the pace of the last portions, to end a sentence; empty where nothing is left.

        The first portion, which compiles, only counts while there is no other. Where trials are trained in parts, it
        is the pace of whole ones that counts, so that long parts are expected to take longer.

        Args:
            lines: Trials that are over.
        """
        began, before = self._begun[1:][-_GENERATIONS:][0] if len(self._begun) > 1 else self._begun[0]
        over = self._done(lines)
        done, more = over - before, self._work - over
        if done <= 0 or more <= _ROUNDING:
            return ""
        seconds = (self._clock.spent() - began) / done * more
        return f"; {roughly(min(seconds, self._clock.left()))} left"

    def _done(self, lines: Sequence[TrialLine]) -> float:
        """Whole trials that were trained in so many parts, since the search began or was gone on with."""
        known = {line.number: line for line in lines}
        return sum(
            line.share - self._spared(line, None if line.source is None else known.get(line.source))
            for line in lines
            if line.number not in self._before
        )

    def _spared(self, line: TrialLine, source: TrialLine | None) -> float:
        """Which share of a trial it did not train itself, because its source had."""
        if source is None:
            return 0.0
        begins_again = self._anew or source.number in self._before
        return 0.0 if begins_again and source.epochs != line.epochs else source.share

    def out_of_time(self, lines: Sequence[TrialLine]) -> None:
        """Note that the time was used up, and what that means where trials were few."""
        self._voice.note("The time given was used up before the search had ended.")
        minutes = self._clock.minutes
        possible = self._trials_worth(self._done(lines))
        if minutes is not None and lines and possible < min(FEWEST, self._trials):
            self._voice.note(too_few(minutes, possible, self._trials))

    def _say(self, possible: float) -> None:
        minutes = self._clock.minutes
        if minutes is None or self._forecast:
            return
        self._forecast = True
        if possible < min(FEWEST, self._trials):
            self._voice.say(f"  {too_few(minutes, possible, self._trials)}", style="bold")

    def _size(self, lines: Sequence[TrialLine]) -> int:
        """As many as a part of the time left allows."""
        if self._clock.minutes is None:
            return MOST_AT_ONCE
        trained = [line.seconds for line in lines if not line.why]
        if not trained:
            return min(_FIRST_AT_ONCE, MOST_AT_ONCE)
        share = self._clock.left() / _GENERATIONS / max(1e-3, fmean(trained[-_REMEMBERED:]))
        return max(1, min(math.floor(share), MOST_AT_ONCE))


class Within(Pace):
    """Gives a population up with `TooSlow` as soon as it shows that it would take longer than the time left."""

    def begin(self, steps: int) -> None:
        """Show a bar, and see how much time there is."""
        self._allowed = self._clock.left()
        super().begin(steps)


def too_few(minutes: float, possible: float, trials: int) -> str:
    """What a budget allows that is too short for a search, and what would do.

    Args:
        minutes: The budget.
        possible: Trials that it allows.
        trials: Trials that were asked for.

    >>> print(too_few(2, 4.2, 64))  # doctest: +NORMALIZE_WHITESPACE
    2 minutes allow about 4 trials, and the best of 4 drawn at random is among the best 5 % with a probability of only
    19 %: this budget is one for the panda way, a single model trained under watch (`caviar panda` with the same
    options); about 5 minutes would allow 10 trials, about 31 all 64.
    """
    count = max(1, round(possible))
    chance = 1 - (1 - _BEST_SHARE) ** count
    each = minutes / max(possible, 0.1)
    enough = min(FEWEST, trials)
    more = f", about {_rounded(each * trials)} all {trials}" if trials > enough else ""
    return (
        f"{in_minutes(minutes)} allow{'s' * (minutes == 1)} about {count} trial{'s' * (count > 1)}, and the best of "
        f"{count} drawn at random is among the best {100 * _BEST_SHARE:g} % with a probability of only "
        f"{100 * chance:.0f} %: this budget is one for the panda way, a single model trained under watch "
        f"(`caviar panda` with the same options); about {_rounded(each * enough)} minutes would allow {enough} "
        f"trials{more}."
    )


def _rounded(minutes: float) -> str:
    return f"{math.ceil(minutes)}" if minutes >= 3 else f"{minutes:.1f}"
