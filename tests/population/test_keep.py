"""A training that was killed goes on where it was and ends as if nothing had happened; too large ones are divided."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

import caviar
from caviar.errors import ModelError, RunError
from caviar.population import chunk, devices, memory, spread

devices.start()
import keras  # noqa: E402 - only once JAX is its backend

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
Y = (X[:, :1] + 0.5 * RNG.normal(size=(60, 1))).astype(np.float32)

PROGRAM = """
import hashlib, sys
import numpy as np
import caviar
from caviar.population import chunk, keep
import keras

keep._EVERY_SECONDS = 0.0
keep._MOST_OF_THE_TIME = 1e9
chunk._WORTH_COMPILING = 0.0
rng = np.random.default_rng(0)
x = rng.normal(size=(60, 4)).astype(np.float32)
y = (x[:, :1] + 0.5 * rng.normal(size=(60, 1))).astype(np.float32)

def build(rate=0.01):
    layers = [keras.layers.Dense(8, "relu"), keras.layers.Dropout(0.2), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile(keras.optimizers.Adam(rate), "mse")
    return model

history = caviar.fit(
    build, x, y, seeds=4, folds=5, epochs=6000, batch_size=16, validation_split=0.3, verbose=0,
    recipes={"slow": {"rate": 0.0003}, "fast": {"rate": 0.02}}, folder=sys.argv[1], engine=sys.argv[2],
    callbacks=[keras.callbacks.EarlyStopping(patience=1500, min_delta=1e-3, restore_best_weights=True)],
)
told = hashlib.sha256()
for values in (*history.history.values(), *history.scores.values()):
    told.update(np.ascontiguousarray(values))
for member in history.members:
    for weights in member.model().get_weights():
        told.update(weights)
print("ended", told.hexdigest(), np.isfinite(history.history["loss"]).sum())
"""


def started(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), "population"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )


def states(folder: Path) -> tuple[tuple[str, int], ...]:
    return tuple((str(path), path.stat().st_mtime_ns) for path in sorted(folder.rglob("*.npz")))


@pytest.mark.thorough
def test_a_process_killed_again_and_again_ends_with_the_numbers_of_an_undisturbed_one(tmp_path):
    moments = np.random.default_rng(4)
    expected = started(tmp_path / "undisturbed").communicate()[0]
    assert expected.startswith("ended")
    killed = 0
    for _ in range(4):
        before, process = states(tmp_path / "killed"), started(tmp_path / "killed")
        while process.poll() is None and states(tmp_path / "killed") == before:
            time.sleep(0.01)
        time.sleep(moments.uniform(0.0, 0.8))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        said = process.communicate()[0]
        if said:
            break
    else:
        said = started(tmp_path / "killed").communicate()[0]
    assert said == expected
    assert killed >= 2, "the training is over too soon to be killed: this test shows nothing"
    left = {path.name for path in (tmp_path / "killed").rglob("*") if path.is_file()}
    assert not [name for name in left if name.startswith(".") and name.endswith(".json")]


def build(rate=0.02, units=6):
    layers = [keras.layers.Dense(units, "relu"), keras.layers.Dropout(0.2), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile(keras.optimizers.Adam(rate), "mse")
    return model


def digest(history):
    told = hashlib.sha256()
    for values in (*history.history.values(), *history.scores.values()):
        told.update(np.ascontiguousarray(values))
    return told.hexdigest()


@pytest.mark.parametrize("engine", ["population", "loop"])
def test_what_is_kept_is_not_trained_again(engine, tmp_path, monkeypatch):
    arguments = {"seeds": 2, "folds": 2, "epochs": 3, "folder": tmp_path, "engine": engine, "verbose": 0}
    first = caviar.fit(build, X, Y, **arguments)

    def never(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(chunk._Chunk, "_advance", never)
    monkeypatch.setattr(keras.Sequential, "fit", never)
    again = caviar.fit(build, X, Y, **arguments)
    assert digest(again) == digest(first)
    for one, other in zip(first.members, again.members, strict=True):
        for ours, theirs in zip(one.model().get_weights(), other.model().get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "other",
    [
        {"seeds": 3},
        {"epochs": 4},
        {"batch_size": 8},
        {"x": X + 1},
        {"y": Y * 2},
        {"build": lambda: build(units=7)},
        {"build": lambda: build(rate=0.03)},
        {"callbacks": [keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))]},
        {"sample_weight": np.ones(60)},
    ],
    ids=["seeds", "epochs", "batch size", "x", "y", "structure", "rate", "schedule", "weights"],
)
def test_another_training_is_not_taken_for_the_one_that_is_kept(other, tmp_path):
    arguments = {"build": build, "x": X, "y": Y, "seeds": 2, "epochs": 3, "folder": tmp_path, "verbose": 0}
    caviar.fit(**arguments)
    with pytest.raises(RunError, match=r"this very training.*other rows, model or arguments"):
        caviar.fit(**{**arguments, **other})


def test_a_schedule_that_changes_is_another_training(tmp_path):
    """Its function has no name to compare by: the rates themselves are compared."""

    def trained(factor):
        schedule = keras.callbacks.LearningRateScheduler(lambda epoch: factor / (epoch + 1))
        return caviar.fit(build, X, Y, epochs=2, folder=tmp_path, callbacks=[schedule], verbose=0)

    assert digest(trained(0.1)) == digest(trained(0.1))
    with pytest.raises(RunError, match="this very training"):
        trained(0.2)


@pytest.mark.parametrize("name", ["members-0-2.npz", "training.json", "chunks-0.json"])
def test_a_damaged_file_is_one_sentence(name, tmp_path):
    arguments = {"seeds": 2, "epochs": 2, "folder": tmp_path, "verbose": 0}
    caviar.fit(build, X, Y, **arguments)
    (tmp_path / "population-0" / name).write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(RunError, match=rf"^Expected .*{name}.* away"):
        caviar.fit(build, X, Y, **arguments)


@pytest.mark.parametrize(
    ("name", "text"), [("chunks-0.json", "[[7]]"), ("chunks-0.json", '"ab"'), ("chunks-0.json", "[[0, 0]]")]
)
def test_a_note_of_other_members_is_one_sentence(name, text, tmp_path):
    arguments = {"seeds": 2, "epochs": 2, "folder": tmp_path, "verbose": 0}
    caviar.fit(build, X, Y, **arguments)
    (tmp_path / "population-0" / name).write_text(text)
    with pytest.raises(RunError, match=rf"^Expected .*{name}.* away"):
        caviar.fit(build, X, Y, **arguments)
    np.savez(tmp_path / "population-0" / "members-0-2.npz", other=np.ones(3))
    (tmp_path / "population-0" / name).write_text("[[0, 1]]")
    with pytest.raises(RunError, match=r"^Expected .*members-0-2\.npz.* away"):
        caviar.fit(build, X, Y, **arguments)


def test_half_precision_is_kept_to_the_bit(tmp_path):
    def half():
        layers = [keras.layers.Dense(4, "relu", dtype="bfloat16"), keras.layers.Dense(1, dtype="bfloat16")]
        model = keras.Sequential([keras.Input((4,)), *layers])
        model.compile(keras.optimizers.SGD(0.05), "mse")
        return model

    first, again = (caviar.fit(half, X, Y, seeds=2, epochs=3, folder=tmp_path, verbose=0) for _ in range(2))
    assert digest(first) == digest(again)


@pytest.fixture
def trained_at_once(monkeypatch):
    """How many members took their steps in each block of epochs, those included that fill up the last tile."""
    found, advance = [], chunk._Chunk._advance

    def noting(self, tiles, *rest):
        found.append(sum(len(tile.places) for tile in tiles))
        return advance(self, tiles, *rest)

    monkeypatch.setattr(chunk._Chunk, "_advance", noting)
    return found


def stopping(**arguments):
    stop = keras.callbacks.EarlyStopping(patience=5, min_delta=1e-2, restore_best_weights=True)
    return caviar.fit(
        *(build, X, Y),
        **{"seeds": 8, "folds": 4, "epochs": 200, "batch_size": 16, "validation_split": 0.3} | arguments,
        callbacks=[stop],
        verbose=0,
    )


@pytest.mark.thorough
@pytest.mark.parametrize(("most", "worth"), [(16, 0.0), (4, float("inf"))], ids=["narrower", "fewer tiles"])
def test_members_that_have_stopped_leave_and_nobody_notices(most, worth, monkeypatch, trained_at_once):
    """The others go on in a narrower program or in fewer tiles, and every number is that of the wide one."""
    monkeypatch.setattr(chunk, "_SPARE", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(chunk._Chunk, "_fewer", lambda self, _: (None, self._at.width))
        wide = stopping()
    everybody = set(trained_at_once)
    assert everybody == {32}
    trained_at_once.clear()
    monkeypatch.setattr(chunk, "_WORTH_COMPILING", worth)
    monkeypatch.setattr(spread, "_MOST_ON_FIRST", most)
    narrow = stopping()
    assert len(set(trained_at_once)) > 2
    assert sorted(trained_at_once, reverse=True) == trained_at_once
    training = np.isfinite(wide.history["loss"]).sum(0)[-1]
    assert trained_at_once[-1] <= max(4, 2 * training) * devices.start().count
    for name, values in wide.history.items():
        np.testing.assert_allclose(narrow.history[name], values, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(narrow.scores["loss"], wide.scores["loss"], atol=1e-5)
    for one, other in zip(narrow.members, wide.members, strict=True):
        for ours, theirs in zip(one.model().get_weights(), other.model().get_weights(), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-4)


def trained_in_parts(folder=None):
    return caviar.fit(build, X, Y, seeds=6, folds=4, epochs=3, verbose=0, folder=folder)


@pytest.mark.thorough
def test_members_that_need_too_much_memory_train_in_parts(monkeypatch, tmp_path):
    whole = trained_in_parts()
    count = devices.start().count
    monkeypatch.setattr(memory, "budget", lambda: 30_000 * count)
    parts = trained_in_parts(tmp_path)
    widths = [path.stem.split("-")[2] for path in tmp_path.rglob("members-*.npz")]
    assert len(widths) > 1
    np.testing.assert_allclose(parts.history["loss"], whole.history["loss"], atol=1e-5)
    monkeypatch.setattr(memory, "budget", lambda: 2**40)
    again = trained_in_parts(tmp_path)  # goes on in the parts of before
    assert digest(again) == digest(parts)


@pytest.mark.thorough
def test_running_out_of_memory_halves_the_members_that_train_together(monkeypatch):
    whole = trained_in_parts()
    advance, seen = chunk._Chunk._advance, []

    def exhausted(self, *given):
        seen.append(len(self.seats))
        if len(self.seats) > 12:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")
        return advance(self, *given)

    monkeypatch.setattr(chunk._Chunk, "_advance", exhausted)
    halves = trained_in_parts()
    assert seen[0] == 24
    assert set(seen[1:]) == {12}
    np.testing.assert_allclose(halves.history["loss"], whole.history["loss"], atol=1e-5)


def test_memory_that_does_not_suffice_for_a_single_member_is_one_sentence(monkeypatch):
    def exhausted(*_):
        raise MemoryError("not a byte left")

    monkeypatch.setattr(chunk._Chunk, "_advance", exhausted)
    with pytest.raises(ModelError, match=r"Expected members to fit into memory.*not a byte left"):
        trained_in_parts()
