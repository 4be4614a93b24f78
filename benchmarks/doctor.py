"""Does the doctor name what is wrong with sick models, and does its repair hold on fresh rows?

    python benchmarks/doctor.py cases.jsonl            # resumes case by case; writes docs/doctor.md
    python benchmarks/doctor.py cases.jsonl --quick    # six cases, no repair, printed only

Each model is built from its description (sick_cases.py) and diagnosed without help, then treated. Repairs are scored on
rows that took part in nothing, mean of five seeds, beside (a) random search over the same remedies with as many
trainings, (b) always standardising, Adam at 0.001, ReLU with He's weights and early stopping, and the repair that the
description accepts. Scores below no skill count as no skill, so that a model that runs away does not flatter its
repair.
"""

import argparse
import json
import time
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from fresh import SEEDS, fresh_scores
from sick_cases import Case, read_cases
from speed import machine
from tables import write

PAGE = Path(__file__).resolve().parents[1] / "docs" / "doctor.md"
MINUTES = 1.5
QUICK = 6
ALWAYS = ("scaling", "relu", "adam", "early-stopping")
# Best known and before must differ by so many standard errors, and this much, for a share of it to mean anything.
_ERRORS, _LEAST = 2.0, 0.02
_MOST_TOGETHER = 3


@dataclass(frozen=True, eq=False)
class Fresh:
    """Scores recipes on a case's fresh rows."""

    case: Case

    def scores(self, recipe: Any) -> np.ndarray:  # noqa: ANN401
        """Scores of five seeds, none below no skill."""
        from caviar.measuring.given import read_arrays

        case = self.case
        dataset, _ = read_arrays(case.x, case.y, None)
        least = 0.0
        if dataset.is_classification:
            least = float(np.bincount(dataset.target[case.fresh]).max() / len(case.fresh))
        return np.fmax(fresh_scores(recipe, case.x, case.y, case.rows, case.fresh, case.metric), least)


def examine(case: Case, *, repair: bool) -> dict[str, Any]:
    """Everything that one line of the table needs."""
    import caviar

    began = time.monotonic()
    diagnosis = caviar.diagnose(
        case.build,
        case.x[case.rows],
        case.y[case.rows],
        batch_size=case.said["batch_size"],
        epochs=case.said["epochs"],
        verbose=0,
    )
    said = {
        "case": case.name,
        "tier": case.said["tier"],
        "area": diagnosis.area,
        "found": sorted({finding.fault for finding in diagnosis.findings}),
        "codes": [finding.code for finding in diagnosis.findings],
        "findings": len(diagnosis.findings),
        "accepted": sorted(case.accepted),
        "truth": sorted(case.said["ground_truth_faults"]),
        "seconds": time.monotonic() - began,
    }
    if repair:
        said |= _repaired(case, diagnosis)
    return said


def _repaired(case: Case, diagnosis: Any) -> dict[str, Any]:  # noqa: ANN401
    from caviar.measuring.given import make_recipe, read_arrays

    began = time.monotonic()
    treatment = diagnosis.treat(minutes=MINUTES)
    seconds = time.monotonic() - began
    fresh = Fresh(case)
    own = diagnosis._recipe  # noqa: SLF001 - the recipe as the doctor read it
    trainings = sum(1 + len(look.trial.arms) for look in treatment.rounds)
    scores = {
        "before": fresh.scores(own),
        "doctor": fresh.scores(treatment.recipe),
        "random": fresh.scores(_random(diagnosis, own, trainings)),
        "always": fresh.scores(_with(own, ALWAYS, case.x.shape[1])),
    }
    fixed = case.fixed()
    if fixed is not None:
        dataset, _ = read_arrays(fixed.x, fixed.y, None)
        said = fixed.said
        recipe = make_recipe(
            fixed.build,
            dataset,
            name="fix",
            batch_size=said["batch_size"],
            epochs=said["epochs"],
            callbacks=(),
        )
        scores["fix"] = Fresh(fixed).scores(recipe)
    return {
        "scores": {name: values.tolist() for name, values in scores.items()},
        "treatment seconds": seconds,
        "trainings": trainings,
        "recipe": [f"{name}: {words}" for name, words in treatment.recipe.changes],
        "left": treatment.area,
    }


def _with(recipe: Any, names: tuple[str, ...], n_inputs: int) -> Any:  # noqa: ANN401
    """A recipe with those of some remedies that apply to it."""
    from caviar.measuring.trial import treated
    from caviar.population.template import sketch
    from caviar.remedies.contract import NotApplicable
    from caviar.remedies.table import REMEDIES

    by_name = {remedy.name: remedy for remedy in REMEDIES}
    for name in names:
        try:
            changed = treated(recipe, [by_name[name]])
            sketch(changed.build(n_inputs, recipe.n_outputs))
        except NotApplicable:
            continue
        recipe = changed
    return recipe


def _random(diagnosis: Any, own: Any, trainings: int) -> Any:  # noqa: ANN401
    """The best, by the doctor's own folds, of as many random sets of one to three remedies of different families."""
    from caviar.measuring.trial import Budget, Trial, try_some
    from caviar.progress import Clock
    from caviar.remedies.table import REMEDIES

    examination = diagnosis._examination  # noqa: SLF001
    rng = np.random.default_rng(1)
    first = diagnosis._first  # noqa: SLF001
    if first is None:
        return own
    trial = Trial(
        first.trial.baseline, worst=first.trial.worst, higher_is_better=first.trial.higher_is_better
    )
    clock, tried = Clock(MINUTES), 1
    for _ in range(10 * trainings):
        if tried >= trainings or clock.left() <= 0:
            break
        families = list(dict.fromkeys(remedy.family for remedy in REMEDIES))
        chosen = rng.permutation(families)[: rng.integers(1, _MOST_TOGETHER + 1)]
        remedies = [
            remedy
            for family in chosen
            for remedy in [rng.choice([r for r in REMEDIES if r.family == family])]  # type: ignore[arg-type]
        ]
        skipped = len(trial.skipped)
        try_some(
            examination.bench, trial, [remedies], Budget(clock.left), _no_monitor, lambda _: None, show=False
        )
        tried += len(trial.skipped) == skipped
    sign = 1 if trial.higher_is_better else -1
    return max((trial.baseline, *trial.arms), key=lambda arm: sign * float(trial.scores(arm).mean())).recipe


def _no_monitor(_recipe: object) -> Any:  # noqa: ANN401
    from caviar.population.job import Monitor

    return Monitor()


def hit(line: dict[str, Any]) -> bool:
    """Whether the verdict is accepted: any fault that was named or, without findings, the area, such as healthy."""
    return bool(set(named(line)) & set(line["accepted"]))


def is_fault_named(line: dict[str, Any]) -> bool:
    """Whether the verdict is accepted and says more than that the model is healthy."""
    return bool((set(named(line)) - {"healthy"}) & set(line["accepted"]))


def named(line: dict[str, Any]) -> list[str]:
    """Faults that were named, or the area where none was."""
    return line["found"] or [line["area"].replace(" ", "_")]


def rate(line: dict[str, Any], who: str) -> float | None:
    """Share of the possible improvement on fresh rows; None where the possible one is within noise."""
    scores = {name: np.array(values) for name, values in line["scores"].items()}
    before = scores["before"]
    best = max(
        (values for name, values in scores.items() if name != "before"), key=lambda values: values.mean()
    )
    gap = best.mean() - before.mean()
    error = np.sqrt((before.var(ddof=1) + best.var(ddof=1)) / SEEDS)
    if gap <= max(_ERRORS * error, _LEAST):
        return None
    return float((scores[who].mean() - before.mean()) / gap)


def table(lines: list[dict[str, Any]]) -> list[str]:
    """The page's text."""
    sick = [line for line in lines if line["truth"] != ["healthy"]]
    text = []
    hits, found = sum(hit(line) for line in sick), sum(is_fault_named(line) for line in sick)
    exact = sum(set(named(line)) == set(line["truth"]) for line in sick)
    healthy = [line for line in lines if line["truth"] == ["healthy"]]
    text += [
        f"{len(sick)} sick models and {len(healthy)} healthy ones.",
        "",
        f"- **The verdict is accepted** for {hits} of {len(sick)} sick models ({hits / len(sick):.0%}; aim 85 %):",
        "  a fault is named that the description accepts, or the model is called healthy and that is accepted.",
        f"- **A fault is named and accepted** for {found} of {len(sick)} sick models ({found / len(sick):.0%}).",
        f"- Exactly the faults of the description: {exact} of {len(sick)}.",
        f"- Findings per sick model: {np.mean([line['findings'] for line in sick]):.2f} (aim: 2 or fewer).",
        f"- Healthy models with a finding: {sum(line['findings'] > 0 for line in healthy)} of {len(healthy)}.",
        (
            f"- Seconds per diagnosis: median {np.median([line['seconds'] for line in lines]):.0f}, "
            f"longest {max(line['seconds'] for line in lines):.0f}."
        ),
    ]
    treated = [line for line in sick if "scores" in line]
    if treated:
        text += _repairs(treated)
    text += ["", "| fault | named rightly | named wrongly | missed |", "| --- | ---: | ---: | ---: |"]
    for fault in sorted({fault for line in lines for fault in (*named(line), *line["truth"])}):
        right = sum(fault in named(line) and fault in line["accepted"] for line in lines)
        wrong = sum(fault in named(line) and fault not in line["accepted"] for line in lines)
        missed = sum(fault in line["truth"] and not hit(line) for line in lines)
        text.append(f"| {fault.replace('_', ' ')} | {right} | {wrong} | {missed} |")
    text += [
        "",
        "| model | named | accepted | | before | doctor | random | always | fix | accepted remedies |",
    ]
    text += ["| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | --- |"]
    text += [_row(line) for line in lines]
    return text


def _repairs(treated: list[dict[str, Any]]) -> list[str]:
    text = ["", f"Treated: {len(treated)} of the sick models.", ""]
    text.append("| repair | mean share of the possible | median | models repaired to 90 % of it |")
    text.append("| --- | ---: | ---: | ---: |")
    who = {"doctor": "Caviar", "random": "random search, as many trainings", "always": "always the same"}
    possible = [line for line in treated if rate(line, "doctor") is not None]
    for name, title in who.items():
        rates = np.array([rate(line, name) for line in possible], dtype=float)
        text.append(
            f"| {title} | {rates.mean():.2f} | {np.median(rates):.2f} | {(rates >= 0.9).sum()} of {len(rates)} |"
        )
    text += ["", *map(partial(_ahead, possible), ("random", "always"))]
    text += [
        "",
        (
            f"In {len(treated) - len(possible)} further sick models the best known repair is no better than the model "
            f"within noise; they are left out of the shares."
        ),
    ]
    return text


def _ahead(possible: list[dict[str, Any]], other: str) -> str:
    """By how much Caviar is ahead of another repair, with a t interval over models."""
    titles = {"random": "random search", "always": "always the same"}
    ahead = np.array([(rate(line, "doctor") or 0.0) - (rate(line, other) or 0.0) for line in possible])
    within = stats.ttest_1samp(ahead, 0).confidence_interval()
    return (
        f"- Caviar is ahead of {titles[other]} by {ahead.mean():.2f} of the possible (95 % interval over models "
        f"{within.low:.2f} to {within.high:.2f}); it reaches more in {(ahead > 0).sum()} of {len(ahead)}."
    )


def _row(line: dict[str, Any]) -> str:
    cells = [line["case"], ", ".join(named(line)), ", ".join(line["accepted"]), "✓" if hit(line) else "–"]
    scores = line.get("scores", {})
    cells += [
        f"{np.mean(scores[n]):.3f}" if n in scores else ""
        for n in ("before", "doctor", "random", "always", "fix")
    ]
    cells.append("; ".join(line.get("recipe", [])))
    return "| " + " | ".join(cells).replace("_", " ") + " |"


def main() -> None:
    """Examine the cases that have no line yet, then write the table."""
    parser = argparse.ArgumentParser(description="Diagnose and treat sick models.")
    parser.add_argument("cases", type=Path, help="file with one JSON description per line")
    parser.add_argument("--quick", action="store_true", help="six cases, no repair, printed only")
    parser.add_argument("--only", nargs="*", default=[], help="names of cases")
    parser.add_argument("--repair", type=int, default=1, help="treat every so-manieth case only; 0 for none")
    parser.add_argument(
        "--lines", type=Path, default=Path("doctor-lines.jsonl"), help="where finished cases are kept"
    )
    asked = parser.parse_args()
    cases = read_cases(asked.cases, asked.only)
    if asked.quick:
        cases = cases[:: max(1, len(cases) // QUICK)][:QUICK]
    done: dict[str, dict[str, Any]] = {}
    if asked.lines.exists() and not asked.quick:
        for text in asked.lines.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            done[line["case"]] = line
    for place, case in enumerate(cases):
        repair = not asked.quick and asked.repair > 0 and place % asked.repair == 0
        if case.name in done and (not repair or "scores" in done[case.name]):
            continue
        line = examine(case, repair=repair)
        done[case.name] = line
        shares = {who: rate(line, who) for who in ("doctor", "random", "always")} if "scores" in line else {}
        print(
            case.name,
            "hit" if hit(line) else "miss",
            named(line),
            line["accepted"],
            f"{line['seconds']:.0f} s",
            shares,
            flush=True,
        )
        if not asked.quick:
            with asked.lines.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(line) + "\n")
    text = "\n".join(table([done[case.name] for case in cases]))
    text += f"\n\n{machine()}; caviar {version('caviar')}, keras {version('keras')}, jax {version('jax')}. "
    if any("scores" in line for line in done.values()):
        text += (
            f"At most {MINUTES:g} minutes per treatment and per random search. Scores are accuracies or R²."
        )
    print(text)
    if not asked.quick and not asked.only:
        write(text, "sick", PAGE)


if __name__ == "__main__":
    main()
