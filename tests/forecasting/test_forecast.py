"""Facts about `caviar.forecast` and `caviar plan`: what is counted, what is measured, and what is said."""

import importlib
import math
import re
import subprocess
import sys
import time

import pytest
from rich.console import Console

import caviar as library
from caviar.errors import ModelError, OptionError
from caviar.forecasting.rehearsal import Rehearsal
from caviar.planning.cost import Speed
from caviar.report.forecast import forecast as shown
from tests.command.conftest import caviar, in_fresh_process  # noqa: F401 - a fixture

# An hour of updates alone, a tenth of that together; beginning takes 6 s of each training.
ALONE = Speed(6.0, (0.09, 0.1, 0.2))
TOGETHER = Speed(60.0, (0.01,), members=10)


@pytest.fixture
def rehearsed(monkeypatch):
    """What a measurement would say, without one."""
    seen = {"together": TOGETHER}

    def rehearse(*_):
        return Rehearsal("A network", "2 CPU cores", ALONE, seen["together"])

    monkeypatch.setattr(importlib.import_module("caviar.forecasting.rehearsal"), "rehearse", rehearse)
    return seen


def said(plan) -> str:
    console = Console(width=80, highlight=False)
    with console.capture() as captured:
        console.print(shown(plan))
    return captured.get()


def words(plan) -> str:
    return " ".join(said(plan).split())


@pytest.mark.usefixtures("rehearsed")
def test_time_and_money_follow_from_the_updates_and_the_speed():
    plan = library.forecast(400, 5, 50, folds=5, repeats=2, dollars_per_hour=6, speedup=2)
    assert (plan.work.trainings, plan.work.updates) == (10, 32_000)
    assert plan.loop.seconds == pytest.approx((10 * 6 + 3200, 10 * 6 + 2880, 10 * 6 + 6400))
    assert plan.population.seconds == pytest.approx((60 + 320, 60 + 320, 60 + 320))
    assert plan.loop.dollars == pytest.approx([one / 3600 / 2 * 6 for one in plan.loop.seconds])


@pytest.mark.usefixtures("rehearsed")
def test_a_plan_says_what_rests_on_what():
    text = words(library.forecast(400, 5, 50, folds=5, repeats=2))
    assert "5 folds × 2 repeats = 10 trainings, each on 320 of the 400 rows" in text
    assert "64 updates of the weights: 64 batches of 5 rows" in text
    assert "32,000 updates: 3,200 per training" in text
    assert "54 min 20 s (49 min 0 s to 1 h 47 min)" in text
    assert "Extrapolated from one fit: 6.0 s to build and compile, each time" in text
    assert "100 ms per update (90 to 200, 3 stretches)" in text
    assert "6 min 20 s for all 10 as one population" in text
    assert "The loop takes 8.6 times as long" in text
    assert "at $3.00 per hour that is as fast as this one (nobody knows before it was measured there" in text
    for advice in ("Prices change", "spot", "caviar resume", "Shut the rented machine down", "caviar queue"):
        assert advice in text


@pytest.mark.usefixtures("rehearsed")
def test_no_line_is_wider_than_a_terminal():
    assert max(map(len, said(library.forecast(403, 5, 50, trials=7)).splitlines())) <= 80


def test_a_model_that_cannot_be_a_population_has_the_time_of_the_loop(rehearsed):
    rehearsed["together"] = None
    plan = library.forecast(400, 5, 50)
    assert plan.population is None
    assert "cannot train this model as a population" in words(plan)
    assert "for the trainings above" in words(plan)


def test_a_smaller_last_batch_is_told_with_what_dropping_it_does():
    text = words(library.forecast(103, 5, 2, measure=False))
    assert "21 updates of the weights: 20 batches of 5 rows and one of 3" in text
    assert "counts 1.7 times as much" in text
    assert "Dropping that batch would leave 20 updates per epoch and skip 3 rows (3 %)" in text


def test_folds_of_two_sizes_are_told():
    text = words(library.forecast(203, 5, 2, folds=10, measure=False))
    assert "each on 182 or 183 of the 203 rows" in text
    assert "up to 74 per training" in text


@pytest.mark.parametrize("option", ["model", "inputs", "dollars_per_hour", "speedup"])
def test_what_only_measuring_can_use_is_refused_without_it(option):
    with pytest.raises(OptionError, match=f"--{option.replace('_', '-')} beside --no-measure"):
        library.forecast(200, 5, 10, measure=False, **{option: 3})


@pytest.mark.parametrize("number", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("option", ["dollars_per_hour", "speedup"])
def test_prices_and_speeds_are_numbers_above_zero(option, number):
    with pytest.raises(OptionError, match="above 0"):
        library.forecast(200, 5, 10, **{option: number})


BUILDERS = """
import keras

def wide(n_inputs):
    model = keras.Sequential([keras.Input((n_inputs,)), keras.layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model

def image():
    layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
    model = keras.Sequential(layers)
    model.compile("sgd", "categorical_crossentropy")
    return model

def two():
    one, other = keras.Input((2,)), keras.Input((2,))
    model = keras.Model([one, other], keras.layers.Dense(1)(one + other))
    model.compile("sgd", "mse")
    return model

def any_length():
    model = keras.Sequential([keras.Input((None, 2)), keras.layers.LSTM(1)])
    model.compile("sgd", "mse")
    return model
"""


@pytest.fixture
def builders(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(BUILDERS)
    return path


def test_a_builder_is_rehearsed_on_rows_of_its_shape_with_targets_of_its_loss(builders):
    rehearsal = importlib.import_module("caviar.forecasting.rehearsal")
    work = library.forecast(50, 5, 2, folds=5, measure=False).work
    job, network = rehearsal._job(work, f"{builders}:wide", 7)
    assert job.x.shape == (1, 40, 7)
    assert set(job.y.ravel()) == {0, 1, 2}
    assert "wide for 7 inputs" in network
    assert [len(seat.fit) for seat in job.seats] == [40] * 5
    job, network = rehearsal._job(work, f"{builders}:image", None)
    assert job.x.shape == (1, 40, 4, 4, 1)
    assert job.y.shape == (1, 40, 2)
    assert "rows of shape (4, 4, 1)" in network


def test_very_many_rows_and_trainings_are_rehearsed_with_fewer():
    rehearsal = importlib.import_module("caviar.forecasting.rehearsal")
    work = library.forecast(30_000_001, 32, 2, folds=3, trials=10_000, measure=False).work
    job, _ = rehearsal._job(work, None, 60)
    assert job.x.size <= 4_000_000
    assert len(job.seats) <= 4_100
    sizes = {len(seat.fit) % 32 for seat in job.seats}
    assert sizes == {rows % 32 for rows in work.training_rows}


@pytest.mark.parametrize(
    ("builder", "inputs", "named"),
    [("image", 5, "--inputs"), ("two", None, "one input"), ("any_length", None, "keras.Input")],
)
def test_a_model_that_does_not_fit_the_plan_is_refused(builders, builder, inputs, named):
    with pytest.raises(ModelError, match=named):
        library.forecast(50, 5, 2, model=f"{builders}:{builder}", inputs=inputs, quiet=True)


COUNTED = ("plan", "--rows", "200", "--batch", "5", "--epochs", "1000", "--no-measure")


def test_the_command_counts_without_keras_and_jax(caviar, tmp_path):  # noqa: F811
    ended = caviar(*COUNTED)
    assert ended.status == 0
    assert "40 updates of the weights" in ended.out
    assert "40,000 updates" in ended.out
    program = (
        "import sys\nimport caviar\nfrom caviar.report.forecast import forecast\n"
        "forecast(caviar.forecast(200, 5, 1000, measure=False))\n"
        "print(*sorted({'keras', 'jax', 'sklearn', 'polars'} & set(sys.modules)))\n"
    )
    (tmp_path / "p.py").write_text(program)
    done = subprocess.run([sys.executable, "p.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert not done.stdout.strip()


def test_a_batch_of_more_rows_than_there_are_is_one_sentence(caviar):  # noqa: F811
    ended = caviar("plan", "--rows", "4", "--batch", "5", "--epochs", "1")
    assert ended.is_one_sentence(), ended
    assert "1 <= batch <= rows" in ended.err


UNITS = {"h": 3600.0, "min": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6}


def in_seconds(text: str) -> tuple[float, float]:
    """A duration as it is printed, and how far rounding may have moved it."""
    if text == "no time worth mentioning":
        return 0.0, 0.05
    parts = text.split()
    value = sum(float(number) * UNITS[unit] for number, unit in zip(parts[::2], parts[1::2], strict=True))
    return value, UNITS["min"] if parts[-1] == "min" else 0.05 if "." in parts[-2] else 0.5


def adds_up(text: str, trainings: int, updates: int, pattern: str) -> bool:
    """Whether a total is so many beginnings and so many updates, but for rounding: of an update to three digits."""
    found = re.search(pattern, text)
    assert found is not None, text
    (total, error), (beginning, more) = in_seconds(found[1]), in_seconds(found[2])
    steps = updates * float(found[3]) * UNITS[found[4]]
    expected, most = trainings * beginning + steps, error + trainings * more + 0.005 * steps
    assert most < 0.3 * steps  # or an update could take no time at all
    return abs(total - expected) <= most


@pytest.mark.thorough
@pytest.mark.usefixtures("builders")
def test_the_command_measures_what_it_says(tmp_path):
    began = time.monotonic()
    plan = "plan --rows 60 --batch 7 --epochs 5000 --folds 3 --model mine.py:wide --inputs 4"
    ended = in_fresh_process(*plan.split(), "--dollars-per-hour", "1.5", "--speedup", "2", cwd=tmp_path)
    assert ended.status == 0, ended.err
    text = " ".join(ended.out.split())
    assert "mine.py:wide for 4 inputs" in text
    assert "3 folds = 3 trainings, each on 40 of the 60 rows" in text
    assert "at $1.50 per hour that is 2 times as fast as this one (your --speedup says so" in text
    each = r"to build and compile{}.*?, then (\S+) (\S+) per update"
    loop = r"Keras fit (\d[^(]*?)(?: \([^)]*\))? for 3 trainings.*?one fit: (.+?) " + each.format(
        ", each time"
    )
    together = r"Caviar (\d[^(]*?)(?: \([^)]*\))? for all 3 as one population: (.+?) " + each.format(" once")
    assert adds_up(text, 3, 3 * 5000 * 6, loop)
    assert adds_up(text, 1, 3 * 5000 * 6, together)
    assert time.monotonic() - began < 200
