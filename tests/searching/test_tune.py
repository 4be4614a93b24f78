"""`caviar.tune`: what a search trains, keeps, chooses and says."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import caviar
from caviar.data.prepare import PreparationPlan
from caviar.errors import CaviarError, OptionError
from caviar.evaluate.selection import corrected_winner
from caviar.measuring.measure import measure
from caviar.population import devices
from caviar.recipe.recipe import Recipe
from caviar.recipe.settled import Searched
from caviar.run.study import StudyFolder
from caviar.searching.trials import outcome
from caviar.searching.tune import tune_table
from caviar.tune.importance import importances
from caviar.tune.last_round import LastRound

devices.start()
import keras  # noqa: E402 - only once JAX is its backend

L = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 3)).astype(np.float32)
Y = (X[:, 0] + 0.7 * RNG.normal(size=90) > 0).astype(int)


def build(hp) -> keras.Model:
    model = keras.Sequential(
        [keras.Input((3,)), L.Dropout(hp.Float("drop", 0.0, 0.5)), L.Dense(1, "sigmoid")]
    )
    rate = hp.Float("rate", 1e-3, 1.0, sampling="log", default=0.01)
    model.compile(keras.optimizers.SGD(rate), "binary_crossentropy")
    return model


def other_layers(hp) -> keras.Model:
    """The same questions about another network."""
    build(hp)
    model = keras.Sequential([keras.Input((3,)), L.Dense(2, "relu"), L.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy")
    return model


def tuned(builder=build, folder=None, **arguments):
    settings = {"trials": 6, "epochs": 4, "folds": 3, "verbose": 0, "folder": folder} | arguments
    return caviar.tune(builder, X, Y, **settings)


BASE = Recipe("one", "one", build, 8, 4, PreparationPlan(), task="binary")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A small random search."""
    return tuned(folder=tmp_path_factory.mktemp("search") / "study")


def log_losses(found, line):
    """Minus log probability of each row's class, as its fold said it (row,)."""
    (said,) = found._study.folder.oof(line)
    return -np.log(said[np.arange(len(Y)), Y])


def test_the_builders_defaults_are_the_first_trial_and_what_the_best_is_compared_with(found):
    assert found.lines[0].settings == {"drop": 0.0, "rate": 0.01}
    losses = np.stack([log_losses(found, line) for line in found.lines])
    assert losses.mean(axis=1) == pytest.approx([line.score[0] for line in found.lines], abs=1e-6)
    corrected = corrected_winner(losses - losses[0], groups=found._study.bench.dataset.identical)[1]
    assert found.record.gain.value == pytest.approx(-corrected.value, abs=1e-9)
    assert found.record.gain.low == pytest.approx(-corrected.high, abs=1e-9)
    assert found.naive_score == min(line.score[0] for line in found.lines)
    assert found.hyperparameters == found.lines[found.record.best].settings
    assert found.record.best not in found.ties


def test_a_trial_is_what_its_recipe_gives_alone(found):
    """Same folds, same seeds, whether trained with others or not; its predictions are on disk."""
    line = found.lines[3]
    study = found._study
    alone = measure(study.bench, study.recipe(line))
    np.testing.assert_allclose(line.fold_scores, alone.scores["log-loss"], atol=1e-5)
    np.testing.assert_allclose(study.folder.oof(line), alone.oof, atol=1e-5)
    curves = np.load(found.path / "histories" / f"{line.generation:06d}.npz")
    np.testing.assert_allclose(curves["3/loss"], alone.history["loss"].values, atol=1e-5)


def test_all_trials_are_a_frame_and_the_result_is_json(found):
    assert found.trials.columns == ["number", "drop", "rate", "log-loss", "seconds", "why"]
    assert found.trials["log-loss"].to_list() == [line.score[0] for line in found.lines]
    assert (found.path / "report.html").stat().st_size > 100_000
    told = json.loads((found.path / "result.json").read_text())
    assert told["best"] == found.record.best
    assert told["sentence"] == found.record.sentence


def test_the_model_of_the_best_is_an_ordinary_keras_model(found):
    model = found.model()
    assert model.models[0].input_shape == (None, 3)
    assert float(model.models[0].optimizer.learning_rate) == pytest.approx(found.hyperparameters["rate"])


def test_resume_says_how_a_search_is_gone_on_with(found):
    with pytest.raises(CaviarError, match=r"caviar tune.*--out"):
        caviar.resume(found.path)


def test_a_search_that_is_over_is_not_trained_again(found, monkeypatch):
    monkeypatch.setattr("caviar.searching.generation.measure_in_turn", None)
    again = tuned(folder=found.path)
    assert [line.score for line in again.lines] == [line.score for line in found.lines]
    assert again.record.seconds >= sum(line.seconds for line in found.lines), "what it took before counts too"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"trials": 7}, "number of trials"),
        ({"search": "grid"}, "the search"),
        ({"seed": 3}, "seed"),
        ({"folds": 4}, "rows and folds"),
        ({"objective": "val_accuracy"}, "objective"),
        ({"epochs": 5}, "fit arguments"),
        ({"builder": other_layers}, "builder"),
    ],
)
def test_a_folder_of_another_search_is_refused(found, changed, words):
    with pytest.raises(OptionError, match=words):
        tuned(folder=found.path, **changed)


def test_a_folder_of_another_space_is_refused(found):
    def other(hp):
        hp.Int("units", 1, 3)
        return build(hp)

    with pytest.raises(OptionError, match="units"):
        tuned(other, folder=found.path)


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from tests.searching.test_tune import deep, tuned
tuned(deep, folder=sys.argv[2], trials=16, search="tpe")
"""


def deep(hp):
    """One program for each depth: some are over long before others of their generation."""
    layers = [L.Dense(4, "tanh") for _ in range(hp.Int("depth", 0, 7))]
    model = keras.Sequential([keras.Input((3,)), *layers, L.Dense(1, "sigmoid")])
    model.compile(keras.optimizers.Adam(hp.Float("rate", 1e-3, 1e-1, sampling="log")), "binary_crossentropy")
    return model


@pytest.mark.thorough
def test_a_killed_search_loses_no_finished_trial(tmp_path):
    root = str(Path(__file__).parents[1])
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, root, str(tmp_path / "killed")])
    lines = tmp_path / "killed" / "trials.jsonl"
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and not (lines.exists() and len(lines.read_text().splitlines()) >= 3):
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = len(StudyFolder(tmp_path / "killed").lines())
    assert 3 <= before < 16
    with lines.open("a") as file:
        file.write('{"number": 99, "sett')  # what was being written
    resumed = tuned(deep, folder=tmp_path / "killed", trials=16, search="tpe")
    whole = tuned(deep, folder=tmp_path / "whole", trials=16, search="tpe")
    assert [line.settings for line in resumed.lines] == [line.settings for line in whole.lines]
    np.testing.assert_allclose(
        [line.score for line in resumed.lines], [line.score for line in whole.lines], atol=1e-5
    )


def test_settings_for_which_the_builder_fails_are_marked_and_the_rest_go_on(tmp_path):
    def fragile(hp):
        if hp.Choice("kind", ["plain", "broken"]) == "broken":
            raise ValueError("no such layer")
        return build(hp)

    found = tuned(fragile, tmp_path / "study", trials=8)
    failed = [line for line in found.lines if line.why]
    assert {line.settings["kind"] for line in failed} == {"broken"}
    assert 0 < len(failed) < 8
    assert "no such layer" in failed[0].why
    assert f"{len(failed)} trial{'s' * (len(failed) > 1)} failed" in found.record.sentence
    assert found.hyperparameters["kind"] == "plain"


@pytest.mark.parametrize("error", [ValueError("no such rate"), SystemExit(3)])
def test_what_a_schedule_raises_ends_its_own_trials_alone(tmp_path, error):
    """Callbacks are anybody's code, and run when many trials train already."""

    def schedules(hp):
        kind = hp.Choice("kind", ["plain", "broken"])

        def schedule(_, rate):
            if kind == "broken":
                raise error
            return rate

        return [keras.callbacks.LearningRateScheduler(schedule)]

    found = tuned(folder=tmp_path / "study", trials=8, callbacks=schedules)
    failed = [line for line in found.lines if line.why]
    assert len(found.lines) == 8
    assert {line.settings["kind"] for line in failed} == {"broken"}
    assert 0 < len(failed) < 8
    assert all(f"{type(error).__name__}: {error}" in line.why for line in failed)


@pytest.mark.parametrize(
    ("epochs", "why"),
    [
        ({"a": 2, "b": 0}, "whole number of at least 1"),
        ({"a": 2, "b": 10_000_001}, "at most 10,000,000, got 10,000,001"),
        ({"a": 2}, "KeyError: 'b'"),
    ],
)
def test_a_fit_argument_that_fails_for_some_settings_is_marked_and_the_rest_go_on(tmp_path, epochs, why):
    found = tuned(
        folder=tmp_path / "study", trials=8, epochs=lambda hp: epochs[hp.Choice("k", ["a", "b"])], seed=1
    )
    failed = [line for line in found.lines if line.why]
    assert {line.settings["k"] for line in failed} == {"b"}
    assert 0 < len(failed) < 8
    assert why in failed[0].why
    assert found.hyperparameters["k"] == "a"
    assert any("fails for k='b'" in message for message in found.record.messages)


def test_a_trial_that_diverges_is_marked_and_not_chosen(tmp_path):
    def wild(hp):
        model = keras.Sequential([keras.Input((3,)), L.Dense(1)])
        model.compile(keras.optimizers.SGD(hp.Choice("rate", [1e-6, 1e8])), "mse")
        return model

    found = caviar.tune(
        *(wild, 100 * X, X[:, 0]), trials=2, epochs=40, folds=2, verbose=0, folder=tmp_path / "study"
    )
    assert found.hyperparameters == {"rate": 1e-6}
    assert "diverged" in found.lines[1].why


@pytest.mark.thorough
def test_fit_arguments_may_ask_hp(tmp_path):
    found = tuned(
        folder=tmp_path / "study",
        batch_size=lambda hp: hp.Choice("batch", [8, 16]),
        epochs=lambda hp: hp.Int("epochs", 2, 3),
        preparation=lambda hp: hp.Choice("scaling", ["none", "standard"]),
        balanced=lambda hp: hp.Boolean("balanced"),
        shuffle=lambda hp: hp.Boolean("shuffle"),
        callbacks=lambda hp: [keras.callbacks.EarlyStopping(patience=hp.Int("patience", 1, 2))],
        trials=5,
    )
    recipe = found.best
    settings = found.hyperparameters
    assert (recipe.batch_size, recipe.epochs) == (settings["batch"], settings["epochs"])
    assert recipe.preparation.scaling == settings["scaling"]
    assert recipe.class_weights == settings["balanced"]
    assert recipe.shuffle == settings["shuffle"]
    assert recipe.callbacks[0].patience == settings["patience"]
    assert recipe.watches


class Model:
    """As a KerasTuner HyperModel is written."""

    def build(self, hp):
        return build(hp)

    def fit(self, hp, model, *args, **kwargs):
        kwargs["epochs"] = hp.Int("epochs", 1, 2)
        return model.fit(
            *args,
            batch_size=hp.Choice("batch", [8, 16]),
            **{k: v for k, v in kwargs.items() if k != "batch_size"},
        )


@pytest.mark.thorough
def test_a_hypermodel_says_itself_how_it_is_trained(tmp_path):
    found = tuned(Model(), tmp_path / "study", trials=4)
    assert {"drop", "rate", "epochs", "batch"} == set(found.hyperparameters)
    assert (found.best.batch_size, found.best.epochs) == (
        found.hyperparameters["batch"],
        found.hyperparameters["epochs"],
    )


HYPERMODEL = """
import keras
from caviar.keras_tuner import HyperModel

class Own(HyperModel):
    def build(self, hp, n_inputs):
        model = keras.Sequential([keras.Input((n_inputs,)), keras.layers.Dense(1, "sigmoid")])
        model.compile("sgd", "binary_crossentropy")
        return model

    def fit(self, hp, model, *args, **kwargs):
        kwargs["batch_size"] = hp.Choice("rows", [8, 16])
        return model.fit(*args, **kwargs)

made = Own()
"""


def test_a_table_is_searched_by_a_hypermodel_of_a_file_or_its_class(tmp_path):
    (tmp_path / "my.py").write_text(HYPERMODEL)
    for name in ("Own", "made"):
        found = tune_table(
            (X, np.where(Y, "yes", "no")),
            model=f"{tmp_path / 'my.py'}:{name}",
            trials=4,
            epochs=1,
            folds=2,
            quiet=True,
            out=tmp_path / name,
        )
        assert {line.settings["rows"] for line in found.lines} == {8, 16}
        assert {found._study.recipe(line).batch_size for line in found.lines} == {8, 16}


def asks_for_rows_and_epochs(hp):
    if hp.Boolean("own", default=True):
        hp.Choice("batch_size", [8, 16])
    hp.Int("epochs", 1, 2)
    return build(hp)


@pytest.mark.thorough
def test_batch_size_and_epochs_that_the_builder_of_a_table_asks_for_are_used(tmp_path):
    """Asked for by these names they can mean nothing else; where they are not asked for, the usual ones count."""
    few = {"model": asks_for_rows_and_epochs, "folds": 2, "quiet": True}
    rows = (X, np.where(Y, "yes", "no"))
    found = tune_table(rows, trials=6, **few, out=tmp_path / "study")
    recipes = [(line.settings, found._study.recipe(line)) for line in found.lines]
    usual = found._study.base.batch_size
    assert usual not in {8, 16}
    assert {recipe.batch_size for _, recipe in recipes} == {8, 16, usual}
    for settings, recipe in recipes:
        assert recipe.epochs == settings["epochs"]
        assert recipe.batch_size == settings.get("batch_size", usual)
    for name in ("batch_size", "epochs"):
        with pytest.raises(OptionError, match=rf"^Expected no {name.replace('_', ' ')} beside a builder"):
            tune_table(rows, **{name: 7}, **few, out=tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(("rows", "is_kept"), [(32, False), (lambda hp: hp.Choice("batch", [8, 16]), True)])
def test_the_last_round_is_kept_for_batch_sizes_that_are_trained_with(tmp_path, rows, is_kept, monkeypatch):
    def asking(hp):
        hp.Choice("batch", [8, 16])
        return build(hp)

    made = []
    monkeypatch.setattr("caviar.searching.folder.run", lambda _, search, *__: made.append(search) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tuned(asking, tmp_path / "study", trials=24, batch_size=rows)
    assert isinstance(made[0], LastRound) == is_kept


# ruff: noqa: ARG005 - as KerasTuner calls them
def with_fit(fit):
    return type("Own", (), {"build": staticmethod(build), "fit": staticmethod(fit)})()


@pytest.mark.parametrize(
    ("fit", "words"),
    [
        (lambda hp, model, x, y, **rest: model.fit(x[:5], y, **rest), "computes with x"),
        (lambda hp, model, x, y, **rest: model.fit(L.Normalization()(x), y, **rest), "scale x.*preparation"),
        (lambda hp, model, x, y, **rest: model.fit(y, x, **rest), "pass on x"),
        (lambda hp, model, x, y, **rest: model.evaluate(x, y), "model.evaluate"),
        (lambda hp, model, x, y, **rest: None, "0 times"),
        (lambda hp, model, x, y, **rest: model.fit(x, y, initial_epoch=1, **rest), "sets initial_epoch"),
        (lambda hp, model, x, y, **rest: model.fit(x, y, validation_split=0.3, **rest), "validation_split"),
        (lambda hp, model, x, y, **rest: min(model.fit(x, y, **rest).history["loss"]), "the history"),
        (lambda hp, model, x, y, **rest: (model.fit(x, y, **rest), 0.5)[1], "score of its own"),
        (lambda hp, model, x, y, **rest: model.fit(x, y, class_weight=0.5, **rest), "class_weight"),
    ],
)
def test_a_hypermodel_that_does_more_than_pass_on_is_refused(tmp_path, fit, words):
    with pytest.raises(CaviarError, match=words):
        tuned(with_fit(fit), tmp_path / "study")


def fit_with_validation(hp, model, x, y, validation_data, callbacks=None, **rest):  # noqa: ARG001
    inputs, target = validation_data
    history = model.fit(x, y, validation_data=(inputs, target), callbacks=callbacks, **rest)
    return history.history


@pytest.mark.parametrize(
    ("fit", "batch_size", "epochs"),
    [
        (fit_with_validation, 8, 4),
        (lambda hp, model, x, y, validation_data=None, epochs=3, **rest: model.fit(x, y, 16, epochs), 16, 4),
        (
            lambda hp, model, x, y, validation_data=None, batch_size=9, **rest: model.fit(x, y, batch_size),
            8,
            1,
        ),
        (lambda hp, model, *args, **rest: model.fit(*args, shuffle=False, **rest), 8, 4),
    ],
)
def test_what_a_hypermodel_passes_on_is_what_fit_would_get(fit, batch_size, epochs):
    """What it leaves out is as in `fit`: one epoch, batches of 32."""
    validation = (fit is fit_with_validation) * ("validation_data",)
    searched = Searched(with_fit(fit), 8, 4, rows=validation)
    recipe = searched.recipe(BASE, {}, "one", 3)
    assert (recipe.batch_size, recipe.epochs) == (batch_size, epochs)


def test_of_several_objectives_the_front_is_shown(tmp_path):
    found = tuned(folder=tmp_path / "study", search="nsga", objective=["val_loss", "val_accuracy"], trials=10)
    told = {line.number: line.score for line in found.lines}
    for number in found.front:
        loss, accuracy = told[number]
        beats = [
            n
            for n, (low, high) in told.items()
            if low <= loss and high >= accuracy and (low, high) != (loss, accuracy)
        ]
        assert beats == []
    assert found.record.best in found.front
    with pytest.raises(OptionError, match="one objective"):
        tuned(objective=["val_loss", "val_accuracy"])


@pytest.mark.thorough
@pytest.mark.parametrize("objective", ["val_loss", "val_auc"])
def test_the_best_of_equals_is_not_believed_to_be_better(objective, tmp_path):
    """Trials that differ by the luck of their first weights, on labels without a rule."""

    def lucky(hp):
        first = keras.initializers.RandomNormal(stddev=0.7, seed=hp.Int("seed", 0, 10_000))
        model = keras.Sequential([keras.Input((3,)), L.Dense(1, "sigmoid", kernel_initializer=first)])
        model.compile(keras.optimizers.SGD(1e-3), "binary_crossentropy")
        return model

    coins = np.random.default_rng(3).integers(0, 2, len(Y))
    found = caviar.tune(
        *(lucky, X, coins),
        trials=24,
        epochs=1,
        folds=3,
        objective=objective,
        verbose=0,
        folder=tmp_path / "s",
    )
    worse = -1 if found.record.higher_is_better else 1
    assert worse * (found.score.value - found.naive_score) > 0.01
    assert found.record.gain.low < 0.05
    assert len(found.ties) > 8


def test_defaults_that_fail_are_not_what_the_best_is_compared_with(tmp_path):
    def wild(hp):
        model = keras.Sequential([keras.Input((3,)), L.Dense(1)])
        model.compile(keras.optimizers.SGD(hp.Choice("rate", [1e8, 1e-6, 1e-5])), "mse")
        return model

    found = caviar.tune(
        *(wild, 100 * X, X[:, 0]), trials=3, epochs=40, folds=2, verbose=0, folder=tmp_path / "study"
    )
    assert found.lines[0].why
    assert found.record.gain is None
    assert "defaults failed" in found.record.sentence


def test_a_score_that_is_no_mean_over_rows_is_corrected_on_the_rows_held_out(tmp_path):
    """The error of squares, on validation rows alone: no other row has a prediction."""

    def linear(hp):
        model = keras.Sequential([keras.Input((3,)), L.Dense(1)])
        model.compile(keras.optimizers.SGD(hp.Float("rate", 1e-4, 0.1, sampling="log")), "mse")
        return model

    found = caviar.tune(
        *(linear, X, X[:, 0]), trials=5, epochs=5, validation_split=0.3, verbose=0, folder=tmp_path / "study"
    )
    assert found.record.metric == "root mean squared error"
    assert found.score.contains(found.naive_score)
    assert found.record.gain.low > 0  # the lowest rate is the default


def test_another_patience_is_another_search(tmp_path):
    def stopping(patience):
        return {"callbacks": [keras.callbacks.EarlyStopping(patience=patience)], "trials": 1}

    tuned(folder=tmp_path / "study", **stopping(2))
    with pytest.raises(OptionError, match="fit arguments"):
        tuned(folder=tmp_path / "study", **stopping(3))


def test_a_table_has_a_space_of_its_own_whose_default_is_the_table_network(tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("a,b,y\n" + "\n".join(f"{a},{b},{'yes' if a > b else 'no'}" for a, b in X[:60, :2]))
    found = tune_table(rows, "y", trials=2, epochs=2, folds=2, quiet=True, out=tmp_path / "study")
    assert found.lines[0].settings["learning_rate"] == 1e-3
    assert set(found.lines[0].settings) >= {
        "batch_size",
        "initializer",
        "optimizer",
        "penalty",
        "depth",
        "width",
        "decay",
    }
    with pytest.raises(OptionError, match=r"^Expected a batch size only"):
        tune_table(rows, "y", batch_size=8, quiet=True, out=tmp_path / "other")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"options": 3}, "options as a dict of names and values, got 3"),
        ({"metric": ["log-loss", "auc", "log-loss"], "search": "tpe"}, "objectives, got log-loss twice"),
    ],
)
def test_what_the_search_of_a_table_cannot_be_asked_for_is_one_sentence(tmp_path, given, words):
    with pytest.raises(OptionError, match=words):
        tune_table((X, Y), quiet=True, out=tmp_path / "study", **given)
    assert not (tmp_path / "study").exists()


def for_five_columns(hp):
    model = keras.Sequential([keras.Input((5,)), L.Dense(1, "sigmoid")])
    model.compile(keras.optimizers.Adam(hp.Float("rate", 1e-4, 1e-1)), "binary_crossentropy")
    return model


BAD = [
    ({"builder": lambda hp: keras.Sequential()}, "asks hp for something"),
    ({"builder": lambda hp: hp.Float("rate", 1.0, 0.1)}, "Swap"),
    ({"builder": lambda hp: hp.Float("rate", 0.0, 0.1, sampling="log")}, "above 0"),
    ({"builder": 3}, "builder"),
    ({"search": "luck"}, "random"),
    ({"trials": 0}, "Expected trials"),
    ({"objective": "val_beauty"}, "beauty"),
    ({"objective": []}, "objective"),
    ({"epochs": lambda hp: "three"}, "epochs"),
    ({"start": [{"rate": 7.0}]}, "rate"),
    ({"start": [{"speed": 7.0}]}, "speed"),
    ({"minutes": 1e-6}, "time"),
    ({"preparation": "magic"}, "preparation"),
    ({"builder": for_five_columns}, "shape"),
    ({"callbacks": ["a"]}, "Keras callbacks, got str"),
    ({"callbacks": 3}, "Keras callbacks, got int"),
    ({"objective": 3}, "objective's name"),
    ({"folds": None}, "folds"),
    ({"options": 3}, "options as a dict of names and values, got 3"),
    ({"options": None}, "options as a dict of names and values, got None"),
    (
        {"search": "tpe", "objective": ["val_loss", "auc", "log-loss"]},
        "different objectives, got log-loss twice",
    ),
    ({"sample_weight": [1.0] * 89}, "a number for each of the 90 rows, got 89"),
    ({"sample_weight": [float("nan")] + [1.0] * 89}, "not below 0, got 1 that are otherwise, such as nan"),
    ({"sample_weight": [-1.0, float("inf")] + [1.0] * 88}, "got 2 that are otherwise, such as -1"),
    ({"builder": keras.Sequential([keras.Input((3,)), L.Dense(1)])}, "function that builds and compiles"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD, ids=[words for _, words in BAD])
def test_bad_input_is_one_sentence(tmp_path, arguments, words):
    with pytest.raises(CaviarError, match=words) as told:
        tuned(**{"folder": tmp_path / "study"} | arguments)
    assert str(told.value).startswith("Expected")
    assert not (tmp_path / "study").exists() or "minutes" in arguments


def test_fit_arguments_mean_what_they_mean_in_keras_fit(tmp_path):
    """None is Keras' default, and one callback is a list of one."""
    usual = tuned(folder=tmp_path / "usual", trials=2, epochs=1)
    none = {"callbacks": None, "batch_size": None, "validation_split": None}
    assert tuned(folder=tmp_path / "none", trials=2, epochs=1, **none).lines[1].score == usual.lines[1].score
    one = keras.callbacks.EarlyStopping(patience=1)
    found = tuned(folder=tmp_path / "one", trials=1, epochs=1, callbacks=one)
    assert found.best.callbacks == (one,)


@pytest.mark.thorough
def test_how_much_a_setting_counts_is_said_by_the_trials_before_the_last_round(tmp_path):
    def rows_too(hp):
        return hp.Choice("batch_size", [16, 32])

    found = tuned(folder=tmp_path / "study", trials=28, epochs=1, folds=2, batch_size=rows_too)
    told = [outcome(found._study, line) for line in found.lines]
    assert len(told) > 20
    assert found.record.importance == importances(told[:20], found.space)
    assert found.record.importance != importances(told, found.space)
