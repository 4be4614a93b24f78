"""What is one case of doctor.py: a model described as data, its rows, and the faults that are accepted?

A case's rows come from a line of Python in its description (`data_gen`), which is run: use files that you trust.
Seven tenths of the rows (or as many as the case says) are for the doctor; the others are fresh rows, which take part in
nothing but the last score.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_FRESH = 0.3
_OPTIMIZERS = {
    "adam": "Adam",
    "sgd": "SGD",
    "rmsprop": "RMSprop",
    "adagrad": "Adagrad",
    "adadelta": "Adadelta",
}


@dataclass(frozen=True, eq=False)
class Case:
    """A model with what is wrong with it.

    Attributes:
        said: The description, as it was read.
        x: All inputs (row, column).
        y: All targets, as `fit` gets them.
        rows: Rows for the doctor.
        fresh: Rows that only the last score sees.
    """

    said: dict[str, Any]
    x: np.ndarray
    y: np.ndarray
    rows: np.ndarray
    fresh: np.ndarray

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.said["id"])

    @property
    def accepted(self) -> set[str]:
        """Faults that count as right."""
        return {*self.said["ground_truth_faults"], *(self.said.get("acceptable_alternative_faults") or [])}

    @property
    def metric(self) -> str:
        """The score on fresh rows: accuracy for classes, R² for quantities (mean squared error turned round)."""
        return "accuracy" if self.said["metric"] == "accuracy" else "r2"

    def build(self, n_inputs: int) -> Any:  # noqa: ANN401
        """The compiled model as it is."""
        return _model(self.said, n_inputs)

    def fixed(self) -> "Case | None":
        """The same with the accepted repair, where the description has one."""
        fix = self.said.get("fix")
        if not fix:
            return None
        said = self.said | {key: value for key, value in fix.items() if value is not None}
        x, y = _rows(said)
        return Case(said, x, y, self.rows, self.fresh)


def read_cases(path: Path, names: list[str]) -> list[Case]:
    """Cases of a file with one JSON description per line; all, or those of some names."""
    said = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [_case(one) for one in said if not names or one["id"] in names]


def _case(said: dict[str, Any]) -> Case:
    x, y = _rows(said)
    count = (said.get("fit_args") or {}).get("train_rows") or round((1 - _FRESH) * len(x))
    order = np.arange(len(x)) if "fit_args" in said else np.random.default_rng(0).permutation(len(x))
    return Case(said, x, y, np.sort(order[:count]), np.sort(order[count:]))


def _rows(said: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    made: dict[str, Any] = {"np": np}
    exec(said["data_gen"], made)  # noqa: S102 - a case is a program that makes rows
    x, y = np.asarray(made["X"], float), np.asarray(made["y"], float)
    for step in said["preprocessing"].split(","):
        if step == "none":
            continue
        how, _, which = step.rpartition("_")
        x, y = (_scaled(x, how), y) if which == "x" else (x, _scaled(y, how))
    return x, y


def _scaled(values: np.ndarray, how: str) -> np.ndarray:
    low, high = values.min(axis=0), values.max(axis=0)
    width = np.where(high > low, high - low, 1)
    ways = {
        "minmax": (values - low) / width,
        "minmax11": 2 * (values - low) / width - 1,
        "times10": values * 10,
        "standard": (values - values.mean(axis=0)) / np.where(values.std(axis=0) > 0, values.std(axis=0), 1),
    }
    ways["standardise"] = ways["standard"]
    return np.asarray(ways[how])


def _model(said: dict[str, Any], n_inputs: int) -> Any:  # noqa: ANN401
    import keras

    layers = [keras.Input((n_inputs,))]
    for layer in said["layers"]:
        kind = getattr(keras.layers, layer["type"])
        if layer["type"] != "Dense":
            rest = {key: value for key, value in layer.items() if key != "type"}
            layers.append(kind(**rest))
            continue
        regularizer = keras.regularizers.L2(layer["l2"]) if layer.get("l2") else None
        layers.append(
            kind(
                layer["units"],
                activation=layer.get("activation"),
                kernel_initializer=_initializer(layer.get("init") or "glorot_uniform"),
                kernel_regularizer=regularizer,
            )
        )
    model = keras.Sequential(layers)
    optimizer = getattr(keras.optimizers, _OPTIMIZERS[said["optimizer"]])
    model.compile(optimizer(learning_rate=said["lr"], **(said.get("optimizer_args") or {})), said["loss"])
    return model


def _initializer(words: str) -> Any:  # noqa: ANN401
    """An initializer by a name such as `he_uniform`, `constant(0.01)` or `normal(0,0.25)`."""
    import keras

    found = re.fullmatch(r"(\w+)(?:\(([^)]*)\))?", words)
    assert found is not None
    name, numbers = found[1], [float(part) for part in (found[2] or "").split(",") if part]
    own = {
        "constant": keras.initializers.Constant,
        "normal": keras.initializers.RandomNormal,
        "uniform": keras.initializers.RandomUniform,
    }
    return own[name](*numbers) if name in own else keras.initializers.get(name)
