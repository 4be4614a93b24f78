"""Can people read the numbers?"""

import math

import pytest

from caviar.evaluate.wording import digits


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0214, "0.0214"),
        (12345.6, "12346"),
        (-1.5, "-1.5"),
        (99.96, "100"),
        (0.0, "0"),
        (1e-9, "1e-09"),
        (math.inf, "inf"),
    ],
)
def test_a_number_is_written_with_three_digits_that_count(value, text):
    assert digits(value) == text
