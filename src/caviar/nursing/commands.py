"""What a typed line, or a page, asks a running training to do."""

import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from caviar.errors import OptionError

Do = Literal["pause", "resume", "set", "rewind", "train", "branches", "compare", "kept", "stop", "help"]

_SETTINGS = {"lr": "learning_rate", "dropout": "dropout", "decay": "weight_decay", "batch": "batch_size"}
_TAKES: dict[Do, tuple[str, ...]] = {
    "set": tuple(_SETTINGS.values()),
    "rewind": ("epoch",),
    "train": ("epochs",),
}
LARGEST = 10**9
"""No number that is sent is further from 0: larger ones mean nothing here, and some do not fit into a float."""

_SHORT: dict[str, Do] = {"p": "pause", "r": "resume", "q": "stop", "?": "help", "h": "help"}

HELP = """\
p, r, stop         pause, resume; keep the log and the model, and end
lr 1e-4            learning rate from now on; dropout 0.3, decay 1e-4 and batch 64 likewise
train 20           so many epochs from here
rewind 12          back to epoch 12 and to what was set then; what follows is a new branch
rewind 12 2        the same on branch 2; at its end, it grows on
branches, compare  all branches, and what the watched rows said of them
kept               epochs that can be gone back to at once"""


_SHOWN = 40


class Command(BaseModel):
    """One thing to do.

    Attributes:
        do: What.
        values: Settings by name, or `epoch`, or `epochs`.
        branch: Of which branch; the present one if None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    do: Do
    values: dict[str, float | int] = {}
    branch: str | None = None


def read_line(line: str) -> Command:
    """What a line asks for.

    Raises:
        OptionError: Nobody knows the word, or its number is missing or none.

    >>> read_line("lr 1e-4").values, read_line("rewind 12 2").branch
    ({'learning_rate': 0.0001}, '2')
    """
    word, *rest = line.split()
    word = word.lower()
    if word in _SETTINGS:
        return Command(do="set", values={_SETTINGS[word]: _number(word, rest, most=1)})
    do = next((one for one in get_args(Do) if one == word and one != "set"), _SHORT.get(word))
    if do is None:
        raise OptionError(
            f"Expected a command such as lr 1e-4, rewind 12, pause or stop, got {word!r}. Type help for all of them."
        )
    if do in ("rewind", "train"):
        name = "epoch" if do == "rewind" else "epochs"
        number = _number(word, rest, most=2 if do == "rewind" else 1)
        return Command(do=do, values={name: number}, branch=rest[1] if len(rest) > 1 else None)
    if rest:
        raise OptionError(f"Expected nothing behind {word}, got {' '.join(rest)!r}. Leave it out.")
    return Command(do=do)


def read_json(given: Any) -> Command:  # noqa: ANN401 - whatever somebody sends
    """What a page asks for: `{"do": …, "values": {…}, "branch": …}`.

    Raises:
        OptionError: It is no command.
    """
    try:
        command = Command.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the command"
        raise OptionError(
            f"Expected a command, but {place} is wrong ({first['msg']}). Send for example "
            f'{{"do": "set", "values": {{"learning_rate": 0.001}}}}.'
        ) from None
    takes = _TAKES.get(command.do, ())
    for name, value in command.values.items():
        if name not in takes:
            raise OptionError(
                f"Expected {command.do} with {' or '.join(takes) or 'no values'}, got {name[:_SHOWN]!r}. Leave it out."
            )
        if abs(value) > LARGEST:
            raise OptionError(
                f"Expected {name} to be from -{LARGEST:,} to {LARGEST:,}, got a number beyond. Send another one."
            )
    if command.do in ("rewind", "train"):
        whole(command.values, takes[0])
    return command


def whole(values: Mapping[str, float], name: str) -> int:
    """The one whole number that a command needs.

    Raises:
        OptionError: It is missing, or not whole, or something else is there.
    """
    value = values.get(name)
    if value is None or len(values) > 1 or value != int(value):
        raise OptionError(f"Expected {name} as a whole number, got {dict(values)}. Write for example 12.")
    return int(value)


def _number(word: str, rest: list[str], *, most: int) -> float | int:
    try:
        value = float(rest[0])
    except (IndexError, ValueError):
        value = math.nan
    if not abs(value) <= LARGEST or len(rest) > most:
        raise OptionError(
            f"Expected a number behind {word}, at most {LARGEST:,}, got {' '.join(rest) or 'nothing'!r}. "
            f"Write for example {word} {'12' if word in ('rewind', 'train') else '32' if word == 'batch' else '0.001'}."
        )
    return int(value) if value == int(value) else value
