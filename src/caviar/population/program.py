"""A block of epochs of many members as one compiled program: all that is batched over members is here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import keras
from jax.extend.core import jaxpr_as_fun
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from caviar.population import callbacks, spread, step
from caviar.population.ahead import Ahead
from caviar.population.lift import lifted
from caviar.population.probe import Probe, Sample, make_probe
from caviar.population.ragged import Step, trace
from caviar.population.step import Logs, MemberState

PROBES = "caviar/probes"
"""The log under which blocks hand out what probes measured: (member, epoch, slot)."""

_PREDICT_ROWS = 1024


# Every last batch of its own size is compiled for itself: two, as folds of nearly equal size have them, are
# worth it, because the same shapes then give the bits that `fit` gives.
_MOST_TAILS = 2


@dataclass(frozen=True)
class Pass:
    """How members with lists of rows, perhaps unequally long ones, go through them together.

    Attributes:
        batch: Rows of a full batch.
        full: Batches that are full for every member.
        rest: Further batches, which some members have short or not at all.
        even: Whether every member has a row in each of the further batches.
        tails: The numbers of rows in the one further batch, where there are few; otherwise empty, and
            batches of any number of rows are needed.
    """

    batch: int
    full: int
    rest: int
    even: bool
    tails: tuple[int, ...]

    @property
    def width(self) -> int:
        """Entries of a list of rows, filled up."""
        return self.batch * (self.full + self.rest)

    @property
    def needs_short(self) -> bool:
        """Whether the step must take batches of any number of rows."""
        return self.rest > 0 and not self.tails


def make_pass(lengths: Sequence[int], batch: int) -> Pass:
    """The shortest way through lists of so many rows each.

    >>> make_pass([64, 70], 32)
    Pass(batch=32, full=2, rest=1, even=False, tails=(0, 6))
    """
    least, most = min(lengths), max(lengths)
    batch = min(batch, most)
    full, steps = least // batch, -(-most // batch)
    tails = tuple(sorted({length - full * batch for length in lengths}))
    few = steps - full == 1 and len(tails) <= _MOST_TAILS
    return Pass(batch, full, steps - full, -(-least // batch) == steps, tails if few else ())


def make_look(lengths: Sequence[int], batch: int) -> Pass:
    """The way through rows that are only looked at: one step for all batches, which compiles once.

    >>> make_look([20, 21], 16)
    Pass(batch=16, full=0, rest=2, even=True, tails=())
    """
    exact = make_pass(lengths, batch)
    if not exact.rest:
        return exact
    return Pass(exact.batch, 0, exact.full + exact.rest, exact.even, ())


@dataclass(frozen=True)
class Passes:
    """The ways through the rows that are trained on, watched, and scored; None if nobody asks.

    `show` says whether the scored rows are looked at after each epoch, `weighs_watched` and `weighs_scored` whether
    weights count there, `watches` after which epochs rows are watched (empty: after each);
    `probed` are the rows that probes look at.
    """

    fit: Pass
    watch: Pass | None
    scored: Pass | None
    show: bool
    weighs_watched: bool
    weighs_scored: bool
    watches: tuple[bool, ...] = ()
    probed: Sample | None = None


@dataclass(frozen=True)
class Data:
    """Arrays on the device: inputs (split, row, …), targets (split, row, …), weights (set, row) or None.

    Inputs and targets may be dicts or lists of arrays; a first axis of length one is shared by all members.
    """

    x: Any
    y: Any
    weight: jax.Array | None

    def batch(
        self, split: jax.Array, weights: jax.Array, rows: jax.Array, *, weighed: bool
    ) -> tuple[Any, ...]:
        """The rows of one batch as `train_step` takes them."""
        x, y = (jax.tree.map(lambda a: _rows(a, split, rows), part) for part in (self.x, self.y))
        return (x, y, _rows(self.weight, weights, rows)) if weighed and self.weight is not None else (x, y)


jax.tree_util.register_dataclass(Data, data_fields=["x", "y", "weight"], meta_fields=[])


def _rows(values: jax.Array, split: jax.Array, rows: jax.Array) -> jax.Array:
    if values.shape[0] == 1:
        return values[0][rows]
    flat = values.reshape((-1, *values.shape[2:]))
    return flat[split * values.shape[1] + rows]


@dataclass(frozen=True)
class Member:
    """What members bring besides their state: whose inputs and weights they see, and rows, filled up to one width.

    `watch_count` and `scored_count` say how many rows of a list are real; `asked` are the rows
    they predict at the end; `metrics` are the values of the metric variables before any batch; `numbers` are
    those of its recipe that differ between members, by key (2,) as in lift.py; `rates` are those of all epochs, where a
    callback sets them (epoch,).
    """

    split: jax.Array
    weights: jax.Array
    watch: jax.Array
    watch_count: jax.Array
    scored: jax.Array
    scored_count: jax.Array
    asked: jax.Array
    metrics: list[jax.Array]
    numbers: dict[str, jax.Array]
    rates: jax.Array | None


jax.tree_util.register_dataclass(
    Member,
    data_fields=[
        "split",
        "weights",
        "watch",
        "watch_count",
        "scored",
        "scored_count",
        "asked",
        "metrics",
        "numbers",
        "rates",
    ],
    meta_fields=[],
)


@dataclass(frozen=True)
class Carry:
    """What a member carries from epoch to epoch; `active` is False once it has stopped."""

    state: MemberState
    rules: list[dict[str, Any]]
    active: jax.Array


jax.tree_util.register_dataclass(Carry, data_fields=["state", "rules", "active"], meta_fields=[])


@dataclass(frozen=True)
class Program:
    """The functions of a tile of members; states, carries, members and logs have a leading member axis.

    Attributes:
        begin: state → carry.
        ways: By the way in which members are spread over a step: (carry, members, data, orders (member, block, row),
            rows of each that are real (member, block), first epoch, epochs) → carry, logs.
        end: carry → state with the weights that the recipe ends with.
        predict: (state, members, data) → outputs for the rows asked about.
        score: (state, members, data) → logs of the scored rows.
        members: How arrays with a member axis lie on the devices: divided among them.
        shared: How others do: a copy on each.
    """

    begin: Ahead
    ways: Mapping[str, Ahead]
    end: Ahead
    predict: Ahead
    score: Ahead
    members: NamedSharding
    shared: NamedSharding

    def place(self, arrays: Any) -> Any:  # noqa: ANN401 - a tree like the one given
        """Put arrays on the devices, members divided among them."""
        return jax.device_put(arrays, self.members)

    def share(self, arrays: Any) -> Any:  # noqa: ANN401
        """Put arrays on the devices, a copy on each."""
        return jax.device_put(arrays, self.shared)


@dataclass(frozen=True)
class Steps:
    """The steps of one member, as traced once: training, and looking at rows it does not train on.

    Training is `((state, numbers), batch) → state, logs`; looking is `((trainable, non-trainable, metrics,
    numbers), batch) → metrics, logs`.
    """

    train: Step
    watch: Step | None
    scored: Step | None
    probe: Probe | None = None


def trace_steps(
    model: keras.Model,
    state: MemberState,
    numbers: dict[str, Any],
    sample: Callable[..., tuple[Any, ...]],
    passes: Passes,
) -> Steps:
    """Trace a model's steps, for batches of the sizes that its members need.

    Args:
        model: The template.
        state: Shapes and types of one member's state.
        numbers: The same of the numbers that differ between members.
        sample: A few rows as a training step takes them; with `looked=…` as a look does, with weights or without.
        passes: Which sizes.

    Raises:
        NotRagged: A step must take short batches, and that is not known to be exact.
    """

    def train_one(given: tuple[MemberState, dict[str, jax.Array]], batch: tuple[Any, ...]) -> Any:  # noqa: ANN401
        with lifted(model, given[1]):
            return step.train_step(model, given[0], batch)

    def look_at(given: tuple[Any, ...], batch: tuple[Any, ...]) -> Any:  # noqa: ANN401
        with lifted(model, given[3]):
            return step.test_step(model, given[:3], batch)

    def look(way: Pass | None, *, weighed: bool) -> Step | None:
        if way is None:
            return None
        given = (state[0], state[1], state[3], numbers)
        return trace(look_at, given, sample(looked=weighed), way.batch, short=way.needs_short)

    fit = passes.fit
    return Steps(
        trace(train_one, (state, numbers), sample(), fit.batch, short=fit.needs_short),
        look(passes.watch, weighed=passes.weighs_watched),
        look(passes.scored, weighed=passes.weighs_scored),
        make_probe(model, state, numbers, sample(), passes.probed) if passes.probed else None,
    )


@dataclass(frozen=True)
class _Setting:
    """What an epoch needs to know that is no array of a member."""

    model: keras.Model
    steps: Steps
    passes: Passes
    rules: Sequence[callbacks.Rule]
    rate_at: int | None


def make_program(
    model: keras.Model,
    steps: Steps,
    passes: Passes,
    rules: Sequence[callbacks.Rule],
) -> Program:
    """Program for members of one structure.

    Args:
        model: The template; its functions are traced, its variables stay untouched.
        steps: Its training and test steps.
        passes: How the members go through their rows.
        rules: Callbacks that run inside.
    """
    setting = _Setting(model, steps, passes, rules, callbacks.rate_position(model))
    seeds = {i for i, v in enumerate(model.non_trainable_variables) if "seed_generator_state" in v.name}
    mesh = Mesh(jax.devices(), ("member",), axis_types=(AxisType.Auto,))
    many, one = PartitionSpec("member"), PartitionSpec()

    def sharded(
        function: Callable[..., Any],
        *specs: PartitionSpec,
        way: str = spread.FIRST,
        donated: tuple[int, ...] = (),
    ) -> Ahead:
        mapped = jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=many, check_vma=False)
        options = spread.compiler_options(way)
        return Ahead(jax.jit(mapped, donate_argnums=donated, compiler_options=options))

    def begin(state: MemberState) -> Carry:
        return Carry(state, callbacks.begin(rules, state), jnp.bool_(True))

    def end(carry: Carry) -> MemberState:
        state = step.finish(model, carry.state)
        return callbacks.at_end(rules, carry.rules, state, seeds)

    asked = partial(spread.over_members, spread.FIRST)
    ways = {
        way: sharded(
            partial(_block, setting, way),
            *(many, many, one, many, many, one, one),
            way=way,
            donated=(0,),
        )
        for way in spread.WAYS
    }
    return Program(
        begin=sharded(jax.vmap(begin), many),
        ways=ways,
        end=sharded(jax.vmap(end), many),
        predict=sharded(asked(partial(_predict, setting), (0, 0, None)), many, many, one),
        score=sharded(asked(partial(_score, setting), (0, 0, None)), many, many, one),
        members=NamedSharding(mesh, many),
        shared=NamedSharding(mesh, one),
    )


def _block(
    setting: _Setting,
    way: str,
    carry: Carry,
    members: Member,
    data: Data,
    orders: jax.Array,
    counts: jax.Array,
    first: jax.Array,
    epochs: jax.Array,
) -> tuple[Carry, Logs]:
    """Some epochs of a tile of members; logs (member, epoch, …) are NaN after a stop and beyond `epochs`."""
    epoch_of = spread.over_members(way, partial(_epoch, setting), (None, 0, 0, 0, 0, None, None))
    tails = partial(_tails_of, way, setting.passes.fit)
    given = (data, carry, members, orders[:, 0], counts[:, 0], first, tails(counts[:, 0]))
    # Spreading a step over members takes longer than anything else here, so it is done once.
    traced, (after, shapes) = jax.make_jaxpr(epoch_of, return_shape=True)(*given)
    form = jax.tree.structure((after, shapes))

    def body(i: jax.Array, loop: tuple[Carry, Logs]) -> tuple[Carry, Logs]:
        before, recorded = loop
        now = (data, before, members, orders[:, i], counts[:, i], first + i, tails(counts[:, i]))
        after, logs = jax.tree.unflatten(form, jaxpr_as_fun(traced)(*jax.tree.leaves(now)))
        return after, {name: recorded[name].at[:, i].set(value) for name, value in logs.items()}

    buffers = {
        name: jnp.full((*orders.shape[:2], *each.shape[1:]), jnp.nan, jnp.float32)
        for name, each in shapes.items()
    }
    return jax.lax.fori_loop(0, epochs, body, (carry, buffers))


def _epoch(
    setting: _Setting,
    data: Data,
    before: Carry,
    member: Member,
    order: jax.Array,
    count: jax.Array,
    epoch: jax.Array,
    here: jax.Array | None,
) -> tuple[Carry, Logs]:
    """One epoch of one member: train in the given order, look at other rows, let the rules decide."""
    steps, passes, rules = setting.steps, setting.passes, setting.rules
    fetch = partial(data.batch, member.split, member.weights)
    begun = callbacks.before_epoch((*before.state[:3], member.metrics), member.rates, epoch, setting.rate_at)
    train = given(steps.train, lambda state: (state, member.numbers))
    state, logs = go(passes.fit, train, begun, order, count, partial(fetch, weighed=True), here=here)
    watches = jnp.asarray(passes.watches or (True,))[epoch if passes.watches else 0]
    if passes.watch is not None and steps.watch is not None:
        rows, watched = (member.watch, member.watch_count), partial(fetch, weighed=passes.weighs_watched)
        look = partial(_look, passes.watch, steps.watch, state, member, rows, watched)
        seen = _if(watches, look) if passes.watches else look()
        logs |= {f"val_{name}": value for name, value in seen.items()}
    after, logs = decide(rules, setting.rate_at, before, state, logs, epoch, watches)
    if steps.probe is not None:
        seen = steps.probe.sometimes(epoch, (begun, member.numbers), order, partial(fetch, weighed=True))
        logs |= _known(before, {PROBES: jnp.asarray(seen, jnp.float32)})
    if passes.show:
        # Seen by nobody who decides: recorded after the rules have had their say.
        shown = {f"held_out_{name}": value for name, value in _score(setting, state, member, data).items()}
        logs |= _known(before, {name: jnp.asarray(value, jnp.float32) for name, value in shown.items()})
    return after, logs


def decide(
    rules: Sequence[callbacks.Rule],
    rate_at: int | None,
    before: Carry,
    state: MemberState,
    logs: Logs,
    epoch: jax.Array,
    watched: jax.Array,
) -> tuple[Carry, Logs]:
    """Let the rules decide at the end of an epoch; a member that had stopped before stays as it was.

    Args:
        rules: Callbacks that run inside.
        rate_at: Where the learning rate stands among the optimizer's variables.
        before: The member at the beginning of the epoch.
        state: Its state at the end.
        logs: Of the epoch.
        epoch: Its number.
        watched: Whether rows were watched after it.
    """
    rate = state[2][rate_at] if rate_at is not None else None
    numbers, state, stops = callbacks.after_epoch(
        rules, before.rules, state, logs, epoch, rate_at, watched=watched
    )
    if rate is not None:
        logs = {**logs, "learning_rate": rate}
    after = Carry(state, numbers, before.active & ~stops)
    if callbacks.stops(rules):
        after = _where(before.active, after, before)
    return after, _known(before, {name: jnp.asarray(value, jnp.float32) for name, value in logs.items()})


def _known(before: Carry, logs: Logs) -> Logs:
    """Logs of a member that still trains; NaN once it has stopped."""
    return {name: jnp.where(before.active, value, jnp.nan) for name, value in logs.items()}


def _if(condition: jax.Array, look: Callable[[], Logs]) -> Logs:
    """Logs where the condition holds, which must be the same for all members; NaN, and no work, where not."""

    def floats() -> Logs:
        return {name: jnp.asarray(value, jnp.float32) for name, value in look().items()}

    return jax.lax.cond(
        condition, floats, lambda: dict.fromkeys(jax.eval_shape(floats), jnp.float32(jnp.nan))
    )


def _score(setting: _Setting, state: MemberState, member: Member, data: Data) -> Logs:
    """What evaluating a member's scored rows gives."""
    way, one = setting.passes.scored, setting.steps.scored
    assert way is not None
    assert one is not None
    fetch = partial(data.batch, member.split, member.weights, weighed=setting.passes.weighs_scored)
    return _look(way, one, state, member, (member.scored, member.scored_count), fetch)


def _look(
    way: Pass,
    one: Step,
    state: MemberState,
    member: Member,
    rows: tuple[jax.Array, jax.Array],
    fetch: Callable[[jax.Array], Any],
) -> Logs:
    """Logs of rows (and how many of them are real) that a member does not train on."""
    look = given(one, lambda metrics: (state[0], state[1], metrics, member.numbers))
    return go(way, look, member.metrics, *rows, fetch)[1]


def given(one: Step, state_of: Callable[[Any], Any]) -> Step:
    """A step that carries only a part of what it needs."""

    def of(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda carry, *rest: function(state_of(carry), *rest)

    return Step(of(one.full), of(one.plain), None if one.short is None else of(one.short), one.traced)


def _where(condition: jax.Array, yes: Any, no: Any) -> Any:  # noqa: ANN401
    return jax.tree.map(partial(jnp.where, condition), yes, no)


def go(
    way: Pass,
    one: Step,
    carry: Any,  # noqa: ANN401 - whatever the step carries
    rows: jax.Array,
    count: jax.Array,
    fetch: Callable[[jax.Array], Any],
    logs: Logs | None = None,
    here: jax.Array | None = None,
) -> tuple[Any, Logs]:
    """Go through rows in batches: full ones, then those that are short or missing; the logs after the last.

    Args:
        way: Which batches are which.
        one: The step: `(carry, batch) → carry, logs`.
        carry: What it starts from.
        rows: Row numbers (row,), filled up to the way's width.
        count: How many of them are real.
        fetch: Row numbers → batch.
        logs: What they are where there is no row at all.
        here: From `_tails_of`, the same for all members that take a step together; None if every tail is taken.
    """
    logs = logs or {}
    batches = rows.reshape(-1, way.batch)
    if way.full:
        carry, every = jax.lax.scan(
            lambda carry, rows: one.full(carry, fetch(rows)), carry, batches[: way.full]
        )
        logs = {name: values[-1] for name, values in every.items()}
    if way.tails:
        before, tail = (carry, logs), count - way.full * way.batch
        for i, size in enumerate(way.tails):
            after = _taken(one, before, fetch, batches[-1][:size], None if here is None else here[i])
            carry, logs = _where(tail == size, after, (carry, logs)) if i else after
        return carry, logs
    return _further(way, one, (carry, logs), batches[way.full :], count, fetch) if way.rest else (carry, logs)


def _tails_of(way: str, fit: Pass, counts: jax.Array) -> jax.Array | None:
    """Which tails there are among members that take a step together (tail,); None where all of them are.

    Args:
        way: How members are spread over a step.
        fit: How they go through their rows.
        counts: How many rows each of them has (member,).
    """
    if way == spread.FIRST or len(fit.tails) == 1:  # no look at who has which
        return None
    return (counts[:, None] - fit.full * fit.batch == jnp.asarray(fit.tails, counts.dtype)).any(axis=0)


def _taken(
    one: Step,
    before: tuple[Any, Logs],
    fetch: Callable[[jax.Array], Any],
    rows: jax.Array,
    here: jax.Array | None,
) -> tuple[Any, Logs]:
    """What a step on a last batch of its own size makes of a carry and logs; no work where no member has one."""

    def take() -> tuple[Any, Logs]:
        return one.plain(before[0], fetch(rows)) if len(rows) else before

    # Without a full batch there are no logs yet that could stay.
    return take() if here is None or not before[1] else jax.lax.cond(here, take, lambda: before)


def _further(
    way: Pass,
    one: Step,
    before: tuple[Any, Logs],
    batches: jax.Array,
    count: jax.Array,
    fetch: Callable[[jax.Array], Any],
) -> tuple[Any, Logs]:
    """Batches that are short or missing for some members."""
    short = one.short
    assert short is not None
    carry, logs = before
    if not logs:
        shapes = jax.eval_shape(one.full, carry, fetch(batches[0]))[1]
        logs = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)

    def further(loop: tuple[Any, Logs], at: tuple[jax.Array, jax.Array]) -> tuple[tuple[Any, Logs], None]:
        start, rows = at
        real = jnp.clip(count - start, 0, way.batch)
        after = short(loop[0], fetch(rows), jnp.maximum(real, 1))
        return (after if way.even else _where(real > 0, after, loop)), None

    starts = way.batch * jnp.arange(way.full, way.full + way.rest)
    return jax.lax.scan(further, (carry, logs), (starts, batches))[0]


def _predict(setting: _Setting, state: MemberState, member: Member, data: Data) -> Any:  # noqa: ANN401
    """What one member says of the rows it is asked about, a thousand at a time."""
    count = member.asked.shape[0]
    width = min(_PREDICT_ROWS, count)
    padded = jnp.concatenate([member.asked, jnp.broadcast_to(member.asked[:1], (-count % width,))])

    def some(rows: jax.Array) -> Any:  # noqa: ANN401
        with lifted(setting.model, member.numbers):
            inputs = data.batch(member.split, member.weights, rows, weighed=False)[0]
            return step.predict(setting.model, state, inputs)

    outputs = jax.lax.map(some, padded.reshape(-1, width))
    return jax.tree.map(lambda a: a.reshape((-1, *a.shape[2:]))[:count], outputs)
