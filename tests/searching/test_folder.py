"""What a search says of its best trial."""

from types import SimpleNamespace

import pytest

from caviar.estimate import Estimate
from caviar.searching.folder import Winner, in_words

OPEN = "whether it holds for others is open"


def said(ties: list[int], low: float, *, apart: object = None, failed: int = 0) -> str:
    gain = Estimate(value=0.2, low=low, high=0.4, method="planted", n=90)
    best = SimpleNamespace(number=3, settings={"rate": 0.1}, stages=[], why="")
    others = [SimpleNamespace(why="it diverged")] * failed
    study = SimpleNamespace(bench=SimpleNamespace(metric=SimpleNamespace(title="log-loss")), apart=apart)
    return in_words(study, Winner(best, 0.5, gain, gain, ties), [best, *others])


@pytest.mark.parametrize(
    ("ties", "low", "apart", "is_open"),
    [
        ([0, 2], 0.1, None, True),
        ([2], 0.1, None, False),
        ([0, 2], -0.1, None, False),
        ([0, 2], 0.1, "rows kept apart, and other seeds", False),
    ],
)
def test_a_gain_over_defaults_that_are_a_tie_is_called_open(ties, low, apart, is_open):
    """One line must not call the best trial better than the defaults, and the next the defaults a tie."""
    assert (OPEN in said(ties, low, apart=apart)) == is_open


def test_one_is_counted_as_one():
    assert "1 other trial cannot be told from it." in said([2], 0.1)
    assert "1 trial failed." in said([2], 0.1, failed=1)
    assert "2 trials failed." in said([2], 0.1, failed=2)
