"""What was compiled once is not compiled again; hosts of one device and of several train the same members."""

import os
import subprocess
import sys
from collections import Counter
from functools import partial

import jax
import numpy as np
import pytest

import caviar
from caviar.population import devices, remembered

devices.start()
import keras  # noqa: E402 - only once JAX is its backend

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
Y = (X[:, :1] + 0.5 * RNG.normal(size=(60, 1))).astype(np.float32)


def build(rate=0.02, units=7):
    layers = [keras.layers.Dense(units, "relu"), keras.layers.Dropout(0.2), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile(keras.optimizers.Adam(rate), "mse")
    return model


@pytest.fixture
def events(tmp_path):
    """What JAX's cache of compiled programs says, from an empty cache on."""
    seen: Counter[str] = Counter()
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "xla"))
    jax.experimental.compilation_cache.compilation_cache.reset_cache()
    jax.monitoring.register_event_listener(lambda name, **_: seen.update([name.rpartition("/")[2]]))
    yield seen
    jax.monitoring.clear_event_listeners()
    jax.config.update("jax_compilation_cache_dir", before)
    jax.experimental.compilation_cache.compilation_cache.reset_cache()


@pytest.mark.thorough
def test_a_repeated_run_compiles_nothing_and_neither_do_other_numbers(events):
    arguments = {"seeds": 3, "folds": 2, "epochs": 12, "batch_size": 8, "verbose": 0}
    caviar.fit(build, X, Y, **arguments)
    assert events["cache_misses"] > 0, "nothing was compiled: this test sees nothing"
    for other in (
        {},
        {"build": partial(build, rate=0.1)},
        {"x": X + 1, "y": Y * 2},
        {"seeds": [7, 8, 9]},
    ):
        again = {"build": build, "x": X, "y": Y, **arguments, **other}
        events.clear()
        caviar.fit(**again)
        assert events["cache_misses"] == 0, "what this process has made is made again"
        remembered._made.clear()
        caviar.fit(**again)
        assert events["cache_hits"] > 0
        assert events["cache_misses"] == 0, other
    events.clear()
    caviar.fit(partial(build, units=9), X, Y, **arguments)
    assert events["cache_misses"] > 0, "another structure is another program: this test counts nothing"


ON_ONE_DEVICE = """
import sys
import numpy as np
import caviar, jax, keras

x, y = np.load(sys.argv[1]), np.load(sys.argv[2])

def build():
    layers = [keras.layers.Dense(7, "relu"), keras.layers.Dropout(0.2), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile(keras.optimizers.Adam(0.02), "mse")
    return model

history = caviar.fit(build, x, y, seeds=3, epochs=4, batch_size=8, verbose=0)
print(len(jax.devices()), *history.history["loss"].ravel())
"""


@pytest.mark.thorough
@pytest.mark.parametrize("count", [1, 3])
def test_hosts_with_other_numbers_of_devices_train_the_same_members(count, tmp_path):
    """Three members on one device, and on three: neither divides them as the devices of this process do."""
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    said = subprocess.run(
        [sys.executable, "-c", ON_ONE_DEVICE, str(tmp_path / "x.npy"), str(tmp_path / "y.npy")],
        env={**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={count}"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert int(said[0]) == count
    here = caviar.fit(build, X, Y, seeds=3, epochs=4, batch_size=8, verbose=0).history["loss"]
    np.testing.assert_allclose(np.array(said[1:], float).reshape(here.shape), here, atol=1e-5)
