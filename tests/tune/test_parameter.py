"""A parameter draws on its scale, places what it drew, and spreads grids over it."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from caviar.errors import OptionError
from caviar.recipe.hyperparameters import HyperParameters
from caviar.tune.parameter import Parameter

SAMPLINGS = ("linear", "log", "reverse_log")


def asked(question) -> Parameter:
    hp = HyperParameters()
    question(hp)
    ((name, noted),) = hp.questions.items()
    return Parameter(name, noted)


@st.composite
def parameters(draw) -> Parameter:
    """Any question that `hp` can be asked."""
    kind = draw(st.sampled_from(["int", "float", "choice", "boolean", "fixed"]))
    sampling = draw(st.sampled_from(SAMPLINGS))
    if kind == "boolean":
        return asked(lambda hp: hp.Boolean("x"))
    if kind == "fixed":
        return asked(lambda hp: hp.Fixed("x", "relu"))
    if kind == "choice":
        one = st.one_of(st.text(max_size=3), st.integers(2, 9), st.none(), st.booleans())
        values = draw(st.lists(one, min_size=1, max_size=5, unique=True))
        return asked(lambda hp: hp.Choice("x", values))
    if kind == "int":
        low = draw(st.integers(1, 100))
        high = low + draw(st.integers(0, 500))
        step = draw(st.none() | st.integers(2, 9))
        return asked(lambda hp: hp.Int("x", low, high, step=step, sampling=sampling))
    low = draw(st.floats(1e-6, 10.0))
    high = low + draw(st.just(0.0) | st.floats(1e-3, 100.0))
    step = draw(st.none() | st.floats(1.1, 3.0))
    return asked(lambda hp: hp.Float("x", low, high, step=step, sampling=sampling))


@given(parameters(), st.floats(0.0, 1.0, exclude_max=True))
def test_what_is_drawn_is_an_answer_and_is_found_again_at_its_place(parameter, u):
    value = parameter.draw(u)
    assert parameter.accept(value) == value
    start, end = parameter.share(value)
    assert -1e-9 <= start <= u + 1e-9
    assert u - 1e-9 <= end <= 1 + 1e-9
    again = parameter.draw(parameter.place(value))
    assert again == (value if parameter.points is not None else pytest.approx(value, rel=1e-6))


@given(parameters(), st.floats(0, 1), st.floats(0, 1))
def test_numbers_grow_along_the_axis(parameter, u, v):
    if parameter.is_numeric:
        low, high = sorted((u, v))
        assert parameter.draw(low) <= parameter.draw(high)


@given(parameters(), st.integers(1, 12))
def test_a_grid_has_different_answers_and_both_ends(parameter, n):
    grid = parameter.grid(n)
    for value in grid:
        assert parameter.accept(value) == value
    assert len(set(grid)) == len(grid) <= n or parameter.size == len(grid)
    if parameter.size is not None and parameter.size <= n:
        assert grid == list(parameter.points)
    if parameter.is_numeric and n > 1:
        assert grid[0] == parameter.draw(0.0)
        assert grid[-1] == parameter.draw(1.0)
        assert grid == sorted(grid)


@given(parameters())
def test_shares_of_counted_answers_cover_the_axis_once(parameter):
    if parameter.points is not None:
        shares = [parameter.share(value) for value in parameter.points]
        assert shares[0][0] == pytest.approx(0.0, abs=1e-9)
        assert shares[-1][1] == pytest.approx(1.0, abs=1e-9)
        for (_, end), (start, _) in pairwise(shares):
            assert end == pytest.approx(start, abs=1e-9)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_scales_draw_the_distribution_they_promise(sampling, rng):
    """Kolmogorov-Smirnov against the distribution itself, and not against a neighbouring one."""
    parameter = asked(lambda hp: hp.Float("x", 0.001, 1.0, sampling=sampling))
    drawn = [parameter.draw(u) for u in rng.random(4000)]
    shares = {
        "linear": stats.uniform(0.001, 0.999).cdf,
        "log": stats.loguniform(0.001, 1.0).cdf,
        "reverse_log": lambda x: 1 - stats.loguniform(0.001, 1.0).cdf(1.001 - x),
    }
    fit = {name: stats.kstest(drawn, cdf).pvalue for name, cdf in shares.items()}
    assert fit.pop(sampling) > 0.01
    assert max(fit.values()) < 1e-6


def test_whole_numbers_choices_and_steps_have_equal_shares(rng):
    for parameter in (
        asked(lambda hp: hp.Int("x", 3, 12)),
        asked(lambda hp: hp.Int("x", 2, 1024, step=2, sampling="log")),
        asked(lambda hp: hp.Choice("x", list("abcdefghij"))),
        asked(lambda hp: hp.Float("x", 0.0, 0.9, step=0.1)),
    ):
        drawn = [parameter.draw(u) for u in rng.random(5000)]
        counts = [drawn.count(value) for value in parameter.points]
        assert len(counts) == 10
        assert stats.chisquare(counts).pvalue > 0.001


def test_whole_numbers_on_the_log_scale_are_as_likely_as_their_stretch_of_it(rng):
    parameter = asked(lambda hp: hp.Int("x", 1, 7, sampling="log"))
    drawn = [parameter.draw(u) for u in rng.random(8000)]
    expected = [8000 * math.log((value + 1) / value) / math.log(8) for value in range(1, 8)]
    assert stats.chisquare([drawn.count(value) for value in range(1, 8)], expected).pvalue > 0.001


@pytest.mark.parametrize(
    ("question", "points"),
    [
        (lambda hp: hp.Int("x", 6, 13, step=3), [6, 9, 12]),
        (lambda hp: hp.Int("x", 2, 32, step=2, sampling="log"), [2, 4, 8, 16, 32]),
        (lambda hp: hp.Int("x", 1, 1000, step=10, sampling="log"), [1, 10, 100, 1000]),
        (lambda hp: hp.Float("x", 0, 1, step=0.2), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (lambda hp: hp.Float("x", 0, 1, step=0.1), [round(0.1 * tenth, 1) for tenth in range(11)]),
        (lambda hp: hp.Float("x", 0.001, 10, step=10, sampling="log"), [0.001, 0.01, 0.1, 1.0, 10.0]),
        (lambda hp: hp.Float("x", 1, 100, step=10, sampling="reverse_log"), [1.0, 91.0, 100.0]),
        (lambda hp: hp.Int("x", 5, 5), [5]),
        (lambda hp: hp.Choice("x", [64, 16, 32]), [16, 32, 64]),
        (lambda hp: hp.Choice("x", ["b", "a"]), ["b", "a"]),
    ],
)
def test_steps_are_those_of_kerastuners_documentation(question, points):
    parameter = asked(question)
    assert list(parameter.points) == points
    assert [parameter.draw((index + 0.5) / len(points)) for index in range(len(points))] == points


def test_types_stay_those_that_were_asked_for():
    assert type(asked(lambda hp: hp.Int("x", 1, 9, sampling="log")).draw(0.5)) is int
    assert type(asked(lambda hp: hp.Int("x", 1, 9, step=2)).draw(0.5)) is int
    assert type(asked(lambda hp: hp.Float("x", 1, 9, step=2)).draw(0.5)) is float
    assert type(asked(lambda hp: hp.Float("x", 1, 1)).draw(0.5)) is float


@pytest.mark.parametrize(
    ("question", "value"),
    [
        (lambda hp: hp.Int("x", 1, 9), 0),
        (lambda hp: hp.Int("x", 1, 9), 2.5),
        (lambda hp: hp.Int("x", 1, 9), True),
        (lambda hp: hp.Float("x", 0.0, 1.0), float("nan")),
        (lambda hp: hp.Float("x", 0.0, 1.0), "0.5"),
        (lambda hp: hp.Choice("x", [1, 2]), True),
        (lambda hp: hp.Choice("x", ["a", "b"]), "c"),
        (lambda hp: hp.Fixed("x", "a"), "b"),
    ],
)
def test_what_is_no_answer_is_refused_in_a_sentence(question, value):
    with pytest.raises(OptionError, match=r"^Expected 'x' to be .+\.$"):
        asked(question).share(value)


def test_an_answer_of_another_type_becomes_the_builders():
    assert type(asked(lambda hp: hp.Choice("x", [16, 32])).accept(16.0)) is int
    assert type(asked(lambda hp: hp.Int("x", 1, 9)).accept(3.0)) is int
    assert type(asked(lambda hp: hp.Float("x", 1, 9)).accept(3)) is float


def test_a_number_between_steps_is_placed_with_its_nearest_neighbour():
    parameter = asked(lambda hp: hp.Float("x", 0.0, 0.5, step=0.1, default=0.24))
    assert parameter.place(0.24) == parameter.place(0.2)
