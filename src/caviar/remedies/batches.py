"""Remedies that change how many rows a gradient step sees, and the learning rate along with it."""

import functools

import keras

from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable, Remedy
from caviar.remedies.training import rate_of

MOST_STEPS = 8
"""How many times as many gradient steps a remedy may ask for."""
_MOST_ROWS = 8192

# The rate goes with this power of the batch size.
_LINEAR, _ROOT = 1.0, 0.5
_POWERS: tuple[tuple[type[keras.optimizers.Optimizer], float], ...] = (
    (keras.optimizers.SGD, _LINEAR),
    (keras.optimizers.Adam, _ROOT),  # AdamW too
    (keras.optimizers.Nadam, _ROOT),
    (keras.optimizers.Adamax, _ROOT),
    (keras.optimizers.RMSprop, _ROOT),
)


def smaller_batches(recipe: Recipe, *, parts: int = 4) -> Recipe:
    """Take batches of a quarter of the rows, at a lower rate."""
    return _with_batches(recipe, max(1, recipe.batch_size // parts))


def larger_batches(recipe: Recipe, *, times: int = 4) -> Recipe:
    """Take batches of four times the rows, at a higher rate."""
    size = recipe.batch_size * times
    if not recipe.n_rows:
        raise NotApplicable("the number of rows is not known")
    if 2 * size > recipe.n_rows:
        raise NotApplicable(f"{recipe.n_rows:,} rows are too few for batches of {size:,}")
    return _with_batches(recipe, size)


def whole_batch(recipe: Recipe) -> Recipe:
    """Take all rows at once, at a higher rate.

    Refused above 8,192 rows: up to so many Goyal et al. saw the linear rule hold.
    """
    if not recipe.n_rows:
        raise NotApplicable("the number of rows is not known")
    if recipe.n_rows > _MOST_ROWS:
        raise NotApplicable(f"no rule for the rate is known to hold for batches of {recipe.n_rows:,} rows")
    if recipe.batch_size >= recipe.n_rows:
        raise NotApplicable("each step already sees all rows")
    return _with_batches(recipe, recipe.n_rows)


def single_rows(recipe: Recipe) -> Recipe:
    """Take a gradient step for every row, at a lower rate."""
    return _with_batches(recipe, 1)


def _with_batches(recipe: Recipe, size: int) -> Recipe:
    """Batches of another size, and the rate that goes with it: linear for SGD, by the square root for Adam's kin."""
    now = min(recipe.batch_size, recipe.n_rows or recipe.batch_size)
    if size == now:
        raise NotApplicable(f"batches already have {size} row{'s' if size > 1 else ''}")
    if now > MOST_STEPS * size:
        raise NotApplicable(f"it would take {now / size:.0f} times as many steps")

    def rewrite(model: keras.Model) -> keras.Model:
        power = next((power for kind, power in _POWERS if isinstance(model.optimizer, kind)), None)
        if power is None:
            kind = type(model.optimizer).__name__
            raise NotApplicable(f"no rule is known for how the rate of {kind} goes with the batch size")
        model.optimizer.learning_rate = rate_of(model) * (size / now) ** power
        return model

    return recipe.changed(
        ("batch size", f"{recipe.batch_size} → {size}, with the learning rate"),
        batch_size=size,
        rewrites=(*recipe.rewrites, rewrite),
    )


_RULES = "rate: Goyal et al. (2017) for SGD, Malladi et al. (2022) for adaptive optimizers"

BATCHES = (
    Remedy(
        "smaller-batches",
        "Batches of a quarter",
        "batch",
        "Takes gradient steps on a quarter of the rows, with the learning rate lowered by the rule for the optimizer.",
        f"Masters & Luschi, Revisiting small batch training (2018); {_RULES}",
        ("batch_size", "slow_convergence"),
        functools.partial(smaller_batches, parts=4),
        cures="batch_size",
        on_demand=True,
    ),
    Remedy(
        "larger-batches",
        "Batches four times as large",
        "batch",
        "Takes gradient steps on four times the rows, with the learning rate raised by the rule for the optimizer.",
        f"Smith et al., Don't decay the learning rate, increase the batch size (2018); {_RULES}",
        ("batch_size", "oscillating_loss"),
        functools.partial(larger_batches, times=4),
        cures="batch_size",
        on_demand=True,
    ),
    Remedy(
        "whole-batch",
        "All rows in one batch",
        "batch",
        "Takes one gradient step an epoch, on all rows, with the learning rate raised by the rule for the optimizer.",
        f"Geiping et al., Stochastic training is not necessary for generalization (2022); {_RULES}",
        ("batch_size",),
        whole_batch,
        cures="batch_size",
        on_demand=True,
    ),
    Remedy(
        "single-rows",
        "A step for every row",
        "batch",
        "Takes a gradient step for every row, with the learning rate lowered by the rule for the optimizer.",
        f"LeCun et al., Efficient BackProp (1998); {_RULES}",
        ("batch_size",),
        single_rows,
        cures="batch_size",
        on_demand=True,
    ),
)
