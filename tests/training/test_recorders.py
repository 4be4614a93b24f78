"""Each member of a population leaves the files that Keras' callbacks leave beside `fit`, under a name of its own."""

import csv
import importlib.util
from functools import partial

import h5py
import numpy as np
import pytest

import caviar
from caviar.errors import ModelError, OptionError
from caviar.population import devices

devices.start()
import keras  # noqa: E402 - only once JAX is its backend

from caviar.population.template import global_seeds_restored  # noqa: E402

C = keras.callbacks
L = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype("float32")
Y = (X[:, :1] * X[:, 1:2] + 0.3 * RNG.normal(size=(60, 1))).astype("float32")


def build(rate=0.4, units=6):
    """So fast that losses jump, and best epochs lie in the middle."""
    layers = [L.Dense(units, "relu"), L.BatchNormalization(), L.Dropout(0.2), L.Dense(1)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile(keras.optimizers.Adam(rate), "mse", metrics=["mae"])
    return model


def plain(units=1):
    """Compiles fast."""
    model = keras.Sequential([keras.Input((4,)), L.Dense(units), L.Dense(1)])
    model.compile("sgd", "mse")
    return model


ARGUMENTS = {"epochs": 12, "batch_size": 16, "validation_split": 0.3}


def alone(builder, seed, callbacks, **arguments):
    with global_seeds_restored():
        keras.utils.set_random_seed(seed)
        model = builder()
        history = model.fit(X, Y, verbose=0, callbacks=callbacks, **{**ARGUMENTS, **arguments})
    return model, history.history


def together(callbacks, builder=build, **arguments):
    return caviar.fit(builder, X, Y, verbose=0, callbacks=callbacks, **{**ARGUMENTS, **arguments})


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def content(model):
    groups = (model.trainable_variables, model.non_trainable_variables, model.optimizer.variables)
    return [v.numpy() for group in groups for v in group if "seed_generator" not in v.path]


def assert_same_model(ours, theirs):
    """Weights, moving statistics and the optimizer's state, from whole models as files."""
    ours, theirs = (keras.saving.load_model(path, safe_mode=True) for path in (ours, theirs))
    for one, other in zip(content(ours), content(theirs), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4, rtol=1e-3)
    np.testing.assert_allclose(ours.predict(X, verbose=0), theirs.predict(X, verbose=0), atol=1e-4)
    return int(theirs.optimizer.iterations)


def flat(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.__setitem__(name, item[()]) if hasattr(item, "dtype") else None
        )
    return found


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("changes", "best"),
    [
        ({"save_best_only": True}, True),
        ({"save_best_only": True, "monitor": "mae", "mode": "max"}, True),
        ({"save_best_only": True, "monitor": "loss", "initial_value_threshold": 0.95}, True),
        ({}, False),
    ],
    ids=["val_loss", "the worst mae", "what beats a threshold", "the last epoch"],
)
def test_a_checkpoint_holds_what_keras_holds(changes, best, tmp_path):
    """Two seeds; the optimizer's count of steps tells the epoch."""
    slow = C.ReduceLROnPlateau("val_loss", patience=1, factor=0.5, min_delta=1e-3)
    history = together([C.ModelCheckpoint(tmp_path / "ours.keras", **changes), slow], seeds=2)
    assert history.attrs["engine"] == "population"
    assert names(tmp_path) == ["ours-seed=0.keras", "ours-seed=1.keras"]
    epochs = []
    for seed in range(2):
        theirs = tmp_path / f"theirs{seed}.keras"
        slow = C.ReduceLROnPlateau("val_loss", patience=1, factor=0.5, min_delta=1e-3)
        alone(build, seed, [C.ModelCheckpoint(theirs, **changes), slow])
        epochs.append(assert_same_model(tmp_path / f"ours-seed={seed}.keras", theirs) / 3)
    assert (min(epochs) < 12) == best


def test_the_rate_in_the_file_is_that_of_the_moment(tmp_path):
    """Behind a callback that lowers the rate the file has the lower one, before it the higher one."""
    rates = {}
    for order in ("before", "behind"):
        slow = C.ReduceLROnPlateau("loss", patience=0, min_delta=100.0, factor=0.5)
        keep = C.ModelCheckpoint(tmp_path / f"{order}.keras")
        together([keep, slow] if order == "before" else [slow, keep], plain, epochs=3)
        rates[order] = float(keras.saving.load_model(tmp_path / f"{order}.keras").optimizer.learning_rate)
    assert rates["before"] == pytest.approx(2 * rates["behind"])


@pytest.mark.thorough
def test_weights_alone_are_the_file_that_keras_writes(tmp_path):
    keep = partial(C.ModelCheckpoint, save_weights_only=True, save_best_only=True)
    together(keep(tmp_path / "ours.weights.h5"))
    alone(build, 0, [keep(tmp_path / "theirs.weights.h5")])
    ours, theirs = flat(tmp_path / "ours.weights.h5"), flat(tmp_path / "theirs.weights.h5")
    assert set(ours) == set(theirs)
    assert any(name.startswith("optimizer") for name in ours)
    for name, value in theirs.items():
        if "seed_generator" not in name:
            np.testing.assert_allclose(ours[name], value, atol=2e-4, rtol=1e-3, err_msg=name)


@pytest.mark.thorough
def test_placeholders_name_the_last_best_epoch(tmp_path):
    path = "{epoch:02d}-{val_loss:.3f}.keras"
    (tmp_path / "theirs").mkdir()
    alone(build, 1, [C.ModelCheckpoint(tmp_path / "theirs" / path, save_best_only=True)])
    together(C.ModelCheckpoint(tmp_path / "ours" / path, save_best_only=True), seeds=[1])
    assert len(names(tmp_path / "theirs")) > 1, "there was more than one improvement"
    assert names(tmp_path / "ours") == names(tmp_path / "theirs")[-1:]


def test_a_training_taken_up_again_leaves_the_same_file(tmp_path):
    """What a checkpoint holds is kept with the rest of a member's state."""
    path, contents = tmp_path / "a.keras", []
    for _ in range(2):
        together(C.ModelCheckpoint(path, save_best_only=True), plain, folder=tmp_path / "kept", epochs=3)
        contents.append(content(keras.saving.load_model(path, safe_mode=True)))
        path.unlink()
    for one, other in zip(*contents, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_never_beats_its_threshold_leaves_no_file(tmp_path):
    never = C.ModelCheckpoint(tmp_path / "a.keras", save_best_only=True, initial_value_threshold=-1.0)
    together(never, plain)
    assert names(tmp_path) == []


@pytest.mark.thorough
def test_a_stopped_member_keeps_the_state_of_its_last_epoch(tmp_path):
    """Best weights go back into the model after the file was written."""
    callbacks = {
        name: [
            C.EarlyStopping("val_loss", patience=1, min_delta=1e-3, restore_best_weights=True),
            C.ModelCheckpoint(tmp_path / f"{name}.keras"),
        ]
        for name in ("ours", "theirs")
    }
    together(callbacks["ours"])
    _, logs = alone(build, 0, callbacks["theirs"])
    steps = assert_same_model(tmp_path / "ours.keras", tmp_path / "theirs.keras")
    assert steps == 3 * len(logs["loss"]) < 36


@pytest.mark.thorough
def test_moving_averages_are_not_yet_in_the_file(tmp_path):
    def averaged():
        model = build()
        model.compile(keras.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.9), "mse")
        return model

    together(C.ModelCheckpoint(tmp_path / "ours.keras"), averaged)
    alone(averaged, 0, [C.ModelCheckpoint(tmp_path / "theirs.keras")])
    assert_same_model(tmp_path / "ours.keras", tmp_path / "theirs.keras")


@pytest.mark.thorough
def test_epochs_without_the_monitored_value_are_saved_as_keras_saves_them(tmp_path):
    keep = partial(C.ModelCheckpoint, save_best_only=True)
    with pytest.warns(UserWarning, match="best or not"):
        together(keep(tmp_path / "ours.keras"), validation_freq=2, epochs=5)
    with pytest.warns(UserWarning, match="available"):
        alone(build, 0, [keep(tmp_path / "theirs.keras")], validation_freq=2, epochs=5)
    assert assert_same_model(tmp_path / "ours.keras", tmp_path / "theirs.keras") == 15


@pytest.mark.thorough
def test_files_tell_by_their_names_what_varies_and_never_meet(tmp_path):
    recipes = {"a": {}, "a-fold=1": {"units": 3}, "../x/y=1": {"units": 4}}
    keep, log = C.ModelCheckpoint(tmp_path / "in" / "m.keras"), C.CSVLogger(tmp_path / "in" / "log")
    history = together([keep, log], plain, recipes=recipes, folds=2, epochs=1)
    assert history.attrs["engine"] == "population"
    places = [f"recipe={r}-fold={f}" for r in ("a", "a-fold%3D1", "..%2Fx%2Fy%3D1") for f in (0, 1)]
    assert names(tmp_path) == sorted(f"in/{n}" for p in places for n in (f"m-{p}.keras", f"log-{p}"))
    model = keras.saving.load_model(tmp_path / "in" / "m-recipe=a-fold%3D1-fold=1.keras")
    np.testing.assert_allclose(
        model.predict(X, verbose=0), history.members[3].model().predict(X, verbose=0), atol=1e-6
    )


def test_one_by_one_each_member_has_its_own_files_too(tmp_path):
    """`engine="loop"` hands callbacks to Keras, each member's with its own paths."""
    callbacks = [
        C.ModelCheckpoint(tmp_path / "{epoch}.keras"),
        C.CSVLogger(tmp_path / "log.csv"),
        C.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False),
    ]
    recipes = {"{a}": {}, "b": {"units": 3}}
    history = together(callbacks, plain, recipes=recipes, seeds=2, epochs=2, engine="loop")
    assert len(history.epoch) == 2
    assert np.isfinite(history.history["loss"]).all(), "nobody goes on from another one's backup"
    places = [f"recipe={r}-seed={s}" for r in ("%7Ba%7D", "b") for s in (0, 1)]
    found = names(tmp_path)
    assert {f"{e}-{p}.keras" for e in (1, 2) for p in places} <= set(found)
    assert {f"log-{p}.csv" for p in places} <= set(found)
    assert {f"backup/{p}/latest.weights.h5" for p in places} <= set(found)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("before", "changes"),
    [
        ([], {}),
        ([], {"validation_split": 0.0}),
        ([], {"validation_freq": 3, "initial_epoch": 1}),
        ([partial(C.ReduceLROnPlateau, "loss", patience=0, min_delta=0.5)], {}),
        ([partial(C.EarlyStopping, "val_loss", patience=1, min_delta=1e-3)], {}),
    ],
    ids=["plain", "nothing watched", "watched now and then", "with rates", "stopped"],
)
def test_a_csv_log_has_the_lines_of_keras(before, changes, tmp_path):
    log = partial(C.CSVLogger, separator=";")
    together([*(make() for make in before), log(tmp_path / "ours.csv")], **changes)
    alone(build, 0, [*(make() for make in before), log(tmp_path / "theirs.csv")], **changes)
    ours, theirs = (
        list(csv.reader((tmp_path / f"{name}.csv").read_text().splitlines(), delimiter=";"))
        for name in ("ours", "theirs")
    )
    assert ours[0] == theirs[0]
    assert len(ours) == len(theirs)
    for one, other in zip(ours[1:], theirs[1:], strict=True):
        assert [cell == "NA" for cell in one] == [cell == "NA" for cell in other]
        numbers = [[float(cell) for cell in line if cell != "NA"] for line in (one, other)]
        np.testing.assert_allclose(*numbers, atol=1e-4)


def test_a_csv_log_is_appended_to_where_asked(tmp_path):
    path = tmp_path / "log.csv"
    for append, numbers in ((True, "01"), (True, "0101"), (False, "01")):
        together(C.CSVLogger(path, append=append), plain, epochs=2)
        lines = path.read_text().splitlines()
        assert [line.split(",")[0] for line in lines] == ["epoch", *numbers]


@pytest.mark.parametrize(
    ("callback", "words"),
    [
        (lambda: C.ModelCheckpoint("a.keras", save_freq=10), "save_freq=10.*engine='loop'"),
        (lambda: C.ModelCheckpoint("{epoch}.keras"), "each epoch.*engine='loop'"),
        (lambda: C.ModelCheckpoint("{loss:q}.keras", save_best_only=True), "placeholders"),
        (lambda: C.ModelCheckpoint("{}.keras", save_best_only=True), "placeholders"),
        (lambda: C.ModelCheckpoint("{val_auc}.keras", save_best_only=True), "val_loss.*val_auc"),
        (lambda: C.ModelCheckpoint("a.keras", "val_auc", mode="max", save_best_only=True), "recorded"),
        (lambda: C.TensorBoard(histogram_freq=1), "histogram_freq=1.*engine='loop'"),
        (lambda: C.TensorBoard(write_images=True), "write_images"),
        (lambda: C.TensorBoard(write_steps_per_second=True), "write_steps_per_second"),
        (lambda: C.TensorBoard(update_freq="batch"), "update_freq"),
        (lambda: C.TensorBoard(embeddings_freq=1), "embeddings_freq"),
    ],
)
def test_what_cannot_be_written_afterwards_is_refused_in_a_sentence(callback, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((OptionError, ModelError), match=words) as error:
        together(callback(), plain, epochs=2)
    assert str(error.value).startswith("Expected")
    assert names(tmp_path) == []


def test_a_path_that_asks_for_watched_values_needs_them_in_every_epoch(tmp_path):
    keep = C.ModelCheckpoint(tmp_path / "{val_loss}.keras", "loss", save_best_only=True)
    with pytest.raises(OptionError, match="validation_freq"):
        together(keep, validation_freq=2)


def test_tensorboard_without_its_package_is_one_sentence(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tensorboard" else find(name)
    )
    with pytest.raises(OptionError, match=r"pip install tensorboard"):
        together(C.TensorBoard())


class Told:
    """Takes the place of TensorFlow's summaries beside Keras' own callback: writes down what it is told."""

    def __init__(self):
        self.scalars, self.folder = {}, ""

    def create_file_writer(self, folder):
        told = self

        class Writer:
            def __enter__(self):
                told.folder = folder.rsplit("/", 1)[-1]

            def __exit__(self, *error):
                told.folder = ""

            def as_default(self):
                return self

            def close(self):
                pass

        return Writer()

    def scalar(self, tag, value, step):
        if self.folder:  # TensorFlow drops what no writer is there for
            self.scalars[self.folder, tag, int(step)] = float(value)


def events(folder):
    """What a program that shows event files would read."""
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    util = pytest.importorskip("tensorboard.util.tensor_util")
    scalars, others = {}, {}
    for path in folder.rglob("*tfevents*"):
        for event in loader.EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                key, array = (path.parent.name, value.tag, event.step), util.make_ndarray(value.tensor)
                into = scalars if array.dtype.kind == "f" else others
                into[key] = array.item()
    return scalars, others


def slower():
    return C.ReduceLROnPlateau("loss", patience=0, min_delta=100.0, factor=0.5)


def decaying():
    return build(keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.9))


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("before", "builder", "changes"),
    [
        ([], build, {}),
        ([slower], build, {"initial_epoch": 1}),
        ([partial(C.LearningRateScheduler, lambda epoch: 0.1 / (1 + epoch))], build, {}),
        ([], decaying, {"validation_freq": 2}),
        ([], build, {"validation_split": 0.0}),
    ],
    ids=["plain", "rate lowered before", "rate set", "schedule object", "nothing watched"],
)
def test_tensorboard_is_told_what_keras_tells_it(before, builder, changes, tmp_path):
    pytest.importorskip("tensorboard")
    theirs = C.TensorBoard(tmp_path / "theirs", write_graph=False)
    told = theirs._summary_module = Told()
    alone(builder, 0, [*(make() for make in before), theirs], epochs=4, **changes)
    together([*(make() for make in before), C.TensorBoard(tmp_path / "ours")], builder, epochs=4, **changes)
    scalars, others = events(tmp_path / "ours")
    assert set(scalars) == set(told.scalars)
    for key, value in told.scalars.items():
        assert scalars[key] == pytest.approx(value, abs=1e-4), key
    assert list(others) == [("train", "keras", 0)]
    assert b"Sequential" in others["train", "keras", 0]


def test_tensorboard_shows_each_member_as_a_run(tmp_path):
    pytest.importorskip("tensorboard")
    together(C.TensorBoard(tmp_path, write_graph=False), plain, seeds=2, epochs=2)
    folders = {str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("*tfevents*")}
    assert folders == {f"seed={s}/{part}" for s in (0, 1) for part in ("train", "validation")}
