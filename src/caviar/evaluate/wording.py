"""How the numbers of an evaluation are written in sentences."""

import math

from caviar.evaluate.estimate import Estimate


def digits(value: float) -> str:
    """Three significant digits, without an exponent where people write none.

    >>> digits(0.02149), digits(-12.3456), digits(0.0), digits(3.2e-8)
    ('0.0215', '-12.3', '0', '3.20e-08')
    """
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    if abs(value) < 1e-5:
        return f"{value:.2e}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def interval(estimate: Estimate) -> str:
    """The interval as people read it aloud, with its level.

    >>> interval(Estimate(value=0.02, low=0.01, high=0.03, method="Wilson score", n=9))
    '95 % interval 0.0100 to 0.0300'
    """
    return f"{100 * estimate.level:g} % interval {digits(estimate.low)} to {digits(estimate.high)}"
