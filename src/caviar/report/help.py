"""What is known about an error, and how to ask others, for the terminal."""

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from caviar.help.answer import Explanation
from caviar.help.channels import CHANNELS, HISTORIC, RULES, Channel
from caviar.report import wording

if TYPE_CHECKING:
    from caviar.help.example import SmallestExample

_INDENT = (0, 0, 0, 4)


def explanation(found: Explanation) -> RenderableType:
    """What is known about an error or a question, as something a rich console prints.

    Args:
        found: What the tables know; where that is nothing, how to find out and whom to ask.

    >>> from rich.console import Console
    >>> from caviar.help.answer import explain_error
    >>> Console(width=60).print(explanation(explain_error("should I use a higher learning rate")))
    <BLANKLINE>
    The test shows from which rate on training breaks, which is
    best, and which cannot be told apart from it.
    <BLANKLINE>
        caviar lr-range TABLE --model file.py:build
    <BLANKLINE>
    """
    parts: list[RenderableType] = [Text()]
    for error in found.errors:
        parts += [
            Text(error.title, style="bold"),
            Text(),
            _pairs([("Means", error.means), ("Do", error.do)]),
            Text(),
            Padding(Text(error.snippet, no_wrap=True, overflow="ignore"), _INDENT),
            Text(),
        ]
    for question in found.questions:
        parts += [Text(question.answer), Text(), Padding(Text(question.command), _INDENT), Text()]
    if not found.is_known:
        parts += [Text(_unknown(found), style="bold"), Text(), *_asking(found.channel)]
    return Group(*parts)


def _unknown(found: Explanation) -> str:
    if found.raised is None:
        return "This question is not among those that Caviar knows; caviar --help lists what it can find out."
    return (
        "This error is not among those that Caviar knows. With --model file.py:build and --table TABLE (or --inputs 8) "
        "it makes the smallest example to ask with."
    )


def example(made: "SmallestExample") -> RenderableType:
    """What became of the smallest example, and how to ask with it, as something a rich console prints.

    Args:
        made: The example.
    """
    size = f"{wording.count(made.rows, 'row')}, {wording.count(made.columns, 'column')}"
    parts: list[RenderableType] = [Text(), Text(made.sentence, style="bold"), Text()]
    parts.append(
        _pairs([("Example", f"{made.path} ({size})"), *(("Note", remark) for remark in made.remarks)])
    )
    parts.append(Text())
    if made.outcome in {"shown", "raises"}:
        parts += _asking(made.channel)
    return Group(*parts)


def _asking(best: Channel) -> list[RenderableType]:
    """The rules, and the channels, the one that suits best first."""
    channels = [best, *(channel for channel in CHANNELS if channel != best)]
    rules = [(f"{i + 1}.", rule) for i, rule in enumerate(RULES)]
    lines = [("Best" if c == best else "", f"{c.name}: {c.suits}\n{c.address}") for c in channels]
    return [
        Text("Before you ask others", style="bold"),
        Text(),
        _pairs(rules, width=2),
        Text(),
        Text("Where", style="bold"),
        Text(),
        _pairs(lines, width=4),
        Text(),
        Text(HISTORIC, style="dim"),
        Text(),
    ]


def _pairs(lines: list[tuple[str, str]], width: int = 7) -> Table:
    """Labels, and what belongs to each, wrapped beside it."""
    table = Table.grid(padding=(0, 2))
    table.add_column(width=width, style="dim")
    table.add_column(overflow="fold")
    for label, text in lines:
        table.add_row(Text(label), Text(text))
    return table
