"""The compiled functions of members whose rows come block by block: batched over members here, and nowhere else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import keras
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from caviar.population import callbacks, devices, program, spread, step
from caviar.population.effort import operations
from caviar.population.fastest import stand_alone
from caviar.population.ragged import Step
from caviar.population.step import Logs, MemberState

_Numbers = dict[str, jax.Array]


@dataclass(frozen=True)
class _Setting:
    """What the functions of one member need to know that is no array of it."""

    model: keras.Model
    steps: program.Steps
    rules: Sequence[callbacks.Rule]
    rate_at: int | None


class Machine:
    """Compiled functions of a population; states, metrics, logs and rows have a leading member axis.

    Args:
        model: The template.
        steps: Its training and test steps.
        rules: Callbacks that run inside.

    Attributes:
        begin: state → carry.
        open: (carry, metrics, rates, epoch) → state at the beginning of an epoch.
        stack: (state, logs, numbers, batches, first, end) → state, logs: some batches, the same for all members.
        tail: (state, numbers, batch) → state, logs: one batch of any size.
        close: (carry before, state, logs, epoch, whether rows were watched) → carry, logs: what the rules decide.
        end: carry → state with the weights that the recipe ends with.
        place: Puts arrays on the devices, members divided among them.
        share: Puts arrays on the devices, a copy on each.
        operations: Of one member's training step.
        probe: What looks inside the members, if anything does.
        probe_rows: (state, numbers, weights, data, rows (member, batch, row)) → what it measures of each.
        probe_batches: (state, numbers, batches) → the same for batches that all members share.
    """

    def __init__(self, model: keras.Model, steps: program.Steps, rules: Sequence[callbacks.Rule]) -> None:
        setting = _Setting(model, steps, rules, callbacks.rate_position(model))
        self._setting = setting
        self._alone = stand_alone(steps.train.traced, devices.start().kind)
        self._mesh = Mesh(jax.devices(), ("member",), axis_types=(AxisType.Auto,))
        self.begin = self._mapped(partial(_begin, setting), (0,))
        self.open = self._mapped(partial(_open, setting), (0, 0, 0, None))
        self.stack = self._mapped(partial(_stack, setting), (0, 0, 0, None, None, None), donated=(0,))
        self.tail = self._mapped(partial(_tail, setting), (0, 0, None), donated=(0,))
        self.close = self._mapped(partial(program.decide, rules, setting.rate_at), (0, 0, 0, None, None))
        self.end = self._mapped(partial(_end, setting), (0,))
        self.place = partial(jax.device_put, device=NamedSharding(self._mesh, PartitionSpec("member")))
        self.share = partial(jax.device_put, device=NamedSharding(self._mesh, PartitionSpec()))
        self.operations, self.probe = operations(steps.train.traced), steps.probe
        self.probe_rows = self._mapped(partial(_probe_rows, setting), (0, 0, 0, None, 0))
        self.probe_batches = self._mapped(partial(_probe_batches, setting), (0, 0, None))
        self._made: dict[object, Callable[..., Any]] = {}

    def rows(self, way: program.Pass) -> Callable[..., Any]:
        """(state, logs, numbers, weights, data, rows, counts) → state, logs: each member's own rows of a block."""
        if way not in self._made:
            one = partial(_rows, self._setting, way)
            self._made[way] = self._mapped(one, (0, 0, 0, 0, None, 0, 0), donated=(0,))
        return self._made[way]

    def look(self, way: program.Pass, *, scored: bool, weighed: bool) -> Callable[..., Any]:
        """(state, metrics, logs, numbers, weights, data, rows, counts) → metrics, logs: rows not trained on."""
        key = (way, scored, weighed)
        if key not in self._made:
            one_step = self._setting.steps.scored if scored else self._setting.steps.watch
            assert one_step is not None
            one = partial(_look, one_step, way, weighed)
            self._made[key] = self._mapped(one, (0, 0, 0, 0, 0, None, 0, 0))
        return self._made[key]

    def _mapped(
        self, function: Callable[..., Any], axes: Sequence[int | None], donated: Sequence[int] = ()
    ) -> Callable[..., Any]:
        many, one = PartitionSpec("member"), PartitionSpec()
        specs = tuple(many if axis == 0 else one for axis in axes)
        over = spread.one_after_another if self._alone else partial(spread.over_members, spread.FIRST)
        batched = over(function, axes)
        whole = jax.shard_map(batched, mesh=self._mesh, in_specs=specs, out_specs=many, check_vma=False)
        return jax.jit(whole, donate_argnums=donated, compiler_options=spread.compiler_options())


# What follows is about one member.


def _begin(setting: _Setting, state: MemberState) -> program.Carry:
    return program.Carry(state, callbacks.begin(setting.rules, state), jnp.bool_(True))


def _open(
    setting: _Setting,
    carry: program.Carry,
    metrics: list[jax.Array],
    rates: jax.Array | None,
    epoch: jax.Array,
) -> MemberState:
    return callbacks.before_epoch((*carry.state[:3], metrics), rates, epoch, setting.rate_at)


def _stack(
    setting: _Setting,
    state: MemberState,
    logs: Logs,
    numbers: _Numbers,
    batches: Any,  # noqa: ANN401
    first: jax.Array,
    end: jax.Array,
) -> tuple[MemberState, Logs]:
    train = _trains(setting.steps, numbers)

    def body(i: jax.Array, loop: tuple[MemberState, Logs]) -> Any:  # noqa: ANN401
        return train.full(loop[0], jax.tree.map(lambda a: a[i], batches))

    return jax.lax.fori_loop(first, end, body, (state, logs))


def _tail(setting: _Setting, state: MemberState, numbers: _Numbers, batch: Any) -> Any:  # noqa: ANN401
    return _trains(setting.steps, numbers).plain(state, batch)


def _rows(
    setting: _Setting,
    way: program.Pass,
    state: MemberState,
    logs: Logs,
    numbers: _Numbers,
    weights: jax.Array,
    data: program.Data,
    rows: jax.Array,
    count: jax.Array,
) -> tuple[MemberState, Logs]:
    fetch = partial(data.batch, jnp.int32(0), weights, weighed=True)
    return program.go(way, _trains(setting.steps, numbers), state, rows, count, fetch, logs)


def _look(
    one_step: Step,
    way: program.Pass,
    weighed: bool,  # noqa: FBT001
    state: MemberState,
    metrics: list[jax.Array],
    logs: Logs,
    numbers: _Numbers,
    weights: jax.Array,
    data: program.Data,
    rows: jax.Array,
    count: jax.Array,
) -> tuple[list[jax.Array], Logs]:
    looks = program.given(one_step, lambda metrics: (state[0], state[1], metrics, numbers))
    fetch = partial(data.batch, jnp.int32(0), weights, weighed=weighed)
    return program.go(way, looks, metrics, rows, count, fetch, logs)


def _probe_rows(
    setting: _Setting,
    state: MemberState,
    numbers: _Numbers,
    weights: jax.Array,
    data: program.Data,
    rows: jax.Array,
) -> jax.Array:
    return _probe_batches(setting, state, numbers, data.batch(jnp.int32(0), weights, rows, weighed=True))


def _probe_batches(setting: _Setting, state: MemberState, numbers: _Numbers, batches: Any) -> jax.Array:  # noqa: ANN401
    assert setting.steps.probe is not None
    return setting.steps.probe.measure((state, numbers), batches)


def _end(setting: _Setting, carry: program.Carry) -> MemberState:
    model = setting.model
    seeds = {i for i, v in enumerate(model.non_trainable_variables) if "seed_generator_state" in v.name}
    return callbacks.at_end(setting.rules, carry.rules, step.finish(model, carry.state), seeds)


def _trains(steps: program.Steps, numbers: _Numbers) -> Step:
    return program.given(steps.train, lambda state: (state, numbers))
