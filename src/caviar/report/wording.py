"""How values are written for a reader: sensible digits, intervals, durations, names."""

import math
from collections.abc import Iterable

from caviar.estimate import Estimate

TIMES = "\N{MULTIPLICATION SIGN}"
MINUS = "\N{MINUS SIGN}"
NOT_AVAILABLE = "not available"
_MOST_DECIMALS = 6
_SYMBOLS = {
    "auc": "AUC",
    "mae": "MAE",
    "mse": "MSE",
    "rmse": "RMSE",
    "f1": "F1",
    "r2": "R\N{SUPERSCRIPT TWO}",
}


def decimals_of(half_width: float) -> int:
    """Decimals with which an interval of this half width reads well: steps of at most an eighth of it.

    >>> decimals_of(0.057), decimals_of(3.2), decimals_of(410.0)
    (3, 1, 0)
    """
    if not math.isfinite(half_width) or half_width <= 0:
        return 4
    return min(_MOST_DECIMALS, max(0, math.ceil(math.log10(8 / half_width))))


def common_decimals(estimates: Iterable[Estimate | None]) -> int | None:
    """Decimals for a whole column of estimates, so that its numbers line up; None if none has an interval.

    >>> half_widths = [0.012, 0.008, 0.002]
    >>> common_decimals([Estimate(value=0, low=-w, high=w, method="", n=9) for w in half_widths])
    3
    """
    wanted = sorted(
        d for estimate in estimates if estimate is not None and (d := _decimals(estimate)) is not None
    )
    return wanted[len(wanted) // 2] if wanted else None


def number(value: float | None, decimals: int | None = None) -> str:
    """`value` for a person: about three significant digits unless `decimals` are given.

    >>> number(0.41237), number(1234.5678), number(float("nan")), number(0.41237, 2)
    ('0.412', '1,235', 'not available', '0.41')
    """
    if value is None or math.isnan(value):
        return NOT_AVAILABLE
    if math.isinf(value):
        return "infinity" if value > 0 else f"{MINUS}infinity"
    size = abs(value)
    if size >= 1e9 or 0 < size < 1e-6:
        return _scientific(value)
    if decimals is not None:
        return _with_minus(f"{value:,.{decimals}f}")
    if size == 0 or size == round(size):
        return _with_minus(f"{value:,.0f}")
    text = f"{value:,.{min(_MOST_DECIMALS, max(0, 2 - math.floor(math.log10(size))))}f}"
    return _with_minus(text.rstrip("0").rstrip(".") if "." in text else text)


def _scientific(value: float) -> str:
    mantissa, exponent = f"{value:.1e}".split("e")
    digits = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{_with_minus(mantissa)}\N{NO-BREAK SPACE}{TIMES}\N{NO-BREAK SPACE}10{digits}"


def _with_minus(text: str) -> str:
    return text.replace("-", MINUS)


def value_of(estimate: Estimate | None, decimals: int | None = None) -> str:
    """The point estimate, with as many digits as its interval supports.

    >>> value_of(Estimate(value=0.41237, low=0.36, high=0.47, method="", n=30))
    '0.412'
    """
    if estimate is None:
        return NOT_AVAILABLE
    return number(estimate.value, _decimals(estimate) if decimals is None else decimals)


def interval_of(estimate: Estimate | None, decimals: int | None = None) -> str:
    """The interval in words, with the digits of its point estimate.

    >>> interval_of(Estimate(value=0.41237, low=0.36, high=0.47, method="", n=30))
    '0.360 to 0.470'
    """
    if estimate is None or math.isnan(estimate.low) or math.isnan(estimate.high):
        return "no interval"
    if math.isinf(estimate.low) and math.isinf(estimate.high):
        return "no interval: too few values"
    decimals = _decimals(estimate) if decimals is None else decimals
    return f"{number(estimate.low, decimals)} to {number(estimate.high, decimals)}"


def with_interval(estimate: Estimate | None, decimals: int | None = None) -> str:
    """Value and interval on one line.

    >>> with_interval(Estimate(value=0.41237, low=0.36, high=0.47, method="", n=30))
    '0.412 (0.360 to 0.470)'
    """
    if not is_known(estimate):
        return NOT_AVAILABLE
    return f"{value_of(estimate, decimals)} ({interval_of(estimate, decimals)})"


def signed(estimate: Estimate | None, decimals: int | None = None) -> str:
    """A difference: its sign is always written.

    >>> signed(Estimate(value=0.0213, low=0.011, high=0.031, method="", n=30))
    '+0.021'
    """
    text = value_of(estimate, decimals)
    return f"+{text}" if estimate is not None and estimate.value > 0 else text


def _decimals(estimate: Estimate) -> int | None:
    width = (estimate.high - estimate.low) / 2
    return decimals_of(width) if math.isfinite(width) and width > 0 else None


def is_known(estimate: Estimate | None) -> bool:
    """Whether there is a finite point estimate to show."""
    return estimate is not None and is_finite(estimate.value)


def is_finite(value: float | None) -> bool:
    """Whether there is a finite number to show."""
    return value is not None and math.isfinite(value)


def percent(share: float | None) -> str:
    """A share of 0 to 1 as a percentage, its sign behind a space that does not break.

    >>> percent(0.904).split(), percent(0.004).split()
    (['90', '%'], ['0.4', '%'])
    """
    if share is None or not is_finite(share):
        return NOT_AVAILABLE
    points = 100 * share
    whole = points == 0 or 1 <= points <= 99 or points == 100
    return f"{points:.{0 if whole else 1}f}\N{NO-BREAK SPACE}%"


def p_value(p: float) -> str:
    """A p-value with no more digits than anyone should read.

    >>> p_value(0.00004), p_value(0.0123), p_value(0.42)
    ('< 0.001', '0.012', '0.42')
    """
    if math.isnan(p):
        return NOT_AVAILABLE
    if p < 0.001:
        return "< 0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def duration(seconds: float) -> str:
    """A duration as a person would say it.

    >>> duration(0.42), duration(72.4), duration(3725)
    ('0.4 s', '1 min 12 s', '1 h 2 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def count(n: int, noun: str) -> str:
    """A number of things, in the right grammatical number.

    >>> count(1, "row"), count(1200, "row"), count(2, "class")
    ('1 row', '1,200 rows', '2 classes')
    """
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{n:,} {noun if n == 1 else plural}"


def shortened(text: str, length: int) -> str:
    """`text` on one line of at most `length` characters; an ellipsis says that some is left out.

    >>> shortened("mean corpuscular volume", 12)
    'mean corpus…'
    """
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1].rstrip()}…"


def capitalized(text: str) -> str:
    """`text` with a capital first letter, the rest as it is.

    >>> capitalized("linear model (L2)")
    'Linear model (L2)'
    """
    return text[:1].upper() + text[1:]


def metric_title(name: str) -> str:
    """A metric's name as a reader knows it.

    >>> metric_title("auc"), metric_title("average-precision"), metric_title("log-loss")
    ('AUC', 'average precision', 'log-loss')
    """
    if name in _SYMBOLS:
        return _SYMBOLS[name]
    return name if name == "log-loss" else name.replace("-", " ").replace("_", " ")
