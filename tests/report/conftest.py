"""Folders of runs that nobody trained."""

from pathlib import Path

import pytest

from tests.report.fake_run import RECORDS, full_record, save_run


@pytest.fixture(params=RECORDS)
def any_run(request, tmp_path: Path) -> Path:
    """The folder of each kind of run, one after the other."""
    record = RECORDS[request.param]()
    diverges = request.param == "diverged"
    return save_run(tmp_path / "run", record, curves=2, members=6, epochs=12, diverges=diverges)


@pytest.fixture
def small_run(tmp_path: Path) -> Path:
    """The folder of a finished run with curves of three of its twelve arms."""
    return save_run(tmp_path / "runs" / "sonar", full_record(), curves=3, members=6, epochs=12)
