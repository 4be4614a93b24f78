"""How much is measured: folds, repeats and seeds, as far as time and memory allow."""

from collections.abc import Iterator
from dataclasses import dataclass

from caviar.data.dataset import Dataset
from caviar.evaluate.wording import in_minutes

FOLDS, REPEATS, SEEDS = 10, 3, 3

# In the order in which a short budget gives them up: repeats first, then folds.
_SMALLER = ((10, 2), (10, 1), (5, 1), (3, 1))
# Every split has prepared inputs of its own, in memory.
_PREPARED_BYTES = 2 * 2**30
_FEWER_ARE_SLOWER = 1.3
# Budgets of less than so many times the time of getting ready leave no time to start twice.
_IN_A_RUSH, _IN_HASTE = 4.5, 6.0


@dataclass(frozen=True)
class Plan:
    """How a recipe is measured.

    Attributes:
        folds: Folds of a repeat.
        repeats: Repeats.
        seeds: Seeds per fold of the first repeat.
        is_final: Whether a short time budget must not make it smaller.
        why: Why it is smaller than usual, in a sentence, or empty.

    >>> Plan(10, 3).members
    50
    """

    folds: int
    repeats: int
    seeds: int = SEEDS
    is_final: bool = False
    why: str = ""

    @property
    def members(self) -> int:
        """Trainings that the baseline takes."""
        return self.folds * (self.repeats + self.seeds - 1)


def first_plan(dataset: Dataset, folds: int | None, repeats: int | None) -> Plan:
    """The plan to begin with: the usual one unless another was given, or time order or memory forbids it."""
    if dataset.time is not None:
        why = "One repeat, because the order of time allows only one way to split."
        return Plan(folds or FOLDS, 1, is_final=True, why=why)
    if folds is not None or repeats is not None:
        return Plan(folds or FOLDS, repeats or REPEATS, is_final=True)
    room = splits_with_room(dataset)
    if room >= FOLDS * REPEATS:
        return Plan(FOLDS, REPEATS)
    folds, repeats = next((s for s in _SMALLER if s[0] * s[1] <= room), _SMALLER[-1])
    why = (
        f"the prepared inputs of {dataset.n_rows:,} rows for every fold must fit into memory; "
        f"--folds and --repeats overrule this"
    )
    return _instead(folds, repeats, why)


def splits_with_room(dataset: Dataset) -> int:
    """How many splits' prepared inputs fit into memory."""
    inputs = sum(max(1, len(column.categories)) for column in dataset.schema.columns)
    return _PREPARED_BYTES // (4 * inputs * dataset.n_rows)


def hurried_plan(plan: Plan, spent: float, minutes: float) -> Plan:
    """A small plan from the start, where getting ready alone took a good part of the budget.

    How long that takes tells how fast the machine is: compiling takes about as long again, twice.

    Args:
        plan: The plan without haste.
        spent: Seconds from the command's beginning until training can begin.
        minutes: The whole budget.

    >>> hurried_plan(Plan(10, 3), spent=4.0, minutes=1).members, hurried_plan(Plan(10, 3), 8.0, 0.5).members
    (50, 9)
    """
    for patience, size in ((_IN_A_RUSH, _SMALLER[-1]), (_IN_HASTE, _SMALLER[-2])):
        if minutes * 60 < patience * spent and size in _left(plan):
            return _instead(*size, f"getting ready took {spent:.0f} s of the {in_minutes(minutes)} given")
    return plan


def smaller_plan(plan: Plan, seconds: float, allowed: float, minutes: float | None) -> Plan | None:
    """The largest smaller plan that should take no longer than allowed, else the smallest; None if there is none.

    Args:
        plan: The plan that takes too long.
        seconds: What its baseline would take.
        allowed: What a baseline may take, in seconds.
        minutes: The whole budget, for the sentence that says why.
    """
    left = list(_left(plan))
    if not left:
        return None
    # Fewer members take less than proportionally less time.
    per_member = _FEWER_ARE_SLOWER * seconds / plan.members
    folds, repeats = next((s for s in left if Plan(*s).members * per_member <= allowed), left[-1])
    return _instead(
        folds,
        repeats,
        f"the baseline alone would have taken about {seconds:.0f} s of the {in_minutes(minutes or 0)} given",
    )


def _left(plan: Plan) -> Iterator[tuple[int, int]]:
    if not plan.is_final:
        yield from (s for s in _SMALLER if Plan(*s).members < plan.members)


def can_be_smaller(plan: Plan) -> bool:
    """Whether a shorter plan exists.

    >>> can_be_smaller(Plan(10, 3)), can_be_smaller(Plan(3, 1))
    (True, False)
    """
    return any(_left(plan))


def _instead(folds: int, repeats: int, because: str) -> Plan:
    words = f"{repeats} × {folds} folds instead of {REPEATS} × {FOLDS}, because {because}."
    return Plan(folds, repeats, why=words)
