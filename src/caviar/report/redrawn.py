"""Which page belongs to a folder? A run's or a search's, drawn again from what lies in it."""

from pathlib import Path

from caviar.report.page import write_report
from caviar.report.search import write_search
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
        return write_report(path)
    found = read_search(path)
    return write_search(found.path, found.record, found.lines, found.space)
