"""What predicts beside the networks is kept without pickle, and looked through before it is used."""

from dataclasses import replace

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from caviar.data.load import load
from caviar.data.prepare import PreparationPlan, fit_preparation
from caviar.errors import RunError
from caviar.evaluate.simple import boosting, linear
from caviar.model.finished import FinishedModel, load_finished
from caviar.population import devices

devices.start()
import keras  # noqa: E402 - only once JAX is its backend


@pytest.fixture(params=["sample:iris", "sample:breast-cancer", "sample:diabetes"])
def blend(request) -> tuple[FinishedModel, np.ndarray]:
    """A network with a linear model and trees beside it, and rows."""
    data = load(request.param)
    rows = np.arange(data.n_rows)
    prepared = fit_preparation(
        data.schema, PreparationPlan(scaling="standard"), data.features, data.target, rows=rows
    )
    x = prepared.inputs(data.features)
    n_classes = len(data.schema.classes) if data.is_classification else 0
    width = {0: 1, 2: 1}.get(n_classes, n_classes)
    model = keras.Sequential([keras.Input((x.shape[1],)), keras.layers.Dense(width)])
    link = {0: "identity", 2: "sigmoid"}.get(n_classes, "softmax")
    others = tuple(fit(x, data.target, None, n_classes) for fit in (linear, boosting))
    return FinishedModel([model], prepared, link, data.schema, beside=others), data.features


def test_what_was_saved_predicts_the_same_when_loaded(blend, tmp_path):
    model, features = blend
    files = model.save(tmp_path)
    assert "beside.skops" in files
    np.testing.assert_array_equal(
        load_finished(tmp_path).predict_features(features), model.predict_features(features)
    )
    without = replace(model, beside=()).predict_features(features)
    assert not np.allclose(without, model.predict_features(features))


@pytest.mark.parametrize("stranger", [np.nan, np.inf])
def test_a_row_that_is_not_finite_is_left_open_and_others_are_as_before(blend, stranger):
    model, features = blend
    x = model.prepared.inputs(features)
    for other in model.beside:
        odd = x.copy()
        odd[3, 1] = stranger
        said = other.predict(odd)
        assert np.isnan(said[3]).all()
        np.testing.assert_array_equal(np.delete(said, 3, axis=0), np.delete(other.predict(x), 3, axis=0))


def test_a_model_without_others_writes_no_file_of_them(blend, tmp_path):
    model, _ = blend
    assert "beside.skops" not in replace(model, beside=()).save(tmp_path)


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_file_that_is_damaged_or_missing_is_one_sentence(blend, tmp_path, damage):
    model, _ = blend
    model.save(tmp_path)
    (tmp_path / "beside.skops").unlink()
    if damage is not None:
        (tmp_path / "beside.skops").write_bytes(damage)
    with pytest.raises(RunError, match="missing or damaged"):
        load_finished(tmp_path)


class Stranger:
    """A type that nobody said may be trusted."""


def test_a_type_of_somebody_else_is_not_opened(blend, tmp_path):
    model, _ = blend
    model.save(tmp_path)
    skops.io.dump({"estimators": [[Stranger()]]}, tmp_path / "beside.skops")
    with pytest.raises(RunError, match=r"names .*Stranger.* was not opened"):
        load_finished(tmp_path)


@pytest.mark.parametrize(
    ("field", "place", "value"),
    [("left", 0, 0), ("right", 0, 10**6), ("feature_idx", 0, 10**6), ("is_categorical", 0, 1)],
)
def test_a_tree_that_points_outside_is_refused(blend, tmp_path, field, place, value):
    model, _ = blend
    trees = model.beside[1].estimators[0]._predictors[0][0]
    trees.nodes[field][place] = value
    model.save(tmp_path)
    with pytest.raises(RunError, match="holds something else"):
        load_finished(tmp_path)


def test_parts_that_do_not_fit_each_other_are_refused(blend, tmp_path):
    model, _ = blend
    model.beside[0].estimators[0].coef_ = np.zeros((1, 1))
    model.save(tmp_path)
    with pytest.raises(RunError, match="holds something else"):
        load_finished(tmp_path)


@pytest.mark.parametrize("kind", [LogisticRegression, KNeighborsClassifier])
def test_a_model_of_other_inputs_or_another_kind_is_refused(blend, tmp_path, kind):
    model, features = blend
    model.save(tmp_path)
    width = 1 if kind is LogisticRegression else features.shape[1]
    stranger = kind().fit(np.zeros((6, width)), [0, 1] * 3)
    skops.io.dump({"estimators": [[stranger]]}, tmp_path / "beside.skops")
    with pytest.raises(RunError, match="holds something else"):
        load_finished(tmp_path)
