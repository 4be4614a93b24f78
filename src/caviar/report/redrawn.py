"""Which page belongs to a folder? A run's or a search's, drawn again from what lies in it."""

from pathlib import Path

from caviar.errors import RunError
from caviar.report.page import write_report
from caviar.report.search import write_search
from caviar.run.folder import RECORD, REPORT, RunFolder
from caviar.run.study import StudyFolder
from caviar.tune.kept import read_search


def redraw(folder: str | Path) -> Path:
    """Draw the page of a run of `caviar improve`, or of a search, again; nothing is trained.

    Args:
        folder: What one of them has left.

    Returns:
        Where the page was written.

    Raises:
        RunError: The folder holds neither, what it holds cannot be read, or the page cannot be written.
    """
    path = Path(folder).expanduser()
    if StudyFolder(path).plan() is None:
        if (path / REPORT).exists() and not (path / RECORD).exists():
            raise RunError(
                f"Expected the folder of a run or a search, whose pages can be drawn again, but {path} was left by "
                f"another command. Its page is {path / REPORT}, as that command wrote it."
            )
        if not (path / RECORD).exists():
            RunFolder(path).load_record(or_search=True)  # refuses the folder
        return write_report(path)
    found = read_search(path)
    return write_search(found.path, found.record, found.lines, found.space)
