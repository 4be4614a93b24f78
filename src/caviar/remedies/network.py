"""Remedies that change how a network is put together: its last layer and loss, and its size."""

import functools
from typing import Any

import keras

from caviar.recipe.heads import loss_of, suits
from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable, Remedy
from caviar.remedies.rewrite import (
    all_layers,
    ends_of_hidden,
    flat,
    has_kernel,
    hidden_layers,
    is_chain,
    recast,
    recompiled,
    remade,
    rewired,
)

_HEADS: dict[str, tuple[str, str]] = {
    "binary": ("sigmoid", "binary_crossentropy"),
    "multiclass": ("softmax", "sparse_categorical_crossentropy"),
}
_PENALTIES = ("kernel_regularizer", "bias_regularizer", "activity_regularizer", "recurrent_regularizer")


def head(recipe: Recipe) -> Recipe:
    """Give the network the last layer, loss and target encoding that the task needs."""
    if not recipe.task:
        raise NotApplicable("the task is not known")

    def rewrite(model: keras.Model) -> keras.Model:
        outputs = recipe.n_outputs
        activation, loss = _HEADS.get(recipe.task, ("linear", None))
        *_, last = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)] or [None]
        if last is None:
            raise NotApplicable("the network does not end with a Dense layer")
        if not recipe.given and _has_head(model, last, recipe.task, outputs):
            raise NotApplicable("the last layer and the loss already suit the target")
        behind = model.layers[model.layers.index(last) + 1 :]

        def change(layer: Any, config: dict[str, Any]) -> dict[str, Any] | None:  # noqa: ANN401
            if layer is last:
                return config | {"units": outputs, "activation": activation}
            if any(layer is other for other in behind):
                return _passing_on(layer, config)
            return None

        if loss is None:
            loss = model.loss if suits(model, recipe.task) else "mean_squared_error"
        metrics = ["accuracy"] if recipe.task in _HEADS else ["mean_absolute_error"]
        return recast(model, change, loss=loss, metrics=metrics, weighted_metrics=None, loss_weights=None)

    activation, loss = _HEADS.get(recipe.task, ("linear", "a squared or absolute error"))
    words = f"{activation}, {recipe.n_outputs} output{'s' if recipe.n_outputs > 1 else ''}, {loss}"
    return recipe.changed(("last layer", words), rewrites=(*recipe.rewrites, rewrite), given=False)


def _has_head(model: keras.Model, last: Any, task: str, outputs: int) -> bool:  # noqa: ANN401
    loss, name = loss_of(model)
    if last is not model.layers[-1] or not suits(model, task):
        return False
    activation = getattr(last.activation, "__name__", "")
    if task not in _HEADS:
        return bool(last.units == outputs and activation == "linear")
    if getattr(loss, "from_logits", False):
        return bool(activation == "linear" and last.units in {outputs, 2 if task == "binary" else outputs})
    wanted = "softmax" if last.units > 1 else "sigmoid"
    kinds = "categorical" in name if last.units > 1 else "binary" in name
    return bool(
        activation == wanted and kinds and last.units in {outputs, 2 if task == "binary" else outputs}
    )


def _passing_on(layer: Any, config: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """A layer behind the last weights, made to pass on what it gets."""
    if isinstance(layer, keras.layers.Activation):
        return config | {"activation": "linear"}
    if isinstance(layer, keras.layers.Dropout):
        return config | {"rate": 0.0}
    if isinstance(layer, (keras.layers.Flatten, keras.layers.Reshape)):
        return config
    raise NotApplicable(f"{layer.name} ({type(layer).__name__}) stands behind the last layer")


def wider(recipe: Recipe, *, times: float) -> Recipe:
    """Give hidden layers more, or fewer, units."""

    def rewrite(model: keras.Model) -> keras.Model:
        hidden = hidden_layers(model)

        def change(layer: Any, config: dict[str, Any]) -> dict[str, Any] | None:  # noqa: ANN401
            if layer.name not in hidden or not isinstance(layer, keras.layers.Dense):
                return None
            return config | {"units": max(1, round(config["units"] * times))}

        return recast(model, change)

    return recipe.changed(("width", f"hidden layers times {times:g}"), rewrites=(*recipe.rewrites, rewrite))


def deeper(recipe: Recipe) -> Recipe:
    """Put one more hidden layer behind the last one, as wide as it is and with its activation."""

    def rewrite(model: keras.Model) -> keras.Model:
        model = flat(model)
        last, end = hidden_layers(model)[-1], ends_of_hidden(model)[-1]
        hidden = model.get_layer(last)
        if not isinstance(hidden, keras.layers.Dense):
            raise NotApplicable("the last hidden layer is not a Dense one")
        activation = hidden.activation
        behind = model.get_layer(end)
        if end != last and isinstance(behind, keras.layers.Activation):
            activation = behind.activation
        return rewired(
            model,
            after=lambda layer, flow: (
                keras.layers.Dense(hidden.units, activation, kernel_initializer="he_normal")(flow)
                if layer.name == end
                else flow
            ),
        )

    return recipe.changed(("depth", "one hidden layer more"), rewrites=(*recipe.rewrites, rewrite))


def shallower(recipe: Recipe) -> Recipe:
    """Take away the last hidden layer, with the activation, normalization, dropout and noise behind it."""

    def rewrite(model: keras.Model) -> keras.Model:
        model = flat(model)
        hidden = hidden_layers(model)
        if len(hidden) < 2:
            raise NotApplicable("the network has only one hidden layer")
        if not is_chain(model):
            raise NotApplicable("the layers of the network are no simple chain")
        last = model.get_layer(hidden[-1])
        if not isinstance(last, keras.layers.Dense):
            raise NotApplicable("the last hidden layer is not a Dense one")
        left_out = {last.name}
        for layer in model.layers[model.layers.index(last) + 1 :]:
            if has_kernel(layer) or layer.input.shape != layer.output.shape:
                break
            left_out.add(layer.name)
        return remade(model, without=left_out)

    return recipe.changed(("depth", "one hidden layer fewer"), rewrites=(*recipe.rewrites, rewrite))


def label_smoothing(recipe: Recipe, *, amount: float = 0.1) -> Recipe:
    """Mix each class label with the others by a tenth."""

    def rewrite(model: keras.Model) -> keras.Model:
        loss, name = loss_of(model)
        kinds = {
            "binarycrossentropy": keras.losses.BinaryCrossentropy,
            "categoricalcrossentropy": keras.losses.CategoricalCrossentropy,
        }
        kind = next((k for n, k in kinds.items() if n in name.split()), None)
        if kind is None or getattr(loss, "_fn_kwargs", {}).get("label_smoothing"):
            raise NotApplicable("the loss is no plain binary or categorical cross-entropy")
        logits = bool(getattr(loss, "_fn_kwargs", {}).get("from_logits", False))
        return recompiled(model, loss=kind(from_logits=logits, label_smoothing=amount))

    return recipe.changed(("label smoothing", f"{amount:g}"), rewrites=(*recipe.rewrites, rewrite))


def max_norm(recipe: Recipe, *, norm: float = 3.0) -> Recipe:
    """Keep the weights into each unit within a norm."""

    def rewrite(model: keras.Model) -> keras.Model:
        free = [
            layer for layer in all_layers(model) if vars(layer).get("kernel_constraint", "absent") is None
        ]
        if not free:
            raise NotApplicable("the network has no layer whose kernel is free of a constraint")
        for layer in free:
            layer.kernel_constraint = keras.constraints.MaxNorm(norm)
            if layer.built:
                layer.kernel.constraint = layer.kernel_constraint
        return model

    return recipe.changed(("max-norm", f"{norm:g}"), rewrites=(*recipe.rewrites, rewrite))


def less_regularization(recipe: Recipe) -> Recipe:
    """Take away penalties on the weights, dropout and noise."""

    def rewrite(model: keras.Model) -> keras.Model:
        changed = []

        def change(layer: Any, config: dict[str, Any]) -> dict[str, Any] | None:  # noqa: ANN401
            new: dict[str, Any] = {name: None for name in _PENALTIES if config.get(name) is not None}
            if isinstance(layer, keras.layers.Dropout) and layer.rate:
                new["rate"] = 0.0
            if isinstance(layer, keras.layers.GaussianNoise) and layer.stddev:
                new["stddev"] = 0.0
            if new:
                changed.append(layer.name)
            return config | new if new else None

        new = recast(model, change)
        if not changed:
            raise NotApplicable("the network has no penalty, dropout or noise")
        return new

    return recipe.changed(("regularization", "none"), rewrites=(*recipe.rewrites, rewrite))


NETWORK = (
    Remedy(
        "head",
        "Last layer and loss for this target",
        "head",
        "Gives the network the last activation, number of outputs, loss and target encoding that the task needs.",
        "Bishop, Pattern recognition and machine learning (2006), section 4.3.6: canonical links",
        (
            "last_activation",
            "loss_function",
            "output_shape",
            "target_encoding",
            "loss_reduction",
            "redundant_activation",
            "nan_loss",
        ),
        head,
        cures="last_activation",
        on_demand=True,
    ),
    Remedy(
        "less-regularization",
        "No penalties, no dropout",
        "less",
        "Takes away penalties on the weights, dropout and noise.",
        "Goodfellow et al., Deep learning (2016), section 11.4.1",
        ("over_regularised", "dropout_misuse", "underfitting", "not_trained"),
        less_regularization,
        cures="over_regularised",
        on_demand=True,
    ),
    Remedy(
        "wider",
        "Four times as wide",
        "width",
        "Gives hidden layers four times as many units.",
        "Goodfellow et al., Deep learning (2016), section 11.4.1; Choromanska et al., The loss surfaces of multilayer "
        "networks (2015): small networks get stuck at poor minima, by chance",
        ("capacity_too_small", "underfitting", "seed_variance"),
        functools.partial(wider, times=4.0),
        cures="capacity_too_small",
        on_demand=True,
    ),
    Remedy(
        "narrower",
        "A quarter as wide",
        "width",
        "Gives hidden layers a quarter of their units.",
        "Goodfellow et al., Deep learning (2016), section 7.8",
        ("capacity_too_large", "train_set_too_small"),
        functools.partial(wider, times=0.25),
        cures="capacity_too_large",
        on_demand=True,
    ),
    Remedy(
        "half-as-wide",
        "Half as wide",
        "width",
        "Gives hidden layers half of their units.",
        "Goodfellow et al., Deep learning (2016), section 7.8",
        ("capacity_too_large", "train_set_too_small"),
        functools.partial(wider, times=0.5),
        cures="capacity_too_large",
        on_demand=True,
    ),
    Remedy(
        "shallower",
        "One hidden layer fewer",
        "depth",
        "Takes the last hidden layer away.",
        "Goodfellow et al., Deep learning (2016), section 5.2",
        ("capacity_too_large", "train_set_too_small"),
        shallower,
        cures="capacity_too_large",
        on_demand=True,
    ),
    Remedy(
        "deeper",
        "One hidden layer more",
        "depth",
        "Puts one more hidden layer behind the last one.",
        "Goodfellow et al., Deep learning (2016), section 6.4.1",
        ("capacity_too_small", "underfitting", "missing_layer"),
        deeper,
        cures="capacity_too_small",
        on_demand=True,
    ),
    Remedy(
        "max-norm-3",
        "Max-norm 3",
        "norm",
        "Keeps the norm of the weights into each unit at 3 or less.",
        "Srivastava et al., Dropout (2014)",
        ("overfitting", "exploding_gradient"),
        max_norm,
        on_demand=True,
    ),
    Remedy(
        "label-smoothing",
        "Label smoothing 0.1",
        "labels",
        "Mixes each label with the other classes by a tenth.",
        "Szegedy et al., Rethinking the Inception architecture (2016)",
        ("overfitting", "corrupted_labels", "miscalibrated"),
        label_smoothing,
        on_demand=True,
    ),
)
