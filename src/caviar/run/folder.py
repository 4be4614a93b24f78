"""The folder of one run: made once, never over an old one, and read back without training."""

import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import xarray as xr
from pydantic import ValidationError

from caviar.errors import RunError
from caviar.run.files import write_text, write_with
from caviar.run.notes import Notes
from caviar.run.record import FORMAT, Record

RECORD = "record.json"
HISTORIES = "histories"
MODEL = "model"
REPORT = "report.html"
TRAINING = "training"


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps its record, histories, model and report."""

    path: Path

    def save_record(self, record: Record) -> None:
        """Write the record; a reader sees the old one or the new one, never half of it."""
        write_text(self.path / RECORD, record.model_dump_json(indent=1))

    def save_history(self, name: str, history: xr.Dataset) -> str:
        """Write one arm's curves; returns the file's place inside the folder."""
        relative = f"{HISTORIES}/{_safe(name)}.nc"
        plain = history.assign_attrs({key: value for key, value in history.attrs.items() if value != ""})
        packed = {variable: {"zlib": True} for variable in plain.data_vars}
        write_with(
            self.path / relative,
            lambda temporary: plain.to_netcdf(temporary, engine="h5netcdf", encoding=packed),
        )
        return relative

    @property
    def notes(self) -> Notes:
        """What an unfinished run must remember."""
        return Notes(self.path / TRAINING / "notes.json")

    def training(self, name: str) -> Path:
        """Where the state of one training is kept until the run is finished."""
        return self.path / TRAINING / _safe(name)

    def forget_training(self) -> None:
        """Take away what only an unfinished run needs."""
        shutil.rmtree(self.path / TRAINING, ignore_errors=True)

    def load_record(self, *, or_search: bool = False) -> Record:
        """Read the record back.

        Args:
            or_search: Whether a search's folder would do as well, for the sentence where there is neither.

        Raises:
            RunError: There is none, or it is not one of ours.
        """
        path = self.path / RECORD
        try:
            record = Record.model_validate_json(path.read_bytes())
        except OSError as error:
            wanted, printed = f"a run's folder with a {RECORD}", "`caviar improve`"
            if or_search:
                wanted, printed = "the folder of a run or a search", "`caviar improve` or `caviar tune`"
            raise RunError(
                f"Expected {wanted}, but {path} cannot be read ({error.strerror}). "
                f"Pass the folder that {printed} printed; `ls runs` shows which there are."
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the file as a whole"
            raise RunError(
                f"Expected {path} to be a record in format {FORMAT}, but {place} is wrong ({first['msg']}). "
                f"It was changed by hand or written by another version: run `caviar improve` again."
            ) from error
        if record.format != FORMAT:
            raise RunError(
                f"Expected a record of format {FORMAT}, {path} has {record.format}. Use the version that made it."
            )
        return record


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)


def make_run_folder(table: str, out: str | Path | None = None) -> RunFolder:
    """Make a new, empty folder: `out`, or `runs/<table>-<time>`.

    Raises:
        RunError: It exists and is not empty, or cannot be written.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", table).strip("-.") or "table"
    stamp = time.strftime("%Y%m%d-%H%M%S")
    wanted = Path(out).expanduser() if out is not None else Path("runs") / f"{safe}-{stamp}"
    path, n = wanted, 1
    while True:
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            if out is None:
                n += 1
                path = wanted.with_name(f"{wanted.name}-{n}")
                continue
            if path.is_dir() and not any(path.iterdir()):
                return _writable(path)
            raise RunError(
                f"Expected a new folder for the run, but {path} already holds something. "
                f"Name another one, or leave the name out."
            ) from None
        except OSError as error:
            raise _unwritable(path, error) from error
        return _writable(path)


def _writable(path: Path) -> RunFolder:
    try:
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise _unwritable(path, error) from error
    return RunFolder(path)


def _unwritable(path: Path, error: OSError) -> RunError:
    return RunError(
        f"Expected to be able to write to {path}, but the system says: {error.strerror}. "
        f"Name a folder that you may write to."
    )
