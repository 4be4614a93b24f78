"""Folders of runs that nobody trained."""

from pathlib import Path

import pytest
from fake_run import RECORDS, full_record, save_run


@pytest.fixture(params=RECORDS)
def any_run(request, tmp_path: Path) -> Path:
    """The folder of each kind of run, one after the other."""
    record = RECORDS[request.param]()
    return save_run(tmp_path / "run", record, members=6, epochs=12, diverges=request.param == "diverged")


@pytest.fixture
def full_run(tmp_path: Path) -> Path:
    """The folder of a finished run with 30 members, 100 epochs and twelve arms."""
    return save_run(tmp_path / "runs" / "sonar", full_record())
