"""What is a function of one member for many members at once, if the member axis is the last of every array?

`jax.vmap` puts members first, so that the innermost loops of a compiled step run over the few units of a small layer.
With members last they run over members: the processor's vectors are always full. The function is traced, and each
of its operations is written for arrays with one more axis at the end; what has no rule here goes through JAX's own
batching, so that any function can be treated. Short sums of products are written out as multiplications and
additions. Each stands in a call that the compiler must not inline: otherwise XLA fuses a product into everything
that reads it, and computes it anew there.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from caviar.population.bits import drawn, fenced
from caviar.population.ragged import ELEMENTWISE
from caviar.population.written_out import CALLS, as_closed

# A sum of more products than this is left to the library: written out it would fill the instruction cache.
LONGEST_SUM = 128


class Value(NamedTuple):
    """An array, and whether its last axis is that of the members; if not, all members share it."""

    array: Any
    own: bool

    def for_all(self, members: int) -> Any:  # noqa: ANN401
        """The array with the member axis, whether or not members share it."""
        if self.own:
            return self.array
        array = jnp.asarray(self.array)
        return lax.broadcast_in_dim(array, (*array.shape, members), tuple(range(array.ndim)))


def vmap(function: Callable[..., Any], in_axes: Sequence[int | None]) -> Callable[..., Any]:
    """What `jax.vmap` gives, computed with the members on the last axis of every array in between.

    Args:
        function: Takes and returns trees of arrays of one member.
        in_axes: For each argument 0, if its arrays have a leading member axis, or None, if members share it.

    >>> double = vmap(lambda a, b: a + b, (0, None))
    >>> double(jnp.arange(3.0), 1.0).tolist()
    [1.0, 2.0, 3.0]
    """

    def mapped(*arguments: Any) -> Any:  # noqa: ANN401
        owns = [axis is not None for axis in in_axes]
        leaves = [jax.tree.leaves(argument) for argument in arguments]
        members = next(leaf.shape[0] for some, own in zip(leaves, owns, strict=True) if own for leaf in some)

        def one(leaf: Any, *, own: bool) -> jax.ShapeDtypeStruct:  # noqa: ANN401
            shape = jnp.shape(leaf)[1:] if own else jnp.shape(leaf)
            return jax.ShapeDtypeStruct(shape, jax.dtypes.result_type(leaf))

        shapes = [
            jax.tree.map(partial(one, own=own), argument)
            for argument, own in zip(arguments, owns, strict=True)
        ]
        closed, result = jax.make_jaxpr(function, return_shape=True)(*shapes)
        values = [
            Value(jnp.moveaxis(leaf, 0, -1) if own else leaf, own)
            for some, own in zip(leaves, owns, strict=True)
            for leaf in some
        ]
        answers = (value.for_all(members) for value in _run(closed, values, members))
        return jax.tree.unflatten(
            jax.tree.structure(result), [jnp.moveaxis(answer, -1, 0) for answer in answers]
        )

    return mapped


def _run(closed: ClosedJaxpr, values: Sequence[Value], members: int) -> list[Value]:
    jaxpr = closed.jaxpr
    known: dict[Any, Value] = {
        **{
            variable: Value(const, False)
            for variable, const in zip(jaxpr.constvars, closed.consts, strict=True)
        },
        **dict(zip(jaxpr.invars, values, strict=True)),
    }

    def read(atom: Any) -> Value:  # noqa: ANN401
        if isinstance(atom, Literal):
            return Value(jnp.asarray(atom.val, atom.aval.dtype), False)
        return known[atom]

    for eqn in jaxpr.eqns:
        answer = _apply(eqn, [read(atom) for atom in eqn.invars], members)
        known.update(zip(eqn.outvars, answer, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _apply(eqn: JaxprEqn, values: list[Value], members: int) -> list[Value]:
    name = str(eqn.primitive.name)
    if not any(value.own for value in values):
        return [Value(array, False) for array in _bind(eqn, *(value.array for value in values))]
    if name in _INNER:
        return _INNER[name](eqn, values, members)
    rule = _RULES.get(name)
    answer = rule(eqn, values, members) if rule else None
    if answer is None:
        answer = _batched(eqn, values, members)
    return [Value(array, True) for array in answer]


def _bind(eqn: JaxprEqn, *arrays: Any, **changed: Any) -> list[Any]:  # noqa: ANN401
    """An operation as it was traced, with some parameters changed."""
    params = eqn.primitive.get_bind_params(eqn.params | changed)
    with eqn.ctx.manager:
        answer = eqn.primitive.bind(*arrays, **params)
    return list(answer) if eqn.primitive.multiple_results else [answer]


def _batched(eqn: JaxprEqn, values: Sequence[Value], members: int) -> list[Any]:
    """JAX's own batching of one operation, with the members last before and after."""
    axes = [-1 if value.own else None for value in values]
    mapped = jax.vmap(partial(_bind, eqn), in_axes=axes, out_axes=-1, axis_size=members)
    return mapped(*(value.array for value in values))


def _shape(atom: Any) -> tuple[int, ...]:  # noqa: ANN401
    return tuple(atom.aval.shape)


# Rules: (operation, values, members) → arrays with the member axis, or None where there is no rule after all.


def _elementwise(eqn: JaxprEqn, values: list[Value], members: int) -> list[Any] | None:
    if eqn.primitive.multiple_results:
        return None
    shape = _shape(eqn.outvars[0])

    def spread(value: Value) -> Any:  # noqa: ANN401
        """A scalar operand among larger ones is stretched, because a member's own is no scalar here."""
        array = jnp.asarray(value.array)
        own = (array.ndim - 1,) if value.own else ()
        rank = array.ndim - len(own)
        axes = tuple(range(rank)) if rank == len(shape) else ()
        return lax.broadcast_in_dim(array, (*shape, members), (*axes, *(len(shape) for _ in own)))

    return _bind(eqn, *map(spread, values))


def _reduce(eqn: JaxprEqn, values: list[Value], members: int) -> list[Any]:
    """Works along axes that are counted from the front, and takes no notice of one more at the end."""
    return _bind(eqn, *(value.for_all(members) for value in values))


def _broadcast(eqn: JaxprEqn, values: list[Value], members: int) -> list[Any]:
    shape = (*eqn.params["shape"], members)
    axes = (*map(int, eqn.params["broadcast_dimensions"]), len(shape) - 1)
    return [lax.broadcast_in_dim(values[0].array, shape, axes)]


def _reshape(eqn: JaxprEqn, values: list[Value], members: int) -> list[Any] | None:
    if eqn.params["dimensions"] is not None:
        return None
    return [lax.reshape(values[0].array, (*eqn.params["new_sizes"], members))]


def _transpose(eqn: JaxprEqn, values: list[Value], members: int) -> list[Any]:
    del members
    order = eqn.params["permutation"]
    return [lax.transpose(values[0].array, (*order, len(order)))]


def _slice(eqn: JaxprEqn, values: list[Value], members: int) -> list[Any]:
    params = eqn.params
    strides = params["strides"] and (*params["strides"], 1)
    start, stop = (*params["start_indices"], 0), (*params["limit_indices"], members)
    return [lax.slice(values[0].array, start, stop, strides)]


def _pad(eqn: JaxprEqn, values: list[Value], members: int) -> list[Any] | None:
    if values[1].own:
        return None
    return [lax.pad(values[0].for_all(members), values[1].array, (*eqn.params["padding_config"], (0, 0, 0)))]


def _dot(eqn: JaxprEqn, values: list[Value], members: int) -> list[Any]:
    """A product: short sums are written out, long ones left to the library with the members first."""
    dtype = eqn.outvars[0].aval.dtype
    if jnp.issubdtype(dtype, jnp.floating) and terms(eqn) <= LONGEST_SUM:
        written = partial(
            _written_out, eqn.params["dimension_numbers"], [value.own for value in values], dtype
        )
        return [fenced(written)(*(value.array for value in values))]
    return _batched(eqn, values, members)


def terms(eqn: JaxprEqn) -> int:
    """How many products are summed for each entry of what a `dot_general` returns."""
    (left, _), _ = eqn.params["dimension_numbers"]
    return int(np.prod([_shape(eqn.invars[0])[axis] for axis in left], initial=1))


def _written_out(numbers: Any, owns: Sequence[bool], dtype: Any, left: Any, right: Any) -> Any:  # noqa: ANN401
    """The sum of products (batch, free left, free right, member), term by term."""
    (summed_left, summed_right), (batch_left, batch_right) = numbers
    # Sums of half-precision products are kept in single precision, as the library does.
    kept = jnp.promote_types(dtype, jnp.float32)
    ranks = [array.ndim - own for array, own in zip((left, right), owns, strict=True)]
    free_left = ranks[0] - len(summed_left) - len(batch_left)
    free_right = ranks[1] - len(summed_right) - len(batch_right)
    total = None
    for index in np.ndindex(*(left.shape[axis] for axis in summed_left)):
        a = _term(left.astype(kept), ranks[0], summed_left, batch_left, index)
        b = _term(right.astype(kept), ranks[1], summed_right, batch_right, index)
        batch = len(batch_left)
        a = jnp.expand_dims(a, range(batch + free_left, batch + free_left + free_right))
        b = jnp.expand_dims(b, range(batch, batch + free_left))
        a, b = (x if own else x[..., None] for x, own in zip((a, b), owns, strict=True))
        total = a * b if total is None else total + a * b
    assert total is not None
    return total.astype(dtype)


def _term(array: Any, rank: int, summed: Sequence[int], batch: Sequence[int], index: Sequence[int]) -> Any:  # noqa: ANN401
    """One entry along the axes that are summed over; the batch axes first, then the free ones, then members."""
    for axis, i in sorted(zip(summed, index, strict=True), reverse=True):
        array = lax.index_in_dim(array, i, axis, keepdims=False)
    rest = [axis for axis in range(rank) if axis not in summed]
    order = [rest.index(axis) for axis in (*batch, *(axis for axis in rest if axis not in batch))]
    return array.transpose((*order, *range(len(order), array.ndim)))


def _gather(eqn: JaxprEqn, values: list[Value], members: int) -> list[Any]:
    """Looked up once, not anew by everything that reads it."""

    def look_up(*arrays: Any) -> Any:  # noqa: ANN401
        again = [Value(array, value.own) for array, value in zip(arrays, values, strict=True)]
        return _batched(eqn, again, members)[0]

    return [fenced(look_up)(*(value.array for value in values))]


def _random_bits(eqn: JaxprEqn, values: list[Value], members: int) -> list[Any] | None:
    """The bits of `jax.random.bits`, each member's from its own key."""
    del members
    draw = drawn(eqn)
    if draw is None:
        return None
    words = jax.random.key_data(values[0].array)
    return [draw(words[:, 0], words[:, 1])]


# Operations with functions inside.


def _called(param: str) -> Callable[[JaxprEqn, list[Value], int], list[Value]]:
    """A function that is called: its operations follow the same rules."""

    def rule(eqn: JaxprEqn, values: list[Value], members: int) -> list[Value]:
        return _run(as_closed(eqn.params[param]), values, members)

    return rule


def _owned(jaxpr: Jaxpr, owns: Sequence[bool]) -> list[bool]:
    """Which results differ between members, if these arguments do."""
    own: dict[Any, bool] = dict(zip(jaxpr.invars, owns, strict=True))

    def read(atom: Any) -> bool:  # noqa: ANN401
        return not isinstance(atom, Literal) and own.get(atom, False)

    for eqn in jaxpr.eqns:
        given = [read(atom) for atom in eqn.invars]
        name = str(eqn.primitive.name)
        if name in CALLS:
            answer = _owned(as_closed(eqn.params[CALLS[name]]).jaxpr, given)
        else:
            answer = [any(given)] * len(eqn.outvars)
        own.update(zip(eqn.outvars, answer, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _settled(jaxpr: Jaxpr, before: list[bool], carry: list[bool], after: list[bool]) -> list[bool]:
    """Which carried values differ between members sooner or later."""
    while True:
        found = _owned(jaxpr, [*before, *carry, *after])[: len(carry)]
        more = [a or b for a, b in zip(carry, found, strict=True)]
        if more == carry:
            return carry
        carry = more


def _as(values: Sequence[Value], owns: Sequence[bool], members: int) -> list[Any]:
    """Arrays with the member axis where it is wanted."""
    return [value.for_all(members) if own else value.array for value, own in zip(values, owns, strict=True)]


def _scan(eqn: JaxprEqn, values: list[Value], members: int) -> list[Value]:
    params = eqn.params
    body, fixed, carried = params["jaxpr"], params["num_consts"], params["num_carry"]
    consts, begun, given = values[:fixed], values[fixed : fixed + carried], values[fixed + carried :]
    owns = _settled(
        body.jaxpr, [c.own for c in consts], [value.own for value in begun], [x.own for x in given]
    )

    def step(carry: Sequence[Any], some: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        now = [Value(array, own) for array, own in zip(carry, owns, strict=True)]
        here = [Value(array, x.own) for array, x in zip(some, given, strict=True)]
        out = _run(body, [*consts, *now, *here], members)
        return _as(out[:carried], owns, members), [value.for_all(members) for value in out[carried:]]

    carry, stacked = lax.scan(
        step,
        _as(begun, owns, members),
        [x.array for x in given],
        length=params["length"],
        reverse=params["reverse"],
        unroll=params["unroll"],
    )
    return [
        *(Value(array, own) for array, own in zip(carry, owns, strict=True)),
        *(Value(a, True) for a in stacked),
    ]


def _while(eqn: JaxprEqn, values: list[Value], members: int) -> list[Value]:
    params = eqn.params
    asked, worked = params["cond_nconsts"], params["body_nconsts"]
    asking, working, begun = values[:asked], values[asked : asked + worked], values[asked + worked :]
    owns = _settled(params["body_jaxpr"].jaxpr, [w.own for w in working], [b.own for b in begun], [])
    if any(_owned(params["cond_jaxpr"].jaxpr, [*(a.own for a in asking), *owns])):
        # Members go round differently often, which JAX's batching knows how to do.
        return [Value(array, True) for array in _batched(eqn, values, members)]

    def run(name: str, consts: list[Value], carry: Sequence[Any]) -> list[Value]:
        now = [Value(array, own) for array, own in zip(carry, owns, strict=True)]
        return _run(params[name], [*consts, *now], members)

    carry = lax.while_loop(
        lambda carry: run("cond_jaxpr", asking, carry)[0].array,
        lambda carry: _as(run("body_jaxpr", working, carry), owns, members),
        _as(begun, owns, members),
    )
    return [Value(array, own) for array, own in zip(carry, owns, strict=True)]


def _cond(eqn: JaxprEqn, values: list[Value], members: int) -> list[Value]:
    which, rest = values[0], values[1:]
    branches = eqn.params["branches"]

    def run(branch: ClosedJaxpr, *arrays: Any) -> list[Any]:  # noqa: ANN401
        given = [Value(array, value.own) for array, value in zip(arrays, rest, strict=True)]
        return [value.for_all(members) for value in _run(branch, given, members)]

    arrays = [value.array for value in rest]
    if not which.own:
        chosen = lax.switch(which.array, [partial(run, branch) for branch in branches], *arrays)
        return [Value(array, True) for array in chosen]
    # Members take different branches: all are computed, and each member keeps its own.
    index = jnp.clip(which.array, 0, len(branches) - 1)
    outcomes = zip(*(run(branch, *arrays) for branch in branches), strict=True)
    return [Value(_chosen(index, cases), True) for cases in outcomes]


def _chosen(index: jax.Array, cases: Sequence[Any]) -> Any:  # noqa: ANN401
    chosen = cases[0]
    for number, case in enumerate(cases[1:], start=1):
        chosen = jnp.where(index == number, case, chosen)
    return chosen


_INNER: dict[str, Callable[[JaxprEqn, list[Value], int], list[Value]]] = {
    **{name: _called(param) for name, param in CALLS.items()},
    "scan": _scan,
    "while": _while,
    "cond": _cond,
}

_Rule = Callable[[JaxprEqn, list[Value], int], list[Any] | None]

_FROM_THE_FRONT = """
    argmax argmin concatenate cummax cummin cumprod cumsum reduce_and reduce_max reduce_min reduce_or reduce_prod
    reduce_sum rev sort split squeeze
""".split()  # noqa: SIM905 - words read better than a column of quotes

_RULES: dict[str, _Rule] = {
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    **dict.fromkeys(_FROM_THE_FRONT, _reduce),
    "broadcast_in_dim": _broadcast,
    "reshape": _reshape,
    "transpose": _transpose,
    "slice": _slice,
    "pad": _pad,
    "dot_general": _dot,
    "gather": _gather,
    "random_bits": _random_bits,
}
