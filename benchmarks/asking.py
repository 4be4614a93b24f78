"""How long do searches by way of Optuna ask, and would it pay to ask for a generation while the one before trains?

    CAVIAR_DATA=… python benchmarks/asking.py            # ten minutes; writes docs/tuning.md
    CAVIAR_DATA=… python benchmarks/asking.py --quick    # few trials and repetitions, printed only

What is asked while the last generation trains is asked without its outcomes. So two things are measured: the seconds
that asking takes, beside those of a whole search; and on made-up losses, what is lost where TPE is told of each
generation only after the next one was asked.
"""

import argparse
import tempfile
import time
import warnings
from collections import deque
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import optuna

import caviar
from caviar.evaluate.intervals import mean_estimate
from caviar.tune.search import Outcome
from caviar.tune.space import discover
from caviar.tune.table import search_named
from speed import ROOT, machine
from tables import write
from tuning_contenders import FOLDS, TABLES, network

PAGE = ROOT / "docs" / "tuning.md"
SEARCHES = ("tpe", "cma", "nsga")
TRIALS, REPETITIONS, GENERATION, SETTINGS = 256, 100, 16, 5
ROUNDS = 3


def questions(hp: Any) -> None:  # noqa: ANN401
    """Five numbers, one on a log scale."""
    hp.Float("rate", 1e-4, 1e-1, sampling="log")
    for number in range(1, SETTINGS):
        hp.Float(f"share-{number}", 0.0, 1.0)


def asked(name: str, trials: int) -> tuple[float, float]:
    """Seconds that a search asks and is told in all, and the longest time between two generations."""
    space = discover(questions)
    search = search_named(name).make(space, trials, 0, [space.default()])
    rng, took, longest = np.random.default_rng(0), 0.0, 0.0
    told: list[Outcome] = []
    while True:
        began = time.perf_counter()
        if told:
            search.tell(told)
        some = search.ask(trials)
        seconds = time.perf_counter() - began
        took, longest = took + seconds, max(longest, seconds)
        if not some:
            return took, longest
        told = [Outcome(one.number, one.settings, (float(rng.normal()),)) for one in some]


def whole(name: str, trials: int) -> float:
    """Seconds of a whole search by TPE and its like on Sonar, five folds: rate, dropout and L2."""
    table = TABLES["sonar"]
    x, y = table.timed_on()
    build = partial(network, table=table, space="numbers", inputs=x.shape[1])
    given = {"folds": FOLDS, "epochs": table.epochs, "batch_size": table.batch, "verbose": 0}
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        caviar.tune(build, x, y, trials=trials, search=name, folder=Path(folder) / "search", **given)
        return time.perf_counter() - began


def lowest(late: int, trials: int, seed: int) -> float:
    """The lowest loss that TPE finds in a bowl, where it is told of each generation so many generations late."""
    best = np.random.default_rng(seed).uniform(0.1, 0.9, SETTINGS)
    axes: dict[str, Any] = {f"{n}": optuna.distributions.FloatDistribution(0.0, 1.0) for n in range(SETTINGS)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=GENERATION, constant_liar=True)
    study = optuna.create_study(sampler=sampler)
    waiting: deque[list[optuna.Trial]] = deque()
    for _ in range(trials // GENERATION):
        waiting.append([study.ask(axes) for _ in range(GENERATION)])
        if len(waiting) > late:
            _tell(study, waiting.popleft(), best)
    for some in waiting:
        _tell(study, some, best)
    return float(study.best_value)


def _tell(study: optuna.Study, trials: list[optuna.Trial], best: np.ndarray) -> None:
    for trial in trials:
        study.tell(trial, float(np.square(np.array(list(trial.params.values())) - best).sum()))


def main() -> None:
    """Measure both, and write the table."""
    parser = argparse.ArgumentParser(description="What asking costs.")
    parser.add_argument("--quick", action="store_true", help="few trials and repetitions, printed only")
    quick = parser.parse_args().quick
    trials, repetitions, rounds = (64, 10, 1) if quick else (TRIALS, REPETITIONS, ROUNDS)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    title = (
        f"**Seconds that a search of {trials} trials asks**, five numbers, median of {rounds}; a whole search on Sonar "
        f"beside it (rate, dropout and L2; {FOLDS} folds; programs compiled before):"
    )
    lines = [
        title,
        "",
        "| search | asking, all | longest time between two generations | whole search |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name in SEARCHES:
        whole(name, trials)
        took = np.median([asked(name, trials) for _ in range(rounds)], axis=0)
        seconds = np.median([whole(name, trials) for _ in range(rounds)])
        lines.append(f"| `{name}` | {took[0]:.1f} | {took[1]:.2f} | {seconds:.0f} |")
    both = np.array([[lowest(delay, trials, seed) for seed in range(repetitions)] for delay in (0, 1)])
    more = mean_estimate((both[1] - both[0])[:, None], 0.0)
    late = (
        f"**TPE that is told of each generation of {GENERATION} one generation late**: {trials} trials in a bowl of "
        f"{SETTINGS} numbers, {repetitions} repetitions, the best place drawn anew in each. The lowest loss is "
        f"{both[0].mean():.5f} where it is told in time and {both[1].mean():.5f} where it is late: higher by "
        f"{more.value:.5f} (95 % interval {more.low:.5f} to {more.high:.5f})."
    )
    versions = f"caviar {version('caviar')}, optuna {version('optuna')}, keras {version('keras')}"
    lines += ["", late, "", f"{machine()}; {versions}."]
    text = "\n".join(lines)
    print(text)
    if not quick:
        write(text, "asking", PAGE)


if __name__ == "__main__":
    main()
