"""Facts about replaying a log: nursing that helps is told from nursing that does nothing, on new seeds."""

import json
import math

import numpy as np
import pytest

import caviar
from caviar.errors import OptionError, RunError
from caviar.nursing.log import read_log
from caviar.nursing.panda import replay_table
from caviar.nursing.replay import REPLAY
from caviar.population import devices
from tests.nursing.conftest import SEED, build

devices.start()

import keras  # noqa: E402


def too_slow() -> keras.Model:
    """The same network with a rate at which it learns nothing."""
    model = build()
    model.optimizer.learning_rate = 1e-6
    return model


@pytest.mark.thorough
def test_nursing_that_really_helps_gets_a_yes(rows):
    """A rate far too low is raised on the way: all seeds and folds learn only then."""
    nursed = caviar.panda(too_slow, *rows, seed=SEED)
    nursed.train(3)
    nursed.set(learning_rate=0.02)
    nursed.train(20)
    found = nursed.replay(seeds=12, folds=5, verbose=0)
    assert found.answer == "yes"
    assert found.comparison.difference.low > found.rope
    assert found.sentence.startswith("Yes, nursing helped")
    assert "optimistic" in found.sentence
    assert found.watched == pytest.approx(nursed.compare()[0].watched)
    assert (found.repeats, found.seeds, found.folds) == (4, 3, 5)


@pytest.mark.thorough
def test_useless_nursing_gets_a_no(rows):
    """The rate moves by a percent in the last epochs: that cannot matter, whatever the watched rows said."""
    nursed = caviar.panda(build, *rows, seed=SEED)
    nursed.train(15)
    nursed.set(learning_rate=0.0199)
    nursed.train(3)
    found = nursed.replay(seeds=6, folds=4, verbose=0)
    assert found.answer == "no"
    assert found.comparison.verdict == "no practical difference"
    assert str(found) == found.sentence


@pytest.mark.thorough
def test_a_replay_scores_held_out_rows_of_members_that_keras_would_make(rows, tmp_path):
    """One member of the replay beside `fit` on its fold's training rows, with the rate changed on the way."""
    x, y = rows
    nursed = caviar.panda(build, x, y, seed=SEED, out=tmp_path / "run")
    nursed.train(2)
    nursed.set(learning_rate=0.05)
    nursed.train(2)
    found = nursed.replay(seeds=1, folds=2, verbose=0, seed=50)
    again = replay_table(
        tmp_path / "run", (x, y), model=build, seeds=1, folds=2, seed=50, quiet=True, task="binary"
    )
    assert again.nursed == found.nursed
    assert (tmp_path / "run" / REPLAY).is_file()
    from caviar.data.split import make_splits
    from caviar.measuring.given import read_arrays

    dataset, _ = read_arrays(x, y, None)
    scores = []
    for i, split in enumerate(make_splits(dataset, 2, 1, 50)):
        keras.utils.set_random_seed(50 + 1 + 1000 * i)
        model = build()

        class Raise(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):  # noqa: ARG002 - Keras' signature
                if epoch == 2:
                    self.model.optimizer.learning_rate.assign(0.05)

        model.fit(x[split.train], y[split.train], batch_size=32, epochs=4, verbose=0, callbacks=[Raise()])
        chance = model.predict(x[split.held_out], verbose=0)[:, 0].astype(np.float64)
        true = y[split.held_out]
        scores.append(-np.mean(np.log(np.where(true == 1, chance, 1 - chance))))
    assert found.nursed.value == pytest.approx(np.mean(scores), abs=1e-5)


def test_a_training_that_was_left_alone_has_nothing_to_replay(rows):
    nursed = caviar.panda(build, *rows, seed=SEED)
    with pytest.raises(OptionError, match="Change something"):
        nursed.replay(verbose=0)
    nursed.train(1)
    with pytest.raises(OptionError, match="Change something"):
        nursed.replay(verbose=0)
    with pytest.raises(OptionError, match="Expected seeds"):
        nursed.replay(seeds=0, verbose=0)


@pytest.mark.parametrize("seeds", [4, 5])
def test_a_replay_trains_as_many_of_each_on_every_fold_as_were_asked_for(rows, seeds):
    nursed = caviar.panda(build, *rows, seed=SEED)
    nursed.train(1)
    nursed.set(learning_rate=0.05)
    nursed.train(1)
    found = nursed.replay(seeds=seeds, folds=2, verbose=0)
    assert found.seeds * found.repeats == seeds
    assert f"over {2 * seeds} new trainings" in found.sentence


def changed(log: str, stage: int, **settings: float) -> str:
    """A log of which one stage was changed by hand."""
    told = json.loads(log)
    told["branches"][0]["stages"][stage]["settings"] |= settings
    return json.dumps(told)


@pytest.mark.parametrize(
    ("stage", "settings"),
    [
        (1, {"learning_rate": -1}),
        (0, {"dropout": 4}),
        (1, {"weight_decay": math.nan}),
        (1, {"batch_size": 100_000}),
        (0, {"batch_size": 97}),
    ],
)
def test_settings_that_nobody_could_have_made_are_refused_in_a_log(rows, tmp_path, stage, settings):
    """The bounds are those of a training that is steered; it has 96 rows to train on."""
    nursed = caviar.panda(build, *rows, seed=SEED, out=tmp_path / "run")
    nursed.train(1)
    nursed.set(learning_rate=0.05)
    nursed.train(1)
    file = tmp_path / "run" / "log.json"
    log = file.read_text()
    (name,) = settings
    file.write_text(changed(log, stage, **settings))
    with pytest.raises(RunError, match=f"^Expected {name} to be .* in .*log.json. It was changed"):
        replay_table(tmp_path / "run", rows, model=build, task="binary", quiet=True)
    with pytest.raises(OptionError, match=f"^Expected {name} to be "):
        nursed.set(**settings)


def test_a_log_with_larger_batches_than_rows_from_the_start_is_read(rows, tmp_path):
    nursed = caviar.panda(build, *rows, seed=SEED, out=tmp_path / "run", batch_size=1000)
    nursed.train(1)
    assert read_log(tmp_path / "run").first.batch_size == 1000


def test_a_log_is_not_replayed_on_another_table(rows, tmp_path):
    x, y = rows
    nursed = caviar.panda(build, x, y, seed=SEED, out=tmp_path / "run")
    nursed.train(1)
    with pytest.raises(OptionError, match="Pass the same table"):
        replay_table(tmp_path / "run", (x[:60], y[:60]), model=build, task="binary", quiet=True)
