"""What a remedy is: a named, sourced change of a recipe that answers certain faults."""

from collections.abc import Callable
from dataclasses import dataclass

from caviar.errors import CaviarError
from caviar.recipe.recipe import Recipe


class NotApplicable(CaviarError):  # noqa: N818 - an outcome, not an error
    """Why a remedy cannot or need not be tried on this recipe: a fragment of a sentence, without a full stop.

    Raised by `Remedy.apply`, or, where the reason lies in the model, when the changed recipe is built.
    """


@dataclass(frozen=True)
class Remedy:
    """A change that may help.

    Attributes:
        name: For files, tables and the command line.
        title: For people.
        family: Remedies of one family exclude each other; the best of a family is combined with others.
        what: What it does, in a sentence.
        source: Where the idea comes from.
        answers: Faults it treats.
        apply: Makes the changed recipe, or raises `NotApplicable`, as may building its model.
        on_demand: Only tried where a check has named a fault that it answers.
        optimizer: The class of the optimizer that it sets, and the learning rate, where that is what it does.
        cures: The fault that was there if it helps most, where that tells; else empty.
        explains: Whether a fault that it answers was there if it helps; not of what may help whatever is wrong, which a
            diagnosis does not try.
    """

    name: str
    title: str
    family: str
    what: str
    source: str
    answers: tuple[str, ...]
    apply: Callable[[Recipe], Recipe]
    cures: str = ""
    on_demand: bool = False
    optimizer: tuple[str, float] | None = None
    explains: bool = True

    @property
    def averages(self) -> bool:
        """Whether several networks, or others beside them, then predict together: it may help whatever is wrong."""
        return self.family in {"ensemble", "blend"}
