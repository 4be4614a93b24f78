"""Which members have diverged for good, and what the epochs say that they need not train any more.

A member whose weights are no longer numbers stays so: NaN less anything is NaN. Keras' `fit` goes on with it, and logs
the same values epoch after epoch. So does the history of a population, but the member leaves the devices.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from caviar.population import callbacks, program
from caviar.population.job import Job
from caviar.population.keep import Standing
from caviar.population.step import Logs

# Logs that do not say how rows were predicted.
_OTHERS = ("learning_rate", program.PROBES)


def diverged(
    logs: dict[str, np.ndarray],
    here: np.ndarray,
    watched: Sequence[bool],
    weights: Callable[[], Sequence[np.ndarray]],
) -> np.ndarray:
    """Whether members have nothing new to say.

    That is so where the loss was NaN in the last two epochs, all that rows gave was the same in both, and weights are
    NaN.

    Args:
        logs: What was recorded, by name (member, epoch).
        here: Places among these of the members that are on the devices.
        watched: Whether rows were watched, for each epoch done.
        weights: Returns the trainable weights of the members on the devices, array by array (member, …).

    Returns:
        Booleans (member,) in the order of `here`.
    """
    if "loss" not in logs or any(len(_looked(name, watched)) < 2 for name in logs):
        return np.zeros(len(here), bool)
    silent = np.ones(len(here), bool)
    for name in logs.keys() - _OTHERS:
        before, last = _looked(name, watched)
        silent &= np.isnan(logs["loss"][here, before : len(watched)]).all(axis=1)
        one, other = (logs[name][here, epoch].reshape(len(here), -1) for epoch in (before, last))
        silent &= ((one == other) | (np.isnan(one) & np.isnan(other))).all(axis=1)
    if silent.any():
        nan = [np.isnan(np.asarray(leaf, np.float32)) for leaf in weights()]
        silent &= np.any([leaf.reshape(len(here), -1).any(axis=1) for leaf in nan], axis=0)
    return silent


def leave(
    at: Standing,
    places: np.ndarray,
    structure: Any,  # noqa: ANN401 - of a carry
    rules: Sequence[callbacks.Rule],
    rate_at: int | None,
    rates: np.ndarray | None,
    job: Job,
) -> None:
    """Note what diverged members would have said until the end, and that they train no more.

    Args:
        at: Where all members stand, as stored just now.
        places: Of those that leave.
        structure: How the arrays that are stored make up what members carry.
        rules: Their callbacks.
        rate_at: Where the learning rate stands among the optimizer's variables.
        rates: Of all members, where a callback sets them (member, epoch).
        job: Whose members they are.
    """
    if not len(places):
        return
    carry = jax.tree.unflatten(structure, [leaf[places] for leaf in at.leaves])
    so_far = {name: values[places, : at.done] for name, values in at.logs.items()}
    epochs = next(iter(at.logs.values())).shape[1]
    mine = None if rates is None else rates[places]
    after, told = play_out(rules, rate_at, mine, carry, so_far, job.initial_epoch, job.watched(epochs))
    for leaf, values in zip(at.leaves, jax.tree.leaves(after), strict=True):
        leaf[places] = values
    for name, values in told.items():
        at.logs[name][places, at.done :] = values


def play_out(
    rules: Sequence[callbacks.Rule],
    rate_at: int | None,
    rates: np.ndarray | None,
    carry: program.Carry,
    logs: dict[str, np.ndarray],
    first: int,
    watched: Sequence[bool],
) -> tuple[program.Carry, dict[str, np.ndarray]]:
    """Let the callbacks see the epochs that diverged members do not train.

    Args:
        rules: The callbacks.
        rate_at: Where the learning rate stands among the optimizer's variables.
        rates: Those of these members, where a callback sets them (member, epoch).
        carry: What these members carry.
        logs: What they said so far, by name (member, epoch).
        first: Number of the first epoch of `watched`.
        watched: Whether rows are watched, for each epoch, done or left.

    Returns:
        What they carry at the end, no longer active; and their logs of the epochs left (member, epoch): none of the
        probes, which did not measure.
    """
    done = next(iter(logs.values())).shape[1]
    say = {n: v[:, _looked(n, watched[:done])[-1]] for n, v in logs.items() if n not in _OTHERS}

    def one(carry: program.Carry, say: Logs, rates: jax.Array | None) -> tuple[program.Carry, Logs]:
        def epoch(before: program.Carry, at: tuple[jax.Array, jax.Array]) -> tuple[program.Carry, Logs]:
            number, looks = at
            state = callbacks.before_epoch(before.state, rates, number, rate_at)
            told = {n: jnp.where(looks, v, jnp.nan) if n.startswith("val_") else v for n, v in say.items()}
            return program.decide(rules, rate_at, before, state, told, number, looks)

        left = jnp.arange(first + done, first + len(watched)), jnp.asarray(watched[done:])
        return jax.lax.scan(epoch, carry, left)

    after, told = jax.jit(jax.vmap(one))(carry, say, rates)
    return (
        replace(after, active=jnp.zeros_like(after.active)),
        {name: np.asarray(values) for name, values in told.items()},
    )


def _looked(name: str, watched: Sequence[bool]) -> list[int]:
    """The last two of the epochs done that a log has values of."""
    return [i for i, looks in enumerate(watched) if looks or not name.startswith("val_")][-2:]
