"""How does a narrow member live in the arrays of a wider network? At their beginnings; the rest is zero.

First values are those that the member's own recipe would draw: a number that JAX draws depends only on its place,
counted through all numbers of the array. So as many numbers are drawn as the wide array has, and each is looked up at
the place that it has in the narrow one.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from keras import initializers
from keras.src.initializers.random_initializers import compute_fans  # the gate to Keras' internals

from caviar.population import initial
from caviar.population.ahead import Ahead
from caviar.population.initial import Given, State, compiled, first_value, grouped, on_host
from caviar.population.job import MemberValues
from caviar.population.template import Origin, Template, variables

DRAWN = (
    *(initializers.GlorotUniform, initializers.GlorotNormal, initializers.HeUniform, initializers.HeNormal),
    *(initializers.LecunUniform, initializers.LecunNormal, initializers.VarianceScaling),
    *(initializers.RandomUniform, initializers.RandomNormal, initializers.TruncatedNormal),
)
"""Initializers that draw every number from one distribution, which at most follows from the array's shape."""

# A normal distribution that is cut at two deviations has this deviation left (as in Keras' `VarianceScaling`).
_CUT_DEVIATION = 0.87962566103423978


def draw(
    wide: Template,
    own: Sequence[Template],
    seeds: Sequence[int],
    drawn_by: Ahead | None = None,
) -> State:
    """First values of members whose layers lie in wider ones.

    Args:
        wide: The template of the program.
        own: For each member that of its recipe.
        seeds: For each member.
        drawn_by: From `drawer` of templates of the same structures, where there is one already.

    Returns:
        Four lists of arrays (member, …) in the shapes of the wide model, zero where a member has nothing.
    """
    origins = own[0].origins
    shapes = [_shapes(one) for one in own]
    inside = _inside(origins)
    sizes = [np.array([each[k] for each in shapes], np.uint32) for k in inside]
    scales = [
        np.array([_scale(origins[k].initializer, each[k]) for each in shapes], np.float32) for k in inside
    ]
    drawn = iter(on_host(wide, drawn_by or drawer(wide, origins), seeds, sizes, scales))
    values = [
        next(drawn) if origin.value is None else np.stack([np.asarray(one.origins[k].value) for one in own])
        for k, origin in enumerate(origins)
    ]
    return grouped(
        [_only_own(one, [each[k] for each in shapes]) for k, one in enumerate(values)], wide.counts
    )


def drawer(wide: Template, origins: Sequence[Origin]) -> Ahead:
    """What draws first values, given seeds and of each array of `DRAWN` numbers its own sizes and scale.

    Args:
        wide: The template of the program.
        origins: Of the variables of the members' own recipes.
    """
    flat = [variable for group in variables(wide.model) for variable in group]
    inside = _inside(origins)

    def one_member(row: jax.Array, sizes: list[jax.Array], scales: list[jax.Array]) -> list[jax.Array]:
        given = dict(zip(inside, zip(sizes, scales, strict=True), strict=True))
        return [
            _looked_up(origin, variable, row, *given[k]) if k in given else first_value(origin, variable, row)
            for k, (origin, variable) in enumerate(zip(origins, flat, strict=True))
            if origin.initializer is not None
        ]

    return compiled(one_member)


def prepare(wide: Template, origins: Sequence[Origin], drawn_by: Ahead) -> None:
    """Let what draws first values be compiled, before `draw` needs it.

    Args:
        wide: The template of the program.
        origins: Of the variables of the members' own recipes.
        drawn_by: From `drawer`.
    """
    shapes = _shapes(wide)
    sizes = [jax.ShapeDtypeStruct((len(shapes[k]),), np.uint32) for k in _inside(origins)]
    initial.prepare(wide, drawn_by, sizes, [jax.ShapeDtypeStruct((), np.float32) for _ in sizes])


def _inside(origins: Sequence[Origin]) -> list[int]:
    """Variables whose numbers a member looks up among those that the wide array has."""
    return [k for k, origin in enumerate(origins) if type(origin.initializer) in DRAWN]


def _shapes(template: Template) -> list[tuple[int, ...]]:
    """Shapes of all variables, in the order of `train_step`'s state."""
    return [tuple(variable.shape) for group in variables(template.model) for variable in group]


def _scale(initializer: Any, shape: tuple[int, ...]) -> float:  # noqa: ANN401 - one of DRAWN
    """What follows from a shape, as `VarianceScaling` computes it: a deviation, or the limit of a uniform draw."""
    if not isinstance(initializer, initializers.VarianceScaling):
        return 1.0
    inward, outward = compute_fans(shape, initializer.input_axes, initializer.output_axes)
    fan = {"fan_in": inward, "fan_out": outward}.get(initializer.mode, (inward + outward) / 2)
    variance = initializer.scale / max(1.0, fan)
    if initializer.distribution == "uniform":
        return math.sqrt(3.0 * variance)
    is_cut = initializer.distribution == "truncated_normal"
    return math.sqrt(variance) / (_CUT_DEVIATION if is_cut else 1.0)


def _looked_up(
    origin: Origin,
    variable: Any,  # noqa: ANN401 - of the wide model
    row: jax.Array,
    size: jax.Array,
    scale: jax.Array,
) -> jax.Array:
    """The wide array's numbers, drawn in one row, at the places that they have in the narrow array."""
    initializer: Any = origin.initializer
    seed = initializer.seed if origin.draw is None else Given(row[origin.draw])
    kind = getattr(initializer, "distribution", "")
    given = {"shape": (math.prod(variable.shape),), "dtype": variable._dtype, "seed": seed}
    if kind == "uniform":
        drawn = keras.random.uniform(minval=-scale, maxval=scale, **given)
    elif kind == "truncated_normal":
        drawn = keras.random.truncated_normal(stddev=scale, **given)
    elif kind:
        drawn = keras.random.normal(stddev=scale, **given)
    elif isinstance(initializer, initializers.RandomUniform):
        drawn = keras.random.uniform(minval=initializer.minval, maxval=initializer.maxval, **given)
    else:
        cut = isinstance(initializer, initializers.TruncatedNormal)
        normal = keras.random.truncated_normal if cut else keras.random.normal
        drawn = normal(mean=initializer.mean, stddev=initializer.stddev, **given)
    place = jnp.zeros(variable.shape, jnp.uint32)
    for axis in range(len(variable.shape)):
        place = place * size[axis] + jax.lax.broadcasted_iota(jnp.uint32, variable.shape, axis)
    return jnp.asarray(drawn)[place]


def _only_own(values: np.ndarray, shapes: Sequence[tuple[int, ...]]) -> np.ndarray:
    """Arrays (member, …) of which each member keeps the beginning; the rest is zero."""
    if all(shape == values.shape[1:] for shape in shapes):
        return values
    kept = np.zeros_like(values)
    for into, of, shape in zip(kept, values, shapes, strict=True):
        own = tuple(map(slice, shape))
        into[own] = of[own]
    return kept


def put_in(wide: Template, state: MemberValues) -> MemberValues:
    """A narrow member's values in the arrays of the wide network."""

    def filled(variable: Any, values: np.ndarray) -> np.ndarray:  # noqa: ANN401
        into = np.zeros(tuple(variable.shape), values.dtype)
        into[tuple(map(slice, values.shape))] = values
        return into

    groups = zip(variables(wide.model)[:3], state, strict=True)
    trainable, rest, optimizer = (list(map(filled, *group)) for group in groups)
    return trainable, rest, optimizer


def take_out(own: Template, state: MemberValues) -> MemberValues:
    """A narrow member's values out of the arrays of the wide network."""
    groups = zip(variables(own.model)[:3], state, strict=True)
    trainable, rest, optimizer = (
        [values[tuple(map(slice, variable.shape))] for variable, values in zip(*group, strict=True)]
        for group in groups
    )
    return trainable, rest, optimizer
