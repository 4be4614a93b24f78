"""Write docs/checks.md: what each check looks for, how it is found, why it matters, and what helps.

    python scripts/checks_page.py

Everything on the page comes from the tables of checks, experiments and remedies; a test says whether it is up to date.
"""

import inspect
import re
from pathlib import Path

from caviar.diagnose.contract import Check
from caviar.diagnose.diagnosis import CHECKS
from caviar.experiments.contract import Experiment
from caviar.experiments.table import EXPERIMENTS
from caviar.population import devices
from caviar.remedies.table import REMEDIES

devices.start()

PAGE = Path(__file__).resolve().parents[1] / "docs" / "checks.md"
AREAS = {
    "S": "Static: read off the model before anything trains",
    "D": "Data: read off the inputs and the target",
    "L": "Learning: read off curves, scores and probes",
    "G": "Generalization",
    "P": "Prediction",
}


def entry(check: Check) -> list[str]:
    """One check's part of the page."""
    what, thresholds = told(check)
    kind = "is bad in itself" if check.evident else "is a suspicion until taking it away is seen to help"
    helping = [r for r in REMEDIES if check.fault in r.answers]
    helping.sort(key=lambda r: r.cures != check.fault)
    names = ", ".join(f"{r.title.lower()} (`{r.name}`)" for r in helping)
    helps = f"{names}." if names else f"No change of the recipe. {check.by_hand}"
    lines = [
        f"### {check.code} {check.title}",
        "",
        f"Fault: {check.fault.replace('_', ' ')}. Seeing it {kind}.",
        "",
    ]
    lines += [f"**How it is found.** {what}", ""]
    lines += [f"- `{name}` = {value:g}: {text}" for name, value, text in thresholds]
    lines += ([""] if thresholds else []) + [
        f"**Why it matters.** {check.why}",
        "",
        f"**What helps.** {helps}",
        "",
    ]
    return lines


def asked(experiment: Experiment) -> list[str]:
    """One experiment's part of the page."""
    return [
        f"### {experiment.title} (`{experiment.name}`)",
        "",
        f"**What is trained.** {experiment.asks}",
        "",
        f"**What it tells apart.** {experiment.tells}",
        "",
        f"**Source.** {experiment.source}.",
        "",
    ]


def told(check: Check) -> tuple[str, list[tuple[str, float, str]]]:
    """What a check's docstring says, and its thresholds: name, default, meaning."""
    text = inspect.getdoc(check.look) or ""
    before, _, after = text.partition("\nArgs:\n")
    found = []
    for name, parameter in inspect.signature(check.look).parameters.items():
        if parameter.default is inspect.Parameter.empty:
            continue
        said = re.search(rf"^    {name}: (.*?)(?=^    \w+: |\Z)", after, re.DOTALL | re.MULTILINE)
        found.append((name, parameter.default, " ".join((said[1] if said else "").split())))
    return " ".join(before.split()), found


def page() -> str:
    """The whole page."""
    lines = ["# What the doctor looks for", ""]
    lines += [
        "Written by `python scripts/checks_page.py` from the tables of checks, experiments and remedies. How a suspicion",
        "becomes a finding stands in [doctor.md](doctor.md).",
        "",
    ]
    for letter, title in AREAS.items():
        lines += [f"## {title}", ""]
        for check in CHECKS:
            if check.code.startswith(letter):
                lines += entry(check)
    lines += ["## Experiments: what must be tried to be known", ""]
    lines += [
        "Checks train nothing. Where what they saw can have several reasons, a few extra members are trained, as one",
        "population; checks then read what came out. None is run on a model in which nothing looks wrong, but finite",
        "differences where a person's own code computes gradients. Training longer is a remedy, `longer`, tried on all",
        "folds.",
        "",
    ]
    for experiment in EXPERIMENTS:
        lines += asked(experiment)
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
