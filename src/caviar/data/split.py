"""Which rows train and which are held out."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, TimeSeriesSplit

from caviar.data.dataset import Dataset
from caviar.errors import DataError, OptionError


@dataclass(frozen=True, eq=False)
class Split:
    """One fold of one repeat: row indices int32, ascending.

    Attributes:
        repeat: Which shuffle of the rows, from 0.
        fold: Which part is held out, from 0.
        train: The rows that train.
        held_out: The rows that are scored.
    """

    repeat: int
    fold: int
    train: np.ndarray
    held_out: np.ndarray


def make_splits(dataset: Dataset, folds: int, repeats: int, seed: int) -> list[Split]:
    """Repeated k-fold that respects classes, identical rows, groups and time; ordered by repeat, then fold.

    - Plain rows: shuffled; every class is spread evenly over the folds, and rows with identical inputs stay
      in one fold. Folds differ by at most one row wherever the sets of identical rows allow it, because every
      distinct number of training rows is one more program to compile.
    - Groups: a group stays in one fold; identical rows of different groups may part, since joining all groups
      that share a row could join everything. Folds are as equal as the groups allow.
    - Time: rows in order of time, cut into `folds` + 1 stretches of equally many moments; each fold holds out
      one stretch and trains on all earlier ones. Nothing is shuffled, so there is one repeat only. Rows of
      one moment are never parted. With groups as well, training rows whose group is held out are left out.

    Raises:
        OptionError: Fewer than 2 folds or 1 repeat.
        DataError: Too few rows, groups, moments or members of a class for so many folds.

    >>> from caviar.data.load import load
    >>> splits = make_splits(load("sample:iris"), folds=10, repeats=3, seed=0)
    >>> len(splits), len(splits[0].train), len(splits[0].held_out)
    (30, 135, 15)
    """
    if folds < 2 or repeats < 1:
        raise OptionError(
            f"Expected at least 2 folds and 1 repeat, got {folds} and {repeats}. Take for example "
            "10 folds and 3 repeats."
        )
    _require_enough(dataset, folds)
    rows = np.arange(dataset.n_rows)
    splits = []
    for repeat in range(1 if dataset.time is not None else repeats):
        parts = _parts(dataset, rows, folds, np.random.default_rng((seed, repeat)))
        for fold, (train, held_out) in enumerate(parts):
            split = Split(repeat, fold, np.sort(train).astype(np.int32), np.sort(held_out).astype(np.int32))
            _require_trainable(dataset, split, folds)
            splits.append(split)
    return splits


def split_name(dataset: Dataset) -> str:
    """How `make_splits` treats this table, as a fragment of a sentence.

    >>> from caviar.data.load import load
    >>> split_name(load("sample:wine"))
    'shuffled, stratified by class'
    """
    if dataset.time is not None:
        apart = ", groups that are held out do not train" if dataset.groups is not None else ""
        return f"in order of time, each fold after the rows that train{apart}"
    kind = "shuffled, stratified by class" if dataset.is_classification else "shuffled"
    if dataset.groups is not None:
        return f"{kind}, groups kept together"
    if len(np.unique(dataset.identical)) < dataset.n_rows:
        return f"{kind}, identical rows kept together"
    return kind


def inner_split(
    dataset: Dataset, rows: np.ndarray, fraction: float = 0.2, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Divide training rows into those that fit and those that callbacks watch, as `make_splits` would.

    The watched part is `fraction` of the rows, rounded; its size depends on the number of rows alone unless
    groups, equal times or large sets of identical rows prevent that. With time, it is the last part.

    Returns:
        (fit_rows, watch_rows): int32 indices into the dataset's rows, ascending.

    Raises:
        DataError: There are too few rows, groups or moments to divide.

    >>> from caviar.data.load import load
    >>> fit_rows, watch_rows = inner_split(load("sample:iris"), np.arange(100))
    >>> len(fit_rows), len(watch_rows)
    (80, 20)
    """
    rng = np.random.default_rng(seed)
    rows = np.asarray(rows)
    n_watch = min(max(round(fraction * len(rows)), 1), len(rows) - 1)
    if dataset.time is not None:
        fit, watch = _last_part(dataset, rows, n_watch)
    elif dataset.groups is not None:
        fit, watch = _group_part(dataset, rows, fraction, rng)
    else:
        order = np.arange(len(rows) + 1) * n_watch // max(len(rows), 1)
        watched = _deal(_labels(dataset, rows), dataset.identical[rows], np.diff(order), rng) == 1
        fit, watch = rows[~watched], rows[watched]
    if not len(fit) or not len(watch):
        raise DataError(
            "Expected training rows that can be divided to watch the validation loss, but all "
            f"{len(rows)} of them belong together (one group, one moment or identical inputs). Use fewer "
            "folds, or a recipe that watches no validation loss."
        )
    return np.sort(fit).astype(np.int32), np.sort(watch).astype(np.int32)


def _labels(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    return dataset.target[rows] if dataset.is_classification else np.zeros(len(rows), dtype=np.int64)


def _parts(
    dataset: Dataset, rows: np.ndarray, folds: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    if dataset.time is not None:
        yield from _time_parts(dataset, folds)
        return
    if dataset.groups is not None:
        yield from _group_parts(dataset, rows, folds, rng)
        return
    pattern = rng.permutation(folds)[np.arange(len(rows)) % folds]
    fold_of = _deal(_labels(dataset, rows), dataset.identical, pattern, rng)
    for fold in range(folds):
        yield rows[fold_of != fold], rows[fold_of == fold]


def _time_parts(dataset: Dataset, folds: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    moments, moment = np.unique(dataset.time, return_inverse=True)  # type: ignore[call-overload]
    for _, held_moments in TimeSeriesSplit(n_splits=folds).split(moments):
        train = np.flatnonzero(moment < held_moments[0])
        held_out = np.flatnonzero((moment >= held_moments[0]) & (moment <= held_moments[-1]))
        yield _without_groups(dataset, train, held_out), held_out


def _without_groups(dataset: Dataset, train: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """The training rows whose group is not held out."""
    if dataset.groups is None:
        return train
    return train[~np.isin(dataset.groups[train], dataset.groups[held_out])]


def _group_parts(
    dataset: Dataset, rows: np.ndarray, folds: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    groups = dataset.groups[rows]  # type: ignore[index]
    state = int(rng.integers(2**31))
    kind = StratifiedGroupKFold if _can_stratify(dataset, rows, folds) else GroupKFold
    for train, held_out in kind(n_splits=folds, shuffle=True, random_state=state).split(
        rows, _labels(dataset, rows), groups
    ):
        yield rows[train], rows[held_out]


def _can_stratify(dataset: Dataset, rows: np.ndarray, folds: int) -> bool:
    return dataset.is_classification and bool(
        np.unique(dataset.target[rows], return_counts=True)[1].min() >= folds
    )


def _last_part(dataset: Dataset, rows: np.ndarray, n_watch: int) -> tuple[np.ndarray, np.ndarray]:
    """The last rows in time, cut between two moments: the nearest cut before, else the first one after."""
    time = dataset.time[rows]  # type: ignore[index]
    moment = np.sort(time)[len(rows) - n_watch]
    late = time >= moment if moment > time.min() else time > moment
    watch = rows[late]
    fit = rows[~late]
    apart = _without_groups(dataset, fit, watch)
    return (apart if len(apart) else fit), watch


def _group_part(
    dataset: Dataset, rows: np.ndarray, fraction: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Whole groups that make up about `fraction` of the rows, if possible leaving every class to fit."""
    n_groups = len(np.unique(dataset.groups[rows]))  # type: ignore[index]
    if n_groups < 2:
        return rows, rows[:0]
    folds = min(max(round(1 / fraction), 2), n_groups)
    parts = list(_group_parts(dataset, rows, folds, rng))
    n_classes = len(np.unique(_labels(dataset, rows)))
    complete = (
        part for part in parts if len(part[1]) and len(np.unique(_labels(dataset, part[0]))) == n_classes
    )
    return next(complete, parts[0])


def _deal(
    labels: np.ndarray, identical: np.ndarray, pattern: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Give every row a part, keeping identical rows together and classes and sizes even.

    Args:
        labels: Class code of each row, int [row].
        identical: Equal numbers for rows that must stay together, int [row].
        pattern: The part of each row if rows were sorted by class and free; its counts are the sizes wanted.
        rng: Chooses among equals.

    Returns:
        The part of each row, int64 [row].
    """
    n_parts = int(pattern.max()) + 1
    by_class = np.sort(labels)
    wanted = np.zeros((int(labels.max()) + 1, n_parts))
    np.add.at(wanted, (by_class, pattern), 1)
    part_of = np.full(len(labels), -1, dtype=np.int64)
    _place_sets(part_of, labels, identical, wanted, rng)
    _place_singles(part_of, labels, wanted, np.bincount(pattern, minlength=n_parts), rng)
    return part_of


def _place_sets(
    part_of: np.ndarray,
    labels: np.ndarray,
    identical: np.ndarray,
    wanted: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Place sets of two or more identical rows, largest first, where they fit and their class is wanted most.

    Fills `part_of` and lowers `wanted` in place.
    """
    _, set_of, set_size = np.unique(identical, return_inverse=True, return_counts=True)
    by_set = np.argsort(set_of, kind="stable")
    starts = np.cumsum(set_size) - set_size
    several = rng.permutation(np.flatnonzero(set_size > 1))
    room = wanted.sum(axis=0)
    for index in several[np.argsort(-set_size[several], kind="stable")]:
        members = by_set[starts[index] : starts[index] + set_size[index]]
        counts = np.bincount(labels[members], minlength=len(wanted))
        overflow = np.maximum(len(members) - room, 0)
        part = np.lexsort((-room, -wanted[counts.argmax()], overflow))[0]
        part_of[members] = part
        wanted[:, part] -= counts
        room[part] -= len(members)


def _place_singles(
    part_of: np.ndarray, labels: np.ndarray, wanted: np.ndarray, sizes: np.ndarray, rng: np.random.Generator
) -> None:
    """Fill the parts up to their sizes with the rows that are free: the commonest class last."""
    free = np.flatnonzero(part_of < 0)
    placed = np.bincount(part_of[part_of >= 0], minlength=len(sizes))
    room = _fill(placed - sizes, np.full(len(sizes), len(free)), len(free), sizes)
    counts = np.bincount(labels[free], minlength=len(wanted))
    classes = np.argsort(counts, kind="stable")
    for code in classes:
        members = rng.permutation(free[labels[free] == code])
        share = room if code == classes[-1] else _fill(-wanted[code], room, len(members), -room)
        part_of[members] = np.repeat(np.arange(len(sizes)), share)
        room = room - share


def _fill(level: np.ndarray, limit: np.ndarray, amount: int, rank: np.ndarray) -> np.ndarray:
    """Pour `amount` whole drops onto parts standing at `level`, lowest first, at most `limit` into each.

    The last drops, too few for all parts at the final level, go to those of lowest `rank`.

    Returns:
        How many drops each part got, int64 [part]; the resulting levels are as equal as the limits allow.
    """
    low, high = int(level.min()), int(level.max()) + amount + 1
    while high - low > 1:
        middle = (low + high) // 2
        if np.clip(middle - level, 0, limit).sum() <= amount:
            low = middle
        else:
            high = middle
    got = np.clip(low - level, 0, limit).astype(np.int64)
    rest = amount - int(got.sum())
    open_parts = np.flatnonzero((got < limit) & (level + got <= low))
    got[open_parts[np.argsort(rank[open_parts], kind="stable")][:rest]] += 1
    return got


def _require_enough(dataset: Dataset, folds: int) -> None:
    """Say which quantity is too small for so many folds, and how many folds are possible."""
    if dataset.n_rows < folds:
        raise DataError(
            f"Expected at least as many rows as folds, got {dataset.n_rows} rows for {folds} folds. "
            f"Use at most {dataset.n_rows} folds."
        )
    if dataset.time is not None:
        available, what = len(np.unique(dataset.time)) - 1, "different times (one more than folds)"
    elif dataset.groups is not None:
        available, what = len(np.unique(dataset.groups)), "groups"
    else:
        available, what = len(np.unique(dataset.identical)), "rows with different inputs"
    if available < folds:
        raise _too_many_folds(f"{what}", available + (dataset.time is not None), folds, available)
    if dataset.is_classification and dataset.time is None:
        counts = np.bincount(dataset.target, minlength=len(dataset.schema.classes))
        rarest = int(counts.argmin())
        if counts[rarest] < folds:
            raise _too_many_folds(
                f"rows of the class {dataset.schema.classes[rarest]!r}",
                int(counts[rarest]),
                folds,
                int(counts[rarest]),
            )


def _too_many_folds(what: str, seen: int, folds: int, possible: int) -> DataError:
    advice = f"Use at most {possible} folds." if possible >= 2 else "Add rows: two folds are the least."
    return DataError(f"Expected enough {what} for {folds} folds, got {seen}. {advice}")


def _require_trainable(dataset: Dataset, split: Split, folds: int) -> None:
    if not len(split.train) or not len(split.held_out):
        raise DataError(
            f"Expected rows on both sides of fold {split.fold + 1} of {folds}, but groups or times leave "
            "one side empty. Use fewer folds."
        )
    if dataset.weight is not None and not (
        dataset.weight[split.train].any() and dataset.weight[split.held_out].any()
    ):
        raise DataError(
            f"Expected some weight above 0 on both sides of fold {split.fold + 1} of {folds}, but one side "
            "has none. Use fewer folds, or leave out rows of weight 0."
        )
    if dataset.is_classification:
        counts = np.bincount(dataset.target[split.train], minlength=len(dataset.schema.classes))
        if counts.min() == 0:
            raise DataError(
                f"Expected rows of every class in the training rows of fold {split.fold + 1} of {folds}, "
                f"but the class {dataset.schema.classes[int(counts.argmin())]!r} is absent there, because "
                "its rows belong together (groups, times or identical inputs). Use fewer folds, or "
                "merge that class with another."
            )
