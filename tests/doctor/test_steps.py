"""Which of the remedies that were tried a treatment accepts next, and which remedies average predictions."""

from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace

from caviar.data.prepare import PreparationPlan
from caviar.doctor.treatment import best_step
from caviar.measuring.trial import Trial
from caviar.population import devices
from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable
from caviar.remedies.table import REMEDIES

devices.start()
import keras  # noqa: E402 - only once JAX is its backend


def build(n_inputs: int = 2) -> keras.Model:
    """One layer."""
    model = keras.Sequential([keras.Input((n_inputs,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


OWN = Recipe("baseline", "Baseline", build, 32, 4, PreparationPlan())


def tried(*arms, found=()):
    """What a look found and tried: of each arm its name, verdict, gain, and the share of spread that it leaves.

    Those called so average five networks or let trees predict along.
    """
    recipes = [
        replace(
            OWN,
            name=name,
            ensemble=5 if "mean" in name else 1,
            blended_with=("boosting",) * ("trees" in name),
        )
        for name, *_ in arms
    ]
    trial = Trial(SimpleNamespace(recipe=OWN), [SimpleNamespace(recipe=recipe) for recipe in recipes])
    comparisons = [
        SimpleNamespace(
            remedy=name, verdict=verdict, difference=SimpleNamespace(value=gain), steadier=steadier
        )
        for name, verdict, gain, steadier in arms
    ]
    findings = [SimpleNamespace(outcome=outcome, remedies=names) for outcome, names in found]
    record = SimpleNamespace(findings=findings)
    return SimpleNamespace(
        trial=trial, comparisons=comparisons, record=record, evidence=SimpleNamespace(rope=0.01)
    )


def step(now, **how):
    """The name of the recipe that is accepted, or nothing."""
    arm = best_step(None, now, **how)
    return "" if arm is None else arm.recipe.name


HELPING_MEAN, HELPING_TREES = ("mean", "helps", 0.3, None), ("trees", "helps", 0.2, None)


def test_a_cure_is_accepted_however_much_more_an_average_helps():
    now = tried(HELPING_MEAN, ("slower", "helps", 0.1, None), HELPING_TREES, ("wider", "helps", 0.05, None))
    assert step(now) == "slower"
    assert step(now, averaged=True) == "mean"


def test_where_only_averages_help_there_is_no_cure():
    now = tried(HELPING_MEAN, ("slower", "not enough data", 0.1, None))
    assert step(now) == ""
    assert step(now, averaged=True) == "mean"


def test_what_answers_a_finding_and_steadies_is_a_cure_too():
    """The network diverges with some seeds: so wide an interval of the mean decides nothing, the spread does."""
    slower, much_slower = (
        ("slower", "not enough data", 0.1, 0.5),
        ("much-slower", "not enough data", 0.1, 0.2),
    )
    arms = [HELPING_MEAN, slower, much_slower, ("other", "not enough data", 0.1, 0.1)]
    assert step(tried(*arms, found=[("found", ["much-slower", "slower"])])) == "much-slower"
    assert step(tried(*arms, found=[("suspected", ["much-slower", "slower"])])) == ""
    worse = [("slower", "not enough data", -0.1, 0.5)]
    assert step(tried(*worse, found=[("found", ["slower"])])) == ""


def test_an_average_that_steadies_must_look_better_by_what_counts_where_nothing_was_found():
    unsure = [("mean", "not enough data", 0.02, 0.5), ("trees", "not enough data", 0.009, 0.4)]
    assert step(tried(*unsure), averaged=True) == "mean"
    assert step(tried(*unsure[1:]), averaged=True) == ""
    assert step(tried(*unsure[1:], found=[("found", ["trees"])]), averaged=True) == "trees"
    assert step(tried(("mean", "not enough data", 0.02, None)), averaged=True) == ""


def test_what_was_averaged_before_counts_as_it_is():
    now = tried(HELPING_MEAN, HELPING_TREES)
    now.trial.baseline.recipe = replace(OWN, ensemble=5)
    assert step(now) == "mean"
    assert step(now, averaged=True) == "trees"


def test_remedies_are_said_to_average_where_their_recipes_do():
    seen = {}
    for remedy in REMEDIES:
        with suppress(NotApplicable):  # nothing to change here
            recipe = remedy.apply(OWN)
            seen[remedy.name] = (remedy.averages, recipe.ensemble > 1 or bool(recipe.blended_with))
    assert {"ensemble-5", "bagging-10", "blend-both", "early-stopping"} <= seen.keys()
    assert [name for name, (said, does) in seen.items() if said != does] == []
