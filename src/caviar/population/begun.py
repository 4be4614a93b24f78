"""How do members go on from the states in which others ended?"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from caviar.errors import OptionError
from caviar.population.callbacks import rate_variable, rates_of
from caviar.population.job import Job, MemberValues
from caviar.population.template import variables

_REMEMBERS = (
    keras.callbacks.EarlyStopping,
    keras.callbacks.ReduceLROnPlateau,
    keras.callbacks.ModelCheckpoint,
)


def why_not(callbacks: Sequence[keras.callbacks.Callback], model: keras.Model) -> str:
    """What keeps members of a recipe from being trained in parts; empty if nothing does.

    A callback that remembers what it saw would begin anew with each part, and averaged weights take the place of
    the trained ones at the end of each.
    """
    known = (keras.callbacks.LearningRateScheduler, keras.callbacks.TerminateOnNaN)
    for callback in callbacks:
        if isinstance(callback, _REMEMBERS) or type(callback) not in known:
            return f"the callback {type(callback).__name__} may remember earlier epochs"
    if getattr(model.optimizer, "use_ema", False):
        return "its optimizer averages weights, which take the place of the trained ones in the end"
    return ""


def check(job: Job, model: keras.Model) -> None:
    """Refuse what cannot go on.

    Raises:
        OptionError: A callback or averaged weights keep it from that, rows come block by block, or the states are not
            those of such a model, one per member.
    """
    if job.begun is None:
        return
    why = why_not(job.callbacks, model)
    if not why and job.streams:
        why = "rows come block by block"
    if why:
        raise OptionError(
            f"Expected members that can be trained in parts, but {why}. Leave that out, or train all epochs at once."
        )
    shapes = [[tuple(v.shape) for v in group] for group in variables(model)[:3]]
    for state in job.begun:
        if [[np.shape(v) for v in group] for group in state] != shapes:
            raise OptionError(
                "Expected the states of members of the same model, got values of other shapes. Change only what keeps "
                "a network's shape on the way."
            )
    if len(job.begun) != len(job.seats):
        raise OptionError(
            f"Expected a state for each of {len(job.seats)} members, got {len(job.begun)}. Give one each."
        )


def put(first: Any, states: Sequence[MemberValues], rate_at: int | None) -> None:  # noqa: ANN401 - chunk's State
    """Let members begin with given states instead of first ones; the learning rate stays that of the recipe.

    Args:
        first: First state of all variables (member, …), which is changed.
        states: Per member the values to begin with.
        rate_at: Where the learning rate stands among the optimizer's variables, if it is a number.
    """
    for place, group in enumerate(first[:3]):
        for i, values in enumerate(group):
            if not (place == 2 and i == rate_at):
                group[i] = np.stack([np.asarray(state[place][i], values.dtype) for state in states])


def rates_from(schedule: keras.callbacks.LearningRateScheduler, first: float, job: Job) -> tuple[float, ...]:
    """The rates that a schedule gives the epochs of a job, counted from 0, if the first one begins with a given rate.

    A member that goes on has seen the epochs before.
    """
    begins = 0 if job.begun is not None else job.initial_epoch
    table = rates_of(schedule.schedule, first, range(begins, job.epochs))
    return (first,) * begins + table or (first,)


def assign(model: keras.Model, state: MemberValues, job: Job) -> None:
    """The same for one built model of a job, whose schedule goes on as if it had seen the epochs before."""
    rate = rate_variable(model)
    for group, values in zip(variables(model)[:3], state, strict=True):
        for variable, value in zip(group, values, strict=True):
            if variable is not rate:
                variable.assign(value)
    for callback in job.callbacks:
        if isinstance(callback, keras.callbacks.LearningRateScheduler) and rate is not None and job.past:
            rate.assign(rates_of(callback.schedule, float(rate.numpy()), range(job.past))[-1])
