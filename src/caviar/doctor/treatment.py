"""Treat a model: accept what helps, look again, until nothing helps any more; then tell the story."""

from dataclasses import dataclass, replace

import numpy as np

from caviar.data.dataset import Dataset
from caviar.diagnose.diagnosis import SENTENCES
from caviar.doctor.confirmation import Apart, Confirmation, confirm_apart, confirm_nested
from caviar.doctor.examination import Examination, Findings
from caviar.errors import ModelError
from caviar.estimate import Estimate
from caviar.evaluate.compare import judge
from caviar.measuring.measure import Arm, Bench
from caviar.measuring.trial import Trial, choose, corrected_score
from caviar.measuring.whole import fit_all
from caviar.model.finished import FinishedModel, finished_model
from caviar.pace import Pace
from caviar.progress import Clock, OutOfTime
from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable
from caviar.remedies.table import REMEDIES
from caviar.run.record import ComparisonRecord

MOST_ROUNDS = 4
"""How many cures are accepted, each after another look."""
_AVERAGING, _CONFIRMING = 0.2, 0.3
"""Shares of the time that are kept for averaging predictions, and for confirming what was accepted."""


@dataclass(frozen=True, eq=False)
class Treatment:
    """What a treatment came to.

    Attributes:
        recipe: The repaired recipe; the person's own where nothing was shown to help.
        accepted: What it holds, in the order in which it was accepted.
        comparison: The repaired recipe beside the person's own, on the same folds and seeds; None where they are the
            same.
        score: Score of the repaired recipe with its interval, corrected for having been chosen among others.
        confirmation: How it did on rows that took no part in choosing it; None where nothing was accepted, or time was
            short.
        area: What is left: "healthy", "at the ceiling", "no signal", or the area of what still costs performance.
        story: What was found and done, one sentence each, in order.
        rounds: Every look: what was seen and tried; the averages that were tried are one of their own.
    """

    recipe: Recipe
    accepted: list[str]
    comparison: ComparisonRecord | None
    score: Estimate
    confirmation: Confirmation | None
    area: str
    story: list[str]
    rounds: list[Findings]
    _rows: Dataset

    def __repr__(self) -> str:
        return "\n".join(self.story)

    def model(self, seed: int = 0) -> FinishedModel:
        """The repaired recipe trained on all rows, those kept apart too.

        Args:
            seed: Where its seeds start.

        Returns:
            The network, or those of an ensemble, with the preparation: `models` are ordinary Keras models,
            `predict_features(x)` predicts.
        """
        return finished_model(fit_all(self._rows, self.recipe, seed), self._rows.schema)


def treat(whole: Examination, first: Findings, apart: Apart | None = None) -> Treatment:
    """Treat a model that was looked at.

    What checks asked for comes first. When nothing of it helps any more, the remedies that may help anybody follow,
    and what averages predictions comes last: it helps whatever is wrong, at a multiple of all trainings that follow.
    What was accepted is confirmed at the end. Time is kept for these two.

    Args:
        whole: Its bench, and the time left.
        first: What the diagnosis saw and tried.
        apart: Rows that took no part in it.
    """
    bench, own = whole.bench, first.trial.baseline
    arms, story = Trial(own), [_seen(first)]
    accepted, rounds = _accept(whole, first, arms, story)
    now = rounds[-1]
    last = now.trial.baseline
    comparison = confirmation = None
    arms.add([last])
    if accepted:
        (comparison,) = judge([first.trial.compared(bench, own, last, first.evidence.rope, name="repaired")])
        story.append(f"In all: {_sentence(comparison.sentence)}")
        try:
            confirmation = _confirmed(whole, apart, first.trial, arms, last)
            story.append(confirmation.sentence)
        except OutOfTime:
            story.append(
                "The time given did not suffice to confirm it on rows that took no part in choosing it."
            )
    corrected = corrected_score(bench, arms)
    score = corrected[1] if corrected is not None and accepted else last.record.scores[bench.metric.name]
    area = _left(now)
    if area == "at the ceiling":
        story.append(SENTENCES[area])
    rows = bench.dataset if apart is None else apart.dataset
    return Treatment(last.recipe, accepted, comparison, score, confirmation, area, story, rounds, rows)


def _accept(
    whole: Examination, first: Findings, arms: Trial, story: list[str]
) -> tuple[list[str], list[Findings]]:
    """Accept one remedy after the other, as long as one helps.

    Args:
        whole: As for `treat`.
        first: As for `treat`.
        arms: Gets all that was tried.
        story: Goes on with what was accepted and then seen.

    Returns:
        Titles of what was accepted, and every look; the last one's baseline is what all of it made.
    """
    anybody = [remedy for remedy in REMEDIES if not (remedy.on_demand or remedy.averages)]
    averages = [
        remedy for remedy in REMEDIES if remedy.averages and not (remedy.on_demand and remedy.explains)
    ]
    averages.sort(key=lambda remedy: remedy.family)  # blends first, which take no further networks
    curing, averaging = _keeping(whole, _AVERAGING + _CONFIRMING), _keeping(whole, _CONFIRMING)
    bench, now = whole.bench, first
    rounds, accepted = [first], list[str]()
    examination = curing
    while now.record.area != "no signal":
        best = None
        if len(accepted) < MOST_ROUNDS:
            now = rounds[-1] = examination.combined(now)
            best = best_step(bench, now)
            if best is None and examination is curing and curing.clock.left() > 0:
                now = rounds[-1] = curing.combined(curing.tried(now, anybody))
                best = best_step(bench, now)
        arms.add(now.trial.arms)
        if best is None and examination is curing:
            examination = averaging
            now = averaging.combined(averaging.tried(_for_averages(now), averages))
            rounds.append(now)
            arms.add(now.trial.arms)
            best = best_step(bench, now, averaged=True)
        if best is None:
            break
        accepted.append(best.recipe.title)
        story.append(_accepted(best, now))
        try:
            measured = examination.baseline(replace(best.recipe, name=f"repaired-{len(accepted)}"))
        except OutOfTime:
            now = replace(now, trial=replace(now.trial, baseline=best, arms=[], skipped=[]), comparisons=[])
            story.append("There was no time to look again after it.")
        else:
            now = examination.tell(examination.look(measured))
            story.append(_seen(now))
        rounds.append(now)
    return accepted, rounds


def _confirmed(whole: Examination, apart: Apart | None, first: Trial, arms: Trial, last: Arm) -> Confirmation:
    monitor = Pace(whole.voice, whole.clock, "confirming")
    if apart is not None:
        return confirm_apart(whole.bench, apart, first, arms.baseline.recipe, last.recipe, monitor)
    return confirm_nested(whole.bench, first, [arms.baseline, *arms.arms], arms.baseline, last, monitor)


def treat_refused(
    examination: Examination, recipe: Recipe, why: str, apart: Apart | None = None
) -> Treatment:
    """Treat a model that Keras refuses to train: give it a last layer and loss that fit, then treat what that gives.

    Args:
        examination: Its bench, and the time left.
        recipe: The person's own.
        why: What was seen, and what Keras said.
        apart: Rows that took no part in it.
    """
    head = next(remedy for remedy in REMEDIES if remedy.name == "head")
    try:
        changed = head.apply(recipe)
        first = examination.tell(examination.look(examination.baseline(changed)))
    except NotApplicable as reason:
        raise ModelError(
            f"Expected a model that can be given another last layer, but {reason}. {why}"
        ) from None
    rest = treat(examination, first, apart)
    story = [why, f"Accepted: {head.title}.", *rest.story]
    return replace(rest, accepted=[head.title, *rest.accepted], story=story)


def _keeping(whole: Examination, share: float) -> Examination:
    """The same examination with a share of its time kept for what comes after it."""
    clock = whole.clock
    minutes = None if clock.minutes is None else (1 - share) * clock.minutes
    return replace(whole, clock=Clock(minutes, clock.began))


def _for_averages(now: Findings) -> Findings:
    """The same look with only what averages predictions among what was tried: verdicts on the rest are in.

    What there was no time for is tried, as time is kept for it.
    """
    own = _averages(now.trial.baseline.recipe)
    arms = [arm for arm in now.trial.arms if _averages(arm.recipe) != own]
    skipped = [skip for skip in now.trial.skipped if not skip.is_late]
    return replace(now, trial=replace(now.trial, arms=arms, skipped=skipped))


def best_step(bench: Bench, now: Findings, *, averaged: bool = False) -> Arm | None:
    """The remedy, or combination, to accept: what helps most, else what steadies most.

    What steadies is accepted where it answers a finding and looks no worse, or where it is an average and looks better
    by what counts as a difference: too few folds may show that predictions hang less on the seed, and not yet more.

    Args:
        bench: What it was measured on.
        now: What was tried.
        averaged: Choose among what averages predictions, in the place of cures.

    Returns:
        None where nothing was shown to help.
    """
    trial, rope = now.trial, now.evidence.rope
    own = _averages(trial.baseline.recipe)
    some = [c for c in now.comparisons if (_averages(trial.arm(c.remedy).recipe) != own) == averaged]
    name, _ = choose(bench, trial, some, rope)
    if name != "baseline":
        return trial.arm(name)
    answers = {name for f in now.record.findings if f.outcome == "found" for name in f.remedies}
    least = {c.remedy: 0.0 if c.remedy in answers else rope if averaged else np.inf for c in some}
    steady = {
        c.remedy: c.steadier for c in some if c.steadier is not None and c.difference.value >= least[c.remedy]
    }
    return trial.arm(min(steady, key=steady.__getitem__)) if steady else None


def _averages(recipe: Recipe) -> tuple[int, tuple[str, ...]]:
    """Over what a recipe averages: networks, and what predicts beside them."""
    return recipe.ensemble, recipe.blended_with


def _seen(now: Findings) -> str:
    found = [
        f"{f.title.lower()} ({f.fault.replace('_', ' ')})"
        for f in now.record.findings
        if f.outcome == "found"
    ]
    return now.record.sentence + (f" Found: {'; '.join(found)}." if found else "")


def _accepted(best: Arm, now: Findings) -> str:
    verdict = next(c for c in now.comparisons if c.remedy == best.recipe.name)
    left = f"{verdict.steadier:.0%} of the spread between seeds" if verdict.steadier else ""
    why = "It leaves" if verdict.verdict == "helps" else "It is accepted because it leaves"
    return f"Accepted: {best.recipe.title}. {_sentence(verdict.sentence)}" + (
        f" {why} {left}." if left else ""
    )


def _sentence(verdict: str) -> str:
    """A verdict as a sentence of a story."""
    return f"{verdict[0].upper()}{verdict[1:].rstrip('.')}."


def _left(now: Findings) -> str:
    """What is left when nothing helps any more."""
    if now.record.area != "healthy" or now.evidence.best_reference is None:
        return now.record.area
    scores = now.evidence.scores[np.isfinite(now.evidence.scores)]
    ahead = now.evidence.better_by(scores, now.evidence.best_reference)
    suspected = any(f.outcome in {"suspected", "harmless"} for f in now.record.findings)
    tried = bool(now.comparisons)
    behind = len(ahead) > 0 and float(ahead.mean()) >= -now.evidence.rope
    return "at the ceiling" if tried and suspected and behind else "healthy"
