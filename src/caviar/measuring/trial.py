"""Which remedies help: each trained on the baseline's folds and seeds, judged, and the winner chosen."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress

import numpy as np

from caviar.errors import CaviarError
from caviar.estimate import Estimate
from caviar.evaluate.compare import ALPHA, Comparison, compare, judge
from caviar.evaluate.intervals import mean_estimate
from caviar.evaluate.metrics import Metric
from caviar.evaluate.selection import corrected_winner, corrected_winner_by_score
from caviar.evaluate.variance import steadier
from caviar.measuring.measure import Arm, Bench, measure_all, networks_for, try_building
from caviar.measuring.repeats import joined, promises
from caviar.population.job import Monitor
from caviar.population.keep import Keep
from caviar.progress import OutOfTime
from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable, Remedy
from caviar.run.record import ComparisonRecord, SkippedRemedy

# Seconds that a new program takes before its first step, on top of the steps themselves.
_START_SECONDS = 4.0


# Multiplications (parameters x rows, forward) from which on the first repeat is looked at before the others are
# trained, and those that a step of no parameters is worth: networks of a few dozen units on a thousand rows stay below.
_LONG, _STEP_ITSELF = 5e10, 5e4
# Of so many remedies that help, each two are tried together as well.
_CROSSED = 3


@dataclass(frozen=True)
class Budget:
    """How long a trial may take.

    Attributes:
        left: Seconds left for arms, asked before each one.
    """

    left: Callable[[], float]

    def require(self, seconds: float) -> None:
        """Raise `OutOfTime` if less than so many seconds are left."""
        if seconds > self.left():
            raise OutOfTime


@dataclass
class Trial:
    """What came out.

    Attributes:
        baseline: What everything is compared with.
        arms: What was tried, in that order.
        skipped: What was not tried.
        worst: Scores count as no worse than this one, and failed trainings as this one: how far a training that is of
            no use at all runs away is no measure of anything. None leaves scores as they are.
        higher_is_better: Direction of the scores, where they have a worst.
    """

    baseline: Arm
    arms: list[Arm] = field(default_factory=list)
    skipped: list[SkippedRemedy] = field(default_factory=list)
    worst: float | None = None
    higher_is_better: bool = False

    def add(self, arms: Sequence[Arm]) -> None:
        """Take in arms of another trial on the same bench, those that are not there yet."""
        self.arms += [arm for arm in arms if not any(arm is other for other in self.arms)]

    @property
    def unfit(self) -> set[str]:
        """Names of remedies that had nothing to change."""
        return {skip.remedy for skip in self.skipped if not skip.applies}

    @property
    def known(self) -> set[str]:
        """Names of what was tried, or could not be."""
        return {arm.recipe.name for arm in self.arms} | {skip.remedy for skip in self.skipped}

    def arm(self, name: str) -> Arm:
        """The arm of a name; the baseline by its own."""
        return next(arm for arm in (self.baseline, *self.arms) if arm.recipe.name == name)

    def scores(self, arm: Arm) -> np.ndarray:
        """An arm's deciding scores (repeat, fold), as they are compared: means over seeds."""
        return np.asarray(self.each(arm).mean(axis=2))

    def each(self, arm: Arm) -> np.ndarray:
        """An arm's deciding scores (repeat, fold, seed), as they are compared."""
        return self.held(arm.each)

    def pair(self, one: Arm, other: Arm) -> tuple[np.ndarray, np.ndarray]:
        """Those of two arms, on the repeats on which both were trained."""
        repeats = min(len(one.each), len(other.each))
        return self.each(one)[:repeats], self.each(other)[:repeats]

    def compared(
        self,
        bench: Bench,
        one: Arm,
        other: Arm,
        rope: float,
        *,
        name: str | None = None,
        called: tuple[str, str] = ("with the remedy", "without the remedy"),
    ) -> Comparison:
        """Two arms on the repeats on which both were trained, the second as the remedy.

        Args:
            bench: Rows, splits and scores.
            one: What the other is compared with.
            other: The remedy.
            rope: Smallest difference that counts, in the score's unit.
            name: What the remedy is called; its recipe's name if not given.
            called: How sentences point to the two, the remedy first.
        """
        before, after = self.pair(one, other)
        return compare(
            other.recipe.name if name is None else name,
            before.mean(axis=2),
            after.mean(axis=2),
            by_seed=_by_seed(before, after),
            higher_is_better=bench.metric.higher_is_better,
            test_share=bench.test_share,
            n_rows=bench.dataset.n_rows,
            rope=rope,
            metric_title=bench.metric.title,
            can_repeat=bench.dataset.time is None,
            arms=called,
        )

    def held(self, scores: np.ndarray) -> np.ndarray:
        """Scores as they are compared: none worse than the worst that counts, failed trainings as that one."""
        if self.worst is None:
            return scores
        held = np.maximum if self.higher_is_better else np.minimum
        return np.asarray(held(np.where(np.isfinite(scores), scores, self.worst), self.worst))


def _by_seed(*arms: np.ndarray) -> float:
    """Variance of a paired difference of scores (repeat, fold, seed) that is due to seeds; 0 where it is not known."""
    return sum(
        float(np.nanmean(variances)) / each.shape[2]
        for each in arms
        if each.shape[2] > 1 and np.isfinite(variances := each.var(axis=2, ddof=1)).any()
    )


def in_order(remedies: Sequence[Remedy], asked_for: Sequence[str]) -> list[Remedy]:
    """Remedies that the diagnosis asks for first, then the others that may help anybody."""
    first = [remedy for name in asked_for for remedy in remedies if remedy.name == name]
    return list(dict.fromkeys(first)) + [r for r in remedies if r not in first and not r.on_demand]


def treated(recipe: Recipe, remedies: Sequence[Remedy]) -> Recipe:
    """A recipe with remedies applied one after the other, named after them.

    Raises:
        NotApplicable: One of them cannot be applied.
    """
    name = "+".join(remedy.name for remedy in remedies)
    title = " + ".join(remedy.title for remedy in remedies)
    for remedy in remedies:
        recipe = remedy.apply(recipe)
    return replace(recipe, name=name, title=title)


def try_some(
    bench: Bench,
    trial: Trial,
    choices: Sequence[Sequence[Remedy]],
    budget: Budget,
    monitor_of: Callable[[Recipe], Monitor],
    done: Callable[[Arm], None],
    keep_of: Callable[[Recipe], Keep] | None = None,
    *,
    seeds: int = 1,
    ask_fit: bool = False,
    show: bool = True,
    rope: float | None = None,
    is_outdone: Callable[[Sequence[Remedy], Arm], bool] = lambda *_: False,
) -> None:
    """Train some remedies; what cannot be tried is noted in the trial with its reason.

    Recipes that differ only in numbers train as one population.

    Args:
        bench: Rows, splits, seeds and scores: the baseline's.
        trial: What was tried so far.
        choices: Each is applied to the baseline by itself: one remedy, or several in this order.
        budget: How long it may take.
        monitor_of: Makes what is told of the progress, of the first recipe.
        done: Called with each arm once it is part of the trial.
        keep_of: Says where the state is kept while the first recipe trains; nowhere if left out.
        seeds: Seeds per fold.
        ask_fit: Also score the training rows.
        show: Record the held-out rows' curves too.
        rope: Smallest difference that counts, in the score's unit: what takes long and is unlikely to help after the
            first repeat is given up then. None trains all repeats of everything.
        is_outdone: Whether remedies, with their arm of the first repeat, are to be given up for another reason.
    """
    ready = _applied(bench, trial, choices, budget, seeds)
    if not ready:
        return

    def measured(on: Bench, some: Sequence[tuple[Sequence[Remedy], Recipe]], part: str = "") -> list[Arm]:
        first = some[0][1]
        kept = replace(first, name=first.name + part)
        try:
            return measure_all(
                on,
                [recipe for _, recipe in some],
                seeds=seeds,
                ask_fit=ask_fit,
                show=show,
                monitor=monitor_of(first),
                keep=None if keep_of is None else keep_of(kept),
                what=[" ".join(remedy.what for remedy in remedies) for remedies, _ in some],
                sources=["; ".join(dict.fromkeys(r.source for r in remedies)) for remedies, _ in some],
                known=trial.baseline,
            )
        except (CaviarError, OutOfTime) as error:
            for remedies, _ in some:
                _skip_for(trial, remedies, error)
            return []

    if rope is None or not _is_long(trial, bench, [recipe for _, recipe in ready], seeds):
        _take_in(trial, measured(bench, ready), done)
        return
    begun = measured(bench.of_repeats(0, 1), ready, "-begun")
    hopes = [
        _promises(trial, bench, arm, rope) and not is_outdone(remedies, arm)
        for (remedies, _), arm in zip(ready, begun, strict=bool(begun))
    ]
    _take_in(trial, [arm for arm, hope in zip(begun, hopes, strict=True) if not hope], done)
    begun, ready = list(compress(begun, hopes)), list(compress(ready, hopes))
    rest = measured(bench.of_repeats(1, bench.shape[0]), ready, "-rest") if ready else []
    _take_in(trial, [joined(bench, *both) for both in zip(begun, rest, strict=bool(rest))], done)


def _take_in(trial: Trial, arms: Sequence[Arm], done: Callable[[Arm], None]) -> None:
    trial.arms += arms
    for arm in arms:
        done(arm)


def _is_long(trial: Trial, bench: Bench, recipes: Sequence[Recipe], seeds: int) -> bool:
    """Whether giving up early may save more than starting twice takes.

    By what is computed, not by seconds: how far something is trained must not depend on the machine, or its load.
    """
    parameters = trial.baseline.record.parameters
    work = sum(
        expected_steps(bench, recipe, seeds, trial.baseline) * (parameters * recipe.batch_size + _STEP_ITSELF)
        for recipe in recipes
    )
    return bench.shape[0] > 1 and work > _LONG


def _promises(trial: Trial, bench: Bench, arm: Arm, rope: float) -> bool:
    """Whether an arm of the first repeat is worth the others."""
    base = trial.baseline
    return promises(trial.compared(bench, base, arm, rope), *trial.pair(base, arm))


def _applied(
    bench: Bench, trial: Trial, choices: Sequence[Sequence[Remedy]], budget: Budget, seeds: int
) -> list[tuple[Sequence[Remedy], Recipe]]:
    """What can be tried in the time left, with its recipe."""
    ready: list[tuple[Sequence[Remedy], Recipe]] = []
    for remedies in choices:
        try:
            recipe = treated(trial.baseline.recipe, remedies)
            try_building(bench, recipe)
            budget.require(_expected_seconds(trial, bench, [r for _, r in ready] + [recipe], seeds))
        except (CaviarError, OutOfTime) as error:
            _skip_for(trial, remedies, error)
        else:
            ready.append((remedies, recipe))
    return ready


_TOO_LATE = "Not tried: the time given (--minutes) did not suffice."


def _skip_for(trial: Trial, remedies: Sequence[Remedy], error: Exception) -> None:
    """Note why something could not be tried: some reasons show only where the model meets data."""
    if isinstance(error, NotApplicable):
        _skip(trial, remedies, f"Does not apply: {error}.", applies=False)
    else:
        _skip(trial, remedies, _TOO_LATE if isinstance(error, OutOfTime) else f"Failed: {error}")


def _skip(trial: Trial, remedies: Sequence[Remedy], why: str, *, applies: bool = True) -> None:
    name, title = "+".join(r.name for r in remedies), " + ".join(r.title for r in remedies)
    trial.skipped.append(SkippedRemedy(remedy=name, title=title, why=why, applies=applies))


def expected_steps(bench: Bench, recipe: Recipe, seeds: int = 1, known: Arm | None = None) -> int:
    """Gradient steps of all members of an arm, if none stops early.

    Args:
        bench: Rows and splits.
        recipe: What is trained.
        seeds: Seeds per fold; an ensemble has as many as it needs.
        known: What was measured before, whose networks are not trained again.
    """
    networks = networks_for(recipe, known)
    there = [] if networks is None else networks.places
    each = recipe.ensemble if recipe.ensemble > 1 else seeds
    return recipe.epochs * sum(
        -(-len(split.train) // recipe.batch_size)
        for i, split in enumerate(bench.splits)
        for k in range(each)
        if (bench.number(i), k) not in there
    )


def _expected_seconds(trial: Trial, bench: Bench, recipes: Sequence[Recipe], seeds: int) -> float:
    """Seconds that arms should take; what predicts beside networks has to be fitted even where these are known."""
    pace = _pace(trial)
    steps = [expected_steps(bench, recipe, seeds, trial.baseline) for recipe in recipes]
    begins = [
        _START_SECONDS * one.parts * bool(some or one.blended_with)
        for one, some in zip(recipes, steps, strict=True)
    ]
    return sum(begins) + pace * sum(steps)


def _pace(trial: Trial) -> float:
    """Seconds of a gradient step, by the slowest pace seen so far."""
    return max(arm.seconds / max(1, arm.steps) for arm in (trial.baseline, *trial.arms))


def judge_trial(bench: Bench, trial: Trial, rope: float, *, looks: int = 1) -> list[ComparisonRecord]:
    """Every arm against the baseline, with Holm's correction over all of them.

    What was given up is said neither to help nor to make seeds agree: that would be a second look.

    Args:
        bench: Rows and splits.
        trial: What was tried.
        rope: Smallest difference that counts, in the score's unit.
        looks: How many tests of the same scores there are: each p is multiplied by that (Bonferroni).
    """
    base = trial.baseline
    whole = [len(arm.each) == bench.shape[0] for arm in trial.arms]
    beside = [trial.compared(bench, base, arm, rope) for arm in trial.arms]
    judged = judge(
        [
            replace(one, whole=every, p=min(1.0, looks * one.p))
            for one, every in zip(beside, whole, strict=True)
        ]
    )
    # One of so many by chance is one too many: Bonferroni.
    alpha = ALPHA / max(1, len(trial.arms))
    return [
        one.model_copy(
            update={
                "steadier": steadier(*trial.pair(base, arm), alpha=alpha) if every else None,
                "sentence": _sentences(
                    one.sentence,
                    _in_words(interaction(bench, trial, arm), arm.recipe.name.count("+") + 1),
                    _given_up(len(arm.each), bench.shape[0]),
                ),
            }
        )
        for one, arm, every in zip(judged, trial.arms, whole, strict=True)
    ]


def judge_useless(
    bench: Bench, trial: Trial, rope: float, judged: Sequence[ComparisonRecord]
) -> list[ComparisonRecord]:
    """The verdicts; where the model is of no use at all and nothing helps, those by how far off each remedy is.

    Faults hide behind faults: what takes one of them away may leave the model useless, and nearer to being of use.

    Args:
        bench: Rows and splits.
        trial: What was tried.
        rope: Smallest difference that counts, in the score's unit.
        judged: What `judge_trial` said.
    """
    worst = trial.worst
    if worst is None or any(one.verdict == "helps" for one in judged):
        return list(judged)
    useless = [bool((trial.each(arm) == worst).all()) for arm in (trial.baseline, *trial.arms)]
    if not useless[0]:
        return list(judged)
    again = judge_trial(bench, replace(trial, worst=None), rope, looks=2)
    return [other if off else one for one, other, off in zip(judged, again, useless[1:], strict=True)]


def _sentences(verdict: str, *more: str) -> str:
    """A verdict, and what follows it; by itself it has no full stop."""
    told = [verdict, *filter(None, more)]
    return ". ".join(told) + "." if len(told) > 1 else verdict


def _given_up(trained: int, repeats: int) -> str:
    return f"Given up after repeat {trained} of {repeats}" if trained < repeats else ""


_MANY = {2: "the two", 3: "the three"}


def _in_words(beyond: Estimate | None, parts: int) -> str:
    if beyond is None:
        return ""
    between = f"(95 % interval {beyond.low:.3g} to {beyond.high:.3g})"
    many = _MANY.get(parts, f"all {parts}")
    if beyond.low <= 0 <= beyond.high:
        return f"Whether {many} gain more or less together than one by one cannot be told {between}"
    more = "more" if beyond.value > 0 else "less"
    return f"Together {many} gain {abs(beyond.value):.3g} {more} than one by one {between}"


def interaction(bench: Bench, trial: Trial, arm: Arm) -> Estimate | None:
    """How much more remedies gain together than one by one, in the score's unit; None for anything else.

    Args:
        bench: Rows and splits.
        trial: What was tried.
        arm: The remedies together.
    """
    parts = arm.recipe.name.split("+")
    tried = {other.recipe.name: other for other in trial.arms}
    if len(parts) < 2 or not all(part in tried for part in parts):
        return None
    every = [trial.scores(one) for one in (trial.baseline, arm, *(tried[part] for part in parts))]
    base, together, *singly = (scores[: min(map(len, every))] for scores in every)
    sign = 1 if bench.metric.higher_is_better else -1
    beyond = sign * (together - base - sum(scores - base for scores in singly))
    return mean_estimate(beyond, bench.test_share, n_rows=bench.dataset.n_rows)


def helpers(comparisons: Sequence[ComparisonRecord]) -> list[str]:
    """Names of what helps, best first."""
    helping = [c for c in comparisons if c.verdict == "helps"]
    return [c.remedy for c in sorted(helping, key=lambda c: -c.difference.value)]


def combinations(comparisons: Sequence[ComparisonRecord], remedies: Sequence[Remedy]) -> list[list[Remedy]]:
    """What helps, together: the best of each family, and of the three that help most also each two.

    Args:
        comparisons: Verdicts on single remedies.
        remedies: The table, whose order the remedies of a combination have.

    Returns:
        All together first; empty if fewer than two families help.
    """
    by_name = {remedy.name: remedy for remedy in remedies}
    best: dict[str, Remedy] = {}
    for name in helpers([c for c in comparisons if "+" not in c.remedy]):
        best.setdefault(by_name[name].family, by_name[name])
    every, first = list(best.values()), list(best.values())[:_CROSSED]
    chosen = [every, *map(list, itertools.combinations(first, 2))] if len(every) > 1 else []
    in_table = [[remedy for remedy in remedies if remedy in some] for some in chosen]
    return [some for i, some in enumerate(in_table) if some not in in_table[:i]]


def choose(
    bench: Bench, trial: Trial, comparisons: Sequence[ComparisonRecord], rope: float
) -> tuple[str, str]:
    """The recipe to finish with, and why.

    A combination must itself help against the best single remedy: otherwise the simpler recipe stays.
    """
    helping = helpers(comparisons)
    single = [name for name in helping if "+" not in name]
    together = [name for name in helping if "+" in name]
    if not comparisons:
        return "baseline", "No remedy was tried, so the recipe stays as it is."
    if not helping:
        return "baseline", "No remedy was shown to help, so the recipe stays as it is."
    best = trial.arm(single[0] if single else together[0])
    reason = f"{best.recipe.title} helps most of the {len(comparisons)} recipes tried."
    if single and together:
        pair = trial.arm(together[0])
        verdict = judge([trial.compared(bench, best, pair, rope)])[0]
        if verdict.verdict == "helps":
            return pair.recipe.name, (
                f"Together, {pair.recipe.title} are better than {best.recipe.title} alone: {verdict.sentence}"
            )
        reason += f" Combining what helps was tried and is not shown to be better still ({verdict.verdict})."
    return best.recipe.name, reason


def corrected_score(bench: Bench, trial: Trial, n_bootstrap: int = 500) -> tuple[float, Estimate] | None:
    """The best arm's score as it looks, and corrected for having been chosen among all arms (BBC-CV).

    Arms that were given up could not be chosen, and one repeat is not to be compared with the mean of several. None
    where a row was never held out (time order), so that arms cannot be drawn again by rows.
    """
    whole = [arm for arm in (trial.baseline, *trial.arms) if len(arm.each) == bench.shape[0]]
    arms = [arm for arm in whole if np.isfinite(arm.oof).all()]
    if len(arms) < 2:
        return None
    if bench.metric.row_losses is not None:
        losses = np.stack([arm.row_losses for arm in arms if arm.row_losses is not None])
        return corrected_winner(
            losses, weight=bench.dataset.weight, groups=_drawn_together(bench), n_bootstrap=n_bootstrap
        )
    return corrected_winner_by_score(
        _scorer(bench.metric, bench, arms),
        len(arms),
        bench.dataset.n_rows,
        higher_is_better=bench.metric.higher_is_better,
        groups=_drawn_together(bench),
        n_bootstrap=min(n_bootstrap, 100),
    )


def _drawn_together(bench: Bench) -> np.ndarray:
    """Groups, or sets of identical rows: whole ones are drawn."""
    return bench.dataset.groups if bench.dataset.groups is not None else bench.dataset.identical


def _scorer(metric: Metric, bench: Bench, arms: Sequence[Arm]) -> Callable[[int, np.ndarray], float]:
    """Score of an arm on some rows, by its out-of-fold predictions, averaged over repeats."""

    def score(recipe: int, rows: np.ndarray) -> float:
        weight = None if bench.dataset.weight is None else bench.dataset.weight[rows]
        target = bench.dataset.target[rows]
        return float(np.mean([metric.score(target, values[rows], weight) for values in arms[recipe].oof]))

    return score
