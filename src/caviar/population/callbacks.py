"""Keras' callbacks as carried values, so that each member of a population stops, slows down and is saved on its own.

The rules are those of Keras 3.15, to the epoch. One thing differs: `TerminateOnNaN` ends its epoch, while Keras
breaks off in the middle of it.
"""

import copy
import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from caviar.errors import ModelError
from caviar.population.step import Logs, MemberState


@dataclass(frozen=True)
class Watch:
    """A monitored log and what counts as an improvement of it."""

    monitor: str
    lower_is_better: bool
    min_delta: float

    def improves(self, value: jax.Array, reference: jax.Array | float) -> jax.Array:
        """Whether `value` beats `reference` by more than the smallest change that counts."""
        if self.lower_is_better:
            return value + self.min_delta < reference
        return value - self.min_delta > reference


@dataclass(frozen=True)
class Stop:
    """`keras.callbacks.EarlyStopping` as numbers."""

    watch: Watch
    patience: int
    baseline: float | None
    restore: bool
    start_from_epoch: int


@dataclass(frozen=True)
class Plateau:
    """`keras.callbacks.ReduceLROnPlateau` as numbers; `ladder[k]` is the rate after k reductions."""

    watch: Watch
    patience: int
    cooldown: int
    ladder: tuple[float, ...]


@dataclass(frozen=True)
class Finite:
    """`keras.callbacks.TerminateOnNaN`: stop when the loss is no longer a finite number."""


@dataclass(frozen=True)
class Checkpoint:
    """`keras.callbacks.ModelCheckpoint` as numbers: which epoch's state is saved.

    `watch` is None where each epoch replaces the one before; `best` is what the first one has to beat; `names` are
    those of the logs that the path asks for.
    """

    watch: Watch | None
    best: float | None
    names: tuple[str, ...]


Rule = Stop | Plateau | Finite | Checkpoint


def copied(callback: keras.callbacks.Callback) -> keras.callbacks.Callback:
    """A callback for one member alone: what it collects is its own, too, unless it holds what cannot be copied."""
    try:
        return copy.deepcopy(callback)
    except Exception:  # noqa: BLE001 - an open file, a lock, anybody's object
        return copy.copy(callback)


def stops(rules: Sequence[Rule]) -> bool:
    """Whether members may stop before the last epoch."""
    return any(isinstance(rule, Stop | Finite) for rule in rules)


class NotInProgram(Exception):  # noqa: N818 - an outcome, not an error
    """Why a callback cannot run inside a population's program."""


def not_in_program(callbacks: Sequence[keras.callbacks.Callback]) -> list[str]:
    """Names of the callbacks that only run beside a single model."""
    return [type(callback).__name__ for callback in callbacks if type(callback) not in _KNOWN]


def sets_rate(callbacks: Sequence[keras.callbacks.Callback]) -> bool:
    """Whether one of them sets the learning rate, from that of the recipe on."""
    setters = (keras.callbacks.ReduceLROnPlateau, keras.callbacks.LearningRateScheduler)
    return any(isinstance(callback, setters) for callback in callbacks)


def scheduler(
    callbacks: Sequence[keras.callbacks.Callback],
) -> keras.callbacks.LearningRateScheduler | None:
    """The callback that gives each epoch its rate, if it is the only one that sets it."""
    setters = [callback for callback in callbacks if sets_rate([callback])]
    alone = setters[0] if len(setters) == 1 else None
    return alone if type(alone) is keras.callbacks.LearningRateScheduler else None


def rules(callbacks: Sequence[keras.callbacks.Callback], model: keras.Model, epochs: int) -> tuple[Rule, ...]:
    """Translate Keras callbacks, in their order, but for schedulers: their rates are members' own (`Job.rates`).

    Args:
        callbacks: Keras callbacks.
        model: The template.
        epochs: The last epoch.

    Raises:
        NotInProgram: One of them can only run in a loop of its own.
        ModelError: Keras itself would refuse the combination.
    """
    found: list[Rule] = []
    for callback in callbacks:
        if type(callback) is keras.callbacks.EarlyStopping:
            found.append(
                Stop(
                    _watch(callback, model),
                    callback.patience,
                    callback.baseline,
                    callback.restore_best_weights,
                    callback.start_from_epoch,
                )
            )
        elif type(callback) is keras.callbacks.ReduceLROnPlateau:
            first = first_rate(callback, model)
            ladder = _ladder(first, callback.factor, callback.min_lr, epochs)
            found.append(Plateau(_watch(callback, model), callback.patience, callback.cooldown, ladder))
        elif type(callback) is keras.callbacks.LearningRateScheduler:
            first_rate(callback, model)
        elif type(callback) is keras.callbacks.TerminateOnNaN:
            found.append(Finite())
        elif type(callback) is keras.callbacks.ModelCheckpoint:
            found.append(_checkpoint(callback, model))
        else:
            raise NotInProgram(f"the callback {type(callback).__name__} runs only beside a single model")
    if sum(sets_rate([callback]) for callback in callbacks) > 1:
        raise NotInProgram("two callbacks set the learning rate, each from what the other left")
    return tuple(found)


def rate_variable(model: keras.Model) -> Any | None:  # noqa: ANN401
    """The optimizer's learning-rate variable, or None where a schedule decides."""
    optimizer = model.optimizer
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    rate = optimizer._learning_rate
    return rate if isinstance(rate, keras.Variable) else None


def rate_position(model: keras.Model) -> int | None:
    """Where the learning rate stands among the optimizer's variables."""
    rate = rate_variable(model)
    return next((i for i, v in enumerate(model.optimizer.variables) if v is rate), None)


def begin(rules: Sequence[Rule], state: MemberState) -> list[dict[str, Any]]:
    """The numbers a member carries for its rules, before the first epoch."""
    carried: list[dict[str, Any]] = []
    for rule in rules:
        if isinstance(rule, Finite):
            carried.append({})
            continue
        if isinstance(rule, Checkpoint):
            carried.append(_nothing_saved(rule, state))
            continue
        numbers: dict[str, Any] = {"best": jnp.float32(0), "seen": jnp.bool_(False), "wait": jnp.int32(0)}
        if isinstance(rule, Plateau):
            numbers |= {"cooldown": jnp.int32(0), "reductions": jnp.int32(0)}
        elif rule.restore:
            numbers |= {"trainable": list(state[0]), "non_trainable": list(state[1])}
        carried.append(numbers)
    return carried


def before_epoch(
    state: MemberState, rates: jax.Array | None, epoch: jax.Array, rate_at: int | None
) -> MemberState:
    """Set the rate of an epoch, if each one's is given (epoch,)."""
    if rates is None:
        return state
    assert rate_at is not None
    optimizer = list(state[2])
    optimizer[rate_at] = rates[epoch].astype(optimizer[rate_at].dtype)
    return state[0], state[1], optimizer, state[3]


def after_epoch(
    rules: Sequence[Rule],
    carried: list[dict[str, Any]],
    state: MemberState,
    logs: Logs,
    epoch: jax.Array,
    rate_at: int | None,
    *,
    watched: jax.Array | bool = True,
) -> tuple[list[dict[str, Any]], MemberState, jax.Array]:
    """Let each rule see the epoch's logs.

    Args:
        rules: The rules.
        carried: What the member carries for them.
        state: Its state.
        logs: What the epoch logged.
        epoch: Its number, from 0.
        rate_at: Where the learning rate stands among the optimizer's variables.
        watched: Whether rows were watched in this epoch; logs that begin with `val_` do not exist otherwise, and
            those who wait for them let the epoch pass.

    Returns:
        The carried numbers, the state (with a lowered rate where due), and whether the member stops.
    """
    stops = jnp.bool_(False)
    new = []
    for rule, numbers in zip(rules, carried, strict=True):
        if isinstance(rule, Finite):
            stops = stops | ~jnp.isfinite(logs["loss"])
            new.append(numbers)
            continue
        if isinstance(rule, Checkpoint):
            _require_names(rule.names, logs, rate_at)
            new.append(_saved(rule, numbers, state, logs, epoch, watched=watched))
            continue
        value, there = _seen(rule.watch, logs, watched=watched)
        if isinstance(rule, Stop):
            numbers, stop = _early_stopping(rule, numbers, state, value, epoch, there=there)  # noqa: PLW2901
            stops = stops | stop
        else:
            after = _plateau(rule, numbers, value)
            numbers = jax.tree.map(partial(jnp.where, there), after, numbers)  # noqa: PLW2901
            optimizer = list(state[2])
            assert rate_at is not None
            ladder = jnp.asarray(rule.ladder, jnp.float32)
            optimizer[rate_at] = jnp.where(
                numbers["reductions"] > 0, ladder[numbers["reductions"]], optimizer[rate_at]
            )
            state = (state[0], state[1], optimizer, state[3])
        new.append(numbers)
    return new, state, stops


def at_end(
    rules: Sequence[Rule], carried: list[dict[str, Any]], state: MemberState, keep: set[int]
) -> MemberState:
    """Put the best weights back where a rule asks for it; variables in `keep` (seed states) stay."""
    for rule, numbers in zip(rules, carried, strict=True):
        if isinstance(rule, Stop) and rule.restore:
            seen = numbers["seen"]
            trainable = [
                jnp.where(seen, best, now) for best, now in zip(numbers["trainable"], state[0], strict=True)
            ]
            non_trainable = [
                now if i in keep else jnp.where(seen, best, now)
                for i, (best, now) in enumerate(zip(numbers["non_trainable"], state[1], strict=True))
            ]
            state = (trainable, non_trainable, state[2], state[3])
    return state


def _early_stopping(
    rule: Stop,
    numbers: dict[str, Any],
    state: MemberState,
    value: jax.Array,
    epoch: jax.Array,
    *,
    there: jax.Array | bool,
) -> tuple[dict[str, Any], jax.Array]:
    live = there & (epoch >= rule.start_from_epoch)
    improved = live & (~numbers["seen"] | rule.watch.improves(value, numbers["best"]))
    resets = improved
    if rule.baseline is not None:
        resets = improved & rule.watch.improves(value, rule.baseline)
    wait = jnp.where(resets, 0, numbers["wait"] + live.astype(jnp.int32))
    new = {
        "best": jnp.where(improved, value, numbers["best"]),
        "seen": numbers["seen"] | live,
        "wait": wait,
    }
    if rule.restore:
        for name, group in (("trainable", state[0]), ("non_trainable", state[1])):
            new[name] = [jnp.where(improved, v, best) for v, best in zip(group, numbers[name], strict=True)]
    return new, live & ~improved & (wait >= rule.patience) & (epoch > 0)


def _plateau(rule: Plateau, numbers: dict[str, Any], value: jax.Array) -> dict[str, Any]:
    cooling = numbers["cooldown"] > 0
    cooldown = jnp.where(cooling, numbers["cooldown"] - 1, 0)
    wait = jnp.where(cooling, 0, numbers["wait"])
    improved = ~numbers["seen"] | rule.watch.improves(value, numbers["best"])
    waits = ~improved & (cooldown == 0)
    wait = jnp.where(improved, 0, wait + waits.astype(jnp.int32))
    reduces = waits & (wait >= rule.patience) & (numbers["reductions"] < len(rule.ladder) - 1)
    return {
        "best": jnp.where(improved, value, numbers["best"]),
        "seen": jnp.bool_(True),
        "wait": jnp.where(reduces, 0, wait),
        "cooldown": jnp.where(reduces, rule.cooldown, cooldown),
        "reductions": numbers["reductions"] + reduces.astype(jnp.int32),
    }


def _seen(watch: Watch, logs: Logs, *, watched: jax.Array | bool) -> tuple[jax.Array, jax.Array | bool]:
    """The value of a monitored log, and whether this epoch has one."""
    if watch.monitor not in logs:
        raise ModelError(
            f"Expected callbacks to watch something that is recorded ({', '.join(sorted(logs))}), got "
            f"{watch.monitor!r}. Name one of these, or give rows to watch (validation_data or "
            f"validation_split) for what begins with val_."
        )
    return logs[watch.monitor], watched if watch.monitor.startswith("val_") else True


def _checkpoint(callback: keras.callbacks.ModelCheckpoint, model: keras.Model) -> Checkpoint:
    if callback.save_freq != "epoch":
        raise NotInProgram("ModelCheckpoint counts batches, and runs only beside a single model")
    names = path_names(callback.filepath)
    watch = _watch(callback, model)
    if not callback.save_best_only:
        if names:
            raise NotInProgram(
                "ModelCheckpoint keeps a file of each epoch, and runs only beside a single model"
            )
        return Checkpoint(None, None, ())
    return Checkpoint(watch, None if callback.best is None else float(callback.best), names)


def path_names(path: str) -> tuple[str, ...]:
    """What a path with placeholders asks for.

    >>> path_names("best-{epoch:02d}-{val_loss:.2f}.keras")
    ('epoch', 'val_loss')
    """
    fields = [field for _, field, _, _ in string.Formatter().parse(path) if field is not None]
    return tuple(dict.fromkeys(re.split(r"[.\[]", field)[0] for field in fields))


def _require_names(names: Sequence[str], logs: Logs, rate_at: int | None) -> None:
    there = {"epoch", *logs, *(() if rate_at is None else ("learning_rate",))}
    for name in names:
        if name not in there:
            raise ModelError(
                f"Expected placeholders in the path of ModelCheckpoint to be among {', '.join(sorted(there))}, "
                f"got {{{name}}}. Use one of these."
            )


def _nothing_saved(rule: Checkpoint, state: MemberState) -> dict[str, Any]:
    return {
        "best": jnp.float32(0 if rule.best is None else rule.best),
        "seen": jnp.bool_(rule.best is not None),
        "saved_epoch": jnp.int32(-1),
        "saved": tuple(list(group) for group in state[:3]),
    }


def _saved(
    rule: Checkpoint,
    numbers: dict[str, Any],
    state: MemberState,
    logs: Logs,
    epoch: jax.Array,
    *,
    watched: jax.Array | bool,
) -> dict[str, Any]:
    """As Keras: where the monitored log is missing, the state is saved, and the best value stays."""
    best, seen, saves = numbers["best"], numbers["seen"], jnp.bool_(True)
    if rule.watch is not None:
        value, there = _seen(rule.watch, logs, watched=watched)
        improved = there & (~seen | rule.watch.improves(value, best))
        saves = improved | jnp.logical_not(there)
        best, seen = jnp.where(improved, value, best), seen | there
    return {
        "best": best,
        "seen": seen,
        "saved_epoch": jnp.where(saves, epoch, numbers["saved_epoch"]),
        "saved": jax.tree.map(partial(jnp.where, saves), tuple(list(g) for g in state[:3]), numbers["saved"]),
    }


def saved(carried: Sequence[dict[str, Any]]) -> list[tuple[np.ndarray, tuple[list[np.ndarray], ...]]]:
    """What checkpoints hold at the end, in the order of the callbacks.

    Args:
        carried: What members carry for their rules, with a leading member axis.

    Returns:
        Per checkpoint the epoch of each member, from 0 (-1: none), and its variables then: trainable,
        non-trainable and optimizer.
    """
    return [
        (
            np.asarray(numbers["saved_epoch"]),
            tuple([np.asarray(value) for value in group] for group in numbers["saved"]),
        )
        for numbers in carried
        if "saved" in numbers
    ]


def _watch(callback: Any, model: keras.Model) -> Watch:  # noqa: ANN401
    """Read direction and smallest change from Keras' own resolution of mode "auto"."""
    probe = copy.copy(callback)
    probe.set_model(model)
    probe._set_monitor_op()
    return Watch(callback.monitor, probe.monitor_op is keras.ops.less, abs(callback.min_delta))


_KNOWN = (
    keras.callbacks.EarlyStopping,
    keras.callbacks.ReduceLROnPlateau,
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.TerminateOnNaN,
    keras.callbacks.ModelCheckpoint,
)


def first_rate(callback: keras.callbacks.Callback, model: keras.Model) -> float:
    """The rate with which a callback that sets it begins.

    Raises:
        ModelError: The optimizer has a schedule of its own.
    """
    rate = rate_variable(model)
    if rate is None:
        raise ModelError(
            f"Expected a learning rate that {type(callback).__name__} can set, but the optimizer has a "
            f"schedule object. Use one of the two."
        )
    return float(np.asarray(rate._value))


def rates_of(schedule: Callable[..., float], rate: float, epochs: range) -> tuple[float, ...]:
    """Rates of all epochs; a schedule that also looks at the rate sees the one before, as float32."""
    rates = []
    for epoch in epochs:
        try:
            rate = schedule(epoch, rate)
        except TypeError:  # the older form, as in Keras
            rate = schedule(epoch)
        rate = float(np.float32(rate))
        rates.append(rate)
    return tuple(rates)


def _ladder(first: float, factor: float, floor: float, epochs: int) -> tuple[float, ...]:
    """Rates after 0, 1, 2 … reductions, rounded as Keras does: a double product stored as float32."""
    rates = [first]
    while len(rates) <= epochs and rates[-1] > np.float32(floor):
        rates.append(float(np.float32(max(rates[-1] * factor, floor))))
    return tuple(rates)
