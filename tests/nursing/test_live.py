"""Facts about a training that is steered while it runs: commands, the page's server, and a real process."""

import fcntl
import http.client
import io
import json
import math
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

import caviar
from caviar.errors import OptionError
from caviar.model.finished import load_finished
from caviar.nursing.commands import read_json, read_line
from caviar.nursing.course import Course
from caviar.nursing.live import Live
from caviar.nursing.log import read_log
from caviar.nursing.material import from_arrays
from caviar.nursing.panda import panda_command
from caviar.nursing.server import LARGEST_BODY, Server
from caviar.nursing.terminal import Lines
from caviar.nursing.watch import watch
from caviar.report.panda import render
from caviar.run.folder import MODEL
from tests.command.conftest import rows_of_two_classes
from tests.nursing.conftest import SEED, build

PAGE = render("table <b>", 120, "binary", "build", "runs/panda")


def course_of(rows, tmp_path: Path | None = None) -> Course:
    material = from_arrays(
        build,
        *rows,
        batch_size=32,
        epochs=4,
        models=1,
        validation_split=0.2,
        sample_weight=None,
        task=None,
        metric=None,
        seed=SEED,
    )
    return Course(material, tmp_path)


@pytest.mark.parametrize(
    ("line", "do", "values", "branch"),
    [
        ("lr 1e-4", "set", {"learning_rate": 1e-4}, None),
        ("dropout 0.3", "set", {"dropout": 0.3}, None),
        ("decay 0", "set", {"weight_decay": 0}, None),
        ("batch 64", "set", {"batch_size": 64}, None),
        ("rewind 12", "rewind", {"epoch": 12}, None),
        ("REWIND 12 2", "rewind", {"epoch": 12}, "2"),
        ("p", "pause", {}, None),
        ("r", "resume", {}, None),
        ("stop", "stop", {}, None),
        ("?", "help", {}, None),
    ],
)
def test_a_line_asks_for_one_thing(line, do, values, branch):
    command = read_line(line)
    assert (command.do, command.values, command.branch) == (do, values, branch)


@pytest.mark.parametrize(
    "line",
    [
        "lr",
        "lr fast",
        "lr nan",
        "lr 1 2",
        "lr 1e300",
        "train 1e300",
        "set 1",
        "fly",
        "pause 3",
        "rewind 1 2 3",
    ],
)
def test_a_line_that_nobody_understands_is_refused_in_a_sentence(line):
    with pytest.raises(OptionError, match=r"^Expected .*\.$"):
        read_line(line)


@pytest.mark.parametrize(
    "given",
    [
        None,
        [],
        {"do": "fly"},
        {"do": "set", "values": {"learning_rate": "1"}},
        {"do": "set", "values": {"learning_rate": float("inf")}},
        {"do": "set", "values": {"learning_rate": True}},
        {"do": "rewind"},
        {"do": "rewind", "values": {"epoch": 1.5}},
        {"do": "train", "values": {"epochs": 2, "epoch": 2}},
        {"do": "stop", "more": 1},
    ],
)
def test_what_a_page_sends_is_checked_like_a_line(given):
    with pytest.raises(OptionError, match=r"^Expected"):
        read_json(given)


def test_lines_of_a_script_are_carried_out_in_order_and_end_it(rows, tmp_path):
    """`train` holds back what follows it; what is refused changes nothing and stops nothing."""
    course, said = course_of(rows, tmp_path), []
    live = Live(course, 4, said.append)
    script = "train 3\nlr 0.5\nwhat\ndropout 7\nrewind 2\ntrain 2\n"
    Lines(io.StringIO(script)).serve(live, said.append)
    live.run()
    branches = [(b.name, b.start, b.end) for b in read_log(tmp_path).branches]
    assert branches == [("1", 0, 3), ("2", 2, 4)]
    acts = [(act.do, act.values) for act in read_log(tmp_path).actions]
    assert acts == [
        ("train", {"epochs": 3.0}),
        ("set", {"learning_rate": 0.5}),
        ("rewind", {}),
        ("train", {"epochs": 2.0}),
        ("stop", {}),
    ]
    assert sum(line.startswith("Expected") for line in said) == 2
    assert json.loads((tmp_path / "curves.json").read_text())["2"]["loss"][0]


def test_without_commands_it_trains_to_the_end(rows):
    course = course_of(rows)
    live = Live(course, 3, lambda _: None)
    Lines(io.StringIO("")).serve(live, lambda _: None)
    live.run()
    assert course.epoch == 3
    assert live.is_over
    assert live.look()["state"] == "stopped"


class Served:
    """A training that waits for commands, and its page."""

    def __init__(self, live: Live, server: Server) -> None:
        self.live, self.server = live, server

    def ask(
        self, method: str, place: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], str]:
        """Status, headers and text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        connection.request(method, place, body, {"Content-Type": "application/json"} | headers)
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        return reply.status, dict(reply.headers), text

    def do(self, command: object, **headers: str) -> tuple[int, str]:
        body = json.dumps(command).encode()
        status, _, text = self.ask("POST", f"/{self.server.token}/do", body, **headers)
        return status, json.loads(text)["said"]


@pytest.fixture(scope="module")
def served(rows) -> Iterator[Served]:
    course = course_of(rows)
    course.train(2)
    live = Live(course, 2, lambda _: None)
    server = Server(live, PAGE)
    with live.listened_to(), server.serving():
        thread = threading.Thread(target=live.run)
        thread.start()
        yield Served(live, server)
        live.stop()
        thread.join(timeout=60)


def test_the_page_is_whole_and_may_run_its_own_script_alone(served):
    status, headers, text = served.ask("GET", f"/{served.server.token}/")
    assert status == 200
    assert "table &lt;b&gt;" in text
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "unsafe-eval" not in policy
    assert not [name for name in headers if name.startswith("Access-Control")]
    assert not re.findall(r"(?:src|href)=\"(?!#|data:)", text)


def test_the_state_is_sent_once_and_again_when_it_has_changed(served):
    place = f"/{served.server.token}/state"
    status, _, text = served.ask("GET", place)
    seen = json.loads(text)
    assert status == 200
    assert (seen["epoch"], seen["branch"], len(seen["curves"]["1"]["val_loss"])) == (2, "1", 2)
    assert served.ask("GET", f"{place}?have={seen['version']}")[0] == 204
    assert served.do({"do": "set", "values": {"learning_rate": 0.3}}) == (
        200,
        "From epoch 3 on: learning rate 0.3.",
    )
    assert (
        json.loads(served.ask("GET", f"{place}?have={seen['version']}")[2])["settings"]["learning_rate"]
        == 0.3
    )


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ({"do": "set", "values": {"dropout": 1.5}}, "dropout"),
        ({"do": "set", "values": {"epsilon": 1}}, "epsilon"),
        ({"do": "rewind", "values": {"epoch": 9}}, "from 0 to 2"),
        ({"do": "rewind", "values": {"epoch": 1}, "branch": "7"}, "There are 1"),
        ({"do": "set", "values": {"self": 1}}, "'self'"),
        ({"do": "set", "values": {"epoch": 1}}, "'epoch'"),
        ({"do": "pause", "values": {"learning_rate": 1}}, "no values"),
        ({"do": "set", "values": {"learning_rate": 10**400}}, "1,000,000,000"),
        ({"do": "set", "values": {"batch_size": -(10**400)}}, "1,000,000,000"),
        ({"do": "train", "values": {"epochs": 10**400}}, "1,000,000,000"),
        ({"do": "rewind", "values": {"epoch": 1e300}}, "1,000,000,000"),
        ({"do": "fly"}, "a command"),
        ("text", "a command"),
    ],
)
def test_bad_values_are_refused_with_a_sentence(served, command, words):
    status, said = served.do(command)
    assert status == 400
    assert said.startswith("Expected")
    assert words in said
    assert len(said) < 300
    assert served.do({"do": "branches"})[0] == 200  # it still listens


@pytest.mark.parametrize("have", ["9" * 5000, "-1", "²", "1e3"])
def test_a_state_that_nobody_can_have_is_answered_with_the_present_one(served, have):
    status, _, text = served.ask("GET", f"/{served.server.token}/state?have={quote(have)}")
    assert status == 200
    assert json.loads(text)["epoch"] == 2


def leave(served: Served, request: bytes) -> None:
    """Send what is asked for, and be gone before the answer."""
    connection = socket.create_connection(("127.0.0.1", served.server.port))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.sendall(request)
    connection.close()


def test_a_tab_that_is_closed_while_it_is_answered_says_nothing_in_the_terminal(served, monkeypatch, capfd):
    """A reader that left is met when the answer is written, or while its request is read."""
    gone, page, failed = threading.Event(), served.server.page, []
    monkeypatch.setattr(served.server, "page", lambda: page() if gone.wait(30) else None)
    inner = served.server._server.handle_error
    monkeypatch.setattr(
        served.server._server, "handle_error", lambda *given: (inner(*given), failed.append(sys.exception()))
    )
    head = f"HTTP/1.1\r\nHost: 127.0.0.1:{served.server.port}\r\nContent-Type: application/json\r\n"
    leave(served, f"GET /{served.server.token}/ {head}\r\n".encode())
    leave(served, f"POST /{served.server.token}/do {head}Content-Length: 99\r\n\r\n{{".encode())
    gone.set()
    end = time.monotonic() + 30
    while len(failed) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    assert [isinstance(error, ConnectionError) for error in failed] == [True, True]
    assert capfd.readouterr() == ("", "")


def test_what_else_goes_wrong_in_an_answer_is_shown(served, monkeypatch, capfd):
    """A mistake of ours does not hide behind tabs that are closed."""
    monkeypatch.setattr(served.server, "page", lambda: 1 / 0)
    with pytest.raises(http.client.HTTPException):
        served.ask("GET", f"/{served.server.token}/")
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_whatever_ends_a_training_its_model_is_kept(rows, tmp_path, monkeypatch, capfd):
    course = course_of(rows, tmp_path)
    course.train(2)
    expected = course.finished().predict_features(rows[0])

    def failing(*_):
        raise RuntimeError("no more")

    monkeypatch.setattr(course, "train", failing)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(RuntimeError, match="no more"):
        watch(course, tmp_path, page=False, port=0, seconds=math.inf)
    assert "branch 1 after epoch 2" in capfd.readouterr().err
    assert read_log(tmp_path).actions[-1].do == "stop"
    kept = load_finished(tmp_path / MODEL)
    np.testing.assert_allclose(kept.predict_features(rows[0]), expected, atol=1e-6)


def test_a_training_that_its_time_has_ended_says_so(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    cut = watch(course_of(rows, tmp_path / "cut"), tmp_path / "cut", page=False, port=0, seconds=0.0)
    assert "The time given was used up (--minutes)." in cut.lines


@pytest.mark.parametrize("port", [70000, -1])
def test_a_port_that_cannot_be_had_is_one_sentence_and_nothing_was_kept(rows, tmp_path, capfd, port):
    with pytest.raises(OptionError, match="port"):
        watch(course_of(rows, tmp_path / "run"), tmp_path / "run", page=True, port=port, seconds=math.inf)
    assert capfd.readouterr() == ("", "")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("what\nlr 0.5\n\ndropout 7\n", ["2 of 3 lines were not carried out."]),
        ("dropout 7\n", ["1 of 1 lines was not carried out."]),
        ("lr 0.5\n", []),
    ],
)
def test_at_its_end_a_script_is_told_how_many_lines_were_refused(rows, tmp_path, monkeypatch, script, said):
    monkeypatch.setattr(sys, "stdin", io.StringIO(script))
    left = watch(course_of(rows, tmp_path), tmp_path, page=False, port=0, seconds=math.inf)
    assert [line for line in left.lines if "carried out" in line] == said


def test_nothing_is_answered_without_the_secret(served):
    token = served.server.token
    other = token[:-1] + ("y" if token[-1] == "x" else "x")
    for place in ("/", "/state", "/do", f"/{other}/state", f"/{token}"):
        assert served.ask("GET", place)[0] == 404
        assert served.ask("POST", place, b"{}")[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1:1", ""])
def test_another_name_for_this_machine_is_refused(served, host):
    """DNS rebinding: a page elsewhere whose name now points here sends its own name."""
    assert served.ask("GET", f"/{served.server.token}/state", Host=host)[0] == 403
    assert served.do({"do": "pause"}, Host=host)[0] == 403


def test_another_pages_commands_are_refused(served):
    assert served.do({"do": "pause"}, Origin="http://evil.example")[0] == 403
    assert served.do({"do": "pause"}, Origin="null")[0] == 403
    assert served.do({"do": "branches"}, Origin=f"http://127.0.0.1:{served.server.port}")[0] == 200
    place = f"/{served.server.token}/do"
    assert served.ask("POST", place, b"{}", **{"Content-Type": "text/plain"})[0] == 415
    assert served.ask("POST", place, b"{" * 100)[0] == 400


def test_a_body_that_is_too_large_or_has_no_length_is_not_read(served):
    place = f"/{served.server.token}/do"
    assert served.ask("POST", place, b" " * (LARGEST_BODY + 1))[0] == 413
    assert served.ask("POST", place, b"", **{"Content-Length": "9" * 40})[0] == 413
    assert served.ask("POST", place, b"", **{"Content-Length": "-1"})[0] == 411


def test_it_is_served_to_this_machine_alone(served):
    for host in ("0.0.0.0", "192.0.2.1", "example.org"):  # noqa: S104 - what must be refused
        with pytest.raises(OptionError, match="this machine alone"):
            Server(served.live, PAGE, host=host)
    with pytest.raises(OptionError, match="Choose another --port"):
        Server(served.live, PAGE, port=served.server.port)
    with pytest.raises(OptionError, match="65535"):
        Server(served.live, PAGE, port=70000)


def test_a_real_browser_shows_the_page_and_its_buttons_work(served):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = Path("/usr/bin/chromium")
    if not chromium.exists():
        pytest.skip(f"there is no browser at {chromium}")
    complaints: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(served.server.address)
        page.locator("#epoch", has_text="2 of").wait_for()
        assert page.locator("#panels path.curve").count() >= 4
        page.fill("#dropout", "0.45")
        page.click("#set")
        page.locator("#answer.done", has_text="dropout 0.45").wait_for()
        page.fill("#rewind-epoch", "1")
        page.click("#rewind")
        page.locator("#state", has_text="Paused").wait_for()
        assert page.inner_text("#epoch") == "1 of 2"
        assert page.evaluate("() => document.documentElement.scrollWidth") == 390
        browser.close()
    assert complaints == []
    served.do({"do": "rewind", "values": {"epoch": 2}})
    served.do({"do": "resume"})


BUILDER = """
import keras

def build(n_inputs, n_outputs):
    model = keras.Sequential([keras.Input((n_inputs,)), keras.layers.Dense(n_outputs, "sigmoid")])
    model.compile(keras.optimizers.SGD(0.001), "binary_crossentropy")
    return model
"""


@pytest.fixture
def home(tmp_path) -> Path:
    (tmp_path / "table.csv").write_text("a,b,color,y\n" + "\n".join(rows_of_two_classes(200)) + "\n")
    (tmp_path / "my_model.py").write_text(BUILDER)
    return tmp_path


def panda(home: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "caviar", "panda", "table.csv", "--model", "my_model.py:build", *options],
        cwd=home,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )


@pytest.mark.thorough
def test_a_process_obeys_its_stdin_and_its_log_can_be_replayed(home):
    process = panda(home, "--out", "run", "--no-page")
    out, err = process.communicate("train 3\nlr 0.3\ntrain 5\nbranches\n", timeout=300)
    assert process.returncode == 0, err
    assert "http" not in err
    assert "From epoch 4 on: learning rate 0.3." in err
    assert [stage.last for stage in read_log(home / "run").stages("1", 8)] == [3, 8]
    assert caviar.predict(home / "run", home / "table.csv").height == 200
    replayed = panda(home, "--replay", "run", "--seeds", "3", "--folds", "3")
    out, err = replayed.communicate(timeout=300)
    assert replayed.returncode == 0, err
    assert "optimistic" in out
    assert json.loads((home / "run" / "replay.json").read_text())["sentence"] == out.strip()


@pytest.mark.thorough
def test_a_person_at_a_terminal_types_commands_below_the_curves(home):
    """A wrong letter is taken back; an unknown word is refused; curves are drawn; the terminal is as it was."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    before = termios.tcgetattr(follower)
    command = [sys.executable, "-m", "caviar", "panda", "table.csv", "--model", "my_model.py:build"]
    process = subprocess.Popen(
        [*command, "--epochs", "4", "--out", "run"],
        cwd=home,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "TERM": "xterm-256color"},
    )
    heard = ""

    def until(words: str) -> None:
        nonlocal heard
        end = time.monotonic() + 120
        while words not in heard:
            assert time.monotonic() < end, heard[-3000:]
            if select.select([leader], [], [], 0.5)[0]:
                heard += os.read(leader, 65536).decode("utf-8", "ignore")
        heard = ""

    until("epoch 4 of 4")
    os.write(leader, b"lr 0.5x\x7f\r")
    until("learning rate 0.5")
    os.write(leader, b"bogus\r")
    until("'bogus'")
    os.write(leader, b"train 2\r")
    until("epoch 6 of 6")
    os.write(leader, b"stop\r")
    until("Model: run/model")
    assert process.wait(timeout=60) == 0
    assert termios.tcgetattr(follower) == before
    assert read_log(home / "run").at == 6


@pytest.mark.thorough
def test_ctrl_c_leaves_whole_files_and_a_model(home):
    process = panda(home, "--out", "run", "--epochs", "1000000", "--batch-size", "4")
    assert process.stderr is not None
    heard = ""
    while "epoch 4 of" not in heard:
        line = process.stderr.readline()
        assert line, heard
        heard += line
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    log = read_log(home / "run")
    assert log.actions[-1].do == "stop"
    curves = json.loads((home / "run" / "curves.json").read_text())
    assert len(curves["1"]["loss"][0]) == log.branch("1").end == log.at >= 4
    assert caviar.predict(home / "run", home / "table.csv").height == 200


def test_options_of_the_other_half_are_refused():
    for replay, watching, replaying in ((None, {}, {"seeds": 3}), (Path("run"), {"models": 2}, {})):
        with pytest.raises(OptionError, match=r"^Expected --(seeds with|models without) --replay"):
            panda_command("table.csv", replay, {}, watching, replaying, began=0.0)
