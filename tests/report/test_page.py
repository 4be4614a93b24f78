import base64
import hashlib
import html.parser
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from caviar.errors import RunError
from caviar.report.page import write_report
from tests.report.fake_run import HOSTILE, RECORDS, full_record, named_record, save_run

VOID = {"meta", "br", "img", "input", "link", "hr"}


class Reading(html.parser.HTMLParser):
    """Reads a page strictly: every element is closed in order; keeps ids, links and visible text."""

    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.words: list[str] = []
        self.data: dict[str, str] = {}

    def handle_starttag(self, tag, attrs):
        """Note an element that opens."""
        if tag not in VOID:
            self.open.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        """Only the innermost open element may close."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Tell text that a reader sees from scripts and styles."""
        if self.open and self.open[-1] == "script":
            self.data[str(len(self.data))] = data
        elif "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        """All a reader sees, on one line."""
        return " ".join(" ".join(self.words).split())


def read(path: Path) -> Reading:
    reading = Reading()
    reading.feed(path.read_text(encoding="utf-8"))
    reading.close()
    assert reading.open == []
    return reading


def test_every_kind_of_run_gives_a_page_with_all_sections(any_run):
    reading = read(write_report(any_run))
    sections = [
        "verdict",
        "data",
        "score",
        "curves",
        "diagnosis",
        "spread",
        "remedies",
        "final",
        "use",
        "method",
    ]
    assert [name for name in reading.ids if name in sections] == sections
    assert len(set(reading.ids)) == len(reading.ids)
    assert not re.search(r"\b(nan|None|inf)\b", reading.text)


def test_every_link_leads_to_a_place_on_the_page(small_run):
    reading = read(write_report(small_run))
    links = [value for _, name, value in reading.attributes if name in ("href", "src")]
    assert links
    assert all(link.removeprefix("#") in reading.ids for link in links)


def test_the_tables_alone_carry_the_numbers(small_run):
    """A reader without JavaScript sees scores, verdicts, intervals, curves and evidence."""
    text = read(write_report(small_run)).text
    for fact in (
        "0.512 0.462 to 0.562",
        "▲ helps +0.104 0.083 to 0.125 0.003",
        "about 9",
        "unadjusted",
        "median (10 % to 90 %)",
        "gap at the end 0.341",
        "Not applicable",
        "The classes are balanced. Class weights",
        "0.417 (0.367 to 0.467)",
        "model/network-0.keras",
    ):
        assert fact in text, fact


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("interrupted", ["The diagnosis", "The trial of remedies", "The final model"]),
        ("looked", ["The measurement of the model", "A learning curve", "The plan"]),
        ("empty", ["The look at the data"]),
    ],
)
def test_an_interrupted_run_says_what_is_missing_and_why(tmp_path, kind, missing):
    text = read(write_report(save_run(tmp_path / "run", RECORDS[kind](), curves=3, members=4, epochs=3))).text
    for part in missing:
        assert f"{part} is missing. The run was interrupted in the stage" in text


def test_a_finished_run_with_only_a_baseline_misses_no_remedies(tmp_path):
    text = read(
        write_report(save_run(tmp_path / "run", RECORDS["lone"](), curves=3, members=4, epochs=3))
    ).text
    assert "No remedy was compared." in text
    assert "is missing" not in text


def test_thirty_members_a_hundred_epochs_and_twelve_arms_stay_below_one_megabyte(tmp_path):
    run = save_run(tmp_path / "run", full_record(), members=30, epochs=100)
    assert write_report(run).stat().st_size < 1_000_000


def test_only_the_two_scripts_of_the_page_may_run(small_run):
    """The policy names the hash of the page's own script; everything else from the record stays data."""
    page = write_report(small_run).read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1].replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    assert "http" not in policy
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy


def test_the_embedded_drawings_are_json(small_run):
    page = write_report(small_run).read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="figure-data">(.*?)</script>', page, re.DOTALL)[1])
    assert set(data["figures"]) == {"scores", "comparisons", "spread"}
    assert set(data["curves"]) == {"baseline", "scaling", "dropout"}


def test_names_of_strangers_never_become_elements(tmp_path):
    path = write_report(save_run(tmp_path / "run", named_record(HOSTILE), curves=3, members=4, epochs=3))
    reading = read(path)
    assert not [tag for tag, _, _ in reading.attributes if tag == "img"]
    assert not [name for _, name, _ in reading.attributes if name.startswith("on")]
    assert HOSTILE in reading.text
    assert path.read_text(encoding="utf-8").count("</script>") == 3


def test_the_same_record_gives_the_same_page(small_run):
    first = write_report(small_run).read_bytes()
    assert write_report(small_run).read_bytes() == first


def test_a_missing_history_is_said_and_the_page_is_drawn(small_run):
    (small_run / "histories" / "scaling.nc").unlink()
    (small_run / "histories" / "dropout.nc").write_bytes(b"no netCDF at all")
    text = read(write_report(small_run)).text
    assert "Scale the inputs: Its history histories/scaling.nc cannot be read" in text
    assert "Dropout 0.3: Its history histories/dropout.nc cannot be read" in text


def test_a_history_outside_the_run_is_not_read(tmp_path):
    record = full_record()
    record.baseline.history = "../elsewhere.nc"
    run = save_run(tmp_path / "run", record, curves=3, members=4, epochs=3)
    assert (tmp_path / "elsewhere.nc").exists()
    assert "lies outside the run's folder and was not read" in read(write_report(run)).text


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": "x"}', b"\xff\xfe\x00", b'{"colour": 1}'])
def test_a_file_that_is_no_record_is_one_sentence(tmp_path, content):
    (tmp_path / "record.json").write_bytes(content)
    with pytest.raises(RunError, match=r"Expected .*record\.json to be a record in format 1"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_a_folder_without_a_record_is_one_sentence(tmp_path):
    with pytest.raises(RunError, match=r"Expected a run's folder with a record\.json"):
        write_report(tmp_path / "nowhere")


def test_a_page_that_cannot_be_written_leaves_nothing_half_written(small_run):
    (small_run / "report.html").mkdir()
    with pytest.raises(RunError, match="Expected to be able to write"):
        write_report(small_run)
    assert sorted(path.name for path in small_run.iterdir()) == ["histories", "record.json", "report.html"]


def test_an_unwritable_folder_is_one_sentence(small_run):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    small_run.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with pytest.raises(RunError, match="Make the folder writable"):
            write_report(small_run)
    finally:
        small_run.chmod(0o755)


def test_drawing_a_report_needs_neither_keras_nor_jax():
    imports = "import sys, caviar.report.page, caviar.report.terminal"
    code = f"{imports}; sys.exit(bool({{'keras', 'jax'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
