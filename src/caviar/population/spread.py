"""How are the members of one device spread over a gradient step?"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from caviar.errors import OptionError
from caviar.population import devices, members_last
from caviar.population.bits import written_out

FIRST, LAST, ALONE = "vmap", "last", "map"
WAYS = {
    FIRST: "members side by side on the first axis",
    LAST: "members side by side on the last axis",
    ALONE: "one member after the other",
}
# The fastest of them for a model and machine, found by measuring (fastest.py).
AUTO = "auto"

# Members whose states fit into a core's own cache together, and fill whole vectors of any processor.
_TILE = 80
_CACHE_BYTES = 1.5 * 2**20
VECTOR = 16


def check(asked: str) -> None:
    """Refuse what is neither a way nor "auto".

    Raises:
        OptionError: It is neither.
    """
    if asked not in {AUTO, *WAYS}:
        known = ", ".join(map(repr, (AUTO, *WAYS)))
        raise OptionError(f"Expected spread to be one of {known}, got {asked!r}. Pass one of them.")


def compiler_options(way: str) -> dict[str, Any]:
    """What XLA is told about a program that is spread this way; these options are those of its CPU compiler.

    Vectors of 512 bits fit the loops over members; products left to a library would be cut out of them.
    """
    if way != LAST:
        return {}
    return {"xla_cpu_prefer_vector_width": 512, "xla_cpu_experimental_ynn_fusion_type": ""}


def over_members(way: str, function: Callable[..., Any], in_axes: Sequence[int | None]) -> Callable[..., Any]:
    """What `jax.vmap(function, in_axes)` gives; one member at a time if the way is `"map"`."""
    if way == LAST:
        return members_last.vmap(function, in_axes)
    one_member = written_out(function) if devices.start().kind == "cpu" else function
    if way == FIRST:
        return jax.vmap(one_member, in_axes)

    def alone(*arguments: Any) -> Any:  # noqa: ANN401
        one = (
            argument if axis is None else jax.tree.map(lambda a: a[0], argument)
            for argument, axis in zip(arguments, in_axes, strict=True)
        )
        return jax.tree.map(lambda a: jnp.asarray(a)[None], one_member(*one))

    return alone


def in_tiles(way: str, function: Callable[..., Any], *own: Any) -> Any:  # noqa: ANN401
    """Call a function on a few members at a time, as many as the way asks for, one group after the other.

    Args:
        way: One of `WAYS`.
        function: Takes trees of arrays with a leading member axis, and returns such.
        own: Its arguments, for all members of a device; the first is what a step reads and writes.

    >>> in_tiles("map", lambda a: a + len(a), jnp.arange(3)).tolist()
    [1, 2, 3]
    """
    members = jax.tree.leaves(own)[0].shape[0]
    if way == FIRST:
        return function(*own)
    width = tile(members, _bytes_each(own[0])) if way == LAST else 1
    tiles = -(-members // width)

    def cut(array: Any) -> Any:  # noqa: ANN401
        # Members, unlike rows, may be padded: copies of the last one fill the last tile.
        filled = array
        if tiles * width > members:
            filled = array[jnp.minimum(jnp.arange(tiles * width), members - 1)]
        return filled.reshape(tiles, width, *array.shape[1:])

    answer = jax.lax.map(lambda some: function(*some), jax.tree.map(cut, own))
    return jax.tree.map(lambda a: a.reshape(tiles * width, *a.shape[2:])[:members], answer)


def tile(members: int, bytes_each: int) -> int:
    """How many members stand side by side on the last axis: whole vectors, in equal tiles.

    Args:
        members: How many there are.
        bytes_each: Of one member's state.

    >>> tile(150, 1000), tile(10, 1000), tile(150, 44_000)
    (80, 16, 32)
    """
    most = int(min(_TILE, max(VECTOR, _CACHE_BYTES / bytes_each // VECTOR * VECTOR)))
    tiles = -(-members // most)
    return -(-members // (tiles * VECTOR)) * VECTOR


def _bytes_each(states: Any) -> int:  # noqa: ANN401
    """Bytes of the arrays of one member, of trees of arrays with a leading member axis."""
    return max(1, sum(leaf.size // leaf.shape[0] * leaf.dtype.itemsize for leaf in jax.tree.leaves(states)))
