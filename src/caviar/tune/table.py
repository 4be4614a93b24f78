"""All searches, in the order in which they are offered."""

from collections.abc import Callable
from dataclasses import dataclass

from caviar.errors import OptionError
from caviar.tune.draws import random_search
from caviar.tune.grid import grid_search
from caviar.tune.search import Search


@dataclass(frozen=True)
class Method:
    """A way of searching.

    Attributes:
        name: For files and the command line.
        title: For people.
        what: What it does, in a sentence.
        source: Where the idea comes from.
        make: Makes the search from space, trials, seed and start, in this order; some take more, each with a default.
        many_objectives: Whether it weighs several scores against each other; the others look at the first one.
    """

    name: str
    title: str
    what: str
    source: str
    make: Callable[..., Search]
    many_objectives: bool = False


SEARCHES: tuple[Method, ...] = (
    Method(
        name="random",
        title="Random search",
        what="Draws settings independently, on each parameter's scale, none twice.",
        source="Bergstra & Bengio (2012), Random search for hyper-parameter optimization",
        make=random_search,
    ),
    Method(
        name="grid",
        title="Grid search",
        what="Tries every combination of evenly spread values, as many as the trials allow.",
        source="KerasTuner's GridSearch",
        make=grid_search,
    ),
)


def search_named(name: str) -> Method:
    """The way of searching of that name.

    >>> search_named("grid").title
    'Grid search'

    Raises:
        OptionError: There is none.
    """
    for method in SEARCHES:
        if method.name == name:
            return method
    raise OptionError(
        f"Expected a search out of {', '.join(one.name for one in SEARCHES)}, got {name!r}. Choose one of them."
    )
