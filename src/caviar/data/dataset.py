"""A table made ready: numbers, target, task, and who belongs together."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from caviar.data.schema import Schema, Task
from caviar.run.record import Remark


@dataclass(frozen=True, eq=False)
class Dataset:
    """A table made ready for training; arrays are not to be changed.

    Attributes:
        name: What the table is called in reports and folder names.
        features: float64 [row, column], in the order of `schema.columns`; NaN where missing.
        target: int64 class codes [row] into `schema.classes`, or float64 values [row, output].
        schema: What the columns are and how new rows are read.
        groups: int64 [row]; rows of one group are never parted. None if there are none.
        time: float64 [row]; later rows never teach about earlier ones. None if there is none.
        weight: float64 [row], at least 0; how much each row counts. None if all count the same.
        remarks: What was noticed while loading.
        given: The target as a person gave it [row, …], where arrays came and are to stay as they are.
        new_levels: bool [row, column]; cells of a category that are NaN because the table that the schema was
            learned from had no such level. None where that is this table.
    """

    name: str
    features: np.ndarray
    target: np.ndarray
    schema: Schema
    groups: np.ndarray | None = None
    time: np.ndarray | None = None
    weight: np.ndarray | None = None
    remarks: tuple[Remark, ...] = ()
    given: np.ndarray | None = None
    new_levels: np.ndarray | None = None

    @property
    def n_rows(self) -> int:
        """How many rows the table has."""
        return len(self.features)

    @property
    def task(self) -> Task:
        """What is predicted."""
        return self.schema.task

    @property
    def is_classification(self) -> bool:
        """Whether the target is a class label."""
        return self.schema.is_classification

    @property
    def n_outputs(self) -> int:
        """How many numbers a network must return: 1 (binary), the classes (multiclass), or the targets."""
        if self.task == "binary":
            return 1
        return len(self.schema.classes) if self.is_classification else len(self.schema.targets)

    @property
    def lowest_target(self) -> float | None:
        """The lowest value of a quantity to predict; None for classes."""
        return None if self.is_classification else float(self.target.min())

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the input columns, in the order of `features`."""
        return tuple(column.name for column in self.schema.columns)

    def of(self, rows: np.ndarray) -> "Dataset":
        """Some of the rows, in the order given."""

        def some(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[rows]

        return replace(
            self,
            features=self.features[rows],
            target=self.target[rows],
            groups=some(self.groups),
            time=some(self.time),
            weight=some(self.weight),
            given=some(self.given),
            new_levels=some(self.new_levels),
        )

    @cached_property
    def identical(self) -> np.ndarray:
        """Which rows have the same inputs: int64 [row], equal numbers for equal rows."""
        return identical_rows(self.features)

    @cached_property
    def fingerprint(self) -> str:
        """What tells this table from others: a SHA-256 of all inputs and targets."""
        found = hashlib.sha256()
        for values in (self.features, self.target):
            found.update(np.ascontiguousarray(values).data)
        return found.hexdigest()


def identical_rows(features: np.ndarray) -> np.ndarray:
    """Number the distinct rows of `features` [row, column]: equal rows get equal numbers, int64 [row].

    Compares exactly; missing values equal each other, and so do 0.0 and -0.0.

    >>> number = identical_rows(np.array([[2.0, np.nan], [1.0, 0.0], [2.0, np.nan]]))
    >>> bool(number[0] == number[2] != number[1])
    True
    """
    if features.shape[1] == 0:
        return np.zeros(len(features), dtype=np.int64)
    plain = np.ascontiguousarray(np.where(np.isnan(features), np.nan, features + 0.0))
    as_bytes = plain.view(np.dtype((np.void, plain.dtype.itemsize * plain.shape[1]))).ravel()
    return np.unique(as_bytes, return_inverse=True)[1].astype(np.int64).ravel()
