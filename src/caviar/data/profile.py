"""What is in the table: a data record."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata
from sklearn.model_selection import StratifiedKFold
from sklearn.tree import DecisionTreeClassifier

from caviar.data.dataset import Dataset, identical_rows
from caviar.data.schema import Column
from caviar.run.record import ColumnFacts, DataRecord, Remark

_FEWEST_ROWS = 20  # of fewer rows any whole numbers may count them by chance
_ID_NAME = re.compile(r"(^|[_\W])(id|idx|index|uuid|key|nr|no|number|row)$|[a-z0-9]I[dD]$", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class _Seen:
    """One input column with the numbers that several remarks need.

    Attributes:
        column: What the column is.
        values: float64 [row]; NaN where missing.
        ordered: The values that are there, ascending.
        quartiles: Lower quartile, median, upper quartile; NaN if the column is empty.
    """

    column: Column
    values: np.ndarray
    ordered: np.ndarray
    quartiles: np.ndarray

    @property
    def is_quantity(self) -> bool:
        """Whether its numbers measure something."""
        return self.column.kind in {"numeric", "datetime"} and len(self.ordered) > 0

    @property
    def n_distinct(self) -> int:
        """How many different values there are, missing ones not counted."""
        return int(np.count_nonzero(np.diff(self.ordered))) + (len(self.ordered) > 0)

    @property
    def spread(self) -> float:
        """The interquartile range."""
        return float(self.quartiles[2] - self.quartiles[0])

    def beyond(self, factor: float) -> int:
        """How many values lie over `factor` interquartile ranges beyond the quartiles; 0 if that is 0."""
        if not self.is_quantity or self.spread <= 0:
            return 0
        low = np.searchsorted(self.ordered, self.quartiles[0] - factor * self.spread, side="left")
        high = np.searchsorted(self.ordered, self.quartiles[2] + factor * self.spread, side="right")
        return int(low + len(self.ordered) - high)


def profile(dataset: Dataset) -> DataRecord:
    """Look at a table as a careful person would before training on it.

    Everything of the record is filled but `preparation`, `n_inputs` and `test_rows`, which are decided later.

    >>> from caviar.data.load import load
    >>> record = profile(load("sample:iris"))
    >>> record.rows, record.class_counts, record.duplicates
    (150, [50, 50, 50], 1)
    """
    seen = [
        _look(column, dataset.features[:, position]) for position, column in enumerate(dataset.schema.columns)
    ]
    noticed = [remark for notice in NOTICES if (remark := notice(dataset, seen)) is not None]
    schema = dataset.schema
    n_classes = len(schema.classes)
    values = np.empty((0, 0)) if dataset.is_classification else dataset.target
    return DataRecord(
        name=dataset.name,
        rows=dataset.n_rows,
        columns=[_facts(column) for column in seen],
        targets=list(schema.targets),
        task=schema.task,
        task_reason=schema.task_reason,
        classes=list(schema.classes),
        class_counts=np.bincount(dataset.target, minlength=n_classes).tolist() if n_classes else [],
        target_low=values.min(axis=0).tolist() if values.size else [],
        target_high=values.max(axis=0).tolist() if values.size else [],
        duplicates=_n_duplicates(dataset),
        contradictions=_n_contradictions(dataset),
        left_out=list(schema.left_out),
        remarks=[*dataset.remarks, *noticed],
        fingerprint=dataset.fingerprint,
    )


def _look(column: Column, values: np.ndarray) -> _Seen:
    ordered = np.sort(values[~np.isnan(values)])
    quartiles = np.quantile(ordered, (0.25, 0.5, 0.75)) if len(ordered) else np.full(3, np.nan)
    return _Seen(column, values, ordered, quartiles)


def _facts(seen: _Seen) -> ColumnFacts:
    has_range = seen.column.kind != "category" and len(seen.ordered) > 0
    return ColumnFacts(
        name=seen.column.name,
        kind=seen.column.kind,
        missing=len(seen.values) - len(seen.ordered),
        distinct=seen.n_distinct,
        low=float(seen.ordered[0]) if has_range else None,
        median=float(seen.quartiles[1]) if has_range else None,
        high=float(seen.ordered[-1]) if has_range else None,
        outliers=seen.beyond(3.0),
        example=_example(seen),
    )


def _example(seen: _Seen, limit: int = 3) -> str:
    """The commonest levels of a category, the span of dates, or the first values of a number column."""
    if not len(seen.ordered):
        return ""
    if seen.column.kind == "category":
        counts = np.bincount(seen.ordered.astype(np.int64), minlength=len(seen.column.categories))
        common = np.argsort(-counts, kind="stable")[:limit]
        return ", ".join(
            f"{seen.column.categories[code]} ({counts[code]})" for code in common if counts[code]
        )
    if seen.column.kind == "datetime":
        first, last = (np.datetime64(int(day), "D") for day in np.floor(seen.ordered[[0, -1]]))
        return f"{first} to {last}"
    present = seen.values[~np.isnan(seen.values)][:limit]
    return ", ".join(f"{value:g}" for value in present)


def _n_duplicates(dataset: Dataset) -> int:
    return dataset.n_rows - len(np.unique(dataset.identical))


def _n_contradictions(dataset: Dataset) -> int:
    """How many distinct input rows come with more than one target."""
    both = identical_rows(np.column_stack([dataset.identical, dataset.target]).astype(np.float64))
    first = np.unique(both, return_index=True)[1]
    return int(np.count_nonzero(np.unique(dataset.identical[first], return_counts=True)[1] > 1))


def _names(columns: Sequence[_Seen] | Sequence[str], limit: int = 5) -> str:
    names = [repr(column if isinstance(column, str) else column.column.name) for column in columns]
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _drop_option(columns: Sequence[_Seen]) -> str:
    return " ".join(f"--drop {column.column.name}" for column in columns[:5])


def few_rows(dataset: Dataset, seen: Sequence[_Seen], *, enough: int = 200) -> Remark | None:
    """There are so few rows that a score depends on which of them are held out."""
    if dataset.n_rows >= enough:
        return None
    text = (
        f"There are {dataset.n_rows} rows for {len(seen)} columns: with so few, a score depends much on "
        "which rows are held out, and small differences cannot be told apart. More rows help most; else "
        "more repeats (--repeats)."
    )
    return Remark(code="few-rows", title="Few rows", text=text, level="warning")


def more_columns_than_rows(dataset: Dataset, seen: Sequence[_Seen]) -> Remark | None:
    """A network can learn such a table by heart."""
    if len(seen) <= dataset.n_rows:
        return None
    text = (
        f"There are {len(seen)} columns but only {dataset.n_rows} rows: a network can learn such a table "
        "by heart without understanding it. Leave out columns with --drop, or expect strong "
        "regularization to help."
    )
    return Remark(code="wide", title="More columns than rows", text=text, level="warning")


def missing_values(dataset: Dataset, seen: Sequence[_Seen], *, much: float = 0.5) -> Remark | None:
    """Some cells are empty."""
    gappy = sorted((s for s in seen if len(s.ordered) < len(s.values)), key=lambda s: len(s.ordered))
    if not gappy:
        return None
    share = np.isnan(dataset.features).mean()
    most = 1 - len(gappy[0].ordered) / dataset.n_rows
    text = (
        f"{len(gappy)} of {len(seen)} columns have missing values ({share:.1%} of all cells; most in "
        f"{_names(gappy[:1])}, {most:.0%}): networks cannot compute with a gap. Gaps in numbers are "
        "filled with the median of the training rows and flagged in a column of their own, missing "
        "categories become a category."
    )
    if most > much:
        text += f" A column that is mostly empty seldom helps: {_drop_option(gappy[:1])} leaves it out."
    return Remark(
        code="missing", title="Missing values", text=text, level="warning" if most > much else "info"
    )


def constant_columns(dataset: Dataset, seen: Sequence[_Seen]) -> Remark | None:
    """Some columns never change."""
    constant = [s for s in seen if s.n_distinct <= 1 and len(s.ordered) == dataset.n_rows]
    if not constant:
        return None
    text = (
        f"{_names(constant)} hold{'s' * (len(constant) == 1)} the same value in every row: nothing can be "
        f"learned from that. Leave out with {_drop_option(constant)}."
    )
    return Remark(code="constant", title="Constant columns", text=text, level="warning")


def duplicates(dataset: Dataset, seen: Sequence[_Seen]) -> Remark | None:  # noqa: ARG001 (one contract for all)
    """Rows repeat the inputs of earlier rows."""
    repeated = _n_duplicates(dataset)
    if not repeated:
        return None
    largest = int(np.bincount(dataset.identical).max())
    repeat = "rows repeat" if repeated > 1 else "row repeats"
    text = (
        f"{repeated} {repeat} the inputs of an earlier row (at most {largest} rows are alike): if a copy "
        "trains while its twin is scored, the score is too good. Identical rows are therefore kept in "
        "one fold."
    )
    if largest > dataset.n_rows / 10:
        text += (
            f" The {largest} identical rows are more than a tenth of the table, so that folds cannot be "
            "equally large. If they are copies of one measurement, keep one of them (or give each a "
            "small --weight)."
        )
    return Remark(code="duplicates", title="Repeated rows", text=text, level="warning")


def contradictions(dataset: Dataset, seen: Sequence[_Seen]) -> Remark | None:  # noqa: ARG001 (as above)
    """The same inputs come with different targets."""
    found = _n_contradictions(dataset)
    if not found:
        return None
    text = (
        f"{found} distinct input row{'s come' if found > 1 else ' comes'} with more than one target: no "
        "model can be right about all of them. If these are errors, correct them; else a column that "
        "tells them apart is missing."
    )
    return Remark(code="contradictions", title="Same inputs, different target", text=text, level="warning")


def class_ratio(
    dataset: Dataset,
    seen: Sequence[_Seen],  # noqa: ARG001 (as above)
    *,
    even: float = 0.5,
    rare: float = 0.1,
) -> Remark | None:
    """The rarest class has less than `even` of an even share; a warning if it is below `rare` of all rows."""
    if not dataset.is_classification:
        return None
    labels = dataset.schema.classes
    counts = np.bincount(dataset.target, minlength=len(labels))
    fewest, most = int(counts.argmin()), int(counts.argmax())
    share = counts[fewest] / dataset.n_rows
    if share >= even / len(labels):
        return None
    text = (
        f"The class {labels[fewest]!r} has {counts[fewest]} rows ({share:.1%}), {labels[most]!r} has "
        f"{counts[most]} ({counts[most] / dataset.n_rows:.1%}): always answering {labels[most]!r} would "
        f"be right {counts[most] / dataset.n_rows:.1%} of the time, so accuracy says little. "
        "Look at average precision or balanced accuracy (--metric)."
    )
    return Remark(
        code="imbalance",
        title="Unequal classes",
        text=text,
        level="warning" if share < rare else "info",
    )


def unscaled(
    dataset: Dataset,  # noqa: ARG001 (as above)
    seen: Sequence[_Seen],
    *,
    ratio: float = 100.0,
    large: float = 100.0,
) -> Remark | None:
    """Columns differ in size by `ratio` or more, or some reach beyond `large`: gradients are ill-conditioned.

    Source: LeCun, Bottou, Orr and Mueller, "Efficient BackProp" (1998), section 4.3; the two limits are ours.
    """
    sizes = {s.column.name: float(np.abs(s.ordered[[0, -1]]).max()) for s in seen if s.is_quantity}
    sizes = {name: size for name, size in sizes.items() if size > 0}
    if not sizes:
        return None
    largest, smallest = max(sizes, key=sizes.__getitem__), min(sizes, key=sizes.__getitem__)
    if sizes[largest] <= large and sizes[largest] < ratio * sizes[smallest]:
        return None
    text = (
        f"The columns are not of one size near 1: {largest!r} reaches {sizes[largest]:,.4g}, {smallest!r} "
        f"{sizes[smallest]:,.4g}. Unscaled inputs make training slow and unstable. Caviar's own network "
        "scales them; a model of your own should start with a normalization layer, or take scaling as a "
        "remedy."
    )
    return Remark(code="unscaled", title="Very different ranges", text=text, level="warning")


def outliers(dataset: Dataset, seen: Sequence[_Seen]) -> Remark | None:
    """Values lie more than 3 interquartile ranges outside the quartiles (Tukey's outer fences)."""
    counts = {s.column.name: count for s in seen if (count := s.beyond(3.0))}
    if not counts:
        return None
    worst = sorted(counts, key=counts.__getitem__, reverse=True)[:3]
    shown = ", ".join(f"{name!r} {counts[name]} ({counts[name] / dataset.n_rows:.1%})" for name in worst)
    text = (
        f"{len(counts)} columns have values more than 3 interquartile ranges outside their quartiles: "
        f"{shown}. Check whether they are real: errors should be corrected or emptied, real ones are best "
        "left in."
    )
    return Remark(code="outliers", title="Outliers", text=text)


def heavy_tails(
    dataset: Dataset,  # noqa: ARG001 (as above)
    seen: Sequence[_Seen],
    *,
    factor: float = 30.0,
) -> Remark | None:
    """Single values lie more than `factor` interquartile ranges outside: they spoil means and ranges."""
    heavy = [s for s in seen if s.beyond(factor)]
    if not heavy:
        return None
    first = heavy[0]
    extreme = max(first.ordered[[0, -1]], key=abs)
    text = (
        f"{_names(heavy)} reach{'es' * (len(heavy) == 1)} extremely far: {first.column.name!r} lies between "
        f"{first.quartiles[0]:.4g} and {first.quartiles[2]:.4g} in half of the rows, but goes to "
        f"{extreme:,.4g}. Standardizing or min-max scaling squeezes the real range into almost nothing "
        "then. Robust scaling copes; correct impossible values."
    )
    return Remark(code="heavy-tails", title="Extreme values", text=text, level="warning")


def zeros_for_missing(
    dataset: Dataset,
    seen: Sequence[_Seen],
    *,
    gap: float = 5.0,
    share: float = 0.1,
    n_values: int = 20,
) -> Remark | None:
    """Zero stands apart from all other values of a column, so that it may mean "not measured".

    Apart means: the smallest other value is more than `gap` times their usual distance away from zero, and
    more than `share` of their median.
    """
    suspects = []
    for s in seen:
        if not s.is_quantity or s.ordered[0] != 0:
            continue
        distinct = np.unique(s.ordered)
        zeros = int(np.searchsorted(s.ordered, 0, side="right"))
        if len(distinct) <= n_values or zeros < 2:
            continue
        usual = max(gap * np.median(np.diff(distinct[1:])), share * np.median(s.ordered[zeros:]))
        if distinct[1] > usual:
            suspects.append((s, zeros))
    if not suspects:
        return None
    worst = max(suspects, key=lambda suspect: suspect[1])
    text = (
        f"In {_names([s for s, _ in suspects])} zero stands apart from all other values ({worst[1]} rows, "
        f"{worst[1] / dataset.n_rows:.0%}, in {worst[0].column.name!r}): it may stand for 'not measured'. "
        "If it does, empty those cells, so that they are treated as missing."
    )
    return Remark(code="zeros", title="Zeros that may be gaps", text=text)


def identifiers(dataset: Dataset, seen: Sequence[_Seen], *, least_rows: int = _FEWEST_ROWS) -> Remark | None:
    """A column of different whole numbers counts the rows or is named like an identifier."""
    found = [s for s in seen if _is_identifier(s)] if dataset.n_rows >= least_rows else []
    if not found:
        return None
    text = (
        f"{_names(found)} look{'s' * (len(found) == 1)} like an identifier (whole numbers, different in "
        "every row): it says nothing about a new row, but a network can learn the order of the file from it. "
        f"Leave it out with {_drop_option(found)}."
    )
    return Remark(code="identifier", title="Identifier-like columns", text=text, level="warning")


def _is_identifier(s: _Seen) -> bool:
    if s.column.kind != "numeric" or s.n_distinct < len(s.values) or np.any(s.ordered % 1):
        return False
    steps = np.sign(np.diff(s.values))
    return bool(np.all(steps == steps[0])) or _ID_NAME.search(s.column.name) is not None


def suspect_columns(dataset: Dataset) -> tuple[tuple[str, ...], tuple[tuple[str, float], ...]]:
    """Names of columns that look like identifiers, and of those that nearly give the target away, with how well.

    By the same rules as the remarks of a profile.
    """
    seen = [_look(column, dataset.features[:, i]) for i, column in enumerate(dataset.schema.columns)]
    named = tuple(s.column.name for s in seen if _is_identifier(s)) if dataset.n_rows >= _FEWEST_ROWS else ()
    return named, tuple((s.column.name, value) for s, value in _leaking(dataset, seen))


def leaks(dataset: Dataset, seen: Sequence[_Seen]) -> Remark | None:
    """A single column nearly gives the target away: it may not be known when a new row is predicted.

    For classes, the area under the ROC curve of a shallow tree on that column alone, over two folds (so that
    columns that are not monotone are found); for numbers, the rank correlation. At most 20,000 rows,
    drawn at random, are looked at.

    Source: Kaufman, Rosset and Perlich, "Leakage in Data Mining" (2012): suspect what predicts too well.
    """
    found = _leaking(dataset, seen)
    if not found:
        return None
    measure = "area under the ROC curve" if dataset.is_classification else "rank correlation"
    columns = [s for s, _ in found]
    text = (
        f"{_names(columns)} alone predict{'s' * (len(found) == 1)} the target almost perfectly ({measure} "
        f"{max(value for _, value in found):.3f}): that is often a copy or a consequence of the target, "
        f"which will not be known for new rows. If so, leave it out with {_drop_option(columns)}."
    )
    return Remark(code="leak", title="A column gives the target away", text=text, level="warning")


def _leaking(
    dataset: Dataset, seen: Sequence[_Seen], *, threshold: float = 0.995, most_rows: int = 20_000
) -> list[tuple[_Seen, float]]:
    rng = np.random.default_rng(0)
    rows = np.sort(rng.permutation(dataset.n_rows)[:most_rows])
    strength = _auc if dataset.is_classification else _rank_correlation
    target = dataset.target[rows]
    measured = [(s, strength(s, rows, target)) for s in seen]
    return [(s, value) for s, value in measured if value >= threshold]


def dates(dataset: Dataset, seen: Sequence[_Seen]) -> Remark | None:
    """There are dates, but nobody said whether the order of time matters."""
    found = [s for s in seen if s.column.kind == "datetime"]
    if not found or dataset.time is not None:
        return None
    text = (
        f"{_names(found)} hold{'s' * (len(found) == 1)} dates, which are read as days since 1970. If the "
        f"model is to predict the future, pass --time {found[0].column.name}, so that no row learns from "
        "later ones."
    )
    return Remark(code="dates", title="Dates", text=text)


NOTICES: tuple[Callable[[Dataset, Sequence[_Seen]], Remark | None], ...] = (
    few_rows,
    more_columns_than_rows,
    missing_values,
    constant_columns,
    duplicates,
    contradictions,
    class_ratio,
    unscaled,
    outliers,
    heavy_tails,
    zeros_for_missing,
    identifiers,
    leaks,
    dates,
)
"""Everything that is looked for, in the report's order."""


def _auc(seen: _Seen, rows: np.ndarray, target: np.ndarray) -> float:
    """How well one column tells the classes apart: area under the ROC curve, mean over two folds, 0.5 to 1.

    A column that does not even fit the rows it was fitted to needs no folds, which makes this fast.
    """
    codes, counts = np.unique(target, return_counts=True)
    kept = np.isin(target, codes[counts >= 4])
    values, labels = seen.values[rows][kept, None], target[kept]
    n_classes = len(np.unique(labels))
    if n_classes < 2 or seen.n_distinct < 2:
        return 0.5
    tree = DecisionTreeClassifier(max_leaf_nodes=4 * n_classes, min_samples_leaf=2, random_state=0)
    fitted = _mean_area(tree.fit(values, labels).predict_proba(values), labels)
    if fitted < 0.99:
        return fitted
    areas = [
        _mean_area(tree.fit(values[train], labels[train]).predict_proba(values[held_out]), labels[held_out])
        for train, held_out in StratifiedKFold(2, shuffle=True, random_state=0).split(values, labels)
    ]
    return float(np.mean(areas))


def _mean_area(chances: np.ndarray, labels: np.ndarray) -> float:
    """Area under the ROC curve of each class against the rest, by ranks (Mann and Whitney); their mean."""
    areas = []
    for chance, code in zip(chances.T, np.unique(labels), strict=True):
        positive = labels == code
        n_pairs = positive.sum() * (~positive).sum()
        least = positive.sum() * (positive.sum() + 1) / 2
        areas.append((rankdata(chance)[positive].sum() - least) / n_pairs)
    return float(np.mean(areas))


def _rank_correlation(seen: _Seen, rows: np.ndarray, target: np.ndarray) -> float:
    """Largest absolute rank correlation of one column with any target, 0 to 1; 0 for categories."""
    values = seen.values[rows]
    there = ~np.isnan(values)
    if not seen.is_quantity or there.sum() < 4 or np.ptp(values[there]) == 0:
        return 0.0
    ranks = rankdata(values[there])
    return max(
        abs(float(np.corrcoef(ranks, rankdata(output))[0, 1])) if np.ptp(output) > 0 else 0.0
        for output in target[there].T
    )
