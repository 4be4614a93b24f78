"""What does each contender of tuning.py do, from its first import to its last score?

One process searches one table with one tool and prints JSON. All tools get the same network, space, rows and epochs:

    python benchmarks/tuning_contenders.py search caviar sonar numbers --trials 256     # a whole search
    python benchmarks/tuning_contenders.py search optuna sonar numbers --trials 256 --part 3
    python benchmarks/tuning_contenders.py choose optuna sonar mixed --trials 16 --split 0
    python benchmarks/tuning_contenders.py judge caviar sonar mixed --split 0 --settings '[{"rate": 0.01, …}]'

*search*: how long. Peers cross-validate every trial as their users would, with Keras' `fit`, an epoch per execution; a
part of their trials is trained, and the whole search is gone through once more with made-up scores, for what the tool
itself takes. *choose*: what each tool's own way of scoring finds best on the rows to search on. *judge*: what settings
are worth on the rows that nobody saw. *same*: Caviar's held-out scores of settings on the peers' folds.
"""

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from typing import Any

import numpy as np

from speed_contenders import Split, versions
from table_contenders import mammography, pima, sonar

FOLDS = 5
SCORE = "score"
"""Log-loss or squared error without penalties: what all tools choose by. Keras' `val_loss` would count L2 in."""
KERAS_TUNER = ("RandomSearch", "BayesianOptimization", "Hyperband")
_POOL = 10_000
_SYNTHETIC_ROWS = (1_000, 500, 5_000)  # to be timed on, to search on, to test on
_TEST_SHARE = 1 / 3
_VALIDATION_SHARE = 0.2  # of KerasTuner's guides

Settings = Mapping[str, Any]
MadeUp = Callable[[int, int], float]
"""A score of a training from one epoch to another, without training."""


@dataclass(frozen=True)
class Table:
    """Rows, and how long is trained on them.

    Attributes:
        title: In words.
        rows: Returns inputs (row, feature) and target (row,), in single precision.
        epochs: Passes over the training rows.
        batch: Rows per gradient step.
        classes: Whether the target is one of two classes.
        synthetic: Whether rows are drawn from a pool, so that test rows are many and splits share few.
    """

    title: str
    rows: Callable[[], Split]
    epochs: int
    batch: int
    classes: bool = True
    synthetic: bool = False

    def timed_on(self) -> Split:
        """The rows of the race: inputs (row, feature) and target (row, 1)."""
        x, y = self.rows()
        if self.synthetic:
            x, y = x[: _SYNTHETIC_ROWS[0]], y[: _SYNTHETIC_ROWS[0]]
        return _scaled(x, x), y[:, None]

    def split(self, number: int) -> tuple[Split, Split]:
        """Rows to search on, in a drawn order, and rows that nobody sees."""
        x, y = self.rows()
        order = np.random.default_rng((number, 1)).permutation(len(y))
        _, search, test = _SYNTHETIC_ROWS
        if not self.synthetic:
            test = round(_TEST_SHARE * len(y))
            search = len(y) - test
        seen, unseen = order[:search], order[search : search + test]
        y = y[:, None]
        return (_scaled(x[seen], x[seen]), y[seen]), (_scaled(x[unseen], x[seen]), y[unseen])


def _scaled(x: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Inputs with mean 0 and deviation 1 on the rows that are known."""
    return ((x - by.mean(axis=0)) / by.std(axis=0)).astype(np.float32)


def classes() -> Split:
    """20 inputs, 8 of which tell the class together; a tenth of the labels is drawn."""
    from sklearn.datasets import make_classification

    x, y = make_classification(
        _POOL, 20, n_informative=8, n_redundant=4, n_clusters_per_class=3, flip_y=0.1, random_state=3
    )
    return x.astype(np.float32), y.astype(np.float32)


def values() -> Split:
    """Friedman's first: 10 inputs, 5 of which count, one of them in a product; the target has deviation 1."""
    from sklearn.datasets import make_friedman1

    x, y = make_friedman1(_POOL, noise=1.0, random_state=3)
    return x.astype(np.float32), ((y - y.mean()) / y.std()).astype(np.float32)


TABLES = {
    "sonar": Table("Sonar", sonar, epochs=50, batch=32),
    "pima": Table("Pima", pima, epochs=50, batch=32),
    "mammography": Table("Mammography", mammography, epochs=20, batch=64),
    "classes": Table("Synthetic classes", classes, epochs=50, batch=32, synthetic=True),
    "values": Table("Synthetic values", values, epochs=50, batch=32, classes=False, synthetic=True),
}


def network(hp: Any, table: Table, space: str, inputs: int, steps: int = 1) -> Any:  # noqa: ANN401
    """A compiled network that asks for numbers (one structure), shapes (depth and width), or both (mixed)."""
    import keras

    layers = keras.layers
    rate, dropout, l2, depth, width = 1e-3, 0.1, 1e-4, 2, 32
    if space in {"numbers", "mixed"}:
        rate = hp.Float("rate", 1e-4, 3e-2, sampling="log")
        dropout = hp.Float("dropout", 0.05, 0.5)
        l2 = hp.Float("l2", 1e-6, 1e-2, sampling="log")
    if space in {"shapes", "mixed"}:
        depth = hp.Int("depth", 1, 4)
        width = hp.Int("width", 8, 128, step=4)
    hidden: list[Any] = []
    for _ in range(depth):
        hidden += [
            layers.Dense(width, "relu", kernel_regularizer=keras.regularizers.L2(l2)),
            layers.Dropout(dropout),
        ]
    last = layers.Dense(1, activation="sigmoid" if table.classes else None)
    model = keras.Sequential([keras.Input((inputs,)), *hidden, last])
    metrics = keras.metrics
    score = metrics.BinaryCrossentropy(SCORE) if table.classes else metrics.MeanSquaredError(SCORE)
    loss = "binary_crossentropy" if table.classes else "mse"
    model.compile(keras.optimizers.Adam(rate), loss, metrics=[score], steps_per_execution=steps)
    return model


class Given:
    """Answers with settings that are known."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def Float(self, name: str, *_: Any, **__: Any) -> Any:  # noqa: ANN401, N802 - KerasTuner's name
        """The setting of that name."""
        return self.settings[name]

    Int = Float


class Asked:
    """Lets an Optuna trial answer."""

    def __init__(self, trial: Any) -> None:  # noqa: ANN401
        self.trial = trial

    @property
    def values(self) -> dict[str, Any]:
        """What was answered so far."""
        return dict(self.trial.params)

    def Float(self, name: str, low: float, high: float, sampling: str = "linear") -> float:  # noqa: N802
        """A number on a scale."""
        return float(self.trial.suggest_float(name, low, high, log=sampling == "log"))

    def Int(self, name: str, low: int, high: int, step: int = 1) -> int:  # noqa: N802
        """A whole number."""
        return int(self.trial.suggest_int(name, low, high, step=step))


@dataclass
class Loop:
    """Cross-validates settings with one `fit` after another, and notes what each took.

    Attributes:
        table: What is trained on.
        space: What is searched.
        epochs: Of a whole training.
        rows: Inputs and target.
        seed: Of what the tool draws.
        took: Per fit: seconds apart from epochs, seconds of an epoch (NaN where there was only one), whether it was its
            trial's first.
        trials: Per trial: settings, whether it was trained from the first to the last epoch, mean score.
    """

    table: Table
    space: str
    epochs: int
    rows: Split
    seed: int = 0
    took: list[tuple[float, float, bool]] = field(default_factory=list)
    trials: list[dict[str, Any]] = field(default_factory=list)
    _left: dict[str, list[Any]] = field(default_factory=dict)

    def score(
        self,
        hp: Any,  # noqa: ANN401
        name: str = "",
        of: str = "",
        since: int = 0,
        until: int | None = None,
    ) -> float:
        """The mean held-out score.

        Args:
            hp: Answers the network's questions, and keeps the answers as `values`.
            name: Of the trial.
            of: The trial that this one goes on with, fold by fold; none where empty.
            since: Epochs that were trained there.
            until: Where training ends; at the last epoch if not given.
        """
        import keras

        keras.utils.clear_session()
        end = self.epochs if until is None else until
        before = self._left[of] if of else None
        scores, left = list[float](), list[Any]()
        for place, part in enumerate(parts(self.table, *self.rows)):
            model, score = self._fold(hp, part, None if before is None else before[place], since, end)
            left.append(model.get_weights())
            scores.append(score)
        self._left[name] = left
        self.trials.append(
            {
                "settings": _own(hp.values),
                "whole": since == 0 and end == self.epochs,
                "score": float(np.mean(scores)),
            }
        )
        return self.trials[-1]["score"]

    def _fold(self, hp: Any, part: Split, weights: Any, since: int, end: int) -> tuple[Any, float]:  # noqa: ANN401
        import keras

        (x, y), (fit, scored) = self.rows, part
        began, ends = time.perf_counter(), list[float]()
        clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ends.append(time.perf_counter()))
        keras.utils.set_random_seed(0)
        batch = self.table.batch
        model = network(hp, self.table, self.space, x.shape[1], math.ceil(len(fit) / batch))
        if weights is not None:
            model.set_weights(weights)
        model.fit(
            x[fit], y[fit], batch_size=batch, epochs=end, initial_epoch=since, callbacks=[clock], verbose=0
        )
        said = model.evaluate(x[scored], y[scored], batch_size=batch, verbose=0, return_dict=True)
        epoch = (ends[-1] - ends[0]) / (len(ends) - 1) if len(ends) > 1 else math.nan
        apart = time.perf_counter() - began - len(ends) * (0.0 if math.isnan(epoch) else epoch)
        self.took.append((apart, epoch, len(self.took) % FOLDS == 0))
        return model, said[SCORE]


def parts(table: Table, x: np.ndarray, y: np.ndarray) -> list[Split]:
    """Training and held-out rows of every fold."""
    return list(procedure(table).split(x, y))


def procedure(table: Table) -> Any:  # noqa: ANN401 - scikit-learn's splitter
    """How folds are drawn."""
    from sklearn.model_selection import KFold, StratifiedKFold

    kind = StratifiedKFold if table.classes else KFold
    return kind(FOLDS, shuffle=True, random_state=1)


def keras_tuner(
    tool: str,
    build: Callable[[Any], Any],
    trials: int | None,
    epochs: int,
    folder: str,
    seed: int,
    run: Callable[[Any], float] | None = None,
) -> Any:  # noqa: ANN401
    """One of KerasTuner's tuners; `run` takes a trial's place and returns its score.

    Hyperband without a number of trials makes one whole iteration; with one, as many as it takes.
    """
    import keras_tuner

    base = getattr(keras_tuner, tool)
    made = base if run is None else type(tool, (base,), {"run_trial": lambda _, trial, **__: run(trial)})
    where = {"directory": folder, "project_name": "search", "overwrite": True, "seed": seed}
    objective = keras_tuner.Objective(f"val_{SCORE}", "min")
    if tool != "Hyperband":
        return made(build, objective, max_trials=trials, **where)
    tuner = made(build, objective, epochs, hyperband_iterations=1 if trials is None else None, **where)
    tuner.oracle.max_trials = trials
    return tuner


def peer_search(tool: str, loop: Loop, trials: int, part: int, within: float) -> dict[str, Any]:
    """Part of a peer's search, and all of it, or so many seconds, with made-up scores."""
    rng, lengths = np.random.default_rng(0), list[int]()

    def made_up(since: int, until: int) -> float:
        lengths.append(until - since)
        return float(rng.random())

    def go(count: int, made_up: MadeUp | None = None) -> float:
        began = time.perf_counter()
        if tool == "optuna":
            _optuna_search(loop, count, made_up, within)
        else:
            _keras_tuner_search(tool, loop, count, made_up, within)
        return time.perf_counter() - began

    trained, itself = go(part), go(trials, made_up)
    return {
        "itself": itself,
        "trained": trained,
        "lengths": lengths,
        "fits": loop.took,
        "trials": loop.trials,
    }


def _optuna_search(loop: Loop, trials: int, made_up: MadeUp | None = None, within: float = 0.0) -> Any:  # noqa: ANN401
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial: Any) -> float:  # noqa: ANN401
        hp = Asked(trial)
        if made_up is None:
            return loop.score(hp)
        network(hp, loop.table, loop.space, loop.rows[0].shape[1])
        return made_up(0, loop.epochs)

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=loop.seed))
    study.optimize(objective, n_trials=trials, timeout=None if made_up is None else within)
    return study


def _keras_tuner_search(tool: str, loop: Loop, trials: int, made_up: MadeUp | None, within: float) -> None:
    def run(trial: Any) -> float:  # noqa: ANN401
        hp = trial.hyperparameters
        since, until = hp.values.get("tuner/initial_epoch", 0), hp.values.get("tuner/epochs", loop.epochs)
        if made_up is not None:
            if time.perf_counter() - began > within:
                tuner.oracle.max_trials = len(tuner.oracle.trials)
            return made_up(since, until)
        of = hp.values.get("tuner/trial_id", "")
        return loop.score(hp, trial.trial_id, of, since, until)

    build = partial(network, table=loop.table, space=loop.space, inputs=loop.rows[0].shape[1])
    with tempfile.TemporaryDirectory() as folder:
        tuner, began = (
            keras_tuner(tool, build, trials, loop.epochs, folder, loop.seed, run),
            time.perf_counter(),
        )
        tuner.search(verbose=0)


def caviar_search(
    table: Table,
    rows: Split,
    space: str,
    trials: int,
    epochs: int,
    seed: int = 0,
    search: str = "random",
    options: Settings | None = None,
) -> Any:  # noqa: ANN401
    """A whole search by `caviar.tune` over five folds: random, as it does by default, or another one."""
    import caviar

    def build(hp: Any) -> Any:  # noqa: ANN401
        return network(hp, table, space, rows[0].shape[1])

    with tempfile.TemporaryDirectory() as folder:
        return caviar.tune(
            build,
            *rows,
            trials=trials,
            search=search,
            options=options or {},
            folds=FOLDS,
            epochs=epochs,
            batch_size=table.batch,
            task="classification" if table.classes else "regression",
            seed=seed,
            folder=f"{folder}/search",
            verbose=0,
        )


def caviar_hyperband(table: Table, rows: Split, space: str, trials: int, epochs: int) -> Any:  # noqa: ANN401
    """Caviar's Hyperband with as many trainings as KerasTuner's, which counts each short one as a trial.

    Caviar counts the settings that are begun with. The shortest trainings are KerasTuner's too.
    """
    from caviar.tune.halving import ROUNDING, brackets

    least = 3.0 ** -math.floor(math.log(epochs, 3) + ROUNDING)

    def trainings(settings: int) -> int:
        return sum(rung.count for rungs in brackets(settings, least=least) for rung in rungs)

    settings = next(settings for settings in count(1) if trainings(settings) >= trials)
    return caviar_search(table, rows, space, settings, epochs, search="hyperband", options={"least": least})


def choose(tool: str, table: Table, space: str, trials: int, epochs: int, number: int) -> dict[str, Any]:
    """The settings that a tool finds best on the rows to search on, by its own way of scoring."""
    rows, _ = table.split(number)
    if tool == "caviar":
        found = caviar_search(table, rows, space, trials, epochs, seed=number)
        return {"settings": found.hyperparameters, "epochs": trials * FOLDS * epochs}
    if tool == "optuna":
        loop = Loop(table, space, epochs, rows, seed=number)
        study = _optuna_search(loop, trials)
        return {"settings": study.best_params, "epochs": trials * FOLDS * epochs}
    import keras

    steps = math.ceil(len(rows[1]) * (1 - _VALIDATION_SHARE) / table.batch)
    build = partial(network, table=table, space=space, inputs=rows[0].shape[1], steps=steps)
    keras.utils.set_random_seed(number)
    with tempfile.TemporaryDirectory() as folder:
        tuner = keras_tuner(tool, build, None if tool == "Hyperband" else trials, epochs, folder, number)
        tuner.search(
            *rows, epochs=epochs, batch_size=table.batch, validation_split=_VALIDATION_SHARE, verbose=0
        )
        best = _own(tuner.get_best_hyperparameters()[0].values)
        lengths = [_length(trial.hyperparameters.values, epochs) for trial in tuner.oracle.trials.values()]
    return {"settings": best, "epochs": sum(lengths)}


def _own(values: Settings) -> dict[str, Any]:
    """What the network asked for, without Hyperband's notes."""
    return {name: value for name, value in values.items() if not name.startswith("tuner/")}


def _length(settings: Settings, epochs: int) -> int:
    return int(settings.get("tuner/epochs", epochs) - settings.get("tuner/initial_epoch", 0))


def judge(
    table: Table, space: str, number: int, epochs: int, seeds: int, settings: Sequence[Settings]
) -> list[list[float]]:
    """Scores (settings, seed) on the rows that nobody saw, of networks trained on all rows that were searched on."""
    from sklearn.model_selection import PredefinedSplit

    (x, y), (fresh_x, fresh_y) = table.split(number)
    apart = PredefinedSplit(np.repeat([-1, 0], [len(y), len(fresh_y)]))
    rows = np.concatenate([x, fresh_x]), np.concatenate([y, fresh_y])
    return _fitted(table, space, rows, epochs, seeds, settings, apart)


def same(table: Table, space: str, epochs: int, settings: Sequence[Settings]) -> list[float]:
    """Caviar's mean held-out score of settings, on the folds and with the seed of the peers."""
    found = _fitted(table, space, table.timed_on(), epochs, 1, settings, procedure(table))
    return np.mean(found, axis=1).tolist()


def _fitted(
    table: Table,
    space: str,
    rows: Split,
    epochs: int,
    seeds: int,
    settings: Sequence[Settings],
    folds: Any,  # noqa: ANN401 - scikit-learn's splitter
) -> list[list[float]]:
    """Held-out scores (settings, member)."""
    import caviar

    def build(**values: Any) -> Any:  # noqa: ANN401
        return network(Given(values), table, space, rows[0].shape[1])

    history = caviar.fit(
        build,
        *rows,
        seeds=seeds,
        folds=folds,
        recipes={str(place): dict(one) for place, one in enumerate(settings)},
        epochs=epochs,
        batch_size=table.batch,
        verbose=0,
    )
    return history.scores[SCORE].reshape(len(settings), -1).tolist()


def main() -> None:
    """Do what one contender does and print what came of it."""
    parser = argparse.ArgumentParser(description="Run one contender of tuning.py.")
    parser.add_argument("job", choices=("search", "choose", "judge", "same"))
    parser.add_argument("tool", choices=("caviar", "optuna", *KERAS_TUNER))
    parser.add_argument("table", choices=tuple(TABLES))
    parser.add_argument("space", choices=("numbers", "shapes", "mixed"))
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--epochs", type=int, help="instead of the table's")
    parser.add_argument("--hyperband", action="store_true", help="search, Caviar: by its Hyperband")
    parser.add_argument("--part", type=int, default=3, help="search: trials of a peer that are trained")
    parser.add_argument("--within", type=float, default=60.0, help="search: seconds of made-up trials")
    parser.add_argument("--split", type=int, default=0, help="choose, judge: which rows are searched on")
    parser.add_argument("--seeds", type=int, default=5, help="judge: networks for each settings")
    parser.add_argument("--settings", type=json.loads, default=[], help="judge, same: a list, as JSON")
    asked = parser.parse_args()
    table = TABLES[asked.table]
    epochs = asked.epochs or table.epochs
    if asked.job == "judge":
        said: Any = {"scores": judge(table, asked.space, asked.split, epochs, asked.seeds, asked.settings)}
    elif asked.job == "same":
        said = {"scores": same(table, asked.space, epochs, asked.settings)}
    elif asked.job == "choose":
        said = choose(asked.tool, table, asked.space, asked.trials, epochs, asked.split)
    elif asked.tool == "caviar":
        search = caviar_hyperband if asked.hyperband else caviar_search
        found = search(table, table.timed_on(), asked.space, asked.trials, epochs)
        scores = [line.score[0] for line in found.lines]
        said = {"finished": int(np.isfinite(scores).sum()), "best": found.naive_score}
        if asked.hyperband:  # only searches in parts note how long each was
            said["epochs"] = [
                line.epochs - (0 if line.source is None else found.lines[line.source].epochs)
                for line in found.lines
            ]
    else:
        loop = Loop(table, asked.space, epochs, table.timed_on())
        said = peer_search(asked.tool, loop, asked.trials, asked.part, asked.within)
    print(json.dumps({**said, "versions": versions() | _of_tools()}))


def _of_tools() -> dict[str, str]:
    found = {}
    for name in ("keras-tuner", "optuna"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


if __name__ == "__main__":
    main()
