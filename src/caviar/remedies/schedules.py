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


def warm_up_and_cosine(passed: float, *, share: float = 0.1) -> float:
    """From a tenth of the rate to the whole within the first tenth of the epochs, then half a cosine."""
    return warm_up(passed, share=share) if passed < share else cosine((passed - share) / (1 - share))


def exponential(passed: float, *, end: float = 0.01) -> float:
    """Times the same factor after each epoch, down to a hundredth."""
    return float(end**passed)


def restarts(passed: float, *, cycles: int = 3) -> float:
    """Half a cosine three times, each twice as long as the one before."""
    units = passed * (2**cycles - 1) + 1e-9  # so that rounding puts no restart off by an epoch
    cycle = math.floor(math.log2(units + 1))
    return cosine((units - (2**cycle - 1)) / 2**cycle)


def triangles(passed: float, *, cycles: int = 4, low: float = 0.5, high: float = 2.0) -> float:
    """Four times up and down on straight lines, from half the rate; each top is half as high above it."""
    cycle, into = divmod(passed * cycles, 1.0)
    return low + (high - low) * 0.5**cycle * (1 - abs(2 * into - 1))


def cosine_logarithm(passed: float, *, cycles: int = 4, high: float = 2.0, floor: float = 0.01) -> float:
    """Four waves up to twice the rate, which they have as their mean, each twice as long as the one before."""
    wave = math.log2(1 + (2**cycles - 1) * passed)
    return max(floor, high * (1 - math.cos(2 * math.pi * wave)) / 2)


def scheduled(recipe: Recipe, *, shape: Shape, words: str, fewest: int = 1) -> Recipe:
    """Let the rate follow a shape over the epochs.

    Args:
        recipe: What is changed.
        shape: The rate of an epoch, as a multiple of the recipe's.
        words: The same for people.
        fewest: Epochs below which the shape would not be seen, because the rate changes once an epoch.
    """
    if recipe.epochs < fewest:
        raise NotApplicable(
            f"the rate changes once an epoch, and {recipe.epochs} epochs are too few for this"
        )
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
    Remedy(
        "warm-up-cosine",
        "Warm-up and cosine schedule",
        "schedule",
        "Reaches the learning rate from its tenth within a tenth of the epochs; then it falls along half a cosine.",
        f"{_GOYAL}; {_LOSHCHILOV}",
        ("diverging", "exploding_gradient", "learning_rate_high"),
        functools.partial(
            scheduled, shape=warm_up_and_cosine, words="warm-up over a tenth of the epochs, then cosine"
        ),
        on_demand=True,
    ),
    Remedy(
        "exponential-decay",
        "Lower the rate evenly",
        "schedule",
        "Multiplies the learning rate by the same factor after each epoch, down to a hundredth.",
        "Senior et al., An empirical study of learning rates in deep neural networks (2013)",
        ("oscillating_loss", "learning_rate_high"),
        functools.partial(scheduled, shape=exponential, words="exponential, to a hundredth of the rate"),
        on_demand=True,
    ),
    Remedy(
        "cosine-restarts",
        "Cosine schedule with restarts",
        "schedule",
        "Lets the learning rate fall along half a cosine three times, each twice as long as the one before.",
        _LOSHCHILOV,
        ("slow_convergence", "oscillating_loss"),
        functools.partial(
            scheduled,
            shape=restarts,
            words="cosine, three times, each twice as long as the one before",
            fewest=14,
        ),
        on_demand=True,
    ),
    Remedy(
        "cyclical",
        "A learning rate that goes up and down",
        "schedule",
        "Moves the learning rate four times from its half up and back, each time half as high, from twice the rate.",
        "Smith, Cyclical learning rates for training neural networks (2017): triangular2",
        ("slow_convergence", "learning_rate_low"),
        functools.partial(
            scheduled,
            shape=triangles,
            words="triangular2, four cycles between half and twice the rate",
            fewest=16,  # Smith: two epochs or more from foot to top
        ),
        on_demand=True,
    ),
    Remedy(
        "coslog4",
        "Four growing waves of the learning rate",
        "schedule",
        "Moves the learning rate in four waves, each twice as long as the one before, with the rate as their mean.",
        "RealMLP, Holzmüller et al. (2024): coslog4",
        ("oscillating_loss",),
        functools.partial(
            scheduled,
            shape=cosine_logarithm,
            words="coslog4, up to twice the rate",
            fewest=30,  # two for the first wave
        ),
        on_demand=True,
    ),
)
