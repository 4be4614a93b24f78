"""Remedies that change the learning rate while a network trains."""

import functools
import math
from collections.abc import Callable

import keras

from caviar.population.callbacks import rate_variable
from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable, Remedy

Shape = Callable[[float], float]
"""From the share of the epochs that has passed, 0 to 1, to the rate as a multiple of the recipe's own."""


def cosine(passed: float, *, floor: float = 0.01) -> float:
    """Half a cosine, from the whole rate down to a hundredth."""
    return floor + (1 - floor) * (1 + math.cos(math.pi * passed)) / 2


def one_cycle(passed: float, *, peak: float = 3.0, at: float = 0.3, start: float = 0.1) -> float:
    """Up to three times the rate within the first third, then down to a hundredth of it."""
    if passed < at:
        return start + (peak - start) * passed / at
    return max(0.01, peak * (1 + math.cos(math.pi * (passed - at) / (1 - at))) / 2)


def warm_up(passed: float, *, share: float = 0.1, start: float = 0.1) -> float:
    """From a tenth of the rate to the whole within the first tenth of the epochs."""
    return min(1.0, start + (1 - start) * passed / share)


def steps(passed: float, *, times: int = 3, factor: float = 0.3) -> float:
    """Times 0.3 after each third of the epochs."""
    return float(factor ** math.floor(passed * times))


def scheduled(recipe: Recipe, *, shape: Shape, words: str) -> Recipe:
    """Let the rate follow a shape over the epochs."""
    rates = (keras.callbacks.ReduceLROnPlateau, keras.callbacks.LearningRateScheduler)
    if any(isinstance(callback, rates) for callback in recipe.callbacks):
        raise NotApplicable("a callback already sets the learning rate")

    def unless_scheduled(model: keras.Model) -> keras.Model:
        if rate_variable(model) is None:
            raise NotApplicable("the optimizer has a learning-rate schedule of its own")
        return model

    epochs = recipe.epochs

    def rate(epoch: int, now: float) -> float:
        """The rate of an epoch from that of the one before, as Keras hands it on."""
        return float(now * shape(epoch / epochs) / (shape((epoch - 1) / epochs) if epoch else 1.0))

    callback = keras.callbacks.LearningRateScheduler(rate)
    return recipe.changed(
        ("schedule", words),
        callbacks=(*recipe.callbacks, callback),
        rewrites=(*recipe.rewrites, unless_scheduled),
    )


_SETTLING = ("oscillating_loss", "learning_rate_high", "seed_variance")
_LOSHCHILOV = "Loshchilov & Hutter, SGDR (2017)"
_SMITH = "Smith & Topin, Super-convergence (2018)"
_GOYAL = "Goyal et al., Accurate, large minibatch SGD (2017)"

SCHEDULES = (
    Remedy(
        "cosine",
        "Cosine schedule",
        "schedule",
        "Lets the learning rate fall along half a cosine to a hundredth.",
        _LOSHCHILOV,
        _SETTLING,
        functools.partial(scheduled, shape=cosine, words="cosine, to a hundredth of the rate"),
        on_demand=True,
    ),
    Remedy(
        "one-cycle",
        "One cycle of the learning rate",
        "schedule",
        "Raises the learning rate to three times its value and lets it fall to a hundredth.",
        _SMITH,
        ("slow_convergence", "underfitting", "learning_rate_low"),
        functools.partial(scheduled, shape=one_cycle, words="one cycle, up to three times the rate"),
        on_demand=True,
    ),
    Remedy(
        "warm-up",
        "Warm-up",
        "schedule",
        "Begins with a tenth of the learning rate and reaches the whole after a tenth of the epochs.",
        _GOYAL,
        ("diverging", "exploding_gradient", "learning_rate_high", "dead_relu"),
        functools.partial(scheduled, shape=warm_up, words="warm-up over a tenth of the epochs"),
        on_demand=True,
    ),
    Remedy(
        "step-decay",
        "Lower the rate in steps",
        "schedule",
        "Multiplies the learning rate by 0.3 after each third of the epochs.",
        "Bengio, Practical recommendations (2012)",
        _SETTLING,
        functools.partial(scheduled, shape=steps, words="times 0.3 after each third of the epochs"),
        on_demand=True,
    ),
)
