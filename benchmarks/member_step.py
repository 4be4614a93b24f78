"""How close is one member's gradient step to what this machine can do? Caviar beside a C loop and plain JAX.

300 members of a 10-20-3 network at batch 32, all in steady state and in the same run, taking turns:

    python benchmarks/member_step.py            # a few minutes on two quiet cores; writes docs/performance.md
    python benchmarks/member_step.py --quick    # one short round, prints only

The C loop (limit.c, compiled here) trains one member after another, one process per core. Plain JAX is the
same network under `jax.vmap`, members first, without Keras, callbacks or a host that draws row orders.
Everybody trains on the same rows in batches of 32 with a real short last one, a new order in every epoch.
In its first turn Caviar chooses by itself how it spreads members over a step; later turns repeat that choice.
"""

import argparse
import itertools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from speed import machine
from speed_contenders import BATCH, HIDDEN, keras_model, splits, table
from tables import load_before, spread, write

SOURCE = Path(__file__).with_name("limit.c")
FLAGS = ("-O3", "-march=native", "-ffast-math")
MEMBERS = 300
# Enough for Caviar to find it worth its while to try more than one way.
EPOCHS = 250
ROUNDS = 5
ENGINE, LIMIT, PLAIN = "Caviar", "C loop", "plain JAX"
AIM = 3.0
# Contenders draw their own weights and orders, so mean losses over all members agree up to chance only.
_SAME_LOSS = 0.03


@dataclass(frozen=True)
class Work:
    """Whose rows, how long, how wide: inputs (row, 10), targets (row, 3), rows to fit (member, row)."""

    x: np.ndarray
    y: np.ndarray
    fit: np.ndarray
    epochs: int
    width: int = HIDDEN

    @property
    def members(self) -> int:
        """How many networks."""
        return len(self.fit)

    @property
    def steps(self) -> int:
        """Gradient steps of one member in one epoch."""
        return -(-self.fit.shape[1] // BATCH)


@dataclass(frozen=True)
class Turn:
    """One turn of one contender.

    Attributes:
        microseconds: Wall time of the whole machine per member and gradient step.
        losses: Each member's mean loss over its last epoch.
        spread: How Caviar spread members over a step, in words.
    """

    microseconds: float
    losses: np.ndarray
    spread: str = ""


def make_work(epochs: int, members: int = MEMBERS, width: int = HIDDEN) -> Work:
    """The rows of every contender."""
    x, y = table()
    fit = np.stack([fit for fit, _ in splits(len(x), members)]).astype(np.int32)
    return Work(x, y, fit, epochs, width)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def compiled(folder: Path, width: int = HIDDEN) -> Path:
    """The C loop as a program for hidden layers of so many units, a multiple of four.

    Raises:
        SystemExit: There is no C compiler, or it refuses the source.
    """
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise SystemExit(
            "Expected a C compiler named gcc or cc, found none. Install gcc to measure the limit."
        )
    program = folder / f"limit-{width}"
    block = 5 if width % 5 == 0 else 4
    sizes = (f"-DHIDDEN={width}", f"-DBLOCK={block}")
    command = [compiler, *FLAGS, *sizes, str(SOURCE), "-lm", "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"Expected {compiler} to compile {SOURCE.name}, but it said: {done.stderr.strip()}")
    return program


def write_work(work: Work, path: Path) -> None:
    """Write the job file that limit.c describes."""
    sizes = np.array([len(work.x), work.members, work.fit.shape[1], work.epochs], "<i4")
    parts = (sizes, work.x.astype("<f4"), work.y.astype("<f4"), work.fit.astype("<i4"))
    path.write_bytes(b"".join(part.tobytes() for part in parts))


def limit_turn(program: Path, job: Path, work: Work) -> Turn:
    """All members in C, divided among one process per core; the slowest process counts."""
    edges = np.linspace(0, work.members, cores() + 1).astype(int)
    running = [
        subprocess.Popen([str(program), str(job), str(lo), str(hi - lo)], stdout=subprocess.PIPE, text=True)
        for lo, hi in itertools.pairwise(edges)
    ]
    said = [process.communicate()[0].split() for process in running]
    if any(process.returncode for process in running):
        raise SystemExit("Expected the C loop to train all members, but it failed. See its message above.")
    seconds = max(float(lines[0]) for lines in said)
    losses = np.array([float(line) for lines in said for line in lines[1:]])
    return Turn(1e6 * seconds / (work.members * work.steps * work.epochs), losses)


def engine_turns(work: Work, way: str = "auto", loss: str = "mae") -> Callable[[], Turn]:
    """All members as one population; the clock runs from the end of the first block, which compiles.

    Args:
        work: Whose rows, and how long.
        way: How members are spread in the first turn (`Job.spread`); later ones repeat what it was.
        loss: What Keras calls the loss.
    """
    from caviar.population.job import Job, Seat, Trained
    from caviar.population.train import train
    from clock import Clock

    none = np.empty(0, np.int64)
    seats = [Seat(0, 0, seed=i, split=0, fit=fit, watch=none, scored=none) for i, fit in enumerate(work.fit)]
    job = Job(
        partial(keras_model, 1, work.width, loss), work.x[None], work.y[None], None, seats, BATCH, work.epochs
    )
    chosen: list[Trained] = []

    def turn() -> Turn:
        clock = Clock()
        trained = train(replace(job, spread=chosen[0].way if chosen else way), clock)
        if trained.engine != "population":
            raise SystemExit(f"Expected one population, but Caviar trained one by one: {trained.why}.")
        chosen.append(trained)
        return Turn(clock.microseconds(), trained.history["loss"].values[:, -1], chosen[0].spread)

    return turn


def plain_turn(work: Work) -> Callable[[], Turn]:
    """The same training in plain JAX, members first and divided among the devices; compiled once, here."""
    import jax
    from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

    shards = len(jax.devices())
    mesh = Mesh(jax.devices(), ("member",), axis_types=(AxisType.Auto,))
    many, one = PartitionSpec("member"), PartitionSpec()
    place = partial(jax.device_put, device=NamedSharding(mesh, many))
    share = partial(jax.device_put, device=NamedSharding(mesh, one))
    padded = np.concatenate([work.fit, np.repeat(work.fit[-1:], -work.members % shards, axis=0)])
    rng = np.random.default_rng(0)
    state = place(_plain_state(len(padded), rng))
    orders = [place(rng.permuted(padded, axis=1)) for _ in range(work.epochs)]
    data = share((work.x, work.y))
    mapped = jax.shard_map(
        _plain_epoch, mesh=mesh, in_specs=(one, many, many), out_specs=many, check_vma=False
    )
    epoch = jax.jit(mapped)
    jax.block_until_ready(epoch(data, state, orders[0]))

    def turn() -> Turn:
        carried, losses = state, None
        began = time.perf_counter()
        for order in orders:
            carried, losses = epoch(data, carried, order)
        last = np.asarray(losses)[: work.members]
        seconds = time.perf_counter() - began
        return Turn(1e6 * seconds / (work.members * work.steps * work.epochs), last)

    return turn


def _plain_state(members: int, rng: np.random.Generator) -> tuple[Any, ...]:
    """Weights, momenta, velocities and step counts of all members, as Keras would begin."""
    inputs, outputs = 10, 3
    hidden, last = np.sqrt(6 / inputs), np.sqrt(6 / (HIDDEN + outputs))
    weights = [
        rng.uniform(-hidden, hidden, (members, inputs, HIDDEN)),
        np.zeros((members, HIDDEN)),
        rng.uniform(-last, last, (members, HIDDEN, outputs)),
        np.zeros((members, outputs)),
    ]
    weights = [value.astype(np.float32) for value in weights]
    zeros = [np.zeros_like(value) for value in weights]
    return weights, zeros, zeros, np.zeros(members, np.float32)


def _plain_epoch(data: Any, state: Any, orders: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """One epoch of all members of a shard; orders (member, row); returns their mean losses too."""
    import jax
    import jax.numpy as jnp

    x, y = data

    def loss(weights: list[Any], rows: Any) -> Any:  # noqa: ANN401
        hidden = jax.nn.relu(x[rows] @ weights[0] + weights[1])
        return jnp.abs(hidden @ weights[2] + weights[3] - y[rows]).mean()

    def one(state: Any, rows: Any) -> tuple[Any, Any]:  # noqa: ANN401
        weights, momenta, velocities, count = state
        value, slopes = jax.value_and_grad(loss)(weights, rows)
        count = count + 1
        rate = 1e-3 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        momenta = [m + 0.1 * (g - m) for m, g in zip(momenta, slopes, strict=True)]
        velocities = [v + 0.001 * (g * g - v) for v, g in zip(velocities, slopes, strict=True)]
        weights = [
            w - rate * m / (jnp.sqrt(v) + 1e-7) for w, m, v in zip(weights, momenta, velocities, strict=True)
        ]
        return (weights, momenta, velocities, count), value * rows.shape[0]

    step = jax.vmap(one)
    members, rows = orders.shape
    full = rows // BATCH * BATCH
    batches = orders[:, :full].reshape(members, -1, BATCH).swapaxes(0, 1)
    state, losses = jax.lax.scan(step, state, batches)
    total = losses.sum(0)
    if full < rows:
        state, rest = step(state, orders[:, full:])
        total = total + rest
    return state, total / rows


def race(work: Work, rounds: int, folder: Path) -> dict[str, list[Turn]]:
    """All contenders, taking turns."""
    program, job = compiled(folder), folder / "job.bin"
    write_work(work, job)
    from caviar.population import devices

    devices.start()
    contenders: dict[str, Callable[[], Turn]] = {
        LIMIT: partial(limit_turn, program, job, work),
        ENGINE: engine_turns(work),
        PLAIN: plain_turn(work),
    }
    turns: dict[str, list[Turn]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, contender in contenders.items():
            turns[name].append(contender())
            print(f"round {number + 1}  {name:10s} {turns[name][-1].microseconds:7.2f} µs", flush=True)
    return turns


def lines(turns: dict[str, list[Turn]], rounds: int, load: float) -> Iterator[str]:
    """The table: ratios first; then where it was measured, and whether the aim is reached."""
    times = {name: np.array([turn.microseconds for turn in own]) for name, own in turns.items()}
    yield "| contender | times the C loop | times plain JAX | µs per member and step | mean last loss |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for name, own in times.items():
        loss = np.mean([turn.losses.mean() for turn in turns[name]])
        ratios = " | ".join(spread(own / times[other]) for other in (LIMIT, PLAIN))
        yield f"| {name} | {ratios} | {spread(own)} | {loss:.3f} |"
    versions = ", ".join(f"{name} {version(name)}" for name in ("keras", "jax"))
    yield ""
    yield f"{machine()}; load {load:.1f} before the start; {versions}."
    yield f"{MEMBERS} members; medians of {rounds} rounds [lowest – highest]."
    yield f"How Caviar spread them, and why: {turns[ENGINE][0].spread}."
    reached = float(np.median(times[ENGINE] / times[LIMIT]))
    verdict = "reached" if reached <= AIM else "**not reached**"
    yield f"Aim: Caviar within {AIM:.0f} times the C loop: {verdict}, {reached:.1f} times."


def unequal(turns: dict[str, list[Turn]]) -> list[str]:
    """Contenders whose networks learned something else than Caviar's, with the figures."""
    means = {name: float(np.mean([turn.losses.mean() for turn in own])) for name, own in turns.items()}
    ours = means.pop(ENGINE)
    return [
        f"{name} ends at a mean loss of {mean:.3f}, Caviar at {ours:.3f}"
        for name, mean in means.items()
        if not abs(mean / ours - 1) <= _SAME_LOSS
    ]


def main() -> None:
    """Race, print the table, and fail when somebody trained something else."""
    parser = argparse.ArgumentParser(description="Time one member's gradient step beside a C loop.")
    parser.add_argument("--quick", action="store_true", help="one round of few epochs")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help="turns of everybody (default: %(default)s)"
    )
    asked = parser.parse_args()
    rounds = 1 if asked.quick else asked.rounds
    load = load_before()
    with tempfile.TemporaryDirectory() as folder:
        turns = race(make_work(10 if asked.quick else EPOCHS), rounds, Path(folder))
    text = "\n".join(lines(turns, rounds, load))
    print(text)
    if different := unequal(turns):
        raise SystemExit(f"Expected equal losses up to {_SAME_LOSS:.0%}. {'; '.join(different)}.")
    if not asked.quick:
        write(text, "member_step")


if __name__ == "__main__":
    main()
