"""When does a question count that a builder asks behind its own `if` or `for`? Told from a few calls of the builder.

Without an answer, a search would tell settings apart that build the same network, and train both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from caviar.recipe.hyperparameters import Question
from caviar.tune.parameter import Parameter


@dataclass(frozen=True)
class Call:
    """One call of a builder.

    Attributes:
        answers: What it asked and what counted, by full name.
        finished: Whether it reached its end; else it might have asked for more.
    """

    answers: Mapping[str, Any]
    finished: bool = True


def conditioned(questions: Mapping[str, Question], calls: Sequence[Call]) -> dict[str, Question]:
    """The questions, with the conditions that the calls show.

    A question that was not always asked depends on the first earlier one of which every answer was tried, and whose
    answer alone told in all calls whether it was asked. Where no single one does, it counts always: some settings are
    then told apart needlessly, and none is lost.

    >>> layers = Question("int", 1, low=1, high=2, step=1)
    >>> norm = Question("boolean", False, values=(False, True))
    >>> calls = [Call({"layers": 1}), Call({"layers": 2, "norm_2": False})]
    >>> conditioned({"layers": layers, "norm_2": norm}, calls)["norm_2"].conditions
    (('layers', (2,)),)
    """
    names = list(questions)
    return {
        name: replace(question, conditions=_conditions(name, names[:place], questions, calls))
        if not question.conditions
        else question
        for place, (name, question) in enumerate(questions.items())
    }


def _conditions(
    name: str, earlier: Sequence[str], questions: Mapping[str, Question], calls: Sequence[Call]
) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    with_it = [call for call in calls if name in call.answers]
    without_it = [call for call in calls if name not in call.answers and call.finished]
    if not without_it:
        return ()
    for parent in earlier:
        points = Parameter(parent, questions[parent]).points
        tried = {call.answers[parent] for call in (*with_it, *without_it) if parent in call.answers}
        asked = {call.answers[parent] for call in with_it if parent in call.answers}
        tells = all(parent in call.answers for call in with_it) and not any(
            parent in call.answers and call.answers[parent] in asked for call in without_it
        )
        if tells and points is not None and len(tried) == len(points):
            return ((parent, tuple(value for value in points if value in asked)),)
    return ()
