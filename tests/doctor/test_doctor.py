"""The doctor: arrays are taken as they are, causes are named and repaired, and what is sound is left alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import make_classification

from caviar.errors import CaviarError, OptionError
from caviar.population import devices

devices.start()
import keras  # noqa: E402 - only once JAX is its backend

import caviar  # noqa: E402
from caviar.measuring.given import deciding_metric, make_recipe, read_arrays, read_target  # noqa: E402
from caviar.model.finished import load_finished  # noqa: E402
from caviar.remedies.table import REMEDIES  # noqa: E402

ROWS = 160
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 3))
SIGNAL = X[:, 0] - X[:, 1] > 0
CODES = SIGNAL.astype(int)


def network(*, last=1, activation=None, loss="mse", rate=0.01, width=16):
    def build():
        layers = [keras.Input((3,)), keras.layers.Dense(width, "relu"), keras.layers.Dense(last, activation)]
        model = keras.Sequential(layers)
        model.compile(keras.optimizers.Adam(rate), loss)
        return model

    return build


def diagnosed(build, x=X, y=CODES, **more):
    return caviar.diagnose(build, x, y, **{"epochs": 12, "verbose": 0} | more)


@pytest.mark.parametrize(
    ("y", "task", "kind"),
    [
        (CODES, "binary", "codes"),
        (CODES[:, None], "binary", "codes"),
        (np.eye(2)[CODES], "binary", "one-hot"),
        (np.eye(3)[np.arange(ROWS) % 3], "multiclass", "one-hot"),
        (np.arange(ROWS) % 3, "multiclass", "codes"),
        (X[:, 0], "regression", "values"),
        (np.arange(ROWS), "regression", "values"),
        (X[:, :2], "multi-output regression", "values"),
    ],
)
def test_a_target_is_read_by_its_numbers(y, task, kind):
    target = read_target(y)
    assert (target.task, target.kind) == (task, kind)
    assert len(target.classes) == (0 if "regression" in task else len(np.unique(target.values)))


def test_a_person_may_say_what_the_numbers_are():
    assert read_target(CODES, "regression").task == "regression"
    assert read_target(np.arange(ROWS) // 2, "classification").task == "multiclass"


@given(st.lists(st.integers(0, 4), min_size=10, max_size=60).filter(lambda y: len(set(y)) > 1))
@settings(max_examples=50, deadline=None)
def test_codes_and_columns_of_classes_are_the_same_target(labels):
    codes = np.unique(labels, return_inverse=True)[1]
    columns = read_target(np.eye(codes.max() + 1)[codes])
    numbers = read_target(codes, "classification")
    np.testing.assert_array_equal(columns.values, numbers.values)
    assert columns.task == numbers.task


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (np.zeros(20), np.zeros(20), "as (row, column)"),
        (X, CODES[:-1], "for each of the 160 rows"),
        (X, np.where(SIGNAL, np.nan, 1.0), "finite targets"),
        (X[:5], X[:5, 0], "10 rows or more"),
        (X, np.r_[2, CODES[1:]], "two rows or more of every class"),
        (np.array([["a"] * 3] * ROWS), CODES, "array of numbers"),
    ],
)
def test_arrays_that_are_no_table_are_refused_in_a_sentence(x, y, said):
    with pytest.raises(OptionError, match=r"^Expected") as error:
        read_arrays(x, y, None)
    assert said in str(error.value)


def test_the_score_is_the_one_that_the_loss_measures():
    dataset, _ = read_arrays(X, X[:, :1], None)
    assert deciding_metric(network()(), dataset, None).name == "rmse"
    assert deciding_metric(network(loss="mae")(), dataset, None).name == "mae"
    assert deciding_metric(network()(), dataset, "r2").name == "r2"
    classes, _ = read_arrays(X, CODES, None)
    assert deciding_metric(network(loss="binary_crossentropy")(), classes, None).name == "log-loss"


@pytest.mark.parametrize(
    ("build", "y", "as_given"),
    [
        (network(activation="sigmoid", loss="binary_crossentropy"), CODES, False),
        (network(last=2, activation="softmax", loss="sparse_categorical_crossentropy"), CODES, False),
        (network(last=2, activation="softmax", loss="categorical_crossentropy"), np.eye(2)[CODES], False),
        (network(last=3, activation="softmax", loss="mse"), np.arange(ROWS) % 3, True),
        (network(activation="sigmoid", loss="binary_crossentropy"), np.arange(ROWS) % 3, True),
    ],
)
def test_a_target_that_does_not_fit_the_model_reaches_the_loss_as_it_is(build, y, as_given):
    dataset, _ = read_arrays(X, y, None)
    recipe = make_recipe(build, dataset, name="mine", batch_size=8, epochs=2, callbacks=())
    assert recipe.given is as_given


@pytest.mark.parametrize(
    ("callback", "alone", "validated"),
    [
        (keras.callbacks.EarlyStopping("val_loss"), True, True),
        (keras.callbacks.EarlyStopping("loss"), False, False),
        (keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: None), False, True),
        (keras.callbacks.ModelCheckpoint("best.keras", monitor="val_loss"), False, False),
    ],
)
def test_rows_are_watched_for_who_looks_at_them(callback, alone, validated):
    """Callbacks that only write files are none of those."""
    dataset, _ = read_arrays(X, CODES, None)
    own = network(activation="sigmoid", loss="binary_crossentropy")
    watches = [
        make_recipe(
            own, dataset, name="mine", batch_size=8, epochs=2, callbacks=callback, is_validated=one
        ).watches
        for one in (False, True)
    ]
    assert watches == [alone, validated]


@pytest.mark.thorough
def test_callbacks_that_only_write_files_are_left_out_of_a_diagnosis_and_that_is_said(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    writer = keras.callbacks.ModelCheckpoint("best.keras")
    own = network(activation="sigmoid", loss="binary_crossentropy")
    diagnosed(own, epochs=4, callbacks=[writer], verbose=1)
    assert "ModelCheckpoint is left out" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.thorough
def test_a_sound_model_is_healthy():
    diagnosis = diagnosed(network(activation="sigmoid", loss="binary_crossentropy"), epochs=40)
    assert diagnosis.area == "healthy"
    assert diagnosis.findings == []
    assert diagnosis.score.value < 0.3
    assert "Nothing wrong" in repr(diagnosis)


@pytest.mark.thorough
def test_unscaled_inputs_are_named_and_scaled():
    """One input is in the thousands and rules all sums; its cause, not its symptoms, is what is found."""
    x = X * [1, 1, 5000] + [0, 0, 20_000]
    diagnosis = diagnosed(network(activation="sigmoid", loss="binary_crossentropy"), x, epochs=30)
    assert diagnosis.area == "learning"
    assert [finding.fault for finding in diagnosis.findings] == ["unscaled_input"]
    tried = {one.name: one for one in diagnosis.record.experiments if one.outcome == "done"}
    assert "range-test" in tried
    assert f"Tried: {tried['range-test'].title}. A range test" in repr(diagnosis)
    treatment = diagnosis.treat(minutes=0.3)
    assert treatment.recipe.preparation.scaling != "none"
    assert treatment.comparison.verdict == "helps"
    assert treatment.story[0].startswith("This is a learning problem")
    assert treatment.score.value < 0.5 * diagnosis.score.value


@pytest.mark.thorough
def test_a_rate_far_too_low_is_named_and_nothing_is_said_to_diverge():
    """Steps so small that every network stays where it began, often worse than a constant."""
    diagnosis = diagnosed(network(activation="sigmoid", loss="binary_crossentropy", rate=1e-7), epochs=20)
    assert [(f.code, f.fault) for f in diagnosis.findings] == [("S11", "learning_rate_low")]
    assert diagnosis.area == "learning"
    assert not {"L01", "L13"} & {note.code for note in diagnosis.notes}
    assert "A range test would choose" in diagnosis.findings[0].sentence
    assert "1e-07" not in diagnosis.findings[0].sentence.partition("A range test")[2]


@pytest.mark.thorough
def test_two_units_that_find_other_clusters_with_every_seed_are_too_few():
    """Six clusters of two classes: which of them two units tell apart is luck, and more units need none."""
    x, y = make_classification(
        600, 10, n_informative=6, n_redundant=2, n_clusters_per_class=3, random_state=0
    )

    def build(n_inputs):
        hidden = keras.layers.Dense(2, "relu", kernel_initializer="he_normal")
        model = keras.Sequential([keras.Input((n_inputs,)), hidden, keras.layers.Dense(1, "sigmoid")])
        model.compile(keras.optimizers.Adam(3e-3), "binary_crossentropy")
        return model

    diagnosis = diagnosed(build, (x - x.mean(axis=0)) / x.std(axis=0), y, epochs=80)
    assert {finding.fault for finding in diagnosis.findings} == {"capacity_too_small"}
    assert "Taking it away (Four times as wide) helps" in diagnosis.findings[0].sentence


@pytest.mark.thorough
def test_a_model_that_keras_refuses_is_diagnosed_all_the_same():
    build = network(activation="sigmoid", loss="binary_crossentropy")
    diagnosis = diagnosed(build, y=np.eye(3)[np.arange(ROWS) % 3])
    assert diagnosis.score is None
    assert {finding.fault for finding in diagnosis.findings} & {"output_shape", "target_encoding"}
    assert "Keras refuses" in diagnosis.sentence
    treatment = diagnosis.treat(minutes=0.5)
    assert treatment.accepted[0] == "Last layer and loss for this target"
    assert treatment.recipe.build(3, 3)().output_shape == (None, 3)


def test_time_that_does_not_suffice_is_told_in_a_sentence():
    with pytest.raises(OptionError, match="Give more minutes"):
        diagnosed(network(), y=X[:, 0], minutes=0.01, epochs=3000)


@pytest.mark.thorough
def test_shuffled_labels_hold_no_signal():
    diagnosis = diagnosed(
        network(activation="sigmoid", loss="binary_crossentropy"),
        y=RNG.permutation(CODES),
        validation_data=(X[:40] + 5, CODES[:40]),
    )
    assert {"D08", "D09"} <= {note.code for note in diagnosis.notes}
    assert diagnosis.area == "no signal"
    assert diagnosis.findings == []
    assert diagnosis.treat(minutes=0.1).accepted == []


@pytest.mark.parametrize(
    "more",
    [
        {"epochs": 0},
        {"batch_size": 1.5},
        {"metric": "nonsense"},
        {"validation_data": X},
        {"validation_data": (X[:, :2], X[:, 0])},
        {"validation_data": (X, X[:5, 0])},
    ],
)
def test_options_that_mean_nothing_are_refused(more):
    with pytest.raises(CaviarError, match=r"^Expected"):
        diagnosed(network(), y=X[:, 0], **more)


def test_a_built_model_is_no_builder():
    with pytest.raises(OptionError, match="Pass a builder"):
        diagnosed(3)


@pytest.mark.thorough
def test_missing_numbers_are_found_and_everything_else_is_looked_at_without_them():
    x = X.copy()
    x[::7, 2] = np.nan
    x[3, 0] = np.inf
    diagnosis = diagnosed(
        network(activation="sigmoid", loss="binary_crossentropy"), x, epochs=40, metric="accuracy"
    )
    assert [finding.code for finding in diagnosis.findings] == ["D01"]
    assert f"{int((~np.isfinite(x)).sum())} numbers" in diagnosis.findings[0].sentence
    assert diagnosis.score.value > 0.85


def series(rate, *, flat):
    """A network of (3, 1) rows, or one that makes them of flat rows first."""

    def build():
        inputs = [keras.Input((3,)), keras.layers.Reshape((3, 1))] if flat else [keras.Input((3, 1))]
        layers = [keras.layers.Conv1D(4, 2, activation="relu"), keras.layers.Flatten(), keras.layers.Dense(1)]
        model = keras.Sequential(inputs + layers)
        model.compile(keras.optimizers.Adam(rate), "mse")
        return model

    return build


@pytest.mark.thorough
def test_rows_of_any_shape_are_examined_as_a_network_gets_them_and_repaired():
    y, x = X @ [1.0, -1.0, 2.0], X[:, :, None]
    found = diagnosed(series(1e-7, flat=False), x, y, validation_data=(x[:20], y[:20]))
    same = diagnosed(series(1e-7, flat=True), X, y)
    assert found.score.value == pytest.approx(same.score.value, rel=1e-5)
    assert found.findings[0].fault == same.findings[0].fault == "learning_rate_low"
    treatment = found.treat(minutes=0.5)
    assert treatment.accepted
    model = treatment.model()
    assert model.predict(x).shape == model.predict(X).shape == (ROWS, 1)
    with pytest.raises(CaviarError, match=r"rows of shape \(3, 1\), as in training, got \(1, 3\)"):
        model.predict(x.transpose(0, 2, 1))


def test_validation_rows_must_have_the_shape_of_the_others():
    with pytest.raises(OptionError, match=r"\(3, 1\) for a row, .* got shapes \(5, 3\)"):
        diagnosed(series(0.01, flat=False), X[:, :, None], X[:, 0], validation_data=(X[:5], X[:5, 0]))


def test_a_diagnosis_that_ran_out_of_time_does_not_say_that_nothing_is_wrong(monkeypatch):
    monkeypatch.setattr("caviar.measuring.trial._expected_seconds", lambda *_: 1e9)
    found = diagnosed(network(rate=3e-4), y=X[:, 0], epochs=200, minutes=5)
    assert found.area == "healthy"
    assert found.sentence.startswith("Nothing is shown to be wrong, but the time ended before")


@pytest.mark.thorough
def test_where_trees_see_more_the_last_remedy_is_to_let_them_predict_along(monkeypatch, tmp_path):
    """Steps in one of eight inputs: nothing is wrong with the network that another remedy could take away."""
    rng = np.random.default_rng(2)
    x = rng.uniform(-1, 1, size=(400, 8))
    y = np.floor(6 * x[:, 0]) % 2 + 0.1 * rng.normal(size=400)

    def build():
        model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)])
        model.compile(keras.optimizers.Adam(0.01), "mse")
        return model

    few = tuple(one for one in REMEDIES if one.name in {"early-stopping", "blend-trees"})
    for part in ("examination", "treatment"):
        monkeypatch.setattr(f"caviar.doctor.{part}.REMEDIES", few)
    diagnosis = diagnosed(build, x, y, epochs=20)
    assert not any("blend" in arm.recipe.name for arm in diagnosis._first.trial.arms)
    monkeypatch.setattr("caviar.doctor.treatment.MOST_ROUNDS", 1)
    treatment = diagnosis.treat()
    assert treatment.recipe.blended_with == ("boosting",)
    tried = [[one.remedy for one in look.comparisons] for look in treatment.rounds]
    assert tried[:2] == [["early-stopping"], ["blend-trees"]]
    assert treatment.comparison.verdict == "helps"
    assert "Blend with boosted trees" in " ".join(treatment.story)
    model = treatment.model()
    model.save(tmp_path)
    error = model.predict_features(x)[:, 0] - y
    network_alone = np.asarray(model.models[0].predict(x.astype(np.float32), verbose=0))[:, 0]
    assert np.abs(error).mean() < 0.8 * np.abs(network_alone - y).mean()
    again = load_finished(tmp_path).predict_features(x)
    np.testing.assert_allclose(again, model.predict_features(x), atol=1e-6)
