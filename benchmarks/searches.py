"""Which search finds more in equal trials: random or grid, coarse to fine or one level, log or linear scale?

    python benchmarks/searches.py            # some minutes; writes docs/tuning.md
    python benchmarks/searches.py --quick    # few repetitions, printed only

Two tables. *Made-up losses*, whose best place is drawn anew in each repetition, as in tests/tune/test_facts.py. *Real
networks*: in each repetition, other rows of a pool are searched on by five folds, and what was chosen is trained on all
of them and scored on rows that nobody saw; all repetitions of a generation train as one population.
"""

import argparse
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from caviar.estimate import Estimate
from caviar.evaluate.intervals import mean_estimate, proportion_estimate
from caviar.recipe.hyperparameters import HyperParameters
from caviar.tune.coarse import coarse_to_fine_search
from caviar.tune.draws import random_search
from caviar.tune.grid import grid_search
from caviar.tune.search import Outcome, Search
from caviar.tune.space import Space, discover
from speed import ROOT, machine
from tables import write
from tuning_contenders import classes

PAGE = ROOT / "docs" / "tuning.md"
MADE_UP, REAL = 1_000, 240
"""Repetitions."""
NOISE = 0.02
FEW, MANY, FRESH, FOLDS, SEEDS = 200, 1_000, 3_000, 5, 3
EPOCHS, BATCH, WIDTH = 20, 32, 12

Settings = Mapping[str, Any]
Losses = Callable[[Sequence[tuple[int, Settings]]], np.ndarray]
"""Of settings, each in its repetition, the loss (setting,)."""


@dataclass(frozen=True)
class Arm:
    """A way to search: its name, and the search of a seed."""

    label: str
    make: Callable[[int], Search]


@dataclass(frozen=True)
class Question:
    """Two ways to search with equal trials, the expected winner first."""

    title: str
    trials: int
    arms: tuple[Arm, Arm]


def chosen(arm: Arm, repetitions: int, seen: Losses) -> list[Settings]:
    """What each repetition finds best; generations of all repetitions are scored together."""
    searches = [arm.make(seed) for seed in range(repetitions)]
    lowest: list[tuple[float, Settings]] = [(math.inf, {})] * repetitions
    while any(asked := [search.ask(10_000) for search in searches]):
        losses = iter(seen([(place, one.settings) for place, some in enumerate(asked) for one in some]))
        for place, (search, some) in enumerate(zip(searches, asked, strict=True)):
            told = [Outcome(one.number, one.settings, (float(next(losses)),)) for one in some]
            search.tell(told)
            for one in told:
                if not one.failed and one.score[0] < lowest[place][0]:
                    lowest[place] = one.score[0], one.settings
    return [settings for _, settings in lowest]


@dataclass(frozen=True)
class Answer:
    """True losses of what both ways chose (repetition,)."""

    question: Question
    first: np.ndarray
    second: np.ndarray

    @property
    def gain(self) -> Estimate:
        """How much lower the first one's is, over independent repetitions."""
        return mean_estimate((self.second - self.first)[:, None], 0.0)

    @property
    def wins(self) -> Estimate:
        """How often it is lower."""
        return proportion_estimate(int((self.first < self.second).sum()), len(self.first))

    def row(self) -> str:
        """For the table."""
        first, second = (arm.label for arm in self.question.arms)
        gain, wins = self.gain, self.wins
        return (
            f"| {self.question.title} | {self.question.trials} | {first}: {self.first.mean():.4f} | "
            f"{second}: {self.second.mean():.4f} | {gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f}) | "
            f"{wins.value:.0%} ({wins.low:.0%} to {wins.high:.0%}) |"
        )


def answer(question: Question, repetitions: int, seen: Losses, true: Losses) -> Answer:
    """Let both search, and score what they chose."""
    both = [true(list(enumerate(chosen(arm, repetitions, seen)))) for arm in question.arms]
    return Answer(question, *both)


def random_or_grid(space: Space, what: str) -> Question:
    """Three parameters, one of which counts."""
    return Question(
        f"two of three parameters {what}",
        27,
        (
            Arm("random", lambda seed: random_search(space, 27, seed)),
            Arm("grid", lambda seed: grid_search(space, 27, seed)),
        ),
    )


def coarse_or_one_level(space: Space, what: str) -> Question:
    """Two parameters that count."""
    return Question(
        f"two parameters, {what}",
        45,
        (
            Arm("coarse to fine", lambda seed: coarse_to_fine_search(space, 45, seed)),
            Arm("one level", lambda seed: random_search(space, 45, seed)),
        ),
    )


def log_or_linear(low: float, high: float) -> Question:
    """A learning rate."""
    log = discover(lambda hp: hp.Float("rate", low, high, sampling="log"))
    linear = discover(lambda hp: hp.Float("rate", low, high))
    return Question(
        f"a rate from {low:g} to {high:g}",
        20,
        (
            Arm("log scale", lambda seed: random_search(log, 20, seed)),
            # Other draws than on the other scale: equal ones would be paired by chance only.
            Arm("linear scale", lambda seed: random_search(linear, 20, seed + 100_000)),
        ),
    )


def _unit(*names: str) -> Space:
    def ask(hp: HyperParameters) -> None:
        for name in names:
            hp.Float(name, 0.0, 1.0)

    return discover(ask)


def made_up(repetitions: int) -> list[Answer]:
    """All questions on losses whose best place is known."""
    rng = np.random.default_rng(0)
    at, (x, y) = rng.random(repetitions), rng.uniform(0.1, 0.9, (2, repetitions))

    def one_counts(asked: Sequence[tuple[int, Settings]]) -> np.ndarray:
        return np.array([abs(one["x"] - at[place]) for place, one in asked])

    def bowl(asked: Sequence[tuple[int, Settings]]) -> np.ndarray:
        return np.array([(one["x"] - x[place]) ** 2 + (one["y"] - y[place]) ** 2 for place, one in asked])

    def noisy(asked: Sequence[tuple[int, Settings]]) -> np.ndarray:
        exact = bowl(asked)
        return exact + NOISE * rng.normal(size=len(exact))

    def decades(asked: Sequence[tuple[int, Settings]]) -> np.ndarray:
        return np.array([abs(math.log10(one["rate"]) + 3) for _, one in asked])

    square = _unit("x", "y")
    return [
        answer(
            random_or_grid(_unit("x", "dead", "also_dead"), "do not count: distance from the best place"),
            repetitions,
            one_counts,
            one_counts,
        ),
        answer(coarse_or_one_level(square, "a bowl: its depth"), repetitions, bowl, bowl),
        answer(
            coarse_or_one_level(square, f"the same, seen with noise of {NOISE}"), repetitions, noisy, bowl
        ),
        answer(log_or_linear(1e-5, 1.0), repetitions, decades, decades),
    ]


def _network() -> Any:  # noqa: ANN401
    import keras

    hidden = keras.layers.Dense(WIDTH, "relu", kernel_regularizer=keras.regularizers.L2(1e-4))
    network = keras.Sequential([keras.Input((20,)), hidden, keras.layers.Dense(1, activation="sigmoid")])
    network.compile(keras.optimizers.Adam(1e-2), "binary_crossentropy")
    return network


KEYS = {
    "rate": ("optimizer.learning_rate", 1e-2),
    "l2": ("weights[0].regularizer.l2", 1e-4),
    "epsilon": ("optimizer.epsilon", 1e-7),
}
"""What a setting is called in the network, and what it is where nobody sets it."""


class Networks:
    """Log-losses of real networks: each repetition has its own rows to search on, and rows that nobody sees."""

    def __init__(self, repetitions: int, rows: int) -> None:
        self.x, y = classes()
        self.y = y[:, None]
        draws = [
            np.random.default_rng((place, 5)).permutation(len(y))[: rows + FRESH]
            for place in range(repetitions)
        ]
        self.rows = [np.split(draw, [rows]) for draw in draws]

    def seen(self, asked: Sequence[tuple[int, Settings]]) -> np.ndarray:
        """By five folds."""
        parts = []
        for place, _ in asked:
            folds = np.array_split(self.rows[place][0], FOLDS)
            parts.append([(np.concatenate(folds[:k] + folds[k + 1 :]), folds[k], k) for k in range(FOLDS)])
        return self._scored(asked, parts)

    def true(self, asked: Sequence[tuple[int, Settings]]) -> np.ndarray:
        """On rows that nobody saw, trained on all that were searched on, with several seeds."""
        return self._scored(
            asked, [[(*self.rows[place], 100 + seed) for seed in range(SEEDS)] for place, _ in asked]
        )

    def _scored(
        self,
        asked: Sequence[tuple[int, Settings]],
        parts: Sequence[Sequence[tuple[np.ndarray, np.ndarray, int]]],
    ) -> np.ndarray:
        """Mean log-losses; `parts` are rows to train on, rows to score, and seed."""
        from caviar.population import devices

        devices.start()
        from caviar.population.job import Job, Seat
        from caviar.population.train import train

        none = np.empty(0, np.int64)
        seats = [
            Seat(0, 0, 1_000 * place + seed, 0, fit, none, scored)
            for (place, _), some in zip(asked, parts, strict=True)
            for fit, scored, seed in some
        ]
        numbers = {
            key: [
                settings.get(name, usual)
                for (_, settings), some in zip(asked, parts, strict=True)
                for _ in some
            ]
            for name, (key, usual) in KEYS.items()
        }
        done = train(Job(_network, self.x[None], self.y[None], None, seats, BATCH, EPOCHS, numbers=numbers))
        if done.engine != "population":
            raise SystemExit(f"Expected one population, but Caviar trained one by one: {done.why}.")
        losses = [
            _log_loss(self.y[seat.scored], said) for seat, said in zip(seats, done.outputs, strict=True)
        ]
        return np.array(losses).reshape(len(asked), -1).mean(axis=1)


def _log_loss(y: np.ndarray, said: np.ndarray) -> float:
    said = np.clip(said.astype(np.float64), 1e-7, 1 - 1e-7)
    return float(-(y * np.log(said) + (1 - y) * np.log(1 - said)).mean())


def real(repetitions: int) -> list[Answer]:
    """All questions on real networks."""

    def hardly_counting(hp: HyperParameters) -> None:
        hp.Float("rate", 1e-4, 1.0, sampling="log")
        hp.Float("epsilon", 1e-9, 1e-7, sampling="log")
        hp.Float("l2", 1e-9, 1e-7, sampling="log")

    def counting(hp: HyperParameters) -> None:
        hp.Float("rate", 1e-4, 1.0, sampling="log")
        hp.Float("l2", 1e-5, 1.0, sampling="log")

    questions = (
        (random_or_grid(discover(hardly_counting), "hardly count: rate; Adam's epsilon and a tiny L2"), FEW),
        (coarse_or_one_level(discover(counting), "rate and L2"), FEW),
        # Folds of more rows tell closer settings apart.
        (coarse_or_one_level(discover(counting), f"the same, searched on {MANY:,} rows"), MANY),
        (log_or_linear(1e-5, 1.0), FEW),
    )
    answers = []
    for question, rows in questions:
        networks = Networks(repetitions, rows)
        answers.append(answer(question, repetitions, networks.seen, networks.true))
    return answers


def table(title: str, answers: Sequence[Answer]) -> list[str]:
    """One table."""
    return [
        title,
        "",
        "| question | trials | mean | mean | lower by (95 % interval) | lower in (95 % interval) |",
        "| --- | ---: | --- | --- | ---: | ---: |",
        *(one.row() for one in answers),
        "",
    ]


def main() -> None:
    """Search, and write the tables."""
    parser = argparse.ArgumentParser(description="Compare searches with equal trials.")
    parser.add_argument("--quick", action="store_true", help="few repetitions, printed only")
    quick, began = parser.parse_args().quick, time.monotonic()
    repetitions = (100, 6) if quick else (MADE_UP, REAL)
    first = f"**Made-up losses**, {repetitions[0]:,} repetitions, the best place drawn anew in each:"
    second = (
        f"**Real networks** (20-{WIDTH}-1, Adam, {EPOCHS} epochs), {repetitions[1]} repetitions: five folds of {FEW} "
        f"rows choose, or of more where the question says so; the log-loss is that of {SEEDS} networks trained on all "
        f"of them, on {FRESH:,} rows that nobody saw:"
    )
    lines = table(first, made_up(repetitions[0])) + table(second, real(repetitions[1]))
    lines.append(f"{machine()}; caviar {version('caviar')}, keras {version('keras')}, jax {version('jax')}.")
    text = "\n".join(lines)
    print(text)
    print(f"Took {time.monotonic() - began:.0f} s.")
    if not quick:
        write(text, "searches", PAGE)


if __name__ == "__main__":
    main()
