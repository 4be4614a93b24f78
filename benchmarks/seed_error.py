"""How often does the doctor's test call equal recipes different, and what power do several seeds per fold buy?

    python benchmarks/seed_error.py            # about ten minutes; writes docs/statistics.md
    python benchmarks/seed_error.py --quick    # few tables, printed only

The doctor trains three seeds per fold (5 folds x 3 repeats) and leaves what seeds do to a score out of Nadeau and
Bengio's correction, which is for rows that folds share. The learner is ridge regression on random features that the
seed draws, so that seeds matter as they do for networks, and many tables can be drawn. Equal arms differ in their seeds
only, or see different inputs that know equally much, so that on each table one of them is better by chance. The better
arm of the second table has a true advantage: one of its features knows more.
"""

import argparse
from dataclasses import dataclass

import numpy as np
from scipy import stats

from caviar.evaluate.compare import compare
from tables import write

FOLDS, REPEATS, SEEDS = 5, 3, 3
NOMINAL = 0.05
PAGE_MARK = "seed_error"


@dataclass(frozen=True)
class Setting:
    """A table and a learner.

    Attributes:
        rows: Of a table.
        features: Random features of an arm: the fewer, the more the seed matters.
        noise: Standard deviation of the target's noise.
        apart: Whether the arms see different inputs: the first three, or the last three of four.
    """

    rows: int
    features: int
    noise: float
    apart: bool

    @property
    def title(self) -> str:
        """How the arms differ."""
        return "inputs and seeds" if self.apart else "seeds"


SETTINGS = tuple(
    Setting(rows, features, noise, apart)
    for apart in (False, True)
    for rows in (100, 300, 1000)
    for features, noise in ((5, 0.3), (30, 1.0))
)


def draw(setting: Setting, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A table: inputs (row, 4) and a target of which all inputs know equally much."""
    x = rng.normal(size=(setting.rows, 4))
    return x, np.sin(2 * x).sum(axis=1) + rng.normal(0, setting.noise, setting.rows)


def folds(rows: int, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to train on and rows held out, of every fold of every repeat."""
    found = []
    for _ in range(REPEATS):
        parts = np.array_split(rng.permutation(rows), FOLDS)
        found += [(np.setdiff1d(np.arange(rows), part), part) for part in parts]
    return found


def scores(
    x: np.ndarray,
    y: np.ndarray,
    splits: list[tuple[np.ndarray, np.ndarray]],
    features: int,
    rng: np.random.Generator,
    bonus: float = 0.0,
) -> np.ndarray:
    """Mean squared errors (repeat, fold, seed) of an arm."""
    found = np.empty((len(splits), SEEDS))
    for i, (train, held_out) in enumerate(splits):
        for k in range(SEEDS):
            weights, shifts = rng.normal(size=(x.shape[1], features)), rng.uniform(-1, 1, features)
            known = np.hstack([np.ones((len(x), 1)), np.tanh(x @ weights + shifts)])
            if bonus:
                known = np.hstack([known, bonus * np.sin(2 * x[:, :1])])
            gram = known[train].T @ known[train] + 0.1 * np.eye(known.shape[1])
            solved = np.linalg.solve(gram, known[train].T @ y[train])
            found[i, k] = np.mean((known[held_out] @ solved - y[held_out]) ** 2)
    return found.reshape(REPEATS, FOLDS, SEEDS)


def judged(one: np.ndarray, other: np.ndarray, rows: int) -> dict[str, float]:
    """The p of every way to test."""
    share = 1 / (FOLDS - 1)
    common = {
        "higher_is_better": False,
        "test_share": share,
        "n_rows": rows,
        "rope": 0.0,
        "metric_title": "error",
    }
    by_seed = sum(float(each.var(axis=2, ddof=1).mean()) / SEEDS for each in (one, other))
    gains = (one.mean(axis=2) - other.mean(axis=2)).ravel()
    return {
        "naive t": float(stats.ttest_1samp(gains, 0).pvalue),
        "one seed, corrected": compare("", one[:, :, 0], other[:, :, 0], **common).p,
        "three seeds, corrected": compare("", one.mean(axis=2), other.mean(axis=2), **common).p,
        "three seeds, seeds left out": compare(
            "", one.mean(axis=2), other.mean(axis=2), by_seed=by_seed, **common
        ).p,
    }


def rates(setting: Setting, tables: int, bonus: float) -> dict[str, tuple[int, int]]:
    """How often each way calls two arms different, of so many tables."""
    called: dict[str, int] = {}
    for number in range(tables):
        rng = np.random.default_rng((setting.rows, setting.features, setting.apart, number))
        x, y = draw(setting, rng)
        splits = folds(setting.rows, rng)
        first, second = (x[:, :3], x[:, 1:]) if setting.apart else (x, x)
        one = scores(first, y, splits, setting.features, rng)
        other = scores(second, y, splits, setting.features, rng, bonus)
        for name, p in judged(one, other, setting.rows).items():
            called[name] = called.get(name, 0) + (p < NOMINAL)
    return {name: (count, tables) for name, count in called.items()}


def lines(tables: int, bonus: float) -> list[str]:
    """A table: settings by ways."""
    found = {setting: rates(setting, tables, bonus) for setting in SETTINGS}
    names = list(next(iter(found.values())))
    text = [
        f"| arms differ in | rows | random features | noise | {' | '.join(names)} |",
        f"| --- | ---: | ---: | ---: | {' | '.join('---:' for _ in names)} |",
    ]
    for setting, called in found.items():
        cells = []
        for name in names:
            low, high = stats.binomtest(*called[name]).proportion_ci(method="wilson")
            cells.append(f"{called[name][0] / called[name][1]:.1%} ({low:.1%} – {high:.1%})")
        text.append(
            f"| {setting.title} | {setting.rows:,} | {setting.features} | {setting.noise} | {' | '.join(cells)} |"
        )
    return text


def main() -> None:
    """Simulate both tables."""
    parser = argparse.ArgumentParser(description="Error rates of the doctor's test.")
    parser.add_argument("--quick", action="store_true", help="few tables, printed only")
    quick = parser.parse_args().quick
    tables = 40 if quick else 200
    text = [
        f"**Equal arms**: how often a difference is called significant at nominal {NOMINAL:.0%}, of {tables:,} tables.",
        "",
        *lines(tables, 0.0),
        "",
        f"**A better arm**: how often the difference is seen, of {tables // 4:,} tables.",
        "",
        *lines(tables // 4, 1.0),
        "",
        f"{FOLDS} folds x {REPEATS} repeats; shares with their 95 % Wilson intervals; NumPy {np.__version__}.",
    ]
    print("\n".join(text))
    if not quick:
        from pathlib import Path

        write("\n".join(text), PAGE_MARK, Path(__file__).resolve().parents[1] / "docs" / "statistics.md")


if __name__ == "__main__":
    main()
