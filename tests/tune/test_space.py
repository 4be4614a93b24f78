"""A space knows which parameters count, how many settings there are, and what a builder hides behind its `if`."""

import json

import pytest

from caviar.errors import ModelError, OptionError
from caviar.recipe.hyperparameters import HyperParameters, Question
from caviar.tune.parameter import Parameter
from caviar.tune.space import Space, discover
from tests.tune.spaces import SPACES


def test_only_what_counts_is_kept_in_the_order_of_asking():
    mixed = SPACES["mixed"]
    plain = {"rate": 1e-4, "kind": "plain", "batch": 16, "loss": "mse"}
    assert mixed.default() == plain
    assert mixed.settle({"skip": True, "kind": "plain", "layers": 4}) == plain
    deep = mixed.settle({"kind": "deep", "skip": True, "scale": 0.5, "layers": 4, "batch": 64})
    assert list(deep) == ["rate", "kind", "layers", "skip", "scale", "batch", "loss"]
    assert "scale" not in mixed.settle({"kind": "deep", "skip": False, "scale": 0.5})


def test_positions_are_drawn_for_what_counts(rng):
    mixed = SPACES["mixed"]
    for _ in range(200):
        settings = mixed.draw(rng.random(len(mixed.parameters)))
        assert mixed.settle(settings) == settings
        assert ("layers" in settings) == (settings["kind"] == "deep")
        assert ("scale" in settings) == settings.get("skip", False)


def test_sizes_count_what_counts():
    assert SPACES["numbers"].size is None
    assert SPACES["few"].size == 6
    assert SPACES["few"].is_finite

    def ask(hp):
        hp.Choice("kind", ["plain", "deep"])
        hp.Int("layers", 2, 4, parent_name="kind", parent_values="deep")
        hp.Boolean("norm")

    space = discover(ask)
    assert space.size == 2 * (1 + 3)
    assert len({space.key(one) for one in space.every([list(one.points) for one in space.parameters])}) == 8


def test_keys_are_equal_for_equal_settings_only():
    few = SPACES["few"]
    assert few.key({"layers": 2, "norm": True}) == few.key({"norm": True, "layers": 2})
    assert few.key({"layers": 2, "norm": True}) != few.key({"layers": 2, "norm": False})


@pytest.mark.parametrize("name", SPACES)
def test_a_space_is_the_same_after_it_was_written_and_read(name):
    space = SPACES[name]
    space.require_same(json.loads(json.dumps(space.describe())))


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (lambda hp: (hp.Int("layers", 1, 4), hp.Boolean("norm")), "high of 'layers'"),
        (lambda hp: (hp.Int("layers", 1, 3), hp.Boolean("norm", default=True)), "default of 'norm'"),
        (lambda hp: (hp.Int("layers", 1, 3), hp.Boolean("norm"), hp.Boolean("bias")), "'bias' is gone"),
        (lambda hp: hp.Int("layers", 1, 3), "'norm' is new"),
        (lambda hp: (hp.Boolean("norm"), hp.Int("layers", 1, 3)), "order norm, layers"),
    ],
)
def test_a_study_of_another_space_is_refused_with_what_differs(other, named):
    with pytest.raises(OptionError, match=rf"^Expected .*{named}.+\.$"):
        SPACES["few"].require_same(discover(other).describe())


@pytest.mark.parametrize("settings", [{"layers": 4}, {"norm": "yes"}, {"layer": 2}, {"layers": 2.5}], ids=str)
def test_settings_outside_are_refused_in_a_sentence(settings):
    with pytest.raises(OptionError, match=r"^Expected .+\.$"):
        SPACES["few"].settle(settings)


def test_a_space_without_parameters_or_with_a_parent_that_comes_too_late_is_refused():
    with pytest.raises(OptionError, match=r"^Expected at least one parameter .+\.$"):
        Space(())
    child = Question("boolean", False, values=(False, True), conditions=(("kind", ("a",)),))
    parent = Question("choice", "a", values=("a", "b"))
    with pytest.raises(OptionError, match=r"^Expected 'kind' before 'norm'.+\.$"):
        Space((Parameter("norm", child), Parameter("kind", parent)))
    with pytest.raises(OptionError, match=r"^Expected one position .+\.$"):
        SPACES["few"].draw([0.5])


def test_questions_behind_an_if_in_an_if_are_found():
    def ask(hp):
        if hp.Choice("kind", ["plain", "deep"]) == "deep" and hp.Boolean("skip"):
            hp.Float("scale", 0.0, 1.0)

    space = discover(ask)
    assert space.names == ("kind", "skip", "scale")
    assert space.settle({"kind": "plain", "skip": True}) == {"kind": "plain"}
    assert space.settle({"kind": "deep", "skip": True}) == {"kind": "deep", "skip": True, "scale": 0.0}


def test_layers_that_are_not_built_do_not_count():
    def ask(hp):
        for layer in range(hp.Int("layers", 1, 3)):
            hp.Choice(f"activation_{layer}", ["relu", "tanh"])
            hp.Int(f"units_{layer}", 8, 32, step=8)

    space = discover(ask)
    assert space.size == 8 + 8**2 + 8**3
    assert [one.question.conditions for one in space.parameters] == [
        (),
        (),
        (),
        (("layers", (2, 3)),),
        (("layers", (2, 3)),),
        (("layers", (3,)),),
        (("layers", (3,)),),
    ]


def test_a_question_on_which_no_single_answer_tells_counts_always():
    def ask(hp):
        if (hp.Choice("kind", ["plain", "deep"]) == "deep") | hp.Boolean("norm"):
            hp.Int("units", 8, 64)

    assert discover(ask).settle({}) == {"kind": "plain", "norm": False, "units": 8}


def test_a_question_behind_a_number_of_many_values_counts_always():
    """It is asked from 41 on, which one call with 100 does not show."""

    def ask(hp):
        if hp.Int("units", 1, 100) > 40:
            hp.Boolean("norm")

    assert discover(ask).settle({}) == {"units": 1, "norm": False}


def test_a_default_may_depend_on_an_earlier_answer():
    """What counts where nobody set it is the first that was asked, as in KerasTuner."""

    def ask(hp):
        kind = hp.Choice("kind", ["small", "large"])
        hp.Int("units", 4, 64, default=8 if kind == "small" else 32)

    space = discover(ask)
    assert space.settle({"kind": "large"}) == {"kind": "large", "units": 8}


def test_a_builder_that_failed_before_it_asked_shows_nothing():
    def ask(hp):
        kind = hp.Choice("kind", ["plain", "broken"])
        if kind == "broken":
            raise ValueError("no such layer")
        hp.Boolean("norm")

    assert discover(ask).settle({"kind": "broken"}) == {"kind": "broken", "norm": False}


def test_a_builder_that_fails_for_some_settings_is_asked_for_the_others():
    def ask(hp):
        kind = hp.Choice("kind", ["plain", "broken", "deep"])
        if kind == "broken":
            raise ValueError("no such layer")
        if kind == "deep":
            hp.Int("layers", 2, 4)

    space = discover(ask)
    assert space.names == ("kind", "layers")
    assert space.settle({}) == {"kind": "plain", "layers": 2}  # nobody knows whether broken ones have layers


def test_discovery_makes_no_more_calls_than_allowed_and_the_nearest_first():
    calls = []

    def ask(hp):
        calls.append(dict(hp.values))
        hp.Choice("a", list(range(10)))
        hp.Boolean("b")

    discover(ask, most=4)
    assert calls == [{}, {"a": 1}, {"a": 2}, {"a": 3}]


def test_what_cannot_be_searched_is_one_sentence():
    def broken(hp: HyperParameters):
        hp.Boolean("norm")
        raise ValueError("no such layer")

    with pytest.raises(ModelError, match=r"^Expected a builder that works .+ValueError: no such layer.+\.$"):
        discover(broken)
    with pytest.raises(OptionError, match=r"^Expected a builder that asks hp for something.+\.$"):
        discover(HyperParameters.__repr__)
    with pytest.raises(ModelError, match=r"^Expected the lower bound of 'units' .+\.$"):
        discover(lambda hp: hp.Int("units", 8, 4))
    with pytest.raises(
        ModelError, match=r"^Expected 'units' to be asked with the same bounds and values .+\.$"
    ):
        discover(lambda hp: hp.Int("units", 8, 16 if hp.Boolean("wide") else 12))


def failing(ask):
    told: list[str] = []
    return discover(ask, tell=told.append), told


def test_a_question_without_an_answer_behind_an_answer_that_is_no_default_is_told_and_refuses_nothing():
    space, told = failing(lambda hp: hp.Int("units", 8, 4 if hp.Boolean("wrong") else 16))
    assert space.names == ("wrong", "units")
    (sentence,) = told
    assert "fails for wrong=True (Expected the lower bound of 'units'" in sentence
    for low in (0.0, 0.1):
        _, told = failing(
            lambda hp, low=low: hp.Float("rate", low if hp.Boolean("b") else 0.1, 1.0, sampling="log")
        )
        assert len(told) == (low == 0.0)


def test_all_failing_answers_are_one_sentence_and_none_is_no_sentence():
    def ask(hp):
        if hp.Choice("kind", ["plain", "one", "two", "three"]) != "plain":
            raise ValueError("no such\nlayer.")

    _, (told,) = failing(ask)
    assert "for kind='one' (ValueError: no such layer), and for 2 other answers that were tried:" in told
    assert failing(lambda hp: hp.Boolean("norm"))[1] == []


def test_what_hides_behind_an_answer_that_fails_with_the_other_defaults_is_found():
    def ask(hp):
        width = hp.Choice("width", [8, 64])
        if hp.Choice("kind", ["plain", "wide"]) == "wide":
            if width < 64:
                raise ModelError("Expected more.")
            hp.Float("drop", 0.0, 0.5)

    space, told = failing(ask)
    assert space.names == ("width", "kind", "drop")
    assert space.settle({"kind": "wide", "width": 64})["drop"] == 0.0
    assert "kind='wide'" in told[0]


def test_answers_that_fail_take_no_calls_from_the_others():
    calls = []

    def ask(hp):
        calls.append(dict(hp.values))
        first, second = hp.Choice("a", [0, 1, 2]), hp.Boolean("b")
        if first and not second:
            raise ValueError("no")

    discover(ask)
    assert calls[:4] == [{}, {"a": 1}, {"a": 2}, {"b": True}]
    assert {"a": 1, "b": True} in calls[4:]
    assert len(calls) == len({tuple(sorted(one.items())) for one in calls})
