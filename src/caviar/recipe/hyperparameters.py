"""`hp`: what a builder asks for its numbers, with KerasTuner's names, default values and meanings."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Any, Literal

from caviar.errors import ModelError

Kind = Literal["int", "float", "choice", "boolean", "fixed"]
Sampling = Literal["linear", "log", "reverse_log"]
Condition = tuple[str, tuple[Any, ...]]
"""A parent's full name, and those of its values for which a question is answered."""

SAMPLINGS: tuple[Sampling, ...] = ("linear", "log", "reverse_log")


@dataclass(frozen=True)
class Question:
    """One thing a builder asks: which answers there are, on which scale, and when it matters.

    Attributes:
        kind: Which of `hp`'s methods asked.
        default: The answer where nobody set another.
        low: Smallest number, in the builder's unit; None where the answers are listed.
        high: Largest number, included where the steps reach it.
        step: What lies between neighbours: added on the linear scale, a factor on the two others. None: any number.
        sampling: The scale on which equal distances count the same. `reverse_log` is dense near `high`.
        values: The answers of a choice (or the one that is fixed), as listed.
        ordered: Whether the answers of a choice stand on an axis.
        conditions: All of them must hold; else the answer is None.
    """

    kind: Kind
    default: Any
    low: float | None = None
    high: float | None = None
    step: float | None = None
    sampling: Sampling = "linear"
    values: tuple[Any, ...] = ()
    ordered: bool = False
    conditions: tuple[Condition, ...] = ()


@dataclass
class HyperParameters:
    """Answers a builder's questions with the value set for a name, else with its default, and notes them.

    As in KerasTuner, a question inside `conditional_scope` (or with `parent_name`) whose condition does not
    hold is noted, and answered with None.

    Attributes:
        values: What was set or asked so far, by name.
        questions: Every question asked so far, by full name, in the order of asking; those too whose condition
            does not hold.

    >>> hp = HyperParameters()
    >>> hp.Int("units", 16, 64, step=16)
    16
    >>> hp.values
    {'units': 16}
    >>> hp.questions["units"].high
    64
    """

    values: dict[str, Any] = field(default_factory=dict)
    questions: dict[str, Question] = field(default_factory=dict, init=False, repr=False)
    _preset: "Preset | None" = field(default=None, init=False, repr=False)
    _scopes: list[str] = field(default_factory=list, init=False, repr=False)
    _conditions: list[Condition] = field(default_factory=list, init=False, repr=False)

    def Int(  # noqa: N802 - KerasTuner's name
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,
        sampling: str | None = "linear",
        default: int | None = None,
        parent_name: str | None = None,
        parent_values: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401 - an integer, or None where its condition does not hold
        """An integer between two bounds, both included; the lower one by default.

        Args:
            name: What it is called in settings.
            min_value: The smallest.
            max_value: The largest, where the steps reach it.
            step: What lies between neighbours: added on the linear scale (1 if not given), a factor on the others.
            sampling: "linear", "log" or "reverse_log".
            default: The answer where nobody set another.
            parent_name: The question on which this one depends.
            parent_values: Its answers for which this one is asked.

        Raises:
            ModelError: There is no such integer, or the name was asked before and meant something else.
        """
        scale = _scale(name, sampling)
        _require_range(name, min_value, max_value, step, scale, default)
        for whole in (min_value, max_value, *(() if step is None else (step,))):
            _require_whole(name, whole)
        by = 1 if step is None and scale == "linear" else step
        question = Question(
            "int",
            int(min_value if default is None else default),
            low=int(min_value),
            high=int(max_value),
            step=None if by is None else int(by),
            sampling=scale,
        )
        return self._answer(name, question, parent_name, parent_values)

    def Float(  # noqa: N802
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: str | None = "linear",
        default: float | None = None,
        parent_name: str | None = None,
        parent_values: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401 - a number, or None where its condition does not hold
        """A number between two bounds, both included; the lower one by default.

        Args:
            name: What it is called in settings.
            min_value: The smallest.
            max_value: The largest, where the steps reach it.
            step: What lies between neighbours: added on the linear scale, a factor on the others; None: any number.
            sampling: "linear", "log" or "reverse_log".
            default: The answer where nobody set another.
            parent_name: The question on which this one depends.
            parent_values: Its answers for which this one is asked.

        Raises:
            ModelError: There is no such number, or the name was asked before and meant something else.
        """
        scale = _scale(name, sampling)
        _require_range(name, min_value, max_value, step, scale, default)
        question = Question(
            "float",
            float(min_value if default is None else default),
            low=float(min_value),
            high=float(max_value),
            step=None if step is None else float(step),
            sampling=scale,
        )
        return self._answer(name, question, parent_name, parent_values)

    def Choice(  # noqa: N802
        self,
        name: str,
        values: Sequence[Any],
        ordered: bool | None = None,  # noqa: FBT001
        default: Any = None,  # noqa: ANN401
        parent_name: str | None = None,
        parent_values: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """One of several texts, numbers, booleans or None; the first by default. Numbers stand on an axis.

        A value that is listed twice is there once.

        Raises:
            ModelError: There is nothing to choose from, or the name was asked before and meant something else.
        """
        plain = [_plain(name, value) for value in values]
        listed = tuple(value for _, value in dict.fromkeys((isinstance(one, bool), one) for one in plain))
        _require_choice(name, listed, ordered, default)
        numeric = all(isinstance(value, Real) and not isinstance(value, bool) for value in listed)
        question = Question(
            "choice",
            listed[0] if default is None else _plain(name, default),
            values=listed,
            ordered=numeric if ordered is None else ordered,
        )
        return self._answer(name, question, parent_name, parent_values)

    def Boolean(  # noqa: N802
        self,
        name: str,
        default: bool = False,  # noqa: FBT001, FBT002
        parent_name: str | None = None,
        parent_values: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401 - a bool, or None where its condition does not hold
        """Yes or no; no by default."""
        question = Question("boolean", bool(default), values=(False, True))
        return self._answer(name, question, parent_name, parent_values)

    def Fixed(  # noqa: N802
        self,
        name: str,
        value: Any,  # noqa: ANN401
        parent_name: str | None = None,
        parent_values: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """A value that is not searched."""
        plain = _plain(name, value)
        return self._answer(name, Question("fixed", plain, values=(plain,)), parent_name, parent_values)

    def preset(self, preset: "Preset") -> None:
        """Let questions that were said beforehand stand in place of those that are asked from now on."""
        self._preset = preset

    @property
    def answers(self) -> dict[str, Any]:
        """What was asked so far and counts, by full name."""
        return {name: self.values[name] for name, one in self.questions.items() if self._hold(one.conditions)}

    def get(self, name: str) -> Any:  # noqa: ANN401
        """The value of a name that was set or asked before."""
        full = self._full(name)
        if full in self.values:
            return self.values[full]
        if full in self.questions:
            parents = " and ".join(repr(parent) for parent, _ in self.questions[full].conditions)
            raise ModelError(
                f"Expected a hyperparameter whose condition holds, got {full!r}, which depends on {parents}. "
                f"Ask `{name!r} in hp` first."
            )
        raise ModelError(
            f"Expected a hyperparameter that was set or asked before, got {full!r}. "
            f"Known are {', '.join(self.values) or 'none'}."
        )

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401
        return self.get(name)

    def __contains__(self, name: str) -> bool:
        return self._full(name) in self.values

    @contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Names asked inside begin with `name/`."""
        self._scopes.append(name)
        try:
            yield
        finally:
            self._scopes.pop()

    @contextmanager
    def conditional_scope(self, parent_name: str, parent_values: Any) -> Iterator[None]:  # noqa: ANN401
        """Questions inside are answered only where `parent_name` has one of `parent_values`, else with None.

        Raises:
            ModelError: The parent was not asked before.
        """
        parent = self._full(parent_name)
        if parent not in self.questions:
            raise ModelError(
                f"Expected the parent of a condition to be asked before, got {parent!r}. "
                f"Asked so far are {', '.join(self.questions) or 'none'}: ask it first."
            )
        allowed = parent_values if isinstance(parent_values, (list, tuple, set)) else [parent_values]
        self._conditions.append((parent, tuple(allowed)))
        try:
            yield
        finally:
            self._conditions.pop()

    def _answer(self, name: str, question: Question, parent_name: str | None, parent_values: Any) -> Any:  # noqa: ANN401
        if parent_name is not None:
            with self.conditional_scope(parent_name, parent_values):
                return self._answer(name, question, None, None)
        if not isinstance(name, str):
            raise ModelError(
                f"Expected the name of a hyperparameter as a text, got {name!r}. Put quotes around it."
            )
        full = self._full(name)
        if self._preset is not None:
            question = self._preset.instead(full, question)
        asked = replace(question, conditions=tuple(self._conditions))
        self.questions[full] = merged(full, self.questions[full], asked) if full in self.questions else asked
        return self.values.setdefault(full, question.default) if self._hold(asked.conditions) else None

    def _hold(self, conditions: Sequence[Condition]) -> bool:
        return all(
            self.values.get(parent) in allowed and self._hold(self.questions[parent].conditions)
            for parent, allowed in conditions
        )

    def _full(self, name: str) -> str:
        return "/".join((*self._scopes, name))


@dataclass(frozen=True)
class Preset:
    """Questions said beforehand, as KerasTuner's tuners take them: they count in place of a builder's own.

    Attributes:
        questions: By full name.
        tunes_others: Whether other questions are searched, or answered with their defaults.
        allows_others: Whether there may be any.

    >>> said, hp = HyperParameters(), HyperParameters()
    >>> _ = said.Fixed("units", 8)
    >>> hp.preset(Preset(said.questions))
    >>> hp.Int("units", 16, 64)
    8
    """

    questions: Mapping[str, Question]
    tunes_others: bool = True
    allows_others: bool = True

    def instead(self, name: str, question: Question) -> Question:
        """What is asked in place of a builder's question.

        Raises:
            ModelError: The builder may not ask it.
        """
        if name in self.questions:
            return replace(self.questions[name], conditions=())
        if not self.allows_others:
            raise ModelError(
                f"Expected a builder that asks for {', '.join(self.questions) or 'nothing'} alone, got {name!r} too. "
                f"Allow new entries, or say it beforehand."
            )
        return (
            question if self.tunes_others else Question("fixed", question.default, values=(question.default,))
        )


def merged(name: str, first: Question, again: Question) -> Question:
    """What a name means that is asked a second time: the same, where either of the two conditions holds.

    Of two defaults the first one counts, as in KerasTuner: the second may depend on an earlier answer.

    >>> of_a = Question("int", 1, 1, 3, 1, conditions=(("kind", ("a",)),))
    >>> merged("units", of_a, replace(of_a, conditions=(("kind", ("b",)),))).conditions
    (('kind', ('a', 'b')),)

    Raises:
        ModelError: The two ask for different things, or under conditions that cannot be said as one.
    """
    again = replace(again, default=first.default)
    if replace(first, conditions=()) != replace(again, conditions=()):
        raise ModelError(
            f"Expected {name!r} to be asked with the same bounds and values each time, "
            f"got {_wording(first)} and {_wording(again)}. Give the second one a name of its own."
        )
    for one, other in ((first, again), (again, first)):
        if set(one.conditions) <= set(other.conditions):
            return one
    pairs = list(zip(first.conditions, again.conditions, strict=False))
    differing = [place for place, (one, other) in enumerate(pairs) if one != other]
    same_parents = [one for one, _ in first.conditions] == [other for other, _ in again.conditions]
    if not same_parents or len(differing) != 1:
        raise ModelError(
            f"Expected {name!r} to be asked under conditions that differ in one parent's values, "
            f"got {first.conditions} and {again.conditions}. Give the second one a name of its own."
        )
    (parent, allowed), (_, also) = pairs[differing[0]]
    union = (parent, (*allowed, *(value for value in also if value not in allowed)))
    conditions = (*first.conditions[: differing[0]], union, *first.conditions[differing[0] + 1 :])
    return replace(first, conditions=conditions)


def _wording(question: Question) -> str:
    """What a question asks for, in few words."""
    if question.kind not in {"int", "float"}:
        return f"{question.kind} of {list(question.values)} (default {question.default!r})"
    step = "" if question.step is None else f", step {question.step}"
    return (
        f"{question.kind} {question.low} to {question.high} ({question.sampling}{step}, "
        f"default {question.default})"
    )


def _scale(name: str, sampling: str | None) -> Sampling:
    """The scale's name; None is what KerasTuner once called the linear one."""
    asked = "linear" if sampling is None else sampling.lower()
    for scale in SAMPLINGS:
        if asked == scale:
            return scale
    raise ModelError(
        f"Expected the sampling of {name!r} to be one of {', '.join(SAMPLINGS)}, got {sampling!r}. Choose one of them."
    )


def _require_whole(name: str, number: float) -> None:
    if int(number) != number:
        raise ModelError(
            f"Expected whole numbers as bounds and step of {name!r}, got {number}. Ask for a Float instead."
        )


def _require_range(
    name: str, low: float, high: float, step: float | None, scale: Sampling, default: float | None
) -> None:
    given: tuple[Any, ...] = (low, high, step, default)
    for number in given:
        if number is not None and (isinstance(number, bool | str) or not isinstance(number, Real)):
            raise ModelError(
                f"Expected numbers as bounds, step and default of {name!r}, got {number!r}. Give numbers."
            )
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ModelError(f"Expected finite bounds of {name!r}, got {low} and {high}. Give two numbers.")
    if low > high:
        raise ModelError(
            f"Expected the lower bound of {name!r} not to exceed the upper one, got {low} and {high}. Swap them."
        )
    if scale != "linear" and low <= 0:
        raise ModelError(
            f"Expected the lower bound of {name!r} above 0 with {scale} sampling, got {low}. "
            f"Raise it, or sample linearly."
        )
    least = 0 if scale == "linear" else 1
    if step is not None and not (math.isfinite(step) and step > least):
        raise ModelError(
            f"Expected a step of {name!r} above {least} with {scale} sampling, got {step}. Give a larger one."
        )
    if default is not None and not low <= default <= high:
        raise ModelError(
            f"Expected the default of {name!r} to lie between {low} and {high}, got {default}. Choose one that does."
        )


def _require_choice(name: str, values: Sequence[Any], ordered: bool | None, default: Any) -> None:  # noqa: ANN401, FBT001
    if not values:
        raise ModelError(f"Expected at least one value to choose from for {name!r}, got none. Give some.")
    if len(set(values)) < len(values):
        raise ModelError(
            f"Expected different values to choose from for {name!r}, got {list(values)}, of which Python takes two "
            f"for one. Choose among numbers or booleans."
        )
    if default is not None and default not in values:
        raise ModelError(
            f"Expected the default of {name!r} to be one of its values {list(values)}, got {default!r}. "
            f"Choose one of them."
        )
    if ordered and not all(isinstance(value, Real) for value in values):
        raise ModelError(
            f"Expected numbers as the values of the ordered {name!r}, got {list(values)}. Leave ordered out."
        )


def _plain(name: str, value: Any) -> Any:  # noqa: ANN401
    """The value as JSON knows it: settings are written down, compared and read again."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    raise ModelError(
        f"Expected texts, numbers, booleans or None as the values of {name!r}, got {value!r}. "
        f"Name each value with a text, and look up in the builder what it stands for."
    )
