"""What data look like, without any of them: enough to make up rows of the same shape and types."""

import ast
import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from caviar.data.dataset import Dataset
from caviar.data.load import load
from caviar.data.prepare import PreparationPlan, fit_preparation
from caviar.errors import OptionError

_MOST_ROWS = 1_000
_ROWS = 100
_MOST_LEVELS = 10
_FOR_CLASSES = ("crossentropy", "hinge", "focal", "accuracy")


@dataclass(frozen=True)
class Column:
    """A column without its cells.

    Attributes:
        kind: "float", "int", "bool" or "text".
        levels: How many different texts.
        has_gaps: Whether cells are missing.
    """

    kind: str
    levels: int = 0
    has_gaps: bool = False

    def code(self, rows: int) -> str:
        """Python that draws so many cells."""
        if self.kind == "text":
            return f"rng.choice({_names(self.levels)!r}, size={rows})"
        if self.kind == "int":
            return f"rng.integers(0, 10, size={rows})"
        if self.kind == "bool":
            return f"rng.integers(0, 2, size={rows}).astype(bool)"
        return f"rng.normal(size={rows})"


@dataclass(frozen=True)
class Target:
    """A target without its values.

    Attributes:
        kind: "names" (classes as text), "codes" (row,), "column" (row, 1), "one-hot" (row, class), or "values".
        classes: How many classes; 0 for quantities.
        width: How many quantities.
        low: The smallest class number.
    """

    kind: str
    classes: int = 0
    width: int = 1
    low: int = 0

    def code(self, rows: int) -> str:
        """Python that draws so many targets."""
        if self.kind == "names":
            return f"rng.choice({_names(self.classes)!r}, size={rows})"
        if self.kind == "one-hot":
            return f"np.eye({self.classes})[rng.integers(0, {self.classes}, size={rows})]"
        if self.kind == "codes":
            return f"rng.integers({self.low}, {self.low + self.classes}, size={rows})"
        if self.kind == "column":
            return f"rng.integers({self.low}, {self.low + self.classes}, size=({rows}, 1))"
        return f"rng.normal(size={rows if self.width == 1 else (rows, self.width)})"


@dataclass(frozen=True)
class Likeness:
    """What a table or arrays look like.

    Attributes:
        rows: How many there are, at most 1,000.
        columns: The inputs; empty where rows have another shape.
        row_shape: Shape of one row of numbers, as a network would get it.
        n_outputs: How many numbers a network must return.
        targets: Forms that the target may have had, the most likely first.
        private: Names of columns and levels, which no example may hold.
    """

    rows: int
    columns: tuple[Column, ...]
    row_shape: tuple[int, ...]
    n_outputs: int
    targets: tuple[Target, ...]
    private: frozenset[str] = frozenset()

    @property
    def has_text(self) -> bool:
        """Whether a column holds text, so that the table as it stands is no array of numbers."""
        return any(column.kind == "text" for column in self.columns)

    @property
    def n_inputs(self) -> int:
        """How many numbers a row has once it is numbers."""
        return prod(self.row_shape)


def of_table(source: object, read: dict[str, Any]) -> Likeness:
    """What a table looks like.

    Args:
        source: As for `caviar.improve`.
        read: How it is read, likewise.

    Raises:
        DataError: It cannot be used as given.
        OptionError: Options contradict each other.

    >>> of_table("sample:iris", {}).row_shape
    (4,)
    """
    dataset = load(source, **read)
    schema = dataset.schema
    columns = tuple(
        Column(
            _kind(dataset.features[:, i], column.kind, has_gaps=column.has_missing),
            levels=min(_MOST_LEVELS, max(2, len(column.categories))),
            has_gaps=column.has_missing,
        )
        for i, column in enumerate(schema.columns)
    )
    rows = np.arange(dataset.n_rows)
    prepared = fit_preparation(schema, PreparationPlan(), dataset.features, dataset.target, rows=rows)
    levels = {level for column in schema.columns for level in column.categories}
    return Likeness(
        rows=min(_MOST_ROWS, dataset.n_rows),
        columns=columns,
        row_shape=(prepared.inputs(dataset.features[:1]).shape[1],),
        n_outputs=dataset.n_outputs,
        targets=_targets_of(dataset),
        private=frozenset(levels | {*schema.source_columns, *schema.classes}),
    )


def _kind(values: np.ndarray, kind: str, *, has_gaps: bool) -> str:
    if kind in {"category", "datetime"}:
        return "text"
    if has_gaps:
        return "float"  # whole numbers and truth values with gaps are no longer of their own type
    if kind == "boolean":
        return "bool"
    finite = values[np.isfinite(values)]
    return "int" if len(finite) and bool((finite == np.round(finite)).all()) else "float"


def _targets_of(dataset: Dataset) -> tuple[Target, ...]:
    if not dataset.is_classification:
        return _quantities(len(dataset.schema.targets))
    names = dataset.schema.classes
    try:
        low = int(min(float(name) for name in names))
        whole = all(float(name) == int(float(name)) for name in names)
    except (ValueError, OverflowError):
        low, whole = 0, False
    forms = _classes(len(names))
    if not whole:
        return (Target("names", len(names)), *forms)
    return (Target("codes", len(names), low=low), *forms) if low else forms


def _classes(classes: int) -> tuple[Target, ...]:
    return tuple(Target(kind, classes) for kind in ("codes", "column", "one-hot"))


def _quantities(width: int) -> tuple[Target, ...]:
    return (Target("values", width=width),)


def of_shape(inputs: str | int | Sequence[int], outputs: int, task: str | None, code: str) -> Likeness:
    """What data look like of which only the shape is known.

    Args:
        inputs: Columns of a row, or its shape, such as "28x28x1".
        outputs: How many numbers the network returns.
        task: "classification" or "regression" (or a finer one); told by the loss that `code` names if None.
        code: The builder's code.

    Raises:
        OptionError: A number is below 1, or the task is unknown.

    >>> of_shape("28x28x1", 10, None, "sparse_categorical_crossentropy").row_shape
    (28, 28, 1)
    """
    shape = _shape(inputs)
    if outputs < 1:
        raise OptionError(f"Expected --outputs to be a whole number of at least 1, got {outputs}. Raise it.")
    tasks = ("classification", "binary", "multiclass", "regression", "multi-output regression")
    if task is not None and task not in tasks:
        raise OptionError(f"Expected --task to be one of {', '.join(tasks)}, got {task!r}. Choose one.")
    has_classes = "regression" not in task if task else _is_for_classes(code)
    columns = tuple(Column("float") for _ in range(shape[0])) if len(shape) == 1 else ()
    targets = _classes(max(2, outputs)) if has_classes else _quantities(outputs)
    return Likeness(_ROWS, columns, shape, outputs, targets)


def _shape(inputs: str | int | Sequence[int]) -> tuple[int, ...]:
    words = inputs.lower().replace(",", "x").split("x") if isinstance(inputs, str) else inputs
    try:
        shape = (int(words),) if isinstance(words, int) else tuple(int(word) for word in words)
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise OptionError(
            f"Expected --inputs as a number or a shape such as 28x28x1, got {inputs!r}. Write it so."
        )
    return shape


def _is_for_classes(code: str) -> bool:
    words = {
        n.value for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    }
    words |= {n.attr for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Attribute)}
    plain = " ".join(words).lower().replace("_", "")
    return any(word in plain for word in _FOR_CLASSES)


@dataclass(frozen=True)
class Draft:
    """Made-up data of one size and form.

    Attributes:
        inputs: "frame" (named columns of any type), "objects" (the same as an array), or "numbers".
        rows: How many.
        columns: Columns that are drawn; of numbers, as many as the rows are wide.
        row_shape: Shape of a row of numbers.
        target: The target's form.
        n_outputs: How many numbers the network is to return.
    """

    inputs: str
    rows: int
    columns: tuple[Column, ...]
    row_shape: tuple[int, ...]
    target: Target
    n_outputs: int

    @property
    def n_inputs(self) -> int:
        """What the builder is told: how many numbers a row has."""
        return prod(self.row_shape) if self.inputs == "numbers" else len(self.columns)

    def code(self, x: str, y: str) -> list[str]:
        """Python that draws inputs and target, and calls them `x` and `y`."""
        lines = ["rng = np.random.default_rng(0)"]
        if self.inputs == "numbers":
            whole = bool(self.columns) and all(column.kind in {"int", "bool"} for column in self.columns)
            size = (self.rows, *self.row_shape)
            lines.append(
                f"{x} = rng.integers(0, 10, size={size})" if whole else f"{x} = rng.normal(size={size})"
            )
        else:
            lines.append(f"{x} = pandas.DataFrame(\n    {{")
            lines += [
                f'        "c{i + 1}": {column.code(self.rows)},' for i, column in enumerate(self.columns)
            ]
            lines.append("    }\n)")
            gaps = [f"c{i + 1}" for i, column in enumerate(self.columns) if column.has_gaps]
            lines += [f"{x}.loc[0, {gaps!r}] = None"] if gaps else []
            lines += [f"{x} = {x}.to_numpy()"] if self.inputs == "objects" else []
        return [*lines, f"{y} = {self.target.code(self.rows)}"]

    def of_width(self, width: int) -> "Draft":
        """The same with fewer columns: those with text first."""
        if self.inputs == "numbers":
            return replace(self, columns=self.columns[:width], row_shape=(width,))
        ordered = sorted(self.columns, key=lambda column: column.kind != "text")
        return replace(self, columns=tuple(ordered[:width]))


def drafts(likeness: Likeness, *, as_it_stands: bool) -> list[Draft]:
    """Forms that the data may have had, the most likely first.

    Args:
        likeness: What the data look like.
        as_it_stands: Whether text may have reached the network; otherwise all was numbers.
    """
    forms = [target for target in likeness.targets if as_it_stands or target.kind != "names"]
    numbers = (
        tuple(Column("float") for _ in range(likeness.n_inputs)) if likeness.has_text else likeness.columns
    )
    tries = [("numbers", numbers, target) for target in forms]
    if as_it_stands and likeness.has_text:
        tries = [(inputs, likeness.columns, forms[0]) for inputs in ("frame", "objects")] + tries
    return [
        Draft(inputs, likeness.rows, columns, likeness.row_shape, target, likeness.n_outputs)
        for inputs, columns, target in tries
    ]


def _names(count: int) -> list[str]:
    """Made-up names: a, b and so on."""
    return list(string.ascii_lowercase[: min(count, _MOST_LEVELS)])
