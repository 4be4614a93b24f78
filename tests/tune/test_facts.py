"""Facts about searches on cheap made-up losses: each over hundreds of repetitions, with an interval."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from caviar.recipe.hyperparameters import HyperParameters
from caviar.tune.coarse import coarse_to_fine_search
from caviar.tune.draws import random_search
from caviar.tune.grid import grid_search
from caviar.tune.quasi import quasi_random_search
from caviar.tune.search import Outcome, Search
from caviar.tune.space import discover

REPETITIONS = 200

Loss = Callable[[dict[str, Any]], float]


def best(search: Search, loss: Loss) -> float:
    """The lowest loss that a search finds."""
    lowest = math.inf
    while candidates := search.ask(1000):
        losses = [loss(one.settings) for one in candidates]
        lowest = min(lowest, *losses)
        search.tell(
            [Outcome(one.number, one.settings, (it,)) for one, it in zip(candidates, losses, strict=True)]
        )
    return lowest


def share_of_wins(ours: list[float], theirs: list[float]) -> tuple[float, float]:
    """95 % interval of how often ours is lower."""
    wins = sum(one < other for one, other in zip(ours, theirs, strict=True))
    interval = stats.binomtest(wins, len(ours)).proportion_ci(0.95, method="wilson")
    return interval.low, interval.high


def square(hp: HyperParameters) -> None:
    for name in "xy":
        hp.Float(name, 0.0, 1.0)


def with_dead_dimensions(hp: HyperParameters) -> None:
    hp.Float("x", 0.0, 1.0)
    hp.Float("dead", 0.0, 1.0)
    hp.Float("also_dead", 0.0, 1.0)


def test_random_draws_beat_a_grid_where_two_of_three_parameters_do_not_matter(rng):
    """27 trials look at 27 values of the one that matters, a grid at three."""
    space = discover(with_dead_dimensions)
    targets = rng.random(REPETITIONS)
    random, grid = (
        [
            best(search(space, 27, seed), lambda one, at=at: abs(one["x"] - at))
            for seed, at in enumerate(targets)
        ]
        for search in (random_search, grid_search)
    )
    assert share_of_wins(random, grid)[0] > 0.75


def test_a_grid_beats_random_draws_where_its_values_are_the_right_ones():
    """The opposite plant: the fact above is not one about random draws always winning."""
    space = discover(with_dead_dimensions)
    grid = best(grid_search(space, 27), lambda one: abs(one["x"] - 0.5))
    random = [best(random_search(space, 27, seed), lambda one: abs(one["x"] - 0.5)) for seed in range(20)]
    assert grid == 0.0 < min(random)


@pytest.mark.parametrize(("noise", "least"), [(0.0, 0.7), (0.02, 0.5)])
def test_coarse_to_fine_finds_a_lower_smooth_loss_than_one_level(noise, least, rng):
    space = discover(square)
    ours, theirs = [], []
    for seed, (x, y) in enumerate(rng.uniform(0.1, 0.9, (REPETITIONS, 2))):
        chance = np.random.default_rng(seed)
        true: list[float] = []
        for search in (coarse_to_fine_search, random_search):
            seen: list[tuple[float, float]] = []

            def loss(one, x=x, y=y, seen=seen, chance=chance):
                exact = (one["x"] - x) ** 2 + (one["y"] - y) ** 2
                seen.append((exact + noise * chance.normal(), exact))
                return seen[-1][0]

            best(search(space, 45, seed), loss)
            true.append(min(seen)[1])
        ours.append(true[0])
        theirs.append(true[1])
    assert share_of_wins(ours, theirs)[0] > least


def test_a_rate_is_found_better_on_the_log_scale():
    """The best of 20 rates, when only those within a factor of two of 0.001 are good."""
    log = discover(lambda hp: hp.Float("rate", 1e-5, 1.0, sampling="log"))
    linear = discover(lambda hp: hp.Float("rate", 1e-5, 1.0))

    def loss(settings: dict[str, Any]) -> float:
        return abs(math.log10(settings["rate"]) + 3)

    ours = [best(random_search(log, 20, seed), loss) for seed in range(REPETITIONS)]
    theirs = [best(random_search(linear, 20, seed + 1000), loss) for seed in range(REPETITIONS)]
    assert share_of_wins(ours, theirs)[0] > 0.9


@pytest.mark.parametrize("sequence", ["sobol", "halton"])
def test_quasi_random_points_leave_smaller_holes_than_chance(sequence, rng):
    """The largest distance from any point of the square to the nearest of 32 candidates."""
    space = discover(square)
    places = rng.random((400, 2))

    def hole(search: Search) -> float:
        points = np.array([list(one.settings.values()) for one in search.ask(32)])
        return float(np.linalg.norm(places[:, None] - points[None], axis=2).min(axis=1).max())

    ours = [hole(quasi_random_search(space, 32, seed, sequence=sequence)) for seed in range(REPETITIONS)]
    theirs = [hole(random_search(space, 32, seed)) for seed in range(REPETITIONS)]
    assert share_of_wins(ours, theirs)[0] > 0.7
