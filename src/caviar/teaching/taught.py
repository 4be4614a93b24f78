"""A lesson's variants trained side by side, as populations of all seeds and folds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from caviar.errors import CaviarError
from caviar.population.job import Job, MemberValues, Monitor, Seat, Trained
from caviar.population.template import Build, build_alone, variables
from caviar.population.together import train_together
from caviar.population.train import NotTogether, train
from caviar.recipe.builder import call_with
from caviar.teaching.contract import Data, Lesson, Split, Variant
from caviar.teaching.seen import Lab, Seen, Training
from caviar.teaching.timing import in_turns, one_after_the_other
from caviar.training.history import Member, make_history

_FEWEST_EPOCHS = 5
_MOST_WATCHED = 4096


def teach(
    lesson: Lesson,
    data: Data | None,
    seeds: Sequence[int],
    data_dir: Path | None,
    monitor: Monitor,
    *,
    share: float = 1.0,
) -> Seen:
    """Train all variants of a lesson, and try what else it tries.

    Args:
        lesson: What is taught.
        data: Its rows, or a person's own; None for a lesson without.
        seeds: Seeds of the trainings, the same for every variant.
        data_dir: Folder of tables that a person named.
        monitor: Told of progress.
        share: Share of each variant's epochs that is trained: for a quick look, not for verdicts.

    Raises:
        CaviarError: A model cannot be built or trained on these rows.
    """

    def train(*variants: Variant, data: Data | None = data, seeds: Sequence[int] = seeds) -> Seen:
        short = [replace(one, epochs=_some(one.epochs, share)) for one in variants]
        return Seen(data, seeds, train_variants(short, data, seeds, monitor))

    def seconds_in_turns(*timed: Variant, **how: int) -> np.ndarray:
        return in_turns([_one_epoch(variant, _needed(data)) for variant in timed], **how)

    seen = train(*lesson.variants)
    if lesson.also is None:
        return seen
    return replace(seen, values=lesson.also(Lab(data, seeds, data_dir, train, seconds_in_turns), seen))


def train_variants(
    variants: Sequence[Variant], data: Data | None, seeds: Sequence[int], monitor: Monitor
) -> dict[str, Training]:
    """What each variant showed, by name: those that differ only in numbers train as one population.

    Variants that go on from others train after those, each after the first that is there.
    """
    if not variants:
        return {}
    rows = _needed(data)
    trained: dict[str, Training] = {}
    waiting = list(variants)
    while waiting:
        wave = [one for one in waiting if not isinstance(one.after, str) or one.after in ("", *trained)]
        if not wave:
            names = ", ".join(str(one.after) for one in waiting)
            raise CaviarError(
                f"Expected variants to go on from ones trained with them, got {names}. Name those."
            )
        trained |= _train_wave(wave, rows, seeds, trained, monitor)
        waiting = [one for one in waiting if one.name not in trained]
    return {variant.name: trained[variant.name] for variant in variants}


def _train_wave(
    variants: Sequence[Variant],
    rows: Data,
    seeds: Sequence[int],
    before: Mapping[str, Training],
    monitor: Monitor,
) -> dict[str, Training]:
    arrays: dict[object, np.ndarray] = {}
    jobs, splits = [], []
    for variant in variants:
        splits.append(_splits(variant, rows))
        kept = (variant.prepare, variant.rows)
        if kept not in arrays:
            arrays[kept] = _inputs(variant, rows, splits[-1])
        job = _job(variant, rows, arrays[kept], splits[-1], seeds if variant.seeds is None else variant.seeds)
        after = before[variant.after] if isinstance(variant.after, str) and variant.after else variant.after
        jobs.append(replace(job, begun=_begun(job, after, variant.carried)) if after else job)
    # Numbers that a variant gives its members are its own population; the others share what they can.
    shared = [job for job in jobs if not job.numbers]
    together = iter(train_together(shared, monitor)[0])
    trained = [_by_itself(job, monitor) if job.numbers else next(together) for job in jobs]
    return {
        variant.name: _training(variant, job, one, some, len(job.seats) // len(some))
        for variant, job, one, some in zip(variants, jobs, trained, splits, strict=True)
    }


def _by_itself(job: Job, monitor: Monitor) -> Trained:
    try:
        return train(job, monitor)
    except NotTogether as why:
        raise CaviarError(
            f"Expected numbers that members of one program can have for themselves, but {why}. Name others."
        ) from why


def _begun(job: Job, after: "Training | str", carried: Sequence[str]) -> list[MemberValues]:
    """States to begin with: those of other members, or first weights with some layers of theirs."""
    assert not isinstance(after, str)
    members = [member for folds in after.members for member in folds]
    if len(members) != len(job.seats):
        raise CaviarError(
            f"Expected to go on from as many trainings as there are, got {len(members)} for {len(job.seats)}. "
            f"Give both the same seeds and folds."
        )
    return [_state(job, seat, member, carried) for seat, member in zip(job.seats, members, strict=True)]


def _state(job: Job, seat: Seat, member: Member, carried: Sequence[str]) -> MemberValues:
    if not carried:
        return member.state
    source, model = member.model(), build_alone(job.build, job.sample(), seat.seed)
    for name in carried:
        model.get_layer(name).set_weights(source.get_layer(name).get_weights())
    trainable, others, optimizer = (
        [np.asarray(variable) for variable in group] for group in variables(model)[:3]
    )
    return trainable, others, optimizer


def fit_seconds(variant: Variant, data: Data, times: int) -> np.ndarray:
    """Seconds of an epoch of Keras' own `fit` on the first split (time,); the first compiles."""
    return one_after_the_other(_one_epoch(variant, data), times + 1)


def _one_epoch(variant: Variant, data: Data) -> Callable[[], object]:
    """Trains a model of a variant for another epoch, by Keras' own `fit` on the first split."""
    splits = _splits(variant, data)
    job = _job(variant, data, _inputs(variant, data, splits), splits, [0])
    x, y = job.rows(0, job.seats[0].fit, weighed=False)
    model = build_alone(job.build, job.sample(), 0)
    return partial(model.fit, x, y, batch_size=job.batch_size, epochs=1, verbose=0)


def _some(epochs: int, share: float) -> int:
    return epochs if share == 1 else max(_FEWEST_EPOCHS, round(share * epochs))


def _needed(data: Data | None) -> Data:
    if data is None:
        raise CaviarError("Expected rows to train on, got none. Give the lesson data.")
    return data


def _splits(variant: Variant, data: Data) -> list[Split]:
    if variant.rows is None:
        return list(data.splits)
    seen = variant.rows(data)
    return [(train[seen[train]], test[seen[test]]) for train, test in data.splits]


def _inputs(variant: Variant, data: Data, splits: Sequence[Split]) -> np.ndarray:
    """Inputs under each split's preparation (split, row, feature); one for all where rows stay as they are."""
    if variant.prepare is None:
        return data.x[None].astype(np.float32)
    return np.stack(
        [np.asarray(variant.prepare().fit(data.x[train]).transform(data.x)) for train, _ in splits]
    ).astype(np.float32)


def _job(variant: Variant, data: Data, x: np.ndarray, splits: Sequence[Split], seeds: Sequence[int]) -> Job:
    seats = [
        Seat(0, fold, seed, fold, train, test, test)
        for seed in seeds
        for fold, (train, test) in enumerate(splits)
    ]
    return Job(
        build=_build(variant, x.shape[2], data.outputs),
        x=x,
        y=_targets(data),
        weight=_weights(variant, data),
        seats=seats,
        batch_size=variant.batch_size or max(len(train) for train, _ in splits),
        epochs=variant.epochs,
        callbacks=variant.callbacks,
        # Watching changes nothing in training, and few large batches are quicker than many small ones.
        validation_batch_size=min(max(len(test) for _, test in splits), _MOST_WATCHED),
        ask_fit=True,
        probe=variant.probe,
        numbers={key: [value for value in values for _ in splits] for key, values in variant.numbers.items()},
        weighs_watched=False,
        weighs_scored=False,
    )


@lru_cache(maxsize=4)
def _targets(data: Data) -> np.ndarray:
    """Targets (1, row, output) as losses take them: whole numbers for classes that have an output each.

    The same array each time, because only recipes that share their rows train as one population.
    """
    y = data.y if data.y.ndim > 1 else data.y[:, None]
    return y[None].astype(np.int32 if data.classes > 2 else np.float32)


def _weights(variant: Variant, data: Data) -> np.ndarray | None:
    if variant.class_weight is None:
        return None
    given = variant.class_weight(data) if callable(variant.class_weight) else variant.class_weight
    weights = np.array([given.get(k, 1.0) for k in range(data.classes)])
    return weights[data.y.astype(int).ravel()][None].astype(np.float32)


def _build(variant: Variant, n_inputs: int, n_outputs: int) -> Build:
    def build() -> keras.Model:
        model: keras.Model = call_with(variant.build, n_inputs, n_outputs)
        return model

    return build


def _training(variant: Variant, job: Job, trained: Trained, splits: Sequence[Split], seeds: int) -> Training:
    folds = len(splits)

    def by_seed(values: Sequence[Any]) -> list[list[Any]]:
        return [list(values[i * folds : (i + 1) * folds]) for i in range(seeds)]

    history = make_history([(variant.name, job, trained)], 1, trained.seconds, "")
    tested = [len(test) for _, test in splits] * seeds
    outputs = [np.asarray(output, np.float32).reshape(len(output), -1) for output in trained.outputs]
    return Training(
        variant,
        {
            str(name): values.values.reshape(seeds, folds, -1)
            for name, values in trained.history.data_vars.items()
        },
        {
            "test": by_seed([output[:n] for output, n in zip(outputs, tested, strict=True)]),
            "train": by_seed([output[n:] for output, n in zip(outputs, tested, strict=True)]),
        },
        splits,
        by_seed(history.members),
        job.steps() / max(1, len(job.seats) * job.length),
        trained.seconds,
        trained.probes,
        trained.why,
    )
