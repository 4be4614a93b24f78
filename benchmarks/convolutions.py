"""How fast does a population of convolutional networks train beside Keras' `fit`, and what makes it so?

    python benchmarks/convolutions.py            # some five minutes on two quiet cores; writes docs/performance.md
    python benchmarks/convolutions.py --quick    # one network, one round, printed only

Everybody in steady state and in turns: Caviar's population; the same with one member of a core after the other, and
with members side by side, of which Caviar takes the first where convolutions are large; the same with all of them as
Keras writes them; and `fit`, one model after the other, on Keras' JAX backend in the same process. All of Caviar's must
reach the same losses.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np

from clock import Clock, in_turns
from otherwise import otherwise
from speed import machine
from tables import load_before, spread, write

MEMBERS, ROUNDS, BATCH, EPOCHS = 32, 3, 32, 2
OWN, ALONE, BESIDE = "Caviar", "one at a time", "side by side"
AS_WRITTEN, FIT = "as Keras writes them", "Keras' fit"
_SAME_LOSS = 1e-3


@dataclass(frozen=True)
class Network:
    """Two convolutions of 3 x 3, a pooling, a dense layer and ten classes, with Adam.

    Attributes:
        label: As the table calls it.
        rows: Returns images (row, height, width, channel), and classes (row, 1).
        filters: Of both convolutions.
    """

    label: str
    rows: Callable[[], tuple[np.ndarray, np.ndarray]]
    filters: tuple[int, int]

    def build(self) -> Any:  # noqa: ANN401
        """The compiled Keras model."""
        import keras

        layers = keras.layers
        x, _ = self.rows()
        convolutions = [layers.Conv2D(count, 3, activation="relu") for count in self.filters]
        model = keras.Sequential(
            [
                keras.Input(x.shape[1:]),
                *convolutions,
                layers.MaxPooling2D(),
                layers.Flatten(),
                layers.Dense(64, activation="relu"),
                layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
        return model


def digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's handwritten digits, 8 x 8 pixels."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return (x / 16).astype(np.float32).reshape(-1, 8, 8, 1), y[:, None]


def noise() -> tuple[np.ndarray, np.ndarray]:
    """640 images of 28 x 28 pixels that show nothing: only their size matters here."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(640, 28, 28, 1)).astype(np.float32), rng.integers(0, 10, (640, 1))


NETWORKS = (
    Network("digits, 8 x 8 pixels, 1 and 2 filters", digits, (1, 2)),
    Network("digits, 8 x 8 pixels, 16 and 32 filters", digits, (16, 32)),
    Network("28 x 28 pixels, 8 and 16 filters", noise, (8, 16)),
)


def turns(network: Network) -> dict[str, Callable[[], tuple[float, float]]]:
    """By contender: trains, returns microseconds per member and step, and the mean last loss (NaN for `fit`)."""
    from caviar.population import fastest, written_out
    from caviar.population.job import Job, Seat
    from caviar.population.train import train

    x, y = network.rows()
    none, every = np.empty(0, np.int64), np.arange(len(x))
    seats = [Seat(0, 0, seed, 0, every, none, none) for seed in range(MEMBERS)]
    job = Job(network.build, x[None], y[None], None, seats, BATCH, 1 + EPOCHS)
    model = network.build()
    model.fit(x, y, batch_size=BATCH, verbose=0)  # compiles

    def trained(way: str = "auto") -> tuple[float, float]:
        clock = Clock()
        done = train(replace(job, spread=way), clock)
        return clock.microseconds(), float(done.history["loss"].values[:, -1].mean())

    def alone() -> tuple[float, float]:
        with otherwise(fastest, "stand_alone", lambda *_: True):
            return trained()

    def beside() -> tuple[float, float]:
        return trained("vmap")

    def as_written() -> tuple[float, float]:
        def kept(eqn: Any, *values: Any) -> Any:  # noqa: ANN401
            return eqn.primitive.bind(*values, **eqn.params)

        with otherwise(written_out, "laid_out", kept):
            return trained()

    def fitted() -> tuple[float, float]:
        began = time.perf_counter()
        model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0)
        return 1e6 * (time.perf_counter() - began) / (EPOCHS * -(-len(x) // BATCH)), float("nan")

    return {OWN: trained, ALONE: alone, BESIDE: beside, AS_WRITTEN: as_written, FIT: fitted}


def main() -> None:
    """Race and write the table."""
    parser = argparse.ArgumentParser(description="Time populations of convolutional networks beside fit.")
    parser.add_argument("--quick", action="store_true", help="one network, one round, printed only")
    quick, load = parser.parse_args().quick, load_before()
    from caviar.population import devices

    devices.start()
    rounds, networks = (1, NETWORKS[:1]) if quick else (ROUNDS, NETWORKS)
    others = (FIT, ALONE, BESIDE, AS_WRITTEN)
    text = [f"| network | µs | {' | '.join(others)} |", "| --- | ---: |" + " ---: |" * len(others)]
    for network in networks:
        times = in_turns(network.label, turns(network), rounds, _SAME_LOSS)
        ratios = " | ".join(spread(times[name] / times[OWN]) for name in others)
        text.append(f"| {network.label} | {np.median(times[OWN]):,.0f} | {ratios} |")
    text += [
        "",
        (
            f"µs of the whole machine per member and step of {BATCH} rows, {MEMBERS} members; then how many times as "
            f"long others take: Keras' `fit`, a model after the other; one member of a core at a time; members side by "
            f"side; convolutions as Keras writes them. Medians of {rounds} rounds [lowest – highest]."
        ),
        (
            f"{machine()}; load {load:.1f} before the start; caviar {version('caviar')}, keras {version('keras')}, "
            f"jax {version('jax')}."
        ),
    ]
    print("\n".join(text))
    if not quick:
        write("\n".join(text), "convolutions")


if __name__ == "__main__":
    main()
