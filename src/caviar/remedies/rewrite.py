"""Changing a built model's layers: the network a person brought, with something added or set."""

from collections.abc import Callable
from typing import Any

import keras
from keras.src.models.functional import Functional  # what keras.Model(inputs, outputs) makes

from caviar.remedies.contract import NotApplicable

# Called with each layer and its output; returns the output that goes on.
After = Callable[[Any, Any], Any]


def hidden_layers(model: keras.Model) -> list[str]:
    """Names of the layers with weights that are followed by another such layer."""
    weighted = [layer.name for layer in model.layers if _has_kernel(layer)]
    return weighted[:-1]


def rewired(
    model: keras.Model,
    *,
    change: Callable[[Any], Any] | None = None,
    after: After | None = None,
    at_input: Callable[[Any], Any] | None = None,
) -> keras.Model:
    """A new model over the layers of `model`, with some replaced or added, compiled in the same way.

    Layers that stay are the very same objects, so that their weights (adapted, pretrained, or first values)
    stay what the builder made them.

    Args:
        model: A Sequential or Functional model; not to be used afterwards.
        change: What takes the place of a layer; by default itself.
        after: Called with each layer of `model` and its output; what it returns goes on.
        at_input: What the inputs pass through first.

    Raises:
        NotApplicable: The model is subclassed, so that its layers' order is only known to its own code.
    """
    change = change or (lambda layer: layer)
    after = after or (lambda _, flow: flow)
    if isinstance(model, keras.Sequential):
        new = _rewired_sequential(model, change, after, at_input)
    elif isinstance(model, Functional) and type(model) in {Functional, keras.Model}:
        new = _rewired_functional(model, change, after, at_input)
    else:
        raise NotApplicable(
            "the network is a subclassed keras.Model, whose layers cannot be changed from outside"
        )
    _compile_like(new, model)
    return new


def _rewired_sequential(
    model: keras.Sequential,
    change: Callable[[Any], Any],
    after: After,
    at_input: Callable[[Any], Any] | None,
) -> keras.Model:
    if not model.built or not model.inputs:
        raise NotApplicable("the network declares no input; start it with keras.Input((n_inputs,))")
    inputs = keras.Input(batch_shape=model.inputs[0].shape, dtype=model.inputs[0].dtype)
    flow = at_input(inputs) if at_input else inputs
    for layer in model.layers:
        flow = after(layer, change(layer)(flow))
    return keras.Model(inputs, flow)


def _rewired_functional(
    model: keras.Model,
    change: Callable[[Any], Any],
    after: After,
    at_input: Callable[[Any], Any] | None,
) -> keras.Model:
    original: dict[int, Any] = {}
    entered = False

    def clone_one(layer: Any) -> Any:  # noqa: ANN401
        new = change(layer)
        original[id(new)] = layer
        return new

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        nonlocal entered
        if at_input is not None and not entered and args:
            entered = True
            args = (at_input(args[0]), *args[1:])
        return after(original[id(layer)], layer(*args, **kwargs))

    return keras.models.clone_model(model, clone_function=clone_one, call_function=call)


def _compile_like(new: keras.Model, model: keras.Model) -> None:
    """Compile with the very objects the person passed, but a fresh optimizer of the same settings."""
    settings = dict(model._compile_config.config)
    optimizer = model.optimizer
    settings["optimizer"] = optimizer.__class__.from_config(optimizer.get_config())
    new.compile(**settings)


def _has_kernel(layer: Any) -> bool:  # noqa: ANN401
    return hasattr(layer, "kernel_initializer") or hasattr(layer, "kernel")
