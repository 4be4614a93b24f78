"""Facts about what of a search is trained again: each training once, the furthest first, and no failures."""

import math

from caviar.comparing.shortlist import Shortlist, shortlist
from caviar.run.study import TrialLine

OWN = {"rate": 0.1}


def trial(number: int, rate: float, score: float, share: float = 1.0, stages=()) -> TrialLine:
    """A trial of one setting."""
    return TrialLine(
        number=number, settings={"rate": rate}, score=[score], fold_scores=[[score]], generation=0, place=0,
        seconds=1.0, share=share, stages=list(stages),
    )  # fmt: skip


def of(*lines: TrialLine, best: int, most: int = 3, higher_is_better: bool = False) -> Shortlist:
    return shortlist(lines, OWN, best, most, higher_is_better=higher_is_better)


def names(found: Shortlist) -> list[str]:
    return [one.name for one in found.others]


def test_of_whole_trials_the_best_come_first_and_failed_ones_never():
    lines = [trial(0, 0.1, 3), trial(1, 0.2, 1), trial(2, 0.3, math.nan), trial(3, 0.4, 4), trial(4, 0.5, 2)]
    found = of(*lines, best=1)
    assert (found.chosen.name, found.own.name, found.own.settings) == (
        "trial 1",
        "trial 0, the defaults",
        OWN,
    )
    assert names(found) == ["trial 4", "trial 3"]
    assert found.notes == []
    assert names(of(*lines, best=3, higher_is_better=True)) == ["trial 4", "trial 1"]


def test_where_one_trial_alone_was_whole_those_that_came_furthest_follow_and_the_defaults_stay():
    """Halving drops the defaults early; a good score after a short part counts less than any after a longer one."""
    lines = [
        *(trial(number, 0.1 * (number + 1), 9 - number, 1 / 9) for number in range(5)),
        *(trial(5, 0.5, 6, 1 / 3), trial(6, 0.4, 7, 1 / 3), trial(7, 0.5, 5)),
    ]
    found = of(*lines, best=7)
    assert (found.chosen.name, found.own.name) == ("trial 7", "trial 0, the defaults")
    assert names(found) == ["trial 6", "trial 2", "trial 1"]
    assert found.notes == [
        "In the search, trials 0, 1, 2 and 6 had a part of their epochs or folds only; here they have all of them."
    ]
    assert of(*lines, best=7, most=0).notes == [
        "In the search, trial 0 had a part of its epochs or folds only; here it has all of them."
    ]


def test_defaults_that_were_chosen_after_several_parts_are_not_compared_with_themselves():
    found = of(trial(0, 0.1, 3, 1 / 3), trial(1, 0.2, 4, 1 / 3), trial(2, 0.1, 2), best=2)
    assert (found.chosen.name, found.own, names(found)) == ("trial 2, the defaults", None, ["trial 1"])


def test_defaults_failed_only_where_a_part_of_their_own_training_did():
    said = "The builder's defaults failed in the search."
    later = of(
        trial(0, 0.1, 3, 1 / 3), trial(1, 0.2, 4, 1 / 3), trial(2, 0.1, math.nan), trial(3, 0.2, 1), best=3
    )
    assert (later.own, later.notes, names(later)) == (None, [said], [])
    assert of(trial(0, 0.1, math.nan), trial(1, 0.2, 4), best=1).notes == [said]
    never = of(trial(1, 0.2, 4), best=1)
    assert (never.own.settings, never.notes) == (OWN, []), "time may end before they are over"


def test_a_schedule_of_settings_is_no_training_with_the_last_of_them():
    stages = [({"rate": 0.1}, 2)]
    lines = [trial(0, 0.1, 5, 0.5), trial(1, 0.2, 4, 0.5), trial(2, 0.2, 1, stages=stages), trial(3, 0.2, 2)]
    back = trial(4, 0.1, 3, stages=[({"rate": 0.2}, 2)])
    found = of(*lines, back, best=2)
    assert list(found.chosen.stages) == stages
    assert found.own.settings == OWN
    assert [(one.name, list(one.stages)) for one in found.others] == [
        ("trial 3", []),
        ("trial 4", [({"rate": 0.2}, 2)]),
    ]
