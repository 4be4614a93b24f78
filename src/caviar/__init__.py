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
    from caviar import plots
    from caviar.comparing.compare import compare
    from caviar.comparing.recheck import recheck
    from caviar.comparing.stability import stability
    from caviar.course.lesson import lesson
    from caviar.doctor.diagnose import diagnose
    from caviar.errors import CaviarError
    from caviar.forecasting.forecast import forecast
    from caviar.help.answer import explain_error
    from caviar.help.example import smallest_example
    from caviar.improving.improve import improve
    from caviar.look import look
    from caviar.nursing.panda import panda
    from caviar.predict import predict
    from caviar.rates.lr_range import lr_range
    from caviar.recipe import schedules
    from caviar.results import Run, open_run
    from caviar.resume import resume
    from caviar.searching.tune import tune
    from caviar.training.fit import fit
    from caviar.training.history import History
    from caviar.training.parquet import parquet

# Before anybody imports keras: a population is a JAX program.
choose_backend()

_HOMES = {
    "CaviarError": "caviar.errors",
    "History": "caviar.training.history",
    "Run": "caviar.results",
    "compare": "caviar.comparing.compare",
    "diagnose": "caviar.doctor.diagnose",
    "explain_error": "caviar.help.answer",
    "fit": "caviar.training.fit",
    "forecast": "caviar.forecasting.forecast",
    "improve": "caviar.improving.improve",
    "lesson": "caviar.course.lesson",
    "look": "caviar.look",
    "lr_range": "caviar.rates.lr_range",
    "open_run": "caviar.results",
    "panda": "caviar.nursing.panda",
    "parquet": "caviar.training.parquet",
    "plots": "caviar.plots",
    "predict": "caviar.predict",
    "recheck": "caviar.comparing.recheck",
    "resume": "caviar.resume",
    "schedules": "caviar.recipe.schedules",
    "smallest_example": "caviar.help.example",
    "stability": "caviar.comparing.stability",
    "tune": "caviar.searching.tune",
}

__all__ = [
    "CaviarError",
    "History",
    "Run",
    "compare",
    "diagnose",
    "explain_error",
    "fit",
    "forecast",
    "improve",
    "lesson",
    "look",
    "lr_range",
    "open_run",
    "panda",
    "parquet",
    "plots",
    "predict",
    "recheck",
    "resume",
    "schedules",
    "smallest_example",
    "stability",
    "tune",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import a public name when it is first used: `import caviar` and `caviar --help` stay quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'caviar' has no attribute {name!r}")
    home = importlib.import_module(_HOMES[name])
    return getattr(home, name, home)  # `plots` and `schedules` are modules themselves


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """A package whose functions keep their names: importing `caviar.look` would put the module in its place."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
