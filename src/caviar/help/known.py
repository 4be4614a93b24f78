"""What one entry in the table of known errors holds."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class KnownError:
    """An error of Keras, or of what is used beside it, whose cause is known.

    Attributes:
        name: What the entry is called in this table.
        title: The matter in a few words.
        pattern: Regular expression that finds it in a message, whatever the case; white space is single blanks.
        means: What the message says, in a sentence or two.
        do: What to do in Keras 3.
        snippet: The same as code.
    """

    name: str
    title: str
    pattern: str
    means: str
    do: str
    snippet: str

    def is_in(self, message: str) -> bool:
        """Whether this error is in a message whose white space is single blanks.

        >>> KnownError("a", "A", r"no attribute 'lr'", "", "", "").is_in("'SGD' object has no attribute 'lr'")
        True
        """
        return re.search(self.pattern, message, re.IGNORECASE) is not None
