"""Operations that XLA compiles badly for CPUs inside of a loop, written in the way that it compiles well."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxpr_as_fun

from caviar.population.bits import drawn
from caviar.population.convolutions import is_large, laid_out

CALLS = {
    "jit": "jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}
"""Operations that call a function, and the parameter that holds it."""


def written_out(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, with the random bits that it draws written out and its large convolutions laid out anew.

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
    """What `jaxpr_as_fun` gives; operations with functions inside are entered only where something changes there."""
    jaxpr = closed.jaxpr
    if not _changes(jaxpr):
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
    if is_large(eqn):
        return [laid_out(eqn, *values)]
    rule = _INNER.get(name)
    if rule is not None and _changes_inside(eqn):
        return rule(eqn, values)
    return _bound(eqn, values, eqn.params)


def _bound(eqn: JaxprEqn, values: list[Any], params: dict[str, Any]) -> list[Any]:
    with eqn.ctx.manager:
        answer = eqn.primitive.bind(*values, **eqn.primitive.get_bind_params(params))
    return list(answer) if eqn.primitive.multiple_results else [answer]


def _called(eqn: JaxprEqn, values: list[Any]) -> list[Any]:
    return _run(as_closed(eqn.params[CALLS[eqn.primitive.name]]), values)


def _cond(eqn: JaxprEqn, values: list[Any]) -> list[Any]:
    branches = [partial(_branch, branch) for branch in eqn.params["branches"]]
    return list(lax.switch(values[0], branches, *values[1:]))


def _checkpoint(eqn: JaxprEqn, values: list[Any]) -> list[Any]:
    """What is computed twice to save memory still is."""
    inner = partial(_branch, as_closed(eqn.params["jaxpr"]))
    given = [jax.ShapeDtypeStruct(atom.aval.shape, atom.aval.dtype) for atom in eqn.invars]
    written = jax.make_jaxpr(inner)(*given)
    return _bound(eqn, values, eqn.params | ({} if written.consts else {"jaxpr": written.jaxpr}))


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


def _while(eqn: JaxprEqn, values: list[Any]) -> list[Any]:
    params = eqn.params
    asked, worked = params["cond_nconsts"], params["body_nconsts"]
    asking, working, begun = values[:asked], values[asked : asked + worked], values[asked + worked :]
    return list(
        lax.while_loop(
            lambda carry: _run(params["cond_jaxpr"], [*asking, *carry])[0],
            lambda carry: _run(params["body_jaxpr"], [*working, *carry]),
            begun,
        )
    )


_INNER: dict[str, Callable[[JaxprEqn, list[Any]], list[Any]]] = {
    **dict.fromkeys(CALLS, _called),
    "cond": _cond,
    "remat2": _checkpoint,
    "scan": _scan,
    "while": _while,
}
"""Operations with functions inside, and what carries them out with these written out."""


def as_closed(jaxpr: Any) -> ClosedJaxpr:  # noqa: ANN401
    """A function inside an operation, whichever way it is kept there."""
    return jaxpr if isinstance(jaxpr, ClosedJaxpr) else ClosedJaxpr(jaxpr, ())


def _changes(jaxpr: Jaxpr) -> bool:
    """Whether a function draws bits or convolves much, itself or in what it calls."""
    return any(
        eqn.primitive.name == "random_bits" or is_large(eqn) or _changes_inside(eqn) for eqn in jaxpr.eqns
    )


def _changes_inside(eqn: JaxprEqn) -> bool:
    inner = jax.tree.leaves(
        list(eqn.params.values()), is_leaf=lambda one: isinstance(one, ClosedJaxpr | Jaxpr)
    )
    return any(_changes(as_closed(one).jaxpr) for one in inner if isinstance(one, ClosedJaxpr | Jaxpr))
