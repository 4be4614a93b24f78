"""How much work is a traced step, and how large is what it computes?"""

import math

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

from caviar.population.members_last import terms


def operations(step: ClosedJaxpr) -> int:
    """Operations of a traced function: multiplications of its products, and every other number that it computes.

    Loops count as often as they run, if that is known when they are traced; otherwise once.

    >>> import jax, jax.numpy as jnp
    >>> operations(jax.make_jaxpr(jnp.dot)(jnp.ones((4, 5)), jnp.ones((5, 6))))
    120
    """
    return _of(step.jaxpr)


def largest(step: ClosedJaxpr) -> int:
    """Numbers in the largest array that a traced function computes.

    >>> import jax, jax.numpy as jnp
    >>> largest(jax.make_jaxpr(lambda a, b: (a @ b).sum())(jnp.ones((4, 5)), jnp.ones((5, 6))))
    24
    """
    return _largest(step.jaxpr)


def _largest(jaxpr: Jaxpr) -> int:
    own = (math.prod(getattr(out.aval, "shape", ())) for eqn in jaxpr.eqns for out in eqn.outvars)
    return max((*own, *(_largest(inner) for eqn in jaxpr.eqns for inner in _functions(eqn))), default=0)


def _functions(eqn: JaxprEqn) -> list[Jaxpr]:
    """Those that an operation calls."""
    return [
        inner.jaxpr if isinstance(inner, ClosedJaxpr) else inner
        for value in eqn.params.values()
        for inner in (value if isinstance(value, tuple | list) else (value,))
        if isinstance(inner, ClosedJaxpr | Jaxpr)
    ]


def _of(jaxpr: Jaxpr) -> int:
    total = 0
    for eqn in jaxpr.eqns:
        if inside := _functions(eqn):
            times = eqn.params["length"] if eqn.primitive.name == "scan" else 1
            total += times * sum(map(_of, inside))
            continue
        each = 1
        if eqn.primitive.name == "dot_general":
            each = terms(eqn)
        elif eqn.primitive.name == "conv_general_dilated":
            kernel = eqn.invars[1].aval.shape
            each = math.prod(kernel) // kernel[eqn.params["dimension_numbers"].rhs_spec[0]]
        total += each * sum(math.prod(getattr(out.aval, "shape", ())) for out in eqn.outvars)
    return total
