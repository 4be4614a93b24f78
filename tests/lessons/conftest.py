"""Keras is told its backend before a lesson imports it; and the catalogue of what the course stands on."""

import json
import os
from pathlib import Path

import pytest

from caviar.population import devices

devices.start()


@pytest.fixture(scope="session")
def catalogue() -> list[dict]:
    """Records of the experiments and procedures that lessons carry out."""
    place = Path(os.environ.get("CAVIAR_DATA", "nowhere")).parent / "seed_experiments.json"
    if not place.is_file():
        pytest.skip("the catalogue of experiments is not beside the tables that CAVIAR_DATA names")
    return json.loads(place.read_text(encoding="utf-8"))["records"]
