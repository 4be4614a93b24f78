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
    assert hp.Int("units", 8, 64) == 16


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
        lambda hp: hp.get("never asked"),
    ],
)
def test_a_question_without_an_answer_is_one_sentence_of_advice(question):
    with pytest.raises(ModelError, match=r"^Expected .+\.$"):
        question(HyperParameters())
