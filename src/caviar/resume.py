"""Go on with a run that was killed, stopped, or ran into an error."""

import time
from pathlib import Path
from typing import Any

from caviar.errors import RunError
from caviar.improving.improve import carry_out
from caviar.recipe.builder import Builder
from caviar.results import Run
from caviar.run.call import found
from caviar.run.folder import RunFolder
from caviar.run.study import StudyFolder
from caviar.searching.going_on import go_on
from caviar.searching.tune import Tuned


def resume(
    path: str | Path, *, source: object = None, model: str | Builder | None = None, quiet: bool = False
) -> Run | Tuned:
    """Go on where a run of `improve` was broken off; what it had trained is not trained again.

    On the same machine it ends with the numbers of a run that was never broken off. With `minutes`, the time spent
    before counts, and what was given up for lack of time stays given up. A search of `caviar tune` goes on likewise,
    where its builder was none, or `"file.py:function"`; for it, `minutes` count anew.

    Args:
        path: The folder of the run or of the search.
        source: The table, where it was no file.
        model: The builder, where it was no `"file.py:function"`.
        quiet: Print nothing.

    Raises:
        RunError: There is nothing to go on with there, or something that the run needs must be given again.

    Example:
        >>> import caviar
        >>> run = caviar.resume("runs/sonar-20260102-030405")  # doctest: +SKIP
    """
    began, folder = time.monotonic(), RunFolder(Path(path))
    plan = StudyFolder(folder.path).plan()
    if plan is not None:
        return go_on(folder.path, plan, source=source, model=model, quiet=quiet)
    arguments = folder.notes.get("arguments")
    if not isinstance(arguments, dict):
        finished = folder.load_record(or_search=True).status == "finished"
        raise RunError(
            f"Expected the folder of an unfinished run, but {folder.path} "
            f"{'is finished' if finished else 'holds nothing to go on with'}. "
            f"{'`caviar report` draws its report again.' if finished else 'Start `caviar improve` again.'}"
        )
    again = {"source": source, "model": model}
    given: dict[str, Any] = {
        **found(arguments, folder.notes.get("files") or {}),
        **{k: v for k, v in again.items() if v is not None},
    }
    missing = [name for name, value in given.items() if value is None]
    if missing:
        raise RunError(
            f"Expected {' and '.join(missing)} to be given again, because only Python knows what the run in "
            f"{folder.path} was given. Call caviar.resume(path, {', '.join(f'{name}=…' for name in missing)})."
        )
    return carry_out(
        given,
        quiet=quiet,
        began=began - float(folder.notes.get("seconds") or 0.0),
        unfinished=folder,
    )
