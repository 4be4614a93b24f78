"""What training a lesson's variants showed: curves, scores and models of every seed, and measures of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np

from caviar.errors import OptionError
from caviar.teaching.contract import Data, Variant
from caviar.training.history import Member

if TYPE_CHECKING:
    import xarray as xr

Rows = Literal["train", "test"]


@dataclass(frozen=True, eq=False)
class Training:
    """All seeds of one variant.

    Attributes:
        variant: What was trained.
        logs: By name (seed, fold, epoch); NaN after a stop.
        outputs: What each member says of its rows: by "train" and "test" lists [seed][fold] of (row, output).
        splits: Rows of each fold as this variant sees them.
        members: The trained models [seed][fold].
        updates: Gradient steps of an epoch, averaged over folds.
        seconds: Wall time of its population, compilation included; variants that differ only in numbers share one.
        probes: What went on inside, where the variant asks for it.
        alone: Why members trained one after the other; empty where they trained as a population.
    """

    variant: Variant
    logs: dict[str, np.ndarray]
    outputs: dict[Rows, list[list[np.ndarray]]]
    splits: Sequence[tuple[np.ndarray, np.ndarray]]
    members: list[list[Member]]
    updates: float
    seconds: float
    probes: "xr.Dataset | None" = None
    alone: str = ""


@dataclass(frozen=True, eq=False)
class Seen:
    """Everything that a lesson measured. Measures give one number per seed (seed,), the mean over its folds.

    Attributes:
        data: The rows.
        seeds: The seeds, the same for every variant: differences between variants are paired.
        trainings: By name of the variant.
        values: What else was tried, by name.
    """

    data: Data | None
    seeds: Sequence[int]
    trainings: Mapping[str, Training]
    values: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401
        """What else was tried, by name."""
        return self.values[name]

    def log(self, variant: str, name: str) -> np.ndarray:
        """Curves (seed, epoch), the mean over folds; NaN after a stop."""
        return np.asarray(self.trainings[variant].logs[name].mean(axis=1))

    def final(self, variant: str, name: str) -> np.ndarray:
        """The last value of a curve."""
        return _over_folds(self.trainings[variant].logs[name], lambda curve: curve[-1])

    def best(self, variant: str, name: str) -> np.ndarray:
        """The lowest value of a loss, the highest of an accuracy."""
        pick = np.max if "acc" in name else np.min
        return _over_folds(self.trainings[variant].logs[name], pick)

    def best_epoch(self, variant: str, name: str) -> np.ndarray:
        """The epoch, from 1, in which a loss was lowest or an accuracy highest."""
        pick = np.argmax if "acc" in name else np.argmin
        return _over_folds(self.trainings[variant].logs[name], lambda curve: pick(curve) + 1)

    def late(self, variant: str, name: str, last: int = 100) -> np.ndarray:
        """Mean of a curve over its last epochs."""
        return _over_folds(self.trainings[variant].logs[name], lambda curve: curve[-last:].mean())

    def spread(self, variant: str, name: str, last: int) -> np.ndarray:
        """Standard deviation of a curve over its last epochs."""
        return _over_folds(self.trainings[variant].logs[name], lambda curve: curve[-last:].std(ddof=1))

    def rough(self, variant: str, name: str, last: int | None = None) -> np.ndarray:
        """Standard deviation of a curve's change from epoch to epoch, over its last epochs or all."""
        return _over_folds(
            self.trainings[variant].logs[name],
            lambda curve: np.diff(curve[-(last + 1) :] if last else curve).std(ddof=1),
        )

    def slope(self, variant: str, name: str, last: int = 100) -> np.ndarray:
        """Slope of a curve over its last epochs, by least squares, per epoch."""
        return _over_folds(
            self.trainings[variant].logs[name],
            lambda curve: np.polyfit(np.arange(len(curve[-last:])), curve[-last:], 1)[0],
        )

    def epochs_to(self, variant: str, name: str, target: float) -> np.ndarray:
        """The epoch, from 1, in which a loss first is as low, or an accuracy as high, as a target.

        Where it never is, one more than there were epochs: the truth is that or later.
        """
        return _over_folds(
            self.trainings[variant].logs[name],
            lambda curve: _first(curve >= target if "acc" in name else curve <= target) + 1,
        )

    def epochs_to_share(self, variant: str, name: str, share: float = 0.95) -> np.ndarray:
        """The epoch, from 1, in which an accuracy first is at this share of its own highest value."""
        return _over_folds(
            self.trainings[variant].logs[name], lambda curve: _first(curve >= share * curve.max()) + 1
        )

    def trained(self, variant: str) -> np.ndarray:
        """Epochs that were trained before a stop."""
        return _over_folds(self.trainings[variant].logs["loss"], len)

    def accuracy(self, variant: str, rows: Rows = "test") -> np.ndarray:
        """Share of rows that the trained model classifies right, with the weights that it ended with.

        One output is a probability, right beyond 0.5, or a logit if it is not between 0 and 1; several are one per
        class.
        """
        return self.per_member(variant, lambda outputs, y: float((classes(outputs) == y).mean()), rows)

    def error(self, variant: str, rows: Rows = "test") -> np.ndarray:
        """Mean absolute error, over rows and outputs, in the target's unit."""
        return self.per_member(
            variant, lambda outputs, y: float(np.abs(outputs.reshape(y.shape) - y).mean()), rows
        )

    def per_member(
        self, variant: str, score: Callable[[np.ndarray, np.ndarray], float], rows: Rows = "test"
    ) -> np.ndarray:
        """A score of outputs (row, output) and targets, averaged over folds."""
        return self.by_fold(variant, score, rows).mean(axis=1)

    def by_fold(
        self, variant: str, score: Callable[[np.ndarray, np.ndarray], float], rows: Rows = "test"
    ) -> np.ndarray:
        """The same for each fold (seed, fold)."""
        training, y = self.trainings[variant], self.rows.y
        places = [split[rows == "test"] for split in training.splits]
        return np.array(
            [
                [score(outputs, y[some]) for outputs, some in zip(folds, places, strict=True)]
                for folds in training.outputs[rows]
            ]
        )

    def model(self, variant: str, seed: int = 0, fold: int = 0) -> keras.Model:
        """An ordinary Keras model with the weights that a training ended with; seeds and folds by place."""
        return self.trainings[variant].members[seed][fold].model()

    @property
    def rows(self) -> Data:
        """The lesson's rows.

        Raises:
            OptionError: It has none.
        """
        return _needed(self.data)


@dataclass(frozen=True, eq=False)
class Lab:
    """What a lesson may use to try something beyond its variants.

    Attributes:
        data: The lesson's rows; None for a lesson without.
        seeds: The lesson's seeds.
        data_dir: Folder of tables that a person named, or None.
        train: Train variants, on the lesson's rows or on others.
        seconds_in_turns: Seconds that Keras' own `fit` takes for one epoch of each of some variants, timed as
            `caviar.teaching.timing.in_turns` does (variant, turn); `turns` and `times` are its own.
    """

    data: Data | None
    seeds: Sequence[int]
    data_dir: Path | None
    train: Callable[..., Seen]
    seconds_in_turns: Callable[..., np.ndarray]

    @property
    def rows(self) -> Data:
        """The lesson's rows.

        Raises:
            OptionError: It has none.
        """
        return _needed(self.data)

    def rng(self, place: int) -> np.random.Generator:
        """Random numbers that belong to the seed at this place: the same in every run."""
        return np.random.default_rng([20_211, self.seeds[place]])


def classes(outputs: np.ndarray) -> np.ndarray:
    """Class of each row from outputs (row, output).

    >>> classes(np.array([[0.2], [0.7]])), classes(np.array([[-1.0], [3.0]])), classes(np.array([[0.1, 0.9]]))
    (array([0, 1]), array([0, 1]), array([1]))
    """
    if outputs.shape[1] > 1:
        return np.asarray(outputs.argmax(axis=1))
    is_probability = bool(((outputs >= 0) & (outputs <= 1)).all())
    return np.asarray((outputs[:, 0] > (0.5 if is_probability else 0.0)).astype(int))


def _needed(data: Data | None) -> Data:
    if data is None:
        raise OptionError("Expected a lesson with rows, got one without. Give it data.")
    return data


def pairs(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first and the second of each two neighbours along the first axis: no value is in two pairs.

    >>> pairs(np.array([1, 2, 3, 4, 5]))
    (array([1, 3]), array([2, 4]))
    """
    even = len(values) // 2 * 2
    return values[:even:2], values[1:even:2]


def along(curves: np.ndarray, reached: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Curves at points of an axis other than epochs, such as updates or seconds.

    Args:
        curves: One value per epoch (seed, epoch).
        reached: How far each epoch was (epoch,), rising.
        x: Where the curves are wanted (point,).

    Returns:
        Values (seed, point), on straight lines between epochs; NaN before the first and after the last.

    >>> along(np.array([[1.0, 3.0]]), np.array([10.0, 20.0]), np.array([5.0, 15.0, 30.0]))
    array([[nan,  2., nan]])
    """
    return np.array([np.interp(x, reached, curve, left=np.nan, right=np.nan) for curve in curves])


def _over_folds(curves: np.ndarray, measure: Callable[[np.ndarray], Any]) -> np.ndarray:
    """A measure of each curve until its stop, averaged over folds (seed,); NaN for one that has no end."""
    return np.array([[_measured(curve, measure) for curve in folds] for folds in curves]).mean(axis=1)


def _measured(curve: np.ndarray, measure: Callable[[np.ndarray], Any]) -> float:
    seen = np.flatnonzero(~np.isnan(curve))
    return float(measure(curve[: seen[-1] + 1])) if len(seen) else float("nan")


def _first(true: np.ndarray) -> int:
    return int(np.argmax(true)) if true.any() else len(true)
