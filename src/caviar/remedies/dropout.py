"""Remedies that drop units at random, and what their authors recommend beside it."""

import functools
from typing import Any

import keras

from caviar.population.callbacks import rate_variable
from caviar.recipe.recipe import Recipe, Rewrite
from caviar.remedies.contract import NotApplicable, Remedy
from caviar.remedies.network import max_norm, wider
from caviar.remedies.rewrite import (
    dropout_behind,
    ends_of_hidden,
    flat,
    recast,
    recompiled,
    require_numbers,
    require_without,
    rewired,
)


def dropout(recipe: Recipe, *, rate: float = 0.0, visible: float = 0.0) -> Recipe:
    """Drop hidden units after each hidden layer's activation, or inputs, or both.

    Args:
        recipe: What is changed.
        rate: Share of the hidden units to drop; 0 for none.
        visible: Share of the inputs to drop; 0 for none. A dropped input is 0, which says nothing only where 0 is the
            middle of its values: inputs must be scaled, by the recipe or by the network.
    """
    scaled = recipe.preparation.scaling != "none"

    def rewrite(model: keras.Model) -> keras.Model:
        require_without(model, keras.layers.Dropout)
        model = flat(model)
        behind = dict.fromkeys(ends_of_hidden(model), rate) if rate else {}
        at_input = None
        if visible:
            require_numbers(model)
            if scaled:
                at_input = keras.layers.Dropout(visible)
            else:
                behind |= dict.fromkeys(_scalers(model), visible)
        return rewired(
            model,
            at_input=at_input,
            after=lambda layer, flow: (
                keras.layers.Dropout(behind[layer.name])(flow) if layer.name in behind else flow
            ),
        )

    parts = [f"{rate:g} after hidden layers"] * bool(rate) + [f"{visible:g} of the inputs"] * bool(visible)
    return recipe.changed(("dropout", " and ".join(parts)), rewrites=(*recipe.rewrites, rewrite))


def _scalers(model: keras.Model) -> list[str]:
    names = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Normalization)]
    if not names:
        raise NotApplicable(
            "the inputs are not scaled, so that a dropped one would pass for an unusual value"
        )
    return names


def recommended(recipe: Recipe, *, rate: float = 0.5, visible: float = 0.2) -> Recipe:
    """Dropout with all that its authors recommend beside it: wider layers, longer steps, momentum, bounded weights.

    Momentum belongs to stochastic gradient descent alone, and bounds to weights that have none.

    Args:
        recipe: What is changed.
        rate: Share of the hidden units to drop.
        visible: Share of the inputs to drop.
    """
    wide, fast, heavy, bounded, dropped = (
        part(recipe).rewrites[-1]
        for part in (
            functools.partial(wider, times=1 / (1 - rate)),
            longer_steps,
            momentum,
            max_norm,
            functools.partial(dropout, rate=rate, visible=visible),
        )
    )
    rewrites = (*recipe.rewrites, wide, fast, _if_possible(heavy), _if_possible(bounded), dropped)
    words = f"{rate:g} after hidden layers and {visible:g} of the inputs, with all that its authors recommend"
    return recipe.changed(("dropout", words), rewrites=rewrites)


def _if_possible(rewrite: Rewrite) -> Rewrite:
    def where_it_applies(model: keras.Model) -> keras.Model:
        try:
            return rewrite(model)
        except NotApplicable:
            return model

    return where_it_applies


def longer_steps(recipe: Recipe, *, by: float = 10.0, most: float = 0.1, adaptive: float = 0.01) -> Recipe:
    """Take a much higher learning rate: dropout makes gradients noisy, and many of them cancel.

    Args:
        recipe: What is changed.
        by: The rate is multiplied by it: Srivastava et al. recommend 10 to 100.
        most: The rate of plain stochastic gradient descent goes no higher, if it was not higher before.
        adaptive: The same for all other optimizers, whose steps do not shrink with the gradient.
    """

    def rewrite(model: keras.Model) -> keras.Model:
        rate = rate_variable(model)
        if rate is None:
            raise NotApplicable("the optimizer has a learning-rate schedule of its own")
        now = float(keras.ops.convert_to_numpy(rate))
        bound = most if isinstance(model.optimizer, keras.optimizers.SGD) else adaptive
        new = min(by * now, max(now, bound))
        if new == now:
            raise NotApplicable(f"the learning rate is already {now:g}")
        model.optimizer.learning_rate = new
        return model

    words = f"times {by:g}, to {most:g} at most (with SGD; else {adaptive:g})"
    return recipe.changed(("learning rate", words), rewrites=(*recipe.rewrites, rewrite))


def momentum(recipe: Recipe, *, amount: float = 0.95) -> Recipe:
    """Give stochastic gradient descent a high momentum."""

    def rewrite(model: keras.Model) -> keras.Model:
        optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
        if not isinstance(optimizer, keras.optimizers.SGD):
            raise NotApplicable("the optimizer is not SGD, which alone has a plain momentum")
        if optimizer.momentum >= amount:
            raise NotApplicable(f"the momentum is already {optimizer.momentum:g}")
        optimizer.momentum = amount
        return recompiled(model)

    return recipe.changed(("momentum", f"{amount:g}"), rewrites=(*recipe.rewrites, rewrite))


def as_many_left(recipe: Recipe, *, most: float = 10.0) -> Recipe:
    """Widen each hidden layer that dropout follows, so that as many units are left as it had without dropout.

    Args:
        recipe: What is changed.
        most: No layer becomes wider than so many times its width.
    """

    def rewrite(model: keras.Model) -> keras.Model:
        model = flat(model)
        rates = _rates_of_dropout(model)
        if all(not isinstance(model.get_layer(name), keras.layers.Dense) for name in rates):
            raise NotApplicable("dropout follows no dense layer")

        def change(layer: Any, config: dict[str, Any]) -> dict[str, Any] | None:  # noqa: ANN401
            if layer.name not in rates or not isinstance(layer, keras.layers.Dense):
                return None
            return config | {"units": round(config["units"] / max(1 / most, 1 - rates[layer.name]))}

        return recast(model, change)

    words = "hidden layers divided by the share that dropout leaves"
    return recipe.changed(("width", words), rewrites=(*recipe.rewrites, rewrite))


def longer_steps_with_dropout(recipe: Recipe) -> Recipe:
    """Take a much higher learning rate where the network has dropout."""
    changed = longer_steps(recipe)
    higher = changed.rewrites[-1]

    def rewrite(model: keras.Model) -> keras.Model:
        _rates_of_dropout(flat(model))
        return higher(model)

    return recipe.changed(changed.changes[-1], rewrites=(*recipe.rewrites, rewrite))


def _rates_of_dropout(model: keras.Model) -> dict[str, float]:
    rates = dropout_behind(model)
    if not rates:
        raise NotApplicable("the network has no dropout after a hidden layer")
    return rates


_SRIVASTAVA = "Srivastava et al., Dropout (2014)"
_TIPS = f"{_SRIVASTAVA}, appendix A"

DROPOUT = (
    Remedy(
        "dropout-0.2",
        "Dropout 20 %",
        "dropout",
        "Drops a fifth of the hidden units in every training step.",
        _SRIVASTAVA,
        ("overfitting", "missing_regularisation"),
        functools.partial(dropout, rate=0.2),
        cures="overfitting",
    ),
    Remedy(
        "dropout-0.5",
        "Dropout 50 %",
        "dropout",
        "Drops half of the hidden units in every training step.",
        _SRIVASTAVA,
        ("overfitting", "missing_regularisation"),
        functools.partial(dropout, rate=0.5),
        cures="overfitting",
    ),
    Remedy(
        "dropout-recommended",
        "Dropout as its authors recommend",
        "dropout",
        "Drops half of the hidden units and a fifth of the inputs in every step, doubles the width, takes ten times "
        "the learning rate within bounds, momentum 0.95 with SGD, and keeps the norm of weights at 3 or less.",
        _TIPS,
        ("overfitting",),
        recommended,
        on_demand=True,
    ),
    Remedy(
        "dropout-both",
        "Dropout 50 % and 20 % of the inputs",
        "dropout",
        "Drops half of the hidden units and a fifth of the inputs in every training step.",
        _SRIVASTAVA,
        ("overfitting",),
        functools.partial(dropout, rate=0.5, visible=0.2),
        on_demand=True,
    ),
    Remedy(
        "dropout-inputs",
        "Dropout 20 % of the inputs",
        "dropout",
        "Drops a fifth of the inputs in every training step.",
        _SRIVASTAVA,
        ("overfitting",),
        functools.partial(dropout, visible=0.2),
        on_demand=True,
    ),
)

BESIDE_DROPOUT = (
    Remedy(
        "dropout-width",
        "Wider where dropout thins",
        "width",
        "Gives hidden layers that dropout follows so many units that as many are left as without dropout.",
        _TIPS,
        ("underfitting", "capacity_too_small"),
        as_many_left,
        on_demand=True,
    ),
    Remedy(
        "dropout-rate",
        "Ten times the rate with dropout",
        "rate",
        "Takes ten times the learning rate, within bounds, where the network has dropout.",
        _TIPS,
        ("slow_convergence", "underfitting"),
        longer_steps_with_dropout,
        on_demand=True,
    ),
    Remedy(
        "momentum-0.95",
        "Momentum 0.95",
        "rate",
        "Gives stochastic gradient descent a momentum of 0.95.",
        f"{_TIPS}; Sutskever et al., On the importance of initialization and momentum (2013)",
        ("slow_convergence",),
        momentum,
        on_demand=True,
    ),
)
