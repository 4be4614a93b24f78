"""What a search leaves on disk is whole and one process writes it; where it is neither, a sentence says so."""

import json
import multiprocessing
import re

import numpy as np
import pytest

from caviar.errors import RunError
from caviar.run.study import StudyFolder, TrialLine

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
