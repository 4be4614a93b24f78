"""`hp`: what a builder asks for its numbers, with KerasTuner's names and default values."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from caviar.errors import ModelError


@dataclass
class HyperParameters:
    """Answers a builder's questions with the value set for a name, else with its default.

    As in KerasTuner, a question inside `conditional_scope` (or with `parent_name`) whose condition does not
    hold is answered with None.

    Attributes:
        values: What was set or asked so far, by name.

    >>> hp = HyperParameters()
    >>> hp.Int("units", 16, 64, step=16)
    16
    >>> hp.values
    {'units': 16}
    """

    values: dict[str, Any] = field(default_factory=dict)
    _scopes: list[str] = field(default_factory=list, init=False, repr=False)
    _conditions: list[bool] = field(default_factory=list, init=False, repr=False)

    def Int(  # noqa: N802 - KerasTuner's name
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,  # noqa: ARG002 - part of the question, not of the default
        sampling: str | None = "linear",  # noqa: ARG002
        default: int | None = None,
        parent_name: str | None = None,
        parent_values: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401 - an integer, or None where its condition does not hold
        """An integer between two bounds, both included; the lower one by default."""
        _require_order(name, min_value, max_value)
        value = int(min_value if default is None else default)
        return self._answer(name, value, parent_name, parent_values)

    def Float(  # noqa: N802
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,  # noqa: ARG002
        sampling: str | None = "linear",  # noqa: ARG002
        default: float | None = None,
        parent_name: str | None = None,
        parent_values: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401 - a number, or None where its condition does not hold
        """A number between two bounds, both included; the lower one by default."""
        _require_order(name, min_value, max_value)
        value = float(min_value if default is None else default)
        return self._answer(name, value, parent_name, parent_values)

    def Choice(  # noqa: N802
        self,
        name: str,
        values: Sequence[Any],
        ordered: bool | None = None,  # noqa: ARG002, FBT001
        default: Any = None,  # noqa: ANN401
        parent_name: str | None = None,
        parent_values: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """One of several values; the first by default."""
        if not values:
            raise ModelError(f"Expected at least one value to choose from for {name!r}, got none. Give some.")
        if default is not None and default not in values:
            raise ModelError(
                f"Expected the default of {name!r} to be one of its values {list(values)}, got {default!r}. "
                f"Choose one of them."
            )
        return self._answer(name, values[0] if default is None else default, parent_name, parent_values)

    def Boolean(  # noqa: N802
        self,
        name: str,
        default: bool = False,  # noqa: FBT001, FBT002
        parent_name: str | None = None,
        parent_values: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401 - a bool, or None where its condition does not hold
        """Yes or no; no by default."""
        return self._answer(name, bool(default), parent_name, parent_values)

    def Fixed(  # noqa: N802
        self,
        name: str,
        value: Any,  # noqa: ANN401
        parent_name: str | None = None,
        parent_values: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """A value that is not searched."""
        return self._answer(name, value, parent_name, parent_values)

    def get(self, name: str) -> Any:  # noqa: ANN401
        """The value of a name that was set or asked before."""
        full = self._full(name)
        if full not in self.values:
            raise ModelError(
                f"Expected a hyperparameter that was set or asked before, got {full!r}. "
                f"Known are {', '.join(self.values) or 'none'}."
            )
        return self.values[full]

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
        """Questions inside are answered only where `parent_name` has one of `parent_values`, else with None."""
        allowed = parent_values if isinstance(parent_values, (list, tuple, set)) else [parent_values]
        self._conditions.append(self.values.get(self._full(parent_name)) in allowed)
        try:
            yield
        finally:
            self._conditions.pop()

    def _answer(self, name: str, default: Any, parent_name: str | None, parent_values: Any) -> Any:  # noqa: ANN401
        if parent_name is not None:
            with self.conditional_scope(parent_name, parent_values):
                return self._answer(name, default, None, None)
        return self.values.setdefault(self._full(name), default) if all(self._conditions) else None

    def _full(self, name: str) -> str:
        return "/".join((*self._scopes, name))


def _require_order(name: str, low: float, high: float) -> None:
    if low > high:
        raise ModelError(
            f"Expected the lower bound of {name!r} not to exceed the upper one, got {low} and {high}. Swap them."
        )
