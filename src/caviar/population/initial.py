"""The first state of every member: drawn for all at once, equal to what Keras itself would draw."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from keras.src.random.seed_generator import SeedGenerator  # the gate to Keras' internals

from caviar.population.template import Build, Origin, Template, build_alone, seed_draws, variables

# (trainable, non-trainable, optimizer, metrics), each a list of arrays with the member axis first.
State = tuple[list[Any], list[Any], list[Any], list[Any]]

# Drawn once: LLVM's costly passes took four times as long to compile as they could ever save.
_QUICK = {"xla_backend_optimization_level": 1}


class Given(SeedGenerator):
    """A seed generator that hands out one seed given from outside, so that a seed can be traced."""

    def __init__(self, seed: jax.Array) -> None:
        self._seed = seed

    def next(self, ordered: bool = True) -> jax.Array:  # noqa: ARG002, FBT001, FBT002 - Keras' signature
        """The seed, as a key."""
        return jnp.stack([self._seed, jnp.zeros_like(self._seed)])


def draw(template: Template, build: Build, batch: tuple[Any, ...], seeds: Sequence[int]) -> State:
    """First values of all variables for all members.

    Member `i` gets what `keras.utils.set_random_seed(seeds[i]); build()` would give it.

    Returns:
        Four lists of arrays of shape (member, ...).
    """
    return grouped(
        _rebuilt(build, batch, seeds) if template.rebuild else _drawn(template, seeds), template.counts
    )


def grouped(flat: Sequence[Any], counts: Sequence[int]) -> State:
    """Values of all variables as the four groups of a state."""
    groups, start = [], 0
    for count in counts:
        groups.append(list(flat[start : start + count]))
        start += count
    return groups[0], groups[1], groups[2], groups[3]


def _drawn(template: Template, seeds: Sequence[int]) -> list[Any]:
    flat = [v for group in variables(template.model) for v in group]

    def one_member(row: jax.Array) -> list[jax.Array]:
        return [
            first_value(origin, variable, row)
            for origin, variable in zip(template.origins, flat, strict=True)
            if origin.initializer is not None
        ]

    drawn = iter(on_device(template.origins, one_member, seeds))
    # Values that the builder set stay outside: another learning rate is then the same program.
    return [
        np.broadcast_to(origin.value, (len(seeds), *origin.value.shape))
        if origin.value is not None
        else next(drawn)
        for origin in template.origins
    ]


def on_device(
    origins: Sequence[Origin],
    one_member: Callable[..., list[jax.Array]],
    seeds: Sequence[int],
    *own: Any,  # noqa: ANN401
) -> list[np.ndarray]:
    """What a function draws for every member.

    Args:
        origins: Of the variables that it draws.
        one_member: Takes the integers that Keras draws under a member's seed, and what is the member's own.
        seeds: Of the members.
        own: Trees of arrays (member, …).

    Returns:
        Arrays (member, …) on the host.
    """
    last = max((o.draw for o in origins if o.draw is not None), default=-1)
    sequence = np.array([seed_draws(seed, last + 1) for seed in seeds], np.uint32).reshape(len(seeds), -1)
    values = jax.jit(jax.vmap(one_member, axis_size=len(seeds)), compiler_options=_QUICK)(sequence, *own)
    # On the host from here: dividing an array among devices compiles a program, dividing memory does not.
    return [np.asarray(value) for value in values]


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
