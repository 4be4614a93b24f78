"""KerasTuner's `HyperModel`: an object whose `build(hp)` builds, and whose `fit(hp, model, …)` passes arguments on."""

import re
from collections.abc import Mapping
from typing import Any

from caviar.errors import ModelError
from caviar.recipe.hyperparameters import HyperParameters

_MEANT = ("batch_size", "epochs", "callbacks", "shuffle")


class HyperModel:
    """A builder as an object, as KerasTuner has it: subclass it, and write `build`, and `fit` if need be.

    Args:
        name: What it is called.
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name

    def build(self, hp: HyperParameters) -> Any:  # noqa: ANN401
        """A compiled Keras model that has asked `hp` for its settings."""
        raise NotImplementedError

    def fit(self, hp: HyperParameters, model: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401, ARG002
        """Train it: passes arguments on to `model.fit`, some of them perhaps from `hp`."""
        return model.fit(*args, **kwargs)


class _StandIn:
    """Takes the place of the model: notes what `fit` is called with, and does nothing else."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def fit(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Note a call."""
        self.calls.append((args, kwargs))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        raise _refusal(f"it uses model.{name}")


def passed_on(model: Any, hp: HyperParameters, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """The fit arguments that a `HyperModel`'s own `fit` makes of those given.

    Args:
        model: The `HyperModel`.
        hp: Answers it.
        given: `batch_size`, `epochs`, `callbacks` and `shuffle` as they are without it.

    Raises:
        ModelError: It does something else than passing arguments on, so that it cannot be carried out for a population.
    """
    stand_in, x, y = _StandIn(), object(), object()
    try:
        _call(model, hp, stand_in, (x, y), dict(given))
    except ModelError:
        raise
    except Exception as error:  # anybody's code
        raise _refusal(f"it raised {type(error).__name__}: {error}") from error
    if len(stand_in.calls) != 1:
        raise _refusal(f"it calls model.fit {len(stand_in.calls)} times")
    args, kwargs = stand_in.calls[0]
    rows = [*args, *(kwargs.pop(name) for name in ("x", "y") if name in kwargs)]
    if len(rows) != 2 or rows[0] is not x or rows[1] is not y:
        raise _refusal("it trains on other rows")
    unknown = [
        name
        for name, value in kwargs.items()
        if name not in _MEANT and name != "verbose" and value is not None
    ]
    if unknown:
        raise _refusal(f"it sets {unknown[0]}")
    return {**given, **{name: value for name, value in kwargs.items() if name in _MEANT}}


def _call(
    model: Any,  # noqa: ANN401
    hp: HyperParameters,
    stand_in: _StandIn,
    rows: tuple[object, object],
    given: dict[str, Any],
) -> None:
    """Call the `fit` of a `HyperModel` with those arguments that it does not set itself beside what it gets.

    KerasTuner passes on only what `search` was given: `model.fit(*args, batch_size=…, **kwargs)` is right there.
    """
    try:
        model.fit(hp, stand_in, *rows, **given)
    except TypeError as error:
        twice = re.search(r"multiple values for keyword argument '(\w+)'", str(error))
        if twice is None or twice[1] not in given:
            raise
        _call(model, hp, stand_in, rows, {name: value for name, value in given.items() if name != twice[1]})


def _refusal(why: str) -> ModelError:
    return ModelError(
        f"Expected the fit of a HyperModel to call model.fit once, with the x and y it gets and "
        f"{', '.join(_MEANT[:-1])} or {_MEANT[-1]} of its own, but {why}. Say the rest in build, or give it to "
        f"caviar.tune."
    )
