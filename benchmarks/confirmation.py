"""Do the two ways of confirming a treatment keep their promises with real networks?

    python benchmarks/confirmation.py            # about ten minutes; writes docs/statistics.md
    python benchmarks/confirmation.py --quick    # few tables, printed only

*Hold-out*: of 2,000 rows a fifth is kept apart; five networks of each of two recipes, one of them better, are scored on
it. The truth is the difference between networks of 40 other seeds, trained on the same rows, on 5,000 rows that nobody
saw. *Nested folds*: the best of eight learning rates is chosen anew for each fold by networks that never saw it; the
truth is the mean score of networks of the chosen rates, trained on fresh samples.
"""

import argparse
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from caviar.doctor.confirmation import HOLD_OUT, HOLD_OUT_FROM, SEEDS
from caviar.evaluate.confirm import paired_gain
from real_networks import POOL, RATES, SETTINGS, Member, Setting, folds, trained, truth
from speed import machine
from tables import write

PAGE = Path(__file__).resolve().parents[1] / "docs" / "statistics.md"
TRUE_SEEDS, TRUE_ROWS = 40, 5_000
FOLDS, REPEATS = 5, 3


def hold_out(task: str, tables: int) -> tuple[int, list[float]]:
    """How many intervals hold the truth, and their widths relative to the true gain."""
    setting = Setting(task, HOLD_OUT_FROM, 12)
    members, apart = [], []
    for number in range(tables):
        rng = np.random.default_rng((number, task == "classes"))
        rows = rng.permutation(POOL)[: HOLD_OUT_FROM + TRUE_ROWS]
        held, fit, unseen = np.split(rows, [HOLD_OUT_FROM // HOLD_OUT, HOLD_OUT_FROM])
        apart.append(held)
        for arm in (0, 2):
            members += [Member(arm, fit, held, 1000 * number + k) for k in range(SEEDS)]
            members += [Member(arm, fit, unseen, 1000 * number + 100 + k) for k in range(TRUE_SEEDS)]
    found = trained(setting, members)
    covered, widths = 0, []
    each = SEEDS + TRUE_SEEDS
    for number in range(tables):
        own, new = (found[(2 * number + i) * each : (2 * number + i + 1) * each] for i in (0, 1))
        true = float(np.mean(own[SEEDS:]) - np.mean(new[SEEDS:]))
        # Losses stand in for predictions: the score is their mean.
        gain = paired_gain(
            lambda losses, _rows: float(losses.mean()),
            np.array(own[:SEEDS])[:, :, None],
            np.array(new[:SEEDS])[:, :, None],
            np.arange(len(apart[number])),
            higher_is_better=False,
        )
        covered += int(gain.contains(true))
        widths.append((gain.high - gain.low) / abs(true))
    return covered, widths


def nested(setting: Setting, tables: int) -> tuple[list[float], list[float]]:
    """How much better than the truth the naive choice and the nested one look, relative to the truth."""
    inner, outer = [], []
    for number in range(tables):
        rows, parts = folds(setting, 70_000 + number, FOLDS, REPEATS)
        everything = np.arange(setting.rows)
        for i, rate in enumerate(RATES):
            seed = 1000 * number
            for repeat in parts:
                for held in repeat:
                    seed += 1
                    fit = np.setdiff1d(everything, held)
                    outer.append(Member(0, rows[fit], rows[held], seed, rate))
                    inner += [
                        Member(0, rows[np.setdiff1d(fit, other)], rows[other], 500 * i + seed, rate)
                        for other in repeat
                        if other is not held
                    ]
    shape = (tables, len(RATES), FOLDS * REPEATS)
    inside = (
        np.array([each.mean() for each in trained(setting, inner)]).reshape(*shape, FOLDS - 1).mean(axis=3)
    )
    outside = np.array([each.mean() for each in trained(setting, outer)]).reshape(shape)
    true = truth(setting, setting.rows - setting.rows // FOLDS, (0,), RATES)[0]
    naive, honest = [], []
    for number in range(tables):
        best = int(outside[number].mean(axis=1).argmin())
        naive.append((true[best] - outside[number, best].mean()) / true[best])
        chosen = inside[number].argmin(axis=0)
        expected = true[chosen].mean()
        said = outside[number, chosen, np.arange(len(chosen))].mean()
        honest.append((expected - said) / expected)
    return naive, honest


def _percent(values: list[float]) -> str:
    each = 100 * np.array(values)
    return f"{each.mean():+.1f} ± {each.std(ddof=1) / np.sqrt(len(each)):.1f} %"


def main() -> None:
    """Simulate both."""
    parser = argparse.ArgumentParser(description="Confirmation, simulated.")
    parser.add_argument("--quick", action="store_true", help="few tables, printed only")
    quick = parser.parse_args().quick
    tables = 10 if quick else 200
    text: list[Any] = [
        f"**Hold-out**: how often the 95 % interval of the gain holds the truth, of {tables} tables.",
        "",
        "| networks | intervals that hold the truth | median width, in true gains |",
        "| --- | ---: | ---: |",
    ]
    for task in ("classes", "values"):
        covered, widths = hold_out(task, tables)
        low, high = stats.binomtest(covered, tables).proportion_ci(method="wilson")
        share = f"{covered / tables:.1%} ({low:.1%} – {high:.1%})"
        text.append(f"| {task}, {HOLD_OUT_FROM:,} rows | {share} | {np.median(widths):.2f} |")
    text += [
        "",
        (
            f"**Nested folds**: how much better than its truth the best of {len(RATES)} learning rates looks (mean and "
            f"standard error of {tables // 4} tables, {FOLDS} folds x {REPEATS} repeats)."
        ),
        "",
        "| networks | as it looks | nested folds |",
        "| --- | ---: | ---: |",
    ]
    for setting in SETTINGS[:: 3 if quick else 1]:
        naive, honest = nested(setting, tables // 4)
        text.append(f"| {setting.title} | {_percent(naive)} | {_percent(honest)} |")
    text += ["", f"{machine()}; caviar {version('caviar')}, keras {version('keras')}, jax {version('jax')}."]
    print("\n".join(text))
    if not quick:
        write("\n".join(text), "confirmation", PAGE)


if __name__ == "__main__":
    main()
