"""Prepared experiments one after the other: each in a process of its own, whatever becomes of the others.

A queue's folder holds its record, one log per experiment, and what they found. Whoever works on it holds its lock, and
an experiment ends with the process that started it, so that nothing is ever done twice at once.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from caviar.errors import OptionError, RunError
from caviar.prepared.experiment import Prepared, read_prepared
from caviar.progress import Voice
from caviar.report.wording import duration
from caviar.run.folder import RunFolder, make_run_folder
from caviar.run.queued import LOG, QUEUE, Experiment, QueueFolder, QueueRecord
from caviar.run.study import StudyFolder

REHEARSED = ("compare", "stability", "lr-range", "tune")
"""Commands whose trainings are known beforehand."""
VERBS = ("status", "stop", "resume")
"""What can be done with a queue that is there."""

_GRACE = 30.0
"""Seconds that an experiment has to write down what it learned after it was asked to stop."""
_STARTING = 60.0
"""Seconds that a process in the background may take until it works on its queue."""
_PATIENCE = 120.0
"""Seconds that the rehearsal of an experiment may take."""
_TAIL = 4096


def start(
    files: Sequence[Path], commands: Mapping[str, Any], *, out: Path | None = None, background: bool = False
) -> tuple[Path, QueueRecord]:
    """Run prepared experiments in order; every file is read and judged before the first one begins.

    Args:
        files: TOML files (`caviar.prepared.experiment`).
        commands: Commands of the command line by name.
        out: Folder of the queue; `runs/queue-<time>` if not given.
        background: Let a process of its own do the work, which goes on after logging out.

    Returns:
        The queue's folder, and the queue as it is when this returns.

    Raises:
        CaviarError: A file cannot be used; nothing was begun.
    """
    prepared = [read_prepared(file, commands) for file in files]
    _require_own_folders(prepared)
    folder = QueueFolder(make_run_folder("queue", out).path)
    record = QueueRecord(
        created=time.strftime("%Y-%m-%d %H:%M:%S"),
        experiments=[_experiment(number, one) for number, one in enumerate(prepared, start=1)],
    )
    folder.save(record)
    return folder.path, _begin(folder, background=background)


def go_on(path: Path, *, background: bool = False) -> QueueRecord:
    """Go on with a queue that was stopped or killed: what is done stays, what failed is retried.

    Args:
        path: The queue's folder.
        background: As in `start`.

    Raises:
        RunError: There is no queue, somebody works on it, or nothing is left to do.
    """
    folder = QueueFolder(path)
    record = folder.load()
    with folder.worked_on():  # says who does, where somebody does
        if all(one.status == "done" for one in record.experiments):
            raise RunError(
                f"Expected a queue with something left to do, but all {len(record.experiments)} experiments in "
                f"{path} are done. Start another one."
            )
    return _begin(folder, background=background)


def stop(path: Path) -> QueueRecord:
    """Stop whoever works on a queue, and wait until what was learned is written down.

    Raises:
        RunError: Nobody does, or it does not end.
    """
    folder = QueueFolder(path)
    record = folder.load()
    if not folder.is_worked_on() or record.pid is None:
        raise RunError(
            f"Expected somebody to work on the queue in {path}, but nobody does. "
            f"`caviar queue status {path}` shows how far it came."
        )
    with suppress(ProcessLookupError):  # it has just ended
        os.kill(record.pid, signal.SIGTERM)
    if not _waited(lambda: not folder.is_worked_on(), 2 * _GRACE):
        raise RunError(
            f"Expected process {record.pid} to stop within {2 * _GRACE:.0f} s, but it still works on {path}. "
            f"End it with `kill -9 {record.pid}`."
        )
    return folder.load()


def newest(runs: Path = Path("runs")) -> Path:
    """Folder of the queue that was begun last, of those that can be read.

    Raises:
        RunError: There is none.
    """
    created: dict[Path, str] = {}
    for path in sorted(runs.glob(f"*/{QUEUE}")):
        with suppress(RunError):
            created[path.parent] = QueueFolder(path.parent).load().created
    if not created:
        raise RunError(
            f"Expected a queue in {runs}, found none. Name the folder of the queue, or start one with "
            f"`caviar queue FILES`."
        )
    return max(created, key=created.__getitem__)


def verb_and_folder(words: Sequence[str]) -> tuple[str, Path] | None:
    """What is to be done with a queue that is there, and its folder; None where words name prepared experiments.

    Raises:
        OptionError: More than one folder is named.

    >>> verb_and_folder(["stop", "runs/queue"]), verb_and_folder(["a.toml", "b.toml"])
    (('stop', PosixPath('runs/queue')), None)
    """
    verb, *named = words
    if verb not in VERBS:
        return None
    if len(named) > 1:
        raise OptionError(f"Expected one folder after `caviar queue {verb}`, got {len(named)}. Name one.")
    return verb, Path(named[0]).expanduser() if named else newest()


def _require_own_folders(prepared: Sequence[Prepared]) -> None:
    named: set[Path] = set()
    for one in prepared:
        if one.out is None:
            continue
        if one.out in named:
            raise OptionError(
                f"Expected every experiment to have a folder of its own, but two name {one.out}. Change one of them."
            )
        named.add(one.out)
        goes_on = one.command == "tune" and StudyFolder(one.out).plan() is not None
        if not goes_on and one.out.exists() and (not one.out.is_dir() or any(one.out.iterdir())):
            raise OptionError(
                f"Expected out of {one.name}.toml to be a new folder, but {one.out} already holds something. "
                f"Choose another one, or leave it out."
            )


def _experiment(number: int, one: Prepared) -> Experiment:
    name = f"{number:02d}-{re.sub(r'[^A-Za-z0-9._-]+', '-', one.name)}"
    out = (name if one.out is None else str(one.out)) if one.has_out else None
    return Experiment(
        name=one.name,
        command=one.command,
        arguments=one.arguments,
        home=str(one.home),
        out=out,
        log=f"{name}.log",
        minutes=one.minutes,
    )


def _begin(folder: QueueFolder, *, background: bool) -> QueueRecord:
    voice, record = Voice(), folder.load()
    voice.say(forecast(folder, record, voice))
    if not background:
        return _work(folder, voice)
    pid = _detach(folder)
    voice.say(f"Process {pid} works on {folder.path} and goes on after you have logged out.")
    voice.say(
        f"`caviar queue status {folder.path}` shows how far it is, `caviar queue stop {folder.path}` stops it."
    )
    return folder.load()


def _detach(folder: QueueFolder) -> int:
    """Start a process that belongs to no terminal and works on a queue; returns once it does."""
    with (folder.path / LOG).open("a", encoding="utf-8") as log:
        process = subprocess.Popen(  # noqa: S603 - our own program, its words never see a shell
            [*_CAVIAR, "queue", "resume", str(folder.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _waited(lambda: process.poll() is not None or folder.is_worked_on(), _STARTING)
    if process.poll() not in {None, 0, 1}:
        raise RunError(
            f"Expected a process to work on {folder.path}, but it ended: {_last_line(folder.path / LOG)} "
            f"Run it without --background."
        )
    return process.pid


# -P: what lies in the folder where an experiment is run is no module of ours.
_CAVIAR = (sys.executable, "-P", "-m", "caviar")
_ATTACHED = (sys.executable, "-P", "-m", "caviar.command.attached")
_FORETOLD = (sys.executable, "-P", "-m", "caviar.command.foretold")


def _waited(is_so: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def _work(folder: QueueFolder, voice: Voice) -> QueueRecord:
    """Carry out what is not done, in order."""
    with folder.worked_on(), _until_told_to_stop():
        record = folder.load()
        record.pid = os.getpid()
        for one in record.experiments:
            if one.status == "running":  # whoever ran it was killed, and it with them
                one.status, one.pid = "stopped", None
        folder.save(record)
        try:
            for one in record.experiments:
                if one.status != "done":
                    _carry_out(folder, record, one)
                    _say(voice, folder, one)
        finally:
            record.pid = None
            folder.save(record)
    return record


@contextmanager
def _until_told_to_stop() -> Iterator[None]:
    """Take SIGTERM for Ctrl-C, and do not care about the terminal that this was started from."""
    before = {
        number: signal.signal(number, signal.default_int_handler)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(voice: Voice, folder: QueueFolder, one: Experiment) -> None:
    where = folder.path / (one.out or one.log)
    if one.status == "done":
        text = f"  {one.name}: done in {duration(one.seconds)}; {where}"
    else:
        text = f"  {one.name}: failed (exit status {one.exit_status}): {one.said}"
    with suppress(OSError):  # the terminal may be gone
        voice.say(text)


def _carry_out(folder: QueueFolder, record: QueueRecord, one: Experiment) -> None:
    """Run one experiment to its end, and write down how it ended."""
    words = _words(folder, one)
    if words is None:
        one.status = "done"
        folder.save(record)
        return
    before, began = one.seconds, time.monotonic()
    log = folder.path / one.log
    with log.open("a", encoding="utf-8") as file:
        process = subprocess.Popen(  # noqa: S603 - an argument list, never a shell
            [*_ATTACHED, str(os.getpid()), *words],
            cwd=one.home,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
    one.status, one.pid, one.since = "running", process.pid, time.strftime("%Y-%m-%d %H:%M:%S")
    one.exit_status, one.said = None, ""
    try:
        folder.save(record)
        one.exit_status = process.wait()
        one.status = "done" if one.exit_status == 0 else "failed"
        one.said = "" if one.exit_status == 0 else _last_line(log)
    except BaseException:
        one.exit_status = _ended(process)
        one.status = "stopped"
        raise
    finally:
        one.pid, one.seconds = None, before + time.monotonic() - began
        folder.save(record)


def _ended(process: subprocess.Popen) -> int:
    """Ask a process to stop, ever less politely; returns its exit status."""
    for number, patience in ((signal.SIGINT, _GRACE), (signal.SIGTERM, 5.0), (signal.SIGKILL, None)):
        process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            return process.wait(patience)
    raise AssertionError  # nobody survives SIGKILL


def _words(folder: QueueFolder, one: Experiment) -> list[str] | None:
    """What the program is given for an experiment, which may have been begun before; None where it is done already."""
    words = [one.command, *one.arguments]
    if one.out is None:
        return words
    out = (folder.path / one.out).resolve()
    if one.command == "improve" and one.status != "waiting" and out.exists():
        run = RunFolder(out)
        if run.notes.get("arguments") is not None:
            return ["resume", str(out)]
        with suppress(RunError):
            if run.load_record().status == "finished":
                return None
    if one.command != "tune" and one.status != "waiting" and out.exists() and any(out.iterdir()):
        out = _beside(out)  # what it holds cannot be gone on with, and is not written over
        one.out = (
            str(out.relative_to(folder.path.resolve()))
            if out.is_relative_to(folder.path.resolve())
            else str(out)
        )
    return [one.command, f"--out={out}", *one.arguments]


def _beside(taken: Path) -> Path:
    n = 2
    while (free := taken.with_name(f"{taken.name}-{n}")).exists():
        n += 1
    return free


def _last_line(log: Path) -> str:
    """What a log ends with."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL))
        lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1] if lines else "It said nothing."


def forecast(folder: QueueFolder, record: QueueRecord, voice: Voice | None = None) -> str:
    """How long what is left will take, as far as anything tells, in a few sentences.

    Args:
        folder: The queue's folder; queues beside it tell how long the same experiments took before.
        record: The queue. What has no minutes and was never finished is rehearsed for a moment, each amount of work
            once.
        voice: Shows that something happens meanwhile.
    """
    left = [one for one in record.experiments if one.status != "done"]
    before = _took_before(folder)
    bounded = [one for one in left if one.minutes is not None]
    repeated = [one for one in left if one.minutes is None and _same(one) in before]
    others = [one for one in left if one.minutes is None and _same(one) not in before]
    foretold = _rehearsed(others, voice or Voice(quiet=True))
    measured = [one for one in others if isinstance(foretold[_same(one)], float)]
    unknown = [one for one in others if one not in measured]
    total = sum(60 * float(one.minutes or 0) for one in bounded) + sum(before[_same(one)] for one in repeated)
    total += sum(float(foretold[_same(one)]) for one in measured)
    known = len(left) - len(unknown)
    count = f"{len(left)} experiment{'s' if len(left) != 1 else ''}"
    if not known:
        said = [f"{count}: how long that takes is not known."]
    else:
        manner = "about" if repeated or measured else "at most about"
        some = f" for {known} of them; how long the others take is not known" if unknown else ""
        said = [f"{count}: {manner} {duration(total)}{some}."]
    for why, some_of_them in (
        ("Bounded by minutes, which compiling and a final model may overrun a little", bounded),
        ("As long as the same took before", repeated),
        ("By a short rehearsal on this machine", measured),
    ):
        if some_of_them:
            said.append(f"{why}: {', '.join(one.name for one in some_of_them)}.")
    for why in dict.fromkeys(str(foretold[_same(one)]) for one in unknown):
        names = ", ".join(one.name for one in unknown if foretold[_same(one)] == why)
        said.append(f"Not known for {names}: {why.rstrip('.')}.")
    return " ".join(said)


def _rehearsed(some: Sequence[Experiment], voice: Voice) -> dict[tuple[str, ...], float | str]:
    """Seconds that experiments should take, or why nobody knows, by what makes them the same amount of work."""
    found: dict[tuple[str, ...], float | str] = {}
    with voice.bar("how long will it take? A short rehearsal tells", len(some)):
        for one in some:
            if _same(one) not in found:
                found[_same(one)] = _foretold(one)
            voice.advance(1)
    return found


def _foretold(one: Experiment) -> float | str:
    """The same for one experiment, by a process of its own: what it loads and compiles leaves with it."""
    if one.command not in REHEARSED:
        return f"what {one.command} trains depends on what it finds"
    try:
        done = subprocess.run(  # noqa: S603 - our own program, its words never see a shell
            [*_FORETOLD, str(os.getpid()), one.command, *one.arguments],
            cwd=one.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        said = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return f"it takes more than {_PATIENCE:.0f} s to begin"
    except ValueError:  # it ended before it could say anything
        return "its rehearsal failed"
    return float(said["seconds"]) if "seconds" in said else str(said["why"])


def _took_before(folder: QueueFolder) -> dict[tuple[str, ...], float]:
    """Seconds of experiments that earlier queues beside this one have finished; the latest counts."""
    earlier: list[QueueRecord] = []
    for path in folder.path.resolve().parent.glob(f"*/{QUEUE}"):
        with suppress(RunError):
            earlier.append(QueueFolder(path.parent).load())
    return {
        _same(one): one.seconds
        for record in sorted(earlier, key=lambda record: record.created)
        for one in record.experiments
        if one.status == "done"
    }


def _same(one: Experiment) -> tuple[str, ...]:
    """What makes two experiments the same amount of work: all but the seed and the place of their results."""
    return (one.command, one.home, *sorted(word for word in one.arguments if not word.startswith("--seed=")))
