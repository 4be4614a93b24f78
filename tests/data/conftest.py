"""Where the tests of the data folder find tables, and how they write small ones."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from caviar.data.dataset import Dataset
from caviar.data.schema import Column, Schema


@pytest.fixture
def real_table() -> Callable[[str], Path]:
    """Path of one of the real tables; skips where they are not installed."""

    def find(name: str) -> Path:
        folder = os.environ.get("CAVIAR_DATA")
        if folder is None or not Path(folder, name).exists():
            pytest.skip(f"CAVIAR_DATA does not name a folder with {name}")
        return Path(folder, name)

    return find


@pytest.fixture
def write(tmp_path) -> Callable[..., Path]:
    """Write text (or bytes) to a file and return its path."""

    def to_file(content: str | bytes, name: str = "table.csv", encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return to_file


@pytest.fixture(scope="session")
def make_dataset() -> Callable[..., Dataset]:
    """A dataset straight from arrays: classification where the target is whole numbers, else regression."""

    def make(features, target, *, groups=None, time=None, columns=None) -> Dataset:
        features = np.asarray(features, dtype=np.float64)
        target = np.asarray(target)
        is_classes = target.dtype.kind == "i"
        classes = tuple(str(code) for code in range(int(target.max()) + 1)) if is_classes else ()
        names = columns or [
            Column(name=f"x{i}", kind="numeric", has_missing=bool(np.isnan(features[:, i]).any()))
            for i in range(features.shape[1])
        ]
        schema = Schema(
            task=("binary" if len(classes) == 2 else "multiclass") if is_classes else "regression",
            task_reason="planted",
            columns=tuple(names),
            targets=("y",),
            classes=classes,
        )
        values = target if is_classes else target.reshape(len(target), -1).astype(np.float64)
        return Dataset("planted", features, values, schema, groups=groups, time=time)

    return make
