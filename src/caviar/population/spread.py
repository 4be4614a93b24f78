"""How are the members of one device spread over a gradient step?"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from caviar.errors import OptionError
from caviar.population import devices, members_last
from caviar.population.bits import written_out

FIRST, LAST = "vmap", "last"
WAYS = {
    FIRST: "members side by side on the first axis",
    LAST: "members side by side on the last axis",
}
# The fastest of them for a model and machine, found by measuring (fastest.py).
AUTO = "auto"

# Members on the last axis whose states fit into a core's own cache together, and fill whole vectors of any processor.
_TILE = 80
_CACHE_BYTES = 1.5 * 2**20
VECTOR = 16
# Members on the first axis: so few that what a step computes of them stays in a core's own cache, about five arrays of
# the largest size at a time, and enough that starting each operation takes little of the time.
_MOST_ON_FIRST = 16
_FEWEST_ON_FIRST = 4
_LARGEST_AT_A_TIME = 5


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

    Members on the last axis fill vectors of 512 bits, and products left to a library would be cut out of their loops.
    Those on the first axis are compiled as `fit` is: wider vectors would round in another order.
    """
    if devices.start().kind != "cpu" or way != LAST:
        return {}
    return {"xla_cpu_prefer_vector_width": 512, "xla_cpu_experimental_ynn_fusion_type": ""}


def over_members(way: str, function: Callable[..., Any], in_axes: Sequence[int | None]) -> Callable[..., Any]:
    """What `jax.vmap(function, in_axes)` gives."""
    if way == LAST:
        return members_last.vmap(function, in_axes)
    return jax.vmap(written_out(function) if devices.start().kind == "cpu" else function, in_axes)


def in_tiles(way: str, largest: int, function: Callable[..., Any], *own: Any) -> Any:  # noqa: ANN401
    """Call a function on a few members at a time, as many as the way asks for, one group after the other.

    Args:
        way: One of `WAYS`.
        largest: Numbers in the largest array that a step of one member computes.
        function: Takes trees of arrays with a leading member axis, and returns such.
        own: Its arguments, for all members of a device; the first is what a step reads and writes.

    >>> in_tiles("vmap", 1, lambda a: a + len(a), jnp.zeros(20)).tolist()[:2]  # on a CPU: two groups of ten
    [10.0, 10.0]
    """
    members = jax.tree.leaves(own)[0].shape[0]
    width = tile(way, members, _bytes_each(own[0]), largest) if devices.start().kind == "cpu" else members
    tiles = -(-members // width)
    if tiles == 1 and width == members:
        return function(*own)

    def cut(array: Any) -> Any:  # noqa: ANN401
        # Members, unlike rows, may be padded: copies of the last one fill the last tile.
        filled = array
        if tiles * width > members:
            filled = array[jnp.minimum(jnp.arange(tiles * width), members - 1)]
        return filled.reshape(tiles, width, *array.shape[1:])

    answer = jax.lax.map(lambda some: function(*some), jax.tree.map(cut, own))
    return jax.tree.map(lambda a: a.reshape(tiles * width, *a.shape[2:])[:members], answer)


def tile(way: str, members: int, bytes_each: int, largest: int = 0) -> int:
    """How many members stand side by side on a CPU, in equal tiles; on the last axis whole vectors of them.

    Args:
        way: One of `WAYS`.
        members: How many there are.
        bytes_each: Of one member's state.
        largest: Numbers in the largest array that a step of one member computes.

    >>> tile("last", 150, 1000), tile("last", 10, 1000), tile("last", 150, 44_000)
    (80, 16, 32)
    >>> tile("vmap", 150, 1000), tile("vmap", 10, 1000), tile("vmap", 150, 1000, largest=50_000)
    (15, 10, 4)
    """
    if way == FIRST:
        fit = _CACHE_BYTES / (bytes_each + 4 * _LARGEST_AT_A_TIME * largest)
        most = int(min(_MOST_ON_FIRST, max(_FEWEST_ON_FIRST, fit)))
        return -(-members // -(-members // most))
    most = int(min(_TILE, max(VECTOR, _CACHE_BYTES / bytes_each // VECTOR * VECTOR)))
    tiles = -(-members // most)
    return -(-members // (tiles * VECTOR)) * VECTOR


def _bytes_each(states: Any) -> int:  # noqa: ANN401
    """Bytes of the arrays of one member, of trees of arrays with a leading member axis."""
    return max(1, sum(leaf.size // leaf.shape[0] * leaf.dtype.itemsize for leaf in jax.tree.leaves(states)))
