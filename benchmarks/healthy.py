"""How often does the doctor find something wrong with models that are sound?

    python benchmarks/healthy.py            # resumes model by model; writes docs/doctor.md
    python benchmarks/healthy.py --tuned    # the same models at their best, likewise
    python benchmarks/healthy.py --quick    # six models, printed only

Sound recipes on clean tables: those of scikit-learn that fit and generated ones, two hidden layers or one, common
widths, rates, batch sizes and optimizers; inputs standardised; 200 epochs, or 4,000 steps if that is less, with early
stopping that goes back to the best weights, as most would train them. The grid is fixed here, before the doctor sees
any of it. Not every recipe is the best for its table, so a finding may be right: on generated tables its remedy is
trained once more and scored on fresh rows. The aim, at most 5 % with any finding, is of this grid as a whole.

`--tuned` brings each model to its best before the doctor sees it: of 32 drawn settings of rate, L2 and dropout, each
trained for up to 500 epochs, or 10,000 steps, it has those that score best over five folds of other splits than the
doctor's.
"""

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from sklearn import datasets

from fresh import fresh_scores
from speed import machine
from tables import write

PAGE = Path(__file__).resolve().parents[1] / "docs" / "doctor.md"
AIM = 0.05


@dataclass(frozen=True)
class Model:
    """A sound recipe on a clean table.

    Attributes:
        table: Its name in `TABLES`.
        widths: Of the hidden layers.
        activation: Of the hidden layers.
        optimizer: "adam" at 0.001, or "sgd" at 0.01 with momentum 0.9.
        batch: Rows per step.
    """

    table: str
    widths: tuple[int, ...]
    activation: str
    optimizer: str
    batch: int

    @property
    def name(self) -> str:
        """For the file of finished models."""
        widths = "-".join(map(str, self.widths))
        return f"{self.table} {widths} {self.activation} {self.optimizer} {self.batch}"


def _friedman(noise: float) -> tuple[np.ndarray, np.ndarray]:
    x, y = datasets.make_friedman1(_POOL, 8, noise=noise, random_state=0)
    return x, y


def _classes(classes: int, apart: float) -> tuple[np.ndarray, np.ndarray]:
    return datasets.make_classification(
        _POOL,
        10,
        n_informative=6,
        n_redundant=2,
        n_classes=classes,
        class_sep=apart,
        flip_y=0.02,
        random_state=0,
    )


# Rows of a generated table, its name says how many of them are given to the doctor; the others judge its findings.
_POOL = 22_000
TABLES: dict[str, Any] = {
    "breast-cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "wine": lambda: datasets.load_wine(return_X_y=True),
    "iris": lambda: datasets.load_iris(return_X_y=True),
    "diabetes": lambda: datasets.load_diabetes(return_X_y=True),
    "friedman-500": lambda: _friedman(1.0),
    "friedman-1500": lambda: _friedman(2.0),
    "moons-600": lambda: datasets.make_moons(_POOL, noise=0.25, random_state=0),
    "circles-800": lambda: datasets.make_circles(_POOL, noise=0.1, factor=0.5, random_state=0),
    "two-classes-1000": lambda: _classes(2, 1.0),
    "three-classes-900": lambda: _classes(3, 1.5),
}
WIDTHS = ((16,), (32, 16))
TRAINING = (
    ("relu", "adam", 32),
    ("tanh", "adam", 32),
    ("relu", "sgd", 32),
    ("relu", "adam", 16),
    ("elu", "adam", 64),
)
_GENERATED = {name for name in TABLES if name[-1].isdigit()}
GRID = tuple(Model(t, w, *training) for t, w, training in product(TABLES, WIDTHS, TRAINING))
_STEPS, _MOST_EPOCHS, _PATIENCE = 4_000, 200, 20
_TUNED_STEPS, _TUNED_EPOCHS, _TRIALS, _TUNING_SEED = 10_000, 500, 32, 1_000
_RATES = {"adam": (3e-4, 0.1), "sgd": (3e-3, 0.5)}


def rows_of(model: Model) -> tuple[np.ndarray, np.ndarray, int]:
    """Standardised inputs, target, and classes or 0; a quantity is standardised too. Of a generated table all rows."""
    x, y = TABLES[model.table]()
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    if y.dtype.kind == "f":
        return x, ((y - y.mean()) / y.std())[:, None], 0
    return x, y, int(y.max()) + 1


def examined(model: Model, *, tuned: bool) -> dict[str, Any]:
    """What the doctor says of it, as it is or at its best."""
    import caviar  # chooses Keras' backend
    from caviar.population import devices

    devices.start()
    import keras

    every, target, classes = rows_of(model)
    given = int(model.table.split("-")[-1]) if len(every) == _POOL else len(every)
    x, y = every[:given], target[:given]
    heads = {0: (1, None, "mse"), 2: (1, "sigmoid", "binary_crossentropy")}
    outputs, last, loss = heads.get(classes, (classes, "softmax", "sparse_categorical_crossentropy"))

    def network(n_inputs: int, rate: float, l2: float = 0.0, dropout: float = 0.0) -> keras.Model:
        initializer = "he_normal" if model.activation == "relu" else "glorot_uniform"
        layers: list[Any] = [keras.Input((n_inputs,))]
        for width in model.widths:
            penalty = keras.regularizers.L2(l2) if tuned else None
            layers.append(
                keras.layers.Dense(
                    width, model.activation, kernel_initializer=initializer, kernel_regularizer=penalty
                )
            )
            layers += [keras.layers.Dropout(dropout)] if tuned else []
        made = keras.Sequential([*layers, keras.layers.Dense(outputs, last)])
        sgd = keras.optimizers.SGD(rate, momentum=0.9)
        made.compile(keras.optimizers.Adam(rate) if model.optimizer == "adam" else sgd, loss)
        return made

    steps, most = (_TUNED_STEPS, _TUNED_EPOCHS) if tuned else (_STEPS, _MOST_EPOCHS)
    epochs = int(np.clip(steps * model.batch / len(x), 10, most))
    stopping = keras.callbacks.EarlyStopping(patience=_PATIENCE, restore_best_weights=True)
    given_to_fit = {"batch_size": model.batch, "epochs": epochs, "callbacks": [stopping]}
    settings: dict[str, float] = {"rate": 1e-3 if model.optimizer == "adam" else 0.01}
    if tuned:

        def asked(hp: Any) -> keras.Model:  # noqa: ANN401
            rate = hp.Float("rate", *_RATES[model.optimizer], sampling="log")
            l2 = hp.Float("l2", 1e-6, 0.1, sampling="log")
            return network(x.shape[1], rate, l2, hp.Float("dropout", 0.0, 0.4))

        with tempfile.TemporaryDirectory() as folder:
            settings = caviar.tune(
                asked, x, y, trials=_TRIALS, seed=_TUNING_SEED, folder=folder, verbose=0, **given_to_fit
            ).hyperparameters  # fmt: skip

    def build(n_inputs: int) -> keras.Model:
        return network(n_inputs, **settings)

    began = time.monotonic()
    diagnosis = caviar.diagnose(build, x, y, verbose=0, **given_to_fit)
    seconds = time.monotonic() - began
    return {
        "model": model.name,
        "rows": given,
        "epochs": epochs,
        "settings": settings,
        "area": diagnosis.area,
        "found": [f"{f.code} {f.fault}" for f in diagnosis.findings],
        "suspected": [f.code for f in diagnosis.notes],
        "seconds": seconds,
        "fresh": _on_fresh_rows(diagnosis, every, target, given) if diagnosis.findings else {},
    }


def _on_fresh_rows(diagnosis: Any, x: np.ndarray, y: np.ndarray, given: int) -> dict[str, Any]:  # noqa: ANN401
    """Losses (seed,) as the model is and with the first finding's best remedy, if rows are left."""
    if given == len(x):
        return {}
    first = diagnosis._first.trial  # noqa: SLF001 - what the doctor tried
    remedies = set(diagnosis.findings[0].remedies)
    arms = [arm for arm in first.arms if arm.recipe.name in remedies]
    if not arms:
        return {}
    sign = 1 if first.higher_is_better else -1
    best = max(arms, key=lambda arm: sign * float(first.scores(arm).mean()))
    rows, fresh = np.arange(given), np.arange(given, len(x))
    metric = "r2" if y.dtype.kind == "f" else "log-loss"
    losses = {
        name: fresh_scores(recipe, x, y, rows, fresh, metric)
        for name, recipe in (("before", diagnosis._recipe), ("after", best.recipe))  # noqa: SLF001
    }
    return {
        "remedy": best.recipe.name,
        **{name: (1 - score if metric == "r2" else score).tolist() for name, score in losses.items()},
    }


def is_right(line: dict[str, Any]) -> bool:
    """Whether the remedy of a finding lowers the loss on fresh rows too, surely (Welch's test, 5 %, one-sided)."""
    before, after = line["fresh"]["before"], line["fresh"]["after"]
    return bool(stats.ttest_ind(after, before, equal_var=False, alternative="less").pvalue < 0.05)


def table(lines: list[dict[str, Any]]) -> list[str]:
    """The page's text."""
    ill = [line for line in lines if line["found"]]
    low, high = stats.binomtest(len(ill), len(lines)).proportion_ci(method="wilson")
    suspected = sum(bool(line["suspected"]) for line in lines)
    seconds = [line["seconds"] for line in lines]
    reached = "reached" if len(ill) <= AIM * len(lines) else "**not reached**"
    text = [
        (
            f"{len(lines)} of {len(GRID)} sound models, in a random order: {len(ill)} with a finding, "
            f"{len(ill) / len(lines):.1%} ({low:.1%} – {high:.1%}); aim {AIM:.0%}: {reached}."
        ),
        (
            f"In {suspected} something looked wrong at first. Seconds: median "
            f"{np.median(seconds):.0f}, longest {max(seconds):.0f}."
        ),
        "",
    ]
    tested = [line for line in ill if line["fresh"]]
    generated = sum(line["model"].split()[0] in _GENERATED for line in lines)
    false = sum(not is_right(line) for line in tested)
    low, high = stats.binomtest(false, generated).proportion_ci(method="wilson")
    text[2:2] = [
        "",
        (
            f"On generated tables a finding can be put to the test: {len(tested)} of {generated} models have one "
            f"there, and in {len(tested) - false} of these its remedy also lowers the loss on {_POOL - 1500:,} or "
            f"more fresh rows (five seeds, Welch's test). **Findings that fresh rows do not confirm: {false} of "
            f"{generated}** ({low:.1%} – {high:.1%})."
        ),
    ]
    if ill:
        text += [
            "| model | epochs | area | found | loss on fresh rows | |",
            "| --- | ---: | --- | --- | --- | --- |",
        ]
        text += [_row(line) for line in ill]
        text.append("")
    text.append(f"{machine()}; caviar {version('caviar')}, keras {version('keras')}, jax {version('jax')}.")
    return text


def _row(line: dict[str, Any]) -> str:
    found = ", ".join(line["found"]).replace("_", " ")
    said, mark = "", ""
    if line["fresh"]:
        before, after = (np.mean(line["fresh"][name]) for name in ("before", "after"))
        said = f"{before:.3f} → {after:.3f} ({line['fresh']['remedy']})"
        mark = "✓" if is_right(line) else "–"
    return f"| {line['model']} | {line['epochs']} | {line['area']} | {found} | {said} | {mark} |"


def main() -> None:
    """Examine the models that have no line yet, then write the table."""
    parser = argparse.ArgumentParser(description="Diagnose healthy models.")
    parser.add_argument("--quick", action="store_true", help="six models, printed only")
    parser.add_argument("--tuned", action="store_true", help="the models at their best")
    parser.add_argument("--lines", type=Path, help="where finished models are kept")
    parser.add_argument("--first", type=int, default=len(GRID), help="so many of the models (default: all)")
    parser.add_argument("--page", action="store_true", help="examine none, write those there are")
    asked = parser.parse_args()
    part = "healthy-tuned" if asked.tuned else "healthy"
    kept = asked.lines or Path(f"{part}-lines.jsonl")
    # In an order that is no order of the grid, so that the first ones are a fair part of it.
    order = np.random.default_rng(0).permutation(len(GRID))
    models = [GRID[i] for i in order][: 6 if asked.quick else asked.first]
    done: dict[str, dict[str, Any]] = {}
    if kept.exists() and not asked.quick:
        said = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
        done = {line["model"]: line for line in said}
    for model in models:
        if model.name in done or asked.page:
            continue
        line = done[model.name] = examined(model, tuned=asked.tuned)
        print(line, flush=True)
        if not asked.quick:
            with kept.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(line) + "\n")
    text = "\n".join(table([done[model.name] for model in models if model.name in done]))
    print(text)
    if not asked.quick:
        write(text, part, PAGE)


if __name__ == "__main__":
    main()
