"""Which recipes may share a program although their hidden layers differ in width? Narrow layers fit into wide ones.

What a narrow layer does not have is filled up with zeros. A unit whose weights are zero says nothing, if its activation
is zero at zero, and nobody listens to it; so its weights get no gradient, and an optimizer that treats every weight by
itself leaves them zero. What that means for first values and dropout masks is in narrow.py.
"""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import jax
import keras
import numpy as np
from keras import activations, constraints, initializers, layers, optimizers, regularizers
from keras.src.models.functional import Functional  # the gate to Keras' internals

from caviar.population.lift import WIDTH, numbers
from caviar.population.narrow import DRAWN
from caviar.population.template import CHANGING_KERAS, Build, call_builder, ready

# Zero at zero, so that a unit without weights is silent.
_SILENT = {
    *(activations.linear, activations.relu, activations.relu6, activations.leaky_relu, activations.elu),
    *(activations.selu, activations.celu, activations.gelu, activations.silu, activations.mish),
    *(activations.tanh, activations.hard_tanh, activations.softsign, activations.hard_silu),
}
_SILENT_LAYERS = (layers.ReLU, layers.LeakyReLU, layers.ELU)
# Every weight is treated by itself, and stays zero if it is zero and has no gradient.
_OPTIMIZERS = (
    *(optimizers.SGD, optimizers.Adam, optimizers.AdamW, optimizers.Adamax, optimizers.Nadam),
    *(optimizers.RMSprop, optimizers.Adagrad, optimizers.Adadelta, optimizers.Lion),
)
_PENALTIES = (type(None), regularizers.L1, regularizers.L2, regularizers.L1L2)
_CONSTRAINTS = (
    *(type(None), constraints.MaxNorm, constraints.MinMaxNorm, constraints.NonNeg, constraints.UnitNorm),
)
_SAME = (initializers.Zeros, initializers.Ones, initializers.Constant)


def widths(model: keras.Model) -> tuple[int, ...]:
    """Units of the hidden layers of a model that may lie in a wider one.

    That is a chain of dense layers with what stands between them: activations that are zero at zero, dropout, batch
    normalization.

    Args:
        model: Compiled, with all its variables created.

    Returns:
        Units of each dense layer but the last; nothing for any other model.

    >>> dense = keras.layers.Dense
    >>> model = keras.Sequential([keras.Input((3,)), dense(8, "relu"), dense(4, "tanh"), dense(1, "sigmoid")])
    >>> model.compile("adam", "binary_crossentropy")
    >>> widths(model)
    (8, 4)
    """
    between = _between(model)
    if not between or type(model.optimizer) not in _OPTIMIZERS or divides_by_zero(numbers(model)):
        return ()
    if not jax.config.jax_threefry_partitionable:  # a number that is drawn would depend on how many are
        return ()
    if not all(_stays_zero(layer, is_last=layer is between[-1]) for layer in between):
        return ()
    return tuple(layer.units for layer in between[:-1] if isinstance(layer, layers.Dense))


def divides_by_zero(numbers: Mapping[str, float]) -> bool:
    """Whether a spread of zero, which is that of what fills a layer up, is divided by in single precision."""
    least = np.finfo(np.float32).tiny
    return any(key.endswith(".epsilon") and not value >= least for key, value in numbers.items())


def beside(model: keras.Model) -> tuple[tuple[int, ...], ...]:
    """Shapes of what is no hidden layer: outputs of the last dense layer, and weights of layers around the chain."""
    between = _between(model)
    around = [layer for layer in model.layers if layer not in between]
    return (between[-1].units,), *(tuple(weight.shape) for layer in around for weight in layer.weights)


def _between(model: keras.Model) -> list[Any]:
    """The layers of a chain from the first dense one to the last, if they see rows of numbers."""
    chain = model.layers if isinstance(model, keras.Sequential | Functional) else []
    if not chain or not _is_chain(model, chain) or len(model.input_shape) != 2:
        return []
    dense = [i for i, layer in enumerate(chain) if type(layer) is layers.Dense]
    if len(dense) < 2 or any(len(chain[i].get_build_config()["input_shape"]) != 2 for i in dense):
        return []
    return chain[dense[0] : dense[-1] + 1]


def _is_chain(model: keras.Model, chain: Sequence[Any]) -> bool:
    # A sequence that takes several arrays has no shape of inputs at all.
    if not isinstance(getattr(model, "input_shape", None), tuple) or any(
        isinstance(layer, keras.Model) for layer in chain
    ):
        return False
    if isinstance(model, keras.Sequential):
        return True
    if len(model.operations) > len(chain):  # some are no layers, and may look at a hidden one
        return False
    for before, layer in pairwise(chain):
        nodes = layer._inbound_nodes
        if len(nodes) != 1 or len(nodes[0].input_tensors) != 1 or len(before._inbound_nodes) != 1:
            return False
        if nodes[0].input_tensors[0] is not before._inbound_nodes[0].output_tensors[0]:
            return False
    return True


def _stays_zero(layer: Any, *, is_last: bool) -> bool:  # noqa: ANN401
    """Whether what fills a layer up stays zero, and changes nothing of what is its own."""
    is_single = layer.compute_dtype == layer.variable_dtype == "float32"
    if not is_single or type(layer.activity_regularizer) not in _PENALTIES:
        return False
    if type(layer) is layers.Dense:
        silent = is_last or (_is_silent(layer.activation) and layer.activity_regularizer is None)
        kinds = (layer.kernel_initializer, layer.bias_initializer)
        return silent and all(type(kind) in (*DRAWN, *_SAME) for kind in kinds) and _is_plain(layer)
    if type(layer) is layers.BatchNormalization:
        kinds = (layer.gamma_initializer, layer.beta_initializer)
        usual = layer.axis in (-1, 1) and not layer.synchronized
        return usual and all(type(kind) in _SAME for kind in kinds) and _is_plain(layer)
    if type(layer) is layers.Dropout:
        return layer.noise_shape is None
    if type(layer) is layers.Activation:
        return _is_silent(layer.activation)
    return type(layer) in _SILENT_LAYERS and not getattr(layer, "threshold", 0)


def _is_silent(activation: Any) -> bool:  # noqa: ANN401 - what can be called, also what has no hash
    return any(activation is one for one in _SILENT)


def _is_plain(layer: Any) -> bool:  # noqa: ANN401
    def own(ending: str) -> Iterator[type]:
        return (type(value) for name, value in vars(layer).items() if name.endswith(ending))

    return (
        all(kind in _PENALTIES for kind in own("_regularizer"))
        and all(kind in _CONSTRAINTS for kind in own("_constraint"))
        and not getattr(layer, "lora_enabled", False)
        and getattr(layer, "quantization_mode", None) is None
    )


# Attributes of Keras' parts that follow from widths.
_SIZES = {"units", "_shape", "_build_shapes_dict", "axes"}


def differ_in_widths(one: str, other: str, pairs: set[tuple[int, int]]) -> bool:
    """Whether two structures are equal but for the widths of hidden layers.

    Args:
        one: From `structure`.
        other: Likewise.
        pairs: Each hidden layer's width in the one and in the other.
    """
    if one == other:
        return True
    *same, first, program = json.loads(one)
    *same_too, first_too, program_too = json.loads(other)
    return (
        same == same_too
        and _equal(first, first_too, pairs, sized=True)
        and _equal(program, program_too, pairs, sized=False)
    )


def _equal(one: Any, other: Any, pairs: set[tuple[int, int]], *, sized: bool) -> bool:  # noqa: ANN401 - JSON
    """Whether two descriptions are equal; where sizes stand, an integer may be a pair of widths."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(
            _equal(a, b, pairs, sized=sized) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            _equal(one[name], other[name], pairs, sized=sized or name in _SIZES) for name in one
        )
    return bool(one == other) or (sized and type(one) is int and (one, other) in pairs)


def widened(build: Build, units: Sequence[int], batch: tuple[Any, ...]) -> Build:
    """A builder of the same model with wider hidden layers: its dense layers get other units as they are built.

    Whether that order was the right one is for the caller to see: structures must then differ in widths only.

    Args:
        build: Of a model that has `widths`.
        units: Of each hidden layer.
        batch: A few rows that fix shapes and types.
    """

    def wide() -> keras.Model:
        mine, own, left = threading.get_ident(), layers.Dense.build, iter(units)

        def build_wide(self: Any, input_shape: Any) -> None:  # noqa: ANN401
            if threading.get_ident() == mine:
                self.units = next(left, self.units)
            own(self, input_shape)

        layers.Dense.build = build_wide
        try:
            model = call_builder(build)
            if not all(layer.built for layer in model.layers):
                ready(model, batch)
            return model
        finally:
            layers.Dense.build = own

    def alone() -> keras.Model:
        with CHANGING_KERAS:
            return wide()

    return alone


def dropout_widths(model: keras.Model) -> dict[str, float]:
    """Units that the dropout layers between hidden layers see: numbers that a member brings (`lift.lifted`)."""
    found, units = {}, 0
    for layer in _between(model):
        if isinstance(layer, layers.Dense):
            units = layer.units
        elif isinstance(layer, layers.Dropout) and 0 < layer.rate < 1:  # no mask is drawn at its ends
            found[f"{WIDTH}{model.layers.index(layer)}"] = float(units)
    return found
