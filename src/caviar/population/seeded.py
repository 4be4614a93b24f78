"""Which layers of a network draw numbers? A rate of exactly 0 needs none, so Keras gives that layer no seed generator.

Two networks of which only such rates differ have the same weights. Who goes on from the one with the other takes over
the states of generators that both have.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np

Place = tuple[int, str, int, int]
"""Where a seed generator stands: how many weights come before its layer, the layer's class, the how-manyth of that
class since those weights, and the how-manyth generator of the layer."""


@dataclass(frozen=True)
class Layout:
    """What a network's variables are, whatever Keras calls its layers.

    Attributes:
        generators: Where its seed generators stand, each with its state's place among the non-trainable variables.
        weights: The names of all other variables.
    """

    generators: dict[Place, int]
    weights: tuple[str, ...]


def layout_of(model: keras.Model) -> Layout:
    """The layout of a built model.

    >>> layers = [keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dropout(0.0), keras.layers.Dropout(0.2)]
    >>> layout_of(keras.Sequential(layers)).generators  # after a kernel and a bias, of the second dropout layer
    {(2, 'Dropout', 1, 0): 0}
    """
    rest = model.non_trainable_variables
    at = {id(variable): place for place, variable in enumerate(rest)}
    found: dict[int, Place] = {}
    for place, state in _generators(model):
        found.setdefault(id(state), place)
    weights = [v for v in [*model.trainable_variables, *rest] if id(v) not in found]
    return Layout(
        {place: at[state] for state, place in found.items() if state in at},
        tuple(_without_counts([v.path for v in weights])),
    )


def _generators(model: keras.Model) -> Iterator[tuple[Place, keras.Variable]]:
    """States of seed generators, layer by layer."""
    weights, since = 0, Counter[str]()
    for layer in model._flatten_layers():
        kind = type(layer).__name__
        for k, generator in enumerate(layer._seed_generators):
            yield (weights, kind, since[kind], k), generator.state
        since[kind] += 1
        if own := len(layer._trainable_variables) + len(layer._non_trainable_variables):
            weights, since = weights + own, Counter()


def _without_counts(paths: Sequence[str]) -> Iterator[str]:
    """Paths in which names that Keras numbers through are numbered from 0, so that two builds have the same ones.

    >>> list(_without_counts(["dense_7/kernel", "dense_9/kernel"]))
    ['dense.0/kernel', 'dense.1/kernel']
    """
    split = [[_counted(name) for name in path.split("/")] for path in paths]
    numbers: dict[str, set[int]] = {}
    for stem, number in (name for path in split for name in path):
        numbers.setdefault(stem, set()).add(number)
    for path in split:
        *layers, (last, _) = [(stem, sorted(numbers[stem]).index(number)) for stem, number in path]
        yield "/".join([*(f"{stem}.{number}" for stem, number in layers), last])


def _counted(name: str) -> tuple[str, int]:
    stem, _, number = name.rpartition("_")
    return (stem, int(number)) if re.fullmatch(r"\d+", number) and stem else (name, 0)


def taken_over(
    rest: Sequence[np.ndarray], then: Layout, now: Layout, begin: Callable[[int], np.ndarray]
) -> list[np.ndarray]:
    """Values of a network's non-trainable variables, for one that has other seed generators.

    Args:
        rest: The values.
        then: The layout that they have.
        now: The layout that they get.
        begin: In which state a generator begins that is new there, given its place.
    """
    old = set(then.generators.values())
    weights = iter([values for place, values in enumerate(rest) if place not in old])
    new = {at: place for place, at in now.generators.items()}

    def value(at: int) -> np.ndarray:
        if at not in new:
            return next(weights)
        return rest[then.generators[new[at]]] if new[at] in then.generators else begin(at)

    return [value(at) for at in range(len(rest) - len(old) + len(new))]
