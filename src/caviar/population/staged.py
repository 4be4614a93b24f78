"""How is a training carried out whose settings change on the way? Each stage goes on where the last one ended."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import reduce

import xarray as xr

from caviar.population.job import Job, Monitor, Trained, named_as
from caviar.population.keep import Keep
from caviar.population.probed import in_turn
from caviar.population.together import train_in_turn


def train_staged(
    trainings: Sequence[Sequence[Job]], monitor: Monitor | None = None, keep: Keep | None = None
) -> list[Trained]:
    """Train several recipes, each in one stage or more, with as few programs per stage as possible.

    Args:
        trainings: Per recipe its stages; each has the same members and begins with the epoch where the one before
            ends.
        monitor: Told of progress, of one population after the other.
        keep: Where the state is kept while they train.

    Returns:
        What training gave per recipe: outputs, scores and states of the last stage, logs and probes of all; what
        each stage before gave stands in `earlier`. Where the monitor has enough of a stage that is asked what it
        says, that is the last one.

    Raises:
        OptionError: A recipe of several stages cannot be trained in parts.
    """
    trained: dict[int, Trained] = {}
    for some in train_staged_in_turn(trainings, monitor, keep):
        trained |= some
    return [trained[i] for i in range(len(trainings))]


def train_staged_in_turn(
    trainings: Sequence[Sequence[Job]],
    monitor: Monitor | None = None,
    keep: Keep | None = None,
    *,
    more: bool = False,
) -> Iterator[dict[int, Trained]]:
    """The same population after population: what is over is there, even if time ends during the next one.

    Args:
        trainings: As above.
        monitor: Told of progress.
        keep: Where the state is kept while they train.
        more: Whether recipes of the same kind are likely to follow.

    Yields:
        What training gave, by the recipes' places.
    """
    parts: list[list[Trained]] = [[] for _ in trainings]
    left = list(range(len(trainings)))
    for stage in range(max(map(len, trainings), default=0)):
        some, left = sorted(left), []
        jobs = [_from(parts[i], trainings[i][stage]) for i in some]
        inside = keep.inside(f"stage-{stage}") if keep is not None and stage else keep
        for trained, _ in train_in_turn(jobs, monitor, inside, more=more):
            over = {}
            for place, one in trained.items():
                i = some[place]
                parts[i].append(one)
                stopped = jobs[place].ask and one.epochs < jobs[place].length
                if stopped or len(parts[i]) == len(trainings[i]):
                    over[i] = reduce(_after, parts[i])
                else:
                    left.append(i)
            if over:
                yield over


def _from(before: Sequence[Trained], job: Job) -> Job:
    return job.going_on(before[-1].ended) if before else job


def _after(before: Trained, now: Trained) -> Trained:
    """Two stages as one training."""
    logs = xr.concat(
        [before.history, named_as(now.history, before.history)],
        "epoch",
        combine_attrs="override",
        join="exact",
    )
    logs.attrs["seconds"] = seconds = before.seconds + now.seconds
    return replace(
        now,
        history=logs,
        seconds=seconds,
        epochs=before.epochs + now.epochs,
        probes=in_turn(before.probes, now.probes, logs),
        earlier=(*before.earlier, before),
    )
