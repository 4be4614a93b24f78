"""Do the gradients that a training step follows agree with differences of its loss?"""

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
) -> tuple[dict[str, float], float]:
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
        By the variable's path |slope - difference| / max of both, 0 where both are rounding; and the loss's slope along
        the whole gradient that is followed, over that gradient's norm: 1 where it is the loss's own, below 0 where the
        step climbs.

    Raises:
        ModelError: The weights are not float64, or the training step reports no loss.
    """
    _with_plain_steps(model)
    ready(model, batch)
    rough = [v.path for v in model.trainable_variables if v.value.dtype != np.float64]
    if rough:
        raise ModelError(
            f"Expected weights in double precision, but {rough[0]} has a precision of its own. Leave its dtype out."
        )
    for variable in model.trainable_variables:
        variable.constraint = None  # it moves weights after the step
    weights, *rest = ([np.asarray(v.value) for v in group] for group in variables(model))

    def step(weights: list[Any]) -> tuple[Any, list[Any]]:
        logs, after = model.train_step((weights, *rest), batch)
        if "loss" not in logs:
            raise ModelError("Expected a training step that reports a loss, got none. Return it as 'loss'.")
        return logs["loss"], [old - new for old, new in zip(weights, after[0], strict=True)]

    compiled = jax.jit(step)
    followed = [np.asarray(part) for part in compiled(weights)[1]]
    norm = float(np.sqrt(sum(np.square(part).sum() for part in followed)))

    def difference(way: list[np.ndarray]) -> float:
        """Of the loss, per unit of length along a way of length 1."""
        ends = [
            float(compiled([w + sign * STEP * part for w, part in zip(weights, way, strict=True)])[0])
            for sign in (1, -1)
        ]
        return (ends[0] - ends[1]) / (2 * STEP)

    def error(i: int) -> float:
        way = [np.zeros_like(part) for part in followed]
        way[i] = rng.normal(size=followed[i].shape)
        way[i] /= np.linalg.norm(way[i]) or 1.0
        slope, told = difference(way), float((followed[i] * way[i]).sum())
        size = max(abs(slope), abs(told))
        return abs(slope - told) / size if size > smallest * norm else 0.0

    rng = np.random.default_rng(seed)
    errors = {
        variable.path: float(np.median([error(i) for _ in range(directions)]))
        for i, variable in enumerate(model.trainable_variables)
    }
    return errors, difference([part / norm for part in followed]) / norm if norm > 0 else 0.0


def _with_plain_steps(model: keras.Model) -> None:
    settings = dict(model._compile_config.config)
    plain = {"optimizer": keras.optimizers.SGD(1.0), "auto_scale_loss": False}
    model.compile(**settings | plain)
