"""How well does the recipe learn labels that mean nothing?"""

import numpy as np

from caviar.diagnose.results import Permuted
from caviar.experiments.contract import Ground, Seen
from caviar.experiments.members import train_extra
from caviar.measuring.measure import seats_for
from caviar.measuring.trial import expected_steps

MEMBERS = 3
"""Seeds of the first fold."""


def worth(seen: Seen) -> bool:
    """Whether a network that learns may do so by heart, or there may be nothing to learn."""
    faults = (
        "overfitting",
        "missing_regularisation",
        "corrupted_labels",
        "train_set_too_small",
        "epochs_too_many",
    )
    if seen.record.area == "learning":  # first things first
        return False
    return seen.record.area == "no signal" or seen.has(*faults)


def steps(ground: Ground) -> int:
    """Gradient steps of all members."""
    bench = ground.bench
    return round(expected_steps(bench, ground.arm.recipe) * MEMBERS / len(bench.splits))


def permuted_labels(ground: Ground) -> Permuted:
    """Deal the targets out anew and train the recipe as it is."""
    bench, recipe = ground.bench, ground.arm.recipe
    dealt = np.random.default_rng(bench.seed).permutation(bench.dataset.n_rows)
    seats, _ = seats_for(bench, recipe, [MEMBERS] + [0] * (len(bench.splits) - 1))
    fitting, trained = train_extra(ground, recipe, seats, dealt=dealt, ask_fit=True)
    fit_scores: list[float] = []
    held_out_scores: list[float] = []
    for seat, outputs in zip(seats, trained.outputs, strict=True):
        said = bench.prepared(recipe.preparation)[seat.split].restore(fitting.predictions(outputs))
        count = len(seat.scored)
        weight = bench.dataset.weight
        for scores, rows, targets, values in (
            (held_out_scores, seat.scored, seat.scored, said[:count]),
            (fit_scores, seat.fit, dealt[seat.fit], said[count:]),
        ):
            heavy = None if weight is None else weight[rows]
            scores.append(bench.metric.score(bench.dataset.target[targets], values, heavy))
    return Permuted(np.array(fit_scores), np.array(held_out_scores))


def in_words(yielded: Permuted) -> str:
    """What came out."""
    return (
        f"With labels dealt out at random the network scores {np.nanmedian(yielded.fit_scores):.3g} on its training "
        f"rows and {np.nanmedian(yielded.held_out_scores):.3g} on held-out ones (median)."
    )
