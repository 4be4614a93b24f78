"""Facts about a run's folder: made once, never over another, read back as it was written."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from caviar.errors import RunError
from caviar.estimate import Estimate
from caviar.run.folder import RunFolder, make_run_folder
from caviar.run.record import ArmRecord, Record


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_run_is_named_after_its_table_and_the_time():
    folder = make_run_folder("sonar")
    assert re.fullmatch(r"runs/sonar-\d{8}-\d{6}", str(folder.path))
    assert folder.path.is_dir()
    assert not list(folder.path.iterdir())


def test_runs_of_the_same_second_get_folders_of_their_own(monkeypatch):
    monkeypatch.setattr("caviar.run.folder.time.strftime", lambda _: "20260101-000000")
    paths = [make_run_folder("sonar").path.name for _ in range(3)]
    assert paths == ["sonar-20260101-000000", "sonar-20260101-000000-2", "sonar-20260101-000000-3"]


@given(st.text(max_size=300))
def test_whatever_a_table_is_called_its_run_lies_directly_in_runs(name):
    path = make_run_folder(name).path
    assert path.parent == Path("runs")
    assert path.is_dir()
    assert ".." not in path.parts


def test_an_empty_folder_may_be_given():
    Path("mine").mkdir()
    assert make_run_folder("t", "mine").path == Path("mine")


def test_a_folder_that_holds_something_is_refused_and_left_alone():
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("keep me")
    with pytest.raises(RunError, match="already holds something"):
        make_run_folder("t", "mine")
    assert [path.name for path in Path("mine").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("place", ["file", "file/run", "/proc/run"])
def test_a_place_that_cannot_be_a_folder_is_refused(place):
    Path("file").write_text("in the way")
    with pytest.raises(RunError, match=r"Name a folder|Name another one"):
        make_run_folder("t", place)


numbers = st.floats(allow_nan=False)


@given(value=numbers, low=numbers, high=numbers, sentence=st.text(st.characters(exclude_categories=["Cs"])))
def test_a_record_is_read_back_as_it_was_written(tmp_path_factory, value, low, high, sentence):
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    score = Estimate(value=value, low=low, high=high, method=sentence, n=3)
    arm = ArmRecord(name="baseline", title=sentence, what=sentence, scores={"mae": score})
    record = Record(baseline=arm, messages=[sentence])
    folder.save_record(record)
    assert folder.load_record() == record


def test_a_record_holds_numbers_that_are_not_finite():
    folder = RunFolder(Path("run"))
    folder.save_record(
        Record(baseline=ArmRecord(name="b", title="", what="", fold_scores=[[float("nan"), 1.0]]))
    )
    read = folder.load_record().baseline
    assert read is not None
    np.testing.assert_array_equal(read.fold_scores, [[np.nan, 1.0]])


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"status": "fini', b'{"unknown": 1}', bytes(range(256)), b'{"format": 99}']
)
def test_what_is_no_record_of_this_version_is_refused(content):
    Path("run").mkdir()
    Path("run/record.json").write_bytes(content)
    with pytest.raises(RunError, match=r"record\.json"):
        RunFolder(Path("run")).load_record()


def test_a_history_is_read_back_as_it_was_written_under_a_name_that_stays_inside():
    folder = RunFolder(Path("run"))
    history = xr.Dataset(
        {"loss": (("member", "epoch"), [[1.0, np.nan]])}, attrs={"engine": "vmap", "why": ""}
    )
    place = folder.save_history("../../L2 0.01+scaling", history)
    assert Path(place).parent == Path("histories")
    read = xr.load_dataset(folder.path / place, engine="h5netcdf")
    xr.testing.assert_equal(read, history)
    assert read.attrs["engine"] == "vmap"


def test_a_record_is_text_that_a_person_can_read():
    folder = RunFolder(Path("run"))
    folder.save_record(Record(status="finished"))
    assert json.loads((folder.path / "record.json").read_text())["status"] == "finished"
    assert len((folder.path / "record.json").read_text().splitlines()) > 10
