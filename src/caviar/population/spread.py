"""How are the members of one device spread over a gradient step?"""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from caviar.errors import OptionError
from caviar.population import devices, members_last
from caviar.population.written_out import written_out

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
_ANY_WIDTH = 8  # wider tiles have an even number of members
_LARGEST_AT_A_TIME = 5
# What starting the operations of a tile takes, in members; more for the smallest networks (benchmarks/tiles.py).
_LOST_PER_TILE = 0.5
# Tiles that take so much longer than the best are still as good: one program less is worth it.
_AS_GOOD = 1.1


def check(asked: str) -> None:
    """Refuse what is neither a way nor "auto".

    Raises:
        OptionError: It is neither.
    """
    if asked not in {AUTO, *WAYS}:
        known = ", ".join(map(repr, (AUTO, *WAYS)))
        raise OptionError(f"Expected spread to be one of {known}, got {asked!r}. Pass one of them.")


def compiler_options(way: str = FIRST) -> dict[str, Any]:
    """What XLA is told about a program of all devices; these options are those of its CPU compiler.

    Where every core is a device with members of its own, operations that are divided among all cores would wait for
    each other; where JAX ran before with fewer devices, dividing them is what other cores are used for. Members on the
    last axis fill vectors of 512 bits, and products left to a library would be cut out of their loops. Those on the
    first axis are compiled as `fit` is otherwise: wider vectors would round in another order.

    Args:
        way: How members are spread over a step of it, where it takes any.
    """
    found = devices.start()
    if found.kind != "cpu":
        return {}
    options = {"xla_disable_hlo_passes": "cpu-parallel-task-assigner"} if found.count >= found.cores else {}
    if way == FIRST:
        return options
    return options | {"xla_cpu_prefer_vector_width": 512, "xla_cpu_experimental_ynn_fusion_type": ""}


def over_members(way: str, function: Callable[..., Any], in_axes: Sequence[int | None]) -> Callable[..., Any]:
    """What `jax.vmap(function, in_axes)` gives."""
    if way == LAST:
        return members_last.vmap(function, in_axes)
    return jax.vmap(written_out(function) if devices.start().kind == "cpu" else function, in_axes)


def one_after_another(function: Callable[..., Any], in_axes: Sequence[int | None]) -> Callable[..., Any]:
    """The same, computed for one member after the other."""
    written = written_out(function)

    def mapped(*arguments: Any) -> Any:  # noqa: ANN401
        def one(own: list[Any]) -> Any:  # noqa: ANN401
            left = iter(own)
            return written(
                *(
                    next(left) if axis == 0 else argument
                    for argument, axis in zip(arguments, in_axes, strict=True)
                )
            )

        return jax.lax.map(one, [a for a, axis in zip(arguments, in_axes, strict=True) if axis == 0])

    return mapped


def width(way: str, members: int, bytes_each: int, largest: int = 0, spare: float = 0.0) -> int:
    """How many members of a device stand side by side; on the last axis whole vectors of them.

    Members come in tiles of one width, the last one filled up, so that any number of them is trained by one program.
    Of all widths whose tiles take little more time than those of the best, it is the widest: populations of other
    sizes are then likelier to share it. It is no question of which programs there are already: numbers of a
    population must not depend on what was trained before.

    Args:
        way: One of `WAYS`.
        members: How many there are on a device.
        bytes_each: Of one member's state.
        largest: Numbers in the largest array that a step of one member computes.
        spare: How many members more would take no time worth a program.

    >>> width("last", 150, 1000), width("last", 10, 1000), width("last", 150, 44_000)  # on a CPU
    (80, 16, 32)
    >>> width("vmap", 150, 1000), width("vmap", 10, 1000), width("vmap", 150, 1000, largest=50_000)
    (16, 10, 4)
    >>> width("vmap", 10, 1000, spare=6), width("vmap", 1, 1000, spare=100)
    (16, 1)
    """
    if devices.start().kind != "cpu":
        return members
    if way == FIRST:
        fit = _CACHE_BYTES / (bytes_each + 4 * _LARGEST_AT_A_TIME * largest)
        most = int(min(_MOST_ON_FIRST, max(_FEWEST_ON_FIRST, fit)))
        widths, lost = (
            [one for one in range(1, most + 1) if one <= _ANY_WIDTH or one % 2 == 0],
            _LOST_PER_TILE,
        )
    else:
        most = int(min(_TILE, max(VECTOR, _CACHE_BYTES / bytes_each // VECTOR * VECTOR)))
        widths, lost = list(range(VECTOR, most + 1, VECTOR)), 0.0
    if members == 1:
        return widths[0]
    tiles = {one: -(-members // one) for one in widths}
    enough = _AS_GOOD * min(tiles[one] * (one + lost) for one in widths)
    return max(
        one for one in widths if tiles[one] * (one + lost) <= enough or tiles[one] * one - members <= spare
    )
