"""What does each contender of speed.py do, from its first import to its last score?

One process cross-validates one multi-output regression and prints, as JSON, the mean absolute error of each
held-out fold and the versions it ran on. All contenders see the same table, the same splits, 100 epochs of
batches of 32 with a real short last batch, a new row order in every epoch, the epoch's mean loss as the only
record, no validation, and the held-out rows once at the end:

    python benchmarks/speed_contenders.py caviar --members 30
"""

import argparse
import itertools
import json
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

FOLDS = 10
EPOCHS = 100
BATCH = 32
HIDDEN = 20

Split = tuple[np.ndarray, np.ndarray]


def table() -> tuple[np.ndarray, np.ndarray]:
    """Inputs (1000, 10) and targets (1000, 3), as every backend trains them: single precision."""
    from sklearn.datasets import make_regression

    x, y = make_regression(n_samples=1000, n_features=10, n_informative=5, n_targets=3, random_state=2)
    return x.astype(np.float32), y.astype(np.float32)


def splits(rows: int, members: int) -> list[Split]:
    """The first `members` pairs (training rows, held-out rows) of ten folds, repeated as often as it takes."""
    from sklearn.model_selection import RepeatedKFold

    procedure = RepeatedKFold(n_splits=FOLDS, n_repeats=-(-members // FOLDS), random_state=1)
    return list(itertools.islice(procedure.split(np.empty((rows, 1))), members))


def mean_absolute_error(target: np.ndarray, output: np.ndarray) -> float:
    """Over all rows and targets."""
    return float(np.abs(target - output).mean())


def caviar(members: int) -> list[float]:
    """All members as one population."""
    from caviar.population.job import Job, Seat
    from caviar.population.train import train

    x, y = table()
    none = np.empty(0, np.int64)
    seats = [
        Seat(i // FOLDS, i % FOLDS, seed=i, split=0, fit=fit, watch=none, scored=scored)
        for i, (fit, scored) in enumerate(splits(len(x), members))
    ]

    trained = train(Job(partial(keras_model, 1), x[None], y[None], None, seats, BATCH, EPOCHS))
    if trained.engine != "population":
        raise SystemExit(f"Expected one population, but Caviar trained one by one: {trained.why}.")
    return [mean_absolute_error(y[s.scored], o) for s, o in zip(seats, trained.outputs, strict=True)]


def keras_loop(members: int, steps_per_execution: int) -> list[float]:
    """One `fit` after another, on whichever backend KERAS_BACKEND names."""
    import keras

    x, y = table()
    scores = []
    for seed, (fit, scored) in enumerate(splits(len(x), members)):
        keras.utils.set_random_seed(seed)
        model = keras_model(steps_per_execution)
        model.fit(x[fit], y[fit], batch_size=BATCH, epochs=EPOCHS, verbose=0)
        output = keras.ops.convert_to_numpy(model(x[scored]))
        scores.append(mean_absolute_error(y[scored], output))
    return scores


def keras_model(steps_per_execution: int, width: int = HIDDEN, loss: str = "mae") -> Any:  # noqa: ANN401 - Keras is another one in each environment
    """The network of the example, compiled; in other widths or with another loss for growth.py."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((10,)),
            keras.layers.Dense(width, kernel_initializer="he_uniform", activation="relu"),
            keras.layers.Dense(3),
        ]
    )
    model.compile(loss=loss, optimizer="adam", steps_per_execution=steps_per_execution)
    return model


def torch_loop(members: int, threads: int | None) -> list[float]:
    """A hand-written loop; `threads` limits torch to so many, None leaves its default."""
    import torch  # type: ignore[import-not-found]  # in an environment of its own

    if threads is not None:
        torch.set_num_threads(threads)
    x, y = map(torch.from_numpy, table())
    scores = []
    for seed, (fit, scored) in enumerate(splits(len(x), members)):
        torch.manual_seed(seed)
        hidden, last = torch.nn.Linear(10, HIDDEN), torch.nn.Linear(HIDDEN, 3)
        torch.nn.init.kaiming_uniform_(hidden.weight, nonlinearity="relu")
        torch.nn.init.xavier_uniform_(last.weight)
        torch.nn.init.zeros_(hidden.bias)
        torch.nn.init.zeros_(last.bias)
        model = torch.nn.Sequential(hidden, torch.nn.ReLU(), last)
        # Keras' epsilon; the fused step is torch's fastest on a CPU.
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7, fused=True)
        x_fit, y_fit = x[fit], y[fit]
        losses = []
        for _ in range(EPOCHS):
            total = torch.zeros(())
            order = torch.randperm(len(fit))
            for x_batch, y_batch in zip(x_fit[order].split(BATCH), y_fit[order].split(BATCH), strict=True):
                optimizer.zero_grad()
                loss = torch.nn.functional.l1_loss(model(x_batch), y_batch)
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(x_batch)
            losses.append(total.item() / len(fit))
        with torch.no_grad():
            output = model(x[scored]).numpy()
        scores.append(mean_absolute_error(y[scored].numpy(), output))
    return scores


def versions() -> dict[str, str]:
    """Versions of what may matter here, where installed."""
    found = {}
    for name in ("caviar", "keras", "jax", "tensorflow-cpu", "torch", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def main() -> None:
    """Run one contender and print what it reached."""
    parser = argparse.ArgumentParser(description="Run one contender of speed.py.")
    parser.add_argument("contender", choices=("caviar", "keras", "torch"))
    parser.add_argument("--members", type=int, default=30, help="networks to train: folds x repeats")
    parser.add_argument("--steps-per-execution", type=int, default=1, help="Keras only")
    parser.add_argument("--threads", type=int, help="torch only; default: torch's own")
    asked = parser.parse_args()
    if asked.contender == "caviar":
        scores = caviar(asked.members)
    elif asked.contender == "keras":
        scores = keras_loop(asked.members, asked.steps_per_execution)
    else:
        scores = torch_loop(asked.members, asked.threads)
    print(json.dumps({"mae": scores, "versions": versions()}))


if __name__ == "__main__":
    main()
