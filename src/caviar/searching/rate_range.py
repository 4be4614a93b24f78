"""Between which learning rates does the space for tables search? As a range test found them, or as a person says."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from caviar.errors import OptionError, RunError
from caviar.report.lr_range import LR_RANGE
from caviar.run.rates import RangeRecord


def read_rate_range(given: Any) -> tuple[float, float]:  # noqa: ANN401 - one of the ways
    """The lowest and the highest rate of a search.

    Args:
        given: What `caviar.lr_range` returned, the folder of `caviar lr-range`, or two rates: as numbers, or as a text
            with a comma between them.

    >>> read_rate_range("1e-4, 0.01")
    (0.0001, 0.01)

    Raises:
        OptionError: It is none of these, the rates are no range, or no training of the test succeeded.
        RunError: The folder's record cannot be read.
    """
    found = getattr(given, "search_range", None)  # it says itself where no training succeeded
    if found is not None:
        return _checked(*found)
    if isinstance(given, (str, Path)) and (Path(given).expanduser() / LR_RANGE).is_file():
        return _checked(*_of_folder(Path(given).expanduser()))
    parts = given.split(",") if isinstance(given, str) else given
    if not isinstance(parts, Sequence) or len(parts) != 2:
        raise _refusal(given)
    try:
        low, high = (float(part) for part in parts)
    except (TypeError, ValueError):
        raise _refusal(given) from None
    return _checked(low, high)


def _of_folder(folder: Path) -> tuple[float, float]:
    path = folder / LR_RANGE
    try:
        found = RangeRecord.model_validate_json(path.read_bytes()).search
    except (OSError, ValidationError) as error:
        raise RunError(
            f"Expected {path} to hold what a range test found, but it cannot be read. Use the version that made it, or "
            f"give two rates."
        ) from error
    if found is None:
        raise OptionError(
            f"Expected a range test in which training succeeds at some rate, but in {folder} it failed at all. Test "
            f"lower ones, or look for the cause with `caviar diagnose`."
        )
    return found


def _checked(low: float, high: float) -> tuple[float, float]:
    if not 0 < low < high < float("inf"):
        raise OptionError(
            f"Expected rates to be two numbers above 0, the lower one first, got {low:g} and {high:g}. For example "
            f"0.0001,0.01."
        )
    return float(low), float(high)


def _refusal(given: object) -> OptionError:
    return OptionError(
        f"Expected rates as the folder of `caviar lr-range`, or as the lowest and the highest rate with a comma "
        f"between them, got {str(given)!r}. For example 0.0001,0.01."
    )
