"""Predictors that are no networks: a constant, a linear model, boosted trees."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeCV
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

ESTIMATORS = (
    DummyClassifier,
    DummyRegressor,
    LogisticRegression,
    RidgeCV,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
"""Of which kind what is fitted here may be."""

RIDGE_PENALTIES = np.logspace(-2, 4, 13)
"""Candidate penalties of the linear regression: wide enough for standardized inputs of any table."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A predictor that was fitted.

    Attributes:
        estimators: Scikit-learn's: one, or one for each output.
        n_classes: Classes of the table, of which the training rows may have had fewer; 0 for quantities.
    """

    estimators: tuple[Any, ...]
    n_classes: int

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """Class probabilities (row, class) or values (row, output) for inputs (row, input), in double precision.

        Rows with inputs that are not finite get NaN: some estimators refuse them.
        """
        known = np.isfinite(inputs).all(axis=1)
        said = self._said(np.where(known[:, None], inputs, inputs.dtype.type(0)))
        said[~known] = np.nan
        return said

    def _said(self, inputs: np.ndarray) -> np.ndarray:
        # One thread: a second brought 15 to 30 % on two idle cores, and made trees ten times slower on busy ones,
        # because OpenMP's threads wait by spinning.
        with threadpool_limits(1):
            if not self.n_classes:
                said = [np.asarray(one.predict(inputs), np.float64) for one in self.estimators]
                return np.concatenate([values.reshape(len(inputs), -1) for values in said], axis=1)
            probabilities = np.zeros((len(inputs), self.n_classes))
            for one in self.estimators:
                probabilities[:, one.classes_] = one.predict_proba(inputs)
            return probabilities


Fit = Callable[[np.ndarray, np.ndarray, np.ndarray | None, int], Fitted]
"""`(inputs, target, weight, n_classes) -> fitted`, of training rows; 0 classes: quantities (row, output)."""


def _fitted(
    estimator: Any,  # noqa: ANN401 - any of scikit-learn's
    inputs: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None,
    n_classes: int,
) -> Fitted:
    single = not n_classes and target.shape[1] == 1
    return Fitted(
        (estimator.fit(inputs, target.ravel() if single else target, sample_weight=weight),), n_classes
    )


def no_skill(inputs: np.ndarray, target: np.ndarray, weight: np.ndarray | None, n_classes: int) -> Fitted:
    """Class frequencies, or the mean."""
    model = DummyClassifier(strategy="prior") if n_classes else DummyRegressor(strategy="mean")
    return _fitted(model, inputs, target, weight, n_classes)


def median(inputs: np.ndarray, target: np.ndarray, weight: np.ndarray | None, n_classes: int) -> Fitted:
    """The median: no skill where errors count by their size."""
    return _fitted(DummyRegressor(strategy="median"), inputs, target, weight, n_classes)


def linear(inputs: np.ndarray, target: np.ndarray, weight: np.ndarray | None, n_classes: int) -> Fitted:
    """Logistic regression, or ridge regression with a penalty chosen by leaving one out."""
    if n_classes and len(np.unique(target)) < 2:
        return no_skill(inputs, target, weight, n_classes)
    model = (
        LogisticRegression(max_iter=1000)
        if n_classes
        else RidgeCV(RIDGE_PENALTIES, alpha_per_target=target.shape[1] > 1)
    )
    with warnings.catch_warnings():
        # What stopped a little early is still a fair predictor.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return _fitted(model, inputs.astype(np.float64), target, weight, n_classes)


def boosting(inputs: np.ndarray, target: np.ndarray, weight: np.ndarray | None, n_classes: int) -> Fitted:
    """Scikit-learn's histogram gradient boosting with its defaults."""
    if n_classes and len(np.unique(target)) < 2:
        return no_skill(inputs, target, weight, n_classes)
    with threadpool_limits(1):
        if n_classes:
            return _fitted(HistGradientBoostingClassifier(random_state=0), inputs, target, weight, n_classes)
        outputs = [
            HistGradientBoostingRegressor(random_state=0).fit(inputs, values, sample_weight=weight)
            for values in target.T
        ]
    return Fitted(tuple(outputs), 0)
