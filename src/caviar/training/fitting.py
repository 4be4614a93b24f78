"""How does a recipe become a job: target encoding, weights, stages, and what its outputs mean?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress

import numpy as np

from caviar.data.dataset import Dataset
from caviar.data.prepare import Prepared
from caviar.population.glance import sketched
from caviar.population.job import Job, Seat, Trained
from caviar.population.probed import seldom_enough
from caviar.population.template import Build
from caviar.recipe.class_weights import weights_by_class
from caviar.recipe.heads import (
    Link,
    given_target,
    link_of,
    network_target,
    of_width,
    output_width,
    predictions,
)
from caviar.recipe.recipe import Recipe, Stage
from caviar.recipe.snapshots import mean_outputs

_ONE_BATCH = 4096


def drawn_again(rows: np.ndarray, seed: int) -> np.ndarray:
    """As many rows, drawn from these with replacement: a bootstrap sample, in the order of its rows."""
    return np.sort(np.random.default_rng(seed).choice(rows, len(rows)))


@dataclass(frozen=True, eq=False)
class Fitting:
    """A recipe turned into a job, with what is needed to read its outputs.

    Attributes:
        job: Its members; of a training in stages the last one.
        earlier: The stages before.
        build: Returns its compiled model.
        link: What the network's outputs are.
        places: The split of each member, and the how-manyth of it that is.
        width: Classes or values that are predicted.
        snapshot_every: As in the recipe.
    """

    job: Job
    earlier: tuple[Job, ...]
    build: Build
    link: Link
    places: list[tuple[int, int]]
    width: int
    snapshot_every: int = 0

    @property
    def stages(self) -> tuple[Job, ...]:
        """Its training, stage by stage; each snapshot ends one."""
        ends = range(self.snapshot_every, self.job.epochs, self.snapshot_every) if self.snapshot_every else ()
        first = [self.job.initial_epoch, *ends]
        last = [*ends, self.job.epochs]
        cut = [replace(self.job, initial_epoch=a, epochs=b) for a, b in zip(first, last, strict=True)]
        return (*self.earlier, *cut)

    def only(self, which: Sequence[bool]) -> "Fitting":
        """Some of the members alone."""
        seats = list(compress(self.job.seats, which))
        return replace(
            self,
            job=replace(self.job, seats=seats),
            earlier=tuple(replace(job, seats=seats) for job in self.earlier),
            places=list(compress(self.places, which)),
        )

    def outputs(self, trained: Trained) -> list[np.ndarray]:
        """What each member says of the rows it was asked about (row, output): the mean of its snapshots."""
        each = zip(*(one.outputs for one in self.snapshots(trained)), strict=True)
        return [mean_outputs(outputs, self.link) for outputs in each]

    def snapshots(self, trained: Trained) -> tuple[Trained, ...]:
        """What training had given whenever a snapshot was taken, the last one at its end."""
        return (*trained.earlier, trained) if self.snapshot_every else (trained,)

    def predictions(self, outputs: np.ndarray) -> np.ndarray:
        """What a member's outputs say: class probabilities (row, class), or values (row, output)."""
        return of_width(predictions(outputs, self.link), self.width)


def make_fitting(
    recipe: Recipe,
    dataset: Dataset,
    x: np.ndarray,
    prepared: Sequence[Prepared],
    seats: list[Seat],
    places: list[tuple[int, int]],
    *,
    ask_fit: bool,
    show: bool,
    probe: bool = False,
) -> Fitting:
    """Match a recipe's model with the data: target encoding, output meaning, job.

    Raises:
        ModelError: The model does not fit the table.
    """
    *before, last = _trained_with(recipe)
    recipe = replace(last.recipe, epochs=last.until)
    n_inputs, row = x.shape[2], dataset.schema.row_shape or x.shape[2]
    x = dataset.schema.shaped(x)
    build = recipe.build(n_inputs, dataset.n_outputs)
    model, look = sketched(build)
    n_classes = len(dataset.schema.classes) if dataset.is_classification else 0
    targets = (
        [prepared[0].target(dataset.target)] if n_classes else [p.target(dataset.target) for p in prepared]
    )
    if all(np.array_equal(targets[0], other) for other in targets[1:]):
        targets = targets[:1]
    width = output_width(model, row)
    if recipe.given and dataset.given is not None:
        y = given_target(dataset.given)[None]
    else:
        y = np.stack([network_target(model, t, dataset.task, n_classes, row) for t in targets])
    rows = max((len(seat.scored) for seat in seats), default=0)
    weight = None if dataset.weight is None else dataset.weight.astype(np.float32)[None]
    if recipe.weighs_classes:
        weight = _by_class(dataset, seats, recipe)
        seats = [replace(seat, weights=seat.split) for seat in seats]
    job = Job(
        build=build,
        x=x,
        y=y,
        weight=weight,
        seats=seats,
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        callbacks=recipe.callbacks,
        show=show,
        validation_batch_size=min(max(rows, 1), _ONE_BATCH),
        ask_fit=ask_fit,
        look=look,
        shuffle=recipe.shuffle,
    )
    if probe:
        job = replace(job, probe=seldom_enough([job]))
    earlier = _earlier(before, job, n_inputs, dataset.n_outputs)
    if earlier:
        job = replace(job, initial_epoch=earlier[-1].epochs)
    return Fitting(
        *(job, earlier, build, link_of(model, dataset.task, width), places),
        n_classes or dataset.n_outputs,
        recipe.snapshot_every,
    )


def _trained_with(recipe: Recipe) -> list[Stage]:
    """The stages of a recipe's training, itself as the last one, but for those that have no epoch."""
    stages: list[Stage] = []
    for stage in (*recipe.stages, Stage(recipe, recipe.epochs)):
        if stage.until > (stages[-1].until if stages else 0):
            stages.append(stage)
    return stages


def _earlier(stages: Sequence[Stage], job: Job, n_inputs: int, n_outputs: int) -> tuple[Job, ...]:
    """The same members under the recipes before this one: nobody asks what they say."""
    jobs: list[Job] = []
    for stage in stages:
        jobs.append(
            replace(
                job,
                build=stage.recipe.build(n_inputs, n_outputs),
                look=None,
                batch_size=stage.recipe.batch_size,
                callbacks=stage.recipe.callbacks,
                shuffle=stage.recipe.shuffle,
                initial_epoch=jobs[-1].epochs if jobs else 0,
                epochs=stage.until,
                ask=False,
                ask_fit=False,
            )
        )
    return tuple(jobs)


def _by_class(dataset: Dataset, seats: Sequence[Seat], recipe: Recipe) -> np.ndarray:
    """Weights (split, row) by class: as given, of given proportions, or so that classes count the same.

    But for weights as given, the rows that a split trains on count one on average. As with `class_weight` in `fit`,
    rows that are watched or scored keep their weight.
    """
    own = np.ones(dataset.n_rows) if dataset.weight is None else dataset.weight
    weights = np.tile(own, (max(seat.split for seat in seats) + 1, 1))
    costs = recipe.class_costs
    for split, rows in {seat.split: seat.fit for seat in seats}.items():
        if recipe.class_factors:
            given = dataset.target if dataset.given is None else dataset.given
            weights[split, rows] *= weights_by_class(given[rows], dict(recipe.class_factors))
            continue
        totals = np.bincount(dataset.target[rows], weights=own[rows], minlength=len(dataset.schema.classes))
        there = totals > 0
        share = np.asarray(costs) if len(costs) else np.where(there, 1 / np.where(there, totals, 1), 0)
        weights[split, rows] *= (share * totals.sum() / (share * totals).sum())[dataset.target[rows]]
    return weights.astype(np.float32)
