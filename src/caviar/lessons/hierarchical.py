"""Hierarchical softmax: does choosing a group first save work where there are many classes, and what does it cost?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.preprocessing import StandardScaler

from caviar.errors import OptionError
from caviar.evaluate.claims import above, below
from caviar.teaching.contract import Choice, Claim, Data, Drawing, Lesson, Lines, Shown, Variant
from caviar.teaching.own_rows import changed
from caviar.teaching.rows import first_rows
from caviar.teaching.seen import Lab, Seen
from caviar.teaching.timing import in_turns

GROUPS = 32
SIZE = 32
CLASSES = GROUPS * SIZE
INPUTS = 16
EPOCHS = 12
UPDATES = 16
"""Of an epoch: 4,096 training rows in batches of 256."""

ENOUGH = 9
"""Classes of which groups save work: nine in three groups need six scores."""


@dataclass(frozen=True, eq=False)
class Groups:
    """Classes in groups.

    Attributes:
        places: Where each class stands (class,): divided by the size it is its group, the rest its number in it.
        number: How many groups.
        size: Classes in the largest.
    """

    places: np.ndarray
    number: int = GROUPS
    size: int = SIZE


GROUPED = {
    "hierarchical": Groups(np.arange(CLASSES)),
    "mixed": Groups(np.random.default_rng(9).permutation(CLASSES)),
}
"""The groups that the data has, and as many drawn at random."""


def many_classes(_: Path | None = None) -> Data:
    """1,024 classes in 32 groups, four rows of each to train on and two to test on.

    The last input is the class itself. No network sees it; in training, it picks the weights of a row's own group.
    """
    rng = np.random.default_rng(10)
    groups = rng.normal(0, 2, (GROUPS, INPUTS))
    centres = np.repeat(groups, SIZE, axis=0) + rng.normal(0, 1, (CLASSES, INPUTS))
    y = np.concatenate([rng.permutation(CLASSES) for _ in range(6)])
    x = centres[y] + rng.normal(0, 0.5, (len(y), INPUTS))
    return Data(
        "1,024 classes in 32 groups, 4 rows of each to train on and 2 to test on",
        np.column_stack([x, y]),
        y,
        first_rows(len(y), 4 * CLASSES),
        CLASSES,
        "drawn with NumPy",
    )


class Hierarchy(keras.layers.Layer):
    """Scores of the groups, and of the classes in one of them: its own in training, else the most likely one.

    Args:
        places: Where each class stands (class,).
        number: How many groups.
        size: Classes in the largest.
    """

    def __init__(self, places: Sequence[int], number: int, size: int) -> None:
        super().__init__()
        self.places, self.number, self.size = [int(place) for place in places], number, size

    def build(self, input_shape: Sequence[int]) -> None:
        """Weights of the groups, and of the classes in each."""
        glorot, inputs = keras.initializers.GlorotUniform, input_shape[-1] - 1
        self.coarse = self.add_weight(shape=(inputs, self.number), initializer=glorot())
        self.fine = self.add_weight(shape=(self.number, inputs, self.size), initializer=glorot())

    def call(self, x: Any, training: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - as Keras has it
        """Scores (row, group + class in the group)."""
        features = x[:, :-1]
        groups = keras.ops.matmul(features, self.coarse)
        if training:
            own = keras.ops.take(np.array(self.places), keras.ops.cast(x[:, -1], "int32")) // self.size
        else:
            own = keras.ops.argmax(groups, axis=1)
        inside = keras.ops.einsum("rf,rfs->rs", features, keras.ops.take(self.fine, own, axis=0))
        return keras.ops.concatenate([groups, inside], axis=1)


class WithoutClass(keras.layers.Layer):
    """Leaves the last input out."""

    def call(self, x: Any) -> Any:  # noqa: ANN401
        """Inputs that a network may see."""
        return x[:, :-1]


def flat(n_outputs: int = CLASSES) -> keras.Model:
    """Softmax over all classes."""
    model = keras.Sequential([WithoutClass(), keras.layers.Dense(n_outputs, use_bias=False)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    return model


def hierarchy(groups: Groups) -> keras.Model:
    """Softmax over groups, then softmax over the classes of one group."""
    places, number, size = groups.places, groups.number, groups.size

    def loss(y: Any, scores: Any) -> Any:  # noqa: ANN401
        place = keras.ops.take(places, keras.ops.cast(keras.ops.reshape(y, (-1,)), "int32"))
        cross_entropy = partial(keras.losses.sparse_categorical_crossentropy, from_logits=True)
        return cross_entropy(place // size, scores[:, :number]) + cross_entropy(
            place % size, scores[:, number:]
        )

    model = keras.Sequential([Hierarchy(places.tolist(), number, size)])
    model.compile(keras.optimizers.Adam(0.01), loss)
    return model


def variants(
    grouped: Mapping[str, Groups], batch_size: int, every: str, own: str, drawn: str
) -> tuple[Variant, ...]:
    """One softmax and two hierarchies, under their titles."""
    alike, mixed = (partial(hierarchy, grouped[name]) for name in ("hierarchical", "mixed"))
    return (
        Variant("flat", every, flat, batch_size, EPOCHS),
        Variant("hierarchical", own, alike, batch_size, EPOCHS),
        Variant("mixed", drawn, mixed, batch_size, EPOCHS),
    )


def neighbours(centres: np.ndarray, number: int) -> list[np.ndarray]:
    """Classes (class,) in groups of equal size, or one less: each is the outermost class left, and those nearest to it.

    >>> neighbours(np.array([[0.0], [9.0], [1.0], [8.0]]), 2)
    [array([0, 2]), array([1, 3])]
    """
    left, groups = np.arange(len(centres)), []
    for size in map(len, np.array_split(left, number)):
        outermost = np.linalg.norm(centres[left] - centres[left].mean(axis=0), axis=1).argmax()
        near = np.argsort(np.linalg.norm(centres[left] - centres[left[outermost]], axis=1))[:size]
        groups.append(left[near])
        left = np.delete(left, near)
    return groups


def placed(groups: Sequence[np.ndarray]) -> Groups:
    """Groups of classes, as places of all classes."""
    size = max(map(len, groups))
    places = np.empty(sum(map(len, groups)), int)
    for number, group in enumerate(groups):
        places[group] = number * size + np.arange(len(group))
    return Groups(places, len(groups), size)


def on_other_rows(lesson: Lesson, data: Data) -> tuple[Lesson, Data]:
    """The lesson on another table: classes that are alike make groups; inputs are standardised, updates as many."""
    if data.classes < ENOUGH:
        raise OptionError(
            f"Expected {ENOUGH} classes or more, because groups of fewer save no work, got {data.classes}. Take "
            f"another table, or another lesson."
        )
    train = data.splits[0][0]
    x = StandardScaler().fit(data.x[train]).transform(data.x)
    centres = np.array([x[train][data.y[train] == k].mean(axis=0) for k in range(data.classes)])
    number = round(data.classes**0.5)
    drawn = np.array_split(np.random.default_rng(9).permutation(data.classes), number)
    grouped = {"hierarchical": placed(neighbours(centres, number)), "mixed": placed(drawn)}
    mine, size = partial(accuracy, grouped=grouped), grouped["mixed"].size
    elsewhere = replace(
        lesson,
        why="A softmax over all classes needs a score of each. Where classes fall into groups, a softmax over groups "
        "and one over the classes of the chosen group need only as many scores as there are groups and classes in "
        f"one: {number + size} instead of {data.classes:,} for your table. Classes whose training rows lie near each "
        "other on average make a group; groups drawn at random stand beside them. What is saved is counted and timed "
        "for other numbers of classes, and what it costs in accuracy is measured on your rows, with standardised "
        "inputs and linear scores. A row whose group is wrong cannot be right any more.",
        variants=variants(
            grouped,
            max(1, round(len(train) / UPDATES)),
            f"one softmax of {data.classes:,} classes",
            f"{number} groups of classes that are alike, then up to {size} classes",
            f"{number} groups drawn at random",
        ),
        claims=changed(
            lesson.claims,
            {
                "With groups that the data has, it is no less accurate, to two points.": {
                    "measure": lambda seen: mine(seen, "hierarchical") - mine(seen, "flat")
                },
                "Groups must mean something: drawn at random they cost accuracy.": {
                    "measure": lambda seen: mine(seen, "hierarchical") - mine(seen, "mixed")
                },
            },
        ),
        shows=(Shown("test accuracy", mine),),
    )
    title = f"{data.title}, and as a last input the class, which no network sees"
    return elsewhere, replace(data, title=title, x=np.column_stack([x, data.y]))


def accuracy(seen: Seen, name: str, grouped: Mapping[str, Groups] = GROUPED) -> np.ndarray:
    """Share of test rows whose class is right (seed,): in a hierarchy both the group and the class in it."""
    if name not in grouped:
        return seen.accuracy(name)
    groups = grouped[name]

    def right(scores: np.ndarray, y: np.ndarray) -> float:
        group, inside = scores[:, : groups.number].argmax(axis=1), scores[:, groups.number :].argmax(axis=1)
        return float((group * groups.size + inside == groups.places[y]).mean())

    return seen.per_member(name, right)


def products(name: str, classes: int) -> int:
    """Products of a weight and an input that the last layer takes for one row."""
    groups = round(classes**0.5)
    return INPUTS * (classes if name == "flat" else groups + classes // groups)


COUNTS = np.array([256, 1024, 4096, 16384])
SEARCHES = 100
"""Rows whose class is found in one timing: one alone is too quick for the clock."""


def growth(name: str) -> float:
    """Power of the number of classes with which products grow."""
    return float(np.polyfit(np.log(COUNTS), np.log([products(name, n) for n in COUNTS]), 1)[0])


def also(lab: Lab, _: Seen) -> dict[str, Any]:
    """Seconds (turn, count of classes) to find one row's class, with weights of many sizes."""
    rng = lab.rng(0)
    found = []
    for classes in COUNTS:
        groups = round(classes**0.5)
        row = rng.normal(size=INPUTS)
        every, coarse = rng.normal(size=(classes, INPUTS)), rng.normal(size=(groups, INPUTS))
        fine = every.reshape(groups, -1, INPUTS)
        searches = (partial(find, every, row), partial(find_in_group, coarse, fine, row))
        found.append(in_turns([partial(repeat, search) for search in searches]) / SEARCHES)
    flat, hierarchical = np.stack(found, axis=2)
    return {"seconds flat": flat, "seconds hierarchical": hierarchical}


def find(every: np.ndarray, row: np.ndarray) -> int:
    """The most likely of all classes, by weights (class, input)."""
    return int((every @ row).argmax())


def find_in_group(coarse: np.ndarray, fine: np.ndarray, row: np.ndarray) -> int:
    """The most likely class of the most likely group, by weights (group, input) and (group, class, input)."""
    return int((fine[(coarse @ row).argmax()] @ row).argmax())


def repeat(search: Callable[[], int]) -> None:
    """The same search over and over."""
    for _ in range(SEARCHES):
        search()


def figures(seen: Seen) -> Sequence[Drawing]:
    """What a row costs, counted and timed, against the number of classes."""
    names = {"flat": "flat", "hierarchical": "hierarchical"}
    return (
        Lines(
            "Products for one row",
            COUNTS,
            {name: np.array([products(name, n) for n in COUNTS]) for name in names},
            "classes",
            "products of the last layer",
            log_x=True,
            log_y=True,
        ),
        Lines(
            "Seconds to find one row's class",
            COUNTS,
            {name: seen[f"seconds {name}"] for name in names},
            "classes",
            "seconds (NumPy)",
            log_x=True,
            log_y=True,
        ),
    )


LESSON = Lesson(
    name="hierarchical-softmax",
    title="Hierarchical softmax: a group first, then a class in it",
    area="learning",
    covers=("sm-tip1-hierarchical",),
    why="A softmax over all classes needs a score of each. Where classes fall into groups, a softmax over groups and "
    "one over the classes of the chosen group need only as many scores as there are groups and classes in one: 64 "
    "instead of 1,024. What is saved is counted and timed, and what it costs in accuracy is measured, with the groups "
    "that the data has and with groups drawn at random. The source names neither classes nor rows: 1,024 classes of "
    "four rows, 16 inputs and linear scores are our choice. A row whose group is wrong cannot be right any more.",
    data=many_classes,
    variants=variants(
        GROUPED,
        256,
        "one softmax of 1,024 classes",
        "32 groups, then 32 classes",
        "32 groups drawn at random",
    ),
    also=also,
    claims=(
        Claim(
            "The cost of a row grows with groups and group size instead of all classes.",
            ["sm-tip1-hierarchical/0"],
            lambda _: growth("hierarchical") / growth("flat"),
            below(0.6),
            "power of the number of classes with which products grow, hierarchical over flat",
        ),
        Claim(
            "It takes less time to find the class of a row among 16,384.",
            ["sm-tip1-hierarchical/0"],
            lambda seen: np.log10(seen["seconds flat"][:, -1] / seen["seconds hierarchical"][:, -1]),
            above(0),
            "logarithm (base 10) of seconds to find a class with NumPy, flat by hierarchical",
            amended="A ratio of times in turns instead of a share of timings that were not taken in turns.",
        ),
        Claim(
            "With groups that the data has, it is no less accurate, to two points.",
            ["sm-tip1-hierarchical/0"],
            lambda seen: accuracy(seen, "hierarchical") - accuracy(seen, "flat"),
            above(-0.02),
            "test accuracy, hierarchical minus flat",
        ),
        Claim(
            "Groups must mean something: drawn at random they cost accuracy.",
            [],
            lambda seen: accuracy(seen, "hierarchical") - accuracy(seen, "mixed"),
            above(0),
            "test accuracy, groups of the data minus groups drawn at random",
            who="caviar",
        ),
    ),
    questions=(
        Choice(
            "How many scores does a row need among 1,024 classes in 32 groups of 32?",
            ("32", "64", "1,024"),
            (1,),
            "32 of groups, and 32 of the classes in the chosen one.",
        ),
    ),
    shows=(Shown("test accuracy", accuracy),),
    curves=("loss",),
    figures=figures,
    learned="A hierarchy saves time where scores are what costs, as with 16,384 classes, and keeps the accuracy where "
    "groups mean something; count products before choosing it.",
    own_rows=on_other_rows,
)
"""The lesson."""
