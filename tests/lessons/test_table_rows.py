"""The public tables as lessons take them."""

import os
from pathlib import Path

import numpy as np
import pytest

from caviar.errors import DataError
from caviar.teaching.contract import Data
from caviar.teaching.rows import first_rows, plausible_pressures, table


def rows_of(name: str) -> Data:
    try:
        return table(name, lambda y: first_rows(len(y), 100))(Path(os.environ.get("CAVIAR_DATA", "nowhere")))
    except DataError:
        pytest.skip("its table is not here, and CAVIAR_DATA names no folder that has it")


@pytest.mark.parametrize(
    ("name", "inputs", "positive"), [("pima", 8, 268), ("sonar", 60, 97), ("mammography", 6, 260)]
)
def test_inputs_and_the_second_class_are_counted_as_in_the_file(name, inputs, positive):
    data = rows_of(name)
    assert data.x.shape[1] == inputs
    assert data.y.sum() == positive
    assert len(data.splits[0][0]) == 100


def test_cardio_has_no_row_numbers_among_its_inputs_and_some_impossible_pressures():
    data = rows_of("cardio")
    assert data.x.shape == (70_000, 11)
    assert data.y.sum() == 34_979
    assert plausible_pressures(data).sum() == 68_680


def test_pressures_are_plausible_within_bounds_and_in_order():
    pressures = np.array([[120, 80], [-150, 80], [16_020, 80], [80, 120], [120, 0], [60, 60]])
    x = np.zeros((6, 11), np.float32)
    x[:, 4:6] = pressures
    data = Data("six people", x, np.zeros(6), first_rows(6, 3))
    assert plausible_pressures(data).tolist() == [True, False, False, False, False, True]
