"""A block of epochs of many members as one compiled program: all that is batched over members is here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import keras
from jax.extend.core import jaxpr_as_fun
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from caviar.population import callbacks, step
from caviar.population.step import Logs, MemberState

_PREDICT_ROWS = 1024


@dataclass(frozen=True)
class Sizes:
    """What fixes the shapes of a program besides its groups' row counts.

    Attributes:
        groups: Members of each group in one shard. Members of a group have equally many rows to train on, to
            watch and to score; all groups of a program have equally many full batches, so that only their short
            last batches differ.
        batch: Rows per gradient step.
        watch_batch: Rows per step over the watched rows (`val_` in the logs).
        scored_batch: Rows per step over the held-out rows (`held_out_` in the logs).
        block: Most epochs of one call.
        show: Whether to look at the held-out rows after each epoch.
    """

    groups: tuple[int, ...]
    batch: int
    watch_batch: int
    scored_batch: int
    block: int
    show: bool


@dataclass(frozen=True)
class Data:
    """Arrays on the device: inputs (split, row, …), targets (split, row, …), weights (row,) or None.

    A first axis of length one is shared by all splits.
    """

    x: jax.Array
    y: jax.Array
    weight: jax.Array | None

    def batch(self, split: jax.Array, rows: jax.Array) -> tuple[Any, ...]:
        """The rows of one batch as `train_step` takes them."""
        x = _rows(self.x, split, rows)
        y = _rows(self.y, split, rows)
        return (x, y) if self.weight is None else (x, y, self.weight[rows])


jax.tree_util.register_dataclass(Data, data_fields=["x", "y", "weight"], meta_fields=[])


def _rows(values: jax.Array, split: jax.Array, rows: jax.Array) -> jax.Array:
    if values.shape[0] == 1:
        return values[0][rows]
    flat = values.reshape((-1, *values.shape[2:]))
    return flat[split * values.shape[1] + rows]


@dataclass(frozen=True)
class Member:
    """What the members of a group bring besides their state: whose inputs they see, and fixed row lists.

    `asked` are the rows they predict at the end.
    """

    split: jax.Array
    watch: jax.Array
    scored: jax.Array
    asked: jax.Array


jax.tree_util.register_dataclass(Member, data_fields=["split", "watch", "scored", "asked"], meta_fields=[])


@dataclass(frozen=True)
class Carry:
    """What a member carries from epoch to epoch; `active` is False once it has stopped."""

    state: MemberState
    rules: list[dict[str, Any]]
    active: jax.Array


jax.tree_util.register_dataclass(Carry, data_fields=["state", "rules", "active"], meta_fields=[])


@dataclass(frozen=True)
class Program:
    """The compiled functions of a population; states and carries have a leading member axis.

    Within a shard, members stand in the order of their groups. `Member`s and row orders come as one value per
    group.

    Attributes:
        begin: state → carry.
        block: (carry, members, data, orders (member, block, row), first epoch, epochs) → carry, logs.
        end: carry → state with the weights that the recipe ends with.
        predict: (state, members, data) → outputs for the rows asked about, one array per group.
        place: Puts arrays on the devices, members divided among them.
        share: Puts arrays on the devices, a copy on each.
    """

    begin: Callable[..., Any]
    block: Callable[..., Any]
    end: Callable[..., Any]
    predict: Callable[..., Any]
    place: Callable[..., Any]
    share: Callable[..., Any]


@dataclass(frozen=True)
class _Setting:
    """What an epoch needs to know that is no array of a member."""

    model: keras.Model
    sizes: Sizes
    rules: Sequence[callbacks.Rule]
    rate_at: int | None
    metrics: list[Any]


def make_program(
    model: keras.Model, sizes: Sizes, rules: Sequence[callbacks.Rule], metrics: list[Any]
) -> Program:
    """Program for members of one structure.

    Args:
        model: The template; its step functions are traced, its variables stay untouched.
        sizes: Shapes that all members share.
        rules: Callbacks that run inside.
        metrics: Values of the metric variables before any batch.
    """
    setting = _Setting(model, sizes, rules, callbacks.rate_position(model), metrics)
    seeds = {i for i, v in enumerate(model.non_trainable_variables) if "seed_generator_state" in v.name}
    mesh = Mesh(jax.devices(), ("member",), axis_types=(AxisType.Auto,))
    many, one = PartitionSpec("member"), PartitionSpec()

    def sharded(function: Callable[..., Any], *specs: PartitionSpec, **options: Any) -> Callable[..., Any]:  # noqa: ANN401
        mapped = jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=many, check_vma=False)
        return jax.jit(mapped, **options)

    def begin(state: MemberState) -> Carry:
        return Carry(state, callbacks.begin(rules, state), jnp.bool_(True))

    def end(carry: Carry) -> MemberState:
        state = step.finish(model, carry.state)
        return callbacks.at_end(rules, carry.rules, state, seeds)

    return Program(
        begin=sharded(jax.vmap(begin), many),
        block=sharded(partial(_block, setting), many, many, one, many, one, one, donate_argnums=0),
        end=sharded(jax.vmap(end), many),
        predict=sharded(partial(_predict, setting), many, many, one),
        place=partial(jax.device_put, device=NamedSharding(mesh, many)),
        share=partial(jax.device_put, device=NamedSharding(mesh, one)),
    )


def _block(
    setting: _Setting,
    carry: Carry,
    members: Sequence[Member],
    data: Data,
    orders: Sequence[jax.Array],
    first: jax.Array,
    epochs: jax.Array,
) -> tuple[Carry, Logs]:
    """Some epochs of all members; logs (member, epoch) are NaN after a stop and beyond `epochs`."""
    now = [order[:, 0] for order in orders]
    traced, (_, shapes) = jax.make_jaxpr(partial(_epoch, setting, members, data), return_shape=True)(
        carry, now, first
    )
    structure = jax.tree.structure((carry, shapes))

    def epoch_of(*arguments: Any) -> tuple[Carry, Logs]:  # noqa: ANN401
        """The epoch as traced once above: tracing Keras' steps is most of the work before compiling."""
        return jax.tree.unflatten(structure, jaxpr_as_fun(traced)(*jax.tree.leaves(arguments)))

    def body(i: jax.Array, loop: tuple[Carry, Logs]) -> tuple[Carry, Logs]:
        before, recorded = loop
        after, logs = epoch_of(before, [order[:, i] for order in orders], first + i)
        if any(isinstance(rule, callbacks.Stop) for rule in setting.rules):
            after = jax.vmap(partial(jax.tree.map, jnp.where))(_everywhere(before), after, before)
            logs = {name: jnp.where(before.active, value, jnp.nan) for name, value in logs.items()}
        return after, {name: recorded[name].at[:, i].set(value) for name, value in logs.items()}

    count = sum(setting.sizes.groups)
    buffers = {name: jnp.full((count, setting.sizes.block), jnp.nan, jnp.float32) for name in shapes}
    return jax.lax.fori_loop(0, epochs, body, (carry, buffers))


def _everywhere(carry: Carry) -> Carry:
    """`active` in the place of every value of a carry."""
    return jax.tree.map(lambda _: carry.active, carry)


def _epoch(
    setting: _Setting,
    members: Sequence[Member],
    data: Data,
    carry: Carry,
    orders: Sequence[jax.Array],
    epoch: jax.Array,
) -> tuple[Carry, Logs]:
    """One epoch of all members: train in the given orders, look at other rows, let the rules decide."""
    model, sizes, rules = setting.model, setting.sizes, setting.rules
    count = sum(sizes.groups)
    metrics = [jnp.broadcast_to(value, (count, *value.shape)) for value in setting.metrics]
    state, logs = _train(setting, members, data, (*carry.state[:3], metrics), orders)
    rate = state[2][setting.rate_at] if setting.rate_at is not None else None

    def look(rows_of: Callable[[Member], jax.Array], batch: int) -> Logs:
        def one(state: MemberState, split: jax.Array, rows: jax.Array) -> Logs:
            def test(gathered: list[Any], rows: jax.Array) -> tuple[list[Any], Logs]:
                logs, gathered = step.test_step(model, state, gathered, data.batch(split, rows))
                return gathered, logs

            return _over_batches(test, setting.metrics, rows, batch)

        looked = [
            jax.vmap(one)(part, member.split, rows_of(member))
            for part, member in zip(_apart(state, sizes.groups), members, strict=True)
        ]
        return _together(looked)

    if members[0].watch.shape[1]:
        seen = look(lambda member: member.watch, sizes.watch_batch)
        logs |= {f"val_{name}": value for name, value in seen.items()}
    decide = partial(callbacks.after_epoch, rules, rate_at=setting.rate_at)
    numbers, state, stops = jax.vmap(decide, in_axes=(0, 0, 0, None))(carry.rules, state, logs, epoch)
    if sizes.show:
        # Seen by nobody who decides: recorded after the rules have had their say.
        seen = look(lambda member: member.scored, sizes.scored_batch)
        logs |= {f"held_out_{name}": value for name, value in seen.items()}
    if rate is not None:
        logs["learning_rate"] = rate
    logs = {name: jnp.asarray(value, jnp.float32) for name, value in logs.items()}
    return Carry(state, numbers, carry.active & ~stops), logs


def _train(
    setting: _Setting,
    members: Sequence[Member],
    data: Data,
    state: MemberState,
    orders: Sequence[jax.Array],
) -> tuple[MemberState, Logs]:
    """One pass over the training rows: full batches of all members in a scan, then each group's short rest."""
    groups, batch = setting.sizes.groups, setting.sizes.batch
    full = orders[0].shape[1] // batch
    split = jnp.concatenate([member.split for member in members])

    def one(state: MemberState, split: jax.Array, rows: jax.Array) -> tuple[MemberState, Logs]:
        logs, state = step.train_step(setting.model, state, data.batch(split, rows))
        return state, logs

    logs: Logs = {}
    if full:
        whole = jnp.concatenate([order[:, : full * batch] for order in orders])
        batches = whole.reshape(len(whole), full, batch).swapaxes(0, 1)
        state, every = jax.lax.scan(lambda state, rows: jax.vmap(one)(state, split, rows), state, batches)
        logs = {name: values[-1] for name, values in every.items()}
    if all(order.shape[1] == full * batch for order in orders):
        return state, logs
    parts = zip(_apart((state, logs), groups), members, orders, strict=True)
    return _together(
        [
            jax.vmap(one)(before[0], member.split, order[:, full * batch :])
            if order.shape[1] > full * batch
            else before
            for before, member, order in parts
        ]
    )


def _apart(merged: Any, groups: Sequence[int]) -> list[Any]:  # noqa: ANN401
    """Values with a member axis, divided into those of each group."""
    parts, start = [], 0
    for count in groups:
        parts.append(jax.tree.map(lambda a, lo=start, hi=start + count: a[lo:hi], merged))
        start += count
    return parts


def _together(parts: Sequence[Any]) -> Any:  # noqa: ANN401
    """Values of all groups along one member axis."""
    return parts[0] if len(parts) == 1 else jax.tree.map(lambda *a: jnp.concatenate(a), *parts)


def _over_batches(
    one: Callable[[Any, jax.Array], tuple[Any, Logs]],
    state: Any,  # noqa: ANN401 - whatever `one` carries
    rows: jax.Array,
    batch: int,
) -> Logs:
    """Full batches in a scan, then the short rest as a real short batch; the logs after the last."""
    full = rows.shape[0] // batch
    logs: Logs = {}
    if full:
        state, every = jax.lax.scan(one, state, rows[: full * batch].reshape(full, batch))
        logs = {name: values[-1] for name, values in every.items()}
    if rows.shape[0] % batch:
        _, logs = one(state, rows[full * batch :])
    return logs


def _predict(setting: _Setting, state: MemberState, members: Sequence[Member], data: Data) -> list[Any]:
    """Outputs of all members for the rows they are asked about, a thousand at a time; one value per group."""

    def one(state: MemberState, split: jax.Array, rows: jax.Array) -> Any:  # noqa: ANN401
        count = rows.shape[0]
        width = min(_PREDICT_ROWS, count)
        padded = jnp.concatenate([rows, jnp.broadcast_to(rows[:1], (-count % width,))])

        def some(rows: jax.Array) -> Any:  # noqa: ANN401
            return step.predict(setting.model, state, data.batch(split, rows)[0])

        outputs = jax.lax.map(some, padded.reshape(-1, width))
        return jax.tree.map(lambda a: a.reshape((-1, *a.shape[2:]))[:count], outputs)

    parts = zip(_apart(state, setting.sizes.groups), members, strict=True)
    return [jax.vmap(one)(part, member.split, member.asked) for part, member in parts]
