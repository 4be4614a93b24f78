"""Random bits as JAX draws them, written out: JAX's own loop on CPUs stores what each of the cipher's rounds gives."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxpr_as_fun

CALLS = {
    "jit": "jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "checkpoint": "jaxpr",
}
"""Operations that call a function, and the parameter that holds it."""

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def threefry(key_0: Any, key_1: Any, x_0: Any, x_1: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw, 2011), all arguments uint32, written out."""
    keys = (key_0, key_1, key_0 ^ key_1 ^ jnp.uint32(0x1BD11BDA))
    x_0, x_1 = x_0 + key_0, x_1 + key_1
    for group in range(5):
        for turn in _ROTATIONS[group % 2]:
            x_0 = x_0 + x_1
            x_1 = x_0 ^ ((x_1 << jnp.uint32(turn)) | (x_1 >> jnp.uint32(32 - turn)))
        x_0 = x_0 + keys[(group + 1) % 3]
        x_1 = x_1 + keys[(group + 2) % 3] + jnp.uint32(group + 1)
    return x_0, x_1


def drawn(eqn: JaxprEqn) -> Callable[[jax.Array, jax.Array], jax.Array] | None:
    """What draws the bits of a `random_bits`; None where only JAX itself knows how.

    Returns:
        (both words of the key, further axes of bits) → bits. The words may have axes behind: those of the bits have
        the same behind theirs.
    """
    width, shape = eqn.params["bit_width"], eqn.params["shape"]
    size = int(np.prod(shape))
    key = eqn.invars[0].aval
    plain = jax.config.jax_threefry_partitionable and "fry" in str(key.dtype) and not key.shape
    if not plain or width > 32 or size >= 2**32:  # larger counts have two words
        return None

    def bits(first: jax.Array, second: jax.Array) -> jax.Array:
        count = jnp.arange(size, dtype=jnp.uint32).reshape(*shape, *(1 for _ in first.shape))
        one, other = threefry(first, second, jnp.zeros_like(count), count)
        return (one ^ other).astype(jnp.dtype(f"uint{width}"))

    return fenced(bits)


def fenced(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function as a call that the compiler does not inline: its result is computed once and stored."""
    compiled = jax.jit(function)

    def call(*arguments: Any) -> Any:  # noqa: ANN401
        with set_xla_metadata(inlineable="false"):
            return compiled(*arguments)

    return call


def written_out(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, with the random bits that it draws written out.

    >>> def mask(seed):
    ...     return jax.random.bits(jax.random.key(seed), (3,))
    >>> bool((written_out(mask)(7) == mask(7)).all())
    True
    """

    def written(*arguments: Any) -> Any:  # noqa: ANN401
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        return jax.tree.unflatten(jax.tree.structure(shapes), _run(closed, jax.tree.leaves(arguments)))

    return written


def _run(closed: ClosedJaxpr, values: Sequence[Any]) -> list[Any]:
    """What `jaxpr_as_fun` gives; operations with functions inside are entered only where those draw bits."""
    jaxpr = closed.jaxpr
    if not _draws(jaxpr):
        return list(jaxpr_as_fun(closed)(*values))
    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*closed.consts, *values], strict=True))

    def read(atom: Any) -> Any:  # noqa: ANN401
        return jnp.asarray(atom.val, atom.aval.dtype) if isinstance(atom, Literal) else known[atom]

    for eqn in jaxpr.eqns:
        known.update(zip(eqn.outvars, _applied(eqn, [read(atom) for atom in eqn.invars]), strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _applied(eqn: JaxprEqn, values: list[Any]) -> list[Any]:
    name = str(eqn.primitive.name)
    if name == "random_bits" and (draw := drawn(eqn)) is not None:
        words = jax.random.key_data(values[0])
        return [draw(words[0], words[1])]
    if name in CALLS and _has_draws(eqn):
        return _run(as_closed(eqn.params[CALLS[name]]), values)
    if name == "scan" and _has_draws(eqn):
        return _scan(eqn, values)
    if name == "cond" and _has_draws(eqn):
        index, *rest = values
        branches = [partial(_branch, branch) for branch in eqn.params["branches"]]
        return list(lax.switch(index, branches, *rest))
    with eqn.ctx.manager:
        answer = eqn.primitive.bind(*values, **eqn.primitive.get_bind_params(eqn.params))
    return list(answer) if eqn.primitive.multiple_results else [answer]


def _branch(closed: ClosedJaxpr, *values: Any) -> list[Any]:  # noqa: ANN401
    return _run(closed, values)


def _scan(eqn: JaxprEqn, values: list[Any]) -> list[Any]:
    params = eqn.params
    fixed, carried = params["num_consts"], params["num_carry"]
    consts, begun, given = values[:fixed], values[fixed : fixed + carried], values[fixed + carried :]

    def step(carry: Sequence[Any], some: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        out = _run(params["jaxpr"], [*consts, *carry, *some])
        return out[:carried], out[carried:]

    again = {name: params[name] for name in ("length", "reverse", "unroll")}
    carry, stacked = lax.scan(step, begun, given, **again)
    return [*carry, *stacked]


def as_closed(jaxpr: Any) -> ClosedJaxpr:  # noqa: ANN401
    """A function inside an operation, whichever way it is kept there."""
    return jaxpr if isinstance(jaxpr, ClosedJaxpr) else ClosedJaxpr(jaxpr, ())


def _draws(jaxpr: Jaxpr) -> bool:
    """Whether a function draws bits, itself or in what it calls."""
    return any(eqn.primitive.name == "random_bits" or _has_draws(eqn) for eqn in jaxpr.eqns)


def _has_draws(eqn: JaxprEqn) -> bool:
    inner = jax.tree.leaves(
        list(eqn.params.values()), is_leaf=lambda one: isinstance(one, ClosedJaxpr | Jaxpr)
    )
    return any(_draws(as_closed(one).jaxpr) for one in inner if isinstance(one, ClosedJaxpr | Jaxpr))
