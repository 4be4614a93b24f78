"""Does a person's own code compute the gradients of its own loss?"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from caviar.diagnose.results import Differences
from caviar.experiments import slopes
from caviar.experiments.contract import Ground, NotAvailable, Seen
from caviar.recipe.builder import Builder

ROWS, SECONDS = 32, 90


def worth(seen: Seen) -> bool:
    """Whether layers, activations, the loss or the training step are a person's own."""
    return seen.evidence.model is not None and bool(seen.evidence.model.custom)


def steps(_: Ground) -> int:
    """No member is trained."""
    return 0


def finite_differences(ground: Ground) -> Differences:
    """Build the model anew in double precision, in a process of its own, and compare."""
    recipe = ground.arm.recipe
    if recipe.rewrites:
        raise NotAvailable("the model is no longer that of its builder")
    asked = where(recipe.builder)
    assert ground.arm.sample is not None
    x, y = ground.arm.sample
    rows = ground.bench.splits[0].train[:: max(1, len(ground.bench.splits[0].train) // ROWS)][:ROWS]
    batch = {"x": x[rows].astype(np.float64), "y": y[rows]}
    if batch["y"].dtype.kind == "f":
        batch["y"] = batch["y"].astype(np.float64)
    asked |= {
        "n_inputs": x.shape[1],
        "n_outputs": ground.bench.dataset.n_outputs,
        "seed": ground.bench.seed_of(0, 0),
    }
    told = ask(asked, batch)
    if "why" in told:
        raise NotAvailable(f"in double precision {told['why'].rstrip('.')}")
    return Differences(told["errors"], told["slope"], len(rows))


def where(builder: Builder) -> dict[str, Any]:
    """How another process finds a builder.

    Raises:
        NotAvailable: It was written in a session or a script, or inside another function.
    """
    module = sys.modules.get(getattr(builder, "__module__", None) or "")
    name, file = getattr(builder, "__qualname__", ""), getattr(module, "__file__", None)
    if (
        module is None
        or file is None
        or module.__name__ == "__main__"
        or getattr(module, name, None) is not builder
    ):
        raise NotAvailable("the builder cannot be imported in a process of its own")
    own = module.__name__.startswith("caviar_user_")
    return {"module": module.__name__, "file": str(file), "name": name, "by_file": own}


def ask(asked: dict[str, Any], batch: dict[str, np.ndarray]) -> dict[str, Any]:
    """Ask a process of its own.

    Raises:
        NotAvailable: It did not answer.
    """
    settings = {"JAX_ENABLE_X64": "1", "KERAS_BACKEND": "jax", "PYTHONPATH": os.pathsep.join(sys.path)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / slopes.ASKED).write_text(json.dumps(asked), encoding="utf-8")
        np.savez(folder / slopes.ROWS, **batch)  # type: ignore[arg-type]
        try:
            subprocess.run(  # noqa: S603 - our own module, by this very Python
                [sys.executable, "-m", slopes.__name__, name],
                env=os.environ | settings,
                capture_output=True,
                timeout=SECONDS,
                check=True,
            )
            told: dict[str, Any] = json.loads((folder / slopes.TOLD).read_text(encoding="utf-8"))
        except subprocess.TimeoutExpired:
            raise NotAvailable(f"it took more than {SECONDS} seconds") from None
        except (subprocess.CalledProcessError, OSError) as error:
            raise NotAvailable(f"a process of its own failed ({error})") from None
    return told


def in_words(yielded: Differences) -> str:
    """What came out."""
    worst = max(yielded.errors, key=lambda name: yielded.errors[name], default="")
    if not worst:
        return "There are no weights to train."
    return (
        f"Of {len(yielded.errors)} weight arrays, the gradient of {worst} is furthest from what the loss does: by "
        f"{yielded.errors[worst]:.2g} of its size{'; the training step climbs' * (yielded.slope < 0)}."
    )
