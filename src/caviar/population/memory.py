"""How much memory members may take, and what happens when that was not enough."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from caviar.population import devices

# Of what is free: the rest is for results, for others, and for what was not counted.
_SHARE = 0.5


class TooLarge(Exception):  # noqa: N818 - an outcome, not an error
    """So many members do not fit into memory; `share` of them might."""

    def __init__(self, share: float) -> None:
        super().__init__(share)
        self.share = share


def budget() -> int:
    """Bytes that a population may take now: half of what is free, of all devices together."""
    stats = [device.memory_stats() for device in jax.local_devices()]
    if all(found and "bytes_limit" in found for found in stats):
        free = sum(found["bytes_limit"] - found.get("bytes_in_use", 0) for found in stats if found)
    else:
        free = _free_memory()
    return int(_SHARE * free)


def require(compiled: Any) -> None:  # noqa: ANN401 - an ahead-of-time compiled function
    """Find out whether a compiled program's own memory fits.

    Raises:
        TooLarge: It does not.
    """
    analysis = compiled.memory_analysis()
    if analysis is None:
        return
    needed = devices.start().count * (analysis.temp_size_in_bytes + analysis.output_size_in_bytes)
    if needed > budget():
        raise TooLarge(budget() / needed)


@contextmanager
def watched(members: int) -> Iterator[None]:
    """Turn running out of memory into `TooLarge`, so that fewer members can be tried.

    Raises:
        TooLarge: Memory ran out.
        MemoryError: It ran out although there is but one member per device.
    """
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            if members <= devices.start().count:
                raise MemoryError(str(error)) from error
            raise TooLarge(0.5) from error
        raise


def _free_memory() -> int:
    """Bytes that this process could still take, as far as the system tells."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    try:  # in a container
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
        used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return free
    return min(free, limit - used)
