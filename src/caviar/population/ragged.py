"""A step traced for a full batch that is also right for a short one: exact, and compiled only once.

The last batch of an epoch is short, and folds of unequal size have last batches of unequal size. XLA compiles a
program per shape; so a step is traced twice, for two batch sizes, and compared. What differs between the two
traces is what depends on the number of rows: axes, and constants that are a multiple or a fraction of it. The
returned step takes a full batch of which only the first `count` rows are real. It zeroes (or otherwise
neutralises) the others in everything that adds up over rows, and computes with the real count: also in batch
normalisation, dropout and metrics. A primitive whose behaviour is not known for certain is refused.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxpr_as_fun

_TOLERANCE = 1e-6  # of constants that were rounded to float32


class NotRagged(Exception):  # noqa: N818 - an outcome, not an error
    """Why a step cannot be made to take short batches."""


@dataclass(frozen=True)
class Step:
    """A step of one member that was traced once.

    Attributes:
        full: `(state, batch) → result` for a full batch.
        plain: The same for another number of rows, for which it is traced once.
        short: `(state, batch, count) → result` where only the first `count` rows of a full batch are real, at
            least one; the others must hold finite numbers, such as copies of real rows. None if not asked for.
        traced: What a full batch is computed with.
    """

    full: Callable[[Any, Any], Any]
    plain: Callable[[Any, Any], Any]
    short: Callable[[Any, Any, jax.Array], Any] | None
    traced: ClosedJaxpr


def trace(
    function: Callable[[Any, Any], Any],
    state: Any,  # noqa: ANN401
    batch: Any,  # noqa: ANN401
    rows: int,
    *,
    short: bool,
) -> Step:
    """Trace a step once for full batches and, if asked for, such that it takes short ones.

    Args:
        function: `(state, batch) → result`; no part of the result may have an axis of rows.
        state: Arrays, or shapes and types, of the first argument.
        batch: The same of the second, rows first, with any number of rows.
        rows: Rows of a full batch.
        short: Whether short batches are needed.

    Raises:
        NotRagged: They are needed, and the step does something of which it is not known how it would be exact.

    >>> mean = trace(lambda s, batch: (s + batch).mean(), jnp.float32(0), jnp.zeros(4), 4, short=True)
    >>> float(mean.short(jnp.float32(1), jnp.arange(4.0), 2))
    1.5
    """

    def of(count: int) -> tuple[ClosedJaxpr, Any]:
        sized = jax.tree.map(lambda a: jax.ShapeDtypeStruct((count, *a.shape[1:]), a.dtype), batch)
        closed, shape = jax.make_jaxpr(function, return_shape=True)(state, sized)
        return closed, jax.tree.structure(shape)

    whole, structure = of(rows)
    evaluate = jaxpr_as_fun(whole)
    other_sizes: dict[int, tuple[ClosedJaxpr, Any]] = {}

    def full(state: Any, batch: Any) -> Any:  # noqa: ANN401
        return jax.tree.unflatten(structure, evaluate(*jax.tree.leaves((state, batch))))

    def plain(state: Any, batch: Any) -> Any:  # noqa: ANN401
        # A program is gone through several times while it is made; Keras' own step only once.
        count = len(jax.tree.leaves(batch)[0])
        if count not in other_sizes:
            other_sizes[count] = of(count)
        closed, form = other_sizes[count]
        return jax.tree.unflatten(form, jaxpr_as_fun(closed)(*jax.tree.leaves((state, batch))))

    if not short:
        return Step(full, plain, None, whole)
    sizes = _Sizes(rows, rows // 2 + 1 if rows > 2 else 1)
    part, _ = of(sizes.fewer)
    _try_dry(sizes, whole, part)

    def of_any(state: Any, batch: Any, count: jax.Array) -> Any:  # noqa: ANN401
        outputs = _run(sizes, whole, part, count, *jax.tree.leaves((state, batch)))
        return jax.tree.unflatten(structure, outputs)

    return Step(full, plain, of_any, whole)


def _try_dry(sizes: "_Sizes", whole: ClosedJaxpr, part: ClosedJaxpr) -> None:
    """Whatever must be refused is refused here."""
    for one, other in zip(whole.jaxpr.outvars, part.jaxpr.outvars, strict=True):
        if sizes.axes(one, other):
            raise NotRagged("it returns rows")
    values = (jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in whole.jaxpr.invars)
    jax.eval_shape(partial(_run, sizes, whole, part), jax.ShapeDtypeStruct((), jnp.int32), *values)


@dataclass(frozen=True)
class _Sizes:
    """The two batch sizes that were traced."""

    full: int
    fewer: int

    def axes(self, one: Any, other: Any) -> dict[int, int]:  # noqa: ANN401
        """Axes along rows, with how many entries each row has there."""
        a, b = _shape(one), _shape(other)
        if len(a) != len(b):
            raise NotRagged("a value changes its rank with the batch size")
        found = {}
        for axis, (n, m) in enumerate(zip(a, b, strict=True)):
            if n != m:
                each = n // self.full
                if n != each * self.full or m != each * self.fewer:
                    raise NotRagged("an axis is neither the rows nor a multiple of them")
                found[axis] = each
        return found

    def constant(self, one: Any, other: Any, count: jax.Array) -> Any:  # noqa: ANN401
        """The value that a constant has for `count` rows."""
        a, b = np.asarray(one), np.asarray(other)
        if a.shape != b.shape:
            start = tuple(slice(0, n) for n in b.shape)
            if len(a.shape) != len(b.shape) or not np.array_equal(a[start], b):
                raise NotRagged("a constant depends on the batch size")
            return one
        if np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
            return one
        grows = np.isclose(a * self.fewer, b * self.full, rtol=_TOLERANCE, atol=0) & (a != b)
        shrinks = np.isclose(a * self.full, b * self.fewer, rtol=_TOLERANCE, atol=0) & (a != b)
        if not (grows | shrinks | (a == b)).all():
            raise NotRagged("a constant is neither a multiple nor a fraction of the batch size")
        per_row = np.rint(a / self.full).astype(a.dtype) if a.dtype.kind in "iu" else a / self.full
        more = per_row * jnp.asarray(count, a.dtype)
        less = (a * self.full) / jnp.asarray(count, a.dtype) if a.dtype.kind == "f" else a
        return jnp.where(grows, more, jnp.where(shrinks, less, a)).astype(a.dtype)


def _shape(atom: Any) -> tuple[int, ...]:  # noqa: ANN401
    return tuple(atom.aval.shape) if hasattr(atom, "aval") else np.shape(atom)


@dataclass(frozen=True)
class _Call:
    """One equation in both traces, and the number of real rows.

    Attributes:
        sizes: The two batch sizes.
        eqn: As traced for a full batch.
        other: As traced for the smaller one.
        inputs: For each input its row axes.
        outputs: For each output its row axes.
        count: Real rows.
    """

    sizes: _Sizes
    eqn: JaxprEqn
    other: JaxprEqn
    inputs: list[dict[int, int]]
    outputs: list[dict[int, int]]
    count: jax.Array

    @property
    def name(self) -> str:
        return str(self.eqn.primitive.name)

    def bind(self, *values: Any) -> list[Any]:  # noqa: ANN401
        params = self.eqn.primitive.get_bind_params(self.eqn.params)
        with self.eqn.ctx.manager:
            answer = self.eqn.primitive.bind(*values, **params)
        return list(answer) if self.eqn.primitive.multiple_results else [answer]

    def refuse(self) -> NotRagged:
        return NotRagged(f"{self.name} works across rows")

    def masked(self, value: Any, axes: Mapping[int, int], neutral: Any) -> Any:  # noqa: ANN401
        """A value with `neutral` where its rows are not real."""
        for axis, each in axes.items():
            place = jax.lax.broadcasted_iota(jnp.int32, value.shape, axis)
            value = jnp.where(place < self.count * each, value, jnp.asarray(neutral, value.dtype))
        return value


def _run(sizes: _Sizes, whole: ClosedJaxpr, part: ClosedJaxpr, count: jax.Array, *values: Any) -> list[Any]:  # noqa: ANN401
    consts = [sizes.constant(a, b, count) for a, b in zip(whole.consts, part.consts, strict=True)]
    return _evaluate(sizes, whole.jaxpr, part.jaxpr, count, consts, values)


def _evaluate(
    sizes: _Sizes, whole: Jaxpr, part: Jaxpr, count: jax.Array, consts: Sequence[Any], values: Sequence[Any]
) -> list[Any]:
    if len(whole.eqns) != len(part.eqns):
        raise NotRagged("its operations change with the batch size")
    known: dict[Any, Any] = dict(zip((*whole.constvars, *whole.invars), (*consts, *values), strict=True))

    def read(atom: Any, other: Any) -> Any:  # noqa: ANN401
        if isinstance(atom, Literal):
            if not isinstance(other, Literal):
                raise NotRagged("its operations change with the batch size")
            return sizes.constant(atom.val, other.val, count)
        return known[atom]

    for eqn, other in zip(whole.eqns, part.eqns, strict=True):
        if eqn.primitive is not other.primitive or len(eqn.invars) != len(other.invars):
            raise NotRagged("its operations change with the batch size")
        pairs = list(zip(eqn.invars, other.invars, strict=True))
        call = _Call(
            sizes,
            eqn,
            other,
            [sizes.axes(a, b) for a, b in pairs],
            [sizes.axes(a, b) for a, b in zip(eqn.outvars, other.outvars, strict=True)],
            count,
        )
        known.update(zip(eqn.outvars, _apply(call, [read(a, b) for a, b in pairs]), strict=True))
    return [read(a, b) for a, b in zip(whole.outvars, part.outvars, strict=True)]


def _apply(call: _Call, values: list[Any]) -> list[Any]:
    inner = _INNER.get(call.name)
    if inner is not None:
        return inner(call, values)
    if not any(call.inputs) and not any(call.outputs):
        if not _same_params(call, ()):
            raise NotRagged(f"a setting of {call.name} depends on the batch size")
        return call.bind(*values)
    rule = _RULES.get(call.name)
    if rule is None:
        raise NotRagged(f"it uses {call.name}, of which that is not known")
    return rule(call, values)


def _same_params(call: _Call, but: Sequence[str]) -> bool:
    return all(
        name in but or str(value) == str(call.other.params[name]) for name, value in call.eqn.params.items()
    )


def _rowwise(call: _Call, values: list[Any]) -> list[Any]:
    """Every row for itself: what the others hold does not matter."""
    if not _same_params(call, ()):
        raise call.refuse()
    return call.bind(*values)


def _shaped(call: _Call, values: list[Any]) -> list[Any]:
    """Spreads, permutes or creates axes; rows stay rows."""
    return call.bind(*values)


def _tile(call: _Call, values: list[Any]) -> list[Any]:
    """Copies along other axes; copies of rows one after the other have no place of their own."""
    if any(call.eqn.params["reps"][axis] != 1 for axis in call.inputs[0]):
        raise call.refuse()
    return call.bind(*values)


def _reshape(call: _Call, values: list[Any]) -> list[Any]:
    """Rows must stay the same contiguous piece: what stands before their axis multiplies to the same."""

    def before(shape: Sequence[int], axes: Mapping[int, int]) -> list[int]:
        return [int(np.prod(shape[:axis])) for axis in axes]

    inside, outside = _shape(call.eqn.invars[0]), _shape(call.eqn.outvars[0])
    if len(call.inputs[0]) != 1 or before(inside, call.inputs[0]) != before(outside, call.outputs[0]):
        raise call.refuse()
    return call.bind(*values)


def _along(param: str) -> Callable[[_Call, list[Any]], list[Any]]:
    """Works along the axes that a parameter names, which must not be those of rows."""

    def rule(call: _Call, values: list[Any]) -> list[Any]:
        axes = call.eqn.params[param]
        touched = set(axes) if isinstance(axes, (tuple, list)) else {axes}
        if any(touched & set(rows) for rows in (*call.inputs, *call.outputs)):
            raise call.refuse()
        return call.bind(*values)

    return rule


def _slice(call: _Call, values: list[Any]) -> list[Any]:
    params, shape = call.eqn.params, _shape(call.eqn.invars[0])
    for axis in call.inputs[0]:
        stride = 1 if params["strides"] is None else params["strides"][axis]
        if (params["start_indices"][axis], params["limit_indices"][axis], stride) != (0, shape[axis], 1):
            raise call.refuse()
    return call.bind(*values)


def _pad(call: _Call, values: list[Any]) -> list[Any]:
    if any(call.eqn.params["padding_config"][axis] != (0, 0, 0) for axis in call.inputs[0]):
        raise call.refuse()
    return call.bind(*values)


def _lowest(dtype: Any) -> Any:  # noqa: ANN401
    if jnp.issubdtype(dtype, jnp.floating):
        return -np.inf
    return jnp.issubdtype(dtype, jnp.integer) and jnp.iinfo(dtype).min


def _highest(dtype: Any) -> Any:  # noqa: ANN401
    if jnp.issubdtype(dtype, jnp.floating):
        return np.inf
    return not jnp.issubdtype(dtype, jnp.integer) or jnp.iinfo(dtype).max


def _reduce(neutral: Callable[[Any], Any]) -> Callable[[_Call, list[Any]], list[Any]]:
    """Adds up (or the like) over some axes; rows that are not real bring the neutral value."""

    def rule(call: _Call, values: list[Any]) -> list[Any]:
        axes = {a: each for a, each in call.inputs[0].items() if a in call.eqn.params["axes"]}
        return call.bind(call.masked(values[0], axes, neutral(values[0].dtype)))

    return rule


def _cumulative(neutral: Callable[[Any], Any]) -> Callable[[_Call, list[Any]], list[Any]]:
    """From the first row on nothing changes; from the last on, rows that are not real bring the neutral value."""

    def rule(call: _Call, values: list[Any]) -> list[Any]:
        axis = call.eqn.params["axis"]
        axes = {a: each for a, each in call.inputs[0].items() if a == axis and call.eqn.params["reverse"]}
        return call.bind(call.masked(values[0], axes, neutral(values[0].dtype)))

    return rule


def _dot(call: _Call, values: list[Any]) -> list[Any]:
    """Products summed over rows: one side is zero where they are not real."""
    (left, right), _ = call.eqn.params["dimension_numbers"]
    for axis, opposite in zip(left, right, strict=True):
        if (axis in call.inputs[0]) != (opposite in call.inputs[1]):
            raise call.refuse()
    sides = [{a: each for a, each in call.inputs[i].items() if a in (left, right)[i]} for i in (0, 1)]
    small = 0 if values[0].size <= values[1].size else 1
    values[small] = call.masked(values[small], sides[small], 0)
    return call.bind(*values)


def _convolution(call: _Call, values: list[Any]) -> list[Any]:
    """Rows are the batch, or (in the gradient of the kernel) what is summed over."""
    if not _same_params(call, ()):
        raise call.refuse()
    numbers = call.eqn.params["dimension_numbers"]
    batch, summed, *_ = numbers.lhs_spec
    outward, inward, *_ = numbers.rhs_spec
    if set(call.inputs[0]) - {batch, summed} or set(call.inputs[1]) - {outward, inward}:
        raise call.refuse()
    over = {a: each for a, each in call.inputs[0].items() if a == summed}
    if bool(over) != (inward in call.inputs[1]):
        raise call.refuse()
    return call.bind(call.masked(values[0], over, 0), values[1])


def _window(call: _Call, values: list[Any]) -> list[Any]:
    """Pooling: windows must not reach over rows."""
    windows = call.eqn.params["window_dimensions"]
    if any(windows[axis] != 1 for rows in (*call.inputs, *call.outputs) for axis in rows):
        raise call.refuse()
    return call.bind(*values)


def _gather(call: _Call, values: list[Any]) -> list[Any]:
    """A lookup by each row's own index, or of whole rows."""
    operand, indices = call.inputs
    numbers, sizes = call.eqn.params["dimension_numbers"], call.eqn.params["slice_sizes"]
    shape = _shape(call.eqn.invars[0])
    for axis in operand:
        whole = sizes[axis] == shape[axis]
        if not (whole or axis in numbers.operand_batching_dims or (indices and call.outputs[0])):
            raise call.refuse()
    return call.bind(*values)


def _scatter_add(call: _Call, values: list[Any]) -> list[Any]:
    """Each row adds where its index says; rows that are not real add nothing."""
    values[2] = call.masked(values[2], call.inputs[2], 0)
    return call.bind(*values)


def _random_bits(call: _Call, values: list[Any]) -> list[Any]:
    """With partitionable keys a bit depends on its place alone, so the first rows of more are the rows of fewer."""
    shape, axes = _shape(call.eqn.outvars[0]), call.outputs[0]
    starts = all(int(np.prod(shape[:axis])) == 1 for axis in axes)
    if not jax.config.jax_threefry_partitionable or not starts or "fry" not in str(call.eqn.invars[0].aval):
        raise call.refuse()
    return call.bind(*values)


def _closed(jaxpr: Any) -> ClosedJaxpr:  # noqa: ANN401
    return jaxpr if isinstance(jaxpr, ClosedJaxpr) else ClosedJaxpr(jaxpr, ())


def _called(param: str) -> Callable[[_Call, list[Any]], list[Any]]:
    """A function inside: its own equations follow the same rules."""

    def rule(call: _Call, values: list[Any]) -> list[Any]:
        whole, part = _closed(call.eqn.params[param]), _closed(call.other.params[param])
        return _run(call.sizes, whole, part, call.count, *values)

    return rule


def _scan(call: _Call, values: list[Any]) -> list[Any]:
    params = call.eqn.params
    whole, part = params["jaxpr"], call.other.params["jaxpr"]
    if params["length"] != call.other.params["length"]:
        raise call.refuse()
    fixed, carried = params["num_consts"], params["num_carry"]
    if any(0 in rows for rows in (*call.inputs[fixed + carried :], *call.outputs[carried:])):
        raise call.refuse()
    consts = values[:fixed]

    def body(carry: Sequence[Any], one: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        out = _run(call.sizes, whole, part, call.count, *consts, *carry, *one)
        return out[:carried], out[carried:]

    carry, stacked = jax.lax.scan(
        body,
        values[fixed : fixed + carried],
        values[fixed + carried :],
        length=params["length"],
        reverse=params["reverse"],
        unroll=params["unroll"],
    )
    return [*carry, *stacked]


def _while(call: _Call, values: list[Any]) -> list[Any]:
    params, other = call.eqn.params, call.other.params
    asked, worked = params["cond_nconsts"], params["body_nconsts"]
    asking, working, carry = values[:asked], values[asked : asked + worked], values[asked + worked :]

    def run(name: str, consts: Sequence[Any], carry: Sequence[Any]) -> list[Any]:
        return _run(call.sizes, params[name], other[name], call.count, *consts, *carry)

    return list(
        jax.lax.while_loop(
            lambda carry: run("cond_jaxpr", asking, carry)[0],
            lambda carry: run("body_jaxpr", working, carry),
            carry,
        )
    )


def _cond(call: _Call, values: list[Any]) -> list[Any]:
    branches = [
        partial(_run, call.sizes, whole, part, call.count)
        for whole, part in zip(call.eqn.params["branches"], call.other.params["branches"], strict=True)
    ]
    return list(jax.lax.switch(values[0], branches, *values[1:]))


_Rule = Callable[[_Call, list[Any]], list[Any]]

# Primitives with functions inside, whether or not rows are involved: constants in there may depend on them.
_INNER: dict[str, _Rule] = {
    "jit": _called("jaxpr"),
    "closed_call": _called("call_jaxpr"),
    "custom_jvp_call": _called("call_jaxpr"),
    "custom_vjp_call": _called("call_jaxpr"),
    "scan": _scan,
    "while": _while,
    "cond": _cond,
}

ELEMENTWISE = """
    abs acos acosh add add_any and asin asinh atan atan2 atanh bitcast_convert_type cbrt ceil clamp
    convert_element_type copy copy_p cos cosh digamma div eq erf erf_inv erfc exp exp2 expm1 floor ge gt imag
    integer_pow is_finite le lgamma log log1p logistic lt max min mul ne neg nextafter not optimization_barrier
    or population_count pow real reduce_precision rem round rsqrt select_n shift_left shift_right_arithmetic
    shift_right_logical sign sin sinh sqrt square stop_gradient sub tan tanh xor
""".split()  # noqa: SIM905 - words read better than a column of quotes

_RULES: dict[str, _Rule] = {
    **dict.fromkeys(ELEMENTWISE, _rowwise),
    "broadcast_in_dim": _shaped,
    "iota": _shaped,
    "squeeze": _shaped,
    "transpose": _shaped,
    "reshape": _reshape,
    "tile": _tile,
    "slice": _slice,
    "pad": _pad,
    "concatenate": _along("dimension"),
    "rev": _along("dimensions"),
    "sort": _along("dimension"),
    "split": _along("axis"),
    "reduce_sum": _reduce(lambda _: 0),
    "reduce_prod": _reduce(lambda _: 1),
    "reduce_max": _reduce(_lowest),
    "reduce_min": _reduce(_highest),
    "reduce_or": _reduce(lambda _: False),
    "reduce_and": _reduce(lambda _: True),
    "argmax": _reduce(_lowest),
    "argmin": _reduce(_highest),
    "cumsum": _cumulative(lambda _: 0),
    "cumprod": _cumulative(lambda _: 1),
    "cummax": _cumulative(_lowest),
    "cummin": _cumulative(_highest),
    "dot_general": _dot,
    "conv_general_dilated": _convolution,
    "reduce_window": _window,
    "reduce_window_max": _window,
    "reduce_window_min": _window,
    "reduce_window_sum": _window,
    "select_and_gather_add": _window,
    "select_and_scatter_add": _window,
    "gather": _gather,
    "scatter-add": _scatter_add,
    "random_bits": _random_bits,
}
