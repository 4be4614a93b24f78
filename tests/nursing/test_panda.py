"""Facts about steering a training from Python: it is what Keras does, and going back is exact."""

import json

import numpy as np
import pytest

import caviar
from caviar.errors import OptionError, RunError
from caviar.nursing import stage
from caviar.nursing.log import read_log
from caviar.population import devices
from caviar.population.train import NotTogether, train
from tests.nursing.conftest import FIT, SEED, Stage, build, keras_alone

devices.start()

import keras  # noqa: E402

BREAKS = 3e38
"""A rate after which outputs of the first layer are infinite. Weights that only multiply to infinity may cancel out
where a processor multiplies and adds in one operation, which has no product that is too large."""


@pytest.fixture
def nursed(rows):
    """A training before its first epoch."""
    return caviar.panda(build, *rows, seed=SEED)


def losses(panda, branch: str | None = None) -> np.ndarray:
    history = panda.history if branch is None else panda.curves(branch)
    return history["loss"].values[0]


def test_twelve_epochs_and_eight_more_are_the_twenty_of_keras_fit(rows, nursed):
    x, y = rows
    nursed.train(12)
    nursed.train(8)
    keras.utils.set_random_seed(SEED)
    model = build()
    fitted = model.fit(
        x[:FIT], y[:FIT], batch_size=32, epochs=20, validation_data=(x[FIT:], y[FIT:]), verbose=0
    )
    for name, values in fitted.history.items():
        np.testing.assert_allclose(nursed.history[name].values[0], values, atol=2e-6)
    said = nursed.model().models[0].predict(x, verbose=0)
    np.testing.assert_allclose(said, model.predict(x, verbose=0), atol=2e-5)


@pytest.mark.parametrize(
    ("change", "then"),
    [
        pytest.param({"learning_rate": 0.001}, Stage(4, rate=0.001), id="rate"),
        pytest.param({"batch_size": 10}, Stage(4, batch_size=10), id="batch", marks=pytest.mark.thorough),
        pytest.param({"dropout": 0.6}, Stage(4, dropout=0.6), id="dropout"),
        pytest.param({"dropout": 0}, Stage(4, dropout=0.0), id="no dropout", marks=pytest.mark.thorough),
        pytest.param({"weight_decay": 0.5}, Stage(4, decay=0.5), id="decay", marks=pytest.mark.thorough),
    ],
)
def test_what_is_set_on_the_way_gives_what_keras_gives_from_there_on(rows, nursed, change, then):
    """The optimizer's state stays; the effect of each change is far larger than the tolerance."""
    x, y = rows
    nursed.train(4)
    nursed.set(**change)
    nursed.train(4)
    expected, model = keras_alone(x[:FIT], y[:FIT], [Stage(4), then])
    unchanged, _ = keras_alone(x[:FIT], y[:FIT], [Stage(8)])
    np.testing.assert_allclose(losses(nursed), expected, atol=2e-6)
    assert np.abs(np.subtract(expected, unchanged))[4:].max() > 1e-3
    said = nursed.model().models[0].predict(x, verbose=0)
    np.testing.assert_allclose(said, model.predict(x, verbose=0), atol=2e-5)


def test_going_back_and_training_alike_gives_the_same_curve_on_a_branch(nursed):
    nursed.train(10)
    nursed.rewind(6)  # was not kept: it is trained up to again
    nursed.train(4)
    assert nursed.branches == ["1", "2"]
    np.testing.assert_allclose(losses(nursed), losses(nursed, "1"), atol=1e-6)
    assert {0, 6, 10} <= set(nursed.kept)


@pytest.mark.thorough
def test_a_branch_starts_with_what_was_set_where_it_leaves(nursed):
    nursed.train(2)
    nursed.set(learning_rate=0.1)
    nursed.train(2)
    nursed.rewind(1)
    assert nursed.settings["learning_rate"] == pytest.approx(0.02)
    nursed.train(1)
    nursed.rewind(4, branch="1")
    assert nursed.settings["learning_rate"] == 0.1
    nursed.train(1)  # its end: it grows on
    assert nursed.branches == ["1", "2"]
    facts = {one.name: one for one in nursed.compare()}
    assert (facts["1"].epochs, facts["2"].epochs, facts["2"].start) == (5, 2, 1)
    assert facts["2"].parent == "1"
    assert facts["1"].watched == pytest.approx(facts["1"].val_loss, abs=1e-5)


@pytest.mark.thorough
def test_what_was_set_and_not_trained_with_yet_stays_set_behind_a_rewind(nursed):
    """Who changes a rate and then goes back means to train on with that rate."""
    nursed.train(3)
    nursed.set(learning_rate=1e-4)
    nursed.rewind(1)
    nursed.train(2)
    assert nursed.log.branches[1].stages[0].settings.learning_rate == 1e-4
    assert not np.allclose(losses(nursed, "2")[1:], losses(nursed, "1")[1:])
    nursed.rewind(2, branch="1")
    nursed.train(1)
    np.testing.assert_allclose(losses(nursed, "3"), losses(nursed, "1"), atol=1e-6)
    assert ["learning rate" in one.settings for one in nursed.compare()] == [True] * 3


def test_a_log_carried_out_on_the_same_seed_gives_the_same_curve(rows, nursed, tmp_path):
    nursed.train(3)
    nursed.set(learning_rate=0.005, dropout=0.5)
    nursed.train(3)
    nursed.rewind(4)
    nursed.set(batch_size=16)
    nursed.train(2)
    other = caviar.panda(build, *rows, seed=SEED, out=tmp_path / "run")
    other.follow(nursed.log)
    np.testing.assert_allclose(losses(other), losses(nursed), atol=1e-6)
    written = read_log(tmp_path / "run")
    assert written == other.log
    assert [stage.settings.batch_size for stage in written.stages("1", 6)] == [32, 32, 16]
    curves = json.loads((tmp_path / "run" / "curves.json").read_text())
    np.testing.assert_allclose(curves["1"]["loss"][0], losses(other), atol=1e-6)


@pytest.mark.thorough
def test_models_beside_each_other_are_those_that_train_alone(rows, nursed):
    several = caviar.panda(build, *rows, seed=SEED - 1, models=2)
    for one in (several, nursed):
        one.train(2)
        one.set(learning_rate=0.2)
        one.train(2)
    np.testing.assert_allclose(several.history["loss"].values[1], losses(nursed), atol=1e-5)
    assert len(several.model().models) == 2


def test_memory_is_bounded_and_the_last_state_of_every_branch_stays(nursed):
    nursed._course.states.budget = 2000
    for _ in range(4):
        nursed.train(1)
    assert nursed.kept[-1] == 4
    assert len(nursed.kept) < 5
    nursed.rewind(2)
    nursed.train(2)
    np.testing.assert_allclose(losses(nursed), losses(nursed, "1"), atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 0},
        {"learning_rate": float("nan")},
        {"learning_rate": "fast"},
        {"dropout": 1},
        {"dropout": -0.1},
        {"weight_decay": -1},
        {"batch_size": 0},
        {"batch_size": 2.5},
        {"batch_size": FIT + 1},
        {},
    ],
)
def test_values_that_mean_nothing_are_refused_and_change_nothing(nursed, change):
    before = nursed.settings
    with pytest.raises(OptionError, match=r"^Expected"):
        nursed.set(**change)
    assert nursed.settings == before


def test_what_a_network_does_not_have_cannot_be_set(rows):
    def plain():
        model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1, "sigmoid")])
        schedule = keras.optimizers.schedules.CosineDecay(0.1, 100)
        model.compile(keras.optimizers.SGD(schedule), "binary_crossentropy")
        return model

    panda = caviar.panda(plain, *rows)
    with pytest.raises(OptionError, match=r"Put keras\.layers\.Dropout into the builder"):
        panda.set(dropout=0.3)
    with pytest.raises(OptionError, match="schedule of its own"):
        panda.set(learning_rate=0.3)
    assert "learning_rate" not in panda.settings


@pytest.mark.parametrize("epoch", [-1, 3, 1.5, True])
def test_only_epochs_that_were_trained_can_be_gone_back_to(nursed, epoch):
    nursed.train(2)
    with pytest.raises(OptionError, match="from 0 to 2"):
        nursed.rewind(epoch)
    with pytest.raises(OptionError, match="There are 1"):
        nursed.rewind(1, branch="9")


def test_models_that_were_not_trained_are_not_handed_over(nursed):
    with pytest.raises(OptionError, match="before its first epoch"):
        nursed.model()
    with pytest.raises(OptionError, match="at least 1"):
        nursed.train(0)


def test_a_file_that_is_no_log_is_refused(nursed, tmp_path):
    nursed.train(1)
    text = nursed.log.model_dump_json()
    (tmp_path / "log.json").write_text(text.replace('"last":1', '"last":0'))
    for path in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(RunError, match=r"^Expected"):
            read_log(path)


@pytest.mark.thorough
def test_models_that_cannot_train_as_a_population_are_steered_alike(nursed, rows, monkeypatch):
    """One model after the other, by Keras' own `fit`: the same curve on both sides of a change."""

    def alone(job, monitor=None):
        if job.numbers:
            raise NotTogether("it is the test that says so")
        return train(job, monitor, one_by_one=True)

    for one in (nursed, caviar.panda(build, *rows, seed=SEED)):
        one.train(3)
        one.set(dropout=0.5, learning_rate=0.1)
        one.train(3)
        if one is nursed:
            monkeypatch.setattr(stage, "train", alone)
    assert one._course.engine == "loop"
    np.testing.assert_allclose(losses(one), losses(nursed), atol=1e-5)


def falling(epoch: int, rate: float) -> float:
    return rate * 0.7 if epoch % 2 else rate


def test_a_schedule_of_rates_is_carried_out_as_in_one_fit_however_epochs_are_divided(rows):
    x, y = rows
    scheduled = caviar.panda(
        build, *rows, seed=SEED, callbacks=[keras.callbacks.LearningRateScheduler(falling)]
    )
    for epochs in (1, 3, 4):
        scheduled.train(epochs)
    keras.utils.set_random_seed(SEED)
    model = build()
    schedule = keras.callbacks.LearningRateScheduler(falling)
    fitted = model.fit(x[:FIT], y[:FIT], batch_size=32, epochs=8, callbacks=[schedule], verbose=0)
    np.testing.assert_allclose(losses(scheduled), fitted.history["loss"], atol=2e-6)
    assert "learning_rate" not in scheduled.settings
    scheduled.rewind(2)
    scheduled.set(dropout=0.5)
    scheduled.train(1)
    with pytest.raises(OptionError, match="a callback sets it"):
        scheduled.set(learning_rate=0.1)
    with pytest.raises(OptionError, match="LearningRateScheduler"):
        caviar.panda(build, *rows, seed=SEED).follow(scheduled.log)


def test_a_training_ends_where_its_loss_is_no_number_if_a_callback_asks_for_that(rows):
    stopping = caviar.panda(build, *rows, seed=SEED, callbacks=keras.callbacks.TerminateOnNaN())
    stopping.train(2)
    stopping.set(learning_rate=BREAKS)
    stopping.train(3)
    assert np.isfinite(losses(stopping)[:2]).all()
    assert not np.isfinite(losses(stopping)[3:]).any()
    stopping.rewind(2)
    stopping.set(learning_rate=0.01)
    stopping.train(1)
    assert np.isfinite(losses(stopping)).all()


@pytest.mark.parametrize(
    "callback",
    [keras.callbacks.EarlyStopping(), keras.callbacks.ReduceLROnPlateau(), keras.callbacks.Callback()],
)
def test_callbacks_that_may_remember_earlier_epochs_are_refused_by_name(rows, callback):
    with pytest.raises(OptionError, match=f"{type(callback).__name__} may remember"):
        caviar.panda(build, *rows, callbacks=[callback])


def test_a_callback_that_only_writes_files_is_refused_because_parts_would_write_them_anew(rows):
    with pytest.raises(OptionError, match="got ModelCheckpoint, which would write its files anew"):
        caviar.panda(build, *rows, callbacks=[keras.callbacks.ModelCheckpoint("best.keras")])


def test_averaged_weights_are_refused_because_pauses_would_show(rows):
    def averaged():
        model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1, "sigmoid")])
        model.compile(keras.optimizers.SGD(0.1, use_ema=True), "binary_crossentropy")
        return model

    with pytest.raises(OptionError, match="use_ema"):
        caviar.panda(averaged, *rows)


def test_a_training_that_breaks_is_told_and_can_be_gone_back_from(nursed):
    nursed.train(1)
    nursed.set(learning_rate=BREAKS)
    nursed.train(2)
    assert nursed.compare()[0].val_loss is None
    assert nursed.log.watched is None
    nursed.rewind(1)
    nursed.train(1)
    assert np.isfinite(losses(nursed)).all()


def test_rows_of_any_shape_are_taken_as_a_network_gets_them(rows):
    x, y = rows
    count = x.shape[1]

    def build(*first):
        layers = [*first, keras.layers.Conv1D(2, 2), keras.layers.Flatten(), keras.layers.Dense(1)]
        model = keras.Sequential(layers)
        model.compile("sgd", "mse")
        return model

    shaped = caviar.panda(lambda: build(keras.Input((count, 1))), x[:, :, None], y, epochs=2)
    flat = caviar.panda(
        lambda: build(keras.Input((count,)), keras.layers.Reshape((count, 1))), x, y, epochs=2
    )
    shaped.train(2)
    flat.train(2)
    np.testing.assert_allclose(losses(shaped), losses(flat), rtol=1e-5)
