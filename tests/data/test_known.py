"""Facts about the public tables: what they hold, what is taken for them, and what a network may do."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from caviar.data import known
from caviar.data.known import KNOWN, KnownTable, as_published, known_table
from caviar.data.load import load
from caviar.errors import DataError

FOLDER = os.environ.get("CAVIAR_DATA")  # before a test takes it away
CONTENT = b"1,2.5,'-1'\n3,4.5,'1'\n5,0,'1'\n7,1.5,'-1'"


class Site(ThreadingHTTPServer):
    """A web site of this machine: what its pages answer, and how often it was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Page)
        self.pages: dict[str, bytes] = {}
        self.said_longer, self.stalls, self.asked = 0, False, 0

    def url(self, page: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{page}"


class Page(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self):
        self.server.asked += 1
        content = self.server.pages.get(self.path.removeprefix("/"))
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content) + self.server.said_longer))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()
        if self.server.stalls:
            time.sleep(60)

    def log_message(self, *_):
        pass


@pytest.fixture
def site():
    server = Site()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """An empty cache of the test's own, and no folder of tables."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CAVIAR_DATA", raising=False)
    return tmp_path / "cache" / "caviar" / "tables"


@pytest.fixture
def public():
    """Path of one of the public tables as first published; skips where there is none."""

    def find(name):
        path = Path(FOLDER or "", KNOWN[name].file)
        if FOLDER is None or not path.exists():
            pytest.skip(f"CAVIAR_DATA does not name a folder with {path.name}")
        return path

    return find


@pytest.fixture(autouse=True)
def small(monkeypatch, site):
    """A table of four rows that stands in the list of known ones, and lies on the site."""
    table = KnownTable(
        origin="Four rows (of this test).",
        file="small.csv",
        urls=(site.url("gone.csv"), site.url("small.csv")),
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        columns=("a", "b", "class"),
        target="class",
        quote="'",
    )
    monkeypatch.setitem(KNOWN, "small", table)
    site.pages["small.csv"] = CONTENT
    return table


ROWS = [(1, 2.5, -1), (3, 4.5, 1), (5, 0.0, 1), (7, 1.5, -1)]


def test_a_table_is_downloaded_from_the_first_address_that_has_it_and_then_kept(site, cache):
    assert known_table("small").rows() == ROWS
    assert site.asked == 2  # the first address has nothing
    assert [path.name for path in cache.iterdir()] == ["small.csv"]
    assert known_table("small").rows() == ROWS
    assert site.asked == 2


@pytest.mark.parametrize("is_named_by_environment", [True, False])
def test_a_file_in_a_folder_comes_before_cache_and_network(
    site, tmp_path, monkeypatch, is_named_by_environment
):
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "small.csv").write_bytes(CONTENT.replace(b"\n", b"\r\n") + b"\r\n")
    if is_named_by_environment:
        monkeypatch.setenv("CAVIAR_DATA", str(folder))
    assert known_table("small", None if is_named_by_environment else folder).rows() == ROWS
    assert site.asked == 0


def test_a_folder_without_the_file_leaves_the_download(site, tmp_path):
    assert known_table("small", tmp_path).rows() == ROWS
    assert site.asked == 2


def test_another_file_of_that_name_is_refused_with_both_checksums(small, site, tmp_path):
    (tmp_path / "small.csv").write_bytes(CONTENT.replace(b"2.5", b"2.6"))
    with pytest.raises(
        DataError, match=rf"{small.sha256[:16]}.*got {len(CONTENT)} bytes with .*take the file away"
    ) as told:
        known_table("small", tmp_path)
    assert "\n" not in str(told.value)
    assert site.asked == 0


def test_a_folder_that_is_none_is_refused(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"folder that may hold small\.csv"):
        known_table("small", tmp_path / "nowhere")
    monkeypatch.setenv("CAVIAR_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="environment's CAVIAR_DATA"):
        known_table("small")


def test_a_download_with_other_bytes_is_refused_and_not_kept(small, site, cache):
    site.pages["small.csv"] = CONTENT.replace(b"'1'", b"'0'")
    with pytest.raises(DataError, match=rf"small\.csv .*SHA-256 {small.sha256[:16]}.*CAVIAR_DATA"):
        known_table("small")
    assert not cache.exists()


def test_a_download_that_breaks_off_is_refused_and_not_kept(site, cache):
    site.pages["small.csv"], site.said_longer = CONTENT[:-3], 3
    with pytest.raises(DataError, match=rf"got {len(CONTENT) - 3} bytes"):
        known_table("small")
    assert not cache.exists()


def test_a_download_that_never_ends_is_left_early(site, cache):
    site.pages["small.csv"] = CONTENT * 1000
    with pytest.raises(DataError, match=f"more than {2 * len(CONTENT)} bytes"):
        known_table("small")
    assert not cache.exists()


def test_a_download_that_falls_silent_is_given_up(site, monkeypatch):
    site.stalls, site.said_longer = True, 1
    monkeypatch.setattr(known, "_SILENCE", 0.2)
    with pytest.raises(DataError, match="timed out"):
        known_table("small")


def test_a_damaged_cache_is_loaded_again(site, cache):
    known_table("small")
    (cache / "small.csv").write_bytes(CONTENT[:10])
    assert known_table("small").rows() == ROWS
    assert (cache / "small.csv").read_bytes() == CONTENT
    assert site.asked == 4


def test_a_cache_that_cannot_be_written_stops_nothing(cache):
    cache.parent.parent.mkdir()
    cache.parent.write_text("a file where the folder would be")
    assert known_table("small").rows() == ROWS


def test_without_a_network_one_sentence_names_the_file_and_what_to_do():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}/small.csv"
    with pytest.raises(DataError, match=r"small\.csv .*Connection refused.*CAVIAR_DATA.*--data-dir") as told:
        known_table("small", urls=[nobody])
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "small.csv"])
def test_only_web_addresses_are_opened(url):
    with pytest.raises(DataError, match="expected a web address"):
        known_table("small", urls=[url])


def test_a_download_that_is_killed_leaves_nothing(site, tmp_path, cache):
    site.pages["sonar.csv"], site.stalls, site.said_longer = b"0.1,R\n" * 1000, True, 10
    program = (
        f"from caviar.data.known import known_table; known_table('sonar', urls=[{site.url('sonar.csv')!r}])"
    )
    process = subprocess.Popen([sys.executable, "-c", program])
    give_up = time.monotonic() + 60
    while not site.asked and time.monotonic() < give_up:
        time.sleep(0.02)
    assert site.asked
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not cache.exists()
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_table_is_refused_with_the_list():
    with pytest.raises(DataError, match=r"pima, sonar, mammography, cardio, .*got 'sonr'"):
        load("known:sonr")


def test_a_known_table_knows_its_target_and_tells_its_origin(small):
    dataset = load("known:small")
    assert (dataset.name, dataset.schema.targets, dataset.n_rows) == ("small", ("class",), 4)
    assert [remark.text for remark in dataset.remarks if remark.code == "origin"] == [small.origin]


FACTS = {
    "pima": (768, {0: 500, 1: 268}),
    "sonar": (208, {"M": 111, "R": 97}),
    "mammography": (11_183, {-1: 10_923, 1: 260}),
    "cardio": (70_000, {0: 35_021, 1: 34_979}),
}


@pytest.mark.parametrize("name", FACTS)
def test_the_public_tables_hold_what_is_known_of_them(public, name):
    table = KNOWN[name]
    path = public(name)
    frame = known_table(name, path.parent)
    rows, classes = FACTS[name]
    assert frame.shape == (rows, len(table.columns))
    assert dict(frame[table.target].value_counts().iter_rows()) == classes
    assert path.stat().st_size == table.size
    assert sum(frame.null_count().row(0)) == 0


def test_zeros_that_mean_missing_stay_zeros(public):
    path = public("pima")
    frame = known_table("pima", path.parent)
    assert [int((frame[column] == 0).sum()) for column in frame.columns[:8]] == [
        111,
        5,
        35,
        227,
        374,
        11,
        0,
        0,
    ]


def edited_cardio(content: bytes, how: str) -> bytes:
    """The two copies of cardio that lie on the web, made from the original."""
    if how == "a stray letter":
        return b"h" + content
    return content.replace(b"ap_hi;ap_lo", b"sbp;dbp").replace(b"\n", b"\r\n")


@pytest.mark.parametrize(
    ("how", "size"), [("a stray letter", 2_941_525), ("another heading and line ends", 3_011_521)]
)
def test_the_copies_of_cardio_become_the_original(public, site, how, size):
    original = public("cardio").read_bytes()
    copy = edited_cardio(original, how)
    assert len(copy) == size
    assert as_published(KNOWN["cardio"], copy) == original
    site.pages["cardio.csv"] = copy
    frame = known_table("cardio", urls=[site.url("cardio.csv")])
    assert frame.height == 70_000
    assert frame.columns[:7] == ["id", "age", "gender", "height", "weight", "ap_hi", "ap_lo"]


def test_a_copy_with_one_blanked_cell_is_not_the_original(public, tmp_path):
    original = public("cardio").read_bytes()
    (tmp_path / "cardio_train.csv").write_bytes(original.replace(b";62.0;", b";;", 1))
    with pytest.raises(DataError, match="21a705d23381b0df"):
        known_table("cardio", tmp_path)
