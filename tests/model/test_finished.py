"""Facts about the finished model: what it says, how it is kept, and what it refuses to load."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from caviar.data.load import load
from caviar.data.prepare import PreparationPlan, fit_preparation
from caviar.errors import ModelError, RunError
from caviar.model.finished import FinishedModel, can_be_kept, load_finished
from caviar.population import devices

devices.start()
import keras  # noqa: E402 - only once JAX is its backend


def rows(labels: tuple[str, ...] = ("no", "yes"), n: int = 12) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    return pl.DataFrame(
        {"a": rng.normal(size=n), "b": rng.normal(size=n), "y": [labels[i % len(labels)] for i in range(n)]}
    )


def network(width: int, activation: str | None = None, *, n_inputs: int = 2) -> keras.Model:
    return keras.Sequential([keras.Input((n_inputs,)), keras.layers.Dense(width, activation)])


def finished(table: pl.DataFrame, target, models, link, plan: PreparationPlan | None = None) -> FinishedModel:
    data = load(table, target)
    prepared = fit_preparation(
        data.schema, plan or PreparationPlan(), data.features, data.target, rows=np.arange(data.n_rows)
    )
    return FinishedModel(models, prepared, link, data.schema)


@pytest.fixture
def classifier() -> FinishedModel:
    return finished(rows(), "y", [network(1, "sigmoid")], "probability")


@pytest.fixture
def quantities() -> FinishedModel:
    table = rows().with_columns(y=pl.col("a") * 1e6, z=pl.col("b"))
    return finished(table, ["y", "z"], [network(2)], "identity", PreparationPlan(scale_target=True))


def test_a_sigmoid_and_a_two_class_softmax_are_both_read_as_two_probabilities(classifier):
    softmax = finished(rows(), "y", [network(2)], "softmax")
    for model in (classifier, softmax):
        said = model.predict(rows())
        assert said.columns == ["prediction", "probability_no", "probability_yes"]
        np.testing.assert_allclose(said.drop("prediction").to_numpy().sum(axis=1), 1)


@pytest.mark.parametrize(
    "labels", [("'-1'", "'1'"), ("0", "1"), ("1.0", "2.0"), ('ja, "so"', "nein\n"), ("rot", "grün", "日本")]
)
def test_labels_are_spelled_as_in_the_table(labels):
    model = finished(rows(labels), "y", [network(len(labels))], "softmax")
    said = model.predict(rows(labels))
    assert set(said["prediction"]) <= {label.strip() for label in labels}
    assert said.width == 1 + len(labels)
    assert pl.read_csv(said.write_csv().encode(), infer_schema=False).height == said.height


def test_an_ensemble_says_the_mean_of_what_its_networks_say():
    networks = [network(1, "sigmoid") for _ in range(3)]
    features = load(rows(), "y").features
    each = [finished(rows(), "y", [one], "probability").predict_features(features) for one in networks]
    together = finished(rows(), "y", networks, "probability").predict_features(features)
    np.testing.assert_allclose(together, np.mean(each, axis=0), rtol=1e-6)


def test_a_tuned_threshold_is_kept_and_decides(tmp_path, classifier):
    """Whatever the network's own probabilities are: half of the rows lie above their median."""
    plain = classifier.predict_features(load(rows(), "y").features)
    model = replace(classifier, threshold=float(np.median(plain[:, 1])))
    model.save(tmp_path)
    for one in (model, load_finished(tmp_path)):
        said = one.predict(rows())
        assert (said["prediction"] == "yes").sum() == 6
        assert ((said["probability_yes"] > 0.5) == (said["prediction"] == "yes")).all()
        np.testing.assert_array_equal(said["probability_yes"].rank(), pl.Series(plain[:, 1]).rank())
    facts = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(facts | {"threshold": 1.5}))
    with pytest.raises(RunError, match="does not"):
        load_finished(tmp_path)


@pytest.mark.parametrize("scaling", ["standard", "quantile", "power"])
def test_a_learned_logarithm_and_other_scalings_are_kept(tmp_path, scaling):
    table = rows(n=40).with_columns(y=pl.col("a").exp())
    plan = PreparationPlan(scaling=scaling, log_target="log", scale_target=True)
    model = finished(table, "y", [network(1)], "identity", plan)
    model.save(tmp_path)
    said = load_finished(tmp_path).predict(table)
    assert (said["prediction"] > 0).all()
    np.testing.assert_array_equal(said["prediction"], model.predict(table)["prediction"])


def test_predicted_quantities_are_in_the_targets_units(quantities):
    table = rows()
    said = quantities.predict(table)
    raw = np.asarray(quantities.models[0](table.select("a", "b").to_numpy().astype(np.float32)))
    scale = np.array([table["a"].std(ddof=0) * 1e6, table["b"].std(ddof=0)])
    mean = np.array([table["a"].mean() * 1e6, table["b"].mean()])
    assert said.columns == ["prediction_y", "prediction_z"]
    np.testing.assert_allclose(said.to_numpy(), raw * scale + mean, rtol=1e-4)


def test_a_row_for_which_the_network_fails_gets_no_label_and_no_probability(classifier):
    said = classifier.as_frame(np.array([[0.2, 0.8], [np.nan, np.nan]]))
    assert said.rows() == [("yes", 0.2, 0.8), (None, None, None)]


def test_a_quantity_that_is_not_finite_is_left_empty(quantities):
    said = quantities.as_frame(np.array([[1.0, np.inf], [np.nan, 2.0]]))
    assert said.rows() == [(1.0, None), (None, 2.0)]


@pytest.mark.parametrize("members", [1, 3])
def test_what_was_saved_predicts_the_same_when_loaded(tmp_path, members):
    model = finished(rows(), "y", [network(1, "sigmoid") for _ in range(members)], "probability")
    files = model.save(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == files
    assert sum(name.endswith(".keras") for name in files) == members
    assert load_finished(tmp_path / "model").predict(rows()).equals(model.predict(rows()))


def test_a_saved_network_is_an_ordinary_keras_file(classifier, tmp_path):
    classifier.save(tmp_path)
    alone = keras.models.load_model(tmp_path / "network.keras", compile=False)
    x = rows().select("a", "b").to_numpy().astype(np.float32)
    np.testing.assert_array_equal(np.asarray(alone(x)), np.asarray(classifier.models[0](x)))
    assert {"config.json", "metadata.json", "model.weights.h5"} <= set(
        zipfile.ZipFile(tmp_path / "network.keras").namelist()
    )


def test_a_folder_without_a_model_says_so(tmp_path):
    with pytest.raises(RunError, match="found none"):
        load_finished(tmp_path)


def _changed(model: FinishedModel, folder: Path, **changes: object) -> Path:
    model.save(folder)
    facts = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(facts | changes))
    return folder


@pytest.mark.parametrize(
    "changes",
    [
        {"members": ["../out.keras"]},
        {"members": ["/etc/passwd"]},
        {"members": []},
        {"link": "magic"},
        {"format": 2},
    ],
)
def test_a_description_that_was_changed_is_refused(classifier, tmp_path, changes):
    network(1).save(tmp_path / "out.keras")
    with pytest.raises(RunError):
        load_finished(_changed(classifier, tmp_path / "model", **changes))


def test_code_inside_a_network_is_not_run(classifier, tmp_path):
    classifier.save(tmp_path)
    trap = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x * 2)])
    trap.save(tmp_path / "network.keras")
    with pytest.raises(RunError, match="without running code"):
        load_finished(tmp_path)


def test_a_network_that_can_be_loaded_is_kept_without_a_word():
    assert can_be_kept(network(1)) == ""


def test_a_network_that_keras_would_not_load_is_told_before_training():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x * 2)])
    assert "will not load it without running code" in can_be_kept(model)


class Unsavable(keras.layers.Layer):
    def __init__(self, change) -> None:
        super().__init__()
        self.change = change

    def call(self, x):
        return self.change(x)


def test_a_network_that_keras_cannot_save_is_refused_before_training():
    with pytest.raises(ModelError, match="get_config"):
        can_be_kept(keras.Sequential([keras.Input((2,)), Unsavable(lambda x: x * 2)]))


def test_it_says_in_a_line_what_it_is(classifier):
    assert repr(classifier) == "<caviar.FinishedModel: one network; 2 columns → binary>"
    several = replace(classifier, models=[*classifier.models, network(1, "sigmoid")])
    assert repr(several) == "<caviar.FinishedModel: 2 networks; 2 columns → binary>"
