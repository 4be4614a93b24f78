"""How good a recipe is: trained on every split, scored on the rows that were held out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import xarray as xr

from caviar.data.dataset import Dataset
from caviar.data.prepare import PreparationPlan, Prepared, fit_preparation
from caviar.data.split import Split, inner_split
from caviar.evaluate.intervals import mean_estimate
from caviar.evaluate.metrics import Metric
from caviar.evaluate.threshold import best_threshold, held_out_thresholds, moved
from caviar.measuring.blend import said_beside
from caviar.measuring.networks import Networks, Place, heard, together, training_of
from caviar.population.begun import why_not
from caviar.population.job import Ended, Job, Monitor, Seat, Trained
from caviar.population.keep import Keep
from caviar.population.staged import train_staged, train_staged_in_turn
from caviar.population.template import sketch
from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable
from caviar.run.record import ArmRecord
from caviar.training.fitting import Fitting, drawn_again, make_fitting

WATCH_SHARE = 0.2
"""Share of a fold's training rows that `val_*` callbacks watch; never the scored rows."""


@dataclass(frozen=True, eq=False)
class Bench:
    """What all recipes are measured on: the same rows, splits, seeds and scores.

    Attributes:
        dataset: The table.
        splits: In order of repeat, then fold.
        metric: The score that decides.
        shown: Scores shown beside it.
        seed: Where the members' seeds start.
        spread: How members are spread over a step (`Job.spread`).
        numbers: Of a bench that is a part of another: places of the splits there.
    """

    dataset: Dataset
    splits: Sequence[Split]
    metric: Metric
    shown: Sequence[Metric]
    seed: int = 0
    spread: str = "auto"
    numbers: Sequence[int] = ()
    _prepared: dict[PreparationPlan, tuple[Prepared, ...]] = field(default_factory=dict, init=False)
    _inputs: dict[PreparationPlan, np.ndarray] = field(default_factory=dict, init=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Repeats and folds."""
        return self.splits[-1].repeat + 1, self.splits[-1].fold + 1

    @property
    def test_share(self) -> float:
        """Held-out rows divided by training rows, averaged over the splits."""
        return float(np.mean([len(s.held_out) / len(s.train) for s in self.splits]))

    def seed_of(self, split: int, k: int) -> int:
        """The seed of the k-th member of a split: the same for every recipe, so that differences are paired."""
        return self.seed + 1 + 1000 * self.number(split) + k

    def number(self, split: int) -> int:
        """The place of a split in the whole bench."""
        return self.numbers[split] if self.numbers else split

    def of_folds(self, first: int, stop: int) -> "Bench":
        """A bench of some folds of every repeat, whose members have the same seeds as here."""
        places = [i for i, split in enumerate(self.splits) if first <= split.fold < stop]
        return self._of(places, [replace(self.splits[i], fold=self.splits[i].fold - first) for i in places])

    def of_repeats(self, first: int, stop: int) -> "Bench":
        """The same of some repeats."""
        places = [i for i, split in enumerate(self.splits) if first <= split.repeat < stop]
        return self._of(
            places, [replace(self.splits[i], repeat=self.splits[i].repeat - first) for i in places]
        )

    def _of(self, places: Sequence[int], splits: Sequence[Split]) -> "Bench":
        return replace(self, splits=splits, numbers=[self.number(i) for i in places])

    def prepared(self, plan: PreparationPlan) -> tuple[Prepared, ...]:
        """The preparation fitted on each split's training rows; kept, because recipes share plans."""
        if plan not in self._prepared:
            data = self.dataset
            self._prepared[plan] = tuple(
                fit_preparation(
                    data.schema, plan, data.features, data.target, rows=split.train, weight=data.weight
                )
                for split in self.splits
            )
        return self._prepared[plan]

    def inputs(self, plan: PreparationPlan) -> np.ndarray:
        """Inputs of all rows under each split's preparation, float32 (split, row, input); kept likewise.

        The first axis has length one where all splits agree.
        """
        if plan not in self._inputs:
            first, *others = [prepared.inputs(self.dataset.features) for prepared in self.prepared(plan)]
            agree = all(np.array_equal(first, other) for other in others)
            self._inputs[plan] = first[None] if agree else np.stack([first, *others])
        return self._inputs[plan]

    def inputs_of(self, plan: PreparationPlan, split: int) -> np.ndarray:
        """Inputs of all rows under one split's preparation, float32 (row, input)."""
        inputs = self.inputs(plan)
        return inputs[split if len(inputs) > 1 else 0]


@dataclass(frozen=True, eq=False)
class Arm:
    """A recipe as it was measured.

    Attributes:
        recipe: What was trained.
        record: The numbers for the report.
        scores: By metric, (repeat, fold); NaN where training failed.
        history: Curves of all members.
        each: Deciding score (repeat, fold, seed) of single networks; of an ensemble as a whole.
        seed_scores: Deciding score of the first repeat by (fold, seed), where several seeds were trained.
        fit_scores: Deciding score on the training rows (repeat, fold), where asked for.
        row_losses: Out-of-fold loss of each row, averaged over repeats, for metrics that are means of losses.
        oof: Out-of-fold predictions (repeat, row, class or output); NaN for rows never held out.
        seed_oof: Out-of-fold predictions (seed, row, …) of the first repeat, where several seeds were trained.
        failed: Which members gave numbers that are not finite (member,).
        fixed: Variables whose seed the builder fixed.
        seconds: What it took.
        steps: Gradient steps of all members together.
        probes: What went on inside the members, where asked for.
        one_class: Which members predict one class for all held-out rows (member,); None for quantities.
        sample: Inputs and targets of the rows, as the network gets them.
        states: In what state each member ended, where asked for.
        networks: What its networks say by themselves, where others may build on them (`measure_all`).
    """

    recipe: Recipe
    record: ArmRecord
    scores: dict[str, np.ndarray]
    history: xr.Dataset
    each: np.ndarray
    seed_scores: np.ndarray | None
    fit_scores: np.ndarray | None
    row_losses: np.ndarray | None
    oof: np.ndarray
    seed_oof: np.ndarray | None
    failed: np.ndarray
    fixed: tuple[str, ...] = ()
    seconds: float = 0.0
    steps: int = 0
    probes: xr.Dataset | None = None
    one_class: np.ndarray | None = None
    sample: tuple[np.ndarray, np.ndarray] | None = None
    states: Ended | None = None
    networks: Networks | None = None


@dataclass(frozen=True, eq=False)
class Part:
    """A part of a recipe's training, after which somebody may go on.

    Attributes:
        until: The last epoch of it.
        after: Epochs that count as done.
        begun: In what state each member was after those; None to begin with first weights.
    """

    until: int
    after: int = 0
    begun: Ended | None = None


def seats_for(bench: Bench, recipe: Recipe, seeds: Sequence[int]) -> tuple[list[Seat], list[tuple[int, int]]]:
    """One seat per split and seed; `seeds[i]` is how many seeds split i gets. Places are (split, k)."""
    seats, places = [], []
    for i, split in enumerate(bench.splits):
        fit, watch = split.train, split.train[:0]
        if recipe.watches:
            fit, watch = inner_split(bench.dataset, split.train, fraction=WATCH_SHARE, seed=bench.seed)
        for k in range(seeds[i]):
            seed = bench.seed_of(i, k)
            rows = drawn_again(fit, seed) if recipe.bootstrap else fit
            seats.append(Seat(split.repeat, split.fold, seed, i, rows, watch, split.held_out))
            places.append((i, k))
    return seats, places


def measure(
    bench: Bench,
    recipe: Recipe,
    *,
    first_repeat_seeds: int = 1,
    seeds: int = 1,
    ask_fit: bool = False,
    show: bool = True,
    probe: bool = False,
    monitor: Monitor | None = None,
    keep: Keep | None = None,
    what: str = "",
    source: str = "",
) -> Arm:
    """Train a recipe on every split of a bench and score it on the held-out rows.

    Args:
        bench: Rows, splits, seeds and scores.
        recipe: What to train; an ensemble trains so many seeds on every split and averages predictions.
        first_repeat_seeds: Seeds per fold in the first repeat, to tell seed from split.
        seeds: Seeds per fold in all repeats.
        ask_fit: Also score the training rows.
        show: Record the held-out rows' curves.
        probe: Look inside the members while they train.
        monitor: Told of progress; may stop by raising, or end the training after fewer epochs, which are then
            the recipe's.
        keep: Where the state is kept while it trains.
        what: What the recipe does, for the report.
        source: Where the idea comes from.
    """
    most = [
        max(recipe.ensemble, seeds, first_repeat_seeds if split.repeat == 0 else 1) for split in bench.splits
    ]
    fitting = _fitting(bench, recipe, most, ask_fit=ask_fit, show=show, probe=probe)
    networks = _heard(bench, recipe, fitting, train_staged([fitting.stages], monitor, keep)[0])
    arm = _arm(bench, recipe, fitting, networks, (first_repeat_seeds, seeds), what, source)
    return replace(arm, networks=networks)


def measure_all(
    bench: Bench,
    recipes: Sequence[Recipe],
    *,
    first_repeat_seeds: int = 1,
    seeds: int = 1,
    ask_fit: bool = False,
    show: bool = True,
    monitor: Monitor | None = None,
    keep: Keep | None = None,
    what: Sequence[str],
    sources: Sequence[str],
    known: Arm | None = None,
) -> list[Arm]:
    """Several recipes on the same bench; those that differ only in numbers train as one population.

    Those that differ only in what predicts beside their networks are trained once, and networks that are known are
    not trained again.

    Args:
        bench: Rows, splits, seeds and scores.
        recipes: What to train.
        first_repeat_seeds: Seeds per fold in the first repeat, as in `measure`.
        seeds: Seeds per fold; an ensemble has as many as it needs.
        ask_fit: Also score the training rows.
        show: Record the held-out rows' curves.
        monitor: Told of progress.
        keep: Where the state is kept while they train.
        what: What each recipe does, for the report.
        sources: Where each idea comes from.
        known: A recipe that `measure` measured on this bench, or on one of which it is a part.
    """
    alike = [(training_of(one), one.ensemble) for one in recipes]
    first = [alike.index(one) for one in alike]
    kept = sorted(set(first))
    fittings = _fittings(
        bench, [recipes[i] for i in kept], (first_repeat_seeds, seeds), ask_fit=ask_fit, show=show
    )
    networks = _trained(bench, [recipes[i] for i in kept], fittings, known, monitor, keep)
    places = [kept.index(i) for i in first]
    return [
        _arm(bench, recipe, fittings[place], networks[place], (first_repeat_seeds, seeds), said, source)
        for recipe, place, said, source in zip(recipes, places, what, sources, strict=True)
    ]


def _trained(
    bench: Bench,
    recipes: Sequence[Recipe],
    fittings: Sequence[Fitting],
    known: Arm | None,
    monitor: Monitor | None,
    keep: Keep | None,
) -> list[Networks]:
    """The networks of some recipes, of which only those are trained that are not known."""
    there = [_known(bench, *both, known) for both in zip(recipes, fittings, strict=True)]
    left = [
        fitting
        if some is None
        else fitting.only([place not in some.places for place in _places(bench, fitting)])
        for fitting, some in zip(fittings, there, strict=True)
    ]
    trained = iter(train_staged([some.stages for some in left if some.places], monitor, keep))
    networks = []
    for recipe, fitting, some, rest in zip(recipes, fittings, there, left, strict=True):
        new = _heard(bench, recipe, rest, next(trained)) if rest.places else None
        whole = (
            together(_places(bench, fitting), some, new)
            if some is not None and new is not None
            else some or new
        )
        assert whole is not None
        networks.append(whole)
    return networks


def _known(bench: Bench, recipe: Recipe, fitting: Fitting, known: Arm | None) -> Networks | None:
    """Those of a recipe's networks that another one has trained; None if there are none."""
    networks = networks_for(recipe, known)
    if networks is None:
        return None
    job = fitting.job
    both = list(zip(_places(bench, fitting), job.seats, strict=True))
    some = [(p, seat) for p, seat in both if networks.knows(p, seat, ask_fit=job.ask_fit, show=job.show)]
    return networks.at(*map(list, zip(*some, strict=True)), show=job.show) if some else None


def networks_for(recipe: Recipe, known: Arm | None) -> Networks | None:
    """The networks of another recipe that may stand for a recipe's own; None where they are trained otherwise."""
    if known is None or training_of(known.recipe) != training_of(recipe):
        return None
    return known.networks


def _places(bench: Bench, fitting: Fitting) -> list[Place]:
    """Of each member its split, as the whole bench counts, and the how-manyth of it it is."""
    return [(bench.number(split), k) for split, k in fitting.places]


def _heard(bench: Bench, recipe: Recipe, fitting: Fitting, trained: Trained) -> Networks:
    return heard(fitting, trained, _places(bench, fitting), bench.prepared(recipe.preparation))


def measure_in_turn(
    bench: Bench,
    recipes: Sequence[Recipe],
    monitor: Monitor | None = None,
    parts: Sequence[Part] | None = None,
) -> Iterator[dict[int, Arm]]:
    """The same with one seed per fold, population after population: what is over is there if time ends meanwhile.

    Made for searches, in which other recipes of the same kind follow.

    Args:
        bench: Rows, splits, seeds and scores.
        recipes: What to train.
        monitor: Told of progress.
        parts: Which part of its training each recipe is given, if not all; arms then keep their states.

    Yields:
        Measured recipes by their places, of those that trained together.
    """
    fittings = _fittings(bench, recipes, (1, 1), ask_fit=False, show=False)
    stages: list[Sequence[Job]] = [fitting.stages for fitting in fittings]
    if parts is not None:
        stages = [_part_of(jobs, part) for jobs, part in zip(stages, parts, strict=True)]
    for trained in train_staged_in_turn(stages, monitor, more=True):
        arms = {}
        for i, one in trained.items():
            networks = _heard(bench, recipes[i], fittings[i], one)
            arms[i] = _arm(bench, recipes[i], fittings[i], networks, (1, 1), "", "")
        yield (
            arms if parts is None else {i: replace(arms[i], states=one.ended) for i, one in trained.items()}
        )


def jobs_for(
    bench: Bench, recipes: Sequence[Recipe], *, first_repeat_seeds: int = 1, seeds: int = 1
) -> list[Job]:
    """What measuring would train for each recipe, in its first stage.

    Args:
        bench: Rows, splits and seeds.
        recipes: What would be trained.
        first_repeat_seeds: As in `measure`.
        seeds: Likewise.
    """
    fittings = _fittings(bench, recipes, (first_repeat_seeds, seeds), ask_fit=False, show=False)
    return [fitting.job for fitting in fittings]


def _fittings(
    bench: Bench, recipes: Sequence[Recipe], seeds: tuple[int, int], *, ask_fit: bool, show: bool
) -> list[Fitting]:
    """What is to be trained for each recipe; equal targets are one array, so that recipes can share a program.

    Seeds are those per fold in the first repeat, and in all; an ensemble has its own number instead of the second.
    """
    fittings: list[Fitting] = []
    first, others = seeds
    for recipe in recipes:
        each = recipe.ensemble if recipe.ensemble > 1 else others
        most = [max(each, first if split.repeat == 0 else 1) for split in bench.splits]
        fitting = _fitting(bench, recipe, most, ask_fit=ask_fit, show=show, probe=False)
        same = next((f.job.y for f in fittings if _equal(f.job.y, fitting.job.y)), fitting.job.y)
        fittings.append(replace(fitting, job=replace(fitting.job, y=same)))
    return fittings


def _part_of(jobs: Sequence[Job], part: Part) -> list[Job]:
    """The stages of a part: those that are not done yet, up to its last epoch."""
    left = [job for job in jobs if job.epochs > part.after and job.initial_epoch < part.until]
    left[0] = replace(left[0], initial_epoch=part.after)
    left[0] = left[0] if part.begun is None else left[0].going_on(part.begun)
    left[-1] = replace(left[-1], epochs=min(left[-1].epochs, part.until), ask=True)
    return left


def try_building(bench: Bench, recipe: Recipe) -> None:
    """Build a recipe's model once, to see whether it can be built for this table.

    Raises:
        ModelError: It cannot, or does not fit the table.
        NotApplicable: A remedy finds nothing to change in it, or nothing that the score would see.
    """
    if recipe.tunes_threshold:
        if not bench.metric.judges_decisions:
            raise NotApplicable(
                f"{bench.metric.title} judges probabilities, and a threshold changes decisions"
            )
        if bench.dataset.time is not None:
            raise NotApplicable(
                "rows are in order of time, so that later ones would decide about earlier ones"
            )
    model = sketch(recipe.build(bench.inputs(recipe.preparation).shape[2], bench.dataset.n_outputs))
    if recipe.snapshot_every and (why := why_not(recipe.callbacks, model)):
        raise NotApplicable(f"each snapshot begins another part of the training, and {why}")


def _equal(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and bool(np.array_equal(one, other))


def _fitting(
    bench: Bench, recipe: Recipe, seeds: Sequence[int], *, ask_fit: bool, show: bool, probe: bool
) -> Fitting:
    seats, places = seats_for(bench, recipe, seeds)
    fitting = make_fitting(
        recipe,
        bench.dataset,
        bench.inputs(recipe.preparation),
        bench.prepared(recipe.preparation),
        seats,
        places,
        ask_fit=ask_fit,
        show=show,
        probe=probe,
    )
    return replace(fitting, job=replace(fitting.job, spread=bench.spread))


def _arm(
    bench: Bench,
    recipe: Recipe,
    fitting: Fitting,
    networks: Networks,
    seeds: tuple[int, int],
    what: str,
    source: str,
) -> Arm:
    data = bench.dataset
    if networks.epochs < recipe.epochs:
        recipe = replace(recipe, epochs=networks.epochs)
    said: dict[tuple[int, int], np.ndarray] = {}
    fitted: dict[int, np.ndarray] = {}
    beside = [
        said_beside(recipe, data, bench.inputs_of(recipe.preparation, i), split.train)
        for i, split in enumerate(bench.splits)
    ]
    for place, seat, values, own in zip(
        fitting.places, fitting.job.seats, networks.held_out, networks.fitted, strict=True
    ):
        said[place] = np.mean([values, *(one[seat.scored] for one in beside[seat.split])], axis=0)
        if own is not None and fitting.job.ask_fit:
            fitted[place[0]] = np.mean([own, *(one[seat.fit] for one in beside[seat.split])], axis=0)
    ensembles = [
        np.mean([said[i, k] for k in range(recipe.ensemble)], axis=0) for i in range(len(bench.splits))
    ]
    threshold, ensembles = (
        _at_thresholds(bench, said, ensembles, fitted) if recipe.tunes_threshold else (None, ensembles)
    )
    scores = {metric.name: _by_fold(bench, metric, ensembles) for metric in (bench.metric, *bench.shown)}
    recipe = replace(recipe, class_errors=_errors_by_class(bench, ensembles))
    repeats, folds = bench.shape
    width = ensembles[0].shape[1]
    oof = np.full((repeats, data.n_rows, width), np.nan)
    for split, values in zip(bench.splits, ensembles, strict=True):
        oof[split.repeat, split.held_out] = values
    seed_scores = seed_oof = None
    first, others = seeds
    if first > 1:
        seed_scores = np.full((folds, first), np.nan)
        seed_oof = np.full((first, data.n_rows, width), np.nan)
        for (i, k), values in said.items():
            split = bench.splits[i]
            if split.repeat == 0 and k < first:
                seed_scores[split.fold, k] = _score(bench, bench.metric, split.held_out, values)
                seed_oof[k, split.held_out] = values
    fit_scores = None
    if fitted:
        fit_scores = np.full((repeats, folds), np.nan)
        for i, values in fitted.items():
            seat = fitting.job.seats[fitting.places.index((i, 0))]
            split = bench.splits[i]
            fit_scores[split.repeat, split.fold] = _score(bench, bench.metric, seat.fit, values)
    failed = np.array([not np.isfinite(values).all() for values in said.values()])
    return Arm(
        recipe=recipe,
        record=_record(bench, recipe, networks, scores, int(failed.sum()), what, source).model_copy(
            update={"threshold": threshold}
        ),
        scores=scores,
        history=networks.history,
        each=_each(bench, said, scores[bench.metric.name], 1 if recipe.ensemble > 1 else others),
        seed_scores=seed_scores,
        fit_scores=fit_scores,
        row_losses=_row_losses(bench, oof),
        oof=oof,
        seed_oof=seed_oof,
        failed=failed,
        fixed=networks.fixed,
        seconds=networks.seconds,
        steps=replace(fitting.job, epochs=networks.epochs).steps(),
        probes=networks.probes,
        one_class=(
            np.array([len(set(values.argmax(axis=1))) == 1 for values in said.values()])
            if data.is_classification
            else None
        ),
        sample=(fitting.job.x[0], fitting.job.y[0]),
    )


def _at_thresholds(
    bench: Bench,
    said: dict[tuple[int, int], np.ndarray],
    ensembles: list[np.ndarray],
    fitted: dict[int, np.ndarray],
) -> tuple[float, list[np.ndarray]]:
    """Move all probabilities such that one half is the threshold that is best on the other folds.

    Args:
        bench: Rows, splits and the score.
        said: By (split, seed), single networks' probabilities of the held-out rows; changed in place.
        ensembles: By split, what is scored.
        fitted: By split, probabilities of the training rows; changed in place.

    Returns:
        The threshold that is best on all rows, averaged over repeats; and what is scored, moved.
    """
    target, weight, metric = bench.dataset.target, bench.dataset.weight, bench.metric
    repeats, folds = bench.shape
    whole, scored = [], list(ensembles)
    for repeat in range(repeats):
        splits = range(repeat * folds, (repeat + 1) * folds)
        rows = [bench.splits[i].held_out for i in splits]
        thresholds = held_out_thresholds(target, weight, rows, [ensembles[i] for i in splits], metric)
        for i, threshold in zip(splits, thresholds, strict=True):
            scored[i] = moved(ensembles[i], threshold)
            if i in fitted:
                fitted[i] = moved(fitted[i], threshold)
        seen = np.concatenate(rows)
        every = np.concatenate([ensembles[i] for i in splits])
        whole.append(best_threshold(target[seen], every, None if weight is None else weight[seen], metric))
        for k in range(sum(i == splits[0] for i, _ in said)):
            own = held_out_thresholds(target, weight, rows, [said[i, k] for i in splits], metric)
            for i, threshold in zip(splits, own, strict=True):
                said[i, k] = moved(said[i, k], threshold)
    return float(np.mean(whole)), scored


def _errors_by_class(bench: Bench, by_split: list[np.ndarray]) -> tuple[float, ...]:
    """Share of the held-out rows of each class that are predicted wrong; 0 for a class that was never held out."""
    if not bench.dataset.is_classification:
        return ()
    rows = np.concatenate([split.held_out for split in bench.splits])
    target = bench.dataset.target[rows]
    weight = None if bench.dataset.weight is None else bench.dataset.weight[rows]
    wrong = np.concatenate([values.argmax(axis=1) for values in by_split]) != target
    own = np.ones(len(rows)) if weight is None else weight
    every, missed = (
        np.bincount(target, weights=counted, minlength=len(bench.dataset.schema.classes))
        for counted in (own, own * wrong)
    )
    return tuple((missed / np.where(every > 0, every, 1)).tolist())


def _each(
    bench: Bench, said: dict[tuple[int, int], np.ndarray], scores: np.ndarray, seeds: int
) -> np.ndarray:
    """Deciding score (repeat, fold, seed) of every network by itself, or, of one, the scores (repeat, fold)."""
    if seeds == 1:
        return scores[:, :, None]
    each = np.full((*bench.shape, seeds), np.nan)
    for (i, k), values in said.items():
        split = bench.splits[i]
        if k < seeds:
            each[split.repeat, split.fold, k] = _score(bench, bench.metric, split.held_out, values)
    return each


def _score(bench: Bench, metric: Metric, rows: np.ndarray, values: np.ndarray) -> float:
    weight = None if bench.dataset.weight is None else bench.dataset.weight[rows]
    return metric.score(bench.dataset.target[rows], values, weight)


def _by_fold(bench: Bench, metric: Metric, by_split: list[np.ndarray]) -> np.ndarray:
    scores = np.full(bench.shape, np.nan)
    for split, values in zip(bench.splits, by_split, strict=True):
        scores[split.repeat, split.fold] = _score(bench, metric, split.held_out, values)
    return scores


def _row_losses(bench: Bench, oof: np.ndarray) -> np.ndarray | None:
    """Mean loss of each row over the repeats in which it was held out; None where the metric has no such thing."""
    if bench.metric.row_losses is None:
        return None
    target = bench.dataset.target
    losses = []
    for values in oof:
        held = ~np.isnan(values).all(axis=1)
        row = np.full(len(target), np.nan)
        row[held] = bench.metric.row_losses(target[held], values[held])
        losses.append(row)
    return np.mean(losses, axis=0)


def _record(
    bench: Bench,
    recipe: Recipe,
    networks: Networks,
    scores: dict[str, np.ndarray],
    failed: int,
    what: str,
    source: str,
) -> ArmRecord:
    deciding = scores[bench.metric.name]
    by_repeat = deciding.mean(axis=1)
    return ArmRecord(
        name=recipe.name,
        title=recipe.title,
        what=what,
        changes=dict(recipe.changes),
        source=source,
        members=len(networks.places),
        failed_members=failed,
        scores={
            metric.name: mean_estimate(
                scores[metric.name], bench.test_share, n_rows=bench.dataset.n_rows, bounds=metric.bounds
            )
            for metric in (bench.metric, *bench.shown)
        },
        fold_scores=deciding.tolist(),
        repeat_deviation=float(by_repeat.std(ddof=1)) if len(by_repeat) > 1 else None,
        engine=networks.engine,
        seconds=networks.seconds,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        parameters=networks.parameters,
        class_errors=list(recipe.class_errors),
    )
