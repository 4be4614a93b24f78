"""Which epochs' states are kept, so that a training can go back, in memory that is bounded."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from caviar.population.job import MemberValues

BUDGET = 256 * 2**20
"""Bytes of states that are kept."""


@dataclass
class States:
    """States by branch and epoch; when they fill their room, those in the densest places leave first.

    The last state of every branch stays: what comes before it can be trained again.

    Attributes:
        budget: Bytes.
    """

    budget: int = BUDGET
    _kept: dict[tuple[str, int], list[MemberValues]] = field(default_factory=dict)
    _bytes: dict[tuple[str, int], int] = field(default_factory=dict)

    def keep(self, branch: str, epoch: int, states: Sequence[MemberValues]) -> None:
        """Keep what training gave at the end of an epoch.

        Args:
            branch: Its branch.
            epoch: Epochs done.
            states: Per member.
        """
        self._kept[branch, epoch] = list(states)
        self._bytes[branch, epoch] = sum(a.nbytes for one in states for group in one for a in group)
        while sum(self._bytes.values()) > self.budget and (least := self._least_missed()) is not None:
            del self._kept[least], self._bytes[least]

    def epochs(self, branch: str) -> list[int]:
        """Epochs of a branch whose state is kept, ascending."""
        return sorted(epoch for name, epoch in self._kept if name == branch)

    def at(self, branch: str, epoch: int) -> list[MemberValues]:
        """What was kept."""
        return self._kept[branch, epoch]

    def _least_missed(self) -> tuple[str, int] | None:
        """The state whose neighbours are nearest; None where only last ones are left."""
        gaps: dict[tuple[str, int], int] = {}
        for branch in {name for name, _ in self._kept}:
            epochs = self.epochs(branch)
            for before, epoch, after in zip([0, *epochs], epochs, epochs[1:], strict=False):
                gaps[branch, epoch] = after - before
        return min(gaps, key=lambda key: (gaps[key], key[1])) if gaps else None
