"""What do the networks of a recipe say by themselves, and which of them need not be trained again?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from caviar.data.prepare import Prepared
from caviar.population.job import Seat, Trained, named_as
from caviar.recipe.recipe import Recipe
from caviar.training.fitting import Fitting

Place = tuple[int, int]
"""The split of a member, and the how-manyth of that split it is."""


def training_of(recipe: Recipe) -> Recipe:
    """What of a recipe decides how one of its networks is trained: without names, averages and thresholds."""
    return replace(
        recipe,
        name="",
        title="",
        changes=(),
        ensemble=1,
        blended_with=(),
        tunes_threshold=False,
        class_errors=(),
        tested_rate=None,
    )


@dataclass(frozen=True, eq=False)
class Networks:
    """Trained networks, member by member, as what they say.

    Attributes:
        places: Split and how-manyth of it, in the members' order.
        seats: Their seeds and rows.
        held_out: What each predicts for the rows that were held out (row, class or output).
        fitted: The same for its training rows, of the first member of each split, where somebody asked.
        history: Curves (member, epoch).
        epochs: For how many they were trained.
        parameters: Numbers that one of them holds.
        engine: What trained them, as in `Trained`.
        fixed: Variables whose seed the builder fixed.
        probes: What went on inside them, where asked for.
        seconds: What training them took, whenever that was.
    """

    places: list[Place]
    seats: list[Seat]
    held_out: list[np.ndarray]
    fitted: list[np.ndarray | None]
    history: xr.Dataset
    epochs: int
    parameters: int
    engine: str
    fixed: tuple[str, ...]
    probes: xr.Dataset | None
    seconds: float

    def at(self, places: Sequence[Place], seats: Sequence[Seat], *, show: bool) -> "Networks":
        """Some of these, as members that need not be trained again.

        Args:
            places: Which ones, in this order.
            seats: Where they sit now.
            show: Whether curves of the held-out rows are wanted too.
        """
        chosen = [self.places.index(place) for place in places]
        seconds = self.seconds * len(chosen) / len(self.places)
        logs = self.history if show else self.history.drop_vars([n for n in self.history if _is_shown(n)])
        return replace(
            self,
            places=list(places),
            seats=list(seats),
            held_out=[self.held_out[i] for i in chosen],
            fitted=[self.fitted[i] for i in chosen],
            history=logs.isel(member=chosen)
            .assign_coords(
                repeat=("member", [seat.repeat for seat in seats]),
                fold=("member", [seat.fold for seat in seats]),
            )
            .assign_attrs(seconds=seconds),
            probes=None,
            seconds=seconds,
        )

    def knows(self, place: Place, seat: Seat, *, ask_fit: bool, show: bool) -> bool:
        """Whether all that is asked of a member is known.

        Args:
            place: Which one.
            seat: Its seed and rows: others make another network.
            ask_fit: Whether the first member of each split is asked about its training rows.
            show: Whether curves of the held-out rows are wanted.
        """
        if place not in self.places or (show and not any(map(_is_shown, self.history))):
            return False
        at = self.places.index(place)
        return _is_same(self.seats[at], seat) and (not ask_fit or place[1] > 0 or self.fitted[at] is not None)


def _is_same(one: Seat, other: Seat) -> bool:
    """Whether two seats have the same seed and rows, wherever they stand in their jobs."""
    return one.seed == other.seed and all(
        np.array_equal(getattr(one, rows), getattr(other, rows)) for rows in ("fit", "watch", "scored")
    )


def parameters_of(trained: Trained) -> int:
    """Numbers that one trained network holds."""
    return sum(values.size for group in trained.states[0][:2] for values in group)


def _is_shown(name: object) -> bool:
    return str(name).startswith("held_out_")


def heard(
    fitting: Fitting, trained: Trained, places: Sequence[Place], prepared: Sequence[Prepared]
) -> Networks:
    """Ask trained networks what they say.

    Args:
        fitting: What was trained.
        trained: What training gave.
        places: Of the members, as the whole bench counts splits.
        prepared: The preparation of each split.
    """
    held_out, fitted = [], []
    for seat, (_, k), outputs in zip(fitting.job.seats, places, fitting.outputs(trained), strict=True):
        values = prepared[seat.split].restore(fitting.predictions(outputs))
        # Copies: views would keep what every member says of its training rows.
        held_out.append(values[: len(seat.scored)].copy())
        fitted.append(values[len(seat.scored) :].copy() if fitting.job.ask_fit and k == 0 else None)
    return Networks(
        *(list(places), list(fitting.job.seats), held_out, fitted),
        history=trained.history,
        epochs=trained.epochs,
        parameters=parameters_of(trained),
        engine=trained.engine,
        fixed=trained.fixed,
        probes=trained.probes,
        seconds=trained.seconds,
    )


def together(places: Sequence[Place], known: Networks, new: Networks) -> Networks:
    """Those that were known and those that were trained for it, in the order of their places."""
    every = [*known.places, *new.places]
    order = [every.index(place) for place in places]
    held_out, fitted = known.held_out + new.held_out, known.fitted + new.fitted
    logs = [known.history, named_as(new.history, known.history)]
    history = xr.concat(logs, "member", combine_attrs="drop", join="exact")
    seconds = known.seconds + new.seconds
    return replace(
        new,
        places=list(places),
        seats=[(known.seats + new.seats)[i] for i in order],
        held_out=[held_out[i] for i in order],
        fitted=[fitted[i] for i in order],
        history=history.isel(member=order).assign_attrs(new.history.attrs | {"seconds": seconds}),
        seconds=seconds,
    )
