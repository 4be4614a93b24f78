"""A run that was opened: its record, curves, model and report, without training."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import xarray as xr

from caviar.errors import RunError
from caviar.model.finished import FinishedModel, load_finished
from caviar.report.page import write_report
from caviar.run.folder import HISTORIES, MODEL, RunFolder
from caviar.run.record import Record


@dataclass(frozen=True)
class Run:
    """Everything one command learned.

    Attributes:
        path: The run's folder.
        record: What was learned, as values.
    """

    path: Path
    record: Record

    def __repr__(self) -> str:
        return f"<caviar.Run {self.path}: {self.record.status}, stage {self.record.stage}>"

    def model(self) -> FinishedModel:
        """The finished model, loaded from its files.

        Raises:
            RunError: The run ended before a model was made.
        """
        return load_finished(self.path / MODEL)

    def history(self, arm: str = "baseline") -> xr.Dataset:
        """Curves of one arm's members, (member, epoch).

        Raises:
            RunError: There is no such arm, or its curves cannot be read.
        """
        arms = [self.record.baseline, *(self.record.trial.arms if self.record.trial else [])]
        found = {a.name: a.history for a in arms if a is not None}
        if found.get(arm) is None:
            raise RunError(
                f"Expected an arm whose curves were kept, got {arm!r}. There are {', '.join(found) or 'none'}."
            )
        path = self.path / HISTORIES / Path(str(found[arm])).name
        try:
            return xr.load_dataset(path, engine="h5netcdf")
        except (OSError, ValueError) as error:
            raise RunError(
                f"Expected curves in {path}, but they cannot be read ({type(error).__name__}). "
                f"Copy the whole run's folder."
            ) from error

    def predict(self, rows: object) -> pl.DataFrame:
        """Predictions for new rows: see `FinishedModel.predict`."""
        return self.model().predict(rows)

    def report(self) -> Path:
        """Draw `report.html` again from the record; returns its path."""
        return write_report(self.path)


def open_run(path: str | Path) -> Run:
    """Open the folder that a command left, to predict with its model or to read what it found.

    Args:
        path: The folder, such as `runs/patients-20260101-120000`.

    Raises:
        RunError: It is not a run's folder.

    Example:
        >>> run = caviar.open_run("runs/patients-20260101-120000")  # doctest: +SKIP
        >>> run.predict("new_rows.csv")  # doctest: +SKIP
    """
    folder = RunFolder(Path(path))
    return Run(folder.path, folder.load_record())
