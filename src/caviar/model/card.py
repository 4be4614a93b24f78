"""The model card: what the model is, how good it was measured to be, and what it is not for."""

from pathlib import Path

from caviar.run.files import write_text
from caviar.run.record import FinalRecord, Record


def write_card(folder: Path, record: Record, final: FinalRecord, parameters: int) -> None:
    """Write `README.md` beside the model, from the run's record alone."""
    data, plan, metric = record.data, record.plan, record.metric
    if data is None or plan is None or metric is None:
        return
    target = ", ".join(data.targets)
    lines = [
        f"# Model card: {_plain(target)} from {_plain(data.name)}",
        "",
        _plain(final.sentence),
        "",
        "## What it predicts",
        "",
        f"- Task: {data.task}. {_plain(data.task_reason)}",
        f"- Target: {_plain(target)}.",
    ]
    if data.classes:
        counts = ", ".join(
            f"{_plain(c)} ({n:,} rows)" for c, n in zip(data.classes, data.class_counts, strict=True)
        )
        lines.append(f"- Classes: {counts}.")
    lines += [
        (
            f"- Inputs: {len(data.columns)} columns ({', '.join(_plain(c.name) for c in data.columns[:30])}"
            f"{', …' if len(data.columns) > 30 else ''}); {data.n_inputs} numbers enter the network."
        ),
        f"- Preparation: {_plain(data.preparation)}",
        f"- Network: {final.members} × {parameters:,} parameters.",
        "",
        "## How good it is",
        "",
        (
            f"Measured by {plan.repeats} × {plan.folds}-fold cross-validation ({_plain(plan.split)}) of its recipe, on "
            "rows that took no part in training; 95 % intervals."
        ),
        "",
        "| score | value | interval |",
        "| --- | --- | --- |",
    ]
    lines += [
        f"| {_plain(name)} | {e.value:.4g} | {e.low:.4g} to {e.high:.4g} |"
        for name, e in final.scores.items()
    ]
    trial = record.trial
    if trial is not None and trial.corrected_score is not None:
        corrected = trial.corrected_score
        lines += [
            "",
            (
                f"The recipe was chosen among {len(trial.arms) + 1}. Corrected for having been chosen (BBC-CV), its "
                f"{_plain(metric.title)} is {corrected.value:.4g} ({corrected.low:.4g} to {corrected.high:.4g})."
            ),
        ]
    if final.test is not None:
        scores = ", ".join(f"{_plain(name)} {value:.4g}" for name, value in final.test.items())
        lines += ["", f"On {final.test_rows:,} rows kept apart and scored once: {scores}."]
    lines += [
        "",
        "## What it is not for",
        "",
        "- Rows unlike the training rows: ranges, categories and the way of measuring should be the same.",
        "- Decisions about people without someone who checks it for the groups concerned; nothing was checked here.",
        "",
        "## How to use it",
        "",
        "```",
        "caviar predict THIS_RUN new_rows.csv -o predictions.csv",
        "```",
        "",
        "The networks are ordinary `.keras` files; import `caviar.recipe.layers` before `keras.models.load_model`.",
        "",
        "Made with " + ", ".join(f"{k} {v}" for k, v in record.versions.items()) + ".",
        "",
    ]
    write_text(folder / "README.md", "\n".join(lines))


def _plain(text: str) -> str:
    """Text from other people's tables without what Markdown would read as markup."""
    return "".join("\\" + c if c in "\\`*_{}[]<>#|!&" else c for c in text.replace("\n", " "))
