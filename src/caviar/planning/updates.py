"""How many batches, updates and trainings does a plan come to? Plain counting, before anything is trained."""

from collections import Counter
from dataclasses import dataclass

from caviar.errors import OptionError


@dataclass(frozen=True)
class Batches:
    """An epoch's batches.

    Attributes:
        size: Rows of a full batch.
        full: How many full batches there are.
        last: Rows of the smaller batch at the end; 0 if there is none.

    >>> batches(103, 5)
    Batches(size=5, full=20, last=3)
    >>> batches(103, 5).count, batches(103, 5).rows
    (21, 103)
    """

    size: int
    full: int
    last: int

    @property
    def count(self) -> int:
        """Updates of the weights in an epoch: one per batch."""
        return self.full + (self.last > 0)

    @property
    def rows(self) -> int:
        """Rows of all batches together."""
        return self.full * self.size + self.last


def batches(rows: int, batch_size: int) -> Batches:
    """How so many rows fall into batches.

    >>> batches(200, 5).count
    40
    """
    return Batches(batch_size, *divmod(rows, batch_size))


def shortened(rows: int, batch_size: int, most: int) -> int:
    """Rows of at most so many batches: full ones are left out, the last one stays as it is.

    >>> shortened(103, 5, 3), shortened(103, 5, 100)
    (13, 103)
    """
    return rows - max(0, batches(rows, batch_size).count - most) * batch_size


@dataclass(frozen=True)
class Workload:
    """What a plan asks for. Make one with `workload`, which checks it.

    Attributes:
        rows: Rows of the table.
        batch_size: Rows per update.
        epochs: Passes over the training rows.
        folds: Folds of the cross-validation; None to train on all rows.
        repeats: Repeats of it.
        seeds: Seeds of each.
        trials: Settings that are tried.
    """

    rows: int
    batch_size: int
    epochs: int
    folds: int | None = None
    repeats: int = 1
    seeds: int = 1
    trials: int = 1

    @property
    def trainings(self) -> int:
        """Networks that are trained."""
        return (self.folds or 1) * self.repeats * self.seeds * self.trials

    @property
    def training_rows(self) -> dict[int, int]:
        """How many trainings there are by the rows that they train on, the largest first.

        Folds are as equal as they can be; each training leaves one of them out.

        >>> Workload(200, 5, 10, folds=3).training_rows
        {134: 1, 133: 2}
        """
        if self.folds is None:
            return {self.rows: self.trainings}
        least, larger = divmod(self.rows, self.folds)
        each = self.trainings // self.folds
        held_out = Counter({least: (self.folds - larger) * each, least + 1: larger * each})
        return {self.rows - held: count for held, count in sorted(held_out.items()) if count}

    @property
    def batches(self) -> Batches:
        """An epoch of the training with the most rows."""
        return batches(max(self.training_rows), self.batch_size)

    @property
    def updates_each(self) -> int:
        """Updates of the training with the most rows."""
        return self.epochs * self.batches.count

    @property
    def updates(self) -> int:
        """Updates of all trainings together."""
        return self.epochs * sum(
            count * batches(rows, self.batch_size).count for rows, count in self.training_rows.items()
        )

    @property
    def method(self) -> str:
        """What gradient descent with batches of this size is called.

        >>> [Workload(200, size, 1).method.split()[0] for size in (200, 1, 5)]
        ['batch', 'stochastic', 'mini-batch']
        """
        if list(self.training_rows) == [self.batch_size]:
            return "batch gradient descent"
        return f"{'stochastic' if self.batch_size == 1 else 'mini-batch'} gradient descent"


def workload(
    rows: int,
    batch_size: int,
    epochs: int,
    *,
    folds: int | None = None,
    repeats: int = 1,
    seeds: int = 1,
    trials: int = 1,
) -> Workload:
    """A plan whose numbers make sense; arguments as the attributes of `Workload`.

    Raises:
        OptionError: A number is too small, there are more folds than rows, or a batch is larger than what a
            training has.

    >>> plan = workload(200, 5, 1000)
    >>> plan.batches.count, plan.updates, plan.method
    (40, 40000, 'mini-batch gradient descent')
    """
    least = {"rows": rows, "epochs": epochs, "repeats": repeats, "seeds": seeds, "trials": trials}
    for name, number in least.items():
        if number < 1:
            raise OptionError(f"Expected --{name} to be at least 1, got {number}. Give a larger number.")
    if folds is not None and not 2 <= folds <= rows:
        raise OptionError(
            f"Expected 2 <= folds <= rows, got {folds} folds of {rows:,} rows. Change --folds, or leave it out to "
            f"train on all rows."
        )
    plan = Workload(rows, batch_size, epochs, folds, repeats, seeds, trials)
    fewest = min(plan.training_rows)
    if not 1 <= batch_size <= fewest:
        of = f", which are {fewest:,} of {rows:,} with {folds} folds" if folds is not None else ""
        raise OptionError(
            f"Expected 1 <= batch <= rows of a training{of}, got a batch of {batch_size:,} and {fewest:,} rows. Change "
            f"--batch: {fewest:,} would be batch gradient descent."
        )
    return plan
