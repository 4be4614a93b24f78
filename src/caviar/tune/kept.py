"""What does the folder of a search hold? Its record, its trials and its space, read back without training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from caviar.errors import RunError
from caviar.run.study import SearchRecord, StudyFolder, TrialLine
from caviar.tune.space import Space, told_space


@dataclass(frozen=True)
class KeptSearch:
    """A finished search.

    Attributes:
        path: Its folder.
        record: What came out.
        lines: All trials.
        space: What was searched.
    """

    path: Path
    record: SearchRecord
    lines: Sequence[TrialLine]
    space: Space


def read_search(path: str | Path) -> KeptSearch:
    """Read a search's folder; it is left as it is.

    Raises:
        RunError: It is no search's folder, the search is not over, or a file cannot be read.
    """
    folder = StudyFolder(Path(path).expanduser())
    plan = folder.plan()
    if plan is None:
        raise RunError(
            f"Expected the folder of a search, but {folder.path} holds none. Give the one that `caviar tune` printed."
        )
    record = folder.result()
    if record is None:
        raise RunError(
            f"Expected a search that is over in {folder.path}, got one that is not. `caviar resume {folder.path}` goes "
            f"on with it."
        )
    return KeptSearch(folder.path, record, folder.lines(mend=False), told_space(plan["space"]))
