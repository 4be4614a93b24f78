"""Lessons run beside each other in processes of their own, and what fails in one is heard of."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from caviar.course.beside import run_beside, shares_of_cores
from caviar.errors import RunError
from caviar.run.lesson import read_lesson

LESSON = """
import time
from pathlib import Path
from caviar.evaluate.claims import exactly
from caviar.teaching.contract import Claim, Lesson
from caviar.teaching.timing import in_turns, one_after_the_other

def also(lab, seen):
    {body}
    return {{}}

LESSON = Lesson(name="{name}", title="{name}", area="practice", covers=(), why="", data=None, variants=(), also=also,
                claims=(Claim("Two and two are four.", [], lambda _: 2 + 2, exactly(4), "the sum"),))
"""
TICKS = """
    ticks = Path("{ticks}").open("w", buffering=1)
    began = time.monotonic()
    while not Path("{over}").exists() and time.monotonic() < began + 120:
        print(time.monotonic(), file=ticks)
        time.sleep(0.01)
"""
TIMES = """
    while not Path("{ticks}").exists():
        time.sleep(0.01)
    {timed}
    time.sleep(0.3)
    Path("{over}").touch()
"""


def longest_silence(folder: Path, timed: str) -> float:
    """Seconds for which a lesson stood still while one beside it timed something for a second and a half."""
    paths = {"ticks": folder / "ticks", "over": folder / "over"}
    bodies = {"ticks": TICKS.format(**paths), "times": TIMES.format(timed=timed, **paths)}
    for name, body in bodies.items():
        (folder / f"{name}.py").write_text(LESSON.format(name=name, body=body.strip()))
    told: list[str] = []
    asked = {"out": str(folder / "out"), "seeds": 2}
    run_beside([str(folder / f"{name}.py") for name in bodies], asked, told.append)
    assert len(told) == 2
    ticks = [float(line) for line in paths["ticks"].read_text().split()]
    return max(after - before for before, after in pairwise(ticks))


@pytest.mark.skipif(len(shares_of_cores()) < 2, reason="nothing runs beside another on one core")
@pytest.mark.thorough
@pytest.mark.parametrize(
    ("timed", "stands_still"),
    [
        ("in_turns([lambda: time.sleep(0.5)], turns=3)", True),
        ("one_after_the_other(lambda: time.sleep(0.5), 3)", False),
    ],
)
def test_others_stand_still_only_while_one_must_be_alone(
    tmp_path: Path, timed: str, *, stands_still: bool
) -> None:
    assert (longest_silence(tmp_path, timed) > 1.4) == stands_still


@pytest.mark.thorough
def test_a_worker_that_stands_still_ends_with_the_one_that_started_it() -> None:
    start = (
        "import json, os, subprocess, sys, time\n"
        "worker = subprocess.Popen([sys.executable, '-m', 'caviar.command.lesson_worker', str(os.getpid())],\n"
        "                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)\n"
        "worker.stdin.write(json.dumps({'name': 'no-such-lesson'}) + chr(10))\n"
        "worker.stdin.flush()\n"
        "worker.stdout.readline()\n"
        "print(json.dumps(worker.pid), flush=True)\n"
        "time.sleep(100)\n"
    )
    with subprocess.Popen([sys.executable, "-c", start], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        worker = json.loads(starter.stdout.readline())
        os.kill(worker, signal.SIGSTOP)
        starter.kill()
    until = time.monotonic() + 20
    while is_there(worker) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_there(worker)


def is_there(process: int) -> bool:
    """Whether a process has not ended; one that nobody has asked about yet has."""
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


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
