"""How does a search go on of which only the folder is left? As it was called, where that can be said in a file."""

from pathlib import Path
from typing import Any

from caviar.errors import RunError
from caviar.recipe.builder import Builder
from caviar.run.call import found
from caviar.searching.tune import Tuned, tune_table


def go_on(
    path: Path,
    plan: dict[str, Any],
    *,
    source: object = None,
    model: str | Builder | None = None,
    quiet: bool = False,
) -> Tuned:
    """Do what the call did that began a search; what was trained is not trained again.

    Settings that it began with are those of then, whatever has become of the folders they came from. `minutes` count
    anew.

    Args:
        path: The search's folder.
        plan: What it holds of what is searched.
        source: The table, where it was no file.
        model: The builder, where it was no `"file.py:function"`.
        quiet: Print nothing.

    Raises:
        RunError: Only Python knows what the search was given.
    """
    call = plan.get("call")
    if not isinstance(call, dict):
        raise RunError(
            f"Expected a search of `caviar tune`, but the one in {path} was begun by caviar.tune, with arrays and "
            f"functions that only Python knows. The same call of it with folder={str(path)!r} goes on with it, as does "
            f"`caviar tune` with the same arguments and --out."
        )
    given = found(call["arguments"], call["files"])
    given |= {name: value for name, value in {"source": source, "model": model}.items() if value is not None}
    missing = [name for name, value in given.items() if value is None]
    if missing:
        raise RunError(
            f"Expected {' and '.join(missing)} to be given again, because only Python knows what the search in {path} "
            f"was given. Call caviar.resume(path, {', '.join(f'{name}=…' for name in missing)})."
        )
    return tune_table(**given, start=plan["start"][1:], out=path, quiet=quiet)
