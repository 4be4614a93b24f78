"""KerasTuner's `HyperModel`: an object whose `build(hp)` builds, and whose `fit(hp, model, …)` passes arguments on."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn

import keras

from caviar.errors import ModelError, NoPopulationError
from caviar.population.template import first_line
from caviar.recipe.hyperparameters import HyperParameters

_MEANT: Mapping[str, Any] = MappingProxyType(
    {"batch_size": 32, "epochs": 1, "callbacks": (), "shuffle": True, "class_weight": None}
)
"""What it may set, and what `model.fit` does where it sets nothing."""
ROWS = ("validation_data", "validation_split", "sample_weight")
"""What else says on which rows it trains, and arrives in `model.fit` as it was given."""


class HyperModel:
    """A builder as an object, as KerasTuner has it: subclass it, and write `build`, and `fit` if need be.

    Args:
        name: What it is called.
        tunable: KerasTuner's default alone: what is not to be searched is not asked for.
    """

    def __init__(self, name: str | None = None, tunable: bool = True) -> None:  # noqa: FBT001, FBT002 - KerasTuner's
        if not tunable:
            raise ModelError(
                "Expected a HyperModel to be tunable, got tunable=False. Leave it out, and ask for nothing that is "
                "not to be searched."
            )
        self.name = name

    def build(self, hp: HyperParameters) -> Any:  # noqa: ANN401
        """A compiled Keras model that has asked `hp` for its settings."""
        raise NotImplementedError

    def fit(self, hp: HyperParameters, model: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401, ARG002
        """Train it: passes arguments on to `model.fit`, some of them perhaps from `hp`."""
        return model.fit(*args, **kwargs)


class _Untouched:
    """Takes the place of something that may be passed on, and is not there to be looked at."""

    def __init__(self, what: str) -> None:
        self._what = what

    def _touched(self, *_: Any, **__: Any) -> NoReturn:  # noqa: ANN401
        raise _refusal(f"it computes with {self._what} itself")

    __getitem__ = __iter__ = __len__ = __array__ = _touched
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _touched

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # asked for by Python, not by anybody's code
            raise AttributeError(name)
        self._touched()


class _History(_Untouched):
    """What `model.fit` returns in its place."""

    def __init__(self) -> None:
        super().__init__("the history")
        self.history = _Untouched("the history")


class _StandIn:
    """Takes the place of the model: notes what `fit` is called with, and does nothing else."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.gave = _History()

    def fit(self, *args: Any, **kwargs: Any) -> _History:  # noqa: ANN401
        """Note a call, by the names of its arguments."""
        self.calls.append(_FIT.bind(*args, **kwargs).arguments)
        return self.gave

    def __getattr__(self, name: str) -> NoReturn:
        raise _refusal(f"it uses model.{name}")


_FIT = inspect.signature(keras.Model.fit)
_FIT = _FIT.replace(parameters=list(_FIT.parameters.values())[1:])  # bound


def passed_on(
    model: Any,  # noqa: ANN401
    hp: HyperParameters,
    given: Mapping[str, Any],
    rows: Sequence[str] = (),
) -> dict[str, Any]:
    """The fit arguments that a `HyperModel`'s own `fit` makes of those given.

    Args:
        model: The `HyperModel`.
        hp: Answers it.
        given: Batch size, epochs, callbacks, shuffle and class weights as they are without it.
        rows: Which of `ROWS` were given.

    Raises:
        NoPopulationError: It does something else than that, so that it cannot be carried out for a population.
    """
    stand_in = _StandIn()
    x, y = _Untouched("x"), _Untouched("y")
    passed: dict[str, Any] = {name: _Untouched(name) for name in rows}
    if "validation_data" in passed:
        passed["validation_data"] = (_Untouched("validation_data"), _Untouched("validation_data"))
    try:
        returned = _called(model.fit, (hp, stand_in, x, y), {**given, **passed})
    except NoPopulationError:
        raise
    except Exception as error:  # anybody's code
        raise _refusal(f"it raised {type(error).__name__}: {first_line(error).rstrip('.')}") from error
    if not any(returned is one for one in (None, stand_in.gave, stand_in.gave.history)):
        raise _refusal(
            "it returns a score of its own, where trials are scored by the objective that is given"
        )
    call = _only_call(stand_in.calls, {"x": x, "y": y, **passed})
    return {**_MEANT, **{name: call[name] for name in _MEANT if call.get(name) is not None}}


def _only_call(calls: Sequence[dict[str, Any]], passed: Mapping[str, Any]) -> dict[str, Any]:
    """The one call of `model.fit`, which must get the rows that were passed, and set what it may."""
    if len(calls) != 1:
        raise _refusal(f"it calls model.fit {len(calls)} times")
    (call,) = calls
    for name in ("x", "y", *ROWS):
        if not _same(call.get(name), passed.get(name)):
            raise _refusal(f"it {'does not pass on' if name in passed else 'sets'} {name}")
    for name, value in call.items():
        known = (*_MEANT, *ROWS, "x", "y", "verbose")
        if name not in known and value != _FIT.parameters[name].default:
            raise _refusal(f"it sets {name}")
    return call


def _called(fit: Callable[..., Any], first: tuple[Any, ...], given: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Call the `fit` of a `HyperModel` with those arguments that it takes, and does not set itself beside them.

    KerasTuner passes on only what `search` was given: `model.fit(*args, batch_size=…, **kwargs)` is right there, and
    so is `fit(self, hp, model, x, y, epochs=20)`.
    """
    own = inspect.signature(fit).parameters
    takes_all = any(one.kind is one.VAR_KEYWORD for one in own.values())
    named = {name: value for name, value in given.items() if takes_all or name in own}
    for name, one in own.items():
        usual = name in _MEANT and name in named and named[name] == _MEANT[name]
        if usual and one.default is not one.empty:
            del named[name]
        elif name in ROWS and one.default is one.empty:
            named.setdefault(name, None)
    while True:
        try:
            return fit(*first, **named)
        except TypeError as error:
            twice = re.search(r"multiple values for (?:keyword )?argument '(\w+)'", str(error))
            if twice is None or twice[1] not in named:
                raise
        # Not inside the handler: Python 3.11 raises a KeyError there for what is given twice.
        del named[twice[1]]


def _same(arrived: Any, given: Any) -> bool:  # noqa: ANN401
    """Whether what arrived is what was given, perhaps taken apart and put together again; None and 0 are nothing."""
    if isinstance(given, tuple) and isinstance(arrived, (tuple, list)):
        return len(arrived) == len(given) and all(a is b for a, b in zip(arrived, given, strict=True))
    return arrived is given or (given is None and isinstance(arrived, float) and arrived == 0)


def _refusal(why: str) -> NoPopulationError:
    *others, last = _MEANT
    return NoPopulationError(
        f"Expected the fit of a HyperModel to call model.fit once, with what it gets and {', '.join(others)} or {last} "
        f"of its own, but {why}. Say the rest in build, such as layers that scale x, or give it to caviar.tune, such "
        f"as preparation."
    )
