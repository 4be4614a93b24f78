"""Keras on JAX before any of these tests imports it."""

import pytest

from caviar.population import devices

devices.start()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, and Python in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
