"""Which settings were not asked for yet?"""

from collections.abc import Callable, Hashable, Iterable
from typing import Any

import numpy as np

from caviar.tune.space import Space

PATIENCE = 200
"""Draws in a row that give nothing new, after which what is left is counted out."""

COUNTABLE = 100_000
"""Settings of a space up to which what is left can be counted out; a larger one is drawn from a while longer."""


class Fresh:
    """Remembers what was asked for, and draws until something new comes.

    >>> from caviar.recipe.hyperparameters import Question
    >>> from caviar.tune.parameter import Parameter
    >>> space = Space((Parameter("norm", Question("boolean", False, values=(False, True))),))
    >>> fresh, rng = Fresh(space), np.random.default_rng(0)
    >>> sorted(fresh.draw(rng)["norm"] for _ in range(2)), fresh.draw(rng)
    ([False, True], None)
    """

    def __init__(self, space: Space, asked: Iterable[dict[str, Any]] = ()) -> None:
        self.space = space
        self._size = space.size
        self._seen: set[Hashable] = {space.key(one) for one in asked}
        self._rest: list[dict[str, Any]] | None = None  # what is left, once it was counted out

    @property
    def nothing_left(self) -> bool:
        """Whether all settings of the space were asked for."""
        return self._size is not None and len(self._seen) >= self._size

    def take(self, settings: dict[str, Any]) -> bool:
        """Note settings; says whether they are new."""
        key = self.space.key(settings)
        new = key not in self._seen
        self._seen.add(key)
        return new

    def draw(
        self, rng: np.random.Generator, us: Callable[[], np.ndarray] | None = None
    ) -> dict[str, Any] | None:
        """New settings from `us`, else drawn evenly over the axes; None where nothing is left.

        Args:
            rng: Where chance comes from.
            us: Gives positions [parameter] that are tried first.
        """

        def evenly() -> np.ndarray:
            return rng.random(len(self.space.parameters))

        sources = () if self._rest is not None else (evenly,) if us is None else (us, evenly)
        for positions in sources:
            for _ in range(PATIENCE):
                if self.nothing_left:
                    return None
                settings = self.space.draw(positions())
                if self.take(settings):
                    return settings
        return self._left(rng)

    def _left(self, rng: np.random.Generator) -> dict[str, Any] | None:
        """One of the settings that are rarely drawn."""
        if self._size is None or self._size > COUNTABLE:
            return None
        if self._rest is None:
            grids = [list(parameter.points or ()) for parameter in self.space.parameters]
            left = [one for one in self.space.every(grids) if self.space.key(one) not in self._seen]
            self._rest = [left[place] for place in rng.permutation(len(left))]
        while self._rest:
            settings = self._rest.pop()
            if self.take(settings):
                return settings
        return None
