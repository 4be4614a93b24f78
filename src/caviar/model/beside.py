"""What predicts beside the networks of a finished model, in a file that is read without running code."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from caviar.data.schema import Schema
from caviar.errors import RunError
from caviar.run.parts import read_parts, write_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caviar.evaluate.simple import Fitted

_FILE = "beside.skops"
# The nodes of a tree, and nothing that runs: what they say is looked through below.
_TRUSTED = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)


def write_beside(folder: Path, beside: "Sequence[Fitted]") -> None:
    """Write what was fitted, into a folder that is there.

    Raises:
        RunError: The system does not let it be written.
    """
    write_parts(folder / _FILE, {"estimators": [list(fitted.estimators) for fitted in beside]})


def read_beside(folder: Path, schema: Schema, n_inputs: int) -> "tuple[Fitted, ...]":
    """Read it back.

    Args:
        folder: That of the finished model.
        schema: What the table's columns are.
        n_inputs: Numbers that enter the networks.

    Raises:
        RunError: The file is missing, damaged, or holds something else.
    """
    from caviar.evaluate.simple import Fitted

    path = folder / _FILE
    parts = read_parts(path, ("estimators",), "model beside the networks", _TRUSTED)
    estimators = [one for group in parts["estimators"] for one in group]
    n_classes = len(schema.classes) if schema.is_classification else 0
    beside = tuple(Fitted(tuple(group), n_classes) for group in parts["estimators"])
    width = n_classes or len(schema.targets)
    if not all(_fits(one, n_inputs) for one in estimators) or not _answers(beside, n_inputs, width):
        raise RunError(
            f"Expected {path} to hold models of {n_inputs} inputs, but it holds something else. "
            f"Train again, or restore the file."
        )
    return beside


def _answers(beside: "Sequence[Fitted]", n_inputs: int, width: int) -> bool:
    """Whether each predicts as many numbers for a row as there are classes or values."""
    try:
        return all(one.predict(np.zeros((1, n_inputs), np.float32)).shape == (1, width) for one in beside)
    except Exception:  # noqa: BLE001 - whatever an estimator of parts that do not fit each other raises
        return False


def _fits(estimator: Any, n_inputs: int) -> bool:  # noqa: ANN401
    """Whether an estimator is one of ours for so many inputs, and no tree points outside: compiled code follows it."""
    from caviar.evaluate.simple import ESTIMATORS

    rounds = getattr(estimator, "_predictors", [])
    return (
        isinstance(estimator, ESTIMATORS)
        and getattr(estimator, "n_features_in_", None) == n_inputs
        and all(_is_whole(tree.nodes, n_inputs) for trees in rounds for tree in trees)
    )


def _is_whole(nodes: np.ndarray, n_inputs: int) -> bool:
    """Whether each inner node of a tree asks for an input and leads to two later nodes."""
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    asked, after = nodes["feature_idx"][inner], (nodes["left"][inner], nodes["right"][inner])
    return bool(
        len(nodes)
        and (nodes["is_categorical"] == 0).all()
        and ((asked >= 0) & (asked < n_inputs)).all()
        and all(((place > inner) & (place < len(nodes))).all() for place in after)
    )
