"""Ask the learner: read an answer, and say whether it is right."""

import re
from collections.abc import Callable, Mapping, Sequence

from caviar.run.lesson import QuestionLine

Read = Callable[[str], str]
Say = Callable[[str], None]


def ask(question: QuestionLine, read: Read, say: Say) -> bool:
    """Put a question, read the answer, say what is right; returns whether the answer was.

    Args:
        question: What is asked; curves to match are shown by the caller.
        read: Shows a prompt and returns what was typed.
        say: Shows a line.
    """
    say(question.asks)
    if question.kind == "naming":
        said = re.split(r"[,;]", read(f"Name {question.wanted}, with commas between them: "))
        right = named(said, question.accepted) >= question.wanted
    else:
        for number, option in enumerate(question.options, 1):
            say(f"  {number}  {option}")
        if question.kind == "match":
            right = [_number(read(f"Curve {'ABCD'[k]} is number: ")) for k in range(len(question.right))] == [
                place + 1 for place in question.right
            ]
        else:
            right = _is_chosen(_numbers(read(_prompt(question))), question)
    shown = ", ".join(f"“{question.options[place]}”" for place in question.right)
    answer = f"{shown}. {question.because}" if question.kind == "choice" else question.because
    say(f"{'Right.' if right else 'Not quite.'} {answer}")
    return right


def _prompt(question: QuestionLine) -> str:
    many = len(question.right)
    if question.is_every_wanted and many > 1:
        return f"Your answer, {many} numbers with commas between them: "
    return "Your answer, a number: "


def _is_chosen(said: set[int], question: QuestionLine) -> bool:
    right = {place + 1 for place in question.right}
    return said == right if question.is_every_wanted else said <= right


def named(said: Sequence[str], accepted: Mapping[str, Sequence[str]]) -> int:
    """How many different accepted names were said, in any spelling that counts.

    >>> named(["Drop-out", "dropout", "L2"], {"dropout": ["drop out"], "weight decay": ["l2", "l1"]})
    2
    """
    spellings = {_plain(text): name for name, others in accepted.items() for text in (name, *others)}
    return len({spellings[_plain(text)] for text in said if _plain(text) in spellings})


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def _number(text: str) -> int:
    found = re.fullmatch(r"\s*(\d+)\s*", text)
    return int(found[1]) if found else 0


def _numbers(text: str) -> set[int]:
    """Numbers with commas or blanks between them; what is no number counts as 0, which no option has."""
    return {_number(part) for part in re.split(r"[,;\s]+", text.strip())}
