"""What does each loop of growth.py do? One member's steps, timed in steady state, in a process of its own.

Everybody trains the 10-20-3 network of speed_contenders.py with Adam on its rows: batches of 32 with a real short last
one, a new row order in every epoch. Prints, as JSON, microseconds per member and step and the mean loss of the last
epoch of each member. The first epoch, which compiles and warms up, is trained but not timed.

    python benchmarks/growth_contenders.py vmap --members 30 --epochs 20
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from speed_contenders import BATCH, HIDDEN, keras_model, splits, table, versions

Epoch = Callable[[], np.ndarray]


def torch_vmap(members: int) -> Epoch:
    """Stacked models under `torch.func.vmap`; one Adam steps them all, for it works number by number."""
    import torch  # type: ignore[import-not-found]  # in an environment of its own

    functional_call, grad_and_value, vmap = (
        torch.func.functional_call,
        torch.func.grad_and_value,
        torch.func.vmap,
    )
    x, y = map(torch.from_numpy, table())
    fit = torch.from_numpy(np.stack([rows for rows, _ in splits(len(x), members)]))
    models = [_torch_model(seed) for seed in range(members)]
    stacked, _ = torch.func.stack_module_state(models)
    weights = {name: value.detach().requires_grad_() for name, value in stacked.items()}
    optimizer = torch.optim.Adam(weights.values(), lr=1e-3, eps=1e-7, fused=True)

    def loss(own: Any, inputs: Any, targets: Any) -> Any:  # noqa: ANN401 - tensors
        return torch.nn.functional.l1_loss(functional_call(models[0], own, (inputs,)), targets)

    slopes_of = vmap(grad_and_value(loss))

    def epoch() -> np.ndarray:
        order = torch.gather(fit, 1, torch.rand(fit.shape).argsort(dim=1))
        total = torch.zeros(members)
        for rows in order.split(BATCH, dim=1):
            slopes, losses = slopes_of({k: v.detach() for k, v in weights.items()}, x[rows], y[rows])
            for name, slope in slopes.items():
                weights[name].grad = slope
            optimizer.step()
            total += losses * rows.shape[1]
        return (total / fit.shape[1]).numpy()

    return epoch


def torch_loop(members: int) -> Epoch:  # noqa: ARG001 - one
    """One model, steps written by hand, on one thread: more only wait for each other on work this small."""
    import torch

    torch.set_num_threads(1)
    x, y = (torch.from_numpy(values) for values in _rows())
    model = _torch_model(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7, fused=True)

    def epoch() -> np.ndarray:
        total = torch.zeros(())
        for rows in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            loss = torch.nn.functional.l1_loss(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(rows)
        return np.array([total.item() / len(x)])

    return epoch


def _torch_model(seed: int) -> Any:  # noqa: ANN401
    import torch

    torch.manual_seed(seed)
    hidden, last = torch.nn.Linear(10, HIDDEN), torch.nn.Linear(HIDDEN, 3)
    torch.nn.init.kaiming_uniform_(hidden.weight, nonlinearity="relu")
    torch.nn.init.xavier_uniform_(last.weight)
    torch.nn.init.zeros_(hidden.bias)
    torch.nn.init.zeros_(last.bias)
    return torch.nn.Sequential(hidden, torch.nn.ReLU(), last)


def scikit_learn(members: int) -> Epoch:  # noqa: ARG001 - one
    """`MLPRegressor.partial_fit` on one batch after another; it knows the squared error only."""
    from sklearn.neural_network import MLPRegressor

    x, y = _rows()
    rng = np.random.default_rng(0)
    model = MLPRegressor(
        hidden_layer_sizes=(HIDDEN,), alpha=0.0, batch_size=BATCH, epsilon=1e-7, shuffle=False, random_state=0
    )
    model.partial_fit(x[:BATCH], y[:BATCH])  # makes the weights, which then begin as everybody's do
    limits = (np.sqrt(6 / 10), np.sqrt(6 / (HIDDEN + 3)))
    for weights, biases, limit in zip(model.coefs_, model.intercepts_, limits, strict=True):
        weights[...] = rng.uniform(-limit, limit, weights.shape)
        biases[...] = 0

    def epoch() -> np.ndarray:
        order, total = rng.permutation(len(x)), 0.0
        for start in range(0, len(x), BATCH):
            rows = order[start : start + BATCH]
            model.set_params(batch_size=len(rows))
            model.partial_fit(x[rows], y[rows])
            total += 2 * model.loss_ * len(rows)  # its loss is half the squared error
        return np.array([total / len(x)])

    return epoch


def keras_fit(members: int, *, whole: bool) -> Epoch:  # noqa: ARG001 - one
    """`fit`, a batch or an epoch per execution; several epochs per call stand in `timed`."""
    import keras

    x, y = _rows()
    keras.utils.set_random_seed(0)
    model = keras_model(-(-len(x) // BATCH) if whole else 1)

    def epoch(epochs: int = 1) -> np.ndarray:
        history = model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0)
        return np.array([history.history["loss"][-1]])

    return epoch


def _rows() -> tuple[np.ndarray, np.ndarray]:
    """Training rows of the first fold."""
    x, y = table()
    fit, _ = splits(len(x), 1)[0]
    return x[fit], y[fit]


CONTENDERS = {
    "vmap": torch_vmap,
    "torch": torch_loop,
    "sklearn": scikit_learn,
    "keras": partial(keras_fit, whole=False),
    "keras-epoch": partial(keras_fit, whole=True),
}


def timed(name: str, members: int, epochs: int) -> tuple[float, np.ndarray]:
    """Microseconds per member and step of all epochs but the first, and the losses of the last."""
    epoch = CONTENDERS[name](members)
    losses = epoch()
    began = time.perf_counter()
    if name.startswith("keras"):
        losses = epoch(epochs - 1)  # type: ignore[call-arg]  # one call of fit, as a person would write it
    else:
        for _ in range(epochs - 1):
            losses = epoch()
    seconds = time.perf_counter() - began
    steps = -(-len(_rows()[0]) // BATCH)
    return 1e6 * seconds / (members * steps * (epochs - 1)), losses


def main() -> None:
    """Time one loop."""
    parser = argparse.ArgumentParser(description="Time one loop of growth.py.")
    parser.add_argument("contender", choices=tuple(CONTENDERS))
    parser.add_argument("--members", type=int, default=1, help="vmap only")
    parser.add_argument("--epochs", type=int, default=20, help="2 or more")
    asked = parser.parse_args()
    microseconds, losses = timed(asked.contender, asked.members, asked.epochs)
    said = {"microseconds": microseconds, "losses": losses.tolist(), "versions": versions()}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
