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
class Part:
    """One of several arrays that a network takes, or returns.

    Attributes:
        name: Its key in a dictionary; empty where they are a list.
        shape: Of one row.
    """

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Targets:
    """Targets of a network that returns several arrays.

    Attributes:
        each: The target of each output, by the output's name; names are empty where they are a list.
    """

    each: tuple[tuple[str, Target], ...]

    @property
    def kind(self) -> str:
        """The kinds of all."""
        return ", ".join(target.kind for _, target in self.each)

    def code(self, rows: int) -> str:
        """Python that draws so many of each."""
        return _together([(name, target.code(rows)) for name, target in self.each])


def _together(each: Sequence[tuple[str, str]]) -> str:
    """Python for a list of several arrays, or for a dictionary where they have names."""
    is_named = bool(each[0][0])
    lines = [f'    "{name}": {code},' if is_named else f"    {code}," for name, code in each]
    return "\n".join(["{" if is_named else "[", *lines, "}" if is_named else "]"])


@dataclass(frozen=True)
class Likeness:
    """What a table or arrays look like.

    Attributes:
        rows: How many there are, at most 1,000.
        columns: The inputs; empty where rows have another shape.
        row_shape: Shape of one row of numbers, as a network would get it; of several arrays, all their numbers.
        n_outputs: How many numbers a network must return.
        targets: Forms that the target may have had, the most likely first.
        private: Names of columns and levels, which no example may hold.
        parts: The arrays that a network takes, where they are several.
    """

    rows: int
    columns: tuple[Column, ...]
    row_shape: tuple[int, ...]
    n_outputs: int
    targets: tuple[Target | Targets, ...]
    private: frozenset[str] = frozenset()
    parts: tuple[Part, ...] = ()

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


def of_shape(inputs: str | int | Sequence[int], outputs: int | str, task: str | None, code: str) -> Likeness:
    """What data look like of which only the shape is known.

    Args:
        inputs: Columns of a row, or its shape, such as "28x28x1"; of several arrays "28x28x1 5" or, where they have
            names, "image=28x28x1 meta=5".
        outputs: How many numbers the network returns; of several arrays likewise "1 3" or "price=1 kind=3".
        task: "classification" or "regression" (or a finer one); told by the loss that `code` names if None.
        code: The builder's code.

    Raises:
        OptionError: A number is below 1, or the task is unknown.

    >>> of_shape("28x28x1", 10, None, "sparse_categorical_crossentropy").row_shape
    (28, 28, 1)
    >>> code = "model.compile('adam', {'price': 'mse', 'kind': 'hinge'})"
    >>> print(of_shape(3, "price=1 kind=3", None, code).targets[0].code(9))
    {
        "price": rng.normal(size=9),
        "kind": rng.integers(0, 3, size=9),
    }
    """
    parts, ends = _parts(inputs, "--inputs"), _parts(outputs, "--outputs")
    tasks = ("classification", "binary", "multiclass", "regression", "multi-output regression")
    if task is not None and task not in tasks:
        raise OptionError(f"Expected --task to be one of {', '.join(tasks)}, got {task!r}. Choose one.")
    shape = parts[0].shape if len(parts) == 1 else (sum(prod(part.shape) for part in parts),)
    is_row = len(parts) == 1 and len(shape) == 1
    columns = tuple(Column("float") for _ in range(shape[0])) if is_row else ()
    width = sum(prod(end.shape) for end in ends)
    return Likeness(
        _ROWS,
        columns,
        shape,
        width,
        _targets_of_shape(ends, task, code),
        parts=parts if len(parts) > 1 or parts[0].name else (),
    )


def _targets_of_shape(ends: Sequence[Part], task: str | None, code: str) -> tuple[Target | Targets, ...]:
    """Forms that the targets of a network's outputs may have had."""
    forms: list[tuple[Target, ...]] = []
    for place, end in enumerate(ends):
        has_classes = (
            "regression" not in task if task else _is_for_classes(_loss_of(code, end.name, place, len(ends)))
        )
        width = prod(end.shape)
        forms.append(_classes(max(2, width)) if has_classes else _quantities(width))
    if len(ends) == 1 and not ends[0].name:
        return forms[0]
    most = max(map(len, forms))
    return tuple(
        Targets(
            tuple((end.name, some[min(form, len(some) - 1)]) for end, some in zip(ends, forms, strict=True))
        )
        for form in range(most)
    )


def _loss_of(code: str, name: str, place: int, outputs: int) -> str:
    """The part of a builder's code that names an output's loss; all of it where no part does.

    >>> _loss_of("m.compile('adam', {'a': 'mse', 'b': 'hinge'})", "b", 1, 2)
    "'hinge'"
    >>> _loss_of("m.compile('adam', loss=['mse', 'hinge'])", "", 1, 2)
    "'hinge'"
    """
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    for call in calls:
        if not (isinstance(call.func, ast.Attribute) and call.func.attr == "compile"):
            continue
        named = [keyword.value for keyword in call.keywords if keyword.arg == "loss"]
        for loss in (*named, *call.args[1:2]):
            if isinstance(loss, ast.Dict):
                for key, value in zip(loss.keys, loss.values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == name:
                        return ast.unparse(value)
            if isinstance(loss, ast.List | ast.Tuple) and len(loss.elts) == outputs:
                return ast.unparse(loss.elts[place])
    return code


def _parts(given: str | int | Sequence[int], option: str) -> tuple[Part, ...]:
    """One array or several, from words such as "28x28x1", "28x28x1 5" or "image=28x28x1 meta=5"."""
    if not isinstance(given, str):
        return (Part("", _shape([given] if isinstance(given, int) else given, given, option)),)
    found = []
    for word in given.replace(", ", " ").split() or [""]:
        name, _, shape = word.rpartition("=")
        found.append(Part(name, _shape(shape.lower().replace(",", "x").split("x"), given, option)))
    names = [part.name for part in found]
    if any(names) and (not all(names) or len(set(names)) < len(names)):
        raise OptionError(
            f"Expected {option} to give each of several arrays a name of its own or none a name, got {given!r}. "
            f"Write a=3 b=5, or 3 5."
        )
    return tuple(found)


def _shape(words: Sequence[Any], given: object, option: str) -> tuple[int, ...]:
    try:
        shape = tuple(int(word) for word in words)
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise OptionError(
            f"Expected {option} as a number or a shape such as 28x28x1, of several arrays as a=28x28x1 b=5, got "
            f"{given!r}. Write it so."
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
        parts: The arrays that are drawn, where they are several.
    """

    inputs: str
    rows: int
    columns: tuple[Column, ...]
    row_shape: tuple[int, ...]
    target: Target | Targets
    n_outputs: int
    parts: tuple[Part, ...] = ()

    @property
    def n_inputs(self) -> int:
        """What the builder is told: how many numbers a row has."""
        return prod(self.row_shape) if self.inputs == "numbers" else len(self.columns)

    def code(self, x: str, y: str) -> list[str]:
        """Python that draws inputs and target, and calls them `x` and `y`."""
        lines = ["rng = np.random.default_rng(0)"]
        if self.parts:
            drawn = [(part.name, f"rng.normal(size={(self.rows, *part.shape)})") for part in self.parts]
            lines.append(f"{x} = {_together(drawn)}")
        elif self.inputs == "numbers":
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
        Draft(inputs, likeness.rows, columns, likeness.row_shape, target, likeness.n_outputs, likeness.parts)
        for inputs, columns, target in tries
    ]


def _names(count: int) -> list[str]:
    """Made-up names: a, b and so on."""
    return list(string.ascii_lowercase[: min(count, _MOST_LEVELS)])
