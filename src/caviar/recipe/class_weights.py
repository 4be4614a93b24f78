"""How much does a row count by its class? The `class_weight` of `fit`, checked and carried out."""

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from caviar.errors import OptionError


def check_class_weight(class_weight: Any) -> None:  # noqa: ANN401
    """Refuse what is no dict of class and weight.

    Raises:
        OptionError: It is none.
    """
    if class_weight is None:
        return
    if not isinstance(class_weight, Mapping) or not all(
        isinstance(c, Integral) and isinstance(w, Real) and math.isfinite(w) for c, w in class_weight.items()
    ):
        raise OptionError(
            f"Expected class_weight to be a dict of class and number, got {class_weight!r}. Write {{0: 1.0, 1: 5.0}}."
        )


def weights_by_class(y: np.ndarray, class_weight: Mapping[int, float]) -> np.ndarray:
    """The weight of each row (row,), as Keras gives it: 1 for a class without.

    Args:
        y: Class of each row (row,), or one-hot (row, class).
        class_weight: Weight by class.

    >>> weights_by_class(np.array([0, 1, 2]), {1: 5.0}).tolist()
    [1.0, 5.0, 1.0]
    """
    classes = y.argmax(-1) if y.ndim > 1 and y.shape[-1] > 1 else y.reshape(-1)
    if not np.isfinite(classes).all():
        raise OptionError(
            "Expected targets to be classes where class_weight is given, got some that are missing. Fill them in or "
            "leave these rows out."
        )
    return np.array([class_weight.get(int(c), 1.0) for c in classes], np.float32)
