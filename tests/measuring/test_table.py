"""Numbers that a person gives are refused in one sentence, whatever they are."""

import numpy as np
import pytest

from caviar.errors import OptionError
from caviar.measuring.table import check_numbers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("epochs", "ten"),
        ("epochs", np.nan),
        ("epochs", np.inf),
        ("epochs", 2.5),
        ("epochs", True),
        ("epochs", 10_000_001),
        ("batch_size", [32]),
        ("folds", 1),
        ("seed", -1),
        ("seed", 2_000_000_000),
        ("minutes", 0),
        ("minutes", "soon"),
        ("minutes", np.nan),
        ("rope", np.inf),
        ("rope", True),
    ],
)
def test_what_is_no_sensible_number_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=rf"^Expected {name.replace('_', ' ')} to be "):
        check_numbers({name: value})


@pytest.mark.parametrize("value", [3, 3.0, np.int64(3), np.float32(3)])
def test_whole_numbers_of_any_type_pass(value: float) -> None:
    check_numbers({"epochs": value, "minutes": value, "seed": 0, "folds": None})
