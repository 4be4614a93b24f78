"""The first state of every member: drawn for all at once, equal to what Keras itself would draw."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from keras.src.random.seed_generator import SeedGenerator  # the gate to Keras' internals

from caviar.population.ahead import Ahead
from caviar.population.template import Build, Origin, Template, build_alone, seed_draws, variables

# (trainable, non-trainable, optimizer, metrics), each a list of arrays with the member axis first.
State = tuple[list[Any], list[Any], list[Any], list[Any]]

# Drawn once: LLVM's costly passes took four times as long to compile as they could ever save.
_QUICK = {"xla_backend_optimization_level": 1}
_AT_ONCE, _AT_ONCE_BYTES = 16, 2**26


class Given(SeedGenerator):
    """A seed generator that hands out one seed given from outside, so that a seed can be traced."""

    def __init__(self, seed: jax.Array) -> None:
        self._seed = seed

    def next(self, ordered: bool = True) -> jax.Array:  # noqa: ARG002, FBT001, FBT002 - Keras' signature
        """The seed, as a key."""
        return jnp.stack([self._seed, jnp.zeros_like(self._seed)])


def draw(
    template: Template,
    build: Build,
    batch: tuple[Any, ...],
    seeds: Sequence[int],
    drawn_by: Ahead | None = None,
) -> State:
    """First values of all variables for all members.

    Member `i` gets what `keras.utils.set_random_seed(seeds[i]); build()` would give it.

    Args:
        template: The recipe's.
        build: Its builder.
        batch: Rows that the template was made with.
        seeds: Of the members.
        drawn_by: From `drawer` of a template of the same structure, where there is one already.

    Returns:
        Four lists of arrays of shape (member, ...).
    """
    if template.rebuild:
        return grouped(_rebuilt(build, batch, seeds), template.counts)
    return grouped(_drawn(template, seeds, drawn_by or drawer(template)), template.counts)


def grouped(flat: Sequence[Any], counts: Sequence[int]) -> State:
    """Values of all variables as the four groups of a state."""
    groups, start = [], 0
    for count in counts:
        groups.append(list(flat[start : start + count]))
        start += count
    return groups[0], groups[1], groups[2], groups[3]


def drawer(template: Template) -> Ahead:
    """Integers that Keras draws under a seed (member, draw) → values of the variables that are drawn."""
    flat = [v for group in variables(template.model) for v in group]

    def one_member(row: jax.Array) -> list[jax.Array]:
        return [
            first_value(origin, variable, row)
            for origin, variable in zip(template.origins, flat, strict=True)
            if origin.initializer is not None
        ]

    return compiled(one_member)


def _drawn(template: Template, seeds: Sequence[int], drawn_by: Ahead) -> list[Any]:
    different, which = np.unique(seeds, return_inverse=True)  # members of other settings share seeds
    drawn = iter(on_host(template, drawn_by, different.tolist()))
    # Values that the builder set stay outside: another learning rate is then the same program.
    return [
        np.broadcast_to(origin.value, (len(seeds), *origin.value.shape))
        if origin.value is not None
        else next(drawn)[which]
        for origin in template.origins
    ]


def compiled(one_member: Callable[..., list[jax.Array]]) -> Ahead:
    """A function of one member as a compiled one of many."""
    return Ahead(jax.jit(jax.vmap(one_member), compiler_options=_QUICK))


def prepare(template: Template, drawn_by: Ahead, *own: Any) -> None:  # noqa: ANN401
    """Let what draws first values be compiled, before `on_host` needs it.

    Args:
        template: Of the variables that it draws.
        drawn_by: From `compiled`.
        own: Of one member what is its own: trees of shapes and types.
    """
    at_once, draws = _at_once(template)
    several = jax.tree.map(lambda one: jax.ShapeDtypeStruct((at_once, *one.shape), one.dtype), own)
    drawn_by.prepare(jax.ShapeDtypeStruct((at_once, draws), np.uint32), *several)


def _at_once(template: Template) -> tuple[int, int]:
    """For how many members values are drawn at a time, and from how many integers each."""
    each = 4 * sum(math.prod(v.shape) for group in variables(template.model) for v in group)
    last = max((o.draw for o in template.origins if o.draw is not None), default=-1)
    return int(np.clip(_AT_ONCE_BYTES // max(1, each), 1, _AT_ONCE)), last + 1


def on_host(
    template: Template,
    draw_all: Ahead,
    seeds: Sequence[int],
    *own: Any,  # noqa: ANN401
) -> list[np.ndarray]:
    """What a function draws for every member, so many at a time that one program serves all numbers of members.

    Args:
        template: Of the variables that it draws.
        draw_all: From `compiled`: takes the integers that Keras draws under members' seeds, and what is their own.
        seeds: Of the members.
        own: Trees of arrays (member, …).

    Returns:
        Arrays (member, …) on the host.
    """
    at_once, draws = _at_once(template)
    sequence = np.array([seed_draws(seed, draws) for seed in seeds], np.uint32).reshape(len(seeds), -1)
    parts: list[list[np.ndarray]] = []
    for start in range(0, len(seeds), at_once):
        some = np.minimum(np.arange(start, start + at_once), len(seeds) - 1)
        drawn = draw_all(*jax.tree.map(lambda a, some=some: a[some], (sequence, *own)))
        # On the host from here: dividing an array among devices compiles a program, dividing memory does not.
        parts.append([np.asarray(value)[: len(seeds) - start] for value in drawn])
    return [np.concatenate(values) for values in zip(*parts, strict=True)]


def first_value(origin: Origin, variable: Any, row: jax.Array) -> jax.Array:  # noqa: ANN401
    """What Keras draws for a variable, given the integers that it draws under the member's seed."""
    dtype = variable._dtype
    assert origin.initializer is not None
    if origin.draw is None:
        return jnp.asarray(origin.initializer(variable.shape, dtype=dtype), dtype)
    seed = row[origin.draw]
    if origin.is_generator:
        return jnp.stack([seed, jnp.zeros_like(seed)]).astype(dtype)
    kept = origin.initializer.seed  # type: ignore[attr-defined]
    origin.initializer.seed = Given(seed)  # type: ignore[attr-defined]
    try:
        return jnp.asarray(origin.initializer(variable.shape, dtype=dtype), dtype)
    finally:
        origin.initializer.seed = kept  # type: ignore[attr-defined]


def _rebuilt(build: Build, batch: tuple[Any, ...], seeds: Sequence[int]) -> list[Any]:
    members = [build_alone(build, batch, seed) for seed in seeds]
    values = [[v.numpy() for group in variables(model) for v in group] for model in members]
    return [np.stack(column) for column in zip(*values, strict=True)]
