"""Settings that won elsewhere are what a search begins with."""

import json
from dataclasses import replace
from shutil import copytree, rmtree
from types import SimpleNamespace

import numpy as np
import pytest

import caviar
from caviar.errors import CaviarError, OptionError, RunError
from caviar.keras_tuner import HyperParameters
from caviar.measuring.table import read_recipe
from caviar.population import devices
from caviar.recipe.table_settings import table_settings
from caviar.recipe.table_space import searched_table
from caviar.run.folder import RunFolder
from caviar.run.record import ArmRecord, FinalRecord, Record
from caviar.searching.starting import starts
from caviar.searching.trials import space_of
from caviar.searching.tune import tune_table
from caviar.tune.draws import random_search
from tests.searching.test_tune import X, Y, build, tuned

devices.start()
import keras  # noqa: E402 - only once JAX is its backend

L = keras.layers
ROWS = (X, np.where(Y, "yes", "no"))


def table_base():
    from caviar.data.load import load

    return read_recipe(load(ROWS), None, None, None, absolute=False)


def table_space():
    return space_of(searched_table(table_base(), absolute=False), 3, 1)


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """A small search, in a folder."""
    return tuned(folder=tmp_path_factory.mktemp("earlier") / "study", trials=4, epochs=2)


def finished_run(folder, *layers, optimizer, changes=(), batch_size=64):
    """A folder as `caviar improve` leaves it, with a network of these layers."""
    model = keras.Sequential([keras.Input((3,)), *layers, L.Dense(1, "sigmoid")])
    model.compile(optimizer, "binary_crossentropy")
    run = RunFolder(folder)
    run.path.mkdir()
    arm = ArmRecord(
        name="better", title="", what="", changes=dict.fromkeys(changes, ""), batch_size=batch_size
    )
    final = FinalRecord(recipe="better", title="", members=1, files=[], rows=9, scores={}, sentence="")
    run.save_record(Record(status="finished", baseline=arm, final=final))
    (run.path / "model").mkdir()
    model.save(run.path / "model" / "network.keras")
    facts = {"format": 1, "link": "probability", "members": ["network.keras"]}
    schema = {"task": "binary", "task_reason": "", "columns": [], "targets": ["y"], "classes": ["no", "yes"]}
    (run.path / "model" / "model.json").write_text(json.dumps(facts | {"data": schema}))
    return run.path


def test_the_best_settings_of_a_result_or_its_folder_are_the_second_trial(earlier, tmp_path):
    for number, start in enumerate([earlier, str(earlier.path), [earlier.path]]):
        found = tuned(folder=tmp_path / str(number), trials=2, epochs=2, start=start)
        assert found._study.folder.plan()["start"][-1] == earlier.hyperparameters
        assert earlier.hyperparameters in [line.settings for line in found.lines]


def test_a_search_goes_on_when_the_folder_that_it_began_with_is_gone(earlier, tmp_path):
    copytree(earlier.path, tmp_path / "copy")
    first = tuned(folder=tmp_path / "study", trials=3, epochs=2, start=tmp_path / "copy")
    rmtree(tmp_path / "copy")
    again = tuned(folder=tmp_path / "study", trials=3, epochs=2, start=tmp_path / "copy")
    assert [line.settings for line in again.lines] == [line.settings for line in first.lines]
    with pytest.raises(OptionError, match="settings to start from"):
        tuned(folder=tmp_path / "study", trials=3, epochs=2, start=[{"rate": 0.9}])


def test_a_search_that_is_not_over_gives_its_best_so_far_and_is_left_as_it_is(earlier, tmp_path):
    copytree(earlier.path, tmp_path / "going")
    (tmp_path / "going" / "result.json").unlink()
    with (tmp_path / "going" / "trials.jsonl").open("a") as file:
        file.write('{"number": 99, "sett')
    before = (tmp_path / "going" / "trials.jsonl").read_bytes()
    space = earlier.space
    (found,) = starts(tmp_path / "going", space, 3, 1, {})
    assert found.settings == earlier.hyperparameters
    assert (tmp_path / "going" / "trials.jsonl").read_bytes() == before


def test_hyperparameters_enter_by_their_values_and_what_nobody_asks_for_is_named(tmp_path):
    values = {"drop": 0.25, "rate": 0.5, "tuner/epochs": 3}
    for hp in (HyperParameters(dict(values)), SimpleNamespace(values=dict(values))):
        (found,) = starts([hp], earlier_space(), 3, 1, {})
        assert found.settings == {"drop": 0.25, "rate": 0.5}
        assert "tuner/epochs" in found.sentence
    study = tuned(folder=tmp_path / "study", trials=2, epochs=1, start=[{"rate": 0.5, "speed": 3}])
    assert study.lines[1].settings == {"drop": 0.0, "rate": 0.5}
    assert any("speed" in message for message in study.record.messages)


def earlier_space():
    from caviar.tune.space import discover

    return discover(build)


def test_settings_that_do_not_count_beside_the_others_are_named():
    given = {"penalty": "none", "penalty_strength": 0.01, "width": 16}
    (found,) = starts(given, table_space(), 3, 1, {})
    assert found.settings["width"] == 16
    assert "penalty_strength (it does not count" in found.sentence


def test_what_the_table_space_builds_is_read_back_as_the_settings_it_was_built_from():
    """All but the decay, which is a callback and not part of a network."""
    base, space = table_base(), table_space()
    searched = searched_table(base, absolute=False)
    for candidate in random_search(space, 12, seed=3).ask(12):
        recipe = searched.recipe(base, candidate.settings, "some", 3)
        model = recipe.build(3, 1)()
        said = table_settings(model.layers, model.get_compile_config()["optimizer"], recipe.batch_size)
        expected = {name: value for name, value in candidate.settings.items() if name != "decay"}
        assert said.unsaid == []
        assert said.settings.keys() == expected.keys()
        for name, value in expected.items():
            assert said.settings[name] == (
                value if isinstance(value, str) else pytest.approx(value, rel=1e-5)
            )


def test_the_chosen_recipe_of_a_run_is_told_in_the_words_of_the_table_space(tmp_path):
    run = finished_run(
        tmp_path / "run",
        *(L.Dense(32, "relu", kernel_initializer="he_normal"), L.BatchNormalization(), L.Dropout(0.3)),
        *(L.Dense(32, "elu", kernel_initializer="he_normal"), L.Dropout(0.3)),
        optimizer=keras.optimizers.RMSprop(3e-3),
        changes=("dropout", "stopping"),
    )
    (found,) = starts(run, table_space(), 3, 1, {})
    assert found.settings | {"decay": 1.0} == {
        "learning_rate": pytest.approx(3e-3),
        "batch_size": 64,
        "initializer": "he_normal",
        "optimizer": "rmsprop",
        "penalty": "dropout",
        "dropout": 0.3,
        "depth": 2,
        "width": 32,
        "decay": 1.0,
    }
    assert found.unsaid == ("activation elu", "BatchNormalization", "stopping")
    assert found.source == str(run)


def test_a_run_whose_settings_a_builder_does_not_ask_for_is_refused(tmp_path):
    run = finished_run(tmp_path / "run", L.Dense(4, "relu"), optimizer="adam")
    with pytest.raises(OptionError, match=r"Expected settings of drop, rate .* learning_rate"):
        tuned(folder=tmp_path / "study", start=run)
    assert not (tmp_path / "study").exists()


@pytest.mark.thorough
def test_a_table_is_searched_from_a_run(tmp_path):
    run = finished_run(tmp_path / "run", L.Dense(300, "relu"), optimizer=keras.optimizers.SGD(0.1, 0.5))
    found = tune_table(ROWS, trials=2, epochs=1, folds=2, quiet=True, start=[run], out=tmp_path / "study")
    assert found.lines[1].settings["optimizer"] == "sgd"
    (message,) = [message for message in found.record.messages if "begins" in message]
    assert "momentum 0.5" in message
    assert "width (300 is not among its values)" in message


def some_recipe():
    return searched_table(table_base(), absolute=False).recipe(
        table_base(), {"width": 16, "decay": 0.9}, "mine", 3
    )


def test_a_recipe_that_no_search_made_is_told_from_its_network():
    recipe = replace(some_recipe(), hyperparameters={})
    for one in (recipe, SimpleNamespace(recipe=recipe)):
        (found,) = starts(one, table_space(), 3, 1, {})
        assert found.settings["width"] == 16
        assert found.unsaid == ("LearningRateScheduler",)


def test_a_recipe_that_a_search_made_is_a_start_with_the_settings_it_was_made_of(earlier, tmp_path):
    found = tuned(folder=tmp_path / "study", trials=2, epochs=2, start=[earlier.best])
    assert earlier.best.hyperparameters == earlier.hyperparameters != {}
    assert found._study.folder.plan()["start"][-1] == earlier.hyperparameters
    assert not any("begins" in message for message in found.record.messages)
    (said,) = starts(some_recipe(), table_space(), 3, 1, {})
    assert (said.settings["width"], said.settings["decay"], said.unsaid) == (16, 0.9, ())


def test_what_was_changed_since_a_search_made_a_recipe_is_named():
    (found,) = starts(some_recipe().changed(("mixup", "0.2"), mixup=0.2), table_space(), 3, 1, {})
    assert found.settings["width"] == 16
    assert found.unsaid == ("mixup",)


def test_recipes_of_other_settings_are_not_equal_and_all_can_be_hashed():
    one = some_recipe()
    other = replace(one, hyperparameters={"width": 17})
    assert one != other
    assert one == replace(one)
    assert len({one, other}) == 2


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (3, "int"),
        ([{}], "none"),
        ([{"speed": 7.0}], "speed"),
        ([{"rate": 7.0}], "rate"),
        ("nowhere", "nowhere"),
    ],
)
def test_what_is_no_start_is_one_sentence(start, words, tmp_path):
    with pytest.raises(CaviarError, match=words) as told:
        tuned(folder=tmp_path / "study", start=start)
    assert str(told.value).startswith("Expected")
    assert not (tmp_path / "study").exists()


def test_a_run_without_a_model_is_no_start(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.save_record(Record())
    with pytest.raises(RunError, match="caviar resume"):
        starts(run.path, earlier_space(), 3, 1, {})


def test_the_command_line_names_folders_to_start_from(monkeypatch):
    from typer.testing import CliRunner

    from caviar.command.main import app

    monkeypatch.setattr(
        "caviar.searching.tune.tune_table", lambda *_, **given: given_to.update(given) or 1 / 0
    )
    given_to: dict = {}
    CliRunner().invoke(app, ["tune", "a.csv", "--start", "one", "--start", "two"])
    assert [str(path) for path in given_to["start"]] == ["one", "two"]
    assert caviar.tune.__name__ == "tune"
