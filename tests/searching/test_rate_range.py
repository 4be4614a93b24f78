"""What a range test found is between what the space for tables searches its rate."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import caviar
from caviar.command.main import app
from caviar.errors import CaviarError, OptionError, RunError
from caviar.population import devices
from caviar.rates.lr_range import LearningRateRange
from caviar.recipe.hyperparameters import HyperParameters
from caviar.searching.rate_range import read_rate_range
from caviar.searching.tune import tune_table
from tests.searching.test_tune import X, Y, build

devices.start()

ROWS = (X, np.where(Y, "yes", "no"))


@pytest.fixture(scope="module")
def tested(tmp_path_factory) -> LearningRateRange:
    """A range test, in a folder."""
    few = {"epochs": 2, "updates": 100, "folds": 2, "repeats": 1, "seeds": 1, "verbose": 0}
    return caviar.lr_range(
        lambda: build(HyperParameters()),
        *(X, Y),
        rates=[1e-4, 1e-2, 1.0],
        **few,
        out=tmp_path_factory.mktemp("tested") / "range",
    )


def tuned(out, rates, **more):
    few = {"trials": 3, "epochs": 1, "folds": 2, "quiet": True}
    return tune_table(ROWS, out=out, rates=rates, **(few | more))


def bounds(found) -> tuple[float, float]:
    question = found.space.parameters[0].question
    assert found.space.parameters[0].name == "learning_rate"
    return question.low, question.high


def test_what_was_found_its_folder_and_its_numbers_are_the_same_range(tested):
    for given in (tested, tested.path, str(tested.path), tested.search_range, list(tested.search_range)):
        assert read_rate_range(given) == tested.search_range
    assert read_rate_range("1e-4,1e-2") == (1e-4, 1e-2)


@pytest.mark.thorough
def test_a_table_is_searched_between_these_rates_and_gone_on_with_when_the_folder_is_gone(tested, tmp_path):
    copy = tmp_path / "range"
    copy.mkdir()
    (copy / "lr-range.json").write_bytes((tested.path / "lr-range.json").read_bytes())
    found = tuned(tmp_path / "study", copy)
    assert bounds(found) == tested.search_range
    (copy / "lr-range.json").unlink()
    (found.path / "result.json").unlink()
    again = caviar.resume(found.path, source=ROWS, quiet=True)
    assert bounds(again) == tested.search_range
    assert [line.settings for line in again.lines] == [line.settings for line in found.lines]


def test_where_the_table_networks_own_rate_is_not_searched_the_first_trial_has_the_nearest(tmp_path):
    found = tuned(tmp_path / "study", (0.01, 0.05), trials=1)
    assert found.lines[0].settings["learning_rate"] == 0.01
    assert any("own learning rate, 0.001" in message for message in found.record.messages)
    usual = tuned(tmp_path / "usual", None, trials=1)
    assert usual.lines[0].settings["learning_rate"] == 0.001
    assert bounds(usual) == (1e-5, 1e-1)
    assert not any("own learning rate" in message for message in usual.record.messages)


@pytest.mark.parametrize(
    "given",
    [
        "nowhere",
        "0.1",
        "0.1,0.01",
        "0,0.1",
        "1,2,3",
        "a,b",
        "1e-3,inf",
        (0.1, 0.1),
        (1, None),
        3,
        "nan,1",
        "",
    ],
    ids=str,
)
def test_what_is_no_range_is_one_sentence(given, tmp_path):
    with pytest.raises(OptionError, match=r"^Expected rates .+For example 0\.0001,0\.01\.$"):
        tuned(tmp_path / "study", given)
    assert not (tmp_path / "study").exists()


def test_a_folder_whose_test_found_nothing_or_cannot_be_read_is_one_sentence(tested, tmp_path):
    record = json.loads((tested.path / "lr-range.json").read_text())
    (tmp_path / "lr-range.json").write_text(json.dumps(record | {"search": None}))
    with pytest.raises(OptionError, match=r"^Expected a range test in which .+failed at all"):
        read_rate_range(tmp_path)
    (tmp_path / "lr-range.json").write_text("{")
    with pytest.raises(RunError, match=r"^Expected .+cannot be read"):
        read_rate_range(tmp_path)
    failed = LearningRateRange(tested.record.model_copy(update={"base": None, "search": None}))
    with pytest.raises(OptionError, match="a rate at which training succeeds"):
        read_rate_range(failed)


def test_a_builder_of_ones_own_asks_for_its_rate_itself(tmp_path):
    with pytest.raises(CaviarError, match=r"^Expected rates only without a model"):
        tuned(tmp_path / "study", (1e-3, 1e-2), model=lambda hp: hp.Boolean("a"))


def test_a_range_test_names_the_option_that_takes_what_it_found(tested, monkeypatch, capsys):
    from rich.console import Console

    from caviar.report.terminal import lr_range as in_terminal

    Console(width=300).print(in_terminal(tested.record, tested.path))
    said = capsys.readouterr().out
    assert f"caviar tune TABLE --rates {tested.path}" in said
    assert 'hp.Float("rate", ' in said
    given_to: dict = {}
    monkeypatch.setattr(
        "caviar.searching.tune.tune_table", lambda *_, **given: given_to.update(given) or 1 / 0
    )
    CliRunner().invoke(app, ["tune", "a.csv", "--rates", "1e-4,1e-2"])
    assert given_to["rates"] == "1e-4,1e-2"
    Console(width=300).print(in_terminal(tested.record))
    low, high = tested.search_range
    assert f"--rates {low:g},{high:g}" in capsys.readouterr().out
