"""Lessons run beside each other in processes of their own, and what fails in one is heard of."""

import os
from pathlib import Path

import pytest

from caviar.course.beside import run_beside, shares_of_cores
from caviar.errors import RunError
from caviar.run.lesson import read_lesson


def test_every_core_belongs_to_one_process() -> None:
    shares = shares_of_cores()
    assert sorted(core for share in shares for core in share) == sorted(os.sched_getaffinity(0))


@pytest.mark.thorough
def test_lessons_are_kept_and_told_of(tmp_path: Path) -> None:
    told: list[str] = []
    asked = {"quick": True, "data_dir": os.environ.get("CAVIAR_DATA"), "out": str(tmp_path)}
    run_beside(["batch-and-epoch", "log-scale"], asked, told.append)
    assert sorted(told) == ["batch-and-epoch", "log-scale"]
    for name in told:
        record = read_lesson(tmp_path / name)
        assert record is not None
        assert record.seeds == 3
        assert (tmp_path / name / "report.html").is_file()


@pytest.mark.thorough
def test_a_lesson_that_fails_is_named_and_ends_what_waits(tmp_path: Path) -> None:
    told: list[str] = []
    with pytest.raises(RunError, match=r"one failed: no-such-lesson: Expected"):
        run_beside(["no-such-lesson"] * 5, {"out": str(tmp_path)}, told.append)
    assert told == []
