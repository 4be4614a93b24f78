"""Recipes whose models look the same have one structure, which a single build of each tells."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from hypothesis import given, settings

from caviar.population import together
from caviar.population.glance import glance, sketched
from caviar.population.job import Job, Seat
from caviar.population.lift import numbers
from caviar.population.structure import CannotCompare, structure
from caviar.population.template import make_template
from tests.population.test_lift import CASES, rows
from tests.population.test_structure import (
    BATCH,
    DIFFERENT,
    FOREIGN,
    RECIPES,
    L,
    O,
    R,
    adapted,
    computed,
    network,
    recipe,
    structure_of,
)


@pytest.mark.parametrize("what", DIFFERENT)
def test_models_of_different_structures_look_different(what):
    one, other = (glance(build, BATCH) for build in DIFFERENT[what])
    assert one is None or other is None or one.text != other.text


@pytest.mark.parametrize("name", CASES)
def test_what_looks_the_same_has_one_structure_and_the_same_places_of_numbers(name):
    case = CASES[name]
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(case.policy)
    try:
        batch = rows(case.targets)
        builds = [lambda r=recipe: case.build(**r) for recipe in case.recipes]
        looks = [glance(build, batch) for build in builds]
        templates = [make_template(build, batch) for build in builds]
        for one, template in zip(looks, templates, strict=True):
            assert one is None or one.numbers.items() <= numbers(template.model).items()
            if one is not None and one.text == looks[0].text:
                assert structure(template, batch) == structure(templates[0], batch)
                assert numbers(templates[0].model) | one.numbers == numbers(template.model)
    finally:
        keras.config.set_dtype_policy(before)


def searched(rate, dropout, l2):
    layers = [lambda: L.Dense(3, "relu", kernel_regularizer=R.L2(l2)), lambda: L.Dropout(dropout)]
    return network(*layers, optimizer=lambda: O.Adam(rate))


def without_input(dropout, l2):
    def build():
        layers = [L.Dense(3, kernel_regularizer=R.L2(l2)), L.Dropout(dropout), L.Dense(1)]
        model = keras.Sequential(layers)
        model.compile("adam", "mse", metrics=["mae"])
        return model

    return build


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (searched(0.1, 0.2, 1e-3), searched(0.2, 0.3, 1e-4)),
        (without_input(0.2, 1e-3), without_input(0.3, 1e-4)),
        (adapted(1), adapted(1)),
    ],
)
def test_models_that_differ_in_numbers_look_the_same(one, other):
    looks = [glance(build, BATCH) for build in (one, other)]
    assert looks[0].text == looks[1].text


@settings(max_examples=25, deadline=None)
@given(RECIPES, RECIPES)
def test_equal_looks_mean_equal_structures(drawn, another):
    """Of recipes that are the same but for one part, which may be another number or another structure."""
    first = recipe(drawn)
    look, template = glance(first, BATCH), make_template(first, BATCH)
    for i in range(len(drawn)):
        mixed = recipe((*drawn[:i], another[i], *drawn[i + 1 :]))
        other = glance(mixed, BATCH)
        if other.text == look.text:
            again = make_template(mixed, BATCH)
            assert structure(again, BATCH) == structure(template, BATCH)
            assert numbers(template.model) | other.numbers == numbers(again.model)
            assert [origin.draw for origin in again.origins] == [origin.draw for origin in template.origins]


@pytest.mark.parametrize("build", [FOREIGN["a closure"][0], FOREIGN["what a layer keeps"][0], computed])
def test_a_look_does_not_tell_of_parts_of_the_users_own_or_of_computed_values(build):
    assert glance(build, BATCH) is None


def drawing_one_more():
    np.random.random()  # noqa: NPY002 - a builder may
    return searched(0.1, 0.2, 1e-3)()


def test_builders_that_draw_a_different_number_of_times_look_different():
    assert glance(drawing_one_more, BATCH).text != glance(searched(0.1, 0.2, 1e-3), BATCH).text


def test_a_look_leaves_the_users_random_numbers_alone():
    keras.utils.set_random_seed(3)
    expected = np.random.random()  # noqa: NPY002 - the one that Keras seeds
    keras.utils.set_random_seed(3)
    glance(searched(0.1, 0.2, 1e-3), BATCH)
    assert np.random.random() == expected  # noqa: NPY002


def job(build):
    seat = Seat(0, 0, 0, 0, np.arange(len(BATCH[0])), np.arange(0), np.arange(2))
    return Job(build=build, x=X, y=Y, weight=None, seats=[seat], batch_size=2, epochs=1)


X, Y = (values[None] for values in BATCH[:2])


@pytest.mark.parametrize("probe", [False, True])
def test_families_are_those_that_structures_alone_would_give(probe, monkeypatch):
    builds = [
        *(searched(0.1 * i, 0.2 + i / 20, 1e-3) for i in range(1, 4)),
        network(lambda: L.Dropout(0.5, seed=1)),
        network(lambda: L.Dropout(0.4, seed=1)),
        network(lambda: L.Dropout(0.4, seed=2)),
        searched(0.5, 0.2, 0.0),
        searched(0.5, 0.0, 1e-3),
        computed,
        searched(0.9, 0.9, 0.9),
        *(network(loss=lambda d=d: keras.losses.Huber(d)) for d in (0.5, 0.6)),
    ]
    jobs = [replace(job(build), probe=int(probe)) for build in builds]
    found = together._families(jobs)
    monkeypatch.setattr(together, "glance", lambda *_: None)
    expected = together._families(jobs)
    assert [(family.jobs, family.numbers) for family in found] == [
        (family.jobs, family.numbers) for family in expected
    ]
    assert len(found) > 3


def counted(rate, calls):
    """A model to build of which each build is noted among the calls."""

    def build():
        calls.append(rate)
        return searched(rate, 0.2, 1e-3)()

    return build


def test_recipes_that_look_like_another_one_are_built_once():
    calls = []
    families = together._families([job(counted(rate, calls)) for rate in (0.1, 0.2, 0.3)])
    assert [family.jobs for family in families] == [[0, 1, 2]]
    assert [calls.count(rate) for rate in (0.2, 0.3)] == [1, 1]


def test_recipes_that_were_looked_at_are_not_built_again():
    calls = []
    builds = [counted(rate, calls) for rate in (0.1, 0.2, 0.3)]
    jobs = [replace(job(build), look=sketched(build)[1]) for build in builds]
    assert calls == [0.1, 0.2, 0.3]
    assert [family.jobs for family in together._families(jobs)] == [[0, 1, 2]]
    assert [calls.count(rate) for rate in (0.2, 0.3)] == [1, 1]


def test_a_model_without_weights_yet_tells_nothing_before_it_has_seen_rows():
    def build():
        model = keras.Sequential([L.Dense(2), L.Dense(1)])
        model.compile("sgd", "mse")
        return model

    model, look = sketched(build)
    assert (len(model.layers), look) == (2, None)
    assert glance(build, BATCH) is not None


def test_the_same_model_on_other_rows_is_another_structure():
    build = searched(0.1, 0.2, 1e-3)
    look = sketched(build)[1]
    plain = replace(job(build), look=look)
    weighed = replace(plain, weight=np.ones((1, len(X[0])), np.float32))
    alike = together._Alike()
    for one in (plain, weighed, plain):
        assert alike.find(one).structure == structure_of(build, one.sample())
    assert len(alike._looks) == 2


def test_no_recipe_is_taken_for_one_with_a_seed_of_its_builder():
    """A seed may be fixed or drawn: only a second build tells which."""
    builds = [network(lambda r=r: L.Dropout(r, seed=1)) for r in (0.5, 0.4)]
    one, other = (glance(build, BATCH) for build in builds)
    assert one.text == other.text
    alike = together._Alike()
    for build in builds:
        one = job(build)
        assert alike.find(one).structure == structure_of(build, one.sample())
    assert not alike._looks


def test_what_cannot_be_compared_stays_alone():
    with pytest.raises(CannotCompare):
        structure_of(computed)
    assert together._Alike().find(job(computed)) is None
