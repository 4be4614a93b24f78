"""Which numbers of a model may differ between the members of one program, and how they get into it.

Keras reads most numbers (a dropout rate, a momentum, an L2 factor) while a step is traced, and would bake them
into the program. Here each of them is replaced, during tracing only, by a `MemberNumber`: in arithmetic a traced
value that every member brings itself, in a comparison the answer that all members share. `TABLE` lists the numbers
for which that gives what Keras gives; whatever is not on it belongs to the structure (structure.py).
"""

import operator
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import keras
import numpy as np
from keras import constraints, layers, losses, optimizers, regularizers
from keras.src.trainers.compile_utils import CompileLoss  # the gate to Keras' internals

from caviar.population.bits import fenced, threefry
from caviar.population.callbacks import rate_position, rate_variable

LEARNING_RATE = "optimizer.learning_rate"
WIDTH = "width of layer "
"""Followed by a dropout layer's place: how many units it sees in a member whose layers lie in wider ones."""

# Attributes are shared mutable state (a builder may even share a regularizer or a loss between models), so
# programs are traced one at a time.
_TRACING = threading.RLock()


def any_value(value: float) -> bool:  # noqa: ARG001 - a rule of the table
    """Keras only computes with it: 0 is a number like any other."""
    return True


def above_zero(value: float) -> bool:
    """At 0 and below, Keras leaves the operation out, and often the variables it needs."""
    return value > 0


def not_zero(value: float) -> bool:
    """At 0 Keras leaves the operation out."""
    return value != 0


def inside_zero_one(value: float) -> bool:
    """At 0 Keras draws no mask, at 1 it returns zeros."""
    return 0 < value < 1


@dataclass(frozen=True)
class Liftable:
    """One line of the table.

    Attributes:
        owners: Classes that hold the number; not their subclasses, which may read it in another way. (A learning
            rate needs no reading: it lives in the state of members under any optimizer.)
        attribute: Its name there.
        lifts: Which values are lifted. All others (and None, and what is no number) are structure, because Keras
            builds another program for them.
        place: Where it lives: an attribute, an argument of a loss function, a field of a compiled loss, or a
            variable that is part of a member's state.
        call: What the owner calls instead while lifted, where Keras' own `call` insists on a Python float.
    """

    owners: tuple[type, ...]
    attribute: str
    lifts: Callable[[float], bool] = any_value
    place: Literal["attribute", "argument", "field", "variable"] = "attribute"
    call: Callable[..., Any] | None = None


def _gaussian_dropout(layer: Any, inputs: jax.Array, training: bool = False) -> jax.Array:  # noqa: ANN401, FBT001, FBT002 - as `call` has it
    """`GaussianDropout.call`; Keras takes the root with `math.sqrt`, which wants a Python float."""
    if not training:
        return inputs
    deviation = jnp.sqrt(layer.rate / (1.0 - layer.rate))
    return inputs * keras.random.normal(
        keras.ops.shape(inputs), 1.0, deviation, layer.compute_dtype, layer.seed_generator
    )


def _narrow_dropout(layer: Any, width: jax.Array, inputs: jax.Array, training: bool = False) -> jax.Array:  # noqa: ANN401, FBT001, FBT002 - as `call` has it
    """`Dropout.call` with the mask that inputs (row, unit) would get if they had only the first `width` units."""
    if not training:
        return inputs

    def bits(width: jax.Array, first: jax.Array, second: jax.Array) -> jax.Array:
        row, unit = (jax.lax.broadcasted_iota(jnp.uint32, inputs.shape, axis) for axis in (0, 1))
        place = row * width + unit
        one, other = threefry(first, second, jnp.zeros_like(place), place)
        return one ^ other

    key = layer.seed_generator.next()
    # As `jax.random.uniform` makes numbers of bits.
    mantissa = (fenced(bits)(width.astype(jnp.uint32), *key) >> jnp.uint32(9)) | jnp.uint32(0x3F800000)
    drawn = jax.lax.bitcast_convert_type(mantissa, jnp.float32) - jnp.float32(1)
    keep = 1.0 - layer.rate
    return jnp.where(drawn < keep, inputs / keep, jnp.zeros_like(inputs))


_DROPOUTS = (
    layers.Dropout,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.SpatialDropout3D,
    layers.AlphaDropout,
)
_CELLS = (layers.LSTMCell, layers.GRUCell, layers.SimpleRNNCell)
_ADAMS = (optimizers.Adam, optimizers.AdamW, optimizers.Adamax, optimizers.Nadam, optimizers.Lamb)
_OPTIMIZERS = (
    *_ADAMS,
    optimizers.SGD,
    optimizers.RMSprop,
    optimizers.Lion,
    optimizers.Adagrad,
    optimizers.Adadelta,
    optimizers.Adafactor,
    optimizers.Ftrl,
    optimizers.Muon,
)

TABLE: tuple[Liftable, ...] = (
    Liftable((optimizers.Optimizer,), "learning_rate", place="variable"),
    Liftable(_OPTIMIZERS, "weight_decay"),
    Liftable(_OPTIMIZERS, "clipnorm", above_zero),
    Liftable(_OPTIMIZERS, "global_clipnorm", above_zero),
    Liftable(_OPTIMIZERS, "clipvalue", above_zero),
    Liftable(_OPTIMIZERS, "ema_momentum"),
    Liftable((optimizers.SGD, optimizers.RMSprop), "momentum", above_zero),
    Liftable((optimizers.RMSprop, optimizers.Adadelta), "rho"),
    Liftable((*_ADAMS, optimizers.Lion), "beta_1"),
    Liftable((*_ADAMS, optimizers.Lion), "beta_2"),
    Liftable((*_ADAMS, optimizers.RMSprop, optimizers.Adagrad, optimizers.Adadelta), "epsilon"),
    Liftable(_DROPOUTS, "rate", inside_zero_one),
    Liftable((layers.GaussianDropout,), "rate", inside_zero_one, call=_gaussian_dropout),
    Liftable((layers.GaussianNoise,), "stddev", above_zero),
    Liftable(_CELLS, "dropout", inside_zero_one),
    Liftable(_CELLS, "recurrent_dropout", inside_zero_one),
    Liftable((layers.BatchNormalization,), "momentum"),
    Liftable(
        (
            layers.BatchNormalization,
            layers.LayerNormalization,
            layers.GroupNormalization,
            layers.RMSNormalization,
        ),
        "epsilon",
    ),
    Liftable((layers.LeakyReLU,), "negative_slope"),
    Liftable((layers.ReLU,), "negative_slope", not_zero),
    Liftable((layers.ELU,), "alpha"),
    Liftable((regularizers.L1,), "l1"),
    Liftable((regularizers.L2,), "l2"),
    Liftable((regularizers.L1L2,), "l1", not_zero),
    Liftable((regularizers.L1L2,), "l2", not_zero),
    Liftable((regularizers.OrthogonalRegularizer,), "factor"),
    Liftable((constraints.MaxNorm, constraints.MinMaxNorm), "max_value"),
    Liftable((constraints.MinMaxNorm,), "min_value"),
    Liftable((constraints.MinMaxNorm,), "rate"),
    Liftable((losses.Huber,), "delta", place="argument"),
    Liftable(
        (losses.BinaryCrossentropy, losses.CategoricalCrossentropy), "label_smoothing", not_zero, "argument"
    ),
    Liftable(
        (losses.BinaryFocalCrossentropy, losses.CategoricalFocalCrossentropy),
        "label_smoothing",
        not_zero,
        "argument",
    ),
    Liftable(
        (losses.BinaryFocalCrossentropy, losses.CategoricalFocalCrossentropy), "gamma", place="argument"
    ),
    Liftable(
        (losses.BinaryFocalCrossentropy, losses.CategoricalFocalCrossentropy), "alpha", place="argument"
    ),
    Liftable((losses.Tversky,), "alpha", place="argument"),
    Liftable((losses.Tversky,), "beta", place="argument"),
    Liftable((CompileLoss.Loss,), "loss_weights", place="field"),
)


def numbers(model: keras.Model) -> dict[str, float]:
    """All numbers of a built and compiled model that may differ between members of its program.

    Args:
        model: Compiled, with all its variables and losses created (as `make_template` leaves it).

    Returns:
        Value by key. Keys name positions (`layers[2].rate`, `weights[0].regularizer.l2`, `optimizer.beta_1`), so
        that two builds of one architecture have the same. An object that serves in several places has one key.

    >>> import keras
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dropout(0.2), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.5, momentum=0.9), "mse")
    >>> numbers(model)
    {'optimizer.learning_rate': 0.5, 'optimizer.ema_momentum': 0.99, 'optimizer.momentum': 0.9, 'layers[1].rate': 0.2}
    """
    return {key: place.number for key, place in places(model).items()}


def as_arrays(numbers: Mapping[str, Sequence[float]]) -> dict[str, np.ndarray]:
    """Numbers of several members, as a program takes them.

    Args:
        numbers: By key one per member.

    Returns:
        By key an array (member, 2) of each member's number `x` and of `1 - x`. Keras subtracts in double
        precision before rounding; a difference of rounded numbers would be 1e-4 off for a `beta_2` of 0.999.

    >>> as_arrays({"optimizer.beta_1": [0.9, 0.5]})["optimizer.beta_1"].tolist()
    [[0.8999999761581421, 0.10000000149011612], [0.5, 0.5]]
    """
    doubles = {key: np.array(values, np.float64) for key, values in numbers.items()}
    return {key: np.stack([x, 1.0 - x], axis=1).astype(np.float32) for key, x in doubles.items()}


@contextmanager
def lifted(model: keras.Model, values: Mapping[str, jax.Array]) -> Iterator[None]:
    """While this lasts, a member's own numbers stand in the model: trace its step inside, and nothing else.

    The model is as before afterwards, also after an error. Other threads wait.

    Args:
        model: Any member's model: all members of a structure give the same answers where Keras compares.
        values: By key a traced pair (2,): one member's part of `as_arrays`. Numbers that are left out stay what
            they are in the model. A member that is narrower than the model brings `WIDTH`s too. The learning rate
            lives in the state: it is not replaced here.

    Raises:
        ValueError: A key is no number of this model.
    """
    with _TRACING, ExitStack() as undo:
        found = places(model)
        if unknown := {key for key in values if not key.startswith(WIDTH)} - found.keys():
            raise ValueError(
                f"Expected numbers that this model can lift, got {sorted(unknown)}. It has {sorted(found)}; "
                f"anything else, also a number at a value that leaves its operation out, is structure."
            )
        for key, pair in values.items():
            if key.startswith(WIDTH):
                layer = model.layers[int(key.removeprefix(WIDTH))]
                undo.enter_context(_called(layer, partial(_narrow_dropout, layer, pair[0])))
                continue
            place = found[key]
            if place.entry.place != "variable":
                number = MemberNumber(pair[0], pair[1], place.number)
                undo.enter_context(place.replaced(number))
        yield


@contextmanager
def _called(layer: keras.Layer, function: Callable[..., Any]) -> Iterator[None]:
    """A function is called instead of a layer's own `call` while this lasts."""
    layer.__dict__["call"] = function
    try:
        yield
    finally:
        del layer.__dict__["call"]


@dataclass(frozen=True, eq=False)
class Place:
    """Where one number lives: `holder[name]`, a dictionary, or a list of losses whose field it is.

    Attributes:
        entry: Its line of the table.
        owner: The object that reads it.
        holder: The owner's attributes, its function's arguments, or the list of compiled losses.
        name: Its key there.
        number: Its value in the model.
    """

    entry: Liftable
    owner: Any
    holder: Any
    name: str | int
    number: float

    @contextmanager
    def replaced(self, number: "MemberNumber") -> Iterator[None]:
        """`number` stands here while this lasts."""
        before = self.holder[self.name]
        field = self.entry.place == "field"
        self.holder[self.name] = before._replace(**{self.entry.attribute: number}) if field else number
        if self.entry.call is not None:
            self.holder["call"] = partial(self.entry.call, self.owner)
        try:
            yield
        finally:
            self.holder[self.name] = before
            if self.entry.call is not None:
                del self.holder["call"]


def places(model: keras.Model) -> dict[str, Place]:
    """Where the numbers of a model live, by key, in a fixed order."""
    with _TRACING:
        return _places(model)


def _places(model: keras.Model) -> dict[str, Place]:
    found: dict[str, Place] = {}
    seen: set[int] = set()
    rate, owner = rate_variable(model), _optimizer(model)
    if rate is not None and rate_position(model) is not None:
        first = float(np.asarray(rate._value))
        found[LEARNING_RATE] = Place(TABLE[0], owner, vars(owner), "_learning_rate", first)
    compiled = model._compile_loss._flat_losses or [] if model._compile_loss is not None else []
    for name, owner in _owners(model, compiled):
        if id(owner) in seen:
            continue
        seen.add(id(owner))
        for entry in TABLE:
            if type(owner) not in entry.owners:
                continue
            place = _place(entry, owner, compiled)
            if place is not None and entry.lifts(place.number):
                found[f"{name}.{entry.attribute}"] = place
    return found


def _owners(model: keras.Model, compiled: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Everything in a model that may hold a number, named by its position, if it computes in float32.

    Keras multiplies a half-precision array by a Python float in half precision, and rounds as it goes; a value that
    a member brings is not proven to do the same.
    """
    weights = model.trainable_variables
    if all(weight.dtype == "float32" for weight in weights):
        yield "optimizer", _optimizer(model)
    for i, layer in enumerate(model._flatten_layers(include_self=False)):
        if layer.compute_dtype == "float32":
            yield f"layers[{i}]", layer
            yield f"layers[{i}].activity_regularizer", layer.activity_regularizer
    for i, weight in enumerate(weights):
        if weight.dtype == "float32":
            yield f"weights[{i}].regularizer", weight.regularizer
            yield f"weights[{i}].constraint", weight.constraint
    for i, part in enumerate(compiled):
        if part.loss.dtype == "float32":
            yield f"losses[{i}]", part.loss
            yield f"losses[{i}]", part


def _optimizer(model: keras.Model) -> Any:  # noqa: ANN401
    """The optimizer that takes the steps, without what scales the loss around it."""
    return getattr(model.optimizer, "inner_optimizer", model.optimizer)


def _place(entry: Liftable, owner: Any, compiled: list[Any]) -> Place | None:  # noqa: ANN401
    """Where an owner holds the number of a line, if it holds a number at all."""
    holder: Any = vars(owner) if entry.place == "attribute" else None
    name: str | int = entry.attribute
    if entry.place == "argument":
        holder = owner._fn_kwargs
    if entry.place == "field":
        holder, name = compiled, next(i for i, part in enumerate(compiled) if part is owner)
        value = owner.loss_weights
    else:
        value = holder.get(name)
    if isinstance(value, jax.Array) and value.ndim == 0:
        value = float(value)  # regularizers keep some factors as arrays
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return None
    return Place(entry, owner, holder, name, float(value))


Operation = Callable[[Any, Any], Any]


def _forward(operation: Operation) -> Operation:
    return lambda self, other: operation(self.value, _unwrapped(other))


def _backward(operation: Operation) -> Operation:
    return lambda self, other: operation(_unwrapped(other), self.value)


def _answer(compare: Operation) -> Operation:
    """A comparison with a constant is a question about the program's structure; with an array it is arithmetic."""

    def answer(self: "MemberNumber", other: Any) -> Any:  # noqa: ANN401
        if other is None or isinstance(other, bool | int | float | np.generic):
            return compare(self.representative, other)
        return compare(self.value, _unwrapped(other))

    return answer


def _unwrapped(other: Any) -> Any:  # noqa: ANN401
    return other.value if isinstance(other, MemberNumber) else other


class MemberNumber:
    """A number that every member brings itself, standing where Keras expects a Python float.

    It is no float: code that would take its value at tracing time raises instead of using one member's for all.

    Attributes:
        value: The traced number.
        complement: One minus it, as double precision gives it.
        representative: The number of the model that is traced: it answers comparisons with constants.
    """

    __slots__ = ("complement", "representative", "value")
    __array_ufunc__ = None  # NumPy leaves the arithmetic to us
    # A cache would take one member's number for another's.
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: Any, complement: Any, representative: float) -> None:  # noqa: ANN401
        self.value, self.complement, self.representative = value, complement, representative

    __add__, __radd__ = _forward(operator.add), _backward(operator.add)
    __mul__, __rmul__ = _forward(operator.mul), _backward(operator.mul)
    __truediv__, __rtruediv__ = _forward(operator.truediv), _backward(operator.truediv)
    __pow__, __rpow__ = _forward(operator.pow), _backward(operator.pow)
    __lt__, __le__ = _answer(operator.lt), _answer(operator.le)
    __gt__, __ge__ = _answer(operator.gt), _answer(operator.ge)
    __eq__, __ne__ = _answer(operator.eq), _answer(operator.ne)

    def __sub__(self, other: Any) -> Any:  # noqa: ANN401
        return -self.complement if _is_one(other) else self.value - _unwrapped(other)

    def __rsub__(self, other: Any) -> Any:  # noqa: ANN401
        return self.complement if _is_one(other) else _unwrapped(other) - self.value

    def __neg__(self) -> Any:  # noqa: ANN401
        return -self.value

    def __abs__(self) -> Any:  # noqa: ANN401
        return abs(self.value)

    def __bool__(self) -> bool:
        return bool(self.representative)

    def __jax_array__(self) -> jax.Array:
        return self.value

    def __float__(self) -> float:
        raise TypeError(
            "Expected code that computes with this number by JAX operations, but it asked for a Python float "
            "while a program for many members is traced. Use keras.ops instead of math or numpy."
        )

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:  # noqa: ANN401
        return np.array(float(self))  # raises

    __int__ = __index__ = __float__

    def __repr__(self) -> str:
        return f"MemberNumber({self.representative} in the traced model)"


def _is_one(other: Any) -> bool:  # noqa: ANN401
    return isinstance(other, int | float) and other == 1


def _opened(number: MemberNumber) -> tuple[tuple[Any, Any], float]:
    return (number.value, number.complement), number.representative


def _closed(representative: float, leaves: tuple[Any, Any]) -> MemberNumber:
    return MemberNumber(leaves[0], leaves[1], representative)


# Functions that JAX compiles by themselves take only values that they can look into.
jax.tree_util.register_pytree_node(MemberNumber, _opened, _closed)
