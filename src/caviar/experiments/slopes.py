"""A process of its own, in double precision: a person's builder, some rows, and how far its gradients are off.

Started as `python -m caviar.experiments.slopes FOLDER`: JAX decides once per process how precise its numbers are.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from caviar.errors import CaviarError
from caviar.population import devices
from caviar.population.differences import compute_in_double, slope_errors
from caviar.population.template import build_alone, first_line
from caviar.recipe.builder import Builder, call_with, load_builder

ASKED, ROWS, TOLD = "asked.json", "rows.npz", "told.json"
"""Files of the folder: what is asked, rows to ask it of, and the answer."""


def builder_of(asked: dict[str, Any]) -> Builder:
    """The builder: of a file that stands for itself, or of a module."""
    if asked["by_file"]:
        return load_builder(f"{asked['file']}:{asked['name']}")
    builder: Builder = getattr(importlib.import_module(asked["module"]), asked["name"])
    return builder


def answer(folder: Path) -> dict[str, Any]:
    """The errors of each weight array and the slope of the whole, or why there are none."""
    asked = json.loads((folder / ASKED).read_text(encoding="utf-8"))
    with np.load(folder / ROWS) as rows:
        batch = tuple(rows[name] for name in sorted(rows.files))
    devices.start()
    compute_in_double()
    try:
        builder = builder_of(asked)
        model = build_alone(
            lambda: call_with(builder, asked["n_inputs"], asked["n_outputs"]), batch, asked["seed"]
        )
        errors, slope = slope_errors(model, batch)
    except CaviarError as error:
        return {"why": first_line(error)}
    except Exception as error:  # noqa: BLE001 - a person's code may raise anything in another precision
        return {"why": f"{type(error).__name__}: {first_line(error)}"}
    return {"errors": errors, "slope": slope}


if __name__ == "__main__":
    place = Path(sys.argv[1])
    (place / TOLD).write_text(json.dumps(answer(place)), encoding="utf-8")
