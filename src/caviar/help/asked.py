"""The words of `caviar help`: where the text comes from, and what is done with it."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caviar.errors import OptionError
from caviar.help.answer import Explanation, explain_error

if TYPE_CHECKING:
    from caviar.help.example import SmallestExample

_END_OF_LOG = 1_000_000  # characters: an error stands at the end


def answer_and_example(
    words: Sequence[str], log: Path | None, model: str | None, options: Mapping[str, Any]
) -> tuple[Explanation | None, "SmallestExample | None"]:
    """What is known about a text, and the smallest example where a builder is given.

    Without a text, what is known about the error that the example raises.

    Args:
        words: The text; "-" alone for what stdin holds.
        log: File that holds the text, in place of words.
        model: The builder, as file.py:function; None for no example.
        options: What `smallest_example` takes; None where it was not given.

    Raises:
        CaviarError: There is neither text nor builder, there are two texts, or an option stands beside no builder.
    """
    given = {name: value for name, value in options.items() if value not in (None, ())}
    if model is None and given:
        raise OptionError(
            f"Expected --model beside --{next(iter(given)).replace('_', '-')}, got none. Only an example needs it."
        )
    text = _text(words, log)
    if text is None and model is None:
        raise OptionError(
            'Expected an error or a question, got nothing. Write caviar help "Invalid dtype: object", say; '
            "caviar --help lists the commands."
        )
    found = None if text is None else explain_error(text)
    if model is None:
        return found, None
    from caviar.help.example import smallest_example  # reads tables: an answer does not wait for that

    made = smallest_example(model, error=text or "", say=_say, **given)
    if found is None and made.raised is not None:
        found = explain_error(made.raised.headline)
    return found, made


def _text(words: Sequence[str], log: Path | None) -> str | None:
    """The text that was given, wherever it comes from; None if none was."""
    if words and log is not None:
        raise OptionError("Expected a text or --log, got both. Leave one of them out.")
    if log is not None:
        try:
            return log.read_bytes()[-_END_OF_LOG:].decode("utf-8", "replace")
        except OSError as error:
            raise OptionError(
                f"Expected to be able to read {log}, but the system says: {error.strerror or error}. Check the path."
            ) from error
    if list(words) == ["-"]:
        return sys.stdin.read()
    return " ".join(words) or None


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
