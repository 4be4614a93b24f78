"""Which trials of a search are worth training again: its choice, the builder's defaults, and the best of the others."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from caviar.evaluate.wording import listed
from caviar.run.study import TrialLine


@dataclass(frozen=True)
class Again:
    """A training of a search: settings, and those that come before them on the way.

    Attributes:
        name: What people call it.
        settings: What is set.
        stages: Settings that it trains with before, each up to its epoch.
    """

    name: str
    settings: dict[str, Any]
    stages: Sequence[tuple[dict[str, Any], int]] = ()


@dataclass(frozen=True)
class Shortlist:
    """What a search decided between.

    Attributes:
        chosen: What it chose.
        own: The builder's defaults; None where these are the choice, or failed.
        others: The best of the others, best first.
        notes: What a person should know of them.
    """

    chosen: Again
    own: Again | None
    others: list[Again]
    notes: list[str]


def shortlist(
    lines: Sequence[TrialLine],
    defaults: dict[str, Any],
    best: int,
    most: int,
    *,
    higher_is_better: bool,
) -> Shortlist:
    """Each training once, however many trials were parts of it.

    A score after a part of a training cannot be compared with one after more of it: those that came further lead.

    Args:
        lines: All trials.
        defaults: The builder's own settings, with which every search begins.
        best: Number of the trial that was chosen.
        most: How many of the others.
        higher_is_better: Direction of the score that decided.
    """
    sign = -1 if higher_is_better else 1
    failed = {_training(line) for line in lines if not np.isfinite(line.score).all()}
    furthest: dict[str, TrialLine] = {}
    sound = [line for line in lines if _training(line) not in failed and line.has_own_epochs]
    for line in sorted(sound, key=lambda line: (-line.share, sign * line.score[0], line.number)):
        furthest.setdefault(_training(line), line)
    own = _key(defaults)
    chosen = next(line for line in lines if line.number == best)
    others = [line for key, line in furthest.items() if key not in {own, _training(chosen)}][:most]
    is_own, has_failed = own == _training(chosen), own in failed
    shares = {line.number: line.share for line in (chosen, *others)}
    if own in furthest and not is_own:
        shares[0] = furthest[own].share
    notes = ["The builder's defaults failed in the search."] if has_failed and not is_own else []
    return Shortlist(
        chosen=_again(chosen, ", the defaults" if is_own else ""),
        own=None if is_own or has_failed else Again("trial 0, the defaults", defaults),
        others=[_again(line) for line in others],
        notes=notes + _of_parts([number for number in sorted(shares) if shares[number] < 1]),
    )


def _of_parts(numbers: Sequence[int]) -> list[str]:
    """That the search itself trained these trials in part only."""
    if not numbers:
        return []
    several = len(numbers) > 1
    their, they_have = ("their", "they have") if several else ("its", "it has")
    trials = f"trial{'s' * several} {listed([str(number) for number in numbers])}"
    said = (
        f"In the search, {trials} had a part of {their} epochs or folds only; here {they_have} all of them."
    )
    return [said]


def _again(line: TrialLine, more: str = "") -> Again:
    return Again(f"trial {line.number}{more}", line.settings, line.stages)


def _training(line: TrialLine) -> str:
    """What trials have in common that are parts of one training."""
    return _key(line.settings, line.stages)


def _key(settings: Mapping[str, Any], stages: Sequence[tuple[dict[str, Any], int]] = ()) -> str:
    return json.dumps([settings, stages], sort_keys=True)
