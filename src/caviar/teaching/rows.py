"""Rows that lessons stand on: drawn by scikit-learn, or the public tables, split as the lessons' sources split them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits, make_circles
from sklearn.model_selection import StratifiedKFold, train_test_split

from caviar.data.known import KNOWN, known_table
from caviar.teaching.contract import Data, Split

Rows = Callable[[Path | None], Data]

NO_INPUTS = {"cardio": ("id",)}
"""Columns of public tables that number rows and say nothing about them."""

SYSTOLIC, DIASTOLIC = 4, 5
"""Places of cardio's blood pressures among its inputs, in mmHg."""


def circles(rows: int, train: int) -> Rows:
    """Two noisy rings, one inside the other, as two classes; the first rows are trained on.

    Args:
        rows: How many rows.
        train: How many of them are trained on.
    """

    def draw(_: Path | None) -> Data:
        x, y = make_circles(n_samples=rows, noise=0.1, random_state=1)
        return Data(
            f"two noisy circles, {train} rows to train on and {rows - train} to test on",
            x.astype(np.float32),
            y,
            first_rows(rows, train),
            origin="scikit-learn's make_circles(noise=0.1, random_state=1)",
        )

    return draw


def digits(rows: int, train: int) -> Rows:
    """Handwritten digits of 8 by 8 pixels as ten classes; the first rows are trained on.

    Args:
        rows: How many of the 1,797 rows.
        train: How many of them are trained on.
    """

    def read(_: Path | None) -> Data:
        x, y = load_digits(return_X_y=True)
        return Data(
            f"handwritten digits, {train} to train on and {rows - train} to test on",
            (x[:rows] / 16).astype(np.float32),
            y[:rows],
            first_rows(rows, train),
            classes=10,
            origin="scikit-learn's load_digits, pixels between 0 and 1",
        )

    return read


def first_rows(rows: int, train: int) -> list[Split]:
    """The first rows to train on, the others to test on."""
    return [(np.arange(train), np.arange(train, rows))]


def holdout(y: np.ndarray, share: float, seed: int, *, stratify: bool = False) -> list[Split]:
    """scikit-learn's random split.

    Args:
        y: Targets (row, …).
        share: Share of rows to test on.
        seed: Its `random_state`.
        stratify: Whether classes keep their shares.
    """
    train, test = train_test_split(
        np.arange(len(y)), test_size=share, random_state=seed, stratify=y if stratify else None
    )
    return [(np.asarray(train), np.asarray(test))]


def folds(y: np.ndarray, n: int, seed: int | None) -> list[Split]:
    """Stratified folds.

    Args:
        y: Classes (row,).
        n: How many folds.
        seed: Their `random_state`; None for rows in their order.
    """
    cut = StratifiedKFold(n, shuffle=seed is not None, random_state=seed)
    return [(np.asarray(train), np.asarray(test)) for train, test in cut.split(np.zeros(len(y)), y)]


def table(name: str, split: Callable[[np.ndarray], Sequence[Split]]) -> Rows:
    """One of the public tables, its rows in the file's order and its inputs as they are.

    Args:
        name: As in `caviar.data.known`.
        split: Which rows are trained on, from the classes (row,).
    """

    def read(folder: Path | None) -> Data:
        frame, known = known_table(name, folder), KNOWN[name]
        inputs = frame.drop(known.target, *NO_INPUTS.get(name, ()))
        labels = np.unique(frame[known.target].to_numpy())  # sorted: the class counted as 1 comes last
        y = np.searchsorted(labels, frame[known.target].to_numpy())
        return Data(
            f"{name}, {len(y):,} rows", inputs.to_numpy().astype(np.float32), y, split(y), origin=known.origin
        )

    return read


def plausible_pressures(data: Data) -> np.ndarray:
    """Which rows of cardio have blood pressures that a living person can have, as truths (row,).

    Systolic 60 to 250 and diastolic 30 to 200 mmHg, the first at least as high as the second.
    """
    high, low = data.x[:, SYSTOLIC], data.x[:, DIASTOLIC]
    return np.asarray((high >= 60) & (high <= 250) & (low >= 30) & (low <= 200) & (low <= high))
