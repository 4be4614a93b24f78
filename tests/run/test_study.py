"""What a search leaves on disk is whole and one process writes it; where it is neither, a sentence says so."""

import json
import multiprocessing
import re

import numpy as np
import pytest

from caviar.errors import RunError
from caviar.run.study import StudyFolder, TrialLine, alike, complete

LINE = TrialLine(number=3, settings={}, score=[0.1], fold_scores=[[0.1]], generation=0, place=0, seconds=1.0)
PLAN = {
    "search": "random",
    "trials": 3,
    "seed": 0,
    "objectives": ["log-loss"],
    "start": [{}],
    "space": {"parameters": [{"name": "a", "kind": "int", "values": [], "conditions": []}]},
}


def test_trials_are_read_in_order_of_their_numbers(tmp_path):
    folder = StudyFolder(tmp_path)
    for place, number in enumerate((3, 1, 2)):
        line = LINE.model_copy(update={"number": number, "generation": place})
        folder.add([line], np.full((1, 1, 2, 1), float(number)), {}, place)
    lines = folder.lines()
    assert [line.number for line in lines] == [1, 2, 3]
    assert [folder.oof(line).max() for line in lines] == [1.0, 2.0, 3.0]


def test_a_copy_that_no_epoch_was_left_for_says_nothing_of_its_settings():
    """It is as good as what it was copied from, which trained with other settings up to the last epoch."""
    whole = LINE.model_copy(update={"epochs": 3})
    late = whole.model_copy(update={"number": 4, "stages": [({}, 3)], "score": [0.05]})
    in_time = whole.model_copy(update={"number": 5, "stages": [({}, 2)]})
    assert complete([whole, late, in_time]) == alike([whole, late, in_time]) == [whole, in_time]


ODD = LINE.model_copy(update={"settings": {"größe": "x\u2028y\x85z"}})


def kept(path, *lines, torn=b""):
    """A folder that holds these trials, and behind them what was being written."""
    folder = StudyFolder(path)
    for place, line in enumerate(lines):
        folder.add([line], np.zeros((1, 1, 1, 1)), {}, place)
    with (path / "trials.jsonl").open("ab") as file:
        file.write(torn)
    return folder


def test_what_ends_a_line_elsewhere_does_not_end_a_trial(tmp_path):
    assert kept(tmp_path, ODD).lines() == [ODD]


@pytest.mark.parametrize("torn", ['{"number":4,"settings":{"größe"'.encode()[:-2], b"\xff", b"{"])
def test_a_line_that_was_being_written_is_taken_away_wherever_it_was_cut(tmp_path, torn):
    folder = kept(tmp_path, ODD, torn=torn)
    file = tmp_path / "trials.jsonl"
    before = file.read_bytes()
    assert folder.lines(mend=False) == [ODD]
    assert file.read_bytes() == before
    assert folder.lines() == [ODD]
    assert file.read_bytes() == before.removesuffix(torn)


@pytest.mark.parametrize("change", [b"\xff\n", b"{}\n"])
def test_a_line_that_was_changed_is_refused_and_left_as_it_is(tmp_path, change):
    folder = kept(tmp_path, LINE, torn=change + b"torn")
    before = (tmp_path / "trials.jsonl").read_bytes()
    with pytest.raises(RunError, match="a trial in each line, but one cannot be read"):
        folder.lines()
    assert (tmp_path / "trials.jsonl").read_bytes() == before


def test_a_folder_in_the_place_of_trials_is_a_sentence(tmp_path):
    (tmp_path / "trials.jsonl").mkdir()
    with pytest.raises(RunError, match="one cannot be read"):
        StudyFolder(tmp_path).lines()


def test_a_trial_that_stands_there_twice_is_refused(tmp_path):
    other = LINE.model_copy(update={"number": 4})
    with pytest.raises(RunError, match="each trial once, but trial 3 stands there twice"):
        kept(tmp_path, LINE, other, LINE).lines()


def test_a_full_disk_is_said_in_a_sentence(tmp_path):
    (tmp_path / "trials.jsonl").symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"No space left.*Make room"):
        StudyFolder(tmp_path).add([LINE], np.zeros((1, 1, 1, 1)), {}, 0)


def _hold(path, held, over):
    with StudyFolder(path).worked_on():
        held.set()
        over.wait(60)


def test_two_processes_do_not_search_in_one_folder(tmp_path):
    """Until the first one is killed, which leaves its lock to the next."""
    own = multiprocessing.get_context("spawn")
    held, over = own.Event(), own.Event()
    process = own.Process(target=_hold, args=(tmp_path, held, over))
    process.start()
    assert held.wait(60)
    with pytest.raises(RunError, match=re.escape(f"nobody to search in {tmp_path}")):
        StudyFolder(tmp_path).worked_on().__enter__()
    process.kill()
    process.join()
    with StudyFolder(tmp_path).worked_on():
        pass


@pytest.mark.parametrize(
    "change",
    [
        {"space": None},
        {"space": {"parameters": [{"x": 1}]}},
        {"call": {"arguments": {}, "files": []}},
        {"start": "none"},
    ],
)
def test_a_plan_that_another_version_wrote_is_refused(tmp_path, change):
    folder = StudyFolder(tmp_path)
    folder.begin(PLAN)
    assert folder.plan() == PLAN
    (tmp_path / "plan.json").write_text(json.dumps(PLAN | change))
    with pytest.raises(RunError, match="another version wrote it"):
        folder.plan()
