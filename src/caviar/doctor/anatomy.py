"""What a compiled model is made of, as it begins: layers, first weights, loss, optimizer."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from caviar.diagnose.facts import LayerFacts, ModelFacts
from caviar.population.callbacks import rate_variable
from caviar.population.probe import names_of_layers
from caviar.population.template import build_on_inputs
from caviar.recipe.recipe import Recipe

_MOST_ROWS = 256
_DRAWS = 5
"""First weights that are drawn, to see how far the loss before the first step depends on them."""
_ACTIVATION_LAYERS = {
    "ReLU": "relu",
    "Softmax": "softmax",
    "LeakyReLU": "leaky_relu",
    "ELU": "elu",
    "PReLU": "prelu",
}


def model_facts(
    recipe: Recipe, build: Callable[[], keras.Model], batch: tuple[Any, ...], rows: int
) -> ModelFacts:
    """What a recipe's model is made of, as it begins.

    Args:
        recipe: Whose batch size counts.
        build: Returns its compiled model.
        batch: `(x, y)` or `(x, y, sample_weight)`, some rows of a training.
        rows: How many rows a member trains on.
    """
    # Rows may lie in the order of their target: some of all parts.
    some = np.linspace(0, len(batch[0]) - 1, min(len(batch[0]), _MOST_ROWS)).round().astype(int)
    few = tuple(values[some] for values in batch[:2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Keras warns of here, checks say in full
        model = build_on_inputs(build, few[0], seed=1)
        outputs = keras.ops.convert_to_numpy(model(few[0], training=False))
    names = names_of_layers(model)
    layers = tuple(_layer(layer, names.get(id(layer), layer.name)) for layer in _leaves(model))
    whole, single = _losses(model, outputs, few[1])
    rate = rate_variable(model)
    optimizer = model.optimizer
    return ModelFacts(
        layers=layers,
        last_activation=_last_activation(model, layers),
        outputs=int(np.prod(outputs.shape[1:])),
        loss=_loss_name(model.loss),
        from_logits=bool(_loss_setting(model.loss, "from_logits")),
        loss_of_batch=whole,
        loss_of_rows=single,
        optimizer=type(getattr(optimizer, "inner_optimizer", optimizer)).__name__,
        rate=None if rate is None else float(keras.ops.convert_to_numpy(rate)),
        metrics=tuple(str(getattr(m, "name", m)) for m in _metrics(model)),
        parameters=int(sum(np.prod(v.shape) for v in model.trainable_variables)),
        batch_size=recipe.batch_size,
        rows=rows,
        first_losses=_first_losses(build, model, few),
        custom=_own_code(model, {layer: names.get(id(layer), layer.name) for layer in _leaves(model)}),
    )


def _first_losses(
    build: Callable[[], keras.Model], first: keras.Model, batch: tuple[Any, ...]
) -> tuple[float, ...]:
    """Loss of some rows before the first step (draw,), by the first model and by some with other first weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        models = [first, *(build_on_inputs(build, batch[0], seed=1 + i) for i in range(1, _DRAWS))]
        outputs = [keras.ops.convert_to_numpy(model(batch[0], training=False)) for model in models]
    return tuple(
        _losses(model, said, batch[1], most=_MOST_ROWS, alone=False)[0]
        for model, said in zip(models, outputs, strict=True)
    )


def _leaves(model: keras.Model) -> list[Any]:
    """Layers of a model in its order, those of nested models in their place."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += _leaves(layer)
        elif not isinstance(layer, keras.layers.InputLayer):
            found.append(layer)
    return found


def _layer(layer: Any, name: str) -> LayerFacts:  # noqa: ANN401
    kernel = next((v for v in layer.trainable_variables if v.name.endswith("kernel")), None)
    values = np.zeros(0) if kernel is None else keras.ops.convert_to_numpy(kernel)
    values = values.reshape(-1, values.shape[-1]) if values.size else np.zeros((0, 0))
    regularizer = getattr(layer, "kernel_regularizer", None)
    factors = [float(getattr(regularizer, name, 0.0) or 0.0) for name in ("l1", "l2")]
    is_dropout = isinstance(layer, (keras.layers.Dropout, keras.layers.AlphaDropout))
    initializer = getattr(layer, "kernel_initializer", None)
    return LayerFacts(
        name=name,
        kind=type(layer).__name__,
        units=getattr(layer, "units", getattr(layer, "filters", None)),
        activation=_activation_name(layer),
        initializer=type(initializer).__name__ if initializer is not None else "",
        fans=(values.shape[0], values.shape[1]) if values.size else (0, 0),
        deviation=float(values.std()) if values.size else 0.0,
        mean=float(values.mean()) if values.size else 0.0,
        rate=float(layer.rate) if is_dropout else 0.0,
        penalty=max(factors),
        has_bias=bool(getattr(layer, "use_bias", False)),
    )


def _activation_name(layer: Any) -> str:  # noqa: ANN401
    kind = type(layer).__name__
    if kind in _ACTIVATION_LAYERS:
        return _ACTIVATION_LAYERS[kind]
    activation = getattr(layer, "activation", None)
    if activation is None:
        return "linear" if kind == "Dense" else ""
    return str(getattr(activation, "__name__", type(activation).__name__)).lower()


def _last_activation(model: keras.Model, layers: Sequence[LayerFacts]) -> str:
    if getattr(model, "inputs", None) is None:  # subclassed: only its own code knows what comes last
        return ""
    for layer in reversed(layers):
        if layer.activation and layer.activation != "linear":
            return layer.activation
        if layer.has_kernel:
            return layer.activation
    return ""


def _loss_name(loss: Any) -> str:  # noqa: ANN401
    names = (
        [loss]
        if isinstance(loss, str)
        else [type(loss).__name__, getattr(loss, "name", ""), getattr(loss, "__name__", "")]
    )
    plain = " ".join(map(str, names)).lower().replace("_", "")
    short = {"mse": "meansquarederror", "mae": "meanabsoluteerror", "bce": "binarycrossentropy"}
    return short.get(plain, plain)


def _loss_setting(loss: Any, name: str) -> Any:  # noqa: ANN401
    return getattr(loss, name, None) or getattr(loss, "_fn_kwargs", {}).get(name)


def _metrics(model: keras.Model) -> list[Any]:
    compiled = getattr(model, "_compile_metrics", None)
    wanted = getattr(compiled, "_user_metrics", None) or []
    return [m for m in keras.tree.flatten(wanted) if m is not None]


def _own_code(model: keras.Model, names: dict[Any, str]) -> tuple[str, ...]:
    """What of a model a person wrote, as far as gradients pass through it; a subclass that only calls is not."""

    def is_own(code: Any) -> bool:  # noqa: ANN401
        known = ("keras.", "jax.", "builtins")
        return code is not None and not str(getattr(code, "__module__", "") or "jax.").startswith(known)

    own = [f"the layer {name}" for layer, name in names.items() if is_own(type(layer))]
    for layer, name in names.items():
        activation = getattr(layer, "activation", None)
        if is_own(activation if hasattr(activation, "__name__") else type(activation)):
            own.append(f"the activation of {name}")
    losses = [loss for loss in keras.tree.flatten(model.loss) if not isinstance(loss, str)]
    if any(is_own(loss if hasattr(loss, "__name__") else type(loss)) for loss in losses):
        own.append("the loss")
    if is_own(type(model).train_step):
        own.append("the training step")
    return tuple(own)


def _losses(
    model: keras.Model, outputs: np.ndarray, y: np.ndarray, *, most: int = 32, alone: bool = True
) -> tuple[float, float]:
    """Loss of some rows together, and, if asked for, the mean of their losses one by one; NaN where that fails."""
    loss = model.loss
    if isinstance(loss, (list, tuple, dict)) or loss is None:
        return float("nan"), float("nan")
    loss = keras.losses.get(loss)
    outputs, target = outputs[:most], np.asarray(y[:most])
    try:
        together = float(np.mean(keras.ops.convert_to_numpy(loss(target, outputs))))
        singly = [
            float(np.mean(keras.ops.convert_to_numpy(loss(target[i : i + 1], outputs[i : i + 1]))))
            for i in range(len(outputs) if alone else 0)
        ]
    except Exception:  # noqa: BLE001 - a loss may refuse these shapes in any way; training will tell
        return float("nan"), float("nan")
    return together, float(np.mean(singly)) if alone else float("nan")
