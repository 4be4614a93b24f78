"""Functions that are compiled ahead of their first call: in threads, while others are traced or members train."""

import os
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any

import jax

# Compilers leave Python alone while they work, so threads serve as well as processes.
_threads = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "compiles")


class Ahead:
    """A function for JAX to compile, once for every shape of what it takes.

    Attributes:
        function: As `jax.jit` gives it.

    >>> import jax.numpy as jnp
    >>> double = Ahead(jax.jit(lambda x: 2 * x))
    >>> double.prepare(jax.ShapeDtypeStruct((3,), "float32"))  # returns at once
    >>> double(jnp.arange(3.0)).tolist()
    [0.0, 2.0, 4.0]
    """

    def __init__(self, function: Any) -> None:  # noqa: ANN401 - what `jax.jit` gives has no public type
        self.function = function
        self._found: dict[Hashable, Future[Callable[..., Any]]] = {}
        self._lock = Lock()

    def prepare(self, *given: Any) -> None:  # noqa: ANN401
        """Trace it for arguments of such shapes, and let it be compiled meanwhile.

        Args:
            given: Arrays, or their shapes and types with how they lie on the devices.

        Raises:
            Exception: Whatever tracing raises.
        """
        key = _key(given)
        with self._lock:
            if key in self._found:
                return
        lowered = self.function.lower(*given)
        with self._lock:
            if key not in self._found:
                self._found[key] = _threads.submit(lowered.compile)

    def program(self, *given: Any) -> Callable[..., Any]:  # noqa: ANN401
        """The compiled function for arguments of such shapes; waits until it is there.

        Raises:
            Exception: Whatever tracing or compiling raises.
        """
        self.prepare(*given)
        key = _key(given)
        with self._lock:
            found = self._found[key]
        try:
            return found.result()
        except Exception:
            with self._lock:  # too little memory now may be enough later
                self._found.pop(key, None)
            raise

    def __call__(self, *given: Any) -> Any:  # noqa: ANN401
        """What the function gives."""
        return self.program(*given)(*given)


def _key(given: tuple[Any, ...]) -> Hashable:
    return tuple((leaf.shape, jax.dtypes.canonicalize_dtype(leaf.dtype)) for leaf in jax.tree.leaves(given))
