"""What a treatment accepts because it steadies: how often is it worse than what was there?

    python benchmarks/calm.py            # minutes; writes docs/statistics.md
    python benchmarks/calm.py --quick    # few trials, printed only

Made-up scores of a baseline whose seeds lie far apart, and of one remedy or twelve equal ones that gain so much and
leave so much of the spread; a negative gain is a loss that should not be accepted. The rules are those of `best_step`:
a cure that answers a finding must look no worse, an average must look better by what counts as a difference, and both
must steady significantly.
"""

import argparse
from importlib.metadata import version
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy import stats

from caviar.doctor.treatment import best_step
from caviar.measuring.trial import Trial, judge_trial
from tables import write

PAGE = Path(__file__).resolve().parents[1] / "docs" / "statistics.md"
REPEATS, FOLDS, SEEDS, ROPE = 3, 5, 3, 1.0
BY_SPLIT, BY_SEED = 1.0, 3.0
"""Standard deviations of a difference by split, and of the baseline's score by seed, in what counts as a difference."""
GAINS, LEAVES, MANY = (-2.0, -1.0, -0.5, 0.0, 1.0), (0.1, 0.3), (1, 12)
BENCH: Any = SimpleNamespace(
    shape=(REPEATS, FOLDS),
    metric=SimpleNamespace(higher_is_better=True, title="score"),
    test_share=1 / (FOLDS - 1),
    dataset=SimpleNamespace(n_rows=1_000, time=None),
)


def arm_of(name: str, scores: np.ndarray, *, averages: bool = False) -> Any:  # noqa: ANN401
    """As much of a measured recipe as the rules read."""
    recipe = SimpleNamespace(name=name, title=name, ensemble=5 if averages else 1, blended_with=())
    return SimpleNamespace(recipe=recipe, each=scores)


def accepted(gain: float, leaves: float, many: int, trials: int, *, averages: bool) -> tuple[int, int]:
    """In how many trials one is accepted, and in how many of these because it helps."""
    rng = np.random.default_rng([round(10 * (gain + 5)), round(10 * leaves), many, averages])
    taken = helping = 0
    for _ in range(trials):
        shape = (REPEATS, FOLDS, SEEDS)
        baseline = arm_of("baseline", BY_SEED * rng.normal(size=shape))
        shared = 1 / FOLDS
        arms = []
        for i in range(many):
            split = np.sqrt(shared) * rng.normal() + np.sqrt(1 - shared) * rng.normal(
                size=(REPEATS, FOLDS, 1)
            )
            scores = gain + BY_SPLIT * split + leaves * BY_SEED * rng.normal(size=shape)
            arms.append(arm_of(f"remedy-{i}", scores, averages=averages))
        trial = Trial(baseline, arms)
        comparisons = judge_trial(BENCH, trial, ROPE)
        finding = SimpleNamespace(outcome="found", remedies=[arm.recipe.name for arm in arms])
        now: Any = SimpleNamespace(
            trial=trial,
            comparisons=comparisons,
            evidence=SimpleNamespace(rope=ROPE),
            record=SimpleNamespace(findings=[] if averages else [finding]),
        )
        best = best_step(BENCH, now, averaged=averages)
        taken += best is not None
        helping += any(one.verdict == "helps" for one in comparisons)
    return taken, helping


def share(hits: int, number: int) -> str:
    """Share of hits with Wilson's interval."""
    low, high = stats.binomtest(hits, number).proportion_ci(method="wilson")
    return f"{hits / number:.1%} ({low:.1%} – {high:.1%})"


def page(trials: int) -> list[str]:
    """The table."""
    text = [
        (
            f"Of {trials:,} trials each, those in which something is accepted, with 95 % Wilson intervals; in brackets "
            f"of them those in which it was shown to help. Gains are true ones, in what counts as a difference; a "
            f"remedy leaves so much of the spread between seeds, which is {BY_SEED:g} without it."
        ),
        "",
        "| remedies | spread left | true gain | cures that answer a finding | averages |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for many, leaves, gain in product(MANY, LEAVES, GAINS):
        cells = []
        for averages in (False, True):
            taken, helping = accepted(gain, leaves, many, trials, averages=averages)
            cells.append(f"{share(taken, trials)} [{helping / trials:.1%}]")
        text.append(f"| {many} | {leaves:g} | {gain:g} | {' | '.join(cells)} |")
        print(text[-1], flush=True)
    return [*text, "", f"NumPy {version('numpy')}, SciPy {version('scipy')}."]


def main() -> None:
    """Simulate everything, then write the table."""
    parser = argparse.ArgumentParser(description="Accepting what steadies, simulated.")
    parser.add_argument("--quick", action="store_true", help="few trials, printed only")
    asked = parser.parse_args()
    text = "\n".join(page(10 if asked.quick else 300))
    print(text)
    if not asked.quick:
        write(text, "calm", PAGE)


if __name__ == "__main__":
    main()
