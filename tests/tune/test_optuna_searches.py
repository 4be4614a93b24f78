"""Optuna's samplers learn, stay silent, and leave a journal that Optuna can read."""

import logging
import math
import sys

import optuna
import pytest

from caviar.errors import OptionError
from caviar.tune.draws import random_search
from caviar.tune.optuna_searches import cma_es_search, gaussian_process_search, nsga_search, tpe_search
from caviar.tune.search import Outcome
from caviar.tune.space import discover
from tests.tune.spaces import SPACES, outcome, run
from tests.tune.test_facts import best, share_of_wins


def read(path, study="caviar") -> optuna.Study:
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    return optuna.load_study(study_name=study, storage=optuna.storages.JournalStorage(backend))


def skewed(hp):
    hp.Float("rate", 1e-5, 1.0, sampling="log")
    hp.Float("momentum", 0.1, 0.999, sampling="reverse_log")
    hp.Int("units", 4, 256, step=2, sampling="log")


def loss(settings) -> float:
    """Lowest near a rate of 0.003, a momentum of 0.9 and 64 units, each on its own scale."""
    return (
        (math.log10(settings["rate"]) + 2.5) ** 2
        + math.log10((1.1 - settings["momentum"]) / 0.2) ** 2
        + (math.log2(settings["units"]) - 6) ** 2 / 4
    )


@pytest.mark.parametrize("search", [tpe_search, cma_es_search, nsga_search], ids=lambda one: one.__name__)
def test_samplers_learn_on_all_scales(search):
    """The last quarter of what is asked is far better than the first."""
    pytest.importorskip("cmaes")
    space = discover(skewed)
    gains = []
    for seed in range(2):
        made, losses = search(space, 96, seed), []
        while candidates := made.ask(1000):
            losses += [loss(one.settings) for one in candidates]
            made.tell([Outcome(one.number, one.settings, (loss(one.settings),)) for one in candidates])
        gains.append(sum(losses[-24:]) / sum(losses[:24]))
    assert max(gains) < 0.7


def test_tpe_finds_a_lower_loss_than_random_draws():
    space = discover(skewed)
    seeds = range(12)
    ours = [best(tpe_search(space, 40, seed, generation=8), loss) for seed in seeds]
    theirs = [best(random_search(space, 40, seed), loss) for seed in seeds]
    assert share_of_wins(ours, theirs)[0] > 0.5


def test_tpe_learns_to_avoid_where_trials_fail(rng):
    """A failed trial counts as bad as the worst: half of the axis fails, nothing else matters, and it is left.

    Were failed ones not told, more than half of the later ones would fail, too.
    """
    search, failed = tpe_search(discover(lambda hp: hp.Float("drop", 0.0, 1.0)), 128, seed=1), []
    while candidates := search.ask(1000):
        losses = [math.nan if one.settings["drop"] > 0.5 else rng.random() for one in candidates]
        failed += [math.isnan(loss) for loss in losses]
        search.tell(
            [Outcome(one.number, one.settings, (it,)) for one, it in zip(candidates, losses, strict=True)]
        )
    assert sum(failed[64:]) / 64 < 0.2


def test_two_scores_are_both_brought_down():
    """NSGA-II ends with settings between the two optima of x, and with a low y that both want."""
    space = discover(lambda hp: (hp.Float("x", 0.0, 1.0), hp.Float("y", 0.0, 1.0)))
    search, last = nsga_search(space, 320, objectives=2), []
    while candidates := search.ask(1000):
        last = [one.settings for one in candidates]
        scores = [(abs(one["x"] - 0.2) + one["y"], abs(one["x"] - 0.8) + one["y"]) for one in last]
        search.tell(
            [Outcome(one.number, one.settings, it) for one, it in zip(candidates, scores, strict=True)]
        )
    assert sum(one["y"] for one in last) / len(last) < 0.3
    assert max(one["x"] for one in last) - min(one["x"] for one in last) > 0.2


def test_the_journal_holds_real_settings_after_each_generation(tmp_path):
    path = tmp_path / "optuna.log"
    search = tpe_search(SPACES["mixed"], 20, generation=10, journal=path)
    first = search.ask(10)
    outcomes = [outcome(one) for one in first]
    outcomes[3] = Outcome(3, first[3].settings, (math.nan,))
    search.tell(outcomes[:9])
    assert read(path).trials == []
    search.tell(outcomes[9:])
    trials = read(path).trials
    assert [trial.params for trial in trials] == [one.settings for one in first]
    assert [trial.user_attrs["candidate"] for trial in trials] == list(range(10))
    assert [trial.state.name for trial in trials] == [
        "FAIL" if number == 3 else "COMPLETE" for number in range(10)
    ]
    assert read(path).best_value == min(one.score[0] for one in outcomes if not one.failed)
    assert trials[0].distributions["rate"] == optuna.distributions.FloatDistribution(1e-4, 1.0, log=True)


def test_the_journal_of_a_search_that_goes_on_holds_each_trial_once_and_no_pickles(tmp_path):
    pytest.importorskip("cmaes")
    path = tmp_path / "optuna.log"
    search = cma_es_search(SPACES["numbers"], 32, generation=8, journal=path)
    told = []
    for _ in range(2):
        told += [outcome(one) for one in search.ask(8)]
        search.tell(told[-8:])
    run(cma_es_search(SPACES["numbers"], 32, generation=8, journal=path).replay(told))
    assert [trial.user_attrs["candidate"] for trial in read(path).trials] == list(range(32))
    assert all(trial.system_attrs == {} for trial in read(path).trials)


def test_a_database_can_hold_the_copy(tmp_path):
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    run(nsga_search(SPACES["few"], 6, objectives=2, journal=url, study="layers"), objectives=2)
    stored = optuna.load_study(study_name="layers", storage=url)
    assert len(stored.trials) == 6
    assert len(stored.best_trials) >= 1
    with pytest.raises(OptionError, match=r"^Expected a study of 1 objectives, .+\.$"):
        tpe_search(SPACES["few"], 6, journal=url, study="layers")


@pytest.mark.parametrize("target", ["nosuch://host/studies", "{tmp}/missing/folder/optuna.log"])
def test_a_journal_that_cannot_be_opened_is_refused_before_anything_trains(target, tmp_path):
    with pytest.raises(OptionError, match=r"^Expected a file or database .+\.$"):
        tpe_search(SPACES["few"], 6, journal=target.format(tmp=tmp_path))


def test_spaces_that_cma_es_cannot_search_are_refused():
    for space in (SPACES["mixed"], SPACES["few"], discover(lambda hp: hp.Float("rate", 0.1, 1.0))):
        with pytest.raises(
            OptionError, match=r"^Expected (numbers alone|at least two numbers) for CMA-ES.+\.$"
        ):
            cma_es_search(space, 10)


@pytest.mark.parametrize(
    ("make", "package", "extra"),
    [(gaussian_process_search, "torch", "gp"), (cma_es_search, "cmaes", "cma")],
    ids=["gp", "cma"],
)
def test_a_missing_package_is_named_in_a_sentence_with_the_extra_that_brings_it(
    make, package, extra, monkeypatch
):
    monkeypatch.setattr(sys.modules[make.__module__], "find_spec", {package: None}.get)
    said = rf"^Expected the package {package} for .+ pip install '\.\[{extra}\]' in .+ or pip install {package}\.$"
    with pytest.raises(OptionError, match=said):
        make(SPACES["numbers"], 10)


def test_optuna_says_nothing_and_speaks_again_afterwards(caplog, capfd):
    optuna.logging.enable_propagation()
    before = optuna.logging.get_verbosity()
    try:
        with caplog.at_level(logging.DEBUG):
            run(tpe_search(SPACES["mixed"], 24, generation=8))
    finally:
        optuna.logging.disable_propagation()
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")
    assert optuna.logging.get_verbosity() == before
