"""Which remedies help: each trained on the baseline's folds and seeds, judged, and the winner chosen."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from caviar.errors import CaviarError
from caviar.estimate import Estimate
from caviar.evaluate.compare import ALPHA, compare, judge
from caviar.evaluate.intervals import mean_estimate
from caviar.evaluate.metrics import Metric
from caviar.evaluate.selection import corrected_winner, corrected_winner_by_score
from caviar.evaluate.variance import steadier
from caviar.measuring.measure import Arm, Bench, measure_all, try_building
from caviar.population.job import Monitor
from caviar.population.keep import Keep
from caviar.progress import OutOfTime
from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable, Remedy
from caviar.run.record import ComparisonRecord, SkippedRemedy

# Seconds that a new program takes before its first step, on top of the steps themselves.
_START_SECONDS = 4.0


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

    def arm(self, name: str) -> Arm:
        """The arm of a name; the baseline by its own."""
        return next(arm for arm in (self.baseline, *self.arms) if arm.recipe.name == name)

    def scores(self, arm: Arm) -> np.ndarray:
        """An arm's deciding scores (repeat, fold), as they are compared: means over seeds."""
        return np.asarray(self.each(arm).mean(axis=2))

    def by_seed(self, one: Arm, other: Arm) -> float:
        """Variance of a paired difference of two arms' scores that is due to their seeds; 0 where it is not known."""
        return sum(
            float(np.nanmean(variances)) / each.shape[2]
            for each in (self.each(one), self.each(other))
            if each.shape[2] > 1 and np.isfinite(variances := each.var(axis=2, ddof=1)).any()
        )

    def each(self, arm: Arm) -> np.ndarray:
        """An arm's deciding scores (repeat, fold, seed), as they are compared."""
        return self.held(arm.each)

    def held(self, scores: np.ndarray) -> np.ndarray:
        """Scores as they are compared: none worse than the worst that counts, failed trainings as that one."""
        if self.worst is None:
            return scores
        held = np.maximum if self.higher_is_better else np.minimum
        return np.asarray(held(np.where(np.isfinite(scores), scores, self.worst), self.worst))


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
    """
    ready = _applied(bench, trial, choices, budget)
    if not ready:
        return
    first = ready[0][1]
    try:
        arms = measure_all(
            bench,
            [recipe for _, recipe in ready],
            seeds=seeds,
            ask_fit=ask_fit,
            show=show,
            monitor=monitor_of(first),
            keep=None if keep_of is None else keep_of(first),
            what=[" ".join(remedy.what for remedy in remedies) for remedies, _ in ready],
            sources=["; ".join(dict.fromkeys(r.source for r in remedies)) for remedies, _ in ready],
        )
    except NotApplicable as reason:  # found out only where the model meets data
        for remedies, _ in ready:
            _skip(trial, remedies, f"Does not apply: {reason}.", applies=False)
    except OutOfTime:
        for remedies, _ in ready:
            _skip(trial, remedies, _TOO_LATE)
    except CaviarError as error:  # such as groups that leave no rows to watch
        for remedies, _ in ready:
            _skip(trial, remedies, f"Failed: {error}")
    else:
        trial.arms += arms
        for arm in arms:
            done(arm)


def _applied(
    bench: Bench, trial: Trial, choices: Sequence[Sequence[Remedy]], budget: Budget
) -> list[tuple[Sequence[Remedy], Recipe]]:
    """What can be tried in the time left, with its recipe."""
    ready: list[tuple[Sequence[Remedy], Recipe]] = []
    for remedies in choices:
        try:
            recipe = treated(trial.baseline.recipe, remedies)
            try_building(bench, recipe)
            budget.require(_expected_seconds(trial, bench, [r for _, r in ready] + [recipe]))
        except NotApplicable as reason:
            _skip(trial, remedies, f"Does not apply: {reason}.", applies=False)
        except OutOfTime:
            _skip(trial, remedies, _TOO_LATE)
        except CaviarError as error:
            _skip(trial, remedies, f"Failed: {error}")
        else:
            ready.append((remedies, recipe))
    return ready


_TOO_LATE = "Not tried: the time given (--minutes) did not suffice."


def _skip(trial: Trial, remedies: Sequence[Remedy], why: str, *, applies: bool = True) -> None:
    name, title = "+".join(r.name for r in remedies), " + ".join(r.title for r in remedies)
    trial.skipped.append(SkippedRemedy(remedy=name, title=title, why=why, applies=applies))


def expected_steps(bench: Bench, recipe: Recipe) -> int:
    """Gradient steps of all members of an arm, if none stops early."""
    per_epoch = sum(-(-len(split.train) // recipe.batch_size) for split in bench.splits)
    return per_epoch * recipe.epochs * recipe.ensemble


def _expected_seconds(trial: Trial, bench: Bench, recipes: Sequence[Recipe]) -> float:
    """Seconds that arms should take, by the slowest pace seen so far."""
    pace = max(arm.seconds / max(1, arm.steps) for arm in (trial.baseline, *trial.arms))
    return sum(_START_SECONDS * recipe.parts + pace * expected_steps(bench, recipe) for recipe in recipes)


def judge_trial(bench: Bench, trial: Trial, rope: float) -> list[ComparisonRecord]:
    """Every arm against the baseline, with Holm's correction over all of them."""
    judged = judge(
        [
            compare(
                arm.recipe.name,
                trial.scores(trial.baseline),
                trial.scores(arm),
                by_seed=trial.by_seed(trial.baseline, arm),
                higher_is_better=bench.metric.higher_is_better,
                test_share=bench.test_share,
                n_rows=bench.dataset.n_rows,
                rope=rope,
                metric_title=bench.metric.title,
                can_repeat=bench.dataset.time is None,
            )
            for arm in trial.arms
        ]
    )
    # One of so many by chance is one too many: Bonferroni.
    alpha = ALPHA / max(1, len(trial.arms))
    return [
        one.model_copy(
            update={
                "steadier": steadier(trial.each(trial.baseline), trial.each(arm), alpha=alpha),
                "sentence": one.sentence
                + _in_words(interaction(bench, trial, arm), arm.recipe.name.count("+") + 1),
            }
        )
        for one, arm in zip(judged, trial.arms, strict=True)
    ]


_MANY = {2: "the two", 3: "the three"}


def _in_words(beyond: Estimate | None, parts: int) -> str:
    if beyond is None:
        return ""
    between = f"(95 % interval {beyond.low:.3g} to {beyond.high:.3g})"
    many = _MANY.get(parts, f"all {parts}")
    if beyond.low <= 0 <= beyond.high:
        return f" Whether {many} gain more or less together than one by one cannot be told {between}."
    more = "more" if beyond.value > 0 else "less"
    return f" Together {many} gain {abs(beyond.value):.3g} {more} than one by one {between}."


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
    base = trial.scores(trial.baseline)
    one_by_one = sum(trial.scores(tried[part]) - base for part in parts)
    sign = 1 if bench.metric.higher_is_better else -1
    beyond = sign * (trial.scores(arm) - base - one_by_one)
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
        step = compare(
            pair.recipe.name,
            trial.scores(best),
            trial.scores(pair),
            by_seed=trial.by_seed(best, pair),
            higher_is_better=bench.metric.higher_is_better,
            test_share=bench.test_share,
            n_rows=bench.dataset.n_rows,
            rope=rope,
            metric_title=bench.metric.title,
            can_repeat=bench.dataset.time is None,
        )
        verdict = judge([step])[0]
        if verdict.verdict == "helps":
            return pair.recipe.name, (
                f"Together, {pair.recipe.title} are better than {best.recipe.title} alone: {verdict.sentence}"
            )
        reason += f" Combining what helps was tried and is not shown to be better still ({verdict.verdict})."
    return best.recipe.name, reason


def corrected_score(bench: Bench, trial: Trial, n_bootstrap: int = 500) -> tuple[float, Estimate] | None:
    """The best arm's score as it looks, and corrected for having been chosen among all arms (BBC-CV).

    None where a row was never held out (time order), so that arms cannot be drawn again by rows.
    """
    arms = [arm for arm in (trial.baseline, *trial.arms) if np.isfinite(arm.oof).all()]
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
