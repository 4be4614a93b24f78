"""Random bits as JAX draws them, written out: JAX's own loop on CPUs stores what each of the cipher's rounds gives."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import JaxprEqn

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
