"""The one vmap and the one scan: a block of epochs of many members as one compiled program."""

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
    """What fixes the shapes of a program: members that share these share it.

    Attributes:
        fit: Training rows of a member; a batch that is not full is a real short batch.
        watch: Rows that callbacks may watch (`val_` in the logs), 0 for none.
        scored: Held-out rows, shown per epoch (`held_out_` in the logs) when `show` is set.
    """

    fit: int
    watch: int
    scored: int
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
    """What one member brings besides its state: which split's inputs it sees, and fixed row lists.

    `asked` are the rows it predicts at the end.
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
    """The compiled functions of one group of members; all take and return a leading member axis.

    Attributes:
        begin: state → carry.
        block: (carry, members, data, orders (member, block, row), first epoch, epochs) → carry, logs.
        end: carry → state with the weights that the recipe ends with.
        predict: (state, members, data) → outputs for the rows asked about.
    """

    begin: Callable[..., Any]
    block: Callable[..., Any]
    end: Callable[..., Any]
    predict: Callable[..., Any]
    place: Callable[..., Any]
    share: Callable[..., Any]
    shards: int


def make_program(
    model: keras.Model, sizes: Sizes, rules: Sequence[callbacks.Rule], metrics: list[Any]
) -> Program:
    """Program for members of one structure and one set of sizes.

    Args:
        model: The template; its step functions are traced, its variables stay untouched.
        sizes: Shapes that all members share.
        rules: Callbacks that run inside.
        metrics: Values of the metric variables before any batch.
    """
    rate_at = callbacks.rate_position(model)
    seeds = {i for i, v in enumerate(model.non_trainable_variables) if "seed_generator_state" in v.name}
    devices = jax.devices()
    mesh = Mesh(devices, ("member",), axis_types=(AxisType.Auto,))
    many, one = PartitionSpec("member"), PartitionSpec()

    def sharded(function: Callable[..., Any], specs: tuple[Any, ...], **options: Any) -> Callable[..., Any]:  # noqa: ANN401
        axes = tuple(0 if s == many else None for s in specs)
        mapped = jax.vmap(function, in_axes=axes)
        return jax.jit(
            jax.shard_map(mapped, mesh=mesh, in_specs=specs, out_specs=many, check_vma=False), **options
        )

    def begin(state: MemberState) -> Carry:
        return Carry(state, callbacks.begin(rules, state), jnp.bool_(True))

    def end(carry: Carry) -> MemberState:
        state = step.finish(model, carry.state)
        return callbacks.at_end(rules, carry.rules, state, seeds)

    block = partial(_block, model, sizes, rules, rate_at, metrics)
    return Program(
        begin=sharded(begin, (many,)),
        block=sharded(block, (many, many, one, many, one, one), donate_argnums=0),
        end=sharded(end, (many,)),
        predict=sharded(partial(_predict, model), (many, many, one)),
        place=partial(jax.device_put, device=NamedSharding(mesh, many)),
        share=partial(jax.device_put, device=NamedSharding(mesh, one)),
        shards=len(devices),
    )


def _block(
    model: keras.Model,
    sizes: Sizes,
    rules: Sequence[callbacks.Rule],
    rate_at: int | None,
    metrics: list[Any],
    carry: Carry,
    member: Member,
    data: Data,
    orders: jax.Array,
    first: jax.Array,
    epochs: jax.Array,
) -> tuple[Carry, Logs]:
    """Some epochs of one member; logs are NaN for epochs after its stop and beyond `epochs`."""
    traced, (_, shapes) = jax.make_jaxpr(
        partial(_epoch, model, sizes, rules, rate_at, metrics, member, data), return_shape=True
    )(carry, orders[0], first)
    structure = jax.tree.structure((carry, shapes))

    def epoch_of(*arguments: Any) -> tuple[Carry, Logs]:  # noqa: ANN401
        """The epoch as traced once above: tracing Keras' steps is most of the work before compiling."""
        return jax.tree.unflatten(structure, jaxpr_as_fun(traced)(*jax.tree.leaves(arguments)))

    buffers = {name: jnp.full((sizes.block, *s.shape), jnp.nan, jnp.float32) for name, s in shapes.items()}

    def body(i: jax.Array, loop: tuple[Carry, Logs]) -> tuple[Carry, Logs]:
        before, recorded = loop
        after, logs = epoch_of(before, orders[i], first + i)
        if any(isinstance(rule, callbacks.Stop) for rule in rules):
            after = jax.tree.map(partial(jnp.where, before.active), after, before)
            logs = {name: jnp.where(before.active, value, jnp.nan) for name, value in logs.items()}
        return after, {name: recorded[name].at[i].set(value) for name, value in logs.items()}

    return jax.lax.fori_loop(0, epochs, body, (carry, buffers))


def _epoch(
    model: keras.Model,
    sizes: Sizes,
    rules: Sequence[callbacks.Rule],
    rate_at: int | None,
    metrics: list[Any],
    member: Member,
    data: Data,
    carry: Carry,
    order: jax.Array,
    epoch: jax.Array,
) -> tuple[Carry, Logs]:
    """One epoch of one member: train in the given row order, look at the other rows, let the rules decide."""
    state = (carry.state[0], carry.state[1], carry.state[2], metrics)

    def train(state: MemberState, rows: jax.Array) -> tuple[MemberState, Logs]:
        logs, state = step.train_step(model, state, data.batch(member.split, rows))
        return state, logs

    state, logs = _over_batches(train, state, order, sizes.batch)
    rate = state[2][rate_at] if rate_at is not None else None

    def look(rows: jax.Array, batch: int) -> Logs:
        def test(gathered: list[Any], rows: jax.Array) -> tuple[list[Any], Logs]:
            logs, gathered = step.test_step(model, state, gathered, data.batch(member.split, rows))
            return gathered, logs

        return _over_batches(test, metrics, rows, batch)[1]

    if sizes.watch:
        logs |= {f"val_{name}": value for name, value in look(member.watch, sizes.watch_batch).items()}
    numbers, state, stops = callbacks.after_epoch(rules, carry.rules, state, logs, epoch, rate_at)
    if sizes.show:
        # Seen by nobody who decides: recorded after the rules have had their say.
        logs |= {f"held_out_{name}": v for name, v in look(member.scored, sizes.scored_batch).items()}
    if rate is not None:
        logs["learning_rate"] = rate
    logs = {name: jnp.asarray(value, jnp.float32) for name, value in logs.items()}
    return Carry(state, numbers, carry.active & ~stops), logs


def _over_batches(
    one: Callable[[Any, jax.Array], tuple[Any, Logs]],
    state: Any,  # noqa: ANN401 - whatever `one` carries
    rows: jax.Array,
    batch: int,
) -> tuple[Any, Logs]:
    """Full batches in a scan, then the short rest as a real short batch; the logs after the last."""
    full = rows.shape[0] // batch
    logs: Logs = {}
    if full:
        state, every = jax.lax.scan(one, state, rows[: full * batch].reshape(full, batch))
        logs = {name: values[-1] for name, values in every.items()}
    if rows.shape[0] % batch:
        state, logs = one(state, rows[full * batch :])
    return state, logs


def _predict(model: keras.Model, state: MemberState, member: Member, data: Data) -> Any:  # noqa: ANN401
    """Outputs of one member for the rows it is asked about, a thousand at a time."""
    rows = member.asked
    count = rows.shape[0]
    width = min(_PREDICT_ROWS, count)
    padded = jnp.concatenate([rows, jnp.broadcast_to(rows[:1], (-count % width,))])

    def some(rows: jax.Array) -> Any:  # noqa: ANN401
        return step.predict(model, state, data.batch(member.split, rows)[0])

    outputs = jax.lax.map(some, padded.reshape(-1, width))
    return jax.tree.map(lambda a: a.reshape((-1, *a.shape[2:]))[:count], outputs)
