"""What two recipes must have in common to share one program: everything but the numbers that lift.py lifts.

A model made of Keras' own parts is described by the attributes of these parts: all that their code can read. Configs
would not do: that of `Huber` leaves out its delta. Foreign parts (a layer, a loss, a lambda of the user's own) may
read anything from anywhere, so such a model is described by what it does instead: by the traced steps themselves.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from types import FunctionType
from typing import Any

import jax
import keras
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr
from keras.src.utils.naming import to_snake_case  # the gate to Keras' internals

from caviar.population import initial
from caviar.population.callbacks import rate_variable
from caviar.population.lift import LEARNING_RATE, Place, lifted, places
from caviar.population.step import finish
from caviar.population.template import Template, variables


class CannotCompare(Exception):  # noqa: N818 - an outcome, not an error
    """Why nobody can tell whether another recipe would make the same program: this one needs its own."""


def structure(template: Template, batch: tuple[Any, ...], rows: int | None = None) -> str:
    """A text that is equal for two recipes only if one program, and one way to draw first values, serves both.

    It leaves out the numbers of `lift.numbers` and the names that Keras made up (`dense_3`).

    Args:
        template: The recipe's, from `make_template`.
        batch: The rows that the template was made with; their shapes and types are part of the text.
        rows: Of a full batch, which is what parts of the user's own may depend on; None for as many as `batch` has.

    Raises:
        CannotCompare: The builder computes first values itself; or the steps of a model with parts of the user's
            own cannot be traced with lifted numbers, or call back into Python.

    >>> from functools import partial
    >>> from caviar.population.template import make_template
    >>> def build(units, rate):
    ...     layers = [keras.layers.Dense(units), keras.layers.Dropout(rate), keras.layers.Dense(1)]
    ...     model = keras.Sequential([keras.Input((3,)), *layers])
    ...     model.compile("sgd", "mse")
    ...     return model
    >>> batch = np.zeros((2, 3), np.float32), np.zeros((2, 1), np.float32)
    >>> plain, wide, dropped = (
    ...     structure(make_template(partial(build, *recipe), batch), batch)
    ...     for recipe in [(4, 0.2), (5, 0.2), (4, 0.3)]
    ... )
    >>> plain == dropped, plain == wide
    (True, False)
    """
    if template.rebuild:
        raise CannotCompare(f"its first values are known to its builder only: {template.rebuild}")
    model, found = template.model, places(template.model)
    try:
        program = _described([model], model, found)
    except _Foreign:
        program = [_steps(model, _of_rows(batch, rows), found), _drawing(template)]
    shapes = [_shape(part) for part in jax.tree.leaves(batch)]
    return json.dumps([shapes, list(found), _first_values(template, found), program], indent=0)


def is_of_keras(model: keras.Model) -> bool:
    """Whether a model is made of Keras' own parts alone, so that its attributes tell all that any of its steps does."""
    try:
        _described([model], model, places(model))
    except _Foreign:
        return False
    return True


def _of_rows(batch: tuple[Any, ...], rows: int | None) -> tuple[Any, ...]:
    """Shapes and types of a batch of so many rows."""
    if rows is None:
        return batch
    several: tuple[Any, ...] = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct((rows, *a.shape[1:]), jax.dtypes.canonicalize_dtype(a.dtype)), batch
    )
    return several


class _Foreign(Exception):  # noqa: N818 - an outcome, not an error
    """Something that is not Keras' own, so that its attributes need not be all there is to it."""


# What Keras keeps for itself in its objects and no computation reads: echoes of constructor arguments, indices by
# memory address, names along a path, graphs of other models that share a layer, values (see `_first_values`).
_BOOKKEEPING = {
    *("_auto_config", "_tracker", "_lock", "_inbound_nodes", "_outbound_nodes", "_nodes", "_name", "_path"),
    *("_parent_path", "_loss_ids", "_value", "build", "quantize", "_compile_config", "_user_loss_weights"),
    *("_compiled_trainable_state", "_trainable_variables_indices", "_call_signature", "backend"),
}
# Attributes that repeat the number of a part: (class, attribute) → (part, attribute of the part).
_ECHOES = {
    ("ActivityRegularization", "l1"): ("activity_regularizer", "l1"),
    ("ActivityRegularization", "l2"): ("activity_regularizer", "l2"),
    ("MultiHeadAttention", "_dropout"): ("_dropout_layer", "rate"),
}


def _described(roots: Sequence[Any], model: keras.Model, found: Mapping[str, Place]) -> list[Any]:
    """The attributes of some objects and of all that hangs on them, one entry per object."""
    walk = _Walk(model, found)
    first = [walk.value(root) for root in roots]
    return [first, [[_type_name(type(owner)), walk.attributes(owner)] for owner in walk.objects()]]


class _Walk:
    """Goes over Keras' objects; each is described once, and referred to by the number of its discovery."""

    def __init__(self, model: keras.Model, found: Mapping[str, Place]) -> None:
        self._lifted = {(id(place.holder), place.name): (key, place) for key, place in found.items()}
        gathered = model._compile_metrics.metrics if model._compile_metrics is not None else []
        named = [*model._flatten_layers(include_self=True), *model.metrics, *gathered]
        made_up = [part.name for part in named if _is_made_up(part)]
        self._names = {name: f"<name {i}>" for i, name in enumerate(made_up)}
        self._order: list[Any] = []
        self._number: dict[int, int] = {}

    def objects(self) -> Iterator[Any]:
        """All objects; describing one may discover others."""
        at = 0
        while at < len(self._order):
            yield self._order[at]
            at += 1

    def attributes(self, owner: Any) -> dict[str, Any]:  # noqa: ANN401
        """What one object consists of."""
        own = vars(owner)
        said = {}
        for name in sorted(own.keys() - _BOOKKEEPING):
            if name.startswith("_exclude_from_weight_decay"):
                raise _Foreign("weights are excluded from decay by address or by pattern")
            if name == "name":  # of a metric or a loss it appears in the logs
                logged = isinstance(owner, keras.Metric | keras.Loss) and not _is_made_up(owner)
                said[name] = self.text(own[name]) if logged else None
            elif self._is_echo(owner, name):
                said[name] = "<lifted>"
            else:
                said[name] = self._item(own, name)
        return said

    def text(self, text: str) -> str:
        """A string, in which names that Keras made up are replaced by their positions."""
        name = text.removesuffix("_loss")
        return self._names.get(name, name) + text[len(name) :]

    def value(self, value: Any) -> Any:  # noqa: ANN401, C901, PLR0911 - one answer per kind
        """How a value looks in the description."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, np.generic | np.ndarray | jax.Array):
            return _digest(value)
        if isinstance(value, Mapping):
            return [[self.value(name), self._item(value, name)] for name in value]
        if isinstance(value, list | tuple):
            return [type(value).__name__, *(self._item(value, i) for i in range(len(value)))]
        if isinstance(value, set | frozenset):
            return ["set", *sorted(json.dumps(self.value(item)) for item in value)]
        if isinstance(value, type | FunctionType) and _is_keras(value):
            if getattr(value, "__closure__", None):
                raise _Foreign(f"{value.__qualname__} holds values of its own")
            return _type_name(value)
        if _is_keras(type(value)) and hasattr(value, "__dict__"):
            if id(value) not in self._number:
                self._number[id(value)] = len(self._order)
                self._order.append(value)
            return f"<object {self._number[id(value)]}>"
        raise _Foreign(f"{type(value).__name__} is none of Keras' own parts")

    def _item(self, holder: Any, name: Any) -> Any:  # noqa: ANN401
        """What stands in a dictionary or list, unless it is lifted."""
        key, place = self._lifted.get((id(holder), name), ("", None))
        if place is None:
            return self.value(holder[name])
        if place.entry.place == "field":
            return [*self.value(holder[name]._replace(**{place.entry.attribute: None})), f"<{key}>"]
        return f"<{key}>"

    def _is_echo(self, owner: Any, name: str) -> bool:  # noqa: ANN401
        if echoed := _ECHOES.get((type(owner).__name__, name)):
            part, attribute = echoed
            return (id(vars(getattr(owner, part))), attribute) in self._lifted
        # A loss keeps the arguments of its function a second time, for its config.
        return (id(vars(owner).get("_fn_kwargs")), name) in self._lifted


def _is_keras(part: Any) -> bool:  # noqa: ANN401 - a class or function
    return str(part.__module__).startswith("keras.")


def _type_name(part: Any) -> str:  # noqa: ANN401 - a class or function
    return f"{part.__module__}.{part.__qualname__}"


def _is_made_up(part: Any) -> bool:  # noqa: ANN401
    """Whether a part has the name that Keras gives where the user gives none."""
    return re.fullmatch(rf"{to_snake_case(type(part).__name__)}(_\d+)?", str(part.name)) is not None


def _shape(array: Any) -> list[Any]:  # noqa: ANN401
    return [str(array.dtype), *np.shape(array)]


def _digest(array: Any) -> list[Any]:  # noqa: ANN401
    """Type, shape and bytes of an array."""
    is_key = jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key)
    values = np.ascontiguousarray(jax.random.key_data(array) if is_key else array)
    return [*_shape(values), hashlib.sha256(values.tobytes()).hexdigest()]


def _first_values(template: Template, found: Mapping[str, Place]) -> list[Any]:
    """For each variable its type and shape, which of Keras' draws seeds it, and what the builder put there."""
    flat = [variable for group in variables(template.model) for variable in group]
    rate = rate_variable(template.model) if LEARNING_RATE in found else None
    said: list[Any] = [list(template.counts)]
    for variable, origin in zip(flat, template.origins, strict=True):
        set_by_builder = origin.value is not None and variable is not rate
        said.append([_shape(variable), origin.draw, _digest(origin.value) if set_by_builder else None])
    return said


def _drawing(template: Template) -> list[Any]:
    """How first values are drawn from seeds, as JAX sees it."""
    flat = [variable for group in variables(template.model) for variable in group]
    drawn = [(o, v) for o, v in zip(template.origins, flat, strict=True) if o.initializer is not None]
    last = max((origin.draw for origin, _ in drawn if origin.draw is not None), default=-1)

    def first_values(seeds: jax.Array) -> list[jax.Array]:
        return [initial.first_value(origin, variable, seeds) for origin, variable in drawn]

    return _text_of(jax.make_jaxpr(first_values)(jax.ShapeDtypeStruct((last + 1,), "uint32")))


def _steps(model: keras.Model, batch: tuple[Any, ...], found: Mapping[str, Place]) -> list[Any]:
    """What a member computes from its state, its lifted numbers and a batch, as JAX sees it."""
    names: list[str] = []

    def every_step(state: Any, pairs: dict[str, jax.Array], batch: tuple[Any, ...]) -> list[Any]:  # noqa: ANN401
        with lifted(model, pairs):
            trained, after = model.train_step(state, batch)
            tested, gathered = model.test_step((state[0], state[1], state[3]), batch)
            outputs, _ = model.predict_step((state[0], state[1]), batch)
            finished = finish(model, state)
        names.extend([*trained, *tested])
        return [list(trained.values()), after, list(tested.values()), gathered, outputs, finished]

    state = tuple([jax.ShapeDtypeStruct(v.shape, v.dtype) for v in group] for group in variables(model))
    pairs = {key: jax.ShapeDtypeStruct((2,), "float32") for key in found}
    try:
        traced, outputs = jax.make_jaxpr(every_step, return_shape=True)(state, pairs, batch)
    except Exception as error:
        lines = [line for line in re.sub(r"\x1b\[\d+m", "", str(error)).splitlines() if line.strip()]
        # Keras says first in which layer it happened, and then what.
        reason = " ".join([type(error).__name__ + ":", *lines[:2]])
        raise CannotCompare(f"its steps cannot be traced: {reason}") from error
    walk = _Walk(model, found)
    said = [walk.text(name) for name in names]
    return [said, str(jax.tree.structure(outputs)), *_text_of(traced)]


def _text_of(traced: ClosedJaxpr) -> list[Any]:
    """A traced function as text, with the arrays it holds."""
    text = str(traced)
    if "callback[" in text or " at 0x" in text:
        raise CannotCompare("it calls back into Python")
    return [text, [_digest(constant) for constant in _constants(traced)]]


def _constants(traced: ClosedJaxpr | Jaxpr) -> Iterator[Any]:
    """All arrays that a traced function and the functions inside it hold; their text shows only shapes."""
    if isinstance(traced, ClosedJaxpr):
        yield from traced.consts
        traced = traced.jaxpr
    for equation in traced.eqns:
        for parameter in jax.tree.leaves(
            equation.params, is_leaf=lambda part: isinstance(part, ClosedJaxpr | Jaxpr)
        ):
            if isinstance(parameter, ClosedJaxpr | Jaxpr):
                yield from _constants(parameter)
            elif isinstance(parameter, np.ndarray | jax.Array):
                yield parameter
