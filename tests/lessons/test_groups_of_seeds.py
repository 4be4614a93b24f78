"""What is judged over groups of seeds has no seed in two groups."""

import numpy as np
import pytest

from caviar.lessons import framework, seven, skill
from caviar.teaching.contract import Data, Variant
from caviar.teaching.seen import Seen, Training, pairs

SEEDS = 7


def seen_with(outputs: np.ndarray, logs: dict[str, np.ndarray] | None = None) -> Seen:
    """Outputs (seed, row) of test rows in one fold, by variants "one" and "two" that say the same."""
    y = np.zeros(outputs.shape[1], int)
    data = Data("rows", np.zeros((len(y), 1)), y, [(np.arange(0), np.arange(len(y)))])
    said = [[one[:, None]] for one in outputs]
    trainings = {
        name: Training(
            Variant(name, name, framework.build),
            logs={"loss": curves[:, None]},
            outputs={"test": said, "train": said},
            splits=data.splits,
            members=[],
            updates=1.0,
            seconds=0.0,
        )
        for name, curves in (logs or {"one": np.zeros((len(outputs), 1))}).items()
    }
    return Seen(data, range(len(outputs)), trainings)


def test_neighbours_are_paired_once():
    first, second = pairs(np.arange(SEEDS))
    assert (first.tolist(), second.tolist()) == ([0, 2, 4], [1, 3, 5])


@pytest.mark.parametrize(("seeds", "groups"), [(2, 1), (3, 1), (5, 1), (6, 2), (30, 10)])
def test_three_seeds_are_looked_at_together_and_none_of_them_again(seeds, groups):
    places = framework.threes(seeds)
    assert len(places) == groups
    flat = [place for group in places for place in group]
    assert flat == list(range(min(seeds, 3 * groups)))


def test_three_networks_are_averaged_and_judged_beside_the_same_three():
    said = np.array([0.3, 0.6, 0.3, 0.2, 0.2, 0.2])[:, None] * np.ones(4)  # all rows are of class 0
    seen = seen_with(said)
    np.testing.assert_allclose(framework.averaged(seen, "one"), -np.log([0.6, 0.8]), rtol=1e-6)
    alone = -np.log([0.7, 0.4, 0.7]).mean()
    np.testing.assert_allclose(framework.apart(seen, "one"), [alone, -np.log(0.8)], rtol=1e-6)
    assert framework.apart(seen, "one")[0] > framework.averaged(seen, "one")[0]


def test_seeds_that_disagree_are_counted_pair_by_pair():
    said = np.array([[0.9, 0.9], [0.9, 0.1], [0.1, 0.1], [0.1, 0.1], [0.9, 0.9]])
    np.testing.assert_allclose(skill.disagree(seen_with(said), "one"), [0.5, 0.0])


def test_curves_of_variants_lie_apart_beyond_what_two_seeds_do():
    ones, tens = np.ones((4, 3)), np.full((4, 3), 10.0)
    far = seen_with(np.zeros((4, 2)), {"one": ones, "two": tens})
    np.testing.assert_allclose(seven.apart(far, ("one", "two")), [1.0, 1.0])
    mixed = np.vstack([ones[:1], tens[:1], ones[:2]])  # only the first two seeds differ
    alike = seen_with(np.zeros((4, 2)), {"one": mixed, "two": mixed})
    np.testing.assert_allclose(seven.apart(alike, ("one", "two")), [-1.0, 0.0])
