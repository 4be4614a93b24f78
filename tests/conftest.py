"""What all tests share: where compiled programs are kept, and where the real tables lie."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Programs compiled by one test process serve the others; the person's own cache is left alone.
os.environ["XDG_CACHE_HOME"] = str(Path(tempfile.gettempdir()) / f"caviar-tests-{os.getuid()}")

# Machines that run tests are shared: how long an example takes, or to draw one, says nothing about the code.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")


@pytest.fixture
def tables() -> Path:
    """Folder of the real tables; skips where there is none."""
    folder = os.environ.get("CAVIAR_DATA")
    if folder is None or not Path(folder).is_dir():
        pytest.skip("CAVIAR_DATA does not name the folder of the real tables")
    return Path(folder)
