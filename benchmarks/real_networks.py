"""Do Caviar's tests and intervals keep their promises when the learners are real networks?

    python benchmarks/real_networks.py            # about half an hour; resumes setting by setting; docs/statistics.md
    python benchmarks/real_networks.py --quick    # few tables, printed only

Tables are drawn from pools of 50,000 rows, so that the truth is known: scores of networks trained on 1,000 fresh
samples of the same size. Thousands of small cross-validations train as one population.

*Equal arms*: the arms see different inputs of which the target knows equally much, so that on each table one of them
is better by chance, and over all tables none is. *Coverage*: whether the interval of a mean score holds the truth.
*Optimism*: how good the best of eight recipes looks, against its truth, with and without BBC-CV. *Power*: how often a
better arm is seen, against repeats.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from caviar.evaluate.compare import compare
from caviar.evaluate.intervals import mean_estimate
from caviar.evaluate.selection import corrected_winner
from speed import machine
from tables import write

PAGE = Path(__file__).resolve().parents[1] / "docs" / "statistics.md"
NOMINAL = 0.05
POOL, FRESH = 50_000, 2_000
KNOWN = 4  # inputs that an arm sees
TRUTH = 1_000  # networks whose mean score is the truth
BATCH = 32
RATES = tuple(float(rate) for rate in np.geomspace(1e-3, 3e-2, 8))
USUAL = 5e-3
SPLITS = {"improve": (10, 3, 1), "doctor": (5, 3, 3)}
"""Folds, repeats and seeds per fold."""

Losses = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Setting:
    """A kind of table, a number of rows, and how long is trained.

    Attributes:
        task: "classes" or "values".
        rows: Of a table.
        epochs: Passes over its training rows.
    """

    task: str
    rows: int
    epochs: int

    @property
    def title(self) -> str:
        """For tables."""
        return f"{self.task}, {self.rows:,} rows, {self.epochs} epochs"


SETTINGS = tuple(
    Setting(task, rows, epochs)
    for task, (rows, epochs) in product(("classes", "values"), ((100, 40), (300, 25), (1000, 12)))
)


def pool(task: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (arm, row, input) and targets (row, 1): the first two arms know equally much, the third more."""
    rng = np.random.default_rng((7, task == "classes"))
    one, other = rng.normal(size=(2, POOL + FRESH, KNOWN)).astype(np.float32)
    signal = _signal(one) + _signal(other)
    more = other.copy()
    more[:, -1] = one[:, 0]  # one noisy input less, one of the first arm's best instead
    noise = rng.normal(size=len(signal))
    y = (signal + 0.5 * noise > 0) if task == "classes" else signal + noise
    return np.stack([one, other, more]), y.astype(np.float32)[:, None]


def _signal(x: np.ndarray) -> np.ndarray:
    return 1.5 * np.sin(1.5 * x[:, 0]) + x[:, 1] * x[:, 2]


def losses(task: str, y: np.ndarray, said: np.ndarray) -> np.ndarray:
    """Loss of each row: log-loss or absolute error."""
    y, said = y.ravel().astype(np.float64), said.ravel().astype(np.float64)
    if task == "values":
        return np.abs(y - said)
    said = np.clip(said, 1e-7, 1 - 1e-7)
    return -(y * np.log(said) + (1 - y) * np.log(1 - said))


@dataclass(frozen=True)
class Member:
    """One network: its arm, the rows it trains on, those it is scored on, its seed and rate."""

    arm: int
    fit: np.ndarray
    scored: np.ndarray
    seed: int
    rate: float = USUAL


def trained(setting: Setting, members: Sequence[Member]) -> list[np.ndarray]:
    """Losses of the rows that each member is scored on."""
    from caviar.population import devices

    devices.start()
    import keras

    from caviar.population.job import Job, Seat
    from caviar.population.lift import LEARNING_RATE
    from caviar.population.train import train

    x, y = pool(setting.task)
    last, loss = ("sigmoid", "binary_crossentropy") if setting.task == "classes" else (None, "mae")

    def build() -> keras.Model:
        network = keras.Sequential(
            [keras.Input((KNOWN,)), keras.layers.Dense(12, "relu"), keras.layers.Dense(1, last)]
        )
        network.compile(keras.optimizers.Adam(USUAL), loss)
        return network

    none = np.empty(0, np.int64)
    seats = [Seat(0, 0, m.seed, m.arm, m.fit, none, m.scored) for m in members]
    done = train(
        Job(
            build, x, y[None], None, seats, BATCH, setting.epochs,
            numbers={LEARNING_RATE: [m.rate for m in members]}, spread="last",
        )
    )  # fmt: skip
    if done.engine != "population":
        raise SystemExit(f"Expected one population, but Caviar trained one by one: {done.why}.")
    return [losses(setting.task, y[m.scored], said) for m, said in zip(members, done.outputs, strict=True)]


def truth(setting: Setting, fit_rows: int, arms: Sequence[int], rates: Sequence[float]) -> np.ndarray:
    """Mean score (arm, rate) of networks trained on fresh samples, on fresh rows."""
    rng = np.random.default_rng((setting.rows, fit_rows, 3))
    fresh = np.arange(POOL, POOL + FRESH)
    samples = [rng.choice(POOL, fit_rows, replace=False) for _ in range(TRUTH)]
    members = [
        Member(arm, rows, fresh, 10_000_000 + i, rate)
        for arm, rate in product(arms, rates)
        for i, rows in enumerate(samples)
    ]
    means = np.array([each.mean() for each in trained(setting, members)])
    return means.reshape(len(arms), len(rates), TRUTH).mean(axis=2)


def folds(
    setting: Setting, number: int, count: int, repeats: int
) -> tuple[np.ndarray, list[list[np.ndarray]]]:
    """A table's rows, and for each repeat the rows held out by each fold, as places in the table."""
    rng = np.random.default_rng((setting.rows, number, count))
    rows = rng.choice(POOL, setting.rows, replace=False)
    return rows, [np.array_split(rng.permutation(setting.rows), count) for _ in range(repeats)]


def crossed(
    rows: np.ndarray,
    parts: list[list[np.ndarray]],
    seeds: int,
    arm: int,
    first_seed: int,
    rate: float = USUAL,
) -> list[Member]:
    """The members of one cross-validation."""
    everything = np.arange(len(rows))
    held = [part for repeat in parts for part in repeat]
    return [
        Member(arm, rows[np.setdiff1d(everything, part)], rows[part], first_seed + i * seeds + k, rate)
        for i, part in enumerate(held)
        for k in range(seeds)
    ]


def _together(jobs: Sequence[Sequence[Member]], setting: Setting) -> list[list[np.ndarray]]:
    """Losses of several lists of members, trained as one population."""
    everything = iter(trained(setting, [member for job in jobs for member in job]))
    return [[next(everything) for _ in job] for job in jobs]


def _means(of: Sequence[np.ndarray], shape: tuple[int, int, int]) -> np.ndarray:
    return np.array([each.mean() for each in of]).reshape(shape)


def p_values(one: np.ndarray, other: np.ndarray, rows: int) -> dict[str, float]:
    """The p of each way to test, of scores (repeat, fold, seed)."""
    _, count, seeds = one.shape
    by_seed = (
        sum(float(each.var(axis=2, ddof=1).mean()) / seeds for each in (one, other)) if seeds > 1 else 0.0
    )
    a, b = one.mean(axis=2), other.mean(axis=2)
    gains = (a - b).ravel()
    caviar = compare(
        "", a, b, higher_is_better=False, test_share=1 / (count - 1), n_rows=rows, rope=0.0, metric_title="loss",
        by_seed=by_seed,
    )  # fmt: skip
    return {
        "Caviar": caviar.p,
        "naive t": float(stats.ttest_1samp(gains, 0).pvalue),
        "Wilcoxon": float(stats.wilcoxon(gains).pvalue),
    }


def equal_arms(setting: Setting, tables: int) -> dict[str, Any]:
    """How often equal arms are called different, and how often the interval of one arm holds the truth."""
    said: dict[str, Any] = {}
    for design, (count, repeats, seeds) in SPLITS.items():
        jobs, starts = [], []
        for number in range(tables):
            rows, parts = folds(setting, number, count, repeats)
            starts.append(parts)
            jobs += [crossed(rows, parts, seeds, arm, 1000 * (2 * number + arm), USUAL) for arm in (0, 1)]
        found = _together(jobs, setting)
        fit_rows = setting.rows - setting.rows // count
        true = truth(setting, fit_rows, (0,), (USUAL,))[0, 0]
        called: dict[str, int] = {}
        held = 0
        for number in range(tables):
            one, other = (_means(found[2 * number + arm], (repeats, count, seeds)) for arm in (0, 1))
            for name, p in p_values(one, other, setting.rows).items():
                called[name] = called.get(name, 0) + int(p < NOMINAL)
            by_seed = float(one.var(axis=2, ddof=1).mean()) / seeds if seeds > 1 else 0.0
            interval = mean_estimate(
                one.mean(axis=2), 1 / (count - 1), n_rows=setting.rows, bounds=(0.0, np.inf), by_seed=by_seed
            )
            held += int(interval.contains(true))
        said[design] = {"called": called, "held": held, "tables": tables, "truth": true}
    return said


def optimism(setting: Setting, tables: int) -> dict[str, Any]:
    """How much better than its truth the best of several rates looks, relative to the truth."""
    count, repeats, seeds = SPLITS["improve"]
    jobs, splits = [], []
    for number in range(tables):
        rows, parts = folds(setting, 50_000 + number, count, repeats)
        splits.append((rows, parts))
        jobs += [crossed(rows, parts, seeds, 0, 1000 * number, rate) for rate in RATES]
    found = _together(jobs, setting)
    true = truth(setting, setting.rows - setting.rows // count, (0,), RATES)[0]
    naive, corrected = [], []
    for number, (_, parts) in enumerate(splits):
        held = np.concatenate([part for repeat in parts for part in repeat])
        of_rows = np.empty((len(RATES), setting.rows))
        for i in range(len(RATES)):
            total = np.zeros(setting.rows)
            np.add.at(total, held, np.concatenate(found[number * len(RATES) + i]))
            of_rows[i] = total / repeats
        chosen = int(of_rows.mean(axis=1).argmin())
        looks, rest = corrected_winner(of_rows, n_bootstrap=300)
        naive.append((true[chosen] - looks) / true[chosen])
        corrected.append((true[chosen] - rest.value) / true[chosen])
    return {"naive": naive, "BBC-CV": corrected, "truth": true.tolist()}


def power(setting: Setting, tables: int) -> dict[str, Any]:
    """How often an arm that knows more is seen to be better, by repeats."""
    count, most = 10, 10
    jobs = []
    for number in range(tables):
        rows, parts = folds(setting, 90_000 + number, count, most)
        jobs += [crossed(rows, parts, 1, arm, 1000 * (2 * number + (arm > 0))) for arm in (0, 2)]
    found = _together(jobs, setting)
    called: dict[int, int] = {}
    gains = []
    for number in range(tables):
        one, other = (_means(found[2 * number + i], (most, count, 1)) for i in (0, 1))
        gains.append(float((one - other).mean()))
        for repeats in (1, 2, 3, 5, 10):
            p = p_values(one[:repeats], other[:repeats], setting.rows)["Caviar"]
            called[repeats] = called.get(repeats, 0) + int(p < NOMINAL)
    return {"called": called, "tables": tables, "gain": float(np.mean(gains))}


def _share(count: int, of: int) -> str:
    low, high = stats.binomtest(count, of).proportion_ci(method="wilson")
    return f"{count / of:.1%} ({low:.1%} – {high:.1%})"


def table(done: dict[str, dict[str, Any]]) -> list[str]:
    """The page's text."""
    text = []
    total = {design: [0, 0, 0] for design in SPLITS}
    for said in done.values():
        for design in SPLITS:
            each = said["equal"][design]
            total[design] = [
                a + b
                for a, b in zip(
                    total[design], (each["called"]["Caviar"], each["held"], each["tables"]), strict=True
                )
            ]
    for design, (called, held, tables) in total.items():
        count, repeats, seeds = SPLITS[design]
        text.append(
            f"- `{design}` ({count} folds x {repeats} repeats, {seeds} seed{'s' if seeds > 1 else ''} per fold): of "
            f"{tables:,} pairs of equal arms the test calls **{_share(called, tables)}** different (aim 3 – 6 %), and "
            f"**{_share(held, tables)}** of as many intervals hold the truth (aim 93 – 97 %)."
        )
    text += [
        "",
        "| networks | design | Caviar's test | naive t | Wilcoxon | intervals that hold the truth |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for title, said in done.items():
        for design in SPLITS:
            each = said["equal"][design]
            cells = [
                _share(each["called"][name], each["tables"]) for name in ("Caviar", "naive t", "Wilcoxon")
            ]
            text.append(
                f"| {title} | {design} | {' | '.join(cells)} | {_share(each['held'], each['tables'])} |"
            )
    text += [
        "",
        (
            f"**The best of {len(RATES)} learning rates**: how much better than its truth it looks, in per cent of "
            f"the truth (mean and standard error; aim: at most 2 % either way)."
        ),
        "",
        "| networks | as it looks | BBC-CV |",
        "| --- | ---: | ---: |",
    ]
    for title, said in done.items():
        cells = []
        for name in ("naive", "BBC-CV"):
            values = 100 * np.array(said["optimism"][name])
            cells.append(f"{values.mean():+.1f} ± {values.std(ddof=1) / np.sqrt(len(values)):.1f} %")
        text.append(f"| {title} | {' | '.join(cells)} |")
    text += ["", "**A better arm**: how often the test sees it, by repeats of ten folds.", ""]
    text += [
        "| networks | mean gain | 1 | 2 | 3 | 5 | 10 |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for title, said in done.items():
        each = said["power"]
        cells = [f"{count / each['tables']:.0%}" for count in each["called"].values()]
        text.append(f"| {title} | {each['gain']:.3f} | {' | '.join(cells)} |")
    text += ["", f"{machine()}; caviar {version('caviar')}, keras {version('keras')}, jax {version('jax')}."]
    return text


def main() -> None:
    """Simulate the settings that have no line yet, then write the tables."""
    parser = argparse.ArgumentParser(description="Statistics with real networks.")
    parser.add_argument("--quick", action="store_true", help="few tables, printed only")
    parser.add_argument(
        "--lines",
        type=Path,
        default=Path("real-network-lines.jsonl"),
        help="where finished settings are kept",
    )
    asked = parser.parse_args()
    tables = 20 if asked.quick else 350
    done: dict[str, dict[str, Any]] = {}
    if asked.lines.exists() and not asked.quick:
        said = [json.loads(line) for line in asked.lines.read_text(encoding="utf-8").splitlines()]
        done = {line["setting"]: line for line in said}
    for setting in SETTINGS[:: 3 if asked.quick else 1]:
        if setting.title in done:
            continue
        began = time.monotonic()
        line = {
            "setting": setting.title,
            "equal": equal_arms(setting, tables),
            "optimism": optimism(setting, tables // 3),
            "power": power(setting, tables // 7),
        }
        done[setting.title] = json.loads(json.dumps(line))
        print(setting.title, f"{time.monotonic() - began:.0f} s", flush=True)
        if not asked.quick:
            with asked.lines.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(line) + "\n")
    text = "\n".join(table(done))
    print(text)
    if not asked.quick:
        write(text, "real_networks", PAGE)


if __name__ == "__main__":
    main()
