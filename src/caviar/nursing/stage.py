"""One stage of a nursed training: members go on from given states, under settings that hold until its end."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from caviar.data.dataset import Dataset
from caviar.data.prepare import Prepared
from caviar.nursing.settings import Settings, lifted_numbers, set_into
from caviar.population.job import Job, MemberValues, Monitor, Seat, Trained
from caviar.population.train import NotTogether, train
from caviar.recipe.recipe import Recipe
from caviar.training.fitting import Fitting, make_fitting


@dataclass(frozen=True)
class Stage:
    """Epochs `first` (not yet trained, from 0) to `last` under the same settings.

    Attributes:
        first: Epochs that are done when it begins.
        last: Epochs that are done when it ends.
        settings: What holds meanwhile.
    """

    first: int
    last: int
    settings: Settings


@dataclass(frozen=True, eq=False)
class Members:
    """Who is trained, on which rows.

    Attributes:
        recipe: As it began.
        dataset: The table.
        x: Inputs (split, row, input).
        prepared: The preparation of each split.
        seats: Seeds and rows.
        places: Split and number of each seat.
        spread: How members are spread over a step (`Job.spread`).
    """

    recipe: Recipe
    dataset: Dataset
    x: np.ndarray
    prepared: Sequence[Prepared]
    seats: list[Seat]
    places: list[tuple[int, int]]
    spread: str = "vmap"
    _alone: list[str] = field(default_factory=list, init=False)

    def fitting(self, settings: Settings) -> Fitting:
        """The recipe under these settings, matched with the rows.

        Raises:
            OptionError: Its network has nothing that a setting could change.
            ModelError: It does not fit the table.
        """
        recipe = set_into(self.recipe, settings)
        fitting = make_fitting(
            recipe,
            self.dataset,
            self.x,
            self.prepared,
            self.seats,
            self.places,
            ask_fit=False,
            show=False,
        )
        return replace(fitting, job=replace(fitting.job, spread=self.spread))

    def train(
        self,
        stage: Stage,
        begun: Sequence[MemberValues] | None,
        monitor: Monitor | None = None,
    ) -> tuple[Fitting, Trained]:
        """Train all members for one stage.

        Args:
            stage: Which epochs, and what is set.
            begun: Their states at its beginning; None for first weights.
            monitor: Told of progress; may end the stage early.

        Returns:
            How outputs are read, and what training gave.
        """
        fitting = self.fitting(stage.settings)
        job = replace(fitting.job, initial_epoch=stage.first, epochs=stage.last, begun=begun)
        return fitting, self._trained(job, fitting, monitor)

    def _trained(self, job: Job, fitting: Fitting, monitor: Monitor | None) -> Trained:
        if not self._alone:
            own = lifted_numbers(fitting.build, job.sample())
            several = {key: [value] * len(job.seats) for key, value in own.items()}
            try:
                return train(replace(job, numbers=several), monitor)
            except NotTogether as reason:  # numbers of its own are for populations
                self._alone.append(str(reason))
        return train(job, monitor)
