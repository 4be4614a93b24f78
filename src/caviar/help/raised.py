"""Which error a text shows, and whether two errors are the same one."""

import re
from dataclasses import dataclass

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_KIND = r"[A-Z]\w*(?:Error|Exception|Warning|Interrupt)"
_AT_LINE_START = re.compile(rf"^(?:E\s+)?(?:[a-z_][\w.]*\.)?({_KIND})(?:: ?(.*))?$")
_WITHIN_LINE = re.compile(rf"(?:^|[\s.])({_KIND}): (.*)$")
# Keras wraps what a layer raised, and lists what the layer was given; JAX says that it left frames out.
_WRAPPING = re.compile(r"exception encountered when calling \S+\s*", re.IGNORECASE)
_ENDINGS = ("Arguments received by", "--------------------")
_LONG_ENOUGH = 20


@dataclass(frozen=True)
class Raised:
    """An error as a text shows it.

    Attributes:
        kind: Name of its class without the module; empty where the text names none.
        message: What it says, without colours.
    """

    kind: str
    message: str

    @property
    def headline(self) -> str:
        r"""Kind and message on one line, without what Keras wraps around it.

        >>> Raised("ValueError", "Exception encountered when calling Dense.call().\n\nToo wide").headline
        'ValueError: Too wide'
        """
        said = _plain(self.message)
        return f"{self.kind}: {said}" if self.kind and said else self.kind or said

    def is_same_as(self, other: "Raised") -> bool:
        """Whether both are one error, whatever the numbers, shapes and quoted cells in them.

        Where one text names no class, or holds the beginning of the message only, the rest decides.

        >>> Raised("ValueError", "expected axis -1 to have value 60, got (32, 61)").is_same_as(
        ...     Raised("ValueError", "expected axis -1 to have value 8, got (4, 9)")
        ... )
        True
        """
        if self.kind and other.kind and self.kind != other.kind:
            return False
        short, long = sorted((_core(self.message), _core(other.message)), key=len)
        return short == long or (len(short) >= _LONG_ENOUGH and short in long)


def plain_text(text: str) -> str:
    r"""A text without terminal colours, with single blanks for white space.

    >>> plain_text("\x1b[1mtoo\x1b[0m\n  wide")
    'too wide'
    """
    return " ".join(_COLOUR.sub("", text).split())


def read_raised(text: str) -> Raised | None:
    r"""The last error that a text shows, be it a traceback, a log or one line; None where it shows none.

    >>> read_raised("Traceback (most recent call last):\n  …\nKeyError: 'acc'")
    Raised(kind='KeyError', message="'acc'")
    >>> read_raised("why is my loss nan")
    """
    lines = _COLOUR.sub("", text).splitlines()
    for pattern in (_AT_LINE_START, _WITHIN_LINE):
        for place in range(len(lines) - 1, -1, -1):
            found = pattern.search(lines[place].rstrip())
            if found:
                rest = "\n".join([found[2] or "", *lines[place + 1 :]])
                for ending in _ENDINGS:
                    rest = rest.partition(ending)[0]
                return Raised(found[1], rest.strip())
    return None


def _plain(message: str) -> str:
    for ending in _ENDINGS:
        message = message.partition(ending)[0]
    return _WRAPPING.sub("", plain_text(message)).strip()


def _core(message: str) -> str:
    """A message without what may differ between two trainings that fail alike."""
    text = _plain(message).lower()
    text = re.sub(r"(string to float|base 10): .*", r"\1", text)  # quotes a cell
    text = re.sub(r"0x[0-9a-f]+|_\d+\b", "", text)  # addresses; the numbers that Keras gives to names
    text = re.sub(r"[<|]?u?\d+(\.\d+)?(e[-+]?\d+)?", "#", text)
    text = re.sub(r"\((?:(?:#|none),? ?)+\)", "(#)", text)
    return re.sub(r"\bstr#?", "str", text).strip()
