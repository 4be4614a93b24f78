"""What a search says of its best trial."""

from types import SimpleNamespace

import pytest

from caviar.estimate import Estimate
from caviar.searching.folder import Winner, in_words

OPEN = "whether others would be is open"


def said(
    low: float,
    *,
    ties: tuple[int, ...] = (),
    is_clear: bool = True,
    apart: object = None,
    failed: int = 0,
    on_front: int = 0,
    has_gain: bool = True,
) -> str:
    score = Estimate(value=0.2, low=low, high=0.4, method="planted", n=90)
    best = SimpleNamespace(number=3, settings={"rate": 0.1}, stages=[], why="")
    others = [SimpleNamespace(number=number, why="it diverged") for number in range(failed)]
    metrics = [SimpleNamespace(title=title) for title in ("log-loss", "accuracy")]
    space = SimpleNamespace(default=lambda: {"rate": 0.01})
    study = SimpleNamespace(
        bench=SimpleNamespace(metric=metrics[0]), objectives=metrics, apart=apart, space=space
    )
    winner = Winner(best, 0.5, score, score if has_gain else None, list(ties), is_clear)
    return in_words(study, winner, [best, *others], on_front)


@pytest.mark.parametrize(
    ("low", "is_clear", "apart", "is_better", "is_open"),
    [
        (0.1, True, None, True, False),
        (0.1, False, None, False, True),
        (-0.1, True, None, False, False),
        (-0.1, False, None, False, False),
        (0.1, False, "rows kept apart, and other seeds", True, False),
    ],
)
def test_the_best_is_called_better_only_where_rows_and_trainings_say_so(
    low, is_clear, apart, is_better, is_open
):
    """Drawing rows again knows nothing of a training's luck: that alone would call equal trials better."""
    sentence = said(low, is_clear=is_clear, apart=apart)
    assert ("It is better than" in sentence) == is_better
    assert ("not shown to be better" in sentence) != is_better
    assert (OPEN in sentence) == is_open


def test_one_is_counted_as_one():
    assert "1 other trial cannot be told from it." in said(0.1, ties=(2,))
    assert "1 trial failed." in said(0.1, failed=1)
    assert "2 trials failed." in said(0.1, failed=2)
    assert "1 trial is on the front: no other one beats it in log-loss and accuracy." in said(0.1, on_front=1)
    assert "5 trials are on the front: no other one beats them in" in said(0.1, on_front=5)
    assert "front" not in said(0.1)


def test_defaults_that_were_not_over_when_the_time_ended_are_not_called_failed():
    assert "builder's defaults failed" in said(0.1, has_gain=False, failed=1)
    assert "time ended before the builder's defaults were over" in said(0.1, has_gain=False)
