"""What may be set: all parameters of a builder, which of them count for given settings, and how they are found."""

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from caviar.errors import ModelError, NoPopulationError, OptionError, RunError
from caviar.recipe.hyperparameters import HyperParameters, Question, merged
from caviar.tune.hidden import Call, conditioned
from caviar.tune.parameter import Parameter

FEW = 8
"""A whole number of at most that many neighbours is discovered by trying each: such numbers count layers and blocks."""


@dataclass(frozen=True)
class Space:
    """All that a builder asks for, parents before the questions that depend on them.

    Attributes:
        parameters: The questions with their names.

    >>> def ask(hp):
    ...     kind = hp.Choice("kind", ["plain", "deep"])
    ...     if kind == "deep":
    ...         hp.Int("layers", 2, 4, parent_name="kind", parent_values=["deep"])
    >>> space = discover(ask)
    >>> space.names, space.size
    (('kind', 'layers'), 4)
    >>> space.settle({"kind": "plain", "layers": 3})
    {'kind': 'plain'}
    """

    parameters: tuple[Parameter, ...]

    def __post_init__(self) -> None:
        """Refuse an empty space, and a parameter that stands before its parent."""
        if not self.parameters:
            raise OptionError(
                "Expected at least one parameter to search, got none. Let the builder ask `hp` for it."
            )
        known: set[str] = set()
        for parameter in self.parameters:
            missing = [parent for parent, _ in parameter.question.conditions if parent not in known]
            if missing:
                raise OptionError(
                    f"Expected {missing[0]!r} before {parameter.name!r}, which depends on it, got it later or never. "
                    f"Put it first."
                )
            known.add(parameter.name)

    @property
    def names(self) -> tuple[str, ...]:
        """Full names, in order."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def is_finite(self) -> bool:
        """Whether the different settings can be counted."""
        return all(parameter.size is not None for parameter in self.parameters)

    @property
    def size(self) -> int | None:
        """How many different settings there are; None where a parameter is continuous."""
        points = [parameter.points for parameter in self.parameters]
        return self.count([one for one in points if one is not None]) if self.is_finite else None

    @property
    def is_conditional(self) -> bool:
        """Whether some parameter only counts for some values of another."""
        return any(parameter.question.conditions for parameter in self.parameters)

    def active(self, parameter: Parameter, settings: Mapping[str, Any]) -> bool:
        """Whether a parameter counts, given the settings of those before it."""
        return all(
            parent in settings and settings[parent] in allowed
            for parent, allowed in parameter.question.conditions
        )

    def settle(self, answers: Mapping[str, Any]) -> dict[str, Any]:
        """Settings that hold what counts, in order: defaults where no answer is given, nothing that depends in vain.

        Raises:
            OptionError: An answer is outside its bounds, or to a question that nobody asks.
        """
        unknown = [name for name in answers if name not in self.names]
        if unknown:
            raise OptionError(
                f"Expected settings of {', '.join(self.names)}, got {unknown[0]!r} too. Leave it out, or correct it."
            )
        settings: dict[str, Any] = {}
        for parameter in self.parameters:
            if self.active(parameter, settings):
                value = answers.get(parameter.name, parameter.question.default)
                settings[parameter.name] = parameter.accept(value)
        return settings

    def draw(self, us: Sequence[float] | np.ndarray) -> dict[str, Any]:
        """Settings at positions on the axes.

        Args:
            us: One position from 0 up to 1 per parameter; those of parameters that do not count are not looked at.

        Raises:
            OptionError: There is not one position per parameter.
        """
        if len(us) != len(self.parameters):
            raise OptionError(
                f"Expected one position for each of the {len(self.parameters)} parameters, got {len(us)}. "
                f"Give as many."
            )
        settings: dict[str, Any] = {}
        for parameter, u in zip(self.parameters, us, strict=True):
            if self.active(parameter, settings):
                settings[parameter.name] = parameter.draw(float(u))
        return settings

    def default(self) -> dict[str, Any]:
        """The settings of a builder of which nobody set anything."""
        return self.settle({})

    def key(self, settings: Mapping[str, Any]) -> Hashable:
        """What equal settings share, whatever their order."""
        return tuple((name, settings[name]) for name in self.names if name in settings)

    def every(self, grids: Sequence[Sequence[Any]]) -> Iterator[dict[str, Any]]:
        """All different settings with values out of `grids`, one list of values per parameter.

        >>> from caviar.recipe.hyperparameters import Question
        >>> space = Space((Parameter("norm", Question("boolean", False, values=(False, True))),))
        >>> list(space.every([[False, True]]))
        [{'norm': False}, {'norm': True}]
        """
        yield from self._every(0, {}, grids)

    def count(self, grids: Sequence[Sequence[Any]]) -> int:
        """How many different settings `every` gives, without making them."""
        return self._count(0, {}, grids)

    def describe(self) -> dict[str, Any]:
        """The space as JSON knows it, for `require_same`."""
        return {"parameters": [{"name": one.name, **_as_json(one.question)} for one in self.parameters]}

    def require_same(self, described: Mapping[str, Any]) -> None:
        """Refuse to go on with a study of another space.

        Args:
            described: What `describe` gave when the study began.

        Raises:
            OptionError: Names what differs.
        """
        ours = {one["name"]: one for one in self.describe()["parameters"]}
        theirs = {one["name"]: one for one in described["parameters"]}
        advice = "Search in a new folder, or with the builder that this study began with."
        for name in (*theirs, *ours):
            if name not in ours or name not in theirs:
                where = "is new" if name in ours else "is gone"
                raise OptionError(
                    f"Expected the parameters this study began with, got others: {name!r} {where}. {advice}"
                )
            for what, value in theirs[name].items():
                if ours[name].get(what) != value:
                    raise OptionError(
                        f"Expected {what} of {name!r} to be {value!r} as when this study began, "
                        f"got {ours[name].get(what)!r}. {advice}"
                    )
        if list(ours) != list(theirs):
            raise OptionError(
                f"Expected the parameters in the order {', '.join(theirs)}, got {', '.join(ours)}. {advice}"
            )

    def _count(self, first: int, settings: dict[str, Any], grids: Sequence[Sequence[Any]]) -> int:
        """How many settings there are of the parameters from `first` on; branches only where others depend."""
        if first == len(self.parameters):
            return 1
        parameter = self.parameters[first]
        if not self.active(parameter, settings):
            return self._count(first + 1, settings, grids)
        if parameter.name not in self._parents:
            return len(grids[first]) * self._count(first + 1, settings, grids)
        return sum(
            self._count(first + 1, {**settings, parameter.name: value}, grids) for value in grids[first]
        )

    @cached_property
    def _parents(self) -> set[str]:
        return {parent for parameter in self.parameters for parent, _ in parameter.question.conditions}

    def _every(
        self, first: int, settings: dict[str, Any], grids: Sequence[Sequence[Any]]
    ) -> Iterator[dict[str, Any]]:
        if first == len(self.parameters):
            yield settings
            return
        parameter = self.parameters[first]
        if not self.active(parameter, settings):
            yield from self._every(first + 1, settings, grids)
            return
        for value in grids[first]:
            yield from self._every(first + 1, {**settings, parameter.name: value}, grids)


def told_space(described: Mapping[str, Any]) -> Space:
    """The space that `Space.describe` told.

    Raises:
        RunError: It told something else.

    >>> space = discover(lambda hp: hp.Float("rate", 0.1, 1.0))
    >>> told_space(space.describe()) == space
    True
    """

    def told(one: Mapping[str, Any]) -> Parameter:
        conditions = tuple((parent, tuple(allowed)) for parent, allowed in one["conditions"])
        rest = {name: value for name, value in one.items() if name != "name"}
        return Parameter(
            one["name"], Question(**{**rest, "values": tuple(one["values"]), "conditions": conditions})
        )

    try:
        return Space(tuple(told(one) for one in described["parameters"]))
    except (KeyError, TypeError) as error:
        raise RunError(
            "Expected the plan of a search to say what may be set, but it was changed, or another version wrote it. "
            "Use the version that made it."
        ) from error


def discover(
    ask: Callable[[HyperParameters], object], most: int = 64, tell: Callable[[str], None] = lambda _: None
) -> Space:
    """The space of all that a builder asks for, also behind its own `if` and `for`.

    The builder is called with its defaults, and then once with every other value of each choice, boolean and
    whole number of few neighbours (of other whole numbers: with the largest), one at a time, nearest to the defaults
    first. Where it fails for one of them, by an error of its own or because it asks what has no answer, it is called
    with that and other answers to what it asked before it failed, when all else was tried: what hides behind is only
    lost where it fails with all of these. A question that is not always asked counts where the calls showed it to (see
    `caviar.tune.hidden`).

    Args:
        ask: Asks an `hp` for its numbers; what it returns is not looked at.
        most: How many calls are made at most.
        tell: Gets a sentence where the builder fails for an answer.

    >>> def ask(hp):
    ...     for layer in range(hp.Int("layers", 1, 3)):
    ...         hp.Int(f"units_{layer}", 8, 64, step=8)
    >>> space = discover(ask)
    >>> space.names
    ('layers', 'units_0', 'units_1', 'units_2')
    >>> space.settle({"layers": 2, "units_2": 64})
    {'layers': 2, 'units_0': 8, 'units_1': 8}

    Raises:
        ModelError: The builder fails with its defaults, or asks one name with different meanings.
        NoPopulationError: The `fit` of a `HyperModel` does something of its own.
        OptionError: It asks for nothing.
    """
    found: dict[str, Question] = {}
    calls: list[Call] = []
    failed: list[tuple[dict[str, Any], str]] = []
    waiting: deque[dict[str, Any]] = deque([{}])
    again: deque[dict[str, Any]] = deque()
    while (waiting or again) and len(calls) < most:
        is_again = not waiting
        values = (again if is_again else waiting).popleft()
        hp, why = _asked(ask, values)
        calls.append(Call(hp.answers, not why))
        new = [name for name in hp.questions if name not in found]
        for name, question in hp.questions.items():
            found[name] = merged(name, found[name], question) if name in found else question
        waiting.extend({**values, name: other} for name in new for other in _others(hp.questions[name]))
        if why and not is_again:
            failed.append((values, why))
            asked = [name for name in hp.answers if name not in values and name not in new]
            again.extend({**values, name: other} for name in asked for other in _others(hp.questions[name]))
    if failed:
        tell(_failures(failed))
    if not found:
        raise OptionError(
            'Expected a builder that asks hp for something, such as hp.Float("rate", 1e-4, 1e-1, sampling="log"), '
            "got one that asks for nothing. Ask for what is to be searched."
        )
    return Space(tuple(Parameter(name, question) for name, question in conditioned(found, calls).items()))


def _asked(
    ask: Callable[[HyperParameters], object], values: Mapping[str, Any]
) -> tuple[HyperParameters, str]:
    """What a builder asked, given some answers, and why it did not reach its end; with its defaults it must."""
    hp = HyperParameters(dict(values))
    try:
        ask(hp)
    except NoPopulationError:
        raise
    except Exception as error:  # a builder is anybody's code
        if values:
            return hp, str(error) if isinstance(error, ModelError) else f"{type(error).__name__}: {error}"
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"Expected a builder that works with its defaults, got {type(error).__name__}: {error}. "
            f"Correct it, or give better defaults."
        ) from error
    return hp, ""


def _failures(failed: Sequence[tuple[Mapping[str, Any], str]]) -> str:
    """For which answers a builder fails, for people."""
    values, why = failed[0]
    given = " and ".join(f"{name}={value!r}" for name, value in values.items())
    others = len(failed) - 1
    more = f", and for {others} other answer{'s' * (others > 1)} that {'were' if others > 1 else 'was'} tried"
    return (
        f"Beside its defaults the builder fails for {given} ({' '.join(why.split()).rstrip('.')})"
        f"{more if others else ''}: trials that fail have no score, and what it asks only behind a failure is not "
        f"searched."
    )


def _others(question: Question) -> list[Any]:
    """Answers other than the default behind which other questions may wait."""
    points = Parameter("", question).points
    if question.kind == "float" or points is None:
        return []
    counts = question.kind != "int" or (question.step == 1 and len(points) <= FEW)
    return [value for value in (points if counts else points[-1:]) if value != question.default]


def _as_json(question: Question) -> dict[str, Any]:
    described = asdict(question)
    described["values"] = list(question.values)
    described["conditions"] = [[parent, list(allowed)] for parent, allowed in question.conditions]
    return described
