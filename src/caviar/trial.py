"""Which remedies help: each trained on the baseline's folds and seeds, judged, and the winner chosen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from caviar.errors import CaviarError
from caviar.evaluate.compare import compare, judge
from caviar.evaluate.estimate import Estimate
from caviar.evaluate.metrics import Metric
from caviar.evaluate.selection import corrected_winner, corrected_winner_by_score
from caviar.measure import Arm, Bench, measure
from caviar.population.job import Monitor
from caviar.population.keep import Keep
from caviar.progress import OutOfTime
from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable, Remedy
from caviar.run.record import ComparisonRecord, SkippedRemedy

# Seconds that a new program takes before its first step, on top of the steps themselves.
_START_SECONDS = 4.0


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
    """What came out: the arms in the order tried, and what was not tried."""

    baseline: Arm
    arms: list[Arm] = field(default_factory=list)
    skipped: list[SkippedRemedy] = field(default_factory=list)

    def arm(self, name: str) -> Arm:
        """The arm of a name; the baseline by its own."""
        return next(arm for arm in (self.baseline, *self.arms) if arm.recipe.name == name)


def in_order(remedies: Sequence[Remedy], asked_for: Sequence[str]) -> list[Remedy]:
    """Remedies that the diagnosis asks for first, then the others."""
    first = [remedy for name in asked_for for remedy in remedies if remedy.name == name]
    return list(dict.fromkeys(first)) + [remedy for remedy in remedies if remedy not in first]


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


def try_one(
    bench: Bench,
    trial: Trial,
    remedies: Sequence[Remedy],
    budget: Budget,
    monitor_of: Callable[[Recipe], Monitor],
    done: Callable[[Arm], None],
    keep_of: Callable[[Recipe], Keep] | None = None,
) -> None:
    """Train one remedy, or several together; what cannot be tried is noted in the trial with its reason.

    Args:
        bench: Rows, splits, seeds and scores: the baseline's.
        trial: What was tried so far.
        remedies: What is applied to the baseline, in this order.
        budget: How long it may take.
        monitor_of: Makes what is told of the arm's progress.
        done: Called with the arm once it is part of the trial.
        keep_of: Says where the arm's state is kept while it trains; nowhere if left out.
    """
    name, title = "+".join(r.name for r in remedies), " + ".join(r.title for r in remedies)
    try:
        recipe = treated(trial.baseline.recipe, remedies)
        budget.require(_expected_seconds(trial, bench, recipe))
        arm = measure(
            bench,
            recipe,
            monitor=monitor_of(recipe),
            keep=None if keep_of is None else keep_of(recipe),
            what=" ".join(remedy.what for remedy in remedies),
            source="; ".join(dict.fromkeys(remedy.source for remedy in remedies)),
        )
    except NotApplicable as reason:
        trial.skipped.append(SkippedRemedy(remedy=name, title=title, why=f"Does not apply: {reason}."))
    except OutOfTime:
        trial.skipped.append(
            SkippedRemedy(
                remedy=name, title=title, why="Not tried: the time given (--minutes) did not suffice."
            )
        )
    except CaviarError as error:  # such as groups that leave no rows to watch
        trial.skipped.append(SkippedRemedy(remedy=name, title=title, why=f"Failed: {error}"))
    else:
        trial.arms.append(arm)
        done(arm)


def expected_steps(bench: Bench, recipe: Recipe) -> int:
    """Gradient steps of all members of an arm, if none stops early."""
    per_epoch = sum(-(-len(split.train) // recipe.batch_size) for split in bench.splits)
    return per_epoch * recipe.epochs * recipe.ensemble


def _expected_seconds(trial: Trial, bench: Bench, recipe: Recipe) -> float:
    """Seconds that an arm should take, by the slowest pace seen so far."""
    pace = max(arm.seconds / max(1, arm.steps) for arm in (trial.baseline, *trial.arms))
    return _START_SECONDS + pace * expected_steps(bench, recipe)


def judge_trial(bench: Bench, trial: Trial, rope: float) -> list[ComparisonRecord]:
    """Every arm against the baseline, with Holm's correction over all of them."""
    name = bench.metric.name
    return judge(
        [
            compare(
                arm.recipe.name,
                trial.baseline.scores[name],
                arm.scores[name],
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


def helpers(comparisons: Sequence[ComparisonRecord]) -> list[str]:
    """Names of what helps, best first."""
    helping = [c for c in comparisons if c.verdict == "helps"]
    return [c.remedy for c in sorted(helping, key=lambda c: -c.difference.value)]


def combination(comparisons: Sequence[ComparisonRecord], remedies: Sequence[Remedy]) -> list[Remedy]:
    """The best helping remedy of each family, in the table's order; empty if fewer than two help."""
    by_name = {remedy.name: remedy for remedy in remedies}
    best: dict[str, Remedy] = {}
    for name in helpers(comparisons):
        best.setdefault(by_name[name].family, by_name[name])
    chosen = [remedy for remedy in remedies if remedy in best.values()]
    return chosen if len(chosen) > 1 else []


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
            best.scores[bench.metric.name],
            pair.scores[bench.metric.name],
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
