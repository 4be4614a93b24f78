"""Recipes that differ only in numbers train as one population: the fewest programs for many recipes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from caviar.population import devices
from caviar.population.callbacks import rate_variable, sets_rate
from caviar.population.glance import glance
from caviar.population.job import Job, Monitor, Trained
from caviar.population.keep import Keep
from caviar.population.lift import LEARNING_RATE, numbers
from caviar.population.probe import layer_names
from caviar.population.structure import CannotCompare, structure
from caviar.population.template import make_template
from caviar.population.train import NotTogether, train


@dataclass(frozen=True, eq=False)
class _Family:
    """Jobs that share one program.

    Attributes:
        jobs: Their places among all jobs.
        numbers: What `numbers` says of each one's model.
    """

    jobs: list[int]
    numbers: list[dict[str, float]]


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
    jobs: Sequence[Job], monitor: Monitor | None = None, keep: Keep | None = None
) -> Iterator[tuple[dict[int, Trained], bool]]:
    """The same population after population: what is over is there, even if time ends during the next one.

    Args:
        jobs: One per recipe.
        monitor: Told of progress, of one population after the other.
        keep: Where the state is kept while they train.

    Yields:
        What training gave, by the jobs' places; and whether it was a population.
    """
    devices.start()
    for n, family in enumerate(_families(jobs)):
        some = [jobs[i] for i in family.jobs]
        try:
            inside = None if keep is None else keep.inside(f"population-{n}")
            whole = train(_together(some, family.numbers), monitor, keep=inside)
        except NotTogether:
            for i in family.jobs:
                inside = None if keep is None else keep.inside(f"recipe-{i}")
                yield {i: train(jobs[i], monitor, keep=inside)}, False
            continue
        trained: dict[int, Trained] = {}
        start = 0
        for i, job in zip(family.jobs, some, strict=True):
            trained[i] = _part(whole, start, start + len(job.seats))
            start += len(job.seats)
        yield trained, whole.engine == "population"


def _families(jobs: Sequence[Job]) -> list[_Family]:
    families: dict[object, _Family] = {}
    alike = _Alike()
    for i, job in enumerate(jobs):
        found = alike.find(job) if len(jobs) > 1 else None
        key: object = i
        values: dict[str, float] = {}
        if found is not None:
            values = found.numbers
            setting = _setting(job, values if found.has_rate else {})
            key = (found.structure, found.layers if job.probe else (), setting)
        family = families.setdefault(key, _Family([], []))
        family.jobs.append(i)
        family.numbers.append(values)
    return list(families.values())


@dataclass(frozen=True)
class _Described:
    """What is known of a recipe's model: its structure, its layers' names, its numbers, whether its rate is one."""

    structure: str
    layers: Sequence[str]
    numbers: dict[str, float]
    has_rate: bool


class _Alike:
    """Finds out which recipes share a structure, and builds those that look like an earlier one only once."""

    def __init__(self) -> None:
        self._looks: dict[str, _Described] = {}
        self._glances = True

    def find(self, job: Job) -> _Described | None:
        """What is known of a recipe's model; None if it cannot be compared with others."""
        batch = job.sample()
        # A look leaves out the layers' names, which probes tell; and where one tells nothing, the next will not either.
        look = glance(job.build, batch) if self._glances and not job.probe else None
        self._glances = look is not None
        if look is not None and (known := self._looks.get(look.text)) is not None:
            return replace(known, numbers={**known.numbers, **look.numbers})
        template = make_template(job.build, batch)
        try:
            text = structure(template, batch)
        except CannotCompare:
            return None
        found = _Described(
            text,
            layer_names(template.model),
            numbers(template.model),
            rate_variable(template.model) is not None,
        )
        if look is not None and not template.fixed and look.numbers.items() <= found.numbers.items():
            self._looks[look.text] = found
        return found


def _setting(job: Job, values: dict[str, float]) -> tuple[object, ...]:
    """What else members of a program must share. Callbacks that set the rate start from that of the recipe."""
    arrays = (id(job.x), id(job.y), job.weight is None) if job.source is None else (id(job.source),)
    rest = (job.batch_size, job.epochs, job.shuffle, job.show, job.score, job.validation_batch_size)
    rate = values.get(LEARNING_RATE) if sets_rate(job.callbacks) else None
    return (
        *arrays,
        *rest,
        job.initial_epoch,
        job.begun is None,
        job.probe,
        job.spread,
        job.weighs_watched,
        job.weighs_scored,
        job.validation_freq,
        job.steps_per_epoch,
        rate,
        *map(id, job.callbacks),
    )


def _together(jobs: Sequence[Job], values: Sequence[dict[str, float]]) -> Job:
    """One job of all seats; only numbers that differ are lifted, so that a single recipe keeps its bits."""
    weight, first = _sets([job.weight for job in jobs])
    differ = [key for key in values[0] if len({one[key] for one in values}) > 1]
    return replace(
        jobs[0],
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
