"""Which settings are best, and how good are they really? A search trains its trials generation by generation.

All trials see the same folds with the same seeds. What is scored is watched by nobody: callbacks look at an inner part
of a fold's training rows. The winner's score is corrected for having been chosen.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from caviar.data.dataset import Dataset
from caviar.errors import CaviarError, ModelError, OptionError
from caviar.evaluate.compare import ALPHA, Comparison, compare, judge, rope_of
from caviar.evaluate.estimate import Estimate
from caviar.evaluate.metrics import Metric
from caviar.evaluate.reference import no_skill_scores
from caviar.evaluate.selection import corrected_winner, corrected_winner_by_score
from caviar.measure import Arm, Bench, measure_all, try_building
from caviar.pace import Pace
from caviar.progress import Clock, OutOfTime, Voice
from caviar.recipe.hyperparameters import HyperParameters
from caviar.recipe.recipe import Recipe
from caviar.recipe.settled import Searched
from caviar.run.record import ComparisonRecord
from caviar.run.study import StudyFolder, TrialLine
from caviar.tune.search import Candidate, Outcome, Search
from caviar.tune.space import Space, discover

MOST_AT_ONCE = 256
"""Trials of a generation: so many share programs, and so many predictions are held in memory."""
_FIRST_AT_ONCE = 8  # where time is bounded, until it is known how long a trial takes
_GENERATIONS = 4  # parts of the time left that one generation may take
_WORTH_SCORING = 64  # of so many best trials the choice is repeated, where a score is no mean over rows


@dataclass(frozen=True, eq=False)
class Study:
    """What is searched, on what, and where it is kept.

    Attributes:
        searched: Builder and fit arguments.
        base: What is known of table and task.
        bench: Rows, splits, seeds, and the score that decides; `bench.shown` are further objectives.
        space: What may be set.
        folder: Where it is kept.
        clock: The time given.
        voice: Says what happens.
    """

    searched: Searched
    base: Recipe
    bench: Bench
    space: Space
    folder: StudyFolder
    clock: Clock
    voice: Voice

    @property
    def objectives(self) -> tuple[Metric, ...]:
        """The scores, the one that decides first."""
        return (self.bench.metric, *self.bench.shown)

    @property
    def n_inputs(self) -> int:
        """Inputs of a network under the base's preparation."""
        return int(self.bench.inputs(self.base.preparation).shape[2])

    def recipe(self, line: TrialLine | Candidate) -> Recipe:
        """The recipe of a trial."""
        return self.searched.recipe(self.base, line.settings, f"trial-{line.number}", self.n_inputs)


@dataclass(frozen=True, eq=False)
class Winner:
    """The best trial, and what may be said of it.

    Attributes:
        line: The trial.
        naive: Its mean score over the folds, as it looks.
        score: The same corrected for having been chosen.
        ties: Numbers of trials that cannot be told from it: each by its own paired difference, at 5 %.
        comparison: It beside the settings that a person had: the first trial; None where it is that one.
        gain: How much better it is than those, corrected for having been chosen; above 0 is better.
    """

    line: TrialLine
    naive: float
    score: Estimate
    ties: list[int]
    comparison: ComparisonRecord | None
    gain: Estimate | None


def space_of(searched: Searched, n_inputs: int, n_outputs: int) -> Space:
    """What a builder and its fit arguments ask for.

    Raises:
        ModelError: The builder fails with its defaults, or asks what has no answer.
        OptionError: It asks for nothing.
    """

    def ask(hp: HyperParameters) -> None:
        searched.ask(hp, n_inputs, n_outputs)

    return discover(ask)


def run(study: Study, search: Search, lines: list[TrialLine]) -> list[TrialLine]:
    """Train what a search asks for, until it asks for nothing more or the time given is used up.

    Args:
        study: What is searched, and where.
        search: Asked and told.
        lines: Trials that are finished already; the search has been told of them.

    Returns:
        All trials.
    """
    with study.voice.bar("trials", 0):
        while asked := search.ask(_how_many(study, lines)):
            try:
                new = _generation(study, asked, lines)
            except OutOfTime:
                study.voice.note("The time given was used up before the search had ended.")
                break
            lines += new
            search.tell([outcome(study, line) for line in new])
            _say(study, lines)
    return lines


def outcome(study: Study, line: TrialLine) -> Outcome:
    """A finished trial as its search is told of it: lower is better."""
    signs = [-1.0 if metric.higher_is_better else 1.0 for metric in study.objectives]
    return Outcome(line.number, line.settings, tuple(s * v for s, v in zip(signs, line.score, strict=True)))


def _how_many(study: Study, lines: Sequence[TrialLine]) -> int:
    """Trials of the next generation: as many as a part of the time left allows."""
    if study.clock.minutes is None:
        return MOST_AT_ONCE
    trained = [line.seconds for line in lines if not line.why]
    if not trained:
        return _FIRST_AT_ONCE
    share = study.clock.left() / _GENERATIONS / max(1e-3, float(np.mean(trained[-_WORTH_SCORING:])))
    return int(np.clip(share, 1, MOST_AT_ONCE))


def _generation(study: Study, asked: Sequence[Candidate], before: Sequence[TrialLine]) -> list[TrialLine]:
    """Train candidates, keep what they gave, and return their lines in the order asked."""
    began = time.monotonic()
    study.clock.check()
    number = 1 + max((line.generation for line in before), default=-1)
    recipes: dict[int, Recipe] = {}
    failed: dict[int, str] = {}
    for one in asked:
        try:
            recipes[one.number] = study.recipe(one)
        except CaviarError as error:
            failed[one.number] = str(error)
    arms = _trained(study, recipes, failed)
    known = list(arms.values())
    shape = known[0].oof.shape if known else (1, 1, 1)
    oof = np.stack([arm.oof for arm in known]) if known else np.full((1, *shape), np.nan)
    each = (time.monotonic() - began) / len(asked)
    places = {id(arm): place for place, arm in enumerate(known)}
    lines = [
        _line(study, one, arms.get(one.number), failed.get(one.number, ""), number, each, places)
        for one in asked
    ]
    histories = {str(one.number): arm.history for one in asked if (arm := arms.get(one.number)) is not None}
    study.folder.add(lines, oof, histories, number)
    return lines


def _trained(study: Study, recipes: dict[int, Recipe], failed: dict[int, str]) -> dict[int, Arm]:
    """Measured recipes by number; those that fail are noted, and do not stop the others."""
    nothing = [""] * len(recipes)
    monitor = Pace(study.voice, study.clock, "trials")
    try:
        arms = measure_all(
            study.bench, list(recipes.values()), show=False, monitor=monitor, what=nothing, sources=nothing
        )
        return dict(zip(recipes, arms, strict=True))
    except CaviarError as error:
        if len(recipes) == 1:
            failed[next(iter(recipes))] = str(error)
            return {}
    sound: dict[int, Recipe] = {}
    for number, recipe in recipes.items():
        try:
            try_building(study.bench, recipe)
            sound[number] = recipe
        except CaviarError as error:
            failed[number] = str(error)
    if len(sound) < len(recipes):
        return _trained(study, sound, failed)
    half = dict(list(sound.items())[: len(sound) // 2])
    rest = {number: recipe for number, recipe in sound.items() if number not in half}
    return _trained(study, half, failed) | _trained(study, rest, failed)


def _line(
    study: Study,
    one: Candidate,
    arm: Arm | None,
    why: str,
    generation: int,
    seconds: float,
    places: Mapping[int, int],
) -> TrialLine:
    nan = float("nan")
    scores = [nan] * len(study.objectives)
    by_fold = [[nan]]
    if arm is not None:
        scores = [float(arm.scores[metric.name].mean()) for metric in study.objectives]
        by_fold = arm.scores[study.bench.metric.name].tolist()
        if arm.failed.any():
            why = f"{int(arm.failed.sum())} of {len(arm.failed)} trainings diverged."
    return TrialLine(
        number=one.number,
        settings=one.settings,
        score=scores,
        fold_scores=by_fold,
        generation=generation,
        place=places.get(id(arm), 0),
        seconds=seconds,
        why=why,
    )


def _say(study: Study, lines: Sequence[TrialLine]) -> None:
    best = best_of(study, lines)
    if best is None:
        study.voice.say(f"  {len(lines)} trials, all of which failed so far.")
        return
    spent = study.clock.spent()
    score = f"best {study.bench.metric.title} {best.score[0]:.4g} (trial {best.number})"
    study.voice.say(f"  {len(lines)} trials in {spent:.0f} s; {score}")


def complete(lines: Sequence[TrialLine]) -> list[TrialLine]:
    """Trials with a score: those of which no training failed."""
    return [line for line in lines if np.isfinite(line.score).all()]


def best_of(study: Study, lines: Sequence[TrialLine]) -> TrialLine | None:
    """The complete trial with the best deciding score; the earlier of two equals."""
    sign = -1 if study.bench.metric.higher_is_better else 1
    return min(complete(lines), key=lambda line: (sign * line.score[0], line.number), default=None)


def front(study: Study, lines: Sequence[TrialLine]) -> list[TrialLine]:
    """Complete trials that no other one beats in every score, in order of the first."""
    done = complete(lines)
    if not done:
        return []
    told = np.array([outcome(study, line).score for line in done])
    beaten = [bool(((told <= one).all(axis=1) & (told < one).any(axis=1)).any()) for one in told]
    kept = [line for line, is_beaten in zip(done, beaten, strict=True) if not is_beaten]
    return sorted(kept, key=lambda line: outcome(study, line).score)


def conclude(study: Study, lines: Sequence[TrialLine]) -> Winner:
    """Choose the best trial, and say how good it is.

    Raises:
        ModelError: Not one trial has a score.
    """
    best, done = best_of(study, lines), complete(lines)
    if best is None:
        why = next((line.why for line in lines if line.why), "")
        if not why:
            raise OptionError(
                "Expected the time given to suffice for one trial, but it did not. Give more minutes."
            )
        raise ModelError(
            f"Expected one trial or more with a score, but all {len(lines)} failed; the first: {why}"
        )
    first = done[0]
    beside = [_compared(study, best, line) for line in done if line is not best]
    ties = [int(one.remedy) for one in beside if not one.p < ALPHA]
    score = _corrected(study, done)
    comparison = gain = None
    if first is not best:
        comparison = judge([_compared(study, first, best)])[0]
        gain = _corrected_gain(study, done, first)
    return Winner(best, best.score[0], score, ties, comparison, gain)


def _compared(study: Study, one: TrialLine, other: TrialLine) -> Comparison:
    bench = study.bench
    no_skill = no_skill_scores(bench.dataset, [bench.metric], bench.splits)[bench.metric.name]
    return compare(
        str(other.number),
        np.array(one.fold_scores),
        np.array(other.fold_scores),
        by_seed=0.0,
        higher_is_better=bench.metric.higher_is_better,
        test_share=bench.test_share,
        n_rows=bench.dataset.n_rows,
        rope=rope_of(no_skill, one.score[0], perfect=1.0 if bench.metric.higher_is_better else 0.0),
        metric_title=bench.metric.title,
        can_repeat=bench.dataset.time is None,
    )


def _corrected(study: Study, done: Sequence[TrialLine]) -> Estimate:
    """The best score after correcting for the choice (BBC-CV over the out-of-fold predictions)."""
    bench, data = study.bench, study.bench.dataset
    if bench.metric.row_losses is not None:
        return _chosen(study, np.stack([row_losses(study, line) for line in done]))
    sign = -1 if bench.metric.higher_is_better else 1
    best = sorted(done, key=lambda line: sign * line.score[0])[:_WORTH_SCORING]
    predictions = [study.folder.oof(line) for line in best]

    def score(place: int, rows: np.ndarray) -> float:
        weight = None if data.weight is None else data.weight[rows]
        return float(
            np.mean(
                [bench.metric.score(data.target[rows], each[rows], weight) for each in predictions[place]]
            )
        )

    return corrected_winner_by_score(
        score,
        len(best),
        data.n_rows,
        higher_is_better=bench.metric.higher_is_better,
        groups=_units(data),
        n_bootstrap=100,
    )[1]


def _corrected_gain(study: Study, done: Sequence[TrialLine], first: TrialLine) -> Estimate | None:
    """How much lower the winner's loss is than that of the first trial, corrected for the choice."""
    if study.bench.metric.row_losses is None:
        return None
    own = row_losses(study, first)
    found = _chosen(study, np.stack([row_losses(study, line) - own for line in done]))
    return found.model_copy(update={"value": -found.value, "low": -found.high, "high": -found.low})


def _chosen(study: Study, losses: np.ndarray) -> Estimate:
    """What is left of the lowest of some losses (trial, row); rows that were never held out are left out."""
    data, known = study.bench.dataset, np.isfinite(losses).all(axis=0)
    weight = None if data.weight is None else data.weight[known]
    return corrected_winner(losses[:, known], weight=weight, groups=_units(data)[known])[1]


def row_losses(study: Study, line: TrialLine) -> np.ndarray:
    """Out-of-fold loss of each row under a trial, averaged over repeats."""
    metric, target = study.bench.metric, study.bench.dataset.target
    assert metric.row_losses is not None
    return np.mean([metric.row_losses(target, values) for values in study.folder.oof(line)], axis=0)


def _units(data: Dataset) -> np.ndarray:
    return data.groups if data.groups is not None else data.identical
