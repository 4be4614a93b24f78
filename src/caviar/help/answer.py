"""What is known about an error or a question: its entries in the visible tables."""

from dataclasses import dataclass

from caviar.errors import OptionError
from caviar.help.channels import Channel, channel_for
from caviar.help.known import KnownError
from caviar.help.questions import QUESTIONS, Question
from caviar.help.raised import Raised, plain_text, read_raised
from caviar.help.table import KNOWN_ERRORS

_MOST = 2


@dataclass(frozen=True)
class Explanation:
    """What is known about a text.

    Attributes:
        errors: Known errors that are in it, at most two.
        questions: Known questions that it asks, at most two; none where it shows an error.
        raised: The error that it shows; None where it shows none.
        channel: Where others would be asked.
    """

    errors: tuple[KnownError, ...]
    questions: tuple[Question, ...]
    raised: Raised | None
    channel: Channel

    @property
    def is_known(self) -> bool:
        """Whether anything is known about it."""
        return bool(self.errors or self.questions)

    def __repr__(self) -> str:
        if not self.is_known:
            return f"Nothing is known here about that. It suits {self.channel.name} ({self.channel.address})."
        parts = [f"{e.title}\n{e.means}\n{e.do}\n\n{e.snippet}" for e in self.errors]
        parts += [f"{q.answer}\n{q.command}" for q in self.questions]
        return "\n\n".join(parts)


def explain_error(text: str) -> Explanation:
    """Say what an error of Keras means and what to do, or which command answers a question.

    Nothing is run and nothing is sent anywhere: the text is compared with a table of known errors, and with a table of
    questions.

    Args:
        text: A message, a whole traceback, a log, or a question in words.

    Raises:
        OptionError: The text is empty.

    >>> explain_error("KeyError: 'val_acc'").errors[0].title
    'Names in history.history'
    >>> explain_error("how many repeats do I need").questions[0].command
    'caviar stability TABLE --model file.py:build'
    """
    if not text.strip():
        raise OptionError("Expected an error or a question, got nothing. Pass its text in quotes.")
    raised = read_raised(text)
    whole = plain_text(text)
    errors: list[KnownError] = []
    if raised is not None:  # what a log says before its last error is another matter
        last = f"{raised.kind}: {plain_text(raised.message)}"
        errors = [error for error in KNOWN_ERRORS if error.is_in(last)]
    errors = errors or [error for error in KNOWN_ERRORS if error.is_in(whole)]
    asked = [] if errors or raised is not None else [one for one in QUESTIONS if one.is_in(whole)]
    return Explanation(tuple(errors[:_MOST]), tuple(asked[:_MOST]), raised, channel_for(text))
