"""Do Caviar's tests and intervals keep their promises?

Simulations with a known truth, which write their part of docs/statistics.md:

    python benchmarks/error_rates.py            # about eight minutes on one core, writes docs/statistics.md
    python benchmarks/error_rates.py --quick    # a minute, prints only

Arms that are equal by construction: each arm sees inputs of its own, and all arms' inputs enter the target
alike. On one table one arm looks better than another; over all tables none is. So every significant
difference is false.
"""

import argparse
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy
from scipy import stats
from scipy.spatial.distance import cdist
from scipy.special import expit
from threadpoolctl import threadpool_limits

from caviar.estimate import Estimate
from caviar.evaluate.compare import compare, judge
from caviar.evaluate.intervals import SMALL_TABLE, mean_estimate, proportion_estimate
from caviar.evaluate.metrics import brier_losses, log_losses
from caviar.evaluate.selection import corrected_winner
from caviar.evaluate.variance import spread
from tables import write

SEED = 20
FOLDS = 10
TEST_SHARE = 1 / (FOLDS - 1)
ROWS = (60, 100, 200, 500, 1000)
PAGE = Path(__file__).resolve().parents[1] / "docs" / "statistics.md"

Losses = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
"""`(inputs [row, input], target [row], train, held_out, rng) -> losses of the held-out rows`."""


@dataclass(frozen=True)
class Learner:
    """A cheap learner: how its table is drawn, how it is fitted and scored, and how much it is simulated.

    Every arm sees the `shared` inputs and `own` ones that no other arm sees. Where some are shared, the own
    ones are noise: such arms make nearly the same mistakes, as a recipe and its remedy do. Otherwise all own
    inputs matter alike.
    """

    title: str
    losses: Losses
    tables: int
    own: int = 5
    shared: int = 0
    binary: bool = True


def ridge_losses(
    inputs: np.ndarray,
    target: np.ndarray,
    train: np.ndarray,
    held_out: np.ndarray,
    rng: np.random.Generator,  # noqa: ARG001 - ridge regression draws nothing
) -> np.ndarray:
    """Absolute errors of ridge regression."""
    return np.abs(target[held_out] - _ridge(inputs[train], target[train], inputs[held_out]))


def ridge_brier_losses(
    inputs: np.ndarray,
    target: np.ndarray,
    train: np.ndarray,
    held_out: np.ndarray,
    rng: np.random.Generator,  # noqa: ARG001 - ridge regression draws nothing
) -> np.ndarray:
    """Brier losses of ridge regression on the class, clipped to probabilities."""
    positive = np.clip(_ridge(inputs[train], target[train], inputs[held_out]), 0.01, 0.99)
    return brier_losses(target[held_out].astype(int), np.stack([1 - positive, positive], axis=1))


def random_network_losses(
    inputs: np.ndarray,
    target: np.ndarray,
    train: np.ndarray,
    held_out: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Brier losses of a network whose hidden layer keeps its random initial weights."""
    hidden = np.maximum(inputs @ rng.normal(size=(inputs.shape[1], 20)) + rng.normal(size=20), 0)
    return ridge_brier_losses(hidden, target, train, held_out, rng)


def neighbour_losses(
    inputs: np.ndarray,
    target: np.ndarray,
    train: np.ndarray,
    held_out: np.ndarray,
    rng: np.random.Generator,  # noqa: ARG001 - neighbours are not drawn
) -> np.ndarray:
    """Brier losses of five nearest neighbours: a learner that answers for each region by itself."""
    distances = cdist(inputs[held_out], inputs[train], "sqeuclidean")
    nearest = np.argpartition(distances, 5, axis=1)[:, :5]
    positive = target[train][nearest].mean(axis=1)
    return brier_losses(target[held_out].astype(int), np.stack([1 - positive, positive], axis=1))


def logistic_losses(
    inputs: np.ndarray,
    target: np.ndarray,
    train: np.ndarray,
    held_out: np.ndarray,
    rng: np.random.Generator,  # noqa: ARG001 - logistic regression draws nothing
) -> np.ndarray:
    """Log-losses of penalized logistic regression, a score without an upper bound."""
    seen = np.column_stack([inputs[train], np.ones(len(train))])
    penalty = np.eye(seen.shape[1])
    weights = np.zeros(seen.shape[1])
    for _ in range(6):  # Newton's steps: the gradient is then below 1e-6 of where it began
        positive = expit(seen @ weights)
        curvature = (seen * (positive * (1 - positive))[:, None]).T @ seen + penalty
        weights += np.linalg.solve(curvature, seen.T @ (target[train] - positive) - weights)
    positive = expit(inputs[held_out] @ weights[:-1] + weights[-1])
    return log_losses(target[held_out].astype(int), np.stack([1 - positive, positive], axis=1))


def _ridge(inputs: np.ndarray, target: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    centre, level = inputs.mean(axis=0), target.mean()
    centred = inputs - centre
    gram = centred.T @ centred + np.eye(inputs.shape[1])
    return level + (held_out - centre) @ np.linalg.solve(gram, centred.T @ (target - level))


LEARNERS = (
    Learner("ridge regression, MAE, t3 noise, 5 inputs", ridge_losses, binary=False, tables=500),
    Learner("ridge classifier, Brier, 5 inputs", ridge_brier_losses, tables=500),
    Learner("ridge classifier, Brier, 25 inputs", ridge_brier_losses, own=25, tables=400),
    Learner("ridge classifier, Brier, 5 of 7 inputs shared", ridge_brier_losses, shared=5, own=2, tables=500),
    Learner("logistic regression, log-loss, 5 inputs", logistic_losses, tables=300),
    Learner("nearest neighbours, Brier, 5 inputs", neighbour_losses, tables=300),
)
WIDE, PAIRED = LEARNERS[2], LEARNERS[3]
SEED_ONLY = Learner("random network, Brier", random_network_losses, tables=300, shared=5, own=0)


def draw_table(
    learner: Learner, n_rows: int, arms: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs [arm, row, input] and target [row]; no arm's inputs matter more than another's."""
    shared = rng.normal(size=(1, n_rows, learner.shared))
    own = rng.normal(size=(arms, n_rows, learner.own))
    telling = shared if learner.shared else own
    signal = telling.sum(axis=(0, 2)) / np.sqrt(telling.shape[0] * telling.shape[2])
    inputs = np.concatenate([np.repeat(shared, arms, axis=0), own], axis=2)
    if not learner.binary:
        return inputs, signal + rng.standard_t(3, n_rows)
    return inputs, (2 * signal + rng.logistic(size=n_rows) > 0).astype(float)


def draw_folds(target: np.ndarray, *, binary: bool, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Held-out rows of each of ten folds, stratified where there are classes."""
    shuffled = rng.permutation(len(target))
    order = shuffled[np.argsort(target[shuffled], kind="stable")] if binary else shuffled
    for fold in range(FOLDS):
        yield order[fold::FOLDS]


def cross_validate(
    learner: Learner, n_rows: int, repeats: int, arms: int, rng: np.random.Generator
) -> np.ndarray:
    """Mean held-out losses [arm, repeat, fold] of one fresh table."""
    inputs, target = draw_table(learner, n_rows, arms, rng)
    scores = np.empty((arms, repeats, FOLDS))
    for repeat in range(repeats):
        for fold, held_out in enumerate(draw_folds(target, binary=learner.binary, rng=rng)):
            train = np.setdiff1d(np.arange(n_rows), held_out, assume_unique=True)
            for arm in range(arms):
                scores[arm, repeat, fold] = learner.losses(inputs[arm], target, train, held_out, rng).mean()
    return scores


def true_loss(learner: Learner, n_train: int, arms: int, tables: int, rng: np.random.Generator) -> float:
    """Expected loss of the learner when trained on so many rows, from fresh tables and fresh rows."""
    found = []
    for _ in range(tables):
        inputs, target = draw_table(learner, n_train + 1000, arms, rng)
        rows = np.arange(len(target))
        found.append(learner.losses(inputs[0], target, rows[:n_train], rows[n_train:], rng).mean())
    return float(np.mean(found))


def share(successes: int, trials: int) -> Estimate:
    """A share with its Wilson interval."""
    return proportion_estimate(int(successes), trials)


def naive_p(gains: np.ndarray) -> float:
    """The ordinary paired t-test, which takes resampled scores for independent ones."""
    return float(stats.ttest_1samp(gains.ravel(), 0.0).pvalue)


def corrected_p(gains: np.ndarray, n_rows: int) -> float:
    """Caviar's p for gains [repeat, fold]; the number of rows decides the degrees of freedom."""
    return compare(
        "arm",
        np.zeros_like(gains),
        gains,
        higher_is_better=True,
        test_share=TEST_SHARE,
        n_rows=n_rows,
        rope=0.0,
        metric_title="score",
    ).p


@dataclass(frozen=True)
class Simulated:
    """The fold scores [table, arm, repeat, fold] of many tables of one size, and the truth."""

    learner: Learner
    n_rows: int
    scores: np.ndarray
    truth: float


def simulate(
    learner: Learner, n_rows: int, repeats: int, scale: float, rng: np.random.Generator
) -> Simulated:
    """Cross-validate two equal arms in ten folds on many fresh tables."""
    tables = max(10, round(learner.tables * scale))
    scores = np.stack([cross_validate(learner, n_rows, repeats, 2, rng) for _ in range(tables)])
    return Simulated(learner, n_rows, scores, true_loss(learner, n_rows * 9 // 10, 2, 2 * tables, rng))


Row = list[str | Estimate]


def false_positives(simulated: list[Simulated]) -> list[Row]:
    """How often equal arms are called different at a nominal 5 %, by test, design and table size."""
    rows = []
    for world in simulated:
        gains = world.scores[:, 0] - world.scores[:, 1]
        n = len(gains)
        columns = [
            sum(naive_p(gain[:1]) < 0.05 for gain in gains),
            sum(naive_p(gain) < 0.05 for gain in gains),
            sum(corrected_p(gain[:1], 10**6) < 0.05 for gain in gains),
            sum(corrected_p(gain, 10**6) < 0.05 for gain in gains),
            sum(corrected_p(gain, 0) < 0.05 for gain in gains),
        ]
        rows.append([world.learner.title, str(world.n_rows), *(share(count, n) for count in columns)])
    return rows


def mean_coverage(simulated: list[Simulated]) -> list[Row]:
    """How often the interval of the mean score holds the true expected score at that training size."""
    rows = []
    for world in simulated:
        n = len(world.scores)
        columns = []
        for chosen, n_rows in ((slice(0, 1), 10**6), (slice(None), 10**6), (slice(None), 0)):
            inside = sum(
                mean_estimate(scores[0, chosen], TEST_SHARE, n_rows=n_rows).contains(world.truth)
                for scores in world.scores
            )
            columns.append(share(inside, n))
        bare = sum(
            abs(scores[0].mean() - world.truth)
            <= stats.t.ppf(0.975, scores[0].size - 1) * stats.sem(scores[0], axis=None)
            for scores in world.scores
        )
        rows.append([world.learner.title, str(world.n_rows), share(bare, n), *columns])
    return rows


def spread_coverage(scale: float, rng: np.random.Generator) -> list[Row]:
    """How often the intervals of the two standard deviations hold the truth; effects normal or not."""
    worlds = max(50, round(2000 * scale))
    kinds: dict[str, Callable[[tuple[int, ...]], np.ndarray]] = {
        "normal": lambda size: rng.normal(size=size),
        "t with 5 degrees of freedom": lambda size: rng.standard_t(5, size) / np.sqrt(5 / 3),
        "exponential": lambda size: rng.exponential(size=size) - 1,
    }
    rows = []
    for kind, draw in kinds.items():
        for split_size, seed_size in ((1.0, 0.25), (1.0, 1.0), (0.25, 1.0), (0.0, 1.0)):
            records = [
                spread(split_size * draw((FOLDS, 1)) + seed_size * draw((FOLDS, 3))) for _ in range(worlds)
            ]
            split = sum(record.split.contains(split_size) for record in records)
            seed = sum(record.seed.contains(seed_size) for record in records)
            called = {"split": "The split dominates", "seed": "The seed dominates"}
            wrong = called["seed" if split_size > seed_size else "split"]
            mistaken = sum(record.sentence.startswith(wrong) for record in records)
            rows.append(
                [
                    kind,
                    f"{split_size:g} / {seed_size:g}",
                    share(split, worlds),
                    share(seed, worlds),
                    share(mistaken, worlds),
                ]
            )
    return rows


VERDICTS = ("helps", "harms", "no practical difference", "not enough data")


def verdict_rates(simulated: list[Simulated]) -> list[Row]:
    """How often each verdict is given when the second arm is truly better by a multiple of the region."""
    rows = []
    for world in simulated:
        # No-skill's Brier score for two even classes is 0.25; the arm itself is the best reference row.
        rope = 0.02 * (0.25 - world.truth)
        for effect in (0.0, 0.5, 2.0, 5.0, 10.0):
            records = [
                judge(
                    [
                        compare(
                            "arm",
                            scores[0],
                            scores[1] - effect * rope,
                            higher_is_better=False,
                            test_share=TEST_SHARE,
                            n_rows=world.n_rows,
                            rope=rope,
                            metric_title="Brier score",
                        )
                    ]
                )[0]
                for scores in world.scores
            ]
            counts = [sum(record.verdict == verdict for record in records) for verdict in VERDICTS]
            rows.append(
                [
                    world.learner.title,
                    str(world.n_rows),
                    f"{effect:g}",
                    *(share(count, len(records)) for count in counts),
                ]
            )
    return rows


def family_errors(scale: float, rng: np.random.Generator) -> list[Row]:
    """How often any of eight equal remedies is said to help or to harm, with and without Holm."""
    learner, tables, remedies = PAIRED, max(10, round(200 * scale)), 8
    rows = []
    for n_rows in (200, 500):
        alone = together = 0
        for _ in range(tables):
            scores = cross_validate(learner, n_rows, 3, remedies + 1, rng)
            found = [
                compare(
                    f"arm {arm}",
                    scores[0],
                    scores[arm],
                    higher_is_better=False,
                    test_share=TEST_SHARE,
                    n_rows=n_rows,
                    rope=0.0,
                    metric_title="Brier score",
                )
                for arm in range(1, remedies + 1)
            ]
            alone += any(comparison.p < 0.05 for comparison in found)
            together += any(record.verdict in {"helps", "harms"} for record in judge(found))
        rows.append([str(n_rows), str(remedies), share(alone, tables), share(together, tables)])
    return rows


def selection_optimism(scale: float, rng: np.random.Generator) -> list[Row]:
    """What the best of many recipes seems to lose, what BBC-CV says, and what it truly loses."""
    learner = Learner("ridge regression, MAE", ridge_losses, tables=100, own=2, binary=False)
    tables = max(10, round(learner.tables * scale))
    rows = []
    for recipes, unequal in ((4, False), (16, False), (64, False), (64, True)):
        for n_rows in (100, 500):
            truth, naive, corrected, inside = [], [], [], 0
            for _ in range(tables):
                inputs, target = draw_table(learner, n_rows + 2000, recipes, rng)
                # Unequal recipes: noise on the inputs, a little more for each recipe than for the one before.
                noise = np.linspace(0, 2, recipes) if unequal else np.zeros(recipes)
                inputs = inputs + noise[:, None, None] * rng.normal(size=inputs.shape)
                seen, fresh = np.arange(n_rows), np.arange(n_rows, len(target))
                losses = np.empty((recipes, n_rows))
                for held_out in draw_folds(target[:n_rows], binary=False, rng=rng):
                    train = np.setdiff1d(seen, held_out, assume_unique=True)
                    for recipe in range(recipes):
                        losses[recipe, held_out] = ridge_losses(inputs[recipe], target, train, held_out, rng)
                looks, estimate = corrected_winner(losses, n_bootstrap=200, seed=int(rng.integers(2**31)))
                winner = int(losses.mean(axis=1).argmin())
                true = ridge_losses(inputs[winner], target, seen[: n_rows * 9 // 10], fresh, rng).mean()
                truth.append(true)
                naive.append(looks)
                corrected.append(estimate.value)
                inside += estimate.contains(true)
            bias = [100 * (np.mean(values) / np.mean(truth) - 1) for values in (naive, corrected)]
            rows.append(
                [
                    f"{recipes} {'unequal' if unequal else 'equal'}",
                    str(n_rows),
                    f"{bias[0]:+.1f} %",
                    f"{bias[1]:+.1f} %",
                    share(inside, tables),
                ]
            )
    return rows


def table(header: list[str], rows: list[Row]) -> str:
    """A Markdown table; shares in percent with their Wilson interval."""
    lines = [header, ["---"] * len(header), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(cell: str | Estimate) -> str:
    if isinstance(cell, str):
        return cell
    return f"{_percent(cell.value)} ({100 * cell.low:.1f}-{100 * cell.high:.1f})"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _range(cells: list[Estimate]) -> str:
    values = [cell.value for cell in cells]
    return f"{_percent(min(values))} to {_percent(max(values))}"


def _misses(rows: list[Row], cells: list[Estimate], *, above: float = 1.0, below: float = 0.0) -> str:
    """The rows whose interval lies wholly above or wholly below a promise."""
    found = [
        f"{row[0]}, {row[1]}: {_percent(cell.value)}"
        for row, cell in zip(rows, cells, strict=True)
        if cell.low > above or cell.high < below
    ]
    return "; ".join(found) if found else "nowhere"


def _column(rows: list[Row], index: int) -> list[Estimate]:
    return [cell for row in rows if isinstance(cell := row[index], Estimate)]


def _default(rows: list[Row], usual: int, small: int) -> list[Estimate]:
    """The column that Caviar's default stands in: it depends on the number of rows."""
    cells = (row[small if int(str(row[1])) < SMALL_TABLE else usual] for row in rows)
    return [cell for cell in cells if isinstance(cell, Estimate)]


def chapters(scale: float) -> Iterator[str]:
    """The page, chapter by chapter, as the simulations finish."""
    rng = np.random.default_rng(SEED)
    worlds = [simulate(learner, n, 3, scale, rng) for learner in LEARNERS for n in ROWS]
    yield _false_positive_chapter(false_positives(worlds))
    many = [simulate(WIDE, n, 10, scale / 2, rng) for n in ROWS[:4]]
    yield _many_repeats_chapter(false_positives(many))
    alike = [simulate(SEED_ONLY, n, 3, scale, rng) for n in ROWS]
    yield _seed_chapter(false_positives(alike))
    yield _mean_chapter(mean_coverage(worlds))
    yield _spread_chapter(spread_coverage(scale, rng))
    paired = [world for world in worlds if world.learner is PAIRED and world.n_rows in {200, 1000}]
    yield _verdict_chapter(verdict_rates(paired), family_errors(scale, rng))
    yield _selection_chapter(selection_optimism(scale, rng))


_TESTS = [
    "learner",
    "rows",
    "naive t, 10 x 1",
    "naive t, 10 x {repeats}",
    "scores - 1, 10 x 1",
    "scores - 1, 10 x {repeats}",
    "folds - 1, 10 x {repeats}",
]


def _tests(repeats: int) -> list[str]:
    return [title.format(repeats=repeats) for title in _TESTS]


def _false_positive_chapter(rows: list[Row]) -> str:
    default = _default(rows, 5, 6)
    return f"""### Equal arms: how often is a difference called significant?

Nominal: 5 %. Each cell is the share of simulated tables, with its 95 % Wilson interval. *Naive t* is the
ordinary paired t-test over folds. *Scores - 1* and *folds - 1* are the corrected resampled t of Nadeau &
Bengio (2003) with those degrees of freedom. Caviar uses folds - 1 below {SMALL_TABLE} rows and scores - 1
from there on.

{table(_tests(3), rows)}

The naive test called equal arms different in {_range(_column(rows, 3))} of the tables (10 x 3). Caviar's
default did so in {_range(default)}. Its whole interval lay above 5 % here: {
        _misses(rows, default, above=0.05)
    }.
"""


def _many_repeats_chapter(rows: list[Row]) -> str:
    default = _default(rows, 5, 6)
    return f"""### The same with ten repeats

{table(_tests(10), rows)}

Caviar's default: {_range(default)}. Its whole interval lay above 5 % here: {
        _misses(rows, default, above=0.05)
    }.
"""


def _seed_chapter(rows: list[Row]) -> str:
    return f"""### Arms that differ by nothing but their seeds

Here every member draws its own hidden layer, so the differences of folds are nearly independent and the
correction has little to correct: the test is over-strict.

{table(_tests(3), rows)}

Caviar's default: {_range(_default(rows, 5, 6))}. A question about seeds alone is better asked of the split
and seed standard deviations below.
"""


def _mean_chapter(rows: list[Row]) -> str:
    header = ["learner", "rows", "naive t, 10 x 3", *_tests(3)[4:]]
    default = _default(rows, 4, 5)
    return f"""### The interval of a mean score

Nominal: 95 %. The truth is the expected loss of the learner trained on nine tenths of the rows, over fresh
tables.

{table(header, rows)}

Naive intervals held the truth in {_range(_column(rows, 2))} of the tables, Caviar's in {_range(default)}.
Caviar's lay wholly below 95 % here: {_misses(rows, default, below=0.95)}.
"""


def _spread_chapter(rows: list[Row]) -> str:
    header = ["effects", "true split / seed", "split covered", "seed covered", "wrong one said to dominate"]
    return f"""### Spread due to the split and to the seed

Nominal: 95 %; ten folds with three seeds each. Where both are equal, "wrong" means that the split is said to
dominate.

{table(header, rows)}

Split: {_range(_column(rows, 2))}; wholly below 95 % here: {_misses(rows, _column(rows, 2), below=0.95)}.

Seed: {_range(_column(rows, 3))}; wholly below 95 % here: {_misses(rows, _column(rows, 3), below=0.95)}.
"""


def _verdict_chapter(rates: list[Row], families: list[Row]) -> str:
    wrong = [row for row in rates if float(str(row[2])) >= 2]
    return f"""### Verdicts

One remedy, 10 x 3, truly better by the given multiple of the region of practical equivalence (2 % of the way
from no-skill to the learner).

{table(["learner", "rows", "true effect / region", *VERDICTS], rates)}

A remedy whose true effect was at least twice the region was said to harm in {_range(_column(wrong, 4))} and
to make no practical difference in {_range(_column(wrong, 5))} of the tables.

Eight equal remedies against one baseline, region of width zero: how often is any of them said to help or to
harm?

{table(["rows", "remedies", "each at 5 %", "Holm, as Caviar does"], families)}
"""


def _selection_chapter(rows: list[Row]) -> str:
    header = ["recipes", "rows", "winner looks", "after BBC-CV", "interval holds the truth"]
    return f"""### The winner of a search

Mean absolute error of the recipe with the lowest one, relative to what that recipe truly loses on fresh rows:
negative means that it looks better than it is. BBC-CV: Tsamardinos, Greasidou & Borboudakis (2018), 200
bootstrap samples.

{table(header, rows)}
"""


def main() -> None:
    """Run the simulations; write the page, or print it with --quick."""
    parser = argparse.ArgumentParser(description="Measure the error rates of Caviar's tests and intervals.")
    parser.add_argument("--quick", action="store_true", help="a minute, prints only")
    quick = parser.parse_args().quick
    began = time.monotonic()
    page = f"""Seed {SEED}, Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}.
"""
    print(page)
    with threadpool_limits(1):
        for chapter in chapters(0.05 if quick else 1.0):
            print(chapter, flush=True)
            page += f"\n{chapter}"
    print(f"Took {time.monotonic() - began:.0f} s.")
    if not quick:
        write(page.rstrip(), "error_rates", PAGE)


if __name__ == "__main__":
    main()
