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
from caviar.population import devices, keep, stream
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
