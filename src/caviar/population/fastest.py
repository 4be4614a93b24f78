"""Which way of spreading members over a gradient step is the fastest, for this model on this machine?

What was found is remembered on disk, beside the compiled programs: the same population takes the same way again, and
so gives the same bits, however busy the machine is.
"""

import contextlib
import hashlib
import json
import math
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

from caviar.errors import RunError
from caviar.population import devices, members_last
from caviar.population.convolutions import is_large
from caviar.population.spread import AUTO, FIRST, LAST, VECTOR, WAYS, compiler_options
from caviar.run.files import write_text

# Written out, products of 32 x 10 by 10 x 24 numbers were 1.5 to 1.8 times as fast as the library's, those of
# 32 x 20 by 20 x 32 half as fast.
_SMALL_PRODUCT = 2**14
# Another way takes seconds to compile, which shorter runs cannot win back.
_WORTH_SECONDS = 10.0
# A trial takes an epoch or two of each way: at most a tenth of so many.
_FEWEST_EPOCHS = 20
_TRIAL_SECONDS = 0.5
_MOST_ROUNDS = 5


@dataclass(frozen=True)
class Choice:
    """A way, and a sentence that says why it was taken."""

    way: str
    why: str


class CannotRun(Exception):  # noqa: N818 - an outcome, not an error
    """Why a way cannot be used for this model."""


def sensible(step: ClosedJaxpr, members: int, kind: str) -> tuple[str, ...]:
    """The ways that may be the fastest, `"vmap"` first.

    Args:
        step: One member's gradient step.
        members: Members of one device.
        kind: What the devices are; there is a choice only on a `"cpu"`.
    """
    operations = list(_operations(step.jaxpr))
    convolves = any(eqn.primitive.name == "conv_general_dilated" for eqn in operations)
    if kind != "cpu" or members == 1 or convolves:
        return (FIRST,)
    products = [eqn for eqn in operations if eqn.primitive.name == "dot_general"]
    if 2 * members < VECTOR or not all(_is_small(product) for product in products):
        return (FIRST,)
    return (FIRST, LAST)


def stand_alone(step: ClosedJaxpr, kind: str) -> bool:
    """Whether a device trains one member after the other: no library of a CPU computes a large convolution for several.

    Args:
        step: One member's gradient step.
        kind: What the devices are.
    """
    return kind == "cpu" and any(map(is_large, _operations(step.jaxpr)))


def _is_small(product: JaxprEqn) -> bool:
    summed = members_last.terms(product)
    result = product.outvars[0].aval
    multiplications = summed * math.prod(result.shape)
    # What XLA rounds between operations in half precision depends on how it fuses them.
    exact = result.dtype == np.float32
    return exact and summed <= members_last.LONGEST_SUM and multiplications <= _SMALL_PRODUCT


def _operations(jaxpr: Jaxpr) -> Iterator[JaxprEqn]:
    """All operations, those inside others included."""
    for eqn in jaxpr.eqns:
        yield eqn
        for value in eqn.params.values():
            for inner in value if isinstance(value, (tuple, list)) else (value,):
                if isinstance(inner, ClosedJaxpr):
                    yield from _operations(inner.jaxpr)
                elif isinstance(inner, Jaxpr):
                    yield from _operations(inner)


def choose(
    asked: str,
    ways: Sequence[str],
    epochs: int,
    prepare: Callable[[str], Callable[[], object]],
    population: str,
) -> Choice:
    """The way asked for or, if that is `"auto"`, the one that is measured to be the fastest.

    Args:
        asked: A key of `WAYS`, or `"auto"`.
        ways: Those that may be the fastest; others than the first are tried only where it takes long.
        epochs: How many there will be.
        prepare: Compiles a way and returns what carries out one epoch of all members; may raise `CannotRun`.
        population: A text that is the same for the same population.
    """
    found = known(asked, ways, epochs, population)
    if found is None:
        found = _measured(ways, epochs, prepare)
        with contextlib.suppress(
            RunError
        ):  # it only saves time, and bits: a read-only home must not stop the run
            note = _note(ways, epochs, population)
            write_text(note, json.dumps({"way": found.way, "why": found.why}))
    return found


def known(asked: str, ways: Sequence[str], epochs: int, population: str) -> Choice | None:
    """The way, where nothing need be measured for it; else None. Arguments as of `choose`."""
    if asked != AUTO:
        return Choice(asked, f"{WAYS[asked]}: asked for")
    plain = ways[0]
    if len(ways) == 1:
        return Choice(plain, f"{WAYS[plain]}: no other way suits this model and machine")
    if epochs < _FEWEST_EPOCHS:
        return Choice(plain, f"{WAYS[plain]}: {epochs} epochs are too few to try other ways")
    return _recalled(_note(ways, epochs, population))


def _note(ways: Sequence[str], epochs: int, population: str) -> Path:
    """Where the way of a population on this machine is remembered."""
    machine = f"{platform.processor()} {platform.machine()} {devices.start()} {jax.__version__}"
    compiled = [(way, compiler_options(way)) for way in ways]
    name = hashlib.sha256(f"{machine} {compiled} {epochs} {population}".encode()).hexdigest()[:32]
    return devices.cache_folder().parent / "ways" / f"{name}.json"


def _recalled(note: Path) -> Choice | None:
    try:
        found = json.loads(note.read_bytes())
        return Choice(found["way"], found["why"]) if found["way"] in WAYS else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # never found out, or damaged: it is measured again


def _measured(ways: Sequence[str], epochs: int, prepare: Callable[[str], Callable[[], object]]) -> Choice:
    plain = ways[0]
    runs = {plain: prepare(plain)}
    once = _seconds(runs[plain])
    if once < _TRIAL_SECONDS:  # the very first epoch starts threads and touches memory: a tenth of a second
        once = min(once, _seconds(runs[plain]))
    if once * epochs < _WORTH_SECONDS:
        return Choice(plain, f"{WAYS[plain]}: about {once * epochs:.1f} s are too short to try other ways")
    refused = ""
    for way in ways[1:]:
        try:
            runs[way] = prepare(way)
        except CannotRun as reason:
            refused = f"; not {WAYS[way]}: {reason}"
    if len(runs) == 1:
        return Choice(plain, f"{WAYS[plain]}{refused}")
    took = {way: once if way == plain else math.inf for way in runs}
    # In turns: what disturbs hits all alike.
    for turn in range(min(_MOST_ROUNDS, 1 + int(_TRIAL_SECONDS / once))):
        for way, run in runs.items():
            if turn or way != plain:
                took[way] = min(took[way], _seconds(run))
    best, second, *_ = sorted(took, key=took.__getitem__)
    return Choice(best, f"{WAYS[best]}: {took[second] / took[best]:.1f} times as fast here as {second!r}")


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
