"""`optuna.load_study` reads every trial of every search from the copy that is kept beside it."""

import optuna
import pytest

from caviar.errors import OptionError
from caviar.population import devices
from tests.searching.test_tune import build, tuned

devices.start()


def read(path, name="study") -> optuna.Study:
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    return optuna.load_study(study_name=name, storage=optuna.storages.JournalStorage(backend))


def fragile(hp):
    if hp.Choice("kind", ["plain", "broken"]) == "broken":
        raise ValueError("no such layer")
    return build(hp)


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copied")
    found = tuned(fragile, folder / "study", trials=6, epochs=1, folds=2, storage=folder / "optuna.log")
    return found, folder


def test_the_copy_of_a_random_search_holds_params_values_and_states(copied):
    found, folder = copied
    study = read(folder / "optuna.log")
    assert [trial.params for trial in study.trials] == [line.settings for line in found.lines]
    assert [trial.state.name for trial in study.trials] == [
        "FAIL" if line.why else "COMPLETE" for line in found.lines
    ]
    assert {"FAIL", "COMPLETE"} == {trial.state.name for trial in study.trials}
    assert [trial.value for trial in study.trials] == [
        None if line.why else line.score[0] for line in found.lines
    ]
    assert study.best_trial.user_attrs["candidate"] == found.record.best
    assert "no such layer" in next(t.user_attrs["why"] for t in study.trials if t.state.name == "FAIL")
    assert study.metric_names == ["log-loss"]
    assert study.trials[0].duration.total_seconds() == pytest.approx(found.lines[0].seconds, abs=1e-3)


def test_going_on_adds_nothing_twice_and_a_later_copy_holds_all(copied):
    found, folder = copied
    for name in ("optuna.log", "later.log"):
        tuned(fragile, folder / "study", trials=6, epochs=1, folds=2, storage=folder / name)
        assert len(read(folder / name).trials) == len(found.lines)


@pytest.mark.thorough
def test_a_database_holds_scores_in_their_own_direction(tmp_path):
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    found = tuned(
        folder=tmp_path / "front",
        trials=3,
        epochs=1,
        folds=2,
        search="nsga",
        objective=["val_loss", "val_accuracy"],
        storage=url,
    )
    study = optuna.load_study(study_name="front", storage=url)
    assert [one.name for one in study.directions] == ["MINIMIZE", "MAXIMIZE"]
    assert [trial.values for trial in study.trials] == [line.score for line in found.lines]


def test_the_copy_of_another_search_and_a_storage_that_is_none_are_refused(copied, tmp_path):
    _, folder = copied
    with pytest.raises(OptionError, match="another's"):
        tuned(folder=tmp_path / "study", trials=2, storage=folder / "optuna.log")
    with pytest.raises(OptionError, match="file or database"):
        tuned(folder=tmp_path / "study", trials=2, storage="nosuch://database")
    assert not (tmp_path / "study").exists()


def test_searches_that_ask_optuna_keep_a_study_in_their_folder_and_do_without_where_it_is_broken(tmp_path):
    arguments = {"trials": 4, "epochs": 1, "folds": 2, "search": "tpe", "options": {"generation": 2}}
    found = tuned(folder=tmp_path / "study", **arguments)
    copy = tmp_path / "study" / "optuna.log"
    assert [trial.value for trial in read(copy).trials] == [line.score[0] for line in found.lines]
    tuned(folder=tmp_path / "study", **arguments)
    assert len(read(copy).trials) == 4
    copy.write_text("no journal\n")
    again = tuned(folder=tmp_path / "study", **arguments)
    assert again.lines == found.lines
    assert "optuna.log" in again.record.messages[-1]


def test_the_study_of_a_folder_that_was_renamed_is_gone_on_with(tmp_path):
    arguments = {"trials": 2, "epochs": 1, "folds": 2, "search": "nsga", "options": {"generation": 2}}
    tuned(folder=tmp_path / "study", **arguments)
    (tmp_path / "study").rename(tmp_path / "other")
    tuned(folder=tmp_path / "other", **arguments)
    copy = tmp_path / "other" / "optuna.log"
    backend = optuna.storages.journal.JournalFileBackend(str(copy))
    assert optuna.get_all_study_names(optuna.storages.JournalStorage(backend)) == ["study"]
    assert len(read(copy).trials) == 2


def test_no_other_search_keeps_a_study_unless_asked_and_none_keeps_two(copied, tmp_path):
    found, _ = copied
    assert not (found.path / "optuna.log").exists()
    elsewhere = tmp_path / "elsewhere.log"
    tuned(folder=tmp_path / "study", trials=2, epochs=1, folds=2, search="tpe", storage=elsewhere)
    assert len(read(elsewhere).trials) == 2
    assert not (tmp_path / "study" / "optuna.log").exists()


def test_a_trial_that_had_a_part_of_the_training_counts_as_pruned(tmp_path):
    from caviar.tune.journal import Journal
    from caviar.tune.search import Outcome
    from caviar.tune.space import discover

    space = discover(lambda hp: hp.Float("rate", 0.0, 1.0))
    journal = Journal(tmp_path / "optuna.log", "study", space, 1, higher=[True])
    told = [Outcome(number, {"rate": 0.1 * number}, (-0.5 - 0.1 * number,)) for number in range(3)]
    journal.add(told, {2: {"share": 0.25}})
    study = read(tmp_path / "optuna.log")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "PRUNED"]
    assert study.trials[2].intermediate_values == {25: pytest.approx(0.7)}
    assert study.best_trial.number == 1
