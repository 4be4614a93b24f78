"""Remedies that change how gradients become steps."""

import functools
from collections.abc import Callable

import keras

from caviar.population.callbacks import rate_variable
from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable, Remedy
from caviar.remedies.rewrite import recompiled

Make = Callable[[], keras.optimizers.Optimizer]

_CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")


def optimizer(recipe: Recipe, *, make: Make, words: str) -> Recipe:
    """Train with another optimizer, at a rate that is usual for it; gradients stay clipped as they were."""

    def rewrite(model: keras.Model) -> keras.Model:
        new, now = make(), model.optimizer
        for name in _CLIPS:
            setattr(new, name, getattr(now, name, None))
        if type(now) is type(new) and _settings(now) == _settings(new):
            raise NotApplicable(f"the optimizer already is {words}")
        return recompiled(model, optimizer=new)

    return recipe.changed(("optimizer", words), rewrites=(*recipe.rewrites, rewrite))


def clipped(recipe: Recipe, *, norm: float = 1.0) -> Recipe:
    """Clip each gradient's norm."""

    def rewrite(model: keras.Model) -> keras.Model:
        now = model.optimizer
        if any(getattr(now, name, None) for name in _CLIPS):
            raise NotApplicable("gradients are already clipped")
        if rate_variable(model) is None:
            raise NotApplicable("the optimizer has a learning-rate schedule of its own")
        return recompiled(model, optimizer=now.__class__.from_config(now.get_config() | {"clipnorm": norm}))

    return recipe.changed(("clipping", f"clipnorm={norm:g}"), rewrites=(*recipe.rewrites, rewrite))


def moderate_batches(recipe: Recipe, *, size: int = 32) -> Recipe:
    """Take batches of 32 rows."""
    if 8 <= recipe.batch_size <= 2 * size:
        raise NotApplicable("the batch size is already a moderate one")
    return recipe.changed(("batch size", f"{recipe.batch_size} → {size}"), batch_size=size)


def _settings(one: keras.optimizers.Optimizer) -> dict[str, object]:
    """What tells an optimizer from others of its class, numbers to six digits."""
    said = {key: value for key, value in one.get_config().items() if key != "name"}
    return {key: float(f"{value:.6g}") if isinstance(value, float) else value for key, value in said.items()}


_STUCK = ("not_trained", "vanishing_gradient", "underfitting", "slow_convergence", "saturated")
_ADAM = "Kingma & Ba, Adam (2015)"

OPTIMIZERS = (
    Remedy(
        "adam",
        "Adam at 0.001",
        "rate",
        "Trains with Adam at its usual rate.",
        _ADAM,
        ("optimizer", "oscillating_loss", "diverging", "learning_rate_high", *_STUCK),
        functools.partial(optimizer, make=lambda: keras.optimizers.Adam(1e-3), words="Adam(0.001)"),
        cures="optimizer",
        optimizer=("Adam", 1e-3),
        on_demand=True,
    ),
    Remedy(
        "sgd-momentum",
        "SGD with momentum",
        "rate",
        "Trains with stochastic gradient descent at 0.01 with momentum 0.9.",
        "Sutskever et al., On the importance of initialization and momentum (2013)",
        ("optimizer",),
        functools.partial(
            optimizer, make=lambda: keras.optimizers.SGD(0.01, momentum=0.9), words="SGD(0.01, momentum=0.9)"
        ),
        cures="optimizer",
        on_demand=True,
    ),
    Remedy(
        "rmsprop",
        "RMSprop at 0.001",
        "rate",
        "Trains with RMSprop at its usual rate.",
        "Tieleman & Hinton, Lecture 6.5 (2012)",
        ("optimizer",),
        functools.partial(optimizer, make=lambda: keras.optimizers.RMSprop(1e-3), words="RMSprop(0.001)"),
        cures="optimizer",
        optimizer=("RMSprop", 1e-3),
        on_demand=True,
    ),
    Remedy(
        "adamw",
        "AdamW",
        "rate",
        "Trains with AdamW at 0.001 and a decoupled weight decay of 0.01.",
        "Loshchilov & Hutter, Decoupled weight decay regularization (2019)",
        ("optimizer", "overfitting"),
        functools.partial(
            optimizer,
            make=lambda: keras.optimizers.AdamW(1e-3, weight_decay=0.01),
            words="AdamW(0.001, weight_decay=0.01)",
        ),
        on_demand=True,
    ),
    Remedy(
        "clip-norm",
        "Clip gradients",
        "clipping",
        "Shortens each gradient to norm 1.",
        "Pascanu et al., On the difficulty of training recurrent neural networks (2013)",
        ("exploding_gradient", "diverging", "nan_loss"),
        clipped,
        cures="exploding_gradient",
        on_demand=True,
    ),
    Remedy(
        "batch-32",
        "Batches of 32",
        "batch",
        "Takes gradient steps on batches of 32 rows.",
        "Masters & Luschi, Revisiting small batch training (2018)",
        ("batch_size", "oscillating_loss", "slow_convergence"),
        moderate_batches,
        cures="batch_size",
        on_demand=True,
    ),
)
