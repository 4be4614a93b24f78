"""Did nursing help, or was it luck? Its schedule and its first settings are trained on the same new seeds and folds."""

import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from caviar.data.split import make_splits, split_name
from caviar.errors import OptionError
from caviar.estimate import Estimate
from caviar.evaluate.compare import judge, rope_of, rope_reason
from caviar.evaluate.intervals import mean_estimate
from caviar.evaluate.reference import no_skill_scores
from caviar.evaluate.wording import digits, interval
from caviar.measuring.measure import Arm, Bench, measure_all
from caviar.measuring.table import check_numbers, keras_speaks_plainly
from caviar.measuring.trial import Trial
from caviar.nursing.log import PandaLog, StageRecord
from caviar.nursing.material import Material
from caviar.nursing.settings import set_into
from caviar.nursing.stage import Stage
from caviar.pace import Pace
from caviar.progress import Clock, OutOfTime, Voice
from caviar.recipe.recipe import Recipe
from caviar.recipe.recipe import Stage as Before
from caviar.run.files import write_text
from caviar.run.record import ComparisonRecord
from caviar.run.studies import Part, TableFacts

REPLAY = "replay.json"
SEEDS, FOLDS = 30, 5
# At most so many seeds share a split, or every fold would get more than asked for; new splits tell more than seeds.
_ON_A_FOLD = 3
# Seeds that were watched are at most a hundred; those of a replay begin far behind them.
_FAR = 1_000_000

Answer = Literal["yes", "no", "cannot be told"]


class ReplayRecord(Part):
    """A schedule beside its first settings, on seeds that took no part in choosing it.

    The folds are of all rows: those that were watched while choosing are among them.

    No score counts as worse than no skill by more than the better schedule's median is from it, and a failed training
    counts as that: a few that blew up do not hide what the others say.

    Attributes:
        created: When.
        seconds: What it took.
        table: What was learned from.
        split: How rows were divided.
        metric: What the score is called.
        seeds: Trainings of each arm on every fold of a repeat.
        folds: Folds of each repeat.
        repeats: Repeats of the split.
        seed: Where seeds begin.
        epochs: Of both arms.
        schedule: What was nursed.
        first: The one stage that it is compared with.
        nursed: Held-out score of the schedule, with its corrected interval.
        alone: Held-out score of the first settings, likewise.
        failed: Trainings whose numbers were not finite: of the schedule, and of the first settings.
        rope: Smallest difference that counts, in the metric's unit.
        rope_reason: Where that comes from.
        comparison: The paired difference; positive means that nursing is better.
        watched: The score that was seen while nursing, on the rows that choices were made on.
        answer: Whether nursing helped.
        sentence: The same in words.
    """

    created: str
    seconds: float
    table: TableFacts
    split: str
    metric: str
    seeds: int
    folds: int
    repeats: int
    seed: int
    epochs: int
    schedule: list[StageRecord]
    first: StageRecord
    nursed: Estimate
    alone: Estimate
    failed: tuple[int, int]
    rope: float
    rope_reason: str
    comparison: ComparisonRecord
    watched: float | None
    answer: Answer
    sentence: str

    def __str__(self) -> str:
        """The answer."""
        return self.sentence

    def save(self, folder: Path) -> Path:
        """Write the record into a folder; returns its file."""
        write_text(folder / REPLAY, self.model_dump_json(indent=1))
        return folder / REPLAY


@dataclass(frozen=True)
class Asked:
    """How a log is replayed.

    Attributes:
        seeds: Trainings of each arm on every fold, up to three of them in each repeat of the folds.
        folds: Folds.
        rope: Smallest difference that counts; found if None.
        seed: Where seeds begin; far from those that were watched if None.
    """

    seeds: int = SEEDS
    folds: int = FOLDS
    rope: float | None = None
    seed: int | None = None


def replay_log(material: Material, log: PandaLog, asked: Asked, clock: Clock, voice: Voice) -> ReplayRecord:
    """Train a log's schedule and its first settings as two populations, and compare them.

    Args:
        material: What is trained.
        log: Whose schedule it is: what led to the branch chosen.
        asked: On how many seeds and folds.
        clock: The time given.
        voice: Shows a bar.

    Raises:
        OptionError: Nothing was nursed, or the time given does not suffice.
        CaviarError: The log does not fit the model, or the table is too small.
    """
    check_numbers({"seeds": asked.seeds, "folds": asked.folds, "rope": asked.rope, "seed": asked.seed or 0})
    schedule = log.stages(log.chosen, log.at)
    first = Stage(0, log.at, log.first)
    if not schedule or schedule == [first]:
        raise OptionError(
            "Expected a log in which a setting was changed after training had begun, but its chosen branch has one "
            "setting from its first epoch to its last. Change something, or choose a branch where that was done."
        )
    seed = material.seed + _FAR if asked.seed is None else asked.seed
    each = seeds = int(asked.seeds)  # there is one split in order of time
    if material.dataset.time is None:
        each = max(some for some in range(1, _ON_A_FOLD + 1) if seeds % some == 0)
    splits = make_splits(material.dataset, asked.folds, seeds // each, seed)
    bench = Bench(material.dataset, splits, material.metric, (), seed)
    trainings = each * len(splits)
    voice.say(
        f"Replaying {log.at} epochs of both: {trainings:,} trainings each, {seeds} on every one of "
        f"{asked.folds} folds."
    )
    try:
        with keras_speaks_plainly():
            alone, nursed = measure_all(
                bench,
                [_recipe(material.recipe, [first]), _recipe(material.recipe, schedule)],
                seeds=each,
                show=False,
                monitor=Pace(voice, clock, "the nursed schedule and the first settings"),
                what=("", ""),
                sources=("", ""),
            )
    except OutOfTime:
        raise OptionError(
            f"Expected the time given to suffice for 2 × {trainings:,} trainings, but {clock.minutes:g} minutes did "
            f"not. Give more minutes, or fewer seeds or folds."
        ) from None
    return _record(bench, log, (schedule, first), (nursed, alone), asked, clock)


def _recipe(recipe: Recipe, stages: Sequence[Stage]) -> Recipe:
    """The recipe that trains through these stages."""
    *before, last = stages
    return replace(
        set_into(recipe, last.settings),
        epochs=last.last,
        stages=tuple(Before(set_into(recipe, stage.settings), stage.last) for stage in before),
    )


def _record(
    bench: Bench,
    log: PandaLog,
    stages: tuple[list[Stage], Stage],
    arms: tuple[Arm, Arm],
    asked: Asked,
    clock: Clock,
) -> ReplayRecord:
    data, metric = bench.dataset, bench.metric
    perfect = 1.0 if metric.higher_is_better else 0.0
    no_skill = no_skill_scores(data, [metric], bench.splits)[metric.name]
    medians = [float(np.nanmedian(arm.each)) for arm in arms if np.isfinite(arm.each).any()]
    best = (max if metric.higher_is_better else min)(medians or [math.nan])
    rope = rope_of(no_skill, best, perfect=perfect) if asked.rope is None else asked.rope
    reason = "given with --rope"
    if asked.rope is None:
        reason = rope_reason(no_skill, best, metric.title, perfect=perfect)
        reason = reason.replace("the best reference row", "the better of the two").replace(
            "reference row", "arm"
        )
    worst = _worst(no_skill, best, rope, higher_is_better=metric.higher_is_better)
    nursed, alone = arms
    trial = Trial(alone, [nursed], worst=worst, higher_is_better=metric.higher_is_better)
    called = ("with nursing", "without it")
    (judged,) = judge([trial.compared(bench, alone, nursed, rope, name="nursing", called=called)])
    mean_nursed, mean_alone = (
        mean_estimate(trial.scores(one), bench.test_share, n_rows=data.n_rows, bounds=metric.bounds)
        for one in (nursed, alone)
    )
    repeats, folds, each = nursed.each.shape
    answer = _ANSWERS[judged.verdict]
    failed = (int(nursed.failed.sum()), int(alone.failed.sum()))
    return ReplayRecord(
        created=time.strftime("%Y-%m-%d %H:%M:%S"),
        seconds=clock.spent(),
        table=TableFacts(name=data.name, rows=data.n_rows, columns=len(data.schema.columns), task=data.task),
        split=split_name(data),
        metric=metric.title,
        seeds=each,
        folds=folds,
        repeats=repeats,
        seed=bench.seed,
        epochs=log.at,
        schedule=[_stage(stage) for stage in stages[0]],
        first=_stage(stages[1]),
        nursed=mean_nursed,
        alone=mean_alone,
        failed=failed,
        rope=rope,
        rope_reason=reason,
        comparison=judged,
        watched=log.watched if log.metric == metric.name else None,
        answer=answer,
        sentence=_sentence(
            judged,
            mean_nursed,
            metric.title,
            nursed.each.size,
            log,
            failed,
            same=log.metric == metric.name,
            each=each,
        ),
    )


def _stage(stage: Stage) -> StageRecord:
    return StageRecord(first=stage.first, last=stage.last, settings=stage.settings)


def _worst(no_skill: float, best: float, rope: float, *, higher_is_better: bool) -> float:
    """The worst score that counts: as far beyond no skill as the better schedule is from it."""
    known = [score for score in (no_skill, best) if math.isfinite(score)] or [0.0]
    distance = max(max(known) - min(known), rope)
    return min(known) - distance if higher_is_better else max(known) + distance


_ANSWERS: dict[str, Answer] = {
    "helps": "yes",
    "harms": "no",
    "no practical difference": "no",
    "not enough data": "cannot be told",
}
_BEGINNINGS = {
    "helps": "Yes, nursing helped, and not by luck",
    "harms": "No, nursing did harm",
    "no practical difference": "No, nursing made no practical difference",
    "not enough data": "Whether nursing helped or was lucky cannot be told yet",
}


def _sentence(
    judged: ComparisonRecord,
    nursed: Estimate,
    metric: str,
    trainings: int,
    log: PandaLog,
    failed: Sequence[int],
    *,
    same: bool,
    each: int,
) -> str:
    """The question answered, and what to think of the score that was watched."""
    said = judged.sentence.removeprefix(f"{judged.verdict}: ")
    said = re.sub(r"(\d+) repeats", lambda found: f"{int(found[1]) * each} seeds", said)
    lost = f" ({failed[0]} and {failed[1]} of them failed)" if any(failed) else ""
    told = (
        f"{_BEGINNINGS[judged.verdict]}: over {trainings:,} new trainings of the schedule and as many of the first "
        f"settings{lost}, on the same seeds and held-out rows, {said}"
    )
    score = f"replayed, the schedule scores {digits(nursed.value)} ({interval(nursed)})"
    if log.watched is None or not same:
        return f"{told}; {score}."
    return (
        f"{told}; the {metric} of {digits(log.watched)} that was watched is optimistic, because choices were made on "
        f"those very rows: {score}."
    )
