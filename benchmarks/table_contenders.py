"""What does each contender of tables_cv.py and settings.py do, from its first import to its last score?

One process trains the members of one study and prints, as JSON, each member's last training loss and the
held-out loss of its fold. Everybody sees the same rows, splits, batches, metrics and seeds:

    python benchmarks/table_contenders.py caviar sonar
    python benchmarks/table_contenders.py keras sonar --fits 3

The Keras loop takes that many members, evenly spread over the study, on whichever backend KERAS_BACKEND names.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from speed_contenders import Split, versions

Setting = dict[str, Any]


@dataclass(frozen=True)
class Study:
    """One question put to a table.

    Attributes:
        rows: Returns inputs (row, feature) and labels (row,), in single precision.
        build: Returns a compiled model; takes a setting's values and `steps_per_execution`.
        settings: By name, arguments of the builder.
        folds: Held-out parts, or 0 for none.
        seeds: Members of each setting and fold.
        epochs: Passes over the training rows.
        batch: Rows per gradient step.
        kinds: How many different programs a loop compiles that keeps compiled programs; a rate is no part of one.
        watched: Share of the last rows that is watched after every epoch.
    """

    rows: Callable[[], Split]
    build: Callable[..., Any]
    settings: dict[str, Setting]
    folds: int
    epochs: int
    batch: int
    kinds: int
    seeds: int = 1
    watched: float = 0.0

    @property
    def members(self) -> int:
        """Networks to train."""
        return len(self.settings) * max(1, self.folds) * self.seeds


def _table(name: str, delimiter: str = ",", skip: int = 0) -> np.ndarray:
    folder = os.environ.get("CAVIAR_DATA")
    if not folder:
        raise SystemExit(
            "Expected CAVIAR_DATA to name the folder with the tables, but it is not set. Set it."
        )
    return np.loadtxt(Path(folder) / name, delimiter=delimiter, skiprows=skip, dtype=str)


def sonar() -> Split:
    """208 rows: 60 inputs within [0, 1]; is it a mine?"""
    cells = _table("sonar.csv")
    return cells[:, :-1].astype(np.float32), (cells[:, -1] == "M").astype(np.float32)


def pima() -> Split:
    """768 rows: 8 inputs on scales of their own, where 0 often means unknown; is it diabetes?"""
    cells = _table("pima-indians-diabetes.csv")
    return cells[:, :-1].astype(np.float32), cells[:, -1].astype(np.float32)


def mammography() -> Split:
    """11,183 rows: 6 standardised inputs; is it a microcalcification? About one in 43 is."""
    cells = _table("mammography.csv")
    return cells[:, :-1].astype(np.float32), (cells[:, -1] == "'1'").astype(np.float32)


def cardio() -> Split:
    """68,680 rows with possible blood pressures, in a drawn order: 11 standardised inputs."""
    cells = _table("cardio_train.csv", ";", 1).astype(float)
    high, low = cells[:, 5], cells[:, 6]
    cells = cells[(high >= 60) & (high <= 250) & (low >= 30) & (low <= 200) & (low <= high)]
    cells = np.random.default_rng(0).permutation(cells)
    x = cells[:, 1:-1]
    return ((x - x.mean(0)) / x.std(0)).astype(np.float32), cells[:, -1].astype(np.float32)


def _binary(inputs: int, layers: Sequence[Any], optimizer: Any, steps_per_execution: int) -> Any:  # noqa: ANN401
    """A compiled binary classifier."""
    import keras

    model = keras.Sequential([keras.Input((inputs,)), *layers, keras.layers.Dense(1, activation="sigmoid")])
    model.compile(
        optimizer=optimizer,
        loss="binary_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=steps_per_execution,
    )
    return model


def dropout_network(where: str = "", steps_per_execution: int = 1) -> Any:  # noqa: ANN401
    """60-60-1, without dropout or with a fifth dropped on the visible or the hidden layer, and weights held short."""
    import keras

    layers = keras.layers
    held = keras.constraints.MaxNorm(3) if where else None
    stack = [layers.Dense(60, activation="relu", kernel_constraint=held)]
    if where:
        stack.insert(0 if where == "visible" else 1, layers.Dropout(0.2))
    return _binary(60, stack, keras.optimizers.SGD(0.1 if where else 0.01, momentum=0.9), steps_per_execution)


def small_network(steps_per_execution: int = 1) -> Any:  # noqa: ANN401
    """6-10-1 with Adam."""
    import keras

    hidden = keras.layers.Dense(10, activation="relu", kernel_initializer="he_normal")
    return _binary(6, [hidden], "adam", steps_per_execution)


def rated_network(cyclical: bool = False, steps_per_execution: int = 1) -> Any:  # noqa: ANN401, FBT001, FBT002
    """11-32-1 with SGD at a fixed rate, or at one that climbs to ten times as much for four epochs, and back."""
    import keras

    rate: Any = 0.01
    if cyclical:
        # Caviar's schedules are Keras schedules: they run on any backend, and importing them starts nothing.
        from caviar.recipe.schedules import Cyclical

        rate = Cyclical(base=0.01, peak=0.1, step_size=4 * 157)
    hidden = keras.layers.Dense(32, activation="relu")
    return _binary(11, [hidden], keras.optimizers.SGD(rate, momentum=0.9), steps_per_execution)


def set_network(
    rate: float = 1e-3, dropout: float = 0.1, l2: float = 1e-4, width: int = 60, steps_per_execution: int = 1
) -> Any:  # noqa: ANN401
    """60-width-1 with Adam, dropout and L2."""
    import keras

    layers = keras.layers
    hidden = layers.Dense(width, activation="relu", kernel_regularizer=keras.regularizers.L2(l2))
    stack = [hidden, layers.Dropout(dropout)]
    return _binary(60, stack, keras.optimizers.Adam(rate), steps_per_execution)


def _numbers() -> dict[str, Setting]:
    """256 settings that differ in numbers only: eight rates, eight shares dropped, four weights of L2."""
    return {
        f"{rate:.5f}-{dropout:.2f}-{l2:.5f}": {
            "rate": float(rate),
            "dropout": float(dropout),
            "l2": float(l2),
        }
        for rate in np.geomspace(1e-4, 1e-2, 8)
        for dropout in np.linspace(0.05, 0.5, 8)
        for l2 in np.geomspace(1e-5, 1e-2, 4)
    }


def _widths() -> dict[str, Setting]:
    """64 settings of different shapes: 4, 6 … 130 hidden units."""
    return {str(width): {"width": width} for width in range(4, 132, 2)}


def _dropouts() -> dict[str, Setting]:
    return {where or "none": {"where": where} for where in ("", "visible", "hidden")}


def _rates() -> dict[str, Setting]:
    return {"fixed": {"cyclical": False}, "cyclical": {"cyclical": True}}


STUDIES: dict[str, Study] = {
    "sonar": Study(sonar, dropout_network, _dropouts(), folds=10, epochs=300, batch=32, kinds=3),
    "mammography": Study(mammography, small_network, {"": {}}, folds=10, epochs=300, batch=32, kinds=1),
    "cardio": Study(
        cardio, rated_network, _rates(), folds=0, epochs=50, batch=350, kinds=2, seeds=5, watched=0.2
    ),
    "numbers": Study(sonar, set_network, _numbers(), folds=5, epochs=100, batch=32, kinds=32),
    "widths": Study(sonar, set_network, _widths(), folds=5, epochs=100, batch=32, kinds=64),
}


@dataclass
class Reached:
    """What members reached: losses of their last epoch (member,), and of their held-out folds."""

    loss: list[float] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)


def parts(study: Study, labels: np.ndarray) -> list[Split]:
    """Training and held-out rows of every fold; all rows and none without folds."""
    if not study.folds:
        return [(np.arange(len(labels)), np.empty(0, np.int64))]
    return list(procedure(study).split(np.empty((len(labels), 1)), labels))


def procedure(study: Study) -> Any:  # noqa: ANN401 - scikit-learn's splitter
    """How folds are drawn."""
    from sklearn.model_selection import StratifiedKFold

    return StratifiedKFold(study.folds, shuffle=True, random_state=1)


def caviar(study: Study) -> Reached:
    """All members in one call."""
    import caviar

    x, y = study.rows()
    history = caviar.fit(
        study.build,
        x,
        y,
        seeds=study.seeds,
        folds=procedure(study) if study.folds else None,
        recipes=study.settings,
        epochs=study.epochs,
        batch_size=study.batch,
        validation_split=study.watched,
        verbose=0,
    )
    attrs = {name: history.attrs[name] for name in ("engine", "why", "populations", "spread")}
    if attrs["engine"] != "population":
        raise SystemExit(f"Expected populations, but Caviar trained one by one: {attrs['why']}.")
    held_out = history.scores.get("loss", np.empty(0)).tolist()
    losses = history.dataset["loss"].values
    if held_out or "val_loss" not in history.dataset:
        return Reached(losses[:, -1].tolist(), held_out, attrs)
    return Reached(losses[:, -1].tolist(), history.dataset["val_loss"].values[:, -1].tolist(), attrs)


def members(study: Study, splits: Sequence[Split]) -> Iterator[tuple[Setting, Split, int]]:
    """Setting, rows and seed of every member, in the order of Caviar's member axis."""
    for setting in study.settings.values():
        for split in splits:
            for seed in range(study.seeds):
                yield setting, split, seed


def chosen(study: Study, fits: int) -> np.ndarray:
    """Numbers of the members that a loop of so many fits takes, evenly spread over the study.

    Whole settings where there are more settings than fits, since fits of one setting share a compiled program.
    """
    settings, each = len(study.settings), study.members // len(study.settings)
    if settings <= fits:
        return np.unique(np.linspace(0, study.members - 1, fits).round().astype(int))
    if fits % each:
        raise SystemExit(f"Expected whole settings of {each} fits, got {fits} fits. Give a multiple.")
    places = np.linspace(0, settings - 1, fits // each).round().astype(int)
    return (places[:, None] * each + np.arange(each)).ravel()


def keras_loop(study: Study, fits: int) -> Reached:
    """One `fit` after another, an epoch per execution; notes what each took.

    `more["fits"]` has, per fit: seconds apart from epochs, seconds of an epoch, whether its setting came first here.
    """
    import keras

    x, y = study.rows()
    every = list(members(study, parts(study, y)))
    reached, took, seen = Reached(), [], []
    for setting, (fit, scored), seed in (every[i] for i in chosen(study, fits)):
        steps = -(-int(len(fit) * (1 - study.watched)) // study.batch)
        ends: list[float] = []
        clock = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda *_, to=ends: to.append(time.perf_counter())
        )
        began = time.perf_counter()
        keras.utils.set_random_seed(seed)
        model = study.build(**setting, steps_per_execution=steps)
        history = model.fit(
            x[fit],
            y[fit],
            batch_size=study.batch,
            epochs=study.epochs,
            validation_split=study.watched,
            callbacks=[clock],
            verbose=0,
        )
        reached.loss.append(history.history["loss"][-1])
        if len(scored):
            score = model.evaluate(x[scored], y[scored], batch_size=study.batch, verbose=0, return_dict=True)
            reached.held_out.append(score["loss"])
        else:
            reached.held_out.append(history.history["val_loss"][-1])
        epoch = (ends[-1] - ends[0]) / (study.epochs - 1)
        took.append((time.perf_counter() - began - study.epochs * epoch, epoch, setting not in seen))
        seen.append(setting)
    reached.more["fits"] = took
    return reached


def main() -> None:
    """Run one contender and print what it reached."""
    parser = argparse.ArgumentParser(description="Run one contender of tables_cv.py or settings.py.")
    parser.add_argument("contender", choices=("caviar", "keras"))
    parser.add_argument("study", choices=tuple(STUDIES))
    parser.add_argument("--fits", type=int, default=1, help="members of the Keras loop")
    parser.add_argument("--epochs", type=int, help="instead of the study's")
    parser.add_argument("--settings", type=int, help="only so many settings, evenly spread")
    asked = parser.parse_args()
    study = shortened(STUDIES[asked.study], asked.epochs, asked.settings)
    reached = caviar(study) if asked.contender == "caviar" else keras_loop(study, asked.fits)
    said = {"loss": reached.loss, "held_out": reached.held_out, **reached.more, "versions": versions()}
    print(json.dumps(said))


def shortened(study: Study, epochs: int | None, settings: int | None) -> Study:
    """The study with fewer epochs, or with so many of its settings."""
    if settings is not None:
        names = list(study.settings)
        places = np.unique(np.linspace(0, len(names) - 1, settings).round().astype(int))
        study = replace(
            study,
            settings={names[i]: study.settings[names[i]] for i in places},
            kinds=min(study.kinds, settings),
        )
    return study if epochs is None else replace(study, epochs=epochs)


if __name__ == "__main__":
    main()
