"""Searches whose trials go on with others: the same numbers as whole trainings, judged on rows that nobody saw."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from caviar.errors import OptionError
from caviar.measuring.measure import measure
from caviar.population import devices
from caviar.recipe.hyperparameters import HyperParameters
from caviar.run.study import StudyFolder, complete
from caviar.searching.tune import search_options
from tests.searching.test_tune import X, Y, tuned

devices.start()
import keras  # noqa: E402 - only once JAX is its backend

SEARCHES = ("halving", "halving-folds", "hyperband", "hyperband-folds", "pbt")


def rated(hp):
    """Rates far too low, and good ones."""
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(1, "sigmoid")]
    )
    rate = hp.Float("rate", 1e-5, 1.0, sampling="log")
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy")
    return model


def log_loss_of_fit(line, x, y, x_apart, y_apart, seed):
    """What Keras' own `fit` comes to on other rows, with the rates of a trial one after the other."""
    keras.utils.set_random_seed(seed + 1)
    rates = [(settings["rate"], until) for settings, until in line.stages]
    hp = HyperParameters()
    model, done = rated(hp), 0
    for rate, until in [*rates, (line.settings["rate"], 9)]:
        model.optimizer.learning_rate.assign(rate)
        if done:
            np.random.seed(seed + 1)  # noqa: NPY002 - `fit` draws the order of its rows there
            for _ in range(1 + done):  # the first one fixes shapes
                np.random.permutation(len(x))  # noqa: NPY002
        model.fit(x, y, epochs=until, initial_epoch=done, verbose=0)
        done = until
    chance = model.predict(x_apart, verbose=0)[:, 0].astype(float)
    return -np.mean(np.log(np.where(y_apart == 1, chance, 1 - chance)))


@pytest.mark.thorough
@pytest.mark.parametrize("search", SEARCHES)
def test_the_winner_is_judged_on_rows_that_no_trial_saw(search, tmp_path):
    found = tuned(rated, folder=tmp_path / "study", search=search, trials=9, epochs=9, folds=3)
    apart = found.record.apart
    assert apart == len(Y) // 5
    best = found.lines[found.record.best]
    seen = np.isfinite(found._study.folder.oof(best)).all(axis=(0, 2))
    assert seen.sum() == len(Y) - apart
    expected = np.mean([log_loss_of_fit(best, X[seen], Y[seen], X[~seen], Y[~seen], k) for k in range(5)])
    assert found.score.value == pytest.approx(expected, rel=1e-3)
    assert "on rows that no trial saw" in found.record.sentence
    assert found.score.low < found.score.value < found.score.high
    assert complete(found.lines)[0].share == 1.0


@pytest.mark.parametrize("search", ["halving", "hyperband", "halving-folds"])
def test_a_trial_that_was_trained_in_parts_is_the_trial_trained_at_once(search, tmp_path):
    found = tuned(rated, folder=tmp_path / "study", search=search, trials=9, epochs=9, folds=3)
    study = found._study
    whole = [line for line in complete(found.lines) if line.source is not None]
    assert whole
    for line in whole:
        again = measure(study.bench, study.recipe(line))
        assert line.fold_scores == pytest.approx(again.scores["log-loss"], rel=1e-3)
        np.testing.assert_allclose(study.folder.oof(line), again.oof, atol=1e-4)


def test_the_best_third_goes_on_for_three_times_as_long(tmp_path):
    found = tuned(rated, folder=tmp_path / "study", search="halving", trials=9, epochs=9, folds=3)
    assert [line.epochs for line in found.lines] == [1] * 9 + [3] * 3 + [9]
    first = sorted(found.lines[:9], key=lambda line: line.score)
    assert {line.source for line in found.lines[9:12]} == {line.number for line in first[:3]}
    curves = np.load(next(iter(sorted((tmp_path / "study" / "histories").iterdir())[-1:])))
    assert curves["12/loss"].shape == (3, 6)  # it trained the last six of nine epochs only


def test_settings_that_cannot_go_on_are_trained_anew(tmp_path):
    """Early stopping remembers: each part begins at the first epoch, and says what the whole one says."""
    watching = [keras.callbacks.EarlyStopping(patience=4, restore_best_weights=True)]
    found = tuned(
        rated,
        folder=tmp_path / "study",
        search="halving",
        trials=4,
        options={"eta": 2},
        epochs=6,
        folds=3,
        callbacks=watching,
    )
    last = complete(found.lines)[-1]
    again = measure(found._study.bench, found._study.recipe(last))
    assert last.fold_scores == pytest.approx(again.scores["log-loss"], rel=1e-3)


def test_population_based_training_finds_a_schedule_that_can_be_trained_again(tmp_path):
    found = tuned(rated, folder=tmp_path / "study", search="pbt", trials=10, epochs=8, folds=3)
    assert len(found.lines) == 40
    changed = [line for line in complete(found.lines) if line.stages]
    assert changed
    line = changed[0]
    again = measure(found._study.bench, found._study.recipe(line))
    assert line.fold_scores == pytest.approx(again.scores["log-loss"], rel=1e-3)
    said = found.model(line.number).models[0].predict(X, verbose=0)
    assert np.isfinite(said).all()


@pytest.mark.parametrize("epochs", [1, 3])
def test_settings_that_came_too_late_for_an_epoch_are_no_part_of_a_schedule(epochs, tmp_path):
    """A quarter of one or three epochs may be none: a changed copy then is what it was copied from."""
    settings = {"search": "pbt", "trials": 3, "epochs": epochs, "folds": 2}
    found = tuned(rated, folder=tmp_path / "study", **settings)
    assert len(found.lines) == 12
    for line in found.lines:
        ends = [until for _, until in line.stages]
        assert ends == sorted(set(ends))
        assert all(1 <= end <= line.epochs for end in ends)
    copied = [line for line in found.lines if not line.has_own_epochs]
    assert copied
    for line in copied:
        assert line.score == pytest.approx(found.lines[line.source].score, rel=1e-4)
    assert not set(found.record.ties) & {line.number for line in copied}
    assert found.lines[found.record.best].has_own_epochs
    said = found.model(copied[-1].number).models[0].predict(X, verbose=0)
    assert np.isfinite(said).all()
    again = tuned(rated, folder=tmp_path / "study", **settings)
    assert again.record.sentence == found.record.sentence


@pytest.mark.thorough
def test_a_dropout_rate_that_arrives_at_0_or_leaves_it_costs_no_trial(tmp_path):
    def dropping(hp):
        drop = hp.Float("drop", 0.0, 0.5)
        hidden = [keras.layers.Dense(4, "tanh"), keras.layers.Dropout(drop)]
        model = keras.Sequential([keras.Input((3,)), *hidden, keras.layers.Dense(1, "sigmoid")])
        model.compile(keras.optimizers.Adam(0.03), "binary_crossentropy")
        return model

    found = tuned(dropping, folder=tmp_path / "study", search="pbt", trials=12, epochs=8, folds=3)
    assert not [line.why for line in found.lines if line.why]
    crossing = [
        line
        for line in complete(found.lines)
        if line.stages and 0.0 in [settings["drop"] for settings in (line.settings, line.stages[-1][0])]
    ]
    assert crossing
    again = measure(found._study.bench, found._study.recipe(crossing[0]))
    assert crossing[0].fold_scores == pytest.approx(again.scores["log-loss"], rel=1e-3)


def test_what_remembers_cannot_be_changed_on_the_way(tmp_path):
    with pytest.raises(OptionError, match="EarlyStopping may remember"):
        tuned(
            rated,
            folder=tmp_path / "study",
            search="pbt",
            callbacks=[keras.callbacks.EarlyStopping()],
        )
    assert not (tmp_path / "study").exists()


def test_an_option_that_the_search_does_not_have_is_refused(tmp_path):
    with pytest.raises(OptionError, match=r"options of 'halving' \(eta, least\), got 'etta'"):
        tuned(folder=tmp_path / "study", search="halving", options={"etta": 2})
    with pytest.raises(OptionError, match="it has none"):
        tuned(folder=tmp_path / "study", search="random", options={"eta": 2})


@pytest.mark.parametrize(
    ("search", "options", "what"),
    [
        ("halving", {"eta": 2.5}, "eta as a whole number, got 2.5"),
        ("hyperband", {"eta": "4"}, "eta as a whole number, got '4'"),
        ("hyperband", search_options(["eta=foo"]), "eta as a whole number, got 'foo'"),
        ("hyperband", search_options(["eta=2,3"]), r"eta as a whole number, got \('2', '3'\)"),
        ("pbt", {"generations": 2.5}, "generations as a whole number"),
        ("pbt", {"explored": 0.5}, "explored as names, got 0.5"),
        ("pbt", {"explored": "rate"}, "explored as names, got 'rate'"),
        ("coarse", {"levels": ("two",)}, "levels as a whole number"),
        ("halving", {"least": float("nan")}, "least as a number, got nan"),
        ("grid", {"points": 0}, "points of at least 1"),
        ("tpe", {"journal": "elsewhere.log"}, r"options of 'tpe' \(generation\)"),
    ],
)
def test_an_option_of_another_kind_is_refused_before_anything_is_written(tmp_path, search, options, what):
    with pytest.raises(OptionError, match=what):
        tuned(folder=tmp_path / "study", search=search, options=options)
    assert not (tmp_path / "study").exists()


def test_a_search_with_options_of_any_type_is_gone_on_with(tmp_path):
    """On disk, numbers and names are those of JSON."""
    given = {"search": "pbt", "trials": 2, "epochs": 1, "folds": 2}
    options = {"explored": ("rate",), "generations": np.int64(1), "stride": np.float32(0.5)}
    found = tuned(rated, folder=tmp_path / "study", options=options, **given)
    again = tuned(rated, folder=tmp_path / "study", options=options | {"explored": ["rate"]}, **given)
    assert again.record.sentence == found.record.sentence
    with pytest.raises(OptionError, match="options with which the search in this folder began"):
        tuned(rated, folder=tmp_path / "study", options={"generations": 1}, **given)


@pytest.mark.parametrize("said", ["eta", "eta=", "=4", "eta=nan"])
def test_an_option_that_is_not_written_as_one_is_refused(said):
    with pytest.raises(OptionError, match="name=number"):
        search_options([said])


@pytest.mark.thorough
@pytest.mark.parametrize("search", ["halving", "pbt"])
def test_a_search_in_parts_that_was_killed_ends_as_one_that_was_not(search, tmp_path):
    script = tmp_path / "search.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys, time
            import caviar.searching.trials
            from tests.searching.test_tune_in_parts import rated
            from tests.searching.test_tune import tuned
            from caviar.run.study import StudyFolder
            add = StudyFolder.add
            def slowly(self, *given):
                add(self, *given)
                print("kept", flush=True)
                time.sleep(float(sys.argv[2]))
            StudyFolder.add = slowly
            tuned(rated, folder=sys.argv[1], search={search!r}, trials=9, epochs=9, folds=3)
            """
        )
    )
    command = [sys.executable, str(script), str(tmp_path / "killed")]
    running = subprocess.Popen(
        [*command, "600"], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    with running:
        assert running.stdout is not None
        assert any(b"kept" in line for line in running.stdout)
        running.send_signal(signal.SIGKILL)
    assert len(StudyFolder(tmp_path / "killed").lines()) == 9
    settings = {"search": search, "trials": 9, "epochs": 9, "folds": 3}
    after = tuned(rated, folder=tmp_path / "killed", **settings)
    straight = tuned(rated, folder=tmp_path / "straight", **settings)
    assert [line.settings for line in after.lines] == [line.settings for line in straight.lines]
    for one, other in zip(after.lines, straight.lines, strict=True):
        assert one.fold_scores[0] == pytest.approx(other.fold_scores[0], rel=1e-3)


def test_defaults_that_win_after_several_parts_are_called_so(tmp_path):
    """All other rates get nowhere."""

    def one_good(hp):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, "sigmoid")])
        rate = hp.Float("rate", 1e-7, 1e-6, default=1e-6)
        model.compile(keras.optimizers.Adam(0.1 if rate == 1e-6 else rate), "binary_crossentropy")
        return model

    found = tuned(one_good, folder=tmp_path / "study", search="halving", trials=6, epochs=9, folds=3)
    assert found.record.best != 0
    assert found.lines[found.record.best].settings == found.lines[0].settings
    assert "These are the builder's defaults" in found.record.sentence
    page = (tmp_path / "study" / "report.html").read_text(encoding="utf-8")
    assert "had a part of a training" in page
