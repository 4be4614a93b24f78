"""Predictions of a run's finished model for new rows."""

from pathlib import Path

import polars as pl

from caviar.model.finished import load_finished
from caviar.population import devices
from caviar.recipe.builder import load_builder
from caviar.results import open_run
from caviar.run.folder import MODEL, RECORD


def predict(run: str | Path, rows: object, *, model: str | None = None) -> pl.DataFrame:
    """Predict new rows with the model that a run handed over.

    Args:
        run: The run's folder.
        rows: A CSV or Parquet file, data frame or array, read as the training table was; the target may be
            there or not.
        model: `"file.py:function"` that registers layers of your own, if the network has any.

    Returns:
        One row per row: `prediction`, and for classes `probability_<label>` for each label.

    Raises:
        CaviarError: The run holds no model, or the rows cannot be read as in training.

    Example:
        >>> caviar.predict("runs/sonar-20260101-120000", "new_rows.csv")  # doctest: +SKIP
    """
    path = Path(run)
    has_record = (path / RECORD).exists() or not (path / MODEL).is_dir()
    opened = open_run(run) if has_record else None  # what a person nursed has a log instead
    devices.start()
    if model is not None:
        load_builder(model)
    return load_finished(path / MODEL).predict(rows) if opened is None else opened.predict(rows)
