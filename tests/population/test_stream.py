"""Members whose rows come block by block rest within epochs, leave once they have stopped, and are looked into."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import caviar
from caviar.population import devices, keep, stream
from caviar.population.keep import Slot
from caviar.population.source import Ranges

devices.start()
import keras  # noqa: E402 - only once JAX is its backend

L = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(53, 4)).astype(np.float32)
Y = (X[:, :1] + 0.5 * RNG.normal(size=(53, 1))).astype(np.float32)
WEIGHT = RNG.uniform(0.5, 2, 53).astype(np.float32)


def build(rate=0.02):
    layers = [L.Dense(6, "relu"), L.Dropout(0.2), L.Dense(1)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), "mse", weighted_metrics=["mae"])
    return model


class Batches(keras.utils.PyDataset):
    """Batches of eight rows, the last of five; other ones in each epoch."""

    epoch = 0

    def __init__(self):
        super().__init__()

    def __len__(self):
        return 7

    def __getitem__(self, i):
        part = slice(8 * i, 8 * i + 8)
        return X[part] + 0.1 * self.epoch, Y[part]

    def on_epoch_end(self):
        self.epoch += 1


ARGUMENTS = {"seeds": 2, "epochs": 2, "verbose": 0}
IN_BLOCKS = {
    **ARGUMENTS,
    "y": Y,
    "folds": 2,
    "batch_size": 4,
    "block_rows": 10,
    "validation_split": 0.3,
    "held_out": "epoch",
}
SOURCES = {
    "blocks": lambda: {"x": X, **IN_BLOCKS},
    "dataset": lambda: {"x": Batches(), "shuffle": False, "validation_data": (X, Y), **ARGUMENTS},
}


def digest(history):
    told = hashlib.sha256()
    for values in (*history.history.values(), *history.scores.values()):
        told.update(np.ascontiguousarray(values))
    for member in history.members:
        for weights in member.model().get_weights():
            told.update(weights)
    return told.hexdigest()


class Killed(BaseException):
    pass


@pytest.fixture
def killed_at(monkeypatch):
    """Call a training that dies once so many epochs, passes and pieces are done and saved; or never."""
    save, saved = Slot.save, []

    def dies(at=None, **arguments):
        def save_and_die(self, standing):
            save(self, standing)
            if standing.midway is None:
                return
            saved.append((standing.done, standing.midway.stage, standing.midway.pieces))
            if saved[-1] == at:
                raise Killed

        monkeypatch.setattr(Slot, "save", save_and_die)
        monkeypatch.setattr(Slot, "due", lambda _: True)
        return caviar.fit(build, **arguments)

    dies.saved = saved
    return dies


@pytest.fixture
def blocks_read(monkeypatch):
    """The first rows of the blocks that were read."""
    block, read = Ranges.block, []

    def noting(self, start):
        read.append(start)
        return block(self, start)

    monkeypatch.setattr(Ranges, "block", noting)
    return read


@pytest.fixture(scope="module")
def undisturbed():
    """What each source gives where nothing is saved."""
    return {name: digest(caviar.fit(build, **arguments())) for name, arguments in SOURCES.items()}


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("source", "at"),
    [
        ("blocks", (1, 0, 2)),
        ("blocks", (1, 1, 1)),
        ("blocks", (1, 2, 3)),
        ("blocks", (2, 3, 2)),
        ("dataset", (1, 0, 1)),
        ("dataset", (1, 1, 1)),
    ],
    ids=lambda at: at if isinstance(at, str) else "after {} epochs, in pass {}, after {} pieces".format(*at),
)
def test_members_go_on_where_they_were_within_an_epoch(
    source, at, tmp_path, killed_at, blocks_read, undisturbed, monkeypatch
):
    """Training, watching, scoring: nothing is gone through twice, and every number is as if nothing had happened."""
    if source == "dataset":
        monkeypatch.setattr(stream, "_PIECE", 1e4)  # a stack of batches would be one piece
    with pytest.raises(Killed):
        killed_at(at, **SOURCES[source](), folder=tmp_path)
    before = len(killed_at.saved)
    blocks_read.clear()
    assert digest(killed_at(**SOURCES[source](), folder=tmp_path)) == undisturbed[source]
    assert killed_at.saved == sorted(set(killed_at.saved))
    if source == "blocks":
        # The first and the last block tell whether it is this training.
        assert len(blocks_read) == len(killed_at.saved) - before + 2


@pytest.mark.thorough
def test_work_is_cut_into_pieces_by_counting_and_numbers_stay(tmp_path, killed_at, monkeypatch):
    """Few operations in a piece: several pieces of a block or of a stack of batches, and the same results."""
    for source, arguments in SOURCES.items():
        killed_at.saved.clear()
        whole = killed_at(**arguments(), folder=tmp_path / "whole" / source)
        few = len(killed_at.saved)
        with monkeypatch.context() as patched:
            patched.setattr(stream, "_PIECE", 1.0)
            cut = killed_at(**arguments(), folder=tmp_path / "cut" / source)
        assert len(killed_at.saved) - few > few
        for name, values in whole.history.items():
            np.testing.assert_allclose(cut.history[name], values, atol=1e-6, err_msg=name)


PROGRAM = """
import sys
import numpy as np
import caviar
from caviar.population import chunk, devices, keep, stream
devices.start()
sys.path.insert(0, sys.argv[3])
from tests.population import test_stream as here

keep._EVERY_SECONDS = float(sys.argv[2])
keep._MOST_OF_THE_TIME = 1e9
rng = np.random.default_rng(0)
x = rng.normal(size=(800, 4)).astype(np.float32)
y = x[:, :1] + rng.normal(size=(800, 1)).astype(np.float32)
history = caviar.fit(
    here.build, x, y, seeds=2, epochs=2, batch_size=4, block_rows=16, validation_split=0.25, verbose=0,
    folder=sys.argv[1],
)
print("ended", here.digest(history))
"""


def started(folder: Path, seconds: float) -> subprocess.Popen[str]:
    root = Path(__file__).parent.parent.parent
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), str(seconds), str(root)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )


def midway(folder: Path) -> tuple[int, ...]:
    """Epochs done, and stage and pieces of the one that goes on, as they are on disk."""
    for path in folder.rglob("members-*.npz"):
        with np.load(path) as kept:
            return (int(kept["where"][0]), *kept["midway"][:2].tolist()) if "midway" in kept else ()
    return ()


@pytest.mark.thorough
def test_a_process_killed_within_its_epochs_ends_with_the_numbers_of_an_undisturbed_one(tmp_path):
    """Saved after every piece, or never until the end: the clock decides nothing else."""
    expected = started(tmp_path / "undisturbed", 1e9).communicate()[0]
    assert expected.startswith("ended")
    found = []
    for epoch, stage in ((0, 0), (1, 1)):
        process = started(tmp_path / "killed", 0.0)
        while process.poll() is None and (at := midway(tmp_path / "killed")) < (epoch, stage, 3):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        found.append(midway(tmp_path / "killed"))
        assert found[-1] >= at
    assert [at[:2] for at in found] == [(0, 0), (1, 1)]
    assert started(tmp_path / "killed", 0.0).communicate()[0] == expected


def test_saving_takes_little_time_but_a_minute_is_never_lost(monkeypatch, tmp_path):
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    slot = Slot(tmp_path / "state.npz")
    for took, first_due in ((0.0, 20.0), (2.0, 40.0), (30.0, 60.0)):
        slot._saved, slot._took, now = 0.0, took, first_due - 0.1
        assert not slot.due()
        now = first_due + 0.1
        assert slot.due()
    assert keep._LONGEST_SECONDS <= 60


def stopping(**arguments):
    """Four members per fold, some of which stop long before the others."""
    stop = keras.callbacks.EarlyStopping(patience=2, min_delta=2e-2, restore_best_weights=True)
    return caviar.fit(
        *(build, X, Y),
        seeds=4,
        folds=2,
        epochs=25,
        batch_size=8,
        block_rows=16,
        validation_split=0.3,
        held_out="epoch",
        callbacks=[stop],
        verbose=0,
        **arguments,
    )


def assert_alike(some, others):
    """Logs, scores and weights, to the rounding that another number of members brings."""
    for name, values in others.history.items():
        np.testing.assert_allclose(some.history[name], values, atol=1e-5, err_msg=name)
    for name, values in others.scores.items():
        np.testing.assert_allclose(some.scores[name], values, atol=1e-5, err_msg=name)
    for one, other in zip(some.members, others.members, strict=True):
        for ours, theirs in zip(one.model().get_weights(), other.model().get_weights(), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.fixture
def widths(monkeypatch):
    """How many members the state has in each epoch."""
    train, found = stream._Run._train, []

    def noting(self, within, epoch):
        found.append(len(within.state[0][0]))
        return train(self, within, epoch)

    monkeypatch.setattr(stream._Run, "_train", noting)
    return found


@pytest.mark.thorough
def test_members_that_have_stopped_leave_and_nobody_notices(monkeypatch, widths, tmp_path):
    """Each epoch trains at most twice the members that still train; one that is killed then goes on as narrow."""
    monkeypatch.setattr(stream, "_WORTH_COMPILING", float("inf"))
    wide = stopping()
    assert set(widths) == {8}
    training = np.isfinite(wide.history["loss"]).sum(0)
    assert (training[: len(widths)] > 0).all()
    widths.clear()
    monkeypatch.setattr(stream, "_WORTH_COMPILING", 0.0)
    narrow = stopping()
    assert len(set(widths)) > 2
    spare = devices.start().count
    assert all(
        width < 2 * (active + spare) for width, active in zip(widths, training[: len(widths)], strict=True)
    )
    assert_alike(narrow, wide)
    narrowed = next(epoch for epoch, width in enumerate(widths) if width < 8)
    save = Slot.save

    def dies(self, standing):
        save(self, standing)
        if standing.midway is not None and (standing.done, standing.midway.pieces) == (narrowed, 2):
            raise Killed

    monkeypatch.setattr(Slot, "save", dies)
    monkeypatch.setattr(Slot, "due", lambda _: True)
    with pytest.raises(Killed):
        stopping(folder=tmp_path)
    monkeypatch.setattr(Slot, "save", save)
    widths.clear()
    assert digest(stopping(folder=tmp_path)) == digest(narrow)
    assert max(widths) < 8


@pytest.mark.thorough
def test_members_that_diverge_leave(monkeypatch, widths):
    """Beside them the others go on; both are those of a run that lets nobody go."""

    def trained():
        widths.clear()
        return caviar.fit(
            *(build, X, Y),
            seeds=4,
            recipes={"good": {}, "wild": {"rate": 1e12}},
            callbacks=[keras.callbacks.TerminateOnNaN()],
            epochs=6,
            batch_size=8,
            block_rows=16,
            verbose=0,
        )

    monkeypatch.setattr(stream, "_WORTH_COMPILING", float("inf"))
    wide = trained()
    assert set(widths) == {8}
    monkeypatch.setattr(stream, "_WORTH_COMPILING", 0.0)
    narrow = trained()
    assert widths[-1] == 4
    assert_alike(narrow, wide)
    assert np.isfinite(narrow.history["loss"]).sum(1).tolist()[:4] == [6, 6, 6, 6]


@pytest.mark.thorough
def test_narrower_programs_are_not_compiled_for_a_little_work(widths):
    stopping()
    assert set(widths) == {8}


def inside(x, y, probes=1, make=build, **arguments):
    return caviar.fit(make, x, y, seeds=2, epochs=3, batch_size=8, probes=probes, verbose=0, **arguments)


@pytest.mark.thorough
@pytest.mark.parametrize("rows", [24, 8])
def test_probes_of_blocks_are_those_of_ordinary_rows(rows):
    """In their order, whether the first block has two whole batches or not; weights included."""
    arguments = {"probes": 2, "shuffle": False, "sample_weight": WEIGHT}
    blocks = inside(X, Y, block_rows=rows, **arguments).probes
    assert_probes_alike(blocks, inside(X, Y, **arguments).probes)
    assert blocks["epoch"].values.tolist() == [1, 3]
    assert np.isfinite(blocks["gradient_noise"]).all()


@pytest.mark.thorough
def test_probes_of_folds_in_blocks_are_those_of_ordinary_rows():
    """As long as the state is the same: later on, blocks leave short batches that ordinary rows do not have."""
    arguments = {"probes": 3, "shuffle": False, "folds": 2}
    assert_probes_alike(inside(X, Y, block_rows=12, **arguments).probes, inside(X, Y, **arguments).probes)


def assert_probes_alike(some, others):
    assert list(some.data_vars) == list(others.data_vars)
    assert some.attrs == others.attrs
    for name in others.data_vars:
        assert some[name].attrs == others[name].attrs
        if name != "noise_scale":  # a ratio of small differences
            np.testing.assert_allclose(some[name], others[name], atol=1e-5, rtol=1e-5, err_msg=name)


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:.*PyDataset.*super")
def test_probes_of_a_dataset_are_those_of_its_rows_as_arrays():
    given = {"seeds": 2, "epochs": 2, "probes": 1, "shuffle": False, "verbose": 0}
    ordinary = caviar.fit(build, X, Y, batch_size=8, **given).probes
    batches = [(X[i : i + 8], Y[i : i + 8]) for i in range(0, 53, 8)]
    assert_probes_alike(caviar.fit(build, Listed(batches), **given).probes, ordinary)


class Listed(keras.utils.PyDataset):
    """Batches of a list."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, i):
        return self.batches[i]


@pytest.mark.thorough
def test_a_dataset_whose_second_batch_is_short_has_no_noise_scale_but_the_rest():
    given = {"seeds": 2, "epochs": 2, "probes": 1, "shuffle": False, "verbose": 0}
    short = caviar.fit(build, Listed([(X[:8], Y[:8]), (X[8:11], Y[8:11])]), **given).probes
    single = caviar.fit(build, Listed([(X[:8], Y[:8])]), **given).probes
    assert np.isnan(short["gradient_noise"]).all()
    assert np.isfinite(short["gradient_norm"]).all()
    np.testing.assert_allclose(short["gradient_norm"][:, 0], single["gradient_norm"][:, 0], rtol=1e-5)
    assert "no two full batches" in single["noise_scale"].attrs["not_available"]


@keras.saving.register_keras_serializable("caviar_tests")
class First(keras.metrics.Metric):
    """The mean target of the first batch of an epoch."""

    def __init__(self, name="first", **options):
        super().__init__(name=name, **options)
        self.mean, self.seen = (self.add_weight(name=n, initializer="zeros") for n in ("mean", "seen"))

    def update_state(self, y_true, y_pred, sample_weight=None):  # noqa: ARG002 - Keras' signature
        self.mean.assign(self.mean + (1 - self.seen) * keras.ops.mean(y_true))
        self.seen.assign(1.0)

    def result(self):
        return self.mean + 0.0


def test_probes_of_shuffled_blocks_see_the_rows_that_training_takes_first():
    """The gradient of (w - y)² at w = 0 is -2 y; the rate is zero, so that w stays there."""

    def standing():
        model = keras.Sequential([keras.Input((1,)), L.Dense(1, use_bias=False, kernel_initializer="zeros")])
        model.compile(keras.optimizers.SGD(0.0), "mse", metrics=[First()])
        return model

    rows = np.arange(1, 51, dtype=np.float32)[:, None]
    arguments = {"make": standing, "folds": 2, "block_rows": 25}
    history = inside(np.ones_like(rows), rows, **arguments)
    first = history.history["first"]
    assert len(np.unique(first)) > 6, "all members take the same rows first: this test shows nothing"
    np.testing.assert_allclose(history.probes["gradient_norm"].sel(layer="dense"), 2 * first, rtol=1e-5)


@pytest.mark.thorough
def test_probes_leave_the_training_in_blocks_as_it_is():
    arguments = {"block_rows": 16, "folds": 2, "validation_split": 0.3}
    assert digest(inside(X, Y, probes=1, **arguments)) == digest(inside(X, Y, probes=False, **arguments))


@pytest.mark.thorough
def test_probes_are_kept_within_an_epoch(tmp_path, killed_at):
    arguments = {
        "y": Y,
        "probes": 1,
        "block_rows": 16,
        "batch_size": 8,
        "seeds": 2,
        "epochs": 2,
        "verbose": 0,
    }
    expected = caviar.fit(build, X, **arguments).probes
    with pytest.raises(Killed):
        killed_at((1, 0, 2), x=X, **arguments, folder=tmp_path)
    assert killed_at(x=X, **arguments, folder=tmp_path).probes.identical(expected)
