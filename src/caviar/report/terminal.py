"""What a run found, for the terminal: short enough to read at once, at 80 columns, without colour."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from caviar.estimate import Estimate
from caviar.evaluate.rate_findings import rate
from caviar.evaluate.wording import listed
from caviar.report import verdict as found
from caviar.report import wording
from caviar.report.front import direction, marks_of, objectives_of, worth_showing
from caviar.report.scale import setting
from caviar.report.search import ranked
from caviar.run.rates import RangeRecord
from caviar.run.record import ComparisonRecord, DataRecord, DiagnosisRecord, Record
from caviar.run.studies import CompareRecord, StabilityRecord, Study
from caviar.run.study import SearchRecord, TrialLine, complete

_MARKS = {
    "helps": ("▲", "green"),
    "harms": ("▼", "red"),
    "no practical difference": ("■", "default"),
    "not enough data": ("○", "blue"),
}
_BESIDE_ANOTHER = {"helps": "better", "harms": "worse"}
_TITLE_LENGTH = 60
_SHOWN_TRIALS = 10


def summary(record: Record, run_folder: Path | None = None) -> RenderableType:
    """What the run learned, as something a rich console prints.

    Nothing of the record is read as markup: column names may hold brackets.

    Args:
        record: What the run learned; any part may be missing.
        run_folder: Where the run lies, to name its report and its model; None leaves both out.

    >>> from rich.console import Console
    >>> Console(width=80).print(summary(Record(status="interrupted", stage="look")))
    <BLANKLINE>
    This run stopped before the table was read.
    """
    parts: list[RenderableType] = [Text(), Text(_headline(record, run_folder), style="bold")]
    parts += _data(record)
    parts += _scores(record)
    parts += _diagnosis(record)
    parts += _remedies(record)
    parts += _final(record)
    parts += _places(record, run_folder)
    return Group(*parts)


def _headline(record: Record, run_folder: Path | None) -> str:
    return found.verdict(record, str(run_folder or ".")).headline


def _line(label: str, text: str) -> Table:
    """A label and what belongs to it, wrapped beside it."""
    table = Table.grid(padding=(0, 2))
    table.add_column(width=10, style="dim")
    table.add_column(overflow="fold")
    table.add_row(Text(label), Text(text))
    return table


def _data(record: Record) -> list[RenderableType]:
    data = record.data
    if data is None:
        return []
    parts: list[RenderableType] = [Text(), _line("Data", _table_in_words(data))]
    warnings = [remark for remark in data.remarks if remark.level == "warning"]
    if warnings:
        titles = "; ".join(wording.shortened(remark.title, _TITLE_LENGTH) for remark in warnings[:3])
        more = f"; and {len(warnings) - 3} more" if len(warnings) > 3 else ""
        parts.append(_line("Warnings", f"{titles}{more}"))
    return parts


def _table_in_words(data: DataRecord) -> str:
    inputs = wording.count(len(data.columns), "input column")
    return f"{data.name}: {wording.count(data.rows, 'row')}, {inputs}, {data.task}"


def table_facts(data: DataRecord, no_skill: dict[str, float]) -> RenderableType:
    """What is in a table, as something a rich console prints: facts, no-skill scores, columns, remarks.

    Args:
        data: The table as it was understood.
        no_skill: What a prediction that ignores the inputs scores, by metric.

    >>> from rich.console import Console
    >>> seen = {"rows": 9, "columns": [], "targets": ["kind"], "task": "binary", "task_reason": "Text."}
    >>> data = DataRecord(name="wine", **seen)
    >>> Console(width=60).print(table_facts(data, {"log-loss": 0.69}))
    <BLANKLINE>
    Data        wine: 9 rows, 0 input columns, binary
    Target      kind. Text.
    No skill    log-loss 0.69
    <BLANKLINE>
    """
    scores = [f"{wording.metric_title(name)} {wording.number(value)}" for name, value in no_skill.items()]
    parts: list[RenderableType] = [
        Text(),
        _line("Data", _table_in_words(data)),
        _line("Target", f"{listed(data.targets)}. {data.task_reason}"),
    ]
    if data.class_counts:
        parts.append(_line("Classes", _classes(data)))
    parts.append(_line("No skill", ", ".join(scores)))
    parts += [_line("Left out" if place == 0 else "", reason) for place, reason in enumerate(data.left_out)]
    if data.columns:
        parts += [Text(), _columns(data)]
    for remark in sorted(data.remarks, key=lambda remark: remark.level == "info"):
        label = "! Warning" if remark.level == "warning" else "  Note"
        parts += [Text(), _line(label, f"{remark.title}. {remark.text}")]
    return Group(*parts, Text())


def _classes(data: DataRecord, most: int = 10) -> str:
    total = max(1, sum(data.class_counts))
    pairs = list(zip(data.classes, data.class_counts, strict=False))
    said = [f"{wording.shortened(name, 30)} {n:,} ({wording.percent(n / total)})" for name, n in pairs[:most]]
    return ", ".join(said) + (f" and {len(pairs) - most} more" if len(pairs) > most else "")


def _columns(data: DataRecord, most: int = 40) -> RenderableType:
    """The input columns as a table; of a wide one the first `most`."""
    table = _table("column", "kind", ">missing", ">distinct", ">range")
    for column in data.columns[:most]:
        has_range = column.low is not None and column.high is not None
        table.add_row(
            Text(wording.shortened(column.name, _TITLE_LENGTH)),
            Text(column.kind),
            Text(f"{column.missing:,}"),
            Text(f"{column.distinct:,}"),
            Text(f"{wording.number(column.low)} to {wording.number(column.high)}" if has_range else ""),
        )
    if len(data.columns) > most:
        table.add_row(Text(f"and {len(data.columns) - most} more"))
    return table


def _table(first: str, *others: str) -> Table:
    """A table without lines: the first column takes what room there is and wraps; `>` aligns to the right."""
    table = Table(box=None, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(Text(first), ratio=1, overflow="fold")
    for name in others:
        table.add_column(
            Text(name.removeprefix(">")), justify="right" if name.startswith(">") else "left", no_wrap=True
        )
    return table


def _scores(record: Record) -> list[RenderableType]:
    if record.baseline is None or record.metric is None:
        return []
    title = f"{record.metric.title} on held-out rows ({found.direction(record)})"
    table = _table(title, ">score", ">95 % interval")
    baseline = record.baseline
    decimals = found.score_decimals(record).get(record.metric.name)
    for row in found.scored_rows(record):
        score = row.scores.get(record.metric.name)
        table.add_row(
            Text(wording.shortened(row.title, _TITLE_LENGTH)),
            Text(wording.value_of(score, decimals)),
            Text(wording.interval_of(score, decimals) if wording.is_known(score) else ""),
        )
    parts: list[RenderableType] = [Text(), table]
    if baseline.failed_members:
        trainings = wording.count(baseline.members, "training")
        parts.append(
            Text(f"{baseline.failed_members} of {trainings} failed: the loss stopped being a number.")
        )
    return parts


def _diagnosis(record: Record) -> list[RenderableType]:
    if record.diagnosis is None:
        return []
    parts: list[RenderableType] = [Text(), _line("Diagnosis", record.diagnosis.sentence)]
    parts += [
        _line(f"  {finding.code}", f"! {finding.title}: {finding.sentence}")
        for finding in record.diagnosis.findings
        if finding.outcome == "found"
    ]
    if record.spread:
        parts.append(_line("Luck", record.spread.sentence))
    return parts


def _remedies(record: Record) -> list[RenderableType]:
    untried = found.left_untried(record)
    return _tried(record) + ([Text(), _line("Untried", untried)] if untried else [])


def _tried(record: Record) -> list[RenderableType]:
    if record.trial is None or record.metric is None or not record.trial.comparisons:
        return []
    trial = record.trial
    table = _table("Remedy", "verdict", ">better by", ">95 % interval")
    decimals = wording.common_decimals(comparison.difference for comparison in trial.comparisons)
    given_up = {c.remedy for c in trial.comparisons if found.given_up(record, c.remedy)}
    for comparison in trial.comparisons:
        mark, colour = _MARKS[comparison.verdict]
        unclear = comparison.verdict == "not enough data" and comparison.remedy in given_up
        verdict = "unclear, given up" if unclear else _short_verdict(comparison)
        chosen = " (chosen)" if comparison.remedy == found.chosen_name(record) else ""
        table.add_row(
            Text(wording.shortened(found.title_of(record, comparison.remedy), _TITLE_LENGTH) + chosen),
            Text(f"{mark} {verdict}", style=colour),
            Text(wording.signed(comparison.difference, decimals)),
            Text(wording.interval_of(comparison.difference, decimals)),
        )
    note = (
        f"{record.metric.title}; differences up to {wording.number(trial.rope)} count as none. "
        "Intervals are unadjusted; verdicts are adjusted for the number of remedies (Holm)."
    )
    if given_up:
        note += " Given up: long ones that promised nothing in the first repeat."
    return [Text(), table, Text(note, style="dim")]


def _short_verdict(comparison: ComparisonRecord) -> str:
    """The verdict on a narrow line, with the repeats that would decide."""
    if comparison.verdict == "no practical difference":
        return "no difference"
    if comparison.verdict == "not enough data" and comparison.repeats_needed:
        return f"unclear, ~{comparison.repeats_needed} repeats"
    return comparison.verdict


def _final(record: Record) -> list[RenderableType]:
    final = record.final
    if final is None:
        return []
    parts: list[RenderableType] = [Text(), _line("Final", final.sentence)]
    if record.metric is None:
        return parts
    corrected = record.trial.corrected_score if record.trial else None
    if corrected:
        parts.append(
            _line("", f"Expect {wording.with_interval(corrected)}: corrected for having been chosen.")
        )
    test = (final.test or {}).get(record.metric.name)
    if test is not None:
        rows = wording.count(final.test_rows, "test row")
        parts.append(_line("Test", f"{record.metric.title} {wording.number(test)} on {rows}, scored once."))
    return parts


def _places(record: Record, run_folder: Path | None) -> list[RenderableType]:
    if run_folder is None:
        return []
    parts: list[RenderableType] = [Text(), _line("Report", str(run_folder / "report.html"))]
    if record.final:
        if record.final.files:
            parts.append(_line("Model", str((run_folder / record.final.files[0]).parent)))
        parts.append(_line("Predict", f"caviar predict {found.quoted(str(run_folder))} new_rows.csv"))
    return [Padding(Group(*parts), (0, 0, 1, 0))]


def diagnosis(record: DiagnosisRecord, score: Estimate | None, metric: str, seconds: float) -> RenderableType:
    """What the doctor found, as something a rich console prints: the area, findings with what helps, and notes."""
    from caviar.remedies.table import REMEDIES

    titles = {remedy.name: remedy.title for remedy in REMEDIES}
    parts: list[RenderableType] = [Text(), Text(record.sentence, style="bold")]
    if score is not None:
        decimals = wording.common_decimals([score])
        text = f"{metric} {wording.value_of(score, decimals)} ({wording.interval_of(score, decimals)})"
        parts.append(_line("As it is", text))
    silent = record.area == "no signal"
    groups = {"!": record.costing} | {
        mark: []
        if silent
        else sorted((f for f in record.findings if f.outcome == outcome), key=lambda f: -f.severity)
        for mark, outcome in (("?", "suspected"), ("○", "harmless"))
    }
    for mark, findings in groups.items():
        for finding in findings:
            name = f"{finding.title} ({finding.fault.replace('_', ' ')})"
            parts.append(_line(f"{mark} {finding.code}", f"{name}: {finding.sentence}"))
            if mark == "!" and finding.remedies:
                helpful = "; ".join(titles.get(name, name) for name in finding.remedies[:3])
                parts.append(_line("", f"May help: {helpful}."))
            elif finding.by_hand:
                parts.append(_line("", f"By hand: {finding.by_hand}"))
    parts += [
        _line("Tried", f"{one.title}: {one.sentence}") for one in record.experiments if one.outcome == "done"
    ]
    clear = sum(finding.outcome == "clear" for finding in record.findings)
    note = (
        f"{clear} other checks found nothing; {seconds:.0f} s. ! costs performance; ? may be an effect of it, or was "
        f"not shown to cost anything; ○ taking it away changed nothing. `caviar improve` repairs."
    )
    return Group(*parts, Text(), Text(note, style="dim"), Text())


def comparison(record: CompareRecord) -> RenderableType:
    """What comparing recipes found, as something a rich console prints: scores, verdicts, and each of them in words."""
    decimals = wording.common_decimals(recipe.score for recipe in record.recipes)
    scores = _table(_score_title(record), ">score", ">95 % interval")
    for recipe in record.recipes:
        scores.add_row(
            Text(_named(recipe.name)),
            Text(wording.value_of(recipe.score, decimals)),
            Text(wording.interval_of(recipe.score, decimals)),
        )
    for title, value in _simple(record):
        scores.add_row(Text(title), Text(wording.number(value, decimals)), Text())
    first = record.recipes[0].name
    verdicts = _table(f"Beside {_named(first)}", "verdict", ">better by", ">95 % interval")
    decimals = wording.common_decimals(one.difference for one in record.comparisons)
    for one in record.comparisons:
        mark, colour = _MARKS[one.verdict]
        word = _BESIDE_ANOTHER.get(one.verdict) or _short_verdict(one)
        verdicts.add_row(
            Text(_named(one.remedy)),
            Text(f"{mark} {word}", style=colour),
            Text(wording.signed(one.difference, decimals)),
            Text(wording.interval_of(one.difference, decimals)),
        )
    note = (
        f"{record.metric.title}; differences up to {wording.number(record.scale.rope)} count as none: "
        f"{record.scale.reason}. Intervals are unadjusted; verdicts are adjusted for the number of comparisons (Holm)."
    )
    parts: list[RenderableType] = [Text(), Text(record.sentence, style="bold"), Text(), *_study(record)]
    parts += [Text(), scores]
    parts += [Text(), verdicts, Text(note, style="dim"), Text()]
    parts += [Text(one.sentence) for one in record.comparisons]
    return Group(*parts, Text())


def search(record: SearchRecord, lines: Sequence[TrialLine], folder: Path) -> RenderableType:
    """What a search found, as something a rich console prints.

    Args:
        record: What was found.
        lines: All trials.
        folder: Where they are kept.
    """
    objectives = objectives_of(record)
    trials = _table("Settings", ">trial", *(f">{one.title}" for one in objectives), "")
    for line in worth_showing(record, ranked(record, complete(lines)), _SHOWN_TRIALS):
        said = ", ".join(f"{name} {setting(value)}" for name, value in line.settings.items())
        numbers = [
            str(line.number),
            *map(wording.number, line.score),
            ", ".join(marks_of(record, line.number)),
        ]
        trials.add_row(Text(said), *map(Text, numbers))
    directions = "; ".join(f"{one.title}, {direction(one)}" for one in objectives)
    more = f" {wording.capitalized(directions)}." if record.front else ""
    judged = "measured on rows that no trial saw" if record.apart else "corrected"
    folds = f"{wording.count(record.repeats, 'repeat')} of {wording.count(record.folds, 'fold')}"
    parts: list[RenderableType] = [
        Text(),
        Text(record.sentence, style="bold"),
        Text(),
        _line(
            "Search",
            f"{record.search}, {wording.count(record.trials, 'trial')}, {folds} each, the same for all",
        ),
        _line("Took", wording.duration(record.seconds)),
        *(_line("Note", message) for message in record.messages),
        Text(),
        trials,
        Text(f"Scores as they look; only the best one's was {judged}.{more}", style="dim"),
        Text(),
        _line("Page", str(folder / "report.html")),
        _line("Trials", str(folder / "trials.jsonl")),
        _line("Result", str(folder / "result.json")),
    ]
    return Group(*parts, Text())


def _named(name: str) -> str:
    """The end of a recipe's name: of a long path, the file and the function."""
    return name if len(name) <= _TITLE_LENGTH else f"…{name[1 - _TITLE_LENGTH :]}"


def _score_title(record: Study) -> str:
    direction = "higher" if record.metric.higher_is_better else "lower"
    return f"{record.metric.title} on held-out rows ({direction} is better)"


def _simple(record: Study) -> list[tuple[str, float]]:
    """What a network has to beat."""
    scale = record.scale
    best = [(wording.capitalized(scale.reference_title), scale.reference)] if scale.reference_title else []
    return [*best, ("No skill", scale.no_skill)]


def _study(record: Study) -> list[RenderableType]:
    """What was learned from, how it was measured, and what a person should know about that."""
    table, plan = record.table, record.plan
    columns = wording.count(table.columns, "input column")
    repeats, folds = wording.count(plan.repeats, "repeat"), wording.count(plan.folds, "fold")
    parts: list[RenderableType] = [
        _line("Data", f"{table.name}: {wording.count(table.rows, 'row')}, {columns}, {table.task}"),
        _line("Measured", f"{repeats} of {folds}, {_seeds(record)}; took {wording.duration(record.seconds)}"),
    ]
    return parts + [_line("Note", message) for message in record.messages]


def _seeds(record: Study) -> str:
    seeds = wording.count(record.plan.seeds, "seed")
    return (
        f"{seeds} per fold in the first"
        if isinstance(record, StabilityRecord)
        else f"{seeds} per fold, the same for all"
    )


def stability(record: StabilityRecord, folder: Path | None = None) -> RenderableType:
    """What a study of stability found, as something a rich console prints.

    Args:
        record: What was found.
        folder: Where its page lies; None leaves that out.
    """
    named = [
        ("± 1.96 standard errors", record.normal),
        ("Bootstrap over repeats", record.bootstrap),
        ("Corrected (Nadeau and Bengio)", record.recipe.score),
    ]
    decimals = wording.common_decimals(estimate for _, estimate in named[:2])
    means = _table(f"Mean {record.metric.title}", ">score", ">95 % interval")
    for title, estimate in named:
        means.add_row(
            Text(title),
            Text(wording.value_of(estimate, decimals)),
            Text(wording.interval_of(estimate, decimals)),
        )
    for title, value in _simple(record):
        means.add_row(Text(title), Text(wording.number(value, decimals)), Text())
    spread = _table("Standard deviation due to", f">{record.metric.title}", ">95 % interval")
    decimals = wording.common_decimals([record.spread.split, record.spread.seed])
    for title, estimate in (("the split", record.spread.split), ("the seed", record.spread.seed)):
        spread.add_row(
            Text(title),
            Text(wording.value_of(estimate, decimals)),
            Text(wording.interval_of(estimate, decimals)),
        )
    failed = record.failed
    trainings = wording.count(record.recipe.members, "training")
    parts: list[RenderableType] = [
        Text(),
        Text(record.sentence, style="bold"),
        Text(),
        *_study(record),
        Text(),
        means,
        Text(record.why_they_differ, style="dim"),
        Text(),
        spread,
        Text(),
        _line("Luck", record.spread.sentence),
        _line("Normal?", record.normality.sentence),
        _line(
            "Failed",
            f"{record.recipe.failed_members} of {trainings} ({wording.percent(failed.low)} to "
            f"{wording.percent(failed.high)}, Wilson's 95 % interval)",
        ),
    ]
    if record.flips is not None:
        share = wording.percent(record.flips)
        parts.append(
            _line("Flips", f"{share} of the rows get another class from another seed on the same folds")
        )
    parts.append(
        _line(
            "Counts",
            f"differences up to {wording.number(record.scale.rope)} count as none: {record.scale.reason}",
        )
    )
    if folder is not None:
        parts += [
            Text(),
            _line("Page", str(folder / "report.html")),
            _line("Numbers", str(folder / "stability.json")),
        ]
    return Group(*parts, Text())


def lr_range(record: RangeRecord, folder: Path | None = None) -> RenderableType:
    """What a learning-rate range test found, as something a rich console prints.

    Args:
        record: What was found.
        folder: Where its page lies; None leaves that out.
    """
    rows = _table(
        "Rate",
        f">{record.metric.title}",
        ">95 % interval",
        f">lost of {record.members // len(record.rates)}",
        "",
    )
    decimals = wording.common_decimals([one.score for one in record.rates if one.alike])
    for one in record.rates:
        is_best = one.rate == record.best
        rows.add_row(
            Text(rate(one.rate)),
            Text(wording.value_of(one.score, decimals)),
            Text(wording.interval_of(one.score, decimals)),
            Text(f"{one.lost}" if one.lost else ""),
            Text("best" if is_best else "as good" if one.alike else "", style="green"),
        )
    parts: list[RenderableType] = [
        Text(),
        Text(record.sentence, style="bold"),
        Text(),
        *_study(record),
        Text(),
        rows,
    ]
    if record.base is not None and record.maximum is not None and record.search is not None:
        low, high = record.search
        between = f"{rate(low)},{rate(high)}" if folder is None else shlex.quote(str(folder))
        parts += [
            Text(),
            _line("Cycle", f"{rate(record.base)} to {rate(record.maximum)} (Smith 2017)"),
            _line("Search", f"{rate(low)} to {rate(high)}, on a logarithmic scale"),
            _line("with", f"caviar tune TABLE --rates {between}"),
            _line("or", f'hp.Float("rate", {rate(low)}, {rate(high)}, sampling="log") in a builder'),
        ]
    if folder is not None:
        parts += [
            Text(),
            _line("Page", str(folder / "report.html")),
            _line("Numbers", str(folder / "lr-range.json")),
        ]
    return Group(*parts, Text())
