"""Where others can be asked, and how to ask them."""

import re
from dataclasses import dataclass

from caviar.help.raised import read_raised

RULES = (
    "Search first, with the message but without your own names and numbers: most have been asked about before.",
    "Put the question in its simplest form: one question, what you expected, what happened.",
    "Give the smallest example that shows it: one that runs as it is, with the versions and the whole message.",
)


@dataclass(frozen=True)
class Channel:
    """A public place where people answer.

    Attributes:
        name: What it is called.
        address: Where it is.
        suits: What is asked there.
        asks: Regular expression for words of a question that belongs there; "" where no words tell.
    """

    name: str
    address: str
    suits: str
    asks: str = ""


CHANNELS = (
    Channel(
        "GitHub issues of Keras",
        "https://github.com/keras-team/keras/issues",
        "faults and wishes alone: code that is right and goes wrong",
        r"\bbug\b|segmentation fault|core dumped|regression in keras|feature request|internal error",
    ),
    Channel(
        "Cross Validated, tag keras",
        "https://stats.stackexchange.com/questions/tagged/keras",
        "theory: why a method works, what a number means",
        r"theor|intuition|mathemat|statistic|\bwhy do(es)?\b|meaning of|what does .* mean|derivation|significan",
    ),
    Channel(
        "Data Science Stack Exchange, tag keras",
        "https://datascience.stackexchange.com/questions/tagged/keras",
        "process: how to go about a problem, data to model",
        r"approach|workflow|process|pipeline|\bproject\b|which metric|how (should|do) i (prepare|collect|choose|start)",
    ),
    Channel(
        "Stack Overflow, tag keras",
        "https://stackoverflow.com/questions/tagged/keras",
        "programming: code that raises, or does not do what it says",
    ),
    Channel(
        "GitHub Discussions of Keras",
        "https://github.com/keras-team/keras/discussions",
        "open questions about Keras itself; there since 2024",
    ),
)

HISTORIC = (
    "Older guides also name the Google group keras-users, a Slack and a Gitter room of Keras, a Quora topic and "
    "#keras on Twitter: these may be gone or silent (the Slack was reported closed in 2022)."
)


def channel_for(text: str) -> Channel:
    """The channel that suits a question best; Stack Overflow where its words tell nothing.

    An error belongs to programming or, where its words say so, to faults, whatever else its traceback mentions.

    Args:
        text: The question, or the error.

    >>> channel_for("why does dropout work").name
    'Cross Validated, tag keras'
    >>> channel_for("ValueError: Invalid dtype: object").name
    'Stack Overflow, tag keras'
    """
    told = CHANNELS[:1] if read_raised(text) is not None else CHANNELS
    asked = (channel for channel in told if channel.asks and re.search(channel.asks, text, re.IGNORECASE))
    return next(asked, next(channel for channel in CHANNELS if channel.name.startswith("Stack Overflow")))
