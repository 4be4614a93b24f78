"""How the numbers of an evaluation are written in sentences."""

from collections.abc import Sequence

from caviar.estimate import Estimate


def digits(value: float) -> str:
    """Three significant digits, and all digits before the point.

    >>> digits(0.02149), digits(-12.3456), digits(0.004), digits(12345.6), digits(3.2e-8)
    ('0.0215', '-12.3', '0.004', '12346', '3.2e-08')
    """
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def interval(estimate: Estimate) -> str:
    """The interval as people read it aloud, with its level.

    >>> interval(Estimate(value=0.02, low=0.01, high=0.03, method="Wilson score", n=9))
    '95 % interval 0.01 to 0.03'
    """
    return f"{100 * estimate.level:g} % interval {digits(estimate.low)} to {digits(estimate.high)}"


def listed(words: Sequence[str]) -> str:
    """Words joined as in a sentence.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def in_minutes(minutes: float) -> str:
    """A time as it was given with --minutes.

    >>> in_minutes(1), in_minutes(0.5), in_minutes(10)
    ('1 minute', '0.5 minutes', '10 minutes')
    """
    return "1 minute" if minutes == 1 else f"{minutes:g} minutes"


def roughly(seconds: float) -> str:
    """A time that is only forecast, in no more digits than are known of it.

    >>> roughly(3), roughly(34), roughly(95), roughly(1000), roughly(9000), roughly(13000)
    ('a few seconds', 'about 35 seconds', 'about 2 minutes', 'about 15 minutes', 'about 2.5 hours', 'about 4 hours')
    """
    if seconds < 7.5:
        return "a few seconds"
    if seconds < 57.5:
        return f"about {5 * round(seconds / 5)} seconds"
    minutes = seconds / 60
    if minutes < 57.5:
        return f"about {in_minutes(round(minutes) or 1 if minutes < 9.5 else 5 * round(minutes / 5))}"
    hours = round(2 * minutes / 60) / 2 if minutes < 210 else round(minutes / 60)
    return "about 1 hour" if hours == 1 else f"about {hours:g} hours"
