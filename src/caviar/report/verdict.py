"""What a run found, in a few plain sentences, and what to do next."""

import math
import shlex
from dataclasses import dataclass

from caviar.estimate import Estimate
from caviar.evaluate.wording import listed
from caviar.report import wording
from caviar.run.record import ArmRecord, ComparisonRecord, Record, RowRecord

BASELINE = "baseline"
NO_SKILL = "no-skill"
AS_IT_IS = "The model as it is"


@dataclass(frozen=True)
class KeyNumber:
    """One number that a reader takes away: its name, its value, and what stands behind it."""

    label: str
    value: str
    interval: str
    note: str = ""


@dataclass(frozen=True)
class NextStep:
    """One thing to do next, with the command that does it when there is one."""

    text: str
    command: str = ""


@dataclass(frozen=True)
class Verdict:
    """The first thing a reader sees."""

    headline: str
    sentences: tuple[str, ...]
    key_numbers: tuple[KeyNumber, ...]
    next_steps: tuple[NextStep, ...]


def verdict(record: Record, run: str) -> Verdict:
    """The record of the run in folder `run`, said in a few sentences.

    >>> verdict(Record(status="interrupted"), "runs/wine").headline
    'This run stopped before the table was read.'
    """
    return Verdict(
        headline=_headline(record),
        sentences=tuple(_sentences(record)),
        key_numbers=tuple(_key_numbers(record)),
        next_steps=tuple(_next_steps(record, run)),
    )


def arms(record: Record) -> list[ArmRecord]:
    """All measured recipes, the baseline first."""
    measured = [record.baseline] if record.baseline else []
    known = {arm.name for arm in measured}
    return measured + [arm for arm in (record.trial.arms if record.trial else []) if arm.name not in known]


def title_of(record: Record, name: str) -> str:
    """What a recipe is called in the report; its plain name if it was never measured as an arm."""
    if name == BASELINE:
        return AS_IT_IS
    titles = {arm.name: arm.title for arm in arms(record)}
    if record.trial:
        titles |= {skipped.remedy: skipped.title for skipped in record.trial.skipped}
    return titles.get(name, name)


def score_of(record: Record, arm: ArmRecord | RowRecord | None) -> Estimate | None:
    """The deciding score of an arm or of a reference row; None if it was not measured."""
    return arm.scores.get(record.metric.name) if arm and record.metric else None


@dataclass(frozen=True)
class ScoredRow:
    """One line of the table of scores."""

    title: str
    scores: dict[str, Estimate]


def scored_rows(record: Record) -> list[ScoredRow]:
    """The model as it is, the chosen recipe if it is another one, and the simple models, in this order."""
    rows = []
    if record.baseline:
        rows.append(ScoredRow(title_of(record, BASELINE), record.baseline.scores))
    chosen = chosen_arm(record)
    if chosen and chosen is not record.baseline:
        rows.append(ScoredRow(chosen.title, chosen.scores))
    return rows + [ScoredRow(wording.capitalized(row.title), row.scores) for row in record.references]


def score_decimals(record: Record) -> dict[str, int | None]:
    """For each score, the decimals that suit all its rows."""
    rows = scored_rows(record)
    names = {name for row in rows for name in row.scores}
    return {name: wording.common_decimals(row.scores.get(name) for row in rows) for name in names}


def no_skill_of(record: Record) -> float | None:
    """The deciding score of a prediction that ignores the inputs; None if it was not measured."""
    if record.metric is None:
        return None
    value = record.no_skill.get(record.metric.name)
    if value is None:
        rows = [score_of(record, row) for row in record.references if row.name == NO_SKILL]
        value = rows[0].value if rows and rows[0] else None
    return value if value is not None and math.isfinite(value) else None


def best_reference(record: Record) -> RowRecord | None:
    """The reference row with the best deciding score, no-skill left out; None if there is none."""
    if record.metric is None:
        return None
    sign = 1 if record.metric.higher_is_better else -1
    scored = [
        (sign * score.value, row)
        for row in record.references
        if row.name != NO_SKILL and (score := score_of(record, row)) and math.isfinite(score.value)
    ]
    return max(scored, key=lambda pair: pair[0])[1] if scored else None


def chosen_name(record: Record) -> str | None:
    """The recipe the run settled on; None if it never came to a choice."""
    if record.final:
        return record.final.recipe
    return record.trial.chosen if record.trial and record.trial.chosen_reason else None


def chosen_arm(record: Record) -> ArmRecord | None:
    """The measured arm of the chosen recipe; None if nothing was chosen or it was not an arm of its own."""
    name = chosen_name(record)
    return next((arm for arm in arms(record) if arm.name == name), None)


def chosen_score(record: Record) -> Estimate | None:
    """What to expect of the chosen recipe: its score corrected for the choice, else as measured."""
    if record.trial and record.trial.corrected_score and chosen_name(record) != BASELINE:
        return record.trial.corrected_score
    score = score_of(record, chosen_arm(record) or record.baseline)
    if score is None and record.final and record.metric:
        return record.final.scores.get(record.metric.name)
    return score


def given_up(record: Record, name: str) -> int | None:
    """Repeats after which a remedy was given up; None if all were trained."""
    if record.trial is None or record.baseline is None:
        return None
    trained = next((len(arm.fold_scores) for arm in record.trial.arms if arm.name == name), 0)
    return trained if 0 < trained < len(record.baseline.fold_scores) else None


def comparison_of(record: Record, name: str | None) -> ComparisonRecord | None:
    """The comparison of one remedy with the baseline; None if there is none."""
    compared = record.trial.comparisons if record.trial else []
    return next((comparison for comparison in compared if comparison.remedy == name), None)


def is_broken(record: Record) -> bool:
    """Whether the baseline was trained and has no finite deciding score."""
    return record.baseline is not None and not wording.is_known(score_of(record, record.baseline))


def direction(record: Record) -> str:
    """Which way is better, for a caption."""
    return "higher is better" if record.metric and record.metric.higher_is_better else "lower is better"


def _headline(record: Record) -> str:
    if record.data is None:
        return _so_far(record, "the table was read")
    if record.baseline is None:
        return _so_far(record, "the model was measured")
    chosen = chosen_name(record)
    if chosen not in (None, BASELINE):
        return _headline_of_choice(record, str(chosen)) + _of_no_use(record)
    return _headline_as_it_is(record, is_kept=chosen is not None) + (_of_no_use(record) if chosen else "")


def _of_no_use(record: Record) -> str:
    """A warning that what is handed over scores no better than no skill; "" where it does, or that is not known."""
    ours, floor = chosen_score(record), no_skill_of(record)
    if ours is None or floor is None or record.metric is None or not wording.is_known(ours):
        return ""
    lead = ours.value - floor if record.metric.higher_is_better else floor - ours.value
    return (
        "" if lead > 0 else " It is no better than a prediction that ignores the inputs: do not rely on it."
    )


def _so_far(record: Record, milestone: str, subject: str = "This run") -> str:
    """How far a run came: a running one is on its way to the milestone, another one stopped."""
    return f"{subject} {'has not come so far that' if record.status == 'running' else 'stopped before'} {milestone}."


def _headline_of_choice(record: Record, chosen: str) -> str:
    title = title_of(record, chosen)
    comparison = comparison_of(record, chosen)
    if comparison and comparison.verdict == "helps":
        return f"The model gets better with this remedy: {title}."
    return f"The model handed over is not the one that was given, but: {title}."


def _headline_as_it_is(record: Record, *, is_kept: bool) -> str:
    """The headline of a run that did not choose a remedy."""
    if is_broken(record):
        return "The model cannot be trained as it is: no training ended with a usable score."
    if not is_kept or record.trial is None:
        return _so_far(record, "remedies were judged", "The model was measured; this run")
    if not record.trial.comparisons:
        why = (
            "the time given ended before a remedy was tried"
            if left_untried(record)
            else "no remedy was tried"
        )
        return f"The model was measured and kept as it is: {why}."
    if left_untried(record):
        return "The model was kept as it is: of the remedies that there was time for, none is proven to make it better."
    return "The model was kept as it is: no remedy is proven to make it better."


def _sentences(record: Record) -> list[str]:
    said = []
    comparison = comparison_of(record, chosen_name(record))
    if comparison and record.metric and wording.is_known(comparison.difference):
        better = "better" if comparison.difference.value > 0 else "worse"
        amount = wording.value_of(comparison.difference).lstrip(wording.MINUS)
        said.append(
            f"On the same folds and seeds, its {record.metric.title} is {amount} {better} than that of "
            f"the model as it is (95\N{NO-BREAK SPACE}% interval of the improvement: "
            f"{wording.interval_of(comparison.difference)})."
        )
    elif record.trial and record.trial.chosen_reason:
        said.append(record.trial.chosen_reason)
    if record.diagnosis:
        said.append(f"Diagnosis: {record.diagnosis.sentence}")
    reference = _against_reference(record)
    return [*said, reference] if reference else said


def _against_reference(record: Record) -> str:
    """How the better of baseline and chosen recipe stands beside the best simple model; "" if unknown."""
    row = best_reference(record)
    ours, theirs = chosen_score(record), score_of(record, row)
    if not (row and ours and theirs and record.metric and wording.is_known(ours)):
        return ""
    lead = ours.value - theirs.value if record.metric.higher_is_better else theirs.value - ours.value
    leader = "network" if lead > 0 else "simple model"
    overlap = ours.low <= theirs.high and theirs.low <= ours.high
    decimals = wording.common_decimals([ours, theirs])
    standing = "scored better, but the intervals overlap: neither is clearly ahead" if overlap else "is ahead"
    return (
        f"Best of the simple models: {row.title} with {wording.value_of(theirs, decimals)}. "
        f"The network reaches {wording.value_of(ours, decimals)}. The {leader} {standing}."
    )


def _key_numbers(record: Record) -> list[KeyNumber]:
    if record.metric is None:
        return []
    measured: list[tuple[str, Estimate | None, str]] = []
    if record.baseline:
        measured.append((title_of(record, BASELINE), score_of(record, record.baseline), ""))
    if (name := chosen_name(record)) not in (None, BASELINE):
        is_corrected = record.trial is not None and record.trial.corrected_score is not None
        note = f"{'' if is_corrected else 'not '}corrected for having been chosen"
        measured.append((title_of(record, str(name)), chosen_score(record), note))
    if row := best_reference(record):
        measured.append((wording.capitalized(row.title), score_of(record, row), "best simple model"))
    decimals = wording.common_decimals(estimate for _, estimate, _ in measured)
    shown = [
        KeyNumber(
            label,
            wording.value_of(estimate, decimals),
            wording.interval_of(estimate, decimals) if wording.is_known(estimate) else "",
            note,
        )
        for label, estimate, note in measured
    ]
    if (no_skill := no_skill_of(record)) is not None:
        shown.append(
            KeyNumber(
                "No skill", wording.number(no_skill, decimals), "", "a prediction that ignores the inputs"
            )
        )
    test = (record.final.test or {}).get(record.metric.name) if record.final else None
    if record.final and test is not None:
        rows = wording.count(record.final.test_rows, "test row")
        shown.append(
            KeyNumber("Final model, test file", wording.number(test, decimals), "", f"scored once on {rows}")
        )
    return shown


def _next_steps(record: Record, run: str) -> list[NextStep]:
    steps = []
    if record.status != "finished":
        stood = "was" if record.status == "running" else "ended"
        steps.append(
            NextStep(
                f"The run {stood} in the stage “{record.stage}” when this was written. Where it stands still, this "
                "goes on with it; start it again with more --minutes if the time was used up.",
                f"caviar resume {quoted(run)}",
            )
        )
    if is_broken(record) and chosen_name(record) in (None, BASELINE):
        steps.append(
            NextStep(
                "Start with what the diagnosis found: until a training ends with a finite loss, "
                "nothing else matters."
            )
        )
    if record.final:
        steps.append(
            NextStep("Predict new rows with the final model.", f"caviar predict {quoted(run)} new_rows.csv")
        )
    if left_untried(record):
        steps.append(NextStep(left_untried(record)))
    warnings = [r for r in (record.data.remarks if record.data else []) if r.level == "warning"]
    if warnings:
        titles = listed([wording.shortened(remark.title, 80) for remark in warnings[:3]])
        more = f" and {len(warnings) - 3} more" if len(warnings) > 3 else ""
        steps.append(NextStep(f"Mind what was noticed about the data: {titles}{more}."))
    steps += _undecided(record)
    steps += _reference_step(record)
    return steps


def left_untried(record: Record) -> str:
    """How many remedies the time given left untried, and what to do; "" where there are none."""
    untried = [skip for skip in (record.trial.skipped if record.trial else []) if skip.is_late]
    if not untried:
        return ""
    several = f"{len(untried)} remedies were" if len(untried) > 1 else f"One remedy ({untried[0].title}) was"
    return f"{several} not tried for lack of time. Give more --minutes."


def _undecided(record: Record) -> list[NextStep]:
    """More repeats, if they would settle a remedy that looks good; more rows, where only these could."""
    if record.trial is None or record.plan is None:
        return []
    promising = [
        comparison
        for comparison in record.trial.comparisons
        if comparison.verdict == "not enough data" and comparison.difference.value > 0
    ]
    by_repeats = [(c.repeats_needed, c.remedy) for c in promising if c.repeats_needed]
    if by_repeats:
        repeats, name = min(by_repeats)
        return [
            NextStep(
                f"{title_of(record, name)} looks better but is not proven. "
                f"About {wording.count(repeats, 'repeat')} instead of {record.plan.repeats} "
                f"(--repeats {repeats}) would decide it."
            )
        ]
    by_rows = [c for c in promising if c.difference.value > record.trial.rope]
    if not by_rows:
        return []
    best = max(by_rows, key=lambda comparison: comparison.difference.value)
    return [
        NextStep(
            f"{title_of(record, best.remedy)} looks better by more than what counts as a practical difference, but is "
            f"not proven, and more repeats on the same rows will hardly decide it. Collect more rows, and try again."
        )
    ]


def _reference_step(record: Record) -> list[NextStep]:
    row = best_reference(record)
    ours, theirs = chosen_score(record), score_of(record, row)
    if not (row and ours and theirs and record.metric):
        return []
    is_ahead = theirs.low > ours.high if record.metric.higher_is_better else theirs.high < ours.low
    if not is_ahead:
        return []
    return [
        NextStep(
            f"Consider {row.title} for this table: it scores better than the network, and it trains in "
            f"{wording.duration(row.seconds)} on all folds together."
        )
    ]


def quoted(path: str) -> str:
    """`path` as one word of a shell command.

    >>> quoted("runs/my table")
    "'runs/my table'"
    """
    return shlex.quote(path)
