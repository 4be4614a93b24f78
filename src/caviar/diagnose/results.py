"""What experiments yield: the numbers that only trying gives."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from caviar.evaluate.rates import from_which_on


@dataclass(frozen=True, eq=False)
class OneBatch:
    """How well the network fits a single batch that it is trained on again and again.

    Attributes:
        rates: Learning rates that were tried, ascending (rate,).
        fit: Share of the way from a constant answer to a perfect one (rate, seed); NaN where training failed.
        rows: Rows of the batch.
        steps: Gradient steps.
    """

    rates: np.ndarray
    fit: np.ndarray
    rows: int
    steps: int

    @property
    def best(self) -> float:
        """The median over seeds under the rate where that is highest; a failed training counts as 0."""
        return float(np.median(np.nan_to_num(self.fit, nan=0.0), axis=1).max())


@dataclass(frozen=True, eq=False)
class Permuted:
    """How well the same recipe learns targets that were dealt out anew at random.

    Attributes:
        fit_scores: Deciding score on the training rows and the targets dealt to them (member,).
        held_out_scores: Deciding score on held-out rows and their true targets: what is scored by chance (member,).
    """

    fit_scores: np.ndarray
    held_out_scores: np.ndarray


@dataclass(frozen=True, eq=False)
class RangeTest:
    """What learning rates over many orders of magnitude lead to, all else being equal.

    Attributes:
        rates: Ascending (rate,); one of them is the recipe's own.
        own: The recipe's own rate; its size where it is negative.
        losses: Held-out loss at the end (rate, seed); NaN where training failed.
        starts: Held-out loss of a network that has hardly learned (seed,).
        epochs: Passes over the training rows.
    """

    rates: np.ndarray
    own: float
    losses: np.ndarray
    starts: np.ndarray
    epochs: int

    @property
    def start(self) -> float:
        """Held-out loss of a network that has hardly learned, mean over seeds."""
        return float(self.starts.mean())

    def diverged(self, *, factor: float = 2.0) -> np.ndarray:
        """Rates at which a training fails or ends above so many times where it began (rate,)."""
        return ~(np.isfinite(self.losses) & (self.losses <= factor * abs(self.start))).all(axis=1)

    @property
    def edge(self) -> float | None:
        """The lowest rate from which on all diverge; None where the highest does not."""
        edge = from_which_on(self.diverged())
        return None if edge is None else float(self.rates[edge])

    @property
    def best(self) -> float | None:
        """The rate with the lowest mean loss; None where all diverge."""
        means = self._means()
        return float(self.rates[means.argmin()]) if np.isfinite(means).any() else None

    def alike(self, *, level: float = 0.95, share: float = 0.02) -> np.ndarray:
        """Which rates cannot be told apart from the best one (rate,).

        Rates are compared by the share of the best one's way, from each seed's own start, that they do not go: losses
        of trainings that hardly learn differ by their first weights, which says nothing about the rate.

        Args:
            level: Of the interval of a rate's difference from the best one, paired by seed.
            share: Of what the best one gains over the start: differences up to this count as none, as in a trial.
        """
        means = self._means()
        if not np.isfinite(means).any():
            return np.zeros(len(means), bool)
        best = int(means.argmin())
        seeds = self.losses.shape[1]
        way = self.starts - self.losses[best]
        way = (
            way if (way > 0).all() else np.ones(seeds)
        )  # a best one that a seed does not learn with has no way
        with np.errstate(invalid="ignore"):
            behind = (self.losses - self.losses[best]) / way
            gap = behind.mean(axis=1)
            error = behind.std(axis=1, ddof=1) / np.sqrt(seeds) if seeds > 1 else np.zeros(len(gap))
        room = stats.t.ppf((1 + level) / 2, max(1, seeds - 1)) * error
        least = share * max(self.start - means[best], 0.0) / way.mean()
        return np.isfinite(means) & ((gap <= least) | (gap <= room))

    def prefers(self, *, times: float = 3.0) -> float | None:
        """The best rate where it is surely better than the recipe's own, and this many times larger or smaller."""
        best, own = self.best, int(np.abs(np.log(self.rates / self.own)).argmin())
        if best is None or self.alike()[own] or max(best / self.own, self.own / best) < times * 0.999:
            return None
        return best

    def in_words(self) -> str:
        """What it says, in a sentence."""
        best = self.best
        if best is None:
            return "In a range test every rate diverges."
        alike = self.rates[self.alike()]
        span = f"; {alike.min():.2g} to {alike.max():.2g} cannot be told apart" if len(alike) > 1 else ""
        edge = "" if self.edge is None else f"; from {self.edge:.2g} on training diverges"
        return f"A range test would choose {best:.2g}{span}{edge}."

    def numbers(self) -> dict[str, float]:
        """The same in numbers, as far as there are any."""
        alike = self.rates[self.alike()]
        known = {
            "rate of a range test": self.best,
            "lowest rate that cannot be told apart": float(alike.min()) if len(alike) else None,
            "highest": float(alike.max()) if len(alike) else None,
            "rate from which on training diverges": self.edge,
        }
        return {name: value for name, value in known.items() if value is not None}

    def _means(self) -> np.ndarray:
        """Mean loss of each rate (rate,); infinite where it diverges."""
        return np.where(
            self.diverged(), np.inf, np.where(np.isfinite(self.losses), self.losses, 0).mean(axis=1)
        )


@dataclass(frozen=True)
class Differences:
    """How the gradients that a training step follows compare with differences of its loss, in double precision.

    Attributes:
        errors: By weight array, the relative error of its slope along random directions (median).
        slope: Slope of the loss along the whole gradient that the step takes off the weights, over that gradient's
            norm: 1 where it is the loss's own; below 0 the step climbs.
        rows: Rows of the batch.
    """

    errors: dict[str, float]
    slope: float
    rows: int
