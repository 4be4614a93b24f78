"""`hp` answers as KerasTuner's does before any search: with defaults, each name once."""

import pytest

from caviar.errors import ModelError
from caviar.recipe.hyperparameters import HyperParameters


def test_defaults_are_those_of_kerastuner():
    hp = HyperParameters()
    assert hp.Int("units", min_value=32, max_value=512, step=32) == 32
    assert hp.Int("layers", 1, 5, default=3) == 3
    assert hp.Float("rate", 1e-4, 1e-2, sampling="log") == 1e-4
    assert hp.Float("drop", 0.0, 0.5, step=0.1, default=0.25) == 0.25
    assert hp.Choice("activation", ["relu", "tanh"]) == "relu"
    assert hp.Choice("batch", [16, 32], ordered=True, default=32) == 32
    assert hp.Boolean("norm") is False
    assert hp.Boolean("bias", default=True) is True
    assert hp.Fixed("epochs", 7) == 7
    assert list(hp.values) == [
        "units",
        "layers",
        "rate",
        "drop",
        "activation",
        "batch",
        "norm",
        "bias",
        "epochs",
    ]


def test_a_value_that_was_set_wins_over_the_default():
    hp = HyperParameters({"units": 64})
    assert hp.Int("units", 16, 128) == 64
    assert hp.get("units") == hp["units"] == 64
    assert "units" in hp
    assert "other" not in hp


def test_a_name_asked_twice_keeps_its_first_answer():
    hp = HyperParameters()
    assert hp.Int("units", 16, 64) == 16
    hp.values["units"] = 32
    assert hp.Int("units", 16, 64) == 32


def test_a_name_asked_twice_with_other_bounds_is_refused():
    hp = HyperParameters()
    hp.Int("units", 16, 64)
    with pytest.raises(
        ModelError, match=r"^Expected 'units' to be asked with the same .+ 16 to 64.+ 8 to 64.+\.$"
    ):
        hp.Int("units", 8, 64)


def test_of_two_defaults_the_first_counts():
    hp = HyperParameters()
    hp.Int("units", 16, 64, default=32)
    assert hp.Int("units", 16, 64, default=48) == 32
    assert hp.questions["units"].default == 32


def test_a_value_that_is_listed_twice_is_there_once():
    hp = HyperParameters()
    hp.Choice("units", [16, 32, 16, 32.0])
    assert [repr(value) for value in hp.questions["units"].values] == ["16", "32"]
    with pytest.raises(ModelError, match="different values"):
        hp.Choice("mixed", [1, True])


def test_a_name_asked_under_two_values_of_a_parent_counts_for_both():
    hp = HyperParameters()
    hp.Choice("kind", ["a", "b", "c"])
    for kind in ("a", "b"):
        hp.Int("units", 16, 64, parent_name="kind", parent_values=kind)
    assert hp.questions["units"].conditions == (("kind", ("a", "b")),)
    hp.Boolean("norm")
    with pytest.raises(ModelError, match=r"^Expected 'units' to be asked under conditions .+\.$"):
        hp.Int("units", 16, 64, parent_name="norm", parent_values=True)


def test_every_question_is_noted_also_where_its_condition_does_not_hold():
    hp = HyperParameters()
    hp.Choice("kind", ["a", "b"])
    with hp.conditional_scope("kind", ["b"]), hp.name_scope("head"):
        hp.Float("rate", 1e-4, 1e-1, sampling="LOG")
    assert list(hp.questions) == ["kind", "head/rate"]
    rate = hp.questions["head/rate"]
    assert (rate.kind, rate.low, rate.high, rate.step, rate.sampling) == ("float", 1e-4, 1e-1, None, "log")
    assert rate.conditions == (("kind", ("b",)),)
    assert "head/rate" not in hp
    with pytest.raises(ModelError, match=r"^Expected a hyperparameter whose condition holds, .+'kind'.+\.$"):
        hp.get("head/rate")


def test_a_condition_on_a_parent_that_does_not_count_itself_does_not_hold():
    hp = HyperParameters({"kind": "a", "depth": 3})
    hp.Choice("kind", ["a", "b"])
    hp.Int("depth", 1, 3, parent_name="kind", parent_values="b")
    assert hp.Boolean("skip", parent_name="depth", parent_values=[3]) is None


def test_numbers_stand_on_an_axis_and_texts_do_not():
    hp = HyperParameters()
    hp.Choice("batch", [16, 32])
    hp.Choice("activation", ["relu", "tanh"])
    hp.Choice("bias", [True, False])
    assert [hp.questions[name].ordered for name in ("batch", "activation", "bias")] == [True, False, False]
    assert hp.questions["batch"].values == (16, 32)


def test_integers_step_by_one_unless_they_are_sampled_on_another_scale():
    hp = HyperParameters()
    hp.Int("units", 1, 9)
    hp.Int("batch", 1, 9, sampling="log")
    assert [hp.questions[name].step for name in ("units", "batch")] == [1, None]


def test_a_question_whose_condition_does_not_hold_is_answered_with_none():
    hp = HyperParameters()
    hp.Choice("kind", ["a", "b"])
    assert hp.Int("of_a", 1, 2, parent_name="kind", parent_values=["a"]) == 1
    assert hp.Int("of_b", 1, 2, parent_name="kind", parent_values=["b"]) is None
    with hp.conditional_scope("kind", ["b"]):
        assert hp.Float("also_of_b", 0.1, 0.2) is None
        with hp.conditional_scope("kind", ["a"]):
            assert hp.Boolean("of_both") is None
    assert hp.Boolean("free") is False
    assert list(hp.values) == ["kind", "of_a", "free"]


def test_names_inside_a_scope_begin_with_it():
    hp = HyperParameters()
    with hp.name_scope("head"):
        hp.Int("units", 4, 8)
        assert hp.get("units") == 4
    assert hp.values == {"head/units": 4}


@pytest.mark.parametrize(
    "question",
    [
        lambda hp: hp.Int("units", 8, 4),
        lambda hp: hp.Float("rate", 1.0, 0.1),
        lambda hp: hp.Choice("kind", []),
        lambda hp: hp.Choice("kind", ["a"], default="b"),
        lambda hp: hp.Choice("kind", [1, True]),
        lambda hp: hp.Choice("kind", ["a", "b"], ordered=True),
        lambda hp: hp.Choice("widths", [(64, 32), (32,)]),
        lambda hp: hp.Fixed("layers", [1, 2]),
        lambda hp: hp.Int("units", 1.5, 4),
        lambda hp: hp.Int("units", 1, 4, step=0),
        lambda hp: hp.Int("units", 1, 4, default=5),
        lambda hp: hp.Float("rate", 0.0, 1.0, sampling="log"),
        lambda hp: hp.Float("rate", -1.0, 1.0, sampling="reverse_log"),
        lambda hp: hp.Float("rate", 0.1, 1.0, step=-0.1),
        lambda hp: hp.Float("rate", 0.1, 1.0, step=1.0, sampling="log"),
        lambda hp: hp.Float("rate", 0.1, 1.0, sampling="logarithmic"),
        lambda hp: hp.Float("rate", 0.1, float("inf")),
        lambda hp: hp.Int("of_a", 1, 2, parent_name="never asked", parent_values=["a"]),
        lambda hp: hp.get("never asked"),
    ],
)
def test_a_question_without_an_answer_is_one_sentence_of_advice(question):
    with pytest.raises(ModelError, match=r"^Expected .+\.$"):
        question(HyperParameters())
