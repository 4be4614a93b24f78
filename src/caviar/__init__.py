"""Train your Keras model a few hundred times at once, find out what is wrong, and prove what fixes it.

>>> import caviar
>>> run = caviar.improve("sample:breast-cancer")  # doctest: +SKIP
>>> caviar.predict(run.path, "new_rows.csv")  # doctest: +SKIP
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from caviar.population.devices import choose_backend

if TYPE_CHECKING:
    from caviar.doctor import diagnose
    from caviar.errors import CaviarError
    from caviar.fit import fit
    from caviar.history import History
    from caviar.improve import improve
    from caviar.look import look
    from caviar.lr_range import lr_range
    from caviar.parquet import parquet
    from caviar.predict import predict
    from caviar.recipe import schedules
    from caviar.results import Run, open_run
    from caviar.resume import resume
    from caviar.stability import stability
    from caviar.tuned import tune
    from caviar.versus import compare

# Before anybody imports keras: a population is a JAX program.
choose_backend()

_HOMES = {
    "CaviarError": "caviar.errors",
    "History": "caviar.history",
    "Run": "caviar.results",
    "compare": "caviar.versus",
    "diagnose": "caviar.doctor",
    "fit": "caviar.fit",
    "improve": "caviar.improve",
    "look": "caviar.look",
    "lr_range": "caviar.lr_range",
    "open_run": "caviar.results",
    "parquet": "caviar.parquet",
    "predict": "caviar.predict",
    "resume": "caviar.resume",
    "schedules": "caviar.recipe.schedules",
    "stability": "caviar.stability",
    "tune": "caviar.tuned",
}

__all__ = [
    "CaviarError",
    "History",
    "Run",
    "compare",
    "diagnose",
    "fit",
    "improve",
    "look",
    "lr_range",
    "open_run",
    "parquet",
    "predict",
    "resume",
    "schedules",
    "stability",
    "tune",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import a public name when it is first used: `import caviar` and `caviar --help` stay quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'caviar' has no attribute {name!r}")
    home = importlib.import_module(_HOMES[name])
    return getattr(home, name, home)  # `schedules` is a module itself


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """A package whose functions keep their names: importing `caviar.look` would put the module in its place."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
