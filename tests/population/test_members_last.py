"""A function with the members on the last axis gives what `jax.vmap` gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from caviar.population import members_last

MEMBERS = 5


def numbers(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def assert_like_vmap(function, *arguments, in_axes):
    theirs = jax.jit(jax.vmap(function, in_axes=in_axes))(*arguments)
    ours = jax.jit(members_last.vmap(function, in_axes))(*arguments)
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        near = 2e-6 if a.dtype != jnp.bfloat16 else 2e-2
        np.testing.assert_allclose(np.asarray(a, np.float64), np.asarray(b, np.float64), rtol=near, atol=near)


def looped(a, b):
    return lax.scan(lambda carry, row: (carry * 0.5 + row @ b, carry.sum()), jnp.zeros(4), a)


def carried_by_some(a, b):
    """What a member has of its own reaches the first carried value only in the second turn."""
    return lax.scan(lambda carry, _: ((carry[1], carry[1] + a[0, 0]), carry[0]), (b[0, 0], 0.0), length=3)


def counted(a, b):
    return lax.fori_loop(0, 3, lambda i, total: total + a[i].sum() * b[0, 0], 0.0)


def until_large(a, b):
    return lax.while_loop(lambda x: x[0] < 20, lambda x: (x[0] + jnp.abs(a).sum(), x[1] * b), (0.0, b))


def shared_branch(a, b):
    return lax.cond(b[0, 0] > 0, lambda: a * 2, lambda: a - 1)


def own_branch(a, b):
    return lax.switch((a[0, 0] * 3).astype(int), [lambda: a @ b, lambda: 2 * (a @ b), lambda: b[:3]])


def gradient(a, b):
    return jax.grad(lambda b: jnp.tanh(jax.nn.relu(a @ b) @ b.T).sum())(b)


def of_half_precision(a, b):
    return a.astype(jnp.bfloat16) @ b.astype(jnp.bfloat16)


RULES = {
    "elementwise": lambda a, b: jnp.where(a > 0, jnp.tanh(a) ** 3, a * b[0, 0]) - 2,
    "clamp with bounds of each member": lambda a, b: lax.clamp(b[0, 0] - 1, a, b[0, 0] + 1),
    "select by one flag": lambda a, b: lax.select_n(b[0, 0] > 0, a, -a),
    "reductions": lambda a, b: (a.sum(0), a.max(1), a.min(), a.prod(0), jnp.argmax(b, 0), (a > 0).all(1)),
    "cumulative": lambda a, b: (jnp.cumsum(a, 0), lax.cummax(b, 1, reverse=True)),
    "sorting": lambda a, b: (jnp.sort(a, 0), jnp.argsort(b, 1)),
    "shapes": lambda a, b: (a.reshape(2, 6).T, a[:, None], jnp.broadcast_to(b[0], (2, 4)), jnp.flip(a, 1)),
    "slices and padding": lambda a, b: (a[1:, ::2], jnp.pad(b, ((1, 0), (0, 2)), constant_values=3.0)),
    "padding with a number of each member": lambda a, b: lax.pad(a, b[0, 0], ((1, 0, 0), (0, 1, 1))),
    "joined and split": lambda a, b: jnp.split(jnp.concatenate([a, b], 0), [2, 3]),
    "product": lambda a, b: a @ b,
    "product along other axes": lambda a, b: (jnp.einsum("ij,kj->ki", a, b), jnp.einsum("ij,ij->", b, b)),
    "product with batch axes": lambda a, b: jnp.einsum("ij,ikj->ki", a, jnp.stack([b, 2 * b, b - 1])),
    "outer product": lambda a, b: jnp.einsum("i,j->ij", a[0], b[:, 0]),
    "long product": lambda a, b: jnp.tile(a, (1, 40)) @ jnp.tile(b, (40, 1)),
    "product of half precision": of_half_precision,
    "rows by index": lambda a, b: (b[jnp.argsort(a[0])], a[:, jnp.argmax(b[0])]),
    "scattered": lambda a, b: b.at[jnp.argsort(a[0])].add(1.0),
    "sliced by index": lambda a, b: lax.dynamic_slice(a, (jnp.argmax(b[:2, 0]), 0), (1, 4)),
    "scan": looped,
    "scan whose carry becomes each member's own": carried_by_some,
    "loop of known length": counted,
    "loop that ends with each member": until_large,
    "branch for all": shared_branch,
    "branch of each member": own_branch,
    "gradient": gradient,
    "convolution": lambda a, b: lax.conv(a[None, None], b[None, None, :2, :2], (1, 1), "SAME"),
    "windows": lambda a, b: lax.reduce_window(a, -jnp.inf, lax.max, (2, 2), (1, 1), "VALID") + b[0, 0],
    "solved": lambda a, b: jnp.linalg.solve(b @ b.T + 9 * jnp.eye(4), a.T),
    "nothing of its own": lambda a, b: (jnp.arange(3), a + b[:3] * 0),
}


@pytest.mark.parametrize("in_axes", [(0, 0), (0, None), (None, 0)])
@pytest.mark.parametrize("name", RULES)
def test_every_operation_gives_what_vmap_gives(name, in_axes):
    a, b = numbers(3, 4), numbers(4, 4, seed=1)
    if in_axes[0] == 0:
        a = numbers(MEMBERS, 3, 4)
    if in_axes[1] == 0:
        b = numbers(MEMBERS, 4, 4, seed=1)
    assert_like_vmap(RULES[name], a, b, in_axes=in_axes)


@pytest.mark.parametrize("bits", ["uint8", "uint16", "uint32"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 5, 3)])
def test_random_bits_are_those_of_jax(shape, bits):
    seeds = jnp.asarray(np.random.default_rng(0).integers(0, 2**32, (MEMBERS, 2)), jnp.uint32)
    draw = lambda seed: jax.random.bits(jax.random.wrap_key_data(seed), shape, bits)  # noqa: E731
    ours = jax.jit(members_last.vmap(draw, (0,)))(seeds)
    np.testing.assert_array_equal(ours, jax.vmap(draw)(seeds))


def test_keys_may_be_split_and_drawn_from():
    seeds = jnp.arange(2 * MEMBERS, dtype=jnp.uint32).reshape(MEMBERS, 2)

    def draw(seed):
        first, second = jax.random.split(jax.random.wrap_key_data(seed))
        return jax.random.normal(first, (3, 2)), jax.random.permutation(jax.random.fold_in(second, 3), 5)

    assert_like_vmap(draw, seeds, in_axes=(0,))


def test_what_members_share_is_computed_once():
    """An operation on shared numbers alone keeps its shape: no copy for each member."""
    seen = jax.make_jaxpr(members_last.vmap(lambda a, b: a * jnp.sin(b), (0, None)))(
        numbers(MEMBERS, 7), numbers(7)
    )
    sines = [eqn for eqn in seen.jaxpr.eqns if eqn.primitive.name == "sin"]
    assert [eqn.outvars[0].aval.shape for eqn in sines] == [(7,)]


# From (4, 4) and (4, 4) to (4, 4): any of them after any other.
LINKS = [
    lambda a, b: a @ b,
    lambda a, b: a.T - b,
    lambda a, b: jnp.tanh(a) * b[0],
    lambda a, b: a - a.mean(0) + b.sum(1, keepdims=True) / 8,
    lambda a, b: jnp.where(a > b, a, 0.5 * b),
    lambda a, b: jnp.roll(a, 1, axis=0) + b.reshape(2, 8).reshape(4, 4),
    lambda a, b: jax.nn.softmax(a) + 0.1 * b,
    lambda a, b: jnp.concatenate([a[2:], b[:2]]),
    lambda a, b: a[jnp.argsort(b[0])],
    lambda a, b: lax.scan(lambda carry, row: (0.5 * carry + row, carry), b[0], a)[1],
    lambda a, b: lax.cond(a[0, 0] > b[0, 0], lambda: a, lambda: -a),
    lambda a, b: jax.grad(lambda x: jnp.tanh(x @ b).sum())(a),
]


@pytest.mark.thorough
@given(st.lists(st.integers(0, len(LINKS) - 1), min_size=1, max_size=6), st.booleans())
@settings(max_examples=15, deadline=None)
def test_any_chain_of_operations_gives_what_vmap_gives(chain, shares):
    def function(a, b):
        for link in chain:
            a, b = LINKS[link](a, b), jnp.tanh(a)
        return a, b

    b = numbers(4, 4, seed=1) if shares else numbers(MEMBERS, 4, 4, seed=1)
    assert_like_vmap(function, numbers(MEMBERS, 4, 4), b, in_axes=(0, None if shares else 0))
