"""How a network's last layer and loss say what a target must look like, and what its outputs mean."""

from typing import Any, Literal

import keras
import numpy as np
from scipy.special import expit, softmax

from caviar.errors import ModelError


def _loss(model: keras.Model) -> Any:  # noqa: ANN401
    loss = model.loss
    if isinstance(loss, (list, tuple, dict)):
        values = list(loss.values()) if isinstance(loss, dict) else list(loss)
        if len(values) != 1:
            raise ModelError(
                f"Expected a model with one output and one loss for a table, got {len(values)} losses. "
                f"Return a model with a single output."
            )
        loss = values[0]
    if loss is None:
        raise ModelError(
            "Expected a model that is compiled with a loss, got none. Pass loss= to model.compile."
        )
    try:
        return keras.losses.get(loss) if isinstance(loss, str) else loss
    except ValueError as error:
        raise ModelError(
            f"Expected a loss that Keras knows, got {loss!r}. Check its spelling in model.compile."
        ) from error


def _name(loss: Any) -> str:  # noqa: ANN401
    """All that a loss is called, in lower case without underscores: a person may have renamed an instance."""
    names = (type(loss).__name__, getattr(loss, "name", ""), getattr(loss, "__name__", ""))
    return " ".join(str(name) for name in names).lower().replace("_", "")


def loss_of(model: keras.Model) -> tuple[Any, str]:
    """A model's loss, and all that it is called, in lower case without underscores."""
    loss = _loss(model)
    return loss, _name(loss)


def suits(model: keras.Model, task: str) -> bool:
    """Whether a model's loss is one for this kind of target: classes or quantities."""
    name = _name(_loss(model))
    for_classes = any(part in name for part in ("crossentropy", "hinge", "focal"))
    for_values = any(
        part in name for part in ("squared", "absolute", "huber", "logcosh", "poisson", "cosine")
    )
    return not (for_values if task in {"binary", "multiclass"} else for_classes)


def _from_logits(loss: Any) -> bool:  # noqa: ANN401
    return bool(
        getattr(loss, "from_logits", False) or getattr(loss, "_fn_kwargs", {}).get("from_logits", False)
    )


def output_width(model: keras.Model, n_inputs: int | tuple[int, ...]) -> int:
    """Numbers per row that a model gives.

    Args:
        model: Compiled.
        n_inputs: How many inputs a row has, or its shape.

    Raises:
        ModelError: It has several outputs, does not take rows of `n_inputs`, or gives more than one axis.
    """
    if isinstance(n_inputs, tuple):
        row, what, advice = n_inputs, f"rows of shape {n_inputs}", f"Use keras.Input({n_inputs})."
    else:
        row, what = (n_inputs,), f"rows of {n_inputs} inputs"
        advice = "Let the builder take n_inputs and use keras.Input((n_inputs,))."
    declared = getattr(model, "inputs", None)
    if declared and tuple(declared[0].shape[1:]) != row:
        raise ModelError(
            f"Expected a model for {what}, got one for shape {tuple(declared[0].shape[1:])}. {advice}"
        )
    try:
        # A call on a symbol: subclassed models know no other way to tell their shape.
        shape = keras.tree.map_structure(
            lambda said: tuple(said.shape), model(keras.KerasTensor((None, *row)))
        )
    except Exception as error:
        text = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"Expected a model that takes {what}, but it cannot: {text} {advice}") from error
    if not isinstance(shape, tuple) or len(shape) != 2 or not isinstance(shape[1], int):
        raise ModelError(
            f"Expected a model with one output of shape (rows, numbers), got {shape}. "
            f"End the network with one Dense layer."
        )
    return shape[1]


def network_target(
    model: keras.Model, target: np.ndarray, task: str, n_classes: int, n_inputs: int | tuple[int, ...]
) -> np.ndarray:
    """The target as this model's loss takes it.

    Args:
        model: A compiled model.
        target: Class codes (row,) or numbers (row, output).
        task: The task's name.
        n_classes: Number of classes, 0 for regression.
        n_inputs: Inputs per row, or the shape of a row.

    Returns:
        Float (row, 1) for one sigmoid-like output, codes (row,) for sparse losses, else one-hot (row, class).
    """
    width = output_width(model, n_inputs)
    if not n_classes:
        if width != target.shape[1]:
            raise ModelError(
                f"Expected {target.shape[1]} output(s) for the {task} target, but the model gives {width}. "
                f"Set the width of its last layer to n_outputs."
            )
        return target.astype(np.float32)
    if width == 1 and n_classes == 2:
        return target.astype(np.float32)[:, None]
    if width != n_classes:
        wanted = "1 (sigmoid) or 2 (softmax)" if n_classes == 2 else str(n_classes)
        raise ModelError(
            f"Expected {wanted} output(s) for {n_classes} classes, but the model gives {width}. "
            f"Set the width of its last layer to n_outputs."
        )
    if "sparse" in _name(_loss(model)):
        return target.astype(np.int32)
    return np.eye(n_classes, dtype=np.float32)[target]


def given_target(raw: np.ndarray) -> np.ndarray:
    """A target as Keras' `fit` would hand it to the loss: whole numbers stay whole, one column stands upright."""
    values = raw if raw.ndim > 1 else raw[:, None]
    return values.astype(np.int32 if raw.dtype.kind in "biu" else np.float32)


def of_width(values: np.ndarray, width: int) -> np.ndarray:
    """Predictions (row, n) of a model with the wrong number of outputs, as numbers for each class or target.

    Outputs too many are left out, outputs too few count as 0: a class that a model cannot name has no chance.

    >>> of_width(np.array([[0.25, 0.75]]), 3).tolist()
    [[0.25, 0.75, 0.0]]
    """
    missing = width - values.shape[1]
    return values[:, :width] if missing <= 0 else np.pad(values, ((0, 0), (0, missing)))


Link = Literal["identity", "probability", "sigmoid", "softmax", "hinge"]


def link_of(model: keras.Model, task: str, width: int) -> Link:
    """What a model's raw outputs are: values, probabilities, logits, or a hinge loss's scores."""
    if "regression" in task:
        return "identity"
    loss = _loss(model)
    name = _name(loss)
    if _from_logits(loss):
        return "softmax" if width > 1 and "categorical" in name else "sigmoid"
    if "hinge" in name:
        return "hinge" if width == 1 else "softmax"  # scores of several classes have no common range
    return "probability"


def predictions(outputs: np.ndarray, link: Link) -> np.ndarray:
    """What outputs (row, width) say: values (row, output) as they are, or class probabilities (row, class).

    Probabilities are limited to [0, 1] and add up to one. Rows that are not finite become NaN.

    >>> predictions(np.array([[0.0]]), "sigmoid").tolist()
    [[0.5, 0.5]]
    """
    values = outputs.astype(np.float64)
    if link == "identity":
        return values
    values[~np.isfinite(values).all(axis=1)] = np.nan  # an infinite output is a failure, not a certainty
    with np.errstate(invalid="ignore"):
        if link == "sigmoid":
            values = expit(values)
        elif link == "softmax":
            values = softmax(values, axis=1)
        elif link == "hinge":
            values = (values + 1) / 2
        values = np.clip(values, 0, 1)
        if values.shape[1] == 1:
            return np.concatenate([1 - values, values], axis=1)
        total = values.sum(axis=1, keepdims=True)
        return np.where(total == 0, 1 / values.shape[1], values / np.where(total == 0, 1, total))
