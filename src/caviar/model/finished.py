"""The finished model: saved without pickle, loaded in safe mode, predicting rows with their owner's labels."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from caviar.data.load import load_rows
from caviar.data.prepare import Prepared
from caviar.data.schema import Schema
from caviar.errors import ModelError, RunError
from caviar.evaluate.threshold import moved
from caviar.model.beside import read_beside, write_beside
from caviar.recipe.heads import Link, predictions
from caviar.run.files import write_text, write_with

if TYPE_CHECKING:
    import keras

    from caviar.evaluate.simple import Fitted
    from caviar.measuring.whole import Whole

_FACTS = "model.json"
_ROWS = 4096


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    link: Link
    members: list[str] = Field(min_length=1)
    data: Schema
    threshold: float | None = Field(default=None, gt=0, lt=1)
    beside: bool = False


@dataclass(frozen=True, eq=False)
class FinishedModel:
    """One network or an ensemble, with its preparation.

    Attributes:
        models: Ordinary Keras models; their predictions are averaged.
        prepared: From table cells to network inputs, and back for the target.
        link: What the networks' raw outputs are.
        schema: What the table's columns are.
        threshold: Probability of the networks from which on the second of two classes is predicted, where it was
            tuned. Probabilities are then moved (their odds times a constant) such that it becomes one half.
        beside: What is no network and predicts along: each counts as much as all networks together.
    """

    models: Sequence["keras.Model"]
    prepared: Prepared
    link: Link
    schema: Schema
    threshold: float | None = None
    beside: tuple["Fitted", ...] = ()

    def __repr__(self) -> str:
        many = f"{len(self.models)} networks" if len(self.models) > 1 else "one network"
        beside = f", {len(self.beside)} other predictors" if self.beside else ""
        return (
            f"<caviar.FinishedModel: {many}{beside}; {len(self.schema.columns)} columns → {self.schema.task}>"
        )

    def predict_features(self, features: np.ndarray) -> np.ndarray:
        """Class probabilities (row, class) or values (row, output) for features (row, column).

        Where rows are no lists of columns, as images, features have their shape.
        """
        inputs = self.prepared.inputs(features.reshape(len(features), -1))
        x = self.schema.shaped(inputs)
        batch = min(_ROWS, max(1, len(x)))
        said = [
            predictions(np.asarray(model.predict(x, batch_size=batch, verbose=0)), self.link)
            for model in self.models
        ]
        networks = np.mean([self.prepared.restore(values) for values in said], axis=0)
        values = np.mean([networks, *(other.predict(inputs) for other in self.beside)], axis=0)
        return values if self.threshold is None else moved(values, self.threshold)

    def predict(self, rows: object) -> pl.DataFrame:
        """Predictions for new rows of the same table.

        Args:
            rows: A CSV or Parquet file, data frame or array; the target may be there or not.

        Returns:
            For classes the column `prediction` (labels as in the training data) and one column
            `probability_<label>` per class; for values one column per target, `prediction` if there is one.

        Raises:
            DataError: A column is missing or cannot be read as in training.
        """
        return self.as_frame(self.predict_features(load_rows(rows, self.schema)))

    def as_frame(self, values: np.ndarray) -> pl.DataFrame:
        """Probabilities or values as a table with labels; what is not finite is left empty."""
        values = np.where(np.isfinite(values), values, np.nan)
        if not self.schema.is_classification:
            names = (
                [f"prediction_{t}" for t in self.schema.targets] if values.shape[1] > 1 else ["prediction"]
            )
            return pl.DataFrame({name: values[:, i] for i, name in enumerate(names)}).fill_nan(None)
        known = np.isfinite(values).all(axis=1)
        labels = [
            self.schema.classes[code] if knows else None
            for code, knows in zip(values.argmax(axis=1), known, strict=True)
        ]
        said = pl.DataFrame({"prediction": pl.Series(labels, dtype=pl.String)})
        chances = {f"probability_{label}": values[:, i] for i, label in enumerate(self.schema.classes)}
        return said.hstack(pl.DataFrame(chances).fill_nan(None))

    def save(self, folder: Path) -> list[str]:
        """Write the networks as `.keras`, the preparation and what is needed to read rows; returns the files."""
        names = []
        for i, model in enumerate(self.models):
            name = f"network-{i}.keras" if len(self.models) > 1 else "network.keras"
            write_with(folder / name, model.save)
            names.append(name)
        self.prepared.save(folder)
        if self.beside:
            write_beside(folder, self.beside)
        facts = _Facts(
            link=self.link,
            members=names,
            data=self.schema,
            threshold=self.threshold,
            beside=bool(self.beside),
        )
        write_text(folder / _FACTS, facts.model_dump_json(indent=1))
        return sorted(p.name for p in folder.iterdir())


def finished_model(whole: "Whole", schema: Schema, threshold: float | None = None) -> FinishedModel:
    """What was trained on all rows, as a person takes it away.

    Args:
        whole: What `fit_all` gave.
        schema: What the table's columns are.
        threshold: As in `FinishedModel`.
    """
    return FinishedModel(whole.models, whole.prepared, whole.fitting.link, schema, threshold, whole.beside)


def can_be_kept(model: "keras.Model") -> str:
    """Find out before training whether a network can be saved, and loaded without running code.

    Returns:
        What stands in the way of loading it, or an empty text.

    Raises:
        ModelError: Keras cannot save it at all.
    """
    import keras

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"
        try:
            model.save(path)
        except Exception as error:
            raise ModelError(
                f"Expected a model that Keras can save, but saving raised {type(error).__name__}: "
                f"{_first_sentence(error)} Give your classes a get_config() method."
            ) from error
        try:
            keras.models.load_model(path, compile=False, safe_mode=True)
        except Exception as error:  # noqa: BLE001 - whatever Keras finds
            return (
                f"The network can be saved, but Keras will not load it without running code: "
                f"{_first_sentence(error)} Replace Lambda layers by layers of your own, register your classes and "
                f"functions with @keras.saving.register_keras_serializable(), and give `caviar predict` their file "
                f"as --model."
            )
    return ""


def load_finished(folder: Path) -> FinishedModel:
    """Load a finished model; nothing in the folder is run as code.

    Raises:
        RunError: The folder holds no model, or one that needs code which safe mode refuses to run.
    """
    facts, prepared = _facts_of(folder), Prepared.load(folder)
    beside = read_beside(folder, facts.data, len(prepared.names)) if facts.beside else ()
    return FinishedModel(load_networks(folder), prepared, facts.link, facts.data, facts.threshold, beside)


def load_networks(folder: Path) -> "list[keras.Model]":
    """The networks of a finished model alone; nothing in the folder is run as code.

    Raises:
        RunError: As `load_finished`.
    """
    return [_load_network(folder, name) for name in _facts_of(folder).members]


def load_schema(folder: Path) -> Schema:
    """How the table of a finished model was read; its networks are not loaded.

    Raises:
        RunError: The folder holds no model.
    """
    return _facts_of(folder).data


def _facts_of(folder: Path) -> _Facts:
    path = folder / _FACTS
    try:
        return _Facts.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(
            f"Expected a finished model in {folder}, found none. The run may have been stopped before its end."
        ) from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise RunError(
            f"Expected {path} to describe a finished model, but it does not. "
            f"It was changed or made by another version."
        ) from error


def _load_network(folder: Path, name: str) -> "keras.Model":
    import keras

    import caviar.recipe.layers  # noqa: F401 - registers them, for remedies may have put them in

    path = folder / name
    if Path(name).name != name:
        raise RunError(
            f"Expected the networks inside {folder}, but {folder / _FACTS} points outside, to {name!r}. "
            f"Do not use it."
        )
    if not path.is_file():
        raise RunError(f"Expected a network at {path}, found none. Copy the whole run's folder.")
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many kinds; each means that this file cannot be used
        raise RunError(
            f"Expected {path} to load without running code, but Keras says: {_first_sentence(error)} "
            f"If it has layers of your own, register them with @keras.saving.register_keras_serializable() "
            f"and pass the file that defines them as --model."
        ) from error


def _first_sentence(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".") + "."
