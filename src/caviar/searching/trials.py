"""Which settings are best, and how good are they really? A search trains its trials generation by generation.

All trials see the same folds with the same seeds. What is scored is watched by nobody: callbacks look at an inner part
of a fold's training rows. The winner's score is corrected for having been chosen.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from caviar.data.dataset import Dataset
from caviar.data.split import Split
from caviar.errors import ModelError, OptionError
from caviar.estimate import Estimate
from caviar.evaluate.compare import ALPHA, CHOSEN_ALPHA, Comparison, compare, rope_of
from caviar.evaluate.confirm import paired_gain, score_apart
from caviar.evaluate.metrics import Metric
from caviar.evaluate.reference import no_skill_scores
from caviar.evaluate.selection import corrected_winner, corrected_winner_by_score
from caviar.measuring.measure import Arm, Bench, Part, measure_all
from caviar.measuring.trial import expected_steps
from caviar.pace import TooSlow
from caviar.population.begun import why_not
from caviar.population.template import sketch
from caviar.progress import Clock, OutOfTime, Voice
from caviar.recipe.hyperparameters import HyperParameters
from caviar.recipe.recipe import Recipe
from caviar.recipe.settled import Searched
from caviar.run.study import StudyFolder, TrialLine, complete
from caviar.searching.generation import FAILURES, Assignment, States, Trainer, reason
from caviar.searching.portions import Portions
from caviar.tune.search import Candidate, Outcome, Search, work_of
from caviar.tune.space import Space, discover

SEEDS_APART = 5
"""Networks that are scored on rows kept apart."""
_BETWEEN = 1.0  # seconds: a file for each of thousands of quick trials would take longer than they do
_MARGIN = 1.3  # the best trial may take a little longer than the defaults with as many steps
_ROUNDING = 1e-9  # a third of nine epochs is three, in spite of it
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
        apart: Rows that no trial sees, and on which the winner is judged: where trials go on with each other, what
            they say of held-out rows is incomplete. None where the winner's score is corrected for the choice.
        copy: Gets all trials whenever some are over, to show them elsewhere.
    """

    searched: Searched
    base: Recipe
    bench: Bench
    space: Space
    folder: StudyFolder
    clock: Clock
    voice: Voice
    apart: np.ndarray | None = None
    copy: Callable[[Sequence[TrialLine]], None] = lambda _: None

    @property
    def objectives(self) -> tuple[Metric, ...]:
        """The scores, the one that decides first."""
        return (self.bench.metric, *self.bench.shown)

    @property
    def n_inputs(self) -> int:
        """Inputs of a network under the base's preparation."""
        return int(self.bench.inputs(self.base.preparation).shape[2])

    def recipe(self, line: TrialLine) -> Recipe:
        """The recipe of a trial."""
        return self.settled(line.settings, line.number, line.stages)

    def settled(
        self, settings: Mapping[str, Any], number: int, stages: Sequence[tuple[dict[str, Any], int]] = ()
    ) -> Recipe:
        """The recipe of some settings, and of those that it trains with before."""
        return self.searched.recipe(self.base, settings, f"trial-{number}", self.n_inputs, stages)


@dataclass(frozen=True, eq=False)
class Winner:
    """The best trial, and what may be said of it.

    Attributes:
        line: The trial.
        naive: Its mean score over the folds, as it looks.
        score: The same corrected for having been chosen, or measured on rows that no trial saw.
        gain: How much better it is than the builder's defaults, the first trial, corrected for having been chosen;
            above 0 is better. None where it is these, or where they failed.
        ties: Numbers of trials that cannot be told from it: each by its own paired difference, at 5 %.
        is_clear: Whether the folds tell it from the defaults, at the level of what was chosen among many.
    """

    line: TrialLine
    naive: float
    score: Estimate
    gain: Estimate | None
    ties: list[int]
    is_clear: bool


def space_of(
    searched: Searched, n_inputs: int, n_outputs: int, tell: Callable[[str], None] = lambda _: None
) -> Space:
    """What a builder and its fit arguments ask for.

    Args:
        searched: Builder and fit arguments.
        n_inputs: Columns that a network sees.
        n_outputs: Numbers that it says of a row.
        tell: Gets a sentence where they fail for an answer that is no default.

    Raises:
        ModelError: They fail with their defaults, or ask one name with different meanings.
        OptionError: They ask for nothing.
    """

    def ask(hp: HyperParameters) -> None:
        searched.ask(hp, n_inputs, n_outputs)

    return discover(ask, tell=tell)


@dataclass(eq=False)
class Judge:
    """Scores the best trial and the builder's defaults on rows that no trial saw.

    Where the time is bounded, the defaults are trained before the search begins: what that takes is kept for the best
    trial, which is trained after it.

    Attributes:
        study: What is searched; its `apart` are those rows.
        seconds: What training the defaults took; 0 before that, or where they fail.
    """

    study: Study
    apart: np.ndarray
    seconds: float = 0.0

    @cached_property
    def bench(self) -> Bench:
        """All rows that trials see as training rows, the others held out."""
        seen = np.setdiff1d(np.arange(self.study.bench.dataset.n_rows, dtype=np.int32), self.apart)
        return replace(self.study.bench, splits=[Split(0, 0, seen, self.apart)], numbers=(), shown=())

    @cached_property
    def own(self) -> np.ndarray | None:
        """What the defaults say of the rows kept apart (seed, row, output); None where they fail."""
        before = self.study.clock.spent()
        try:
            said, *_ = self._said(self._defaults)
        except FAILURES:
            return None
        self.seconds = self.study.clock.spent() - before
        return said

    def keep_time(self, lines: Sequence[TrialLine]) -> None:
        """Keep the time that judging the best trial so far will take."""
        clock = self.study.clock
        if clock.minutes is None or clock.left() <= 0 or self.own is None:
            return
        best = best_of(self.study, lines)
        recipe = self._defaults if best is None else self.study.recipe(best)
        steps = [expected_steps(self.bench, one) for one in (recipe, self._defaults)]
        clock.kept = _MARGIN * self.seconds * max(1.0, steps[0] / steps[1])

    def judge(self, best: TrialLine) -> tuple[Estimate, Estimate | None]:
        """Score of the best trial, and its gain over the builder's defaults; None where it is these, or they fail."""
        data, metric, apart = self.study.bench.dataset, self.study.bench.metric, self.apart
        weight = None if data.weight is None else data.weight[apart]

        def score(values: np.ndarray, rows: np.ndarray) -> float:
            return metric.score(data.target[apart][rows], values, None if weight is None else weight[rows])

        self.study.clock.kept = 0.0
        units = _units(data)[apart]
        if best.settings == self.study.space.default() and not best.stages and self.own is not None:
            return score_apart(score, self.own, units), None
        new, own = self._both(self.study.recipe(best))
        found = score_apart(score, new, units)
        if own is None:
            return found, None
        return found, paired_gain(score, own, new, units, higher_is_better=metric.higher_is_better)

    def _both(self, recipe: Recipe) -> tuple[np.ndarray, np.ndarray | None]:
        """What a recipe says of the rows kept apart, and what the defaults say: trained together if neither is yet."""
        if self.seconds:
            return self._said(recipe)[0], self.own
        try:
            new, own = self._said(recipe, self._defaults)
        except FAILURES:  # the defaults may fail where others do not
            return self._said(recipe)[0], self.own
        return new, own

    @cached_property
    def _defaults(self) -> Recipe:
        return self.study.settled(self.study.space.default(), 0)

    def _said(self, *recipes: Recipe) -> list[np.ndarray]:
        nothing = [""] * len(recipes)
        arms = measure_all(
            self.bench, recipes, first_repeat_seeds=SEEDS_APART, show=False, what=nothing, sources=nothing
        )
        return [
            np.asarray((arm.oof if arm.seed_oof is None else arm.seed_oof)[:, self.apart]) for arm in arms
        ]


def run(
    study: Study,
    search: Search,
    lines: list[TrialLine],
    trials: int,
    judge: Judge | None = None,
    beginning: Callable[[], Search] | None = None,
) -> list[TrialLine]:
    """Train what a search asks for, until it asks for nothing more or the time given is used up.

    Args:
        study: What is searched, and where.
        search: Asked and told.
        lines: Trials that are finished already; the search has been told of them.
        trials: How many it may ask for.
        judge: Keeps the time that it will need; None where nothing is trained after the search.
        beginning: Makes the search anew, where trials are trained in parts: it is gone through to see how much there is
            to do.

    Returns:
        All trials.
    """
    if judge is not None:
        judge.keep_time(lines)
    most, states = min(trials, study.space.size or trials), States()
    anew = beginning is not None and _begin_anew(study)
    known = {line.number: outcome(study, line) for line in lines}
    work = None if beginning is None else work_of(beginning(), study.bench.shape[1], anew=anew, known=known)
    portions = Portions(search, study.clock, study.voice, most, work, anew=anew, before=lines)
    with study.voice.bar("trials", 0):
        asked = portions.take(lines)
        while asked:
            try:
                new = _generation(study, asked, lines, portions, states)
            except TooSlow as slow:
                portions.too_slow(asked, slow.seconds)
                asked = portions.take(lines)
                continue
            except OutOfTime:
                portions.out_of_time(lines)
                break
            lines = sorted([*lines, *new], key=lambda line: line.number)
            study.copy(lines)
            if judge is not None:
                judge.keep_time(lines)
            over = {line.number for line in new}
            portions.put_back([one for one in asked if one.number not in over])
            search.tell([outcome(study, line) for line in new])
            left = portions.time_left(lines)
            asked = portions.take(lines)
            _say(study, lines, left if asked else "")
    return lines


def outcome(study: Study, line: TrialLine) -> Outcome:
    """A finished trial as its search is told of it: lower is better."""
    signs = [-1.0 if metric.higher_is_better else 1.0 for metric in study.objectives]
    return Outcome(line.number, line.settings, tuple(s * v for s, v in zip(signs, line.score, strict=True)))


def _generation(
    study: Study, asked: Sequence[Candidate], before: Sequence[TrialLine], portions: Portions, states: States
) -> list[TrialLine]:
    """Train candidates, keep what each gave as soon as it is over, and return their lines.

    Where the time ends meanwhile, those that were over by then are kept, and the others are none.
    """
    began = time.monotonic()
    study.clock.check()
    sources = _sources(asked, before)
    work: dict[int, Assignment] = {}
    failed: dict[int, str] = {}
    for one in asked:
        try:
            work[one.number] = _assignment(study, one, sources.get(one.number), states)
        except FAILURES as error:
            failed[one.number] = reason(error)
    number = 1 + max((line.generation for line in before), default=-1)
    kept = _Kept(study, {one.number: one for one in asked}, work, sources, states, number, began)
    tell = portions.forecast(asked, before, study.bench.shape[1], began)

    def over(found: Mapping[int, Arm | str]) -> None:
        kept.add(found)
        if kept.measured:
            tell(kept.measured)

    try:
        if failed:
            over(failed)
        Trainer(study.bench, study.clock, study.voice, over).train(work)
    except (OutOfTime, TooSlow):
        if not kept.lines and not kept.waiting:
            raise
    finally:
        kept.write()
    return kept.lines


@dataclass(eq=False)
class _Kept:
    """Writes down candidates that are over, so that they are not lost whatever becomes of the others.

    Attributes:
        study: What is searched, and where.
        asked: Candidates by number.
        work: What was to be trained for them.
        sources: The trials that they went on with.
        states: Gets in what states they ended.
        number: Of the next file.
        since: When something was written last, or they began.
        waiting: What is over and not written yet, by number.
        lines: Those that are written.
        measured: How many were trained.
    """

    study: Study
    asked: Mapping[int, Candidate]
    work: Mapping[int, Assignment]
    sources: Mapping[int, TrialLine]
    states: States
    number: int
    since: float
    waiting: dict[int, Arm | str] = field(default_factory=dict)
    lines: list[TrialLine] = field(default_factory=list)
    measured: int = 0

    def add(self, found: Mapping[int, Arm | str]) -> None:
        """Take what was measured, or why it failed, by number, and write it unless something was written just now."""
        for number, arm in found.items():
            if isinstance(arm, str):
                self.waiting[number] = arm
                continue
            source = self.sources.get(number)
            self.states.put(number, self.asked[number].source, arm.states)
            self.waiting[number] = _with_folds_before(self.study, arm, self.work[number], source)
            self.measured += 1
        if time.monotonic() - self.since > _BETWEEN:
            self.write()

    def write(self) -> None:
        """Write what waits for it."""
        found, self.waiting = self.waiting, {}
        if not found:
            return
        arms = {number: arm for number, arm in found.items() if isinstance(arm, Arm)}
        known = list(arms.values())
        oof = np.stack([arm.oof for arm in known]) if known else np.full((1, 1, 1, 1), np.nan)
        now = time.monotonic()
        each, self.since = (now - self.since) / len(found), now
        places = {one: place for place, one in enumerate(arms)}
        lines = [
            _line(
                *(self.study, self.asked[one], arms.get(one), self.work.get(one)),
                *(arm if isinstance(arm, str) else "", self.number, places.get(one, 0), each),
            )
            for one, arm in found.items()
        ]
        histories = {str(one): arm.history for one, arm in arms.items()}
        self.study.folder.add(lines, oof, histories, self.number)
        self.lines += lines
        self.number += 1


def _sources(asked: Sequence[Candidate], before: Sequence[TrialLine]) -> dict[int, TrialLine]:
    """The trials that candidates go on with, by the candidates' numbers."""
    wanted = {one.source for one in asked}
    lines = {line.number: line for line in before if line.number in wanted}
    return {one.number: lines[one.source] for one in asked if one.source is not None}


def _assignment(study: Study, one: Candidate, source: TrialLine | None, states: States) -> Assignment:
    """What is to be trained for a candidate, of which another one may have done a part."""
    folds = study.bench.shape[1]
    if study.apart is None:
        return Assignment(study.settled(one.settings, one.number), None, 0, folds)
    stages = [] if source is None else list(source.stages)
    if source is not None and source.settings != one.settings and source.has_own_epochs:
        stages.append((source.settings, source.epochs))
    recipe, stop = study.settled(one.settings, one.number, stages), one.folds or folds
    until = max(1, math.ceil(one.epochs * recipe.epochs - _ROUNDING))
    if source is None:
        return Assignment(recipe, Part(until), 0, stop)
    if source.folds < stop:
        return Assignment(recipe, Part(until), source.folds, stop)
    begun, until = states.get(source.number), max(until, source.epochs)
    if begun is None or until == source.epochs or not (stages or _goes_on(study, recipe)):
        return Assignment(recipe, Part(until), 0, stop, stages)
    return Assignment(recipe, Part(until, source.epochs, begun), 0, stop, stages)


def _begin_anew(study: Study) -> bool:
    """Whether trials like the defaults cannot be carried out in parts; they can where nobody can tell yet."""
    try:
        return not _goes_on(study, study.settled(study.space.default(), 0))
    except FAILURES:
        return False


def _goes_on(study: Study, recipe: Recipe) -> bool:
    """Whether a recipe's training can be carried out in parts."""
    return not why_not(recipe.callbacks, sketch(recipe.build(study.n_inputs, study.bench.dataset.n_outputs)))


def _with_folds_before(study: Study, arm: Arm, work: Assignment, source: TrialLine | None) -> Arm:
    """What was measured on some folds, with what its source had on those before them."""
    if source is None or not work.first:
        return arm
    name = study.bench.metric.name
    scores = {name: np.hstack([np.array(source.fold_scores), arm.scores[name]])}
    oof = study.folder.oof(source)
    return replace(arm, scores=scores, oof=np.where(np.isnan(oof), arm.oof, oof))


def _line(
    study: Study,
    one: Candidate,
    arm: Arm | None,
    work: Assignment | None,
    why: str,
    generation: int,
    place: int,
    seconds: float,
) -> TrialLine:
    nan = float("nan")
    scores = [nan] * len(study.objectives)
    by_fold = [[nan]]
    if arm is not None:
        scores = [float(arm.scores[metric.name].mean()) for metric in study.objectives]
        by_fold = arm.scores[study.bench.metric.name].tolist()
        if arm.failed.any():
            why = f"{int(arm.failed.sum())} of {len(arm.failed)} trainings diverged."
    part: dict[str, Any] = {}
    if work is not None and work.part is not None:
        part = {
            "share": one.epochs * work.stop / study.bench.shape[1],
            "epochs": work.part.until,
            "folds": work.stop,
            "source": one.source,
            "stages": list(work.stages),
        }
    return TrialLine(
        number=one.number,
        settings=one.settings,
        score=scores,
        fold_scores=by_fold,
        generation=generation,
        place=place,
        seconds=seconds,
        why=why,
        **part,
    )


def _say(study: Study, lines: Sequence[TrialLine], left: str) -> None:
    best = best_of(study, lines)
    if best is None:
        study.voice.say(f"  {len(lines)} trials, all of which failed so far.")
        return
    spent = study.clock.spent()
    score = f"best {study.bench.metric.title} {best.score[0]:.4g} (trial {best.number})"
    study.voice.say(f"  {len(lines)} trials in {spent:.0f} s; {score}{left}")


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


def conclude(study: Study, lines: Sequence[TrialLine], judge: Judge | None = None) -> Winner:
    """Choose the best trial, and say how good it is.

    Args:
        study: What was searched.
        lines: All trials.
        judge: Where rows were kept apart.

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
    rope = _rope(study, best)
    beside = [_compared(study, best, line, rope) for line in done if line is not best]
    ties = [int(one.remedy) for one in beside if not one.p < ALPHA]
    is_clear = any(one.remedy == "0" and one.p < CHOSEN_ALPHA for one in beside)
    if judge is not None:
        return Winner(best, best.score[0], *judge.judge(best), ties, is_clear)
    own = next((line for line in done if line.number == 0), None)
    gain = None if own is None or own is best else _corrected_gain(study, done, own)
    return Winner(best, best.score[0], _corrected(study, done), gain, ties, is_clear)


def _rope(study: Study, best: TrialLine) -> float:
    bench = study.bench
    no_skill = no_skill_scores(bench.dataset, [bench.metric], bench.splits)[bench.metric.name]
    return rope_of(no_skill, best.score[0], perfect=1.0 if bench.metric.higher_is_better else 0.0)


def _compared(study: Study, one: TrialLine, other: TrialLine, rope: float) -> Comparison:
    bench = study.bench
    return compare(
        str(other.number),
        np.array(one.fold_scores),
        np.array(other.fold_scores),
        higher_is_better=bench.metric.higher_is_better,
        test_share=bench.test_share,
        n_rows=bench.dataset.n_rows - (0 if study.apart is None else len(study.apart)),
        rope=rope,
        metric_title=bench.metric.title,
        can_repeat=bench.dataset.time is None,
    )


def _corrected(study: Study, done: Sequence[TrialLine]) -> Estimate:
    """The best score after correcting for the choice (BBC-CV over the out-of-fold predictions)."""
    if study.bench.metric.row_losses is not None:
        return _chosen(study, np.stack([row_losses(study, line) for line in done]))
    study.voice.say("  The choice is repeated on drawn rows, to correct the best score for it.")
    return _chosen_by_score(study, done, None)


def _corrected_gain(study: Study, done: Sequence[TrialLine], own: TrialLine) -> Estimate:
    """How much better the winner is than a person's own settings, corrected for the choice; above 0 is better."""
    metric = study.bench.metric
    if metric.row_losses is not None:
        less = row_losses(study, own)
        found = _chosen(study, np.stack([row_losses(study, line) - less for line in done]))
    else:
        found = _chosen_by_score(study, done, own)
    if metric.higher_is_better:
        return found
    return found.model_copy(update={"value": -found.value, "low": -found.high, "high": -found.low})


def _chosen(study: Study, losses: np.ndarray) -> Estimate:
    """What is left of the lowest of some losses (trial, row); rows that were never held out are left out."""
    data, known = study.bench.dataset, np.isfinite(losses).all(axis=0)
    weight = None if data.weight is None else data.weight[known]
    return corrected_winner(losses[:, known], weight=weight, groups=_units(data)[known])[1]


def _chosen_by_score(study: Study, done: Sequence[TrialLine], own: TrialLine | None) -> Estimate:
    """The same of a score that is no mean over rows, or of how far it is from that of a person's own settings."""
    metric, data = study.bench.metric, study.bench.dataset
    sign = -1 if metric.higher_is_better else 1
    best = sorted(done, key=lambda line: sign * line.score[0])[:_WORTH_SCORING]
    said = [study.folder.oof(line) for line in best]
    other = None if own is None else study.folder.oof(own)
    held = np.flatnonzero(np.isfinite(np.stack(said)).all(axis=(0, 1, 3)))

    def score(predictions: np.ndarray, rows: np.ndarray) -> float:
        weight = None if data.weight is None else data.weight[rows]
        return float(np.mean([metric.score(data.target[rows], each[rows], weight) for each in predictions]))

    last: tuple[np.ndarray | None, float] = None, 0.0

    def own_score(rows: np.ndarray) -> float:
        nonlocal last
        if rows is not last[0] and other is not None:
            last = rows, score(other, held[rows])
        return last[1]

    return corrected_winner_by_score(
        lambda place, rows: score(said[place], held[rows]) - own_score(rows),
        len(best),
        len(held),
        higher_is_better=metric.higher_is_better,
        groups=_units(data)[held],
        n_bootstrap=100,
    )[1]


def row_losses(study: Study, line: TrialLine) -> np.ndarray:
    """Out-of-fold loss of each row under a trial, averaged over repeats."""
    metric, target = study.bench.metric, study.bench.dataset.target
    assert metric.row_losses is not None
    return np.mean([metric.row_losses(target, values) for values in study.folder.oof(line)], axis=0)


def _units(data: Dataset) -> np.ndarray:
    return data.groups if data.groups is not None else data.identical
