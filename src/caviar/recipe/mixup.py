"""How rows are mixed in pairs while a network trains, and in no other respect does it train differently."""
# ruff: noqa: SLF001 - Keras takes a new random state into a built model by private names only

from typing import Any

import keras


def mixing(model: keras.Model, alpha: float) -> keras.Model:
    """The same model, trained on mixtures of each batch's rows with their neighbours in it.

    A batch is `share` of itself and the rest of it moved on by one row: inputs, targets and weights. The share is
    drawn for every batch, from a random state of the model's own, so that members mix each in their own way. Rows come
    in a new order in every epoch, so that neighbours are random pairs. Evaluating and predicting stay as they are.

    Args:
        model: A compiled model whose inputs and targets are numbers; changed in place.
        alpha: Both parameters of the beta distribution of the share: near 0 most batches stay nearly as they are.

    Source: Zhang et al., *mixup: beyond empirical risk minimization*, 2018.
    """
    own = model.train_step
    generator = keras.random.SeedGenerator()
    tracker: Any = model._tracker
    locked = tracker.locked
    tracker.unlock()
    model._mixing = generator  # tracked: a variable of the model, part of the state of every step
    if locked:
        tracker.lock()

    def train_step(state: tuple[Any, ...], data: Any) -> Any:  # noqa: ANN401 - Keras' own signature
        trainable, rest, *others = state
        variables = model.non_trainable_variables
        with keras.StatelessScope(state_mapping=list(zip(variables, rest, strict=True))) as scope:
            share = keras.random.beta((), alpha, alpha, seed=generator)
            mixed = keras.tree.map_structure(lambda rows: _mixed(rows, share), data)
        return own((trainable, [scope.get_current_value(v) for v in variables], *others), mixed)

    model.train_step = train_step
    return model


def _mixed(rows: Any, share: Any) -> Any:  # noqa: ANN401
    if rows is None:
        return None
    rows = keras.ops.cast(rows, keras.config.floatx())
    return share * rows + (1 - share) * keras.ops.roll(rows, 1, axis=0)
