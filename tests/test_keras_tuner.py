"""A script written for KerasTuner runs with one import changed: what its getting-started guide calls, on other data.

What it calls: `RandomSearch` with several executions per trial, `GridSearch`, `BayesianOptimization`, `Objective` by
Keras' names of metrics, `HyperModel`, `hp.Int`, `hp.Float` with `sampling="log"`, `hp.Choice`, `hp.Boolean`,
`search_space_summary`, `search` with validation data, `get_best_models`, `get_best_hyperparameters`, `results_summary`,
a `fit` of one's own that sets batch size, epochs, callbacks, `shuffle` or `class_weight` and returns what `model.fit`
gives; and, of the guide on tailoring a space, `hyperparameters` and `tune_new_entries`. Its images stand in
`test_images.py`.

What of it is refused on purpose, in a sentence: a `fit` that scales x, trains in a loop of its own or returns a score
of its own; `run_trial` and other methods that KerasTuner calls in a subclass; `reload`; `keras_tuner.applications`; and
objectives that are not in the table of scores, such as a metric of one's own.
"""

import numpy as np
import pytest

from caviar import keras_tuner
from caviar.errors import CaviarError
from caviar.population import devices

devices.start()
import keras  # noqa: E402 - only once JAX is its backend

RNG = np.random.default_rng(1)
X = RNG.normal(size=(120, 6)).astype("float32")
Y = X[:, :3].argmax(axis=1)
X_VAL = RNG.normal(size=(40, 6)).astype("float32")
Y_VAL = X_VAL[:, :3].argmax(axis=1)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Searches without a folder leave theirs in the present one."""
    monkeypatch.chdir(tmp_path)


def build_model(hp):
    model = keras.Sequential([keras.Input((6,))])
    for i in range(hp.Int("num_layers", 1, 2)):
        units = hp.Int(f"units_{i}", min_value=4, max_value=12, step=4)
        model.add(keras.layers.Dense(units, activation=hp.Choice("activation", ["relu", "tanh"])))
    if hp.Boolean("dropout"):
        model.add(keras.layers.Dropout(rate=0.25))
    model.add(keras.layers.Dense(3, activation="softmax"))
    rate = hp.Float("lr", min_value=1e-3, max_value=1e-1, sampling="log")
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.thorough
@pytest.mark.parametrize(
    "tuner_class", [keras_tuner.RandomSearch, keras_tuner.GridSearch, keras_tuner.BayesianOptimization]
)
def test_a_search_is_carried_out_from_its_summary_to_the_best_models(tuner_class, tmp_path, capsys):
    tuner = tuner_class(
        hypermodel=build_model,
        objective="val_accuracy",
        max_trials=6,
        overwrite=True,
        directory=tmp_path,
        project_name="hello",
    )
    tuner.search_space_summary()
    assert "num_layers" in capsys.readouterr().out
    tuner.search(X, Y, epochs=3, validation_data=(X_VAL, Y_VAL), verbose=0)
    models = tuner.get_best_models(num_models=2)
    assert [model.output_shape for model in models] == [(None, 3)] * 2
    assert models[0].predict(X_VAL, verbose=0).shape == (40, 3)
    tuner.results_summary()
    assert "accuracy" in capsys.readouterr().out
    best = tuner.get_best_hyperparameters(2)[0]
    model = build_model(best)
    assert model.layers[0].units == best.get("units_0") == best.values["units_0"]
    assert (tmp_path / "hello" / "trials.jsonl").exists()


def test_trials_are_scored_on_the_validation_rows_alone(tmp_path):
    """What `fit` scores there, trained on all other rows."""
    tuner = keras_tuner.RandomSearch(build_model, "val_accuracy", 1, directory=tmp_path)
    tuner.search(X, Y, epochs=3, validation_data=(X_VAL, Y_VAL), verbose=0)
    found = tuner._done()
    (split,) = found._study.bench.splits
    assert (len(split.train), len(split.held_out)) == (120, 40)
    assert found.lines[0].score[0] in {n / 40 for n in range(41)}
    np.testing.assert_array_equal(found._study.bench.dataset.target[split.held_out], Y_VAL)
    np.testing.assert_array_equal(found._rows.target, Y)  # what the best models train on


def test_a_share_of_the_last_rows_is_held_out_as_fit_does():
    tuner = keras_tuner.RandomSearch(build_model, keras_tuner.Objective("val_loss", "min"), 1)
    tuner.search(X, Y, validation_split=0.25, verbose=0)
    (split,) = tuner._done()._study.bench.splits
    assert split.held_out.tolist() == list(range(90, 120))


class MyHyperModel(keras_tuner.HyperModel):
    def build(self, hp):
        return build_model(hp)

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, **{**kwargs, "epochs": hp.Int("epochs", 2, 3)})


class ItsOwnBatches(MyHyperModel):
    """As KerasTuner's guide writes it: what it sets stands beside the arguments that it gets."""

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, batch_size=hp.Choice("batch_size", [8, 16]), **kwargs)


def test_a_hypermodel_sets_its_batch_size_beside_what_it_gets(capsys):
    tuner = keras_tuner.RandomSearch(ItsOwnBatches(), objective="val_loss", max_trials=2)
    tuner.search_space_summary()
    assert "Question" not in capsys.readouterr().out
    tuner.search(X, Y, validation_split=0.2, epochs=1, verbose=0)
    assert tuner.get_best_hyperparameters()[0]["batch_size"] in {8, 16}


class SeveralOfItsOwn(MyHyperModel):
    def fit(self, hp, model, *args, **kwargs):
        shuffle = hp.Boolean("shuffle")
        return model.fit(*args, batch_size=hp.Choice("batch_size", [8, 16]), shuffle=shuffle, **kwargs)


class InTheirPlaces(MyHyperModel):
    def fit(self, hp, model, x, y, **kwargs):
        return model.fit(x, y, hp.Choice("batch_size", [8, 16]), hp.Int("epochs", 1, 2), **kwargs)


@pytest.mark.parametrize(
    ("hypermodel", "asked"),
    [(SeveralOfItsOwn, ["batch_size", "shuffle"]), (InTheirPlaces, ["batch_size", "epochs"])],
)
def test_a_hypermodel_sets_several_arguments_beside_what_it_gets(hypermodel, asked):
    tuner = keras_tuner.RandomSearch(hypermodel(), "val_loss", max_trials=3)
    tuner.search(X, Y, validation_split=0.2, verbose=0)
    recipes = [tuner._done()._study.recipe(line) for line in tuner._done().lines]
    for line, recipe in zip(tuner._done().lines, recipes, strict=True):
        assert {name: getattr(recipe, name) for name in asked} == {
            name: line.settings[name] for name in asked
        }


def test_a_hypermodel_sets_its_epochs():
    tuner = keras_tuner.RandomSearch(MyHyperModel(), objective="val_loss", max_trials=2)
    tuner.search(X, Y, validation_split=0.2, verbose=0)
    assert tuner.get_best_hyperparameters()[0].get("epochs") in {2, 3}


class Linear(keras_tuner.HyperModel):
    """One layer, and a `fit` that asks for one of its arguments."""

    def __init__(self, ask):
        super().__init__()
        self.ask = ask

    def build(self, hp):
        model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, "softmax")])
        model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy")
        return model

    def fit(self, hp, model, *args, **kwargs):
        history = model.fit(*args, **{**kwargs, **self.ask(hp)})
        return history.history


def evaluated(tuner, hypermodel, hp, execution, weights=None, **arguments):
    """The loss that Keras' own `fit` comes to on the validation rows, from the seed of a trial's execution."""
    keras.utils.set_random_seed(tuner._done()._study.bench.seed_of(execution, 0))
    model = hypermodel.build(hp)
    hypermodel.fit(hp, model, X, Y, verbose=0, **arguments)
    weights = np.ones(len(X_VAL)) if weights is None else weights / weights.mean()
    return model.evaluate(X_VAL, Y_VAL, sample_weight=weights, verbose=0)


@pytest.mark.parametrize(
    "ask",
    [
        lambda hp: {"shuffle": hp.Boolean("shuffle")},
        lambda hp: {"class_weight": {0: 3.0, 2: 0.2} if hp.Boolean("weighted") else None},
    ],
)
def test_a_hypermodel_is_trained_as_by_fit(ask):
    """Either trial is what Keras' own `fit` gives from the same seed; the guide tunes `shuffle` so."""
    tuner = keras_tuner.GridSearch(Linear(ask), "val_loss")
    tuner.search(X, Y, epochs=4, validation_data=(X_VAL, Y_VAL), verbose=0)
    for line in tuner._done().lines:
        hp = keras_tuner.HyperParameters(line.settings)
        loss = evaluated(tuner, Linear(ask), hp, 0, epochs=4)
        assert line.score[0] == pytest.approx(loss, rel=1e-5)
    assert len({line.score[0] for line in tuner._done().lines}) == 2


def test_the_mean_of_several_executions_counts():
    tuner = keras_tuner.GridSearch(
        Linear(lambda hp: {"shuffle": hp.Boolean("shuffle")}), "val_loss", executions_per_trial=2
    )
    tuner.search(X, Y, 16, 2, 0, validation_data=(X_VAL, Y_VAL))
    for line in tuner._done().lines:
        hp = keras_tuner.HyperParameters(line.settings)
        losses = [evaluated(tuner, tuner._hypermodel, hp, i, batch_size=16, epochs=2) for i in range(2)]
        assert line.score[0] == pytest.approx(np.mean(losses), rel=1e-5)
        assert losses[0] != losses[1]
    np.testing.assert_array_equal(tuner._done()._rows.target, Y)


@pytest.mark.parametrize("weigh_validation", [False, True])
def test_rows_count_by_their_weights(weigh_validation):
    weights, others = RNG.uniform(0, 3, len(X)), RNG.uniform(0, 3, len(X_VAL))
    watched = (X_VAL, Y_VAL, others) if weigh_validation else (X_VAL, Y_VAL)
    tuner = keras_tuner.GridSearch(Linear(lambda hp: {"shuffle": hp.Boolean("shuffle")}), "val_loss")
    tuner.search(X, Y, epochs=2, sample_weight=weights, validation_data=watched, verbose=0)
    for line in tuner._done().lines:
        hp = keras_tuner.HyperParameters(line.settings)
        own = others if weigh_validation else None
        loss = evaluated(tuner, tuner._hypermodel, hp, 0, own, epochs=2, sample_weight=weights)
        assert line.score[0] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("others", [True, False])
def test_questions_said_beforehand_count_in_place_of_the_builders(others):
    """What KerasTuner's guide on tailoring a search space does."""
    hp = keras_tuner.HyperParameters()
    hp.Fixed("activation", "relu")
    hp.Int("units_0", 5, 6)
    tuner = keras_tuner.GridSearch(build_model, "val_loss", 8, hyperparameters=hp, tune_new_entries=others)
    tuner.search(X, Y, validation_split=0.2, verbose=0)
    tried = [line.settings for line in tuner._done().lines]
    assert {one["activation"] for one in tried} == {"relu"}
    assert {one["units_0"] for one in tried} <= {5, 6}
    assert len(tried) == (8 if others else 2)
    assert ({one["lr"] for one in tried} == {1e-3}) is not others


@pytest.mark.parametrize(("most", "tried"), [(None, 40), (12, 12)])
def test_a_grid_is_whole_or_ends_after_its_trials(most, tried):
    """Ten rates and four whole numbers; what was asked last changes fastest, and the defaults come first."""

    def build(hp):
        model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, hp.Choice("out", ["softmax"]))])
        rate = hp.Float("rate", 1e-3, 1e-1, sampling="log")
        hp.Int("unused", 1, 4, step=1)
        model.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy")
        return model

    tuner = keras_tuner.GridSearch(build, "val_loss", most)
    tuner.search(X, Y, validation_split=0.2, verbose=0)
    lines = tuner._done().lines
    assert len({str(line.settings) for line in lines}) == len(lines) == tried
    assert [line.settings["unused"] for line in lines[:5]] == [1, 2, 3, 4, 1]
    assert lines[0].settings == {"out": "softmax", "rate": 1e-3, "unused": 1}


@pytest.mark.parametrize(
    ("name", "direction", "ours"),
    [
        ("val_acc", "max", "accuracy"),
        ("val_sparse_categorical_accuracy", "max", "accuracy"),
        ("val_AUC", "max", "AUC"),
        ("val_sparse_categorical_crossentropy", "min", "log-loss"),
        ("val_loss", "min", "log-loss"),
    ],
)
def test_an_objective_has_the_name_that_keras_gives_it(name, direction, ours):
    tuner = keras_tuner.RandomSearch(build_model, keras_tuner.Objective(name, direction), 1)
    tuner.search(X, Y, validation_split=0.2, verbose=0)
    assert tuner._done().record.metric == ours


def test_the_oracle_and_the_best_hyperparameters_can_be_read_and_searched_once_more():
    tuner = keras_tuner.RandomSearch(build_model, "val_accuracy", 3, directory="a", project_name="b")
    tuner.search(X, Y, validation_split=0.2, verbose=0)
    best = tuner.get_best_hyperparameters()[0]
    first, second = tuner.oracle.get_best_trials(2)
    assert first.score >= second.score
    assert (first.hyperparameters.values, first.status) == (best.values, "COMPLETED")
    assert sorted(tuner.oracle.trials) == ["0", "1", "2"]
    assert tuner.oracle.get_trial(first.trial_id) == first
    assert tuner.hypermodel.build(best).layers[0].units == best["units_0"]
    assert tuner.project_dir == "a/b"
    again = keras_tuner.RandomSearch(
        build_model, "val_accuracy", 4, hyperparameters=best, tune_new_entries=False
    )
    again.search(X, Y, validation_split=0.2, verbose=0)
    tried = [line.settings for line in again._done().lines]
    assert len({one["lr"] for one in tried}) == 4


class Watching(keras.callbacks.Callback):
    """Notes what is logged, in a list of its own."""

    seen: list[list[str]] = []  # noqa: RUF012 - of all that were copied

    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(epoch)
        Watching.seen.append(sorted(logs))

    def on_train_end(self, logs=None):
        assert self.epochs == [0, 1]


@pytest.mark.parametrize("has_rows", [True, False])
def test_callbacks_of_ones_own_begin_anew_and_see_validation_logs_where_there_are_rows(has_rows):
    """As in KerasTuner, which copies them for each trial."""
    Watching.seen.clear()
    tuner = keras_tuner.RandomSearch(Linear(lambda hp: {"shuffle": hp.Boolean("s")}), "val_loss", 2)
    rows = {"validation_data": (X_VAL, Y_VAL)} if has_rows else {}
    tuner.search(X, Y, epochs=2, callbacks=[Watching()], verbose=0, **rows)
    assert Watching.seen == [["loss", "val_loss"] if has_rows else ["loss"]] * (4 if has_rows else 20)


def test_callbacks_that_only_write_files_are_left_out_and_that_is_said(capsys, tmp_path):
    tuner = keras_tuner.RandomSearch(build_model, "val_loss", 2, directory="a")
    writers = [keras.callbacks.ModelCheckpoint("best.keras"), keras.callbacks.CSVLogger("log.csv")]
    tuner.search(X, Y, callbacks=writers, validation_split=0.2)
    said = " ".join(capsys.readouterr().err.split())
    assert (
        "ModelCheckpoint and CSVLogger are left out, because all trainings would write the same files."
        in said
    )
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("loss", "target", "metric"),
    [("mse", "class", "Brier score"), ("mse", "number", "root mean squared error")],
)
def test_the_score_is_the_models_own_loss(loss, target, metric):
    """Of squared errors over two classes it is Brier's; of a quantity, the root of what Keras says."""
    y, y_val = (X[:, 0], X_VAL[:, 0]) if target == "number" else (X[:, 0] > 0, X_VAL[:, 0] > 0)

    def build(hp):
        last = keras.layers.Dense(1, None if target == "number" else "sigmoid")
        model = keras.Sequential([keras.Input((6,)), last])
        model.compile(keras.optimizers.Adam(hp.Float("rate", 0.01, 0.1)), loss)
        return model

    tuner = keras_tuner.RandomSearch(build, "val_loss", 1)
    tuner.search(
        X, y.astype("float32"), epochs=2, validation_data=(X_VAL, y_val.astype("float32")), verbose=0
    )
    assert tuner._done().record.metric == metric
    keras.utils.set_random_seed(tuner._done()._study.bench.seed_of(0, 0))
    model = build(keras_tuner.HyperParameters(tuner._done().lines[0].settings))
    model.fit(X, y.astype("float32"), epochs=2, verbose=0)
    loss = model.evaluate(X_VAL, y_val.astype("float32"), verbose=0)
    score = tuner._done().lines[0].score[0]
    assert (score**2 if target == "number" else score) == pytest.approx(loss, rel=1e-4)


def test_a_loss_that_is_no_score_is_named_beside_what_takes_its_place(capsys):
    def build(hp):
        model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.Adam(hp.Float("rate", 0.01, 0.1)), "huber")
        return model

    keras_tuner.RandomSearch(build, "val_loss", 1).search(X, X[:, 0], validation_split=0.2)
    said = " ".join(capsys.readouterr().err.split())
    assert (
        "The model's own loss, huber, is none of the scores that trials are ranked by: it is mean absolute"
        in said
    )


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            lambda: keras_tuner.RandomSearch(build_model, keras_tuner.Objective("val_accuracy", "min")),
            "'max'",
        ),
        (
            lambda: keras_tuner.RandomSearch(build_model, keras_tuner.Objective("val_unknown", "max")),
            "val_loss, val_log-loss.*'val_unknown', of which neither score nor direction is known",
        ),
        (lambda: keras_tuner.RandomSearch(build_model, max_trials=None), "max_trials as a whole number"),
        (lambda: keras_tuner.RandomSearch(build_model, ["val_loss", "val_auc"]), "Take BayesianOptimization"),
        (
            lambda: keras_tuner.RandomSearch(build_model, hyperparameters={"lr": 1}),
            "HyperParameters, got dict",
        ),
        (lambda: keras_tuner.Hyperband(build_model, max_trials=3), "hyperband_iterations"),
        (lambda: keras_tuner.HyperModel(tunable=False), "tunable"),
        (lambda: keras_tuner.HyperParameters().Float("a", "0", "1"), "numbers as bounds.*'0'"),
        (lambda: keras_tuner.HyperParameters().Int(3, 1, 4), "a text, got 3"),
        (lambda: keras_tuner.RandomSearch(build_model).reload(), "search.*once more"),
        (lambda: keras_tuner.RandomSearch(build_model).oracle.trials, "search"),
        (lambda: keras_tuner.RandomSearch(build_model).search([X, X], Y), "x as one array, got 2"),
        (lambda: keras_tuner.RandomSearch(build_model).search({"a": X}, Y), "x as one array, got 1"),
        (
            lambda: keras_tuner.RandomSearch(build_model).search(X, Y, validation_data=(X_VAL, Y_VAL[:9])),
            "validation_data: y .* 40 rows of x, got 9",
        ),
        (
            lambda: keras_tuner.RandomSearch(build_model).search(
                X, Y, callbacks=[keras.callbacks.EarlyStopping]
            ),
            "^Expected callbacks to be Keras callbacks",
        ),
        (lambda: keras_tuner.RandomSearch(build_model, "loss"), "training rows.*'val_loss'"),
        (lambda: keras_tuner.RandomSearch(build_model, "accuracy"), "training rows.*'val_accuracy'"),
        (lambda: keras_tuner.RandomSearch(build_model, tuner_id="a"), "tuner_id"),
        (lambda: keras_tuner.RandomSearch(build_model, max_consecutive_failed_trials=9), "other settings"),
        (
            lambda: keras_tuner.RandomSearch(
                build_model, hyperparameters=keras_tuner.HyperParameters(), allow_new_entries=False
            ).search(X, Y),
            "'num_layers' too",
        ),
        (lambda: keras_tuner.RandomSearch(build_model).search(X), "x and y as arrays, got x alone"),
        (lambda: keras_tuner.RandomSearch(build_model).search(X, Y, epoch=2), "'epoch'"),
        (lambda: keras_tuner.RandomSearch(build_model).search(X, Y, initial_epoch=2), "initial_epoch"),
        (lambda: keras_tuner.RandomSearch(build_model).search(X, Y, shuffle="batch"), "shuffle"),
        (
            lambda: keras_tuner.RandomSearch(build_model).search(X, Y, class_weight="balanced"),
            "class_weight to be a dict",
        ),
        (
            lambda: keras_tuner.RandomSearch(build_model).search(X, X[:, :1], class_weight={0: 1.0}),
            "class_weight for a target of classes",
        ),
        (lambda: keras_tuner.RandomSearch(build_model).get_best_models(), "search"),
        (
            lambda: keras_tuner.RandomSearch(build_model).search(X, Y, validation_split=2.0),
            "validation_split",
        ),
        (
            lambda: keras_tuner.RandomSearch(build_model).search(X, Y, validation_data=(X_VAL[:, :2], Y_VAL)),
            "columns",
        ),
    ],
)
def test_what_cannot_be_carried_out_is_said_in_a_sentence(wrong, words):
    with pytest.raises(CaviarError, match=words):
        wrong()


# ruff: noqa: ARG002 - in the signatures of the guide
class Normalizes(MyHyperModel):
    def fit(self, hp, model, x, y, **kwargs):
        if hp.Boolean("normalize"):
            x = keras.layers.Normalization()(x)
        return model.fit(x, y, **kwargs)


class Loops(MyHyperModel):
    def fit(self, hp, model, x, y, validation_data, callbacks=None, **kwargs):
        for start in range(0, len(x), hp.Int("batch_size", 32, 128, step=32)):
            model.train_on_batch(x[start : start + 32], y[start : start + 32])


class Scores(MyHyperModel):
    def fit(self, hp, model, x, y, validation_data, **kwargs):
        model.fit(x, y, **kwargs)
        return float(np.mean(np.abs(model.predict(validation_data[0]) - validation_data[1])))


class BestEpoch(MyHyperModel):
    def fit(self, hp, model, *args, **kwargs):
        return min(model.fit(*args, **kwargs).history["val_loss"])


class RunsTrials(keras_tuner.RandomSearch):
    def run_trial(self, trial, *args, **kwargs):
        return 0.5


class LooksOn(keras_tuner.RandomSearch):
    def on_trial_end(self, trial):
        self.last = trial


def searched(tuner):
    tuner.search(X, Y, validation_data=(X_VAL, Y_VAL), verbose=0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: searched(keras_tuner.RandomSearch(Normalizes())), "layers that scale x"),
        (lambda: searched(keras_tuner.RandomSearch(Loops())), "computes with x itself"),
        (lambda: searched(keras_tuner.RandomSearch(Scores())), "uses model.predict"),
        (lambda: searched(keras_tuner.RandomSearch(BestEpoch())), "computes with the history"),
        (lambda: RunsTrials(build_model, "val_loss"), "run_trial"),
        (lambda: LooksOn(build_model, "val_loss"), "on_trial_end"),
        (lambda: keras_tuner.errors.FailedTrialError, "Raise any other exception"),
        (lambda: keras_tuner.applications.HyperResNet, "keras.applications"),
        (lambda: keras_tuner.Tuner, "RandomSearch"),
        (
            lambda: keras_tuner.RandomSearch(build_model, keras_tuner.Objective("val_custom_metric", "min")),
            "'val_custom_metric', of which neither score nor direction is known",
        ),
    ],
)
def test_what_the_guide_does_by_itself_is_refused_in_a_sentence(call, words):
    with pytest.raises(CaviarError, match=words) as told:
        call()
    assert str(told.value).startswith("Expected ")
    assert "\n" not in str(told.value)


@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_hyperband_begins_with_as_many_as_its_schedule_and_trains_the_best_to_the_end(tmp_path):
    tuner = keras_tuner.Hyperband(
        build_model, "val_loss", max_epochs=9, directory=tmp_path, project_name="band"
    )
    tuner.search(X, Y, validation_split=0.3, verbose=0)
    lines = tuner._done().lines
    assert sum(line.source is None for line in lines) == 17
    assert {line.epochs for line in lines} == {1, 3, 9}
    assert tuner.get_best_hyperparameters()[0].values == tuner._done().hyperparameters
    assert len(tuner.get_best_models(2)) == 2
