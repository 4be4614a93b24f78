"""Facts about questions in words: they lead to a command that exists, or to no answer at all."""

import shlex

import pytest
import typer

import caviar
from caviar.command.main import app
from caviar.errors import OptionError
from caviar.help.channels import CHANNELS, channel_for
from caviar.help.questions import QUESTIONS

ASKED = {
    "how many repeats do I need": "repeats",
    "how many folds should I use": "folds",
    "how many epochs are enough": "epochs",
    "why do I get different results each time": "randomness",
    "why is my accuracy stuck": "stuck",
    "my network does not learn": "stuck",
    "the model predicts only one class": "stuck",
    "my model overfits, what now": "overfitting",
    "which learning rate should I take": "rate",
    "which of two models is better": "comparison",
    "how do I tune hyperparameters": "settings",
    "what about imbalanced classes": "imbalance",
    "is 80 percent accuracy good": "good-enough",
    "should I scale my inputs": "scaling",
    "are there outliers in my table": "table",
    "training is slow": "speed",
    "what does momentum do": "teaching",
    "how long will it take": "cost",
    "how do I predict new rows": "new-rows",
    "is my old model still valid": "drift",
    "can I watch training and steer it": "watching",
    "run several experiments overnight": "queue",
    "my search crashed": "resuming",
}


@pytest.mark.parametrize("text", ASKED)
def test_a_question_leads_to_its_answer(text):
    assert ASKED[text] in [question.name for question in caviar.explain_error(text).questions]


def test_every_question_is_asked_here():
    assert set(ASKED.values()) == {question.name for question in QUESTIONS}


@pytest.mark.parametrize("text", ["why is the sky blue", "hello", "what is the capital of France", "?"])
def test_what_nobody_foresaw_has_no_answer(text):
    found = caviar.explain_error(text)
    assert not found.is_known
    assert "Nothing is known" in repr(found)


def test_an_error_is_not_taken_for_a_question():
    found = caviar.explain_error("RuntimeError: the results of both models differ, which is not better")
    assert found.questions == ()


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_a_command_that_answers_exists(question):
    words = shlex.split(question.command)
    if words[0] != "caviar":
        name = question.command.split("(")[0].removeprefix("caviar.")
        assert callable(getattr(caviar, name))
        return
    known = typer.main.get_command(app).commands
    options = {option for parameter in known[words[1]].params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_nothing_is_no_question():
    with pytest.raises(OptionError, match="got nothing"):
        caviar.explain_error("  \n")


def test_theory_process_faults_and_programs_go_to_their_channels():
    asked = {
        "why does batch normalization help": "Cross Validated",
        "how should I approach a project with little data": "Data Science",
        "this is a bug: it ends with a segmentation fault": "GitHub issues",
        "TypeError: 'NoneType' object is not callable": "Stack Overflow",
        '  File "/home/me/project/pipeline.py", line 1\nValueError: statistics differ': "Stack Overflow",
    }
    for text, name in asked.items():
        assert channel_for(text).name.startswith(name), text
    assert len({channel.address for channel in CHANNELS}) == len(CHANNELS)
