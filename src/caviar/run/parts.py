"""Fitted objects of scikit-learn in a file, read without running code."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from caviar.errors import RunError
from caviar.run.files import write_with


def write_parts(path: Path, parts: dict[str, Any]) -> None:
    """Write named objects, with skops: no pickle.

    Raises:
        RunError: The system does not let it be written.
    """
    import skops.io  # it gathers all of SciPy's types, which takes seconds

    write_with(path, lambda temporary: temporary.write_bytes(skops.io.dumps(parts)))


def read_parts(path: Path, names: Collection[str], what: str, trusted: Sequence[str] = ()) -> dict[str, Any]:
    """Read back what `write_parts` wrote, trusting no types but scikit-learn's, NumPy's and those named.

    Args:
        path: The file.
        names: What the parts must be called.
        what: What the file is for, such as "preparation".
        trusted: Further types, in full.

    Raises:
        RunError: The file is missing, damaged, or holds something else.
    """
    import skops.io

    try:
        content = path.read_bytes()
        foreign = sorted(set(skops.io.get_untrusted_types(data=content)) - set(trusted))
        parts = None if foreign else skops.io.loads(content, trusted=list(trusted))
    except Exception as error:  # skops raises many kinds for damaged files; each means the same here
        raise RunError(
            f"Expected {path} to hold a saved {what}, but it is missing or damaged ({type(error).__name__}). "
            f"Train again, or restore the file."
        ) from error
    if foreign:
        raise RunError(
            f"Expected {path} to hold only what scikit-learn makes, but it names {', '.join(foreign)}. "
            f"It was not opened: do not use files from a source you do not trust."
        )
    if not isinstance(parts, dict) or set(parts) != set(names):
        raise RunError(f"Expected {path} to hold a saved {what}, but it holds something else.")
    return parts
