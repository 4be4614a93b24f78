"""What goes on inside a member while it trains: gradients, steps, weights and activations of its layers.

Keras' `train_step` hands out none of that. So a probe takes the step that the member is about to take once more, on
the same rows, writes down what passes by, and throws the new state away: the member itself never notices.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import keras
from jax.extend.core import get_opaque_trace_state
from keras.src.utils.naming import to_snake_case  # the gate to Keras' internals

from caviar.population import step
from caviar.population.lift import lifted
from caviar.population.ragged import trace
from caviar.population.step import MemberState

MOST_ROWS = 256
"""Rows of a sample at most, whatever the batch size."""

LAYER_VARIABLES = (
    *("gradient_norm", "update_ratio", "weight_norm"),
    *("activation_mean", "activation_std", "dead", "saturated"),
)
"""What is measured of each layer."""

MEMBER_VARIABLES = ("gradient_signal", "gradient_noise")
"""What is measured of a member as a whole."""

WHOLE = ""
"""Stands where a layer's name would stand, for what is measured of a member as a whole."""

MOST_BATCHES = 2
"""Batches whose gradients are compared to tell signal from noise; a probe takes little more than as many steps."""

_RELUS = ("relu", "relu6")
_RANGES = {
    **dict.fromkeys(("tanh", "hard_tanh", "softsign", "soft_sign"), (-1.0, 1.0)),
    **dict.fromkeys(("sigmoid", "hard_sigmoid"), (0.0, 1.0)),
}
_ACTIVATION_LAYERS = (
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.ELU,
    keras.layers.PReLU,
    keras.layers.Softmax,
)
# What a model of the user's own may raise while it is traced.
_UNTRACEABLE = (
    jax.errors.JAXTypeError,
    TypeError,
    ValueError,
    AttributeError,
    NotImplementedError,
    LookupError,
)

# Variable → layer → number, or why there is none.
Values = dict[str, dict[str, jax.Array]]
Missing = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Sample:
    """Which rows a probe looks at: the first ones of an epoch's order, every so many epochs.

    Attributes:
        batches: How many batches.
        rows: Rows of each.
        every: Epochs from one probe to the next.
        first: Number of the first epoch, from 0.
    """

    batches: int
    rows: int
    every: int
    first: int

    def due(self, epoch: Any) -> Any:  # noqa: ANN401 - a number, an array, or a traced one
        """Whether an epoch is probed."""
        return (epoch - self.first) % self.every == 0


def make_sample(counts: Sequence[int], batch_size: int, every: int, first: int) -> Sample:
    """The sample of members that train on so many rows.

    >>> make_sample([90, 81], 32, 5, 0)
    Sample(batches=2, rows=32, every=5, first=0)
    >>> make_sample([1000, 900], 512, 5, 0), make_sample([20], 32, 1, 0)
    (Sample(batches=2, rows=256, every=5, first=0), Sample(batches=1, rows=20, every=1, first=0))
    """
    rows = min(batch_size, MOST_ROWS, *counts)
    return Sample(min(MOST_BATCHES, min(counts) // rows), rows, every, first)


@dataclass(frozen=True, eq=False)
class Probe:
    """What is measured of each member of a population, traced once.

    Attributes:
        layers: Names of the layers that have weights or are activations, in the model's order.
        sample: Which rows it looks at, and when.
        slots: (variable, layer) of each number that `measure` returns.
        missing: Variable → layer → why it is not among them.
        measure: `((state, numbers), batches) → numbers (slot,)`, float32; batches (batch, row, …).
    """

    layers: tuple[str, ...]
    sample: Sample
    slots: tuple[tuple[str, str], ...]
    missing: Missing
    measure: Callable[[Any, Any], jax.Array]

    def sometimes(
        self,
        epoch: jax.Array,
        given: tuple[MemberState, Mapping[str, jax.Array]],
        order: jax.Array,
        fetch: Callable[[jax.Array], Any],
    ) -> jax.Array:
        """What is measured (slot,) if this epoch is probed; otherwise NaN, at no cost.

        Args:
            epoch: Number of the epoch, which all members share: were it one per member, all would always measure.
            given: The member's state before the epoch, and its own numbers.
            order: Row numbers (row,) in the order of the epoch.
            fetch: Row numbers (batch, row) → batches.
        """

        def now() -> jax.Array:
            batches, rows = self.sample.batches, self.sample.rows
            return self.measure(given, fetch(order[: batches * rows].reshape(batches, rows)))

        def never() -> jax.Array:
            return jnp.full(len(self.slots), jnp.nan, jnp.float32)

        return jax.lax.cond(self.sample.due(epoch), now, never)


def make_probe(
    model: keras.Model,
    state: MemberState,
    numbers: Mapping[str, Any],
    few: tuple[Any, ...],
    sample: Sample,
) -> Probe:
    """Trace what is measured of a member; what cannot be is left out, with the reason.

    Of each layer, for the first batch of the sample:

    - `gradient_norm`: Euclidean norm of the gradient that `train_step` hands to the optimizer (before clipping, with
      loss scaling undone), over the layer's trainable weights.
    - `update_ratio`: norm of the change that the step makes (momentum, rate, decay and constraints included),
      divided by the norm of the weights; NaN where all weights are zero.
    - `weight_norm`: norm of the layer's weights, frozen ones included; moving statistics do not count.
    - `activation_mean`, `activation_std`: of all that the layer puts out in training mode, as the gradient meets it.
    - `dead`: share of units (last axis) of a ReLU or ReLU6 that are zero for every row of the batch, so that no
      gradient reaches their weights (Lu et al. 2019, arXiv:1903.06733). Leaky and smooth activations never are.
    - `saturated`: share of outputs of tanh, sigmoid, softsign, hard tanh and hard sigmoid that are further than 95 %
      of the way from the centre of their range to its end (after Glorot and Bengio, AISTATS 2010).

    Of the member, from all batches of the sample:

    - `gradient_signal`, `gradient_noise`: estimates of the squared norm of the true gradient, and of the trace of
      the rows' covariance around it. Noise divided by signal is the simple noise scale, in rows (McCandlish et al.
      2018, arXiv:1812.06162, appendix A.1).

    Args:
        model: The template; its functions are traced, its variables stay untouched.
        state: Arrays, or shapes and types, of one member's state.
        numbers: The same of the numbers that differ between members, by key (2,) as in lift.py.
        few: A few rows as a step takes them.
        sample: Which rows it will look at.
    """
    batches, rows = sample.batches, sample.rows
    table, given = _rows(model), (state, dict(numbers))
    missing: Missing = {name: {} for name in (*LAYER_VARIABLES, *MEMBER_VARIABLES)}
    missing["weight_norm"] |= {row.name: "it has no trainable weights" for row in table if not row.weights}
    of_batch = _traced(model, table, given, few, rows, missing)
    sized = jax.tree.map(lambda a: jax.ShapeDtypeStruct((rows, *a.shape[1:]), a.dtype), few)
    _, gradients = jax.eval_shape(of_batch, given, sized)
    why = "" if gradients else "the gradients of all weights are not seen"
    if batches < 2:
        why = why or "no two full batches of the sample can be compared"
    if why:
        missing |= {name: {WHOLE: why} for name in MEMBER_VARIABLES}

    def values_of(given: Any, batches: Any) -> Values:  # noqa: ANN401
        found = _over_batches(partial(of_batch, given), gradients, batches)
        return found | _of_weights(table, given[0])

    several = jax.tree.map(lambda a: jax.ShapeDtypeStruct((batches, *a.shape), a.dtype), sized)
    found = jax.eval_shape(values_of, given, several)
    slots = tuple((name, layer) for name, some in found.items() for layer in some)

    def measure(given: Any, batches: Any) -> jax.Array:  # noqa: ANN401
        values = values_of(given, batches)
        numbers = [jnp.asarray(values[name][layer], jnp.float32) for name, layer in slots]
        return jnp.stack(numbers) if numbers else jnp.zeros(0, jnp.float32)

    return Probe(tuple(row.name for row in table), sample, slots, missing, measure)


def _traced(
    model: keras.Model,
    table: Sequence["_Row"],
    given: tuple[MemberState, dict[str, Any]],
    few: tuple[Any, ...],
    rows: int,
    missing: Missing,
) -> Callable[[Any, Any], tuple[Values, list[jax.Array]]]:
    """`((state, numbers), batch) → values, gradients`, without the parts that cannot be traced."""
    parts = []
    for part, names in _PARTS.items():

        def one(given: Any, batch: Any, part: _Part = part) -> tuple[Values, list[jax.Array]]:  # noqa: ANN401
            with lifted(model, given[1]):
                return part(model, table, given[0], batch, missing)

        try:
            parts.append(trace(one, given, few, rows, short=False).full)
        except _UNTRACEABLE as error:
            why = f"it cannot be traced for this model ({_first_line(error)})"
            for name in names:
                missing[name] |= {row.name: why for row in table}

    def of_batch(given: Any, batch: Any) -> tuple[Values, list[jax.Array]]:  # noqa: ANN401
        found = [part(given, batch) for part in parts]
        values = {name: some for part, _ in found for name, some in part.items()}
        return values, [gradient for _, gradients in found for gradient in gradients]

    return of_batch


@dataclass(frozen=True, eq=False)
class _Row:
    """One layer of the table.

    Attributes:
        name: The user's, or the one that Keras would make up in a fresh session.
        layer: The layer.
        weights: (group of the state, position) of its weights.
        trained: Positions among the trainable variables.
        activation: How its activation is called.
        relu: Whether that is exactly zero for half of its inputs.
        range: The least and largest value of a bounded activation.
    """

    name: str
    layer: Any
    weights: list[tuple[int, int]]
    trained: list[int]
    activation: str
    relu: bool
    range: tuple[float, float] | None


def layer_names(model: keras.Model) -> tuple[str, ...]:
    """Names of the layers that probes look at."""
    return tuple(row.name for row in _rows(model))


def names_of_layers(model: keras.Model) -> dict[int, str]:
    """What probes call each layer of a model, by the layer's `id`: the same for every build of it."""
    return _names(model._flatten_layers(include_self=True))


def _rows(model: keras.Model) -> list[_Row]:
    """Layers that own weights or are activations; a recurrent layer is one, whatever cells it holds."""
    groups = (model.trainable_variables, model.non_trainable_variables)
    places = {id(v): (group, i) for group, some in enumerate(groups) for i, v in enumerate(some)}
    layers = model._flatten_layers(include_self=True)
    loops = [layer for layer in layers if isinstance(layer, keras.layers.RNN)]
    inside = {id(part) for loop in loops for part in loop._flatten_layers(include_self=False)}
    names = _names(layers)
    rows = []
    for layer in layers:
        parts = layer._flatten_layers() if isinstance(layer, keras.layers.RNN) else [layer]
        own = [v for part in parts for v in (*part._trainable_variables, *part._non_trainable_variables)]
        has_variables = any(id(v) in places for v in own)
        if id(layer) in inside or not (has_variables or isinstance(layer, _ACTIVATION_LAYERS)):
            continue
        weights = [places[id(v)] for part in parts for v in part._trainable_variables if id(v) in places]
        activation = _activation(layer)
        relu = activation in _RELUS and not isinstance(layer, keras.layers.RNN)
        trained = [i for group, i in weights if group == 0]
        rows.append(
            _Row(names[id(layer)], layer, weights, trained, activation, relu, _RANGES.get(activation))
        )
    return rows


def _names(layers: Sequence[Any]) -> dict[int, str]:
    """Name by identity: names that Keras made up count from the first layer of this model, not of the session."""
    names: dict[int, str] = {}
    made_up: dict[str, int] = {}
    for layer in layers:
        name, kind = str(layer.name), re.escape(to_snake_case(type(layer).__name__))
        # `Bidirectional` puts a word before the name of the layer that it copies.
        if found := re.fullmatch(rf"((?:forward_|backward_)?{kind})(_\d+)?", name):
            name = found[1]
            count = made_up.get(name, 0)
            made_up[name] = count + 1
            name = f"{name}_{count}" if count else name
        taken, first, again = set(names.values()), name, 1
        while name in taken:
            name, again = f"{first}_{again}", again + 1
        names[id(layer)] = name
    return names


def _activation(layer: Any) -> str:  # noqa: ANN401
    """The name of Keras' or JAX' own activation function of a layer; of anything else its type's."""
    if isinstance(layer, keras.layers.ReLU):
        return "relu" if type(layer) is keras.layers.ReLU and layer.negative_slope == 0 else "leaky_relu"
    if isinstance(layer, _ACTIVATION_LAYERS) and not isinstance(layer, keras.layers.Activation):
        return to_snake_case(type(layer).__name__)
    function = vars(layer).get("activation")
    if function is None:
        return "none"
    name = getattr(function, "__name__", None)
    known = str(getattr(function, "__module__", "")).split(".")[0] in ("keras", "jax")
    return str(name) if name and known else f"{type(function).__name__} of the user's own"


@contextmanager
def _replaced(owner: Any, name: str, stand_in: Any) -> Iterator[None]:  # noqa: ANN401
    """`owner.name` is something else while this lasts; past Keras' own bookkeeping of attributes."""
    own = vars(owner)
    had, before = name in own, own.get(name)
    own[name] = stand_in
    try:
        yield
    finally:
        if had:
            own[name] = before
        else:
            del own[name]


class _Ear:
    """Hears what functions return, unless they run inside a loop or a transformation of their own."""

    def __init__(self) -> None:
        self.heard: dict[str, list[Any]] = {}
        self.inside: set[str] = set()
        self._trace = get_opaque_trace_state()

    def at(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """The same function, overheard."""

        def overheard(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            result = function(*args, **kwargs)
            # Values of an inner trace, such as that of a scan, mean nothing outside of it.
            if get_opaque_trace_state() == self._trace:
                self.heard.setdefault(name, []).append(result)
            else:
                self.inside.add(name)
            return result

        return overheard

    def arrays(self, name: str) -> list[jax.Array]:
        """All arrays of real numbers that were heard, in single precision."""
        leaves = jax.tree.leaves(self.heard.get(name, []))
        return [a.astype(jnp.float32) for a in leaves if jnp.issubdtype(a.dtype, jnp.floating) and a.ndim]


_Part = Callable[
    [keras.Model, Sequence[_Row], MemberState, tuple[Any, ...], Missing], tuple[Values, list[jax.Array]]
]


def _of_step(
    model: keras.Model,
    table: Sequence[_Row],
    state: MemberState,
    batch: tuple[Any, ...],
    missing: Missing,
) -> tuple[Values, list[jax.Array]]:
    """Norms of gradients and of the change that a step makes, and the gradients themselves if they were seen."""
    after, gradients = _taken(model, state, batch)
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    accumulates = bool(getattr(inner, "gradient_accumulation_steps", None))
    values: Values = {"gradient_norm": {}, "update_ratio": {}}
    for row in table:
        if not row.trained:
            why = "its weights are frozen" if row.weights else "it has no trainable weights"
            missing["gradient_norm"][row.name] = missing["update_ratio"][row.name] = why
            continue
        if isinstance(gradients, str):
            missing["gradient_norm"][row.name] = gradients
        else:
            values["gradient_norm"][row.name] = _norm([gradients[i] for i in row.trained])
        if accumulates:
            missing["update_ratio"][row.name] = "gradients are accumulated, so that most steps change nothing"
            continue
        change = _norm([after[0][i] - state[0][i] for i in row.trained])
        size = _norm([state[0][i] for i in row.trained])
        values["update_ratio"][row.name] = jnp.where(size > 0, change / size, jnp.nan)
    return values, [] if isinstance(gradients, str) else gradients


def _taken(
    model: keras.Model, state: MemberState, batch: tuple[Any, ...]
) -> tuple[MemberState, list[jax.Array] | str]:
    """The state after a step, and the gradients that it handed to the optimizer, or why nobody saw them."""
    optimizer, ear = model.optimizer, _Ear()
    apply = optimizer.stateless_apply

    def heard(optimizer_variables: Any, grads: Any, trainable_variables: Any) -> Any:  # noqa: ANN401
        ear.at(lambda: (optimizer_variables, list(grads)), "gradients")()
        return apply(optimizer_variables, grads, trainable_variables)

    with _replaced(optimizer, "stateless_apply", heard):
        after, _ = step.train_step(model, state, batch)
    handed = ear.heard.get("gradients", [])
    if len(handed) != 1 or ear.inside or len(handed[0][1]) != len(state[0]):
        return (
            after,
            "the model's own train_step does not hand the gradients of all weights to its optimizer once",
        )
    variables, gradients = handed[0]
    with keras.StatelessScope(state_mapping=list(zip(optimizer.variables, variables, strict=True))):
        scale = optimizer.scale_loss(jnp.float32(1))
    return after, [gradient.astype(jnp.float32) / scale for gradient in gradients]


def _of_layers(
    model: keras.Model,
    table: Sequence[_Row],
    state: MemberState,
    batch: tuple[Any, ...],
    missing: Missing,
) -> tuple[Values, list[jax.Array]]:
    """What layers put out in training mode; XLA finds it in the step's own forward pass."""
    x, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
    training = {"training": True} if model._call_has_training_arg else {}
    outputs, activated = _Ear(), _Ear()
    with ExitStack() as undo:
        for row in table:
            layer, name = row.layer, row.name
            undo.enter_context(_replaced(layer, "call", outputs.at(layer.call, name)))
            if (row.relu or row.range) and not isinstance(layer, keras.layers.ReLU):
                undo.enter_context(_replaced(layer, "activation", activated.at(layer.activation, name)))
        model.stateless_call(state[0], state[1], x, **training)
    values: Values = {name: {} for name in ("activation_mean", "activation_std", "dead", "saturated")}
    for row in table:
        _of_layer(row, outputs, activated, values, missing)
    return values, []


def _of_layer(row: _Row, outputs: _Ear, activated: _Ear, values: Values, missing: Missing) -> None:
    """Enter one layer's line."""
    said, name = outputs.arrays(row.name), row.name
    if said:
        flat = jnp.concatenate([a.ravel() for a in said])
        values["activation_mean"][name], values["activation_std"][name] = flat.mean(), flat.std()
    else:
        why = _unheard(outputs, name, "puts out no real numbers")
        missing["activation_mean"][name] = missing["activation_std"][name] = why
    activations = said if isinstance(row.layer, keras.layers.ReLU) else activated.arrays(name)
    if isinstance(row.layer, keras.layers.RNN):
        missing["dead"][name] = missing["saturated"][name] = "its activations are computed inside a loop"
        return
    if not row.relu:
        missing["dead"][name] = f"its activation ({row.activation}) has no part that is exactly zero"
    elif activations:
        values["dead"][name] = _dead(activations, first=_channels_first(row.layer))
    else:
        missing["dead"][name] = _unheard(activated, name, "does not use its activation")
    if row.range is None:
        missing["saturated"][name] = f"its activation ({row.activation}) is not bounded on both sides"
    elif activations:
        values["saturated"][name] = _saturated(activations, row.range)
    else:
        missing["saturated"][name] = _unheard(activated, name, "does not use its activation")


def _unheard(ear: _Ear, name: str, otherwise: str) -> str:
    if name in ear.inside:
        return "it runs inside a loop or a transformation of its own"
    return (
        f"it {otherwise}" if name in ear.heard else "the model does not call it, or calls another part of it"
    )


def _channels_first(layer: Any) -> bool:  # noqa: ANN401
    return getattr(layer, "data_format", None) == "channels_first"


def _dead(activations: Sequence[jax.Array], *, first: bool) -> jax.Array:
    """Share of units that are zero throughout; a layer that is called several times lives if one call does."""
    by_width: dict[int, jax.Array] = {}
    for values in activations:
        units = jnp.moveaxis(values, 1, -1) if first else values
        dead = (units == 0).reshape(-1, units.shape[-1]).all(0)
        width = units.shape[-1]
        by_width[width] = dead & by_width[width] if width in by_width else dead
    return jnp.concatenate(list(by_width.values())).mean(dtype=jnp.float32)


def _saturated(
    activations: Sequence[jax.Array], between: tuple[float, float], *, edge: float = 0.95
) -> jax.Array:
    """Share of outputs further than `edge` (a share of half the range) from the centre of the range."""
    low, high = between
    flat = jnp.concatenate([a.ravel() for a in activations])
    return (jnp.abs(flat - (low + high) / 2) > edge * (high - low) / 2).mean(dtype=jnp.float32)


_PARTS: dict[_Part, tuple[str, ...]] = {
    _of_step: ("gradient_norm", "update_ratio"),
    _of_layers: ("activation_mean", "activation_std", "dead", "saturated"),
}


def _of_weights(table: Sequence[_Row], state: MemberState) -> Values:
    """How large weights are."""
    sized = {row.name: _norm([state[group][i] for group, i in row.weights]) for row in table if row.weights}
    return {"weight_norm": sized}


def _over_batches(
    of_batch: Callable[[Any], tuple[Values, list[jax.Array]]],
    gradients: Sequence[Any],
    batches: Any,  # noqa: ANN401
) -> Values:
    """What the first batch says, and how the gradients of several differ; one loop, so that one step is compiled."""

    def one(total: list[jax.Array], batch: Any) -> tuple[list[jax.Array], tuple[Values, jax.Array]]:  # noqa: ANN401
        values, found = of_batch(batch)
        return [a + b for a, b in zip(total, found, strict=True)], (values, _norm(found) ** 2)

    total, (values, squares) = jax.lax.scan(
        one, [jnp.zeros(g.shape, jnp.float32) for g in gradients], batches
    )
    first = jax.tree.map(lambda a: a[0], values)
    count, rows = jax.tree.leaves(batches)[0].shape[:2]
    if count < 2 or not gradients:
        return first
    together = _norm([gradient / count for gradient in total]) ** 2
    signal, noise = signal_and_noise(together, squares.mean(), count * rows, rows)
    return first | {"gradient_signal": {WHOLE: signal}, "gradient_noise": {WHOLE: noise}}


def signal_and_noise(
    large: jax.Array, small: jax.Array, large_rows: int, small_rows: int
) -> tuple[jax.Array, jax.Array]:
    """Squared norm of the true gradient, and trace of the covariance of single rows' gradients.

    Args:
        large: Squared norm of the mean gradient of many rows.
        small: The same of few rows; may be an average over several such batches.
        large_rows: How many.
        small_rows: How few.

    Returns:
        Unbiased estimates of both (McCandlish et al. 2018, equations A.2 and A.3); either may be negative by chance.

    >>> signal, noise = signal_and_noise(1.0 + 8.0 / 4, 1.0 + 8.0 / 2, 4, 2)
    >>> float(signal), float(noise)
    (1.0, 8.0)
    """
    signal = (large_rows * large - small_rows * small) / (large_rows - small_rows)
    noise = (small - large) / (1 / small_rows - 1 / large_rows)
    return signal, noise


def _norm(arrays: Sequence[jax.Array]) -> jax.Array:
    """Euclidean norm of all entries together."""
    return jnp.sqrt(sum((jnp.square(a.astype(jnp.float32)).sum() for a in arrays), jnp.float32(0)))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
