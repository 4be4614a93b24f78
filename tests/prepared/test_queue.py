"""Facts about queues: files are judged before anything starts, and what happens to one experiment harms no other."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from caviar.command.main import app
from caviar.errors import OptionError, RunError
from caviar.prepared import queue as queues
from caviar.prepared.experiment import read_prepared
from caviar.run.queued import QueueFolder, QueueRecord
from tests.command.conftest import (
    CLASSIFIER,
    caviar,
    environment,
    in_fresh_process,
    rows_of_two_classes,
    start,
)

__all__ = ["caviar"]  # the fixture

COMMANDS = typer.main.get_command(app).commands

# In the place of the command line: does at once what the table's name says, and notes that it was begun.
PROGRAM = """
import sys, time
from pathlib import Path
from caviar.command.attached import attach

attach(int(sys.argv.pop(1)))
table = sys.argv[-1]
with Path("begun.txt").open("a") as file:
    file.write(f"{table} {sys.argv[1]}\\n")
if table == "sample:slow" and not Path("quick.txt").exists():
    time.sleep(600)
if table == "sample:bad":
    print("caviar: Expected something better.", file=sys.stderr)
    sys.exit(2)
print("All is well.")
"""

# In the place of the rehearsal.
FORETELLER = """
import sys

known = sys.argv[-1] == "sample:good" and sys.argv[2] == "tune"
print('{"seconds": 180.0}' if known else '{"why": "it is a secret."}')
"""

DRIVER = """
import sys
from pathlib import Path
from caviar.prepared import queue

queue._ATTACHED = (sys.executable, "-P", "program.py")
queue.go_on(Path("q"))
"""


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "driver.py").write_text(DRIVER)
    return tmp_path


@pytest.fixture
def quick(monkeypatch, home):
    """Experiments are done by the program above, and foretold by one that tells of `sample:good` alone."""
    monkeypatch.setattr(queues, "_ATTACHED", (sys.executable, "-P", str(home / "program.py")))
    monkeypatch.setattr(queues, "_FORETOLD", (sys.executable, "-c", FORETELLER))
    return home


def written(home: Path, *tables: str, **options: object) -> list[Path]:
    """Files of experiments on tables."""
    paths = []
    for number, table in enumerate(tables):
        path = home / f"{'abcdefgh'[number]}.toml"
        lines = {"command": "tune", "table": table, **options}
        path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items()))
        paths.append(path)
    return paths


def begun(home: Path) -> list[str]:
    path = home / "begun.txt"
    return (
        [line.split()[0].removeprefix("sample:") for line in path.read_text().splitlines()]
        if path.exists()
        else []
    )


def states(folder: Path) -> list[str]:
    return [one.status for one in QueueFolder(folder).load().experiments]


def wait_for(is_so: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.05)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def driven(home: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "driver.py"],
        cwd=home,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def prepared_queue(home: Path, *tables: str) -> Path:
    """The folder of a queue of which nothing has begun."""
    folder = home / "q"
    folder.mkdir()
    experiments = [
        queues._experiment(number, read_prepared(file, COMMANDS))
        for number, file in enumerate(written(home, *tables), start=1)
    ]
    QueueFolder(folder).save(queues.QueueRecord(created="2026-01-01 00:00:00", experiments=experiments))
    return folder


def killed_queue(home: Path, *tables: str) -> tuple[Path, int]:
    """The folder of a queue whose process was killed while its slow experiment ran, and that experiment's process."""
    folder = prepared_queue(home, *tables)
    process = driven(home)
    wait_for(lambda: "slow" in begun(home))
    pid = next(one.pid for one in QueueFolder(folder).load().experiments if one.status == "running")
    process.kill()
    process.communicate(timeout=30)
    return folder, pid


def test_one_failure_does_not_stop_the_rest_and_is_told_with_its_last_words(quick):
    folder, record = queues.start(written(quick, "sample:good", "sample:bad", "sample:good"), COMMANDS)
    assert begun(quick) == ["good", "bad", "good"]
    assert [one.status for one in record.experiments] == ["done", "failed", "done"]
    assert (record.experiments[1].exit_status, record.experiments[1].said) == (
        2,
        "caviar: Expected something better.",
    )
    assert (folder / "01-a.log").read_text() == "All is well.\n"
    assert not QueueFolder(folder).is_worked_on()
    assert QueueFolder(folder).load() == record


def test_what_was_killed_ends_with_its_queue_and_is_begun_again_without_what_is_done(quick):
    """Killed by the one signal that no process can catch."""
    folder, experiment = killed_queue(quick, "sample:good", "sample:slow", "sample:bad")
    wait_for(lambda: not lives(experiment))
    assert states(folder) == ["done", "running", "waiting"]
    assert not QueueFolder(folder).is_worked_on()
    (quick / "quick.txt").touch()
    queues.go_on(folder)
    assert begun(quick) == ["good", "slow", "slow", "bad"]
    assert states(folder) == ["done", "done", "failed"]
    queues.go_on(folder)  # only what failed is tried again
    assert begun(quick) == ["good", "slow", "slow", "bad", "bad"]


def test_the_state_of_a_dead_queue_is_stopped(quick, caviar):
    folder, _ = killed_queue(quick, "sample:good", "sample:slow")
    ended = caviar("queue", "status", folder)
    assert ended.status == 0
    assert "Nobody works on this queue: 1 done, 1 stopped." in ended.out
    assert f"caviar queue resume {folder}" in ended.out.replace("\n", "")


def test_a_second_process_on_the_same_queue_is_refused(quick):
    folder = prepared_queue(quick, "sample:slow")
    process = driven(quick)
    wait_for(lambda: "slow" in begun(quick))
    with pytest.raises(RunError, match=f"process {process.pid} does"):
        queues.go_on(folder)
    assert begun(quick) == ["slow"]
    stopped = queues.stop(folder)
    assert [one.status for one in stopped.experiments] == ["stopped"]
    process.communicate(timeout=30)
    assert not QueueFolder(folder).is_worked_on()
    with pytest.raises(RunError, match="nobody does"):
        queues.stop(folder)


def test_a_queue_does_not_care_about_the_terminal_that_it_was_started_from(quick):
    folder = prepared_queue(quick, "sample:slow", "sample:good")
    process = driven(quick)
    wait_for(lambda: "slow" in begun(quick))
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert states(folder)[0] == "running"
    assert process.poll() is None
    queues.stop(folder)
    process.communicate(timeout=30)


def test_a_queue_that_is_done_is_not_gone_on_with(quick):
    folder, _ = queues.start(written(quick, "sample:good"), COMMANDS)
    with pytest.raises(RunError, match=r"all 1 experiments in .* are done"):
        queues.go_on(folder)


def test_the_time_is_foretold_from_minutes_and_from_what_the_same_took_before(quick, capsys):
    queues.start(written(quick, "sample:good", minutes=2), COMMANDS)
    assert "1 experiment: at most about 2 min" in capsys.readouterr().err
    queues.start(written(quick, "sample:bad"), COMMANDS)
    said = " ".join(capsys.readouterr().err.split())
    assert "1 experiment: how long that takes is not known. Not known for a: it is a secret." in said
    queues.start(written(quick, "sample:good"), COMMANDS, out=quick / "runs" / "earlier")
    said = " ".join(capsys.readouterr().err.split())
    assert "1 experiment: about 3 min 0 s. By a short rehearsal on this machine: a." in said
    folder, record = queues.start(
        written(quick, "sample:good", "sample:bad", seed=3), COMMANDS, out=quick / "runs" / "later"
    )
    said = " ".join(capsys.readouterr().err.split())
    assert "for 1 of them; how long the others take is not known" in said
    assert "As long as the same took before: a." in said
    before = QueueFolder(quick / "runs" / "earlier").load().experiments[0].seconds
    record.experiments[0].status = "waiting"
    again = queues.forecast(QueueFolder(folder), record)
    assert before > 0
    assert "As long as the same took before: a." in again


def test_what_cannot_be_rehearsed_is_named_and_the_rest_is_added_up(quick, capsys):
    files = written(quick, "sample:good", "sample:good", "sample:good", "sample:bad")
    files[2].write_text('command = "improve"\ntable = "sample:good"\n')
    files[3].write_text(files[3].read_text() + "minutes = 1\n")
    queues.start(files, COMMANDS)
    said = " ".join(capsys.readouterr().err.split())
    assert "4 experiments: about 7 min 0 s for 3 of them; how long the others take is not known." in said
    assert "By a short rehearsal on this machine: a, b." in said
    assert "Not known for c: what improve trains depends on what it finds." in said


def test_a_rehearsal_that_fails_or_does_not_end_keeps_nothing_from_starting(quick, capsys, monkeypatch):
    for trials, program, why in (
        (1, "raise SystemExit(1)", "its rehearsal failed"),
        (2, "import time; time.sleep(60)", "takes more than 1 s"),
    ):
        monkeypatch.setattr(queues, "_FORETOLD", (sys.executable, "-c", program))
        monkeypatch.setattr(queues, "_PATIENCE", 1.0)
        _, record = queues.start(written(quick, "sample:good", trials=trials), COMMANDS)
        assert why in " ".join(capsys.readouterr().err.split())
        assert [one.status for one in record.experiments] == ["done"]


SEARCHED = """
import keras

def build(hp, n_inputs, n_outputs):
    model = keras.Sequential([keras.Input((n_inputs,)), keras.layers.Dense(n_outputs, "sigmoid")])
    rate = hp.Float("rate", 0.001, 0.5, sampling="log")
    model.compile(keras.optimizers.SGD(rate), "binary_crossentropy")
    return model
"""


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_a_rehearsal_tells_how_long_real_experiments_take(home, capsys):
    """Within a factor of six: the machine may have other work to do in one of both."""
    (home / "table.csv").write_text("a,b,color,y\n" + "\n".join(rows_of_two_classes(200)) + "\n")
    (home / "m.py").write_text(CLASSIFIER + SEARCHED.replace("def build", "def searched"))
    plan = 'table = "table.csv"\nepochs = 300\nfolds = 3\nrepeats = 2\n'
    (home / "a.toml").write_text(f'command = "compare"\nbuilders = ["m.py:build", "m.py:build"]\n{plan}')
    (home / "b.toml").write_text(f'command = "stability"\nmodel = "m.py:build"\n{plan}')
    searched = f'command = "tune"\nmodel = "m.py:searched"\ntrials = 20\n{plan}'
    (home / "c.toml").write_text(searched)
    (home / "d.toml").write_text(f'search = "halving"\n{searched}')
    (home / "e.toml").write_text(f'command = "lr-range"\nmodel = "m.py:build"\n{plan}')
    files = [home / f"{name}.toml" for name in "abcde"]
    record = queues.QueueRecord(
        created="2026-01-01 00:00:00",
        experiments=[
            queues._experiment(n, read_prepared(file, COMMANDS)) for n, file in enumerate(files, start=1)
        ],
    )
    foretold = [queues._foretold(one) for one in record.experiments]
    assert all(isinstance(one, float) for one in foretold), foretold
    assert not (home / "runs").exists(), "a rehearsal leaves nothing behind"
    _, done = queues.start(files, COMMANDS, out=home / "q")
    assert "By a short rehearsal on this machine: a, b, c, d, e." in " ".join(capsys.readouterr().err.split())
    for seconds, one in zip(foretold, done.experiments, strict=True):
        assert one.status == "done", one.said
        assert one.seconds / 6 < seconds < 6 * one.seconds, one.name


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--trials=30"], "programs or more"),
        (["--target=nope"], "nope"),
    ],
)
def test_why_a_search_cannot_be_foretold_is_said(home, options, why):
    (home / "table.csv").write_text("a,b,color,y\n" + "\n".join(rows_of_two_classes(40)) + "\n")
    one = queues.Experiment(
        name="a", command="tune", arguments=[*options, "table.csv"], home=str(home), out=None, log="a.log"
    )
    assert why in queues._foretold(one)


def test_results_go_beside_the_log_unless_the_file_names_a_folder(quick):
    files = written(quick, "sample:good", "sample:good")
    files[1].write_text(files[1].read_text() + 'out = "results/second"\n')
    _, record = queues.start(files, COMMANDS, out=quick / "q")
    assert [one.out for one in record.experiments] == ["01-a", str(quick / "results" / "second")]


def test_a_folder_may_be_called_by_a_number(quick):
    """TOML tells 3 from "3"; a command line does not."""
    (path,) = written(quick, "sample:good", out=3)
    assert read_prepared(path, COMMANDS).out == quick / "3"


def test_a_record_that_cannot_be_read_does_not_hide_the_other_queues(quick, caviar):
    written(quick, "sample:good")
    queues.start([quick / "a.toml"], COMMANDS, out=quick / "runs" / "b")
    for name, text in (("a", "{"), ("z", '{"created": "9999"}')):
        (quick / "runs" / name).mkdir()
        (quick / "runs" / name / "queue.json").write_text(text)
    assert queues.newest() == Path("runs/b")
    ended = caviar("queue", "status")
    assert ended.status == 0, ended
    (quick / "runs" / "b" / "queue.json").unlink()
    with pytest.raises(RunError, match="found none"):
        queues.newest()


def test_of_several_queues_the_one_begun_last_is_meant(quick):
    for name, created in (("a", "2026-01-02 00:00:00"), ("b", "2026-01-01 00:00:00")):
        folder = QueueFolder(quick / "runs" / name)
        folder.path.mkdir(parents=True)
        folder.save(QueueRecord(created=created, experiments=[]))
    assert queues.newest() == Path("runs/a")


BAD = {
    "no TOML": ("command = ", "TOML"),
    "no command": ('table = "sample:iris"', "none"),
    "an unknown command": ('command = "imrpove"\ntable = "sample:iris"', "imrpove"),
    "a command that trains nothing": ('command = "look"\ntable = "sample:iris"', "look"),
    "an unknown key": ('command = "improve"\ntable = "sample:iris"\nepoch = 3', "epochs"),
    "a key of another command": ('command = "improve"\ntable = "sample:iris"\ntrials = 3', "trials"),
    "no table": ('command = "improve"\nepochs = 3', "table"),
    "a table that is not there": ('command = "improve"\ntable = "none.csv"', "none.csv"),
    "a builder that is not there": (
        'command = "improve"\ntable = "sample:iris"\nmodel = "mine.py:build"',
        "mine.py",
    ),
    "a number that is none": ('command = "improve"\ntable = "sample:iris"\nepochs = "many"', "--epochs"),
    "several where one belongs": ('command = "improve"\ntable = "sample:iris"\nepochs = [3, 4]', "epochs"),
    "a truth where a text belongs": ('command = "improve"\ntable = "sample:iris"\nsep = true', "sep"),
    "a text where a truth belongs": ('command = "improve"\ntable = "sample:iris"\nheader = "yes"', "header"),
    "a date": ('command = "improve"\ntable = "sample:iris"\ntarget = 2026-01-01', "quotes"),
    "no time": ('command = "improve"\ntable = "sample:iris"\nminutes = 0', "minutes"),
    "no builders": ('command = "compare"\ntable = "sample:iris"', "builders"),
    "a folder that holds something": ('command = "improve"\ntable = "sample:iris"\nout = "."', "out"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_used_is_one_sentence_before_anything_starts(quick, caviar, name):
    text, named = BAD[name]
    good, bad = written(quick, "sample:good", "sample:good")
    bad.write_text(text)
    ended = caviar("queue", good, bad)
    assert ended.is_one_sentence(), ended
    assert named in ended.err
    assert begun(quick) == []
    assert not (quick / "runs").exists()


@pytest.mark.usefixtures("quick")
def test_a_file_that_is_not_there_and_a_folder_that_holds_no_queue_are_one_sentence(caviar):
    for arguments in (
        ("nothing.toml",),
        ("status", "nowhere"),
        ("status",),
        ("stop", "nowhere"),
        ("resume", "nowhere"),
        ("status", "a", "b"),
        (),
    ):
        assert caviar("queue", *arguments).is_one_sentence(), arguments


def test_options_that_mean_nothing_beside_a_verb_are_refused(quick, caviar):
    prepared_queue(quick, "sample:good")
    for options in (
        ("status", "q", "--background"),
        ("stop", "q", "--out", "r"),
        ("resume", "q", "--out", "r"),
    ):
        ended = caviar("queue", *options)
        assert ended.is_one_sentence(), ended
        assert "Leave it out" in ended.err


def test_two_experiments_must_not_share_a_folder(quick):
    with pytest.raises(OptionError, match="folder of its own"):
        queues.start(written(quick, "sample:good", "sample:good", out="same"), COMMANDS)


def test_a_file_becomes_the_command_line_that_it_stands_for(home):
    (home / "sub").mkdir()
    (home / "sub" / "t.csv").write_text("a,b\n1,2\n")
    (home / "sub" / "m.py").write_text(CLASSIFIER)
    path = home / "sub" / "x.toml"
    path.write_text(
        'command = "compare"\nbuilders = ["m.py:build", "m.py:build"]\ntable = "t.csv"\n'
        'target = ["b"]\nheader = false\nbatch-size = 8\nrope = 0.01\nminutes = 3\n'
    )
    found = read_prepared(path, COMMANDS)
    options = ["--target=b", "--no-header", "--batch-size=8", "--rope=0.01", "--minutes=3"]
    assert found.arguments == [*options, "--", "m.py:build", "m.py:build", "t.csv"]
    assert (found.name, found.command, found.minutes, found.has_out) == ("x", "compare", 3.0, False)
    assert found.home == home / "sub"


def test_every_command_that_takes_minutes_can_be_prepared(home):
    for name in ("improve", "tune", "stability", "lr-range", "diagnose"):
        path = home / "x.toml"
        path.write_text(f'command = "{name}"\ntable = "sample:iris"\nminutes = 1\n')
        assert read_prepared(path, COMMANDS).arguments == ["--minutes=1", "--", "sample:iris"]


def test_tables_that_have_names_are_no_files_to_look_for(home):
    path = home / "x.toml"
    path.write_text('command = "improve"\ntable = "known:sonar"\ntest = "known:sonar"\n')
    assert read_prepared(path, COMMANDS).arguments == ["--test=known:sonar", "--", "known:sonar"]


BRIEF = """
command = "improve"
table = "table.csv"
model = "m.py:build"
epochs = 40
folds = 2
repeats = 1
minutes = 0.6
batch-size = 8
"""


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_a_background_queue_outlives_who_started_it_and_its_experiments_are_real(home):
    """The middle one fails, the queue is killed during the last, and what is left is gone on with."""
    folder = home / "in"
    folder.mkdir()
    (folder / "table.csv").write_text("a,b,color,y\n" + "\n".join(rows_of_two_classes(100)) + "\n")
    (folder / "m.py").write_text(CLASSIFIER)
    (folder / "a.toml").write_text(
        'command = "tune"\ntable = "table.csv"\ntrials = 2\nfolds = 2\nepochs = 1\n'
    )
    (folder / "b.toml").write_text('command = "diagnose"\ntable = "table.csv"\ntarget = "nope"\n')
    (folder / "c.toml").write_text(BRIEF)
    files = [f"in/{name}.toml" for name in "abc"]
    ended = in_fresh_process("queue", *files, "--background", "--out", "q", cwd=home)
    assert ended.status == 0, ended.err
    assert "caviar queue status q" in " ".join(ended.err.split())
    assert QueueFolder(home / "q").is_worked_on()
    wait_for(lambda: states(home / "q")[2] == "running", 240)
    wait_for((home / "q" / "03-c" / "training").is_dir, 120)
    time.sleep(1)
    os.kill(QueueFolder(home / "q").load().pid, signal.SIGKILL)
    wait_for(lambda: not QueueFolder(home / "q").is_worked_on())
    assert states(home / "q") == ["done", "failed", "running"]
    assert "nope" in QueueFolder(home / "q").load().experiments[1].said
    (folder / "b.toml").unlink()
    process = start("queue", "resume", "q", cwd=home)
    out, err = process.communicate(timeout=280)
    assert process.returncode == 1, err
    assert states(home / "q") == ["done", "failed", "done"]
    assert "1 failed" in out
    record = json.loads((home / "q" / "03-c" / "record.json").read_text())
    assert record["status"] == "finished"
    assert not (home / "q" / "03-c-2").exists(), "it was gone on with, not begun again"
    assert (home / "q" / "01-a" / "result.json").is_file()
