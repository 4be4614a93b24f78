"""What a search says of its winner: how often is it wrong, and how often is a truth seen?

    python benchmarks/search_claims.py            # three minutes, resumes row by row; writes docs/statistics.md
    python benchmarks/search_claims.py --quick    # few tables, printed only

Made-up losses of rows stand in for networks, so that every truth is known. A loss has a part that all trials share
(some rows are hard), a part of the trial's own, and, where trainings have luck, a part that is the same for all rows of
a fold: the network of that fold came out better or worse than the trial's settings deserve.

*Better than the defaults*: all trials are equal, so that whatever is said to be better is not; or the defaults are
worse by 0.1. *Ties*: half of the trials are as good as the best, the others are worse by 0.1. *Rows kept apart*: five
networks are scored on a fifth of a table, as after successive halving; the truth is the mean over all rows and seeds.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from caviar.evaluate.compare import ALPHA, CHOSEN_ALPHA, compare
from caviar.evaluate.confirm import paired_gain, score_apart
from caviar.evaluate.selection import corrected_winner
from tables import write

PAGE = Path(__file__).resolve().parents[1] / "docs" / "statistics.md"
FOLDS, WORSE, OWN = 5, 0.1, 0.5
LUCK = (0.0, 0.1)
"""Standard deviation of what a network's training does to its whole fold."""
DRAWS, MANY, TRIALS = 300, 2_000, (8, 64, 256)
SEEDS = 5


@dataclass(frozen=True)
class Search:
    """A search whose truth is known.

    Attributes:
        rows: Of the table.
        trials: How many settings were tried.
        luck: Standard deviation of a fold's luck.
    """

    rows: int
    trials: int
    luck: float

    def losses(self, worse: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Out-of-fold losses (trial, row) and fold scores (trial, fold), of trials that are so much worse (trial,)."""
        fold = np.arange(self.rows) % FOLDS
        lucky = self.luck * rng.normal(size=(self.trials, FOLDS))
        own = OWN * rng.normal(size=(self.trials, self.rows))
        found = 3 + rng.exponential(size=self.rows) + own + lucky[:, fold] + worse[:, None]
        return found, np.stack([found[:, fold == one].mean(axis=1) for one in range(FOLDS)], axis=1)

    def told_apart(self, one: np.ndarray, other: np.ndarray) -> float:
        """The p of two trials, from their fold scores."""
        return compare(
            "", one[None], other[None], higher_is_better=False, test_share=1 / (FOLDS - 1),
            n_rows=self.rows, rope=0.0, metric_title="loss",
        ).p  # fmt: skip

    def ties(self, scores: np.ndarray) -> np.ndarray:
        """Which trials are said to be as good as the best (trial,), itself among them."""
        best = scores[scores.mean(axis=1).argmin()]
        return np.array([not self.told_apart(best, other) < ALPHA for other in scores])


SEARCHES = tuple(Search(*each) for each in product((100, 500), (8, 64), LUCK))


def better(search: Search, tables: int, worse: float) -> dict[str, int]:
    """How often the gain's interval lies above 0, and how often the folds say the same."""
    rng = np.random.default_rng((search.rows, search.trials, int(100 * search.luck), int(100 * worse), 1))
    said = plainly = 0
    for _ in range(tables):
        shift = np.zeros(search.trials)
        shift[0] = worse
        losses, scores = search.losses(shift, rng)
        if scores.mean(axis=1).argmin() == 0:
            continue
        gain = corrected_winner(losses - losses[0], n_bootstrap=DRAWS)[1]
        if gain.high < 0:  # losses: lower is better
            best = scores[scores.mean(axis=1).argmin()]
            said += 1
            plainly += search.told_apart(best, scores[0]) < CHOSEN_ALPHA
    return {"said": said, "plainly": plainly, "tables": tables}


def ties(search: Search, tables: int) -> dict[str, int]:
    """How many of the trials that are as good as the best are called so, and how many of the others."""
    rng = np.random.default_rng((search.rows, search.trials, int(100 * search.luck), 2))
    worse = np.where(np.arange(search.trials) < search.trials // 2, 0.0, WORSE)
    equal = equal_called = others = others_called = 0
    for _ in range(tables):
        _, scores = search.losses(worse, rng)
        called, best = search.ties(scores), int(scores.mean(axis=1).argmin())
        beside = np.arange(search.trials) != best
        equal += int((beside & (worse == 0)).sum())
        equal_called += int((called & beside & (worse == 0)).sum())
        others += int((beside & (worse > 0)).sum())
        others_called += int((called & beside & (worse > 0)).sum())
    return {"equal": equal, "equal called": equal_called, "others": others, "others called": others_called}


def luck(trials: int) -> dict[str, int]:
    """How often the folds alone tell the best of equal trials from the defaults, at two levels."""
    rng, search = np.random.default_rng((trials, 4)), Search(500, trials, 1.0)
    p = []
    for _ in range(MANY):
        scores = rng.normal(size=(trials, FOLDS))
        best = int(scores.mean(axis=1).argmin())
        p.append(search.told_apart(scores[best], scores[0]) if best else 1.0)
    return {
        "at alpha": int((np.array(p) < ALPHA).sum()),
        "at chosen": int((np.array(p) < CHOSEN_ALPHA).sum()),
    }


def apart(rows: int, by: float, tables: int) -> dict[str, int]:
    """How often the intervals of a score and of a gain hold the truth, and how often an equal is called better."""
    rng = np.random.default_rng((rows, int(100 * by), 3))
    held = held_gain = false = 0
    units = np.arange(rows)
    for _ in range(tables):
        shared = rng.exponential(size=rows)

        def networks(shared: np.ndarray = shared) -> np.ndarray:
            by_seed = by * rng.normal(size=(SEEDS, 1)) + OWN * rng.normal(size=(SEEDS, rows))
            # A recipe errs on the same rows with every seed, and each seed a little differently.
            return (3 + shared + OWN * rng.normal(size=rows) + by_seed)[:, :, None]

        new, own = networks(), networks()

        def score(losses: np.ndarray, _rows: np.ndarray) -> float:
            return float(losses.mean())

        held += score_apart(score, new, units, n_bootstrap=DRAWS).contains(4.0)
        gain = paired_gain(score, own, new, units, higher_is_better=False, n_bootstrap=DRAWS)
        held_gain += gain.contains(0.0)
        false += gain.low > 0
    return {"held": held, "held gain": held_gain, "false": false, "tables": tables}


def share(hits: int, number: int) -> str:
    """Share of hits with Wilson's interval."""
    low, high = stats.binomtest(hits, number).proportion_ci(method="wilson")
    return f"{hits / number:.1%} ({low:.1%} – {high:.1%})"


def parts(tables: int) -> dict[str, Callable[[], dict[str, int]]]:
    """Everything that is simulated, by name."""
    found: dict[str, Callable[[], dict[str, int]]] = {}
    for one in SEARCHES:
        title = f"{one.rows} {one.trials} {one.luck}"
        found[f"null {title}"] = lambda one=one: better(one, tables, 0.0)
        found[f"worse {title}"] = lambda one=one: better(one, tables, WORSE)
        found[f"ties {title}"] = lambda one=one: ties(one, tables)
    for trials in TRIALS:
        found[f"luck {trials}"] = lambda trials=trials: luck(trials)
    for rows, by in product((20, 60, 200), LUCK):
        found[f"apart {rows} {by}"] = lambda rows=rows, by=by: apart(rows, by, tables)
    return found


def page(done: dict[str, dict[str, Any]], tables: int) -> list[str]:
    """The tables, as text."""
    text = [
        (
            f"**Better than the defaults**, of {tables} searches each, with 95 % Wilson intervals. *Interval*: that of "
            f"the gain lies above 0. *Said*: and the folds tell both apart at {CHOSEN_ALPHA:.1%}: Caviar says “better”."
        ),
        "",
        "| rows | trials | luck of a training | all equal: interval | said | defaults worse: interval | said |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in SEARCHES:
        title = f"{one.rows} {one.trials} {one.luck}"
        cells = [
            share(done[f"{kind} {title}"][name], tables)
            for kind in ("null", "worse")
            for name in ("said", "plainly")
        ]
        text.append(f"| {one.rows} | {one.trials} | {one.luck:g} | {' | '.join(cells)} |")
    text += [
        "",
        (
            f"**Where trainings differ by luck alone**, rows agree with any winner. Of {MANY:,} searches of equal "
            f"trials, those in which the folds tell the best from the defaults:"
        ),
        "",
        f"| trials | at {ALPHA:.1%} | at {CHOSEN_ALPHA:.1%} |",
        "| ---: | ---: | ---: |",
    ]
    for trials in TRIALS:
        each = done[f"luck {trials}"]
        cells = [share(each[name], MANY) for name in ("at alpha", "at chosen")]
        text.append(f"| {trials} | {' | '.join(cells)} |")
    text += [
        "",
        f"**Ties**, of {tables} searches each: trials beside the best one.",
        "",
        "| rows | trials | luck of a training | as good as it: called ties | worse: called ties |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in SEARCHES:
        each = done[f"ties {one.rows} {one.trials} {one.luck}"]
        cells = [share(each[f"{name} called"], each[name]) for name in ("equal", "others")]
        text.append(f"| {one.rows} | {one.trials} | {one.luck:g} | {' | '.join(cells)} |")
    text += [
        "",
        f"**Rows kept apart**, of {tables} tables each, {SEEDS} seeds.",
        "",
        "| rows apart | luck of a training | score's interval holds the truth | gain's | equal, called better |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for rows, by in product((20, 60, 200), LUCK):
        each = done[f"apart {rows} {by}"]
        cells = [share(each[name], tables) for name in ("held", "held gain", "false")]
        text.append(f"| {rows} | {by:g} | {' | '.join(cells)} |")
    return [*text, "", f"{DRAWS} draws of rows; NumPy {version('numpy')}, SciPy {version('scipy')}."]


def main() -> None:
    """Simulate what has no line yet, then write the tables."""
    parser = argparse.ArgumentParser(description="What a search says, simulated.")
    parser.add_argument("--quick", action="store_true", help="few tables, printed only")
    parser.add_argument(
        "--lines", type=Path, default=Path("search-claim-lines.jsonl"), help="where finished rows are kept"
    )
    asked = parser.parse_args()
    tables = 10 if asked.quick else 150
    done: dict[str, dict[str, Any]] = {}
    if asked.lines.exists() and not asked.quick:
        said = [json.loads(line) for line in asked.lines.read_text(encoding="utf-8").splitlines()]
        done = {line["row"]: line for line in said}
    for row, simulate in parts(tables).items():
        if row in done:
            continue
        done[row] = {"row": row} | simulate()
        print(done[row], flush=True)
        if not asked.quick:
            with asked.lines.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(done[row]) + "\n")
    text = "\n".join(page(done, tables))
    print(text)
    if not asked.quick:
        write(text, "search_claims", PAGE)


if __name__ == "__main__":
    main()
