"""Do the gradients that a training step follows agree with differences of its loss?"""

from collections.abc import Callable
from typing import Any

import jax
import keras
import numpy as np
from keras.src.backend.common import dtypes  # the gate to Keras' internals

from caviar.errors import ModelError
from caviar.population.template import ready, variables

STEP = 1e-5
"""Length of the way along a direction: its square is the error of a central difference, about 1e-10."""


def compute_in_double() -> None:
    """Let Keras compute in float64 from now on: for a process of its own, started with `JAX_ENABLE_X64=1`."""
    keras.config.set_floatx("float64")
    # Keras takes means in float32 on JAX, whatever it is given.
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"


def slope_errors(
    model: keras.Model, batch: tuple[Any, ...], *, directions: int = 3, smallest: float = 1e-7, seed: int = 0
) -> dict[str, float]:
    """Relative error of each weight array's slope, by the loss that the training step itself reports.

    The model's own `train_step` is run with plain SGD at a rate of 1, so that what it takes off the weights is the
    gradient that it follows, whatever code computes it. Along random directions of one array at a time, that is
    compared with the central difference of the loss that it reports.

    Args:
        model: A compiled model whose weights are float64; it is compiled anew.
        batch: `(x, y)` or `(x, y, sample_weight)` in float64, some rows.
        directions: How many per array; their median tells, since one of them may cross a kink (as of a ReLU).
        smallest: Slopes below this share of the whole gradient's norm are rounding.
        seed: Of the directions.

    Returns:
        By the variable's path: |slope - difference| / max of both; 0 where both are rounding.

    Raises:
        ModelError: The weights are not float64, or the training step reports no loss.
    """
    _with_plain_steps(model)
    ready(model, batch)
    state: list[Any] = [[v.value for v in group] for group in variables(model)]
    rough = [v.path for v in model.trainable_variables if v.value.dtype != np.float64]
    if rough:
        raise ModelError(
            f"Expected weights in double precision, but {rough[0]} has a precision of its own. Leave its dtype out."
        )
    for variable in model.trainable_variables:
        variable.constraint = None  # it moves weights after the step

    def one_step(weights: list[Any]) -> tuple[Any, list[Any]]:
        logs, after = model.train_step((weights, *state[1:]), batch)
        return logs.get("loss"), [old - new for old, new in zip(weights, after[0], strict=True)]

    step = jax.jit(one_step)
    loss, followed = step(state[0])
    if loss is None:
        raise ModelError("Expected a training step that reports a loss, got none. Return it as 'loss'.")
    rng = np.random.default_rng(seed)
    floor = smallest * float(np.sqrt(sum(float((g**2).sum()) for g in followed)))
    errors = {}
    for i, variable in enumerate(model.trainable_variables):
        found = [_error(step, state[0], i, followed[i], rng, floor) for _ in range(directions)]
        errors[variable.path] = float(np.median(found))
    return errors


def _error(
    step: Callable[[list[Any]], tuple[Any, list[Any]]],
    weights: list[Any],
    i: int,
    followed: jax.Array,
    rng: np.random.Generator,
    floor: float,
) -> float:
    direction = rng.normal(size=followed.shape)
    direction /= np.linalg.norm(direction) or 1.0
    losses = [
        float(step([*weights[:i], weights[i] + sign * STEP * direction, *weights[i + 1 :]])[0])
        for sign in (1, -1)
    ]
    difference, slope = (losses[0] - losses[1]) / (2 * STEP), float((followed * direction).sum())
    size = max(abs(difference), abs(slope))
    return abs(difference - slope) / size if size > floor else 0.0


def _with_plain_steps(model: keras.Model) -> None:
    settings = dict(model._compile_config.config)
    plain = {"optimizer": keras.optimizers.SGD(1.0), "auto_scale_loss": False}
    model.compile(**settings | plain)
