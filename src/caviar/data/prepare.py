"""Non-numbers into numbers, gaps filled, scales set: fitted on training rows only."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.preprocessing import (
    OneHotEncoder,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from caviar.data.schema import Schema
from caviar.errors import DataError, RunError
from caviar.run.files import write_text
from caviar.run.parts import read_parts, write_parts

_PARTS_FILE = "preparation.skops"
_FACTS_FILE = "preparation.json"
_MISSING_CODE = -1.0

_Values = Callable[[np.ndarray], np.ndarray]
_LOGARITHMS: dict[str, tuple[_Values, _Values]] = {
    "none": (np.asarray, np.asarray),
    "log": (np.log, np.exp),
    "log1p": (np.log1p, np.expm1),
}


class PreparationPlan(BaseModel):
    """What preparation does beyond making numbers.

    Attributes:
        scaling: "none" leaves numbers as they are; "standard" gives them mean 0 and standard deviation 1;
            "robust" divides by the interquartile range and bends outliers smoothly to at most 3 in size
            (RealMLP: Holzmueller et al., 2024); "quantile" gives each column the shape of a normal distribution,
            by ranks (Gorishniy et al., 2021), and "power" nearly so, by the best power of its values (Yeo and
            Johnson, 2000), both with mean 0 and standard deviation 1.
        scale_target: Whether a regression target is brought to mean 0 and standard deviation 1.
        log_target: "log" lets the network learn the logarithm of a regression target above 0, "log1p" that of 1
            plus a target of 0 or more, both before it is scaled. Predictions come back in the target's units; for
            a squared error they aim at its geometric mean, which lies below its mean.
        one_hot: Whether each category becomes columns of 0 and 1; if not, it is the number of its level,
            and -1 where missing.

    >>> PreparationPlan(scaling="robust").one_hot
    True
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scaling: Literal["none", "standard", "robust", "quantile", "power"] = "none"
    scale_target: bool = False
    log_target: Literal["none", "log", "log1p"] = "none"
    one_hot: bool = True


class SmoothClip(TransformerMixin, BaseEstimator):
    """Bend large values towards ±`limit` and leave small ones nearly alone: x / sqrt(1 + (x / limit)²).

    Source: RealMLP (Holzmueller, Grinsztajn and Steinwart, "Better by Default", 2024), where `limit` is 3.

    >>> SmoothClip().fit_transform(np.array([[0.1, -1e6]])).round(2).tolist()
    [[0.1, -3.0]]
    """

    def __init__(self, limit: float = 3.0) -> None:
        self.limit = limit

    def fit(self, X: np.ndarray, y: np.ndarray | None = None) -> Self:  # noqa: ARG002, N803 (scikit-learn's names)
        """Nothing is learned; only the number of columns is kept."""
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:  # noqa: N803 (scikit-learn's name)
        """The values [row, column], each inside ±`limit`."""
        # Not sqrt(1 + square): a square beyond 1e308 is infinite, and the largest outliers would become 0.
        return X / np.hypot(1.0, X / self.limit)


_PARTS = ("numbers", "missing", "categories")
# An imputer stores the number type it saw as numpy.dtype; building one runs no code.
_TRUSTED = (f"{SmoothClip.__module__}.{SmoothClip.__qualname__}", "numpy.dtype")


@dataclass(frozen=True, eq=False)
class Prepared:
    """Preparation as fitted on some rows: turns features into network inputs, and predictions back.

    Attributes:
        schema: What the columns are.
        plan: What is done to them.
        numbers: Transformers that the numeric, boolean and date columns pass through, in order.
        missing: Says for each column that may miss values whether it does; None if no column may.
        categories: Turns category codes into inputs; None if there are none.
        target_mean: Subtracted from each target, or its logarithm, [output]; 0 if the target is not scaled.
        target_scale: Each target is divided by it, [output]; 1 if the target is not scaled.
        names: Name of each network input.
    """

    schema: Schema
    plan: PreparationPlan
    numbers: list[TransformerMixin] = field(repr=False)
    missing: MissingIndicator | None = field(repr=False)
    categories: TransformerMixin | None = field(repr=False)
    target_mean: np.ndarray
    target_scale: np.ndarray
    names: tuple[str, ...]

    @property
    def width(self) -> int:
        """How many numbers the network gets for each row; depends on schema and plan alone."""
        return len(self.names)

    def inputs(self, features: np.ndarray) -> np.ndarray:
        """Network inputs float32 [row, input] for `features` float64 [row, column]; never NaN."""
        parts = []
        if self.numbers:
            values = features[:, _numeric(self.schema)]
            for transformer in self.numbers:
                values = _finite(transformer.transform, values)
            parts.append(values)
        if self.missing is not None:
            parts.append(self.missing.transform(features[:, _gappy(self.schema)]))
        if self.categories is not None:
            parts.append(self.categories.transform(features[:, _categorical(self.schema)]))
        largest = np.finfo(np.float32).max
        return np.clip(np.hstack(parts), -largest, largest).astype(np.float32)

    def target(self, target: np.ndarray) -> np.ndarray:
        """The target in the network's units: float32 [row, output] for regression; codes stay as they are."""
        if self.schema.is_classification:
            return target
        values, _ = _LOGARITHMS[self.plan.log_target]
        return ((values(target) - self.target_mean) / self.target_scale).astype(np.float32)

    def restore(self, prediction: np.ndarray) -> np.ndarray:
        """Predictions [..., output] back in the target's own units, float64; labels stay as is."""
        if self.schema.is_classification:
            return prediction
        values = np.asarray(prediction, dtype=np.float64) * self.target_scale + self.target_mean
        _, undone = _LOGARITHMS[self.plan.log_target]
        with np.errstate(over="ignore"):  # a network that ran away is known by its infinite predictions
            return undone(values)

    def save(self, folder: Path) -> None:
        """Write `preparation.skops` and `preparation.json` into `folder`; both appear complete or not at all.

        Raises:
            RunError: The folder cannot be written.
        """
        parts = {"numbers": self.numbers, "missing": self.missing, "categories": self.categories}
        facts = {
            "schema": self.schema.model_dump(mode="json"),
            "plan": self.plan.model_dump(mode="json"),
            "target_mean": self.target_mean.tolist(),
            "target_scale": self.target_scale.tolist(),
            "names": list(self.names),
        }
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_parts(folder / _PARTS_FILE, parts)
            write_text(folder / _FACTS_FILE, json.dumps(facts, indent=1))
        except OSError as error:
            raise RunError(
                f"Expected to write the preparation into {folder}, but: {error.strerror}. Choose a "
                "writable folder."
            ) from error

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote, trusting no types but scikit-learn's, NumPy's and `SmoothClip`.

        Raises:
            RunError: Files are missing, damaged, or hold something that is no preparation.
        """
        try:
            facts = json.loads((folder / _FACTS_FILE).read_text())
            schema = Schema.model_validate(facts["schema"])
            plan = PreparationPlan.model_validate(facts["plan"])
            mean, scale = (
                np.asarray(facts[key], dtype=np.float64) for key in ("target_mean", "target_scale")
            )
            names = tuple(facts["names"])
        except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
            raise RunError(
                f"Expected a preparation saved by Caviar in {folder}, but it cannot be read "
                f"({type(error).__name__}). Point to the folder of a finished model."
            ) from error
        parts = read_parts(folder / _PARTS_FILE, _PARTS, "preparation", _TRUSTED)
        return cls(schema, plan, parts["numbers"], parts["missing"], parts["categories"], mean, scale, names)


def fit_preparation(
    schema: Schema,
    plan: PreparationPlan,
    features: np.ndarray,
    target: np.ndarray,
    *,
    rows: np.ndarray,
    weight: np.ndarray | None = None,
) -> Prepared:
    """Learn medians, scales and the rest from the rows named, and from no other row.

    The list of categories and the columns that may miss values belong to the schema, so that the width is the
    same whatever the rows.

    Args:
        schema: What the columns are.
        plan: What to do to them.
        features: float64 [row, column], all rows.
        target: As in `Dataset`, all rows.
        rows: Indices of the training rows.
        weight: float64 [row]; counts in the means and standard deviations, not in medians, quartiles, ranks and
            powers.

    Raises:
        DataError: The plan asks for the logarithm of a target that is too low to have one.

    >>> from caviar.data.load import load
    >>> data = load("sample:iris")
    >>> plan = PreparationPlan(scaling="standard")
    >>> prepared = fit_preparation(data.schema, plan, data.features, data.target, rows=np.arange(100))
    >>> prepared.inputs(data.features[:100]).mean().round(3) + 0
    np.float32(0.0)
    """
    if not schema.is_classification:
        _require_logarithms(plan, target)
    seen = features[rows]
    row_weight = None if weight is None else weight[rows]
    numeric, categorical, gappy = _numeric(schema), _categorical(schema), _gappy(schema)
    missing = MissingIndicator(features="all").fit(seen[:, gappy]) if len(gappy) else None
    categories = (
        _fit_categories(schema, seen[:, categorical], one_hot=plan.one_hot) if len(categorical) else None
    )
    n_outputs = len(schema.targets)
    mean, scale = np.zeros(n_outputs), np.ones(n_outputs)
    if plan.scale_target and not schema.is_classification:
        values, _ = _LOGARITHMS[plan.log_target]
        scaler = StandardScaler().fit(values(target[rows]), sample_weight=row_weight)
        mean, scale = scaler.mean_, scaler.scale_
    return Prepared(
        schema=schema,
        plan=plan,
        numbers=_fit_numbers(plan, seen[:, numeric], row_weight) if len(numeric) else [],
        missing=missing,
        categories=categories,
        target_mean=mean,
        target_scale=scale,
        names=input_names(schema, plan),
    )


def describe(schema: Schema, plan: PreparationPlan) -> str:
    """What preparation does to this table, in one sentence.

    >>> from caviar.data.load import load
    >>> describe(load("sample:iris").schema, PreparationPlan(scaling="standard"))
    '4 numeric columns brought to mean 0 and standard deviation 1; fitted on training rows only.'
    """
    numeric, categorical, gappy = len(_numeric(schema)), len(_categorical(schema)), len(_gappy(schema))
    scaling = {
        "none": "left in their own units",
        "standard": "brought to mean 0 and standard deviation 1",
        "robust": "divided by their interquartile range, with outliers bent smoothly to at most 3",
        "quantile": "given the shape of a normal distribution by their ranks",
        "power": "brought near to a normal distribution by the best power of each",
    }[plan.scaling]
    parts = []
    if numeric:
        parts.append(f"{_counted(numeric, 'numeric column')} {scaling}")
    if categorical:
        coded = (
            "turned into columns of 0 and 1" if plan.one_hot else "turned into the numbers of their levels"
        )
        parts.append(f"{_counted(categorical, 'category column')} {coded}")
    if gappy:
        parts.append(f"gaps in {_counted(gappy, 'numeric column')} filled with the median and flagged")
    if plan.log_target != "none" and not schema.is_classification:
        parts.append(f"logarithm of {'1 plus ' if plan.log_target == 'log1p' else ''}the target learned")
    if plan.scale_target and not schema.is_classification:
        parts.append("target brought to mean 0 and standard deviation 1")
    return "; ".join([*parts, "fitted on training rows only."])


def _require_logarithms(plan: PreparationPlan, target: np.ndarray) -> None:
    lowest = float(target.min())
    if (plan.log_target == "log" and lowest <= 0) or (plan.log_target == "log1p" and lowest < 0):
        wanted = "above 0" if plan.log_target == "log" else "of 0 or more"
        raise DataError(
            f"Expected a target {wanted} to take its logarithm, got {lowest:g} as its lowest value. "
            f"Leave log_target out."
        )


def _numeric(schema: Schema) -> np.ndarray:
    return np.flatnonzero([column.kind != "category" for column in schema.columns])


def _categorical(schema: Schema) -> np.ndarray:
    return np.flatnonzero([column.kind == "category" for column in schema.columns])


def _gappy(schema: Schema) -> np.ndarray:
    return np.flatnonzero([column.kind != "category" and column.has_missing for column in schema.columns])


def _fit_numbers(
    plan: PreparationPlan, seen: np.ndarray, weight: np.ndarray | None
) -> list[TransformerMixin]:
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    filled = imputer.fit_transform(seen)
    if plan.scaling == "standard":
        return [imputer, StandardScaler().fit(filled, sample_weight=weight)]
    if plan.scaling == "robust":
        return [imputer, _fit_robust(filled), SmoothClip().fit(filled)]
    if plan.scaling in {"quantile", "power"}:
        shaping = (
            _quantiles(len(filled)) if plan.scaling == "quantile" else PowerTransformer(standardize=False)
        )
        shaped = _finite(shaping.fit_transform, filled)
        return [imputer, shaping, StandardScaler().fit(shaped, sample_weight=weight)]
    return [imputer]


def _quantiles(rows: int) -> QuantileTransformer:
    """Ranks to a normal distribution, by a quantile for each 30 rows: each of them is then well known.

    Source of the rule: Gorishniy et al., "Revisiting deep learning models for tabular data" (2021).
    """
    n_quantiles = min(rows, max(10, min(rows // 30, 1000)))
    return QuantileTransformer(
        n_quantiles=n_quantiles, output_distribution="normal", subsample=None, random_state=0
    )


def _finite(transform: _Values, values: np.ndarray) -> np.ndarray:
    """Transformed values, the largest number in place of what is larger, as powers of unheard-of values are."""
    largest = np.finfo(np.float64).max
    with np.errstate(over="ignore"):
        return np.clip(transform(values), -largest, largest)


def _fit_robust(filled: np.ndarray) -> RobustScaler:
    """A robust scaler that falls back on half the range where the interquartile range is 0, as RealMLP does.

    Otherwise a column that is mostly one value would pass unscaled, and the clip would flatten all the rest.
    """
    scaler = RobustScaler().fit(filled)
    flat = np.ptp(np.quantile(filled, (0.25, 0.75), axis=0), axis=0) == 0
    half_range = np.ptp(filled, axis=0) / 2
    scaler.scale_ = np.where(flat & (half_range > 0), half_range, scaler.scale_)
    return scaler


def _fit_categories(schema: Schema, seen: np.ndarray, *, one_hot: bool) -> TransformerMixin:
    if not one_hot:
        return SimpleImputer(strategy="constant", fill_value=_MISSING_CODE, keep_empty_features=True).fit(
            seen
        )
    levels = [
        np.array(
            [*range(len(column.categories)), *([np.nan] if column.has_missing else [])], dtype=np.float64
        )
        for column in schema.columns
        if column.kind == "category"
    ]
    return OneHotEncoder(categories=levels, handle_unknown="ignore", sparse_output=False).fit(seen)


def input_names(schema: Schema, plan: PreparationPlan) -> tuple[str, ...]:
    """Names of what a network gets for each row, whichever rows there are.

    >>> from caviar.data.load import load
    >>> input_names(load("sample:iris").schema, PreparationPlan())[0]
    'sepal length (cm)'
    """
    names = [column.name for column in schema.columns if column.kind != "category"]
    names += [f"{schema.columns[i].name} is missing" for i in _gappy(schema)]
    for i in _categorical(schema):
        column = schema.columns[i]
        if plan.one_hot:
            names += [f"{column.name} = {level}" for level in column.categories]
            names += [f"{column.name} is missing"] if column.has_missing else []
        else:
            names.append(column.name)
    return tuple(names)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
