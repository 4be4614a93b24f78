"""The text of an example: a builder's code, made-up data, and one call of fit."""

import importlib.metadata
import platform
import re
from dataclasses import dataclass

from caviar.errors import ModelError
from caviar.help.likeness import Draft
from caviar.help.source import BuilderSource

_OFFERED = ("hp", "n_inputs", "n_outputs")
_DEFAULTS = '''class {name}:
    """Stands in for KerasTuner's hp: answers with defaults."""

    def Int(self, name, min_value, max_value=None, *args, default=None, **kwargs):
        return min_value if default is None else default

    Float = Int

    def Choice(self, name, values, *args, default=None, **kwargs):
        return values[0] if default is None else default

    def Boolean(self, name, default=False, **kwargs):
        return default

    def Fixed(self, name, value, **kwargs):
        return value'''


@dataclass(frozen=True)
class Example:
    """An example's builder, data and fit arguments.

    Attributes:
        source: The builder's code.
        draft: The data.
        epochs: Passes over them.
        batch_size: Rows per gradient step; Keras' own if None.
    """

    source: BuilderSource
    draft: Draft
    epochs: int = 1
    batch_size: int | None = None

    def script(self) -> str:
        """The program as text, without a heading."""
        lines = self.source.code.strip("\n").splitlines()
        names = {name: self._free(name) for name in ("x", "y", "model", "rng", "Defaults")}
        future = [line for line in lines if line.startswith("from __future__")]
        imports = ["import keras", "import numpy as np"]
        imports += ["import pandas"] if self.draft.inputs != "numbers" else []
        imports = [line for line in imports if line not in lines]
        chosen = "KERAS_BACKEND" in self.source.code  # by the person, above an import of keras
        theirs = "\n".join(line for line in lines if line not in future)
        head = [*future, "import os", 'os.environ["KERAS_BACKEND"] = "jax"', *imports]
        parts = [theirs, *imports] if chosen else [*head, theirs]
        blocks = ["\n".join([*future, *parts] if chosen else parts)]
        blocks += [_DEFAULTS.format(name=names["Defaults"])] if "hp" in self.source.arguments else []
        blocks.append("\n".join(self._body(names)))
        return "\n\n\n".join(blocks) + "\n"

    @property
    def backend(self) -> str:
        """The backend that the code chooses; Caviar's own if it chooses none."""
        found = re.search(r"KERAS_BACKEND['\"]\s*[\],]\s*=?\s*['\"](\w+)", self.source.code)
        return found[1] if found else "jax"

    def _free(self, name: str) -> str:
        while name in self.source.names:
            name += "_"
        return name

    def _body(self, names: dict[str, str]) -> list[str]:
        x, y, model = names["x"], names["y"], names["model"]
        offered = {
            "hp": f"{names['Defaults']}()",
            "n_inputs": str(self.draft.n_inputs),
            "n_outputs": str(self.draft.n_outputs),
        }
        arguments = ", ".join(f"{a}={offered[a]}" for a in self.source.arguments if a in offered)
        batch_size = "" if self.batch_size is None else f", batch_size={self.batch_size}"
        drawn = [line.replace("rng", names["rng"]) for line in self.draft.code(x, y)]
        return [
            "keras.utils.set_random_seed(0)",
            *drawn,
            f"{model} = {self.source.name}({arguments})",
            f"{model}.fit({x}, {y}, epochs={self.epochs}{batch_size}, verbose=0)",
        ]


def check_arguments(source: BuilderSource) -> None:
    """Refuse a builder that cannot be called.

    Raises:
        ModelError: It needs an argument that is neither `hp`, `n_inputs` nor `n_outputs`.
    """
    strangers = [name for name in source.required if name not in _OFFERED]
    if strangers:
        raise ModelError(
            f"Expected a builder that takes nothing, or some of {', '.join(_OFFERED)}; yours also needs "
            f"{strangers[0]!r}. Give it a default value."
        )


def versions(backend: str) -> str:
    """Python, Keras, its backend, NumPy and the system, on one line.

    Args:
        backend: Name of the backend, which is also its package.
    """

    def version(package: str) -> str:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return "(not installed)"

    return (
        f"Python {platform.python_version()}, Keras {version('keras')} on {backend} {version(backend)}, "
        f"NumPy {version('numpy')}, {platform.system()} {platform.machine()}"
    )
