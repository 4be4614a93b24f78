"""The bar shows how far the work is."""

import io

import pytest
from rich.console import Console

from caviar.progress import Voice


@pytest.fixture
def voice():
    one = Voice()
    one.console, one._moves = Console(file=io.StringIO(), force_terminal=True), True
    return one


def percentage(voice: Voice) -> float:
    progress, task = voice._bar
    return progress.tasks[task].percentage


def test_a_bar_inside_another_one_moves_the_outer_one(voice):
    with voice.bar("all", 100):
        voice.advance(20)
        with voice.bar("a part", 10):
            voice.advance(10)
        assert percentage(voice) == 30


def test_where_the_whole_cannot_be_told_the_bar_is_that_of_each_part(voice):
    with voice.bar("trials", 0):
        with voice.bar("a generation", 10):
            voice.advance(5)
            assert percentage(voice) == 50
        with voice.bar("another one", 40):
            assert percentage(voice) == 0
            voice.advance(10)
            assert percentage(voice) == 25
    with voice.bar("all", 10), voice.bar("a part", 5):
        voice.advance(5)
        assert percentage(voice) == 50
