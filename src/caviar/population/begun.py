"""How do members go on from the states in which others ended?"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import numpy as np

from caviar.errors import OptionError
from caviar.population.callbacks import rate_variable, rates_of
from caviar.population.initial import first_value
from caviar.population.job import Job, MemberValues
from caviar.population.seeded import layout_of, taken_over
from caviar.population.template import Template, build_alone, seed_draws, variables

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


def adapted(job: Job, template: Template) -> Job:
    """A job whose members go on with the seed generators that their recipe has, whichever they had before.

    Args:
        job: The members.
        template: Of their recipe.

    Raises:
        OptionError: The weights they had are others.
    """
    if job.begun is None or job.layouts is None or len(job.begun) != len(job.seats):
        return job
    now, states = layout_of(template.model), []
    for seat, state, then in zip(job.seats, job.begun, job.layouts, strict=True):
        if then.generators == now.generators:
            states.append(state)
            continue
        if then.weights != now.weights:
            raise _other_network()
        begin = partial(_first, job, template, seat.seed)
        states.append((state[0], taken_over(state[1], then, now, begin), state[2]))
    return replace(job, begun=states, layouts=None)


def _first(job: Job, template: Template, seed: int, at: int) -> np.ndarray:
    """The state in which a member's seed generator begins, by its place among the non-trainable variables."""
    if template.rebuild:
        alone = build_alone(job.build, job.sample(), seed)
        return np.asarray(alone.non_trainable_variables[at])
    origin = template.origins[template.counts[0] + at]
    drawn = np.array(seed_draws(seed, 0 if origin.draw is None else 1 + origin.draw), np.uint32)
    return np.asarray(first_value(origin, template.model.non_trainable_variables[at], drawn))


def _other_network() -> OptionError:
    return OptionError(
        "Expected the states of members of the same model, got values of other shapes. Change only what keeps "
        "a network's shape on the way."
    )


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
            raise _other_network()
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
