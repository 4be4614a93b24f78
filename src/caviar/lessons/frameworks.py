"""Frameworks: does it matter on which of them Keras runs?"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import keras
import numpy as np

from caviar.errors import ModelError
from caviar.evaluate.claims import above, exactly
from caviar.teaching.contract import Choice, Claim, Lesson, Variant
from caviar.teaching.rows import circles
from caviar.teaching.seen import Lab, Seen

TRAINING = ("jax", "torch", "tensorflow")
"""Backends on which Keras trains; on NumPy it only predicts."""

TIMES = 5
BATCH = 32
LONGEST = 300.0
"""Seconds after which a backend is given up."""
ALIKE = 1e-5  # float32 has about seven digits

# Reads weights and rows from its input, so that every backend gets the same ones.
SCRIPT = """
import json, sys, time
import numpy as np
import keras
asked = json.load(sys.stdin)
model = keras.Sequential([keras.Input((len(asked["x"][0]),)), keras.layers.Dense(50, activation="relu"),
                          keras.layers.Dense(1, activation="sigmoid")])
model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss="binary_crossentropy")
model.set_weights([np.array(w, "float32") for w in asked["weights"]])
x, y = np.array(asked["x"], "float32"), np.array(asked["y"], "float32")[:, None]
said = {"predicted": np.asarray(model.predict(x, verbose=0))[:, 0].tolist(), "seconds": []}
for _ in range(asked["times"] + 1 if asked["trains"] else 0):
    began = time.perf_counter()
    model.fit(x, y, batch_size=asked["batch"], epochs=1, verbose=0)
    said["seconds"].append(time.perf_counter() - began)
print(json.dumps(said))
"""


def build(n_inputs: int = 2) -> keras.Model:
    """The network of the lesson on batch sizes."""
    model = keras.Sequential(
        [
            keras.Input((n_inputs,)),
            keras.layers.Dense(50, activation="relu"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    optimizer = keras.optimizers.SGD(learning_rate=0.01, momentum=0.9)
    model.compile(optimizer, loss="binary_crossentropy", metrics=["accuracy"])
    return model


def installed() -> list[str]:
    """Backends that are there: those that train, then NumPy, which always is."""
    return [*(name for name in TRAINING if find_spec(name) is not None), "numpy"]


def on_backend(name: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What a process of its own says whose Keras runs on a backend.

    Raises:
        ModelError: It does not run there, or takes too long.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own script, by the Python that runs
            [sys.executable, "-c", SCRIPT],
            input=json.dumps({**asked, "trains": name in TRAINING}),
            env={**os.environ, "KERAS_BACKEND": name},
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"Expected {asked['times'] + 1} epochs on Keras' installed backend {name} within {LONGEST:g} seconds, but "
            f"they take longer. Mend or uninstall {name}, or run the lesson on a machine that is less busy."
        ) from error
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
        raise ModelError(
            f"Expected Keras to run on its installed backend {name}, but it says: {why}. Mend or uninstall {name}."
        )
    said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return said


def also(lab: Lab, seen: Seen) -> Mapping[str, Any]:
    """The same weights and rows on every installed backend: predictions, and seconds per epoch."""
    assert lab.data is not None
    rows = lab.data.splits[0][0]
    x, y = lab.data.x[rows], lab.data.y[rows]
    model = seen.model("here")
    asked = {
        "weights": [weight.tolist() for weight in model.get_weights()],
        "x": x.tolist(),
        "y": y.tolist(),
        "times": TIMES,
        "batch": BATCH,
    }
    said = {name: on_backend(name, asked) for name in installed()}
    ours = np.asarray(model.predict(x, verbose=0))[:, 0]
    training = seen.trainings["here"]
    each = training.seconds / (len(lab.seeds) * training.logs["loss"].shape[-1])
    return {
        "distance": max(float(np.abs(np.array(one["predicted"]) - ours).max()) for one in said.values()),
        "seconds": {name: np.array(said[name]["seconds"][1:]) for name in said if name in TRAINING},
        "ours": each,
    }


def beside_the_fastest(seen: Seen) -> np.ndarray:
    """Seconds of an epoch of one model on the fastest installed backend, by those of a member of the population."""
    fastest = min(seen["seconds"].values(), key=np.median)
    return np.asarray(fastest / seen["ours"])


def slowest_by_fastest(seen: Seen) -> np.ndarray:
    """Seconds of an epoch on the slowest installed backend, by those on the fastest; nothing where there is one."""
    if len(seen["seconds"]) == 1:
        return np.array([np.nan])
    ordered = sorted(seen["seconds"].values(), key=np.median)
    return np.asarray(ordered[-1] / ordered[0])


LESSON = Lesson(
    name="frameworks",
    title="Choosing a framework",
    area="practice",
    times=True,
    covers=("fw-choice",),
    why="People choose a framework by how easy it is to write, how fast it runs, and whether it is truly open. A "
    "Keras model "
    "runs on several, so the first and the last question need not be asked again for each. The second is measured: "
    "the same model with the same weights, on every backend that is installed here, each in a process of its own.",
    data=circles(1000, train=500),
    variants=(Variant("here", "as a population, on JAX", build, batch_size=BATCH, epochs=300),),
    also=also,
    claims=(
        Claim(
            "The same weights predict the same on every installed backend.",
            [],
            lambda seen: bool(seen["distance"] < ALIKE),
            exactly(1),
            f"largest difference of a prediction is below {ALIKE:g}; NumPy is among them",
            who="caviar",
        ),
        Claim(
            "A member of a population takes less time than the same model by itself on the fastest installed "
            "backend.",
            [],
            beside_the_fastest,
            above(1),
            f"seconds of an epoch by itself, divided by those of a member, compilation of the population "
            f"included; {TIMES} "
            f"epochs timed",
            who="caviar",
        ),
        Claim(
            "The slowest installed backend takes at least half as long again as the fastest.",
            [],
            slowest_by_fastest,
            above(1.5),
            "ratio of seconds of an epoch; cannot be told where only one backend that trains is installed",
            who="caviar",
        ),
    ),
    questions=(
        Choice(
            "A Keras model moves to another backend with its weights. What stays the same?",
            ("its predictions, but for rounding", "the seconds of an epoch", "neither"),
            (0,),
            "Weights and layers mean the same everywhere; what an epoch takes has to be measured.",
        ),
    ),
    learned="With Keras the framework is a setting: the same weights predict the same. What it costs in time must be "
    "measured on your machine.",
)
