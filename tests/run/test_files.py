"""Facts about writing files: whole or not at all, and never in the place of something else."""

import os
import stat
from pathlib import Path

import pytest

from caviar.errors import RunError
from caviar.run.files import write_text, write_with


def test_a_file_is_written_into_folders_that_do_not_exist_yet(tmp_path):
    write_text(tmp_path / "new" / "deep" / "a.txt", "grüße\n")
    assert (tmp_path / "new" / "deep" / "a.txt").read_text(encoding="utf-8") == "grüße\n"


def test_when_writing_fails_the_old_file_stays_and_nothing_else(tmp_path):
    write_text(tmp_path / "a.txt", "old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_with(tmp_path / "a.txt", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_while_a_file_is_written_readers_see_the_old_one(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    write_with(path, lambda temporary: (temporary.write_text("new"), path.read_text() == "old" or 1 / 0))
    assert path.read_text() == "new"


def test_a_file_gets_the_rights_that_the_person_gives_new_files(tmp_path):
    """A private umask keeps predictions private."""
    before = os.umask(0o077)
    try:
        write_text(tmp_path / "a.txt", "secret")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o600


def test_a_link_stays_a_link_and_its_target_is_written(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_text(tmp_path / "pipe", "said")
    assert os.read(reader, 100) == b"said"
    os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.parametrize("place", ["file/below.txt", "folder", "/proc/nothing/a.txt"])
def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path, place):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunError, match="the system says"):
        write_text(tmp_path / place, "text")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]
