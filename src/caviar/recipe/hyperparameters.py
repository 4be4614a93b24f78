"""`hp`: what a builder asks for its numbers, with KerasTuner's names and default values."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from caviar.errors import ModelError


@dataclass
class HyperParameters:
    """Answers a builder's questions with the value set for a name, else with its default.

    Attributes:
        values: What was set or asked so far, by name.

    >>> hp = HyperParameters()
    >>> hp.Int("units", 16, 64, step=16)
    16
    >>> hp.values
    {'units': 16}
    """

    values: dict[str, Any] = field(default_factory=dict)

    def Int(  # noqa: N802 - KerasTuner's name
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,  # noqa: ARG002 - part of the question, not of the default
        sampling: str = "linear",  # noqa: ARG002
        default: int | None = None,
    ) -> int:
        """An integer between two bounds, both included; the lower one by default."""
        _require_order(name, min_value, max_value)
        return int(self._answer(name, min_value if default is None else default))

    def Float(  # noqa: N802
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,  # noqa: ARG002
        sampling: str = "linear",  # noqa: ARG002
        default: float | None = None,
    ) -> float:
        """A number between two bounds, both included; the lower one by default."""
        _require_order(name, min_value, max_value)
        return float(self._answer(name, min_value if default is None else default))

    def Choice(  # noqa: N802
        self,
        name: str,
        values: Sequence[Any],
        ordered: bool | None = None,  # noqa: ARG002, FBT001
        default: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """One of several values; the first by default."""
        if not values:
            raise ModelError(f"Expected at least one value to choose from for {name!r}, got none.")
        return self._answer(name, values[0] if default is None else default)

    def Boolean(self, name: str, default: bool = False) -> bool:  # noqa: N802, FBT001, FBT002
        """Yes or no; no by default."""
        return bool(self._answer(name, default))

    def Fixed(self, name: str, value: Any) -> Any:  # noqa: N802, ANN401
        """A value that is not searched."""
        return self._answer(name, value)

    def get(self, name: str) -> Any:  # noqa: ANN401
        """The value of a name that was set or asked before."""
        if name not in self.values:
            raise ModelError(f"Expected a hyperparameter that was asked before, got {name!r}.")
        return self.values[name]

    def _answer(self, name: str, default: Any) -> Any:  # noqa: ANN401
        return self.values.setdefault(name, default)


def _require_order(name: str, low: float, high: float) -> None:
    if low > high:
        raise ModelError(
            f"Expected the lower bound of {name!r} not to exceed the upper one, got {low} and {high}. Swap them."
        )
