"""From which severity on does the doctor name a fault that was planted in a sound model?

    python benchmarks/planted.py            # resumes fault by fault; writes docs/doctor.md
    python benchmarks/planted.py --quick    # the worst severity of four faults, printed only

A sound network on one clean table of classes, or of values where the fault needs a quantity, gets one fault at three
severities. Faults have effects: what may rightly be named for each stands beside it, before the doctor saw any of it.
"""

import argparse
import json
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets

from speed import machine
from tables import write

PAGE = Path(__file__).resolve().parents[1] / "docs" / "doctor.md"
ROWS, STEPS = 600, 1_500


@dataclass(frozen=True)
class Plan:
    """A model and its data; sound as it stands.

    Attributes:
        values: Whether a quantity is predicted, not a class.
        rows: Rows of the table.
        x_scale: Factor of one input.
        y_scale: Factor of the target.
        depth: Hidden layers.
        width: Units of each.
        activation: Of the hidden layers.
        last: Activation of the last layer; None for the right one.
        deviation: Standard deviation of the first weights; None for the usual one.
        rate: Of Adam.
        dropout: After each hidden layer.
        penalty: L2 on the kernels.
        batch: Rows per step.
        times: Epochs, as a multiple of the sound number.
    """

    values: bool = False
    rows: int = ROWS
    x_scale: float = 1.0
    y_scale: float = 1.0
    depth: int = 2
    width: int = 16
    activation: str = "relu"
    last: str | None = None
    deviation: float | None = None
    rate: float = 3e-3
    dropout: float = 0.0
    penalty: float = 0.0
    batch: int = 32
    times: float = 1.0


@dataclass(frozen=True)
class Fault:
    """A fault at three severities.

    Attributes:
        name: In the common vocabulary.
        what: What is done, in words.
        plans: The model at each severity, mildest first, in words and as it is.
        accepted: What may be named.
    """

    name: str
    what: str
    plans: dict[str, Plan]
    accepted: set[str] = field(default_factory=set)


_SLOW = {"learning_rate_low", "slow_convergence", "epochs_too_few", "underfitting", "not_trained"}
_WILD = {
    "learning_rate_high",
    "diverging",
    "exploding_gradient",
    "oscillating_loss",
    "dead_relu",
    "not_trained",
}
FAULTS = (
    Fault("unscaled_input", "one input times", {f"{s:g}": Plan(x_scale=s) for s in (10, 100, 10_000)}, _WILD),
    Fault(
        "unscaled_target", "target times", {f"{s:g}": Plan(values=True, y_scale=s) for s in (10, 100, 10_000)}, _SLOW
    ),
    Fault("learning_rate_low", "rate times", {f"1/{s}": Plan(rate=3e-3 / s) for s in (10, 100, 1000)}, _SLOW),
    Fault("learning_rate_high", "rate times", {f"{s}": Plan(rate=3e-3 * s) for s in (10, 100, 1000)}, _WILD),
    Fault(
        "hidden_activation",
        "sigmoid layers",
        {f"{d}": Plan(activation="sigmoid", depth=d) for d in (2, 4, 8)},
        {"vanishing_gradient", *_SLOW},
    ),
    Fault(
        "init",
        "first weights with standard deviation",
        {f"{d:g}": Plan(deviation=d) for d in (2, 10, 0.0001)},
        {"saturated", "vanishing_gradient", *_SLOW, *_WILD},
    ),
    Fault(
        "last_activation",
        "last activation",
        {name: Plan(values=True, last=name) for name in ("tanh", "sigmoid", "relu")},
        {"saturated", "underfitting"},
    ),
    Fault(
        "over_regularised", "L2 on the kernels", {f"{s:g}": Plan(penalty=s) for s in (0.01, 0.1, 1)}, {"underfitting"}
    ),
    Fault(
        "over_regularised",
        "dropout",
        {f"{s:g}": Plan(dropout=s) for s in (0.5, 0.8, 0.95)},
        {"underfitting", "dropout_rate"},
    ),
    Fault("epochs_too_few", "epochs times", {f"1/{s}": Plan(times=1 / s) for s in (3, 10, 30)}, _SLOW),
    Fault(
        "overfitting",
        "epochs times 10 on rows",
        {f"{r}": Plan(rows=r, width=64, times=10) for r in (300, 100, 50)},
        {"missing_regularisation", "epochs_too_many", "capacity_too_large", "train_set_too_small"},
    ),
    Fault(
        "capacity_too_small", "one hidden layer of units", {f"{w}": Plan(width=w, depth=1) for w in (4, 2, 1)},
        {"underfitting"},
    ),
)  # fmt: skip


def table_of(plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Standardised inputs and a target, before the fault; then with it."""
    if plan.values:
        x, y = datasets.make_friedman1(plan.rows, 8, noise=1.0, random_state=0)
        y = plan.y_scale * ((y - y.mean()) / y.std())[:, None]
    else:
        x, y = datasets.make_classification(
            plan.rows, 10, n_informative=6, n_redundant=2, n_clusters_per_class=3, flip_y=0.02, random_state=0
        )
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    x[:, 0] *= plan.x_scale
    return x, y


def examined(plan: Plan) -> dict[str, Any]:
    """What the doctor says."""
    import caviar
    from caviar.population import devices

    devices.start()
    import keras

    x, y = table_of(plan)

    def build(n_inputs: int) -> keras.Model:
        first = "he_normal" if plan.activation == "relu" else "glorot_uniform"
        kernel: Any = first if plan.deviation is None else keras.initializers.RandomNormal(0, plan.deviation)
        layers: list[Any] = [keras.Input((n_inputs,))]
        for _ in range(plan.depth):
            penalty = keras.regularizers.L2(plan.penalty) if plan.penalty else None
            layers.append(
                keras.layers.Dense(
                    plan.width, plan.activation, kernel_initializer=kernel, kernel_regularizer=penalty
                )
            )
            layers += [keras.layers.Dropout(plan.dropout)] if plan.dropout else []
        last = plan.last or (None if plan.values else "sigmoid")
        network = keras.Sequential([*layers, keras.layers.Dense(1, last)])
        network.compile(keras.optimizers.Adam(plan.rate), "mse" if plan.values else "binary_crossentropy")
        return network

    epochs = max(1, round(plan.times * STEPS * plan.batch / plan.rows))
    began = time.monotonic()
    diagnosis = caviar.diagnose(build, x, y, batch_size=plan.batch, epochs=epochs, verbose=0)
    return {
        "area": diagnosis.area,
        "found": sorted({finding.fault for finding in diagnosis.findings}),
        "codes": [finding.code for finding in diagnosis.findings],
        "suspected": [finding.code for finding in diagnosis.notes],
        "seconds": time.monotonic() - began,
    }


def _cell(fault: Fault, line: dict[str, Any]) -> str:
    named = [name.replace("_", " ") for name in line["found"]]
    right = {fault.name, *fault.accepted} & set(line["found"])
    return f"{'✓' if right else '–'} {', '.join(named) or line['area']}"


def table(done: dict[str, dict[str, Any]]) -> list[str]:
    """The page's text."""
    text = ["| fault | what is done | mild | | severe |", "| --- | --- | --- | --- | --- |"]
    named, wrong, total = [0, 0, 0], [0, 0, 0], [0, 0, 0]
    for fault in FAULTS:
        cells = []
        for i, words in enumerate(fault.plans):
            line = done.get(f"{fault.name} {fault.what} {words}")
            if line is None:
                cells.append("")
                continue
            cells.append(f"{words}: {_cell(fault, line)}")
            found = set(line["found"])
            total[i] += 1
            named[i] += bool(found & {fault.name, *fault.accepted})
            wrong[i] += len(found - {fault.name, *fault.accepted})
        text.append(f"| {fault.name.replace('_', ' ')} | {fault.what} | {' | '.join(cells)} |")
    sound = [line for name, line in done.items() if name.startswith("sound")]
    counts = ", ".join(f"{n} of {t}" for n, t in zip(named, total, strict=True))
    text += [
        "",
        (
            f"Named, from mild to severe: {counts}. Faults named beside them wrongly: {', '.join(map(str, wrong))}. "
            f"The sound models themselves: {', '.join(', '.join(line['found']) or line['area'] for line in sound)}."
        ),
        "",
        f"{machine()}; caviar {version('caviar')}, keras {version('keras')}, jax {version('jax')}.",
    ]
    return text


def plans(*, quick: bool) -> dict[str, Plan]:
    """All models by name."""
    found: dict[str, Plan] = {} if quick else {"sound, classes": Plan(), "sound, values": Plan(values=True)}
    for fault in FAULTS[:4] if quick else FAULTS:
        named = {f"{fault.name} {fault.what} {words}": plan for words, plan in fault.plans.items()}
        found |= dict(list(named.items())[-1:]) if quick else named
    return found


def main() -> None:
    """Examine the models that have no line yet, then write the table."""
    parser = argparse.ArgumentParser(description="Diagnose planted faults.")
    parser.add_argument("--quick", action="store_true", help="four models, printed only")
    parser.add_argument(
        "--lines", type=Path, default=Path("planted-lines.jsonl"), help="where finished models are kept"
    )
    asked = parser.parse_args()
    done: dict[str, dict[str, Any]] = {}
    if asked.lines.exists() and not asked.quick:
        said = [json.loads(line) for line in asked.lines.read_text(encoding="utf-8").splitlines()]
        done = {line["model"]: line for line in said}
    for name, plan in plans(quick=asked.quick).items():
        if name in done:
            continue
        line = done[name] = {"model": name} | examined(plan)
        print(line, flush=True)
        if not asked.quick:
            with asked.lines.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(line) + "\n")
    text = "\n".join(table(done))
    print(text)
    if not asked.quick:
        write(text, "planted", PAGE)


if __name__ == "__main__":
    main()
