"""Recipes that differ only in numbers or widths train as one population: the fewest programs for many recipes."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import keras
import numpy as np

from caviar.errors import CaviarError, ModelError
from caviar.population import devices, narrow
from caviar.population.begun import adapted, check, rates_from
from caviar.population.callbacks import rate_variable, scheduler, sets_rate
from caviar.population.glance import glance, text_of_rows
from caviar.population.job import Job, Monitor, Trained
from caviar.population.keep import Keep
from caviar.population.lift import LEARNING_RATE, WIDTH, numbers
from caviar.population.probe import layer_names
from caviar.population.structure import CannotCompare, structure
from caviar.population.template import Build, Template, make_template
from caviar.population.train import NotTogether, Ready, foresee, train
from caviar.population.widths import (
    beside,
    differ_in_widths,
    divides_by_zero,
    dropout_widths,
    widened,
    widths,
)

# Operations that take as long as a program does, on each core: tracing and compiling it keep one busy, training all of
# them (benchmarks/widths.py).
_WORTH_COMPILING = 1e11
# What powers of two may take beyond that: the next recipes' program is likelier to be there, and not certain.
_SHARE_OF_NEXT = 0.5


@dataclass(frozen=True, eq=False)
class _Family:
    """Jobs that share one program.

    Attributes:
        jobs: Their places among all jobs.
        numbers: What `numbers` says of each one's model.
        rates: Of each one's epochs, where a callback sets them.
        template: Of the first one's model, or of what `wide` builds, where it is known.
        wide: Builds the model in whose arrays those of all jobs lie; None where they have one structure.
        own: Each job's template, if there is such a model.
    """

    jobs: list[int]
    numbers: list[dict[str, float]]
    rates: list[tuple[float, ...] | None]
    template: Template | None = None
    wide: Build | None = None
    own: list[Template] = field(default_factory=list)


def train_together(
    jobs: Sequence[Job], monitor: Monitor | None = None, keep: Keep | None = None
) -> tuple[list[Trained], int]:
    """Train several recipes on the same rows with as few programs as possible.

    Args:
        jobs: One per recipe.
        monitor: Told of progress, of one population after the other.
        keep: Where the state is kept while they train.

    Returns:
        What training each job gave, and how many populations there were.
    """
    trained: dict[int, Trained] = {}
    populations = 0
    for some, is_population in train_in_turn(jobs, monitor, keep):
        trained |= some
        populations += is_population
    return [trained[i] for i in range(len(jobs))], populations


def train_in_turn(
    jobs: Sequence[Job], monitor: Monitor | None = None, keep: Keep | None = None, *, more: bool = False
) -> Iterator[tuple[dict[int, Trained], bool]]:
    """The same population after population: what is over is there, even if time ends during the next one.

    Args:
        jobs: One per recipe.
        monitor: Told of progress, of one population after the other.
        keep: Where the state is kept while they train.
        more: Whether recipes of the same kind are likely to follow: they then share programs that are wider than these
            need.

    Yields:
        What training gave, by the jobs' places; and whether it was a population.
    """
    devices.start()
    families = _families(jobs, more=more)
    foreseen: dict[int, tuple[Job, Ready | None]] = {}
    for n, family in enumerate(families):
        some = [jobs[i] for i in family.jobs]
        if len(families) > 1:  # while one population trains, what the next one needs is compiled
            for k in {n, n + 1} - foreseen.keys() - {len(families)}:
                with contextlib.suppress(CaviarError):  # said when it trains
                    job = _whole(jobs, families[k], more=more)
                    foreseen[k] = job, foresee(job)
        try:
            inside = None if keep is None else keep.inside(f"population-{n}")
            job, ready = foreseen.pop(n) if n in foreseen else (_whole(jobs, family, more=more), None)
            whole = train(job, monitor, keep=inside, ready=ready)
        except NotTogether:
            for i in family.jobs:
                inside = None if keep is None else keep.inside(f"recipe-{i}")
                yield {i: train(jobs[i], monitor, keep=inside)}, False
            continue
        trained: dict[int, Trained] = {}
        start = 0
        for i, job in zip(family.jobs, some, strict=True):
            trained[i] = _part(whole, start, start + len(job.seats))
            if family.wide is not None:
                trained[i] = _taken_out(family.own[family.jobs.index(i)], trained[i])
            start += len(job.seats)
        yield trained, whole.engine == "population"


def _whole(jobs: Sequence[Job], family: _Family, *, more: bool) -> Job:
    """One job of a family."""
    return replace(_together([jobs[i] for i in family.jobs], family), followed=more)


def count_populations(jobs: Sequence[Job]) -> int:
    """How many populations it takes to train several recipes, each a program of its own."""
    devices.start()
    return len(_families(jobs))


def _families(jobs: Sequence[Job], *, more: bool = False) -> list[_Family]:
    families: dict[object, _Family] = {}
    known: dict[object, tuple[_Described, object]] = {}
    alike = _Alike()
    for i, job in enumerate(jobs):
        found = alike.find(job) if len(jobs) > 1 or more else None
        key: object = i
        values: dict[str, float] = {}
        rates = None
        if found is not None:
            values = found.numbers
            rates, others = _rates(job, values if found.has_rate else {})
            setting = _setting(job, values, others)
            key = (found.structure, found.layers if job.probe else (), setting)
            known[key] = found, setting
        own = found.template if found is not None and found.is_own else None
        family = families.setdefault(key, _Family([], [], [], own))
        family.jobs.append(i)
        family.numbers.append(values)
        family.rates.append(rates)
    fits = [key for key, (found, _) in known.items() if found.widths and _may_be_widened(jobs, families[key])]
    wider = _widened(
        jobs, [_Candidate(families[key], *known[key], _work(jobs, families[key])) for key in fits], more=more
    )
    inside = {id(one) for _, some in wider for one in some}
    return sorted(
        [*(one for one in families.values() if id(one) not in inside), *(whole for whole, _ in wider)],
        key=lambda family: family.jobs[0],
    )


def _may_be_widened(jobs: Sequence[Job], family: _Family) -> bool:
    """Probes look at single units, and rows that come block by block are worth a program of their own."""
    return not any(jobs[i].probe or jobs[i].streams for i in family.jobs) and not any(
        map(divides_by_zero, family.numbers)
    )


def _work(jobs: Sequence[Job], family: _Family) -> float:
    """Operations per weight that training takes."""
    return sum(6.0 * jobs[i].batch_size * jobs[i].steps() for i in family.jobs)


@dataclass(frozen=True, eq=False)
class _Candidate:
    """Jobs of one structure whose hidden layers may lie in wider ones.

    Attributes:
        family: The jobs.
        described: Their model.
        setting: What else members of a program must share.
        work: Operations per weight that training them takes.
    """

    family: _Family
    described: "_Described"
    setting: object
    work: float

    @property
    def shapes(self) -> np.ndarray:
        """Of the trainable variables (variable, axis)."""
        return _shapes(self.described.template)

    def fits(self, other: "_Candidate") -> bool:
        """Whether only widths tell it from another."""
        one, two = self.described, other.described
        pairs = set(zip(one.widths, two.widths, strict=False))
        return (
            self.setting == other.setting
            and len(one.widths) == len(two.widths)
            and one.template.model.output_shape == two.template.model.output_shape
            and beside(one.template.model) == beside(two.template.model)
            and differ_in_widths(one.structure, two.structure, pairs)
        )


def _widened(
    jobs: Sequence[Job], candidates: Sequence[_Candidate], *, more: bool
) -> list[tuple[_Family, list[_Family]]]:
    """Families whose narrow members lie in wider layers, each with those that it is made of."""
    kinds: list[list[_Candidate]] = []
    for one in candidates:
        kind = next((kind for kind in kinds if one.fits(kind[0])), None)
        if kind is None:
            kinds.append([one])
        else:
            kind.append(one)
    groups = [
        [kind[place] for place in places]
        for kind in kinds
        for places in cheapest(
            np.stack([one.shapes for one in kind]), np.array([one.work for one in kind]), _worth()
        )
    ]
    found = [
        (_wide_family(jobs, group, more=more), [one.family for one in group])
        for group in groups
        if len(group) > 1 or more
    ]
    return [(whole, parts) for whole, parts in found if whole is not None]


def _worth() -> float:
    """Operations that take as long as compiling a program, on all devices."""
    return _WORTH_COMPILING * devices.start().count


def cheapest(shapes: np.ndarray, work: np.ndarray, worth: float) -> list[list[int]]:
    """Which networks of one kind to fill up to the widest of them, so that few programs compute few zeros.

    The two groups whose joining saves most are joined, as long as any two save something (agglomerative clustering).

    Args:
        shapes: Of their variables (network, variable, axis).
        work: Operations per weight that training each of them takes (network,).
        worth: Operations that take as long as a program.

    Returns:
        Groups of places.

    Example:
        >>> shapes, work = np.array([[[8, 8]], [[512, 512]], [[500, 512]]]), np.ones(3)
        >>> cheapest(shapes, work, worth=10_000), cheapest(shapes, work, worth=1_000_000)
        ([[0], [1, 2]], [[0, 1, 2]])
    """
    groups, wide, work = [[place] for place in range(len(work))], shapes.astype(float), work.astype(float)
    together = np.stack([_weights(np.maximum(wide, one)) for one in wide])
    while len(groups) > 1:
        apart = work * np.diagonal(together)
        saved = worth + apart[:, None] + apart - (work[:, None] + work) * together
        np.fill_diagonal(saved, -np.inf)
        one, two = sorted(map(int, np.unravel_index(saved.argmax(), saved.shape)))
        if saved[one, two] <= 0:
            break
        groups[one] = sorted(groups[one] + groups.pop(two))
        wide[one], work[one] = np.maximum(wide[one], wide[two]), work[one] + work[two]
        wide, work = np.delete(wide, two, 0), np.delete(work, two)
        together = np.delete(np.delete(together, two, 0), two, 1)
        together[one] = together[:, one] = _weights(np.maximum(wide, wide[one]))
    return groups


def _shapes(template: Template) -> np.ndarray:
    """Of a model's trainable variables (variable, axis), those of few axes filled up with ones."""
    shapes = [variable.shape for variable in template.model.trainable_variables]
    most = max(map(len, shapes), default=0)
    return np.array([(*shape, *[1] * (most - len(shape))) for shape in shapes], float).reshape(
        len(shapes), most
    )


def _weights(shapes: np.ndarray) -> np.ndarray:
    """How many weights variables of such shapes (…, variable, axis) have together."""
    weights: np.ndarray = shapes.prod(axis=-1).sum(axis=-1)
    return weights


def _wide_family(jobs: Sequence[Job], group: Sequence[_Candidate], *, more: bool) -> _Family | None:
    """All jobs of a group; None if a copy of their model with wider layers turns out to be another model.

    Where others are likely to follow, layers are as wide as the next powers of two, if filling those up takes less than
    a program: so what is trained next, of other widths, is likely to share it.
    """
    widest = tuple(map(max, zip(*(one.described.widths for one in group), strict=True)))
    wide = None
    if more:
        wide = _wide_template(jobs, group, tuple(1 << (units - 1).bit_length() for units in widest))
        if wide is not None:
            needed = np.max([one.shapes for one in group], axis=0)
            beyond = sum(one.work for one in group) * (_weights(_shapes(wide[1])) - _weights(needed))
            wide = wide if beyond <= _SHARE_OF_NEXT * _worth() else None
    if wide is None and len(group) > 1:
        wide = _wide_template(jobs, group, widest)
    if wide is None:
        return None
    members = sorted(
        (i, {**values, **dropout_widths(one.described.template.model)}, rates, one.described.template)
        for one in group
        for i, values, rates in zip(one.family.jobs, one.family.numbers, one.family.rates, strict=True)
    )
    return _Family(
        [i for i, *_ in members],
        [values for _, values, _, _ in members],
        [rates for _, _, rates, _ in members],
        wide[1],
        wide[0],
        [own for *_, own in members],
    )


def _wide_template(
    jobs: Sequence[Job], group: Sequence[_Candidate], units: tuple[int, ...]
) -> tuple[Build, Template] | None:
    """Builder and template of a model with hidden layers of so many units; None if it differs in more than that."""
    first = jobs[group[0].family.jobs[0]]
    build = widened(first.build, units, first.sample())
    try:
        template = make_template(build, first.sample())
        wide = structure(template, first.sample(), first.full_batch)
    except (CannotCompare, ModelError):
        return None
    if beside(template.model) != beside(group[0].described.template.model) or not all(
        differ_in_widths(one.described.structure, wide, set(zip(one.described.widths, units, strict=True)))
        for one in group
    ):
        return None
    return build, template


@dataclass(frozen=True)
class _Described:
    """What is known of a recipe's model.

    Attributes:
        structure: From `structure`.
        layers: Names.
        numbers: From `numbers`.
        has_rate: Whether its learning rate is one of them.
        template: Its own, or that of a recipe that differs only in numbers.
        is_own: Whether it is its own.
        widths: From `widths`.
    """

    structure: str
    layers: Sequence[str]
    numbers: dict[str, float]
    has_rate: bool
    template: Template
    is_own: bool
    widths: tuple[int, ...]


class _Alike:
    """Finds out which recipes share a structure, and builds those that look like an earlier one only once."""

    def __init__(self) -> None:
        self._looks: dict[str, _Described] = {}
        self._glances = True

    def find(self, job: Job) -> _Described | None:
        """What is known of a recipe's model; None if it cannot be compared with others."""
        batch = job.sample()
        # A look leaves out the layers' names, which probes tell; and where one tells nothing, the next will not either.
        look = (job.look or glance(job.build, batch)) if self._glances and not job.probe else None
        self._glances = look is not None
        seen = "" if look is None else look.text + text_of_rows(batch)
        if look is not None and (known := self._looks.get(seen)) is not None:
            return replace(known, numbers={**known.numbers, **look.numbers}, is_own=False)
        template = make_template(job.build, batch)
        try:
            text = structure(template, batch, job.full_batch)
        except CannotCompare:
            return None
        found = _Described(
            text,
            layer_names(template.model),
            numbers(template.model),
            rate_variable(template.model) is not None,
            template,
            is_own=True,
            widths=widths(template.model),
        )
        if look is not None and not template.fixed and look.numbers.items() <= found.numbers.items():
            self._looks[seen] = found
        return found


def _rates(
    job: Job, values: dict[str, float]
) -> tuple[tuple[float, ...] | None, Sequence[keras.callbacks.Callback]]:
    """The rate of each epoch, where a callback gives it whatever happens; and the other callbacks."""
    schedule = scheduler(job.callbacks)
    if schedule is None or LEARNING_RATE not in values:
        return None, job.callbacks
    try:
        rates = rates_from(schedule, values[LEARNING_RATE], job)
    except Exception:  # noqa: BLE001 - of the user's own; said when it trains
        return None, job.callbacks
    return rates, [callback for callback in job.callbacks if callback is not schedule]


def _setting(
    job: Job, values: dict[str, float], callbacks: Sequence[keras.callbacks.Callback]
) -> tuple[object, ...]:
    """What else members of a program must share. Callbacks that set the rate start from that of the recipe."""
    arrays = (id(job.x), id(job.y), job.weight is None) if job.source is None else (id(job.source),)
    rest = (job.batch_size, job.epochs, job.shuffle, job.show, job.score, job.validation_batch_size)
    rate = values.get(LEARNING_RATE) if sets_rate(callbacks) else None
    return (
        *arrays,
        *rest,
        job.initial_epoch,
        (job.begun is None, job.layouts is None),
        job.probe,
        job.spread,
        job.weighs_watched,
        job.weighs_scored,
        job.validation_freq,
        job.steps_per_epoch,
        rate,
        *map(id, callbacks),
    )


def _together(jobs: Sequence[Job], family: _Family) -> Job:
    """One job of all seats; only numbers that differ are lifted, so that a single recipe keeps its bits.

    Of layers that lie in wider ones widths are lifted in any case, for the next members may have others; and the rate,
    because a member's template may be that of a recipe with another one.
    """
    values = family.numbers
    weight, first = _sets([job.weight for job in jobs])
    differ = [
        key
        for key in values[0]
        if len({one[key] for one in values}) > 1
        or (family.wide is not None and (key.startswith(WIDTH) or key == LEARNING_RATE))
    ]
    together = replace(
        jobs[0],
        template=family.template,
        rates=_rates_together(jobs, family),
        weight=weight,
        seats=[
            replace(seat, weights=seat.weights + start)
            for job, start in zip(jobs, first, strict=True)
            for seat in job.seats
        ],
        numbers={
            key: [one[key] for one, job in zip(values, jobs, strict=True) for _ in job.seats]
            for key in differ
        },
        begun=None if jobs[0].begun is None else [state for job in jobs for state in job.begun or ()],
        layouts=None if jobs[0].layouts is None else [one for job in jobs for one in job.layouts or ()],
    )
    return together if family.wide is None else _inside(jobs, family, together)


def _rates_together(jobs: Sequence[Job], family: _Family) -> list[tuple[float, ...]] | None:
    """Rates per seat, constant for recipes without a schedule; None if nobody has one."""
    if not any(family.rates):
        return None
    constant = [(values.get(LEARNING_RATE, 0.0),) * jobs[0].epochs for values in family.numbers]
    rates = [own or same for own, same in zip(family.rates, constant, strict=True)]
    return [own for own, job in zip(rates, jobs, strict=True) for _ in job.seats]


def _inside(jobs: Sequence[Job], family: _Family, together: Job) -> Job:
    """The same job with its members in wider layers."""
    assert family.wide is not None
    assert family.template is not None
    going_on = [adapted(job, template) for job, template in zip(jobs, family.own, strict=True)]
    for job, template in zip(going_on, family.own, strict=True):
        check(job, template.model)
    own = [own for job, own in zip(jobs, family.own, strict=True) for _ in job.seats]
    begun = together.begun and [
        narrow.put_in(family.template, state) for job in going_on for state in job.begun or ()
    ]
    return replace(together, build=family.wide, narrow=own, begun=begun, layouts=None)


def _taken_out(own: Template, trained: Trained) -> Trained:
    """What training gave, in the shapes of the recipe's own model."""
    return replace(
        trained,
        states=[narrow.take_out(own, state) for state in trained.states],
        saved=[
            tuple(replace(one, state=narrow.take_out(own, one.state)) for one in each)
            for each in trained.saved
        ],
    )


def _sets(weights: Sequence[np.ndarray | None]) -> tuple[np.ndarray | None, list[int]]:
    """All jobs' sets of weights as one array, equal ones once; and where those of each job begin."""
    found: list[np.ndarray] = []
    first: list[int] = []
    for weight in weights:
        if weight is None:
            return None, [0] * len(weights)
        same = next((i for i, other in enumerate(found) if np.array_equal(weight, other)), len(found))
        if same == len(found):
            found.append(weight)
        first.append(sum(len(other) for other in found[:same]))
    return np.concatenate(found), first


def _part(whole: Trained, start: int, stop: int) -> Trained:
    return replace(
        whole,
        seconds=whole.seconds * (stop - start) / len(whole.states),
        history=whole.history.isel(member=slice(start, stop)),
        outputs=whole.outputs[start:stop],
        states=whole.states[start:stop],
        scores=whole.scores[start:stop],
        saved=whole.saved[start:stop],
        probes=None if whole.probes is None else whole.probes.isel(member=slice(start, stop)),
    )
