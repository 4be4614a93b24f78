import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caviar.estimate import Estimate
from caviar.report import wording


def estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value=value, low=low, high=high, method="", n=3)


def read_back(text: str) -> float:
    return float(text.replace(",", "").replace(wording.MINUS, "-"))


@given(st.floats(min_value=1e-4, max_value=1e8), st.booleans())
def test_a_written_number_is_within_one_percent_of_the_true_one(size, is_negative):
    value = -size if is_negative else size
    assert read_back(wording.number(value)) == pytest.approx(value, rel=0.01)


@given(st.floats())
def test_every_float_can_be_written(value):
    assert wording.number(value).strip()
    assert "nan" not in wording.number(value)


@given(st.floats(-1e6, 1e6), st.floats(1e-4, 1e4))
def test_an_interval_is_written_to_a_tenth_of_its_width(value, half):
    low, high = map(read_back, wording.interval_of(estimate(value, value - half, value + half)).split(" to "))
    assert low == pytest.approx(value - half, abs=max(0.2 * half, 0.51))
    assert high == pytest.approx(value + half, abs=max(0.2 * half, 0.51))


def test_no_digit_is_written_that_the_interval_does_not_support():
    assert wording.with_interval(estimate(0.4123456, 0.21, 0.61)) == "0.41 (0.21 to 0.61)"


def test_what_is_not_a_number_is_said_in_words():
    nothing = estimate(math.nan, math.nan, math.nan)
    assert wording.with_interval(nothing) == wording.NOT_AVAILABLE
    assert wording.interval_of(nothing) == "no interval"
    assert wording.interval_of(estimate(0.5, -math.inf, math.inf)) == "no interval: too few values"
    assert wording.number(-math.inf) == f"{wording.MINUS}infinity"


def test_very_large_and_very_small_numbers_are_written_as_powers_of_ten():
    assert wording.number(3.2e12).split() == ["3.2", wording.TIMES, "10¹²"]
    assert wording.number(-4e-8).split() == [f"{wording.MINUS}4.0", wording.TIMES, "10⁻⁸"]


def test_a_column_of_estimates_shares_its_decimals():
    column = [estimate(0.5, 0.45, 0.55), estimate(0.6, 0.599, 0.601), estimate(0.7, 0.65, 0.75), None]
    assert wording.common_decimals(column) == 3
    assert wording.common_decimals([None]) is None


def test_a_shortened_text_stays_on_one_line():
    assert wording.shortened("a\nb   c", 40) == "a b c"
    assert len(wording.shortened("x" * 99, 10)) == 10


@pytest.mark.parametrize(("share", "said"), [(0.0, "0 %"), (1.0, "100 %"), (0.999, "99.9 %"), (0.5, "50 %")])
def test_a_share_is_never_rounded_to_none_or_all(share, said):
    assert " ".join(wording.percent(share).split()) == said
