"""Does the result depend on the seed?"""

import numpy as np

from caviar.diagnose.contract import Check, Clear, Found, NotApplicable, Outcome
from caviar.diagnose.evidence import Evidence


def depends_on_the_seed(evidence: Evidence, *, share: float = 0.1, flips: float = 0.1) -> Outcome:
    """Equal recipes with other seeds give clearly different results on the same rows.

    Args:
        evidence: What was measured.
        share: The seed's standard deviation must surely exceed this share of the distance from no skill to the
            best that anything reached, and the region of practical equivalence. Two seeds then typically differ by
            14 % of all there is to learn, seven times what counts as a difference. Sound networks of 10 to 30 units
            reached 5 to 8 % on tables of 270 to 700 rows.
        flips: Or it must exceed it by its estimate alone, while this share of rows changes its predicted class.
    """
    if evidence.spread is None or evidence.seed_scores is None:
        return NotApplicable("only one seed was trained per fold")
    seed = evidence.spread.seed
    if not np.isfinite(seed.value):
        return NotApplicable("too few trainings ended with finite scores")
    limit = max(evidence.rope, share * evidence.distance)
    numbers = {
        "standard deviation due to the seed": seed.value,
        "standard deviation due to the split": evidence.spread.split.value,
        "limit": limit,
    }
    if evidence.flips is not None:
        numbers["rows whose class flips between seeds"] = evidence.flips
    flipped = (
        "" if evidence.flips is None else f"; {evidence.flips:.1%} of the rows change class with the seed"
    )
    sentence = (
        f"Another seed moves {evidence.metric} on the same rows by a standard deviation of {seed.value:.3g} "
        f"(95 % interval {seed.low:.3g} to {seed.high:.3g}; {limit:.3g} counts as much){flipped}."
    )
    surely = seed.low > limit or (
        evidence.flips is not None and evidence.flips > flips and seed.value > limit
    )
    if surely:
        severity = float(np.clip(seed.value / evidence.distance, 0, 1))
        return Found(sentence, severity, None, numbers)
    return Clear(sentence, numbers)


PREDICTION = (
    Check(
        "P01",
        "The result depends on the seed",
        "prediction",
        "seed_variance",
        depends_on_the_seed,
        why="Another seed would have given another model, better or worse by chance.",
        evident=True,
        specific=False,
    ),
)
