"""How the learning rate moves from one update to the next: the schedules that Keras does not bring itself.

All are ordinary `keras.optimizers.schedules.LearningRateSchedule`s: give one to any optimizer as its `learning_rate`,
on any Keras backend, or call it with an update's number. They are saved with the model; import this module
before loading it, as Keras asks for every class that is not its own.

What Keras has is not repeated here. From `keras.optimizers.schedules` take `ExponentialDecay`, `PolynomialDecay`
(linear decay is its power 1), `CosineDecay` (with a warm-up of its own), `CosineDecayRestarts` and
`PiecewiseConstantDecay`; `WarmUp` goes in front of any of them.

An *update* is one gradient step; the first is number 0 (with `gradient_accumulation_steps`, Keras counts every batch).
A schedule that ends does so at update number `updates` and keeps that value from there on. Update numbers stay
whole for as long as possible and what nearly cancels is rewritten, so that float32 gives about six digits of every
rate, the tiny ones and the late ones included.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from numbers import Integral, Real
from typing import Any, Literal, get_args

import keras
import numpy as np
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

from caviar.errors import OptionError

Mode = Literal["triangular", "triangular2", "exp_range"]
Shape = Literal["cosine", "linear"]
Sweep = Literal["exponential", "linear"]

_MOST_UPDATES = 2**30  # twice as many still count in int32, the widest integer JAX has by default
_DIGIT = 256  # see _powers
_PLACES = 4


def step_size(updates_per_epoch: int, epochs: float = 4) -> int:
    """Half the length of a cycle, in updates, by the rule of two to ten times the updates of an epoch.

    Args:
        updates_per_epoch: Training rows divided by the batch size, rounded up.
        epochs: How many epochs the rate climbs before it falls for as many, 2 to 10.

    Source: Smith, *Cyclical learning rates for training neural networks*, WACV 2017, section 3.2.

    >>> step_size(29, epochs=8)
    232

    Raises:
        OptionError: `updates_per_epoch` is not a positive whole number, or `epochs` is outside 2 to 10.
    """
    per_epoch = _whole("updates_per_epoch", updates_per_epoch)
    factor = _number("epochs", epochs, lambda number: 2 <= number <= 10, "from 2 to 10")
    return round(per_epoch * factor)


@keras.saving.register_keras_serializable(package="caviar")
class Cyclical(LearningRateSchedule):
    """Climbs from `base` to `peak` and back on straight lines, again and again.

    Args:
        base: Rate at the foot of every cycle, 0 or more.
        peak: Rate at the top of the first cycle, above `base`.
        step_size: Updates from foot to top, half a cycle; the function `step_size` knows a rule.
        mode: `"triangular"`: all cycles are equal; `"triangular2"`: each is half as high as the one before;
            `"exp_range"`: the height shrinks by `gamma` with every update.
        gamma: For `"exp_range"` only, above 0 and at most 1, for example 0.99994.

    Source: Smith, *Cyclical learning rates for training neural networks*, WACV 2017.

    >>> schedule = Cyclical(base=0.25, peak=1.0, step_size=2, mode="triangular2")
    >>> [float(schedule(update)) for update in range(8)]
    [0.25, 0.625, 1.0, 0.625, 0.25, 0.4375, 0.625, 0.4375]

    Raises:
        OptionError: An argument is out of its range, or `gamma` does not go with the mode.
    """

    def __init__(
        self,
        base: float,
        peak: float,
        step_size: int,
        mode: Mode = "triangular",
        gamma: float | None = None,
    ) -> None:
        super().__init__()
        self.base = _at_least("base", base, 0)
        self.peak = _number("peak", peak, lambda number: number > self.base, f"above base={self.base:g}")
        self.step_size = _whole("step_size", step_size)
        self.mode = _one_of("mode", mode, get_args(Mode))
        if (gamma is None) == (mode == "exp_range"):
            raise OptionError(
                f"Expected gamma with mode 'exp_range' and with no other, got gamma={gamma!r} and mode={mode!r}. "
                f"{'Pass gamma, for example 0.99994' if gamma is None else 'Leave gamma out, or change the mode'}."
            )
        self.gamma = None if gamma is None else _shrinking("gamma", gamma)
        self._factors = _powers(0.5 if self.gamma is None else self.gamma)

    def __call__(self, step: Any) -> Any:  # noqa: ANN401 - a tensor or number, whatever the backend's tensors are
        """The rate of update number `step`, or of each in an array of them."""
        update = _update(step)
        cycle = ops.floor_divide(update, 2 * self.step_size)
        into = ops.mod(update, 2 * self.step_size)
        height = _share(ops.minimum(into, 2 * self.step_size - into), self.step_size)
        if self.mode != "triangular":
            height = height * _power(self._factors, cycle if self.mode == "triangular2" else update)
        return self.base + (self.peak - self.base) * height

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this schedule again."""
        return {
            "base": self.base,
            "peak": self.peak,
            "step_size": self.step_size,
            "mode": self.mode,
            "gamma": self.gamma,
        }


@keras.saving.register_keras_serializable(package="caviar")
class OneCycle(LearningRateSchedule):
    """Climbs to `peak` once and falls far below where it began.

    From `peak / start_divisor` at update 0 to `peak` after the share `rise` of the updates, then to
    `peak / start_divisor / final_divisor` at update `updates`, where it stays.

    Args:
        peak: Highest rate; the range test finds one.
        updates: How long it lasts, 2 or more: epochs times the updates of an epoch.
        rise: Share of the updates that climb, between 0 and 1; at least one update climbs and one falls.
        start_divisor: How far below `peak` it begins, 1 or more.
        final_divisor: How far below its beginning it ends, 1 or more.
        shape: `"cosine"` bends the two lines as half a cosine does, `"linear"` is the paper's.

    Source: Smith and Topin, *Super-convergence: very fast training of neural networks using large learning rates*,
    2018; the defaults are those of PyTorch's `OneCycleLR`.

    >>> schedule = OneCycle(peak=1.0, updates=8, rise=0.5, start_divisor=2, final_divisor=4, shape="linear")
    >>> [float(schedule(update)) for update in (0, 2, 4, 8, 100)]
    [0.5, 0.75, 1.0, 0.125, 0.125]

    Raises:
        OptionError: An argument is out of its range.
    """

    def __init__(
        self,
        peak: float,
        updates: int,
        rise: float = 0.3,
        start_divisor: float = 25.0,
        final_divisor: float = 1e4,
        shape: Shape = "cosine",
    ) -> None:
        super().__init__()
        self.peak = _positive("peak", peak)
        self.updates = _whole("updates", updates, least=2)
        self.rise = _number("rise", rise, lambda number: 0 < number < 1, "above 0 and below 1")
        self.start_divisor = _at_least("start_divisor", start_divisor, 1)
        self.final_divisor = _at_least("final_divisor", final_divisor, 1)
        self.shape = _one_of("shape", shape, get_args(Shape))
        self._top = min(max(round(self.updates * self.rise), 1), self.updates - 1)

    def __call__(self, step: Any) -> Any:  # noqa: ANN401
        """The rate of update number `step`, or of each in an array of them."""
        update = ops.minimum(_update(step), self.updates)
        start = self.peak / self.start_divisor
        final = start / self.final_divisor
        # Both heights are counted from the foot of their line: the end's small rates keep their digits.
        climbed = self._bend(_share(update, self._top))
        left = self._bend(_share(self.updates - update, self.updates - self._top))
        return ops.where(
            update < self._top, start + (self.peak - start) * climbed, final + (self.peak - final) * left
        )

    def _bend(self, share: Any) -> Any:  # noqa: ANN401
        # sin² is (1 - cos) / 2 of twice the angle without the difference that cancels near the foot.
        return share if self.shape == "linear" else ops.square(ops.sin(math.pi / 2 * share))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this schedule again."""
        return {
            "peak": self.peak,
            "updates": self.updates,
            "rise": self.rise,
            "start_divisor": self.start_divisor,
            "final_divisor": self.final_divisor,
            "shape": self.shape,
        }


@keras.saving.register_keras_serializable(package="caviar")
class StepDecay(LearningRateSchedule):
    """Multiplies the rate by `factor` after every `every` updates.

    Args:
        initial: Rate of the first updates, above 0.
        factor: Above 0 and at most 1.
        every: Updates that share one rate.

    Keras' `ExponentialDecay(..., staircase=True)` is the same in exact arithmetic; this one keeps its digits when
    the exponent is large.

    >>> schedule = StepDecay(initial=1.0, factor=0.5, every=2)
    >>> [float(schedule(update)) for update in range(6)]
    [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]

    Raises:
        OptionError: An argument is out of its range.
    """

    def __init__(self, initial: float, factor: float, every: int) -> None:
        super().__init__()
        self.initial = _positive("initial", initial)
        self.factor = _shrinking("factor", factor)
        self.every = _whole("every", every)
        self._factors = _powers(self.factor)

    def __call__(self, step: Any) -> Any:  # noqa: ANN401
        """The rate of update number `step`, or of each in an array of them."""
        return self.initial * _power(self._factors, ops.floor_divide(_update(step), self.every))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this schedule again."""
        return {"initial": self.initial, "factor": self.factor, "every": self.every}


@keras.saving.register_keras_serializable(package="caviar")
class WarmUp(LearningRateSchedule):
    """Climbs on a straight line to where another schedule begins, and then hands over to it.

    Update number `updates` is the other schedule's update 0.

    Args:
        schedule: What follows: any Keras schedule, or a number that stays.
        updates: How many updates the climb takes.
        start: Rate of update 0. At 0, as in Keras' `CosineDecay`, that update moves no weight.

    Source: Goyal et al., *Accurate, large minibatch SGD: training ImageNet in 1 hour*, 2017, section 2.2.

    >>> schedule = WarmUp(StepDecay(initial=1.0, factor=0.5, every=2), updates=4)
    >>> [float(schedule(update)) for update in range(8)]
    [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 0.5, 0.5]

    Raises:
        OptionError: An argument is out of its range, or `schedule` is neither a schedule nor a number.
    """

    def __init__(self, schedule: LearningRateSchedule | float, updates: int, start: float = 0.0) -> None:
        super().__init__()
        if not isinstance(schedule, LearningRateSchedule):
            schedule = _positive("schedule", schedule, "a Keras schedule or a number")
        self.schedule = schedule
        self.updates = _whole("updates", updates)
        self.start = _at_least("start", start, 0)

    def __call__(self, step: Any) -> Any:  # noqa: ANN401
        """The rate of update number `step`; of each in an array where the schedule that follows takes one."""
        update = _update(step)
        follows = self._following(ops.maximum(update - self.updates, 0))
        first = self._following(ops.zeros((), "int32"))
        climbed = ops.minimum(update, self.updates)
        # The mean of both ends: a difference of nearly equal ones would lose digits.
        climbing = self.start * _share(self.updates - climbed, self.updates) + first * _share(
            climbed, self.updates
        )
        return ops.where(update < self.updates, climbing, follows)

    def _following(self, update: Any) -> Any:  # noqa: ANN401
        rate = self.schedule(update) if isinstance(self.schedule, LearningRateSchedule) else self.schedule
        return ops.cast(rate, "float32")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this schedule again, a schedule among them in Keras' serialized form."""
        schedule = self.schedule
        if isinstance(schedule, LearningRateSchedule):
            schedule = keras.saving.serialize_keras_object(schedule)
        return {"schedule": schedule, "updates": self.updates, "start": self.start}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "WarmUp":
        """The schedule that `get_config` describes."""
        schedule = config["schedule"]
        if isinstance(schedule, dict):
            schedule = keras.saving.deserialize_keras_object(schedule)
        return cls(**{**config, "schedule": schedule})


@keras.saving.register_keras_serializable(package="caviar")
class CosLog(LearningRateSchedule):
    """Rises from 0 to `peak` and falls to 0 in `cycles` waves, each twice as long as the one before.

    `peak * 1/2 (1 - cos(2 pi log2(1 + (2**cycles - 1) t)))` with t = update / `updates`: with four cycles, the default,
    RealMLP's coslog4. From update `updates` on the rate is 0 and training stands still.

    Args:
        peak: Top of every wave, above 0.
        updates: How long it lasts: epochs times the updates of an epoch.
        cycles: Number of waves, 1 to 30.

    Source: Holzmüller, Grinsztajn and Steinwart, *Better by default: strong pre-tuned MLPs and boosted trees on
    tabular data*, NeurIPS 2024.

    >>> schedule = CosLog(peak=0.2, updates=15)
    >>> [float(schedule(update)) for update in (0, 1, 3, 7, 15, 100)]
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    >>> round(float(schedule(2)), 4)
    0.1861

    Raises:
        OptionError: An argument is out of its range.
    """

    def __init__(self, peak: float, updates: int, cycles: int = 4) -> None:
        super().__init__()
        self.peak = _positive("peak", peak)
        self.updates = _whole("updates", updates)
        self.cycles = _whole("cycles", cycles, most=30)
        # The wave is zero where the logarithm is whole: number j at update (2**j - 1) / (2**cycles - 1) of all, kept as
        # the nearest whole update and the rest. Near a zero the distance to it is exact, and so is the small rate.
        longest = 2**self.cycles - 1
        zeros = [Fraction(self.updates * (2**j - 1), longest) for j in range(self.cycles + 1)]
        self._zeros = np.array([round(zero) for zero in zeros], np.int32)
        self._rest = np.array([float(zero - round(zero)) for zero in zeros], np.float32)
        self._slope = np.array([longest / (self.updates * 2**j) for j in range(self.cycles + 1)], np.float32)
        # Half way between two zeros, on the logarithm, the next one is the nearer.
        self._turns = np.array(
            [math.ceil(self.updates * (2 ** (j + 0.5) - 1) / longest) for j in range(self.cycles)], np.int32
        )

    def __call__(self, step: Any) -> Any:  # noqa: ANN401
        """The rate of update number `step`, or of each in an array of them."""
        update = ops.minimum(_update(step), self.updates)
        passed = ops.greater_equal(ops.expand_dims(update, -1), self._turns)
        nearest = ops.sum(ops.cast(passed, "int32"), axis=-1)  # which of the zeros
        distance = ops.cast(update - ops.take(self._zeros, nearest), "float32")
        distance = distance - ops.take(self._rest, nearest)
        # The logarithm's own distance from a whole number; (1 - cos) / 2 is sin² of half the angle.
        beyond = ops.log1p(distance * ops.take(self._slope, nearest)) / math.log(2)
        return self.peak * ops.square(ops.sin(math.pi * beyond))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this schedule again."""
        return {"peak": self.peak, "updates": self.updates, "cycles": self.cycles}


@keras.saving.register_keras_serializable(package="caviar")
class RangeSweep(LearningRateSchedule):
    """Climbs from `low` to `high` within one training: the classic learning-rate range test.

    Update 0 has the rate `low`, update `updates - 1` the rate `high`, and so have all that follow.

    Args:
        low: Rate of the first update, above 0.
        high: Rate of the last one, above `low`.
        updates: How many updates the climb takes, 2 or more.
        sweep: `"exponential"`: the same factor from each update to the next; `"linear"`: the same difference.

    Source: Smith, *Cyclical learning rates for training neural networks*, WACV 2017, section 3.3 (linear).

    >>> [round(float(RangeSweep(low=0.01, high=1.0, updates=3)(update)), 4) for update in (0, 1, 2, 9)]
    [0.01, 0.1, 1.0, 1.0]

    Raises:
        OptionError: An argument is out of its range.
    """

    def __init__(self, low: float, high: float, updates: int, sweep: Sweep = "exponential") -> None:
        super().__init__()
        self.low = _positive("low", low)
        self.high = _number("high", high, lambda number: number > self.low, f"above low={self.low:g}")
        self.updates = _whole("updates", updates, least=2)
        self.sweep = _one_of("sweep", sweep, get_args(Sweep))

    def __call__(self, step: Any) -> Any:  # noqa: ANN401
        """The rate of update number `step`, or of each in an array of them."""
        last = self.updates - 1
        update = ops.minimum(_update(step), last)
        climbed, left = _share(update, last), _share(last - update, last)
        if self.sweep == "linear":
            return self.low * left + self.high * climbed
        # From the nearer end: the exponent, and with it its rounding error, is half as large.
        reach = math.log(self.high / self.low)
        return ops.where(
            climbed < left, self.low * ops.exp(reach * climbed), self.high * ops.exp(-reach * left)
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this schedule again."""
        return {"low": self.low, "high": self.high, "updates": self.updates, "sweep": self.sweep}


def _update(step: Any) -> Any:  # noqa: ANN401
    return ops.cast(step, "int32")


def _share(part: Any, whole: int) -> Any:  # noqa: ANN401
    return ops.cast(part, "float32") / whole


def _powers(base: float) -> np.ndarray:
    """`base` to the power of every digit at every place of an exponent that is written in base 256.

    `base ** 1_000_000` from float32 numbers is off by percents where `base` is near 1: its rounding error is raised
    to that power as well. One factor per digit, each rounded once, keeps the product within half a millionth.
    """
    digits = np.arange(_DIGIT, dtype=np.float64)
    places = float(_DIGIT) ** np.arange(_PLACES)
    return np.power(base, digits * places[:, None]).astype(np.float32)


def _power(powers: np.ndarray, exponent: Any) -> Any:  # noqa: ANN401
    digits = (ops.mod(ops.floor_divide(exponent, _DIGIT**place), _DIGIT) for place in range(_PLACES))
    return math.prod(ops.take(powers[place], digit) for place, digit in enumerate(digits))


def _whole(name: str, value: object, least: int = 1, most: int = _MOST_UPDATES) -> int:
    number = int(value) if not isinstance(value, bool) and isinstance(value, Integral) else least - 1
    if not least <= number <= most:
        raise OptionError(
            f"Expected {name} as a whole number from {least} to {most}, got {value!r}. Pass such a number."
        )
    return number


def _number(
    name: str, value: object, fits: Callable[[float], bool], range_: str, kind: str = "a number"
) -> float:
    number = float(value) if not isinstance(value, bool) and isinstance(value, Real) else math.nan
    if not (math.isfinite(number) and fits(number)):
        raise OptionError(f"Expected {name} as {kind} {range_}, got {value!r}. Pass one in this range.")
    return number


def _at_least(name: str, value: object, least: float) -> float:
    return _number(name, value, lambda number: number >= least, f"of {least:g} or more")


def _shrinking(name: str, value: object) -> float:
    return _number(name, value, lambda number: 0 < number <= 1, "above 0 and at most 1")


def _positive(name: str, value: object, kind: str = "a number") -> float:
    return _number(name, value, lambda number: number > 0, "above 0", kind)


def _one_of(name: str, value: object, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise OptionError(
            f"Expected {name} to be one of {', '.join(map(repr, choices))}, got {value!r}. Choose one of them."
        )
    return str(value)
