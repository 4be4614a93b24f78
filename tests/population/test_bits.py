"""Random bits that are written out are the bits that JAX draws, wherever a function draws them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from caviar.population import bits
from caviar.population.written_out import written_out


def plain(seed, width="uint32"):
    return jax.random.bits(jax.random.key(seed), (4, 3), width)


def called(seed):
    return jax.jit(plain)(seed) + 1, seed


def differentiated(seed):
    def loss(x):
        return (x * jax.random.bernoulli(jax.random.key(seed), 0.5, (5,))).sum()

    return jax.grad(loss)(jnp.ones(5))


def repeated(seed):
    def step(carry, x):
        noise = jax.random.normal(jax.random.key(seed + x), (3,))
        return carry + noise, (noise * 2, x)

    return lax.scan(step, jnp.zeros(3), jnp.arange(6), reverse=True)


def branching(seed):
    keep, drop = (lambda: jnp.ones(3)), (lambda: jax.random.uniform(jax.random.key(seed), (3,)))
    return lax.cond(seed % 2 == 0, keep, drop), lax.cond(seed % 2 == 0, drop, keep)


def looping(seed):
    def more(carry):
        return carry[0] + 1, carry[1] + jax.random.uniform(jax.random.key(seed), (3,))

    return lax.while_loop(lambda carry: carry[0] < 3, more, (0, jnp.zeros(3)))


def none(seed):
    return jnp.sin(seed)


FUNCTIONS = [plain, called, differentiated, repeated, branching, looping, none]


@pytest.mark.parametrize(
    "function", [*FUNCTIONS, partial(plain, width="uint8"), partial(plain, width="uint16")]
)
def test_a_function_gives_the_same_with_its_bits_written_out(function):
    seeds = jnp.arange(4)
    ours, theirs = (jax.jit(jax.vmap(one))(seeds) for one in (written_out(function), function))
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize("function", [plain, called, differentiated, repeated, branching, looping])
def test_the_bits_are_written_out_wherever_they_are_drawn(function):
    before, after = (str(jax.make_jaxpr(one)(3)) for one in (function, written_out(function)))
    assert "random_bits" in before
    assert "random_bits" not in after


def test_bits_of_another_generator_are_left_to_jax():
    def drawn(seed):
        return jax.random.bits(jax.random.key(seed, impl="rbg"), (3,))

    assert "random_bits" in str(jax.make_jaxpr(written_out(drawn))(3))


def test_threefry_gives_the_published_vectors():
    """Known answers of Random123 for counters and keys of zeros, of ones, and of digits of pi."""
    words = partial(jnp.asarray, dtype=jnp.uint32)
    ones = 0xFFFFFFFF
    cases = {
        (0, 0, 0, 0): (0x6B200159, 0x99BA4EFE),
        (ones, ones, ones, ones): (0x1CB996FC, 0xBB002BE7),
        (0x13198A2E, 0x03707344, 0x243F6A88, 0x85A308D3): (0xC4923A9C, 0x483DF7A0),
    }
    for given_words, known in cases.items():
        answer = bits.threefry(*map(words, given_words))
        assert tuple(map(int, answer)) == known
