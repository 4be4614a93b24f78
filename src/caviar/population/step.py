"""One gradient step, one evaluation, one prediction of one member: Keras' own steps, and nothing else."""

from typing import Any

import jax
import keras

Logs = dict[str, jax.Array]
# (trainable, non-trainable, optimizer, metrics) of one member, each a list of arrays.
MemberState = tuple[list[Any], list[Any], list[Any], list[Any]]


def train_step(model: keras.Model, state: MemberState, batch: tuple[Any, ...]) -> tuple[MemberState, Logs]:
    """Move one member along its gradient; logs are those since the metrics were last reset."""
    logs, new = model.train_step(state, batch)
    after = (list(new[0]), list(new[1]), list(new[2]), list(new[3]))
    return after, dict(logs) if _is_plain(model, "train_step") else _reported(model, logs, after[3])


def test_step(
    model: keras.Model, state: tuple[list[Any], list[Any], list[Any]], batch: tuple[Any, ...]
) -> tuple[list[Any], Logs]:
    """Score one member on a batch, on top of what its metrics have gathered; the member stays as it is.

    Args:
        model: The template.
        state: Trainable, non-trainable, and metric variables.
        batch: Rows.

    Returns:
        The metric variables, and the logs.
    """
    logs, new = model.test_step(state, batch)
    metrics = list(new[2])
    return metrics, dict(logs) if _is_plain(model, "test_step") else _reported(model, logs, metrics)


def _is_plain(model: keras.Model, name: str) -> bool:
    return getattr(type(model), name) is getattr(keras.Model, name)


def _reported(model: keras.Model, logs: Logs, metrics: list[Any]) -> Logs:
    """What `fit` reports of a step of the user's own: its metrics' results, if they have the names of the logs."""
    mapping = list(zip(model.metrics_variables, metrics, strict=True))
    with keras.StatelessScope(state_mapping=mapping):
        results = model.get_metrics_result()
    return dict(results) if set(results) == set(logs) else dict(logs)


def predict(model: keras.Model, state: MemberState, inputs: jax.Array) -> Any:  # noqa: ANN401
    """What one member says of some rows, in inference mode."""
    outputs, _ = model.predict_step((state[0], state[1]), (inputs,))
    return outputs


def finish(model: keras.Model, state: MemberState) -> MemberState:
    """What `fit` does after the last epoch: averaged weights (`use_ema`) take their place."""
    trainable, non_trainable, optimizer, metrics = state
    if not getattr(model.optimizer, "use_ema", False):
        return state
    reference = list(model.trainable_variables)
    mapping = list(zip(reference, trainable, strict=True))
    mapping += list(zip(model.optimizer.variables, optimizer, strict=True))
    with keras.StatelessScope(state_mapping=mapping) as scope:
        model.optimizer.finalize_variable_values(reference)
    finished = [scope.get_current_value(v) for v in reference]
    return finished, non_trainable, optimizer, metrics
