"""Recipes on the same folds and seeds: the better one is called better, equal ones equal, few data too few."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import caviar
from caviar.comparing import compare as versus
from caviar.data.load import load
from caviar.data.split import make_splits
from caviar.errors import CaviarError, OptionError
from caviar.evaluate.metrics import find_metric
from caviar.measuring.measure import Bench
from caviar.progress import Clock, Voice
from caviar.report.terminal import comparison
from caviar.run.record import ArmRecord
from caviar.run.studies import CompareRecord, Scale
from tests.command.conftest import in_fresh_process

FOLDS, REPEATS, SEEDS = 10, 3, 3
SCALE = Scale(no_skill=1.1, reference=0.3, reference_title="linear model", rope=0.016, reason="because")

BUILDERS = """
import keras

def model(rate, n_inputs, n_outputs):
    model = keras.Sequential([keras.Input((n_inputs,)), keras.layers.Dense(n_outputs, "softmax")])
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    return model

def quick(n_inputs, n_outputs):
    return model(0.1, n_inputs, n_outputs)

def frozen(n_inputs, n_outputs):
    return model(1e-9, n_inputs, n_outputs)

def wrong():
    raise ValueError("out of luck")
"""
SMALL = ("--epochs", "3", "--folds", "3", "--repeats", "2", "--seeds", "2")


@pytest.fixture(scope="module")
def bench() -> Bench:
    dataset = load("sample:iris")
    return Bench(dataset, make_splits(dataset, FOLDS, REPEATS, 0), find_metric("log-loss", dataset.task), ())


def arm(name: str, each: np.ndarray) -> SimpleNamespace:
    """A recipe whose members scored (repeat, fold, seed), as if it had been trained."""
    failed = int((~np.isfinite(each)).sum())
    record = ArmRecord(name=name, title=name, what="", members=each.size, failed_members=failed)
    return SimpleNamespace(recipe=SimpleNamespace(name=name), each=each, record=record)


def folds_with(shift: float, noise: float = 0.001, seed: int = 0) -> np.ndarray:
    """Scores whose folds differ by far more than the recipes: only pairing can see a small shift."""
    shared = np.random.default_rng(99).normal(0.5, 0.2, (REPEATS, FOLDS, 1))
    return shared + shift + np.random.default_rng(seed).normal(0, noise, (REPEATS, FOLDS, SEEDS))


def compared(bench: Bench, *each: np.ndarray) -> CompareRecord:
    arms = [arm(name, scores) for name, scores in zip("abcde", each, strict=False)]
    return versus.compared(bench, arms, SCALE, SEEDS, Clock(None), Voice(quiet=True))


def test_a_planted_difference_is_found_though_folds_differ_by_more(bench):
    found = compared(bench, folds_with(0), folds_with(-0.05, seed=1))
    only = found.comparisons[0]
    assert only.verdict == "helps"
    assert only.difference.value == pytest.approx(0.05, abs=0.001)
    assert found.sentence.startswith("b is better than a, by 0.0")
    assert only.sentence.startswith("b is better than a: log-loss 0.0")
    assert "0.016 that counts as a practical difference" in only.sentence


def test_the_difference_is_the_mean_of_paired_differences_with_the_corrected_error(bench):
    one, other = folds_with(0, 0.02), folds_with(-0.03, 0.02, seed=1)
    only = compared(bench, one, other).comparisons[0]
    paired = (one.mean(axis=2) - other.mean(axis=2)).ravel()
    by_seed = (one.var(axis=2, ddof=1).mean() + other.var(axis=2, ddof=1).mean()) / SEEDS
    whole = paired.var(ddof=1)
    error = np.sqrt(whole / paired.size + bench.test_share * max(whole - by_seed, 0))
    t_of_few_rows = 2.2621571627  # 97.5 % quantile of Student's t with folds - 1 degrees of freedom
    assert only.difference.value == pytest.approx(paired.mean())
    assert only.difference.high - only.difference.value == pytest.approx(t_of_few_rows * error)


def test_equal_recipes_make_no_practical_difference_and_noisy_ones_need_more_data(bench):
    found = compared(bench, folds_with(0), folds_with(0.001, seed=1), folds_with(0.02, 0.25, seed=2))
    assert [one.verdict for one in found.comparisons] == ["no practical difference", "not enough data"]
    assert found.sentence.startswith(
        "b is practically the same as a; there is not enough data to tell c from a"
    )


def test_more_comparisons_make_each_verdict_stricter(bench):
    others = [folds_with(0.02, 0.03, seed=s) for s in (1, 2, 3)]
    alone = compared(bench, folds_with(0, 0.03), others[0]).comparisons[0]
    among = compared(bench, folds_with(0, 0.03), *others).comparisons[0]
    assert among.p == alone.p
    assert among.p_holm > alone.p_holm


def test_a_recipe_that_fails_where_the_first_does_not_is_named(bench):
    failing = folds_with(-0.05, seed=1)
    failing[0, :4, 1] = np.nan
    found = compared(bench, folds_with(0), failing)
    assert "4 of 30 folds have a score only from a and are left out" in found.comparisons[0].sentence
    assert found.comparisons[0].verdict != "helps"
    assert found.recipes[1].failed_members == 4
    assert found.recipes[1].score.n == 26


def test_a_recipe_of_which_every_fold_lost_a_seed_has_no_difference(bench):
    failing = folds_with(0, seed=1)
    failing[:, :, 0] = np.nan
    only = compared(bench, folds_with(0), failing).comparisons[0]
    assert only.verdict == "harms"  # failures in all 30 folds decide
    assert only.difference.n == 0


def test_the_terminal_shows_every_recipe_and_fits_80_columns(bench, capsys):
    from rich.console import Console

    found = compared(bench, folds_with(0), folds_with(-0.05, seed=1), folds_with(0.05, seed=2))
    Console(width=80, highlight=False).print(comparison(found))
    out = capsys.readouterr().out
    assert "b is better than a; c is worse than a." in " ".join(out.split())
    assert "▲ better" in out
    assert "▼ worse" in out
    assert max(map(len, out.splitlines())) <= 80


def test_builders_and_the_table_may_come_in_any_order():
    for names in (
        ["a.py:f", "b.py:g", "t.csv"],
        ["t.csv", "a.py:f", "b.py:g"],
        ["a.py:f", "t.csv", "b.py:g"],
    ):
        assert versus.builders_and_table(names) == (["a.py:f", "b.py:g"], "t.csv")
    assert versus.builders_and_table(["sample:iris", "a.py:f"])[1] == "sample:iris"


@pytest.mark.parametrize("names", [["a.py:f", "b.py:g"], ["a.py:f", "b.py:g", "t.csv", "u.csv"]])
def test_no_table_and_two_tables_are_refused(names):
    with pytest.raises(OptionError, match="one table"):
        versus.builders_and_table(names)


def test_builders_of_one_name_are_told_apart():
    assert versus._told_apart(["build", "other", "build"]) == ["build", "other", "build (2)"]


@pytest.fixture
def builders(tmp_path) -> Path:
    (tmp_path / "models.py").write_text(BUILDERS)
    return tmp_path


@pytest.mark.thorough
def test_the_command_says_which_recipe_is_better(builders):
    arguments = ("models.py:frozen", "sample:iris", "models.py:quick", *SMALL)
    ended = in_fresh_process("compare", *arguments, cwd=builders)
    assert ended.status == 0, ended
    assert "models.py:quick is better than models.py:frozen, by" in " ".join(ended.out.split())


@pytest.mark.parametrize(
    ("named", "arguments"),
    [
        ("two builders", ["models.py:quick", "sample:iris"]),
        ("one table", ["models.py:quick", "models.py:frozen"]),
        ("one table", ["models.py:quick", "models.py:frozen", "sample:iris", "sample:wine"]),
        ("models.py", ["models.py", "models.py:quick", "sample:iris"]),
        ("nothing", ["models.py:nothing", "models.py:quick", "sample:iris"]),
        ("out of luck", ["models.py:quick", "models.py:wrong", "sample:iris"]),
        ("nonsense", ["models.py:quick", "models.py:frozen", "sample:iris", "--metric", "nonsense"]),
        ("Expected seeds", ["models.py:quick", "models.py:frozen", "sample:iris", "--seeds", "0"]),
        ("more minutes", ["models.py:quick", "models.py:frozen", "sample:iris", "--minutes", "0.0001"]),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(builders, monkeypatch, capsys, named, arguments):
    from caviar.command import main as cli

    monkeypatch.chdir(builders)
    monkeypatch.setattr(sys, "argv", ["caviar", "compare", *arguments])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert ended.value.code == 2
    lines = [line for line in said.err.splitlines() if line.startswith("caviar: ")]
    assert len(lines) == 1
    assert named in lines[0]
    assert not said.out


def test_one_builder_is_no_comparison_in_python_either():
    with pytest.raises(CaviarError, match="two builders"):
        caviar.compare("a.py:build", "sample:iris")


def test_compare_stays_a_function_whatever_is_imported_first():
    program = (
        "import caviar.evaluate.compare, caviar.comparing.compare, caviar\nassert callable(caviar.compare)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
