"""Rows that come bit by bit train members as `fit` trains them: blocks of arrays, files, datasets, generators."""

import subprocess
import sys

import numpy as np
import polars as pl
import pytest

import caviar
from caviar.errors import CaviarError
from caviar.population import devices

devices.start()
import keras  # noqa: E402 - only once JAX is its backend

from caviar.population.source import Joined, ahead  # noqa: E402
from caviar.population.template import global_seeds_restored  # noqa: E402

L = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(53, 4)).astype(np.float32)
Y = (X[:, :1] + 0.5 * RNG.normal(size=(53, 1)) > 0).astype(np.float32)
WEIGHT = RNG.uniform(0.5, 2, 53).astype(np.float32)


@keras.saving.register_keras_serializable("caviar_tests")
class Seen(keras.metrics.Metric):
    """How many rows an epoch has shown, or the sum of their targets: every one must come exactly once."""

    def __init__(self, name="rows", **options):
        super().__init__(name=name, **options)
        self.total = self.add_weight(name="total", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):  # noqa: ARG002 - Keras' signature
        flat = keras.ops.cast(y_true[:, 0], "float32")
        counted = keras.ops.ones_like(flat) if self.name == "rows" else flat
        self.total.assign(self.total + keras.ops.sum(counted))

    def result(self):
        return self.total + 0.0


def build(rate=0.02):
    layers = [L.Dense(6, "relu"), L.Dropout(0.2), L.Dense(1, activation="sigmoid")]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile(
        keras.optimizers.Adam(rate),
        "binary_crossentropy",
        metrics=["accuracy", Seen("rows"), Seen("row_sum")],
    )
    return model


class Dataset(keras.utils.PyDataset):
    """Batches of eight rows, the last of five; weighed if asked for."""

    def __init__(self, *, weighed=False):
        super().__init__()
        self.weighed = weighed

    def __len__(self):
        return 7

    def __getitem__(self, i):
        part = slice(8 * i, 8 * i + 8)
        return (X[part], Y[part], WEIGHT[part]) if self.weighed else (X[part], Y[part])


class Changing(Dataset):
    """Other rows in each epoch."""

    epoch = 0

    def __getitem__(self, i):
        x, y = super().__getitem__(i)
        return x + 0.1 * self.epoch, y

    def on_epoch_end(self):
        self.epoch += 1


def endless():
    while True:
        yield from (Dataset()[i] for i in range(7))


def alone(seed, x, y=None, **arguments):
    with global_seeds_restored():
        keras.utils.set_random_seed(seed)
        model = build()
        history = model.fit(x, y, verbose=0, **arguments)
    return model, history.history


VALIDATION = (X[:20], Y[:20], WEIGHT[:20])
SOURCES = {
    "blocks of an array": (lambda: X, {"y": Y, "shuffle": False, "batch_size": 8}, {"block_rows": 16}),
    "weighed blocks": (
        lambda: X,
        {"y": Y, "shuffle": False, "batch_size": 8, "sample_weight": WEIGHT, "validation_data": VALIDATION},
        {"block_rows": 24},
    ),
    "blocks and classes": (
        lambda: X,
        {
            "y": Y,
            "shuffle": False,
            "batch_size": 4,
            "class_weight": {0: 2.0, 1: 0.5},
            "validation_split": 0.3,
        },
        {"block_rows": 8},
    ),
    "dataset": (Dataset, {"shuffle": False, "validation_data": VALIDATION}, {}),
    "weighed dataset": (lambda: Dataset(weighed=True), {"shuffle": False, "validation_data": (X, Y)}, {}),
    "dataset and classes": (Dataset, {"shuffle": False, "class_weight": {0: 2.0, 1: 0.5}}, {}),
    "dataset that changes": (Changing, {"shuffle": False}, {}),
    "dataset to watch": (Dataset, {"shuffle": False, "validation_data": Dataset(weighed=True)}, {}),
    "part of a dataset": (Dataset, {"shuffle": False, "steps_per_epoch": 3}, {}),
    "part of a dataset to watch": (
        Dataset,
        {"shuffle": False, "validation_data": Dataset(), "validation_steps": 2, "validation_freq": 2},
        {},
    ),
    "endless generator": (endless, {"steps_per_epoch": 5, "shuffle": False}, {}),
    "array to watch by a dataset": (lambda: X, {"y": Y, "validation_data": Dataset()}, {}),
}


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.filterwarnings("ignore:.*PyDataset.*super")
@pytest.mark.parametrize("name", SOURCES)
def test_members_equal_fit_on_the_same_source(name):
    source, arguments, ours = SOURCES[name]
    history = caviar.fit(build, source(), seeds=[3, 7], epochs=4, verbose=0, **arguments, **ours)
    assert history.attrs["engine"] == "population"
    model, logs = alone(7, source(), epochs=4, **arguments)
    mine = {log: values[1][np.isfinite(values[1])] for log, values in history.history.items()}
    for log, values in logs.items():
        np.testing.assert_allclose(mine[log], values, atol=1e-5, rtol=1e-5, err_msg=log)
    ours = history.members[1].model()
    np.testing.assert_allclose(ours.predict(X, verbose=0), model.predict(X, verbose=0), atol=1e-5)


@pytest.mark.thorough
@pytest.mark.parametrize("steps", [{"batch_size": 8, "steps_per_epoch": 3}, {"steps_per_epoch": 4}])
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_epochs_of_some_batches_equal_those_of_fit(steps):
    """Arrays, shuffled: an epoch goes on where the one before it ended."""
    arguments = {"y": Y, "epochs": 5, "validation_split": 0.2, "validation_steps": 2, **steps}
    history = caviar.fit(build, X, seeds=[3, 7], verbose=0, **arguments)
    model, logs = alone(7, X, **arguments)
    for log, values in logs.items():
        np.testing.assert_allclose(history.history[log][1], values, atol=1e-5, rtol=1e-5, err_msg=log)
    ours = history.members[1].model()
    np.testing.assert_allclose(ours.predict(X, verbose=0), model.predict(X, verbose=0), atol=1e-5)


@pytest.mark.thorough
def test_every_row_is_seen_once_in_each_epoch_and_held_out_rows_never():
    """Blocks, folds and shuffling together; what is watched and held out is looked at as a whole."""
    history = caviar.fit(
        build,
        X,
        Y * 0 + np.arange(53)[:, None],
        seeds=2,
        folds=3,
        epochs=3,
        batch_size=4,
        block_rows=20,
        verbose=0,
        held_out="epoch",
        validation_split=0.2,
    )
    for i, member in enumerate(history.members):
        logs = {name: values[i] for name, values in history.history.items()}
        assert (logs["rows"] == len(member.rows)).all()
        assert (logs["row_sum"] == member.rows.sum()).all()
        assert (logs["held_out_row_sum"] == member.held_out.sum()).all()
        watched = np.setdiff1d(np.arange(53), np.concatenate([member.rows, member.held_out]))
        assert (logs["val_row_sum"] == watched.sum()).all()
        assert history.scores["row_sum"][i] == member.held_out.sum()
    assert len(np.unique(history.history["loss"][:, 0])) == len(history.members)


@pytest.mark.thorough
def test_blocks_are_shuffled_by_the_members_seed_and_the_same_again():
    arguments = {"seeds": [1, 2], "epochs": 2, "batch_size": 8, "block_rows": 16, "verbose": 0}
    first, again = (caviar.fit(build, X, Y, **arguments).history["loss"] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    straight = caviar.fit(build, X, Y, shuffle=False, **arguments).history["loss"]
    assert not np.allclose(first, straight, atol=1e-6)


def test_what_is_kept_of_a_stream_goes_on(tmp_path, monkeypatch):
    """Two epochs, then two more in another process' place: the dataset is read from its beginning."""
    from caviar.population import stream

    whole = caviar.fit(build, Changing(), seeds=2, epochs=4, shuffle=False, verbose=0)
    save, seen = stream._Run._save, []

    def dies(self, within=None):
        save(self, within)
        if within is None:
            seen.append(self._at.done)
        if seen == [1, 2]:
            raise SystemError("killed")

    monkeypatch.setattr(stream._Run, "_save", dies)
    monkeypatch.setattr("caviar.population.keep.Slot.due", lambda _: True)
    arguments = {"seeds": 2, "epochs": 4, "shuffle": False, "verbose": 0, "folder": tmp_path}
    with pytest.raises(SystemError):
        caviar.fit(build, Changing(), **arguments)
    monkeypatch.setattr(stream._Run, "_save", save)
    again = caviar.fit(build, Changing(), **arguments)
    assert seen == [1, 2]
    np.testing.assert_array_equal(again.history["loss"], whole.history["loss"])


@pytest.mark.thorough
def test_a_memory_mapped_file_and_a_parquet_file_train_like_the_array_in_memory(tmp_path):
    np.save(tmp_path / "x.npy", X.astype(np.float64))
    columns = {f"x{i}": X[:, i] for i in range(4)}
    pl.DataFrame({**columns, "y": Y[:, 0]}).write_parquet(tmp_path / "table.parquet", row_group_size=10)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    x, y = caviar.parquet(tmp_path / "table.parquet", "y")
    assert (x.shape, y.shape) == ((53, 4), (53, 1))
    arguments = {"seeds": 2, "epochs": 2, "folds": 2, "batch_size": 8, "block_rows": 16, "verbose": 0}
    expected = caviar.fit(build, X, Y, **arguments).history["loss"]
    np.testing.assert_array_equal(caviar.fit(build, mapped, Y, **arguments).history["loss"], expected)
    np.testing.assert_array_equal(caviar.fit(build, x, y, **arguments).history["loss"], expected)


@pytest.mark.thorough
def test_arrays_that_are_too_large_for_memory_come_in_blocks_by_themselves(monkeypatch):
    from caviar.population import memory, source

    monkeypatch.setattr(source, "_BLOCK_BYTES", 320)
    few = caviar.fit(build, X, Y, seeds=2, epochs=2, batch_size=4, shuffle=False, verbose=0)
    monkeypatch.setattr(memory, "budget", lambda: 1500)
    monkeypatch.setattr(memory, "require", lambda _: None)
    blocks = caviar.fit(build, X, Y, seeds=2, epochs=2, batch_size=4, shuffle=False, verbose=0)
    assert blocks.attrs["rows"] == "in blocks of 16, in their order"
    assert few.attrs["rows"] == "all at once"
    np.testing.assert_allclose(blocks.history["loss"], few.history["loss"], atol=1e-6)


TEN_MILLION_VALUES = """
import resource, sys
import numpy as np
import caviar, keras

path, rows = sys.argv[1], int(sys.argv[2])
x = np.memmap(path, np.float32, "r", shape=(rows, 20))

def build():
    model = keras.Sequential([keras.Input((20,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model

history = caviar.fit(
    build, x, x[:, :1], seeds=2, epochs=1, batch_size=8192, block_rows=65536, shuffle=False, verbose=0
)
print(np.isfinite(history.history["loss"]).all(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.thorough
def test_memory_does_not_grow_with_the_file(tmp_path):
    """Twenty times the rows, and the same memory to within what a file's own pages in memory take."""
    peaks = []
    for rows in (65_536, 20 * 65_536):
        file = np.memmap(tmp_path / f"{rows}.bin", np.float32, "w+", shape=(rows, 20))
        for start in range(0, rows, 65_536):
            file[start : start + 65_536] = np.random.default_rng(start).normal(size=(65_536, 20))
        del file
        command = [sys.executable, "-c", TEN_MILLION_VALUES, str(tmp_path / f"{rows}.bin"), str(rows)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert said[0] == "True"
        peaks.append(int(said[1]) / 1024)
    pages = 20 * 65_536 * 20 * 4 / 2**20
    assert peaks[1] - peaks[0] < pages + 40, peaks


@pytest.mark.filterwarnings("ignore:.*PyDataset.*super")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"x": Dataset(), "y": Y}, "y to be left out"),
        ({"x": Dataset(), "batch_size": 8}, "batch_size to be left out"),
        ({"x": Dataset(), "folds": 3}, "folds to be left out"),
        ({"x": Dataset(), "engine": "loop"}, "one at a time"),
        ({"x": Dataset(), "validation_split": 0.2}, "validation_split to be left out"),
        ({"x": endless(), "steps_per_epoch": 2, "recipes": {"a": {}, "b": {}}}, "read again"),
        ({"x": Dataset(), "validation_data": endless(), "validation_steps": 2}, "read again"),
        ({"x": (batch for batch in ())}, "at least one batch"),
        ({"x": (batch for batch in [X])}, "tuple|targets"),
        ({"x": X, "y": Y, "block_rows": 0}, "block_rows"),
        ({"x": X, "y": Y, "block_rows": 16, "steps_per_epoch": 2}, "steps_per_epoch"),
        ({"x": X, "y": Y, "steps_per_epoch": 0}, "steps_per_epoch"),
        ({"x": X, "y": Y, "validation_steps": 2}, "rows to watch"),
        ({"x": X, "y": Y, "steps_per_epoch": 7, "folds": 3}, "batch_size beside steps_per_epoch"),
    ],
)
def test_what_cannot_be_read_or_combined_is_one_sentence(arguments, words):
    with pytest.raises(CaviarError, match=words) as error:
        caviar.fit(**{"build": build, "verbose": 0, **arguments})
    assert str(error.value).startswith("Expected")


@pytest.mark.parametrize(
    ("frame", "target", "words"),
    [
        ({"a": [1.0], "b": [2.0]}, "c", "has a, b"),
        ({"a": ["x"], "b": [2.0]}, "b", "holds String"),
        (None, "b", "cannot be read"),
    ],
)
def test_a_parquet_file_that_cannot_be_used_is_one_sentence(frame, target, words, tmp_path):
    path = tmp_path / "table.parquet"
    if frame is None:
        path.write_text("not a table")
    else:
        pl.DataFrame(frame).write_parquet(path)
    with pytest.raises(CaviarError, match=words):
        caviar.parquet(path, target)


def test_joined_arrays_are_sliced_like_one():
    parts = [X[:10], X[10:11], X[11:]]
    joined = Joined(parts)
    assert joined.shape == X.shape
    for a, b in ((0, 53), (3, 9), (9, 12), (10, 11), (50, 60)):
        np.testing.assert_array_equal(joined[a:b], X[a:b])


def test_the_next_item_is_prepared_while_the_present_one_is_worked_on_and_errors_come_through():
    def items():
        yield 1
        yield 2
        raise ValueError("third")

    coming = ahead(items(), lambda item: 10 * item)
    assert [next(coming), next(coming)] == [10, 20]
    with pytest.raises(ValueError, match="third"):
        next(coming)
