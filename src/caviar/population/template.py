"""One built model that stands for all members: its variables, and how each one's first value came about."""

import functools
import random
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jax
import keras
import numpy as np
from keras.src.backend.common import global_state  # the gate to Keras' internals
from keras.src.backend.jax.core import JaxVariable

from caviar.errors import CaviarError, ModelError

Build = Callable[[], keras.Model]

# Keras draws one Python random integer for every unseeded initializer and seed generator; far more than
# any model needs are looked up.
_DRAWS = 4096
_TEMPLATE_SEEDS = (20_011, 30_011)

CHANGING_KERAS = threading.RLock()
"""Held while methods of Keras' classes or global random states, which all threads share, are replaced by others."""


@dataclass(frozen=True)
class Origin:
    """How the first value of one variable comes about.

    Exactly one is set: `initializer` (drawn per member, `draw` tells which of Keras' seed draws it uses, or
    None when its seed is fixed or it uses none), or `value` (the builder put it there itself).
    """

    initializer: Callable[..., Any] | None = None
    draw: int | None = None
    is_generator: bool = False
    value: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Template:
    """A built model and the origin of each of its variables, in the order of `train_step`'s state.

    Attributes:
        model: The model; its own variables hold no meaning.
        origins: One per variable: trainable, non-trainable, optimizer, metrics.
        counts: How many variables each of the four groups has.
        fixed: Names of variables whose seed the builder fixed: they do not vary between members.
        rebuild: Why members must be built one by one, or empty.
    """

    model: keras.Model
    origins: tuple[Origin, ...]
    counts: tuple[int, int, int, int]
    fixed: tuple[str, ...] = ()
    rebuild: str = ""


@dataclass
class _Recording:
    """Initializers seen while a model is built, by variable."""

    seen: dict[int, tuple[JaxVariable, Callable[..., Any], Any]] = field(default_factory=dict)


def variables(model: keras.Model) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
    """The four groups of variables that `train_step` carries."""
    return (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )


def make_template(build: Build, batch: tuple[Any, ...]) -> Template:
    """Build once, cheaply, and find out how each variable's first value depends on the seed.

    The model is built twice under two seeds without computing any initial value. What both builds have in
    common is fixed; what follows Keras' sequence of seed draws is drawn per member later; anything else
    makes members be built one by one.

    Args:
        build: Returns a compiled model.
        batch: `(x, y)` or `(x, y, sample_weight)`, a few rows that fix shapes and types.

    Raises:
        ModelError: The builder raises, or what it returns cannot be trained.
    """
    with global_seeds_restored():
        first, first_seen = _build_recorded(build, batch, _TEMPLATE_SEEDS[0])
        second, second_seen = _build_recorded(build, batch, _TEMPLATE_SEEDS[1])
    flat_first = [v for group in variables(first) for v in group]
    flat_second = [v for group in variables(second) for v in group]
    if [v.shape for v in flat_first] != [v.shape for v in flat_second]:
        raise ModelError(
            "Expected the builder to return the same architecture each time, but two calls gave different "
            "shapes. Keep random choices out of the builder."
        )
    draws = [_draw_positions(seed) for seed in _TEMPLATE_SEEDS]
    origins, fixed, rebuild = [], [], ""
    for one, other in zip(flat_first, flat_second, strict=True):
        origin, note = _origin(one, other, first_seen, second_seen, draws)
        origins.append(origin)
        if note == "fixed":
            fixed.append(one.path)
        elif note:
            rebuild = rebuild or f"{one.path}: {note}"
    groups = variables(first)
    counts = (len(groups[0]), len(groups[1]), len(groups[2]), len(groups[3]))
    return Template(first, tuple(origins), counts, tuple(fixed), rebuild)


def sketch(build: Build) -> keras.Model:
    """A model to look at, built without computing its first values; the global seeds stay as they are."""
    with sketching():
        return call_builder(build)


@contextmanager
def sketching() -> Iterator[None]:
    """While this lasts, models are built without computing their first values; the global seeds stay as they are."""
    with global_seeds_restored(), _initial_values_recorded():
        yield


def build_alone(build: Build, batch: tuple[Any, ...], seed: int) -> keras.Model:
    """What `keras.utils.set_random_seed(seed); build()` gives, ready for `fit`; global seeds are put back."""
    with global_seeds_restored():
        keras.utils.set_random_seed(seed)
        model = call_builder(build)
        ready(model, batch)
    return model


def build_on_inputs(build: Build, x: Any, seed: int) -> keras.Model:  # noqa: ANN401
    """The same as far as inputs alone decide: a model to look at, whatever its loss makes of a target."""
    with global_seeds_restored():
        keras.utils.set_random_seed(seed)
        model = call_builder(build)
        try:
            model(x)
        except Exception as error:
            raise ModelError(
                f"Expected a model that takes rows of {np.shape(x)[1:]} inputs, but calling it raised "
                f"{type(error).__name__}: {first_line(error)} Compare the input width with the data."
            ) from error
    return model


def call_builder(build: Build) -> keras.Model:
    """Call a builder and check what it returns.

    Raises:
        ModelError: It raised, returned no Keras model, or one that is not compiled.
    """
    try:
        model = build()
    except CaviarError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(
            f"Expected the model builder to return a compiled Keras model, but it raised "
            f"{type(error).__name__}: {first_line(error)} Run the builder alone to see where."
        ) from error
    if not isinstance(model, keras.Model):
        raise ModelError(
            f"Expected the model builder to return a keras.Model, got {type(model).__name__}. "
            f"End the builder with `return model`."
        )
    if not model.compiled:
        raise ModelError(
            "Expected a compiled model, but the builder returned one without loss and optimizer. "
            "Call model.compile(optimizer=..., loss=...) before returning it."
        )
    return model


def ready(model: keras.Model, batch: tuple[Any, ...]) -> None:
    """Create all variables of a model: what `fit` does before its first step."""
    try:
        model._symbolic_build(data_batch=batch)
    except Exception as error:
        shape = "x".join(str(n) for n in np.shape(batch[0])[1:])
        raise ModelError(
            f"Expected a model that takes rows of {shape} inputs and targets of shape "
            f"{np.shape(batch[1])[1:] or '(one number)'}, but building it raised {type(error).__name__}: "
            f"{first_line(error)} Compare the input width, the last layer and the loss with the data."
        ) from error


def _build_recorded(build: Build, batch: tuple[Any, ...], seed: int) -> tuple[keras.Model, _Recording]:
    keras.utils.set_random_seed(seed)
    with _initial_values_recorded() as recording:
        model = call_builder(build)
        ready(model, batch)
    return model, recording


@contextmanager
def _initial_values_recorded() -> Iterator[_Recording]:
    """Note each variable's initializer instead of calling it.

    Calling initializers eagerly compiles a program each; here a NaN stands in, so that a builder that
    computes with initial values gives itself away. Models that other threads build meanwhile are left alone.
    """
    with CHANGING_KERAS:
        mine, original = threading.get_ident(), JaxVariable._initialize_with_initializer
        recording = _Recording()

        def record(self: JaxVariable, initializer: Callable[..., Any]) -> None:
            if threading.get_ident() == mine:
                _note_initializer(recording, self, initializer)
            else:
                original(self, initializer)

        JaxVariable._initialize_with_initializer = record
        try:
            yield recording
        finally:
            JaxVariable._initialize_with_initializer = original


def _note_initializer(recording: _Recording, variable: JaxVariable, initializer: Callable[..., Any]) -> None:
    marker = np.zeros(variable._shape, jax.dtypes.canonicalize_dtype(variable._dtype))
    if np.issubdtype(marker.dtype, np.floating) or variable._dtype == "bfloat16":
        marker[...] = np.nan
    variable._shape = tuple(variable._shape)
    variable._value = marker
    recording.seen[id(variable)] = (variable, initializer, marker)


def _origin(  # noqa: PLR0911 - one answer per case
    one: JaxVariable,
    other: JaxVariable,
    first: _Recording,
    second: _Recording,
    draws: list[dict[int, int]],
) -> tuple[Origin, str]:
    """Where one variable's first value comes from; the note is "fixed", or why members must be rebuilt."""
    record, again = first.seen.get(id(one)), second.seen.get(id(other))
    if record is None or one._value is not record[2]:
        value, value_again = np.asarray(one._value), np.asarray(other._value)
        if np.issubdtype(value.dtype, np.floating) and np.isnan(value).any():
            return Origin(), "the builder computes it from other initial values"
        if not np.array_equal(value, value_again):
            return Origin(), "the builder draws it at random itself"
        return Origin(value=value), ""
    if again is None:
        raise ModelError(
            f"Expected the builder to create every part of the model anew at each call, but two calls share "
            f"{one.path}. Create the optimizer and all layers inside the builder."
        )
    seed, seed_again = _seed_of(record[1]), _seed_of(again[1])
    is_generator = _generator_of(record[1]) is not None
    if seed is None:
        return _unseeded(record[1])
    if not isinstance(seed, int) or not isinstance(seed_again, int):
        return Origin(), "its initializer shares a seed generator"
    if seed == seed_again:
        return Origin(initializer=record[1], is_generator=is_generator), "fixed"
    position, position_again = draws[0].get(seed), draws[1].get(seed_again)
    if position is None or position != position_again:
        return Origin(), "its seed does not follow Keras' own sequence"
    return Origin(initializer=record[1], draw=position, is_generator=is_generator), ""


def _unseeded(initializer: Callable[..., Any]) -> tuple[Origin, str]:
    """Zeros, constants and the like are drawn with the rest; a function of the user's own may be random."""
    if isinstance(initializer, keras.initializers.Initializer) or initializer.__module__.startswith("keras."):
        return Origin(initializer=initializer), ""
    return Origin(), "its initializer is a function of its own"


def _generator_of(initializer: Callable[..., Any]) -> Any | None:  # noqa: ANN401
    """The seed generator whose state this initializer fills, if it is one."""
    if getattr(initializer, "__qualname__", "") != "SeedGenerator.__init__.<locals>.seed_initializer":
        return None
    cells = dict(zip(initializer.__code__.co_freevars, initializer.__closure__ or (), strict=True))
    return cells["seed"].cell_contents


def _seed_of(initializer: Callable[..., Any]) -> Any | None:  # noqa: ANN401
    generator_seed = _generator_of(initializer)
    return generator_seed if generator_seed is not None else getattr(initializer, "seed", None)


def seed_draws(seed: int, count: int) -> list[int]:
    """The first integers that Keras takes for unseeded parts after `set_random_seed(seed)`."""
    rng = random.Random(seed)  # noqa: S311 - reproduces Keras' own draws
    return [rng.randint(1, int(1e9)) for _ in range(count)]


@functools.cache
def _draw_positions(seed: int) -> dict[int, int]:
    return {value: i for i, value in enumerate(seed_draws(seed, _DRAWS))}


@contextmanager
def global_seeds_restored() -> Iterator[None]:
    """Leave the user's global random states as they were; other threads wait, for they share these states."""
    with CHANGING_KERAS:
        python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - Keras seeds the legacy one
        names = ("global_seed_generator", "global_random_seed")
        kept = {name: global_state.get_global_attribute(name) for name in names}
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
            for name, value in kept.items():
                global_state.set_global_attribute(name, value)


def first_line(error: BaseException) -> str:
    """The first line of what an error says, as a sentence."""
    plain = re.sub(r"\x1b\[\d*m", "", str(error))
    said = [line.strip() for line in plain.splitlines() if line.strip()]
    # Keras says first where it was, and only then what was wrong.
    telling = [line for line in said if not line.startswith("Exception encountered when calling")]
    text = (telling or said or [type(error).__name__])[0]
    return text if text.endswith((".", "!", "?")) else f"{text}."
