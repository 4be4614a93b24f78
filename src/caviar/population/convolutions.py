"""Large convolutions, laid out as the library of XLA's CPU compiler takes them.

XLA brings a convolution into that order itself, but not inside of loops. There the gradients of a convolution, whose
axes stand otherwise, are computed number by number: ten times as slowly, and more.
"""

import math

import jax
from jax import lax
from jax.extend.core import JaxprEqn

# Multiplications from which the library is worth its start (benchmarks/convolutions.py).
LEAST = 6e4


def is_large(eqn: JaxprEqn) -> bool:
    """Whether an operation is a convolution that the library computes faster than XLA's own loops do."""
    if eqn.primitive.name != "conv_general_dilated":
        return False
    kernel, filters = eqn.invars[1].aval.shape, eqn.params["dimension_numbers"].rhs_spec[0]
    return math.prod(eqn.outvars[0].aval.shape) * math.prod(kernel) >= LEAST * kernel[filters]


def laid_out(eqn: JaxprEqn, rows: jax.Array, kernel: jax.Array) -> jax.Array:
    """What a convolution gives, computed on (row, …, channel) and (…, channel, filter), as XLA does outside of loops.

    Args:
        eqn: A `conv_general_dilated`.
        rows: Its first argument.
        kernel: Its second one.
    """
    given = eqn.params["dimension_numbers"]
    (row, channel, *places), (filters, inputs, *window) = given.lhs_spec, given.rhs_spec
    spatial = range(len(places))
    said = lax.conv_general_dilated(
        lax.transpose(rows, (row, *places, channel)),
        lax.transpose(kernel, (*window, inputs, filters)),
        eqn.params["window_strides"],
        eqn.params["padding"],
        eqn.params["lhs_dilation"],
        eqn.params["rhs_dilation"],
        lax.ConvDimensionNumbers(
            (0, len(places) + 1, *(i + 1 for i in spatial)),
            (len(places) + 1, len(places), *spatial),
            (0, len(places) + 1, *(i + 1 for i in spatial)),
        ),
        feature_group_count=eqn.params["feature_group_count"],
        batch_group_count=eqn.params["batch_group_count"],
        precision=eqn.params["precision"],
        preferred_element_type=eqn.params["preferred_element_type"],
    )
    row, channel, *places = given.out_spec
    at = {row: 0, channel: len(places) + 1} | {place: i + 1 for i, place in enumerate(places)}
    return lax.transpose(said, [at[axis] for axis in range(said.ndim)])
