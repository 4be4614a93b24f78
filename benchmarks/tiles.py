"""How many members should stand side by side in a gradient step, and on which axis? Networks of several sizes.

    python benchmarks/tiles.py            # some five minutes on two quiet cores; writes docs/performance.md
    python benchmarks/tiles.py --quick    # one network, one round, printed only

Caviar's engine with tiles of other sizes than its own, in steady state, in turns: all members of a core at once, some
of them, one after the other; members on the last axis; and tiles of its own size with operations that XLA divides among
all cores. Everybody trains the same members and must reach the same losses.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from clock import Clock, in_turns
from otherwise import otherwise
from speed import machine
from tables import load_before, spread, write

MEMBERS, ROUNDS = 256, 2
TILES = (1, 4, 64)
OWN, ALL, LAST, DIVIDED = "Caviar's own", "all at once", "last axis, its own", "divided"
# Rounding apart, all of them train the same networks.
_SAME_LOSS = 1e-3


@dataclass(frozen=True)
class Network:
    """A dense network with one output and Adam, and how it is trained.

    Attributes:
        inputs: Columns.
        hidden: Units of each layer, ReLU.
        batch: Rows per step.
        epochs: Of as many rows as 25 batches have.
        dropout: Its rate after each layer; 0 for none.
        normalized: Batch normalization before each activation.
    """

    inputs: int
    hidden: tuple[int, ...]
    batch: int
    epochs: int
    dropout: float = 0.0
    normalized: bool = False

    @property
    def label(self) -> str:
        """As the table calls it."""
        sizes = "-".join(map(str, (self.inputs, *self.hidden, 1)))
        more = (", dropout" if self.dropout else "") + (", batch norm" if self.normalized else "")
        return f"{sizes}, batches of {self.batch}{more}"

    def build(self) -> object:
        """The compiled Keras model."""
        import keras

        layers: list[keras.layers.Layer] = []
        for units in self.hidden:
            layers.append(keras.layers.Dense(units))
            layers += [keras.layers.BatchNormalization()] if self.normalized else []
            layers.append(keras.layers.Activation("relu"))
            layers += [keras.layers.Dropout(self.dropout)] if self.dropout else []
        model = keras.Sequential(
            [keras.Input((self.inputs,)), *layers, keras.layers.Dense(1, activation="sigmoid")]
        )
        model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy")
        return model


NETWORKS = (
    Network(10, (20,), 32, 40),
    Network(10, (20,), 32, 40, dropout=0.2),
    Network(8, (16, 16), 32, 40),
    Network(20, (32, 32), 32, 20),
    Network(20, (32, 32), 32, 20, dropout=0.2),
    Network(20, (32, 32), 32, 20, normalized=True),
    Network(11, (64,), 350, 4),
    Network(20, (128, 128), 32, 4),
)


@contextmanager
def tiled(width: int | None) -> Iterator[None]:
    """While this lasts, so many members of a core stand side by side; None for as many as Caviar takes."""
    from caviar.population import spread as ways

    own = ways.width
    if width is not None:
        ways.width = lambda _way, members, *_: min(width, members)  # type: ignore[assignment]
    try:
        yield
    finally:
        ways.width = own


def turns(network: Network) -> dict[str, Callable[[], tuple[float, float]]]:
    """By contender: trains all members, returns microseconds per member and step, and the mean last loss."""
    from caviar.population import spread as ways
    from caviar.population.job import Job, Seat
    from caviar.population.train import train

    rng = np.random.default_rng(0)
    rows = 25 * network.batch
    x = rng.normal(size=(1, rows, network.inputs)).astype(np.float32)
    y = (x[:, :, :1] + rng.normal(size=(1, rows, 1)) > 0).astype(np.float32)
    none, every = np.empty(0, np.int64), np.arange(rows)
    seats = [Seat(0, 0, seed, 0, every, none, none) for seed in range(MEMBERS)]

    def contender(way: str, width: int | None) -> Callable[[], tuple[float, float]]:
        job = Job(network.build, x, y, None, seats, network.batch, 1 + network.epochs, spread=way)

        def turn() -> tuple[float, float]:
            clock = Clock()
            with tiled(width):
                trained = train(job, clock)
            return clock.microseconds(), float(trained.history["loss"].values[:, -1].mean())

        return turn

    whole = contender("vmap", None)

    def in_parts() -> tuple[float, float]:
        with otherwise(ways, "compiler_options", lambda *_: {}):
            return whole()

    return {
        OWN: whole,
        ALL: contender("vmap", MEMBERS),
        **{f"{width}": contender("vmap", width) for width in TILES},
        LAST: contender("last", None),
        DIVIDED: in_parts,
    }


def main() -> None:
    """Race and write the table."""
    parser = argparse.ArgumentParser(description="Time tiles of members of several sizes.")
    parser.add_argument("--quick", action="store_true", help="one network, one round, printed only")
    asked = parser.parse_args()
    load = load_before()
    from caviar.population import devices

    devices.start()
    rounds, networks = (1, NETWORKS[1:2]) if asked.quick else (ROUNDS, NETWORKS)
    found = {
        network.label: in_turns(network.label, turns(network), rounds, _SAME_LOSS) for network in networks
    }
    others = [name for name in next(iter(found.values())) if name != OWN]
    text = [
        "| network | µs | " + " | ".join(others) + " |",
        "| --- | ---: |" + " ---: |" * len(others),
    ]
    for label, times in found.items():
        ratios = " | ".join(spread(times[name] / times[OWN]) for name in others)
        text.append(f"| {label} | {np.median(times[OWN]):.2f} | {ratios} |")
    text += [
        "",
        (
            f"µs of the whole machine per member and step, on the first axis in tiles of Caviar's own size; then how "
            f"many times as long others take: all members of a core at once, one after the other (1), tiles of 4 and "
            f"64, the last axis, and operations divided among all cores. {MEMBERS} members; medians of {rounds} rounds "
            f"[lowest – highest]."
        ),
        (
            f"{machine()}; load {load:.1f} before the start; caviar {version('caviar')}, keras {version('keras')}, "
            f"jax {version('jax')}."
        ),
    ]
    print("\n".join(text))
    if not asked.quick:
        write("\n".join(text), "tiles")


if __name__ == "__main__":
    main()
