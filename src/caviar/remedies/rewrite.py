"""Changing a built model's layers: the network a person brought, with something added or set."""
# ruff: noqa: SLF001 - Keras tells how layers are connected by private names only

from collections import defaultdict
from collections.abc import Callable, Collection
from typing import Any

import keras
from keras.src.models.functional import Functional  # what keras.Model(inputs, outputs) makes

from caviar.remedies.contract import NotApplicable

# Called with each layer and its output; returns the output that goes on.
After = Callable[[Any, Any], Any]

_COMPLETING = (
    keras.layers.Activation,
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.ELU,
    keras.layers.PReLU,
)


_ADAPTED = (
    keras.layers.Normalization,
    keras.layers.Discretization,
    keras.layers.StringLookup,
    keras.layers.IntegerLookup,
    keras.layers.TextVectorization,
)


def all_layers(model: keras.Model) -> list[Any]:
    """All layers of a model, those inside nested models and wrappers too."""
    return list(model._flatten_layers(include_self=False, recursive=True))


def flat(model: keras.Model) -> keras.Model:
    """The same network without Sequential models inside it: their layers stand in their place.

    Raises:
        NotApplicable: The model is subclassed, so that its layers' order is only known to its own code; or it
            declares no input, or holds layers of equal names.
    """
    if not any(isinstance(layer, keras.Sequential) for layer in _graph(model).layers):
        return model
    return _rebuilt(model, _given, _pass_on)


def hidden_layers(model: keras.Model) -> list[str]:
    """Names of the layers with weights whose output reaches another such layer, in the model's order.

    Raises:
        NotApplicable: There is none, or the model is subclassed.
    """
    upstream: set[int] = set()
    by_depth = _graph(model)._nodes_by_depth
    for depth in sorted(by_depth):  # from the outputs back
        for node in by_depth[depth]:
            if id(node.operation) in upstream or has_kernel(node.operation):
                upstream |= {id(parent.operation) for parent in node.parent_nodes}
    hidden = [layer.name for layer in model.layers if has_kernel(layer) and id(layer) in upstream]
    if not hidden:
        raise NotApplicable("the network has no hidden layer")
    return hidden


def ends_of_hidden(model: keras.Model) -> list[str]:
    """Names of the layers that complete hidden ones: themselves, or the activation and normalisation behind."""
    behind, hidden = _behind(model), hidden_layers(model)
    return [end.name for layer in model.layers if layer.name in hidden for end in _ends(behind, layer)]


def dropout_behind(model: keras.Model) -> dict[str, float]:
    """By the name of each hidden layer that dropout follows, the rate of that dropout."""
    behind, hidden = _behind(model), hidden_layers(model)
    rates: dict[str, float] = {}
    for layer in model.layers:
        following = [other for end in _ends(behind, layer) for other in behind[id(end)]]
        dropped = [float(other.rate) for other in following if isinstance(other, keras.layers.Dropout)]
        if layer.name in hidden and any(dropped):
            rates[layer.name] = max(dropped)
    return rates


def is_chain(model: keras.Model) -> bool:
    """Whether each layer passes its output on to one other, and nothing else is computed."""
    graph = _graph(model)
    nodes = [node for depth in graph._nodes_by_depth.values() for node in depth]
    parents = [id(parent.operation) for node in nodes for parent in node.parent_nodes]
    return len(nodes) == len(graph.layers) == len(set(parents)) + 1 == len(parents) + 1


def require_without(model: keras.Model, kind: type) -> None:
    """Refuse a network that has such a layer already.

    Raises:
        NotApplicable: It has.
    """
    if any(isinstance(layer, kind) for layer in all_layers(model)):
        raise NotApplicable(f"the network already has {kind.__name__}")


def require_numbers(model: keras.Model) -> None:
    """Refuse a network whose inputs are codes.

    Raises:
        NotApplicable: It looks inputs up.
    """
    if any(isinstance(layer, keras.layers.Embedding) for layer in all_layers(model)):
        raise NotApplicable(
            "the network looks inputs up in an Embedding, where another number means another row"
        )


def rewired(
    model: keras.Model,
    *,
    after: After | None = None,
    at_input: Callable[[Any], Any] | None = None,
) -> keras.Model:
    """A new model over the layers of `model`, with some added between them, compiled in the same way.

    The layers are the very same objects, so that their weights (adapted, pretrained, or first values) stay
    what the builder made them. A layer that is used several times is passed to `after` at each use.

    Args:
        model: A Sequential or Functional model; not to be used afterwards.
        after: Called with each layer of `model` and its output; what it returns goes on.
        at_input: What the inputs pass through first.

    Raises:
        NotApplicable: The model is subclassed, so that its layers' order is only known to its own code; or it
            declares no input, or holds layers of equal names.
    """
    return _rebuilt(model, at_input or _given, after or _pass_on)


def recast(
    model: keras.Model,
    change: Callable[[Any, dict[str, Any]], dict[str, Any] | None],
    **settings: Any,  # noqa: ANN401
) -> keras.Model:
    """A new model whose layers are made again, some from a changed configuration, with new first weights.

    Args:
        model: A Sequential or Functional model; not to be used afterwards.
        change: Called with each layer and its configuration; returns another one, or None to leave the layer as it is.
        settings: What `compile` gets in place of the model's own settings.

    Raises:
        NotApplicable: The model is subclassed, or holds a layer whose numbers were set by `adapt`, and which could
            not be made again; or the changed layers do not fit together.
    """
    _refuse_adapted(model)

    def again(layer: Any) -> Any:  # noqa: ANN401
        config = layer.get_config()
        changed = None if isinstance(layer, keras.layers.InputLayer) else change(layer, config)
        return layer.__class__.from_config(config if changed is None else changed)

    _graph(model)  # refuses subclassed models in plain words
    model.compiled = (
        False  # or Keras would write down the loss and read it back, which a person's own may not survive
    )
    try:
        new = keras.models.clone_model(model, clone_function=again)
    except (ValueError, TypeError) as error:
        reason = (str(error).strip().splitlines() or ["no reason given"])[0].rstrip(".")
        raise NotApplicable(f"Keras cannot make its layers anew ({reason})") from error
    _compile_like(new, model, settings)
    return new


def remade(
    model: keras.Model,
    *,
    at_input: Callable[[Any], Any] | None = None,
    make: Callable[[Any], Any | None] | None = None,
    without: Collection[str] = (),
) -> keras.Model:
    """A new model whose layers are made again, so that their inputs may have another width; first weights are new.

    Args:
        model: A Sequential or Functional model; not to be used afterwards.
        at_input: What the inputs pass through first.
        make: Called with each layer; returns what takes its place, or None for one like it.
        without: Names of layers that are left out; what they were given goes on.

    Raises:
        NotApplicable: The model is subclassed, or holds a layer whose numbers were set by `adapt`, and which could
            not be made again; or the new layers do not fit together.
    """
    _refuse_adapted(model)
    new: dict[int, Any] = {}

    def again(operation: Any) -> Any:  # noqa: ANN401
        if operation.name in without:
            return _left_out
        if not isinstance(operation, keras.layers.Layer):
            return operation
        if id(operation) not in new:  # a layer that is used several times stays one
            made = make(operation) if make else None
            new[id(operation)] = made or operation.__class__.from_config(operation.get_config())
        return new[id(operation)]

    return _rebuilt(flat(model), at_input or _given, _pass_on, again)


def recompiled(model: keras.Model, **settings: Any) -> keras.Model:  # noqa: ANN401
    """The same model, compiled with some other settings."""
    _compile_like(model, model, settings)
    return model


def take_off_activation(layer: Any) -> Any | None:  # noqa: ANN401
    """Take a layer's activation off it, and the bias that a normalisation would cancel; its kernel stays.

    Returns the activation, or None where the layer has none of its own to give (as recurrent layers).
    """
    if not {"activation", "use_bias"} <= vars(layer).keys():
        return None
    activation, layer.activation = layer.activation, keras.activations.linear
    if getattr(layer, "bias", None) is not None:
        layer._untrack_variable(layer.bias)
        layer.bias = None
    layer.use_bias = False
    return None if activation is keras.activations.linear else activation


def _pass_on(_: Any, flow: Any) -> Any:  # noqa: ANN401
    return flow


def _given(value: Any) -> Any:  # noqa: ANN401
    return value


def _left_out(flow: Any, **_: Any) -> Any:  # noqa: ANN401 - Keras also passes masks on
    return flow


def _behind(model: keras.Model) -> dict[int, list[Any]]:
    """By the identity of each operation, those that its output goes to."""
    behind = defaultdict(list)
    for nodes in _graph(model)._nodes_by_depth.values():
        for node in nodes:
            for parent in node.parent_nodes:
                behind[id(parent.operation)].append(node.operation)
    return behind


def _ends(behind: dict[int, list[Any]], operation: Any) -> list[Any]:  # noqa: ANN401
    """What completes an operation: itself, or the activation and normalisation behind."""
    following = behind[id(operation)]
    if not following or not all(isinstance(other, _COMPLETING) for other in following):
        return [operation]
    return [end for other in following for end in _ends(behind, other)]


def _refuse_adapted(model: keras.Model) -> None:
    if any(isinstance(layer, _ADAPTED) for layer in all_layers(model)):
        raise NotApplicable("the network holds a layer that was adapted to data, and cannot be made anew")


def _rebuilt(
    model: keras.Model,
    at_input: Callable[[Any], Any],
    after: After,
    again: Callable[[Any], Any] = _given,
) -> keras.Model:
    graph = _graph(model)

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if not isinstance(operation, keras.Sequential):
            return after(operation, operation(*args, **kwargs))
        (flow,) = args
        for layer in operation.layers:
            flow = call(layer, flow)
        return flow

    inputs = keras.tree.map_structure(
        lambda x: keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name), graph.input
    )
    try:
        outputs = graph._run_through_graph(
            keras.tree.map_structure(at_input, inputs), operation_fn=again, call_fn=call
        )
        new = keras.Model(inputs, outputs, name=model.name)
    # Such as two layers of one name, once in blocks of their own, or a layer without a get_config.
    except (ValueError, TypeError, NotImplementedError) as error:
        reason = (str(error).strip().splitlines() or ["no reason given"])[0].rstrip(".")
        raise NotApplicable(f"Keras cannot connect its layers anew ({reason})") from error
    _compile_like(new, model)
    return new


def _graph(model: keras.Model) -> Any:  # noqa: ANN401
    """What knows how a model's layers are connected."""
    if isinstance(model, keras.Sequential):
        if model._functional is None:
            raise NotApplicable("the network declares no input; start it with keras.Input((n_inputs,))")
        return model._functional
    if type(model) not in {Functional, keras.Model} or not isinstance(model, Functional):
        raise NotApplicable(
            "the network is a subclassed keras.Model, whose layers cannot be changed from outside"
        )
    return model


def _compile_like(new: keras.Model, model: keras.Model, changed: dict[str, Any] | None = None) -> None:
    """Compile with the very objects the person passed; only an optimizer that already trained is made anew."""
    settings = dict(model._compile_config.config) | (changed or {})
    optimizer = (changed or {}).get("optimizer", model.optimizer)
    if optimizer.built:  # it holds the state of another set of variables
        optimizer = optimizer.__class__.from_config(optimizer.get_config())
    # Where losses are to be scaled, the optimizer already does it.
    new.compile(**settings | {"optimizer": optimizer, "auto_scale_loss": False})


def has_kernel(layer: Any) -> bool:  # noqa: ANN401
    """Whether a layer, or one inside it, has weights that multiply its inputs."""
    inner = all_layers(layer) if isinstance(layer, keras.layers.Layer) else []
    return any(hasattr(part, "kernel_initializer") or hasattr(part, "kernel") for part in (layer, *inner))
