"""Tables that come with scikit-learn, ready to try Caviar on."""

from collections.abc import Callable
from typing import NamedTuple

import polars as pl
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine

from caviar.errors import DataError


class _Sample(NamedTuple):
    read: Callable[[], dict]
    target: str


SAMPLES = {
    "breast-cancer": _Sample(load_breast_cancer, "diagnosis"),
    "wine": _Sample(load_wine, "cultivar"),
    "iris": _Sample(load_iris, "species"),
    "digits": _Sample(load_digits, "digit"),
    "diabetes": _Sample(load_diabetes, "progression"),
}
"""The sample tables by name, with the name of their target column."""


def sample_table(name: str) -> tuple[pl.DataFrame, str]:
    """The sample table called `name`, its target spelled as labels, and the target column's name.

    Raises:
        DataError: There is no such sample.

    >>> frame, target = sample_table("iris")
    >>> frame.shape, target, frame[target][0]
    ((150, 5), 'species', 'setosa')
    """
    if name not in SAMPLES:
        raise DataError(
            f"Expected one of the samples {', '.join(SAMPLES)}, got {name!r}. Write "
            f"sample:{next(iter(SAMPLES))}."
        )
    sample = SAMPLES[name]
    bunch = sample.read()
    frame = pl.DataFrame(bunch["data"], schema=[str(feature) for feature in bunch["feature_names"]])
    labels = bunch.get("target_names")
    target = bunch["target"] if labels is None else labels[bunch["target"]]
    return frame.with_columns(pl.Series(sample.target, target.tolist())), sample.target
