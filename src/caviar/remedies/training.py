"""Remedies that change how long and how fast a network trains."""

import functools

import keras

from caviar.population.callbacks import rate_variable
from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable, Remedy


def plateau(recipe: Recipe, *, factor: float = 0.3, share: float = 0.05, floor: float = 1e-5) -> Recipe:
    """Lower the rate when the watched loss stops falling.

    Args:
        recipe: What is changed.
        factor: The rate is multiplied by it.
        share: Patience as a share of the epochs, at least 3.
        floor: The rate never falls below it: without a floor a schedule can freeze training.
    """
    _require_absent(recipe, keras.callbacks.ReduceLROnPlateau)

    def unless_scheduled(model: keras.Model) -> keras.Model:
        rate_of(model)
        return model

    patience = max(3, round(share * recipe.epochs))
    callback = keras.callbacks.ReduceLROnPlateau(
        monitor="val_loss", factor=factor, patience=patience, min_delta=1e-4, min_lr=floor
    )
    words = f"ReduceLROnPlateau(monitor='val_loss', factor={factor}, patience={patience}, min_lr={floor:g})"
    return recipe.changed(
        ("schedule", words),
        callbacks=(*recipe.callbacks, callback),
        rewrites=(*recipe.rewrites, unless_scheduled),
    )


def early_stopping(recipe: Recipe, *, share: float = 0.1) -> Recipe:
    """Stop when the watched loss no longer falls and go back to the best weights.

    Args:
        recipe: What is changed.
        share: Patience as a share of the epochs, at least 5.
    """
    _require_absent(recipe, keras.callbacks.EarlyStopping)

    def unless_averaged(model: keras.Model) -> keras.Model:
        if getattr(model.optimizer, "use_ema", False):
            raise NotApplicable("its weights are averaged, and going back to those of an epoch undoes that")
        return model

    patience = max(5, round(share * recipe.epochs))
    callback = keras.callbacks.EarlyStopping(
        monitor="val_loss", patience=patience, min_delta=1e-4, restore_best_weights=True
    )
    words = f"EarlyStopping(monitor='val_loss', patience={patience}, restore_best_weights=True)"
    return recipe.changed(
        ("stopping", words),
        callbacks=(*recipe.callbacks, callback),
        rewrites=(*recipe.rewrites, unless_averaged),
    )


def scaled_rate(recipe: Recipe, *, by: float) -> Recipe:
    """Multiply the learning rate."""

    def rewrite(model: keras.Model) -> keras.Model:
        model.optimizer.learning_rate = rate_of(model) * by
        return model

    return recipe.changed(("learning rate", f"times {by:g}"), rewrites=(*recipe.rewrites, rewrite))


def positive_rate(recipe: Recipe) -> Recipe:
    """Take the learning rate without its sign."""

    def rewrite(model: keras.Model) -> keras.Model:
        rate = rate_of(model)
        if rate >= 0:
            raise NotApplicable("the learning rate is already above zero")
        model.optimizer.learning_rate = -rate
        return model

    return recipe.changed(("learning rate", "without its sign"), rewrites=(*recipe.rewrites, rewrite))


def longer(recipe: Recipe, *, times: int = 3) -> Recipe:
    """Train for more epochs."""
    epochs = recipe.epochs * times
    return recipe.changed(("epochs", f"{recipe.epochs} → {epochs}"), epochs=epochs)


def rate_of(model: keras.Model) -> float:
    """A model's learning rate.

    Raises:
        NotApplicable: A schedule sets it.
    """
    rate = rate_variable(model)
    if rate is None:
        raise NotApplicable("the optimizer has a learning-rate schedule of its own")
    return float(keras.ops.convert_to_numpy(rate))


def _require_absent(recipe: Recipe, kind: type) -> None:
    if any(isinstance(callback, kind) for callback in recipe.callbacks):
        raise NotApplicable(f"the recipe already has {kind.__name__}")


_BENGIO = "Bengio, Practical recommendations (2012): the single most important hyperparameter"
_TOO_HIGH = (
    "learning_rate_high",
    "diverging",
    "exploding_gradient",
    "dead_relu",
    "oscillating_loss",
    "not_trained",
    "overfitting",
    "seed_variance",
)
_TOO_LOW = ("learning_rate_low", "slow_convergence", "underfitting", "not_trained")

TRAINING = (
    Remedy(
        "early-stopping",
        "Early stopping",
        "stopping",
        "Holds back 20 % of the training rows, stops when their loss no longer falls, and keeps the best weights.",
        "Prechelt, Early stopping – but when? (1998)",
        ("overfitting", "missing_regularisation", "epochs_too_many"),
        early_stopping,
        cures="overfitting",
    ),
    Remedy(
        "plateau-schedule",
        "Lower the rate on a plateau",
        "schedule",
        "Multiplies the learning rate by 0.3 whenever the loss of 20 % held-back training rows stops falling.",
        "Keras ReduceLROnPlateau; Bengio, Practical recommendations (2012)",
        ("oscillating_loss", "learning_rate_high", "seed_variance"),
        plateau,
    ),
    Remedy(
        "positive-rate",
        "A learning rate above zero",
        "rate",
        "Takes the learning rate without its sign.",
        "The gradient points uphill",
        ("learning_rate_negative",),
        positive_rate,
        cures="learning_rate_negative",
        on_demand=True,
    ),
    Remedy(
        "lower-rate",
        "Learning rate ÷ 10",
        "rate",
        "Takes a tenth of the learning rate.",
        _BENGIO,
        _TOO_HIGH,
        functools.partial(scaled_rate, by=0.1),
        cures="learning_rate_high",
    ),
    Remedy(
        "much-lower-rate",
        "Learning rate ÷ 100",
        "rate",
        "Takes a hundredth of the learning rate.",
        _BENGIO,
        ("learning_rate_high", "diverging"),
        functools.partial(scaled_rate, by=0.01),
        cures="learning_rate_high",
        on_demand=True,
    ),
    Remedy(
        "higher-rate",
        "Learning rate × 5",
        "rate",
        "Takes five times the learning rate.",
        _BENGIO,
        _TOO_LOW,
        functools.partial(scaled_rate, by=5.0),
        cures="learning_rate_low",
    ),
    Remedy(
        "much-higher-rate",
        "Learning rate × 100",
        "rate",
        "Takes a hundred times the learning rate.",
        _BENGIO,
        ("learning_rate_low", "slow_convergence", "not_trained"),
        functools.partial(scaled_rate, by=100.0),
        cures="learning_rate_low",
        on_demand=True,
    ),
    Remedy(
        "longer",
        "Train three times as long",
        "epochs",
        "Trains for three times the epochs.",
        "Bengio, Practical recommendations (2012)",
        ("epochs_too_few", "slow_convergence", "underfitting"),
        longer,
        cures="epochs_too_few",
    ),
)
